package relational

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"lifeboat/internal/quarantine"
)

// Verify looks whether the rows are gone (or back), the copies are whole and no row
// was orphaned.
func (db *DB) Verify(ctx context.Context, id string) (quarantine.Verdict, error) {
	var out quarantine.Verdict
	if err := checkID(id, "operation"); err != nil {
		return out, err
	}
	err := db.within(ctx, Reading, func(t *tx) error {
		r, err := t.verifying(id)
		if err != nil {
			return err
		}
		out = quarantine.Verdict{OK: true}
		for _, look := range []func() ([]quarantine.Check, error){r.copies, r.places, r.orphans} {
			checks, err := look()
			if err != nil {
				return err
			}
			for _, c := range checks {
				out.OK = out.OK && c.OK
				out.Checks = append(out.Checks, c)
			}
		}
		return nil
	})
	return out, err
}

func (t *tx) verifying(id string) (*back, error) {
	op, err := t.operation(id, false)
	if err != nil {
		return nil, err
	}
	if err := mayChange(op); err != nil {
		return nil, err
	}
	r := &back{t: t, op: op, b: quarantine.Back{Operation: id}, pick: map[string]map[string]quarantine.Key{}}
	if r.all, err = t.links(); err != nil {
		return nil, err
	}
	return r, r.describe()
}

// copies compares each hold with the plan.
func (r *back) copies() ([]quarantine.Check, error) {
	var out []quarantine.Check
	full := r.op.Rows == sum(r.op.manifest.Tables)
	for _, h := range r.op.manifest.Tables {
		i := h.then()
		hashes, err := r.t.hashes(h.Hold, r.t.d.Hash("h", i, nil), i, nil)
		if err != nil {
			return nil, err
		}
		c := quarantine.Check{Name: "copies", Table: h.Name, OK: len(hashes) == h.Rows && quarantine.HashHashes(hashes) == h.SetHash, Detail: quarantine.Count(len(hashes), "copy is whole.", "copies are whole.")}
		switch {
		case !full:
			c.OK, c.Detail = len(hashes) <= h.Rows, fmt.Sprintf("%d of %s made.", len(hashes), quarantine.Count(h.Rows, "copy is", "copies are"))
		case !c.OK:
			c.Detail = fmt.Sprintf("The copies are not what has left (%s, and %s). Somebody has changed the table %s.", quarantine.Count(len(hashes), "copy", "copies"), quarantine.Count(h.Rows, "row", "rows"), h.Hold)
		}
		out = append(out, c)
	}
	return out, nil
}

func sum(tables []heldTable) int {
	n := 0
	for _, h := range tables {
		n += h.Rows
	}
	return n
}

// places says whether held rows are absent, and restored ones there.
func (r *back) places() ([]quarantine.Check, error) {
	if r.op.Mode == quarantine.Replace {
		return nil, nil
	}
	var out []quarantine.Check
	for _, h := range r.op.manifest.Tables {
		now := r.infos[h.Name]
		if now == nil {
			out = append(out, quarantine.Check{Name: "absent", Table: h.Name, Detail: fmt.Sprintf("The table %s is gone.", h.Name)})
			continue
		}
		lines, err := r.t.texts("SELECT " + r.t.key("h", h.then()) + ", CASE WHEN " + Cell(r.t.d, "t", h.Key[0]) + " IS NULL THEN 0 ELSE 1 END FROM " + r.t.d.Hold(h.Hold) + " h LEFT JOIN " +
			r.t.d.Source(now) + " t ON " + Joined(r.t.d, "t", "h", h.then(), h.Key))
		if err != nil {
			return nil, err
		}
		out = append(out, r.place(h, lines)...)
	}
	return out, nil
}

func (r *back) place(h heldTable, lines [][]string) []quarantine.Check {
	held, wrong, back, missing := 0, 0, 0, 0
	for _, line := range lines {
		state := r.op.gone[h.Hold][keyID(line[:len(line)-1])]
		if state == "" {
			state = r.op.rest
		}
		there := line[len(line)-1] == "1"
		switch state {
		case quarantine.RowRestored, quarantine.RowEdited:
			back++
			if !there {
				missing++
			}
		default:
			held++
			if there {
				wrong++
			}
		}
	}
	var out []quarantine.Check
	if held > 0 || back == 0 {
		c := quarantine.Check{Name: "absent", Table: h.Name, OK: wrong == 0, Detail: quarantine.Count(held, "row is", "rows are") + " gone from " + h.Name + "."}
		if wrong > 0 {
			c.Detail = fmt.Sprintf("%s in %s again: somebody has put rows with these keys there.", quarantine.Of(wrong, held, "row", "rows"), h.Name)
		}
		out = append(out, c)
	}
	if back > 0 {
		c := quarantine.Check{Name: "back", Table: h.Name, OK: missing == 0, Detail: quarantine.Count(back, "row is", "rows are") + " back in " + h.Name + "."}
		if missing > 0 {
			c.Detail = fmt.Sprintf("%s not in %s: somebody has taken them away since.", quarantine.Of(missing, back, "row", "rows"), h.Name)
		}
		out = append(out, c)
	}
	return out
}

// orphans looks for rows that refer to a row that has left.
func (r *back) orphans() ([]quarantine.Check, error) {
	var out []quarantine.Check
	for _, l := range r.op.manifest.Links {
		h, ok := r.held(l.Parent)
		if !ok {
			continue
		}
		infos, err := r.t.d.Describe(r.t.ctx, r.t.c, []string{l.Child, l.Parent})
		if err != nil {
			return nil, err
		}
		if infos[l.Child] == nil || infos[l.Parent] == nil || missingColumn(infos, l) {
			continue
		}
		b := NewBuilder(r.t.d)
		lines, err := r.t.texts("SELECT count(*) FROM "+r.t.d.Few(r.t.d.Hold(h.Hold)+" h", r.t.d.Source(infos[l.Child])+" c", r.t.linkSQL(b, Side{"c", infos[l.Child]}, Side{"h", h.then()}, l))+
			" WHERE NOT EXISTS (SELECT 1 FROM "+r.t.d.Source(infos[l.Parent])+" p WHERE "+Linked(r.t.d, Side{"p", infos[l.Parent]}, Side{"c", infos[l.Child]}, l)+")", b.Args...)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(lines[0][0])
		if err != nil {
			return nil, err
		}
		c := quarantine.Check{Name: "orphans", Table: l.Child, OK: n == 0, Detail: fmt.Sprintf("No row of %s lacks its row of %s.", l.Child, l.Parent)}
		if n > 0 {
			c.Detail = fmt.Sprintf("%s to rows of %s that have left.", quarantine.Count(n, "row of "+l.Child+" refers", "rows of "+l.Child+" refer"), l.Parent)
		}
		out = append(out, c)
	}
	return out, nil
}

func missingColumn(infos map[string]*Info, l quarantine.Link) bool {
	return slices.ContainsFunc(l.ChildColumns, func(c string) bool { _, ok := infos[l.Child].Column(c); return !ok }) ||
		slices.ContainsFunc(l.ParentColumns, func(c string) bool { _, ok := infos[l.Parent].Column(c); return !ok })
}
