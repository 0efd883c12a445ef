package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

var parts = []option{
	{Value: "lead", Label: "Lead"}, {Value: "scribe", Label: "Scribe"}, {Value: "communication", Label: "Messages"}, {Value: "expert", Label: "Expert"},
}

var levels = []option{{Value: "low", Label: "Low"}, {Value: "medium", Label: "Medium"}, {Value: "high", Label: "High"}, {Value: "critical", Label: "Critical"}}

// crewPath leads to the page about people.
func crewPath(x scope) string {
	if x.in == nil {
		return sitePath(x)
	}
	return "/incidents/" + url.PathEscape(x.in.ID) + "/crew"
}

// crewActs are about the people of an incident and what they decide.
var crewActs = map[string]act{
	"take-role": {
		title: "Take it", need: incident.TakeRole{}, after: crewPath,
		fields: func(x scope) []field { return []field{{Name: "role", Kind: hidden, Value: x.arg("role")}} },
		make:   func(x scope) (incident.Command, error) { return incident.TakeRole{Role: x.arg("role")}, nil },
	},
	"release-role": {
		title: "Let it go", need: incident.ReleaseRole{}, after: crewPath,
		fields: func(x scope) []field { return []field{{Name: "role", Kind: hidden, Value: x.arg("role")}} },
		make:   func(x scope) (incident.Command, error) { return incident.ReleaseRole{Role: x.arg("role")}, nil },
	},
	"hand-over": {
		title: "Hand over", need: incident.OfferHandover{}, after: crewPath,
		lede: func(scope) string { return "Three lines that somebody who has just woken up understands." },
		fields: func(x scope) []field {
			return []field{
				{Name: "owner", Kind: line, Label: "To whom", Must: true, Max: 64, Focus: true},
				{Name: "role", Kind: choice, Label: "Which part", Options: marked(cmp.Or(x.arg("role"), "lead"), slices.Clone(parts)...)},
				{Name: "things", Kind: area, Label: "How things are", Value: x.brief(), Must: true, Rows: 4, Max: 4000},
				{Name: "doing", Kind: area, Label: "What is being done, by whom, back when", Rows: 2, Max: 4000},
				{Name: "needs", Kind: area, Label: "What is needed", Rows: 2, Max: 4000},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.OfferHandover{Role: x.arg("role"), To: x.arg("owner"), Brief: incident.Brief{Things: x.arg("things"), Doing: x.arg("doing"), Needs: x.arg("needs")}}, nil
		},
	},
	"accept": {
		title: "I have it", need: incident.AcceptHandover{},
		head: func(x scope) string {
			if from := x.handover().From; from != "" {
				return "You are taking over from " + from + "."
			}
			return "There is nothing to take over."
		},
		before: func(x scope) template.HTML {
			h := x.handover()
			if h.ID == "" {
				return ""
			}
			lines := []promiseLine{{Label: "How things are", Words: h.Brief.Things}, {Label: "What is being done", Words: cmp.Or(h.Brief.Doing, "Nothing was said.")}, {Label: "What is needed", Words: cmp.Or(h.Brief.Needs, "Nothing was said.")}}
			return x.part("brief", struct {
				Role  string
				Lines []promiseLine
			}{labelOf(parts, h.Role), lines})
		},
		fields: func(x scope) []field { return []field{{Name: "handover", Kind: hidden, Value: x.arg("handover")}} },
		terms: func(scope) terms {
			return terms{"Both names go into the timeline, and it is yours.", "At once.", "Hand it over again."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.AcceptHandover{Handover: x.arg("handover")}, nil
		},
	},
	"decide": {
		title: "Write down a decision", need: incident.Choose{}, after: crewPath,
		fields: func(scope) []field {
			return []field{
				{Name: "question_text", Kind: line, Label: "What was to be decided", Must: true, Max: 1000, Focus: true},
				{Name: "options", Kind: area, Label: "What could have been done, one a line", Rows: 3, Max: 4000},
				{Name: "chosen", Kind: line, Label: "What was chosen", Must: true, Max: 1000},
				{Name: "text", Kind: area, Label: "Because …", Must: true, Rows: 2, Max: 2000},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.Choose{Question: x.arg("question_text"), Options: strings.Split(x.arg("options"), "\n"), Chosen: x.arg("chosen"), Reason: x.arg("text")}, nil
		},
	},
	"disagree": {
		title: "Object", need: incident.Object{}, after: crewPath,
		fields: func(x scope) []field {
			return append([]field{{Name: "decision", Kind: hidden, Value: x.arg("decision")}}, because("What speaks against it")(x)...)
		},
		make: func(x scope) (incident.Command, error) {
			return incident.Object{Decision: x.arg("decision"), Text: x.arg("text")}, nil
		},
	},
	"severity": {
		title: "Say how bad it is", need: incident.SetSeverity{}, after: crewPath,
		fields: func(x scope) []field {
			now := ""
			if x.in != nil {
				now = x.in.Severity
			}
			return []field{
				{Name: "level", Kind: radio, Label: "How bad is it?", Must: true, Options: marked(now, slices.Clone(levels)...)},
				{Name: "text", Kind: line, Label: "Why", Max: 1000},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.SetSeverity{Level: x.arg("level"), Why: x.arg("text")}, nil
		},
	},
	"link": {
		title: "Link another incident", need: incident.LinkIncident{}, after: crewPath,
		fields: func(x scope) []field {
			return []field{
				{Name: "other", Kind: choice, Label: "Which one", Must: true, Options: x.otherIncidents()},
				{Name: "kind", Kind: radio, Label: "How they belong together", Options: marked(orElse(x.arg("kind"), "related"),
					option{Value: "related", Label: "They are related"}, option{Value: "recurrence_of", Label: "It has come back"})},
			}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.LinkIncident{Incident: x.arg("other"), Kind: x.arg("kind")}, nil
		},
	},
}

// handover gives the handover that a form is about.
func (x scope) handover() incident.Handover {
	if x.in != nil {
		for _, h := range x.in.Handovers {
			if h.ID == x.arg("handover") {
				return h
			}
		}
	}
	return incident.Handover{}
}

// otherIncidents are those that this one can be linked with, the newest first.
func (x scope) otherIncidents() []option {
	heads, err := x.s.o.Engine.Incidents(context.Background())
	if err != nil {
		return nil
	}
	var out []option
	for _, h := range slices.Backward(heads) {
		if (x.in == nil || h.ID != x.in.ID) && !h.Drill && len(out) < 50 {
			out = append(out, option{Value: h.ID, Label: x.s.date(h.DeclaredAt) + ": " + cut(h.Title, 80)})
		}
	}
	return out
}

// brief says how things are, for whoever takes over or has lost the thread.
func (x scope) brief() string {
	if x.in == nil {
		return ""
	}
	in := *x.in
	s := sentence(in.Title)
	if words := symptomWords(x.symptom()); words != "" {
		s += " " + met + strings.ToLower(words[:1]) + words[1:] + "."
	}
	s += " Visitors are sent to " + placeWords(x.v.Ordered.Position) + "."
	if n := len(in.Causes); n > 0 {
		s += " " + guesses(in) + "."
	}
	if in.Diagnosis != nil {
		s += " We know: " + sentence(in.Diagnosis.Statement)
	}
	if f, found := x.fix(); found {
		s += " The fix " + f.ID + " is " + fixWords(f.State) + ": " + sentence(f.Change)
	}
	return s
}

// accountsPath leads to the accounts.
func accountsPath(scope) string { return "/accounts" }

// onePath leads to one account.
func onePath(x scope) string { return "/accounts/" + url.PathEscape(x.arg("name")) }

// onePerson is a headline that says whose account a form is about.
func onePerson(words string) func(scope) string {
	return func(x scope) string {
		a, err := x.s.o.Accounts.Get(x.arg("name"))
		if err != nil {
			return "There is no such account."
		}
		return fmt.Sprintf(words, a.Name)
	}
}

// otherActs are about lifeboat itself: its accounts, its messages, its ledger.
var otherActs = map[string]act{
	"account-add": {
		title: "Add the account", least: role.Admin, prove: true, after: accountsPath,
		fields: func(x scope) []field {
			return []field{
				{Name: "new_name", Kind: line, Label: "Name to sign in with", Holder: "ada.l", Must: true, Max: 32, Auto: "off"},
				{Name: "title", Kind: line, Label: "Name in the timeline", Holder: "Ada L.", Max: 64},
				{Name: "role", Kind: radio, Label: "What they may do", Must: true, Options: roleOptions(cmp.Or(x.arg("role"), string(role.Reporter)))},
				{Name: "password", Kind: secret, Label: "First password", Help: "At least 12 characters. Four words that don’t belong together make a good one. They change it once they have signed in.", Must: true, Auto: "new-password", Max: 256},
			}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			a, err := x.s.o.Accounts.Create(ctx, account.Account{Name: x.arg("new_name"), Title: x.arg("title"), Role: role.Role(x.arg("role"))}, x.arg("password"))
			return a.Title + " can sign in as " + a.Name + ".", err
		},
	},
	"account-invite": {
		title: "Invite somebody", least: role.Admin, prove: true, after: accountsPath,
		fields: func(x scope) []field {
			return []field{
				{Name: "new_name", Kind: line, Label: "Name to sign in with", Holder: "ada.l", Must: true, Max: 32, Auto: "off"},
				{Name: "title", Kind: line, Label: "Name in the timeline", Holder: "Ada L.", Max: 64},
				{Name: "role", Kind: radio, Label: "What they may do", Must: true, Options: roleOptions(cmp.Or(x.arg("role"), string(role.Reporter)))},
			}
		},
		terms: func(scope) terms {
			return terms{"You get a link that counts once. They choose their own password with it.", "It counts for three days.", "Disable the account."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			a, code, err := x.s.o.Accounts.Invite(ctx, account.Account{Name: x.arg("new_name"), Title: x.arg("title"), Role: role.Role(x.arg("role"))})
			shownOnce(ctx, a.Name, code)
			return a.Title + " is invited, and will sign in as " + a.Name + ".", err
		},
	},
	"account-reset": {
		title: "Let them begin anew", least: role.Admin, prove: true, after: onePath, head: onePerson("Let %s begin anew."),
		fields: func(x scope) []field { return []field{{Name: "name", Kind: hidden, Value: x.arg("name")}} },
		terms: func(scope) terms {
			return terms{"Their password, app, passkeys and recovery codes count no more, and their sign-ins end. You get a link that counts once.", "At once. The link counts for three days.", "There is no way back: they choose a new password."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			code, err := x.s.o.Accounts.Reset(ctx, x.arg("name"), false)
			shownOnce(ctx, x.arg("name"), code)
			return x.arg("name") + " has to choose a new password.", err
		},
	},
	"account-role": {
		title: "Change the role", least: role.Admin, prove: true, after: onePath, head: onePerson("Change the role of %s."),
		fields: func(x scope) []field {
			a, _ := x.s.o.Accounts.Get(x.arg("name"))
			return []field{{Name: "name", Kind: hidden, Value: x.arg("name")}, {Name: "role", Kind: radio, Label: "What they may do", Must: true, Options: roleOptions(cmp.Or(x.arg("role"), string(a.Role)))}}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			return x.arg("name") + " is " + x.arg("role") + " now.", x.s.o.Accounts.SetRole(ctx, x.arg("name"), role.Role(x.arg("role")))
		},
	},
	"account-password": {
		title: "Set a new password", least: role.Admin, prove: true, after: onePath, head: onePerson("Set a new password for %s."),
		fields: func(x scope) []field {
			return []field{{Name: "name", Kind: hidden, Value: x.arg("name")}, {Name: "password", Kind: secret, Label: "New password", Help: "At least 12 characters. All their sign-ins end.", Must: true, Auto: "new-password", Max: 256}}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			return x.arg("name") + " has a new password, and has to sign in again.", x.s.o.Accounts.SetPassword(ctx, x.arg("name"), x.arg("password"))
		},
	},
	"account-disable": {
		title: "Disable the account", least: role.Admin, prove: true, after: onePath, head: onePerson("Disable the account %s."),
		fields: func(x scope) []field { return []field{{Name: "name", Kind: hidden, Value: x.arg("name")}} },
		do: func(ctx context.Context, x scope) (string, error) {
			return x.arg("name") + " can’t sign in any more.", x.s.o.Accounts.Disable(ctx, x.arg("name"))
		},
	},
	"account-enable": {
		title: "Let it sign in again", least: role.Admin, prove: true, after: onePath, head: onePerson("Let %s sign in again."),
		fields: func(x scope) []field { return []field{{Name: "name", Kind: hidden, Value: x.arg("name")}} },
		do: func(ctx context.Context, x scope) (string, error) {
			return x.arg("name") + " can sign in again, with the password it had.", x.s.o.Accounts.Enable(ctx, x.arg("name"))
		},
	},
	"retry": {
		title: "Try now", least: role.Operator, after: func(scope) string { return "/messages" },
		fields: func(x scope) []field { return []field{{Name: "message", Kind: hidden, Value: x.arg("message")}} },
		do: func(ctx context.Context, x scope) (string, error) {
			return "It is tried now.", x.s.o.Engine.RetryMessage(ctx, x.arg("message"))
		},
	},
	"drop": {
		title: "Give it up", least: role.Operator, after: func(scope) string { return "/messages" },
		fields: func(x scope) []field { return []field{{Name: "message", Kind: hidden, Value: x.arg("message")}} },
		do: func(ctx context.Context, x scope) (string, error) {
			return "It is not sent any more.", x.s.o.Engine.DropMessage(ctx, x.arg("message"))
		},
	},
	"change": {
		title: "Add a change", need: incident.SeeChanges{}, fields: changeFields, do: addChange,
		lede:  func(scope) string { return "A release, a setting, a job: whatever somebody or something changed." },
		after: func(scope) string { return "/changes" },
	},
}

func roleOptions(now string) []option {
	var out []option
	for _, r := range role.Roles {
		out = append(out, option{Value: string(r), Label: string(r), Says: r.May(), On: string(r) == now})
	}
	return out
}

// notAdmin is what somebody meets who opens the accounts without the right to.
func notAdmin(who account.Session) error {
	return fault.New(fault.Denied, "your role, %s, may not manage accounts", who.Role).WithHint("somebody with the role admin can; your own account is under your name")
}
