package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
)

// Cheap makes the book hash in microseconds, and counts.
func (b *Book) Cheap() *atomic.Int64 {
	n := new(atomic.Int64)
	b.Derive(func() { n.Add(1) })
	return n
}

// Derive makes the book hash in microseconds, and calls meanwhile.
func (b *Book) Derive(meanwhile func()) {
	b.hasher.derive = func(password, salt []byte, passes, memory uint32, lanes uint8, keyLen uint32) []byte {
		meanwhile()
		h := hmac.New(sha256.New, password)
		h.Write(salt)
		_ = binary.Write(h, binary.BigEndian, []uint32{passes, memory, uint32(lanes)})
		return h.Sum(nil)[:keyLen]
	}
}

// Spent is the step of the app's code that was used last.
func (b *Book) Spent(name string) (int64, bool) {
	r, known := b.record(name)
	return r.Second.Last, known
}
