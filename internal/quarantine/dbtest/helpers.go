package dbtest

import (
	"cmp"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // the drivers that Root opens
	_ "github.com/jackc/pgx/v5/stdlib"
)

// SkipLoud skips a test for want of a server, or fails it where that must not happen.
func SkipLoud(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("SKIP-LOUD: %s is missing (%v): run scripts/deps", what, err)
	}
	t.Skipf("SKIP-LOUD: %s is missing (%v): run scripts/deps", what, err)
}

// Need ends a test whose server is not installed, loudly, and fails one whose server does
// not start.
func Need(t testing.TB, what string, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) {
		SkipLoud(t, what, err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// DSN is how a user without a password reaches a database of the server; "" is the
// server's own user.
func (s *Server) DSN(user, database string) string {
	if s.Driver == "pgx" {
		return "host=" + s.Socket + " user=" + cmp.Or(user, "postgres") + " dbname=" + database
	}
	return cmp.Or(user, "root") + "@unix(" + s.Socket + ")/" + database
}

// Root opens a database as the server's own user; "" is the one that is always there.
func (s *Server) Root(database string) (*sql.DB, error) {
	if database == "" && s.Driver == "pgx" {
		database = "postgres"
	}
	return sql.Open(s.Driver, s.DSN("", database))
}

// Differ gives the lines that only one of two sorted dumps has.
func Differ(a, b string) string {
	count := map[string]int{}
	for _, l := range strings.Split(a, "\n") {
		count[l]++
	}
	for _, l := range strings.Split(b, "\n") {
		count[l]--
	}
	var out []string
	for l, n := range count {
		if n > 0 {
			out = append(out, "- "+l)
		} else if n < 0 {
			out = append(out, "+ "+l)
		}
		if len(out) > 40 {
			break
		}
	}
	return strings.Join(out, "\n")
}

// Rounds is how often a test that tries many times does so: more under LIFEBOAT_SOAK=1.
func Rounds(few, many int) int {
	if os.Getenv("LIFEBOAT_SOAK") == "1" {
		return many
	}
	return few
}
