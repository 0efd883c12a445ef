// Package postmortem writes an incident down: from its events it makes a document in
// plain prose, and from the same events it proposes findings on how people work and
// how the system is built.
//
// It is not the record, and it guesses nothing. Every sentence, row and figure is a
// Fact that names the events it rests on; what no event says is left out, or stands
// there as "not measured" where that is worth knowing. What people wrote (answers,
// sections, notes) is shown as theirs and is never mixed into what was generated. It
// does not edit, store or send: incident keeps what people write, the engine does the
// rest.
//
// Pure: no clock, no I/O. It imports of ours only incident. Any package of the
// control plane may import it.
//
// Invariants: the same events and options always give the same bytes. A Fact without
// events does not exist. No text of a person can break the structure of any form the
// document is given in. The public version holds no name of a person and only five
// sections.
//
// Concurrency: values only; everything may be called from any goroutine.
package postmortem

import (
	"iter"
	"slices"
	"time"

	"lifeboat/internal/incident"
)

// Options say how the document is told.
type Options struct {
	Title   string            // of the site, as people call it; the site's id where it is empty
	Names   []string          // of the site, as visitors type them
	Zone    *time.Location    // local time, told beside UTC; nil or UTC: UTC alone
	Now     time.Time         // how far "so far" goes while the incident is open; the last event where it is zero
	Public  bool              // the version for visitors: no names, five sections
	Actions map[string]string // titles of prepared acts, by name
}

// Document is the write-up: sections in the order in which they are read.
type Document struct {
	Schema    int       `json:"schema"` // of this form; see Schema
	Incident  string    `json:"incident"`
	Site      string    `json:"site"`
	Title     string    `json:"title"`
	Drill     bool      `json:"drill,omitempty"`
	Public    bool      `json:"public,omitempty"`
	Open      bool      `json:"open,omitempty"` // the incident still is; figures are "so far"
	Final     bool      `json:"final,omitempty"`
	Version   int       `json:"version,omitempty"` // of the final text
	LastEvent uint64    `json:"last_event"`        // it tells of the events up to this one
	LastHash  string    `json:"last_hash,omitempty"`
	Sections  []Section `json:"sections"`
}

// Section is one part of the document.
type Section struct {
	Key       string  `json:"key"` // as in incident.EditSection
	Title     string  `json:"title"`
	Blocks    []Block `json:"blocks"`
	Edited    bool    `json:"edited,omitempty"`    // a person's text stands in place of the generated one
	Generated []Block `json:"generated,omitempty"` // what was generated, where it is edited
	Empty     bool    `json:"empty,omitempty"`     // all it says is that there is nothing
}

// Block is one piece of a section. Beside the heading exactly one field is set.
type Block struct {
	Heading   string      `json:"heading,omitempty"`
	Paragraph Paragraph   `json:"paragraph,omitempty"`
	List      []Paragraph `json:"list,omitempty"`
	Terms     []Term      `json:"terms,omitempty"`
	Table     *Table      `json:"table,omitempty"`
	Quote     *Quote      `json:"quote,omitempty"`
	Blank     string      `json:"blank,omitempty"` // a place left for a person to write in; says what belongs there
}

// Paragraph is some sentences, read one after the other.
type Paragraph []Fact

// Fact is a generated sentence with the events it rests on, by their sequence numbers.
// Text is plain: whoever shows it escapes it.
type Fact struct {
	Text   string   `json:"text"`
	Events []uint64 `json:"events"`           // sorted, at least one
	Absent bool     `json:"absent,omitempty"` // says that something is not in the record; Events are its first and last
	Amber  bool     `json:"amber,omitempty"`  // a guard rail was passed
}

// Term is a name with what is known of it.
type Term struct {
	Name string `json:"name"`
	Fact
}

// Table is rows under headings.
type Table struct {
	Columns []string `json:"columns"`
	Rows    []Row    `json:"rows"`
	Log     bool     `json:"log,omitempty"` // read downwards: when, and what happened
	Anchors bool     `json:"-"`             // rows are what references lead to
}

// Row is one row of a table; Text is empty, the cells tell.
type Row struct {
	Cells []string `json:"cells"` // as many as columns
	Fact
}

// Quote is what a person wrote, as they wrote it, but for characters that nobody sees.
type Quote struct {
	Lines  []string  `json:"lines"` // "" parts paragraphs
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Events []uint64  `json:"events"`
}

// The keys of the sections.
const (
	KeyHeader        = "header"
	KeySummary       = "summary"
	KeyApology       = "apology" // only in the public version
	KeyImpact        = "impact"
	KeyTimes         = "times"
	KeyDetection     = "detection"
	KeySafety        = "safety"
	KeyTimeline      = "timeline"
	KeyChanges       = "changes"
	KeyCauses        = "causes"
	KeyDiagnosis     = "diagnosis"
	KeyFixes         = "fixes"
	KeyReturn        = "return"
	KeyDecisions     = "decisions"
	KeyCommunication = "communication"
	KeyPeople        = "people"
	KeyQuestions     = "questions"
	KeyProcess       = "process"
	KeyArchitecture  = "architecture"
	KeyFollowUps     = "follow_ups"
	KeyRecurrence    = "recurrence"
	KeyEvidence      = "evidence"
	KeyRecord        = "record"
)

// PublicPrefix comes before the key of a section in incident.EditSection where the text
// is for the public version: what was written for the staff never shows there.
const PublicPrefix = "public_"

// room is a section that can be generated.
type room struct {
	key, title string
	public     bool
	build      func(*builder) []Block
}

// rooms are all sections, in their order.
var rooms = []room{
	{KeyHeader, "At a glance", false, (*builder).header},
	{KeySummary, "Summary", true, (*builder).summary},
	{KeyApology, "To our visitors", true, (*builder).apology},
	{KeyImpact, "What visitors met", true, (*builder).impact},
	{KeyTimes, "Key times", true, (*builder).times},
	{KeyDetection, "How it was noticed", false, (*builder).detection},
	{KeySafety, "Getting visitors to safety", false, (*builder).safety},
	{KeyTimeline, "Timeline", false, (*builder).timeline},
	{KeyChanges, "What had changed before", false, (*builder).changes},
	{KeyCauses, "What it might have been", false, (*builder).causes},
	{KeyDiagnosis, "What came together", true, (*builder).diagnosis},
	{KeyFixes, "What was tried", false, (*builder).fixes},
	{KeyReturn, "The way back", false, (*builder).wayBack},
	{KeyDecisions, "Decisions, objections and overrides", false, (*builder).decisions},
	{KeyCommunication, "What people were told", false, (*builder).communication},
	{KeyPeople, "People", false, (*builder).people},
	{KeyQuestions, "Four questions", false, (*builder).questions},
	{KeyProcess, "Findings on how we work", false, (*builder).process},
	{KeyArchitecture, "Findings on how the system is built", false, (*builder).architecture},
	{KeyFollowUps, "What we owe", true, (*builder).followUps},
	{KeyRecurrence, "Incidents like this one", false, (*builder).recurrence},
	{KeyEvidence, "Annex: evidence", false, (*builder).evidence},
	{KeyRecord, "Annex: the events behind it", false, (*builder).record},
}

// Build writes the document. It takes any list of events: what can't be read is not
// told.
func Build(events []incident.Event, o Options) Document {
	b := newBuilder(events, o)
	d := Document{
		Schema: Schema, Incident: clean(b.in.ID), Site: clean(b.in.Site), Title: b.title(), Drill: b.in.Drill, Public: o.Public, Open: b.in.Phase.Open(),
		Final: b.in.WriteUp.Final, Version: b.in.WriteUp.Version, LastEvent: b.last.Seq, LastHash: clean(b.last.Hash), Sections: []Section{},
	}
	if len(b.events) == 0 {
		return d
	}
	for _, r := range rooms {
		if o.Public && !r.public || !o.Public && r.key == KeyApology {
			continue
		}
		if b.in.Drill && r.key == KeySafety {
			r.title = "The lever, there and back"
		}
		if s := b.section(r); len(s.Blocks) > 0 {
			d.Sections = append(d.Sections, s)
		}
	}
	if !o.Public {
		d.Sections = b.withOwn(d.Sections)
	}
	return d
}

// title is the document's: what the incident was called.
func (b *builder) title() string {
	if t := b.text(b.in.Title, longName); t != "" {
		return t
	}
	return "An incident"
}

// Section gives the section with a key.
func (d Document) Section(key string) (Section, bool) {
	i := slices.IndexFunc(d.Sections, func(s Section) bool { return s.Key == key })
	if i < 0 {
		return Section{}, false
	}
	return d.Sections[i], true
}

// Facts gives every generated sentence and row, with the key of its section. Of a row
// Text is empty.
func (d Document) Facts() iter.Seq2[string, Fact] {
	return func(yield func(string, Fact) bool) {
		for _, s := range d.Sections {
			for _, f := range factsOf(append(slices.Clip(s.Blocks), s.Generated...)) {
				if !yield(s.Key, f) {
					return
				}
			}
		}
	}
}

// factsOf gathers the facts of blocks.
func factsOf(blocks []Block) []Fact {
	var out []Fact
	for _, b := range blocks {
		out = append(out, b.Paragraph...)
		for _, p := range b.List {
			out = append(out, p...)
		}
		for _, t := range b.Terms {
			out = append(out, t.Fact)
		}
		if b.Table != nil {
			for _, r := range b.Table.Rows {
				out = append(out, r.Fact)
			}
		}
	}
	return out
}
