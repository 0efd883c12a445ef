package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestLongNoteComesBackWhole: what was refused is there to go on with, all of it.
func TestLongNoteComesBackWhole(t *testing.T) {
	t.Parallel()
	lines := strings.Repeat("\nIt <b>broke</b> & we \"looked\" at it.\n\n", 400)[:15<<10]
	for name, text := range map[string]string{
		"15 KB":               lines,
		"no letters of ASCII": strings.Repeat("壊", 15_000), // 45 KB; three times as much, percent-encoded
		"begins with a break": "\n\nso it was",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBoat()
			declared(t, b)
			p := browse(t, b.handler()).enter().follow("Write down what you see")
			closedByAnother(t, b)
			p = p.press("Write down what you see", text).want(http.StatusNotFound, "there is no open incident")
			if got := p.field("typed"); got != text {
				t.Errorf("%d bytes came back of %d: %.80q", len(got), len(text), got)
			}
		})
	}
	t.Run("in the field itself", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		declared(t, b)
		text := strings.Repeat("壊", 15_000) // more than a note may hold
		p := browse(t, b.handler()).enter().follow("Write down what you see").press("Write down what you see", text).want(http.StatusBadRequest, "at most 16384 fit")
		if got := p.field("text"); got != text {
			t.Errorf("%d bytes came back of %d", len(got), len(text))
		}
		text = lines
		p = p.press("Write down what you see", text).want(http.StatusOK, "Done.")
		if len(p.url.RequestURI()) > 4096 {
			t.Errorf("the address has %d bytes: servers and proxies refuse that", len(p.url.RequestURI()))
		}
		if got := p.follow("All of it").text(); !strings.Contains(got, strings.Join(strings.Fields(lines), " ")) {
			t.Error("the note is not in the timeline as it was typed")
		}
	})
}

func closedByAnother(t *testing.T, b *boat) {
	t.Helper()
	browse(t, b.handler()).enter().follow("It was a false alarm").press("It was a false alarm", "nothing").want(http.StatusOK, "All is well.")
}

// TestReasonComesBack: the form with which somebody went on anyway may be gone by
// then; what they wrote is not.
func TestReasonComesBack(t *testing.T) {
	t.Parallel()
	b := newBoat()
	unarmed(t, b)
	br := browse(t, b.handler())
	mine := br.enter().press("Show visitors the status page").want(http.StatusConflict)
	mine.press("Do it anyway: Show visitors the status page", "somebody else was faster").want(http.StatusOK)
	p := mine.press("Do it anyway: Show visitors the status page", "I was slower").want(http.StatusConflict, "is pulled already")
	if got := p.field("typed"); got != "I was slower" {
		t.Errorf("what was typed came back as %q", got)
	}
}

// TestBothFieldsComeBack: neither what changed nor why to go on is lost.
func TestBothFieldsComeBack(t *testing.T) {
	t.Parallel()
	b := newBoat()
	contained(t, b)
	b.set(func(b *boat) { b.ungated = true })
	mine := browse(t, b.handler()).enter().follow("Go back").press("Go back", "the cable is back").want(http.StatusConflict)
	p := mine.press("Do it anyway: Go back", "the cable is really back", "no").want(http.StatusConflict)
	if text, reason := p.field("text"), p.field("reason"); text != "the cable is really back" || reason != "no" {
		t.Errorf("came back as %q and %q", text, reason)
	}
	mine.press("Do it anyway: Go back", "the cable is really back", "we never had a check").want(http.StatusOK, "You’re back.")
	p = mine.press("Do it anyway: Go back", "so it is", "as I said").want(http.StatusConflict)
	if got := p.field("typed"); got != "so it is\n\nas I said" {
		t.Errorf("what was typed came back as %q", got)
	}
}

// TestTooBig: more than a form may carry is refused in words, and not run by halves.
func TestTooBig(t *testing.T) {
	t.Parallel()
	b := newBoat()
	h := b.handler()
	c := session(t, h)
	big := url.Values{"text": {strings.Repeat("x", maxForm)}}
	for _, path := range []string{"/sites/shop/declare", "/sites/shop/note", "/sign-in", "/nowhere"} {
		for name, who := range map[string]func(*http.Request){"signed in": with(c), "not signed in": func(*http.Request) {}} {
			w := request(t, h, http.MethodPost, path, big, who)
			if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "more than 64 KiB, so nothing was done") {
				t.Errorf("%s, %s: %d: %.300s", path, name, w.Code, w.Body)
			}
		}
	}
	body, kind := encode(t, "multipart/form-data", big)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/sites/shop/declare", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.AddCookie(c)
	if w := serve(h, r); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("multipart: %d", w.Code)
	}
	if len(b.commands) > 0 {
		t.Errorf("run by halves: %+v", b.commands)
	}
	fits := url.Values{"text": {strings.Repeat("x", maxForm-len("text="))}}
	if w := request(t, h, http.MethodPost, "/sites/shop/declare", fits, with(c)); w.Code != http.StatusBadRequest || len(b.commands) != 1 {
		t.Errorf("what just fits: %d", w.Code) // the engine finds the title too long
	}
}

// TestBrokenForm: what can't be read is refused, and not run by halves.
func TestBrokenForm(t *testing.T) {
	t.Parallel()
	b := newBoat()
	h := b.handler()
	c := session(t, h)
	for kind, body := range map[string]string{
		"application/x-www-form-urlencoded":  "text=%zz&lever=to-standby",
		"multipart/form-data; boundary=b":    "--b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhalf",
		"multipart/form-data":                "no boundary",
		"multipart/form-data; boundary=b; b": "--b--",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/sites/shop/declare", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		r.AddCookie(c)
		if w := serve(h, r); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "The form could not be read, so nothing was done.") {
			t.Errorf("%s: %d: %.300s", kind, w.Code, w.Body)
		}
	}
	if len(b.commands) > 0 {
		t.Errorf("run by halves: %+v", b.commands)
	}
}

func TestUnknownActOrSite(t *testing.T) {
	t.Parallel()
	b := newBoat()
	h := b.handler()
	c := session(t, h)
	for path, says := range map[string]string{
		"/sites/shop/explode":    "There is no act &#34;explode&#34;.",
		"/sites/nowhere/declare": "There is no site &#34;nowhere&#34;.",
		"/sites/shop/pull":       "There is no lever &#34;&#34;.",
	} {
		w := request(t, h, http.MethodPost, path, url.Values{"text": {"what I typed"}}, with(c))
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), says) || !strings.Contains(w.Body.String(), "what I typed") {
			t.Errorf("%s: %d:\n%s", path, w.Code, w.Body)
		}
	}
}
