package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lifeboat/test/eyes"
)

// most is how big a page may be with all that it needs, compressed.
const most = 60 << 10

// looked are the pages that are looked at always: one of each make.
var looked = []string{
	"quiet-up", "declared", "contained", "diagnose", "confirm", "touch", "fix", "no-effect", "return-stage", "watch", "review", "drill", "stale", "sign-in-wrong",
	"sites", "levers", "changes", "card", "piece-text", "crew", "timeline-all", "write-up", "accounts", "incidents", "messages",
	"status-page", "status-page-tell", "status-page-incident", "status-page-over", "status-page-work", "status-page-history",
}

// TestEverybody: nobody stumbles over a page, by day on a phone and by night on a desk;
// no page asks anything of another machine, breaks its own policy or is heavy. One page
// of each make is looked at always; LIFEBOAT_SOAK=1 looks at every page, in all four
// lights.
func TestEverybody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIP: a browser takes some seconds")
	}
	all, pages := os.Getenv("LIFEBOAT_SOAK") != "", map[string]string{}
	for _, c := range scenes {
		if all || slices.Contains(looked, c.name) {
			pages["/"+c.name] = c.play(t).page.raw
		}
	}
	server := httptest.NewServer(headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, found := pages[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(raw))
	})))
	t.Cleanup(server.Close)
	tab := eyes.Open(t, eyes.Options{})
	look := func(path string, size eyes.Size, dark bool, rules ...string) {
		tab.See(size, dark)
		for _, wrong := range tab.Stumbles(rules...) {
			t.Errorf("%s, %d wide, dark %v: %s", path, size.Width, dark, wrong)
		}
	}
	for path, raw := range pages {
		if n := compressed(t, raw); n > most {
			t.Errorf("%s has %d bytes compressed, at most %d", path, n, most)
		}
		tab.Do(chromedp.Navigate(server.URL + path))
		look(path, eyes.Phone, false)
		if all {
			look(path, eyes.Phone, true)
			look(path, eyes.Desktop, false)
			look(path, eyes.Desktop, true)
			continue
		}
		look(path, eyes.Desktop, true, "color-contrast", "target-size")
	}
	for _, stray := range tab.Stray() {
		t.Error(stray)
	}
}

func compressed(t *testing.T, raw string) int {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(raw))
	must(t, err)
	must(t, w.Close())
	return b.Len()
}

// TestScenesOut writes every page to the folder LIFEBOAT_SCENES, for make screenshots.
func TestScenesOut(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("LIFEBOAT_SCENES")
	if dir == "" {
		t.Skip("SKIP: LIFEBOAT_SCENES names no folder")
	}
	for _, c := range scenes {
		raw := strings.Replace(c.play(t).page.raw, "<script>", "<script type=none>", 1) // a still page
		must(t, os.WriteFile(filepath.Join(dir, c.name+".html"), []byte(raw), 0o600))
	}
}

// forEverybody sees that nobody stumbles over some pages, by day on a phone and by night on
// a desk, and that none is heavy or wider than a phone. LIFEBOAT_SCENES names a folder that
// the pages are written to.
func forEverybody(t *testing.T, pages map[string]string) {
	t.Helper()
	server := httptest.NewServer(headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, found := pages[strings.TrimPrefix(r.URL.Path, "/")]
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(raw))
	})))
	t.Cleanup(server.Close)
	tab := eyes.Open(t, eyes.Options{})
	for name, raw := range pages {
		if dir := os.Getenv("LIFEBOAT_SCENES"); dir != "" {
			must(t, os.WriteFile(filepath.Join(dir, name+".html"), []byte(raw), 0o600))
		}
		if n := compressed(t, raw); n > most {
			t.Errorf("%s has %d bytes compressed, at most %d", name, n, most)
		}
		tab.Do(chromedp.Navigate(server.URL + "/" + name))
		tab.See(eyes.Phone, false)
		for _, wrong := range tab.Stumbles() {
			t.Errorf("%s on a phone: %s", name, wrong)
		}
		if wide := eyes.Read[bool](tab, "document.documentElement.scrollWidth > innerWidth"); wide {
			t.Errorf("%s is wider than a phone", name)
		}
		tab.See(eyes.Desktop, true)
		for _, wrong := range tab.Stumbles("color-contrast", "target-size") {
			t.Errorf("%s on a desk: %s", name, wrong)
		}
	}
	for _, stray := range tab.Stray() {
		t.Error(stray)
	}
}
