package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lifeboat/internal/answer"
	"lifeboat/internal/authdns"
	"lifeboat/internal/config"
	"lifeboat/internal/control"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
	"lifeboat/internal/obs"
	"lifeboat/internal/supervise"
)

// listeners are the addresses that serve, answer and control are given.
type listeners struct{ http, dns, standby, secured, ofrep string }

func (l *listeners) dataPlane(c *cobra.Command) {
	c.Flags().StringVar(&l.dns, "dns", "127.0.0.1:5354", "address of the name server, UDP and TCP")
	c.Flags().StringVar(&l.standby, "standby-http", "127.0.0.1:8081", "address of the standby page")
	c.Flags().StringVar(&l.secured, "standby-https", "", "address of the standby page over HTTPS, with the certificates of the sites; not answered where none is named")
	c.Flags().StringVar(&l.ofrep, "ofrep", "127.0.0.1:8016", "address of the kill switches (OFREP)")
}

func (l *listeners) console(c *cobra.Command) {
	c.Flags().StringVar(&l.http, "http", "127.0.0.1:8080", "address of the page and the API")
}

func dataFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "data", defaultData, "data folder")
}

// defaultData is the data folder where none is named.
const defaultData = "./lifeboat-data"

// serveCommand is `lifeboat serve`.
func serveCommand() *cobra.Command {
	var o supervise.Options
	var l listeners
	c := &cobra.Command{
		Use: "serve", Short: "Run it all on this machine: one control, one answer", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := loadConfig(o.Config, cmd.ErrOrStderr()); err != nil {
				return err
			}
			o.HTTP, o.DNS, o.StandbyHTTP, o.StandbyHTTPS, o.OFREP = l.http, l.dns, l.standby, l.secured, l.ofrep
			o.Logger = logger("serve")
			sockets, err := handover.Inherited()
			if err != nil {
				return err
			}
			o.Sockets = sockets
			o.OnReady = func(a supervise.Addresses) { announce(cmd.ErrOrStderr(), a, o.Data) }
			return supervise.Run(cmd.Context(), o)
		},
	}
	dataFlag(c, &o.Data)
	l.console(c)
	l.dataPlane(c)
	c.Flags().StringVar(&o.Config, "config", "lifeboat.yaml", "configuration file")
	c.Flags().StringVar(&o.ReadyFile, "ready-file", "", "write the bound addresses here, as JSON, once everything answers")
	c.Flags().StringVar(&o.ControlUser, "control-user", "", "account to run control as (needs root)")
	c.Flags().StringVar(&o.AnswerUser, "answer-user", "", "account to run answer as (needs root)")
	return c
}

// announce says where everything is.
func announce(w io.Writer, a supervise.Addresses, data string) {
	page := "not there: its port is taken"
	if a.HTTP != "" {
		page = "http://" + a.HTTP + "/"
		if f, err := control.ConsoleFingerprint(filepath.Join(data, "control")); err == nil {
			page += "\n                 https://" + a.HTTP + "/, SHA-256 " + f
		}
	}
	standby := "http://" + a.StandbyHTTP + "/"
	if a.StandbyHTTPS != "" {
		standby += "  https://" + a.StandbyHTTPS + "/"
	}
	_, _ = fmt.Fprintf(w, "lifeboat is ready\n  page and API   %s\n  name server    %s\n  standby page   %s\n  kill switches  http://%s/\n  sign in with   the token in %s\n",
		page, a.DNS, standby, a.OFREP, filepath.Join(data, "control", "admin.token"))
}

// controlCommand is `lifeboat control`.
func controlCommand(version string) *cobra.Command {
	var l listeners
	var data, file, note string
	c := &cobra.Command{
		Use: "control", Short: "The control plane alone", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return runControl(cmd, data, cfg, l, note, version)
		},
	}
	dataFlag(c, &data)
	l.console(c)
	l.dataPlane(c)
	c.Flags().StringVar(&file, "config", "lifeboat.yaml", "configuration file")
	c.Flags().StringVar(&note, "note", "", "one line shown on top of the page")
	c.AddCommand(&cobra.Command{
		Use: "key", Short: "Print the public key that answer has to trust", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			line, err := control.KeyLine(filepath.Join(data, "control"))
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			return err
		},
	})
	c.PersistentFlags().AddFlag(c.Flags().Lookup("data"))
	return c
}

func runControl(cmd *cobra.Command, data string, cfg *config.Config, l listeners, note, version string) error {
	signal.Ignore(syscall.SIGPIPE)
	sockets, err := handover.Inherited()
	if err != nil {
		return err
	}
	handed := len(sockets) > 0
	console, err := listener(sockets, handover.HTTP, func() (net.Listener, error) { return handover.ListenTCP("--http", l.http) })
	if err != nil && !handed {
		return err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fault.New(fault.Unavailable, "make the data folder").Because(err)
	}
	root, err := listener(sockets, handover.ControlSock, func() (net.Listener, error) {
		return handover.ListenUnix(filepath.Join(data, handover.ControlSock), -1)
	})
	if err != nil {
		return err
	}
	feed, err := listener(sockets, handover.FeedSock, func() (net.Listener, error) { return handover.ListenUnix(filepath.Join(data, handover.FeedSock), -1) })
	if err != nil {
		return err
	}
	stderr := cmd.ErrOrStderr()
	return control.Run(cmd.Context(), control.Options{
		Dir: filepath.Join(data, "control"), Config: cfg, HTTP: console, Root: root, Feed: feed, OFREP: l.ofrep, StandbyHTTPS: l.secured,
		AdmitRoot: func(c net.Conn) error { return handover.Admit(c, handover.StarterUID()) },
		PeerRoot:  account,
		AdmitFeed: func(c net.Conn) error { return handover.Admit(c, handover.FeedUID()) },
		Tell:      func(line string) { _, _ = fmt.Fprintln(stderr, line) }, Terminal: term.IsTerminal(int(os.Stderr.Fd())),
		Note: note, Now: time.Now, NewID: newID, Version: version, Logger: logger("control"), Hook: Hook,
	})
}

// number names who is on the other end of a local socket by account number.
func number(c net.Conn) string {
	uid, err := handover.PeerUID(c)
	if err != nil {
		return "somebody"
	}
	return fmt.Sprintf("uid %d", uid)
}

// account names who is on the other end of a local socket.
func account(c net.Conn) string {
	if uid, err := handover.PeerUID(c); err == nil {
		if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
			return u.Username
		}
	}
	return number(c)
}

// Hook is called at the points of an act where a crash must do no harm; tests set it.
var Hook func(point string)

// answerCommand is `lifeboat answer`.
func answerCommand(version string) *cobra.Command {
	var l listeners
	var data string
	var only copying
	c := &cobra.Command{
		Use: "answer", Short: "The data plane alone; its subcommands speak to one that runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := only.check(cmd); err != nil {
				return err
			}
			if only.on {
				return only.run(cmd, data, l.ofrep)
			}
			return answerRun(cmd, data, l, version)
		},
	}
	dataFlag(c, &data)
	l.dataPlane(c)
	only.flags(c)
	return c
}

// answerRun is what `lifeboat answer` does without a subcommand.
func answerRun(cmd *cobra.Command, data string, l listeners, version string) error {
	signal.Ignore(syscall.SIGPIPE)
	sockets, err := handover.Inherited()
	if err != nil {
		return err
	}
	o, err := answerSockets(sockets, data, l)
	if err != nil {
		return err
	}
	atLeastTwo()
	lock, err := handover.LockFolder(filepath.Join(data, "answer"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	o.Dir, o.Now, o.NewID, o.PID, o.Version, o.Logger = filepath.Join(data, "answer"), time.Now, newID, os.Getpid(), version, logger("answer")
	feed := filepath.Join(data, handover.FeedSock)
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", feed)
	}
	o.Admit = func(c net.Conn) error { return handover.Admit(c, handover.StarterUID()) }
	o.Caller = number // answer asks no user database: it may be out of reach
	o.Sockets = func(c *net.UnixConn) error { return handover.Send(c, sockets) }
	a, err := answer.New(o)
	if err != nil {
		return err
	}
	return a.Run(cmd.Context())
}

// atLeastTwo has two threads run our code also where there is one core, unless somebody has
// said how many: a thread of the name server that waits for a packet keeps its turn until
// the runtime takes notice, up to 10 ms, and the standby would stand still meanwhile.
func atLeastTwo() {
	if runtime.GOMAXPROCS(0) == 1 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2)
	}
}

// listenDNS opens the name server's sockets; its errors name the flag.
func listenDNS(addr string) ([]*net.UDPConn, *net.TCPListener, error) {
	udp, tcp, err := authdns.Listen(addr, runtime.GOMAXPROCS(0))
	var f *fault.Error
	if errors.As(err, &f) {
		err = f.At("--dns " + addr)
	}
	return udp, tcp, err
}

// answerSockets takes the sockets handed down, or opens them.
func answerSockets(s handover.Sockets, data string, l listeners) (o answer.Options, err error) {
	if s.Has(handover.DNSUDP) {
		if o.UDP, err = s.UDP(handover.DNSUDP); err != nil {
			return o, err
		}
		if o.TCP, err = s.TCP(handover.DNSTCP); err != nil {
			return o, err
		}
	} else {
		udp, tcp, err := listenDNS(l.dns)
		if err != nil {
			return o, err
		}
		o.UDP, o.TCP = udp, []*net.TCPListener{tcp}
	}
	if o.Standby, err = listener(s, handover.StandbyHTTP, func() (net.Listener, error) { return handover.ListenTCP("--standby-http", l.standby) }); err != nil {
		return o, err
	}
	if l.secured != "" || s.Has(handover.StandbyHTTPS) {
		o.StandbyTLS, err = listener(s, handover.StandbyHTTPS, func() (net.Listener, error) { return handover.ListenTCP("--standby-https", l.secured) })
		if err != nil {
			return o, err
		}
	}
	if o.OFREP, err = listener(s, handover.OFREP, func() (net.Listener, error) { return handover.ListenTCP("--ofrep", l.ofrep) }); err != nil {
		return o, err
	}
	o.Orders, err = listener(s, handover.AnswerSock, func() (net.Listener, error) {
		if err := os.MkdirAll(data, 0o700); err != nil {
			return nil, fault.New(fault.Unavailable, "make the data folder").Because(err)
		}
		return handover.ListenUnix(filepath.Join(data, handover.AnswerSock), -1)
	})
	return o, err
}

// listener takes a socket handed down, or opens one when none was handed down at all.
func listener(s handover.Sockets, name string, open func() (net.Listener, error)) (net.Listener, error) {
	if s.Has(name) {
		return s.Listener(name)
	}
	if len(s) > 0 {
		return nil, nil
	}
	return open()
}

func newID() string { return ulid.Make().String() }

func logger(component string) *slog.Logger { return obs.Logger(os.Stderr, component) }

// loadConfig reads the configuration and says what it warns of.
func loadConfig(file string, w io.Writer) (*config.Config, error) {
	cfg, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	for _, line := range cfg.Warnings() {
		_, _ = fmt.Fprintln(w, "warning: "+line)
	}
	return cfg, nil
}
