package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
)

// runner runs the commands of one site (or of its shadow) one after the other.
type runner struct {
	e    *Engine
	id   string
	here atomic.Pointer[snapshot.Site]

	mu      sync.Mutex // guards all below
	in      incident.Incident
	head    store.Revision  // of the incident's head; 0 without one
	open    store.Revision  // of the site's open key; 0 without one
	parked  []incident.Pull // that an ended incident left pulled
	driftAt time.Time
	asking  bool      // sanity checks are under way
	reading bool      // the check that a fix promised is being asked
	readAt  time.Time // when it was asked last
	shareAt time.Time // when a share was ordered last
	running string    // key of the prepared act under way
	next    string    // key of the one that is to be begun when it has ended
	asked   string    // the incident that evidence is collected for
	hits    hits
	ruleAt  time.Time // when a rule last looked at what is seen
	said    string    // what a rule complained of last

	arrivals arrivals // has a lock of its own
	hours    hours    // likewise

	viewMu sync.Mutex // guards view, so that looking never waits for an act
	view   incident.Incident
	tail   []incident.Event // the newest events
	left   []incident.Pull  // parked, with no incident open
}

// site is what the configuration says of it, with the home of now.
func (r *runner) site() snapshot.Site { return *r.here.Load() }

// tailLen is how many events a view carries.
const tailLen = 12

// Head is what a list of incidents shows without folding its events.
type Head struct {
	ID         string         `json:"id"`
	Site       string         `json:"site"`
	Title      string         `json:"title"`
	Phase      incident.Phase `json:"phase"`
	Drill      bool           `json:"drill,omitempty"`
	DeclaredAt time.Time      `json:"declared_at"`
	EndedAt    time.Time      `json:"ended_at,omitzero"`
	Seq        uint64         `json:"seq"`
	Hash       string         `json:"hash"`
}

// Result is what a command came to.
type Result struct {
	Incident incident.Incident `json:"incident"`
	Events   []incident.Event  `json:"events"` // that it added, acts and observations included
}

// load reads the open incident of the site from the record.
func (r *runner) load(ctx context.Context) error { // with mu held
	r.in, r.head, r.open, r.parked = incident.Incident{}, 0, 0, nil
	kv, err := r.e.o.Store.Get(ctx, keyOpen+r.id)
	if fault.KindOf(err) == fault.NotFound {
		err = get(ctx, r.e.o.Store, keyParked+r.id, &r.parked)
		r.show(nil)
		return err
	}
	if err == nil {
		err = get(ctx, r.e.o.Store, keyHits+r.id, &r.hits)
	}
	if err != nil {
		return err
	}
	id := string(kv.Value)
	head, err := r.e.o.Store.Get(ctx, keyIncident+id)
	if err != nil {
		return err
	}
	events, err := r.e.Events(ctx, id)
	if err != nil {
		return err
	}
	if err := verify(events, head.Value); err != nil {
		r.e.o.Logger.Error("the record of an incident was changed", "incident", id, "cause", err)
	}
	r.in, r.head, r.open = incident.Fold(events), head.Modified, kv.Modified
	r.show(events)
	return nil
}

// verify checks the chain of events, and its end against the head: the chain alone
// does not tell that its last links are gone.
func verify(events []incident.Event, head []byte) error {
	if err := incident.Verify(events); err != nil {
		return err
	}
	var h Head
	if err := json.Unmarshal(head, &h); err != nil {
		return fmt.Errorf("read the head: %w", err)
	}
	if last := events[len(events)-1]; last.Seq != h.Seq || last.Hash != h.Hash {
		return fmt.Errorf("the last event is %d, the head names %d", last.Seq, h.Seq)
	}
	return nil
}

// show makes the state visible to those who only look.
func (r *runner) show(added []incident.Event) { // with mu held
	defer r.e.bell.ring() // after the lock is let go: whoever wakes looks at once
	r.viewMu.Lock()
	defer r.viewMu.Unlock()
	r.see(r.in, added)
	r.left = r.parked
}

func (r *runner) see(next incident.Incident, added []incident.Event) { // with viewMu held
	if r.view.ID != next.ID {
		r.tail = nil
	}
	r.view, r.tail = next, append(r.tail, added...)
	if n := len(r.tail); n > tailLen {
		r.tail = append([]incident.Event(nil), r.tail[n-tailLen:]...)
	}
}

func (r *runner) look() (incident.Incident, []incident.Event) {
	r.viewMu.Lock()
	defer r.viewMu.Unlock()
	return r.view, append([]incident.Event(nil), r.tail...)
}

// Events gives all events of an incident in order.
func (e *Engine) Events(ctx context.Context, id string) ([]incident.Event, error) {
	if id == "" || strings.Contains(id, "/") {
		return nil, fault.New(fault.Invalid, "%q is not an incident's id", id)
	}
	kvs, _, err := e.o.Store.List(ctx, keyEvent+id+"/")
	if err != nil {
		return nil, err
	}
	out := make([]incident.Event, 0, len(kvs))
	for _, kv := range kvs {
		var ev incident.Event
		if err := json.Unmarshal(kv.Value, &ev); err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		out = append(out, ev)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.NotFound, "there is no incident %q", id).WithHint("see them with: lifeboat status")
	}
	return out, nil
}

// Incidents lists all incidents, oldest first.
func (e *Engine) Incidents(ctx context.Context) ([]Head, error) {
	kvs, _, err := e.o.Store.List(ctx, keyIncident)
	if err != nil {
		return nil, err
	}
	out := make([]Head, 0, len(kvs))
	for _, kv := range kvs {
		var h Head
		if err := json.Unmarshal(kv.Value, &h); err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		out = append(out, h)
	}
	return out, nil
}

// Do runs a command on a site: decide, record, act, observe, record. It returns
// when the effect was seen from outside, or with the reason why not. Once the
// intent is in the record the act is no longer tied to ctx's end: whoever pressed
// may go away.
func (e *Engine) Do(ctx context.Context, site string, c incident.Command, by incident.Actor) (Result, error) {
	r, known := e.runners[site]
	if !known || r.site().Shadow != "" {
		return Result{}, errNoSite(site)
	}
	if acts(c) && !e.apart(c) {
		e.awaitAnswer(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.do(ctx, c, by)
}

// acts says whether the command may need answer.
func acts(c incident.Command) bool {
	switch c.(type) {
	case PullRequest, incident.PutBack, incident.StepBack, incident.Advance, incident.GoBack, incident.MakePermanent:
		return true
	}
	return false
}

// apart says whether a command is about a lever of somebody else's system: answer has
// no part in it, and may be away.
func (e *Engine) apart(c incident.Command) bool {
	name := ""
	switch c := c.(type) {
	case PullRequest:
		name = c.Lever
	case incident.PutBack:
		name = c.Lever
	}
	card, err := e.card(name)
	return err == nil && !ours(card.Kind)
}

func (r *runner) do(ctx context.Context, c incident.Command, by incident.Actor) (Result, error) { // with mu held
	now, _ := r.look()
	if key := keyOf(ctx); key != "" && now.Wrote(key) {
		return Result{Incident: now}, pressed(now, c)
	}
	if !freeWay(c) {
		if err := expected(ctx, now); err != nil {
			return Result{Incident: now}, err
		}
	}
	if err := incident.May(bare(c), by); err != nil { // before anything is asked or kept
		return Result{Incident: now}, err
	}
	f, err := r.facts(ctx, c, by)
	if err != nil {
		return Result{}, err
	}
	f.Key = keyOf(ctx)
	added, err := r.decide(ctx, r.complete(c), f)
	if err != nil {
		return r.result(added), err
	}
	ctx = context.WithoutCancel(ctx)
	r.follow(ctx, added)
	r.begun(added)
	r.e.forget(added)
	acted, err := r.act(ctx, false)
	return r.result(append(added, acted...)), err
}

// bare is a command as the heart knows it.
func bare(c incident.Command) incident.Command {
	if p, is := c.(PullRequest); is {
		return p.PullLever
	}
	return c
}

// follow publishes what an event says beyond its incident.
func (r *runner) follow(ctx context.Context, events []incident.Event) {
	h, settled := r.newHome(events, r.in)
	if !settled && !moved(events) {
		return
	}
	var err error
	if settled {
		err = r.settleHome(h)
	}
	if err = errors.Join(err, r.e.republish(ctx)); err != nil {
		r.e.o.Logger.Error("what answer should say or do was not published", "site", r.id, "cause", err)
	}
}

func (r *runner) result(events []incident.Event) Result {
	in, _ := r.look()
	return Result{Incident: in, Events: events}
}

// complete gives a command the ids that only the engine can make.
func (r *runner) complete(c incident.Command) incident.Command {
	switch c := c.(type) {
	case PullRequest:
		c.PullID = r.e.o.NewID()
		return c.PullLever
	case incident.SendUpdate:
		c.Channels = r.e.channelsFor(c.Audience)
		return c
	case incident.StepBack:
		c.PullIDs = map[string]string{}
		for _, id := range r.in.Returned() {
			c.PullIDs[id] = r.e.o.NewID()
		}
		return c
	}
	return c
}

// decide asks the heart and records what comes of it. A lost race is tried again
// on what is there by then.
func (r *runner) decide(ctx context.Context, c incident.Command, f incident.Facts, extra ...store.Write) ([]incident.Event, error) {
	for try := 0; ; try++ {
		now := r.e.o.Now()
		f.IncidentID = r.e.o.NewID()
		drafts, err := r.in.Decide(c, f, now)
		if err != nil {
			r.noteRefusal(ctx, err, f.Actor)
			return nil, err
		}
		added, err := r.commit(ctx, drafts, extra)
		if !errors.Is(err, store.ErrConflict) || try == 3 {
			return added, err
		}
		if err := r.load(ctx); err != nil {
			return nil, err
		}
	}
}

// noteRefusal writes a refusal into the open incident's timeline.
func (r *runner) noteRefusal(ctx context.Context, err error, by incident.Actor) {
	var refusal *fault.Refusal
	if !errors.As(err, &refusal) || !r.in.Phase.Open() || by.Automatic() {
		return
	}
	if _, err := r.commit(ctx, r.in.Refused(refusal, by, r.e.o.Now()), nil); err != nil {
		r.e.o.Logger.Warn("a refusal was not recorded", "cause", err)
	}
}

// commit seals drafts and records them in one transaction.
func (r *runner) commit(ctx context.Context, drafts []incident.Event, extra []store.Write) ([]incident.Event, error) {
	if len(drafts) == 0 && len(extra) == 0 {
		return nil, nil
	}
	base, head := r.in, r.head
	if len(drafts) > 0 && drafts[0].Type == incident.Declared {
		base, head = incident.Incident{}, 0
	}
	events := base.Seal(drafts, r.e.o.Now(), r.e.o.NewID)
	next := base
	for _, ev := range events {
		next = next.Apply(ev)
	}
	conds, writes := r.transaction(events, next, head)
	writes = append(writes, r.besides(events, next)...)
	if h, settled := r.newHome(events, next); settled {
		writes = append(writes, put(keyHome+r.id, h))
	}
	rev, err := r.e.o.Store.Txn(ctx, conds, append(extra, writes...))
	if err != nil {
		return nil, err
	}
	if len(events) > 0 {
		r.head = rev
	}
	switch {
	case !next.Phase.Open():
		r.open, r.head = 0, 0
	case r.open == 0:
		r.open = rev
	}
	r.in = next
	switch {
	case len(events) == 0:
	case !next.Phase.Open():
		r.parked = next.ParkedPulls()
	case events[0].Type == incident.Declared:
		r.parked = nil
	}
	r.show(events)
	if len(events) > 0 && next.Phase.Open() {
		r.since(events, next) // evidence is taken for an incident that is shown
	}
	if !next.Phase.Open() { // it is seen on, but the site is free
		r.in = incident.Incident{}
	}
	return events, nil
}

// since starts what new events call for; nothing here is waited for.
func (r *runner) since(events []incident.Event, next incident.Incident) {
	if next.Drill {
		return
	}
	if events[0].Type == incident.Declared {
		r.collect(next.ID)
		return
	}
	if slices.ContainsFunc(events, func(e incident.Event) bool {
		return e.Type == incident.WatchRelapse || e.Type == incident.SteppedBack
	}) {
		r.collectAgain(next.ID)
	}
}

// transaction gives the writes of events, the incident's head and the site's one open
// key, on condition that nobody else has written either since.
func (r *runner) transaction(events []incident.Event, next incident.Incident, head store.Revision) ([]store.Cond, []store.Write) {
	conds := []store.Cond{{Key: keyOpen + r.id, Modified: r.open}}
	var writes []store.Write
	if next.ID != "" && len(events) > 0 {
		conds = append(conds, store.Cond{Key: keyIncident + next.ID, Modified: head})
		writes = append(writes, put(keyIncident+next.ID, headOf(next)))
	}
	for _, ev := range events {
		writes = append(writes, put(eventKey(ev), ev))
		if ev.Type == incident.AutoHeldType {
			writes = append(writes, r.e.noteHeld(r.id, true))
		}
	}
	switch {
	case next.Phase.Open() && r.open == 0:
		writes = append(writes, store.Write{Key: keyOpen + r.id, Value: []byte(next.ID)})
	case !next.Phase.Open() && r.open != 0:
		writes = append(writes, store.Write{Key: keyOpen + r.id, Delete: true})
	}
	return conds, writes
}

func eventKey(ev incident.Event) string {
	return fmt.Sprintf("%s%s/%08d", keyEvent, ev.Incident, ev.Seq)
}

func headOf(in incident.Incident) Head {
	return Head{ID: in.ID, Site: in.Site, Title: in.Title, Phase: in.Phase, Drill: in.Drill, DeclaredAt: in.DeclaredAt, EndedAt: in.EndedAt, Seq: in.Seq, Hash: in.Hash}
}
