// Package session signs what a browser carries for us, so that it can be checked with
// nothing but a key in a file: without the store, and after a restart.
//
// It knows neither people nor HTTP: a text is a purpose, a body and an end. Who signs in
// (account), and what a form carries over a sign-in (web), decide what is in the body,
// and that a text which has been taken back counts no more. It is no encryption: whoever
// has a text can read its body, so no secret belongs there.
//
// Invariants: a text made for one purpose is no text for another one; one of a changed
// body, end or purpose is none; what was signed stays good over one change of the key,
// and a key lasts longer than any text.
//
// Concurrency: the methods of a Ring may be called from any goroutine.
package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"lifeboat/internal/keyfile"
)

// Limits of keys and texts.
const (
	keyLen  = 32             // bytes
	keyLife = 24 * time.Hour // then a new one signs; the one before it still counts
	maxKeys = 2
	maxText = 8 << 10 // bytes, as sent
	headLen = 4 + 8   // the key's number and the end
	MaxLife = keyLife // of a text: it outlives no key
)

// key is one that signs or has signed.
type key struct {
	Number uint32    `json:"number"`
	Key    []byte    `json:"key"`
	Made   time.Time `json:"made"`
}

// Ring holds the key that signs, and the one before it.
type Ring struct {
	file keyfile.File[key]
	now  func() time.Time

	mu   sync.Mutex // guards all below
	keys []key      // the one that signs first
}

// New makes a ring that lives as long as the process.
func New(now func() time.Time) *Ring {
	r := &Ring{now: now}
	r.keys = []key{fresh(1, now())}
	return r
}

// Open reads the ring in the file at path, and makes it where there is none. Where the
// file can't be kept the ring works all the same, and the error says so beside it. A file
// that others may read, or that is none of ours, is replaced: all sign-ins end.
func Open(path string, now func() time.Time) (*Ring, error) {
	r := &Ring{now: now, file: keyfile.File[key]{Path: path, What: "the keys of the sign-ins", Cost: "everybody has to sign in again",
		Most: maxKeys, Whole: func(k key) bool { return len(k.Key) == keyLen }}}
	keys, err := r.file.Read()
	if err != nil || len(keys) == 0 {
		r.keys = []key{fresh(1, now())}
		return r, errors.Join(err, r.file.Write(r.keys))
	}
	r.keys = keys
	return r, r.Rotate()
}

func fresh(number uint32, now time.Time) key {
	k := key{Number: number, Key: make([]byte, keyLen), Made: now.UTC()}
	_, _ = rand.Read(k.Key) // never fails
	return k
}

// Rotate makes a new key once the one that signs is a day old. The error says that it
// could not be kept; the ring goes on with the old one.
func (r *Ring) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Sub(r.keys[0].Made) < keyLife {
		return nil
	}
	next := []key{fresh(r.keys[0].Number+1, now), r.keys[0]}
	if err := r.file.Write(next); err != nil {
		return err
	}
	r.keys = next
	return nil
}

// Sign makes the text of a body for a purpose. It is good until ends, and for a day at
// most.
func (r *Ring) Sign(purpose string, body []byte, ends time.Time) string {
	r.mu.Lock()
	k := r.keys[0]
	r.mu.Unlock()
	if last := r.now().Add(MaxLife); ends.After(last) {
		ends = last
	}
	b := make([]byte, headLen, headLen+len(body)+sha256.Size)
	binary.BigEndian.PutUint32(b, k.Number)
	binary.BigEndian.PutUint64(b[4:], uint64(ends.UnixMilli()))
	b = append(b, body...)
	return base64.RawURLEncoding.EncodeToString(append(b, mac(k, purpose, b)...))
}

// Read gives the body of a text that was signed for a purpose, while it is good.
func (r *Ring) Read(purpose, text string) (body []byte, good bool) {
	if len(text) > maxText {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < headLen+sha256.Size {
		return nil, false
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	k, known := r.numbered(binary.BigEndian.Uint32(b))
	if !known || !hmac.Equal(sum, mac(k, purpose, b)) {
		return nil, false
	}
	ends := time.UnixMilli(int64(binary.BigEndian.Uint64(b[4:])))
	return b[headLen:], r.now().Before(ends)
}

func (r *Ring) numbered(n uint32) (key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		if k.Number == n {
			return k, true
		}
	}
	return key{}, false
}

// mac binds a text to its key and its purpose, whose length is told so that it can't run
// into what follows.
func mac(k key, purpose string, b []byte) []byte {
	h := hmac.New(sha256.New, k.Key)
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(purpose)))
	h.Write(n[:])
	h.Write([]byte(purpose))
	h.Write(b)
	return h.Sum(nil)
}
