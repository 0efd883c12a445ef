package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/signer"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
)

// Records are new records for a zone that we are the primary of.
type Records struct {
	Zone  zone.Source // as it is to be served
	Count int         // of its records, kept for the next start

	// Writes are what goes into the record with it, in one transaction and before anything
	// is served: the serial is the one that the zone will have. Conds hold there.
	Writes func(serial uint32) []store.Write
	Conds  []store.Cond
}

// ErrRecordsRefused is in the chain of an error after which the zone is served as before,
// although what was to be served is in the record already: answer has refused it.
var ErrRecordsRefused = errors.New("answer goes on with the records that it has")

// maxExchanges is how often records are made ready anew because something else was
// published meanwhile.
const maxExchanges = 20

// PublishRecords replaces the records of a zone: signed where the zone is, written down,
// then served, under the next serial. A fault.Unavailable with publish.ErrUnsure in its
// chain is written down and may be served: who asked looks. store.ErrConflict means that
// a condition does not hold, and nothing was done.
func (e *Engine) PublishRecords(ctx context.Context, r Records) (serial uint32, err error) {
	e.mu.Lock()
	err = e.connected()
	e.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if e.signs() {
		e.signing.Lock()
		defer e.signing.Unlock()
	}
	for range maxExchanges {
		before := e.world()
		after, resigned, err := e.worldWith(ctx, before, r.Zone)
		if err != nil {
			return 0, err
		}
		if err := e.stage(ctx, after); err != nil {
			return 0, err
		}
		serial, done, err := e.exchangeRecords(ctx, before, after, r, resigned)
		if done {
			return serial, err
		}
	}
	return 0, fault.New(fault.Unavailable, "too much else is published just now").WithHint("try again in a moment; the draft is kept")
}

// worldWith is the world with one zone replaced, and signed where it is to be.
func (e *Engine) worldWith(ctx context.Context, before *world, src zone.Source) (after *world, others []string, err error) { // with signing held, where zones are signed
	c := before.contents
	at := slices.IndexFunc(c.Zones, func(z zone.Source) bool { return z.Apex == src.Apex })
	if at < 0 {
		return nil, nil, fault.New(fault.NotFound, "zone %s is not served here", src.Apex)
	}
	c.Zones = slices.Clone(c.Zones)
	c.Zones[at] = src
	if e.signs() && e.o.Signing != nil {
		e.mu.Lock()
		o := e.ordered.clone()
		e.mu.Unlock()
		job := signer.Job{Zones: c.Zones, Sites: map[string]zone.Positions{}, Serials: o.serials, Proofs: map[string][]string{}}
		job.Had, job.Wait = e.hadKeys()
		for _, s := range c.Sites {
			job.Sites[s.ID] = s.Positions
		}
		for name, p := range o.challenges() {
			job.Proofs[name] = p.Values
		}
		signed, _, err := e.o.Signing.Sign(job)
		if err != nil {
			return nil, nil, fmt.Errorf("sign the new records: %w", err)
		}
		if n := signatures(signed); n > maxSignatures {
			return nil, nil, fault.New(fault.Invalid, "the signed zones would have %d signatures, and %d can be handed to answer", n, maxSignatures).WithHint("sign fewer zones or smaller ones")
		}
		e.rememberKeys(ctx, signed)
		if !slices.EqualFunc(signed, c.Signed, dnssec.Zone.Equal) {
			others = resigned(c.Signed, signed)
			c.Signed = signed
		}
	}
	after, err = newWorld(c)
	return after, others, err
}

// exchangeRecords writes new records down and publishes them, where the world is still
// the one that they were made ready in.
func (e *Engine) exchangeRecords(ctx context.Context, before, after *world, r Records, resigned []string) (serial uint32, done bool, err error) {
	e.changing.Lock()
	defer e.changing.Unlock()
	if e.world() != before {
		return 0, false, nil
	}
	e.mu.Lock()
	err = e.connected()
	next := e.ordered.clone()
	e.mu.Unlock()
	if err != nil {
		return 0, true, err
	}
	writes := []store.Write{put(keySize+r.Zone.Apex, r.Count)}
	for _, z := range after.contents.Zones {
		if z.Apex == r.Zone.Apex || slices.Contains(resigned, z.Apex) {
			next.serials[z.Apex] = zone.NextSerial(next.serials[z.Apex])
			writes = append(writes, put(keySerial+z.Apex, next.serials[z.Apex]))
		}
	}
	serial = next.serials[r.Zone.Apex]
	if _, err := e.o.Store.Txn(ctx, r.Conds, append(writes, r.Writes(serial)...)); err != nil {
		return 0, true, err
	}
	e.o.Hook("records-written")
	e.enter(after)
	err = e.publish(ctx, next)
	switch {
	case err == nil || errors.Is(err, publish.ErrUnsure):
		e.resized(r)
	case fault.KindOf(err) == fault.Unavailable: // it has left: the next greeting publishes everything
		e.resized(r)
		e.mu.Lock()
		e.ordered = next
		e.mu.Unlock()
		err = fmt.Errorf("%w: %w", err, publish.ErrUnsure)
	default:
		e.enter(before)
		e.mu.Lock()
		e.ordered.serials = next.serials // the record has them
		e.mu.Unlock()
		err = errors.Join(err, ErrRecordsRefused)
	}
	e.bell.ring()
	return serial, true, err
}

// resized keeps how many records a zone has from now on: each greeting writes it down.
func (e *Engine) resized(r Records) { // with changing held, as whoever reads Sizes has
	e.o.Sizes = maps.Clone(e.o.Sizes)
	if e.o.Sizes == nil {
		e.o.Sizes = map[string]int{}
	}
	e.o.Sizes[r.Zone.Apex] = r.Count
}

// Zones are the zones as they are served, with all that follows sites.
func (e *Engine) Zones() []zone.Source { return slices.Clone(e.contents().Zones) }

// Sites are the positions of each site, by its id.
func (e *Engine) Sites() map[string]zone.Positions {
	out := map[string]zone.Positions{}
	for _, s := range e.contents().Sites {
		out[s.ID] = s.Positions
	}
	return out
}

// InCrisis says whether an incident is open that is no drill.
func (e *Engine) InCrisis() bool { return e.anyIncident() }
