package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	accounts "lifeboat/internal/account"
	"lifeboat/internal/answer"
	"lifeboat/internal/api"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/postmortem"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/token"
	"lifeboat/internal/zone"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	time.Local = time.UTC // screens show local times
	flag.Parse()
	os.Exit(m.Run())
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// scene is an engine that shows a fixed scene, and remembers what it was told to do.
type scene struct {
	api.Engine
	outside api.Outside
	over    engine.Overview
	heads   []engine.Head
	events  []incident.Event
	found   []engine.Finding
	drill   engine.DrillRecord
	err     error
	did     []incident.Command
	sites   []string
	by      incident.Actor

	in      *incident.Incident // what Incident gives, where it is not the site's
	changes []ledger.Change
	added   ledger.Change
	queue   []outbox.Message
	body    string // of evidence, and what was sent as evidence
	asked   string // what was asked for that is no command
}

func (s *scene) Overview(context.Context) (engine.Overview, error)        { return s.over, s.err }
func (s *scene) Incidents(context.Context) ([]engine.Head, error)         { return s.heads, s.err }
func (s *scene) Check(context.Context) ([]engine.Finding, error)          { return s.found, s.err }
func (s *scene) Events(context.Context, string) ([]incident.Event, error) { return s.events, s.err }
func (s *scene) SiteOf(string) (string, error)                            { return "shop", nil }
func (s *scene) ResumeAuto(context.Context, string) error                 { return s.err }
func (s *scene) Drill(context.Context, string, incident.Actor) (engine.DrillRecord, error) {
	return s.drill, s.err
}
func (s *scene) DoIn(_ context.Context, id string, c incident.Command, by incident.Actor) (engine.Result, error) {
	s.did, s.sites, s.by = append(s.did, c), append(s.sites, id), by
	return engine.Result{Incident: failedOver(), Events: s.events}, s.err
}
func (s *scene) FinishWriteUp(_ context.Context, id string, _ incident.Actor) (engine.Result, error) {
	s.asked = "finish " + id
	return engine.Result{Incident: failedOver()}, s.err
}
func (s *scene) WriteUp(_ context.Context, id string, public bool) (postmortem.Document, error) {
	s.asked = fmt.Sprintf("write-up %s %v", id, public)
	return postmortem.Document{Incident: id, Title: "Nothing loads"}, s.err
}
func (s *scene) Capture(_ context.Context, site string) error {
	s.asked = "capture " + site
	return s.err
}
func (s *scene) Attach(_ context.Context, site string, f engine.File, _ incident.Actor) (engine.Result, error) {
	s.asked = "attach " + site + " " + f.Name + " " + f.Title + " " + f.Text
	if f.Body != nil {
		b, err := io.ReadAll(f.Body)
		s.body = string(b)
		return engine.Result{Incident: failedOver()}, err
	}
	return engine.Result{Incident: failedOver()}, s.err
}
func (s *scene) Evidence(context.Context, string, string) (incident.Evidence, io.ReadSeekCloser, error) {
	return incident.Evidence{ID: "e1", Type: "text/plain", SHA256: "ab"}, inMemory{strings.NewReader(s.body)}, s.err
}
func (s *scene) AddChange(_ context.Context, c ledger.Change, _ incident.Actor) (ledger.Change, error) {
	s.added = c
	return c, s.err
}
func (s *scene) Changes(_ context.Context, q ledger.Query) ([]ledger.Change, error) {
	s.asked = fmt.Sprintf("changes of %s from %s, %d", q.Site, q.From.UTC().Format(time.RFC3339), q.Limit)
	return s.changes, s.err
}
func (s *scene) Queue(context.Context) ([]outbox.Message, error) { return s.queue, s.err }
func (s *scene) RollKey(_ context.Context, apex string) error {
	s.asked = "roll " + apex
	return s.err
}

func (s *scene) RetryMessage(_ context.Context, id string) error {
	s.asked = "retry " + id
	return s.err
}
func (s *scene) DropMessage(_ context.Context, id string) error {
	s.asked = "drop " + id
	return s.err
}

func (s *scene) PutChallenge(_ context.Context, name string, values []string, ttl time.Duration) (engine.Challenge, error) {
	s.asked = fmt.Sprint("prove ", name, values, ttl)
	return engine.Challenge{Name: zone.ChallengeOwner(name), Values: values, Until: noon.Add(ttl)}, s.err
}
func (s *scene) DropChallenge(_ context.Context, name string, values []string) error {
	s.asked = fmt.Sprint("unprove ", name, values)
	return s.err
}
func (s *scene) Challenges(context.Context) ([]engine.Challenge, error) {
	return []engine.Challenge{{Name: "_acme-challenge.shop.example.com.", Values: []string{"abc"}, Until: noon}}, s.err
}

// inMemory is a body that is in memory.
type inMemory struct{ *strings.Reader }

func (inMemory) Close() error { return nil }

func (s *scene) Incident(context.Context, string) (incident.Incident, error) {
	if s.in != nil {
		return *s.in, s.err
	}
	if in := s.over.Sites[0].Incident; in != nil {
		return *in, s.err
	}
	return failedOver(), s.err
}
func (s *scene) Do(_ context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error) {
	s.did, s.sites, s.by = append(s.did, c), append(s.sites, site), by
	return engine.Result{Incident: failedOver(), Events: s.events}, s.err
}

func failedOver() incident.Incident {
	return incident.Incident{
		ID: "01JN8", Site: "shop", Title: "Nothing loads", Phase: incident.Diagnose, Since: noon.Add(-12 * time.Minute), DeclaredAt: noon.Add(-15 * time.Minute), Seq: 4,
		Pulls: []incident.Pull{{ID: "P1", Lever: "to-standby", Kind: "zone", Title: "Show visitors the status page", State: incident.Active, From: "main", To: "standby"}},
	}
}

func happened() []incident.Event {
	ada := incident.Actor{Kind: "person", Name: "Ada", Via: "cli", Role: "admin"}
	in := incident.Incident{ID: "01JN8"}
	at := func(min int) time.Time { return noon.Add(time.Duration(min) * time.Minute) }
	n := 0
	return in.Seal([]incident.Event{
		{Incident: "01JN8", Type: incident.Declared, At: at(-15), Actor: ada, Text: "Ada declared: Nothing loads"},
		{Incident: "01JN8", Type: incident.LeverApplying, At: at(-13), Actor: ada, Text: `Ada pulled "Show visitors the status page": from main to standby.`},
		{Incident: "01JN8", Type: incident.CheckVerdict, At: at(-12), Actor: incident.Actor{Kind: "rule"}, Text: "Sanity check home: pass (1 of 10 in a row)."},
		{Incident: "01JN8", Type: incident.NoteAdded, At: at(-11), Actor: ada, Text: "Ada: it smells\x1b[31m of smoke\ttoo"},
	}, noon, func() string { n++; return "E" + string(rune('0'+n)) })
}

func calmScene() *scene {
	sight := feed.Sight{Site: "shop", Place: "main", Check: "home", Gate: true, Seen: probe.Up, Last: probe.Result{Verdict: probe.Pass}}
	return &scene{events: happened(), over: engine.Overview{
		Now: noon, Version: "test", Answer: engine.AnswerView{Connected: true, Ready: true},
		Sites: []engine.SiteView{{
			ID: "shop", Title: "Example Shop", Ordered: engine.OrderedView{Position: "main", Home: true},
			Seen: []engine.PlaceView{
				{Place: "main", Role: "home", Seen: probe.Up, AgeMS: 2100, Checks: []feed.Sight{sight}},
				{Place: "standby", Role: "standby", Seen: probe.Unknown, AgeMS: -1},
			},
			Levers: []engine.LeverView{
				{Name: "to-standby", Title: "Show visitors the status page", Says: "Nobody can buy.", Site: "shop", To: "standby", State: "free", Armed: true, Drill: engine.DrillRecord{At: noon.Add(-26 * time.Hour), OK: true}},
				{Name: "close-checkout", Title: "Close the checkout", Site: "shop", To: "checkout", State: "free"},
			},
		}},
	}}
}

func crisisScene() *scene {
	s := calmScene()
	in, site := failedOver(), &s.over.Sites[0]
	site.Incident, site.Tail = &in, happened()
	site.Ordered = engine.OrderedView{Position: "standby", Since: noon.Add(-13 * time.Minute)}
	site.Seen[0].Seen = probe.Down
	site.Seen[0].Checks[0].Last = probe.Result{Verdict: probe.Fail, Detail: "connection refused"}
	site.Seen[1].Seen, site.Seen[1].AgeMS = probe.Up, 400
	site.Levers[0].State, site.Visits = "active", feed.Visits{Failover: 1234, Late: 3}
	return s
}

type ran struct {
	code     int
	out, err string
}

// run runs a command against an engine, as control.sock would let it in.
func run(t *testing.T, e api.Engine, args ...string) ran {
	t.Helper()
	return runWith(t, e, Options{}, args...)
}

// runWith is run in a world of its own.
func runWith(t *testing.T, e api.Engine, o Options, args ...string) ran {
	t.Helper()
	return commandWith(t, o, append(args, "--server", serveAPI(t, e))...)
}

// serveAPI serves an engine as control.sock would, with books of accounts and tokens.
func serveAPI(t *testing.T, e api.Engine) (url string) {
	t.Helper()
	log, record := slog.New(slog.DiscardHandler), mem.New(mem.Options{})
	book, err := token.New(t.Context(), record, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	people, err := accounts.New(t.Context(), accounts.Options{Store: record, Now: func() time.Time { return noon }, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	o := api.Options{Engine: e, Tokens: book, Accounts: people, Logger: log, Now: time.Now, Root: true}
	if s, is := e.(*scene); is && s.outside != nil {
		o.Outside = s.outside
	}
	srv := httptest.NewServer(api.New(o))
	t.Cleanup(srv.Close)
	return srv.URL
}

// command runs a command in a world without a lifeboat.
func command(t *testing.T, args ...string) ran {
	t.Helper()
	return commandWith(t, Options{}, args...)
}

func commandWith(t *testing.T, o Options, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	o.Version, o.Out, o.Err, o.Getenv, o.Now = "test", &out, &errs, func(string) string { return "" }, func() time.Time { return noon }
	if o.In == nil {
		o.In = strings.NewReader("")
	}
	code := Run(t.Context(), o, args)
	return ran{code, out.String(), errs.String()}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s is not what is shown; look at it, then: go test ./internal/cli -update\n got:\n%s\nwant:\n%s", path, got, want)
	}
}

func TestScreens(t *testing.T) {
	t.Parallel()
	returning, held := crisisScene(), crisisScene()
	returning.over.Sites[0].Incident.Phase = incident.FailBack
	returning.over.Sites[0].Incident.Return = &incident.Return{Because: "It is fixed", Needed: 10, Streak: map[string]int{"home": 3, "basket": 0}}
	held.over.Sites[0].Incident.Phase = incident.Watch
	held.over.Sites[0].Incident.Pulls = nil
	held.over.Sites[0].Incident.WatchUntil = noon.Add(time.Hour)
	alone := calmScene()
	alone.over.Answer = engine.AnswerView{}
	alone.over.Record = engine.RecordView{Degraded: true, Reason: "no space left on device", Pending: 3}
	crisis := crisisScene()
	crisis.heads = []engine.Head{
		{ID: "01JA", Site: "shop", Title: "DRILL of to-standby", Phase: incident.Closed, Drill: true, DeclaredAt: noon.Add(-100 * time.Hour), EndedAt: noon.Add(-99 * time.Hour)},
		{ID: "01JB", Site: "shop", Title: "Slow", Phase: incident.Cancelled, DeclaredAt: noon.Add(-50 * time.Hour), EndedAt: noon.Add(-49 * time.Hour)},
		{ID: "01JN8", Site: "shop", Title: "Nothing loads", Phase: incident.Diagnose, DeclaredAt: noon.Add(-15 * time.Minute)},
	}
	crisis.found = []engine.Finding{
		{Severity: engine.SeverityWarning, Code: "one-name-server", About: "example.com.", Title: "Name servers", Text: "One name server: if this machine dies, your site disappears.", Next: "Run a second one."},
		{Severity: engine.SeverityOK, Code: "record", Title: "The record", Text: "What happens is written down."},
	}
	crisis.drill = engine.DrillRecord{OK: true, ThereMS: 12, BackMS: 9, ArmedUntil: noon.Add(720 * time.Hour)}
	for _, c := range []struct {
		name  string
		scene *scene
		args  []string
	}{
		{"status_calm", calmScene(), []string{"status"}},
		{"status_failed_over", crisis, []string{"status"}},
		{"status_returning", returning, []string{"status"}},
		{"status_watching", held, []string{"status"}},
		{"status_alone", alone, []string{"status"}},
		{"levers", crisis, []string{"levers"}},
		{"timeline", crisis, []string{"timeline"}},
		{"timeline_full", crisis, []string{"timeline", "--full", "01JN8"}},
		{"incidents", crisis, []string{"incidents"}},
		{"check", crisis, []string{"check"}},
		{"check_all", crisis, []string{"check", "--all"}},
		{"drill", crisis, []string{"drill", "--all"}},
		{"pull", crisis, []string{"pull", "to-standby"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, c.scene, c.args...)
			if r.code != 0 || r.err != "" {
				t.Fatalf("exit code %d, stderr %q", r.code, r.err)
			}
			if strings.Contains(r.out, "\x1b") {
				t.Error("a control character reaches the terminal")
			}
			for line := range strings.Lines(r.out) {
				if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
					t.Errorf("a line ends in spaces: %q", line)
				}
			}
			golden(t, c.name, r.out)
		})
	}
}

// TestCommandsReachTheEngine: each command is the one that its words promise.
func TestCommandsReachTheEngine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want incident.Command
	}{
		{[]string{"declare", "shop", "--title", "Dark", "--symptom", "nothing-loads", "--noticed", "staff", "--since", "20m"},
			incident.Declare{Title: "Dark", Symptom: "nothing-loads", Noticed: "staff", FirstSymptomAt: noon.Add(-20 * time.Minute)}},
		{[]string{"declare"}, incident.Declare{}},
		{[]string{"declare", "It hangs"}, incident.Declare{Title: "It hangs"}},
		{[]string{"declare", "shop", "Slow"}, incident.Declare{Title: "Slow"}},
		{[]string{"pull", "to-standby", "--reason", "why"}, engine.PullRequest{Lever: "to-standby", PullLever: incident.PullLever{Reason: "why"}}},
		{[]string{"put-back", "to-standby", "--reason", "why"}, incident.PutBack{Lever: "to-standby", Reason: "why"}},
		{[]string{"note", "It smells."}, incident.Note{Text: "It smells."}},
		{[]string{"go-on", "--reason", "why"}, incident.DecideNoFailover{Reason: "why"}},
		{[]string{"no-failover", "--reason", "why"}, incident.DecideNoFailover{Reason: "why"}},
		{[]string{"go-back", "start", "--because", "fixed", "--reason", "why"}, incident.GoBack{Because: "fixed", Reason: "why"}},
		{[]string{"go-back", "advance", "--reason", "why"}, incident.Advance{Reason: "why"}},
		{[]string{"go-back", "step-back"}, incident.StepBack{}},
		{[]string{"go-back", "end-watch", "--reason", "why"}, incident.WatchOver{Reason: "why"}},
		{[]string{"cancel", "--reason", "why"}, incident.Cancel{Reason: "why"}},
		{[]string{"close", "--reason", "why"}, incident.Close{Reason: "why"}},
		{[]string{"make-permanent", "--reason", "why"}, incident.MakePermanent{Reason: "why"}},
		{[]string{"park", "close-checkout", "--owner", "Ada", "--until", "2026-03-09", "--reason", "why"},
			incident.ParkLever{Lever: "close-checkout", Owner: "Ada", Until: time.Date(2026, 3, 9, 23, 59, 0, 0, time.UTC), Reason: "why"}},
		{[]string{"park", "close-checkout", "--owner", "Ada", "--until", "5d", "--reason", "why"},
			incident.ParkLever{Lever: "close-checkout", Owner: "Ada", Until: noon.Add(5 * 24 * time.Hour), Reason: "why"}},
		{[]string{"unpark", "close-checkout"}, incident.UnparkLever{Lever: "close-checkout"}},
		{[]string{"changes", "mark", "deploy-1", "--note", "n"}, incident.MarkChange{Change: "deploy-1", Suspect: true, Note: "n"}},
		{[]string{"changes", "mark", "deploy-1", "--clear"}, incident.MarkChange{Change: "deploy-1"}},
		{[]string{"cause", "add", "It is so.", "--predicts", "p"}, incident.OpenCause{Statement: "It is so.", Prediction: "p"}},
		{[]string{"cause", "weigh", "c1", "--against", "e1", "--note", "n"}, incident.WeighCause{Cause: "c1", Evidence: "e1", Stance: "against", Note: "n"}},
		{[]string{"cause", "test", "c1", "held", "--saw", "s", "--predicts", "p"}, incident.TestCause{Cause: "c1", Prediction: "p", Outcome: "held", Saw: "s"}},
		{[]string{"cause", "rule-out", "c1", "--reason", "why"}, incident.RuleOut{Cause: "c1", Reason: "why"}},
		{[]string{"cause", "park", "c1", "--reason", "why"}, incident.ParkCause{Cause: "c1", Reason: "why"}},
		{[]string{"cause", "reopen", "c1", "--reason", "why"}, incident.ReopenCause{Cause: "c1", Reason: "why"}},
		{[]string{"cause", "confirm", "c1", "--also", "c2,c3", "--factor", "a, b", "--factor", "c", "--confidence", "likely", "--reason", "why"},
			incident.ConfirmCause{Cause: "c1", Also: []string{"c2", "c3"}, Factors: []string{"a, b", "c"}, Confidence: "likely", Reason: "why"}},
		{[]string{"cause", "withdraw", "--reason", "why"}, incident.WithdrawDiagnosis{Reason: "why"}},
		{[]string{"fix", "propose", "--change", "c", "--check", "home", "--below", "500ms", "--within", "2m", "--way-back", "w", "--takes", "t", "--risk", "r", "--owner", "o", "--action", "a", "--reason", "why"},
			incident.ProposeFix{Change: "c", Promise: incident.Promise{Check: "home", Below: 500 * time.Millisecond, Within: 2 * time.Minute}, WayBack: "w", Takes: "t", Risk: "r", Owner: "o", Action: "a", Reason: "why"}},
		{[]string{"fix", "report", "--change", "c", "--to", "Orders come in", "--owner", "o"}, incident.ReportFix{Change: "c", Promise: incident.Promise{To: "Orders come in"}, Owner: "o"}},
		{[]string{"fix", "withdraw", "--reason", "why"}, incident.WithdrawFix{Reason: "why"}},
		{[]string{"fix", "approve", "f1"}, incident.ApproveFix{}},
		{[]string{"fix", "object", "f1", "--reason", "why"}, incident.ObjectToFix{Reason: "why"}},
		{[]string{"fix", "go-alone", "--reason", "why"}, incident.GoAlone{Reason: "why"}},
		{[]string{"fix", "begin"}, incident.ApplyFix{}},
		{[]string{"fix", "done"}, incident.FixCarriedOut{OK: true}},
		{[]string{"fix", "done", "--failed", "--detail", "d"}, incident.FixCarriedOut{Detail: "d"}},
		{[]string{"fix", "judge", "no-effect", "--reason", "why"}, incident.JudgeFix{Result: incident.StateNoEffect, Reason: "why"}},
		{[]string{"fix", "measure"}, incident.MeasureFix{}},
		{[]string{"fix", "roll-back", "f2"}, incident.TakeBackFix{Fix: "f2"}},
		{[]string{"fix", "rolled-back"}, incident.FixTakenBack{OK: true}},
		{[]string{"fix", "keep", "--reason", "why"}, incident.KeepFix{Reason: "why"}},
		{[]string{"severity", "high", "--why", "w"}, incident.SetSeverity{Level: "high", Why: "w"}},
		{[]string{"role", "take", "lead"}, incident.TakeRole{Role: "lead"}},
		{[]string{"role", "release", "lead"}, incident.ReleaseRole{Role: "lead"}},
		{[]string{"handover", "offer", "lead", "--to", "Grace", "--things", "t", "--doing", "d", "--needs", "n"},
			incident.OfferHandover{Role: "lead", To: "Grace", Brief: incident.Brief{Things: "t", Doing: "d", Needs: "n"}}},
		{[]string{"handover", "accept", "h1"}, incident.AcceptHandover{Handover: "h1"}},
		{[]string{"decide", "q?", "--chosen", "a", "--because", "r", "--option", "a, or", "--option", "b"}, incident.Choose{Question: "q?", Options: []string{"a, or", "b"}, Chosen: "a", Reason: "r"}},
		{[]string{"object", "d1", "no"}, incident.Object{Decision: "d1", Text: "no"}},
		{[]string{"update", "We know.", "--to", "public", "--next", "20m"}, incident.SendUpdate{Audience: "public", Text: "We know.", NextIn: 20 * time.Minute}},
		{[]string{"update", "It is over.", "--to", "staff", "--over"}, incident.SendUpdate{Audience: "staff", Text: "It is over.", Final: true}},
		{[]string{"update", "snooze", "15m", "--reason", "why"}, incident.SnoozeUpdate{By: 15 * time.Minute, Reason: "why"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			s := calmScene()
			if r := run(t, s, c.args...); r.code != 0 {
				t.Fatalf("exit code %d: %s", r.code, r.err)
			}
			got, want := s.did[0], c.want
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(want)
			if string(a) != string(b) || s.sites[0] != "shop" {
				t.Errorf("did %T %s on %s, want %T %s", got, a, s.sites[0], want, b)
			}
			if s.by.Via != "cli" {
				t.Errorf("by %+v, want via cli", s.by)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	s := crisisScene()
	s.heads = []engine.Head{{ID: "01JN8"}}
	s.over.Sites[0].Incident.Evidence = []incident.Evidence{{ID: "e1", Title: "x"}}
	url := serveAPI(t, s)
	if r := commandWith(t, Options{In: strings.NewReader("four words in a row\n")}, "account", "add", "ada", "--password-stdin", "--json", "--server", url); r.code != 0 || !json.Valid([]byte(r.out)) {
		t.Fatalf("account add: %+v", r)
	}
	for _, args := range []string{"evidence list", "evidence show e1", "evidence capture", "changes", "changes add x", "cause list", "cause add x", "fix list", "follow-up list", "follow-up list --all", "postmortem", "postmortem show --format md",
		"queue list", "queue drop m1", "account list", "account role ada viewer", "account sessions ada", "account sign-out ada", "account disable ada", "status", "levers", "timeline", "incidents", "check", "drill to-standby", "pull to-standby", "token list", "token create Ada", "auto resume shop"} {
		s.drill.OK = true
		r := commandWith(t, Options{}, append(strings.Fields(args), "--json", "--server", url)...)
		if r.code != 0 || !json.Valid([]byte(r.out)) || strings.TrimSpace(r.out) == "null" {
			t.Errorf("%s: exit code %d, not JSON: %s%s", args, r.code, r.out, r.err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want int
		says []string
	}{
		"refused": {&fault.Refusal{Rule: "R1", Reason: "Not armed.", Satisfy: "Rehearse it.", Overridable: true}, 3,
			[]string{"rule R1", "Not armed.", "what would satisfy it: Rehearse it.", "--reason"}},
		"refused for good": {&fault.Refusal{Rule: "R5", Reason: "Still pulled.", Satisfy: "Put it back."}, 3, []string{"rule R5"}},
		"not found":        {fault.New(fault.NotFound, "no lever").WithHint("look"), 4, []string{"no lever", "next: look"}},
		"invalid":          {fault.New(fault.Invalid, "too long").At("title"), 2, []string{"title: too long"}},
		"conflict":         {fault.New(fault.Conflict, "pulled already"), 1, []string{"pulled already"}},
		"unavailable":      {fault.New(fault.Unavailable, "answer is away"), 1, []string{"answer is away"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := calmScene()
			s.err = c.err
			r := run(t, s, "pull", "to-standby")
			if r.code != c.want || r.out != "" {
				t.Errorf("exit code %d, want %d; stdout %q", r.code, c.want, r.out)
			}
			for _, text := range c.says {
				if !strings.Contains(r.err, text) {
					t.Errorf("stderr %q does not say %q", r.err, text)
				}
			}
			if c.want == 3 && name == "refused for good" && strings.Contains(r.err, "--reason") {
				t.Errorf("stderr %q offers what does not help", r.err)
			}
		})
	}
}

func TestFailuresCount(t *testing.T) {
	t.Parallel()
	s := calmScene()
	s.drill = engine.DrillRecord{Detail: "the way back: nobody answered"}
	if r := run(t, s, "drill", "to-standby"); r.code != 1 || !strings.Contains(r.out, "failed: the way back") {
		t.Errorf("a drill that failed: %+v", r)
	}
	s.found = []engine.Finding{{Severity: engine.SeverityProblem, Title: "T", Text: "X"}}
	if r := run(t, s, "check"); r.code != 1 {
		t.Errorf("a problem: %+v", r)
	}
}

func TestWhichSite(t *testing.T) {
	t.Parallel()
	s := calmScene()
	s.over.Sites = append(s.over.Sites, engine.SiteView{ID: "blog"})
	if r := run(t, s, "note", "x"); r.code != 2 || !strings.Contains(r.err, "shop, blog") {
		t.Errorf("two calm sites: %+v", r)
	}
	in := failedOver()
	s.over.Sites[1].Incident = &in
	if r := run(t, s, "note", "x"); r.code != 0 || s.sites[0] != "blog" {
		t.Errorf("the one in trouble: %+v %v", r, s.sites)
	}
	if r := run(t, s, "note", "x", "--site", "shop"); r.code != 0 || s.sites[1] != "shop" {
		t.Errorf("the one named: %+v %v", r, s.sites)
	}
}

// TestAnswerSocket speaks to a socket that answers as answer does.
func TestAnswerSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "answer.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked := make(chan answer.Request, 16)
	go serveAnswer(l, asked)
	if r := command(t, "answer", "status", "--data", dir); r.code != 0 {
		t.Errorf("status: %+v", r)
	} else {
		golden(t, "answer_status", r.out)
	}
	if r := command(t, "answer", "pull", "to-standby", "--data", dir); r.code != 0 || !strings.Contains(r.out, "in force here") {
		t.Errorf("pull: %+v", r)
	}
	if r := command(t, "answer", "adopt", "7", "--data", dir, "--json"); r.code != 0 || !json.Valid([]byte(r.out)) {
		t.Errorf("adopt: %+v", r)
	}
	if r := command(t, "answer", "adopt", "x", "--data", dir); r.code != 2 {
		t.Errorf("adopt x: %+v", r)
	}
	if r := command(t, "answer", "pull", "nope", "--data", dir); r.code != 4 || !strings.Contains(r.err, "no lever") {
		t.Errorf("pull nope: %+v", r)
	}
	if r := command(t, "answer", "trust", "KEY", "--data", t.TempDir()); r.code != 5 {
		t.Errorf("trust without answer: %+v", r)
	}
	for _, want := range []answer.Request{{Do: "status"}, {Do: "pull", Lever: "to-standby"}, {Do: "adopt", Epoch: 7}, {Do: "pull", Lever: "nope"}} {
		if got := <-asked; got != want {
			t.Errorf("asked %+v, want %+v", got, want)
		}
	}
}

func serveAnswer(l net.Listener, asked chan<- answer.Request) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var q answer.Request
		if json.NewDecoder(c).Decode(&q) == nil {
			asked <- q
			r := answer.Reply{OK: q.Lever != "nope", PID: 7, Ready: true, Status: &answer.Standing{
				Epoch: 2, Revision: 40, Positions: map[string]string{"shop": "standby", "shop~drill": "main"}, Seen: map[string]string{"shop main": "down"}, SilentS: 75,
				Orders: []snapshot.Order{{Lever: "to-standby", By: "uid 0", At: noon}}, Levers: []snapshot.Lever{{Name: "to-standby", Title: "Show visitors the status page"}},
			}}
			if !r.OK {
				r.Err, r.Kind = `there is no lever "nope"`, fault.NotFound
			}
			_ = json.NewEncoder(c).Encode(r)
		}
		_ = c.Close()
	}
}

// TestSocketIsFound: without a token the data folder's socket is used, by itself or
// by --data.
func TestSocketIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("lifeboat-data", 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join("lifeboat-data", "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	book, err := token.New(t.Context(), mem.New(mem.Options{}), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(api.New(api.Options{Engine: calmScene(), Tokens: book, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Root: true}))
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	for _, args := range [][]string{{"status"}, {"status", "--data", "lifeboat-data"}, {"status", "--data", "lifeboat-data", "--token", "x"}, {"status", "--server", "unix:lifeboat-data/control.sock"}} {
		if r := command(t, args...); r.code != 0 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	// A token is for the usual address, at which some other lifeboat may run here.
	if r := command(t, "status", "--token", "x"); r.code == 0 {
		t.Errorf("with a token: %+v", r)
	}
	for _, args := range [][]string{{"status", "--data", "elsewhere"}, {"status", "--server", "http://127.0.0.1:1"}} {
		if r := command(t, args...); r.code != 5 {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// wayBack is a scene whose return ends by itself, in a phase.
type wayBack struct {
	*scene
	end   incident.Phase
	looks atomic.Int64
}

func (r *wayBack) Do(context.Context, string, incident.Command, incident.Actor) (engine.Result, error) {
	in := failedOver()
	in.Phase = incident.FailBack
	return engine.Result{Incident: in, Events: happened()[2:3]}, nil
}

func (r *wayBack) Incident(context.Context, string) (incident.Incident, error) {
	in := failedOver()
	in.Phase = incident.FailBack
	if r.looks.Add(1) > 1 {
		in.Phase = r.end
	}
	return in, nil
}

func (r *wayBack) Events(context.Context, string) ([]incident.Event, error) {
	return append(happened(), incident.Event{Incident: "01JN8", Seq: 5, Type: incident.PhaseChanged, Text: "It is over."}), nil
}

func TestWaitForReturn(t *testing.T) {
	t.Parallel()
	r := run(t, &wayBack{scene: calmScene(), end: incident.Watch}, "go-back", "start", "--because", "fixed", "--wait")
	if r.code != 0 || !strings.Contains(r.out, "It is over.") || !strings.Contains(r.out, "Watching") || strings.Contains(r.out, "Ada declared") {
		t.Errorf("a return: %+v", r)
	}
	r = run(t, &wayBack{scene: calmScene(), end: incident.Diagnose}, "go-back", "start", "--because", "fixed", "--wait")
	if r.code != 1 || !strings.Contains(r.err, "the return was given up") {
		t.Errorf("a return that was given up: %+v", r)
	}
}

// TestZoneServe asks a running zone serve over the network, then stops it.
func TestZoneServe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "example.com.zone")
	text := "$ORIGIN example.com.\n@ 60 IN SOA ns1 hostmaster 7 3600 600 86400 60\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, Options{Out: w, Err: io.Discard, Getenv: os.Getenv, Now: time.Now}, []string{"zone", "serve", file, "--dns", "127.0.0.1:0"})
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	addr, _, found := strings.Cut(strings.TrimPrefix(line, "answering 1 zone at "), ",")
	if err != nil || !found {
		t.Fatalf("%q, %v", line, err)
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	servers, err := resolver.LookupNS(ctx, "example.com.")
	if err != nil || len(servers) != 1 || servers[0].Host != "ns1.example.com." {
		t.Errorf("NS: %v, %v", servers, err)
	}
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d after being stopped", got)
	}
}

// TestTakenDNSPortNamesItsFlag: whoever reads it has several addresses to choose from.
func TestTakenDNSPortNamesItsFlag(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "example.com.zone")
	text := "$ORIGIN example.com.\n@ 60 IN SOA ns1 hostmaster 7 3600 600 86400 60\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.LocalAddr().String()
	for name, args := range map[string][]string{
		"zone serve": {"zone", "serve", file, "--dns", addr},
		"answer":     {"answer", "--data", dir, "--dns", addr, "--standby-http", "127.0.0.1:0", "--ofrep", "127.0.0.1:0"},
	} {
		var said strings.Builder
		code := Run(t.Context(), Options{Out: io.Discard, Err: &said, Getenv: os.Getenv, Now: time.Now}, args)
		if code == 0 || !strings.Contains(said.String(), "--dns "+addr) || !strings.Contains(said.String(), "taken") {
			t.Errorf("%s: exit code %d, said %q", name, code, said.String())
		}
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	r := command(t, "--help")
	for _, name := range []string{"status", "declare", "levers", "pull", "put-back", "go-on", "note", "update", "evidence", "changes", "cause", "fix", "role", "handover", "go-back", "postmortem", "follow-up", "queue", "account", "timeline", "drill", "check", "zone", "config", "token", "answer", "completion", "version"} {
		if !strings.Contains(r.out, "\n  "+name+" ") {
			t.Errorf("help does not name %s", name)
		}
	}
	if strings.Index(r.out, "declare") > strings.Index(r.out, "put-back") {
		t.Error("commands are not in the order in which a crisis needs them")
	}
}

func TestLasted(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 12 * time.Millisecond: "12 ms", 3 * time.Second: "3 s", 61 * time.Second: "1 min 01 s", 26 * time.Hour: "26 h 00 min", 49 * time.Hour: "2 days",
	} {
		if got := lasted(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
