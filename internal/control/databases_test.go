package control

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/quarantine/doctor"
)

// What the daily check finds is shown by lifeboat check; a database that can't be
// used at all keeps nothing from starting.
func TestDatabasesAreChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "shop.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := doctor.Open(doctor.Target{Kind: doctor.SQLite, File: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	if err := os.WriteFile(filepath.Join(dir, "bad.dsn"), []byte("postgres://boat:hunter2@[::1/x"), 0o600); err != nil {
		t.Fatal(err)
	}
	round, bad := databases(Options{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Config: &config.Config{Databases: []config.Database{
		{Name: "good", Kind: config.KindSQLite, File: file, Tables: []string{"orders"}},
		{Name: "poor", Kind: config.KindSQLite, File: file, Tables: []string{"orders", "nosuch", "neither"}},
		{Name: "unreadable", Kind: config.KindPostgres, DSNFile: filepath.Join(dir, "bad.dsn"), Tables: []string{"orders"}},
		{Name: "missing", Kind: config.KindMariaDB, DSNFile: filepath.Join(dir, "none"), Tables: []string{"orders"}},
	}}})
	found := databaseFindings(round, bad)
	if f := found(); len(f) != 4 || f[2].Text != "It has not been checked yet." {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); round.Run(ctx) }()
	defer func() { cancel(); <-done }()
	want := map[string]struct {
		severity engine.Severity
		text     string
	}{
		"good": {engine.SeverityOK, "All rights are there"}, "poor": {engine.SeverityProblem, "There is no table nosuch. 1 more"},
		"unreadable": {engine.SeverityProblem, "can't be read"}, "missing": {engine.SeverityProblem, "can't be used"},
	}
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		wrong := ""
		for _, f := range found() {
			if w := want[f.About]; f.Severity != w.severity || !strings.Contains(f.Text, w.text) || f.Code != "database" || strings.Contains(f.Text, "hunter2") {
				wrong = f.About + ": " + string(f.Severity) + " " + f.Text
			}
		}
		if wrong == "" {
			return
		}
		if time.Now().After(late) {
			t.Fatal(wrong)
		}
	}
}
