package web

import (
	"net/http"
	"testing"
	"time"

	"lifeboat/internal/probe"
	"lifeboat/internal/role"
)

// TestWholeLoop goes the whole way with nothing but what the pages offer: no
// JavaScript, no address that is not in a link.
func TestWholeLoop(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.drill("to-standby")
	b.person("jonas", "Jonas", role.Operator)
	br := browse(t, b.handler())
	p := br.enter(b).want(http.StatusOK, "All is well.", "Visitors go to main (home).")
	b.breaks(probe.Down, "502 after 30 s")

	p = p.press("Something is wrong").want(http.StatusOK, "Let’s get out of hot water first.", "What are visitors meeting?")
	p = p.press("Nothing loads").want(http.StatusOK, "Visitors meet: Nothing loads", "Change the answer")
	p = p.press("Show visitors the status page").want(http.StatusOK, "Visitors are looked after.", "We know that Example Shop does not open.", "Visitors go to the status page.")
	p = p.press("Tell people").want(http.StatusOK, "What happened?", "told everybody: We know that Example Shop does not open.")

	p = p.follow("Add a guess").press("Add a guess", "text=the pool of release 412 is too large", "prediction=fewer connections with release 411")
	p = p.follow("Add a guess").press("Add a guess", "text=a robot floods the shop", "prediction=ten times the visitors").want(http.StatusOK, "2 guesses, 0 ruled out")
	p.follow("Add evidence").press("Add evidence", "title=300 of 300 connections", "text=full since 02:58").want(http.StatusOK, "300 of 300 connections")
	p = br.open("/").follow("Weigh: c1").press("Weigh it", "evidence=e1", "stance=for", "note=it is the limit").want(http.StatusOK, "It is the limit.")
	p = p.follow("Test: c1").press("Write down the test", "outcome=held", "saw=84 with release 411").want(http.StatusOK, "84 with release 411")
	p = p.follow("Rule out: c2").press("Rule it out", "text=as many visitors as on other nights").want(http.StatusOK, "So this is it?", "2 guesses, 1 ruled out")
	p = p.follow("Look at it once more").want(http.StatusOK, "We saw: Full since 02:58", "What explains it:", "We ruled out “").press("Yes, this is the cause", "factors=no alarm on connections").want(http.StatusOK, "So this is it.")

	fix := func(p *sheet, change string) *sheet {
		t.Helper()
		return p.follow("Write down one fix").press("Write down one fix", "text="+change, "check=home", "within=1 min", "way_back=set it back to 200", "takes=two minutes")
	}
	fix(p, "set the pool to 20").want(http.StatusOK, "Ask somebody to read it.", "Nobody else has read it yet.")
	jo := br.other()
	jo.enterAs("jonas").want(http.StatusOK, "Read it, please.", "Ada wants to change one thing").press("No strong objection").want(http.StatusOK, "It has been read.")
	br.open("/").press("Do it").want(http.StatusOK, "Do it now.").press("It is done").want(http.StatusOK, "Waiting to see what it did.")
	for range 3 {
		b.reads("fail", 0, nil)
	}
	p = br.open("/").want(http.StatusOK, "It did not do what we expected.", "Seen: it fails.")
	p.press("Take it back").want(http.StatusOK, "Taking it back.").press("It is taken back").want(http.StatusOK, "So this is it?")

	b.wait(20 * time.Minute)
	p = br.open("/").want(http.StatusOK, "So this is it?").follow("Look at it once more").press("Yes, this is the cause").want(http.StatusOK, "So this is it.")
	b.breaks(probe.Up, "")
	fix(p, "put release 411 back")
	b.wait(10 * time.Minute)
	br.open("/").follow("Go on alone").press("Go on alone", "text=nobody answers at night").want(http.StatusOK, "Read it once more, slowly.", "You are alone, so there is a pause.")
	b.wait(time.Minute)
	br.open("/").press("Do it").press("It is done")
	for range 3 {
		b.reads("pass", 120*time.Millisecond, nil)
	}
	p = br.open("/").want(http.StatusOK, "It did what it promised.")

	p.follow("Go back").press("Go back").want(http.StatusOK, "We ask the real site, directly.")
	b.sane(1)
	p = br.open("/").want(http.StatusOK, "1 of 2").press("Go back to safety").want(http.StatusOK, "The fix holds.", "Visitors are still safe.")
	p.follow("Go back").press("Go back", "text=the cache is warm now").want(http.StatusOK, "We ask the real site, directly.")
	b.sane(4)
	br.open("/").want(http.StatusOK, "You’re back.", "You may get some air.", "Visitors go to main (home).")
	b.machineReadsAgain()
	for range 4 {
		b.wait(15 * time.Minute)
		p = br.open("/")
	}
	p = p.follow("End the watch now").press("End the watch now", "text=an hour is over").want(http.StatusOK, "It is over. Well done.")

	p = p.follow("Tell people").press("Tell people", "final=yes").want(http.StatusOK, "works again as it should")
	p = p.follow("Read the draft").want(http.StatusOK, "Four questions", "Why were we surprised?")
	for _, answer := range []string{"nobody saw both programs", "it was night", "the limit is in no document", "an alarm, and one pool"} {
		p = p.answerNext(answer)
	}
	p = p.press("Add a finding", "about=process", "text=nobody reads what a release changes").want(http.StatusOK, "nobody reads what a release changes")
	p = p.press("Add a follow-up", "text=Alarm at 200 connections", "owner=Jonas", "due=2026-03-31", "done_when=a rehearsal raises it").want(http.StatusOK, "Alarm at 200 connections", "31 March 2026")
	p = p.follow("Change: a1").press("Keep the changes", "due=2026-04-02").want(http.StatusOK, "2 April 2026")
	p = p.press("Finish the write-up").want(http.StatusOK, "It is final already.")
	p = p.press("Close it").want(http.StatusOK, "All is well.")
	p = p.follow("All of it").want(http.StatusOK, "It is closed.", "Ada closed it. The post-mortem is final.").follow("Write-up")
	p = p.follow("Done, or not: a1").press("Say how it ended", "state=verified", "text=it rang").want(http.StatusOK, "verified")
	p.follow("Ada").press("Sign out").want(http.StatusOK, "Sign in.").b.open("/").want(http.StatusOK, "Sign in.")
}

// answerNext answers the first question that has no answer yet.
func (p *sheet) answerNext(text string) *sheet {
	p.b.t.Helper()
	for _, f := range p.all("form") {
		for _, n := range within(f, "textarea") {
			if p.hasField(f, "question") && textOf(n) == "" {
				return p.b.send(p.request(f, []string{"text=" + text}))
			}
		}
	}
	p.b.t.Fatal("no question is open")
	return nil
}
