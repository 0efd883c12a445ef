package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/webhook"
)

// The vector that the libraries of Standard Webhooks are tested with
// (libraries/go/webhook_symmetric_test.go).
func TestSignVector(t *testing.T) {
	t.Parallel()
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	for _, secret := range []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\r\n"} {
		key, err := webhook.Key([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		got := webhook.Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 999), []byte(`{"test": 2432232314}`))
		if got != want {
			t.Errorf("%q: %s, want %s", secret, got, want)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0, '+', 0xff}, 8)
	std := base64.StdEncoding.EncodeToString(append(raw, 'x'))
	for _, c := range []struct {
		secret, want string
		bad          bool
	}{
		{"", "", false},
		{"\n", "", false},
		{"hunter2", "hunter2", false},
		{"hunter2\n", "hunter2", false},
		{" a b ", " a b ", false},
		{string(raw), string(raw), false},
		{"whsec_" + std, string(raw) + "x", false},
		{"whsec_" + std + "\n", string(raw) + "x", false},
		{"whsec_" + strings.TrimRight(std, "="), string(raw) + "x", false},
		{"whsec_", "", true},
		{"whsec_not-base64-at-all-not-base64-at-all", "", true},
		{"whsec_" + base64.StdEncoding.EncodeToString(raw[:23]), "", true},
		{strings.Repeat("x", 1025), "", true},
	} {
		key, err := webhook.Key([]byte(c.secret))
		if string(key) != c.want || (fault.KindOf(err) == fault.Invalid) != c.bad {
			t.Errorf("%q: key %q, %v", c.secret, key, err)
		}
		if err != nil && strings.Contains(err.Error(), "not-base64-at-all") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{"a", "01JD3Z-ops_1", strings.Repeat("x", 100)} {
		if got := webhook.ID(plain); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
	seen := map[string]string{}
	for _, other := range []string{"", "a.b", "a_b.", "é", "a b", "a\r\nX: y", "../x", strings.Repeat("x", 101)} {
		id := webhook.ID(other)
		if webhook.ID(id) != id || id == other || seen[id] != "" {
			t.Errorf("%q became %q, as did %q", other, id, seen[id])
		}
		if id != webhook.ID(other) {
			t.Errorf("%q is not always the same id", other)
		}
		seen[id] = other
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 4, 5, 6, 7e6, time.FixedZone("", 3600))
	got, err := webhook.Body("update.public", at, []byte(`{"text": "We are back."}`))
	if want := `{"type":"update.public","timestamp":"2026-11-22T03:05:06.007Z","data":{"text":"We are back."}}`; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"{", "", "1 2"} {
		if got, err := webhook.Body("k", at, []byte(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %s, %v", bad, got, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"https://ops.example.com/hook": true,
		"http://127.0.0.1:8080":        true,
		"http://[::1]:80/a?b=c":        true,
		"":                             false,
		"ops.example.com/secret":       false,
		"ftp://ops.example.com/secret": false,
		"https:///secret":              false,
		"https://%zz/secret":           false,
	} {
		err := webhook.CheckURL(text)
		if (err == nil) != ok || err != nil && (fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever the secret: it is refused, or signs as the scheme says.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"", "whsec_", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "raw\n", "whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, secret []byte) {
		key, err := webhook.Key(secret)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || key != nil {
				t.Fatalf("%q, %v", key, err)
			}
			return
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("id.1.{}"))
		if got := webhook.Sign(key, "id", time.Unix(1, 0), []byte("{}")); got != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			t.Fatalf("signed %s", got)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "-1", "4294967295", "99999999999999999999", "Sun, 22 Nov 2026 04:00:00 GMT", "Sun, 22 Nov 9999 04:00:00 GMT", "soon"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string) {
		if d := webhook.RetryAfter(header, now); d < 0 || d > 24*time.Hour {
			t.Fatalf("%q: %s", header, d)
		}
	})
}
