package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// Receiver is somebody outside who is told by webhook: one that takes what comes, one
// that fails, or one that accepts a request and never answers.
type Receiver struct {
	t      *testing.T
	url    string
	key    []byte // of its secret
	server *http.Server
	quit   chan struct{} // closed in the end: whoever hangs is let go

	mu    sync.Mutex // guards all below
	mode  string     // good, failing, hanging
	calls []call     // answered with 200, in order
	tries int        // all that came
	held  map[int]bool
}

// call is a webhook that was taken.
type call struct {
	id   string
	kind string
	news engine.News
}

const secretText = "whsec_bGlmZWJvYXQgdGVsbHMgcGVvcGxlIHdoYXQgaXMgbmV3"

// openReceiver listens on one of the boat's addresses and writes its secret into a
// file.
func openReceiver(b *Boat, host int, name, mode string) *Receiver {
	t := b.t
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secretText, "whsec_"))
	b.Must(err)
	b.Must(os.WriteFile(filepath.Join(b.dir, name+".secret"), []byte(secretText+"\n"), 0o600))
	l, err := net.Listen("tcp", b.Addr(host)+":0")
	b.Must(err)
	r := &Receiver{t: t, url: "http://" + l.Addr().String() + "/" + name, key: key, quit: make(chan struct{}), mode: mode, held: map[int]bool{}}
	r.server = &http.Server{Handler: r}
	served := make(chan struct{})
	go func() { _ = r.server.Serve(l); close(served) }() // ends with Close
	t.Cleanup(func() { close(r.quit); _ = r.server.Close(); <-served })
	return r
}

// Be changes what it does with what comes next.
func (r *Receiver) Be(mode string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = mode
}

// Holding are the requests that it has accepted and not answered, by their number.
func (r *Receiver) Holding() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []int
	for n := range r.held {
		out = append(out, n)
	}
	return out
}

// Calls are what it took, in order.
func (r *Receiver) Calls() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Tries is how many requests came.
func (r *Receiver) Tries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	r.mu.Lock()
	r.tries++
	n, mode := r.tries, r.mode
	r.mu.Unlock()
	if err == nil {
		err = r.verify(q.Header, body)
	}
	if err != nil {
		r.t.Errorf("%s: %v: %s", q.URL.Path, err, body)
	}
	switch mode {
	case "failing":
		http.Error(w, "I am not well", http.StatusInternalServerError)
	case "hanging":
		r.hold(n, q)
	default:
		var got struct {
			Type string
			Data engine.News
		}
		if err := json.Unmarshal(body, &got); err != nil {
			r.t.Errorf("%s: %v in %s", q.URL.Path, err, body)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = append(r.calls, call{q.Header.Get("webhook-id"), got.Type, got.Data})
	}
}

// hold answers nothing until whoever asked has gone away.
func (r *Receiver) hold(n int, q *http.Request) {
	r.mu.Lock()
	r.held[n] = true
	r.mu.Unlock()
	select {
	case <-q.Context().Done():
	case <-r.quit:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, n)
}

// verify checks a signature as a receiver does (Standard Webhooks 1.0.0, "Signature
// scheme").
func (r *Receiver) verify(h http.Header, body []byte) error {
	id, at := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return fmt.Errorf("the time is %q", at)
	}
	if age := time.Since(time.Unix(seconds, 0)); age > 5*time.Minute || age < -5*time.Minute {
		return fmt.Errorf("it was signed %s ago", age)
	}
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if id == "" || !slices.Contains(strings.Fields(h.Get("webhook-signature")), want) {
		return fmt.Errorf("the signature of %q is %q, not %q", id, h.Get("webhook-signature"), want)
	}
	return nil
}

// outside are the receivers of the test below.
type outside struct{ good, failing, hanging, purge *Receiver }

func (o *outside) open(b *Boat) {
	o.good = openReceiver(b, 8, "good", "good")
	o.failing = openReceiver(b, 8, "failing", "failing")
	o.hanging = openReceiver(b, 8, "hanging", "hanging")
	o.purge = openReceiver(b, 8, "purge", "hanging")
	b.site += quickFixes
	b.more += "channels:\n"
	for name, r := range map[string]*Receiver{"good": o.good, "failing": o.failing, "hanging": o.hanging} {
		b.more += fmt.Sprintf("  %s: {webhook: {url: %q, secret_file: %s.secret}}\n", name, r.url, name)
	}
	b.more += fmt.Sprintf("actions:\n  purge: {title: Empty the cache, webhook: {url: %q, secret_file: purge.secret}, deadline: 1s, undo: none}\n", o.purge.url)
}

// TestNobodyOutsideHoldsUp: somebody outside hangs for ever, somebody fails for ever, and
// the prepared act of a fix hangs, too. The incident goes its way, from declaration to
// close, without waiting for any of them; what waits can be seen with its reason; who
// listens is told everything, in order, signed and once.
func TestNobodyOutsideHoldsUp(t *testing.T) {
	t.Parallel()
	var o outside
	b := Launch(t, Options{Failover: "off", Ready: o.open})
	ada, ben := b.Person("Ada", role.Operator), b.Person("Ben", role.Commander)
	b.Load()
	h := &hung{b: b, o: &o}
	const site = "/sites/shop"
	ada.Do(site+"/declare", api.DeclareBody{Title: "Nothing loads"}, nil) // what will hang, hangs from here on
	b.Moving(standby)
	h.act(ben, "/levers/to-standby/pull", nil)
	b.Moved(standby)
	h.act(ada, site+"/updates", api.UpdateBody{Audience: "public", Text: "We know.", NextIn: "20m"})
	h.act(ada, site+"/updates", api.UpdateBody{Audience: "staff", Text: "Hands off, please."})
	h.fix(ada, ben)
	b.checkQueue(ada)

	b.KillControl()
	h.act(ada, site+"/notes", api.NoteBody{Text: "Control was away."})
	b.Moving(home)
	h.act(ada, site+"/go-back", api.GoBackBody{Because: "The cache is empty by itself."})
	b.AwaitPhase(incident.Watch, incident.Review)
	b.Moved(home)
	b.AwaitPhase(incident.Review)
	h.act(ada, site+"/updates", api.UpdateBody{Audience: "public", Text: "It is over.", Over: true})
	h.act(ben, site+"/close", api.ReasonBody{Reason: "This was a test."})
	line := b.OneIncident()
	b.Settle()
	h.judge()
	b.told(o.good, line, "good")

	b.checkQueue(ada)
	o.failing.Be("good") // it is well again
	b.hasten(ada, "failing")
	b.told(o.failing, line, "failing")
	if n := len(o.hanging.Calls()); n != 0 {
		t.Errorf("the receiver that hangs took %d messages", n)
	}
}

// hung counts the acts that came back while somebody outside still held the request
// that it held before them.
type hung struct {
	b           *Boat
	o           *outside
	acts, while int
}

func (h *hung) act(p *Person, path string, in any) {
	h.b.t.Helper()
	var before []int
	h.b.Eventually("a receiver hangs", func() bool { before = h.o.hanging.Holding(); return len(before) > 0 })
	p.Do(path, in, nil)
	h.acts++
	if slices.Equal(h.o.hanging.Holding(), before) {
		h.while++
	}
}

// judge wants most acts to have come back while the receiver held the same request as
// before: an act that waits for it comes back only when it has let go. Now and then its
// time is over just then.
func (h *hung) judge() {
	h.b.t.Helper()
	h.b.t.Logf("%d of %d acts came back while the receiver was hanging", h.while, h.acts)
	if h.while <= h.acts/2 {
		h.b.t.Errorf("only %d of %d acts came back while the receiver was hanging", h.while, h.acts)
	}
}

// fix lets the prepared act hang: it is given up at its deadline, is asked for only
// once, and a person decides.
func (h *hung) fix(ada, ben *Person) {
	t, b := h.b.t, h.b
	t.Helper()
	const site = "/sites/shop"
	plan := api.FixBody{Change: "Empty the cache.", Check: "home", Within: "1m", WayBack: "It fills by itself.", Takes: "a second", Action: "purge", Reason: "Nobody knows yet."}
	h.act(ada, site+"/fixes", plan)
	h.act(ben, site+"/fix/approve", api.OneFixBody{Fix: "f1"})
	h.act(ada, site+"/fix/begin", api.OneFixBody{Fix: "f1"})
	b.Eventually("the act is given up", func() bool {
		f, flies := b.Incident().FixInFlight()
		return flies && f.State == incident.StateInterrupted
	})
	f, _ := b.Incident().FixInFlight()
	if !strings.Contains(f.Result, "in time") {
		t.Errorf("of the act that hung it says %q", f.Result)
	}
	if n := h.o.purge.Tries(); n != 1 {
		t.Errorf("the act was asked for %d times", n)
	}
	ada.Refused("R10", site+"/fixes", plan)
	h.act(ada, site+"/fix/keep", api.OneFixBody{Fix: "f1", Reason: "Nobody can tell, and it does no harm."})
}

// checkQueue looks at what waits, and why.
func (b *Boat) checkQueue(p *Person) {
	b.t.Helper()
	b.Eventually("the queue says what waits and why", func() bool {
		why := map[string]string{}
		for _, m := range b.queue(p) {
			why[m.Channel] += m.LastError + "\n"
			if m.Channel == "good" {
				b.t.Logf("waiting for the good one: %+v", m)
			}
		}
		return strings.Contains(why["failing"], "500") && strings.Contains(why["hanging"], "in time") && why["good"] == ""
	})
	if o, err := b.Status(); err != nil || o.Waiting == 0 {
		b.t.Errorf("the status says that %d messages wait, %v", o.Waiting, err)
	}
}

func (b *Boat) queue(p *Person) []api.Message {
	b.t.Helper()
	var q api.Queue
	p.Get("/queue", &q)
	return q.Messages
}

// hasten tries a channel's oldest message now.
func (b *Boat) hasten(p *Person, channel string) {
	b.t.Helper()
	for _, m := range b.queue(p) {
		if m.Channel == channel {
			_, err := p.Send(http.MethodPost, "/queue/"+m.ID+"/retry", "", nil) // it may have gone out meanwhile
			b.Must(err)
			return
		}
	}
	b.t.Errorf("nothing waits for %s", channel)
}

// told waits until a receiver was told of everything that it is told of, and checks
// that it was in order and, but for what it got twice under one id, once.
func (b *Boat) told(r *Receiver, line api.Timeline, channel string) {
	t := b.t
	t.Helper()
	var want []string
	for _, e := range line.Events {
		switch e.Type {
		case incident.UpdateSent, incident.Declared, incident.ClosedType, incident.LeverSeen, incident.LeverUndone:
			want = append(want, e.ID+"-"+channel)
		case incident.PhaseChanged:
			if strings.Contains(string(e.Data), `"to":"watch"`) || strings.Contains(string(e.Data), `"to":"review"`) {
				want = append(want, e.ID+"-"+channel)
			}
		}
	}
	var got []string
	all := poll(within, func() bool {
		got = nil
		for _, c := range r.Calls() {
			if !slices.Contains(got, c.id) {
				got = append(got, c.id)
			}
		}
		return len(got) >= len(want)
	})
	if len(got) > 0 && channel == "failing" { // what was being tried when it was well again comes first
		want = append([]string{got[0]}, slices.DeleteFunc(want, func(id string) bool { return id == got[0] })...)
	}
	if !all || !slices.Equal(got, want) {
		t.Errorf("%s was told\n%s\nnot\n%s\n%s", channel, strings.Join(got, "\n"), strings.Join(want, "\n"), b.Story())
	}
	public := 0
	for _, c := range r.Calls() {
		if c.news.Incident != line.Incident || c.news.Site != "shop" || c.news.Title != "Nothing loads" || c.news.Text == "" || c.kind == "" {
			t.Errorf("%s was told %+v", channel, c)
		}
		if c.kind == "update.public" {
			public++
		}
	}
	if public < 2 {
		t.Errorf("%s got %d public messages", channel, public)
	}
}
