package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

func (d *dialect) Quote(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, "\x00", ""), `"`, `""`) + `"`
}

func (d *dialect) Place(n int) string { return fmt.Sprintf("$%d", n) }

func (d *dialect) Target(i *relational.Info) string { return d.Quote(i.Schema) + "." + d.Quote(i.Name) }

// Source leaves inheritance children out: they have their own keys.
func (d *dialect) Source(i *relational.Info) string {
	if i.Partitioned {
		return d.Target(i)
	}
	return "ONLY " + d.Target(i)
}

func (d *dialect) Hold(name string) string { return Schema + "." + d.Quote(name) }

func (d *dialect) ForUpdate(alias string) string {
	if alias == "" {
		return " FOR UPDATE"
	}
	return " FOR UPDATE OF " + alias
}

func (d *dialect) Overriding() string { return " OVERRIDING SYSTEM VALUE" }

func (d *dialect) KeyText(alias string, c quarantine.Column) string {
	if c.Class == quarantine.ClassBytes {
		return "encode(" + relational.Cell(d, alias, c.Name) + "::bytea, 'hex')"
	}
	return relational.Cell(d, alias, c.Name) + "::text"
}

var (
	oddNumber = regexp.MustCompile(`(?i)^(nan|[+-]?inf(inity)?)$`)
	oddTime   = regexp.MustCompile(`(?i)^([+-]?infinity|[0-9]{4,7}-[0-9]{2}-[0-9]{2}( [0-9:.]{5,15}([+-][0-9:]{2,8})?)?( BC)?)$`)
	oddZone   = regexp.MustCompile(`^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?[+-][0-9]{2}:[0-9]{2}:[0-9]{2}$`)
)

// Odd implements relational.Dialect: no number and infinite ones, times without an end,
// years before the first and after the 9999th, zones to the second.
func (d *dialect) Odd(c quarantine.Column, text string) bool {
	switch c.Class {
	case quarantine.ClassDecimal, quarantine.ClassFloat:
		return oddNumber.MatchString(text)
	case quarantine.ClassDate, quarantine.ClassStamp:
		return oddTime.MatchString(text)
	case quarantine.ClassTime:
		return oddZone.MatchString(text)
	}
	return false
}

// Hash hashes the text form of the row, which every type has and which loses nothing.
func (d *dialect) Hash(alias string, _ *relational.Info, columns []string) string {
	return "encode(" + d.digest(alias, columns) + ", 'hex')"
}

func (d *dialect) digest(alias string, columns []string) string {
	return "sha256(convert_to(" + rowText(d, alias, columns) + ", 'UTF8'))"
}

// Differs compares the images of rows first, as REFRESH MATERIALIZED VIEW does: that is
// quick, and the texts decide where images alone differ.
func (d *dialect) Differs(table, hold string, _, _ *relational.Info, columns []string) string {
	texts := rowText(d, table, columns) + " <> " + rowText(d, hold, columns)
	if columns != nil {
		return texts
	}
	return "(" + table + ".* OPERATOR(pg_catalog.*<>) " + hold + ".* AND " + texts + ")"
}

func rowText(d *dialect, alias string, columns []string) string {
	if columns != nil {
		return "ROW(" + relational.Columns(d, alias, columns) + ")::text"
	}
	return "(" + alias + ".*)::text"
}

// SetHash sorts the hashes as bytes: as text that takes twice as long.
func (d *dialect) SetHash(alias string, _ *relational.Info, columns []string) string {
	digest := d.digest(alias, columns)
	return "encode(sha256(convert_to(encode(coalesce(string_agg(" + digest + ", '' ORDER BY " + digest + "), ''), 'hex'), 'UTF8')), 'hex')"
}

// Image implements relational.Dialect. The text form of a row says itself where it ends.
func (d *dialect) Image(alias string, i *relational.Info) string {
	return "encode(sha256(convert_to(coalesce(string_agg(" + rowText(d, alias, nil) + ", '' ORDER BY " + relational.Columns(d, alias, i.Key) + "), ''), 'UTF8')), 'hex')"
}

func (d *dialect) Size(alias string, _ *relational.Info) string {
	return "pg_column_size(" + alias + ".*)"
}

func (d *dialect) Few(hold, table, on string) string { return table + " JOIN " + hold + " ON " + on }

func (d *dialect) Same(a, b string, _ quarantine.Column) string {
	return "(" + a + ")::text IS NOT DISTINCT FROM (" + b + ")::text"
}

// Named is of a name behind its schema.
func (d *dialect) Named(name string) string {
	schema, name, _ := strings.Cut(name, ".")
	return d.Quote(schema) + "." + d.Quote(name)
}

func cast(c quarantine.Column) string {
	if c.Cast != "" {
		return c.Cast
	}
	return c.Type
}

// input is a key text as the type reads it.
func input(c quarantine.Column, text string) string {
	if c.Class == quarantine.ClassBytes {
		return `\x` + text
	}
	return text
}

func (d *dialect) Literal(b *relational.Builder, c quarantine.Column, text string) string {
	return "CAST(CAST(" + b.Arg(input(c, text)) + " AS text) AS " + cast(c) + ")"
}

func (d *dialect) MatchKeys(b *relational.Builder, alias string, i *relational.Info, keys []quarantine.Key) string {
	columns := make([]quarantine.Column, len(i.Key))
	places := make([]string, len(i.Key))
	for n, name := range i.Key {
		columns[n], _ = i.Column(name)
		list := make([]string, len(keys))
		for k := range keys {
			list[k] = input(columns[n], keys[k][n])
		}
		if len(i.Key) == 1 && columns[n].Class == quarantine.ClassInteger && !slices.ContainsFunc(list, notWhole) {
			// A list of numbers needs no quotes, and is read once instead of twice.
			return relational.Compared(d, columns[n], relational.Cell(d, alias, name), "=", "ANY(CAST(CAST("+b.Arg("{"+strings.Join(list, ",")+"}")+" AS text) AS "+cast(columns[n])+"[]))")
		}
		places[n] = "CAST(" + b.Arg(list) + " AS text[])"
	}
	if len(columns) == 1 && !isArray(columns[0]) {
		return relational.Compared(d, columns[0], relational.Cell(d, alias, i.Key[0]), "=", "ANY(CAST("+places[0]+" AS "+cast(columns[0])+"[]))")
	}
	names, casts, same := make([]string, len(columns)), make([]string, len(columns)), make([]string, len(columns))
	foreign := false
	for n, c := range columns {
		names[n] = fmt.Sprintf("lifeboat_k%d", n) // like no column of theirs
		casts[n] = "CAST(" + names[n] + " AS " + cast(c) + ")"
		same[n] = relational.Compared(d, c, relational.Cell(d, alias, c.Name), "=", casts[n])
		foreign = foreign || c.Operators != ""
	}
	if foreign { // IN knows one operator only
		return "EXISTS (SELECT FROM unnest(" + strings.Join(places, ", ") + ") AS u(" + strings.Join(names, ", ") + ") WHERE " + strings.Join(same, " AND ") + ")"
	}
	return "(" + relational.Columns(d, alias, i.Key) + ") IN (SELECT " + strings.Join(casts, ", ") + " FROM unnest(" + strings.Join(places, ", ") + ") AS u(" + strings.Join(names, ", ") + "))"
}

// isArray says that a column's cells are lists themselves, which ANY would take apart.
func isArray(c quarantine.Column) bool { return strings.HasSuffix(c.Type, "]") }

// notWhole says that a text is anything but a whole number.
func notWhole(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits == "" || strings.Trim(digits, "0123456789") != ""
}

func (d *dialect) Chunk(*relational.Info) int { return 200_000 }

func (d *dialect) Together() bool { return true }

// Delete takes a list of keys where it can: the planner likes to merge a whole index with
// some copies.
func (d *dialect) Delete(b *relational.Builder, parts []relational.Part) string {
	return counted(parts, func(p relational.Part) string {
		if c, _ := p.Info.Column(p.Info.Key[0]); len(p.Info.Key) == 1 && !isArray(c) {
			return "DELETE FROM " + d.Source(p.Info) + " t WHERE " + relational.Compared(d, c, relational.Columns(d, "t", p.Info.Key), "=", "ANY(ARRAY(SELECT "+relational.Columns(d, "h", p.Info.Key)+" FROM "+p.Hold+" h"+p.Narrow(b, " WHERE ", "h")+"))")
		}
		s := "DELETE FROM " + d.Source(p.Info) + " t USING " + p.Hold + " h WHERE " + relational.Joined(d, "t", "h", p.Info, p.Info.Key)
		return s + p.Narrow(b, " AND ", "t")
	})
}

func (d *dialect) Insert(b *relational.Builder, parts []relational.Part) string {
	return counted(parts, func(p relational.Part) string {
		return "INSERT INTO " + d.Target(p.Info) + " (" + relational.Columns(d, "", p.Columns) + ")" + d.Overriding() + " SELECT " + p.Values(d, "h") + " FROM " + p.Hold + " h" + p.Narrow(b, " WHERE ", "h")
	})
}

// InsertSame compares images only: where one differs, a longer look decides.
func (d *dialect) InsertSame(p relational.Part) string {
	return "WITH t AS (" + d.Insert(nil, []relational.Part{p}) + " RETURNING *) SELECT (SELECT count(*) FROM t), count(*) FROM t JOIN " + p.Hold + " h ON " +
		relational.Joined(d, "t", "h", p.Info, p.Info.Key) + " WHERE t.* OPERATOR(pg_catalog.*<>) h.*"
}

// counted runs statements as one, so that what they refer to is checked at its end.
func counted(parts []relational.Part, statement func(relational.Part) string) string {
	if len(parts) == 1 {
		return statement(parts[0])
	}
	with, counts := make([]string, len(parts)), make([]string, len(parts))
	for n, p := range parts {
		with[n] = fmt.Sprintf("s%d AS (%s RETURNING 1)", n, statement(p))
		counts[n] = fmt.Sprintf("(SELECT count(*) FROM s%d)", n)
	}
	return "WITH " + strings.Join(with, ", ") + " SELECT " + strings.Join(counts, ", ")
}

func (d *dialect) UpdateFrom(i *relational.Info, hold string, sets, where []string) string {
	return "UPDATE " + d.Source(i) + " t SET " + strings.Join(sets, ", ") + " FROM " + hold + " h WHERE " + strings.Join(append([]string{relational.Joined(d, "t", "h", i, i.Key)}, where...), " AND ")
}

func (d *dialect) Breaks(quarantine.Link) bool { return false } // one statement takes a circle whole

func (d *dialect) DDLCommits() bool { return false }

func (d *dialect) Prepare() []string {
	return []string{
		// IF NOT EXISTS asks for the right to create schemas even where there is one.
		"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '" + Schema + "') THEN CREATE SCHEMA " + Schema + "; END IF; END $$",
		"CREATE TABLE " + d.Hold("op") + ` (id text PRIMARY KEY, plan_hash text NOT NULL, kind text NOT NULL, mode text NOT NULL, state text NOT NULL, root text NOT NULL,
			by_whom text NOT NULL, incident text NOT NULL, reason text NOT NULL, manifest text NOT NULL, started text NOT NULL, changed text NOT NULL,
			moved bigint NOT NULL, rest text NOT NULL, at_row bigint NOT NULL, is_batch smallint NOT NULL)`,
		"CREATE TABLE " + d.Hold("act") + ` (op text NOT NULL, id text NOT NULL, verb text NOT NULL, by_whom text NOT NULL, at text NOT NULL, moved bigint NOT NULL, note text NOT NULL, PRIMARY KEY (op, id))`,
		"CREATE TABLE " + d.Hold("gone") + ` (op text NOT NULL, hold text NOT NULL, row_key text NOT NULL, state text NOT NULL)`,
		"CREATE INDEX ON " + d.Hold("gone") + " (op)",
	}
}

func (d *dialect) CreateHold(hold string, i *relational.Info) string {
	return "CREATE TABLE " + hold + " (LIKE " + d.Target(i) + ")"
}

func (d *dialect) CreateHoldOf(hold string, i *relational.Info, columns []string) string {
	return "CREATE TABLE " + hold + " AS SELECT " + relational.Columns(d, "", columns) + " FROM " + d.Target(i) + " WITH NO DATA"
}

func (d *dialect) HoldsComputed() bool { return true }

func (d *dialect) Fill() string { return "" }

func (d *dialect) CopyHold(hold, of string) string {
	return "CREATE TABLE " + hold + " (LIKE " + of + ")"
}

func (d *dialect) DropHold(hold string) string { return "DROP TABLE IF EXISTS " + hold }

func (d *dialect) CountHolds(holds []string) string { return "ANALYZE " + strings.Join(holds, ", ") }

func (d *dialect) Holds(ctx context.Context, q relational.Querier) ([]string, error) {
	lines, err := relational.Texts(ctx, q, "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '"+Schema+"' AND c.relkind = 'r'")
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[0]
	}
	return out, err
}

func (d *dialect) HasOp(ctx context.Context, q relational.Querier) (bool, error) {
	lines, err := relational.Texts(ctx, q, "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '"+Schema+"' AND c.relname = 'op'")
	return len(lines) > 0, err
}

// LockTables lets everybody read and write, and keeps the shape.
func (d *dialect) LockTables(ctx context.Context, q relational.Querier, tables []*relational.Info) error {
	if len(tables) == 0 {
		return nil
	}
	names := make([]string, len(tables))
	for n, i := range tables {
		names[n] = d.Source(i)
	}
	_, err := q.ExecContext(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN ROW EXCLUSIVE MODE")
	return err
}

// Touched asks the counters of statistics, which this session has for itself until its
// transaction ends. They may also hold what was before it, so that only differences count.
func (d *dialect) Touched(ctx context.Context, q relational.Querier, tables []*relational.Info) (int64, error) {
	names := make([]string, len(tables))
	for n, i := range tables {
		names[n] = d.Target(i)
	}
	lines, err := relational.Texts(ctx, q, `SELECT CASE WHEN current_setting('track_counts')::bool THEN COALESCE(sum(pg_stat_get_xact_tuples_deleted(p.id) + pg_stat_get_xact_tuples_updated(p.id)), 0) ELSE -1 END
		FROM unnest(CAST($1 AS regclass[])) t(id), LATERAL (SELECT t.id UNION SELECT relid FROM pg_partition_tree(t.id)) p(id)`, names)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(lines[0][0], 10, 64)
}

func (d *dialect) SettleConstraints(ctx context.Context, q relational.Querier) error {
	_, err := q.ExecContext(ctx, "SET CONSTRAINTS ALL IMMEDIATE")
	return err
}

// AfterInsert raises sequences above keys that came back, and never lowers one. Sequences
// belong to columns that have their default, or their identity, from them. Those that count
// downwards or begin again are left alone, and so are those whose numbers are part of texts;
// a number that somebody chose beyond the end of a sequence is nothing to it.
func (d *dialect) AfterInsert(ctx context.Context, q relational.Querier, back []relational.Part) error {
	back = slices.DeleteFunc(back, func(p relational.Part) bool {
		return !slices.ContainsFunc(p.Info.Columns, func(c quarantine.Column) bool { return c.Default || c.Identity != "" })
	})
	if len(back) == 0 {
		return nil
	}
	names := make([]string, len(back))
	for n, p := range back {
		names[n] = d.Target(p.Info)
	}
	lines, err := relational.Texts(ctx, q, `SELECT o.n - 1, a.attname, n.nspname, s.relname, p.seqmax FROM unnest(CAST($1 AS text[])) WITH ORDINALITY o(name, n)
		JOIN pg_depend d ON d.refobjid = CAST(o.name AS regclass) JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
		JOIN pg_sequence p ON p.seqrelid = s.oid AND p.seqincrement > 0 AND NOT p.seqcycle
		JOIN pg_namespace n ON n.oid = s.relnamespace JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
		AND CASE WHEN s.relkind = 'S' THEN has_sequence_privilege(s.oid, 'SELECT') AND has_sequence_privilege(s.oid, 'UPDATE') END`, names)
	if err != nil {
		return err
	}
	for _, l := range lines {
		at, err := strconv.Atoi(l[0])
		if err != nil {
			return err
		}
		column, _ := back[at].Info.Column(l[1])
		if column.Class != quarantine.ClassInteger && column.Class != quarantine.ClassDecimal {
			continue
		}
		sequence, cell := d.Quote(l[2])+"."+d.Quote(l[3]), d.Quote(l[1])
		_, err = relational.Texts(ctx, q, "SELECT CASE WHEN m.top > s.last_value THEN setval(CAST(CAST($1 AS text) AS regclass), m.top) END FROM "+sequence+
			" s, (SELECT max("+cell+")::bigint AS top FROM "+back[at].Hold+" WHERE "+cell+" BETWEEN 1 AND CAST(CAST($2 AS text) AS bigint)) m", sequence, l[4])
		if err != nil {
			return err
		}
	}
	return nil
}

// Relax gives the role's own search path back.
func (d *dialect) Relax(ctx context.Context, q relational.Querier) error {
	_, err := q.ExecContext(ctx, "SET LOCAL search_path TO DEFAULT")
	return err
}
