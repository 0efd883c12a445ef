package desk

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/find"
	"lifeboat/internal/snapshot"
)

// Lookout is what a search of one database goes by.
type Lookout struct {
	Target find.Target
	// Lend lends the connection that is kept for a crisis.
	Lend func(ctx context.Context, f func(context.Context, *sql.Conn) error) error
	// Page asks home for a page by the name that visitors use.
	Page func(ctx context.Context, path string) (find.Answer, error)
	// Symptom asks the check that shows the harm; nil where none is named.
	Symptom func(ctx context.Context) (find.Answer, error)
}

// How a search narrows candidates down.
const (
	ByQuery  = "query"  // asks the symptom query with rows out of its sight
	ByPages  = "pages"  // asks for each row's own page
	ByMoving = "moving" // takes rows away for moments, and asks the page that fails
	ByNone   = "none"   // only proposes
)

// SearchRequest is what a search begins with. What the open incident has as evidence is
// looked at besides, unless logs or bodies are given.
type SearchRequest struct {
	Database string
	By       string   // empty: query where there is one, then pages, then none
	Paths    []string // of pages that fail; the first is what moving asks for
	Bodies   []string // what they answered
	Logs     []string // lines since it began
	Usual    []string // lines from before
}

// Search is a search for the row that does harm: how far it is, and what came of it.
type Search struct {
	ID         string           `json:"id"`
	Database   string           `json:"database"`
	Site       string           `json:"site"`
	By         string           `json:"by"`  // who asked for it
	How        string           `json:"how"` // query, pages, moving or none
	Since      time.Time        `json:"since"`
	Running    bool             `json:"running"`
	Step       string           `json:"step"`  // what it does now, in words
	Asked      int              `json:"asked"` // questions so far
	Moves      int              `json:"moves"` // times that rows were taken away for a moment
	Candidates []find.Candidate `json:"candidates"`
	Notices    []string         `json:"notices"`
	Finding    *find.Located    `json:"finding,omitempty"`
	Problem    string           `json:"problem,omitempty"` // how it ended, where it did not end well
}

// The bounds of searches.
const (
	maxSearches = 20 // kept in memory; the oldest goes first
	searchFor   = 10 * time.Minute
	// maxMoved is how many candidates moving takes away at once: the likeliest.
	maxMoved = 8
	// sameTwice is between two looks at the page while rows are away: caches may lag.
	sameTwice = 200 * time.Millisecond
	looks     = 20 // at most, until two in a row say the same
)

// search is a search under way, or that has ended.
type search struct {
	done chan struct{}
	stop context.CancelFunc

	mu sync.Mutex
	at Search
}

func (s *search) note(f func(*Search)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.at)
}

func (s *search) look() Search {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.at
	out.Candidates, out.Notices = slices.Concat([]find.Candidate{}, out.Candidates), slices.Concat([]string{}, out.Notices)
	return out
}

// Search begins to look for the row that does harm, and answers at once. All ways but
// moving only read.
func (d *Desk) Search(ctx context.Context, r SearchRequest, by incident.Actor) (Search, error) {
	source, err := d.source(r.Database)
	if err != nil {
		return Search{}, err
	}
	if err := incident.May(incident.ProposeFix{}, by); err != nil {
		return Search{}, err
	}
	if r.By, err = source.way(r); err != nil {
		return Search{}, err
	}
	inner, stop := context.WithTimeout(context.WithoutCancel(ctx), searchFor)
	s := &search{done: make(chan struct{}), stop: stop, at: Search{
		ID: strings.ToLower(d.o.NewID()), Database: source.Name, Site: source.Site, By: by.Name, How: r.By, Since: d.o.Now().UTC(), Running: true, Step: "looks for candidates",
	}}
	if err := d.admit(s); err != nil {
		stop()
		return Search{}, err
	}
	if r.By == ByMoving {
		text := fmt.Sprintf("Looks for the row that does harm in %s: up to %d rows at a time are taken away for moments, with what hangs on them, and put back.", source.Name, maxMoved)
		if err := d.o.Acts.Note(ctx, source.Site, text, by); err != nil {
			d.o.Logger.Warn("a search is not in the timeline", "search", s.at.ID, "cause", err)
		}
	}
	go d.seek(inner, s, source, r, by) // ends with the search, or by stop
	return s.look(), nil
}

// way says how a search narrows down, and why it can't be done so.
func (s Source) way(r SearchRequest) (string, error) {
	l := s.Lookout
	if l.Lend == nil {
		return "", fault.New(fault.Unavailable, "the database can't be searched").At(s.Name).WithHint("lifeboat data doctor %s says why", s.Name)
	}
	switch r.By {
	case "":
		switch {
		case l.Target.Query != "":
			return ByQuery, nil
		case len(l.Target.Pages) > 0:
			return ByPages, nil
		}
		return ByNone, nil
	case ByQuery:
		if l.Target.Query == "" {
			return "", fault.New(fault.Invalid, "%s has no symptom_query", s.Name).At("by").WithHint("write one under the database, or take another way")
		}
	case ByPages:
		if len(l.Target.Pages) == 0 {
			return "", fault.New(fault.Invalid, "no table of %s has pages", s.Name).At("by").WithHint("write pages under the database, or take another way")
		}
	case ByMoving:
		switch {
		case s.Approval:
			return "", fault.New(fault.Refused, "in %s another person reads each plan, so rows can't be moved only to look", s.Name).At("by").WithHint("take the way query or pages")
		case len(r.Paths) == 0 && l.Symptom == nil:
			return "", fault.New(fault.Invalid, "it is not said which page fails").At("paths").WithHint("name it, as in /orders, or write symptom under the database")
		}
	case ByNone:
	default:
		return "", fault.New(fault.Invalid, "there is no way %.40q", r.By).At("by").WithHint("query, pages, moving and none are")
	}
	for _, p := range r.Paths {
		if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, " \r\n") {
			return "", fault.New(fault.Invalid, "%.60q is no path of a page", p).At("paths").WithHint("begin with a slash, as in /orders")
		}
	}
	return r.By, nil
}

// admit keeps a search; one at a time looks in a database.
func (d *Desk) admit(s *search) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.searches {
		if now := other.look(); now.Running && now.Database == s.at.Database {
			return fault.New(fault.Conflict, "%s is being searched already", now.Database).WithHint("look how far it is, or stop it: lifeboat data search --stop %s", now.ID)
		}
	}
	d.searches = append(d.searches, s)
	for len(d.searches) > maxSearches {
		at := slices.IndexFunc(d.searches, func(s *search) bool { return !s.look().Running })
		if at < 0 {
			break
		}
		d.searches = slices.Delete(d.searches, at, at+1)
	}
	return nil
}

// Searches are the searches of late, newest first.
func (d *Desk) Searches() []Search {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []Search{}
	for _, s := range slices.Backward(d.searches) {
		out = append(out, s.look())
	}
	return out
}

func (d *Desk) searched(id string) (*search, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.searches {
		if s.look().ID == id {
			return s, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no search %.40q", id).At("search").WithHint("searches are kept until lifeboat control ends; begin another")
}

// Searched says how far a search is.
func (d *Desk) Searched(id string) (Search, error) {
	s, err := d.searched(id)
	if err != nil {
		return Search{}, err
	}
	return s.look(), nil
}

// StopSearch ends a search. What it has taken away is put back first, so it ends a
// moment later.
func (d *Desk) StopSearch(id string) error {
	s, err := d.searched(id)
	if err != nil {
		return err
	}
	s.note(func(at *Search) {
		if at.Running {
			at.Step = "is stopped: puts back what is away"
		}
	})
	s.stop()
	return nil
}

// seek does the work of a search.
func (d *Desk) seek(ctx context.Context, s *search, source Source, r SearchRequest, by incident.Actor) {
	defer close(s.done)
	defer s.stop()
	f, err := d.narrow(ctx, s, source, r, by)
	if err = errors.Join(err, d.forget()); err != nil {
		f = nil
	}
	text := ""
	switch {
	case err != nil && ctx.Err() != nil && !strings.Contains(err.Error(), "still holds"):
		text = "The search was stopped, or took too long. Every row is where it was."
	case err != nil:
		text = "The search came to no end: " + err.Error()
	}
	s.note(func(at *Search) {
		at.Running, at.Step, at.Problem, at.Finding = false, "", text, f
	})
	if f != nil && err == nil {
		text = fmt.Sprintf("Searched %s by %s: %s", source.Name, r.By, f.Words)
		if r.By == ByMoving {
			text += " Every row is back."
		}
	}
	if text == "" || f == nil && r.By != ByMoving {
		return
	}
	if err := d.o.Acts.Note(context.WithoutCancel(ctx), source.Site, text, by); err != nil {
		d.o.Logger.Warn("what came of a search is not in the timeline", "search", s.look().ID, "cause", err)
	}
}

// narrow proposes candidates and narrows them down.
func (d *Desk) narrow(ctx context.Context, s *search, source Source, r SearchRequest, by incident.Actor) (*find.Located, error) {
	e := find.Evidence{Paths: r.Paths, Bodies: r.Bodies, Logs: r.Logs, Usual: r.Usual}
	if len(r.Bodies)+len(r.Logs) == 0 {
		seen, err := d.o.Acts.Evidence(ctx, source.Site)
		if err != nil {
			s.note(func(at *Search) {
				at.Notices = append(at.Notices, "The evidence of the incident could not be read: "+err.Error()+".")
			})
		}
		e.Bodies, e.Logs = seen.Bodies, seen.Logs
	}
	var list []find.Candidate
	var out *find.Located
	err := source.Lookout.Lend(ctx, func(ctx context.Context, conn *sql.Conn) error {
		p, err := find.Propose(ctx, conn, source.Lookout.Target, e)
		if err != nil {
			return err
		}
		list = p.Candidates
		s.note(func(at *Search) {
			at.Candidates, at.Notices = p.Candidates[:min(len(p.Candidates), maxMoved*3)], append(at.Notices, p.Notices...)
		})
		if r.By != ByQuery {
			return nil
		}
		s.note(func(at *Search) { at.Step = "asks the symptom query" })
		f, err := find.ByQuery(ctx, conn, source.Lookout.Target, list)
		out = &f
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case r.By == ByPages:
		f, err := find.ByPages(ctx, list, func(ctx context.Context, path string) (find.Answer, error) {
			s.note(func(at *Search) { at.Asked++; at.Step = "asks for " + path })
			return source.Lookout.Page(ctx, path)
		})
		return &f, err
	case r.By == ByMoving:
		return d.moving(ctx, s, source, r, list, by)
	}
	if out != nil {
		s.note(func(at *Search) { at.Asked = out.Asked })
	}
	return out, nil
}

// moving narrows down by taking rows away for moments.
func (d *Desk) moving(ctx context.Context, s *search, source Source, r SearchRequest, list []find.Candidate, by incident.Actor) (*find.Located, error) {
	db, err := d.Database(source.Name)
	if err != nil {
		return nil, err
	}
	ask := source.Lookout.Symptom
	if len(r.Paths) > 0 {
		ask = func(ctx context.Context) (find.Answer, error) { return source.Lookout.Page(ctx, r.Paths[0]) }
	}
	if list, err = d.movable(ctx, s, db, list[:min(len(list), maxMoved)]); err != nil {
		return nil, err
	}
	f, err := find.ByMoving(ctx, list, find.Moving{
		Database: db, NewID: func() string { return strings.ToLower(d.o.NewID()) }, By: by.Name,
		Approve: func(_ context.Context, p quarantine.Plan) error {
			s.note(func(at *Search) { at.Moves++; at.Step = "takes " + rows(p.Rows) + " away for a moment" })
			return d.remember(source, p.ID)
		},
		Ask: func(ctx context.Context) (find.Answer, error) {
			s.note(func(at *Search) { at.Asked++; at.Step = "asks the page" })
			return settled(ctx, ask)
		},
	})
	return &f, err
}

// movable are the candidates that may be taken away together: a table is never emptied,
// and what a plan refuses stays.
func (d *Desk) movable(ctx context.Context, s *search, db quarantine.Database, list []find.Candidate) ([]find.Candidate, error) {
	out := slices.Clone(list)
	var tables []string
	for _, c := range list {
		if !slices.Contains(tables, c.Table) {
			tables = append(tables, c.Table)
		}
	}
	for _, table := range tables {
		for {
			var keys []quarantine.Key
			last := -1
			for i, c := range out {
				if c.Table == table {
					keys, last = append(keys, c.Key), i
				}
			}
			if last < 0 {
				break
			}
			p, err := db.Plan(ctx, quarantine.Request{ID: strings.ToLower(d.o.NewID()), Mode: quarantine.Move, Table: table, Keys: keys, Reason: find.Looking, Accept: find.Accepted})
			if err != nil {
				return nil, err
			}
			if len(p.Refused) == 0 {
				break
			}
			s.note(func(at *Search) {
				at.Notices = append(at.Notices, upperFirst(out[last].Name())+" was left where it is: "+lowerFirst(p.Refused[0].Reason))
			})
			out = slices.Delete(out, last, last+1)
		}
	}
	return out, nil
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// settled asks until two answers in a row say the same.
func settled(ctx context.Context, ask func(context.Context) (find.Answer, error)) (find.Answer, error) {
	last, err := ask(ctx)
	for range looks {
		if err != nil {
			return last, err
		}
		select {
		case <-time.After(sameTwice):
		case <-ctx.Done():
			return last, fault.New(fault.Unavailable, "it was stopped").WithHint("begin another search")
		}
		var now find.Answer
		if now, err = ask(ctx); err == nil && now.Harm == last.Harm {
			return now, nil
		}
		last = now
	}
	return last, cmp.Or(err, error(fault.New(fault.Unavailable, "the page says one thing and then another").WithHint("see that the harm holds still, then try again")))
}

// lent is an operation that a search has taken rows away with; a control that ends amid
// it puts them back when it starts again.
type lent struct {
	Database  string `json:"database"`
	Operation string `json:"operation"`
}

func (d *Desk) lentPath() string { return filepath.Join(d.o.Dir, "searching") }

// remember writes an operation of a search down before its rows leave.
func (d *Desk) remember(source Source, operation string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lent = append(d.lent, lent{source.Name, operation})
	return d.writeLent()
}

func (d *Desk) writeLent() error {
	if len(d.lent) == 0 {
		if err := os.Remove(d.lentPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	b, err := json.Marshal(d.lent)
	if err == nil {
		err = snapshot.WriteFile(d.lentPath(), b)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "it could not be written down which rows are away").Because(err).WithHint("look at the disk of lifeboat's data folder")
	}
	return nil
}

// forget lets operations of searches go that hold nothing any more.
func (d *Desk) forget() error {
	d.mu.Lock()
	all := slices.Clone(d.lent)
	d.mu.Unlock()
	back := map[lent]bool{}
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	for _, l := range all {
		if db, err := d.Database(l.Database); err == nil {
			op, err := db.Look(ctx, l.Operation)
			back[l] = err == nil && op.State != quarantine.Held
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lent = slices.DeleteFunc(d.lent, func(l lent) bool { return back[l] })
	return d.writeLent()
}

// lookFor is how long it may take to see what has become of a search's operations.
const lookFor = time.Minute

// recoverEvery is between two tries to put back what a search left.
const recoverEvery = 10 * time.Second

// readLent reads which operations of searches may hold rows.
func (d *Desk) readLent() (out []lent) {
	b, err := os.ReadFile(d.lentPath())
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.o.Logger.Warn("which rows a search has left away can't be read; lifeboat data held tells them by their reason", "cause", err)
	}
	return out
}

// Recover puts back what a search has taken away that was cut short by an end of control.
// It returns when nothing is left to put back, or with ctx.
func (d *Desk) Recover(ctx context.Context, by incident.Actor) {
	left := slices.Clone(d.left)
	slices.Reverse(left) // what left last comes back first
	for len(left) > 0 {
		err := d.giveBack(ctx, left[0], by)
		if err != nil && ctx.Err() == nil {
			d.o.Logger.Warn("rows that a search took away are not back", "operation", left[0].Operation, "cause", err)
		}
		if kind := fault.KindOf(err); err == nil || kind == fault.Conflict || kind == fault.NotFound {
			left = left[1:] // back, or a person has to look: lifeboat data held shows it
			continue
		}
		select {
		case <-time.After(recoverEvery):
		case <-ctx.Done():
			return
		}
	}
	if len(d.left) == 0 {
		return
	}
	if err := d.forget(); err != nil {
		d.o.Logger.Warn("the list of a search is still there", "cause", err)
	}
}

// giveBack puts back what one operation of a search holds.
func (d *Desk) giveBack(ctx context.Context, l lent, by incident.Actor) error {
	db, err := d.Database(l.Database)
	if err != nil {
		return err
	}
	op, err := db.Look(ctx, l.Operation)
	if err != nil || op.State != quarantine.Held {
		return err
	}
	r, err := db.Restore(ctx, quarantine.Back{Operation: l.Operation, ID: "searched", By: by.Name, Policy: quarantine.Abort}, nil)
	if err != nil {
		return err
	}
	source, err := d.source(l.Database)
	if err == nil {
		err = d.o.Acts.Note(ctx, source.Site, fmt.Sprintf("A search in %s was cut short: %s that it had taken away %s back.", l.Database, rows(r.Rows), map[bool]string{true: "is", false: "are"}[r.Rows == 1]), by)
	}
	if err != nil {
		d.o.Logger.Warn("what a search left is back, but not in the timeline", "operation", l.Operation, "cause", err)
	}
	return nil
}
