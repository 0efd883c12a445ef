package web

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// symptoms are the answers to the one question.
var symptoms = []option{
	{Value: "nothing-loads", Label: "Nothing loads"},
	{Value: "some-pages", Label: "Some pages fail"},
	{Value: "one-thing", Label: "One thing is broken"},
	{Value: "wrong-data", Label: "Wrong or private data is showing"},
	{Value: "not-sure", Label: "I’m not sure"},
}

// met is how an answer is written down; the newest one counts.
const met = "Visitors meet: "

func symptomWords(symptom string) string {
	for _, s := range symptoms {
		if s.Value == symptom {
			return s.Label
		}
	}
	return ""
}

// because is the one sentence that many acts ask for.
func because(label string) func(scope) []field {
	return func(scope) []field {
		return []field{{Name: "text", Kind: area, Label: label, Must: true, Rows: 3, Max: 4000, Focus: true}}
	}
}

// containActs are those of step 1, and what leads back to it.
var containActs = map[string]act{
	"declare": {
		safe:  true,
		title: "Something is wrong", need: incident.Declare{},
		fields: func(x scope) []field {
			var out []field
			for _, name := range []string{"recurrence", "symptom"} {
				if v := x.arg(name); v != "" {
					out = append(out, field{Name: name, Kind: hidden, Value: v})
				}
			}
			return out
		},
		terms: func(scope) terms {
			return terms{"We open an incident, keep what can be seen now, and ask you one question.", "At once.", "Call it a false alarm."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.Declare{Title: x.arg("text"), Symptom: x.arg("symptom"), Noticed: cmp.Or(x.arg("noticed"), "staff"), RecurrenceOf: x.arg("recurrence")}, nil
		},
		after: sitePath,
	},
	"symptom": {
		title: "What are visitors meeting?", need: incident.Note{},
		make: func(x scope) (incident.Command, error) {
			words := symptomWords(x.arg("symptom"))
			if words == "" {
				return nil, typo("symptom", "choose one of the answers")
			}
			return incident.Note{Text: met + words + "."}, nil
		},
		after: sitePath,
	},
	"pull": {
		safe:   true,
		titled: func(x scope) string { return cmp.Or(x.lever(x.arg("lever")).Title, "Pull a lever") }, need: incident.PullLever{},
		fields: func(x scope) []field { return []field{{Name: "lever", Kind: hidden, Value: x.arg("lever")}} },
		terms:  func(x scope) terms { return x.pullTerms(x.lever(x.arg("lever"))) },
		off:    pullOff,
		make: func(x scope) (incident.Command, error) {
			return engine.PullRequest{Lever: x.arg("lever"), PullLever: incident.PullLever{Reason: x.arg("reason")}}, nil
		},
	},
	"put-back": {
		safe:   true,
		titled: func(x scope) string { return "Put back: " + cmp.Or(x.lever(x.arg("lever")).Title, x.arg("lever")) }, need: incident.PutBack{},
		fields: func(x scope) []field { return []field{{Name: "lever", Kind: hidden, Value: x.arg("lever")}} },
		terms: func(x scope) terms {
			return terms{"Everything is as before this lever was pulled.", howLong(x.v, x.lever(x.arg("lever"))), "Pull it again."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.PutBack{Lever: x.arg("lever"), Reason: x.arg("reason")}, nil
		},
	},
	"stay": {
		title: "Leave visitors where they are", need: incident.DecideNoFailover{}, fields: because("Why, in one sentence"),
		terms: func(scope) terms {
			return terms{"Nobody is moved. We go on to finding out what happened.", "At once.", "Every lever stays one press away."}
		},
		make: func(x scope) (incident.Command, error) { return incident.DecideNoFailover{Reason: x.arg("text")}, nil },
	},
	"cancel": {
		title: "It was a false alarm", need: incident.Cancel{},
		fields: func(scope) []field {
			return []field{{Name: "text", Kind: area, Label: "In one sentence, if you like", Rows: 2, Max: 4000, Focus: true}}
		},
		terms: func(scope) terms {
			return terms{"It is closed with this note. Nobody is blamed: more reports are healthier.", "At once.", "Call it again."}
		},
		make: func(x scope) (incident.Command, error) { return incident.Cancel{Reason: x.arg("text")}, nil },
	},
	"note": {
		title: "Write down what you see", need: incident.Note{},
		fields: func(scope) []field {
			return []field{{Name: "text", Kind: area, Label: "What, and when", Must: true, Rows: 3, Max: 16000, Focus: true}}
		},
		terms: func(scope) terms {
			return terms{"It goes into the timeline, with the time and your name.", "At once.", "A note stays; a later one can correct it."}
		},
		off: func(x scope) string {
			if !x.open() {
				return "A note belongs to an incident, and none is open."
			}
			return ""
		},
		make: func(x scope) (incident.Command, error) { return incident.Note{Text: x.arg("text")}, nil },
	},
	"park": {
		titled: func(x scope) string {
			return "Leave it pulled for now: " + cmp.Or(x.lever(x.arg("lever")).Title, x.arg("lever"))
		}, need: incident.ParkLever{},
		lede: func(scope) string { return "The rest goes back; this one stays, with somebody who looks after it." },
		fields: func(x scope) []field {
			return []field{
				{Name: "lever", Kind: hidden, Value: x.arg("lever")},
				{Name: "owner", Kind: line, Label: "Who looks after it", Value: x.who.Name, Must: true, Max: 64},
				{Name: "until", Kind: day, Label: "Until when", Must: true},
				{Name: "text", Kind: area, Label: "Why it stays, in one sentence", Must: true, Rows: 2, Max: 4000},
			}
		},
		terms: func(scope) terms {
			return terms{"The return takes everything else back. From that day on the pages remind of this one.", "At once.", "Let it go back with the rest."}
		},
		make: func(x scope) (incident.Command, error) {
			until, err := x.dated("until", x.arg("until"))
			return incident.ParkLever{Lever: x.arg("lever"), Owner: x.arg("owner"), Until: until, Reason: x.arg("text")}, err
		},
	},
	"unpark": {
		titled: func(x scope) string {
			return "Let it go back with the rest: " + cmp.Or(x.lever(x.arg("lever")).Title, x.arg("lever"))
		}, need: incident.UnparkLever{},
		fields: func(x scope) []field { return []field{{Name: "lever", Kind: hidden, Value: x.arg("lever")}} },
		make:   func(x scope) (incident.Command, error) { return incident.UnparkLever{Lever: x.arg("lever")}, nil },
	},
	"drill": {
		titled: func(x scope) string { return "Rehearse: " + cmp.Or(x.lever(x.arg("lever")).Title, x.arg("lever")) }, least: role.Operator,
		fields: func(x scope) []field { return []field{{Name: "lever", Kind: hidden, Value: x.arg("lever")}} },
		terms: func(x scope) terms {
			if l := x.lever(x.arg("lever")); l.Name != "" && !l.Shadow {
				return terms{"Nothing is moved: it has nothing to rehearse on. We look whether we may change it, and work out what would change.", "Some seconds.", "There is nothing to take back."}
			}
			return terms{"A name that is nobody’s is moved there and back. Visitors notice nothing.", "Some seconds.", "It takes itself back: that is half of what it proves."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			rec, err := x.s.o.Engine.Drill(ctx, x.arg("lever"), x.by())
			if err == nil && !rec.OK {
				err = fault.New(fault.Unavailable, "the drill of %s failed: %s", x.arg("lever"), rec.Detail).WithHint("look at what it says, then rehearse again")
			}
			if rec.LookedOnly {
				return "Looked at: it can be reached, and what would change is known. Nothing was moved, so the way there and back is not rehearsed.", err
			}
			return fmt.Sprintf("DRILL: there in %s, back in %s. Nothing real was moved.", milli(rec.ThereMS), milli(rec.BackMS)), err
		},
		after: func(scope) string { return "/levers" },
	},
	"resume": {
		title: "Let rules move it again", least: role.Commander,
		terms: func(scope) terms {
			return terms{"A rule may move this site to safety again, as its configuration says.", "At once.", "Take back what it does: that holds it again."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			return "Rules may move this site again.", x.s.o.Engine.ResumeAuto(ctx, x.v.ID)
		},
	},
}

// sitePath leads to the site's page, also from an incident's own.
func sitePath(x scope) string { return "/sites/" + x.v.ID }

// lever gives the card of a lever of the site.
func (x scope) lever(name string) engine.LeverView {
	for _, l := range x.v.Levers {
		if l.Name == name {
			return l
		}
	}
	return engine.LeverView{Name: name}
}

func pullOff(x scope) string {
	l := x.lever(x.arg("lever"))
	if again(l) {
		return ""
	}
	switch l.State {
	case string(incident.Applying), string(incident.Undoing):
		return "It is on its way. Wait until what it does is seen from outside."
	case string(incident.Active):
		return "It is pulled already."
	}
	return ""
}

// pullTerms are the three lines below a lever's button.
func (x scope) pullTerms(l engine.LeverView) terms {
	press := "One press"
	if incident.May(incident.PutBack{}, x.by()) != nil {
		press = "One press by somebody with the role " + string(whoMay(incident.PutBack{}))
	}
	back := press + ", the same time. Nothing is lost."
	if l.Class != "" && l.Class != "exact" {
		back = press + ". What happens meanwhile stays: see its side effects."
	}
	return terms{notices(l), howLong(x.v, l), back}
}

// whoMay is the least role that may give a command.
func whoMay(c incident.Command) role.Role {
	for _, r := range []role.Role{role.Reporter, role.Operator, role.Commander} {
		if incident.May(c, incident.Actor{Kind: "person", Role: string(r)}) == nil {
			return r
		}
	}
	return role.Admin
}

// notices is what visitors notice of a lever.
func notices(l engine.LeverView) string {
	switch {
	case l.Says != "":
		return sentence(l.Says)
	case l.To == "standby":
		return "Everyone who opens the site sees a short, honest page instead of an error."
	case l.Kind == "zone":
		return "Visitors are sent to " + placeWords(l.To) + "."
	case l.To == "":
		return "What it says is in the configuration."
	case l.Kind != "feature":
		return "It sets " + l.To + ", for everybody."
	}
	return "The feature " + l.To + " is closed everywhere."
}

// howLong is an estimate, and says so.
func howLong(v engine.SiteView, l engine.LeverView) string {
	if l.Reach != "" {
		return l.Reach
	}
	if l.Kind != "zone" {
		return "An estimate: at the next question that each application asks, within seconds."
	}
	ttl := time.Duration(v.TTL) * time.Second
	half, most := spell(ttl/2+30*time.Second), spell(ttl+2*time.Minute)
	return "An estimate: half of visitors within " + half + ", nearly all within " + most + ". A few may see the old place for longer."
}

// rehearsed says how a lever's last drill went.
func rehearsed(l engine.LeverView, now time.Time) string {
	d := l.Drill
	switch {
	case d.At.IsZero():
		return "Never rehearsed"
	case !d.OK:
		return strings.TrimSuffix("The last rehearsal, "+spell(now.Sub(d.At))+" ago, failed: "+d.Detail, ".")
	}
	s := fmt.Sprintf("Rehearsed %s ago: %s there, %s back", spell(now.Sub(d.At)), milli(d.ThereMS), milli(d.BackMS))
	if d.LookedOnly {
		s = fmt.Sprintf("Looked at %s ago, and it can be reached. It was never moved in a drill", spell(now.Sub(d.At)))
	}
	if !l.Armed {
		s += ". That is too long ago"
	}
	return s
}
