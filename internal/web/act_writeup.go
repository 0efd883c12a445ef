package web

import (
	"cmp"
	"context"
	"net/url"
	"slices"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// writeUpPath leads to the write-up.
func writeUpPath(x scope) string {
	if x.in == nil {
		return sitePath(x)
	}
	return "/incidents/" + url.PathEscape(x.in.ID) + "/write-up"
}

var classes = []option{
	{Value: "prevent", Label: "So that it does not happen"}, {Value: "detect", Label: "So that we notice sooner"}, {Value: "contain", Label: "So that we are safe sooner"},
	{Value: "return_faster", Label: "So that we are back sooner"}, {Value: "process", Label: "So that we work better"},
}

// writeUpActs are about what is written afterwards and what it leads to.
var writeUpActs = map[string]act{
	"answer": {
		title: "Keep the answer", need: incident.Answer{}, after: writeUpPath,
		fields: func(x scope) []field {
			f := field{Name: "text", Kind: area, Label: "In your own words", Holder: "Names of roles rather than people.", Rows: 4, Max: 16000}
			for _, q := range incident.Questions {
				if q.Key == x.arg("question") {
					f.Label = q.Text
				}
			}
			if x.in != nil {
				f.Value = x.in.WriteUp.Answers[x.arg("question")].Text
			}
			return []field{{Name: "question", Kind: hidden, Value: x.arg("question")}, f}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.Answer{Question: x.arg("question"), Text: x.arg("text")}, nil
		},
	},
	"section": {
		title: "Keep these words", need: incident.EditSection{}, after: writeUpPath,
		lede: func(scope) string { return "Your words stand in place of what was generated. Empty brings that back." },
		fields: func(x scope) []field {
			f := field{Name: "text", Kind: area, Label: "In your own words", Rows: 10, Max: 16000, Focus: true}
			if x.in != nil {
				f.Value = x.in.WriteUp.Sections[x.arg("section")].Text
			}
			return []field{{Name: "section", Kind: hidden, Value: x.arg("section")}, f}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.EditSection{Section: x.arg("section"), Text: x.arg("text")}, nil
		},
	},
	"finding": {
		title: "Add a finding", need: incident.JudgeFinding{}, after: writeUpPath,
		fields: func(x scope) []field {
			return []field{
				{Name: "about", Kind: radio, Label: "It is about", Must: true, Options: marked(orElse(x.arg("about"), incident.AboutProcess),
					option{Value: incident.AboutProcess, Label: "how we work"}, option{Value: incident.AboutArchitecture, Label: "how the system is built"})},
				{Name: "text", Kind: area, Label: "What we found", Must: true, Rows: 2, Max: 4000},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.JudgeFinding{Finding: incident.Finding{About: x.arg("about"), Text: x.arg("text")}}, nil
		},
	},
	"judge-finding": {
		titled: func(x scope) string {
			if x.arg("accepted") == "no" {
				return "Leave it"
			}
			return "Take it up"
		},
		need: incident.JudgeFinding{}, after: writeUpPath,
		fields: func(x scope) []field {
			var out []field
			for _, name := range []string{"finding", "about", "text", "accepted"} {
				out = append(out, field{Name: name, Kind: hidden, Value: x.arg(name)})
			}
			return out
		},
		make: func(x scope) (incident.Command, error) {
			return incident.JudgeFinding{Finding: incident.Finding{ID: x.arg("finding"), About: x.arg("about"), Text: x.arg("text"), Accepted: x.arg("accepted") != "no"}}, nil
		},
	},
	"follow-up": {
		title: "Add a follow-up", need: incident.AddFollowUp{}, after: writeUpPath, fields: func(x scope) []field { return followUpFields(x, incident.FollowUp{Owner: x.who.Name}) },
		make: func(x scope) (incident.Command, error) {
			f, err := x.followUp()
			return incident.AddFollowUp{FollowUp: f}, err
		},
	},
	"follow-up-change": {
		title: "Keep the changes", need: incident.ChangeFollowUp{}, after: writeUpPath,
		fields: func(x scope) []field {
			return append([]field{{Name: "follow_up", Kind: hidden, Value: x.arg("follow_up")}}, followUpFields(x, x.oneFollowUp())...)
		},
		make: func(x scope) (incident.Command, error) {
			f, err := x.followUp()
			f.ID = x.arg("follow_up")
			return incident.ChangeFollowUp{FollowUp: f}, err
		},
	},
	"follow-up-end": {
		title: "Say how it ended", need: incident.EndFollowUp{}, after: writeUpPath,
		lede: func(x scope) string { return sentence(x.oneFollowUp().What) },
		fields: func(x scope) []field {
			return []field{
				{Name: "follow_up", Kind: hidden, Value: x.arg("follow_up")},
				{Name: "state", Kind: radio, Label: "It is", Must: true, Options: marked(orElse(x.arg("state"), "done"),
					option{Value: "done", Label: "done"}, option{Value: "verified", Label: "done, and somebody has looked"}, option{Value: "declined", Label: "not going to be done"})},
				{Name: "text", Kind: line, Label: "In one sentence", Help: "Declining is fine, with a reason.", Max: 1000},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.EndFollowUp{ID: x.arg("follow_up"), State: x.arg("state"), Reason: x.arg("text")}, nil
		},
	},
	"finish": {
		title: "Finish the write-up", need: incident.Finalise{}, after: writeUpPath,
		terms: func(scope) terms {
			return terms{"Its text is final, and the hash of it goes on record.", "At once.", "Whoever changes a word opens it again, as a new version."}
		},
		off: func(x scope) string {
			switch {
			case x.in != nil && x.in.WriteUp.Final:
				return "It is final already."
			case x.in != nil && x.in.Phase.Open() && x.in.Phase != incident.Review:
				return "It is finished after the watch. It can be written now."
			}
			return ""
		},
		do: func(ctx context.Context, x scope) (string, error) {
			if x.in == nil {
				return "", fault.New(fault.NotFound, "there is no incident here whose write-up could be finished").WithHint("open its write-up under Incidents")
			}
			res, err := x.s.o.Engine.FinishWriteUp(ctx, x.in.ID, x.by())
			return lastText(res.Events), err
		},
	},
	"correct": {
		title: "Add a correction", need: incident.Correct{}, lede: func(scope) string { return "What was written stays as it is; your words stand beside it." },
		fields: func(x scope) []field {
			return append([]field{{Name: "event", Kind: hidden, Value: x.arg("event")}}, because("What is right")(x)...)
		},
		make: func(x scope) (incident.Command, error) {
			return incident.Correct{Event: x.arg("event"), Text: x.arg("text")}, nil
		},
		after: func(x scope) string { return "/incidents/" + url.PathEscape(x.in.ID) + "?all=1" },
	},
}

func followUpFields(x scope, f incident.FollowUp) []field {
	due := ""
	if !f.Due.IsZero() {
		due = f.Due.In(x.s.o.Zone).Format("2006-01-02")
	}
	return []field{
		{Name: "text", Kind: line, Label: "What is to be done", Value: f.What, Must: true, Max: 1000},
		{Name: "owner", Kind: line, Label: "Who", Value: f.Owner, Max: 64},
		{Name: "due", Kind: day, Label: "Until when", Value: due},
		{Name: "done_when", Kind: line, Label: "Done when", Help: "How anybody can see that it is done.", Value: f.DoneWhen, Max: 1000},
		{Name: "class", Kind: choice, Label: "What for", Options: marked(f.Class, slices.Clone(classes)...)},
		{Name: "kind", Kind: radio, Label: "It is", Options: marked(cmp.Or(f.Kind, "commitment"), option{Value: "commitment", Label: "promised"}, option{Value: "idea", Label: "an idea"})},
		{Name: "tracker", Kind: line, Label: "Where it is followed", Value: f.Tracker, Max: 300},
	}
}

// followUp reads the form of a follow-up.
func (x scope) followUp() (incident.FollowUp, error) {
	due, err := x.dated("due", x.arg("due"))
	return incident.FollowUp{
		Kind: x.arg("kind"), Class: x.arg("class"), What: x.arg("text"), Owner: x.arg("owner"), Due: due, DoneWhen: x.arg("done_when"), Tracker: x.arg("tracker"),
	}, err
}

// oneFollowUp is the follow-up that a form is about.
func (x scope) oneFollowUp() incident.FollowUp {
	if x.in != nil {
		for _, f := range x.in.FollowUps {
			if f.ID == x.arg("follow_up") {
				return f
			}
		}
	}
	return incident.FollowUp{}
}
