package relational

import (
	"context"
	"slices"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// applyBatch applies a plan in many transactions: some root rows and what hangs on
// them in each. The marker counts how many root rows are done, so that it goes on
// where it was after a crash or a stop.
func (db *DB) applyBatch(ctx context.Context, p quarantine.Plan, w quarantine.Watch) (quarantine.Operation, error) {
	for {
		var op operation
		err := db.alone(ctx, func(t *tx) error { return t.prepare(p) }, func(t *tx) error {
			var err error
			op, err = t.batchStep(p)
			return err
		})
		if err != nil {
			if _, err = db.settled(ctx, p.ID, op.Operation, err); err != nil {
				stopped, _ := db.Look(context.WithoutCancel(ctx), p.ID)
				return stopped, err
			}
			continue // the transaction was taken after all
		}
		if op.State == quarantine.Held {
			return op.Operation, nil
		}
		if w != nil && !w(quarantine.Progress{Step: "moved", Done: op.Rows, Of: p.Rows}) {
			return db.stop(ctx, p.ID)
		}
	}
}

// stop notes that a person stopped a batch.
func (db *DB) stop(ctx context.Context, id string) (quarantine.Operation, error) {
	var op operation
	err := db.alone(ctx, nil, func(t *tx) error {
		var err error
		if op, err = t.operation(id, true); err != nil || op.State != quarantine.Moving {
			return err
		}
		op.State = quarantine.Stopped
		return t.updateOp(id, op.State, op.rest, op.Rows, op.cursor)
	})
	return op.Operation, err
}

// batchStep does one transaction of a batch.
func (t *tx) batchStep(p quarantine.Plan) (operation, error) {
	op, err := t.operation(p.ID, true)
	if err != nil {
		return op, err
	}
	switch op.State {
	case quarantine.Absent:
		if err := t.insertOp(p, quarantine.Moving, 0, 0); err != nil {
			return op, err
		}
	case quarantine.Moving, quarantine.Stopped:
	default:
		return op, nil
	}
	seeds := p.Tables[0].Frozen
	next := min(op.cursor+t.db.limits.Batch, len(seeds))
	// From the end: younger rows refer to older ones more often than the other way round.
	sub, err := t.subPlan(p, keysOfRows(seeds[len(seeds)-next:len(seeds)-op.cursor]))
	if err != nil {
		return op, err
	}
	moved := op.Rows
	if sub.Rows > 0 {
		if err := t.piece(sub, nil); err != nil {
			return op, err
		}
		moved += sub.Rows
	}
	state := quarantine.Moving
	if next == len(seeds) {
		state = quarantine.Held
		if moved != p.Rows {
			return op, stale("%d of %d rows were found", moved, p.Rows)
		}
	}
	if err := t.updateOp(p.ID, state, quarantine.RowHeld, moved, next); err != nil {
		return op, err
	}
	return t.operation(p.ID, false)
}

// subPlan is the part of a plan that hangs on some of its root rows. Whatever it finds
// must be in the plan as it is.
func (t *tx) subPlan(p quarantine.Plan, seeds []quarantine.Key) (quarantine.Plan, error) {
	moved, err := t.heldKeys(p)
	if err != nil {
		return p, err
	}
	left := slices.DeleteFunc(slices.Clone(seeds), func(k quarantine.Key) bool { return moved[keyID(k)] })
	c, err := t.newClosure(p.Root, t.db.limits.Hard)
	if err != nil {
		return p, err
	}
	c.accept = p.Request.Accept
	if err := c.seed(p.Root, left, nil); err != nil {
		return p, err
	}
	if len(c.found[p.Root].rows) != len(left) {
		return p, stale("rows of %s are no longer there", p.Root)
	}
	for more := true; more; {
		if err := c.walk(); err != nil {
			return p, err
		}
		if more, err = c.pull(p); err != nil {
			return p, err
		}
	}
	sub := p
	sub.Rows, sub.Tables, sub.Detached = 0, slices.Clone(p.Tables), nil
	for name := range c.found {
		if !slices.ContainsFunc(p.Tables, func(table quarantine.Table) bool { return table.Name == name }) && len(c.found[name].rows) > 0 {
			return p, stale("new rows of %s hang on rows that are to leave", name)
		}
	}
	for n := range sub.Tables {
		table := &sub.Tables[n]
		if table.Frozen, err = part(table.Frozen, c.found[table.Name], table.Name); err != nil {
			return p, err
		}
		table.SetHash = quarantine.HashSet(table.Frozen)
		sub.Rows += len(table.Frozen)
	}
	return sub, t.subLinks(p, &sub, c)
}

// part gives the frozen rows that were found now, and refuses others.
func part(frozen []quarantine.Row, f *found, name string) ([]quarantine.Row, error) {
	if f == nil {
		return nil, nil
	}
	was := make(map[string]string, len(frozen))
	for _, r := range frozen {
		was[keyID(r.Key)] = r.Hash
	}
	for id, r := range f.rows {
		if was[id] != r.Hash {
			return nil, stale("rows of %s have been added or changed meanwhile", name)
		}
	}
	return sorted(f.rows), nil
}

// pull takes rows in whose link would be taken although they are to leave with a later
// piece: they leave with this one, link and all.
func (c *closure) pull(p quarantine.Plan) (bool, error) {
	pulled := false
	for _, d := range c.detached {
		at := slices.IndexFunc(p.Tables, func(table quarantine.Table) bool { return table.Name == d.link.Child })
		if at < 0 {
			continue
		}
		var keys []quarantine.Key
		for _, r := range p.Tables[at].Frozen {
			if _, there := d.rows[keyID(r.Key)]; there {
				keys = append(keys, r.Key)
				delete(d.rows, keyID(r.Key))
			}
		}
		for _, chunk := range c.t.chunks(c.infos[d.link.Child], keys) {
			if err := c.include(d.link, chunk); err != nil {
				return false, err
			}
			pulled = true
		}
	}
	return pulled, nil
}

// include takes rows in by their keys.
func (c *closure) include(l quarantine.Link, keys []quarantine.Key) error {
	f := c.found[l.Child]
	if f == nil {
		f = &found{info: c.infos[l.Child], path: shortName(l.Child), via: l.Name, rows: map[string]quarantine.Row{}}
		c.found[l.Child] = f
		c.order = append(c.order, l.Child)
	}
	b := NewBuilder(c.t.d)
	match := c.t.d.MatchKeys(b, "t", f.info, keys)
	_, err := c.take(f, "SELECT "+c.columns("t", f.info)+" FROM "+c.t.d.Source(f.info)+" t WHERE "+match, b.Args)
	return err
}

// subLinks is part, for links of rows that stay.
func (t *tx) subLinks(p quarantine.Plan, sub *quarantine.Plan, c *closure) error {
	for _, d := range p.Detached {
		frozen := map[string]string{}
		for _, r := range d.Frozen {
			frozen[keyID(r.Key)] = r.Hash
		}
		d.Frozen = nil
		for _, now := range c.detached {
			if compareLinks(now.link, d.Link) != 0 {
				continue
			}
			rows := map[string]quarantine.Row{}
			for id, r := range now.rows {
				if frozen[id] == r.Hash {
					rows[id] = r
				}
			}
			d.Frozen = sorted(rows)
		}
		d.SetHash = quarantine.HashSet(d.Frozen)
		sub.Detached = append(sub.Detached, d)
	}
	return nil
}

// heldKeys are the root rows that earlier pieces took.
func (t *tx) heldKeys(p quarantine.Plan) (map[string]bool, error) {
	infos, err := t.d.Describe(t.ctx, t.c, []string{p.Root})
	if err != nil {
		return nil, err
	}
	i := infos[p.Root]
	if i == nil {
		return nil, fault.New(fault.Conflict, "the plan is stale: the table %s is gone", p.Root).At("plan").WithHint("make a new plan")
	}
	lines, err := t.texts("SELECT " + t.key("h", i) + " FROM " + t.d.Hold(p.Tables[0].Hold) + " h")
	out := map[string]bool{}
	for _, line := range lines {
		out[keyID(line)] = true
	}
	return out, err
}
