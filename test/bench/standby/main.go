// Command standby measures the standby beside nginx and Caddy: the same page from each,
// on one core, the load from another, in interleaved rounds of one run. The figure is
// the processor time that a server takes for a connection or a request, from
// /proc/PID/task/*/schedstat; the ratio is the peer's to ours, so that more is better.
// All speak X25519 and ECDSA P-256.
//
//	make bench-standby
//	make bench-standby BENCH_STANDBY='-only lifeboat,nginx -rounds 3 -each 500ms'
//
// Peers that are missing are said to be missing (scripts/deps-bench installs them). It
// needs Linux, taskset, and two cores that nobody else wants.
package main

import (
	"cmp"
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

// goal is what a measurement has to come to.
type goal struct {
	peer  string
	ratio float64 // peer's time by ours
}

// measurement is one kind of load.
type measurement struct {
	name  string
	unit  string
	goals []goal
	run   func(b *bench, s *server, begin func()) (units int, err error) // what comes before begin is not measured
}

var measurements = []measurement{
	{"new connections, TLS 1.3", "µs a connection", []goal{{"nginx", 1.15}, {"caddy", 1.2}}, func(b *bench, s *server, begin func()) (int, error) { return b.connect(s, 16, false, begin) }},
	{"the same, resumed", "µs a connection", []goal{{"nginx", 1.2}, {"caddy", 1.2}}, func(b *bench, s *server, begin func()) (int, error) { return b.connect(s, 16, true, begin) }},
	{"bursts of 1,000 new connections", "µs a connection", []goal{{"nginx", 1.0}}, (*bench).burst},
	{"keep-alive, HTTP", "µs a request", nil, func(b *bench, s *server, begin func()) (int, error) { return b.keepAlive(s, false, begin) }},
	{"keep-alive, HTTPS", "µs a request", []goal{{"nginx", 0.7}, {"caddy", 3}}, func(b *bench, s *server, begin func()) (int, error) { return b.keepAlive(s, true, begin) }},
	{"HTTP/2 requests", "µs a request", []goal{{"caddy", 2}}, (*bench).over2},
}

// bench is a run of the whole.
type bench struct {
	lifeboat, dir string
	rounds        int
	each          time.Duration
	only          []string
	what          string
	idle          int
	serverCPU     string
	page          *world
	servers       []*server
	times         map[string]map[string][]float64 // µs, by measurement and server
}

func main() {
	log.SetFlags(0)
	b := bench{times: map[string]map[string][]float64{}}
	flag.StringVar(&b.lifeboat, "binary", "bin/lifeboat", "the built lifeboat")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each server is measured")
	flag.DurationVar(&b.each, "each", 2*time.Second, "how long a measurement lasts")
	flag.StringVar(&b.serverCPU, "server-cpu", "0", "the core of the server")
	flag.IntVar(&b.idle, "idle", 10_000, "idle connections to hold; 0: not measured")
	storm := flag.Bool("storm", true, "measure slow senders and 10,000 connections a second, too")
	only := flag.String("only", "", "servers to measure, with commas between; empty: all")
	flag.StringVar(&b.what, "what", "", "only measurements whose name has this in it")
	flag.Parse()
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	if err := b.run(*storm); err != nil {
		log.Fatal(err)
	}
}

func (b *bench) run(storm bool) error {
	dir, err := os.MkdirTemp("", "bench-standby-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b.dir = dir
	if err := os.Chmod(dir, 0o755); err != nil { // a worker of nginx is somebody else
		return err
	}
	if b.page, err = makeWorld(dir); err != nil {
		return err
	}
	defer func() {
		for _, s := range b.servers {
			s.stop()
		}
	}()
	if err := b.start(); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, m := range measurements {
			if !strings.Contains(m.name, b.what) {
				continue
			}
			for _, s := range b.servers {
				if err := b.measure(m, s); err != nil {
					return fmt.Errorf("%s, %s: %w\n%s", m.name, s.name, err, s.output())
				}
			}
		}
		log.Printf("round %d of %d is over", round+1, b.rounds)
	}
	b.print()
	if b.idle > 0 {
		for _, s := range b.servers {
			if err := b.hold(s); err != nil {
				return fmt.Errorf("idle connections, %s: %w", s.name, err)
			}
		}
	}
	if storm {
		for _, s := range b.servers {
			if err := b.slow(s); err != nil {
				return fmt.Errorf("slow senders, %s: %w", s.name, err)
			}
		}
		for _, s := range b.servers {
			if err := b.storm(s); err != nil {
				return fmt.Errorf("storm, %s: %w", s.name, err)
			}
		}
	}
	return nil
}

// start starts all servers; each waits, and takes nothing, while another is measured.
func (b *bench) start() error {
	for _, s := range candidates() {
		if len(b.only) > 0 && !slices.Contains(b.only, s.name) {
			continue
		}
		err := b.launch(s)
		if errors.Is(err, errMissing) {
			log.Printf("%s is missing (scripts/deps-bench installs it)", s.name)
			continue
		}
		if err != nil {
			return err
		}
		b.servers = append(b.servers, s)
	}
	return nil
}

func (b *bench) measure(m measurement, s *server) error {
	var before time.Duration
	var failed error
	units, err := m.run(b, s, func() { before, failed = s.cpu() })
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	after, err := s.cpu()
	if err != nil {
		return err
	}
	if b.times[m.name] == nil {
		b.times[m.name] = map[string][]float64{}
	}
	b.times[m.name][s.name] = append(b.times[m.name][s.name], float64((after-before).Microseconds())/float64(max(units, 1)))
	return nil
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func (b *bench) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	line := []string{"what", "unit"}
	for _, s := range b.servers {
		line = append(line, s.name)
	}
	fmt.Fprintln(w, strings.Join(append(line, "goals"), "\t"))
	for _, m := range measurements {
		line := []string{m.name, m.unit}
		for _, s := range b.servers {
			line = append(line, fmt.Sprintf("%.1f", median(b.times[m.name][s.name])))
		}
		ours := median(b.times[m.name]["lifeboat"])
		said := []string{}
		for _, g := range m.goals {
			theirs := median(b.times[m.name][g.peer])
			if theirs == 0 || ours == 0 {
				continue
			}
			word := "held"
			if theirs/ours < g.ratio {
				word = "MISSED"
			}
			said = append(said, fmt.Sprintf("%s/ours %.2f (≥ %.2f) %s", g.peer, theirs/ours, g.ratio, word))
		}
		fmt.Fprintln(w, strings.Join(append(line, cmp.Or(strings.Join(said, ", "), "-")), "\t"))
	}
	_ = w.Flush()
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }
