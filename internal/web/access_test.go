package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lifeboat/test/eyes"
)

// most is how big a page may be with all that it needs, compressed.
const most = 60 << 10

// TestEverybody: nobody stumbles over a page, by day on a phone and by night on a desk;
// no page asks anything of another machine, breaks its own policy or is heavy.
// LIFEBOAT_SOAK=1 looks at every page in all four lights.
func TestEverybody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIP: a browser takes some seconds")
	}
	pages := map[string]string{}
	for _, c := range scenes {
		pages["/"+c.name] = c.play(t).page.raw
	}
	server := httptest.NewServer(headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if raw, found := pages[r.URL.Path]; found {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(raw))
			return
		}
		http.NotFound(w, r)
	})))
	t.Cleanup(server.Close)
	for _, light := range []struct {
		size eyes.Size
		dark bool
		soak bool
	}{{eyes.Phone, false, false}, {eyes.Desktop, true, false}, {eyes.Phone, true, true}, {eyes.Desktop, false, true}} {
		if light.soak && os.Getenv("LIFEBOAT_SOAK") == "" {
			continue
		}
		tab := eyes.Open(t, eyes.Options{})
		tab.See(light.size, light.dark)
		for _, c := range scenes {
			tab.Do(chromedp.Navigate(server.URL + "/" + c.name))
			for _, wrong := range tab.Stumbles() {
				t.Errorf("%s, %d wide, dark %v: %s", c.name, light.size.Width, light.dark, wrong)
			}
		}
		for _, stray := range tab.Stray() {
			t.Error(stray)
		}
	}
	for name, raw := range pages {
		if n := compressed(t, raw); n > most {
			t.Errorf("%s has %d bytes compressed, at most %d", name, n, most)
		}
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
