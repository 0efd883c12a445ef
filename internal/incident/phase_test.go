package incident

import (
	"slices"
	"testing"
	"time"
)

// phaseTable is the table of the phases as it was designed, row by row, each with a
// story that goes that way. What lies between is in the rules' tables.
var phaseTable = []struct {
	from, to Phase
	how      string
	tell     func(*tale)
}{
	{None, FailOver, "a person declares", func(s *tale) { s.declare() }},
	{None, FailOver, "a rule proposes", func(s *tale) { s.do(Propose{"The front page fails."}, s.lever("to-standby")) }},
	{None, FailOver, "a lever is pulled", func(s *tale) { s.pull("to-standby") }},
	{FailOver, FailOver, "a lever is pulled", func(s *tale) { s.declare().pull("to-standby") }},
	{Diagnose, Diagnose, "a lever is pulled", func(s *tale) { s.contained().pull("search-off").seen() }},
	{Fixing, Fixing, "a lever is pulled", func(s *tale) { s.measuring().pull("search-off").seen() }},
	{FailOver, Diagnose, "its effect is seen from outside", func(s *tale) { s.contained() }},
	{FailOver, Diagnose, "somebody decides not to fail over", func(s *tale) { s.declare().do(DecideNoFailover{sentence}) }},
	{FailOver, Cancelled, "a false alarm", func(s *tale) { s.declare().home("up").do(Cancel{}) }},
	{Diagnose, Cancelled, "a false alarm", func(s *tale) { s.declare().do(DecideNoFailover{sentence}).home("up").do(Cancel{}) }},
	{Diagnose, Fixing, "a fix is proposed", func(s *tale) { s.proposed() }},
	{Diagnose, Fixing, "a fix was made elsewhere", func(s *tale) { s.contained().do(ReportFix{Change: "I have rebooted it."}) }},
	{Fixing, Fixing, "it is begun", func(s *tale) { s.applying() }},
	{Fixing, Fixing, "it works", func(s *tale) { s.worked() }},
	{Fixing, Fixing, "it does nothing, and is offered for taking back", func(s *tale) { s.fruitless() }},
	{Fixing, Fixing, "it does harm, and is offered for taking back", func(s *tale) { s.harmful() }},
	{Fixing, Diagnose, "it is rolled back", func(s *tale) { s.rolledBack() }},
	{Fixing, Diagnose, "it is kept though it did nothing", func(s *tale) { s.fruitless().do(KeepFix{sentence}) }},
	{Fixing, Diagnose, "it is withdrawn", func(s *tale) { s.proposed().do(WithdrawFix{}) }},
	{Fixing, FailBack, "the return is prepared", func(s *tale) { s.worked().goBack("") }},
	{Diagnose, FailBack, "it went away by itself", func(s *tale) { s.returning() }},
	{FailBack, FailBack, "checks pass", func(s *tale) { s.returning().passes() }},
	{FailBack, FailBack, "a check can't tell", func(s *tale) { s.returning().check("inconclusive") }},
	{FailBack, Diagnose, "a check fails", func(s *tale) { s.returning().check("fail").check("fail").check("fail") }},
	{FailBack, Diagnose, "somebody goes back to safety", func(s *tale) { s.returning().passes().do(StepBack{map[string]string{"to-standby-1": "x"}}) }},
	{FailBack, Diagnose, "a lever is pulled", func(s *tale) { s.returning().pull("search-off") }},
	{FailBack, Diagnose, "a fix is rolled back", func(s *tale) { s.worked().goBack("").do(TakeBackFix{}) }},
	{FailBack, Watch, "everybody is back", func(s *tale) { s.watching() }},
	{FailBack, Watch, "the old place never comes back", func(s *tale) { abroad(s).do(MakePermanent{"It burnt down."}) }},
	{Watch, FailOver, "it fails again", func(s *tale) { s.watching().do(Relapsed{"front fails"}) }},
	{Watch, FailOver, "somebody goes back to safety", func(s *tale) { s.watching().do(StepBack{}) }},
	{Review, FailOver, "it fails again", func(s *tale) { s.reviewing().do(Relapsed{"front fails"}) }},
	{Review, FailOver, "somebody goes back to safety", func(s *tale) { s.reviewing().do(StepBack{map[string]string{"to-standby-1": "x"}}) }},
	{Watch, FailOver, "a lever is pulled", func(s *tale) { s.watching().pull("to-standby") }},
	{Watch, Review, "the window is over", func(s *tale) { s.reviewing() }},
	{Review, Closed, "it is written down", func(s *tale) { s.reviewing().do(Close{sentence}) }},
	{Closed, FailOver, "the next one", func(s *tale) { s.reviewing().do(Close{sentence}); s.facts.IncidentID = "inc-2"; s.declare() }},

	// Beyond the table as it was designed.
	{FailOver, FailBack, "the return of a pull whose effect nobody has seen yet", func(s *tale) {
		s.declare().do(Adopt{PullID: "p", By: olga}, s.lever("to-standby")).goBack("It is back.")
	}},
	{FailOver, Fixing, "a fix was made elsewhere before visitors were safe", func(s *tale) { s.declare().do(ReportFix{Change: "I have rebooted it."}) }},
	{Diagnose, FailOver, "no lever is pulled any more", func(s *tale) { s.contained().putBack("to-standby").seen() }},
	{Review, FailOver, "a lever is pulled in the write-up", func(s *tale) { s.reviewing().pull("to-standby") }},
}

// moves are the phases that may follow a phase: those of the table. Every random walk
// is held against them.
var moves = func() map[Phase][]Phase {
	m := map[Phase][]Phase{}
	for _, row := range phaseTable {
		if from := before(row.from); row.from != row.to && !slices.Contains(m[from], row.to) {
			m[from] = append(m[from], row.to)
		}
	}
	return m
}()

// before is the phase that a new incident starts from: an ended one is none.
func before(p Phase) Phase {
	if p.Open() {
		return p
	}
	return None
}

func TestPhaseTable(t *testing.T) {
	t.Parallel()
	for _, row := range phaseTable {
		t.Run(string(row.from)+" to "+string(row.to)+"/"+row.how, func(t *testing.T) {
			t.Parallel()
			s := story(t)
			row.tell(s)
			if s.in.Phase != row.to {
				t.Fatalf("at %q, want %q", s.in.Phase, row.to)
			}
			if !goesFrom(s.events, row.from, row.to) {
				t.Errorf("it did not come from %q: %v", row.from, types(s.events))
			}
		})
	}
}

// goesFrom says whether the last phase but one, or the same for a while, was from.
func goesFrom(events []Event, from, to Phase) bool {
	var in Incident
	var seen []Phase
	for _, e := range events {
		p := in.Phase
		in = in.Apply(e)
		if e.Type == Declared || p != in.Phase {
			seen = append(seen, in.Phase)
		}
	}
	if from == to {
		return len(seen) > 0 && seen[len(seen)-1] == to
	}
	if len(seen) == 1 {
		return from == None
	}
	return seen[len(seen)-2] == from
}

// What each step does not allow, it does not allow.
func TestWhatAStepDoesNotAllow(t *testing.T) {
	t.Parallel()
	report := ReportFix{Change: "I have rebooted it."}
	for _, c := range []struct {
		name  string
		given func(*tale)
		not   []Command
	}{
		{"fail over", func(s *tale) { s.declare() }, []Command{plan(), ApplyFix{sentence}, Advance{sentence}, StepBack{}, WatchOver{sentence}, Close{sentence}, Finalise{"x"}, sanityOf("pass"), MakePermanent{sentence}}},
		{"diagnose", func(s *tale) { s.contained() }, []Command{DecideNoFailover{sentence}, ApplyFix{sentence}, Advance{sentence}, StepBack{}, WatchOver{sentence}, Close{sentence}, Finalise{"x"}, sanityOf("pass")}},
		{"fix", func(s *tale) { s.measuring() }, []Command{plan(), report, GoBack{sentence, sentence}, Cancel{sentence}, DecideNoFailover{sentence}, StepBack{}, WatchOver{sentence}, Close{sentence}, Finalise{"x"}}},
		{"fail back", func(s *tale) { s.returning() }, []Command{plan(), report, GoBack{sentence, sentence}, Cancel{sentence}, DecideNoFailover{sentence}, WatchOver{sentence}, Close{sentence}, PutBack{"to-standby", sentence}, Finalise{"x"}}},
		{"watch", func(s *tale) { s.watching() }, []Command{plan(), report, GoBack{sentence, sentence}, Cancel{sentence}, DecideNoFailover{sentence}, Close{sentence}, Advance{sentence}, Finalise{"x"}, MakePermanent{sentence}}},
		{"review", func(s *tale) { s.reviewing() }, []Command{plan(), report, GoBack{sentence, sentence}, Cancel{sentence}, DecideNoFailover{sentence}, Advance{sentence}, WatchOver{sentence}, MakePermanent{sentence}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t)
			c.given(s.home("up"))
			for _, cmd := range c.not {
				if drafts, err := s.try(cmd); err == nil {
					t.Errorf("%s was accepted at %q: %v", nameOf(cmd), s.in.Phase, types(drafts))
				}
			}
		})
	}
}

// afterTheEnd are the commands that an ended incident takes.
var afterTheEnd = []string{"AddFollowUp", "ChangeFollowUp", "EndFollowUp", "Correct", "LinkIncident", "EditSection", "Answer", "JudgeFinding", "Finalise", "Redact", "Delivered"}

// A closed incident takes what was owed and what is corrected, and nothing else.
func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	for _, end := range []func(*tale){
		func(s *tale) {
			s.reviewing().do(AddFollowUp{FollowUp{Kind: "idea", What: "Watch the disk."}}).do(Close{sentence})
		},
		func(s *tale) { s.declare().do(AddFollowUp{FollowUp{What: "Watch the disk."}}).home("up").do(Cancel{}) },
	} {
		s := story(t)
		end(s)
		for _, x := range everyCommand {
			for _, ended := range []bool{true, false} {
				drafts, err := s.try(x.cmd, s.lever("to-standby"), func(f *Facts) { f.Ended = ended })
				fresh := !ended && len(drafts) > 0 && drafts[0].Type == Declared
				late := ended && slices.Contains(afterTheEnd, nameOf(x.cmd))
				if len(drafts) > 0 && !fresh && !late {
					t.Errorf("%s added %v to an incident at %q (ended %v, %v)", nameOf(x.cmd), types(drafts), s.in.Phase, ended, err)
				}
			}
		}
		phase := s.in.Phase
		s.facts.Ended = true
		s.later(time.Hour).do(Correct{s.events[0].ID, "It was 02:51."}).do(EndFollowUp{"a1", "done", ""}).do(AddFollowUp{FollowUp{What: "Rotate the logs."}}).
			do(EditSection{"impact", "40 people."}).do(Answer{"hard", "It was late."}).do(LinkIncident{Incident: "inc-9"}).do(Finalise{"ab"}).do(JudgeFinding{Finding{About: AboutProcess, Text: "It was late."}})
		if s.in.Phase != phase || s.events[0].Corrects != "" || s.in.WriteUp.Final {
			t.Errorf("at %q, write-up %+v", s.in.Phase, s.in.WriteUp)
		}
	}
}
