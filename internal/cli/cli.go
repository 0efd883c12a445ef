// Package cli is the command line: one file a command, or a few that belong
// together.
//
// Commands that talk to a running lifeboat do so through apiclient, over TCP with a
// token or over control.sock; answer's subcommands speak to answer.sock; the zone and
// config commands need nobody. What runs a process is in process.go. Nothing is
// decided here. Only cmd/lifeboat opens this package.
//
// What a person reads is plain text without colours, aligned, and free of control
// characters whoever typed it. Exit codes are in exit.go and are promised.
//
// Concurrency: Run is called once and works in the goroutine that calls it.
package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Options are the world that a command runs in.
type Options struct {
	Version  string
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	Terminal bool // Err is a terminal: progress may be shown
	Screen   bool // Out is a terminal: it may be redrawn
	Typed    bool // In is a terminal: somebody can be asked

	Secret func() ([]byte, error) // reads a line that is not shown; nil without a terminal
}

// Main runs the command line of this process and gives its exit code. The first
// SIGINT or SIGTERM ends a command in order, the second at once.
func Main(version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	o := Options{
		Version: version, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now,
		Terminal: term.IsTerminal(int(os.Stderr.Fd())), Screen: term.IsTerminal(int(os.Stdout.Fd())), Typed: term.IsTerminal(int(os.Stdin.Fd())),
	}
	if o.Typed {
		o.Secret = func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) }
	}
	return Run(ctx, o, os.Args[1:])
}

// Run runs one command.
func Run(ctx context.Context, o Options, args []string) int {
	a := &app{o: o, out: &plainWriter{o.Out}, err: &plainWriter{o.Err}}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.exit(cmd, err)
}

// app is one run of the command line.
type app struct {
	o        Options
	out, err io.Writer
	lines    *bufio.Reader // of In, once somebody was asked
	entered  bool          // arguments and flags were understood
	every    time.Duration // between two looks of --watch; watchEvery unless a test says
}

// The groups that help shows.
const (
	groupCrisis = "crisis"
	groupCalm   = "calm"
	groupRun    = "run"
)

// asWritten keeps commands in the order in which a crisis needs them.
var asWritten = sync.OnceFunc(func() { cobra.EnableCommandSorting = false })

func (a *app) root() *cobra.Command {
	asWritten()
	root := &cobra.Command{
		Use:   "lifeboat",
		Short: "Carry a site through a crisis: fail over, diagnose, fix, fail back",
		Long: `lifeboat carries a site through a crisis: fail over, diagnose, fix, fail back.

If something looks wrong right now:   lifeboat declare
To see where things stand:            lifeboat status
To get visitors to safety:            lifeboat levers, then lifeboat pull LEVER

Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a guard rail, 4 not found, 5 lifeboat unreachable.`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) { a.entered = true },
		Version:          a.o.Version,
	}
	root.SetVersionTemplate("lifeboat {{.Version}}\n")
	root.SetIn(a.o.In)
	root.SetOut(a.o.Out)
	root.SetErr(a.o.Err)
	root.AddGroup(&cobra.Group{ID: groupCrisis, Title: "In a crisis:"}, &cobra.Group{ID: groupCalm, Title: "In calm:"}, &cobra.Group{ID: groupRun, Title: "Running it:"})
	add(root, groupCrisis, a.addBoard(a.status()), a.declare(), a.levers(), a.pull(), a.putBack(), a.goOn(), a.update(), a.note(),
		a.evidence(), a.changes(), a.cause(), a.fix(), a.goBack(), a.park(), a.unpark(), a.makePermanent(),
		a.role(), a.handover(), a.decide(), a.object(), a.severity(), a.link(), a.cancel(), a.timeline(), a.correct(), a.postmortem(), a.followUp(), a.close(), a.incidents())
	add(root, groupCalm, a.check(), a.drill(), a.features(), a.config(), a.data(), a.zone(), a.certs(), a.account(), a.token(), a.console(), a.queue(), a.auto())
	p := processes(a.o.Version)
	add(root, groupRun, a.answer(p), a.version())
	for _, make := range []func() *cobra.Command{p.Serve, p.Control, p.Demo} {
		if make != nil {
			add(root, groupRun, make())
		}
	}
	if p.DemoShop != nil {
		root.AddCommand(p.DemoShop())
	}
	root.SetHelpCommandGroupID(groupRun)
	root.SetCompletionCommandGroupID(groupRun)
	return root
}

func add(root *cobra.Command, group string, cmds ...*cobra.Command) {
	for _, c := range cmds {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// group is a command that only holds others.
func group(use, short string, cmds ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return usage("%s needs one of its commands: lifeboat %s --help lists them", c.Name(), c.Name())
	}}
	c.AddCommand(cmds...)
	return c
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which lifeboat this is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.printf("lifeboat %s (%s, %s/%s)\n", a.o.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// printf writes to stdout. A reader that has gone away misses nothing.
func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format, args...) }

// tell writes to stderr.
func (a *app) tell(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format, args...) }
