package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

var start = time.Date(2026, 3, 1, 3, 4, 5, 0, time.UTC)

// theToken is the one that fake tokens know.
const theToken = "lb_right"

type fakeTokens struct{ revoked *bool }

// Known implements Tokens.
func (f fakeTokens) Known(id string) bool { return id == "t1" && (f.revoked == nil || !*f.revoked) }

func (fakeTokens) Verify(raw string) (id, name string, err error) {
	if raw != theToken {
		return "", "", fault.New(fault.Denied, "no such token")
	}
	return "t1", "Ada", nil
}

// boat is an engine without a world: the real rules decide, and acts take effect at
// once unless slow.
type boat struct {
	mu  sync.Mutex // guards all below
	now time.Time
	ids int

	title, lever string // lever: the name of the first one
	home         probe.Seen
	unarmed      bool
	slow         bool // acts stay under way
	autoHeld     bool
	answer       engine.AnswerView
	record       engine.RecordView
	second       bool   // there is another site
	checks       string // what the checks of the home said last
	ungated      bool   // the site has no check
	fails        error  // of every look
	commands     []incident.Command
	resumed      int

	in     incident.Incident
	events []incident.Event
	heads  []engine.Head
}

func newBoat() *boat {
	return &boat{
		now: start, title: "The shop", lever: "to-standby", home: probe.Up, checks: "200 after 12 ms",
		answer: engine.AnswerView{Connected: true, Ready: true},
	}
}

func (b *boat) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *boat) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// set changes the world.
func (b *boat) set(f func(*boat)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

func (b *boat) newID() string { // with mu held
	b.ids++
	return fmt.Sprintf("01J0000000000000000000%04d", b.ids)
}

// options of a handler around the boat.
func (b *boat) options() Options {
	key := sha256.Sum256([]byte("key"))
	return Options{Engine: b, Tokens: fakeTokens{}, Key: key[:], Now: b.clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func (b *boat) handler() http.Handler { return New(b.options()) }

// do runs a command that the test itself needs done.
func (b *boat) do(t *testing.T, c incident.Command) {
	t.Helper()
	if _, err := b.Do(t.Context(), "shop", c, incident.Actor{Kind: "person", ID: "t1", Name: "Ada", Via: "web"}); err != nil {
		t.Fatalf("%T: %v", c, err)
	}
}

func (b *boat) pull(t *testing.T) {
	t.Helper()
	b.do(t, engine.PullRequest{Lever: b.lever})
}

// sane counts n passes of the sanity check.
func (b *boat) sane(t *testing.T, n int) {
	t.Helper()
	for range n {
		b.wait(time.Second)
		b.do(t, incident.Sanity{Check: "front", Verdict: "pass"})
	}
}

func (b *boat) Do(_ context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if site != "shop" {
		return engine.Result{}, fault.New(fault.NotFound, "there is no site %q", site).WithHint("see them with: lifeboat status")
	}
	b.commands = append(b.commands, c)
	f := incident.Facts{
		Actor: by, IncidentID: b.newID(), Site: "shop", SiteTitle: b.title, Standby: "pass", HomeSeen: string(b.home), Gates: []string{"front"}, AutoHeld: b.autoHeld,
		Settings: incident.Settings{Passes: 2, TakeBack: time.Minute, Watch: time.Hour},
	}
	if b.ungated {
		f.Gates = nil
	}
	switch x := c.(type) {
	case engine.PullRequest:
		if x.Lever != b.lever {
			return engine.Result{}, fault.New(fault.NotFound, "there is no lever %q", x.Lever)
		}
		f.Lever, x.PullID = b.facts(), b.newID()
		c = x.PullLever
	case incident.Propose:
		f.Lever = b.facts()
	case incident.StepBack:
		x.PullIDs = map[string]string{}
		for _, id := range b.in.Returned() {
			x.PullIDs[id] = b.newID()
		}
		c = x
	}
	drafts, err := b.in.Decide(c, f, b.now)
	var refusal *fault.Refusal
	if errors.As(err, &refusal) && b.in.Phase.Open() {
		b.commit(b.in.Refused(refusal, by, b.now))
	}
	if err != nil {
		return engine.Result{}, err
	}
	added := b.commit(drafts)
	for !b.slow {
		acted := b.settle(f)
		if len(acted) == 0 {
			break
		}
		added = append(added, acted...)
	}
	return engine.Result{Incident: b.in, Events: added}, nil
}

// settle lets one act that is under way take effect.
func (b *boat) settle(f incident.Facts) []incident.Event { // with mu held
	for _, p := range b.in.Pulls {
		if p.State != incident.Applying && p.State != incident.Undoing {
			continue
		}
		drafts, err := b.in.Decide(incident.Outcome{Pull: p.ID, Back: p.State == incident.Undoing, Result: incident.Done, Detail: "2 of 2 name servers answer so"}, f, b.now)
		if err != nil {
			return nil
		}
		return b.commit(drafts)
	}
	return nil
}

func (b *boat) commit(drafts []incident.Event) []incident.Event { // with mu held
	if len(drafts) == 0 {
		return nil
	}
	if drafts[0].Type == incident.Declared {
		b.in, b.events = incident.Incident{}, nil
		b.heads = append(b.heads, engine.Head{})
	}
	sealed := b.in.Seal(drafts, b.now, b.newID)
	for _, e := range sealed {
		b.in = b.in.Apply(e)
	}
	b.events = append(b.events, sealed...)
	b.heads[len(b.heads)-1] = engine.Head{ID: b.in.ID, Site: "shop", Title: b.in.Title, Phase: b.in.Phase, DeclaredAt: b.in.DeclaredAt, EndedAt: b.in.EndedAt}
	return sealed
}

func (b *boat) facts() *incident.LeverFacts {
	f := &incident.LeverFacts{
		Name: b.lever, Kind: "zone", Title: "Show visitors the status page", Target: "position/shop",
		From: "main", To: "standby", ToRank: 2, ToStandby: true, Reversible: true, ArmedUntil: start.Add(24 * time.Hour),
	}
	if b.unarmed {
		f.ArmedUntil = time.Time{}
	}
	return f
}

func (b *boat) Overview(context.Context) (engine.Overview, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := engine.Overview{Now: b.now, Sites: []engine.SiteView{b.view()}, Answer: b.answer, Record: b.record}
	if b.second {
		o.Sites = append(o.Sites, engine.SiteView{ID: "blog", Title: "The blog", Ordered: engine.OrderedView{Position: "standby"}})
	}
	return o, b.fails
}

func (b *boat) view() engine.SiteView { // with mu held
	v := engine.SiteView{
		ID: "shop", Title: b.title, Names: []string{"shop.example", "www.shop.example"}, TTL: 60, AutoHeld: b.autoHeld,
		Ordered: engine.OrderedView{Position: "main", Home: true},
		Seen: []engine.PlaceView{
			{Place: "main", Role: "home", Seen: b.home, AgeMS: 250, Checks: []feed.Sight{{Check: "front", Last: probe.Result{Verdict: verdict(b.home), Detail: b.checks}}}},
			{Place: "standby", Role: "standby", Seen: probe.Up, AgeMS: -1},
		},
		Visits: feed.Visits{Failover: 42},
	}
	if b.in.ID != "" {
		in := b.in
		v.Incident, v.Tail = &in, b.events[max(0, len(b.events)-5):]
	}
	standby := engine.LeverView{
		Name: b.lever, Title: "Show visitors the status page", Kind: "zone", Site: "shop", To: "standby", State: "free", Armed: !b.unarmed,
		Drill: engine.DrillRecord{At: start.Add(-26 * time.Hour), OK: true, ThereMS: 12, BackMS: 14},
	}
	if b.unarmed {
		standby.Drill = engine.DrillRecord{}
	}
	for _, p := range b.in.Holding() {
		if b.in.Phase.Open() {
			standby.State, standby.Drifted = string(p.State), p.Drifted
			v.Ordered = engine.OrderedView{Position: "standby", Since: p.At}
		}
	}
	standby.Proposed = b.in.Phase.Open() && b.in.Proposed == b.lever
	checkout := engine.LeverView{
		Name: "no-checkout", Title: "Close the checkout", Says: "nobody can pay; everything else works", Kind: "feature", Site: "shop", To: "checkout", State: "free",
		Drill: engine.DrillRecord{At: start.Add(-50 * 24 * time.Hour), Detail: "no answer"},
	}
	v.Levers = []engine.LeverView{checkout, standby}
	return v
}

func verdict(s probe.Seen) probe.Verdict {
	switch s {
	case probe.Up:
		return probe.Pass
	case probe.Down:
		return probe.Fail
	}
	return probe.Inconclusive
}

func (b *boat) Drill(_ context.Context, lever string, _ incident.Actor) (engine.DrillRecord, error) {
	if lever == "no-checkout" {
		return engine.DrillRecord{Detail: "no answer"}, nil
	}
	return engine.DrillRecord{OK: true, ThereMS: 7, BackMS: 8}, nil
}

func (b *boat) Events(_ context.Context, id string) ([]incident.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id == "" || id != b.in.ID {
		return nil, fault.New(fault.NotFound, "there is no incident %q", id).WithHint("see them with: lifeboat status")
	}
	return append([]incident.Event(nil), b.events...), b.fails
}

func (b *boat) Incidents(context.Context) ([]engine.Head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]engine.Head(nil), b.heads...), b.fails
}

func (b *boat) ResumeAuto(context.Context, string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.autoHeld = false
	b.resumed++
	return nil
}
