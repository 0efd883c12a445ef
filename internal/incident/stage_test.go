package incident

import (
	"slices"
	"testing"
	"time"
)

// staged begins a return in the stages 10, 50 and everybody, each held for five minutes.
func staged(s *tale) *tale {
	s.t.Helper()
	s.facts.Settings.Stages, s.facts.Settings.Hold = []int{10, 50, 100}, 5*time.Minute
	return s.contained().later(time.Hour).goBack("The power is back.")
}

// moved tells that every share under way is in force, or is not.
func (s *tale) moved(ok bool) *tale {
	s.t.Helper()
	n := 0
	for _, p := range s.in.Pulls {
		if p.Moving() {
			n++
			s.do(Shared{Pull: p.ID, Share: p.Wanted, OK: ok, Detail: "answer has it", TookMS: 2})
		}
	}
	if n == 0 {
		s.t.Fatal("no share is on its way")
	}
	return s
}

// inStages is a return that steps back once in the middle and then comes home.
func inStages(s *tale) *tale {
	s.t.Helper()
	staged(s).passes().moved(true).check("fail").check("fail").check("fail").moved(true)
	s.goBackAgain().passes().moved(false).moved(true)
	s.goBackAgain().passes().moved(true).later(5 * time.Minute).passes().moved(true)
	s.later(5 * time.Minute).passes().seen().home("up")
	return s.later(time.Hour).by(system).do(WatchOver{}).by(cora).do(Close{"Nobody was surprised."})
}

// givenUp has a pull whose way back somebody gives up.
func givenUp(s *tale) *tale {
	s.t.Helper()
	s.contained().pull("search-off").seen().do(Outcome{Pull: "search-off-2", GivenUp: true, Detail: "the index was thrown away"})
	return s.later(time.Hour).goBack("The power is back.").passes().seen().home("up")
}

func (s *tale) goBackAgain() *tale {
	s.t.Helper()
	return s.later(time.Hour).goBack("The cable is in now.")
}

// TestStages: what the return in stages does, step by step.
func TestStages(t *testing.T) {
	t.Parallel()
	shares := func(want int, moving bool) func(*testing.T, *tale) {
		return func(t *testing.T, s *tale) {
			p := s.in.Pulls[0]
			if p.Wanted != want || p.Moving() != moving {
				t.Errorf("%d %% wanted, on its way: %t; want %d %%, %t", p.Wanted, p.Moving(), want, moving)
			}
		}
	}
	for _, c := range []struct {
		name  string
		given func(*tale)
		cmd   Command
		later time.Duration
		want  []Type
		then  func(*testing.T, *tale)
	}{
		{name: "the first stage begins with the checks", given: func(s *tale) {
			s.facts.Settings.Stages = []int{10, 50}
			s.contained().later(time.Hour)
		}, cmd: GoBack{Because: sentence}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}, then: shares(0, false)},
		{name: "passes let a share back", given: func(s *tale) { staged(s).check("pass").check("pass").check("pass") }, cmd: sanityOf("pass"), want: []Type{CheckVerdict, StagePassed, LeverSharing}, then: shares(10, true)},
		{name: "the hold begins when the share is there", given: func(s *tale) { staged(s).passes() }, cmd: Shared{Pull: "to-standby-1", Share: 10, OK: true}, want: []Type{LeverShared, StageStarted}, then: shares(10, false)},
		{name: "no check counts while it is on its way", given: func(s *tale) { staged(s).passes() }, cmd: sanityOf("pass")},
		{name: "passes before the hold is over change nothing", given: func(s *tale) { staged(s).passes().moved(true).check("pass").check("pass").check("pass") }, cmd: sanityOf("pass"), want: []Type{CheckVerdict}, then: shares(10, false)},
		{name: "passes after it do", given: func(s *tale) { staged(s).passes().moved(true).check("pass").check("pass").check("pass") }, later: 5 * time.Minute, cmd: sanityOf("pass"), want: []Type{CheckVerdict, StagePassed, LeverSharing}, then: shares(50, true)},
		{name: "the hold alone does not", given: func(s *tale) { staged(s).passes().moved(true) }, later: time.Hour, cmd: sanityOf("pass"), want: []Type{CheckVerdict}},
		{name: "the last stage puts back", given: func(s *tale) {
			staged(s).passes().moved(true).later(time.Hour).passes().moved(true).later(time.Hour).check("pass").check("pass").check("pass")
		}, cmd: sanityOf("pass"), want: []Type{CheckVerdict, StagePassed, LeverUndoing}},
		{name: "everybody is back: no share is left", given: func(s *tale) {
			staged(s).passes().moved(true).later(time.Hour).passes().moved(true).later(time.Hour).passes()
		}, cmd: Outcome{Pull: "to-standby-1", Back: true, Result: Done}, want: []Type{LeverUndone, ReturnCompleted, PhaseChanged, WatchStarted}, then: shares(0, false)},
		{name: "inconclusive holds", given: func(s *tale) { staged(s).passes().moved(true) }, cmd: sanityOf("inconclusive"), want: []Type{CheckVerdict, ReturnHeld}, then: shares(10, false)},
		{name: "three fails take the share back", given: func(s *tale) { staged(s).passes().moved(true).check("fail").check("fail") }, cmd: sanityOf("fail"), want: []Type{CheckVerdict, SteppedBack, LeverSharing, PhaseChanged}, then: shares(0, true)},
		{name: "the site seen down takes it back at once", given: func(s *tale) { staged(s).passes().moved(true) }, cmd: Relapsed{"front fails"}, want: []Type{SteppedBack, LeverSharing, PhaseChanged}, then: shares(0, true)},
		{name: "seen down before anybody is back: the checks decide", given: func(s *tale) { staged(s) }, cmd: Relapsed{"front fails"}},
		{name: "a person steps back", given: func(s *tale) { staged(s).passes().moved(true) }, cmd: StepBack{}, want: []Type{SteppedBack, LeverSharing, PhaseChanged}, then: shares(0, true)},
		{name: "also while a share is on its way", given: func(s *tale) { staged(s).passes() }, cmd: StepBack{}, want: []Type{SteppedBack, LeverSharing, PhaseChanged}},
		{name: "nobody is back yet: nothing to take back", given: func(s *tale) { staged(s) }, cmd: StepBack{}, want: []Type{SteppedBack, PhaseChanged}},
		{name: "a pull of another lever takes it back", given: func(s *tale) { staged(s).passes().moved(true) }, cmd: PullLever{PullID: "x"}, want: []Type{SteppedBack, LeverSharing, PhaseChanged, LeverApplying}},
		{name: "what failed steps back and is taken back", given: func(s *tale) { staged(s).passes() }, cmd: Shared{Pull: "to-standby-1", Share: 10, Detail: "answer is gone"}, want: []Type{LeverShareFailed, SteppedBack, LeverSharing, PhaseChanged}, then: func(t *testing.T, s *tale) {
			if p := s.in.Pulls[0]; !p.Moving() || p.Share != 10 {
				t.Errorf("they may be back, and are not called: %+v", p)
			}
		}},
		{name: "taken back", given: func(s *tale) { staged(s).passes().moved(false) }, cmd: Shared{Pull: "to-standby-1", OK: true}, want: []Type{LeverShared}, then: shares(0, false)},
		{name: "not yet taken back is said once", given: func(s *tale) { staged(s).passes().moved(false) }, cmd: Shared{Pull: "to-standby-1"}, want: []Type{LeverShareFailed}},
		{name: "and not again", given: func(s *tale) { staged(s).passes().moved(false).moved(false) }, cmd: Shared{Pull: "to-standby-1"}, then: shares(0, true)},
		{name: "an older word changes nothing", given: func(s *tale) { staged(s).passes().moved(false) }, cmd: Shared{Pull: "to-standby-1", Share: 10, OK: true}},
		{name: "a person goes on before the hold is over", given: func(s *tale) { staged(s).passes().moved(true) }, cmd: Advance{sentence}, want: []Type{RuleOverridden, StagePassed, LeverSharing}, then: shares(50, true)},
		{name: "not while a share is on its way", given: func(s *tale) { staged(s).passes() }, cmd: Advance{sentence}},
		{name: "no parking in the middle", given: func(s *tale) { staged(s).passes().moved(true) }, cmd: park("to-standby")},
		{name: "no check, no stage", given: func(s *tale) {
			s.facts.Settings.Stages, s.facts.Gates = []int{10}, nil
			s.contained().later(time.Hour)
		}, cmd: GoBack{Because: sentence, Reason: sentence}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted, StagePassed, LeverUndoing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t)
			c.given(s)
			s.later(c.later)
			n := len(s.events)
			drafts, err := s.try(c.cmd, s.lever("search-off"))
			if len(c.want) == 0 {
				if err == nil && len(drafts) > 0 {
					t.Fatalf("got %v, want nothing", types(drafts))
				}
			} else if s.do(c.cmd, s.lever("search-off")); !slices.Equal(types(s.events[n:]), c.want) {
				t.Fatalf("got %v (%v)\nwant %v", types(s.events[n:]), err, c.want)
			}
			if c.then != nil {
				c.then(t, s)
			}
		})
	}
}

// TestStagesInWords: what people read on the way.
func TestStagesInWords(t *testing.T) {
	t.Parallel()
	s := inStages(story(t))
	var got []string
	for _, e := range s.events {
		if slices.Contains([]Type{StageStarted, StagePassed, LeverSharing, LeverShared, LeverShareFailed}, e.Type) {
			got = append(got, e.Text)
		}
	}
	const twice = "The real site looks healthy: front passed 4 times in a row."
	want := []string{
		"In stages: 10 %, then 50 % of the visitors, then everybody.",
		twice + " About 10 % of visitors go back.",
		`"Show visitors the status page": about 10 % of visitors go from standby to home.`,
		`"Show visitors the status page": about 10 % of visitors are back.`,
		"They are watched for 5m, then 50 % go back.",
		`"Show visitors the status page" holds for everybody again.`,
		`"Show visitors the status page" is in force for everybody.`,
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("got\n%q\nwant\n%q", got[:min(len(got), len(want))], want)
	}
	if last := got[len(got)-1]; last != twice+" All others go back." {
		t.Errorf("at the end: %q", last)
	}
}

// What worked at last, after somebody else had put the lever back in the middle of the
// return, leaves visitors with the site as it is: that is the first step again.
func TestAFixThatWorksWithNoLeverPulled(t *testing.T) {
	t.Parallel()
	s := story(t).worked().goBack("").do(Outcome{Pull: "to-standby-1", Back: true, Result: Done, Detail: "ns1 answers as before"})
	s.do(TakeBackFix{}).do(FixTakenBack{Detail: "exit 1"}).do(MeasureFix{}).do(JudgeFix{StateWorked, sentence})
	if s.in.Phase != FailOver {
		t.Errorf("at %q with %d levers pulled", s.in.Phase, len(s.in.Holding()))
	}
}
