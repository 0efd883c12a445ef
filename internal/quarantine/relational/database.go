package relational

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// Options are what a database is opened with.
type Options struct {
	Name   string            // in the configuration
	Tables []string          // that may be touched; empty: none but those that hang on them
	Links  []quarantine.Link // that the database does not know of
	Limits quarantine.Limits
	Now    func() time.Time
	Log    *slog.Logger
	// Lend lends a connection that was opened in calm, for as long as f runs; it is asked
	// for when the database lets no more in. May be nil.
	Lend func(ctx context.Context, f func(context.Context, *sql.Conn) error) error
	// Trace is told each step before it is done; tests cut connections in it. May be nil.
	Trace func(step string)
}

// DB is a database that rows can be taken out of.
type DB struct {
	pool   *sql.DB
	d      Dialect
	o      Options
	limits quarantine.Limits
}

var _ quarantine.Database = (*DB)(nil)

// New wraps an opened pool. Close closes the pool.
func New(pool *sql.DB, d Dialect, o Options) (*DB, error) {
	if o.Now == nil {
		return nil, errors.New("open quarantine: no clock is given")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Trace == nil {
		o.Trace = func(string) {}
	}
	for i, l := range o.Links {
		if l.Child == "" || l.Parent == "" || len(l.ChildColumns) == 0 || len(l.ChildColumns) != len(l.ParentColumns) {
			return nil, fault.New(fault.Invalid, "link %d is not whole", i+1).At(o.Name).WithHint("a link names child, child_columns, parent and parent_columns, with as many columns at both ends")
		}
	}
	pool.SetMaxOpenConns(8)
	pool.SetMaxIdleConns(1)
	return &DB{pool: pool, d: d, o: o, limits: o.Limits.WithDefaults()}, nil
}

// Close closes the connections.
func (db *DB) Close() error { return db.pool.Close() }

// Pool is the pool of connections, for those who read beside us (finding rows).
func (db *DB) Pool() *sql.DB { return db.pool }

// Dialect is the dialect, for the same.
func (db *DB) Dialect() Dialect { return db.d }

// with runs work on a connection of its own. When the database lets no more in, it
// runs on the one that is kept for that.
func (db *DB) with(ctx context.Context, work func(*sql.Conn) error) error {
	c, err := db.conn(ctx)
	switch {
	case err == nil:
		defer func() { _ = c.Close() }()
		return work(c)
	case db.o.Lend == nil || !db.d.Full(err):
		return db.fault(err)
	}
	db.o.Log.Warn("the database lets no more in: the kept connection is used", "database", db.o.Name)
	return db.o.Lend(ctx, func(_ context.Context, c *sql.Conn) error { return work(c) })
}

// conn gives a connection that lives; one that the database has ended meanwhile is
// given up for a new one.
func (db *DB) conn(ctx context.Context) (*sql.Conn, error) {
	var last error
	for range 3 {
		c, err := db.pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if last = c.PingContext(ctx); last == nil {
			return c, nil
		}
		spoil(c)
		_ = c.Close()
	}
	return nil, last
}

// within runs work on a connection of its own inside a transaction, and commits it
// when work returns nil. Work that only reads runs again when the database asks for it.
func (db *DB) within(ctx context.Context, p Purpose, work func(*tx) error) error {
	return db.with(ctx, func(c *sql.Conn) (err error) {
		for range 5 {
			again := false
			err = db.withinOn(ctx, c, p, func(t *tx) error {
				err := work(t)
				again = p == Reading && err != nil && db.d.Again(err)
				return err
			})
			if !again {
				break
			}
		}
		return err
	})
}

func (db *DB) withinOn(ctx context.Context, c *sql.Conn, p Purpose, work func(*tx) error) error {
	if err := db.d.Connect(ctx, c); err != nil {
		return db.fault(err)
	}
	if err := db.d.Begin(ctx, c, p); err != nil {
		spoil(c)
		return db.fault(err)
	}
	t := &tx{db: db, d: db.d, c: c, ctx: ctx}
	if err := work(t); err != nil {
		db.rollback(ctx, c)
		return db.fault(err)
	}
	if t.discard {
		db.rollback(ctx, c)
		return nil
	}
	return db.commit(ctx, c)
}

func (db *DB) commit(ctx context.Context, c *sql.Conn) error {
	db.o.Trace("commit")
	if _, err := c.ExecContext(ctx, "COMMIT"); err != nil {
		db.rollback(ctx, c)
		told := db.fault(err)
		if fault.KindOf(told) == fault.Conflict { // what waited for the end is refused: that is an answer
			return told
		}
		return &commitError{told}
	}
	db.o.Trace("committed")
	return nil
}

// commitError is an error of COMMIT itself: the outcome is not known.
type commitError struct{ error }

func (e *commitError) Unwrap() error { return e.error }

// rollback ends a transaction even when ctx is over; a connection that can't is not
// used again.
func (db *DB) rollback(ctx context.Context, c *sql.Conn) {
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := c.ExecContext(short, "ROLLBACK"); err != nil {
		spoil(c)
	}
}

// spoil takes a connection out of the pool.
func spoil(c *sql.Conn) {
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
}

// fault tells an error in our words; one that is already told stays.
func (db *DB) fault(err error) error {
	var told *fault.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	return db.d.Fault(err, db.o.Name)
}

// tx is a transaction on a connection of its own.
type tx struct {
	db      *DB
	d       Dialect
	c       *sql.Conn
	ctx     context.Context  // of the act; a tx lives no longer than one call
	discard bool             // roll back although nothing went wrong
	ours    bool             // our own tables are there
	locked  map[string]*Info // the tables of the plan as they are, read under their locks
	touched int64            // rows that our own statements have deleted or changed
}

func (t *tx) exec(query string, args ...any) (int64, error) {
	r, err := t.c.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *tx) texts(query string, args ...any) ([][]string, error) {
	return Texts(t.ctx, t.c, query, args...)
}

// some says whether a query finds a row.
func (t *tx) some(query string, args ...any) (bool, error) {
	rows, err := t.texts(query, args...)
	return len(rows) > 0, err
}

// trace names the step that comes next.
func (t *tx) trace(format string, args ...any) { t.db.o.Trace(fmt.Sprintf(format, args...)) }

var idForm = regexp.MustCompile(`^[a-z0-9]{1,26}$`)

func checkID(id, place string) error {
	if !idForm.MatchString(id) {
		return fault.New(fault.Invalid, "%.40q is no id", id).At(place).WithHint("an id is 1 to 26 of the characters a to z and 0 to 9")
	}
	return nil
}

// holdName is the table that holds rows of the n-th table of an operation; kind is
// empty for the copies, d for links, a for replaced rows, e for edited ones.
func holdName(id, kind string, n int) string { return fmt.Sprintf("q%s_%s%d", id, kind, n) }

// links are the foreign keys and the configured links, in a fixed order.
func (t *tx) links() ([]quarantine.Link, error) {
	links, err := t.d.Links(t.ctx, t.c)
	if err != nil {
		return nil, err
	}
	for i, l := range t.db.o.Links {
		l.Logical = true
		if l.Name == "" {
			l.Name = fmt.Sprintf("configured %d", i+1)
		}
		if l.OnDelete == "" {
			l.OnDelete = "no action"
		}
		for _, end := range []*string{&l.Child, &l.Parent} {
			if *end, err = t.d.Resolve(t.ctx, t.c, *end); err != nil {
				return nil, err
			}
		}
		links = append(links, l)
	}
	slices.SortFunc(links, compareLinks)
	return links, nil
}

func compareLinks(a, b quarantine.Link) int {
	for _, pair := range [][2]string{{a.Parent, b.Parent}, {a.Child, b.Child}, {a.Name, b.Name}} {
		if pair[0] != pair[1] {
			if pair[0] < pair[1] {
				return -1
			}
			return 1
		}
	}
	return slices.Compare(a.ChildColumns, b.ChildColumns)
}

// linkSQL joins child and parent rows of a link.
func (t *tx) linkSQL(b *Builder, child, parent Side, l quarantine.Link) string {
	out := Linked(t.d, parent, child, l)
	return out + t.when(b, child, l)
}

// when narrows a link to the children that it is about.
func (t *tx) when(b *Builder, child Side, l quarantine.Link) string {
	out := ""
	for _, w := range l.When {
		column, _ := child.Column(w.Column)
		if w.Value == nil {
			out += " AND " + Cell(t.d, child.Alias, w.Column) + " IS NULL"
			continue
		}
		out += " AND " + Compared(t.d, column, Cell(t.d, child.Alias, w.Column), "=", t.d.Literal(b, column, *w.Value))
	}
	return out
}

// key gives the SQL of the key texts of a row, one for each key column.
func (t *tx) key(alias string, i *Info) string { return t.keyOf(alias, i, i.Key) }

func (t *tx) keyOf(alias string, i *Info, names []string) string {
	return joinEach(names, ", ", func(n string) string {
		c, _ := i.Column(n)
		return t.d.KeyText(alias, c)
	})
}

// chunks cuts keys into what one statement takes.
func (t *tx) chunks(i *Info, keys []quarantine.Key) [][]quarantine.Key {
	return slices.Collect(slices.Chunk(keys, t.d.Chunk(i)))
}

// chunksOrAll is chunks, or one chunk that is nil where all rows are meant.
func (t *tx) chunksOrAll(i *Info, only []quarantine.Key) [][]quarantine.Key {
	if only == nil {
		return [][]quarantine.Key{nil}
	}
	return t.chunks(i, only)
}
