// Package slottest stands in for disks that fail: one in memory that takes only
// so many bytes, refuses to sync or loses power, and a real one that is full.
//
// Only tests import it.
//
// Concurrency: a *Disk may be used from any goroutine.
package slottest

import (
	"io"
	"os"
	"slices"
	"sync"

	"lifeboat/internal/slot"
)

// Disk is a slot.FS in memory. The zero value is not usable; see NewDisk.
type Disk struct {
	mu       sync.Mutex
	files    map[string]*content
	room     int // bytes that may still be written; negative: any number
	writeErr error
	syncErr  error
}

// content is a file as a reader sees it and as a power cut would leave it.
type content struct {
	now, synced []byte
	dirty       [][2]int // from, to: written and not yet synced
}

// NewDisk makes an empty disk on which everything works.
func NewDisk() *Disk { return &Disk{files: map[string]*content{}, room: -1} }

// FailWrites lets room more bytes through; from there on every write is torn and
// returns err (syscall.ENOSPC, for example). A nil err ends it.
func (d *Disk) FailWrites(room int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room, d.writeErr = room, err
	if err == nil {
		d.room = -1
	}
}

// FailSyncs makes every sync return err until it is called with nil. As with a real
// disk, what a failed sync was for is readable but won't reach the disk until it is
// written again.
func (d *Disk) FailSyncs(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncErr = err
}

// PowerCut gives the disk as a power cut would leave it: what was not synced is
// gone, and everything works again.
func (d *Disk) PowerCut() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := NewDisk()
	for path, c := range d.files {
		after.files[path] = &content{now: slices.Clone(c.synced), synced: slices.Clone(c.synced)}
	}
	return after
}

// Bytes gives a copy of what a file holds, nil if there is none.
func (d *Disk) Bytes(path string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.files[path]; c != nil {
		return slices.Clone(c.now)
	}
	return nil
}

// Put replaces a file, synced.
func (d *Disk) Put(path string, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[path] = &content{now: slices.Clone(b), synced: slices.Clone(b)}
}

// Open implements slot.FS.
func (d *Disk) Open(path string) (slot.Handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[path]
	if c == nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	return handle{d, c}, nil
}

// Create implements slot.FS.
func (d *Disk) Create(path string) (slot.Handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &content{}
	d.files[path] = c
	return handle{d, c}, nil
}

// Rename implements slot.FS.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[from] == nil {
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

// Remove implements slot.FS.
func (d *Disk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, path)
	return nil
}

type handle struct {
	d *Disk
	c *content
}

func (h handle) ReadAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if off > int64(len(h.c.now)) {
		return 0, io.EOF
	}
	n := copy(p, h.c.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h handle) WriteAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	n := len(p)
	if h.d.room >= 0 {
		n = min(n, h.d.room)
		h.d.room -= n
	}
	if grow := int(off) + n - len(h.c.now); grow > 0 {
		h.c.now = append(h.c.now, make([]byte, grow)...)
	}
	copy(h.c.now[off:], p[:n])
	h.c.dirty = append(h.c.dirty, [2]int{int(off), int(off) + n})
	if n < len(p) {
		return n, h.d.writeErr
	}
	return n, nil
}

func (h handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.syncErr != nil {
		h.c.dirty = nil
		return h.d.syncErr
	}
	h.c.sync()
	return nil
}

func (c *content) sync() {
	if grown := len(c.now) - len(c.synced); grown > 0 {
		c.synced = append(c.synced, make([]byte, grown)...)
	}
	for _, d := range c.dirty {
		copy(c.synced[d[0]:d[1]], c.now[d[0]:d[1]])
	}
	c.dirty = nil
}

func (h handle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.c.now)), nil
}

func (h handle) Close() error { return nil }
