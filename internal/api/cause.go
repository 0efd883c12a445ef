package api

import "lifeboat/internal/incident"

// CauseBody says what it might be.
type CauseBody struct {
	Statement  string `json:"statement" maxLength:"4000" doc:"what happened, and therefore what" example:"The new release holds connections, so the pool runs dry."`
	Prediction string `json:"prediction,omitempty" maxLength:"4000" doc:"what should be seen if it is so" example:"pool_in_use stays at its size."`
}

// WeighBody says how a piece of evidence speaks.
type WeighBody struct {
	Evidence string `json:"evidence" maxLength:"200" doc:"id of the evidence or of the change" example:"e3"`
	Stance   string `json:"stance" enum:"for,against,neutral"`
	Note     string `json:"note,omitempty" maxLength:"2000"`
}

// TestBody says how a prediction came out.
type TestBody struct {
	Prediction string `json:"prediction,omitempty" maxLength:"4000" doc:"the one of the possible cause unless said"`
	Outcome    string `json:"outcome" enum:"held,failed,unclear"`
	Saw        string `json:"saw,omitempty" maxLength:"4000" doc:"what was seen" example:"20 of 20 in use for ten minutes."`
}

// ConfirmBody says that this is it.
type ConfirmBody struct {
	Also       []string `json:"also,omitempty" maxItems:"50" doc:"other possible causes that contributed"`
	Factors    []string `json:"factors,omitempty" maxItems:"50" doc:"what else contributed, in words"`
	Confidence string   `json:"confidence,omitempty" enum:"proved,likely" doc:"proved unless said"`
	Reason     string   `json:"reason,omitempty" maxLength:"2000" doc:"why anyway, where a guard rail says no"`
}

func (a *api) causeRoutes() {
	siteAct(a, asCommand("/sites/{site}/causes", "cause-add", "Say what it might be, so that it could be proved wrong", incident.OpenCause{}), func(b CauseBody) incident.Command {
		return incident.OpenCause{Statement: b.Statement, Prediction: b.Prediction}
	})
	itemAct(a, asCommand("/sites/{site}/causes/{item}/weigh", "cause-weigh", "Say how evidence, or a change, speaks to a possible cause", incident.WeighCause{}), func(id string, b WeighBody) incident.Command {
		return incident.WeighCause{Cause: id, Evidence: b.Evidence, Stance: b.Stance, Note: b.Note}
	})
	itemAct(a, asCommand("/sites/{site}/causes/{item}/test", "cause-test", "Write down how a prediction came out", incident.TestCause{}), func(id string, b TestBody) incident.Command {
		return incident.TestCause{Cause: id, Prediction: b.Prediction, Outcome: b.Outcome, Saw: b.Saw}
	})
	itemAct(a, asCommand("/sites/{site}/causes/{item}/rule-out", "cause-rule-out", "Rule a possible cause out, saying why", incident.RuleOut{}), func(id string, b ReasonBody) incident.Command {
		return incident.RuleOut{Cause: id, Reason: b.Reason}
	})
	itemAct(a, asCommand("/sites/{site}/causes/{item}/park", "cause-park", "Leave a possible cause aside, saying why", incident.ParkCause{}), func(id string, b ReasonBody) incident.Command {
		return incident.ParkCause{Cause: id, Reason: b.Reason}
	})
	itemAct(a, asCommand("/sites/{site}/causes/{item}/reopen", "cause-reopen", "Take a possible cause up again", incident.ReopenCause{}), func(id string, b *ReasonBody) incident.Command {
		return incident.ReopenCause{Cause: id, Reason: b.reason()}
	})
	itemAct(a, asCommand("/sites/{site}/causes/{item}/confirm", "cause-confirm", "Say that this is the cause", incident.ConfirmCause{}), func(id string, b *ConfirmBody) incident.Command {
		if b == nil {
			b = &ConfirmBody{}
		}
		return incident.ConfirmCause{Cause: id, Also: b.Also, Factors: b.Factors, Confidence: b.Confidence, Reason: b.Reason}
	})
	siteAct(a, asCommand("/sites/{site}/diagnosis/withdraw", "diagnosis-withdraw", "Take the confirmed cause back, saying why", incident.WithdrawDiagnosis{}), func(b ReasonBody) incident.Command {
		return incident.WithdrawDiagnosis{Reason: b.Reason}
	})
}
