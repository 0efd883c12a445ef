package board

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func passKeys(t testing.TB) (ed25519.PrivateKey, []PassKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return private, []PassKey{{ID: "a", Key: public}}
}

// TestPasses: a pass is what was signed, for its page, for its browser and for its time,
// and nothing else is one.
func TestPasses(t *testing.T) {
	t.Parallel()
	key, keys := passKeys(t)
	other, _ := passKeys(t)
	now := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	p := Pass{Page: "main", Bound: Bound("secret"), ID: "1", Enter: now.Add(EnterLife), Until: now.Add(PassLife)}
	good := p.Sign("a", key)
	got, ok := ReadPass(keys, "main", good)
	if !ok || got.ID != "1" || !got.Until.Equal(p.Until) || !got.Enters("secret", now) || !got.Holds("secret", now.Add(time.Hour)) {
		t.Fatalf("%+v %v", got, ok)
	}
	for name, wrong := range map[string]bool{
		"another browser": got.Holds("other", now), "no secret": got.Holds("", now), "brought late": got.Enters("secret", p.Enter), "over": got.Holds("secret", p.Until),
	} {
		if wrong {
			t.Errorf("%s: it lets in", name)
		}
	}
	body, sum, _ := strings.Cut(good, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(body)
	changed := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"u":`, `"u":9`, 1))) + "." + sum
	for name, text := range map[string]string{
		"another key": p.Sign("a", other), "an unknown key": p.Sign("b", key), "changed": changed, "cut": good[:len(good)-2], "longer": good + "A", "empty": "", "a dot": ".", "two parts of nothing": "AA.AA",
		"no browser": Pass{Page: "main", ID: "1", Enter: p.Enter, Until: p.Until}.Sign("a", key), "huge": strings.Repeat("A", 4000) + "." + sum,
	} {
		if _, ok := ReadPass(keys, "main", text); ok {
			t.Errorf("%s is taken", name)
		}
	}
	if _, ok := ReadPass(keys, "docs", good); ok {
		t.Error("another page takes it")
	}
	if _, ok := ReadPass(nil, "main", good); ok {
		t.Error("it is taken without a key")
	}
	if _, ok := ReadPass([]PassKey{{ID: "a"}}, "main", good); ok {
		t.Error("it is taken with an empty key")
	}
}

func FuzzReadPass(f *testing.F) {
	key, keys := passKeys(f)
	f.Add(Pass{Page: "main", Bound: Bound("x")}.Sign("a", key))
	f.Add("")
	f.Add("e30.e30")
	f.Add(strings.Repeat(".", 300))
	good := Pass{Page: "main", Bound: Bound("x")}.Sign("a", key)
	f.Fuzz(func(t *testing.T, text string) {
		if _, ok := ReadPass(keys, "main", text); ok && text != good {
			t.Errorf("%q is taken", text)
		}
	})
}

// BenchmarkReadPass is what a private page costs each time that it is read by signing in.
func BenchmarkReadPass(b *testing.B) {
	key, keys := passKeys(b)
	good := Pass{Page: "main", Bound: Bound("x"), ID: "0123456789abcdef"}.Sign("a", key)
	for b.Loop() {
		if _, ok := ReadPass(keys, "main", good); !ok {
			b.Fatal("it is not taken")
		}
	}
}
