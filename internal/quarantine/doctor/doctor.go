// Package doctor looks after the way into the databases that rows can be taken
// away from: which rights are needed and whether they are there, and one
// connection to each that is opened in calm and kept, so that lifeboat still gets
// in when production has used up all of them.
//
// It changes nothing in a database and grants nothing: it prints the statements
// that a person may run. It takes no rows away (package quarantine does). It reads
// no configuration; who wires it makes Targets of one. Addresses and passwords are
// in no report, log line or error.
//
// Concurrency: Check is a function of its arguments; a Keeper and a Round may be
// used from any goroutine.
package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// Schema is where taken rows are kept in PostgreSQL; the name of MariaDB's database
// for them begins so.
const Schema = "lifeboat_q"

// The kinds of databases.
const (
	Postgres = "postgres"
	MariaDB  = "mariadb"
	MySQL    = "mysql"
	SQLite   = "sqlite"
)

// Target is one database as the configuration has it.
type Target struct {
	Name   string
	Kind   string
	DSN    string // a secret; of PostgreSQL and MariaDB
	File   string // of SQLite
	Tables []string
}

// Problem is something that would stop a quarantine, and what to do about it.
type Problem struct {
	Table string `json:"table,omitempty"`
	Text  string `json:"text"`
	Next  string `json:"next"`
}

// Report is what a check found.
type Report struct {
	Database string    `json:"database"`
	Kind     string    `json:"kind"`
	Server   string    `json:"server,omitempty"` // its version
	User     string    `json:"user,omitempty"`
	OK       bool      `json:"ok"`
	Problems []Problem `json:"problems"`
	Notices  []string  `json:"notices"`        // worth knowing, stops nothing
	Grants   []string  `json:"grants"`         // what gives exactly the rights that are needed
	Used     int       `json:"used,omitempty"` // connections
	Most     int       `json:"most,omitempty"` // that users other than administrators may have
	At       time.Time `json:"at"`
}

func (r *Report) problem(table, next, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{table, fmt.Sprintf(format, args...), next})
}

func (r *Report) notice(format string, args ...any) {
	r.Notices = append(r.Notices, fmt.Sprintf(format, args...))
}

// checkFor is how long one database's check may take.
const checkFor = 15 * time.Second

// Check looks at one database over a connection; it never fails but reports. A nil
// connection means that there is none, for the reason why.
func Check(ctx context.Context, t Target, conn *sql.Conn, why error, now time.Time) Report {
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	r := Report{Database: t.Name, Kind: t.Kind, At: now.UTC(), Problems: []Problem{}, Notices: []string{}, Grants: []string{}}
	switch t.Kind {
	case SQLite:
		checkFile(&r, t)
		if conn != nil && len(r.Problems) == 0 {
			finish(&r, checkSQLite(ctx, &r, t, conn))
		}
	case Postgres:
		r.User = "lifeboat"
		if conn != nil {
			finish(&r, checkPostgres(ctx, &r, t, conn))
		}
	default:
		r.User = "lifeboat"
		if conn != nil {
			finish(&r, checkMariaDB(ctx, &r, t, conn))
		}
	}
	if conn == nil && len(r.Problems) == 0 {
		r.problem("", "See that the database runs and that the address and the password are right, then ask again.", "lifeboat can't sign in: %s.", reason(why))
	}
	if len(r.Grants) == 0 {
		r.Grants = grants(t, r.User)
	}
	r.OK = len(r.Problems) == 0
	return r
}

func finish(r *Report, err error) {
	if err != nil {
		r.problem("", "See that the database answers, then ask again.", "The check could not be finished: %s.", reason(err))
	}
}

// reason is an error's own words, without what could hold an address or password.
func reason(err error) string {
	var f *fault.Error
	switch {
	case err == nil:
		return "it does not answer"
	case errors.As(err, &f):
		return f.Text
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	}
	return strings.TrimSuffix(Plain(err), ".")
}

// grants are the statements for a target whose server can't be asked.
func grants(t Target, user string) []string {
	switch t.Kind {
	case Postgres:
		return grantsPostgres(t, user, "", nil)
	case SQLite:
		return grantsFile(t)
	}
	return grantsMariaDB(t, user, "")
}

// split takes a table's name apart; the schema is "" where it is not said.
func split(table string) (schema, name string) {
	if s, n, ok := strings.Cut(table, "."); ok {
		return s, n
	}
	return "", table
}
