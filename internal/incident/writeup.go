package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// The types of events about the write-up and what it leads to.
const (
	WriteUpEdited    Type = "postmortem.edited"
	WriteUpAnswered  Type = "postmortem.answered"
	FindingJudged    Type = "postmortem.finding_judged"
	WriteUpFinal     Type = "postmortem.finalised"
	WriteUpReopened  Type = "postmortem.reopened"
	FollowUpAdded    Type = "followup.added"
	FollowUpChanged  Type = "followup.changed"
	FollowUpDone     Type = "followup.done"
	FollowUpVerified Type = "followup.verified"
	FollowUpDeclined Type = "followup.declined"
	Corrected        Type = "event.corrected"
)

// What a finding is about.
const (
	AboutProcess      = "process"
	AboutArchitecture = "architecture"
)

// Questions are the four that only people can answer, by their key.
var Questions = []Question{
	{"surprise", "Why were we surprised?"},
	{"help", "What helped, and where were we lucky?"},
	{"hard", "What made it hard: tools, access, knowledge, tiredness?"},
	{"different", "What should be different: in the system, in how we work?"},
}

// Question is one of the four.
type Question struct{ Key, Text string }

const (
	maxFollowUps = 50
	maxFindings  = 50
	maxSections  = 50
	maxSection   = 16 << 10 // bytes: an event holds at most MaxData
)

var classes = []string{"prevent", "detect", "contain", "return_faster", "process"}

// WriteUp is what people have added to the generated post-mortem.
type WriteUp struct {
	Version  int              `json:"version,omitempty"` // of the final text; 0: a draft
	Final    bool             `json:"final,omitempty"`
	FinalAt  time.Time        `json:"final_at,omitzero"`
	FinalBy  string           `json:"final_by,omitempty"`
	SHA256   string           `json:"sha256,omitempty"` // of the final Markdown
	Sections map[string]Typed `json:"sections,omitempty"`
	Answers  map[string]Typed `json:"answers,omitempty"` // by question
	Findings []Finding        `json:"findings,omitempty"`
}

// Typed is what a person wrote.
type Typed struct {
	Text string    `json:"text"`
	By   Actor     `json:"by"`
	At   time.Time `json:"at"`
}

// Finding is a statement on process or architecture, proposed by a rule or written by
// a person, and accepted or not.
type Finding struct {
	ID       string    `json:"id"`
	About    string    `json:"about"` // process, architecture
	Text     string    `json:"text"`
	Accepted bool      `json:"accepted"`
	Note     string    `json:"note,omitempty"`
	By       Actor     `json:"by"`
	At       time.Time `json:"at"`
}

// FollowUp is a change owed after the incident.
type FollowUp struct {
	ID       string    `json:"id"`    // a1, a2 ...
	Kind     string    `json:"kind"`  // commitment, idea
	Class    string    `json:"class"` // prevent, detect, contain, return_faster, process
	What     string    `json:"what"`
	Owner    string    `json:"owner,omitempty"`
	Due      time.Time `json:"due,omitzero"`
	DoneWhen string    `json:"done_when,omitempty"` // how anybody can see that it is done
	Tracker  string    `json:"tracker,omitempty"`   // where it is followed
	State    string    `json:"state"`               // open, done, verified, declined
	Reason   string    `json:"reason,omitempty"`
	By       Actor     `json:"by"`
	At       time.Time `json:"at"`
}

// EditSection puts a person's own words into a section of the write-up.
type EditSection struct{ Section, Text string }

// Answer answers one of the four questions.
type Answer struct{ Question, Text string }

// JudgeFinding accepts a finding or not. One that a person writes has an id of its own.
type JudgeFinding struct{ Finding Finding }

// Finalise makes the write-up final; SHA256 is of its Markdown.
type Finalise struct{ SHA256 string }

// AddFollowUp writes down what is owed.
type AddFollowUp struct{ FollowUp FollowUp }

// ChangeFollowUp changes owner, due date, done-when or text; empty ones stay.
type ChangeFollowUp struct{ FollowUp FollowUp }

// EndFollowUp says that it is done, verified or declined.
type EndFollowUp struct{ ID, State, Reason string }

// Correct adds a correction to an event; the event stays as it is.
type Correct struct{ Event, Text string }

func (EditSection) name() string    { return "edit the write-up" }
func (Answer) name() string         { return "answer a question" }
func (JudgeFinding) name() string   { return "judge a finding" }
func (Finalise) name() string       { return "finish the write-up" }
func (AddFollowUp) name() string    { return "add a follow-up" }
func (ChangeFollowUp) name() string { return "change a follow-up" }
func (EndFollowUp) name() string    { return "end a follow-up" }
func (Correct) name() string        { return "correct" }

func (w WriteUp) clone() WriteUp {
	w.Sections, w.Answers, w.Findings = maps.Clone(w.Sections), maps.Clone(w.Answers), slices.Clone(w.Findings)
	return w
}

// reopen makes a final write-up a draft again before something in it changes.
func (d *draft) reopen() {
	if d.in.WriteUp.Final {
		d.add(WriteUpReopened, Subject{"site", d.in.Site}, finalData{Version: d.in.WriteUp.Version}, "%s opens the write-up again; version %d was final.", d.who(), d.in.WriteUp.Version)
	}
}

func (c EditSection) decide(d *draft) error {
	text := strings.TrimSpace(c.Text)
	switch {
	case c.Section == "" || tooLong(c.Section, 40):
		return fault.New(fault.Invalid, "%q is no section of the write-up", cut(c.Section, 40)).At("section")
	case len(text) > maxSection:
		return fault.New(fault.Invalid, "the section has %d bytes; at most %d fit", len(text), maxSection).At("text").WithHint("cut it, or add a file as evidence")
	}
	if _, known := d.in.WriteUp.Sections[c.Section]; !known && len(d.in.WriteUp.Sections) >= maxSections {
		return fault.New(fault.Conflict, "the write-up has %d sections already", maxSections).At("section").WithHint("add to one of them")
	}
	d.reopen()
	d.add(WriteUpEdited, Subject{"section", c.Section}, typedData{c.Section, text}, "%s wrote in the section %s of the write-up.", d.who(), strings.ReplaceAll(c.Section, "_", " "))
	return nil
}

func (c Answer) decide(d *draft) error {
	i := slices.IndexFunc(Questions, func(q Question) bool { return q.Key == c.Question })
	text := strings.TrimSpace(c.Text)
	switch {
	case i < 0:
		return fault.New(fault.NotFound, "there is no question %q", c.Question).At("question").WithHint("they are: surprise, help, hard, different")
	case len(text) > maxSection:
		return fault.New(fault.Invalid, "the answer has %d bytes; at most %d fit", len(text), maxSection).At("text")
	}
	d.reopen()
	d.add(WriteUpAnswered, Subject{"question", c.Question}, typedData{c.Question, text}, "%s answered: %s", d.who(), Questions[i].Text)
	return nil
}

func (c JudgeFinding) decide(d *draft) error {
	f := c.Finding
	f.Text, f.Note = strings.TrimSpace(f.Text), strings.TrimSpace(f.Note)
	judged := func(id string) bool {
		return slices.ContainsFunc(d.in.WriteUp.Findings, func(x Finding) bool { return x.ID == id })
	}
	if f.ID == "" {
		n := len(d.in.WriteUp.Findings) + 1
		for judged(fmt.Sprintf("own%d", n)) {
			n++
		}
		f.ID, f.Accepted = fmt.Sprintf("own%d", n), true
	}
	switch {
	case tooLong(f.ID, 64):
		return fault.New(fault.NotFound, "there is no finding %q", cut(f.ID, 64)).At("id")
	case f.About != AboutProcess && f.About != AboutArchitecture:
		return fault.New(fault.Invalid, "say what the finding is about").At("about").WithHint("write process or architecture")
	case !says(f.Text) || tooLong(f.Text, maxText):
		return fault.New(fault.Invalid, "the finding needs one to %d characters", maxText).At("text")
	case tooLong(f.Note, maxText):
		return fault.New(fault.Invalid, "the note has more than %d characters", maxText).At("note")
	case len(d.in.WriteUp.Findings) >= maxFindings && !judged(f.ID):
		return fault.New(fault.Conflict, "there are %d findings already", maxFindings)
	}
	d.reopen()
	verb := "accepts"
	if !f.Accepted {
		verb = "does not accept"
	}
	d.add(FindingJudged, Subject{"finding", f.ID}, f, "%s %s the finding on %s: %s", d.who(), verb, f.About, stop(f.Text))
	return nil
}

func (c Finalise) decide(d *draft) error {
	if p := d.in.Phase; p != Review && p != Closed && p != Cancelled {
		return fault.New(fault.Conflict, "the write-up is finished after the watch; the incident is at %s", p.Words()).WithHint("it can be edited now")
	}
	if d.in.WriteUp.Final {
		return nil
	}
	version := d.in.WriteUp.Version + 1
	d.add(WriteUpFinal, Subject{"site", d.in.Site}, finalData{version, c.SHA256}, "%s finished the write-up, version %d.", d.who(), version)
	return nil
}

func (c AddFollowUp) decide(d *draft) error {
	f := c.FollowUp
	f.What, f.Owner, f.DoneWhen, f.Tracker = strings.TrimSpace(f.What), strings.TrimSpace(f.Owner), strings.TrimSpace(f.DoneWhen), strings.TrimSpace(f.Tracker)
	f.Kind, f.Class = orElse(f.Kind, "commitment"), orElse(f.Class, "prevent")
	if !says(f.What) {
		return fault.New(fault.Invalid, "say what is to be done").At("what")
	}
	if err := f.check(); err != nil {
		return err
	}
	if len(d.in.FollowUps) >= maxFollowUps {
		return fault.New(fault.Conflict, "there are %d follow-ups already", maxFollowUps).WithHint("few are done, many are not: choose")
	}
	f.ID, f.State, f.Reason = fmt.Sprintf("a%d", len(d.in.FollowUps)+1), "open", ""
	d.add(FollowUpAdded, Subject{"followup", f.ID}, f, "%s: owed, %s (%s): %s", d.who(), f.ID, f.Kind, stop(f.What))
	return nil
}

func (f FollowUp) check() error {
	switch {
	case f.Kind != "commitment" && f.Kind != "idea":
		return fault.New(fault.Invalid, "%q is no kind of follow-up", f.Kind).At("kind").WithHint("write commitment or idea")
	case !slices.Contains(classes, f.Class):
		return fault.New(fault.Invalid, "%q is no class of follow-up", f.Class).At("class").WithHint("write %s", strings.Join(classes, ", "))
	case tooLong(f.What, maxText) || tooLong(f.DoneWhen, maxText) || tooLong(f.Owner, maxLine) || tooLong(f.Tracker, maxLine):
		return fault.New(fault.Invalid, "a line of the follow-up is too long").At("what")
	}
	return nil
}

func (d *draft) followUp(id string) (FollowUp, error) {
	i := slices.IndexFunc(d.in.FollowUps, func(f FollowUp) bool { return f.ID == id })
	if i < 0 {
		return FollowUp{}, fault.New(fault.NotFound, "there is no follow-up %q", id).At("id").WithHint("see them with: lifeboat follow-up list")
	}
	return d.in.FollowUps[i], nil
}

func (c ChangeFollowUp) decide(d *draft) error {
	f, err := d.followUp(c.FollowUp.ID)
	if err != nil {
		return err
	}
	n := c.FollowUp
	for _, x := range []struct {
		to   *string
		from string
	}{{&f.Kind, n.Kind}, {&f.Class, n.Class}, {&f.What, n.What}, {&f.Owner, n.Owner}, {&f.DoneWhen, n.DoneWhen}, {&f.Tracker, n.Tracker}} {
		*x.to = orElse(strings.TrimSpace(x.from), *x.to)
	}
	if !n.Due.IsZero() {
		f.Due = n.Due
	}
	if err := f.check(); err != nil {
		return err
	}
	d.add(FollowUpChanged, Subject{"followup", f.ID}, f, "%s changed %s: %s", d.who(), f.ID, stop(f.What))
	return nil
}

func (c EndFollowUp) decide(d *draft) error {
	f, err := d.followUp(c.ID)
	if err != nil {
		return err
	}
	types := map[string]Type{"done": FollowUpDone, "verified": FollowUpVerified, "declined": FollowUpDeclined}
	t, known := types[c.State]
	switch {
	case !known:
		return fault.New(fault.Invalid, "%q is no end of a follow-up", c.State).At("state").WithHint("write done, verified or declined")
	case c.State == "declined" && !says(c.Reason):
		return fault.New(fault.Invalid, "say why it will not be done").At("reason").WithHint("declining is fine, with a reason")
	case f.State == c.State:
		return nil
	}
	d.add(t, Subject{"followup", f.ID}, aboutData{ID: f.ID, Reason: strings.TrimSpace(c.Reason)}, "%s: %s is %s. %s", d.who(), f.ID, c.State, stop(c.Reason))
	return nil
}

func (c Correct) decide(d *draft) error {
	text := strings.TrimSpace(c.Text)
	switch {
	case c.Event == "" || tooLong(c.Event, 40):
		return fault.New(fault.Invalid, "name the event that is corrected").At("event").WithHint("its id is in: lifeboat timeline --json")
	case !says(text) || tooLong(text, maxText):
		return fault.New(fault.Invalid, "the correction needs one to %d characters", maxText).At("text")
	}
	d.add(Corrected, Subject{"event", c.Event}, noteData{text}, "%s corrects: %s", d.who(), stop(text))
	d.events[len(d.events)-1].Corrects = c.Event
	return nil
}

// owed gives the commitments that lack owner, due date or done-when (R19).
func (in Incident) owed() []string {
	var out []string
	for _, f := range in.FollowUps {
		if f.Kind == "commitment" && f.State == "open" && (f.Owner == "" || f.Due.IsZero() || f.DoneWhen == "") {
			out = append(out, f.ID)
		}
	}
	return out
}

// onProcess says whether there is a statement on how people work (R20).
func (in Incident) onProcess() bool {
	return slices.ContainsFunc(in.WriteUp.Findings, func(f Finding) bool { return f.Accepted && f.About == AboutProcess })
}

type (
	typedData struct {
		Key  string `json:"key"`
		Text string `json:"text"`
	}
	finalData struct {
		Version int    `json:"version"`
		SHA256  string `json:"sha256,omitempty"`
	}
)

var writeUpFolds = folder{
	WriteUpEdited: with(func(in *Incident, e Event, t typedData) {
		in.WriteUp.Sections = typed(in.WriteUp.Sections, t, e)
	}),
	WriteUpAnswered: with(func(in *Incident, e Event, t typedData) {
		in.WriteUp.Answers = typed(in.WriteUp.Answers, t, e)
	}),
	FindingJudged: with(func(in *Incident, e Event, f Finding) {
		if f.ID == "" {
			return
		}
		f.By, f.At = e.Actor, e.At
		all := slices.DeleteFunc(in.WriteUp.Findings, func(x Finding) bool { return x.ID == f.ID })
		in.WriteUp.Findings = append(all, f)
	}),
	WriteUpFinal: with(func(in *Incident, e Event, f finalData) {
		if f.Version > 0 {
			in.WriteUp.Final, in.WriteUp.Version, in.WriteUp.FinalAt, in.WriteUp.FinalBy, in.WriteUp.SHA256 = true, f.Version, e.At, e.Actor.Name, f.SHA256
		}
	}),
	WriteUpReopened: with(func(in *Incident, _ Event, f finalData) { in.WriteUp.Final = in.WriteUp.Final && f.Version == 0 }),
	FollowUpAdded: with(func(in *Incident, e Event, f FollowUp) {
		if f.ID != "" {
			f.By, f.At = e.Actor, e.At
			in.FollowUps = append(in.FollowUps, f)
		}
	}),
	FollowUpChanged: with(func(in *Incident, _ Event, f FollowUp) {
		change(in.FollowUps, f.ID, FollowUp.id, func(x *FollowUp) {
			f.By, f.At, f.State, f.Reason = x.By, x.At, x.State, x.Reason
			*x = f
		})
	}),
	FollowUpDone:     foldFollowUp("done"),
	FollowUpVerified: foldFollowUp("verified"),
	FollowUpDeclined: foldFollowUp("declined"),
}

func typed(m map[string]Typed, t typedData, e Event) map[string]Typed {
	if t.Key == "" {
		return m
	}
	if m == nil {
		m = map[string]Typed{}
	}
	m[t.Key] = Typed{t.Text, e.Actor, e.At}
	return m
}

func foldFollowUp(state string) func(*Incident, Event) {
	return with(func(in *Incident, _ Event, a aboutData) {
		change(in.FollowUps, a.ID, FollowUp.id, func(f *FollowUp) { f.State, f.Reason = state, a.Reason })
	})
}

func (f FollowUp) id() string { return f.ID }
