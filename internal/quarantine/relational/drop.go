package relational

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// Discard gives held rows up.
func (db *DB) Discard(ctx context.Context, d quarantine.Drop) (quarantine.Operation, error) {
	return db.drop(ctx, d, "discard", (*tx).discardRows)
}

// Purge deletes the copies for ever.
func (db *DB) Purge(ctx context.Context, d quarantine.Drop) (quarantine.Operation, error) {
	if strings.TrimSpace(d.By) == "" || strings.TrimSpace(d.Second) == "" || strings.EqualFold(strings.TrimSpace(d.By), strings.TrimSpace(d.Second)) {
		return quarantine.Operation{}, fault.New(fault.Refused, "a purge can't be taken back, so it needs two people").At("second").WithHint("let another person confirm it")
	}
	if len(d.Roots) > 0 {
		return quarantine.Operation{}, fault.New(fault.Invalid, "a purge is of a whole operation").At("roots").WithHint("leave the rows out")
	}
	op, err := db.drop(ctx, d, "purge", (*tx).purgeRows)
	if err != nil {
		return op, err
	}
	return op, db.dropHolds(ctx, op.ID)
}

func (db *DB) drop(ctx context.Context, d quarantine.Drop, verb string, work func(*tx, operation, quarantine.Drop) (int, error)) (quarantine.Operation, error) {
	for place, id := range map[string]string{"operation": d.Operation, "id": d.ID} {
		if err := checkID(id, place); err != nil {
			return quarantine.Operation{}, err
		}
	}
	var out operation
	err := db.alone(ctx, nil, func(t *tx) error {
		op, err := t.operation(d.Operation, true)
		if err != nil {
			return err
		}
		out = op
		if hasAct(op, d.ID) {
			return nil
		}
		if err := mayChange(op); err != nil {
			return err
		}
		if op.State == quarantine.Moving {
			return fault.New(fault.Conflict, "operation %s is still moving rows", op.ID).At("operation").WithHint("stop it first, or let it finish")
		}
		rows, err := work(t, op, d)
		if err != nil {
			return err
		}
		note := ""
		if d.Second != "" {
			note = "with " + d.Second
		}
		if err := t.insertAct(op.ID, d.ID, verb, d.By, rows, note); err != nil {
			return err
		}
		out, err = t.operation(op.ID, false)
		return err
	})
	return db.settled(ctx, d.Operation, out.Operation, err)
}

// discardRows notes rows as given up.
func (t *tx) discardRows(op operation, d quarantine.Drop) (int, error) {
	r := &back{t: t, op: op, b: quarantine.Back{Operation: op.ID, Roots: d.Roots}, pick: map[string]map[string]quarantine.Key{}}
	if err := r.checkKeys(); err != nil {
		return 0, err
	}
	if err := r.choose(); err != nil {
		return 0, err
	}
	if r.whole {
		return op.Waiting(), t.updateOp(op.ID, quarantine.Ended, quarantine.RowDiscarded, op.Rows, op.cursor)
	}
	rows := 0
	for _, h := range op.manifest.Tables {
		keys := r.keys(h.Name)
		rows += len(keys)
		if err := t.setGone(op.ID, h.Hold, keys, quarantine.RowDiscarded); err != nil {
			return 0, err
		}
	}
	state := op.State
	if op.Waiting() <= rows {
		state = quarantine.Ended
	}
	return rows, t.updateOp(op.ID, state, op.rest, op.Rows, op.cursor)
}

// purgeRows notes an operation as purged; its tables go after that is committed.
func (t *tx) purgeRows(op operation, _ quarantine.Drop) (int, error) {
	if op.Waiting() > 0 {
		return 0, fault.New(fault.Refused, "%s still held", quarantine.Count(op.Waiting(), "row of operation "+op.ID+" is", "rows of operation "+op.ID+" are")).At("operation").WithHint("put them back or discard them first")
	}
	return op.Rows, t.updateOp(op.ID, quarantine.Purged, op.rest, op.Rows, op.cursor)
}

// dropHolds drops the tables of a purged operation. Doing it again does no harm.
func (db *DB) dropHolds(ctx context.Context, id string) error {
	drop := func(t *tx) error {
		holds, err := t.d.Holds(t.ctx, t.c)
		if err != nil {
			return err
		}
		for _, hold := range holds {
			if !strings.HasPrefix(hold, "q"+id+"_") {
				continue
			}
			if _, err := t.exec(t.d.DropHold(t.d.Hold(hold))); err != nil {
				return fmt.Errorf("drop %s: %w", hold, err)
			}
		}
		return nil
	}
	return db.alone(ctx, drop, func(*tx) error { return nil })
}
