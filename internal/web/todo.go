package web

import (
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/incident"
)

// todo is what is still to be done about a write-up, with where it is done.
type todo struct {
	Words, Href string
	Must        bool // closing asks for it
}

// stillToDo is all of it at once, what closing asks for first.
func (x scope) stillToDo(part writeUpPart) []todo {
	in := *x.in
	if in.Drill || in.Phase == incident.Cancelled || in.Phase == incident.Closed && in.WriteUp.Final {
		return nil
	}
	var out []todo
	add := func(must bool, href, format string, args ...any) {
		out = append(out, todo{fmt.Sprintf(format, args...), href, must})
	}
	open := in.Phase.Open()
	for _, p := range in.Loose() {
		add(open, sitePath(x), "“%s” is still pulled: put it back, or leave it with somebody who looks after it and a date.", p.Title)
	}
	if open && in.Phase != incident.Review {
		add(true, sitePath(x), "The incident goes on: it can be closed after the watch.")
	}
	if owing := unsaid(in); len(owing) > 0 {
		add(open, "#follow-ups", "%s: who does it, until when, or how anybody sees that it is done is missing.", sentenceless(listed(owing)))
	}
	if !slices.ContainsFunc(in.WriteUp.Findings, func(f incident.Finding) bool { return f.Accepted && f.About == incident.AboutProcess }) {
		add(open, "#findings", "No finding on how we work is taken up yet. One is enough.")
	}
	if told, over := toldPublic(in); told && !over && open {
		add(true, sitePath(x)+"/tell", "The public was told that it began. Tell it that it is over.")
	}
	if n := len(slices.DeleteFunc(slices.Clone(part.Findings), func(f findingRow) bool { return f.Judged })); n > 0 {
		add(false, "#findings", "%s to be taken up or left.", count(n, "proposed finding waits", "proposed findings wait"))
	}
	if n := unanswered(in); n > 0 {
		add(false, "#questions", "%s for an answer in your words.", count(n, "question waits", "questions wait"))
	}
	if !in.WriteUp.Final {
		add(open, "#finish", "The write-up is a draft: finish it once it reads well.")
	}
	slices.SortStableFunc(out, func(a, b todo) int {
		switch {
		case a.Must && !b.Must:
			return -1
		case b.Must && !a.Must:
			return 1
		}
		return 0
	})
	return out
}

// missing is all that closing asks for, at once: the rules would say it one by one.
func (x scope) missing() template.HTML {
	if x.in == nil {
		return ""
	}
	list := slices.DeleteFunc(x.stillToDo(writeUpPart{}), func(t todo) bool { return !t.Must })
	for i := range list {
		if strings.HasPrefix(list[i].Href, "#") {
			list[i].Href = writeUpPath(x) + list[i].Href
		}
	}
	return x.part("missing", list)
}

// sentenceless keeps a list from ending like a sentence.
func sentenceless(s string) string { return strings.TrimRight(s, ". ") }

// unsaid are the promised follow-ups that lack their owner, date or done-when (R19).
func unsaid(in incident.Incident) []string {
	var out []string
	for _, f := range in.FollowUps {
		if f.Kind == "commitment" && f.State == "open" && (f.Owner == "" || f.Due.IsZero() || f.DoneWhen == "") {
			out = append(out, "“"+cut(sentenceless(f.What), 60)+"”")
		}
	}
	return out
}

// toldPublic says whether the public was told that it began, and that it is over (R21).
func toldPublic(in incident.Incident) (told, over bool) {
	for _, u := range in.Updates {
		if u.Audience == incident.Public {
			told, over = true, u.Final
		}
	}
	return told, over
}

// unanswered counts the questions that nobody has answered yet.
func unanswered(in incident.Incident) int {
	n := 0
	for _, q := range incident.Questions {
		if in.WriteUp.Answers[q.Key].Text == "" {
			n++
		}
	}
	return n
}

// command is a command line in a text that was written for a terminal, with the words
// that lead to it.
var command = regexp.MustCompile(`(?i)(,? (?:and|or|then|with|by))?[:,]? ?\blifeboat (?:account|answer|cancel|cause|changes?|check|close|config|data|declare|decision|demo|drill|evidence|fix|follow-up|go-back|go-on|handover|hand-over|incidents?|lever|levers|list|login|note|park|people|postmortem|pull|put-back|queue|resume|role|serve|status|timeline|token|unpark|update|weigh|write-up|zone)\b[^.;]*`)

// onPage is a hint without command lines: who reads it here has buttons.
func onPage(hint string) string {
	hint = command.ReplaceAllString(hint, "")
	var out []string
	for _, part := range strings.SplitAfter(hint, ". ") {
		if part = strings.Trim(part, " ;:"); len(part) > 1 {
			out = append(out, part)
		}
	}
	return strings.Join(out, " ")
}

// textOnPage is the sentence of an event as a page shows it.
func textOnPage(e incident.Event) string {
	if e.Type == incident.RuleRefused {
		return onPage(e.Text)
	}
	return e.Text
}

// satisfied says on a page what would satisfy a rule, where the words of the rule are
// those of a terminal.
var satisfied = map[string]string{
	incident.R18.ID: "Finish the write-up, or say in a sentence why there is none.",
	incident.R19.ID: "Add them on the write-up, under “What we owe”.",
	incident.R20.ID: "Take up a finding on how we work, or write one, on the write-up.",
	incident.R21.ID: "Tell people, and say that it is the last message.",
}
