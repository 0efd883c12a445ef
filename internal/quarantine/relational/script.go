package relational

import (
	"slices"

	"lifeboat/internal/quarantine"
)

// script tells what Apply and Restore run, for people to read.
func (t *tx) script(p *quarantine.Plan, infos map[string]*Info) (there, back []string) {
	one := func(table quarantine.Table) []quarantine.Key {
		return keysOfRows(table.Frozen[:min(1, len(table.Frozen))])
	}
	for _, table := range p.Tables {
		if len(table.Frozen) == 0 {
			return nil, nil
		}
		there = append(there, t.copySQL(NewBuilder(t.d), infos[table.Name], table.Hold, t.holdColumns(infos[table.Name]), one(table)))
	}
	if p.Mode == quarantine.Replace {
		i := infos[p.Root]
		sets := joinEach(cellColumns(p.Request.Set), ", ", func(c string) string { return t.d.Quote(c) + " = …" })
		there = append(there, "UPDATE "+t.d.Source(i)+" SET "+sets+" WHERE "+t.d.MatchKeys(NewBuilder(t.d), "", i, one(p.Tables[0])))
		back = append(back, t.d.UpdateFrom(i, t.d.Hold(p.Tables[0].Hold), t.backSets(cellColumns(p.Request.Set)), nil))
		return there, back
	}
	for _, d := range p.Detached {
		sets := []string{}
		for _, c := range d.Link.Emptied() {
			sets = append(sets, t.d.Quote(c)+" = NULL")
		}
		there = append(there, t.d.UpdateFrom(infos[d.Link.Child], t.d.Hold(d.Hold), sets, nil))
	}
	order := t.planGroups(*p)
	parts := func(group []string) []Part {
		var out []Part
		for _, name := range group {
			out = append(out, Part{Info: infos[name], Hold: t.d.Hold(tableOf(*p, name).Hold), Columns: infos[name].Stored()})
		}
		return out
	}
	for _, group := range slices.Backward(order) {
		for _, list := range t.statements(parts(group)) {
			there = append(there, t.d.Delete(NewBuilder(t.d), list))
		}
	}
	for _, group := range order {
		for _, list := range t.statements(parts(group)) {
			back = append(back, t.d.Insert(NewBuilder(t.d), list))
		}
	}
	for _, d := range p.Detached {
		back = append(back, t.d.UpdateFrom(infos[d.Link.Child], t.d.Hold(d.Hold), t.backSets(d.Link.Emptied()), nil))
	}
	return there, back
}

// statements cuts a group into what one statement takes.
func (t *tx) statements(parts []Part) [][]Part {
	if t.d.Together() {
		return [][]Part{parts}
	}
	return slices.Collect(slices.Chunk(parts, 1))
}

// backSets sets columns to what the hold has.
func (t *tx) backSets(columns []string) []string {
	var out []string
	for _, c := range columns {
		out = append(out, t.d.Quote(c)+" = "+Cell(t.d, "h", c))
	}
	return out
}
