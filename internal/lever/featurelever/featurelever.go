// Package featurelever is the lever that closes one feature: it orders a value for
// a flag, and reads it back over OFREP as an application would.
//
// It is the smallest driver there is, and a good one to start from when writing
// another. In a drill it moves the shadow of the flag.
//
// Concurrency: a Driver is immutable.
package featurelever

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/lever"
)

// Kind is this driver's kind.
const Kind = "feature"

// Section is the driver's configuration.
type Section struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// Options of a Driver. All but Key and Client MUST be set.
type Options struct {
	Orders lever.Orders
	OFREP  string                           // base URL, as http://127.0.0.1:8016
	Key    string                           // feature.Access.Own of those who may ask; "" where no keys are asked for
	Own    func(key string) json.RawMessage // the flag's own value; nil: no such flag
	Shadow func(key string) string          // the flag that a drill moves
	Now    func() time.Time
	Client *http.Client
}

// Driver moves flags of our own OFREP endpoint.
type Driver struct{ o Options }

// New makes a Driver.
func New(o Options) *Driver {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second}}
	}
	return &Driver{o}
}

// Kind is "feature".
func (d *Driver) Kind() string { return Kind }

// Capabilities says that the move is exact.
func (d *Driver) Capabilities() lever.Capabilities {
	return lever.Capabilities{Class: lever.R0, Latency: 5 * time.Millisecond, SideEffects: []string{
		"An application hears of it at its next question.", "A rule of the feature is not asked while the lever is pulled.",
	}}
}

// Preflight checks that the flag is answered.
func (d *Driver) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	_, key, err := d.read(c.Config, false)
	if err != nil {
		return lever.Readiness{}, err
	}
	if _, err := d.ask(ctx, key); err != nil {
		return lever.Readiness{Problems: []string{"The flag " + key + " is not answered: " + err.Error() + "."}}, nil
	}
	return lever.Readiness{Ready: true}, nil
}

// Plan reads what is ordered for the flag and says what will be.
func (d *Driver) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	sec, key, err := d.read(r.Card.Config, r.Drill)
	if err != nil {
		return lever.Plan{}, err
	}
	now, err := d.o.Orders.Flag(ctx, key)
	if err != nil {
		return lever.Plan{}, err
	}
	return lever.NewPlan(r, key, "answer "+key+" with "+string(sec.Value), now, sec.Value)
}

// Apply orders the step's value.
func (d *Driver) Apply(ctx context.Context, p lever.Plan, step int, t lever.Token) error {
	if step != 0 || len(p.Steps) != 1 {
		return fault.New(fault.Invalid, "the plan has no step %d", step)
	}
	return d.o.Orders.SetFlag(ctx, p.Target, p.Steps[0].After, t)
}

// Observe asks for the flag over OFREP.
func (d *Driver) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	if step != 0 || len(p.Steps) != 1 {
		return lever.Observation{}, fault.New(fault.Invalid, "the plan has no step %d", step)
	}
	s := lever.Sighted{Witness: d.o.OFREP, World: lever.Unknown}
	got, err := d.ask(ctx, p.Target)
	s.Value = string(got.value)
	switch {
	case err != nil:
		s.Value = err.Error()
	case got.staged: // by now some have the feature's own value again, others the ordered one
		s.World, s.Value = lever.Partial, s.Value+", and with its own for some"
	case got.ruled && isNull(p.Steps[0].Before): // a rule is only asked where nothing is ordered
		s.World = lever.Before
	case !got.ruled && same(got.value, p.Steps[0].After):
		s.World = lever.After
	case !got.ruled && same(got.value, d.value(p.Target, p.Steps[0].Before)):
		s.World = lever.Before
	default:
		s.World = lever.Foreign
	}
	return lever.Observation{World: s.World, Detail: "the flag " + p.Target + " is answered with " + s.Value, Seen: []lever.Sighted{s}, At: d.o.Now().UTC()}, nil
}

// Verify is Observe.
func (d *Driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}

// Revert orders what was ordered before, if the world is as the plan left it.
func (d *Driver) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	obs, err := d.Observe(ctx, p, step)
	if err != nil || obs.World == lever.Foreign {
		return obs, err
	}
	before := p.Steps[0].Before
	if isNull(before) {
		before = nil
	}
	return obs, d.o.Orders.SetFlag(ctx, p.Target, before, t)
}

// CanShare says that a flag goes back by shares where nothing was ordered before.
func (d *Driver) CanShare(p lever.Plan) bool { return len(p.Steps) == 1 && isNull(p.Steps[0].Before) }

// Share lets percent of those who ask have the flag's own value again.
func (d *Driver) Share(ctx context.Context, p lever.Plan, step, percent int, t lever.Token) error {
	if step != 0 || !d.CanShare(p) {
		return fault.New(fault.Invalid, "step %d of the plan can't go back by shares", step)
	}
	return d.o.Orders.ShareFlag(ctx, p.Target, percent, t)
}

// Dispose has nothing to purge.
func (d *Driver) Dispose(context.Context, lever.Plan) error { return nil }

func (d *Driver) read(raw json.RawMessage, drill bool) (Section, string, error) {
	var sec Section
	if err := json.Unmarshal(raw, &sec); err != nil || isNull(sec.Value) {
		return sec, "", fault.New(fault.Invalid, "the lever's section can't be read").WithHint("it needs a key and a value")
	}
	if d.o.Own(sec.Key) == nil {
		return sec, "", fault.New(fault.NotFound, "there is no feature %q", sec.Key).WithHint("name one of the configuration's features")
	}
	if drill {
		return sec, d.o.Shadow(sec.Key), nil
	}
	return sec, sec.Key, nil
}

// value is what the world answers when `ordered` is ordered.
func (d *Driver) value(key string, ordered json.RawMessage) json.RawMessage {
	if isNull(ordered) {
		return d.o.Own(key)
	}
	return ordered
}

func isNull(v json.RawMessage) bool {
	return len(v) == 0 || bytes.Equal(bytes.TrimSpace(v), []byte("null"))
}

func same(a, b json.RawMessage) bool {
	return json.Valid(a) && json.Valid(b) && feature.Same(a, b)
}

// told is what an application is told of a flag.
type told struct {
	value  json.RawMessage
	ruled  bool // by the flag's rule
	staged bool // the flag goes back in stages
}

// question is asked with a targetingKey, because rules may need one.
const question = `{"context":{"targetingKey":"lifeboat"}}`

// ask evaluates the flag as an application would (OFREP, single evaluation).
func (d *Driver) ask(ctx context.Context, key string) (told, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.o.OFREP+"/ofrep/v1/evaluate/flags/"+url.PathEscape(key), strings.NewReader(question))
	if err != nil {
		return told{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if d.o.Key != "" {
		req.Header.Set("Authorization", "Bearer "+d.o.Key)
	}
	resp, err := d.o.Client.Do(req)
	if err != nil {
		return told{}, fault.New(fault.Unavailable, "ask OFREP").Because(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return told{}, fault.New(fault.Unavailable, "read OFREP's answer").Because(err)
	}
	var a struct {
		Value  json.RawMessage `json:"value"`
		Reason string          `json:"reason"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(b, &a) != nil || isNull(a.Value) {
		return told{}, fault.New(fault.Unavailable, "OFREP answered %s", resp.Status)
	}
	return told{a.Value, a.Reason == feature.Matched || a.Reason == feature.Default, a.Reason == feature.Split}, nil
}
