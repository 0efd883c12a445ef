package postgres_test

import (
	"testing"

	"lifeboat/internal/quarantine/postgres"
	"lifeboat/internal/quarantine/quarantinetest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	quarantinetest.Run(t, bench)
}

// bench makes a database for a test of the suite.
func bench(t testing.TB, own bool, script ...string) *quarantinetest.World {
	t.Helper()
	s := server
	if own {
		var err error
		if s, err = quarantinetest.Postgres(); err != nil {
			quarantinetest.SkipLoud(t, "PostgreSQL", err)
		}
		t.Cleanup(s.Close)
	}
	w := newWorldOn(t, s, "")
	for _, statement := range script {
		w.exec(statement)
	}
	return &quarantinetest.World{DSN: w.dsn, SQL: w.sql, Open: postgres.Open,
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
