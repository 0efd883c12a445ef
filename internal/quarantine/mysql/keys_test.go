package mysql_test

import (
	"strings"
	"testing"

	"lifeboat/internal/quarantine/dbtest"
)

// A key of any type that can be one, alone and beside a number, with the values that its type has beside
// ordinary ones.
func TestKeysOfEveryType(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ typ, fill, odd string }{
		"date":      {"DATE", "'2020-01-01' + INTERVAL seq DAY", "('0000-00-00'), ('2026-02-31'), ('9999-12-31')"},
		"datetime":  {"DATETIME(6)", "'2020-01-01' + INTERVAL seq DAY", "('0000-00-00'), ('2026-02-31 01:02:03.000001'), ('2026-00-00 00:00:00')"},
		"timestamp": {"TIMESTAMP(3)", "'2020-01-01' + INTERVAL seq DAY", "('0000-00-00'), ('2026-03-29 01:30:00.001'), ('2038-01-19 03:14:07.999')"},
		"time":      {"TIME(6)", "SEC_TO_TIME(seq)", "('-838:59:59.000001'), ('838:59:59'), ('100:00:00')"},
		"year":      {"YEAR", "1950 + seq", "('0000'), (2155), (1901)"},
		"bit":       {"BIT(64)", "seq", "(b'1111111111111111111111111111111111111111111111111111111111111111'), (0), (1000)"},
		"set":       {"SET('a','b','c','d','e','f','g')", "seq", "(''), ('a,b,c,d,e,f,g'), ('b,g')"},
		"enum":      {"ENUM('q','b','c','d','e','f','','1','2')", "seq", "('q'), ('1'), ('2')"},
		"inet6":     {"INET6", "CONCAT('::', HEX(seq))", "('::ffff:10.0.0.1'), ('::'), ('ffff::')"},
		"inet4":     {"INET4", "CONCAT('10.0.0.', seq)", "('255.255.255.255'), ('0.0.0.0'), ('49.50.51.52')"},
		"uuid":      {"UUID", "UUID()", "('00000000-0000-0000-0000-000000000000'), ('6F1ED002AB5D4C5BB4CB0242AC110002'), ('ffffffff-ffff-ffff-ffff-ffffffffffff')"},
		"decimal":   {"DECIMAL(65,0)", "seq", "(99999999999999999999999999999999999999999999999999999999999999999), (-99999999999999999999999999999999999999999999999999999999999999999), (0)"},
		"decimal30": {"DECIMAL(50,30)", "seq", "(0.000000000000000000000000000001), (1000), (-0.5)"},
		"float":     {"FLOAT", "seq", "(0.1), (1.17549435e-38), (3.40282347e38)"},
		"float73":   {"FLOAT(7,3)", "seq", "(0.1), (1234.567), (-0.001)"},
		"double":    {"DOUBLE", "seq", "(0.1e0 + 0.2e0), (2.2250738585072014e-308), (1.7976931348623157e308)"},
		"zerofill":  {"INT(5) ZEROFILL", "seq", "(0), (4294967295), (100)"},
		"latin1":    {"VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "CONCAT('n', seq)", "('Äö€'), (''), ('a''b\\\\')"},
		"latin1bin": {"VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin", "CONCAT('n', seq)", "('Ä'), ('ä'), ('€')"},
		"ucs2":      {"VARCHAR(20) CHARACTER SET ucs2", "CONCAT('n', seq)", "('Ä'), ('漢'), ('')"},
		"utf16":     {"VARCHAR(20) CHARACTER SET utf16", "CONCAT('n', seq)", "('Ä'), ('𝄞'), ('')"},
		"nopad":     {"VARCHAR(20) COLLATE utf8mb4_nopad_bin", "CONCAT('n', seq)", "('a'), ('a '), ('A')"},
		"ci":        {"VARCHAR(20) COLLATE utf8mb4_general_ci", "CONCAT('n', seq)", "('Äb '), ('c'), ('')"},
		"char":      {"CHAR(5)", "CONCAT('n', seq)", "('ab'), (''), (' x')"},
		"binary":    {"BINARY(4)", "CHAR(seq)", "(x'00000000'), (x'ff'), (x'27005c27')"},
		"varbinary": {"VARBINARY(9)", "CHAR(seq)", "(''), (x'ff'), (x'ff00')"},
		"sjis":      {"VARCHAR(20) CHARACTER SET sjis", "CONCAT('n', seq)", "('表'), ('ソ'), ('')"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			numbers := "seq_1_to_60"
			if name == "enum" { // it has few values
				numbers = "seq_2_to_6"
			}
			mode := "SET STATEMENT sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00' FOR "
			w := bench(t, false, "CREATE TABLE single (k "+c.typ+" NOT NULL PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE pair (n INT NOT NULL, k "+c.typ+" NOT NULL, v VARCHAR(20), PRIMARY KEY (k, n))",
				mode+"INSERT INTO single SELECT "+c.fill+", 'x' FROM "+numbers, mode+"INSERT INTO single (k) VALUES "+c.odd, "UPDATE single SET v = 'odd' WHERE v IS NULL",
				mode+"INSERT INTO pair SELECT seq, "+c.fill+", 'x' FROM "+numbers, mode+"INSERT INTO pair (n, k) SELECT 7, k FROM single WHERE v = 'odd'", "UPDATE pair SET v = 'odd' WHERE v IS NULL")
			for _, table := range []string{"single", "pair"} {
				t.Run(table, func(t *testing.T) { dbtest.Keys(t, w, open2(t, w), table, 3) })
				if _, err := w.SQL.Exec("DROP DATABASE lifeboat_q_" + w.DSN[strings.LastIndex(w.DSN, "/")+1:]); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
