package doctor

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"lifeboat/internal/fault"
)

// Options of a Keeper. Target, Now and Logger MUST be set.
type Options struct {
	Target Target
	Now    func() time.Time
	Logger *slog.Logger
	Every  time.Duration // between two looks at the connection: 1 minute
}

// Keeper keeps one connection to a database open. The connection is opened in
// calm, so it is there when production has taken all others.
type Keeper struct {
	o  Options
	db *sql.DB

	turn chan struct{} // holds the right to use conn
	conn *sql.Conn     // nil: lost

	mu    sync.Mutex // guards state
	state State
}

// State is how a kept connection is.
type State struct {
	Open  bool      `json:"open"`
	Since time.Time `json:"since"` // of this state
	Seen  time.Time `json:"seen"`  // last answer
	Why   string    `json:"why,omitempty"`
}

// Keep makes a Keeper; nothing is dialled until Run or Do.
func Keep(o Options) (*Keeper, error) {
	if o.Every == 0 {
		o.Every = time.Minute
	}
	db, err := Open(o.Target)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	db.SetConnMaxLifetime(0)
	return &Keeper{o: o, db: db, turn: make(chan struct{}, 1), state: State{Since: o.Now().UTC(), Why: "it has not been opened yet"}}, nil
}

// Run opens the connection and looks after it until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.o.Every)
	defer tick.Stop()
	for {
		_ = k.Do(ctx, func(context.Context, *sql.Conn) error { return nil }) // the state says how it went
		select {
		case <-ctx.Done():
			k.close()
			return
		case <-tick.C:
		}
	}
}

func (k *Keeper) close() {
	k.turn <- struct{}{} // whoever uses it is done, or its context has ended
	defer func() { <-k.turn }()
	if k.conn != nil {
		_ = k.conn.Close()
		k.conn = nil
	}
	_ = k.db.Close()
}

// Do lends the kept connection to f, one user at a time. A lost one is opened
// again first. f MUST leave no transaction open.
func (k *Keeper) Do(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "the kept connection is in use").At(k.o.Target.Name).Because(ctx.Err()).WithHint("try again in a moment")
	}
	if err := k.ready(ctx); err != nil {
		k.note(err)
		return fault.New(fault.Unavailable, "can't reach the database: %s", Plain(err)).At(k.o.Target.Name).WithHint("see that it runs; lifeboat data doctor says more")
	}
	k.note(nil)
	return f(ctx, k.conn)
}

// ready sees that the connection answers.
func (k *Keeper) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	if k.conn != nil {
		var one int
		if err := k.conn.QueryRowContext(ctx, "SELECT 1").Scan(&one); err == nil {
			return nil
		}
		_ = k.conn.Close()
		k.conn = nil
	}
	conn, err := k.db.Conn(ctx)
	if err != nil {
		return err
	}
	var one int
	if err := conn.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		_ = conn.Close()
		return err
	}
	k.conn = conn
	return nil
}

// note keeps the state, and tells the log when it turns.
func (k *Keeper) note(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, was := k.o.Now().UTC(), k.state
	if err == nil {
		k.state = State{Open: true, Since: was.Since, Seen: now}
	} else {
		k.state = State{Since: was.Since, Seen: was.Seen, Why: Plain(err)}
	}
	if k.state.Open == was.Open && !(was.Seen.IsZero() && was.Why != k.state.Why) {
		return
	}
	if k.state.Open != was.Open {
		k.state.Since = now
	}
	if err == nil {
		k.o.Logger.Info("a connection to the database is kept", "database", k.o.Target.Name)
	} else {
		k.o.Logger.Warn("the kept connection to the database is lost", "database", k.o.Target.Name, "why", k.state.Why)
	}
}

// State is how the connection is.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Check checks the database over the kept connection.
func (k *Keeper) Check(ctx context.Context) Report {
	var r Report
	err := k.Do(ctx, func(ctx context.Context, conn *sql.Conn) error {
		r = Check(ctx, k.o.Target, conn, nil, k.o.Now())
		return nil
	})
	if err != nil {
		return Check(ctx, k.o.Target, nil, err, k.o.Now())
	}
	return r
}
