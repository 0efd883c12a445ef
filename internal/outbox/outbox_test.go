package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/outbox"
	"lifeboat/internal/store"
	"lifeboat/internal/webhook"
)

func TestDelivers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		good := &receiver{}
		w := newWorld(t, map[string]*receiver{"good": good})
		b := w.box()
		before := time.Now().UTC()
		w.add(b, message("early", "good")) // before Run
		w.run(b)
		synctest.Wait()
		w.add(b, message("late", "good"))
		synctest.Wait()
		all := good.all()
		if len(all) != 2 || all[0].id != "early" || all[1].id != "late" {
			t.Fatalf("received %+v", good.ids())
		}
		g := all[0]
		want := `{"type":"update.public","timestamp":"` + before.Format(time.RFC3339Nano) + `","data":{"text":"early"}}`
		if string(g.body) != want || g.timestamp != fmt.Sprint(g.at.Unix()) || g.signature != webhook.Sign([]byte("good"), "early", g.at, g.body) {
			t.Errorf("received %+v: %s, want %s", g, g.body, want)
		}
		if q := w.queue(b); len(q) != 0 {
			t.Errorf("%d still wait", len(q))
		}
		if got := w.results(); len(got) != 2 || got[0] != (told{"early", 1, false, nil}) {
			t.Errorf("told %+v", got)
		}
	})
}

// One that hangs and one that always fails, for longer than a day, beside one that
// works.
func TestNobodyIsHeldUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		good, hung, failing := &receiver{}, &receiver{answer: hang}, &receiver{answer: status(500)}
		w := newWorld(t, map[string]*receiver{"good": good, "hung": hung, "failing": failing})
		b := w.box()
		w.run(b)
		const hours = 26
		for n := range hours {
			for _, name := range []string{"hung", "failing", "good"} {
				w.add(b, message(fmt.Sprintf("%s-%02d", name, n), name))
			}
			synctest.Wait()
			if all := good.all(); len(all) != n+1 || all[n].at != time.Now() {
				t.Fatalf("hour %d: %d arrived", n, len(all))
			}
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		results := map[string][]told{}
		for _, r := range w.results() {
			results[r.id] = append(results[r.id], r)
		}
		for _, name := range []string{"hung", "failing"} {
			got := results[name+"-00"]
			if len(got) != 2 || got[0].attempts != 1 || got[0].dead || got[0].err == nil || !got[1].dead || got[1].err == nil || got[1].attempts < 100 {
				t.Errorf("%s: told %+v", name, got)
			}
			if got := results[name+"-25"]; len(got) != 1 {
				t.Errorf("%s, of this hour: told %+v", name, got)
			}
		}
		q := w.queue(b)
		if len(q) != 2*hours {
			t.Fatalf("%d in the queue", len(q))
		}
		for _, m := range q {
			age := time.Since(m.Created)
			if dead := !m.Dead.IsZero(); dead != (age > outbox.MaxAge+10*time.Minute) || m.LastError == "" || m.LastTry.IsZero() || dead != m.NextTry.IsZero() {
				t.Errorf("%s, %s old: %+v", m.ID, age, m)
			}
			if strings.Contains(m.LastError, "secret-in-the-path") {
				t.Errorf("tells the URL: %s", m.LastError)
			}
			if m.Dead.IsZero() && time.Until(m.NextTry) > 10*time.Minute {
				t.Errorf("%s is tried again only at %s", m.ID, m.NextTry)
			}
		}
		if !slices.IsSortedFunc(q, func(a, b outbox.Message) int { return a.Created.Compare(b.Created) }) {
			t.Error("the queue is not oldest first")
		}
	})
}

// Thousands of tries must not fill a store, which may be one that can't be written.
func TestTriesCostTheStoreLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		failing := &receiver{answer: status(500)}
		w := newWorld(t, map[string]*receiver{"failing": failing})
		b := w.box()
		w.run(b)
		w.add(b, message("m", "failing"))
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		rev, err := w.store.Revision(t.Context())
		must(t, err)
		if tries := len(failing.all()); tries < 140 || rev > 12 {
			t.Errorf("%d tries made %d transactions", tries, rev)
		}
	})
}

// A message that its receiver will never take is overtaken; while the receiver is
// away all wait, and come in order.
func TestOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var away atomic.Bool
		r := &receiver{}
		r.answer = func(rw http.ResponseWriter, req *http.Request) {
			switch {
			case away.Load():
				rw.WriteHeader(http.StatusBadGateway)
			case req.Header.Get("webhook-id") == "poison":
				rw.WriteHeader(http.StatusBadRequest)
			}
		}
		w := newWorld(t, map[string]*receiver{"chat": r})
		b := w.box()
		w.run(b)
		w.add(b, message("poison", "chat"))
		synctest.Wait()
		for _, id := range []string{"z", "y", "x"} {
			time.Sleep(time.Millisecond)
			w.add(b, message(id, "chat"))
		}
		synctest.Wait()
		if got := r.ids(); !slices.Equal(got, []string{"poison", "z", "y", "x"}) {
			t.Fatalf("received %v", got)
		}
		away.Store(true)
		for _, id := range []string{"c", "b", "a"} {
			w.add(b, message(id, "chat"))
			time.Sleep(time.Minute)
		}
		time.Sleep(3 * time.Hour)
		away.Store(false)
		w.add(b, message("late", "chat"))
		synctest.Wait()
		var taken []string
		for _, r := range w.results()[1:] {
			if r.err == nil {
				taken = append(taken, r.id)
			}
		}
		if want := []string{"z", "y", "x", "c", "b", "a", "late"}; !slices.Equal(taken, want) {
			t.Errorf("taken %v, want %v", taken, want)
		}
		if q := w.queue(b); len(q) != 1 || q[0].ID != "poison" {
			t.Errorf("waiting %+v", q)
		}
	})
}

// A receiver that comes back by itself is told in order too, whoever is due first.
func TestOrderWithoutNewOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &receiver{answer: status(http.StatusBadGateway)}
		w := newWorld(t, map[string]*receiver{"chat": r})
		b := w.box()
		w.run(b)
		var want []string
		for n := range 20 {
			id := fmt.Sprintf("%c", 'z'-n)
			w.add(b, message(id, "chat"))
			want = append(want, id)
			time.Sleep(17 * time.Second)
		}
		time.Sleep(3 * time.Hour)
		tried := len(r.all())
		r.answers(nil)
		time.Sleep(10 * time.Minute)
		if got := r.ids()[tried:]; !slices.Equal(got, want) {
			t.Errorf("received %v", got)
		}
	})
}

// One message that always breaks its receiver holds up no other for longer than a
// try of it takes.
func TestPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &receiver{}
		r.answers(func(rw http.ResponseWriter, req *http.Request) {
			if req.Header.Get("webhook-id") == "poison" {
				rw.WriteHeader(http.StatusBadGateway)
			}
		})
		w := newWorld(t, map[string]*receiver{"chat": r})
		b := w.box()
		w.run(b)
		w.add(b, message("poison", "chat"))
		time.Sleep(5 * time.Hour)
		before := len(r.all())
		for _, id := range []string{"x", "y"} {
			w.add(b, message(id, "chat"))
			synctest.Wait()
		}
		want := []string{"poison", "x", "poison", "poison", "y", "poison"} // before each, and once it is seen to be there
		if got := r.ids()[before:]; !slices.Equal(got, want) {
			t.Errorf("received %v", got)
		}
	})
}

// What came together, and is due together, is sent oldest first.
func TestBacklogOldestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &receiver{}
		w := newWorld(t, map[string]*receiver{"chat": r})
		b := w.box()
		var want []string
		now := time.Now()
		for n := range 20 {
			m := message(fmt.Sprintf("%c", 'z'-n), "chat")
			m.Created = now.Add(time.Duration(n) * time.Millisecond)
			w.add(b, m)
			want = append(want, m.ID)
		}
		w.run(b)
		synctest.Wait()
		if got := r.ids(); !slices.Equal(got, want) {
			t.Errorf("received %v", got)
		}
	})
}

// After a stop everything goes on: the same webhook-id, the tries so far, and a try
// that the stop cut off counts for nothing.
func TestRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{answer: status(503)}
		slow := &receiver{answer: hang}
		w := newWorld(t, map[string]*receiver{"chat": chat, "slow": slow})
		b := w.box()
		stop := w.run(b)
		w.add(b, message("m", "chat"), message("s", "slow"))
		time.Sleep(5 * time.Second)
		stop()
		synctest.Wait()
		if n := len(chat.all()); n < 3 {
			t.Fatalf("%d tries", n)
		}
		for _, r := range w.results() {
			if r.id == "s" {
				t.Errorf("a try that the stop cut off was told: %+v", r)
			}
		}
		chat.answers(nil)
		slow.answers(nil)
		again := w.box()
		if q := w.queue(again); len(q) != 2 || q[0].ID != "m" || q[0].Attempts < 2 || q[0].LastError == "" || q[1].Attempts != 0 {
			t.Errorf("after the restart %+v", q)
		}
		w.run(again)
		time.Sleep(10 * time.Second)
		if q := w.queue(again); len(q) != 0 {
			t.Errorf("still waiting: %+v", q)
		}
		ids := append(chat.ids(), slow.ids()...)
		slices.Sort(ids)
		if !slices.Equal(slices.Compact(ids), []string{"m", "s"}) {
			t.Errorf("ids %v", ids)
		}
		bodies := chat.all()
		if string(bodies[0].body) != string(bodies[len(bodies)-1].body) {
			t.Error("a later try had another body")
		}
	})
}

func TestGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{answer: status(http.StatusGone)}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		b := w.box()
		w.run(b)
		w.add(b, message("m", "chat"))
		time.Sleep(48 * time.Hour)
		if n := len(chat.all()); n != 1 {
			t.Errorf("%d tries", n)
		}
		if got := w.results(); len(got) != 1 || !got[0].dead || !strings.Contains(got[0].err.Error(), "wants no more") {
			t.Errorf("told %+v", got)
		}
		if q := w.queue(b); len(q) != 1 || q[0].Dead.IsZero() {
			t.Errorf("%+v", q)
		}
	})
}

// A receiver that asks to be left alone is, for as long as can be borne.
func TestRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{answer: later("300")}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		b := w.box()
		w.run(b)
		w.add(b, message("a", "chat"))
		synctest.Wait()
		w.add(b, message("b", "chat"))
		time.Sleep(299 * time.Second)
		if got := chat.ids(); len(got) != 1 {
			t.Errorf("while it asked to wait it was sent %v", got)
		}
		chat.answers(later("86400"))
		time.Sleep(2 * time.Second)
		first := len(chat.ids())
		chat.answers(nil)
		time.Sleep(10 * time.Minute)
		if got := chat.ids(); first != 2 || len(got) != 4 {
			t.Errorf("%d after five minutes, then %v", first, got)
		}
	})
}

// A message to a channel that is not configured waits for it, a day.
func TestStray(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		b := w.box([]string{}...)
		stop := w.run(b)
		w.add(b, message("m", "chat"), message("n", "mail"))
		time.Sleep(23 * time.Hour)
		q := w.queue(b)
		if len(q) != 2 || !q[0].Dead.IsZero() || q[0].LastError != "the configuration has no channel called chat" || len(w.results()) != 0 {
			t.Errorf("%+v, told %+v", q, w.results())
		}
		stop()
		b = w.box() // with it
		w.run(b)
		synctest.Wait()
		if got := chat.ids(); !slices.Equal(got, []string{"m"}) {
			t.Errorf("received %v", got)
		}
		time.Sleep(2 * time.Hour)
		if q := w.queue(b); len(q) != 1 || q[0].Dead.IsZero() || !strings.Contains(q[0].LastError, "no channel called mail") {
			t.Errorf("%+v", q)
		}
		if got := w.results(); len(got) != 2 || got[0].err != nil || !got[1].dead || got[1].id != "n" {
			t.Errorf("told %+v", got)
		}
	})
}

// A message that waited out its day because lifeboat was off is tried all the same.
func TestOldMessageIsTriedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		b := w.box()
		w.add(b, message("m", "chat"))
		time.Sleep(100 * time.Hour)
		w.run(b)
		synctest.Wait()
		if got := w.results(); len(got) != 1 || got[0].err != nil {
			t.Errorf("told %+v", got)
		}
	})
}

func TestRetryAndDrop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{answer: status(http.StatusGone)}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		b := w.box()
		w.run(b)
		w.add(b, message("m", "chat"), message("n", "chat"))
		synctest.Wait()
		chat.answers(status(500))
		must(t, b.Retry(t.Context(), "m"))
		synctest.Wait()
		q := w.queue(b)
		if len(q) != 2 || q[0].ID != "m" || !q[0].Dead.IsZero() || q[0].Attempts != 1 || q[1].Dead.IsZero() {
			t.Fatalf("after asking again: %+v", q)
		}
		must(t, b.Drop(t.Context(), "n"))
		time.Sleep(5 * time.Hour)
		chat.answers(nil)
		must(t, b.Retry(t.Context(), "m"))
		synctest.Wait()
		if q := w.queue(b); len(q) != 0 {
			t.Errorf("still there: %+v", q)
		}
		for _, id := range []string{"m", "n", "", "../lineage", "no"} {
			if err := b.Retry(t.Context(), id); fault.KindOf(err) != fault.NotFound {
				t.Errorf("retry %q: %v", id, err)
			}
			if err := b.Drop(t.Context(), id); fault.KindOf(err) != fault.NotFound {
				t.Errorf("drop %q: %v", id, err)
			}
		}
	})
}

// What is dropped, or asked for again, while it is being sent: the person wins.
func TestDropWhileSending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := &receiver{answer: hang}
		w := newWorld(t, map[string]*receiver{"slow": slow})
		b := w.box()
		w.run(b)
		w.add(b, message("m", "slow"), message("n", "slow"))
		time.Sleep(time.Second)
		must(t, b.Drop(t.Context(), "m"))
		time.Sleep(10 * time.Second) // m's try fails, n's begins
		must(t, b.Retry(t.Context(), "n"))
		time.Sleep(10 * time.Second) // n's try fails, and it is tried at once
		if got := slow.ids(); !slices.Equal(got, []string{"m", "n", "n"}) {
			t.Errorf("sent %v", got)
		}
		for len(slow.all()) < 5 { // up to its third try, which is not stored
			time.Sleep(10 * time.Millisecond)
		}
		must(t, b.Retry(t.Context(), "n"))
		time.Sleep(outbox.Deadline + time.Millisecond)
		if got := slow.ids(); len(got) != 6 {
			t.Errorf("sent %d times, and the last was asked for", len(got))
		}
		if q := w.queue(b); len(q) != 1 || q[0].ID != "n" {
			t.Errorf("%+v", q)
		}
	})
}

// More than fit: the dead go first, then the oldest, which is told.
func TestBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{answer: status(http.StatusGone)}
		slow := &receiver{answer: hang}
		w := newWorld(t, map[string]*receiver{"chat": chat, "slow": slow})
		b := w.box()
		w.add(b, message("dead", "chat"))
		w.run(b)
		synctest.Wait()
		start := time.Now()
		writes := make([]store.Write, 0, outbox.MaxMessages+2)
		for n := range outbox.MaxMessages + 2 {
			m := message(fmt.Sprintf("m%05d", n), "slow")
			m.Created = start.Add(time.Duration(n) * time.Millisecond)
			writes = append(writes, b.Write(m))
		}
		for chunk := range slices.Chunk(writes, 4000) {
			_, err := w.store.Txn(t.Context(), nil, chunk)
			must(t, err)
		}
		synctest.Wait()
		q := w.queue(b)
		if len(q) != outbox.MaxMessages || q[0].ID != "m00002" {
			t.Errorf("%d wait, the oldest is %s", len(q), q[0].ID)
		}
		var dropped []string
		for _, r := range w.results()[1:] {
			if r.dead {
				dropped = append(dropped, r.id)
			}
		}
		if !slices.Equal(dropped, []string{"m00000", "m00001"}) {
			t.Errorf("told of %v", dropped)
		}
	})
}

func TestUnsendable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		b := w.box()
		w.run(b)
		long, broken, empty := message("long", "chat"), message("broken", "chat"), message("empty", "chat")
		long.Body = json.RawMessage(`"` + strings.Repeat("x", outbox.MaxBody) + `"`)
		broken.Body = json.RawMessage(`{"a"`)
		empty.Body = nil
		w.add(b, long, broken, empty, message("fine", "chat"))
		synctest.Wait()
		if got := chat.ids(); !slices.Equal(got, []string{"fine"}) {
			t.Errorf("sent %v", got)
		}
		for _, m := range w.queue(b) {
			if m.Dead.IsZero() || !strings.HasPrefix(m.LastError, "the message") {
				t.Errorf("%+v", m)
			}
		}
		if got := w.results(); len(got) != 4 {
			t.Errorf("told %+v", got)
		}
	})
}

// frail is a store that fails where a test says so.
type frail struct {
	store.Store
	get, txn, watch atomic.Pointer[error]
}

func (f *frail) Get(ctx context.Context, key string) (store.KV, error) {
	if err := f.get.Load(); err != nil {
		return store.KV{}, *err
	}
	return f.Store.Get(ctx, key)
}

func (f *frail) Txn(ctx context.Context, conds []store.Cond, writes []store.Write) (store.Revision, error) {
	if err := f.txn.Load(); err != nil {
		return 0, *err
	}
	return f.Store.Txn(ctx, conds, writes)
}

func (f *frail) Watch(ctx context.Context, prefix string, from store.Revision, yield func(store.Change) bool) error {
	if err := f.watch.Swap(nil); err != nil {
		return *err
	}
	return f.Store.Watch(ctx, prefix, from, yield)
}

// A store that fails delays; it makes nothing be sent twice while we live, and
// nothing be lost.
func TestStoreFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := error(fault.New(fault.Unavailable, "the disk is full"))
		chat := &receiver{}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		f := &frail{Store: w.store}
		w.store = f
		b := w.box()
		f.watch.Store(&gone)
		w.run(b)
		synctest.Wait()
		w.add(b, message("m", "chat"))
		f.get.Store(&gone)
		time.Sleep(time.Minute)
		if n := len(chat.all()); n != 0 {
			t.Fatalf("%d sent without reading the store", n)
		}
		f.get.Store(nil)
		f.txn.Store(&gone)
		time.Sleep(time.Hour)
		if got := w.results(); len(got) != 1 || len(chat.all()) != 1 {
			t.Errorf("sent %d times, told %+v", len(chat.all()), got)
		}
		if q := w.queue(b); len(q) != 0 {
			t.Errorf("a message that was taken is shown as waiting: %+v", q)
		}
		f.txn.Store(nil)
		time.Sleep(time.Minute)
		if kvs, _, err := w.store.List(t.Context(), "outbox/"); err != nil || len(kvs) != 0 {
			t.Errorf("%d kept, %v", len(kvs), err)
		}
		compacted := store.ErrCompacted
		f.watch.Store(&compacted)
		chat.answers(status(500))
		f.txn.Store(nil)
		w.add(b, message("n", "chat"))
		synctest.Wait()
		f.txn.Store(&gone)
		time.Sleep(25 * time.Hour)
		if got := w.results(); len(got) != 3 || !got[2].dead || got[2].attempts < 100 {
			t.Errorf("tries are counted without the store: %+v", got)
		}
	})
}

// One stored message that can't be read holds up no other, is shown, and can be
// dropped.
func TestUnreadable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		chat := &receiver{}
		w := newWorld(t, map[string]*receiver{"chat": chat})
		b := w.box()
		_, err := w.store.Txn(t.Context(), nil, []store.Write{{Key: "outbox/torn", Value: []byte("{")}, {Key: "outbox/moved", Value: b.Write(message("m", "chat")).Value}, b.Write(message("ok", "chat"))})
		must(t, err)
		w.run(b)
		synctest.Wait()
		if got := chat.ids(); !slices.Equal(got, []string{"ok"}) {
			t.Errorf("received %v", got)
		}
		q := w.queue(b)
		if len(q) != 2 || q[0].Dead.IsZero() || !strings.Contains(q[0].LastError, "can't be read") {
			t.Errorf("%+v", q)
		}
		if err := b.Retry(t.Context(), "torn"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v", err)
		}
		must(t, b.Drop(t.Context(), "torn"))
		must(t, b.Drop(t.Context(), "moved"))
		if q := w.queue(b); len(q) != 0 {
			t.Errorf("%+v", q)
		}
	})
}

func TestRunEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		cancel(why)
		if err := w.box([]string{}...).Run(ctx); !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
		must(t, w.store.Close())
		if err := w.box([]string{}...).Run(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	fine := outbox.Channel{Name: "chat", URL: "https://chat.example.com/secret", Secret: []byte("secret")}
	for name, channels := range map[string][]outbox.Channel{
		"no URL":     {{Name: "chat"}},
		"bad secret": {{Name: "chat", URL: fine.URL, Secret: []byte("whsec_secret")}},
		"twice":      {fine, fine},
	} {
		_, err := outbox.New(outbox.Options{Channels: channels})
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "chat") || strings.Contains(err.Error(), "/secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := fine.Check(); err != nil {
		t.Error(err)
	}
}

// Whatever a message holds: its write fits into the transaction beside it.
func FuzzWrite(f *testing.F) {
	f.Add("", "", []byte(nil))
	f.Add("a/b.c", "chat", []byte(`{"a":1}`))
	f.Add("é\x00", "\xff", []byte("{"))
	b, err := outbox.New(outbox.Options{})
	must(f, err)
	f.Fuzz(func(t *testing.T, id, channel string, body []byte) {
		m := outbox.Message{ID: id, Channel: channel, Kind: channel, Body: body}
		write := b.Write(m)
		if err := store.Check(nil, []store.Write{write, {Key: "event/1"}}); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(write.Value) {
			t.Fatalf("stored %q", write.Value)
		}
		if again := b.Write(m); id != "" && again.Key != write.Key {
			t.Fatalf("%q is %q and %q", id, again.Key, write.Key)
		}
	})
}
