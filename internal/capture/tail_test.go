package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	link := filepath.Join(dir, "link.log")
	must(t, os.Symlink(write("linked", "x\n"), link))
	for name, c := range map[string]struct {
		path    string
		most    int64
		body    string
		more    bool
		summary string
	}{
		"all":               {write("all", "one\ntwo\n"), 100, "one\ntwo\n", false, "The whole of it, 2 lines, is here; it was last written on "},
		"the end":           {write("end", "one\ntwo\nthree\n"), 8, "three\n", true, "The last part of it, 1 line, is here;"},
		"from a line":       {write("line", "one\ntwo\n"), 4, "two\n", true, "The last part of it, 1 line, is here;"},
		"one byte short":    {write("short", "one\ntwo\n"), 7, "two\n", true, ""},
		"just fits":         {write("fits", "one\ntwo\n"), 8, "one\ntwo\n", false, ""},
		"one endless line":  {write("endless", strings.Repeat("x", 100)), 10, strings.Repeat("x", 10), true, ""},
		"its last line":     {write("lastline", strings.Repeat("x", 99)+"\n"), 10, strings.Repeat("x", 9) + "\n", true, ""},
		"no end of line":    {write("noend", "one\ntwo"), 100, "one\ntwo", false, "The whole of it, 2 lines, is here;"},
		"empty":             {write("empty", ""), 100, "", false, "The log is empty; it was last written on "},
		"a link":            {link, 100, "x\n", false, ""},
		"as much as we may": {write("big", strings.Repeat("123456789012345\n", MaxBody/8)), 0, strings.Repeat("123456789012345\n", MaxBody/16), true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			it := Tail(c.path, c.most, time.Now)
			it.Job = "J1"
			must(t, it.Validate())
			if string(it.Body) != c.body || it.Truncated != c.more || it.Problem != "" || it.Kind != KindLog || it.Source != c.path {
				t.Errorf("%d bytes %q, more %t, %q", len(it.Body), it.Body[:min(40, len(it.Body))], it.Truncated, it.Problem)
			}
			has(t, it.Summary, c.summary)
		})
	}
}

// What is no log must be said at once: opening a pipe without a writer would wait
// for ever.
func TestTailOfWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	linked := filepath.Join(dir, "linked")
	must(t, os.Symlink(pipe, linked))
	for path, want := range map[string]string{
		pipe: "it is no regular file", linked: "it is no regular file", dir: "it is no regular file", "/dev/zero": "it is no regular file",
		filepath.Join(dir, "gone"): "there is no such file",
	} {
		it := Tail(path, 100, time.Now)
		if it.Problem != "the log can't be read: "+want || it.Summary != sentence(it.Problem) || len(it.Body) != 0 {
			t.Errorf("%s: %+v", path, it)
		}
	}
	if os.Getuid() != 0 {
		secret := filepath.Join(dir, "secret")
		must(t, os.WriteFile(secret, []byte("x"), 0))
		has(t, Tail(secret, 100, time.Now).Problem, "this account may not read it")
	}
}

func FuzzWholeLine(f *testing.F) {
	f.Add([]byte("a\nb\n"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		got := wholeLine(b)
		if !bytes.HasSuffix(b, got) || len(got) == len(b) {
			t.Errorf("%q of %q", got, b)
		}
	})
}
