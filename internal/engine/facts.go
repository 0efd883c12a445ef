package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// DrillRecord is what is remembered of a lever's rehearsals.
type DrillRecord struct {
	At         time.Time `json:"at"`
	OK         bool      `json:"ok"`
	ThereMS    int64     `json:"there_ms"`
	BackMS     int64     `json:"back_ms"`
	Detail     string    `json:"detail,omitempty"`
	ArmedUntil time.Time `json:"armed_until,omitzero"` // of the last good one
	LookedOnly bool      `json:"looked_only,omitempty" doc:"nothing was moved: the lever declares nothing that a drill could move, so access and plan were looked at"`
}

// facts gathers what the heart may know for a command.
func (r *runner) facts(ctx context.Context, c incident.Command, by incident.Actor) (incident.Facts, error) {
	cfg, _ := r.e.site(r.id)
	a := r.e.autoOf(cfg.ID)
	f := incident.Facts{
		Actor: by, Site: r.id, SiteTitle: cfg.Title, Gates: gates(cfg), HomeSeen: string(r.e.seen.place(cfg.ID, r.site().Home, r.e.o.Now())),
		Settings: incident.Settings{Passes: cfg.Sanity.Passes, Apart: cfg.Sanity.Apart, TakeBack: cfg.TakeBack, Watch: cfg.Watch, Settle: cfg.Settle, AutoGap: cfg.AutoGap, Stages: cfg.GoBack.Stages, Hold: cfg.GoBack.Hold},
		LastAuto: a.Last, AutoHeld: a.Held, Parked: r.parked,
	}
	f.Settings.Approval, f.Settings.Pause, f.Settings.FixApart, f.Settings.FixPasses = cfg.Fixes.Approval, cfg.Fixes.Pause, cfg.Fixes.Apart, cfg.Fixes.Passes
	r.placeFacts(ctx, &f)
	r.fixFacts(&f, c, by)
	if p, pulls := c.(PullRequest); pulls {
		return f, r.pullFacts(ctx, &f, p)
	}
	return f, nil
}

// placeFacts says where visitors are ordered to be, and what is seen there.
func (r *runner) placeFacts(ctx context.Context, f *incident.Facts) {
	pos, err := r.e.Position(ctx, r.id)
	if err != nil {
		return
	}
	f.Place, f.Origin = pos, pos != snapshot.Standby
	f.PlaceSeen = string(r.e.seen.place(r.id, pos, r.e.o.Now()))
}

// fixFacts are what the rules about fixes look at.
func (r *runner) fixFacts(f *incident.Facts, c incident.Command, by incident.Actor) {
	cfg, _ := r.e.site(r.id)
	for _, x := range cfg.Checks {
		f.Checks = append(f.Checks, x.Name)
	}
	for _, a := range r.e.actsOf(cfg.ID) {
		f.Actions = append(f.Actions, incident.ActionFacts{Name: a.Name, Undo: a.Undo})
	}
	if r.e.o.Company.Others != nil {
		f.Approvers = r.e.o.Company.Others(by)
	}
	switch c.(type) {
	case incident.ProposeFix, incident.ReportFix, incident.ApplyFix:
		f.Verdicts = r.verdicts()
	case incident.Cancel: // the last moment to measure
		if r.in.Phase.Open() && !r.in.Drill {
			m := r.impact()
			f.Impact = &m
		}
	}
}

// PullRequest is a PullLever that still has to be told what the lever is.
type PullRequest struct {
	incident.PullLever
	Lever string
}

func (r *runner) pullFacts(ctx context.Context, f *incident.Facts, p PullRequest) error {
	card, err := r.e.card(p.Lever)
	if err != nil {
		return err
	}
	driver, known := r.e.drivers[card.Kind]
	if !known {
		return fault.New(fault.NotSupported, "levers of kind %q are not in this version", card.Kind)
	}
	plan, err := driver.Plan(ctx, lever.Request{Card: card, Drill: p.Drill, Now: r.e.o.Now()})
	if err != nil {
		return err
	}
	l, err := r.leverFacts(ctx, card, plan)
	if err != nil {
		return err
	}
	if l.From == l.To {
		return fault.New(fault.Conflict, "%s is at %s already", plan.Target, l.To).WithHint("see where things stand with: lifeboat status")
	}
	f.Lever = &l
	if l.ToStandby {
		f.Standby, f.StandbyDetail = r.e.standbyNow(ctx, r.e.runners[card.Site].site())
	}
	return nil
}

// ends reads the two ends of a plan's step as words.
func ends(plan lever.Plan) (from, to string) {
	word := func(raw json.RawMessage) string {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
		return string(raw)
	}
	if len(plan.Steps) == 0 {
		return "", ""
	}
	return word(plan.Steps[0].Before), word(plan.Steps[0].After)
}

func (r *runner) leverFacts(ctx context.Context, card lever.Card, plan lever.Plan) (incident.LeverFacts, error) {
	raw, err := json.Marshal(plan)
	if err != nil {
		return incident.LeverFacts{}, fmt.Errorf("encode plan: %w", err)
	}
	rec, err := r.e.drillRecord(ctx, card.Name)
	if err != nil {
		return incident.LeverFacts{}, err
	}
	from, to := ends(plan)
	if s := plan.Steps; len(s) > 0 && s[0].To != "" {
		from, to = s[0].From, s[0].To
	}
	l := incident.LeverFacts{
		Name: card.Name, Kind: card.Kind, Title: card.Title, Target: card.Kind + ":" + plan.Target, From: from, To: to,
		Reversible: true, ArmedUntil: rec.ArmedUntil, Plan: raw, ToRank: 1, Shares: r.shares(plan),
	}
	if !ours(card.Kind) && !r.e.configured(card.Name) { // made of a plan that people have read: there is nothing else to rehearse
		l.ArmedUntil = plan.Expires
	}
	if flag, known := r.e.contents().Flag(plan.Target); known && from == "" && card.Kind == kindFeature {
		l.From = string(flag.Value) // its own: nothing is ordered
	}
	if card.Kind == kindZone {
		l.FromRank, l.ToRank = r.site().Rank(from), r.site().Rank(to)
		l.ToStandby = to == snapshot.Standby
		l.ToSeen = string(r.e.seen.place(card.Site, to, r.e.o.Now()))
	}
	return l, nil
}

func (e *Engine) drillRecord(ctx context.Context, name string) (DrillRecord, error) {
	var rec DrillRecord
	err := get(ctx, e.o.Store, keyLever+name, &rec)
	return rec, err
}

func gates(s config.Site) []string {
	var out []string
	for _, c := range s.Checks {
		if c.Gate {
			out = append(out, c.Name)
		}
	}
	return out
}

// fresh is how old answer's sight of the standby may be to count as now (R2).
const fresh = 3 * time.Second

// standbyNow says whether the standby answers with our page now: by answer's own
// look if that is fresh, else by asking.
func (e *Engine) standbyNow(ctx context.Context, s snapshot.Site) (verdict, detail string) {
	if last, ok := e.seen.last(s.ID, snapshot.Standby, s.Standing.Name); ok && e.o.Now().Sub(last.At) < fresh && last.Verdict == probe.Pass {
		return string(last.Verdict), last.Detail
	}
	for _, t := range s.Targets(snapshot.Standby) {
		c := s.Standing
		c.Timeout = min(c.Timeout, time.Second)
		if res := e.o.Ask(ctx, t, c); res.Verdict != probe.Pass {
			return string(res.Verdict), res.Detail
		}
	}
	return string(probe.Pass), ""
}

func (e *Engine) autoOf(site string) autoState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ordered.auto[site]
}
