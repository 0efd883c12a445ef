package engine

import (
	"context"
	"sort"
	"sync"
	"time"

	"lifeboat/internal/feature"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// Overview is one look at everything: what is ordered, what is seen, what can be
// done. It waits for no act and no network.
type Overview struct {
	Now      time.Time  `json:"now"`
	Version  string     `json:"version"`
	Sites    []SiteView `json:"sites"`
	Answer   AnswerView `json:"answer"`
	Record   RecordView `json:"record"`
	Warnings []string   `json:"warnings,omitempty"`
	Contacts []Contact  `json:"contacts,omitempty"` // who else can be called
	Waiting  int        `json:"waiting,omitempty"`  // messages that could not go out yet

	Signing *SigningView `json:"signing,omitempty"` // of signed zones
	HTTPS   *HTTPSView   `json:"https,omitempty"`   // of sites that visitors come to by https
}

// HTTPSView is how ready the standby is to answer over HTTPS.
type HTTPSView struct {
	Names int       `json:"names"`
	Ready int       `json:"ready" doc:"the smallest of the names' readiness, 0 to 100"`
	Least string    `json:"least" doc:"the name that it is of"`
	Until time.Time `json:"until,omitzero" doc:"when the first certificate ends; not there where a name has none"`
}

// Contact is somebody who can be called.
type Contact struct {
	Name  string `json:"name"`
	Phone string `json:"phone"`
	Says  string `json:"says,omitempty"` // what for
}

// SiteView is one site.
type SiteView struct {
	ID       string             `json:"id"`
	Title    string             `json:"title"`
	Names    []string           `json:"names"`
	Ordered  OrderedView        `json:"ordered"`
	Seen     []PlaceView        `json:"seen"`
	Failover string             `json:"failover" enum:"propose,auto,off"`
	AutoHeld bool               `json:"auto_held,omitempty"`
	Incident *incident.Incident `json:"incident,omitempty"` // the open one, or the last one ended since start
	Tail     []incident.Event   `json:"tail,omitempty"`     // its newest events
	Levers   []LeverView        `json:"levers"`
	Visits   feed.Visits        `json:"visits"`
	Parked   []incident.Pull    `json:"parked,omitempty"` // levers that an ended incident left pulled
	Actions  []Act              `json:"actions,omitempty"`
	Checks   []string           `json:"checks,omitempty"`
	Promises Promises           `json:"promises"`
	TTL      uint32             `json:"ttl"` // seconds, the longest of the names that move
}

// Promises are the waits that the pages tell people about.
type Promises struct {
	UpdateEvery time.Duration `json:"update_every"` // until the next message, pre-filled
	Stuck       time.Duration `json:"stuck"`        // without news the page offers help
	Rest        time.Duration `json:"rest"`         // how long a stop after a third fix lasts
	Approval    time.Duration `json:"approval"`
	Pause       time.Duration `json:"pause"`
}

// OrderedView is where visitors are ordered to go.
type OrderedView struct {
	Position   string    `json:"position"`
	Home       bool      `json:"home"`
	Since      time.Time `json:"since,omitzero"`
	Generation uint64    `json:"generation"`

	// Share is who is sent elsewhere, if anybody is: about so many in a hundred, by their
	// resolver's network. How many visitors stand behind a resolver is not known.
	Share *snapshot.Share `json:"share,omitempty"`
}

// PlaceView is what is seen of one place.
type PlaceView struct {
	Place  string       `json:"place"`
	Role   string       `json:"role" enum:"home,origin,standby"`
	Seen   probe.Seen   `json:"seen"`
	AgeMS  int64        `json:"age_ms"` // of the oldest newest result; -1 when there is none
	Checks []feed.Sight `json:"checks"`
}

// LeverView is a lever on the card.
type LeverView struct {
	Name        string      `json:"name"`
	Title       string      `json:"title"`
	Says        string      `json:"says,omitempty"`
	Kind        string      `json:"kind"`
	Site        string      `json:"site"`
	To          string      `json:"to"`
	State       string      `json:"state" doc:"free, or the state of its pull"`
	Proposed    bool        `json:"proposed,omitempty"`
	Drifted     bool        `json:"drifted,omitempty"`
	Armed       bool        `json:"armed"`
	Drill       DrillRecord `json:"drill"`
	Class       lever.Class `json:"class"`
	SideEffects []string    `json:"side_effects,omitempty"`
	Reach       string      `json:"reach,omitempty" doc:"how long until everybody has it, a sentence"`
	Shadow      bool        `json:"shadow" doc:"a drill moves a stand-in; else it looks and plans only"`
	Problems    []string    `json:"problems,omitempty"`
	Owner       string      `json:"owner,omitempty" doc:"of a feature: whom to ask about it"`
	Without     string      `json:"without,omitempty" doc:"of a feature: what the code takes while lifeboat can't be asked, as JSON"`
}

// AnswerView is how the answer process is doing.
type AnswerView struct {
	Connected bool      `json:"connected"`
	Ready     bool      `json:"ready"` // what is ordered can be published
	HeardAt   time.Time `json:"heard_at,omitzero"`
	Epoch     uint64    `json:"epoch"`
	Revision  uint64    `json:"revision"`
	Waiting   int       `json:"waiting"`
	Gaps      uint64    `json:"gaps"`
	Problem   string    `json:"problem,omitempty"`

	Heard    feature.Heard     `json:"heard"` // who has heard of the kill switches as they are
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// RecordView is how the record is doing.
type RecordView struct {
	Degraded bool      `json:"degraded"`
	Since    time.Time `json:"since,omitzero"`
	Pending  int       `json:"pending,omitempty"` // transactions that wait for the store
	Reason   string    `json:"reason,omitempty"`
}

// Overview gives one look at everything.
func (e *Engine) Overview(ctx context.Context) (Overview, error) {
	o := Overview{Now: e.o.Now().UTC(), Version: e.o.Version, Answer: e.answerView(), Record: e.o.Record(), Warnings: append(append(e.o.Config.Warnings(), e.homeWarnings()...), e.outsideWarnings()...)}
	o.Signing = e.Signing()
	if e.o.Company.HTTPS != nil {
		o.HTTPS = e.o.Company.HTTPS()
	}
	for _, c := range e.o.Config.Contacts {
		o.Contacts = append(o.Contacts, Contact{Name: c.Name, Phone: c.Phone, Says: c.Says})
	}
	if queue, err := e.Queue(ctx); err == nil {
		for _, m := range queue {
			if m.LastError != "" { // the others are on their way
				o.Waiting++
			}
		}
	}
	st, _, _ := e.getFeed().Status()
	for _, id := range e.ids {
		v, err := e.siteView(ctx, e.runners[id], st)
		if err != nil {
			return o, err
		}
		o.Sites = append(o.Sites, v)
	}
	return o, nil
}

func (e *Engine) answerView() AnswerView {
	st, at, connected := e.getFeed().Status()
	e.mu.Lock()
	defer e.mu.Unlock()
	v := AnswerView{Connected: connected, Ready: e.ready && connected, HeardAt: at, Epoch: st.Epoch, Revision: st.Revision, Waiting: st.Waiting, Gaps: st.Gaps, Problem: st.Problem, Counters: st.Counters, Heard: st.Heard}
	if e.problem != "" {
		v.Problem = e.problem
	}
	return v
}

func (e *Engine) siteView(ctx context.Context, r *runner, st feed.Status) (SiteView, error) {
	e.mu.Lock()
	pos, err := e.position(r.id)
	so, a := e.ordered.sites[r.id], e.ordered.auto[r.id]
	e.mu.Unlock()
	if err != nil {
		return SiteView{}, err
	}
	v := SiteView{
		ID: r.id, Title: r.site().Title, Names: r.site().Names, Failover: r.site().Failover, AutoHeld: a.Held, Visits: st.Visits[r.id],
		Ordered: OrderedView{Position: pos, Home: pos == r.site().Home, Since: so.Since, Generation: so.Generation, Share: so.Share}, TTL: e.ttl(r.id),
	}
	if in, tail := r.look(); in.ID != "" {
		v.Incident, v.Tail = &in, tail
	}
	r.viewMu.Lock()
	v.Parked = r.left
	r.viewMu.Unlock()
	cfg, _ := e.site(r.id)
	v.Actions = e.actsOf(r.id)
	for _, c := range cfg.Checks {
		v.Checks = append(v.Checks, c.Name)
	}
	v.Promises = Promises{UpdateEvery: cfg.UpdateEvery, Stuck: cfg.Stuck, Rest: cfg.Fixes.Rest, Approval: cfg.Fixes.Approval, Pause: cfg.Fixes.Pause}
	for _, p := range r.site().Places {
		v.Seen = append(v.Seen, e.placeView(r.site(), p))
	}
	for _, c := range e.o.Config.Levers {
		if c.Site != r.id {
			continue
		}
		l, err := e.leverView(ctx, r, c)
		if err != nil {
			return v, err
		}
		v.Levers = append(v.Levers, l)
	}
	return v, nil
}

func (e *Engine) placeView(s snapshot.Site, place string) PlaceView {
	v := PlaceView{Place: place, Role: "origin", Seen: e.seen.place(s.ID, place, e.o.Now()), AgeMS: -1}
	switch place {
	case s.Home:
		v.Role = "home"
	case snapshot.Standby:
		v.Role = "standby"
	}
	for _, c := range e.seen.of(s.ID) {
		if c.Place != place {
			continue
		}
		v.Checks = append(v.Checks, c)
		if !c.Last.At.IsZero() {
			v.AgeMS = max(v.AgeMS, e.o.Now().Sub(c.Last.At.Add(c.Last.Took)).Milliseconds())
		}
	}
	sort.Slice(v.Checks, func(i, j int) bool {
		a, b := v.Checks[i], v.Checks[j]
		return a.Check+a.Target < b.Check+b.Target
	})
	return v
}

func (e *Engine) leverView(ctx context.Context, r *runner, c lever.Card) (LeverView, error) {
	rec, err := e.drillRecord(ctx, c.Name)
	if err != nil {
		return LeverView{}, err
	}
	v := LeverView{Name: c.Name, Title: c.Title, Says: c.Says, Kind: c.Kind, Site: c.Site, State: "free", Drill: rec, Armed: e.o.Now().Before(rec.ArmedUntil)}
	for _, l := range r.site().Levers {
		if l.Name == c.Name {
			v.To = l.Position + l.Feature
		}
	}
	if flag, known := e.contents().Flag(v.To); known && c.Kind == kindFeature {
		v.Owner, v.Without = flag.Owner, string(flag.CodeDefault)
	}
	if v.To == "" {
		v.To = c.To
	}
	if d, known := e.drivers[c.Kind]; known {
		caps := d.Capabilities()
		v.Class, v.SideEffects, v.Reach = caps.Class, caps.SideEffects, caps.Reach
		v.Shadow = !e.shadowless(c)
	}
	in, _ := r.look()
	v.Proposed = in.Phase.Open() && in.Proposed == c.Name
	for _, p := range in.Holding() {
		if p.Lever == c.Name {
			v.State, v.Drifted = string(p.State), p.Drifted
		}
	}
	return v, nil
}

// ttl is the longest TTL of the zones in which the site's names move, in seconds.
func (e *Engine) ttl(site string) uint32 {
	var out uint32
	for _, z := range e.contents().Zones {
		if follows(z, site) {
			out = max(out, z.TTL)
		}
	}
	return out
}

// Features gives the flags and what is ordered for them.
func (e *Engine) Features() ([]feature.Flag, map[string]feature.Order) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.contents().Features, e.ordered.clone().flags
}

// preflights is how many levers are asked about at once.
const preflights = 8

// Preflight asks every driver in calm whether its levers could be pulled, some at once:
// one that does not answer must not keep the others from being asked in time.
func (e *Engine) Preflight(ctx context.Context) map[string]lever.Readiness {
	out := map[string]lever.Readiness{}
	var mu sync.Mutex // guards out
	var wg sync.WaitGroup
	free := make(chan struct{}, preflights)
	for _, c := range e.o.Config.Levers {
		d, known := e.drivers[c.Kind]
		if !known {
			continue
		}
		free <- struct{}{}
		wg.Go(func() { // ends with the driver's deadline
			defer func() { <-free }()
			r, err := d.Preflight(ctx, c)
			if err != nil {
				r = lever.Readiness{Problems: []string{err.Error()}}
			}
			mu.Lock()
			defer mu.Unlock()
			out[c.Name] = r
		})
	}
	wg.Wait()
	return out
}
