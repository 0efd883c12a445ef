package flagfile

import (
	"context"
	"encoding/json"
	"net/http"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/outside"
)

// told is what the flag system answers an application (OFREP, single evaluation).
type told struct {
	Value  any    `json:"value"`
	Reason string `json:"reason"`
	none   bool   // it is known, and has no value
}

func (t thing) ask(ctx context.Context) (told, error) {
	api := outside.API{Remote: t.OFREP, Scheme: "Bearer "}
	var out told
	err := api.Do(ctx, outside.Call{
		Method: http.MethodPost, Path: "/ofrep/v1/evaluate/flags" + outside.Path(t.Flag),
		Body: map[string]any{"context": map[string]any{"targetingKey": "lifeboat"}}, Into: &out,
	})
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return told{}, fault.New(fault.Unavailable, "it knows no such flag")
	case err != nil:
		return told{}, fault.New(fault.Unavailable, "no answer").Because(err)
	}
	out.none = out.Value == nil
	return out, nil
}

// Look asks the flag system itself, as an application would. Where the flag had rules
// before, an answer that a rule gave is the one from before, whatever its value.
func (t thing) Look(ctx context.Context, s lever.Step) []lever.Sighted {
	if t.OFREP.URL == "" {
		return nil
	}
	out := lever.Sighted{Witness: t.OFREP.URL, World: lever.Unknown}
	got, err := t.ask(ctx)
	if err != nil {
		out.Value = err.Error()
		return []lever.Sighted{out}
	}
	before, okBefore := t.parse(s.Before)
	after, okAfter := t.parse(s.After)
	if !okBefore || !okAfter {
		out.Value = "the plan can't be read"
		return []lever.Sighted{out}
	}
	out.Value = "no value"
	if !got.none {
		b, _ := json.Marshal(got.Value) // it was JSON
		out.Value = string(b)
	}
	off, _ := t.d.value(after, t.Variant)
	is := func(v any) bool { return !got.none && outside.Same(outside.State(v), outside.State(got.Value)) }
	switch ruled := t.d.ruled(before); {
	case ruled && got.Reason != "STATIC", t.d.mute(before) && got.none:
		out.World = lever.Before
	case is(off):
		out.World = lever.After
	case !ruled && is(t.usual(before)):
		out.World = lever.Before
	default:
		out.World = lever.Foreign
	}
	return []lever.Sighted{out}
}

// usual is the value that a flag without rules gives to everybody.
func (t thing) usual(flag map[string]any) any {
	name, _ := flag["defaultVariant"].(string)
	if rule, is := flag["defaultRule"].(map[string]any); is {
		name, _ = rule["variation"].(string)
	}
	v, _ := t.d.value(flag, name)
	return v
}

// parse reads a flag's own bytes, as a plan holds them.
func (t thing) parse(state json.RawMessage) (map[string]any, bool) {
	var text string
	if json.Unmarshal(state, &text) != nil {
		return nil, false
	}
	if m, err := (jsonSyntax{}).decode([]byte(text)); err == nil {
		return m, true
	}
	m, err := yamlSyntax{}.decode([]byte(text))
	if err != nil {
		return nil, false
	}
	for _, v := range m { // the one flag, below its key
		flag, is := v.(map[string]any)
		return flag, is
	}
	return nil, false
}
