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
	"sync"
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
	return another(t, server.Client(), server.URL)
}

// other is another browser at the same server.
func (b *browser) other() *browser { return another(b.t, &http.Client{}, b.base) }

func another(t *testing.T, client *http.Client, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := *client
	c.Jar = jar
	return &browser{t: t, client: &c, base: base}
}

// enter signs in with the boat's token and gives the first page.
func (b *browser) enter(boat *boat) *sheet {
	b.t.Helper()
	return b.open("/").press("Sign in with the token", "token="+boat.token).at("/")
}

// enterAs signs in with a name and a password.
func (b *browser) enterAs(name string) *sheet {
	b.t.Helper()
	return b.open("/").press("Sign in", "name="+name, "password="+password).at("/")
}

// at fails unless the page is this one.
func (p *sheet) at(path string) *sheet {
	p.b.t.Helper()
	if p.status != http.StatusOK || p.url.Path != path {
		p.b.t.Fatalf("%d at %s, want %s:\n%s", p.status, p.url, path, fmt.Sprintf("%.2000s", p.text()))
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
	doc, err := html.ParseWithOptions(strings.NewReader(raw), html.ParseOptionEnableScripting(false))
	if err != nil {
		b.t.Fatal(err)
	}
	return &sheet{b: b, status: status, url: u, header: h, raw: raw, doc: doc}
}

// press sends the form of the button with these words, with what is typed ("name=text")
// in its fields, as a browser does: a field that must be filled is, and holds no more
// than it may. A button that can't be pressed is not.
func (p *sheet) press(button string, typed ...string) *sheet {
	p.b.t.Helper()
	r := p.prepare(button, typed...)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.b.send(r)
}

// prepare is press without sending.
func (p *sheet) prepare(button string, typed ...string) *http.Request {
	p.b.t.Helper()
	for _, form := range p.all("form") {
		for _, n := range within(form, "button") {
			if words(n) == button && get(n, "aria-disabled") != "true" {
				if name := get(n, "name"); name != "" {
					typed = append(typed, name+"="+get(n, "value"))
				}
				return p.request(form, typed)
			}
		}
	}
	p.b.t.Fatalf("no button %q on %s:\n%s", button, p.url, p.text())
	return nil
}

// words are a button's or link's: its label for those who don't see, or its text, or
// the beginning of it that is set apart.
func words(n *html.Node) string {
	if label := get(n, "aria-label"); label != "" {
		return label
	}
	if n.FirstChild != nil && n.FirstChild.Type == html.TextNode && strings.TrimSpace(n.FirstChild.Data) != "" {
		return strings.TrimSpace(n.FirstChild.Data)
	}
	return strings.Join(strings.Fields(textOf(n)), " ")
}

// request makes what a browser sends for a form.
func (p *sheet) request(form *html.Node, typed []string) *http.Request {
	p.b.t.Helper()
	fields := p.filled(form)
	written := url.Values{}
	for _, t := range typed {
		name, value, found := strings.Cut(t, "=")
		if !found {
			p.b.t.Fatalf("%q is no name=text", t)
		}
		written.Add(name, value)
	}
	for name, v := range written {
		if !p.hasField(form, name) {
			p.b.t.Fatalf("%s has no field %q:\n%s", p.url, name, p.text())
		}
		fields[name] = v
	}
	p.mustBeFilled(form, fields)
	body, kind := encode(p.b.t, get(form, "enctype"), fields)
	r, err := http.NewRequestWithContext(p.b.t.Context(), http.MethodPost, p.resolve(get(form, "action")), body)
	if err != nil {
		p.b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	return r
}

// filled is what a form holds before anybody types.
func (p *sheet) filled(form *html.Node) url.Values {
	fields := url.Values{}
	for _, n := range within(form, "input", "textarea", "select") {
		name, value := get(n, "name"), get(n, "value")
		switch {
		case n.Data == "textarea":
			value = textOf(n)
		case n.Data == "select":
			value = selected(n)
		case get(n, "type") == "file":
			continue
		case get(n, "type") == "radio" || get(n, "type") == "checkbox":
			if _, on := attr(n, "checked"); !on {
				continue
			}
		}
		fields.Add(name, value)
	}
	return fields
}

func selected(n *html.Node) string {
	options := within(n, "option")
	for _, o := range options {
		if _, on := attr(o, "selected"); on {
			return get(o, "value")
		}
	}
	if len(options) > 0 {
		return get(options[0], "value")
	}
	return ""
}

func (p *sheet) hasField(form *html.Node, name string) bool {
	for _, n := range within(form, "input", "textarea", "select", "button") {
		if get(n, "name") == name {
			return true
		}
	}
	return false
}

func (p *sheet) mustBeFilled(form *html.Node, fields url.Values) {
	p.b.t.Helper()
	for _, n := range within(form, "input", "textarea", "select") {
		name := get(n, "name")
		if _, must := attr(n, "required"); must && fields.Get(name) == "" {
			p.b.t.Fatalf("the browser asks to fill in %q on %s", name, p.url)
		}
		if most := get(n, "maxlength"); most == "16000" && len(utf16.Encode([]rune(fields.Get(name)))) > 16000 {
			p.b.t.Fatalf("the browser lets nobody type so much into %q", name)
		}
	}
}

func encode(t *testing.T, kind string, fields url.Values) (io.Reader, string) {
	t.Helper()
	if kind != "multipart/form-data" {
		return strings.NewReader(fields.Encode()), "application/x-www-form-urlencoded"
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, all := range fields {
		for _, v := range all {
			if err := w.WriteField(name, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// follow opens the link with these words.
func (p *sheet) follow(link string) *sheet {
	p.b.t.Helper()
	for _, a := range p.all("a") {
		if words(a) == link {
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
		if !p.says(s) {
			p.b.t.Errorf("%s does not say %q:\n%s", p.url, s, fmt.Sprintf("%.4000s", p.text()))
		}
	}
	return p
}

// says tells whether the page says this, whatever keeps figures and units together.
func (p *sheet) says(s string) bool {
	return strings.Contains(plainSpace(p.text()), plainSpace(s))
}

func plainSpace(s string) string { return strings.ReplaceAll(s, nbsp, " ") }

// field gives what stands in the field with the name.
func (p *sheet) field(name string) string {
	p.b.t.Helper()
	for _, n := range p.all("textarea", "input") {
		if get(n, "name") == name || get(n, "id") == name {
			if n.Data == "input" {
				return get(n, "value")
			}
			return textOf(n)
		}
	}
	p.b.t.Errorf("%s has no field %q:\n%s", p.url, name, p.text())
	return ""
}

func (p *sheet) all(tags ...string) []*html.Node { return within(p.doc, tags...) }

// text is what can be read on the page.
func (p *sheet) text() string {
	return strings.Join(strings.FieldsFunc(textOf(p.doc), func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' }), " ")
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

// boats are the boats behind servers, by their address.
var boats sync.Map

// enterBoat signs another browser in at the server of the first one.
func (b *browser) enterBoat(first *browser) *sheet {
	b.t.Helper()
	found, known := boats.Load(first.base)
	if !known {
		b.t.Fatal("no boat is known at this address")
	}
	return b.enter(found.(*boat))
}
