package desk

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/find"
)

// ready says why a plan can't be carried out now, if it can't.
func (d *Desk) ready(k Kept, hash string) error {
	switch {
	case hash != k.Plan.Hash:
		return fault.New(fault.Conflict, "the plan is another one than you have read").At("hash").WithHint("read it again: lifeboat data show %s", k.Plan.ID)
	case len(k.Plan.Refused) > 0:
		r := k.Plan.Refused[0]
		return fault.New(fault.Refused, "the plan can't be carried out: %s", strings.TrimSuffix(r.Reason, ".")).At(r.Table).WithHint("%s", r.Satisfy)
	case k.Begun.IsZero() && !k.Plan.Expires.IsZero() && d.o.Now().After(k.Plan.Expires):
		return fault.New(fault.Conflict, "the plan was made %s ago, and what it names may have changed", d.o.Now().Sub(k.Plan.Made).Round(time.Minute)).
			WithHint("make it anew: lifeboat data plan TABLE --key KEY")
	case k.Approval && !k.Approved():
		return fault.New(fault.Refused, "nobody else has read the plan").WithHint("ask somebody to read it, and to approve it as they are told there: lifeboat data show %s", k.Plan.ID)
	}
	return nil
}

// Apply carries a plan out: in one transaction as a pull of its lever, or, a batch, in
// many, beside it.
func (d *Desk) Apply(ctx context.Context, id, hash, reason string, by incident.Actor) (Kept, error) {
	k, err := d.Kept(id)
	if err != nil {
		return k, err
	}
	if err := d.ready(k, hash); err != nil {
		return k, err
	}
	if err := incident.May(incident.ProposeFix{}, by); err != nil { // as for a fix: whoever may change production
		return k, err
	}
	if k, err = d.change(id, func(k *Kept) error {
		if k.Begun.IsZero() {
			k.Begun = d.o.Now().UTC()
		}
		k.Reason = cmp.Or(strings.TrimSpace(reason), k.Reason)
		return nil
	}); err != nil {
		return k, err
	}
	if k.Plan.Batch {
		return k, d.batch(ctx, k, reason, by)
	}
	if _, err = d.o.Acts.Pull(ctx, k.Site, k.Lever, reason, by); err != nil && !d.done(ctx, k, err) {
		return k, err
	}
	if strings.TrimSpace(reason) != "" {
		if err := d.o.Acts.Note(context.WithoutCancel(ctx), k.Site, fmt.Sprintf("Why %s: %s", lowerFirst(k.Title), reason), by); err != nil {
			d.o.Logger.Warn("why rows were taken away is not in the timeline", "plan", id, "cause", err)
		}
	}
	return d.change(id, func(k *Kept) error { k.Done = d.o.Now().UTC(); return nil })
}

// done says whether a pull was refused because all of it had happened: after a kill of
// control amid it, the engine goes on by itself.
func (d *Desk) done(ctx context.Context, k Kept, refused error) bool {
	if fault.KindOf(refused) != fault.Conflict {
		return false
	}
	db, err := d.Database(k.Plan.Database)
	if err != nil {
		return false
	}
	op, err := db.Look(ctx, k.Plan.ID)
	return err == nil && op.State == quarantine.Held && op.PlanHash == k.Plan.Hash
}

// Progress is how far a batch is.
type Progress struct {
	quarantine.Progress
	Running bool      `json:"running"`
	Since   time.Time `json:"since"`
	Problem string    `json:"problem,omitempty"` // how it ended, where it did not end well
}

// job is a batch under way, or that has ended.
type job struct {
	done chan struct{}

	mu      sync.Mutex
	at      Progress
	stopped bool
}

func (j *job) halt() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
}

func (j *job) progress() Progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.at
}

// watch is told how far the database is, and says whether it may go on.
func (j *job) watch(p quarantine.Progress) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at.Progress = p
	return !j.stopped
}

func (j *job) end(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at.Running = false
	if err != nil {
		j.at.Problem = err.Error()
	}
	close(j.done)
}

// maxJobs bounds the batches under way.
const maxJobs = 20

// batch begins to carry out a plan in many transactions, or goes on with it. When all
// rows are held the lever is pulled, which then finds it done.
func (d *Desk) batch(ctx context.Context, k Kept, reason string, by incident.Actor) error {
	db, err := d.Database(k.Plan.Database)
	if err != nil {
		return err
	}
	j := &job{done: make(chan struct{}), at: Progress{Progress: quarantine.Progress{Of: k.Plan.Rows}, Running: true, Since: d.o.Now().UTC()}}
	d.mu.Lock()
	old := d.jobs[k.Plan.ID]
	busy := old != nil && old.progress().Running
	maps.DeleteFunc(d.jobs, func(id string, j *job) bool { return id != k.Plan.ID && !j.progress().Running })
	if !busy && (old != nil || len(d.jobs) < maxJobs) {
		d.jobs[k.Plan.ID] = j
	}
	full := d.jobs[k.Plan.ID] != j
	d.mu.Unlock()
	switch {
	case busy:
		return nil
	case full:
		return fault.New(fault.Conflict, "too many batches are under way").WithHint("wait for one to end")
	}
	text := fmt.Sprintf("%s began, in batches, so not atomic. Reason: %s", lowerFirst(k.Title), reason)
	if err := d.o.Acts.Note(ctx, k.Site, text, by); err != nil {
		d.o.Logger.Warn("a batch is not in the timeline", "plan", k.Plan.ID, "cause", err)
	}
	go d.run(context.WithoutCancel(ctx), db, k, j, reason, by) // ends with the batch, or by halt
	return nil
}

func (d *Desk) run(ctx context.Context, db quarantine.Database, k Kept, j *job, reason string, by incident.Actor) {
	op, err := db.Apply(ctx, k.Plan, j.watch)
	if err == nil && op.State == quarantine.Held {
		if _, err = d.o.Acts.Pull(ctx, k.Site, k.Lever, reason, by); err == nil {
			_, err = d.change(k.Plan.ID, func(k *Kept) error { k.Done = d.o.Now().UTC(); return nil })
		}
	} else {
		text := fmt.Sprintf("The batch %s stands at %d of %s.", k.Plan.ID, op.Rows, rows(k.Plan.Rows))
		if err != nil {
			text = fmt.Sprintf("The batch %s came to a halt: %s.", k.Plan.ID, err)
		}
		if nerr := d.o.Acts.Note(ctx, k.Site, text+" It goes on with: "+k.HowToApply(), by); nerr != nil {
			d.o.Logger.Warn("a batch's halt is not in the timeline", "plan", k.Plan.ID, "cause", nerr)
		}
	}
	j.end(err)
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// Stop ends a batch after the transaction under way.
func (d *Desk) Stop(id string) error {
	d.mu.Lock()
	j := d.jobs[id]
	d.mu.Unlock()
	if j == nil || !j.progress().Running {
		return fault.New(fault.Conflict, "no batch of the plan %q is under way", id).WithHint("see what is held with: lifeboat data held")
	}
	j.halt()
	return nil
}

// Held is one operation with the database that holds it.
type Held struct {
	Database  string               `json:"database"`
	Site      string               `json:"site"`
	Operation quarantine.Operation `json:"operation"`
}

// Holding is what all databases hold, newest first; problems are of those that could not
// be asked.
type Holding struct {
	Held     []Held            `json:"held"`
	Problems map[string]string `json:"problems,omitempty"` // by database
}

// Held asks every database what it holds.
func (d *Desk) Held(ctx context.Context) Holding {
	out := Holding{Held: []Held{}, Problems: map[string]string{}}
	for _, s := range d.o.Sources {
		db, err := d.Database(s.Name)
		var all []quarantine.Operation
		if err == nil {
			all, err = db.Held(ctx)
		}
		if err != nil {
			out.Problems[s.Name] = err.Error()
			continue
		}
		for _, op := range all {
			out.Held = append(out.Held, d.held(s, op))
		}
	}
	slices.SortStableFunc(out.Held, func(a, b Held) int { return b.Operation.Started.Compare(a.Operation.Started) })
	return out
}

// held is an operation with why it was done: the database knows what the plan was made
// for, and we what was said when it was carried out.
func (d *Desk) held(s Source, op quarantine.Operation) Held {
	if k, err := d.Kept(op.ID); err == nil {
		op.Reason = cmp.Or(k.Reason, op.Reason)
	}
	return Held{Database: s.Name, Site: s.Site, Operation: op}
}

// Find says which database holds an operation.
func (d *Desk) Find(ctx context.Context, id string) (Held, quarantine.Database, error) {
	if !idPattern.MatchString(id) {
		return Held{}, nil, fault.New(fault.Invalid, "%q is not the id of an operation", id).WithHint("see them with: lifeboat data held")
	}
	var problem error
	for _, s := range d.o.Sources {
		db, err := d.Database(s.Name)
		var op quarantine.Operation
		if err == nil {
			op, err = db.Look(ctx, id)
		}
		switch {
		case err != nil:
			problem = err
		case op.State != quarantine.Absent && op.State != "":
			return d.held(s, op), db, nil
		}
	}
	if problem != nil {
		return Held{}, nil, problem
	}
	return Held{}, nil, fault.New(fault.NotFound, "nothing is held under %q", id).WithHint("see what is with: lifeboat data held")
}

// Verify looks whether an operation is as it should be, and whether the harm is gone: by
// the check and by the query that show it, as far as they are configured.
func (d *Desk) Verify(ctx context.Context, id string) (quarantine.Verdict, error) {
	h, db, err := d.Find(ctx, id)
	if err != nil {
		return quarantine.Verdict{}, err
	}
	v, err := db.Verify(ctx, id)
	if err != nil {
		return v, err
	}
	s, err := d.source(h.Database)
	if err != nil {
		return v, err
	}
	v.Unverified = true
	for _, c := range s.Lookout.symptoms(ctx) {
		v.Checks = append(v.Checks, c)
		v.OK, v.Unverified = v.OK && (c.OK || c.Unknown), v.Unverified && c.Unknown
	}
	return v, nil
}

// symptomFor is how long looking whether the harm is gone may take.
const symptomFor = 5 * time.Second

// symptoms asks whatever shows the harm.
func (l Lookout) symptoms(ctx context.Context) (out []quarantine.Check) {
	ctx, cancel := context.WithTimeout(ctx, symptomFor)
	defer cancel()
	add := func(a find.Answer, err error) {
		c := quarantine.Check{Name: "symptom", OK: err == nil && !a.Harm, Unknown: err != nil}
		switch {
		case err != nil:
			c.Detail = "Whether the harm is gone could not be seen: " + strings.TrimSuffix(err.Error(), ".") + "."
		case a.Harm:
			c.Detail = "The harm is still there: " + a.Says + ". It is not these rows, or not only these."
		default:
			c.Detail = "The harm is gone: " + a.Says + "."
		}
		out = append(out, c)
	}
	if l.Symptom != nil {
		add(l.Symptom(ctx))
	}
	if l.Target.Query != "" && l.Lend != nil {
		var a find.Answer
		err := l.Lend(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
			a, err = find.AskQuery(ctx, conn, l.Target)
			return err
		})
		add(a, err)
	}
	if len(out) == 0 {
		out = append(out, quarantine.Check{Name: "symptom", Unknown: true, Detail: "Nobody has looked whether the harm is gone: write symptom or symptom_query under the database, and lifeboat does."})
	}
	return out
}

// Preview says what Restore would do. It changes nothing.
func (d *Desk) Preview(ctx context.Context, b quarantine.Back) (quarantine.Preview, error) {
	_, db, err := d.Find(ctx, b.Operation)
	if err != nil {
		return quarantine.Preview{}, err
	}
	return db.Preview(ctx, b)
}

// Restore puts rows back. All of them as they were, while the lever is pulled, is a
// put-back like any other; some of them, or corrected ones, are put back here and told to
// the timeline.
func (d *Desk) Restore(ctx context.Context, b quarantine.Back, reason string, by incident.Actor) (quarantine.Returned, error) {
	h, db, err := d.Find(ctx, b.Operation)
	if err != nil {
		return quarantine.Returned{}, err
	}
	if err := incident.May(incident.ProposeFix{}, by); err != nil {
		return quarantine.Returned{}, err
	}
	if b.ID == "" {
		b.ID = strings.ToLower(d.o.NewID())
	}
	b.By = by.Name
	if err := d.o.Acts.Note(ctx, h.Site, aboutToRestore(b, reason), by); err != nil {
		d.o.Logger.Warn("a restore is not in the timeline", "operation", b.Operation, "cause", err)
	}
	r, err := db.Restore(ctx, b, nil)
	after := afterRestore(b, r)
	if err != nil {
		after = fmt.Sprintf("Rows of %s could not be put back: %s.", b.Operation, err)
	}
	d.told(ctx, h, after, by)
	return r, err
}

func aboutToRestore(b quarantine.Back, reason string) string {
	what := "all of it"
	if len(b.Roots) > 0 {
		what = rows(len(b.Roots)) + " with what hangs on it"
	}
	if n := len(b.Edits); n > 0 {
		what += fmt.Sprintf(", %s corrected", rows(n))
	}
	return strings.TrimSpace(fmt.Sprintf("Puts back what %s holds: %s. %s", b.Operation, what, reason))
}

func afterRestore(b quarantine.Back, r quarantine.Returned) string {
	are := "are"
	if r.Rows == 1 {
		are = "is"
	}
	text := fmt.Sprintf("%s of %s %s back", rows(r.Rows), b.Operation, are)
	if r.Edited > 0 {
		text += fmt.Sprintf(", %d of them corrected", r.Edited)
	}
	if n := len(r.Skipped); n > 0 {
		text += fmt.Sprintf("; %d could not come back and stay held", n)
	}
	if left := r.Operation.Waiting(); left > 0 {
		text += "; " + quarantine.Count(left, "is", "are") + " still held"
	}
	return text + "."
}

// told writes what came of an act into the timeline, and lets the engine see what has
// become of the lever.
func (d *Desk) told(ctx context.Context, h Held, text string, by incident.Actor) {
	ctx = context.WithoutCancel(ctx)
	if err := d.o.Acts.Note(ctx, h.Site, text, by); err != nil {
		d.o.Logger.Warn("what came of an act on held rows is not in the timeline", "operation", h.Operation.ID, "cause", err)
	}
	if err := d.o.Acts.Look(ctx, h.Site, leverPrefix+h.Operation.ID); err != nil {
		d.o.Logger.Warn("the lever of held rows was not looked at", "operation", h.Operation.ID, "cause", err)
	}
}

// Discard gives held rows up: they can't come back any more. The copies stay until they
// are purged.
func (d *Desk) Discard(ctx context.Context, operation string, roots []quarantine.Key, reason string, by incident.Actor) (quarantine.Operation, error) {
	h, db, err := d.Find(ctx, operation)
	if err != nil {
		return quarantine.Operation{}, err
	}
	if err := incident.May(incident.ParkLever{}, by); err != nil {
		return h.Operation, err
	}
	if strings.TrimSpace(reason) == "" {
		return h.Operation, fault.New(fault.Invalid, "say why the rows are given up").At("reason").WithHint("one sentence")
	}
	op, err := db.Discard(ctx, quarantine.Drop{Operation: operation, ID: strings.ToLower(d.o.NewID()), By: by.Name, Roots: roots})
	if err != nil {
		return h.Operation, err
	}
	d.told(ctx, h, fmt.Sprintf("%s of %s were given up: %s", rows(op.Discarded-h.Operation.Discarded), operation, reason), by)
	return op, nil
}

// Asked is a purge that one person has asked for.
type Asked struct {
	By string    `json:"by"`
	ID string    `json:"-"`
	At time.Time `json:"at"`
}

// askedFor is how long a purge waits for the second person.
const askedFor = 24 * time.Hour

// Purge deletes the copies of an operation for ever. Two people have to ask for it within
// a day: the first call says that a second one is awaited, with done false.
func (d *Desk) Purge(ctx context.Context, operation string, by incident.Actor) (op quarantine.Operation, done bool, err error) {
	h, db, err := d.Find(ctx, operation)
	if err != nil {
		return op, false, err
	}
	if err := incident.May(incident.ParkLever{}, by); err != nil {
		return h.Operation, false, err
	}
	if n := h.Operation.Waiting(); n > 0 { // better said to the first person than to the second
		return h.Operation, false, fault.New(fault.Refused, "%s still held", quarantine.Count(n, "row of operation "+operation+" is", "rows of operation "+operation+" are")).At("operation").WithHint("put them back or discard them first")
	}
	d.mu.Lock()
	first, asked := d.purge[operation]
	fresh := asked && d.o.Now().Sub(first.At) < askedFor
	if !fresh || same(first.ID, first.By, by) {
		if !fresh {
			d.purge[operation] = Asked{By: by.Name, ID: by.ID, At: d.o.Now().UTC()}
		}
		d.mu.Unlock()
		return h.Operation, false, nil
	}
	delete(d.purge, operation)
	d.mu.Unlock()
	op, err = db.Purge(ctx, quarantine.Drop{Operation: operation, ID: strings.ToLower(d.o.NewID()), By: first.By, Second: by.Name})
	if err != nil {
		return h.Operation, false, err
	}
	d.told(ctx, h, fmt.Sprintf("The copies of %s were purged; %s had asked for it.", operation, first.By), by)
	return op, true, nil
}
