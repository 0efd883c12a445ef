package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"

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
	z, err := zone.Parse(zone.Source{Apex: apex + ".", File: file, Line: 1, TTL: 300, Text: string(text)})
	if err != nil {
		return err
	}
	table, err := authdns.Compile([]*zone.Zone{z}, nil)
	if err != nil {
		return err
	}
	view, err := table.View(authdns.Orders{})
	if err != nil {
		return err
	}
	s := authdns.New(o)
	s.SetCookieSecrets(authdns.CookieSecret{1})
	s.Set(view)
	udp, tcp, err := authdns.Listen(addr, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return s.Serve(ctx, udp, []*net.TCPListener{tcp})
}
