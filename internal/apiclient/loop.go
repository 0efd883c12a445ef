package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lifeboat/internal/api"
)

// What is done in the open incident of a site.

// act asks for one act and gives what came of it.
func act(ctx context.Context, c *Client, path string, in any) (api.Result, error) {
	return post[api.Result](ctx, c, path, in)
}

// item is a path to one thing in the open incident of a site.
func item(id, kind, thing, do string) string {
	return site(id, kind+"/"+url.PathEscape(thing)+"/"+do)
}

// SiteIncident is the open incident of a site, or the last one.
func (c *Client) SiteIncident(ctx context.Context, id string) (api.SiteIncident, error) {
	return get[api.SiteIncident](ctx, c, site(id, "incident"))
}

// MakePermanent makes the place where visitors are the site's home.
func (c *Client) MakePermanent(ctx context.Context, id, reason string) (api.Result, error) {
	return act(ctx, c, site(id, "make-permanent"), api.ReasonBody{Reason: reason})
}

// Park leaves a lever pulled when the rest goes back.
func (c *Client) Park(ctx context.Context, name string, b api.ParkBody) (api.Result, error) {
	return act(ctx, c, lever(name, "park"), b)
}

// Unpark lets the return take a parked lever back with the rest.
func (c *Client) Unpark(ctx context.Context, name string) (api.Result, error) {
	return act(ctx, c, lever(name, "unpark"), nil)
}

// Capture collects evidence from outside and from the logs now; nothing is waited for.
func (c *Client) Capture(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, site(id, "evidence/capture"), nil, nil)
}

// AddEvidenceNote adds evidence without a file.
func (c *Client) AddEvidenceNote(ctx context.Context, id string, b api.EvidenceNoteBody) (api.Result, error) {
	return act(ctx, c, site(id, "evidence/notes"), b)
}

// ChangesQuery says which changes are wanted; zero fields leave it open.
type ChangesQuery struct {
	Site     string
	From, To time.Time
	Limit    int
}

// Changes gives the book of changes.
func (c *Client) Changes(ctx context.Context, q ChangesQuery) (api.Changes, error) {
	v := url.Values{}
	if q.Site != "" {
		v.Set("site", q.Site)
	}
	for name, at := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return get[api.Changes](ctx, c, "/changes?"+v.Encode())
}

// AddChange tells of a change; one with an id that is known is the same change.
func (c *Client) AddChange(ctx context.Context, b api.ChangeBody) (api.Change, error) {
	return post[api.Change](ctx, c, "/changes", b)
}

// MarkChange suspects a change, or no longer.
func (c *Client) MarkChange(ctx context.Context, id, change string, b api.MarkBody) (api.Result, error) {
	return act(ctx, c, item(id, "changes", change, "mark"), b)
}

// AddCause says what it might be.
func (c *Client) AddCause(ctx context.Context, id string, b api.CauseBody) (api.Result, error) {
	return act(ctx, c, site(id, "causes"), b)
}

// WeighCause says how evidence speaks to a possible cause.
func (c *Client) WeighCause(ctx context.Context, id, cause string, b api.WeighBody) (api.Result, error) {
	return act(ctx, c, item(id, "causes", cause, "weigh"), b)
}

// TestCause writes down how a prediction came out.
func (c *Client) TestCause(ctx context.Context, id, cause string, b api.TestBody) (api.Result, error) {
	return act(ctx, c, item(id, "causes", cause, "test"), b)
}

// RuleOutCause strikes a possible cause out.
func (c *Client) RuleOutCause(ctx context.Context, id, cause, reason string) (api.Result, error) {
	return act(ctx, c, item(id, "causes", cause, "rule-out"), api.ReasonBody{Reason: reason})
}

// ParkCause leaves a possible cause aside.
func (c *Client) ParkCause(ctx context.Context, id, cause, reason string) (api.Result, error) {
	return act(ctx, c, item(id, "causes", cause, "park"), api.ReasonBody{Reason: reason})
}

// ReopenCause takes a possible cause up again.
func (c *Client) ReopenCause(ctx context.Context, id, cause, reason string) (api.Result, error) {
	return act(ctx, c, item(id, "causes", cause, "reopen"), api.ReasonBody{Reason: reason})
}

// ConfirmCause says that this is the cause.
func (c *Client) ConfirmCause(ctx context.Context, id, cause string, b api.ConfirmBody) (api.Result, error) {
	return act(ctx, c, item(id, "causes", cause, "confirm"), b)
}

// WithdrawDiagnosis takes the confirmed cause back.
func (c *Client) WithdrawDiagnosis(ctx context.Context, id, reason string) (api.Result, error) {
	return act(ctx, c, site(id, "diagnosis/withdraw"), api.ReasonBody{Reason: reason})
}

// ProposeFix proposes one fix.
func (c *Client) ProposeFix(ctx context.Context, id string, b api.FixBody) (api.Result, error) {
	return act(ctx, c, site(id, "fixes"), b)
}

// ReportFix reports a fix that was made already.
func (c *Client) ReportFix(ctx context.Context, id string, b api.ReportBody) (api.Result, error) {
	return act(ctx, c, site(id, "fixes/report"), b)
}

// In the following fix names the one that is meant, so that nobody acts on another that
// came in between; "" is for whatever is proposed or under way.

// oneFix asks for an act on the fix that is proposed or under way.
func (c *Client) oneFix(ctx context.Context, id, do, fix, reason string) (api.Result, error) {
	return act(ctx, c, site(id, "fix/"+do), api.OneFixBody{Fix: fix, Reason: reason})
}

// WithdrawFix takes a fix back that was not begun.
func (c *Client) WithdrawFix(ctx context.Context, id, fix, reason string) (api.Result, error) {
	return c.oneFix(ctx, id, "withdraw", fix, reason)
}

// ApproveFix says that there is no strong objection.
func (c *Client) ApproveFix(ctx context.Context, id, fix string) (api.Result, error) {
	return c.oneFix(ctx, id, "approve", fix, "")
}

// ObjectToFix stops a fix, saying why.
func (c *Client) ObjectToFix(ctx context.Context, id, fix, reason string) (api.Result, error) {
	return c.oneFix(ctx, id, "object", fix, reason)
}

// GoAlone goes on without another person, after the wait.
func (c *Client) GoAlone(ctx context.Context, id, fix, reason string) (api.Result, error) {
	return c.oneFix(ctx, id, "go-alone", fix, reason)
}

// BeginFix begins the fix.
func (c *Client) BeginFix(ctx context.Context, id, fix, reason string) (api.Result, error) {
	return c.oneFix(ctx, id, "begin", fix, reason)
}

// MeasureFix measures what the fix promised once more.
func (c *Client) MeasureFix(ctx context.Context, id, fix string) (api.Result, error) {
	return c.oneFix(ctx, id, "measure", fix, "")
}

// RollBackFix rolls a fix back; "" is the one under way, or the last.
func (c *Client) RollBackFix(ctx context.Context, id, fix string) (api.Result, error) {
	return c.oneFix(ctx, id, "roll-back", fix, "")
}

// KeepFix keeps a fix that did not do what it promised.
func (c *Client) KeepFix(ctx context.Context, id, fix, reason string) (api.Result, error) {
	return c.oneFix(ctx, id, "keep", fix, reason)
}

// FixDone says that the fix is in place, or could not be put there.
func (c *Client) FixDone(ctx context.Context, id string, b api.DoneBody) (api.Result, error) {
	return act(ctx, c, site(id, "fix/done"), b)
}

// FixRolledBack says that the fix is rolled back, or could not be.
func (c *Client) FixRolledBack(ctx context.Context, id string, b api.DoneBody) (api.Result, error) {
	return act(ctx, c, site(id, "fix/rolled-back"), b)
}

// JudgeFix says what the fix came to.
func (c *Client) JudgeFix(ctx context.Context, id string, b api.JudgeBody) (api.Result, error) {
	return act(ctx, c, site(id, "fix/judge"), b)
}

// SetSeverity says how bad it is.
func (c *Client) SetSeverity(ctx context.Context, id string, b api.SeverityBody) (api.Result, error) {
	return act(ctx, c, site(id, "severity"), b)
}

// TakeRole takes a role, whoever has it.
func (c *Client) TakeRole(ctx context.Context, id, role string) (api.Result, error) {
	return act(ctx, c, item(id, "roles", role, "take"), nil)
}

// ReleaseRole lets a role go.
func (c *Client) ReleaseRole(ctx context.Context, id, role string) (api.Result, error) {
	return act(ctx, c, item(id, "roles", role, "release"), nil)
}

// OfferHandover offers a role to somebody.
func (c *Client) OfferHandover(ctx context.Context, id string, b api.HandoverBody) (api.Result, error) {
	return act(ctx, c, site(id, "handovers"), b)
}

// AcceptHandover takes over.
func (c *Client) AcceptHandover(ctx context.Context, id, handover string) (api.Result, error) {
	return act(ctx, c, item(id, "handovers", handover, "accept"), nil)
}

// Decide writes a decision down.
func (c *Client) Decide(ctx context.Context, id string, b api.DecisionBody) (api.Result, error) {
	return act(ctx, c, site(id, "decisions"), b)
}

// Object objects to a decision.
func (c *Client) Object(ctx context.Context, id, decision, text string) (api.Result, error) {
	return act(ctx, c, item(id, "decisions", decision, "object"), api.TextBody{Text: text})
}

// SendUpdate tells people.
func (c *Client) SendUpdate(ctx context.Context, id string, b api.UpdateBody) (api.Result, error) {
	return act(ctx, c, site(id, "updates"), b)
}

// SnoozeUpdate puts the next promised message off.
func (c *Client) SnoozeUpdate(ctx context.Context, id string, b api.SnoozeBody) (api.Result, error) {
	return act(ctx, c, site(id, "updates/snooze"), b)
}
