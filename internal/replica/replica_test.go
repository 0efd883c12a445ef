package replica_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/ofrep"
	"lifeboat/internal/replica"
)

const (
	patience = 20 * time.Second
	// limit is an application's own time limit for a question.
	limit = 10 * time.Second
	key   = "a-key-for-copies"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func sum(key string) string {
	s := sha256.Sum256([]byte(key))
	return hex.EncodeToString(s[:])
}

func access() feature.Access {
	return feature.Access{Keys: []feature.Key{{Name: "copy", SHA256: sum(key), For: feature.ForCopies}, {Name: "shop", SHA256: sum("shop"), For: feature.ForServers}}}
}

func flags() []feature.Flag {
	return []feature.Flag{
		{Key: "checkout", Value: raw("true"), Off: raw("false"), Public: true},
		{Key: "checkout~drill", Value: raw("true"), Off: raw("false")},
		{Key: "engine", Value: raw(`"full"`), Off: raw(`"none"`), Variants: map[string]json.RawMessage{"light": raw(`"titles"`)}, Targeting: raw(`{"if":[{"==":[{"var":"country"},"DE"]},"light"]}`)},
		{Key: "limit", Value: raw("12.0"), Off: raw("0")},
		{Key: "broken", Value: raw("{"), Off: raw("0")},
	}
}

func closed() map[string]feature.Order {
	return map[string]feature.Order{"checkout": {Value: raw("false"), Lever: "close-checkout", Incident: "01J", By: "Ada"}}
}

// upstream is a lifeboat that can be killed, hung and come back at its address.
type upstream struct {
	t      *testing.T
	addr   string
	server *ofrep.Server
	rev    uint64
	cut    func() // ends it, and every connection
}

func launch(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t, addr: "127.0.0.1:0"}
	u.start()
	u.order(nil)
	t.Cleanup(func() { u.cut() })
	return u
}

func (u *upstream) start() {
	u.t.Helper()
	ln, err := net.Listen("tcp", u.addr)
	must(u.t, err)
	u.addr = ln.Addr().String()
	u.server = ofrep.New(ofrep.Options{Heartbeat: 50 * time.Millisecond})
	u.server.Allow(access())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	server := u.server
	go func() { done <- server.Serve(ctx, ln) }()
	u.cut = sync.OnceFunc(func() { cancel(); <-done })
}

func (u *upstream) order(orders map[string]feature.Order) {
	u.rev++
	u.server.Set(ofrep.Compile(flags(), orders).At(3, u.rev))
}

// hang puts something at the address that takes connections and says nothing.
func (u *upstream) hang() {
	u.t.Helper()
	u.cut()
	ln, err := net.Listen("tcp", u.addr)
	must(u.t, err)
	u.cut = sync.OnceFunc(func() { _ = ln.Close() })
}

// beside is a replica in a folder.
type beside struct {
	t    *testing.T
	url  string
	logs *safe
	stop func()
}

// safe is a buffer for several goroutines.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }
func (s *safe) String() string              { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func quick() replica.Waits {
	return replica.Waits{Question: 300 * time.Millisecond, Silence: time.Second, Stale: 400 * time.Millisecond, First: time.Millisecond, Longest: 50 * time.Millisecond}
}

func run(t *testing.T, o replica.Options) *beside {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b := &beside{t: t, url: "http://" + ln.Addr().String(), logs: &safe{}}
	if o.Key == "" {
		o.Key = key
	}
	o.OFREP, o.Now, o.Logger, o.Waits = ln, time.Now, slog.New(slog.NewTextHandler(b.logs, nil)), quick()
	r, err := replica.New(o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

type answer struct {
	Status           int
	Value            json.RawMessage
	Variant          string
	Metadata         map[string]string
	ErrorCode        string
	revision, bodies string
}

// ask asks as an application does, with a time limit of its own.
func (b *beside) ask(key, context string) answer {
	b.t.Helper()
	client := &http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Post(b.url+"/ofrep/v1/evaluate/flags/"+key, "application/json", strings.NewReader(`{"context":`+context+`}`))
	must(b.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(b.t, err)
	a := answer{Status: res.StatusCode, revision: res.Header.Get(ofrep.RevisionHeader), bodies: string(text)}
	must(b.t, json.Unmarshal(text, &a))
	return a
}

func (b *beside) eventually(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("never %s; last %+v\n%s", what, b.ask("checkout", "{}"), b.logs)
		}
	}
}

func (b *beside) told(value string) {
	b.t.Helper()
	b.eventually("checkout "+value, func() bool { a := b.ask("checkout", "{}"); return a.Status == 200 && string(a.Value) == value })
}

func (b *beside) stale(want bool) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("stale %t", want), func() bool { a := b.ask("checkout", "{}"); return (a.Metadata["stale_since"] != "") == want })
}

func TestFollows(t *testing.T) {
	t.Parallel()
	u := launch(t)
	b := run(t, replica.Options{Upstream: "http://" + u.addr + "/", Dir: t.TempDir()})
	b.told("true")
	u.order(closed())
	b.told("false")
	if a := b.ask("checkout", "{}"); a.Metadata["incident"] != "01J" || a.Metadata["by"] != "Ada" || a.Metadata["stale_since"] != "" || a.revision != "3.2" {
		t.Errorf("%+v", a)
	}
	for context, want := range map[string]string{`{"country":"DE"}`: `"titles"`, `{}`: `"full"`} {
		if a := b.ask("engine", context); string(a.Value) != want {
			t.Errorf("by the rule for %s: %s, want %s", context, a.Value, want)
		}
	}
	if a := b.ask("limit", "{}"); string(a.Value) != "12.0" {
		t.Errorf("a number was written otherwise: %s", a.Value)
	}
	if a := b.ask("broken", "{}"); a.ErrorCode != "PARSE_ERROR" {
		t.Errorf("a broken flag: %+v", a)
	}
	if a := b.ask("checkout~drill", "{}"); a.Status != 404 {
		t.Errorf("a drill's stand-in was handed on: %+v", a)
	}
	b.eventually("counted", func() bool {
		c := u.server.Heard().Copies
		return c.Clients == 1 && c.Heard == 1 && c.Streams == 1 && c.Told == 1
	})
	// Another manifest with the same flags.
	u.rev = 41
	u.order(closed())
	u.cut()
	u.start()
	u.rev = 41
	u.order(closed())
	b.eventually("at the new revision", func() bool { return b.ask("checkout", "{}").revision == "3.42" })
}

// Whatever becomes of the upstream, every question is answered with the last value.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(u *upstream){
		"killed": func(u *upstream) { u.cut() },
		"hung":   func(u *upstream) { u.hang() },
		"has forgotten everything": func(u *upstream) {
			u.cut()
			u.start()
		},
		"knows the key no more": func(u *upstream) {
			u.cut()
			u.start()
			u.server.Allow(feature.Access{})
			u.order(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := launch(t)
			dir := t.TempDir()
			b := run(t, replica.Options{Upstream: "http://" + u.addr, Dir: dir})
			u.order(closed())
			b.told("false")
			before := time.Now().Add(-time.Second)
			harm(u)
			b.stale(true)
			a := b.ask("checkout", "{}")
			if string(a.Value) != "false" || a.Metadata["incident"] != "01J" {
				t.Errorf("%+v", a)
			}
			if since, err := time.Parse(time.RFC3339, a.Metadata["stale_since"]); err != nil || since.Before(before.Truncate(time.Second)) {
				t.Errorf("stale since %q: %v", a.Metadata["stale_since"], err)
			}
			if a := b.ask("engine", `{"country":"DE"}`); string(a.Value) != `"titles"` || a.Metadata["stale_since"] == "" {
				t.Errorf("by the rule: %+v", a)
			}
			if n := strings.Count(b.logs.String(), "can't be asked"); n != 1 {
				t.Errorf("told %d times:\n%s", n, b.logs)
			}
			if strings.Contains(b.logs.String(), key) {
				t.Errorf("the key is in the log:\n%s", b.logs)
			}

			b.stop() // and it is started again, with nothing to ask
			b = run(t, replica.Options{Upstream: "http://" + u.addr, Dir: dir})
			a = b.ask("checkout", "{}")
			if string(a.Value) != "false" || a.Metadata["stale_since"] == "" || a.revision != "3.2" {
				t.Errorf("after a restart: %+v", a)
			}

			u.cut()
			u.start()
			u.order(nil)
			b.told("true")
			b.stale(false)
		})
	}
}

// Without a disk, or with a full one, it answers all the same.
func TestWithoutADisk(t *testing.T) {
	t.Parallel()
	u := launch(t)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{"", filepath.Join(file, "below")} {
		b := run(t, replica.Options{Upstream: "http://" + u.addr, Dir: dir})
		b.told("true")
		if dir != "" && !strings.Contains(b.logs.String(), "can't be kept") {
			t.Errorf("nothing is told of the disk:\n%s", b.logs)
		}
	}
}

// With nothing known, questions are refused at once, and answered as soon as there is
// something to answer with.
func TestBeforeTheUpstream(t *testing.T) {
	t.Parallel()
	u := launch(t)
	u.cut()
	b := run(t, replica.Options{Upstream: "http://" + u.addr, Dir: t.TempDir()})
	if a := b.ask("checkout", "{}"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", a)
	}
	u.start()
	u.order(nil)
	b.told("true")
}

// What an upstream says that can't be read changes nothing.
func TestNonsense(t *testing.T) {
	t.Parallel()
	u := launch(t)
	b := run(t, replica.Options{Upstream: "http://" + u.addr, Dir: t.TempDir()})
	b.told("true")
	for name, say := range map[string]http.HandlerFunc{
		"a web page":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"an empty object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"another format":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"format":2,"features":[]}`) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, `{"format":1,`)
		},
		"a flood":             func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, io.LimitReader(zeros{}, 8<<20)) },
		"somewhere else":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"too busy":            func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "9e9"); w.WriteHeader(429) },
		"an error of its own": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
	} {
		u.cut()
		ln, err := net.Listen("tcp", u.addr)
		must(t, err)
		asked := make(chan string, 100)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case asked <- r.URL.Path:
			default:
			}
			say(w, r)
		})}
		go func() { _ = srv.Serve(ln) }()
		u.cut = sync.OnceFunc(func() { _ = srv.Close() })
		for range 3 {
			select {
			case path := <-asked:
				if path == "/elsewhere" {
					t.Errorf("%s: the key was sent on", name)
				}
			case <-time.After(patience):
				t.Fatalf("%s: it asks no more", name)
			}
		}
		if a := b.ask("checkout", "{}"); string(a.Value) != "true" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUpstreamAddress(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "192.0.2.7:8016", "ftp://a", "http://", "http://user:secret@a", "http://a?key=secret", "http://a#b", "http://a b"} {
		_, err := replica.New(replica.Options{Upstream: bad})
		var f *fault.Error
		if !errors.As(err, &f) || f.Hint == "" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
