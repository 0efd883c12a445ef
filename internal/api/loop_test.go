package api_test

import (
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// TestTheWholeLoop plays an incident through causes, a fix, the return and the write-up,
// as scripts of two people would.
func TestTheWholeLoop(t *testing.T) {
	t.Parallel()
	b := launch(t, keeping, func(b *boat) { b.with.Others = func(incident.Actor) int { return 1 } })
	const site = "/api/v1/sites/shop/"
	ada := func(path string, body any) api.Incident {
		t.Helper()
		return decode[api.Result](t, b.do("POST", path, body, 200)).Incident
	}
	grace := func(path string, body any) api.Incident {
		t.Helper()
		r := send(t, b.handler, "POST", path, b.as[role.Commander], body)
		if r.status != 200 {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
		return decode[api.Result](t, r).Incident
	}
	why := api.ReasonBody{Reason: "All of it is down."}
	in := ada("/api/v1/levers/to-standby/pull", why)
	id := "/api/v1/incidents/" + in.ID + "/"
	upload(b, "error.log", "text/plain", "pool exhausted", 200)
	ada(site+"roles/lead/take", nil)
	ada(site+"handovers", api.HandoverBody{Role: "lead", To: "Grace", Things: "Visitors meet the status page."})
	if in = grace(site+"handovers/h1/accept", nil); in.Roles["lead"] != "a commander" {
		t.Errorf("roles: %v", in.Roles)
	}
	ada(site+"severity", api.SeverityBody{Level: "high"})
	ada(site+"updates", api.UpdateBody{Audience: "public", Text: "We are looking into it.", NextIn: "20m"})
	ada(site+"updates/snooze", api.SnoozeBody{By: "15m"})
	ada(site+"decisions", api.DecisionBody{Question: "Do we wait?", Chosen: "No.", Reason: "Nobody knows how long."})
	grace(site+"decisions/d1/object", api.TextBody{Text: "I would."})

	ada(site+"causes", api.CauseBody{Statement: "The pool runs dry.", Prediction: "All are in use."})
	ada(site+"causes", api.CauseBody{Statement: "The disk is full."})
	grace(site+"causes/c2/rule-out", api.ReasonBody{Reason: "Half of it is free."})
	ada(site+"causes/c1/weigh", api.WeighBody{Evidence: "e1", Stance: "for"})
	ada(site+"causes/c1/test", api.TestBody{Outcome: "held", Saw: "20 of 20."})
	if in = ada(site+"causes/c1/confirm", nil); in.Diagnosis == nil {
		t.Fatalf("no diagnosis: %+v", in.Causes)
	}
	ada(site+"fixes", api.FixBody{Change: "Make the pool larger.", Check: "home", Within: "1m", WayBack: "Make it smaller."})
	if r := b.do("POST", site+"fix/begin", nil, 409); decode[api.Problem](t, r).Refusal.Rule != "R9" {
		t.Errorf("begun unread: %s", r.body)
	}
	grace(site+"fix/approve", api.OneFixBody{Fix: "f1"})
	ada(site+"fix/begin", nil)
	ada(site+"fix/done", nil)
	in = ada(site+"fix/judge", api.JudgeBody{Fix: "f1", Result: "worked", Reason: "The pool is half empty."})
	if f, _ := in.LastFix(); f.State != incident.StateWorked {
		t.Fatalf("the fix: %+v", f)
	}
	ada(site+"go-back", nil)
	ada(site+"advance", api.ReasonBody{Reason: "I looked myself."})
	grace(site+"end-watch", api.ReasonBody{Reason: "It is a test."})

	grace(id+"write-up/answers/hard", api.TextBody{Text: "Nobody knew the pool."})
	grace(id+"write-up/sections/summary", api.TextBody{Text: "The pool ran dry."})
	grace(id+"write-up/findings", api.FindingBody{About: "process", Text: "The pool had no alarm."})
	grace(id+"follow-ups", api.FollowUpBody{What: "An alarm for the pool."})
	if r := send(t, b.handler, "POST", site+"close", b.as[role.Commander], nil); r.status != 409 {
		t.Errorf("closed too early: %d %s", r.status, r.body)
	}
	grace(id+"follow-ups/a1/change", api.FollowUpBody{Owner: "Ada", Due: b.clock.now().Add(24 * time.Hour), DoneWhen: "It rings in a drill."})
	ada(site+"updates", api.UpdateBody{Audience: "public", Text: "It is over.", Over: true})
	grace(id+"write-up/finish", nil)
	if in = grace(site+"close", nil); in.Phase != incident.Closed {
		t.Fatalf("closed: %s", in.Phase)
	}

	grace(id+"follow-ups/a1/done", nil)
	grace(id+"corrections", api.CorrectBody{Event: "ID000001", Text: "It was earlier."})
	grace(id+"links", api.LinkBody{Incident: "ID009999"})
	in = decode[api.Incident](t, b.do("GET", "/api/v1/incidents/"+in.ID, nil, 200))
	if in.FollowUps[0].State != "done" || len(in.Links) != 1 || !in.WriteUp.Final {
		t.Errorf("afterwards: %+v %+v %+v", in.FollowUps, in.Links, in.WriteUp)
	}
	b.do("POST", site+"notes", api.NoteBody{Text: "x"}, 404)
}
