package incident

import (
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// permits names the role that a command needs. What is not listed is recorded by
// lifeboat itself and needs none. Anyone in the company may at least report: the way
// to safety is open to everyone.
func permits(c Command) role.Role {
	if p, is := c.(PullLever); is && p.Drill {
		return role.Operator
	}
	switch c.(type) {
	case Declare, PullLever, StepBack, Note, Attach, SeeChanges:
		return role.Reporter
	case PutBack, DecideNoFailover, GoBack, MarkChange, Redact, LinkIncident, SetSeverity,
		OpenCause, WeighCause, TestCause, RuleOut, ParkCause, ReopenCause, ConfirmCause, WithdrawDiagnosis,
		ProposeFix, ReportFix, WithdrawFix, ApproveFix, ObjectToFix, GoAlone, ApplyFix, FixCarriedOut, JudgeFix, MeasureFix, TakeBackFix, FixTakenBack, KeepFix,
		TakeRole, ReleaseRole, OfferHandover, AcceptHandover, Choose, Object, SendUpdate, SnoozeUpdate,
		EditSection, Answer, JudgeFinding, AddFollowUp, ChangeFollowUp, EndFollowUp, Correct, Cancel, Advance:
		return role.Operator
	case WatchOver, ParkLever, UnparkLever, MakePermanent, Finalise, Close:
		return role.Commander
	}
	return ""
}

// May says whether an actor's role allows a command; the error names the role that
// does. Pages use it to leave out what cannot be pressed.
func May(c Command, a Actor) error { return permitted(c, a) }

// permitted says whether a person may give the command. Rules and lifeboat itself are
// bound by the guard rails alone.
func permitted(c Command, a Actor) error {
	need := permits(c)
	if need == "" || a.Automatic() || role.Role(a.Role).AtLeast(need) {
		return nil
	}
	return fault.New(fault.Denied, "your role, %s, may not %s", orElse(a.Role, "viewer"), c.name()).WithHint("somebody with the role %s can", need)
}

// overrideRole is who may pass a soft rule: nobody is kept from safety, and what ends
// an incident or lets visitors return is a commander's.
func overrideRole(rule string) role.Role {
	switch rule {
	case R1.ID, R2.ID, R3.ID:
		return role.Reporter
	case R4.ID, R6.ID, R7.ID, R8.ID, R11.ID, R12.ID, R22.ID:
		return role.Operator
	}
	return role.Commander
}

func mayOverride(rule string, a Actor) bool {
	return a.Automatic() || role.Role(a.Role).AtLeast(overrideRole(rule))
}
