package ofrep

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"lifeboat/internal/feature"
)

// bulk answers all flags of who asks. Its ETag is the flags' own digest, and the
// context's too where a rule makes a difference: it is the same after a restart and
// on every machine with the same flags.
func (s *Server) bulk(w http.ResponseWriter, r *http.Request, v *View, who caller) {
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	if status, wrong := readBody(w, r, b); status != 0 {
		s.refuse(w, status, failure{Code: wrong.Code, Details: wrong.Details})
		return
	}
	context, wrong := findContext(b.Bytes())
	if wrong.Code != "" {
		s.refuse(w, http.StatusBadRequest, wrong)
		return
	}
	set := &v.sets[who.audience]
	if set.static {
		s.bulkStatic(w, r, v, who, b.Bytes())
		return
	}
	if !s.begin() {
		s.tooBusy(w, "")
		return
	}
	defer s.end()
	c, err := feature.ReadContext(context, s.opts.Now())
	if err != nil {
		s.refuse(w, http.StatusBadRequest, failure{Code: codeContext, Details: err.Error()})
		return
	}
	s.bulkRules(w, r, v, who, c, b.Bytes())
}

// bulkStatic answers flags that are the same for everybody.
func (s *Server) bulkStatic(w http.ResponseWriter, r *http.Request, v *View, who caller, body []byte) {
	a := who.answer(&v.sets[who.audience])
	s.note(r, v, who, body)
	if s.notModified(w, r, a.etag) {
		return
	}
	s.counts.bulk.Add(1)
	w.Header()["Etag"] = a.etag
	sendWhole(w, r, a.answer)
}

// bulkRules evaluates all flags. What of the context a rule read is not known, so
// all of it counts; where a rule reads the time, what it came to does.
func (s *Server) bulkRules(w http.ResponseWriter, r *http.Request, v *View, who caller, c *feature.Context, body []byte) {
	set := &v.sets[who.audience]
	var etag []string
	if !set.timed {
		etag = []string{`"` + digest([]byte(set.digest), body) + who.tag + `"`}
		if s.notModified(w, r, etag) {
			s.note(r, v, who, body)
			return
		}
	}
	out := buffers.Get().(*bytes.Buffer)
	defer putBuffer(out)
	out.WriteString(bulkHead)
	for i, e := range set.entries {
		if i > 0 {
			out.WriteByte(',')
		}
		a, _ := e.evaluate(c, who.audience)
		out.Write(a.body)
	}
	s.note(r, v, who, body)
	if set.timed {
		etag = []string{`"` + digest(out.Bytes()) + who.tag + `"`}
		if s.notModified(w, r, etag) {
			return
		}
	}
	out.WriteString(who.tail)
	s.counts.bulk.Add(1)
	w.Header()["Etag"] = etag
	sendWhole(w, r, answer{out.Bytes(), []string{strconv.Itoa(out.Len())}})
}

// notModified answers who has these flags already; etag is a header's value.
func (s *Server) notModified(w http.ResponseWriter, r *http.Request, etag []string) bool {
	if !matches(r.Header["If-None-Match"], etag[0]) {
		return false
	}
	s.counts.notModified.Add(1)
	h := w.Header()
	h["Etag"] = etag
	h["Cache-Control"] = noStore
	w.WriteHeader(http.StatusNotModified)
	return true
}

// matches compares entity tags weakly (RFC 9110 section 13.1.2).
func matches(sent []string, etag string) bool {
	for _, line := range sent {
		if line == etag {
			return true
		}
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// serverBuffer is how much net/http gathers before it writes: what is longer goes in
// several pieces.
const serverBuffer = 4 << 10

// sendWhole is send for what may be long: it leaves in one piece all the same.
func sendWhole(w http.ResponseWriter, r *http.Request, a answer) {
	if len(a.body) > serverBuffer {
		if c, is := r.Context().Value(connKey{}).(*placed); is {
			c.gather(len(a.body))
		}
	}
	send(w, http.StatusOK, a)
}
