package account

import (
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

// reference is from the test suite of the reference implementation
// (github.com/P-H-C/phc-winner-argon2, src/test.c): "password" with the salt "somesalt".
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestReference(t *testing.T) {
	t.Parallel()
	h := newHasher()
	for password, want := range map[string]bool{"password": true, "Password": false, "": false} {
		same, weak, err := h.verify(t.Context(), false, reference, password)
		if err != nil || same != want || !weak { // its salt has 8 bytes
			t.Errorf("%q: same %v, weak %v, %v", password, same, weak, err)
		}
	}
}

func TestMakeAndVerify(t *testing.T) {
	t.Parallel()
	h := newHasher()
	text, err := h.make(t.Context(), "four words and a half")
	if err != nil || !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q, %v", text, err)
	}
	p, err := parsePHC(text)
	if err != nil || len(p.salt) != 16 || len(p.key) != 32 || p.weak() {
		t.Errorf("%+v, %v", p, err)
	}
	if want := argon2.IDKey([]byte("four words and a half"), p.salt, 2, 19*1024, 1, 32); string(want) != string(p.key) {
		t.Error("not the key of argon2id with m = 19 MiB, t = 2, p = 1")
	}
	if again, err := h.make(t.Context(), "four words and a half"); err != nil || again == text {
		t.Error("two hashes of one password are the same: no salt")
	}
	if same, weak, err := h.verify(t.Context(), false, text, "four words and a half"); !same || weak || err != nil {
		t.Errorf("same %v, weak %v, %v", same, weak, err)
	}
}

func TestParsePHCRefuses(t *testing.T) {
	t.Parallel()
	const salt, key = "$c29tZXNhbHQ", "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for name, s := range map[string]string{
		"empty":          "",
		"other kind":     "$argon2i$v=19$m=19456,t=2,p=1" + salt + key,
		"other version":  "$argon2id$v=16$m=19456,t=2,p=1" + salt + key,
		"no version":     "$argon2id$m=19456,t=2,p=1" + salt + key,
		"gigabytes":      "$argon2id$v=19$m=4194304,t=2,p=1" + salt + key,
		"one too much":   "$argon2id$v=19$m=65537,t=2,p=1" + salt + key,
		"minutes":        "$argon2id$v=19$m=19456,t=1000000,p=1" + salt + key,
		"no pass":        "$argon2id$v=19$m=19456,t=0,p=1" + salt + key,
		"many lanes":     "$argon2id$v=19$m=19456,t=2,p=255" + salt + key,
		"lanes overflow": "$argon2id$v=19$m=19456,t=2,p=257" + salt + key,
		"no lane":        "$argon2id$v=19$m=19456,t=2,p=0" + salt + key,
		"too little":     "$argon2id$v=19$m=7,t=2,p=1" + salt + key,
		"negative":       "$argon2id$v=19$m=-1,t=2,p=1" + salt + key,
		"leading zero":   "$argon2id$v=19$m=019456,t=2,p=1" + salt + key,
		"order":          "$argon2id$v=19$t=2,m=19456,p=1" + salt + key,
		"twice":          "$argon2id$v=19$m=19456,m=19456,t=2,p=1" + salt + key,
		"a field more":   "$argon2id$v=19$m=19456,t=2,p=1,data=x" + salt + key,
		"short salt":     "$argon2id$v=19$m=19456,t=2,p=1$c29tZXM" + key,
		"short key":      "$argon2id$v=19$m=19456,t=2,p=1" + salt + "$CTFhFdXPJO0",
		"padding":        "$argon2id$v=19$m=19456,t=2,p=1" + salt + "=" + key,
		"loose bits":     "$argon2id$v=19$m=19456,t=2,p=1" + salt + key[:len(key)-1] + "d",
		"line break":     "$argon2id$v=19$m=19456,t=2,p=1" + salt + "\n" + key,
		"a part more":    "$argon2id$v=19$m=19456,t=2,p=1" + salt + key + "$",
		"long":           "$argon2id$v=19$m=19456,t=2,p=1" + salt + "$" + strings.Repeat("A", 1<<20),
	} {
		if p, err := parsePHC(s); err == nil {
			t.Errorf("%s: %.80q was read as %v", name, s, p)
		}
	}
	if _, err := parsePHC("$argon2id$v=19$m=19456,t=2,p=1" + salt + key); err != nil {
		t.Errorf("what the others are made from: %v", err)
	}
}

func FuzzParsePHC(f *testing.F) {
	for _, s := range []string{reference, "", "$", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=,t=,p=$$", "$$$$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Errorf("%q was read, and is written as %q", s, p)
		}
		if p.memory < 8 || p.memory > maxMemory || p.passes < 1 || p.passes > maxPasses || p.lanes < 1 || p.lanes > maxLanes || len(p.salt) > 64 || len(p.key) > 64 || len(p.key) < 16 {
			t.Errorf("%q asks for too much or too little", s)
		}
	})
}
