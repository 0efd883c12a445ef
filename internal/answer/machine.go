package answer

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/standby"
)

// What the machine should have for the whole site's visitors to come at once.
const (
	goodBacklog = 4096 // connections that wait to be accepted
	otherFiles  = 2048 // open files for all that is not a visitor: DNS over TCP, features, checks, the folder
)

// door is what the machine has for visitors.
type door struct {
	files     uint64 // that may be open at once; Go has raised it as far as the account may
	conns     int    // of visitors, so that files are left for the rest
	backlog   int    // the smallest of the standby's sockets; 0: not known
	somaxconn int    // 0: not known
}

// lookAtDoor looks once, at the start.
func lookAtDoor(listeners ...net.Listener) door {
	d := door{files: 1 << 20, conns: standby.DefaultMaxConns}
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		d.files = min(r.Cur, d.files)
	}
	d.conns = max(min(d.conns, int(d.files)-otherFiles), int(d.files)/2)
	d.conns = min(d.conns, standby.DefaultMaxConns)
	if b, err := os.ReadFile("/proc/sys/net/core/somaxconn"); err == nil {
		d.somaxconn, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	for _, ln := range listeners {
		if n := backlog(ln); n > 0 && (d.backlog == 0 || n < d.backlog) {
			d.backlog = n
		}
	}
	return d
}

// backlog is how many connections may wait at a listening socket: of one that listens
// the kernel tells it as tcpi_sacked (net/ipv4/tcp.c, tcp_get_info).
func backlog(ln net.Listener) (n int) {
	c, is := ln.(syscall.Conn)
	if !is {
		return 0
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int(info.Sacked)
		}
	})
	return n
}

// say tells of the door once, louder where it is narrow.
func (a *Answer) say(d door) {
	args := []any{"connections", d.conns, "open_files", d.files, "backlog", d.backlog, "somaxconn", d.somaxconn}
	switch {
	case d.conns < standby.DefaultMaxConns:
		a.o.Logger.Warn("the standby can hold few visitors, for few files may be open; raise LimitNOFILE of its unit to 65536", args...)
	case d.backlog > 0 && d.backlog < goodBacklog:
		a.o.Logger.Warn("few visitors can wait at the standby's sockets; set net.core.somaxconn to 4096, and Backlog=4096 in the units of its sockets", args...)
	default:
		a.o.Logger.Info("the standby's door", args...)
	}
}
