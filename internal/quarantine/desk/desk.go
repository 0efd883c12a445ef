// Package desk is where people ask for rows to be taken out of a database: plans are
// made and kept there, read and approved, carried out, and what is held is looked at,
// put back, given up or purged.
//
// It is not a database (packages postgres, mysql and sqlite are) and knows no rule of an
// incident: taking rows away and putting all of them back are pulls of a lever, which go
// through the engine (Acts); what is finer than a lever can say, such as one row, a
// corrected row, or a batch, is done here and told to the timeline. Control makes a Desk;
// the API and the pages use it.
//
// Invariants. What is carried out is a kept plan, named by its id and its hash. Plans
// hold keys, hashes and counts, never contents of rows, and lie in files of mode 0600.
// What is about to be done is in the timeline before it is done.
//
// Concurrency: a Desk may be used from any goroutine.
package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/find"
	"lifeboat/internal/snapshot"
)

// Bounds.
const (
	maxPlans = 200                // kept at once; the oldest that was never carried out goes first
	maxFile  = 64 << 20           // bytes of one kept plan
	planLife = 7 * 24 * time.Hour // of a plan that was never carried out
)

// Acts is what the desk does in an incident; the engine does it for control.
type Acts interface {
	// Pull pulls a lever, Back puts it back; both return once the outcome is recorded.
	Pull(ctx context.Context, site, lever, reason string, by incident.Actor) (incident.Incident, error)
	Back(ctx context.Context, site, lever, reason string, by incident.Actor) (incident.Incident, error)
	// Evidence gives what was collected of the open incident of a site: answers of pages
	// and log lines, bounded; none without one.
	Evidence(ctx context.Context, site string) (find.Evidence, error)
	// Note writes into the open incident of the site, and does nothing without one.
	Note(ctx context.Context, site, text string, by incident.Actor) error
	// Look records what is seen of a pulled lever now, such as that all of it is back.
	Look(ctx context.Context, site, lever string) error
}

// Source is one database of the configuration.
type Source struct {
	Name     string
	Kind     string // of its levers: quarantine/postgres, quarantine/mysql, quarantine/sqlite
	Site     string
	Tables   []string
	Approval bool // another person has to read a plan before it is carried out
	Open     func() (quarantine.Database, error)
	Lookout  Lookout // how it is searched
}

// Options of a Desk. All MUST be set.
type Options struct {
	Dir     string // of the kept plans; made when needed
	Sources []Source
	Acts    Acts
	Now     func() time.Time
	NewID   func() string // ULIDs
	Logger  *slog.Logger
}

// Desk keeps plans and carries them out.
type Desk struct {
	o Options

	mu    sync.Mutex
	open  map[string]quarantine.Database
	jobs  map[string]*job
	purge map[string]Asked // by operation: what a first person has asked for

	searches []*search // oldest first
	lent     []lent    // operations of searches whose rows may be away
	left     []lent    // those that a control before this one has left away; for Recover
}

// New makes a Desk.
func New(o Options) (*Desk, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "make the folder of the plans").Because(err).WithHint("look at the rights of %s", o.Dir)
	}
	d := &Desk{o: o, open: map[string]quarantine.Database{}, jobs: map[string]*job{}, purge: map[string]Asked{}}
	d.left = d.readLent()
	d.lent = slices.Clone(d.left)
	return d, nil
}

// Kept is a plan with what became of it.
type Kept struct {
	Plan      quarantine.Plan `json:"plan"`
	Site      string          `json:"site"`
	Title     string          `json:"title"` // "2 rows of orders, with 5 that hang on them"
	Lever     string          `json:"lever"` // the lever that carries it out
	By        string          `json:"by"`
	Approval  bool            `json:"approval,omitempty"` // another person has to read it
	Approvals []Approval      `json:"approvals,omitempty"`
	Reason    string          `json:"reason,omitempty"` // why it was carried out
	Begun     time.Time       `json:"begun,omitzero"`   // somebody asked for it to be carried out
	Done      time.Time       `json:"done,omitzero"`    // it was, all of it, as seen in the database
	Progress  *Progress       `json:"progress,omitempty"`

	ByID string `json:"by_id,omitempty"`
}

// Approval is another person's word on a plan, bound to its hash.
type Approval struct {
	By   string    `json:"by"`
	ByID string    `json:"by_id,omitempty"`
	Hash string    `json:"hash"`
	At   time.Time `json:"at"`
}

// Approved says whether the plan as it is was read by another person.
func (k Kept) Approved() bool {
	return slices.ContainsFunc(k.Approvals, func(a Approval) bool { return a.Hash == k.Plan.Hash })
}

// Halted says whether somebody asked for it to be carried out and it has not ended, as far
// as is known here: it was refused, stopped, or lifeboat control was restarted amid it.
// It can be asked for again, and goes on where it was.
func (k Kept) Halted() bool {
	return !k.Begun.IsZero() && k.Done.IsZero() && (k.Progress == nil || !k.Progress.Running)
}

// HowToApply is the command that carries the plan out, for somebody who has read it.
func (k Kept) HowToApply() string {
	return fmt.Sprintf("lifeboat data apply %s --hash %s --reason \"why\"", k.Plan.ID, k.Plan.Hash[:min(shortHash, len(k.Plan.Hash))])
}

// shortHash is how much of a hash a person types.
const shortHash = 12

const leverPrefix = "rows-"

var idPattern = regexp.MustCompile(`^[a-z0-9]{1,26}$`)

// Sources lists the databases by name.
func (d *Desk) Sources() []Source { return slices.Clone(d.o.Sources) }

func (d *Desk) source(name string) (Source, error) {
	var names []string
	for _, s := range d.o.Sources {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Source{}, fault.New(fault.NotFound, "there is no database %q", name).At("database").
		WithHint("known: %s; databases are named in the configuration", cmp.Or(strings.Join(names, ", "), "none"))
}

// Database opens a database, once.
func (d *Desk) Database(name string) (quarantine.Database, error) {
	s, err := d.source(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if db := d.open[name]; db != nil {
		return db, nil
	}
	db, err := s.Open()
	if err == nil {
		d.open[name] = db
	}
	return db, err
}

// Close ends batches and closes what is open.
func (d *Desk) Close() error {
	d.mu.Lock()
	jobs := d.jobs
	d.jobs = map[string]*job{}
	d.mu.Unlock()
	for _, j := range jobs {
		j.halt()
		<-j.done
	}
	d.mu.Lock()
	searches := slices.Clone(d.searches)
	d.mu.Unlock()
	for _, s := range searches { // rows that are away come back first
		s.stop()
		<-s.done
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, db := range d.open {
		errs = append(errs, db.Close())
	}
	clear(d.open)
	return errors.Join(errs...)
}

// Plan resolves what is asked for into a plan and keeps it. It changes nothing in the
// database.
func (d *Desk) Plan(ctx context.Context, database string, r quarantine.Request, by incident.Actor) (Kept, error) {
	s, err := d.source(database)
	if err != nil {
		return Kept{}, err
	}
	db, err := d.Database(database)
	if err != nil {
		return Kept{}, err
	}
	r.ID, r.By = strings.ToLower(d.o.NewID()), by.Name
	p, err := db.Plan(ctx, r)
	if err != nil {
		return Kept{}, err
	}
	k := Kept{Plan: p, Site: s.Site, Title: titleOf(p), Lever: leverPrefix + p.ID, By: by.Name, ByID: by.ID, Approval: s.Approval}
	d.tidy()
	return k, d.keep(k)
}

// titleOf says in a few words what a plan takes away.
func titleOf(p quarantine.Plan) string {
	first := 0
	if len(p.Tables) > 0 {
		first = len(p.Tables[0].Frozen)
	}
	root := p.Root[strings.LastIndex(p.Root, ".")+1:]
	if p.Mode == quarantine.Replace {
		return fmt.Sprintf("Put safe values into %s of %s", rows(first), root)
	}
	if more := p.Rows - first; more > 0 {
		hang, on := "hang", "them"
		if more == 1 {
			hang = "hangs"
		}
		if first == 1 {
			on = "it"
		}
		return fmt.Sprintf("Take %s out of %s, with %d that %s on %s", rows(first), root, more, hang, on)
	}
	return fmt.Sprintf("Take %s out of %s", rows(first), root)
}

func rows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

func (d *Desk) path(id string) string { return filepath.Join(d.o.Dir, id+".json") }

func (d *Desk) keep(k Kept) error {
	k.Progress = nil
	b, err := json.Marshal(k)
	if err == nil && len(b) > maxFile {
		err = fault.New(fault.Invalid, "the plan names %d rows, and that is more than can be kept", k.Plan.Rows).WithHint("take fewer rows at once")
	}
	if err == nil {
		err = snapshot.WriteFile(d.path(k.Plan.ID), b)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "the plan could not be kept").Because(err).WithHint("look at the disk of lifeboat's data folder")
	}
	return nil
}

// Kept gives a plan by its id.
func (d *Desk) Kept(id string) (Kept, error) {
	if !idPattern.MatchString(id) {
		return Kept{}, fault.New(fault.Invalid, "%q is not the id of a plan", id).At("plan").WithHint("see them with: lifeboat data plans")
	}
	k, err := d.read(d.path(id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Kept{}, fault.New(fault.NotFound, "there is no plan %s", id).At("plan").WithHint("see them with: lifeboat data plans")
	case err != nil:
		return Kept{}, fault.New(fault.Internal, "the plan %s can't be read", id).Because(err).WithHint("make it anew with: lifeboat data plan")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if j := d.jobs[id]; j != nil {
		p := j.progress()
		k.Progress = &p
	}
	return k, nil
}

func (d *Desk) read(path string) (k Kept, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return k, err
	}
	if info.Size() > maxFile {
		return k, fmt.Errorf("%d bytes are too many", info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return k, err
	}
	if hash, err := quarantine.HashPlan(k.Plan); err != nil || hash != k.Plan.Hash {
		return k, errors.New("it was changed after it was made")
	}
	return k, nil
}

// Plans lists the kept plans, newest first; those that can't be read are left out.
func (d *Desk) Plans() []Kept {
	files, err := os.ReadDir(d.o.Dir)
	if err != nil {
		return nil
	}
	var out []Kept
	for _, f := range files {
		id, is := strings.CutSuffix(f.Name(), ".json")
		if !is || !idPattern.MatchString(id) {
			continue
		}
		if k, err := d.Kept(id); err == nil {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b Kept) int {
		return cmp.Or(b.Plan.Made.Compare(a.Plan.Made), cmp.Compare(b.Plan.ID, a.Plan.ID))
	})
	return out
}

// tidy lets plans go that were never carried out: those of last week, and the oldest
// where there are too many.
func (d *Desk) tidy() {
	left := 0
	for _, k := range d.Plans() {
		if !k.Begun.IsZero() {
			continue
		}
		if left++; left < maxPlans && d.o.Now().Sub(k.Plan.Made) < planLife {
			continue
		}
		if err := os.Remove(d.path(k.Plan.ID)); err != nil {
			d.o.Logger.Warn("an old plan could not be removed", "plan", k.Plan.ID, "cause", err)
		}
	}
}

// change changes what is kept of a plan, one after the other.
func (d *Desk) change(id string, f func(*Kept) error) (Kept, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, err := d.read(d.pathOf(id))
	if err != nil {
		return Kept{}, fault.New(fault.NotFound, "there is no plan %q", id).At("plan").WithHint("see them with: lifeboat data plans")
	}
	if err := f(&k); err != nil {
		return k, err
	}
	return k, d.keep(k)
}

// Approve gives another person's word on a plan. It is bound to the hash, which is to be
// that of the plan that was read.
func (d *Desk) Approve(id, hash string, by incident.Actor) (Kept, error) {
	return d.change(id, func(k *Kept) error {
		switch {
		case hash != k.Plan.Hash:
			return fault.New(fault.Conflict, "the plan is another one than you have read").At("hash").WithHint("read it again: lifeboat data show %s", id)
		case same(k.ByID, k.By, by):
			return fault.New(fault.Refused, "who made the plan can't approve it").WithHint("ask somebody else")
		case k.Approved():
			return nil
		}
		k.Approvals = append(k.Approvals, Approval{By: by.Name, ByID: by.ID, Hash: hash, At: d.o.Now().UTC()})
		return nil
	})
}

func (d *Desk) pathOf(id string) string {
	if !idPattern.MatchString(id) {
		id = "0"
	}
	return d.path(id)
}

// same says whether somebody is the one with the id, or, without ids, of the name.
func same(id, name string, a incident.Actor) bool {
	if id != "" || a.ID != "" {
		return id == a.ID
	}
	return name == a.Name
}

// Card is the lever that carries out a kept plan; it is none of the configuration's.
func (d *Desk) Card(name string) (lever.Card, bool) {
	id, is := strings.CutPrefix(name, leverPrefix)
	if !is {
		return lever.Card{}, false
	}
	k, err := d.Kept(id)
	if err != nil {
		return lever.Card{}, false
	}
	s, err := d.source(k.Plan.Database)
	if err != nil {
		return lever.Card{}, false
	}
	section, err := json.Marshal(Section{Database: k.Plan.Database, Plan: k.Plan.ID, Hash: k.Plan.Hash})
	if err != nil {
		return lever.Card{}, false
	}
	return lever.Card{Name: name, Kind: s.Kind, Title: k.Title, Says: "The rows are gone for visitors until they are put back.", Site: k.Site, Config: section}, true
}

// Section is what a card of a plan says to its driver.
type Section struct {
	Database string `json:"database"`
	Plan     string `json:"plan"`
	Hash     string `json:"hash"`
}
