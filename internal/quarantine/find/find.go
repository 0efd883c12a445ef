// Package find leads from an error to a row: it proposes rows that may do the harm,
// each with its reasons in words, and narrows them down until one is left that the
// harm goes away without.
//
// Candidates come from what the evidence mentions (numbers and UUIDs that are keys
// of allow-listed tables), from the newest rows, and from rows that differ in shape
// from the others. They are narrowed down by a symptom query, by each row's own
// page, or by taking a half away and putting it back.
//
// The symptom query is asked in one read-only snapshot, with the candidates hidden
// by common table expressions of the tables' names in front of it: nothing is
// deleted, no lock taken, no trigger fired, and a right to read is enough. What the
// query reads through a view or a function is not hidden so; Rehearse (package
// quarantine) deletes in a transaction that is rolled back, for those who need it.
//
// It changes nothing but in ByMoving, which acts through quarantine.Database. It
// looks at contents of rows in memory and reports keys and reasons, never contents.
//
// Concurrency: functions of their arguments; a *sql.Conn belongs to one call.
package find

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// Target is the database that is searched.
type Target struct {
	Name   string
	Kind   string            // postgres, mariadb, mysql, sqlite
	Tables []string          // nothing else is looked at
	Pages  map[string]string // table → path with {column}
	Query  string            // the symptom query; "" = none
}

// Evidence is what is known of the failure. All of it is bounded by Clip.
type Evidence struct {
	Paths  []string // of pages that fail
	Bodies []string // what they answer
	Logs   []string // lines since it began
	Usual  []string // lines from before: what is said there, too, is not new
}

// The bounds of a search.
const (
	MaxText       = 1 << 20 // bytes of evidence that are read
	MaxCandidates = 200
	maxMentions   = 500
	newest        = 20 // rows of each table
	sample        = 2000
	maxColumns    = 60
	maxCell       = 512 // characters of a cell that are looked at
)

// Candidate is a row that may do the harm.
type Candidate struct {
	Table string         `json:"table"`
	Key   quarantine.Key `json:"key"`
	Why   []string       `json:"why"` // reasons, the strongest first
	Score float64        `json:"score"`
	Page  string         `json:"page,omitempty"` // where it shows by itself

	table   *table
	weights []float64 // of Why
}

// Name is the row in words: "row 4711 of orders".
func (c Candidate) Name() string { return "row " + strings.Join(c.Key, ", ") + " of " + c.Table }

// Proposal is what a search came to.
type Proposal struct {
	Candidates []Candidate `json:"candidates"` // the likeliest first
	Notices    []string    `json:"notices"`    // what could not be looked at, and why
}

// Propose finds candidates. It only reads.
func Propose(ctx context.Context, conn *sql.Conn, t Target, e Evidence) (Proposal, error) {
	d, err := dialectOf(t.Kind)
	if err != nil {
		return Proposal{}, err
	}
	p := Proposal{Candidates: []Candidate{}, Notices: []string{}}
	found := pile{byRow: map[string]*Candidate{}}
	mentions := Mentions(e)
	err = d.snapshot(ctx, conn, func(q asker) error {
		if err := q.pin(ctx); err != nil {
			return err
		}
		for _, name := range t.Tables {
			tab, err := d.describe(ctx, q, name)
			if err != nil {
				return err
			}
			if tab.notice != "" {
				p.Notices = append(p.Notices, tab.notice)
				continue
			}
			if err := look(ctx, q, d, tab, mentions, &found, &p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Proposal{}, fault.New(fault.Unavailable, "can't look for rows: %s", plain(err)).At(t.Name).WithHint("lifeboat data doctor says what is missing")
	}
	p.Candidates = found.ranked(t.Pages)
	return p, nil
}

// look searches one table.
func look(ctx context.Context, q asker, d dialect, t *table, mentions []Mention, found *pile, p *Proposal) error {
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"what is mentioned", func() error { return mentioned(ctx, q, d, t, mentions, found) }},
		{"the newest rows", func() error { return latest(ctx, q, d, t, found) }},
		{"shapes", func() error { return odd(ctx, q, d, t, found) }},
	} {
		err := q.guarded(ctx, part.do)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			p.Notices = append(p.Notices, fmt.Sprintf("%s of %s could not be looked at: %s.", part.name, t.name, plain(err)))
		}
	}
	return nil
}

// pile gathers reasons by row.
type pile struct{ byRow map[string]*Candidate }

func (f *pile) add(t *table, key quarantine.Key, score float64, why string) {
	id := t.name + "\x00" + strings.Join(key, "\x00")
	c := f.byRow[id]
	if c == nil {
		c = &Candidate{Table: t.name, Key: key, table: t}
		f.byRow[id] = c
	}
	if slices.Contains(c.Why, why) {
		return
	}
	c.Score += score
	at := 0
	for at < len(c.weights) && c.weights[at] >= score {
		at++
	}
	c.Why, c.weights = slices.Insert(c.Why, at, why), slices.Insert(c.weights, at, score)
}

// ranked gives the likeliest first. Among alike the newer, as its key sorts.
func (f *pile) ranked(pages map[string]string) []Candidate {
	out := make([]Candidate, 0, len(f.byRow))
	for _, c := range f.byRow {
		c.Page = c.table.page(pages[c.Table], c.Key)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Table, b.Table), cmp.Compare(len(strings.Join(b.Key, "")), len(strings.Join(a.Key, ""))),
			slices.Compare(b.Key, a.Key))
	})
	return out[:min(len(out), MaxCandidates)]
}
