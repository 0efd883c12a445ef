package token_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/token"
)

var birth = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func open(t *testing.T, s store.Store) *token.Book {
	t.Helper()
	b, err := token.New(t.Context(), s, func() time.Time { return birth }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func create(t *testing.T, b *token.Book, name string) (string, token.Identity) {
	t.Helper()
	raw, id, err := b.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return raw, id
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != want {
		t.Fatalf("got %v (kind %q), want kind %q", err, got, want)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	b := open(t, mem.New(mem.Options{}))
	raw, id := create(t, b, " Ada ")
	if len(raw) != len("lb_")+43 || !strings.HasPrefix(raw, "lb_") {
		t.Errorf("token %q: want lb_ and 43 characters of base64url, which are 256 bits", raw)
	}
	if got, err := b.Verify(raw); err != nil || got != id || got.Name != "Ada" {
		t.Errorf("Verify: %+v, %v; want %+v named Ada", got, err, id)
	}
	for _, wrong := range []string{"", "lb_", raw + "x", raw[:len(raw)-1], strings.ToUpper(raw), id.ID, "Bearer " + raw} {
		_, err := b.Verify(wrong)
		wantKind(t, err, fault.Denied)
	}
}

func TestRole(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	b := open(t, s)
	for _, may := range role.Roles {
		raw, id, err := b.CreateAs(t.Context(), string(may), may)
		if err != nil || id.Role != may {
			t.Fatalf("%+v, %v", id, err)
		}
		for _, book := range []*token.Book{b, open(t, s)} {
			if got, err := book.Verify(raw); err != nil || got != id {
				t.Errorf("Verify: %+v, %v", got, err)
			}
			if got, known := book.Lookup(id.ID); !known || got != id {
				t.Errorf("Lookup: %+v, %v", got, known)
			}
		}
	}
	for _, wrong := range []role.Role{"", "owner"} {
		_, _, err := b.CreateAs(t.Context(), "Ada", wrong)
		wantKind(t, err, fault.Invalid)
	}
	if _, id := create(t, b, "Ada"); id.Role != role.Admin {
		t.Errorf("Create: %+v", id)
	}
}

// TestRoleOfOldTokens: a token from before there were roles may do what it could; one
// of a newer version with a role that we don't know may do nothing.
func TestRoleOfOldTokens(t *testing.T) {
	t.Parallel()
	for in, admin := range map[string]bool{``: true, `"role":"",`: true, `"role":"owner",`: false, `"role":"viewer",`: false} {
		s := mem.New(mem.Options{})
		raw, id := create(t, open(t, s), "Ada")
		kv, err := s.Get(t.Context(), "token/"+id.ID)
		if err != nil {
			t.Fatal(err)
		}
		old := strings.Replace(string(kv.Value), `"role":"admin",`, in, 1)
		if _, err := s.Txn(t.Context(), nil, []store.Write{{Key: kv.Key, Value: []byte(old)}}); err != nil {
			t.Fatal(err)
		}
		got, err := open(t, s).Verify(raw)
		if err != nil || got.Role.AtLeast(role.Admin) != admin {
			t.Errorf("%s: %+v, %v; want an admin's: %v", old, got, err, admin)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	b := open(t, mem.New(mem.Options{}))
	_, id := create(t, b, "Ada")
	if !b.Known(id.ID) || b.Known("") || b.Known("000000000000") {
		t.Error("Known is wrong")
	}
	if err := b.Revoke(t.Context(), id.ID); err != nil {
		t.Fatal(err)
	}
	if got, known := b.Lookup(id.ID); known || b.Known(id.ID) {
		t.Errorf("a revoked token is known: %+v", got)
	}
}

func TestStoreHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	raw, id := create(t, open(t, s), "Ada")
	kv, err := s.Get(t.Context(), "token/"+id.ID)
	if err != nil {
		t.Fatal(err)
	}
	if secret := strings.TrimPrefix(raw, "lb_"); strings.Contains(string(kv.Value), secret) {
		t.Error("the store holds the token's text")
	}
	if got, err := open(t, s).Verify(raw); err != nil || got != id {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	b := open(t, s)
	raw, id := create(t, b, "Ada")
	kept, _ := create(t, b, "Grace")
	if err := b.Revoke(t.Context(), id.ID); err != nil {
		t.Fatal(err)
	}
	for _, book := range []*token.Book{b, open(t, s)} {
		_, err := book.Verify(raw)
		wantKind(t, err, fault.Denied)
		if _, err := book.Verify(kept); err != nil {
			t.Errorf("another token was lost, too: %v", err)
		}
		if l := book.List(); len(l) != 1 || l[0].Name != "Grace" {
			t.Errorf("List: %+v", l)
		}
	}
	wantKind(t, b.Revoke(t.Context(), id.ID), fault.NotFound)
	create(t, b, "Ada") // a revoked name is free again
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	b := open(t, mem.New(mem.Options{}))
	create(t, b, "Ada")
	for name, want := range map[string]fault.Kind{
		"": fault.Invalid, "  ": fault.Invalid, "a\nb": fault.Invalid, "a\x00": fault.Invalid, "\xff": fault.Invalid,
		strings.Repeat("x", 65): fault.Invalid, "Ada": fault.Conflict,
	} {
		_, _, err := b.Create(t.Context(), name)
		wantKind(t, err, want)
	}
}

// gone is a store that can be read and not written, and later neither.
type gone struct {
	*mem.Store
	dead *bool
}

func (g gone) Txn(ctx context.Context, c []store.Cond, w []store.Write) (store.Revision, error) {
	if *g.dead {
		return 0, fault.New(fault.Unavailable, "no disk")
	}
	return g.Store.Txn(ctx, c, w)
}

func TestStoreGone(t *testing.T) {
	t.Parallel()
	dead := false
	b := open(t, gone{mem.New(mem.Options{}), &dead})
	raw, id := create(t, b, "Ada")
	dead = true
	if _, err := b.Verify(raw); err != nil {
		t.Errorf("Verify needs the store: %v", err)
	}
	_, _, err := b.Create(t.Context(), "Grace")
	wantKind(t, err, fault.Unavailable)
	if len(b.List()) != 1 {
		t.Error("a token that was not kept is listed")
	}
	wantKind(t, b.Revoke(t.Context(), id.ID), fault.Unavailable)
	if _, err := b.Verify(raw); err != nil {
		t.Errorf("a revocation that was not kept counts: %v", err)
	}
}

func TestEnsureFirst(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	path := filepath.Join(t.TempDir(), "admin.token")
	created, raw, err := open(t, s).EnsureFirst(t.Context(), path)
	if err != nil || !created {
		t.Fatalf("first start: created %v, %v", created, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("file: %v, %v; want mode 0600", info, err)
	}
	if b, _ := os.ReadFile(path); strings.TrimSpace(string(b)) != raw {
		t.Errorf("file holds %q, want %q", b, raw)
	}
	t.Run("again", func(t *testing.T) {
		created, again, err := open(t, s).EnsureFirst(t.Context(), path)
		if err != nil || created || again != raw {
			t.Errorf("second start: %v, %q, %v", created, again, err)
		}
	})
	t.Run("store deleted", func(t *testing.T) {
		b := open(t, mem.New(mem.Options{}))
		created, again, err := b.EnsureFirst(t.Context(), path)
		if err != nil || created || again != raw {
			t.Errorf("start with a new store: %v, %q, %v", created, again, err)
		}
		if who, err := b.Verify(raw); err != nil || who.Name != "admin" || who.Role != role.Admin {
			t.Errorf("the old token: %+v, %v", who, err)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		b := open(t, s)
		other, _ := create(t, b, "Ada")
		who, err := b.Verify(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Revoke(t.Context(), who.ID); err != nil {
			t.Fatal(err)
		}
		if created, again, err := open(t, s).EnsureFirst(t.Context(), path); err != nil || created || again != "" {
			t.Errorf("a revoked first token came back: %v, %q, %v", created, again, err)
		}
		ada, err := b.Verify(other)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Revoke(t.Context(), ada.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.CreateAs(t.Context(), "Grace", role.Commander); err != nil { // may not make tokens
			t.Fatal(err)
		}
		created, fresh, err := open(t, s).EnsureFirst(t.Context(), path)
		if err != nil || !created || fresh == raw {
			t.Errorf("nobody can get in any more: %v, %v", created, err)
		}
	})
}

func TestEnsureFirstRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want fault.Kind
	}{
		"not a token":        {"hello", 0o600, fault.Invalid},
		"empty":              {"", 0o600, fault.Invalid},
		"readable by others": {"lb_" + strings.Repeat("A", 43), 0o644, fault.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "admin.token")
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			_, _, err := open(t, mem.New(mem.Options{})).EnsureFirst(t.Context(), path)
			wantKind(t, err, c.want)
			var f *fault.Error
			if !errors.As(err, &f) || f.Place != path || f.Hint == "" {
				t.Errorf("error %v: want the path and what to do", err)
			}
		})
	}
}

func TestUnreadableRecordLocksNobodyOut(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	raw, _ := create(t, open(t, s), "Ada")
	if _, err := s.Txn(t.Context(), nil, []store.Write{{Key: "token/x", Value: []byte("{")}, {Key: "token/y", Value: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, s).Verify(raw); err != nil {
		t.Error(err)
	}
	if _, err := open(t, s).Verify(""); err == nil {
		t.Error("an empty record lets the empty token in")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := open(t, mem.New(mem.Options{}))
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			raw, id, err := b.Create(context.Background(), name)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := b.Verify(raw); err != nil {
				t.Error(err)
			}
			if err := b.Revoke(context.Background(), id.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(b.List()) != 0 {
		t.Errorf("left: %+v", b.List())
	}
}
