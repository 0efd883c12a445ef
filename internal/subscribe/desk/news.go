package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/subscribe"
)

// Limits on news.
const (
	maxAge    = 24 * time.Hour // what can't be brought for so long is given up
	keepNews  = 30 * 24 * time.Hour
	mostNews  = 500                    // that are kept, over or not
	bundle    = 500                    // receivers that are written down together
	saveAfter = 250 * time.Millisecond // doubled with each so many writes of one piece of news:
	saveSlow  = 16
	saveLast  = 4 * time.Second // and no later than this
	maxDead   = 1000            // that are listed with their reasons, of one piece of news
	maxReason = 300             // bytes of a reason, much of which may be a receiver's own words
)

// stored is news as the record has them.
type stored struct {
	subscribe.News
	Sum   *Sum      `json:"sum,omitempty"`  // once all have been told or given up
	Only  []string  `json:"only,omitempty"` // of those given up before, who is tried again since Again
	Again time.Time `json:"again,omitzero"` // zero: everybody is told for the first time
	Was   *Sum      `json:"was,omitempty"`  // what became of the others then
}

// expires is when who can't be told is given up.
func (s stored) expires() time.Time {
	if s.Again.IsZero() {
		return s.At.Add(maxAge)
	}
	return s.Again.Add(maxAge)
}

// Sum is what became of news.
type Sum struct {
	Told  int       `json:"told"`
	Ended int       `json:"ended,omitempty"` // had unsubscribed meanwhile
	Dead  []Dead    `json:"dead,omitempty"`
	Lost  int       `json:"lost,omitempty"` // given up beyond those listed
	Rest  []string  `json:"rest,omitempty"` // the subscriptions of these
	Over  time.Time `json:"over"`
}

// Dead is a message that was given up.
type Dead struct {
	Subscription string        `json:"subscription"`
	Way          subscribe.Way `json:"way"`
	To           string        `json:"to"` // masked
	Reason       string        `json:"reason"`
	At           time.Time     `json:"at"`
}

// settled is what became of one message.
type settled struct {
	Sub  string `json:"s"`
	Dead *Dead  `json:"d,omitempty"`
	Gone bool   `json:"g,omitempty"` // there is no such subscription any more
}

// dispatch is news that are being told, or were.
type dispatch struct {
	stored
	all     int                // who is to be told, in this round
	done    map[string]settled // by subscription; nil once it is over
	unsaved []settled          // of done
	bundles int                // written so far, and full or of before
	open    []settled          // what is in the one behind them
	writes  int                // of bundles
	tries   map[string]lastTry // of those that failed, by subscription
}

type lastTry struct {
	at  time.Time
	why string
}

// News makes the write that has a change told, if it is one that is: it belongs into the
// transaction of the change. Call told once that has taken place.
func (d *Desk) News(before board.Records, c board.Change) (w []store.Write, told func()) {
	n, tell := subscribe.NewsOf(before, c)
	if !tell || len(d.lanes) == 0 {
		return nil, func() {}
	}
	b, err := json.Marshal(stored{News: n})
	if err != nil || len(b) > store.MaxValue {
		d.o.Logger.Error("subscribers are not told", "news", n.ID, "cause", err)
		return nil, func() {}
	}
	return []store.Write{{Key: keyNews + n.ID, Value: b}}, func() {
		d.mu.Lock()
		d.spread(&dispatch{stored: stored{News: n}})
		d.mu.Unlock()
		d.o.Changed()
	}
}

// readNews goes on with what was told when the process ended.
func (d *Desk) readNews(ctx context.Context) error { // with mu held
	kvs, _, err := d.o.Store.List(ctx, keyNews)
	if err != nil {
		return err
	}
	bundles, _, err := d.o.Store.List(ctx, keySettled)
	if err != nil {
		return err
	}
	byNews := map[string][]settled{}
	count := map[string]int{}
	for _, kv := range bundles {
		id, _, _ := strings.Cut(strings.TrimPrefix(kv.Key, keySettled), "/")
		var list []settled
		if err := json.Unmarshal(kv.Value, &list); err != nil {
			d.o.Logger.Error("who was told can't be read; some are told twice", "key", kv.Key, "cause", err)
		}
		byNews[id], count[id] = append(byNews[id], list...), count[id]+1
	}
	for _, kv := range kvs {
		n := &dispatch{}
		if err := json.Unmarshal(kv.Value, &n.stored); err != nil || n.ID != strings.TrimPrefix(kv.Key, keyNews) {
			d.o.Logger.Error("news for subscribers can't be read; they are not told", "key", kv.Key, "cause", err)
			continue
		}
		n.bundles = count[n.ID]
		if n.Sum != nil {
			d.news[n.ID] = n
			continue
		}
		n.done = map[string]settled{}
		for _, s := range byNews[n.ID] {
			n.done[s.Sub] = s
		}
		d.spread(n)
	}
	return nil
}

// audience is who is told of news: who had confirmed by then.
func (d *Desk) audience(n subscribe.News) (out []subscribe.Subscription) { // with mu held
	pages := map[string]bool{}
	for _, p := range d.o.Pages {
		pages[p.ID] = p.Tells(p.IDs(d.o.Components), n.Components, n.Site)
	}
	for _, k := range d.subs {
		if pages[k.Page] && k.Wants(n.Components) && !k.Confirmed.After(n.At) && d.lanes[k.Way] != nil {
			out = append(out, k.Subscription)
		}
	}
	slices.SortFunc(out, func(a, b subscribe.Subscription) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// spread puts a message for each who is to be told in line.
func (d *Desk) spread(n *dispatch) { // with mu held
	if n.done == nil {
		n.done = map[string]settled{}
	}
	n.tries = map[string]lastTry{}
	d.news[n.ID] = n
	now := d.o.Now()
	lines := map[subscribe.Way][]*parcel{}
	n.all = len(n.done)
	only := map[string]bool{}
	for _, id := range n.Only {
		only[id] = true
	}
	for _, s := range d.audience(n.News) {
		if _, told := n.done[s.ID]; !told && (n.Only == nil || only[s.ID]) {
			lines[s.Way] = append(lines[s.Way], &parcel{sub: s.ID, news: n.ID, due: now})
			n.all++
		}
	}
	for way, parcels := range lines {
		d.lanes[way].add(parcels...)
	}
	d.save() // who has nobody to tell is over
}

// owe puts a message with the link of a subscription in line.
func (d *Desk) owe(s subscribe.Subscription) { // with mu held
	if l := d.lanes[s.Way]; l != nil {
		l.add(&parcel{sub: s.ID, due: s.Owed}) // since it was asked for: before the news of now
	}
}

func (d *Desk) save() {
	select {
	case d.dirty <- struct{}{}:
	default:
	}
}

// settle notes what became of a message.
func (d *Desk) settle(news string, s settled) {
	d.mu.Lock()
	n := d.news[news]
	full, first := false, false
	if n != nil && n.done != nil {
		n.done[s.Sub] = s
		n.unsaved = append(n.unsaved, s)
		delete(n.tries, s.Sub)
		full, first = len(n.unsaved) >= bundle || len(n.done) >= n.all, len(n.unsaved) == 1
	}
	d.mu.Unlock()
	switch {
	case full:
		d.save()
	case first:
		select {
		case d.some <- struct{}{}:
		default:
		}
	}
}

// keep writes down who was told, in bundles, until ctx ends.
func (d *Desk) keep(ctx context.Context) {
	for {
		t := time.NewTimer(d.unwritten())
		select {
		case <-ctx.Done():
			t.Stop()
			d.last(ctx)
			return
		case <-d.some:
			t.Stop()
			continue
		case <-t.C:
		case <-d.dirty:
			t.Stop()
		}
		d.write(ctx)
	}
}

// last writes down what is not while we stop.
func (d *Desk) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	d.write(ctx)
}

// unwritten says when the record is to know what it does not know yet.
func (d *Desk) unwritten() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := time.Hour
	for _, n := range d.news {
		if n.owes() {
			wait = min(wait, saveAfter<<min(n.writes/saveSlow, 10), saveLast)
		}
	}
	return wait
}

func (n *dispatch) owes() bool {
	return n.done != nil && (len(n.unsaved) > 0 || len(n.done) >= n.all)
}

// write writes down what is not. While the store takes only what must not be lost it waits:
// who has been told is known here, and is told again only if the process dies meanwhile.
func (d *Desk) write(ctx context.Context) {
	if d.o.Degraded() {
		return
	}
	d.mu.Lock()
	var list []*dispatch
	for _, n := range d.news {
		if n.owes() {
			list = append(list, n)
		}
	}
	d.mu.Unlock()
	for _, n := range list {
		if err := d.writeOne(ctx, n); err != nil {
			d.o.Logger.Warn("who was told is not written down yet", "news", n.ID, "cause", err)
		}
	}
	if len(list) > 0 {
		d.o.Changed()
	}
}

func (d *Desk) writeOne(ctx context.Context, n *dispatch) error {
	d.mu.Lock()
	unsaved, over, bundles := n.unsaved, len(n.done) >= n.all, n.bundles
	behind := slices.Concat(n.open, unsaved)
	end := stored{News: n.News}
	if over {
		end.Sum = sum(n.done, n.Was, d.o.Now())
	}
	d.mu.Unlock()
	var w []store.Write
	var err error
	full := 0
	if over {
		var b []byte
		b, err = end.fit()
		w = append(w, store.Write{Key: keyNews + n.ID, Value: b})
		for i := range bundles + 1 {
			w = append(w, store.Write{Key: bundleKey(n.ID, i), Delete: true})
		}
	} else {
		for ; len(behind) > 0 && err == nil; behind = behind[min(bundle, len(behind)):] {
			var b []byte
			b, err = json.Marshal(behind[:min(bundle, len(behind))])
			w = append(w, store.Write{Key: bundleKey(n.ID, bundles+full), Value: b})
			if len(behind) < bundle {
				break
			}
			full++
		}
	}
	if err != nil {
		return err
	}
	if _, err := d.o.Store.Txn(ctx, nil, w); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n.unsaved = n.unsaved[len(unsaved):]
	if over {
		n.stored, n.done, n.unsaved, n.tries, n.open, n.bundles, n.all = end, nil, nil, nil, nil, 0, 0
		d.o.Logger.Info("subscribers have been told", "news", n.ID, "told", n.Sum.Told, "given_up", len(n.Sum.Dead)+n.Sum.Lost)
		return nil
	}
	n.bundles, n.open, n.writes = n.bundles+full, behind, n.writes+1
	return nil
}

// fit is news as one value of the record: where too many were given up with too long
// reasons, fewer are listed with them.
func (s *stored) fit() ([]byte, error) {
	for {
		b, err := json.Marshal(s)
		if err != nil || len(b) <= store.MaxValue || s.Sum == nil || len(s.Sum.Dead) == 0 {
			return b, err
		}
		half := len(s.Sum.Dead) / 2
		for _, x := range s.Sum.Dead[half:] {
			s.Sum.Rest, s.Sum.Lost = append(s.Sum.Rest, x.Subscription), s.Sum.Lost+1
		}
		s.Sum.Dead = s.Sum.Dead[:half]
	}
}

func bundleKey(news string, i int) string { return fmt.Sprintf("%s%s/%06d", keySettled, news, i) }

// reason is why something failed, no longer than it is worth being kept, and in one line:
// it is shown in people's terminals, and a stranger's certificate may be in it.
func reason(err error) string {
	why := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
	if len(why) <= maxReason {
		return why
	}
	return strings.ToValidUTF8(why[:maxReason], "") + "…"
}

// sum adds up what became of messages, and of those before.
func sum(done map[string]settled, was *Sum, now time.Time) *Sum {
	s := &Sum{}
	if was != nil {
		*s = *was
		s.Dead, s.Rest = slices.Clone(was.Dead), slices.Clone(was.Rest)
	}
	s.Over = now.UTC()
	for _, id := range slices.Sorted(maps.Keys(done)) {
		switch x := done[id]; {
		case x.Gone:
			s.Ended++
		case x.Dead == nil:
			s.Told++
		case len(s.Dead) < maxDead:
			s.Dead = append(s.Dead, *x.Dead)
		default:
			s.Rest, s.Lost = append(s.Rest, x.Dead.Subscription), s.Lost+1
		}
	}
	return s
}

// Again tries once more to tell those whom some news could not be brought to. It says how
// many they are.
func (d *Desk) Again(ctx context.Context, news string) (int, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	n, known := d.news[news]
	var next stored
	if known {
		next = n.stored
	}
	d.mu.Unlock()
	switch {
	case !known:
		return 0, fault.New(fault.NotFound, "there are no news %q", news).At("id").WithHint("lifeboat status deliveries lists them")
	case next.Sum == nil:
		return 0, fault.New(fault.Conflict, "they are being told").WithHint("wait until nobody waits any more")
	case len(next.Sum.Dead)+len(next.Sum.Rest) == 0:
		return 0, fault.New(fault.Conflict, "nobody was given up").WithHint("there is nothing to do")
	}
	was := *next.Sum
	next.Only, next.Again, next.Was, next.Sum = slices.Concat([]string{}, was.Rest), d.o.Now().UTC(), &was, nil
	for _, x := range was.Dead {
		next.Only = append(next.Only, x.Subscription)
	}
	was.Lost -= len(was.Rest)
	was.Dead, was.Rest = nil, nil
	b, err := json.Marshal(next)
	if err != nil {
		return 0, err
	}
	if _, err := d.o.Store.Txn(ctx, nil, []store.Write{{Key: keyNews + news, Value: b}}); err != nil {
		return 0, err
	}
	d.mu.Lock()
	again := &dispatch{stored: next}
	d.spread(again)
	d.mu.Unlock()
	d.o.Changed()
	return again.all, nil
}

// forget drops what became of old news.
func (d *Desk) forget(ctx context.Context) {
	d.mu.Lock()
	var old []string
	list := slices.SortedFunc(maps.Values(d.news), func(a, b *dispatch) int { return b.At.Compare(a.At) })
	for i, n := range list {
		if n.Sum != nil && (i >= mostNews || d.o.Now().Sub(n.At) > keepNews) {
			old = append(old, n.ID)
		}
	}
	d.mu.Unlock()
	for _, id := range old {
		if _, err := d.o.Store.Txn(ctx, nil, []store.Write{{Key: keyNews + id, Delete: true}}); err != nil {
			d.o.Logger.Warn("old news stay listed", "cause", err)
			return
		}
		d.mu.Lock()
		delete(d.news, id)
		d.mu.Unlock()
	}
}

// Progress is how far some news are.
type Progress struct {
	subscribe.News
	All     int       `json:"all"`  // who is or was to be told
	Told    int       `json:"told"` // so far
	Ended   int       `json:"ended,omitempty"`
	Waiting int       `json:"waiting"`
	Trying  []Trying  `json:"trying,omitempty"` // some of those that failed and are tried again
	Dead    []Dead    `json:"dead,omitempty"`   // given up
	Lost    int       `json:"lost,omitempty"`   // given up beyond those listed
	Over    time.Time `json:"over,omitzero"`    // zero: it goes on
}

// Trying is a message that failed and is tried again.
type Trying struct {
	Subscription string        `json:"subscription"`
	Way          subscribe.Way `json:"way"`
	To           string        `json:"to"` // masked
	Reason       string        `json:"reason"`
	At           time.Time     `json:"at"` // of the newest try
}

const listedTries = 20

// Progress tells of the newest news, newest first.
func (d *Desk) Progress(most int) []Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.SortedFunc(maps.Values(d.news), func(a, b *dispatch) int {
		if by := b.At.Compare(a.At); by != 0 {
			return by
		}
		return strings.Compare(a.ID, b.ID)
	})
	out := []Progress{}
	for _, n := range list[:min(most, len(list))] {
		out = append(out, d.progress(n))
	}
	return out
}

func (d *Desk) progress(n *dispatch) Progress { // with mu held
	s := n.Sum
	if s == nil {
		s = sum(n.done, n.Was, time.Time{})
	}
	p := Progress{News: n.News, Told: s.Told, Ended: s.Ended, Dead: s.Dead, Lost: s.Lost, Over: s.Over, Waiting: n.all - len(n.done)}
	p.All = p.Told + p.Ended + len(p.Dead) + p.Lost + p.Waiting
	for _, id := range slices.Sorted(maps.Keys(n.tries)) {
		if k, known := d.subs[id]; known && len(p.Trying) < listedTries {
			p.Trying = append(p.Trying, Trying{id, k.Way, k.Masked(), n.tries[id].why, n.tries[id].at})
		}
	}
	return p
}

// Trouble is why nobody can be told by a way just now, by way.
func (d *Desk) Trouble() map[subscribe.Way]string {
	out := map[subscribe.Way]string{}
	for way, l := range d.lanes {
		l.mu.Lock()
		if l.failed > 0 {
			out[way] = l.why
		}
		l.mu.Unlock()
	}
	return out
}
