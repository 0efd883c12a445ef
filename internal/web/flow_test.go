package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// TestThereAndBack goes the whole way with nothing but what the pages offer: no
// JavaScript, no address that is not in a link.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	b := newBoat()
	b.set(func(b *boat) { b.unarmed = true })
	p := browse(t, b.handler()).enter().want(http.StatusOK, "All is well.", "Visitors go to main (home).")

	p = p.press("Something is wrong").want(http.StatusOK, "Let’s get out of hot water first.", "Ada declared: Something is wrong with The shop")
	p = p.press("Show visitors the status page").want(http.StatusConflict, "Not yet.", "It was never rehearsed.", "Rule R1", "Do it anyway, because …")
	p = p.press("Do it anyway: Show visitors the status page", "the house is on fire").want(http.StatusOK, "Visitors are looked after.", "Visitors go to the status page.")

	p = p.follow("Write down what you see").press("Write down what you see", "smoke on camera 2").want(http.StatusOK, "Done.", "Ada: smoke on camera 2")
	b.wait(5 * time.Minute)
	p = p.press("Put back: Show visitors the status page").want(http.StatusConflict, "that is the return", "Do it anyway, because …").follow("Leave it")

	p = p.follow("Go back").press("Go back", "the fire is out").want(http.StatusOK, "We ask the real site, directly.")
	b.sane(t, 2)
	p = p.follow("lifeboat").want(http.StatusOK, "front: 2 of 4 in a row.")
	p = p.press("Go back to safety").want(http.StatusOK, "Visitors are looked after.", "We go back to the safe page")

	p = p.follow("Go back").press("Go back", "the fire is really out").want(http.StatusOK, "We ask the real site, directly.")
	p = p.follow("Go on before the checks are all in").press("Go on before the checks are all in", "I can see it with my eyes").want(http.StatusOK, "You’re back.", "Visitors go to main (home).")
	p = p.press("Go back to safety").want(http.StatusOK, "Visitors are looked after.", "Visitors go to the status page.")
	p = p.follow("Go back").press("Go back", "that was only steam")
	b.sane(t, 4)
	p = p.follow("lifeboat").want(http.StatusOK, "You’re back.", "We keep watching until 04:09:11 UTC.")

	p = p.follow("End the watch now").press("End the watch now", "it is morning").want(http.StatusOK, "It is over. Well done.")
	p = p.follow("Close it").press("Close it", "it was a fire, we know").want(http.StatusOK, "All is well.", "Something is wrong")
	p = p.follow("All of it").want(http.StatusOK, "Closed", "Ada closed it. No post-mortem: it was a fire, we know", "incident.declared")
	p.press("Sign out Ada").want(http.StatusOK, "Sign in.").b.open("/").want(http.StatusOK, "Sign in.")

	if err := incident.Verify(b.events); err != nil {
		t.Error(err)
	}
	for _, e := range b.events {
		if want := "note"; e.Type == incident.NoteAdded && (e.Actor.Via != "web" || e.Actor.ID != "t1" || e.Actor.Kind != "person") {
			t.Errorf("the %s is by %+v", want, e.Actor)
		}
	}
}

// TestOtherWays: what the long way does not pass.
func TestOtherWays(t *testing.T) {
	t.Parallel()
	t.Run("false alarm", func(t *testing.T) {
		t.Parallel()
		p := browse(t, newBoat().handler()).enter().press("Something is wrong")
		p.follow("It was a false alarm").press("It was a false alarm", "").want(http.StatusOK, "All is well.", "false alarm")
	})
	t.Run("visitors stay", func(t *testing.T) {
		t.Parallel()
		p := browse(t, newBoat().handler()).enter().press("Something is wrong")
		p.follow("Leave visitors where they are").press("Leave visitors where they are", "it is one page").want(http.StatusOK, "Visitors stay where they are.", "it is one page")
	})
	t.Run("one press declares and pulls", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		b.set(func(b *boat) { b.home = probe.Down })
		browse(t, b.handler()).enter().press("Show visitors the status page").want(http.StatusOK, "Visitors are looked after.")
	})
	t.Run("taken back at once", func(t *testing.T) {
		t.Parallel()
		p := browse(t, newBoat().handler()).enter().press("Show visitors the status page")
		p.press("Put back: Show visitors the status page").want(http.StatusOK, "Let’s get out of hot water first.", "is put back")
	})
	t.Run("rehearse", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		p := browse(t, b.handler()).enter()
		p.press("Rehearse").want(http.StatusServiceUnavailable, "The drill of no-checkout failed: no answer.")
		b.set(func(b *boat) { b.lever = "a-first" })
		r := p.request(within(p.doc, "form")[len(within(p.doc, "form"))-1], nil) // of the second lever
		p.b.send(r).want(http.StatusOK, "DRILL: there in 7 ms, back in 8 ms.")
	})
	t.Run("rules may move it again", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		b.set(func(b *boat) { b.autoHeld = true })
		p := browse(t, b.handler()).enter().press("Let rules move it again").want(http.StatusOK, "Rules may move this site again.")
		if b.resumed != 1 || strings.Contains(p.text(), "Nothing moves by itself") {
			t.Errorf("resumed %d times:\n%s", b.resumed, p.text())
		}
	})
	t.Run("return without a check", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		contained(t, b)
		b.set(func(b *boat) { b.ungated = true })
		p := browse(t, b.handler()).enter().follow("Go back").press("Go back", "the cable is back").want(http.StatusConflict, "Rule R13")
		p.press("Do it anyway: Go back", "the cable is really back", "we never had a check").want(http.StatusOK, "You’re back.")
		last := b.commands[len(b.commands)-1]
		if want := (incident.GoBack{Because: "the cable is really back", Reason: "we never had a check"}); last != want {
			t.Errorf("the command is %+v, want %+v", last, want)
		}
	})
}

// TestNothingChangesByGet: a link that somebody sends can't press anything.
func TestNothingChangesByGet(t *testing.T) {
	t.Parallel()
	b := newBoat()
	br := browse(t, b.handler())
	br.enter()
	for _, act := range []string{"declare", "pull", "put-back", "note", "stay", "go-back", "advance", "step-back", "end-watch", "cancel", "close", "drill", "resume"} {
		p := br.open("/sites/shop/" + act + "?lever=to-standby&text=because")
		if p.url.Path != "/sites/shop" || p.status != http.StatusOK {
			t.Errorf("%s leads to %d at %s, want the site's page", act, p.status, p.url)
		}
	}
	if br.open("/sign-out").want(http.StatusNotFound).b.open("/").url.Path != "/" || len(b.commands)+b.resumed > 0 {
		t.Errorf("signed out, or something was done: %+v", b.commands)
	}
}

// TestEngineFails: pages that can't be made say so in words.
func TestEngineFails(t *testing.T) {
	t.Parallel()
	b := newBoat()
	br := browse(t, b.handler())
	p := br.enter().press("Something is wrong").follow("Write down what you see")
	b.set(func(b *boat) { b.fails = http.ErrServerClosed })
	for _, path := range []string{"/", "/sites/shop", "/incidents", "/incidents/" + b.in.ID} {
		br.open(path).want(http.StatusInternalServerError, "That did not work.", "To the first page")
	}
	if got := p.press("Write down what you see", " ").want(http.StatusBadRequest, "The note is empty.").field("typed"); got != " " && got != "\n " {
		t.Errorf("what was typed came back as %q", got)
	}
}
