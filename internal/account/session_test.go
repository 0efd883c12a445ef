package account_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/session"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

// real opens a book that hashes as the product does.
func (w *world) real() *account.Book {
	w.t.Helper()
	b, err := account.New(w.t.Context(), account.Options{Store: w.store, Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler)})
	must(w.t, err)
	return b
}

func opened(t *testing.T, b *account.Book, who account.Who) (string, account.Session) {
	t.Helper()
	raw, s, err := b.Open(t.Context(), who, "password")
	must(t, err)
	return raw, s
}

// keys counts what the store holds below a prefix.
func (w *world) keys(prefix string) int {
	w.t.Helper()
	kvs, _, err := w.store.List(w.t.Context(), prefix)
	must(w.t, err)
	return len(kvs)
}

// swept lets Run do its last round.
func swept(t *testing.T, b *account.Book) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	bye := errors.New("bye")
	stop(bye)
	if err := b.Run(ctx); !errors.Is(err, bye) {
		t.Errorf("Run: %v, want why it was ended", err)
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Commander)
	raw, s := opened(t, b, account.OfAccount("Ada"))
	want := account.Session{
		ID: s.ID, Who: account.Who{Account: "ada"}, Name: "Title of ada", Role: role.Commander, How: "password",
		Opened: w.now, Seen: w.now, Proved: w.now, Ends: w.now.Add(12 * time.Hour),
	}
	if s != want || s.ID == "" || strings.Contains(raw, s.ID) {
		t.Fatalf("%q, %+v; want %+v", raw, s, want)
	}
	if got, known := b.Session(raw); !known || got != want {
		t.Errorf("%+v, %v", got, known)
	}
	for _, wrong := range []string{"", raw + "x", raw[1:], s.ID, strings.Repeat("A", 43), strings.ToLower(raw)} {
		if _, known := b.Session(wrong); known {
			t.Errorf("%q is a session", wrong)
		}
	}
	must(t, b.SetRole(t.Context(), "ada", role.Viewer))
	must(t, b.SetTitle(t.Context(), "ada", "Ada L."))
	for _, book := range []*account.Book{b, w.open()} {
		if got, known := book.Session(raw); !known || got.Role != role.Viewer || got.Name != "Ada L." || !got.Opened.Equal(s.Opened) || got.ID != s.ID {
			t.Errorf("its role and name are not those of now: %+v, %v", got, known)
		}
	}
}

func TestSessionOfToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	who := account.OfToken("3f9a12c04d77")
	raw, s := opened(t, b, who)
	if s.Name != "ci" || s.Role != role.Operator || s.Who.String() != "token/3f9a12c04d77" {
		t.Errorf("%+v", s)
	}
	w.tokens["3f9a12c04d77"] = role.Viewer
	if got, known := w.open().Session(raw); !known || got.Role != role.Viewer {
		t.Errorf("after a restart: %+v, %v", got, known)
	}
	delete(w.tokens, "3f9a12c04d77")
	if _, known := b.Session(raw); known {
		t.Error("a revoked token's session is good")
	}
	for _, who := range []account.Who{who, {}, account.OfAccount("nobody"), {Account: "ada", Token: "3f9a12c04d77"}} {
		_, _, err := b.Open(t.Context(), who, "token")
		wantKind(t, err, fault.Denied)
	}
}

// TestClosedMeanwhile: a use at the moment of the end brings nothing back.
func TestClosedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	raw, s := opened(t, b, account.OfToken("3f9a12c04d77"))
	w.meanwhile = func() { must(t, b.Close(t.Context(), raw)) }
	if s, known := b.Session(raw); known {
		t.Errorf("%+v", s)
	}
	w.meanwhile = nil
	if l := b.Sessions(s.Who); len(l) != 0 {
		t.Errorf("it is back: %+v", l)
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		every time.Duration // between two uses
		want  time.Duration // the last use that is good
	}{
		"used often":        {10 * time.Minute, 12*time.Hour - 10*time.Minute},
		"just often enough": {30*time.Minute - time.Second, 24 * (30*time.Minute - time.Second)},
		"idle":              {30 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.open()
			create(t, b, "ada", role.Admin)
			raw, s := opened(t, b, account.OfAccount("ada"))
			var last time.Duration
			for range 100 {
				w.now = w.now.Add(c.every)
				if _, known := b.Session(raw); !known {
					break
				}
				last = w.now.Sub(s.Opened)
			}
			if last != c.want {
				t.Errorf("last good at %s, want %s", last, c.want)
			}
			if l := b.Sessions(account.OfAccount("ada")); len(l) != 0 {
				t.Errorf("listed when it was over: %+v", l)
			}
			if n := w.keys("session/"); n != 1 {
				t.Fatalf("%d in the store", n)
			}
			swept(t, b)
			if n := w.keys("session/"); n != 0 {
				t.Errorf("%d in the store when it was over and swept", n)
			}
		})
	}
}

// TestOverInPassing: nobody needs Run for the store to stay small.
func TestOverInPassing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	for range 3 {
		opened(t, b, account.OfAccount("ada"))
	}
	w.now = w.now.Add(time.Hour)
	opened(t, b, account.OfAccount("ada"))
	if n := w.keys("session/"); n != 1 {
		t.Errorf("%d in the store, want 1", n)
	}
	w.now = w.now.Add(time.Hour)
	opened(t, w.open(), account.OfAccount("ada")) // an earlier life's, too
	if n := w.keys("session/"); n != 1 {
		t.Errorf("%d in the store, want 1", n)
	}
}

// TestDisabledEndsSessions: at once, after a restart, and for good.
func TestDisabledEndsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Operator)
	bens, _ := opened(t, b, account.OfAccount("ben"))
	adas, _ := opened(t, b, account.OfAccount("ada"))
	must(t, b.Disable(t.Context(), "ben"))
	gone := func(b *account.Book, when string) {
		t.Helper()
		if s, known := b.Session(bens); known {
			t.Errorf("%s: %+v", when, s)
		}
		if _, known := b.Session(adas); !known {
			t.Errorf("%s: somebody else's session ended", when)
		}
	}
	gone(b, "disabled")
	gone(w.open(), "disabled, restarted")
	if n := w.keys("session/"); n != 1 {
		t.Errorf("%d sessions in the store", n)
	}
	_, _, err := b.Open(t.Context(), account.OfAccount("ben"), "password")
	wantKind(t, err, fault.Denied)
	must(t, b.Enable(t.Context(), "ben"))
	gone(b, "enabled again")
	gone(w.open(), "enabled again, restarted")
}

func TestClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Viewer)
	ada := account.OfAccount("ada")
	first, s1 := opened(t, b, ada)
	w.now = w.now.Add(time.Minute)
	second, s2 := opened(t, b, ada)
	w.now = w.now.Add(time.Minute)
	third, s3 := opened(t, b, ada)
	bens, _ := opened(t, b, account.OfAccount("ben"))
	if l := b.Sessions(ada); len(l) != 3 || l[0] != s3 || l[1] != s2 || l[2] != s1 {
		t.Errorf("Sessions: %+v", l)
	}
	must(t, b.Close(t.Context(), second))
	must(t, b.Close(t.Context(), second))
	must(t, b.Close(t.Context(), "no session"))
	check := func(raw string, want bool) {
		t.Helper()
		for _, book := range []*account.Book{b, w.open()} {
			if _, known := book.Session(raw); known != want {
				t.Errorf("good: %v, want %v", known, want)
			}
		}
	}
	check(first, true)
	check(second, false)
	must(t, b.CloseAll(t.Context(), ada))
	check(first, false)
	check(third, false)
	check(bens, true)
	if n := w.keys("session/"); n != 1 {
		t.Errorf("%d in the store", n)
	}
}

// TestSessionsWithoutStore: signing in and out works, and the store is told as soon as
// it listens.
func TestSessionsWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	before, _ := opened(t, b, account.OfAccount("ada"))
	w.store.dead = true
	during, _ := opened(t, b, account.OfAccount("ada"))
	if _, known := b.Session(during); !known {
		t.Error("nobody can sign in without the store")
	}
	wantKind(t, b.Close(t.Context(), before), fault.Unavailable)
	if _, known := b.Session(before); known {
		t.Error("nobody can sign out without the store")
	}
	swept(t, b)
	w.store.dead = false
	swept(t, b)
	restarted := w.open()
	if _, known := restarted.Session(before); known {
		t.Error("a session that was closed is back")
	}
	if _, known := restarted.Session(during); !known {
		t.Error("the store was not told of a session once it listened")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Viewer)
	adas, _ := opened(t, b, account.OfAccount("ada"))
	var raws []string
	for range 25 {
		w.now = w.now.Add(time.Second)
		raw, _ := opened(t, b, account.OfAccount("ben"))
		raws = append(raws, raw)
		if _, known := b.Session(raws[0]); !known { // used all the time
			t.Fatal("the session that is used is not the one that goes")
		}
	}
	if n := len(b.Sessions(account.OfAccount("ben"))); n != 20 {
		t.Errorf("%d sessions of one", n)
	}
	if _, known := b.Session(raws[1]); known {
		t.Error("the session that was idle longest has stayed")
	}
	for i := range 1100 {
		w.tokens[fmt.Sprint(i)] = role.Viewer
		w.now = w.now.Add(time.Millisecond)
		opened(t, b, account.OfToken(fmt.Sprint(i)))
		if i%100 == 0 {
			b.Session(adas)
		}
	}
	if n := w.keys("session/"); n != 1000 {
		t.Errorf("%d sessions", n)
	}
	if _, known := b.Session(adas); !known {
		t.Error("a session that is used was pushed out")
	}
	if _, known := b.Session(raws[24]); known {
		t.Error("the oldest has stayed")
	}
}

// TestSeenIsWrittenSeldom: a use is not a write, and a restart costs some minutes of
// idle time only.
func TestSeenIsWrittenSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{Store: mem.New(mem.Options{})}
		var tight atomic.Bool
		ring := session.New(time.Now)
		open := func() *account.Book {
			b, err := account.New(t.Context(), account.Options{
				Ring: ring, Store: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Degraded: func() bool { return tight.Load() },
			})
			must(t, err)
			b.Cheap()
			return b
		}
		b := open()
		create(t, b, "ada", role.Admin)
		raw, _ := opened(t, b, account.OfAccount("ada"))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }() // ended by stop
		use := func(b *account.Book, minutes int) (good bool) {
			for range minutes * 6 {
				time.Sleep(10 * time.Second) // in the bubble's time
				if _, good = b.Session(raw); !good {
					return false
				}
			}
			return true
		}
		before := s.txns.Load()
		if !use(b, 60) {
			t.Fatal("it ended in an hour of use")
		}
		if n := s.txns.Load() - before; n < 10 || n > 13 {
			t.Errorf("%d writes in an hour of use, want one every five minutes", n)
		}
		if restarted := open(); !use(restarted, 1) {
			t.Error("a restart ended a session in use")
		}
		tight.Store(true)
		before = s.txns.Load()
		use(b, 20)
		if n := s.txns.Load() - before; n != 0 {
			t.Errorf("%d writes while the store had no room", n)
		}
		tight.Store(false)
		time.Sleep(2 * time.Minute)
		if s.txns.Load() == before {
			t.Error("not written when there was room again")
		}
		time.Sleep(30 * time.Minute)
		if kvs, _, err := s.List(t.Context(), "session/"); err != nil || len(kvs) != 0 {
			t.Errorf("%d sessions in the store after half an hour without use, %v", len(kvs), err)
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestGuardedStore: on the store that is in use, which goes on without its disk.
func TestGuardedStore(t *testing.T) {
	t.Parallel()
	primary := &deaf{Store: mem.New(mem.Options{})}
	g, err := store.Guard(t.Context(), primary, nil, store.GuardOptions{Log: slog.New(slog.DiscardHandler), LastResort: func([]byte) {}})
	must(t, err)
	ring := session.New(time.Now)
	open := func() *account.Book {
		b, err := account.New(t.Context(), account.Options{Ring: ring, Store: g, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		b.Cheap()
		return b
	}
	b := open()
	create(t, b, "ada", role.Admin)
	primary.dead = true
	create(t, b, "ben", role.Operator)
	raw, _ := opened(t, b, account.OfAccount("ben"))
	if _, _, _, degraded := g.Degraded(); !degraded {
		t.Fatal("the store is well")
	}
	if s, known := open().Session(raw); !known || s.Role != role.Operator {
		t.Errorf("from what waits for the store: %+v, %v", s, known)
	}
	primary.dead = false
	g.Merge(t.Context())
	if kvs, _, err := primary.List(t.Context(), ""); err != nil || len(kvs) != 3 {
		t.Errorf("%d keys in the store, %v; want two accounts and a session", len(kvs), err)
	}
}

// deaf is an engine that can stop taking writes.
type deaf struct {
	*mem.Store
	dead bool
}

func (d *deaf) Txn(ctx context.Context, c []store.Cond, w []store.Write) (store.Revision, error) {
	if d.dead {
		return 0, fault.New(fault.Unavailable, "no disk")
	}
	return d.Store.Txn(ctx, c, w)
}
