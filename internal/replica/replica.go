// Package replica answers feature flags beside an application in place of another
// lifeboat: it takes that one's flags, rules and orders, hears of each change by a
// stream, and evaluates here.
//
// It is no answer process: no DNS, no standby page, no checks, no levers, nothing is
// ordered here. What it answers it has from one upstream, whose word it believes; the
// protocol is package ofrep's. Command line code runs it.
//
// Invariants: an answer never waits for the upstream, the disk or the network; what
// was taken last goes on for ever, and says since when the upstream has not been heard;
// what can't be read never takes the place of what could. The key is sent to the
// upstream alone and never told.
//
// Concurrency: Run is called once. What is known lives under one mutex that no
// question takes.
package replica

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/ofrep"
	"lifeboat/internal/slot"
)

// Waits are the waits of a Replica; each that is 0 has the value beside it.
type Waits struct {
	Question time.Duration // for the flags, and for a stream to begin: 5s
	Silence  time.Duration // on a stream, before it is given up: 40s, more than two signs of life
	Stale    time.Duration // without a word of the upstream, before answers say so: 30s
	First    time.Duration // before the upstream is asked again: 100ms, twice as long each time
	Longest  time.Duration // the same, at most: 5s
}

func (w Waits) withDefaults() Waits {
	for _, d := range []struct {
		of    *time.Duration
		usual time.Duration
	}{{&w.Question, 5 * time.Second}, {&w.Silence, 40 * time.Second}, {&w.Stale, 30 * time.Second}, {&w.First, 100 * time.Millisecond}, {&w.Longest, 5 * time.Second}} {
		if *d.of <= 0 {
			*d.of = d.usual
		}
	}
	return w
}

// Options of a Replica. All but Dir and Waits MUST be set.
type Options struct {
	Upstream string       // its base URL, as http://192.0.2.7:8016
	Key      string       // one for copies (feature.ForCopies)
	OFREP    net.Listener // where questions come in
	Dir      string       // where what is known is kept; "": nowhere
	Waits    Waits
	Now      func() time.Time
	Logger   *slog.Logger
}

// Replica answers in place of its upstream.
type Replica struct {
	o      Options
	base   string
	client *http.Client
	server *ofrep.Server
	file   *slot.File    // nil: nothing is kept
	fresh  chan struct{} // holds one: something else is known than what is kept

	kept time.Time // when what is kept was taken; keep's alone while Run runs

	mu    sync.Mutex // guards what follows
	known *known     // nil: nothing yet
	heard time.Time  // when the upstream was heard last
	stale bool       // answers say that it has not been heard
	lost  bool       // that it can't be reached was told
}

// known is what was taken last, as it is kept.
type known struct {
	ETag     string     `json:"etag"`
	Revision string     `json:"revision"` // EPOCH.REVISION of the upstream's manifest
	Taken    time.Time  `json:"taken"`
	Copy     ofrep.Copy `json:"copy"`
}

// keptIn is the file of what is known, in Dir.
const keptIn = "features.slot"

// New makes a Replica that answers with what was kept. It fails when the upstream's
// address can't be used; a disk that can't be used is complained of and done without.
func New(o Options) (*Replica, error) {
	o.Waits = o.Waits.withDefaults()
	base, err := baseOf(o.Upstream)
	if err != nil {
		return nil, err
	}
	r := &Replica{o: o, base: base, fresh: make(chan struct{}, 1), server: ofrep.New(ofrep.Options{Logger: o.Logger, Now: o.Now}), client: &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: o.Waits.Question}).DialContext, TLSHandshakeTimeout: o.Waits.Question, ResponseHeaderTimeout: o.Waits.Question,
			IdleConnTimeout: time.Minute, MaxIdleConns: 4, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key is for the upstream alone
	}}
	r.open()
	return r, nil
}

// baseOf checks the upstream's address.
func baseOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fault.New(fault.Invalid, "the upstream's address can't be used").At("--upstream").
			WithHint("say where the other lifeboat answers features, for example --upstream http://192.0.2.7:8016")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// open puts in force what was kept.
func (r *Replica) open() {
	if r.o.Dir == "" {
		return
	}
	path := filepath.Join(r.o.Dir, keptIn)
	err := os.MkdirAll(r.o.Dir, 0o700)
	if err == nil {
		r.file, err = slot.Open(path, ofrep.MaxCopy+4096)
	}
	if err != nil {
		r.o.Logger.Warn("what is known can't be kept; after a restart the upstream is needed", "cause", err)
		return
	}
	newest, older, err := r.file.Read()
	if err != nil {
		r.o.Logger.Warn("what was kept can't be read", "cause", err)
	}
	for _, b := range [][]byte{newest, older} {
		var k known
		if b == nil || json.Unmarshal(b, &k) != nil || k.Copy.Format != ofrep.CopyFormat {
			continue
		}
		r.mu.Lock()
		r.known, r.heard, r.kept, r.stale = &k, k.Taken, k.Taken, true
		if i, err := os.Stat(path); err == nil && i.ModTime().After(k.Taken) && !i.ModTime().After(r.o.Now()) {
			r.heard = i.ModTime()
		}
		r.enforce()
		r.mu.Unlock()
		return
	}
}

// enforce answers with what is known.
func (r *Replica) enforce() { // with mu held
	since := time.Time{}
	if r.stale {
		since = r.heard
	}
	v := ofrep.CompileStale(r.known.Copy.Features, r.known.Copy.Orders, since)
	epoch, revision, _ := strings.Cut(r.known.Revision, ".")
	e, err1 := strconv.ParseUint(epoch, 10, 64)
	n, err2 := strconv.ParseUint(revision, 10, 64)
	if err1 == nil && err2 == nil {
		v = v.At(e, n)
	}
	r.server.Set(v)
}

// Run answers and follows the upstream until ctx ends.
func (r *Replica) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { r.follow(ctx) }) // ends with ctx, as below
	group.Go(func() { r.watch(ctx) })
	group.Go(func() { r.keep(ctx) })
	err := r.server.Serve(ctx, r.o.OFREP)
	stop()
	group.Wait()
	r.client.CloseIdleConnections()
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
	}
	return err
}

// follow takes the flags and hears of changes, again and again.
func (r *Replica) follow(ctx context.Context) {
	wait := r.o.Waits.First
	for ctx.Err() == nil {
		began := r.lastHeard()
		err := r.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if r.lastHeard().After(began) {
			wait = r.o.Waits.First
		}
		r.missed(err)
		pause := wait/2 + rand.N(wait/2+1)
		var busy *busyError
		if errors.As(err, &busy) {
			pause = max(pause, busy.wait)
		}
		if !sleep(ctx, pause) {
			return
		}
		wait = min(2*wait, r.o.Waits.Longest)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Replica) lastHeard() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard
}

// missed tells, once, that the upstream can't be reached.
func (r *Replica) missed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost || err == nil || errors.Is(err, errStreamEnded) {
		return
	}
	r.lost = true
	if r.known == nil {
		r.o.Logger.Warn("the upstream can't be asked, and nothing is known yet: questions are refused", "cause", err)
		return
	}
	r.o.Logger.Warn("the upstream can't be asked; answers go on with what is known", "revision", r.known.Revision, "cause", err)
}

// hear notes that the upstream has said something.
func (r *Replica) hear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = r.o.Now()
	if r.lost {
		r.lost = false
		r.o.Logger.Info("the upstream is back")
	}
	if r.stale && r.known != nil {
		r.stale = false
		r.enforce()
	}
}

// watch sees when the upstream has not been heard for too long.
func (r *Replica) watch(ctx context.Context) {
	tick := time.NewTicker(max(r.o.Waits.Stale/30, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		now := r.o.Now()
		if r.known != nil && !r.stale && now.Sub(r.heard) > r.o.Waits.Stale {
			r.stale = true
			r.enforce()
		}
		r.mu.Unlock()
	}
}

// noting is how often it is kept when the upstream was heard last.
const noting = time.Minute

// keep writes what is known, beside everything else: a disk that is full or hangs
// keeps nobody waiting.
func (r *Replica) keep(ctx context.Context) {
	if r.file == nil {
		return
	}
	tick := time.NewTicker(noting)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.write()
			r.note()
			return
		case <-r.fresh:
			r.write()
		case <-tick.C:
			r.write()
			r.note()
		}
	}
}

// write keeps what is known, unless that is kept already. What could not be written is
// tried again later.
func (r *Replica) write() {
	r.mu.Lock()
	k := r.known
	r.mu.Unlock()
	if k == nil || r.kept == k.Taken {
		return
	}
	b, err := json.Marshal(k)
	if err == nil {
		err = r.file.Write(b)
	}
	if err != nil {
		r.o.Logger.Warn("what is known is in force but not kept", "revision", k.Revision, "cause", err)
		return
	}
	r.kept = k.Taken
}

// note keeps when the upstream was heard last, as the file's time: that needs no room.
func (r *Replica) note() {
	if heard := r.lastHeard(); !heard.IsZero() {
		_ = os.Chtimes(filepath.Join(r.o.Dir, keptIn), time.Time{}, heard) // without it the file's own time is told, which is older
	}
}
