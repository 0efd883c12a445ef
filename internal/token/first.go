package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// firstName is the first token's name in the timeline.
const firstName = "admin"

// EnsureFirst makes sure that somebody can get in and may do everything: the first
// token, an admin's, is kept in the file at path, mode 0600. A file whose token the
// store does not know (the store was deleted) is registered again. Where that token
// was revoked, a new one is made only if no other token is an admin's. It knows no
// accounts: where one of them is an admin's, the caller leaves it out. created says
// that raw was made just now.
func (b *Book) EnsureFirst(ctx context.Context, path string) (created bool, raw string, err error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	raw, err = readFirst(path)
	if err != nil {
		return false, "", err
	}
	known, revoked := b.knows(raw)
	switch {
	case raw != "" && known && !revoked:
		return false, raw, nil
	case raw != "" && !known:
		_, err = b.add(ctx, raw, firstName, role.Admin)
		return false, raw, err
	case slices.ContainsFunc(b.List(), func(other Identity) bool { return other.Role.AtLeast(role.Admin) }):
		return false, "", nil
	}
	raw = generate()
	if err := writeFirst(path, raw); err != nil { // first the file: a crash before the store costs nothing
		return false, "", err
	}
	if _, err := b.add(ctx, raw, firstName, role.Admin); err != nil {
		return false, "", err
	}
	return true, raw, nil
}

func (b *Book) knows(raw string) (known, revoked bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, known := b.byHash[sha256.Sum256([]byte(raw))]
	return known, known && !r.Revoked.IsZero()
}

// readFirst reads the file of the first token, "" when there is none.
func readFirst(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fault.New(fault.Unavailable, "can't read the first token").At(path).Because(err).WithHint("look at the file's owner and rights")
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("look at the first token: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fault.New(fault.Denied, "the first token's file can be read by others (mode %04o)", info.Mode().Perm()).At(path).
			WithHint("somebody may have read it: delete the file, revoke the token %q, and start again", firstName)
	}
	b, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return "", fmt.Errorf("read the first token: %w", err)
	}
	raw := strings.TrimSpace(string(b))
	if !wellFormed(raw) {
		return "", fault.New(fault.Invalid, "this is not a token").At(path).WithHint("delete the file: a new one is made at the next start")
	}
	return raw, nil
}

// writeFirst puts the file in place whole or not at all.
func writeFirst(path, raw string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the first token: %w", err)
	}
	_, err = f.WriteString(raw + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep the first token: %w", err), os.Remove(f.Name()))
	}
	return nil
}
