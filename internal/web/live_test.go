package web

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// TestAnOpenPageKeepsUp: in a real browser the page follows what happens without a
// reload, keeps what somebody types, and says so when it has lost contact.
func TestAnOpenPageKeepsUp(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIP-LOUD: there is no chromium here; install it with: make deps")
	}
	b := launch(t)
	server := httptest.NewServer(b.handler())
	t.Cleanup(server.Close)
	tab := openTab(t, path)
	run := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		ctx, cancel := context.WithTimeout(tab, 40*time.Second)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			said, _ := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
			t.Fatalf("%s: %v\n%s", what, err, said)
		}
	}
	until := func(what, expression string) {
		t.Helper()
		for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			is, err := chromedp.Run(tab, chromedp.Evaluate[bool](`!!(`+expression+`)`))
			must(t, err)
			if is {
				return
			}
			if time.Now().After(deadline) {
				said, _ := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
				t.Fatalf("%s: not in time:\n%s", what, said)
			}
		}
	}
	run("sign in", chromedp.Navigate(server.URL+"/"), chromedp.WaitVisible("#token"), chromedp.SendKeys("#token", b.token), chromedp.Click(`form[action="/sign-in"] button`), chromedp.WaitReady("#lost"))
	run("open the site", chromedp.Navigate(server.URL+"/sites/shop"), chromedp.WaitReady("#lost"))
	until("mark it", `(window.marked = true) && document.title.length > 0`)

	b.do(incident.Declare{Title: "Nothing loads"})
	until("the page follows a declaration", `document.body.innerText.includes("Nothing loads")`)
	b.pull("to-standby")
	until("the page follows a lever", `document.body.innerText.includes("Visitors are looked after") && window.marked`)

	until("type", `(() => { const f = document.querySelector("#note-text"); if (!f) return false; f.focus(); f.value = "I have seen"; return true })()`)
	b.do(incident.Note{Text: "Somebody else writes a note"})
	until("what is typed stays, and the rest follows", `document.querySelector("#note-text").value === "I have seen" && document.activeElement.id === "note-text" && document.body.innerText.includes("Somebody else writes a note") && window.marked`)

	until("a form that is being filled in keeps what it carries unseen, once", `(() => { const f = document.querySelector("form.note"); window.held = f; window.key = f.elements.namedItem("key").value; return document.querySelectorAll("#note-text").length === 1 })()`)
	b.do(incident.Note{Text: "A second note by somebody else"})
	until("it stays the same form", `document.body.innerText.includes("A second note by somebody else") && document.querySelector("form.note") === window.held && window.held.elements.namedItem("key").value === window.key && document.querySelectorAll("#note-text").length === 1`)
	until("leave the field empty", `(() => { const f = document.querySelector("#note-text"); f.value = ""; f.blur(); return true })()`)
	b.do(incident.Note{Text: "A third note"})
	until("two presses are one: the key stays", `document.body.innerText.includes("A third note") && document.querySelector("form.note").elements.namedItem("key").value === window.key`)
	until("a form is sent", `(() => { window.stay = (e) => e.preventDefault(); addEventListener("submit", stay); document.querySelector("#note-text").value = "sent"; document.querySelector("form.note").requestSubmit(); window.asked = performance.getEntriesByType("resource").length; return true })()`)
	b.do(incident.Note{Text: "While it is on its way"})
	until("the page asks", `performance.getEntriesByType("resource").length > window.asked`)
	until("nothing changes under the hand", `!document.body.innerText.includes("While it is on its way") && window.dispatchEvent(new PageTransitionEvent("pageshow"))`)
	until("and it goes on", `document.body.innerText.includes("While it is on its way")`)

	until("lose contact", `(() => { const real = Date.now.bind(Date); Date.now = () => real() + 60000; return true })()`)
	until("it says so", `!document.getElementById("lost").hidden && document.getElementById("lost").innerText.includes("No contact with lifeboat. What you see is from")`)
	b.breaks(probe.Down, "answered 500")
	b.do(incident.Note{Text: "Contact again"})
	until("contact again", `document.getElementById("lost").hidden && document.body.innerText.includes("Contact again") && window.marked`)
}

// stream opens the stream of the one who is signed in and gives its events.
func (b *boat) stream(t *testing.T, h http.Handler, c *http.Cookie) (events <-chan string, status int) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	ctx, stop := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/live", nil)
	must(t, err)
	r.AddCookie(c)
	resp, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	t.Cleanup(func() { stop(); _ = resp.Body.Close() })
	out := make(chan string, 100)
	go func() { // ends with the stream
		defer close(out)
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if e, is := strings.CutPrefix(lines.Text(), "event: "); is {
				out <- e
			}
		}
	}()
	return out, resp.StatusCode
}

// TestTheStream: it says look at once and after each change, and ends with the sign-in
// and with the server.
func TestTheStream(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.do(incident.Declare{})
	ending := make(chan struct{})
	o := b.options()
	o.Ending = ending
	h := New(o)
	c := b.cookie(h)
	events, status := b.stream(t, h, c)
	if first := <-events; status != http.StatusOK || first != "look" {
		t.Fatalf("%d, and the first event is %q", status, first)
	}
	for range 2 {
		b.do(incident.Note{Text: "Something"})
		if e := <-events; e != "look" {
			t.Fatalf("after a change the stream says %q", e)
		}
	}
	b.set(func() {})
	close(ending)
	for e := range events { // it ends
		if e != "look" {
			t.Errorf("at the end the stream says %q", e)
		}
	}

	h = b.handler()
	c = b.cookie(h)
	events, _ = b.stream(t, h, c)
	<-events
	must(t, b.accounts.Close(t.Context(), c.Value))
	b.do(incident.Note{Text: "Something more"})
	last := ""
	for e := range events {
		last = e
	}
	if last != "gone" {
		t.Errorf("a stream whose sign-in has ended says %q", last)
	}
}

// TestStreamsAreBounded: nobody uses up the connections of the console.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	var s streams
	for range maxOwn {
		if !s.enter("ada") {
			t.Fatal("refused below the limit")
		}
	}
	if s.enter("ada") || !s.enter("bob") {
		t.Error("one person's limit is not one person's")
	}
	s.leave("ada")
	if !s.enter("ada") {
		t.Error("a place that was left is not free")
	}
	for i := range maxStreams {
		s.enter(strings.Repeat("x", i+1))
	}
	if s.enter("one more") {
		t.Error("there is no limit of all")
	}
	b := launch(t)
	w := httptest.NewRecorder()
	b.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/live", nil))
	if w.Code != http.StatusSeeOther {
		t.Errorf("a stranger's stream is answered %d", w.Code)
	}
}
