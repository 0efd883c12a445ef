package supervise

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := backoff{long: longWait}
	ms := time.Millisecond
	for i, step := range []struct{ life, want time.Duration }{
		{0, 0}, {0, 100 * ms}, {0, 200 * ms}, {9 * time.Second, 400 * ms}, {0, 800 * ms}, {0, 1600 * ms}, {0, 2 * time.Second}, {0, 2 * time.Second},
		{goodLife, 0}, {0, 100 * ms},
	} {
		if got := b.after(step.life); got != step.want {
			t.Errorf("step %d: wait %v, want %v", i, got, step.want)
		}
	}
}

func TestKeyIsMadeOnceAndNeverReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, created, err := LoadOrMakeKey(dir)
	must(t, err)
	if !created {
		t.Error("a new key was not called so")
	}
	again, created, err := LoadOrMakeKey(dir)
	must(t, err)
	if created || !again.Equal(key) {
		t.Error("the second call made another key")
	}
	path := filepath.Join(dir, signingKey)
	must(t, os.WriteFile(path, []byte("broken"), 0o600))
	if _, _, err := LoadOrMakeKey(dir); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken key: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "broken" {
		t.Error("a broken key was replaced")
	}
}

func TestPin(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)).Public().(ed25519.PublicKey)
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32)).Public().(ed25519.PublicKey)
	text := func(k ed25519.PublicKey) string { return snapshot.FormatKey(k) + "\n" }
	for name, tt := range map[string]struct {
		files map[string]string
		want  trust
		after string // trusted.key
	}{
		"a new answer":            {nil, pinned, text(key)},
		"trusted already":         {map[string]string{trustedKey: text(key), keptManifest: "m"}, trusted, text(key)},
		"another key":             {map[string]string{trustedKey: text(other)}, stranger, text(other)},
		"an unreadable key":       {map[string]string{trustedKey: "x"}, stranger, "x"},
		"a manifest, but no key":  {map[string]string{keptManifest: "m"}, stranger, ""},
		"another, and a manifest": {map[string]string{trustedKey: text(other), keptManifest: "m"}, stranger, text(other)},
	} {
		dir := t.TempDir()
		for file, b := range tt.files {
			must(t, os.WriteFile(filepath.Join(dir, file), []byte(b), 0o600))
		}
		got, err := pin(dir, key)
		after, _ := os.ReadFile(filepath.Join(dir, trustedKey))
		if err != nil || got != tt.want || string(after) != tt.after {
			t.Errorf("%s: %v, %v; the key is %q", name, got, err, after)
		}
	}
}

// A folder that held other things keeps its mode; only what is ours is closed.
func TestFoldersOfOthersKeepTheirMode(t *testing.T) {
	t.Parallel()
	a, err := findAccounts("", "")
	must(t, err)
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "notes.txt"), nil, 0o600))
	must(t, os.Chmod(data, 0o755))
	must(t, makeFolders(data, a, slog.New(slog.DiscardHandler)))
	for path, want := range map[string]os.FileMode{data: 0o755, filepath.Join(data, "control"): 0o700, filepath.Join(data, "answer"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
}

// Root gives away nothing that a child could have put in the way.
func TestGiveRefusesLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	must(t, os.WriteFile(target, nil, 0o644))
	me := account{uid: os.Geteuid(), gid: os.Getegid()}
	must(t, os.Symlink(target, filepath.Join(dir, "soft")))
	if err := give(filepath.Join(dir, "soft"), 0o600, me); err == nil {
		t.Error("a symbolic link was followed")
	}
	must(t, give(target, 0o600, me))
	must(t, os.Link(target, filepath.Join(dir, "hard")))
	if err := give(target, 0o600, me); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a file with two names: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	own, err := identify(os.Getpid())
	must(t, err)
	if !own.alive() {
		t.Error("this process is not alive")
	}
	own.Start++
	if own.alive() {
		t.Error("another process under the same pid counts as the same")
	}
	cmd := exec.Command("/bin/true")
	must(t, cmd.Start())
	eventually(t, "the end", func() bool { return gone(cmd.Process.Pid) }) // a zombie counts as ended
	cmd.Wait()
	if (identity{}).alive() {
		t.Error("nobody is alive")
	}
}

func TestJoinProcessSeesTheEnd(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sleep", "1000")
	must(t, cmd.Start())
	defer cmd.Wait()
	p, err := joinProcess(cmd.Process.Pid)
	must(t, err)
	if !p.running() {
		t.Fatal("it has ended already")
	}
	p.retire(t.Context(), patience)
	if p.running() {
		t.Error("it still runs")
	}
	if err := p.signal(15); err == nil {
		t.Error("a signal reached a dead process")
	}
}

func TestSameAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ asked, bound, want string }{
		{"127.0.0.1:0", "127.0.0.1:4711", "127.0.0.1:4711"},
		{"127.0.0.1:4711", "127.0.0.1:4711", "127.0.0.1:4711"},
		{"127.0.0.1:53", "127.0.0.1:4711", "127.0.0.1:53"},
		{"127.0.0.2:0", "127.0.0.1:4711", "127.0.0.2:0"},
		{":0", "[::]:4711", "[::]:4711"},
		{"0.0.0.0:4711", "0.0.0.0:4711", "0.0.0.0:4711"},
		{"localhost:0", "127.0.0.1:4711", "127.0.0.1:4711"},
		{"127.0.0.1:0", "", "127.0.0.1:0"},
	} {
		if got := sameAgain(tt.asked, tt.bound); got != tt.want {
			t.Errorf("asked %s, bound %s: %s, want %s", tt.asked, tt.bound, got, tt.want)
		}
	}
}

func TestStateOfAnotherBootIsNothing(t *testing.T) {
	t.Parallel()
	b := []byte(`{"dns":"127.0.0.1:53","boot":"one","answer":{"pid":1,"start":1}}`)
	if s, known := parseState(b, "one"); !known || s.DNS != "127.0.0.1:53" || s.Answer.PID != 1 {
		t.Errorf("same boot: %+v, %v", s, known)
	}
	if s, known := parseState(b, "two"); known || s != (state{}) {
		t.Errorf("another boot: %+v, %v", s, known)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	good := Options{Data: t.TempDir(), HTTP: "127.0.0.1:0", DNS: "127.0.0.1:0", StandbyHTTP: "127.0.0.1:0", OFREP: "127.0.0.1:0"}
	for flag, spoil := range map[string]func(*Options){
		"--data": func(o *Options) { o.Data = "" },
		"--http": func(o *Options) { o.HTTP = "8080" },
		"--dns":  func(o *Options) { o.DNS = "" },
	} {
		o := good
		spoil(&o)
		if err := Run(t.Context(), o); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func FuzzStartOf(f *testing.F) {
	f.Add("812 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20")
	f.Add("1 (x) Z")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) { _, _ = startOf(s) })
}

func FuzzKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if key, err := parseKey(b); err == nil && len(key) != ed25519.PrivateKeySize {
			t.Fatalf("a key of %d bytes", len(key))
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"boot":"one"}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parseState(b, "one") })
}

// TestAnswerIsNeverLongAway: resolvers ask again after about a second, and must find
// answer there however often it is ended.
func TestAnswerIsNeverLongAway(t *testing.T) {
	t.Parallel()
	b := backoff{long: longWaitAnswers}
	for range 20 {
		if got := b.after(0); got > time.Second/2 {
			t.Fatalf("answer is away for %v", got)
		}
	}
}
