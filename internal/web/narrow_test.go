package web

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// wide are the pages beside the moments that hold long words, tables or many columns.
var wide = []string{"write-up", "levers", "crew", "changes", "timeline-all", "piece-text", "accounts", "one-account", "messages", "touch", "accept"}

// TestNarrow: no page is wider than the smallest phone, in a real browser.
func TestNarrow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIP: a browser takes some seconds")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIP-LOUD: there is no chromium here; install it with: make deps")
	}
	dir := t.TempDir()
	var files []string
	for _, c := range scenes {
		for _, name := range append(wide, kept...) {
			if name == c.name {
				place := filepath.Join(dir, name+".html")
				must(t, os.WriteFile(place, []byte(c.play(t).page.raw), 0o600))
				files = append(files, place)
				break
			}
		}
	}
	tab := openTab(t, path)
	const overflow = `(() => {
		const w = document.documentElement.scrollWidth
		if (w <= innerWidth) return ""
		const out = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
		return w + ": " + out.slice(0, 3).map(e => e.tagName + " " + e.className + " " + e.textContent.slice(0, 40)).join(" | ")
	})()`
	for _, f := range files {
		must(t, chromedp.Do(tab, chromedp.EmulateViewport(320, 800), chromedp.Navigate("file://"+f)))
		got, err := chromedp.Run(tab, chromedp.Evaluate[string](overflow))
		must(t, err)
		if got != "" {
			t.Errorf("%s is wider than 320 pixels: %s", filepath.Base(f), got)
		}
	}
}

// openTab starts a browser, which ends with the test.
func openTab(t *testing.T, path string) context.Context {
	t.Helper()
	home, err := os.MkdirTemp("", "web-browser")
	must(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(home), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("no-proxy-server", true))
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	ctx, stopBrowser := chromedp.NewExecAllocator(ctx, options...)
	ctx, stopTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // ends the browser and waits for it
		stopTab()
		stopBrowser()
		stop()
		_ = os.RemoveAll(home)
	})
	must(t, chromedp.Do(ctx, chromedp.Navigate("about:blank"))) // the first step starts the browser, which lives as long as its context
	return ctx
}
