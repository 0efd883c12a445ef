package filelever_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/filelever"
	"lifeboat/internal/lever/levertest"
)

// world is a real folder that a door can be shut before.
type world struct {
	t      *testing.T
	root   string
	fail   atomic.Pointer[error]
	writes atomic.Int64
	hang   atomic.Pointer[chan struct{}]
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, root: filepath.Join(t.TempDir(), "uploads")}
	for name, text := range map[string]string{"2026/banner.jpg": "bad\x00pixels", "2026/logo.svg": "<svg/>", "2026/also.jpg": "", "index.html": "hello"} {
		w.write(name, text)
	}
	must(t, os.Chmod(w.path("2026/banner.jpg"), 0o751))
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.root, name) }

func (w *world) write(name, text string) {
	must(w.t, os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	must(w.t, os.WriteFile(w.path(name), []byte(text), 0o640))
}

func (w *world) driver() lever.Driver {
	return filelever.New(filelever.Options{
		Now: time.Now,
		Open: func(root string) (*os.Root, error) {
			if c := w.hang.Load(); c != nil {
				<-*c
			}
			return os.OpenRoot(root)
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

// state is all that a visitor can get: names, modes, times and contents.
func (w *world) state() string {
	var b strings.Builder
	must(w.t, filepath.WalkDir(w.root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Name() == ".lifeboat", e.Name() == "kept":
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		info, err := e.Info()
		must(w.t, err)
		text, err := os.ReadFile(path)
		must(w.t, err)
		fmt.Fprintf(&b, "%s %s %d %q\n", path, info.Mode(), info.ModTime().UnixNano(), text)
		return nil
	}))
	return b.String()
}

func card(root, section string) lever.Card {
	return lever.Card{Name: "no-banner", Kind: filelever.Kind, Title: "Take the banner away", Site: "shop", Config: json.RawMessage(strings.ReplaceAll(section, "ROOT", root))}
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, section := range map[string]string{
		"paths": `{"root":"ROOT","paths":["2026/banner.jpg","2026/also.jpg"]}`,
		"glob":  `{"root":"ROOT","glob":"2026/*.jpg","aside":"kept"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			levertest.Run(t, func(t *testing.T) *levertest.Stage {
				w := start(t)
				return &levertest.Stage{
					Driver: w.driver(), Restart: w.driver, Card: card(w.root, section),
					Bad: map[string]lever.Card{
						"a way out":    card(w.root, `{"root":"ROOT","paths":["../x"]}`),
						"no root":      card(w.root, `{"paths":["x"]}`),
						"the whole":    card(w.root, `{"root":"ROOT","glob":"*"}`),
						"both":         card(w.root, `{"root":"ROOT","glob":"a*","paths":["x"]}`),
						"where kept":   card(w.root, `{"root":"ROOT","paths":[".lifeboat/x"]}`),
						"aside leads":  card(w.root, `{"root":"ROOT","paths":["x"],"aside":"../y"}`),
						"a bad glob":   card(w.root, `{"root":"ROOT","glob":"a["}`),
						"the top root": card(w.root, `{"root":"/","paths":["x"]}`),
					},
					State: w.state,
					Drift: func() { w.write("2026/banner.jpg", "another one") },
					Blind: func() func() {
						must(t, os.Rename(w.root, w.root+".gone"))
						return func() { must(t, os.Rename(w.root+".gone", w.root)) }
					},
					Hang: func() func() {
						c := make(chan struct{})
						w.hang.Store(&c)
						return func() { w.hang.Store(nil); close(c) }
					},
					Fail:   func(err error) { w.fail.Store(&err) },
					Writes: func() int { return int(w.writes.Load()) },
				}
			})
		})
	}
}

// A crash at any point leaves each file whole in exactly one place, and going on
// ends where the plan said.
func TestHalfWay(t *testing.T) {
	t.Parallel()
	w := start(t)
	was := w.state()
	d := w.driver()
	p := plan(t, d, card(w.root, `{"root":"ROOT","glob":"2026/*"}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	held, err := filepath.Glob(w.path(".lifeboat/no-banner.*/[0-9]"))
	if err != nil || len(held) != 3 {
		t.Fatalf("%v %v", held, err)
	}
	must(t, os.Rename(held[1], w.path("2026/banner.jpg")))
	if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != lever.Partial {
		t.Fatalf("%+v %v", obs, err)
	}
	must(t, w.driver().Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	sees(t, d, p, lever.After)
	_, err = d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	must(t, err)
	if got := w.state(); got != was {
		t.Errorf("%s\nwas\n%s", got, was)
	}
}

// What changed after the plan stops everything; nothing is moved.
func TestStale(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world) error{
		"contents": func(w *world) error { w.write("2026/logo.svg", "<svg></svg>"); return nil },
		"mode":     func(w *world) error { return os.Chmod(w.path("2026/logo.svg"), 0o600) },
		"gone":     func(w *world) error { return os.Remove(w.path("2026/logo.svg")) },
		"a link": func(w *world) error {
			return errors.Join(os.Remove(w.path("2026/logo.svg")), os.Symlink(w.path("index.html"), w.path("2026/logo.svg")))
		},
		"a linked folder": func(w *world) error {
			return errors.Join(os.Rename(w.path("2026"), w.path("old")), os.Symlink("old", w.path("2026")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			d := w.driver()
			p := plan(t, d, card(w.root, `{"root":"ROOT","glob":"2026/*"}`))
			must(t, change(w))
			entries, err := os.ReadDir(w.root)
			must(t, err)
			if err := d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}); fault.KindOf(err) != fault.Conflict {
				t.Errorf("%v", err)
			}
			if now, _ := os.ReadDir(w.root); len(now) != len(entries) {
				t.Error("something was made")
			}
		})
	}
}

// What has taken a file's place is never overwritten, and what is kept is never lost.
func TestNeverOverwrites(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.driver()
	p := plan(t, d, card(w.root, `{"root":"ROOT","paths":["2026/banner.jpg"]}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	w.write("2026/banner.jpg", "a new one")
	obs, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	if err != nil || obs.World != lever.Foreign || !strings.Contains(obs.Detail, "something new") {
		t.Errorf("%+v %v", obs, err)
	}
	if err := d.Dispose(t.Context(), p); fault.KindOf(err) != fault.Conflict {
		t.Errorf("what is kept was given up: %v", err)
	}
	must(t, os.Remove(w.path("2026/banner.jpg")))
	_, err = d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	must(t, err)
	sees(t, d, p, lever.Before)
	must(t, d.Dispose(t.Context(), p))
	if left, _ := os.ReadDir(w.path(".lifeboat")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A folder that went away meanwhile comes back with its files.
func TestFolderGone(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.driver()
	p := plan(t, d, card(w.root, `{"root":"ROOT","glob":"2026/*"}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	must(t, os.Remove(w.path("2026")))
	_, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	must(t, err)
	sees(t, d, p, lever.Before)
}

func TestRefusedAtPlan(t *testing.T) {
	t.Parallel()
	w := start(t)
	must(t, os.Symlink("index.html", w.path("link.html")))
	must(t, os.Symlink("/etc", w.path("etc")))
	for section, kind := range map[string]fault.Kind{
		`{"root":"ROOT","paths":["link.html"]}`:                         fault.Invalid,
		`{"root":"ROOT","paths":["etc/passwd"]}`:                        fault.Invalid,
		`{"root":"ROOT","glob":"*.html"}`:                               fault.Invalid, // the link is among them
		`{"root":"ROOT","paths":["2026"]}`:                              fault.Invalid,
		`{"root":"ROOT","paths":["no"]}`:                                fault.NotFound,
		`{"root":"ROOT","paths":["index.html","no"]}`:                   fault.NotFound,
		`{"root":"ROOT","glob":"*.png"}`:                                fault.NotFound,
		`{"root":"ROOT/none","paths":["x"]}`:                            fault.Unavailable,
		`{"root":"ROOT","paths":["a\u0000b"]}`:                          fault.Invalid,
		`{"root":"ROOT","glob":"**/*.jpg"}`:                             fault.Invalid,
		`{"root":"ROOT","paths":["` + strings.Repeat("a", 5000) + `"]}`: fault.Invalid,
	} {
		_, err := w.driver().Plan(t.Context(), lever.Request{Card: card(w.root, section), Now: time.Now()})
		if fault.KindOf(err) != kind {
			t.Errorf("%.60s: %v, want %s", section, err, kind)
		}
	}
}

// FuzzPlan: whatever a stored plan says, nothing outside of the root is touched.
func FuzzPlan(f *testing.F) {
	f.Add(`[{"path":"a"}]`, `.lifeboat/x`, `.lifeboat`)
	f.Add(`[{"path":"../a"}]`, `../x`, `..`)
	f.Add(`[]`, `/etc`, `/etc`)
	dir := f.TempDir()
	root := filepath.Join(dir, "in")
	must(f, os.Mkdir(root, 0o700))
	must(f, os.WriteFile(filepath.Join(dir, "a"), []byte("mine"), 0o600))
	d := filelever.New(filelever.Options{Now: time.Now})
	f.Fuzz(func(t *testing.T, files, held, aside string) {
		h, _ := json.Marshal(held)
		a, _ := json.Marshal(aside)
		config := fmt.Sprintf(`{"root":"%s","glob":"a*","files":%s,"held":%s,"aside":%s}`, root, files, h, a)
		was, will, ok := filelever.Ends(config)
		if !ok {
			return
		}
		p := lever.Plan{Lever: "l", Steps: []lever.Step{{Before: was, After: will}}, Config: json.RawMessage(config)}
		_ = d.Apply(t.Context(), p, 0, lever.Token{})
		_, _ = d.Revert(t.Context(), p, 0, lever.Token{})
		_ = d.Dispose(t.Context(), p)
		if b, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(b) != "mine" {
			t.Fatalf("%q %v", b, err)
		}
		if list, _ := os.ReadDir(dir); len(list) != 2 {
			t.Fatalf("%v", list)
		}
	})
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
