package cli

import (
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
	"lifeboat/internal/replica"
)

// copying are the flags of an answer that only copies another one's kill switches.
type copying struct {
	on       bool
	upstream string
	keyFile  string
}

func (o *copying) flags(c *cobra.Command) {
	c.Flags().BoolVar(&o.on, "ofrep-only", false, "answer the kill switches of another lifeboat, beside an application: nothing else runs")
	c.Flags().StringVar(&o.upstream, "upstream", "", "with --ofrep-only: where the other lifeboat answers them, as http://192.0.2.7:8016")
	c.Flags().StringVar(&o.keyFile, "key-file", "", "with --ofrep-only: file with a key of the other one's ofrep.keys that has for: copies")
}

// check says what does not go together.
func (o *copying) check(c *cobra.Command) error {
	for _, name := range []string{"upstream", "key-file"} {
		if given := c.Flags().Changed(name); given != o.on {
			if given {
				return usage("--%s goes with --ofrep-only", name)
			}
			return usage("--ofrep-only needs --%s", name)
		}
	}
	for _, name := range []string{"dns", "standby-http", "standby-https"} {
		if o.on && c.Flags().Changed(name) {
			return usage("--%s does not go with --ofrep-only: only the kill switches are answered", name)
		}
	}
	return nil
}

// maxKeyFile is more than any key has.
const maxKeyFile = 4 << 10

// key reads the key.
func (o *copying) key() (string, error) {
	f, err := os.Open(o.keyFile)
	if err != nil {
		return "", fault.New(fault.Invalid, "the key can't be read").At("--key-file").Because(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	key := strings.TrimSpace(string(b))
	if err != nil || key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fault.New(fault.Invalid, "the file has no key in it").At("--key-file").WithHint("write the key into it, and nothing else")
	}
	return key, nil
}

// reachable refuses an address at which others than the application could ask.
func reachable(addr string) error {
	return fault.New(fault.Invalid, "%s can be reached from other machines, and no key is asked for here", addr).At("--ofrep").
		WithHint("say an address of this machine alone, as 127.0.0.1:8016")
}

// run is what `lifeboat answer --ofrep-only` does.
func (o *copying) run(cmd *cobra.Command, data, addr string) error {
	signal.Ignore(syscall.SIGPIPE)
	key, err := o.key()
	if err != nil {
		return err
	}
	sockets, err := handover.Inherited()
	if err != nil {
		return err
	}
	ln, err := listener(sockets, handover.OFREP, func() (net.Listener, error) {
		if host, _, err := net.SplitHostPort(addr); err == nil && host != "localhost" && !net.ParseIP(host).IsLoopback() {
			return nil, reachable(addr)
		}
		return handover.ListenTCP("--ofrep", addr)
	})
	if err != nil {
		return err
	}
	if ln == nil {
		return fault.New(fault.Invalid, "no socket for the kill switches was handed down")
	}
	defer func() { _ = ln.Close() }() // Run has, where it came so far
	if at, is := ln.Addr().(*net.TCPAddr); !is || !at.IP.IsLoopback() {
		return reachable(ln.Addr().String())
	}
	dir := filepath.Join(data, "features")
	lock, err := handover.LockFolder(dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	r, err := replica.New(replica.Options{Upstream: o.upstream, Key: key, OFREP: ln, Dir: dir, Now: time.Now, Logger: logger("answer")})
	if err != nil {
		return err
	}
	return r.Run(cmd.Context())
}
