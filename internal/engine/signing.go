package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// Signing makes the signatures of zones ahead and keeps their keys; *signer.Signer is
// one. Sign must cost next to nothing where nothing is missing.
type Signing interface {
	Sign(j signer.Job) (signed []dnssec.Zone, changed bool, err error)
	Tend(ctx context.Context, incident bool)
	Roll(apex string) error
	Zones() []signer.ZoneView
	Made() uint64
}

// signs says whether any zone is to be signed.
func (e *Engine) signs() bool {
	return slices.ContainsFunc(e.contents().Zones, func(z zone.Source) bool { return z.DNSSEC })
}

// sign has what signatures are missing made, and puts them among what is published
// next. It runs beside acts, which only order a position that is signed already. An
// error leaves the zones that it is about with the signatures that they had; one that
// never had any is published not at all.
func (e *Engine) sign(ctx context.Context) error {
	if !e.signs() {
		return nil
	}
	if e.o.Signing == nil {
		return fault.New(fault.NotSupported, "zones are to be signed, and there is nobody to sign them")
	}
	e.signing.Lock()
	defer e.signing.Unlock()
	e.mu.Lock()
	o := e.ordered.clone()
	e.mu.Unlock()
	return e.signFor(ctx, o)
}

// signFor signs what is to be answered by orders that may be given next, and has answer
// make it ready. All that takes time is done without a lock that an act waits for: what
// was signed holds for every position, so that a move meanwhile takes nothing from it.
func (e *Engine) signFor(ctx context.Context, o ordered) error { // with signing held
	job := signer.Job{Zones: e.contents().Zones, Sites: map[string]zone.Positions{}, Serials: o.serials, Proofs: map[string][]string{}}
	for _, s := range e.contents().Sites {
		job.Sites[s.ID] = s.Positions
	}
	for name, c := range o.challenges() {
		job.Proofs[name] = c.Values
	}
	signed, _, err := e.o.Signing.Sign(job)
	if n := signatures(signed); n > maxSignatures {
		return fault.New(fault.Invalid, "the signed zones have %d signatures, and %d can be handed to answer", n, maxSignatures).
			WithHint("sign fewer zones or smaller ones: a name takes about three, one that follows a site three for each position")
	}
	if slices.EqualFunc(signed, e.contents().Signed, dnssec.Zone.Equal) {
		return err
	}
	for {
		before := e.world()
		c := before.contents
		c.Signed = signed
		after, failed := newWorld(c) // what takes time is done while acts go on
		if failed != nil {
			return fmt.Errorf("put the signatures into the snapshot: %w", failed)
		}
		if failed := e.stage(ctx, after); failed != nil { // answer goes on with what it has
			return errors.Join(err, failed)
		}
		e.o.Hook("signed")
		if e.exchange(before, after, resigned(before.contents.Signed, signed)) {
			return err
		}
	}
}

// maxSignatures bounds what control and answer hold: each takes some 100 bytes in the
// snapshot and on disk, and some 300 at answer.
const maxSignatures = 3_000_000

// stageLimit is how long answer may take to make a snapshot ready.
const stageLimit = 5 * time.Minute

// stage has answer make ready what is published next. Without an answer, or with one that
// knows nothing of it, it is sent when it is published. No lock that an act needs may be
// held.
func (e *Engine) stage(ctx context.Context, w *world) error {
	s, can := e.getFeed().(Stager)
	if !can {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stageLimit)
	defer cancel()
	return s.Stage(ctx, w.refs, w.parts)
}

func signatures(zones []dnssec.Zone) (n int) {
	for _, z := range zones {
		n += z.Sets.Len() + z.SOA.Len() + z.More.Len()
	}
	return n
}

// allSigned says whether each zone that is to be signed has signatures. Without, answer
// would refuse everything.
func (e *Engine) allSigned() bool {
	c := e.contents()
	for _, z := range c.Zones {
		if z.DNSSEC && !slices.ContainsFunc(c.Signed, func(s dnssec.Zone) bool { return s.Apex == z.Apex }) {
			return false
		}
	}
	return true
}

// exchange puts a world in the place of the one that it was made from; false where that
// is not the one any more. The serials of some zones grow, so that secondaries get the
// new signatures.
func (e *Engine) exchange(before, after *world, grown []string) bool {
	e.changing.Lock()
	defer e.changing.Unlock()
	if e.world() != before {
		return false
	}
	e.enter(after)
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.ordered.clone()
	for _, apex := range grown {
		if serial := next.serials[apex]; serial != 0 {
			next.serials[apex] = zone.NextSerial(serial)
		}
	}
	e.ordered = next
	return true
}

// resigned are the zones whose keys or signatures are others than before, those over the
// SOA aside.
func resigned(before, after []dnssec.Zone) (apexes []string) {
	for _, z := range after {
		i := slices.IndexFunc(before, func(o dnssec.Zone) bool { return o.Apex == z.Apex })
		if i >= 0 && !z.SameSets(before[i]) {
			apexes = append(apexes, z.Apex)
		}
	}
	return apexes
}

// tendSigning does what time brings to signed zones: signatures past half their time
// are made anew, serials are signed further ahead, a roll-over goes on. An incident
// holds up the roll-over alone.
func (e *Engine) tendSigning(ctx context.Context) {
	if !e.signs() || e.o.Signing == nil || !e.tending.TryLock() { // the last one still asks a parent
		return
	}
	defer e.tending.Unlock()
	e.o.Signing.Tend(ctx, e.anyIncident())
	err := e.sign(ctx)
	e.mu.Lock()
	said := e.unsigned
	e.unsigned = ""
	if err != nil {
		e.unsigned = err.Error()
	}
	fresh := e.unsigned != "" && e.unsigned != said
	e.mu.Unlock()
	if fresh {
		e.o.Logger.Error("the zones could not be signed anew; answers go out with the signatures that there are", "cause", err)
	}
	e.catchUp(ctx)
}

// anyIncident says whether an incident is open that is no drill.
func (e *Engine) anyIncident() bool {
	for _, id := range e.ids {
		r := e.runners[id]
		if !r.mu.TryLock() { // an act is under way
			return true
		}
		open := r.in.Phase.Open() && !r.in.Drill
		r.mu.Unlock()
		if open {
			return true
		}
	}
	return false
}

// SigningView is how the signed zones are doing.
type SigningView struct {
	Zones   []signer.ZoneView `json:"zones"`
	Until   time.Time         `json:"until,omitzero" doc:"when the first answer ceases to validate if control were gone from now on"`
	Problem string            `json:"problem,omitempty"`
	Made    uint64            `json:"made" doc:"signatures since the start"`
}

// Signing says how the signed zones are doing; nil where no zone is signed.
func (e *Engine) Signing() *SigningView {
	if !e.signs() || e.o.Signing == nil {
		return nil
	}
	v := &SigningView{Zones: e.o.Signing.Zones(), Made: e.o.Signing.Made()}
	for _, z := range v.Zones {
		if v.Until.IsZero() || z.Until.Before(v.Until) {
			v.Until = z.Until
		}
	}
	e.mu.Lock()
	v.Problem = e.unsigned
	e.mu.Unlock()
	return v
}

// Days is for how many whole days answers validate without control.
func (v SigningView) Days(now time.Time) int { return max(int(v.Until.Sub(now)/(24*time.Hour)), 0) }

// RollKey begins a roll-over of a zone's key. It waits while an incident is open: keys
// are not touched then.
func (e *Engine) RollKey(ctx context.Context, apex string) error {
	if !e.signs() || e.o.Signing == nil {
		return fault.New(fault.NotFound, "no zone is signed").WithHint("say dnssec: true at a zone in the configuration")
	}
	if e.anyIncident() {
		return fault.New(fault.Refused, "an incident is open, and keys are not touched during one").WithHint("begin the roll-over when it is closed")
	}
	if err := e.o.Signing.Roll(apex); err != nil {
		return err
	}
	e.o.Logger.Info("a roll-over of a zone's key was begun", "zone", apex)
	e.later("sign with the next key", e.tendSigning)
	return nil
}
