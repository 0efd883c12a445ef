// Package zonebook is the book of a zone's records: drafts of changes, what publishing
// one would do (a plan, in words), and the revisions that were published.
//
// It is pure: no clock, no store, no server. It neither keeps nor publishes anything;
// zonebook/desk does. It edits records alone: what the configuration says of a zone
// (which names follow a site, name servers, signing) stays the configuration's. Package
// zone says what a zone is, zonediff what differs; cli, api and web show what comes of it.
//
// Invariants: a draft is planned against the newest revision, whichever it was begun
// on, and a change that does not fit there any more is refused by name, never dropped; a
// plan that can be published is a zone that parses beside its neighbours; a plan's hash
// names the revision it stands on and every octet that would be served; the same facts
// give the same plan.
//
// Concurrency: it has no state; all types are values.
package zonebook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonediff"
)

// Limits of drafts and of what is pasted.
const (
	MaxChanges = 2000      // of a draft
	MaxDraft   = 768 << 10 // octets of a draft as it is kept
	MaxPaste   = 256 << 10 // octets of text
	MaxText    = 8 << 20   // octets of a zone that is edited here
	MaxNote    = 500       // characters of a note
)

// Op is what a change does to a record set (RFC 9499 section 5).
type Op string

// The changes there are.
const (
	Add     Op = "add"     // records beside those of the set
	Replace Op = "replace" // records in the place of others, or of the whole set
	Remove  Op = "remove"  // records, or the whole set
)

// Change is one change of a draft.
type Change struct {
	Op   Op       `json:"op" enum:"add,replace,remove"`
	Name string   `json:"name" maxLength:"1024" doc:"absolute once it is in a draft; before, without a final dot it is below the zone, and @ is the zone itself" example:"www"`
	Type string   `json:"type" maxLength:"20" example:"A"`
	TTL  uint32   `json:"ttl,omitempty" maximum:"2147483647" doc:"seconds, of the whole set; 0: as before, of a new set the zone's" example:"300"`
	Data []string `json:"data,omitempty" maxItems:"200" doc:"what is added or comes in the place of others, in the form of a master file"`
	Old  []string `json:"old,omitempty" maxItems:"200" doc:"of replace and remove: which records; none: the whole set"`
}

// Who is whoever did something.
type Who struct {
	ID   string `json:"-"` // of the account or the token: drafts are theirs
	Name string `json:"name"`
	Via  string `json:"via,omitempty"`
}

// Draft is what somebody has changed and not published.
type Draft struct {
	Zone    string    `json:"zone"`
	By      Who       `json:"by"`
	Began   int       `json:"began" doc:"the revision that it was begun on"`
	At      time.Time `json:"at" doc:"when it was changed last"`
	Changes []Change  `json:"changes"`
}

// Text is what a revision holds: master file text, with the files that it includes.
type Text struct {
	Text     string            `json:"text"`
	Includes map[string]string `json:"includes,omitempty"`
}

// TextOf is a source's text.
func TextOf(s zone.Source) Text { return Text{s.Text, s.Includes} }

// Hash names the text.
func (t Text) Hash() string { return hashOf(t.Text, t.Includes) }

// Size is how many octets it has.
func (t Text) Size() int {
	n := len(t.Text)
	for name, text := range t.Includes {
		n += len(name) + len(text)
	}
	return n
}

// In is a source with this text in the place of its own.
func (t Text) In(s zone.Source) zone.Source {
	if t.Hash() == TextOf(s).Hash() {
		return s
	}
	s.Text, s.Includes, s.File, s.Line = t.Text, t.Includes, "", 1
	return s
}

func hashOf(v ...any) string {
	b, _ := json.Marshal(v) // texts, figures and maps of them
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Kind is what a revision came of.
type Kind string

// The kinds of revisions.
const (
	FromFile   Kind = "configuration" // the configuration's records
	FromDraft  Kind = "draft"
	FromBefore Kind = "undo" // an earlier revision again
)

// Revision is a version of the zone's records that was published. Number 0 is what the
// configuration said when the first one was.
type Revision struct {
	Number  int       `json:"number"`
	Kind    Kind      `json:"kind"`
	At      time.Time `json:"at"`
	By      Who       `json:"by"`
	Note    string    `json:"note,omitempty"`
	Of      int       `json:"of,omitempty" doc:"of an undo: the revision whose records are back"`
	Hash    string    `json:"hash" doc:"of the text and the files that it includes"`
	Plan    string    `json:"plan,omitempty" doc:"hash of the plan that was published"`
	Records int       `json:"records"`
	Summary string    `json:"summary"`
	Lines   []string  `json:"lines,omitempty" doc:"what differs from the revision before, in words"`
	Serial  uint32    `json:"serial,omitempty" doc:"that the zone was given"`
}

// Sentence is a revision in one line.
func (r Revision) Sentence() string {
	switch r.Kind {
	case FromFile:
		if r.Number == 0 {
			return "As the configuration has it."
		}
		return "The configuration's records were taken."
	case FromBefore:
		return "Undone: the records are those of revision " + figure(r.Of) + " again."
	}
	return r.Summary
}

// With adds changes to a draft, made whole against the zone: names absolute, data in the
// one form in which it is compared. None is added where one is refused.
func (d Draft) With(f Facts, changes ...Change) (Draft, error) {
	if len(changes) == 0 {
		return d, fault.New(fault.Invalid, "no change is given").WithHint("say what is to be added, replaced or removed")
	}
	out := d
	out.Changes = append([]Change(nil), d.Changes...)
	for _, c := range changes {
		clean, err := f.clean(c)
		if err != nil {
			return d, err
		}
		out.Changes = append(out.Changes, clean)
	}
	b, _ := json.Marshal(out) // texts and figures
	if len(out.Changes) > MaxChanges || len(b) > MaxDraft {
		return d, fault.New(fault.Invalid, "the draft would have %d changes in %d octets; %d and %d are the most", len(out.Changes), len(b), MaxChanges, MaxDraft).
			WithHint("publish what is there first, or write the records into the configuration's file")
	}
	return out, nil
}

// Without takes one change back; they are counted from 0.
func (d Draft) Without(n int) (Draft, error) {
	if n < 0 || n >= len(d.Changes) {
		return d, fault.New(fault.Conflict, "the draft has no change %d any more", n+1).WithHint("look at it again: somebody with your sign-in has changed it")
	}
	d.Changes = append(append([]Change(nil), d.Changes[:n]...), d.Changes[n+1:]...)
	return d, nil
}

// trimmed is a name without its final dot, as people write it.
func trimmed(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// Sentence is a change in a line.
func (c Change) Sentence() string {
	what := trimmed(c.Name) + " " + c.Type
	kept := ""
	if c.TTL > 0 {
		kept = ", kept for " + zonediff.Lasting(c.TTL)
	}
	switch {
	case c.Op == Add:
		return "Add " + what + ": " + several(c.Type, c.Data) + kept + "."
	case c.Op == Remove && len(c.Old) == 0:
		return "Remove all of " + what + "."
	case c.Op == Remove:
		return "Remove " + what + ": " + several(c.Type, c.Old) + "."
	case len(c.Old) == 0:
		return "Have " + what + " become " + several(c.Type, c.Data) + kept + "."
	}
	return "Change " + what + ": " + several(c.Type, c.Old) + " → " + several(c.Type, c.Data) + kept + "."
}
