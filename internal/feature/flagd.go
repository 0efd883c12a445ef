package feature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// MaxFlagd is the most bytes that a flagd file may have.
const MaxFlagd = 4 << 20

// Written are features as somebody wrote them down: rules may name shared parts by $ref.
type Written struct {
	Flags      []Flag
	Evaluators map[string]json.RawMessage
}

// flagdFile is a flag definition of flagd (flagd.dev/schema/v0/flags.json).
type flagdFile struct {
	Flags      json.RawMessage            `json:"flags"`
	Evaluators map[string]json.RawMessage `json:"$evaluators"`
}

type flagdFlag struct {
	State     string                     `json:"state"`
	Variants  map[string]json.RawMessage `json:"variants"`
	Default   *string                    `json:"defaultVariant"`
	Targeting json.RawMessage            `json:"targeting,omitempty"`
	Metadata  map[string]any             `json:"metadata,omitempty"`
}

// The members of a flag's metadata in which what flagd does not know is kept.
const (
	aboutSays    = "description"
	aboutOwner   = "owner"
	aboutPublic  = "public"
	aboutDefault = "codeDefault"
)

// WriteFlagd writes features as flagd's file. They mean the same there: on is the
// default variant.
func WriteFlagd(w Written) ([]byte, error) {
	flags := map[string]flagdFlag{}
	on := On
	for _, f := range w.Flags {
		out := flagdFlag{State: "ENABLED", Variants: map[string]json.RawMessage{On: f.Value, Off: f.Off}, Default: &on, Targeting: f.Targeting, Metadata: map[string]any{}}
		maps.Copy(out.Variants, f.Variants)
		if typeOf(f.Value) == "boolean" && len(f.Targeting) > 0 { // here true and false are variants of their own
			out.Variants = f.named()
		}
		for name, text := range map[string]string{aboutSays: f.Says, aboutOwner: f.Owner, aboutDefault: string(f.CodeDefault)} {
			if text != "" {
				out.Metadata[name] = text
			}
		}
		if f.Public {
			out.Metadata[aboutPublic] = true
		}
		flags[f.Key] = out
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]any{"$schema": "https://flagd.dev/schema/v0/flags.json", "flags": flags, "$evaluators": nonNil(w.Evaluators)})
	if err != nil {
		return nil, fault.New(fault.Invalid, "a feature has a value that is not JSON").Because(err)
	}
	return out.Bytes(), nil
}

func nonNil(m map[string]json.RawMessage) map[string]json.RawMessage {
	if m == nil {
		return map[string]json.RawMessage{}
	}
	return m
}

// ReadFlagd reads flagd's file. off names, for a flag, the variant that it has when its
// lever is pulled; without it that is the one called off, or the false one. notes tell of
// what is not the same here. What can't be taken over is refused, all of it in one error.
func ReadFlagd(text []byte, off map[string]string) (w Written, notes []string, err error) {
	if len(text) > MaxFlagd {
		return w, nil, fault.New(fault.Invalid, "the file has %d bytes, %d fit", len(text), MaxFlagd).WithHint("take over one part after the other")
	}
	var file flagdFile
	var flags map[string]json.RawMessage
	if err := json.Unmarshal(text, &file); err != nil {
		return w, nil, fault.New(fault.Invalid, "this is not JSON").Because(err).WithHint("give it a flag definition of flagd, as JSON")
	}
	if json.Unmarshal(file.Flags, &flags) != nil || flags == nil {
		return w, nil, fault.New(fault.Invalid, "there is no object with flags").At("flags").WithHint(`flagd's files begin with {"flags": {"KEY": {…`)
	}
	for key := range off {
		if _, known := flags[key]; !known {
			return w, nil, fault.New(fault.NotFound, "there is no flag %q", key).At("--off").WithHint("name one of the file's flags")
		}
	}
	w.Evaluators = file.Evaluators
	problems := checkEvaluators(file.Evaluators)
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		t := taking{key: key, evaluators: file.Evaluators, off: off[key]}
		f, err := t.flag(flags[key])
		notes = append(notes, t.notes...)
		switch {
		case err != nil:
			problems = append(problems, "flags."+printable(key)+": "+err.Error())
		case f != nil:
			w.Flags = append(w.Flags, *f)
		}
	}
	if len(problems) > 0 {
		const most = 20
		if n := len(problems); n > most {
			problems = append(problems[:most], fmt.Sprintf("and %d more", n-most))
		}
		return Written{}, notes, fault.New(fault.Invalid, "the file can't be taken over:\n  %s", strings.Join(problems, "\n  "))
	}
	return w, notes, nil
}

func checkEvaluators(all map[string]json.RawMessage) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		rule, _, err := Expand(all[name], all)
		if err == nil {
			_, err = CheckPart(rule)
		}
		if err != nil {
			problems = append(problems, "$evaluators."+printable(name)+": "+err.Text)
		}
	}
	return problems
}

// taking is one flag of flagd's that is taken over.
type taking struct {
	key        string
	evaluators map[string]json.RawMessage
	off        string // the variant that was said to be the off one
	notes      []string
}

func (t *taking) note(format string, args ...any) {
	t.notes = append(t.notes, printable(t.key)+": "+fmt.Sprintf(format, args...))
}

// flag gives nil for one that is left out.
func (t *taking) flag(raw json.RawMessage) (*Flag, error) {
	var in flagdFlag
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("the flag can't be read: %w", err)
	}
	switch {
	case in.State == "DISABLED":
		t.note("left out, because it is DISABLED: programs go on with the default in their code")
		return nil, nil
	case in.State != "ENABLED" && in.State != "":
		return nil, fmt.Errorf("the state %q is not known; say ENABLED or DISABLED", printable(in.State))
	case in.Default == nil:
		return nil, fmt.Errorf("it has no defaultVariant; here a flag always has a value, so name one")
	}
	calm, has := in.Variants[*in.Default]
	if !has {
		return nil, fmt.Errorf("there is no variant %q, which defaultVariant names", printable(*in.Default))
	}
	off, err := t.offOf(in)
	if err != nil {
		return nil, err
	}
	f := &Flag{Key: t.key, Value: calm, Off: in.Variants[off]}
	t.about(f, in.Metadata)
	names := t.rename(f, in, off)
	if rule := bytes.TrimSpace(in.Targeting); len(rule) > 0 && string(rule) != "null" && string(rule) != "{}" {
		if f.Targeting, err = t.rule(in.Targeting, names); err != nil {
			return nil, err
		}
	}
	return f, t.check(*f)
}

// offOf is the variant that the flag has when its lever is pulled.
func (t *taking) offOf(in flagdFlag) (string, error) {
	if t.off != "" {
		if _, has := in.Variants[t.off]; !has {
			return "", fmt.Errorf("there is no variant %q, which --off names", printable(t.off))
		}
		return t.off, nil
	}
	if _, has := in.Variants[Off]; has {
		return Off, nil
	}
	for _, name := range slices.Sorted(maps.Keys(in.Variants)) {
		if string(tight(in.Variants[name])) == "false" {
			return name, nil
		}
	}
	return "", fmt.Errorf("no variant is called off; say which one it has when it is closed: --off %s=VARIANT", printable(t.key))
}

// rename gives the variants the names that they have here: the default one is on, the
// off one is off. It gives the names that rules have to use instead.
func (t *taking) rename(f *Flag, in flagdFlag, off string) map[string]string {
	names := map[string]string{*in.Default: On}
	names[off] = Off // where it is the default, too, both mean the same
	taken := map[string]bool{On: true, Off: true, Ordered: true}
	for name := range in.Variants {
		taken[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(in.Variants)) {
		if _, done := names[name]; done {
			continue
		}
		if typeOf(f.Value) == "boolean" { // true and false are variants of every such flag
			names[name] = string(tight(in.Variants[name]))
			continue
		}
		to := name
		for n := 1; to == On || to == Off || to == Ordered || to != name && taken[to]; n++ {
			to = fmt.Sprintf("%s-%d", name, n)
		}
		taken[to], names[name] = true, to
		if f.Variants == nil {
			f.Variants = map[string]json.RawMessage{}
		}
		f.Variants[to] = in.Variants[name]
	}
	for name, to := range names {
		if name == to {
			delete(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t.note("the variant %s is called %s here", printable(name), names[name])
	}
	return names
}

// rule is the rule with the variants' names of here. Names that stand in it are put in
// place; one whose result can't be told beforehand gets a part around it.
func (t *taking) rule(raw json.RawMessage, names map[string]string) (json.RawMessage, error) {
	if len(names) == 0 {
		return raw, nil
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil, fmt.Errorf("its targeting is not JSON")
	}
	return json.Marshal(renamed(v, names))
}

// renamed gives what comes to the same variants by other names.
func renamed(v any, names map[string]string) any {
	switch x := v.(type) {
	case nil:
		return nil
	case map[string]any:
		if args, is := x["if"].([]any); is && len(x) == 1 {
			out := slices.Clone(args)
			for i := range out {
				if i%2 == 1 || i == len(out)-1 {
					out[i] = renamed(out[i], names)
				}
			}
			return map[string]any{"if": out}
		}
		if args, is := x["fractional"].([]any); is && len(x) == 1 {
			if out, ok := renamedShares(args, names); ok {
				return map[string]any{"fractional": out}
			}
		}
	case string, bool, float64:
		if to, is := names[text(x)]; is {
			return to
		}
		return v
	}
	// Each name in turn: what it comes to is looked at as text, as flagd does.
	parts := make([]any, 0, 2*len(names)+1)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		parts = append(parts, map[string]any{"===": []any{map[string]any{"cat": []any{v, ""}}, name}}, names[name])
	}
	return map[string]any{"if": append(parts, v)}
}

// renamedShares says false for shares whose names are not written down.
func renamedShares(args []any, names map[string]string) ([]any, bool) {
	out := slices.Clone(args)
	for i, a := range args {
		share, is := a.([]any)
		if !is {
			if i == 0 {
				continue // what is split by
			}
			return nil, false
		}
		if len(share) == 0 {
			continue
		}
		switch share[0].(type) {
		case string, bool, float64:
			share = slices.Clone(share)
			share[0] = renamed(share[0], names)
			out[i] = share
		case nil:
		default:
			return nil, false
		}
	}
	return out, true
}

// about takes over what was kept in the metadata.
func (t *taking) about(f *Flag, meta map[string]any) {
	f.Says, _ = meta[aboutSays].(string)
	f.Owner, _ = meta[aboutOwner].(string)
	f.Public, _ = meta[aboutPublic].(bool)
	if text, is := meta[aboutDefault].(string); is && json.Valid([]byte(text)) {
		f.CodeDefault = json.RawMessage(text)
	}
}

// check says what configuration would refuse.
func (t *taking) check(f Flag) error {
	plain := f
	plain.Targeting = nil
	if err := plain.usable(); err != nil {
		return err
	}
	if len(f.Targeting) == 0 {
		return nil
	}
	rule, path, err := Expand(f.Targeting, t.evaluators)
	if err == nil {
		f.Targeting = rule
		path, err = f.CheckRule()
	}
	if err != nil {
		return fmt.Errorf("targeting.%s: %s", strings.Join(path, "."), err.Text)
	}
	return nil
}
