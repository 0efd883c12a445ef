package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lifeboat/internal/answer"
	"lifeboat/internal/config"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
	"lifeboat/internal/store"
)

// pullAtAnswer gives a local order over answer's socket.
func (b *boat) pullAtAnswer(name string) {
	b.t.Helper()
	c, err := net.Dial("unix", filepath.Join(b.dir, "o.sock"))
	must(b.t, err)
	defer func() { _ = c.Close() }()
	must(b.t, json.NewEncoder(c).Encode(answer.Request{Do: "pull", Lever: name}))
	line, err := bufio.NewReader(c).ReadBytes('\n')
	must(b.t, err)
	var r answer.Reply
	must(b.t, json.Unmarshal(line, &r))
	if !r.OK {
		b.t.Fatalf("pull %s at answer: %s", name, r.Err)
	}
}

func (b *boat) ready() {
	b.t.Helper()
	b.eventually("ready", func() bool { return b.overview().Answer.Ready })
}

// checkout is the feature's value as ordered, "" when it has its own.
func (b *boat) checkout() string {
	_, orders := b.eng.Features()
	return string(orders["checkout"].Value)
}

func (b *boat) pulls(name string) int {
	o, n := b.overview(), 0
	if o.Sites[0].Incident == nil {
		return 0
	}
	for _, p := range o.Sites[0].Incident.Pulls {
		if p.Lever == name && p.Holds() {
			n++
		}
	}
	return n
}

// frail is a store that stops taking transactions, as one whose process was killed.
type frail struct {
	store.Store
	refuse atomic.Pointer[func([]store.Write) bool]
}

func (f *frail) Txn(ctx context.Context, conds []store.Cond, writes []store.Write) (store.Revision, error) {
	if no := f.refuse.Load(); no != nil && (*no)(writes) {
		return 0, errors.New("the process is gone")
	}
	return f.Store.Txn(ctx, conds, writes)
}

// restart starts a control again, on another configuration if edit changes it.
func (b *boat) restart(edit func(string) string) {
	b.t.Helper()
	b.stopC()
	if edit != nil {
		var err error
		b.cfg, err = config.Parse("lifeboat.yaml", []byte(edit(b.text)))
		must(b.t, err)
	}
	b.control()
}

func TestAFeaturePulledAtAnswerStaysPulledOverARestart(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.ready()
	b.pullAtAnswer("close-checkout")
	b.eventually("taken over", func() bool { return b.pulls("close-checkout") == 1 && b.checkout() == "false" })
	b.restart(nil)
	b.ready()
	if got := b.checkout(); got != "false" {
		t.Fatalf("after a restart of control the flag is ordered %q", got)
	}
}

func TestALocalOrderHoldsWhenControlDiesWhileTakingItOver(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.ready()
	f := &frail{Store: b.store}
	b.stopC()
	b.store = f
	b.control()
	b.ready()
	var adopted, gone atomic.Bool
	die := func(writes []store.Write) bool { // after the transaction that takes the order over, nothing is written any more
		if adopted.Load() {
			no := !slices.ContainsFunc(writes, func(w store.Write) bool { return w.Key == "published" })
			gone.Store(gone.Load() || no)
			return no
		}
		for _, w := range writes {
			if strings.Contains(string(w.Value), `"lever.active"`) {
				adopted.Store(true)
			}
		}
		return false
	}
	f.refuse.Store(&die)
	b.pullAtAnswer("to-standby")
	b.eventually("taken over, and gone before it was all recorded", gone.Load)
	f.refuse.Store(nil)
	b.restart(nil)
	b.ready()
	if got := b.addr(); got != "127.0.0.8" {
		t.Fatalf("the failover was lost: DNS answers %s", got)
	}
}

// answerOrders are the local orders that answer still holds.
func (b *boat) answerOrders() []any {
	b.t.Helper()
	c, err := net.Dial("unix", filepath.Join(b.dir, "o.sock"))
	must(b.t, err)
	defer func() { _ = c.Close() }()
	must(b.t, json.NewEncoder(c).Encode(answer.Request{Do: "status"}))
	var r struct {
		Status struct {
			Orders []any `json:"orders"`
		} `json:"status"`
	}
	must(b.t, json.NewDecoder(c).Decode(&r))
	return r.Status.Orders
}

func TestALocalOrderOfALeverThatIsGoneKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lever string
		edit  func(string) string
	}{
		{"close-checkout", func(s string) string { return strings.Replace(s, lineOf(s, "  close-checkout:"), "", 1) }},
		{"close-checkout", func(s string) string {
			s = strings.Replace(s, lineOf(s, "  close-checkout:"), "", 1)
			return s[:strings.Index(s, "features:")]
		}},
		{"to-standby", func(s string) string { return strings.Replace(s, lineOf(s, "  to-standby:"), "", 1) }},
		{"to-backup", func(s string) string {
			s = strings.Replace(s, lineOf(s, "  to-backup:"), "", 1)
			return strings.Replace(s, lineOf(s, "      backup:"), "", 1)
		}},
	} {
		b := launch(t, "propose")
		b.ready()
		b.stopC()
		b.pullAtAnswer(tt.lever)
		b.restart(tt.edit)
		b.ready()
		b.eventually(tt.lever+" is taken over", func() bool { return len(b.answerOrders()) == 0 })
		if tt.lever == "to-standby" && (b.pulls(tt.lever) != 1 || b.addr() != "127.0.0.8") {
			t.Fatalf("%s is not held: DNS answers %s", tt.lever, b.addr())
		}
	}
}

func lineOf(s, start string) string {
	i := strings.Index(s, start)
	return s[i : i+strings.Index(s[i:], "\n")+1]
}

func TestAHomeWithAnotherNameIsStillTheWayBack(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.drill("to-standby")
	must(t, b.pull("to-standby", ""))
	b.restart(func(s string) string { return strings.Replace(s, "main: {", "rebuilt: {", 1) })
	b.ready()
	if got := b.addr(); got != "127.0.0.8" {
		t.Fatalf("the failover was lost: DNS answers %s", got)
	}
	b.goBack()
}

func TestTwoLocalOrdersAreTakenOverOnce(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.ready()
	f := &frail{Store: b.store}
	b.stopC()
	b.pullAtAnswer("to-backup")
	b.pullAtAnswer("to-standby")
	die := func(writes []store.Write) bool { // what is taken over is never published
		return slices.ContainsFunc(writes, func(w store.Write) bool { return w.Key == "published" })
	}
	f.refuse.Store(&die)
	b.store = f
	for range 3 {
		b.restart(nil)
		b.eventually("taken over", func() bool { return b.overview().Sites[0].Incident != nil })
	}
	f.refuse.Store(nil)
	b.restart(nil)
	b.ready()
	if in := b.overview().Sites[0].Incident; len(in.Pulls) != 2 || b.addr() != "127.0.0.8" {
		t.Fatalf("%d pulls, DNS answers %s: %+v", len(in.Pulls), b.addr(), in.Pulls)
	}
	b.goBack()
}

func TestWhatTheConfigurationNoLongerHasCanBePutBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lever string
		edit  func(string) string
	}{
		{"to-backup", func(s string) string {
			s = strings.Replace(s, lineOf(s, "  to-backup:"), "", 1)
			return strings.Replace(s, lineOf(s, "      backup:"), "", 1)
		}},
		{"close-checkout", func(s string) string {
			s = strings.Replace(s, lineOf(s, "  close-checkout:"), "", 1)
			return s[:strings.Index(s, "features:")]
		}},
	} {
		b := launch(t, "propose")
		b.drill(tt.lever)
		must(t, b.pull(tt.lever, "the place it leads to may not answer here"))
		b.restart(tt.edit)
		b.ready()
		b.goBack()
	}
}

func TestAPersonsWordAgainstAutomaticMovesIsInTheSameTransaction(t *testing.T) {
	t.Parallel()
	b := launch(t, "auto")
	b.drill("to-standby")
	b.homeSeen(probe.Up)
	f := &frail{Store: b.store}
	b.stopC()
	b.store = f
	b.control()
	b.homeSeen(probe.Up)
	b.up.Store("down", true)
	b.eventually("moved by itself", func() bool { return b.phase() == incident.Diagnose })
	var said atomic.Bool
	die := func(writes []store.Write) bool {
		no := said.Load()
		said.Store(no || slices.ContainsFunc(writes, func(w store.Write) bool { return strings.Contains(string(w.Value), string(incident.AutoHeldType)) }))
		return no
	}
	f.refuse.Store(&die)
	_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "to-standby"}, me)
	if err == nil || !said.Load() {
		t.Fatalf("the put-back came to its end in spite of the dead store: %v", err)
	}
	f.refuse.Store(nil)
	b.restart(nil)
	b.ready()
	if !b.overview().Sites[0].AutoHeld {
		t.Fatal("after a restart rules may move the site although a person took their move back")
	}
}

// asked is the feature's value as an application is told it.
func (b *boat) asked(key string) string { return b.askedBy(key, "") }

func (b *boat) askedBy(key, who string) string {
	b.t.Helper()
	resp, err := http.Post("http://"+b.ofrep+"/ofrep/v1/evaluate/flags/"+key, "application/json", strings.NewReader(`{"context":{"targetingKey":"`+who+`"}}`))
	must(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	var v struct{ Value json.RawMessage }
	must(b.t, json.NewDecoder(resp.Body).Decode(&v))
	return string(v.Value)
}

func TestAFeatureDoesNotFlickerWhenControlDiesBeforeTheOutcomeIsRecorded(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.drill("close-checkout")
	f := &frail{Store: b.store}
	b.stopC()
	b.store = f
	b.control()
	b.ready()
	var intended atomic.Bool
	die := func(writes []store.Write) bool {
		no := intended.Load()
		intended.Store(no || slices.ContainsFunc(writes, func(w store.Write) bool { return strings.Contains(string(w.Value), string(incident.LeverApplying)) }))
		return no && !slices.ContainsFunc(writes, func(w store.Write) bool { return w.Key == "published" })
	}
	f.refuse.Store(&die)
	if err := b.pull("close-checkout", ""); err == nil || b.asked("checkout") != "false" {
		t.Fatalf("the pull: %v; the flag is answered %s", err, b.asked("checkout"))
	}
	f.refuse.Store(nil)
	b.stopC()
	first := make(chan string, 1)
	b.hook = func(point string) {
		if point == "intent recorded" { // all has been published, and nothing done again yet
			select {
			case first <- b.asked("checkout"):
			default:
			}
		}
	}
	b.control()
	b.eventually("finished", func() bool {
		o := b.overview()
		return o.Answer.Ready && len(o.Sites[0].Incident.Pulls) == 1 && o.Sites[0].Incident.Pulls[0].State == incident.Active
	})
	if got := <-first; got != "false" {
		t.Fatalf("after the restart the flag was answered %s before it was ordered again", got)
	}
}
