package mysql_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/mysql"
	"lifeboat/internal/quarantine/relational"
)

// zoo has every built-in type, and the shapes that break naive moves.
var zoo = []string{
	"CREATE TABLE tenant (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE, boss BIGINT UNSIGNED, FOREIGN KEY (boss) REFERENCES tenant (id), changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)",
	"CREATE TABLE `every` (tenant BIGINT UNSIGNED NOT NULL, at DATE NOT NULL, `odd ``name` INT NOT NULL, " +
		"c01 TINYINT, c02 SMALLINT UNSIGNED, c03 MEDIUMINT, c04 INT ZEROFILL, c05 BIGINT UNSIGNED, c06 DECIMAL(65,30), c07 FLOAT, c08 DOUBLE, c09 BIT(13), c10 BOOLEAN, " +
		"c11 CHAR(5), c12 VARCHAR(9) CHARACTER SET latin1, c13 TEXT, c14 LONGTEXT CHARACTER SET utf8mb4, c15 BINARY(4), c16 VARBINARY(9), c17 LONGBLOB, c18 ENUM('a','b''c'), c19 SET('x','y'), c20 JSON, " +
		"c21 DATE, c22 TIME(6), c23 DATETIME(6), c24 TIMESTAMP(3) NULL, c25 YEAR, c26 INET6, c27 POINT, c28 GEOMETRY, c29 UUID, " +
		"double_it INT AS (c01 * 2) VIRTUAL, stored_it INT AS (c01 + 1) STORED, hidden INT INVISIBLE DEFAULT 5, changed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), " +
		"PRIMARY KEY (tenant, at, `odd ``name`), FOREIGN KEY (tenant) REFERENCES tenant (id) ON DELETE CASCADE)",
	"CREATE TABLE note (id BINARY(16) NOT NULL PRIMARY KEY, tenant BIGINT UNSIGNED, at DATE, n INT, FOREIGN KEY (tenant, at, n) REFERENCES `every` (tenant, at, `odd ``name`) ON DELETE CASCADE)",
	"CREATE TABLE fan (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant BIGINT UNSIGNED, changed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), FOREIGN KEY (tenant) REFERENCES tenant (id) ON DELETE SET NULL)",
	"CREATE TABLE chicken (id INT NOT NULL PRIMARY KEY, tenant BIGINT UNSIGNED NOT NULL, egg INT, FOREIGN KEY (tenant) REFERENCES tenant (id))",
	"CREATE TABLE egg (id INT NOT NULL PRIMARY KEY, chicken INT NOT NULL, FOREIGN KEY (chicken) REFERENCES chicken (id))",
	"ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg (id)",
	"CREATE TABLE word (w VARCHAR(40) COLLATE utf8mb4_unicode_ci NOT NULL PRIMARY KEY, tenant BIGINT UNSIGNED NOT NULL, FOREIGN KEY (tenant) REFERENCES tenant (id))",
	"CREATE TABLE rest (id INT NOT NULL PRIMARY KEY, tenant BIGINT UNSIGNED NOT NULL, r01 TINYTEXT, r02 MEDIUMTEXT, r03 TINYBLOB, r04 BLOB, r05 MEDIUMBLOB, r06 TIME, r07 DATETIME, r08 LINESTRING, r09 POLYGON, r10 MULTIPOINT, " +
		"r11 MULTILINESTRING, r12 MULTIPOLYGON, r13 GEOMETRYCOLLECTION, r14 FLOAT(7,3), r15 DECIMAL(5,2) ZEROFILL, r16 NCHAR(4), r17 NVARCHAR(9), r18 VARCHAR(200) COMPRESSED, r19 BLOB COMPRESSED, r20 BIT(64), r21 YEAR, r22 VARCHAR(9) COLLATE utf8mb4_bin, " +
		"FOREIGN KEY (tenant) REFERENCES tenant (id) ON DELETE CASCADE)",
	"CREATE TABLE parted (id INT NOT NULL, at DATE NOT NULL, v TEXT, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at)) (PARTITION old VALUES LESS THAN (2020), PARTITION new VALUES LESS THAN MAXVALUE)",
	"CREATE TABLE angry (id INT NOT NULL PRIMARY KEY, v INT)", "CREATE TRIGGER refuse BEFORE DELETE ON angry FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'secret'",
	"CREATE TABLE audit (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, what TEXT)",
	"CREATE TABLE old (id INT NOT NULL PRIMARY KEY, v INT) ENGINE=MyISAM",
	"CREATE TABLE older (id INT NOT NULL PRIMARY KEY, v INT) ENGINE=Aria",
	"CREATE TABLE hist (id INT NOT NULL PRIMARY KEY, v INT) WITH SYSTEM VERSIONING",
	"INSERT INTO old VALUES (1, 1), (2, 2)", "INSERT INTO older VALUES (1, 1), (2, 2)", "INSERT INTO hist VALUES (1, 1), (2, 2)",
	"INSERT INTO tenant (id, name, boss, changed) SELECT seq, CONCAT('tenant ', seq), NULLIF(GREATEST(seq - 1, 0), 0), '2020-01-01' FROM seq_1_to_120",
	"SET STATEMENT sql_mode = 'NO_AUTO_VALUE_ON_ZERO' FOR INSERT INTO tenant (id, name, boss) VALUES (0, 'zero', NULL), (18446744073709551615, 'last', 118)",
	"UPDATE tenant SET boss = 105 WHERE id = 103",
	"INSERT INTO fan (tenant, changed) SELECT 1 + seq % 120, '2020-01-01 00:00:00.000001' FROM seq_1_to_1000",
	"SET STATEMENT sql_mode = 'ALLOW_INVALID_DATES' FOR INSERT INTO `every` (tenant, at, `odd ``name`, c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, hidden, changed) " +
		"SELECT t.seq, IF(k.seq % 2, '1999-12-31', '2026-02-28'), k.seq, CAST(k.seq AS SIGNED) - 100, 65535, -8388608, 7, 18446744073709551615, '123456789012345678901234567890.123456789012345678901234567891', 1.17549435e-38, 0.1e0 + 0.2e0, b'1010101010101', 1, " +
		"'ab ', 'äöü', 'line\\n''q'' \\\\ tab\\t', '𝄞€', x'00ff', x'0027ff5c', x'00010203', 'b''c', 'x,y', '{\"a\": 1,  \"a\": 2}', '0000-00-00', '-838:59:59.000001', '2026-02-31 25:00:00', '2026-03-29 01:30:00.001', 2026, '::1', POINT(1.5, -2), ST_GeomFromText('LINESTRING(0 0, 1 1)'), UUID(), NULL, '2020-01-01' " +
		"FROM seq_1_to_120 t, seq_1_to_4 k",
	"INSERT INTO rest SELECT seq, seq, 'tiny', 'medium', x'00', x'ff00', x'5c27', '-12:00:00', '2026-02-28 23:59:59', ST_GeomFromText('LINESTRING(0 0,1 1)'), ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), ST_GeomFromText('MULTIPOINT(0 0,1 1)'), " +
		"ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))'), ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))'), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(0 0))'), 1234.567, 1.5, 'ä', 'ö', REPEAT('compressed ', 15), REPEAT(x'00ff', 99), b'1', 1901, 'A' FROM seq_1_to_120",
	"INSERT INTO parted SELECT seq, IF(seq % 2, '2019-12-31', '2026-01-01'), CONCAT('part ', seq) FROM seq_1_to_120", "INSERT INTO angry SELECT seq, 1 FROM seq_1_to_20",
	"INSERT INTO note SELECT UNHEX(MD5(CONCAT(tenant, at, `odd ``name`))), tenant, at, `odd ``name` FROM `every`",
	"INSERT INTO chicken SELECT seq, seq, NULL FROM seq_1_to_120", "INSERT INTO egg SELECT seq, seq FROM seq_1_to_120", "UPDATE chicken SET egg = id",
	"INSERT INTO word SELECT CONCAT('Wört ''', seq), seq FROM seq_1_to_120",
	"CREATE TRIGGER told AFTER DELETE ON note FOR EACH ROW SET @told = 1",
}

func TestZoo(t *testing.T) {
	t.Parallel()
	w := bench(t, false, zoo...)
	db := open2(t, w)
	for n, r := range []quarantine.Request{
		{Table: "tenant", Keys: []quarantine.Key{{"120"}, {"18446744073709551615"}}},
		{Table: "tenant", Keys: []quarantine.Key{{"118"}}}, // with bosses above one another
		{Table: "every", Where: &quarantine.Predicate{And: []quarantine.Predicate{
			{Column: "tenant", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "9", Kind: quarantine.Number}}, {Column: "at", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "1999-12-31", Kind: quarantine.Text}}}}},
		{Table: "word", Keys: []quarantine.Key{{"Wört '7"}}},
		{Table: "parted", Keys: []quarantine.Key{{"7", "2019-12-31"}, {"8", "2026-01-01"}}},
		{Table: "chicken", Keys: []quarantine.Key{{"5"}, {"6"}}},
	} {
		r.ID = "zoo" + string(rune('a'+n))
		dbtest.Cycle(t, w, db, r)
	}
}

func open2(t testing.TB, w *dbtest.World) *relational.DB {
	t.Helper()
	db, err := w.Open(w.DSN, relational.Options{Name: "shop", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A trigger that refuses the delete leaves every row where it was, and its words are not
// repeated: they may hold what is in the row.
func TestTriggerThatRefuses(t *testing.T) {
	t.Parallel()
	w := bench(t, false, zoo...)
	db := open2(t, w)
	before := w.Dump(t)
	p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Table: "angry", Keys: []quarantine.Key{{"1"}}})
	if err != nil || len(p.Refused) > 0 || len(p.Tables[0].Triggers) != 1 {
		t.Fatalf("%v %+v", err, p)
	}
	if _, err := db.Apply(context.Background(), p, nil); fault.KindOf(err) != fault.Conflict || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	if after := w.Dump(t); after != before {
		t.Errorf("something changed:\n%s", dbtest.Differ(before, after))
	}
}

// TestRefused: tables without transactions, with a history, and with too few rights.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := bench(t, false, zoo...)
	db := open2(t, w)
	for table, rule := range map[string]quarantine.Rule{"old": quarantine.RuleEngine, "older": quarantine.RuleEngine, "hist": quarantine.RuleVersioned} {
		p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Table: table, Keys: []quarantine.Key{{"1"}}})
		if err != nil || !slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool { return r.Rule == rule }) {
			t.Errorf("%s: %v %+v", table, err, p.Refused)
		}
	}
	name := w.DSN[len("root@unix("+server.Socket+")/"):]
	as := func(user string, grants ...string) *relational.DB {
		user += name
		for _, q := range append([]string{"CREATE USER $"}, grants...) {
			if _, err := w.SQL.Exec(strings.NewReplacer("$", user+"@localhost", "#", name).Replace(q)); err != nil {
				t.Fatal(err)
			}
		}
		w.DSN = user + "@unix(" + server.Socket + ")/" + name
		return open2(t, w)
	}
	// Without TRIGGER the rules of a foreign key stay hidden, and its children must not.
	blind := as("blind_", "GRANT SELECT ON #.* TO $", "GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON #.tenant TO $")
	p, err := blind.Plan(context.Background(), quarantine.Request{ID: "op", Table: "tenant", Keys: []quarantine.Key{{"1"}}})
	for _, child := range []string{"fan", "every", "rest"} {
		if err != nil || !slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool {
			return r.Rule == quarantine.RulePrivilege && r.Table == name+"."+child && strings.Contains(r.Reason, "TRIGGER")
		}) {
			t.Errorf("blind, %s: %v %+v", child, err, p.Refused)
		}
	}
	poor := as("poor_", "GRANT SELECT ON #.fan TO $", "GRANT SELECT, INSERT, UPDATE, DELETE ON #.tenant TO $")
	for _, table := range []string{"fan", "tenant"} {
		p, err := poor.Plan(context.Background(), quarantine.Request{ID: "op", Table: table, Keys: []quarantine.Key{{"1"}}})
		if err != nil || !slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool { return r.Rule == quarantine.RulePrivilege }) {
			t.Errorf("%s: %v %+v", table, err, p.Refused)
		}
	}
	if ready, err := poor.Ready(context.Background()); err != nil || len(ready) == 0 {
		t.Errorf("%v %v", err, ready)
	}
}

// A child that is written in another case, or with blanks behind it, hangs on its parent
// all the same where the collation says so.
func TestChildrenInAnotherCase(t *testing.T) {
	t.Parallel()
	w := bench(t, false, "CREATE TABLE up (name VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY)", "CREATE TABLE down (id INT NOT NULL PRIMARY KEY, up VARCHAR(40) COLLATE utf8mb4_general_ci, FOREIGN KEY (up) REFERENCES up (name) ON DELETE CASCADE)",
		"INSERT INTO up SELECT CONCAT('Name ', seq) FROM seq_1_to_40", "INSERT INTO down SELECT seq, UPPER(CONCAT('Name ', seq)) FROM seq_1_to_40", "INSERT INTO down VALUES (100, 'name 7  ')")
	if p := dbtest.Cycle(t, w, open2(t, w), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"Name 7"}}}); p.Rows != 3 {
		t.Errorf("%d rows, want 3", p.Rows)
	}
}

func TestNamesThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"", "nonsense", "u:Geheim@tcp(127.0.0.1:1)/", "u:Geheim@tcp(127.0.0.1:1)/a.b", "u:Geheim@[bad/x"} {
		if _, err := mysql.Open(dsn, relational.Options{Name: "shop", Now: time.Now}); fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "Geheim") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}
