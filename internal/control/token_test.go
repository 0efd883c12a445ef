package control

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		o := Options{Dir: dir, Terminal: terminal, Tell: func(line string) { told = append(told, line) }, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		book, err := openTokens(t.Context(), s, o)
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
		if _, err := openTokens(t.Context(), s, o); err != nil || len(told) != 1 {
			t.Errorf("the second start: %v, told %d lines", err, len(told))
		}
	}
}
