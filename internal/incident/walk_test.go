package incident

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"

	"pgregory.net/rapid"
)

// soak says that the long tests run.
var soak = os.Getenv("LIFEBOAT_SOAK") == "1"

// TestMain lets every random walk be taken more often in the long tests.
func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	rounds := "40"
	if soak {
		rounds = "5000"
	}
	if !set {
		if err := flag.Set("rapid.checks", rounds); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// walk is a random incident: commands that were accepted, by anybody, on random
// facts, with acts that succeed, fail, or end unclear.
type walk struct {
	t      *rapid.T
	in     Incident
	events []Event
	facts  Facts
	now    time.Time
	ids    int
	drill  bool
}

// explore takes a walk and calls check after every step, also before the first.
func explore(t *rapid.T, check func(*walk)) *walk {
	w := &walk{t: t, now: night, drill: rapid.IntRange(0, 9).Draw(t, "drill") == 0, facts: Facts{
		IncidentID: "inc-1", Site: "shop", SiteTitle: rapid.SampledFrom([]string{"", "The Shop", fmt.Sprintf("%0250d", 7)}).Draw(t, "title"),
		Gates:     rapid.SampledFrom([][]string{nil, {"front"}, {"front", "cart"}}).Draw(t, "gates"),
		Checks:    []string{"front", "cart"},
		Actions:   []ActionFacts{{Name: "restart", Undo: true}, {Name: "purge"}},
		Approvers: rapid.IntRange(0, 1).Draw(t, "approvers"),
		Settings: Settings{
			Passes: rapid.IntRange(0, 2).Draw(t, "passes"), TakeBack: 15 * time.Minute, Watch: time.Hour, Settle: 30 * time.Second, AutoGap: time.Hour,
			Stages: rapid.SampledFrom([][]int{nil, {10}, {10, 50}}).Draw(t, "stages"), Hold: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "hold"),
			Approval: 10 * time.Minute, Pause: time.Minute, FixApart: 20 * time.Minute, FixPasses: rapid.IntRange(0, 2).Draw(t, "fix passes"),
		},
	}}
	if !w.drill && rapid.IntRange(0, 4).Draw(t, "parked before") == 0 {
		w.facts.Parked = []Pull{{ID: "old", Lever: "search-off", Kind: "feature", Title: "Close the search", Target: "feature:search", From: "on", To: "off", State: Active, At: night.Add(-time.Hour), SeenAt: night.Add(-time.Hour), Parked: &Parking{Owner: "Olga", Until: night}}}
	}
	check(w)
	w.headStart()
	check(w)
	for range one(w, "steps", 0, 3, 10, 20, 40, 80) {
		w.now = w.now.Add(rapid.SampledFrom([]time.Duration{0, 0, time.Second, time.Second, 10 * time.Minute, 2 * time.Hour, -time.Hour}).Draw(t, "later"))
		w.step(w.command())
		check(w)
		if w.in.Phase != None && !w.in.Phase.Open() {
			break
		}
	}
	return w
}

// headStart goes some way along the whole loop, so that walks are taken from everywhere.
func (w *walk) headStart() {
	if rapid.IntRange(0, 3).Draw(w.t, "head start") == 0 {
		return
	}
	way := []func() Command{
		func() Command { return PullLever{PullID: w.newID(), Drill: w.drill} },
		func() Command { return Outcome{Pull: w.in.Pulls[len(w.in.Pulls)-1].ID, Result: Done, Detail: "seen"} },
		func() Command { return DecideNoFailover{sentence} },
		func() Command { return SendUpdate{Audience: Public, Text: "It is down.", NextIn: time.Minute} },
		func() Command { return Choose{"Wake the owner?", nil, "no", sentence} },
		func() Command { return OfferHandover{"lead", "Cora", Brief{Things: sentence}} },
		func() Command { return SeeChanges{[]Change{{ID: "ch-1", At: w.now, What: "release 42"}}} },
		func() Command { return Captured{Evidence{Title: "Disk use"}} },
		func() Command { return OpenCause{"The disk is full.", "df shows it"} },
		func() Command { return OpenCause{"The release is broken.", ""} },
		func() Command { return WeighCause{"c1", "e1", For, ""} },
		func() Command { return TestCause{Cause: "c1", Outcome: TestHeld} },
		func() Command { return RuleOut{"c2", sentence} },
		func() Command { return ConfirmCause{Cause: "c1"} },
		func() Command { return plan() },
		func() Command { return ApplyFix{sentence} },
		func() Command { return FixCarriedOut{OK: true} },
		func() Command {
			return one[Command](w, "first fix", JudgeFix{StateWorked, sentence}, JudgeFix{StateNoEffect, sentence})
		},
		func() Command { return KeepFix{sentence} },
		func() Command { return GoBack{Because: sentence, Reason: sentence} },
		func() Command { return Advance{sentence} },
		func() Command {
			return Outcome{Pull: w.in.Pulls[len(w.in.Pulls)-1].ID, Back: true, Result: Done, Detail: "seen"}
		},
		func() Command { return WatchOver{sentence} },
		func() Command { return AddFollowUp{FollowUp{What: "Watch the disk."}} },
		func() Command { return JudgeFinding{Finding{About: AboutProcess, Text: sentence}} },
		func() Command { return Finalise{"ab"} },
	}
	for _, next := range way[:rapid.IntRange(1, len(way)).Draw(w.t, "so far")] {
		f := w.facts
		f.Actor, f.HomeSeen, f.Standby, f.Lever = ada, "up", "pass", leverFacts(w.in, "to-standby", w.now)
		c := next()
		drafts, err := w.in.Decide(c, f, w.now)
		if fault.KindOf(err) == fault.Conflict { // what an earlier step has made needless
			continue
		}
		if err != nil {
			w.t.Fatalf("%T at %q: %v", c, w.in.Phase, err)
		}
		w.record(drafts)
		w.now = w.now.Add(time.Minute)
	}
}

// passersBy are who gives commands: mostly people who may.
var passersBy = []Actor{ada, ada, ada, ada, ada, cora, cora, olga, olga, otto, rita, vera, health, system}

// step draws the facts, decides, and records what comes of it.
func (w *walk) step(c Command) {
	w.decide(c, w.anyFacts())
}

func (w *walk) anyFacts() Facts {
	f := w.facts
	seen := rapid.SampledFrom([]string{"up", "up", "down", "unknown", ""})
	verdicts := rapid.SampledFrom([]string{"pass", "fail", "inconclusive", ""})
	f.Actor = rapid.SampledFrom(passersBy).Draw(w.t, "actor")
	f.Standby, f.HomeSeen, f.PlaceSeen = verdicts.Draw(w.t, "standby"), seen.Draw(w.t, "home"), seen.Draw(w.t, "place seen")
	f.AutoHeld = rapid.IntRange(0, 4).Draw(w.t, "auto held") == 0
	if rapid.Bool().Draw(w.t, "moved before") {
		f.LastAuto = w.now.Add(-rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 3 * time.Hour}).Draw(w.t, "last auto"))
	}
	f.Lever = w.anyLever()
	f.Verdicts = map[string]string{"front": verdicts.Draw(w.t, "front"), "cart": verdicts.Draw(w.t, "cart")}
	if top, on := w.in.OnTop("zone:shop"); on {
		f.Place, f.Origin = top.To, top.To != "standby"
	}
	return f
}

func (w *walk) anyLever() *LeverFacts {
	l := leverFacts(w.in, rapid.SampledFrom(leverNames).Draw(w.t, "lever"), w.now)
	l.ArmedUntil = w.now.Add(rapid.SampledFrom([]time.Duration{time.Hour, time.Hour, -time.Hour}).Draw(w.t, "armed"))
	if rapid.IntRange(0, 5).Draw(w.t, "rehearsed") == 0 {
		l.ArmedUntil = time.Time{}
	}
	l.ToSeen = rapid.SampledFrom([]string{"up", "down", "unknown", ""}).Draw(w.t, "to seen")
	l.Reversible = rapid.IntRange(0, 5).Draw(w.t, "reversible") > 0
	return l
}

// decide records events, or a refusal now and then, and holds what is true of every
// decision.
func (w *walk) decide(c Command, f Facts) {
	before, given := stateJSON(w.t, w.in), asJSON(w.t, f)
	drafts, err := w.in.Decide(c, f, w.now)
	again, err2 := w.in.Decide(c, f, w.now)
	if fmt.Sprint(err) != fmt.Sprint(err2) || asJSON(w.t, drafts) != asJSON(w.t, again) {
		w.t.Fatalf("%T decided twice: %v, %v and then %v, %v", c, types(drafts), err, types(again), err2)
	}
	if after := stateJSON(w.t, w.in); after != before {
		w.t.Fatalf("Decide(%T) changed the state:\n%s\n%s", c, before, after)
	}
	if asJSON(w.t, f) != given {
		w.t.Fatalf("Decide(%T) changed the facts", c)
	}
	if r := refusalOf(err); r != nil {
		mustReadAsSentences(w.t, r)
		w.mustOfferAWay(c, f, r)
		if w.in.Phase.Open() && rapid.Bool().Draw(w.t, "keep refusal") {
			w.record(w.in.Refused(r, f.Actor, w.now))
		}
		return
	}
	if err != nil {
		var fe *fault.Error
		if !errors.As(err, &fe) || fe.Kind == fault.Internal || fe.Text == "" {
			w.t.Fatalf("%T: %v", c, err)
		}
		return
	}
	w.mustBeAllowed(c, f.Actor)
	w.mustBeFree(c)
	w.mustNotPassByItself(f.Actor, drafts)
	if len(drafts) == 0 && !alreadySo(w.in, c) {
		w.t.Fatalf("%s was accepted and is lost: %+v", nameOf(c), c)
	}
	w.record(drafts)
}

// mustOfferAWay holds U8: what a refusal calls overridable, the same person passes with
// a sentence, or another rule, never the same one again, stands in the way; what it does
// not call so, nobody passes; and whom it names instead does.
func (w *walk) mustOfferAWay(c Command, f Facts, r *fault.Refusal) {
	by, named := f.Actor, false
	if r.Overridable && by.Automatic() {
		f.Actor = ada
	}
	for _, role := range []string{"operator", "commander"} {
		if !r.Overridable && strings.Contains(r.Satisfy, "Somebody with the role "+role+" can go on anyway") {
			f.Actor, named = Actor{Kind: "person", ID: "u77", Name: "Somebody", Role: role}, true
		}
	}
	with, has := withSentence(c)
	if !has && (r.Overridable || named) {
		w.t.Fatalf("%s: %s offers a way that it has not: %v", nameOf(c), r.Rule, r)
	}
	drafts, err := w.in.Decide(with, f, w.now)
	switch again := refusalOf(err); {
	case (r.Overridable || named) && again != nil && again.Rule == r.Rule && again.Reason == r.Reason:
		w.t.Fatalf("%s: %s offers a way through and does not take it: %v", nameOf(c), r.Rule, err)
	case !r.Overridable && !named && err == nil && has:
		w.t.Fatalf("%s: %s is passed with a sentence though it says that nobody does: %v", nameOf(c), r.Rule, types(drafts))
	}
}

// withSentence is the command with the sentence that goes on anyway, where it has room
// for one.
func withSentence(c Command) (Command, bool) {
	v := reflect.New(reflect.TypeOf(c)).Elem()
	v.Set(reflect.ValueOf(c))
	f := v.FieldByName("Reason")
	if !f.IsValid() {
		return c, false
	}
	f.SetString(sentence)
	return v.Interface().(Command), true
}

// mustBeAllowed holds that nobody gives a command that their role does not allow.
func (w *walk) mustBeAllowed(c Command, a Actor) {
	for _, x := range everyCommand {
		if nameOf(x.cmd) == nameOf(c) && !a.Automatic() && x.need != anybody && !atLeast(a, x.need) {
			w.t.Fatalf("%s was accepted from a %s", nameOf(c), a.Role)
		}
	}
}

// mustNotPassByItself holds U8 and U4: a soft rule is passed by a person, in words,
// and nothing leads away from safety by itself before the checks are in.
func (w *walk) mustNotPassByItself(a Actor, drafts []Event) {
	for _, e := range drafts {
		d, _ := read[ruleData](e)
		switch {
		case e.Type == RuleOverridden && (a.Automatic() || !says(d.Reason)):
			w.t.Fatalf("%s was passed by %s with %q", d.Rule, a.Name, d.Reason)
		case e.Type == RuleOverridden && !atLeast(a, whoPasses[d.Rule]):
			w.t.Fatalf("%s was passed by a %s", d.Rule, a.Role)
		case (e.Type == ReturnPlanned || e.Type == LeverSettled || e.Type == ApprovalGiven) && a.Automatic():
			w.t.Fatalf("%s by %s", e.Type, a.Name)
		}
	}
}

// mustBeFree holds R10: nothing that takes the lock, or needs it free, was accepted
// while it was held.
func (w *walk) mustBeFree(c Command) {
	lock := w.in.Lock()
	switch c.(type) {
	case PutBack, GoBack, ProposeFix, ReportFix, ApplyFix, Cancel, Close:
	case MakePermanent:
		if lock == "the return" {
			return
		}
	default:
		return
	}
	if lock != "" {
		w.t.Fatalf("%s was accepted while the lock was held: %s", nameOf(c), lock)
	}
}

func (w *walk) record(drafts []Event) {
	sealed := w.in.Seal(drafts, w.now, w.newID)
	for _, e := range sealed {
		w.mustMoveOn(e)
		if len(e.Data) > MaxData || len(e.Text) > maxTold || e.Text == "" || strings.TrimSpace(e.Text) != e.Text || strings.Contains(e.Text, "%!") {
			w.t.Fatalf("%s with %d bytes: %q", e.Type, len(e.Data), e.Text)
		}
		w.in = w.in.Apply(e)
	}
	w.events = append(w.events, sealed...)
	w.mustHoldTogether()
}

func (w *walk) newID() string {
	w.ids++
	return fmt.Sprintf("%026d", w.ids)
}

// mustMoveOn holds that phases follow each other as the table says.
func (w *walk) mustMoveOn(e Event) {
	from, to := w.in.Phase, w.in.Apply(e).Phase
	if e.Type == Declared {
		from = before(from) // a timeline of its own
	}
	if from == to || (w.in.Drill && to == Closed) {
		return
	}
	if !slices.Contains(moves[from], to) {
		w.t.Fatalf("%s moves from %q to %q", e.Type, from, to)
	}
	if e.Type == PhaseChanged {
		if d, err := read[phaseData](e); err != nil || d.From != from {
			w.t.Fatalf("the event says from %q, it was %q (%v)", d.From, from, err)
		}
	}
}

// locks are what holds a site's one lock, each kind once.
func locks(in Incident) []string {
	var out []string
	for _, f := range in.Fixes {
		if f.inFlight() {
			out = append(out, "the fix "+f.ID)
		}
	}
	if in.Phase == FailBack {
		out = append(out, "the return")
	}
	for _, p := range in.Pulls {
		if p.State == Undoing && in.Phase != FailBack {
			return append(out, "an undo beside the return")
		}
	}
	return out
}

// mustHoldTogether holds what is true of every state.
func (w *walk) mustHoldTogether() {
	in := w.in
	if l := locks(in); len(l) > 1 || (len(l) == 1) != (in.Lock() != "") {
		w.t.Fatalf("locks %v, said to be %q", l, in.Lock())
	}
	w.mustHoldLevers()
	w.mustHoldFixes()
	w.mustKnowWhenItIsOver()
	mustCount(w.t, "c", in.Causes, Cause.id)
	mustCount(w.t, "f", in.Fixes, Fix.id)
	mustCount(w.t, "e", in.Evidence, Evidence.id)
	mustCount(w.t, "a", in.FollowUps, FollowUp.id)
	mustCount(w.t, "d", in.Decisions, func(x Decision) string { return x.ID })
	mustCount(w.t, "h", in.Handovers, func(x Handover) string { return x.ID })
	mustCount(w.t, "u", in.Updates, func(x Update) string { return x.ID })
	if g := in.Diagnosis; g != nil {
		for _, id := range g.Causes {
			if c, _ := in.Cause(id); c.State != CauseSure {
				w.t.Fatalf("the diagnosis names %s, which is %q", id, c.State)
			}
		}
	}
}

// mustKnowWhenItIsOver holds that only a word from after the last relapse says that it is
// over, whatever the clock says.
func (w *walk) mustKnowWhenItIsOver() {
	want := false
	for _, e := range w.events {
		switch u, _ := read[Update](e); {
		case e.Type == WatchRelapse || e.Type == SteppedBack:
			want = false
		case e.Type == UpdateSent && u.Audience == Public:
			want = u.Final
		case e.Type == Declared:
			want = false
		}
	}
	if _, over := w.in.toldPublic(); over != want {
		w.t.Fatalf("told that it is over: %v, by the order of events %v", over, want)
	}
}

// mustCount holds that ids are unique and have no gap.
func mustCount[T any](t failer, letter string, all []T, id func(T) string) {
	t.Helper()
	for i, x := range all {
		if want := fmt.Sprintf("%s%d", letter, i+1); id(x) != want {
			t.Fatalf("number %d is called %q, want %q", i+1, id(x), want)
		}
	}
}

func (w *walk) mustHoldLevers() {
	in := w.in
	for _, p := range in.Pulls {
		if p.Wanted > 0 && (in.Phase != FailBack || !p.Holds()) {
			w.t.Fatalf("%d %% are let back by %s, which is %s, at %q", p.Wanted, p.ID, p.State, in.Phase)
		}
		if in.Phase == FailBack && p.State == Applying {
			w.t.Fatalf("%s is being pulled during the return", p.ID)
		}
		if in.Phase == FailBack && p.State == Undoing && !slices.Contains(in.Return.Undo, p.ID) {
			w.t.Fatalf("%s is on its way back beside the return", p.ID)
		}
		if p.Parked != nil && in.Return != nil && slices.Contains(in.Return.Undo, p.ID) {
			w.t.Fatalf("%s is parked and goes back", p.ID)
		}
		if top, on := in.OnTop(p.Target); on && top.Parked != nil && p.Parked == nil && p.Holds() && p.State != Undoing {
			w.t.Fatalf("%s lies below %s, which is parked, and would go back", p.ID, top.ID)
		}
	}
	if in.Phase == FailBack && in.Return.Passed && len(in.Loose()) == 0 {
		w.t.Fatal("nothing is left to go back, and the return goes on")
	}
	if in.Phase == FailBack && in.Return.Passed && !slices.ContainsFunc(in.Pulls, func(p Pull) bool { return p.State == Undoing }) {
		w.t.Fatal("nothing is on its way back, and the return waits for it")
	}
	if in.Phase.Open() && (in.Phase == FailBack) != (in.Return != nil && in.Phase != Watch && in.Phase != Review) {
		w.t.Fatalf("phase %q with return %+v", in.Phase, in.Return)
	}
	if in.Phase == Watch && len(in.Loose()) > 0 {
		w.t.Fatalf("watching while %+v holds", in.Loose())
	}
	if in.Phase == Cancelled && len(in.own()) > 0 {
		w.t.Fatalf("a false alarm while %+v holds", in.own())
	}
	_, flies := in.FixInFlight()
	if in.Phase == Diagnose && !in.Drill && in.NoFailover == "" && len(in.Holding()) == 0 && !flies {
		w.t.Fatal("finding out what happened with no lever pulled and no reason why")
	}
}

func (w *walk) mustHoldFixes() {
	in := w.in
	waiting, settled := 0, false
	for _, f := range in.Fixes {
		if f.State == StateProposed || f.State == StateApproved {
			waiting++
		}
		settled = settled || f.State == StateWorked
		if f.inFlight() && in.Phase != FailOver && in.Phase != Diagnose && in.Phase != Fixing && (in.Phase.Open() || !in.Drill) {
			w.t.Fatalf("%s is %s at %q", f.ID, f.State, in.Phase)
		}
		if f.inFlight() && !f.Done() {
			w.t.Fatalf("%s is %s and was never begun", f.ID, f.State)
		}
		if f.State == StateApproved && (len(f.Approvals) == 0 || f.Objection != "") {
			w.t.Fatalf("%s is approved: %+v", f.ID, f)
		}
		for _, a := range f.Approvals {
			if same(a.By, f.By) || a.By.Automatic() {
				w.t.Fatalf("%s was approved by %+v", f.ID, a.By)
			}
		}
		if len(f.Readings) > maxReadings {
			w.t.Fatalf("%s has %d readings", f.ID, len(f.Readings))
		}
	}
	if waiting > 1 {
		w.t.Fatalf("%d fixes are proposed", waiting)
	}
	if waiting > 0 && (in.Phase == FailBack || in.Phase == Watch || in.Phase == Review) {
		w.t.Fatalf("at %q while a fix is proposed", in.Phase)
	}
	if _, flies := in.FixInFlight(); in.Phase == Fixing && !flies && waiting == 0 && !settled {
		w.t.Fatalf("at the fix, and there is none: %+v", in.Fixes)
	}
}

// alreadySo says whether a command that adds nothing has nothing to add.
func alreadySo(in Incident, c Command) bool {
	switch c := c.(type) {
	case Outcome:
		p, _ := in.Pull(c.Pull)
		return !p.awaits(c.Back) && !(c.GivenUp && p.Holds())
	case Adopt:
		p, known := in.Pull(c.PullID)
		return known && p.Holds()
	case Propose:
		return len(in.Loose()) > 0 || in.Proposed != ""
	case Drifted:
		p, known := in.Pull(c.Pull)
		return !known || p.State != Active || p.Drifted
	case Shared:
		p, _ := in.Pull(c.Pull)
		return !p.Moving() || p.Wanted != c.Share || p.ShareFailed
	case UnparkLever:
		return !slices.ContainsFunc(in.ParkedPulls(), func(p Pull) bool { return p.Lever == c.Lever && p.State != Undoing })
	case RuleOut:
		return in.causeState(c.Cause) == CauseOut
	case ParkCause:
		return in.causeState(c.Cause) == CauseAside
	case ReopenCause:
		x, _ := in.Cause(c.Cause)
		return x.Undecided()
	case Redact:
		return slices.ContainsFunc(in.Evidence, func(e Evidence) bool { return e.ID == c.Evidence && e.Redacted != "" })
	case SeeChanges:
		return !slices.ContainsFunc(c.Changes, func(x Change) bool {
			return !slices.ContainsFunc(in.Changes, func(y Change) bool { return y.ID == x.ID })
		})
	case MarkChange:
		return slices.ContainsFunc(in.Changes, func(x Change) bool {
			return x.ID == c.Change && x.Suspect == c.Suspect && (c.Note == "" || x.Note == c.Note)
		})
	case SeeSight:
		last, _ := in.lastSight(c.Sight.Place, c.Sight.Check)
		return last.Seen == c.Sight.Seen
	case SetSeverity:
		return in.Severity == c.Level
	case LinkIncident:
		return slices.ContainsFunc(in.Links, func(l Link) bool { return l.Incident == c.Incident })
	case TakeRole:
		return in.Roles[c.Role] != ""
	case AcceptHandover:
		return slices.ContainsFunc(in.Handovers, func(h Handover) bool { return h.ID == c.Handover && !h.AcceptedAt.IsZero() })
	case Delivered:
		return c.OK && !slices.ContainsFunc(in.Updates, func(u Update) bool { return u.ID == c.Update })
	case UpdateOverdue:
		return true // it is not, or was said
	case Finalise:
		return in.WriteUp.Final
	case EndFollowUp:
		return slices.ContainsFunc(in.FollowUps, func(f FollowUp) bool { return f.ID == c.ID && f.State == c.State })
	case GoAlone:
		f, _ := in.FixPlanned()
		return f.Alone
	case ApproveFix:
		f, _ := in.FixPlanned()
		return len(f.Approvals) > 0
	case ReadAgain:
		f, _ := in.LastFix()
		return f.Again != "" || c.Reading.Verdict == ""
	}
	return false
}

func (in Incident) causeState(id string) CauseState { c, _ := in.Cause(id); return c.State }

// command draws what somebody wants: mostly what fits the state, else anything at all.
func (w *walk) command() Command {
	reason := rapid.SampledFrom(sayings).Draw(w.t, "reason")
	names := w.fitting()
	switch rapid.IntRange(0, 7).Draw(w.t, "fits") {
	case 0:
		names = drawable
	case 1:
		names = talk
	}
	return draws[rapid.SampledFrom(names).Draw(w.t, "command")](w, reason)
}

// sayings are what people type.
var sayings = []string{sentence, sentence, sentence, sentence, "ok", " ", "", "\xff\xfe because <b>&", "It is 100%d full", strings.Repeat("long ", 900)}

// talk names commands that add words, wherever the incident is.
var talk = []string{
	"Note", "Attach", "Redact", "SeeChanges", "MarkChange", "SeeSight", "RuleOut", "ParkCause", "ReopenCause", "WithdrawDiagnosis", "TakeRole", "ReleaseRole", "AcceptHandover", "Object",
	"SnoozeUpdate", "Delivered", "UpdateOverdue", "ChangeFollowUp", "EndFollowUp", "JudgeFinding", "Answer", "ParkLever", "UnparkLever", "Drifted", "Adopt",
}

// fitting names the commands that get somewhere from here.
func (w *walk) fitting() []string {
	for _, p := range w.in.Pulls {
		if p.State == Applying || p.State == Undoing {
			return []string{"Outcome"}
		}
	}
	if f, flies := w.in.FixInFlight(); flies {
		switch f.State {
		case StateApplying:
			return []string{"FixCarriedOut", "FixCarriedOut", "FixCarriedOut", "PullLever", "TakeBackFix"}
		case StateMeasuring:
			return []string{"ReadFix", "ReadFix", "ReadFix", "JudgeFix", "PullLever", "TakeBackFix"}
		case StateRollingBack:
			return []string{"FixTakenBack", "FixTakenBack", "KeepFix"}
		}
		return []string{"TakeBackFix", "KeepFix", "MeasureFix", "JudgeFix"}
	}
	if f, waits := w.in.FixPlanned(); waits && (w.in.Phase == Fixing || w.in.Phase == Diagnose) {
		if len(f.Approvals) > 0 && f.Objection == "" {
			return []string{"ApplyFix"}
		}
		return []string{"ApproveFix", "ApproveFix", "ObjectToFix", "GoAlone", "ApplyFix", "ApplyFix", "WithdrawFix"}
	}
	switch w.in.Phase {
	case FailOver:
		out := []string{"PullLever", "PullLever", "PullLever", "DecideNoFailover", "Cancel", "ReportFix"}
		if w.drill {
			out = append(out, "ScoreDrill")
		}
		return out
	case Diagnose:
		out := []string{"OpenCause", "Captured", "WeighCause", "TestCause", "ConfirmCause", "ConfirmCause", "ProposeFix", "ProposeFix", "GoBack", "PullLever", "ParkLever", "PutBack", "Remind"}
		if w.in.Diagnosis != nil {
			out = append(out, "ProposeFix", "ProposeFix", "ProposeFix")
		}
		return out
	case Fixing:
		return []string{"GoBack", "GoBack", "ProposeFix", "PullLever", "TakeBackFix", "MakePermanent"}
	case FailBack:
		return []string{"Sanity", "Sanity", "Sanity", "Advance", "Advance", "StepBack", "PullLever", "TakeBackFix", "MakePermanent"}
	case Watch:
		return []string{"WatchOver", "WatchOver", "ReadAgain", "StepBack", "Relapsed", "PullLever", "PutBack"}
	case Review:
		return []string{"Close", "Finalise", "JudgeFinding", "AddFollowUp", "ChangeFollowUp", "EndFollowUp", "EditSection", "Answer", "SendUpdate", "PullLever", "PutBack", "StepBack", "Relapsed"}
	}
	return []string{"PullLever", "PullLever", "Declare", "Propose"}
}

// one draws an element.
func one[T any](w *walk, label string, from ...T) T {
	return rapid.SampledFrom(from).Draw(w.t, label)
}

// idOf draws the id of something that there is, or, seldom, of nothing.
func idOf[T any](w *walk, label string, all []T, id func(T) string) string {
	ids := []string{"nobody's"}
	for _, x := range all {
		ids = append(ids, id(x), id(x))
	}
	return one(w, label, ids...)
}

func (w *walk) anyPull() string {
	return idOf(w, "pull", w.in.Pulls, func(p Pull) string { return p.ID })
}
func (w *walk) anyCause() string    { return idOf(w, "cause", w.in.Causes, Cause.id) }
func (w *walk) anyEvidence() string { return idOf(w, "evidence", w.in.Evidence, Evidence.id) }
func (w *walk) anyName() string     { return one(w, "which", leverNames...) }

// onTop draws a lever, mostly one that holds.
func (w *walk) held() string {
	names := []string{w.anyName()}
	for _, p := range w.in.Holding() {
		names = append(names, p.Lever, p.Lever)
	}
	return one(w, "held", names...)
}

func (w *walk) reading() Reading {
	return Reading{At: w.now, Verdict: one(w, "verdict", "pass", "pass", "fail", "inconclusive", ""), Took: one(w, "took", time.Millisecond, time.Minute), Detail: "as asked"}
}

func (w *walk) promise() Promise {
	return Promise{
		Check: one(w, "check", "front", "front", "cart", "", "moon"), To: one(w, "to", "it answers", ""),
		Below: one(w, "below", 0, 0, time.Second), Within: one(w, "within", 0, time.Minute, 5*time.Minute, time.Nanosecond),
	}
}

func (w *walk) outcome() Outcome {
	o := Outcome{Pull: w.anyPull(), Back: one(w, "back", true, false), Detail: "as seen from outside", Result: one(w, "result", Done, Done, Done, Done, NotDone, Unclear), GivenUp: rapid.IntRange(0, 19).Draw(w.t, "given up") == 0}
	for _, p := range w.in.Pulls {
		if (p.State == Applying || p.State == Undoing) && rapid.IntRange(0, 9).Draw(w.t, "of this") > 0 {
			o.Pull, o.Back = p.ID, p.State == Undoing
			break
		}
	}
	return o
}

func (w *walk) shared(text string) Shared {
	c := Shared{Pull: w.anyPull(), Share: one(w, "share", 0, 10, 50), OK: one(w, "in force", true, true, false), Detail: text}
	for _, p := range w.in.Pulls {
		if p.Moving() && rapid.IntRange(0, 9).Draw(w.t, "of this") > 0 {
			c.Pull, c.Share = p.ID, p.Wanted
		}
	}
	return c
}

func (w *walk) sanity() Sanity {
	return Sanity{Check: one(w, "check", "front", "cart"), Verdict: one(w, "verdict", "pass", "pass", "pass", "fail", "inconclusive", "")}
}

func (w *walk) stepBack() StepBack {
	ids := map[string]string{}
	for _, id := range w.in.Returned() {
		if rapid.IntRange(0, 4).Draw(w.t, "again") > 0 {
			ids[id] = w.newID()
		}
	}
	return StepBack{ids}
}

// draws draw each of the commands; TestTheWalkKnowsEveryCommand keeps it whole.
var draws = map[string]func(w *walk, text string) Command{
	"Declare": func(w *walk, text string) Command {
		return Declare{Title: text, Drill: w.drill, RecurrenceOf: one(w, "earlier", "", "inc-0")}
	},
	"PullLever": func(w *walk, text string) Command { return PullLever{PullID: w.newID(), Reason: text, Drill: w.drill} },
	"PutBack":   func(w *walk, text string) Command { return PutBack{w.held(), text} },
	"Outcome":   func(w *walk, _ string) Command { return w.outcome() },
	"Adopt": func(w *walk, text string) Command {
		if w.drill { // at answer nothing is rehearsed
			return Note{text}
		}
		return Adopt{PullID: w.newID(), At: w.now.Add(-time.Minute), By: one(w, "taken by", system, olga), Title: text, Detail: text}
	},
	"Propose":          func(_ *walk, text string) Command { return Propose{text} },
	"Shared":           func(w *walk, text string) Command { return w.shared(text) },
	"Drifted":          func(w *walk, text string) Command { return Drifted{Pull: w.anyPull(), Detail: text} },
	"Note":             func(_ *walk, text string) Command { return Note{text} },
	"DecideNoFailover": func(_ *walk, text string) Command { return DecideNoFailover{text} },
	"GoBack":           func(w *walk, text string) Command { return GoBack{one(w, "because", sayings...), text} },
	"Sanity":           func(w *walk, _ string) Command { return w.sanity() },
	"Advance":          func(_ *walk, text string) Command { return Advance{text} },
	"StepBack":         func(w *walk, _ string) Command { return w.stepBack() },
	"Relapsed":         func(_ *walk, text string) Command { return Relapsed{text} },
	"WatchOver":        func(_ *walk, text string) Command { return WatchOver{text} },
	"Cancel":           func(_ *walk, text string) Command { return Cancel{text} },
	"Close":            func(_ *walk, text string) Command { return Close{text} },
	"ParkLever": func(w *walk, text string) Command {
		return ParkLever{w.held(), "Olga", w.now.Add(one(w, "until", time.Hour, -time.Hour)), text}
	},
	"UnparkLever":   func(w *walk, _ string) Command { return UnparkLever{w.held()} },
	"MakePermanent": func(_ *walk, text string) Command { return MakePermanent{text} },
	"Remind":        func(*walk, string) Command { return Remind{} },
	"ScoreDrill": func(_ *walk, text string) Command {
		return ScoreDrill{DrillData{Lever: "to-standby", OK: text != "", Detail: text}}
	},

	"Captured": func(w *walk, text string) Command {
		return Captured{Evidence{Kind: "metrics", Title: "Disk use", Summary: text, Deciding: one(w, "deciding", "", "100 %"), At: w.now}}
	},
	"Attach": func(_ *walk, text string) Command { return Attach{Evidence{Kind: "note", Summary: text}} },
	"Redact": func(w *walk, text string) Command { return Redact{w.anyEvidence(), text} },
	"SeeChanges": func(w *walk, text string) Command {
		return SeeChanges{[]Change{{ID: one(w, "change", "ch-1", "ch-2"), At: w.now, What: text}}}
	},
	"MarkChange": func(w *walk, text string) Command {
		return MarkChange{one(w, "change", "ch-1", "ch-2"), one(w, "suspect", true, false), text}
	},
	"SeeSight": func(w *walk, text string) Command {
		return SeeSight{Sight{At: w.now, Check: "front", Place: "home", Home: true, Seen: one(w, "seen", "up", "down", "unknown"), Detail: text}}
	},
	"Measure": func(w *walk, _ string) Command { return Measure{w.in.Measured(w.now)} },

	"OpenCause": func(w *walk, text string) Command { return OpenCause{text, one(w, "prediction", "", "df shows it")} },
	"WeighCause": func(w *walk, text string) Command {
		return WeighCause{w.anyCause(), one(w, "by what", w.anyEvidence(), "ch-1"), one(w, "stance", For, For, Against, Neutral, "loudly"), text}
	},
	"TestCause": func(w *walk, text string) Command {
		return TestCause{w.anyCause(), one(w, "prediction", "", "df shows it"), one(w, "outcome", TestHeld, TestHeld, TestFailed, TestUnclear, ""), text}
	},
	"RuleOut":     func(w *walk, text string) Command { return RuleOut{w.anyCause(), text} },
	"ParkCause":   func(w *walk, text string) Command { return ParkCause{w.anyCause(), text} },
	"ReopenCause": func(w *walk, text string) Command { return ReopenCause{w.anyCause(), text} },
	"ConfirmCause": func(w *walk, text string) Command {
		return ConfirmCause{Cause: w.anyCause(), Also: one(w, "also", nil, []string{"c1", "c2"}), Factors: []string{text, " "}, Confidence: one(w, "sure", "", Likely, Proved, "very"), Reason: one(w, "anyway", sayings...)}
	},
	"WithdrawDiagnosis": func(_ *walk, text string) Command { return WithdrawDiagnosis{text} },

	"ProposeFix": func(w *walk, text string) Command {
		return ProposeFix{
			Change: one(w, "change", "I will delete the old logs.", text), Promise: w.promise(), WayBack: one(w, "way back", "Nothing.", text), Owner: one(w, "owner", "", "Olga"),
			Action: one(w, "action", "", "", "restart", "purge", "pray"), Reason: text,
		}
	},
	"ReportFix": func(w *walk, text string) Command {
		return ReportFix{Change: text, Promise: w.promise(), WayBack: text}
	},
	"WithdrawFix": func(_ *walk, text string) Command { return WithdrawFix{text} },
	"ApproveFix":  func(*walk, string) Command { return ApproveFix{} },
	"ObjectToFix": func(_ *walk, text string) Command { return ObjectToFix{text} },
	"GoAlone":     func(_ *walk, text string) Command { return GoAlone{text} },
	"ApplyFix":    func(_ *walk, text string) Command { return ApplyFix{text} },
	"JudgeFix": func(w *walk, text string) Command {
		return JudgeFix{one(w, "result", StateWorked, StateNoEffect, StateWorse, StateRolledBack), text}
	},
	"MeasureFix": func(*walk, string) Command { return MeasureFix{} },
	"TakeBackFix": func(w *walk, _ string) Command {
		return TakeBackFix{one(w, "which fix", "", "", idOf(w, "fix", w.in.Fixes, Fix.id))}
	},
	"KeepFix":      func(_ *walk, text string) Command { return KeepFix{text} },
	"ReadAgain":    func(w *walk, _ string) Command { return ReadAgain{w.reading()} },
	"FixTakenBack": func(w *walk, text string) Command { return FixTakenBack{one(w, "ok", true, true, false), text, text} },
	"FixCarriedOut": func(w *walk, text string) Command {
		return FixCarriedOut{one(w, "ok", true, true, true, false), text, text}
	},
	"ReadFix": func(w *walk, _ string) Command {
		return ReadFix{w.reading(), map[string]string{"cart": one(w, "cart", "pass", "fail", "")}}
	},

	"SetSeverity": func(w *walk, text string) Command { return SetSeverity{one(w, "level", "low", "high", "huge"), text} },
	"LinkIncident": func(w *walk, _ string) Command {
		return LinkIncident{one(w, "other", "inc-0", "inc-1", ""), one(w, "kind", "", "related", "twin")}
	},
	"TakeRole":       func(w *walk, _ string) Command { return TakeRole{one(w, "role", "lead", "scribe", "king")} },
	"ReleaseRole":    func(w *walk, _ string) Command { return ReleaseRole{one(w, "role", "lead", "scribe", "king")} },
	"OfferHandover":  func(_ *walk, text string) Command { return OfferHandover{"lead", "Cora", Brief{text, text, text}} },
	"AcceptHandover": func(*walk, string) Command { return AcceptHandover{"h1"} },
	"Choose":         func(_ *walk, text string) Command { return Choose{"Wake the owner?", []string{text, "no"}, "no", text} },
	"Object":         func(_ *walk, text string) Command { return Object{"d1", text} },
	"SendUpdate": func(w *walk, text string) Command {
		return SendUpdate{one(w, "audience", Public, Staff, Leaders, "world"), text, one(w, "next", 0, time.Minute, -time.Second), one(w, "final", false, false, true), []string{"mail"}}
	},
	"SnoozeUpdate": func(w *walk, text string) Command { return SnoozeUpdate{one(w, "by", time.Minute, 0), text} },
	"Delivered": func(w *walk, text string) Command {
		return Delivered{one(w, "update", "u1", ""), "mail", one(w, "ok", true, false), text}
	},
	"UpdateOverdue": func(*walk, string) Command { return UpdateOverdue{} },

	"EditSection": func(w *walk, text string) Command {
		return EditSection{one(w, "section", "impact", "summary", ""), text}
	},
	"Answer": func(w *walk, text string) Command { return Answer{one(w, "question", "help", "what"), text} },
	"JudgeFinding": func(w *walk, text string) Command {
		return JudgeFinding{Finding{ID: one(w, "finding", "", "late", "own2"), About: one(w, "about", AboutProcess, AboutArchitecture, ""), Text: text, Accepted: one(w, "accepted", true, false)}}
	},
	"Finalise": func(*walk, string) Command { return Finalise{"ab"} },
	"AddFollowUp": func(w *walk, text string) Command {
		return AddFollowUp{FollowUp{Kind: one(w, "kind", "", "idea", "dream"), What: text}}
	},
	"ChangeFollowUp": func(_ *walk, text string) Command {
		return ChangeFollowUp{FollowUp{ID: "a1", Owner: text, Due: night, DoneWhen: text}}
	},
	"EndFollowUp": func(w *walk, text string) Command {
		return EndFollowUp{"a1", one(w, "end", "done", "verified", "declined", ""), text}
	},
	"Correct": func(_ *walk, text string) Command { return Correct{fmt.Sprintf("%026d", 1), text} },
}

var drawable = slices.Sorted(maps.Keys(draws))

func TestTheWalkKnowsEveryCommand(t *testing.T) {
	t.Parallel()
	if want := commands(t); !slices.Equal(drawable, want) {
		t.Errorf("drawn:\n%v\nin the code:\n%v", drawable, want)
	}
}

// must decides as a person would press; it has to be accepted.
func (w *walk) must(c Command, change func(*Facts)) {
	w.t.Helper()
	f := w.facts
	f.Actor, f.HomeSeen, f.Standby, f.PlaceSeen = ada, "up", "pass", "up"
	if change != nil {
		change(&f)
	}
	drafts, err := w.in.Decide(c, f, w.now)
	if err != nil {
		w.t.Fatalf("%T in phase %q with %+v: %v", c, w.in.Phase, w.in.Pulls, err)
	}
	w.record(drafts)
}

// aside goes on with a copy, so that a check does not disturb the walk.
func (w *walk) aside() *walk {
	c := *w
	c.events = slices.Clone(w.events)
	return &c
}
