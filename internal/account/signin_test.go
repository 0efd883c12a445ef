package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
)

// TestSameWork: that a name is nobody's is told neither by the words nor by the work.
func TestSameWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Viewer)
	must(t, b.Disable(t.Context(), "ben"))
	hashes := b.Cheap()
	var text string
	for i, c := range []struct{ name, password string }{
		{"ada", other}, {"nobody", other}, {"nobody", good}, {"ben", good}, {"ben", other}, {"", ""}, {"ada", ""}, {"no name at all", good},
		{"ada", good + strings.Repeat(" ", 1<<20)}, {strings.Repeat("ada", 1<<20), good},
	} {
		hashes.Store(0)
		_, err := b.SignIn(t.Context(), c.name, c.password, fmt.Sprintf("192.0.2.%d", i))
		wantKind(t, err, fault.Denied)
		if n := hashes.Load(); n != 1 {
			t.Errorf("%.20q, %.20q: %d hashes, want 1", c.name, c.password, n)
		}
		if text == "" {
			text = err.Error()
		}
		if err.Error() != text || !strings.Contains(text, "(") {
			t.Errorf("%.20q: %q; want the same for all, with the next step: %q", c.name, err, text)
		}
	}
	hashes.Store(0)
	if _, err := b.SignIn(t.Context(), " ADA ", good, home); err != nil || hashes.Load() != 1 {
		t.Errorf("%v, %d hashes", err, hashes.Load())
	}
}

func TestSignInIsSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	hashes := b.Cheap()
	var soon *account.TooSoon
	var err error
	n := 0
	for ; n < 100 && !errors.As(err, &soon); n++ {
		_, err = b.SignIn(t.Context(), "ada", other, home)
		wantKind(t, err, fault.Denied)
	}
	if n < 3 || n > 20 || int(hashes.Load()) != n-1 {
		t.Fatalf("%d tries, %d hashes; want a few, and no work for the last", n, hashes.Load())
	}
	if _, err := b.SignIn(t.Context(), "ada", good, home); !errors.As(err, &soon) {
		t.Errorf("the right password, too soon: %v", err)
	}
	if soon.Wait > time.Minute {
		t.Errorf("a wait of %s", soon.Wait)
	}
	w.now = w.now.Add(soon.Wait)
	if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
		t.Errorf("after the wait that was told: %v", err)
	}
	for i := range 50 { // what is not in vain is not counted
		if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
			t.Fatalf("sign-in %d: %v", i, err)
		}
	}
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	b := newWorld(t).open()
	a := create(t, b, "ada.lovelace", role.Admin)
	for password, ok := range map[string]bool{
		"":                              false,
		"elevenchars":                   false,
		"twelve chars":                  true,
		"zwölf Zeiche":                  true, // 12 characters, 13 bytes
		"zwölf Zeich":                   false,
		strings.Repeat("äö", 128):       true, // 256 characters
		strings.Repeat("äö", 128) + "x": false,
		strings.Repeat("x", 1<<20):      false,
		"no\xffcharacters at all":       false,
		"only small letters":            true,
		"🛟🛟🛟🛟🛟🛟🛟🛟🛟🛟🛟🛟": false, // one character
		"xxxxxxxxxxxxxxxx":             false,
		"PasswordPassword":             false,
		"correct horse battery staple": false,
		"ada.lovelace":                 false,
		"ADA.LOVELACE":                 false,
		"ada.lovelaceada.lovelace":     false,
		"Title of Ada.Lovelace":        false, // a.Title
		"ada.lovelace sails home":      true,
	} {
		err := b.SetPassword(t.Context(), a.Name, password)
		switch {
		case ok && err != nil:
			t.Errorf("%.40q: %v", password, err)
		case !ok && (fault.KindOf(err) != fault.Invalid || len(err.Error()) > 200 || !strings.Contains(err.Error(), "(")):
			t.Errorf("%.40q: %.300v; want it refused, with the next step", password, err)
		case ok:
			if _, err := b.SignIn(t.Context(), a.Name, password, home); err != nil {
				t.Errorf("%.40q does not sign in: %v", password, err)
			}
		}
	}
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Viewer)
	old, _, err := b.Open(t.Context(), account.OfAccount("ada"), "password")
	must(t, err)
	bens, _, err := b.Open(t.Context(), account.OfAccount("ben"), "password")
	must(t, err)
	must(t, b.SetPassword(t.Context(), "ada", other))
	for _, book := range []*account.Book{b, w.open()} {
		if _, known := book.Session(old); known {
			t.Error("a session from before the change is good")
		}
		if _, known := book.Session(bens); !known {
			t.Error("somebody else's session ended")
		}
		_, err := book.SignIn(t.Context(), "ada", good, home)
		wantKind(t, err, fault.Denied)
		if _, err := book.SignIn(t.Context(), "ada", other, home); err != nil {
			t.Error(err)
		}
	}
}

// TestStrongerHash: a password that was hashed cheaply is hashed anew by the next
// sign-in, and by no other than a right one.
func TestStrongerHash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cheap := "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$vQtujccByeYc2KULqWqp2PgP0KVcyIuyTRZJU3axR+w"
	put(t, w, cheap)
	b := w.real()
	_, err := b.SignIn(t.Context(), "ada", other, home)
	wantKind(t, err, fault.Denied)
	if v := value(t, w); !strings.Contains(v, "m=64,") {
		t.Fatalf("a wrong password changed the record: %s", v)
	}
	w.store.dead = true
	if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
		t.Errorf("a hash that can't be kept keeps somebody out: %v", err)
	}
	w.store.dead = false
	if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
		t.Fatal(err)
	}
	v := value(t, w)
	if !strings.Contains(v, "m=19456,t=2,p=1") {
		t.Errorf("the record is as weak as before: %s", v)
	}
	if _, err := w.real().SignIn(t.Context(), "ada", good, home); err != nil {
		t.Error(err)
	}
	if again := value(t, w); again != v {
		t.Errorf("hashed anew for nothing: %s", again)
	}
}

// put keeps an account as somebody left it.
func put(t *testing.T, w *world, hash string) {
	t.Helper()
	v := fmt.Sprintf(`{"name":"ada","title":"Ada","role":"admin","created":"2026-03-01T09:00:00Z","password":%q}`, hash)
	_, err := w.store.Txn(t.Context(), nil, []store.Write{{Key: "account/ada", Value: []byte(v)}})
	must(t, err)
}

func value(t *testing.T, w *world) string {
	t.Helper()
	kv, err := w.store.Get(t.Context(), "account/ada")
	must(t, err)
	return string(kv.Value)
}

// TestHashingIsBounded: two at once, and who waits can go.
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.open()
		create(t, b, "ada", role.Admin)
		release := make(chan struct{})
		var at atomic.Int64
		b.Derive(func() {
			at.Add(1)
			<-release
		})
		var group sync.WaitGroup
		var failed atomic.Int64
		for i := range 5 {
			group.Go(func() {
				if _, err := b.SignIn(t.Context(), "ada", good, fmt.Sprintf("192.0.2.%d", i)); err != nil {
					failed.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := at.Load(); n != 2 {
			t.Errorf("%d hash at once, want 2", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.SignIn(ctx, "ada", good, home); !errors.Is(err, context.Canceled) {
			t.Errorf("somebody who went away: %v", err)
		}
		_, err := b.SignIn(t.Context(), "ada", good, "192.0.2.100")
		wantKind(t, err, fault.Unavailable) // after some seconds, which pass at once here
		synctest.Wait()
		close(release)
		group.Wait()
		if n := failed.Load(); n != 3 { // those that waited in vain
			t.Errorf("%d failed, want the 3 that waited", n)
		}
		if _, err := b.SignIn(t.Context(), "ada", good, "192.0.2.101"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestDisabledMeanwhile: an account that is disabled while its password is hashed.
func TestDisabledMeanwhile(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*account.Book) error{
		"disabled":         func(b *account.Book) error { return b.Disable(context.Background(), "ben") },
		"another password": func(b *account.Book) error { return b.SetPassword(context.Background(), "ben", other) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newWorld(t).open()
			create(t, b, "ada", role.Admin)
			create(t, b, "ben", role.Viewer)
			var once atomic.Bool
			b.Derive(func() {
				if !once.Swap(true) {
					must(t, meanwhile(b))
				}
			})
			_, err := b.SignIn(t.Context(), "ben", good, home)
			wantKind(t, err, fault.Denied)
		})
	}
}
