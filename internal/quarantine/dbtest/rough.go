package dbtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// testWriters moves and restores while others insert children, change parents, and
// quarantine the same rows.
func testWriters(t *testing.T, bench Bench) {
	w := bench(t, false, shop(60, 2)...)
	many := func(o *relational.Options) { o.Limits.Rows = 50_000 }
	db, other := w.db(t, many), w.db(t, many)
	ctx := context.Background()
	stop, halt := context.WithCancel(ctx)
	defer halt()
	var orders, reviews atomic.Int64 // of the writers' that are there, or away and come back
	var group sync.WaitGroup
	for n := range 2 {
		group.Add(1)
		go func() { // until the rounds are over; a statement is never cut short
			defer group.Done()
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for i := 0; stop.Err() == nil; i++ {
				<-pace.C
				account, id := 1+rand.IntN(50), (1+n)*100_000_000+i
				write := func(query string, args ...any) int64 {
					r, err := w.SQL.ExecContext(ctx, fmt.Sprintf(query, args...))
					if err != nil {
						return 0 // the row is away, or somebody waits for somebody
					}
					rows, _ := r.RowsAffected()
					return rows
				}
				switch i % 5 {
				case 0:
					orders.Add(write("INSERT INTO orders VALUES (%d, %d, 1, 'late')", id, account))
				case 1:
					write("UPDATE account SET name = 'renamed %d %d' WHERE id = %d", n, i, account)
				case 2:
					reviews.Add(write("INSERT INTO review VALUES (%d, %d, 1)", id, account))
				case 3: // what was inserted some hundred rounds ago, so that tables don't grow for ever
					orders.Add(-write("DELETE FROM orders WHERE id = %d", id-3-1500))
				case 4:
					reviews.Add(-write("DELETE FROM review WHERE id = %d", id-2-1500))
				}
			}
		}()
	}
	// Two operators at once, who may want the same rows. Accounts that refer to each other
	// are never both away: every second one is taken. Half of them are written to.
	began, rounds := time.Now(), Rounds(40, 3000)
	var done, moved, staled atomic.Int64
	var operators sync.WaitGroup
	for n, who := range []*relational.DB{db, other} {
		operators.Add(1)
		go func() { // rounds/2 times
			defer operators.Done()
			for round := n; round < rounds && !t.Failed(); round += 2 {
				ok, err := awayAndBack(ctx, who, fmt.Sprintf("op%d", round), fmt.Sprint(42+2*rand.IntN(10)), round%10 > 1)
				if err != nil {
					t.Errorf("round %d: %v", round, err)
				}
				if ok {
					moved.Add(1)
				} else {
					staled.Add(1)
				}
				if d := done.Add(1); d%250 == 0 {
					t.Logf("round %d after %s: %d moved, %d stale or busy", d, time.Since(began).Round(time.Second), moved.Load(), staled.Load())
				}
			}
		}()
	}
	operators.Wait()
	halt()
	group.Wait()
	if n := w.count(t, "SELECT count(*) FROM orders WHERE note = 'late'"); int64(n) != orders.Load() {
		t.Errorf("%d late orders are there, want %d", n, orders.Load())
	}
	if n := w.count(t, "SELECT count(*) FROM review WHERE id >= 1000000"); int64(n) != reviews.Load() {
		t.Errorf("%d late reviews are there, want %d", n, reviews.Load())
	}
	for _, query := range []string{
		"SELECT count(*) FROM orders o LEFT JOIN account a ON a.id = o.account WHERE a.id IS NULL",
		"SELECT count(*) FROM line l LEFT JOIN orders o ON o.id = l.orders WHERE o.id IS NULL",
		"SELECT count(*) FROM review r LEFT JOIN account a ON a.id = r.account WHERE r.account IS NOT NULL AND a.id IS NULL",
	} {
		if n := w.count(t, query); n != 0 {
			t.Errorf("%d orphans: %s", n, query)
		}
	}
	for query, want := range map[string]int{"SELECT count(*) FROM account": 60, "SELECT count(*) FROM line": 360, "SELECT count(*) FROM payment": 120} {
		if n := w.count(t, query); n != want {
			t.Errorf("%d, want %d: %s", n, want, query)
		}
	}
	t.Logf("%d moved and restored, %d stale or busy; of the writers' rows %d orders and %d reviews are there", moved.Load(), staled.Load(), orders.Load(), reviews.Load())
}

// restoreAgain restores, and again where somebody else was in the way.
func restoreAgain(ctx context.Context, db *relational.DB, b quarantine.Back) (out quarantine.Returned, err error) {
	for range 50 {
		if out, err = db.Restore(ctx, b, nil); fault.KindOf(err) != fault.Unavailable {
			return out, err
		}
	}
	return out, err
}

// awayAndBack takes an account away, verifies, puts it back and, if asked to, purges its
// copies: thousands of them would make every look at the catalogue slow. False: somebody
// else had the rows, or changed them, and it was said.
func awayAndBack(ctx context.Context, db *relational.DB, id, account string, purge bool) (bool, error) {
	busy := func(err error) bool {
		k := fault.KindOf(err)
		return k == fault.Conflict || k == fault.Unavailable
	}
	r := accounts(id, account)
	r.Accept = []quarantine.Rule{quarantine.RuleOpen}
	p, err := db.Plan(ctx, r)
	switch {
	case busy(err) || fault.KindOf(err) == fault.NotFound: // it is away
		return false, nil
	case err != nil || len(p.Refused) > 0:
		return false, fmt.Errorf("plan: %w %+v", err, p.Refused)
	}
	if _, err := db.Apply(ctx, p, nil); busy(err) {
		op, err := db.Look(ctx, id)
		for range 50 {
			if fault.KindOf(err) != fault.Unavailable {
				break
			}
			op, err = db.Look(ctx, id)
		}
		if err != nil || op.State != quarantine.Absent {
			return false, fmt.Errorf("it was said that nothing happened: %w %+v", err, op)
		}
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("apply: %w", err)
	}
	if v, err := db.Verify(ctx, id); err != nil || !v.OK {
		return true, fmt.Errorf("verify: %w %+v", err, v)
	}
	back := quarantine.Back{Operation: id, ID: "r"}
	out, err := restoreAgain(ctx, db, back)
	if fault.KindOf(err) == fault.Conflict { // a review that had lost its link is deleted meanwhile
		back.Policy = quarantine.Skip
		out, err = restoreAgain(ctx, db, back)
	}
	if err != nil || out.Operation.Waiting() != 0 || slices.ContainsFunc(out.Skipped, func(c quarantine.Conflict) bool { return c.Kind != "relinked" }) {
		return true, fmt.Errorf("restore: %w %+v", err, out)
	}
	for range 50 {
		if !purge {
			break
		}
		if _, err = db.Purge(ctx, quarantine.Drop{Operation: id, ID: "p", By: "ann", Second: "ben"}); fault.KindOf(err) != fault.Unavailable {
			break
		}
	}
	return true, err
}

// order is what a child is to do.
type order struct {
	DSN  string
	Plan quarantine.Plan
	Back *quarantine.Back
	Step int // it kills itself before this step
}

// childVariable tells a test binary that it is to act and die.
const childVariable = "LIFEBOAT_TEST_QUARANTINE_CHILD"

// Child acts as a process that is killed, when the test binary was started as one. It
// is to be called first in TestMain.
func Child(open func(string, relational.Options) (*relational.DB, error)) {
	path := os.Getenv(childVariable)
	if path == "" {
		return
	}
	b, err := os.ReadFile(path)
	var o order
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	step := 0
	db, err := open(o.DSN, relational.Options{Name: "shop", Now: time.Now, Trace: func(string) {
		if step++; step == o.Step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	if err == nil && o.Back != nil {
		_, err = db.Restore(context.Background(), *o.Back, nil)
	} else if err == nil {
		_, err = db.Apply(context.Background(), o.Plan, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// spawn runs a child and says whether it was killed.
func spawn(t testing.TB, o order) bool {
	t.Helper()
	b, err := json.Marshal(o)
	path := filepath.Join(t.TempDir(), "order")
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err == nil {
		return false
	}
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	t.Fatalf("%v %s", err, out)
	return false
}

// testKillClient kills the process that moves or restores before each of its steps.
func testKillClient(t *testing.T, bench Bench) {
	w := bench(t, false, shop(40, 2)...)
	db := w.db(t)
	before := w.Dump(t)
	there, back := 0, 0
	stride := Rounds(3, 1)
	for round := range Rounds(1, 12) {
		for step := 1 + rand.IntN(stride); step < 80; step += stride {
			id := fmt.Sprintf("op%dx%d", round, step)
			o := order{DSN: w.DSN, Plan: mustPlan(t, db, accounts(id, fmt.Sprint(1+rand.IntN(40)))), Step: step}
			killed := spawn(t, o)
			op := lookUntil(t, db, id)
			switch {
			case op.State == quarantine.Absent && killed:
				same(t, before, w.Dump(t))
				mustApply(t, db, o.Plan)
			case op.State == quarantine.Held:
				there++
			default:
				t.Fatalf("killed %t before step %d: %+v", killed, step, op)
			}
			mustVerify(t, db, id)
			r := order{DSN: w.DSN, Back: &quarantine.Back{Operation: id, ID: "r1"}, Step: step}
			killedBack := spawn(t, r)
			out, err := restoreAgain(context.Background(), db, *r.Back)
			if err != nil {
				t.Fatal(err)
			}
			if out.Again {
				back++
			}
			same(t, before, w.Dump(t))
			if !killed && !killedBack {
				break
			}
		}
	}
	t.Logf("%d moves and %d restores had been made before the kill", there, back)
	if there == 0 || back == 0 {
		t.Error("no kill came after the end")
	}
}

// lookUntil looks until nobody is about to commit any more.
func lookUntil(t testing.TB, db *relational.DB, id string) quarantine.Operation {
	t.Helper()
	var err error
	for range 20 {
		var op quarantine.Operation
		if op, err = db.Look(context.Background(), id); err == nil {
			return op
		}
	}
	t.Fatal(err)
	return quarantine.Operation{}
}

// testKillServer kills the database before each step of a move and of a restore.
func testKillServer(t *testing.T, bench Bench) {
	w := bench(t, true, shop(30, 2)...)
	if w.Kill == nil {
		t.Skip("this database is no server; killing its process is killing the client")
	}
	before := w.Dump(t)
	var kill atomic.Int64
	step := 0
	db := w.db(t, func(o *relational.Options) {
		o.Trace = func(string) {
			if step++; int64(step) == kill.Load() {
				w.Kill(t)
			}
		}
	})
	armed := func(at int) { step = 0; kill.Store(int64(at)) }
	restart := func() { armed(0); w.Start(t) }
	before0, after0 := 0, 0
	armed(0) // how many steps there are
	mustApply(t, db, mustPlan(t, db, accounts("dry", "1")))
	there := step
	armed(0)
	if _, err := db.Restore(context.Background(), quarantine.Back{Operation: "dry", ID: "r1"}, nil); err != nil {
		t.Fatal(err)
	}
	back := step
	rounds := Rounds(6, 300)
	for round := range rounds {
		id := fmt.Sprintf("op%d", round)
		armed(0)
		p := mustPlan(t, db, accounts(id, fmt.Sprint(1+rand.IntN(30))))
		armed(3 + rand.IntN(there-2)) // the first two are Look's
		_, err := db.Apply(context.Background(), p, nil)
		restart()
		op := lookUntil(t, db, id)
		switch op.State {
		case quarantine.Absent:
			before0++
			if err == nil {
				t.Fatal("it said that it was done")
			}
			same(t, before, w.Dump(t))
			mustApply(t, db, p)
		case quarantine.Held:
			after0++
		default:
			t.Fatalf("%+v", op)
		}
		mustVerify(t, db, id)
		armed(1 + rand.IntN(back))
		b := quarantine.Back{Operation: id, ID: "r1"}
		_, err = db.Restore(context.Background(), b, nil)
		restart()
		out, again := db.Restore(context.Background(), b, nil)
		if again != nil || err == nil && !out.Again {
			t.Fatalf("%v, then %v %+v", err, again, out)
		}
		same(t, before, w.Dump(t))
	}
	t.Logf("%d rounds: %d before, %d after", rounds, before0, after0)
}
