package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lifeboat/internal/incident"
	"lifeboat/test/eyes"
)

// TestByKeyboard: the whole crisis with nothing but a keyboard, on a phone without
// JavaScript and on a desk with it; from the start page, two presses lead to the first
// lever: the answer and the button. Whatever lies between is counted.
func TestByKeyboard(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size     eyes.Size
		noScript bool
	}{"phone, without JavaScript": {eyes.Phone, true}, "desk": {eyes.Desktop, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Launch(t, Options{})
			tab := eyes.Open(t, eyes.Options{NoScript: c.noScript})
			tab.See(c.size, false)
			h := &hands{t: t, tab: tab}
			h.wholeCrisis(b)
			for _, stray := range tab.Stray() {
				t.Error(stray)
			}
		})
	}
}

// wholeCrisis signs in, gets visitors to safety, tells people and goes back.
func (h *hands) wholeCrisis(b *Boat) {
	t, tab := h.t, h.tab
	t.Helper()
	tab.Do(chromedp.Navigate("http://" + b.Console() + "/"))
	h.reach("a token's field", `e.id === "token"`)
	h.types(b.Token())
	h.enter()
	h.reads("All is well")
	h.weigh()
	h.to("Something is wrong")
	h.enter()

	h.presses = 0 // what follows comes after the start page
	h.to("Nothing loads")
	h.press("the answer")
	h.to("Show visitors the status page")
	h.press("the lever")
	if h.presses > 2 {
		t.Errorf("%d presses from the start page to the first lever, at most 2", h.presses)
	}
	b.AwaitPhase(incident.Diagnose)
	h.reads("Visitors are looked after")
	if at := b.Site().Ordered.Position; at != standby {
		t.Errorf("visitors are ordered to %s", at)
	}
	h.to("Tell people")
	h.enter()
	h.reads("What happened")

	h.to("Other choices")
	tab.Do(chromedp.KeyEvent(kb.Enter))
	h.to("Go back")
	h.enter()
	h.reach("the reason's field", `e.tagName === "TEXTAREA"`)
	h.types("The release was taken back.")
	h.to("Go back")
	h.enter()
	b.AwaitPhase(incident.Watch, incident.Review)
}

// hands press keys, and see what has the focus as a person does.
type hands struct {
	t       *testing.T
	tab     *eyes.Tab
	presses int
}

// ring says what keeps one from seeing what has the focus, if anything does.
const ring = `(e => {
	const s = getComputedStyle(e), r = e.getBoundingClientRect()
	return s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2 || r.bottom <= 0 || r.top >= innerHeight ? [e.outerHTML.slice(0, 80), s.outline, r.top, r.bottom, innerHeight].join(" ") : ""
})(document.activeElement)`

const mostTabs = 80 // a page has fewer things to press

// to goes with the tab key until what has the focus begins with these words.
func (h *hands) to(words string) {
	h.t.Helper()
	h.reach(words, fmt.Sprintf("(e.matches('a, button, summary')) && (e.textContent.trim().startsWith(%q) && !e.closest('.keel'))", words))
}

// reach goes with the tab key until the focus is where the condition holds.
func (h *hands) reach(what, condition string) {
	h.t.Helper()
	for range mostTabs {
		if eyes.Read[bool](h.tab, "(e => !!(e && "+condition+"))(document.activeElement)") {
			if unseen := eyes.Read[string](h.tab, ring); unseen != "" {
				h.t.Errorf("%s has the focus, and one does not see it: %s", what, unseen)
			}
			return
		}
		h.tab.Do(chromedp.KeyEvent(kb.Tab))
	}
	h.t.Fatalf("the tab key does not lead to %q on this page:\n%s", what, eyes.Read[string](h.tab, "document.body.innerText"))
}

func (h *hands) types(text string) { h.t.Helper(); h.tab.Do(chromedp.KeyEvent(text)) }

// enter presses the key on what has the focus, and waits until another page is there.
func (h *hands) enter() {
	h.t.Helper()
	eyes.Read[bool](h.tab, "window.left = true")
	h.tab.Do(chromedp.KeyEvent(kb.Enter))
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if h.tab.Loaded("!window.left && document.readyState === 'complete' && !!document.querySelector('h1')") {
			return
		}
	}
	h.t.Fatalf("no other page came:\n%s", eyes.Read[string](h.tab, "document.body.innerText"))
}

// press is enter, counted.
func (h *hands) press(what string) {
	h.t.Helper()
	h.presses++
	h.t.Logf("press %d: %s", h.presses, what)
	h.enter()
}

// reads waits until the headline begins like this.
func (h *hands) reads(begin string) {
	h.t.Helper()
	now := ""
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if now = eyes.Read[string](h.tab, "document.querySelector('h1')?.textContent || ''"); strings.HasPrefix(now, begin) {
			return
		}
	}
	h.t.Fatalf("the headline is %q, want %q:\n%s", now, begin, eyes.Read[string](h.tab, "document.body.innerText"))
}

// weigh reports how soon the page was painted, and holds it to what it may weigh with
// all that it loads.
func (h *hands) weigh() {
	h.t.Helper()
	got := eyes.Read[float64](h.tab, "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].reduce((sum, e) => sum + e.transferSize, 0)")
	h.t.Logf("first paint after %.0f ms, %.0f bytes", eyes.Read[float64](h.tab, "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"), got)
	if got == 0 || got > 60<<10 {
		h.t.Errorf("the page weighs %.0f bytes, at most 60 KB", got)
	}
}
