package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// The types of events about fixes.
const (
	FixProposed     Type = "fix.proposed"
	FixWithdrawn    Type = "fix.withdrawn"
	ApprovalGiven   Type = "approval.given"
	ApprovalRefused Type = "approval.refused"
	ApprovalTimeout Type = "approval.timed_out"
	FixApplying     Type = "fix.applying"
	FixApplied      Type = "fix.applied"
	FixRead         Type = "fix.reading"
	FixMeasured     Type = "fix.measured"
	FixInterrupted  Type = "fix.interrupted"
	FixRollingBack  Type = "fix.rolling_back"
	FixRolledBack   Type = "fix.rolled_back"
	FixAccepted     Type = "fix.accepted_as_is"
	FixAgain        Type = "fix.measured_again"
)

// FixState is where a fix stands.
type FixState string

// The states of a fix.
const (
	StateProposed    FixState = "proposed"
	StateApproved    FixState = "approved"
	StateWithdrawn   FixState = "withdrawn"
	StateApplying    FixState = "applying"
	StateMeasuring   FixState = "measuring"
	StateWorked      FixState = "worked"
	StateNoEffect    FixState = "no_effect"
	StateWorse       FixState = "worse"
	StateInterrupted FixState = "interrupted"
	StateRollingBack FixState = "rolling_back"
	StateRolledBack  FixState = "rolled_back"
	StateAccepted    FixState = "accepted_as_is"
)

// Counts and limits of fixes that are not settings.
const (
	maxFixes     = 50
	maxReadings  = 200
	worseToTell  = 3 // readings in a row in which another check fails that passed before
	freshFixes   = 2 // fixes without a newly confirmed cause, after which R11 speaks
	maxOutput    = 8 << 10
	minWithin    = 100 * time.Millisecond
	maxWithin    = 24 * time.Hour
	defaultFixIn = 5 * time.Minute
)

// Fix is one change that is meant to cure, with what it promises written down first.
type Fix struct {
	ID      string        `json:"id"`     // f1, f2 ...
	Change  string        `json:"change"` // I will change ...
	Promise Promise       `json:"promise"`
	WayBack string        `json:"way_back"`       // if not, I will ...
	Takes   string        `json:"takes"`          // how long it will take, in words
	Risk    string        `json:"risk,omitempty"` // what else it could do
	Owner   string        `json:"owner"`          // who does it
	Action  string        `json:"action,omitempty"`
	Undo    bool          `json:"undo,omitempty"` // the action has declared how it is taken back
	State   FixState      `json:"state"`
	By      Actor         `json:"by"`
	At      time.Time     `json:"at"`
	Outside bool          `json:"outside,omitempty"` // it was done before it was told
	Causes  []string      `json:"causes,omitempty"`  // that it means to cure
	Waits   time.Duration `json:"waits,omitempty"`   // how long another person is waited for

	Approvals  []Approval `json:"approvals,omitempty"`
	Objection  string     `json:"objection,omitempty"` // that stands
	ObjectedBy Actor      `json:"objected_by,omitzero"`
	Alone      bool       `json:"alone,omitempty"`
	PauseUntil time.Time  `json:"pause_until,omitzero"`

	StartedAt  time.Time         `json:"started_at,omitzero"`
	AppliedAt  time.Time         `json:"applied_at,omitzero"`
	MeasuredAt time.Time         `json:"measured_at,omitzero"`
	EndedAt    time.Time         `json:"ended_at,omitzero"` // rolled back, accepted, withdrawn
	Before     map[string]string `json:"before,omitempty"`  // verdict of each gate check just before, by check
	Readings   []Reading         `json:"readings,omitempty"`
	Streak     int               `json:"streak,omitempty"`
	WorseRun   int               `json:"worse_run,omitempty"`
	Result     string            `json:"result,omitempty"` // what came of it, in a sentence
	Output     string            `json:"output,omitempty"` // of its action
	Reason     string            `json:"reason,omitempty"` // why it was kept or withdrawn
	Again      string            `json:"again,omitempty"`  // the promise measured with everybody back: pass, fail, inconclusive
	AgainAt    time.Time         `json:"again_at,omitzero"`
	Doubted    bool              `json:"doubted,omitempty"` // a return stepped back after it
}

// Promise is the expected effect: a check at the real origin that comes to pass, and
// stays below a time where one is set.
type Promise struct {
	Check  string        `json:"check"`
	From   string        `json:"from,omitempty"` // how it is now, in words
	To     string        `json:"to,omitempty"`   // how it should be, in words
	Below  time.Duration `json:"below,omitempty"`
	Within time.Duration `json:"within"`
}

// Words are the promise as a sentence without its full stop.
func (p Promise) Words() string {
	if p.Check == "" {
		return strings.TrimSpace(p.To)
	}
	s := "the check " + p.Check + " passes"
	if p.Below > 0 {
		s += " and takes less than " + spell(p.Below)
	}
	s += " within " + spell(p.Within)
	switch p.From {
	case "":
	case "pass":
		s += " (now it passes)"
	case "fail":
		s += " (now it fails)"
	case "inconclusive":
		s += " (now nobody can tell)"
	default:
		s += " (now: " + p.From + ")"
	}
	return s
}

// kept says whether a reading is as promised.
func (p Promise) kept(r Reading) bool {
	return r.Verdict == "pass" && (p.Below == 0 || r.Took < p.Below)
}

// Reading is the promised check, asked once after the fix.
type Reading struct {
	At      time.Time     `json:"at"`
	Verdict string        `json:"verdict"`
	Took    time.Duration `json:"took"`
	Detail  string        `json:"detail,omitempty"`
	Kept    bool          `json:"kept"` // as promised
}

// Approval is another person's word on a fix.
type Approval struct {
	By Actor     `json:"by"`
	At time.Time `json:"at"`
}

// measured says whether a fix can be measured as that.
func (s FixState) measured() bool { return s == StateWorked || s == StateNoEffect || s == StateWorse }

// inFlight says whether the fix holds the lock: begun, and its end not settled.
func (f Fix) inFlight() bool {
	switch f.State {
	case StateApplying, StateMeasuring, StateNoEffect, StateWorse, StateInterrupted, StateRollingBack:
		return true
	}
	return false
}

// Done says whether the fix was ever begun.
func (f Fix) Done() bool { return !f.StartedAt.IsZero() }

// FixInFlight gives the fix that holds the lock (R10).
func (in Incident) FixInFlight() (Fix, bool) {
	for _, f := range in.Fixes {
		if f.inFlight() {
			return f, true
		}
	}
	return Fix{}, false
}

// FixPlanned gives the fix that is proposed and not begun.
func (in Incident) FixPlanned() (Fix, bool) {
	for _, f := range in.Fixes {
		if f.State == StateProposed || f.State == StateApproved {
			return f, true
		}
	}
	return Fix{}, false
}

// LastFix gives the newest fix that was begun.
func (in Incident) LastFix() (Fix, bool) {
	for i := len(in.Fixes) - 1; i >= 0; i-- {
		if in.Fixes[i].Done() {
			return in.Fixes[i], true
		}
	}
	return Fix{}, false
}

// cured gives the newest fix that did what it promised and still is in place, unless a
// later one was begun.
func (in Incident) cured() (Fix, bool) {
	f, found := in.LastFix()
	return f, found && f.State == StateWorked
}

// ProposeFix writes down one fix: the four lines, before anything is touched.
type ProposeFix struct {
	Change  string
	Promise Promise
	WayBack string
	Takes   string
	Risk    string
	Owner   string
	Action  string // a prepared act; "" is by hand
	Reason  string // passes soft rules
}

// ReportFix records a fix that was made before it was told, without blame.
type ReportFix struct {
	Change  string
	Promise Promise
	WayBack string
	Owner   string
}

// WithdrawFix takes a fix back that was not begun.
type WithdrawFix struct{ Reason string }

// ApproveFix is another person's "no strong objection".
type ApproveFix struct{}

// ObjectToFix is "stop, because".
type ObjectToFix struct{ Reason string }

// GoAlone goes on without another person, after the wait, with a reason; a pause
// follows.
type GoAlone struct{ Reason string }

// ApplyFix begins the fix: its action runs, or a person does it now.
type ApplyFix struct{ Reason string }

// FixCarriedOut says that the fix is in place, or that its action failed.
type FixCarriedOut struct {
	OK     bool
	Detail string
	Output string
}

// ReadFix is the promised check, asked once; Others are the other gate checks.
type ReadFix struct {
	Reading Reading
	Others  map[string]string // verdicts by check
}

// JudgeFix is a person's word on what a fix came to, where no check can tell or the
// person knows better.
type JudgeFix struct {
	Result FixState // worked, no_effect, worse
	Reason string
}

// MeasureFix measures an interrupted fix once more.
type MeasureFix struct{}

// TakeBackFix rolls a fix back; always free (U1).
type TakeBackFix struct{ Fix string }

// FixTakenBack says that the fix is rolled back, or that its undo failed.
type FixTakenBack struct {
	OK     bool
	Detail string
	Output string
}

// KeepFix leaves a fix in place as it is, with a reason, which frees the lock.
type KeepFix struct{ Reason string }

// ReadAgain is the promise measured again with everybody back (R17).
type ReadAgain struct{ Reading Reading }

func (ProposeFix) name() string    { return "propose a fix" }
func (ReportFix) name() string     { return "report a fix" }
func (WithdrawFix) name() string   { return "withdraw the fix" }
func (ApproveFix) name() string    { return "approve the fix" }
func (ObjectToFix) name() string   { return "object to the fix" }
func (GoAlone) name() string       { return "go on alone" }
func (ApplyFix) name() string      { return "begin the fix" }
func (FixCarriedOut) name() string { return "say that the fix is in place" }
func (ReadFix) name() string       { return "record" }
func (JudgeFix) name() string      { return "judge the fix" }
func (MeasureFix) name() string    { return "measure the fix" }
func (TakeBackFix) name() string   { return "roll the fix back" }
func (FixTakenBack) name() string  { return "say that the fix is rolled back" }
func (KeepFix) name() string       { return "keep the fix" }
func (ReadAgain) name() string     { return "record" }

func (c ProposeFix) decide(d *draft) error {
	if err := d.mayFix(); err != nil {
		return err
	}
	f, err := d.newFix(c.Change, c.Promise, c.WayBack, c.Owner)
	if err != nil {
		return err
	}
	if f.Action, f.Undo, err = d.action(c.Action); err != nil {
		return err
	}
	if f.Takes, f.Risk = strings.TrimSpace(c.Takes), strings.TrimSpace(c.Risk); tooLong(f.Takes, maxLine) || tooLong(f.Risk, maxText) {
		return fault.New(fault.Invalid, "it is too long").At("takes").WithHint("a few words are enough")
	}
	if err := d.oneAtATime(); err != nil {
		return err
	}
	rules := append(d.diagnosed(), d.promised(f)...)
	if err := d.pass(c.Reason, append(rules, d.thrash()...)...); err != nil {
		return err
	}
	if f.Waits = d.facts.Settings.Approval; d.facts.Approvers == 0 {
		f.Waits, f.Alone, f.PauseUntil = 0, true, d.now.Add(d.facts.Settings.Pause).UTC()
	}
	d.add(FixProposed, Subject{"fix", f.ID}, f, "%s proposes %s: %s Expected: %s.", d.who(), f.ID, stop(f.Change), orElse(f.Promise.Words(), "nothing that was written down"))
	d.to(Fixing, "One fix at a time.")
	return nil
}

// mayFix says whether the incident is where something may be fixed.
func (d *draft) mayFix() error {
	switch d.in.Phase {
	case Diagnose, Fixing:
		return nil
	case FailOver:
		return R6.hard("Get visitors to safety first, or say why they stay: lifeboat go-on.", "Visitors are not looked after yet.")
	}
	return fault.New(fault.Conflict, "the incident is at %s, where nothing is fixed", d.in.Phase.Words()).WithHint("go back to safety first: lifeboat go-back step-back")
}

// newFix checks the lines that both a proposal and a report have.
func (d *draft) newFix(change string, p Promise, wayBack, owner string) (Fix, error) {
	f := Fix{ID: fmt.Sprintf("f%d", len(d.in.Fixes)+1), Change: strings.TrimSpace(change), Promise: p, WayBack: strings.TrimSpace(wayBack), Owner: strings.TrimSpace(owner)}
	switch {
	case !says(f.Change):
		return f, fault.New(fault.Invalid, "the fix does not say what it changes").At("change").WithHint(`write it: "I will …"`)
	case tooLong(f.Change, maxText) || tooLong(f.WayBack, maxText) || tooLong(f.Owner, maxLine) || tooLong(p.From, maxLine) || tooLong(p.To, maxLine):
		return f, fault.New(fault.Invalid, "a line of the fix is too long").At("change").WithHint("put the rest into a note")
	case len(d.in.Fixes) >= maxFixes:
		return f, fault.New(fault.Conflict, "there were %d fixes already", maxFixes).WithHint("hand over to somebody who has slept")
	case p.Check != "" && !slices.Contains(d.facts.Checks, p.Check):
		return f, fault.New(fault.Invalid, "the site has no check %q", p.Check).At("check").WithHint("its checks are: %s", strings.Join(d.facts.Checks, ", "))
	case p.Within < 0 || p.Within > maxWithin || p.Within > 0 && p.Within < minWithin || p.Below < 0:
		return f, fault.New(fault.Invalid, "%s is no time to wait for an effect", p.Within).At("within").WithHint("between %s and %s, for example 5m", spell(minWithin), spell(maxWithin))
	}
	if f.Promise.Within == 0 {
		f.Promise.Within = defaultFixIn
	}
	if f.Owner == "" {
		f.Owner = d.facts.Actor.Name
	}
	if f.Promise.From == "" && p.Check != "" {
		f.Promise.From = d.facts.Verdicts[p.Check]
	}
	if d.in.Diagnosis != nil {
		f.Causes = d.in.Diagnosis.Causes
	}
	return f, nil
}

func (d *draft) action(name string) (string, bool, error) {
	if name == "" {
		return "", false, nil
	}
	if d.in.Drill {
		return "", false, U10.refuse("Leave the action out.", "A drill touches nothing that is real.")
	}
	for _, a := range d.facts.Actions {
		if a.Name == name {
			return name, a.Undo, nil
		}
	}
	return "", false, fault.New(fault.NotFound, "there is no action %q for this site", name).At("action").WithHint("leave it out to do it by hand; actions are in the configuration")
}

// oneAtATime is R10 for fixes.
func (d *draft) oneAtATime() error {
	if lock := d.in.Lock(); lock != "" {
		return R10.refuse("Wait until it is done; a fix that did not help is taken back, or kept with a reason.", "Another change is under way: %s.", lock)
	}
	if f, found := d.in.FixPlanned(); found {
		return R10.refuse("Begin it, or withdraw it.", "A fix is proposed already: %s, %s", f.ID, stop(cut(f.Change, 80))).With("lifeboat fix withdraw %s", f.ID)
	}
	return nil
}

// diagnosed are R6 and R7: a confirmed cause, and more than one that was considered.
func (d *draft) diagnosed() []unmet {
	var out []unmet
	if d.in.Diagnosis == nil {
		out = append(out, R6.refuse("Keep looking: confirm a possible cause.", "There is no confirmed cause yet. A quick fix now may break a second thing.").With("lifeboat cause confirm"))
	}
	decided := slices.ContainsFunc(d.in.Evidence, func(e Evidence) bool { return e.Deciding != "" })
	if len(d.in.Causes) < 2 && !decided {
		out = append(out, R7.refuse("Write down what else it might be, and rule it out.", "Only %s was considered.", count(uint64(len(d.in.Causes)), "possible cause")).With("lifeboat cause add"))
	}
	return out
}

// promised is R8: expected effect, way back, owner.
func (d *draft) promised(f Fix) []unmet {
	var missing []string
	if f.Promise.Check == "" && f.Promise.To == "" {
		missing = append(missing, "what it is expected to change, on which check")
	}
	if f.WayBack == "" && !f.Undo {
		missing = append(missing, "how it is taken back")
	}
	if f.Owner == "" {
		missing = append(missing, "who does it")
	}
	if len(missing) == 0 {
		return nil
	}
	return []unmet{R8.refuse("Write it down first.", "The fix does not say %s.", strings.Join(missing, ", nor "))}
}

// thrash is R11: a third fix without a newly confirmed cause, or two close together.
func (d *draft) thrash() []unmet {
	since := time.Time{}
	if d.in.Diagnosis != nil {
		since = d.in.Diagnosis.At
	}
	blind, last := 0, time.Time{}
	for _, f := range d.in.Fixes {
		if !f.Done() {
			continue
		}
		if f.StartedAt.After(last) {
			last = f.StartedAt
		}
		if since.IsZero() || f.StartedAt.After(since) {
			blind++
		}
	}
	const help = "Take ten minutes, change the lead, or call somebody."
	switch {
	case blind >= freshFixes:
		return []unmet{R11.refuse(help, "This would be fix number %d without a newly confirmed cause.", blind+1)}
	case !last.IsZero() && d.still(last, d.facts.Settings.FixApart):
		return []unmet{R11.refuse(help, "The last fix was begun only %s ago.", spell(d.now.Sub(last).Round(time.Second)))}
	}
	return nil
}

func (c ReportFix) decide(d *draft) error {
	switch d.in.Phase {
	case FailOver, Diagnose, Fixing:
	default:
		return fault.New(fault.Conflict, "the incident is at %s", d.in.Phase.Words()).WithHint("write a note")
	}
	if err := d.oneAtATime(); err != nil {
		return err
	}
	f, err := d.newFix(c.Change, c.Promise, c.WayBack, c.Owner)
	if err != nil {
		return err
	}
	f.Outside, f.StartedAt, f.AppliedAt = true, d.at.UTC(), d.at.UTC()
	d.add(FixProposed, Subject{"fix", f.ID}, f, "%s reports a fix made elsewhere, %s: %s Expected: %s.", d.who(), f.ID, stop(f.Change), orElse(f.Promise.Words(), "nothing that was written down"))
	d.to(Fixing, "One fix at a time.")
	return nil
}

func (d *draft) planned() (Fix, error) {
	f, found := d.in.FixPlanned()
	if !found {
		return f, fault.New(fault.Conflict, "no fix is proposed").WithHint("propose one: lifeboat fix propose")
	}
	return f, nil
}

func (c WithdrawFix) decide(d *draft) error {
	f, err := d.planned()
	if err != nil {
		return err
	}
	d.add(FixWithdrawn, Subject{"fix", f.ID}, aboutData{ID: f.ID, Reason: strings.TrimSpace(c.Reason)}, "%s withdrew %s. %s", d.who(), f.ID, stop(c.Reason))
	d.looksAgain("Back to finding out what happened.")
	return nil
}

// looksAgain goes back from the fix to the diagnosis.
func (d *draft) looksAgain(why string) {
	if d.in.Phase == Fixing {
		d.to(Diagnose, why)
	}
	d.exposed()
}

func (c ApproveFix) decide(d *draft) error {
	f, err := d.planned()
	if err != nil {
		return err
	}
	switch a := d.facts.Actor; {
	case a.Automatic():
		return R9.hard("Ask somebody to read it.", "A fix is read by a person.")
	case same(a, f.By):
		return R9.hard("Ask somebody else to read it.", "Nobody approves their own fix.")
	case f.Objection == "" && slices.ContainsFunc(f.Approvals, func(x Approval) bool { return same(a, x.By) }):
		return nil
	}
	d.add(ApprovalGiven, Subject{"fix", f.ID}, aboutData{ID: f.ID}, "%s has no strong objection to %s.", d.who(), f.ID)
	return nil
}

// same says whether two actors are one person, who may have come in by two doors: as
// far as anybody can tell, by the id or by the name.
func same(a, b Actor) bool {
	if a.Name == "" && b.Name == "" {
		return a.ID == b.ID
	}
	return a.ID == b.ID && a.ID != "" || a.Name == b.Name
}

func (c ObjectToFix) decide(d *draft) error {
	f, err := d.planned()
	if err != nil {
		return err
	}
	if !says(c.Reason) {
		return fault.New(fault.Invalid, "say what speaks against it").At("reason").WithHint("one sentence")
	}
	d.add(ApprovalRefused, Subject{"fix", f.ID}, aboutData{ID: f.ID, Reason: strings.TrimSpace(c.Reason)}, "%s objects to %s: %s", d.who(), f.ID, stop(c.Reason))
	return nil
}

func (c GoAlone) decide(d *draft) error {
	f, err := d.planned()
	switch {
	case err != nil:
		return err
	case !says(c.Reason):
		return fault.New(fault.Invalid, "say why you go on alone").At("reason").WithHint("one sentence")
	case f.Objection != "":
		return R9.hard("Talk, then withdraw the fix or let the one who objected approve it.", "Somebody objected: %s", stop(cut(f.Objection, maxLine)))
	case f.Alone:
		return nil
	case d.still(f.At, f.Waits):
		return R9.hard(fmt.Sprintf("Wait until %s, or ask somebody else.", f.At.Add(f.Waits).UTC().Format(clock)), "Another person may still answer.")
	}
	until := d.now.Add(d.facts.Settings.Pause).UTC()
	d.add(ApprovalTimeout, Subject{"fix", f.ID}, aloneData{f.ID, strings.TrimSpace(c.Reason), until}, "Nobody answered for %s. %s goes on alone, after a pause to read it once more: %s", spell(f.Waits), d.who(), stop(c.Reason))
	return nil
}

func (c ApplyFix) decide(d *draft) error {
	f, err := d.planned()
	if err != nil {
		return err
	}
	if lock := d.in.Lock(); lock != "" {
		return R10.refuse("Wait until it is done.", "Another change is under way: %s.", lock)
	}
	if err := d.mayFix(); err != nil {
		return err
	}
	rules := d.approved(f)
	if len(f.Causes) > 0 && d.in.Diagnosis == nil {
		rules = append(rules, R6.refuse("Confirm a cause, or withdraw the fix.", "The diagnosis that %s was proposed for was withdrawn.", f.ID))
	}
	if err := d.pass(c.Reason, rules...); err != nil {
		return err
	}
	how := "does it now"
	if f.Action != "" {
		how = "lets lifeboat do it (" + f.Action + ")"
	}
	d.add(FixApplying, Subject{"fix", f.ID}, beginData{f.ID, d.facts.Verdicts}, "%s begins %s and %s.", d.who(), f.ID, how)
	d.to(Fixing, "One fix at a time.")
	return nil
}

// approved is R9: another person's word, or the way of somebody who is alone.
func (d *draft) approved(f Fix) []unmet {
	switch {
	case f.Objection != "":
		return []unmet{R9.refuse("Talk, then withdraw the fix or let the one who objected approve it.", "Somebody objected: %s", stop(cut(f.Objection, maxLine)))}
	case len(f.Approvals) > 0:
		return nil
	case f.Alone && d.still(f.PauseUntil.Add(-d.facts.Settings.Pause), d.facts.Settings.Pause):
		return []unmet{R9.refuse(fmt.Sprintf("Read it once more, slowly, until %s.", f.PauseUntil.UTC().Format(clock)), "You are alone, so there is a pause before it.")}
	case f.Alone:
		return nil
	}
	return []unmet{R9.refuse(fmt.Sprintf("Ask somebody to read it; after %s without an answer you may go on alone.", spell(f.Waits)), "Nobody else has read the fix yet.")}
}

// flying gives the fix in flight in one of the states.
func (d *draft) flying(states ...FixState) (Fix, error) {
	f, found := d.in.FixInFlight()
	if !found {
		return f, fault.New(fault.Conflict, "no fix is under way").WithHint("see where things stand with: lifeboat status")
	}
	if !slices.Contains(states, f.State) {
		return f, fault.New(fault.Conflict, "%s is at %q", f.ID, strings.ReplaceAll(string(f.State), "_", " ")).WithHint("see where things stand with: lifeboat status")
	}
	return f, nil
}

func (c FixCarriedOut) decide(d *draft) error {
	f, err := d.flying(StateApplying)
	if err != nil {
		return err
	}
	c.Detail = brief(c.Detail)
	data := carriedData{ID: f.ID, OK: c.OK, Detail: c.Detail, Output: cut(c.Output, maxOutput)}
	if !c.OK {
		d.add(FixInterrupted, Subject{"fix", f.ID}, data, "%s was not carried out to its end: %s It is measured, rolled back or kept before anything else is touched.", f.ID, stop(orElse(c.Detail, "nobody says why")))
		return nil
	}
	d.add(FixApplied, Subject{"fix", f.ID}, data, "%s is in place. Now we wait to see what it did, at most %s. Hands off.", f.ID, spell(f.Promise.Within))
	return nil
}

func (c ReadFix) decide(d *draft) error {
	f, err := d.flying(StateMeasuring)
	switch {
	case err != nil:
		return err
	case f.Promise.Check == "":
		return fault.New(fault.Conflict, "%s promises nothing that a check could see", f.ID).WithHint("a person says what came of it")
	}
	r := c.Reading
	r.Detail = brief(r.Detail)
	r.Kept = f.Promise.kept(r)
	streak, worse := 0, 0
	if r.Kept {
		streak = f.Streak + 1
	}
	broken := nowFailing(f.Before, c.Others)
	if len(broken) > 0 {
		worse = f.WorseRun + 1
	}
	if len(f.Readings) < maxReadings || streak != f.Streak || worse != f.WorseRun { // the same again says nothing new
		d.add(FixRead, Subject{"fix", f.ID}, readData{f.ID, r, streak, worse}, "%s, asked: %s.", f.Promise.Check, readingWords(r))
	}
	needed := max(1, d.facts.Settings.FixPasses)
	switch {
	case worse >= worseToTell:
		d.measured(f, StateWorse, fmt.Sprintf("it made things worse: %s failed now and did not before", strings.Join(broken, ", ")))
	case streak >= needed:
		d.measured(f, StateWorked, fmt.Sprintf("%s passed %s in a row, %s after the fix", f.Promise.Check, count(uint64(streak), "time"), spell(max(time.Second, d.at.Sub(f.AppliedAt).Round(time.Second)))))
	case !d.now.Before(f.AppliedAt.Add(f.Promise.Within)):
		d.measured(f, StateNoEffect, fmt.Sprintf("%s after %s: %s", f.Promise.Check, spell(f.Promise.Within), readingWords(r)))
	}
	return nil
}

func nowFailing(before, others map[string]string) []string {
	var out []string
	for _, check := range slices.Sorted(maps.Keys(others)) {
		if before[check] == "pass" && others[check] == "fail" {
			out = append(out, check)
		}
	}
	return out
}

func readingWords(r Reading) string {
	words := map[string]string{"pass": "passes", "fail": "fails"}[r.Verdict]
	if words == "" {
		words = "gives no clear answer"
	}
	if r.Took > 0 && r.Verdict == "pass" {
		words += " in " + spell(r.Took.Round(time.Millisecond))
	}
	if r.Detail != "" && r.Verdict != "pass" {
		words += ", " + strings.TrimSuffix(r.Detail, ".")
	}
	return words
}

// measured records what a fix came to. One that did not help is offered for taking
// back first; until then it holds the lock.
func (d *draft) measured(f Fix, s FixState, why string) {
	words := map[FixState]string{StateWorked: "%s did what it promised: %s", StateNoEffect: "%s did not do what we expected: %s", StateWorse: "%s did harm: %s"}[s]
	next := ""
	if s != StateWorked {
		next = " It should be taken back."
	}
	d.add(FixMeasured, Subject{"fix", f.ID}, measuredData{f.ID, s, why}, words+"%s", f.ID, stop(why), next)
	if s == StateWorked { // no lever may be pulled any more, and none was missed while the fix was at work
		d.exposed()
	}
}

func (c JudgeFix) decide(d *draft) error {
	f, err := d.flying(StateMeasuring, StateInterrupted)
	switch {
	case err != nil:
		return err
	case !c.Result.measured():
		return fault.New(fault.Invalid, "%q is nothing that a fix comes to", c.Result).At("result").WithHint("write worked, no_effect or worse")
	case !says(c.Reason):
		return fault.New(fault.Invalid, "say what you saw").At("reason").WithHint("one sentence")
	}
	d.measured(f, c.Result, d.who()+" says: "+strings.TrimSpace(c.Reason))
	return nil
}

func (c MeasureFix) decide(d *draft) error {
	f, err := d.flying(StateInterrupted, StateNoEffect)
	if err != nil {
		return err
	}
	d.add(FixApplied, Subject{"fix", f.ID}, carriedData{ID: f.ID, OK: true}, "%s lets %s be measured once more, for at most %s.", d.who(), f.ID, spell(f.Promise.Within))
	return nil
}

func (c TakeBackFix) decide(d *draft) error {
	f, err := d.fixToTakeBack(c.Fix)
	if err != nil {
		return err
	}
	if d.in.Phase == FailBack {
		d.endReturn("a fix is rolled back")
		d.overtake()
	}
	d.add(FixRollingBack, Subject{"fix", f.ID}, aboutData{ID: f.ID}, "%s rolls %s back: %s", d.who(), f.ID, stop(orElse(f.WayBack, "by its action")))
	return nil
}

func (d *draft) fixToTakeBack(id string) (Fix, error) {
	f, found := d.in.FixInFlight()
	if !found {
		f, found = d.in.LastFix()
	}
	if id != "" {
		i := slices.IndexFunc(d.in.Fixes, func(f Fix) bool { return f.ID == id })
		if found = i >= 0; found {
			f = d.in.Fixes[i]
		}
	}
	busy, flies := d.in.FixInFlight()
	switch {
	case !found:
		return f, fault.New(fault.NotFound, "there is no fix to roll back").WithHint("see where things stand with: lifeboat status")
	case !f.Done() || f.State == StateRolledBack || f.State == StateRollingBack:
		return f, fault.New(fault.Conflict, "%s is %s", f.ID, strings.ReplaceAll(string(f.State), "_", " "))
	case flies && busy.ID != f.ID:
		return f, R10.refuse("Settle it first.", "Another change is under way: the fix %s.", busy.ID)
	case d.in.Phase == Watch || d.in.Phase == Review:
		return f, fault.New(fault.Conflict, "visitors are on the real site").WithHint("go back to safety first: lifeboat go-back step-back")
	}
	for _, p := range d.in.Pulls {
		if p.State == Undoing && d.in.Phase != FailBack {
			return f, R10.refuse("Wait until it is done.", "Another change is under way: taking back %s.", p.Lever)
		}
	}
	return f, nil
}

func (c FixTakenBack) decide(d *draft) error {
	f, err := d.flying(StateRollingBack)
	if err != nil {
		return err
	}
	c.Detail = brief(c.Detail)
	data := carriedData{ID: f.ID, OK: c.OK, Detail: c.Detail, Output: cut(c.Output, maxOutput)}
	if !c.OK {
		d.add(FixInterrupted, Subject{"fix", f.ID}, data, "%s could not be rolled back: %s It is rolled back by hand, or kept with a reason.", f.ID, stop(orElse(c.Detail, "nobody says why")))
		return nil
	}
	d.add(FixRolledBack, Subject{"fix", f.ID}, data, "%s is rolled back.", f.ID)
	d.doubtCause(f, f.ID+" was rolled back")
	d.looksAgain("Back to finding out what happened.")
	return nil
}

func (c KeepFix) decide(d *draft) error {
	f, err := d.flying(StateNoEffect, StateWorse, StateInterrupted, StateRollingBack)
	switch {
	case err != nil:
		return err
	case !says(c.Reason):
		return fault.New(fault.Invalid, "say why it stays though it did not do what it promised").At("reason").WithHint("one sentence; the timeline keeps it")
	case f.State == StateRollingBack && f.Action != "" && f.Undo:
		return R10.refuse("Wait until it has ended.", "The fix %s is being rolled back by its action.", f.ID)
	}
	d.add(FixAccepted, Subject{"fix", f.ID}, aboutData{ID: f.ID, Reason: strings.TrimSpace(c.Reason)}, "%s keeps %s as it is: %s", d.who(), f.ID, stop(c.Reason))
	if f.State != StateInterrupted {
		d.doubtCause(f, f.ID+" did not do what it promised")
	}
	d.looksAgain("Back to finding out what happened.")
	return nil
}

// doubtCause opens the diagnosis again that a fix was made for; a newer one stays.
func (d *draft) doubtCause(f Fix, why string) {
	if g := d.in.Diagnosis; g != nil && !g.At.After(f.At) {
		d.withdraw(why)
	}
}

func (c ReadAgain) decide(d *draft) error {
	f, found := d.in.cured()
	if d.in.Phase != Watch || !found {
		return fault.New(fault.Conflict, "no promise is measured again now")
	}
	r := c.Reading
	r.Detail = brief(r.Detail)
	r.Kept = f.Promise.kept(r)
	verdict := r.Verdict
	if verdict == "pass" && !r.Kept {
		verdict = "fail"
	}
	if f.Again == verdict {
		return nil
	}
	d.add(FixAgain, Subject{"fix", f.ID}, againData{f.ID, verdict, r}, "With everybody back, %s %s.", f.Promise.Check, readingWords(r))
	return nil
}

// interruptFix marks the fix in flight (U11).
func (d *draft) interruptFix() {
	f, found := d.in.FixInFlight()
	if !found || f.State != StateApplying && f.State != StateMeasuring {
		return
	}
	d.add(FixInterrupted, Subject{"fix", f.ID}, carriedData{ID: f.ID, Detail: "a lever was pulled"}, "%s is interrupted: a lever was pulled. It is measured, rolled back or kept before anything else is touched.", f.ID)
}

type (
	beginData struct {
		ID     string            `json:"id"`
		Before map[string]string `json:"before,omitempty"`
	}
	aloneData struct {
		ID     string    `json:"id"`
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"`
	}
	carriedData struct {
		ID     string `json:"id"`
		OK     bool   `json:"ok,omitempty"`
		Detail string `json:"detail,omitempty"`
		Output string `json:"output,omitempty"`
	}
	readData struct {
		ID       string  `json:"id"`
		Reading  Reading `json:"reading"`
		Streak   int     `json:"streak"`
		WorseRun int     `json:"worse_run,omitempty"`
	}
	measuredData struct {
		ID     string   `json:"id"`
		Result FixState `json:"result"`
		Why    string   `json:"why"`
	}
	againData struct {
		ID      string  `json:"id"`
		Verdict string  `json:"verdict"`
		Reading Reading `json:"reading"`
	}
)

var fixFolds = folder{
	FixProposed: with(func(in *Incident, e Event, f Fix) {
		if f.ID == "" {
			return
		}
		f.By, f.At, f.State, in.NewsAt = e.Actor, e.At, StateProposed, e.At
		if f.Outside {
			f.State = StateMeasuring
		}
		in.Fixes = append(in.Fixes, f)
	}),
	FixWithdrawn: foldFix(func(f *Fix, e Event, a aboutData) { f.State, f.Reason, f.EndedAt = StateWithdrawn, a.Reason, e.At }),
	ApprovalGiven: foldFix(func(f *Fix, e Event, _ aboutData) {
		f.Approvals = append(slices.Clip(f.Approvals), Approval{e.Actor, e.At})
		if f.Objection != "" && !same(e.Actor, f.ObjectedBy) { // only who objected takes it back
			return
		}
		f.State, f.Objection, f.ObjectedBy = StateApproved, "", Actor{}
	}),
	ApprovalRefused: foldFix(func(f *Fix, e Event, a aboutData) {
		f.State, f.Objection, f.ObjectedBy = StateProposed, a.Reason, e.Actor
	}),
	ApprovalTimeout: foldFix(func(f *Fix, _ Event, a aloneData) { f.Alone, f.PauseUntil = true, a.Until }),
	FixApplying:     foldFix(func(f *Fix, e Event, b beginData) { f.State, f.StartedAt, f.Before = StateApplying, e.At, b.Before }),
	FixApplied: foldFix(func(f *Fix, e Event, c carriedData) {
		f.State, f.AppliedAt, f.Streak, f.WorseRun = StateMeasuring, e.At, 0, 0
		f.Output = orElse(c.Output, f.Output)
	}),
	FixRead: foldFix(func(f *Fix, _ Event, r readData) {
		f.Readings, f.Streak, f.WorseRun = append(slices.Clip(f.Readings), r.Reading), r.Streak, r.WorseRun
		f.Readings = f.Readings[max(0, len(f.Readings)-maxReadings):]
	}),
	FixMeasured: foldFix(func(f *Fix, e Event, m measuredData) {
		if m.Result.measured() { // a result that this version does not know frees no lock
			f.State, f.MeasuredAt, f.Result = m.Result, e.At, m.Why
		}
	}),
	FixInterrupted: foldFix(func(f *Fix, _ Event, c carriedData) {
		f.State, f.Result = StateInterrupted, orElse(c.Detail, f.Result)
		f.Output = orElse(c.Output, f.Output)
	}),
	FixRollingBack: foldFix(func(f *Fix, _ Event, _ aboutData) { f.State = StateRollingBack }),
	FixRolledBack: foldFix(func(f *Fix, e Event, c carriedData) {
		f.State, f.EndedAt, f.Output = StateRolledBack, e.At, orElse(c.Output, f.Output)
	}),
	FixAccepted: foldFix(func(f *Fix, e Event, a aboutData) { f.State, f.Reason, f.EndedAt = StateAccepted, a.Reason, e.At }),
	FixAgain:    foldFix(func(f *Fix, e Event, a againData) { f.Again, f.AgainAt = a.Verdict, e.At }),
}

// fixed is what all data about one fix can tell.
type fixed interface{ about() string }

func (a aboutData) about() string    { return a.ID }
func (a aloneData) about() string    { return a.ID }
func (b beginData) about() string    { return b.ID }
func (c carriedData) about() string  { return c.ID }
func (r readData) about() string     { return r.ID }
func (m measuredData) about() string { return m.ID }
func (a againData) about() string    { return a.ID }

func foldFix[T fixed](f func(*Fix, Event, T)) func(*Incident, Event) {
	return with(func(in *Incident, e Event, d T) {
		change(in.Fixes, d.about(), Fix.id, func(x *Fix) {
			in.NewsAt = e.At
			f(x, e, d)
		})
	})
}

func (f Fix) id() string { return f.ID }
