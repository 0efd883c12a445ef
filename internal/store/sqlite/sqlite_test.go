package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/slot/slottest"
	"lifeboat/internal/store"
	"lifeboat/internal/store/sqlite"
	"lifeboat/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("LIFEBOAT_TEST_WRITER"); path != "" {
		write(path)
		return
	}
	os.Exit(m.Run())
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	})
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	storetest.Compaction(t, func(t *testing.T, keep int) store.Store {
		return open(t, filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Keep: keep})
	})
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a folder", "50% of #1?.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, sqlite.Options{})
	life := s.Life()
	put(t, s, "k", "one")
	put(t, s, "k", "two")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, sqlite.Options{})
	kv, err := s.Get(t.Context(), "k")
	if err != nil || string(kv.Value) != "two" || kv.Modified != 2 || kv.Created != 1 {
		t.Errorf("%v, %v", kv, err)
	}
	if put(t, s, "k", "three") != 3 {
		t.Error("the revision did not go on")
	}
	if len(life) != 32 || s.Life() != life {
		t.Errorf("life %q became %q", life, s.Life())
	}
	if other := open(t, filepath.Join(t.TempDir(), "other.db"), sqlite.Options{}); other.Life() == life {
		t.Error("two stores have one life")
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	put(t, open(t, filepath.Join(folder, "store.db"), sqlite.Options{}), "k", "v")
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		for connection, got := range sqlite.Pragma(t, open(t, filepath.Join(t.TempDir(), "store.db"), sqlite.Options{}), name) {
			if got != want {
				t.Errorf("%s: %s is %s, want %s", connection, name, got, want)
			}
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, make := range map[string]struct {
		content func(path string)
		want    fault.Kind
	}{
		"garbage": {func(path string) { writeFile(t, path, strings.Repeat("not a database ", 1000)) }, fault.Unavailable},
		"foreign": {func(path string) { run(t, path, "CREATE TABLE t (x)") }, fault.Invalid},
		"newer": {func(path string) {
			run(t, path, "CREATE TABLE t (x); PRAGMA application_id=1818390369; PRAGMA user_version=2")
		}, fault.NotSupported},
		"folder": {func(path string) { _ = os.Mkdir(path, 0o700) }, fault.Unavailable},
	} {
		path := filepath.Join(folder, name)
		make.content(path)
		_, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if fault.KindOf(err) != make.want || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "(") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := sqlite.Open(t.Context(), filepath.Join(folder, "no", "folder"), sqlite.Options{})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("no folder: %v", err)
	}
}

func TestDamagedPageIsUnavailable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, sqlite.Options{})
	for i := range 200 {
		put(t, s, fmt.Sprintf("key/%d", i), strings.Repeat("v", 500))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 5 * 4096; i < len(b); i++ {
		b[i] = 0xee
	}
	writeFile(t, path, string(b))
	s, err = sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
		_, _, err = s.List(t.Context(), "")
	}
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	slottest.InTmpfs(t, 4<<20, func(folder string) {
		s := open(t, filepath.Join(folder, "store.db"), sqlite.Options{})
		put(t, s, "k", "before")
		free := slottest.Fill(t, folder)
		refused := 0
		for i := range 50 {
			_, err := s.Txn(t.Context(), nil, []store.Write{{Key: fmt.Sprint("k", i), Value: make([]byte, 3000)}})
			if err == nil {
				continue // the log had room left in its last page
			}
			refused++
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "space") && !strings.Contains(err.Error(), "disk") {
				t.Fatalf("got %v", err)
			}
		}
		if refused < 40 {
			t.Fatalf("%d of 50 were refused", refused)
		}
		kvs, rev, err := s.List(t.Context(), "")
		if err != nil || len(kvs) != int(rev) || len(kvs) != 1+50-refused {
			t.Fatalf("%d keys at %d, %v", len(kvs), rev, err)
		}
		free()
		if got := put(t, s, "k", "after"); got != rev+1 {
			t.Errorf("revision %d came after %d", got, rev)
		}
	})
}

func TestOpenOnAFullDisk(t *testing.T) {
	t.Parallel()
	slottest.InTmpfs(t, 4<<20, func(folder string) {
		closed, killed := filepath.Join(folder, "closed.db"), filepath.Join(folder, "killed.db")
		s := open(t, closed, sqlite.Options{})
		put(t, s, "k", "before")
		for _, suffix := range []string{"", "-wal"} { // what a killed process leaves
			b, err := os.ReadFile(closed + suffix)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, killed+suffix, string(b))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		free := slottest.Fill(t, folder)
		stores := []*sqlite.Store{open(t, closed, sqlite.Options{}), open(t, killed, sqlite.Options{})}
		for _, s := range stores {
			kv, err := s.Get(t.Context(), "k")
			if err != nil || string(kv.Value) != "before" {
				t.Fatalf("%v, %v", kv, err)
			}
			if _, err := s.Txn(t.Context(), nil, []store.Write{{Key: "k", Value: []byte("x")}}); fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("got %v", err)
			}
		}
		free()
		for _, s := range stores {
			put(t, s, "k", "after")
			var last store.Change
			err := s.Watch(t.Context(), "", 1, func(c store.Change) bool { last = c; return false })
			if err != nil || string(last.Value) != "after" {
				t.Errorf("%v, %v", last, err)
			}
		}
	})
}

// TestKill kills a process that writes, again and again on one file: whatever it
// had been told is written must be there, whole and in order.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 4
	if os.Getenv("LIFEBOAT_SOAK") == "1" {
		rounds = 200
	}
	path := filepath.Join(t.TempDir(), "store.db")
	for round := range rounds {
		acknowledged := killWriter(t, path, rand.IntN(150))
		s := open(t, path, sqlite.Options{})
		rev, err := s.Revision(t.Context())
		if err != nil || rev < acknowledged {
			t.Fatalf("round %d: revision %d, %v, but %d was acknowledged", round, rev, err, acknowledged)
		}
		kvs, _, err := s.List(t.Context(), "k/")
		if err != nil || len(kvs) != 2*int(rev) {
			t.Fatalf("round %d: %d keys at revision %d, %v", round, len(kvs), rev, err)
		}
		for i, kv := range kvs {
			if kv.Modified != store.Revision(i/2+1) {
				t.Fatalf("round %d: %s has revision %d", round, kv.Key, kv.Modified)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killWriter starts a writer and kills it after it acknowledged some more
// transactions; it gives the last one.
func killWriter(t *testing.T, path string, more int) (acknowledged store.Revision) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "LIFEBOAT_TEST_WRITER="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
			t.Fatal(err)
		}
		if n == more {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || acknowledged == 0 {
		t.Fatalf("the writer ended by itself (%v) after %d", err, acknowledged)
	}
	return acknowledged
}

// write is the process that is killed: two keys a transaction, the revision as a
// line once it is acknowledged.
func write(path string) {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	for err == nil {
		var rev store.Revision
		if rev, err = s.Revision(ctx); err != nil {
			break
		}
		key := fmt.Sprintf("k/%08d", rev+1)
		rev, err = s.Txn(ctx, []store.Cond{{Key: key + "/a"}}, []store.Write{
			{Key: key + "/a", Value: make([]byte, rand.IntN(3000))}, {Key: key + "/b"},
		})
		fmt.Println(rev)
	}
	fmt.Fprintln(os.Stderr, err)
}

// BenchmarkTxn is an event of an incident: a new key and a changed one.
func BenchmarkTxn(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{Keep: 100})
	value := make([]byte, 512)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		_, err := s.Txn(b.Context(), nil, []store.Write{{Key: fmt.Sprintf("key/%09d", i), Value: value}, {Key: "head", Value: value}})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkGet(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	put(b, s, "k", "value")
	for b.Loop() {
		if _, err := s.Get(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

func open(t testing.TB, path string, o sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t testing.TB, s store.Store, key, value string) store.Revision {
	t.Helper()
	rev, err := s.Txn(t.Context(), nil, []store.Write{{Key: key, Value: []byte(value)}})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}
