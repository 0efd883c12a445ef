// Package journal is the record of last resort: a file allocated beforehand that
// takes records while the store can't be written.
//
// It is not the store and not a general log: it is small, is emptied once its
// records are in the store, and does not know what they say. Only the control
// plane uses it, through store.Guard.
//
// The file starts with two slots (package slot) that name the generation; records
// follow, each with its generation, its number, its length and a checksum.
// Reading stops at the first that is not whole or is of another generation, so
// that a torn tail and what an earlier generation left are as if they were not
// there; Reset only has to name a new generation. Each record starts a disk
// sector of its own, so that a torn write can't touch the one before it.
//
// Concurrency: a *Journal may be used from any goroutine of one process. Two
// processes MUST NOT write the same file.
package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"sync"

	"lifeboat/internal/fault"
	"lifeboat/internal/slot"
)

// DefaultSize of a journal file in bytes.
const DefaultSize = 4 << 20

const (
	magic  = "lbrec001"
	header = 64  // magic 8, generation 8, number 8, length 4, zero 4, SHA-256 32
	sector = 512 // where records start
)

var (
	slotSize = slot.Size(8)
	start    = 2 * slotSize // of the records
)

// Journal is an open journal file.
type Journal struct {
	h    slot.Handle
	path string
	size int64

	mu         sync.Mutex
	slots      *slot.File // the generation, 8 bytes
	generation uint64
	count      uint64 // records of this generation
	last       int64  // where the newest record is; 0: there is none
	end        int64  // where the next record goes
	resetting  bool   // a Reset failed half way: the disk may have the next generation or not
	unsure     bool   // what was read at the start may never have been synced
}

// Open opens the file on the real disk; see OpenWith.
func Open(path string, size int64) (*Journal, error) { return OpenWith(slot.OS, path, size) }

// OpenWith opens the file, or makes it (mode 0600, size bytes really allocated,
// DefaultSize if 0). An existing file keeps its records; it grows where size asks
// for it and the disk has room, and never shrinks. Errors are *fault.Error of kind
// Unavailable.
func OpenWith(fs slot.FS, path string, size int64) (*Journal, error) {
	if size <= 0 {
		size = DefaultSize
	}
	size = max(size, start+sector)
	h, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		if h, err = slot.Allocate(fs, path, size, nil); err != nil {
			return nil, err
		}
		return on(h, path)
	}
	if err != nil {
		return nil, slot.Fault("open", path, err)
	}
	return reopen(fs, h, path, size)
}

func reopen(fs slot.FS, h slot.Handle, path string, size int64) (*Journal, error) {
	have, err := h.Size()
	if err != nil {
		return nil, errors.Join(slot.Fault("measure", path, err), h.Close())
	}
	if have >= size {
		return on(h, path)
	}
	larger, err := slot.Allocate(fs, path, size, func(to slot.Handle) error {
		b, err := readAt(h, 0, have)
		if err != nil {
			return err
		}
		_, err = to.WriteAt(b, 0)
		return err
	})
	if err != nil && have > start {
		return on(h, path)
	}
	if err := errors.Join(err, h.Close()); err != nil {
		return nil, err
	}
	return on(larger, path)
}

// on reads what the file holds and finds its end.
func on(h slot.Handle, path string) (*Journal, error) {
	size, err := h.Size()
	if err != nil {
		return nil, errors.Join(slot.Fault("measure", path, err), h.Close())
	}
	slots, err := slot.On(h, path, 0, slotSize)
	if err != nil {
		return nil, err
	}
	j := &Journal{h: h, path: path, size: size, slots: slots}
	if err := j.load(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	_ = j.settle() // what the disk does not take now the next Append or Sync tries again
	return j, nil
}

func (j *Journal) load() error {
	newest, _, err := j.slots.Read()
	if err != nil {
		return err
	}
	area, err := j.area()
	if err != nil {
		return err
	}
	switch {
	case len(newest) == 8:
		j.generation = binary.BigEndian.Uint64(newest)
	default: // never reset, or both slots are damaged: the first record tells
		j.generation = firstGeneration(area)
	}
	records, last, end := scan(area, j.generation)
	j.count, j.end, j.unsure = uint64(len(records)), start+end, true
	if j.count > 0 {
		j.last = start + last
	}
	return nil
}

// settle writes again what an earlier life may have written but not synced: the
// generation and the newest record. A record after them would otherwise be
// unreachable if a power cut took them.
func (j *Journal) settle() error {
	if !j.unsure {
		return nil
	}
	if err := j.slots.Write(binary.BigEndian.AppendUint64(nil, j.generation)); err != nil {
		return err
	}
	if j.last > 0 {
		b, err := readAt(j.h, j.last, j.end-j.last)
		if err != nil {
			return slot.Fault("read", j.path, err)
		}
		if err := j.write(b, j.last); err != nil {
			return err
		}
	}
	j.unsure = false
	return nil
}

func (j *Journal) write(b []byte, off int64) error {
	if _, err := j.h.WriteAt(b, off); err != nil {
		return slot.Fault("write", j.path, err)
	}
	if err := j.h.Sync(); err != nil {
		return slot.Fault("sync", j.path, err)
	}
	return nil
}

// Append writes a record and returns when it is on the disk. An error is a
// *fault.Error of kind Unavailable: the journal is full, or the disk does not take
// it; the record then may or may not be there after a restart.
func (j *Journal) Append(rec []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.resetting {
		if err := j.reset(); err != nil {
			return err
		}
	}
	if j.end+header+int64(len(rec)) > j.size {
		return fault.New(fault.Unavailable, "the journal is full: %d records in %d bytes", j.count, j.size).
			At(j.path).WithHint("make the store writable again, so that it can take them")
	}
	if err := j.settle(); err != nil {
		return err
	}
	b := encode(j.generation, j.count, rec)
	if err := j.write(b, j.end); err != nil {
		return err
	}
	j.count++
	j.last = j.end
	j.end = min(j.end+align(int64(len(b))), j.size)
	return nil
}

// Sync returns once all that Records gives is on the disk. Only what an earlier life
// failed to write may not be.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.settle()
}

// Records gives all records since the last Reset, in order.
func (j *Journal) Records() ([][]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	area, err := j.area()
	if err != nil {
		return nil, err
	}
	records, _, _ := scan(area, j.generation)
	return records[:min(uint64(len(records)), j.count)], nil
}

// Reset empties the journal and returns when that is on the disk. After an error
// the records may or may not be there after a restart; the next Reset or Append
// first finishes the work.
func (j *Journal) Reset() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.reset()
}

func (j *Journal) reset() error {
	j.resetting = true
	if err := j.slots.Write(binary.BigEndian.AppendUint64(nil, j.generation+1)); err != nil {
		return err
	}
	j.resetting, j.unsure = false, false
	j.generation++
	j.count, j.last, j.end = 0, 0, start
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.h.Close() }

// area is the part of the file that records lie in.
func (j *Journal) area() ([]byte, error) {
	b, err := readAt(j.h, start, j.size-start)
	if err != nil {
		return nil, slot.Fault("read", j.path, err)
	}
	return b, nil
}

func readAt(h slot.Handle, off, n int64) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	b := make([]byte, n)
	_, err := h.ReadAt(b, off)
	return b, err
}

// scan gives the whole records of a generation, where the last of them is and
// where the next one goes.
func scan(area []byte, generation uint64) (records [][]byte, last, end int64) {
	for {
		rec, ok := decode(area[end:], generation, uint64(len(records)))
		if !ok {
			return records, last, end
		}
		records = append(records, rec)
		last = end
		end = min(end+align(int64(header+len(rec))), int64(len(area)))
	}
}

// firstGeneration is that of the record at the start of the area, 1 if there is
// none.
func firstGeneration(area []byte) uint64 {
	if len(area) < header {
		return 1
	}
	generation := binary.BigEndian.Uint64(area[8:])
	if _, ok := decode(area, generation, 0); !ok {
		return 1
	}
	return generation
}

func encode(generation, number uint64, rec []byte) []byte {
	b := make([]byte, header+len(rec))
	copy(b, magic)
	binary.BigEndian.PutUint64(b[8:], generation)
	binary.BigEndian.PutUint64(b[16:], number)
	binary.BigEndian.PutUint32(b[24:], uint32(len(rec)))
	copy(b[header:], rec)
	sum := checksum(b)
	copy(b[32:], sum[:])
	return b
}

func decode(b []byte, generation, number uint64) (rec []byte, ok bool) {
	if len(b) < header || string(b[:8]) != magic ||
		binary.BigEndian.Uint64(b[8:]) != generation || binary.BigEndian.Uint64(b[16:]) != number {
		return nil, false
	}
	n := int64(binary.BigEndian.Uint32(b[24:]))
	if n > int64(len(b)-header) {
		return nil, false
	}
	b = b[:header+n]
	sum := checksum(b)
	return b[header:], bytes.Equal(sum[:], b[32:header])
}

// checksum covers everything but its own place.
func checksum(b []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(b[:32])
	h.Write(b[header:])
	h.Sum(sum[:0])
	return sum
}

func align(n int64) int64 { return (n + sector - 1) / sector * sector }
