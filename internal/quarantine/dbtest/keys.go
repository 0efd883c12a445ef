package dbtest

import (
	"context"
	"slices"
	"testing"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// Keys moves the rows of a table whose column v is 'odd', chosen by a condition and by the
// keys that the plan writes, puts one of them back corrected and then the others, and
// compares.
func Keys(t testing.TB, w *World, db *relational.DB, table string, rows int) {
	t.Helper()
	ctx := context.Background()
	before := w.Dump(t)
	r := quarantine.Request{ID: "op1", Table: table, Where: &quarantine.Predicate{Column: "v", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "odd", Kind: quarantine.Text}}}
	found := mustPlan(t, db, r)
	if len(found.Tables[0].Frozen) != rows {
		t.Fatalf("%d rows, want %d", len(found.Tables[0].Frozen), rows)
	}
	keys := keysOf(found.Tables[0].Frozen)
	p := mustPlan(t, db, quarantine.Request{ID: "op1", Table: table, Keys: keys})
	if !slices.EqualFunc(keysOf(p.Tables[0].Frozen), keys, slices.Equal) {
		t.Fatalf("asked for %q and got %q", keys, keysOf(p.Tables[0].Frozen))
	}
	mustApply(t, db, p)
	mustVerify(t, db, "op1")
	if preview, err := db.Preview(ctx, quarantine.Back{Operation: "op1"}); err != nil || !preview.Clear {
		t.Fatalf("%v %+v", err, preview)
	}
	mended := "mended"
	edit := quarantine.Edit{Table: p.Root, Key: keys[0], Set: []quarantine.Cell{{Column: "v", Value: &mended}}}
	if out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1", Roots: keys[:1], Edits: []quarantine.Edit{edit}}, nil); err != nil || out.Edited != 1 {
		t.Fatalf("%q: %v %+v", keys[0], err, out)
	}
	mustVerify(t, db, "op1")
	if out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r2"}, nil); err != nil || out.Operation.State != quarantine.Restored {
		t.Fatalf("%v %+v", err, out)
	}
	mustVerify(t, db, "op1")
	if n := w.count(t, "SELECT count(*) FROM "+table+" WHERE v = 'mended'"); n != 1 {
		t.Fatalf("%d corrected rows are back", n)
	}
	w.exec(t, "UPDATE "+table+" SET v = 'odd' WHERE v = 'mended'")
	same(t, before, w.Dump(t))
}

func keysOf(rows []quarantine.Row) []quarantine.Key {
	out := make([]quarantine.Key, len(rows))
	for i, r := range rows {
		out[i] = r.Key
	}
	return out
}
