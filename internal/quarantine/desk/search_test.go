package desk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/quarantine/find"
)

// ended waits until a search is over.
func (r *room) ended(id string) desk.Search {
	r.t.Helper()
	for late := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := r.Searched(id)
		if err != nil {
			r.t.Fatal(err)
		}
		if !s.Running {
			return s
		}
		if time.Now().After(late) {
			r.t.Fatalf("the search has no end: %+v", s)
		}
	}
}

// whole says whether every row is where it was, and nothing is held.
func (r *room) whole() {
	r.t.Helper()
	if n, l := r.count("SELECT count(*) FROM orders"), r.count("SELECT count(*) FROM line"); n != 200 || l != 200 {
		r.t.Errorf("%d orders and %d lines are there", n, l)
	}
	for _, h := range r.Held(r.t.Context()).Held {
		if h.Operation.State != quarantine.Restored {
			r.t.Errorf("%s is %s", h.Operation.ID, h.Operation.State)
		}
	}
	if _, err := os.Stat(filepath.Join(r.dir, "searching")); err == nil {
		r.t.Error("the search is still written down")
	}
}

// Each way finds the row that the page breaks by, and leaves every row where it was.
func TestSearch(t *testing.T) {
	t.Parallel()
	for way, want := range map[string]string{
		desk.ByQuery:  "Row 7 of orders does the harm: the symptom query says 1; without it the symptom query is clean.",
		desk.ByMoving: "Row 7 of orders does the harm: the page answers 500; without it the page answers 200.",
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r := open(t, false)
			r.query = "SELECT count(*) FROM orders WHERE id = 7"
			r.evidence = find.Evidence{Logs: []string{"can't show orders 7"}}
			r.reopen(false)
			began, err := r.Search(t.Context(), desk.SearchRequest{Database: "shopdb", By: way, Paths: []string{"/orders"}}, ann)
			if err != nil || !began.Running {
				t.Fatalf("%+v %v", began, err)
			}
			s := r.ended(began.ID)
			if s.Finding == nil || s.Problem != "" || s.Asked == 0 || len(s.Candidates) == 0 || (way == desk.ByMoving) != (s.Moves > 0) {
				t.Fatalf("%+v", s)
			}
			if got := s.Finding.Words; got != want && way == desk.ByMoving || !strings.HasPrefix(got, "Row 7 of orders does the harm") {
				t.Error(got)
			}
			if all := r.story(); !strings.Contains(all, "Row 7 of orders does the harm") || way == desk.ByMoving && !strings.Contains(all, "Every row is back.") {
				t.Error(all)
			}
			r.whole()
		})
	}
}

func (r *room) story() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.notes, "\n")
}

// A search that is stopped while rows are away puts them back.
func TestSearchStopped(t *testing.T) {
	t.Parallel()
	r := open(t, false)
	r.evidence = find.Evidence{Logs: []string{"can't show orders 7"}}
	asks := make(chan struct{})
	r.asked = func(ctx context.Context) (find.Answer, error) {
		if a, err := r.page(ctx); err != nil || a.Harm {
			return a, err
		}
		close(asks) // rows are away: until the stop comes
		<-ctx.Done()
		return find.Answer{}, ctx.Err()
	}
	r.reopen(false)
	s, err := r.Search(t.Context(), desk.SearchRequest{Database: "shopdb", By: desk.ByMoving, Paths: []string{"/orders"}}, ann)
	if err != nil {
		t.Fatal(err)
	}
	<-asks
	if _, err := r.Search(t.Context(), desk.SearchRequest{Database: "shopdb"}, ann); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second search: %v", err)
	}
	if n := r.count("SELECT count(*) FROM orders"); n == 200 {
		t.Error("no row is away")
	}
	if err := r.StopSearch(s.ID); err != nil {
		t.Fatal(err)
	}
	if s = r.ended(s.ID); s.Finding != nil || s.Problem != "The search was stopped, or took too long. Every row is where it was." {
		t.Errorf("%+v", s)
	}
	r.whole()
}

// What a search had away when control was killed is put back when it starts again.
func TestSearchCutShort(t *testing.T) {
	t.Parallel()
	r := open(t, false)
	db, err := r.Database("shopdb")
	if err != nil {
		t.Fatal(err)
	}
	p, err := db.Plan(t.Context(), quarantine.Request{ID: "moved1", Table: "orders", Keys: []quarantine.Key{{"7"}}, Mode: quarantine.Move, Reason: find.Looking})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "searching"), []byte(`[{"database":"shopdb","operation":"moved1"},{"database":"shopdb","operation":"never"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.reopen(false)
	r.Recover(t.Context(), ann)
	r.whole()
	if !strings.Contains(r.story(), "was cut short: 2 rows that it had taken away are back") {
		t.Error(r.story())
	}
}

// What can't be searched is refused with what would help, and nothing is begun.
func TestSearchRefused(t *testing.T) {
	t.Parallel()
	r := open(t, false)
	strict := open(t, true)
	for name, c := range map[string]struct {
		in   *room
		req  desk.SearchRequest
		want fault.Kind
		hint string
	}{
		"no such database":     {r, desk.SearchRequest{Database: "other"}, fault.NotFound, "shopdb"},
		"no such way":          {r, desk.SearchRequest{Database: "shopdb", By: "luck"}, fault.Invalid, "query, pages, moving"},
		"no query":             {r, desk.SearchRequest{Database: "shopdb", By: desk.ByQuery}, fault.Invalid, "write one"},
		"no pages":             {r, desk.SearchRequest{Database: "shopdb", By: desk.ByPages}, fault.Invalid, "write pages"},
		"no page that fails":   {r, desk.SearchRequest{Database: "shopdb", By: desk.ByMoving}, fault.Invalid, "name it"},
		"not a path":           {r, desk.SearchRequest{Database: "shopdb", By: desk.ByMoving, Paths: []string{"http://x/"}}, fault.Invalid, "slash"},
		"another person reads": {strict, desk.SearchRequest{Database: "shopdb", By: desk.ByMoving, Paths: []string{"/"}}, fault.Refused, "query or pages"},
	} {
		_, err := c.in.Search(t.Context(), c.req, ann)
		var f *fault.Error
		if fault.KindOf(err) != c.want || !asFault(err, &f) || !strings.Contains(f.Hint, c.hint) {
			t.Errorf("%s: %v", name, err)
		}
		if len(c.in.Searches()) != 0 {
			t.Errorf("%s: a search was begun", name)
		}
	}
	if _, err := r.Search(t.Context(), desk.SearchRequest{Database: "shopdb", By: desk.ByNone}, rik); err == nil {
		t.Error("a reporter may search")
	}
	if _, err := r.Searched("nosuch"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
}

func asFault(err error, f **fault.Error) bool { return errors.As(err, f) }

// Verifying looks at the harm, too: it is gone, it is still there, or nobody has looked.
func TestVerifyLooksForTheHarm(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"SELECT count(*) FROM orders WHERE id = 7": "The harm is gone",
		"SELECT count(*) FROM orders WHERE id = 8": "The harm is still there",
		"":                          "Nobody has looked whether the harm is gone",
		"SELECT nosuch FROM orders": "could not be seen",
	} {
		r := open(t, false)
		r.query = query
		r.reopen(false)
		db, err := r.Database("shopdb")
		if err != nil {
			t.Fatal(err)
		}
		p, err := db.Plan(t.Context(), quarantine.Request{ID: "op1", Table: "orders", Keys: []quarantine.Key{{"7"}}, Mode: quarantine.Move})
		if err == nil {
			_, err = db.Apply(t.Context(), p, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Verify(t.Context(), "op1")
		if err != nil {
			t.Fatal(err)
		}
		last := v.Checks[len(v.Checks)-1]
		there, unknown := strings.Contains(want, "still"), strings.HasPrefix(want, "Nobody") || strings.HasPrefix(want, "could")
		if last.Name != "symptom" || !strings.Contains(last.Detail, want) || v.OK == there || v.Unverified != unknown || last.Unknown != unknown {
			t.Errorf("%s: %+v", query, v)
		}
	}
}
