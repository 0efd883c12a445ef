package flagfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/flagfile"
	"lifeboat/internal/lever/levertest"
)

// samples are files as people write them, by kind and name.
var samples = map[string]map[string]string{
	flagfile.Flagd: {
		"flags.json": `{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "search":   { "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on" },
    "checkout": {
      "state": "ENABLED",
      "variants": { "on": true,   "off": false },
      "defaultVariant": "on",
      "targeting": {"if": [{"in": ["@example.com", {"var": "email"}]}, "on", {"fractional": [["on", 50], ["off", 50]]}]},
      "metadata": {"owner": "payments <pay@example.com> & co"}
    },
    "rehearsal": {"variants": {"on": true, "off": false}, "state": "DISABLED"}
  },
  "$evaluators": {"big": {">": [{"var": "n"}, 1e3]}}
}
`,
		"tight.json": `{"flags":{"checkout":{"state":"DISABLED","variants":{"on":1,"off":0},"defaultVariant":"on"},"rehearsal":{"state":"ENABLED","variants":{"on":1,"off":0},"defaultVariant":"on"}}}`,
		"flags.yaml": `# Flags of the shop.
flags:
  search:   # not this one
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "on"

  # Card payments.
  checkout:
    state: ENABLED
    variants:
      "on": true
      "off": false
    defaultVariant: "on"   # in calm
    targeting:
      if:
      - in: ["@example.com", {var: email}]
      - "on"
      - "off"
    metadata:
      owner: payments
  # For drills.
  rehearsal:
    state: DISABLED
    variants:
      "on": true
      "off": false
    defaultVariant: "on"`,
	},
	flagfile.GOFF: {
		"goff.yaml": "search:\r\n  variations:\r\n    on: true\r\n    off: false\r\n  defaultRule:\r\n    variation: on\r\ncheckout:\r\n  variations:\r\n    on: true\r\n    off: false\r\n  bucketingKey: company\r\n  targeting:\r\n  - name: staff\r\n    query: email ew \"@example.com\"\r\n    percentage:\r\n      on: 50\r\n      off: 50\r\n  defaultRule:\r\n    name: all\r\n    variation: on\r\n  scheduledRollout:\r\n    - date: 2026-12-24T00:00:00.1+02:00\r\n      disable: true\r\n  disable: false\r\n  metadata:\r\n    text: |\r\n      checkout: not a key\r\n\r\nrehearsal:\r\n  variations:\r\n    on: true\r\n    off: false\r\n  defaultRule:\r\n    variation: on\r\n",
		"goff.json": `{
	"checkout": {
		"disable": true,
		"variations": {"on": {"limit": 12.50}, "off": {"limit": 0}},
		"experimentation": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
		"defaultRule": {"percentage": {"on": 10, "off": 90}}
	},
	"rehearsal": {"variations": {"on": {}, "off": []}, "defaultRule": {"variation": "on"}}
}`,
	},
}

func newDriver(kind string, o flagfile.Options) lever.Driver {
	o.Now = time.Now
	if kind == flagfile.GOFF {
		return flagfile.NewGOFF(o)
	}
	return flagfile.NewFlagd(o)
}

func card(kind string, s flagfile.Section) lever.Card {
	b, _ := json.Marshal(s)
	return lever.Card{Name: "close-checkout", Kind: kind, Title: "Close the checkout", Site: "shop", Config: b}
}

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

// Every sample stands the whole contract, on a disk.
func TestContract(t *testing.T) {
	t.Parallel()
	for kind, files := range samples {
		for name, text := range files {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				levertest.RunOutside(t, func(t *testing.T) *levertest.Outside { return stage(t, kind, name, text) })
			})
		}
	}
}

func stage(t *testing.T, kind, name, text string) *levertest.Outside {
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(text), 0o640))
	var writes atomic.Int64
	var fails atomic.Pointer[error]
	open := func() lever.Driver {
		return newDriver(kind, flagfile.Options{Rename: func(from, to string) error {
			if err := fails.Load(); err != nil && *err != nil {
				return *err
			}
			writes.Add(1)
			return os.Rename(from, to)
		}})
	}
	section := flagfile.Section{File: path, Flag: "checkout", Variant: "off", Drill: "rehearsal"}
	with := func(change func(s *flagfile.Section)) lever.Card {
		s := section
		change(&s)
		return card(kind, s)
	}
	return &levertest.Outside{
		Bare: with(func(s *flagfile.Section) { s.Drill = "" }),
		Stage: &levertest.Stage{
			Driver: open(), Restart: open, Card: with(func(*flagfile.Section) {}),
			Bad: map[string]lever.Card{
				"no such flag":    with(func(s *flagfile.Section) { s.Flag, s.Drill = "moon", "sun" }),
				"no such variant": with(func(s *flagfile.Section) { s.Variant = "ajar" }),
				"a path of two":   with(func(s *flagfile.Section) { s.File = "flags.json" }),
				"drills the same": with(func(s *flagfile.Section) { s.Drill = s.Flag }),
				"no address":      with(func(s *flagfile.Section) { s.OFREP.URL = "shop" }),
			},
			State: func() string {
				b, err := os.ReadFile(path)
				if err != nil {
					return err.Error()
				}
				// what a drill moves is nobody's
				at := strings.Index(string(b), "rehearsal")
				return string(b[:max(at, 0)])
			},
			Drift: func() { // a colleague touches the flag's own lines
				text := read(t, path)
				at := strings.Index(text, "checkout")
				touched := text[at:]
				for _, was := range []string{`"on":`, "    on:", "owner: payments"} {
					if strings.Contains(touched, was) {
						touched = strings.Replace(touched, was, strings.Replace(was, ":", " :", 1), 1)
						break
					}
				}
				must(t, os.WriteFile(path, []byte(text[:at]+touched), 0o640))
			},
			Blind: func() func() {
				must(t, os.Rename(path, path+".away"))
				return func() { must(t, os.Rename(path+".away", path)) }
			},
			Hang: func() func() { // a pipe that nobody writes into
				must(t, os.Rename(path, path+".away"))
				must(t, syscall.Mkfifo(path, 0o600))
				return func() { must(t, os.Remove(path)); must(t, os.Rename(path+".away", path)) }
			},
			Fail: func(err error) {
				if err != nil {
					err = &os.LinkError{Op: "rename", Err: syscall.EROFS}
				}
				fails.Store(&err)
			},
			Writes: func() int { return int(writes.Load()) },
		},
	}
}

// plan, pull and put back, with a look at every byte in between.
func TestEveryOtherByteStays(t *testing.T) {
	t.Parallel()
	for kind, files := range samples {
		for name, text := range files {
			path := filepath.Join(t.TempDir(), name)
			must(t, os.WriteFile(path, []byte(text), 0o604))
			must(t, os.Chmod(path, 0o604))
			d := newDriver(kind, flagfile.Options{})
			p, err := d.Plan(t.Context(), lever.Request{Card: card(kind, flagfile.Section{File: path, Flag: "checkout", Variant: "off"}), Now: time.Now()})
			must(t, err)
			must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
			var before, after string
			must(t, json.Unmarshal(p.Steps[0].Before, &before))
			must(t, json.Unmarshal(p.Steps[0].After, &after))
			pulled := read(t, path)
			if want := strings.Replace(text, before, after, 1); pulled != want || !strings.Contains(text, before) {
				t.Errorf("%s: pulled\n%s\nwant\n%s", name, pulled, want)
			}
			info, err := os.Stat(path)
			must(t, err)
			if info.Mode().Perm() != 0o604 {
				t.Errorf("%s: mode %v", name, info.Mode())
			}
			// somebody changes another flag meanwhile, and it stays
			other := strings.Replace(pulled, "rehearsal", "rehearsed", 1)
			must(t, os.WriteFile(path, []byte(other), 0o604))
			obs, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 2})
			must(t, err)
			if got, want := read(t, path), strings.Replace(text, "rehearsal", "rehearsed", 1); got != want {
				t.Errorf("%s: put back (%s)\n%s\nwant\n%s", name, obs.World, got, want)
			}
			left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
			must(t, err)
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	}
}

// What was pulled is easy to read, too.
func TestHowItLooks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, name, want string }{
		{flagfile.Flagd, "flags.json", `"checkout": {
      "state": "ENABLED",
      "variants": { "on": true,   "off": false },
      "defaultVariant": "off",
      "metadata": {"owner": "payments <pay@example.com> & co"}
    },`},
		{flagfile.Flagd, "tight.json", `"checkout":{"state":"ENABLED","variants":{"on":1,"off":0},"defaultVariant":"off"}`},
		{flagfile.Flagd, "flags.yaml", "  checkout:\n    state: \"ENABLED\"\n    variants:\n      \"on\": true\n      \"off\": false\n    defaultVariant: \"off\"\n    metadata:\n      owner: payments\n  # For drills.\n"},
		{flagfile.GOFF, "goff.yaml", "checkout:\r\n  variations:\r\n    on: true\r\n    off: false\r\n  defaultRule: {\"variation\": \"off\"}\r\n  metadata:\r\n    text: |\r\n      checkout: not a key\r\n\r\nrehearsal:"},
		{flagfile.GOFF, "goff.json", "\"checkout\": {\n\t\t\"variations\": {\"on\": {\"limit\": 12.50}, \"off\": {\"limit\": 0}},\n\t\t\"defaultRule\": {\"variation\": \"off\"}\n\t},"},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		must(t, os.WriteFile(path, []byte(samples[c.kind][c.name]), 0o600))
		d := newDriver(c.kind, flagfile.Options{})
		p, err := d.Plan(t.Context(), lever.Request{Card: card(c.kind, flagfile.Section{File: path, Flag: "checkout", Variant: "off"}), Now: time.Now()})
		must(t, err)
		must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
		if got := read(t, path); !strings.Contains(got, c.want) {
			t.Errorf("%s: got\n%s", c.name, got)
		}
		if p.Steps[0].To != "off" || p.Steps[0].From == "off" {
			t.Errorf("%s: from %q to %q", c.name, p.Steps[0].From, p.Steps[0].To)
		}
	}
}

// A file that can't be changed by itself is refused, and stays.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, file, text, want string }{
		"written twice":     {flagfile.Flagd, "f.json", `{"flags":{"checkout":{"variants":{"off":1}},"checkout":{"variants":{"off":1}}}}`, "twice"},
		"no JSON":           {flagfile.Flagd, "f.json", `{"flags":`, "can't be read"},
		"half of UTF-8":     {flagfile.Flagd, "f.json", "{\"flags\":{\"checkout\":{\"variants\":{\"off\":\"\xff\"}}}}", "UTF-8"},
		"a null value":      {flagfile.Flagd, "f.json", `{"flags":{"checkout":{"variants":{"off":null}}}}`, "with a value"},
		"a flow of YAML":    {flagfile.GOFF, "f.yaml", "checkout: {variations: {on: true, off: false}, defaultRule: {variation: on}}\n", "block"},
		"aliases":           {flagfile.GOFF, "f.yaml", "a: &a {variations: {off: 1}}\ncheckout:\n  variations: &v\n    off: 1\nb: *v\n", "aliases"},
		"nested deep":       {flagfile.GOFF, "f.yaml", "checkout: " + strings.Repeat("[", 10_000), "deep"},
		"twice in YAML":     {flagfile.GOFF, "f.yaml", "checkout:\n  variations:\n    off: 1\ncheckout:\n  variations:\n    off: 1\n", ""},
		"an escaped key":    {flagfile.GOFF, "f.yaml", "\"check\\x6fut\":\n  variations:\n    off: 1\n  defaultRule:\n    variation: off\n", "found"},
		"a very long flag":  {flagfile.Flagd, "f.json", `{"flags":{"checkout":{"variants":{"off":"` + strings.Repeat("x", 70_000) + `"}}}}`, "longer"},
		"an empty file":     {flagfile.GOFF, "f.yaml", "", "can't be read"},
		"a list":            {flagfile.Flagd, "f.json", `[]`, "can't be read"},
		"no flags":          {flagfile.Flagd, "f.json", `{"flags":[]}`, "no flag"},
		"a flag of strings": {flagfile.Flagd, "f.json", `{"flags":{"checkout":"on"}}`, "no flag"},
	} {
		path := filepath.Join(t.TempDir(), c.file)
		must(t, os.WriteFile(path, []byte(c.text), 0o600))
		_, err := newDriver(c.kind, flagfile.Options{}).Plan(t.Context(), lever.Request{Card: card(c.kind, flagfile.Section{File: path, Flag: "checkout", Variant: "off"}), Now: time.Now()})
		var f *fault.Error
		if !errors.As(err, &f) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if read(t, path) != c.text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// The file is reached by a link, as Kubernetes lays it out: the link stays.
func TestLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "..data.json")
	must(t, os.WriteFile(real, []byte(samples[flagfile.Flagd]["tight.json"]), 0o600))
	path := filepath.Join(dir, "flags.json")
	must(t, os.Symlink("..data.json", path))
	d := newDriver(flagfile.Flagd, flagfile.Options{})
	p, err := d.Plan(t.Context(), lever.Request{Card: card(flagfile.Flagd, flagfile.Section{File: path, Flag: "checkout", Variant: "off"}), Now: time.Now()})
	must(t, err)
	must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
	if to, err := os.Readlink(path); err != nil || to != "..data.json" || !strings.Contains(read(t, real), `"defaultVariant":"off"`) {
		t.Errorf("link %q %v, file %s", to, err, read(t, real))
	}
}

// Somebody replaces the file between the driver's reading and its writing.
func TestRace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flags.json")
	text := samples[flagfile.Flagd]["tight.json"]
	must(t, os.WriteFile(path, []byte(text), 0o600))
	d := newDriver(flagfile.Flagd, flagfile.Options{})
	p, err := d.Plan(t.Context(), lever.Request{Card: card(flagfile.Flagd, flagfile.Section{File: path, Flag: "checkout", Variant: "off"}), Now: time.Now()})
	must(t, err)
	lost, won := 0, 0
	for i := range 200 {
		must(t, os.WriteFile(path+".new", []byte(text), 0o600))
		must(t, os.Rename(path+".new", path))
		theirs := strings.Replace(text, "rehearsal", fmt.Sprintf("theirs-%d", i), 1)
		done := make(chan error)
		go func() {
			_ = os.WriteFile(path+".new", []byte(theirs), 0o600)
			done <- os.Rename(path+".new", path)
		}()
		err := d.Apply(t.Context(), p, 0, lever.Token{})
		must(t, <-done)
		got := read(t, path)
		switch {
		case err == nil:
			won++
		case fault.KindOf(err) == fault.Conflict:
			lost++
		default:
			t.Fatal(err)
		}
		if !strings.Contains(got, "theirs") && err != nil || got != theirs && !strings.Contains(got, `"off"`) {
			t.Fatalf("%v, and the file is\n%s", err, got)
		}
	}
	t.Logf("lost %d races, won %d", lost, won)
}

// Whatever is in the file: no panic, and what is planned changes the one flag alone.
func FuzzFile(f *testing.F) {
	for kind, files := range samples {
		for _, text := range files {
			f.Add(kind == flagfile.GOFF, strings.HasPrefix(text, "{"), text)
		}
	}
	f.Add(true, false, "checkout:\n- a\n")
	f.Add(true, false, "checkout:\n  variations:\n    off: |\n   x\n")
	f.Fuzz(func(t *testing.T, goff, isJSON bool, text string) {
		if len(text) > 4096 {
			t.Skip()
		}
		kind, name := flagfile.Flagd, "f.yaml"
		if goff {
			kind = flagfile.GOFF
		}
		if isJSON {
			name = "f.json"
		}
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		d := newDriver(kind, flagfile.Options{})
		p, err := d.Plan(t.Context(), lever.Request{Card: card(kind, flagfile.Section{File: path, Flag: "checkout", Variant: "off"}), Now: time.Now()})
		if err != nil {
			var refusal *fault.Error
			if !errors.As(err, &refusal) || refusal.Kind == fault.Internal {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := d.Apply(t.Context(), p, 0, lever.Token{}); err != nil {
			t.Fatalf("planned, and %v", err)
		}
		if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != lever.After && string(p.Steps[0].Before) != string(p.Steps[0].After) {
			t.Fatalf("%+v %v", obs, err)
		}
		if _, err := d.Revert(t.Context(), p, 0, lever.Token{}); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != text {
			t.Fatalf("put back\n%q\nwas\n%q", got, text)
		}
	})
}
