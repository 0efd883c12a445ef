package doctor

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Between two checks of one database: a day where all was well, else sooner, so
// that a right that was given shows.
const (
	daily = 24 * time.Hour
	soon  = 10 * time.Minute
)

// Round keeps a connection to each of some databases and checks each of them every
// day.
type Round struct {
	now     func() time.Time
	log     *slog.Logger
	keepers []*Keeper

	mu   sync.Mutex // guards last
	last []Report   // by keeper; Database is "" before the first check
}

// NewRound makes a Round; nothing is dialled until Run.
func NewRound(targets []Target, now func() time.Time, log *slog.Logger) (*Round, error) {
	r := &Round{now: now, log: log, last: make([]Report, len(targets))}
	for _, t := range targets {
		k, err := Keep(Options{Target: t, Now: now, Logger: log})
		if err != nil {
			return nil, err
		}
		r.keepers = append(r.keepers, k)
	}
	return r, nil
}

// Run keeps the connections and checks the databases until ctx ends.
func (r *Round) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i, k := range r.keepers { // all end with ctx
		all.Go(func() { k.Run(ctx) })
		all.Go(func() { r.watch(ctx, i) })
	}
	all.Wait()
}

func (r *Round) watch(ctx context.Context, i int) {
	for {
		report := r.keepers[i].Check(ctx)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.last[i] = report
		r.mu.Unlock()
		wait := daily
		if !report.OK {
			wait = soon
			r.log.Warn("taking rows away from a database would not work", "database", report.Database, "problems", len(report.Problems), "first", report.Problems[0].Text)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Keeper gives the one that keeps a database's connection, nil when there is none.
func (r *Round) Keeper(database string) *Keeper {
	for _, k := range r.keepers {
		if k.o.Target.Name == database {
			return k
		}
	}
	return nil
}

// Standing is what is known of one database now.
type Standing struct {
	Report Report `json:"report"` // of the last daily check; its time is zero before the first
	Kept   State  `json:"kept"`   // the connection
}

// Standings are those of all databases, in the configuration's order.
func (r *Round) Standings() []Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Standing, len(r.keepers))
	for i, k := range r.keepers {
		out[i] = Standing{r.last[i], k.State()}
		out[i].Report.Database, out[i].Report.Kind = k.o.Target.Name, k.o.Target.Kind
	}
	return out
}
