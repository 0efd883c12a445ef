package api_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/capture"
	"lifeboat/internal/engine"
	"lifeboat/internal/evidence"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// keeping is a boat that keeps evidence.
func keeping(b *boat) {
	bodies, err := evidence.Open(filepath.Join(b.t.TempDir(), "evidence"), 64<<20)
	if err != nil {
		b.t.Fatal(err)
	}
	b.with.Bodies = bodies
}

// upload sends a file as evidence.
func upload(b *boat, name, kind, content string, want int) reply {
	b.t.Helper()
	return b.do("POST", "/api/v1/sites/shop/evidence?name="+url.QueryEscape(name)+"&title=What+it+shows", content, want, "Content-Type", kind)
}

func picture(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestFilesOfOneCaller: nobody fills the folder of evidence in a minute, and nobody else's
// file, no note and nothing that leads to safety waits for that.
func TestFilesOfOneCaller(t *testing.T) {
	t.Parallel()
	b := launch(t, keeping)
	b.do("POST", "/api/v1/sites/shop/declare", nil, 200)
	id := ""
	for i := range 20 {
		id = decode[api.Result](t, upload(b, "a.log", "text/plain", strings.Repeat("x", i+1), 200)).Incident.ID
	}
	if r := upload(b, "a.log", "text/plain", "one more", 429); r.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After: %q", r.header.Get("Retry-After"))
	}
	b.do("POST", "/api/v1/sites/shop/notes", map[string]any{"text": "a note"}, 200)
	b.do("POST", "/api/v1/sites/shop/evidence/notes", map[string]any{"title": "no file"}, 200)
	b.do("GET", "/api/v1/incidents/"+id+"/evidence/e1", nil, 200)
	if r := send(t, b.handler, "POST", "/api/v1/sites/shop/evidence?name=a", b.as[role.Reporter], "another's"); r.status != 200 {
		t.Errorf("somebody else's file: %d %s", r.status, r.body)
	}
	b.clock.advance(5 * time.Second)
	upload(b, "a.log", "text/plain", "one more", 200)
}

// TestEvidenceIsSafe: a body comes back as it was sent, and nothing of it can run, whatever
// it is called.
func TestEvidenceIsSafe(t *testing.T) {
	t.Parallel()
	b := launch(t, keeping)
	b.do("POST", "/api/v1/sites/shop/declare", nil, 200)
	for i, c := range []struct{ name, sent, content, kind, how string }{
		{"error.log", "text/plain", "pool exhausted\n", "text/plain; charset=utf-8", `inline; filename=error.log`},
		{"page.html", "text/html", "<script>alert(1)</script>", "text/plain; charset=utf-8", "inline; filename=page.html"},
		{"drawing.svg", "image/svg+xml", `<svg onload="alert(1)"/>`, "text/plain; charset=utf-8", "inline; filename=drawing.svg"},
		{"screen.png", "image/png", picture(t), "image/png", "inline; filename=screen.png"},
		{"screen.png", "image/png", "\x00\x01 no image", "application/octet-stream", "attachment; filename=screen.png"},
		{"core", "text/plain", "\x7fELF\x00\x01", "application/octet-stream", "attachment; filename=core"},
		{"../../etc/pässwd\"\r\n\u202ex", "", "x", "text/plain; charset=utf-8", "inline; filename*=utf-8''p%C3%A4sswd%22x"},
		{"/", "", "y", "text/plain; charset=utf-8", "inline; filename=e8"},
	} {
		res := decode[api.Result](t, upload(b, c.name, c.sent, c.content, 200))
		x := res.Incident.Evidence[i]
		if x.Size != int64(len(c.content)) || x.SHA256 == "" || x.Title != "What it shows" {
			t.Errorf("%q: %+v", c.name, x)
		}
		r := b.do("GET", "/api/v1/incidents/"+res.Incident.ID+"/evidence/"+x.ID, nil, 200)
		if string(r.body) != c.content {
			t.Errorf("%q came back as %q", c.name, r.body)
		}
		for name, want := range map[string]string{
			"Content-Type": c.kind, "Content-Disposition": c.how, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Etag": `"` + x.SHA256 + `"`,
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%q: %s is %q, want %q", c.name, name, got, want)
			}
		}
		if csp := r.header.Get("Content-Security-Policy"); !strings.Contains(csp, "sandbox") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%q: policy %q", c.name, csp)
		}
	}
}

// TestEvidenceTakenAway: what is redacted is gone, and the list says why.
func TestEvidenceTakenAway(t *testing.T) {
	t.Parallel()
	b := launch(t, keeping)
	b.do("POST", "/api/v1/sites/shop/declare", nil, 200)
	res := decode[api.Result](t, upload(b, "error.log", "text/plain", "ada@example.com", 200))
	at := "/api/v1/incidents/" + res.Incident.ID + "/evidence"
	b.do("GET", at+"/e1", nil, 206, "Range", "bytes=0-2")
	b.do("POST", at+"/e1/redact", api.ReasonBody{}, 422)
	b.do("POST", at+"/e1/redact", api.ReasonBody{Reason: "It shows a customer's address."}, 200)
	r := b.do("GET", at+"/e1", nil, 404)
	if !strings.Contains(string(r.body), "customer's address") {
		t.Errorf("taken away: %s", r.body)
	}
	list := decode[api.EvidenceList](t, b.do("GET", at, nil, 200))
	if len(list.Evidence) != 1 || list.Evidence[0].Redacted == "" || list.Evidence[0].SHA256 != "" {
		t.Errorf("list: %+v", list)
	}
	b.do("GET", at+"/e2", nil, 404)
	b.do("POST", "/api/v1/sites/shop/evidence/notes", api.EvidenceNoteBody{Title: "0 of 2 healthy", Text: "says the load balancer"}, 200)
	b.do("GET", at+"/e2", nil, 404) // it has no body
}

// endless is a body that never stops.
type endless struct{ sent int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.sent > 3*engine.MaxFile {
		return 0, fmt.Errorf("%d bytes were read", e.sent)
	}
	e.sent += int64(len(b))
	return len(b), nil
}

// TestHostileFiles: too large, told or not; broken off; empty; for no incident.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	b := launch(t, keeping)
	upload(b, "a", "", "x", 404) // nothing is open
	b.do("POST", "/api/v1/sites/shop/declare", nil, 200)
	send := func(body io.Reader, length int64, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/sites/shop/evidence?name=x", body)
		req.Header.Set("Authorization", "Bearer "+b.raw)
		req.ContentLength = length
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, req)
		return w
	}
	told, untold := &endless{}, &endless{}
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		want   int
	}{
		"told":       {told, 1 << 40, 413},
		"untold":     {untold, -1, 413},
		"breaks off": {io.MultiReader(strings.NewReader(strings.Repeat("x", 1000)), failing{}), -1, 422},
		"at once":    {failing{}, -1, 422},
		"empty":      {http.NoBody, 0, 422},
	} {
		w := send(c.body, c.length)
		if w.Code != c.want || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if closes := w.Header().Get("Connection") == "close"; closes != (c.want == http.StatusRequestEntityTooLarge) {
			t.Errorf("%s: the line is closed: %t", name, closes)
		}
	}
	if told.sent > 13<<20 { // read on and thrown away, so that the reason arrives
		t.Errorf("%d bytes were read of a file that says that it is too large", told.sent)
	}
	if untold.sent > engine.MaxFile+14<<20 {
		t.Errorf("%d bytes were read of a file that is too large", untold.sent)
	}
	if in := decode[api.SiteIncident](t, b.do("GET", "/api/v1/sites/shop/incident", nil, 200)); len(in.Incident.Evidence) > 0 {
		t.Errorf("evidence: %+v", in.Incident.Evidence)
	}
	for range 2 {
		if w := send(strings.NewReader("x"), 1, "Idempotency-Key", "a"); w.Code != 200 {
			t.Errorf("with a key: %d %s", w.Code, w.Body)
		}
	}
	if in := decode[api.SiteIncident](t, b.do("GET", "/api/v1/sites/shop/incident", nil, 200)); len(in.Incident.Evidence) != 1 {
		t.Errorf("a file with a key is there %d times", len(in.Incident.Evidence))
	}
	b.do("POST", "/api/v1/sites/shop/evidence?x=1", "x", 422)
	b.do("POST", "/api/v1/sites/shop/evidence?title="+strings.Repeat("x", 400), "x", 422)
}

// asking is a feed that takes captures.
type asking struct {
	*wire
	asked chan capture.Job
}

func (a asking) Capture(_ context.Context, j capture.Job) error {
	a.asked <- j
	return nil
}

// TestCaptureNow: answer is asked, and nothing is waited for.
func TestCaptureNow(t *testing.T) {
	t.Parallel()
	b := launch(t, keeping)
	b.do("POST", "/api/v1/sites/shop/evidence/capture", nil, 404)
	b.do("POST", "/api/v1/sites/shop/declare", nil, 200)
	if r := b.do("POST", "/api/v1/sites/shop/evidence/capture", nil, 501); !strings.Contains(string(r.body), "capture") {
		t.Errorf("an answer that can't: %s", r.body)
	}
	feed := asking{b.wire, make(chan capture.Job, 1)}
	if err := b.engine.Start(t.Context(), feed); err != nil {
		t.Fatal(err)
	}
	b.do("POST", "/api/v1/sites/shop/evidence/capture", nil, 202)
	if j := <-feed.asked; j.Site != "shop" || j.Incident == "" {
		t.Errorf("asked for %+v", j)
	}
}

// FuzzFileName: no name breaks the header that carries it.
func FuzzFileName(f *testing.F) {
	for _, seed := range []string{"a.log", "..", "/", `C:\x\y.txt`, "a\r\nSet-Cookie: x", "\u202egpj.exe", "\xff", strings.Repeat("ä", 100), `"; filename=x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := api.Disposition(incident.Evidence{ID: "e1", Name: name})
		if strings.ContainsAny(got, "\r\n\x00") || !strings.HasPrefix(got, "attachment; filename") || strings.Contains(got, "/") {
			t.Errorf("%q becomes %q", name, got)
		}
	})
}
