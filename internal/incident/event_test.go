package incident

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// A field of the envelope that a newer version adds, outside of the hash, is left
// alone.
func TestUnknownFieldsOfTheEnvelope(t *testing.T) {
	t.Parallel()
	g := kept(t, goldenFile)[0]
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
	s := story(t).by(Actor{Kind: "person", ID: "\xff", Name: "Zo\xeb", Via: "c\xfei", Role: "admin"})
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
