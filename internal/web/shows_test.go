package web

import (
	"slices"
	"testing"

	"lifeboat/internal/incident"
)

// TestShows renders every page on which a rule is shown, and finds its words there.
func TestShows(t *testing.T) {
	t.Parallel()
	byMoment := map[string][]Showing{}
	for _, s := range Shows {
		byMoment[s.Moment] = append(byMoment[s.Moment], s)
	}
	for moment, all := range byMoment {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(scenes, func(c scene) bool { return c.name == moment })
			if i < 0 {
				t.Fatalf("there is no scene %q", moment)
			}
			p := scenes[i].play(t).page
			for _, s := range all {
				if !p.says(s.Says) {
					t.Errorf("%s: the page does not say %q:\n%s", s.Rule, s.Says, p.text())
				}
			}
		})
	}
}

// TestShowsAreRules: each is a rule of the heart, and only what binds machines alone is
// missing.
func TestShowsAreRules(t *testing.T) {
	t.Parallel()
	for _, r := range incident.Rules {
		shown := slices.ContainsFunc(Shows, func(s Showing) bool { return s.Rule == r.ID })
		if machine := r.ID == "U4" || r.ID == "U5"; shown == machine {
			t.Errorf("%s is shown: %v", r.ID, shown)
		}
	}
	for _, s := range Shows {
		if !slices.ContainsFunc(incident.Rules, func(r incident.Rule) bool { return r.ID == s.Rule }) || s.Says == "" {
			t.Errorf("%+v is about no rule", s)
		}
	}
}
