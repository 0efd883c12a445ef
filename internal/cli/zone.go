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
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// maxZone is the most that is read of a zone file, in bytes.
const maxZone = 64 << 20

func (a *app) zone() *cobra.Command {
	return group("zone", "Look at zones, sign them, or answer from zone files", a.zoneCheck(), a.zoneDiff(), a.zoneTrace(), a.zoneServe(), a.zoneSign(), a.zoneKeys(), a.zoneDS(), a.zoneRoll())
}

func (a *app) zoneCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE…", Short: "Read zone files and say what is wrong with them", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			zones, warnings, err := readZones(files)
			for _, z := range zones {
				a.printf("%s: zone %s is good: %s, serial %d\n", z.Source().File, z.Apex(), many(len(z.Records()), "record"), z.Serial())
			}
			for _, w := range warnings {
				a.printf("warning: %s\n", w)
			}
			return err
		},
	}
}

// readZones reads zone files and looks at them together. Each problem is told; the
// zones given are those without one.
func readZones(files []string) (zones []*zone.Zone, warnings []string, err error) {
	var problems []error
	for _, file := range files {
		text, err := readFile(file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		z, err := checkZone(text, file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		zones, warnings = append(zones, z), append(warnings, z.Warnings()...)
	}
	more, err := zone.Overlap(zones)
	if err = errors.Join(append(problems, err)...); err != nil {
		return zones, append(warnings, more...), failed{errLines(err)}
	}
	return zones, append(warnings, more...), nil
}

// checkZone reads a zone's text with the files that it includes from its own folder.
func checkZone(text, file string) (*zone.Zone, error) {
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, fault.New(fault.Invalid, "can't open its folder").At(file).Because(reason(err))
	}
	defer func() { _ = root.Close() }() // it was only read
	included, err := zone.Includes(root.FS(), text, file)
	if err != nil {
		return nil, err
	}
	return zone.CheckWith(text, file, included)
}

// errLines is an error that is told as it is, one problem a line.
func errLines(err error) error { return errors.New(err.Error()) }

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.New(fault.NotFound, "can't read it").At(path).Because(reason(err))
	}
	defer func() { _ = f.Close() }() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, maxZone+1))
	switch {
	case err != nil:
		return "", fault.New(fault.Invalid, "can't read it").At(path).Because(reason(err))
	case len(b) > maxZone:
		return "", fault.New(fault.Invalid, "it is larger than %d bytes", maxZone).At(path)
	}
	return string(b), nil
}

// reason is what a file error says without the path again.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (a *app) zoneServe() *cobra.Command {
	var addr, nsid, keys string
	cmd := &cobra.Command{
		Use: "serve FILE…", Short: "Answer from zone files over UDP and TCP until stopped", Args: cobra.MinimumNArgs(1),
		Long: `Answer from zone files over UDP and TCP until stopped. No name follows a site here and nothing can be moved: that is lifeboat serve.

SIGHUP has the files read again. Where one of them is bad, that is said, and all zones are answered as before.`,
		Example: "  lifeboat zone serve example.com.zone --dns 127.0.0.1:5354\n  dig @127.0.0.1 -p 5354 example.com SOA",
	}
	cmd.Flags().StringVar(&addr, "dns", "127.0.0.1:5354", "address to answer at")
	cmd.Flags().StringVar(&nsid, "nsid", "", "name of this server, told to whoever asks for it (RFC 5001)")
	cmd.Flags().StringVar(&keys, "sign", "", "sign the zones with the keys of this folder, where they are made if need be")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		if len(nsid) > authdns.MaxNSID {
			return usage("--nsid is too long: %d octets, %d fit; say it shorter", len(nsid), authdns.MaxNSID)
		}
		return a.serveZones(cmd.Context(), files, addr, nsid, keys)
	}
	return cmd
}

func (a *app) serveZones(ctx context.Context, files []string, addr, nsid, keys string) error {
	again := make(chan os.Signal, 1) // more than one at once are one
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	take := taking{files: files, keys: keys}
	server := authdns.New(authdns.Options{NSID: nsid, Logger: slog.New(slog.NewTextHandler(a.err, nil))})
	zones, err := a.takeZones(server, &take)
	if err != nil {
		return err
	}
	udp, tcp, err := listenDNS(addr)
	if err != nil {
		return failed{err}
	}
	defer func() {
		_ = tcp.Close() // the process ends
		for _, c := range udp {
			_ = c.Close()
		}
	}()
	ctx, stop := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { a.readAgain(ctx, again, server, &take) }) // ends with ctx
	defer reading.Wait()
	defer stop()
	a.printf("answering %s at %s, UDP and TCP\n", many(zones, "zone"), tcp.Addr())
	if err := server.Serve(ctx, udp, []*net.TCPListener{tcp}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// signAgain is how often the zones are read and signed anew without being asked to.
const signAgain = 24 * time.Hour

// taking is what zones are taken from.
type taking struct {
	files  []string
	keys   string // folder of the keys that they are signed with; "": they are not
	memory authdns.Memory
}

// readAgain reads the files whenever it is asked to, until ctx ends. What is bad changes
// nothing.
func (a *app) readAgain(ctx context.Context, asked <-chan os.Signal, server *authdns.Server, take *taking) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		case <-time.After(signAgain): // signatures end
			if take.keys == "" {
				continue
			}
		}
		zones, err := a.takeZones(server, take)
		if err != nil {
			a.tell("%s\nthe zones are answered as before; mend this and send SIGHUP again\n", err)
			continue
		}
		a.printf("read again: answering %s\n", many(zones, "zone"))
	}
}

// sizeOf is how many octets files have. What can't be read is told by whoever reads it.
func sizeOf(files []string) (octets int) {
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			octets += int(info.Size())
		}
	}
	return octets
}

// takeZones reads zone files and has a server answer from all of them, or from none.
func (a *app) takeZones(server *authdns.Server, take *taking) (count int, err error) {
	take.memory.Expect(sizeOf(take.files))
	defer take.memory.Settle()
	zones, warnings, err := readZones(take.files)
	if err != nil {
		return 0, err
	}
	for _, w := range warnings {
		a.tell("warning: %s\n", w)
	}
	var signed []dnssec.Zone
	if take.keys != "" {
		if signed, err = signZones(zones, take.keys, 0, time.Now()); err != nil {
			return 0, failed{err}
		}
	}
	compiled, err := authdns.CompileSigned(zones, nil, signed)
	if err != nil {
		return 0, failed{err}
	}
	view, err := compiled.View(authdns.Orders{})
	if err != nil {
		return 0, failed{err}
	}
	server.Set(view)
	return len(zones), nil
}
