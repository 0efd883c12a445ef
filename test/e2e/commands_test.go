package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
)

// The promised exit codes.
const (
	done        = 0
	failed      = 1
	usage       = 2
	refused     = 3
	notFound    = 4
	unreachable = 5
)

// Ran is a command of lifeboat that has ended.
type Ran struct {
	code     int
	out, err string
}

// Teller is somebody at a terminal somewhere else: an address, a token, and the one
// command.
type Teller struct {
	b    *Boat
	name string
	env  []string
}

// Teller makes a token by the command for it, on lifeboat's own machine.
func (b *Boat) Teller(name, may string) *Teller {
	b.t.Helper()
	made := b.typed(nil, "", "token", "create", name, "--role", may, "--data", b.data)
	text := strings.TrimSpace(made.out)
	if made.code != done || text == "" || strings.ContainsAny(text, " \n") {
		b.t.Fatalf("token create %s: %+v", name, made)
	}
	return &Teller{b, name, []string{"LIFEBOAT_SERVER=http://" + b.Console(), "LIFEBOAT_TOKEN=" + text}}
}

// typed runs a command of lifeboat to its end.
func (b *Boat) typed(env []string, stdin string, args ...string) Ran {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*within)
	defer cancel()
	cmd := b.Command(args...)
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = strings.NewReader(stdin), &out, &errs, 5*time.Second
	b.Must(cmd.Start())
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		b.t.Fatalf("lifeboat %s: %v", strings.Join(args, " "), err)
	}
	return Ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// says types a command that must end with a code, and gives what it wrote.
func (p *Teller) says(code int, args ...string) Ran {
	p.b.t.Helper()
	return p.pipes(code, "", args...)
}

// pipes is says with something on standard input.
func (p *Teller) pipes(code int, stdin string, args ...string) Ran {
	p.b.t.Helper()
	ran := p.b.typed(p.env, stdin, args...)
	if ran.code != code {
		p.b.t.Fatalf("%s: lifeboat %s: exit code %d, not %d\n%s%s", p.name, strings.Join(args, " "), ran.code, code, ran.out, ran.err)
	}
	if code != done && ran.err == "" {
		p.b.t.Errorf("%s: lifeboat %s: it ends with %d and says nothing", p.name, strings.Join(args, " "), code)
	}
	return ran
}

// does types a command that must work.
func (p *Teller) does(args ...string) { p.b.t.Helper(); p.says(done, args...) }

// stopped types a command that a guard rail must refuse, in words.
func (p *Teller) stopped(rule string, args ...string) {
	p.b.t.Helper()
	ran := p.says(refused, args...)
	if !strings.Contains(ran.err, "rule "+rule+":") || !strings.Contains(ran.err, "what would satisfy it: ") || ran.out != "" {
		p.b.t.Errorf("%s: lifeboat %s is not refused by %s:\n%s%s", p.name, strings.Join(args, " "), rule, ran.out, ran.err)
	}
}

// reads types a command with --json, and reads what it writes, which must be JSON and
// nothing else.
func (p *Teller) reads(into any, args ...string) {
	p.b.t.Helper()
	ran := p.says(done, append(args, "--json")...)
	if err := json.Unmarshal([]byte(ran.out), into); err != nil {
		p.b.t.Fatalf("%s: lifeboat %s --json: %v in\n%s", p.name, strings.Join(args, " "), err, ran.out)
	}
}

// result types an act with --json, and gives the incident as it is then.
func (p *Teller) result(args ...string) api.Incident {
	p.b.t.Helper()
	var r api.Result
	p.reads(&r, args...)
	if r.Incident.ID == "" {
		p.b.t.Errorf("%s: lifeboat %s --json tells of no incident", p.name, strings.Join(args, " "))
	}
	return r.Incident
}

// TestByCommands carries a crisis from its beginning to its end with nothing but the
// command line, by two people who sit elsewhere.
func TestByCommands(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Ready: (*Boat).withRepair})
	c := &byCommands{b: b, ada: b.Teller("Ada", "operator"), ben: b.Teller("Ben", "commander")}
	root := &Teller{b, "root", []string{"LIFEBOAT_SERVER=unix:" + filepath.Join(b.data, "control.sock")}}
	root.pipes(done, password+"\n", "account", "add", "cleo", "--title", "Cleo", "--role", "operator", "--password-stdin") // so that somebody could read a fix
	b.Load()
	b.main.Down()
	c.safe()
	c.changes()
	c.evidence()
	c.causes()
	c.first()
	c.second()
	c.back()
	c.end()
	b.Settle()
}

type byCommands struct {
	b        *Boat
	ada, ben *Teller
	id       string
	log      string // id of the log that was added as evidence
}

// safe declares and pulls; what can't be done yet is told with its exit code.
func (c *byCommands) safe() {
	c.ada.says(notFound, "note", "Nothing is open.")
	in := c.ada.result("declare", "shop", "--title", "Nothing loads", "--symptom", "nothing-loads", "--noticed", "visitor", "--since", "5m")
	if c.id = in.ID; in.Phase != incident.FailOver || in.Title != "Nothing loads" || in.FirstSymptomAt.IsZero() {
		c.b.t.Errorf("declared: %+v", in)
	}
	c.ada.stopped("R6", "fix", "propose", "--change", "Restart it.", "--check", "home", "--way-back", "None.", "--takes", "a minute")
	c.ada.says(notFound, "pull", "to-nowhere")
	c.ada.says(usage, "pull")
	c.ada.says(usage, "pull", "to-standby", "--nonsense")
	nobody := &Teller{c.b, "nobody", []string{"LIFEBOAT_SERVER=http://" + c.b.Addr(9) + ":9", "LIFEBOAT_TOKEN=x"}}
	nobody.says(unreachable, "status")
	(&Teller{c.b, "a stranger", []string{c.ada.env[0], "LIFEBOAT_TOKEN=wrong"}}).says(failed, "status")
	c.ada.stopped("R1", "pull", "close-checkout") // never rehearsed
	c.b.Moving(standby)
	if in := c.ben.result("pull", "to-standby"); in.Phase != incident.Diagnose {
		c.b.t.Errorf("pulled: %+v", in)
	}
	c.b.Moved(standby)
	c.ada.does("note", "The basket hangs.")
	c.ada.does("severity", "high", "--why", "Nobody can pay")
	c.ben.does("role", "take", "lead")
	c.ada.does("update", "We know that the shop does not load.", "--to", "public", "--next", "20m")
	c.ada.does("decide", "Do we wait for the provider?", "--chosen", "No", "--because", "They can't say when.")
}

// changes tells of a release, and finds it first.
func (c *byCommands) changes() {
	c.ada.does("changes", "add", "Release 412 of the shop", "--kind", "deploy", "--at", "7m", "--id", "deploy-412", "--who", "Otto")
	c.ada.does("changes", "add", "Release 412 of the shop", "--kind", "deploy", "--at", "7m", "--id", "deploy-412", "--who", "Otto")
	var all api.Changes
	c.ada.reads(&all, "changes")
	told := 0
	for _, x := range all.Changes {
		if x.ID == "deploy-412" {
			told++
		}
	}
	if len(all.Changes) == 0 || all.Changes[0].ID != "deploy-412" || !all.Changes[0].Before || told != 1 {
		c.b.t.Errorf("the changes are %+v", all)
	}
	c.ada.does("changes", "mark", "deploy-412", "--note", "It touches the pool")
}

// evidence adds a file and a note, and gets them back as they were.
func (c *byCommands) evidence() {
	t := c.b.t
	t.Helper()
	text := "timeout\ntimeout\n"
	file := filepath.Join(c.b.dir, "error.log")
	c.b.Must(os.WriteFile(file, []byte(text), 0o600))
	c.ada.does("evidence", "add", file, "--title", "The error log")
	c.ada.pipes(done, "from a pipe\n", "evidence", "add", "-", "--title", "The journal")
	c.ada.does("evidence", "add", "--title", "The balancer says: 0 of 2 healthy")
	var list api.EvidenceList
	c.ada.reads(&list, "evidence", "list")
	ids := map[string]string{}
	for _, e := range list.Evidence {
		ids[e.Title] = e.ID
	}
	c.log = ids["The error log"]
	if got := c.ben.says(done, "evidence", "show", c.log, "-o", "-").out; got != text {
		t.Errorf("the log comes back as %q", got)
	}
	if got := c.ben.says(done, "evidence", "show", ids["The journal"], "-o", "-").out; got != "from a pipe\n" {
		t.Errorf("the journal comes back as %q", got)
	}
	c.ben.says(notFound, "evidence", "show", "e999")
	c.b.Must(os.WriteFile(file, nil, 0o600))
	c.ada.says(usage, "evidence", "add", file, "--title", "Empty")
	c.b.Eventually("what was collected is listed", func() bool {
		out := c.ada.says(done, "evidence", "list").out
		return strings.Contains(out, "name server") && strings.Contains(out, "answers to GET /")
	})
}

// causes finds out what it is; until enough speaks for it, that is refused.
func (c *byCommands) causes() {
	c.ada.does("cause", "add", "Release 412 holds connections", "--predicts", "the pool is full", "--for", c.log)
	c.ben.does("cause", "add", "The disk is full")
	c.ada.stopped("R6", "cause", "confirm", "c1")
	c.ada.does("cause", "weigh", "c1", "--for", "deploy-412", "--note", "a minute before")
	c.ada.does("cause", "test", "c1", "held", "--saw", "20 of 20 in use")
	c.ben.says(usage, "cause", "rule-out", "c2")
	c.ben.does("cause", "rule-out", "c2", "--reason", "Half of it is free")
	in := c.ada.result("cause", "confirm", "c1", "--factor", "The pool had no alarm")
	if in.Diagnosis == nil || in.Diagnosis.Confidence != incident.Proved || len(in.Diagnosis.Factors) != 1 {
		c.b.t.Errorf("the diagnosis is %+v", in.Diagnosis)
	}
	out := c.ben.says(done, "cause", "list").out
	for _, text := range []string{"Release 412 holds connections", "20 of 20 in use", "Half of it is free"} {
		if !strings.Contains(out, text) {
			c.b.t.Errorf("the list of causes does not say %q:\n%s", text, out)
		}
	}
}

// awaits waits until the newest fix is in a state.
func (c *byCommands) awaits(state incident.FixState) {
	c.b.t.Helper()
	var last incident.Fix
	c.b.Eventually("the fix is "+string(state), func() bool {
		last, _ = c.b.Incident().LastFix()
		return last.State == state
	})
	if out := c.ben.says(done, "fix", "list").out; !strings.Contains(out, last.ID) || !strings.Contains(out, strings.TrimSuffix(last.Change, ".")) {
		c.b.t.Errorf("the list of fixes does not tell of %s:\n%s", last.ID, out)
	}
}

// first is a fix by the prepared act that does not help, and is taken back.
func (c *byCommands) first() {
	t := c.b.t
	t.Helper()
	c.ada.stopped("R8", "fix", "propose", "--change", "Put release 411 back.", "--check", "home")
	c.ada.does("fix", "propose", "--change", "Put release 411 back.", "--check", "home", "--within", "1s", "--takes", "a second", "--action", "repair")
	c.ada.stopped("R10", "fix", "propose", "--change", "Another one.", "--check", "home", "--way-back", "None.")
	c.ada.stopped("R9", "fix", "begin", "f1")
	c.ada.stopped("R9", "fix", "approve", "f1")
	c.ben.says(failed, "fix", "approve", "f7")
	c.ben.does("fix", "approve", "f1")
	c.ada.does("fix", "begin", "f1")
	c.awaits(incident.StateNoEffect)
	c.ada.stopped("R10", "go-back", "start", "--because", "I think it works")
	c.ada.does("fix", "roll-back", "f1")
	c.awaits(incident.StateRolledBack)
	key := c.id + "-f1"
	if ran := c.b.ran(); len(ran) != 2 || ran["do "+key] != 1 || ran["undo "+key+"-undo"] != 1 {
		t.Errorf("the prepared act was run as %v", ran)
	}
}

// second is a fix by hand that helps.
func (c *byCommands) second() {
	c.ada.stopped("R6", "fix", "propose", "--change", "The pool is 40 now.", "--check", "home", "--way-back", "20 again.", "--takes", "a minute")
	c.ada.does("cause", "confirm", "c1", "--confidence", "likely")
	c.ada.does("fix", "propose", "--change", "The pool is 40 now.", "--check", "home", "--within", "1m", "--way-back", "20 again.", "--takes", "a minute")
	c.ben.does("fix", "object", "f2", "--reason", "Not before the backup is done")
	c.ada.stopped("R9", "fix", "begin", "f2")
	c.ben.does("fix", "approve", "f2")
	c.ada.does("fix", "begin", "f2")
	c.b.main.Up()
	c.ada.does("fix", "done", "f2")
	c.awaits(incident.StateWorked)
}

// back brings everybody home, and waits for the watch to end.
func (c *byCommands) back() {
	c.b.Moving(home)
	c.ada.does("go-back", "start", "--wait")
	c.b.Moved(home)
	c.b.AwaitPhase(incident.Review)
}

// end writes it up; what is missing is told until it is there.
func (c *byCommands) end() {
	t := c.b.t
	t.Helper()
	c.ben.stopped("R18", "close")
	c.ben.does("postmortem", "answer", "surprise", "The pool had no alarm.")
	c.ben.does("postmortem", "edit", "summary", "A release held connections.")
	c.ben.does("follow-up", "add", "An alarm for the pool", "--class", "detect")
	c.ben.does("postmortem", "finish")
	c.ben.stopped("R19", "close")
	c.ben.does("follow-up", "change", "a1", "--owner", "Ada", "--due", "14d", "--done-when", "It rings in a drill")
	c.ben.stopped("R20", "close")
	c.ben.does("postmortem", "finding", "add", "We release on Fridays", "--about", "process")
	c.ben.does("postmortem", "finish")
	c.ben.stopped("R21", "close")
	c.ben.does("update", "Everything works again.", "--to", "public", "--over")
	for _, format := range []string{"md", "html", "json"} {
		out := c.ada.says(done, "postmortem", "--format", format).out
		for _, text := range []string{"Nothing loads", "The pool had no alarm", "Release 412", "The disk is full", "We release on Fridays", "An alarm for the pool"} {
			if !strings.Contains(out, text) {
				t.Errorf("the post-mortem as %s does not say %q", format, text)
			}
		}
	}
	if in := c.ben.result("close"); in.Phase != incident.Closed {
		t.Errorf("closed: %+v", in)
	}
	c.ada.says(notFound, "note", "Too late.")
	c.ada.does("follow-up", "done", "a1", "--incident", c.id)
	var line api.Timeline
	c.ada.reads(&line, "timeline", c.id)
	whole(c.b, line)
	for _, e := range line.Events {
		if e.Actor.Kind == "person" && (e.Actor.Via != "cli" || e.Actor.Name != "Ada" && e.Actor.Name != "Ben") {
			t.Errorf("%s is by %+v", e.Type, e.Actor)
		}
	}
	for _, text := range []string{"The basket hangs.", "Put release 411 back.", "The pool is 40 now.", "Everything works again."} {
		if n := timesSaid(line.Events, text); n == 0 {
			t.Errorf("the timeline does not say %q", text)
		}
	}
}
