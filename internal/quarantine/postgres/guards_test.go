package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/postgres"
	"lifeboat/internal/quarantine/relational"
)

const odd = `
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
INSERT INTO parent SELECT g, 'v' FROM generate_series(1, 1000) g;
INSERT INTO child SELECT g, g FROM generate_series(1, 1000) g;
CREATE TABLE ruled (id int PRIMARY KEY); INSERT INTO ruled VALUES (1), (2);
CREATE RULE keep AS ON DELETE TO ruled DO INSTEAD NOTHING;
CREATE TABLE published (id int UNIQUE NOT NULL, v text); INSERT INTO published VALUES (1), (2);
CREATE PUBLICATION p FOR TABLE published;
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE part_one PARTITION OF parts FOR VALUES FROM (0) TO (10); INSERT INTO parts VALUES (1), (2);
CREATE TABLE secret (id int PRIMARY KEY, who text); INSERT INTO secret VALUES (1, 'a'), (2, 'b');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY visible ON secret USING (who = 'a');
CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing; CREATE FOREIGN TABLE abroad (id int) SERVER far;
CREATE MATERIALIZED VIEW mat AS SELECT id FROM parent;
CREATE TABLE swallowed (id int PRIMARY KEY); INSERT INTO swallowed VALUES (1), (2);
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER swallow BEFORE DELETE ON swallowed FOR EACH ROW EXECUTE FUNCTION swallow();
CREATE TABLE stamped (id int PRIMARY KEY, at timestamptz); INSERT INTO stamped VALUES (1, '2020-01-01'), (2, '2020-01-01');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at = pg_catalog.now(); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE late (id int PRIMARY KEY, parent int NOT NULL); -- no foreign key
ANALYZE;
`

func refusedBy(p quarantine.Plan, rule quarantine.Rule) bool {
	return slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool {
		return r.Rule == rule && strings.HasSuffix(r.Reason, ".") && r.Satisfy != ""
	})
}

func TestGuards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, odd)
	role := "poor_" + w.name
	w.exec("CREATE ROLE " + role + " LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON secret TO " + role + "; GRANT SELECT ON child TO " + role)
	as := func(name string) *relational.DB {
		db, err := postgres.Open("host="+server.Socket+" user="+name+" dbname="+w.name, relational.Options{Name: "shop", Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	poor, owner := as(role), w.db
	small := w.open(func(o *relational.Options) { o.Limits.Large = 500 })
	for _, c := range []struct {
		db    *relational.DB
		table string
		rule  quarantine.Rule
	}{
		{owner, "ruled", quarantine.RuleRules}, {owner, "published", quarantine.RulePublished}, {owner, "part_one", quarantine.RulePartition},
		{owner, "abroad", quarantine.RuleNotTable}, {owner, "mat", quarantine.RuleNotTable}, {owner, "pg_catalog.pg_class", quarantine.RuleSystem},
		{poor, "secret", quarantine.RuleRowControl}, {poor, "child", quarantine.RulePrivilege}, {poor, "parent", quarantine.RulePrivilege},
		{small, "parent", quarantine.RuleIndex},
	} {
		r := quarantine.Request{ID: "op", Table: c.table, Where: where(t, "id = 1")}
		if c.table == "pg_catalog.pg_class" {
			r.Where = where(t, "oid = 1")
		}
		p, err := c.db.Plan(context.Background(), r)
		if err != nil || !refusedBy(p, c.rule) {
			t.Errorf("%s %s: %v %+v", c.table, c.rule, err, p.Refused)
		}
		if _, err := c.db.Apply(context.Background(), p, nil); fault.KindOf(err) != fault.Refused {
			t.Errorf("%s: applied: %v", c.table, err)
		}
	}
	p, err := small.Plan(context.Background(), quarantine.Request{ID: "op", Table: "parent", Keys: []quarantine.Key{{"1"}}, Accept: []quarantine.Rule{quarantine.RuleIndex}})
	if err != nil || len(p.Refused) > 0 || p.Rows != 2 {
		t.Errorf("accepted: %v %+v", err, p.Refused)
	}
	if ready, err := poor.Ready(context.Background()); err != nil || len(ready) == 0 {
		t.Errorf("%v %v", err, ready)
	}
	if _, err := as("nobody_" + w.name).Held(context.Background()); fault.KindOf(err) != fault.Denied && fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an unknown role: %v", err)
	}
}

func TestTriggersThatMeddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, odd)
	ctx := context.Background()
	p := w.plan(quarantine.Request{ID: "a", Table: "swallowed", Keys: []quarantine.Key{{"1"}}})
	if _, err := w.db.Apply(ctx, p, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a swallowed delete: %v", err)
	}
	p = w.plan(quarantine.Request{ID: "b", Table: "stamped", Keys: []quarantine.Key{{"1"}}})
	if _, err := w.db.Apply(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Restore(ctx, quarantine.Back{Operation: "b", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict || w.one("SELECT count(*) FROM stamped") != "1" {
		t.Errorf("a row that a trigger changes on its way back: %v", err)
	}
	out, err := w.db.Restore(ctx, quarantine.Back{Operation: "b", ID: "r2", Policy: quarantine.Skip}, nil)
	if err != nil || len(out.Skipped) != 1 || out.Skipped[0].Kind != "trigger" || out.Operation.State != quarantine.Restored {
		t.Errorf("%v %+v", err, out)
	}
}

// TestInsertsAreNotTrusted: what an insert says of itself counts only where nothing can
// change the rows afterwards, and only as long as the database keeps keys apart.
func TestInsertsAreNotTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
CREATE TABLE bill (id int PRIMARY KEY, total int NOT NULL);
CREATE TABLE entry (id int PRIMARY KEY, bill int NOT NULL REFERENCES bill, cents int NOT NULL);
CREATE INDEX ON entry (bill);
INSERT INTO bill SELECT g, 0 FROM generate_series(1, 50) g;
INSERT INTO entry SELECT g, g, 7 FROM generate_series(1, 50) g;
CREATE TABLE single (id int PRIMARY KEY, v text);
INSERT INTO single SELECT g, 'v' FROM generate_series(1, 50) g;
CREATE FUNCTION mark(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE TABLE computed (id int PRIMARY KEY, n int GENERATED ALWAYS AS (mark(id)) STORED);
INSERT INTO computed SELECT g FROM generate_series(1, 50) g;
`)
	w.exec(`CREATE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE bill SET total = total + NEW.cents WHERE id = NEW.bill; RETURN NEW; END $$;
ALTER FUNCTION add_up() SET search_path = public`)
	ctx := context.Background()
	for _, c := range []struct{ table, meanwhile, undo string }{
		// A trigger of another table that is written to changes the row after it is back.
		{"bill", "CREATE TRIGGER add_up AFTER INSERT ON entry FOR EACH ROW EXECUTE FUNCTION add_up()", "DROP TRIGGER add_up ON entry"},
		// Without its key the table would take a second row.
		{"single", "ALTER TABLE single DROP CONSTRAINT single_pkey; INSERT INTO single VALUES (7, 'another')", "DELETE FROM single WHERE id = 7"},
		// What is computed comes out differently.
		{"computed", "CREATE OR REPLACE FUNCTION mark(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 2'", "CREATE OR REPLACE FUNCTION mark(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1'"},
	} {
		if _, err := w.db.Apply(ctx, w.plan(quarantine.Request{ID: c.table, Table: c.table, Keys: []quarantine.Key{{"7"}}}), nil); err != nil {
			t.Fatal(err)
		}
		w.exec(c.meanwhile)
		before := w.quickDump()
		if _, err := w.db.Restore(ctx, quarantine.Back{Operation: c.table, ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v", c.table, err)
		}
		if w.quickDump() != before {
			t.Errorf("%s: something was changed", c.table)
		}
		w.exec(c.undo)
		if out, err := w.db.Restore(ctx, quarantine.Back{Operation: c.table, ID: "r2"}, nil); err != nil || out.Operation.State != quarantine.Restored {
			t.Errorf("%s: %v %+v", c.table, err, out)
		}
	}
}

// TestKeysThatNobodyKeeps: a foreign key whose triggers are off keeps no child out, so
// nothing is left to the database.
func TestKeysThatNobodyKeeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, odd)
	ctx := context.Background()
	kept := w.plan(quarantine.Request{ID: "a", Table: "parent", Keys: []quarantine.Key{{"7"}}})
	child := w.plan(quarantine.Request{ID: "c", Table: "child", Keys: []quarantine.Key{{"8"}}})
	if len(kept.Links) != 1 || kept.Links[0].Logical {
		t.Fatalf("%+v", kept.Links)
	}
	if _, err := w.db.Apply(ctx, child, nil); err != nil {
		t.Fatal(err)
	}
	w.exec("ALTER TABLE child DISABLE TRIGGER ALL; ALTER TABLE parent DISABLE TRIGGER ALL")
	if _, err := w.db.Apply(ctx, kept, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a plan from when it was kept: %v", err)
	}
	w.exec("DELETE FROM parent WHERE id = 8")
	if _, err := w.db.Restore(ctx, quarantine.Back{Operation: "c", ID: "r"}, nil); fault.KindOf(err) != fault.Conflict || w.one("SELECT count(*) FROM child WHERE id = 8") != "0" {
		t.Errorf("an orphan came back: %v", err)
	}
	now := w.plan(quarantine.Request{ID: "b", Table: "parent", Keys: []quarantine.Key{{"7"}}, Accept: []quarantine.Rule{quarantine.RuleOpen}})
	if len(now.Links) != 1 || !now.Links[0].Logical || now.Rows != 2 || !strings.Contains(now.Text(), "does not see to it that") {
		t.Errorf("%s", now.Text())
	}
}

// TestNothingIsShown: no text of a plan or an error holds what is in a cell.
func TestNothingIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE c (id int PRIMARY KEY, v text UNIQUE); INSERT INTO c SELECT g, 'Geheim' || g FROM generate_series(1, 50) g")
	p := w.plan(quarantine.Request{ID: "a", Table: "c", Keys: []quarantine.Key{{"7"}}})
	if _, err := w.db.Apply(context.Background(), p, nil); err != nil {
		t.Fatal(err)
	}
	same := "Geheim8"
	_, err := w.db.Restore(context.Background(), quarantine.Back{Operation: "a", ID: "r", Edits: []quarantine.Edit{{Table: "public.c", Key: quarantine.Key{"7"}, Set: []quarantine.Cell{{Column: "v", Value: &same}}}}}, nil)
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("an edit that is taken: %v", err)
	}
	if all := fmt.Sprintf("%s %+v %v", p.Text(), p, err); strings.Contains(all, "Geheim") {
		t.Errorf("contents are shown: %s", all)
	}
	if db, err := postgres.Open("postgres://u:Geheim@[bad", relational.Options{Name: "x", Now: time.Now}); err == nil || strings.Contains(err.Error(), "Geheim") {
		t.Errorf("%v %v", db, err)
	}
}
