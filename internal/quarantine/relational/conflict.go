package relational

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/quarantine"
)

// maxConflicts bounds a preview.
const maxConflicts = 1000

func (r *back) conflict(table string, key quarantine.Key, kind, format string, args ...any) {
	if len(r.conflicts) < maxConflicts {
		r.conflicts = append(r.conflicts, quarantine.Conflict{Table: table, Key: key, Kind: kind, Detail: fmt.Sprintf(format, args...)})
	}
}

// drop takes rows out of what comes back.
func (r *back) drop(table string, keys ...quarantine.Key) error {
	if err := r.loadAll(); err != nil {
		return err
	}
	for _, k := range keys {
		delete(r.pick[table], keyID(k))
	}
	return nil
}

// drifted finds tables that have changed so that their rows can't come back whole.
func (r *back) drifted() error {
	for _, h := range r.op.manifest.Tables {
		now := r.infos[h.Name]
		blocked := false
		say := func(format string, args ...any) {
			blocked = true
			r.drift = append(r.drift, quarantine.Conflict{Table: h.Name, Kind: "drift", Detail: fmt.Sprintf(format, args...)})
		}
		if now == nil || now.What != "table" {
			say("The table %s is gone. Create it again as it was.", h.Name)
		} else {
			columnDrift(h, now, say)
		}
		if blocked {
			if err := r.loadAll(); err != nil {
				return err
			}
			r.pick[h.Name] = map[string]quarantine.Key{}
		}
	}
	return nil
}

// columnDrift compares the columns of then and now.
func columnDrift(h heldTable, now *Info, say func(string, ...any)) {
	then := h.then()
	for _, was := range h.Columns {
		is, ok := now.Column(was.Name)
		switch {
		case !ok && !was.Generated:
			say("%s no longer has the column %s. Add it again, or its contents would be lost.", h.Name, was.Name)
		case ok && is.Type != was.Type && !is.Generated:
			say("%s.%s is now of type %s and was %s. Change it back, or restore by hand from %s.", h.Name, was.Name, is.Type, was.Type, h.Hold)
		case ok && is.Generated != was.Generated:
			say("%s.%s was computed or is so now. Change it back, or restore by hand from %s.", h.Name, was.Name, h.Hold)
		}
	}
	for _, is := range now.Columns {
		if _, ok := then.Column(is.Name); !ok && is.NotNull && !is.Default && !is.Generated && is.Identity == "" {
			say("%s has a new column %s that can't be empty. Give it a default.", h.Name, is.Name)
		}
	}
}

// matching reads keys of a hold for which a condition holds (alias h).
func (r *back) matching(h heldTable, only []quarantine.Key, b func() (*Builder, string)) ([]quarantine.Key, error) {
	var out []quarantine.Key
	for _, chunk := range r.t.chunksOrAll(h.then(), only) {
		builder, condition := b()
		query := "SELECT " + r.t.key("h", h.then()) + " FROM " + r.t.d.Hold(h.Hold) + " h WHERE " + condition
		if chunk != nil {
			query += " AND " + r.t.d.MatchKeys(builder, "h", h.then(), chunk)
		}
		lines, err := r.t.texts(query+" LIMIT "+strconv.Itoa(r.t.db.limits.Hard), builder.Args...)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			out = append(out, line)
		}
	}
	return out, nil
}

// taken finds rows whose key, or another unique key, belongs to another row now.
func (r *back) taken() error {
	if r.hopeful && r.keysHold() {
		return nil
	}
	for _, h := range r.op.manifest.Tables {
		now := r.infos[h.Name]
		if now == nil || r.pick[h.Name] != nil && len(r.pick[h.Name]) == 0 {
			continue
		}
		uniques := []quarantine.Unique{{Name: "the key", Columns: h.Key}}
		for _, u := range now.Unique {
			if !u.Opaque && !slices.ContainsFunc(u.Columns, func(c string) bool { _, ok := h.then().Column(c); return !ok }) {
				uniques = append(uniques, u)
			}
		}
		for n, u := range uniques {
			keys, err := r.matching(h, r.keys(h.Name), func() (*Builder, string) {
				return NewBuilder(r.t.d), "EXISTS (SELECT 1 FROM " + r.t.d.Source(now) + " t WHERE " + Joined(r.t.d, "t", "h", now, u.Columns) + ")"
			})
			if err != nil {
				return err
			}
			for _, key := range keys {
				if n == 0 {
					r.conflict(h.Name, key, "key taken", "There is another row with this key now. Look which of the two is right; nothing is overwritten.")
				} else {
					r.conflict(h.Name, key, "unique taken", "Another row has the same %s now. Correct one of the two.", strings.Join(u.Columns, ", "))
				}
			}
			if len(keys) > 0 {
				if err := r.drop(h.Name, r.unedited(h.Name, n, u, keys)...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// unedited leaves out rows whose clash an edit takes away: the database decides then.
func (r *back) unedited(table string, n int, u quarantine.Unique, keys []quarantine.Key) []quarantine.Key {
	if n == 0 {
		return keys
	}
	var out []quarantine.Key
	for _, k := range keys {
		if r.edits(table, k, u.Columns) {
			r.conflicts = slices.DeleteFunc(r.conflicts, func(c quarantine.Conflict) bool {
				return c.Table == table && keyID(c.Key) == keyID(k) && c.Kind == "unique taken"
			})
			continue
		}
		out = append(out, k)
	}
	return out
}

// edits says whether an edit sets one of the columns of a row.
func (r *back) edits(table string, key quarantine.Key, columns []string) bool {
	return slices.ContainsFunc(r.b.Edits, func(e quarantine.Edit) bool {
		return e.Table == table && keyID(e.Key) == keyID(key) && slices.ContainsFunc(e.Set, func(c quarantine.Cell) bool { return slices.Contains(columns, c.Column) })
	})
}

// orphaned finds rows whose parent is gone: not there, and not coming back with them.
func (r *back) orphaned() error {
	for _, l := range r.all {
		h, ok := r.held(l.Child)
		parent := r.infos[l.Parent]
		if r.hopeful && !l.Logical || !ok || parent == nil || r.infos[l.Child] == nil || r.pick[l.Child] != nil && len(r.pick[l.Child]) == 0 {
			continue
		}
		if slices.ContainsFunc(l.ChildColumns, func(c string) bool { _, ok := h.then().Column(c); return !ok }) {
			continue
		}
		from, isHeld := r.held(l.Parent)
		keys, err := r.matching(h, r.keys(l.Child), func() (*Builder, string) {
			b := NewBuilder(r.t.d)
			set := joinEach(l.ChildColumns, " AND ", func(c string) string { return Cell(r.t.d, "h", c) + " IS NOT NULL" })
			condition := set + " AND NOT EXISTS (SELECT 1 FROM " + r.t.d.Source(parent) + " p WHERE " + Linked(r.t.d, Side{"p", parent}, Side{"h", h.then()}, l) + ")"
			condition += r.t.when(b, Side{"h", h.then()}, l)
			if isHeld && r.pick[l.Parent] == nil { // all of it comes back
				condition += " AND NOT EXISTS (SELECT 1 FROM " + r.t.d.Hold(from.Hold) + " p WHERE " + Linked(r.t.d, Side{"p", parent}, Side{"h", h.then()}, l) + ")"
			}
			return b, condition
		})
		if err != nil {
			return err
		}
		if keys, err = r.parentless(l, keys, isHeld); err != nil {
			return err
		}
		keys = slices.DeleteFunc(keys, func(k quarantine.Key) bool { return r.edits(l.Child, k, l.ChildColumns) })
		for _, k := range keys {
			r.conflict(l.Child, k, "parent gone", "The row of %s that it belongs to is not there. Put that back first, or correct %s.", l.Parent, strings.Join(l.ChildColumns, ", "))
		}
		if len(keys) > 0 {
			if err := r.drop(l.Child, keys...); err != nil {
				return err
			}
		}
	}
	return nil
}

// parentless leaves those whose parent does not come back with them either.
func (r *back) parentless(l quarantine.Link, keys []quarantine.Key, isHeld bool) ([]quarantine.Key, error) {
	if !isHeld || r.pick[l.Parent] == nil || len(keys) == 0 {
		return keys, nil
	}
	follow := l
	follow.OnDelete = "no action" // pairs leaves out links that detach
	pairs, err := r.pairs(follow)
	if err != nil {
		return nil, err
	}
	with := map[string]bool{}
	for _, p := range pairs {
		if r.pick[l.Parent][keyID(p.parent)] != nil {
			with[keyID(p.child)] = true
		}
	}
	return slices.DeleteFunc(keys, func(k quarantine.Key) bool { return with[keyID(k)] }), nil
}

// hanging takes out what hangs on rows that stay held, to a fixpoint.
func (r *back) hanging() error {
	if r.whole {
		return nil
	}
	for dropped := true; dropped; {
		dropped = false
		for _, l := range r.op.manifest.Links {
			pairs, err := r.pairs(l)
			if err != nil {
				return err
			}
			for _, p := range pairs {
				parent, ok := r.held(l.Parent)
				if !ok {
					continue
				}
				id := keyID(p.parent)
				there := r.pick[l.Parent][id] != nil || r.op.gone[parent.Hold][id] == quarantine.RowRestored || r.op.gone[parent.Hold][id] == quarantine.RowEdited
				if there || r.pick[l.Child][keyID(p.child)] == nil || r.edits(l.Child, p.child, l.ChildColumns) {
					continue
				}
				delete(r.pick[l.Child], keyID(p.child))
				r.conflict(l.Child, p.child, "hangs on", "It hangs on a row of %s that does not come back. Put that back first.", l.Parent)
				dropped = true
			}
		}
	}
	return nil
}

// relink finds which links can be put back: still empty, and the parent there.
func (r *back) relink() error {
	for _, d := range r.op.manifest.Detached {
		if r.op.rest != quarantine.RowHeld {
			continue
		}
		info := r.infos[d.Link.Child]
		if info == nil {
			r.drift = append(r.drift, quarantine.Conflict{Table: d.Link.Child, Kind: "drift", Detail: fmt.Sprintf("The table %s is gone. Create it again as it was.", d.Link.Child)})
			continue
		}
		if err := r.relinkOne(d, info); err != nil {
			return err
		}
	}
	return nil
}

func (r *back) relinkOne(d heldLink, info *Info) error {
	then := &Info{Name: info.Name, Schema: info.Schema, What: "table", Key: d.Key, Columns: info.Columns}
	parent, _ := r.held(d.Link.Parent)
	lines, err := r.t.texts("SELECT " + r.t.keyOf("h", then, d.Key) + ", " + r.t.keyOf("p", parent.then(), parent.Key) + ", CASE WHEN p." + r.t.d.Quote(parent.Key[0]) + " IS NULL THEN 'lost' WHEN t." + r.t.d.Quote(d.Key[0]) + " IS NULL THEN 'gone' WHEN " +
		r.emptyLink(d, info) + " THEN 'empty' ELSE 'taken' END FROM " + r.t.d.Hold(d.Hold) + " h LEFT JOIN " + r.t.d.Hold(parent.Hold) + " p ON " + Linked(r.t.d, Side{"p", parent.then()}, Side{"h", then}, d.Link) +
		" LEFT JOIN " + r.t.d.Source(info) + " t ON " + Joined(r.t.d, "t", "h", then, d.Key))
	if err != nil {
		return err
	}
	out := linkBack{held: d}
	n := len(d.Key)
	seen := map[string]bool{} // a link may lead to several rows, in MariaDB
	for _, line := range lines {
		key := quarantine.Key(line[:n:n])
		if r.op.gone[d.Hold][keyID(key)] != "" || seen[keyID(key)] {
			continue
		}
		if line[len(line)-1] == "lost" {
			r.conflict(d.Link.Child, key, "relinked", "It can't be told from the copies which row it belonged to. Put the link back by hand: %s has it.", d.Hold)
			continue
		}
		id := keyID(line[n : len(line)-1])
		if state := r.op.gone[parent.Hold][id]; r.pick[d.Link.Parent] != nil && r.pick[d.Link.Parent][id] == nil && state != quarantine.RowRestored && state != quarantine.RowEdited {
			continue // its parent does not come back now
		}
		seen[keyID(key)] = true
		switch line[len(line)-1] {
		case "gone":
			r.conflict(d.Link.Child, key, "relinked", "The row whose link would come back is no longer there. Nothing is to be done.")
		case "taken":
			r.conflict(d.Link.Child, key, "relinked", "The row has another link now. Look which of the two is right; nothing is overwritten.")
		default:
			out.keys = append(out.keys, key)
		}
	}
	slices.SortFunc(out.keys, compareKeys)
	r.links = append(r.links, out)
	return nil
}

// emptyLink says whether a row (alias t) has the link that detaching left (alias h). What
// stayed of it must be as it was: with other values it would name another row.
func (r *back) emptyLink(d heldLink, info *Info) string {
	var parts []string
	for _, name := range d.Link.Emptied() {
		fallback := info.Defaults[name]
		if d.Link.OnDelete == "set default" && fallback != "" {
			c, _ := info.Column(name)
			parts = append(parts, r.t.d.Same("t."+r.t.d.Quote(name), fallback, c))
			continue
		}
		parts = append(parts, "t."+r.t.d.Quote(name)+" IS NULL")
	}
	for _, name := range d.Link.ChildColumns {
		if c, _ := info.Column(name); !slices.Contains(d.Link.Emptied(), name) {
			parts = append(parts, r.t.d.Same("t."+r.t.d.Quote(name), "h."+r.t.d.Quote(name), c))
		}
	}
	return strings.Join(parts, " AND ")
}
