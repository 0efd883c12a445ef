package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// who is one of the crew, by the name of their account.
type who string

// The crew: Ada leads, Bob mends, Eve sits at the phones.
const (
	ada who = "ada"
	bob who = "bob"
	eve who = "eve"
)

// hand is one of the crew with a token of their own.
type hand struct {
	Person
	client *apiclient.Client
}

// meetsPeople makes the accounts, and a token for each of the crew.
func meetsPeople(ctx context.Context, p *play) (string, error) {
	all, err := openAccounts(ctx, p.client, p.o.Data)
	if err != nil {
		return "", err
	}
	old, err := p.client.Tokens(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range old { // of a play before, in a folder that was kept
		if slices.ContainsFunc(all, func(x Person) bool { return x.Title == t.Name }) {
			if err := p.client.RevokeToken(ctx, t.ID); err != nil {
				return "", err
			}
		}
	}
	words := make([]string, 0, len(all))
	for _, x := range all {
		made, err := p.client.CreateToken(ctx, api.TokenBody{Name: x.Title, Role: string(x.Role)})
		if err != nil {
			return "", fmt.Errorf("make a token for %s: %w", x.Title, err)
		}
		c, err := apiclient.New(apiclient.Options{Server: "http://" + p.boat.at.HTTP, Token: made.Text})
		if err != nil {
			return "", err
		}
		p.crew[who(x.Name)] = hand{x, c}
		words = append(words, fmt.Sprintf("%s (%s)", x.Title, x.Role))
	}
	return strings.Join(words, ", "), tellPast(ctx, p.client, p.now())
}

// as gives the client of one of the crew.
func (p *play) as(w who) *apiclient.Client { return p.crew[w].client }

// name is how one of the crew is called.
func (p *play) name(w who) string { return p.crew[w].Title }

// current is the incident as it is now.
func (p *play) current(ctx context.Context) (api.Incident, error) {
	return p.client.Incident(ctx, p.incident)
}

// refused does what a guard rail has to say no to; that it does is the lesson.
func refused(rule string, try act) act {
	return func(ctx context.Context, p *play) (string, error) {
		said, err := try(ctx, p)
		var no *fault.Refusal
		switch {
		case err == nil:
			return "", fmt.Errorf("it was allowed, and rule %s should have refused it: %s", rule, said)
		case !errors.As(err, &no):
			return "", err
		case no.Rule != rule:
			return "", fmt.Errorf("it was refused, and not by rule %s: %w", rule, err)
		}
		p.report.Refusals = append(p.report.Refusals, Refusal{Rule: no.Rule, Reason: no.Reason, Satisfy: no.Satisfy})
		return fmt.Sprintf("not yet (%s): %s %s", no.Rule, no.Reason, no.Satisfy), nil
	}
}

// denied does what somebody's role does not allow.
func denied(try act) act {
	return func(ctx context.Context, p *play) (string, error) {
		said, err := try(ctx, p)
		if err == nil {
			return "", fmt.Errorf("it was allowed to somebody who may not do it: %s", said)
		}
		if fault.KindOf(err) != fault.Denied {
			return "", err
		}
		what, next := sentences(err)
		return "not with this role: " + what + " " + next, nil
	}
}

// shortRest is how long the crew rests before it asks again.
const shortRest = 2 * time.Second

// afterARest tries, rests when the rule says that it is too soon, and tries again.
func afterARest(rule string, try act) act {
	return func(ctx context.Context, p *play) (string, error) {
		asked := ""
		for {
			said, err := try(ctx, p)
			var no *fault.Refusal
			if !errors.As(err, &no) || no.Rule != rule {
				return asked + said, err
			}
			if asked == "" {
				p.report.Refusals = append(p.report.Refusals, Refusal{Rule: no.Rule, Reason: no.Reason, Satisfy: no.Satisfy})
				asked = fmt.Sprintf("first a rest (%s: %s); then ", no.Rule, no.Reason)
			}
			rest(ctx, shortRest)
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
		}
	}
}

// leads makes somebody the lead.
func leads(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		_, err := p.as(by).TakeRole(ctx, siteID, "lead")
		return p.name(by) + " leads", err
	}
}

// declares says that something is wrong.
func declares(by who, title, symptom string) act {
	return func(ctx context.Context, p *play) (string, error) {
		res, err := p.as(by).Declare(ctx, siteID, api.DeclareBody{Title: title, Symptom: symptom, Noticed: "staff"})
		p.incident = res.Incident.ID
		return fmt.Sprintf("%s: %s", p.name(by), title), err
	}
}

// tells the visitors something, and promises the next word.
func tells(by who, text, next string) act {
	return func(ctx context.Context, p *play) (string, error) {
		_, err := p.as(by).SendUpdate(ctx, siteID, api.UpdateBody{Audience: incident.Public, Text: text, NextIn: next})
		p.named = append(p.named, text)
		return fmt.Sprintf("%s tells visitors: %s", p.name(by), text), err
	}
}

// saysItIsOver tells whoever was told that it began.
func saysItIsOver(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		in, err := p.current(ctx)
		if err != nil {
			return "", err
		}
		if len(in.Updates) == 0 {
			return "no visitor was told anything, so there is nothing to take back", nil
		}
		const text = "The shop is open again. We are sorry for the wait."
		_, err = p.as(by).SendUpdate(ctx, siteID, api.UpdateBody{Audience: incident.Public, Text: text, Over: true})
		return fmt.Sprintf("%s tells visitors: %s", p.name(by), text), err
	}
}

// idea is a possible cause, and what came of it.
type idea struct {
	says, predicts string
	clue           clue
	saw            string
	held           bool // what it predicts was seen
}

// opens writes a possible cause down, and what speaks to it.
func (p *play) opens(ctx context.Context, by who, i idea, stance string) (cause string, what find, err error) {
	res, err := p.as(by).AddCause(ctx, siteID, api.CauseBody{Statement: i.says, Prediction: i.predicts})
	if err != nil {
		return "", what, err
	}
	cause = res.Incident.Causes[len(res.Incident.Causes)-1].ID
	if what, err = p.find(ctx, i.clue); err != nil {
		return cause, what, fmt.Errorf("%s: %w", cause, err)
	}
	p.named = append(p.named, i.says)
	_, err = p.as(by).WeighCause(ctx, siteID, cause, api.WeighBody{Evidence: what.id, Stance: stance, Note: what.line})
	return cause, what, err
}

// considers opens a possible cause and tests what it predicts. One that does not hold
// is ruled out.
func considers(by who, i idea) act {
	return func(ctx context.Context, p *play) (string, error) {
		stance, outcome := incident.Against, incident.TestFailed
		if i.held {
			stance, outcome = incident.For, incident.TestHeld
		}
		cause, what, err := p.opens(ctx, by, i, stance)
		if err != nil {
			return "", err
		}
		if _, err := p.as(by).TestCause(ctx, siteID, cause, api.TestBody{Outcome: outcome, Saw: i.saw}); err != nil {
			return "", err
		}
		said := fmt.Sprintf("%s %q – %s speaks %s it: %s", cause, i.says, what.id, stance, what.line)
		if i.held {
			return said, nil
		}
		_, err = p.as(by).RuleOutCause(ctx, siteID, cause, i.saw)
		return said + " – ruled out", err
	}
}

// parks opens a possible cause and leaves it aside: nothing speaks for it or against it.
func parks(by who, i idea) act {
	return func(ctx context.Context, p *play) (string, error) {
		cause, what, err := p.opens(ctx, by, i, incident.Neutral)
		if err != nil {
			return "", err
		}
		_, err = p.as(by).ParkCause(ctx, siteID, cause, i.saw)
		return fmt.Sprintf("%s %q (%s) – parked: %s", cause, i.says, what.line, i.saw), err
	}
}

// rulesOut strikes a possible cause out that was believed.
func rulesOut(by who, words, reason string) act {
	return func(ctx context.Context, p *play) (string, error) {
		in, err := p.current(ctx)
		if err != nil {
			return "", err
		}
		for _, c := range in.Causes {
			if c.Undecided() && strings.Contains(c.Statement, words) {
				_, err := p.as(by).RuleOutCause(ctx, siteID, c.ID, reason)
				return fmt.Sprintf("%s – ruled out after all: %s", c.ID, reason), err
			}
		}
		return "", fmt.Errorf("no possible cause is open that says %q", words)
	}
}

// confirms says that what held is the cause: the newest, and what is still open beside
// it.
func confirms(by who, factors ...string) act {
	return func(ctx context.Context, p *play) (string, error) {
		in, err := p.current(ctx)
		if err != nil {
			return "", err
		}
		var left []string
		for _, c := range in.Causes {
			if c.Undecided() {
				left = append(left, c.ID)
			}
		}
		if len(left) == 0 {
			return "", errors.New("no possible cause is left")
		}
		cause, also := left[len(left)-1], left[:len(left)-1]
		res, err := p.as(by).ConfirmCause(ctx, siteID, cause, api.ConfirmBody{Also: also, Factors: factors})
		if err != nil {
			return "", err
		}
		p.named = append(p.named, factors...)
		p.report.Cause = res.Incident.Diagnosis.Statement
		return fmt.Sprintf("%s: so this is it, %s: %s", p.name(by), strings.Join(append([]string{cause}, also...), " and "), p.report.Cause), nil
	}
}

// suspects marks what had changed before.
func suspects(by who, words, note string) act {
	return func(ctx context.Context, p *play) (string, error) {
		what, err := p.find(ctx, clue{change: words})
		if err != nil {
			return "", err
		}
		_, err = p.as(by).MarkChange(ctx, siteID, what.id, api.MarkBody{Suspect: true, Note: note})
		return fmt.Sprintf("%s suspects: %s", p.name(by), what.line), err
	}
}

// cure is one fix with what it promises.
type cure struct {
	change, action string
	check, to      string // a check that shall pass, or words where none can tell
	within         string
	wayBack, takes string
	risk           string
}

// proposes writes a fix down.
func proposes(by who, c cure) act {
	return func(ctx context.Context, p *play) (string, error) {
		res, err := p.as(by).ProposeFix(ctx, siteID, api.FixBody{
			Change: c.change, Action: c.action, Check: c.check, To: c.to, Within: c.within, WayBack: c.wayBack, Takes: c.takes, Risk: c.risk,
		})
		if err != nil {
			return "", err
		}
		f := res.Incident.Fixes[len(res.Incident.Fixes)-1]
		p.named = append(p.named, c.change)
		return fmt.Sprintf("%s: %s %s Promised: %s", p.name(by), f.ID, c.change, f.Promise.Words()), nil
	}
}

// planned is the fix that is proposed.
func (p *play) planned(ctx context.Context) (incident.Fix, error) {
	in, err := p.current(ctx)
	if err != nil {
		return incident.Fix{}, err
	}
	f, found := in.FixPlanned()
	if !found {
		err = errors.New("no fix is proposed")
	}
	return f, err
}

// approves says that there is no strong objection.
func approves(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		f, err := p.planned(ctx)
		if err != nil {
			return "", err
		}
		_, err = p.as(by).ApproveFix(ctx, siteID, f.ID)
		return fmt.Sprintf("%s has read %s and has no strong objection", p.name(by), f.ID), err
	}
}

// begins lets the fix's prepared act run.
func begins(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		f, err := p.planned(ctx)
		if err != nil {
			return "", err
		}
		_, err = p.as(by).BeginFix(ctx, siteID, f.ID, "")
		return fmt.Sprintf("%s begins %s", p.name(by), f.ID), err
	}
}

// works begins the fix and waits until it did what it promised.
func works(by who) act { return comesTo(by, incident.StateWorked) }

// doesNothing begins the fix and waits until it is measured that nothing came of it.
func doesNothing(by who) act { return comesTo(by, incident.StateNoEffect) }

func comesTo(by who, want incident.FixState) act {
	return func(ctx context.Context, p *play) (string, error) {
		f, err := p.planned(ctx)
		if err != nil {
			return "", err
		}
		if _, err := p.as(by).BeginFix(ctx, siteID, f.ID, ""); err != nil {
			return "", err
		}
		f, err = p.measured(ctx, f.ID)
		if err == nil && f.State != want {
			err = fmt.Errorf("%s is %s, expected %s: %s: %s", f.ID, f.State, want, f.Result, short(f.Output))
		}
		return fmt.Sprintf("%s: %s", f.ID, f.Result), err
	}
}

// measured waits until it is known what a fix came to.
func (p *play) measured(ctx context.Context, id string) (f incident.Fix, err error) {
	wait := p.tell.wait("to see what it did", 0)
	defer wait.over()
	err = until(ctx, lookEvery, func() (bool, string, error) {
		wait.at(0)
		in, err := p.current(ctx)
		if err != nil {
			return false, "", err
		}
		i := slices.IndexFunc(in.Fixes, func(x incident.Fix) bool { return x.ID == id })
		if i < 0 {
			return false, "", fmt.Errorf("there is no fix %s", id)
		}
		f = in.Fixes[i]
		over := f.State != incident.StateApplying && f.State != incident.StateMeasuring
		return over, fmt.Sprintf("%s is %s %s", id, f.State, f.Result), nil
	})
	if err == nil {
		p.report.Fixes = append(p.report.Fixes, Tried{ID: f.ID, Change: f.Change, Result: string(f.State), Words: f.Result})
	}
	return f, err
}

// takesBack rolls the last fix back by its act's own undo.
func takesBack(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		res, err := p.as(by).RollBackFix(ctx, siteID, "")
		if err != nil {
			return "", err
		}
		f, found := res.Incident.LastFix()
		if !found {
			return "", errors.New("there is no fix to take back")
		}
		err = until(ctx, lookEvery, func() (bool, string, error) {
			in, err := p.current(ctx)
			if err != nil {
				return false, "", err
			}
			f, _ = in.LastFix()
			if f.State == incident.StateInterrupted {
				return false, "", fmt.Errorf("%s could not be taken back: %s: %s", f.ID, f.Result, short(f.Output))
			}
			return f.State == incident.StateRolledBack, fmt.Sprintf("%s is %s", f.ID, f.State), nil
		})
		p.report.Cause = ""
		return fmt.Sprintf("%s took %s back; the diagnosis is open again", p.name(by), f.ID), err
	}
}

// takesBackByHand rolls a fix back whose act has no undo.
func takesBackByHand(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		if _, err := p.as(by).RollBackFix(ctx, siteID, ""); err != nil {
			return "", err
		}
		res, err := p.as(by).FixRolledBack(ctx, siteID, api.DoneBody{})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s took it back by hand; the incident is at %s again", p.name(by), res.Incident.Phase.Words()), nil
	}
}

// asksStock asks the stock service itself, and says what the fix came to: no check can
// tell while the checkout is closed.
func asksStock(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		in, err := p.current(ctx)
		if err != nil {
			return "", err
		}
		f, flies := in.FixInFlight()
		if !flies {
			return "", errors.New("no fix is under way")
		}
		if err := p.inPlace(ctx, f.ID); err != nil {
			return "", err
		}
		took, err := timed(ctx, p.boat.stockURL+"/stock?product=1", p.now)
		if err != nil {
			return "", err
		}
		if took > time.Second {
			return "", fmt.Errorf("the stock service still takes %s", took.Round(time.Millisecond))
		}
		saw := fmt.Sprintf("The stock service, asked directly, answered in %s.", words(millis(took)))
		if _, err := p.as(by).JudgeFix(ctx, siteID, api.JudgeBody{Fix: f.ID, Result: string(incident.StateWorked), Reason: saw}); err != nil {
			return "", err
		}
		f, err = p.measured(ctx, f.ID)
		return fmt.Sprintf("%s: %s", f.ID, f.Result), err
	}
}

// inPlace waits until a fix's act has run.
func (p *play) inPlace(ctx context.Context, id string) error {
	return until(ctx, lookEvery, func() (bool, string, error) {
		in, err := p.current(ctx)
		if err != nil {
			return false, "", err
		}
		f, flies := in.FixInFlight()
		if !flies || f.ID != id || f.State == incident.StateInterrupted {
			return false, "", fmt.Errorf("%s is %s: %s", id, f.State, f.Result)
		}
		return f.State == incident.StateMeasuring, fmt.Sprintf("%s is %s", id, f.State), nil
	})
}

// timed asks for a page and says how long it took.
func timed(ctx context.Context, url string, now func() time.Time) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	client := &http.Client{Timeout: patient, Transport: &http.Transport{DisableKeepAlives: true}}
	began := now()
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("it answered %s", res.Status)
	}
	return now().Sub(began), nil
}

// cancels calls it a false alarm.
func cancels(by who, reason string) act {
	return func(ctx context.Context, p *play) (string, error) {
		_, err := p.as(by).Cancel(ctx, siteID, reason)
		return fmt.Sprintf("%s: a false alarm. %s", p.name(by), reason), err
	}
}

// closes ends the incident.
func closes(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		_, err := p.as(by).Close(ctx, siteID, "")
		return p.name(by) + " closed it", err
	}
}
