package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// tellActs are messages to people outside the crew.
var tellActs = map[string]act{
	"tell": {
		title: "Tell people", need: incident.SendUpdate{},
		head:   func(scope) string { return "One short message." },
		lede:   func(scope) string { return "It is written already; change what you like." },
		fields: tellFields,
		terms: func(x scope) terms {
			return terms{receivers(x), "A few seconds. A channel that does not answer is tried again.", "What was sent stays sent. The next message corrects it."}
		},
		make: func(x scope) (incident.Command, error) {
			next, err := span("within", x.arg("within"), time.Minute)
			final := x.arg("final") != ""
			if final {
				next = 0
			}
			return incident.SendUpdate{Audience: cmp.Or(x.arg("audience"), incident.Public), Text: x.arg("text"), NextIn: next, Final: final}, err
		},
	},
	"snooze": {
		title: "Put the next message off", need: incident.SnoozeUpdate{},
		fields: func(x scope) []field {
			return []field{
				{Name: "within", Kind: line, Label: "By how long", Value: spell(x.every()), Must: true, Max: 20, Focus: true},
				{Name: "text", Kind: line, Label: "Why", Max: 300},
			}
		},
		terms: func(scope) terms {
			return terms{"The clock of the promised message starts anew.", "At once.", "Send one sooner."}
		},
		make: func(x scope) (incident.Command, error) {
			by, err := span("within", x.arg("within"), time.Minute)
			return incident.SnoozeUpdate{By: by, Reason: x.arg("text")}, err
		},
	},
}

// every is the promised time to the next message.
func (x scope) every() time.Duration {
	return cmp.Or(x.v.Promises.UpdateEvery, 20*time.Minute)
}

func tellFields(x scope) []field {
	audience := cmp.Or(x.arg("audience"), incident.Public)
	final := field{Name: "final", Fold: !x.isOver(), Kind: several, Label: "Is it over?", Options: []option{{Value: "yes", Label: "This is the last message: it is over", On: x.isOver()}}}
	return []field{
		{Name: "text", Kind: area, Label: "The message", Value: x.draftMessage(), Must: true, Rows: 4, Max: 1500},
		{Name: "within", Kind: line, Label: "Next news in", Help: "Keep it: a promise that is kept calms more than news.", Value: spell(x.every()), Max: 20},
		{Name: "audience", Kind: choice, Fold: true, Label: "Who reads it, and where", Options: marked(audience, x.audiences()...)},
		final,
	}
}

func (x scope) isOver() bool {
	return x.in != nil && (x.in.Phase == incident.Watch || x.in.Phase == incident.Review)
}

// draftMessage is the message as it is written already: what visitors notice, what is
// done, when there will be news.
func (x scope) draftMessage() string {
	if x.isOver() {
		return fmt.Sprintf("%s works again as it should. We are sorry for the trouble, and are writing down what happened.", x.v.Title)
	}
	done := "We are looking into it."
	if x.in != nil && x.in.Contained() {
		done = "We have put up a safe page while we look into it."
		if !x.awayFromHome() {
			done = "We have closed what was broken while we look into it."
		}
	}
	due := x.now().Add(x.every())
	return fmt.Sprintf("We know that %s. %s Next news by %s.", noticed(x.v.Title, x.symptom()), done, x.s.clock(due))
}

// awayFromHome says whether visitors are sent somewhere else.
func (x scope) awayFromHome() bool { return x.v.Ordered.Position != "" && !x.v.Ordered.Home }

// noticed is what visitors notice, in the words of a message to them.
func noticed(title, symptom string) string {
	switch symptom {
	case "nothing-loads":
		return title + " does not open"
	case "some-pages":
		return "some pages of " + title + " do not open"
	case "one-thing":
		return "something on " + title + " does not work"
	case "wrong-data":
		return title + " may show wrong information"
	}
	return title + " does not work as it should"
}

// symptom is what visitors were said to meet: at the declaration, or by the newest
// answer since.
func (x scope) symptom() string {
	if x.in == nil {
		return ""
	}
	if s := x.arg("met"); symptomWords(s) != "" {
		return s
	}
	for _, e := range slices.Backward(x.v.Tail) {
		if s := answered(e); s != "" {
			return s
		}
	}
	if x.in.Symptom != "" {
		return x.in.Symptom
	}
	return x.answeredBefore()
}

// answered gives the answer that an event holds.
func answered(e incident.Event) string {
	if e.Type != incident.NoteAdded {
		return ""
	}
	_, words, found := strings.Cut(e.Text, ": "+met)
	if !found {
		return ""
	}
	for _, s := range symptoms {
		if words == s.Label+"." {
			return s.Value
		}
	}
	return ""
}

// receivers says who gets a message to everybody.
func receivers(x scope) string {
	return "It goes on the status page" + also(x.tells(incident.Public)) + "."
}

// audiences are those that a page or a channel reaches, each with where it is read. The
// staff signs in here; leaders are reached by a channel, or not at all.
func (x scope) audiences() []option {
	out := []option{
		{Value: incident.Public, Label: "Everybody: on the status page" + also(x.tells(incident.Public))},
		{Value: incident.Staff, Label: "The staff: here, under People and decisions" + also(x.tells(incident.Staff))},
	}
	if to := x.tells(incident.Leaders); len(to) > 0 {
		out = append(out, option{Value: incident.Leaders, Label: "The leaders: by " + listed(to)})
	}
	return out
}

// tells names the channels that an audience is told by.
func (x scope) tells(audience string) []string {
	var out []string
	for _, c := range x.s.o.Channels {
		if slices.Contains(c.Tells, audience) {
			out = append(out, c.Name)
		}
	}
	return out
}

func also(channels []string) string {
	if len(channels) == 0 {
		return ""
	}
	return " and to " + listed(channels)
}

// listed joins words: a, b and c.
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
