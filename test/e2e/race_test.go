package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// TestTwoAtOnce: two people who don't know of each other pull different levers and
// propose, begin and take back a fix at the same moment, again and again. There is one
// lock; whoever comes second is told so in words; what was accepted is in the timeline
// once, and nothing else is.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	rounds := 20
	if soak() {
		rounds = 200
	}
	b := Launch(t, Options{Failover: "off", Ready: func(b *Boat) { b.site += quickFixes }})
	r := &race{b: b}
	b.Load()
	for n := range rounds {
		if n%10 == 0 { // one token may not write as much as all of them together do here
			r.ada, r.ben = b.Person(fmt.Sprintf("Ada %d", n), role.Operator), b.Person(fmt.Sprintf("Ben %d", n), role.Operator)
		}
		r.word, r.other = fmt.Sprintf("Round %03d", n), []string{"to-backup", "close-checkout"}[n%2]
		r.round()
		if t.Failed() {
			t.Fatalf("in round %d\n%s", n, b.Story())
		}
	}
	if all := b.Incidents(); len(all) != rounds {
		t.Errorf("%d incidents in %d rounds", len(all), rounds)
	}
	b.Settle()
}

// race is one incident in which two people do everything at once.
type race struct {
	b        *Boat
	ada, ben *Person
	word     string // of the round
	other    string // the lever that Ben pulls while Ada pulls the one to the standby
	id       string
}

// press is what one of them does.
type press struct {
	by   *Person
	path string
	key  string
	in   any
}

// atOnce does everything at the same moment.
func (r *race) atOnce(all ...press) []said {
	r.b.t.Helper()
	out, errs := make([]said, len(all)), make([]error, len(all))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() {
			<-start
			out[i], errs[i] = p.by.Send(http.MethodPost, p.path, p.key, p.in)
		})
	}
	close(start)
	wg.Wait()
	for i, s := range out {
		if errs[i] != nil {
			r.b.t.Fatalf("%s: %s: %v", all[i].by.name, all[i].path, errs[i])
		}
		if err := s.clear(); err != nil {
			r.b.t.Errorf("%s: %s: %v", all[i].by.name, all[i].path, err)
		}
		if !s.ok() && s.status != http.StatusConflict && s.status != http.StatusNotFound {
			r.b.t.Errorf("%s: %s: %s", all[i].by.name, all[i].path, s)
		}
	}
	return out
}

// both do the same.
func (r *race) both(path string, in any) (won said) {
	r.b.t.Helper()
	return r.one(r.atOnce(press{by: r.ada, path: path, in: in}, press{by: r.ben, path: path, in: in}))
}

// one checks that one of them got through.
func (r *race) one(all []said) (won said) {
	r.b.t.Helper()
	n := 0
	for _, s := range all {
		if s.ok() {
			n, won = n+1, s
		}
	}
	if n != 1 {
		r.b.t.Errorf("%d of %d got through: %v", n, len(all), all)
	}
	return won
}

func (r *race) round() {
	const site = "/sites/shop"
	r.ada.Do(site+"/declare", api.DeclareBody{Title: r.word}, nil)
	r.id = r.b.Incident().ID
	r.ada.Do(site+"/no-failover", api.ReasonBody{Reason: "It is slow and it works."}, nil)
	levers := r.pullAndPropose()
	r.begin()
	r.both(site+"/fix/roll-back", api.OneFixBody{Fix: "f1"})
	r.both(site+"/fix/rolled-back", api.DoneBody{Fix: "f1"})
	for _, lever := range slices.Backward(levers) {
		r.both("/levers/"+lever+"/put-back", nil)
	}
	r.b.Moved(home)
	r.notes()
	r.both(site+"/cancel", api.ReasonBody{Reason: "It was a test."})
	r.check(levers)
}

// pullAndPropose has both pull and propose at once. It gives the levers that were
// pulled, in the order in which they were.
func (r *race) pullAndPropose() (levers []string) {
	t := r.b.t
	t.Helper()
	r.b.load.Allow(home, standby, backup)
	fix := func(p *Person) api.FixBody {
		return api.FixBody{Change: r.word + ": the way of " + p.name, Check: "home", Within: "1m", WayBack: "Undo it.", Takes: "a minute", Reason: "It can't wait."}
	}
	anyway := api.ReasonBody{Reason: "Never rehearsed."}
	got := r.atOnce(
		press{by: r.ada, path: "/levers/to-standby/pull", in: anyway}, press{by: r.ben, path: "/levers/" + r.other + "/pull", in: anyway},
		press{by: r.ada, path: "/sites/shop/fixes", in: fix(r.ada)}, press{by: r.ben, path: "/sites/shop/fixes", in: fix(r.ben)},
	)
	r.one(got[2:])
	for _, s := range got[2:] {
		if !s.ok() && s.rule() != "R10" {
			t.Errorf("the second proposal is not refused by R10: %s", s)
		}
	}
	if !got[0].ok() {
		t.Errorf("the way to the standby was barred: %s", got[0])
	}
	in := r.b.Incident()
	for _, p := range in.Holding() {
		levers = append(levers, p.Lever)
	}
	switch {
	case got[1].ok() && len(levers) == 2:
	case r.other == "to-backup" && got[1].rule() == "U1" && slices.Equal(levers, []string{"to-standby"}):
	default:
		t.Errorf("%v are pulled, and %s was answered with %s", levers, r.other, got[1])
	}
	r.b.Moved(standby)
	if planned, found := in.FixPlanned(); !found || !strings.HasPrefix(planned.Change, r.word) {
		t.Errorf("the planned fix is %+v", planned)
	}
	r.b.load.Allow(home, standby, backup)
	return levers
}

// begin has the fix approved, and then both begin it while another is reported.
func (r *race) begin() {
	t := r.b.t
	t.Helper()
	const site = "/sites/shop"
	got := r.atOnce(press{by: r.ada, path: site + "/fix/approve"}, press{by: r.ben, path: site + "/fix/approve"})
	for _, s := range got {
		if !s.ok() && s.rule() != "R9" {
			t.Errorf("whose fix it is, is not refused by R9: %s", s)
		}
	}
	r.one(got)
	report := api.ReportBody{Change: r.word + ": I had done it already", Check: "home"}
	got = r.atOnce(
		press{by: r.ada, path: site + "/fix/begin", in: api.OneFixBody{Fix: "f1"}}, press{by: r.ben, path: site + "/fix/begin", in: api.OneFixBody{Fix: "f1"}},
		press{by: r.ada, path: site + "/fixes/report", in: report}, press{by: r.ben, path: site + "/fixes/report", in: report},
	)
	r.one(got[:2])
	for _, s := range got[2:] {
		if s.ok() || s.rule() != "R10" {
			t.Errorf("a second fix is not refused by R10: %s", s)
		}
	}
}

// notes has both write at once, and one client send the same twice.
func (r *race) notes() {
	t := r.b.t
	t.Helper()
	var all []press
	for i := range 3 {
		for _, p := range []*Person{r.ada, r.ben} {
			all = append(all, press{by: p, path: "/sites/shop/notes", in: api.NoteBody{Text: fmt.Sprintf("%s: note %d of %s.", r.word, i, p.name)}})
		}
	}
	twice := press{by: r.ada, path: "/sites/shop/notes", key: strings.ReplaceAll(r.word, " ", "-"), in: api.NoteBody{Text: r.word + ": sent twice."}}
	got := r.atOnce(append(all, twice, twice)...)
	for _, s := range got[:len(all)] {
		if !s.ok() {
			t.Errorf("a note was not taken: %s", s)
		}
	}
	if a, b := got[len(all)], got[len(all)+1]; !a.ok() && !b.ok() {
		t.Errorf("the same note sent twice was not taken: %s, %s", a, b)
	}
}

// check looks for what was accepted in the timeline.
func (r *race) check(levers []string) {
	t := r.b.t
	t.Helper()
	var line api.Timeline
	r.ada.Get("/incidents/"+r.id+"/timeline", &line)
	whole(r.b, line)
	want := map[incident.Type]int{
		incident.Declared: 1, incident.DecisionMade: 1, incident.LeverApplying: len(levers), incident.LeverSeen: len(levers), incident.LeverUndone: len(levers),
		incident.FixProposed: 1, incident.ApprovalGiven: 1, incident.FixApplying: 1, incident.FixRollingBack: 1, incident.FixRolledBack: 1,
		incident.NoteAdded: 7, incident.CancelledType: 1, incident.LeverUnknown: 0, incident.LeverFailed: 0,
	}
	// What lifeboat notes itself (who has heard of a lever) comes when it comes.
	said := slices.DeleteFunc(slices.Clone(line.Events), func(e incident.Event) bool { return e.Type == incident.NoteAdded && e.Actor.Kind == "collector" })
	for kind, n := range want {
		if got := count(said, kind); got != n {
			t.Errorf("%s: %d %s, not %d", r.word, got, kind, n)
		}
	}
	for i := range 3 {
		for _, p := range []*Person{r.ada, r.ben} {
			if text := fmt.Sprintf("%s: note %d of %s.", r.word, i, p.name); timesSaid(line.Events, text) != 1 {
				t.Errorf("%q is in the timeline %d times", text, timesSaid(line.Events, text))
			}
		}
	}
	var in incident.Incident
	for _, e := range line.Events {
		in = in.Apply(e)
		locks := 0
		for _, f := range in.Fixes {
			if f.State != incident.StateWithdrawn && f.State != incident.StateRolledBack {
				locks++
			}
		}
		if locks > 1 {
			t.Errorf("after event %d there are %d fixes at once", e.Seq, locks)
		}
	}
}
