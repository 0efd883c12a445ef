package snapshot

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

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
	staging  atomic.Int32      // parts are being written ahead
	whole    *Signed           // the newest manifest whose parts are all on disk
}

// kept is what a slot of the manifest holds. While parts could not be written, Whole
// travels along from slot to slot, so that a second flip does not overwrite the last
// manifest that can be served from this disk.
type kept struct {
	Signed
	Whole *Signed `json:"whole,omitempty"`
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
	if err == nil && len(b) > f.local.Cap() && l.Last != nil { // the orders alone, rather than nothing
		l.Last = nil
		b, err = json.Marshal(l)
	}
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
		if !f.Has(hash) {
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
	if err := f.saveManifest(s); err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	return failed
}

// Stage writes parts ahead of the snapshot that names them. It may run beside anything
// else that is done with the Folder. left are those that could not be written, which
// Save is to be given.
func (f *Folder) Stage(parts map[string][]byte) (left map[string][]byte, err error) {
	f.staging.Add(1)
	defer f.staging.Add(-1)
	left = map[string][]byte{}
	for hash, b := range parts {
		if f.Has(hash) {
			continue
		}
		if failed := WriteFile(f.part(hash), b); failed != nil {
			left[hash], err = b, errors.Join(err, fmt.Errorf("keep part: %w", failed))
		}
	}
	return left, err
}

func (f *Folder) saveManifest(s Signed) error {
	k := kept{Signed: s}
	if len(f.pending) > 0 {
		k.Whole = f.whole
	}
	b, err := json.Marshal(k)
	if err == nil && len(b) > f.manifest.Cap() { // the newest alone, rather than nothing
		b, err = json.Marshal(kept{Signed: s})
	}
	if err != nil {
		return err
	}
	if err := f.manifest.Write(b); err != nil {
		return err
	}
	if len(f.pending) == 0 {
		f.whole = &s
	}
	return nil
}

// Load reads the newest snapshot that verifies with the pinned key. Where only an
// older one is whole, its parts serve with the newest manifest's orders, so that
// a flip is not lost with a part; the manifest then names the parts that serve.
// problems tells what was passed over.
func (f *Folder) Load(pinned ed25519.PublicKey) (m Manifest, c Contents, problems []error, err error) {
	good, problems, err := f.verified(pinned)
	if err != nil {
		return m, c, nil, err
	}
	for _, g := range good {
		c, err := DecodeContents(g.m.Parts, f.Part)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if m = good[0].m; len(f.pending) == 0 {
			f.whole = &g.s
		}
		m.Parts = g.m.Parts
		return m, c, problems, nil
	}
	return m, c, problems, fault.New(fault.NotFound, "no good snapshot is kept here").WithHint("start control, which publishes one")
}

type verified struct {
	s Signed
	m Manifest
}

// verified gives the kept manifests that verify, newest first by epoch and revision,
// however they lie on the disk.
func (f *Folder) verified(pinned ed25519.PublicKey) (good []verified, problems []error, err error) {
	copies, problems, err := f.copies()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range copies {
		m, err := Open(s, pinned)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		good = append(good, verified{s, m})
	}
	slices.SortStableFunc(good, func(a, b verified) int {
		return cmp.Or(cmp.Compare(b.m.Epoch, a.m.Epoch), cmp.Compare(b.m.Revision, a.m.Revision))
	})
	return good, problems, nil
}

// copies are all manifests that lie here, verified or not.
func (f *Folder) copies() (out []Signed, problems []error, err error) {
	newest, previous, err := f.manifest.Read()
	if err != nil {
		return nil, nil, err
	}
	for _, raw := range [][]byte{newest, previous} {
		if raw == nil {
			continue
		}
		var k kept
		if err := json.Unmarshal(raw, &k); err != nil {
			problems = append(problems, fault.New(fault.Invalid, "the kept manifest can't be read").Because(err))
			continue
		}
		out = append(out, k.Signed)
		if k.Whole != nil {
			out = append(out, *k.Whole)
		}
	}
	if l, err := f.LoadLocal(); err == nil && l.Last != nil { // what is wrong with the orders is told where they are loaded
		out = append(out, *l.Last)
	}
	return out, problems, nil
}

// Has says whether a part is kept, whole.
func (f *Folder) Has(hash string) bool {
	b, err := os.ReadFile(f.part(hash))
	return err == nil && RefOf(b).SHA256 == hash
}

// Parts lists the hashes of all parts kept. One that was damaged is not among them,
// so that control sends it again.
func (f *Folder) Parts() []string {
	var out []string
	entries, _ := os.ReadDir(filepath.Join(f.dir, "parts"))
	for _, e := range entries {
		if len(e.Name()) == 64 && f.Has(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out
}

// Prune removes the parts that none of the manifests names, and what a crash left
// half written. While parts are written ahead it leaves everything for the next time.
func (f *Folder) Prune(keep ...Manifest) {
	if f.staging.Load() > 0 {
		return
	}
	named := map[string]bool{}
	for _, m := range keep {
		for _, r := range m.Parts {
			named[r.SHA256] = true
		}
	}
	entries, _ := os.ReadDir(filepath.Join(f.dir, "parts"))
	for _, e := range entries {
		if !named[e.Name()] {
			_ = os.Remove(filepath.Join(f.dir, "parts", e.Name()))
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
