package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/webhook"
)

// handle does what is due about one message.
func (b *Box) handle(ctx context.Context, l *lane, id string) {
	e, ok := b.read(ctx, id)
	if !ok {
		return
	}
	switch {
	case e.sent:
		b.remove(ctx, id)
	case e.pushedOut:
		b.pushOut(ctx, e)
	case l.url == "":
		b.giveUp(ctx, e, fault.New(fault.Unavailable, "%s", strayText(e.m.Channel)))
	case e.m.Body == nil:
		b.giveUp(ctx, e, fault.New(fault.Invalid, "%s", orText(e.m.LastError, "the message is empty")))
	default:
		b.try(ctx, l, e)
	}
}

// read gives a message as it is now, with its body: the store is asked before every
// act, so that what was dropped meanwhile is not sent.
func (b *Box) read(ctx context.Context, id string) (entry, bool) {
	kv, err := b.o.Store.Get(ctx, prefix+id)
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	switch {
	case fault.KindOf(err) == fault.NotFound:
		delete(b.entries, id)
		return entry{}, false
	case e == nil:
		return entry{}, false
	case err != nil:
		e.notBefore = b.o.Now().Add(storeWait)
		return entry{}, false
	}
	b.learn(store.Change{KV: kv}) // does nothing when nothing has changed
	if e = b.entries[id]; e == nil {
		return entry{}, false
	}
	out := *e
	if m, err := decode(kv); err == nil {
		out.m.Body = m.Body
	}
	return out, true
}

// try sends a message once.
func (b *Box) try(ctx context.Context, l *lane, e entry) {
	e.m.Attempts++
	e.m.LastTry = b.o.Now().UTC()
	answer, err := b.post(ctx, l, e.m)
	if err == nil {
		b.taken(ctx, l, e)
		return
	}
	if ctx.Err() != nil { // we are stopping: the receiver is not to blame
		return
	}
	if answer.Status == http.StatusGone {
		b.giveUp(ctx, e, err)
		return
	}
	b.failed(ctx, l, e, answer, err)
}

func (b *Box) post(ctx context.Context, l *lane, m Message) (webhook.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	body, err := webhook.Body(m.Kind, m.Created, m.Body)
	if err != nil {
		return webhook.Answer{}, err
	}
	answer, err := b.o.Client.Post(ctx, webhook.Call{URL: l.url, Key: l.key, ID: m.ID, Body: body})
	if err != nil {
		return answer, err
	}
	return answer, answer.Err()
}

// settling bounds the bookkeeping after a try, which goes on when ctx ends: else a
// message that was taken would be sent again after every stop.
func settling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storeWait)
}

// taken ends a message.
func (b *Box) taken(ctx context.Context, l *lane, e entry) {
	ctx, cancel := settling(ctx)
	defer cancel()
	e.m.LastError, e.m.NextTry = "", time.Time{}
	b.o.Result(ctx, e.m, nil)
	b.mu.Lock()
	if known := b.entries[e.m.ID]; known != nil {
		known.sent = true
	}
	b.mu.Unlock()
	b.back(l)
	b.remove(ctx, e.m.ID)
}

// back makes what waits for a receiver that was away due at once: it has answered.
func (b *Box) back(l *lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.away && b.lane(e) == l {
			e.m.NextTry = time.Time{}
		}
	}
}

// remove deletes a message; it is tried again later if the store fails.
func (b *Box) remove(ctx context.Context, id string) {
	_, err := b.o.Store.Txn(ctx, nil, []store.Write{{Key: prefix + id, Delete: true}})
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		delete(b.entries, id)
		return
	}
	if e := b.entries[id]; e != nil {
		e.notBefore = b.o.Now().Add(storeWait)
	}
}

// failed plans the next try, or gives up after a day of them.
func (b *Box) failed(ctx context.Context, l *lane, e entry, answer webhook.Answer, err error) {
	now := b.o.Now().UTC()
	if !now.Before(e.m.Expires) {
		b.giveUp(ctx, e, err)
		return
	}
	asked := min(answer.RetryAfter, maxWait)
	if answer.Status == http.StatusTooManyRequests || answer.Status == http.StatusServiceUnavailable {
		l.pause = now.Add(asked) // it asks for itself, not about this one message
	}
	if e.away = away(answer.Status); !e.away {
		b.back(l)
	}
	e.m.NextTry = now.Add(max(asked, backoff(e.m.Attempts)))
	e.m.LastError = clip(err.Error())
	ctx, cancel := settling(ctx)
	defer cancel()
	if e.m.Attempts == 1 {
		b.o.Logger.Warn("a message was not taken and is tried again", "channel", e.m.Channel, "message", e.m.ID, "kind", e.m.Kind, "error", err)
		b.o.Result(ctx, e.m, err)
	}
	b.keep(ctx, e, e.m.Attempts&(e.m.Attempts-1) == 0)
}

// giveUp makes a message dead: it is kept to be seen, and not sent.
func (b *Box) giveUp(ctx context.Context, e entry, err error) {
	ctx, cancel := settling(ctx)
	defer cancel()
	b.died(ctx, &e.m, err)
	b.keep(ctx, e, true)
}

// pushOut deletes a message because too many wait.
func (b *Box) pushOut(ctx context.Context, e entry) {
	ctx, cancel := settling(ctx)
	defer cancel()
	if e.m.Dead.IsZero() {
		b.died(ctx, &e.m, fault.New(fault.Unavailable, "more than %d messages waited, and this was the oldest", MaxMessages))
	}
	b.mu.Lock()
	if known := b.entries[e.m.ID]; known != nil {
		known.sent = true // told once; only the deletion is owed
	}
	b.mu.Unlock()
	b.remove(ctx, e.m.ID)
}

func (b *Box) died(ctx context.Context, m *Message, err error) {
	m.Dead, m.NextTry, m.LastError = b.o.Now().UTC(), time.Time{}, clip(err.Error())
	b.o.Logger.Error("a message was given up", "channel", m.Channel, "message", m.ID, "kind", m.Kind, "attempts", m.Attempts, "error", err)
	b.o.Result(ctx, *m, err)
}

// keep notes how a message fares, in the store too if that is asked for. What a
// person did to it meanwhile wins.
func (b *Box) keep(ctx context.Context, e entry, stored bool) {
	rev := e.rev
	if stored {
		now, err := b.o.Store.Txn(ctx, []store.Cond{{Key: prefix + e.m.ID, Modified: e.rev}}, []store.Write{put(e.m)})
		switch {
		case errors.Is(err, store.ErrConflict):
			return // the watch tells, or read does at the next turn
		case err == nil:
			rev = now
		}
	}
	e.m.Body = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.entries[e.m.ID]; known != nil && known.rev == e.rev {
		known.m, known.rev, known.away, known.yielded = e.m, rev, e.away, false
	}
}

// away says whether it is the receiver that failed, and not this one message that it
// does not like. Status is 0 when there was no answer.
func away(status int) bool {
	return status == 0 || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

// backoff is how long to wait after so many tries: the doubled minWait up to
// maxWait, and at random between the half of it and all, so that what failed
// together does not come back together.
func backoff(attempts int) time.Duration {
	wait := maxWait
	if attempts < 11 { // minWait doubled ten times is above maxWait
		wait = min(minWait<<(attempts-1), maxWait)
	}
	return wait/2 + rand.N(wait/2)
}

func strayText(channel string) string {
	return "the configuration has no channel called " + channel
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// clip keeps an error's text short enough to be stored with every try.
func clip(text string) string {
	const most = 500
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
