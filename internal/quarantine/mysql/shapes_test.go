package mysql_test

import (
	"context"
	"slices"
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

// InnoDB compares words by their places in the lists of the two columns: where the lists
// differ, a plan would see other children than the cascade deletes, and so there is none.
func TestWordsInAnotherOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		up, down string
		refused  bool
	}{
		"the same":         {"ENUM('a','b','c','d')", "ENUM('a','b','c','d')", false},
		"some more":        {"ENUM('a','b','c','d')", "ENUM('a','b','c','d','e')", false},
		"another order":    {"ENUM('a','b','c','d')", "ENUM('d','c','b','a')", true},
		"others":           {"ENUM('a','b','c','d')", "ENUM('a','b','cc','d')", true},
		"sets":             {"SET('a','b','c','d')", "SET('a','b','c','d')", false},
		"sets differently": {"SET('a','b','c','d')", "SET('d','c','b','a')", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := bench(t, false, "CREATE TABLE up (k "+c.up+" NOT NULL PRIMARY KEY)", "CREATE TABLE down (id INT NOT NULL PRIMARY KEY, up "+c.down+", FOREIGN KEY (up) REFERENCES up (k) ON DELETE CASCADE)",
				"INSERT INTO up VALUES (1), (2), (3), (4)", "INSERT INTO down SELECT seq, 1 + seq % 4 FROM seq_1_to_60")
			r := quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"b"}}, Accept: []quarantine.Rule{quarantine.RuleShare}}
			if !c.refused {
				dbtest.Cycle(t, w, open2(t, w), r)
				return
			}
			p, err := open2(t, w).Plan(context.Background(), r)
			if err != nil || !slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool { return r.Rule == quarantine.RuleColumn }) {
				t.Errorf("%v %+v", err, p.Refused)
			}
		})
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
