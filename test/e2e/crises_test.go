package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// quickFixes lets a test wait seconds where people wait minutes.
const quickFixes = "    fixes: {approval: 1s, pause: 100ms, apart: 100ms, rest: 1s, passes: 2}\n"

// acts is a file into which the prepared act of repair writes a line for each time
// that it was run.
func (b *Boat) acts() string { return filepath.Join(b.dir, "acts") }

// withRepair gives the site a prepared act that can be taken back.
func (b *Boat) withRepair() {
	b.site += quickFixes
	run := fmt.Sprintf(`[/bin/sh, -c, 'echo "$LIFEBOAT_OPERATION $LIFEBOAT_KEY" >> %s']`, b.acts())
	b.more += fmt.Sprintf("actions:\n  repair: {title: Put the release back, exec: %s, deadline: 10s, undo: {exec: %s}}\n", run, run)
}

// ran is how often the prepared act was run, by operation and key.
func (b *Boat) ran() map[string]int {
	b.t.Helper()
	raw, err := os.ReadFile(b.acts())
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	n := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		n[strings.TrimSpace(line)]++
	}
	return n
}

// TestKilledCrises: whole crises from declaration to close, driven by people whose
// clients try again under the same key, while control is killed at random moments,
// most of them in the middle of what was just asked for.
// Each reaches its end; nothing that was said is lost, and nothing is there twice.
func TestKilledCrises(t *testing.T) {
	t.Parallel()
	crises := 4
	if soak() {
		crises = 200
	}
	b := Launch(t, Options{Failover: "off", Ready: (*Boat).withRepair})
	ada, ben := b.Person("Ada", role.Operator), b.Person("Ben", role.Commander)
	b.Load()
	var kills atomic.Int64
	for n := range crises {
		c := &crisis{b: b, ada: ada, ben: ben, n: n, word: fmt.Sprintf("No %03d", n), kills: &kills}
		end := b.killing(&kills)
		c.play()
		end()
		c.check()
		if t.Failed() {
			t.Fatalf("in crisis %d\n%s", n, b.Story())
		}
	}
	b.AwaitControl(0)
	t.Logf("control was killed %d times in %d crises", kills.Load(), crises)
	if n := kills.Load(); n < int64(crises) {
		t.Errorf("control was killed %d times only", n)
	}
	if all := b.Incidents(); len(all) != crises {
		t.Errorf("%d incidents, not %d", len(all), crises)
	}
	for act, n := range b.ran() {
		if strings.HasPrefix(act, "do ") && n != 1 {
			t.Errorf("%s was run %d times", act, n)
		}
	}
	b.Settle()
}

// killing kills control once, at a random moment before end is called.
func (b *Boat) killing(kills *atomic.Int64) (end func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // ends with quit
		select {
		case <-quit:
		case <-time.After(time.Duration(rand.IntN(2000)) * time.Millisecond):
			strike(b.Control(), kills)
		}
	})
	return func() { close(quit); wg.Wait() }
}

func strike(pid int, kills *atomic.Int64) {
	if pid > 1 && unix.Kill(pid, unix.SIGKILL) == nil {
		kills.Add(1)
	}
}

// amidst sends a request and, one time in eight, kills control while it is under way:
// before it was looked at, while it is written down, or before its answer has left.
func (c *crisis) amidst(send func()) {
	if rand.IntN(8) != 0 {
		send()
		return
	}
	pid := c.b.Control()
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
		strike(pid, c.kills)
	})
	send()
	wg.Wait()
}

// crisis is one of many, played by two people who try again.
type crisis struct {
	b        *Boat
	ada, ben *Person
	n        int
	word     string // in all that is said in it
	id       string
	told     []string // texts that must be in the timeline once
	step     int
	kills    *atomic.Int64
}

// tries sends an act under one key until it is known what came of it.
func (c *crisis) tries(p *Person, path string, in any) said {
	c.b.t.Helper()
	c.step++
	key := fmt.Sprintf("crisis-%d-%d-%d", c.n, c.step, os.Getpid())
	deadline := time.Now().Add(2 * within)
	for {
		var s said
		var err error
		c.amidst(func() { s, err = p.Send(http.MethodPost, path, key, in) })
		again := err != nil || s.status == http.StatusTooManyRequests || s.status >= 500 && !strings.Contains(s.problem.Hint, "new key") || strings.Contains(s.problem.Detail, "still under way")
		if !again {
			return s
		}
		if time.Now().After(deadline) {
			c.b.t.Fatalf("%s: %s does not come to an end: %v %s\n%s", p.name, path, err, s, c.b.Story())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// must is tries for what has to be done.
func (c *crisis) must(p *Person, path string, in any) {
	c.b.t.Helper()
	if s := c.tries(p, path, in); !s.ok() {
		c.b.t.Fatalf("%s: %s: %s\n%s", p.name, path, s, c.b.Story())
	}
}

// say is a text that must be in the timeline once.
func (c *crisis) say(what string) string {
	text := c.word + ": " + what
	c.told = append(c.told, text)
	return text
}

// now is the crisis as it is; it waits for a control that can say so.
func (c *crisis) now() (in api.Incident) {
	c.b.t.Helper()
	c.b.Eventually("control tells of the incident", func() bool { in = c.b.Incident(); return in.ID != "" })
	return in
}

func (c *crisis) play() {
	c.b.main.Down()
	c.safe()
	c.look()
	c.fix()
	c.back()
	c.end()
}

// safe declares and gets visitors to safety.
func (c *crisis) safe() {
	c.b.t.Helper()
	c.must(c.ada, "/sites/shop/declare", api.DeclareBody{Title: c.say("nothing loads")})
	c.id = c.now().ID
	c.insist(standby, c.ben, "/levers/to-standby/pull", api.ReasonBody{Reason: "It is urgent."}, func() bool { return c.b.arrived(standby) })
}

// insist asks under a new key where one that was tried came to nothing.
func (c *crisis) insist(to string, p *Person, path string, in any, there func() bool) {
	c.b.t.Helper()
	c.b.Moving(to)
	var s said
	for range 10 {
		s = c.tries(p, path, in)
		if poll(5*time.Second, there) {
			c.b.Moved(to)
			return
		}
	}
	c.b.t.Fatalf("visitors do not come to %s: %s\n%s", to, s, c.b.Story())
}

// look finds the cause.
func (c *crisis) look() {
	c.b.t.Helper()
	site := "/sites/shop"
	c.must(c.ada, site+"/notes", api.NoteBody{Text: c.say("the basket hangs")})
	c.must(c.ben, site+"/severity", api.SeverityBody{Level: "high", Why: c.say("nobody can buy")})
	title := c.say("the log is full of it")
	c.must(c.ada, site+"/evidence/notes", api.EvidenceNoteBody{Title: title})
	c.must(c.ada, site+"/causes", api.CauseBody{Statement: c.say("the release broke it"), Prediction: "The old release works."})
	c.must(c.ben, site+"/causes", api.CauseBody{Statement: c.say("the disk is full")})
	piece := ""
	for _, e := range c.now().Evidence {
		if e.Title == title {
			piece = e.ID
		}
	}
	c.must(c.ada, site+"/causes/c1/weigh", api.WeighBody{Evidence: piece, Stance: "for"})
	c.must(c.ada, site+"/causes/c1/test", api.TestBody{Outcome: "held", Saw: c.say("the old one works")})
	c.must(c.ben, site+"/causes/c2/rule-out", api.ReasonBody{Reason: c.say("the disk is half empty")})
	c.must(c.ada, site+"/causes/c1/confirm", nil)
	c.must(c.ben, site+"/updates", api.UpdateBody{Audience: "public", Text: c.say("we are looking into it"), NextIn: "20m"})
}

// fix puts it right, by hand or by the prepared act.
func (c *crisis) fix() {
	c.b.t.Helper()
	site := "/sites/shop"
	plan := api.FixBody{Change: c.say("I put the old release back"), Check: "home", Within: "1m", WayBack: "The new one again.", Takes: "a minute"}
	if c.n%2 == 1 {
		plan.Action = "repair"
	}
	c.must(c.ada, site+"/fixes", plan)
	c.must(c.ben, site+"/fix/approve", api.OneFixBody{Fix: "f1"})
	c.b.main.Up()
	c.must(c.ada, site+"/fix/begin", api.OneFixBody{Fix: "f1"})
	if plan.Action == "" {
		c.must(c.ada, site+"/fix/done", api.DoneBody{Fix: "f1"})
	}
	looked := false // at an act that control did not see end
	c.b.Eventually("the fix is seen to work", func() bool {
		f, found := c.now().LastFix()
		if found && f.State == incident.StateInterrupted && !looked {
			c.must(c.ada, site+"/fix/measure", api.OneFixBody{Fix: "f1"})
			looked = true
		}
		return found && f.State == incident.StateWorked
	})
}

// back brings everybody home and sees the watch out.
func (c *crisis) back() {
	c.b.t.Helper()
	c.insist(home, c.ada, "/sites/shop/go-back", nil, func() bool { return c.b.arrived(home) })
	c.b.AwaitPhase(incident.Review)
}

// end writes it up and closes it.
func (c *crisis) end() {
	c.b.t.Helper()
	of := "/incidents/" + c.id
	c.must(c.ada, of+"/follow-ups", api.FollowUpBody{What: c.say("releases are tried first"), Owner: "Ada", Due: time.Now().Add(24 * time.Hour), DoneWhen: "It is in the list."})
	c.must(c.ben, of+"/write-up/answers/surprise", api.TextBody{Text: "Nobody looked."})
	c.must(c.ben, of+"/write-up/findings", api.FindingBody{About: "process", Text: c.say("we release on Fridays")})
	c.must(c.ada, "/sites/shop/updates", api.UpdateBody{Audience: "public", Text: c.say("it is over"), Over: true})
	c.must(c.ben, of+"/write-up/finish", nil)
	if s := c.tries(c.ben, "/sites/shop/close", nil); !s.ok() && c.phase() != incident.Closed {
		c.b.t.Fatalf("it can't be closed: %s\n%s", s, c.b.Story())
	}
}

// phase is where the crisis is, also after its end.
func (c *crisis) phase() (p incident.Phase) {
	c.b.t.Helper()
	c.b.Eventually("control tells of the incident", func() bool {
		var in api.Incident
		err := c.b.Get("/incidents/"+c.id, &in)
		p = in.Phase
		return err == nil
	})
	return p
}

// check reads the timeline as a person does, and looks for what is lost or doubled.
func (c *crisis) check() {
	t := c.b.t
	t.Helper()
	if p := c.phase(); p != incident.Closed {
		t.Errorf("%s ended at %q", c.word, p)
	}
	var ran Ran
	c.b.Eventually("the timeline can be read", func() bool {
		ran = c.b.typed(nil, "", "timeline", c.id, "--json", "--data", c.b.data)
		return ran.code == 0
	})
	var line api.Timeline
	if err := json.Unmarshal([]byte(ran.out), &line); err != nil {
		t.Fatalf("the timeline: %v in %s", err, ran.out)
	}
	whole(c.b, line)
	for _, text := range c.told {
		if n := timesSaid(line.Events, text); n != 1 {
			t.Errorf("%q is in the timeline %d times", text, n)
		}
	}
	for kind, want := range map[incident.Type]int{
		incident.Declared: 1, incident.CauseOpened: 2, incident.DiagnosisConfirmed: 1, incident.DiagnosisWithdrawn: 0, incident.FixProposed: 1,
		incident.ApprovalGiven: 1, incident.FixApplying: 1, incident.UpdateSent: 2, incident.FollowUpAdded: 1, incident.WriteUpFinal: 1, incident.ClosedType: 1,
	} {
		if n := count(line.Events, kind); n != want {
			t.Errorf("%d %s, not %d", n, kind, want)
		}
	}
}

// whole checks that a timeline is intact: as it was written, and without a gap.
func whole(b *Boat, line api.Timeline) {
	b.t.Helper()
	if err := incident.Verify(line.Events); err != nil || !line.Intact || line.Broken != "" {
		b.t.Errorf("the timeline of %s is broken: %v %s", line.Incident, err, line.Broken)
	}
	ids := map[string]bool{}
	for i, e := range line.Events {
		if e.Seq != uint64(i+1) || ids[e.ID] {
			b.t.Errorf("event %d of %s has number %d and id %s", i+1, line.Incident, e.Seq, e.ID)
		}
		ids[e.ID] = true
	}
}

// timesSaid is in how many events a text was said; the confirmation of a cause repeats what
// it says.
func timesSaid(events []incident.Event, text string) (n int) {
	for _, e := range events {
		if e.Type != incident.DiagnosisConfirmed && strings.Contains(string(e.Data), text) {
			n++
		}
	}
	return n
}
