// Package relational is the machinery that the relational databases of quarantine
// share: resolving a plan, applying, verifying and restoring it, over database/sql.
// What differs between databases is a Dialect.
//
// It is not a driver (postgres, mysql and sqlite beside it are) and knows no lever.
// Only those three import it.
//
// Invariants. Everything that is changed is changed together with the marker in the
// table op, in the same transaction. Rows are named by frozen keys. The copy that is
// made of a row under its lock is what is compared, deleted and put back. No
// statement cascades, truncates, disables a trigger or overwrites a row.
//
// Concurrency: a DB may be used from any goroutine; each act has a connection of its
// own. One act at a time changes a database: the Dialect's lock sees to it.
package relational

import (
	"context"
	"database/sql"
	"strings"

	"lifeboat/internal/quarantine"
)

// Querier is a connection inside its transaction.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Purpose says what a transaction is for.
type Purpose int

// The purposes.
const (
	Reading Purpose = iota // a plan, a preview, a look: read only, one view of the data
	Writing                // each statement sees what was committed before it
)

// Info is what the catalogue says of one table.
type Info struct {
	Schema, Name string // Schema is empty where the database has none
	What         string // "table", or what it is instead: "view", "foreign table", ...
	Columns      []quarantine.Column
	Key          []string // primary key, or a unique key without nulls; empty: none
	Unique       []quarantine.Unique
	Indexes      [][]string // columns of each index that can serve a search
	Triggers     []string
	Feeds        []string // filled by Dialect.Feeds only
	Partitioned  bool
	Rows         int64             // about; -1 unknown: it is counted as far as needed
	Defaults     map[string]string // expressions of the columns that have one
	Stamps       []string          // columns that the database itself changes on every update
	Reusable     bool              // a key that has left may be given to the next new row
	RowKey       bool              // the key is the number of the row itself, which is never anything else (SQLite)
	Empty        string            // how KeyText writes a part of a key that is empty; "" where none can be
	Refused      []quarantine.Refusal
}

// Canonical is the name that plans use.
func (i *Info) Canonical() string {
	if i.Schema == "" {
		return i.Name
	}
	return i.Schema + "." + i.Name
}

// Column finds a column by its name.
func (i *Info) Column(name string) (quarantine.Column, bool) {
	for _, c := range i.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return quarantine.Column{}, false
}

// Names are the names of all columns, in their order.
func (i *Info) Names() []string {
	out := make([]string, len(i.Columns))
	for n, c := range i.Columns {
		out[n] = c.Name
	}
	return out
}

// Stored are the names of the columns that are written, in their order.
func (i *Info) Stored() []string { return storedColumns(i.Columns) }

func storedColumns(columns []quarantine.Column) []string {
	var out []string
	for _, c := range columns {
		if !c.Generated {
			out = append(out, c.Name)
		}
	}
	return out
}

// Dialect is what differs between databases. Methods that return SQL MUST quote every
// name and MUST pass every value through the Builder.
type Dialect interface {
	Kind() string
	// Connect pins a fresh connection's session: time zone, number formats, search path,
	// foreign keys on.
	Connect(ctx context.Context, c *sql.Conn) error
	// Begin starts a transaction with its limits.
	Begin(ctx context.Context, c *sql.Conn, p Purpose) error
	// TryLock takes the lock that one act per database holds, until the transaction (or
	// Unlock) ends it. False: somebody else has it.
	TryLock(ctx context.Context, c *sql.Conn) (bool, error)
	Unlock(ctx context.Context, c *sql.Conn)
	// Full says whether an error is that the database lets no more connections in.
	Full(err error) bool
	// Again says whether an error is only that a view of the data is too old for a table that
	// was made meanwhile: the same reading succeeds when it is begun anew.
	Again(err error) bool
	// Fault tells an error of the database in our words.
	Fault(err error, place string) error

	Quote(name string) string
	Place(n int) string // the n-th placeholder, from 1
	// Source is a table as it stands in FROM; Target as it stands after INSERT INTO.
	Source(i *Info) string
	Target(i *Info) string
	Hold(name string) string // one of our tables
	ForUpdate(alias string) string
	Overriding() string // between the columns and SELECT of an INSERT that puts rows back

	// KeyText is a column as key text. It MUST tell different values apart, and what it writes
	// MUST be text that a request may name.
	KeyText(alias string, c quarantine.Column) string
	// Odd says which texts are values that their class does not know.
	Odd(c quarantine.Column, text string) bool
	// Hash is the hash of a row's cells: of all (columns nil) or of some.
	Hash(alias string, i *Info, columns []string) string
	// Differs says whether rows of a table and of its hold differ in any cell, or in some.
	Differs(table, hold string, now, then *Info, columns []string) string
	// SetHash is HashHashes of the Hash of many rows (FROM and the alias stand behind it) as
	// the database itself computes it; empty where it can't, and they are read one by one.
	SetHash(alias string, i *Info, columns []string) string
	// Image is one hash of many rows (FROM and the alias stand behind it) in the order of
	// their keys, which is quicker than SetHash. It MUST be the same for rows and their
	// copies. Empty where the database can't.
	Image(alias string, i *Info) string
	Size(alias string, i *Info) string
	// Few joins the rows of a hold to those of a table, in whatever way begins at the hold.
	Few(hold, table, on string) string
	Same(a, b string, c quarantine.Column) string // equal, or both null, for any type
	Named(name string) string                     // a collation or a type, as a Link names it
	Literal(b *Builder, c quarantine.Column, text string) string
	MatchKeys(b *Builder, alias string, i *Info, keys []quarantine.Key) string
	Chunk(i *Info) int // how many keys MatchKeys takes at once
	// Together says that Delete and Insert take all tables of a group in one statement,
	// which gives one row with the count of each where there are several; otherwise, and
	// of one table, the rows affected are the count.
	Together() bool
	// Delete deletes the rows of each table whose key is in its hold.
	Delete(b *Builder, parts []Part) string
	// Insert puts the rows of each hold into its table.
	Insert(b *Builder, parts []Part) string
	// InsertSame is Insert of all rows of one hold, which gives one row: how many came, and
	// how many of them are not as their copies. Empty where the database can't say.
	InsertSame(p Part) string
	// UpdateFrom sets columns (sets are "column = expression") of the rows (alias t)
	// whose key is in a hold (alias h) and for which all of where holds.
	UpdateFrom(i *Info, hold string, sets, where []string) string
	// Breaks says whether a link inside a group must be put to null while rows of the
	// group are deleted or inserted.
	Breaks(l quarantine.Link) bool

	// DDLCommits says that creating a table ends the transaction, so that holds are made
	// before it.
	DDLCommits() bool
	// Prepare gives the statements that make our schema and tables.
	Prepare() []string
	CreateHold(hold string, i *Info) string
	// CreateHoldOf makes a hold for some columns.
	CreateHoldOf(hold string, i *Info, columns []string) string
	// HoldsComputed says that holds keep computed cells as plain data.
	HoldsComputed() bool
	// Fill begins an INSERT of rows as they are into a hold: what its table asks of rows is
	// not asked of copies.
	Fill() string
	CopyHold(hold, of string) string // same shape, empty
	DropHold(hold string) string
	// CountHolds lets the planner know how many rows holds have; empty where it knows.
	CountHolds(holds []string) string
	// Holds lists our tables, for sweeping what a crash left.
	Holds(ctx context.Context, q Querier) ([]string, error)
	HasOp(ctx context.Context, q Querier) (bool, error)

	// Resolve gives the canonical name of a table that a person wrote, and an error of
	// kind NotFound when there is none.
	Resolve(ctx context.Context, q Querier, name string) (string, error)
	Links(ctx context.Context, q Querier) ([]quarantine.Link, error)
	// Alike says whether the database takes two columns for equal, as ends of a foreign key,
	// where their values are.
	Alike(parent, child quarantine.Column) bool
	Describe(ctx context.Context, q Querier, names []string) (map[string]*Info, error)
	// Feeds reads what else sees a change of the tables: it is told of in plans only.
	Feeds(ctx context.Context, q Querier, tables []*Info) error
	// Locate reads only what LockTables needs. A table that is gone MAY be among them: then
	// LockTables tells.
	Locate(ctx context.Context, q Querier, names []string) (map[string]*Info, error)
	// LockTables keeps the shape of the tables from changing until the transaction ends.
	LockTables(ctx context.Context, q Querier, tables []*Info) error
	// Touched counts the rows of some tables that this connection has deleted or changed so
	// far, whoever did it: a foreign key, too. -1 where the database does not tell.
	Touched(ctx context.Context, q Querier, tables []*Info) (int64, error)
	// SettleConstraints checks now what would be checked at the commit.
	SettleConstraints(ctx context.Context, q Querier) error
	// Relax lets queries that people wrote find tables as they do elsewhere; what follows
	// is rolled back.
	Relax(ctx context.Context, q Querier) error
	// AfterInsert raises counters above keys that came back.
	AfterInsert(ctx context.Context, q Querier, back []Part) error
	// Forecast says who may be in the way of the locks.
	Forecast(ctx context.Context, q Querier, tables []*Info) []string
	// Ready says what is missing, each with the next step.
	Ready(ctx context.Context, q Querier, tables []string) []string
}

// Part is one table of a Delete or Insert.
type Part struct {
	Info    *Info
	Hold    string           // quoted
	Columns []string         // of an Insert
	Null    map[string]bool  // columns of an Insert that are left null for now
	Only    []quarantine.Key // nil: all rows of the hold
}

// Narrow ends a statement over a hold (by the alias that has the key) with Only behind
// glue, which is " WHERE " or " AND "; with nothing where all rows are meant.
func (p Part) Narrow(b *Builder, glue, alias string) string {
	if p.Only == nil {
		return ""
	}
	return glue + b.dialect.MatchKeys(b, alias, p.Info, p.Only)
}

// Values are the cells of an Insert, as they stand in SELECT.
func (p Part) Values(d Dialect, alias string) string {
	return joinEach(p.Columns, ", ", func(c string) string {
		if p.Null[c] {
			return "NULL"
		}
		return Cell(d, alias, c)
	})
}

// Builder gathers the arguments of a statement.
type Builder struct {
	dialect Dialect
	Args    []any
}

// NewBuilder makes one for a dialect.
func NewBuilder(d Dialect) *Builder { return &Builder{dialect: d} }

// Arg adds a value and gives its placeholder.
func (b *Builder) Arg(v any) string {
	b.Args = append(b.Args, v)
	return b.dialect.Place(len(b.Args))
}

// Columns quotes names behind an alias (empty: none) and joins them.
func Columns(d Dialect, alias string, names []string) string {
	return joinEach(names, ", ", func(n string) string { return Cell(d, alias, n) })
}

// Cell is one quoted column behind its alias.
func Cell(d Dialect, alias, name string) string {
	if alias == "" {
		return d.Quote(name)
	}
	return alias + "." + d.Quote(name)
}

// Compared compares two expressions of a column's type by one of its operators.
func Compared(d Dialect, c quarantine.Column, a, operator, b string) string {
	if c.Operators == "" {
		return a + " " + operator + " " + b
	}
	if operator == "LIKE" {
		operator = "~~" // its name where a schema stands before it
	}
	return a + " OPERATOR(" + d.Quote(c.Operators) + "." + operator + ") " + b
}

// Joined compares some columns of a table, or of its copies, by two aliases.
func Joined(d Dialect, a, b string, i *Info, names []string) string {
	return joinEach(names, " AND ", func(name string) string {
		c, _ := i.Column(name)
		return Compared(d, c, Cell(d, a, name), "=", Cell(d, b, name))
	})
}

// Side is one end of a link in a statement: an alias, and the table behind it.
type Side struct {
	Alias string
	*Info
}

// Linked compares the columns of a link. The parent stands first: where the two compare
// text differently, a foreign key goes by the parent's way, and so does SQLite by that of
// what stands first (https://sqlite.org/foreignkeys.html, section 3;
// https://sqlite.org/datatype3.html, section 7.1).
func Linked(d Dialect, parent, child Side, l quarantine.Link) string {
	parts := make([]string, len(l.ParentColumns))
	for i := range parts {
		up, down := Cell(d, parent.Alias, l.ParentColumns[i]), Cell(d, child.Alias, l.ChildColumns[i])
		if len(l.Collate) > 0 && l.Collate[i] != "" {
			up += " COLLATE " + d.Named(l.Collate[i])
		}
		if len(l.Casts) > 0 && l.Casts[i] != "" {
			down = "CAST(" + down + " AS " + d.Named(l.Casts[i]) + ")"
		}
		c, _ := parent.Column(l.ParentColumns[i])
		if of, _ := child.Column(l.ChildColumns[i]); of.Operators != c.Operators {
			c.Operators = "" // a configured link between different types
		}
		parts[i] = Compared(d, c, up, "=", down)
	}
	return strings.Join(parts, " AND ")
}

func joinEach[T any](list []T, sep string, f func(T) string) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = f(v)
	}
	return strings.Join(parts, sep)
}

// Texts reads all rows of a query as text; NULL is the empty string.
func Texts(ctx context.Context, q Querier, query string, args ...any) ([][]string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	cells := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		line := make([]string, len(names))
		for i, c := range cells {
			line[i] = c.String
		}
		out = append(out, line)
	}
	return out, rows.Err()
}
