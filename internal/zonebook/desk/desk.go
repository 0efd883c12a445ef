// Package desk is where people change the records of zones: drafts, plans, published
// revisions, the way back.
//
// It decides nothing of what a zone may hold: packages zonebook and zone do, over values.
// It keeps drafts and revisions in the store, has a revision served by whoever publishes
// (Options.Publish), and asks the name servers what they answer then. It is no editor of
// the configuration: the file stays as it is, and where the two differ both are shown.
// Only control makes a Desk; api and web call it.
//
// Invariants: a revision is in the record before it is served, and never changed after; a
// plan is published only by its hash, on the revision that it was made for; a draft is
// lost by nothing but its owner's word or its own publishing; records that were published
// stay in force until a person publishes others, whatever the file says by then.
//
// Concurrency: every method may be called from any goroutine.
package desk

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonebook"
)

// Publish has records served: writes go into the record in the same transaction as the
// serial, before anything is served. unsure says that it may be served although err says
// that nobody knows; back that the zone is served as it was, although it is written down.
type Publish func(ctx context.Context, src zone.Source, records int, conds []store.Cond, writes func(serial uint32) []store.Write) (serial uint32, unsure, back bool, err error)

// Server is a name server that is asked what it answers.
type Server struct {
	Name    string
	Address netip.AddrPort
}

// Options of a Desk. All MUST be set but where a zero value is said to do.
type Options struct {
	Store   store.Store
	Book    *Book
	Publish Publish
	Zones   func() []zone.Source             // as they are served
	Sites   func() map[string]zone.Positions // that names follow
	Crisis  func() bool                      // an incident is open
	Servers []Server                         // none: no answer is looked at
	Ask     Ask                              // nil: over UDP, then TCP

	Secondary []string // zones that come from other servers; none

	Authority []string                                                               // what the authority of our certificates is called in CAA records
	Tell      func(ctx context.Context, apex string, r zonebook.Revision, by string) // of each revision; nil: nobody
	Degraded  func() bool                                                            // the store takes only what must not be lost; nil: never
	Hidden    func(name string) bool                                                 // names that are ours, not people's; nil: none

	Now    func() time.Time
	Logger *slog.Logger
}

// Desk keeps drafts and publishes them.
type Desk struct {
	o Options

	publishing sync.Mutex // held over a publishing, its transaction included
	drafting   sync.Mutex // held over a change of a draft

	mu     sync.Mutex // guards parsed
	parsed map[string]parsedZone
}

type parsedZone struct {
	hash string
	z    *zone.Zone // without its records
}

// New makes a Desk.
func New(o Options) *Desk {
	if o.Ask == nil {
		o.Ask = Over
	}
	if o.Degraded == nil {
		o.Degraded = func() bool { return false }
	}
	if o.Hidden == nil {
		o.Hidden = func(string) bool { return false }
	}
	if o.Tell == nil {
		o.Tell = func(context.Context, string, zonebook.Revision, string) {}
	}
	return &Desk{o: o, parsed: map[string]parsedZone{}}
}

// Waiting is somebody's draft, as others see it.
type Waiting struct {
	By      string    `json:"by"`
	Changes int       `json:"changes"`
	At      time.Time `json:"at"`
}

// View is one zone in the list of all.
type View struct {
	Zone     string    `json:"zone" example:"shop.example.com."`
	Editable bool      `json:"editable"`
	Why      string    `json:"why,omitempty" doc:"why it can't be edited here"`
	Records  int       `json:"records" doc:"those that the text has"`
	Revision int       `json:"revision" doc:"0: the configuration's records"`
	At       time.Time `json:"at,omitzero"`
	By       string    `json:"by,omitempty"`
	Signed   bool      `json:"signed,omitempty"`
	Drafts   []Waiting `json:"drafts" doc:"changes that are not published, of everybody"`
	Standing Standing  `json:"standing"`
	File     string    `json:"file,omitempty" doc:"where the configuration's records are"`
}

// Zones are all zones, by name.
func (d *Desk) Zones(ctx context.Context) ([]View, error) {
	var out []View
	for _, src := range d.o.Zones() {
		v, err := d.view(ctx, src)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	for _, apex := range d.o.Secondary {
		out = append(out, View{Zone: apex, Why: notOurs, Drafts: []Waiting{}})
	}
	slices.SortFunc(out, func(a, b View) int { return strings.Compare(a.Zone, b.Zone) })
	return out, nil
}

const notOurs = "It comes from another server, of which this one is a secondary: change its records there."

func (d *Desk) view(ctx context.Context, src zone.Source) (View, error) {
	v := View{Zone: src.Apex, Editable: true, Signed: src.DNSSEC, Standing: d.o.Book.Standing(src.Apex), File: d.o.Book.file(src.Apex)}
	if n := zonebook.TextOf(src).Size(); n > zonebook.MaxText {
		v.Editable, v.Why = false, "It is too large to be edited here. Change its file, and start lifeboat again."
	} else if recs, err := zone.ReadRecords(src); err == nil {
		v.Records = len(recs)
	}
	head := d.o.Book.Head(src.Apex)
	v.Revision = head.Number
	if head.Number > 0 {
		r, err := d.revision(ctx, src.Apex, head.Number)
		if err != nil {
			return v, err
		}
		v.At, v.By = r.At, r.By.Name
	}
	drafts, err := d.drafts(ctx, src.Apex)
	if err != nil {
		return v, err
	}
	v.Drafts = []Waiting{}
	for _, x := range drafts {
		v.Drafts = append(v.Drafts, Waiting{x.By.Name, len(x.Changes), x.At})
	}
	return v, nil
}

// source is a zone that can be edited.
func (d *Desk) source(apex string) (zone.Source, error) {
	apex = Apex(apex)
	for _, src := range d.o.Zones() {
		if src.Apex != apex {
			continue
		}
		if zonebook.TextOf(src).Size() > zonebook.MaxText {
			return src, fault.New(fault.NotSupported, "zone %s is too large to be edited here", apex).WithHint("change its file, and start lifeboat again")
		}
		return src, nil
	}
	if slices.Contains(d.o.Secondary, apex) {
		return zone.Source{}, fault.New(fault.NotSupported, "zone %s comes from another server", apex).WithHint("change its records there: this one is a secondary of it")
	}
	return zone.Source{}, fault.New(fault.NotFound, "there is no zone %.100q", apex).WithHint("see them with: lifeboat zone list")
}

// Apex is a zone's name as it is kept: absolute, in lower case.
func Apex(typed string) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(typed)), ".") + "."
}

// facts are what plans for a zone are made of.
func (d *Desk) facts(ctx context.Context, src zone.Source, began int) (zonebook.Facts, error) {
	head := d.o.Book.Head(src.Apex)
	f := zonebook.Facts{
		Zone: src, Number: head.Number, Hash: zonebook.TextOf(src).Hash(), Began: began, Sites: d.o.Sites(), Secondary: d.o.Secondary,
		Incident: d.o.Crisis(), Authority: d.o.Authority,
	}
	for n := max(began+1, head.Number-maxSince+1); n <= head.Number; n++ {
		r, err := d.revision(ctx, src.Apex, n)
		if err != nil {
			return f, err
		}
		f.Since = append(f.Since, r)
	}
	for _, other := range d.o.Zones() {
		if other.Apex == src.Apex {
			continue
		}
		if z := d.outline(other); z != nil {
			f.Others = append(f.Others, z)
		}
	}
	return f, nil
}

// maxSince is how many revisions of others a plan tells of.
const maxSince = 20

// outline is another zone as neighbours have to know it; nil where it can't be read.
func (d *Desk) outline(src zone.Source) *zone.Zone {
	hash := zonebook.TextOf(src).Hash()
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, known := d.parsed[src.Apex]; known && p.hash == hash {
		return p.z
	}
	z, err := zone.Parse(src)
	if err != nil {
		return nil
	}
	d.parsed[src.Apex] = parsedZone{hash, z.Outline()}
	return d.parsed[src.Apex].z
}

// writable says whether the record takes drafts and revisions just now.
func (d *Desk) writable() error {
	if d.o.Degraded() {
		return fault.New(fault.Unavailable, "the record can't be written just now, so no records are changed").WithHint("make room on the disk of lifeboat's data folder; see: lifeboat check")
	}
	return nil
}

func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }
