package api

import (
	"context"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// FixBody writes one fix down: what it changes, what it promises, and how it is taken
// back.
type FixBody struct {
	Change  string `json:"change" maxLength:"4000" doc:"I will change …" example:"Roll release 2.4 back to 2.3."`
	Check   string `json:"check,omitempty" maxLength:"100" doc:"the check that shall pass" example:"home"`
	To      string `json:"to,omitempty" maxLength:"300" doc:"what is expected, in words, where no check can tell"`
	Below   string `json:"below,omitempty" maxLength:"20" doc:"how long the check may take, as a duration" example:"500ms"`
	Within  string `json:"within,omitempty" maxLength:"20" doc:"until when the effect is seen, as a duration; 5m unless said" example:"5m"`
	WayBack string `json:"way_back,omitempty" maxLength:"4000" doc:"if not, I will …" example:"Deploy 2.4 again."`
	Takes   string `json:"takes,omitempty" maxLength:"300" doc:"how long it will take" example:"two minutes"`
	Risk    string `json:"risk,omitempty" maxLength:"4000" doc:"what else it could do"`
	Owner   string `json:"owner,omitempty" maxLength:"300" doc:"who does it; you unless said"`
	Action  string `json:"action,omitempty" maxLength:"100" doc:"a prepared act of the site; by hand unless said"`
	Reason  string `json:"reason,omitempty" maxLength:"2000" doc:"why anyway, where a guard rail says no"`
}

func (b FixBody) check() error { return checkPromise(b.Below, b.Within) }

func (b FixBody) promise() incident.Promise {
	return incident.Promise{Check: b.Check, To: b.To, Below: spanOf(b.Below), Within: spanOf(b.Within)}
}

// ReportBody tells of a fix that was made before anybody wrote it down.
type ReportBody struct {
	Change  string `json:"change" maxLength:"4000" doc:"what was changed"`
	Check   string `json:"check,omitempty" maxLength:"100" doc:"the check that shall pass by it"`
	To      string `json:"to,omitempty" maxLength:"300" doc:"what is expected, in words, where no check can tell"`
	Below   string `json:"below,omitempty" maxLength:"20" doc:"how long the check may take, as a duration"`
	Within  string `json:"within,omitempty" maxLength:"20" doc:"until when the effect is seen, as a duration; 5m unless said"`
	WayBack string `json:"way_back,omitempty" maxLength:"4000" doc:"how it can be taken back"`
	Owner   string `json:"owner,omitempty" maxLength:"300" doc:"who did it; you unless said"`
}

func (b ReportBody) check() error { return checkPromise(b.Below, b.Within) }

func checkPromise(below, within string) error {
	if _, err := span(below, "below"); err != nil {
		return err
	}
	_, err := span(within, "within")
	return err
}

// OneFixBody is for an act on the one fix that is proposed or under way. Fix, where it is
// said, names it: for another one nothing is done.
type OneFixBody struct {
	Fix    string `json:"fix,omitempty" maxLength:"20" doc:"the fix that you mean; nothing is done where it is another by now" example:"f1"`
	Reason string `json:"reason,omitempty" maxLength:"2000" doc:"one sentence: why, or why anyway"`
}

// DoneBody says that a fix is in place, or rolled back, or that it could not be.
type DoneBody struct {
	Fix    string `json:"fix,omitempty" maxLength:"20" doc:"the fix that you mean; nothing is done where it is another by now"`
	Failed bool   `json:"failed,omitempty" doc:"it could not be done, or not to its end"`
	Detail string `json:"detail,omitempty" maxLength:"2000" doc:"what happened"`
}

// JudgeBody is a person's word on what a fix came to.
type JudgeBody struct {
	Fix    string `json:"fix,omitempty" maxLength:"20" doc:"the fix that you mean; nothing is done where it is another by now"`
	Result string `json:"result" enum:"worked,no_effect,worse"`
	Reason string `json:"reason" maxLength:"2000" doc:"what you saw"`
}

func (b *OneFixBody) fix() string {
	if b == nil {
		return ""
	}
	return b.Fix
}

func (b *OneFixBody) reason() string {
	if b == nil {
		return ""
	}
	return b.Reason
}

func (b *DoneBody) fix() string {
	if b == nil {
		return ""
	}
	return b.Fix
}

func (b *DoneBody) outcome() (ok bool, detail string) {
	if b == nil {
		return true, ""
	}
	return !b.Failed, b.Detail
}

func (b JudgeBody) fix() string { return b.Fix }

// named is a body that may name the fix it is about.
type named interface{ fix() string }

func (a *api) fixRoutes() {
	siteAct(a, asCommand("/sites/{site}/fixes", "fix-propose", "Propose one fix, with what it promises", incident.ProposeFix{}), func(b FixBody) incident.Command {
		return incident.ProposeFix{Change: b.Change, Promise: b.promise(), WayBack: b.WayBack, Takes: b.Takes, Risk: b.Risk, Owner: b.Owner, Action: b.Action, Reason: b.Reason}
	})
	siteAct(a, asCommand("/sites/{site}/fixes/report", "fix-report", "Report a fix that was made already; it is measured like any other", incident.ReportFix{}), func(b ReportBody) incident.Command {
		return incident.ReportFix{Change: b.Change, Promise: FixBody{Check: b.Check, To: b.To, Below: b.Below, Within: b.Within}.promise(), WayBack: b.WayBack, Owner: b.Owner}
	})
	for _, r := range []struct {
		path, summary string
		command       func(reason string) incident.Command
	}{
		{"withdraw", "Withdraw a fix that was not begun", func(s string) incident.Command { return incident.WithdrawFix{Reason: s} }},
		{"approve", "Say that you have no strong objection", func(string) incident.Command { return incident.ApproveFix{} }},
		{"object", "Stop the fix, saying why", func(s string) incident.Command { return incident.ObjectToFix{Reason: s} }},
		{"go-alone", "Go on without another person, after the wait, saying why; a pause follows", func(s string) incident.Command { return incident.GoAlone{Reason: s} }},
		{"begin", "Begin the fix: its prepared act runs, or a person does it now", func(s string) incident.Command { return incident.ApplyFix{Reason: s} }},
		{"measure", "Measure what the fix promised once more", func(string) incident.Command { return incident.MeasureFix{} }},
		{"keep", "Keep a fix that did not do what it promised, saying why", func(s string) incident.Command { return incident.KeepFix{Reason: s} }},
	} {
		fixAct(a, fixOperation(r.path, r.summary, r.command("")), func(b *OneFixBody) incident.Command { return r.command(b.reason()) })
	}
	fixAct(a, fixOperation("judge", "Say what the fix came to, where no check can tell", incident.JudgeFix{}), func(b JudgeBody) incident.Command {
		return incident.JudgeFix{Result: incident.FixState(b.Result), Reason: b.Reason}
	})
	fixAct(a, fixOperation("done", "Say that the fix is in place, or could not be put there", incident.FixCarriedOut{}), func(b *DoneBody) incident.Command {
		ok, detail := b.outcome()
		return incident.FixCarriedOut{OK: ok, Detail: detail}
	})
	fixAct(a, fixOperation("rolled-back", "Say that the fix is rolled back, or could not be", incident.FixTakenBack{}), func(b *DoneBody) incident.Command {
		ok, detail := b.outcome()
		return incident.FixTakenBack{OK: ok, Detail: detail}
	})
	back := fixOperation("roll-back", "Roll a fix back: the one under way, or the last; always free", incident.TakeBackFix{})
	back.safe = true
	siteAct(a, back, func(b *OneFixBody) incident.Command { return incident.TakeBackFix{Fix: b.fix()} })
}

func fixOperation(path, summary string, c incident.Command) operation {
	return asCommand("/sites/{site}/fix/"+path, "fix-"+path, summary, c)
}

// fixAct registers an act on the one fix that is proposed or under way.
func fixAct[B named](a *api, op operation, command func(B) incident.Command) {
	route(a, op, func(ctx context.Context, in *struct {
		SitePath
		Body B
	}) (*acted, error) {
		if err := a.sameFix(ctx, in.Site, in.Body.fix()); err != nil {
			return nil, err
		}
		return a.act(ctx, in.Site, command(in.Body))
	})
}

// sameFix says whether the fix that somebody means is the one at hand: nobody approves
// what they have not read.
func (a *api) sameFix(ctx context.Context, site, id string) error {
	if id == "" {
		return nil
	}
	s, err := a.current(ctx, site)
	if err != nil {
		return err
	}
	if s.Incident == nil || !s.Incident.Phase.Open() || s.Incident.Wrote(keyOf(ctx)) {
		return nil // the heart says so; or it was done already
	}
	f, found := s.Incident.FixInFlight()
	if !found {
		f, found = s.Incident.FixPlanned()
	}
	if !found || f.ID == id {
		return nil
	}
	return fault.New(fault.Conflict, "the fix at hand is %s by now, not %s", f.ID, id).At("fix").WithHint("read it first: lifeboat fix list")
}
