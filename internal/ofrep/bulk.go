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
	set := &v.sets[who.audience]
	etag := `"` + set.digest + who.tag + `"`
	s.note(r, v, who, body)
	if s.notModified(w, r, etag) {
		return
	}
	out := buffers.Get().(*bytes.Buffer)
	defer putBuffer(out)
	out.Write(set.flags)
	s.sendBulk(w, who, out, etag)
}

// bulkRules evaluates all flags. What of the context a rule read is not known, so
// all of it counts; where a rule reads the time, what it came to does.
func (s *Server) bulkRules(w http.ResponseWriter, r *http.Request, v *View, who caller, c *feature.Context, body []byte) {
	set := &v.sets[who.audience]
	etag := ""
	if !set.timed {
		etag = `"` + digest([]byte(set.digest), body) + who.tag + `"`
		if matches(r.Header.Values("If-None-Match"), etag) {
			s.note(r, v, who, body)
			s.notModified(w, r, etag)
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
		etag = `"` + digest(out.Bytes()) + who.tag + `"`
		if s.notModified(w, r, etag) {
			return
		}
	}
	s.sendBulk(w, who, out, etag)
}

// notModified answers who has these flags already.
func (s *Server) notModified(w http.ResponseWriter, r *http.Request, etag string) bool {
	if !matches(r.Header.Values("If-None-Match"), etag) {
		return false
	}
	s.counts.notModified.Add(1)
	h := w.Header()
	h["Etag"] = []string{etag}
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

// sendBulk ends what is in out and sends it.
func (s *Server) sendBulk(w http.ResponseWriter, who caller, out *bytes.Buffer, etag string) {
	s.counts.bulk.Add(1)
	out.WriteString(who.tail)
	w.Header()["Etag"] = []string{etag}
	send(w, http.StatusOK, answer{out.Bytes(), []string{strconv.Itoa(out.Len())}})
}
