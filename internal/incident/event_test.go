package incident

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Rewriting is for the time before the first release, and for new stories after it:
// what is written there once has to fold alike for ever.
var rewrite = flag.Bool("rewrite-golden", false, "write testdata anew")

// golden is one kept timeline and what it comes to.
type golden struct {
	Name   string   `json:"name"`
	Events []Event  `json:"events"`
	State  Incident `json:"state"`
}

// stories are the crises of the golden file; together they hold every type.
func stories(t *testing.T) []golden {
	var out []golden
	add := func(name string, s *tale) {
		out = append(out, golden{name, s.events, s.in})
	}

	s := story(t).by(health)
	s.do(Propose{"The front page fails: connection refused"}, s.lever("to-standby"))
	s.by(ada).note("Smoke in the <rack> & the lights are off.")
	s.later(time.Minute).do(PullLever{PullID: "backup-1", Reason: sentence}, s.lever("to-backup"), func(f *Facts) { f.Lever.ArmedUntil = time.Time{} }).end(NotDone)
	s.do(PullLever{PullID: "standby-2"}, s.lever("to-standby")).end(Unclear)
	s.do(Outcome{Pull: "standby-2", Result: Done, Detail: "ns1 and ns2 answer 192.0.2.4", Seen: json.RawMessage(`[{"witness":"ns1","world":"after"}]`), TookMS: 3})
	_, err := s.try(Cancel{})
	s.record(s.in.Refused(refusalOf(err), ada, s.now))
	s.later(20 * time.Minute).by(system).do(Drifted{Pull: "standby-2", Detail: "ns2 answers 192.0.2.9"}).do(Outcome{Pull: "standby-2", Result: Done, Detail: "ns2 is right again"})
	s.later(time.Hour).do(Remind{})
	s.by(ada).goBack("The power is back.").check("pass").check("inconclusive").check("fail").check("fail").check("fail")
	s.later(time.Hour).goBack("The power is back, and stays.").passes().seen()
	s.later(time.Minute).do(StepBack{map[string]string{"standby-2": "standby-3"}}).seen()
	s.later(time.Hour).goBack("The second cable is fixed, too.").do(Advance{"The checks are slow, the site is well."}).seen().home("up")
	s.later(time.Hour).do(WatchOver{}).do(Close{"It was the power company."})
	add("there and back", s)

	s = story(t).by(health).pull("to-standby").seen().by(ada).putBack("to-standby").seen()
	s.do(DecideNoFailover{"The health rule was wrong."}).home("up").do(Cancel{"A wrong check."})
	add("a false alarm by a rule", s)

	s = story(t)
	s.do(PullLever{PullID: "p", Drill: true}, s.lever("to-standby")).seen().putBack("to-standby").seen()
	s.do(ScoreDrill{DrillData{Lever: "to-standby", ThereMS: 7, BackMS: 9, OK: true}})
	add("a drill", s)

	s = story(t)
	s.do(Adopt{PullID: "p", At: night.Add(-time.Hour), By: Actor{Kind: "person", Name: "root", Via: "socket"}, Title: "Pulled at answer", Detail: "control was gone"}, s.lever("to-standby"))
	add("a local order", s.do(Outcome{Pull: "p", Result: Done, Detail: "ns1 answers 192.0.2.4"}))
	return out
}

// strangers turns a kept timeline into one that a newer version wrote: fields, types
// and a schema that this version does not know.
func strangers(in golden) golden {
	var drafts []Event
	for i, e := range in.Events {
		e.Data = bytes.Replace(e.Data, []byte("{"), []byte(`{"of_a_newer_version":{"a":[1,2]},`), 1)
		e.Data = bytes.Replace(e.Data, []byte(",}"), []byte("}"), 1)
		drafts = append(drafts, e, Event{
			ID: fmt.Sprintf("NEWER%021d", i), Incident: e.Incident, Type: Type(fmt.Sprintf("newer.thing_%d", i)), At: e.At, RecordedAt: e.RecordedAt,
			AtSource: "satellite", Actor: Actor{Kind: "swarm"}, Visibility: "staff", Story: "auto", Text: "Something new.", Data: json.RawMessage(`{"pull":"standby-2","to":"closed"}`),
		})
	}
	prev := ""
	for i := range drafts {
		e := &drafts[i]
		e.Seq, e.Schema, e.PrevHash = uint64(i+1), 2, prev
		e.Hash = e.digest()
		prev = e.Hash
	}
	return golden{in.Name + ", by a newer version", drafts, Fold(drafts)}
}

func keep(t *testing.T, file string, gs []golden) {
	t.Helper()
	b, err := json.MarshalIndent(gs, "", " ")
	if err == nil {
		err = os.MkdirAll("testdata", 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join("testdata", file), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kept reads a golden file. Indentation in the file is taken out of the data again,
// as it is no part of what was hashed.
func kept(t *testing.T, file string) []golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, b); err != nil {
		t.Fatal(err)
	}
	var gs []golden
	if err := json.Unmarshal(flat.Bytes(), &gs); err != nil {
		t.Fatal(err)
	}
	if len(gs) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return gs
}

func TestGoldenRewrite(t *testing.T) {
	if !*rewrite {
		t.Skip("the golden files stay as they are; -rewrite-golden writes them")
	}
	v1 := stories(t)
	keep(t, "events-v1.json", v1)
	keep(t, "events-newer.json", []golden{strangers(v1[0])})
}

// What format 1 holds folds to the same state for ever.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"events-v1.json", "events-newer.json"} {
		for _, g := range kept(t, file) {
			t.Run(file+"/"+g.Name, func(t *testing.T) {
				t.Parallel()
				if err := Verify(g.Events); err != nil {
					t.Errorf("the chain: %v", err)
				}
				if got, want := stateJSON(t, Fold(g.Events)), stateJSON(t, g.State); got != want {
					t.Errorf("folds to\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

// The golden file leaves out no type of this version.
func TestGoldenHoldsEveryType(t *testing.T) {
	t.Parallel()
	held := map[Type]bool{}
	for _, g := range kept(t, "events-v1.json") {
		for _, e := range g.Events {
			held[e.Type] = true
		}
	}
	for _, typ := range allTypes {
		if !held[typ] {
			t.Errorf("no %s in the golden file", typ)
		}
	}
	for typ := range folds {
		if !slices.Contains(allTypes, typ) {
			t.Errorf("%s is folded and not in the list of this test", typ)
		}
	}
}

var allTypes = []Type{
	Declared, PhaseChanged, CancelledType, ClosedType, LeverProposed, LeverApplying, LeverActive, LeverSeen, LeverFailed, LeverUnknown,
	LeverUndoing, LeverUndone, LeverDrift, CheckVerdict, DecisionMade, ReturnPlanned, StageStarted, StagePassed, ReturnHeld, SteppedBack,
	ReturnCompleted, WatchStarted, WatchRelapse, WatchPassed, RuleRefused, RuleOverridden, AutoHeldType, NoteAdded, TimerFired, DrillStarted, DrillScored,
}

// A newer version's timeline comes to what it comes to without the news, but for
// the numbers of the events.
func TestNewerVersionChangesNothingElse(t *testing.T) {
	t.Parallel()
	plain, newer := kept(t, "events-v1.json")[0].State, kept(t, "events-newer.json")[0].State
	for _, in := range []*Incident{&plain, &newer} {
		in.Seq, in.Hash = 0, ""
		for i := range in.Pulls {
			in.Pulls[i].Token = 0
		}
	}
	if got, want := stateJSON(t, newer), stateJSON(t, plain); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A field of the envelope that a newer version adds, outside of the hash, is left
// alone.
func TestUnknownFieldsOfTheEnvelope(t *testing.T) {
	t.Parallel()
	g := kept(t, "events-v1.json")[0]
	var read []Event
	for _, e := range g.Events {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b = append([]byte(`{"of_a_newer_version":[{}],`), b[1:]...)
		var back Event
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		read = append(read, back)
	}
	if err := Verify(read); err != nil {
		t.Error(err)
	}
	if got, want := stateJSON(t, Fold(read)), stateJSON(t, g.State); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A phase that this version does not have leaves the incident where it can be
// brought to safety and to its end.
func TestUnknownPhaseIsSkipped(t *testing.T) {
	t.Parallel()
	s := story(t).contained()
	for _, to := range []Phase{"", "verify", "CLOSED"} {
		s.record([]Event{s.raw(PhaseChanged, phaseData{Diagnose, to})})
		if s.in.Phase != Diagnose || !s.in.Contained() {
			t.Fatalf("phase %q after a move to %q", s.in.Phase, to)
		}
	}
}

// A declaration holds the site even when nothing in it can be read.
func TestUnreadableDeclarationStillOpens(t *testing.T) {
	t.Parallel()
	in := Incident{}.Apply(Event{Incident: "inc-7", Seq: 1, Type: Declared, At: night, Data: json.RawMessage(`{"title":`)})
	if !in.Phase.Open() || in.ID != "inc-7" || !in.DeclaredAt.Equal(night) {
		t.Errorf("got %s", stateJSON(t, in))
	}
}

// Data that lack what they are about change nothing.
func TestHollowEventsAreSkipped(t *testing.T) {
	t.Parallel()
	s := story(t).contained()
	for _, typ := range typesWithData {
		if typ == RuleOverridden || typ == DecisionMade || typ == LeverProposed || typ == ReturnPlanned {
			continue // these are about nothing but themselves
		}
		got := s.in.Apply(Event{Type: typ, Seq: s.in.Seq, Hash: s.in.Hash, At: s.now, Data: json.RawMessage(`{}`)})
		if typ == WatchStarted {
			continue // a watch without an end is over
		}
		if stateJSON(t, got) != stateJSON(t, s.in) {
			t.Errorf("%s with nothing in it: %s", typ, stateJSON(t, got))
		}
	}
	got := s.in.Apply(Event{Type: ReturnPlanned, Data: json.RawMessage(`{}`)})
	if got.Return.Needed < 1 {
		t.Error("a return that needs no pass")
	}
}

// What people type may be anything; it reads back with the same hash.
func TestTypedBytesKeepTheChain(t *testing.T) {
	t.Parallel()
	s := story(t).by(Actor{Kind: "person", ID: "\xff", Name: "Zo\xeb", Via: "c\xfei"})
	s.do(Declare{Title: "\xfe\xff <down> & out \u2028"}).note("caf\xe9 \\ufffd \x00").pull("to-standby")
	s.do(Outcome{Pull: "to-standby-1", Result: Unclear, Detail: "\xc3\x28", Seen: json.RawMessage("{ \"a\" :\n \"<b>\" }")})
	if err := Verify(readBack(t, s.events)); err != nil {
		t.Error(err)
	}
}

// Data that is no JSON is our own fault, told before anything is recorded.
func TestDataThatIsNoJSON(t *testing.T) {
	t.Parallel()
	s := story(t).declare()
	if drafts, err := s.try(pull(""), s.lever("to-standby"), func(f *Facts) { f.Lever.Plan = json.RawMessage("{") }); err == nil {
		t.Errorf("a plan that can't be read was recorded: %v", types(drafts))
	}
	s.pull("to-standby")
	if drafts, err := s.try(Outcome{Pull: "to-standby-1", Result: Done, Seen: json.RawMessage("nonsense")}); err == nil {
		t.Errorf("an outcome that can't be read was recorded: %v", types(drafts))
	}
}

// Times are kept in UTC, wherever they were taken.
func TestSealDates(t *testing.T) {
	t.Parallel()
	s := story(t)
	zone := time.FixedZone("Kathmandu", 5*3600+45*60)
	s.now = night.In(zone)
	s.do(Declare{Title: "x"}, func(f *Facts) { f.At = night.Add(-time.Hour).In(zone) })
	e := s.events[0]
	if e.At.Location() != time.UTC || e.RecordedAt.Location() != time.UTC || !e.At.Equal(night.Add(-time.Hour)) || !e.RecordedAt.Equal(night) {
		t.Errorf("happened %s, recorded %s", e.At, e.RecordedAt)
	}
}

func TestVerifyNamesTheEvent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func([]Event) []Event
		want   string
	}{
		"gap":       {func(es []Event) []Event { return slices.Delete(es, 2, 3) }, "gap"},
		"beginning": {func(es []Event) []Event { return es[1:] }, "gap"},
		"text":      {func(es []Event) []Event { es[2].Text += "!"; return es }, "event 3 of inc-1 was changed"},
		"data":      {func(es []Event) []Event { es[1].Data = json.RawMessage(`{}`); return es }, "event 2 of inc-1 was changed"},
		"resealed":  {func(es []Event) []Event { es[1].Text += "!"; es[1].Hash = es[1].digest(); return es }, "event 3 of inc-1 does not follow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Verify(c.change(slices.Clone(story(t).contained().events)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := Verify(nil); err != nil {
		t.Errorf("nothing has no gap: %v", err)
	}
}

// FuzzApply: whatever an event holds, folding it neither fails nor touches what it
// starts from, moves the number and the hash on, and gives a state that can be kept,
// decided on and brought to safety.
func FuzzApply(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "events-v1.json"))
	if err != nil {
		f.Fatal(err)
	}
	var gs []golden
	if err := json.Unmarshal(b, &gs); err != nil {
		f.Fatal(err)
	}
	for _, g := range gs {
		for i, e := range g.Events {
			line, _ := json.Marshal(e)
			f.Add(line, uint8(i))
		}
	}
	f.Add([]byte(`{"type":"incident.phase_changed","data":{"to":"fail_back"}}`), uint8(5))
	f.Add([]byte(`{"type":"check.verdict","data":{"check":"front","streak":-9223372036854775808}}`), uint8(200))
	crisis := gs[0].Events
	f.Fuzz(func(t *testing.T, line []byte, after uint8) {
		var e Event
		if json.Unmarshal(line, &e) != nil {
			return
		}
		in := Fold(crisis[:int(after)%(len(crisis)+1)])
		before := stateJSON(t, in)
		next := in.Apply(e)
		if stateJSON(t, in) != before {
			t.Fatal("Apply changed the state that it was applied to")
		}
		if next.Seq != e.Seq || next.Hash != e.Hash {
			t.Fatalf("at %d %q, want %d %q", next.Seq, next.Hash, e.Seq, e.Hash)
		}
		_ = Verify(append(slices.Clone(crisis), e))
		fact := story(t).facts
		for _, c := range []Command{Sanity{Check: "front", Verdict: "pass"}, StepBack{map[string]string{"standby-2": "x"}}, GoBack{Because: sentence}, Advance{sentence}, Outcome{Pull: "standby-2", Back: true, Result: Done}} {
			_, _ = next.Decide(c, fact, night)
		}
		fact.Lever = leverFacts(next, "to-standby", night)
		_, err := next.Decide(PullLever{PullID: "safe", Reason: sentence, Drill: next.Drill}, fact, night)
		if r := refusalOf(err); r != nil {
			t.Fatalf("no way to safety: %v", err)
		}
	})
}
