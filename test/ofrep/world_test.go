package ofrep

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/feature"
	"lifeboat/internal/ofrep"
	"lifeboat/test/door"
)

// patience is more than anything here takes.
const patience = 30 * time.Second

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// board are flags of every type.
func board() []feature.Flag {
	return []feature.Flag{
		{Key: "checkout", Value: raw("true"), Off: raw("false"), Public: true},
		{Key: "engine", Value: raw(`"full"`), Off: raw(`"none"`), Public: true, Variants: map[string]json.RawMessage{"light": raw(`"titles"`)},
			Targeting: raw(`{"if":[{"==":[{"var":"country"},"DE"]},"light"]}`)},
		{Key: "limit", Value: raw("12.5"), Off: raw("0"), Public: true},
		{Key: "page", Value: raw(`{"colour":"blue","deep":{"n":1}}`), Off: raw(`{}`), Public: true},
		{Key: "ramp", Value: raw("true"), Off: raw("false"), Public: true, Targeting: raw(`{"fractional":[["on",1],["off",0]]}`)},
		{Key: "secret", Value: raw("true"), Off: raw("false")},
		{Key: "broken", Value: raw("{"), Public: true},
	}
}

func pulled() map[string]feature.Order {
	return map[string]feature.Order{"checkout": {Value: raw("false"), Lever: "close-checkout", Incident: "01J", By: "Ada", Since: "2026-03-12T02:07:00Z"}}
}

// boat is an endpoint at one address, which can be stopped and come back.
type boat struct {
	t      testing.TB
	addr   string
	server *ofrep.Server
	now    func() time.Time // nil: the machine's clock
	rev    uint64
	stop   func()
}

func launch(t testing.TB, access feature.Access) *boat {
	t.Helper()
	return launchAt(t, access, nil)
}

func launchAt(t testing.TB, access feature.Access, now func() time.Time) *boat {
	t.Helper()
	b := &boat{t: t, addr: "127.0.0.1:0", now: now}
	b.start(access)
	t.Cleanup(func() { b.stop() })
	b.order(nil)
	return b
}

// start makes a new process of it, as it were: nothing is remembered.
func (b *boat) start(access feature.Access) {
	b.t.Helper()
	ln := door.Open(b.t, b.addr)
	b.addr = ln.Addr().String()
	b.server = ofrep.New(ofrep.Options{Heartbeat: time.Second, Now: b.now})
	b.server.Allow(access)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.server.Serve(ctx, ln) }()
	var stopped atomic.Bool
	b.stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
			b.t.Errorf("stopped with %v", err)
		}
	}
}

func (b *boat) order(orders map[string]feature.Order) {
	b.rev++
	b.server.Set(ofrep.Compile(board(), orders).At(1, b.rev))
}

func (b *boat) url() string { return "http://" + b.addr }

// program is one of the folder node, spoken with line by line.
type program struct {
	t     testing.TB
	in    io.WriteCloser
	lines chan message
}

type message struct {
	Event   string
	Flags   []string
	Message string
	Answer  json.RawMessage
	MS      float64
}

func run(t testing.TB, name string, args ...string) *program {
	t.Helper()
	cmd := node(t, name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t, in, make(chan message, 100)}
	ended := make(chan struct{})
	go func() { // ends with the program
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var m message
			if json.Unmarshal(lines.Bytes(), &m) == nil {
				p.lines <- m
			}
		}
	}()
	t.Cleanup(func() { end(t, cmd, in, ended) })
	p.answer()
	return p
}

func end(t testing.TB, cmd *exec.Cmd, in io.Closer, ended chan struct{}) {
	_ = in.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("a client does not end")
		_ = cmd.Process.Kill()
		<-ended
	}
	_ = cmd.Wait()
}

// answer is the next answer; events before it are dropped.
func (p *program) answer() message {
	p.t.Helper()
	for {
		m := p.next()
		if m.Event == "" {
			return m
		}
	}
}

func (p *program) next() message {
	p.t.Helper()
	select {
	case m := <-p.lines:
		return m
	case <-time.After(patience):
		p.t.Fatal("a client says nothing")
		return message{}
	}
}

// event waits for an event.
func (p *program) event(name string) message {
	p.t.Helper()
	for {
		if m := p.next(); m.Event == name {
			return m
		}
	}
}

func (p *program) ask(command map[string]any) message {
	p.t.Helper()
	b, err := json.Marshal(command)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		p.t.Fatal(err)
	}
	return p.answer()
}

// details are what an application is told.
type details struct {
	Value                  json.RawMessage
	Reason, Variant, Error string
	Metadata               map[string]string
	Threw                  string
	took                   time.Duration
}

func (p *program) evaluate(kind, key string, fallback any, context map[string]any) details {
	p.t.Helper()
	m := p.ask(map[string]any{"do": "evaluate", "type": kind, "key": key, "default": fallback, "context": context})
	d := details{took: time.Duration(m.MS * float64(time.Millisecond))}
	if err := json.Unmarshal(m.Answer, &d); err != nil {
		p.t.Fatalf("%s: %v", m.Answer, err)
	}
	return d
}
