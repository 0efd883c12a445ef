// Package engine owns every side effect of the control plane: it loads an
// incident, asks the heart (package incident) what comes of a command, records the
// intent, acts through a driver, reads the effect back from outside, and records
// that.
//
// It decides no rule itself and knows no wire format. api, web and control call
// it; it is the lever.Orders that drivers are given, and the publish.Handler that
// the feed calls.
//
// Invariants: nothing is acted on before its intent is in the record; what is
// ordered leaves only as a signed manifest of a growing (epoch, revision); nothing
// that moves a site is published before answer has been asked what it serves.
//
// Concurrency: all exported methods may be called from any goroutine. A site's
// commands run one after the other under its runner's mutex, which is always
// taken before the Engine's.
package engine

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/feed"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/signer"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
)

// Feed is how snapshots get to answer; publish.Server is one.
type Feed interface {
	Publish(ctx context.Context, m snapshot.Manifest, s snapshot.Signed, parts map[string][]byte) (feed.Ack, error)
	Status() (st feed.Status, at time.Time, connected bool)
}

// Stager is a Feed that can have answer make the parts of a snapshot ready ahead of its
// manifest, so that to publish it is quick however large they are.
type Stager interface {
	Stage(ctx context.Context, refs map[string]snapshot.Ref, parts map[string][]byte) error
}

// Options of an Engine. All but Record, Hook and Waits MUST be set.
type Options struct {
	Config  *config.Config
	Store   store.Store
	Key     ed25519.PrivateKey
	Drivers func(lever.Orders) map[string]lever.Driver // by kind
	Ask     func(context.Context, probe.Target, probe.Check) probe.Result
	Now     func() time.Time
	NewID   func() string
	Logger  *slog.Logger
	Version string
	Record  func() RecordView  // how the record is doing
	Beside  func() []Finding   // what stands beside the engine, for Check; nil: nothing does
	Hook    func(point string) // tests stop the process here
	Waits   Waits
	Company Company
	Signing Signing // nil: no zone can be signed

	// File is the configuration as its file has it, where Config has other records of a
	// zone, which were published since; nil: it is Config.
	File *config.Config

	Sizes     map[string]int     // records of each zone, by apex; kept for the next start
	Transfers snapshot.Transfers // which zones are exchanged with other name servers, with the keys that the configuration only names

	TicketSecret snapshot.Secret // what answer's session tickets are made with; it goes along with certificates
}

// Waits bound the engine's own waiting.
type Waits struct {
	Answer  time.Duration // for answer to be connected and to acknowledge; 5s
	Observe time.Duration // for an effect to be seen from outside; 3s
	Drift   time.Duration // between looks at what is held; 0: as the site says
}

// The kinds of levers that the engine itself carries out the orders of (lever.Orders).
// What all others move belongs to somebody else: it is neither in a manifest nor in
// what answer can do alone.
const (
	kindZone    = "zone"
	kindFeature = "feature"
)

func ours(kind string) bool { return kind == kindZone || kind == kindFeature }

// Engine runs incidents.
type Engine struct {
	o       Options
	drivers map[string]lever.Driver
	now     atomic.Pointer[world]      // replaced with changing held
	config  string                     // names what the file comes to
	jobs    chan func(context.Context) // what Run does beside its loop
	runners map[string]*runner         // by site, shadows too
	ids     []string                   // of the sites, in the configuration's order, without shadows
	seen    *sights                    // has a lock of its own
	bell    bell                       // rings when there is something new to see
	heard   atomic.Bool                // answer was connected when it was last looked at
	tails   sync.Map                   // log files that are being read, by path
	writing chan struct{}              // holds one for each body that is being written

	feedMu sync.Mutex // guards feed, set once by Start
	feed   Feed

	tending  sync.Mutex // held by the one look at signed zones that goes on
	signing  sync.Mutex // held while signatures are made; taken before changing, never by an act
	changing sync.Mutex // held over a change of what is ordered, its publishing included; taken before mu

	mu       sync.Mutex // guards all below; last is written with changing held, too
	ordered  ordered
	ready    bool              // answer's greeting has been handled
	greeted  chan struct{}     // closed while ready
	about    map[string]string // the incident that a move is for, by site
	fence    map[string]uint64 // newest token that moved a site or a feature
	last     snapshot.Manifest // published last
	problem  string            // why nothing can be published
	unsigned string            // why zones could not be signed anew

	keyed      map[string][]uint16 // tags of the keys that zones have had, by apex; replaced as a whole
	servedKeys map[string][]uint16 // the same as answer serves; nil: it was not heard yet

	homes map[string]homeOrder
}

// New makes an Engine over a configuration; Start must be called before anything
// is asked of it.
func New(o Options) (*Engine, error) {
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	if o.Record == nil {
		o.Record = func() RecordView { return RecordView{} }
	}
	if o.Waits == (Waits{}) {
		o.Waits = Waits{Answer: 5 * time.Second, Observe: 3 * time.Second}
	}
	e := &Engine{o: o, jobs: make(chan func(context.Context), 256), writing: make(chan struct{}, maxWriting), runners: map[string]*runner{}, about: map[string]string{}, fence: map[string]uint64{}, seen: newSights(), greeted: make(chan struct{})}
	e.drivers = o.Drivers(e)
	var c snapshot.Contents
	c.Sites, c.Zones, c.Features = o.Config.Parts()
	c.Access, c.DNS, c.Transfers = o.Config.Access, o.Config.DNS, o.Transfers
	for _, s := range c.Sites {
		e.runners[s.ID] = &runner{e: e, id: s.ID}
		if s.Shadow == "" {
			e.ids = append(e.ids, s.ID)
		}
	}
	if err := e.setWorld(c); err != nil {
		return nil, err
	}
	if e.config = e.world().hash(); o.File != nil {
		f := c
		f.Sites, f.Zones, f.Features = o.File.Parts()
		w, err := newWorld(f)
		if err != nil {
			return nil, err
		}
		e.config = w.hash()
	}
	c.Certificates.TicketSecret = o.TicketSecret // no configuration
	if err := e.setWorld(c); err != nil {
		return nil, err
	}
	return e, nil
}

// world is what the configuration comes to, with the homes that people have made
// permanent since. It is replaced as a whole.
type world struct {
	contents snapshot.Contents
	parts    map[string][]byte
	refs     map[string]snapshot.Ref
}

func (e *Engine) world() *world               { return e.now.Load() }
func (e *Engine) contents() snapshot.Contents { return e.now.Load().contents }

// hash names the parts.
func (w *world) hash() string {
	h := sha256.New()
	for _, n := range slices.Sorted(maps.Keys(w.refs)) {
		h.Write([]byte(n + w.refs[n].SHA256))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (e *Engine) setWorld(c snapshot.Contents) error {
	w, err := newWorld(c)
	if err != nil {
		return err
	}
	e.enter(w)
	return nil
}

// Tell publishes what is said on the status page: the whole of it, or, where sheet is
// nil, only what was measured. It costs nothing else: no zone is encoded again. What
// can't be published now is with the next greeting.
func (e *Engine) Tell(ctx context.Context, sheet *board.Sheet, history board.History) error {
	for {
		before := e.world()
		after, err := before.telling(sheet, history)
		if err != nil {
			return fmt.Errorf("put the status page into the snapshot: %w", err)
		}
		if maps.Equal(before.refs, after.refs) {
			return nil
		}
		if e.exchange(before, after, nil) {
			return e.republish(ctx)
		}
	}
}

// telling is the world with other words on the status page.
func (w *world) telling(sheet *board.Sheet, history board.History) (*world, error) {
	next := &world{contents: w.contents, parts: maps.Clone(w.parts), refs: maps.Clone(w.refs)}
	put := func(name string, v any) error {
		b, ref, err := snapshot.Part(v)
		if err != nil {
			return err
		}
		delete(next.parts, next.refs[name].SHA256)
		next.parts[ref.SHA256], next.refs[name] = b, ref
		return nil
	}
	next.contents.History = history
	if err := put(snapshot.PartHistory, history); err != nil || sheet == nil {
		return next, err
	}
	next.contents.Status = *sheet
	return next, put(snapshot.PartStatus, *sheet)
}

func newWorld(c snapshot.Contents) (*world, error) {
	w := &world{contents: c}
	var err error
	w.parts, w.refs, err = c.Encode()
	return w, err
}

func (e *Engine) enter(w *world) {
	e.now.Store(w)
	for _, s := range w.contents.Sites {
		e.runners[s.ID].here.Store(&s)
	}
}

// Start reads the record and takes the feed into use.
func (e *Engine) Start(ctx context.Context, f Feed) error {
	e.feedMu.Lock()
	e.feed = f
	e.feedMu.Unlock()
	if err := e.loadOrdered(ctx); err != nil {
		return fmt.Errorf("read what is ordered: %w", err)
	}
	if err := e.loadHomes(ctx); err != nil {
		return fmt.Errorf("read which place is home: %w", err)
	}
	for _, r := range e.runners {
		r.mu.Lock()
		err := r.load(ctx)
		r.mu.Unlock()
		if err != nil {
			return fmt.Errorf("read the incident of %s: %w", r.id, err)
		}
	}
	if err := e.loadKeys(ctx); err != nil {
		return fmt.Errorf("read which zones have keys: %w", err)
	}
	if err := e.noteSigning(e.sign(ctx)); err != nil && !errors.Is(err, signer.ErrKeyLost) && !e.allSigned() {
		return fmt.Errorf("sign the zones: %w", err)
	}
	return nil
}

func (e *Engine) getFeed() Feed {
	e.feedMu.Lock()
	defer e.feedMu.Unlock()
	return e.feed
}

// ordered is all that is ordered, as the next manifest will carry it.
type ordered struct {
	epoch   uint64
	sites   map[string]snapshot.SiteOrder
	flags   map[string]feature.Order
	serials map[string]uint32
	auto    map[string]autoState
	taken   []string
	proofs  map[string]proofs
}

// autoState is what is remembered of a site's automatic moves.
type autoState struct {
	Last time.Time `json:"last,omitzero"`  // U4, U5
	Held bool      `json:"held,omitempty"` // U3
}

// lineage says which life of a store this is, and with what configuration it
// started last. It is written at each start, so that each start has a revision.
type lineage struct {
	Epoch  uint64 `json:"epoch"`
	Starts int    `json:"starts"`
	Config string `json:"config"` // hash of the parts
}

// The keys of the store.
const (
	keyLineage  = "lineage"
	keySite     = "site/"     // SITE → snapshot.SiteOrder
	keyFlag     = "flag/"     // FEATURE → feature.Order
	keySerial   = "serial/"   // APEX → uint32
	keyAuto     = "auto/"     // SITE → autoState
	keySize     = "size/"     // APEX → records of the zone that was published last
	keyProofs   = "proofs/"   // NAME → proofs
	keyTaken    = "taken"     // ids of the local orders taken over last
	keyOpen     = "open/"     // SITE → incident id
	keyIncident = "incident/" // ID → Head
	keyEvent    = "event/"    // ID/SEQ → incident.Event
	keyLever    = "lever/"    // LEVER → DrillRecord

	keyHits      = "hits/"     // SITE → hits of its open incident
	keyPublished = "published" // when the store was moved on for a manifest
)

func (e *Engine) loadOrdered(ctx context.Context) error {
	o := ordered{sites: map[string]snapshot.SiteOrder{}, flags: map[string]feature.Order{}, serials: map[string]uint32{}, auto: map[string]autoState{}, proofs: map[string]proofs{}}
	var l lineage
	if err := get(ctx, e.o.Store, keyLineage, &l); err != nil {
		return err
	}
	o.epoch = l.Epoch
	if err := list(ctx, e.o.Store, keySite, o.sites); err != nil {
		return err
	}
	if err := list(ctx, e.o.Store, keyFlag, o.flags); err != nil {
		return err
	}
	if err := list(ctx, e.o.Store, keySerial, o.serials); err != nil {
		return err
	}
	if err := list(ctx, e.o.Store, keyAuto, o.auto); err != nil {
		return err
	}
	if err := list(ctx, e.o.Store, keyProofs, o.proofs); err != nil {
		return err
	}
	if err := get(ctx, e.o.Store, keyTaken, &o.taken); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ordered = o
	return nil
}

// get reads a key's JSON; an absent key leaves v as it is.
func get(ctx context.Context, s store.Store, key string, v any) error {
	kv, err := s.Get(ctx, key)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(kv.Value, v)
}

// list reads all keys with a prefix into a map by the rest of the key.
func list[T any](ctx context.Context, s store.Store, prefix string, into map[string]T) error {
	kvs, _, err := s.List(ctx, prefix)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		var v T
		if err := json.Unmarshal(kv.Value, &v); err != nil {
			return fmt.Errorf("read %s: %w", kv.Key, err)
		}
		into[kv.Key[len(prefix):]] = v
	}
	return nil
}

// put makes a write of a value's JSON.
func put(key string, v any) store.Write {
	b, err := json.Marshal(v)
	if err != nil { // our own types only
		b = []byte("null")
	}
	return store.Write{Key: key, Value: b}
}

func (e *Engine) site(id string) (config.Site, bool) {
	for _, s := range e.o.Config.Sites {
		if s.ID == id || snapshot.ShadowID(s.ID) == id {
			return s, true
		}
	}
	return config.Site{}, false
}

// configured says whether the lever is one of the configuration's, and not one that people
// made of a plan.
func (e *Engine) configured(name string) bool {
	return slices.ContainsFunc(e.o.Config.Levers, func(c lever.Card) bool { return c.Name == name })
}

func (e *Engine) card(name string) (lever.Card, error) {
	for _, c := range e.o.Config.Levers {
		if c.Name == name {
			return c, nil
		}
	}
	if e.o.Company.Card != nil {
		if c, known := e.o.Company.Card(name); known {
			return c, nil
		}
	}
	return lever.Card{}, fault.New(fault.NotFound, "there is no lever %q", name).WithHint("see them with: lifeboat levers")
}
