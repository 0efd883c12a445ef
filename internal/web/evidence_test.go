package web

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// sends uploads a file with what is typed beside it, as a browser does.
func (b *browser) sends(title, text, name, kind string, body io.Reader) *sheet {
	b.t.Helper()
	form := b.open("/sites/shop/evidence")
	key := ""
	for _, n := range form.all("input") {
		if get(n, "name") == "key" && inside(n, "main") {
			key = get(n, "value")
		}
	}
	pipe, feed := io.Pipe()
	w := multipart.NewWriter(feed)
	go func() { // ends with the request, which closes its side of the pipe
		_ = w.WriteField("key", key)
		_ = w.WriteField("title", title)
		_ = w.WriteField("text", text)
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename=%q`, name)}, "Content-Type": {kind}})
		if err == nil {
			_, err = io.Copy(part, body)
		}
		if err == nil {
			err = w.Close()
		}
		_ = feed.CloseWithError(err)
	}()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+"/sites/shop/evidence", pipe)
	must(b.t, err)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return b.send(r)
}

// TestWordsBeforeTheFile: a file whose words will be refused is not taken in: its body would
// belong to nothing, and stay.
func TestWordsBeforeTheFile(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	br := browse(t, b.handler())
	br.enter(b)
	for _, words := range [][2]string{{strings.Repeat("é", 301), ""}, {"what it shows", strings.Repeat("x", 4001)}} {
		body := strings.NewReader(strings.Repeat("z", 1<<20))
		br.sends(words[0], words[1], "a.log", "text/plain", body).want(http.StatusBadRequest, "characters")
	}
	if kept := b.kept(); kept != 0 {
		t.Errorf("%d bodies are kept that belong to nothing", kept)
	}
	br.sends(strings.Repeat("é", 300), strings.Repeat("x", 4000), "a.log", "text/plain", strings.NewReader("y")).want(http.StatusOK, "added evidence")
	if kept := b.kept(); kept != 1 {
		t.Errorf("%d bodies are kept", kept)
	}
}

// TestManyFiles: nobody fills the folder of evidence in a minute; what was typed is given
// back, and neither a note nor somebody else's file waits.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	b.person("jonas", "Jonas", role.Operator)
	h := b.handler()
	br := browse(t, h)
	br.enter(b)
	for i := range filesAtOnce {
		br.sends("one of many", "", "a.log", "text/plain", strings.NewReader(fmt.Sprint("file ", i))).want(http.StatusOK, "added evidence")
	}
	if late := br.sends("one too many", "", "a.log", "text/plain", strings.NewReader("x")).want(http.StatusServiceUnavailable, "many files"); !strings.Contains(late.raw, `value="one too many"`) {
		t.Error("what was typed is gone")
	}
	if got := len(b.in().Evidence); got != filesAtOnce {
		t.Errorf("%d files are kept", got)
	}
	br.post("/sites/shop/note", url.Values{"text": {"a note all the same"}}).want(http.StatusOK)
	other := browse(t, h)
	other.enterAs("jonas")
	other.sends("another's", "", "a.log", "text/plain", strings.NewReader("y")).want(http.StatusOK, "added evidence")
	b.wait(fileEvery)
	br.sends("the next", "", "a.log", "text/plain", strings.NewReader("z")).want(http.StatusOK, "added evidence")
}

func TestUpload(t *testing.T) {
	t.Parallel()
	page := []byte("<html><script>alert(1)</script>")
	cases := []struct {
		name, file, kind string
		body             []byte
		says             string
		shown            string // image, text or file
	}{
		{"image", "page.png", "image/png", pixel, "added evidence e1", "image"},
		{"log", "shop.log", "text/plain", []byte("02:58 too many clients\n"), "added evidence e1", "text"},
		{"page", "page.html", "text/html", page, "added evidence e1", "text"},
		{"not an image", "page.png", "image/png", []byte("\x00\x01 this is none"), "It is called an image but is not one; it is kept as a file.", "file"},
		{"drawing", "x.svg", "image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "It is a drawing that could hold a program; it is shown as text.", "text"},
		{"any bytes", "dump.bin", "application/octet-stream", []byte{0, 1, 2, 255}, "added evidence e1", "file"},
		{"a name that is none", "../../etc/passwd", "text/plain", []byte("root"), "added evidence e1", "text"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			declared(b)
			br := browse(t, b.handler())
			br.enter(b)
			br.sends("what it shows", "and more", c.file, c.kind, bytes.NewReader(c.body)).want(http.StatusOK, c.says)
			here := "/incidents/" + b.in().ID + "/evidence/e1"
			p := br.open(here).want(http.StatusOK, "what it shows", "and more", "SHA-256")
			checkPage(t, p)
			file := br.open(here + "/file").want(http.StatusOK)
			if file.raw != string(c.body) {
				t.Errorf("came back as %q", file.raw)
			}
			harmless(t, file, "application/octet-stream", "attachment")
			image := br.open(here + "/image")
			if c.shown == "image" {
				harmless(t, image.want(http.StatusOK), "image/png", "inline")
			} else {
				image.want(http.StatusNotFound, "is not an image that can be shown")
			}
			if pre := len(p.all("pre")) > 0; pre != (c.shown == "text") || (len(p.all("img")) > 0) != (c.shown == "image") {
				t.Errorf("shown as another sort than %s:\n%s", c.shown, p.raw)
			}
		})
	}
}

// harmless: no browser takes the bytes for more than they are said to be.
func harmless(t *testing.T, p *sheet, kind, how string) {
	t.Helper()
	h := p.header
	if h.Get("Content-Type") != kind || h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Disposition"), how+";") {
		t.Errorf("%s: %v", p.url, h)
	}
	if c := h.Get("Content-Security-Policy"); !strings.Contains(c, "sandbox") || !strings.Contains(c, "default-src 'none'") {
		t.Errorf("%s: the policy is %q", p.url, c)
	}
	if strings.ContainsAny(h.Get("Content-Disposition"), "/\\") {
		t.Errorf("%s: %s", p.url, h.Get("Content-Disposition"))
	}
}

// TestBadUpload: what can't be kept is told in a sentence, and what was typed is there
// again.
func TestBadUpload(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	br := browse(t, b.handler())
	br.enter(b)
	endless := func(n int64) io.Reader { return io.LimitReader(zeros{}, n) }
	for name, c := range map[string]struct {
		title, text string
		body        io.Reader
		says        string
	}{
		"empty":           {"an empty one", "why", bytes.NewReader(nil), "The file is empty."},
		"just too large":  {"a dump", "of it all", endless(engine.MaxFile + 1), "The file has more than 10 MB."},
		"far too large":   {"a dump", "of it all", endless(3 * engine.MaxFile), "The file has more than 10 MB."},
		"a title of 400":  {strings.Repeat("x", 400), "short", bytes.NewReader([]byte("x")), "The title has more than 300 characters."},
		"a text too long": {"a note", strings.Repeat("y", 10<<20), bytes.NewReader([]byte("x")), "What you typed has more than 16 KB, so nothing was kept."},
	} {
		t.Run(name, func(t *testing.T) {
			p := br.sends(c.title, c.text, "dump.bin", "application/octet-stream", c.body).want(http.StatusBadRequest, c.says)
			if got := p.value("title"); got != c.title {
				t.Errorf("the title came back as %q", got)
			}
			if got := p.value("text"); !strings.HasPrefix(c.text, got) || len(got) < min(len(c.text), maxTyped) {
				t.Errorf("%d bytes of the text came back, of %d", len(got), len(c.text))
			}
		})
	}
	if n := len(b.in().Evidence); n > 0 {
		t.Errorf("%d pieces were kept", n)
	}
	br.sends("what just fits", "", "dump.bin", "application/octet-stream", endless(engine.MaxFile)).want(http.StatusOK, "added evidence e1")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestBrokenUpload: a form that breaks off keeps nothing.
func TestBrokenUpload(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	h := b.handler()
	c := b.cookie(h)
	part := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nhalf"
	many := strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n", 100)
	for _, body := range []string{"", "--b", part, many, "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nhalf"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/sites/shop/evidence", strings.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		r.AddCookie(c)
		w := newRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%.40q: %d %.300s", body, w.Code, w.Body)
		}
	}
	if len(b.in().Evidence) > 0 {
		t.Errorf("kept: %+v", b.in().Evidence)
	}
}

// TestLongBody: of a long text the beginning is shown, whole characters only.
func TestLongBody(t *testing.T) {
	t.Parallel()
	text, more := firstOf(strings.NewReader(strings.Repeat("壊", maxShown)), maxShown)
	if !more || len(text) > maxShown || strings.Contains(text, "\ufffd") {
		t.Errorf("%d bytes, more: %v", len(text), more)
	}
	if text, more = firstOf(strings.NewReader("a\xffb"), maxShown); text != "a\ufffdb" || more {
		t.Errorf("%q, %v", text, more)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	attach(b, "A customer's mail", "mail.txt", "text/plain", []byte("their address"))
	br := browse(t, b.handler())
	br.enter(b)
	here := "/incidents/" + b.in().ID + "/evidence/e1"
	br.open(here).want(http.StatusOK, "their address").press("Take its body away", "text=no").want(http.StatusBadRequest, "Say why its body is taken away.")
	br.open(here).press("Take its body away", "text=it shows an address").want(http.StatusOK, "Taken away: it shows an address")
	br.open(here).want(http.StatusOK, "Its body was taken away: It shows an address.")
	for _, path := range []string{"/file", "/image"} {
		if p := br.open(here + path).want(http.StatusNotFound); strings.Contains(p.raw, "their address") {
			t.Error("it is still there")
		}
	}
}

// TestUploadByViewer: it takes a role to add evidence, and what was typed is not lost.
func TestUploadByViewer(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	b.person("vera", "Vera", role.Viewer)
	br := browse(t, b.handler())
	br.enterAs("vera")
	p := br.sends("what I saw", "and typed", "x.txt", "text/plain", strings.NewReader("x")).want(http.StatusForbidden, "Your role, viewer, may not add evidence")
	if p.value("title") != "what I saw" || p.value("text") != "and typed" {
		t.Errorf("what was typed is gone:\n%s", p.text())
	}
	if len(b.in().Evidence) > 0 {
		t.Error("a viewer added evidence")
	}
}

// TestTheEndOfALogIsShown: of a long log it is the end that counts, from a whole line on.
func TestTheEndOfALogIsShown(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a line of the log\n", maxShown/10) + "the last line\n"
	text, cutOff := shownOf(incident.Evidence{Kind: "log"}, long, false)
	if !cutOff || !strings.HasPrefix(text, "a line") || !strings.HasSuffix(text, "the last line\n") || len(text) > maxShown {
		t.Errorf("%t, %d bytes, %.20q", cutOff, len(text), text)
	}
	if text, cutOff = shownOf(incident.Evidence{Kind: "http"}, long, false); !cutOff || len(text) != maxShown {
		t.Errorf("%t, %d bytes", cutOff, len(text))
	}
	if text, cutOff = shownOf(incident.Evidence{Kind: "log"}, "short", true); !cutOff || text != "short" {
		t.Errorf("%t, %q", cutOff, text)
	}
}
