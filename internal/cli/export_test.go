package cli

import (
	"crypto/ed25519"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeboat/internal/board"
	"lifeboat/internal/snapshot"
)

// kept is a data folder with a snapshot of status pages, and nothing that runs.
func kept(t *testing.T, pages ...board.Page) string {
	t.Helper()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	data := t.TempDir()
	f, err := snapshot.OpenFolder(filepath.Join(data, "answer"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	c := snapshot.Contents{Status: board.Sheet{
		Pages:      pages,
		Components: []board.Definition{{ID: "cards", Name: board.Text{"": "Cards"}}},
		Incidents: []board.Incident{{ID: "x1", Title: board.Text{"": `"><script>alert(1)</script> & co`}, Step: board.Identified, Impact: board.ImpactMajor, StartedAt: now, Components: []string{"cards"}, Updates: []board.Update{
			{ID: "u1", Step: board.Identified, Text: board.Text{"": "Found."}, At: now, Affected: []board.Affected{{Component: "cards", New: board.Major}}}}}},
	}}
	parts, refs, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Sign(snapshot.Manifest{Format: snapshot.Format, Epoch: 1, Revision: 1, At: now, Sites: map[string]snapshot.SiteOrder{}, Serials: map[string]uint32{}, Parts: refs}, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Pin(key.Public().(ed25519.PublicKey)); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(s, parts); err != nil {
		t.Fatal(err)
	}
	return data
}

func statusPage(host string) board.Page {
	return board.Page{ID: board.ID(host), Hosts: []string{host}, URL: "https://" + host, Name: "Harbour Goods", Languages: []string{"en", "de"}, Zone: "Etc/UTC"}
}

// With control and answer gone the page is written, and every link in it leads to a file
// of the folder.
func TestStatusExport(t *testing.T) {
	t.Parallel()
	data, dir := kept(t, statusPage("status.example.org")), filepath.Join(t.TempDir(), "out")
	for range 2 { // an earlier export is replaced
		r := command(t, "status", "export", dir, "--data", data)
		if r.code != 0 || !strings.Contains(r.out, "Harbour Goods: ") || !strings.Contains(r.out, "shown as not known") {
			t.Fatalf("%+v", r)
		}
	}
	root := os.DirFS(dir)
	files, links := 0, 0
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name == ".lifeboat-export" {
			return err
		}
		files++
		if path.Ext(name) == ".html" {
			links += follow(t, root, name)
		}
		return nil
	})
	if err != nil || files < 30 || links < 50 {
		t.Errorf("%d files, %d links: %v", files, links, err)
	}
	for _, name := range []string{"index.html", "de/index.html", "404.html", "status.txt", "status.json", "history.rss", "history.atom", "feed.json", "calendar.ics", "badge.svg", "api/v2/summary.json", "widget/index.html"} {
		if _, err := fs.Stat(root, name); err != nil {
			t.Error(err)
		}
	}
	var out struct{ Files int }
	if r := command(t, "status", "export", dir, "--data", data, "--json"); r.code != 0 || json.Unmarshal([]byte(r.out), &out) != nil || out.Files != files {
		t.Errorf("%+v", r)
	}
}

// follow looks where the links of a page lead.
func follow(t *testing.T, root fs.FS, name string) (n int) {
	t.Helper()
	f, err := root.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z := html.NewTokenizer(f)
	for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
		for _, a := range z.Token().Attr {
			if a.Key != "href" && a.Key != "src" || strings.Contains(a.Val, ":") {
				continue
			}
			file, _, _ := strings.Cut(a.Val, "#")
			if n++; file == "" {
				continue
			}
			if _, err := fs.Stat(root, path.Join(path.Dir(name), file)); err != nil {
				t.Errorf("%s: the link %q leads nowhere", name, a.Val)
			}
		}
	}
	return n
}

// What can't be written, or should not be, is said, and nothing is written.
func TestStatusExportRefused(t *testing.T) {
	t.Parallel()
	private := statusPage("status.example.org")
	private.Private = &board.Private{Hash: "x"}
	for name, c := range map[string]struct {
		pages []board.Page
		more  []string
		says  string
		code  int
	}{
		"private":  {[]board.Page{private}, nil, "--private", 3},
		"several":  {[]board.Page{statusPage("a.example.org"), statusPage("b.example.org")}, nil, "--host: a.example.org, b.example.org", 2},
		"none":     {nil, nil, "there is no status page", 4},
		"unknown":  {[]board.Page{statusPage("a.example.org")}, []string{"--host", "c.example.org"}, "there are: a.example.org", 4},
		"one":      {[]board.Page{statusPage("a.example.org"), statusPage("b.example.org")}, []string{"--host", "B.example.org"}, "", 0},
		"all same": {[]board.Page{private}, []string{"--private"}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "out")
			r := command(t, append([]string{"status", "export", dir, "--data", kept(t, c.pages...)}, c.more...)...)
			if r.code != c.code || !strings.Contains(r.err, c.says) {
				t.Errorf("%+v", r)
			}
			if _, err := os.Stat(dir); (err == nil) != (c.code == 0) {
				t.Errorf("the folder: %v", err)
			}
		})
	}
	if r := command(t, "status", "export", filepath.Join(t.TempDir(), "out"), "--data", t.TempDir()); r.code != 4 || !strings.Contains(r.err, "no snapshot") {
		t.Errorf("no data: %+v", r)
	}
}
