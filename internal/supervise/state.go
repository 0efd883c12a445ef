package supervise

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/snapshot"
)

// state is what the next serve on the folder needs to join our children.
type state struct {
	Addresses
	Boot    string   `json:"boot"` // pids mean nothing after a reboot
	Control identity `json:"control"`
	Answer  identity `json:"answer"`
}

func statePath(data string) string { return filepath.Join(data, stateFile) }

// loadState reads what the last serve noted; known is false if there is nothing
// of use, which costs a join no more than a restart of control.
func loadState(data string) (s state, known bool) {
	b, err := os.ReadFile(statePath(data))
	if err != nil {
		return state{}, false
	}
	return parseState(b, bootID())
}

func parseState(b []byte, boot string) (s state, known bool) {
	if json.Unmarshal(b, &s) != nil || s.Boot != boot {
		return state{}, false
	}
	return s, true
}

// sameAgain gives the address that was bound before if the one asked for now
// allows it (it is the same, or its port is 0), else the one asked for.
func sameAgain(asked, bound string) string {
	host, port, err := net.SplitHostPort(asked)
	hostBefore, portBefore, errBefore := net.SplitHostPort(bound)
	if err != nil || errBefore != nil {
		return asked
	}
	if (port == "0" || port == portBefore) && sameHost(host, hostBefore) {
		return bound
	}
	return asked
}

// sameHost compares a host as it is written with one as the kernel tells it.
func sameHost(asked, bound string) bool {
	if asked == "localhost" {
		return net.ParseIP(bound).IsLoopback()
	}
	a, b := net.ParseIP(asked), net.ParseIP(bound)
	if asked == "" || (a != nil && a.IsUnspecified()) {
		return b != nil && b.IsUnspecified()
	}
	return a != nil && a.Equal(b)
}

// report keeps serve.json and the ready file in step with what runs.
func (p *parent) report(ctx context.Context) {
	var poll <-chan time.Time // nil while there is nothing to find out
	var wait time.Duration
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.news:
			p.keepState()
			wait = firstPoll
			poll = time.After(0)
		case <-poll:
			if poll = nil; !p.ready(ctx) {
				poll = time.After(wait)
				wait = min(wait*5/4, longPoll)
				continue
			}
			now := p.addresses()
			p.writeReady(now)
			if !told && p.OnReady != nil {
				p.OnReady(now)
			}
			told = true
		}
	}
}

// How often the children are asked whether they are ready.
const (
	firstPoll = 10 * time.Millisecond
	longPoll  = 250 * time.Millisecond
)

// ready says whether both children are.
func (p *parent) ready(ctx context.Context) bool {
	at := p.addresses()
	if at.PID.Control == 0 || at.PID.Answer == 0 {
		return false
	}
	answer, err := askAnswer(ctx, at.AnswerSock)
	if err != nil || !answer.Ready || answer.PID != at.PID.Answer {
		return false
	}
	control, err := askControl(ctx, at.ControlSock, "/readyz")
	return err == nil && control.Ready
}

// addresses are what is bound and who runs, now.
func (p *parent) addresses() Addresses {
	control, answer := p.control.current(), p.answer.current()
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.at
	if control != nil {
		at.PID.Control = control.pid
	}
	if answer != nil {
		at.PID.Answer = answer.pid
	}
	return at
}

// keepState notes what runs. A full disk costs only the next join its knowledge.
func (p *parent) keepState() {
	s := state{Addresses: p.addresses(), Boot: bootID()}
	s.Control, _ = identify(s.PID.Control) // one that has just ended is noted as none
	s.Answer, _ = identify(s.PID.Answer)
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = snapshot.WriteFile(statePath(p.Data), append(b, '\n'))
	}
	if err != nil {
		p.log.Warn("can't note what runs; a serve that joins later has to ask", "error", err)
	}
}

func (p *parent) writeReady(at Addresses) {
	p.log.Info("ready", "http", at.HTTP, "dns", at.DNS, "standby_http", at.StandbyHTTP, "standby_https", at.StandbyHTTPS, "ofrep", at.OFREP)
	if p.ReadyFile == "" {
		return
	}
	b, err := json.MarshalIndent(at, "", "  ")
	if err == nil {
		err = snapshot.WriteFile(p.ReadyFile, append(b, '\n'))
	}
	if err != nil {
		p.log.Error("can't write the ready file", "path", p.ReadyFile, "error", err)
	}
}
