package incident

import (
	"encoding/json"
	"slices"
	"testing"
)

// FuzzApply: whatever an event holds, folding it neither fails nor touches what it
// starts from, moves the number and the hash on, and gives a state that can be kept,
// decided on and brought to safety.
func FuzzApply(f *testing.F) {
	gs := kept(f, goldenFile)
	for _, g := range gs {
		for i, e := range g.Events {
			line, _ := json.Marshal(e)
			f.Add(line, uint8(i))
		}
	}
	f.Add([]byte(`{"type":"incident.phase_changed","data":{"to":"fail_back"}}`), uint8(5))
	f.Add([]byte(`{"type":"check.verdict","data":{"check":"front","streak":-9223372036854775808}}`), uint8(200))
	crisis := called(f, gs, "the whole loop").Events
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
		mustDecide(t, next)
	})
}

// FuzzFold: whatever a timeline holds, folding it neither fails nor depends on how it is
// done, and gives a state that can be kept, decided on and brought to safety.
func FuzzFold(f *testing.F) {
	for _, file := range []string{goldenFile, newerFile} {
		for _, g := range kept(f, file) {
			for part := range slices.Chunk(g.Events, 3) { // what is short is changed quickly
				f.Add([]byte(asJSON(f, append(slices.Clone(g.Events[:1]), part...))))
			}
		}
	}
	f.Add([]byte(`[{"type":"incident.declared"},{"type":"fix.proposed","data":{"id":"f1","started_at":"0001-02-03T04:05:06Z"}},{"type":"fix.measured","data":{"id":"f1","result":"partly"}}]`))
	f.Add([]byte(`[{"type":"incident.phase_changed","data":{"to":"fail_back"}},{"type":"failback.planned","data":{"needed":-1}},{"type":"failback.stage_passed","data":{"undo":["x"]}}]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var events []Event
		if len(line) > 64<<10 || json.Unmarshal(line, &events) != nil || len(events) > 500 {
			return
		}
		whole := Fold(events)
		var in Incident
		for _, e := range events {
			in = in.Apply(e)
		}
		if got, want := stateJSON(t, in), stateJSON(t, whole); got != want {
			t.Fatalf("one by one:\n%s\nat once:\n%s", got, want)
		}
		var back Incident
		if err := json.Unmarshal([]byte(stateJSON(t, whole)), &back); err != nil {
			t.Fatalf("kept and not read back: %v", err)
		}
		_ = Verify(events)
		for i := range whole.Fixes {
			if locked := whole.Fixes[i].inFlight(); locked && whole.Lock() == "" {
				t.Fatalf("%+v is in flight and the lock is free", whole.Fixes[i])
			}
		}
		mustDecide(t, whole)
	})
}

// mustDecide asks a state everything: nothing panics, and safety is never refused.
func mustDecide(t *testing.T, in Incident) {
	t.Helper()
	facts := story(t).facts
	for _, x := range everyCommand {
		_, _ = in.Decide(x.cmd, facts, night)
		with, _ := withSentence(x.cmd)
		_, _ = in.Decide(with, facts, night)
	}
	for _, c := range pointed(in) {
		_, _ = in.Decide(c, facts, night)
	}
	_, _ = in.Reminder()
	_, _ = in.Measured(night), in.Returned()
	facts.Lever = leverFacts(in, "to-standby", night)
	_, err := in.Decide(PullLever{PullID: "safe", Reason: sentence, Drill: in.Drill}, facts, night)
	if r := refusalOf(err); r != nil {
		t.Fatalf("no way to safety: %v", err)
	}
}

// pointed are commands about what is in the state.
func pointed(in Incident) []Command {
	out := []Command{
		Sanity{Check: "front", Verdict: "pass"}, Sanity{Check: "front", Verdict: "fail"}, GoBack{sentence, sentence}, plan2(), ApplyFix{sentence}, FixCarriedOut{OK: true}, reading("pass", night), reading("fail", night),
		JudgeFix{StateWorked, sentence}, FixTakenBack{OK: true}, KeepFix{sentence}, ReadAgain{Reading{Verdict: "pass"}}, ConfirmCause{Cause: "c1", Reason: sentence}, AddFollowUp{FollowUp{What: sentence}}, Answer{"help", sentence},
	}
	again := map[string]string{}
	for _, p := range in.Pulls {
		again[p.ID] = "again-" + p.ID
		out = append(out, Outcome{Pull: p.ID, Result: Done}, Outcome{Pull: p.ID, Back: true, Result: Done}, Outcome{Pull: p.ID, Result: Unclear}, Outcome{Pull: p.ID, GivenUp: true, Detail: "given up"}, PutBack{p.Lever, sentence}, park(p.Lever), UnparkLever{p.Lever}, Drifted{Pull: p.ID}, Shared{Pull: p.ID, Share: p.Wanted, OK: true}, Shared{Pull: p.ID, Share: p.Wanted})
	}
	return append(out, StepBack{again})
}
