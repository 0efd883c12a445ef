package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// seekEvery is how often a taken console port is tried again.
const seekEvery = time.Second

// Addresses are what is bound, and who runs: the ready file.
type Addresses struct {
	HTTP        string `json:"http"` // "" while the console port is taken
	DNS         string `json:"dns"`
	StandbyHTTP string `json:"standby_http"`

	StandbyHTTPS string `json:"standby_https,omitempty"` // "" where the standby does not answer over TLS

	OFREP       string `json:"ofrep"`
	ControlSock string `json:"control_sock"`
	AnswerSock  string `json:"answer_sock"`
	PID         PIDs   `json:"pid"`
}

// PIDs are the process ids; 0 for a child that does not run at this moment.
type PIDs struct {
	Serve   int `json:"serve"`
	Control int `json:"control"`
	Answer  int `json:"answer"`
}

// console is what is known of the console's port.
type console struct {
	want    string // the address to bind
	lent    bool   // a joined control has the port, and we don't
	refused bool   // it was taken when last tried: said once
}

// openAnswer opens what answer needs and is not held yet, at the addresses last
// bound or else the ones asked for. The caller holds mu.
func (p *parent) openAnswer() error {
	held := p.sockets.answer
	if !held.Has(handover.DNSUDP) || !held.Has(handover.DNSTCP) {
		if err := p.openDNS(cmp.Or(p.at.DNS, p.DNS)); err != nil {
			return err
		}
	}
	err := p.openTCP(held, handover.StandbyHTTP, "--standby-http", cmp.Or(p.at.StandbyHTTP, p.StandbyHTTP))
	if err != nil {
		return err
	}
	if addr := cmp.Or(p.at.StandbyHTTPS, p.StandbyHTTPS); addr != "" {
		if err := p.openTCP(held, handover.StandbyHTTPS, "--standby-https", addr); err != nil {
			return err
		}
	}
	if err := p.openTCP(held, handover.OFREP, "--ofrep", cmp.Or(p.at.OFREP, p.OFREP)); err != nil {
		return err
	}
	if err := p.openUnix(held, handover.AnswerSock, -1); err != nil {
		return err
	}
	return p.noteAnswer()
}

// noteAnswer notes where answer's sockets are bound. The caller holds mu.
func (p *parent) noteAnswer() error {
	for name, into := range map[string]*string{
		handover.DNSTCP: &p.at.DNS, handover.StandbyHTTP: &p.at.StandbyHTTP, handover.StandbyHTTPS: &p.at.StandbyHTTPS, handover.OFREP: &p.at.OFREP,
	} {
		if name == handover.StandbyHTTPS && !p.sockets.answer.Has(name) {
			*into = ""
			continue
		}
		addr, err := p.sockets.answer.Addr(name)
		if err != nil {
			return err
		}
		*into = addr.String()
	}
	return nil
}

// openControl opens what control needs and is not held yet. A taken console port
// is no error: control starts without, and seekConsole goes on. The caller holds
// mu.
func (p *parent) openControl() error {
	held := p.sockets.control
	p.console.lent = false
	p.tryConsole()
	if err := p.openUnix(held, handover.ControlSock, -1); err != nil {
		return err
	}
	return p.openUnix(held, handover.FeedSock, p.accounts.answer.uid)
}

// tryConsole opens the console port if it is not held. The caller holds mu.
func (p *parent) tryConsole() (opened bool) {
	if p.sockets.control.Has(handover.HTTP) {
		if addr, err := p.sockets.control.Addr(handover.HTTP); err == nil { // it may have been handed to us
			p.at.HTTP, p.console.want = addr.String(), addr.String()
		}
		return false
	}
	err := p.openTCP(p.sockets.control, handover.HTTP, "--http", p.console.want)
	if err == nil {
		var addr net.Addr
		if addr, err = p.sockets.control.Addr(handover.HTTP); err == nil {
			p.at.HTTP, p.console.want, p.console.refused = addr.String(), addr.String(), false
			return true
		}
	}
	p.at.HTTP = ""
	if !p.console.refused {
		p.console.refused = true
		p.log.Error("no console in the browser: its port can't be had; DNS and standby go on, commands work over control.sock, and it is tried again every second",
			"error", err)
	}
	return false
}

// seekConsole gets the console's port as soon as it is free and starts control
// again with it.
func (p *parent) seekConsole(ctx context.Context) {
	tick := time.NewTicker(seekEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		opened := !p.console.lent && p.tryConsole()
		p.mu.Unlock()
		if !opened {
			continue
		}
		p.log.Info("the console port is free now; starting control again with it", "http", p.console.want)
		if running := p.control.current(); running != nil {
			running.retire(ctx, controlGrace) // keep starts it again
		}
	}
}

func (p *parent) openDNS(addr string) error {
	udp, tcp, err := p.ListenDNS(addr, p.UDPSockets)
	if err != nil {
		return flagged("--dns", addr, err)
	}
	defer func() { _ = tcp.Close() }() // what is held is a duplicate
	failed := p.sockets.answer.Add(handover.DNSTCP, tcp)
	for _, conn := range udp {
		failed = errors.Join(failed, p.sockets.answer.Add(handover.DNSUDP, conn), conn.Close())
	}
	return failed
}

// flagged names the flag in an error about its address.
func flagged(flag, addr string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Place == "" {
		named := *f
		return named.At(flag + " " + addr)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.New(fault.Unavailable, "the port is taken by another program").At(flag+" "+addr).
			Because(err).WithHint("choose another with %s", flag)
	}
	return fmt.Errorf("%s %s: %w", flag, addr, err)
}

func (p *parent) openTCP(held handover.Sockets, name, flag, addr string) error {
	if held.Has(name) {
		return nil
	}
	l, err := handover.ListenTCP(flag, addr)
	if err != nil {
		return err
	}
	return errors.Join(held.Add(name, l), l.Close())
}

func (p *parent) openUnix(held handover.Sockets, name string, uid int) error {
	if held.Has(name) {
		return nil
	}
	l, err := handover.ListenUnix(filepath.Join(p.Data, name), uid)
	if err != nil {
		return err
	}
	return errors.Join(held.Add(name, l), l.Close())
}

func (p *parent) closeSockets() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, held := range []handover.Sockets{p.sockets.answer, p.sockets.control} {
		if err := held.Close(); err != nil {
			p.log.Warn("can't close sockets", "error", err)
		}
	}
}

// startAnswer starts answer with its sockets.
func (p *parent) startAnswer() (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.openAnswer(); err != nil {
		return nil, err
	}
	args := append([]string{"answer", "--data", p.Data}, p.AnswerArgs...)
	return spawn(p.command(args, p.sockets.answer, p.accounts.answer))
}

// startControl starts control with its sockets, and tells it where answer is.
func (p *parent) startControl() (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.openControl(); err != nil {
		return nil, err
	}
	args := []string{"control", "--data", p.Data}
	if p.Config != "" {
		args = append(args, "--config", p.Config)
	}
	args = append(args, "--dns", p.at.DNS, "--standby-http", p.at.StandbyHTTP, "--ofrep", p.at.OFREP)
	if p.at.StandbyHTTPS != "" {
		args = append(args, "--standby-https", p.at.StandbyHTTPS)
	}
	return spawn(p.command(append(args, p.ControlArgs...), p.sockets.control, p.accounts.control))
}

func (p *parent) command(args []string, sockets handover.Sockets, as account) *exec.Cmd {
	cmd := exec.Command(p.Binary, args...)
	cmd.Env = append(handover.Environ(os.Environ()), p.Env...)
	cmd.Env = append(cmd.Env, sockets.Env(), handover.StarterEnv(os.Getuid()), handover.FeedEnv(p.accounts.answer.uid))
	cmd.ExtraFiles = sockets.ExtraFiles()
	cmd.Stdout, cmd.Stderr = p.Stderr, p.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if as.named {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
	return cmd
}
