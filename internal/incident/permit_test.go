package incident

import (
	"go/ast"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// anybody is the role of what lifeboat records itself: none is asked for.
const anybody role.Role = ""

// everyCommand names, for each command, the least role that may give it. The value is
// one of the command, so that the list can be compared with the code.
var everyCommand = []struct {
	cmd  Command
	need role.Role
}{
	// Towards safety, and what only adds words: everyone in the company.
	{Declare{}, role.Reporter}, {PullLever{}, role.Reporter}, {StepBack{}, role.Reporter}, {Note{}, role.Reporter}, {Attach{}, role.Reporter}, {SeeChanges{}, role.Reporter},

	// Work on the incident.
	{PutBack{}, role.Operator}, {DecideNoFailover{}, role.Operator}, {GoBack{}, role.Operator}, {Advance{}, role.Operator}, {Cancel{}, role.Operator},
	{MarkChange{}, role.Operator}, {Redact{}, role.Operator}, {LinkIncident{}, role.Operator}, {SetSeverity{}, role.Operator},
	{OpenCause{}, role.Operator}, {WeighCause{}, role.Operator}, {TestCause{}, role.Operator}, {RuleOut{}, role.Operator}, {ParkCause{}, role.Operator},
	{ReopenCause{}, role.Operator}, {ConfirmCause{}, role.Operator}, {WithdrawDiagnosis{}, role.Operator},
	{ProposeFix{}, role.Operator}, {ReportFix{}, role.Operator}, {WithdrawFix{}, role.Operator}, {ApproveFix{}, role.Operator}, {ObjectToFix{}, role.Operator}, {GoAlone{}, role.Operator},
	{ApplyFix{}, role.Operator}, {FixCarriedOut{}, role.Operator}, {JudgeFix{}, role.Operator}, {MeasureFix{}, role.Operator}, {TakeBackFix{}, role.Operator}, {FixTakenBack{}, role.Operator}, {KeepFix{}, role.Operator},
	{TakeRole{}, role.Operator}, {ReleaseRole{}, role.Operator}, {OfferHandover{}, role.Operator}, {AcceptHandover{}, role.Operator}, {Choose{}, role.Operator}, {Object{}, role.Operator},
	{SendUpdate{}, role.Operator}, {SnoozeUpdate{}, role.Operator},
	{EditSection{}, role.Operator}, {Answer{}, role.Operator}, {JudgeFinding{}, role.Operator}, {AddFollowUp{}, role.Operator}, {ChangeFollowUp{}, role.Operator}, {EndFollowUp{}, role.Operator}, {Correct{}, role.Operator},

	// What ends an incident, or leaves something behind.
	{WatchOver{}, role.Commander}, {ParkLever{}, role.Commander}, {UnparkLever{}, role.Commander}, {MakePermanent{}, role.Commander}, {Finalise{}, role.Commander}, {Close{}, role.Commander},

	// What lifeboat sees and records.
	{Outcome{}, anybody}, {Adopt{}, anybody}, {Propose{}, anybody}, {Drifted{}, anybody}, {Shared{}, anybody}, {Sanity{}, anybody}, {Relapsed{}, anybody}, {Remind{}, anybody}, {ScoreDrill{}, anybody},
	{Captured{}, anybody}, {SeeSight{}, anybody}, {Measure{}, anybody}, {ReadFix{}, anybody}, {ReadAgain{}, anybody}, {Delivered{}, anybody}, {UpdateOverdue{}, anybody},
}

// nameOf is a command's type.
func nameOf(c Command) string { return reflect.TypeOf(c).Name() }

// commands are the types that the code makes commands: those with a decide.
func commands(t failer) []string {
	t.Helper()
	var out []string
	for _, f := range source(t) {
		for _, d := range f.Decls {
			fn, is := d.(*ast.FuncDecl)
			if !is || fn.Recv == nil || fn.Name.Name != "decide" {
				continue
			}
			if of, named := fn.Recv.List[0].Type.(*ast.Ident); named && of.Name != "draft" {
				out = append(out, of.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// No command is forgotten: a new one has to say here who may give it.
func TestEveryCommandHasARole(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, x := range everyCommand {
		listed = append(listed, nameOf(x.cmd))
	}
	slices.Sort(listed)
	if want := commands(t); !slices.Equal(listed, want) {
		t.Errorf("listed here:\n%v\nin the code:\n%v", listed, want)
	}
	for _, x := range everyCommand {
		if x.cmd.name() == "" || strings.ToLower(x.cmd.name()) != x.cmd.name() {
			t.Errorf("%s is called %q", nameOf(x.cmd), x.cmd.name())
		}
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	unknown := []role.Role{"", "owner", "Admin"}
	for _, x := range everyCommand {
		for _, r := range append(slices.Clone(role.Roles), unknown...) {
			for _, kind := range []string{"person", "api", "", "stranger"} {
				err := May(x.cmd, Actor{Kind: kind, Name: "Ada", Role: string(r)})
				if may := x.need == anybody || r.AtLeast(x.need); (err == nil) != may {
					t.Errorf("%s by a %s with the role %q: %v", nameOf(x.cmd), kind, r, err)
				}
				if err != nil && (fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "somebody with the role "+string(x.need)+" can")) {
					t.Errorf("%s: %v", nameOf(x.cmd), err)
				}
			}
		}
		for _, kind := range []string{"rule", "system", "collector"} {
			if err := May(x.cmd, Actor{Kind: kind}); err != nil {
				t.Errorf("%s by a %s: %v", nameOf(x.cmd), kind, err)
			}
		}
	}
	if err := May(PullLever{Drill: true}, rita); fault.KindOf(err) != fault.Denied {
		t.Errorf("a reporter rehearses: %v", err)
	}
}

// What a role does not allow is denied before anything else is said, whatever the
// incident is at, and nothing is recorded.
func TestDeniedBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	for _, s := range []*tale{story(t), story(t).contained(), story(t).watching(), story(t).reviewing().do(Close{sentence})} {
		for _, x := range everyCommand {
			if x.need == anybody {
				continue
			}
			drafts, err := s.try(x.cmd, s.lever("to-standby"), func(f *Facts) { f.Actor = vera })
			if fault.KindOf(err) != fault.Denied || len(drafts) > 0 {
				t.Errorf("%s by a viewer at %q: %v, %v", nameOf(x.cmd), s.in.Phase, err, types(drafts))
			}
		}
	}
}

// whoPasses is the least role that passes a soft rule.
var whoPasses = map[string]role.Role{
	"R1": role.Reporter, "R2": role.Reporter, "R3": role.Reporter,
	"R4": role.Operator, "R6": role.Operator, "R7": role.Operator, "R8": role.Operator, "R11": role.Operator, "R12": role.Operator, "R22": role.Operator,
	"R9": role.Commander, "R13": role.Commander, "R14": role.Commander, "R15": role.Commander, "R17": role.Commander, "R18": role.Commander, "R19": role.Commander,
	"R20": role.Commander, "R21": role.Commander, "U1": role.Commander,
}

func TestWhoMayPassWhat(t *testing.T) {
	t.Parallel()
	for _, r := range Rules {
		least, listed := whoPasses[r.ID]
		if listed != r.Overridable {
			t.Errorf("%s: overridable %v, and in the list %v", r.ID, r.Overridable, listed)
			continue
		}
		if !listed {
			continue
		}
		for _, of := range role.Roles {
			d := &draft{in: story(t).contained().in, facts: Facts{Actor: Actor{Kind: "person", Name: "Ada", Role: string(of)}}, now: night, at: night}
			err := d.pass(sentence, r.refuse("Wait for it.", "It is not so."))
			if may := of.AtLeast(least); (err == nil) != may || may != (len(d.in.Overrides) == 1) {
				t.Errorf("%s passed by a %s: %v, overrides %v", r.ID, of, err, d.in.Overrides)
			}
			if err == nil {
				continue
			}
			if no := refusalOf(err); no.Overridable || !strings.Contains(no.Satisfy, string(least)) || no.Rule != r.ID {
				t.Errorf("%s refused to a %s as %+v", r.ID, of, no)
			}
		}
	}
}

// A rule that somebody may not pass says who may, in the real commands, too.
func TestWhoMayPassIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		given func(*tale)
		cmd   Command
		by    Actor
		rule  string
	}{
		{"to let visitors back before the checks are in", func(s *tale) { s.returning() }, Advance{sentence}, olga, "R13"},
		{"to begin a fix that nobody has read", func(s *tale) { s.proposed() }, ApplyFix{sentence}, otto, "R9"},
		{"to put a lever back late", func(s *tale) { s.contained().later(5 * time.Hour) }, PutBack{"to-standby", sentence}, olga, "U1"},
		{"to pull a lever that leads the wrong way", func(s *tale) { s.contained() }, pull(sentence), rita, "U1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t)
			c.given(s)
			_, err := s.try(c.cmd, s.lever("to-home"), func(f *Facts) { f.Actor = c.by })
			r := refusalOf(err)
			if r == nil || r.Rule != c.rule || r.Overridable || !strings.Contains(r.Satisfy, "Somebody with the role commander can go on anyway") {
				t.Fatalf("got %v", err)
			}
			mustReadAsSentences(t, r)
			s.do(c.cmd, s.lever("to-home"), func(f *Facts) { f.Actor = cora })
		})
	}
}

// Everyone in the company gets visitors to safety: armed or not, in every step.
func TestAReporterPressesAnything(t *testing.T) {
	t.Parallel()
	for _, given := range []func(*tale){nothing, func(s *tale) { s.declare() }, func(s *tale) { s.measuring() }, func(s *tale) { s.watching() }, func(s *tale) { s.reviewing() }} {
		s := story(t)
		given(s)
		s.do(pull(sentence), s.lever("search-off"), func(f *Facts) { f.Actor = rita; f.Lever.ArmedUntil = night; f.Lever.Reversible = false })
	}
	s := story(t).watching()
	s.do(StepBack{map[string]string{"to-standby-1": "again"}}, func(f *Facts) { f.Actor = rita })
}
