package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/incident"
)

// TestFeaturesInTheirRoom: each stands there with how it is now, who ordered it, and the
// lever that closes it.
func TestFeaturesInTheirRoom(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := browse(t, New(b.options()))
	br.open("/")
	br.enter(b)
	br.open("/features").want(http.StatusOK, "Every feature is as in calm.", "checkout", "Close the checkout")
	declared(b)
	b.pull("close-checkout")
	br.open("/features").want(http.StatusOK, "1 of 1 feature is changed by a lever.", "Lever close-checkout, by Ada", "false").
		press("Put back: Close the checkout")
	br.open("/features").want(http.StatusOK, "Every feature is as in calm.")
}

// TestWhatIsOwedInItsRoom: what is overdue comes first, what ended last, each with the
// incident that it came from; and it can be ended from there.
func TestWhatIsOwedInItsRoom(t *testing.T) {
	t.Parallel()
	b := launch(t)
	reviewing(b)
	br := browse(t, New(b.options()))
	br.open("/")
	br.enter(b)
	before := len(b.in().FollowUps)
	for what, due := range map[string]time.Duration{"An alarm for the pool": 48 * time.Hour, "A limit for each query": -time.Hour, "A page for the desk": 0} {
		f := incident.FollowUp{What: what, Kind: "commitment", Class: "detect", Owner: "Jonas", DoneWhen: "it is seen in a drill"}
		if due != 0 {
			f.Due = b.clock().Add(due)
		}
		b.do(incident.AddFollowUp{FollowUp: f})
	}
	p := br.open("/follow-ups").want(http.StatusOK, "overdue.", "A limit for each query", "After", b.in().Title)
	if isBefore(p, "A limit for each query", "An alarm for the pool") && isBefore(p, "An alarm for the pool", "A page for the desk") {
		for _, f := range b.in().FollowUps[before:] {
			if f.What == "A limit for each query" {
				p.follow("Done, or not: "+f.ID).press("Say how it ended", "state=done", "text=it fired")
			}
		}
	} else {
		t.Errorf("the order is another:\n%s", p.text())
	}
	if p = br.open("/follow-ups"); !isBefore(p, "A page for the desk", "A limit for each query") {
		t.Errorf("what ended is not the last:\n%s", p.text())
	}
}

// isBefore says whether a page tells of one thing before another.
func isBefore(p *sheet, one, other string) bool {
	i, j := strings.Index(p.text(), one), strings.Index(p.text(), other)
	return i >= 0 && j > i
}

// TestSettings: what is in force is told in plain words, and no secret with it.
func TestSettings(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	var err error
	o.Config, err = config.Parse("lifeboat.yaml", []byte(settings))
	must(t, err)
	br := browse(t, New(o))
	br.open("/")
	br.enter(b)
	br.open("/settings").want(http.StatusOK, "What is configured.", "lifeboat.yaml", "shop.example.com", "Home: where visitors belong", "Watched after the return for")
	for d, want := range map[time.Duration]string{15 * time.Minute: "15m", 720 * time.Hour: "720h", 1500 * time.Millisecond: "1.5s", 10 * time.Second: "10s", 90 * time.Second: "1m30s", 0: "0s", 100 * time.Minute: "1h40m"} {
		if got := wait(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
