package outside_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/outside"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever writes between the reading and the writing wins, whichever way they write.
func TestReplaceLosesRaces(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]func(path string) error{
		"written in place": func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o600) },
		"replaced by the same bytes": func(path string) error {
			return errors.Join(os.WriteFile(path+"~", []byte("ours"), 0o600), os.Rename(path+"~", path))
		},
		"taken away":                      os.Remove,
		"a folder stands there by now":    func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"replaced by a link to somewhere": func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) },
	} {
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, []byte("ours"), 0o600))
		f, err := outside.ReadFile(t.Context(), path)
		must(t, err)
		must(t, theirs(path))
		before, _ := os.ReadFile(path)
		err = f.Replace(t.Context(), []byte("new"), os.Rename)
		if kind := fault.KindOf(err); kind != fault.Conflict && kind != fault.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s: the file is %q", name, after)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

// A replaced file keeps its mode, and its owner where we may give it away.
func TestReplaceKeepsModeAndOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("ours"), 0o600))
	must(t, os.Chmod(path, 0o4751))
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 4321, 8765
		must(t, os.Chown(path, uid, gid))
		must(t, os.Chmod(path, 0o751|os.ModeSetuid))
	}
	want, err := os.Stat(path)
	must(t, err)
	f, err := outside.ReadFile(t.Context(), path)
	must(t, err)
	must(t, f.Replace(t.Context(), []byte("new"), os.Rename))
	got, err := os.Stat(path)
	must(t, err)
	s := got.Sys().(*syscall.Stat_t)
	if b, _ := os.ReadFile(path); string(b) != "new" || got.Mode() != want.Mode() || int(s.Uid) != uid || int(s.Gid) != gid {
		t.Errorf("%q, mode %v of %v, owner %d:%d", b, got.Mode(), want.Mode(), s.Uid, s.Gid)
	}
}

// A caller that has given up finds nothing done behind its back.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, []byte("ours"), 0o600))
	f, err := outside.ReadFile(t.Context(), path)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Replace(ctx, []byte("new"), os.Rename); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("replace: %v", err)
	}
	if _, err := outside.ReadFile(ctx, path); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "ours" {
		t.Errorf("the file is %q", b)
	}
}

// The token goes where the section says and nowhere else, and no error has it.
func TestTokenStays(t *testing.T) {
	t.Parallel()
	stolen := make(chan string, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen <- r.Header.Get("Authorization") }))
	t.Cleanup(thief.Close)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(door.Close)
	path := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(path, []byte("s3cret\n"), 0o600))
	api := outside.API{Remote: outside.Remote{URL: door.URL, TokenFile: path}}
	err := api.Do(t.Context(), outside.Call{Method: http.MethodPost, Path: "/x", Body: 1})
	if err == nil || strings.Contains(err.Error(), "s3cret") || len(stolen) > 0 {
		t.Errorf("%v, stolen: %d", err, len(stolen))
	}
	for text, why := range map[string]string{"": "no token", "two words": "no token", strings.Repeat("x", 5000): "does not hold"} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if err := api.Get(t.Context(), "/x", nil); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// Only what may have been taken is unsure: not a refusal, not a question, not a call
// that never left.
func TestWhatIsUnsure(t *testing.T) {
	t.Parallel()
	status := 0
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	api := outside.API{Remote: outside.Remote{URL: door.URL}}
	for code, unsure := range map[int]bool{400: false, 401: false, 403: false, 404: false, 405: false, 409: false, 412: false, 429: false, 500: true, 502: true, 503: false, 504: true} {
		status = code
		for method, want := range map[string]bool{http.MethodPost: unsure, http.MethodGet: false} {
			if err := api.Do(t.Context(), outside.Call{Method: method, Path: "/"}); err == nil || errors.Is(err, lever.ErrUnsure) != want {
				t.Errorf("%s answered with %d: %v, unsure %t", method, code, err, errors.Is(err, lever.ErrUnsure))
			}
		}
	}
	door.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	api.URL = gone.URL
	if err := api.Do(t.Context(), outside.Call{Method: http.MethodPost, Path: "/"}); err == nil || errors.Is(err, lever.ErrUnsure) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("nobody listens: %v", err)
	}
}
