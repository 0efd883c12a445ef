package incident

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// Decide says what comes of a command: events to add, or a refusal. It changes
// nothing. The events are drafts: Seal numbers and chains them.
func (in Incident) Decide(c Command, f Facts, now time.Time) ([]Event, error) {
	d := &draft{in: in, facts: f, now: now, at: f.At}
	if d.at.IsZero() {
		d.at = now
	}
	if err := d.decide(c); err != nil {
		return nil, err
	}
	if d.err != nil {
		return nil, fault.New(fault.Internal, "write down what was decided").Because(d.err)
	}
	return d.events, nil
}

func (d *draft) decide(c Command) error {
	if !d.in.Phase.Open() {
		if !opens(c) {
			return fault.New(fault.NotFound, "can't %s: there is no open incident", c.name()).WithHint("declare one with: lifeboat declare SITE")
		}
		d.in = Incident{} // an ended one says nothing about the next
	}
	switch c := c.(type) {
	case Declare:
		return d.declare(c)
	case PullLever:
		return d.pull(c)
	case Adopt:
		return d.adopt(c)
	case PutBack:
		return d.putBack(c)
	case Outcome:
		return d.outcome(c)
	case Propose:
		return d.propose(c)
	case Drifted:
		return d.drifted(c)
	case Note:
		return d.note(c)
	case DecideNoFailover:
		return d.noFailover(c)
	case GoBack:
		return d.goBack(c)
	case Sanity:
		return d.sanity(c)
	case Advance:
		return d.advance(c)
	case StepBack:
		return d.stepBack(c)
	case Relapsed:
		return d.relapsed(c)
	case WatchOver:
		return d.watchOver(c)
	case Cancel:
		return d.cancel(c)
	case Close:
		return d.close(c)
	case Remind:
		return d.remind()
	case ScoreDrill:
		return d.score(c)
	}
	return fault.New(fault.Internal, "unknown command %T", c)
}

func opens(c Command) bool {
	switch c.(type) {
	case Declare, PullLever, Adopt, Propose:
		return true
	}
	return false
}

// draft gathers the events of one decision; in moves along with them.
type draft struct {
	in     Incident
	facts  Facts
	now    time.Time
	at     time.Time
	events []Event
	err    error // data that can't be written as JSON: nothing is recorded by halves
}

// add drafts an event and folds it, so that later steps of the decision see it.
func (d *draft) add(t Type, s Subject, data any, format string, args ...any) {
	raw, err := json.Marshal(data)
	if err != nil {
		d.err = err
	}
	e := Event{
		Incident: cmp.Or(d.in.ID, d.facts.IncidentID), Type: t, At: d.at, AtSource: FromServer, Actor: d.facts.Actor, Subject: s,
		Visibility: "staff", Story: "auto", Text: fmt.Sprintf(format, args...), Data: raw,
	}
	if d.facts.Actor.Via == "socket" {
		e.AtSource = FromRecalled
	}
	if t == CheckVerdict {
		e.AtSource = FromProbe
	}
	seq, hash := d.in.Seq, d.in.Hash
	e.Seq = seq + uint64(len(d.events)) + 1 // for Token only; Seal numbers anew, alike
	d.in = d.in.Apply(e)
	d.in.Seq, d.in.Hash = seq, hash
	e.Seq = 0
	d.events = append(d.events, e)
}

func (d *draft) to(p Phase, why string) {
	from := d.in.Phase
	if from == p {
		return
	}
	d.add(PhaseChanged, Subject{"site", d.in.Site}, phaseData{from, p}, "%s", why)
}

// who is the actor in words.
func (d *draft) who() string {
	a := d.facts.Actor
	switch {
	case a.Name != "":
		return a.Name
	case a.Kind == "rule":
		return "A rule"
	case a.Kind == "system":
		return "lifeboat"
	}
	return "Somebody"
}

func (d *draft) declare(c Declare) error {
	if d.in.Phase.Open() {
		return fault.New(fault.Conflict, "%s has an open incident already: %s", d.in.Site, d.in.ID).WithHint("go on in it: lifeboat status")
	}
	if utf8.RuneCountInString(strings.TrimSpace(c.Title)) > maxTitle {
		return fault.New(fault.Invalid, "the title has more than %d characters", maxTitle).At("title").WithHint("put the rest into a note")
	}
	return d.open(c)
}

// open declares with whatever title there is: one that nobody typed is cut rather
// than refused.
func (d *draft) open(c Declare) error {
	title := strings.TrimSpace(c.Title)
	if title == "" {
		title = "Something is wrong with " + cmp.Or(d.facts.SiteTitle, d.facts.Site)
	}
	if r := []rune(title); len(r) > maxTitle {
		title = string(r[:maxTitle-1]) + "…"
	}
	d.add(Declared, Subject{"site", d.facts.Site}, declaredData{
		Site: d.facts.Site, Title: title, Symptom: c.Symptom, Noticed: c.Noticed, FirstSymptomAt: c.FirstSymptomAt, Drill: c.Drill,
	}, "%s declared: %s", d.who(), title)
	return nil
}

// ensure declares an incident if none is open.
func (d *draft) ensure(title string, drill bool) error {
	if d.in.Phase.Open() {
		return nil
	}
	return d.open(Declare{Title: title, Drill: drill, Noticed: "staff"})
}

func (d *draft) note(c Note) error {
	text := strings.TrimSpace(c.Text)
	if text == "" {
		return fault.New(fault.Invalid, "the note is empty").At("text").WithHint("write what you see, in a sentence")
	}
	if len(text) > 16<<10 {
		return fault.New(fault.Invalid, "the note has %d bytes; at most 16384 fit", len(text)).At("text").WithHint("cut it, or write several notes")
	}
	d.add(NoteAdded, Subject{}, struct {
		Text string `json:"text"`
	}{text}, "%s: %s", d.who(), text)
	return nil
}

func (d *draft) remind() error {
	if len(d.in.Holding()) == 0 {
		return fault.New(fault.Conflict, "nothing is held")
	}
	held := d.now.Sub(d.in.DeclaredAt).Round(time.Minute)
	d.add(TimerFired, Subject{"site", d.in.Site}, struct {
		What string `json:"what"`
	}{"failover_held"}, "Visitors have been kept away from %s for %s. Nothing changes by itself.", d.in.Site, held)
	return nil
}

// Reminder says when the clock of a held failover speaks next: after one hour,
// after four, then daily (U2).
func (in Incident) Reminder() (time.Time, bool) {
	if !in.Phase.Open() || len(in.Holding()) == 0 {
		return time.Time{}, false
	}
	switch in.Reminders {
	case 0:
		return in.DeclaredAt.Add(time.Hour), true
	case 1:
		return in.DeclaredAt.Add(4 * time.Hour), true
	}
	return in.DeclaredAt.Add(time.Duration(in.Reminders-1) * 24 * time.Hour), true
}

// Refused is the event that records a refusal in an open incident.
func (in Incident) Refused(r *fault.Refusal, a Actor, now time.Time) []Event {
	d := &draft{in: in, facts: Facts{Actor: a}, now: now, at: now}
	d.add(RuleRefused, Subject{"rule", r.Rule}, ruleData{Rule: r.Rule, Reason: r.Reason, Satisfy: r.Satisfy},
		"%s was asked to wait. %s %s", d.who(), r.Reason, r.Satisfy)
	return d.events
}

// spell is a span of time as people say it: 1h, 15m, 2s.
func spell(d time.Duration) string {
	s := d.Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}
