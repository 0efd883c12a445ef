package mysql_test

import (
	"strings"
	"testing"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
)

// What hangs on a row from another database has children there, which the database would
// delete with it.
func TestChildrenInAnotherDatabase(t *testing.T) {
	t.Parallel()
	w := bench(t, false, "CREATE TABLE up (id INT NOT NULL PRIMARY KEY)", "INSERT INTO up SELECT seq FROM seq_1_to_60")
	name := w.DSN[strings.LastIndex(w.DSN, "/")+1:]
	for _, q := range []string{"CREATE DATABASE far_$", "CREATE TABLE far_$.middle (id INT NOT NULL PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES $.up (id) ON DELETE CASCADE)",
		"CREATE TABLE far_$.down (id INT NOT NULL PRIMARY KEY, middle INT, FOREIGN KEY (middle) REFERENCES far_$.middle (id) ON DELETE CASCADE)",
		"INSERT INTO far_$.middle SELECT id, id FROM $.up", "INSERT INTO far_$.down SELECT id, id FROM $.up"} {
		if _, err := w.SQL.Exec(strings.ReplaceAll(q, "$", name)); err != nil {
			t.Fatal(err)
		}
	}
	near, far := w.Dump, open(t, strings.Replace(w.DSN, "/"+name, "/far_"+name, 1))
	w.Dump = func(t testing.TB) string { return near(t) + dump(t, far, "far_"+name) }
	if p := dbtest.Cycle(t, w, open2(t, w), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"7"}}}); p.Rows != 3 {
		t.Errorf("%d rows, want 3", p.Rows)
	}
}

// A foreign key may name a column in which several rows have the same value: a child hangs
// on each of them.
func TestParentsThatShareAValue(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string][2]int{"CASCADE": {4, 0}, "SET NULL": {2, 2}} {
		w := bench(t, false, "CREATE TABLE up (id INT NOT NULL PRIMARY KEY, code INT NOT NULL, KEY (code))",
			"CREATE TABLE down (id INT NOT NULL PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES up (code) ON DELETE "+rule+")",
			"INSERT INTO up SELECT seq, seq DIV 2 FROM seq_1_to_60", "INSERT INTO down SELECT seq, seq DIV 2 FROM seq_1_to_60")
		p := dbtest.Cycle(t, w, open2(t, w), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"6"}, {"7"}}})
		links := 0
		for _, d := range p.Detached {
			links += len(d.Frozen)
		}
		if p.Rows != want[0] || links != want[1] {
			t.Errorf("%s: %d rows and %d links, want %v", rule, p.Rows, links, want)
		}
	}
}

// A server may have settings of its own, for all who connect.
func TestSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"sql_safe_updates=1", "autocommit=0", "completion_type=%27CHAIN%27", "completion_type=%27RELEASE%27", "sql_select_limit=2", "sql_auto_is_null=1",
		"tx_isolation=%27SERIALIZABLE%27", "max_join_size=10", "sql_mode=%27ORACLE%27", "explicit_defaults_for_timestamp=0", "innodb_strict_mode=0"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			w := bench(t, false, "CREATE TABLE up (id INT NOT NULL PRIMARY KEY, v TEXT)", "CREATE TABLE down (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES up (id) ON DELETE SET NULL)",
				"INSERT INTO up SELECT seq, 'a' FROM seq_1_to_60", "INSERT INTO down SELECT seq, 1 + seq % 20 FROM seq_1_to_60")
			w.DSN += "?" + set
			dbtest.Cycle(t, w, open2(t, w), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"7"}, {"8"}, {"9"}, {"10"}}})
		})
	}
}
