package ofrep

import (
	"encoding/json"
	"net/http"
	"strings"

	"lifeboat/internal/feature"
)

// copyPath is where a lifeboat beside an application takes the flags from. It is no
// part of OFREP.
const copyPath = "/lifeboat/v1/features"

// CopyFormat is the format of a Copy that this version writes and reads.
const CopyFormat = 1

// MaxCopy is the most bytes that a Copy may have as JSON.
const MaxCopy = 4 << 20

// Copy is what a copy is handed: all that Compile needs. Stand-ins of drills are left
// out, so that a copy is not told of drills.
type Copy struct {
	Format   int                      `json:"format"`
	Features []feature.Flag           `json:"features"`
	Orders   map[string]feature.Order `json:"orders"`
}

// copyable renders the flags for copies.
func (v *View) copyable(flags []feature.Flag, orders map[string]feature.Order) {
	c := Copy{Format: CopyFormat, Features: make([]feature.Flag, 0, len(flags)), Orders: map[string]feature.Order{}}
	for _, f := range flags {
		if strings.Contains(f.Key, "~") {
			continue
		}
		if _, err := json.Marshal(f); err != nil { // one with a value that is no JSON: there it can't be answered either
			f = feature.Flag{Key: f.Key, Public: f.Public, Value: json.RawMessage("null"), Off: json.RawMessage("null")}
		}
		c.Features = append(c.Features, f)
		o, ordered := orders[f.Key]
		if !ordered {
			continue
		}
		if _, err := json.Marshal(o); err != nil { // it means off
			o.Value = json.RawMessage("null")
		}
		c.Orders[f.Key] = o
	}
	body := marshal(c)
	v.sets[copies].digest = digest(body)
	if len(body) <= MaxCopy {
		v.copy = ready(body)
	}
}

// copy hands the flags to a lifeboat that answers in our place.
func (s *Server) copy(w http.ResponseWriter, r *http.Request, v *View, who caller) {
	switch {
	case who.audience != copies:
		s.counts.denied.Add(1)
		fail(w, http.StatusForbidden, failure{Code: codeGeneral, Details: "this needs a key for copies; the one that was sent is for something else"})
		return
	case v.copy.body == nil:
		fail(w, http.StatusInternalServerError, failure{Code: codeGeneral, Details: "the features are too large to be copied"})
		return
	}
	etag := []string{`"` + v.sets[copies].digest + `"`}
	s.note(r, v, who, nil)
	if s.notModified(w, r, etag) {
		return
	}
	s.counts.copied.Add(1)
	w.Header()["Etag"] = etag
	sendWhole(w, r, v.copy)
}
