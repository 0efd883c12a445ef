package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/board"
	boarddesk "lifeboat/internal/board/desk"
	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/subscribe"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// post is a Carrier that keeps what it is given.
type post struct {
	width int           // 0: some
	takes time.Duration // a try, whether we stop or not

	mu    sync.Mutex // guards all below
	got   []Parcel
	says  func(p Parcel, tries int) error // nil: all is well
	tries map[string]int
	rests int
}

// answers says what comes of a parcel from now on.
func (c *post) answers(says func(p Parcel, tries int) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.says = says
}

func (c *post) Width() int { return cmp.Or(c.width, 4) }
func (c *post) Rest()      { c.mu.Lock(); c.rests++; c.mu.Unlock() }
func (c *post) Carry(_ context.Context, p Parcel) error {
	time.Sleep(c.takes)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tries == nil {
		c.tries = map[string]int{}
	}
	c.tries[p.ID]++
	if c.says != nil {
		if err := c.says(p, c.tries[p.ID]); err != nil {
			return err
		}
	}
	c.got = append(c.got, p)
	return nil
}

// to are the subjects of what an address got.
func (c *post) to(address string) (subjects []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.got {
		if p.To == address {
			subjects = append(subjects, p.Subject)
		}
	}
	return subjects
}

func (c *post) link(address string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.got) {
		if p.To == address {
			_, token, _ := strings.Cut(p.Link, subscribe.Path)
			return token
		}
	}
	return ""
}

// world is a page with two parts, who writes on it and who is told.
type world struct {
	t        *testing.T
	store    store.Store
	mail     *post
	hook     *post
	degraded atomic.Bool
	desk     *Desk
	board    *boarddesk.Desk
	stop     func()
	n        int
}

var page = board.Page{ID: "main", URL: "https://status.example.com", Name: "Example Shop", Languages: []string{"en", "de"}, Zone: "Etc/UTC", Subscribe: []string{"mail", "webhook"}}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: mem.New(mem.Options{}), mail: &post{}, hook: &post{}}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start makes the desks on what the store holds; it is a restart where they were there.
func (w *world) start() {
	parts := []board.Definition{{ID: "web", Name: board.Text{"": "Website", "de": "Seiten"}}, {ID: "pay", Name: board.Text{"": "Payments"}}}
	pages := []board.Page{page}
	w.desk = New(Options{
		Store: w.store, Key: subscribe.Key("0123456789abcdef0123456789abcdef"), Pages: pages, Components: parts,
		Carriers: map[subscribe.Way]Carrier{subscribe.Mail: w.mail, subscribe.Webhook: w.hook}, Degraded: func() bool { return w.degraded.Load() },
	})
	must(w.t, w.desk.Start(w.t.Context()))
	w.board = boarddesk.New(boarddesk.Options{
		Store: w.store, Settings: boarddesk.Settings{Pages: pages, Components: parts}, Besides: w.desk.News,
		NewID: func() string { w.n++; return fmt.Sprintf("e%d", w.n) },
	})
	must(w.t, w.board.Start(w.t.Context()))
	w.run()
}

func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func(d *Desk) { defer close(done); d.Run(ctx) }(w.desk) // ends with stop
	w.stop = func() { cancel(); <-done }
}

func (w *world) ask(do subscribe.Do, to, token string, parts ...string) subscribe.Told {
	return w.desk.Ask(w.t.Context(), subscribe.Ask{Do: do, Page: "main", Way: subscribe.Mail, To: to, Token: token, Components: parts, Language: "en"})
}

// follows is somebody who has confirmed.
func (w *world) follows(to string, parts ...string) (token string) {
	w.t.Helper()
	if got := w.ask(subscribe.Begin, to, "", parts...); got.Outcome != subscribe.Asked {
		w.t.Fatalf("begin: %+v", got)
	}
	synctest.Wait()
	token = w.mail.link(to)
	if got := w.ask(subscribe.Confirm, "", token); got.Outcome != subscribe.Confirmed || got.Pending {
		w.t.Fatalf("confirm with %q: %+v", token, got)
	}
	return token
}

// opens tells of an incident that touches parts.
func (w *world) opens(title string, parts ...string) board.Change {
	w.t.Helper()
	time.Sleep(time.Second) // of the bubble
	states := map[string]board.State{}
	for _, p := range parts {
		states[p] = board.Major
	}
	c, err := w.board.Do(w.t.Context(), board.Who{Name: "Ada"}, board.OpenIncident{Title: board.Text{"": title}, Text: board.Text{"": "We look into it."}, Step: board.Investigating, States: states})
	must(w.t, err)
	synctest.Wait()
	return c
}

// Nobody is told who has not confirmed, and nobody any more who has ended it.
func TestConfirmedOnlyAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if got := w.ask(subscribe.Begin, "ada@example.com", ""); got.Outcome != subscribe.Asked {
			t.Fatalf("%+v", got)
		}
		synctest.Wait()
		if got := w.mail.to("ada@example.com"); len(got) != 1 || !strings.Contains(got[0], "Confirm") {
			t.Fatalf("after asking: %q", got)
		}
		w.opens("Before")
		token := w.mail.link("ada@example.com")
		if got := w.ask(subscribe.Look, "", token); got.Outcome != subscribe.Open || !got.Pending || got.To != "a…@example.com" {
			t.Errorf("looking: %+v", got)
		}
		w.ask(subscribe.Confirm, "", token)
		w.opens("During", "web")
		if got := w.mail.to("ada@example.com"); len(got) != 2 || got[1] != "[Example Shop] During: We are looking into it" {
			t.Errorf("after confirming: %q", got)
		}
		if got := w.ask(subscribe.End, "", token); got.Outcome != subscribe.Ended {
			t.Errorf("ending: %+v", got)
		}
		w.opens("After")
		if got := w.mail.to("ada@example.com"); len(got) != 2 {
			t.Errorf("after ending: %q", got)
		}
		for do, want := range map[subscribe.Do]subscribe.Outcome{subscribe.End: subscribe.Ended, subscribe.Confirm: subscribe.Unknown, subscribe.Look: subscribe.Unknown} {
			if got := w.ask(do, "", token); got.Outcome != want {
				t.Errorf("%s once more: %+v", do, got)
			}
		}
	})
}

// Whoever only knows an address learns nothing about it, and can't fill its mailbox.
func TestAskingAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("ada@example.com")
		for range 5 {
			if got := w.ask(subscribe.Begin, "ADA@Example.com", ""); !reflect.DeepEqual(got, subscribe.Told{Outcome: subscribe.Asked}) {
				t.Fatalf("asked again: %+v", got)
			}
			synctest.Wait()
		}
		got := append(w.mail.to("ada@example.com"), w.mail.to("ADA@example.com")...)
		if len(got) != maxAsks || !strings.Contains(got[1], "already") {
			t.Errorf("messages: %q", got)
		}
		time.Sleep(askSpan)
		w.ask(subscribe.Begin, "ada@example.com", "")
		synctest.Wait()
		if got := w.mail.to("ada@example.com"); len(got) != maxAsks+1 {
			t.Errorf("the next day: %q", got)
		}
		if n := len(w.desk.List()); n != 1 {
			t.Errorf("%d subscriptions of one address", n)
		}
	})
}

func TestWrongAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		good := w.follows("ada@example.com")
		ask := func(change func(*subscribe.Ask)) subscribe.Told {
			a := subscribe.Ask{Do: subscribe.Begin, Page: "main", Way: subscribe.Mail, To: "bob@example.com"}
			change(&a)
			return w.desk.Ask(t.Context(), a)
		}
		for name, tt := range map[string]struct {
			change func(*subscribe.Ask)
			want   subscribe.Told
		}{
			"no address":        {func(a *subscribe.Ask) { a.To = "bob" }, subscribe.Told{Outcome: subscribe.Wrong, Field: "to"}},
			"another header":    {func(a *subscribe.Ask) { a.To = "bob@example.com\r\nBcc: eve@example.com" }, subscribe.Told{Outcome: subscribe.Wrong, Field: "to"}},
			"two addresses":     {func(a *subscribe.Ask) { a.To = "bob@example.com, eve@example.com" }, subscribe.Told{Outcome: subscribe.Wrong, Field: "to"}},
			"a part of nobody":  {func(a *subscribe.Ask) { a.Components = []string{"web", "none"} }, subscribe.Told{Outcome: subscribe.Wrong, Field: "components"}},
			"a way not offered": {func(a *subscribe.Ask) { a.Way = subscribe.Slack }, subscribe.Told{Outcome: subscribe.Off}},
			"another page":      {func(a *subscribe.Ask) { a.Page = "other" }, subscribe.Told{Outcome: subscribe.Off}},
			"a plain URL":       {func(a *subscribe.Ask) { a.Way, a.To = subscribe.Webhook, "http://hooks.example.com/" }, subscribe.Told{Outcome: subscribe.Wrong, Field: "to"}},
			"a password in it":  {func(a *subscribe.Ask) { a.Way, a.To = subscribe.Webhook, "https://a:b@hooks.example.com/" }, subscribe.Told{Outcome: subscribe.Wrong, Field: "to"}},
			"half a link":       {func(a *subscribe.Ask) { a.Do, a.Token = subscribe.Look, good[:20] }, subscribe.Told{Outcome: subscribe.Unknown}},
			"a changed link":    {func(a *subscribe.Ask) { a.Do, a.Token = subscribe.Look, good[:39]+string('a'+(good[39]-'a'+1)%26) }, subscribe.Told{Outcome: subscribe.Unknown}},
			"another's link":    {func(a *subscribe.Ask) { a.Do, a.Page, a.Token = subscribe.Look, "other", good }, subscribe.Told{Outcome: subscribe.Unknown}},
			"a bad change":      {func(a *subscribe.Ask) { a.Do, a.Token, a.Components = subscribe.Change, good, []string{"none"} }, subscribe.Told{Outcome: subscribe.Wrong, Field: "components"}},
		} {
			if got := ask(tt.change); got.Outcome != tt.want.Outcome || got.Field != tt.want.Field {
				t.Errorf("%s: %+v", name, got)
			}
		}
		w.degraded.Store(true)
		if got := ask(func(*subscribe.Ask) {}); got.Outcome != subscribe.Away {
			t.Errorf("while the disk is full: %+v", got)
		}
		if n := len(w.desk.List()); n != 1 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

// Where a page is taken out of the configuration, nobody is sent a link that leads nowhere.
func TestPageIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mail.answers(func(Parcel, int) error { return fault.New(fault.Unavailable, "later") })
		w.ask(subscribe.Begin, "ada@example.com", "")
		synctest.Wait()
		w.stop()
		other := page
		other.ID = "other"
		w.mail.answers(nil)
		w.desk = New(Options{Store: w.store, Key: subscribe.Key("0123456789abcdef0123456789abcdef"), Pages: []board.Page{other}, Carriers: map[subscribe.Way]Carrier{subscribe.Mail: w.mail}})
		must(t, w.desk.Start(t.Context()))
		w.run()
		time.Sleep(time.Hour)
		if got := w.mail.to("ada@example.com"); len(got) != 0 {
			t.Errorf("%q", got)
		}
	})
}

func TestPartsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.follows("web@example.com", "web")
		w.follows("all@example.com", "web", "pay")
		w.opens("Payments fail", "pay")
		w.opens("Pages fail", "web")
		w.opens("All of it")
		if got := w.mail.to("web@example.com"); len(got) != 3 || !strings.Contains(got[1], "Pages") {
			t.Errorf("who wants one part: %q", got)
		}
		if got := w.mail.to("all@example.com"); len(got) != 4 {
			t.Errorf("who wants all: %q", got)
		}
		if got := w.ask(subscribe.Change, "", token, "pay"); got.Outcome != subscribe.Changed || !slices.Equal(got.Components, []string{"pay"}) {
			t.Errorf("%+v", got)
		}
		w.opens("Payments again", "pay")
		if got := w.mail.to("web@example.com"); len(got) != 4 {
			t.Errorf("after the change: %q", got)
		}
	})
}

// What is not for subscribers they are not told, and what is they are told once.
func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("ada@example.com")
		do := func(c board.Command) board.Change {
			t.Helper()
			time.Sleep(time.Second)
			change, err := w.board.Do(t.Context(), board.Who{Name: "Ada"}, c)
			must(t, err)
			synctest.Wait()
			return change
		}
		told := func(want string) {
			t.Helper()
			got := w.mail.to("ada@example.com")
			if last := got[len(got)-1]; !strings.Contains(last, want) || want == "" {
				t.Errorf("last told: %q, want %q", last, want)
			}
		}
		at := time.Now().Add(time.Hour)
		text := board.Text{"": "Text."}
		silent := do(board.PlanMaintenance{Title: board.Text{"": "Quiet work"}, From: at, Until: at.Add(time.Hour), Silent: true})
		do(board.EditMaintenance{ID: silent.Maintenance.ID, From: at.Add(time.Minute)})
		do(board.CancelMaintenance{ID: silent.Maintenance.ID})
		do(board.SetOverride{Component: "web", State: board.Major})
		told("Confirm")
		work := do(board.PlanMaintenance{Title: board.Text{"": "Backup"}, From: at, Until: at.Add(time.Hour)})
		told("Backup: Planned")
		do(board.EditMaintenance{ID: work.Maintenance.ID, Title: board.Text{"": "The backup"}})
		told("Backup: Planned")
		do(board.EditMaintenance{ID: work.Maintenance.ID, From: at.Add(time.Minute)})
		told("The backup: The time has changed")
		do(board.CancelMaintenance{ID: work.Maintenance.ID})
		told("The backup: It is called off")
		in := do(board.OpenIncident{Title: board.Text{"": "Broken"}, Text: text, Step: board.Investigating})
		do(board.UpdateIncident{ID: in.Incident.ID, Text: text, Step: board.Identified, Silent: true})
		told("Broken: We are looking into it")
		do(board.UpdateIncident{ID: in.Incident.ID, Text: text, Step: board.Resolved})
		told("Broken: It is over")
		if n := len(w.mail.to("ada@example.com")); n != 6 {
			t.Errorf("%d messages: %q", n, w.mail.to("ada@example.com"))
		}
	})
}

// Who is told is in the record with what they are told: nobody is forgotten when the process
// dies in between, and nobody who was told is told again.
func TestRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []string
		for i := range 9 {
			all = append(all, fmt.Sprintf("p%d@example.com", i))
			w.follows(all[i])
		}
		w.ask(subscribe.Begin, "late@example.com", "")
		w.stop() // nothing is brought any more
		w.opens("In the night")
		w.start()
		synctest.Wait()
		for _, to := range all {
			if got := w.mail.to(to); len(got) != 2 {
				t.Errorf("%s after a restart: %q", to, got)
			}
		}
		time.Sleep(time.Second)
		if got := w.desk.Progress(9); len(got) != 1 || got[0].Told != 9 || got[0].Waiting != 0 || got[0].Over.IsZero() {
			t.Errorf("%+v", got)
		}
		w.stop()
		w.start()
		synctest.Wait()
		if got := w.mail.to(all[0]); len(got) != 2 {
			t.Errorf("after another: %q", got)
		}
	})
}

// A bundle is written while others wait: a restart then tells those only.
func TestHalfToldRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("good@example.com")
		w.follows("slow@example.com")
		w.mail.answers(func(p Parcel, tries int) error {
			if p.To == "slow@example.com" {
				return fault.New(fault.Unavailable, "the mailbox is full")
			}
			return nil
		})
		w.opens("Half")
		time.Sleep(5 * time.Second)
		got := w.desk.Progress(1)[0]
		if got.Told != 1 || got.Waiting != 1 || len(got.Trying) != 1 || got.Trying[0].To != "s…@example.com" || !strings.Contains(got.Trying[0].Reason, "full") {
			t.Errorf("half told: %+v", got)
		}
		w.stop()
		w.mail.answers(nil)
		w.start()
		time.Sleep(time.Second)
		if a, b := w.mail.to("good@example.com"), w.mail.to("slow@example.com"); len(a) != 2 || len(b) != 2 {
			t.Errorf("after a restart: %q, %q", a, b)
		}
	})
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, who := range []string{"again", "bad", "fine"} {
			w.follows(who + "@example.com")
		}
		w.mail.answers(func(p Parcel, tries int) error {
			switch {
			case p.To == "again@example.com" && tries < 4:
				return fault.New(fault.Unavailable, "greylisted")
			case p.To == "bad@example.com":
				return fault.New(fault.Invalid, "the mail server refused the address: it answered 550")
			}
			return nil
		})
		c := w.opens("Trouble")
		time.Sleep(10 * time.Minute)
		got := w.desk.Progress(1)[0]
		if got.Told != 2 || len(got.Dead) != 1 || got.Dead[0].To != "b…@example.com" || got.Over.IsZero() || len(w.mail.to("again@example.com")) != 2 {
			t.Fatalf("%+v", got)
		}
		if _, err := w.desk.Again(t.Context(), "none"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("again of nothing: %v", err)
		}
		w.mail.answers(nil)
		n, err := w.desk.Again(t.Context(), c.Event.ID)
		must(t, err)
		time.Sleep(time.Second)
		if got := w.desk.Progress(1)[0]; n != 1 || got.Told != 3 || len(got.Dead) != 0 || got.All != 3 {
			t.Errorf("again: %d, %+v", n, got)
		}
		if _, err := w.desk.Again(t.Context(), c.Event.ID); fault.KindOf(err) != fault.Conflict {
			t.Errorf("again without need: %v", err)
		}
		w.mail.answers(func(p Parcel, tries int) error {
			if p.To == "bad@example.com" {
				return fault.New(fault.Invalid, "refused")
			}
			return nil
		})
		for i := range mostRefused + 2 {
			w.opens(fmt.Sprint("Trouble ", i))
			time.Sleep(time.Second)
		}
		if n := len(w.desk.List()); n != 3 {
			t.Errorf("%d subscriptions after a night of refusals: a mail server may refuse all of ours", n)
		}
		time.Sleep(refusedFor)
		w.opens("Trouble a week later")
		time.Sleep(time.Second)
		if n := len(w.desk.List()); n != 2 {
			t.Errorf("%d subscriptions after a week of refusals", n)
		}
		if _, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Webhook, To: "https://hooks.example.com/x"}); err != nil {
			t.Fatal(err)
		}
		w.hook.answers(func(Parcel, int) error { return fault.New(fault.NotFound, "410") })
		w.opens("Gone")
		time.Sleep(time.Second)
		if n := len(w.desk.List()); n != 2 {
			t.Errorf("%d subscriptions after one that wants no more", n)
		}
	})
}

// A mail server that is away holds up mails only, and takes them when it is back.
func TestDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 20 {
			w.follows(fmt.Sprintf("p%d@example.com", i))
		}
		_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Webhook, To: "https://hooks.example.com/x"})
		must(t, err)
		down := &Down{Err: errors.New("connection refused")}
		w.mail.answers(func(Parcel, int) error { return down })
		w.opens("Down")
		if got := w.hook.to("https://hooks.example.com/x"); len(got) != 1 {
			t.Errorf("the webhook got %q", got)
		}
		time.Sleep(time.Hour)
		tries := 0
		w.mail.mu.Lock()
		for _, n := range w.mail.tries {
			tries += n
		}
		w.mail.mu.Unlock()
		if tries > 400 {
			t.Errorf("%d tries in an hour", tries)
		}
		if got := w.desk.Trouble(); got[subscribe.Mail] != "connection refused" || got[subscribe.Webhook] != "" {
			t.Errorf("%v", got)
		}
		w.mail.answers(nil)
		time.Sleep(3 * time.Minute)
		if got := w.desk.Progress(1)[0]; got.Told != 21 || len(w.desk.Trouble()) != 0 {
			t.Errorf("%+v, %v", got, w.desk.Trouble())
		}
		w.mail.answers(func(Parcel, int) error { return down })
		w.opens("Down for days")
		time.Sleep(26 * time.Hour)
		if got := w.desk.Progress(1)[0]; len(got.Dead) != 20 || got.Told != 1 {
			t.Errorf("after a day: %d dead, %d told", len(got.Dead), got.Told)
		}
		if n := len(w.desk.List()); n != 21 {
			t.Errorf("%d subscriptions left: it was not their doing", n)
		}
	})
}

// With the disk full they are told all the same.
func TestDegraded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("ada@example.com")
		w.degraded.Store(true)
		w.opens("The disk is full")
		time.Sleep(time.Second)
		if got := w.mail.to("ada@example.com"); len(got) != 2 {
			t.Errorf("%q", got)
		}
		if got := w.desk.Progress(1)[0]; got.Told != 1 || !got.Over.IsZero() {
			t.Errorf("%+v", got)
		}
		w.degraded.Store(false)
		time.Sleep(time.Second)
		if got := w.desk.Progress(1)[0]; got.Over.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

func TestPendingAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("ada@example.com")
		w.ask(subscribe.Begin, "bob@example.com", "")
		synctest.Wait()
		token := w.mail.link("bob@example.com")
		time.Sleep(subscribe.PendingLife)
		if got := w.ask(subscribe.Confirm, "", token); got.Outcome != subscribe.Unknown {
			t.Errorf("confirming too late: %+v", got)
		}
		time.Sleep(tendEvery)
		if n := len(w.desk.List()); n != 1 {
			t.Errorf("%d subscriptions", n)
		}
		w.follows("bob@example.com")
		if again := w.mail.link("bob@example.com"); again == token {
			t.Error("the link of a subscription that was forgotten opens the next one")
		}
		time.Sleep(keepNews)
		w.opens("Old")
		time.Sleep(keepNews + time.Hour)
		if got := w.desk.Progress(9); len(got) != 0 {
			t.Errorf("kept: %+v", got)
		}
	})
}

// Thousands of subscribers are no load for the record.
func TestManyCostFewTransactions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 2000 {
			_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Mail, To: fmt.Sprintf("p%d@example.com", i), Agreed: true})
			must(t, err)
		}
		before, err := w.store.Revision(t.Context())
		must(t, err)
		w.opens("To all")
		time.Sleep(time.Second)
		after, err := w.store.Revision(t.Context())
		must(t, err)
		if got := w.desk.Progress(1)[0]; got.Told != 2000 {
			t.Errorf("%+v", got)
		}
		if after-before > 10 {
			t.Errorf("2,000 messages took %d transactions", after-before)
		}
	})
}

// Who was told while we stopped is not told again.
func TestToldWhileStopping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("ada@example.com")
		w.mail.takes = 3 * time.Second
		w.opens("In flight")
		w.stop()
		w.start()
		time.Sleep(time.Minute)
		if got := w.mail.to("ada@example.com"); len(got) != 2 {
			t.Errorf("%q", got)
		}
	})
}

// Where one mail comes through after another the record holds as few keys as where all
// come at one time: they fit into the one transaction that ends it.
func TestSlowlyToMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const all = store.MaxWrites + 100
		for i := range all {
			_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Mail, To: fmt.Sprintf("p%d@example.com", i), Agreed: true})
			must(t, err)
		}
		w.stop()
		w.mail.width, w.mail.takes = 1, 300*time.Millisecond
		w.start()
		before, err := w.store.Revision(t.Context())
		must(t, err)
		w.opens("To all")
		time.Sleep(all * w.mail.takes / 2)
		kvs, _, err := w.store.List(t.Context(), keySettled)
		must(t, err)
		if len(kvs) > all/2/bundle+1 {
			t.Errorf("half way there are %d bundles", len(kvs))
		}
		w.stop()
		w.start()
		time.Sleep(all*w.mail.takes/2 + time.Minute)
		if got := w.desk.Progress(1)[0]; got.Told != all || got.Over.IsZero() {
			t.Errorf("told %d, over %v", got.Told, got.Over)
		}
		for to, n := range w.mail.tries {
			if n != 1 {
				t.Errorf("%s was brought %d times", to, n)
			}
		}
		after, err := w.store.Revision(t.Context())
		must(t, err)
		if after-before > 500 {
			t.Errorf("%d messages took %d transactions", all, after-before)
		}
		if kvs, _, err = w.store.List(t.Context(), keySettled); err != nil || len(kvs) > 0 {
			t.Errorf("%d bundles are left, %v", len(kvs), err)
		}
	})
}

// What receivers say for a reason, however much, keeps no news from being written down.
func TestLongReasons(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 40 {
			_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Webhook, To: fmt.Sprintf("https://h%d.example.com/x", i)})
			must(t, err)
		}
		w.hook.answers(func(Parcel, int) error {
			return fault.New(fault.Invalid, "%s", "\x1b[2J\r\n"+strings.Repeat("certificate of ä.example.com, ", 2000))
		})
		w.opens("Long")
		time.Sleep(time.Minute)
		got := w.desk.Progress(1)[0]
		if len(got.Dead) != 40 || got.Over.IsZero() || len(got.Dead[0].Reason) > 400 || strings.ContainsFunc(got.Dead[0].Reason, unicode.IsControl) || !utf8.ValidString(got.Dead[0].Reason) {
			t.Errorf("%d dead, over %v", len(got.Dead), got.Over)
		}
	})
}

// News that are days old by the time that somebody could bring them are listed, and
// brought only if somebody wants it.
func TestTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("ada@example.com")
		w.stop()
		c := w.opens("Of last week")
		time.Sleep(7 * 24 * time.Hour)
		w.start()
		time.Sleep(time.Minute)
		if got := w.mail.to("ada@example.com"); len(got) != 1 {
			t.Errorf("%q", got)
		}
		if got := w.desk.Progress(1)[0]; len(got.Dead) != 1 || !strings.Contains(got.Dead[0].Reason, "within a day") || got.Over.IsZero() {
			t.Errorf("%+v", got)
		}
		if n, err := w.desk.Again(t.Context(), c.Event.ID); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		time.Sleep(time.Second)
		if got := w.mail.to("ada@example.com"); len(got) != 2 {
			t.Errorf("again: %q", got)
		}
	})
}

// All who were given up are tried again, also those that are not listed.
func TestAgainOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const all = maxDead + 200
		for i := range all {
			_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Mail, To: fmt.Sprintf("p%d@example.com", i), Agreed: true})
			must(t, err)
		}
		w.mail.answers(func(Parcel, int) error { return fault.New(fault.Invalid, "refused") })
		c := w.opens("Refused")
		time.Sleep(time.Minute)
		if got := w.desk.Progress(1)[0]; len(got.Dead) != maxDead || got.Lost != 200 || got.Over.IsZero() {
			t.Errorf("%d dead, %d lost", len(got.Dead), got.Lost)
		}
		w.mail.answers(nil)
		n, err := w.desk.Again(t.Context(), c.Event.ID)
		must(t, err)
		w.stop()
		w.start()
		time.Sleep(time.Minute)
		if got := w.desk.Progress(1)[0]; n != all || got.Told != all || got.All != all || len(got.Dead)+got.Lost > 0 {
			t.Errorf("again: %d; %d of %d told, %d dead, %d lost", n, got.Told, got.All, len(got.Dead), got.Lost)
		}
	})
}

// A link works for as long as the newest message with it says.
func TestLinkAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ask(subscribe.Begin, "ada@example.com", "")
		time.Sleep(subscribe.PendingLife - time.Hour)
		w.ask(subscribe.Begin, "ada@example.com", "")
		time.Sleep(subscribe.PendingLife - time.Hour)
		if got := w.ask(subscribe.Confirm, "", w.mail.link("ada@example.com")); got.Outcome != subscribe.Confirmed {
			t.Errorf("%+v", got)
		}
	})
}

// Ending what a stranger has asked for opens no way to more messages.
func TestEndedAndAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 4 * maxAsks {
			if got := w.ask(subscribe.Begin, "ada@example.com", ""); got.Outcome != subscribe.Asked {
				t.Fatalf("%+v", got)
			}
			synctest.Wait()
			w.ask(subscribe.End, "", w.mail.link("ada@example.com"))
		}
		if got := w.mail.to("ada@example.com"); len(got) != maxAsks {
			t.Errorf("%d messages", len(got))
		}
		time.Sleep(askSpan + tendEvery)
		w.follows("ada@example.com")
		w.desk.mu.Lock()
		defer w.desk.mu.Unlock()
		if n := len(w.desk.ended); n > 0 {
			t.Errorf("%d addresses are remembered", n)
		}
	})
}

// Nobody is told that something has ended which goes on: a link of before does not end what
// was begun anew.
func TestOldLinkEndsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		old := w.follows("ada@example.com")
		w.ask(subscribe.End, "", old)
		time.Sleep(time.Hour)
		w.follows("ada@example.com")
		if got := w.ask(subscribe.End, "", old); got.Outcome != subscribe.Unknown {
			t.Errorf("%+v", got)
		}
		w.opens("It goes on")
		if got := w.mail.to("ada@example.com"); len(got) != 3 {
			t.Errorf("%q", got)
		}
	})
}

// News that wait for who has ended do not go to who was asked for anew, and has not
// confirmed.
func TestWaitingNewsOfAnEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.follows("ada@example.com")
		w.mail.answers(func(Parcel, int) error { return fault.New(fault.Unavailable, "put off") })
		w.opens("Waiting")
		w.ask(subscribe.End, "", token)
		w.mail.answers(nil)
		w.ask(subscribe.Begin, "ada@example.com", "")
		time.Sleep(time.Hour)
		if got := w.mail.to("ada@example.com"); len(got) != 2 || !strings.Contains(got[1], "Confirm") {
			t.Errorf("%q", got)
		}
		if got := w.desk.Progress(1)[0]; got.Ended != 1 || got.Over.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

// Who is added twice by the crew, as when a file is imported again, can use both messages,
// and does not get more in a day than others.
func TestAddedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		add := func() {
			time.Sleep(time.Second)
			_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Mail, To: "bob@example.com"})
			must(t, err)
			synctest.Wait()
		}
		add()
		first := w.mail.link("bob@example.com")
		for range 2 * maxAsks {
			add()
		}
		if got := w.mail.to("bob@example.com"); len(got) != maxAsks {
			t.Errorf("%d messages", len(got))
		}
		if got := w.ask(subscribe.Confirm, "", first); got.Outcome != subscribe.Confirmed {
			t.Errorf("the first link: %+v", got)
		}
	})
}

// Where no more can subscribe, who is subscribed can't be told from who is not either.
func TestFullSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.follows("ada@example.com")
		time.Sleep(askSpan)
		for i := range maxPending {
			if i%(maxLetters-1) == 0 {
				time.Sleep(time.Hour)
			}
			if got := w.ask(subscribe.Begin, fmt.Sprintf("p%d@example.com", i), ""); got.Outcome != subscribe.Asked {
				t.Fatalf("%d: %+v", i, got)
			}
		}
		time.Sleep(time.Hour)
		known, stranger := w.ask(subscribe.Begin, "ada@example.com", ""), w.ask(subscribe.Begin, "eve@example.com", "")
		if !reflect.DeepEqual(known, stranger) {
			t.Errorf("who is subscribed is told %+v, who is not %+v", known, stranger)
		}
	})
}

// Messages of one page name no component of another, and none that has not changed.
func TestComponentsOfOtherPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.stop()
		parts := []board.Definition{
			{ID: "web", Name: board.Text{"": "Website"}, Measured: []board.Measure{{Site: "shop"}}},
			{ID: "secret", Name: board.Text{"": "New thing"}, Measured: []board.Measure{{Site: "lab"}}},
		}
		shop := page
		shop.Sites = []string{"shop"}
		w.desk = New(Options{Store: w.store, Key: subscribe.Key("0123456789abcdef0123456789abcdef"), Pages: []board.Page{shop}, Components: parts, Carriers: map[subscribe.Way]Carrier{subscribe.Mail: w.mail, subscribe.Webhook: w.hook}})
		w.board = boarddesk.New(boarddesk.Options{Store: w.store, Settings: boarddesk.Settings{Pages: []board.Page{shop}, Components: parts}, Besides: w.desk.News, NewID: func() string { w.n++; return fmt.Sprintf("o%d", w.n) }})
		must(t, w.desk.Start(t.Context()))
		must(t, w.board.Start(t.Context()))
		w.run()
		w.follows("ada@example.com")
		_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Webhook, To: "https://hooks.example.com/x"})
		must(t, err)
		w.opens("Two of them", "web", "secret")
		for _, got := range []string{w.mail.got[len(w.mail.got)-1].Text, string(w.hook.got[0].Body)} {
			if !strings.Contains(got, "Website") || strings.Contains(got, "New thing") || strings.Contains(got, "secret\"") {
				t.Errorf("%s", got)
			}
		}
	})
}

// Receivers that take their time over saying no, as a stranger's may, do not hold up news
// to others with their retries.
func TestRetriesComeBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const slow = 200
		for i := range slow {
			_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Webhook, To: fmt.Sprintf("https://h%d.example.org/x", i)})
			must(t, err)
		}
		_, err := w.desk.Add(t.Context(), "Ada", Wish{Way: subscribe.Webhook, To: "https://hooks.example.com/x"})
		must(t, err)
		w.stop()
		w.hook.takes = 10 * time.Second
		w.start()
		w.hook.answers(func(p Parcel, _ int) error {
			if strings.Contains(p.To, "example.org") {
				return fault.New(fault.Unavailable, "no answer")
			}
			return nil
		})
		const round = slow / 4 * 10 * time.Second
		for i := range 8 {
			w.opens(fmt.Sprint("News ", i))
			time.Sleep(round + 20*time.Second)
			if got := w.hook.to("https://hooks.example.com/x"); len(got) != i+1 {
				t.Errorf("after news %d: %d were brought", i, len(got))
			}
		}
	})
}
