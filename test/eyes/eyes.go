// Package eyes lets tests look at pages with a real browser: it opens Chromium, asks
// axe-core what somebody would stumble over, and tells of every request that leaves this
// machine and of all that the page's own policy forbids.
//
// It is for tests only, and knows no page of lifeboat's. Where Chromium or axe-core is
// missing, a test says so in a line that begins with SKIP-LOUD.
//
// Concurrency: a Tab is for one goroutine.
package eyes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// within is how long a browser may take for all that a test wants of it.
const within = 4 * time.Minute

// Options of a browser.
type Options struct {
	NoScript bool   // pages run no scripts
	Names    string // host-resolver-rules before "everything else is nowhere"
	AnyCert  bool   // certificates that nobody vouches for are taken
}

// Size of a window, in CSS pixels.
type Size struct{ Width, Height int64 }

// Phone and Desktop are the sizes that pages are looked at in.
var (
	Phone   = Size{360, 740}
	Desktop = Size{1440, 900}
)

// Tab is one browser with one page.
type Tab struct {
	context.Context
	t *testing.T

	mu      sync.Mutex
	outside []string // requests to other machines
	forbid  []string // what the page's own policy forbade
}

// Open starts a headless browser, which ends with the test. It reaches this machine only.
func Open(t *testing.T, o Options) *Tab {
	t.Helper()
	path := find()
	if path == "" {
		t.Skip("SKIP-LOUD: there is no chromium here; install it with: make deps")
	}
	home, err := os.MkdirTemp("", "eyes")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(home), chromedp.WSURLReadTimeout(time.Minute), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", o.Names+"MAP * ~NOTFOUND, EXCLUDE 127.*, EXCLUDE localhost"))
	if o.AnyCert {
		options = append(options, chromedp.Flag("ignore-certificate-errors", true))
	}
	ctx, stop := context.WithTimeout(context.Background(), within)
	ctx, stopBrowser := chromedp.NewExecAllocator(ctx, options...)
	ctx, stopTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // ends the browser and waits for it
		stopTab()
		stopBrowser()
		stop()
		_ = os.RemoveAll(home)
	})
	tab := &Tab{Context: ctx, t: t}
	tab.Do(chromedp.Navigate("about:blank")) // the first step starts the browser, which lives as long as its context
	if err := chromedp.Listen(ctx, tab.heard); err != nil {
		t.Fatal(err)
	}
	tab.Do(call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}),
		call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})) // nobody looks at another window
	if o.NoScript { // the page's; what the test asks is answered
		tab.Do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	}
	return tab
}

// call is a command of the browser's protocol as a step.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

// heard keeps what the browser tells of the page.
func (tab *Tab) heard(event any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && !here(u) {
			tab.outside = append(tab.outside, cut(e.Request.URL))
		}
	case *log.EventEntryAdded:
		if strings.Contains(e.Entry.Text, "Content Security Policy") {
			tab.forbid = append(tab.forbid, cut(e.Entry.Text))
		}
	}
}

func here(u *url.URL) bool {
	switch u.Scheme {
	case "data", "about", "file", "blob":
		return true
	}
	return strings.HasPrefix(u.Hostname(), "127.") || u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".test")
}

func cut(s string) string { return fmt.Sprintf("%.300s", s) }

// Do carries steps out, or fails the test.
func (tab *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if err := chromedp.Do(tab, steps...); err != nil {
		tab.t.Fatal(err)
	}
}

// See sets the window's size and whether it is night.
func (tab *Tab) See(s Size, dark bool) {
	tab.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	tab.Do(chromedp.EmulateViewport(s.Width, s.Height), call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

// Read gives what an expression in the page comes to.
func Read[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](expression))
	if err != nil {
		tab.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// Loaded says whether a condition holds on the page; on one that is just being left it
// does not.
func (tab *Tab) Loaded(condition string) bool {
	yes, err := chromedp.Run(tab, chromedp.Evaluate[bool](condition))
	return err == nil && yes
}

// Await waits until a condition holds on the page.
func (tab *Tab) Await(condition string) {
	tab.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !tab.Loaded(condition); {
		if time.Now().After(end) {
			tab.t.Fatalf("it did not come to this: %s", condition)
		}
		tab.Do(chromedp.Sleep(20 * time.Millisecond))
	}
}

// Stray tells of requests that left this machine and of what the page's policy forbade,
// since the browser was opened.
func (tab *Tab) Stray() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append(append([]string(nil), tab.outside...), tab.forbid...)
}

// axe gives axe-core's source, or says why it is not there.
var axe = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	out, err := exec.Command(filepath.Join(filepath.Dir(file), "../../scripts/npm"), "--check").Output()
	if err != nil {
		return "", fmt.Errorf("scripts/npm --check: %w", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "node_modules/axe-core/axe.min.js"))
	return string(source), err
})

// violation is what axe-core says of a page.
type violation struct {
	ID, Help string
	Nodes    []struct {
		Target         []any
		FailureSummary string
	}
}

// Stumbles asks axe-core what somebody would stumble over on the page that is open, by
// the rules of WCAG 2.2 A and AA and the best practices; one line for each. It runs all
// rules; or, where some are named, these alone.
func (tab *Tab) Stumbles(rules ...string) []string {
	tab.t.Helper()
	source, err := axe()
	if err != nil {
		tab.t.Skipf("SKIP-LOUD: there is no axe-core here; install it with: make deps: %v", err)
	}
	if !Read[bool](tab, "typeof axe === 'object'") {
		Read[bool](tab, source+";true")
	}
	options := map[string]any{"resultTypes": []string{"violations"}}
	if len(rules) > 0 {
		options["runOnly"] = map[string]any{"type": "rule", "values": rules}
	}
	asked, err := json.Marshal(options)
	if err != nil {
		tab.t.Fatal(err)
	}
	raw, err := chromedp.Run(tab, chromedp.Evaluate[string]("axe.run(document, "+string(asked)+").then(r => JSON.stringify(r.violations))", chromedp.EvalAwaitPromise))
	if err != nil {
		tab.t.Fatalf("axe-core: %v", err)
	}
	var found []violation
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		tab.t.Fatal(err)
	}
	var out []string
	for _, v := range found {
		for _, n := range v.Nodes {
			out = append(out, fmt.Sprintf("%s (%s) at %v: %s", v.ID, v.Help, n.Target, strings.Join(strings.Fields(n.FailureSummary), " ")))
		}
	}
	return out
}
