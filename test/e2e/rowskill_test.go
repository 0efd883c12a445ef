package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/desk"
)

// shopKind is a database server that a shop can be in.
type shopKind struct {
	start func(settings ...string) (*dbtest.Server, error)
	what  string
	fill  []string // orders, their lines, and deletes that take as long as the table slow says
	// asleep counts the deletes under way; all is all that the shop has.
	asleep, all string
}

var shopKinds = map[string]shopKind{
	"postgres": {
		start: dbtest.Postgres, what: "PostgreSQL",
		fill: []string{
			"CREATE TABLE orders (id int PRIMARY KEY, note text)", "CREATE TABLE line (id int PRIMARY KEY, orders int NOT NULL REFERENCES orders ON DELETE CASCADE)", "CREATE INDEX ON line (orders)",
			"INSERT INTO orders SELECT n, 'note ' || n FROM generate_series(1, 200) n", "INSERT INTO line SELECT n, 1 + n % 200 FROM generate_series(1, 1000) n",
			"CREATE TABLE slow (ms int)", "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(ms / 1000.0) FROM public.slow; RETURN OLD; END $$",
			"CREATE TRIGGER dawdle BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION dawdle()",
		},
		asleep: "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
		all:    "SELECT (SELECT string_agg(o::text, ' ' ORDER BY id) FROM orders o) || (SELECT string_agg(l::text, ' ' ORDER BY id) FROM line l)",
	},
	"mariadb": {
		start: dbtest.MariaDB, what: "MariaDB",
		fill: []string{
			"CREATE TABLE orders (id int PRIMARY KEY, note varchar(60))", "CREATE TABLE line (id int PRIMARY KEY, orders int NOT NULL, FOREIGN KEY (orders) REFERENCES orders (id) ON DELETE CASCADE)",
			"INSERT INTO orders SELECT seq, concat('note ', seq) FROM seq_1_to_200", "INSERT INTO line SELECT seq, 1 + seq % 200 FROM seq_1_to_1000",
			"CREATE TABLE slow (ms int)", "CREATE TRIGGER dawdle BEFORE DELETE ON orders FOR EACH ROW SET @slept = (SELECT SLEEP(MAX(ms) / 1000) FROM slow)",
		},
		asleep: "SELECT count(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'",
		all:    "SELECT CONCAT((SELECT GROUP_CONCAT(CONCAT(id, ':', note) ORDER BY id) FROM orders), (SELECT GROUP_CONCAT(CONCAT(id, ':', orders) ORDER BY id) FROM line))",
	},
}

// bookshop is a shop in a database with lifeboat around it, whose deletes can be made
// to take long.
type bookshop struct {
	*Boat
	shopKind
	server *dbtest.Server
	db     *sql.DB
	ada    *Teller
	before string
}

func openBookshop(t *testing.T, name string) *bookshop {
	t.Helper()
	kind := shopKinds[name]
	server, err := kind.start()
	dbtest.Need(t, kind.what, err)
	t.Cleanup(server.Close)
	root, err := server.Root("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	b := Moor(t, Options{Still: true})
	_, err = root.Exec("CREATE DATABASE shop")
	b.Must(err)
	s := &bookshop{Boat: b, shopKind: kind, server: server}
	s.db, err = server.Root("shop")
	b.Must(err)
	s.db.SetMaxIdleConns(0) // none is left over from before a kill
	t.Cleanup(func() { _ = s.db.Close() })
	s.do(kind.fill...)
	s.before = s.dump()
	b.more = fmt.Sprintf("databases:\n  shopdb: {kind: %s, dsn_file: %s, tables: [orders, line]}\n", name, filepath.Join(b.dir, "shop.dsn"))
	b.Must(writeSecret(filepath.Join(b.dir, "shop.dsn"), server.DSN("", "shop")))
	b.Configure(b.sample())
	b.Serve()
	s.ada = b.Teller("ada", "commander")
	return s
}

// do runs statements, each once more where a kill had cut its connection.
func (s *bookshop) do(queries ...string) {
	s.t.Helper()
	for _, q := range queries {
		_, err := s.db.Exec(q)
		if err != nil {
			_, err = s.db.Exec(q)
		}
		if err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
	}
}

func (s *bookshop) text(query string) (out string) {
	s.t.Helper()
	var v sql.NullString
	err := s.db.QueryRow(query).Scan(&v)
	if err != nil {
		err = s.db.QueryRow(query).Scan(&v)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return v.String
}

// dump is all that the shop has.
func (s *bookshop) dump() string {
	return s.text(s.all)
}

// plan plans to take an order away.
func (s *bookshop) plan(order string) (k desk.Kept) {
	s.t.Helper()
	s.ada.reads(&k, "data", "plan", "orders", "--key", order)
	if len(k.Plan.Refused) > 0 || k.Plan.Rows != 6 {
		s.t.Fatalf("%+v", k.Plan.Refused)
	}
	return k
}

// press begins to carry a plan out, and says when the command has ended.
func (s *bookshop) press(k desk.Kept) <-chan string {
	s.t.Helper()
	var out bytes.Buffer // read after the end only
	cmd := s.Command("data", "apply", k.Plan.ID, "--hash", k.Plan.Hash, "--reason", "It breaks the list")
	cmd.Env = append(cmd.Env, s.ada.env...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, 5*time.Second
	s.Must(cmd.Start())
	ended := make(chan string, 1)
	go func() { _ = cmd.Wait(); ended <- out.String() }()
	s.t.Cleanup(func() { _ = cmd.Process.Kill() }) // at worst it has ended
	return ended
}

// deleting waits until the database is in the middle of taking the rows away.
func (s *bookshop) deleting() {
	s.t.Helper()
	s.Eventually("rows are being deleted", func() bool {
		return s.text(s.asleep) != "0"
	})
}

// either looks what became of an operation: all of it, or nothing. A control that is back
// may be going on with it just now, so what is not so yet is looked at again.
func (s *bookshop) either(k desk.Kept) (state quarantine.State) {
	s.t.Helper()
	s.Eventually("the operation and the rows agree", func() bool {
		h := desk.Holding{}
		ran := s.typed(s.ada.env, "", "data", "held", "--json")
		if ran.code != done || !readJSON(ran.out, &h) || len(h.Problems) > 0 {
			return false
		}
		state = quarantine.Absent
		for _, x := range h.Held {
			if x.Operation.ID == k.Plan.ID {
				state = x.Operation.State
			}
		}
		gone := s.text("SELECT count(*) FROM orders") == "199" && s.text("SELECT count(*) FROM line") == "995"
		return state == quarantine.Held && gone || state == quarantine.Absent && s.dump() == s.before
	})
	return state
}

// onward carries the plan out, whatever became of it, and puts everything back.
func (s *bookshop) onward(k desk.Kept) {
	s.t.Helper()
	var tries []string // what was said on the way, without repeating
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the tries said:\n%s", strings.Join(tries, "\n"))
		}
	}()
	s.Eventually("the plan is carried out", func() bool {
		ran := s.typed(s.ada.env, "", "data", "apply", k.Plan.ID, "--hash", k.Plan.Hash, "--reason", "It still breaks the list")
		if said := ran.out + ran.err; len(tries) == 0 || tries[len(tries)-1] != said {
			tries = append(tries, said)
		}
		return ran.code == done
	})
	if got := s.either(k); got != quarantine.Held {
		s.t.Fatalf("it is said to be done, and the operation is %s", got)
	}
	s.ada.does("data", "verify", k.Plan.ID)
	s.Eventually("the rows are back", func() bool {
		return s.typed(s.ada.env, "", "data", "restore", k.Plan.ID, "--reason", "They are needed").code == done
	})
	if s.dump() != s.before {
		s.t.Fatal("the shop is not as it was")
	}
}

// Control, or the database, is killed while rows leave through serve: afterwards each
// operation happened or did not, it is said which, and it goes on from there.
func TestRowsLeaveWhileSomethingDies(t *testing.T) {
	t.Parallel()
	for name := range shopKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rowsLeaveWhileSomethingDies(t, name)
		})
	}
}

func rowsLeaveWhileSomethingDies(t *testing.T, name string) {
	s := openBookshop(t, name)
	states := map[quarantine.State]int{}
	for round, kill := range []func(){
		s.KillControl,
		func() {
			s.server.Kill()
			s.Must(s.server.Start())
		},
	} {
		s.do("DELETE FROM slow", "INSERT INTO slow VALUES (3000)")
		k := s.plan(fmt.Sprint(10 + round))
		ended := s.press(k)
		s.deleting()
		kill()
		said := <-ended
		s.do("DELETE FROM slow")
		if got := s.either(k); strings.Contains(said, "The rows are gone") {
			t.Errorf("round %d: %s, and it was said: %s", round, got, said)
		}
		s.onward(k)
	}
	rounds := 3
	if name == "mariadb" {
		rounds = 1 // starting it again takes long
	}
	if soak() {
		rounds = 100
	}
	s.do("DELETE FROM slow", "INSERT INTO slow VALUES (5)")
	for round := range rounds {
		k := s.plan(fmt.Sprint(1 + rand.IntN(200)))
		ended := s.press(k)
		select { // somewhere between the press and a while after its end
		case <-time.After(time.Duration(rand.IntN(300)) * time.Millisecond):
		case <-t.Context().Done():
		}
		if round%2 == 0 {
			s.KillControl()
		} else {
			s.server.Kill()
			s.Must(s.server.Start())
		}
		said := <-ended
		got := s.either(k)
		if strings.Contains(said, "The rows are gone") && got != quarantine.Held {
			t.Errorf("it was said that the rows are gone, and the operation is %s", got)
		}
		states[got]++
		s.onward(k)
	}
	t.Logf("after %d kills at any moment: %v", rounds, states)
}

func readJSON(text string, into any) bool { return json.Unmarshal([]byte(text), into) == nil }

func writeSecret(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
