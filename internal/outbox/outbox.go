// Package outbox keeps messages to the outside until their receivers have them,
// and never holds up whoever wrote them.
//
// A message is written in the same transaction as the event it tells of (Write),
// so that neither is there without the other; Run sends it by webhook later, as
// often as it takes for a day. It is not a chat client and does not decide who is
// told what. Only the engine and control may import it.
//
// Invariants: a message is sent at least once, always under the same webhook-id,
// and is deleted only when its receiver took it, when a person dropped it, or when
// more than MaxMessages wait. A channel's messages are sent one at a time, the
// oldest of those that are due first. One that its receiver does not like is
// overtaken until its next try; what waits for a receiver that was away comes in
// order when it is back. No channel waits for another one. Tries cost the store little: a failing
// receiver must not fill the journal of a store that can't be written, so only
// every doubling of a message's tries is stored, and its death.
//
// Concurrency: every method may be called from any goroutine. Run owns all
// goroutines, one a channel and one for messages without one.
package outbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/webhook"
)

// Limits of an outbox.
const (
	MaxMessages = 10_000
	MaxBody     = 64 << 10       // bytes; Standard Webhooks advises to stay below 20 kB
	MaxAge      = 24 * time.Hour // a message that still fails then is dead
	Deadline    = 10 * time.Second

	minWait = time.Second // between two tries, doubled each time
	maxWait = 10 * time.Minute
)

const prefix = "outbox/" // ID → Message

// Message is one thing to tell one channel.
type Message struct {
	ID        string          `json:"id"`      // its webhook-id: letters, digits, - and _
	Channel   string          `json:"channel"` // name of who is told
	Kind      string          `json:"kind"`    // what is told: update.public, incident.declared …
	Incident  string          `json:"incident,omitempty"`
	Site      string          `json:"site,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"` // sent as data; at most MaxBody
	Created   time.Time       `json:"created"`        // when what it tells happened
	Expires   time.Time       `json:"expires"`        // a try that fails after it was the last one
	Attempts  int             `json:"attempts,omitempty"`
	NextTry   time.Time       `json:"next_try,omitzero"` // zero: at once
	LastTry   time.Time       `json:"last_try,omitzero"`
	LastError string          `json:"last_error,omitempty"` // why it waits or is dead, for a person
	Dead      time.Time       `json:"dead,omitzero"`        // given up then; zero: it waits
}

// Channel is one receiver.
type Channel struct {
	Name   string
	URL    string
	Secret []byte // as webhook.Key reads it; none: messages are not signed
}

// Check says what is wrong with a channel: fault Invalid.
func (c Channel) Check() error {
	_, err := c.key()
	return err
}

func (c Channel) key() ([]byte, error) {
	if err := webhook.CheckURL(c.URL); err != nil {
		return nil, at("channel "+c.Name+": url", err)
	}
	key, err := webhook.Key(c.Secret)
	return key, at("channel "+c.Name+": secret", err)
}

func at(place string, err error) error {
	if f, ok := err.(*fault.Error); ok {
		return f.At(place)
	}
	return err
}

// Options of a Box. Store MUST be set.
type Options struct {
	Store    store.Store
	Channels []Channel
	Now      func() time.Time // time.Now
	NewID    func() string    // for messages that come without one; random text
	Logger   *slog.Logger     // silent when nil
	Client   *webhook.Client  // a new one

	// Result is told how a message fares: at its first failure, when it was taken
	// (err is nil) and when it is given up (Dead is set); not of each try. It is
	// told before the store is, so that a crash may tell it twice but can't keep it
	// from being told. It is called by the channel's own goroutine and holds up that
	// channel only; it MUST return when ctx ends.
	Result func(ctx context.Context, m Message, err error)
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string { return strings.ToLower(rand.Text()) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		o.Client = webhook.NewClient(webhook.Options{Now: o.Now})
	}
	if o.Result == nil {
		o.Result = func(context.Context, Message, error) {}
	}
	return o
}

// Box is an outbox.
type Box struct {
	o     Options
	lanes map[string]*lane // by name of the channel
	stray *lane            // of messages whose channel is not configured, and of those pushed out

	mu      sync.Mutex // guards entries and what they hold; not held while anything is asked or told
	entries map[string]*entry
}

// New makes a Box; nothing is sent before Run. A channel that can't be used is
// fault Invalid.
func New(o Options) (*Box, error) {
	b := &Box{o: o.withDefaults(), lanes: map[string]*lane{}, stray: newLane(), entries: map[string]*entry{}}
	for _, c := range o.Channels {
		key, err := c.key()
		if err != nil {
			return nil, err
		}
		if b.lanes[c.Name] != nil {
			return nil, fault.New(fault.Invalid, "there are two channels of this name").At("channel " + c.Name)
		}
		l := newLane()
		l.url, l.key = c.URL, key
		b.lanes[c.Name] = l
	}
	return b, nil
}

// Write makes the write that adds a message: put it in the transaction that records
// what the message tells of. Run finds it by itself. It never fails and what it
// makes is always small enough for the store, because an incident must not wait
// for a message about it: a body that can't be sent makes a message that is given
// up at its first turn, with the reason.
//
// An ID of other characters is replaced by its hash, the same for the same ID; a
// message without an ID or a time is given them.
func (b *Box) Write(m Message) store.Write {
	now := b.o.Now().UTC()
	if m.ID == "" {
		m.ID = b.o.NewID()
	}
	if m.Created.IsZero() {
		m.Created = now
	}
	m = Message{
		ID: webhook.ID(m.ID), Channel: m.Channel, Kind: m.Kind, Incident: m.Incident, Site: m.Site,
		Body: m.Body, Created: m.Created.UTC(), Expires: now.Add(MaxAge),
	}
	switch {
	case len(m.Body) > MaxBody:
		m.Body, m.LastError = nil, "the message was too long to be sent"
	case !json.Valid(m.Body):
		m.Body, m.LastError = nil, "the message has no contents that can be sent"
	}
	return put(m)
}

func put(m Message) store.Write {
	value, _ := json.Marshal(m) // our own type, its body checked
	return store.Write{Key: prefix + m.ID, Value: value}
}

// Run sends what waits until ctx ends; it returns ctx's cause, or store.ErrClosed.
func (b *Box) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var workers sync.WaitGroup
	for _, l := range b.lanes {
		workers.Go(func() { b.work(ctx, l) }) // ends with ctx
	}
	workers.Go(func() { b.work(ctx, b.stray) }) // ends with ctx
	err := b.follow(ctx)
	cancel(err)
	workers.Wait()
	return err
}
