package action_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/fault"
	"lifeboat/internal/webhook"
)

func receiver(t *testing.T, h http.HandlerFunc) action.Action {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return action.Action{Name: "purge", Site: "shop", Webhook: &action.Webhook{URL: s.URL + "/secret-in-the-path", Secret: []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	var got *http.Request
	var body []byte
	a := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, "purged\x1b")
	})
	out := action.New(action.Options{Now: func() time.Time { return now }}).Run(t.Context(), a, in)
	if !out.OK || out.Status != 200 || out.ExitCode != -1 || out.Text != `purged\x1b` || out.Problem != "" || out.Unknown {
		t.Errorf("%+v", out)
	}
	want := `{"type":"action.do","timestamp":"2026-11-22T03:00:00Z","data":{"operation":"do","incident":"i1","fix":"f1","site":"shop","action":"purge","key":"k1"}}`
	key, err := webhook.Key(a.Webhook.Secret)
	if err != nil || string(body) != want || got.Header.Get("Idempotency-Key") != "k1" || got.Header.Get("webhook-id") != "k1" ||
		got.Header.Get("webhook-signature") != webhook.Sign(key, "k1", now, body) {
		t.Errorf("%s, %v, %v", body, got.Header, err)
	}
}

func TestWebhookFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		want    string
		status  int
		unknown bool
	}{
		"no": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "not today", http.StatusServiceUnavailable)
		}, "503 Service Unavailable", 503, false},
		"a redirect":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "302 Found", 302, false},
		"no answer":   {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() }, "in time", 0, true},
		"it hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "can't be reached", 0, true},
		"huge":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = w.Write(make([]byte, 1<<20)) }, "500", 500, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := receiver(t, c.answer)
			a.Deadline = 20 * time.Second
			if name == "no answer" {
				a.Deadline = 100 * time.Millisecond
			}
			out := run(t, a)
			if out.OK || out.Status != c.status || out.Unknown != c.unknown || !strings.Contains(out.Problem, c.want) || len(out.Text) > action.MaxText || out.Truncated != (name == "huge") {
				t.Errorf("%+v", out)
			}
			if strings.Contains(out.Problem+out.Text, "secret-in") {
				t.Errorf("tells the URL: %+v", out)
			}
		})
	}
	gone := action.Action{Name: "a", Webhook: &action.Webhook{URL: "http://127.0.0.1:1/secret-in-the-path"}}
	if out := run(t, gone); out.OK || out.Unknown || strings.Contains(out.Problem, "secret-in") {
		t.Errorf("nobody there: %+v", out)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	fine := sh("echo")
	fine.Undo = &action.Action{Webhook: &action.Webhook{URL: "https://ops.example.com/undo"}}
	if err := fine.Check(); err != nil {
		t.Fatal(err)
	}
	for place, change := range map[string]func(*action.Action){
		"name:":          func(a *action.Action) { a.Name = "" },
		"exec: the act":  func(a *action.Action) { a.Exec = nil },
		"exec: the prog": func(a *action.Action) { a.Exec[0] = "" },
		"exec: \"bin/sh": func(a *action.Action) { a.Exec[0] = "bin/sh" },
		"exec: a word":   func(a *action.Action) { a.Exec[2] = "\x00" },
		"webhook:":       func(a *action.Action) { a.Webhook = &action.Webhook{} },
		"webhook.url:":   func(a *action.Action) { a.Exec, a.Webhook = nil, &action.Webhook{URL: "ftp://secret"} },
		"webhook.secret:": func(a *action.Action) {
			a.Exec, a.Webhook = nil, &action.Webhook{URL: "https://a.example", Secret: []byte("whsec_secret")}
		},
		"deadline:":      func(a *action.Action) { a.Deadline = 2 * time.Hour },
		"undo.exec:":     func(a *action.Action) { a.Undo = &action.Action{} },
		"undo.deadline:": func(a *action.Action) { a.Undo = &action.Action{Exec: []string{"true"}, Deadline: -1} },
		"undo.undo:":     func(a *action.Action) { a.Undo = &action.Action{Exec: []string{"true"}, Undo: &action.Action{}} },
	} {
		a := sh("echo")
		change(&a)
		err := a.Check()
		if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), place) || strings.Contains(err.Error(), "secret\"") {
			t.Errorf("%s %v", place, err)
		}
	}
}
