package dbtest

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	_ "github.com/go-sql-driver/mysql" // the drivers that Root names
	_ "github.com/jackc/pgx/v5/stdlib"
)

// DSN is how a user without a password reaches a database of the server.
func (s *Server) DSN(user, database string) string {
	if s.postgres() {
		return fmt.Sprintf("host=%s user=%s dbname=%s", s.Socket, user, database)
	}
	return fmt.Sprintf("%s@unix(%s)/%s", user, s.Socket, database)
}

func (s *Server) postgres() bool { return s.Socket == s.Folder }

// Root opens a database as the server's administrator; "" is the one that is always
// there.
func (s *Server) Root(database string) (*sql.DB, error) {
	if !s.postgres() {
		return sql.Open("mysql", s.DSN("root", database))
	}
	if database == "" {
		database = "postgres"
	}
	return sql.Open("pgx", s.DSN("postgres", database))
}

// Need ends a test whose server is not installed, loudly, and fails one whose server
// does not start.
func Need(t testing.TB, what string, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) {
		SkipLoud(t, what, err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
