package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lifeboat/internal/incident"
)

type step = chromedp.Action[chromedp.Void]

// browser starts a headless Chrome.
func browser(t *testing.T, script bool) context.Context { return browserAt(t, script, "") }

// browserAt is browser with a name that leads to an address.
func browserAt(t *testing.T, script bool, names string, more ...chromedp.ExecAllocatorOption) context.Context {
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
	home, err := os.MkdirTemp("", "e2e-browser")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(home), chromedp.WSURLReadTimeout(within),
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", names+"MAP * ~NOTFOUND, EXCLUDE 127.*"),
	)
	options = append(options, more...)
	if !script {
		options = append(options, chromedp.Flag("blink-settings", "scriptEnabled=false"))
	}
	ctx, stop := context.WithTimeout(context.Background(), 3*within)
	ctx, stopBrowser := chromedp.NewExecAllocator(ctx, options...)
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

func TestBrowser(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Launch(t, Options{})
			b.Load()
			tab := browser(t, script)
			b.checkScripts(tab, script)
			b.thereAndBack(tab)
			b.OneIncident()
			b.Settle()
		})
	}
}

// TestBrowserByName: reached by a name over plain HTTP, as over a VPN, the page's own
// forms are not taken for another site's. A browser that doesn't trust the way there says
// less of where a form comes from than at 127.0.0.1.
func TestBrowserByName(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	tab := browserAt(t, true, b.named())
	b.signInAt(tab, "lifeboat.test")
	if now := b.headline(tab, ""); strings.Contains(now, "did not work") {
		t.Errorf("signing in: %s", b.page(tab))
	}
}

// TestBrowserWhereTLSIsDue: where the configuration says that people come by https, a
// browser that does not is told so, and one on lifeboat's own machine is let in.
func TestBrowserWhereTLSIsDue(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Ready: func(b *Boat) { b.more += "console: {url: \"https://lifeboat.test\"}\n" }})
	tab := browserAt(t, true, b.named())
	b.signInAt(tab, "lifeboat.test")
	b.Eventually("the page says where to sign in", func() bool { return strings.Contains(b.page(tab), "Open https://lifeboat.test ") })
	host, _, _ := net.SplitHostPort(b.Console())
	b.signInAt(tab, host)
	if now := b.headline(tab, ""); strings.Contains(now, "did not work") {
		t.Errorf("signing in: %s", b.page(tab))
	}
}

// named leads a name to the console.
func (b *Boat) named() string {
	host, _, _ := net.SplitHostPort(b.Console()) // ours
	return "MAP lifeboat.test " + host + ", "
}

// signInAt signs in at a host, with a token.
func (b *Boat) signInAt(tab context.Context, host string) {
	b.t.Helper()
	_, port, _ := net.SplitHostPort(b.Console()) // ours
	ctx, cancel := context.WithTimeout(tab, within)
	defer cancel()
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil { // the first step starts the browser, which lives as long as its context
		b.t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate("http://"+net.JoinHostPort(host, port)+"/sign-in"), chromedp.WaitVisible("#token"),
		chromedp.SendKeys("#token", b.Token()), chromedp.Click(`form[action="/sign-in"] button`)); err != nil {
		b.t.Fatal(err)
	}
}

// checkScripts makes sure that scripts run in this browser, or don't.
func (b *Boat) checkScripts(tab context.Context, want bool) {
	b.t.Helper()
	const page = "data:text/html,<h1>still</h1><script>document.querySelector('h1').textContent='scripted'</script>"
	if err := chromedp.Do(tab, chromedp.Navigate(page)); err != nil { // the first step starts the browser, which lives as long as its context
		b.t.Fatalf("start the browser: %v", err)
	}
	if got := b.text(tab, "h1"); (got == "scripted") != want {
		b.t.Fatalf("scripts should run: %v, and the page says %q", want, got)
	}
}

// thereAndBack signs in and plays a crisis with nothing but the page.
func (b *Boat) thereAndBack(tab context.Context) {
	t := b.t
	t.Helper()
	do := func(what string, steps ...step) {
		t.Helper()
		ctx, cancel := context.WithTimeout(tab, within)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	site := "http://" + b.Console()
	do("meet the sign-in form", chromedp.Navigate(site+"/"), chromedp.WaitVisible("#token"))
	do("sign in", chromedp.SendKeys("#token", b.Token()), chromedp.Click(`form[action="/sign-in"] button`))
	calm := b.headline(tab, "")
	if b.Expect(home); strings.Contains(b.page(tab), b.Token()) {
		t.Error("the page shows the token")
	}

	b.Moving(standby)
	do("press the lever", chromedp.Click(`//form[input[@value="to-standby"]]/button`))
	safe := b.headline(tab, calm)
	b.Moved(standby)
	t.Logf("the page said %q, then %q", calm, safe)
	if said := b.page(tab); !strings.Contains(said, "Visitors go to the status page") {
		t.Errorf("the page does not say where visitors go:\n%s", said)
	}

	do("ask to go back", chromedp.Navigate(site+"/sites/shop?ask=go-back"), chromedp.WaitVisible("#text"))
	b.Moving(home)
	do("say what changed and go", chromedp.SendKeys("#text", "The release was taken back."),
		chromedp.Click(`form[action="/sites/shop/go-back"] button`))
	b.AwaitPhase(incident.Watch, incident.Review)
	b.Moved(home)
	do("look again", chromedp.Navigate(site+"/"))
	back := b.headline(tab, safe)
	t.Logf("and %q once visitors were back", back)
}

// headline is the one sentence on top of the page, once it is another than before.
func (b *Boat) headline(tab context.Context, before string) (now string) {
	b.t.Helper()
	deadline := time.Now().Add(within)
	for {
		now = b.text(tab, "h1")
		if now != before && now != "" && !strings.HasPrefix(now, "Sign in") {
			return now
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the headline stays %q\n%s", now, b.page(tab))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// page is all that the page says.
func (b *Boat) page(tab context.Context) string {
	b.t.Helper()
	return b.text(tab, "body")
}

// text reads an element; a page that is just being left is read again.
func (b *Boat) text(tab context.Context, selector chromedp.CSS) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(tab, within)
	defer cancel()
	for {
		text, err := chromedp.Run(ctx, chromedp.Text(selector))
		if err == nil {
			return text
		}
		if ctx.Err() != nil {
			b.t.Fatalf("read %s: %v", selector, err)
		}
	}
}
