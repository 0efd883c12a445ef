// Command bench measures lifeboat as its users meet it: the real binary, its own
// processes, DNS and HTTP over loopback. It prints a table with what was asked for
// beside what was measured, and how each figure was got.
//
// Machines are shared and noisy: read the medians, and run it again.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	binary := flag.String("binary", "bin/lifeboat", "the built lifeboat")
	flips := flag.Int("flips", 200, "presses to time")
	outages := flag.Int("outages", 20, "outages of each kind to time")
	starts := flag.Int("starts", 10, "starts of each kind to time")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	path, err := filepath.Abs(*binary)
	if err != nil {
		log.Fatal(err)
	}
	rows, err := measure(context.Background(), path, *flips, *outages, *starts)
	if err != nil {
		log.Fatal(err)
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(rows)
		return
	}
	table(rows)
}

// Row is one figure: the limit that was set for it, and what was measured.
type Row struct {
	What  string  `json:"what"`
	N     int     `json:"n"`
	Unit  string  `json:"unit"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Limit string  `json:"limit"`
	How   string  `json:"how"`
}

// row sums up samples.
func row(what, unit, limit, how string, samples []float64) Row {
	s := slices.Clone(samples)
	slices.Sort(s)
	r := Row{What: what, N: len(s), Unit: unit, Limit: limit, How: how}
	if len(s) > 0 {
		r.P50, r.P99, r.Max = s[(len(s)-1)/2], s[min(len(s)-1, (len(s)*99+99)/100-1)], s[len(s)-1]
	}
	return r
}

func table(rows []Row) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "figure\tn\tp50\tp99\tmax\tunit\twanted")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.2f\t%s\t%s\n", r.What, r.N, r.P50, r.P99, r.Max, r.Unit, r.Limit)
	}
	_ = w.Flush()
	fmt.Println("\nhow:")
	for _, r := range rows {
		fmt.Printf("- %s: %s\n", r.What, r.How)
	}
}

// measure runs one lifeboat for the presses and outages, and fresh ones for starts.
func measure(ctx context.Context, binary string, flips, outages, starts int) ([]Row, error) {
	var rows []Row
	b, err := launch(ctx, binary)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	there, back, err := b.presses(ctx, flips)
	if err != nil {
		return nil, fmt.Errorf("presses: %w", err)
	}
	rows = append(rows,
		row("press → changed DNS answer", "ms", "p50 ≤ 5, p99 ≤ 20", "POST …/pull sent → first changed answer, DNS asked over UDP in a tight loop by another connection; SQLite with synchronous=FULL, intent in the record before the answer changes", there),
		row("put back → changed DNS answer", "ms", "", "the same for …/put-back", back))
	for _, kind := range []string{"killed", "hung"} {
		s, err := b.outages(ctx, kind, outages)
		if err != nil {
			return nil, fmt.Errorf("outage, %s: %w", kind, err)
		}
		rows = append(rows, row("origin "+kind+" → seen down", "s", "p99 ≤ 1.2", "every 250 ms, timeout 250 ms, down_after 3; asked of answer.sock every 2 ms", s))
	}
	pss, err := b.pss()
	if err != nil {
		return nil, err
	}
	rows = append(rows, row("memory of both, idle", "MB", "≤ 100", "PSS of control and answer from smaps_rollup after the presses above", []float64{pss}))
	warm, err := b.answerStarts(ctx, starts)
	if err != nil {
		return nil, fmt.Errorf("answer starts: %w", err)
	}
	rows = append(rows, row("answer start → first correct answer", "ms", "≤ 100", "exec of lifeboat answer on a folder with a snapshot, no control → first correct UDP answer", warm))
	cold, err := coldStarts(ctx, binary, starts)
	if err != nil {
		return nil, fmt.Errorf("cold starts: %w", err)
	}
	return append(rows, row("serve cold start → ready", "ms", "≤ 1000", "exec of lifeboat serve on an empty folder → ready file", cold)), nil
}

// coldStarts times serve on empty folders.
func coldStarts(ctx context.Context, binary string, n int) ([]float64, error) {
	var out []float64
	for range n {
		start := time.Now()
		b, err := launch(ctx, binary)
		if err != nil {
			return nil, err
		}
		out = append(out, ms(b.readyAt.Sub(start)))
		b.stop()
	}
	return out, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quiet runs a command with its output in a file.
func quiet(ctx context.Context, logFile string, name string, args ...string) (*exec.Cmd, error) {
	f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = f, f
	return c, c.Start()
}
