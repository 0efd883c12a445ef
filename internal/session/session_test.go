package session_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/session"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)} }

func TestSignAndRead(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := session.New(c.now)
	for _, body := range []string{"", "x", strings.Repeat("long ", 500)} {
		text := r.Sign("a", []byte(body), c.t.Add(time.Hour))
		if got, good := r.Read("a", text); !good || string(got) != body {
			t.Errorf("%.20q came back as %.20q, %v", body, got, good)
		}
		if _, good := r.Read("b", text); good {
			t.Error("a text counts for another purpose")
		}
		for i := range len(text) {
			other := []byte(text)
			if other[i]++; other[i] == text[i] {
				continue
			}
			if _, good := r.Read("a", string(other)); good {
				t.Fatalf("a text that was changed at %d counts", i)
			}
			if i > 200 {
				break
			}
		}
		if _, good := session.New(c.now).Read("a", text); good {
			t.Error("a text of another ring counts")
		}
	}
	for _, wrong := range []string{"", "x", "====", strings.Repeat("A", 60), strings.Repeat("A", 9000)} {
		if _, good := r.Read("a", wrong); good {
			t.Errorf("%.20q counts", wrong)
		}
	}
}

func TestTextsEnd(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := session.New(c.now)
	short, long := r.Sign("a", nil, c.t.Add(time.Minute)), r.Sign("a", nil, c.t.Add(1000*time.Hour))
	c.t = c.t.Add(time.Minute)
	if _, good := r.Read("a", short); good {
		t.Error("a text counts at its end")
	}
	c.t = c.t.Add(session.MaxLife - 2*time.Minute)
	if _, good := r.Read("a", long); !good {
		t.Error("a long one has ended early")
	}
	c.t = c.t.Add(2 * time.Minute)
	if _, good := r.Read("a", long); good {
		t.Error("a text outlives the most that one may")
	}
}

func TestRingOutlivesRestartsAndChangesOfItsKey(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "sign-in.keys")
	open := func() *session.Ring {
		t.Helper()
		r, err := session.Open(path, c.now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	c.t = c.t.Add(23 * time.Hour)
	late := r.Sign("a", []byte("x"), c.t.Add(12*time.Hour))
	c.t = c.t.Add(2 * time.Hour)
	if err := r.Rotate(); err != nil {
		t.Fatal(err)
	}
	next := r.Sign("a", []byte("x"), c.t.Add(12*time.Hour))
	for _, ring := range []*session.Ring{r, open()} {
		for _, text := range []string{late, next} {
			if _, good := ring.Read("a", text); !good {
				t.Error("a change of the key has ended a text before its time")
			}
		}
	}
	c.t = c.t.Add(25 * time.Hour)
	forged := open()
	if got := forged.Sign("a", []byte("x"), c.t); got[:6] == next[:6] {
		t.Error("the key was not changed at the start")
	}
}

func TestSpoiltFiles(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		text string
		mode os.FileMode
		want fault.Kind
	}{
		"no JSON": {"hello", 0o600, fault.Invalid}, "no key": {"[]", 0o600, fault.Invalid}, "a short key": {`[{"number":1,"key":"AAAA"}]`, 0o600, fault.Invalid},
		"read by others": {"[]", 0o644, fault.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(path, []byte(f.text), f.mode); err != nil {
				t.Fatal(err)
			}
			c := newClock()
			r, err := session.Open(path, c.now)
			if fault.KindOf(err) != f.want || r == nil {
				t.Fatalf("%v, %v", r, err)
			}
			text := r.Sign("a", nil, c.t.Add(time.Hour))
			again, err := session.Open(path, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if _, good := again.Read("a", text); !good {
				t.Error("the new keys were not kept")
			}
		})
	}
	c := newClock()
	r, err := session.Open(filepath.Join(t.TempDir(), "no", "folder"), c.now)
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
	if _, good := r.Read("a", r.Sign("a", nil, c.t.Add(time.Hour))); !good {
		t.Error("nobody can sign in where the keys can't be kept")
	}
}

func FuzzRead(f *testing.F) {
	c := newClock()
	r := session.New(c.now)
	good := r.Sign("a", []byte("body"), c.t.Add(time.Hour))
	for _, seed := range []string{"", good, good[1:], good + "A", strings.Repeat("A", 64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if body, ok := r.Read("a", text); ok && (text != good || !bytes.Equal(body, []byte("body"))) {
			t.Errorf("%q counts", text)
		}
	})
}
