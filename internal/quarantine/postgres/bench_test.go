package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/relational"
)

// closure has tenants of 10,000 rows in five tables each.
const closure = `
CREATE TABLE t0 (id int PRIMARY KEY, v text);
CREATE TABLE t1 (id int PRIMARY KEY, up int NOT NULL REFERENCES t0 ON DELETE CASCADE, v text); CREATE INDEX ON t1 (up);
CREATE TABLE t2 (id int PRIMARY KEY, up int NOT NULL REFERENCES t1 ON DELETE CASCADE, v text); CREATE INDEX ON t2 (up);
CREATE TABLE t3 (id int PRIMARY KEY, up int NOT NULL REFERENCES t2 ON DELETE CASCADE, v text); CREATE INDEX ON t3 (up);
CREATE TABLE t4 (id int PRIMARY KEY, up int NOT NULL REFERENCES t3 ON DELETE CASCADE, v text); CREATE INDEX ON t4 (up);
INSERT INTO t0 SELECT g, repeat('x', 50) FROM generate_series(0, 19) g;
INSERT INTO t1 SELECT g, g / 2499, repeat('x', 50) FROM generate_series(0, 2499 * 20 - 1) g;
INSERT INTO t2 SELECT g, g, repeat('x', 50) FROM generate_series(0, 2499 * 20 - 1) g;
INSERT INTO t3 SELECT g, g, repeat('x', 50) FROM generate_series(0, 2499 * 20 - 1) g;
INSERT INTO t4 SELECT g, g, repeat('x', 50) FROM generate_series(0, 2499 * 20 - 1) g;
ANALYZE;
`

// BenchmarkMove moves and restores 9,997 rows in five tables; BenchmarkScript does it
// as a careful person would by hand.
func BenchmarkMove(b *testing.B) {
	w := newWorld(b, closure, func(o *relational.Options) { o.Limits.Rows = 20_000 })
	ctx := context.Background()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		p := w.plan(quarantine.Request{ID: fmt.Sprintf("op%d", n), Table: "t0", Keys: []quarantine.Key{{fmt.Sprint(n % 20)}}})
		b.StartTimer()
		if _, err := w.db.Apply(ctx, p, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := w.db.Restore(ctx, quarantine.Back{Operation: p.ID, ID: "r"}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScript(b *testing.B) {
	w := newWorld(b, closure)
	for n := 0; b.Loop(); n++ {
		w.exec(fmt.Sprintf(`BEGIN;
CREATE TABLE h0_%[1]d (LIKE t0); CREATE TABLE h1_%[1]d (LIKE t1); CREATE TABLE h2_%[1]d (LIKE t2); CREATE TABLE h3_%[1]d (LIKE t3); CREATE TABLE h4_%[1]d (LIKE t4);
INSERT INTO h0_%[1]d SELECT * FROM t0 WHERE id = %[2]d FOR UPDATE;
INSERT INTO h1_%[1]d SELECT c.* FROM t1 c JOIN h0_%[1]d p ON c.up = p.id FOR UPDATE OF c;
INSERT INTO h2_%[1]d SELECT c.* FROM t2 c JOIN h1_%[1]d p ON c.up = p.id FOR UPDATE OF c;
INSERT INTO h3_%[1]d SELECT c.* FROM t3 c JOIN h2_%[1]d p ON c.up = p.id FOR UPDATE OF c;
INSERT INTO h4_%[1]d SELECT c.* FROM t4 c JOIN h3_%[1]d p ON c.up = p.id FOR UPDATE OF c;
DELETE FROM t4 t USING h4_%[1]d h WHERE t.id = h.id; DELETE FROM t3 t USING h3_%[1]d h WHERE t.id = h.id; DELETE FROM t2 t USING h2_%[1]d h WHERE t.id = h.id;
DELETE FROM t1 t USING h1_%[1]d h WHERE t.id = h.id; DELETE FROM t0 t USING h0_%[1]d h WHERE t.id = h.id;
COMMIT`, n, n%20))
		w.exec(fmt.Sprintf(`BEGIN; INSERT INTO t0 SELECT * FROM h0_%[1]d; INSERT INTO t1 SELECT * FROM h1_%[1]d; INSERT INTO t2 SELECT * FROM h2_%[1]d; INSERT INTO t3 SELECT * FROM h3_%[1]d; INSERT INTO t4 SELECT * FROM h4_%[1]d; COMMIT`, n))
	}
}

// BenchmarkPlanLarge plans over a table of 10,000,000 rows (of 300,000 unless
// LIFEBOAT_SOAK=1).
func BenchmarkPlanLarge(b *testing.B) {
	rows := dbtest.Rounds(300_000, 10_000_000)
	w := newWorld(b, fmt.Sprintf(`CREATE TABLE big (id bigint, v text); CREATE TABLE small (id bigint, big bigint);
INSERT INTO big SELECT g, 'v' FROM generate_series(1, %[1]d) g; INSERT INTO small SELECT g, g FROM generate_series(1, %[1]d) g;
ALTER TABLE big ADD PRIMARY KEY (id); ALTER TABLE small ADD PRIMARY KEY (id); CREATE INDEX ON small (big);
ALTER TABLE small ADD FOREIGN KEY (big) REFERENCES big ON DELETE CASCADE NOT VALID; ANALYZE`, rows))
	for n := 0; b.Loop(); n++ {
		if p := w.plan(quarantine.Request{ID: "op", Table: "big", Where: where(b, "id >= 1000 and id < 1400")}); p.Rows != 800 || len(p.Refused) > 0 {
			b.Fatalf("%d %+v", p.Rows, p.Refused)
		}
	}
}
