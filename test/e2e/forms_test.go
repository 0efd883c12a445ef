package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
)

// password is what everybody in these tests signs in with.
const password = "four words apart tonight"

// People makes accounts by the page of accounts, and gives a browser for each, signed
// in. A person's role is said after a colon.
func (b *Boat) People(people ...string) []*Reader {
	b.t.Helper()
	admin := b.Reader("the admin")
	admin.Press("Sign in with the token", typed{"Or with a token": b.Token()})
	admin.Follow("Accounts")
	var out []*Reader
	for _, p := range people {
		title, may, _ := strings.Cut(p, ":")
		name := strings.ToLower(title)
		admin.Press("Add the account", typed{"Name to sign in with": name, "Name in the timeline": title, "What they may do": may, "First password": password})
		admin.MustSay(title)
		r := b.Reader(title)
		r.SignIn(name, password)
		out = append(out, r)
	}
	return out
}

// TestByForms: two people carry a crisis from its beginning to its end with nothing but
// what a browser without scripts shows: they read, follow links and press buttons by
// the words on them.
func TestByForms(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Ready: (*Boat).withRepair})
	crew := b.People("Ada:operator", "Ben:commander", "Vic:viewer")
	f := &byForms{b: b, ada: crew[0], ben: crew[1], vic: crew[2]}
	b.Load()
	b.main.Down()
	f.safe()
	f.look()
	f.confirm()
	f.fix()
	f.back()
	f.end()
	f.check()
	b.Settle()
}

type byForms struct {
	b             *Boat
	ada, ben, vic *Reader
	id            string
}

// safe calls it, answers the one question and presses the one button.
func (f *byForms) safe() {
	t := f.b.t
	t.Helper()
	if f.vic.Open("/"); f.vic.Can("Something is wrong") {
		t.Error("a viewer can declare")
	}
	f.ada.Open("/")
	f.ada.Press("Something is wrong", nil)
	f.id = f.b.Incident().ID
	f.ada.Press("Nothing loads", nil)
	f.b.Moving(standby)
	f.ada.Press("Show visitors the status page", nil)
	f.b.Moved(standby)
	f.ada.Await("Visitors are looked after")
	f.ada.Press("Tell people", typed{"The message": "We know that the shop does not load.", "Next news in": "15 min"})
	f.b.StandbySays("We know that the shop does not load.")
}

// StandbySays waits until visitors at the standby are told text.
func (b *Boat) StandbySays(text string) {
	b.t.Helper()
	var page string
	if !poll(5*time.Second, func() bool {
		var err error
		_, page, err = fetch(b.host(3), "shop.example.com", "/")
		return err == nil && strings.Contains(page, text)
	}) {
		b.t.Errorf("the status page does not say %q:\n%s", text, page)
	}
}

// look writes down what was seen and changed, and what it might be.
func (f *byForms) look() {
	f.b.t.Helper()
	f.ada.Open("/sites/shop")
	f.ada.Press("Keep", typed{"Write down what you see": "The log is full of timeouts."})
	file := filepath.Join(f.b.dir, "error.log")
	f.b.Must(os.WriteFile(file, []byte("timeout timeout timeout\n"), 0o600))
	f.ada.Follow("Evidence")
	huge := filepath.Join(f.b.dir, "core")
	f.b.Must(os.WriteFile(huge, make([]byte, 11<<20), 0o600))
	f.ada.Press("Add evidence", typed{"What it shows": "A core", "A file or an image": huge})
	if f.ada.status/100 != 4 || !f.ada.Says("more than 10 MB") {
		f.b.t.Errorf("a file of 11 MiB: %d\n%s", f.ada.status, f.ada)
	}
	f.ada.Open("/incidents/" + f.id + "/evidence")
	f.ada.Press("Add evidence", typed{"What it shows": "The error log", "A file or an image": file})
	f.ada.MustSay("The error log")
	f.ada.Follow("The error log")
	f.ada.MustSay("timeout timeout timeout")

	f.ben.Open("/changes")
	f.ben.Press("Add a change", typed{"What was changed": "Release 412", "What sort of change": "A release", "Who": "Otto"})
	f.ben.Open("/sites/shop")
	f.ben.Press("Add a guess", typed{"If it is …": "release 412 holds connections", "then we should see …": "the pool is full"})
	f.ada.Open("/sites/shop")
	f.ada.Press("Add a guess", typed{"If it is …": "the disk is full"})
}

// confirm weighs, tests and rules out, and is told so where something is missing.
func (f *byForms) confirm() {
	t := f.b.t
	t.Helper()
	f.ada.Open("/sites/shop")
	f.ada.Follow("This is it: c1")
	f.ada.Press("Yes, this is the cause", nil)
	f.refused(f.ada, "Rule R6")
	f.ada.Open("/sites/shop")
	f.ada.Follow("Weigh: c1")
	f.ada.Press("Weigh it", typed{"What was seen": "The error log", "It speaks": "for it", "How": "they wait for a connection"})
	f.ada.Follow("Test: c1")
	f.ada.Press("Write down the test", typed{"And do we?": "Yes, it is as predicted", "What we saw": "20 of 20 in use"})
	f.ben.Open("/sites/shop")
	f.ben.Press("Suspect it", nil)
	f.ben.Follow("Rule out: c2")
	f.ben.Press("Rule it out", typed{"What shows": "half of it is free"})
	f.ben.Open("/sites/shop")
	f.ben.Follow("This is it: c1")
	f.ben.Press("Yes, this is the cause", nil)
	if d := f.b.Incident().Diagnosis; d == nil || d.By.Name != "Ben" {
		t.Fatalf("the diagnosis is %+v\n%s", d, f.ben)
	}
}

// refused checks that a page says what was not done, with its rule.
func (f *byForms) refused(r *Reader, rule string) {
	f.b.t.Helper()
	if r.status != http.StatusConflict || !r.Says(rule) {
		f.b.t.Errorf("it is not refused by %s: %d\n%s", rule, r.status, r)
	}
}

// fix writes one fix down, has it read, and sees what it did: the first does not help and
// is taken back, the second does.
func (f *byForms) fix() {
	f.ada.Open("/sites/shop")
	f.ada.Press("Write down one fix", typed{"I will change": "the pool to 40", "within": "1s", "If not, I will": "set it to 20 again", "It will take": "a minute", "How": "By hand"})
	f.ada.Open("/sites/shop")
	if f.ada.Can("Do it") {
		f.b.t.Error("a fix that nobody has read can be begun")
	}
	f.approve()
	f.ada.Press("Do it", nil)
	f.ada.Press("It is done", nil)
	f.ada.Await("It did not do what we expected")
	f.ada.Press("Take it back", nil)
	f.ada.Press("It is taken back", nil)

	f.ben.Open("/sites/shop")
	f.ben.Follow("Test: c1")
	f.ben.Press("Write down the test", typed{"And do we?": "Yes, it is as predicted", "What we saw": "20 of 20 in use"})
	f.ben.Open("/sites/shop")
	f.ben.Follow("This is it: c1")
	f.ben.Press("Yes, this is the cause", nil)
	f.ada.Open("/sites/shop")
	f.ada.Press("Write down one fix", typed{"I will change": "the release back to 411", "within": "1 min", "It will take": "a minute", "How": "Put the release back"})
	f.b.main.Up()
	f.approve()
	f.ada.Press("Do it", nil)
	f.ada.Await("It did what it promised")
}

// approve has Ben read the fix.
func (f *byForms) approve() {
	f.b.t.Helper()
	f.ben.Open("/sites/shop")
	f.ben.Press("No strong objection", nil)
	f.ada.Open("/sites/shop")
}

// back lets visitors in again and sees the watch out.
func (f *byForms) back() {
	f.b.Moving(home)
	f.ada.Press("Go back", nil)
	f.b.AwaitPhase(incident.Watch, incident.Review)
	f.b.Moved(home)
	f.ada.Open("/sites/shop")
	f.ada.Await("It is over")
}

// end writes it up, says that it is over, and closes it.
func (f *byForms) end() {
	t := f.b.t
	t.Helper()
	f.ben.Open("/sites/shop")
	f.ben.Press("Tell people", typed{"The message": "Everything works again.", "Is it over?": "This is the last message"})
	f.ben.Open("/incidents/" + f.id + "/write-up")
	f.ben.Press("Keep the answer", typed{"Why were we surprised?": "The pool had no alarm."})
	f.ben.Press("Add a finding", typed{"It is about": "how we work", "What we found": "We release on Fridays."})
	f.ben.Press("Add a follow-up", typed{"What is to be done": "An alarm on the pool", "Who": "Ada", "Until when": time.Now().Add(48 * time.Hour).Format(time.DateOnly), "Done when": "It has rung once."})
	f.ben.Press("Finish the write-up", nil)
	f.ben.Press("Close it", nil)
	f.ben.Open("/")
	f.ben.MustSay("All is well")
}

// check looks for what was done in the timeline, by whom.
func (f *byForms) check() {
	t := f.b.t
	t.Helper()
	line := f.b.OneIncident()
	whole(f.b, line)
	in := incident.Fold(line.Events)
	if in.Phase != incident.Closed || len(in.Fixes) != 2 || in.Fixes[0].State != incident.StateRolledBack || in.Fixes[1].State != incident.StateWorked || !in.WriteUp.Final {
		t.Errorf("it ended at %q with the fixes %+v", in.Phase, in.Fixes)
	}
	for _, e := range line.Events {
		if e.Actor.Kind == "person" && (e.Actor.Via != "web" || e.Actor.Name != "Ada" && e.Actor.Name != "Ben") {
			t.Errorf("%s is by %+v", e.Type, e.Actor)
		}
	}
	if n := len(f.b.ran()); n != 1 {
		t.Errorf("the prepared act was run as %v", f.b.ran())
	}
	f.vic.Open("/incidents/" + f.id + "/write-up")
	f.vic.MustSay("The pool had no alarm.")
	for _, button := range []string{"Keep the answer", "Add a finding", "Add a follow-up", "Finish the write-up", "Close it"} {
		if f.vic.Can(button) {
			t.Errorf("a viewer can press %q", button)
		}
	}
}
