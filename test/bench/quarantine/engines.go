package main

import (
	"strings"

	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/mysql"
	"lifeboat/internal/quarantine/postgres"
	"lifeboat/internal/quarantine/sqlite"
)

var engines = []engine{
	{
		name: "postgres", start: onServer(dbtest.Postgres), open: postgres.Open, impolite: "SET lock_timeout = '1ms'",
		fill: append(schema("TEXT", "bigint"), filled("generate_series(1, %d) AS seq", "ANALYZE")...),
		large: `CREATE TABLE large (id bigint PRIMARY KEY, detail text);
CREATE TABLE large_child (id bigint PRIMARY KEY, large_id bigint REFERENCES large ON DELETE CASCADE, detail text);
INSERT INTO large SELECT g, 'a detail of some length ' || g FROM generate_series(1, %d) g;
INSERT INTO large_child SELECT g, %d/2 + g/3, 'child' FROM generate_series(1, 30) g;
CREATE INDEX ON large_child (large_id);
ANALYZE large, large_child`,
		move: byHand("CREATE SCHEMA IF NOT EXISTS hand", "BEGIN", func(table, where string) []string {
			return []string{"CREATE TABLE hand." + table + " (LIKE " + table + ")", "INSERT INTO hand." + table + " SELECT * FROM " + table + " WHERE " + where, "DELETE FROM " + table + " WHERE " + where}
		}),
		restore: backByHand("BEGIN", "DROP TABLE"),
	},
	{
		name: "mariadb", start: onServer(dbtest.MariaDB), open: mysql.Open, impolite: "SET SESSION innodb_lock_wait_timeout = 0",
		fill: append(append(schema("VARCHAR(200)", "bigint"), filled("seq_1_to_%d", "ANALYZE TABLE accounts, orders, order_lines, payments, notes")...), handMade()...),
		large: `CREATE TABLE large (id bigint PRIMARY KEY, detail varchar(200));
CREATE TABLE large_child (id bigint PRIMARY KEY, large_id bigint, detail varchar(200), FOREIGN KEY (large_id) REFERENCES large (id) ON DELETE CASCADE);
INSERT INTO large SELECT seq, concat('a detail of some length ', seq) FROM seq_1_to_%d;
INSERT INTO large_child SELECT seq, %d DIV 2 + seq DIV 3, 'child' FROM seq_1_to_30;
ANALYZE TABLE large, large_child`,
		move: byHand("DO 0", "BEGIN", func(table, where string) []string { // DDL would commit: the tables are there before
			return []string{"INSERT INTO hand." + table + " SELECT * FROM " + table + " WHERE " + where, "DELETE FROM " + table + " WHERE " + where}
		}),
		restore: backByHand("BEGIN", "TRUNCATE TABLE"),
		archive: func(s *dbtest.Server) [][]string {
			var out [][]string
			for i := len(tables) - 1; i >= 0; i-- {
				out = append(out, []string{
					"--source", "S=" + s.Socket + ",D=shop,t=" + tables[i].name + ",u=root", "--dest", "D=hand", "--where", tables[i].where, "--limit", "1000", "--commit-each",
					"--bulk-delete", "--bulk-insert", "--no-check-charset", "--no-safe-auto-increment", "--no-version-check",
				})
			}
			return out
		},
	},
	{
		name: "sqlite", start: inFile, open: sqlite.Open,
		fill: append(schema("TEXT", "INTEGER"), filled("(WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) SELECT seq FROM n)", "ANALYZE")...),
		large: `CREATE TABLE large (id INTEGER PRIMARY KEY, detail TEXT);
CREATE TABLE large_child (id INTEGER PRIMARY KEY, large_id INTEGER REFERENCES large ON DELETE CASCADE, detail TEXT);
WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) INSERT INTO large SELECT seq, 'a detail of some length ' || seq FROM n;
WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < 30) INSERT INTO large_child SELECT seq, %d/2 + seq/3, 'child' FROM n;
CREATE INDEX large_child_of ON large_child (large_id)`,
		move: byHand("SELECT 1", "BEGIN IMMEDIATE", func(table, where string) []string {
			return []string{"CREATE TABLE hand_" + table + " AS SELECT * FROM " + table + " WHERE " + where, "DELETE FROM " + table + " WHERE " + where}
		}),
		restore: dotless(backByHand("BEGIN IMMEDIATE", "DROP TABLE")),
	},
}

// dotless names the tables of a hand with an underscore, where there are no schemas.
func dotless(statements []string) []string {
	for i, s := range statements {
		statements[i] = strings.ReplaceAll(s, "hand.", "hand_")
	}
	return statements
}

// handMade are the tables that a script on MariaDB needs beforehand.
func handMade() []string {
	out := []string{"CREATE DATABASE hand"}
	for _, t := range tables {
		out = append(out, "CREATE TABLE hand."+t.name+" LIKE "+t.name)
	}
	return out
}

// tables are parents first, with the rows of account 7.
var tables = []struct{ name, where string }{
	{"accounts", "id = 7"},
	{"orders", "account_id = 7"},
	{"notes", "account_id = 7"},
	{"order_lines", "order_id IN (SELECT id FROM orders WHERE account_id = 7)"},
	{"payments", "order_id IN (SELECT id FROM orders WHERE account_id = 7)"},
}

// schema is the five tables.
func schema(text, big string) []string {
	r := strings.NewReplacer("TEXT", text, "BIG", big)
	var out []string
	for _, s := range []string{
		"CREATE TABLE accounts (id BIG PRIMARY KEY, name TEXT)",
		"CREATE TABLE orders (id BIG PRIMARY KEY, account_id BIG NOT NULL, total NUMERIC(12,2), detail TEXT, FOREIGN KEY (account_id) REFERENCES accounts (id))",
		"CREATE TABLE order_lines (id BIG PRIMARY KEY, order_id BIG NOT NULL, note TEXT, amount INT, FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE)",
		"CREATE TABLE payments (id BIG PRIMARY KEY, order_id BIG NOT NULL, total NUMERIC(12,2), FOREIGN KEY (order_id) REFERENCES orders (id))",
		"CREATE TABLE notes (id BIG PRIMARY KEY, account_id BIG NOT NULL, said TEXT, FOREIGN KEY (account_id) REFERENCES accounts (id))",
		"CREATE INDEX orders_account ON orders (account_id)", "CREATE INDEX lines_order ON order_lines (order_id)",
		"CREATE INDEX payments_order ON payments (order_id)", "CREATE INDEX notes_account ON notes (account_id)",
	} {
		out = append(out, r.Replace(s))
	}
	return out
}

// filled is 21 accounts with 1,000 orders, 7,000 lines, 1,000 payments and 999 notes
// each: 10,000 rows an account.
func filled(series string, last ...string) []string {
	from := func(n string) string { return strings.ReplaceAll(series, "%d", n) }
	return append([]string{
		"INSERT INTO accounts SELECT seq, 'an account' FROM " + from("21"),
		"INSERT INTO orders SELECT seq + 999, FLOOR((seq + 999) / 1000), 19.90, 'an order with some words in it' FROM " + from("21000"),
		"INSERT INTO order_lines SELECT seq, FLOOR((seq - 1) / 7) + 1000, 'a line with some words in it', 3 FROM " + from("147000"),
		"INSERT INTO payments SELECT seq, seq + 999, 19.90 FROM " + from("21000"),
		"INSERT INTO notes SELECT seq, FLOOR((seq - 1) / 999) + 1, 'somebody called and said something' FROM " + from("20979"),
	}, last...)
}

// byHand is the move as a person would write it: copy all, then delete leaves first,
// in one transaction.
func byHand(first, begin string, each func(table, where string) []string) []string {
	out := []string{first, begin}
	for i := len(tables) - 1; i >= 0; i-- {
		out = append(out, each(tables[i].name, tables[i].where)...)
	}
	return append(out, "COMMIT")
}

// backByHand puts back what lies in hand.
func backByHand(begin, drop string) []string {
	out := []string{begin}
	for _, t := range tables {
		out = append(out, "INSERT INTO "+t.name+" SELECT * FROM hand."+t.name)
	}
	if drop == "DROP TABLE" {
		for _, t := range tables {
			out = append(out, "DROP TABLE hand."+t.name)
		}
		return append(out, "COMMIT")
	}
	out = append(out, "COMMIT")
	for _, t := range tables {
		out = append(out, drop+" hand."+t.name)
	}
	return out
}
