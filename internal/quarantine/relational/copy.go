package relational

import (
	"slices"

	"lifeboat/internal/quarantine"
)

// holdColumns are the columns that a hold is filled with.
func (t *tx) holdColumns(i *Info) []string {
	if !t.d.HoldsComputed() {
		return i.Stored()
	}
	return i.Names()
}

// copySQL copies rows under their locks, in the order of their keys.
func (t *tx) copySQL(b *Builder, i *Info, hold string, columns []string, keys []quarantine.Key) string {
	return t.d.Fill() + "INSERT INTO " + t.d.Hold(hold) + " (" + Columns(t.d, "", columns) + ") SELECT " + Columns(t.d, "t", columns) + " FROM " + t.d.Source(i) + " t WHERE " +
		t.d.MatchKeys(b, "t", i, keys) + " ORDER BY " + Columns(t.d, "t", i.Key) + t.d.ForUpdate("t")
}

// copyRows copies and counts.
func (t *tx) copyRows(i *Info, hold string, columns []string, keys []quarantine.Key) error {
	total := 0
	for _, chunk := range t.chunks(i, keys) {
		b := NewBuilder(t.d)
		n, err := t.exec(t.copySQL(b, i, hold, columns, chunk), b.Args...)
		if err != nil {
			return err
		}
		total += int(n)
	}
	if total != len(keys) {
		return stale("%s no longer there", quarantine.Of(len(keys)-total, len(keys), "row of "+i.Canonical(), "rows of "+i.Canonical()))
	}
	return nil
}

// copyTable copies the frozen rows of a table and compares them with the plan.
func (t *tx) copyTable(p quarantine.Plan, table *quarantine.Table, i *Info) error {
	keys := keysOfRows(table.Frozen)
	if err := t.copyRows(i, table.Hold, t.holdColumns(i), keys); err != nil {
		return err
	}
	if table.Image == "" || p.Batch {
		return t.compare(i, table.Hold, nil, t.narrow(p, keys), table.SetHash)
	}
	lines, err := t.texts("SELECT " + t.d.Image("h", i) + " FROM " + t.d.Hold(table.Hold) + " h")
	if err != nil {
		return err
	}
	if lines[0][0] != table.Image {
		return changed(i)
	}
	return nil
}

// narrow gives the keys of a piece of a batch, whose holds have other rows, too.
func (t *tx) narrow(p quarantine.Plan, keys []quarantine.Key) []quarantine.Key {
	if p.Batch {
		return keys
	}
	return nil
}

// compare compares the set hash of a hold (of all columns, or of some) with the plan's.
func (t *tx) compare(i *Info, hold string, columns []string, only []quarantine.Key, want string) error {
	got, err := t.setHash(hold, i, columns, only)
	if err != nil {
		return err
	}
	if got != want {
		return changed(i)
	}
	return nil
}

func changed(i *Info) error { return stale("rows of %s have been changed meanwhile", i.Canonical()) }

// setHash is HashHashes of the rows of a hold.
func (t *tx) setHash(hold string, i *Info, columns []string, only []quarantine.Key) (string, error) {
	set := t.d.SetHash("h", i, columns)
	if set == "" || len(only) > t.d.Chunk(i) {
		hashes, err := t.hashes(hold, t.d.Hash("h", i, columns), i, only)
		return quarantine.HashHashes(hashes), err
	}
	b := NewBuilder(t.d)
	query := "SELECT " + set + " FROM " + t.d.Hold(hold) + " h"
	if only != nil {
		query += " WHERE " + t.d.MatchKeys(b, "h", i, only)
	}
	lines, err := t.texts(query, b.Args...)
	if err != nil {
		return "", err
	}
	return lines[0][0], nil
}

func (t *tx) hashes(hold, hash string, i *Info, only []quarantine.Key) ([]string, error) {
	var out []string
	for _, chunk := range t.chunksOrAll(i, only) {
		b := NewBuilder(t.d)
		query := "SELECT " + hash + " FROM " + t.d.Hold(hold) + " h"
		if chunk != nil {
			query += " WHERE " + t.d.MatchKeys(b, "h", i, chunk)
		}
		lines, err := t.texts(query, b.Args...)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			out = append(out, line[0])
		}
	}
	return out, nil
}

// copyLinks copies the links of rows that stay.
func (t *tx) copyLinks(p quarantine.Plan, d *quarantine.Detach, i *Info) error {
	columns := slices.Clone(d.Key)
	for _, c := range d.Link.ChildColumns {
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	keys := keysOfRows(d.Frozen)
	if err := t.copyRows(i, d.Hold, columns, keys); err != nil {
		return err
	}
	return t.compare(i, d.Hold, d.Link.ChildColumns, t.narrow(p, keys), d.SetHash)
}
