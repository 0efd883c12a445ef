// Package unleash is the lever of kind unleash: it turns a feature of Unleash off (or
// on) in one environment, by its Admin API.
//
// It knows nothing of strategies, which stay as they are: a feature that is off in an
// environment is false for everybody there, whatever its strategies say. Unleash has no
// compare-and-set for this, so a change of somebody else's in the moment between the
// look and the write is not noticed before the next look; nothing but on and off is
// ever written.
//
// Concurrency: everything may be used from any goroutine.
package unleash

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/outside"
)

// Kind is this driver's kind.
const Kind = "unleash"

// Section is the driver's configuration.
type Section struct {
	outside.Remote
	Project     string `json:"project,omitempty"` // default
	Feature     string `json:"feature"`
	Environment string `json:"environment"`
	To          string `json:"to,omitempty"`    // off unless it is on
	Drill       string `json:"drill,omitempty"` // a feature that drills move
}

// New makes the driver.
func New(now func() time.Time) *outside.Driver {
	return outside.New(outside.Options{Kind: Kind, Now: now, Open: open, Capabilities: lever.Capabilities{
		Class: lever.R0, Latency: 500 * time.Millisecond, Rights: []string{"an API token that may update features in the environment"},
		SideEffects: []string{"Its strategies stay as they are and decide again when it is on."},
		Reach:       "An estimate: at the next question of each SDK, 15 seconds apart unless set otherwise.",
	}})
}

type thing struct{ Section }

func open(raw json.RawMessage, drill bool) (outside.Thing, error) {
	var t thing
	const needs = "a url, a feature and an environment"
	if err := outside.Section(raw, &t.Section, needs); err != nil {
		return nil, err
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	t.Project, t.To = cmp.Or(t.Project, "default"), cmp.Or(t.To, "off")
	if t.Feature == "" || t.Environment == "" || t.Drill == t.Feature || t.To != "off" && t.To != "on" {
		return nil, fault.New(fault.Invalid, "the lever's section is not whole").WithHint("it needs %s; to is on or off, and drills another feature", needs)
	}
	if drill && t.Drill == "" {
		return nil, outside.ErrNoShadow
	}
	if drill {
		t.Feature = t.Drill
	}
	return t, nil
}

func (t thing) api() outside.API { return outside.API{Remote: t.Remote} }
func (t thing) path() string {
	return "/api/admin" + outside.Path("projects", t.Project, "features", t.Feature, "environments", t.Environment)
}
func (t thing) Target() string  { return t.URL + outside.Path(t.Project, t.Feature, t.Environment) }
func (t thing) Witness() string { return "Unleash at " + t.URL }

// state is what the lever moves.
type state struct {
	Enabled bool `json:"enabled"`
}

func reading(on bool) outside.Reading {
	word := "off"
	if on {
		word = "on"
	}
	return outside.Reading{State: outside.State(state{on}), Word: word, Mark: on}
}

// Read asks for the feature in its environment.
func (t thing) Read(ctx context.Context) (outside.Reading, error) {
	var got struct {
		Enabled *bool `json:"enabled"`
	}
	if err := t.api().Get(ctx, t.path(), &got); err != nil {
		return outside.Reading{}, err
	}
	if got.Enabled == nil {
		return outside.Reading{}, fault.New(fault.Unavailable, "the answer does not say whether the feature is on").WithHint("see that url is Unleash's")
	}
	return reading(*got.Enabled), nil
}

// Wanted is off, or on where the section says so.
func (t thing) Wanted(outside.Reading) (outside.Reading, error) { return reading(t.To == "on"), nil }

// Write turns the feature on or off.
func (t thing) Write(ctx context.Context, _ outside.Reading, to json.RawMessage) error {
	var s state
	if err := json.Unmarshal(to, &s); err != nil {
		return fault.New(fault.Invalid, "the plan's step can't be read")
	}
	return t.api().Do(ctx, outside.Call{Method: http.MethodPost, Path: t.path() + "/" + reading(s.Enabled).Word, Body: struct{}{}})
}

// Who asks Unleash's own log, newest first.
func (t thing) Who(ctx context.Context) string {
	var log struct {
		Events []struct {
			CreatedBy   string `json:"createdBy"`
			Environment string `json:"environment"`
		} `json:"events"`
	}
	if t.api().Get(ctx, "/api/admin"+outside.Path("events", t.Feature), &log) != nil {
		return ""
	}
	for _, e := range log.Events {
		if e.Environment == t.Environment || e.Environment == "" {
			return outside.Name(e.CreatedBy)
		}
	}
	return ""
}
