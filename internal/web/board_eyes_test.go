package web

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lifeboat/internal/board"
	"lifeboat/test/eyes"
)

// TestTellVisitorsByKeyboard: with nothing but keys, on a phone, somebody writes a message,
// sees in the frame what visitors will see, and publishes it. Nobody stumbles over the
// preview, by day and by night, and the console's own policy forbids nothing of it.
func TestTellVisitorsByKeyboard(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIP: a browser takes some seconds")
	}
	b := launch(t)
	toldVisitors(b)
	server := httptest.NewServer(b.handler())
	t.Cleanup(server.Close)
	tab := eyes.Open(t, eyes.Options{})
	tab.See(eyes.Phone, false)
	press := func(keys ...string) {
		t.Helper()
		for _, k := range keys {
			tab.Do(chromedp.KeyEvent(k))
		}
	}
	focused := func() string {
		return eyes.Read[string](tab, `(e => e.name || e.textContent)(document.activeElement)`)
	}
	until := func(name string) { // by the tab key alone
		t.Helper()
		for range 60 {
			if focused() == name {
				return
			}
			press(kb.Tab)
		}
		t.Fatalf("the tab key does not lead to %q; it is at %q", name, focused())
	}
	tab.Do(chromedp.Navigate(server.URL + "/sign-in"))
	until("token")
	press(b.token, kb.Enter)
	tab.Await(`document.querySelector(".menu") !== null`) // nobody has it who is not signed in
	tab.Do(chromedp.Navigate(server.URL + "/status-page"))
	until("Tell visitors of a fault")
	press(kb.Enter)
	tab.Await(`document.activeElement !== null && document.activeElement.name === "title"`) // ready to type into
	press("Maps do not load", kb.Tab, kb.Tab)
	if focused() != "text" {
		t.Errorf("after the title in two languages comes %q", focused())
	}
	press("We look into it.")
	until("Preview")
	press(kb.Enter)
	framed := func(want string) {
		t.Helper()
		tab.Await(`(f => f !== null && f.contentDocument !== null && f.contentDocument.readyState === "complete" && f.contentDocument.body.innerText.includes("` + want + `"))(document.querySelector("iframe.preview"))`)
	}
	framed("Maps do not load")
	if n := eyes.Read[int](tab, `document.querySelector("iframe").contentDocument.querySelectorAll("body *").length`); n < 20 {
		t.Errorf("the frame holds %d elements", n)
	}
	for _, dark := range []bool{false, true} {
		for _, size := range []eyes.Size{eyes.Phone, eyes.Desktop} {
			tab.See(size, dark)
			for _, wrong := range tab.Stumbles() {
				t.Errorf("the preview, %d wide, dark %v: %s", size.Width, dark, wrong)
			}
			if eyes.Read[bool](tab, "document.documentElement.scrollWidth > innerWidth") {
				t.Errorf("the preview is wider than %d", size.Width)
			}
		}
	}
	until("The first page in German")
	press(kb.Enter)
	framed("Wir gehen der Sache nach")
	until("Publish")
	press(kb.Enter)
	tab.Await(`document.querySelector(".said") !== null`)
	if says := eyes.Read[string](tab, "document.body.innerText"); !strings.Contains(says, "told visitors: Maps do not load") {
		t.Errorf("it says %.500s", says)
	}
	if in := b.words.Records().Incidents; len(in) != 3 {
		t.Errorf("%d incidents", len(in))
	} else {
		for _, x := range in {
			if x.Title[""] == "Maps do not load" && (x.Step != board.Investigating || x.By != "Ada") {
				t.Errorf("%+v", x)
			}
		}
	}
	for _, stray := range tab.Stray() {
		t.Error(stray)
	}
}
