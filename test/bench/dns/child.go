package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lifeboat/internal/authdns"
	"lifeboat/internal/ratelimit"
	"lifeboat/internal/zone"
)

// child does what this program starts itself for.
func child(args []string) (done bool, err error) {
	if len(args) == 0 {
		return false, nil
	}
	switch args[0] {
	case "version":
		fmt.Println(revision())
		return true, nil
	case "pin": // pin CORE COMMAND...: become the command, on that core alone
		if len(args) < 3 {
			return true, errors.New("pin: no command")
		}
		core, err := strconv.Atoi(args[1])
		if err != nil {
			return true, err
		}
		runtime.LockOSThread()
		if err := pin(core); err != nil {
			return true, err
		}
		return true, syscall.Exec(args[2], args[2:], os.Environ())
	case "echo": // echo ADDRESS
		return true, echo(args[1])
	case "answer": // answer FOLDER ADDRESS
		return true, serveAnswer(args[1], args[2])
	case "serve": // serve counted|plain ADDRESS FILE
		return true, serve(args[1], args[2], args[3])
	}
	return false, nil
}

func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return runtime.Version()
	}
	return "this tree, " + info.GoVersion
}

// pin binds the thread, and what it starts, to a core.
func pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	return nil
}

// serve is our server with what the command line has no flag for.
func serve(kind, addr, file string) error {
	var o authdns.Options
	switch kind {
	case "counted":
		o.RateLimit = ratelimit.Options{Rate: 1 << 29, Exempt: []netip.Prefix{}}
	case "plain":
		o.PlainUDP = true
	}
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return err
	}
	src := zone.Source{Apex: apex + ".", File: file, Line: 1, TTL: 300, Text: string(text), Follow: map[string]string{"moving." + apex + ".": "site"}}
	ready, err := prepare(src)
	if err != nil {
		return err
	}
	s := authdns.New(o)
	s.SetCookieSecrets(authdns.CookieSecret{1})
	if err := flip(s, 0, ready); err != nil {
		return err
	}
	udp, tcp, err := authdns.Listen(addr, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch kind {
	case "flips":
		go every(ctx, time.Second, func(i int) error { return flip(s, i, ready) }) // ends with the process
	case "loads":
		large := zone.Source{Apex: "large.test.", TTL: 300, NS: []string{"ns." + apex + "."}, Text: string(zoneText(1_000_000)[soaLength():])}
		go loadAll(ctx, s, ready, large) // likewise
	}
	return s.Serve(ctx, udp, []*net.TCPListener{tcp})
}

func prepare(src zone.Source) (*authdns.Prepared, error) {
	z, err := zone.Parse(src)
	if err != nil {
		return nil, err
	}
	return authdns.Prepare(z)
}

// flip puts zones in force, the one site at one of its two places.
func flip(s *authdns.Server, i int, zones ...*authdns.Prepared) error {
	at := func(ip string) zone.Addresses { return zone.Addresses{IPs: []netip.Addr{netip.MustParseAddr(ip)}} }
	table, err := authdns.Assemble(zones, map[string]zone.Positions{"site": {"0": at("192.0.2.1"), "1": at("192.0.2.2")}})
	if err != nil {
		return err
	}
	view, err := table.View(authdns.Orders{Position: map[string]string{"site": strconv.Itoa(i % 2)}, Serial: map[string]uint32{apex + ".": uint32(i + 2)}})
	if err == nil {
		s.Set(view)
	}
	return err
}

// every does something again and again.
func every(ctx context.Context, pause time.Duration, do func(i int) error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := do(i); err != nil {
			log.Print(err)
		}
	}
}

// loadAll reads a large zone over and over, on a thread whose name sets it apart, and
// puts each in force beside the one that is asked for.
func loadAll(ctx context.Context, s *authdns.Server, ready *authdns.Prepared, large zone.Source) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData(loaderThread+"\x00"))), 0, 0, 0)
	var memory authdns.Memory
	memory.Expect(len(large.Text))
	for i := 0; ctx.Err() == nil; i++ {
		more, err := prepare(large)
		if err == nil {
			err = flip(s, i, ready, more)
		}
		if err != nil {
			log.Print(err)
			return
		}
	}
}

// loaderThread is the name of a thread whose time is not the answers'.
const loaderThread = "loader"
