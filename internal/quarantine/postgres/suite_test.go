package postgres_test

import (
	"testing"

	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/postgres"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, bench)
}

// bench makes a database for a test of the suite.
func bench(t testing.TB, own bool, script ...string) *dbtest.World {
	t.Helper()
	s := server
	if own {
		var err error
		if s, err = dbtest.Postgres(); err != nil {
			dbtest.SkipLoud(t, "PostgreSQL", err)
		}
		t.Cleanup(s.Close)
	}
	w := newWorldOn(t, s, "")
	for _, statement := range script {
		w.exec(statement)
	}
	return &dbtest.World{DSN: w.dsn, SQL: w.sql, Open: postgres.Open,
		Dump: func(t testing.TB) string { w.t = t; return w.quickDump() },
		Kill: func(testing.TB) { s.Kill() },
		Start: func(t testing.TB) {
			s.Kill()
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			w.sql.SetMaxIdleConns(0) // those of the killed server
			w.sql.SetMaxIdleConns(2)
		}}
}
