package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lifeboat/internal/answer"
	"lifeboat/internal/config"
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
		must(t, b.pull(tt.lever, ""))
		b.restart(tt.edit)
		b.ready()
		b.goBack()
	}
}
