package outbox

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/webhook"
)

// Queue gives what waits and what is dead, oldest first, with the reason and the
// time of the next try. It is right without Run, too, as of what is stored.
func (b *Box) Queue(ctx context.Context) ([]Message, error) {
	kvs, _, err := b.o.Store.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var queue []Message
	for _, kv := range kvs {
		m, err := decode(kv)
		if err != nil { // it can be dropped
			now := b.o.Now().UTC()
			queue = append(queue, Message{ID: strings.TrimPrefix(kv.Key, prefix), Created: now, Dead: now, LastError: "the stored message can't be read: " + clip(err.Error())})
			continue
		}
		if m, ok := b.newest(m, kv.Modified); ok {
			queue = append(queue, m)
		}
	}
	slices.SortFunc(queue, older)
	return queue, nil
}

// newest adds what only memory knows to a message as it is stored; one that its
// receiver has is no longer in the queue.
func (b *Box) newest(m Message, rev store.Revision) (Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[m.ID]; e != nil && e.rev >= rev {
		if e.sent {
			return m, false
		}
		body := m.Body
		m = e.m
		m.Body = body
	}
	if b.lanes[m.Channel] == nil && m.Dead.IsZero() {
		m.LastError = strayText(m.Channel)
	}
	return m, true
}

// Retry sends a message at once, and for another day if need be; dead ones too. An
// unknown one is fault NotFound: it may have been taken meanwhile.
func (b *Box) Retry(ctx context.Context, id string) error {
	for try := 0; ; try++ {
		kv, err := b.get(ctx, id)
		if err != nil {
			return err
		}
		m, err := decode(kv)
		if err != nil {
			return fault.New(fault.Invalid, "the stored message can't be read").WithHint("drop it").Because(err)
		}
		now := b.o.Now().UTC()
		m.Attempts, m.NextTry, m.Expires, m.Dead = 0, now, now.Add(MaxAge), time.Time{}
		_, err = b.o.Store.Txn(ctx, []store.Cond{{Key: kv.Key, Modified: kv.Modified}}, []store.Write{put(m)})
		if !errors.Is(err, store.ErrConflict) || try == 3 {
			return err
		}
	}
}

// Drop deletes a message, whatever its state. One that is being sent just now may
// still arrive. An unknown one is fault NotFound.
func (b *Box) Drop(ctx context.Context, id string) error {
	kv, err := b.get(ctx, id)
	if err != nil {
		return err
	}
	_, err = b.o.Store.Txn(ctx, nil, []store.Write{{Key: kv.Key, Delete: true}})
	return err
}

func (b *Box) get(ctx context.Context, id string) (store.KV, error) {
	if webhook.ID(id) != id {
		return store.KV{}, unknown(id)
	}
	kv, err := b.o.Store.Get(ctx, prefix+id)
	if fault.KindOf(err) == fault.NotFound {
		err = unknown(id)
	}
	return kv, err
}

func unknown(id string) error {
	return fault.New(fault.NotFound, "no such message waits").At(id).WithHint("it may have been delivered meanwhile: look at the queue")
}
