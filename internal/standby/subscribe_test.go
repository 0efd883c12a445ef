package standby

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/subscribe"
)

// link is a token of the right form, which the desk knows; gone is one that it does not.
var link, gone = strings.Repeat("ab", 20), strings.Repeat("ba", 20)

// desk is a control that remembers what it was asked.
type desk struct {
	mu    sync.Mutex // guards all below
	asked []subscribe.Ask
	told  func(subscribe.Ask) subscribe.Told // nil: as a usual one does
	state subscribe.Told                     // of link
}

func (d *desk) ask(_ context.Context, a subscribe.Ask) subscribe.Told {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, a)
	if d.told != nil {
		return d.told(a)
	}
	if a.Do == subscribe.Begin {
		return subscribe.Told{Outcome: subscribe.Asked}
	}
	if a.Token != link || d.state.Way == "" {
		if a.Do == subscribe.End {
			return subscribe.Told{Outcome: subscribe.Ended}
		}
		return subscribe.Told{Outcome: subscribe.Unknown}
	}
	out := d.state
	switch a.Do {
	case subscribe.Confirm:
		d.state.Pending = false
		out, out.Outcome = d.state, subscribe.Confirmed
	case subscribe.Change:
		d.state.Components, d.state.Language = a.Components, a.Language
		out, out.Outcome = d.state, subscribe.Changed
	case subscribe.End:
		d.state = subscribe.Told{}
		out = subscribe.Told{Outcome: subscribe.Ended}
	default:
		out.Outcome = subscribe.Open
	}
	return out
}

// last is what was asked last, and how often something was asked.
func (d *desk) last() (subscribe.Ask, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		return subscribe.Ask{}, 0
	}
	return d.asked[len(d.asked)-1], len(d.asked)
}

func (d *desk) is() subscribe.Told {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// desked serves a page that offers ways, with a desk behind it.
func desked(t testing.TB, d *desk, clock func() time.Time, change func(*board.Facts)) *Server {
	t.Helper()
	s := statusServer(t, func(f *board.Facts) {
		f.Sheet.Pages[0].Languages, f.Sheet.Pages[0].Subscribe = []string{"en", "de"}, []string{"mail", "webhook", "slack"}
		f.Sheet.Groups = []board.Group{{ID: "money", Name: board.Text{"": "Paying"}}}
		f.Sheet.Components = append(f.Sheet.Components, board.Definition{ID: "cards", Group: "money", Name: board.Text{"": "Card payments"}, Measured: []board.Measure{{Site: "shop"}}})
		if change != nil {
			change(f)
		}
	}, clock)
	s.opts.Subscribe = d.ask
	return s
}

// networks counts those that requests came from.
var networks struct {
	sync.Mutex
	n int
}

// sent sends a form as a browser does, from a network of its own.
func sent(s *Server, method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	networks.Lock()
	networks.n++
	from := fmt.Sprintf("10.%d.%d.%d:999", networks.n>>16, networks.n>>8&0xff, networks.n&0xff)
	networks.Unlock()
	return sentFrom(s, from, method, path, form, headers...)
}

func sentFrom(s *Server, from, method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://"+status+path, strings.NewReader(form.Encode()))
	r.RemoteAddr = from
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// nowhereElse are the fields that each page about a subscription has.
func nowhereElse(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	h := w.Header()
	for field, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow", "Access-Control-Allow-Origin": "", "Set-Cookie": "", "Etag": ""} {
		if got := h.Get(field); got != want {
			t.Errorf("%s: %s is %q, want %q", name, field, got, want)
		}
	}
	if p := h.Get("Content-Security-Policy"); h.Get("Content-Type") == html && (!strings.Contains(p, "form-action 'self'") || !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "script-src")) {
		t.Errorf("%s: policy %q", name, p)
	}
}

const (
	browserAs  = "text/html,application/xhtml+xml,*/*;q=0.8"
	terminalAs = "text/plain"
)

// TestSubscribeBegins goes through what somebody can send, and what they are told.
func TestSubscribeBegins(t *testing.T) {
	t.Parallel()
	as := func(o subscribe.Outcome, field string) func(subscribe.Ask) subscribe.Told {
		return func(subscribe.Ask) subscribe.Told { return subscribe.Told{Outcome: o, Field: field} }
	}
	mail := url.Values{"way": {"mail"}, "to": {" ada@example.com "}, "component": {"shop", "cards"}}
	for name, c := range map[string]struct {
		path, accept string
		form         url.Values
		told         func(subscribe.Ask) subscribe.Told
		asked        int
		status       int
		kind         string
		words        []string
		never        []string
	}{
		"the form":             {"/subscribe", browserAs, nil, nil, 0, 200, html, []string{"Get updates", `action="/en/subscribe"`, `value="cards"`, "Card payments", "Paying", `value="slack"`, "Tick nothing"}, []string{"<script"}},
		"with a slash":         {"/subscribe/", browserAs, nil, nil, 0, 200, html, []string{"Get updates"}, nil},
		"in German":            {"/de/subscribe", browserAs, nil, nil, 0, 200, html, []string{"Nachrichten erhalten", `action="/de/subscribe"`}, nil},
		"asked":                {"/subscribe", browserAs, mail, nil, 1, 200, html, []string{"Look for our message", "to ada@example.com. Open the link in it within two days."}, []string{"<form"}},
		"asked in German":      {"/de/subscribe", browserAs, mail, nil, 1, 200, html, []string{"innerhalb von zwei Tagen"}, nil},
		"asked at a terminal":  {"/subscribe", terminalAs, mail, nil, 1, 200, plain, []string{"We have sent a message to ada@example.com."}, []string{"<"}},
		"a webhook is masked":  {"/subscribe", browserAs, url.Values{"way": {"webhook"}, "to": {"https://hooks.example.com/secret"}}, nil, 1, 200, html, []string{"https://hooks.example.com/…"}, []string{"secret"}},
		"wrong address":        {"/subscribe", browserAs, mail, as(subscribe.Wrong, "to"), 1, 400, html, []string{`value="ada@example.com"`, "That is no mail address.", `aria-invalid="true" autofocus`, `aria-describedby="wrong-to hint-to"`, `value="cards" checked`, `value="mail" required checked`}, nil},
		"wrong URL":            {"/subscribe", browserAs, url.Values{"way": {"slack"}, "to": {"x"}}, as(subscribe.Wrong, "to"), 1, 400, html, []string{"That is no URL that we can send to.", `value="slack" required checked`, `value="x"`}, nil},
		"wrong part":           {"/subscribe", browserAs, mail, as(subscribe.Wrong, "components"), 1, 400, html, []string{"not there any more", "wrong-parts hint-parts", "autofocus"}, nil},
		"wrong at a terminal":  {"/subscribe", terminalAs, mail, as(subscribe.Wrong, "to"), 1, 400, plain, []string{"That is no mail address."}, nil},
		"no way":               {"/subscribe", browserAs, url.Values{"to": {"ada@example.com"}}, nil, 0, 400, html, []string{"Choose one of these.", `value="ada@example.com"`}, []string{"checked"}},
		"a way that is none":   {"/subscribe", browserAs, url.Values{"way": {"pigeon"}, "to": {"ada@example.com"}}, nil, 0, 400, html, []string{"Choose one of these."}, nil},
		"no address":           {"/subscribe", browserAs, url.Values{"way": {"mail"}, "to": {"  "}}, nil, 0, 400, html, []string{"That is no mail address."}, nil},
		"an empty form":        {"/subscribe", browserAs, url.Values{}, nil, 0, 400, html, []string{"Choose one of these."}, nil},
		"control is busy":      {"/subscribe", browserAs, mail, as(subscribe.Busy, ""), 1, 429, html, []string{"Too many ask for this right now."}, nil},
		"control is away":      {"/subscribe", browserAs, mail, as(subscribe.Away, ""), 1, 503, html, []string{"can&#39;t write this down", `value="ada@example.com"`, `value="shop" checked`}, nil},
		"away at a terminal":   {"/de/subscribe", terminalAs, mail, as(subscribe.Away, ""), 1, 503, plain, []string{"nicht aufschreiben"}, nil},
		"control is of later":  {"/subscribe", browserAs, mail, as("new", ""), 1, 503, html, []string{`value="ada@example.com"`}, nil},
		"control says nothing": {"/subscribe", browserAs, mail, as("", ""), 1, 503, html, []string{`value="ada@example.com"`}, nil},
		"it is off":            {"/subscribe", browserAs, mail, as(subscribe.Off, ""), 1, 404, html, []string{"Nothing is here."}, nil},
		"what people write":    {"/subscribe", browserAs, url.Values{"way": {"mail"}, "to": {`"><script>alert(1)</script>`}}, as(subscribe.Wrong, "to"), 1, 400, html, []string{"&lt;script&gt;"}, []string{"<script>"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{told: c.told}
			method := http.MethodGet
			if c.form != nil {
				method = http.MethodPost
			}
			w := sent(desked(t, d, fixed, nil), method, c.path, c.form, "Accept", c.accept)
			if w.Code != c.status || w.Header().Get("Content-Type") != c.kind {
				t.Errorf("%d %s", w.Code, w.Header().Get("Content-Type"))
			}
			nowhereElse(t, name, w)
			if wait := w.Header().Get("Retry-After"); (wait == "60") != (c.status == 429 || c.status == 503) {
				t.Errorf("Retry-After %q", wait)
			}
			for _, words := range c.words {
				if !strings.Contains(w.Body.String(), words) {
					t.Errorf("it lacks %q: %s", words, w.Body)
				}
			}
			for _, words := range c.never {
				if strings.Contains(w.Body.String(), words) {
					t.Errorf("it has %q: %s", words, w.Body)
				}
			}
			a, n := d.last()
			if n != c.asked {
				t.Errorf("control was asked %d times", n)
			}
			if n == 1 && (a.Do != subscribe.Begin || a.Page != "shop" || a.Token != "" || string(a.Way) != c.form.Get("way") || a.To != strings.TrimSpace(c.form.Get("to")) || !slices.Equal(a.Components, c.form["component"])) {
				t.Errorf("control was asked %+v", a)
			}
			if want := "en"; n == 1 && a.Language != map[bool]string{true: "de", false: want}[strings.HasPrefix(c.path, "/de/")] {
				t.Errorf("in %s", a.Language)
			}
		})
	}
}

// TestSubscribeMailOnly: one way is no choice.
func TestSubscribeMailOnly(t *testing.T) {
	t.Parallel()
	d := &desk{}
	s := desked(t, d, fixed, func(f *board.Facts) { f.Sheet.Pages[0].Subscribe = []string{"mail"} })
	if w := sent(s, "GET", "/subscribe", nil); strings.Contains(w.Body.String(), `name="way"`) || !strings.Contains(w.Body.String(), `type="email"`) {
		t.Errorf("%s", w.Body)
	}
	if w := sent(s, "POST", "/subscribe", url.Values{"to": {"ada@example.com"}}); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if a, _ := d.last(); a.Way != subscribe.Mail {
		t.Errorf("%+v", a)
	}
	if w := sent(s, "POST", "/subscribe", url.Values{"way": {"webhook"}, "to": {"https://x.example"}}); w.Code != 400 || !strings.Contains(w.Body.String(), `role="alert">Something that you ticked is not there any more.`) {
		t.Errorf("a way that is not offered: %d %s", w.Code, w.Body)
	}
}

// TestSubscribeNotOffered: a page that offers nothing has no such addresses, and no link.
func TestSubscribeNotOffered(t *testing.T) {
	t.Parallel()
	d := &desk{}
	s := desked(t, d, fixed, func(f *board.Facts) { f.Sheet.Pages[0].Subscribe = nil })
	for _, path := range []string{"/subscribe", "/de/subscribe", subscribe.Path + link} {
		if w := sent(s, "GET", path, nil); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
		if w := sent(s, "POST", path, url.Values{"do": {"end"}}); w.Code != 405 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := sent(s, "GET", "/", nil); strings.Contains(w.Body.String(), "/subscribe") {
		t.Error("the page leads there")
	}
	if w := ask(s, "GET", shop, "/subscribe", ""); w.Code != 503 {
		t.Errorf("a site's own name: %d", w.Code)
	}
	s = desked(t, d, fixed, nil)
	for path, href := range map[string]string{"/": `href="/subscribe"`, "/de/": `href="/de/subscribe"`, "/history": `href="/subscribe"`} {
		if w := sent(s, "GET", path, nil); !strings.Contains(w.Body.String(), href) {
			t.Errorf("%s does not lead there", path)
		}
	}
	if w := ask(s, "POST", shop, "/subscribe", "to=x"); w.Code != 503 {
		t.Errorf("a site's own name: %d", w.Code)
	}
	if _, n := d.last(); n != 0 {
		t.Errorf("control was asked %d times", n)
	}
}

func pendingMail() subscribe.Told {
	return subscribe.Told{Way: subscribe.Mail, To: "a…@example.com", Components: []string{"cards"}, Language: "de", Pending: true}
}

// TestLinkOnlyShows: whoever reads all links of a message, and their pages, changes
// nothing.
func TestLinkOnlyShows(t *testing.T) {
	t.Parallel()
	d := &desk{state: pendingMail()}
	s := desked(t, d, fixed, nil)
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range []string{link, link + "/", link + "?do=confirm", link + "?do=end&List-Unsubscribe=One-Click", strings.ToUpper(link), link + "?done=confirmed"} {
			w := sent(s, method, subscribe.Path+path, nil)
			nowhereElse(t, path, w)
			if w.Code != 200 || w.Header().Get("Content-Language") != "de" {
				t.Errorf("%s %s: %d in %s", method, path, w.Code, w.Header().Get("Content-Language"))
			}
			if a, _ := d.last(); a.Do != subscribe.Look || a.Token != link || a.Page != "shop" {
				t.Errorf("%s %s asks control %+v", method, path, a)
			}
			if body := w.Body.String(); method == "HEAD" && body != "" || method == "GET" && strings.Contains(body, "Es ist bestätigt") {
				t.Errorf("%s %s says %s", method, path, body)
			}
		}
	}
	if got := d.is(); !got.Pending || got.Way != subscribe.Mail {
		t.Errorf("it is %+v now", got)
	}
	w := sent(s, "GET", "/en"+subscribe.Path+link, nil)
	for _, words := range []string{"Shall we tell you of news?", "messages go to: a…@example.com", `value="confirm"`, `value="change"`, `value="end"`, `value="cards" checked`, `<option value="de" lang="de" selected>`, `action="/en/subscription/` + link + `"`, `name="robots" content="noindex"`} {
		if !strings.Contains(w.Body.String(), words) {
			t.Errorf("it lacks %q: %s", words, w.Body)
		}
	}
	if w := sent(s, "OPTIONS", subscribe.Path+link, nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"); w.Code != 405 || w.Header().Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("a preflight is answered %d %v", w.Code, w.Header())
	}
}

// TestLinkDoes confirms, changes and ends, and shows what came of it at an address that
// can be loaded again.
func TestLinkDoes(t *testing.T) {
	t.Parallel()
	d := &desk{state: pendingMail()}
	d.state.Way, d.state.Secret = subscribe.Webhook, "whsec_abc"
	s := desked(t, d, fixed, nil)
	at := subscribe.Path + link
	if w := sent(s, "GET", at, nil); strings.Contains(w.Body.String(), "whsec_abc") {
		t.Error("the secret is shown before it is confirmed")
	}
	w := sent(s, "POST", at, url.Values{"do": {"confirm"}})
	if nowhereElse(t, "confirm", w); w.Code != 303 || w.Header().Get("Location") != at+"?done=confirmed" {
		t.Fatalf("%d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	w = sent(s, "GET", w.Header().Get("Location"), nil)
	for _, words := range []string{"Es ist bestätigt.", "Du erfährst Neues.", "<code>whsec_abc</code>"} {
		if !strings.Contains(w.Body.String(), words) {
			t.Errorf("it lacks %q: %s", words, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), `value="confirm"`) {
		t.Error("it is to be confirmed again")
	}
	w = sent(s, "POST", "/de"+at, url.Values{"do": {"change"}, "component": {"shop"}, "language": {"en"}})
	if w.Code != 303 || w.Header().Get("Location") != "/de"+at+"?done=changed" {
		t.Fatalf("%d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if a, _ := d.last(); a.Do != subscribe.Change || !slices.Equal(a.Components, []string{"shop"}) || a.Language != "en" {
		t.Errorf("%+v", a)
	}
	if w = sent(s, "GET", at+"?done=changed", nil); !strings.Contains(w.Body.String(), "It is saved.") || !strings.Contains(w.Body.String(), `value="shop" checked`) {
		t.Errorf("%s", w.Body)
	}
	sent(s, "POST", at, url.Values{"do": {"change"}, "language": {"tlh"}}, "Accept-Language", "de")
	if a, _ := d.last(); a.Language != "de" || a.Components != nil {
		t.Errorf("a language that the page has not: %+v", a)
	}
	for range 2 { // and once more, by loading it again
		if w = sent(s, "POST", at, url.Values{"do": {"end"}}); w.Code != 200 || !strings.Contains(w.Body.String(), "You are told of nothing any more.") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if w = sent(s, "GET", at, nil); w.Code != 404 || !strings.Contains(w.Body.String(), "has ended, or it was not confirmed") || !strings.Contains(w.Body.String(), `href="/en/subscribe"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	nowhereElse(t, "gone", w)
	if w = sent(s, "POST", at, url.Values{"do": {"confirm"}}); w.Code != 404 {
		t.Errorf("what is gone is confirmed: %d", w.Code)
	}
	if w = sent(s, "POST", subscribe.Path+gone, url.Values{"do": {"sing"}}); w.Code != 400 {
		t.Errorf("what nobody can want: %d", w.Code)
	}
}

// TestLinksThatAreNone: no control is asked.
func TestLinksThatAreNone(t *testing.T) {
	t.Parallel()
	d := &desk{}
	s := desked(t, d, fixed, nil)
	for _, token := range []string{"", "x", link[1:], link + "a", "../" + link, strings.Repeat("1", 40), strings.Repeat("%00", 40), link + "/more"} {
		for _, method := range []string{"GET", "POST"} {
			form := url.Values{"List-Unsubscribe": {"One-Click"}}
			if method == "GET" {
				form = nil
			}
			if w := sent(s, method, subscribe.Path+token, form); w.Code != 404 || token != "" && len(token) > 3 && strings.Contains(w.Body.String(), token) {
				t.Errorf("%s %q: %d %s", method, token, w.Code, w.Body)
			}
		}
	}
	if _, n := d.last(); n != 0 {
		t.Errorf("control was asked %d times", n)
	}
}

// parts is a form as multipart/form-data.
func parts(t testing.TB, fields ...string) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := m.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), b.String()
}

// TestOneClick ends a subscription as a mail service does it for its user (RFC 8058).
func TestOneClick(t *testing.T) {
	t.Parallel()
	multi, body := parts(t, "List-Unsubscribe", "One-Click")
	for name, c := range map[string]struct{ kind, body string }{
		"a form":             {"application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"},
		"with a line's end":  {"application/x-www-form-urlencoded", "List-Unsubscribe=One-Click\r\n"},
		"a form with more":   {"application/x-www-form-urlencoded; charset=UTF-8", "List-Unsubscribe=One-Click"},
		"a form in parts":    {multi, body},
		"without its type":   {"", "List-Unsubscribe=One-Click"},
		"not in that letter": {"application/x-www-form-urlencoded", "List-Unsubscribe=one-click"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{state: pendingMail()}
			s := desked(t, d, fixed, func(f *board.Facts) {
				f.Sheet.Pages[0].Private = &board.Private{Hash: board.HashPassword(secret), Key: []byte("k")} // the link is right enough
			})
			headers := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://mail.example"} // where a browser sends it
			if c.kind != "" {
				headers = append(headers, "Content-Type", c.kind)
			}
			w := ask(s, "POST", status, subscribe.Path+link, c.body, headers...)
			if nowhereElse(t, name, w); w.Code != 200 || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "any more") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if a, n := d.last(); n != 1 || a.Do != subscribe.End || a.Token != link || d.is().Way != "" {
				t.Errorf("control was asked %d times, %+v", n, a)
			}
			if w := ask(s, "POST", status, subscribe.Path+link, c.body, headers...); w.Code != 200 {
				t.Errorf("once more: %d", w.Code)
			}
			d.told = func(subscribe.Ask) subscribe.Told { return subscribe.Told{Outcome: subscribe.Away} }
			if w := ask(s, "POST", status, subscribe.Path+link, c.body, headers...); w.Code != 503 || w.Header().Get("Retry-After") != "60" {
				t.Errorf("with control away: %d %v", w.Code, w.Header())
			}
		})
	}
}

// TestFormsOfOthers: forms that another site's page sends are refused, and those that
// can't be read; control hears of none.
func TestFormsOfOthers(t *testing.T) {
	t.Parallel()
	form := "application/x-www-form-urlencoded"
	multi, body := parts(t, "do", "end")
	good := "do=end"
	for name, c := range map[string]struct {
		path, kind, site, body string
		status                 int
	}{
		"another site's page":      {subscribe.Path + link, form, "cross-site", good, 403},
		"another site's beginning": {"/subscribe", form, "cross-site", "way=mail&to=ada@example.com", 403},
		"another site's, in parts": {subscribe.Path + link, multi, "cross-site", body, 403},
		"JSON":                     {subscribe.Path + link, json, "same-origin", `{"do":"end"}`, 415},
		"text":                     {subscribe.Path + link, "text/plain", "same-origin", good, 415},
		"a type that is none":      {subscribe.Path + link, ";;", "same-origin", good, 415},
		"parts without a line":     {subscribe.Path + link, "multipart/form-data", "same-origin", body, 415},
		"parts that break off":     {subscribe.Path + link, multi, "same-origin", body[:len(body)/2], 400},
		"escapes that break off":   {subscribe.Path + link, form, "same-origin", "do=%f", 400},
		"too much":                 {subscribe.Path + link, form, "same-origin", "do=end&x=" + strings.Repeat("x", maxAskForm), 413},
		"more than fits at all":    {"/subscribe", form, "same-origin", "to=" + strings.Repeat("x", MaxBody+1), 413},
		"too many fields":          {"/subscribe", form, "same-origin", strings.Repeat("a&", maxAskFields+1), 413},
		"nothing":                  {subscribe.Path + link, form, "same-origin", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{state: pendingMail()}
			w := ask(desked(t, d, fixed, nil), "POST", status, c.path, c.body, "Content-Type", c.kind, "Sec-Fetch-Site", c.site)
			if nowhereElse(t, name, w); w.Code != c.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if _, n := d.last(); n != 0 {
				t.Error("control was asked")
			}
		})
	}
	d := &desk{}
	if w := ask(desked(t, d, fixed, nil), "POST", status, "/subscribe", "way=mail&to=ada@example.com", "Content-Type", form, "Sec-Fetch-Site", "same-site"); w.Code != 200 {
		t.Errorf("the site's own page beside it: %d", w.Code)
	}
	if w := ask(desked(t, d, fixed, nil), "PUT", status, "/subscribe", ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("PUT: %d %v", w.Code, w.Header())
	}
}

// TestSubscribeAwayKeepsWhatWasWanted: what could not be done is sent again by a button.
func TestSubscribeAwayKeepsWhatWasWanted(t *testing.T) {
	t.Parallel()
	d := &desk{told: func(subscribe.Ask) subscribe.Told { return subscribe.Told{Outcome: subscribe.Away} }}
	s := desked(t, d, fixed, nil)
	for form, words := range map[string][]string{
		"":                                      {`href="/en/subscription/` + link + `"`},
		"do=confirm":                            {`name="do" value="confirm"`},
		"List-Unsubscribe=One-Click":            {`name="do" value="end"`},
		"do=change&component=cards&language=de": {`name="do" value="change"`, `name="component" value="cards"`, `name="language" value="de"`},
	} {
		values, _ := url.ParseQuery(form)
		method := "POST"
		if form == "" {
			method, values = "GET", nil
		}
		w := sent(s, method, subscribe.Path+link, values)
		if nowhereElse(t, form, w); w.Code != 503 || w.Header().Get("Retry-After") != "60" {
			t.Errorf("%s: %d", form, w.Code)
		}
		for _, x := range append(words, "Try again") {
			if !strings.Contains(w.Body.String(), x) {
				t.Errorf("%s: it lacks %q: %s", form, x, w.Body)
			}
		}
	}
	s.opts.Subscribe = nil
	if w := sent(s, "POST", "/subscribe", url.Values{"way": {"mail"}, "to": {"ada@example.com"}}); w.Code != 503 {
		t.Errorf("nobody can be asked: %d", w.Code)
	}
}

// TestPrivateSubscriptions: beginning needs the page's door; a link needs none, and shows
// nothing of the page's to who has not come in.
func TestPrivateSubscriptions(t *testing.T) {
	t.Parallel()
	d := &desk{state: pendingMail()}
	key := []byte("k")
	s := desked(t, d, fixed, func(f *board.Facts) {
		f.Sheet.Pages[0].Contact = "crew@example.com"
		f.Sheet.Pages[0].Private = &board.Private{Hash: board.HashPassword(secret), Key: key}
	})
	mail := url.Values{"way": {"mail"}, "to": {"ada@example.com"}}
	for _, method := range []string{"GET", "POST"} {
		form := mail
		if method == "GET" {
			form = nil
		}
		if w := sent(s, method, "/subscribe", form); w.Code != 401 || strings.Contains(w.Body.String(), "Card payments") {
			t.Errorf("a stranger's %s: %d", method, w.Code)
		}
	}
	cookie := []string{"Cookie", cookieName + "=" + board.Admit(key, "read shop", now.Add(time.Hour))}
	if w := sent(s, "GET", "/subscribe", nil, cookie...); w.Code != 200 || !strings.Contains(w.Body.String(), "Card payments") {
		t.Errorf("somebody who has come in: %d", w.Code)
	}
	if w := sent(s, "POST", "/subscribe", mail, cookie...); w.Code != 200 {
		t.Errorf("somebody who has come in: %d %s", w.Code, w.Body)
	}
	w := sent(s, "GET", "/en"+subscribe.Path+link, nil)
	if body := w.Body.String(); w.Code != 200 || strings.Contains(body, "Card payments") || strings.Contains(body, "cards") || strings.Contains(body, "crew@") || strings.Contains(body, `value="change"`) || !strings.Contains(body, `value="confirm"`) || !strings.Contains(body, `value="end"`) || !strings.Contains(body, "once you have opened the page") {
		t.Errorf("%d %s", w.Code, body)
	}
	if w := sent(s, "POST", subscribe.Path+link, url.Values{"do": {"change"}}); w.Code != 401 || len(d.is().Components) != 1 {
		t.Errorf("a stranger changes it: %d, %+v", w.Code, d.is())
	}
	if w := sent(s, "GET", subscribe.Path+link, nil, cookie...); !strings.Contains(w.Body.String(), "Card payments") {
		t.Errorf("somebody who has come in: %d", w.Code)
	}
	if w := sent(s, "POST", subscribe.Path+link, url.Values{"do": {"confirm"}}); w.Code != 303 || d.is().Pending {
		t.Errorf("%d", w.Code)
	}
}

// TestSubscribeTurns: one network comes so often and all together so often; what is not let
// through takes nothing from the others, and control hears nothing of it.
func TestSubscribeTurns(t *testing.T) {
	t.Parallel()
	at := now
	d := &desk{state: pendingMail()}
	s := desked(t, d, func() time.Time { return at }, nil)
	mail := url.Values{"way": {"mail"}, "to": {"ada@example.com"}}
	try := func(from string) int { return sentFrom(s, from, "POST", "/subscribe", mail).Code }
	for n := range 3 * beginsEach {
		want := 200
		if n >= beginsEach {
			want = 429
		}
		if got := try(fmt.Sprintf("[2001:db8::%x]:1", n)); got != want { // a household has a /64
			t.Errorf("the %dth: %d, want %d", n, got, want)
		}
	}
	if _, n := d.last(); n != beginsEach {
		t.Errorf("control was asked %d times", n)
	}
	w := sentFrom(s, "[2001:db8::1]:1", "POST", "/subscribe", mail)
	if nowhereElse(t, "too often", w); w.Header().Get("Retry-After") != "60" || !strings.Contains(w.Body.String(), "Wait a few minutes.") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	if w := sentFrom(s, "[2001:db8::1]:1", "POST", "/de/subscribe", mail, "Accept", "text/plain"); w.Code != 429 || !strings.HasPrefix(w.Body.String(), "Gerade möchten das zu viele.\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := sentFrom(s, "[2001:db8::1]:1", "GET", "/subscribe", nil); w.Code != 200 {
		t.Errorf("reading the form: %d", w.Code)
	}
	if w := sentFrom(s, "[2001:db8::1]:1", "POST", subscribe.Path+link, url.Values{"do": {"end"}}); w.Code != 200 {
		t.Errorf("ending a subscription: %d", w.Code)
	}
	if got := try("192.0.2.1:1"); got != 200 {
		t.Errorf("another network: %d", got)
	}
	at = at.Add(9 * time.Minute)
	if got := try("[2001:db8::1]:1"); got != 429 {
		t.Errorf("nine minutes later: %d", got)
	}
	at = at.Add(time.Minute)
	if got := try("[2001:db8::1]:1"); got != 200 {
		t.Errorf("ten minutes later: %d", got)
	}
	for n := range 3 * linksEach {
		if got, want := sentFrom(s, "192.0.2.9:1", "GET", subscribe.Path+gone, nil).Code, map[bool]int{true: 404, false: 429}[n < linksEach]; got != want {
			t.Fatalf("the %dth link: %d", n, got)
		}
	}
}

// TestTurnsAreBounded: made-up networks get no more than all together may, are not
// remembered for ever, and a clock that is set back locks nobody out.
func TestTurnsAreBounded(t *testing.T) {
	t.Parallel()
	x, at := newTurns(beginsEach, beginsEachIn, beginsAll), now
	for minute := range 30 {
		allowed := 0
		for n := range 500 {
			if x.may(fmt.Sprintf("10.%d.%d.%d:1", minute, n>>8, n&0xff), at) {
				allowed++
			}
		}
		if allowed != beginsAll {
			t.Fatalf("minute %d: %d were allowed", minute, allowed)
		}
		if most := beginsAll * 12; len(x.of) > most {
			t.Fatalf("minute %d: %d networks are remembered", minute, len(x.of))
		}
		at = at.Add(time.Minute)
	}
	for range beginsEach {
		x.may("192.0.2.1:1", at)
	}
	if at = at.Add(-time.Hour); x.may("192.0.2.1:1", at) != true {
		t.Error("the clock was set back, and the network is locked out")
	}
	if !x.may("no address", at) {
		t.Error("who has no address is locked out")
	}
}

// TestSubscribeOverTheWire: over connections as they are accepted, kept alive, whichever
// way is quick.
func TestSubscribeOverTheWire(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var logging sync.Mutex
	d := &desk{state: pendingMail()}
	s := desked(t, d, fixed, nil)
	s.opts.Logger = slog.New(slog.NewTextHandler(writer(func(b []byte) { logging.Lock(); defer logging.Unlock(); log.Write(b) }), nil))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	transport := &http.Transport{}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	do := func(method, path, form string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+ln.Addr().String()+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = status
		r.Header.Set("Accept", "text/html")
		if method == "POST" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for range 3 {
		if code, body := do("GET", "/subscribe", ""); code != 200 || !strings.Contains(body, "<form") {
			t.Errorf("%d %s", code, body)
		}
		if code, body := do("POST", "/subscribe", "way=mail&to=ada%40example.com"); code != 200 || !strings.Contains(body, "ada@example.com") {
			t.Errorf("%d %s", code, body)
		}
	}
	if code, body := do("POST", subscribe.Path+link, "do=confirm"); code != 200 || !strings.Contains(body, "Es ist bestätigt.") { // by way of the redirect
		t.Errorf("%d %s", code, body)
	}
	if code, _ := do("POST", subscribe.Path+link, "do=end&x="+strings.Repeat("x", 2*maxAskForm)); code != 413 {
		t.Errorf("%d", code)
	}
	if code, _ := do("POST", subscribe.Path+link, "List-Unsubscribe=One-Click"); code != 200 {
		t.Errorf("%d", code)
	}
	transport.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	logging.Lock()
	defer logging.Unlock()
	if strings.Contains(log.String(), link) || strings.Contains(log.String(), "ada@") {
		t.Errorf("the log holds what is nobody's business: %s", log.String())
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

// FuzzForm: whatever is sent is read within its bounds or refused, and what is read in
// parts is what was sent.
func FuzzForm(f *testing.F) {
	kind, body := parts(f, "List-Unsubscribe", "One-Click", "component", "shop")
	f.Add(kind, body)
	f.Add("application/x-www-form-urlencoded", "List-Unsubscribe=One-Click")
	f.Add("application/x-www-form-urlencoded; charset=x", "do=change&component=a&component=b&language=de")
	f.Add("", "a=b;c=d&%zz")
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"do\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nend\r\n--x--")
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\nend\r\n--x--")
	f.Add("multipart/form-data; boundary=", "--\r\n\r\n")
	f.Fuzz(func(t *testing.T, kind, body string) {
		if len(body) > maxAskForm {
			return
		}
		form, code := readForm(kind, body)
		if (form == nil) != (code != 0) {
			t.Fatalf("%v with %d", form, code)
		}
		n := 0
		for name, values := range form {
			n += len(values)
			for _, v := range values {
				if len(name)+len(v) > len(body) {
					t.Fatalf("%q is longer than what was sent", name)
				}
			}
		}
		if n > maxAskFields {
			t.Fatalf("%d fields", n)
		}
		_ = oneClick(form)
	})
}

// FuzzPlace: whatever path comes, only an address in the form of a link makes one, and
// never one that leads elsewhere.
func FuzzPlace(f *testing.F) {
	for _, path := range []string{"/subscribe", "/de/subscribe/", subscribe.Path + link, "/de" + subscribe.Path + link + "/", "/xx/subscribe", "//subscribe", subscribe.Path, "/de/de" + subscribe.Path, subscribe.Path + strings.ToUpper(link), "de/subscription/0", ""} {
		f.Add(path)
	}
	p := &Statused{page: board.Page{Subscribe: []string{"mail"}}, languages: []string{"en", "de"}}
	f.Fuzz(func(t *testing.T, path string) {
		at, is := p.place(path)
		if !is {
			if at.link || at.token != "" {
				t.Errorf("%q: %+v", path, at)
			}
			return
		}
		if !strings.HasPrefix(path, "/") || at.tag != "" && !slices.Contains(p.languages, at.tag) || !at.link && at.token != "" {
			t.Errorf("%q: %+v", path, at)
		}
		want := subscribe.Path + at.token
		if at.tag != "" {
			want = "/" + at.tag + want
		}
		if _, good := subscribe.TokenID(at.token); good && !strings.EqualFold(strings.TrimSuffix(path, "/"), want) {
			t.Errorf("%q: %+v", path, at)
		}
	})
}
