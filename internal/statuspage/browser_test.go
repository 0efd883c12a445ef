package statuspage

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lifeboat/internal/board"
	"lifeboat/test/eyes"
)

// shelf serves the documents of a page as the standby does.
func shelf(t *testing.T) *httptest.Server {
	t.Helper()
	page, f := company()
	page.Private = nil
	all := documents(t, page, f)
	locked := page
	locked.Private = &board.Private{Hash: "x"}
	lock, err := Lock(locked, Options{}, "en", Wrong, noon)
	if err != nil {
		t.Fatal(err)
	}
	all["/locked"] = lock
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, known := all[r.URL.Path]
		if !known {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", d.Type)
		w.Header().Set("Content-Security-Policy", d.Policy)
		_, _ = w.Write(d.Body)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestNobodyStumbles asks axe-core about each kind of page, by day and by night.
func TestNobodyStumbles(t *testing.T) {
	t.Parallel()
	server := shelf(t)
	tab := eyes.Open(t, eyes.Options{})
	for _, dark := range []bool{false, true} {
		for path, size := range map[string]eyes.Size{
			"/": eyes.Desktop, "/de/": eyes.Phone, "/incidents/cards": eyes.Desktop, "/incidents/slow": eyes.Phone, "/maintenance/move": eyes.Phone,
			"/components/part-b": eyes.Phone, "/history": eyes.Desktop, "/locked": eyes.Phone,
			"/subscribe": eyes.Desktop, "/de/subscribe": eyes.Phone, "/subscribe/wrong": eyes.Phone, "/subscribe/asked": eyes.Phone, "/subscribe/away": eyes.Desktop,
			"/subscription/pending": eyes.Phone, "/subscription/webhook": eyes.Phone, "/subscription/gone": eyes.Desktop, "/subscription/away": eyes.Phone,
		} {
			tab.See(size, dark)
			tab.Do(chromedp.Navigate(server.URL + path))
			for _, what := range tab.Stumbles() {
				t.Errorf("%s, dark %t: %s", path, dark, what)
			}
			if !eyes.Read[bool](tab, "document.documentElement.scrollWidth <= innerWidth") {
				t.Errorf("%s is wider than a window of %d", path, size.Width)
			}
		}
	}
	for _, what := range tab.Stray() {
		t.Error(what)
	}
}

// TestBarsByKeyboard walks along a bar: it is one stop of the tab key, arrows lead from
// day to day, Home and End to its ends, and each day says its sentence.
func TestBarsByKeyboard(t *testing.T) {
	t.Parallel()
	server := shelf(t)
	tab := eyes.Open(t, eyes.Options{})
	tab.See(eyes.Desktop, false)
	tab.Do(chromedp.Navigate(server.URL + "/"))
	if stops := eyes.Read[[]int](tab, `[...document.querySelectorAll("ol.d")].map(o => o.querySelectorAll('[tabindex="0"]').length)`); len(stops) != 8 || slices.ContainsFunc(stops, func(n int) bool { return n != 1 }) {
		t.Fatalf("stops of the tab key in each bar: %v", stops)
	}
	const first = `document.querySelector("ol.d")`
	day := func() string { return eyes.Read[string](tab, "document.activeElement.textContent") }
	shown := func() bool {
		return eyes.Read[bool](tab, `getComputedStyle(document.activeElement.firstElementChild).clipPath === "none"`)
	}
	eyes.Read[bool](tab, `document.querySelector(".parts a").focus() || true`)
	for _, step := range []struct{ key, says string }{
		{kb.Tab, "22 November 2026"}, {kb.ArrowRight, "22 November 2026"}, {kb.ArrowLeft, "21 November 2026"}, {kb.ArrowLeft, "20 November 2026"},
		{kb.Home, "25 August 2026"}, {kb.ArrowLeft, "25 August 2026"}, {kb.ArrowRight, "26 August 2026"}, {kb.End, "22 November 2026"},
	} {
		tab.Do(chromedp.KeyEvent(step.key))
		if got := day(); !strings.HasPrefix(got, step.says) || !shown() {
			t.Errorf("after %q: %q (shown: %t), want %s", step.key, got, shown(), step.says)
		}
		if n := eyes.Read[int](tab, first+`.querySelectorAll('[tabindex="0"]').length`); n != 1 {
			t.Errorf("after %q the bar has %d stops", step.key, n)
		}
	}
	tab.Do(chromedp.KeyEvent(kb.Tab))
	if !eyes.Read[bool](tab, `document.activeElement.closest("ol.d") === null && document.activeElement.textContent === "Search"`) {
		t.Errorf("the next stop is %q", day())
	}
}

// TestSubscribeByKeyboard fills the form in without a mouse: the address that was wrong has
// the focus, and its words are tied to it.
func TestSubscribeByKeyboard(t *testing.T) {
	t.Parallel()
	server := shelf(t)
	tab := eyes.Open(t, eyes.Options{})
	tab.See(eyes.Phone, false)
	tab.Do(chromedp.Navigate(server.URL + "/subscribe/wrong"))
	tab.Await(`document.activeElement?.id === "to"`) // browsers give the focus once the page is drawn
	if says := eyes.Read[string](tab, `document.activeElement.getAttribute("aria-describedby").split(" ").map(id => document.getElementById(id).textContent).join(" ")`); !strings.Contains(says, "That is no mail address.") {
		t.Errorf("it is described by %q", says)
	}
	tab.Do(chromedp.Navigate(server.URL + "/subscribe"))
	eyes.Read[bool](tab, `document.querySelector("form.ask input").focus() || true`)
	var stops []string
	for range 12 {
		tab.Do(chromedp.KeyEvent(kb.Tab))
		stops = append(stops, eyes.Read[string](tab, `document.activeElement.name || document.activeElement.textContent.trim()`))
	}
	if want := "to,component,component,component,component,component,component,component,component,Send me the link"; !strings.HasPrefix(strings.Join(stops, ","), want) {
		t.Errorf("the stops are %v", stops)
	}
	for _, what := range tab.Stray() {
		t.Error(what)
	}
}

// TestWithoutScript: all that the page says is there without its script, and by
// forced colours.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	server := shelf(t)
	tab := eyes.Open(t, eyes.Options{NoScript: true})
	tab.See(eyes.Phone, false)
	tab.Do(chromedp.Navigate(server.URL + "/"))
	if n := eyes.Read[int](tab, `document.querySelectorAll("ol.d li").length`); n != 8*board.DaysShown {
		t.Errorf("%d days are there", n)
	}
	for _, want := range []string{"Checkout does not work.", "Card payments fail", "Deliveries move to a new system"} {
		if !strings.Contains(eyes.Read[string](tab, "document.body.innerText"), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, what := range tab.Stray() { // axe-core needs scripts
		t.Error(what)
	}
}
