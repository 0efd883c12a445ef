package snapshot

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/slot"
)

// Sizes of the preallocated slots, in bytes.
const (
	manifestSlot = 256 << 10
	localSlot    = 64 << 10
)

// Folder keeps the last two good snapshots, the local orders and the pinned key.
// The manifest and the orders lie in preallocated, alternating slots, so that a
// flip needs no free space.
type Folder struct {
	dir      string
	manifest *slot.File
	local    *slot.File
	pending  map[string][]byte // parts that are not on disk yet
}

// OpenFolder opens or makes the folder (mode 0700).
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, "parts"), 0o700); err != nil {
		return nil, fmt.Errorf("make snapshot folder: %w", err)
	}
	m, err := slot.Open(filepath.Join(dir, "manifest.slot"), manifestSlot)
	if err != nil {
		return nil, fmt.Errorf("open manifest slot: %w", err)
	}
	l, err := slot.Open(filepath.Join(dir, "orders.slot"), localSlot)
	if err != nil {
		_ = m.Close()
		return nil, fmt.Errorf("open orders slot: %w", err)
	}
	return &Folder{dir: dir, manifest: m, local: l, pending: map[string][]byte{}}, nil
}

// Close closes the slots.
func (f *Folder) Close() error { return errors.Join(f.manifest.Close(), f.local.Close()) }

// Key reads the pinned key; a missing one is a *fault.Error of kind NotFound.
func (f *Folder) Key() (ed25519.PublicKey, error) {
	b, err := os.ReadFile(filepath.Join(f.dir, "trusted.key"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "no key is trusted yet").WithHint("run: lifeboat answer trust KEY (control prints its key with: lifeboat control key)")
	}
	if err != nil {
		return nil, fmt.Errorf("read trusted key: %w", err)
	}
	return ParseKey(string(b))
}

// Pin trusts a key from now on.
func (f *Folder) Pin(k ed25519.PublicKey) error {
	return WriteFile(filepath.Join(f.dir, "trusted.key"), []byte(FormatKey(k)+"\n"))
}

// SaveLocal writes the local orders durably.
func (f *Folder) SaveLocal(l Local) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode local orders: %w", err)
	}
	return f.local.Write(b)
}

// LoadLocal reads the local orders; none is the zero Local.
func (f *Folder) LoadLocal() (Local, error) {
	var l Local
	newest, _, err := f.local.Read()
	if err != nil || newest == nil {
		return l, err
	}
	if err := json.Unmarshal(newest, &l); err != nil {
		return Local{}, fault.New(fault.Invalid, "local orders can't be read").Because(err)
	}
	return l, nil
}

// Save keeps a snapshot: its parts first, then the manifest. Parts that could not
// be written are tried again by the next Save; the manifest is written in any case,
// since its positions count even without them.
func (f *Folder) Save(s Signed, parts map[string][]byte) error {
	for hash, b := range parts {
		if _, err := os.Stat(f.part(hash)); err != nil {
			f.pending[hash] = b
		}
	}
	var failed error
	for hash, b := range f.pending {
		if err := WriteFile(f.part(hash), b); err != nil {
			failed = errors.Join(failed, fmt.Errorf("keep part: %w", err))
			continue
		}
		delete(f.pending, hash)
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode signed manifest: %w", err)
	}
	if err := f.manifest.Write(b); err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	return failed
}

// Load reads the newest snapshot that verifies with the pinned key. Where only an
// older one is whole, its parts serve with the newest manifest's orders, so that
// a flip is not lost with a part. problems tells what was passed over.
func (f *Folder) Load(pinned ed25519.PublicKey) (m Manifest, c Contents, problems []error, err error) {
	newest, previous, err := f.manifest.Read()
	if err != nil {
		return m, c, nil, err
	}
	var orders *Manifest
	for _, raw := range [][]byte{newest, previous} {
		if raw == nil {
			continue
		}
		got, err := f.open(raw, pinned)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if orders == nil {
			orders = &got
		}
		c, err := DecodeContents(got.Parts, f.Part)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		return *orders, c, problems, nil
	}
	return m, c, problems, fault.New(fault.NotFound, "no good snapshot is kept here").WithHint("start control, which publishes one")
}

func (f *Folder) open(raw []byte, pinned ed25519.PublicKey) (Manifest, error) {
	var s Signed
	if err := json.Unmarshal(raw, &s); err != nil {
		return Manifest{}, fault.New(fault.Invalid, "the kept manifest can't be read").Because(err)
	}
	return Open(s, pinned)
}

// Has says whether a part is kept.
func (f *Folder) Has(hash string) bool {
	_, err := os.Stat(f.part(hash))
	return err == nil
}

// Parts lists the hashes of all parts kept.
func (f *Folder) Parts() []string {
	var out []string
	entries, _ := os.ReadDir(filepath.Join(f.dir, "parts"))
	for _, e := range entries {
		if len(e.Name()) == 64 {
			out = append(out, e.Name())
		}
	}
	return out
}

// Prune removes the parts that none of the manifests names.
func (f *Folder) Prune(keep ...Manifest) {
	named := map[string]bool{}
	for _, m := range keep {
		for _, r := range m.Parts {
			named[r.SHA256] = true
		}
	}
	for _, h := range f.Parts() {
		if !named[h] {
			_ = os.Remove(f.part(h))
		}
	}
}

// Part reads a part by its hash.
func (f *Folder) Part(hash string) ([]byte, error) {
	if b, waiting := f.pending[hash]; waiting {
		return b, nil
	}
	return os.ReadFile(f.part(hash))
}

func (f *Folder) part(hash string) string {
	return filepath.Join(f.dir, "parts", strings.Map(hexOnly, hash))
}

// hexOnly keeps a hash from naming another folder.
func hexOnly(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'f' {
		return r
	}
	return -1
}

// WriteFile writes a file of mode 0600 durably: beside it, fsync, rename, fsync of
// the folder.
func WriteFile(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when the rename worked
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
