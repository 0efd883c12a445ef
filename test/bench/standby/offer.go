package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A generator is a process of its own with one thread and one epoll, since a goroutine
// for each connection reaches a fifth of what is to be offered. It is an open loop: what
// is due is begun whether what came before was answered or not.

// order is what a generator is to do; it reads it from its standard input.
type order struct {
	Address netip.AddrPort
	Rate    int           // connections begun in a second; of slow ones: bytes sent in a second
	For     time.Duration // how long it begins any
	Slow    int           // so many slow connections are held; 0: as many as come, each answered or given up
	First   []byte        // what a connection says
	Then    []byte        // what a slow one says each time afterwards
}

// offered is what came of it; a generator writes it to its standard output.
type offered struct {
	Began    int
	Answered []time.Duration // from the first packet to the server's first one
	Refused  int             // reset or ended without an answer
	Lost     int             // neither answered nor refused within giveUp
	Failed   int             // could not be begun: no port, no file
	Took     time.Duration   // the time in which they were begun
}

const (
	giveUp = 3 * time.Second
	// maxBatch connections are begun before answers are looked at again.
	maxBatch = 64
)

// generate is the whole of a generator's process.
func generate() error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	runtime.LockOSThread()
	g := &generator{order: o, began: time.Now(), buffer: make([]byte, 1)}
	a4 := o.Address.Addr().As4()
	g.to = &unix.SockaddrInet4{Port: int(o.Address.Port()), Addr: a4}
	var err error
	if o.Slow > 0 {
		err = g.dawdle()
	} else {
		err = g.offer()
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(g.out)
}

type generator struct {
	order
	to     *unix.SockaddrInet4
	began  time.Time
	epoll  int
	open   map[int]*attempt // by file descriptor
	line   []*attempt       // in the order in which they were begun
	buffer []byte
	out    offered
}

type attempt struct {
	fd   int // -1: it is over
	at   time.Time
	sent bool
}

// socket begins a connection that, when it is closed, leaves no port waiting.
func (g *generator) socket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if err := unix.Connect(fd, g.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// offer begins connections at the rate, and looks what becomes of them.
func (g *generator) offer() (err error) {
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	g.open = map[int]*attempt{}
	events := make([]unix.EpollEvent, 512)
	for {
		since := time.Since(g.began)
		due := int(min(since, g.For).Seconds() * float64(g.Rate))
		for n := 0; n < maxBatch && g.out.Began+g.out.Failed < due; n++ {
			g.begin()
		}
		if since < g.For {
			g.out.Took = since
		} else if g.out.Began+g.out.Failed >= due && len(g.open) == 0 {
			return nil
		}
		n, err := unix.EpollWait(g.epoll, events, 1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for i := range max(n, 0) {
			if a := g.open[int(events[i].Fd)]; a != nil {
				g.look(a)
			}
		}
		g.expire()
	}
}

func (g *generator) begin() {
	at := time.Now()
	fd, err := g.socket()
	if err == nil {
		err = unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)})
	}
	if err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		g.out.Failed++
		return
	}
	g.out.Began++
	a := &attempt{fd: fd, at: at}
	g.open[fd] = a
	g.line = append(g.line, a)
	g.say(a)
}

// say sends what there is to say once the connection stands.
func (g *generator) say(a *attempt) {
	switch _, err := unix.Write(a.fd, g.First); {
	case err == nil:
		a.sent = true
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOTCONN):
	default:
		g.over(a, &g.out.Refused)
	}
}

func (g *generator) look(a *attempt) {
	if !a.sent {
		if g.say(a); a.fd < 0 {
			return
		}
	}
	n, err := unix.Read(a.fd, g.buffer)
	switch {
	case n == 1 && g.buffer[0] == 22: // a record of a handshake, not an alert
		g.out.Answered = append(g.out.Answered, time.Since(a.at))
		g.over(a, nil)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOTCONN):
	default:
		g.over(a, &g.out.Refused)
	}
}

func (g *generator) over(a *attempt, count *int) {
	delete(g.open, a.fd)
	_ = unix.Close(a.fd)
	a.fd = -1
	if count != nil {
		*count++
	}
}

func (g *generator) expire() {
	for len(g.line) > 0 && (g.line[0].fd < 0 || time.Since(g.line[0].at) > giveUp) {
		if g.line[0].fd >= 0 {
			g.over(g.line[0], &g.out.Lost)
		}
		g.line = g.line[1:]
	}
}

// dawdle holds slow connections, each of which says a little in its turn and comes
// again when it was thrown out.
func (g *generator) dawdle() error {
	held := make([]int, g.Slow)
	for i := range held {
		held[i] = -1
	}
	for turn := 0; ; {
		since := time.Since(g.began)
		if since >= g.For {
			g.out.Took = since
			break
		}
		for due := int(since.Seconds() * float64(g.Rate)); turn < due; turn++ {
			g.nudge(&held[turn%g.Slow])
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: int64(time.Millisecond)}, nil)
	}
	for _, fd := range held {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	return nil
}

func (g *generator) nudge(fd *int) {
	if *fd < 0 {
		next, err := g.socket()
		if err != nil {
			g.out.Failed++
			return
		}
		g.out.Began++
		*fd = next
		_, _ = unix.Write(*fd, g.First)
		return
	}
	n, err := unix.Read(*fd, g.buffer)
	if n > 0 || errors.Is(err, unix.EAGAIN) {
		if _, err = unix.Write(*fd, g.Then); err == nil || errors.Is(err, unix.EAGAIN) {
			return
		}
	}
	_ = unix.Close(*fd)
	*fd = -1
	g.out.Refused++
}

// generating is a generator that runs.
type generating struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	said bytes.Buffer
}

// begin starts a generator on the cores of this process.
func begin(o order) (*generating, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	g := &generating{cmd: exec.Command(path, generatorWord)}
	g.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	g.cmd.Stdin, g.cmd.Stdout, g.cmd.Stderr = bytes.NewReader(text), &g.out, &g.said
	return g, g.cmd.Start()
}

// generatorWord makes this program a generator.
const generatorWord = "generate"

// end waits until a generator has done what it was to do.
func (g *generating) end() (out offered, err error) {
	if err := g.cmd.Wait(); err != nil {
		said, _ := io.ReadAll(&g.said)
		return out, fmt.Errorf("a generator has failed: %w: %s", err, said)
	}
	return out, json.Unmarshal(g.out.Bytes(), &out)
}
