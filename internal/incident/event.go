package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Type names what happened.
type Type string

// The types of events of this version. A newer version's are kept and skipped.
const (
	Declared      Type = "incident.declared"
	PhaseChanged  Type = "incident.phase_changed"
	CancelledType Type = "incident.cancelled"
	ClosedType    Type = "incident.closed"

	LeverProposed Type = "lever.proposed"
	LeverApplying Type = "lever.applying"
	LeverActive   Type = "lever.active"
	LeverSeen     Type = "lever.effect_observed"
	LeverFailed   Type = "lever.failed"
	LeverUnknown  Type = "lever.unknown"
	LeverUndoing  Type = "lever.undo_applying"
	LeverUndone   Type = "lever.undo_done"
	LeverDrift    Type = "lever.drift"
	LeverParked   Type = "lever.parked"
	LeverUnparked Type = "lever.unparked"
	LeverSettled  Type = "lever.made_permanent"
	LeverGivenUp  Type = "lever.given_up"

	LeverSharing     Type = "lever.share_applying"
	LeverShared      Type = "lever.share_applied"
	LeverShareFailed Type = "lever.share_failed"

	CheckVerdict Type = "check.verdict"
	DecisionMade Type = "decision.made"

	ReturnPlanned   Type = "failback.planned"
	StageStarted    Type = "failback.stage_started"
	StagePassed     Type = "failback.stage_passed"
	ReturnHeld      Type = "failback.held"
	SteppedBack     Type = "failback.stepped_back"
	ReturnCompleted Type = "failback.completed"

	WatchStarted Type = "watch.started"
	WatchRelapse Type = "watch.relapse"
	WatchPassed  Type = "watch.passed"

	RuleRefused    Type = "rule.refused"
	RuleOverridden Type = "rule.overridden"
	AutoHeldType   Type = "rule.auto_held"
	NoteAdded      Type = "note.added"
	TimerFired     Type = "timer.fired"

	DrillStarted Type = "drill.started"
	DrillScored  Type = "drill.scored"
)

// Where an event's time comes from.
const (
	FromServer   = "server"
	FromProbe    = "probe"
	FromRecalled = "recalled" // taken over from a local order
)

// Limits on an event.
const (
	MaxData  = 64 << 10 // bytes of Data
	maxTold  = 17 << 10 // bytes of Text: a whole note and who wrote it
	maxBrief = 1000     // characters of what a machine says
	maxSeen  = 24 << 10 // bytes of what the witnesses saw

	maxParked = 40 << 10 // bytes of the levers that a declaration carries

	schema = 1
)

// Event is one thing that happened in an incident. Events are only ever added.
// Each holds the hash of the one before it, so that a change in the middle shows.
type Event struct {
	ID         string          `json:"id"` // ULID
	Incident   string          `json:"incident"`
	Seq        uint64          `json:"seq"` // gapless, from 1
	Type       Type            `json:"type"`
	Schema     int             `json:"schema"`
	At         time.Time       `json:"at"` // when it happened
	RecordedAt time.Time       `json:"recorded_at"`
	AtSource   string          `json:"at_source"`
	Actor      Actor           `json:"actor"`
	Subject    Subject         `json:"subject,omitzero"`
	CausedBy   string          `json:"caused_by,omitempty"`
	Visibility string          `json:"visibility"` // public, staff, restricted
	Story      string          `json:"story"`      // auto, pinned, hidden
	Text       string          `json:"text"`       // one sentence for the timeline
	Data       json.RawMessage `json:"data,omitempty"`
	Corrects   string          `json:"corrects,omitempty"`
	Key        string          `json:"key,omitempty"` // idempotency key of the write, on its first event
	PrevHash   string          `json:"prev_hash"`
	Hash       string          `json:"hash"`
}

// Subject is what an event is about.
type Subject struct {
	Type string `json:"type,omitempty"` // site, lever, pull, check, rule
	ID   string `json:"id,omitempty"`
}

// Data of the events. Fields that Apply reads are here; what is for people is in
// Event.Text.
type (
	declaredData struct {
		Site           string    `json:"site"`
		Title          string    `json:"title"`
		Symptom        string    `json:"symptom,omitempty"`
		Noticed        string    `json:"how_noticed,omitempty"`
		FirstSymptomAt time.Time `json:"first_symptom_at,omitzero"`
		Drill          bool      `json:"drill,omitempty"`
		RecurrenceOf   string    `json:"recurrence_of,omitempty"`
		Carried        []Pull    `json:"carried,omitempty"` // levers that an earlier incident left parked
	}
	phaseData struct {
		From Phase `json:"from"`
		To   Phase `json:"to"`
	}
	pullData struct {
		Pull  Pull        `json:"pull"`
		Facts *LeverFacts `json:"facts,omitempty"` // what the rules looked at
	}
	// OutcomeData says how an act ended, as seen from outside.
	OutcomeData struct {
		Pull   string          `json:"pull"`
		Detail string          `json:"detail,omitempty"`
		Seen   json.RawMessage `json:"seen,omitempty"` // who saw what
		Back   bool            `json:"back,omitempty"` // of a drift: the world is as before the pull
		TookMS int64           `json:"took_ms,omitempty"`
	}
	// VerdictData is one sanity result.
	VerdictData struct {
		Check   string `json:"check"`
		Verdict string `json:"verdict"`
		Streak  int    `json:"streak"`
		Failing int    `json:"failing,omitempty"` // fails in a row
		Needed  int    `json:"needed"`
		Detail  string `json:"detail,omitempty"`
	}
	returnData struct {
		Because string `json:"because"`
		Needed  int    `json:"needed"`
		Stages  []int  `json:"stages,omitempty"` // per cent, before everybody
	}
	stagePassedData struct {
		Share int      `json:"share,omitempty"` // per cent; 0 is everybody
		Undo  []string `json:"undo"`
	}
	ruleData struct {
		Rule    string `json:"rule"`
		Reason  string `json:"reason"`
		Satisfy string `json:"satisfy,omitempty"`
	}
	reasonData struct {
		Reason string `json:"reason,omitempty"`
		Lever  string `json:"lever,omitempty"`
	}
	parkData struct {
		Pull    string  `json:"pull"`
		Parking Parking `json:"parking,omitzero"`
	}
	watchData struct {
		Until time.Time `json:"until"`
	}
	// DrillData is a rehearsal's score.
	DrillData struct {
		Lever   string `json:"lever"`
		ThereMS int64  `json:"there_ms,omitempty"`
		BackMS  int64  `json:"back_ms,omitempty"`
		OK      bool   `json:"ok,omitempty"`
		Detail  string `json:"detail,omitempty"`
	}
)

// Seal numbers, dates and chains drafts that Decide returned. newID gives ULIDs. A
// declaration starts a timeline of its own.
func (in Incident) Seal(drafts []Event, now time.Time, newID func() string) []Event {
	seq, prev := in.Seq, in.Hash
	if len(drafts) > 0 && drafts[0].Type == Declared {
		seq, prev = 0, ""
	}
	out := make([]Event, len(drafts))
	for i, e := range drafts {
		seq++
		e.ID, e.Seq, e.Schema, e.RecordedAt, e.PrevHash = newID(), seq, schema, now.UTC(), prev
		e.At = e.At.UTC()
		e.clean()
		e.Hash = e.digest()
		prev = e.Hash
		out[i] = e
	}
	return out
}

// clean makes typed text fit JSON, so that an event that is read back has the same
// hash.
func (e *Event) clean() {
	for _, s := range []*string{&e.Incident, &e.Text, &e.Actor.ID, &e.Actor.Name, &e.Actor.Via, &e.Subject.ID, &e.Key, &e.Corrects} {
		*s = strings.ToValidUTF8(*s, "\ufffd")
	}
}

// digest is SHA-256 over the event's JSON without its own hash.
func (e Event) digest() string {
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil { // only RawMessage can fail, and Decide makes it by Marshal
		b = fmt.Appendf(nil, "%v", e)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Verify checks that events have no gap and that the chain holds; it names the
// first event that does not fit.
func Verify(events []Event) error {
	prev := ""
	for i, e := range events {
		switch {
		case e.Seq != uint64(i+1):
			return fmt.Errorf("event %d of %s: the sequence has a gap: expected %d", e.Seq, e.Incident, i+1)
		case e.PrevHash != prev:
			return fmt.Errorf("event %d of %s does not follow the one before it", e.Seq, e.Incident)
		case e.Hash != e.digest():
			return fmt.Errorf("event %d of %s was changed after it was written", e.Seq, e.Incident)
		}
		prev = e.Hash
	}
	return nil
}

// Fold gives the state after all events.
func Fold(events []Event) Incident {
	var in Incident
	for _, e := range events {
		in.apply(e)
	}
	return in
}

// Apply gives the state after one more event. It can't fail: an event of a newer
// version, or one whose data can't be read, moves the sequence on and nothing else.
// Only a declaration counts by its envelope alone, so that the site stays held.
func (in Incident) Apply(e Event) Incident {
	in = in.clone()
	in.apply(e)
	return in
}

// maxKeys is how many idempotency keys an incident remembers.
const maxKeys = 256

func (in *Incident) apply(e Event) {
	in.Seq, in.Hash = e.Seq, e.Hash
	if f, known := folds[e.Type]; known {
		f(in, e)
	}
	if e.Key != "" {
		in.Keys = append(in.Keys, e.Key)
		in.Keys = in.Keys[max(0, len(in.Keys)-maxKeys):]
	}
}

// folder says how each type of event changes the state.
type folder = map[Type]func(*Incident, Event)

// folds are those of all files together.
var folds = func() folder {
	all := folder{}
	for _, f := range []folder{coreFolds, stageFolds, evidenceFolds, causeFolds, fixFolds, peopleFolds, writeUpFolds} {
		maps.Copy(all, f)
	}
	return all
}()

// read decodes an event's data.
func read[T any](e Event) (v T, err error) {
	err = json.Unmarshal(e.Data, &v)
	return v, err
}

// with folds an event whose data can be read, and skips it otherwise.
func with[T any](f func(*Incident, Event, T)) func(*Incident, Event) {
	return func(in *Incident, e Event) {
		if d, err := read[T](e); err == nil {
			f(in, e, d)
		}
	}
}

// returning folds an event about the return under way.
func returning[T any](f func(*Return, Event, T)) func(*Incident, Event) {
	return with(func(in *Incident, e Event, d T) {
		if in.Return != nil {
			f(in.Return, e, d)
		}
	})
}

var coreFolds = folder{
	Declared:      foldDeclared,
	PhaseChanged:  with(foldPhase),
	CancelledType: func(in *Incident, e Event) { in.Phase, in.Since, in.EndedAt = Cancelled, e.At, e.At },
	ClosedType:    func(in *Incident, e Event) { in.Phase, in.Since, in.EndedAt = Closed, e.At, e.At },
	LeverProposed: with(func(in *Incident, _ Event, d reasonData) { in.Proposed = d.Lever }),
	LeverApplying: with(foldApplying),
	LeverActive:   setState(Active),
	LeverFailed:   setState(Failed),
	LeverUnknown:  setState(Stuck),
	LeverUndoing:  setState(Undoing),
	LeverUndone:   setState(Undone),
	LeverSettled:  setState(Settled),
	LeverGivenUp:  setState(Settled),
	LeverParked: with(func(in *Incident, e Event, d parkData) {
		in.each(d.Pull, func(p *Pull) { p.Parked = &d.Parking })
	}),
	LeverUnparked: with(func(in *Incident, _ Event, d parkData) {
		in.each(d.Pull, func(p *Pull) { p.Parked = nil })
	}),
	LeverSeen: with(func(in *Incident, e Event, d OutcomeData) {
		in.each(d.Pull, func(p *Pull) {
			p.SeenAt, p.Detail, p.Drifted, p.GoneAt = e.At, d.Detail, false, time.Time{}
			if p.FirstAt.IsZero() {
				p.FirstAt = e.At
			}
		})
	}),
	LeverDrift: with(func(in *Incident, e Event, d OutcomeData) {
		in.each(d.Pull, func(p *Pull) {
			if d.Detail != "" {
				p.Detail = d.Detail
			}
			if p.Drifted = true; d.Back {
				p.GoneAt = e.At
			}
		})
	}),
	CheckVerdict:    returning(foldVerdict),
	DecisionMade:    with(func(in *Incident, _ Event, d reasonData) { in.NoFailover = d.Reason }),
	ReturnPlanned:   with(foldPlan),
	ReturnHeld:      returning(func(r *Return, _ Event, d reasonData) { r.Held = d.Reason }),
	ReturnCompleted: returning(func(r *Return, _ Event, _ struct{}) { r.Complete = true }),
	WatchStarted:    with(foldWatch),
	RuleOverridden: with(func(in *Incident, e Event, d ruleData) {
		in.Overrides = append(in.Overrides, Override{Rule: d.Rule, Reason: d.Reason, By: e.Actor, At: e.At})
	}),
	AutoHeldType: func(in *Incident, _ Event) { in.AutoHeld = true },
	TimerFired:   func(in *Incident, _ Event) { in.Reminders++ },
	NoteAdded: with(func(in *Incident, e Event, n noteData) {
		if n.Text != "" {
			in.NewsAt = e.At
		}
	}),
	SteppedBack: with(func(in *Incident, e Event, d reasonData) {
		foldStepBack(in, e, d)
		if _, over := in.toldPublic(); over && d.Reason != "" {
			in.cameAgain(e.At)
		}
	}),
	WatchRelapse: with(func(in *Incident, e Event, d reasonData) {
		if d.Reason != "" {
			foldStepBack(in, e, d)
			in.cameAgain(e.At)
		}
	}),
}

func foldDeclared(in *Incident, e Event) {
	if !in.Phase.Open() {
		*in = Incident{Seq: in.Seq, Hash: in.Hash}
	}
	d, _ := read[declaredData](e)
	in.ID, in.Site, in.Title, in.Symptom, in.Noticed, in.Drill = e.Incident, d.Site, d.Title, d.Symptom, d.Noticed, d.Drill
	in.DeclaredAt, in.FirstSymptomAt, in.Phase, in.Since, in.NewsAt = e.At, d.FirstSymptomAt, FailOver, e.At, e.At
	for _, p := range d.Carried {
		p.Carried = true
		in.Pulls = append(in.Pulls, p)
	}
	if d.RecurrenceOf != "" {
		in.Links = append(in.Links, Link{d.RecurrenceOf, "recurrence_of"})
	}
}

// foldWatch starts a watch, in which a promise is measured again (R17), whatever an
// earlier one has measured.
func foldWatch(in *Incident, _ Event, d watchData) {
	in.WatchUntil = d.Until
	if f, found := in.cured(); found {
		change(in.Fixes, f.ID, Fix.id, func(f *Fix) { f.Again, f.AgainAt = "", time.Time{} })
	}
}

// foldStepBack doubts a fix that worked when a return steps back after it: the next one
// needs more than its promise (R12).
func foldStepBack(in *Incident, _ Event, d reasonData) {
	if f, found := in.cured(); found && d.Reason != "" {
		change(in.Fixes, f.ID, Fix.id, func(f *Fix) { f.Doubted = true })
	}
}

func foldPhase(in *Incident, e Event, d phaseData) {
	if !d.To.known() {
		return
	}
	in.Phase, in.Since, in.ImpactDue = d.To, e.At, d.To == Watch || d.To == Review
	if in.Phase != FailBack && in.Phase != Watch && in.Phase != Review {
		in.Return = nil
	}
	if in.Phase != Watch {
		in.WatchUntil = time.Time{}
	}
}

func foldApplying(in *Incident, e Event, d pullData) {
	p := d.Pull
	if p.ID == "" {
		return
	}
	p.State, p.Token, p.At, p.By = Applying, e.Seq, e.At, e.Actor
	in.Pulls, in.Proposed = append(in.Pulls, p), ""
}

func foldPlan(in *Incident, e Event, d returnData) {
	in.Return = &Return{
		Because: d.Because, Needed: max(1, d.Needed), At: e.At, By: e.Actor, Stages: rising(d.Stages),
		Streak: map[string]int{}, Failing: map[string]int{},
	}
}

func setState(s PullState) func(*Incident, Event) {
	return with(func(in *Incident, e Event, d OutcomeData) {
		in.each(d.Pull, func(p *Pull) {
			p.State = s
			if s == Undone || s == Settled {
				p.BackAt, p.Share, p.Wanted, p.ShareFailed = e.At, 0, 0, false
			}
			if d.Detail != "" {
				p.Detail = d.Detail
			}
		})
	})
}

func foldVerdict(r *Return, e Event, d VerdictData) {
	r.Streak[d.Check], r.LastAt, r.Held = d.Streak, e.At, ""
	r.Failing[d.Check] = d.Failing
}

// each changes the pull with the id.
func (in *Incident) each(id string, f func(*Pull)) {
	for i := range in.Pulls {
		if in.Pulls[i].ID == id {
			f(&in.Pulls[i])
		}
	}
}
