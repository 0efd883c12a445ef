// Package flipt is the lever of kind flipt: it closes a flag of Flipt by its management
// API, of version 2 or version 1.
//
// In Flipt a boolean flag's rollouts decide before its own value, and a variant flag
// that is disabled has no value at all, so the default in each application's code would
// decide. The lever therefore sets a boolean flag to false without rollouts, and a
// variant flag to a named default variant without rules, and puts those back. The API
// of version 1 keeps rollouts and rules elsewhere and can't set them aside: there only a
// boolean flag without rollouts is taken.
//
// Version 2 compares the revision that was read; version 1 has no such thing.
//
// Concurrency: everything may be used from any goroutine.
package flipt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/outside"
)

// Kind is this driver's kind.
const Kind = "flipt"

// The versions of the API.
const (
	V1 = "v1"
	V2 = "v2"
)

// Section is the driver's configuration.
type Section struct {
	outside.Remote
	API         string `json:"api,omitempty"`         // v2 unless said
	Environment string `json:"environment,omitempty"` // of v2: default
	Namespace   string `json:"namespace,omitempty"`   // default
	Flag        string `json:"flag"`
	Variant     string `json:"variant,omitempty"` // what everybody gets of a variant flag
	Drill       string `json:"drill,omitempty"`   // a flag that drills move
}

// maxState is how much of a flag a plan may hold, in bytes.
const maxState = 64 << 10

// New makes the driver.
func New(now func() time.Time) *outside.Driver {
	return outside.New(outside.Options{Kind: Kind, Now: now, Open: open, Capabilities: lever.Capabilities{
		Class: lever.R0, Latency: 500 * time.Millisecond, Rights: []string{"a client token that may update flags of the namespace"},
		SideEffects: []string{"The flag's rules and rollouts are set aside while the lever is pulled."},
		Reach:       "An estimate: at once where an application asks the server, at its next fetch where it evaluates by itself, 120 seconds apart unless set otherwise.",
	}})
}

type thing struct{ Section }

func open(raw json.RawMessage, drill bool) (outside.Thing, error) {
	var t thing
	const needs = "a url and a flag"
	if err := outside.Section(raw, &t.Section, needs); err != nil {
		return nil, err
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	t.API, t.Environment, t.Namespace = cmp.Or(t.API, V2), cmp.Or(t.Environment, "default"), cmp.Or(t.Namespace, "default")
	if t.Flag == "" || t.Drill == t.Flag || t.API != V1 && t.API != V2 || t.API == V1 && t.Variant != "" {
		return nil, fault.New(fault.Invalid, "the lever's section is not whole").WithHint("it needs %s; api is v1 or v2, a variant needs v2, and drills need another flag", needs)
	}
	if drill && t.Drill == "" {
		return nil, outside.ErrNoShadow
	}
	if drill {
		t.Flag = t.Drill
	}
	return t, nil
}

func (t thing) api() outside.API { return outside.API{Remote: t.Remote, Scheme: "Bearer "} }
func (t thing) Target() string {
	return t.URL + outside.Path(t.API, t.Environment, t.Namespace, t.Flag)
}
func (t thing) Witness() string { return "Flipt at " + t.URL }
func (t thing) v1() string {
	return "/api/v1" + outside.Path("namespaces", t.Namespace, "flags", t.Flag)
}
func (t thing) v2() string {
	return "/api/v2" + outside.Path("environments", t.Environment, "namespaces", t.Namespace, "resources")
}

// The fields of a flag that say who gets what; all others stay.
var moved = []string{"enabled", "defaultVariant", "rules", "rollouts"}

// mark is a flag as it was read.
type mark struct {
	flag     map[string]any
	revision string // of v2
}

// Read asks for the flag, and for its rollouts where they are kept elsewhere.
func (t thing) Read(ctx context.Context) (outside.Reading, error) {
	var m mark
	var err error
	if t.API == V1 {
		m, err = t.readV1(ctx)
	} else {
		m, err = t.readV2(ctx)
	}
	if err != nil {
		return outside.Reading{}, err
	}
	r := outside.Reading{State: outside.State(part(m.flag)), Word: words(m.flag), Mark: m}
	if len(r.State) > maxState {
		return r, fault.New(fault.Invalid, "the flag's rules are longer than %d bytes", maxState)
	}
	return r, nil
}

func (t thing) readV2(ctx context.Context) (mark, error) {
	var got struct {
		Resource struct {
			Payload json.RawMessage `json:"payload"`
		} `json:"resource"`
		Revision string `json:"revision"`
	}
	if err := t.api().Get(ctx, t.v2()+outside.Path("flipt.core.Flag", t.Flag), &got); err != nil {
		return mark{}, err
	}
	flag, err := object(got.Resource.Payload)
	return mark{flag, got.Revision}, err
}

func (t thing) readV1(ctx context.Context) (mark, error) {
	var raw, rollouts json.RawMessage
	if err := t.api().Get(ctx, t.v1(), &raw); err != nil {
		return mark{}, err
	}
	flag, err := object(raw)
	if err != nil || !boolean(flag) {
		return mark{flag: flag}, err
	}
	if err := t.api().Get(ctx, t.v1()+"/rollouts", &rollouts); err != nil {
		return mark{}, err
	}
	list, err := object(rollouts)
	if rules, has := list["rules"].([]any); has && err == nil {
		flag["rollouts"] = rules
	}
	return mark{flag: flag}, err
}

func object(raw json.RawMessage) (map[string]any, error) {
	var out map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&out) != nil || out == nil {
		return nil, fault.New(fault.Unavailable, "the answer is no flag").WithHint("see that url is Flipt's and api its version")
	}
	return out, nil
}

func boolean(flag map[string]any) bool { return flag["type"] == "BOOLEAN_FLAG_TYPE" }

// part is what the lever moves of a flag. A field that is empty is left out: a server
// may say it or not.
func part(flag map[string]any) map[string]any {
	out := map[string]any{"enabled": flag["enabled"] == true}
	for _, key := range moved {
		switch v := flag[key].(type) {
		case string:
			if v != "" {
				out[key] = v
			}
		case []any:
			if len(v) > 0 {
				out[key] = v
			}
		case map[string]any: // v1 gives the variant whole
			if name, is := v["key"].(string); is {
				out[key] = name
			}
		}
	}
	return out
}

func words(flag map[string]any) string {
	p := part(flag)
	out := "false"
	switch {
	case boolean(flag) && p["enabled"] == true:
		out = "true"
	case !boolean(flag):
		out = fmt.Sprint(cmp.Or[any](p["defaultVariant"], "no default"))
		if p["enabled"] != true {
			out += ", disabled"
		}
	}
	if p["rules"] != nil || p["rollouts"] != nil {
		out += " by its rules"
	}
	return outside.Name(out)
}

// Wanted is one value for everybody.
func (t thing) Wanted(now outside.Reading) (outside.Reading, error) {
	m, is := now.Mark.(mark)
	if !is {
		return outside.Reading{}, fault.New(fault.Internal, "a reading of something else")
	}
	flag := maps.Clone(m.flag)
	switch {
	case t.API == V1 && (!boolean(flag) || part(flag)["rollouts"] != nil):
		return outside.Reading{}, fault.New(fault.Invalid, "the flag is no boolean one without rollouts, and the API of version 1 can't set its rules aside").
			WithHint("use Flipt 2, or a boolean flag without rollouts")
	case boolean(flag) && t.Variant != "":
		return outside.Reading{}, fault.New(fault.Invalid, "the flag is a boolean one and has no variants").WithHint("leave variant out: it becomes false")
	case boolean(flag):
		flag["enabled"] = false
		delete(flag, "rollouts")
	case !has(flag, t.Variant):
		return outside.Reading{}, fault.New(fault.Invalid, "the flag has no variant %q", t.Variant).WithHint("name the variant that everybody should get")
	default:
		flag["enabled"], flag["defaultVariant"] = true, t.Variant
		delete(flag, "rules")
	}
	return outside.Reading{State: outside.State(part(flag)), Word: words(flag)}, nil
}

func has(flag map[string]any, variant string) bool {
	list, _ := flag["variants"].([]any)
	return variant != "" && slices.ContainsFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		return m["key"] == variant
	})
}

// Write puts the moved fields into the flag as it was read, and nothing else.
func (t thing) Write(ctx context.Context, now outside.Reading, to json.RawMessage) error {
	m, is := now.Mark.(mark)
	want, err := object(to)
	if !is || err != nil {
		return fault.New(fault.Invalid, "the plan's step can't be read")
	}
	if t.API == V1 {
		body := map[string]any{"enabled": want["enabled"]}
		for _, key := range []string{"name", "description", "metadata"} { // what is not sent is emptied
			if v, has := m.flag[key]; has {
				body[key] = v
			}
		}
		return t.api().Do(ctx, outside.Call{Method: http.MethodPut, Path: t.v1(), Body: body})
	}
	flag := maps.Clone(m.flag)
	for _, key := range moved {
		delete(flag, key)
	}
	maps.Copy(flag, want)
	flag["@type"] = cmp.Or[any](flag["@type"], "flipt.core.Flag")
	return t.api().Do(ctx, outside.Call{Method: http.MethodPut, Path: t.v2(), Body: map[string]any{
		"environmentKey": t.Environment, "namespaceKey": t.Namespace, "key": t.Flag, "payload": flag, "revision": m.revision,
	}})
}
