// Command dns measures the name server beside its peers: each is started on
// loopback, one after another, in interleaved rounds of one run, pinned to one core
// while the load comes from another. The figure is the CPU time that a server takes
// for an answer, from /proc/PID/task/*/schedstat: answers a second move with the
// neighbours, CPU time does so less. The floor is a bare recvmmsg/sendmmsg echo.
//
//	go run ./test/bench/dns            everything that is installed
//	go run ./test/bench/dns -only lifeboat,gdnsd -rounds 3 -seconds 1
//
// Peers that are missing are said to be missing (scripts/deps-bench installs them).
// It needs Linux, and two cores that nobody else wants.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	log.SetFlags(0)
	if done, err := child(os.Args[1:]); done {
		if err != nil {
			log.Fatal(err)
		}
		return
	}
	var b bench
	flag.StringVar(&b.lifeboat, "binary", "bin/lifeboat", "the built lifeboat")
	flag.StringVar(&b.coredns, "coredns", "bin/bench-coredns", "CoreDNS, built from test/bench/coredns")
	flag.IntVar(&b.rounds, "rounds", 7, "how often each server is measured")
	flag.DurationVar(&b.each, "each", 2*time.Second, "how long a measurement lasts")
	flag.IntVar(&b.names, "names", 1000, "names in the zone")
	flag.IntVar(&b.load.window, "window", 192, "queries on their way at once")
	flag.IntVar(&b.serverCPU, "server-cpu", 0, "the core of the server")
	flag.IntVar(&b.loadCPU, "load-cpu", 1, "the core of the load")
	flag.BoolVar(&b.load.edns, "edns", true, "ask with EDNS, as resolvers do")
	flag.BoolVar(&b.starting, "start", false, "measure how long a server takes from its start to its first answer, and its memory, instead of its speed")
	flag.BoolVar(&b.latency, "latency", false, "ask one query after another and measure how long an answer takes, instead of the server's CPU")
	only := flag.String("only", "", "servers to measure, with commas between; empty: all")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	if err := b.run(); err != nil {
		log.Fatal(err)
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(b.results)
		return
	}
	switch {
	case b.starting:
		b.printStarts()
		return
	case b.latency:
		b.printLatency()
		return
	}
	b.print()
}

// bench is a run of the whole.
type bench struct {
	lifeboat, coredns  string
	rounds, names      int
	each               time.Duration
	serverCPU, loadCPU int
	load               load
	only               []string
	starting, latency  bool

	dir     string
	missing []string
	results []*result
}

// result is what was measured of one server.
type result struct {
	Name    string       `json:"name"`
	Version string       `json:"version"`
	How     string       `json:"how"`
	Micros  []float64    `json:"micros"`             // CPU for an answer, by round
	Rates   []float64    `json:"rates"`              // answers a second, by round
	Batch   []float64    `json:"batch"`              // packets that the load took in one call, by round
	Bad     int          `json:"bad"`                // answers that were not to the question
	Lost    int          `json:"lost"`               // queries without an answer
	Starts  []float64    `json:"starts,omitempty"`   // seconds to the first answer, by round
	Used    []float64    `json:"used,omitempty"`     // CPU seconds by then, by round
	Memory  []float64    `json:"resident,omitempty"` // MiB once it has settled, by round
	Delays  [][3]float64 `json:"delays,omitempty"`   // µs to an answer, by round: median, 99th hundredth, most
	Peaks   []float64    `json:"peaks,omitempty"`    // MiB at most, by round
	server  server
}

func (b *bench) run() (err error) {
	if b.dir, err = os.MkdirTemp("", "bench-dns-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := os.Chmod(b.dir, 0o755); err != nil { // some servers leave root
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, zoneFile), zoneText(b.names), 0o644); err != nil {
		return err
	}
	if err := b.prepare(); err != nil {
		return err
	}
	for _, s := range b.servers() {
		if b.only != nil && !slices.Contains(b.only, s.name) {
			continue
		}
		version, err := s.version()
		if err != nil {
			b.missing = append(b.missing, s.name)
			continue
		}
		b.results = append(b.results, &result{Name: s.name, Version: version, How: s.how, server: s})
	}
	b.load.queries = queries(b.names, b.load.edns)
	for round := range b.rounds {
		for i := range b.results {
			r := b.results[(i+round)%len(b.results)] // nobody always comes after the same
			err := errNothing
			for try := 0; try < 3 && errors.Is(err, errNothing); try++ { // a machine that others use may starve one
				err = b.measure(r)
			}
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", r.Name, round+1, err)
			}
		}
	}
	return nil
}

// errNothing is a measurement without an answer.
var errNothing = errors.New("nothing was answered")

// measure starts a server, loads it, and stops it.
func (b *bench) measure(r *result) error {
	addr, err := freePort()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	p, err := b.start(r.server, dir, addr)
	if err != nil {
		return err
	}
	defer p.stop()
	l := b.load
	l.echo = r.server.echo
	if r.server.do {
		if !l.edns {
			return errors.New("signatures are asked for with EDNS")
		}
		l.do, l.queries = true, validating(l.queries)
	}
	if b.starting {
		return b.measureStart(r, p, &l, addr)
	}
	if err := l.ready(addr, p.ended); err != nil {
		return fmt.Errorf("%w\n%s", err, p.output())
	}
	if b.latency {
		return b.measureLatency(r, &l, addr)
	}
	if _, err := l.run(b.loadCPU, addr, b.each/5, nil); err != nil { // to get warm
		return err
	}
	var before, after time.Duration
	t, err := l.run(b.loadCPU, addr, b.each, func(end bool) error {
		used, err := p.cpu()
		if before == 0 {
			before = used
		}
		if end {
			after = used
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.answered == 0 {
		return errNothing
	}
	r.Micros = append(r.Micros, float64((after-before).Nanoseconds())/float64(t.answered)/1000)
	r.Rates = append(r.Rates, float64(t.answered)/t.took.Seconds())
	r.Batch = append(r.Batch, float64(t.answered)/float64(max(1, t.calls)))
	r.Bad += t.bad
	r.Lost += t.lost
	return nil
}

// print shows the table, the targets, and how it was got.
func (b *bench) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "server\tCPU µs/answer\tmin\tmax\t× floor\t× gdnsd\tanswers/s\tbatch\tlost\tbad")
	for _, r := range slices.SortedFunc(slices.Values(b.results), func(x, y *result) int { return cmp.Compare(median(x.Micros), median(y.Micros)) }) {
		_, _ = fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%s\t%s\t%.0f\t%.1f\t%d\t%d\n", r.Name, median(r.Micros), slices.Min(r.Micros), slices.Max(r.Micros),
			b.ratio(r.Name, floor), b.ratio(r.Name, "gdnsd"), median(r.Rates), median(r.Batch), r.Lost, r.Bad)
	}
	_ = w.Flush()
	fmt.Println("\nwanted of lifeboat (medians of the ratios of each round):")
	for _, t := range []struct {
		peer  string
		limit float64
	}{{"gdnsd", 1.15}, {"nsd", 0.9}, {"knot", 0.85}} {
		fmt.Printf("- to %s at most %.2f: %s\n", t.peer, t.limit, b.ratio("lifeboat", t.peer))
	}
	fmt.Printf("- signed to unsigned at most 1.20: %s\n", b.ratio("lifeboat-signed", "lifeboat"))
	fmt.Printf("- CoreDNS to lifeboat at least 5.00: %s; without its cache at least 6.00: %s\n", b.ratio("coredns", "lifeboat"), b.ratio("coredns-file", "lifeboat"))
	fmt.Printf("\nhow: %d rounds of %v for each server in turn, each started anew; the server on core %d, the load on core %d; a zone of %d names, type A, EDNS %v; %d queries on their way at once; id, QR, question, code and count of every answer checked; machine with %s\n",
		b.rounds, b.each, b.serverCPU, b.loadCPU, b.names, b.load.edns, b.load.window, processor())
	for _, r := range b.results {
		fmt.Printf("- %s: %s; %s\n", r.Name, r.Version, r.How)
	}
	for _, name := range b.missing {
		fmt.Printf("- %s: missing here, not measured (scripts/deps-bench)\n", name)
	}
}

// ratio is the median, over the rounds, of what one server takes to what another
// takes in the same round.
func (b *bench) ratio(name, to string) string {
	find := func(name string) *result {
		i := slices.IndexFunc(b.results, func(r *result) bool { return r.Name == name })
		if i < 0 {
			return nil
		}
		return b.results[i]
	}
	x, y := find(name), find(to)
	if x == nil || y == nil {
		return "-"
	}
	var ratios []float64
	for i := range x.Micros {
		ratios = append(ratios, x.Micros[i]/y.Micros[i])
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// processor is what kind of machine this is.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	cores := strings.Count(string(text), "processor\t")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return fmt.Sprintf("%d cores (%s)", cores, strings.TrimSpace(value))
		}
	}
	return fmt.Sprintf("%d cores", cores)
}
