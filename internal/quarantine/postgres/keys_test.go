package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/quarantine/dbtest"
)

// A key of any type that can be one, alone and beside a number, with the values that its type has beside
// ordinary ones.
func TestKeysOfEveryType(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ typ, fill, odd string }{
		"numeric":          {"numeric", "g::numeric", "'1000.00', '1e40', 'NaN'"},
		"numeric inf":      {"numeric", "g::numeric", "'Infinity', '-Infinity', '-1.50'"},
		"float8":           {"float8", "g::float8", "'NaN', '-Infinity', '1e-300'"},
		"float4":           {"float4", "g::float4", "'NaN', 'Infinity', '0.1'"},
		"date":             {"date", "DATE '2020-01-01' + g", "'infinity', '0044-03-15 BC', '12345-01-01'"},
		"timestamp":        {"timestamp", "TIMESTAMP '2020-01-01' + g * interval '1 day'", "'-infinity', '0044-03-15 01:02:03 BC', '12345-01-01 00:00:00.000001'"},
		"timestamptz":      {"timestamptz", "TIMESTAMPTZ '2020-01-01 00:00+00' + g * interval '1 day'", "'infinity', '0044-03-15 01:02:03+00 BC', '2026-03-29 01:30:00.000001+05:30'"},
		"timetz":           {"timetz", "TIMETZ '00:00:00+00' + g * interval '1 minute'", "'24:00:00', '23:59:59.999999+15:59:59', '12:00-08'"},
		"time":             {"time", "TIME '00:00' + g * interval '1 minute'", "'24:00:00', '23:59:59.999999', '12:00:30'"},
		"interval":         {"interval", "g * interval '1 minute'", "'1 mon', '-1 year 2 days', '1000000:00:00'"},
		"char":             {"char(5)", "g::text", "'a', ' b', ''"},
		"\"char\"":         {"\"char\"", "chr(47 + g)::\"char\"", "'', 'z', '~'"},
		"bit":              {"bit(7)", "g::bit(7)", "B'1111111', B'1111110', B'1111100'"},
		"varbit":           {"varbit", "g::bit(7)::varbit", "B'', B'1', B'0000000000000000000000000001'"},
		"bytea":            {"bytea", "decode(lpad(to_hex(g), 4, '0'), 'hex')", "'', '\\x00', '\\xff'"},
		"array":            {"int[]", "ARRAY[g]", "'{}', '{1,NULL}', '[5:6]={1,2}'"},
		"text[]":           {"text[]", "ARRAY[g::text]", "'{}', '{\"a,b\",NULL}', '{\"NULL\"}'"},
		"array in domain":  {"shop_path", "ARRAY[g]", "'{}', '{1,2}', '{1,3}'"},
		"jsonb":            {"jsonb", "to_jsonb(g)", "'null', '{\"a\": 1.00}', '\"x\"'"},
		"inet":             {"inet", "'10.0.0.0'::inet + g", "'::1', '10.0.0.1/8', 'ffff::/16'"},
		"macaddr8":         {"macaddr8", "('08:00:2b:01:02:03:04:' || lpad(to_hex(g), 2, '0'))::macaddr8", "'ff:00:2b:01:02:03:04:05', 'fe:00:2b:01:02:03:04:05', 'fd:00:2b:01:02:03:04:05'"},
		"range":            {"int4range", "int4range(g, g + 1)", "'empty', '(,)', '[1000,)'"},
		"composite":        {"shop_pair", "ROW(g, 'x')::shop_pair", "'(1,)', '(,\"a \"\"b\"\"\")', '(2,\"\")'"},
		"enum":             {"shop_mood", "('m' || g)::shop_mood", "'it''s, ok', '', 'O\"k'"},
		"money":            {"money", "g::text::money", "'-92233720368547758.08', '1000.50', '0.01'"},
		"name":             {"name", "g::text::name", "'', 'a b', 'ü'"},
		"pg_lsn":           {"pg_lsn", "('0/' || to_hex(g))::pg_lsn", "'FFFFFFFF/FFFFFFFF', '16/0', '0/FFFFFFFF'"},
		"tsvector":         {"tsvector", "g::text::tsvector", "'', '''a b'':1A', 'x:3'"},
		"xid8":             {"xid8", "g::text::xid8", "'18446744073709551615', '1000', '1001'"},
		"citext":           {"public.citext", "g::text::citext", "'Abc', 'é', ' x'"},
		"ltree":            {"public.ltree", "g::text::ltree", "'a.b', 'A.b', ''"},
		"hstore":           {"public.hstore", "hstore('g', g::text)", "'', 'a=>NULL', 'a=>1'"},
		"cube":             {"public.cube", "cube(g)", "'(1.5,2)', '(1,2),(3,4)', '(0)'"},
		"ci collation":     {"text COLLATE ci", "'n' || g", "'Abc', 'É', ' x'"},
		"domain of citext": {"shop_mail", "'n' || g", "'Abc', 'É', ' x'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := bench(t, false, types(c.typ), fmt.Sprintf("CREATE TABLE single (k %s NOT NULL PRIMARY KEY, v text)", c.typ), fmt.Sprintf("CREATE TABLE pair (n int NOT NULL, k %s NOT NULL, v text, PRIMARY KEY (k, n))", c.typ))
			for _, q := range []string{
				"INSERT INTO single SELECT " + c.fill + ", 'x' FROM generate_series(1, 60) g", "INSERT INTO single SELECT CAST(CAST(k AS text) AS " + uncollated(c.typ) + "), 'odd' FROM unnest(ARRAY[" + c.odd + "]) k",
				"INSERT INTO pair SELECT g, " + c.fill + ", 'x' FROM generate_series(1, 60) g", "INSERT INTO pair SELECT 7, CAST(CAST(k AS text) AS " + uncollated(c.typ) + "), 'odd' FROM unnest(ARRAY[" + c.odd + "]) k"} {
				if _, err := w.SQL.Exec(q); err != nil {
					t.Fatal(err, q)
				}
			}
			for _, table := range []string{"single", "pair"} {
				t.Run(table, func(t *testing.T) { dbtest.Keys(t, w, open(t, w), table, 3) })
				if _, err := w.SQL.Exec("DROP SCHEMA lifeboat_q CASCADE"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// types makes what a type needs that the database does not come with.
func types(typ string) string {
	out := ""
	for name, script := range map[string]string{
		"citext": "CREATE EXTENSION citext", "ltree": "CREATE EXTENSION ltree", "hstore": "CREATE EXTENSION hstore", "cube": "CREATE EXTENSION cube",
		"shop_path": "CREATE DOMAIN shop_path AS int[]", "shop_pair": "CREATE TYPE shop_pair AS (a int, b text)",
		"shop_mail": "CREATE EXTENSION citext; CREATE DOMAIN shop_mail0 AS citext; CREATE DOMAIN shop_mail AS shop_mail0 CHECK (VALUE <> 'never')",
		"COLLATE":   "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
		"shop_mood": `DO $$ BEGIN EXECUTE 'CREATE TYPE shop_mood AS ENUM (''it''''s, ok'', '''', ''O"k'', ' || (SELECT string_agg(quote_literal('m' || g), ', ') FROM generate_series(1, 60) g) || ')'; END $$`,
	} {
		if strings.Contains(typ, name) {
			out += script + "; "
		}
	}
	return out
}

func uncollated(s string) string {
	if s == "text COLLATE ci" {
		return "text"
	}
	return s
}
