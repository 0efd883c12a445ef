package envfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/action"
	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/envfile"
	"lifeboat/internal/lever/levertest"
)

const sample = "# Settings of the shop.\nPATH_TO=/srv\nexport CHECKOUT=on\r\nCHECKOUT_LIMIT=5\nDRILL=on\nPASSWORD='s3cret'\n"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func card(s envfile.Section) lever.Card {
	b, _ := json.Marshal(s)
	return lever.Card{Name: "close-checkout", Kind: envfile.Kind, Title: "Close the checkout", Site: "shop", Config: b}
}

// app is an application that shows the settings which it has read last.
type app struct {
	*httptest.Server
	hung atomic.Pointer[chan struct{}]
}

func newApp(t *testing.T, taken string) *app {
	a := &app{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hung := a.hung.Load(); hung != nil {
			select {
			case <-*hung:
			case <-r.Context().Done():
			}
			return
		}
		fmt.Fprint(w, read(t, taken))
	}))
	t.Cleanup(a.Close)
	return a
}

// run is as control runs it.
func run(ctx context.Context, c envfile.Command) (text, problem string) {
	out := action.New(action.Options{}).Run(ctx, action.Action{Name: "reload", Exec: c.Words, Deadline: c.Deadline}, action.Input{Operation: action.Do, Key: "1"})
	return out.Text, out.Problem
}

// reload is a script in place of systemctl reload.
func reload(t *testing.T, dir string) []string {
	path := filepath.Join(dir, "reload")
	must(t, os.WriteFile(path, []byte("#!/bin/sh\ncp \"$1\" \"$2\"\n"), 0o755))
	return []string{path}
}

func TestContract(t *testing.T) {
	t.Parallel()
	levertest.RunOutside(t, func(t *testing.T) *levertest.Outside {
		dir := t.TempDir()
		path := filepath.Join(dir, "shop.env")
		must(t, os.WriteFile(path, []byte(sample), 0o600))
		taken := filepath.Join(dir, "taken") // what the application has read
		words := append(reload(t, dir), path, taken)
		must(t, os.WriteFile(taken, []byte(sample), 0o600))
		a := newApp(t, taken)
		var writes atomic.Int64
		var fails atomic.Bool
		open := func() lever.Driver {
			return envfile.New(envfile.Options{Now: time.Now, Run: run, Rename: func(from, to string) error {
				if fails.Load() {
					return &os.LinkError{Op: "rename", Err: syscall.EROFS}
				}
				writes.Add(1)
				return os.Rename(from, to)
			}})
		}
		section := envfile.Section{
			File: path, Key: "CHECKOUT", Value: "off", Drill: "DRILL", Reload: words,
			Observe: envfile.Observe{URL: a.URL, Contains: "CHECKOUT=off"},
		}
		with := func(change func(s *envfile.Section)) lever.Card {
			s := section
			change(&s)
			return card(s)
		}
		return &levertest.Outside{
			Bare: with(func(s *envfile.Section) { s.Drill = "" }),
			Stage: &levertest.Stage{
				Driver: open(), Restart: open, Card: card(section),
				Bad: map[string]lever.Card{
					"a path of two": with(func(s *envfile.Section) { s.File = "shop.env" }),
					"a bad key":     with(func(s *envfile.Section) { s.Key = "CHECK OUT" }),
					"two lines":     with(func(s *envfile.Section) { s.Value = "off\nROOT=1" }),
				},
				State: func() string { return strings.Split(read(t, path), "DRILL=")[0] },
				Drift: func() {
					text := read(t, path)
					must(t, os.WriteFile(path, []byte(strings.NewReplacer("CHECKOUT=off", "CHECKOUT=maybe", "CHECKOUT=on", "CHECKOUT=maybe").Replace(text)), 0o600))
				},
				Blind: func() func() {
					must(t, os.Rename(path, path+".away"))
					return func() { must(t, os.Rename(path+".away", path)) }
				},
				Hang: func() func() {
					c := make(chan struct{})
					a.hung.Store(&c)
					return func() { a.hung.Store(nil); close(c) }
				},
				Fail:   func(err error) { fails.Store(err != nil) },
				Writes: func() int { return int(writes.Load()) },
			},
		}
	})
}

// A key that was not there comes at the end and goes again, and every byte is back.
func TestAddedAndTakenAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.env")
	must(t, os.WriteFile(path, []byte(sample), 0o640))
	d := envfile.New(envfile.Options{Now: time.Now, Run: run})
	p, err := d.Plan(t.Context(), lever.Request{Card: card(envfile.Section{File: path, Key: "CLOSED", Value: "true"}), Now: time.Now()})
	must(t, err)
	must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
	if got := read(t, path); got != sample+"CLOSED=true\n" {
		t.Errorf("pulled: %q", got)
	}
	must(t, os.WriteFile(path, []byte(read(t, path)+"MORE=1\n"), 0o640))
	_, err = d.Revert(t.Context(), p, 0, lever.Token{})
	must(t, err)
	if got := read(t, path); got != sample+"MORE=1\n" {
		t.Errorf("put back: %q", got)
	}
}

// A reload that fails is not called done, on either way, and not after the next look.
func TestReloadThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "shop.env")
	must(t, os.WriteFile(path, []byte(sample), 0o600))
	script := filepath.Join(dir, "reload")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\nexit 3\n"), 0o755))
	d := envfile.New(envfile.Options{Now: time.Now, Run: run})
	p, err := d.Plan(t.Context(), lever.Request{Card: card(envfile.Section{File: path, Key: "CHECKOUT", Value: "off", Reload: []string{script}}), Now: time.Now()})
	must(t, err)
	err = d.Apply(t.Context(), p, 0, lever.Token{Pull: "x"})
	if !errors.Is(err, lever.ErrUnsure) || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("apply: %v", err)
	}
	if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != lever.Unknown {
		t.Errorf("seen as %s (%s), %v", obs.World, obs.Detail, err)
	}
	must(t, os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o755))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Pull: "x"}))
	if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != lever.After {
		t.Errorf("seen as %s (%s), %v", obs.World, obs.Detail, err)
	}
}

// A value that may be a secret is in no plan's words and no observation.
func TestNoSecretIsTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.env")
	must(t, os.WriteFile(path, []byte(sample), 0o600))
	d := envfile.New(envfile.Options{Now: time.Now, Run: run})
	p, err := d.Plan(t.Context(), lever.Request{Card: card(envfile.Section{File: path, Key: "PASSWORD", Value: "none"}), Now: time.Now()})
	must(t, err)
	obs, err := d.Observe(t.Context(), p, 0)
	must(t, err)
	b, _ := json.Marshal(obs)
	if strings.Contains(p.Steps[0].Says+p.Steps[0].From+string(b), "s3cret") {
		t.Errorf("%s, %s", p.Steps[0].Says, b)
	}
}

// FuzzFile puts back whatever was there.
func FuzzFile(f *testing.F) {
	f.Add(sample)
	f.Add("CHECKOUT")
	f.Add("\xff=1\nexport  CHECKOUT=\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "f.env")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		d := envfile.New(envfile.Options{Now: time.Now, Run: run})
		p, err := d.Plan(t.Context(), lever.Request{Card: card(envfile.Section{File: path, Key: "CHECKOUT", Value: "off"}), Now: time.Now()})
		if err != nil {
			return
		}
		if err := d.Apply(t.Context(), p, 0, lever.Token{}); err != nil && fault.KindOf(err) != fault.Conflict {
			t.Fatal(err)
		}
		if _, err := d.Revert(t.Context(), p, 0, lever.Token{}); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != text {
			t.Fatalf("put back %q, was %q", got, text)
		}
	})
}
