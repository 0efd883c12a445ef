package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/subscribe"
	subdesk "lifeboat/internal/subscribe/desk"
)

// carrier takes everything at once.
type carrier struct{}

func (carrier) Carry(context.Context, subdesk.Parcel) error { return nil }
func (carrier) Rest()                                       {}
func (carrier) Width() int                                  { return 1 }

// subscribed is a desk of subscribers beside the one of the status page.
func (b *boat) subscribed() *subdesk.Desk {
	b.t.Helper()
	d := b.words
	set := d.Settings()
	pages := append([]board.Page(nil), set.Pages...)
	pages[0].Subscribe = []string{"mail", "webhook"}
	told := subdesk.New(subdesk.Options{
		Store: mem.New(mem.Options{}), Key: subscribe.Key("0123456789abcdef0123456789abcdef"), Now: b.clock, Pages: pages, Components: set.Components,
		Carriers: map[subscribe.Way]subdesk.Carrier{subscribe.Mail: carrier{}, subscribe.Webhook: carrier{}},
	})
	must(b.t, told.Start(b.t.Context()))
	b.told = told
	return told
}

// crowd is who is told, as a scene wants it.
type crowd struct {
	subs    []subscribe.Subscription
	news    []subdesk.Progress
	trouble map[subscribe.Way]string
}

func (c crowd) List() []subscribe.Subscription { return c.subs }
func (c crowd) Add(context.Context, string, subdesk.Wish) (subscribe.Subscription, error) {
	return subscribe.Subscription{}, fault.New(fault.Conflict, "a…@example.com is subscribed already").At("to")
}
func (c crowd) Remove(context.Context, string) (subscribe.Subscription, error) {
	return c.subs[0], nil
}
func (c crowd) Progress(int) []subdesk.Progress            { return c.news }
func (c crowd) Again(context.Context, string) (int, error) { return 2, nil }
func (c crowd) Trouble() map[subscribe.Way]string          { return c.trouble }
func (c crowd) Ways() []subscribe.Way                      { return subscribe.Ways() }

// someSubscribed is a page with subscribers of each kind and news in each state.
func someSubscribed(b *boat) {
	toldVisitors(b)
	at := b.clock()
	sub := func(way subscribe.Way, to string, confirmed bool, parts ...string) subscribe.Subscription {
		s := subscribe.Subscription{ID: strings.Repeat("a", 16), Page: "main", Way: way, To: to, Components: parts, AskedAt: at.Add(-50 * time.Hour)}
		if confirmed {
			s.Confirmed = at.Add(-49 * time.Hour)
		}
		return s
	}
	en := func(text string) board.Text { return board.Text{"": text} }
	b.told = crowd{
		subs: []subscribe.Subscription{
			sub(subscribe.Mail, "ada@example.com", true), sub(subscribe.Mail, "a-rather-long-name.of-somebody@mail.department.example.com", true, "checkout"),
			sub(subscribe.Mail, "new@example.com", false), sub(subscribe.Slack, "https://chat.example.com/hooks/secret", true),
		},
		news: []subdesk.Progress{
			{News: subscribe.News{ID: "n2", At: at.Add(-time.Minute), Title: en("Card payments fail")}, All: 214, Told: 140, Waiting: 73, Dead: []subdesk.Dead{{To: "b…@example.com", Reason: "the mail server refused the address or the mail: it answered 550"}},
				Trying: []subdesk.Trying{{To: "https://hooks.example.com/…", Reason: "the receiver answered 503 Service Unavailable"}}},
			{News: subscribe.News{ID: "n1", At: at.Add(-26 * time.Hour), Title: en("Slow searches")}, All: 214, Told: 213, Dead: []subdesk.Dead{{To: "b…@example.com", Reason: "the mail server refused the address or the mail: it answered 550"}}, Over: at.Add(-25 * time.Hour)},
		},
		trouble: map[subscribe.Way]string{subscribe.Mail: "the mail server does not take us: connection refused"},
	}
}

// TestSubscribersRoom: somebody is added, is told, and removed, by pages alone; who may not
// tell visitors anything sees no address.
func TestSubscribersRoom(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.writing()
	told := b.subscribed()
	br := browse(t, b.handler())
	br.enter(b)
	checkPage(t, br.open("/status-page").follow("Subscribers").want(http.StatusOK, "0 subscribers are told.", "Nothing in the last 30 days.", "Nobody yet."))
	form := br.open("/status-page/subscribers").follow("Add a subscriber")
	checkPage(t, form)
	again := form.press("Add a subscriber", "way=mail", "to=ada", "part=checkout").want(http.StatusBadRequest, "That is no mail address")
	if got := again.value("to"); got != "ada" {
		t.Errorf("what was typed is lost: %q", got)
	}
	again.press("Add a subscriber", "to=ada@example.com").want(http.StatusOK, "A message to a…@example.com is on its way.", "to be confirmed")
	br.open("/lifeboat/subscriber-add").press("Add a subscriber", "way=webhook", "to=https://hooks.example.com/secret").want(http.StatusOK, "https://hooks.example.com/… is told from now on.", "1 subscriber is told.")
	br.open("/lifeboat/subscriber-add").press("Add a subscriber", "way=webhook", "to=https://hooks.example.com/secret").want(http.StatusConflict, "is subscribed already")
	seen := br.open("/status-page/subscribers")
	if strings.Contains(seen.raw, "hooks.example.com/secret") {
		t.Error("the page shows a secret of a URL")
	}
	if br.open("/status-page/subscribers?q=HOOKS").want(http.StatusOK, "https://hooks.example.com/…").says("ada@example.com") {
		t.Error("a search shows what was not searched for")
	}
	br.open("/status-page/subscribers?q=nobody").want(http.StatusOK, "No address has this in it.")
	if list := told.List(); len(list) != 2 || list[1].By != "" && list[1].By != "Ada" || len(list[0].Components)+len(list[1].Components) != 1 {
		t.Errorf("%+v", list)
	}
	br.open("/status-page/subscribers?q=ada").press("Remove: ada@example.com").want(http.StatusOK, "a…@example.com is told nothing any more.")
	if n := len(told.List()); n != 1 {
		t.Errorf("%d subscriptions", n)
	}

	b.person("vic", "Vic", role.Viewer)
	viewer := browse(t, b.handler())
	viewer.open("/sign-in").press("Sign in", "name=vic", "password="+password)
	if viewer.open("/status-page/subscribers").want(http.StatusOK, "1 subscriber is told.", "sees their addresses").says("hooks.example.com") {
		t.Error("a viewer sees an address")
	}
}
