package desk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonebook"
	"lifeboat/internal/zonediff"
)

// Row is one record as people look at it.
type Row struct {
	Name  string `json:"name" doc:"absolute"`
	Type  string `json:"type"`
	TTL   uint32 `json:"ttl"`
	Data  string `json:"data"`
	Mark  Mark   `json:"mark,omitempty" doc:"what the draft does to it"`
	Fixed string `json:"fixed,omitempty" doc:"why it can't be edited"`
}

// Mark says what a draft does to a record.
type Mark string

// The marks.
const (
	MarkNew  Mark = "new"
	MarkGone Mark = "gone"
	MarkTTL  Mark = "ttl" // kept for another time
)

// Sheet is one zone with somebody's draft on it.
type Sheet struct {
	View
	Draft zonebook.Draft `json:"draft"`
	Rows  []Row          `json:"rows"`
	Total int            `json:"total" doc:"of the rows, before they were filtered and cut off"`
	Cut   bool           `json:"cut,omitempty" doc:"there are more rows than are told: filter them"`
}

// MaxRows is how many rows a Sheet has at most.
const MaxRows = 2000

// Sheet gives a zone's records as they would be with a draft published. Rows are those
// with the filter's words in them, all of them where it is empty.
func (d *Desk) Sheet(ctx context.Context, apex string, who zonebook.Who, filter string) (Sheet, error) {
	var out Sheet
	src, err := d.source(apex)
	if err != nil {
		return out, err
	}
	if out.View, err = d.view(ctx, src); err != nil {
		return out, err
	}
	if out.Draft, _, err = d.draft(ctx, src.Apex, who); err != nil {
		return out, err
	}
	f, err := d.facts(ctx, src, out.Draft.Began)
	if err != nil {
		return out, err
	}
	rows, err := f.Rows(out.Draft.Changes)
	if err != nil {
		return out, err
	}
	out.Rows = []Row{}
	words := strings.Fields(strings.ToLower(filter))
	for _, r := range rows {
		if d.o.Hidden(r.Name) {
			continue
		}
		out.Total++
		if !fitsWords(r, words) {
			continue
		}
		if len(out.Rows) == MaxRows {
			out.Cut = true
			continue
		}
		out.Rows = append(out.Rows, Row{r.Name, r.Type, r.TTL, r.Data, Mark(r.Mark), r.Fixed})
	}
	slices.SortStableFunc(out.Rows, func(a, b Row) int { return cmp.Or(zonediff.ByTree(a.Name, b.Name)) })
	return out, nil
}

func fitsWords(r zonebook.Row, words []string) bool {
	text := strings.ToLower(strings.TrimSuffix(r.Name, ".") + " " + r.Type + " " + r.Data)
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// keyOf is where somebody's draft is kept: ids may hold any sign.
func keyOf(apex string, who zonebook.Who) string {
	sum := sha256.Sum256([]byte(who.ID))
	return keyDraft + apex + "/" + hex.EncodeToString(sum[:12])
}

// draft reads somebody's draft; one that was not begun yet begins on the revision that
// is in force.
func (d *Desk) draft(ctx context.Context, apex string, who zonebook.Who) (zonebook.Draft, store.Revision, error) {
	out := zonebook.Draft{Zone: apex, By: who, Began: d.o.Book.Head(apex).Number, Changes: []zonebook.Change{}}
	kv, err := d.o.Store.Get(ctx, keyOf(apex, who))
	if fault.KindOf(err) == fault.NotFound {
		return out, 0, nil
	}
	if err != nil {
		return out, 0, err
	}
	err = json.Unmarshal(kv.Value, &out)
	out.By.ID = who.ID
	return out, kv.Modified, err
}

// drafts are all drafts of a zone, newest first.
func (d *Desk) drafts(ctx context.Context, apex string) ([]zonebook.Draft, error) {
	kvs, _, err := d.o.Store.List(ctx, keyDraft+apex+"/")
	if err != nil {
		return nil, err
	}
	var out []zonebook.Draft
	for _, kv := range kvs {
		var x zonebook.Draft
		if err := json.Unmarshal(kv.Value, &x); err == nil && len(x.Changes) > 0 {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b zonebook.Draft) int { return b.At.Compare(a.At) })
	return out, nil
}

// Draft is what somebody has changed in a zone and not published.
func (d *Desk) Draft(ctx context.Context, apex string, who zonebook.Who) (zonebook.Draft, error) {
	src, err := d.source(apex)
	if err != nil {
		return zonebook.Draft{}, err
	}
	out, _, err := d.draft(ctx, src.Apex, who)
	return out, err
}

// Change adds changes to somebody's draft: all of them, or none.
func (d *Desk) Change(ctx context.Context, apex string, who zonebook.Who, changes ...zonebook.Change) (zonebook.Draft, error) {
	return d.redraft(ctx, apex, who, func(f zonebook.Facts, x zonebook.Draft) (zonebook.Draft, error) {
		next, err := x.With(f, changes...)
		if err != nil {
			return x, err
		}
		if before := f.Plan(x.Changes); len(before.Refused) > 0 {
			return next, nil // what is wrong already is told by the plan
		}
		return next, f.Misfit(next.Changes, len(x.Changes))
	})
}

// Paste adds the records of a piece of a zone file to somebody's draft.
func (d *Desk) Paste(ctx context.Context, apex string, who zonebook.Who, text string, replace bool) (zonebook.Draft, error) {
	return d.redraft(ctx, apex, who, func(f zonebook.Facts, x zonebook.Draft) (zonebook.Draft, error) {
		changes, err := zonebook.Paste(f, text, replace)
		if err != nil {
			return x, err
		}
		return x.With(f, changes...)
	})
}

// TakeOut takes one change out of somebody's draft, counted from 1; 0 throws all of it away.
func (d *Desk) TakeOut(ctx context.Context, apex string, who zonebook.Who, n int) (zonebook.Draft, error) {
	return d.redraft(ctx, apex, who, func(_ zonebook.Facts, x zonebook.Draft) (zonebook.Draft, error) {
		if n == 0 {
			x.Changes = []zonebook.Change{}
			return x, nil
		}
		return x.Without(n - 1)
	})
}

// redraft changes somebody's draft in one step.
func (d *Desk) redraft(ctx context.Context, apex string, who zonebook.Who, f func(zonebook.Facts, zonebook.Draft) (zonebook.Draft, error)) (zonebook.Draft, error) {
	src, err := d.source(apex)
	if err != nil {
		return zonebook.Draft{}, err
	}
	if err := d.writable(); err != nil {
		return zonebook.Draft{}, err
	}
	d.drafting.Lock()
	defer d.drafting.Unlock()
	before, modified, err := d.draft(ctx, src.Apex, who)
	if err != nil {
		return before, err
	}
	facts, err := d.facts(ctx, src, before.Began)
	if err != nil {
		return before, err
	}
	next, err := f(facts, before)
	if err != nil {
		return before, err
	}
	if len(before.Changes) == 0 {
		next.Began = facts.Number
	}
	next.At, next.By = d.o.Now().UTC().Truncate(time.Second), who
	key := keyOf(src.Apex, who)
	write := written(key, next)
	if len(next.Changes) == 0 {
		write = store.Write{Key: key, Delete: true}
	}
	if _, err := d.o.Store.Txn(ctx, []store.Cond{{Key: key, Modified: modified}}, []store.Write{write}); err != nil {
		if isConflict(err) {
			return before, fault.New(fault.Conflict, "your draft was changed at the same moment").WithHint("look at it, and try again")
		}
		return before, err
	}
	return next, nil
}

// Text is what is in force, as the text of a zone file.
func (d *Desk) Text(apex string) (string, error) {
	src, err := d.source(apex)
	if err != nil {
		return "", err
	}
	if len(src.Includes) == 0 {
		return src.Text, nil
	}
	z, err := zone.Parse(src)
	if err != nil {
		return "", err
	}
	return z.Text(), nil
}
