package mysql

import (
	"context"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

func (d *dialect) Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (d *dialect) Place(int) string { return "?" }

func (d *dialect) Source(i *relational.Info) string { return d.Quote(i.Schema) + "." + d.Quote(i.Name) }

func (d *dialect) Target(i *relational.Info) string { return d.Source(i) }

func (d *dialect) Hold(name string) string { return d.Quote(d.schema) + "." + d.Quote(name) }

func (d *dialect) ForUpdate(string) string { return " FOR UPDATE" }

func (d *dialect) Overriding() string { return "" }

func bits(c quarantine.Column) bool { return strings.HasPrefix(c.Type, "bit") }

// KeyText writes a value so that different ones differ.
func (d *dialect) KeyText(alias string, c quarantine.Column) string {
	cell := relational.Cell(d, alias, c.Name)
	switch {
	case bits(c):
		return "CAST(" + cell + " + 0 AS CHAR)"
	case c.Class == quarantine.ClassText:
		return cell
	case c.Class == quarantine.ClassBytes, c.Class == quarantine.ClassOther:
		return "LOWER(HEX(" + cell + "))"
	case c.Class == quarantine.ClassFloat:
		return "CAST(CAST(" + cell + " AS DOUBLE) AS CHAR)"
	}
	return "CAST(" + cell + " AS CHAR)"
}

var oddTime = regexp.MustCompile(`^[0-9]{4}-(0[0-9]|1[0-2])-([0-2][0-9]|3[01])( ([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?)?$`)

// Odd implements relational.Dialect: dates that no calendar has.
func (d *dialect) Odd(c quarantine.Column, text string) bool {
	return (c.Class == quarantine.ClassDate && len(text) == len(time.DateOnly) || c.Class == quarantine.ClassStamp) && oddTime.MatchString(text)
}

// bytes is a cell for hashing; what may be large is hashed by itself.
func (d *dialect) bytes(alias string, c quarantine.Column) string {
	cell := relational.Cell(d, alias, c.Name)
	switch {
	case c.Class == quarantine.ClassText && !strings.Contains(c.Type, "text") && !strings.Contains(c.Type, "json"):
		return "CAST(" + cell + " AS BINARY)"
	case c.Class == quarantine.ClassText, c.Class == quarantine.ClassBytes, c.Class == quarantine.ClassOther && !bits(c):
		return "SHA2(" + cell + ", 256)"
	}
	return d.KeyText(alias, c)
}

func (d *dialect) Hash(alias string, i *relational.Info, columns []string) string {
	return "SHA2(" + d.text(alias, i, columns) + ", 256)"
}

// SetHash would need the whole set as one text, and those are bounded here.
func (d *dialect) SetHash(string, *relational.Info, []string) string { return "" }

// Differs compares cell by cell: values where equal ones are the same ones, and bytes of
// what may be written in several ways.
func (d *dialect) Differs(table, hold string, now, then *relational.Info, columns []string) string {
	if columns == nil {
		columns = now.Names()
	}
	parts := make([]string, len(columns))
	for n, name := range columns {
		a, _ := now.Column(name)
		b, _ := then.Column(name)
		parts[n] = "NOT (" + d.comparable(table, a) + " <=> " + d.comparable(hold, b) + ")"
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

func (d *dialect) comparable(alias string, c quarantine.Column) string {
	switch c.Class {
	case quarantine.ClassInteger, quarantine.ClassDecimal, quarantine.ClassDate, quarantine.ClassTime, quarantine.ClassStamp, quarantine.ClassBytes, quarantine.ClassUUID:
		return relational.Cell(d, alias, c.Name)
	}
	return d.bytes(alias, c)
}

func (d *dialect) text(alias string, i *relational.Info, columns []string) string {
	if columns == nil {
		columns = i.Names()
	}
	parts := make([]string, len(columns))
	for n, name := range columns {
		c, _ := i.Column(name)
		cell := d.bytes(alias, c)
		parts[n] = "IFNULL(CONCAT(LENGTH(" + cell + "), ':', " + cell + "), '-')"
	}
	return "CONCAT(" + strings.Join(parts, ", ") + ")"
}

// Image implements relational.Dialect: here it would be no quicker.
func (d *dialect) Image(string, *relational.Info) string { return "" }

func (d *dialect) Size(alias string, i *relational.Info) string {
	parts := make([]string, len(i.Columns))
	for n, c := range i.Columns {
		parts[n] = "IFNULL(LENGTH(" + relational.Cell(d, alias, c.Name) + "), 1)"
	}
	return sum(parts)
}

// sum adds expressions up by halves: one behind the other, those of a wide table would lie
// too deep for the server's stack.
func sum(parts []string) string {
	if len(parts) < 3 {
		return strings.Join(parts, " + ")
	}
	half := len(parts) / 2
	return "(" + sum(parts[:half]) + ") + (" + sum(parts[half:]) + ")"
}

func (d *dialect) Few(hold, table, on string) string { return table + " JOIN " + hold + " ON " + on }

func (d *dialect) Same(a, b string, _ quarantine.Column) string {
	return "CAST(" + a + " AS BINARY) <=> CAST(" + b + " AS BINARY)"
}

func (d *dialect) Named(name string) string { return d.Quote(name) }

func (d *dialect) Literal(b *relational.Builder, c quarantine.Column, text string) string {
	switch c.Class {
	case quarantine.ClassInteger:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return b.Arg(n)
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return b.Arg(n)
		}
		return "CAST(" + b.Arg(text) + " AS DECIMAL(65))"
	case quarantine.ClassDecimal: // with no more places than it needs, which would be at the cost of the others
		places := 30
		if !strings.ContainsAny(text, "eE") {
			_, fraction, _ := strings.Cut(text, ".")
			places = min(places, len(fraction))
		}
		return "CAST(" + b.Arg(text) + " AS DECIMAL(65, " + strconv.Itoa(places) + "))"
	case quarantine.ClassFloat:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return b.Arg(f)
		}
	case quarantine.ClassBytes, quarantine.ClassOther:
		if raw, err := hex.DecodeString(text); err == nil {
			return b.Arg(raw)
		}
	}
	return b.Arg(text)
}

func (d *dialect) MatchKeys(b *relational.Builder, alias string, i *relational.Info, keys []quarantine.Key) string {
	rows := make([]string, len(keys))
	for k, key := range keys {
		cells := make([]string, len(i.Key))
		for n, name := range i.Key {
			c, _ := i.Column(name)
			cells[n] = d.Literal(b, c, key[n])
			if len(i.Key) > 1 {
				cells[n] = relational.Cell(d, alias, name) + " = " + cells[n]
			}
		}
		rows[k] = strings.Join(cells, " AND ")
	}
	if len(i.Key) == 1 {
		return relational.Cell(d, alias, i.Key[0]) + " IN (" + strings.Join(rows, ", ") + ")"
	}
	return "(" + strings.Join(rows, " OR ") + ")"
}

// Chunk stays below the length from which MariaDB turns a list into a join.
func (d *dialect) Chunk(*relational.Info) int { return 500 }

func (d *dialect) Together() bool { return false }

func (d *dialect) Delete(b *relational.Builder, parts []relational.Part) string {
	p := parts[0]
	return "DELETE t FROM " + d.Source(p.Info) + " t JOIN " + p.Hold + " h ON " + relational.Joined(d, "t", "h", p.Info, p.Info.Key) + p.Narrow(b, " WHERE ", "t")
}

func (d *dialect) Insert(b *relational.Builder, parts []relational.Part) string {
	p := parts[0]
	return "INSERT INTO " + d.Target(p.Info) + " (" + relational.Columns(d, "", p.Columns) + ") SELECT " + p.Values(d, "h") + " FROM " + p.Hold + " h" + p.Narrow(b, " WHERE ", "h")
}

// InsertSame implements relational.Dialect: what comes back is read again.
func (d *dialect) InsertSame(relational.Part) string { return "" }

func (d *dialect) UpdateFrom(i *relational.Info, hold string, sets, where []string) string {
	where = append([]string{relational.Joined(d, "t", "h", i, i.Key)}, where...)
	return "UPDATE " + d.Source(i) + " t JOIN " + hold + " h SET t." + strings.Join(sets, ", t.") + " WHERE " + strings.Join(where, " AND ")
}

// Breaks: InnoDB checks every foreign key row by row.
func (d *dialect) Breaks(quarantine.Link) bool { return true }

func (d *dialect) DDLCommits() bool { return true }

func (d *dialect) Prepare() []string {
	const end = ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
	return []string{
		"CREATE DATABASE IF NOT EXISTS " + d.Quote(d.schema),
		"CREATE TABLE IF NOT EXISTS " + d.Hold("act") + ` (op VARCHAR(26) NOT NULL, id VARCHAR(26) NOT NULL, verb VARCHAR(20) NOT NULL, by_whom TEXT NOT NULL, at VARCHAR(40) NOT NULL, moved BIGINT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (op, id)` + end,
		"CREATE TABLE IF NOT EXISTS " + d.Hold("gone") + ` (n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, op VARCHAR(26) NOT NULL, hold VARCHAR(64) NOT NULL, row_key LONGTEXT NOT NULL, state VARCHAR(20) NOT NULL, KEY (op)` + end,
		// op is last: its being there says that all are.
		"CREATE TABLE IF NOT EXISTS " + d.Hold("op") + ` (id VARCHAR(26) NOT NULL PRIMARY KEY, plan_hash CHAR(64) NOT NULL, kind VARCHAR(20) NOT NULL, mode VARCHAR(20) NOT NULL, state VARCHAR(20) NOT NULL, root TEXT NOT NULL,
			by_whom TEXT NOT NULL, incident TEXT NOT NULL, reason TEXT NOT NULL, manifest LONGTEXT NOT NULL, started VARCHAR(40) NOT NULL, changed VARCHAR(40) NOT NULL,
			moved BIGINT NOT NULL, rest VARCHAR(20) NOT NULL, at_row BIGINT NOT NULL, is_batch SMALLINT NOT NULL` + end,
	}
}

func (d *dialect) CreateHold(hold string, i *relational.Info) string {
	return "CREATE TABLE " + hold + " LIKE " + d.Target(i)
}

func (d *dialect) CreateHoldOf(hold string, i *relational.Info, columns []string) string {
	var list []string
	for _, c := range columns {
		if !strings.Contains("\x00"+strings.Join(list, "\x00")+"\x00", "\x00"+c+"\x00") {
			list = append(list, c)
		}
	}
	return "CREATE TABLE " + hold + " (PRIMARY KEY (" + relational.Columns(d, "", i.Key) + ")) ENGINE=InnoDB AS SELECT " + relational.Columns(d, "", list) + " FROM " + d.Target(i) + " WHERE false"
}

func (d *dialect) HoldsComputed() bool { return false }

// Fill: a copy has the checks of its table, which rows can have come past.
func (d *dialect) Fill() string {
	if d.maria.Load() {
		return "SET STATEMENT check_constraint_checks = 0 FOR "
	}
	return ""
}

func (d *dialect) CopyHold(hold, of string) string { return "CREATE TABLE " + hold + " LIKE " + of }

func (d *dialect) DropHold(hold string) string { return "DROP TABLE IF EXISTS " + hold }

func (d *dialect) CountHolds([]string) string { return "" }

func (d *dialect) Holds(ctx context.Context, q relational.Querier) ([]string, error) {
	lines, err := relational.Texts(ctx, q, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", d.schema)
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[0]
	}
	return out, err
}

func (d *dialect) HasOp(ctx context.Context, q relational.Querier) (bool, error) {
	lines, err := relational.Texts(ctx, q, "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'op'", d.schema)
	return len(lines) > 0, err
}

// LockTables reads nothing, which keeps the tables' shape until the transaction ends.
func (d *dialect) LockTables(ctx context.Context, q relational.Querier, tables []*relational.Info) error {
	for _, i := range tables {
		if _, err := relational.Texts(ctx, q, "SELECT 1 FROM "+d.Source(i)+" LIMIT 0"); err != nil {
			return err
		}
	}
	return nil
}

// Touched: nobody counts what InnoDB's foreign keys do. They compare as = does: both ends
// have the same type, character set and collation.
func (d *dialect) Touched(context.Context, relational.Querier, []*relational.Info) (int64, error) {
	return -1, nil
}

// SettleConstraints has nothing to do: everything is checked at once.
func (d *dialect) SettleConstraints(context.Context, relational.Querier) error { return nil }

// AfterInsert has nothing to do: AUTO_INCREMENT follows what is inserted.
func (d *dialect) AfterInsert(context.Context, relational.Querier, []relational.Part) error {
	return nil
}

func (d *dialect) Relax(context.Context, relational.Querier) error { return nil }

// Feeds has nothing to read: there are neither materialised views nor publications.
func (d *dialect) Feeds(context.Context, relational.Querier, []*relational.Info) error { return nil }
