package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
	"lifeboat/internal/listen"
)

// socketName is the demo's own local socket in its folder: who starts the shops can
// break and repair them. It has mode 0600.
const socketName = "demo.sock"

// askTime bounds one exchange over the demo's socket: a shop may have to start.
const askTime = readyTime + 10*time.Second

// maxReply is the longest thing read from the demo's socket, in bytes.
const maxReply = 64 << 10

// stockGrace is how long the stock service may take to end.
const stockGrace = time.Second

// Break breaks the shop of the demo that runs on a folder in one of the ways that
// shop.ParseBreakage reads. It is a fault.Invalid for another way, and a
// fault.NotFound when no demo runs there.
func Break(ctx context.Context, data, how string) error {
	b, err := shop.ParseBreakage(how)
	if err != nil {
		return err
	}
	_, err = tell(ctx, data, http.MethodPost, "/break/"+b.String())
	return err
}

// Do does one thing about the shop that shop.ParseRemedy reads, and says what came of
// it: it may not have been what was needed. Errors are as Break's.
func Do(ctx context.Context, data, act string) (said string, err error) {
	r, err := shop.ParseRemedy(act)
	if err != nil {
		return "", err
	}
	answer, err := tell(ctx, data, http.MethodPost, "/do/"+r.String())
	return answer.Said, err
}

// Repair brings the shop back, whatever was done to it; a dead one is started again.
func Repair(ctx context.Context, data string) error {
	_, err := tell(ctx, data, http.MethodPost, "/repair")
	return err
}

// State tells how the shop of the demo that runs on a folder is. Errors are as
// Break's.
func State(ctx context.Context, data string) (Condition, error) {
	answer, err := tell(ctx, data, http.MethodGet, "/state")
	if err == nil && answer.Condition == nil {
		err = fault.New(fault.Internal, "the demo does not say how its shop is").At("--data " + data)
	}
	if err != nil {
		return Condition{}, err
	}
	return *answer.Condition, nil
}

// Condition is how the sample shop is: looked up at each asking.
type Condition struct {
	Broken  []shop.Harm `json:"broken"`  // what is wrong now; empty when all is well
	Release string      `json:"release"` // at main
	Places  []Place     `json:"places"`  // main, backup
}

// Place is one of the processes that run the shop.
type Place struct {
	Name    string `json:"name"`
	Runs    bool   `json:"runs"`
	Problem string `json:"problem,omitempty"` // why it could not be asked; what follows is then not known
	PID     int    `json:"pid,omitempty"`
	Release string `json:"release"`
	InUse   int    `json:"pool_in_use"`
	Workers int    `json:"pool_size"`
	Free    int64  `json:"disk_free_bytes"`
	Log     string `json:"log"`     // the file with a line per failing request; the one before has .1 at its end
	Metrics string `json:"metrics"` // URL
}

// said is the demo's answer: what came of it, or what went wrong.
type said struct {
	Kind      fault.Kind `json:"kind,omitempty"`
	Text      string     `json:"text,omitempty"`
	Hint      string     `json:"hint,omitempty"`
	Said      string     `json:"said,omitempty"`
	Condition *Condition `json:"condition,omitempty"`
}

// tell asks the demo on a folder for one thing.
func tell(ctx context.Context, data, method, path string) (s said, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, errors.New("it took too long"))
	defer cancel()
	socket := filepath.Join(data, socketName)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://demo"+path, nil)
	if err != nil {
		return s, err
	}
	res, err := client.Do(req)
	if err != nil {
		return s, fault.New(fault.NotFound, "no demo runs on this folder").At("--data "+data).Because(errors.Unwrap(err)).
			WithHint("start one with: lifeboat demo --data %s", data)
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	if err := json.NewDecoder(io.LimitReader(res.Body, maxReply)).Decode(&s); err != nil {
		return s, fault.New(fault.Internal, "the demo's answer can't be read").At(socket).Because(err)
	}
	if s.Kind != "" {
		return said{}, &fault.Error{Kind: s.Kind, Text: s.Text, Hint: s.Hint}
	}
	return s, nil
}

// obey serves the demo's socket until ctx ends.
func (b *boat) obey(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /break/{how}", answer(func(r *http.Request) (string, error) { return "", b.hurt(r.Context(), asked(r, "how")) }))
	mux.HandleFunc("POST /do/{act}", answer(func(r *http.Request) (string, error) { return b.act(r.Context(), asked(r, "act")) }))
	mux.HandleFunc("POST /repair", answer(func(r *http.Request) (string, error) { return "", b.repair(r.Context()) }))
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		now := b.condition(r.Context())
		reply(w, said{Condition: &now})
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	_ = srv.Serve(l) // ends with ctx
	_ = os.Remove(l.Addr().String())
}

// asked is what a request names, with its setting.
func asked(r *http.Request, what string) string {
	if r.URL.RawQuery == "" {
		return r.PathValue(what)
	}
	return r.PathValue(what) + "?" + r.URL.RawQuery
}

// answer makes a handler of one act.
func answer(act func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := act(r)
		s := said{Said: text}
		var f *fault.Error
		switch {
		case errors.As(err, &f):
			s = said{Kind: f.Kind, Text: (&fault.Error{Place: f.Place, Text: f.Text, Cause: f.Cause}).Error(), Hint: f.Hint}
		case err != nil:
			s = said{Kind: fault.Internal, Text: err.Error()}
		}
		reply(w, s)
	}
}

func reply(w http.ResponseWriter, s said) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s) // a caller that left needs nothing more
}

// openSocket opens the demo's socket; a demo that runs already keeps it.
func openSocket(data string) (net.Listener, error) {
	l, err := handover.ListenUnix(filepath.Join(data, socketName), -1)
	if fault.KindOf(err) == fault.Conflict {
		return nil, fault.New(fault.Conflict, "a demo runs on this folder already").At("--data " + data).
			WithHint("stop it first, or choose another folder with --data")
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// openStock starts the stock service that the shops ask; it ends with ctx.
func (b *boat) openStock(ctx context.Context) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fault.New(fault.Unavailable, "open the stock service").Because(err)
	}
	srv := &http.Server{Handler: &b.stock, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	b.helper.Go(func() { _ = listen.HTTP(ctx, l, srv, stockGrace) }) // ends with stop
	return "http://" + l.Addr().String(), nil
}

// hurt breaks the shop, and whoever caused it tells lifeboat what was changed. Acts come
// one after the other.
func (b *boat) hurt(ctx context.Context, how string) error {
	w, err := shop.ParseBreakage(how)
	if err != nil {
		return err
	}
	b.acting.Lock()
	defer b.acting.Unlock()
	began := b.o.Now()
	if err := b.inflict(ctx, w); err != nil {
		return err
	}
	b.tellHarm(ctx, w.How, began)
	return nil
}

func (b *boat) inflict(ctx context.Context, w shop.Breakage) error {
	switch w.How {
	case shop.SlowDependency:
		b.stock.Slow()
		return nil
	case shop.PoisonRow, shop.FullDisk:
		return shop.Break(ctx, b.books(), w.String())
	}
	if b.main.dead() {
		return fault.New(fault.Conflict, "the shop %s is dead already", b.main.name).WithHint("repair it first: lifeboat demo repair")
	}
	if release := w.How.ReleaseOf(); release != "" {
		return b.main.deploy(ctx, release, w.Well)
	}
	if err := shop.Break(ctx, b.main.control, w.String()); err != nil || w.How != shop.Kill {
		return err
	}
	select {
	case <-b.main.done():
		return nil
	case <-time.After(shopGrace):
	case <-ctx.Done():
	}
	return fault.New(fault.Unavailable, "the shop %s did not end", b.main.name).WithHint("look at its process: lifeboat demo repair may help")
}

// books is the control socket of a shop that can write into the books that all share.
func (b *boat) books() string {
	if b.main.dead() {
		return b.back.control
	}
	return b.main.control
}

// act does one thing about the shop and says what came of it.
func (b *boat) act(ctx context.Context, text string) (string, error) {
	r, err := shop.ParseRemedy(text)
	if err != nil {
		return "", err
	}
	b.acting.Lock()
	defer b.acting.Unlock()
	switch r.Act {
	case shop.Restart:
		return "The shop's process was started anew, with the same release and the same books.", b.main.restart(ctx)
	case shop.RollBack:
		return b.rollBack(ctx)
	case shop.RollBackBadly:
		release := shop.LeakyRelease.ReleaseOf()
		return fmt.Sprintf("Release %s runs now.", release), b.main.deploy(ctx, release, r.Well)
	case shop.SpeedUp:
		if !b.stock.IsSlow() {
			return "The stock service was not slow; nothing was changed.", nil
		}
		b.stock.SpeedUp()
		return "The stock service answers at once again.", nil
	}
	return shop.Do(ctx, b.books(), r.Act)
}

// rollBack puts the good release back, where it does not run already.
func (b *boat) rollBack(ctx context.Context) (string, error) {
	if b.main.runs() == shop.GoodRelease {
		return fmt.Sprintf("Release %s is in place already; nothing was changed.", shop.GoodRelease), nil
	}
	return fmt.Sprintf("Release %s runs again.", shop.GoodRelease), b.main.deploy(ctx, shop.GoodRelease, 0)
}

// repair puts everything right, whatever was done.
func (b *boat) repair(ctx context.Context) error {
	b.acting.Lock()
	defer b.acting.Unlock()
	b.stock.SpeedUp()
	if b.main.runs() != shop.GoodRelease {
		if err := b.main.deploy(ctx, shop.GoodRelease, 0); err != nil {
			return err
		}
	}
	return b.main.repair(ctx)
}

// condition looks at everything. It waits for no act, so that it can be asked while
// one goes on.
func (b *boat) condition(ctx context.Context) Condition {
	now := Condition{Broken: []shop.Harm{}, Release: b.main.runs()}
	wrong := map[shop.Harm]bool{shop.Kill: b.main.dead(), shop.SlowDependency: b.stock.IsSlow()}
	for _, s := range []*origin{b.main, b.back} {
		p := Place{
			Name: s.name, Runs: !s.dead(), Release: s.runs(), Log: s.shopLog,
			Metrics: "http://" + net.JoinHostPort(s.ip, strconv.Itoa(s.port)) + "/metrics",
		}
		if p.Runs {
			c, err := shop.State(ctx, s.control)
			if err != nil {
				p.Problem = err.Error()
			}
			p.PID, p.InUse, p.Workers, p.Free = c.PID, c.InUse, c.Workers, c.DiskFree
			for _, h := range c.Harms {
				wrong[h] = true
			}
		}
		now.Places = append(now.Places, p)
	}
	now.Broken = slices.DeleteFunc(shop.Harms(), func(h shop.Harm) bool { return !wrong[h] })
	return now
}

// harmSaid is what has happened to the shop, by the way in which it was broken.
var harmSaid = map[shop.Harm]string{
	shop.Kill:           "the shop's process was killed",
	shop.Hang:           "the shop takes connections and never answers",
	shop.BadRelease:     "every page of the shop is an error",
	shop.LeakyRelease:   "the shop loses its workers one by one",
	shop.PoisonRow:      "one row of the shop's books breaks every page that lists it",
	shop.SlowDependency: "the stock service is slow, and every page waits for it",
	shop.FullDisk:       "nothing can be written into the shop's books",
	shop.Flaky:          "a job has locked the shop's books",
}

func harmWords(how string) string {
	name, _, _ := strings.Cut(how, "?")
	return harmSaid[shop.Harm(name)]
}
