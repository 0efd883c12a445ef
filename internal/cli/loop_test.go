package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
)

var (
	ada   = incident.Actor{Kind: "person", Name: "Ada", Via: "web", Role: "operator"}
	grace = incident.Actor{Kind: "person", Name: "Grace", Via: "web", Role: "commander"}
)

// loopScene is a crisis in which a fix is being measured.
func loopScene() *scene {
	s := crisisScene()
	at := func(min int) time.Time { return noon.Add(time.Duration(min) * time.Minute) }
	in := s.over.Sites[0].Incident
	in.Phase, in.Since, in.FirstSymptomAt = incident.Fixing, at(-2), at(-20)
	in.Roles = map[string]string{"lead": "Grace", "scribe": "Ada"}
	in.UpdateDue = at(-3)
	in.Evidence = []incident.Evidence{
		{ID: "e1", Kind: "http", Title: "The home page", Summary: "503 after 2 s", At: at(-14), SHA256: "ab", Size: 812, Type: "text/plain"},
		{ID: "e2", Kind: "metrics", Title: "The pool", Deciding: "pool_in_use 20 of 20", At: at(-14), SHA256: "cd", Size: 123_456, Type: "text/plain"},
		{ID: "e3", Kind: "dns", Title: "ns2", Problem: "nobody answered", At: at(-14)},
		{ID: "e4", Kind: "file", Title: "A log", At: at(-9), Redacted: "it shows an address"},
	}
	in.Changes = []incident.Change{{ID: "deploy-1", At: at(-24), Kind: "deploy", What: "Release 2.4", Suspect: true}}
	in.Causes = []incident.Cause{
		{ID: "c1", Statement: "Release 2.4 holds connections", Prediction: "the pool stays full", State: incident.CauseSure, By: ada,
			Weights: []incident.Weight{{Evidence: "e2", Stance: "for", Note: "full"}, {Evidence: "deploy-1", Stance: "for"}, {Evidence: "e1", Stance: "neutral"}},
			Tests:   []incident.Test{{Prediction: "the pool stays full", Outcome: "held", Saw: "20 of 20"}}},
		{ID: "c2", Statement: "The disk is full", State: incident.CauseOut, Reason: "half of it is free", By: grace},
	}
	in.Diagnosis = &incident.Diagnosis{Causes: []string{"c1"}, Factors: []string{"The pool has no alarm"}, Confidence: incident.Proved, Statement: "Release 2.4 holds connections", By: grace, At: at(-5)}
	in.Fixes = []incident.Fix{{
		ID: "f1", Change: "Roll release 2.4 back", Promise: incident.Promise{Check: "home", From: "fail", Within: 5 * time.Minute}, WayBack: "Deploy 2.4 again", Takes: "two minutes", Owner: "Ada",
		State: incident.StateMeasuring, By: ada, At: at(-4), Approvals: []incident.Approval{{By: grace, At: at(-3)}}, StartedAt: at(-3), AppliedAt: at(-2), Streak: 2, Output: "2.3 is live\nok",
	}}
	in.Pulls = append(in.Pulls, incident.Pull{ID: "P2", Lever: "close-checkout", Kind: "feature", Title: "Close the checkout", State: incident.Active,
		Parked: &incident.Parking{Owner: "Ada", Until: at(60 * 24), Reason: "The provider is back on Monday"}})
	in.FollowUps = []incident.FollowUp{
		{ID: "a1", Kind: "commitment", What: "An alarm for the pool", Owner: "Ada", Due: at(-60 * 24), State: "open"},
		{ID: "a2", Kind: "idea", What: "A larger pool", State: "declined", Reason: "it hides the fault"},
	}
	s.over.Waiting = 2
	s.heads = []engine.Head{{ID: "01JN8", Site: "shop", Phase: incident.Fixing, DeclaredAt: at(-15)}}
	s.changes = []ledger.Change{
		{ID: "mail", At: at(-180), Kind: "traffic", Who: "Edsger", What: "The newsletter"}, {ID: "deploy-1", At: at(-24), Kind: "deploy", Who: "ci", What: "Release 2.4"},
		{ID: "lever-1", At: at(-13), Kind: "lever", Who: "Ada", What: "Show visitors the status page"},
	}
	s.queue = []outbox.Message{
		{ID: "m1-chat", Channel: "chat", Kind: "update.public", Created: at(-10), Attempts: 4, NextTry: at(2), LastError: "it answered 500"},
		{ID: "m2-mail", Channel: "mail", Kind: "incident.declared", Created: at(-60 * 30), Attempts: 150, Dead: at(-60 * 6), LastError: "no such host"},
	}
	return s
}

func TestLoopScreens(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"status_fixing":   {"status"},
		"cause_list":      {"cause", "list"},
		"fix_list":        {"fix", "list"},
		"evidence_list":   {"evidence", "list"},
		"changes":         {"changes"},
		"follow_up_list":  {"follow-up", "list"},
		"follow_up_all":   {"follow-up", "list", "--all"},
		"queue_list":      {"queue", "list"},
		"evidence_absent": {"evidence", "show", "e3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, loopScene(), args...)
			if r.code != 0 || r.err != "" {
				t.Fatalf("exit code %d, stderr %q", r.code, r.err)
			}
			golden(t, name, r.out)
		})
	}
}

// TestNextStep: in every phase, and wherever a fix stands, somebody knows what to do.
func TestNextStep(t *testing.T) {
	t.Parallel()
	fix := func(change func(*incident.Fix)) incident.Incident {
		f := incident.Fix{ID: "f1", Owner: "Ada", At: noon.Add(-time.Minute), Waits: 10 * time.Minute, Promise: incident.Promise{Check: "home", Within: 5 * time.Minute}, AppliedAt: noon, StartedAt: noon, WayBack: "Deploy it again"}
		change(&f)
		return incident.Incident{Phase: incident.Fixing, Fixes: []incident.Fix{f}}
	}
	causes := func(all ...incident.Cause) incident.Incident {
		return incident.Incident{Phase: incident.Diagnose, Causes: all}
	}
	backed := incident.Cause{ID: "c1", State: incident.CauseTesting, Weights: []incident.Weight{{Stance: incident.For}}, Tests: []incident.Test{{Outcome: incident.TestHeld}}}
	for name, c := range map[string]struct {
		in   incident.Incident
		want string
	}{
		"calm":           {incident.Incident{}, "lifeboat declare"},
		"closed, owing":  {incident.Incident{Phase: incident.Closed, FollowUps: make([]incident.FollowUp, 1)}, "lifeboat follow-up list"},
		"fail over":      {incident.Incident{Phase: incident.FailOver}, "lifeboat go-on --reason"},
		"no guess":       {causes(), "lifeboat cause add"},
		"a guess":        {causes(incident.Cause{ID: "c1", State: incident.CauseOpen}), "lifeboat cause test c1"},
		"a backed guess": {causes(backed, incident.Cause{ID: "c2", State: incident.CauseOut}), "lifeboat cause confirm c1"},
		"two guesses":    {causes(backed, incident.Cause{ID: "c2", State: incident.CauseOpen}), "lifeboat cause rule-out"},
		"all ruled out":  {causes(incident.Cause{ID: "c1", State: incident.CauseOut}), "What else could it be"},
		"confirmed":      {incident.Incident{Phase: incident.Diagnose, Diagnosis: &incident.Diagnosis{}}, "lifeboat fix propose"},
		"proposed":       {fix(func(f *incident.Fix) { f.State = incident.StateProposed }), "lifeboat fix approve f1"},
		"proposed, late": {fix(func(f *incident.Fix) { f.State, f.At = incident.StateProposed, noon.Add(-time.Hour) }), "lifeboat fix go-alone"},
		"objected to":    {fix(func(f *incident.Fix) { f.State, f.Objection = incident.StateProposed, "Too much" }), "Too much"},
		"alone, pausing": {fix(func(f *incident.Fix) {
			f.State, f.Alone, f.PauseUntil = incident.StateProposed, true, noon.Add(time.Minute)
		}), "slowly, until 12:01:00"},
		"alone, paused":        {fix(func(f *incident.Fix) { f.State, f.Alone, f.PauseUntil = incident.StateProposed, true, noon }), "lifeboat fix begin f1"},
		"approved":             {fix(func(f *incident.Fix) { f.State, f.Approvals = incident.StateApproved, make([]incident.Approval, 1) }), "lifeboat fix begin f1"},
		"by hand":              {fix(func(f *incident.Fix) { f.State = incident.StateApplying }), "lifeboat fix done f1"},
		"by a prepared act":    {fix(func(f *incident.Fix) { f.State, f.Action = incident.StateApplying, "restart" }), "prepared act: wait"},
		"measured":             {fix(func(f *incident.Fix) { f.State = incident.StateMeasuring }), "hands off until 12:05:00"},
		"judged by people":     {fix(func(f *incident.Fix) { f.State, f.Promise.Check = incident.StateMeasuring, "" }), "lifeboat fix judge"},
		"no effect":            {fix(func(f *incident.Fix) { f.State = incident.StateNoEffect }), "lifeboat fix roll-back"},
		"worse":                {fix(func(f *incident.Fix) { f.State = incident.StateWorse }), "lifeboat fix keep"},
		"interrupted":          {fix(func(f *incident.Fix) { f.State = incident.StateInterrupted }), "lifeboat fix measure"},
		"taken back by hand":   {fix(func(f *incident.Fix) { f.State = incident.StateRollingBack }), "lifeboat fix rolled-back"},
		"taken back by itself": {fix(func(f *incident.Fix) { f.State, f.Undo = incident.StateRollingBack, true }), "prepared act: wait"},
		"worked":               {fix(func(f *incident.Fix) { f.State = incident.StateWorked }), "lifeboat go-back start"},
		"watch":                {incident.Incident{Phase: incident.Watch, WatchUntil: noon}, "lifeboat go-back step-back"},
		"review":               {incident.Incident{Phase: incident.Review}, "lifeboat postmortem answer surprise"},
		"written, not told":    {incident.Incident{Phase: incident.Review, WriteUp: incident.WriteUp{Final: true}, Updates: []incident.Update{{Audience: incident.Public}}}, "--over"},
		"written and told":     {incident.Incident{Phase: incident.Review, WriteUp: incident.WriteUp{Final: true}}, "lifeboat close"},
		"news overdue":         {incident.Incident{Phase: incident.Watch, UpdateDue: noon.Add(-time.Minute)}, "people were promised news"},
	} {
		got := strings.Join(next(c.in, nil, noon), "\n")
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q does not say %q", name, got, c.want)
		}
	}
}

// TestAfterwards: what is done in an incident by its id, open or ended.
func TestAfterwards(t *testing.T) {
	t.Parallel()
	due := time.Date(2026, 4, 1, 23, 59, 0, 0, time.UTC)
	for _, c := range []struct {
		args []string
		want incident.Command
	}{
		{[]string{"evidence", "redact", "e1", "--reason", "why"}, incident.Redact{Evidence: "e1", Reason: "why"}},
		{[]string{"link", "01H", "--kind", "related"}, incident.LinkIncident{Incident: "01H", Kind: "related"}},
		{[]string{"correct", "ev", "It was 09:12."}, incident.Correct{Event: "ev", Text: "It was 09:12."}},
		{[]string{"postmortem", "edit", "summary", "Short."}, incident.EditSection{Section: "summary", Text: "Short."}},
		{[]string{"postmortem", "answer", "hard", "All of it."}, incident.Answer{Question: "hard", Text: "All of it."}},
		{[]string{"postmortem", "finding", "add", "No alarm.", "--about", "architecture"}, incident.JudgeFinding{Finding: incident.Finding{About: "architecture", Text: "No alarm.", Accepted: true}}},
		{[]string{"follow-up", "add", "An alarm", "--owner", "Ada", "--due", "2026-04-01", "--done-when", "d", "--class", "detect", "--kind", "idea", "--tracker", "t"},
			incident.AddFollowUp{FollowUp: incident.FollowUp{What: "An alarm", Owner: "Ada", Due: due, DoneWhen: "d", Class: "detect", Kind: "idea", Tracker: "t"}}},
		{[]string{"follow-up", "change", "a1", "--owner", "Grace"}, incident.ChangeFollowUp{FollowUp: incident.FollowUp{ID: "a1", Owner: "Grace"}}},
		{[]string{"follow-up", "done", "a1"}, incident.EndFollowUp{ID: "a1", State: "done"}},
		{[]string{"follow-up", "verify", "a1"}, incident.EndFollowUp{ID: "a1", State: "verified"}},
		{[]string{"follow-up", "decline", "a1", "--reason", "why"}, incident.EndFollowUp{ID: "a1", State: "declined", Reason: "why"}},
	} {
		for id, more := range map[string][]string{"01JN8": nil, "01JA": {"--incident", "01JA"}} {
			s := loopScene()
			if r := run(t, s, append(c.args, more...)...); r.code != 0 {
				t.Errorf("%v: exit code %d: %s", c.args, r.code, r.err)
				continue
			}
			got, _ := json.Marshal(s.did[0])
			want, _ := json.Marshal(c.want)
			if string(got) != string(want) || s.sites[0] != id {
				t.Errorf("%v: did %s in %s, want %s in %s", c.args, got, s.sites[0], want, id)
			}
		}
	}
	s := loopScene()
	if r := run(t, s, "postmortem", "finish"); r.code != 0 || s.asked != "finish 01JN8" {
		t.Errorf("finish: %+v, asked %q", r, s.asked)
	}
}

// TestWhichIncident: the open one; the last where none is; nobody guesses between two.
func TestWhichIncident(t *testing.T) {
	t.Parallel()
	s := loopScene()
	s.heads = []engine.Head{{ID: "01JA", Site: "shop", Phase: incident.Closed}, {ID: "01JD", Site: "shop", Phase: incident.Closed, Drill: true}}
	if r := run(t, s, "follow-up", "done", "a1"); r.code != 0 || s.sites[0] != "01JA" {
		t.Errorf("none is open: %+v, in %v", r, s.sites)
	}
	s.heads = append(s.heads, engine.Head{ID: "01JB", Site: "shop", Phase: incident.Review}, engine.Head{ID: "01JC", Site: "blog", Phase: incident.FailOver})
	if r := run(t, s, "follow-up", "done", "a1"); r.code != 2 || !strings.Contains(r.err, "01JB, 01JC") {
		t.Errorf("two are open: %+v", r)
	}
	if r := run(t, s, "follow-up", "done", "a1", "--site", "blog"); r.code != 0 || s.sites[1] != "01JC" {
		t.Errorf("by its site: %+v, in %v", r, s.sites)
	}
	s.heads = nil
	if r := run(t, s, "cause", "list"); r.code != 4 {
		t.Errorf("no incident: %+v", r)
	}
}

// TestWeighing: a cause is added with what speaks for and against it.
func TestWeighing(t *testing.T) {
	t.Parallel()
	s := &adding{loopScene()}
	if r := run(t, s, "cause", "add", "It is so.", "--for", "e1,e2", "--against", "deploy-1"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	got, _ := json.Marshal(s.did)
	want := `[{"Statement":"It is so.","Prediction":""},{"Cause":"c2","Evidence":"e1","Stance":"for","Note":""},{"Cause":"c2","Evidence":"e2","Stance":"for","Note":""},{"Cause":"c2","Evidence":"deploy-1","Stance":"against","Note":""}]`
	if string(got) != want {
		t.Errorf("did %s\nwant %s", got, want)
	}
	if r := run(t, loopScene(), "cause", "weigh", "c1"); r.code != 2 {
		t.Errorf("weighing nothing: %+v", r)
	}
}

// adding answers with the causes that there are.
type adding struct{ *scene }

func (s *adding) Do(ctx context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error) {
	_, err := s.scene.Do(ctx, site, c, by)
	return engine.Result{Incident: *s.over.Sites[0].Incident, Events: happened()[:1]}, err
}

func TestEvidenceThereAndBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "error.log")
	if err := os.WriteFile(file, []byte("dry\x1b[2J\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := loopScene()
	if r := run(t, s, "evidence", "add", file, "--title", "The log", "--text", "of today"); r.code != 0 || s.asked != "attach shop error.log The log of today" || s.body != "dry\x1b[2J\n" {
		t.Errorf("a file: %+v, asked %q with %q", r, s.asked, s.body)
	}
	if r := run(t, s, "evidence", "show", "e1"); r.code != 0 || r.out != "dry\x1b[2J\n" {
		t.Errorf("into a pipe: %+v", r)
	}
	if r := runWith(t, s, Options{Screen: true}, "evidence", "show", "e1"); r.code != 0 || strings.Contains(r.out, "\x1b") || !strings.Contains(r.out, "dry") {
		t.Errorf("onto a screen: %+v", r)
	}
	to := filepath.Join(dir, "copy")
	if r := run(t, s, "evidence", "show", "e1", "-o", to); r.code != 0 || r.out != "" {
		t.Errorf("into a file: %+v", r)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != s.body {
		t.Errorf("%q, %v", b, err)
	}
	s.over.Sites[0].Incident.Evidence[0].Type = "image/png"
	if r := runWith(t, s, Options{Screen: true}, "evidence", "show", "e1"); r.code != 2 || !strings.Contains(r.err, "-o FILE") {
		t.Errorf("an image onto a screen: %+v", r)
	}
	if r := runWith(t, s, Options{In: strings.NewReader("from a pipe")}, "evidence", "add", "-", "--title", "x"); r.code != 0 || s.body != "from a pipe" {
		t.Errorf("from standard input: %+v, %q", r, s.body)
	}
	if r := run(t, s, "evidence", "add", "--title", "0 of 2 healthy"); r.code != 0 || s.asked != "attach shop  0 of 2 healthy " {
		t.Errorf("a note: %+v, asked %q", r, s.asked)
	}
	for _, args := range [][]string{{"evidence", "add"}, {"evidence", "add", dir}} {
		if r := run(t, s, args...); r.code != 2 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := run(t, s, "evidence", "add", filepath.Join(dir, "none")); r.code != 1 || !strings.Contains(r.err, "no such file") {
		t.Errorf("no file: %+v", r)
	}
	if r := run(t, s, "evidence", "show", "e9"); r.code != 4 {
		t.Errorf("no evidence: %+v", r)
	}
	if r := run(t, s, "evidence", "capture"); r.code != 0 || s.asked != "capture shop" {
		t.Errorf("capture: %+v, asked %q", r, s.asked)
	}
}

// TestProposeAsks: on a terminal without flags each line is asked for.
func TestProposeAsks(t *testing.T) {
	t.Parallel()
	s := loopScene()
	s.over.Sites[0].Checks = []string{"home", "basket"}
	s.over.Sites[0].Actions = []engine.Act{{Name: "restart"}}
	typed := "Roll it back\nhome\n2m\nDeploy it again\ntwo minutes\n\nrestart\n"
	r := runWith(t, s, Options{In: strings.NewReader(typed), Typed: true}, "fix", "propose")
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	want := incident.ProposeFix{Change: "Roll it back", Promise: incident.Promise{Check: "home", Within: 2 * time.Minute}, WayBack: "Deploy it again", Takes: "two minutes", Action: "restart"}
	if got := s.did[0]; got != incident.Command(want) {
		t.Errorf("proposed %+v, want %+v", got, want)
	}
	for _, asked := range []string{"I will …", "home, basket", "restart; empty: by hand"} {
		if !strings.Contains(r.err, asked) {
			t.Errorf("it did not ask %q: %s", asked, r.err)
		}
	}
	if r := runWith(t, s, Options{In: strings.NewReader("Restart\n\n5m\n\n\n\n\nOrders come in\n"), Typed: true}, "fix", "propose", "--reason", "why"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if got, is := s.did[1].(incident.ProposeFix); !is || got.Promise.To != "Orders come in" || got.Reason != "why" {
		t.Errorf("proposed %+v", s.did[1])
	}
	if r := run(t, s, "fix", "propose"); r.code != 2 || !strings.Contains(r.err, "--change") {
		t.Errorf("without a terminal: %+v", r)
	}
	if r := runWith(t, s, Options{In: strings.NewReader(""), Typed: true}, "fix", "propose"); r.code != 2 {
		t.Errorf("nobody answers: %+v", r)
	}
}

// TestPasswords: never from a flag; twice from a terminal, once from standard input.
func TestPasswords(t *testing.T) {
	t.Parallel()
	const good = "four words in a row"
	url := serveAPI(t, loopScene())
	secret := func(lines ...string) func() ([]byte, error) {
		return func() ([]byte, error) {
			if len(lines) == 0 {
				return nil, io.EOF
			}
			line := lines[0]
			lines = lines[1:]
			return []byte(line), nil
		}
	}
	for name, c := range map[string]struct {
		o    Options
		args []string
		code int
		says string
	}{
		"typed twice":     {Options{Secret: secret(good, good)}, []string{"add", "ada", "--role", "admin"}, 0, "may sign in as ada"},
		"not the same":    {Options{Secret: secret(good, good+"s")}, []string{"add", "bob"}, 2, "not the same"},
		"broken off":      {Options{Secret: secret(good)}, []string{"add", "bob"}, 1, "EOF"},
		"no terminal":     {Options{}, []string{"add", "bob"}, 2, "--password-stdin"},
		"standard input":  {Options{In: strings.NewReader(good + "\r\nmore\n")}, []string{"add", "grace", "--password-stdin"}, 0, "may sign in as grace"},
		"nothing there":   {Options{In: strings.NewReader("\n")}, []string{"add", "bob", "--password-stdin"}, 2, "empty"},
		"too long":        {Options{In: strings.NewReader(strings.Repeat("x", 5000))}, []string{"add", "bob", "--password-stdin"}, 2, "more than"},
		"weak":            {Options{In: strings.NewReader("hunter2")}, []string{"add", "bob", "--password-stdin"}, 2, "fewer than"},
		"no such role":    {Options{Secret: secret(good, good)}, []string{"add", "bob", "--role", "captain"}, 2, "no role"},
		"from a flag":     {Options{}, []string{"add", "bob", "--password", good}, 2, "unknown flag"},
		"no such account": {Options{Secret: secret(good, good)}, []string{"password", "nobody"}, 4, "no account"},
	} {
		r := commandWith(t, c.o, append(append([]string{"account"}, c.args...), "--server", url)...)
		if r.code != c.code || !strings.Contains(r.out+r.err, c.says) {
			t.Errorf("%s: %+v, want %d and %q", name, r, c.code, c.says)
		}
		if strings.Contains(r.out, good) || strings.Contains(r.err, good) && name != "from a flag" {
			t.Errorf("%s: the password is shown: %+v", name, r)
		}
	}
	if r := commandWith(t, Options{}, "account", "disable", "ada", "--server", url); r.code != 1 || !strings.Contains(r.err, "last account") {
		t.Errorf("the last admin: %+v", r)
	}
	for _, args := range [][]string{{"list"}, {"title", "grace", "Grace H."}, {"role", "grace", "commander"}, {"disable", "grace"}, {"enable", "grace"}, {"sessions", "grace"}, {"sign-out", "grace"}} {
		if r := commandWith(t, Options{}, append(append([]string{"account"}, args...), "--server", url)...); r.code != 0 || r.out == "" {
			t.Errorf("account %v: %+v", args, r)
		}
	}
}

func TestPostmortemText(t *testing.T) {
	t.Parallel()
	s := loopScene()
	file := filepath.Join(t.TempDir(), "text.md")
	if err := os.WriteFile(file, []byte("From a file."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    Options
		args []string
		want string // "": a usage error
	}{
		{Options{}, []string{"--file", file}, "From a file."},
		{Options{In: strings.NewReader("From a pipe.")}, nil, "From a pipe."},
		{Options{In: strings.NewReader("From a pipe.")}, []string{"--file", "-"}, "From a pipe."},
		{Options{Typed: true}, nil, ""},
		{Options{}, nil, ""},
		{Options{}, []string{"Typed.", "--file", file}, ""},
		{Options{In: strings.NewReader(strings.Repeat("x", 20_000))}, nil, ""},
	} {
		s.did = nil
		r := runWith(t, s, c.o, append([]string{"postmortem", "edit", "summary"}, c.args...)...)
		if c.want == "" {
			if r.code != 2 || len(s.did) > 0 {
				t.Errorf("%v: %+v", c.args, r)
			}
			continue
		}
		if len(s.did) == 0 || s.did[0] != incident.Command(incident.EditSection{Section: "summary", Text: c.want}) {
			t.Errorf("%v: %+v, did %v", c.args, r, s.did)
		}
	}
	for format, want := range map[string]string{"md": "# ", "html": "<html", "json": `"schema"`} {
		if r := run(t, s, "postmortem", "--format", format, "--public"); r.code != 0 || !strings.Contains(r.out, want) || s.asked != "write-up 01JN8 true" {
			t.Errorf("%s: %+v, asked %q", format, r, s.asked)
		}
	}
	if r := run(t, s, "postmortem", "show", "--format", "pdf"); r.code != 2 {
		t.Errorf("pdf: %+v", r)
	}
}

func TestChangesFlags(t *testing.T) {
	t.Parallel()
	s := loopScene()
	for since, want := range map[string]string{"": "2026-02-28T12:00:00Z", "2h": "2026-03-01T10:00:00Z", "7d": "2026-02-22T12:00:00Z", "2026-02-01": "2026-02-01T00:00:00Z", "2026-02-01T10:00:00Z": "2026-02-01T10:00:00Z"} {
		args := []string{"changes"}
		if since != "" {
			args = append(args, "--since", since)
		}
		if r := run(t, s, args...); r.code != 0 || s.asked != "changes of shop from "+want+", 50" {
			t.Errorf("since %q: %+v, asked %q", since, r, s.asked)
		}
	}
	if r := run(t, s, "changes", "--since", "yesterday"); r.code != 2 {
		t.Errorf("yesterday: %+v", r)
	}
	if r := run(t, s, "changes", "add", "Release 2.4", "--kind", "deploy", "--at", "20m", "--ref", "4f2a", "--id", "deploy-1", "--who", "ci", "--source", "ci", "--host", "web1", "--service", "shop"); r.code != 0 || !strings.Contains(r.out, "deploy-1") {
		t.Errorf("add: %+v", r)
	}
	want := ledger.Change{ID: "deploy-1", At: noon.Add(-20 * time.Minute), Site: "shop", Source: "ci", Kind: "deploy", Who: "ci", What: "Release 2.4", Ref: "4f2a", Host: "web1", Service: "shop"}
	if s.added != want {
		t.Errorf("added %+v, want %+v", s.added, want)
	}
	if r := run(t, s, "changes", "add", "The mail", "--all-sites"); r.code != 0 || s.added.Site != "" {
		t.Errorf("of all sites: %+v, %+v", r, s.added)
	}
}

// TestCompletion: a shell is offered the ids that there are, with their words.
func TestCompletion(t *testing.T) {
	t.Parallel()
	url := serveAPI(t, loopScene())
	for args, want := range map[string]string{
		"cause rule-out": "c2\tThe disk is full", "cause test": "c1\t", "cause test c1": "unclear", "evidence show": "e2\tThe pool", "fix approve": "f1\tRoll", "follow-up done": "a1\tAn alarm",
		"pull": "to-standby\t", "drill": "to-standby\t", "declare": "shop\t", "role take": "scribe", "severity": "critical", "changes mark": "deploy-1\t", "postmortem answer": "hard",
	} {
		words := append(append([]string{"__complete"}, strings.Fields(args)...), "--server", url, "")
		if r := command(t, words...); r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("%s: %+v does not offer %q", args, r, want)
		}
	}
	if r := command(t, "__complete", "cause", "rule-out", "--server", "http://127.0.0.1:1", ""); r.code != 0 || strings.Contains(r.out, "c1") {
		t.Errorf("with nobody there: %+v", r)
	}
}

// changing is an engine whose state is another one at every third look.
type changing struct {
	*scene
	looks atomic.Int64
	stop  context.CancelFunc
}

func (c *changing) Overview(context.Context) (engine.Overview, error) {
	n := c.looks.Add(1)
	if n == 2 {
		return engine.Overview{}, errors.New("disk on fire")
	}
	o := c.over
	o.Now = noon.Add(time.Duration(n) * time.Second)
	sites := append([]engine.SiteView(nil), o.Sites...)
	sites[0].Visits = feed.Visits{Failover: uint64(n)}
	if n > 4 {
		sites[0].Ordered.Position = "moved"
	}
	if n > 6 {
		c.stop()
	}
	o.Sites = sites
	return o, nil
}

// TestWatchShowsWhatChanged: not every second anew, and no failure ends it.
func TestWatchShowsWhatChanged(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		e := &changing{scene: calmScene(), stop: stop}
		var out, errs strings.Builder
		a := &app{o: Options{Out: &out, Now: func() time.Time { return noon }, Getenv: func(string) string { return "" }}, out: &plainWriter{&out}, err: &plainWriter{&errs}, every: time.Millisecond}
		c, err := a.client(ctx, &remote{server: serveAPI(t, e)})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.watch(ctx, c, asJSON); err != nil {
			t.Fatal(err)
		}
		marker, want := "Example Shop (shop)", 3 // at first, after the failure, and where it moved
		if asJSON {
			marker = `"version":"test"`
		}
		if got := strings.Count(out.String(), marker); got != want || !strings.Contains(out.String(), "moved") || strings.Count(errs.String(), "disk on fire") != 1 {
			t.Errorf("JSON %v: shown %d times, want %d; said %q:\n%s", asJSON, got, want, errs.String(), out.String())
		}
	}
}

func TestQueueActs(t *testing.T) {
	t.Parallel()
	s := loopScene()
	for _, act := range []string{"retry", "drop"} {
		if r := run(t, s, "queue", act, "m1-chat"); r.code != 0 || s.asked != act+" m1-chat" || r.out == "" {
			t.Errorf("%s: %+v, asked %q", act, r, s.asked)
		}
	}
	s.queue = nil
	if r := run(t, s, "queue", "list"); r.code != 0 || !strings.Contains(r.out, "Nothing waits") {
		t.Errorf("nothing: %+v", r)
	}
}

// TestHandoverTakesTheNewestOffer, unless one is named.
func TestHandoverTakesTheNewestOffer(t *testing.T) {
	t.Parallel()
	s := loopScene()
	in := s.over.Sites[0].Incident
	in.Handovers = []incident.Handover{{ID: "h1"}, {ID: "h2", AcceptedAt: noon}}
	if r := run(t, s, "handover", "accept"); r.code != 0 || s.did[0] != incident.Command(incident.AcceptHandover{Handover: "h1"}) {
		t.Errorf("%+v, did %v", r, s.did)
	}
	in.Handovers[0].AcceptedAt = noon
	if r := run(t, s, "handover", "accept"); r.code != 4 {
		t.Errorf("nothing is offered: %+v", r)
	}
}

// FuzzSpan: days count, nothing is negative by accident, and nothing overflows.
func FuzzSpan(f *testing.F) {
	for _, seed := range []string{"20m", "7d", "0d", "-1d", "99999d", "1h30m", "d", "", "1.5d", "10000d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := spanOf(text)
		if err == nil && strings.HasSuffix(text, "d") && (d < 0 || d > 10_000*24*time.Hour) {
			t.Errorf("%q is %s", text, d)
		}
	})
}
