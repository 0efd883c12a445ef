package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/webhook"
)

const secretPath = "/hooks/T0-secret-in-the-path"

func receiver(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + secretPath
}

func TestPost(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	var got *http.Request
	var body []byte
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, "taken")
	})
	client := webhook.NewClient(webhook.Options{Now: func() time.Time { return now }})
	call := webhook.Call{URL: url, Key: []byte("key"), ID: "m1", IdempotencyKey: "k1", Body: []byte(`{"a":1}`)}
	a, err := client.Post(t.Context(), call)
	if err != nil || a.Err() != nil || a.Status != 202 || string(a.Text) != "taken" || !a.Sent || a.Truncated || a.RetryAfter != 90*time.Second {
		t.Fatalf("%+v, %v", a, err)
	}
	for header, want := range map[string]string{
		"Content-Type": "application/json", "Webhook-Id": "m1", "Webhook-Timestamp": "1795316400", "Idempotency-Key": "k1",
		"Webhook-Signature": webhook.Sign([]byte("key"), "m1", now, []byte(`{"a":1}`)),
	} {
		if got.Header.Get(header) != want {
			t.Errorf("%s is %q, want %q", header, got.Header.Get(header), want)
		}
	}
	if got.Method != http.MethodPost || string(body) != `{"a":1}` {
		t.Errorf("%s %s", got.Method, body)
	}
	if _, err := client.Post(t.Context(), webhook.Call{URL: url, ID: "m2", Body: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"Webhook-Signature", "Idempotency-Key"} {
		if _, has := got.Header[header]; has {
			t.Errorf("%s without being asked for", header)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "", 204: "", 299: "",
		302: "nothing is sent on",
		401: "same secret",
		404: "check its address",
		410: "wants no more",
		500: "500 Internal Server Error",
		599: "answered 599",
	} {
		err := webhook.Answer{Status: status}.Err()
		if want == "" && err != nil || want != "" && (fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A redirect is an answer: what was signed for one receiver goes to no other.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	other := receiver(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) })
	a, err := webhook.NewClient(webhook.Options{}).Post(t.Context(), webhook.Call{URL: url, ID: "m", Body: []byte("{}")})
	if err != nil || a.Status != 307 || a.Err() == nil || followed.Load() {
		t.Errorf("%+v, %v, followed %t", a, err, followed.Load())
	}
}

func TestAnswerIsBounded(t *testing.T) {
	t.Parallel()
	url := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	})
	a, err := webhook.NewClient(webhook.Options{}).Post(t.Context(), webhook.Call{URL: url, ID: "m", Body: []byte("{}")})
	if err != nil || len(a.Text) != webhook.MaxAnswer || !a.Truncated {
		t.Errorf("%d bytes, truncated %t, %v", len(a.Text), a.Truncated, err)
	}
	headers := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
	})
	if a, err := webhook.NewClient(webhook.Options{}).Post(t.Context(), webhook.Call{URL: headers, ID: "m", Body: []byte("{}")}); err == nil {
		t.Errorf("a megabyte of headers was taken: %+v", a.Status)
	}
}

// A body that breaks off after the status changes nothing: the status has said it.
func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	url := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
	})
	a, err := webhook.NewClient(webhook.Options{}).Post(t.Context(), webhook.Call{URL: url, ID: "m", Body: []byte("{}")})
	if err != nil || a.Err() != nil || string(a.Text) != "half" {
		t.Errorf("%+v, %v", a, err)
	}
}

// Whatever goes wrong is told without the URL, and says whether the receiver may
// have it.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, c := range map[string]struct {
		url, want string
		sent      bool
		dial      func(context.Context, string, string) (net.Conn, error)
	}{
		"nobody listens": {url: "http://" + closed.Addr().String() + secretPath, want: "can't be reached"},
		"dialling hangs": {url: "http://hooks.example.com" + secretPath, want: "in time", dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }},
		"no such name":   {url: "http://hooks.example.com" + secretPath, want: "no such host", dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no such host") }},
		"it never answers": {url: receiver(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			<-r.Context().Done()
		}), want: "in time", sent: true},
		"it hangs up":   {url: receiver(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), want: "can't be reached", sent: true},
		"no tls there":  {url: strings.Replace(receiver(t, func(http.ResponseWriter, *http.Request) {}), "http:", "https:", 1), want: "HTTPS"},
		"not a URL":     {url: "http://%zz" + secretPath, want: "can't be read"},
		"not for posts": {url: "gopher://hooks.example.com" + secretPath, want: "can't be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 30 * time.Second
			if c.want == "in time" {
				timeout = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			a, err := webhook.NewClient(webhook.Options{Dial: c.dial}).Post(ctx, webhook.Call{URL: c.url, ID: "m", Body: []byte("{}")})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-in-the-path") || a.Sent != c.sent {
				t.Errorf("sent %t: %v", a.Sent, err)
			}
		})
	}
}

// A proxy of the environment would see what only the receiver is meant to.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.example.com:3128")
	var dialled string
	client := webhook.NewClient(webhook.Options{Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		dialled = address
		return nil, errors.New("far enough")
	}})
	_, _ = client.Post(t.Context(), webhook.Call{URL: "http://hooks.example.com/", ID: "m", Body: []byte("{}")})
	if dialled != "hooks.example.com:80" {
		t.Errorf("dialled %q", dialled)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "0": 0, "7": 7 * time.Second, "999999": 24 * time.Hour,
		"Sun, 22 Nov 2026 03:02:00 GMT": 2 * time.Minute,
		"Sun, 22 Nov 2026 02:00:00 GMT": 0,
		"Sun, 22 Nov 2099 02:00:00 GMT": 24 * time.Hour,
	} {
		if got := webhook.RetryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}
