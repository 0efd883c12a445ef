package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"lifeboat/internal/store"
)

// queries are prepared once. Those above the line belong to the connection that
// writes.
type queries struct {
	revision, stamps, put, del, note, prune *sql.Stmt

	get, list, span, changes *sql.Stmt
}

func prepareQueries(ctx context.Context, write, read *sql.DB) (q queries, err error) {
	const newest = "SELECT coalesce(max(revision), 0) FROM changes"
	for _, p := range []struct {
		to    **sql.Stmt
		db    *sql.DB
		query string
	}{
		{&q.revision, write, newest},
		{&q.stamps, write, "SELECT created, modified FROM kv WHERE key = ?"},
		{&q.put, write, `INSERT INTO kv (key, value, created, modified) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (key) DO UPDATE SET value = ?2, modified = ?4`},
		{&q.del, write, "DELETE FROM kv WHERE key = ?"},
		{&q.note, write, "INSERT INTO changes (revision, key, value, created) VALUES (?, ?, ?, ?)"},
		{&q.prune, write, "DELETE FROM changes WHERE revision <= ?"},

		{&q.get, read, "SELECT value, created, modified FROM kv WHERE key = ?"},
		{&q.list, read, "SELECT key, value, created, modified FROM kv WHERE key >= ? AND key < ? ORDER BY key"},
		{&q.span, read, "SELECT coalesce((SELECT min(revision) FROM changes), 0), (" + newest + ")"},
		{&q.changes, read, `SELECT revision, key, value, created FROM changes
			WHERE revision > ?1 AND key >= ?2 AND key < ?3 ORDER BY revision, key`},
	} {
		if *p.to, err = p.db.PrepareContext(ctx, p.query); err != nil {
			return q, fmt.Errorf("prepare %q: %w", p.query, err)
		}
	}
	return q, nil
}

// span gives the ends of the keys that have a prefix: from the first, up to but
// without the second.
func span(prefix string) (from, below string) {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return prefix, "\xff" // above every UTF-8 text
	}
	b[len(b)-1]++
	return prefix, string(b)
}

// stamps are a key's revisions, zero if it is absent.
func (s *Store) stamps(ctx context.Context, tx *sql.Tx, key string) (kv store.KV, err error) {
	err = tx.StmtContext(ctx, s.q.stamps).QueryRowContext(ctx, key).Scan(&kv.Created, &kv.Modified)
	if err == sql.ErrNoRows {
		err = nil
	}
	return kv, err
}
