package relational

import (
	"slices"
	"strconv"

	"lifeboat/internal/quarantine"
)

// closed says whether any row outside the plan refers to one inside. Together with
// unchanged rows inside this is the same as computing the closure again. logical asks
// only for links that the database does not know of.
func (t *tx) closed(p quarantine.Plan, infos map[string]*Info, logical bool) error {
	for _, l := range p.Links {
		if logical && !l.Logical {
			continue
		}
		t.trace("closed %s", l.Name)
		outside, err := t.outside(p, l, infos, logical)
		if err != nil {
			return err
		}
		if outside != 0 {
			return stale("new rows of %s hang on rows of %s", l.Child, l.Parent)
		}
	}
	return nil
}

// outside counts the rows that refer to a row of the plan over a link and are not of
// the plan themselves. Counted and not ended at the first: planners take a slow way to
// a first row.
func (t *tx) outside(p quarantine.Plan, l quarantine.Link, infos map[string]*Info, left bool) (int, error) {
	parent := t.d.Hold(tableOf(p, l.Parent).Hold) + " h"
	up, down := Side{"h", infos[l.Parent]}, Side{"c", infos[l.Child]}
	var inside []heldLink // where rows of the plan lie, by their keys
	if child := slices.IndexFunc(p.Tables, func(table quarantine.Table) bool { return table.Name == l.Child }); child >= 0 {
		inside = append(inside, heldLink{Hold: p.Tables[child].Hold, Key: p.Tables[child].Key})
	}
	for _, d := range p.Detached {
		if compareLinks(d.Link, l) == 0 {
			inside = append(inside, heldLink{Hold: d.Hold, Key: d.Key})
		}
	}
	b := NewBuilder(t.d)
	query := "SELECT count(*) FROM " + t.d.Few(parent, t.d.Source(infos[l.Child])+" c", t.linkSQL(b, down, up, l))
	// The copies are of rows that are locked, and the same: each is among those that are
	// counted, so that as many are the same ones. To count is quicker than to look for each.
	countable := !left && !p.Batch && len(l.When) == 0
	if n, ok := only(p, l, infos[l.Parent]); ok && countable {
		query = "SELECT (" + query + ") - " + strconv.Itoa(n)
	} else if countable {
		query = "SELECT (" + query + ")"
		for _, h := range inside {
			query += " - (SELECT count(*) FROM " + t.d.Few(t.d.Hold(h.Hold)+" c", parent, Linked(t.d, up, down, l)) + ")"
		}
	} else {
		glue := " WHERE "
		for _, h := range inside {
			query += glue + "NOT EXISTS (SELECT 1 FROM " + t.d.Hold(h.Hold) + " x WHERE " + Joined(t.d, "c", "x", infos[l.Child], h.Key) + ")"
			glue = " AND "
		}
	}
	lines, err := t.texts(query, b.Args...)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(lines[0][0])
}

// only says how many rows of a link's child leave, where all of them hang on the plan's
// rows by that link, each on one: no other leads to them, and nobody chose them.
func only(p quarantine.Plan, l quarantine.Link, parent *Info) (int, bool) {
	for _, o := range p.Links {
		if o.Child == l.Child && (compareLinks(o, l) != 0 || o.Detaches()) {
			return 0, false
		}
	}
	at := slices.IndexFunc(p.Tables, func(t quarantine.Table) bool { return t.Name == l.Child })
	if at < 0 || l.Child == p.Root || l.Logical || !apart(parent, l.ParentColumns) {
		return 0, false
	}
	return len(p.Tables[at].Frozen), true
}

// apart says that no two rows have the same values in some columns. MariaDB's foreign keys
// may name columns in which they have.
func apart(i *Info, columns []string) bool {
	within := func(key []string) bool {
		return len(key) > 0 && !slices.ContainsFunc(key, func(c string) bool { return !slices.Contains(columns, c) })
	}
	return within(i.Key) || slices.ContainsFunc(i.Unique, func(u quarantine.Unique) bool { return !u.Opaque && within(u.Columns) })
}
