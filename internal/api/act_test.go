package api_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/api"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/postmortem"
	"lifeboat/internal/zone"
)

// told is an engine that remembers what it was asked for.
type told struct {
	api.Engine
	over    engine.Overview
	in      incident.Incident
	events  []incident.Event
	where   string // site or incident
	command incident.Command
	by      incident.Actor
	change  ledger.Change
	query   ledger.Query
	changes []ledger.Change
	queue   []outbox.Message
	did     string
	public  bool
}

func (e *told) Overview(context.Context) (engine.Overview, error) { return e.over, nil }
func (e *told) SiteOf(string) (string, error)                     { return "shop", nil }
func (e *told) Do(_ context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error) {
	e.where, e.command, e.by = site, c, by
	return engine.Result{Incident: e.in, Events: e.events}, nil
}
func (e *told) DoIn(_ context.Context, id string, c incident.Command, by incident.Actor) (engine.Result, error) {
	e.where, e.command, e.by = id, c, by
	return engine.Result{Incident: e.in, Events: e.events}, nil
}
func (e *told) Attach(_ context.Context, site string, f engine.File, by incident.Actor) (engine.Result, error) {
	e.where, e.by = site, by
	e.command = incident.Attach{Evidence: incident.Evidence{Title: f.Title, Summary: f.Text, Name: f.Name, Type: f.Type}}
	return engine.Result{Incident: e.in}, nil
}
func (e *told) Events(context.Context, string) ([]incident.Event, error) { return e.events, nil }
func (e *told) Incident(context.Context, string) (incident.Incident, error) {
	return e.in, nil
}
func (e *told) AddChange(_ context.Context, c ledger.Change, by incident.Actor) (ledger.Change, error) {
	e.change, e.by = c, by
	return c, nil
}
func (e *told) Changes(_ context.Context, q ledger.Query) ([]ledger.Change, error) {
	e.query = q
	return e.changes, nil
}
func (e *told) Queue(context.Context) ([]outbox.Message, error) { return e.queue, nil }
func (e *told) RollKey(_ context.Context, apex string) error    { e.did = "roll " + apex; return nil }
func (e *told) RetryMessage(_ context.Context, id string) error { e.did = "retry " + id; return nil }
func (e *told) DropMessage(_ context.Context, id string) error  { e.did = "drop " + id; return nil }
func (e *told) PutChallenge(_ context.Context, name string, values []string, ttl time.Duration) (engine.Challenge, error) {
	e.did = fmt.Sprint("prove ", name, values, ttl)
	return engine.Challenge{Name: zone.ChallengeOwner(name), Values: values, Until: time.Unix(1<<30, 0).Add(ttl).UTC()}, nil
}
func (e *told) DropChallenge(_ context.Context, name string, values []string) error {
	e.did = fmt.Sprint("unprove ", name, values)
	return nil
}
func (e *told) Challenges(context.Context) ([]engine.Challenge, error) {
	return []engine.Challenge{{Name: "_acme-challenge.shop.example.com.", Values: []string{"abc"}, Until: time.Unix(1<<30, 0).UTC()}}, nil
}
func (e *told) FinishWriteUp(_ context.Context, id string, _ incident.Actor) (engine.Result, error) {
	e.did = "finish " + id
	return engine.Result{Incident: e.in}, nil
}
func (e *told) WriteUp(_ context.Context, id string, public bool) (postmortem.Document, error) {
	e.public = public
	if id != e.in.ID {
		return postmortem.Document{}, fault.New(fault.NotFound, "there is no incident %q", id)
	}
	return postmortem.Build(e.events, postmortem.Options{Public: public}), nil
}

// listen gives an API with an engine that only remembers.
func listen(t *testing.T) (*told, *boat) {
	t.Helper()
	b := launch(t)
	e := &told{in: incident.Incident{ID: "01J", Site: "shop", Phase: incident.Diagnose, Seq: 7}}
	e.over = engine.Overview{Sites: []engine.SiteView{{ID: "shop", Incident: &e.in}}}
	o := b.options()
	o.Engine = e
	b.handler = api.New(o)
	return e, b
}

// TestActsReachTheHeart: each route is the command that it promises, with all that its
// body says.
func TestActsReachTheHeart(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	due := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	const site, in = "/api/v1/sites/shop/", "/api/v1/incidents/01J/"
	used := map[reflect.Type]bool{}
	for _, c := range []struct {
		path, body string
		want       incident.Command
	}{
		{site + "declare", `{"title":"Dark","symptom":"not-sure","how_noticed":"social","recurrence_of":"01H"}`, incident.Declare{Title: "Dark", Symptom: "not-sure", Noticed: "social", RecurrenceOf: "01H"}},
		{site + "notes", `{"text":"x"}`, incident.Note{Text: "x"}},
		{site + "no-failover", `{"reason":"r"}`, incident.DecideNoFailover{Reason: "r"}},
		{site + "go-back", `{"because":"b","reason":"r"}`, incident.GoBack{Because: "b", Reason: "r"}},
		{site + "advance", `{"reason":"r"}`, incident.Advance{Reason: "r"}},
		{site + "step-back", ``, incident.StepBack{}},
		{site + "end-watch", `{"reason":"r"}`, incident.WatchOver{Reason: "r"}},
		{site + "make-permanent", `{"reason":"r"}`, incident.MakePermanent{Reason: "r"}},
		{site + "cancel", ``, incident.Cancel{}},
		{site + "close", `{"reason":"r"}`, incident.Close{Reason: "r"}},
		{"/api/v1/levers/l/pull", `{"reason":"r"}`, engine.PullRequest{Lever: "l", PullLever: incident.PullLever{Reason: "r"}}},
		{"/api/v1/levers/l/put-back", `{"reason":"r"}`, incident.PutBack{Lever: "l", Reason: "r"}},
		{"/api/v1/levers/l/park", `{"owner":"Ada","until":"2026-04-01T12:00:00Z","reason":"r"}`, incident.ParkLever{Lever: "l", Owner: "Ada", Until: due, Reason: "r"}},
		{"/api/v1/levers/l/unpark", ``, incident.UnparkLever{Lever: "l"}},

		{site + "evidence?name=a/b.txt&title=t&text=x", `body`, incident.Attach{Evidence: incident.Evidence{Title: "t", Summary: "x", Name: "b.txt"}}},
		{site + "evidence/notes", `{"title":"t","text":"x"}`, incident.Attach{Evidence: incident.Evidence{Title: "t", Summary: "x"}}},
		{in + "evidence/e1/redact", `{"reason":"r"}`, incident.Redact{Evidence: "e1", Reason: "r"}},
		{site + "changes/deploy-1/mark", `{"suspect":true,"note":"n"}`, incident.MarkChange{Change: "deploy-1", Suspect: true, Note: "n"}},

		{site + "causes", `{"statement":"s","prediction":"p"}`, incident.OpenCause{Statement: "s", Prediction: "p"}},
		{site + "causes/c1/weigh", `{"evidence":"e1","stance":"against","note":"n"}`, incident.WeighCause{Cause: "c1", Evidence: "e1", Stance: "against", Note: "n"}},
		{site + "causes/c1/test", `{"prediction":"p","outcome":"held","saw":"s"}`, incident.TestCause{Cause: "c1", Prediction: "p", Outcome: "held", Saw: "s"}},
		{site + "causes/c1/rule-out", `{"reason":"r"}`, incident.RuleOut{Cause: "c1", Reason: "r"}},
		{site + "causes/c1/park", `{"reason":"r"}`, incident.ParkCause{Cause: "c1", Reason: "r"}},
		{site + "causes/c1/reopen", ``, incident.ReopenCause{Cause: "c1"}},
		{site + "causes/c1/confirm", `{"also":["c2"],"factors":["f"],"confidence":"likely","reason":"r"}`, incident.ConfirmCause{Cause: "c1", Also: []string{"c2"}, Factors: []string{"f"}, Confidence: "likely", Reason: "r"}},
		{site + "diagnosis/withdraw", `{"reason":"r"}`, incident.WithdrawDiagnosis{Reason: "r"}},

		{site + "fixes", `{"change":"c","check":"home","to":"t","below":"500ms","within":"2m","way_back":"w","takes":"t","risk":"k","owner":"o","action":"a","reason":"r"}`,
			incident.ProposeFix{Change: "c", Promise: incident.Promise{Check: "home", To: "t", Below: 500 * time.Millisecond, Within: 2 * time.Minute}, WayBack: "w", Takes: "t", Risk: "k", Owner: "o", Action: "a", Reason: "r"}},
		{site + "fixes/report", `{"change":"c","check":"home","within":"2m","way_back":"w","owner":"o"}`,
			incident.ReportFix{Change: "c", Promise: incident.Promise{Check: "home", Within: 2 * time.Minute}, WayBack: "w", Owner: "o"}},
		{site + "fix/withdraw", `{"reason":"r"}`, incident.WithdrawFix{Reason: "r"}},
		{site + "fix/approve", ``, incident.ApproveFix{}},
		{site + "fix/object", `{"reason":"r"}`, incident.ObjectToFix{Reason: "r"}},
		{site + "fix/go-alone", `{"reason":"r"}`, incident.GoAlone{Reason: "r"}},
		{site + "fix/begin", `{"reason":"r"}`, incident.ApplyFix{Reason: "r"}},
		{site + "fix/done", ``, incident.FixCarriedOut{OK: true}},
		{site + "fix/done", `{"failed":true,"detail":"d"}`, incident.FixCarriedOut{Detail: "d"}},
		{site + "fix/judge", `{"result":"worse","reason":"r"}`, incident.JudgeFix{Result: incident.StateWorse, Reason: "r"}},
		{site + "fix/measure", ``, incident.MeasureFix{}},
		{site + "fix/roll-back", ``, incident.TakeBackFix{}},
		{site + "fix/roll-back", `{"fix":"f2"}`, incident.TakeBackFix{Fix: "f2"}},
		{site + "fix/rolled-back", `{"failed":true,"detail":"d"}`, incident.FixTakenBack{Detail: "d"}},
		{site + "fix/keep", `{"reason":"r"}`, incident.KeepFix{Reason: "r"}},

		{site + "severity", `{"level":"high","why":"w"}`, incident.SetSeverity{Level: "high", Why: "w"}},
		{site + "roles/lead/take", ``, incident.TakeRole{Role: "lead"}},
		{site + "roles/lead/release", ``, incident.ReleaseRole{Role: "lead"}},
		{site + "handovers", `{"role":"lead","to":"Grace","things":"t","doing":"d","needs":"n"}`, incident.OfferHandover{Role: "lead", To: "Grace", Brief: incident.Brief{Things: "t", Doing: "d", Needs: "n"}}},
		{site + "handovers/h1/accept", ``, incident.AcceptHandover{Handover: "h1"}},
		{site + "decisions", `{"question":"q","options":["a","b"],"chosen":"a","reason":"r"}`, incident.Choose{Question: "q", Options: []string{"a", "b"}, Chosen: "a", Reason: "r"}},
		{site + "decisions/d1/object", `{"text":"x"}`, incident.Object{Decision: "d1", Text: "x"}},
		{site + "updates", `{"audience":"public","text":"x","next_in":"20m"}`, incident.SendUpdate{Audience: "public", Text: "x", NextIn: 20 * time.Minute}},
		{site + "updates", `{"audience":"staff","text":"x","over":true}`, incident.SendUpdate{Audience: "staff", Text: "x", Final: true}},
		{site + "updates/snooze", `{"by":"15m","reason":"r"}`, incident.SnoozeUpdate{By: 15 * time.Minute, Reason: "r"}},

		{in + "links", `{"incident":"01H","kind":"related"}`, incident.LinkIncident{Incident: "01H", Kind: "related"}},
		{in + "corrections", `{"event":"ev","text":"x"}`, incident.Correct{Event: "ev", Text: "x"}},
		{in + "follow-ups", `{"what":"w","kind":"idea","class":"detect","owner":"o","due":"2026-04-01T12:00:00Z","done_when":"d","tracker":"t"}`,
			incident.AddFollowUp{FollowUp: incident.FollowUp{What: "w", Kind: "idea", Class: "detect", Owner: "o", Due: due, DoneWhen: "d", Tracker: "t"}}},
		{in + "follow-ups/a1/change", `{"owner":"o"}`, incident.ChangeFollowUp{FollowUp: incident.FollowUp{ID: "a1", Owner: "o"}}},
		{in + "follow-ups/a1/done", ``, incident.EndFollowUp{ID: "a1", State: "done"}},
		{in + "follow-ups/a1/verified", `{"reason":"r"}`, incident.EndFollowUp{ID: "a1", State: "verified", Reason: "r"}},
		{in + "follow-ups/a1/declined", `{"reason":"r"}`, incident.EndFollowUp{ID: "a1", State: "declined", Reason: "r"}},
		{in + "write-up/sections/summary", `{"text":"x"}`, incident.EditSection{Section: "summary", Text: "x"}},
		{in + "write-up/answers/hard", `{"text":"x"}`, incident.Answer{Question: "hard", Text: "x"}},
		{in + "write-up/findings", `{"about":"process","text":"x","accepted":true,"note":"n"}`, incident.JudgeFinding{Finding: incident.Finding{About: "process", Text: "x", Accepted: true, Note: "n"}}},
	} {
		e.command, e.where = nil, ""
		b.do("POST", c.path, c.body, 200)
		used[reflect.TypeOf(c.want)] = true
		if diff := cmp.Diff(c.want, e.command); diff != "" {
			t.Errorf("%s %s: %s", c.path, c.body, diff)
		}
		if want := map[bool]string{true: "01J", false: "shop"}[strings.HasPrefix(c.path, in)]; e.where != want || e.by.Role != "admin" {
			t.Errorf("%s: at %q by %+v, want %q", c.path, e.where, e.by, want)
		}
	}
	b.do("POST", in+"write-up/finish", nil, 200)
	if e.did != "finish 01J" {
		t.Errorf("finished: %q", e.did)
	}
	if len(used) < 50 {
		t.Errorf("only %d commands were tried", len(used))
	}
}

// TestHostileBodies: what can't be is said before the heart is asked.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	const site, in = "/api/v1/sites/shop/", "/api/v1/incidents/01J/"
	long := strings.Repeat("x", 20000)
	for _, c := range []struct {
		path, body string
		status     int
		place      string
	}{
		{site + "fixes", `{"change":"c","within":"soon"}`, 422, "within"},
		{site + "fixes", `{"change":"c","below":"5"}`, 422, "below"},
		{site + "fixes/report", `{"change":"c","within":"1y"}`, 422, "within"},
		{site + "updates", `{"audience":"public","text":"x","next_in":"x"}`, 422, "next_in"},
		{site + "updates", `{"audience":"world","text":"x"}`, 422, "audience"},
		{site + "updates", `{"audience":"public","text":"` + long + `"}`, 422, "text"},
		{site + "updates/snooze", `{"by":""}`, 200, ""}, // the heart says what is missing
		{site + "severity", `{"level":"sev1"}`, 422, "level"},
		{site + "causes", `{}`, 422, ""},
		{site + "causes", `[]`, 422, ""},
		{site + "causes", `null`, 422, ""},
		{site + "causes", `{"statement":1}`, 422, "statement"},
		{site + "causes", `{"statement":"x","state":"confirmed"}`, 422, "state"},
		{site + "causes/" + strings.Repeat("c", 300) + "/confirm", ``, 422, "path.item"},
		{site + "causes/c1/weigh", `{"evidence":"e1","stance":"perhaps"}`, 422, "stance"},
		{site + "causes/c1/confirm", `{"also":[` + strings.Repeat(`"c",`, 60) + `"c"]}`, 422, "also"},
		{site + "fix/judge", `{"result":"fine","reason":"r"}`, 422, "result"},
		{site + "fix/judge", ``, 400, ""},
		{site + "fix/approve", `{"fix":"` + long + `"}`, 422, "fix"},
		{site + "roles/lead/take", `{"who":"me"}`, 422, "who"},
		{"/api/v1/levers/l/park", `{"owner":"Ada","until":"Monday","reason":"r"}`, 422, "until"},
		{in + "follow-ups", `{"what":"w","class":"blame"}`, 422, "class"},
		{in + "write-up/findings", `{"about":"people","text":"x","accepted":true}`, 422, "about"},
		{"/api/v1/changes", `{"what":"x","kind":"magic"}`, 422, "kind"},
		{"/api/v1/tokens", `{"name":"x","role":"captain"}`, 422, "role"},
		{"/api/v1/accounts", `{"name":"x","role":"admin","password":"` + long + `"}`, 422, "password"},
		{site + "notes", strings.Repeat("[", 60000), 400, ""},
	} {
		e.command = nil
		r := b.do("POST", c.path, c.body, c.status)
		if c.status == 200 {
			continue
		}
		p := decode[api.Problem](t, r)
		if e.command != nil || r.header.Get("Content-Type") != "application/problem+json" || c.place != "" && p.Place != c.place {
			t.Errorf("%s %.80s: %s, place %q, want %q; the heart was asked %v", c.path, c.body, r.body, p.Place, c.place, e.command)
		}
		if strings.Contains(string(r.body), "xxxxxxxxxx") {
			t.Errorf("%s: what was sent comes back: %.200s", c.path, r.body)
		}
	}
	b.do("POST", site+"causes", `statement=x`, 415, "Content-Type", "application/x-www-form-urlencoded")
	b.do("POST", site+"causes", `<x/>`, 415, "Content-Type", "text/xml")
}

// TestNobodyApprovesWhatTheyHaveNotRead: an act that names a fix is for that one.
func TestNobodyApprovesWhatTheyHaveNotRead(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	e.in.Fixes = []incident.Fix{{ID: "f1", State: incident.StateWithdrawn}, {ID: "f2", State: incident.StateProposed}}
	for _, act := range []string{"approve", "begin", "withdraw"} {
		r := b.do("POST", "/api/v1/sites/shop/fix/"+act, api.OneFixBody{Fix: "f1", Reason: "why"}, 409)
		if p := decode[api.Problem](t, r); !strings.Contains(p.Detail, "f2") || e.command != nil {
			t.Errorf("%s f1: %s", act, r.body)
		}
		b.do("POST", "/api/v1/sites/shop/fix/"+act, api.OneFixBody{Fix: "f2", Reason: "why"}, 200)
		e.command = nil
	}
	e.in.Fixes[1].State = incident.StateMeasuring
	b.do("POST", "/api/v1/sites/shop/fix/judge", api.JudgeBody{Fix: "f1", Result: "worked", Reason: "why"}, 409)
	b.do("POST", "/api/v1/sites/shop/fix/judge", api.JudgeBody{Fix: "f2", Result: "worked", Reason: "why"}, 200)
}
