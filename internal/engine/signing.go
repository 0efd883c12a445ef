package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/signer"
	"lifeboat/internal/store"
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
	job.Had, job.Wait = e.hadKeys()
	for _, s := range e.contents().Sites {
		job.Sites[s.ID] = s.Positions
	}
	for name, c := range o.challenges() {
		job.Proofs[name] = c.Values
	}
	signed, _, err := e.o.Signing.Sign(job)
	e.rememberKeys(ctx, signed)
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
	e.noteSigning(e.sign(ctx))
	e.catchUp(ctx)
}

// noteSigning keeps why zones could not be signed, for people to see, and gives it back.
func (e *Engine) noteSigning(err error) error {
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
	return err
}

// keySigned is APEX → the tags of the zone's keys. Who finds that there were some, and
// none is here, does not make others in silence.
const keySigned = "signed/"

// loadKeys reads which zones have had keys.
func (e *Engine) loadKeys(ctx context.Context) error {
	tags := map[string][]uint16{}
	if err := list(ctx, e.o.Store, keySigned, tags); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keyed = tags
	return nil
}

// hadKeys says how it is known of zones that they had a key: from the record, and from
// answer, which is to be heard before one is made.
func (e *Engine) hadKeys() (had map[string]string, wait bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	had = map[string]string{}
	for apex, tags := range e.servedKeys {
		had[apex] = "answer serves it signed with key " + figures(tags)
	}
	for apex, tags := range e.keyed {
		had[apex] = "the record knows of key " + figures(tags)
	}
	return had, e.servedKeys == nil
}

func figures(tags []uint16) string {
	out := make([]string, len(tags))
	for i, t := range tags {
		out[i] = fmt.Sprint(t)
	}
	return strings.Join(out, " and ")
}

// hear notes with which keys answer serves zones signed.
func (e *Engine) hear(keys map[string][]uint16) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.servedKeys = keys; keys == nil {
		e.servedKeys = map[string][]uint16{}
	}
}

// rememberKeys writes down which keys zones have. What could not be written is tried
// again.
func (e *Engine) rememberKeys(ctx context.Context, signed []dnssec.Zone) {
	var writes []store.Write
	fresh := map[string][]uint16{}
	e.mu.Lock()
	for _, z := range signed {
		if tags := z.Tags(); !slices.Equal(tags, e.keyed[z.Apex]) {
			fresh[z.Apex] = tags
			writes = append(writes, put(keySigned+z.Apex, tags))
		}
	}
	wait := e.servedKeys == nil
	e.mu.Unlock()
	if len(writes) == 0 || wait { // before answer was heard it is not known whether this record is the right one
		return
	}
	if _, err := e.o.Store.Txn(ctx, nil, writes); err != nil {
		e.o.Logger.Warn("it is not written down yet which keys zones have", "cause", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keyed = maps.Clone(e.keyed)
	maps.Copy(e.keyed, fresh)
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
		if !z.Until.IsZero() && (v.Until.IsZero() || z.Until.Before(v.Until)) {
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
