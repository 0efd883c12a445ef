package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/probe"
	"lifeboat/internal/role"
)

// scene is a state of the world, and the page that shows it.
type scene struct {
	name    string
	set     func(*boat)
	look    func(*sheet) *sheet // from the first page on; nil: the first page itself
	who     string              // signs in as; "": Ada with her token, "-": nobody
	options func(*Options)
	status  int // 0: 200
}

func (b *boat) armed() { b.drill("to-standby") }

func declared(b *boat) {
	b.armed()
	b.breaks(probe.Down, "502 after 30 s")
	b.do(incident.Declare{Noticed: "staff"})
	b.wait(40 * time.Second)
}

func answers(b *boat, symptom string) {
	declared(b)
	b.do(incident.Note{Text: met + symptomWords(symptom) + "."})
}

func contained(b *boat) {
	answers(b, "nothing-loads")
	b.pull("to-standby")
	b.wait(6 * time.Minute)
}

// looking is step 2 with something on the board.
func looking(b *boat) {
	contained(b)
	b.do(incident.SendUpdate{Audience: incident.Public, Text: "We know that Example Shop does not open. Next news by 03:35.", NextIn: time.Hour})
	for i, what := range []string{"Index on orders", "Release 412", "Price import starts"} {
		c := ledger.Change{ID: "ch" + string(rune('1'+i)), At: start.Add(-time.Duration(20-5*i) * time.Minute), Site: "shop", Kind: ledger.Deploy, Who: "Tom", What: what, Source: "ci"}
		_, err := b.eng.AddChange(b.t.Context(), c, b.ada)
		must(b.t, err)
	}
	b.do(incident.MarkChange{Change: "ch2", Suspect: true})
	b.machine(incident.SeeSight{Sight: incident.Sight{At: start.Add(-8 * time.Minute), Check: "home", Place: "main", Home: true, Seen: "down", Detail: "502"}})
	b.machine(incident.SeeSight{Sight: incident.Sight{At: start.Add(-5 * time.Minute), Check: "pay", Place: "main", Home: true, Seen: "down", Detail: "502"}})
	b.machine(incident.Captured{Evidence: incident.Evidence{Kind: "http", Title: "The front page", Summary: "502 after 30 s, from both addresses", Source: "203.0.113.10", At: start, Collector: "answer"}})
	b.machine(incident.Captured{Evidence: incident.Evidence{Kind: "log", Title: "“sorry, too many clients already”", Summary: "First at 02:58:06, then 4,112 times in 9 minutes", Deciding: "300 of 300 connections are in use", Source: "/var/log/shop.log", At: start, Collector: "control"}})
	b.do(incident.OpenCause{Statement: "The larger pool of release 412 uses up the connections", Prediction: "fewer than 120 connections with release 411"})
	b.doAs(incident.OpenCause{Statement: "A robot floods the shop", Prediction: "ten times the visitors"}, jonas)
	b.do(incident.WeighCause{Cause: "c1", Evidence: "e2", Stance: incident.For, Note: "241 of them from the shop"})
	b.doAs(incident.RuleOut{Cause: "c2", Reason: "as many visitors as on other Thursdays"}, jonas)
	b.wait(9 * time.Minute)
}

func tested(b *boat) {
	looking(b)
	b.do(incident.TestCause{Cause: "c1", Outcome: incident.TestHeld, Saw: "84 with release 411 on the test machine"})
}

func diagnosed(b *boat) {
	tested(b)
	b.do(incident.ConfirmCause{Cause: "c1", Factors: []string{"no alarm on connections"}})
}

func planned(b *boat) {
	diagnosed(b)
	b.do(incident.ProposeFix{
		Change: "Put the pool of every worker from 200 back to 20, and restart the workers", Promise: incident.Promise{Check: "home", Below: 500 * time.Millisecond, Within: time.Minute},
		WayBack: "set the pool back to 200 and restart", Takes: "2 minutes",
	})
	b.wait(2 * time.Minute)
}

func begun(b *boat) {
	planned(b)
	b.doAs(incident.ApproveFix{}, jonas)
	b.do(incident.ApplyFix{})
}

func measured(b *boat) {
	begun(b)
	b.do(incident.FixCarriedOut{OK: true})
	b.reads("fail", 0, nil)
}

func noEffect(b *boat) {
	measured(b)
	b.reads("fail", 0, nil)
	b.reads("pass", 900*time.Millisecond, nil)
}

func cured(b *boat) {
	measured(b)
	b.breaks(probe.Up, "")
	for range 8 {
		if f, flies := b.in().FixInFlight(); !flies || f.State != incident.StateMeasuring {
			return
		}
		b.readsAfter(4*time.Second, "pass", 120*time.Millisecond, nil)
	}
}

func returning(b *boat) {
	cured(b)
	b.do(incident.GoBack{})
	b.sane(1)
}

func watching(b *boat) {
	returning(b)
	b.sane(1)
}

func reviewing(b *boat) {
	watching(b)
	b.machineReadsAgain()
	for range 4 {
		b.wait(15 * time.Minute)
	}
	b.do(incident.WatchOver{})
}

func written(b *boat) {
	reviewing(b)
	b.do(incident.Answer{Question: "surprise", Text: "Two programs share a limit, and neither can see the other."})
	b.do(incident.JudgeFinding{Finding: incident.Finding{About: incident.AboutProcess, Text: "Nobody reads which limits a release changes."}})
	b.do(incident.AddFollowUp{FollowUp: incident.FollowUp{What: "Alarm when connections pass 200 of 300", Owner: "Jonas", Due: start.Add(7 * 24 * time.Hour), DoneWhen: "a rehearsal raises it", Class: "detect"}})
	b.do(incident.SendUpdate{Audience: incident.Public, Text: "Example Shop works again.", Final: true})
}

func finished(b *boat) {
	written(b)
	_, err := b.eng.FinishWriteUp(b.t.Context(), b.in().ID, b.ada)
	must(b.t, err)
}

func closed(b *boat) {
	finished(b)
	b.do(incident.Close{})
}

// pixel is the smallest image.
var pixel, _ = base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

func attach(b *boat, title, name, kind string, body []byte) {
	b.t.Helper()
	_, err := b.eng.Attach(b.t.Context(), "shop", engine.File{Name: name, Type: kind, Title: title, Body: bytes.NewReader(body)}, b.ada)
	must(b.t, err)
}

func room(path string) func(*sheet) *sheet {
	return func(p *sheet) *sheet { return p.b.open(path) }
}

func within1(link string) func(*sheet) *sheet {
	return func(p *sheet) *sheet { return p.follow("All of it").follow(link) }
}

// otherwise is an engine that shows its first site in another light: what takes an
// answer process of its own to bring about.
type otherwise struct {
	*engine.Engine
	change func(*engine.SiteView)
}

// Overview implements Engine.
func (e otherwise) Overview(ctx context.Context) (engine.Overview, error) {
	o, err := e.Engine.Overview(ctx)
	if err == nil {
		e.change(&o.Sites[0])
	}
	return o, err
}

func changed(change func(*engine.SiteView)) func(*Options) {
	return func(o *Options) { o.Engine = otherwise{o.Engine.(*engine.Engine), change} }
}

var scenes = []scene{
	{name: "quiet-up", set: (*boat).armed},
	{name: "quiet-down", set: func(b *boat) { b.breaks(probe.Down, "connection refused") }},
	{name: "quiet-unknown", set: func(b *boat) { b.breaks(probe.Unknown, "no answer yet") }},
	{name: "quiet-parked", set: func(b *boat) {
		looking(b)
		b.pull("close-checkout")
		b.do(incident.ParkLever{Lever: "close-checkout", Owner: "Jonas", Until: b.clock().Add(26 * time.Hour), Reason: "payments are looked at on Monday"})
		b.breaks(probe.Up, "")
		b.do(incident.GoBack{Because: "the release was taken back"})
		b.sane(4)
		b.do(incident.WatchOver{Reason: "the test is in a hurry"})
		b.do(incident.Close{Reason: "the test needs it closed"})
		b.wait(30 * time.Hour)
	}},
	{name: "declared", set: declared},
	{name: "answered", set: func(b *boat) { answers(b, "nothing-loads") }},
	{name: "answered-one-thing", set: func(b *boat) { answers(b, "one-thing") }},
	{name: "proposed", set: func(b *boat) {
		b.breaks(probe.Down, "502")
		b.do(incident.Declare{Noticed: "monitor", Title: "The shop does not answer"})
	}, options: changed(func(v *engine.SiteView) { v.Incident.Proposed = "to-standby" })},
	{name: "auto-held", set: looking, options: changed(func(v *engine.SiteView) { v.AutoHeld = true })},
	{name: "overridden", set: func(b *boat) {
		looking(b)
		b.do(incident.ProposeFix{Change: "a smaller pool", Promise: incident.Promise{Check: "home"}, WayBack: "the old one", Reason: "not proved yet, but the way back takes 40 s"})
	}},
	{name: "refused-standby", set: func(b *boat) {
		b.armed()
		b.breaks(probe.Down, "502")
		b.set(func() { b.sunk = map[string]bool{"standby": true} })
		b.look()
	}, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.b.open("/sites/shop/pull?lever=to-standby").press("Show visitors the status page")
	}},
	{name: "refused-place", set: func(b *boat) {
		b.drill("to-backup")
		b.set(func() { b.sunk = map[string]bool{"backup": true} })
		b.look()
	}, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.b.open("/sites/shop/pull?lever=to-backup").press("Use the backup")
	}},
	{name: "refused-advance", set: returning, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Go on before the checks are all in").press("Go on before the checks are all in", "text=ok")
	}},
	{name: "unknown", set: func(b *boat) {
		answers(b, "nothing-loads")
		b.set(func() { b.foggy = true })
		_, _ = b.eng.Do(b.t.Context(), "shop", engine.PullRequest{Lever: "to-standby"}, b.ada)
	}},
	{name: "contained", set: contained},
	{name: "not-safe", set: func(b *boat) {
		answers(b, "nothing-loads")
		b.drill("to-backup")
		b.pull("to-backup")
		b.set(func() { b.sunk = map[string]bool{"backup": true} })
		b.look()
	}},
	{name: "closed-not-safe", set: func(b *boat) {
		answers(b, "one-thing")
		b.drill("close-checkout")
		b.pull("close-checkout")
	}},
	{name: "stays", set: func(b *boat) {
		answers(b, "some-pages")
		b.do(incident.DecideNoFailover{Reason: "only one page fails"})
	}},
	{name: "drifted", set: func(b *boat) {
		looking(b)
		b.machine(incident.Drifted{Pull: b.in().Pulls[0].ID, Detail: "192.0.2.7 is answered"})
	}},
	{name: "diagnose", set: looking},
	{name: "guess", set: looking, look: func(p *sheet) *sheet { return p.follow("Add a guess") }},
	{name: "weigh", set: looking, look: func(p *sheet) *sheet { return p.follow("Weigh: c1") }},
	{name: "test", set: looking, look: func(p *sheet) *sheet { return p.follow("Test: c1") }},
	{name: "confirm", set: tested, look: func(p *sheet) *sheet { return p.follow("Look at it once more") }},
	{name: "refused-confirm", set: looking, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("This is it: c1").press("Yes, this is the cause", "factors=no alarm")
	}},
	{name: "stuck", set: func(b *boat) {
		looking(b)
		b.wait(40 * time.Minute)
	}},
	{name: "overdue", set: func(b *boat) {
		looking(b)
		b.wait(70 * time.Minute)
		b.machine(incident.Remind{})
	}},
	{name: "diagnosed", set: diagnosed},
	{name: "fix", set: diagnosed, look: func(p *sheet) *sheet { return p.follow("Write down one fix") }},
	{name: "touch", set: looking, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Write down one fix").press("Write down one fix", "text=restart everything", "check=home", "way_back=nothing to take back", "takes=a minute")
	}},
	{name: "no-promise", set: diagnosed, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Write down one fix").press("Write down one fix", "text=restart everything", "check=", "takes=a minute")
	}},
	{name: "one-guess", set: func(b *boat) {
		contained(b)
		b.do(incident.OpenCause{Statement: "The pool is too large", Prediction: "fewer connections"})
		b.do(incident.ConfirmCause{Cause: "c1", Reason: "I have seen this before"})
	}, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Write down one fix").press("Write down one fix", "text=a smaller pool", "check=home", "way_back=the old one")
	}},
	{name: "thrash", set: func(b *boat) {
		noEffect(b)
		b.do(incident.TakeBackFix{})
		b.do(incident.FixTakenBack{OK: true})
		b.do(incident.ConfirmCause{Cause: "c1"})
	}, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Write down one fix").press("Write down one fix", "text=restart everything", "check=home", "way_back=nothing")
	}},
	{name: "second-fix", set: planned, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.b.open("/sites/shop/fix").press("Write down one fix", "text=another one", "check=home", "way_back=nothing")
	}},
	{name: "fix-waits", set: planned},
	{name: "fix-asked", set: func(b *boat) {
		planned(b)
		b.person("jonas", "Jonas", role.Operator)
	}, who: "jonas"},
	{name: "fix-read", set: func(b *boat) {
		planned(b)
		b.doAs(incident.ApproveFix{}, jonas)
	}},
	{name: "fix-stopped", set: func(b *boat) {
		planned(b)
		b.doAs(incident.ObjectToFix{Reason: "the import runs until four"}, jonas)
	}},
	{name: "fix-late", set: func(b *boat) {
		planned(b)
		b.wait(9 * time.Minute)
	}},
	{name: "fix-alone", set: func(b *boat) {
		planned(b)
		b.wait(9 * time.Minute)
		b.do(incident.GoAlone{Reason: "nobody answers"})
		b.wait(17 * time.Second)
	}},
	{name: "unread", set: planned, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Begin it now, because …").press("Do it anyway: Do it", "reason=ok")
	}},
	{name: "fix-begun", set: begun},
	{name: "measuring", set: measured},
	{name: "no-effect", set: noEffect},
	{name: "harm", set: func(b *boat) {
		planned(b)
		b.set(func() { b.seen["pay"] = probe.Up })
		b.doAs(incident.ApproveFix{}, jonas)
		b.do(incident.ApplyFix{})
		b.do(incident.FixCarriedOut{OK: true})
		for range 3 {
			b.set(func() { b.now = b.now.Add(5 * time.Second) })
			b.machine(incident.ReadFix{Reading: incident.Reading{At: b.clock(), Verdict: "fail", Detail: "502"}, Others: map[string]string{"pay": "fail"}})
		}
	}},
	{name: "interrupted", set: func(b *boat) {
		begun(b)
		b.pull("close-checkout")
	}},
	{name: "rolling-back", set: func(b *boat) {
		noEffect(b)
		b.do(incident.TakeBackFix{})
	}},
	{name: "worked", set: cured},
	{name: "return", set: returning},
	{name: "return-held", set: func(b *boat) {
		returning(b)
		b.machine(incident.Sanity{Check: "home", Verdict: "inconclusive", Detail: "the answer was cut off"})
	}},
	{name: "return-stage", set: func(b *boat) {
		b.set(func() { b.shares = true })
		returning(b)
		b.sane(1)
	}},
	{name: "advance", set: returning, look: func(p *sheet) *sheet { return p.follow("Go on before the checks are all in") }},
	{name: "watch", set: watching},
	{name: "end-watch", set: watching, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("End the watch now").press("End the watch now", "text=ok")
	}},
	{name: "doubted", set: func(b *boat) {
		returning(b)
		b.do(incident.StepBack{})
	}, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.b.open("/sites/shop/go-back").press("Go back", "text=ok")
	}},
	{name: "watch-again", set: func(b *boat) {
		watching(b)
		b.breaks(probe.Down, "502 after 30 s")
	}},
	{name: "broke-again", set: func(b *boat) {
		returning(b)
		b.do(incident.StepBack{})
		b.breaks(probe.Down, "502 after 30 s")
	}},
	{name: "review-again", set: func(b *boat) {
		reviewing(b)
		b.breaks(probe.Down, "502 after 30 s")
	}},
	{name: "review", set: reviewing},
	{name: "unfinished", set: reviewing, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Close it").press("Close it", "text=no")
	}},
	{name: "owed", set: func(b *boat) {
		reviewing(b)
		b.do(incident.AddFollowUp{FollowUp: incident.FollowUp{What: "An alarm"}})
		_, err := b.eng.FinishWriteUp(b.t.Context(), b.in().ID, b.ada)
		must(b.t, err)
	}, status: http.StatusConflict, look: func(p *sheet) *sheet { return p.press("Close it") }},
	{name: "no-process", set: func(b *boat) {
		reviewing(b)
		_, err := b.eng.FinishWriteUp(b.t.Context(), b.in().ID, b.ada)
		must(b.t, err)
	}, status: http.StatusConflict, look: func(p *sheet) *sheet { return p.press("Close it") }},
	{name: "untold", set: func(b *boat) {
		reviewing(b)
		b.do(incident.JudgeFinding{Finding: incident.Finding{About: incident.AboutProcess, Text: "Nobody reads which limits a release changes."}})
		_, err := b.eng.FinishWriteUp(b.t.Context(), b.in().ID, b.ada)
		must(b.t, err)
	}, status: http.StatusConflict, look: func(p *sheet) *sheet { return p.press("Close it") }},
	{name: "finished", set: finished},
	{name: "closed", set: closed},
	{name: "write-up", set: written, look: within1("Write-up")},
	{name: "write-up-public", set: written, look: func(p *sheet) *sheet { return within1("Write-up")(p).follow("What visitors may read") }},
	{name: "section", set: written, look: func(p *sheet) *sheet { return within1("Write-up")(p).follow("Summary") }},
	{name: "write-up-closed", set: closed, look: within1("Write-up")},

	{name: "applying", set: func(b *boat) {
		answers(b, "nothing-loads")
		b.set(func() { b.hold = make(chan struct{}) })
		done := make(chan struct{})
		hold := b.hold
		go func() { // ends once the world lets it
			defer close(done)
			_, _ = b.eng.Do(context.WithoutCancel(b.t.Context()), "shop", engine.PullRequest{Lever: "to-standby"}, b.ada)
		}()
		b.t.Cleanup(func() { close(hold); <-done })
		for deadline := time.Now().Add(10 * time.Second); len(b.in().Pulls) == 0; { // polls: the intent is on record before the act
			if time.Now().After(deadline) {
				b.t.Fatal("nothing was pulled")
			}
		}
	}},
	{name: "drill", set: func(b *boat) { answers(b, "nothing-loads") }, options: changed(func(v *engine.SiteView) { v.Incident.Drill = true })},
	{name: "drill-timeline", set: (*boat).armed, look: func(p *sheet) *sheet { return p.b.open("/incidents").follow("DRILL of to-standby") }},
	{name: "degraded", set: func(b *boat) {
		b.record = func() engine.RecordView {
			return engine.RecordView{Degraded: true, Reason: "no space left on the disk"}
		}
	}},
	{name: "disconnected", set: func(b *boat) { b.set(func() { b.gone = true }) }},
	{name: "answer-problem", set: func(b *boat) { b.set(func() { b.sick = "its disk is full" }) }},
	{name: "arriving", set: contained, options: func(o *Options) { o.Engine = busy{o.Engine.(*engine.Engine)} }},
	{name: "sites", set: contained, options: func(o *Options) { o.Engine = two{o.Engine.(*engine.Engine)} }},
	{name: "levers", set: contained, look: room("/levers")},
	{name: "features", set: contained, look: room("/features")},
	{name: "owed", set: closed, look: room("/follow-ups")},
	{name: "settings", look: room("/settings")},
	{name: "card", set: contained, options: func(o *Options) { o.Fingerprint = func() string { return "AB:CD" } }, look: room("/card")},
	{name: "changes", set: looking, look: room("/changes")},
	{name: "change", look: func(p *sheet) *sheet { return p.b.open("/changes").follow("Add a change") }},
	{name: "messages", set: func(b *boat) {
		b.set(func() {
			b.queue = append(b.queue, outbox.Message{ID: "m1", Channel: "room", Kind: "update.public", Created: start, Attempts: 3, LastError: "connection refused"})
		})
	}, look: room("/messages")},
	{name: "messages-none", look: room("/messages")},
	{name: "incidents-none", look: room("/incidents")},
	{name: "incidents", set: closed, look: room("/incidents")},
	{name: "timeline", set: closed, look: func(p *sheet) *sheet { return p.follow("All of it") }},
	{name: "timeline-changed", set: closed, options: func(o *Options) { o.Engine = forged{o.Engine.(*engine.Engine)} }, look: func(p *sheet) *sheet {
		return p.follow("All of it").want(http.StatusOK, "This record was changed. Event 3 of")
	}},
	{name: "timeline-all", set: contained, look: func(p *sheet) *sheet {
		return p.b.open(p.follow("All of it").url.Path + "?all=1")
	}},
	{name: "evidence", set: func(b *boat) {
		looking(b)
		attach(b, "The page as visitors see it", "page.png", "image/png", pixel)
	}, look: within1("Evidence")},
	{name: "piece-text", set: func(b *boat) {
		looking(b)
		attach(b, "The log around it", "shop.log", "text/plain", []byte("02:58:06 sorry, too many clients already\n"))
	}, look: func(p *sheet) *sheet { return p.follow("The log around it") }},
	{name: "piece-image", set: func(b *boat) {
		looking(b)
		attach(b, "The page as visitors see it", "page.png", "image/png", pixel)
	}, look: func(p *sheet) *sheet { return p.follow("The page as visitors see it") }},
	{name: "crew", set: func(b *boat) {
		looking(b)
		b.do(incident.TakeRole{Role: "lead"})
		b.do(incident.SetSeverity{Level: "high", Why: "nobody can buy"})
		b.do(incident.Choose{Question: "Do we stop the import?", Options: []string{"stop it", "let it run"}, Chosen: "let it run", Reason: "prices would be old by morning"})
		b.doAs(incident.Object{Decision: "d1", Text: "it may be part of this"}, jonas)
		b.do(incident.OfferHandover{Role: "lead", To: "Jonas", Brief: incident.Brief{Things: "Visitors are at the status page. It is the pool.", Doing: "Tom looks at the import, back at four.", Needs: "somebody who has slept"}})
	}, look: within1("People and decisions")},
	{name: "hand-over", set: looking, look: func(p *sheet) *sheet { return within1("People and decisions")(p).follow("Hand over") }},
	{name: "accept", set: func(b *boat) {
		looking(b)
		b.do(incident.OfferHandover{Role: "lead", To: "Jonas", Brief: incident.Brief{Things: "Visitors are at the status page. It is the pool.", Doing: "Tom looks at the import, back at four.", Needs: "somebody who has slept"}})
		b.person("jonas", "Jonas", role.Operator)
	}, who: "jonas", look: func(p *sheet) *sheet { return p.follow("Read the brief") }},
	{name: "note", set: declared, look: room("/sites/shop/note")},
	{name: "park", set: looking, look: room("/sites/shop/park?lever=to-standby")},
	{name: "permanent", set: func(b *boat) {
		answers(b, "nothing-loads")
		b.pull("to-backup")
	}, look: func(p *sheet) *sheet { return p.b.open("/sites/shop/permanent") }},

	{name: "refused-pull", set: func(b *boat) { b.breaks(probe.Down, "502") }, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.press("Show visitors the status page")
	}},
	{name: "refused-typed", set: func(b *boat) { b.breaks(probe.Down, "502") }, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.press("Show visitors the status page").press("Do it anyway: Show visitors the status page", "reason=ok")
	}},
	{name: "refused-backup", set: func(b *boat) {
		b.drill("to-backup")
		b.set(func() { b.deny = nil })
	}, look: func(p *sheet) *sheet { return p.b.open("/sites/shop/pull?lever=to-backup") }},
	{name: "refused-put-back", set: looking, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.press("Put back: Show visitors the status page")
	}},
	{name: "refused-cancel", set: declared, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("It was a false alarm").press("It was a false alarm", "text=I looked at the wrong site")
	}},
	{name: "refused-stay", set: declared, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Leave visitors where they are").press("Leave visitors where they are", "text=ok")
	}},
	{name: "refused-return", set: looking, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.b.open("/sites/shop/go-back").press("Go back", "text=ok")
	}},
	{name: "refused-by-role", set: func(b *boat) {
		planned(b)
		b.person("rita", "Rita", role.Operator)
	}, who: "rita", status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.b.open("/sites/shop/apply?anyway=1").press("Do it anyway: Do it", "reason=because I can")
	}},
	{name: "stale", set: contained, status: http.StatusConflict, look: func(p *sheet) *sheet {
		form := p.b.open("/sites/shop/go-back")
		second := p.b.other()
		second.enterBoat(form.b)
		second.open("/sites/shop/go-back").press("Go back", "text=it went away").want(http.StatusOK)
		return form.press("Go back", "text=the release was taken back")
	}},
	{name: "drill-failed", set: func(b *boat) { b.set(func() { b.foggy = true }) }, status: http.StatusServiceUnavailable, look: func(p *sheet) *sheet {
		return p.b.open("/levers").press("Rehearse: Close the checkout")
	}},
	{name: "done", set: looking, look: func(p *sheet) *sheet { return p.press("Keep", "text=one page is slow") }},
	{name: "viewer", set: func(b *boat) {
		looking(b)
		b.person("vera", "Vera", role.Viewer)
	}, who: "vera"},
	{name: "viewer-quiet", set: func(b *boat) {
		b.armed()
		b.person("vera", "Vera", role.Viewer)
	}, who: "vera"},
	{name: "account", set: func(b *boat) { b.person("jonas", "Jonas", role.Operator) }, who: "jonas", look: func(p *sheet) *sheet { return p.follow("Jonas") }},
	{name: "account-token", look: func(p *sheet) *sheet { return p.follow("Ada") }},
	{name: "accounts", set: func(b *boat) { b.person("jonas", "Jonas", role.Operator) }, look: room("/accounts")},
	{name: "one-account", set: func(b *boat) { b.person("jonas", "Jonas", role.Operator) }, look: room("/accounts/jonas")},
	{name: "no-accounts", set: func(b *boat) { b.person("jonas", "Jonas", role.Operator) }, who: "jonas", look: room("/accounts"), status: http.StatusForbidden},
	{name: "status-page", set: toldVisitors, look: room("/status-page")},
	{name: "status-page-well", set: func(b *boat) { b.writing() }, look: room("/status-page")},
	{name: "status-page-tell", set: toldVisitors, look: room("/lifeboat/board-open?template=looking")},
	{name: "status-page-refused", set: toldVisitors, status: http.StatusBadRequest, look: func(p *sheet) *sheet {
		return p.b.open("/lifeboat/board-open").press("Preview", "title=Cards", "text=One.", "next=soon")
	}},
	{name: "status-page-preview", set: toldVisitors, look: func(p *sheet) *sheet {
		return p.b.open("/lifeboat/board-open?template=looking").press("Preview")
	}},
	{name: "status-page-incident", set: toldVisitors, look: func(p *sheet) *sheet { return p.b.open("/status-page").follow("Card payments fail") }},
	{name: "status-page-over", set: toldVisitors, look: func(p *sheet) *sheet { return p.b.open("/status-page").follow("Slow searches") }},
	{name: "status-page-work", set: toldVisitors, look: func(p *sheet) *sheet { return p.b.open("/status-page").follow("The database moves") }},
	{name: "status-page-override", set: toldVisitors, look: room("/lifeboat/board-override?item=checkout")},
	{name: "status-page-history", set: toldVisitors, look: room("/status-page/history")},
	{name: "subscribers", set: someSubscribed, look: room("/status-page/subscribers")},
	{name: "subscriber-add", set: someSubscribed, look: room("/lifeboat/subscriber-add")},
	{name: "no-such-page", status: http.StatusNotFound, look: room("/nowhere")},
	{name: "no-such-site", status: http.StatusNotFound, look: room("/sites/nowhere")},
	{name: "sign-in", who: "-"},
	{name: "sign-in-wrong", who: "-", status: http.StatusForbidden, look: func(p *sheet) *sheet {
		return p.press("Sign in", "name=ada", "password=not this one")
	}},
}

// forged is an engine in whose record somebody has changed an event.
type forged struct{ *engine.Engine }

// Events implements Engine.
func (e forged) Events(ctx context.Context, id string) ([]incident.Event, error) {
	events, err := e.Engine.Events(ctx, id)
	if err == nil {
		events[2].Text = "It was somebody else."
	}
	return events, err
}

// two is an engine with a second site.
type two struct{ *engine.Engine }

// Overview implements Engine.
func (e two) Overview(ctx context.Context) (engine.Overview, error) {
	o, err := e.Engine.Overview(ctx)
	blog := engine.SiteView{ID: "blog", Title: "The blog", Names: []string{"blog.example.com"}, Ordered: engine.OrderedView{Position: "main", Home: true}}
	blog.Seen = []engine.PlaceView{{Place: "main", Role: "home", Seen: probe.Up, AgeMS: 250}}
	o.Sites = append(o.Sites, blog)
	return o, err
}

// busy is an engine whose standby is visited.
type busy struct{ *engine.Engine }

// Arrivals implements Engine.
func (busy) Arrivals(string) []engine.Arrival {
	var out []engine.Arrival
	for i, n := range []uint64{0, 4, 19, 31, 28, 7} {
		out = append(out, engine.Arrival{From: start.Add(time.Hour + time.Duration(i)*engine.ArrivalSlice), Requests: n})
	}
	return out
}

// TestWhoMeetsTheStatusPage: it is drawn once there is something to draw, without the
// slice that is not over yet, and only while visitors are sent there.
func TestWhoMeetsTheStatusPage(t *testing.T) {
	t.Parallel()
	for _, c := range scenes {
		switch c.name {
		case "arriving":
			if p := c.play(t).page; !strings.Contains(p.raw, "Who meets the status page") || !strings.Contains(p.text(), "28 in 5 s") {
				t.Errorf("it is not drawn:\n%s", p.text())
			}
		case "contained", "quiet":
			if p := c.play(t).page; strings.Contains(p.raw, "Who meets the status page") {
				t.Errorf("%s: nobody has come, and it is drawn", c.name)
			}
		}
	}
}

// played is a scene with its browser.
type played struct {
	boat *boat
	page *sheet
}

func (c scene) play(t *testing.T) played {
	t.Helper()
	b := launch(t)
	if c.set != nil {
		c.set(b)
	}
	o := b.options()
	if c.options != nil {
		c.options(&o)
	}
	br := browse(t, New(o))
	boats.Store(br.base, b)
	p := br.open("/")
	switch c.who {
	case "-":
	case "":
		p = br.enter(b)
	default:
		p = br.enterAs(c.who)
	}
	if c.look != nil {
		p = c.look(p)
	}
	if want := max(c.status, http.StatusOK); p.status != want {
		t.Errorf("status %d, want %d:\n%s", p.status, want, strings.Join(strings.Fields(p.text()), " "))
	}
	return played{b, p}
}
