package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

func planWith(change func(*ProposeFix)) ProposeFix {
	p := plan()
	change(&p)
	return p
}

// anyway is the plan, with a sentence for what it lacks.
func anyway(changes ...func(*ProposeFix)) ProposeFix {
	p := plan()
	p.Reason = sentence
	for _, change := range changes {
		change(&p)
	}
	return p
}

func noPromise(p *ProposeFix) { p.Promise = Promise{} }
func noWayBack(p *ProposeFix) { p.WayBack = "" }
func restart(p *ProposeFix)   { p.Action, p.WayBack = "restart", "" }
func purge(p *ProposeFix)     { p.Action, p.WayBack = "purge", "" }

// found has one possible cause, with whatever shows it.
func found(s *tale, outcome, stance string) *tale {
	s.contained().do(OpenCause{"The disk is full.", "df shows 100 %."}).do(Attach{Evidence{Title: "df"}})
	if stance != "" {
		s.do(WeighCause{Cause: "c1", Evidence: "e1", Stance: stance})
	}
	if outcome != "" {
		s.do(TestCause{Cause: "c1", Outcome: outcome})
	}
	return s
}

var (
	begun     = []Type{FixApplying}
	planned   = []Type{FixProposed, PhaseChanged}
	confirmed = []Type{CauseConfirmed, DiagnosisConfirmed}
	yes       = ConfirmCause{Cause: "c1"}
	yesAnyway = ConfirmCause{Cause: "c1", Reason: sentence}
)

// needs says how many passes the return asks for.
func needs(n int) func(*testing.T, *tale) {
	return func(t *testing.T, s *tale) {
		if s.in.Return == nil || s.in.Return.Needed != n {
			t.Errorf("the return is %+v, want %d passes", s.in.Return, n)
		}
	}
}

// twoTried has two fixes that did nothing, an hour apart, without a cause.
func twoTried(s *tale) *tale {
	s.contained()
	for range 2 {
		s.later(time.Hour).do(anyway()).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true}).later(6 * time.Minute).read("fail")
		s.do(TakeBackFix{}).do(FixTakenBack{OK: true})
	}
	return s.later(time.Hour)
}

// parkedOne has two levers pulled; search-off stays when the rest goes back.
func parkedOne(s *tale) *tale {
	return s.contained().pull("search-off").seen().do(park("search-off"))
}

func park(lever string) ParkLever {
	return ParkLever{Lever: lever, Owner: "Olga", Until: night.Add(1000 * time.Hour), Reason: "The index is rebuilt first."}
}

// abroad has visitors at the backup for good.
func abroad(s *tale) *tale {
	s.facts.Place, s.facts.PlaceSeen, s.facts.Origin = "backup", "up", true
	return s.declare().pull("to-backup").seen().later(time.Hour)
}

// written has a write-up that lacks nothing.
func written(s *tale) *tale {
	return s.reviewing().do(JudgeFinding{Finding{About: AboutProcess, Text: "Nobody watched the disk."}}).do(Finalise{"ab"})
}

// harmless has the one lever lead to a place that is down while home is up.
func harmless(f *Facts) { f.Place, f.PlaceSeen, f.HomeSeen, f.Origin = "backup", "down", "up", true }

// innerTables are about the steps between: the cause, the fix, what is parked, and the
// write-up.
var innerTables = map[string][]ruleCase{
	"R6": {
		{name: "possible causes and none confirmed", given: func(s *tale) { s.contained().suspected() }, cmd: plan(), refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "confirmed", given: func(s *tale) { s.diagnosed() }, cmd: plan(), want: planned},
		{name: "confirmed, and withdrawn", given: func(s *tale) { s.diagnosed().do(WithdrawDiagnosis{"df lies."}) }, cmd: plan(), refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "confirmed, and the fix did nothing", given: func(s *tale) { s.rolledBack().later(time.Hour) }, cmd: plan(), refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged},
			then: func(t *testing.T, s *tale) {
				if s.cause("c1") != CauseTesting || s.cause("c2") != CauseOut {
					t.Errorf("c1 is %s, c2 is %s", s.cause("c1"), s.cause("c2"))
				}
			}},
		{name: "visitors are not looked after", given: func(s *tale) { s.declare().suspected().do(yes) }, cmd: plan(), refused: true, hard: true, through: anyway()},
		{name: "visitors stay, for a reason", given: func(s *tale) { s.declare().suspected().do(yes).do(DecideNoFailover{sentence}) }, cmd: plan(), want: planned},
		{name: "a fix is planned, and visitors are no longer looked after", given: func(s *tale) {
			s.worked().later(time.Hour).do(plan()).do(TakeBackFix{"f1"}).do(FixTakenBack{OK: true}).do(Outcome{Pull: "to-standby-1", Back: true, Result: Done})
		}, cmd: ApplyFix{}, refused: true, hard: true, through: ApplyFix{sentence}},
		{name: "not in the return", given: func(s *tale) { s.returning() }, cmd: plan(), kind: fault.Conflict},
		{name: "not in the watch", given: func(s *tale) { s.watching() }, cmd: plan(), kind: fault.Conflict},
		{name: "confirm: nothing speaks for it", given: func(s *tale) { found(s, TestHeld, "") }, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: what was seen speaks against it", given: func(s *tale) { found(s, TestHeld, Against) }, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: the newest word on a piece of evidence counts", given: func(s *tale) { found(s, TestHeld, For).do(WeighCause{Cause: "c1", Evidence: "e1", Stance: Neutral}) }, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: nothing was tested", given: func(s *tale) { found(s, "", For) }, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: the test failed", given: func(s *tale) { found(s, TestFailed, For) }, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: the test was unclear", given: func(s *tale) { found(s, TestUnclear, For) }, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: another is open", given: func(s *tale) { found(s, TestHeld, For).do(OpenCause{Statement: "The release is broken."}) }, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: another is being tested", given: func(s *tale) {
			found(s, TestHeld, For).do(OpenCause{"The release is broken.", "x y z"}).do(TestCause{Cause: "c2", Outcome: TestUnclear})
		}, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: another was taken up again", given: func(s *tale) {
			found(s, TestHeld, For).do(OpenCause{Statement: "The release is broken."}).do(ParkCause{"c2", "Later."}).do(ReopenCause{"c2", ""})
		}, cmd: yes, refused: true, through: yesAnyway, want: []Type{RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: all that can lack", given: func(s *tale) { found(s, "", "").do(OpenCause{Statement: "The release is broken."}) }, cmd: yes, refused: true, through: yesAnyway,
			want: []Type{RuleOverridden, RuleOverridden, RuleOverridden, CauseConfirmed, DiagnosisConfirmed}},
		{name: "confirm: nothing lacks", given: func(s *tale) { found(s, TestHeld, For) }, cmd: yes, want: confirmed, then: func(t *testing.T, s *tale) {
			if g := s.in.Diagnosis; g == nil || g.Confidence != Proved || g.By != ada || s.cause("c1") != CauseSure {
				t.Errorf("the diagnosis is %+v, c1 is %s", s.in.Diagnosis, s.cause("c1"))
			}
		}},
		{name: "confirm: the other is ruled out", given: func(s *tale) {
			found(s, TestHeld, For).do(OpenCause{Statement: "The release is broken."}).do(RuleOut{"c2", "It is not."})
		}, cmd: yes, want: confirmed},
		{name: "confirm: the other is parked", given: func(s *tale) {
			found(s, TestHeld, For).do(OpenCause{Statement: "The release is broken."}).do(ParkCause{"c2", "Later."})
		}, cmd: yes, want: confirmed},
		{name: "confirm: the other contributed", given: func(s *tale) { found(s, TestHeld, For).do(OpenCause{Statement: "The release is broken."}) },
			cmd: ConfirmCause{Cause: "c1", Also: []string{"c2", "c2", "c1"}, Confidence: Likely}, want: []Type{CauseConfirmed, CauseConfirmed, DiagnosisConfirmed},
			then: func(t *testing.T, s *tale) {
				if g := s.in.Diagnosis; !slices.Equal(g.Causes, []string{"c1", "c2"}) || g.Statement != "The disk is full; The release is broken" || g.Confidence != Likely {
					t.Errorf("the diagnosis is %+v", g)
				}
			}},
		{name: "confirm: not in the return", given: func(s *tale) { s.contained().suspected().later(time.Hour).goBack("It is back.") }, cmd: yes, kind: fault.Conflict},
		{name: "confirm: nobody has heard of the other", given: func(s *tale) { found(s, TestHeld, For) }, cmd: ConfirmCause{Cause: "c1", Also: []string{"c9"}}, kind: fault.NotFound},
	},
	"R7": {
		{name: "one was considered", given: func(s *tale) { found(s, TestHeld, For).do(yes) }, cmd: plan(), refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "two were, and one is ruled out", given: func(s *tale) { s.diagnosed() }, cmd: plan(), want: planned},
		{name: "a line that decides suffices", given: func(s *tale) {
			found(s, TestHeld, For).do(yes).do(Captured{Evidence{Title: "df", Deciding: "/dev/sda1 100%"}})
		}, cmd: plan(), want: planned},
		{name: "evidence without such a line does not", given: func(s *tale) { found(s, TestHeld, For).do(yes).do(Captured{Evidence{Title: "df"}}) }, cmd: plan(),
			refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "nobody types such a line", given: func(s *tale) { found(s, TestHeld, For).do(yes).do(Attach{Evidence{Title: "df", Deciding: "100%"}}) }, cmd: plan(),
			refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
	},
	"R8": {
		{name: "no promise", given: func(s *tale) { s.diagnosed() }, cmd: planWith(noPromise), refused: true, through: anyway(noPromise), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "a promise in words suffices", given: func(s *tale) { s.diagnosed() }, cmd: planWith(func(p *ProposeFix) { p.Promise = Promise{To: "Orders come in."} }), want: planned},
		{name: "no way back", given: func(s *tale) { s.diagnosed() }, cmd: planWith(noWayBack), refused: true, through: anyway(noWayBack), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "its action knows the way back", given: func(s *tale) { s.diagnosed() }, cmd: planWith(restart), want: planned, then: func(t *testing.T, s *tale) {
			if f := s.fix("f1"); f.Action != "restart" || !f.Undo {
				t.Errorf("the fix is %+v", f)
			}
		}},
		{name: "its action knows no way back", given: func(s *tale) { s.diagnosed() }, cmd: planWith(purge), refused: true, through: anyway(purge), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "nobody does it", given: func(s *tale) { s.diagnosed() }, facts: as(Actor{Kind: "person", ID: "u9", Role: "operator"}), cmd: planWith(func(p *ProposeFix) { p.Owner = " " }),
			refused: true, through: anyway(func(p *ProposeFix) { p.Owner = "" }), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "who proposes it does it", given: func(s *tale) { s.diagnosed() }, cmd: planWith(func(p *ProposeFix) { p.Owner = "" }), want: planned, then: func(t *testing.T, s *tale) {
			if f := s.fix("f1"); f.Owner != "Ada" || f.By != ada || f.Promise.From != "fail" || !slices.Equal(f.Causes, []string{"c1"}) {
				t.Errorf("the fix is %+v", f)
			}
		}},
		{name: "all three lines", given: func(s *tale) { s.diagnosed() }, facts: as(Actor{Kind: "person", ID: "u9", Role: "operator"}), cmd: ProposeFix{Change: "I will reboot it."},
			refused: true, through: ProposeFix{Change: "I will reboot it.", Reason: sentence}, want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "what it changes is no matter of a rule", given: func(s *tale) { s.diagnosed() }, cmd: anyway(func(p *ProposeFix) { p.Change = "  " }), kind: fault.Invalid},
		{name: "a check that the site has not", given: func(s *tale) { s.diagnosed() }, cmd: anyway(func(p *ProposeFix) { p.Promise.Check = "moon" }), kind: fault.Invalid},
		{name: "an action that the site has not", given: func(s *tale) { s.diagnosed() }, cmd: anyway(func(p *ProposeFix) { p.Action = "pray" }), kind: fault.NotFound},
		{name: "an effect before it can be seen", given: func(s *tale) { s.diagnosed() }, cmd: anyway(func(p *ProposeFix) { p.Promise.Within = time.Millisecond }), kind: fault.Invalid},
		{name: "an effect that nobody waits for", given: func(s *tale) { s.diagnosed() }, cmd: anyway(func(p *ProposeFix) { p.Promise.Within = 25 * time.Hour }), kind: fault.Invalid},
	},
	"R9": {
		{name: "nobody has read it", given: func(s *tale) { s.proposed() }, cmd: ApplyFix{}, refused: true, through: ApplyFix{sentence}, want: []Type{RuleOverridden, FixApplying}},
		{name: "another has", given: func(s *tale) { s.approved() }, facts: as(olga), cmd: ApplyFix{}, want: begun, then: func(t *testing.T, s *tale) {
			if f := s.fix("f1"); f.State != StateApplying || f.Before["cart"] != "pass" || !f.StartedAt.Equal(s.now) {
				t.Errorf("the fix is %+v", f)
			}
		}},
		{name: "nobody approves their own", given: func(s *tale) { s.proposed() }, facts: as(olga), cmd: ApproveFix{}, refused: true, hard: true, through: ApproveFix{}},
		{name: "nor by another door", given: func(s *tale) { s.proposed() }, facts: as(Actor{Kind: "person", ID: "501", Name: "Olga", Via: "socket", Role: "admin"}), cmd: ApproveFix{}, refused: true, hard: true, through: ApproveFix{}},
		{name: "nor by another name", given: func(s *tale) { s.proposed() }, facts: as(Actor{Kind: "person", ID: "u3", Name: "Olga B.", Role: "admin"}), cmd: ApproveFix{}, refused: true, hard: true, through: ApproveFix{}},
		{name: "nor lifeboat", given: func(s *tale) { s.proposed() }, facts: as(system), cmd: ApproveFix{}, refused: true, hard: true, through: ApproveFix{}},
		{name: "another's approval", given: func(s *tale) { s.proposed() }, facts: as(cora), cmd: ApproveFix{}, want: []Type{ApprovalGiven}, then: func(t *testing.T, s *tale) {
			if f := s.fix("f1"); f.State != StateApproved || len(f.Approvals) != 1 || f.Approvals[0].By != cora {
				t.Errorf("the fix is %+v", f)
			}
		}},
		{name: "the same approval twice says nothing new", given: func(s *tale) { s.approved() }, facts: as(cora), cmd: ApproveFix{}},
		{name: "an objection stands", given: func(s *tale) { s.proposed().by(cora).do(ObjectToFix{"Not now."}).by(ada) }, cmd: ApplyFix{}, refused: true, through: ApplyFix{sentence}, want: []Type{RuleOverridden, FixApplying}},
		{name: "an objection after an approval stands", given: func(s *tale) { s.approved().by(otto).do(ObjectToFix{"Not now."}).by(ada) }, cmd: ApplyFix{}, refused: true, through: ApplyFix{sentence}, want: []Type{RuleOverridden, FixApplying}},
		{name: "a third person does not take it back", given: func(s *tale) { s.proposed().by(cora).do(ObjectToFix{"Not now."}).by(otto).do(ApproveFix{}).by(ada) }, cmd: ApplyFix{}, refused: true, through: ApplyFix{sentence}, want: []Type{RuleOverridden, FixApplying}},
		{name: "who objected does", given: func(s *tale) { s.proposed().by(cora).do(ObjectToFix{"Not now."}).do(ApproveFix{}).by(olga) }, cmd: ApplyFix{}, want: begun},
		{name: "an objection needs a sentence", given: func(s *tale) { s.proposed() }, cmd: ObjectToFix{"  "}, kind: fault.Invalid},
		{name: "alone before the wait is over", given: func(s *tale) { s.proposed().later(10*time.Minute - time.Second) }, cmd: GoAlone{sentence}, refused: true, hard: true, through: GoAlone{sentence}},
		{name: "alone with an objection", given: func(s *tale) { s.proposed().by(cora).do(ObjectToFix{"Not now."}).by(olga).later(time.Hour) }, cmd: GoAlone{sentence}, refused: true, hard: true, through: GoAlone{sentence}},
		{name: "alone needs a sentence", given: func(s *tale) { s.proposed().later(time.Hour) }, cmd: GoAlone{" "}, kind: fault.Invalid},
		{name: "alone after the wait", given: func(s *tale) { s.proposed().later(10 * time.Minute) }, cmd: GoAlone{sentence}, want: []Type{ApprovalTimeout}, then: func(t *testing.T, s *tale) {
			if f := s.fix("f1"); !f.Alone || !f.PauseUntil.Equal(s.now.Add(time.Minute)) {
				t.Errorf("the fix is %+v", f)
			}
		}},
		{name: "said once", given: func(s *tale) { s.proposed().later(time.Hour).do(GoAlone{sentence}) }, cmd: GoAlone{sentence}},
		{name: "alone, and not read once more", given: func(s *tale) { s.proposed().later(time.Hour).do(GoAlone{sentence}).later(59 * time.Second) }, cmd: ApplyFix{}, refused: true, through: ApplyFix{sentence}, want: []Type{RuleOverridden, FixApplying}},
		{name: "alone, and read once more", given: func(s *tale) { s.proposed().later(time.Hour).do(GoAlone{sentence}).later(time.Minute) }, cmd: ApplyFix{}, want: begun},
		{name: "only one account: the pause", given: func(s *tale) { s.facts.Approvers = 0; s.proposed().later(59 * time.Second) }, cmd: ApplyFix{}, refused: true, through: ApplyFix{sentence}, want: []Type{RuleOverridden, FixApplying}},
		{name: "only one account: after the pause", given: func(s *tale) { s.facts.Approvers = 0; s.proposed().later(time.Minute) }, cmd: ApplyFix{}, want: begun},
		{name: "nothing is proposed", given: func(s *tale) { s.diagnosed() }, cmd: ApproveFix{}, kind: fault.Conflict},
		{name: "nothing to begin", given: func(s *tale) { s.diagnosed() }, cmd: ApplyFix{sentence}, kind: fault.Conflict},
		{name: "withdrawn is not begun", given: func(s *tale) { s.approved().do(WithdrawFix{}) }, cmd: ApplyFix{sentence}, kind: fault.Conflict},
	},
	"R10": {
		{name: "a second fix while one is begun", given: func(s *tale) { s.applying() }, cmd: plan(), refused: true, through: anyway()},
		{name: "a second fix while one is measured", given: func(s *tale) { s.measuring() }, cmd: plan(), refused: true, through: anyway()},
		{name: "a second fix while one did nothing", given: func(s *tale) { s.fruitless() }, cmd: plan(), refused: true, through: anyway()},
		{name: "a second fix while one did harm", given: func(s *tale) { s.harmful() }, cmd: plan(), refused: true, through: anyway()},
		{name: "a second fix while one is interrupted", given: func(s *tale) { s.interrupted() }, cmd: plan(), refused: true, through: anyway()},
		{name: "a second fix while one is rolled back", given: func(s *tale) { s.fruitless().do(TakeBackFix{}) }, cmd: plan(), refused: true, through: anyway()},
		{name: "a second fix while one is proposed", given: func(s *tale) { s.proposed() }, cmd: plan(), refused: true, through: anyway()},
		{name: "a fix made elsewhere, too", given: func(s *tale) { s.measuring() }, cmd: ReportFix{Change: "I have rebooted it."}, refused: true, through: ReportFix{Change: "I have rebooted it."}},
		{name: "a fix while a put-back is under way", given: func(s *tale) { s.diagnosed().putBack("to-standby") }, cmd: plan(), refused: true, through: anyway()},
		{name: "to begin a fix while a put-back is under way", given: func(s *tale) {
			s.contained().pull("search-off").seen().suspected().do(yes).do(plan()).putBack("search-off")
		}, cmd: ApplyFix{sentence}, refused: true, through: ApplyFix{sentence}},
		{name: "the return while a fix is proposed", given: func(s *tale) { s.proposed() }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "the return while a fix is measured", given: func(s *tale) { s.measuring() }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "the return while a fix did nothing", given: func(s *tale) { s.fruitless() }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "the return while a fix is interrupted", given: func(s *tale) { s.interrupted() }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "a put-back while a fix is measured", given: func(s *tale) { s.measuring() }, cmd: PutBack{Lever: "to-standby"}, refused: true, through: PutBack{"to-standby", sentence}},
		{name: "a put-back while a fix is rolled back", given: func(s *tale) { s.fruitless().do(TakeBackFix{}) }, cmd: PutBack{Lever: "to-standby"}, refused: true, through: PutBack{"to-standby", sentence}},
		{name: "another diagnosis while a fix is measured", given: func(s *tale) { s.measuring() }, cmd: yesAnyway, refused: true, through: yesAnyway},
		{name: "the old place given up while a fix is measured", given: func(s *tale) {
			abroad(s).do(anyway()).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true})
		}, cmd: MakePermanent{sentence}, refused: true, through: MakePermanent{sentence}},
		{name: "the old place given up while a fix is proposed", given: func(s *tale) { abroad(s).do(anyway()) }, cmd: MakePermanent{sentence}, refused: true, through: MakePermanent{sentence}},
		{name: "the old place given up while a lever is being pulled", given: func(s *tale) { abroad(s).pull("search-off") }, cmd: MakePermanent{sentence}, refused: true, through: MakePermanent{sentence}},
		{name: "the old place given up while a put-back is under way", given: func(s *tale) { abroad(s).pull("search-off").seen().putBack("search-off") }, cmd: MakePermanent{sentence}, refused: true, through: MakePermanent{sentence}},
		{name: "two rollbacks", given: func(s *tale) {
			s.worked().later(time.Hour).do(plan()).by(cora).do(ApproveFix{}).by(ada).do(ApplyFix{})
		}, cmd: TakeBackFix{"f1"}, refused: true, through: TakeBackFix{"f1"}},
		{name: "a rollback while a put-back is under way", given: func(s *tale) { s.worked().pull("search-off").seen().putBack("search-off") }, cmd: TakeBackFix{}, refused: true, through: TakeBackFix{}},
		{name: "parking in the middle of the return", given: func(s *tale) { parkedOne(s).goBack("It is back.").passes() }, cmd: park("search-off"), refused: true, through: park("search-off")},
		{name: "unparking in the middle of the return", given: func(s *tale) { parkedOne(s).goBack("It is back.").passes() }, cmd: UnparkLever{"search-off"}, refused: true, through: UnparkLever{"search-off"}},
		{name: "a false alarm while a fix is rolled back", given: func(s *tale) {
			s.declare().do(DecideNoFailover{sentence}).do(anyway()).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true}).read("pass").read("pass").
				pull("to-standby").seen().goBack("").do(StepBack{}).putBack("to-standby").seen().do(TakeBackFix{}).home("up")
		}, cmd: Cancel{sentence}, refused: true, through: Cancel{sentence}},
		{name: "the end while a parked lever is put back", given: func(s *tale) {
			parkedOne(s).goBack("It is back.").passes().seen().home("up").later(time.Hour).do(WatchOver{}).putBack("search-off")
		}, cmd: Close{sentence}, refused: true, through: Close{sentence}},
		{name: "kept as it is frees it", given: func(s *tale) { s.fruitless().do(KeepFix{sentence}).later(time.Hour) }, cmd: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged},
			then: func(t *testing.T, s *tale) {
				if f := s.fix("f1"); f.State != StateAccepted || f.Reason != sentence {
					t.Errorf("the fix is %+v", f)
				}
			}},
		{name: "rolled back frees it", given: func(s *tale) { s.rolledBack().later(time.Hour) }, cmd: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged}},
		{name: "what worked frees it", given: func(s *tale) { s.worked().later(time.Hour) }, cmd: plan(), want: []Type{FixProposed}},
		{name: "what worked frees the return", given: func(s *tale) { s.worked() }, cmd: GoBack{}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "withdrawn frees it", given: func(s *tale) { s.proposed().do(WithdrawFix{}) }, cmd: plan(), want: planned},
		{name: "a rollback that failed holds it", given: func(s *tale) { s.fruitless().do(TakeBackFix{}).do(FixTakenBack{Detail: "exit 1"}) }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
		{name: "an act that failed holds it", given: func(s *tale) { s.applying().do(FixCarriedOut{Detail: "exit 1"}) }, cmd: GoBack{Because: sentence}, refused: true, through: GoBack{sentence, sentence}},
	},
	"R11": {
		{name: "the first", given: func(s *tale) { s.diagnosed() }, cmd: plan(), want: planned},
		{name: "two close together", given: func(s *tale) { s.worked() }, cmd: plan(), refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed}},
		{name: "two apart", given: func(s *tale) { s.worked().later(20 * time.Minute) }, cmd: plan(), want: []Type{FixProposed}},
		{name: "one that was only proposed is no fix", given: func(s *tale) { s.approved().do(WithdrawFix{}) }, cmd: plan(), want: planned},
		{name: "the third in the blind", given: func(s *tale) { twoTried(s).suspected() }, cmd: anyway(), want: []Type{RuleOverridden, RuleOverridden, FixProposed, PhaseChanged}, then: func(t *testing.T, s *tale) {
			o := s.in.Overrides
			if got := []string{o[len(o)-2].Rule, o[len(o)-1].Rule}; !slices.Equal(got, []string{"R6", "R11"}) {
				t.Errorf("the last overrides are of %v", got)
			}
		}},
		{name: "a newly confirmed cause counts anew", given: func(s *tale) { twoTried(s).suspected().later(time.Second).do(yes) }, cmd: plan(), want: planned},
		{name: "after which two more are tried", given: func(s *tale) {
			twoTried(s).suspected().do(yes)
			for range 2 {
				s.later(time.Hour).do(anyway()).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true}).do(JudgeFix{StateWorked, sentence})
			}
			s.later(time.Hour)
		}, cmd: plan(), refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed}},
		{name: "one made elsewhere counts", given: func(s *tale) {
			s.diagnosed().do(ReportFix{Change: "I have rebooted it.", Promise: Promise{Check: "front"}}).do(JudgeFix{StateWorked, sentence}).later(time.Minute)
		}, cmd: plan(), refused: true, through: anyway(), want: []Type{RuleOverridden, FixProposed}},
		{name: "one made elsewhere is never refused for it", given: func(s *tale) { twoTried(s) }, cmd: ReportFix{Change: "I have rebooted it."}, want: planned},
	},
	"R12": {
		{name: "it did what it promised", given: func(s *tale) { s.worked() }, cmd: GoBack{}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}, then: needs(2)},
		{name: "it was kept though it did not", given: func(s *tale) { s.fruitless().do(KeepFix{sentence}) }, cmd: GoBack{}, refused: true, through: GoBack{Because: sentence}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted}, then: needs(4)},
		{name: "it was interrupted and kept", given: func(s *tale) { s.interrupted().do(KeepFix{sentence}) }, cmd: GoBack{}, refused: true, through: GoBack{Reason: sentence}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted}, then: needs(4)},
		{name: "it was rolled back: as if there was none", given: func(s *tale) { s.rolledBack() }, cmd: GoBack{Because: sentence}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}, then: needs(4)},
		{name: "the last return stepped back after it", given: func(s *tale) { s.worked().goBack("").do(StepBack{}) }, cmd: GoBack{}, refused: true, through: GoBack{Because: sentence}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted}, then: needs(4)},
		{name: "the last return stepped back by itself", given: func(s *tale) { s.worked().goBack("").check("fail").check("fail").check("fail") }, cmd: GoBack{}, refused: true, through: GoBack{Reason: sentence}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "it came back in the watch", given: func(s *tale) {
			s.worked().goBack("").passes().seen().do(Relapsed{"front fails"}).pull("to-standby").seen()
		}, cmd: GoBack{}, refused: true, through: GoBack{Because: sentence}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, StageStarted}},
	},
	"R13": {
		{name: "the new home is not seen well", given: func(s *tale) { abroad(s).facts.PlaceSeen = "unknown" }, cmd: MakePermanent{"It burnt down."}, want: []Type{RuleOverridden, ReturnPlanned, PhaseChanged, LeverSettled, ReturnCompleted, PhaseChanged, WatchStarted}},
		{name: "the new home is seen well", given: func(s *tale) { abroad(s) }, cmd: MakePermanent{"It burnt down."}, want: []Type{ReturnPlanned, PhaseChanged, LeverSettled, ReturnCompleted, PhaseChanged, WatchStarted}},
		{name: "a reason is asked for in any case", given: func(s *tale) { abroad(s) }, cmd: MakePermanent{" "}, kind: fault.Invalid},
		{name: "visitors are at the status page", given: func(s *tale) { s.contained() }, facts: func(_ *tale, f *Facts) { f.Place = "standby" }, cmd: MakePermanent{sentence}, kind: fault.Conflict},
		{name: "other levers go back then", given: func(s *tale) { abroad(s).pull("search-off").seen() }, cmd: MakePermanent{"It burnt down."}, want: []Type{ReturnPlanned, PhaseChanged, LeverSettled, StagePassed, LeverUndoing},
			then: func(t *testing.T, s *tale) {
				if s.seen(); s.in.Phase != Watch || s.stateOf("to-backup") != Settled || s.stateOf("search-off") != Undone {
					t.Errorf("phase %q, to-backup %s, search-off %s", s.in.Phase, s.stateOf("to-backup"), s.stateOf("search-off"))
				}
			}},
		{name: "a parked one stays then", given: func(s *tale) { abroad(s).pull("search-off").seen().do(park("search-off")) }, cmd: MakePermanent{"It burnt down."}, want: []Type{ReturnPlanned, PhaseChanged, LeverSettled, ReturnCompleted, PhaseChanged, WatchStarted}},
		{name: "while the checks for the return run", given: func(s *tale) { abroad(s).goBack("It is back.") }, cmd: MakePermanent{"It burnt down."}, want: []Type{LeverSettled, ReturnCompleted, PhaseChanged, WatchStarted}},
		{name: "a parked lever comes back in the watch when all is well", given: func(s *tale) { parkedOne(s).goBack("It is back.").passes().seen().home("up").later(time.Hour) }, cmd: PutBack{Lever: "search-off"}, want: []Type{LeverUndoing}},
		{name: "and not when the checks fail", given: func(s *tale) { parkedOne(s).goBack("It is back.").passes().seen().home("down").later(time.Hour) }, cmd: PutBack{Lever: "search-off"}, refused: true, through: PutBack{"search-off", sentence}, want: []Type{RuleOverridden, LeverUndoing}},
	},
	"R15": {
		{name: "a parked lever stays", given: func(s *tale) { parkedOne(s).later(time.Hour).goBack("It is back.") }, cmd: Advance{sentence}, want: []Type{RuleOverridden, StagePassed, LeverUndoing}, then: func(t *testing.T, s *tale) {
			if s.stateOf("search-off") != Active || !slices.Equal(s.in.Return.Undo, []string{"to-standby-1"}) {
				t.Errorf("search-off is %s; goes back: %v", s.stateOf("search-off"), s.in.Return.Undo)
			}
			if s.seen(); s.in.Phase != Watch {
				t.Errorf("phase %q once the rest is back", s.in.Phase)
			}
		}},
		{name: "one that is no longer parked goes too", given: func(s *tale) { parkedOne(s).do(UnparkLever{"search-off"}).later(time.Hour).goBack("It is back.") }, cmd: Advance{sentence}, want: []Type{RuleOverridden, StagePassed, LeverUndoing, LeverUndoing}},
		{name: "nothing but what is parked", given: func(s *tale) { s.contained().do(park("to-standby")) }, cmd: GoBack{Because: sentence}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "what an earlier incident left parked goes back", given: nothing, facts: func(_ *tale, f *Facts) {
			f.Parked = []Pull{{ID: "old", Lever: "search-off", Title: "Close the search", Target: "feature:search", State: Active, Parked: &Parking{Owner: "Olga"}}}
		}, cmd: GoBack{Because: "The index is there."}, want: []Type{Declared, LeverUnparked, ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "parked without an owner", given: func(s *tale) { s.contained() }, cmd: ParkLever{Lever: "to-standby", Until: night.Add(time.Hour), Reason: sentence}, kind: fault.Invalid},
		{name: "parked without a date", given: func(s *tale) { s.contained() }, cmd: ParkLever{Lever: "to-standby", Owner: "Olga", Reason: sentence}, kind: fault.Invalid},
		{name: "parked until yesterday", given: func(s *tale) { s.contained() }, cmd: ParkLever{"to-standby", "Olga", night.Add(-time.Hour), sentence}, kind: fault.Invalid},
		{name: "parked without a reason", given: func(s *tale) { s.contained() }, cmd: ParkLever{"to-standby", "Olga", night.Add(time.Hour), ""}, kind: fault.Invalid},
		{name: "parked before it is in force", given: func(s *tale) { s.declare().pull("to-standby") }, cmd: park("to-standby"), kind: fault.Conflict},
		{name: "what lies below is parked with it", given: func(s *tale) { s.declare().pull("to-standby").seen().pull("search-off").seen() }, facts: lever("to-backup"), cmd: pull(sentence), want: []Type{RuleOverridden, LeverApplying},
			then: func(t *testing.T, s *tale) {
				s.seen().do(park("to-backup"))
				if p := s.in.ParkedPulls(); len(p) != 2 || len(s.in.Loose()) != 1 {
					t.Errorf("parked: %+v, loose: %+v", p, s.in.Loose())
				}
				if s.do(UnparkLever{"to-standby"}); len(s.in.ParkedPulls()) != 0 {
					t.Errorf("still parked: %+v", s.in.ParkedPulls())
				}
			}},
		{name: "what lies above is not", given: func(s *tale) { s.declare().pull("to-backup").seen().pull("to-standby").seen() }, cmd: park("to-backup"), want: []Type{LeverParked}},
		{name: "not parked: nothing to say", given: func(s *tale) { s.contained() }, cmd: UnparkLever{"to-standby"}},
		{name: "unparked when the rest is back", given: func(s *tale) { parkedOne(s).goBack("It is back.").passes().seen() }, cmd: UnparkLever{"search-off"}, kind: fault.Conflict},
	},
	"R16": {
		{name: "a rollback steps back, too", given: func(s *tale) { s.worked().goBack("").passes() }, cmd: TakeBackFix{}, want: []Type{SteppedBack, PhaseChanged, LeverActive, FixRollingBack}, then: func(t *testing.T, s *tale) {
			if s.in.Phase != Diagnose || s.stateOf("to-standby") != Active || s.in.Lock() != "the fix f1" {
				t.Errorf("phase %q, lever %s, lock %q", s.in.Phase, s.stateOf("to-standby"), s.in.Lock())
			}
		}},
		{name: "what was pulled again is not back yet", given: func(s *tale) { s.watching() }, cmd: StepBack{map[string]string{"to-standby-1": "again"}}, want: []Type{WatchRelapse, PhaseChanged, LeverApplying},
			then: func(t *testing.T, s *tale) {
				if p, _ := s.in.Pull("again"); !p.BackAt.IsZero() {
					t.Errorf("pulled again and put back at %s", p.BackAt)
				}
			}},
	},
	"R17": {
		{name: "the promise was not measured again", given: func(s *tale) { s.worked().goBack("").passes().seen().home("up").later(2 * time.Hour) }, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "the promise was measured again and is broken", given: func(s *tale) {
			s.worked().goBack("").passes().seen().home("up").later(2 * time.Hour).do(ReadAgain{Reading{Verdict: "fail"}})
		}, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "it passes and takes too long", given: func(s *tale) {
			s.diagnosed().do(planWith(func(p *ProposeFix) { p.Promise.Below = time.Second })).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true}).read("pass").read("pass").
				goBack("").passes().seen().home("up").later(2 * time.Hour).do(ReadAgain{Reading{Verdict: "pass", Took: time.Second}})
		}, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "the promise holds with everybody back", given: func(s *tale) {
			s.worked().goBack("").passes().seen().home("up").later(2 * time.Hour).do(ReadAgain{Reading{Verdict: "fail"}}).do(ReadAgain{Reading{Verdict: "pass"}})
		}, facts: as(system), cmd: WatchOver{}, want: []Type{WatchPassed, PhaseChanged}},
		{name: "measured alike again says nothing new", given: func(s *tale) { s.worked().goBack("").passes().seen().do(ReadAgain{Reading{Verdict: "pass"}}) }, cmd: ReadAgain{Reading{Verdict: "pass"}}},
		{name: "nothing to measure again", given: func(s *tale) { s.watching() }, cmd: ReadAgain{Reading{Verdict: "pass"}}, kind: fault.Conflict},
		{name: "a promise in words is not measured again", given: func(s *tale) {
			s.diagnosed().do(planWith(func(p *ProposeFix) { p.Promise = Promise{To: "Orders come in."} })).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true}).do(JudgeFix{StateWorked, "They do."}).
				goBack("").passes().seen().home("up").later(2 * time.Hour)
		}, cmd: WatchOver{}, want: []Type{WatchPassed, PhaseChanged}},
		{name: "the window is twice the time to the effect", given: func(s *tale) {
			s.facts.Settings.Watch = time.Minute
			s.measuring().later(3 * time.Minute).read("pass").read("pass").goBack("").passes().seen().home("up").do(ReadAgain{Reading{Verdict: "pass"}}).later(6 * time.Minute)
		}, cmd: WatchOver{}, refused: true, through: WatchOver{sentence}, want: []Type{RuleOverridden, WatchPassed, PhaseChanged}},
		{name: "a parked lever may stay", given: func(s *tale) { parkedOne(s).goBack("It is back.").passes().seen().home("up").later(time.Hour) }, cmd: WatchOver{}, want: []Type{WatchPassed, PhaseChanged}},
		{name: "a lever is pulled in the write-up all the same", given: func(s *tale) {
			written(s).record([]Event{s.raw(LeverActive, OutcomeData{Pull: "to-standby-1"})}) // as an earlier version may have left it
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "a parked lever outlives the incident", given: func(s *tale) {
			parkedOne(s).goBack("It is back.").passes().seen().home("up").later(time.Hour).do(WatchOver{})
		}, cmd: Close{sentence}, want: []Type{ClosedType}, then: func(t *testing.T, s *tale) {
			if p := s.in.ParkedPulls(); len(p) != 1 || p[0].Parked.Owner != "Olga" {
				t.Errorf("parked: %+v", p)
			}
		}},
	},
	"R18": {
		{name: "final", given: func(s *tale) { written(s) }, cmd: Close{}, want: []Type{ClosedType}},
		{name: "final, and opened again", given: func(s *tale) { written(s).do(Answer{"help", "Luck."}) }, cmd: Close{}, refused: true, through: Close{sentence}, satisfied: true, want: []Type{ClosedType}},
		{name: "final, opened and final again", given: func(s *tale) { written(s).do(Answer{"help", "Luck."}).do(Finalise{"cd"}) }, cmd: Close{}, want: []Type{ClosedType}, then: func(t *testing.T, s *tale) {
			if w := s.in.WriteUp; w.Version != 2 || !w.Final || w.SHA256 != "cd" || w.FinalBy != "Ada" {
				t.Errorf("the write-up is %+v", w)
			}
		}},
		{name: "final before the watch is over", given: func(s *tale) { s.watching() }, cmd: Finalise{"ab"}, kind: fault.Conflict},
		{name: "final twice", given: func(s *tale) { written(s) }, cmd: Finalise{"ab"}},
	},
	"R19": {
		{name: "no owner", given: func(s *tale) {
			written(s).do(AddFollowUp{FollowUp{What: "Watch the disk.", Due: night.Add(time.Hour), DoneWhen: "An alarm was seen."}})
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "no date", given: func(s *tale) {
			written(s).do(AddFollowUp{FollowUp{What: "Watch the disk.", Owner: "Olga", DoneWhen: "An alarm was seen."}})
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "no way to see that it is done", given: func(s *tale) {
			written(s).do(AddFollowUp{FollowUp{What: "Watch the disk.", Owner: "Olga", Due: night.Add(time.Hour)}})
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "all three", given: func(s *tale) {
			written(s).do(AddFollowUp{FollowUp{What: "Watch the disk."}}).do(ChangeFollowUp{FollowUp{ID: "a1", Owner: "Olga", Due: night.Add(time.Hour), DoneWhen: "An alarm was seen."}})
		}, cmd: Close{}, want: []Type{ClosedType}},
		{name: "an idea owes nothing", given: func(s *tale) { written(s).do(AddFollowUp{FollowUp{Kind: "idea", What: "A second disk."}}) }, cmd: Close{}, want: []Type{ClosedType}},
		{name: "nor what is declined", given: func(s *tale) {
			written(s).do(AddFollowUp{FollowUp{What: "Watch the disk."}}).do(EndFollowUp{"a1", "declined", "Too dear."})
		}, cmd: Close{}, want: []Type{ClosedType}},
		{name: "nor what is done", given: func(s *tale) {
			written(s).do(AddFollowUp{FollowUp{What: "Watch the disk."}}).do(EndFollowUp{"a1", "done", ""})
		}, cmd: Close{}, want: []Type{ClosedType}},
		{name: "declined needs a reason", given: func(s *tale) { written(s).do(AddFollowUp{FollowUp{What: "Watch the disk."}}) }, cmd: EndFollowUp{"a1", "declined", ""}, kind: fault.Invalid},
		{name: "no post-mortem, and a commitment all the same", given: func(s *tale) { s.reviewing().do(AddFollowUp{FollowUp{What: "Watch the disk."}}) }, cmd: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
	},
	"R20": {
		{name: "nothing on how we work", given: func(s *tale) { s.reviewing().do(Finalise{"ab"}) }, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "only on technique", given: func(s *tale) {
			s.reviewing().do(JudgeFinding{Finding{About: AboutArchitecture, Text: "One disk."}}).do(Finalise{"ab"})
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "proposed and not accepted", given: func(s *tale) {
			s.reviewing().do(JudgeFinding{Finding{ID: "late", About: AboutProcess, Text: "News was late."}}).do(Finalise{"ab"})
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "accepted, and no longer", given: func(s *tale) {
			s.reviewing().do(JudgeFinding{Finding{ID: "late", About: AboutProcess, Text: "News was late.", Accepted: true}}).do(JudgeFinding{Finding{ID: "late", About: AboutProcess, Text: "News was late."}}).do(Finalise{"ab"})
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "accepted", given: func(s *tale) {
			s.reviewing().do(JudgeFinding{Finding{ID: "late", About: AboutProcess, Text: "News was late.", Accepted: true}}).do(Finalise{"ab"})
		}, cmd: Close{}, want: []Type{ClosedType}},
		{name: "one's own", given: func(s *tale) { written(s) }, cmd: Close{}, want: []Type{ClosedType}},
	},
	"R21": {
		{name: "told that it began", given: func(s *tale) { s.contained().do(SendUpdate{Audience: Public, Text: "The shop is down."}); toReview(s) }, cmd: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "told that it began, and then more", given: func(s *tale) {
			written(s).do(SendUpdate{Audience: Public, Text: "It is over.", Final: true}).do(SendUpdate{Audience: Public, Text: "Oh, it is not."})
		}, cmd: Close{}, refused: true, through: Close{sentence}, want: []Type{RuleOverridden, ClosedType}},
		{name: "told that it is over", given: func(s *tale) {
			written(s).do(SendUpdate{Audience: Public, Text: "The shop is down."}).do(SendUpdate{Audience: Public, Text: "It is over.", Final: true})
		}, cmd: Close{}, want: []Type{ClosedType}},
		{name: "only the staff was told", given: func(s *tale) { written(s).do(SendUpdate{Audience: Staff, Text: "The shop is down."}) }, cmd: Close{}, want: []Type{ClosedType}},
	},
	"R22": {
		{name: "no lever, for a reason", given: func(s *tale) { s.declare().do(DecideNoFailover{sentence}) }, cmd: GoBack{}, refused: true, through: GoBack{Because: "It went away."}, satisfied: true, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "the fix was rolled back", given: func(s *tale) { s.rolledBack() }, cmd: GoBack{}, refused: true, through: GoBack{Because: "It went away."}, satisfied: true, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
		{name: "what worked says it by itself", given: func(s *tale) { s.worked() }, cmd: GoBack{}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}, then: func(t *testing.T, s *tale) {
			if r := s.in.Return; !strings.HasPrefix(r.Because, "f1 did what it promised: front passed 2 times in a row") {
				t.Errorf("because %q", r.Because)
			}
		}},
	},
	"U1": {
		{name: "a rollback is free: of what worked", given: func(s *tale) { s.worked() }, facts: as(olga), cmd: TakeBackFix{}, want: []Type{FixRollingBack}},
		{name: "a rollback is free: of what did harm", given: func(s *tale) { s.harmful() }, facts: as(olga), cmd: TakeBackFix{}, want: []Type{FixRollingBack}},
		{name: "a rollback is free: of what was interrupted", given: func(s *tale) { s.interrupted() }, facts: as(olga), cmd: TakeBackFix{}, want: []Type{FixRollingBack}},
		{name: "a rollback is free: of what is measured", given: func(s *tale) { s.measuring() }, facts: as(olga), cmd: TakeBackFix{}, want: []Type{FixRollingBack}},
		{name: "a rollback is free: of what was kept", given: func(s *tale) { s.fruitless().do(KeepFix{sentence}) }, facts: as(olga), cmd: TakeBackFix{}, want: []Type{FixRollingBack}},
		{name: "nothing to roll back", given: func(s *tale) { s.proposed() }, cmd: TakeBackFix{}, kind: fault.NotFound},
		{name: "rolled back already", given: func(s *tale) { s.rolledBack() }, cmd: TakeBackFix{}, kind: fault.Conflict},
		{name: "not with everybody on the real site", given: func(s *tale) { s.worked().goBack("").passes().seen() }, cmd: TakeBackFix{}, kind: fault.Conflict},
		{name: "a lever that does harm itself", given: func(s *tale) { s.declare().pull("to-backup").seen().later(5 * time.Hour) }, facts: func(_ *tale, f *Facts) { harmless(f) }, cmd: PutBack{Lever: "to-backup"}, want: []Type{LeverUndoing}},
		{name: "one that only might", given: func(s *tale) { s.declare().pull("to-backup").seen().later(5 * time.Hour) }, facts: func(_ *tale, f *Facts) { harmless(f); f.PlaceSeen = "unknown" }, cmd: PutBack{Lever: "to-backup"},
			refused: true, through: PutBack{"to-backup", sentence}, want: []Type{RuleOverridden, LeverUndoing}},
		{name: "pulled already, by an earlier incident", given: nothing, facts: leverBut("search-off", func(f *Facts) {
			f.Parked = []Pull{{ID: "old", Lever: "search-off", Target: "feature:search", State: Active, Parked: &Parking{}}}
		}), cmd: pull(sentence), kind: fault.Conflict},
	},
	"U2": {
		{name: "what is parked has a date of its own", given: func(s *tale) { s.contained().do(park("to-standby")) }, facts: as(system), cmd: Remind{}, kind: fault.Conflict},
	},
	"U4": {
		{name: "never back: the new home", given: func(s *tale) { abroad(s) }, facts: as(system), cmd: MakePermanent{sentence}, refused: true, through: MakePermanent{sentence}},
	},
	"U7": {
		{name: "a lever that somebody else moved can be put back by the return", given: func(s *tale) { s.contained().do(Drifted{Pull: "to-standby-1"}) }, cmd: GoBack{Because: "It is back."}, want: []Type{ReturnPlanned, PhaseChanged, StageStarted}},
	},
	"U8": {
		{name: "the timeline says what did not hold, and why", given: func(s *tale) { s.contained().suspected() }, cmd: anyway(), want: []Type{RuleOverridden, FixProposed, PhaseChanged}, then: func(t *testing.T, s *tale) {
			o := s.in.Overrides[0]
			if e := s.events[len(s.events)-3]; o.Rule != "R6" || o.By != ada || !strings.Contains(e.Text, "no confirmed cause yet") || !strings.Contains(e.Text, sentence) {
				t.Errorf("override %+v, told as %q", o, e.Text)
			}
		}},
	},
	"U10": {
		{name: "a drill leaves nothing parked", given: func(s *tale) { s.declareDrill().pull("to-standby").seen() }, cmd: park("to-standby"), refused: true, through: park("to-standby")},
		{name: "a drill runs no prepared act", given: func(s *tale) { s.declareDrill().do(DecideNoFailover{sentence}) }, cmd: anyway(restart), refused: true, through: anyway(restart)},
		{name: "a drill has fixes by hand", given: func(s *tale) { s.declareDrill().do(DecideNoFailover{sentence}).suspected().do(yes) }, cmd: plan(), want: planned},
		{name: "a drill takes nothing over that is parked", given: nothing, facts: leverBut("to-standby", func(f *Facts) { f.Parked = []Pull{{ID: "old", Lever: "search-off", State: Active, Parked: &Parking{}}} }),
			cmd: PullLever{PullID: "next", Drill: true}, want: []Type{Declared, DrillStarted, LeverApplying}, then: func(t *testing.T, s *tale) {
				if len(s.in.Pulls) != 1 {
					t.Errorf("pulls: %+v", s.in.Pulls)
				}
			}},
		{name: "a real one does", given: nothing, facts: func(_ *tale, f *Facts) {
			f.Parked = []Pull{{ID: "old", Lever: "search-off", State: Active, Parked: &Parking{}}}
		}, cmd: Declare{}, want: []Type{Declared},
			then: func(t *testing.T, s *tale) {
				if p := s.in.ParkedPulls(); len(p) != 1 || p[0].ID != "old" {
					t.Errorf("parked: %+v", p)
				}
			}},
	},
	"U11": {
		{name: "a fix that is begun is interrupted", given: func(s *tale) { s.applying() }, facts: lever("search-off"), cmd: pull(""), want: []Type{FixInterrupted, LeverApplying}, then: func(t *testing.T, s *tale) {
			if f := s.fix("f1"); f.State != StateInterrupted || s.in.Lock() == "" || s.in.Phase != Fixing {
				t.Errorf("the fix is %s, lock %q, phase %q", f.State, s.in.Lock(), s.in.Phase)
			}
		}},
		{name: "a fix that is measured is interrupted", given: func(s *tale) { s.measuring() }, facts: lever("search-off"), cmd: pull(""), want: []Type{FixInterrupted, LeverApplying}},
		{name: "a local order interrupts, too", given: func(s *tale) { s.measuring() }, facts: lever("search-off"), cmd: Adopt{PullID: "next", By: olga}, want: []Type{FixInterrupted, LeverApplying, LeverActive}},
		{name: "what did nothing is left as it is", given: func(s *tale) { s.fruitless() }, facts: lever("search-off"), cmd: pull(""), want: pulled},
		{name: "so is a rollback", given: func(s *tale) { s.fruitless().do(TakeBackFix{}) }, facts: lever("search-off"), cmd: pull(""), want: pulled},
		{name: "so is a proposal", given: func(s *tale) { s.approved() }, facts: lever("search-off"), cmd: pull(""), want: pulled},
		{name: "then it is measured", given: func(s *tale) { s.interrupted() }, cmd: MeasureFix{}, want: []Type{FixApplied}, then: func(t *testing.T, s *tale) {
			if s.read("pass").read("pass"); s.fix("f1").State != StateWorked {
				t.Errorf("the fix is %+v", s.fix("f1"))
			}
		}},
		{name: "or judged", given: func(s *tale) { s.interrupted() }, cmd: JudgeFix{StateWorked, "It does."}, want: []Type{FixMeasured}},
		{name: "or rolled back", given: func(s *tale) { s.interrupted() }, cmd: TakeBackFix{}, want: []Type{FixRollingBack}},
		{name: "or kept", given: func(s *tale) { s.interrupted() }, cmd: KeepFix{sentence}, want: []Type{FixAccepted, PhaseChanged}, then: func(t *testing.T, s *tale) {
			if s.in.Diagnosis == nil || s.in.Lock() != "" {
				t.Errorf("diagnosis %+v, lock %q", s.in.Diagnosis, s.in.Lock())
			}
		}},
		{name: "kept without a word is not kept", given: func(s *tale) { s.interrupted() }, cmd: KeepFix{}, kind: fault.Invalid},
		{name: "what works is not kept, it is in place", given: func(s *tale) { s.worked() }, cmd: KeepFix{sentence}, kind: fault.Conflict},
		{name: "its act ended after all: the fix is settled first", given: func(s *tale) { s.applying().pull("search-off") }, cmd: FixCarriedOut{OK: true}, kind: fault.Conflict},
	},
	"U12": {
		{name: "how long another is waited for", given: func(s *tale) { s.facts.Settings.Approval = time.Second; s.proposed().later(time.Second) }, cmd: GoAlone{sentence}, want: []Type{ApprovalTimeout}},
		{name: "the wait is that of the proposal", given: func(s *tale) { s.proposed().later(time.Second); s.facts.Settings.Approval = time.Second }, cmd: ApplyFix{sentence}, want: []Type{RuleOverridden, FixApplying}},
		{name: "the pause", given: func(s *tale) {
			s.facts.Settings.Pause = time.Second
			s.proposed().later(time.Hour).do(GoAlone{sentence}).later(time.Second)
		}, cmd: ApplyFix{}, want: begun},
		{name: "how far two fixes are apart", given: func(s *tale) { s.facts.Settings.FixApart = time.Second; s.worked() }, cmd: plan(), want: []Type{FixProposed}},
		{name: "how many passes show that a fix worked", given: func(s *tale) { s.facts.Settings.FixPasses = 3; s.measuring().read("pass").read("pass") }, cmd: reading("pass", night), want: []Type{FixRead, FixMeasured}},
		{name: "no settings: one pass", given: func(s *tale) { s.facts.Settings = Settings{}; s.measuring() }, cmd: reading("pass", night), want: []Type{FixRead, FixMeasured}},
	},
}

// toReview goes from a contained incident to the write-up.
func toReview(s *tale) {
	s.t.Helper()
	s.later(time.Hour).goBack("The disk has room again.").passes().seen().home("up").later(time.Hour).do(WatchOver{})
}
