// Package launchdarkly is the lever of kind launchdarkly: it turns a flag off in one
// environment by LaunchDarkly's REST API, with a semantic patch.
//
// A flag that is off gives everybody its off variation, whatever its targets and rules
// say, and those stay as they are. A flag without an off variation is refused: the
// default in each application's code would decide. With `variation` the off variation
// is set in the same patch, and the former one comes back.
//
// The API's semantic patches have no compare-and-set: a change of somebody else's
// between the look and the write is not noticed before the next look. Nothing but on,
// off and the off variation is ever written.
//
// Concurrency: everything may be used from any goroutine.
package launchdarkly

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/outside"
)

// Kind is this driver's kind.
const Kind = "launchdarkly"

// Home is where the API is unless the section says otherwise.
const Home = "https://app.launchdarkly.com"

// Section is the driver's configuration.
type Section struct {
	outside.Remote
	Project     string `json:"project"`
	Flag        string `json:"flag"`
	Environment string `json:"environment"`
	Variation   string `json:"variation,omitempty"` // what everybody gets, by its id, its name or its value; the flag's own off variation unless said
	Drill       string `json:"drill,omitempty"`     // a flag that drills move
}

// New makes the driver.
func New(now func() time.Time) *outside.Driver {
	return outside.New(outside.Options{Kind: Kind, Now: now, Open: open, Capabilities: lever.Capabilities{
		Class: lever.R0, Latency: time.Second, Rights: []string{"an access token that may update the flag in the environment"},
		SideEffects: []string{"Its targets and rules stay as they are and decide again when it is on."},
		Reach:       "An estimate: within a second where the vendor's delivery works, later where SDKs poll.",
	}})
}

type thing struct{ Section }

func open(raw json.RawMessage, drill bool) (outside.Thing, error) {
	var t thing
	const needs = "a project, a flag and an environment"
	if err := outside.Section(raw, &t.Section, needs); err != nil {
		return nil, err
	}
	t.URL = cmp.Or(t.URL, Home)
	if err := t.Check(); err != nil {
		return nil, err
	}
	if t.Project == "" || t.Flag == "" || t.Environment == "" || t.Drill == t.Flag {
		return nil, fault.New(fault.Invalid, "the lever's section is not whole").WithHint("it needs %s, and for drills another flag", needs)
	}
	if drill && t.Drill == "" {
		return nil, outside.ErrNoShadow
	}
	if drill {
		t.Flag = t.Drill
	}
	return t, nil
}

func (t thing) api() outside.API {
	return outside.API{Remote: t.Remote, Header: map[string]string{"LD-API-Version": "20240415"}}
}
func (t thing) path() string    { return "/api/v2" + outside.Path("flags", t.Project, t.Flag) }
func (t thing) Target() string  { return t.URL + outside.Path(t.Project, t.Flag, t.Environment) }
func (t thing) Witness() string { return "LaunchDarkly at " + t.URL }

// state is what the lever moves.
type state struct {
	On  bool   `json:"on"`
	Off string `json:"off"` // id of the off variation; "" where there is none
}

// variation is one of a flag's values.
type variation struct {
	ID    string          `json:"_id"`
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// mark is what a reading found beside its state.
type mark struct {
	state
	variations []variation
}

func (m mark) reading() outside.Reading {
	word := "on"
	if !m.On {
		word = "off"
		for _, v := range m.variations {
			if v.ID == m.Off {
				word = "off (" + outside.Name(cmp.Or(v.Name, string(v.Value))) + ")"
			}
		}
	}
	return outside.Reading{State: outside.State(m.state), Word: word, Mark: m}
}

// Read asks for the flag in its environment.
func (t thing) Read(ctx context.Context) (outside.Reading, error) {
	var got struct {
		Variations   []variation `json:"variations"`
		Environments map[string]struct {
			On           *bool `json:"on"`
			OffVariation *int  `json:"offVariation"`
		} `json:"environments"`
	}
	if err := t.api().Get(ctx, t.path()+"?env="+url.QueryEscape(t.Environment), &got); err != nil {
		return outside.Reading{}, err
	}
	env, has := got.Environments[t.Environment]
	if !has || env.On == nil {
		return outside.Reading{}, fault.New(fault.NotFound, "the flag has no environment %q", t.Environment).WithHint("name one of the project's environments by its key")
	}
	m := mark{state{On: *env.On}, got.Variations}
	if i := env.OffVariation; i != nil && *i >= 0 && *i < len(got.Variations) {
		m.Off = got.Variations[*i].ID
	}
	return m.reading(), nil
}

// Wanted is the flag off, with the variation that the section names.
func (t thing) Wanted(now outside.Reading) (outside.Reading, error) {
	m, is := now.Mark.(mark)
	if !is {
		return outside.Reading{}, fault.New(fault.Internal, "a reading of something else")
	}
	if m.Off == "" {
		return outside.Reading{}, fault.New(fault.Invalid, "the flag has no off variation in %s: off, the default in each application's code would decide", t.Environment).
			WithHint("set its off variation in LaunchDarkly")
	}
	m.On = false
	if t.Variation == "" {
		return m.reading(), nil
	}
	for _, v := range m.variations {
		if v.ID == t.Variation || v.Name == t.Variation || text(v.Value) == t.Variation {
			m.Off = v.ID
			return m.reading(), nil
		}
	}
	return outside.Reading{}, fault.New(fault.Invalid, "the flag has no variation %q", t.Variation).WithHint("name one by its id, its name or its value")
}

// text is a value as the configuration would write it.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(bytes.TrimSpace(raw))
}

// instruction is one of a semantic patch's.
type instruction struct {
	Kind        string `json:"kind"`
	VariationID string `json:"variationId,omitempty"`
}

// Write patches what differs. The off variation is set while the flag is on, so that
// nobody gets the wrong one.
func (t thing) Write(ctx context.Context, now outside.Reading, to json.RawMessage) error {
	m, is := now.Mark.(mark)
	var s state
	if !is || json.Unmarshal(to, &s) != nil {
		return fault.New(fault.Invalid, "the plan's step can't be read")
	}
	var todo []instruction
	if s.On && !m.On {
		todo = append(todo, instruction{Kind: "turnFlagOn"})
	}
	if s.Off != m.Off {
		todo = append(todo, instruction{"updateOffVariation", s.Off})
	}
	if !s.On && m.On {
		todo = append(todo, instruction{Kind: "turnFlagOff"})
	}
	if len(todo) == 0 {
		return nil
	}
	return t.api().Do(ctx, outside.Call{
		Method: http.MethodPatch, Path: t.path(), Type: "application/json; domain-model=launchdarkly.semanticpatch",
		Body: map[string]any{"environmentKey": t.Environment, "comment": "A lever of lifeboat", "instructions": todo},
	})
}

// Who asks LaunchDarkly's own log for the newest entry about the flag.
func (t thing) Who(ctx context.Context) string {
	var log struct {
		Items []struct {
			Member struct {
				Email string `json:"email"`
			} `json:"member"`
			Token struct {
				Name string `json:"name"`
			} `json:"token"`
		} `json:"items"`
	}
	spec := "proj/" + t.Project + ":env/" + t.Environment + ":flag/" + t.Flag
	if t.api().Get(ctx, "/api/v2/auditlog?limit=1&spec="+url.QueryEscape(spec), &log) != nil || len(log.Items) == 0 {
		return ""
	}
	return outside.Name(cmp.Or(log.Items[0].Member.Email, log.Items[0].Token.Name))
}
