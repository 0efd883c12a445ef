package web

import (
	"slices"
	"strings"

	"lifeboat/internal/incident"
)

// causeField names the possible cause that a form is about.
func causeField(x scope) field { return field{Name: "cause", Kind: hidden, Value: x.arg("cause")} }

// cause gives the possible cause that a form is about.
func (x scope) cause() incident.Cause {
	if x.in == nil {
		return incident.Cause{}
	}
	c, _ := x.in.Cause(x.arg("cause"))
	return c
}

func aboutCause(x scope) string {
	if c := x.cause(); c.ID != "" {
		return sentence(c.Statement)
	}
	return ""
}

// causeReason asks why, about a possible cause.
func causeReason(label string) func(scope) []field {
	return func(x scope) []field { return append([]field{causeField(x)}, because(label)(x)...) }
}

// causeActs are those of step 2.
var causeActs = map[string]act{
	"cause": {
		title: "Add a guess", need: incident.OpenCause{},
		lede: func(scope) string {
			return "Say it so that it could be proved wrong: “If it is …, then we should see …”"
		},
		fields: func(scope) []field {
			return []field{
				{Name: "text", Kind: area, Label: "If it is …", Holder: "the larger pool of release 412", Must: true, Rows: 2, Max: 4000, Focus: true},
				{Name: "prediction", Kind: area, Label: "then we should see …", Holder: "fewer than 120 connections with release 411", Rows: 2, Max: 4000},
			}
		},
		terms: func(scope) terms {
			return terms{"It goes on the board as something it might be. A wrong guess that is ruled out is progress.", "At once.", "Rule it out or park it, with a reason."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.OpenCause{Statement: x.arg("text"), Prediction: x.arg("prediction")}, nil
		},
	},
	"weigh": {
		title: "Weigh it", need: incident.WeighCause{}, lede: aboutCause, fields: weighFields,
		make: func(x scope) (incident.Command, error) {
			return incident.WeighCause{Cause: x.arg("cause"), Evidence: x.arg("evidence"), Stance: x.arg("stance"), Note: x.arg("note")}, nil
		},
	},
	"test": {
		title: "Write down the test", need: incident.TestCause{}, lede: aboutCause,
		fields: func(x scope) []field {
			return []field{
				causeField(x),
				{Name: "prediction", Kind: area, Label: "If it is so, we should see …", Value: x.cause().Prediction, Must: true, Rows: 2, Max: 4000},
				{Name: "outcome", Kind: radio, Label: "And do we?", Must: true, Options: marked(x.arg("outcome"),
					option{Value: incident.TestHeld, Label: "Yes, it is as predicted", Says: "With something that speaks for it, it can be confirmed."},
					option{Value: incident.TestFailed, Label: "No, it is not", Says: "It stays on the board. Rule it out next, or predict something else."},
					option{Value: incident.TestUnclear, Label: "We can’t tell", Says: "It counts neither way. Test something that can be told."})},
				{Name: "saw", Kind: area, Label: "What we saw", Rows: 2, Max: 4000},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.TestCause{Cause: x.arg("cause"), Prediction: x.arg("prediction"), Outcome: x.arg("outcome"), Saw: x.arg("saw")}, nil
		},
	},
	"rule-out": {
		title: "Rule it out", need: incident.RuleOut{}, lede: aboutCause, fields: causeReason("What shows that it is not this"),
		terms: func(scope) terms {
			return terms{"It is struck through and stays on the board, with your reason.", "At once.", "Take it up again."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.RuleOut{Cause: x.arg("cause"), Reason: x.arg("text")}, nil
		},
	},
	"park-cause": {
		title: "Park it", need: incident.ParkCause{}, lede: aboutCause, fields: causeReason("Why it can wait"),
		make: func(x scope) (incident.Command, error) {
			return incident.ParkCause{Cause: x.arg("cause"), Reason: x.arg("text")}, nil
		},
	},
	"reopen": {
		title: "Take it up again", need: incident.ReopenCause{}, lede: aboutCause, fields: causeReason("What speaks for looking again"),
		make: func(x scope) (incident.Command, error) {
			return incident.ReopenCause{Cause: x.arg("cause"), Reason: x.arg("text")}, nil
		},
	},
	"confirm": {
		title: "Yes, this is the cause", need: incident.ConfirmCause{}, head: func(scope) string { return "So this is it?" }, lede: soThisIsIt, beside: []string{"weigh", "rule-out"}, fields: confirmFields,
		terms: func(scope) terms {
			return terms{"The diagnosis goes on record, and one fix can be written down.", "At once.", "You can take this back, with a reason."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.ConfirmCause{
				Cause: x.arg("cause"), Also: x.args["also"], Factors: strings.Split(x.arg("factors"), "\n"), Confidence: x.arg("confidence"), Reason: x.arg("reason"),
			}, nil
		},
	},
	"withdraw-diagnosis": {
		title: "It is not the cause after all", need: incident.WithdrawDiagnosis{}, fields: because("What was seen"),
		make: func(x scope) (incident.Command, error) { return incident.WithdrawDiagnosis{Reason: x.arg("text")}, nil },
	},
	"mark": {
		titled: func(x scope) string {
			if x.arg("suspect") == "no" {
				return "No longer suspect it"
			}
			return "Suspect it"
		},
		need: incident.MarkChange{},
		fields: func(x scope) []field {
			return []field{{Name: "change", Kind: hidden, Value: x.arg("change")}, {Name: "suspect", Kind: hidden, Value: x.arg("suspect")}}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.MarkChange{Change: x.arg("change"), Suspect: x.arg("suspect") != "no"}, nil
		},
	},
}

// weighFields offer all that was seen, in the order of the board, and all that changed.
func weighFields(x scope) []field {
	what := field{Name: "evidence", Kind: choice, Label: "What was seen, or changed", Must: true}
	if x.in != nil {
		seen := newestFirst(x.in.Evidence)
		slices.SortStableFunc(seen, func(a, b incident.Evidence) int { return weight(b) - weight(a) })
		for _, e := range seen[:min(100, len(seen))] {
			what.Options = append(what.Options, option{Value: e.ID, Label: cut(sentenceless(e.Title), 70) + resultOf(e)})
		}
		changes, own := suspects(*x.in)
		if own > 0 {
			what.Help = "What our own levers moved is left out."
		}
		for _, c := range changes {
			if len(what.Options) < 200 {
				what.Options = append(what.Options, option{Value: c.ID, Label: "changed at " + x.s.clock(c.At) + ": " + cut(c.What, 90)})
			}
		}
	}
	if len(what.Options) == 0 {
		what.Help = "Nothing was kept yet: add evidence first."
	}
	what.Options = marked(x.arg("evidence"), what.Options...)
	return []field{
		causeField(x), what,
		{Name: "stance", Kind: radio, Label: "It speaks", Must: true, Options: marked(x.arg("stance"),
			option{Value: incident.For, Label: "for it", Says: "With a test that comes out as predicted, it can be confirmed."},
			option{Value: incident.Against, Label: "against it", Says: "It stays on the board. If this settles it, rule it out next."},
			option{Value: incident.Neutral, Label: "neither way", Says: "It is kept beside it and counts for nothing."})},
		{Name: "note", Kind: line, Label: "How, in a few words", Max: 300},
	}
}

// resultOf is what a piece of evidence shows, in a few words.
func resultOf(e incident.Evidence) string {
	switch {
	case e.Problem != "":
		return " (not had)"
	case e.Deciding != "":
		return ": " + cut(e.Deciding, 80)
	case e.Summary != "":
		return ": " + cut(e.Summary, 80)
	}
	return ""
}

func confirmFields(x scope) []field {
	also := field{Name: "also", Kind: several, Label: "What contributed as well"}
	if x.in != nil {
		for _, c := range x.in.Causes {
			if c.ID != x.arg("cause") && c.State != incident.CauseOut {
				also.Options = append(also.Options, option{Value: c.ID, Label: cut(c.Statement, 90)})
			}
		}
	}
	out := []field{causeField(x)}
	if len(also.Options) > 0 {
		out = append(out, also)
	}
	return append(out,
		field{Name: "factors", Kind: area, Label: "What else came together, one a line", Help: "There are always several: an alarm that was missing, a limit that nobody looked at.", Rows: 3, Max: 4000},
		field{Name: "confidence", Kind: radio, Label: "How sure is it?", Options: marked(orElse(x.arg("confidence"), incident.Proved),
			option{Value: incident.Proved, Label: "Proved"}, option{Value: incident.Likely, Label: "Likely"})})
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// soThisIsIt says what was seen, what it explains and what was ruled out.
func soThisIsIt(x scope) string {
	c := x.cause()
	if c.ID == "" {
		return ""
	}
	var seen, out []string
	for _, w := range c.Weights {
		if w.Stance == incident.For {
			seen = append(seen, result(*x.in, w.Evidence))
		}
	}
	for _, t := range c.Tests {
		if t.Outcome == incident.TestHeld {
			seen = append(seen, t.Prediction)
		}
	}
	for _, other := range x.in.Causes {
		if other.State == incident.CauseOut {
			out = append(out, "“"+cut(sentenceless(other.Statement), 80)+"”")
		}
	}
	s := "What explains it: " + sentence(c.Statement)
	if len(seen) > 0 {
		s = "We saw: " + sentence(strings.Join(trimmed(seen), "; ")) + " " + s
	}
	if len(out) > 0 {
		s += " We ruled out " + listed(out) + "."
	}
	return cut(s, 500)
}

func trimmed(in []string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		out = append(out, strings.TrimRight(cut(s, 120), ". "))
	}
	return out
}

// result is what a piece of evidence or a change shows, in words.
func result(in incident.Incident, id string) string {
	for _, e := range in.Evidence {
		switch {
		case e.ID != id:
		case e.Deciding != "":
			return e.Deciding
		case e.Summary != "":
			return e.Summary
		}
	}
	return shown(in, id)
}

// shown is a piece of evidence or a change in words.
func shown(in incident.Incident, id string) string {
	for _, e := range in.Evidence {
		if e.ID == id {
			return e.Title
		}
	}
	for _, c := range in.Changes {
		if c.ID == id {
			return c.What
		}
	}
	return id
}
