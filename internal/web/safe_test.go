package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"lifeboat/internal/account"
	"lifeboat/internal/role"
)

// everyRoute gives all routes, with something real in place of what a path names; of the
// routes of acts one for each act.
func (b *boat) everyRoute(s *server) []string {
	in := b.in()
	real := strings.NewReplacer("{site}", "shop", "{id}", in.ID, "{piece}", "e1", "{plan}", "p", "{operation}", "o", "{name}", "jonas", "{$}", "", "{zone}", "shop.example.com")
	var out []string
	add := func(pattern string) {
		if !strings.Contains(pattern, " ") {
			return // the page for what there isn't
		}
		if !strings.Contains(pattern, "{act}") {
			out = append(out, real.Replace(pattern))
			return
		}
		for act := range acts {
			if strings.Contains(pattern, "{site}") || act == "note" || act == "account-role" { // the same handler as of a site
				out = append(out, real.Replace(strings.ReplaceAll(pattern, "{act}", act)))
			}
		}
	}
	for pattern := range s.rooms() {
		add(pattern)
	}
	for pattern := range s.doorways() {
		add(pattern)
	}
	slices.Sort(out)
	return out
}

// TestHeadersEverywhere: whatever is answered, to whomever, nothing of it is framed, run,
// sniffed or kept.
func TestHeadersEverywhere(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	b.person("jonas", "Jonas", role.Operator)
	s := newServer(b.options())
	h := b.handler()
	c := b.cookie(h)
	for _, route := range append(b.everyRoute(s), "GET /nowhere", "PUT /", "POST /sites/shop/note") {
		method, path, _ := strings.Cut(route, " ")
		if method == http.MethodPost && strings.HasPrefix(path, "/incidents/") {
			continue // the same handler as those of the site
		}
		for _, change := range [][]func(*http.Request){nil, {with(c)}, {with(c), header("Sec-Fetch-Site", "cross-site")}} {
			if method == http.MethodPost && len(change) == 1 {
				continue // it would do what it says
			}
			if path == "/live" && len(change) > 0 {
				continue // a stream
			}
			w := request(t, h, method, path, url.Values{}, change...)
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); got != want && !(name == "Cache-Control" && strings.Contains(got, "no-store")) {
					t.Errorf("%s: %s is %q", route, name, got)
				}
			}
			policy := w.Header().Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
				if !strings.Contains(policy, want) && !strings.Contains(policy, "sandbox") { // a file of somebody's runs nothing at all
					t.Errorf("%s: the policy has no %s: %s", route, want, policy)
				}
			}
			if policy == "" || strings.Contains(policy, "unsafe") && !strings.Contains(policy, "; sandbox") || strings.Contains(policy, "*") || w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %s", route, policy)
			}
			if method == http.MethodPost && len(change) == 2 && w.Code != http.StatusForbidden {
				t.Errorf("%s: another site's form gives %d", route, w.Code)
			}
		}
	}
}

// shape is all of the boat's record that a page could change.
func (b *boat) shape() string {
	b.t.Helper()
	in := b.in()
	out := fmt.Sprint(in.ID, in.Seq, b.kept())
	for _, a := range b.accounts.List() {
		f, err := b.accounts.Factors(a.Name)
		must(b.t, err)
		out += fmt.Sprintf("%+v %+v %d;", a, f, len(b.accounts.Sessions(account.OfAccount(a.Name))))
	}
	return out + fmt.Sprintf("%d %+v", len(b.tokens.List()), b.queue)
}

// TestGetChangesNothing: no page does anything by being opened, by anybody, whatever its
// address says.
func TestGetChangesNothing(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	b.person("jonas", "Jonas", role.Admin)
	s := newServer(b.options())
	h := b.handler()
	c := cookieOf(t, request(t, h, http.MethodPost, "/sign-in/name", url.Values{"name": {"jonas"}, "password": {password}}))
	before := b.shape()
	filled := bare("x")
	maps.Copy(filled, url.Values{"lever": {"to-standby"}, "name": {"jonas"}, "role": {"admin"}, "password": {password}, "token": {b.token}, "key": {"k"}})
	for _, route := range b.everyRoute(s) {
		method, path, _ := strings.Cut(route, " ")
		if path == "/live" {
			continue // a stream
		}
		for _, m := range []string{http.MethodGet, http.MethodHead} {
			sound(t, h, m, path+"?"+filled.Encode(), nil, with(c))
			sound(t, h, m, path+"?"+filled.Encode(), nil)
		}
		_ = method
		if now := b.shape(); now != before {
			t.Fatalf("GET %s has changed something:\n%s\n%s", path, before, now)
		}
	}
}

// corpus is what people and machines type and send.
var corpus = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</textarea><script>alert(1)</script>`, `</title><svg onload=alert(1)>`,
	`javascript:alert(1)`, `{{.Key}}`, `${7*7}`, `<!-- -->`, `&lt;script&gt;`, "\u202egnp.exe\u202c", "\u2066a\u2069\u200f", "a\u0000b\x1b[31m", "\xff\xfe", "zone..with...odd-._label\\046.",
	`xn--` + strings.Repeat("a", 70), strings.Repeat("á́́́́", 50), "🏴‍☠️", "line\r\nSet-Cookie: x=y",
}

// TestHostileTextInEveryForm: through every field of every form, it is shown as text, and
// what was typed is kept where it was refused. Each form gets some of the texts, all of
// them in the long form of the test.
func TestHostileTextInEveryForm(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	b.person("jonas", "Jonas", role.Operator)
	br := browse(t, b.handler())
	br.enter(b)
	each := 2
	if os.Getenv("LIFEBOAT_SOAK") == "1" {
		each = len(corpus)
	}
	n := 0
	for _, act := range slices.Sorted(maps.Keys(acts)) {
		if acts[act].fields == nil || act == "finish" {
			continue
		}
		for _, base := range []string{"/lifeboat/", "/sites/shop/"} {
			var texts []string
			for range each {
				texts = append(texts, corpus[n%len(corpus)])
				n++
			}
			b.throw(br, base+act, texts)
		}
	}
	if n < len(corpus) {
		t.Errorf("only %d texts were thrown", n)
	}
	id := b.in().ID
	for _, path := range []string{"/", "/sites/shop", "/changes", "/features", "/follow-ups", "/settings", "/accounts", "/levers", "/incidents/" + id, "/incidents/" + id + "/crew", "/incidents/" + id + "/write-up", "/incidents/" + id + "/evidence"} {
		checkQuiet(t, br.open(path))
	}
}

// throw sends each text in all fields of a form at once.
func (b *boat) throw(br *browser, path string, texts []string) {
	b.t.Helper()
	p := br.open(path)
	forms := p.all("form")
	for _, form := range forms {
		if get(form, "action") != path {
			continue
		}
		for _, text := range texts {
			fields := p.filled(form)
			typedIn := ""
			for _, n := range within(form, "input", "textarea") {
				kind := get(n, "type")
				if n.Data == "textarea" || kind == "text" || kind == "" {
					fields.Set(get(n, "name"), text)
					typedIn = get(n, "name")
				}
			}
			if typedIn == "" {
				return
			}
			fields.Set("key", newKey())
			body, kind := encode(b.t, get(form, "enctype"), fields)
			r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, br.base+path, body)
			must(b.t, err)
			r.Header.Set("Content-Type", kind)
			got := br.send(r)
			checkQuiet(b.t, got)
			if got.status == http.StatusInternalServerError || got.header.Get("Set-Cookie") != "" {
				b.t.Errorf("%s with %q: %d, %v", path, text, got.status, got.header)
			}
			if got.status >= 400 && got.status < 500 && got.url.Path == path && got.hasAnyField(typedIn) && !strings.ContainsAny(text, "\r\x00") && utf8.ValidString(text) {
				if kept := got.field(typedIn); kept != text && strings.TrimSpace(kept) != strings.TrimSpace(text) {
					b.t.Errorf("%s: of %q in %s there is %q left", path, text, typedIn, kept)
				}
			}
		}
	}
}

func (p *sheet) hasAnyField(name string) bool {
	return slices.ContainsFunc(p.all("form"), func(n *html.Node) bool { return p.hasField(n, name) })
}

// TestLongLine: a line of a megabyte is refused in words, at every form.
func TestLongLine(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	h := b.handler()
	c := b.cookie(h)
	long := url.Values{"text": {strings.Repeat("x", 1<<20)}}
	s := newServer(b.options())
	for _, route := range b.everyRoute(s) {
		method, path, _ := strings.Cut(route, " ")
		if method != http.MethodPost || strings.HasPrefix(path, "/incidents/") || strings.HasPrefix(path, "/lifeboat/") && path != "/lifeboat/change" {
			continue
		}
		w := request(t, h, method, path, long, with(c))
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "What you typed is still there") && !strings.Contains(w.Body.String(), "what you typed is still there") {
			t.Errorf("%s: %d: %.200s", route, w.Code, w.Body)
		}
	}
}
