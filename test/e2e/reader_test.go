package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Reader is somebody with a browser that runs no scripts: it sees what is on the page,
// follows links and sends forms by the words on their buttons, and nothing else.
type Reader struct {
	b    *Boat
	name string

	client *http.Client
	at     *url.URL
	status int
	page   *html.Node
}

// typed is what somebody types or chooses, by the label beside it.
type typed map[string]string

// Reader opens a browser at the first page.
func (b *Boat) Reader(name string) *Reader {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	b.Must(err)
	r := &Reader{b: b, name: name, client: &http.Client{Transport: plain, Jar: jar, Timeout: 2 * within}}
	r.Open("/")
	return r
}

// Open types an address of lifeboat's own.
func (r *Reader) Open(path string) {
	r.b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+r.b.Console()+path, nil)
	r.b.Must(err)
	r.send(req)
}

// send asks for a page and looks at it.
func (r *Reader) send(req *http.Request) {
	r.b.t.Helper()
	if req.Method == http.MethodPost { // as browsers say it
		req.Header.Set("Origin", "http://"+r.b.Console())
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.b.t.Fatalf("%s: %s %s: %v", r.name, req.Method, req.URL.Path, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	r.b.Must(err)
	page, err := html.Parse(bytes.NewReader(raw))
	r.b.Must(err)
	r.at, r.status, r.page = res.Request.URL, res.StatusCode, page
	if res.StatusCode >= http.StatusInternalServerError && res.StatusCode != http.StatusServiceUnavailable {
		r.b.t.Errorf("%s: %s %s: %s\n%s", r.name, req.Method, req.URL.Path, res.Status, r.Text())
	}
}

// Again looks at the same page as it is now.
func (r *Reader) Again() { r.b.t.Helper(); r.Open(r.at.RequestURI()) }

// Await looks again and again until the page says something.
func (r *Reader) Await(text string) {
	r.b.t.Helper()
	if !poll(within, func() bool { r.Again(); return r.Says(text) }) {
		r.b.t.Fatalf("%s: the page never says %q:\n%s", r.name, text, r.Text())
	}
}

// Says says whether somebody reads a text on the page.
func (r *Reader) Says(text string) bool { return strings.Contains(r.Text(), text) }

// MustSay fails the test where the page does not say something.
func (r *Reader) MustSay(text string) {
	r.b.t.Helper()
	if !r.Says(text) {
		r.b.t.Errorf("%s: the page does not say %q:\n%s", r.name, text, r.Text())
	}
}

// Headline is the one sentence on top.
func (r *Reader) Headline() string {
	return words(r.find(func(n *html.Node) bool { return n.DataAtom == atom.H1 }))
}

// Text is all that can be read, a line for each block.
func (r *Reader) Text() string {
	var out strings.Builder
	read(&out, r.page)
	var lines []string
	for line := range strings.Lines(out.String()) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

var blocks = []atom.Atom{
	atom.P, atom.Li, atom.Div, atom.Section, atom.Form, atom.Button, atom.H1, atom.H2, atom.H3, atom.Dt, atom.Dd, atom.Ul, atom.Ol, atom.Summary, atom.Label, atom.Legend,
	atom.Article, atom.Footer, atom.Header, atom.Textarea, atom.Option, atom.Tr, atom.Pre, atom.A,
}

// read writes what can be read below a node.
func read(out *strings.Builder, n *html.Node) {
	switch {
	case n == nil || unseen(n):
		return
	case n.Type == html.TextNode:
		out.WriteString(n.Data)
		return
	}
	block := n.Type == html.ElementNode && slices.Contains(blocks, n.DataAtom)
	if block {
		out.WriteString("\n")
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		read(out, c)
	}
	if block {
		out.WriteString("\n")
	}
}

// unseen says whether nobody sees an element.
func unseen(n *html.Node) bool {
	if n.Type != html.ElementNode {
		return false
	}
	switch n.DataAtom {
	case atom.Head, atom.Style, atom.Script, atom.Svg, atom.Template:
		return true
	}
	_, is := attr(n, "hidden")
	return is
}

// words are a node's text on one line.
func words(n *html.Node) string {
	if n == nil {
		return ""
	}
	var out strings.Builder
	read(&out, n)
	return strings.Join(strings.Fields(out.String()), " ")
}

func attr(n *html.Node, key string) (string, bool) {
	if n == nil {
		return "", false
	}
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func get(n *html.Node, key string) string { v, _ := attr(n, key); return v }

// all gives the elements below a node that somebody could see, in order.
func all(n *html.Node, want func(*html.Node) bool) (out []*html.Node) {
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && !unseen(c) && want(c) {
			out = append(out, c)
		}
	}
	return out
}

func (r *Reader) find(want func(*html.Node) bool) *html.Node {
	if found := all(r.page, want); len(found) > 0 {
		return found[0]
	}
	return nil
}

// called gives, of the elements whose words begin with a text, the one that says it
// and nothing else, or the first.
func called(nodes []*html.Node, text string) *html.Node {
	var first *html.Node
	for _, n := range nodes {
		said := words(n)
		if said == text || get(n, "aria-label") == text {
			return n
		}
		if first == nil && strings.HasPrefix(said, text) {
			first = n
		}
	}
	return first
}

// Follow follows the link that says a text.
func (r *Reader) Follow(text string) {
	r.b.t.Helper()
	a := called(all(r.page, func(n *html.Node) bool { return n.DataAtom == atom.A && get(n, "href") != "" }), text)
	if a == nil {
		r.b.t.Fatalf("%s: there is no link %q on the page:\n%s", r.name, text, r.Text())
	}
	to, err := r.at.Parse(get(a, "href"))
	r.b.Must(err)
	req, err := http.NewRequest(http.MethodGet, to.String(), nil)
	r.b.Must(err)
	r.send(req)
}

// Press fills a form in and presses its button, the first that has all these fields;
// where there is only a link with these words, it goes there first.
func (r *Reader) Press(button string, fill typed) {
	r.b.t.Helper()
	if len(r.buttons(button)) == 0 {
		r.Follow(button)
	}
	why := ""
	for _, b := range r.buttons(button) {
		form := b
		for form != nil && form.DataAtom != atom.Form {
			form = form.Parent
		}
		if form == nil {
			continue
		}
		f := r.fields(form)
		if label := f.fillAll(fill); label != "" {
			why = fmt.Sprintf("beside it there is no field %q that takes %q: %s", label, fill[label], words(form))
			continue
		}
		if name := get(b, "name"); name != "" {
			f.add(name, get(b, "value"))
		}
		r.submit(form, f)
		return
	}
	r.b.t.Fatalf("%s: the button %q can't be pressed; %s\n%s", r.name, button, why, r.Text())
}

// buttons are those that can be pressed and begin with a text; those that say nothing
// else come first.
func (r *Reader) buttons(text string) (out []*html.Node) {
	can := all(r.page, func(n *html.Node) bool {
		return n.DataAtom == atom.Button && get(n, "type") != "button" && get(n, "aria-disabled") != "true"
	})
	for _, whole := range []bool{true, false} {
		for _, n := range can {
			exact := words(n) == text || get(n, "aria-label") == text
			if exact == whole && (exact || strings.HasPrefix(words(n), text)) {
				out = append(out, n)
			}
		}
	}
	return out
}

// Can says whether a button is there and can be pressed.
func (r *Reader) Can(button string) bool { return len(r.buttons(button)) > 0 }

// fields are what a form sends.
type fields struct {
	form *html.Node
	list []field
}

type field struct {
	name, value string
	node        *html.Node
	file        bool
}

// fields reads a form as it stands on the page.
func (r *Reader) fields(form *html.Node) *fields {
	f := &fields{form: form}
	for _, n := range all(form, func(n *html.Node) bool {
		return n.DataAtom == atom.Input || n.DataAtom == atom.Textarea || n.DataAtom == atom.Select
	}) {
		f.read(n)
	}
	return f
}

func (f *fields) read(n *html.Node) {
	x := field{name: get(n, "name"), value: get(n, "value"), node: n}
	switch {
	case x.name == "":
		return
	case n.DataAtom == atom.Textarea:
		x.value = strings.TrimPrefix(raw(n), "\n")
	case n.DataAtom == atom.Select:
		options := all(n, func(o *html.Node) bool { return o.DataAtom == atom.Option })
		for i, o := range options {
			if _, on := attr(o, "selected"); on || i == 0 {
				x.value = get(o, "value")
			}
		}
	case get(n, "type") == "radio" || get(n, "type") == "checkbox":
		if _, on := attr(n, "checked"); !on {
			return
		}
	case get(n, "type") == "file":
		x.file, x.value = true, ""
	}
	f.list = append(f.list, x)
}

// raw is a node's text as it is.
func raw(n *html.Node) string {
	var out strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			out.WriteString(c.Data)
		}
	}
	return out.String()
}

func (f *fields) add(name, value string) { f.list = append(f.list, field{name: name, value: value}) }

// fillAll fills everything in; it gives the label of what does not fit, "" where all
// does.
func (f *fields) fillAll(fill typed) (label string) {
	for label, value := range fill {
		if !f.fill(label, value) {
			return label
		}
	}
	return ""
}

// fill types a value into the field with a label, or chooses the option that says it.
func (f *fields) fill(label, value string) bool {
	group := called(all(f.form, func(n *html.Node) bool { return n.DataAtom == atom.Legend }), label)
	if group != nil {
		return f.pick(group.Parent, value)
	}
	l := called(all(f.form, func(n *html.Node) bool { return n.DataAtom == atom.Label }), label)
	if l == nil {
		return false
	}
	for i, x := range f.list {
		if get(x.node, "id") != get(l, "for") {
			continue
		}
		if x.node.DataAtom == atom.Select {
			o := called(all(x.node, func(o *html.Node) bool { return o.DataAtom == atom.Option }), value)
			if o == nil {
				return false
			}
			value = get(o, "value")
		}
		f.list[i].value = value
		return true
	}
	return f.pick(f.form, label)
}

// pick chooses a radio button or a box by its words.
func (f *fields) pick(in *html.Node, text string) bool {
	l := called(all(in, func(n *html.Node) bool { return n.DataAtom == atom.Label }), text)
	if l == nil {
		return false
	}
	found := all(in, func(n *html.Node) bool { return n.DataAtom == atom.Input && get(n, "id") == get(l, "for") })
	if len(found) == 0 {
		return false
	}
	n := found[0]
	if get(n, "type") == "radio" { // one of them counts
		f.list = slices.DeleteFunc(f.list, func(x field) bool { return x.name == get(n, "name") })
	}
	f.add(get(n, "name"), get(n, "value"))
	return true
}

// submit sends a form as its page says.
func (r *Reader) submit(form *html.Node, f *fields) {
	r.b.t.Helper()
	to, err := r.at.Parse(get(form, "action"))
	r.b.Must(err)
	if m := strings.ToLower(get(form, "method")); m != "post" {
		r.b.t.Fatalf("%s: the form of %s is sent by %q", r.name, to.Path, m)
	}
	body, kind := f.urlencoded()
	if get(form, "enctype") == "multipart/form-data" {
		body, kind, err = f.multipart()
		r.b.Must(err)
	}
	req, err := http.NewRequest(http.MethodPost, to.String(), bytes.NewReader(body))
	r.b.Must(err)
	req.Header.Set("Content-Type", kind)
	r.send(req)
}

func (f *fields) urlencoded() (body []byte, kind string) {
	v := url.Values{}
	for _, x := range f.list {
		v.Add(x.name, strings.ReplaceAll(x.value, "\n", "\r\n")) // as browsers send line ends
	}
	return []byte(v.Encode()), "application/x-www-form-urlencoded"
}

func (f *fields) multipart() (body []byte, kind string, err error) {
	var out bytes.Buffer
	m := multipart.NewWriter(&out)
	for _, x := range f.list {
		if !x.file {
			err = m.WriteField(x.name, strings.ReplaceAll(x.value, "\n", "\r\n"))
		} else {
			err = addFile(m, x.name, x.value)
		}
		if err != nil {
			return nil, "", err
		}
	}
	err = m.Close()
	return out.Bytes(), m.FormDataContentType(), err
}

// addFile adds the file at a path; without one it is what a browser sends for a file
// that nobody chose.
func addFile(m *multipart.Writer, field, path string) error {
	var content []byte
	if path != "" {
		var err error
		if content, err = os.ReadFile(path); err != nil {
			return err
		}
	}
	w, err := m.CreateFormFile(field, path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// SignIn signs somebody in by name and password, as one who stands before the page.
func (r *Reader) SignIn(name, password string) {
	r.b.t.Helper()
	r.Open("/")
	r.Press("Sign in", typed{"Name": name, "Password": password})
	if r.status != http.StatusOK || strings.HasPrefix(r.at.Path, "/sign-in") {
		r.b.t.Fatalf("%s can't sign in: %d\n%s", name, r.status, r.Text())
	}
}

func (r *Reader) String() string { return fmt.Sprintf("%s at %s:\n%s", r.name, r.at.Path, r.Text()) }
