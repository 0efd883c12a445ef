package supervise

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// join finds the children that an earlier serve left running, and takes them over;
// it opens answer's sockets if there is no answer.
func (p *parent) join(ctx context.Context) error {
	before, known := loadState(p.Data)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = Addresses{
		ControlSock: filepath.Join(p.Data, handover.ControlSock),
		AnswerSock:  filepath.Join(p.Data, handover.AnswerSock),
		PID:         PIDs{Serve: os.Getpid()},
	}
	p.sockets.control, p.sockets.answer = split(p.Sockets)
	p.console.want = p.HTTP

	answer, err := find(ctx, p.at.AnswerSock, before.Answer, func(ctx context.Context) (reply, error) { return askAnswer(ctx, p.at.AnswerSock) })
	if err != nil {
		return err
	}
	control, err := find(ctx, p.at.ControlSock, before.Control, func(ctx context.Context) (reply, error) { return askControl(ctx, p.at.ControlSock, "/healthz") })
	if err != nil {
		return err
	}
	if err := p.joinAnswer(ctx, answer, before, control != nil); err != nil {
		return err
	}
	if control != nil {
		p.joinControl(ctx, control, before, known)
	}
	return ctx.Err()
}

// joinAnswer takes a running answer over with its sockets, or opens them. The
// caller holds mu.
func (p *parent) joinAnswer(ctx context.Context, running *process, before state, control bool) error {
	if running == nil {
		if control { // it has been told where answer is: be there again
			p.at.DNS = sameAgain(p.DNS, before.DNS)
			p.at.StandbyHTTP = sameAgain(p.StandbyHTTP, before.StandbyHTTP)
			p.at.OFREP = sameAgain(p.OFREP, before.OFREP)
			p.at.StandbyHTTPS = sameAgain(p.StandbyHTTPS, before.StandbyHTTPS)
		}
		return p.openAnswer()
	}
	p.log.Info("joined a running answer", "pid", running.pid)
	p.answer.process = running
	p.at.DNS, p.at.StandbyHTTP, p.at.OFREP = before.DNS, before.StandbyHTTP, before.OFREP
	p.at.StandbyHTTPS = before.StandbyHTTPS
	lent, err := borrowSockets(ctx, p.at.AnswerSock)
	if err != nil {
		p.log.Warn("the running answer does not share its sockets; when it ends, they are opened anew and some queries are lost", "error", err)
		return nil
	}
	if err := p.sockets.answer.Close(); err != nil { // what systemd gave us, answer has
		p.log.Warn("can't close sockets", "error", err)
	}
	p.sockets.answer = lent
	if err := p.noteAnswer(); err != nil {
		p.log.Warn("the running answer lacks a socket; it gets it when it starts again", "error", err)
	}
	for flag, addr := range map[string][2]string{"--dns": {p.DNS, p.at.DNS}, "--standby-http": {p.StandbyHTTP, p.at.StandbyHTTP}, "--standby-https": {p.StandbyHTTPS, p.at.StandbyHTTPS}, "--ofrep": {p.OFREP, p.at.OFREP}} {
		if sameAgain(addr[0], addr[1]) != addr[1] {
			p.log.Warn("the running answer keeps the address that it has; stop lifeboat and start it again to change it", "flag", flag, "asked", addr[0], "bound", addr[1])
		}
	}
	return nil
}

// joinControl takes a running control over if it knows where answer is and has
// the console port that is wanted; else it is ended, and a new one started. The
// caller holds mu.
func (p *parent) joinControl(ctx context.Context, running *process, before state, known bool) {
	same := before.DNS == p.at.DNS && before.StandbyHTTP == p.at.StandbyHTTP && before.OFREP == p.at.OFREP && before.StandbyHTTPS == p.at.StandbyHTTPS
	if known && same && before.HTTP != "" && sameAgain(p.HTTP, before.HTTP) == before.HTTP {
		p.log.Info("joined a running control", "pid", running.pid)
		p.control.process = running
		p.at.HTTP = before.HTTP
		p.console = console{want: before.HTTP, lent: true}
		return
	}
	p.log.Info("the running control has other addresses than it should; starting it again", "pid", running.pid)
	running.retire(ctx, controlGrace)
}

// find gives the process that serves a local socket, or nil. It is asked; if it
// says nothing (it may be stopped), the last serve's word counts.
func find(ctx context.Context, sock string, last identity, ask func(context.Context) (reply, error)) (*process, error) {
	said, err := ask(ctx)
	if err == nil && said.PID > 0 {
		return joinProcess(said.PID)
	}
	if last.alive() {
		return joinProcess(last.PID)
	}
	if err == nil || !(errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)) {
		return nil, fault.New(fault.Conflict, "a process listens here and does not say who it is").At(sock).
			Because(err).WithHint("find it with: ss -xlp; stop it, then start serve again")
	}
	return nil, nil
}

// split sorts sockets by who needs them; systemd's own names for others are not
// ours to close.
func split(given handover.Sockets) (control, answer handover.Sockets) {
	control, answer = handover.Sockets{}, handover.Sockets{}
	for name, files := range given {
		switch name {
		case handover.HTTP, handover.ControlSock, handover.FeedSock:
			control[name] = files
		case handover.DNSUDP, handover.DNSTCP, handover.StandbyHTTP, handover.StandbyHTTPS, handover.OFREP, handover.AnswerSock:
			answer[name] = files
		}
	}
	return control, answer
}
