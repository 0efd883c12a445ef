// Package flagfile is the levers of kind flagd and goff: each closes one feature in a
// file of flags that flagd or GO Feature Flag reads, JSON or YAML.
//
// It evaluates no rule and watches no file: the flag system does. Of the file it
// changes the one flag and leaves every other byte as it is; what else would decide
// about the flag (targeting, a schedule, a state) is set aside and comes back exactly,
// because the plan holds the flag's own bytes.
//
// Invariants: what is written has been read back with a parser first, and differs from
// what was there in this flag alone; off is always an explicit value, never "disabled".
//
// Concurrency: everything may be used from any goroutine.
package flagfile

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/outside"
)

// The kinds.
const (
	Flagd = "flagd"
	GOFF  = "goff"
)

// Section is the configuration of both kinds.
type Section struct {
	File    string         `json:"file"` // absolute
	Flag    string         `json:"flag"`
	Variant string         `json:"variant"`         // what everybody gets while the lever is pulled
	Drill   string         `json:"drill,omitempty"` // a flag of the same file that drills move
	OFREP   outside.Remote `json:"ofrep,omitzero"`  // where the flag system answers; read back there, too
}

// maxPiece is how long a flag's definition may be, in bytes: a plan holds it twice.
const maxPiece = 64 << 10

// Options of a driver.
type Options struct {
	Now    func() time.Time
	Rename func(from, to string) error // os.Rename unless set
}

// NewFlagd makes the driver of flagd files.
func NewFlagd(o Options) *outside.Driver { return newDriver(flagd, o) }

// NewGOFF makes the driver of GO Feature Flag files.
func NewGOFF(o Options) *outside.Driver { return newDriver(goff, o) }

func newDriver(d dialect, o Options) *outside.Driver {
	if o.Rename == nil {
		o.Rename = os.Rename
	}
	caps := lever.Capabilities{
		Class: lever.R0, Latency: 2 * time.Second, Rights: []string{"read and replace the file", "write in its folder"},
		SideEffects: []string{"The flag's rules are set aside while the lever is pulled.", "What copies the file from elsewhere, such as Git, would put the old one back: the lever says when it no longer holds."},
		Reach:       "An estimate: within seconds, once flagd has read its file again and the applications have heard of it.",
	}
	if d.kind == GOFF {
		caps.Latency, caps.Reach = time.Minute, "An estimate: within its polling interval, 60 seconds unless set otherwise, and then until the applications have heard of it."
	}
	return outside.New(outside.Options{Kind: d.kind, Capabilities: caps, Now: o.Now, Open: func(raw json.RawMessage, drill bool) (outside.Thing, error) { return open(d, o, raw, drill) }})
}

// thing is one flag of one file.
type thing struct {
	d      dialect
	rename func(from, to string) error
	Section
}

func open(d dialect, o Options, raw json.RawMessage, drill bool) (outside.Thing, error) {
	t := thing{d: d, rename: o.Rename}
	needs := "a file, a flag and a " + d.word
	if err := outside.Section(raw, &t.Section, needs); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(t.File) || t.Flag == "" || t.Variant == "" || t.Drill == t.Flag {
		return nil, fault.New(fault.Invalid, "the lever's section is not whole").WithHint("it needs %s; the file by its absolute path, and for drills another flag", needs)
	}
	if t.OFREP.URL != "" {
		if err := t.OFREP.Check(); err != nil {
			return nil, err
		}
	}
	if drill && t.Drill == "" {
		return nil, outside.ErrNoShadow
	}
	if drill {
		t.Flag = t.Drill
	}
	return t, nil
}

func (t thing) Target() string  { return t.File + "#" + t.Flag }
func (t thing) Witness() string { return t.File }

// found is a flag in a file that has been read.
type found struct {
	file       outside.File
	syn        syntax
	whole      map[string]any
	flag       map[string]any
	start, end int
}

// Read finds the flag's bytes.
func (t thing) Read(ctx context.Context) (outside.Reading, error) {
	f, err := outside.ReadFile(ctx, t.File)
	if err != nil {
		return outside.Reading{}, err
	}
	x, err := t.find(f)
	if err != nil {
		return outside.Reading{}, err
	}
	return outside.Reading{State: outside.State(string(f.Bytes[x.start:x.end])), Word: t.d.now(x.flag), Mark: x}, nil
}

func (t thing) find(f outside.File) (found, error) {
	x := found{file: f, syn: syntaxOf(f.Path, f.Bytes)}
	if !utf8.Valid(f.Bytes) {
		return x, fault.New(fault.Unavailable, "%s is not UTF-8 text", t.File).WithHint("mend the file")
	}
	var err error
	if x.whole, err = x.syn.decode(f.Bytes); err != nil {
		return x, fault.New(fault.Unavailable, "%s can't be read: %v", t.File, err).WithHint("mend the file")
	}
	if x.flag, err = t.d.flagOf(x.whole, t.Flag); err != nil {
		return x, err
	}
	x.start, x.end, err = x.syn.locate(f.Bytes, t.d.path(t.Flag))
	switch {
	case errors.Is(err, errNoFlag):
		return x, fault.New(fault.Invalid, "the flag %q of %s can't be found by its lines", t.Flag, t.File).WithHint("write it as a block, its key without quotes or escapes")
	case err != nil:
		return x, fault.New(fault.Invalid, "the flag %q of %s can't be changed by itself: %v", t.Flag, t.File, err)
	case x.end-x.start > maxPiece:
		return x, fault.New(fault.Invalid, "the flag %q is longer than %d bytes", t.Flag, maxPiece)
	}
	return x, nil
}

// syntaxOf goes by the name, and by the first letter where that does not tell.
func syntaxOf(path string, b []byte) syntax {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		return yamlSyntax{}
	case ".json":
		return jsonSyntax{}
	}
	if text := strings.TrimSpace(string(b[:min(len(b), 200)])); strings.HasPrefix(text, "{") {
		return jsonSyntax{}
	}
	return yamlSyntax{}
}

// Wanted is the flag's bytes with the variant for everybody.
func (t thing) Wanted(now outside.Reading) (outside.Reading, error) {
	x, is := now.Mark.(found)
	if !is {
		return outside.Reading{}, fault.New(fault.Internal, "a reading of something else")
	}
	if _, err := t.d.value(x.flag, t.Variant); err != nil {
		return outside.Reading{}, err
	}
	piece := x.file.Bytes[x.start:x.end]
	to, err := x.syn.edit(piece, t.d.set(t.Variant), t.d.drop)
	if err == nil {
		var flag map[string]any
		if _, flag, err = t.change(x, to); err == nil {
			err = t.closed(x.flag, flag)
		}
	}
	if err != nil {
		return outside.Reading{}, fault.New(fault.Invalid, "the flag %q of %s can't be changed by itself: %v", t.Flag, t.File, err).WithHint("write it plainly, each of its keys on a line of its own")
	}
	return outside.Reading{State: outside.State(string(to)), Word: t.Variant}, nil
}

// change gives the file with other bytes in the flag's place, if nothing else differs.
func (t thing) change(x found, piece []byte) (file []byte, flag map[string]any, err error) {
	file = slices.Concat(x.file.Bytes[:x.start], piece, x.file.Bytes[x.end:])
	whole, err := x.syn.decode(file)
	if err != nil {
		return nil, nil, err
	}
	if flag, err = t.d.flagOf(whole, t.Flag); err != nil {
		return nil, nil, err
	}
	if !reflect.DeepEqual(t.without(x.whole), t.without(whole)) {
		return nil, nil, errors.New("another part of the file would change")
	}
	return file, flag, nil
}

// without is a file without the flag.
func (t thing) without(whole map[string]any) map[string]any {
	out := map[string]any{}
	path := t.d.path(t.Flag)
	for k, v := range whole {
		if k != path[0] {
			out[k] = v
			continue
		}
		if inner, is := v.(map[string]any); is && len(path) == 2 {
			rest := map[string]any{}
			for k, v := range inner {
				if k != path[1] {
					rest[k] = v
				}
			}
			out[k] = rest
		}
	}
	return out
}

// closed checks that a changed flag has what was set, not what was dropped, and the
// rest as before.
func (t thing) closed(was, flag map[string]any) error {
	want := map[string]any{}
	for k, v := range was {
		if !slices.Contains(t.d.drop, k) {
			want[k] = v
		}
	}
	for _, p := range t.d.set(t.Variant) {
		var v any
		if err := json.Unmarshal([]byte(p.value), &v); err != nil {
			return err
		}
		want[p.key] = v
	}
	if !reflect.DeepEqual(want, flag) {
		return errors.New("what would be written does not say what it should")
	}
	return nil
}

// Write puts bytes in the flag's place.
func (t thing) Write(ctx context.Context, now outside.Reading, to json.RawMessage) error {
	x, is := now.Mark.(found)
	var piece string
	if !is || json.Unmarshal(to, &piece) != nil {
		return fault.New(fault.Invalid, "the plan's step can't be read")
	}
	file, _, err := t.change(x, []byte(piece))
	if err != nil {
		return fault.New(fault.Conflict, "%s has changed so that the flag %q can't be put into it: %v", t.File, t.Flag, err).WithHint("put the flag right by hand")
	}
	return x.file.Replace(ctx, file, t.rename)
}

// Problems looks at the file's place, and at the flag for drills.
func (t thing) Problems(ctx context.Context, now outside.Reading) []string {
	var out []string
	if x, is := now.Mark.(found); is {
		out = x.file.Problems()
	}
	if t.Drill != "" {
		drill := t
		drill.Flag = t.Drill
		r, err := drill.Read(ctx)
		if err == nil {
			_, err = drill.Wanted(r)
		}
		if err != nil {
			out = append(out, "The flag for drills, "+t.Drill+": "+strings.TrimSuffix(err.Error(), ".")+".")
		}
	}
	if t.OFREP.URL != "" {
		if _, err := t.ask(ctx); err != nil {
			out = append(out, t.OFREP.URL+" does not answer for the flag ("+err.Error()+"): see that it runs and reads this file.")
		}
	}
	return out
}
