// Package desk is where people write on the status page: overrides, public incidents,
// maintenances and post-mortems, each with an event in the record, and where what was
// measured is condensed into days and response times.
//
// It decides nothing: package board does, over values. It keeps what comes of it in the
// store and hands the whole, bounded, to whoever publishes it. It is not the page
// (package statuspage writes it, in answer) and tells no subscriber. Only control makes
// one; api and web call it.
//
// Invariants: a change and its event are in one transaction; who did something stays in
// the record and never leaves with the Sheet; what can't be kept for want of room is
// left out of the Sheet, the oldest first, and stays in the record.
//
// Concurrency: every method may be called from any goroutine.
package desk

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/store"
)

// Limits on what is kept and published.
const (
	maxPublished = 512 << 10 // bytes of incidents and maintenances in a Sheet
	maxIncidents = 400       // of them
	listedEvents = 200
	keepDays     = 400 // days of a component
	pointEvery   = 5 * time.Minute
	pointsShown  = int(24 * time.Hour / pointEvery)
	mostElapsed  = 2 * time.Minute // between two looks that are still one stretch
	saveEvery    = time.Minute
)

// Settings are what the configuration says.
type Settings struct {
	Pages      []board.Page
	Groups     []board.Group
	Components []board.Definition
	Rules      []board.Rule
	Templates  []board.Template
	Zone       *time.Location // of days; UTC when nil
}

// Options of a Desk. Store MUST be set.
type Options struct {
	Store    store.Store
	Settings Settings
	Now      func() time.Time // time.Now
	NewID    func() string
	Logger   *slog.Logger           // silent when nil
	Changed  func()                 // called after each change; nil: nobody is told
	Passes   func() []board.PassKey // what checks who signed in; nil: nobody can
	// Besides makes writes that belong into the transaction of a change, and is told once that
	// has taken place; nil: none. It MUST NOT call the Desk.
	Besides  func(before board.Records, c board.Change) (w []store.Write, done func())
	Degraded func() bool // the store takes only what must not be lost; nil: never
}

// The keys of the store.
const (
	keyOverride    = "status/override/"    // COMPONENT → board.Override
	keyIncident    = "status/incident/"    // ID → board.Incident
	keyMaintenance = "status/maintenance/" // ID → board.Maintenance
	keyEvent       = "status/event/"       // TIME-ID → board.Event
	keyDay         = "status/day/"         // COMPONENT/2026-11-22 → board.Tally
	keyTimes       = "status/times/"       // COMPONENT → []board.Point
	keyBorn        = "status/born/"        // KIND/ID → time it was first configured
	keyTime        = "20060102T150405.000000000Z"
)

// Desk keeps what people wrote and what was measured.
type Desk struct {
	o Options

	writing sync.Mutex // held over a change, its transaction included; taken before mu

	mu       sync.Mutex // guards all below
	records  board.Records
	revision map[string]store.Revision // of each record, by key
	shown    map[string]board.State
	last     []board.Component // as they were looked at last
	born     map[string]time.Time
	past     history
}

// New makes a Desk; Start reads the record.
func New(o Options) *Desk {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Degraded == nil {
		o.Degraded = func() bool { return false }
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Besides == nil {
		o.Besides = func(board.Records, board.Change) ([]store.Write, func()) { return nil, func() {} }
	}
	if o.Settings.Zone == nil {
		o.Settings.Zone = time.UTC
	}
	return &Desk{
		o: o, revision: map[string]store.Revision{}, shown: map[string]board.State{}, born: map[string]time.Time{}, past: newHistory(),
		records: board.Records{Overrides: map[string]board.Override{}, Incidents: map[string]board.Incident{}, Maintenances: map[string]board.Maintenance{}},
	}
}

// Start reads the record. What can't be read is said in the log and left out.
func (d *Desk) Start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := load(ctx, d, keyOverride, d.records.Overrides); err != nil {
		return err
	}
	if err := load(ctx, d, keyIncident, d.records.Incidents); err != nil {
		return err
	}
	if err := load(ctx, d, keyMaintenance, d.records.Maintenances); err != nil {
		return err
	}
	if err := load(ctx, d, keyBorn, d.born); err != nil {
		return err
	}
	if err := d.loadHistory(ctx); err != nil {
		return err
	}
	return d.name(ctx)
}

// name notes when each page, group and component was first seen: readers ask for it.
func (d *Desk) name(ctx context.Context) error { // with mu held
	now := d.o.Now().UTC().Truncate(time.Second)
	var writes []store.Write
	note := func(key string) {
		if _, known := d.born[key]; !known {
			d.born[key] = now
			writes = append(writes, put(keyBorn+key, now))
		}
	}
	for _, p := range d.o.Settings.Pages {
		note("page/" + p.ID)
	}
	for _, g := range d.o.Settings.Groups {
		note("group/" + g.ID)
	}
	for _, c := range d.o.Settings.Components {
		note("component/" + c.ID)
	}
	if len(writes) == 0 {
		return nil
	}
	_, err := d.o.Store.Txn(ctx, nil, writes)
	return err
}

func load[T any](ctx context.Context, d *Desk, prefix string, into map[string]T) error { // with mu held
	kvs, _, err := d.o.Store.List(ctx, prefix)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		var v T
		if err := json.Unmarshal(kv.Value, &v); err != nil {
			d.o.Logger.Error("something written for the status page can't be read; it is left out", "key", kv.Key, "cause", err)
			continue
		}
		into[strings.TrimPrefix(kv.Key, prefix)] = v
		d.revision[kv.Key] = kv.Modified
	}
	return nil
}

func put(key string, v any) store.Write {
	b, err := json.Marshal(v)
	if err != nil { // our own types, which always can be
		b = []byte("null")
	}
	return store.Write{Key: key, Value: b}
}

// Do has a command decided, keeps what comes of it, and gives that.
func (d *Desk) Do(ctx context.Context, who board.Who, c board.Command) (board.Change, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	given := d.given(who)
	d.mu.Unlock()
	change, err := board.Decide(c, given)
	if err != nil {
		return change, err
	}
	if err := d.keep(ctx, change); err != nil {
		return board.Change{}, err
	}
	d.o.Changed()
	return change, nil
}

// given is what a command of somebody's is decided with.
func (d *Desk) given(who board.Who) board.Given { // with mu held
	return board.Given{Records: d.copied(), Components: d.o.Settings.Components, Shown: maps.Clone(d.shown), Who: who, Now: d.o.Now(), NewID: d.o.NewID}
}

// copied are the records, shared with nobody who writes.
func (d *Desk) copied() board.Records { // with mu held
	return board.Records{Overrides: maps.Clone(d.records.Overrides), Incidents: maps.Clone(d.records.Incidents), Maintenances: maps.Clone(d.records.Maintenances)}
}

// keep writes a change and its event, then takes it into memory.
func (d *Desk) keep(ctx context.Context, c board.Change) error { // with writing held
	w := []store.Write{put(keyEvent+c.Event.At.Format(keyTime)+"-"+c.Event.ID, c.Event)}
	var key string
	switch {
	case c.Override != nil:
		key = keyOverride + c.Override.Component
		w = append(w, put(key, *c.Override))
	case c.DropOverride != "":
		key = keyOverride + c.DropOverride
		w = append(w, store.Write{Key: key, Delete: true})
	case c.Incident != nil:
		key = keyIncident + c.Incident.ID
		w = append(w, put(key, *c.Incident))
	case c.Maintenance != nil:
		key = keyMaintenance + c.Maintenance.ID
		w = append(w, put(key, *c.Maintenance))
	case c.DropMaintenance != "":
		key = keyMaintenance + c.DropMaintenance
		w = append(w, store.Write{Key: key, Delete: true})
	}
	d.mu.Lock()
	before, records := d.revision[key], d.records
	d.mu.Unlock()
	if n := len(w[1].Value); n > store.MaxValue {
		return fault.New(fault.Invalid, "%s would have %d bytes, %d fit", key, n, store.MaxValue).WithHint("resolve it and open another")
	}
	besides, done := d.o.Besides(records, c)
	rev, err := d.o.Store.Txn(ctx, []store.Cond{{Key: key, Modified: before}}, append(w, besides...))
	if err != nil {
		return err
	}
	defer done() // without mu
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision[key], d.records = rev, c.On(d.records)
	if c.DropOverride != "" || c.DropMaintenance != "" {
		delete(d.revision, key)
	}
	return nil
}

// Tend announces what recurring rules say. Control calls it now and then.
func (d *Desk) Tend(ctx context.Context) {
	d.mu.Lock()
	records := d.copied()
	d.mu.Unlock()
	for _, plan := range board.Due(d.o.Settings.Rules, records, d.o.Settings.Zone, d.o.Now()) {
		if _, err := d.Do(ctx, board.Who{ID: "rule " + plan.Rule, Name: "the rule " + plan.Rule, Via: "rule"}, plan); err != nil {
			d.o.Logger.Warn("recurring work could not be announced", "rule", plan.Rule, "cause", err)
		}
	}
}

// Shown are the components as they were looked at last.
func (d *Desk) Shown() []board.Component {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.last)
}

// Settings are what the configuration says.
func (d *Desk) Settings() Settings { return d.o.Settings }

// Records are what people wrote, with who did.
func (d *Desk) Records() board.Records {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.copied()
}

// Events are the newest of what people did, newest first.
func (d *Desk) Events(ctx context.Context) ([]board.Event, error) {
	kvs, _, err := d.o.Store.List(ctx, keyEvent)
	if err != nil {
		return nil, err
	}
	out := []board.Event{}
	for _, kv := range slices.Backward(kvs) {
		var e board.Event
		if json.Unmarshal(kv.Value, &e) == nil {
			out = append(out, e)
		}
		if len(out) == listedEvents {
			break
		}
	}
	return out, nil
}

// Sheet is all of it for answer: without names of people, and bounded.
func (d *Desk) Sheet() board.Sheet {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sheet(d.records)
}

// sheet is what of some records leaves for answer.
func (d *Desk) sheet(r board.Records) board.Sheet { // with mu held
	s := board.Sheet{Pages: slices.Clone(d.o.Settings.Pages), Groups: slices.Clone(d.o.Settings.Groups), Components: slices.Clone(d.o.Settings.Components)}
	for i := range s.Pages {
		s.Pages[i].CreatedAt = d.born["page/"+s.Pages[i].ID]
		if p := s.Pages[i].Private; p != nil && p.SignIn && d.o.Passes != nil {
			private := *p
			private.Passes, s.Pages[i].Private = d.o.Passes(), &private
		}
	}
	for i := range s.Groups {
		s.Groups[i].CreatedAt = d.born["group/"+s.Groups[i].ID]
	}
	for i := range s.Components {
		s.Components[i].CreatedAt = d.born["component/"+s.Components[i].ID]
	}
	now := d.o.Now()
	for _, id := range slices.Sorted(maps.Keys(r.Overrides)) {
		if o := r.Overrides[id]; o.Holds(now) {
			o.By = ""
			s.Overrides = append(s.Overrides, o)
		}
	}
	s.Incidents, s.Maintenances = published(r, now)
	return s
}

// published are the incidents, newest first, and maintenances that fit.
func published(r board.Records, now time.Time) ([]board.Incident, []board.Maintenance) {
	incidents := slices.SortedFunc(maps.Values(r.Incidents), func(a, b board.Incident) int {
		if a.Open() != b.Open() {
			return open(b) - open(a)
		}
		return b.StartedAt.Compare(a.StartedAt)
	})
	planned := slices.SortedFunc(maps.Values(r.Maintenances), func(a, b board.Maintenance) int { return b.From.Compare(a.From) })
	room := maxPublished
	var in []board.Incident
	for _, x := range incidents {
		x.By, x.Updates = "", nameless(x.Updates)
		if room -= size(x); room < 0 || len(in) == maxIncidents {
			break
		}
		in = append(in, x)
	}
	var work []board.Maintenance
	for _, m := range planned {
		if m.Cancelled {
			continue
		}
		m.By, m.Updates = "", nameless(m.Updates)
		if room -= size(m); room < 0 && m.At(now).Step.Over() || len(work) == maxIncidents {
			break
		}
		work = append(work, m)
	}
	slices.Reverse(work)
	return in, work
}

func open(in board.Incident) int {
	if in.Open() {
		return 1
	}
	return 0
}

func nameless(list []board.Update) []board.Update {
	out := slices.Clone(list)
	for i := range out {
		out[i].By = ""
	}
	return out
}

func size(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return maxPublished
	}
	return len(b)
}
