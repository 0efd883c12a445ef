package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// phc is a hashed password in the PHC string format (github.com/P-H-C/phc-string-format,
// phc-sf-spec.md), of the one kind that we make:
//
//	$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY
type phc struct {
	params
	salt, key []byte
}

// params are what a hash costs (RFC 9106, section 3.1).
type params struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// current is what OWASP's Password Storage Cheat Sheet asks of argon2id at least.
var current = params{memory: 19 << 10, passes: 2, lanes: 1}

// Sizes of what we make, in bytes.
const (
	saltLen = 16
	keyLen  = 32
)

// Limits on what a text may ask for: it comes from a store that somebody may have
// written to, and must not cost gigabytes or minutes.
const (
	maxPHC    = 256
	maxMemory = 64 << 10 // KiB
	maxPasses = 8
	maxLanes  = 4
)

var errPHC = errors.New("this is not the hash of a password")

// parsePHC reads what String gives, and nothing else that means the same.
func parsePHC(s string) (phc, error) {
	fields := strings.Split(s[:min(len(s), maxPHC+1)], "$")
	if len(fields) != 6 {
		return phc{}, errPHC
	}
	var p phc
	for _, part := range strings.Split(fields[3], ",") {
		key, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return phc{}, errPHC
		}
		switch {
		case key == "m" && n <= maxMemory:
			p.memory = uint32(n)
		case key == "t" && n <= maxPasses:
			p.passes = uint32(n)
		case key == "p" && n <= maxLanes:
			p.lanes = uint8(n)
		}
	}
	var saltErr, keyErr error
	p.salt, saltErr = base64.RawStdEncoding.DecodeString(fields[4])
	p.key, keyErr = base64.RawStdEncoding.DecodeString(fields[5])
	ok := saltErr == nil && keyErr == nil &&
		p.passes > 0 && p.lanes > 0 && p.memory >= 8*uint32(p.lanes) && // RFC 9106, section 3.1
		between(p.salt, 8, 64) && between(p.key, 16, 64) &&
		p.String() == s // the rest of it: kind, version, order, and one way to write a number
	if !ok {
		return phc{}, errPHC
	}
	return p, nil
}

func between(b []byte, least, most int) bool { return least <= len(b) && len(b) <= most }

// String gives the text for the store.
func (p phc) String() string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", p.memory, p.passes, p.lanes,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.key))
}

// weak says whether we ask for more today.
func (p phc) weak() bool {
	return p.memory < current.memory || p.passes < current.passes || p.lanes < current.lanes || len(p.salt) < saltLen || len(p.key) < keyLen
}
