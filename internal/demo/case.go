package demo

import (
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// Case is one crisis that Play plays to its end. Its steps read like the story that
// they tell: who does what, in which order, and what is refused on the way.
type Case struct {
	Name string
	Says string // in a sentence or two

	phases string // those that the incident goes through, as a regular expression
	steps  []step
}

// Where an incident goes through when nothing turns back.
const (
	ending   = "fail_back watch review closed"
	straight = "fail_over diagnose fix " + ending
)

// cases are all, in the order in which they are told.
var cases = []Case{
	killCase, hangCase, badReleaseCase, poisonRowCase, slowDependencyCase, fullDiskCase,
	noEffectCase, stepBackCase, goesAwayCase, falseAlarmCase,
}

// Cases are all cases.
func Cases() []Case { return slices.Clone(cases) }

// findCase gives the case with a name.
func findCase(name string) (Case, error) {
	var names []string
	for _, c := range cases {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Case{}, fault.New(fault.Invalid, "there is no case %q", name).At("--case").WithHint("one of %s", strings.Join(names, ", "))
}

// story puts what every crisis begins with before a case's own steps.
func story(own ...step) []step {
	return append([]step{{"ready", ready}, {"people", meetsPeople}, {"rehearse", rehearsal}, {"visit", visitorsCome}}, own...)
}

// lessons are what the crew writes down at the end.
type lessons struct {
	surprise, help, hard, different string // answers to the four questions
	finding                         string // on how they work
	owed                            owed
}

// owed is the one change that they promise.
type owed struct{ what, class, doneWhen string }

// closing is the end of every crisis that was one: home again, watched, written down.
func closing(because string, l lessons) []step {
	return append([]step{
		{"return", goesBack(ada, because)},
		{"home", everybodyHome},
		{"watch", watched},
		{"over", saysItIsOver(ada)},
		{"too soon", refused("R18", closes(ada))},
	}, append(writing(l), step{"close", closes(ada)}, step{"check", checked})...)
}

// writing is how a write-up comes to be final.
func writing(l lessons) []step {
	return []step{
		{"questions", answers(bob, l)},
		{"finding", finds(ada, l.finding)},
		{"follow-up", owes(ada, bob, l.owed)},
		{"write-up", finishes(ada)},
	}
}

// join makes one list of steps.
func join(parts ...[]step) []step { return slices.Concat(parts...) }
