package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"lifeboat/internal/authdns"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// usualPort is the shop's where nothing speaks against it.
const usualPort = 8088

// portTries is how often a port is looked for that all three places have free.
const portTries = 50

// ground is what the demo stands on: every address, opened before anything starts,
// so that a taken one is told at once and none is lost in between.
type ground struct {
	settings
	http, ofrep string
	joining     bool // a lifeboat that outlived its demo holds its own addresses

	panel        *net.TCPListener // of the page that breaks the shop
	main, backup *net.TCPListener
	sockets      handover.Sockets // lifeboat's; none when joining
}

// openGround opens all addresses. What the demo used last time it takes again,
// where nobody has taken it since.
func openGround(o Options, before *kept) (g *ground, err error) {
	g = &ground{http: o.HTTP, ofrep: o.OFREP, sockets: handover.Sockets{}, joining: runs(o.Data)}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.panel, err = listenPanel(o); err != nil {
		return g, err
	}
	if g.joining {
		return g, g.join(o, before)
	}
	standby, port, err := g.openPlaces(o, before)
	if err != nil {
		return g, err
	}
	if err := g.hold(handover.StandbyHTTP, standby); err != nil {
		return g, err
	}
	if g.http, err = g.open(handover.HTTP, "--http", o.HTTP); err != nil {
		return g, err
	}
	if g.ofrep, err = g.open(handover.OFREP, "--ofrep", o.OFREP); err != nil {
		return g, err
	}
	dns, err := g.openDNS(o.DNS)
	g.settings = settings{DNS: dns, Port: port}
	return g, err
}

// runs says whether a lifeboat still runs on the folder: a demo that was killed
// leaves its own going, as serve does.
func runs(data string) bool {
	for _, name := range []string{handover.AnswerSock, handover.ControlSock} {
		conn, err := net.Dial("unix", filepath.Join(data, name))
		if err == nil {
			_ = conn.Close()
			return true
		}
	}
	return false
}

// join opens only what the shops need.
func (g *ground) join(o Options, before *kept) error {
	if before == nil {
		return fault.New(fault.Conflict, "a lifeboat runs on this folder, and it is not a demo's").At("--data " + o.Data).
			WithHint("choose another folder with --data")
	}
	g.settings = before.settings
	var err error
	if g.main, err = listenAt(mainIP, before.Port); err == nil {
		g.backup, err = listenAt(backupIP, before.Port)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "the shop's port is taken by another program").At(strconv.Itoa(before.Port)).Because(err).
			WithHint("see who has it with: ss -lntp 'sport = :%d'", before.Port)
	}
	return nil
}

// openPlaces finds a port that is free at main, backup and standby.
func (g *ground) openPlaces(o Options, before *kept) (standby *net.TCPListener, port int, err error) {
	wanted := []int{0}
	switch {
	case before != nil && before.edited:
		wanted = []int{before.Port}
	case before != nil:
		wanted = []int{before.Port, 0}
	case !anyPort(o.HTTP):
		wanted = []int{usualPort, 0}
	}
	var refused error
	for _, port := range wanted {
		tries := 1
		if port == 0 {
			tries = portTries
		}
		for range tries {
			if standby, err := g.openTrio(port, o.standbyIP); err == nil {
				return standby, g.main.Addr().(*net.TCPAddr).Port, nil
			} else if !errors.Is(err, syscall.EADDRINUSE) {
				return nil, 0, fault.New(fault.Unavailable, "%s, %s and %s can't be had", mainIP, backupIP, o.standbyIP).Because(err).
					WithHint("the demo needs Linux's loopback network, 127.0.0.0/8")
			} else {
				refused = err
			}
		}
	}
	if before != nil && before.edited {
		return nil, 0, before.agree(o.Data, settings{DNS: before.DNS})
	}
	return nil, 0, fault.New(fault.Unavailable, "no port is free at %s, %s and %s together", mainIP, backupIP, o.standbyIP).Because(refused)
}

// anyPort says whether an address leaves the port open.
func anyPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port == "0"
}

// openTrio opens one port at the three places, or nothing.
func (g *ground) openTrio(port int, standbyAt string) (standby *net.TCPListener, err error) {
	if g.main, err = listenAt(mainIP, port); err != nil {
		return nil, err
	}
	port = g.main.Addr().(*net.TCPAddr).Port
	if g.backup, err = listenAt(backupIP, port); err != nil {
		return nil, errors.Join(err, g.main.Close())
	}
	if standby, err = listenAt(standbyAt, port); err != nil {
		return nil, errors.Join(err, g.main.Close(), g.backup.Close())
	}
	return standby, nil
}

func listenAt(ip string, port int) (*net.TCPListener, error) {
	return net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port))))
}

// open opens one of lifeboat's own addresses and holds it until it is handed down.
func (g *ground) open(name, flag, addr string) (bound string, err error) {
	l, err := handover.ListenTCP(flag, addr)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), g.hold(name, l)
}

// hold keeps a listener under a name; what it held itself is closed.
func (g *ground) hold(name string, l *net.TCPListener) error {
	return errors.Join(g.sockets.Add(name, l), l.Close())
}

// openDNS opens the name server's sockets and says where it can be asked.
func (g *ground) openDNS(addr string) (asked string, err error) {
	udp, tcp, err := authdns.Listen(addr, runtime.GOMAXPROCS(0))
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) && f.Place == "" {
			named := *f
			return "", named.At("--dns " + addr)
		}
		return "", fmt.Errorf("--dns %s: %w", addr, err)
	}
	at := tcp.Addr().(*net.TCPAddr).AddrPort()
	err = g.hold(handover.DNSTCP, tcp)
	for _, conn := range udp {
		err = errors.Join(err, g.sockets.Add(handover.DNSUDP, conn), conn.Close())
	}
	return reachable(at).String(), err
}

// reachable gives the address at which a listener on every address is asked; such a
// one takes IPv4 as well, however it is written.
func reachable(at netip.AddrPort) netip.AddrPort {
	ip := at.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.MustParseAddr("127.0.0.1")
	}
	return netip.AddrPortFrom(ip, at.Port())
}

// close lets go of what nobody has taken over.
func (g *ground) close() {
	for _, l := range []*net.TCPListener{g.panel, g.main, g.backup} {
		if l != nil {
			_ = l.Close() // at worst it is closed already
		}
	}
	_ = g.sockets.Close()
}
