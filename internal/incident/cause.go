package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// The types of events about possible causes.
const (
	CauseOpened        Type = "hypothesis.opened"
	CauseWeighed       Type = "hypothesis.weighed"
	CauseTested        Type = "hypothesis.tested"
	CauseRuledOut      Type = "hypothesis.ruled_out"
	CauseParked        Type = "hypothesis.parked"
	CauseReopened      Type = "hypothesis.reopened"
	CauseConfirmed     Type = "hypothesis.confirmed"
	DiagnosisConfirmed Type = "diagnosis.confirmed"
	DiagnosisWithdrawn Type = "diagnosis.withdrawn"
)

// CauseState is where a possible cause stands.
type CauseState string

// The states of a possible cause.
const (
	CauseOpen    CauseState = "open"
	CauseTesting CauseState = "testing"
	CauseSure    CauseState = "confirmed"
	CauseOut     CauseState = "ruled_out"
	CauseAside   CauseState = "parked"
)

// How a test of a prediction ended.
const (
	TestHeld    = "held"
	TestFailed  = "failed"
	TestUnclear = "unclear"
)

// How sure a diagnosis is.
const (
	Proved  = "proved"
	Likely  = "likely"
	Unknown = "unknown_but_contained"
)

// How evidence speaks to a possible cause.
const (
	For     = "for"
	Against = "against"
	Neutral = "neutral"
)

const maxCauses = 50

// Cause is a claimed cause (the field's word: hypothesis), said so that it could be
// proved wrong.
type Cause struct {
	ID         string     `json:"id"` // c1, c2 ...
	Statement  string     `json:"statement"`
	Prediction string     `json:"prediction,omitempty"` // what we should see if it is so
	State      CauseState `json:"state"`
	By         Actor      `json:"by"`
	At         time.Time  `json:"at"`
	Weights    []Weight   `json:"weights,omitempty"`
	Tests      []Test     `json:"tests,omitempty"`
	Reason     string     `json:"reason,omitempty"` // why it is ruled out or parked
}

// Weight says how a piece of evidence or a change speaks to a possible cause.
type Weight struct {
	Evidence string    `json:"evidence"` // id of evidence or of a change
	Stance   string    `json:"stance"`   // for, against, neutral
	Note     string    `json:"note,omitempty"`
	By       Actor     `json:"by"`
	At       time.Time `json:"at"`
}

// Test is a prediction that was looked at.
type Test struct {
	Prediction string    `json:"prediction"`
	Outcome    string    `json:"outcome"` // held, failed, unclear
	Saw        string    `json:"saw,omitempty"`
	By         Actor     `json:"by"`
	At         time.Time `json:"at"`
}

// Diagnosis says what broke and why: one or more causes, and what contributed.
type Diagnosis struct {
	Causes     []string  `json:"causes,omitempty"`
	Factors    []string  `json:"factors,omitempty"`
	Confidence string    `json:"confidence"` // proved, likely, unknown_but_contained
	Statement  string    `json:"statement"`
	By         Actor     `json:"by"`
	At         time.Time `json:"at"`
}

// OpenCause says what it might be, and what should be seen if it is so.
type OpenCause struct{ Statement, Prediction string }

// WeighCause links evidence, or a change, to a possible cause.
type WeighCause struct{ Cause, Evidence, Stance, Note string }

// TestCause records how a prediction came out.
type TestCause struct{ Cause, Prediction, Outcome, Saw string }

// RuleOut strikes a possible cause out, saying why.
type RuleOut struct{ Cause, Reason string }

// ParkCause leaves a possible cause aside, saying why.
type ParkCause struct{ Cause, Reason string }

// ReopenCause takes a possible cause up again.
type ReopenCause struct{ Cause, Reason string }

// ConfirmCause says that this is the cause; Also names others that contributed.
type ConfirmCause struct {
	Cause      string
	Also       []string
	Factors    []string
	Confidence string // proved (default) or likely
	Reason     string // passes R6
}

// WithdrawDiagnosis takes the confirmation back.
type WithdrawDiagnosis struct{ Reason string }

func (OpenCause) name() string         { return "add a possible cause" }
func (WeighCause) name() string        { return "weigh evidence" }
func (TestCause) name() string         { return "test a possible cause" }
func (RuleOut) name() string           { return "rule a possible cause out" }
func (ParkCause) name() string         { return "park a possible cause" }
func (ReopenCause) name() string       { return "reopen a possible cause" }
func (ConfirmCause) name() string      { return "confirm a cause" }
func (WithdrawDiagnosis) name() string { return "withdraw the diagnosis" }

// Cause gives the possible cause with an id.
func (in Incident) Cause(id string) (Cause, bool) {
	i := slices.IndexFunc(in.Causes, func(c Cause) bool { return c.ID == id })
	if i < 0 {
		return Cause{}, false
	}
	return in.Causes[i], true
}

// Undecided says whether the cause is neither confirmed, ruled out nor parked.
func (c Cause) Undecided() bool { return c.State == CauseOpen || c.State == CauseTesting }

// Has says whether a weight of the stance speaks to it.
func (c Cause) Has(stance string) bool {
	return slices.ContainsFunc(c.Weights, func(w Weight) bool { return w.Stance == stance })
}

// held says whether a prediction of it was tested and came true.
func (c Cause) held() bool {
	return slices.ContainsFunc(c.Tests, func(t Test) bool { return t.Outcome == TestHeld })
}

// cause gives a cause of an incident that still may be talked about.
func (d *draft) cause(id string) (Cause, error) {
	c, known := d.in.Cause(id)
	if !known {
		return c, fault.New(fault.NotFound, "there is no possible cause %q", id).At("cause").WithHint("see them with: lifeboat cause list")
	}
	return c, nil
}

func (c OpenCause) decide(d *draft) error {
	statement, prediction := strings.TrimSpace(c.Statement), strings.TrimSpace(c.Prediction)
	switch {
	case !says(statement):
		return fault.New(fault.Invalid, "the possible cause is empty").At("statement").WithHint(`say it so that it could be proved wrong: "If it is …, then we should see …"`)
	case tooLong(statement, maxText) || tooLong(prediction, maxText):
		return fault.New(fault.Invalid, "it has more than %d characters", maxText).At("statement").WithHint("put the rest into a note")
	case len(d.in.Causes) >= maxCauses:
		return fault.New(fault.Conflict, "there are %d possible causes already", maxCauses).WithHint("rule some out first")
	}
	x := Cause{ID: fmt.Sprintf("c%d", len(d.in.Causes)+1), Statement: statement, Prediction: prediction}
	d.add(CauseOpened, Subject{"cause", x.ID}, x, "%s: it might be %s: %s", d.who(), x.ID, stop(statement))
	return nil
}

func (c WeighCause) decide(d *draft) error {
	x, err := d.cause(c.Cause)
	if err != nil {
		return err
	}
	if c.Stance != For && c.Stance != Against && c.Stance != Neutral {
		return fault.New(fault.Invalid, "%q is no way for evidence to speak", c.Stance).At("stance").WithHint("write for, against or neutral")
	}
	what, known := d.in.shown(c.Evidence)
	if !known {
		return fault.New(fault.NotFound, "there is no evidence %q", c.Evidence).At("evidence").WithHint("see it with: lifeboat evidence list, and changes with: lifeboat changes")
	}
	d.add(CauseWeighed, Subject{"cause", x.ID}, weighData{x.ID, Weight{Evidence: c.Evidence, Stance: c.Stance, Note: strings.TrimSpace(c.Note)}},
		"%s: %s speaks %s %s: %s", d.who(), c.Evidence, stanceWords(c.Stance), x.ID, stop(what))
	return nil
}

func stanceWords(s string) string {
	if s == Neutral {
		return "neither for nor against"
	}
	return s
}

// shown is a piece of evidence or a change in words.
func (in Incident) shown(id string) (string, bool) {
	for _, e := range in.Evidence {
		if e.ID == id {
			return e.Title, true
		}
	}
	for _, c := range in.Changes {
		if c.ID == id {
			return c.What, true
		}
	}
	return "", false
}

func (c TestCause) decide(d *draft) error {
	x, err := d.cause(c.Cause)
	if err != nil {
		return err
	}
	prediction := strings.TrimSpace(c.Prediction)
	if prediction == "" {
		prediction = x.Prediction
	}
	switch {
	case !says(prediction):
		return fault.New(fault.Invalid, "%s predicts nothing yet", x.ID).At("prediction").WithHint("say what we should see if it is so")
	case c.Outcome != TestHeld && c.Outcome != TestFailed && c.Outcome != TestUnclear:
		return fault.New(fault.Invalid, "%q is no outcome of a test", c.Outcome).At("outcome").WithHint("write held, failed or unclear")
	case !x.Undecided():
		return fault.New(fault.Conflict, "%s is %s", x.ID, stateWords(x.State)).WithHint("reopen it first")
	}
	t := Test{Prediction: prediction, Outcome: c.Outcome, Saw: strings.TrimSpace(c.Saw)}
	words := map[string]string{TestHeld: "it is as predicted", TestFailed: "it is not as predicted", TestUnclear: "we can't tell"}[c.Outcome]
	saw := ""
	if t.Saw != "" {
		saw = " " + stop(t.Saw)
	}
	d.add(CauseTested, Subject{"cause", x.ID}, testData{x.ID, t}, "%s tested %s (%s): %s.%s", d.who(), x.ID, strings.TrimSuffix(prediction, "."), words, saw)
	return nil
}

func stateWords(s CauseState) string {
	return map[CauseState]string{CauseSure: "confirmed", CauseOut: "ruled out", CauseAside: "parked", CauseOpen: "open", CauseTesting: "being tested"}[s]
}

func (c RuleOut) decide(d *draft) error {
	return d.setAside(c.Cause, c.Reason, CauseRuledOut, CauseOut, "ruled %s out")
}

func (c ParkCause) decide(d *draft) error {
	return d.setAside(c.Cause, c.Reason, CauseParked, CauseAside, "parked %s")
}

func (d *draft) setAside(id, reason string, t Type, to CauseState, verb string) error {
	x, err := d.cause(id)
	switch {
	case err != nil:
		return err
	case !says(reason):
		return fault.New(fault.Invalid, "say why").At("reason").WithHint("one sentence: what shows it")
	case x.State == to:
		return nil
	case x.State == CauseSure:
		return fault.New(fault.Conflict, "%s is confirmed", x.ID).WithHint("withdraw the diagnosis first")
	}
	d.add(t, Subject{"cause", id}, aboutData{ID: id, Reason: strings.TrimSpace(reason)}, "%s "+verb+" (%s): %s", d.who(), id, cut(strings.TrimSuffix(x.Statement, "."), 80), stop(reason))
	return nil
}

func (c ReopenCause) decide(d *draft) error {
	x, err := d.cause(c.Cause)
	if err != nil {
		return err
	}
	if x.Undecided() {
		return nil
	}
	if x.State == CauseSure {
		return fault.New(fault.Conflict, "%s is confirmed", x.ID).WithHint("withdraw the diagnosis first")
	}
	d.add(CauseReopened, Subject{"cause", x.ID}, aboutData{ID: x.ID, Reason: c.Reason}, "%s took %s up again. %s", d.who(), x.ID, stop(c.Reason))
	return nil
}

func (c ConfirmCause) decide(d *draft) error {
	x, err := d.cause(c.Cause)
	if err != nil {
		return err
	}
	if d.in.Phase != FailOver && d.in.Phase != Diagnose && d.in.Phase != Fixing {
		return fault.New(fault.Conflict, "the incident is at %s; causes are confirmed before a fix", d.in.Phase.Words()).WithHint("write a note, or go back to safety first")
	}
	if lock := d.in.Lock(); lock != "" && d.in.Phase == Fixing {
		return R10.refuse("Wait until it is done.", "Another change is under way: %s.", lock)
	}
	confidence := c.Confidence
	if confidence == "" {
		confidence = Proved
	}
	if confidence != Proved && confidence != Likely {
		return fault.New(fault.Invalid, "%q says nothing about how sure it is", confidence).At("confidence").WithHint("write proved or likely")
	}
	causes := []string{x.ID}
	statement := []string{strings.TrimSuffix(x.Statement, ".")}
	for _, id := range c.Also {
		also, err := d.cause(id)
		if err != nil {
			return err
		}
		if !slices.Contains(causes, id) {
			causes, statement = append(causes, id), append(statement, strings.TrimSuffix(also.Statement, "."))
		}
	}
	if err := d.pass(c.Reason, d.doubts(x, causes)...); err != nil {
		return err
	}
	for _, id := range causes {
		d.add(CauseConfirmed, Subject{"cause", id}, aboutData{ID: id}, "%s confirmed %s.", d.who(), id)
	}
	g := Diagnosis{Causes: causes, Factors: lines(c.Factors), Confidence: confidence, Statement: cut(strings.Join(statement, "; "), maxText)}
	d.add(DiagnosisConfirmed, Subject{"cause", x.ID}, g, "So this is it: %s. It is %s.", g.Statement, confidence)
	return nil
}

// doubts are what confirmation needs and does not have (R6): something that speaks
// for it, a prediction that came true, and no other possible cause left open.
func (d *draft) doubts(x Cause, also []string) []unmet {
	var out []unmet
	if !x.Has(For) {
		out = append(out, R6.refuse("Link a piece of evidence that speaks for it.", "Nothing that was seen speaks for %s yet.", x.ID).With("lifeboat cause weigh %s --for EVIDENCE", x.ID))
	}
	if !x.held() {
		out = append(out, R6.refuse("Test what it predicts and write down what came of it.", "No prediction of %s was tested and came true.", x.ID).With("lifeboat cause test %s", x.ID))
	}
	for _, other := range d.in.Causes {
		if other.Undecided() && !slices.Contains(also, other.ID) {
			out = append(out, R6.refuse("Rule it out, park it, or name it as also contributing.", "Another possible cause is still open: %s, %s", other.ID, stop(cut(other.Statement, 80))).With("lifeboat cause rule-out %s", other.ID))
		}
	}
	return out
}

func (c WithdrawDiagnosis) decide(d *draft) error {
	switch {
	case d.in.Diagnosis == nil:
		return fault.New(fault.Conflict, "no cause is confirmed")
	case !says(c.Reason):
		return fault.New(fault.Invalid, "say why it is not the cause after all").At("reason").WithHint("one sentence: what was seen")
	}
	d.withdraw(c.Reason)
	return nil
}

func (d *draft) withdraw(reason string) {
	if d.in.Diagnosis != nil {
		d.add(DiagnosisWithdrawn, Subject{"cause", ""}, aboutData{Reason: reason}, "The diagnosis is open again: %s", stop(reason))
	}
}

type (
	weighData struct {
		Cause  string `json:"cause"`
		Weight Weight `json:"weight"`
	}
	testData struct {
		Cause string `json:"cause"`
		Test  Test   `json:"test"`
	}
)

var causeFolds = folder{
	CauseOpened: with(func(in *Incident, e Event, c Cause) {
		if c.ID != "" {
			c.State, c.By, c.At = CauseOpen, e.Actor, e.At
			in.Causes, in.NewsAt = append(in.Causes, c), e.At
		}
	}),
	CauseWeighed: with(func(in *Incident, e Event, w weighData) {
		w.Weight.By, w.Weight.At = e.Actor, e.At
		change(in.Causes, w.Cause, Cause.id, func(c *Cause) {
			in.NewsAt = e.At
			kept := slices.DeleteFunc(slices.Clone(c.Weights), func(x Weight) bool { return x.Evidence == w.Weight.Evidence })
			c.Weights = append(kept, w.Weight) // the newest word on a piece of evidence counts
		})
	}),
	CauseTested: with(func(in *Incident, e Event, t testData) {
		t.Test.By, t.Test.At = e.Actor, e.At
		change(in.Causes, t.Cause, Cause.id, func(c *Cause) {
			c.Tests, c.State, in.NewsAt = append(slices.Clip(c.Tests), t.Test), CauseTesting, e.At
		})
	}),
	CauseRuledOut: foldCause(CauseOut),
	CauseParked:   foldCause(CauseAside),
	CauseReopened: foldCause(CauseTesting),
	CauseConfirmed: with(func(in *Incident, e Event, a aboutData) {
		change(in.Causes, a.ID, Cause.id, func(c *Cause) { c.State, in.NewsAt = CauseSure, e.At })
	}),
	DiagnosisConfirmed: with(func(in *Incident, e Event, g Diagnosis) {
		if len(g.Causes) > 0 {
			g.By, g.At = e.Actor, e.At
			in.Diagnosis, in.NewsAt = &g, e.At
		}
	}),
	DiagnosisWithdrawn: with(func(in *Incident, e Event, a aboutData) {
		if a.Reason == "" {
			return
		}
		in.Diagnosis, in.NewsAt = nil, e.At
		for i := range in.Causes {
			if in.Causes[i].State == CauseSure {
				in.Causes[i].State = CauseTesting
			}
		}
	}),
}

func foldCause(to CauseState) func(*Incident, Event) {
	return with(func(in *Incident, e Event, a aboutData) {
		change(in.Causes, a.ID, Cause.id, func(c *Cause) { c.State, c.Reason, in.NewsAt = to, a.Reason, e.At })
	})
}

func (c Cause) id() string { return c.ID }
