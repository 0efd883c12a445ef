package dbtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// shapes are ways to refer to one another in which a move could take too much or too
// little: how many rows leave with row 7 of the table up, how many lose a link, and a row
// more that makes the plan stale.
var shapes = map[string]struct {
	script      []string
	rows, links int
	more        string
}{
	"a unique column that is not the key": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE)",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, up VARCHAR(20), FOREIGN KEY (up) REFERENCES up (code) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n, CONCAT('c', n) FROM many", "INSERT INTO down SELECT n, CONCAT('c', 1 + n % 20) FROM many"}, 3, 0, "INSERT INTO down VALUES (200, 'c7')"},
	"no primary key": {[]string{"CREATE TABLE up (id INTEGER NOT NULL UNIQUE, v VARCHAR(20))", "CREATE TABLE down (n VARCHAR(20) NOT NULL, m INTEGER NOT NULL, up INTEGER NOT NULL, UNIQUE (n, m), FOREIGN KEY (up) REFERENCES up (id))",
		"INSERT INTO up SELECT n, 'v' FROM many", "INSERT INTO down SELECT CONCAT('n', n), n, n FROM many", "INSERT INTO down SELECT CONCAT('x', n), n, 7 FROM many WHERE n < 4"}, 5, 0, "INSERT INTO down VALUES ('n', 7, 7)"},
	"two links, one of which is emptied": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY)",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, b INTEGER, FOREIGN KEY (a) REFERENCES up (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES up (id) ON DELETE SET NULL)",
		"INSERT INTO up SELECT n FROM many", "INSERT INTO down SELECT n, n, 1 + n % 40 FROM many", "INSERT INTO down VALUES (100, 7, 7), (101, NULL, 7), (102, 8, 7), (103, 7, NULL)"}, 4, 3, "INSERT INTO down VALUES (200, NULL, 7)"},
	"two links that both hang": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY)", "CREATE TABLE middle (id INTEGER NOT NULL PRIMARY KEY, up INTEGER NOT NULL, FOREIGN KEY (up) REFERENCES up (id))",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, middle INTEGER, FOREIGN KEY (up) REFERENCES up (id) ON DELETE CASCADE, FOREIGN KEY (middle) REFERENCES middle (id) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n FROM many", "INSERT INTO middle SELECT n, n FROM many", "INSERT INTO down SELECT n, n, n FROM many", "INSERT INTO down VALUES (100, 8, 7), (101, 7, 8), (102, NULL, 7), (103, 8, 9)"}, 6, 0, "INSERT INTO down VALUES (200, 9, 7)"},
	"several columns, some of them empty": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL, UNIQUE (a, b))",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, x INTEGER, y INTEGER, FOREIGN KEY (x, y) REFERENCES up (a, b) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n, n, n + 1 FROM many", "INSERT INTO down SELECT n, n, n + 1 FROM many", "INSERT INTO down VALUES (100, 7, NULL), (101, NULL, 8), (102, 7, 8)"}, 3, 0, "INSERT INTO down VALUES (200, 7, 8)"},
	"a row that refers to itself": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY, boss INTEGER, FOREIGN KEY (boss) REFERENCES up (id))",
		"INSERT INTO up SELECT n, NULL FROM many", "UPDATE up SET boss = 7 WHERE id IN (7, 9)", "UPDATE up SET boss = 9 WHERE id = 11"}, 3, 0, "INSERT INTO up VALUES (200, 11)"},
	"far numbers": {[]string{"CREATE TABLE up (id BIGINT NOT NULL PRIMARY KEY)", "CREATE TABLE down (id BIGINT NOT NULL PRIMARY KEY, up BIGINT NOT NULL, FOREIGN KEY (up) REFERENCES up (id) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n FROM many", "INSERT INTO down SELECT -9223372036854775807 + n, n FROM many", "INSERT INTO down VALUES (9223372036854775807, 7), (-9223372036854775807 - 1, 7), (0, 7)"}, 5, 0, "INSERT INTO down VALUES (-1, 7)"},
}

// testShapes: what leaves is what the plan says and nothing else, a row more makes the
// plan stale whichever link it hangs on, and all of it comes back.
func testShapes(t *testing.T, bench Bench) {
	ctx := context.Background()
	for name, c := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := []string{"CREATE TABLE many (n INTEGER NOT NULL PRIMARY KEY)", "INSERT INTO many VALUES (1)"}
			for n := 1; n < 64; n *= 2 { // forty of them
				script = append(script, fmt.Sprintf("INSERT INTO many SELECT n + %d FROM many WHERE n <= %d", n, 40-n))
			}
			w := bench(t, false, append(script, c.script...)...)
			db := w.db(t)
			request := quarantine.Request{ID: "op1", Table: "up", Keys: []quarantine.Key{key("7")}}
			p := Cycle(t, w, db, request)
			links := 0
			for _, d := range p.Detached {
				links += len(d.Frozen)
			}
			if p.Rows != c.rows || links != c.links {
				t.Errorf("%d rows and %d links, want %d and %d", p.Rows, links, c.rows, c.links)
			}
			rows := func() int { return strings.Count(w.Dump(t), "\n") }
			before := rows()
			request.ID = "op2"
			mustApply(t, db, mustPlan(t, db, request))
			if left := before - rows(); left != c.rows {
				t.Errorf("%d rows have left, want %d", left, c.rows)
			}
			if _, err := db.Restore(ctx, quarantine.Back{Operation: "op2", ID: "r1", Roots: []quarantine.Key{key("7")}}, nil); err != nil || rows() != before {
				t.Errorf("%d rows after the way back, want %d: %v", rows(), before, err)
			}
			request.ID = "op3"
			p = mustPlan(t, db, request)
			w.exec(t, c.more)
			dump := w.Dump(t)
			if _, err := db.Apply(ctx, p, nil); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "stale") {
				t.Errorf("%s: %v", c.more, err)
			}
			same(t, dump, w.Dump(t))
		})
	}
}
