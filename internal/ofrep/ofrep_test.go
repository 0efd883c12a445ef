package ofrep

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/feature"
)

func flags() []feature.Flag {
	on, off := json.RawMessage("true"), json.RawMessage("false")
	return []feature.Flag{
		{Key: "checkout", Value: on, Off: off, Public: true},
		{Key: "team/search:v2", Value: on, Off: off},
		{Key: "broken", Value: json.RawMessage("{"), Off: off},
	}
}

func orders() map[string]feature.Order {
	return map[string]feature.Order{
		"checkout": {Value: json.RawMessage("false"), Lever: "close-checkout", Incident: "01J", By: "anna", Since: "2026-03-12T02:07:00Z"},
		"nowhere":  {Value: json.RawMessage("false")},
	}
}

func server(v *View) *Server {
	s := New(Options{})
	if v != nil {
		s.Set(v)
	}
	return s
}

func ask(t *testing.T, s *Server, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

const one = "/ofrep/v1/evaluate/flags/checkout"

func TestAnswers(t *testing.T) {
	t.Parallel()
	calm, pulled := Compile(flags(), nil), Compile(flags(), orders()).At(3, 42)
	big := `{"context":{"targetingKey":"` + strings.Repeat("x", MaxBody) + `"}}`
	for name, c := range map[string]struct {
		view   *View
		method string
		target string
		body   string
		status int
		want   string // the whole body, or its beginning when it ends in …
	}{
		"calm":             {calm, "POST", one, `{"context":{"targetingKey":"u1"}}`, 200, `{"key":"checkout","value":true,"reason":"STATIC","variant":"on","metadata":{}}`},
		"pulled":           {pulled, "POST", one, `{"context":{}}`, 200, `{"key":"checkout","value":false,"reason":"STATIC","variant":"off","metadata":{"by":"anna","incident":"01J","lever":"close-checkout","since":"2026-03-12T02:07:00Z"}}`},
		"no body":          {calm, "POST", one, ``, 200, `{"key":"checkout"…`},
		"no context":       {calm, "POST", one, `{}`, 200, `{"key":"checkout"…`},
		"context null":     {calm, "POST", one, `{"context":null}`, 200, `{"key":"checkout"…`},
		"unknown members":  {calm, "POST", one, `{"context":{"a":[1,{}]},"later":1}`, 200, `{"key":"checkout"…`},
		"escaped key":      {calm, "POST", "/ofrep/v1/evaluate/flags/team%2Fsearch%3av2", `{}`, 200, `{"key":"team/search:v2"…`},
		"key as it is":     {calm, "POST", "/ofrep/v1/evaluate/flags/team/search:v2", `{}`, 200, `{"key":"team/search:v2"…`},
		"unknown flag":     {calm, "POST", "/ofrep/v1/evaluate/flags/nope", `{}`, 404, `{"key":"nope","errorCode":"FLAG_NOT_FOUND"…`},
		"ordered, unknown": {pulled, "POST", "/ofrep/v1/evaluate/flags/nowhere", `{}`, 404, `{"key":"nowhere","errorCode":"FLAG_NOT_FOUND"…`},
		"flag broken":      {calm, "POST", "/ofrep/v1/evaluate/flags/broken", `{}`, 400, `{"key":"broken","errorCode":"PARSE_ERROR"…`},
		"body not JSON":    {calm, "POST", one, `{`, 400, `{"key":"checkout","errorCode":"PARSE_ERROR"…`},
		"two values":       {calm, "POST", one, `{} {}`, 400, `{"key":"checkout","errorCode":"PARSE_ERROR"…`},
		"body a list":      {calm, "POST", one, `[]`, 400, `{"key":"checkout","errorCode":"PARSE_ERROR"…`},
		"body a form":      {calm, "POST", one, `context=a`, 400, `{"key":"checkout","errorCode":"PARSE_ERROR"…`},
		"context text":     {calm, "POST", one, `{"context":"u1"}`, 400, `{"key":"checkout","errorCode":"INVALID_CONTEXT"…`},
		"context list":     {calm, "POST", one, `{"context":[]}`, 400, `{"key":"checkout","errorCode":"INVALID_CONTEXT"…`},
		"body too large":   {calm, "POST", one, big, 400, `{"key":"checkout","errorCode":"INVALID_CONTEXT"…`},
		"context of 1 MB":  {calm, "POST", one, `{"context":{"x":"` + strings.Repeat("y", 1<<20) + `"}}`, 400, `{"key":"checkout","errorCode":"INVALID_CONTEXT"…`},
		"key not UTF-8":    {calm, "POST", "/ofrep/v1/evaluate/flags/%ff%fe", `{}`, 404, `{"key":"\ufffd\ufffd","errorCode":"FLAG_NOT_FOUND"…`},
		"member escaped":   {calm, "POST", one, `{"cont\u0065xt":[]}`, 400, `{"key":"checkout","errorCode":"INVALID_CONTEXT"…`},
		"the last counts":  {calm, "POST", one, `{"context":[],"context" : {} , "n":1e3}`, 200, `{"key":"checkout"…`},
		"bulk":             {calm, "POST", "/ofrep/v1/evaluate/flags", `{}`, 200, `{"flags":[{"key":"checkout","value":true,"reason":"STATIC","variant":"on","metadata":{}}],"metadata":{},"eventStreams":[{"type":"sse","endpoint":{"requestUri":"/ofrep/v1/streams"},"inactivityDelaySec":120}]}`},
		"bulk, pulled":     {pulled, "POST", "/ofrep/v1/evaluate/flags", `{}`, 200, `{"flags":[{"key":"checkout","value":false,"reason":"STATIC","variant":"off","metadata":{"incident":"01J","lever":"close-checkout","since":"2026-03-12T02:07:00Z"}}]…`},
		"bulk not JSON":    {calm, "POST", "/ofrep/v1/evaluate/flags", `{`, 400, `{"errorCode":"PARSE_ERROR"…`},
		"bulk, no object":  {calm, "POST", "/ofrep/v1/evaluate/flags", `{"context":1}`, 400, `{"errorCode":"INVALID_CONTEXT"…`},
		"stream by POST":   {calm, "POST", "/ofrep/v1/streams", ``, 405, `{"errorCode":"GENERAL"…`},
		"bulk with slash":  {calm, "POST", "/ofrep/v1/evaluate/flags/", `{}`, 200, `{"flags":[…`},
		"wrong method":     {calm, "GET", one, ``, 405, `{"key":"checkout","errorCode":"GENERAL"…`},
		"bulk by GET":      {calm, "GET", "/ofrep/v1/evaluate/flags", ``, 405, `{"errorCode":"GENERAL"…`},
		"elsewhere":        {calm, "POST", "/ofrep/v1/configuration", ``, 404, `{"errorDetails":"nothing is here…`},
		"not ready":        {nil, "POST", one, `{}`, 503, `{"key":"checkout","errorCode":"GENERAL","errorDetails":"no flags…`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, server(c.view), c.method, c.target, c.body)
			if w.Code != c.status {
				t.Fatalf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			got := w.Body.String()
			if begin, cut := strings.CutSuffix(c.want, "…"); cut && !strings.HasPrefix(got, begin) || !cut && got != c.want {
				t.Errorf("body %s\nwant %s", got, c.want)
			}
			checkHeaders(t, w, c.view)
		})
	}
}

// checkHeaders holds what is true of every answer with a body.
func checkHeaders(t *testing.T, w *httptest.ResponseRecorder, v *View) {
	t.Helper()
	h := w.Header()
	for name, want := range map[string]string{
		"Content-Type":                  "application/json",
		"Content-Length":                strconv.Itoa(w.Body.Len()),
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Expose-Headers": "ETag, Retry-After, Lifeboat-Revision",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if w.Code == http.StatusMethodNotAllowed && !strings.HasSuffix(h.Get("Allow"), ", OPTIONS") {
		t.Errorf("Allow: %q", h.Get("Allow"))
	}
	if w.Code == http.StatusServiceUnavailable && h.Get("Retry-After") != "1" {
		t.Errorf("Retry-After: %q", h.Get("Retry-After"))
	}
	if w.Code == http.StatusOK && h.Get(RevisionHeader) != v.revision {
		t.Errorf("%s: %q, want %q", RevisionHeader, h.Get(RevisionHeader), v.revision)
	}
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("not JSON: %s", w.Body)
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	w := ask(t, server(Compile(flags(), nil).At(3, 42)), "POST", one, "{}")
	if got := w.Header().Get(RevisionHeader); got != "3.42" {
		t.Errorf("revision %q, want 3.42", got)
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	for _, target := range []string{one, "/ofrep/v1/evaluate/flags"} {
		w := ask(t, server(nil), "OPTIONS", target, "")
		h := w.Header()
		if w.Code != 204 || w.Body.Len() != 0 || h.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", target, w.Code, h)
		}
		for _, name := range []string{"Content-Type", "If-None-Match", "X-API-Key", "Authorization"} {
			if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s may not be sent to %s", name, target)
			}
		}
	}
}

func TestLongKeyMakesShortAnswer(t *testing.T) {
	t.Parallel()
	w := ask(t, server(Compile(nil, nil)), "POST", "/ofrep/v1/evaluate/flags/"+strings.Repeat("%C3%A9", 4000), "{}")
	if w.Code != 404 || w.Body.Len() > 1000 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	s := server(nil)
	ask(t, s, "POST", one, "{}")
	s.Set(Compile(flags(), nil))
	ask(t, s, "POST", one, "{}")
	ask(t, s, "POST", one, "{}")
	ask(t, s, "POST", one, "{")
	ask(t, s, "POST", "/ofrep/v1/evaluate/flags", "{}")
	ask(t, s, "POST", "/ofrep/v1/evaluate/flags/nope", "{}")
	if got, want := s.Counts(), (Counts{Answered: 2, Unknown: 1, Refused: 1, NotReady: 1, Bulk: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// oneWrite notices an answer that is given in pieces.
type oneWrite struct {
	http.ResponseWriter
	writes int
}

func (w *oneWrite) Write(b []byte) (int, error) { w.writes++; return w.ResponseWriter.Write(b) }

func TestOneWrite(t *testing.T) {
	t.Parallel()
	w := &oneWrite{ResponseWriter: httptest.NewRecorder()}
	server(Compile(flags(), nil)).ServeHTTP(w, httptest.NewRequest("POST", one, strings.NewReader("{}")))
	if w.writes != 1 {
		t.Errorf("%d writes, want 1", w.writes)
	}
}

// A request sees the old view or the new one, never a mixture, and the flip is
// seen by the next request.
func TestSetWhileAnswering(t *testing.T) {
	t.Parallel()
	s := server(Compile(flags(), nil).At(1, 1))
	views := []*View{Compile(flags(), nil).At(1, 1), Compile(flags(), orders()).At(1, 2)}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				w := ask(t, s, "POST", one, "{}")
				off := strings.Contains(w.Body.String(), `"value":false`)
				if off != (w.Header().Get(RevisionHeader) == "1.2") {
					t.Errorf("revision %s with %s", w.Header().Get(RevisionHeader), w.Body)
					return
				}
			}
		})
	}
	for i := range 200 {
		s.Set(views[i%2])
	}
	group.Wait()
}

func TestServe(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	s := New(Options{Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	s.Set(Compile(flags(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	res, err := http.Post("http://"+ln.Addr().String()+one, "application/json", strings.NewReader(`{"context":"secret"}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 400 || res.ContentLength != int64(len(body)) {
		t.Errorf("%d %d %s %v", res.StatusCode, res.ContentLength, body, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
	if strings.Contains(logged.String()+string(body), "secret") {
		t.Error("something of the request's body was told on")
	}
}

// A client that sends its request a byte at a time is cut off. The pipe has
// deadlines, so the bubble's clock decides.
func TestSlowClientIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, ours := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(Options{}).Serve(ctx, newPipeListener(ours)) }()
		go io.Copy(io.Discard, client) // ends when either side is closed
		began := time.Now()
		for _, b := range []byte("POST " + one + " HTTP/1.1\r\nHost: a\r\n") {
			if _, err := client.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > headerTimeout+2*time.Second {
			t.Errorf("a slow client was kept for %v", took)
		}
		client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pipeListener hands out one connection and then waits for its end.
type pipeListener struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newPipeListener(c net.Conn) *pipeListener {
	l := &pipeListener{conns: make(chan net.Conn, 1), ended: make(chan struct{})}
	l.conns <- c
	return l
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.ended) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func FuzzBody(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"context":{}}`, `{"context":[]}`, `{"context":`, "\xff", `{"context":{"a":` + strings.Repeat("[", 100)} {
		f.Add("checkout", []byte(seed))
	}
	s := server(Compile(flags(), orders()))
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		r := httptest.NewRequest("POST", one, bytes.NewReader(body))
		r.URL.Path, r.URL.RawPath = "/ofrep/v1/evaluate/flags/"+key, ""
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("not JSON: %s", w.Body)
		}
		if w.Code == 200 && len(bytes.TrimSpace(body)) > 0 && !json.Valid(body) {
			t.Fatalf("a body that is not JSON was taken: %q", body)
		}
	})
}

// BenchmarkSingle is the price of one evaluation without the network.
func BenchmarkSingle(b *testing.B) {
	s := server(Compile(flags(), orders()))
	r := httptest.NewRequest("POST", one, nil)
	body := []byte(`{"context":{"targetingKey":"u1"}}`)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.Body.Reset()
		s.ServeHTTP(w, r)
	}
}
