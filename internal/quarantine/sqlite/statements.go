package sqlite

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

func (d *dialect) Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (d *dialect) Place(int) string { return "?" }

func (d *dialect) Source(i *relational.Info) string { return d.Quote(i.Name) }

func (d *dialect) Target(i *relational.Info) string { return d.Quote(i.Name) }

func (d *dialect) Hold(name string) string { return d.Quote(Prefix + name) }

func (d *dialect) ForUpdate(string) string { return "" } // the writer has the file to itself

func (d *dialect) Overriding() string { return "" }

// KeyText is the value itself where its type is what the column promises.
func (d *dialect) KeyText(alias string, c quarantine.Column) string {
	cell := relational.Cell(d, alias, c.Name)
	natural, text := "text", "lifeboat_text("+cell+", 1)"
	switch c.Class {
	case quarantine.ClassInteger:
		natural, text = "integer", "CAST("+cell+" AS TEXT)"
	case quarantine.ClassFloat:
		natural, text = "real", "quote("+cell+")"
	case quarantine.ClassDecimal: // keeps 1.0 as 1, so that the two need not be told apart
		return "CASE WHEN typeof(" + cell + ") IN ('integer', 'real') THEN quote(" + cell + ") WHEN typeof(" + cell + ") = 'text' THEN lifeboat_text(" + cell + ", 0) ELSE char(1) || quote(" + cell + ") END"
	case quarantine.ClassBytes:
		natural, text = "blob", "lower(hex("+cell+"))"
	}
	return "CASE typeof(" + cell + ") WHEN '" + natural + "' THEN " + text + " WHEN 'text' THEN lifeboat_text(" + cell + ", 0) ELSE char(1) || quote(" + cell + ") END"
}

// Odd implements relational.Dialect: any value may be in any column.
func (d *dialect) Odd(_ quarantine.Column, text string) bool { return strings.HasPrefix(text, marked) }

const maxArguments = 100 // of a function, safely below SQLite's limit

func (d *dialect) Hash(alias string, i *relational.Info, columns []string) string {
	return "lifeboat_hash(" + d.hashed(alias, i, columns) + ")"
}

// SetHash hashes each row as Hash does, and all of them in one go.
func (d *dialect) SetHash(alias string, i *relational.Info, columns []string) string {
	return "lifeboat_set_hash(" + d.hashed(alias, i, columns) + ")"
}

// hashed are the arguments of a hash: the cells, or hashes of some of them each where
// there are too many for one call.
func (d *dialect) hashed(alias string, i *relational.Info, columns []string) string {
	if columns == nil {
		columns = i.Names()
	}
	if len(columns) <= maxArguments {
		return relational.Columns(d, alias, columns)
	}
	var parts []string
	for some := range slices.Chunk(columns, maxArguments) {
		parts = append(parts, "lifeboat_hash("+relational.Columns(d, alias, some)+")")
	}
	return strings.Join(parts, ", ")
}

// Differs compares values and their types: 1 and 1.0 are equal, and not the same. Where the
// column has an affinity it keeps one of the two only (https://sqlite.org/datatype3.html,
// section 3), so that types need be looked at in the others alone.
func (d *dialect) Differs(table, hold string, now, _ *relational.Info, columns []string) string {
	if columns == nil {
		columns = now.Names()
	}
	parts := []string{"false"}
	for _, name := range columns {
		if now.RowKey && name == now.Key[0] {
			continue // joined by it: a number like any other
		}
		a, b := relational.Cell(d, table, name), relational.Cell(d, hold, name)
		parts = append(parts, a+" COLLATE BINARY IS NOT "+b)
		if c, _ := now.Column(name); affinity(c.Type) == "" {
			parts = append(parts, "typeof("+a+") <> typeof("+b+")")
		}
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// Image hashes the rows themselves and not their hashes.
func (d *dialect) Image(alias string, i *relational.Info) string {
	return "lifeboat_image(" + d.hashed(alias, i, nil) + ")"
}

func (d *dialect) Size(alias string, i *relational.Info) string {
	parts := make([]string, len(i.Columns))
	for n, c := range i.Columns {
		parts[n] = "COALESCE(octet_length(" + relational.Cell(d, alias, c.Name) + "), 1)"
	}
	return strings.Join(parts, " + ")
}

// Few says the order: nothing is known here of how many rows a new table has.
func (d *dialect) Few(hold, table, on string) string {
	return hold + " CROSS JOIN " + table + " ON " + on
}

func (d *dialect) Same(a, b string, _ quarantine.Column) string { return a + " IS " + b }

func (d *dialect) Named(name string) string { return d.Quote(name) }

func (d *dialect) Literal(b *relational.Builder, c quarantine.Column, text string) string {
	if c.Class == quarantine.ClassBool && !strings.HasPrefix(text, marked) {
		return b.Arg(map[string]int64{"true": 1, "t": 1, "1": 1}[text])
	}
	return b.Arg(value(c, text))
}

func (d *dialect) MatchKeys(b *relational.Builder, alias string, i *relational.Info, keys []quarantine.Key) string {
	columns := make([]quarantine.Column, len(i.Key))
	for n, name := range i.Key {
		columns[n], _ = i.Column(name)
	}
	if i.RowKey { // one list of numbers, which is bound and read as one
		list := make([]string, len(keys))
		for k, key := range keys {
			list[k] = "null" // what is no number is no key here
			if n, err := strconv.ParseInt(key[0], 10, 64); err == nil {
				list[k] = strconv.FormatInt(n, 10)
			}
		}
		return relational.Cell(d, alias, i.Key[0]) + " IN (SELECT value FROM json_each(" + b.Arg("["+strings.Join(list, ",")+"]") + "))"
	}
	rows := make([]string, len(keys))
	for k, key := range keys {
		places := make([]string, len(columns))
		for n, c := range columns {
			places[n] = b.Arg(value(c, key[n]))
		}
		rows[k] = strings.Join(places, ", ")
	}
	if len(columns) == 1 {
		return relational.Cell(d, alias, i.Key[0]) + " IN (" + strings.Join(rows, ", ") + ")"
	}
	return "(" + relational.Columns(d, alias, i.Key) + ") IN (VALUES (" + strings.Join(rows, "), (") + "))"
}

// Chunk is bounded by how many values a statement takes, if they are not one list.
func (d *dialect) Chunk(i *relational.Info) int {
	if i.RowKey {
		return 200_000
	}
	return 1000
}

func (d *dialect) Together() bool { return false }

func (d *dialect) Delete(b *relational.Builder, parts []relational.Part) string {
	p := parts[0]
	return "DELETE FROM " + d.Source(p.Info) + " AS t WHERE (" + relational.Columns(d, "t", p.Info.Key) + ") IN (SELECT " + relational.Columns(d, "h", p.Info.Key) + " FROM " + p.Hold + " h" + p.Narrow(b, " WHERE ", "h") + ")"
}

func (d *dialect) Insert(b *relational.Builder, parts []relational.Part) string {
	p := parts[0]
	return "INSERT INTO " + d.Target(p.Info) + " (" + relational.Columns(d, "", p.Columns) + ") SELECT " + p.Values(d, "h") + " FROM " + p.Hold + " h" + p.Narrow(b, " WHERE ", "h")
}

// InsertSame implements relational.Dialect: what comes back is read again.
func (d *dialect) InsertSame(relational.Part) string { return "" }

func (d *dialect) UpdateFrom(i *relational.Info, hold string, sets, where []string) string {
	where = append([]string{
		relational.Joined(d, "t", "h", i, i.Key),
		"(" + relational.Columns(d, "t", i.Key) + ") IN (SELECT " + relational.Columns(d, "k", i.Key) + " FROM " + hold + " k)",
	}, where...)
	return "UPDATE " + d.Source(i) + " AS t SET " + strings.Join(sets, ", ") + " FROM " + hold + " AS h WHERE " + strings.Join(where, " AND ")
}

// Breaks: other actions can wait for the end of the transaction; restrict never does.
func (d *dialect) Breaks(l quarantine.Link) bool { return l.OnDelete == "restrict" }

func (d *dialect) DDLCommits() bool { return false }

func (d *dialect) Prepare() []string {
	return []string{
		"CREATE TABLE " + d.Hold("op") + ` (id TEXT PRIMARY KEY NOT NULL, plan_hash TEXT NOT NULL, kind TEXT NOT NULL, mode TEXT NOT NULL, state TEXT NOT NULL, root TEXT NOT NULL,
			by_whom TEXT NOT NULL, incident TEXT NOT NULL, reason TEXT NOT NULL, manifest TEXT NOT NULL, started TEXT NOT NULL, changed TEXT NOT NULL,
			moved INTEGER NOT NULL, rest TEXT NOT NULL, at_row INTEGER NOT NULL, is_batch INTEGER NOT NULL)`,
		"CREATE TABLE " + d.Hold("act") + ` (op TEXT NOT NULL, id TEXT NOT NULL, verb TEXT NOT NULL, by_whom TEXT NOT NULL, at TEXT NOT NULL, moved INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (op, id))`,
		"CREATE TABLE " + d.Hold("gone") + ` (op TEXT NOT NULL, hold TEXT NOT NULL, row_key TEXT NOT NULL, state TEXT NOT NULL)`,
		"CREATE INDEX " + d.Hold("gone_op") + " ON " + d.Hold("gone") + " (op)",
	}
}

func (d *dialect) CreateHold(hold string, i *relational.Info) string {
	return d.CreateHoldOf(hold, i, i.Names())
}

// CreateHoldOf indexes the key, for the joins with large tables and many copies. The
// number of a row is the number of its copy.
func (d *dialect) CreateHoldOf(hold string, i *relational.Info, columns []string) string {
	var list []string
	for _, name := range distinct(columns) {
		c, _ := i.Column(name)
		if i.RowKey && name == i.Key[0] {
			list = append(list, d.Quote(name)+" INTEGER PRIMARY KEY")
			continue
		}
		list = append(list, d.Quote(name)+affinity(c.Type))
	}
	if i.RowKey {
		return "CREATE TABLE " + hold + " (" + strings.Join(list, ", ") + ")"
	}
	return "CREATE TABLE " + hold + " (" + strings.Join(list, ", ") + ", PRIMARY KEY (" + relational.Columns(d, "", i.Key) + "))"
}

// affinity is a type that a copy's column has so that indexes serve when it is compared
// with the table's. What the table has taken, the copy takes as it is. INT and not
// INTEGER, which would make the number of a row of a key that need not be one; nothing where STRICT tables mean
// something else by the same word.
func affinity(declared string) string {
	t := strings.ToUpper(declared)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(t, w) })
	}
	switch { // in the order of SQLite's own rules, https://sqlite.org/datatype3.html, section 3.1
	case has("INT"):
		return " INT"
	case has("CHAR", "CLOB", "TEXT"):
		return " TEXT"
	case t == "", t == "ANY", has("BLOB"):
		return ""
	case has("REAL", "FLOA", "DOUB"):
		return " REAL"
	}
	return " NUMERIC"
}

func distinct(names []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, n := range names {
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out
}

func (d *dialect) HoldsComputed() bool { return true }

func (d *dialect) Fill() string { return "" }

func (d *dialect) CopyHold(hold, of string) string {
	return "CREATE TABLE " + hold + " AS SELECT * FROM " + of + " WHERE false"
}

func (d *dialect) DropHold(hold string) string { return "DROP TABLE IF EXISTS " + hold }

func (d *dialect) CountHolds([]string) string { return "" }

func (d *dialect) Holds(ctx context.Context, q relational.Querier) ([]string, error) {
	lines, err := relational.Texts(ctx, q, "SELECT substr(name, 12) FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 11) = '"+Prefix+"'")
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[0]
	}
	return out, err
}

func (d *dialect) HasOp(ctx context.Context, q relational.Querier) (bool, error) {
	lines, err := relational.Texts(ctx, q, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '"+Prefix+"op'")
	return len(lines) > 0, err
}

func (d *dialect) LockTables(context.Context, relational.Querier, []*relational.Info) error {
	return nil
}

// Touched counts in all tables, foreign keys' actions included
// (https://sqlite.org/c3ref/total_changes.html).
func (d *dialect) Touched(ctx context.Context, q relational.Querier, _ []*relational.Info) (int64, error) {
	lines, err := relational.Texts(ctx, q, "SELECT total_changes()")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(lines[0][0], 10, 64)
}

// SettleConstraints has nothing to do: COMMIT checks, and a failed one is rolled back.
func (d *dialect) SettleConstraints(context.Context, relational.Querier) error { return nil }

func (d *dialect) AfterInsert(context.Context, relational.Querier, []relational.Part) error {
	return nil
}

func (d *dialect) Forecast(context.Context, relational.Querier, []*relational.Info) []string {
	return []string{"While the rows are moved nobody else can write to this file; other writers wait."}
}

func (d *dialect) Relax(context.Context, relational.Querier) error { return nil }

// Feeds has nothing to read: there are neither materialised views nor publications.
func (d *dialect) Feeds(context.Context, relational.Querier, []*relational.Info) error { return nil }
