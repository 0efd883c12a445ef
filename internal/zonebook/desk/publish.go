package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonebook"
)

// What is published: a draft, an earlier revision, or what the configuration says.
type What struct {
	Kind zonebook.Kind // FromDraft unless said
	Of   int           // of FromBefore: the revision whose records come back; -1: the one before
}

// Plan says what publishing would do. Nothing is changed by it.
func (d *Desk) Plan(ctx context.Context, apex string, who zonebook.Who, what What) (zonebook.Plan, error) {
	src, err := d.source(apex)
	if err != nil {
		return zonebook.Plan{}, err
	}
	p, _, err := d.plan(ctx, src, who, what)
	return p, err
}

// plan makes a plan, and says which state of the draft it is made of.
func (d *Desk) plan(ctx context.Context, src zone.Source, who zonebook.Who, what What) (p zonebook.Plan, draft store.Cond, err error) {
	head := d.o.Book.Head(src.Apex)
	switch what.Kind {
	case "", zonebook.FromDraft:
		x, modified, err := d.draft(ctx, src.Apex, who)
		if err != nil {
			return p, draft, err
		}
		f, err := d.facts(ctx, src, x.Began)
		if err != nil {
			return p, draft, err
		}
		return f.Plan(x.Changes), store.Cond{Key: keyOf(src.Apex, who), Modified: modified}, nil
	case zonebook.FromFile:
		f, err := d.facts(ctx, src, head.Number)
		return f.PlanText(zonebook.TextOf(d.o.Book.source(src.Apex)), zonebook.FromFile, 0), draft, err
	case zonebook.FromBefore:
		return d.planBack(ctx, src, head, what.Of)
	}
	return p, draft, fault.New(fault.Invalid, "%.40q can't be published", what.Kind).WithHint("say draft, undo or configuration")
}

func (d *Desk) planBack(ctx context.Context, src zone.Source, head Head, of int) (p zonebook.Plan, draft store.Cond, err error) {
	if of < 0 {
		of = head.Number - 1
	}
	if head.Number == 0 || of < 0 || of >= head.Number {
		return p, draft, fault.New(fault.NotFound, "zone %s has no revision before this one that could come back", src.Apex).WithHint("see what there is: lifeboat zone history %s", src.Apex)
	}
	text, err := readText(ctx, d.o.Store, src.Apex, of)
	if err != nil {
		return p, draft, err
	}
	f, err := d.facts(ctx, src, head.Number)
	return f.PlanText(text, zonebook.FromBefore, of), draft, err
}

// Order asks for a publishing.
type Order struct {
	What
	Hash   string // of the plan that was read
	Accept bool   // what the plan asks for is accepted
	Note   string // for the history
}

// Published is what came of it.
type Published struct {
	Revision zonebook.Revision `json:"revision"`
	Outcome  Outcome           `json:"outcome"`
}

// Publish publishes what a plan says: it is written down, served under the next serial,
// and then looked at from outside. A plan that is not the one that would be made now is
// a fault.Conflict; the draft stays.
func (d *Desk) Publish(ctx context.Context, apex string, who zonebook.Who, o Order) (Published, error) {
	var out Published
	if err := d.writable(); err != nil {
		return out, err
	}
	if o.Note = strings.TrimSpace(o.Note); utf8.RuneCountInString(o.Note) > zonebook.MaxNote {
		return out, fault.New(fault.Invalid, "the note has more than %d characters", zonebook.MaxNote).At("note").WithHint("say it shorter")
	}
	d.publishing.Lock()
	defer d.publishing.Unlock()
	src, err := d.source(apex)
	if err != nil {
		return out, err
	}
	p, draft, err := d.plan(ctx, src, who, o.What)
	if err != nil {
		return out, err
	}
	if err := allowed(p, o); err != nil {
		return out, err
	}
	began := d.o.Now()
	out.Revision, err = d.publish(ctx, src, who, p, o, draft)
	if err != nil {
		return out, err
	}
	d.o.Tell(ctx, src.Apex, out.Revision, who.Name)
	out.Outcome = d.observe(ctx, src.Apex, out.Revision, p, began)
	return out, nil
}

// allowed says whether a plan may be published.
func allowed(p zonebook.Plan, o Order) error {
	const again = "look at the plan again; nothing was published, and nothing of the draft is lost"
	switch {
	case len(p.Refused) > 0:
		f := fault.New(fault.Refused, "%s", strings.TrimSuffix(p.Refused[0].Text, "."))
		if p.Refused[0].Hint != "" {
			f = f.WithHint("%s", p.Refused[0].Hint)
		}
		return f
	case len(p.Lines) == 0:
		return fault.New(fault.Conflict, "there is nothing to publish: the zone is like that already").WithHint("change a record first")
	case o.Hash == "":
		return fault.New(fault.Invalid, "which plan is to be published is not said").At("hash").WithHint("look at the plan, and name its hash")
	case o.Hash != p.Hash:
		return fault.New(fault.Conflict, "the plan is another one by now: the zone or the draft has changed since you looked").WithHint("%s", again)
	case len(p.Asks) > 0 && !o.Accept:
		return fault.New(fault.Refused, "%s", strings.TrimSuffix(p.Asks[0], ".")).At("accept").WithHint("if that is meant, say so: accept what the plan asks for")
	}
	return nil
}

// publish writes a revision down and has it served.
func (d *Desk) publish(ctx context.Context, src zone.Source, who zonebook.Who, p zonebook.Plan, o Order, draft store.Cond) (zonebook.Revision, error) {
	head := d.o.Book.Head(src.Apex)
	file := d.o.Book.source(src.Apex)
	now := d.o.Now().UTC()
	r := zonebook.Revision{
		Number: head.Number + 1, Kind: p.Kind, At: now, By: who, Note: o.Note, Of: p.Of, Hash: p.After.Hash(), Plan: p.Hash,
		Records: p.Records, Summary: p.Summary, Lines: p.Said(),
	}
	next := Head{Number: r.Number, Hash: r.Hash, File: head.File}
	if head.Number == 0 || p.Kind == zonebook.FromFile {
		next.File = zonebook.TextOf(file).Hash()
	}
	after := p.After.In(src)
	if r.Hash == zonebook.TextOf(file).Hash() {
		after.File, after.Line = file.File, file.Line
	}
	conds := []store.Cond{d.o.Book.cond(src.Apex)}
	writes := func(serial uint32) []store.Write {
		r.Serial = serial
		w := []store.Write{written(keyHead+src.Apex, next), written(numbered(keyRevision, src.Apex, r.Number), r)}
		w = append(w, textWrites(src.Apex, r.Number, p.After)...)
		if head.Number == 0 { // what there was before is the first of the book
			first := zonebook.Revision{Kind: zonebook.FromFile, At: now, By: zonebook.Who{Name: "the configuration"}, Hash: zonebook.TextOf(src).Hash(), Summary: "As the configuration has it."}
			w = append(w, written(numbered(keyRevision, src.Apex, 0), first))
			w = append(w, textWrites(src.Apex, 0, zonebook.TextOf(src))...)
		}
		if p.Kind == zonebook.FromDraft {
			w = append(w, store.Write{Key: draft.Key, Delete: true})
		}
		return w
	}
	var kept store.KV // the draft, should answer refuse what comes of it
	if p.Kind == zonebook.FromDraft {
		var err error
		if kept, err = d.o.Store.Get(ctx, draft.Key); err != nil {
			return r, err
		}
		conds = append(conds, draft)
	}
	_, unsure, back, err := d.o.Publish(ctx, after, p.Records, conds, writes)
	switch {
	case isConflict(err):
		return r, fault.New(fault.Conflict, "somebody else has published, or your draft has changed, at the same moment").WithHint("look at the plan again; nothing of the draft is lost")
	case back:
		return r, errors.Join(err, d.giveUp(ctx, src, r, next.File, kept))
	case err != nil && !unsure:
		return r, err
	}
	if err := d.o.Book.put(ctx, d.o.Store, src.Apex, next, after); err != nil {
		return r, err
	}
	d.forgetTexts(ctx, src.Apex, r.Number)
	d.o.Logger.Info("records of a zone were published", "zone", src.Apex, "revision", r.Number, "kind", string(r.Kind), "by", who.Name, "serial", r.Serial)
	return r, nil
}

// giveUp writes down that answer has refused a revision: the zone is served as it was,
// and the book goes on with what it was.
func (d *Desk) giveUp(ctx context.Context, src zone.Source, r zonebook.Revision, file string, draft store.KV) error {
	back := zonebook.Revision{
		Number: r.Number + 1, Kind: zonebook.FromBefore, At: r.At, By: zonebook.Who{Name: "lifeboat"}, Of: r.Number - 1, Hash: zonebook.TextOf(src).Hash(),
		Summary: fmt.Sprintf("Answer refused revision %d, and goes on with what it had.", r.Number), Serial: r.Serial,
	}
	head := Head{Number: back.Number, Hash: back.Hash, File: file}
	w := append([]store.Write{written(keyHead+src.Apex, head), written(numbered(keyRevision, src.Apex, back.Number), back)}, textWrites(src.Apex, back.Number, zonebook.TextOf(src))...)
	if draft.Key != "" {
		w = append(w, store.Write{Key: draft.Key, Value: draft.Value})
	}
	_, err := d.o.Store.Txn(ctx, nil, w)
	if err == nil {
		err = d.o.Book.put(ctx, d.o.Store, src.Apex, head, src)
	}
	d.o.Logger.Error("answer refused records that were to be published; it goes on with those that it has", "zone", src.Apex, "by", r.By.Name, "revision", r.Number)
	return err
}

// forgetTexts drops the text of a revision that is too old to come back; its words stay.
func (d *Desk) forgetTexts(ctx context.Context, apex string, n int) {
	if n < maxTexts {
		return
	}
	kvs, _, err := d.o.Store.List(ctx, numbered(keyText, apex, n-maxTexts)+"/")
	if err != nil || len(kvs) == 0 {
		return
	}
	var w []store.Write
	for _, kv := range kvs {
		w = append(w, store.Write{Key: kv.Key, Delete: true})
	}
	if _, err := d.o.Store.Txn(ctx, nil, w); err != nil {
		d.o.Logger.Warn("an old revision's text is kept longer than it need be", "zone", apex, "cause", err)
	}
}

// Keep notes that a person has seen the file and what is in force side by side, and that
// the latter stays.
func (d *Desk) Keep(ctx context.Context, apex string, who zonebook.Who) error {
	src, err := d.source(apex)
	if err != nil {
		return err
	}
	if err := d.writable(); err != nil {
		return err
	}
	d.publishing.Lock()
	defer d.publishing.Unlock()
	head := d.o.Book.Head(src.Apex)
	if s := d.o.Book.Standing(src.Apex); s.State != Parted {
		return fault.New(fault.Conflict, "the configuration's records of %s have not changed since", src.Apex).WithHint("there is nothing to decide")
	}
	head.File = zonebook.TextOf(d.o.Book.source(src.Apex)).Hash()
	if _, err := d.o.Store.Txn(ctx, []store.Cond{d.o.Book.cond(src.Apex)}, []store.Write{written(keyHead+src.Apex, head)}); err != nil {
		return err
	}
	d.o.Logger.Info("the published records of a zone stay in force although the file has others", "zone", src.Apex, "by", who.Name)
	return d.o.Book.put(ctx, d.o.Store, src.Apex, head, src)
}

// Entry is one revision of the history, with what was seen after it.
type Entry struct {
	zonebook.Revision
	Outcome *Outcome `json:"outcome,omitempty"`
}

// MaxHistory is how many revisions a history tells of.
const MaxHistory = 200

// History is a zone's revisions, newest first.
func (d *Desk) History(ctx context.Context, apex string) ([]Entry, error) {
	src, err := d.source(apex)
	if err != nil {
		return nil, err
	}
	head := d.o.Book.Head(src.Apex)
	out := []Entry{}
	for n := head.Number; n >= 0 && len(out) < MaxHistory; n-- {
		r, err := d.revision(ctx, src.Apex, n)
		if err != nil {
			return nil, err
		}
		e := Entry{Revision: r}
		var o Outcome
		if d.get(ctx, numbered(keyOutcome, src.Apex, n), &o) {
			e.Outcome = &o
		}
		out = append(out, e)
	}
	return out, nil
}

// Revised gives one revision with its text.
func (d *Desk) Revised(ctx context.Context, apex string, n int) (Entry, zonebook.Text, error) {
	src, err := d.source(apex)
	if err != nil {
		return Entry{}, zonebook.Text{}, err
	}
	head := d.o.Book.Head(src.Apex)
	if n < 0 || n > head.Number {
		return Entry{}, zonebook.Text{}, fault.New(fault.NotFound, "zone %s has no revision %d", src.Apex, n).WithHint("see them with: lifeboat zone history %s", src.Apex)
	}
	r, err := d.revision(ctx, src.Apex, n)
	if err != nil {
		return Entry{}, zonebook.Text{}, err
	}
	e := Entry{Revision: r}
	var o Outcome
	if d.get(ctx, numbered(keyOutcome, src.Apex, n), &o) {
		e.Outcome = &o
	}
	if head.Number == 0 {
		return e, zonebook.TextOf(d.o.Book.source(src.Apex)), nil
	}
	t, err := readText(ctx, d.o.Store, src.Apex, n)
	return e, t, err
}

// words say what was seen.
func words(seen []Seen, took time.Duration) string {
	n := 0
	for _, s := range seen {
		if s.New {
			n++
		}
	}
	switch {
	case len(seen) == 0:
		return "It is published. No name server is configured to ask, so nobody has looked at what is answered."
	case n == len(seen):
		return fmt.Sprintf("Answered by %d of %d name servers after %d ms.", n, len(seen), took.Milliseconds())
	case n == 0:
		return fmt.Sprintf("It is published, but we can't tell whether it is answered: none of %d name servers said so within %s.", len(seen), observeFor)
	}
	return fmt.Sprintf("Answered by %d of %d name servers so far; the others were asked for %s.", n, len(seen), observeFor)
}
