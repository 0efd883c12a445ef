package sqlite

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
)

// fault turns what SQLite says into what the contract promises: a medium that
// can't be reached is Unavailable with the next step.
func (s *Store) fault(ctx context.Context, verb string, err error) error {
	var known *fault.Error
	var driver *sqlite.Error
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrCompacted), errors.As(err, &known):
		return err
	case s.closed.Load():
		return store.ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &driver):
		if hint, ok := hints[driver.Code()&0xff]; ok {
			return fault.New(fault.Unavailable, "%s", verb).At(s.path).Because(err).WithHint("%s", hint)
		}
	}
	return fault.New(fault.Internal, "%s", verb).At(s.path).Because(err)
}

// hints are the next steps by primary result code.
var hints = map[int]string{
	lib.SQLITE_FULL:     "free some space on this disk",
	lib.SQLITE_IOERR:    "look at the disk: is it full, or does the system report errors of it?",
	lib.SQLITE_READONLY: "the file or its file system is read-only: look at the disk, then make it writable",
	lib.SQLITE_CANTOPEN: "look at the folder: is it there, writable for this account, and on a disk with space?",
	lib.SQLITE_PERM:     "give this account the right to write the file and its folder",
	lib.SQLITE_AUTH:     "give this account the right to write the file and its folder",
	lib.SQLITE_BUSY:     "another process has the file open: stop it",
	lib.SQLITE_LOCKED:   "another process has the file open: stop it",
	lib.SQLITE_PROTOCOL: "another process has the file open: stop it",
	lib.SQLITE_NOMEM:    "free some memory on this machine",
	lib.SQLITE_CORRUPT:  "the file is damaged: stop control, move the file away, and start from a backup or from nothing",
	lib.SQLITE_NOTADB:   "the file is damaged or not a store: stop control, move it away, and start from a backup or from nothing",
}
