package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/fault"

	"pgregory.net/rapid"
)

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
	already := w.pulledAlready(l)
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

// From every state a person brings visitors to safety at once, and then the incident to
// its end, in few steps, when acts succeed and checks pass.
func TestFromAnywhereToSafetyAndTheEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := explore(t, func(*walk) {})
		for _, name := range leverNames {
			a := w.aside()
			if !a.safeBy(name) {
				continue
			}
			a.mustEnd()
		}
	})
}

// From every state an incident can be brought to its end without a lever, too.
func TestEveryIncidentCanEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if w := explore(t, func(*walk) {}); w.in.Phase != None {
			w.mustEnd()
		}
	})
}

// safeBy pulls a lever as an admin does, without a word; it is accepted at once, unless
// it is pulled already or leads down.
func (w *walk) safeBy(name string) bool {
	w.t.Helper()
	l := leverFacts(w.in, name, w.now)
	if w.pulledAlready(l) || l.ToRank < l.FromRank {
		return false
	}
	w.must(PullLever{PullID: "safe", Drill: w.in.Drill}, func(f *Facts) { f.Lever = l })
	return true
}

// pulledAlready says whether a lever is on top of its target, also as what an earlier
// incident has left parked.
func (w *walk) pulledAlready(l *LeverFacts) bool {
	in := w.in
	if !in.Phase.Open() {
		in = Incident{Pulls: w.facts.Parked}
	}
	top, on := in.OnTop(l.Target)
	return on && top.Lever == l.Name && (top.State == Applying || top.State == Active && !top.Drifted)
}

// mustEnd takes the way out. It is long enough for every act under way to end, for a fix
// to be settled, and for the return with its checks.
func (w *walk) mustEnd() {
	w.t.Helper()
	start, most := w.in.Phase, 80+3*len(w.in.Holding())
	for n := 0; w.in.Phase.Open(); n++ {
		if n > most {
			w.t.Fatalf("no end in sight after %d steps from %q: at %q, %+v, %+v", n, start, w.in.Phase, w.in.Pulls, w.in.Fixes)
		}
		c, by := w.wayOut()
		w.must(c, func(f *Facts) { f.Actor = by })
	}
	if l := locks(w.in); len(l) > 0 && !w.in.Drill {
		w.t.Fatalf("over at %q, and locked: %v", w.in.Phase, l)
	}
}

// wayOut is the next step of somebody who wants to come to the end, from what can be
// seen of the state alone. Where there are several, one is drawn.
func (w *walk) wayOut() (Command, Actor) {
	if f, flies := w.in.FixInFlight(); flies {
		return w.settle(f)
	}
	for _, p := range w.in.Pulls {
		if p.State == Applying || p.State == Undoing {
			return Outcome{Pull: p.ID, Back: p.State == Undoing, Result: Done, Detail: "seen"}, system
		}
		if p.Moving() {
			return Shared{Pull: p.ID, Share: p.Wanted, OK: true}, system
		}
	}
	if f, waits := w.in.FixPlanned(); waits {
		if w.in.Phase != FailOver && !w.in.Drill && len(w.in.Fixes) < 20 && rapid.Bool().Draw(w.t, "begin it") {
			return ApplyFix{sentence}, cora
		}
		_ = f
		return WithdrawFix{sentence}, olga
	}
	if w.in.Drill && rapid.Bool().Draw(w.t, "end the drill") {
		return ScoreDrill{DrillData{Lever: "to-standby", OK: true}}, system
	}
	return w.homewards(), ada
}

// settle is how a fix in flight comes to its end.
func (w *walk) settle(f Fix) (Command, Actor) {
	switch f.State {
	case StateApplying:
		return one[Command](w, "carried out", FixCarriedOut{OK: true}, FixCarriedOut{}, TakeBackFix{}), system
	case StateMeasuring:
		return one[Command](w, "measured", JudgeFix{StateWorked, sentence}, JudgeFix{StateNoEffect, sentence}, JudgeFix{StateWorse, sentence}, TakeBackFix{}), olga
	case StateInterrupted:
		return one[Command](w, "interrupted", JudgeFix{StateWorked, sentence}, KeepFix{sentence}, TakeBackFix{}), olga
	case StateRollingBack:
		if f, _ := w.in.FixInFlight(); f.Action != "" && f.Undo { // its action ends it
			return FixTakenBack{OK: true}, olga
		}
		return one[Command](w, "rolled back", FixTakenBack{OK: true}, KeepFix{sentence}), olga
	}
	return one[Command](w, "in vain", KeepFix{sentence}, TakeBackFix{}), olga
}

// homewards is the way from a state in which nothing is under way.
func (w *walk) homewards() Command {
	switch w.in.Phase {
	case FailBack:
		for _, g := range w.facts.Gates {
			if w.in.Return.Streak[g] < w.in.Return.Needed && rapid.Bool().Draw(w.t, "wait for checks") {
				return Sanity{Check: g, Verdict: "pass"}
			}
		}
		return Advance{sentence}
	case Watch:
		return WatchOver{sentence}
	case Review:
		return Close{sentence}
	}
	loose, parked := w.in.Loose(), w.in.ParkedPulls()
	_, fixed := w.in.LastFix()
	back := len(loose) > 0 || fixed || w.in.NoFailover != ""
	switch {
	case back && (w.in.Phase == Fixing || rapid.Bool().Draw(w.t, "by the return")):
		return GoBack{Because: sentence, Reason: sentence}
	case len(loose) > 0:
		return PutBack{Lever: loose[len(loose)-1].Lever, Reason: sentence}
	case len(parked) > 0 && rapid.Bool().Draw(w.t, "with the rest"):
		return UnparkLever{parked[0].Lever}
	case len(parked) > 0:
		return PutBack{Lever: parked[len(parked)-1].Lever, Reason: sentence}
	case w.in.Phase == Fixing:
		return GoBack{Because: sentence, Reason: sentence}
	}
	return Cancel{sentence}
}

// Two people press at the same time: whoever comes second meets what the first has done,
// and never do both hold the lock.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := explore(t, func(*walk) {})
		presses := w.presses()
		for _, first := range presses {
			a := w.aside()
			if !a.press(first, ada) {
				continue
			}
			for _, second := range presses {
				a.aside().press(second, cora)
			}
		}
	})
}

// presses are what takes the lock, or a position, or ends something, as it looks from
// here.
func (w *walk) presses() []Command {
	all := []Command{
		GoBack{sentence, sentence}, plan2(), ReportFix{Change: "I have rebooted it."}, ApplyFix{sentence}, TakeBackFix{}, KeepFix{sentence}, MeasureFix{}, JudgeFix{StateWorked, sentence},
		MakePermanent{sentence}, Advance{sentence}, w.stepBack(), Cancel{sentence}, Close{sentence}, WatchOver{sentence}, PullLever{PullID: "two-1", Reason: sentence, Drill: w.in.Drill},
		FixCarriedOut{OK: true}, FixTakenBack{OK: true}, DecideNoFailover{sentence},
	}
	for _, p := range w.in.Holding() {
		all = append(all, PutBack{p.Lever, sentence}, UnparkLever{p.Lever}, Outcome{Pull: p.ID, Back: true, Result: Done, Detail: "seen"}, Outcome{Pull: p.ID, Result: Unclear, Detail: "not seen"})
	}
	return all
}

// plan2 is a fix that a rule has nothing against, or that goes on anyway.
func plan2() ProposeFix {
	p := plan()
	p.Reason = sentence
	return p
}

// press decides and records as anybody would; record holds what is true of every state.
func (w *walk) press(c Command, by Actor) bool {
	f := w.facts
	f.Actor, f.HomeSeen, f.Standby, f.PlaceSeen, f.Place, f.Origin = by, "up", "pass", "up", "backup", true
	f.Lever = leverFacts(w.in, "search-off", w.now)
	drafts, err := w.in.Decide(c, f, w.now)
	if err != nil {
		return false
	}
	w.mustBeFree(c)
	w.record(drafts)
	return true
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
		e.Type = Type(rapid.SampledFrom([]string{"fix.settled", "incident.reopened", "", "lever.ACTIVE", "return.given_up"}).Draw(t, "type"))
		e.Data = json.RawMessage(`{"id":"f1","pull":{"id":"x"},"to":"closed","lever":"x"}`)
		return e
	}
	e.Type = rapid.SampledFrom(typesWithData).Draw(t, "type with data")
	e.Data = json.RawMessage(rapid.SampledFrom(unreadable).Draw(t, "data"))
	return e
}

// unreadable are data that no type of this version reads, or that say nothing.
var unreadable = []string{
	"", "{", "7", `"x"`, "[]", "\x00",
	`{"id":7,"pull":7,"to":7,"lever":7,"reason":7,"needed":"x","check":7,"undo":7,"until":7,"rule":7,"because":7,"cause":7,"change":7,"result":7,"what":7,"text":7,"level":7,"incident":7,"role":7,"due":7,"question":7,"audience":7,"key":7,"version":"x","seen":7,"at":7,"causes":7,"started_at":7}`,
}

// typesWithData are the types whose data Apply reads, but for the declaration.
var typesWithData = func() []Type {
	byEnvelope := []Type{Declared, CancelledType, ClosedType, AutoHeldType, TimerFired, ReturnCompleted}
	var out []Type
	for typ := range folds {
		if !slices.Contains(byEnvelope, typ) {
			out = append(out, typ)
		}
	}
	slices.Sort(out)
	return out
}()
