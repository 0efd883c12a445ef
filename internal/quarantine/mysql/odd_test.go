package mysql_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
)

// Keys that are written in one way and compared in another, and values that no calendar
// has: what hangs on them goes along, and all of it comes back.
func TestOddKeys(t *testing.T) {
	t.Parallel()
	wide := "CREATE TABLE up (id INT PRIMARY KEY"
	for n := range 900 {
		wide += fmt.Sprintf(", c%d TINYINT", n)
	}
	for name, c := range map[string]struct {
		script []string
		key    string
		rows   int
	}{
		"latin1": {[]string{"CREATE TABLE up (id VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY)", "CREATE TABLE down (id INT PRIMARY KEY, up VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci, FOREIGN KEY (up) REFERENCES up (id) ON DELETE CASCADE)",
			"INSERT INTO up SELECT CONCAT('ä', seq) FROM seq_1_to_40", "INSERT INTO down SELECT seq, CONCAT('Ä', seq) FROM seq_1_to_40"}, "ä7", 2},
		"blanks that count": {[]string{"CREATE TABLE up (id VARCHAR(20) COLLATE utf8mb4_nopad_bin PRIMARY KEY)", "CREATE TABLE down (id INT PRIMARY KEY, up VARCHAR(20) COLLATE utf8mb4_nopad_bin, FOREIGN KEY (up) REFERENCES up (id) ON DELETE CASCADE)",
			"INSERT INTO up SELECT CONCAT('n', seq) FROM seq_1_to_40", "INSERT INTO up VALUES ('n7 ')", "INSERT INTO down SELECT seq, CONCAT('n', seq) FROM seq_1_to_40", "INSERT INTO down VALUES (101, 'n7 ')"}, "n7", 2},
		"bits": {[]string{"CREATE TABLE up (id BIT(9) PRIMARY KEY)", "CREATE TABLE down (id INT PRIMARY KEY, up BIT(9), FOREIGN KEY (up) REFERENCES up (id))",
			"INSERT INTO up SELECT seq FROM seq_1_to_40", "INSERT INTO down SELECT seq, seq FROM seq_1_to_40"}, "7", 2},
		"an enum of digits": {[]string{"CREATE TABLE up (id ENUM('1','2','x','3') PRIMARY KEY)", "CREATE TABLE down (id INT PRIMARY KEY, up ENUM('1','2','x','3'), FOREIGN KEY (up) REFERENCES up (id))",
			"INSERT INTO up VALUES ('3'), ('2'), ('x')", "INSERT INTO down SELECT seq, '2' FROM seq_1_to_40", "UPDATE down SET up = '3' WHERE id = 7"}, "3", 2},
		"no value of the enum": {[]string{"CREATE TABLE up (id INT PRIMARY KEY, e ENUM('a','b') NOT NULL)", "SET STATEMENT sql_mode = '' FOR INSERT INTO up SELECT seq, IF(seq = 7, 'x', 'a') FROM seq_1_to_40"}, "7", 1},
		"no day": {[]string{"CREATE TABLE up (id DATE PRIMARY KEY)", "CREATE TABLE down (id INT PRIMARY KEY, up DATE, FOREIGN KEY (up) REFERENCES up (id))", "INSERT INTO up SELECT '2026-01-01' + INTERVAL seq DAY FROM seq_1_to_40",
			"SET STATEMENT sql_mode = '' FOR INSERT INTO up VALUES ('0000-00-00')", "SET STATEMENT sql_mode = '' FOR INSERT INTO down VALUES (1, '0000-00-00')"}, "0000-00-00", 2},
		"bytes": {[]string{"CREATE TABLE up (id VARBINARY(9) PRIMARY KEY)", "CREATE TABLE down (id INT PRIMARY KEY, up VARBINARY(9), FOREIGN KEY (up) REFERENCES up (id))", "INSERT INTO up SELECT UNHEX(LPAD(HEX(seq), 4, '0')) FROM seq_1_to_40",
			"INSERT INTO down SELECT seq, UNHEX(LPAD(HEX(seq), 4, '0')) FROM seq_1_to_40", "INSERT INTO up VALUES (x'00070000'), (x'000720')"}, "0007", 2},
		"many columns": {[]string{wide + ")", "INSERT INTO up (id, c7, c899) SELECT seq, 1, 2 FROM seq_1_to_40"}, "7", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := bench(t, false, c.script...)
			p := dbtest.Cycle(t, w, open2(t, w), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{c.key}}})
			if p.Rows != c.rows {
				t.Errorf("%d rows, want %d", p.Rows, c.rows)
			}
		})
	}
}

// Rows that came past a check of their table do harm, too: they can leave. Back they come
// as the check wants them.
func TestRowsPastTheirCheck(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := bench(t, false, "CREATE TABLE up (id INT PRIMARY KEY, v INT CHECK (v > 0))", "SET STATEMENT check_constraint_checks = 0 FOR INSERT INTO up SELECT seq, IF(seq = 7, -1, 1) FROM seq_1_to_40")
	db := open2(t, w)
	p, err := db.Plan(ctx, quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"7"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	held := w.Dump(t)
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "check") {
		t.Errorf("as it was: %v", err)
	}
	if after := w.Dump(t); after != held {
		t.Errorf("something changed:\n%s", dbtest.Differ(held, after))
	}
	three := "3"
	edit := quarantine.Edit{Table: p.Root, Key: quarantine.Key{"7"}, Set: []quarantine.Cell{{Column: "v", Value: &three}}}
	if out, err := db.Restore(ctx, quarantine.Back{Operation: "op", ID: "r2", Edits: []quarantine.Edit{edit}}, nil); err != nil || out.Edited != 1 {
		t.Errorf("corrected: %v %+v", err, out)
	}
	var v int
	if err := w.SQL.QueryRow("SELECT v FROM up WHERE id = 7").Scan(&v); err != nil || v != 3 {
		t.Errorf("v is %d: %v", v, err)
	}
}

// What other databases call no number is none here, and is not taken for zero.
func TestNoNumberIsNotZero(t *testing.T) {
	t.Parallel()
	w := bench(t, false, "CREATE TABLE up (id INT PRIMARY KEY, d DECIMAL(9,2), f DOUBLE, at DATETIME)", "SET STATEMENT sql_mode = '' FOR INSERT INTO up SELECT seq, 0, 0, '0000-00-00' FROM seq_1_to_40")
	db := open2(t, w)
	for column, text := range map[string]string{"d": "NaN", "f": "-Infinity", "at": "infinity"} {
		where := quarantine.Predicate{Column: column, Op: quarantine.Equal, Value: &quarantine.Literal{Text: text, Kind: quarantine.Text}}
		if p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Table: "up", Where: &where}); err == nil && p.Rows > 0 || err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("%s = %s: %d rows, %v", column, text, p.Rows, err)
		}
	}
}
