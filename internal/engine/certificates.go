package engine

import (
	"context"
	"encoding/json"
	"slices"

	"lifeboat/internal/outbox"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
)

// SetCertificates has answer serve HTTPS with these certificates. They go out at once
// where answer is connected, else with the next greeting.
func (e *Engine) SetCertificates(certs []snapshot.Certificate) error {
	for {
		before := e.world()
		c := before.contents
		c.Certificates.Certs = certs
		after, err := newWorld(c)
		if err != nil {
			return err
		}
		if e.exchange(before, after, nil) {
			break
		}
	}
	e.later("publish certificates", func(ctx context.Context) { e.catchUp(ctx) })
	return nil
}

// ChallengeAt finds where the proof of a name is put (zone.ChallengeAt).
func (e *Engine) ChallengeAt(name string) (owner string, err error) {
	owner, _, err = zone.ChallengeAt(name, e.zoneOf)
	return owner, err
}

// Listening says whether answer is there and takes orders.
func (e *Engine) Listening() bool { return !e.answerLeft() }

// Notify tells the channels for colleagues of something beside all incidents. It is
// written down like every other message, and sent when it can be.
func (e *Engine) Notify(kind, title, text string) {
	if e.o.Company.Outbox == nil {
		return
	}
	now := e.o.Now().UTC()
	body, err := json.Marshal(News{Title: title, Audience: "staff", Text: text, At: now, By: "lifeboat"})
	if err != nil {
		return
	}
	id := e.o.NewID()
	var writes []store.Write
	for _, c := range e.o.Company.Channels {
		if slices.Contains(c.Tells, "staff") {
			writes = append(writes, e.o.Company.Outbox.Write(outbox.Message{ID: id + "-" + c.Name, Channel: c.Name, Kind: kind, Body: body, Created: now}))
		}
	}
	if len(writes) == 0 {
		return
	}
	e.later("tell colleagues", func(ctx context.Context) {
		if _, err := e.o.Store.Txn(ctx, nil, writes); err != nil {
			e.o.Logger.Warn("colleagues could not be told", "what", title, "cause", err)
		}
	})
}
