package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/probe"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

// stand is a desk with a clock and a store of its own.
type stand struct {
	*Desk
	t     *testing.T
	store store.Store
	now   time.Time
	n     int
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{t: t, store: mem.New(mem.Options{}), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	s.open()
	return s
}

func (s *stand) open() {
	s.t.Helper()
	every, err := board.ParseEvery("sunday 02:00")
	if err != nil {
		s.t.Fatal(err)
	}
	s.Desk = New(Options{
		Store: s.store, Now: func() time.Time { return s.now }, NewID: func() string { s.n++; return fmt.Sprintf("id%d", s.n) },
		Settings: Settings{
			Pages: []board.Page{{ID: "main"}}, Components: []board.Definition{board.Site("shop", "Shop"), board.Site("docs", "Docs")},
			Rules: []board.Rule{{ID: "backup", Title: board.Text{"": "Backup"}, Every: every, Lasts: time.Hour, Announce: 8 * 24 * time.Hour, Components: []string{"shop"}}},
		},
	})
	if err := s.Start(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) do(c board.Command) board.Change {
	s.t.Helper()
	change, err := s.Do(context.Background(), board.Who{Name: "Ada"}, c)
	if err != nil {
		s.t.Fatal(err)
	}
	return change
}

func text(s string) board.Text { return board.Text{"": s} }

// TestWhatIsWrittenStays writes all there is to write, and reads it back after a start.
func TestWhatIsWrittenStays(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	in := s.do(board.OpenIncident{Title: text("Slow"), Text: text("We look."), States: map[string]board.State{"shop": board.Degraded}}).Incident
	s.do(board.UpdateIncident{ID: in.ID, Text: text("We know."), Step: board.Identified, NextIn: time.Hour})
	s.do(board.SetOverride{Component: "docs", State: board.Partial, Reason: text("Search is off")})
	m := s.do(board.PlanMaintenance{Title: text("Move"), From: s.now.Add(time.Hour), Until: s.now.Add(2 * time.Hour), Components: []string{"shop"}}).Maintenance
	s.do(board.EditMaintenance{ID: m.ID, Until: s.now.Add(3 * time.Hour)})
	before := s.Sheet()
	s.open()
	after := s.Sheet()
	a, _ := json.Marshal(before)
	b, _ := json.Marshal(after)
	if string(a) != string(b) {
		t.Errorf("after a start:\n%s\nbefore:\n%s", b, a)
	}
	if len(after.Incidents) != 1 || len(after.Incidents[0].Updates) != 2 || len(after.Overrides) != 1 || len(after.Maintenances) != 1 {
		t.Errorf("%s", b)
	}
	if strings.Contains(string(b), "Ada") {
		t.Errorf("a name leaves with the sheet: %s", b)
	}
	events, err := s.Events(context.Background())
	if err != nil || len(events) != 5 || events[0].Type != "maintenance.edited" || events[4].Who.Name != "Ada" {
		t.Errorf("%v %+v", err, events)
	}
	s.do(board.DropOverride{Component: "docs"})
	s.do(board.CancelMaintenance{ID: m.ID})
	s.open()
	if x := s.Sheet(); len(x.Overrides)+len(x.Maintenances) != 0 {
		t.Errorf("what was taken back is there again: %+v", x)
	}
	s.do(board.SetOverride{Component: "docs", State: board.Partial}) // of a key that was deleted
}

// TestSomebodyElseWrote: a record that changed under the desk is not overwritten.
func TestSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.do(board.SetOverride{Component: "shop", State: board.Major})
	if _, err := s.store.Txn(context.Background(), nil, []store.Write{{Key: keyOverride + "shop", Value: []byte(`{}`)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do(context.Background(), board.Who{}, board.DropOverride{Component: "shop"}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v", err)
	}
}

func TestDaysAreCounted(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.now = time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC)
	look := func(state board.State, after time.Duration) {
		s.now = s.now.Add(after)
		s.Look(context.Background(), board.Board{Components: []board.Component{{ID: "shop", State: state}}}, nil)
	}
	look(board.Operational, 0) // the first look counts nothing
	look(board.Operational, 30*time.Second)
	look(board.Major, 40*time.Second) // over midnight
	look(board.Major, 500*time.Millisecond)
	look(board.Major, 500*time.Millisecond)
	look(board.Operational, time.Hour) // nobody looked
	look(board.Operational, -time.Minute)
	look(board.Operational, 5*time.Second)
	s.Save(context.Background())
	s.open()
	got := map[string]board.Tally{}
	for _, d := range s.Past()["shop"].Days {
		got[d.Date] = d.Tally
	}
	if want := (board.Tally{30, 0, 0, 30}); got["2026-11-22"] != want {
		t.Errorf("22 November: %v, want %v", got["2026-11-22"], want)
	}
	if want := (board.Tally{5, 0, 0, 11, 0, 3600}); got["2026-11-23"] != want {
		t.Errorf("23 November: %v, want %v", got["2026-11-23"], want)
	}
}

func TestOldDaysGo(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for i := range 3 {
		s.Look(context.Background(), board.Board{Components: []board.Component{{ID: "shop", State: board.Operational}}}, nil)
		s.now = s.now.Add(time.Minute)
		s.Look(context.Background(), board.Board{Components: []board.Component{{ID: "shop", State: board.Operational}}}, nil)
		s.now = s.now.AddDate(0, 0, []int{80, keepDays, 0}[i])
	}
	if _, err := s.store.Get(context.Background(), keyDay+"shop/2026-11-22"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a day of long ago is kept (%v)", err)
	}
	if days := s.Past()["shop"].Days; len(days) == 0 || days[0].Date < s.now.AddDate(0, 0, -board.DaysShown).Format(time.DateOnly) {
		t.Errorf("%+v", days)
	}
}

func TestResponseTimes(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	worth := 0
	for i := range 130 {
		seen := []board.Seen{{Site: "shop", Place: "main", Check: "home", Seen: probe.Up, At: s.now, Took: time.Duration(100+i%2*100) * time.Millisecond}}
		if i%3 == 0 {
			seen[0].At = s.now.Add(-5 * time.Second) // the same result again
		}
		if s.Look(context.Background(), board.Board{}, seen) {
			worth++
		}
		s.now = s.now.Add(5 * time.Second)
	}
	p := s.Past()["shop"].Times
	if len(p) != 2 || worth != 2 || p[0].Most != 200 || p[0].Mean < 130 || p[0].Mean > 170 || p[1].At.Sub(p[0].At) != pointEvery {
		t.Errorf("%d worth, %+v", worth, p)
	}
	if len(s.Past()["docs"].Times) != 0 {
		t.Error("another component has its times")
	}
}

func TestRecurringWorkIsAnnounced(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for range 3 {
		s.Tend(context.Background())
	}
	m := s.Sheet().Maintenances
	if len(m) != 1 || m[0].ID != "backup-20261129t0200" || m[0].From != time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC) || m[0].Rule != "backup" {
		t.Fatalf("%+v", m)
	}
	s.now = s.now.AddDate(0, 0, 7)
	s.Tend(context.Background())
	if m := s.Sheet().Maintenances; len(m) != 2 {
		t.Errorf("a week later: %+v", m)
	}
}

// TestACrewIsBelievedWithWhatIsShownNow pulls a lever and tells of it between two looks.
func TestACrewIsBelievedWithWhatIsShownNow(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	at := func(state board.State) board.Board {
		return board.Board{Components: []board.Component{{ID: "shop", State: state}}}
	}
	s.Look(context.Background(), at(board.Operational), nil)
	s.now = s.now.Add(time.Second)
	s.Show(at(board.Major))
	if shown := s.Shown(); len(shown) != 1 || shown[0].State != board.Major {
		t.Errorf("shown: %+v", shown)
	}
	s.Follow(context.Background(), []Crew{{ID: "01J", Site: "shop", Title: text("Shop does not open"), Began: s.now, News: []News{{ID: "u1", Text: "We look.", Step: board.Investigating, By: "Ada"}}}})
	if in := s.Sheet().Incidents; len(in) != 1 || in[0].Impact != board.ImpactCritical || in[0].Says("shop") != board.Major {
		t.Errorf("%+v", in)
	}
}

// TestCrewsAreFollowed puts each message of a crew onto the page once.
func TestCrewsAreFollowed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.Look(context.Background(), board.Board{Components: []board.Component{{ID: "shop", State: board.Major}}}, nil)
	crew := Crew{ID: "01J", Site: "shop", Title: board.Text{"en": "Shop does not open"}, Began: s.now.Add(-time.Minute), News: []News{{ID: "u1", Text: "We look.", Step: board.Investigating, By: "Ada", NextIn: 20 * time.Minute}}}
	for range 3 {
		s.Follow(context.Background(), []Crew{crew})
	}
	one := s.Sheet().Incidents
	if len(one) != 1 || len(one[0].Updates) != 1 || one[0].Impact != board.ImpactCritical || one[0].Says("shop") != board.Major || one[0].NextDue.IsZero() {
		t.Fatalf("%+v", one)
	}
	crew.News = append(crew.News, News{ID: "u2", Text: "It is over.", Step: board.Resolved, By: "Ada"})
	s.open()
	s.Follow(context.Background(), []Crew{crew})
	s.Follow(context.Background(), []Crew{crew})
	one = s.Sheet().Incidents
	if len(one) != 1 || len(one[0].Updates) != 2 || one[0].Open() || one[0].Updates[1].Affected[0].New != board.Operational {
		t.Fatalf("%+v", one)
	}
	crew.News = append(crew.News, News{ID: "u3", Text: "It came again.", Step: board.Investigating, By: "Ada"})
	s.Follow(context.Background(), []Crew{crew})
	if one = s.Sheet().Incidents; len(one) != 1 || !one[0].Open() || !one[0].ResolvedAt.IsZero() {
		t.Errorf("after a relapse: %+v", one)
	}
}

func TestTheSheetIsBounded(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	long := strings.Repeat("x", board.MaxMessage)
	var first string
	for i := range board.MaxOpen {
		in := s.do(board.OpenIncident{Title: text(fmt.Sprint("Number ", i)), Text: board.Text{"en": long, "de": long, "fr": long, "es": long, "it": long, "nl": long}}).Incident
		if i == 0 {
			first = in.ID
		}
		s.now = s.now.Add(time.Second)
	}
	_, err := s.Do(context.Background(), board.Who{}, board.OpenIncident{Title: text("One more"), Text: text("x")})
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	b, err := json.Marshal(s.Sheet())
	if err != nil || len(b) > maxPublished+64<<10 {
		t.Errorf("%d bytes (%v)", len(b), err)
	}
	if _, known := s.Records().Incidents[first]; !known {
		t.Error("the oldest is gone from the record")
	}
}
