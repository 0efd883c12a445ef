package ofrep

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lifeboat/internal/feature"
)

// elsewhere is a page of another origin than lifeboat's. It asks as the web provider
// does, and writes down what the browser lets it see; the last line comes by the
// stream.
const elsewhere = `<!doctype html><pre id=log></pre><script>
const log = (s) => { document.getElementById('log').textContent += s + ';'; };
const ask = (headers) => fetch('BASE/ofrep/v1/evaluate/flags', {
  method: 'POST', headers: { 'Content-Type': 'application/json', 'X-API-Key': 'page', ...headers }, body: '{"context":{"targetingKey":"u1"}}',
});
(async () => {
  try {
    const first = await ask({});
    const etag = first.headers.get('ETag');
    const answer = await first.json();
    log(first.status + ' ' + (etag ? 'etag' : 'no etag') + ' ' + answer.flags.length);
    log(String((await ask({ 'If-None-Match': etag })).status));
    const wrong = await ask({ 'X-API-Key': 'wrong' });
    log(String(wrong.status));
    const stream = new EventSource('BASE' + answer.eventStreams[0].endpoint.requestUri);
    stream.onerror = () => log('stream broken');
    let events = 0;
    stream.onmessage = async (e) => {
      const { type } = JSON.parse(e.data);
      const again = await ask({ 'If-None-Match': etag });
      const value = again.status === 200 ? (await again.json()).flags.find((f) => f.key === 'checkout').value : 'unchanged';
      log(type + ' ' + value);
      if (++events === 2) document.getElementById('log').dataset.done = 'yes';
    };
  } catch (e) {
    log(String(e));
    document.getElementById('log').dataset.done = 'yes';
  }
})();
</script>`

// TestBrowser asks from a page in a real browser, across origins: what the browser
// keeps from the page, no provider could use.
func TestBrowser(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	var b *boat
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(strings.ReplaceAll(elsewhere, "BASE", b.url())))
	}))
	defer page.Close()
	b = launch(t, feature.Access{
		Keys: []feature.Key{{Name: "pages", SHA256: hash("page"), For: feature.ForPages}}, Origins: []string{page.URL},
	})
	if err := chromedp.Do(tab, chromedp.Navigate(page.URL)); err != nil {
		t.Fatal(err)
	}
	until(t, "the page holds a stream", func() bool { return b.server.Counts().NotModified == 2 })
	b.order(pulled())
	if err := chromedp.Do(tab, chromedp.WaitVisible(`#log[data-done]`)); err != nil {
		t.Fatal(err)
	}
	got, err := chromedp.Run(tab, chromedp.TextContent("#log"))
	if want := "200 etag 6;304;401;refetchEvaluation unchanged;refetchEvaluation false;"; err != nil || got != want {
		t.Errorf("the page saw %q %v, want %q", got, err, want)
	}
}

// browser starts a headless Chromium that reaches this machine only.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("SKIP-LOUD: there is no chromium here; install it with: make deps")
	}
	home, err := os.MkdirTemp("", "ofrep-browser")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*patience)
	ctx, stopBrowser := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(home), chromedp.WSURLReadTimeout(patience), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.*"),
	)...)
	ctx, stopTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // ends the browser and waits for it
		stopTab()
		stopBrowser()
		stop()
		_ = os.RemoveAll(home)
	})
	return ctx
}
