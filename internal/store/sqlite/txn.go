package sqlite

import (
	"context"
	"database/sql"

	"lifeboat/internal/store"
)

// Txn implements store.Store. Once it has begun to write, ctx no longer stops it:
// its outcome is never in doubt.
func (s *Store) Txn(ctx context.Context, conds []store.Cond, writes []store.Write) (store.Revision, error) {
	if err := store.Check(conds, writes); err != nil {
		return 0, err
	}
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	conn, err := s.write.Conn(ctx) // waits for its turn
	if err != nil {
		return 0, s.fault(ctx, "write the store", err)
	}
	defer func() { _ = conn.Close() }() // gives it back
	rev, err := s.txn(context.WithoutCancel(ctx), conn, conds, writes)
	if err != nil {
		return 0, s.fault(context.WithoutCancel(ctx), "write the store", err)
	}
	s.bell.Ring()
	return rev, nil
}

func (s *Store) txn(ctx context.Context, conn *sql.Conn, conds []store.Cond, writes []store.Write) (rev store.Revision, err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	for _, c := range conds {
		kv, err := s.stamps(ctx, tx, c.Key)
		if err != nil {
			return 0, err
		}
		if kv.Modified != c.Modified {
			return 0, store.ErrConflict
		}
	}
	if err := tx.StmtContext(ctx, s.q.revision).QueryRowContext(ctx).Scan(&rev); err != nil {
		return 0, err
	}
	changed, err := s.apply(ctx, tx, rev+1, writes)
	if err != nil || !changed {
		return rev, err
	}
	rev++
	if rev > s.keep {
		if _, err := tx.StmtContext(ctx, s.q.prune).ExecContext(ctx, int64(rev-s.keep)); err != nil {
			return 0, err
		}
	}
	return rev, tx.Commit()
}

// apply writes at a revision and says whether that changed anything.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, at store.Revision, writes []store.Write) (changed bool, err error) {
	for _, w := range writes {
		old, err := s.stamps(ctx, tx, w.Key)
		if err != nil {
			return false, err
		}
		if w.Delete && old.Modified == 0 {
			continue
		}
		changed = true
		if err := s.change(ctx, tx, store.Changed(w, old, at)); err != nil {
			return false, err
		}
	}
	return changed, nil
}

func (s *Store) change(ctx context.Context, tx *sql.Tx, c store.Change) (err error) {
	if c.Deleted {
		_, err = tx.StmtContext(ctx, s.q.del).ExecContext(ctx, c.Key)
	} else {
		_, err = tx.StmtContext(ctx, s.q.put).ExecContext(ctx, c.Key, c.Value, int64(c.Created), int64(c.Modified))
	}
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.q.note).ExecContext(ctx, int64(c.Modified), c.Key, c.Value, int64(c.Created))
	return err
}
