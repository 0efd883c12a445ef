package find

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/doctor"
)

// class is a family of column types, as far as shapes are compared.
type class byte

const (
	integerClass class = 'i'
	numberClass  class = 'n'
	textClass    class = 't'
	uuidClass    class = 'u'
	otherClass   class = 'o'
)

type column struct {
	name  string
	class class
}

// table is what the catalogue says.
type table struct {
	name    string // as configured
	from    string // quoted, with its schema
	alone   string // quoted, without: what the symptom query calls it
	schema  string
	plain   string // the name alone
	columns []column
	key     []int  // of columns
	notice  string // why it can't be searched; "" when it can
}

func (t *table) keyColumn(i int) column { return t.columns[t.key[i]] }

// page fills a row's key into a path; "" when the path asks for more than the key.
func (t *table) page(path string, key quarantine.Key) string {
	if path == "" {
		return ""
	}
	whole := true
	out := regexp.MustCompile(`\{[^{}]*\}`).ReplaceAllStringFunc(path, func(brace string) string {
		for i := range t.key {
			if t.keyColumn(i).name == strings.Trim(brace, "{}") {
				return url.PathEscape(key[i])
			}
		}
		whole = false
		return ""
	})
	if !whole {
		return ""
	}
	return out
}

// dialect is how one kind of database is asked.
type dialect struct {
	kind  string
	quote byte
}

func dialectOf(kind string) (dialect, error) {
	switch kind {
	case doctor.Postgres, doctor.SQLite:
		return dialect{kind, '"'}, nil
	case doctor.MariaDB, doctor.MySQL:
		return dialect{kind, '`'}, nil
	}
	return dialect{}, fault.New(fault.Invalid, "a database of kind %q is not known", kind).WithHint("postgres, mariadb, mysql and sqlite are")
}

func (d dialect) name(parts ...string) string {
	out := make([]string, 0, len(parts))
	q := string(d.quote)
	for _, p := range parts {
		if p != "" {
			out = append(out, q+strings.ReplaceAll(p, q, q+q)+q)
		}
	}
	return strings.Join(out, ".")
}

// place is the N'th parameter of a statement, from 1.
func (d dialect) place(n int) string {
	if d.kind == doctor.Postgres {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// value is a key's text as a parameter: whole numbers as such, or MariaDB would
// compare them as floating-point numbers.
func (d dialect) value(c column, text string) any {
	if c.class == integerClass && d.kind != doctor.Postgres {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	}
	return text
}

// text reads a column as text.
func (d dialect) text(c string) string {
	if d.kind == doctor.Postgres {
		return c + "::text"
	}
	if d.kind == doctor.SQLite {
		return "CAST(" + c + " AS TEXT)"
	}
	return "CAST(" + c + " AS CHAR)"
}

// asker reads inside the snapshot.
type asker struct {
	conn *sql.Conn
	d    dialect
}

// questionFor is how long one question may take.
const questionFor = 15 * time.Second

// snapshot runs f in one read-only transaction in which the world stands still.
func (d dialect) snapshot(ctx context.Context, conn *sql.Conn, f func(asker) error) (err error) {
	begin := map[string][]string{
		doctor.Postgres: {
			"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL statement_timeout = '15s'", "SET LOCAL lock_timeout = '1s'", "SET LOCAL row_security = off",
			"SET LOCAL idle_in_transaction_session_timeout = '60s'",
		},
		doctor.MariaDB: {"SET SESSION max_statement_time = 15", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"},
		doctor.MySQL:   {"SET SESSION max_execution_time = 15000", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"},
		doctor.SQLite:  {"PRAGMA query_only = 1", "BEGIN"},
	}
	end := map[string][]string{
		doctor.Postgres: {"ROLLBACK"}, doctor.MariaDB: {"ROLLBACK", "SET SESSION max_statement_time = DEFAULT"},
		doctor.MySQL: {"ROLLBACK", "SET SESSION max_execution_time = DEFAULT"}, doctor.SQLite: {"ROLLBACK", "PRAGMA query_only = 0"},
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		for _, s := range end[d.kind] {
			_, _ = conn.ExecContext(ctx, s) // the connection is given back clean, or lost
		}
	}()
	for _, s := range begin[d.kind] {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return f(asker{conn, d})
}

// pin makes PostgreSQL write keys as package quarantine/postgres does, until the
// snapshot ends. A symptom query is asked under the session's own settings.
func (q asker) pin(ctx context.Context) error {
	if q.d.kind != doctor.Postgres {
		return nil
	}
	for _, set := range []string{"DateStyle = 'ISO, YMD'", "IntervalStyle = 'postgres'", "TimeZone = 'UTC'", "extra_float_digits = 1", "bytea_output = 'hex'"} {
		if _, err := q.conn.ExecContext(ctx, "SET LOCAL "+set); err != nil {
			return err
		}
	}
	return nil
}

// guarded runs one part so that its failure does not end PostgreSQL's transaction.
func (q asker) guarded(ctx context.Context, part func() error) error {
	if q.d.kind != doctor.Postgres {
		return part()
	}
	if _, err := q.conn.ExecContext(ctx, "SAVEPOINT lifeboat_part"); err != nil {
		return err
	}
	err := part()
	end := "RELEASE SAVEPOINT lifeboat_part"
	if err != nil {
		end = "ROLLBACK TO SAVEPOINT lifeboat_part"
	}
	_, endErr := q.conn.ExecContext(ctx, end)
	return errors.Join(err, endErr)
}

// read gives at most limit rows as text, NULL as nil.
func (q asker) read(ctx context.Context, limit int, query string, args ...any) ([][]*string, error) {
	ctx, cancel := context.WithTimeout(ctx, questionFor)
	defer cancel()
	rows, err := q.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]*string
	for len(out) < limit && rows.Next() {
		cells := make([]*string, len(names))
		into := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, cells)
	}
	return out, rows.Err()
}

func splitName(table string) (schema, name string) {
	if s, n, ok := strings.Cut(table, "."); ok {
		return s, n
	}
	return "", table
}

// describe reads a table's columns and the columns that name a row.
func (d dialect) describe(ctx context.Context, q asker, configured string) (*table, error) {
	schema, name := splitName(configured)
	var rows [][]*string
	var err error
	switch d.kind {
	case doctor.Postgres:
		if schema == "" {
			schema = "public"
		}
		rows, err = q.read(ctx, 2000, `SELECT a.attname, format_type(a.atttypid, NULL), COALESCE(array_position(i.indkey::int2[], a.attnum), -1)
			FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
			WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, schema, name)
	case doctor.SQLite:
		schema = "main"
		rows, err = q.read(ctx, 2000, `SELECT name, type, pk - 1 FROM pragma_table_info(?, 'main')`, name)
	default:
		if schema == "" {
			one, err := q.read(ctx, 1, "SELECT DATABASE()")
			if err != nil || len(one) == 0 || one[0][0] == nil {
				return nil, errors.Join(err, errors.New("no database is chosen"))
			}
			schema = *one[0][0]
		}
		rows, err = q.read(ctx, 2000, `SELECT c.COLUMN_NAME, c.DATA_TYPE, COALESCE(k.ORDINAL_POSITION, 0) - 1 FROM information_schema.COLUMNS c
			LEFT JOIN information_schema.KEY_COLUMN_USAGE k ON k.TABLE_SCHEMA = c.TABLE_SCHEMA AND k.TABLE_NAME = c.TABLE_NAME AND k.COLUMN_NAME = c.COLUMN_NAME
			AND k.CONSTRAINT_NAME = 'PRIMARY' WHERE c.TABLE_SCHEMA = ? AND c.TABLE_NAME = ? ORDER BY c.ORDINAL_POSITION`, schema, name)
	}
	if err != nil {
		return nil, err
	}
	t := &table{name: configured, from: d.name(schema, name), alone: d.name(name), schema: schema, plain: name}
	places := map[int]int{}
	for i, r := range rows {
		t.columns = append(t.columns, column{*r[0], classOf(*r[1])})
		if at, err := strconv.Atoi(*r[2]); err == nil && at >= 0 {
			places[at] = i
		}
	}
	for at := range 64 {
		if i, ok := places[at]; ok {
			t.key = append(t.key, i)
		}
	}
	switch {
	case len(t.columns) == 0:
		t.notice = fmt.Sprintf("There is no table %s, or it may not be read: run lifeboat data doctor.", configured)
	case len(t.key) == 0:
		t.notice = fmt.Sprintf("%s has no primary key: its rows can't be told apart, and are not searched.", configured)
	}
	return t, nil
}

// classOf sorts a type's name.
func classOf(kind string) class {
	kind = strings.ToLower(kind)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(kind, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("interval", "point", "[]", "range"):
		return otherClass
	case has("int", "serial"):
		return integerClass
	case has("numeric", "decimal", "real", "double", "float", "money"):
		return numberClass
	case has("char", "text", "clob", "json", "xml"), kind == "name":
		return textClass
	case has("uuid"):
		return uuidClass
	}
	return otherClass
}

// plain is a database's error without how it was reached.
func plain(err error) string { return doctor.Plain(err) }
