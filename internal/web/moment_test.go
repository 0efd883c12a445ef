package web

import (
	"slices"
	"testing"
	"time"

	"lifeboat/internal/incident"
)

// TestMoments holds what a page must say, and must not say, at a moment.
func TestMoments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scene     string
		says, not []string
	}{
		{scene: "contained", says: []string{"Visitors are looked after.", "visitors are safe now"}},
		{scene: "not-safe", says: []string{"Visitors still see errors.", "They are sent to backup, and it does not answer as it should.", "Show visitors the status page"}, not: []string{"visitors are safe now"}},
		{scene: "closed-not-safe", says: []string{"Visitors still see errors.", "“Close the checkout” is pulled, and the site’s checks still fail"}, not: []string{"visitors are safe now"}},
		{scene: "watch-again", says: []string{"It is not over.", "Go back to safety"}, not: []string{"You’re back. –"}},
		{scene: "review-again", says: []string{"It is not over.", "Show visitors the status page", "does not pass: 502"}, not: []string{"It is over. Well done."}},
		{scene: "broke-again", says: []string{"It broke again.", "Visitors are still safe.", "Add a guess"}, not: []string{"The fix holds."}},
		{scene: "watch", says: []string{"What was promised"}, not: []string{"now it fails"}},
		{scene: "write-up", says: []string{"Still to do", "3 questions wait for an answer", "The write-up is a draft"}},
		{scene: "owed", says: []string{"Add them on the write-up", "Before it is closed", "“An alarm”: who does it", "No finding on how we work is taken up yet."}},
		{scene: "confirm", says: []string{"So this is it?", "No: something shows that it is not this."}},
		{scene: "fix-asked", says: []string{"What was promised"}},
		{scene: "fix-late", says: []string{"Nobody has answered.", "Go on alone"}, not: []string{"Do it –"}},
		{scene: "diagnose", says: []string{"It was declared: Something is wrong with Example Shop.", "is in force, seen from outside."}},
		{scene: "worked", says: []string{"It was declared:", "is in force, seen from outside."}},
	} {
		t.Run(c.scene, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(scenes, func(s scene) bool { return s.name == c.scene })
			if i < 0 {
				t.Fatalf("there is no scene %q", c.scene)
			}
			p := scenes[i].play(t).page
			for _, s := range c.says {
				if !p.says(s) {
					t.Errorf("the page does not say %q:\n%s", s, p.text())
				}
			}
			for _, s := range c.not {
				if p.says(s) {
					t.Errorf("the page says %q:\n%s", s, p.text())
				}
			}
		})
	}
}

// TestTurningPointsOnce: what the state and the newest events both hold is told once.
func TestTurningPointsOnce(t *testing.T) {
	t.Parallel()
	for _, c := range scenes {
		if !slices.Contains([]string{"contained", "diagnose", "fix-waits", "worked", "watch", "review"}, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			c.set(b)
			o, err := b.eng.Overview(t.Context())
			must(t, err)
			x := scope{v: o.Sites[0], in: o.Sites[0].Incident}
			lines := x.soFar()
			seen := map[string]int{}
			for _, l := range lines {
				seen[string(l.Type)]++
			}
			if seen["incident.declared"] != 1 || seen["lever.effect_observed"] > 1 || len(lines) > maxSoFar {
				t.Errorf("%d lines: %+v", len(lines), lines)
			}
		})
	}
}

// TestRunsAreOneLine: a check that comes and goes does not push the rest out of sight.
func TestRunsAreOneLine(t *testing.T) {
	t.Parallel()
	b := launch(t)
	contained(b)
	for i := range 9 {
		seen := []string{"down", "up"}[i%2]
		b.set(func() { b.now = b.now.Add(time.Second) })
		b.machine(incident.SeeSight{Sight: incident.Sight{At: b.clock(), Check: "home", Place: "main", Home: true, Seen: seen, Detail: "502"}})
	}
	o, err := b.eng.Overview(t.Context())
	must(t, err)
	x := scope{v: o.Sites[0], in: o.Sites[0].Incident}
	runs, declared := 0, false
	for _, l := range x.soFar() {
		if l.Type == incident.SightChanged {
			runs++
		}
		declared = declared || l.Type == incident.Declared
	}
	if runs != 1 || !declared {
		t.Errorf("%d lines of what the checks see; declared is shown: %v\n%+v", runs, declared, x.soFar())
	}
}
