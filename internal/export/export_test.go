package export_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/export"
	"lifeboat/internal/fault"
	"lifeboat/internal/statuspage"
)

const page = "text/html; charset=utf-8"

// Links lead from file to file, wherever the folder lies; others stay as they are.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := `<meta charset="utf-8"><a href="/">a</a><a href="/de/">b</a><a href="/history">c</a><a href="/history/2026-11#x">d</a>` +
		`<img src="/logo.svg"><a href="/feed.json">e</a><a href="https://else.example/">f</a><a href="//else.example/">g</a><a href="/nowhere">h</a><p title="/history">&lt;b&gt;</p>`
	d := statuspage.Document{Type: page, Body: []byte(all), Policy: "default-src 'none'; frame-ancestors 'none'"}
	files, err := export.Files(map[string]statuspage.Document{
		"/": d, "/de/": d, "/history": d, "/history/2026-11": d, "/404.html": d,
		"/logo.svg": {Type: "image/svg+xml", Body: []byte("<svg/>")}, "/feed.json": {Type: "application/feed+json", Body: []byte(`{"href":"/"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	const rest = `<a href="https://else.example/">f</a><a href="//else.example/">g</a><a href="/nowhere">h</a><p title="/history">&lt;b&gt;</p>`
	const head = `<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;">`
	want := map[string]string{
		"index.html": head + `<a href="index.html">a</a><a href="de/index.html">b</a><a href="history/index.html">c</a><a href="history/2026-11/index.html#x">d</a>` +
			`<img src="logo.svg"><a href="feed.json">e</a>` + rest,
		"de/index.html": head + `<a href="../index.html">a</a><a href="index.html">b</a><a href="../history/index.html">c</a><a href="../history/2026-11/index.html#x">d</a>` +
			`<img src="../logo.svg"><a href="../feed.json">e</a>` + rest,
		"history/2026-11/index.html": head + `<a href="../../index.html">a</a><a href="../../de/index.html">b</a><a href="../index.html">c</a><a href="index.html#x">d</a>` +
			`<img src="../../logo.svg"><a href="../../feed.json">e</a>` + rest,
		"logo.svg": "<svg/>", "feed.json": `{"href":"/"}`,
	}
	for name, text := range want {
		if got := string(files[name]); got != text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, text)
		}
	}
	if len(files) != 7 || files["history/index.html"] == nil || files[export.Missing] == nil {
		t.Errorf("files %d", len(files))
	}
}

// No document gets out of the folder, and none takes another one's place.
func TestPathsThatCantBe(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"/../x.svg", "x.svg", "/a//b.svg", "/a\\b.svg", "/a\x00b.svg", "/./x.svg", ""} {
		if _, err := export.Files(map[string]statuspage.Document{p: {Type: "image/svg+xml"}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", p, err)
		}
	}
	if _, err := export.Files(map[string]statuspage.Document{"/de": {Type: page}, "/de/": {Type: page}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("two of one name: %v", err)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "out")
	for _, files := range []map[string][]byte{
		{"index.html": []byte("one"), "old/gone.html": []byte("two")},
		{"index.html": []byte("three"), "api/v2/status.json": []byte("{}")},
	} {
		w, err := export.Write(dir, files)
		if err != nil {
			t.Fatal(err)
		}
		if w.Files != 2 || w.Bytes < 6 {
			t.Errorf("%+v", w)
		}
	}
	if got := tree(t, parent); !slices.Equal(got, []string{"out/.lifeboat-export", "out/api/v2/status.json", "out/index.html"}) {
		t.Errorf("%q", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "index.html")); err != nil || string(b) != "three" {
		t.Errorf("%q %v", b, err)
	}
}

// What is somebody else's stays, and what can't be written leaves nothing behind.
func TestOthersFiles(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "home")
	mine := filepath.Join(dir, "letter.txt")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, mine} {
		if _, err := export.Write(at, map[string][]byte{"index.html": nil}); fault.KindOf(err) != fault.Refused {
			t.Errorf("%s: %v", at, err)
		}
	}
	if _, err := export.Write(filepath.Join(parent, "out"), map[string][]byte{"a": nil, "a/b": nil}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a file that is a folder, too: %v", err)
	}
	if got := tree(t, parent); !slices.Equal(got, []string{"home/letter.txt"}) {
		t.Errorf("%q", got)
	}
}

func tree(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, strings.TrimPrefix(p, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
