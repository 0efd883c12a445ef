package board

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"lifeboat/internal/fault"
)

// What a hash costs: OWASP's Password Storage Cheat Sheet asks for this at least. The
// limits keep a hash of the file from costing gigabytes or minutes.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	maxHash    = 256
	maxMemory  = 64 << 10
	maxPasses  = 8
	maxLanes   = 4
)

// hash is a password's in the PHC string format, of the one kind that we make.
type hash struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

// HashPassword makes the argon2id hash of a password (RFC 9106), as the configuration
// takes it.
func HashPassword(password string) string {
	h := hash{memory: hashMemory, passes: hashPasses, lanes: 1, salt: make([]byte, 16)}
	_, _ = rand.Read(h.salt) // never fails (crypto/rand)
	h.key = argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, 32)
	return h.String()
}

// String is the PHC string format.
func (h hash) String() string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", h.memory, h.passes, h.lanes, e.EncodeToString(h.salt), e.EncodeToString(h.key))
}

// CheckHash says whether a text is the hash of a password.
func CheckHash(text string) error {
	_, err := parseHash(text)
	return err
}

// Matches says whether a password is the one that a hash was made of. It costs some 20
// ms and 19 MiB: the caller bounds how often and how many at once.
func Matches(text, password string) bool {
	h, err := parseHash(text)
	if err != nil {
		return false
	}
	got := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1
}

func parseHash(text string) (hash, error) {
	wrong := fault.New(fault.Invalid, "this is not the hash of a password").WithHint("write what lifeboat status password prints")
	if len(text) > maxHash {
		return hash{}, wrong
	}
	fields := strings.Split(text, "$")
	if len(fields) != 6 {
		return hash{}, wrong
	}
	var h hash
	for _, part := range strings.Split(fields[3], ",") {
		key, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		switch {
		case err != nil:
			return hash{}, wrong
		case key == "m" && n <= maxMemory:
			h.memory = uint32(n)
		case key == "t" && n <= maxPasses:
			h.passes = uint32(n)
		case key == "p" && n <= maxLanes:
			h.lanes = uint8(n)
		}
	}
	var saltErr, keyErr error
	h.salt, saltErr = base64.RawStdEncoding.DecodeString(fields[4])
	h.key, keyErr = base64.RawStdEncoding.DecodeString(fields[5])
	if saltErr != nil || keyErr != nil || h.passes == 0 || h.lanes == 0 || h.memory < 8*uint32(h.lanes) ||
		len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 || h.String() != text {
		return hash{}, wrong
	}
	return h, nil
}
