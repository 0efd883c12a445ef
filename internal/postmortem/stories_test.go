package postmortem

import (
	"testing"
	"time"

	"lifeboat/internal/incident"
)

// told is one of the stories with the options it is told with.
type told struct {
	name   string
	events []incident.Event
	o      Options
}

var berlin = time.FixedZone("CET", 3600)

func stories(t testing.TB) []told {
	t.Helper()
	shop := Options{Title: "The Shop", Names: []string{"shop.example.com"}}
	local := shop
	local.Zone = berlin
	local.Actions = map[string]string{"release-back": "Take the release back"}
	open := shop
	open.Now = night.Add(52 * time.Minute)
	public := shop
	public.Public = true
	full := twoFixes(t).events
	return []told{
		{"two fixes", full, local},
		{"two fixes, for the public", full, public},
		{"gone by itself", byItself(t).events, shop},
		{"a false alarm", falseAlarm(t).events, shop},
		{"a step back", stepBack(t).events, shop},
		{"a drill", drill(t).events, shop},
		{"without a diagnosis", blind(t).events, shop},
		{"still open", stillOpen(t).events, open},
		{"a relapse", relapse(t).events, shop},
		{"an automatic move taken back", held(t).events, shop},
		{"made permanent", moved(t).events, shop},
		{"a wrong cause", wrongCause(t).events, shop},
		{"a fix that did not last", notLasting(t).events, shop},
		{"a fix that did not last, for the public", notLasting(t).events, public},
		{"only a feature", onlyFeature(t).events, shop},
		{"back in stages", inStages(t).events, shop},
	}
}

// twoFixes is the night of the pictures: release 412 and the price import use up the
// connections of the database.
func twoFixes(t testing.TB) *tale {
	s := story(t)
	s.do(incident.Declare{Title: "The shop does not open", Symptom: "nothing-loads", Noticed: "visitor"})
	s.sight(night.Add(-8*time.Minute), "front", "down", "GET / answered 503: too many clients")
	s.by(boat).do(incident.SeeChanges{Changes: []incident.Change{
		{ID: "ch1", At: night.Add(-14 * time.Minute), Kind: "deploy", Source: "ci", Who: "Jonas", What: "Release 412 of the shop", Ref: "v412"},
		{ID: "ch2", At: night.Add(-9 * time.Hour), Kind: "dns", Source: "zone", Who: "Mara Lind", What: "A record for the newsletter"},
		{ID: "ch3", At: night.Add(-6 * time.Minute), Kind: "cron", Source: "cron", What: "The nightly price import began"},
	}})
	s.by(aisha).later(41 * time.Second).pull("to-standby").later(4 * time.Second).seen("14 of 15 name servers answer as ordered")
	for _, x := range []incident.Evidence{
		{Kind: "dns", Title: "The answers of the name servers.", Source: "ns1", SHA256: hash("a"), Size: 900, At: night},
		{Kind: "http", Title: "How the real site answers to GET /.", Summary: "503, too many clients", Source: "203.0.113.10", SHA256: hash("b"), Size: 4100, At: night},
		{Kind: "metrics", Title: "Connections to the database over the night.", Summary: "300 of 300 in use since 01:58", Source: "db1", SHA256: hash("c"), Size: 20480, At: night},
		{Kind: "log", Title: "The end of the log of the workers.", Source: "app1", Problem: "permission denied", At: night},
	} {
		s.by(boat).do(incident.Captured{Evidence: x})
	}
	s.by(mara).at(2, 11, 0).do(incident.TakeRole{Role: "lead"}).do(incident.SetSeverity{Level: "high", Why: "Nobody can buy."})
	s.by(aisha).at(2, 12, 0).say(incident.Public, "We know that the shop does not open. We have put a safe page up while we look into it. Next news at 02:35 UTC.", 23*time.Minute)
	s.by(boat).do(incident.Delivered{Update: "u1", Channel: "mail", Detail: "connection refused"}).later(3 * time.Minute).do(incident.Delivered{Update: "u1", Channel: "mail", OK: true})
	s.by(mara).at(2, 18, 0).do(incident.MarkChange{Change: "ch1", Suspect: true, Note: "It came four minutes before."})
	s.do(incident.OpenCause{Statement: "Release 412 uses up the connections of the database", Prediction: "Most connections belong to workers of release 412."})
	s.later(time.Minute).do(incident.OpenCause{Statement: "Somebody floods the shop with requests", Prediction: "The number of requests is far above that of other nights."})
	s.later(2 * time.Minute).do(incident.WeighCause{Cause: "c2", Evidence: "e2", Stance: incident.Neutral})
	s.do(incident.TestCause{Cause: "c2", Outcome: incident.TestFailed, Saw: "41 requests a second, as on other nights."})
	s.do(incident.RuleOut{Cause: "c2", Reason: "The load was as on other nights."})
	s.by(aisha).later(time.Minute).note("A customer on the phone says that it worked at five to two.")

	s.by(mara).at(2, 38, 0).do(incident.ProposeFix{
		Change: "Restart the workers with a smaller pool", Promise: incident.Promise{Check: "front", Below: 800 * time.Millisecond, Within: 5 * time.Minute}, WayBack: "Set the pool back to 200", Takes: "2 min",
		Reason: "Not proved yet, but visitors are safe and the way back takes 40 s.",
	}, verdicts)
	s.by(jonas).later(2 * time.Minute).do(incident.ApproveFix{})
	s.by(mara).later(time.Minute).do(incident.ApplyFix{}, verdicts).later(40 * time.Second).do(incident.FixCarriedOut{OK: true})
	s.reads(5, time.Minute, incident.Reading{Verdict: "fail", Detail: "too many clients"})
	s.by(aisha).later(30*time.Second).say(incident.Public, "We are still looking into it. The first try did not help. Next news at 03:10 UTC.", 22*time.Minute)
	s.by(mara).later(time.Minute).do(incident.TakeBackFix{}).later(40 * time.Second).do(incident.FixTakenBack{OK: true})
	s.by(jonas).later(2 * time.Minute).note("The import has a pool of its own, and nobody wrote that down.")
	s.by(jonas).do(incident.Attach{Evidence: incident.Evidence{Kind: "note", Title: "What release 412 changed: db.pool from 20 to 200", SHA256: hash("d"), Size: 512, Type: "text/plain"}})
	s.do(incident.WeighCause{Cause: "c1", Evidence: "e3", Stance: incident.For, Note: "all 300 taken, 188 by workers of 412"})
	s.do(incident.WeighCause{Cause: "c1", Evidence: "e5", Stance: incident.For})
	s.do(incident.TestCause{Cause: "c1", Outcome: incident.TestHeld, Saw: "188 of 300 belong to workers of 412."})
	s.by(mara).at(2, 57, 0).do(incident.ConfirmCause{Cause: "c1", Factors: []string{"Release 412 set db.pool to 200 for a load test, and the value was merged with the test", "The import opens a pool of its own that no document mentions", "The limit of 300 was last looked at two years ago"}})
	s.at(3, 0, 0).do(incident.Choose{Question: "Take the release back now or in the morning?", Options: []string{"now", "in the morning"}, Chosen: "now", Reason: "The shop earns at breakfast."})
	s.by(jonas).do(incident.Object{Decision: "d1", Text: "Nobody who knows the import is awake."})
	s.by(mara).at(3, 1, 0).do(incident.ProposeFix{
		Change: "Take release 412 back and let the import wait", Promise: incident.Promise{Check: "front", Below: 800 * time.Millisecond, Within: 10 * time.Minute}, WayBack: "Release 412 again", Takes: "3 min", Owner: "Jonas", Action: "release-back",
	}, verdicts, actions)
	s.by(jonas).later(time.Minute).do(incident.ApproveFix{})
	s.later(time.Minute).do(incident.ApplyFix{}, verdicts, actions)
	s.by(boat).later(95 * time.Second).do(incident.FixCarriedOut{OK: true, Output: "ok"})
	s.reads(3, 2*time.Minute, incident.Reading{Verdict: "pass", Took: 184 * time.Millisecond})
	s.sight(s.now.Add(-5*time.Minute), "front", "up", "")
	s.by(mara).at(3, 16, 0).do(incident.GoBack{})
	s.passes().later(20 * time.Second).seen("15 of 15 name servers answer as ordered").home("up")
	s.by(boat).later(5 * time.Minute).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass", Took: 190 * time.Millisecond}})
	s.by(aisha).later(time.Minute).do(incident.SendUpdate{Audience: incident.Public, Text: "The shop is open again. We are sorry for the wait.", Final: true})
	s.by(mara).later(time.Hour).do(incident.WatchOver{})
	s.by(boat).do(incident.Measure{Impact: incident.Impact{DownFrom: night.Add(-8 * time.Minute), SafeAt: night.Add(45 * time.Second), ExposedMS: 525000, AwayMS: 4200000, StandbyHit: 11460, Late: 12}})
	return s.learned()
}

// learned is the write-up of the night, as far as people did it.
func (s *tale) learned() *tale {
	s.by(mara).at(9, 30, 0).do(incident.Answer{Question: "surprise", Text: "The limit is shared by two programs that are released by different people.\nNeither can see the other's share, and no test runs both."})
	s.by(aisha).do(incident.Answer{Question: "help", Text: "The card had been rehearsed twelve days before.\n\nWe were lucky that it was night."})
	s.by(mara).do(incident.JudgeFinding{Finding: incident.Finding{ID: "late-declaration", About: incident.AboutProcess, Text: "The check front saw the site fail 8 min before the incident was declared. In that time nobody was told, or nobody pressed.", Accepted: true, Note: "The alarm for connections did not exist."}})
	s.do(incident.JudgeFinding{Finding: incident.Finding{ID: "several-fixes", About: incident.AboutProcess, Text: "Two fixes were begun in this incident.", Note: "The first taught us of the import."}})
	s.do(incident.JudgeFinding{Finding: incident.Finding{About: incident.AboutArchitecture, Text: "Two programs share one limit and neither sees it."}})
	s.owes("Alarm when connections pass 200 of 300", "Jonas", "detect", "a rehearsal raises it", night.Add(7*24*time.Hour))
	s.owes("The import shares the pool of the shop", "Tom", "prevent", "both together stay under 150 for a night", night.Add(21*24*time.Hour))
	s.do(incident.AddFollowUp{FollowUp: incident.FollowUp{Kind: "idea", Class: "process", What: "Release notes name every changed limit"}})
	s.do(incident.LinkIncident{Incident: "01KJ000000000000000000000A", Kind: "related"})
	s.do(incident.EditSection{Section: KeyDetection, Text: "Three customers wrote before any alarm rang.\nAisha read their mails at 02:05."})
	return s
}

func hash(of string) string {
	out := ""
	for len(out) < 64 {
		out += of
	}
	return out
}

func verdicts(f *incident.Facts) {
	f.Verdicts = map[string]string{"front": "fail", "checkout": "pass"}
}

func actions(f *incident.Facts) {
	f.Actions = []incident.ActionFacts{{Name: "release-back", Undo: true}}
}

// byItself is a supplier that failed and recovered.
func byItself(t testing.TB) *tale {
	s := story(t).by(health)
	s.do(incident.Propose{Why: "The check checkout fails: no answer from the payment service"}, s.lever("close-checkout"))
	s.sight(night.Add(-20*time.Second), "checkout", "down", "no answer from pay.example.net")
	s.by(aisha).at(2, 9, 30).pull("close-checkout").later(1200 * time.Millisecond).seen("2 of 2 flag endpoints say off")
	s.by(boat).do(incident.Captured{Evidence: incident.Evidence{Kind: "http", Title: "The status page of the payment service.", Summary: "degraded since 02:03", Source: "status.example.net", SHA256: hash("e"), At: s.now}})
	s.by(aisha).at(2, 20, 0).do(incident.OpenCause{Statement: "The payment service is down", Prediction: "Their status page says so."})
	s.do(incident.WeighCause{Cause: "c1", Evidence: "e1", Stance: incident.For})
	s.say(incident.Staff, "The checkout is closed, since the payment service is down. Everything else works.", 0)
	s.sight(s.now.Add(70*time.Minute), "checkout", "up", "")
	s.at(3, 40, 0).do(incident.GoBack{Because: "The payment service says that it is well again."})
	for range 4 {
		s.later(time.Minute).check("pass", "")
	}
	s.later(3 * time.Second).seen("2 of 2 flag endpoints say on").home("up")
	s.by(mara).later(time.Hour).do(incident.WatchOver{})
	s.at(9, 0, 0).do(incident.Close{Reason: "The supplier writes its own report; ours adds nothing."})
	return s
}

// falseAlarm is a check that was wrong.
func falseAlarm(t testing.TB) *tale {
	s := story(t).by(jonas)
	s.do(incident.Declare{Title: "Pictures are missing", Symptom: "some-pages", Noticed: "staff"})
	s.later(2 * time.Minute).note("Only on my laptop; the phone shows them all.")
	return s.home("up").later(3 * time.Minute).do(incident.Cancel{Reason: "My ad blocker had hidden them."})
}

// stepBack is a return that failed once, held once, and held the second time.
func stepBack(t testing.TB) *tale {
	s := story(t).by(mara)
	s.do(incident.Declare{Title: "The home page is empty", Symptom: "nothing-loads", Noticed: "monitor"})
	s.sight(night.Add(-40*time.Second), "front", "down", "the page holds no product")
	s.do(incident.TakeRole{Role: "lead"})
	s.later(25 * time.Second).pull("to-standby").later(3 * time.Second).seen("15 of 15 name servers answer as ordered")
	s.later(4*time.Minute).say(incident.Public, "The shop shows an empty page. We look into it.", 20*time.Minute)
	s.at(2, 25, 0).do(incident.OpenCause{Statement: "The search index is empty", Prediction: "The index holds no documents."})
	s.do(incident.Attach{Evidence: incident.Evidence{Kind: "note", Title: "The index holds 0 documents", SHA256: hash("f")}})
	s.do(incident.WeighCause{Cause: "c1", Evidence: "e1", Stance: incident.For}).do(incident.TestCause{Cause: "c1", Outcome: incident.TestHeld, Saw: "0 documents."})
	s.at(2, 40, 0).do(incident.ConfirmCause{Cause: "c1", Confidence: incident.Likely, Factors: []string{"The nightly rebuild deletes before it fills"}})
	s.do(incident.ProposeFix{
		Change: "Fill the index from the last dump", Promise: incident.Promise{Check: "front", Within: 10 * time.Minute}, WayBack: "Empty it again", Takes: "6 min",
		Reason: "The empty index is the one thing that is wrong.",
	}, verdicts)
	s.later(10 * time.Minute).do(incident.GoAlone{Reason: "It is night and the dump is two hours old."})
	s.later(time.Minute).do(incident.ApplyFix{}, verdicts).later(6 * time.Minute).do(incident.FixCarriedOut{OK: true})
	s.reads(3, 30*time.Second, incident.Reading{Verdict: "pass", Took: 300 * time.Millisecond})
	s.sight(s.now, "front", "up", "")
	s.later(2*time.Minute).do(incident.GoBack{}).later(time.Minute).check("pass", "").later(time.Minute).check("inconclusive", "timeout after 2 s")
	for range 3 {
		s.later(time.Minute).check("fail", "the page holds no product")
	}
	s.sight(s.now, "front", "down", "the page holds no product")
	s.by(jonas).at(3, 20, 0).do(incident.TakeRole{Role: "scribe"})
	s.by(mara).do(incident.OfferHandover{Role: "lead", To: "Jonas", Brief: incident.Brief{Things: "Visitors are safe. The index emptied itself a second time.", Doing: "Nothing runs.", Needs: "Somebody who knows the rebuild."}})
	s.by(jonas).later(3 * time.Minute).do(incident.AcceptHandover{Handover: "h1"})
	s.note("The rebuild runs every hour, not every night. I have switched it off.")
	s.at(3, 40, 0).do(incident.TakeBackFix{}).later(time.Minute).do(incident.FixTakenBack{OK: true})
	s.later(2 * time.Minute).do(incident.ReportFix{Change: "Switched the hourly rebuild off and filled the index", Promise: incident.Promise{Check: "front", Within: 10 * time.Minute}, WayBack: "Switch it on again", Owner: "Jonas"})
	s.reads(3, 30*time.Second, incident.Reading{Verdict: "pass", Took: 280 * time.Millisecond})
	s.sight(s.now, "front", "up", "")
	s.later(10 * time.Minute).do(incident.GoBack{}).passes().later(4 * time.Second).seen("15 of 15 name servers answer as ordered").home("up")
	s.by(boat).later(time.Minute).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass", Took: 310 * time.Millisecond}})
	s.by(jonas).later(time.Hour).do(incident.WatchOver{})
	return s
}

// drill is a rehearsal, there and back.
func drill(t testing.TB) *tale {
	s := story(t).by(mara)
	s.do(incident.PullLever{PullID: "drill-1", Drill: true}, s.lever("to-standby")).later(420 * time.Millisecond).seen("3 of 3 name servers answer as ordered")
	s.later(time.Second).do(incident.PutBack{Lever: "to-standby"}).later(610 * time.Millisecond).seen("3 of 3 name servers answer as before")
	return s.by(boat).do(incident.ScoreDrill{DrillData: incident.DrillData{Lever: "to-standby", ThereMS: 420, BackMS: 610, OK: true}})
}

// blind is a night on which guard rails were passed, one lever did not take effect, and
// nobody found out why.
func blind(t testing.TB) *tale {
	s := story(t).by(jonas)
	s.never["to-backup"], s.never["to-standby"] = true, true
	s.do(incident.Declare{Title: "Something is wrong with The Shop", Noticed: "social"})
	err := s.try(incident.PullLever{PullID: "backup-1"}, s.lever("to-backup"))
	s.refused(err)
	s.at(2, 15, 0).do(incident.PullLever{PullID: "backup-1", Reason: "We have nothing else."}, s.lever("to-backup")).later(5*time.Second).end(incident.NotDone, "ns2 still answers 203.0.113.10")
	s.later(time.Minute).do(incident.PullLever{PullID: "standby-2", Reason: "Anything is better than an error."}, s.lever("to-standby")).later(4*time.Second).end(incident.Unclear, "ns2 does not answer")
	s.by(boat).later(50 * time.Second).do(incident.Outcome{Pull: "standby-2", Result: incident.Done, Detail: "ns1 and ns2 answer as ordered"})
	s.later(20 * time.Minute).do(incident.Drifted{Pull: "standby-2", Detail: "ns2 answers 203.0.113.10"})
	s.later(2 * time.Minute).do(incident.Outcome{Pull: "standby-2", Result: incident.Done, Detail: "ns2 answers as ordered again"})
	s.by(jonas).later(time.Minute).do(incident.ProposeFix{Change: "Reboot the machine", WayBack: "none", Reason: "It has always helped."}, verdicts)
	s.later(10*time.Minute).do(incident.GoAlone{Reason: "Everybody else is asleep."}).later(time.Minute).do(incident.ApplyFix{}, verdicts)
	s.later(4 * time.Minute).do(incident.FixCarriedOut{OK: true}).later(5 * time.Minute).do(incident.JudgeFix{Result: incident.StateNoEffect, Reason: "The page still shows the error."})
	s.do(incident.KeepFix{Reason: "A reboot cannot be taken back."})
	s.by(boat).at(3, 10, 0).do(incident.Remind{})
	s.by(jonas).later(30 * time.Minute).do(incident.GoBack{Because: "The error is gone since ten minutes, nobody knows why."})
	s.do(incident.Advance{Reason: "I have clicked through the whole shop."}).later(3 * time.Second).seen("ns1 and ns2 answer as before").home("up")
	s.later(10 * time.Minute).do(incident.WatchOver{Reason: "I have to sleep."})
	return s
}

// refused records that a rule asked to wait.
func (s *tale) refused(err error) {
	s.t.Helper()
	r := refusalOf(err)
	if r == nil {
		s.t.Fatalf("not refused: %v", err)
	}
	s.record(s.in.Refused(r, s.facts.Actor, s.now))
}

// stillOpen is an incident in its second step.
func stillOpen(t testing.TB) *tale {
	s := story(t)
	s.do(incident.Declare{Title: "The checkout shows other people's baskets", Symptom: "wrong-data", Noticed: "visitor", FirstSymptomAt: night.Add(-11 * time.Minute)})
	s.later(20 * time.Second).pull("close-checkout").later(time.Second).seen("2 of 2 flag endpoints say off")
	s.later(40 * time.Second).pull("to-standby").later(3 * time.Second).seen("15 of 15 name servers answer as ordered")
	s.by(mara).at(2, 14, 0).do(incident.TakeRole{Role: "lead"}).do(incident.SetSeverity{Level: "critical", Why: "Private data was shown."})
	s.later(time.Minute).say(incident.Leaders, "Some customers saw the baskets of others. The shop is closed. Next news at 02:30 UTC.", 15*time.Minute)
	s.later(5 * time.Minute).do(incident.OpenCause{Statement: "The cache mixes up sessions", Prediction: "Pages carry a cache header and a cookie."})
	s.later(4 * time.Minute).do(incident.OpenCause{Statement: "The new release forgot to check the owner of a basket"})
	return s
}

// relapse is a morning that began without control, on which one fix did harm, one was
// interrupted, and the site relapsed in the watch.
func relapse(t testing.TB) *tale {
	s := story(t)
	root := incident.Actor{Kind: "person", Name: "root", Via: "socket", Role: "admin"}
	s.facts.Actor = root
	s.do(incident.Adopt{PullID: "to-standby-1", At: night, By: root, Title: "The Shop was failed over at answer", Detail: "control was gone"}, s.lever("to-standby"))
	s.by(boat).later(2 * time.Minute).do(incident.Outcome{Pull: "to-standby-1", Result: incident.Done, Detail: "15 of 15 name servers answer as ordered"})
	s.by(mara).at(2, 20, 0).do(incident.TakeRole{Role: "lead"}).do(incident.LinkIncident{Incident: "01KH000000000000000000000B", Kind: "recurrence_of"})
	s.say(incident.Public, "We have a fault and look into it.", 30*time.Minute)
	s.later(20 * time.Minute).do(incident.SnoozeUpdate{By: 30 * time.Minute, Reason: "There is nothing new."})
	s.do(incident.OpenCause{Statement: "The cache is full"}).do(incident.OpenCause{Statement: "The cache nodes do not see each other"})
	s.do(incident.ParkCause{Cause: "c2", Reason: "Nobody can look at the network before eight."})
	s.do(incident.ConfirmCause{Cause: "c1", Confidence: incident.Likely, Reason: "The graph is at the top and stays there."})
	s.do(incident.ProposeFix{Change: "Flush the cache", Promise: incident.Promise{Check: "front", Within: 5 * time.Minute}, WayBack: "Let it fill again", Owner: "Jonas"}, verdicts)
	s.by(jonas).later(time.Minute).do(incident.ObjectToFix{Reason: "All at once will hit the database."})
	s.by(mara).later(2 * time.Minute).note("We flush one node after the other.")
	s.by(jonas).do(incident.ApproveFix{}).later(time.Minute).do(incident.ApplyFix{}, verdicts).later(20 * time.Second).do(incident.FixCarriedOut{OK: true})
	s.by(boat)
	for range 3 {
		s.later(10 * time.Second).do(incident.ReadFix{Reading: incident.Reading{At: s.now, Verdict: "fail", Detail: "503"}, Others: map[string]string{"checkout": "fail"}})
	}
	s.by(jonas).later(time.Minute).do(incident.TakeBackFix{}).later(time.Minute).do(incident.FixTakenBack{Detail: "a flush cannot be undone"}).do(incident.KeepFix{Reason: "The cache fills by itself."})
	s.by(mara).later(40 * time.Minute).do(incident.ReopenCause{Cause: "c2"}).do(incident.ConfirmCause{Cause: "c2", Also: []string{"c1"}, Reason: "They see each other again since the cable was moved."})
	s.do(incident.ProposeFix{Change: "Move the cable of node two", Promise: incident.Promise{Check: "front", Within: 10 * time.Minute}, WayBack: "Move it back", Owner: "Tom"}, verdicts)
	s.by(jonas).later(time.Minute).do(incident.ApproveFix{}).do(incident.ApplyFix{}, verdicts).later(time.Minute).do(incident.FixCarriedOut{OK: true})
	s.by(aisha).later(time.Minute).pull("close-checkout").seen("2 of 2 flag endpoints say off")
	s.by(jonas).later(time.Minute).do(incident.MeasureFix{}).reads(3, 20*time.Second, incident.Reading{Verdict: "pass", Took: 90 * time.Millisecond})
	s.by(mara).do(incident.ParkLever{Lever: "close-checkout", Owner: "Aisha", Until: night.Add(80 * time.Hour), Reason: "The payment partner tests on Monday."})
	s.do(incident.GoBack{}).passes().seen("15 of 15 name servers answer as ordered").home("up")
	s.by(aisha).later(12 * time.Minute).do(incident.StepBack{PullIDs: map[string]string{"to-standby-1": "to-standby-3"}}).seen("15 of 15 name servers answer as ordered")
	s.by(mara).later(time.Hour).do(incident.OfferHandover{Role: "lead", To: "Tom", Brief: incident.Brief{Things: "Node two lost its cable a second time."}})
	s.later(2 * time.Hour).do(incident.GoBack{Because: "The cable has a clip now."}).passes().seen("15 of 15 name servers answer as ordered").home("up")
	s.by(boat).later(time.Minute).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "fail", Detail: "503 once"}})
	s.later(time.Minute).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass", Took: 90 * time.Millisecond}})
	return s.by(mara).later(time.Hour).do(incident.WatchOver{})
}

// held is a move that a rule made and a person took back.
func held(t testing.TB) *tale {
	s := story(t).by(health)
	s.pull("to-standby").seen("15 of 15 name servers answer as ordered")
	s.by(jonas).later(3 * time.Minute).home("up").do(incident.PutBack{Lever: "to-standby"}).later(4 * time.Second).seen("15 of 15 name servers answer as before")
	return s.do(incident.DecideNoFailover{Reason: "Only the check was wrong."}).later(time.Minute).do(incident.Cancel{Reason: "The check asked for a word that marketing had changed."})
}

// moved is a shop whose old place does not come back.
func moved(t testing.TB) *tale {
	s := story(t).by(mara)
	s.do(incident.Declare{Title: "The data centre has no power", Symptom: "nothing-loads", Noticed: "monitor", RecurrenceOf: "01KG000000000000000000000C"})
	s.later(time.Minute).pull("to-backup").later(6 * time.Second).seen("15 of 15 name servers answer as ordered")
	s.later(3*time.Hour).do(incident.MakePermanent{Reason: "The building is gone."}, func(f *incident.Facts) { f.Origin, f.Place, f.PlaceSeen = true, "backup", "up" })
	return s.home("up").later(time.Hour).do(incident.WatchOver{})
}

// seenDown is a site whose check declares that it is down, with what the other checks
// see in the same moment.
func (s *tale) seenDown(check, detail string, others ...string) *tale {
	s.t.Helper()
	why := "The Shop is seen down: " + detail + " (check " + check + ")"
	s.by(incident.Actor{Kind: "rule", Name: "The check " + check}).do(incident.Propose{Why: why}, s.lever("to-standby"))
	s.sight(s.now, check, "down", detail)
	for i, other := range others {
		s.sight(s.now.Add(time.Duration(i+1)*40*time.Millisecond), other, "down", detail)
	}
	return s
}

// captures brings pieces of evidence, some time apart.
func (s *tale) captures(apart time.Duration, titles ...string) *tale {
	s.t.Helper()
	actor := s.facts.Actor
	s.by(boat)
	for _, title := range titles {
		s.later(apart).do(incident.Captured{Evidence: incident.Evidence{Kind: "http", Title: title, Summary: "500", Source: "main", SHA256: hash("7"), At: s.now}})
	}
	return s.by(actor)
}

// guess raises a possible cause that one piece of evidence speaks for, and tests it.
func (s *tale) guess(statement, predicts, saw, stance, outcome string) *tale {
	s.t.Helper()
	id := "c" + string(rune('1'+len(s.in.Causes)))
	s.do(incident.OpenCause{Statement: statement, Prediction: predicts}).do(incident.WeighCause{Cause: id, Evidence: "e1", Stance: stance, Note: saw})
	return s.do(incident.TestCause{Cause: id, Outcome: outcome, Saw: saw})
}

// wrongCause is an hour on which a cause was confirmed that was none: the fix for it had
// no effect and was taken back.
func wrongCause(t testing.TB) *tale {
	s := story(t).seenDown("front", "answered 500, expected 200", "checkout")
	s.captures(20*time.Millisecond, "How the real site answers to GET /", "The end of the log of the shop")
	s.by(aisha).later(2 * time.Minute).pull("to-standby").later(3 * time.Second).seen("15 of 15 name servers answer as ordered")
	s.by(boat).do(incident.SeeChanges{Changes: []incident.Change{{ID: "ch1", At: night.Add(-9 * time.Minute), Kind: "deploy", Who: "Jonas", What: "Release 413 of the shop"}}})
	s.by(jonas).later(4*time.Minute).guess("The books can't be read", "The backup fails, too.", "The backup shows every product", incident.Against, incident.TestFailed).do(incident.RuleOut{Cause: "c1", Reason: "The backup shows every product."})
	s.guess("A process has got into a bad state", "Only one place fails.", "Only the real site fails", incident.For, incident.TestHeld)
	s.by(mara).later(3 * time.Minute).do(incident.ConfirmCause{Cause: "c2"})
	s.by(jonas).do(incident.ProposeFix{Change: "Start the process anew", Promise: incident.Promise{Check: "front", Within: 5 * time.Minute}, WayBack: "Nothing to take back", Owner: "Jonas"}, verdicts)
	s.by(mara).later(time.Minute).do(incident.ApproveFix{})
	s.by(jonas).do(incident.ApplyFix{}, verdicts).later(30 * time.Second).do(incident.FixCarriedOut{OK: true})
	s.reads(5, time.Minute, incident.Reading{Verdict: "fail", Detail: "answered 500, expected 200"})
	s.refused(s.try(incident.GoBack{Because: "It was started anew."})) // the fix has to be settled first
	s.later(time.Minute).do(incident.TakeBackFix{}).later(20 * time.Second).do(incident.FixTakenBack{OK: true})
	s.do(incident.RuleOut{Cause: "c2", Reason: "It was started anew, and nothing changed."}).do(incident.MarkChange{Change: "ch1", Suspect: true, Note: "It came just before."})
	s.later(6*time.Minute).guess("Release 413 breaks every page", "The log names the release.", "Each failing request has it beside it", incident.For, incident.TestHeld)
	s.by(mara).later(time.Minute).do(incident.ConfirmCause{Cause: "c3", Factors: []string{"The list of changes was not looked at first"}})
	s.by(jonas).later(8*time.Minute).do(incident.ProposeFix{Change: "Put release 412 back", Promise: incident.Promise{Check: "front", Within: 5 * time.Minute}, WayBack: "Deploy 413 again", Owner: "Jonas"}, verdicts)
	s.by(mara).later(time.Minute).do(incident.ApproveFix{})
	s.by(jonas).do(incident.ApplyFix{}, verdicts).later(50 * time.Second).do(incident.FixCarriedOut{OK: true})
	s.reads(3, 20*time.Second, incident.Reading{Verdict: "pass", Took: 110 * time.Millisecond})
	s.sight(s.now, "front", "up", "").sight(s.now.Add(300*time.Millisecond), "checkout", "up", "")
	s.by(mara).later(time.Minute).do(incident.GoBack{}).passes().later(4 * time.Second).seen("15 of 15 name servers answer as ordered").home("up")
	s.by(boat).later(time.Minute).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass", Took: 120 * time.Millisecond}})
	return s.by(mara).later(time.Hour).do(incident.WatchOver{})
}

// notLasting is a play of seconds: a fix kept its promise, everybody was back, and a
// person saw before any check that it was not over.
func notLasting(t testing.TB) *tale {
	s := story(t)
	set := &s.facts.Settings
	set.Apart, set.Approval, set.Pause, set.FixApart, set.Watch = 300*time.Millisecond, time.Second, 100*time.Millisecond, time.Second, 3*time.Second
	s.seenDown("front", "answered 500, expected 200", "checkout").captures(5*time.Millisecond, "How the real site answers to GET /")
	s.by(aisha).pull("to-standby").later(6*time.Millisecond).seen("2 of 2 answers point at standby").captures(30*time.Millisecond, "The end of the log", "The metrics")
	s.by(jonas).later(time.Second).guess("The books can't be read", "The backup fails, too.", "It does not", incident.Against, incident.TestFailed).do(incident.RuleOut{Cause: "c1", Reason: "It does not."})
	s.guess("Release 413 breaks every page", "The log names the release.", "It does", incident.For, incident.TestHeld)
	s.by(mara).do(incident.ConfirmCause{Cause: "c2"})
	s.mends("Put release 415 in", "Deploy 413 again").sight(s.now, "front", "up", "").sight(s.now.Add(20*time.Millisecond), "checkout", "up", "")
	s.by(mara).do(incident.GoBack{}).quick().later(3 * time.Millisecond).seen("2 of 2 answers point at main").home("up")
	s.by(boat).later(40 * time.Millisecond).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass"}})
	s.by(aisha).later(1700 * time.Millisecond).do(incident.StepBack{PullIDs: map[string]string{"to-standby-1": "to-standby-2"}}).later(5 * time.Millisecond).seen("2 of 2 answers point at standby").home("down")
	s.later(200*time.Millisecond).sight(s.now, "checkout", "down", "no answer within 250 ms").sight(s.now.Add(30*time.Millisecond), "front", "down", "no answer within 250 ms")
	s.captures(2100*time.Millisecond, "How the real site answers to GET / now")
	s.by(jonas).do(incident.TakeBackFix{}).later(30 * time.Millisecond).do(incident.FixTakenBack{OK: true})
	s.guess("Release 415 loses workers", "All workers are in use though nobody visits.", "Eight of eight", incident.For, incident.TestHeld)
	s.by(mara).do(incident.ConfirmCause{Cause: "c3", Also: []string{"c2"}, Factors: []string{"A release that answers once was taken for one that is well"}})
	s.mends("Put release 412 back", "Deploy 413 again").sight(s.now, "front", "up", "").sight(s.now.Add(20*time.Millisecond), "checkout", "up", "")
	s.by(mara).do(incident.GoBack{}).quick().later(3 * time.Millisecond).seen("2 of 2 answers point at main").home("up")
	s.by(boat).later(40 * time.Millisecond).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass"}})
	return s.by(mara).later(3200 * time.Millisecond).do(incident.WatchOver{})
}

// mends proposes, reads, begins and measures a fix that keeps its promise.
func (s *tale) mends(change, back string) *tale {
	s.t.Helper()
	s.by(jonas).do(incident.ProposeFix{Change: change, Promise: incident.Promise{Check: "front", Within: 8 * time.Second}, WayBack: back, Owner: "Jonas"}, verdicts)
	s.by(mara).do(incident.ApproveFix{})
	s.by(jonas).do(incident.ApplyFix{}, verdicts).later(40 * time.Millisecond).do(incident.FixCarriedOut{OK: true})
	return s.reads(3, 100*time.Millisecond, incident.Reading{Verdict: "pass"})
}

// quick passes the checks of a return as fast as a play does.
func (s *tale) quick() *tale {
	s.t.Helper()
	for range s.in.Return.Needed {
		s.later(350*time.Millisecond).check("pass", "")
	}
	return s
}

// onlyFeature is a slow service: one feature was closed, and visitors never left.
// inStages is a return in shares: the first try steps back with a tenth on the real site.
func inStages(t testing.TB) *tale {
	s := story(t)
	s.facts.Settings.Stages, s.facts.Settings.Hold = []int{10, 50}, 5*time.Minute
	s.by(mara).do(incident.Declare{Title: "The shop does not open", Noticed: "visitor"})
	s.sight(s.now, "front", "down", "503")
	s.by(aisha).later(30 * time.Second).pull("to-standby").later(time.Second).seen("3 of 3 name servers answer as ordered")
	s.captures(5*time.Millisecond, "The metrics of the real site")
	s.guess("Too many visitors come", "Pages stay slow.", "They are quick again", incident.Against, incident.TestFailed).do(incident.RuleOut{Cause: "c1", Reason: "They are quick again."})
	s.guess("The old database is full", "It refuses rows.", "It holds 100 %", incident.For, incident.TestHeld)
	s.by(mara).do(incident.ConfirmCause{Cause: "c2"})
	s.mends("Made room in the database", "None")
	s.by(mara).later(time.Minute).do(incident.GoBack{}).passes().shared(true, "answer has the order")
	for range 3 {
		s.later(time.Minute).check("fail", "503")
	}
	s.shared(true, "answer has the order")
	s.later(time.Minute).do(incident.GoBack{Because: "The last rows are deleted, too."}).passes().shared(false, "the answer process is not connected").shared(true, "answer has the order")
	s.later(time.Minute).do(incident.GoBack{Because: "The answer process is back."}).passes().shared(true, "answer has the order")
	s.later(5*time.Minute).passes().shared(true, "answer has the order")
	s.later(5 * time.Minute).passes().later(time.Second).seen("3 of 3 name servers answer as ordered").home("up")
	s.by(boat).later(time.Second).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass", Took: 90 * time.Millisecond}})
	return s.by(mara).later(time.Hour).do(incident.WatchOver{})
}

func onlyFeature(t testing.TB) *tale {
	s := story(t).seenDown("checkout", "no answer within 250 ms")
	s.captures(5*time.Millisecond, "The metrics of the real site")
	s.by(aisha).pull("close-checkout").later(9 * time.Millisecond).seen("the flag checkout is answered with off")
	s.later(3300*time.Millisecond).sight(s.now, "checkout", "up", "").home("up")
	s.by(jonas).later(time.Second).guess("Too many visitors come", "Pages stay slow.", "They are quick again", incident.Against, incident.TestFailed).do(incident.RuleOut{Cause: "c1", Reason: "They are quick again."})
	s.guess("The stock service is slow", "It took seconds to answer.", "Four seconds", incident.For, incident.TestHeld)
	s.by(mara).do(incident.ConfirmCause{Cause: "c2"})
	s.mends("Put the stock service back on its old machine", "Move it again")
	s.by(mara).later(time.Minute).do(incident.GoBack{}).passes().later(8 * time.Millisecond).seen("the flag checkout is answered with on")
	s.by(boat).later(time.Second).do(incident.ReadAgain{Reading: incident.Reading{At: s.now, Verdict: "pass", Took: 90 * time.Millisecond}})
	return s.by(mara).later(time.Hour).do(incident.WatchOver{})
}
