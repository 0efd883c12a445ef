package relational

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// detach takes the links of rows that stay.
func (t *tx) detach(p quarantine.Plan, d *quarantine.Detach, i *Info) error {
	var sets []string
	columns := d.Link.Emptied()
	for _, c := range columns {
		value := "NULL"
		if d.Link.OnDelete == "set default" {
			if value = i.Defaults[c]; value == "" {
				value = "DEFAULT"
			}
		}
		sets = append(sets, t.d.Quote(c)+" = "+value)
	}
	sets = append(sets, t.keepStamps(i, columns)...)
	n, err := t.updateFrom(i, t.d.Hold(d.Hold), sets, "", t.narrow(p, keysOfRows(d.Frozen)))
	if err != nil {
		return err
	}
	if n != len(d.Frozen) {
		return fault.New(fault.Conflict, "%d of %d links of %s could not be taken: a trigger keeps them", len(d.Frozen)-n, len(d.Frozen), i.Canonical()).At("plan").WithHint("nothing was changed; look at the triggers of the table")
	}
	return nil
}

// keepStamps keeps columns that the database changes on every update as they are.
func (t *tx) keepStamps(i *Info, but []string) []string {
	var out []string
	for _, c := range i.Stamps {
		if !slices.Contains(but, c) {
			out = append(out, t.d.Quote(c)+" = "+Cell(t.d, "t", c))
		}
	}
	return out
}

// updateFrom runs an update over the rows of a hold (quoted) and counts.
func (t *tx) updateFrom(i *Info, hold string, sets []string, where string, only []quarantine.Key) (int, error) {
	total := 0
	for _, chunk := range t.chunksOrAll(i, only) {
		b := NewBuilder(t.d)
		var all []string
		if where != "" {
			all = append(all, where)
		}
		if chunk != nil {
			all = append(all, t.d.MatchKeys(b, "h", i, chunk))
		}
		n, err := t.exec(t.d.UpdateFrom(i, hold, sets, all), b.Args...)
		if err != nil {
			return total, err
		}
		total += int(n)
		t.touched += n
	}
	return total, nil
}

// deleteAll deletes the rows, leaves first, and counts them.
func (t *tx) deleteAll(p quarantine.Plan, infos map[string]*Info) error {
	for _, group := range slices.Backward(t.planGroups(p)) {
		if err := t.openCircle(p, group, infos); err != nil {
			return err
		}
		var parts []Part
		var want []int
		order, _ := arrange(t.d, group, p.Links, infos)
		slices.Reverse(order)
		group = order
		for _, name := range group {
			table := tableOf(p, name)
			parts = append(parts, Part{Info: infos[name], Hold: t.d.Hold(table.Hold), Only: t.narrow(p, keysOfRows(table.Frozen))})
			want = append(want, len(table.Frozen))
		}
		t.trace("delete %s", strings.Join(group, ", "))
		got, err := t.run(parts, t.d.Delete)
		if err != nil {
			return err
		}
		for i, n := range got {
			t.touched += int64(n)
			if n != want[i] {
				return fault.New(fault.Conflict, "%d of %d rows of %s were deleted: a trigger or a rule keeps the others, or has deleted them already", n, want[i], group[i]).
					At("plan").WithHint("nothing was changed; look at the triggers that the plan names")
			}
		}
	}
	return nil
}

func tableOf(p quarantine.Plan, name string) quarantine.Table {
	return p.Tables[slices.IndexFunc(p.Tables, func(t quarantine.Table) bool { return t.Name == name })]
}

// planGroups are the tables of a plan, parents first.
func (t *tx) planGroups(p quarantine.Plan) [][]string {
	names := make([]string, len(p.Tables))
	for i, table := range p.Tables {
		names[i] = table.Name
	}
	return groups(names, p.Links)
}

// openCircle puts the links inside a group to null where the database checks them row
// by row.
func (t *tx) openCircle(p quarantine.Plan, group []string, infos map[string]*Info) error {
	for _, name := range group {
		null := broken(t.d, infos[name], group, p.Links)
		if len(null) == 0 {
			continue
		}
		var sets []string
		for _, c := range infos[name].Stored() {
			if null[c] {
				sets = append(sets, t.d.Quote(c)+" = NULL")
			}
		}
		table := tableOf(p, name)
		if _, err := t.updateFrom(infos[name], t.d.Hold(table.Hold), append(sets, t.keepStamps(infos[name], nil)...), "", t.narrow(p, keysOfRows(table.Frozen))); err != nil {
			return err
		}
	}
	return nil
}

// run runs Delete or Insert over a group and gives the count of each part.
func (t *tx) run(parts []Part, build func(*Builder, []Part) string) ([]int, error) {
	out := make([]int, len(parts))
	if t.d.Together() && len(parts) > 1 {
		b := NewBuilder(t.d)
		lines, err := t.texts(build(b, parts), b.Args...)
		if err != nil {
			return nil, err
		}
		for i := range out {
			if _, err := fmt.Sscan(lines[0][i], &out[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	for i, part := range parts {
		for _, chunk := range t.chunksOrAll(part.Info, part.Only) {
			part.Only = chunk
			b := NewBuilder(t.d)
			n, err := t.exec(build(b, []Part{part}), b.Args...)
			if err != nil {
				return nil, err
			}
			out[i] += int(n)
		}
	}
	return out, nil
}

// replace puts the safe values in and keeps how the rows look then.
func (t *tx) replace(p quarantine.Plan, infos map[string]*Info) error {
	table := p.Tables[0]
	i := infos[table.Name]
	keys := keysOfRows(table.Frozen)
	total := 0
	t.trace("replace %s", table.Name)
	for _, chunk := range t.chunks(i, keys) {
		b := NewBuilder(t.d)
		sets := joinEach(p.Request.Set, ", ", func(c quarantine.Cell) string { return t.d.Quote(c.Column) + " = " + t.value(b, i, c) })
		for _, keep := range t.keepStamps(i, cellColumns(p.Request.Set)) {
			sets += ", " + strings.Replace(keep, "t.", "", 1)
		}
		n, err := t.exec("UPDATE "+t.d.Source(i)+" SET "+sets+" WHERE "+t.d.MatchKeys(b, "", i, chunk), b.Args...)
		if err != nil {
			return err
		}
		total += int(n)
	}
	if total != len(keys) {
		return fault.New(fault.Conflict, "%d of %d rows of %s took the safe values: a trigger keeps the others", total, len(keys), i.Canonical()).At("plan").WithHint("nothing was changed; look at the triggers that the plan names")
	}
	if err := t.d.SettleConstraints(t.ctx, t.c); err != nil {
		return err
	}
	return t.copyRows(i, holdName(p.ID, "a", 0), t.holdColumns(i), keys)
}

func cellColumns(cells []quarantine.Cell) []string {
	var out []string
	for _, c := range cells {
		out = append(out, c.Column)
	}
	return out
}

// value is a cell's value as SQL.
func (t *tx) value(b *Builder, i *Info, c quarantine.Cell) string {
	if c.Value == nil {
		return "NULL"
	}
	column, _ := i.Column(c.Column)
	return t.d.Literal(b, column, *c.Value)
}
