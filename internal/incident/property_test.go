package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/fault"

	"pgregory.net/rapid"
)

// walk is a random incident: commands that were accepted, by anybody, on random
// facts, with acts that succeed, fail, or end unclear.
type walk struct {
	t      *rapid.T
	in     Incident
	events []Event
	facts  Facts
	now    time.Time
	ids    int
}

// moves are the phases that may follow a phase. The first lines are loop.md's table;
// the last ones have their reason beside them.
var moves = map[Phase][]Phase{
	None:     {FailOver},
	FailOver: {Diagnose, Cancelled, FailBack /* the return of a pull whose effect nobody has seen yet */},
	Diagnose: {Fix, FailBack, Cancelled, FailOver /* no lever is pulled any more */},
	Fix:      {Diagnose, FailBack},
	FailBack: {Diagnose, Watch},
	Watch:    {FailOver, Review},
	Review:   {Closed, FailOver /* a lever was pulled in the write-up */},
}

// explore takes a walk and calls check after every step, also before the first.
func explore(t *rapid.T, check func(*walk)) *walk {
	w := &walk{t: t, now: night, facts: Facts{
		IncidentID: "inc-1", Site: "shop", SiteTitle: rapid.SampledFrom([]string{"", "The Shop", fmt.Sprintf("%0250d", 7)}).Draw(t, "title"),
		Gates: rapid.SampledFrom([][]string{nil, {"front"}, {"front", "cart"}}).Draw(t, "gates"),
		Settings: Settings{
			Passes: rapid.IntRange(0, 2).Draw(t, "passes"), TakeBack: 15 * time.Minute, Watch: time.Hour, Settle: 30 * time.Second, AutoGap: time.Hour,
		},
	}}
	drill := rapid.IntRange(0, 9).Draw(t, "drill") == 0
	check(w)
	for range rapid.IntRange(0, 50).Draw(t, "steps") {
		w.now = w.now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Minute, 2 * time.Hour, -time.Hour}).Draw(t, "later"))
		w.step(w.command(drill))
		check(w)
		if w.in.Phase != None && !w.in.Phase.Open() {
			break
		}
	}
	return w
}

// step draws the facts, decides, and records what comes of it.
func (w *walk) step(c Command) {
	f := w.facts
	f.Actor = rapid.SampledFrom([]Actor{ada, ada, ada, ada, ada, health, system}).Draw(w.t, "actor")
	f.Standby = rapid.SampledFrom([]string{"pass", "fail", "inconclusive", ""}).Draw(w.t, "standby")
	f.HomeSeen = rapid.SampledFrom([]string{"up", "down", "unknown", ""}).Draw(w.t, "home")
	f.AutoHeld = rapid.IntRange(0, 4).Draw(w.t, "auto held") == 0
	if rapid.Bool().Draw(w.t, "moved before") {
		f.LastAuto = w.now.Add(-rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 3 * time.Hour}).Draw(w.t, "last auto"))
	}
	f.Lever = w.anyLever()
	w.decide(c, f)
}

// decide records events, or a refusal now and then, and holds what is true of every
// decision.
func (w *walk) decide(c Command, f Facts) error {
	before := stateJSON(w.t, w.in)
	drafts, err := w.in.Decide(c, f, w.now)
	again, err2 := w.in.Decide(c, f, w.now)
	if fmt.Sprint(err) != fmt.Sprint(err2) || !slices.Equal(types(drafts), types(again)) {
		w.t.Fatalf("%T decided twice: %v, %v and then %v, %v", c, types(drafts), err, types(again), err2)
	}
	if after := stateJSON(w.t, w.in); after != before {
		w.t.Fatalf("Decide(%T) changed the state:\n%s\n%s", c, before, after)
	}
	if r := refusalOf(err); r != nil {
		mustReadAsSentences(w.t, r)
		w.mustOfferAWay(c, f, r)
		if w.in.Phase.Open() && rapid.Bool().Draw(w.t, "keep refusal") {
			w.record(w.in.Refused(r, f.Actor, w.now))
		}
		return err
	}
	if err != nil {
		var fe *fault.Error
		if !errors.As(err, &fe) || fe.Kind == fault.Internal || fe.Text == "" {
			w.t.Fatalf("%T: %v", c, err)
		}
		return err
	}
	w.mustBeFree(c)
	w.mustNotPassByItself(f.Actor, drafts)
	w.record(drafts)
	return nil
}

// mustOfferAWay holds U8: what a refusal calls overridable, a person passes with a
// sentence; or another rule, never the same one again, stands in the way.
func (w *walk) mustOfferAWay(c Command, f Facts, r *fault.Refusal) {
	if !r.Overridable {
		return
	}
	f.Actor = ada
	_, err := w.in.Decide(withSentence(c), f, w.now)
	if again := refusalOf(err); again != nil && again.Rule == r.Rule {
		w.t.Fatalf("%T: %s offers a way through and does not take it: %v", c, r.Rule, err)
	}
}

func withSentence(c Command) Command {
	switch c := c.(type) {
	case PullLever:
		c.Reason = sentence
		return c
	case PutBack:
		c.Reason = sentence
		return c
	case GoBack:
		c.Reason = sentence
		return c
	case Advance:
		return Advance{sentence}
	case WatchOver:
		return WatchOver{sentence}
	case Close:
		return Close{sentence}
	case DecideNoFailover:
		return DecideNoFailover{sentence}
	}
	return c
}

// mustNotPassByItself holds U8 and U4: a soft rule is passed by a person, in words,
// and nothing leads away from safety by itself before the checks are in.
func (w *walk) mustNotPassByItself(a Actor, drafts []Event) {
	for _, e := range drafts {
		switch d, _ := read[ruleData](e); {
		case e.Type == RuleOverridden && (a.Automatic() || !says(d.Reason)):
			w.t.Fatalf("%s was passed by %s with %q", d.Rule, a.Name, d.Reason)
		case e.Type == ReturnPlanned && a.Automatic():
			w.t.Fatalf("%s started a return", a.Name)
		}
	}
}

// mustBeFree holds R10: nothing that takes the lock was accepted while it was held.
func (w *walk) mustBeFree(c Command) {
	switch c.(type) {
	case PutBack, GoBack:
		if lock := w.in.Lock(); lock != "" {
			w.t.Fatalf("%T was accepted while the lock was held: %s", c, lock)
		}
	}
}

func (w *walk) record(drafts []Event) {
	sealed := w.in.Seal(drafts, w.now, w.newID)
	for _, e := range sealed {
		w.mustMoveOn(e)
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
	if e.Type == Declared && !from.Open() {
		from = None // a timeline of its own
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

// mustHoldTogether holds what is true of every state.
func (w *walk) mustHoldTogether() {
	in := w.in
	for _, p := range in.Pulls {
		if p.State == Undoing && in.Lock() == "" {
			w.t.Fatalf("%s is on its way back and the lock is free", p.ID)
		}
		if in.Phase != FailBack {
			continue
		}
		if p.State == Applying {
			w.t.Fatalf("%s is being pulled during the return", p.ID)
		}
		if p.State == Undoing && !slices.Contains(in.Return.Undo, p.ID) {
			w.t.Fatalf("%s is on its way back beside the return", p.ID)
		}
	}
	if (in.Phase == FailBack) != (in.Return != nil && in.Phase != Watch) {
		w.t.Fatalf("phase %q with return %+v", in.Phase, in.Return)
	}
	if in.Phase == Watch && len(in.Holding()) > 0 {
		w.t.Fatalf("watching while %+v holds", in.Holding())
	}
	if in.Phase == Cancelled && len(in.Holding()) > 0 {
		w.t.Fatalf("a false alarm while %+v holds", in.Holding())
	}
	if in.Phase == Diagnose && !in.Drill && in.NoFailover == "" && len(in.Holding()) == 0 {
		w.t.Fatal("finding out what happened with no lever pulled and no reason why")
	}
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

// command draws what somebody wants: mostly what fits the phase, else anything at all.
func (w *walk) command(drill bool) Command {
	reason := rapid.SampledFrom([]string{sentence, sentence, "ok", " ", "", "\xff\xfe because <b>&"}).Draw(w.t, "reason")
	fits := w.fitting(reason, drill)
	if rapid.IntRange(0, 3).Draw(w.t, "fits") > 0 && len(fits) > 0 {
		return rapid.SampledFrom(fits).Draw(w.t, "command")
	}
	all := []Command{
		PullLever{PullID: w.newID(), Reason: reason, Drill: drill}, w.outcome(), w.outcome(), Note{reason},
		PutBack{Lever: rapid.SampledFrom(leverNames).Draw(w.t, "which"), Reason: reason}, w.stepBack(), w.sanity(), GoBack{reason, reason},
		Advance{reason}, Drifted{Pull: w.anyPull(), Detail: reason}, Relapsed{reason}, WatchOver{reason}, Propose{reason}, DecideNoFailover{reason},
		Cancel{reason}, Close{reason}, Remind{}, Declare{Title: reason, Drill: drill},
	}
	if !drill {
		all = append(all, Adopt{PullID: w.newID(), At: w.now.Add(-time.Minute), By: system, Title: reason})
	}
	return rapid.SampledFrom(all).Draw(w.t, "any command")
}

// fitting are the commands that get somewhere from here.
func (w *walk) fitting(reason string, drill bool) []Command {
	for _, p := range w.in.Pulls {
		if p.State == Applying || p.State == Undoing {
			result := rapid.SampledFrom([]Result{Done, Done, Done, NotDone, Unclear}).Draw(w.t, "result")
			return []Command{Outcome{Pull: p.ID, Back: p.State == Undoing, Result: result, Detail: "as seen from outside"}}
		}
	}
	press := PullLever{PullID: w.newID(), Reason: reason, Drill: drill}
	switch w.in.Phase {
	case FailOver:
		fits := []Command{press, press, press, DecideNoFailover{reason}, Cancel{reason}}
		if drill {
			fits = append(fits, ScoreDrill{DrillData{Lever: "to-standby", OK: true}})
		}
		return fits
	case Diagnose:
		fits := []Command{GoBack{reason, reason}, GoBack{reason, reason}, press, Remind{}}
		for _, p := range w.in.Holding() {
			fits = append(fits, PutBack{Lever: p.Lever, Reason: reason})
		}
		return fits
	case FailBack:
		return []Command{w.sanity(), w.sanity(), w.sanity(), Advance{reason}, w.stepBack(), press}
	case Watch:
		return []Command{WatchOver{reason}, WatchOver{sentence}, w.stepBack(), Relapsed{reason}, press}
	case Review:
		return []Command{Close{reason}, Note{sentence}, press}
	}
	return []Command{press, press, Declare{Title: reason, Drill: drill}, Propose{reason}}
}

func (w *walk) anyPull() string {
	ids := []string{"nobody's"}
	for _, p := range w.in.Pulls {
		ids = append(ids, p.ID)
	}
	return rapid.SampledFrom(ids).Draw(w.t, "pull")
}

func (w *walk) outcome() Outcome {
	return Outcome{
		Pull: w.anyPull(), Back: rapid.Bool().Draw(w.t, "back"), Detail: "as seen from outside",
		Result: rapid.SampledFrom([]Result{Done, Done, NotDone, Unclear}).Draw(w.t, "result"),
	}
}

func (w *walk) sanity() Sanity {
	return Sanity{
		Check:   rapid.SampledFrom([]string{"front", "cart"}).Draw(w.t, "check"),
		Verdict: rapid.SampledFrom([]string{"pass", "pass", "fail", "inconclusive", ""}).Draw(w.t, "verdict"),
	}
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

// must decides as a person would press; it has to be accepted.
func (w *walk) must(c Command, change func(*Facts)) {
	w.t.Helper()
	f := w.facts
	f.Actor, f.HomeSeen, f.Standby = ada, "up", "pass"
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

// From every state visitors can be brought to safety, whatever the world is like:
// one sentence is the most it costs, and an armed lever that leads upwards to a
// place that is well costs nothing.
func TestSafetyIsNeverRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		explore(t, func(w *walk) {
			for _, name := range leverNames {
				w.mustReachSafetyBy(name)
			}
		})
	})
}

func (w *walk) mustReachSafetyBy(name string) {
	w.t.Helper()
	l := leverFacts(w.in, name, w.now)
	worst := *l
	worst.ArmedUntil, worst.Reversible, worst.ToSeen = time.Time{}, false, "down"
	top, on := w.in.OnTop(l.Target)
	already := on && top.Lever == name && (top.State == Applying || top.State == Active) && w.in.Phase.Open()
	for _, c := range []struct {
		reason string
		facts  *LeverFacts
		well   bool
	}{{sentence, &worst, false}, {sentence, l, true}, {"", l, true}} {
		if c.reason == "" && l.ToRank < l.FromRank {
			continue // U1 asks for the sentence
		}
		a := w.aside()
		f := a.facts
		f.Actor, f.Lever, f.Standby, f.AutoHeld, f.LastAuto = ada, c.facts, "fail", true, w.now
		if c.well {
			f.Standby = "pass"
		}
		drafts, err := a.in.Decide(PullLever{PullID: "safe", Reason: c.reason, Drill: a.in.Drill}, f, a.now)
		if already {
			if fault.KindOf(err) != fault.Conflict {
				w.t.Fatalf("%s is pulled already: %v", name, err)
			}
			continue
		}
		if err != nil {
			w.t.Fatalf("no way to safety by %s in phase %q with the sentence %q: %v", name, w.in.Phase, c.reason, err)
		}
		a.record(drafts)
		a.must(Outcome{Pull: "safe", Result: Done, Detail: "seen"}, nil)
		if top, _ := a.in.OnTop(l.Target); top.ID != "safe" || top.State != Active || !a.in.Contained() {
			w.t.Fatalf("pulled and seen, yet on top is %+v", top)
		}
	}
}

// Stepping back is accepted wherever a return or a watch is, from anybody.
func TestSteppingBackIsNeverRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		explore(t, func(w *walk) {
			if w.in.Phase != FailBack && w.in.Phase != Watch {
				return
			}
			for _, who := range []Actor{ada, health, system} {
				a := w.aside()
				ids := map[string]string{}
				for i, id := range a.in.Returned() {
					ids[id] = fmt.Sprintf("again-%d", i)
				}
				a.must(StepBack{ids}, func(f *Facts) { f.Actor, f.AutoHeld, f.Standby = who, true, "fail" })
				for _, id := range ids {
					if p, _ := a.in.Pull(id); p.State != Applying {
						w.t.Fatalf("%s was not pulled again: %+v", id, p)
					}
				}
			}
		})
	})
}

// From every state an incident can be brought to its end by a person with
// sentences, when acts succeed and checks pass.
func TestEveryIncidentCanEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := explore(t, func(*walk) {})
		if w.in.Phase == None {
			return
		}
		for range 200 {
			if !w.in.Phase.Open() {
				return
			}
			w.must(w.homewards(), nil)
		}
		t.Fatalf("no end in sight: phase %q, %+v", w.in.Phase, w.in.Pulls)
	})
}

// homewards is what a person does to come to the end.
func (w *walk) homewards() Command {
	for _, p := range w.in.Pulls {
		if p.State == Applying || p.State == Undoing {
			return Outcome{Pull: p.ID, Back: p.State == Undoing, Result: Done, Detail: "seen"}
		}
	}
	holding := w.in.Holding()
	switch {
	case w.in.Phase == FailBack && !w.in.Return.Passed && rapid.Bool().Draw(w.t, "wait for checks"):
		for _, g := range w.facts.Gates {
			if w.in.Return.Streak[g] < w.in.Return.Needed {
				return Sanity{Check: g, Verdict: "pass"}
			}
		}
		return Advance{sentence}
	case w.in.Phase == FailBack:
		return Advance{sentence}
	case w.in.Phase == Watch:
		return WatchOver{sentence}
	case w.in.Phase == Review:
		return Close{sentence}
	case len(holding) == 0:
		return Cancel{sentence}
	case rapid.Bool().Draw(w.t, "by the return"):
		return GoBack{Because: sentence, Reason: sentence}
	}
	return PutBack{Lever: holding[len(holding)-1].Lever, Reason: sentence}
}

// Folding gives the same state however often and in whatever portions it is done,
// also after the events were written down and read back.
func TestFoldIsDeterministic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := explore(t, func(*walk) {})
		want := stateJSON(t, w.in)
		if got := stateJSON(t, Fold(w.events)); got != want {
			t.Fatalf("folded at once:\n%s\nstep by step:\n%s", got, want)
		}
		back := readBack(t, w.events)
		if got := stateJSON(t, Fold(back)); got != want {
			t.Fatalf("read back:\n%s\nwritten:\n%s", got, want)
		}
		if err := Verify(back); err != nil {
			t.Fatalf("read back: %v", err)
		}
		cut := rapid.IntRange(0, len(back)).Draw(t, "cut")
		var half Incident
		if err := json.Unmarshal([]byte(stateJSON(t, Fold(back[:cut]))), &half); err != nil {
			t.Fatal(err)
		}
		for _, e := range back[cut:] {
			half = half.Apply(e)
		}
		if got := stateJSON(t, half); got != want {
			t.Fatalf("from a state kept after %d events:\n%s\nwant:\n%s", cut, got, want)
		}
	})
}

func readBack(t failer, events []Event) []Event {
	t.Helper()
	var back []Event
	b, err := json.Marshal(events)
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil {
		t.Fatalf("write and read back: %v", err)
	}
	return back
}

// Apply leaves the state that it starts from as it was.
func TestApplyDoesNotTouchItsReceiver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := explore(t, func(*walk) {})
		var in Incident
		for _, e := range w.events {
			before := stateJSON(t, in)
			next := in.Apply(e)
			if after := stateJSON(t, in); after != before {
				t.Fatalf("%s changed the state that it was applied to:\n%s\n%s", e.Type, before, after)
			}
			in = next
		}
	})
}

// The timeline has no gap, its chain holds, and whatever is done to it shows.
func TestTamperingShows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := explore(t, func(*walk) {})
		if err := Verify(w.events); err != nil {
			t.Fatalf("untouched: %v", err)
		}
		for i, e := range w.events {
			if e.Seq != uint64(i+1) || e.RecordedAt.IsZero() || e.ID == "" || e.Text == "" || e.Schema != 1 {
				t.Fatalf("event %d: %+v", i, e)
			}
		}
		if len(w.events) < 2 {
			return
		}
		i := rapid.IntRange(0, len(w.events)-2).Draw(t, "event")
		if Verify(slices.Delete(slices.Clone(w.events), i, i+1)) == nil {
			t.Fatalf("event %d was dropped and nobody saw it", i)
		}
		swapped := slices.Clone(w.events)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		if Verify(swapped) == nil {
			t.Fatalf("events %d and %d changed places and nobody saw it", i, i+1)
		}
		if Verify(slices.Insert(slices.Clone(w.events), i, w.events[i])) == nil {
			t.Fatalf("event %d is there twice and nobody saw it", i)
		}
		w.mustSeeByte()
	})
}

// mustSeeByte changes one byte of a written event. Either it can't be read, or
// Verify says so, or it still says the very same (an escape in capitals).
func (w *walk) mustSeeByte() {
	i := rapid.IntRange(0, len(w.events)-1).Draw(w.t, "tampered event")
	line, err := json.Marshal(w.events[i])
	if err != nil {
		w.t.Fatalf("marshal: %v", err)
	}
	written := string(line)
	at := rapid.IntRange(0, len(line)-1).Draw(w.t, "at")
	line[at] ^= byte(rapid.IntRange(1, 255).Draw(w.t, "bits"))
	var e Event
	if json.Unmarshal(line, &e) != nil {
		return
	}
	tampered := slices.Clone(w.events)
	tampered[i] = e
	if Verify(tampered) != nil {
		return
	}
	if again, _ := json.Marshal(e); string(again) != written {
		w.t.Fatalf("nobody saw the change:\n%s\n%s", written, line)
	}
}

// A timeline with its end cut off is a whole one by itself; the number and hash of
// the last event, kept elsewhere, tell.
func TestACutTimelineIsToldByItsHead(t *testing.T) {
	t.Parallel()
	s := story(t).contained()
	cut := Fold(s.events[:len(s.events)-1])
	if cut.Seq == s.in.Seq || cut.Hash == s.in.Hash {
		t.Error("the head does not tell a cut timeline from a whole one")
	}
}

// An event of a newer version, or one that can't be read, costs nothing but itself.
func TestUnreadableEventsAreSkipped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := explore(t, func(*walk) {})
		var plain, mixed Incident
		for _, e := range w.events {
			for range rapid.IntRange(0, 2).Draw(t, "strangers") {
				mixed = mixed.Apply(stranger(t))
			}
			plain, mixed = plain.Apply(e), mixed.Apply(e)
			if got, want := stateJSON(t, mixed), stateJSON(t, plain); got != want {
				t.Fatalf("with strangers between:\n%s\nwithout:\n%s", got, want)
			}
		}
	})
}

// stranger is an event that this version can't read: an unknown type, or data that
// is no JSON or of another shape.
func stranger(t *rapid.T) Event {
	e := Event{Seq: 1 << 40, Hash: "stranger", Incident: "inc-9", At: night.Add(99 * time.Hour), Actor: health}
	if rapid.Bool().Draw(t, "unknown type") {
		e.Type = Type(rapid.SampledFrom([]string{"fix.applied", "incident.reopened", "", "lever.ACTIVE"}).Draw(t, "type"))
		e.Data = json.RawMessage(`{"pull":{"id":"x"},"to":"closed","lever":"x"}`)
		return e
	}
	e.Type = rapid.SampledFrom(typesWithData).Draw(t, "type with data")
	e.Data = json.RawMessage(rapid.SampledFrom([]string{
		"", "{", "7", `"x"`, "[]", "\x00", `{"pull":7,"to":7,"lever":7,"reason":7,"needed":"x","check":7,"undo":7,"until":7,"rule":7,"because":7}`,
	}).Draw(t, "data"))
	return e
}

// typesWithData are the types whose data Apply reads, but for the declaration.
var typesWithData = []Type{
	PhaseChanged, LeverProposed, LeverApplying, LeverActive, LeverSeen, LeverFailed, LeverUnknown, LeverUndoing, LeverUndone, LeverDrift,
	CheckVerdict, DecisionMade, ReturnPlanned, ReturnHeld, StagePassed, WatchStarted, RuleOverridden,
}
