package incident

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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
		return nil, withNext(err)
	}
	if d.err != nil {
		return nil, fault.New(fault.Internal, "write down what was decided").Because(d.err)
	}
	for _, e := range d.events {
		if len(e.Data) > MaxData {
			return nil, fault.New(fault.Invalid, "%d bytes are too much to be written down at once; at most %d fit", len(e.Data), MaxData).WithHint("cut it, or add it as a file")
		}
	}
	return d.events, nil
}

// withNext gives an error that names no next step the one that always helps.
func withNext(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Conflict && f.Hint == "" {
		return f.WithHint("see where things stand with: lifeboat status")
	}
	return err
}

func (d *draft) decide(c Command) error {
	if err := permitted(c, d.facts.Actor); err != nil {
		return err
	}
	if err := overlong(c); err != nil {
		return err
	}
	if !d.in.Phase.Open() {
		switch {
		case d.in.Phase != None && afterwards(c) && d.facts.Ended:
			return c.decide(d)
		case d.facts.Ended: // it declares nothing in a timeline that has its end
			return fault.New(fault.Conflict, "can't %s: the incident has ended", c.name()).WithHint("declare a new one with: lifeboat declare SITE")
		case !opens(c):
			return fault.New(fault.NotFound, "can't %s: there is no open incident", c.name()).WithHint("declare one with: lifeboat declare SITE")
		}
		d.in = Incident{} // an ended one says nothing about the next
	}
	return c.decide(d)
}

// overlong refuses a text that people typed and that is longer than its event should
// hold. What a machine says is cut instead, and so is the reason of a pull: nothing
// stands in the way to safety. A Text has a limit of its own in its command.
func overlong(c Command) error {
	if _, pulls := c.(PullLever); pulls || permits(c) == "" {
		return nil
	}
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).Kind() != reflect.String || name == "Text" || name == "Detail" || name == "Output" || !tooLong(v.Field(i).String(), maxText) {
			continue
		}
		return fault.New(fault.Invalid, "it has more than %d characters", maxText).At(strings.ToLower(name)).WithHint("put the rest into a note")
	}
	return nil
}

// opens says whether the command may declare an incident by itself.
func opens(c Command) bool {
	switch c.(type) {
	case Declare, PullLever, Adopt, Propose, GoBack:
		return true
	}
	return false
}

// afterwards says whether the command may be given when the incident has ended: what
// was owed is done, what was written is corrected.
func afterwards(c Command) bool {
	switch c.(type) {
	case AddFollowUp, ChangeFollowUp, EndFollowUp, Correct, LinkIncident, EditSection, Answer, JudgeFinding, Finalise, Redact, Delivered:
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
		Visibility: "staff", Story: "auto", Text: cutBytes(strings.TrimSpace(fmt.Sprintf(format, args...)), maxTold), Data: raw,
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
	if len(d.events) == 0 {
		e.Key = d.facts.Key
	}
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
	data := declaredData{
		Site: d.facts.Site, Title: title, Symptom: c.Symptom, Noticed: c.Noticed, FirstSymptomAt: c.FirstSymptomAt, Drill: c.Drill, RecurrenceOf: c.RecurrenceOf,
	}
	if !c.Drill {
		data.Carried = d.facts.Parked
	}
	d.add(Declared, Subject{"site", d.facts.Site}, data, "%s declared: %s", d.who(), title)
	return nil
}

// ensure declares an incident if none is open.
func (d *draft) ensure(title string, drill bool) error {
	if d.in.Phase.Open() {
		return nil
	}
	noticed := "staff"
	if d.facts.Actor.Automatic() {
		noticed = "monitor"
	}
	return d.open(Declare{Title: title, Drill: drill, Noticed: noticed})
}

func (d *draft) note(c Note) error {
	text := strings.TrimSpace(c.Text)
	if text == "" {
		return fault.New(fault.Invalid, "the note is empty").At("text").WithHint("write what you see, in a sentence")
	}
	if len(text) > 16<<10 {
		return fault.New(fault.Invalid, "the note has %d bytes; at most 16384 fit", len(text)).At("text").WithHint("cut it, or write several notes")
	}
	d.add(NoteAdded, Subject{}, noteData{text}, "%s: %s", d.who(), text)
	return nil
}

func (d *draft) remind() error {
	if len(d.in.Loose()) == 0 {
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
	if !in.Phase.Open() || len(in.Loose()) == 0 {
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
	d.add(RuleRefused, Subject{"rule", r.Rule}, ruleData{Rule: r.Rule, Reason: cut(r.Reason, maxText), Satisfy: cut(r.Satisfy, maxText)},
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

// still says whether a wait is not over. A clock that was set back holds nobody up.
func (d *draft) still(since time.Time, wait time.Duration) bool {
	waited := d.now.Sub(since)
	return waited >= 0 && waited < wait
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// clock is how a time of day is told in a sentence.
const clock = "15:04:05 UTC"

// stop ends a sentence that a person typed; "" stays "".
func stop(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.ContainsRune(".!?…", []rune(s)[utf8.RuneCountInString(s)-1]) {
		return s
	}
	return s + "."
}

func tooLong(s string, most int) bool { return utf8.RuneCountInString(s) > most }

// cut gives at most so many characters of a text.
func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}

// brief is what a machine says of something: too long is cut, never refused, so that
// what happened is written down in any case.
func brief(s string) string { return cut(s, maxBrief) }

// cutBytes gives at most so many bytes of a text.
func cutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	s = s[:most-len("…")]
	for range utf8.UTFMax { // of the last character nothing is left rather than a part
		if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s + "…"
}

// rest is a whole text where cut leaves something out, else "".
func rest(s string, most int) string {
	if tooLong(s, most) {
		return s
	}
	return ""
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// count is a number with its word: 1 request, 3 requests.
func count(n uint64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// lines are the texts that say something, trimmed, at most 50.
func lines(in []string) []string {
	var out []string
	for _, s := range in {
		if s = strings.TrimSpace(s); s != "" && len(out) < 50 {
			out = append(out, cut(s, maxLine))
		}
	}
	return out
}
