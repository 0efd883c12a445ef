package web

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/net/html"
)

// browser knows only what a page gives it: links, forms and their fields. It has no
// JavaScript.
type browser struct {
	t      *testing.T
	client *http.Client
	base   string
}

// sheet is a page that the browser has got.
type sheet struct {
	b      *browser
	status int
	url    *url.URL
	header http.Header
	raw    string
	doc    *html.Node
}

// browse starts a server around the handler.
func browse(t *testing.T, h http.Handler) *browser {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	client.Jar = jar
	return &browser{t: t, client: client, base: server.URL}
}

// enter signs in by the form and gives the first page.
func (b *browser) enter() *sheet {
	b.t.Helper()
	p := b.open("/").press("Sign in", theToken)
	if p.status != http.StatusOK || p.url.Path != "/" {
		b.t.Fatalf("after sign-in: %d at %s:\n%s", p.status, p.url, p.raw)
	}
	return p
}

func (b *browser) open(path string) *sheet {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(r)
}

func (b *browser) send(r *http.Request) *sheet {
	b.t.Helper()
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return newSheet(b, resp.StatusCode, resp.Request.URL, resp.Header, string(raw))
}

func newSheet(b *browser, status int, u *url.URL, h http.Header, raw string) *sheet {
	b.t.Helper()
	doc, err := html.Parse(strings.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	return &sheet{b: b, status: status, url: u, header: h, raw: raw, doc: doc}
}

// press sends the form of the button with exactly this text, with what is typed in
// its fields in order, as a browser does: a field that must be filled is, and holds
// no more than it may.
func (p *sheet) press(button string, typed ...string) *sheet {
	p.b.t.Helper()
	for _, form := range p.all("form") {
		if !hasButton(form, button) {
			continue
		}
		r := p.request(form, typed)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return p.b.send(r)
	}
	p.b.t.Fatalf("no button %q on %s:\n%s", button, p.url, p.text())
	return nil
}

func hasButton(form *html.Node, label string) bool {
	for _, n := range within(form, "button") {
		if _, off := attr(n, "disabled"); !off && textOf(n) == label {
			return true
		}
	}
	return false
}

func (p *sheet) request(form *html.Node, typed []string) *http.Request {
	p.b.t.Helper()
	fields := url.Values{}
	for _, n := range within(form, "input", "textarea") {
		name, value := get(n, "name"), get(n, "value")
		if n.Data == "textarea" {
			value = textOf(n)
		}
		if get(n, "type") != "hidden" && len(typed) > 0 {
			value, typed = typed[0], typed[1:]
		}
		if _, must := attr(n, "required"); must && value == "" {
			p.b.t.Fatalf("the browser asks to fill in %q", name)
		}
		if most := get(n, "maxlength"); most == "16000" && len(utf16.Encode([]rune(value))) > 16000 {
			p.b.t.Fatalf("the browser lets nobody type so much into %q", name)
		}
		fields.Set(name, value)
	}
	if len(typed) > 0 {
		p.b.t.Fatalf("no field to type %q into", typed[0])
	}
	body, kind := encode(p.b.t, get(form, "enctype"), fields)
	r, err := http.NewRequestWithContext(p.b.t.Context(), http.MethodPost, p.resolve(get(form, "action")), body)
	if err != nil {
		p.b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	return r
}

func encode(t *testing.T, kind string, fields url.Values) (io.Reader, string) {
	t.Helper()
	if kind != "multipart/form-data" {
		return strings.NewReader(fields.Encode()), "application/x-www-form-urlencoded"
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name := range fields {
		if err := w.WriteField(name, fields.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// follow opens the link with exactly this text.
func (p *sheet) follow(link string) *sheet {
	p.b.t.Helper()
	for _, a := range p.all("a") {
		if textOf(a) == link {
			return p.b.open(strings.TrimPrefix(p.resolve(get(a, "href")), p.b.base))
		}
	}
	p.b.t.Fatalf("no link %q on %s:\n%s", link, p.url, p.text())
	return nil
}

func (p *sheet) resolve(ref string) string {
	p.b.t.Helper()
	u, err := p.url.Parse(ref)
	if err != nil {
		p.b.t.Fatalf("%q is no address: %v", ref, err)
	}
	return u.String()
}

// want fails unless the page has the status and says all of this.
func (p *sheet) want(status int, says ...string) *sheet {
	p.b.t.Helper()
	if p.status != status {
		p.b.t.Errorf("%s: status %d, want %d:\n%s", p.url, p.status, status, fmt.Sprintf("%.3000s", p.text()))
	}
	for _, s := range says {
		if !strings.Contains(p.text(), s) {
			p.b.t.Errorf("%s does not say %q:\n%s", p.url, s, fmt.Sprintf("%.3000s", p.text()))
		}
	}
	return p
}

// field gives what stands in the field with the id.
func (p *sheet) field(id string) string {
	p.b.t.Helper()
	for _, n := range p.all("textarea", "input") {
		if get(n, "id") == id {
			return textOf(n)
		}
	}
	p.b.t.Errorf("%s has no field %q", p.url, id)
	return ""
}

func (p *sheet) all(tags ...string) []*html.Node { return within(p.doc, tags...) }

// text is what can be read on the page.
func (p *sheet) text() string {
	return strings.Join(strings.Fields(textOf(p.doc)), " ")
}

func within(n *html.Node, tags ...string) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		for _, tag := range tags {
			if d.Type == html.ElementNode && d.Data == tag {
				out = append(out, d)
			}
		}
	}
	return out
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data != "style" {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func attr(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func get(n *html.Node, key string) string {
	v, _ := attr(n, key)
	return v
}
