package eyes

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestSees: what is wrong with a page is told, and of a good one nothing.
func TestSees(t *testing.T) {
	t.Parallel()
	const good = `<!doctype html><html lang="en"><title>A page</title><main><h1>All is well</h1></main>`
	bad := strings.Replace(good, "</main>", `<p style="color:#ccc;background:#fff">pale</p><img src="http://elsewhere.example/x.png"></main><script>1</script>`, 1)
	page := good
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "script-src 'none'")
		_, _ = w.Write([]byte(page))
	}))
	defer server.Close()
	tab := Open(t, Options{})
	tab.See(Phone, true)
	tab.Do(chromedp.Navigate(server.URL))
	if !Read[bool](tab, "matchMedia('(prefers-color-scheme: dark)').matches && innerWidth === 360") {
		t.Error("it is not night on a phone")
	}
	if got := append(tab.Stumbles(), tab.Stray()...); len(got) > 0 {
		t.Errorf("of a good page it is told: %q", got)
	}
	page = bad
	tab.Do(chromedp.Navigate(server.URL + "/bad"))
	told := strings.Join(append(tab.Stumbles(), tab.Stray()...), "\n")
	for _, want := range []string{"color-contrast", "image-alt", "http://elsewhere.example/x.png", "Content Security Policy"} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is not told of:\n%s", want, told)
		}
	}
}
