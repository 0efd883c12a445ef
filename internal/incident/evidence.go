package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// Limits on what one incident holds.
const (
	maxEvidence = 500
	maxAttached = 400 // by people: what lifeboat captures itself has room left
	maxChanges  = 200
	maxSights   = 200 // changes of what the checks see; a check that flaps ends the list
	maxText     = 4000
	maxLine     = 300 // characters of a one-line text
)

// The types of events about what is known.
const (
	EvidenceCaptured Type = "evidence.captured"
	EvidenceAttached Type = "evidence.attached"
	EvidenceRedacted Type = "evidence.redacted"
	ChangeSeen       Type = "change.seen"
	ChangeMarked     Type = "change.marked_suspect"
	SightChanged     Type = "check.changed"
	ImpactMeasured   Type = "impact.measured"
)

// Evidence is something that was collected, with its time, its source and the hash
// of its body. The body lies outside the record; what is here is never edited, only
// its body can be taken away (Redacted).
type Evidence struct {
	ID        string    `json:"id"`   // e1, e2 ...
	Kind      string    `json:"kind"` // dns, tls, http, metrics, log, note, file, image
	Title     string    `json:"title"`
	Summary   string    `json:"summary,omitempty"`  // what it says, in a sentence
	Deciding  string    `json:"deciding,omitempty"` // the line that decides by itself: a full disk, an expired certificate
	Source    string    `json:"source,omitempty"`   // whom it was taken from
	Collector string    `json:"collector,omitempty"`
	Name      string    `json:"name,omitempty"` // of the file
	At        time.Time `json:"at"`
	TookMS    int64     `json:"took_ms,omitempty"`
	SHA256    string    `json:"sha256,omitempty"` // of the body; "" without one
	Size      int64     `json:"size,omitempty"`   // bytes
	Type      string    `json:"type,omitempty"`   // media type
	Truncated bool      `json:"truncated,omitempty"`
	Problem   string    `json:"problem,omitempty"`  // why nothing, or not all, could be had
	Redacted  string    `json:"redacted,omitempty"` // why the body was taken away
	By        Actor     `json:"by"`
}

// Change is an entry of the change ledger that this incident has looked at.
type Change struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Source  string    `json:"source,omitempty"`
	Who     string    `json:"who,omitempty"`
	What    string    `json:"what"`
	Ref     string    `json:"ref,omitempty"`
	Suspect bool      `json:"suspect,omitempty"` // a person's mark
	Note    string    `json:"note,omitempty"`
}

// Sight is a change of what a check sees.
type Sight struct {
	At     time.Time `json:"at"`
	Check  string    `json:"check"`
	Place  string    `json:"place"`
	Home   bool      `json:"home,omitempty"` // the place is the site's home
	Seen   string    `json:"seen"`           // up, down, unknown
	Detail string    `json:"detail,omitempty"`
}

// Impact is what visitors met, as far as it was measured.
type Impact struct {
	At         time.Time `json:"at"`
	DownFrom   time.Time `json:"down_from,omitzero"` // home first seen down; zero: never seen
	SafeAt     time.Time `json:"safe_at,omitzero"`   // first lever seen in force from outside
	BackAt     time.Time `json:"back_at,omitzero"`   // all levers back
	ExposedMS  int64     `json:"exposed_ms"`         // home seen down while visitors were sent there
	AwayMS     int64     `json:"away_ms"`            // visitors kept away from home
	StandbyHit uint64    `json:"standby_requests"`   // requests that met the status page
	Late       uint64    `json:"late_requests"`      // of those, after the return
}

// Captured records one piece of evidence that a collector brought.
type Captured struct{ Evidence Evidence }

// Attach records a note, a file or an image that a person brought.
type Attach struct{ Evidence Evidence }

// Redact takes the body of a piece of evidence away, saying why.
type Redact struct{ Evidence, Reason string }

// SeeChanges records entries of the change ledger.
type SeeChanges struct{ Changes []Change }

// MarkChange marks a change as suspected, or takes the mark back.
type MarkChange struct {
	Change  string
	Suspect bool
	Note    string
}

// SeeSight records that a check sees something else than before.
type SeeSight struct{ Sight Sight }

// Measure records the impact as measured so far.
type Measure struct{ Impact Impact }

func (Captured) name() string   { return "record evidence" }
func (Attach) name() string     { return "add evidence" }
func (Redact) name() string     { return "redact evidence" }
func (SeeChanges) name() string { return "record changes" }
func (MarkChange) name() string { return "mark a change" }
func (SeeSight) name() string   { return "record" }
func (Measure) name() string    { return "record" }

func (c Captured) decide(d *draft) error {
	e := c.Evidence
	if len(d.in.Evidence) >= maxEvidence {
		return fault.New(fault.Conflict, "the incident holds %d pieces of evidence; no more are recorded", maxEvidence)
	}
	e = e.brief()
	e.ID = fmt.Sprintf("e%d", len(d.in.Evidence)+1)
	e.By = d.facts.Actor
	text := strings.TrimSuffix(e.Title, ".")
	switch {
	case e.Problem != "":
		text += " could not be captured: " + e.Problem
	case e.Summary != "":
		text += ": " + e.Summary
	}
	d.add(EvidenceCaptured, Subject{"evidence", e.ID}, e, "%s", stop(text))
	return nil
}

// brief cuts what is too long to be written down.
func (e Evidence) brief() Evidence {
	e.Summary, e.Problem, e.Redacted = cut(e.Summary, maxText), brief(e.Problem), ""
	for _, s := range []*string{&e.Kind, &e.Title, &e.Deciding, &e.Source, &e.Collector, &e.Name, &e.SHA256, &e.Type} {
		*s = cut(*s, maxLine)
	}
	return e
}

func (c Attach) decide(d *draft) error {
	e := c.Evidence
	e.Title, e.Summary = strings.TrimSpace(e.Title), strings.TrimSpace(e.Summary)
	switch {
	case e.Title == "" && e.Summary == "":
		return fault.New(fault.Invalid, "the evidence says nothing").At("title").WithHint("say in a sentence what it shows")
	case tooLong(e.Title, maxLine):
		return fault.New(fault.Invalid, "the title has more than %d characters", maxLine).At("title").WithHint("put the rest into the text")
	case tooLong(e.Summary, maxText):
		return fault.New(fault.Invalid, "the text has more than %d characters", maxText).At("text").WithHint("add it as a file")
	case len(d.in.Evidence) >= maxAttached:
		return fault.New(fault.Conflict, "the incident holds %d pieces of evidence already", len(d.in.Evidence)).WithHint("write a note")
	}
	if e.Title == "" {
		e.Title, e.Summary = cut(e.Summary, maxLine), rest(e.Summary, maxLine)
	}
	e = e.brief()
	e.Deciding = "" // a rule finds the line that decides; nobody types it
	e.ID = fmt.Sprintf("e%d", len(d.in.Evidence)+1)
	e.By = d.facts.Actor
	if e.At.IsZero() {
		e.At = d.at.UTC()
	}
	d.add(EvidenceAttached, Subject{"evidence", e.ID}, e, "%s added evidence %s: %s", d.who(), e.ID, stop(e.Title))
	return nil
}

func (c Redact) decide(d *draft) error {
	i := slices.IndexFunc(d.in.Evidence, func(e Evidence) bool { return e.ID == c.Evidence })
	if i < 0 {
		return fault.New(fault.NotFound, "there is no evidence %q", c.Evidence).WithHint("see it with: lifeboat evidence list")
	}
	if !says(c.Reason) {
		return fault.New(fault.Invalid, "say why its body is taken away").At("reason").WithHint("one sentence, for example: it shows a customer's address")
	}
	if d.in.Evidence[i].Redacted != "" {
		return nil
	}
	d.add(EvidenceRedacted, Subject{"evidence", c.Evidence}, RedactedData{ID: c.Evidence, Reason: c.Reason, SHA256: d.in.Evidence[i].SHA256}, "%s took the body of %s away: %s", d.who(), c.Evidence, stop(c.Reason))
	return nil
}

func (c SeeChanges) decide(d *draft) error {
	known := map[string]bool{}
	for _, x := range d.in.Changes {
		known[x.ID] = true
	}
	for _, x := range c.Changes {
		for _, s := range []*string{&x.ID, &x.Kind, &x.Source, &x.Who, &x.What, &x.Ref} {
			*s = cut(*s, maxLine)
		}
		if x.ID == "" || known[x.ID] || len(d.in.Changes) >= maxChanges {
			continue
		}
		known[x.ID] = true
		x.Suspect, x.Note = false, ""
		from := strings.TrimSuffix(x.Kind+", "+orElse(x.Who, x.Source), ", ")
		d.add(ChangeSeen, Subject{"change", x.ID}, x, "Changed at %s: %s (%s).", d.when(x.At), strings.TrimSuffix(x.What, "."), from)
	}
	return nil
}

// when tells a time of day, with its date where that is another day.
func (d *draft) when(t time.Time) string {
	if t.UTC().Format(time.DateOnly) == d.at.UTC().Format(time.DateOnly) {
		return t.UTC().Format(clock)
	}
	return t.UTC().Format("15:04:05 UTC on 2 January")
}

func (c MarkChange) decide(d *draft) error {
	i := slices.IndexFunc(d.in.Changes, func(x Change) bool { return x.ID == c.Change })
	if i < 0 {
		return fault.New(fault.NotFound, "this incident knows no change %q", c.Change).WithHint("see them with: lifeboat changes")
	}
	if x := d.in.Changes[i]; x.Suspect == c.Suspect && (c.Note == "" || x.Note == c.Note) {
		return nil
	}
	word := "marked as suspected"
	if !c.Suspect {
		word = "no longer suspects"
	}
	d.add(ChangeMarked, Subject{"change", c.Change}, markData{ID: c.Change, Suspect: c.Suspect, Note: c.Note}, "%s %s: %s", d.who(), word, stop(d.in.Changes[i].What))
	return nil
}

func (c SeeSight) decide(d *draft) error {
	s := c.Sight
	s.Detail = brief(s.Detail)
	if len(d.in.Sights) >= maxSights {
		return nil
	}
	if last, found := d.in.lastSight(s.Place, s.Check); found && last.Seen == s.Seen {
		return nil
	}
	if len(d.in.Sights) == maxSights-1 {
		d.add(NoteAdded, Subject{}, noteData{"The checks change too often to be written down one by one."}, "The checks have changed %d times; further changes are not written down.", maxSights)
	}
	if !s.At.IsZero() && s.At.Before(d.at) {
		d.at = s.At
	}
	words := map[string]string{"up": "answers as it should", "down": "does not answer as it should"}[s.Seen]
	if words == "" {
		words = "gives no clear answer"
	}
	detail := ""
	if s.Detail != "" && s.Seen != "up" {
		detail = ": " + s.Detail
	}
	d.add(SightChanged, Subject{"check", s.Check}, s, "Seen: %s %s%s (check %s).", s.Place, words, detail, s.Check)
	return nil
}

func (in Incident) lastSight(place, check string) (Sight, bool) {
	for i := len(in.Sights) - 1; i >= 0; i-- {
		if s := in.Sights[i]; s.Place == place && s.Check == check {
			return s, true
		}
	}
	return Sight{}, false
}

func (c Measure) decide(d *draft) error {
	m := c.Impact
	m.At = d.at.UTC()
	text := "Measured: "
	if m.DownFrom.IsZero() {
		text += "no check has seen the real site down"
	} else {
		text += fmt.Sprintf("visitors were sent to a site that was seen down for %s", spell(time.Duration(m.ExposedMS)*time.Millisecond))
	}
	d.add(ImpactMeasured, Subject{"site", d.in.Site}, m, "%s; %s met the status page.", text, count(m.StandbyHit, "request"))
	return nil
}

// RedactedData says which body was taken away, and why.
type RedactedData struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // of the body that is gone
}

type (
	aboutData struct {
		ID     string `json:"id"`
		Reason string `json:"reason,omitempty"`
	}
	markData struct {
		ID      string `json:"id"`
		Suspect bool   `json:"suspect"`
		Note    string `json:"note,omitempty"`
	}
	noteData struct {
		Text string `json:"text"`
	}
)

var evidenceFolds = folder{
	EvidenceCaptured: with(foldEvidence),
	EvidenceAttached: with(foldEvidence),
	EvidenceRedacted: with(func(in *Incident, _ Event, a RedactedData) {
		change(in.Evidence, a.ID, Evidence.id, func(e *Evidence) { e.Redacted, e.SHA256, e.Size = a.Reason, "", 0 })
	}),
	ChangeSeen: with(func(in *Incident, _ Event, c Change) {
		if c.ID == "" {
			return
		}
		in.Changes = append(in.Changes, c)
		slices.SortStableFunc(in.Changes, func(a, b Change) int { return b.At.Compare(a.At) })
	}),
	ChangeMarked: with(func(in *Incident, e Event, m markData) {
		change(in.Changes, m.ID, Change.id, func(c *Change) { c.Suspect, c.Note, in.NewsAt = m.Suspect, m.Note, e.At })
	}),
	SightChanged: with(func(in *Incident, _ Event, s Sight) {
		if s.Seen != "" {
			in.Sights = append(in.Sights, s)
		}
	}),
	ImpactMeasured: with(func(in *Incident, _ Event, m Impact) {
		if !m.At.IsZero() {
			in.Impact, in.ImpactDue = &m, false
		}
	}),
}

func foldEvidence(in *Incident, e Event, x Evidence) {
	if x.ID != "" {
		in.Evidence, in.NewsAt = append(in.Evidence, x), e.At
	}
}

func (e Evidence) id() string { return e.ID }
func (c Change) id() string   { return c.ID }

// change changes the element with an id.
func change[T any](all []T, id string, of func(T) string, f func(*T)) {
	for i := range all {
		if of(all[i]) == id {
			f(&all[i])
		}
	}
}
