package account_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/session"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

const (
	good  = "four words and a half"
	other = "another four words"
	home  = "192.0.2.1:4711"
)

// world is what a book lives in: it outlives the book.
type world struct {
	t      *testing.T
	ring   *session.Ring
	store  *flaky
	log    bytes.Buffer
	now    time.Time
	tokens map[string]role.Role
	tight  bool // the store is degraded

	console string // where people open the pages

	meanwhile func() // called while a token is looked up
}

// flaky is a store that can stop taking writes, and counts them.
type flaky struct {
	*mem.Store
	dead bool
	txns atomic.Int64

	during func() // called in each transaction
}

func (f *flaky) Txn(ctx context.Context, c []store.Cond, w []store.Write) (store.Revision, error) {
	if f.dead {
		return 0, fault.New(fault.Unavailable, "no disk")
	}
	if len(w) > 0 {
		f.txns.Add(1)
	}
	if f.during != nil {
		f.during()
	}
	return f.Store.Txn(ctx, c, w)
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, store: &flaky{Store: mem.New(mem.Options{})}, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		tokens: map[string]role.Role{"3f9a12c04d77": role.Operator},
	}
	w.ring = session.New(func() time.Time { return w.now })
	return w
}

// open opens a book that hashes in no time.
func (w *world) open() *account.Book {
	w.t.Helper()
	b, err := account.New(w.t.Context(), account.Options{
		Store: w.store, Now: func() time.Time { return w.now }, Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Ring: w.ring, SecondKey: bytes.Repeat([]byte{7}, 32),
		Token: func(id string) (string, role.Role, bool) {
			if w.meanwhile != nil {
				w.meanwhile()
			}
			r, known := w.tokens[id]
			return "ci", r, known
		},
		Degraded: func() bool { return w.tight }, Console: w.console,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	b.Cheap()
	return b
}

func create(t *testing.T, b *account.Book, name string, may role.Role) account.Account {
	t.Helper()
	a, err := b.Create(t.Context(), account.Account{Name: name, Title: "Title of " + name, Role: may}, good)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Fatalf("got %v (kind %q), want kind %q", err, got, want)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	a, err := b.Create(t.Context(), account.Account{Name: " Ada.L ", Role: role.Commander, Disabled: w.now}, good)
	must(t, err)
	if want := (account.Account{Name: "ada.l", Title: "ada.l", Role: role.Commander, Created: w.now}); a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
	create(t, b, "grace", role.Viewer)
	for _, book := range []*account.Book{b, w.open()} {
		if got, err := book.Get("ADA.L"); err != nil || got != a {
			t.Errorf("Get: %+v, %v", got, err)
		}
		if l := book.List(); len(l) != 2 || l[0].Name != "ada.l" || l[1].Name != "grace" {
			t.Errorf("List: %+v", l)
		}
		if got, err := book.SignIn(t.Context(), "ada.l", good, home); err != nil || got != a {
			t.Errorf("SignIn: %+v, %v", got, err)
		}
	}
	_, err = b.Get("nobody")
	wantKind(t, err, fault.NotFound)
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	for _, c := range []struct {
		name, title string
		may         role.Role
		password    string
		want        fault.Kind
	}{
		{"", "", role.Viewer, good, fault.Invalid},
		{"a", "", role.Viewer, good, fault.Invalid},
		{strings.Repeat("a", 33), "", role.Viewer, good, fault.Invalid},
		{"ada lovelace", "", role.Viewer, good, fault.Invalid},
		{"../ada", "", role.Viewer, good, fault.Invalid},
		{"-rf", "", role.Viewer, good, fault.Invalid},
		{"ada/b", "", role.Viewer, good, fault.Invalid},
		{"zoë", "", role.Viewer, good, fault.Invalid},
		{"ben\x00", "", role.Viewer, good, fault.Invalid},
		{"ben", "two\nlines", role.Viewer, good, fault.Invalid},
		{"ben", "turned \u202eround", role.Viewer, good, fault.Invalid},
		{"ben", "\xff", role.Viewer, good, fault.Invalid},
		{"ben", strings.Repeat("x", 65), role.Viewer, good, fault.Invalid},
		{"ben", "", "", good, fault.Invalid},
		{"ben", "", "owner", good, fault.Invalid},
		{"ben", "", role.Viewer, "", fault.Invalid},
		{"Ada", "Another Ada", role.Viewer, good, fault.Conflict},
		{"ben", "title of ADA", role.Viewer, good, fault.Conflict},
		{"ben", "ada", role.Viewer, good, fault.Conflict},
		{"ben", "Title of  ada", role.Viewer, good, fault.Conflict},
		{"ben", "Title of \u0430da", role.Viewer, good, fault.Conflict},       // a Cyrillic a
		{"ben", "Title of Ada\u034f", role.Viewer, good, fault.Conflict},      // joined with nothing
		{"ben", "Title of \u3164Ada", role.Viewer, good, fault.Conflict},      // a filler
		{"ben", "\uff34itle of Ada\ufe0f", role.Viewer, good, fault.Conflict}, // full width
		{"ben", "Tit1e of Ada", role.Viewer, good, fault.Conflict},
		{"lifeboat", "", role.Viewer, good, fault.Conflict},
		{"ben", "Lifeb\u043eat", role.Viewer, good, fault.Conflict},
		{"ben", "\u3164\u2800", role.Viewer, good, fault.Invalid}, // nothing that can be seen
	} {
		_, err := b.Create(t.Context(), account.Account{Name: c.name, Title: c.title, Role: c.may}, c.password)
		if fault.KindOf(err) != c.want || !strings.Contains(err.Error(), "(") {
			t.Errorf("%q, %q, %q: got %v; want %s and the next step", c.name, c.title, c.may, err, c.want)
		}
	}
	if n := len(b.List()); n != 1 {
		t.Errorf("%d accounts", n)
	}
	if _, err := b.Create(t.Context(), account.Account{Name: "zoe", Title: "Zoë Ünal", Role: role.Viewer}, good); err != nil {
		t.Error(err)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Viewer)
	must(t, b.SetRole(t.Context(), "ben", role.Operator))
	must(t, b.SetTitle(t.Context(), "Ben", " Ben B. "))
	must(t, b.SetTitle(t.Context(), "ben", "Ben B.")) // one's own
	wantKind(t, b.SetTitle(t.Context(), "ben", "title of ada"), fault.Conflict)
	wantKind(t, b.SetTitle(t.Context(), "ben", " "), fault.Invalid)
	wantKind(t, b.SetRole(t.Context(), "ben", "owner"), fault.Invalid)
	for _, err := range []error{
		b.SetRole(t.Context(), "eve", role.Admin), b.SetTitle(t.Context(), "eve", "Eve"), b.SetPassword(t.Context(), "eve", other),
		b.Disable(t.Context(), "eve"), b.Enable(t.Context(), "eve"),
	} {
		wantKind(t, err, fault.NotFound)
	}
	must(t, b.Disable(t.Context(), "ben"))
	w.now = w.now.Add(time.Hour)
	must(t, b.Disable(t.Context(), "ben"))
	for _, book := range []*account.Book{b, w.open()} {
		if a, err := book.Get("ben"); err != nil || a.Role != role.Operator || a.Title != "Ben B." || a.Enabled() || !a.Disabled.Equal(w.now.Add(-time.Hour)) {
			t.Errorf("%+v, %v", a, err)
		}
	}
	must(t, b.Enable(t.Context(), "ben"))
	if _, err := w.open().SignIn(t.Context(), "ben", good, home); err != nil {
		t.Errorf("enabled again: %v", err)
	}
}

func TestLastAdminStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Commander)
	wantKind(t, b.Disable(t.Context(), "ada"), fault.Conflict)
	wantKind(t, b.SetRole(t.Context(), "ada", role.Commander), fault.Conflict)
	must(t, b.SetRole(t.Context(), "ada", role.Admin))
	must(t, b.Disable(t.Context(), "ben"))
	must(t, b.SetRole(t.Context(), "ben", role.Admin)) // it may not sign in, so it does not count
	wantKind(t, b.Disable(t.Context(), "ada"), fault.Conflict)
	must(t, b.Enable(t.Context(), "ben"))
	must(t, b.Disable(t.Context(), "ada"))
	wantKind(t, b.Disable(t.Context(), "ben"), fault.Conflict)
	must(t, b.SetRole(t.Context(), "ada", role.Viewer)) // disabled: no admin is lost
}

func TestCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Commander)
	create(t, b, "cyd", role.Commander)
	create(t, b, "dot", role.Viewer)
	must(t, b.Disable(t.Context(), "cyd"))
	for least, want := range map[role.Role]int{role.Admin: 1, role.Commander: 2, role.Operator: 2, role.Viewer: 3, "owner": 0, "": 0} {
		if n := b.Count(least); n != want {
			t.Errorf("Count(%s) = %d, want %d", least, n, want)
		}
	}
	for than, want := range map[string]int{"ada": 1, "Ben": 1, "cyd": 2, "dot": 2, "nobody": 2, "": 2} {
		if n := b.Others(than, role.Commander); n != want {
			t.Errorf("Others(%s) = %d, want %d", than, n, want)
		}
	}
}

func TestStoreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Admin)
	w.store.dead = true
	_, err := b.Create(t.Context(), account.Account{Name: "cyd", Role: role.Viewer}, good)
	wantKind(t, err, fault.Unavailable)
	for _, err := range []error{
		b.SetRole(t.Context(), "ben", role.Viewer), b.SetTitle(t.Context(), "ben", "Ben"), b.SetPassword(t.Context(), "ben", other), b.Disable(t.Context(), "ben"),
	} {
		wantKind(t, err, fault.Unavailable)
	}
	if a, err := b.Get("ben"); err != nil || a.Role != role.Admin || a.Title != "Title of ben" || !a.Enabled() || len(b.List()) != 2 {
		t.Errorf("a change that was not kept counts: %+v, %v", a, err)
	}
	if _, err := b.SignIn(t.Context(), "ben", good, home); err != nil {
		t.Errorf("SignIn needs the store: %v", err)
	}
}

func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	raw, s, err := b.Open(t.Context(), account.OfAccount("ada"), "password")
	must(t, err)
	_, wrong := b.SignIn(t.Context(), "ada", "the wrong password", home)
	_, typed := b.SignIn(t.Context(), good, good, home) // into the wrong field
	weak := b.SetPassword(t.Context(), "ada", "hunter2")
	seen := fmt.Sprintf("%s %v %v %v %+v %+v", w.log.String(), wrong, typed, weak, s, b.List())
	kvs, _, err := w.store.List(t.Context(), "")
	must(t, err)
	if len(kvs) != 2 {
		t.Fatalf("the store holds %d keys, want an account and a session", len(kvs))
	}
	for _, kv := range kvs {
		seen += kv.Key + string(kv.Value)
	}
	for _, secret := range []string{good, "the wrong password", "hunter2", raw} {
		if strings.Contains(seen, secret) {
			t.Errorf("%q is in: %s", secret, seen)
		}
	}
	if shown := fmt.Sprintf("%v %+v", w.log.String(), b.List()); strings.Contains(shown, "argon2id") {
		t.Errorf("a hash is in: %s", shown)
	}
}

func TestUnreadableRecordLocksNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create(t, w.open(), "ada", role.Admin)
	_, err := w.store.Txn(t.Context(), nil, []store.Write{
		{Key: "account/eve", Value: []byte("{")}, {Key: "account/ben", Value: []byte("{}")},
		{Key: "account/cyd", Value: []byte(`{"name":"cyd","role":"admin","password":""}`)},
		{Key: "account/dot", Value: []byte(`{"name":"dot","role":"owner","password":"$argon2id$v=19$m=4000000000,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}`)},
		{Key: "account/mal", Value: []byte(`{"name":"ada","role":"admin","password":""}`)},
		{Key: "session/x", Value: []byte("{")}, {Key: "session/y", Value: []byte("{}")},
		{Key: "session/0000000000000000", Value: []byte(`{"id":"0000000000000000","hash":"` + strings.Repeat("1", 64) + `","who":{"account":"ada"},"opened":"2026-03-01T09:00:00Z","seen":"2026-03-01T09:00:00Z"}`)},
	})
	must(t, err)
	b := w.open()
	if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"eve", "ben", "cyd", "dot", "mal", ""} {
		_, err := b.SignIn(t.Context(), name, "", home)
		wantKind(t, err, fault.Denied)
	}
	if n := b.Count(role.Viewer); n != 1 { // ada: cyd has no password
		t.Errorf("%d accounts that may look: a role that is not known counts", n)
	}
	if l := b.Sessions(account.OfAccount("ada")); len(l) != 0 {
		t.Errorf("sessions: %+v", l)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	b.Derive(func() {})
	create(t, b, "ada", role.Admin)
	w.log.Reset()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			name, ctx := fmt.Sprint("name", i), context.Background()
			_, err := b.Create(ctx, account.Account{Name: name, Role: role.Operator}, good)
			for _, err := range []error{err, b.SetTitle(ctx, name, "T"+name), b.SetRole(ctx, name, role.Admin)} {
				if err != nil {
					t.Error(err)
				}
			}
			if _, err := b.SignIn(ctx, name, good, fmt.Sprintf("192.0.2.%d", i)); err != nil {
				t.Error(err)
			}
			raw, _, err := b.Open(ctx, account.OfAccount(name), "password")
			if err != nil {
				t.Error(err)
			}
			if s, known := b.Session(raw); !known || s.Role != role.Admin {
				t.Errorf("%+v, %v", s, known)
			}
			if err := b.Disable(ctx, name); err != nil {
				t.Error(err)
			}
			if _, known := b.Session(raw); known {
				t.Error("a disabled account's session is good")
			}
		})
	}
	group.Wait()
	if n := b.Count(role.Viewer); n != 1 {
		t.Errorf("%d accounts may sign in, want ada only", n)
	}
}
