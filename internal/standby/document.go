package standby

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Document is a finished answer: its bytes, and what goes along with them. It is
// compressed once, when the View is compiled, and then sent as it lies.
type Document struct {
	Type   string        // content type
	Bytes  []byte        // nobody changes them any more
	MaxAge time.Duration // how long it may be kept without asking; 0: not at all, it is asked for anew each time
	Header http.Header   // further fields, with canonical names; nil: none
}

// stored is a document with all that need not be made in a request.
type stored struct {
	kind    []string // Content-Type
	etag    []string
	cache   []string // Cache-Control
	more    http.Header
	plain   variant
	encoded []variant // smaller ones, best first
}

// variant is one form of a document.
type variant struct {
	encoding string // "" for none
	header   []string
	length   []string
	bytes    []byte
}

// store compresses a document. One that has not changed since it was stored last is
// taken from there: to compress well takes a while, and pages are compiled often.
func store(d Document, before *stored) *stored {
	sum := sha256.Sum256(d.Bytes)
	s := &stored{kind: []string{d.Type}, etag: []string{`W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, more: d.Header, cache: []string{"no-cache"}}
	if d.MaxAge > 0 {
		s.cache = []string{"public, max-age=" + strconv.Itoa(int(d.MaxAge/time.Second))}
	}
	if before != nil && before.etag[0] == s.etag[0] {
		s.plain, s.encoded = before.plain, before.encoded
		return s
	}
	s.plain = newVariant("", d.Bytes)
	for _, e := range encodings {
		if b := e.compress(d.Bytes); len(b) < len(d.Bytes) {
			s.encoded = append(s.encoded, newVariant(e.name, b))
		}
	}
	return s
}

func newVariant(encoding string, b []byte) variant {
	v := variant{encoding: encoding, length: []string{strconv.Itoa(len(b))}, bytes: b}
	if encoding != "" {
		v.header = []string{encoding}
	}
	return v
}

// choose gives the smallest form that who asks can read (RFC 9110 section 12.5.3).
func (s *stored) choose(r *http.Request) *variant {
	accept := r.Header["Accept-Encoding"]
	if len(accept) == 0 || len(s.encoded) == 0 {
		return &s.plain
	}
	if common(accept) && s.encoded[0].encoding == "br" {
		return &s.encoded[0]
	}
	for i := range s.encoded {
		if accepts(accept, s.encoded[i].encoding) {
			return &s.encoded[i]
		}
	}
	return &s.plain
}

// unchanged says whether who asks has these bytes already (RFC 9110 section 13.1.2).
func (s *stored) unchanged(r *http.Request) bool {
	for _, line := range r.Header["If-None-Match"] {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == s.etag[0][2:] {
				return true
			}
		}
	}
	return false
}

var (
	varies        = []string{"Accept, Accept-Encoding, Content-Type, Origin, Sec-Fetch-Dest"}
	noRanges      = []string{"none"}
	mayNotBeKept  = []string{"no-store"}
	oneMoment     = []string{"1"}
	closing       = []string{"close"}
	plainText     = []string{"text/plain; charset=utf-8"}
	everybody     = []string{"*"}
	forgetAltSvc  = []string{"clear"}
	exposedFields = []string{"Retry-After"}
)

// serve sends a document of the status page, or says that it has not changed. Whole
// answers only: a part of a page that changes is of no use (RFC 9110 section 14.2
// leaves ranges to the server).
func (s *stored) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range s.more {
		h[name] = values
	}
	h["Cache-Control"], h["Etag"] = s.cache, s.etag
	if s.unchanged(r) {
		h["Vary"] = s.varies()
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.send(w, r, http.StatusOK)
}

// varies says by what another form would have been chosen.
func (s *stored) varies() []string {
	if own := s.more["Vary"]; own != nil {
		return own
	}
	return varies
}

// send writes stored bytes.
func (s *stored) send(w http.ResponseWriter, r *http.Request, status int) {
	v := s.choose(r)
	h := w.Header()
	h["Content-Type"], h["Vary"], h["Content-Length"], h["Accept-Ranges"] = s.kind, s.varies(), v.length, noRanges
	if v.header != nil {
		h["Content-Encoding"] = v.header
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// A visitor who has gone away is no fault of ours.
		_, _ = w.Write(v.bytes)
	}
}
