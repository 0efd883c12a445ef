// Package desk keeps the subscriptions of the status pages, and brings what a page tells to
// each of them.
//
// It decides nothing about what a page tells: package board does, and the board's desk puts
// what News gives into the transaction of the change that is told of. Who brings a message
// (mail, webhooks) is a Carrier. Only control makes a Desk; api, web and cli call it.
//
// Invariants: nobody waits for a delivery: a change is published when it is in the record,
// and told afterwards. A message is brought at least once, always under the same ID, to
// everybody who had confirmed by then, or is given up and shown as such. The record holds
// the news and who has been told, never each message; it is written in bundles, so that ten
// thousand subscribers cost it a few dozen transactions. An address appears in no log line
// and in no error.
//
// Concurrency: every method may be called from any goroutine. Run owns all goroutines.
package desk

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/subscribe"
)

// Limits of a Desk.
const (
	MaxSubscriptions = 20_000
	maxPending       = 2_000
	maxAsks          = 3   // messages with its link that one address gets in a day
	maxLetters       = 600 // messages with a link that all together ask for in an hour
	askSpan          = 24 * time.Hour

	// A subscription ends when so many news in a row could not be brought for so long: less
	// than both may be a mail server that refuses all of ours, or a network that is away.
	mostRefused = 5
	refusedFor  = 7 * 24 * time.Hour
)

// The keys of the store.
const (
	keySub     = "subscribe/subscription/" // ID → subscribe.Subscription
	keyNews    = "subscribe/news/"         // ID → stored
	keySettled = "subscribe/settled/"      // ID/0001 → []settled
)

// Parcel is one message on its way to one address.
type Parcel struct {
	ID      string // the same at every try
	To      string
	Subject string
	Text    string // plain, lines broken at paragraphs only
	Body    []byte // JSON: what a webhook or a chat is sent
	Key     []byte // what a webhook is signed with
	Link    string // of the subscription, where it is ended: https
	Page    board.Page
	At      time.Time
}

// Carrier brings parcels of one way. Carry is called from several goroutines. It fails with
// kind Invalid where the receiver refuses this parcel or this address for good, NotFound
// where it wants none ever again, and any other kind where another try can help; Down is in
// the chain where no other parcel would come through either.
type Carrier interface {
	Carry(ctx context.Context, p Parcel) error
	Rest()      // nothing is to be brought for now
	Width() int // how many parcels may be on their way at one time
}

// Down marks a Carrier's error that is not about one receiver.
type Down struct{ Err error }

// Error is the cause's.
func (d *Down) Error() string { return d.Err.Error() }

// Unwrap gives the cause.
func (d *Down) Unwrap() error { return d.Err }

// Later marks a Carrier's error after which its receiver asks for some time.
type Later struct {
	Err   error
	After time.Duration
}

// Error is the cause's.
func (l *Later) Error() string { return l.Err.Error() }

// Unwrap gives the cause.
func (l *Later) Unwrap() error { return l.Err }

// Options of a Desk. Store, Key and NewID MUST be set.
type Options struct {
	Store      store.Store
	Key        subscribe.Key
	Pages      []board.Page // with Subscribe
	Components []board.Definition
	Carriers   map[subscribe.Way]Carrier
	Plain      bool // webhooks may go over http, and into the own network
	Now        func() time.Time
	Logger     *slog.Logger
	Degraded   func() bool // the store takes only what must not be lost; nil: never
	Changed    func()      // called after what List and News give has changed; nil: nobody is told
}

// Desk keeps subscriptions and tells them.
type Desk struct {
	o     Options
	lanes map[subscribe.Way]*lane

	writing sync.Mutex // held over a change of a subscription, its transaction included; taken before mu

	mu      sync.Mutex // guards all below
	subs    map[string]kept
	letters []time.Time            // when messages with a link were asked for, the last hour's
	ended   map[string][]time.Time // the same by ids of which nothing else is kept, the last day's
	news    map[string]*dispatch
	dirty   chan struct{} // signalled when something is to be written down at once
	some    chan struct{} // likewise, in a moment
}

// kept is a subscription as the record has it.
type kept struct {
	subscribe.Subscription
	rev store.Revision
}

// New makes a Desk; Start reads the record, Run tells.
func New(o Options) *Desk {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Degraded == nil {
		o.Degraded = func() bool { return false }
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	d := &Desk{o: o, lanes: map[subscribe.Way]*lane{}, subs: map[string]kept{}, ended: map[string][]time.Time{}, news: map[string]*dispatch{}, dirty: make(chan struct{}, 1), some: make(chan struct{}, 1)}
	for way, c := range o.Carriers {
		d.lanes[way] = newLane(way, c)
	}
	return d
}

// Start reads the record. What can't be read is said in the log and left out.
func (d *Desk) Start(ctx context.Context) error {
	kvs, _, err := d.o.Store.List(ctx, keySub)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, kv := range kvs {
		k := kept{rev: kv.Modified}
		if err := json.Unmarshal(kv.Value, &k.Subscription); err != nil || k.ID != strings.TrimPrefix(kv.Key, keySub) {
			d.o.Logger.Error("a subscription can't be read; it is left out", "key", kv.Key, "cause", err)
			continue
		}
		d.subs[k.ID] = k
		if !k.Owed.IsZero() {
			d.owe(k.Subscription)
		}
	}
	return d.readNews(ctx)
}

func (d *Desk) page(id string) (board.Page, bool) {
	i := slices.IndexFunc(d.o.Pages, func(p board.Page) bool { return p.ID == id })
	if i < 0 {
		return board.Page{}, false
	}
	return d.o.Pages[i], true
}

// offers says whether a page's visitors may be told by a way.
func offers(p board.Page, way subscribe.Way) bool { return slices.Contains(p.Subscribe, string(way)) }

// Ask answers a visitor of a status page.
func (d *Desk) Ask(ctx context.Context, a subscribe.Ask) subscribe.Told {
	if err := a.Check(); err != nil {
		return subscribe.Told{Outcome: subscribe.Unknown}
	}
	if a.Do == subscribe.Begin {
		return d.begin(ctx, a)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	k, known, gone := d.opened(a)
	if !known {
		if a.Do == subscribe.End && gone {
			return subscribe.Told{Outcome: subscribe.Ended}
		}
		return subscribe.Told{Outcome: subscribe.Unknown}
	}
	switch now := d.o.Now().UTC(); a.Do {
	case subscribe.Confirm:
		if k.Active() {
			return d.told(subscribe.Confirmed, k)
		}
		k.Confirmed, k.Owed = now, time.Time{}
		return d.changed(ctx, subscribe.Confirmed, k)
	case subscribe.Change:
		components, good := d.known(k.Page, a.Components)
		if !good {
			return subscribe.Told{Outcome: subscribe.Wrong, Field: "components"}
		}
		k.Components, k.Language = components, d.language(k.Page, a.Language)
		return d.changed(ctx, subscribe.Changed, k)
	case subscribe.End:
		if err := d.drop(ctx, k); err != nil {
			return d.away("end a subscription", err)
		}
		return subscribe.Told{Outcome: subscribe.Ended}
	}
	return d.told(subscribe.Open, k)
}

// opened is the subscription whose link a visitor has. gone says that there is none any
// more: a link that opens nothing may be one of before.
func (d *Desk) opened(a subscribe.Ask) (k kept, known, gone bool) {
	id, _ := subscribe.TokenID(a.Token)
	d.mu.Lock()
	defer d.mu.Unlock()
	k, known = d.subs[id]
	switch {
	case !known || k.Over(d.o.Now()):
		return kept{}, false, true
	case k.Page != a.Page || !d.o.Key.Opens(k.Subscription, a.Token):
		return kept{}, false, false
	}
	return k, true, false
}

func (d *Desk) told(o subscribe.Outcome, k kept) subscribe.Told {
	t := subscribe.Told{Outcome: o, Way: k.Way, To: k.Masked(), Components: k.Components, Language: k.Language, Pending: !k.Active()}
	if k.Way == subscribe.Webhook && k.Active() {
		t.Secret = subscribe.Whole(d.o.Key.Secret(k.Subscription))
	}
	return t
}

func (d *Desk) changed(ctx context.Context, o subscribe.Outcome, k kept) subscribe.Told {
	k, err := d.put(ctx, k)
	if err != nil {
		return d.away("keep a subscription", err)
	}
	return d.told(o, k)
}

func (d *Desk) away(what string, err error) subscribe.Told {
	d.o.Logger.Warn("a subscriber has to try again", "act", what, "cause", err)
	return subscribe.Told{Outcome: subscribe.Away}
}

// begin keeps a new subscription and owes it a message with its link. Whoever is known
// already gets one, too, and nobody who only knows an address can tell the two apart.
func (d *Desk) begin(ctx context.Context, a subscribe.Ask) subscribe.Told {
	page, known := d.page(a.Page)
	if !known || !offers(page, a.Way) || d.o.Carriers[a.Way] == nil {
		return subscribe.Told{Outcome: subscribe.Off}
	}
	to, err := subscribe.Address(a.Way, a.To, d.o.Plain)
	if err != nil {
		return subscribe.Told{Outcome: subscribe.Wrong, Field: "to"}
	}
	components, good := d.known(a.Page, a.Components)
	if !good {
		return subscribe.Told{Outcome: subscribe.Wrong, Field: "components"}
	}
	if d.o.Degraded() {
		return subscribe.Told{Outcome: subscribe.Away}
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	wish := subscribe.Subscription{Page: a.Page, Way: a.Way, To: to, Components: components, Language: d.language(a.Page, a.Language)}
	k, fresh, room := d.wished(wish)
	switch {
	case !room:
		return subscribe.Told{Outcome: subscribe.Busy}
	case !fresh:
		return subscribe.Told{Outcome: subscribe.Asked}
	}
	if k, err = d.put(ctx, k); err != nil {
		return d.away("begin a subscription", err)
	}
	d.mu.Lock()
	d.owe(k.Subscription)
	d.mu.Unlock()
	return subscribe.Told{Outcome: subscribe.Asked}
}

// wished is the subscription that somebody asks for, with a message owed to it; fresh is
// false where its address has had enough of them for a day.
func (d *Desk) wished(wish subscribe.Subscription) (k kept, fresh, room bool) {
	now := d.o.Now().UTC()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters = slices.DeleteFunc(d.letters, func(t time.Time) bool { return now.Sub(t) >= time.Hour })
	if len(d.letters) >= maxLetters || len(d.subs) >= MaxSubscriptions || d.pending() >= maxPending {
		return k, false, false // whoever it is: else it could be told who is known
	}
	id := d.o.Key.ID(wish.Page, wish.Way, wish.To)
	k, known := d.subs[id]
	if !known || k.Over(now) {
		asks := slices.Concat(d.ended[id], k.Asks)
		k = kept{Subscription: wish, rev: k.rev}
		k.ID, k.AskedAt, k.Asks = id, now, asks
	}
	if !k.Active() {
		k.Components, k.Language = wish.Components, wish.Language
	}
	k.Asks = slices.DeleteFunc(slices.Clone(k.Asks), func(t time.Time) bool { return now.Sub(t) >= askSpan })
	if len(k.Asks) >= maxAsks {
		return k, false, true
	}
	d.letters = append(d.letters, now)
	k.Asks, k.Owed = append(k.Asks, now), now
	return k, true, true
}

func (d *Desk) pending() (n int) { // with mu held
	for _, k := range d.subs {
		if !k.Active() {
			n++
		}
	}
	return n
}

// known are those components, if all of them are on the page; all of the page's are none.
func (d *Desk) known(page string, components []string) ([]string, bool) {
	p, _ := d.page(page)
	ids := p.IDs(d.o.Components)
	var out []string
	for _, id := range ids {
		if slices.Contains(components, id) {
			out = append(out, id)
		}
	}
	for _, c := range components {
		if !slices.Contains(ids, c) {
			return nil, false
		}
	}
	if len(out) == len(ids) {
		out = nil
	}
	return out, true
}

// language is one that the page is offered in.
func (d *Desk) language(page, tag string) string {
	p, _ := d.page(page)
	switch {
	case slices.Contains(p.Languages, tag):
		return tag
	case len(p.Languages) > 0:
		return p.Languages[0]
	}
	return "en"
}

// put keeps a subscription.
func (d *Desk) put(ctx context.Context, k kept) (kept, error) { // with writing held
	b, err := json.Marshal(k.Subscription)
	if err != nil {
		return k, err
	}
	key := keySub + k.ID
	rev, err := d.o.Store.Txn(ctx, []store.Cond{{Key: key, Modified: k.rev}}, []store.Write{{Key: key, Value: b}})
	if err != nil {
		return k, err
	}
	k.rev = rev
	d.mu.Lock()
	d.subs[k.ID] = k
	d.mu.Unlock()
	d.o.Changed()
	return k, nil
}

// drop ends a subscription: nothing of it is kept.
func (d *Desk) drop(ctx context.Context, k kept) error { // with writing held
	if _, err := d.o.Store.Txn(ctx, nil, []store.Write{{Key: keySub + k.ID, Delete: true}}); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.subs, k.ID)
	if len(k.Asks) > 0 {
		d.ended[k.ID] = k.Asks // so that a stranger can't have the messages of a day sent anew
	}
	d.mu.Unlock()
	d.o.Changed()
	return nil
}

// Wish is what somebody of the crew adds.
type Wish struct {
	Page       string // "": the first
	Way        subscribe.Way
	To         string
	Components []string // none: all
	Language   string
	Agreed     bool // whoever reads there has agreed elsewhere: nothing is asked of them
}

// Add keeps a subscription that somebody of the crew asks for. A mail address is sent a
// message with its link all the same, unless whoever reads there has Agreed; a webhook is
// told at once.
func (d *Desk) Add(ctx context.Context, who string, w Wish) (subscribe.Subscription, error) {
	if w.Page == "" && len(d.o.Pages) > 0 {
		w.Page = d.o.Pages[0].ID
	}
	to, components, err := d.checked(w)
	if err != nil {
		return subscribe.Subscription{}, err
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	id := d.o.Key.ID(w.Page, w.Way, to)
	d.mu.Lock()
	k, known := d.subs[id]
	full := len(d.subs) >= MaxSubscriptions
	d.mu.Unlock()
	now := d.o.Now().UTC()
	switch {
	case known && k.Active():
		return k.Subscription, fault.New(fault.Conflict, "%s is subscribed already", k.Masked()).At("to")
	case full && !known:
		return k.Subscription, fault.New(fault.Unavailable, "there are %d subscriptions, and no more fit", MaxSubscriptions)
	}
	before := subscribe.Subscription{AskedAt: now}
	if known && !k.Over(now) {
		before = k.Subscription // the link that was sent already goes on to be one
	}
	k = kept{rev: k.rev, Subscription: subscribe.Subscription{ID: id, Page: w.Page, Way: w.Way, To: to, Components: components, Language: d.language(w.Page, w.Language), By: who, AskedAt: before.AskedAt}}
	k.Asks = slices.DeleteFunc(slices.Clone(before.Asks), func(t time.Time) bool { return now.Sub(t) >= askSpan })
	switch {
	case w.Agreed || w.Way != subscribe.Mail:
		k.Confirmed = now
	case len(k.Asks) < maxAsks:
		k.Owed, k.Asks = now, append(k.Asks, now)
	default:
		k.Owed = before.Owed
	}
	if k, err = d.put(ctx, k); err != nil {
		return k.Subscription, err
	}
	if !k.Owed.IsZero() {
		d.mu.Lock()
		d.owe(k.Subscription)
		d.mu.Unlock()
	}
	return k.Subscription, nil
}

func (d *Desk) checked(w Wish) (to string, components []string, err error) {
	page, known := d.page(w.Page)
	switch {
	case !known:
		return "", nil, fault.New(fault.NotFound, "there is no status page %q", w.Page).At("page").WithHint("write status: {host: status.example.com} into the configuration")
	case !slices.Contains(subscribe.Ways(), w.Way):
		return "", nil, fault.New(fault.Invalid, "nobody can be told by %q", w.Way).At("way").WithHint("mail, webhook or slack")
	case d.o.Carriers[w.Way] == nil:
		return "", nil, fault.New(fault.Invalid, "nobody can be told by %s: the configuration does not say how", w.Way).At("way").WithHint("write status: {subscribers: {%s: …}}", w.Way)
	}
	if to, err = subscribe.Address(w.Way, w.To, d.o.Plain); err != nil {
		return "", nil, err
	}
	components, good := d.known(w.Page, w.Components)
	if !good {
		return "", nil, fault.New(fault.NotFound, "the page has not all of these components").At("components").WithHint("it has %s", strings.Join(page.IDs(d.o.Components), ", "))
	}
	return to, components, nil
}

// Remove ends a subscription by its id.
func (d *Desk) Remove(ctx context.Context, id string) (subscribe.Subscription, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	k, known := d.subs[id]
	d.mu.Unlock()
	if !known {
		return subscribe.Subscription{}, fault.New(fault.NotFound, "there is no subscription %q", id).At("id").WithHint("lifeboat status subscribers lists them")
	}
	return k.Subscription, d.drop(ctx, k)
}

// List gives all subscriptions, the newest first.
func (d *Desk) List() []subscribe.Subscription {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]subscribe.Subscription, 0, len(d.subs))
	for _, k := range d.subs {
		out = append(out, k.Subscription)
	}
	slices.SortFunc(out, func(a, b subscribe.Subscription) int {
		if by := b.AskedAt.Compare(a.AskedAt); by != 0 {
			return by
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Reach is how many are told of what touches some components, now.
func (d *Desk) Reach(n subscribe.News) (reached int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.audience(n))
}

// sweep forgets subscriptions that nobody confirmed in time.
func (d *Desk) sweep(ctx context.Context) {
	now := d.o.Now()
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	maps.DeleteFunc(d.ended, func(_ string, asks []time.Time) bool { return now.Sub(asks[len(asks)-1]) >= askSpan })
	var over []kept
	for _, k := range d.subs {
		if k.Over(now) {
			over = append(over, k)
		}
	}
	d.mu.Unlock()
	for _, k := range over {
		if err := d.drop(ctx, k); err != nil {
			d.o.Logger.Warn("subscriptions that nobody confirmed are not forgotten yet", "cause", err)
			return
		}
	}
}

// Ways are how people can be told here.
func (d *Desk) Ways() []subscribe.Way {
	out := []subscribe.Way{}
	for _, way := range subscribe.Ways() {
		if d.lanes[way] != nil {
			out = append(out, way)
		}
	}
	return out
}
