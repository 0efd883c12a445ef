package incident

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// ruleCase is one row of a rule's table. A case either is refused by the rule, or
// fails with another kind of fault, or is accepted.
type ruleCase struct {
	name  string
	given func(*tale)         // the story so far
	facts func(*tale, *Facts) // of this command alone
	cmd   Command

	refused   bool       // by the rule of the table
	hard      bool       // nobody passes it, though the rule is a soft one
	through   Command    // soft rules: the same command with one sentence; hard rules: still refused
	satisfied bool       // the sentence is what the rule asks for, so no override is recorded
	kind      fault.Kind // another fault

	want []Type                  // events when accepted, with the sentence where one is needed
	then func(*testing.T, *tale) // what holds once the events are recorded
}

func lever(name string) func(*tale, *Facts) {
	return func(s *tale, f *Facts) { f.Lever = leverFacts(s.in, name, s.now) }
}

func leverBut(name string, change func(*Facts)) func(*tale, *Facts) {
	return func(s *tale, f *Facts) { f.Lever = leverFacts(s.in, name, s.now); change(f) }
}

func as(a Actor) func(*tale, *Facts) { return func(_ *tale, f *Facts) { f.Actor = a } }

func nothing(*tale) {}

func titleIsCut(t *testing.T, s *tale) {
	if n := utf8.RuneCountInString(s.in.Title); n != maxTitle {
		t.Errorf("the title has %d characters, want %d", n, maxTitle)
	}
}

func pull(reason string) PullLever { return PullLever{PullID: "next", Reason: reason} }

var pulled = []Type{LeverApplying}

// rulesTables hold, for every rule, what it refuses, what gets through, and what
// it leaves alone. TestEveryRuleHasATable keeps it whole.
var rulesTables = func() map[string][]ruleCase {
	all := maps.Clone(outerTables)
	for id, cases := range innerTables {
		all[id] = append(slices.Clip(all[id]), cases...)
	}
	return all
}()

// outerTables are about the first step and the last one: levers, the return, the end.
var outerTables = map[string][]ruleCase{
	"R1": {
		{name: "armed: one press", given: func(s *tale) { s.declare() }, facts: lever("to-standby"), cmd: pull(""), want: pulled},
		{name: "never rehearsed", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Lever.ArmedUntil = time.Time{} }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "rehearsed too long ago", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Lever.ArmedUntil = night }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "spaces are no sentence", given: func(s *tale) { s.declare() }, cmd: pull("     "),
			facts:   leverBut("to-standby", func(f *Facts) { f.Lever.ArmedUntil = night }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "no way back stored", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Lever.Reversible = false }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "a rehearsal needs none before it", given: nothing, cmd: PullLever{PullID: "next", Drill: true},
			facts: leverBut("to-standby", func(f *Facts) { f.Lever.ArmedUntil = time.Time{} }),
			want:  []Type{Declared, DrillStarted, LeverApplying}},
	},
	"R2": {
		{name: "standby fails", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Standby = "fail" }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "can't tell is not healthy", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Standby = "inconclusive" }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "not asked is not healthy", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Standby = "" }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "no matter when the lever leads elsewhere", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts: leverBut("to-backup", func(f *Facts) { f.Standby = "fail" }), want: pulled},
	},
	"R3": {
		{name: "the other origin is down too", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-backup", func(f *Facts) { f.Lever.ToSeen = "down" }),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "not known to be down", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts: leverBut("to-backup", func(f *Facts) { f.Lever.ToSeen = "unknown" }), want: pulled},
	},
	"R4": {
		{name: "no failover without a reason", given: func(s *tale) { s.declare() }, cmd: DecideNoFailover{},
			refused: true, through: DecideNoFailover{sentence}, satisfied: true, want: []Type{DecisionMade, PhaseChanged},
			then: func(t *testing.T, s *tale) {
				if s.in.Phase != Diagnose || s.in.NoFailover != sentence {
					t.Errorf("phase %q, reason %q", s.in.Phase, s.in.NoFailover)
				}
			}},
		{name: "spaces are no reason", given: func(s *tale) { s.declare() }, cmd: DecideNoFailover{"   \n"},
			refused: true, through: DecideNoFailover{sentence}, satisfied: true, want: []Type{DecisionMade, PhaseChanged}},
		{name: "past its first step", given: func(s *tale) { s.contained() }, cmd: DecideNoFailover{sentence}, kind: fault.Conflict},
	},
	"R5": {
		{name: "a lever is pulled", given: func(s *tale) { s.contained().home("up") }, cmd: Cancel{}, refused: true, through: Cancel{sentence}},
		{name: "a lever is being put back", given: func(s *tale) { s.contained().home("up").putBack("to-standby") }, cmd: Cancel{}, refused: true, through: Cancel{sentence}},
		{name: "nobody knows where a lever stands", given: func(s *tale) { s.declare().home("up").pull("to-standby").end(Unclear) }, cmd: Cancel{}, refused: true, through: Cancel{sentence}},
		{name: "the checks fail", given: func(s *tale) { s.declare() }, cmd: Cancel{}, refused: true, through: Cancel{sentence}},
		{name: "the checks can't tell", given: func(s *tale) { s.declare().home("unknown") }, cmd: Cancel{}, refused: true, through: Cancel{sentence}},
		{name: "nobody looked", given: func(s *tale) { s.declare().home("") }, cmd: Cancel{}, refused: true, through: Cancel{sentence}},
		{name: "all is well", given: func(s *tale) { s.declare().home("up") }, cmd: Cancel{sentence}, want: []Type{CancelledType},
			then: func(t *testing.T, s *tale) {
				if s.in.Phase != Cancelled || s.in.EndedAt.IsZero() {
					t.Errorf("phase %q, ended %v", s.in.Phase, s.in.EndedAt)
				}
			}},
		{name: "all is well again", given: func(s *tale) { s.contained().home("up").putBack("to-standby").seen() }, cmd: Cancel{}, want: []Type{CancelledType}},
		{name: "a pull that did not take effect holds nothing", given: func(s *tale) { s.declare().home("up").pull("to-standby").end(NotDone) }, cmd: Cancel{}, want: []Type{CancelledType}},
		{name: "not after the return", given: func(s *tale) { s.watching() }, cmd: Cancel{sentence}, kind: fault.Conflict},
	},
	"R10": {
		{name: "put-back while another is under way", given: func(s *tale) { s.declare().pull("to-standby").seen().pull("checkout-off").seen().putBack("to-standby") },
			cmd: PutBack{Lever: "checkout-off"}, refused: true, through: PutBack{"checkout-off", sentence}},
		{name: "the same put-back twice", given: func(s *tale) { s.contained().putBack("to-standby") },
			cmd: PutBack{Lever: "to-standby"}, refused: true, through: PutBack{"to-standby", sentence}},
		{name: "put-back during the return", given: func(s *tale) { s.returning() }, cmd: PutBack{Lever: "to-standby"}, refused: true, through: PutBack{"to-standby", sentence}},
		{name: "put-back of what is still being pulled", given: func(s *tale) { s.declare().pull("to-standby") }, cmd: PutBack{Lever: "to-standby"}, refused: true, through: PutBack{"to-standby", sentence}},
		{name: "a second return", given: func(s *tale) { s.returning() }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "a return while a put-back is under way", given: func(s *tale) { s.contained().putBack("to-standby") }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "a return while a lever is being pulled", given: func(s *tale) { s.contained().pull("checkout-off") }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "free once it is done", given: func(s *tale) {
			s.declare().pull("to-standby").seen().pull("checkout-off").seen().putBack("to-standby").seen()
		},
			cmd: PutBack{Lever: "checkout-off"}, want: []Type{LeverUndoing}},
		{name: "newest first on one target", given: func(s *tale) { s.declare().pull("to-backup").seen().pull("to-standby").seen() }, cmd: PutBack{Lever: "to-backup"}, kind: fault.Conflict},
	},
	"R12": {
		{name: "the return does not ask for a fix", given: func(s *tale) { s.contained() }, cmd: GoBack{Because: "The power is back."}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
	},
	"R13": {
		{name: "one pass short", given: func(s *tale) {
			s.returning()
			for range s.in.Return.Needed - 1 {
				s.check("pass")
			}
		}, cmd: Advance{}, refused: true, through: Advance{sentence}, want: []Type{RuleOverridden, StagePassed, LeverUndoing}},
		{name: "spaces are no sentence", given: func(s *tale) { s.returning() }, cmd: Advance{"    "}, refused: true, through: Advance{sentence}, want: []Type{RuleOverridden, StagePassed, LeverUndoing}},
		{name: "a pass does not move visitors before its time", given: func(s *tale) { s.returning() }, cmd: sanityOf("pass"), want: []Type{CheckVerdict}},
		{name: "enough passes in a row", given: func(s *tale) {
			s.returning()
			for range s.in.Return.Needed - 1 {
				s.check("pass")
			}
		}, cmd: sanityOf("pass"), want: []Type{CheckVerdict, StagePassed, LeverUndoing}},
		{name: "an unclear one in between starts anew", given: func(s *tale) {
			s.returning()
			for range s.in.Return.Needed - 1 {
				s.check("pass")
			}
			s.check("inconclusive")
		}, cmd: sanityOf("pass"), want: []Type{CheckVerdict}},
		{name: "a fail in between starts anew", given: func(s *tale) {
			s.returning()
			for range s.in.Return.Needed - 1 {
				s.check("pass")
			}
			s.check("fail")
		}, cmd: sanityOf("pass"), want: []Type{CheckVerdict}},
		{name: "an unclear one holds", given: func(s *tale) { s.returning() }, cmd: sanityOf("inconclusive"), want: []Type{CheckVerdict, ReturnHeld},
			then: func(t *testing.T, s *tale) {
				if s.in.Phase != FailBack || s.in.Return.Held == "" {
					t.Errorf("phase %q, return %+v: want it held", s.in.Phase, s.in.Return)
				}
			}},
		{name: "a word nobody knows is no pass", given: func(s *tale) { s.returning() }, cmd: sanityOf("splendid"), want: []Type{CheckVerdict},
			then: func(t *testing.T, s *tale) {
				if s.in.Return.Streak["front"] != 0 {
					t.Errorf("streak %d, want 0", s.in.Return.Streak["front"])
				}
			}},
		{name: "every gate check, not one of them", given: func(s *tale) {
			s.facts.Gates = []string{"front", "cart"}
			s.returning()
			for range s.in.Return.Needed - 1 {
				s.check("pass")
			}
		}, cmd: sanityOf("pass"), want: []Type{CheckVerdict}},
		{name: "a site without a check", given: func(s *tale) { s.facts.Gates = nil; s.contained() }, cmd: GoBack{Because: "The power is back."},
			refused: true, through: GoBack{"The power is back.", sentence}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted, StagePassed, LeverUndoing}},
		{name: "no result once visitors are going back", given: func(s *tale) { s.returning().passes() }, cmd: sanityOf("fail"), kind: fault.Conflict},
	},
	"R14": {
		{name: "the plan comes first", given: func(s *tale) { s.contained() }, cmd: GoBack{Because: "The power is back."}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted},
			then: func(t *testing.T, s *tale) {
				if r := s.in.Return; r == nil || r.Because != "The power is back." || r.Needed != 4 {
					t.Errorf("the plan is %+v", r)
				}
			}},
		{name: "nothing goes on without one", given: func(s *tale) { s.contained() }, cmd: Advance{sentence}, kind: fault.Conflict},
		{name: "no sanity check without one", given: func(s *tale) { s.contained() }, cmd: sanityOf("pass"), kind: fault.Conflict},
		{name: "nothing to go back from", given: func(s *tale) { s.declare() }, cmd: GoBack{Because: sentence}, kind: fault.Conflict},
		{name: "nothing to go back from after it", given: func(s *tale) { s.watching() }, cmd: GoBack{Because: sentence}, kind: fault.Conflict},
	},
	"R15": {
		{name: "every lever goes back, newest first", given: func(s *tale) {
			s.declare().pull("to-backup").seen().pull("checkout-off").seen().pull("to-standby").seen().later(time.Hour).goBack("The disk has room again.")
		}, cmd: Advance{sentence}, want: []Type{RuleOverridden, StagePassed, LeverUndoing, LeverUndoing, LeverUndoing},
			then: func(t *testing.T, s *tale) {
				if got := s.in.Return.Undo; !slices.Equal(got, []string{"to-standby-3", "checkout-off-2", "to-backup-1"}) {
					t.Errorf("put back in order %v", got)
				}
				for _, p := range s.in.Pulls {
					if p.State != Undoing {
						t.Errorf("%s is %s, want it on its way back", p.ID, p.State)
					}
				}
			}},
		{name: "the watch waits for the last of them", given: func(s *tale) {
			s.contained().pull("checkout-off").seen().goBack("The disk has room again.").passes()
		}, cmd: Outcome{Pull: "checkout-off-2", Back: true, Result: Done}, want: []Type{LeverUndone},
			then: func(t *testing.T, s *tale) {
				if s.in.Phase != FailBack {
					t.Errorf("phase %q while a lever is still pulled", s.in.Phase)
				}
			}},
	},
	"R16": {
		{name: "before anything moved", given: func(s *tale) { s.returning() }, cmd: StepBack{}, want: []Type{SteppedBack, PhaseChanged}},
		{name: "while visitors go back", given: func(s *tale) { s.returning().passes() }, cmd: StepBack{map[string]string{"to-standby-1": "again"}},
			want: []Type{SteppedBack, PhaseChanged, LeverUndone, LeverApplying}},
		{name: "in the watch", given: func(s *tale) { s.watching() }, cmd: StepBack{map[string]string{"to-standby-1": "again"}},
			want: []Type{WatchRelapse, PhaseChanged, LeverApplying},
			then: func(t *testing.T, s *tale) {
				p, _ := s.in.OnTop("zone:shop")
				if p.ID != "again" || p.State != Applying || p.To != "standby" || !p.SeenAt.IsZero() || p.Token != s.in.Seq {
					t.Errorf("pulled again: %+v", p)
				}
			}},
		{name: "in the write-up", given: func(s *tale) { s.reviewing().do(Finalise{"x"}) }, cmd: StepBack{map[string]string{"to-standby-1": "again"}},
			want: []Type{WriteUpReopened, WatchRelapse, PhaseChanged, LeverApplying},
			then: func(t *testing.T, s *tale) {
				if p, _ := s.in.OnTop("zone:shop"); p.ID != "again" || p.To != "standby" || s.in.WriteUp.Final {
					t.Errorf("pulled again: %+v; the write-up is final: %v", p, s.in.WriteUp.Final)
				}
			}},
		{name: "what somebody else changed is forgotten", given: func(s *tale) {
			s.contained().do(Drifted{Pull: "to-standby-1"}).goBack("The power is back.").passes()
		}, cmd: StepBack{map[string]string{"to-standby-1": "again"}}, want: []Type{SteppedBack, PhaseChanged, LeverUndone, LeverApplying},
			then: func(t *testing.T, s *tale) {
				if p, _ := s.in.Pull("again"); p.Drifted {
					t.Error("pulled again and shown as changed by somebody else")
				}
			}},
		{name: "by itself too", given: func(s *tale) { s.returning() }, facts: as(system), cmd: StepBack{}, want: []Type{SteppedBack, PhaseChanged}},
		{name: "after a person aborted", given: func(s *tale) { s.returning() }, facts: func(_ *tale, f *Facts) { f.AutoHeld = true }, cmd: StepBack{}, want: []Type{SteppedBack, PhaseChanged}},
		{name: "the third fail in a row", given: func(s *tale) { s.returning().check("fail").check("fail") }, cmd: sanityOf("fail"), want: []Type{CheckVerdict, SteppedBack, PhaseChanged},
			then: func(t *testing.T, s *tale) {
				if s.in.Phase != Diagnose || s.stateOf("to-standby") != Active {
					t.Errorf("phase %q, lever %s", s.in.Phase, s.stateOf("to-standby"))
				}
			}},
		{name: "a pass between fails is no reason", given: func(s *tale) { s.returning().check("fail").check("fail").check("pass") }, cmd: sanityOf("fail"), want: []Type{CheckVerdict}},
		{name: "two levers under way become two pulls, not three", given: func(s *tale) {
			s.contained().pull("checkout-off").seen().goBack("The disk has room again.").passes()
		}, cmd: StepBack{map[string]string{"to-standby-1": "again-1", "checkout-off-2": "again-2"}},
			want: []Type{SteppedBack, PhaseChanged, LeverUndone, LeverUndone, LeverApplying, LeverApplying},
			then: func(t *testing.T, s *tale) {
				if h := s.in.Holding(); len(h) != 2 {
					t.Errorf("%d levers hold, want 2: %+v", len(h), h)
				}
			}},
		{name: "nothing to step back from", given: func(s *tale) { s.contained() }, cmd: StepBack{}, kind: fault.Conflict},
	},
	"R17": {
		{name: "before its time", given: func(s *tale) { s.watching().later(59 * time.Minute) }, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "the checks fail", given: func(s *tale) { s.watching().later(time.Hour).home("down") }, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "the checks can't tell", given: func(s *tale) { s.watching().later(time.Hour).home("") }, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "both: both are passed and recorded", given: func(s *tale) { s.watching().home("down") }, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "spaces are no sentence", given: func(s *tale) { s.watching() }, cmd: WatchOver{"    "}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "a lever is active all the same", given: func(s *tale) {
			s.watching().later(time.Hour)
			s.record([]Event{s.raw(LeverActive, OutcomeData{Pull: "to-standby-1"})}) // as an earlier version may have left it
		}, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "over, and no fix is asked for its promise", given: func(s *tale) { s.watching().later(time.Hour) }, facts: as(system), cmd: WatchOver{}, want: []Type{WatchPassed, PhaseChanged}},
		{name: "a site without a check", given: func(s *tale) { s.watching().later(time.Hour).home(""); s.facts.Gates = nil }, cmd: WatchOver{}, want: []Type{WatchPassed, PhaseChanged}},
		{name: "no watch", given: func(s *tale) { s.contained() }, cmd: WatchOver{sentence}, kind: fault.Conflict},
	},
	"R18": {
		{name: "no reason", given: func(s *tale) { s.reviewing() }, cmd: Close{}, refused: true, through: Close{sentence}, satisfied: true, want: []Type{ClosedType},
			then: func(t *testing.T, s *tale) {
				if s.in.Phase != Closed || s.in.EndedAt.IsZero() {
					t.Errorf("phase %q, ended %v", s.in.Phase, s.in.EndedAt)
				}
			}},
		{name: "spaces are no reason", given: func(s *tale) { s.reviewing() }, cmd: Close{"    "}, refused: true, through: Close{sentence}, satisfied: true, want: []Type{ClosedType}},
		{name: "not before the return", given: func(s *tale) { s.contained() }, cmd: Close{sentence}, kind: fault.Conflict},
	},
	"R22": {
		{name: "no word about what changed", given: func(s *tale) { s.contained() }, cmd: GoBack{}, refused: true, through: GoBack{Because: "The power is back."}, satisfied: true,
			want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "spaces are no word", given: func(s *tale) { s.contained() }, cmd: GoBack{Because: "    "}, refused: true, through: GoBack{Because: "The power is back."}, satisfied: true,
			want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "anyway, with a reason", given: func(s *tale) { s.contained() }, cmd: GoBack{}, refused: true, through: GoBack{Reason: sentence},
			want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "twice as many passes as set", given: func(s *tale) { s.facts.Settings.Passes = 7; s.contained() }, cmd: GoBack{Because: "The power is back."},
			want: []Type{ReturnPlanned, PhaseChanged, StageStarted}, then: func(t *testing.T, s *tale) {
				if s.in.Return.Needed != 14 {
					t.Errorf("%d passes needed, want 14", s.in.Return.Needed)
				}
			}},
	},
	"U1": {
		{name: "towards safety is free", given: func(s *tale) { s.declare().pull("to-backup").seen() }, facts: lever("to-standby"), cmd: pull(""), want: pulled},
		{name: "a lever that leads the wrong way", given: func(s *tale) { s.contained() }, facts: lever("to-home"), cmd: pull(""),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "from the status page to another origin", given: func(s *tale) { s.contained() }, facts: lever("to-backup"), cmd: pull(""),
			refused: true, through: pull(sentence), want: []Type{RuleOverridden, LeverApplying}},
		{name: "put back within the window", given: func(s *tale) { s.contained().later(15*time.Minute - time.Second) }, cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "put back later is the return", given: func(s *tale) { s.contained().later(15 * time.Minute) }, cmd: PutBack{Lever: "to-standby"},
			refused: true, through: PutBack{"to-standby", sentence}, want: []Type{RuleOverridden, LeverUndoing}},
		{name: "spaces are no sentence", given: func(s *tale) { s.contained().later(time.Hour) }, cmd: PutBack{"to-standby", "    "},
			refused: true, through: PutBack{"to-standby", sentence}, want: []Type{RuleOverridden, LeverUndoing}},
		{name: "put back while failing over, whenever", given: func(s *tale) { s.declare().pull("to-standby").end(Unclear).later(5 * time.Hour) }, cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "put back of what was taken over and not seen yet, whenever", given: func(s *tale) {
			s.declare().do(Adopt{PullID: "p", By: ada}, s.lever("to-standby")).later(5 * time.Hour)
		}, cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "put back in a drill's later steps, whenever", given: func(s *tale) {
			s.declareDrill().do(DecideNoFailover{sentence}).pull("to-standby").seen().later(5 * time.Hour)
		}, cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "put back of what nobody can tell, whenever", given: func(s *tale) { s.contained().pull("checkout-off").end(Unclear).later(5 * time.Hour) }, cmd: PutBack{Lever: "checkout-off"}, want: []Type{LeverUndoing}},
		{name: "put back in a drill, whenever", given: func(s *tale) { s.declareDrill().pull("to-standby").seen().later(5 * time.Hour) }, cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "pulled already", given: func(s *tale) { s.contained() }, facts: lever("to-standby"), cmd: pull(sentence), kind: fault.Conflict},
		{name: "not pulled", given: func(s *tale) { s.contained() }, cmd: PutBack{Lever: "checkout-off"}, kind: fault.NotFound},
	},
	"U2": {
		{name: "the clock speaks and moves nothing", given: func(s *tale) { s.contained().later(30 * 24 * time.Hour) }, facts: as(system), cmd: Remind{}, want: []Type{TimerFired},
			then: func(t *testing.T, s *tale) {
				if s.in.Phase != Diagnose || !s.in.Contained() || s.in.Reminders != 1 {
					t.Errorf("phase %q, contained %v, %d reminders", s.in.Phase, s.in.Contained(), s.in.Reminders)
				}
			}},
		{name: "nothing held, nothing said", given: func(s *tale) { s.declare() }, facts: as(system), cmd: Remind{}, kind: fault.Conflict},
	},
	"U3": {
		{name: "the site is held", given: func(s *tale) { s.declare() }, cmd: pull(""), facts: leverBut("to-standby", func(f *Facts) { f.Actor, f.AutoHeld = health, true }), refused: true, through: pull(sentence)},
		{name: "a person took the automatic pull back", given: func(s *tale) { s.by(health).pull("to-standby").seen().by(ada).putBack("to-standby").seen() },
			cmd: pull(""), facts: leverBut("to-standby", func(f *Facts) { f.Actor, f.AutoHeld = health, true }), refused: true, through: pull(sentence)},
		{name: "taking it back holds", given: func(s *tale) { s.by(health).pull("to-standby").seen().by(ada) }, cmd: PutBack{Lever: "to-standby"}, want: []Type{AutoHeldType, LeverUndoing},
			then: func(t *testing.T, s *tale) {
				if !s.in.AutoHeld {
					t.Error("automatic moves are not held")
				}
			}},
		{name: "taking a person's pull back holds nothing", given: func(s *tale) { s.contained() }, cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "a person presses all the same", given: func(s *tale) { s.by(health).pull("to-standby").seen().by(ada).putBack("to-standby").seen() },
			facts: leverBut("to-standby", func(f *Facts) { f.AutoHeld = true }), cmd: pull(""), want: pulled},
	},
	"U4": {
		{name: "a second one within the hour", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Actor, f.LastAuto = health, night.Add(-59*time.Minute) }),
			refused: true, through: pull(sentence)},
		{name: "the hour is over", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts: leverBut("to-standby", func(f *Facts) { f.Actor, f.LastAuto = health, night.Add(-time.Hour) }), want: pulled},
		{name: "the first one", given: nothing, facts: leverBut("to-standby", func(f *Facts) { f.Actor = health }), cmd: pull(""), want: []Type{Declared, LeverApplying}},
		{name: "never back: the return", given: func(s *tale) { s.contained() }, facts: as(health), cmd: GoBack{Because: "The checks pass again."}, refused: true, through: GoBack{sentence, sentence}},
		{name: "never back: a put-back", given: func(s *tale) { s.contained() }, facts: as(health), cmd: PutBack{Lever: "to-standby"}, refused: true, through: PutBack{"to-standby", sentence}},
		{name: "a rehearsal puts itself back", given: func(s *tale) { s.declareDrill().pull("to-standby").seen() }, facts: as(system), cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "a person is not counted", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts: leverBut("to-standby", func(f *Facts) { f.LastAuto = night.Add(-time.Second) }), want: pulled},
	},
	"U5": {
		{name: "within the settle time", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Actor, f.LastAuto = health, night.Add(-29*time.Second) }),
			refused: true, through: pull(sentence)},
		{name: "the clock was set back", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts:   leverBut("to-standby", func(f *Facts) { f.Actor, f.LastAuto = health, night.Add(time.Hour) }),
			refused: true, through: pull(sentence)},
		{name: "a person does not wait", given: func(s *tale) { s.declare() }, cmd: pull(""),
			facts: leverBut("to-standby", func(f *Facts) { f.LastAuto = night.Add(-time.Second) }), want: pulled},
	},
	"U6": {
		{name: "a local order is taken over, whatever the rules say", given: nothing,
			facts: leverBut("to-standby", func(f *Facts) {
				f.Actor, f.AutoHeld, f.LastAuto, f.Standby, f.Lever.ArmedUntil = system, true, night, "fail", time.Time{}
			}),
			cmd:  Adopt{PullID: "next", At: night.Add(-time.Hour), By: Actor{Kind: "rule", Name: "answer", Via: "socket"}, Title: "Taken at answer"},
			want: []Type{Declared, LeverApplying, LeverActive},
			then: func(t *testing.T, s *tale) {
				p, _ := s.in.Pull("next")
				if p.State != Active || !p.At.Equal(night.Add(-time.Hour)) || p.By.Name != "answer" {
					t.Errorf("taken over as %+v", p)
				}
				if e := s.events[0]; e.AtSource != FromRecalled || !e.RecordedAt.Equal(night) || !s.in.DeclaredAt.Equal(night.Add(-time.Hour)) {
					t.Errorf("happened %s (%s), recorded %s", e.At, e.AtSource, e.RecordedAt)
				}
			}},
		{name: "into the open incident", given: func(s *tale) { s.declare() }, facts: lever("to-standby"), cmd: Adopt{PullID: "next", At: night, By: ada}, want: []Type{LeverApplying, LeverActive}},
		{name: "found without a time: now", given: nothing, facts: lever("to-standby"), cmd: Adopt{PullID: "next", By: system}, want: []Type{Declared, LeverApplying, LeverActive},
			then: func(t *testing.T, s *tale) {
				if !s.in.DeclaredAt.Equal(night) {
					t.Errorf("declared %s, want now", s.in.DeclaredAt)
				}
			}},
		{name: "a long title is cut, never a reason to refuse", given: nothing, facts: lever("to-standby"), cmd: Adopt{PullID: "next", At: night, By: system, Title: strings.Repeat("é", 900)},
			want: []Type{Declared, LeverApplying, LeverActive},
			then: titleIsCut},
		{name: "we ordered it ourselves, too", given: func(s *tale) { s.contained() }, facts: lever("to-standby"), cmd: Adopt{PullID: "next", At: night, By: ada}, want: []Type{NoteAdded}},
		{name: "it ends a return", given: func(s *tale) { s.declare().pull("to-backup").seen().goBack("The power is back.") }, facts: lever("to-standby"), cmd: Adopt{PullID: "next", At: night, By: ada},
			want: []Type{SteppedBack, PhaseChanged, LeverApplying, LeverActive}},
	},
	"U7": {
		{name: "shown, nothing moves", given: func(s *tale) { s.contained() }, facts: as(system), cmd: Drifted{Pull: "to-standby-1", Detail: "ns1 answers 192.0.2.9"}, want: []Type{LeverDrift},
			then: func(t *testing.T, s *tale) {
				if p, _ := s.in.Pull("to-standby-1"); !p.Drifted || p.State != Active || s.in.Phase != Diagnose {
					t.Errorf("pull %+v in phase %q", p, s.in.Phase)
				}
			}},
		{name: "said once", given: func(s *tale) { s.contained().do(Drifted{Pull: "to-standby-1"}) }, facts: as(system), cmd: Drifted{Pull: "to-standby-1"}},
		{name: "gone when seen as ordered again", given: func(s *tale) { s.contained().do(Drifted{Pull: "to-standby-1"}) }, facts: as(system),
			cmd: Outcome{Pull: "to-standby-1", Result: Done}, want: []Type{LeverSeen}, then: func(t *testing.T, s *tale) {
				if p, _ := s.in.Pull("to-standby-1"); p.Drifted {
					t.Error("still shown as changed by somebody else")
				}
			}},
	},
	"U8": {
		{name: "who, why and which rule are kept", given: func(s *tale) { s.declare() }, cmd: pull(sentence),
			facts: leverBut("to-standby", func(f *Facts) { f.Standby = "fail" }), want: []Type{RuleOverridden, LeverApplying},
			then: func(t *testing.T, s *tale) {
				if o := s.in.Overrides; len(o) != 1 || o[0].Rule != "R2" || o[0].Reason != sentence || o[0].By != ada || !o[0].At.Equal(night) {
					t.Errorf("overrides: %+v", o)
				}
				if e := s.events[1]; !strings.Contains(e.Text, "Ada") || !strings.Contains(e.Text, sentence) {
					t.Errorf("the timeline says %q", e.Text)
				}
			}},
		{name: "one sentence passes several rules, each recorded", given: func(s *tale) { s.declare().pull("to-standby").seen() }, cmd: pull(sentence),
			facts: leverBut("to-backup", func(f *Facts) { f.Lever.ToSeen, f.Lever.ArmedUntil = "down", time.Time{} }), want: []Type{RuleOverridden, RuleOverridden, RuleOverridden, LeverApplying},
			then: func(t *testing.T, s *tale) {
				var ids []string
				for _, o := range s.in.Overrides {
					ids = append(ids, o.Rule)
				}
				if !slices.Equal(ids, []string{"R1", "R3", "U1"}) {
					t.Errorf("overrides of %v", ids)
				}
			}},
		{name: "no override where no rule stood in the way", given: func(s *tale) { s.declare() }, facts: lever("to-standby"), cmd: pull(sentence), want: pulled},
	},
	"U9": {
		{name: "the timeline keeps a refusal", given: func(s *tale) {
			s.contained()
			_, err := s.try(Cancel{})
			s.record(s.in.Refused(refusalOf(err), ada, s.now))
		}, cmd: Note{"We were asked to wait."}, want: []Type{NoteAdded},
			then: func(t *testing.T, s *tale) {
				e := s.events[len(s.events)-2]
				if e.Type != RuleRefused || e.Subject != (Subject{"rule", "R5"}) || !strings.Contains(e.Text, "Ada") || !strings.Contains(e.Text, "A lever is still pulled.") {
					t.Errorf("%s about %v: %q", e.Type, e.Subject, e.Text)
				}
			}},
	},
	"U10": {
		{name: "a real press in a drill", given: func(s *tale) { s.declareDrill() }, facts: lever("to-standby"), cmd: pull(""), refused: true, through: pull(sentence)},
		{name: "a drill in a real incident", given: func(s *tale) { s.declare() }, facts: lever("to-standby"), cmd: PullLever{PullID: "next", Drill: true}, refused: true, through: PullLever{"next", sentence, true}},
		{name: "a score in a real incident", given: func(s *tale) { s.contained() }, cmd: ScoreDrill{}, refused: true, through: ScoreDrill{DrillData{OK: true}}},
		{name: "a drill says so", given: nothing, facts: lever("to-standby"), cmd: PullLever{PullID: "next", Drill: true}, want: []Type{Declared, DrillStarted, LeverApplying},
			then: func(t *testing.T, s *tale) {
				if !s.in.Drill || !strings.HasPrefix(s.in.Title, "DRILL") {
					t.Errorf("drill %v, title %q", s.in.Drill, s.in.Title)
				}
			}},
		{name: "a drill ends with its score", given: func(s *tale) { s.declareDrill().pull("to-standby").seen().putBack("to-standby").seen() },
			cmd: ScoreDrill{DrillData{Lever: "to-standby", ThereMS: 9, BackMS: 8, OK: true}}, want: []Type{DrillScored, ClosedType}},
	},
	"U11": {
		{name: "during the return's checks", given: func(s *tale) { s.declare().pull("to-backup").seen().goBack("The power is back.") }, facts: lever("to-standby"), cmd: pull(""), want: []Type{SteppedBack, PhaseChanged, LeverApplying}},
		{name: "while visitors go back: the same target is overtaken", given: func(s *tale) { s.returning().passes() }, facts: lever("to-standby"), cmd: pull(""),
			want: []Type{LeverUndone, SteppedBack, PhaseChanged, LeverApplying}},
		{name: "while visitors go back: another target stays in force", given: func(s *tale) { s.returning().passes() }, facts: lever("checkout-off"), cmd: pull(""),
			want: []Type{LeverActive, SteppedBack, PhaseChanged, LeverApplying}, then: func(t *testing.T, s *tale) {
				if s.stateOf("to-standby") != Active {
					t.Errorf("to-standby is %s", s.stateOf("to-standby"))
				}
			}},
		{name: "while a put-back is under way", given: func(s *tale) { s.contained().putBack("to-standby") }, facts: lever("to-standby"), cmd: pull(""), want: []Type{LeverUndone, LeverApplying}},
		{name: "while another lever is being pulled", given: func(s *tale) { s.declare().pull("to-standby") }, facts: lever("checkout-off"), cmd: pull(""), want: pulled},
		{name: "in the watch", given: func(s *tale) { s.watching() }, facts: lever("to-standby"), cmd: pull(""), want: []Type{WatchRelapse, PhaseChanged, LeverApplying}},
		{name: "in the write-up", given: func(s *tale) { s.reviewing() }, facts: lever("to-standby"), cmd: pull(""), want: []Type{WatchRelapse, PhaseChanged, LeverApplying}},
		{name: "without an incident", given: nothing, facts: lever("to-standby"), cmd: pull(""), want: []Type{Declared, LeverApplying}},
		{name: "however long the site's title", given: func(s *tale) { s.facts.SiteTitle = strings.Repeat("ß", 400) }, facts: lever("to-standby"), cmd: pull(""), want: []Type{Declared, LeverApplying},
			then: titleIsCut},
		{name: "a late word of an overtaken put-back changes nothing", given: func(s *tale) { s.contained().putBack("to-standby").pull("to-standby") },
			cmd: Outcome{Pull: "to-standby-1", Back: true, Result: NotDone}},
	},
	"U12": {
		{name: "the take-back window", given: func(s *tale) { s.facts.Settings.TakeBack = time.Hour; s.contained().later(59 * time.Minute) }, cmd: PutBack{Lever: "to-standby"}, want: []Type{LeverUndoing}},
		{name: "the passes", given: func(s *tale) { s.facts.Settings.Passes = 1; s.returning().check("pass") }, cmd: sanityOf("pass"), want: []Type{CheckVerdict, StagePassed, LeverUndoing}},
		{name: "the watch", given: func(s *tale) { s.facts.Settings.Watch = time.Second; s.watching().later(time.Second) }, cmd: WatchOver{}, want: []Type{WatchPassed, PhaseChanged}},
		{name: "the settle time and the gap", given: func(s *tale) {
			s.declare()
			s.facts.Settings.Settle, s.facts.Settings.AutoGap = time.Second, 2*time.Second
		},
			facts: leverBut("to-standby", func(f *Facts) { f.Actor, f.LastAuto = health, night.Add(-2*time.Second) }), cmd: pull(""), want: pulled},
		{name: "no settings: still two passes", given: func(s *tale) { s.facts.Settings = Settings{}; s.returning().check("pass") }, cmd: sanityOf("pass"), want: []Type{CheckVerdict, StagePassed, LeverUndoing}},
	},
}

func TestEveryRuleHasATable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range Rules {
		if seen[r.ID] {
			t.Errorf("%s is listed twice", r.ID)
		}
		seen[r.ID] = true
		if len(rulesTables[r.ID]) == 0 {
			t.Errorf("%s (%s) has no test", r.ID, r.Text)
		}
	}
	for id := range rulesTables {
		if !seen[id] {
			t.Errorf("%s has tests and is no rule", id)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	for id, cases := range rulesTables {
		rule, _ := ruleByID(id)
		for _, c := range cases {
			t.Run(id+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, rule)
			})
		}
	}
}

func (c ruleCase) run(t *testing.T, rule Rule) {
	s := story(t)
	c.given(s)
	facts := func(f *Facts) {
		if c.facts != nil {
			c.facts(s, f)
		}
	}
	cmd := c.cmd
	drafts, err := s.try(cmd, facts)
	switch {
	case c.kind != "":
		if got := fault.KindOf(err); got != c.kind {
			t.Fatalf("got %q (%v), want a fault of kind %q", got, err, c.kind)
		}
		return
	case c.refused:
		mustBeRefused(t, rule, err, rule.Overridable && !c.hard)
		if !rule.Overridable || c.hard {
			_, err = s.try(c.through, facts)
			mustBeRefused(t, rule, err, false)
			return
		}
		_, err = s.try(c.through, facts, func(f *Facts) { f.Actor = Actor{Kind: "rule"} })
		if refusalOf(err) == nil {
			t.Fatalf("an automatic actor gets through with a sentence: %v", err)
		}
		drafts, err = s.try(c.through, facts)
	}
	if err != nil {
		t.Fatalf("want it accepted: %v", err)
	}
	if got := types(drafts); !slices.Equal(got, c.want) {
		t.Fatalf("events %v, want %v", got, c.want)
	}
	if c.refused && !c.satisfied {
		mustNameRule(t, rule, drafts)
	}
	s.record(drafts)
	if c.then != nil {
		c.then(t, s)
	}
}

func mustBeRefused(t *testing.T, rule Rule, err error, overridable bool) {
	t.Helper()
	r := refusalOf(err)
	if r == nil {
		t.Fatalf("got %v, want a refusal by %s", err, rule.ID)
	}
	if r.Rule != rule.ID || r.Overridable != overridable {
		t.Fatalf("refused by %s (overridable %v), want %s (%v): %v", r.Rule, r.Overridable, rule.ID, overridable, err)
	}
	mustReadAsSentences(t, r)
}

func mustNameRule(t *testing.T, rule Rule, drafts []Event) {
	t.Helper()
	for _, e := range drafts {
		if e.Type == RuleOverridden && e.Subject == (Subject{"rule", rule.ID}) {
			return
		}
	}
	t.Fatalf("no override of %s among %v", rule.ID, types(drafts))
}

// raw makes an event by hand.
func (s *tale) raw(typ Type, data any) Event {
	b, err := json.Marshal(data)
	if err != nil {
		s.t.Fatal(err)
	}
	return Event{Incident: s.in.ID, Type: typ, At: s.now, Actor: system, Data: b}
}

// U2: one hour, four hours, then daily; silent once nothing is held.
func TestReminderGrowsLouderAndNeverEnds(t *testing.T) {
	t.Parallel()
	s := story(t)
	if _, on := s.in.Reminder(); on {
		t.Error("a reminder without an incident")
	}
	s.contained()
	for _, want := range []time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour, 48 * time.Hour, 72 * time.Hour} {
		at, on := s.in.Reminder()
		if !on || !at.Equal(night.Add(want)) {
			t.Fatalf("reminder %d at %v (%v), want after %v", s.in.Reminders, at, on, want)
		}
		s.do(Remind{})
	}
	s.putBack("to-standby").seen()
	if _, on := s.in.Reminder(); on {
		t.Error("a reminder although nothing is held")
	}
}

// A refusal that its own command can't pass must not offer it.
func TestCloseInTheWatchOffersNoWayThrough(t *testing.T) {
	t.Parallel()
	s := story(t).watching()
	for _, reason := range []string{"", sentence} {
		_, err := s.try(Close{reason})
		r := refusalOf(err)
		if r == nil || r.Rule != "R17" || r.Overridable {
			t.Fatalf("got %v, want R17 without a way through: Close can't take one", err)
		}
		mustReadAsSentences(t, r)
	}
}

func TestNothingButAnOpeningWithoutAnIncident(t *testing.T) {
	t.Parallel()
	for _, s := range []*tale{story(t), story(t).reviewing().do(Close{sentence}), story(t).declare().home("up").do(Cancel{})} {
		for _, c := range []Command{PutBack{}, Outcome{}, Drifted{}, Note{"x"}, DecideNoFailover{sentence}, GoBack{Because: sentence}, Sanity{}, Advance{sentence}, StepBack{}, Relapsed{}, WatchOver{sentence}, Cancel{}, Close{sentence}, Remind{}, ScoreDrill{}} {
			if _, err := s.try(c); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%T in phase %q: %v, want not found", c, s.in.Phase, err)
			}
		}
	}
}

// What an ended incident left pulled does not stop the next press.
func TestAnEndedDrillDoesNotStopAPress(t *testing.T) {
	t.Parallel()
	s := story(t).declareDrill().pull("to-standby").seen().do(ScoreDrill{DrillData{Lever: "to-standby", Detail: "it did not come back"}})
	if drafts, err := s.try(pull(""), s.lever("to-standby")); err != nil || !slices.Equal(types(drafts), []Type{Declared, LeverApplying}) {
		t.Errorf("got %v, %v", types(drafts), err)
	}
}

// After an end the next press opens a new incident with a timeline of its own.
func TestANewIncidentAfterAnEnd(t *testing.T) {
	t.Parallel()
	s := story(t).reviewing().do(Close{sentence})
	before := len(s.events)
	s.facts.IncidentID = "inc-2"
	s.pull("to-standby").seen()
	fresh := s.events[before:]
	if err := Verify(fresh); err != nil {
		t.Fatalf("the new timeline: %v", err)
	}
	if in := Fold(fresh); in.ID != "inc-2" || len(in.Pulls) != 1 || in.Phase != Diagnose || stateJSON(t, in) != stateJSON(t, s.in) {
		t.Errorf("the new incident: %s", stateJSON(t, s.in))
	}
}

func TestDeclare(t *testing.T) {
	t.Parallel()
	s := story(t)
	if _, err := s.try(Declare{Title: strings.Repeat("x", 201)}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a title of 201 characters: %v", err)
	}
	s.do(Declare{Symptom: "nothing-loads", Noticed: "visitor", FirstSymptomAt: night.Add(-time.Minute)})
	if s.in.Title != "Something is wrong with The Shop" || s.in.Symptom != "nothing-loads" || s.in.Noticed != "visitor" || !s.in.FirstSymptomAt.Equal(night.Add(-time.Minute)) {
		t.Errorf("declared as %s", stateJSON(t, s.in))
	}
	if _, err := s.try(Declare{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("declared twice: %v", err)
	}
	for noticed, by := range map[string]Actor{"monitor": health, "staff": rita} {
		if s := story(t).by(by).pull("to-standby"); s.in.Noticed != noticed {
			t.Errorf("a press by a %s: noticed by %q", by.Kind, s.in.Noticed)
		}
	}
}

func TestPropose(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("The front page fails. ", 50)
	s := story(t).by(health)
	s.do(Propose{long}, s.lever("to-standby"))
	if s.in.Phase != FailOver || s.in.Proposed != "to-standby" || len(s.in.Pulls) != 0 {
		t.Fatalf("proposed: %s", stateJSON(t, s.in))
	}
	if again, err := s.try(Propose{long}, s.lever("to-standby")); err != nil || len(again) != 0 {
		t.Errorf("proposed twice: %v, %v", types(again), err)
	}
	s.by(ada).pull("to-standby")
	if s.in.Proposed != "" {
		t.Error("still proposed after the press")
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	s := story(t).declare()
	for _, bad := range []string{"", " \n\t", strings.Repeat("x", 16<<10+1)} {
		if _, err := s.try(Note{bad}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("note of %d bytes: %v", len(bad), err)
		}
	}
	s.note("The rack smells of smoke.")
}

// The outcomes of acts, in the phases where they move something.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	type want struct {
		phase Phase
		state PullState
	}
	for _, c := range []struct {
		name  string
		given func(*tale)
		want  want
	}{
		{"pulled and seen", func(s *tale) { s.declare().pull("to-standby").end(Done) }, want{Diagnose, Active}},
		{"pulled without effect", func(s *tale) { s.declare().pull("to-standby").end(NotDone) }, want{FailOver, Failed}},
		{"pulled, nobody can tell", func(s *tale) { s.declare().pull("to-standby").end(Unclear) }, want{FailOver, Stuck}},
		{"nobody could tell, then seen", func(s *tale) {
			s.declare().pull("to-standby").end(Unclear).do(Outcome{Pull: "to-standby-1", Result: Done})
		}, want{Diagnose, Active}},
		{"a drill stays in its step", func(s *tale) { s.declareDrill().pull("to-standby").end(Done) }, want{FailOver, Active}},
		{"put back", func(s *tale) { s.contained().putBack("to-standby").end(Done) }, want{FailOver, Undone}},
		{"put back after deciding to stay", func(s *tale) {
			s.declare().do(DecideNoFailover{sentence}).pull("to-standby").seen().putBack("to-standby").end(Done)
		}, want{Diagnose, Undone}},
		{"put-back without effect", func(s *tale) { s.contained().putBack("to-standby").end(NotDone) }, want{Diagnose, Active}},
		{"put back, nobody can tell", func(s *tale) { s.contained().putBack("to-standby").end(Unclear) }, want{Diagnose, Stuck}},
		{"returned", func(s *tale) { s.returning().passes().end(Done) }, want{Watch, Undone}},
		{"the return fails", func(s *tale) { s.returning().passes().end(NotDone) }, want{Diagnose, Active}},
		{"the return ends unclear", func(s *tale) { s.returning().passes().end(Unclear) }, want{Diagnose, Stuck}},
		{"seen back before the checks were in", func(s *tale) {
			s.returning().do(Outcome{Pull: "to-standby-1", Back: true, Result: Done})
		}, want{FailBack, Undone}},
		{"seen back before the checks were in, and then they pass", func(s *tale) {
			s.returning().do(Outcome{Pull: "to-standby-1", Back: true, Result: Done}).passes()
		}, want{Watch, Undone}},
		{"relapsed", func(s *tale) { s.watching().do(Relapsed{"front fails"}) }, want{FailOver, Undone}},
		{"pulled again without effect: nobody is safe", func(s *tale) { s.contained().putBack("to-standby").pull("to-standby").end(NotDone) }, want{FailOver, Failed}},
		{"a late word about a pull that is over", func(s *tale) {
			s.contained().putBack("to-standby").seen().do(Outcome{Pull: "to-standby-1", Result: Done})
		}, want{FailOver, Undone}},
		{"a late word about a pull that is being put back", func(s *tale) {
			s.contained().putBack("to-standby").do(Outcome{Pull: "to-standby-1", Result: Done})
		}, want{Diagnose, Undoing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t)
			c.given(s)
			if got := (want{s.in.Phase, s.stateOf("to-standby")}); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	s := story(t).declare()
	if _, err := s.try(Outcome{Pull: "nobody's"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("outcome of an unknown pull: %v", err)
	}
}

// The intent's sequence number is the fencing token: it only grows, and it is the
// number of the event that carries it.
func TestTokenIsTheIntentsNumber(t *testing.T) {
	t.Parallel()
	s := story(t).contained().pull("checkout-off").seen()
	var last uint64
	for _, p := range s.in.Pulls {
		e := s.events[p.Token-1]
		if e.Type != LeverApplying || e.Subject.ID != p.ID || p.Token <= last {
			t.Errorf("token %d of %s points at %s of %s", p.Token, p.ID, e.Type, e.Subject.ID)
		}
		last = p.Token
	}
}

// The facts that the rules looked at are in the intent, and the caller's stay as
// they were.
func TestFactsAreKeptAndNotTouched(t *testing.T) {
	t.Parallel()
	s := story(t).declare()
	l := leverFacts(s.in, "to-standby", s.now)
	before := *l
	drafts, err := s.try(pull(""), func(f *Facts) { f.Lever = l })
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(l); string(got) != string(must(json.Marshal(before))) {
		t.Errorf("Decide changed the facts: %s", got)
	}
	d, err := read[pullData](drafts[0])
	if err != nil {
		t.Fatal(err)
	}
	if d.Facts == nil || d.Facts.Standby != "pass" || !d.Facts.ArmedUntil.Equal(l.ArmedUntil) || string(d.Pull.Plan) != string(l.Plan) {
		t.Errorf("recorded: %s", drafts[0].Data)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestWhoIsAutomatic(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{"person": false, "api": false, "rule": true, "collector": true, "system": true} {
		if got := (Actor{Kind: kind}).Automatic(); got != want {
			t.Errorf("%s: automatic %v, want %v", kind, got, want)
		}
	}
}

// Visitors count as looked after once that is seen from outside, not when ordered.
func TestContainedIsSeenNotOrdered(t *testing.T) {
	t.Parallel()
	s := story(t)
	s.do(Adopt{PullID: "p", By: ada}, s.lever("to-standby"))
	if s.in.Contained() || s.in.Phase != FailOver {
		t.Errorf("contained %v in phase %q before anybody looked", s.in.Contained(), s.in.Phase)
	}
	s.do(Outcome{Pull: "p", Result: Done})
	if !s.in.Contained() || s.in.Phase != Diagnose {
		t.Errorf("contained %v in phase %q", s.in.Contained(), s.in.Phase)
	}
}

func TestCommandsThatTheEngineMustComplete(t *testing.T) {
	t.Parallel()
	for _, c := range []Command{PullLever{}, Adopt{}, Propose{}} {
		if _, err := story(t).try(c); fault.KindOf(err) != fault.Internal {
			t.Errorf("%T without a lever: %v", c, err)
		}
	}
}
