package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"lifeboat/internal/fault"
)

// What a password must be (NIST SP 800-63B-4, section 3.1.1.2): long, not obvious, and
// nothing about its composition.
const (
	minPassword = 12  // characters
	maxPassword = 256 // characters
)

// obvious are passwords that people try first; those that are long enough.
var obvious = []string{
	"password1234", "passwordpassword", "123456789012", "1234567890123", "1234567890ab", "qwertyuiop12", "qwertyuiopas", "qwertyqwerty",
	"iloveyou1234", "administrator", "adminadminadmin", "letmeinletmein", "changemechangeme", "changeme1234", "welcome12345",
	"correcthorsebatterystaple", "correct horse battery staple", "lifeboatlifeboat", "lifeboat1234",
}

// passwordOK says whether an account may have a password. The error never holds it.
func passwordOK(name, title, password string) error {
	n := utf8.RuneCountInString(password)
	low := strings.ToLower(password)
	switch {
	case !utf8.ValidString(password):
		return fault.New(fault.Invalid, "the password holds bytes that are no characters").At("password").WithHint("type it again")
	case n < minPassword:
		return fault.New(fault.Invalid, "the password has fewer than %d characters", minPassword).At("password").WithHint("four words that don't belong together make a good one")
	case n > maxPassword:
		return fault.New(fault.Invalid, "the password has more than %d characters", maxPassword).At("password").WithHint("choose a shorter one")
	case slices.Contains(obvious, low), repeats(low, name), repeats(low, strings.ToLower(title)), repeats(low, firstRune(low)):
		return fault.New(fault.Invalid, "the password is one of those that are tried first").At("password").WithHint("four words that don't belong together make a good one")
	}
	return nil
}

// repeats says whether s is part, once or many times.
func repeats(s, part string) bool { return part != "" && strings.ReplaceAll(s, part, "") == "" }

func firstRune(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return s[:size]
}

// newPassword gives the hash of a password that an account shall have.
func (b *Book) newPassword(ctx context.Context, name, title, password string) (string, error) {
	if err := passwordOK(name, title, password); err != nil {
		return "", err
	}
	return b.hasher.make(ctx, password)
}

// Limits on the work of hashing: each takes about 20 MiB and some 30 ms of a core. As
// many strangers as the console has connections are all looked at within longQueue.
const (
	atOnce    = 2
	keptFree  = 1 // more, for those who are known here
	longQueue = 25 * time.Second
)

// hasher hashes passwords, a few at once.
type hasher struct {
	slots  chan struct{} // taken by who hashes
	known  chan struct{} // and by those who are known: strangers can't keep them waiting
	derive func(password, salt []byte, passes, memory uint32, lanes uint8, keyLen uint32) []byte
}

func newHasher() *hasher {
	return &hasher{slots: make(chan struct{}, atOnce), known: make(chan struct{}, keptFree), derive: argon2.IDKey}
}

// key waits for its turn and derives the key that p would have of the password.
func (h *hasher) key(ctx context.Context, known bool, password string, p phc) ([]byte, error) {
	tired := fault.New(fault.Unavailable, "many people sign in at once").WithHint("wait a moment and try again, or sign in with a token")
	ctx, cancel := context.WithTimeoutCause(ctx, longQueue, tired)
	defer cancel()
	own, taken := h.known, h.slots
	if !known {
		own = nil // never ready
	}
	select {
	case h.slots <- struct{}{}:
	case own <- struct{}{}:
		taken = own
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-taken }()
	return h.derive([]byte(password), p.salt, p.passes, p.memory, p.lanes, uint32(len(p.key))), nil
}

// make gives a new password's hash. Who sets one is known.
func (h *hasher) make(ctx context.Context, password string) (string, error) {
	p := phc{params: current, salt: make([]byte, saltLen), key: make([]byte, keyLen)}
	_, _ = rand.Read(p.salt) // never fails
	var err error
	if p.key, err = h.key(ctx, true, password, p); err != nil {
		return "", err
	}
	return p.String(), nil
}

// verify says whether hash is the password's, and whether it should be made anew. It
// costs the same where hash is none.
func (h *hasher) verify(ctx context.Context, known bool, hash, password string) (same, weak bool, err error) {
	p, wrong := parsePHC(hash)
	if wrong != nil {
		p = phc{params: current, salt: make([]byte, saltLen), key: make([]byte, keyLen)}
	}
	key, err := h.key(ctx, known, password, p)
	if err != nil {
		return false, false, err
	}
	same = subtle.ConstantTimeCompare(key, p.key) == 1 && wrong == nil
	return same, p.weak(), nil
}
