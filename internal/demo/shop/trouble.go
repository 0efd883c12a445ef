package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// usable is what a page holds of a long value, in bytes (SQLite's file format, 1.6).
const usable = 4096 - 4

// poison puts a product among the others whose price was typed with a letter in it.
// SQLite takes it: the type of a column is a preference, and any text is more than 0.
func (d *data) poison(ctx context.Context) error {
	return d.write(ctx, "poison row", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO products (id, name, text, cents, picture)
			VALUES (9, 'Tide tables', 'High and low water of every harbour from here to the cape.', '19,5O', 'book')`)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO shelves (product, shelf) VALUES (9, 'reading')")
		return err
	})
}

// repairRow takes out the products that can't be read, and no other.
func (d *data) repairRow(ctx context.Context) (rows int64, err error) {
	err = d.write(ctx, "repair row", func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "DELETE FROM products WHERE typeof(cents) <> 'integer'")
		if err == nil {
			rows, err = result.RowsAffected()
		}
		return err
	})
	return rows, err
}

// poisoned says whether there is a product that can't be read.
func (d *data) poisoned(ctx context.Context) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	err = d.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM products WHERE typeof(cents) <> 'integer')").Scan(&found)
	return found, err
}

// freePages gives how many pages may still be used, those included that were given back.
func freePages(ctx context.Context, q querier) (free int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT max_page_count - page_count + freelist_count
		FROM pragma_max_page_count, pragma_page_count, pragma_freelist_count`).Scan(&free)
	return free, err
}

// free gives the room that is left on the disk, in bytes.
func (d *data) free(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	free, err := freePages(ctx, d.db)
	if err != nil {
		return 0, fmt.Errorf("read free room: %w", err)
	}
	return free * 4096, nil
}

// fill makes an export so long that not one page is left.
func (d *data) fill(ctx context.Context) error {
	return d.write(ctx, "fill disk", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM exports"); err != nil {
			return err
		}
		free, err := freePages(ctx, tx)
		if err != nil || free == 0 {
			return err
		}
		// The row itself finds room in the table's first page; what is too long for
		// it goes into pages of its own, and the export is as long as they are.
		_, err = tx.ExecContext(ctx, "INSERT INTO exports (body) VALUES (zeroblob(?))", free*usable)
		return err
	})
}

// freeDisk deletes what fills the disk.
func (d *data) freeDisk(ctx context.Context) (rows int64, err error) {
	err = d.write(ctx, "free disk", func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "DELETE FROM exports")
		if err == nil {
			rows, err = result.RowsAffected()
		}
		return err
	})
	return rows, err
}

// write does something in a transaction of its own.
func (d *data) write(ctx context.Context, what string, do func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := do(ctx, tx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// job is something that locks the books for a while, as a nightly one does that
// runs too long: they can be read, and nobody can write.
type job struct {
	mu   sync.Mutex // guards both
	stop func()     // nil while none runs
	done chan struct{}
}

// seize locks the books for a time; a job that runs already ends first.
func (d *data) seize(ctx context.Context, length time.Duration) error {
	d.job.end()
	start, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	conn, err := d.db.Conn(start)
	if err != nil {
		return fmt.Errorf("lock the books: %w", err)
	}
	if _, err := conn.ExecContext(start, "BEGIN IMMEDIATE"); err != nil {
		return errors.Join(fmt.Errorf("lock the books: %w", err), conn.Close())
	}
	until, stop := context.WithTimeout(context.WithoutCancel(ctx), length)
	done := make(chan struct{})
	d.job.mu.Lock()
	d.job.stop, d.job.done = stop, done
	d.job.mu.Unlock()
	go func() { // ends by itself, or with end
		defer close(done)
		defer stop()
		<-until.Done()
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // closing it does the same
		_ = conn.Close()
	}()
	return nil
}

// runs says whether a job holds the books.
func (j *job) runs() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done == nil {
		return false
	}
	select {
	case <-j.done:
		return false
	default:
		return true
	}
}

// end makes the job let go of the books, and waits until it has.
func (j *job) end() {
	j.mu.Lock()
	stop, done := j.stop, j.done
	j.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}
