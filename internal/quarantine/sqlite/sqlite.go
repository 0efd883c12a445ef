// Package sqlite takes rows out of SQLite databases and puts them back. It needs the
// file itself: it runs on the machine that has it.
//
// It is the dialect of package relational for SQLite; only those who wire open it.
// Key texts are the values themselves; a value whose type is not what its column
// promises is written as SQLite's quote() does, behind the character U+0001. Copies
// lie in the same file, in tables lifeboat_q_…, whose columns have no type so that
// every value stays as it is.
//
// Invariants. Foreign keys are enforced on our connections (SQLite leaves them off by
// default) and checked when the transaction ends. A writer has the file to itself
// from its first statement.
//
// Concurrency: as relational.DB.
package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"modernc.org/sqlite"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// Kind is the kind of this database in plans.
const Kind = "sqlite"

// Prefix begins the names of our tables.
const Prefix = "lifeboat_q_"

// register adds our functions to the connections that are opened after it. They read
// their arguments while they are called and keep none.
var register = sync.OnceValue(func() error {
	aggregate := func(name string, make func() *rowHash) error {
		return sqlite.RegisterFunction(name, &sqlite.FunctionImpl{
			NArgs: -1, Deterministic: true, VolatileArgs: true,
			MakeAggregate: func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) { return make(), nil },
		})
	}
	return errors.Join(
		sqlite.RegisterFunction("lifeboat_hash", &sqlite.FunctionImpl{
			NArgs: -1, Deterministic: true, VolatileArgs: true,
			Scalar: func(_ *sqlite.FunctionContext, cells []driver.Value) (driver.Value, error) {
				row, err := appendCells(nil, cells)
				return hash(row), err
			},
		}),
		sqlite.RegisterFunction("lifeboat_text", &sqlite.FunctionImpl{
			NArgs: 2, Deterministic: true, VolatileArgs: true,
			Scalar: func(_ *sqlite.FunctionContext, cells []driver.Value) (driver.Value, error) {
				text, _ := cells[0].(string)
				return keyText(text, cells[1] == int64(1)), nil
			},
		}),
		aggregate("lifeboat_set_hash", func() *rowHash { return &rowHash{sum: hashSet} }),
		aggregate("lifeboat_image", func() *rowHash { return &rowHash{sum: hashSorted} }),
	)
})

// rowHash gathers rows where they are read and hashes them all: the hash of each need
// not go through the database and back.
type rowHash struct {
	rows []byte // all of them, behind each other
	ends []int  // of each row
	sum  func(rows [][]byte) string
}

// Step implements sqlite.AggregateFunction.
func (r *rowHash) Step(_ *sqlite.FunctionContext, cells []driver.Value) (err error) {
	if r.rows, err = appendCells(r.rows, cells); err == nil {
		r.ends = append(r.ends, len(r.rows))
	}
	return err
}

// WindowInverse implements sqlite.AggregateFunction: this is for no window.
func (r *rowHash) WindowInverse(*sqlite.FunctionContext, []driver.Value) error {
	return errors.New("hash rows: not for a window")
}

// WindowValue implements sqlite.AggregateFunction.
func (r *rowHash) WindowValue(*sqlite.FunctionContext) (driver.Value, error) {
	rows := make([][]byte, len(r.ends))
	start := 0
	for n, end := range r.ends {
		rows[n], start = r.rows[start:end], end
	}
	return r.sum(rows), nil
}

// Final implements sqlite.AggregateFunction.
func (r *rowHash) Final(*sqlite.FunctionContext) {}

// hashSet is quarantine.HashHashes of the hashes of rows.
func hashSet(rows [][]byte) string {
	hashes := make([]string, len(rows))
	for n, row := range rows {
		hashes[n] = hash(row)
	}
	return quarantine.HashHashes(hashes)
}

// hashSorted is one hash of rows, whichever order they came in. Rows say themselves where
// they end.
func hashSorted(rows [][]byte) string {
	slices.SortFunc(rows, bytes.Compare)
	sum := sha256.New()
	for _, row := range rows {
		sum.Write(row)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func hash(row []byte) string {
	sum := sha256.Sum256(row)
	return hex.EncodeToString(sum[:])
}

// appendCells writes values with their types and lengths, so that 1, '1' and x'31' differ.
func appendCells(row []byte, cells []driver.Value) ([]byte, error) {
	put := func(kind byte, size int) {
		row = binary.BigEndian.AppendUint64(append(row, kind), uint64(size))
	}
	for _, c := range cells {
		switch v := c.(type) {
		case nil:
			put('n', 0)
		case int64:
			put('i', 8)
			row = binary.BigEndian.AppendUint64(row, uint64(v))
		case float64:
			put('r', 8)
			row = binary.BigEndian.AppendUint64(row, math.Float64bits(v))
		case string:
			put('t', len(v))
			row = append(row, v...)
		case []byte:
			put('b', len(v))
			row = append(row, v...)
		default:
			return row, fmt.Errorf("hash a cell: unexpected %T", c)
		}
	}
	return row, nil
}

// Open opens the database in a file, which must be there.
func Open(path string, o relational.Options) (*relational.DB, error) {
	path = strings.TrimPrefix(path, "file:")
	if s, err := os.Stat(path); err != nil || !s.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "there is no database file %s", path).At(o.Name).WithHint("name the file that the site uses; lifeboat must run on the machine that has it")
	}
	if err := register(); err != nil {
		return nil, err
	}
	limits := o.Limits.WithDefaults()
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		"mode": {"rw"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", limits.Lock.Milliseconds()), "foreign_keys(1)"}}.Encode()}
	pool, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	return relational.New(pool, &dialect{}, o)
}

type dialect struct{}

func (d *dialect) Kind() string { return Kind }

func (d *dialect) Connect(ctx context.Context, c *sql.Conn) error {
	lines, err := relational.Texts(ctx, c, "PRAGMA foreign_keys")
	if err == nil && (len(lines) == 0 || lines[0][0] != "1") {
		return fault.New(fault.Internal, "foreign keys can't be enforced in this database").WithHint("it is not safe to take rows out")
	}
	return err
}

func (d *dialect) Begin(ctx context.Context, c *sql.Conn, p relational.Purpose) error {
	statements := []string{"PRAGMA query_only = OFF", "BEGIN IMMEDIATE", "PRAGMA defer_foreign_keys = ON"}
	if p == relational.Reading {
		statements = []string{"PRAGMA query_only = ON", "BEGIN"}
	}
	for _, s := range statements {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// TryLock has nothing to do: a writer has the file to itself.
func (d *dialect) TryLock(context.Context, *sql.Conn) (bool, error) { return true, nil }

func (d *dialect) Unlock(context.Context, *sql.Conn) {}

// Result codes (sqlite.org/rescode.html).
const (
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codeNotADB     = 26
	codeForeignKey = 787
	codeTrigger    = 1811
)

// Full implements relational.Dialect: a file has no connections to count.
func (d *dialect) Full(error) bool { return false }

// Again implements relational.Dialect: here tables are made inside of transactions.
func (d *dialect) Again(error) bool { return false }

// Fault tells an error of SQLite.
func (d *dialect) Fault(err error, place string) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return fault.New(fault.Unavailable, "the database took too long, or was not waited for").At(place).WithHint("nothing was changed; try again").Because(err)
		}
		return fault.New(fault.Internal, "the database refused a statement").At(place).WithHint("nothing was changed").Because(err)
	}
	return tell(e.Code()).At(place)
}

func tell(code int) *fault.Error {
	switch {
	case code == codeForeignKey:
		return fault.New(fault.Conflict, "a foreign key would be broken").WithHint("nothing was changed; put back the rows that are referred to first")
	case code == codeTrigger:
		return fault.New(fault.Conflict, "a trigger of the database refused").WithHint("nothing was changed; look at the triggers that the plan names")
	}
	switch code & 0xff {
	case codeBusy, codeLocked:
		return fault.New(fault.Unavailable, "somebody else is writing to the database").WithHint("nothing was changed; try again")
	case codeReadOnly, codeCantOpen:
		return fault.New(fault.Denied, "the database file can't be written").WithHint("let the user that lifeboat runs as write the file and its folder")
	case codeFull:
		return fault.New(fault.Unavailable, "the disk is full").WithHint("nothing was changed; make room")
	case codeCorrupt, codeNotADB:
		return fault.New(fault.Unavailable, "the file is damaged, or is no SQLite database").WithHint("nothing was changed; look at it with: PRAGMA integrity_check")
	case codeConstraint:
		return fault.New(fault.Conflict, "a row would break a rule of its table (code %d)", code).WithHint("nothing was changed; another row may have the same unique value")
	}
	return fault.New(fault.Internal, "the database refused a statement (code %d)", code).WithHint("nothing was changed")
}

// marked begins a key text whose value has another type than its column promises.
const marked = "\x01"

// value reads a key text.
func value(c quarantine.Column, text string) any {
	if rest, odd := strings.CutPrefix(text, marked); odd {
		return unquote(rest)
	}
	switch c.Class {
	case quarantine.ClassInteger:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case quarantine.ClassDecimal:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case quarantine.ClassFloat:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case quarantine.ClassBytes:
		if b, err := hex.DecodeString(text); err == nil {
			return b
		}
	}
	return text
}

// keyText writes text as key text; natural says that its column promises text. What is no
// text elsewhere (bytes that are not UTF-8, or a zero, at which quote() ends) is written as
// bytes.
func keyText(text string, natural bool) string {
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return marked + "CAST(X'" + hex.EncodeToString([]byte(text)) + "' AS TEXT)"
	case natural && !strings.HasPrefix(text, marked):
		return strings.Clone(text)
	}
	return marked + "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// unquote reads what quote() and keyText wrote.
func unquote(s string) any {
	switch {
	case strings.HasPrefix(s, "CAST(X'"):
		b, _ := hex.DecodeString(strings.TrimSuffix(s[len("CAST(X'"):], "' AS TEXT)"))
		return string(b)
	case s == "NULL":
		return nil
	case strings.HasPrefix(s, "X'"):
		b, _ := hex.DecodeString(strings.TrimSuffix(s[2:], "'"))
		return b
	case strings.HasPrefix(s, "'"):
		return strings.ReplaceAll(strings.TrimSuffix(s[1:], "'"), "''", "'")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}
