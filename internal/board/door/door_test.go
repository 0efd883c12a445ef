package door

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
)

// TestKeysRotate: a pass holds over a change of the key until it ends, a key is published
// before it signs, and none is published for ever.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "passes.key")
	r, err := Open(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	bound := board.Bound("secret")
	takes := func(keys []board.PassKey, text string) bool {
		p, ok := board.ReadPass(keys, "main", text)
		return ok && p.Holds("secret", now)
	}
	first := r.Keys()
	if pass := r.Mint("main", bound); !takes(first, pass) {
		t.Fatal("the first pass is not taken")
	}
	now = now.Add(keyLife)
	before := r.Mint("main", bound)
	changed, err := r.Rotate()
	if err != nil || !changed || len(r.Keys()) != 2 {
		t.Fatalf("%v %v, %d keys", changed, err, len(r.Keys()))
	}
	if pass := r.Mint("main", bound); !takes(first, pass) {
		t.Error("a new key signs before everybody has it")
	}
	now = now.Add(ahead)
	after := r.Mint("main", bound)
	if takes(first, after) || !takes(r.Keys(), after) || !takes(r.Keys(), before) {
		t.Error("the new key does not sign, or a pass of the old one is no more")
	}
	again, err := Open(path, func() time.Time { return now })
	if err != nil || !slices.EqualFunc(again.Keys(), r.Keys(), func(a, b board.PassKey) bool { return a.ID == b.ID && a.Key.Equal(b.Key) }) {
		t.Errorf("after a restart the keys differ: %v", err)
	}
	now = now.Add(board.PassLife + time.Second)
	if changed, err = r.Rotate(); err != nil || !changed || len(r.Keys()) != 1 {
		t.Errorf("%v %v, %d keys", changed, err, len(r.Keys()))
	}
	if changed, _ = r.Rotate(); changed {
		t.Error("it turns without need")
	}
}

// TestKeysOfOthers: a file that others may read, or that is none of ours, is not used.
func TestKeysOfOthers(t *testing.T) {
	t.Parallel()
	clock := func() time.Time { return time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
	}{"readable": {`[]`, 0o644}, "nonsense": {`{"x"`, 0o600}, "empty": {`[]`, 0o600}, "short": {`[{"id":"a","seed":"AAAA"}]`, 0o600}, "many": {"[" + strings.Repeat(`{},`, 5) + "{}]", 0o600}} {
		path := filepath.Join(t.TempDir(), "passes.key")
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path, clock)
		if err == nil || len(r.Keys()) != 1 || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: %v, %d keys", name, err, len(r.Keys()))
		}
		if _, err := Open(path, clock); err != nil {
			t.Errorf("%s: what was made in its place is not good: %v", name, err)
		}
	}
	if r, err := Open(filepath.Join(t.TempDir(), "no", "such", "folder"), clock); err == nil || len(r.Keys()) != 1 {
		t.Errorf("without a folder: %v", err)
	}
	if len(New(clock).Keys()) != 1 {
		t.Error("a ring without a file has no key")
	}
}
