package web

import (
	"cmp"
	"html/template"
	"time"

	"lifeboat/internal/incident"
)

// fix gives the fix that is planned or under way.
func (x scope) fix() (incident.Fix, bool) {
	if x.in == nil {
		return incident.Fix{}, false
	}
	if f, found := x.in.FixInFlight(); found {
		return f, true
	}
	return x.in.FixPlanned()
}

// fixActs are those of step 3.
var fixActs = map[string]act{
	"fix": {
		title: "Write down one fix", need: incident.ProposeFix{}, head: func(scope) string { return "One fix." },
		lede:   func(scope) string { return "Four lines, before anything is touched." },
		fields: fixFields,
		terms: func(x scope) terms {
			return terms{"Somebody else reads it before it is done. Nothing is touched yet.", "At most " + spell(cmp.Or(x.v.Promises.Approval, 10*time.Minute)) + ", then you may go on alone.", "Withdraw it before it begins."}
		},
		make: func(x scope) (incident.Command, error) {
			p, err := x.promise()
			return incident.ProposeFix{
				Change: x.arg("text"), Promise: p, WayBack: x.arg("way_back"), Takes: x.arg("takes"), Risk: x.arg("risk"), Owner: x.arg("owner"), Action: x.arg("action"), Reason: x.arg("reason"),
			}, err
		},
	},
	"report-fix": {
		title: "It was fixed elsewhere", need: incident.ReportFix{},
		lede: func(scope) string {
			return "Somebody has changed something already. It is written down without blame, and measured like any other."
		},
		fields: func(x scope) []field {
			var out []field
			for _, f := range fixFields(x) {
				switch f.Name {
				case "text":
					f.Label, f.Holder = "What was changed", "Release 411 was put back"
				case "takes", "risk", "action":
					continue
				}
				out = append(out, f)
			}
			return out
		},
		make: func(x scope) (incident.Command, error) {
			p, err := x.promise()
			return incident.ReportFix{Change: x.arg("text"), Promise: p, WayBack: x.arg("way_back"), Owner: x.arg("owner")}, err
		},
	},
	"withdraw-fix": {
		title: "Withdraw the fix", need: incident.WithdrawFix{}, fields: because("Why"),
		make: func(x scope) (incident.Command, error) { return incident.WithdrawFix{Reason: x.arg("text")}, nil },
	},
	"approve": {
		title: "No strong objection", need: incident.ApproveFix{}, before: promisedFix,
		terms: func(scope) terms {
			return terms{"Your name goes beside it, and it may begin. We ask for strong objections, not for agreement.", "At once.", "Stop it, with a reason, until it has begun."}
		},
		off: func(x scope) string {
			if f, found := x.fix(); found && f.By.ID == x.by().ID && f.By.Name == x.by().Name {
				return "Nobody approves their own fix. Ask somebody else to read it."
			}
			return ""
		},
		make: func(scope) (incident.Command, error) { return incident.ApproveFix{}, nil },
	},
	"object": {
		title: "Stop, because …", need: incident.ObjectToFix{}, fields: because("What speaks against it"),
		make: func(x scope) (incident.Command, error) { return incident.ObjectToFix{Reason: x.arg("text")}, nil },
	},
	"alone": {
		title: "Go on alone", need: incident.GoAlone{}, before: promisedFix, fields: because("Why you go on alone"),
		terms: func(x scope) terms {
			return terms{"A pause follows, to read it once more, slowly. Then you may begin.", spell(cmp.Or(x.v.Promises.Pause, time.Minute)) + ".", "Withdraw the fix."}
		},
		off:  aloneOff,
		make: func(x scope) (incident.Command, error) { return incident.GoAlone{Reason: x.arg("text")}, nil },
	},
	"apply": {
		title: "Do it", need: incident.ApplyFix{}, before: promisedFix,
		terms: func(x scope) terms {
			f, _ := x.fix()
			return terms{happensOf(x, f), cmp.Or(sentence(f.Takes), "Nobody has said.") + " Then at most " + spell(f.Promise.Within) + " to see what it did.", cmp.Or(sentence(f.WayBack), "By its prepared act.")}
		},
		off:  applyOff,
		make: func(x scope) (incident.Command, error) { return incident.ApplyFix{Reason: x.arg("reason")}, nil },
	},
	"carried-out": {
		title: "It is done", need: incident.FixCarriedOut{},
		terms: func(x scope) terms {
			f, _ := x.fix()
			return terms{"We look at what was promised: " + promiseWords(f) + ".", "At most " + spell(f.Promise.Within) + ". Hands off.", "Take the fix back."}
		},
		make: func(scope) (incident.Command, error) { return incident.FixCarriedOut{OK: true}, nil },
	},
	"not-carried-out": {
		title: "It could not be done", need: incident.FixCarriedOut{}, fields: because("What stopped it, and how far it came"),
		make: func(x scope) (incident.Command, error) { return incident.FixCarriedOut{Detail: x.arg("text")}, nil },
	},
	"judge": {
		title: "Say what it did", need: incident.JudgeFix{},
		fields: func(x scope) []field {
			return []field{
				{Name: "result", Kind: radio, Label: "What did it do?", Must: true, Options: marked(x.arg("result"),
					option{Value: string(incident.StateWorked), Label: "What it promised"}, option{Value: string(incident.StateNoEffect), Label: "Nothing"}, option{Value: string(incident.StateWorse), Label: "Harm"})},
				{Name: "text", Kind: area, Label: "What you saw", Must: true, Rows: 2, Max: 4000},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.JudgeFix{Result: incident.FixState(x.arg("result")), Reason: x.arg("text")}, nil
		},
	},
	"measure": {
		title: "Measure it once more", need: incident.MeasureFix{},
		make: func(scope) (incident.Command, error) { return incident.MeasureFix{}, nil },
	},
	"take-back": {
		safe:  true,
		title: "Take it back", need: incident.TakeBackFix{},
		terms: func(x scope) terms {
			f := x.lastFix()
			return terms{cmp.Or(sentence(f.WayBack), "Its prepared act is undone."), "Then step 2 again, knowing more.", "The same fix can be written down again."}
		},
		make: func(x scope) (incident.Command, error) { return incident.TakeBackFix{Fix: x.arg("fix")}, nil },
	},
	"taken-back": {
		title: "It is taken back", need: incident.FixTakenBack{},
		terms: func(scope) terms {
			return terms{"The site is as it was before the fix. We look on, knowing more.", "At once.", "The same fix can be written down again."}
		},
		make: func(scope) (incident.Command, error) { return incident.FixTakenBack{OK: true}, nil },
	},
	"not-taken-back": {
		title: "It could not be taken back", need: incident.FixTakenBack{}, fields: because("What stopped it"),
		make: func(x scope) (incident.Command, error) { return incident.FixTakenBack{Detail: x.arg("text")}, nil },
	},
	"keep": {
		title: "Keep it, because …", need: incident.KeepFix{}, fields: because("Why it stays though it did not do what it promised"),
		lede: func(scope) string { return "What is left lying about is how a second fault begins." },
		make: func(x scope) (incident.Command, error) { return incident.KeepFix{Reason: x.arg("text")}, nil },
	},
}

func (x scope) lastFix() incident.Fix {
	if f, found := x.fix(); found {
		return f
	}
	if x.in == nil {
		return incident.Fix{}
	}
	f, _ := x.in.LastFix()
	return f
}

// fixFields are the four lines, and who.
func fixFields(x scope) []field {
	check := field{Name: "check", Kind: choice, Label: "I expect that this check passes", Options: []option{{Value: "", Label: "No check can tell: I will say what I see"}}}
	for i, c := range x.v.Checks {
		check.Options = append(check.Options, option{Value: c, Label: c, On: i == 0})
	}
	if x.args.Has("check") {
		check.Options = marked(x.arg("check"), check.Options...)
	}
	out := []field{{Name: "text", Kind: area, Label: "I will change …", Holder: "the pool of every worker from 200 back to 20", Must: true, Rows: 2, Max: 4000, Focus: true}, check,
		{Name: "below", Kind: line, Label: "and answers in less than", Help: "Leave it empty where passing is enough.", Holder: "500 ms", Max: 20},
		{Name: "within", Kind: line, Label: "within", Value: "5 min", Max: 20},
		{Name: "to", Kind: line, Fold: true, Label: "What should be different then, in words", Max: 300},
		{Name: "way_back", Kind: area, Label: "If not, I will …", Holder: "set the pool back to 200 and restart", Rows: 2, Max: 4000},
		{Name: "takes", Kind: line, Label: "It will take …", Holder: "2 minutes", Max: 300},
		{Name: "risk", Kind: line, Fold: true, Label: "What else could it do?", Max: 300},
		{Name: "owner", Kind: line, Label: "Who does it", Value: x.who.Name, Max: 64},
	}
	if len(x.v.Actions) > 0 {
		action := field{Name: "action", Kind: choice, Label: "How", Options: []option{{Value: "", Label: "By hand"}}}
		for _, a := range x.v.Actions {
			words := a.Title
			if !a.Undo {
				words += " (can’t be undone by itself)"
			}
			action.Options = append(action.Options, option{Value: a.Name, Label: words})
		}
		action.Options = marked(x.arg("action"), action.Options...)
		out = append(out, action)
	}
	return out
}

// promise reads what a fix is expected to do.
func (x scope) promise() (incident.Promise, error) {
	p := incident.Promise{Check: x.arg("check"), To: x.arg("to")}
	var err error
	if p.Below, err = span("below", x.arg("below"), time.Millisecond); err != nil {
		return p, err
	}
	p.Within, err = span("within", x.arg("within"), time.Minute)
	return p, err
}

// promisedFix are the four lines of the fix at hand: who answers for it reads them first.
func promisedFix(x scope) template.HTML {
	f, found := x.fix()
	if !found {
		return ""
	}
	return x.promised(f)
}

func aloneOff(x scope) string {
	f, found := x.fix()
	if !found || f.Alone {
		return ""
	}
	if until := f.At.Add(f.Waits); x.now().Before(until) {
		return "Another person may still answer, until " + x.s.clock(until) + "."
	}
	return ""
}

// applyOff says why a fix may not begin yet.
func applyOff(x scope) string {
	f, found := x.fix()
	switch {
	case !found:
		return "No fix is written down."
	case f.Objection != "":
		return "Somebody objected: " + sentence(f.Objection) + " Talk, then withdraw the fix, or let whoever objected read it again."
	case len(f.Approvals) > 0:
		return ""
	case f.Alone && x.now().Before(f.PauseUntil):
		return "You are alone, so there is a pause. Read it once more, slowly, until " + x.s.clock(f.PauseUntil) + ": " + wholeSeconds(f.PauseUntil.Sub(x.now())) + " more."
	case f.Alone:
		return ""
	}
	return "Nobody else has read it yet. After " + spell(f.Waits) + " without an answer, at " + x.s.clock(f.At.Add(f.Waits)) + ", you may go on alone."
}

func happensOf(x scope, f incident.Fix) string {
	for _, a := range x.v.Actions {
		if a.Name == f.Action {
			return "lifeboat does it: " + sentence(a.Title)
		}
	}
	return cmp.Or(f.Owner, "Somebody") + " does it by hand: " + sentence(f.Change)
}
