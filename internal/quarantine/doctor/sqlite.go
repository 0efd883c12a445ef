package doctor

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// checkFile looks at a database file's rights without opening it.
func checkFile(r *Report, t Target) {
	folder := filepath.Dir(t.File)
	info, err := os.Stat(t.File)
	switch {
	case os.IsNotExist(err):
		r.problem("", "Correct the path under file.", "There is no file %s.", t.File)
		return
	case err != nil:
		r.problem("", "Run: "+grantsFile(t)[0], "lifeboat can't get to %s.", t.File)
		return
	case !info.Mode().IsRegular():
		r.problem("", "Write the path of the database file.", "%s is no plain file.", t.File)
		return
	}
	if unix.Access(t.File, unix.R_OK|unix.W_OK) != nil {
		r.problem("", "Run: "+grantsFile(t)[0], "lifeboat may not write to %s.", t.File)
	}
	if unix.Access(folder, unix.W_OK|unix.X_OK) != nil {
		r.problem("", "Run: "+grantsFile(t)[1], "lifeboat may not write to the folder %s, where SQLite keeps its journal.", folder)
	}
	if info.Mode()&fs.FileMode(0o002) != 0 {
		r.notice("Everybody on this machine may write to %s.", t.File)
	}
}

func grantsFile(t Target) []string {
	q := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	return []string{
		"setfacl -m u:lifeboat:rw " + q(t.File),
		"setfacl -m u:lifeboat:rwx -m d:u:lifeboat:rw " + q(filepath.Dir(t.File)) + " # where SQLite keeps its journal",
	}
}

func checkSQLite(ctx context.Context, r *Report, t Target, conn *sql.Conn) error {
	var mode string
	if err := conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&r.Server); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		r.notice("The journal is of mode %s: while rows are taken away nobody else can read. With PRAGMA journal_mode=WAL they can.", mode)
	}
	for _, name := range t.Tables {
		_, table := split(name)
		var kind string
		var create sql.NullString
		err := conn.QueryRowContext(ctx, "SELECT type, sql FROM main.sqlite_schema WHERE name = ? AND type IN ('table', 'view')", table).Scan(&kind, &create)
		switch {
		case err == sql.ErrNoRows:
			r.problem(name, "Correct the name under tables, or remove it.", "There is no table %s.", name)
		case err != nil:
			return err
		case kind != "table":
			r.problem(name, "Name the table that it reads from.", "%s is no table but a view.", name)
		case strings.HasPrefix(strings.ToUpper(create.String), "CREATE VIRTUAL"):
			r.problem(name, "Name the table that it reads from.", "%s is a virtual table.", name)
		}
	}
	return nil
}
