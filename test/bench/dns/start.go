package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"lifeboat/internal/answer"
	"lifeboat/internal/authdns"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// snapshotDir is the folder of a snapshot that has the zone.
const snapshotDir = "snapshot"

// settled is how long after its first answer a server's memory is looked at.
const settled = 3 * time.Second

// prepare writes the snapshot that the data plane starts from.
func (b *bench) prepare() error {
	text, err := os.ReadFile(filepath.Join(b.dir, zoneFile))
	if err != nil {
		return err
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	c := snapshot.Contents{Zones: []zone.Source{{Apex: apex + ".", File: zoneFile, Line: 1, TTL: 300, Text: string(text)}}}
	parts, refs, err := c.Encode()
	if err != nil {
		return err
	}
	signed, err := snapshot.Sign(snapshot.Manifest{Format: snapshot.Format, Epoch: 1, Revision: 1, At: time.Now(), Parts: refs, Serials: map[string]uint32{apex + ".": 2}}, key)
	if err != nil {
		return err
	}
	f, err := snapshot.OpenFolder(filepath.Join(b.dir, snapshotDir))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // all is written by then
	if err := f.Pin(public); err != nil {
		return err
	}
	return f.Save(signed, parts)
}

// serveAnswer is the data plane as lifeboat answer runs it, without control.
func serveAnswer(dir, addr string) error {
	udp, tcp, err := authdns.Listen(addr, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	standby, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ofrep, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	a, err := answer.New(answer.Options{
		Dir: dir, UDP: udp, TCP: []*net.TCPListener{tcp}, Standby: standby, OFREP: ofrep,
		Ask: func(context.Context, probe.Target, probe.Check) (r probe.Result) { return r },
		Now: time.Now, NewID: func() string { return "bench" }, PID: os.Getpid(), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return a.Run(ctx)
}

// measureStart waits for a server's first answer.
func (b *bench) measureStart(r *result, p *process, l *load, addr string) error {
	if err := l.ready(addr, p.ended); err != nil {
		return fmt.Errorf("%w\n%s", err, p.output())
	}
	r.Starts = append(r.Starts, time.Since(p.started).Seconds())
	used, err := p.cpu()
	if err != nil {
		return err
	}
	r.Used = append(r.Used, used.Seconds())
	time.Sleep(settled)
	resident, peak := p.memory()
	r.Memory, r.Peaks = append(r.Memory, resident), append(r.Peaks, peak)
	return nil
}

// printStarts shows the table.
func (b *bench) printStarts() {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "server\tfirst answer s\tmin\tmax\tCPU s\tresident MiB\tpeak MiB")
	for _, r := range slices.SortedFunc(slices.Values(b.results), func(x, y *result) int { return cmp.Compare(median(x.Starts), median(y.Starts)) }) {
		_, _ = fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\n", r.Name, median(r.Starts), slices.Min(r.Starts), slices.Max(r.Starts), median(r.Used), median(r.Memory), median(r.Peaks))
	}
	_ = w.Flush()
	fmt.Printf("\nhow: %d rounds, each server in turn started anew on core %d with a zone of %d names; from its start to the first good answer; memory %v later; machine with %s\n",
		b.rounds, b.serverCPU, b.names, settled, processor())
}
