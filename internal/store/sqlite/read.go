package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"lifeboat/internal/store"
)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.KV, error) {
	if err := s.usable(ctx); err != nil {
		return store.KV{}, err
	}
	kv := store.KV{Key: key}
	err := s.q.get.QueryRowContext(ctx, key).Scan(&kv.Value, &kv.Created, &kv.Modified)
	if errors.Is(err, sql.ErrNoRows) {
		return store.KV{}, store.NotFound(key)
	}
	if err != nil {
		return store.KV{}, s.fault(ctx, "read the store", err)
	}
	kv.Value = filled(kv.Value)
	return kv, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string) (kvs []store.KV, rev store.Revision, err error) {
	err = s.reading(ctx, func(tx *sql.Tx) error {
		if _, rev, err = s.ends(ctx, tx); err != nil {
			return err
		}
		from, below := span(prefix)
		rows, err := tx.StmtContext(ctx, s.q.list).QueryContext(ctx, from, below)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kv store.KV
			if err := rows.Scan(&kv.Key, &kv.Value, &kv.Created, &kv.Modified); err != nil {
				return err
			}
			kv.Value = filled(kv.Value)
			kvs = append(kvs, kv)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, 0, err
	}
	return kvs, rev, nil
}

// Changes implements store.History.
func (s *Store) Changes(ctx context.Context, prefix string, from store.Revision, limit int) (changes []store.Change, through store.Revision, err error) {
	err = s.reading(ctx, func(tx *sql.Tx) error {
		oldest, newest, err := s.ends(ctx, tx)
		if err != nil {
			return err
		}
		if from >= newest {
			through = from
			return nil
		}
		if from+1 < oldest {
			return store.ErrCompacted
		}
		changes, through, err = s.changes(ctx, tx, prefix, from, newest, limit)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return changes, through, nil
}

// changes reads up to the end of the revision that fills the limit, or to the
// newest.
func (s *Store) changes(ctx context.Context, tx *sql.Tx, prefix string, from, newest store.Revision, limit int) ([]store.Change, store.Revision, error) {
	first, below := span(prefix)
	rows, err := tx.StmtContext(ctx, s.q.changes).QueryContext(ctx, int64(from), first, below)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var changes []store.Change
	for rows.Next() {
		var c store.Change
		if err := rows.Scan(&c.Modified, &c.Key, &c.Value, &c.Created); err != nil {
			return nil, 0, err
		}
		if n := len(changes); n >= limit && n > 0 && changes[n-1].Modified < c.Modified {
			return changes, changes[n-1].Modified, nil
		}
		if c.Deleted = c.Created == 0; !c.Deleted {
			c.Value = filled(c.Value)
		}
		changes = append(changes, c)
	}
	return changes, newest, rows.Err()
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context) (rev store.Revision, err error) {
	err = s.reading(ctx, func(tx *sql.Tx) error {
		_, rev, err = s.ends(ctx, tx)
		return err
	})
	return rev, err
}

// ends are the oldest and the newest revision that there is history of.
func (s *Store) ends(ctx context.Context, tx *sql.Tx) (oldest, newest store.Revision, err error) {
	err = tx.StmtContext(ctx, s.q.span).QueryRowContext(ctx).Scan(&oldest, &newest)
	return oldest, newest, err
}

// reading runs f on one unchanging view of the file.
func (s *Store) reading(ctx context.Context, f func(*sql.Tx) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return s.fault(ctx, "read the store", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if err := f(tx); err != nil {
		return s.fault(ctx, "read the store", err)
	}
	return nil
}

// filled makes an empty value of what the driver gives for one: nil.
func filled(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return context.Cause(ctx)
}
