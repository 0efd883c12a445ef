package ofrep

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lifeboat/internal/feature"
)

// access is feature.Access, ready to be asked.
type access struct {
	keys    []callerKey
	closed  bool // only who has a key may ask
	origins []string
	open    [2]caller // where it is not closed, by audience
}

// caller is who asks.
type caller struct {
	audience audience
	name     string // of the key; "" without keys
	tail     string // the end of a bulk answer
	tag      string // of the tail, within an ETag: who gets another key gets another stream
	limit    *limit // nil: none
	whole    *whole // nil: for copies
}

// whole keeps the answer with all flags of a static set, as it was made last for a caller.
type whole struct{ made atomic.Pointer[wholeAnswer] }

type wholeAnswer struct {
	of   *set
	etag []string // as a header's value
	answer
}

// answer gives the answer with all flags of a static set.
func (c caller) answer(of *set) *wholeAnswer {
	if a := c.whole.made.Load(); a != nil && a.of == of {
		return a
	}
	body := make([]byte, 0, len(of.flags)+len(c.tail))
	a := &wholeAnswer{of: of, etag: []string{`"` + of.digest + c.tag + `"`}, answer: ready(append(append(body, of.flags...), c.tail...))}
	c.whole.made.Store(a)
	return a
}

type callerKey struct {
	caller
	sum    [sha256.Size]byte // of the key
	stream [sha256.Size]byte // of what the stream's address holds
}

// compileAccess prepares the keys. One whose hash can't be read opens nothing: nobody
// has what hashes to zeros.
func compileAccess(a feature.Access) *access {
	out := &access{origins: a.Origins, closed: a.Closed()}
	for _, au := range audiences {
		out.open[au] = caller{audience: au, tail: tail(streamPath), whole: &whole{}}
	}
	for _, k := range a.Keys {
		token := a.Stream(k)
		uri := streamPath + "?" + url.Values{"key": {k.Name}, "token": {token}}.Encode()
		c := callerKey{caller: caller{audience: pages, name: k.Name, tail: tail(uri), tag: "." + digest([]byte(uri))[:8], whole: &whole{}}}
		switch k.For {
		case feature.ForServers:
			c.audience = servers
		case feature.ForCopies:
			c.audience = copies
		}
		if k.PerSecond > 0 {
			c.limit = &limit{each: int64(time.Second) / int64(k.PerSecond)}
		}
		if b, err := hex.DecodeString(k.SHA256); err == nil && len(b) == len(c.sum) {
			c.sum, c.stream = [sha256.Size]byte(b), sha256.Sum256([]byte(token))
		}
		out.keys = append(out.keys, c)
	}
	if own := a.Own(); own != "" {
		out.keys = append(out.keys, callerKey{caller: caller{audience: servers, name: "lifeboat", tail: tail(streamPath), whole: &whole{}}, sum: sha256.Sum256([]byte(own))})
	}
	return out
}

// tail is the end of a bulk answer: where a change is told of, at the address that
// the flags were asked at.
func tail(uri string) string {
	return `],"metadata":{},"eventStreams":[{"type":"sse","endpoint":{"requestUri":` + string(quote(uri)) + `},"inactivityDelaySec":120}]}`
}

// who finds out who asks. Without keys a browser is known by its Origin, and a bulk
// request or a stream counts as a page's, whoever sends it.
func (a *access) who(r *http.Request, stream bool) (caller, bool) {
	if len(a.keys) > 0 {
		if c, ok := a.holder(r, stream); ok || a.closed {
			return c, ok
		}
	}
	switch {
	case a.closed || r.URL.Path == copyPath:
		return caller{}, false
	case r.Header["Origin"] != nil || stream || !strings.HasPrefix(r.URL.Path, singlePath) || r.URL.Path == singlePath:
		return a.open[pages], true
	}
	return a.open[servers], true
}

// holder finds whose key was sent along.
func (a *access) holder(r *http.Request, stream bool) (caller, bool) {
	given := r.Header.Get("X-Api-Key")
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); given == "" && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	if given != "" {
		return a.find(sha256.Sum256([]byte(given)), func(k *callerKey) *[sha256.Size]byte { return &k.sum })
	}
	if stream {
		if token := r.URL.Query().Get("token"); token != "" {
			return a.find(sha256.Sum256([]byte(token)), func(k *callerKey) *[sha256.Size]byte { return &k.stream })
		}
	}
	return caller{}, false
}

// find compares with every key, in the same time whichever fits.
func (a *access) find(sum [sha256.Size]byte, of func(*callerKey) *[sha256.Size]byte) (c caller, ok bool) {
	for i := range a.keys {
		k := &a.keys[i]
		if same := of(k); subtle.ConstantTimeCompare(sum[:], same[:]) == 1 {
			c, ok = k.caller, true
		}
	}
	return c, ok
}

// The headers that let browsers read answers, as values that nobody changes.
var (
	anyOrigin = []string{"*"}
	exposed   = []string{"ETag, Retry-After, " + RevisionHeader}
	varies    = []string{"Origin"}
)

// cors lets browsers ask and read the headers that they need; it says false for a
// page that may not.
func (a *access) cors(h http.Header, r *http.Request) bool {
	h["Access-Control-Expose-Headers"] = exposed
	if len(a.origins) == 0 {
		h["Access-Control-Allow-Origin"] = anyOrigin
		return true
	}
	h["Vary"] = varies
	origin := r.Header["Origin"]
	if len(origin) == 0 {
		return true
	}
	if !slices.Contains(a.origins, origin[0]) {
		return false
	}
	h["Access-Control-Allow-Origin"] = origin[:1]
	return true
}

// limit lets a key ask so often, with a second's worth at once.
type limit struct {
	each int64        // nanoseconds from one question to the next
	next atomic.Int64 // when all that was asked for is paid, Unix nanoseconds
}

// take gives the seconds to wait, 0 for none.
func (l *limit) take(at time.Time) int {
	if l == nil {
		return 0
	}
	now := at.UnixNano()
	for {
		old := l.next.Load()
		next := max(old, now) + l.each
		if over := next - now - int64(time.Second); over > 0 && next > now+l.each {
			return int((over + int64(time.Second) - 1) / int64(time.Second))
		}
		if l.next.CompareAndSwap(old, next) {
			return 0
		}
	}
}
