package apiclient_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/token"
)

// still is an engine that says what it is told to, and remembers who asked.
type still struct {
	api.Engine
	res engine.Result
	err error
	by  *incident.Actor
	got *incident.Command
}

func (s still) SiteOf(string) (string, error) { return "shop", nil }
func (s still) Do(_ context.Context, _ string, c incident.Command, by incident.Actor) (engine.Result, error) {
	*s.by, *s.got = by, c
	return s.res, s.err
}
func (s still) Overview(context.Context) (engine.Overview, error) {
	return engine.Overview{Version: "test"}, nil
}

func tokens(t *testing.T) (*token.Book, string) {
	t.Helper()
	book, err := token.New(t.Context(), mem.New(mem.Options{}), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := book.Create(t.Context(), "Ada")
	if err != nil {
		t.Fatal(err)
	}
	return book, raw
}

func client(t *testing.T, o apiclient.Options) *apiclient.Client {
	t.Helper()
	c, err := apiclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve serves an engine with tokens over TCP, and gives a client of it.
func serve(t *testing.T, e still) *apiclient.Client {
	t.Helper()
	e.by, e.got = new(incident.Actor), new(incident.Command)
	return serveEngine(t, e)
}

func serveEngine(t *testing.T, e api.Engine) *apiclient.Client {
	t.Helper()
	book, raw := tokens(t)
	srv := httptest.NewServer(api.New(api.Options{Engine: e, Tokens: book, Logger: slog.New(slog.DiscardHandler), Now: time.Now}))
	t.Cleanup(srv.Close)
	return client(t, apiclient.Options{Server: srv.URL, Token: raw})
}

// TestErrorsComeBack: what the engine refused is what the caller gets.
func TestErrorsComeBack(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"refusal":  &fault.Refusal{Rule: "R1", Reason: "Not armed.", Satisfy: "Rehearse it.", Overridable: true},
		"hard":     &fault.Refusal{Rule: "R5", Reason: "A lever is still pulled.", Satisfy: "Put it back."},
		"conflict": fault.New(fault.Conflict, "pulled already").WithHint("see lifeboat status"),
		"place":    fault.New(fault.Invalid, "too long").At("title").WithHint("cut it"),
		"gone":     fault.New(fault.NotFound, "no such thing"),
		"away":     fault.New(fault.Unavailable, "answer is away").WithHint("wait"),
		"later":    fault.New(fault.NotSupported, "not in this version"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, still{err: want}).Pull(t.Context(), "to-standby", "")
			if diff := cmp.Diff(want, err, cmp.AllowUnexported(fault.Error{})); diff != "" {
				t.Error(diff)
			}
			if errors.Is(err, apiclient.ErrUnreachable) {
				t.Error("it was reached")
			}
		})
	}
}

func TestFailedActNamesIncident(t *testing.T) {
	t.Parallel()
	res := engine.Result{Incident: incident.Incident{ID: "01J", Phase: incident.FailOver}}
	_, err := serve(t, still{res: res, err: fault.New(fault.Unavailable, "we can't tell").WithHint("look")}).Pull(t.Context(), "x", "")
	var f *fault.Error
	if !errors.As(err, &f) || f.Hint != "look; how far it got: lifeboat timeline 01J" {
		t.Errorf("error %v", err)
	}
}

func TestOverSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	book, _ := tokens(t)
	e := still{by: new(incident.Actor), got: new(incident.Command)}
	srv := httptest.NewUnstartedServer(api.New(api.Options{Engine: e, Tokens: book, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Root: true}))
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	c := client(t, apiclient.Options{Server: "unix:" + path, Via: "cli"})
	if o, err := c.Status(t.Context()); err != nil || o.Version != "test" {
		t.Fatalf("status: %+v, %v", o, err)
	}
	if _, err := c.PutBack(t.Context(), "to-standby", "a reason"); err != nil {
		t.Fatal(err)
	}
	if e.by.Name != "root" || e.by.Via != "cli" {
		t.Errorf("by %+v", e.by)
	}
	if diff := cmp.Diff(incident.Command(incident.PutBack{Lever: "to-standby", Reason: "a reason"}), *e.got); diff != "" {
		t.Error(diff)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, server := range []string{"http://" + addr, "unix:" + filepath.Join(t.TempDir(), "none.sock")} {
		_, err := client(t, apiclient.Options{Server: server}).Status(t.Context())
		if !errors.Is(err, apiclient.ErrUnreachable) || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", server, err)
		}
	}
}

// TestStrangers: what is not lifeboat is not believed, and gets no second request.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   fault.Kind
	}{
		"a web page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, fault.Unavailable},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"now":`))
		}, fault.Unavailable},
		"a proxy's error":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, fault.Unavailable},
		"a proxy's denial": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, fault.Denied},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("the token was carried elsewhere")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(c.answer)
			t.Cleanup(srv.Close)
			_, err := client(t, apiclient.Options{Server: srv.URL, Token: "x"}).Status(t.Context())
			if fault.KindOf(err) != c.want {
				t.Errorf("%v, want kind %s", err, c.want)
			}
		})
	}
}

func TestBadServers(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"", "unix:", "localhost:8080", "ftp://x", "http://", "://"} {
		if _, err := apiclient.New(apiclient.Options{Server: server}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", server, err)
		}
	}
}
