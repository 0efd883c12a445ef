package web

import (
	"cmp"
	"fmt"

	"lifeboat/internal/incident"
)

// returnActs are those of step 4 and of the end.
var returnActs = map[string]act{
	"go-back": {
		title: "Go back", need: incident.GoBack{},
		fields: func(x scope) []field {
			f := field{Name: "text", Kind: area, Label: "What has changed, in one sentence", Rows: 2, Max: 4000, Focus: true}
			if !worked(x) {
				f.Must = true
			} else {
				f.Label = "Anything to add, in one sentence"
			}
			return []field{f}
		},
		terms: func(scope) terms {
			return terms{"The real site is asked directly, again and again. Nobody moves before it has answered well often enough in a row.", "As long as the checks take; then our answers change at once.", "“Go back to safety”, at any time. If a check fails we do it ourselves."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.GoBack{Because: x.arg("text"), Reason: x.arg("reason")}, nil
		},
	},
	"advance": {
		title: "Go on before the checks are all in", need: incident.Advance{}, fields: because("Why, in one sentence"),
		lede: func(scope) string { return "This passes rule R13. Your name and reason go into the timeline." },
		make: func(x scope) (incident.Command, error) { return incident.Advance{Reason: x.arg("text")}, nil },
	},
	"step-back": {
		safe:  true,
		title: "Go back to safety", need: incident.StepBack{},
		terms: func(scope) terms {
			return terms{"What was put back is pulled again. Nobody asks why.", "At once; visitors follow as they did before.", "Start the return again."}
		},
		make: func(scope) (incident.Command, error) { return incident.StepBack{}, nil },
	},
	"end-watch": {
		title: "End the watch now", need: incident.WatchOver{}, fields: because("Why, in one sentence"),
		make: func(x scope) (incident.Command, error) { return incident.WatchOver{Reason: x.arg("text")}, nil },
	},
	"permanent": {
		title: "Make it permanent", need: incident.MakePermanent{}, fields: because("Why the old place does not come back"),
		lede: func(x scope) string {
			return fmt.Sprintf("Visitors stay at %s, and that is the site’s home from now on.", placeWords(x.v.Ordered.Position))
		},
		terms: func(x scope) terms {
			return terms{"Nobody moves. " + sentence(placeWords(x.v.Ordered.Position)+" counts as home") + " The configuration file should say so, too.", "At once.", "A lever leads to the other place again; home is set in the configuration."}
		},
		off: func(x scope) string {
			if x.v.Ordered.Home || x.v.Ordered.Position == "standby" {
				return "Visitors are not at another place that runs the site."
			}
			return ""
		},
		make: func(x scope) (incident.Command, error) { return incident.MakePermanent{Reason: x.arg("text")}, nil },
	},
	"close": {
		title: "Close it", need: incident.Close{}, before: scope.missing,
		fields: func(x scope) []field {
			if x.in != nil && x.in.WriteUp.Final {
				return nil
			}
			return []field{{Name: "text", Kind: area, Label: "Why there is no write-up, in one sentence", Help: "Or finish the write-up first.", Rows: 2, Max: 4000, Must: true}}
		},
		terms: func(scope) terms {
			return terms{"The incident ends. Its timeline and its write-up stay.", "At once.", "It is not opened again; if it comes back, a new one is linked with it."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.Close{Reason: cmp.Or(x.arg("reason"), x.arg("text"))}, nil
		},
	},
}

// worked says whether the newest fix did what it promised and nobody doubts it.
func worked(x scope) bool {
	if x.in == nil {
		return false
	}
	f, found := x.in.LastFix()
	return found && f.State == incident.StateWorked && !f.Doubted
}
