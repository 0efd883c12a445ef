// Package postgres takes rows out of PostgreSQL (12 and newer) and puts them back.
//
// It is the dialect of package relational for PostgreSQL; only those who wire open
// it. Keys are the text form of their columns under a pinned session (UTC, ISO dates,
// exact floats), bytea in hexadecimal. Copies lie in the schema lifeboat_q, made by
// CREATE TABLE (LIKE) in the same transaction as the move.
//
// Invariants. The search path is empty and every name qualified. Limits and settings
// last for a transaction only, so that a transaction pooler may stand between. Rows
// that row security would hide are an error, never a silent gap. Inheritance children
// are tables of their own (ONLY).
//
// Concurrency: as relational.DB.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// Kind is the kind of this database in plans.
const Kind = "postgres"

// Schema is where copies and our own tables lie.
const Schema = "lifeboat_q"

// lockKey is the advisory lock of one act per database: "lifeboat" as a number.
const lockKey = 0x6c696665626f6174

// Open opens a database by its connection string (a URL or key=value), which is never
// logged nor part of an error. It does not connect yet.
func Open(dsn string, o relational.Options) (*relational.DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the connection string can't be read").At(o.Name).WithHint("write postgres://user@host:5432/database, and check what stands in the file or the environment")
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared, so a pooler may stand between
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "lifeboat"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	return relational.New(stdlib.OpenDB(*config), &dialect{limits: o.Limits.WithDefaults()}, o)
}

type dialect struct {
	limits quarantine.Limits
}

func (d *dialect) Kind() string { return Kind }

func (d *dialect) Connect(context.Context, *sql.Conn) error { return nil }

func (d *dialect) Begin(ctx context.Context, c *sql.Conn, p relational.Purpose) error {
	begin, statement := "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", d.limits.Write
	if p == relational.Reading {
		begin, statement = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", d.limits.Read
	}
	settings := [][2]string{
		{"search_path", ""}, {"DateStyle", "ISO, YMD"}, {"IntervalStyle", "postgres"}, {"TimeZone", "UTC"}, {"extra_float_digits", "1"},
		{"bytea_output", "hex"}, {"row_security", "off"}, {"lc_monetary", "C"}, {"xmloption", "content"}, {"jit", "off"}, {"client_min_messages", "error"},
		{"statement_timeout", milliseconds(statement)}, {"lock_timeout", milliseconds(d.limits.Lock)}, {"idle_in_transaction_session_timeout", "60000"},
		// For the planner: copies need be counted only, and a few rows are looked for in large tables.
		{"default_statistics_target", "1"}, {"random_page_cost", "1.1"},
	}
	parts := make([]string, len(settings))
	for i, s := range settings {
		parts[i] = fmt.Sprintf("pg_catalog.set_config('%s', '%s', true)", s[0], s[1])
	}
	_, err := c.ExecContext(ctx, begin+"; SELECT "+strings.Join(parts, ", "))
	return err
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

func (d *dialect) TryLock(ctx context.Context, c *sql.Conn) (bool, error) {
	lines, err := relational.Texts(ctx, c, fmt.Sprintf("SELECT CASE WHEN pg_try_advisory_xact_lock(%d) THEN 'yes' END", lockKey))
	return err == nil && lines[0][0] == "yes", err
}

func (d *dialect) Unlock(context.Context, *sql.Conn) {} // the end of the transaction does it

// Full implements relational.Dialect: too_many_connections.
func (d *dialect) Full(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "53300"
}

// Again implements relational.Dialect: here tables are made inside of transactions.
func (d *dialect) Again(error) bool { return false }

// Fault tells an error of PostgreSQL. Details are left out: they hold cells.
func (d *dialect) Fault(err error, place string) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var network net.Error
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return fault.New(fault.Unavailable, "the database took too long, or was not waited for").At(place).WithHint("nothing was changed unless said otherwise; try again").Because(err)
		}
		var connect *pgconn.ConnectError
		if errors.As(err, &network) || errors.As(err, &connect) {
			return fault.New(fault.Unavailable, "the database can't be reached").At(place).WithHint("look whether it runs and lets us in; what was under way is rolled back").Because(short{err})
		}
		return fault.New(fault.Unavailable, "the database does not answer").At(place).WithHint("look whether it runs; what was under way is rolled back").Because(short{err})
	}
	if told := sqlState(e); told != nil {
		return told.At(place)
	}
	return fault.New(fault.Internal, "the database refused a statement (code %s)", e.Code).At(place).WithHint("nothing was changed; the database's own log has the text")
}

// short is an error's first line.
type short struct{ error }

func (s short) Error() string {
	text, _, _ := strings.Cut(s.error.Error(), "\n")
	if len(text) > 200 {
		text = text[:200]
	}
	return text
}

// sqlState tells the codes that a person can do something about.
func sqlState(e *pgconn.PgError) *fault.Error {
	table := e.TableName
	switch e.Code {
	case "55P03":
		return fault.New(fault.Unavailable, "some of the rows or tables are locked by somebody else").WithHint("nothing was changed; try again, or look for a transaction that stays open")
	case "40P01", "40001":
		return fault.New(fault.Unavailable, "somebody else changed the same rows at the same time").WithHint("nothing was changed; try again")
	case "57014":
		return fault.New(fault.Unavailable, "a statement took too long and was ended").WithHint("nothing was changed; choose fewer rows, or look whether an index is missing")
	case "42501":
		return fault.New(fault.Denied, "the database role lacks a right").WithHint("nothing was changed; lifeboat data doctor prints what to grant")
	case "23503":
		return fault.New(fault.Conflict, "the foreign key %s of %s would be broken", e.ConstraintName, table).WithHint("nothing was changed; put back the rows that are referred to first")
	case "23505", "23P01":
		return fault.New(fault.Conflict, "another row of %s has the same %s", table, e.ConstraintName).WithHint("nothing was changed; correct one of the two")
	case "23502":
		return fault.New(fault.Conflict, "the column %s of %s can't be empty", e.ColumnName, table).WithHint("nothing was changed; give it a value")
	case "23514":
		return fault.New(fault.Conflict, "the check %s of %s does not hold", e.ConstraintName, table).WithHint("nothing was changed; correct the row")
	case "P0001":
		return fault.New(fault.Conflict, "a trigger or a function of the database refused").WithHint("nothing was changed; the database's own log has its words")
	case "25006":
		return fault.New(fault.Unavailable, "the database is read only just now").WithHint("connect to the primary")
	case "42P01", "42703":
		return fault.New(fault.Conflict, "a table or a column is no longer there").WithHint("nothing was changed; make a new plan")
	case "53300", "57P03":
		return fault.New(fault.Unavailable, "the database lets nobody in just now").WithHint("try again in a moment")
	}
	switch {
	case strings.HasPrefix(e.Code, "22"):
		return fault.New(fault.Invalid, "a value does not fit its column (%s)", e.Code).WithHint("nothing was changed; look at the types of the columns and write the value as they do")
	case strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "25P03"):
		return fault.New(fault.Unavailable, "the database ended the connection").WithHint("what was under way is rolled back; try again when it runs")
	case strings.HasPrefix(e.Code, "28"):
		return fault.New(fault.Denied, "the database does not let us in").WithHint("check the role and its password")
	}
	return nil
}
