package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/outbox"
	"lifeboat/internal/store"
)

// Incident gives an incident as its events come to, open or ended.
func (e *Engine) Incident(ctx context.Context, id string) (incident.Incident, error) {
	for _, r := range e.runners {
		if in, _ := r.look(); in.ID == id && id != "" {
			return in, nil
		}
	}
	events, err := e.Events(ctx, id)
	if err != nil {
		return incident.Incident{}, err
	}
	return incident.Fold(events), nil
}

// DoIn runs a command in an incident by its id: in the open one like Do, and in one
// that has ended what may still be said there (follow-ups, corrections, the write-up).
func (e *Engine) DoIn(ctx context.Context, id string, c incident.Command, by incident.Actor) (Result, error) {
	in, err := e.Incident(ctx, id)
	if err != nil {
		return Result{}, err
	}
	if in.Phase.Open() && acts(c) {
		e.awaitAnswer(ctx)
	}
	if r, known := e.runners[in.Site]; known { // one after the other, also with what the site does otherwise
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.in.ID == id && r.site().Shadow == "" {
			return r.do(ctx, c, by)
		}
	}
	for try := 0; ; try++ {
		res, err := e.doEnded(ctx, id, c, by)
		if !errors.Is(err, store.ErrConflict) || try == 3 {
			return res, err
		}
	}
}

func (e *Engine) doEnded(ctx context.Context, id string, c incident.Command, by incident.Actor) (Result, error) {
	head, err := e.o.Store.Get(ctx, keyIncident+id)
	if err != nil {
		return Result{}, err
	}
	events, err := e.Events(ctx, id)
	if err != nil {
		return Result{}, err
	}
	in := incident.Fold(events)
	if in.Phase.Open() {
		return Result{}, errNoSite(in.Site)
	}
	if key := keyOf(ctx); key != "" && in.Wrote(key) {
		return Result{Incident: in}, nil
	}
	if err := expected(ctx, in); err != nil {
		return Result{Incident: in}, err
	}
	drafts, err := in.Decide(c, incident.Facts{Actor: by, Site: in.Site, Ended: true, Key: keyOf(ctx)}, e.o.Now())
	if err != nil {
		return Result{Incident: in}, err
	}
	added := in.Seal(drafts, e.o.Now(), e.o.NewID)
	next := in
	for _, ev := range added {
		next = next.Apply(ev)
	}
	if len(added) == 0 {
		return Result{Incident: in}, nil
	}
	writes := []store.Write{put(keyIncident+id, headOf(next))}
	for _, ev := range added {
		writes = append(writes, put(eventKey(ev), ev))
	}
	if _, err := e.o.Store.Txn(ctx, []store.Cond{{Key: keyIncident + id, Modified: head.Modified}}, writes); err != nil {
		return Result{}, err
	}
	if r, known := e.runners[in.Site]; known {
		r.revise(next, added)
	}
	e.forget(added)
	return Result{Incident: next, Events: added}, nil
}

// revise shows an ended incident's newest state where it is the one on view.
func (r *runner) revise(next incident.Incident, added []incident.Event) {
	r.viewMu.Lock()
	defer r.viewMu.Unlock()
	if r.view.ID == next.ID {
		r.see(next, added)
	}
}

// keyID makes an id of an idempotency key that nobody can choose freely.
func keyID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "k" + strings.ToUpper(hex.EncodeToString(sum[:12]))
}

// Queue gives what waits to go out, and what could not.
func (e *Engine) Queue(ctx context.Context) ([]outbox.Message, error) {
	if e.o.Company.Outbox == nil {
		return nil, nil
	}
	return e.o.Company.Outbox.Queue(ctx)
}

// RetryMessage tries a waiting message now; DropMessage gives it up.
func (e *Engine) RetryMessage(ctx context.Context, id string) error { return e.box(ctx, id, true) }

// DropMessage gives a waiting message up.
func (e *Engine) DropMessage(ctx context.Context, id string) error { return e.box(ctx, id, false) }

func (e *Engine) box(ctx context.Context, id string, again bool) error {
	switch b := e.o.Company.Outbox; {
	case b == nil:
		return fault.New(fault.NotFound, "no channel is configured, so nothing waits")
	case again:
		return b.Retry(ctx, id)
	default:
		return b.Drop(ctx, id)
	}
}

// Delivered records how a channel took a message; it is the outbox's result.
func (e *Engine) Delivered(ctx context.Context, m outbox.Message, failed error) {
	if m.Incident == "" { // it was about none
		return
	}
	c := e.told(m)
	c.OK = failed == nil
	if failed != nil {
		c.Detail = failed.Error()
	}
	by := incident.Actor{Kind: "system", Name: "lifeboat"}
	if _, err := e.DoIn(ctx, m.Incident, c, by); err != nil && fault.KindOf(err) != fault.NotFound {
		e.o.Logger.Info("how a message went out was not recorded", "channel", m.Channel, "cause", err)
	}
}
