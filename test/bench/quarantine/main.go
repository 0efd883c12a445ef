// Command quarantine measures taking rows away and putting them back, on real servers
// that it starts itself: how long a plan takes on a table of ten million rows, and a
// closure of ten thousand rows in five tables beside a hand-written script and, on
// MariaDB, pt-archiver (which only moves). Meanwhile a writer changes other rows of
// the same tables and is refused by the first lock that it would have to wait for.
//
//	go run ./test/bench/quarantine                       everything that is installed
//	go run ./test/bench/quarantine -plan-rows 100000     a small table for the plan
//
// Machines are shared and noisy: rounds take turns, ratios are medians of ratios within
// a round, and the ratio of the quickest rounds stands beside them. scripts/deps installs the servers, scripts/deps-bench pt-archiver.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/relational"
)

// showSteps prints each step with the time since the one before.
var showSteps bool

func main() {
	planRows := flag.Int("plan-rows", 10_000_000, "rows of the table that a plan is made on")
	rounds := flag.Int("rounds", 5, "rounds of moving and restoring")
	only := flag.String("only", "", "only this database")
	flag.BoolVar(&showSteps, "steps", false, "tell how long each step of lifeboat's own took")
	flag.Parse()
	log.SetFlags(0)
	for _, e := range engines {
		if *only != "" && e.name != *only {
			continue
		}
		err := measure(context.Background(), e, *planRows, *rounds)
		if errors.Is(err, dbtest.ErrMissing) {
			log.Printf("%s: %v; scripts/deps installs it", e.name, err)
		} else if err != nil {
			log.Fatalf("%s: %v", e.name, err)
		}
	}
}

// engine is one database with what a person would write for it by hand.
type engine struct {
	name     string
	start    func() (*place, error)
	open     func(dsn string, o relational.Options) (*relational.DB, error)
	fill     []string // five tables, 21 accounts of 10,000 rows each
	large    string   // fills the large table; %d rows
	move     []string // by hand
	restore  []string
	archive  func(s *dbtest.Server) [][]string // pt-archiver, leaves first; nil: it does not know this database
	impolite string                            // makes a connection give up at once instead of waiting for a lock; empty: one writer at a time is the rule
}

// place is where a database lies.
type place struct {
	dsn   string
	db    *sql.DB
	s     *dbtest.Server // nil: a file
	close func()
}

// onServer is a database of a server that is started for it.
func onServer(start func(settings ...string) (*dbtest.Server, error)) func() (*place, error) {
	return func() (*place, error) {
		s, err := start()
		if err != nil {
			return nil, err
		}
		root, err := s.Root("")
		if err == nil {
			_, err = root.Exec("CREATE DATABASE shop")
			err = errors.Join(err, root.Close())
		}
		var db *sql.DB
		if err == nil {
			db, err = s.Root("shop")
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		return &place{dsn: s.DSN("", "shop"), db: db, s: s, close: func() { _ = db.Close(); s.Close() }}, nil
	}
}

// inFile is an SQLite file of its own.
func inFile() (*place, error) {
	folder, err := os.MkdirTemp("", "lb-bench-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "shop.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=foreign_keys(1)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=busy_timeout(5000)")
	if err == nil {
		_, err = db.Exec("PRAGMA user_version = 1") // makes the file
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &place{dsn: file, db: db, close: func() { _ = db.Close(); _ = os.RemoveAll(folder) }}, nil
}

// bench is one database with its data.
type bench struct {
	*place
	e engine
	q *relational.DB
}

func measure(ctx context.Context, e engine, planRows, rounds int) error {
	at, err := e.start()
	if err != nil {
		return err
	}
	defer at.close()
	b := &bench{place: at, e: e}
	limits := quarantine.Limits{Rows: 20_000}
	if b.q, err = e.open(at.dsn, relational.Options{Name: "shop", Now: time.Now, Limits: limits, Trace: steps(), Tables: []string{"accounts", "orders", "order_lines", "payments", "notes", "large", "large_child"}}); err != nil {
		return err
	}
	defer func() { _ = b.q.Close() }()
	if err := b.exec(ctx, e.fill...); err != nil {
		return err
	}
	if err := b.sides(ctx, rounds); err != nil {
		return err
	}
	return b.plan(ctx, planRows)
}

// steps tells how long the step before took.
func steps() func(string) {
	if !showSteps {
		return nil
	}
	before, last := "", time.Now()
	return func(step string) {
		now := time.Now()
		fmt.Printf("  %8s  %s\n", ms(now.Sub(last)), before)
		before, last = step, now
	}
}

func (b *bench) exec(ctx context.Context, statements ...string) error {
	c, err := b.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for _, s := range statements {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.100s: %w", s, err)
		}
	}
	return nil
}

// plan measures a plan on a large table whose links are indexed.
func (b *bench) plan(ctx context.Context, rows int) error {
	if err := b.exec(ctx, strings.Split(strings.ReplaceAll(b.e.large, "%d", fmt.Sprint(rows)), ";\n")...); err != nil {
		return err
	}
	var took []time.Duration
	for i := range 5 {
		start := time.Now()
		p, err := b.q.Plan(ctx, quarantine.Request{ID: fmt.Sprintf("large%d", i), Table: "large", Keys: []quarantine.Key{{fmt.Sprint(rows/2 + i + 1)}}})
		if err != nil {
			return err
		}
		if len(p.Refused) > 0 || p.Rows != 4 {
			return fmt.Errorf("the plan has %d rows and is refused: %+v", p.Rows, p.Refused)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	fmt.Printf("%s: a plan on a table of %d rows: median %s, slowest %s (wanted: at most 2 s)\n\n", b.e.name, rows, ms(took[2]), ms(took[4]))
	return nil
}

// way is one way to move ten thousand rows and to put them back.
type way struct {
	name          string
	move, restore func(ctx context.Context, round int) error
}

// sides measures all ways in turns.
func (b *bench) sides(ctx context.Context, rounds int) error {
	var plan quarantine.Plan
	ways := []way{
		{"lifeboat", func(ctx context.Context, _ int) error { _, err := b.q.Apply(ctx, plan, nil); return err }, func(ctx context.Context, round int) error {
			_, err := b.q.Restore(ctx, quarantine.Back{Operation: plan.ID, ID: fmt.Sprintf("back%d", round)}, nil)
			return err
		}},
		{"script", func(ctx context.Context, _ int) error { return b.exec(ctx, b.e.move...) }, func(ctx context.Context, _ int) error { return b.exec(ctx, b.e.restore...) }},
	}
	if _, err := exec.LookPath("pt-archiver"); b.e.archive != nil && err == nil {
		ways = append(ways, way{"pt-archiver", b.archive, func(ctx context.Context, _ int) error { return b.exec(ctx, b.e.restore...) }})
	} else if b.e.archive != nil {
		log.Printf("%s: there is no pt-archiver here; scripts/deps-bench installs it", b.e.name)
	}
	moves, backs := map[string][]time.Duration{}, map[string][]time.Duration{}
	var w *writer
	if b.e.impolite != "" {
		w = b.writer(ctx)
		w.watch("nobody")
		w.until(500)
	}
	for round := range rounds {
		for i := range ways {
			x := ways[(i+round)%len(ways)]
			var err error
			if x.name == "lifeboat" {
				plan, err = b.q.Plan(ctx, quarantine.Request{ID: fmt.Sprintf("r%d", round), Table: "accounts", Keys: []quarantine.Key{{"7"}}})
				if err == nil && (len(plan.Refused) > 0 || plan.Rows != 10_000 || len(plan.Tables) != 5) {
					err = fmt.Errorf("the plan has %d rows in %d tables and is refused: %+v", plan.Rows, len(plan.Tables), plan.Refused)
				}
			}
			w.watch(x.name)
			if err != nil {
				return err
			}
			took, err := b.timed(ctx, round, x.move, 200_000)
			if err != nil {
				return fmt.Errorf("%s: move: %w", x.name, err)
			}
			moves[x.name] = append(moves[x.name], took)
			if took, err = b.timed(ctx, round, x.restore, 210_000); err != nil {
				return fmt.Errorf("%s: restore: %w", x.name, err)
			}
			backs[x.name] = append(backs[x.name], took)
			w.watch("")
		}
	}
	if err := w.stop(); err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "%s, 10,000 rows of 5 tables\tmove\t× script\t(best)\trestore\t× script\t(best)\n", b.e.name)
	for _, x := range ways {
		back := fmt.Sprintf("%s\t%s\t%s", ms(middle(backs[x.name])), ratio(backs[x.name], backs["script"]), best(backs[x.name], backs["script"]))
		if x.name == "pt-archiver" {
			back = "-\t-\t-"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", x.name, ms(middle(moves[x.name])), ratio(moves[x.name], moves["script"]), best(moves[x.name], moves["script"]), back)
	}
	_ = t.Flush()
	fmt.Println("wanted: lifeboat at most 1.30 × the script")
	if w == nil {
		fmt.Print("a writer has this file to itself; others wait\n\n")
		return nil
	}
	for _, beside := range []string{"nobody", "script", "lifeboat"} {
		l := w.beside[beside]
		fmt.Printf("beside %s: %d writes to other rows of the same tables, %d met a lock, median %s, slowest %s\n", beside, len(l.took), l.refused, ms(middle(l.took)), ms(slices.Max(l.took)))
	}
	fmt.Print("wanted: none meets a lock\n\n")
	return nil
}

// timed does one act and sees that it did what it should.
func (b *bench) timed(ctx context.Context, round int, act func(context.Context, int) error, want int) (time.Duration, error) {
	start := time.Now()
	if err := act(ctx, round); err != nil {
		return 0, err
	}
	took := time.Since(start)
	var n int
	if err := b.db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_lines) + (SELECT count(*) FROM payments) + (SELECT count(*) FROM notes)").Scan(&n); err != nil {
		return 0, err
	}
	if n != want {
		return 0, fmt.Errorf("%d rows are there, want %d", n, want)
	}
	return took, nil
}

func (b *bench) archive(ctx context.Context, _ int) error {
	for _, args := range b.e.archive(b.s) {
		if out, err := exec.CommandContext(ctx, "pt-archiver", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return nil
}

// writer changes rows of other accounts, in all five tables, all the while.
type writer struct {
	mu     sync.Mutex // guards the rest
	now    string     // who acts beside it; empty: not to be counted
	beside map[string]*writes
	err    error

	end  chan struct{}
	done chan struct{}
}

// writes are those beside somebody.
type writes struct {
	took    []time.Duration
	refused int
}

func (b *bench) writer(ctx context.Context) *writer {
	w := &writer{beside: map[string]*writes{}, end: make(chan struct{}), done: make(chan struct{})}
	go func() { // ends with stop
		defer close(w.done)
		c, err := b.db.Conn(ctx)
		if err == nil {
			defer func() { _ = c.Close() }()
			_, err = c.ExecContext(ctx, b.e.impolite)
		}
		for i := 0; err == nil; i++ {
			select {
			case <-w.end:
				return
			case <-time.After(time.Millisecond):
			}
			account := 8 + i%13
			order := account*1000 + i%900
			query := []string{
				fmt.Sprintf("UPDATE orders SET detail = 'w%d' WHERE id = %d", i, order),
				fmt.Sprintf("UPDATE accounts SET name = 'w%d' WHERE id = %d", i, account),
				fmt.Sprintf("UPDATE order_lines SET amount = %d WHERE order_id = %d", i%9, order),
				fmt.Sprintf("UPDATE payments SET total = %d WHERE order_id = %d", i%9, order),
				fmt.Sprintf("UPDATE notes SET said = 'w%d' WHERE id = %d", i, account*999-i%900),
				// A new child of another order, taken back for the sake of the count.
				fmt.Sprintf("BEGIN; INSERT INTO payments VALUES (%d, %d, 1); ROLLBACK", 9_000_000+i, order),
			}[i%6]
			start := time.Now()
			var failed error
			for q := range strings.SplitSeq(query, "; ") {
				_, execErr := c.ExecContext(ctx, q)
				failed = errors.Join(failed, execErr)
			}
			w.count(time.Since(start), failed)
		}
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}()
	return w
}

func (w *writer) count(took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == "" {
		return
	}
	l := w.beside[w.now]
	l.took = append(l.took, took)
	if err != nil {
		l.refused++
	}
}

func (w *writer) watch(who string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now = who; who != "" && w.beside[who] == nil {
		w.beside[who] = &writes{}
	}
}

// until waits until some writes are counted, or none can be any more.
func (w *writer) until(n int) {
	for pause := time.NewTicker(10 * time.Millisecond); ; <-pause.C {
		w.mu.Lock()
		enough := w.err != nil || len(w.beside[w.now].took) >= n
		w.mu.Unlock()
		if enough {
			pause.Stop()
			return
		}
	}
}

func (w *writer) stop() error {
	if w == nil {
		return nil
	}
	close(w.end)
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func middle(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// best is the ratio of the quickest rounds, which a busy machine disturbs least.
func best(a, b []time.Duration) string {
	return fmt.Sprintf("%.2f", float64(slices.Min(a))/float64(slices.Min(b)))
}

// ratio is the median of the ratios within a round.
func ratio(a, b []time.Duration) string {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = float64(a[i]) / float64(b[i])
	}
	slices.Sort(r)
	return fmt.Sprintf("%.2f", r[len(r)/2])
}
