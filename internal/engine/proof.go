package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
)

// Bounds of proofs for certificate authorities.
const (
	maxProofBytes = 12 << 10       // of all, with their names: the manifest carries them, and answer's slots are small
	maxProofTime  = 24 * time.Hour // that one is kept
)

// proofs are a name's proofs: when each is over.
type proofs map[string]time.Time

// Challenge is what certificate authorities find at a name, and where.
type Challenge struct {
	Name   string    `json:"name" doc:"where the proofs are, by way of CNAME records too" example:"_acme-challenge.shop.example.com."`
	Values []string  `json:"values"`
	Until  time.Time `json:"until" doc:"then they are gone by themselves"`
}

// PutChallenge has answer give out proofs that a name is ours (RFC 8555 section 8.4),
// beside those that are there, for as long as ttl says. It returns once answer has
// them. The owner is found by zone.ChallengeAt.
func (e *Engine) PutChallenge(ctx context.Context, name string, values []string, ttl time.Duration) (Challenge, error) {
	if err := checkProofs(values, ttl); err != nil {
		return Challenge{}, err
	}
	owner, apex, err := zone.ChallengeAt(name, e.zoneOf)
	if err != nil {
		return Challenge{}, err
	}
	now := e.o.Now().UTC()
	var out Challenge
	err = e.changeProofs(ctx, []string{apex}, func(next *ordered) error {
		kept := next.proofs[owner].after(now)
		for _, v := range values {
			if until := now.Add(ttl); until.After(kept[v]) {
				kept[v] = until
			}
		}
		if len(kept) > zone.MaxProofs {
			return fault.New(fault.Invalid, "%s would have %d proofs, %d are the most", owner, len(kept), zone.MaxProofs).
				WithHint("take the old ones back, or wait until they are over: lifeboat zone challenge")
		}
		if next.proofs[owner] = kept; next.proofBytes() > maxProofBytes {
			return fault.New(fault.Invalid, "there would be more than %d bytes of proofs", maxProofBytes).WithHint("take some back, or wait until they are over: lifeboat zone challenge")
		}
		out = kept.challenge(owner)
		return nil
	})
	return out, err
}

func checkProofs(values []string, ttl time.Duration) error {
	if len(values) == 0 {
		return fault.New(fault.Invalid, "no proof is given").WithHint("give what the certificate authority asked for: 43 letters and figures")
	}
	for _, v := range values {
		if !zone.IsProof(v) {
			return fault.New(fault.Invalid, "%.40q can't be a proof", v).WithHint("it is printable, without spaces, and has %d octets at most", zone.MaxProof)
		}
	}
	if ttl < time.Second || ttl > maxProofTime {
		return fault.New(fault.Invalid, "a proof can't be kept for %s", ttl).WithHint("say 1s to 24h; 10m is usual")
	}
	return nil
}

// DropChallenge takes proofs of a name back, all of them when no values are given. It
// is not an error when they are gone already.
func (e *Engine) DropChallenge(ctx context.Context, name string, values []string) error {
	owner, apex, err := zone.ChallengeAt(name, e.zoneOf)
	if err != nil {
		return err
	}
	e.mu.Lock()
	there := e.ordered.proofs[owner]
	e.mu.Unlock()
	if !slices.ContainsFunc(values, func(v string) bool { return !there[v].IsZero() }) && (len(values) > 0 || len(there) == 0) {
		return nil
	}
	now := e.o.Now() // one for both: what is signed is what is given out
	return e.changeProofs(ctx, []string{apex}, func(next *ordered) error {
		kept := next.proofs[owner].after(now)
		for _, v := range values {
			delete(kept, v)
		}
		if next.proofs[owner] = kept; len(kept) == 0 || len(values) == 0 {
			delete(next.proofs, owner)
		}
		return nil
	})
}

// Challenges are the proofs that are given out, by name.
func (e *Engine) Challenges(context.Context) ([]Challenge, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []Challenge{}
	for _, owner := range slices.Sorted(maps.Keys(e.ordered.proofs)) {
		if kept := e.ordered.proofs[owner].after(e.o.Now()); len(kept) > 0 {
			out = append(out, kept.challenge(owner))
		}
	}
	return out, nil
}

// forgetProofs takes back what is over: answer has dropped it by itself, but
// secondaries learn of it by the zone's serial.
func (e *Engine) forgetProofs(ctx context.Context) {
	now := e.o.Now()
	over := map[string]bool{}
	e.mu.Lock()
	for owner, p := range e.ordered.proofs {
		if len(p.after(now)) == 0 {
			over[owner] = true
		}
	}
	ready := e.ready
	e.mu.Unlock()
	if len(over) == 0 || !ready {
		return
	}
	var apexes []string
	for owner := range over {
		if z, ok := e.sourceOf(owner); ok && !slices.Contains(apexes, z.Apex) {
			apexes = append(apexes, z.Apex)
		}
	}
	err := e.changeProofs(ctx, apexes, func(next *ordered) error {
		maps.DeleteFunc(next.proofs, func(owner string, p proofs) bool { return len(p.after(now)) == 0 })
		return nil
	})
	if err != nil && ctx.Err() == nil {
		e.o.Logger.Warn("proofs that are over could not be taken back; answer gives them out no more", "cause", err)
	}
}

// changeProofs changes proofs and the serials of their zones: first in the record, so
// that a control that starts anew knows them, then at answer.
func (e *Engine) changeProofs(ctx context.Context, apexes []string, f func(next *ordered) error) error {
	if e.signs() { // a proof is signed before it is given out
		e.signing.Lock()
		defer e.signing.Unlock()
		e.mu.Lock()
		draft := e.ordered.clone()
		e.mu.Unlock()
		if err := f(&draft); err != nil {
			return err
		}
		if err := e.signFor(ctx, draft); err != nil {
			return err
		}
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	err := e.connected()
	before := e.ordered
	next := e.ordered.clone()
	e.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f(&next); err != nil {
		return err
	}
	var w []store.Write
	for owner := range before.proofs {
		if _, kept := next.proofs[owner]; !kept {
			w = append(w, store.Write{Key: keyProofs + owner, Delete: true})
		}
	}
	for owner, p := range next.proofs {
		if !maps.Equal(p, before.proofs[owner]) {
			w = append(w, put(keyProofs+owner, p))
		}
	}
	for _, apex := range apexes {
		next.serials[apex] = zone.NextSerial(next.serials[apex])
		w = append(w, put(keySerial+apex, next.serials[apex]))
	}
	if _, err := e.o.Store.Txn(ctx, nil, w); err != nil {
		return err
	}
	if err = e.publish(ctx, next); errors.Is(err, publish.ErrUnsure) {
		return fault.New(fault.Unavailable, "answer has not said that it gives the proofs out").Because(err).WithHint("ask the name servers: dig TXT at the name")
	}
	return err
}

// sourceOf is the zone of ours that a name lies in, the deepest.
func (e *Engine) sourceOf(name string) (found zone.Source, ok bool) {
	for _, z := range e.contents().Zones {
		if (name == z.Apex || strings.HasSuffix(name, "."+z.Apex)) && len(z.Apex) > len(found.Apex) {
			found, ok = z, true
		}
	}
	return found, ok
}

// zoneOf reads the zone of ours that a name lies in; nil when none does.
func (e *Engine) zoneOf(name string) (*zone.Zone, error) {
	src, ok := e.sourceOf(name)
	if !ok {
		return nil, nil
	}
	return zone.Parse(src)
}

// proofBytes is about what all proofs take in a manifest.
func (o ordered) proofBytes() (n int) {
	for owner, p := range o.proofs {
		n += len(owner) + 64
		for v := range p {
			n += len(v) + 4
		}
	}
	return n
}

// after are the proofs that are not over.
func (p proofs) after(now time.Time) proofs {
	out := proofs{}
	for v, until := range p {
		if now.Before(until) {
			out[v] = until
		}
	}
	return out
}

// challenge is what a name's proofs look like from outside. They are over together:
// with the last of them, so that a name has two answers and no more.
func (p proofs) challenge(owner string) Challenge {
	c := Challenge{Name: owner, Values: slices.Sorted(maps.Keys(p))}
	for _, until := range p {
		if until.After(c.Until) {
			c.Until = until
		}
	}
	return c
}

// challenges are the proofs as the manifest carries them.
func (o ordered) challenges() map[string]snapshot.Challenge {
	if len(o.proofs) == 0 {
		return nil
	}
	out := map[string]snapshot.Challenge{}
	for owner, p := range o.proofs {
		c := p.challenge(owner)
		out[owner] = snapshot.Challenge{Values: c.Values, Until: c.Until}
	}
	return out
}
