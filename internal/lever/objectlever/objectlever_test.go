package objectlever_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/lever/objectlever"
)

// world is a bucket with a shop's pictures.
type world struct {
	*fake
	fail   atomic.Pointer[error]
	writes atomic.Int64
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{fake: newFake(t)}
	w.set("img/banner 1+ä.jpg", "bad\x00pixels")
	w.set("img/logo.svg", "<svg/>")
	w.set("img/empty", "")
	w.set("index.html", "hello")
	w.objects["img/logo.svg"] = object{body: []byte("<svg/>"), kind: "image/svg+xml", etag: `"0123456789abcdef-2"`} // of two parts
	w.objects["img/empty"] = object{kind: "image/jpeg", redirect: "/new-page"}
	w.objects["img/packed.js"] = object{body: []byte("\x1f\x8b is never unpacked"), kind: "text/javascript", packed: true}
	w.objects["img/"] = object{kind: "application/x-directory"} // what consoles make for a folder: it stays
	return w
}

func (w *world) driver() lever.Driver {
	return objectlever.New(objectlever.Options{
		Now: time.Now,
		Secret: func(string) (objectlever.Credentials, error) {
			return objectlever.Credentials{ID: keyID, Secret: secret}, nil
		},
		Lead: func(context.Context) error {
			if err := w.fail.Load(); err != nil && *err != nil {
				return *err
			}
			w.writes.Add(1)
			return nil
		},
	})
}

// state is all that a visitor can get.
func (w *world) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(w.objects)) {
		if !strings.HasPrefix(k, "lifeboat-aside/") {
			o := w.objects[k]
			fmt.Fprintf(&b, "%s %s %t %q %q\n", k, o.kind, o.packed, o.redirect, o.body)
		}
	}
	return b.String()
}

func (w *world) card(section string) lever.Card {
	section = strings.Replace(section, "{", `{"endpoint":"`+w.http.URL+`","bucket":"shop",`, 1)
	return lever.Card{Name: "no-banner", Kind: objectlever.Kind, Title: "Take the banner away", Site: "shop", Config: json.RawMessage(section)}
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, section := range map[string]string{"keys": `{"keys":["img/banner 1+ä.jpg","img/empty"]}`, "prefix": `{"prefix":"img/"}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			levertest.Run(t, func(t *testing.T) *levertest.Stage {
				w := start(t)
				bad := func(section string) lever.Card {
					c := w.card(`{}`)
					c.Config = json.RawMessage(section)
					return c
				}
				return &levertest.Stage{
					Driver: w.driver(), Restart: w.driver, Card: w.card(section),
					Bad: map[string]lever.Card{
						"both": w.card(`{"keys":["a"],"prefix":"b"}`), "neither": w.card(`{"region":"x"}`), "where kept": w.card(`{"keys":["lifeboat-aside/x"]}`),
						"all": w.card(`{"prefix":"/"}`), "a way up": w.card(`{"keys":["../x"]}`), "an odd key": w.card(`{"keys":["a//b"]}`),
						"no server":  bad(`{"endpoint":"shop","bucket":"b","keys":["a"]}`),
						"a password": bad(`{"endpoint":"https://u:p@h","bucket":"b","keys":["a"]}`), "a path": bad(`{"endpoint":"https://h/b","bucket":"b","keys":["a"]}`),
						"bucket": bad(`{"endpoint":"https://h","bucket":"a/b","keys":["a"]}`),
					},
					State: w.state,
					Drift: func() { w.set("img/empty", "another one") },
					Blind: func() func() {
						return w.shut(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
					},
					Hang: func() func() {
						return w.shut(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() })
					},
					Fail: func(err error) { w.fail.Store(&err) }, Writes: func() int { return int(w.writes.Load()) },
				}
			})
		})
	}
}

// Stopped after any number of requests, pulling again ends where the plan said and
// putting back again ends where it began; visitors never see a changed object, and
// none is lost.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		for n := range rounds() {
			w := start(t)
			w.old = old
			was, objects := w.state(), len(w.objects)
			d := w.driver()
			p := plan(t, d, w.card(`{"prefix":"img/"}`))
			interrupt := func(act func() error) (whole bool) {
				left := n
				w.mu.Lock()
				w.hook = func(string, string) {
					if left--; left < 0 {
						panic(http.ErrAbortHandler) // the connection is cut
					}
				}
				w.mu.Unlock()
				err := act()
				w.mu.Lock()
				w.hook = nil
				w.mu.Unlock()
				return err == nil
			}
			token := lever.Token{Revision: 1}
			first := interrupt(func() error { return d.Apply(t.Context(), p, 0, token) })
			must(t, w.driver().Apply(t.Context(), p, 0, token))
			sees(t, d, p, lever.After)
			second := interrupt(func() error { _, err := d.Revert(t.Context(), p, 0, token); return err })
			_, err := w.driver().Revert(t.Context(), p, 0, token)
			must(t, err)
			sees(t, d, p, lever.Before)
			if got := w.state(); got != was {
				t.Fatalf("after %d requests: %s\nwas\n%s", n, got, was)
			}
			must(t, d.Dispose(t.Context(), p))
			if left := len(w.objects); left != objects {
				t.Fatalf("after %d requests: %d objects are left", n, left)
			}
			if first && second && n < 10 {
				t.Fatalf("nothing was interrupted at %d", n)
			}
		}
	}
}

// rounds is after how many requests a move is stopped: each of the first ones always,
// all that there are in a long run.
func rounds() int {
	if os.Getenv("LIFEBOAT_SOAK") != "" {
		return 70
	}
	return 40
}

// What is written while it is moved is neither overwritten nor deleted.
func TestRace(t *testing.T) {
	t.Parallel()
	for _, at := range []string{http.MethodPut, http.MethodDelete} {
		w := start(t)
		d := w.driver()
		p := plan(t, d, w.card(`{"keys":["img/empty"]}`))
		w.hook = func(method, key string) {
			if method == at && !strings.HasSuffix(key, "manifest.json") {
				w.set("img/empty", "just written")
			}
		}
		if err := d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("at %s: %v", at, err)
		}
		if !strings.Contains(w.state(), "just written") {
			t.Errorf("at %s: the newer object is lost", at)
		}
	}
}

func TestNeverOverwrites(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.driver()
	p := plan(t, d, w.card(`{"keys":["img/logo.svg"]}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	w.set("img/logo.svg", "a new one")
	obs, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	if err != nil || obs.World != lever.Foreign || !strings.Contains(obs.Detail, "something new") {
		t.Errorf("%+v %v", obs, err)
	}
	if err := d.Dispose(t.Context(), p); fault.KindOf(err) != fault.Conflict {
		t.Errorf("what is kept was given up: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	wrong := objectlever.New(objectlever.Options{Now: time.Now, Secret: func(string) (objectlever.Credentials, error) {
		return objectlever.Credentials{ID: keyID, Secret: "another"}, nil
	}})
	for name, tt := range map[string]struct {
		d    lever.Driver
		c    lever.Card
		kind fault.Kind
		text string
	}{
		"wrong secret": {wrong, w.card(`{"keys":["index.html"]}`), fault.Unavailable, "refuses lifeboat (403"},
		"no object":    {w.driver(), w.card(`{"keys":["no"]}`), fault.NotFound, "no object is there"},
		"one of two":   {w.driver(), w.card(`{"keys":["index.html","no"]}`), fault.NotFound, "1 of the objects"},
		"no prefix":    {w.driver(), w.card(`{"prefix":"no/"}`), fault.NotFound, "no object is there"},
		"no bucket":    {w.driver(), lever.Card{Name: "x", Kind: "objects", Config: json.RawMessage(`{"endpoint":"` + w.http.URL + `","bucket":"blog","prefix":"a/"}`)}, fault.Unavailable, "NoSuchBucket"},
	} {
		_, err := tt.d.Plan(t.Context(), lever.Request{Card: tt.c, Now: time.Now()})
		if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "another") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Some servers answer 404 where the key's id is unknown, and a HEAD does not say why:
// nothing is called gone for that.
func TestNotFoundForAnotherReason(t *testing.T) {
	t.Parallel()
	for code, text := range map[string]string{"InvalidAccessKeyId": "refuses lifeboat (404 InvalidAccessKeyId)", "NoSuchBucket": "404 NoSuchBucket"} {
		w := start(t)
		d := w.driver()
		p := plan(t, d, w.card(`{"keys":["index.html"]}`))
		w.shut(func(rw http.ResponseWriter, r *http.Request) { fail(rw, r, http.StatusNotFound, code) })
		obs, err := d.Observe(t.Context(), p, 0)
		if err != nil || obs.World != lever.Unknown || !strings.Contains(obs.Detail, text) {
			t.Errorf("%s is seen as %q (%s), %v", code, obs.World, obs.Detail, err)
		}
		for _, section := range []string{`{"keys":["index.html"]}`, `{"prefix":"img/"}`} {
			_, err = d.Plan(t.Context(), lever.Request{Card: w.card(section), Now: time.Now()})
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), text) {
				t.Errorf("%s, %s: %v", code, section, err)
			}
		}
	}
}

// A list that gives nothing and always goes on is given up.
func TestListWithoutEnd(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.shut(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken></ListBucketResult>")
	})
	_, err := w.driver().Plan(t.Context(), lever.Request{Card: w.card(`{"prefix":"img/"}`), Now: time.Now()})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "list does not end") {
		t.Error(err)
	}
}

func TestReadCredentials(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	for text, ok := range map[string]bool{"id\nsecret\n": true, "id": false, "": false, "a b c": false, strings.Repeat("x", 5000): false} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if c, err := objectlever.ReadCredentials(file); (err == nil) != ok || ok && c.Secret != "secret" {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func plan(t *testing.T, d lever.Driver, c lever.Card) lever.Plan {
	t.Helper()
	p, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()})
	must(t, err)
	return p
}

func sees(t *testing.T, d lever.Driver, p lever.Plan, want lever.World) {
	t.Helper()
	if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != want {
		t.Fatalf("seen as %q (%s), %v; want %q", obs.World, obs.Detail, err, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
