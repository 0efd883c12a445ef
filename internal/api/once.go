package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
)

// A POST with an Idempotency-Key is done once (draft-ietf-httpapi-idempotency-key-header).
// A key counts for one caller and one path. What is written into an incident or the ledger
// carries it there, so that a retry is known even after a restart; what a book of accounts
// or tokens answered is kept here for a while. Only what was done is kept: a request that
// was refused may be sent again under its key.

// Limits on keys.
const (
	keyHeader = "Idempotency-Key"
	maxKey    = 200 // characters
	keptFor   = 24 * time.Hour
	keptMost  = 1000     // answers
	keptBody  = 16 << 10 // bytes of an answer
)

// once is the memory of keys.
type once struct {
	now    func() time.Time
	secret [32]byte // of fingerprints: a body may hold a password

	mu   sync.Mutex // guards kept
	kept map[[sha256.Size]byte]*answered
}

// answered is what a key stands for.
type answered struct {
	print  [sha256.Size]byte // of the request
	at     time.Time
	busy   bool // it is under way
	status int  // 0: the engine knows what came of it
	header http.Header
	body   []byte
}

func newOnce(now func() time.Time) *once {
	o := &once{now: now, kept: map[[sha256.Size]byte]*answered{}}
	_, _ = rand.Read(o.secret[:]) // never fails
	return o
}

// digest makes a fixed length of parts, so that no two lists of parts are alike.
func (o *once) digest(parts ...string) (out [sha256.Size]byte) {
	m := hmac.New(sha256.New, o.secret[:])
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		m.Write(sum[:])
	}
	return [sha256.Size]byte(m.Sum(nil))
}

// begin takes a key for a request, or says why not. An answer that is kept is given
// back instead.
func (o *once) begin(scope, print [sha256.Size]byte) (*answered, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	old := o.kept[scope]
	switch {
	case old != nil && (now.Sub(old.at) < keptFor || old.busy):
	default:
		o.makeRoom(now)
		o.kept[scope] = &answered{print: print, at: now, busy: true}
		return nil, nil
	}
	switch {
	case old.print != print:
		return nil, fault.New(fault.Invalid, "this key came with another request before").At(keyHeader).WithHint("use a new key for a new act")
	case old.busy:
		return nil, fault.New(fault.Conflict, "a request with this key is still under way").At(keyHeader).WithHint("wait a moment, then send it again")
	case old.status != 0:
		return old, nil
	}
	old.busy = true
	return nil, nil
}

// end keeps what came of a request; keep is false where it may be sent again as if it had
// never been sent.
func (o *once) end(scope [sha256.Size]byte, keep bool, a answered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.kept[scope]
	if old == nil {
		return
	}
	if !keep {
		delete(o.kept, scope)
		return
	}
	old.busy, old.at, old.status, old.header, old.body = false, o.now(), a.status, a.header, a.body
}

// makeRoom forgets what is too old, and where that is not enough the oldest.
func (o *once) makeRoom(now time.Time) { // with mu held
	if len(o.kept) < keptMost {
		return
	}
	var oldest [sha256.Size]byte
	var at time.Time
	for scope, a := range o.kept {
		switch {
		case a.busy:
		case now.Sub(a.at) >= keptFor:
			delete(o.kept, scope)
		case at.IsZero() || a.at.Before(at):
			oldest, at = scope, a.at
		}
	}
	if len(o.kept) >= keptMost {
		delete(o.kept, oldest)
	}
}

type onceKey struct{}

// keyOf is the key under which the engine knows a request; "" without one.
func keyOf(ctx context.Context) string {
	key, _ := ctx.Value(onceKey{}).(string)
	return key
}

// keyed lets a POST with a key through once.
func (a *api) keyed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := a.mux.Handler(r)
		rule, known := a.rules[pattern]
		if r.Method != http.MethodPost || len(r.Header.Values(keyHeader)) == 0 || !known {
			next.ServeHTTP(w, r)
			return
		}
		key, err := parseKey(r.Header.Values(keyHeader))
		if err != nil {
			problemOf(err).write(w)
			return
		}
		by := actorOf(r.Context())
		scope := a.once.digest("scope", by.ID, by.Name, r.URL.Path, key)
		print := a.once.digest("request", r.URL.RawQuery, r.Header.Get("Content-Type"), fingerprint(w, r, rule))
		old, err := a.once.begin(scope, print)
		switch {
		case err != nil:
			problemOf(err).write(w)
		case old != nil:
			old.replay(w)
		default:
			name := sha256.Sum256([]byte(strings.Join([]string{by.ID, by.Name, r.URL.Path, key}, "\x00"))) // the same after a restart
			a.doOnce(w, r, next, scope, rule, hex.EncodeToString(name[:]))
		}
	})
}

func (a *api) doOnce(w http.ResponseWriter, r *http.Request, next http.Handler, scope [sha256.Size]byte, rule ruling, name string) {
	ctx := engine.WithKey(context.WithValue(r.Context(), onceKey{}, name), name)
	rec := &copied{recorder: recorder{ResponseWriter: w}, whole: !rule.keyed}
	keep := false
	defer func() { // also when a panic passes through
		out := answered{}
		if !rule.keyed {
			out = answered{status: rec.code(), header: rec.Header().Clone(), body: rec.body.Bytes()}
			keep = keep && rec.whole
		}
		a.once.end(scope, keep, out)
	}()
	next.ServeHTTP(rec, r.WithContext(ctx))
	keep = rec.code() < 300 || rule.keyed && rec.code() >= 500 // what failed after its intent is on record
}

// replay gives an answer again.
func (a *answered) replay(w http.ResponseWriter) {
	for _, name := range []string{"Content-Type", "ETag"} {
		if v := a.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.Header().Set("Idempotent-Replayed", "true")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a caller that has gone away misses nothing
}

// copied keeps what is answered, as far as it fits.
type copied struct {
	recorder
	whole bool // body is all there was
	body  bytes.Buffer
}

func (c *copied) Write(b []byte) (int, error) {
	if c.whole = c.whole && c.body.Len()+len(b) <= keptBody; c.whole {
		c.body.Write(b)
	}
	return c.recorder.Write(b)
}

// parseKey reads a key, with or without the quotes that the draft asks for.
func parseKey(headers []string) (string, error) {
	key := strings.TrimSpace(headers[0])
	if inner, quoted := strings.CutPrefix(key, `"`); quoted {
		key, _ = strings.CutSuffix(inner, `"`)
	}
	visible := strings.IndexFunc(key, func(r rune) bool { return r < 0x21 || r > 0x7e }) < 0
	if len(headers) > 1 || key == "" || len(key) > maxKey || !visible {
		return "", fault.New(fault.Invalid, "the key is not one of 1 to %d visible ASCII characters", maxKey).At(keyHeader).WithHint("a random UUID makes a good one")
	}
	return key, nil
}

// fingerprint tells one request's body from another's, and leaves the body to be read
// again. A file is told by its length: its bytes are not held in memory.
func fingerprint(w http.ResponseWriter, r *http.Request, rule ruling) string {
	if rule.file {
		return r.Header.Get("Content-Length")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // the kernel's clock; a test's writer has none
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failing{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b), rest), r.Body}
	return string(b)
}

// failing gives an error to whoever reads on.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
