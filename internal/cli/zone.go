package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/dnstrace"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
	"lifeboat/internal/zone"
)

// maxZone is the most that is read of a zone file, in bytes.
const maxZone = 64 << 20

func (a *app) zone() *cobra.Command {
	return group("zone", "Edit records, look at zones, sign them, or answer from zone files", append(a.zoneBook(), a.zoneCheck(), a.zoneDiff(), a.zoneTrace(), a.zoneFetch(), a.zoneImport(), a.zoneServe(), a.zoneSign(), a.zoneKeys(), a.zoneDS(), a.zoneRoll(), a.zoneNewKey(), a.zoneChallenge(), a.zoneWatch())...)
}

func (a *app) zoneCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE…", Short: "Read zone files and say what is wrong with them", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			zones, warnings, err := readZones(files)
			for _, z := range zones {
				a.printf("%s: zone %s is good: %s, serial %d\n", z.Source().File, z.Apex(), many(z.Size(), "record"), z.Serial())
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
	var s zoneServer
	cmd := &cobra.Command{
		Use: "serve FILE…", Short: "Answer from zone files over UDP and TCP until stopped", Args: cobra.MinimumNArgs(1),
		Long: `Answer from zone files over UDP and TCP until stopped. No name follows a site here and nothing can be moved: that is lifeboat serve.

SIGHUP has the files read again. Where one of them is bad, or a zone has lost more than half of its records, that is said, and all zones are answered as before.

Nobody gets a zone by transfer (AXFR, IXFR) but the servers of --transfer-to, which are also told of each new serial (NOTIFY).`,
		Example: "  lifeboat zone serve example.com.zone --dns 127.0.0.1:5354\n  dig @127.0.0.1 -p 5354 example.com SOA\n  lifeboat zone serve example.com.zone --transfer-to 192.0.2.53 --tsig-key-file ns2.key",
	}
	cmd.Flags().StringVar(&s.addr, "dns", "127.0.0.1:5354", "address to answer at")
	cmd.Flags().BoolVar(&s.loss, "accept-loss", false, "on SIGHUP, take files also where a zone has lost more than half of its records, or is gone")
	cmd.Flags().StringVar(&s.nsid, "nsid", "", "name of this server, told to whoever asks for it (RFC 5001)")
	cmd.Flags().IntVar(&s.queryLog, "query-log", 0, "`LINES` a second at most that tell of what was asked, a sample; 0: none")
	cmd.Flags().StringVar(&s.keys, "sign", "", "sign the zones with the keys of this `FOLDER`, where they are made if need be")
	cmd.Flags().StringArrayVar(&s.to, "transfer-to", nil, "a secondary, `HOST:PORT` with an IP address, that may have the zones; may be repeated")
	cmd.Flags().StringVar(&s.keyFile, "tsig-key-file", "", "`FILE` with the TSIG key that secondaries have to sign with, as tsig-keygen prints it")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		if len(s.nsid) > authdns.MaxNSID {
			return usage("--nsid is too long: %d octets, %d fit; say it shorter", len(s.nsid), authdns.MaxNSID)
		}
		if s.queryLog < 0 {
			return usage("--query-log is below 0; say how many lines a second, such as 10")
		}
		s.files = files
		return a.serveZones(cmd.Context(), s)
	}
	return cmd
}

// zoneServer is what zone serve is told, and what it answers with.
type zoneServer struct {
	files      []string
	addr, nsid string
	to         []string // secondaries
	keyFile    string
	queryLog   int
	keys       string // folder of the keys that the zones are signed with; "": they are not

	dns    *authdns.Server
	xfr    *xfr.Server
	memory *authdns.Memory
	sizes  map[string]int // of the zones that are answered, by apex
	loss   bool           // a zone may have lost most of its records
}

// shrunk refuses zones that have lost more than half of what they had, or are gone.
func (s zoneServer) shrunk(zones []*zone.Zone) error {
	if s.loss {
		return nil
	}
	const remedy = "if that is right, start again, or serve with --accept-loss"
	var problems []error
	left := maps.Clone(s.sizes)
	for _, z := range zones {
		delete(left, z.Apex())
		var f *fault.Error
		if err := zone.Shrunk(z, s.sizes[z.Apex()]); errors.As(err, &f) {
			problems = append(problems, f.WithHint(remedy))
		}
	}
	for _, apex := range slices.Sorted(maps.Keys(left)) {
		problems = append(problems, fault.New(fault.Refused, "zone %s, which is answered now, is in none of the files", apex).WithHint(remedy))
	}
	return errors.Join(problems...)
}

// transfers say who may have the zones.
func (s zoneServer) transfers(zones []*zone.Zone) (t snapshot.Transfers, err error) {
	var key snapshot.TSIGKey
	if s.keyFile != "" {
		if key, err = readKey(s.keyFile); err != nil {
			return t, err
		}
		t.Keys = []snapshot.TSIGKey{key}
	}
	var peers []snapshot.Peer
	for _, to := range s.to {
		addr, err := dnstrace.ParseServer(to)
		if err != nil {
			return t, err
		}
		peers = append(peers, snapshot.Peer{Address: addr, Key: key.Name})
	}
	if len(peers) == 0 {
		return t, nil
	}
	for _, z := range zones {
		t.Out = append(t.Out, snapshot.Exchange{Zone: z.Apex(), Peers: peers})
	}
	return t, nil
}

func (a *app) serveZones(ctx context.Context, s zoneServer) error {
	again := make(chan os.Signal, 1) // more than one at once are one
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	log := slog.New(slog.NewTextHandler(a.err, nil))
	s.memory, s.sizes = new(authdns.Memory), map[string]int{}
	s.xfr = xfr.New(xfr.Options{Now: a.o.Now, Logger: log})
	s.dns = authdns.New(authdns.Options{NSID: s.nsid, QueryLog: s.queryLog, Peers: s.xfr, Logger: log})
	zones, err := a.takeZones(s)
	if err != nil {
		return err
	}
	udp, tcp, err := listenDNS(s.addr)
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
	reading.Go(func() { a.readAgain(ctx, again, s) }) // ends with ctx
	reading.Go(func() { s.xfr.Run(ctx) })             // likewise
	defer reading.Wait()
	defer stop()
	a.printf("answering %s at %s, UDP and TCP\n", many(zones, "zone"), tcp.Addr())
	if err := s.dns.Serve(ctx, udp, []*net.TCPListener{tcp}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// signAgain is how often the zones are read and signed anew without being asked to.
const signAgain = 24 * time.Hour

// readAgain reads the files whenever it is asked to, until ctx ends. What is bad changes
// nothing.
func (a *app) readAgain(ctx context.Context, asked <-chan os.Signal, s zoneServer) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		case <-time.After(signAgain): // signatures end
			if s.keys == "" {
				continue
			}
		}
		zones, err := a.takeZones(s)
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
func (a *app) takeZones(s zoneServer) (count int, err error) {
	s.memory.Expect(sizeOf(s.files))
	defer s.memory.Settle()
	zones, warnings, err := readZones(s.files)
	if err != nil {
		return 0, err
	}
	for _, w := range warnings {
		a.tell("warning: %s\n", w)
	}
	var signed []dnssec.Zone
	if s.keys != "" {
		if signed, err = signZones(zones, s.keys, 0, time.Now()); err != nil {
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
	given, err := s.transfers(zones)
	if err != nil {
		return 0, failed{err}
	}
	if err := s.shrunk(zones); err != nil {
		return 0, failed{errLines(err)}
	}
	clear(s.sizes)
	for _, z := range zones {
		s.sizes[z.Apex()] = z.Size()
	}
	s.xfr.Configure(given)
	if len(s.to) > 0 { // else nobody may have them, and their text need not be held
		given := xfr.Zones{Zones: zones, Signed: map[string]*xfr.Signed{}}
		for i := range signed {
			given.Signed[zones[i].Apex()] = xfr.Sign(zones[i], nil, signed[i])
		}
		s.xfr.Set(given)
	}
	s.dns.Set(view)
	s.xfr.Tell()
	return len(zones), nil
}
