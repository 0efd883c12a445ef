package web

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/role"
)

// upload is the act whose form carries a file.
const upload = "evidence"

// evidencePath leads to the evidence.
func evidencePath(x scope) string {
	if x.in == nil {
		return sitePath(x)
	}
	return "/incidents/" + url.PathEscape(x.in.ID) + "/evidence"
}

// evidenceActs are about what was seen.
var evidenceActs = map[string]act{
	upload: {
		title: "Add evidence", need: incident.Attach{}, after: evidencePath,
		fields: func(scope) []field { // in this order on the wire: what was typed is read before the file
			return []field{
				{Name: "title", Kind: line, Label: "What it shows, in a few words", Max: 300},
				{Name: "text", Kind: area, Label: "More, if you like", Rows: 2, Max: 4000},
				{Name: "file", Kind: file, Label: "A file or an image, at most 10 MB"},
			}
		},
		off: func(x scope) string {
			if !x.open() {
				return "Evidence belongs to an incident, and none is open."
			}
			return ""
		},
		do: func(ctx context.Context, x scope) (string, error) {
			f, _ := ctx.Value(fileKey{}).(engine.File)
			f.Title, f.Text = x.arg("title"), x.arg("text")
			res, err := x.s.o.Engine.Attach(ctx, x.v.ID, f, x.by())
			if a, comes := f.Body.(*arriving); comes && a.err != nil && err != nil {
				err = unread(a.err)
			}
			if err != nil {
				return "", err
			}
			done := lastText(res.Events)
			if n := len(res.Incident.Evidence); n > 0 && len(res.Events) > 0 && res.Incident.Evidence[n-1].Problem != "" {
				done += " " + sentence(res.Incident.Evidence[n-1].Problem)
			}
			return done, nil
		},
	},
	"capture": {
		title: "Look again from outside", least: role.Operator, after: evidencePath,
		terms: func(scope) terms {
			return terms{"Names, certificates and pages are asked again, and the end of the logs is kept.", "About 20 seconds; it appears here by itself when you look again.", "Nothing is changed by looking."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			return "We are looking. What is seen appears here.", x.s.o.Engine.Capture(ctx, x.v.ID)
		},
	},
	"redact": {
		title: "Take its body away", need: incident.Redact{}, prove: true, after: evidencePath,
		fields: func(x scope) []field {
			return append([]field{{Name: "evidence", Kind: hidden, Value: x.arg("evidence")}}, because("Why nobody may see it")(x)...)
		},
		terms: func(scope) terms {
			return terms{"What was kept is not shown any more. That there was something, and your reason, stays.", "At once.", "It cannot be taken back."}
		},
		make: func(x scope) (incident.Command, error) {
			return incident.Redact{Evidence: x.arg("evidence"), Reason: x.arg("text")}, nil
		},
	},
}

// changeKinds are those of the ledger that people tell of, in their words.
var changeKinds = []option{
	{Value: ledger.Deploy, Label: "A release"}, {Value: ledger.Configuration, Label: "A setting"}, {Value: ledger.Flag, Label: "A feature flag"}, {Value: ledger.Schema, Label: "The database’s tables"},
	{Value: ledger.Schedule, Label: "A job that runs by itself"}, {Value: ledger.Package, Label: "A package or a machine"}, {Value: ledger.DNS, Label: "DNS"}, {Value: ledger.Certificate, Label: "A certificate"},
	{Value: ledger.Traffic, Label: "More or other visitors"}, {Value: ledger.Lever, Label: "A lever"}, {Value: ledger.Fix, Label: "A fix"}, {Value: ledger.Other, Label: "Something else"},
}

func changeFields(x scope) []field {
	sites := field{Name: "at_site", Kind: choice, Label: "Which site", Options: []option{{Value: "", Label: "All of them"}}}
	for _, v := range x.o.Sites {
		sites.Options = append(sites.Options, option{Value: v.ID, Label: v.Title})
	}
	sites.Options = marked(cmp.Or(x.arg("at_site"), x.v.ID), sites.Options...)
	return []field{
		{Name: "text", Kind: line, Label: "What was changed", Holder: "Release 412", Must: true, Max: 300},
		{Name: "kind", Kind: choice, Label: "What sort of change", Options: marked(x.arg("kind"), slices.Clone(changeKinds)...)},
		{Name: "at", Kind: line, Label: "When", Help: "Such as 02:52 or 2026-03-12 02:52, in local time. Empty means now.", Max: 20},
		{Name: "who", Kind: line, Label: "Who", Max: 100},
		{Name: "ref", Kind: line, Label: "Where to read more", Max: 200},
		sites,
	}
}

func addChange(ctx context.Context, x scope) (string, error) {
	at, err := x.dated("at", x.arg("at"))
	if err != nil {
		return "", err
	}
	if at.IsZero() {
		at = x.now()
	}
	if at.After(x.now().Add(time.Minute)) {
		return "", fault.New(fault.Invalid, "%s has not been yet", x.arg("at")).At("at").WithHint("say when it was changed")
	}
	c, err := x.s.o.Engine.AddChange(ctx, ledger.Change{
		At: at.UTC(), Site: x.arg("at_site"), Kind: cmp.Or(x.arg("kind"), ledger.Other), Who: x.arg("who"), What: x.arg("text"), Ref: x.arg("ref"),
	}, x.by())
	return "It is on the ledger: " + sentence(c.What), err
}
