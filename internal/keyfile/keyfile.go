// Package keyfile keeps keys that sign something in a file that nobody else may read.
//
// What keys are, when they change and what they sign belongs to whoever has them (session,
// door). It logs nothing, and an error never holds a key.
//
// Invariants: a file is replaced whole or not at all; keys from a file that others could
// read, or that is none of ours, are never given out.
//
// Concurrency: a File may be used from any goroutine; who writes holds their own lock.
package keyfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

const (
	maxSize = 16 << 10 // bytes
	others  = 0o077    // rights that nobody else may have on the file
)

// File is a file of keys of the type K, which is written as JSON.
type File[K any] struct {
	Path  string       // empty: nothing is kept
	What  string       // "the keys of the sign-ins", for errors
	Cost  string       // what new keys cost people: "everybody has to sign in again"
	Most  int          // keys
	Whole func(K) bool // says whether a key has its parts
}

// Read reads the keys; none where there is no file. An error, of kind Denied or Invalid
// where the file itself is at fault, means that new keys are to be made.
func (f File[K]) Read() ([]K, error) {
	b, err := f.private()
	if err != nil || b == nil {
		return nil, err
	}
	keys, err := f.parse(b)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s can't be read, so new ones were made", f.What).At(f.Path).Because(err).WithHint("%s", f.Cost)
	}
	return keys, nil
}

// private reads the file if nobody else can.
func (f File[K]) private() ([]byte, error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.What, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.What, err)
	}
	if info.Mode().Perm()&others != 0 {
		return nil, fault.New(fault.Denied, "%s could be read by others (mode %04o), so new ones were made", f.What, info.Mode().Perm()).At(f.Path).WithHint("%s", f.Cost)
	}
	b, err := io.ReadAll(io.LimitReader(file, maxSize))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.What, err)
	}
	return append([]byte{}, b...), nil // an empty file is one, too
}

func (f File[K]) parse(b []byte) ([]K, error) {
	var keys []K
	if err := json.Unmarshal(b, &keys); err != nil {
		return nil, err
	}
	if len(keys) == 0 || len(keys) > f.Most {
		return nil, fmt.Errorf("it has %d keys", len(keys))
	}
	for _, k := range keys {
		if !f.Whole(k) {
			return nil, errors.New("a key has another length")
		}
	}
	return keys, nil
}

// Write writes the keys; nothing where no file is kept. The error is of kind Unavailable.
func (f File[K]) Write(keys []K) error {
	if f.Path == "" {
		return nil
	}
	b, err := json.Marshal(keys)
	if err == nil {
		err = snapshot.WriteFile(f.Path, b)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "%s can't be kept", f.What).At(f.Path).Because(err).WithHint("make room on the disk, and look at the folder's owner")
	}
	return nil
}
