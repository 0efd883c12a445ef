package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"lifeboat/internal/fault"
)

// format is what this version writes into user_version, application marks the
// file as ours.
const (
	format      = 1
	application = 0x6c626f61 // "lboa"
)

const schema = `
CREATE TABLE kv (
	key      TEXT PRIMARY KEY NOT NULL,
	value    BLOB NOT NULL,
	created  INTEGER NOT NULL,
	modified INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
	revision INTEGER NOT NULL,
	key      TEXT NOT NULL,
	value    BLOB,
	created  INTEGER NOT NULL, -- 0: deleted
	PRIMARY KEY (revision, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE life (id TEXT NOT NULL) STRICT;`

// mode is how the connections to a file share it.
type mode int

const (
	shared mode = iota // through an index file in shared memory, which needs room on the disk
	alone              // one connection, its index on the heap: works on a full disk
)

func connect(path string, m mode, lock string, connections int) *sql.DB {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	v := url.Values{"_txlock": {lock}, "_busy_timeout": {"1000"}, "_dqs": {"0"}, "_defensive": {"1"}, "_error_rc": {"1"}}
	pragmas := []string{
		"journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(16777216)",
		"trusted_schema(OFF)", "cell_size_check(ON)", "temp_store(MEMORY)",
	}
	if m == alone {
		pragmas = append([]string{"locking_mode(EXCLUSIVE)"}, pragmas...) // must come before the first access
	}
	v.Set("_pragma", strings.Join(pragmas, "; PRAGMA ")) // one value: the driver would sort several
	name := url.URL{Scheme: "file", Path: path, RawQuery: v.Encode()}
	db, _ := sql.Open("sqlite", name.String()) // fails only for an unknown driver
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// prepareFile makes the tables in an empty file, refuses one that isn't ours, and
// gives its life. It writes nothing to a file that has its tables.
func prepareFile(ctx context.Context, db *sql.DB, path string) (life string, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	var version, app, tables int
	err = tx.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version),
		(SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)`).
		Scan(&version, &app, &tables)
	if err != nil {
		return "", err
	}
	switch {
	case tables == 0:
		if err := makeTables(ctx, tx); err != nil {
			return "", err
		}
	case app != application:
		return "", fault.New(fault.Invalid, "the file is a database, but not a store of lifeboat").At(path).
			WithHint("move it away or name another folder")
	case version > format:
		return "", fault.New(fault.NotSupported, "the store has format %d, this version reads up to %d", version, format).At(path).
			WithHint("use the newer version that wrote it")
	}
	if err := tx.QueryRowContext(ctx, "SELECT id FROM life").Scan(&life); err != nil {
		return "", err
	}
	if tables == 0 {
		return life, tx.Commit()
	}
	return life, nil
}

func makeTables(ctx context.Context, tx *sql.Tx) error {
	var life [16]byte
	_, _ = rand.Read(life[:]) // never fails
	for _, q := range []string{
		schema,
		fmt.Sprintf("INSERT INTO life VALUES ('%s')", hex.EncodeToString(life[:])),
		fmt.Sprintf("PRAGMA application_id = %d", application),
		fmt.Sprintf("PRAGMA user_version = %d", format),
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}
