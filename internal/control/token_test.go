package control

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/config"
	"lifeboat/internal/role"
	"lifeboat/internal/store/mem"
)

// The first token is told to a terminal only: what goes to a journal or a file is
// read by others.
func TestFirstTokenIsShownToATerminalOnly(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		var told []string
		dir := t.TempDir()
		s := mem.New(mem.Options{})
		o := Options{Config: &config.Config{}, Dir: dir, Terminal: terminal, Tell: func(line string) { told = append(told, line) }, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		well := func() bool { return false }
		_, book, _, err := openPeople(t.Context(), s, well, o)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "admin.token")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the token's file: %v, %v", info.Mode(), err)
		}
		secret := strings.TrimSpace(string(raw))
		if _, err := book.Verify(secret); err != nil {
			t.Errorf("the token in the file lets nobody in: %v", err)
		}
		if len(told) != 1 || !strings.Contains(told[0], path) || strings.Contains(told[0], secret) != terminal {
			t.Errorf("terminal %v: told %d lines, the secret among them %v", terminal, len(told), strings.Contains(strings.Join(told, ""), secret))
		}
		if _, _, _, err := openPeople(t.Context(), s, well, o); err != nil || len(told) != 1 {
			t.Errorf("the second start: %v, told %d lines", err, len(told))
		}
	}
}

// Once an admin can sign in with a password, a first token that was revoked does not
// come back.
func TestNoFirstTokenBesideAnAdminAccount(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), mem.New(mem.Options{})
	o := Options{Config: &config.Config{}, Dir: dir, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	well := func() bool { return false }
	accounts, tokens, _, err := openPeople(t.Context(), s, well, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := accounts.Create(t.Context(), account.Account{Name: "ada", Title: "Ada", Role: role.Admin}, "a long enough password"); err != nil {
		t.Fatal(err)
	}
	for _, id := range tokens.List() {
		if err := tokens.Revoke(t.Context(), id.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, tokens, _, err = openPeople(t.Context(), s, well, o); err != nil || len(tokens.List()) != 0 {
		t.Errorf("%d tokens, %v", len(tokens.List()), err)
	}
}
