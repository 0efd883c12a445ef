// Package slot keeps one small value in a file that was allocated beforehand, so
// that writing it needs no space: a full disk can't lose it.
//
// The file holds two slots of equal size. A write goes in place into the older
// one and is synced before it counts, so that the newest whole value is always
// there, whatever a power cut tears. It is not a log (see package journal) and
// knows nothing of what the bytes mean. Any package may import it.
//
// Invariants: a slot counts only if its checksum holds; a failed Write leaves
// the value before it in place, and the next Write goes to the same slot again.
// The promise about a full disk holds on file systems that overwrite in place
// (ext4, xfs, tmpfs); one that copies on write (btrfs, zfs) may still refuse.
//
// Concurrency: a *File may be used from any goroutine of one process. Two
// processes MUST NOT write the same file.
package slot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"lifeboat/internal/fault"
)

const (
	magic  = "lbslot01"
	header = 64   // magic 8, seq 8, length 4, zero 12, SHA-256 32
	block  = 4096 // no two slots share one
)

// Size is how many bytes of a file one slot for the payload takes.
func Size(payload int) int64 {
	return (int64(payload) + header + block - 1) / block * block
}

// File is an open file of two slots.
type File struct {
	h    Handle
	path string
	off  int64 // of the first slot
	size int64 // of one slot

	mu     sync.Mutex
	seq    uint64 // of the newest valid slot
	next   int64  // 0 or 1: the slot that the next write goes to
	unsure bool   // the newest may have been written but not synced by an earlier life
}

// Open opens the file on the real disk; see OpenWith.
func Open(path string, payload int) (*File, error) { return OpenWith(OS, path, payload) }

// OpenWith opens the file, or makes it (mode 0600, space really allocated,
// synced with its folder), for values of up to payload bytes. What an existing
// file holds is kept. One that is too small is replaced by a larger one; where
// the disk has no room for that the old one stays in use, and Cap says so. Errors
// are *fault.Error of kind Unavailable.
func OpenWith(fs FS, path string, payload int) (*File, error) {
	need := Size(payload)
	h, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		if h, err = Allocate(fs, path, 2*need, nil); err != nil {
			return nil, err
		}
		return On(h, path, 0, need)
	}
	if err != nil {
		return nil, Fault("open", path, err)
	}
	return reopen(fs, h, path, need)
}

// reopen takes an existing file as it is, or moves its values to one that is
// large enough. A file of an odd size was cut off by somebody: what is still
// whole in it is moved too.
func reopen(fs FS, h Handle, path string, need int64) (*File, error) {
	size, err := h.Size()
	if err != nil {
		return nil, errors.Join(Fault("measure", path, err), h.Close())
	}
	have := size / 2 / block * block
	whole := have > 0 && size == 2*have
	if whole && have >= need {
		return On(h, path, 0, have)
	}
	need = max(need, have)
	larger, err := Allocate(fs, path, 2*need, func(to Handle) error {
		return move(h, have, to, need)
	})
	if err != nil && whole {
		return On(h, path, 0, have)
	}
	if err := errors.Join(err, h.Close()); err != nil {
		return nil, err
	}
	return On(larger, path, 0, need)
}

// move copies the valid slots of one file into another.
func move(from Handle, have int64, to Handle, need int64) error {
	for i := int64(0); i < 2 && have > 0; i++ {
		seq, value, err := readSlot(from, i*have, have)
		if err != nil {
			return err
		}
		if value == nil {
			continue
		}
		if _, err := to.WriteAt(encode(seq, value), i*need); err != nil {
			return err
		}
	}
	return nil
}

// On uses two slots of size bytes each (see Size) that lie at off in a file that
// is already allocated. Close closes the file.
func On(h Handle, path string, off, size int64) (*File, error) {
	f := &File{h: h, path: path, off: off, size: size}
	s, err := f.slots()
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	newest := s.newest()
	f.seq = s[newest].seq
	f.next = 1 - newest
	f.unsure = s[newest].value != nil
	return f, nil
}

// Cap is how many bytes a value may have.
func (f *File) Cap() int { return int(f.size - header) }

// Write replaces the older value and returns when it is on the disk. After an
// error the newest value is still there; the one that failed may or may not be
// read after a restart. A value over Cap is refused as fault Invalid, a disk that
// does not take it is fault Unavailable.
func (f *File) Write(b []byte) error {
	if len(b) > f.Cap() {
		return fault.New(fault.Invalid, "a value of %d bytes does not fit: a slot has room for %d", len(b), f.Cap()).At(f.path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.settle(); err != nil {
		return err
	}
	if err := f.write(f.next, f.seq+1, b); err != nil {
		return err
	}
	f.seq++
	f.next = 1 - f.next
	return nil
}

// settle writes the newest value again before the first overwrite of the other
// one, which may be the only one that is on the disk.
func (f *File) settle() error {
	if !f.unsure {
		return nil
	}
	s, err := f.slots()
	if err != nil {
		return err
	}
	if v := s[1-f.next].value; v != nil {
		if err := f.write(1-f.next, f.seq, v); err != nil {
			return err
		}
	}
	f.unsure = false
	return nil
}

func (f *File) write(slot int64, seq uint64, value []byte) error {
	if _, err := f.h.WriteAt(encode(seq, value), f.off+slot*f.size); err != nil {
		return Fault("write", f.path, err)
	}
	if err := f.h.Sync(); err != nil {
		return Fault("sync", f.path, err)
	}
	return nil
}

// Read gives the newest and the previous value; nil where there is none. A torn
// or damaged slot is as if it were not there.
func (f *File) Read() (newest, previous []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.slots()
	if err != nil {
		return nil, nil, err
	}
	n := s.newest()
	return s[n].value, s[1-n].value, nil
}

// Close closes the file.
func (f *File) Close() error { return f.h.Close() }

// pair is what both slots hold; a nil value is an invalid slot.
type pair [2]struct {
	seq   uint64
	value []byte
}

func (p pair) newest() int64 {
	if p[0].value == nil || p[1].value != nil && p[1].seq > p[0].seq {
		return 1
	}
	return 0
}

func (f *File) slots() (s pair, err error) {
	for i := range s {
		s[i].seq, s[i].value, err = readSlot(f.h, f.off+int64(i)*f.size, f.size)
		if err != nil {
			return s, Fault("read", f.path, err)
		}
	}
	return s, nil
}

func readSlot(h Handle, off, size int64) (seq uint64, value []byte, err error) {
	b := make([]byte, size)
	if _, err := h.ReadAt(b, off); err != nil {
		return 0, nil, err
	}
	seq, value = decode(b)
	return seq, value, nil
}

func encode(seq uint64, value []byte) []byte {
	b := make([]byte, header+len(value))
	copy(b, magic)
	binary.BigEndian.PutUint64(b[8:], seq)
	binary.BigEndian.PutUint32(b[16:], uint32(len(value)))
	copy(b[header:], value)
	sum := checksum(b)
	copy(b[32:], sum[:])
	return b
}

// decode gives a nil value unless the slot is whole.
func decode(b []byte) (seq uint64, value []byte) {
	if len(b) < header || string(b[:8]) != magic {
		return 0, nil
	}
	n := int64(binary.BigEndian.Uint32(b[16:]))
	if n > int64(len(b)-header) {
		return 0, nil
	}
	b = b[:header+n]
	if sum := checksum(b); !bytes.Equal(sum[:], b[32:header]) {
		return 0, nil
	}
	return binary.BigEndian.Uint64(b[8:]), b[header:]
}

// checksum covers everything but its own place.
func checksum(b []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(b[:32])
	h.Write(b[header:])
	h.Sum(sum[:0])
	return sum
}

// Fault tells a person that the disk did not do what was asked.
func Fault(verb, path string, err error) *fault.Error {
	return fault.New(fault.Unavailable, "%s", fmt.Sprintf("%s the file", verb)).
		At(path).Because(err).WithHint("%s", hint(err))
}
