package signer

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// parentEvery is how often a parent is asked whether it points at the next key.
const parentEvery = 5 * time.Minute

// LookUp asks the servers of an apex's parent which DS records they have: asked is
// false where not every one of them told, or not the same.
type LookUp func(ctx context.Context, apex string) (ds [][]byte, ttl time.Duration, asked bool)

// ErrKeyLost is in the chain of an error about a zone that had a key which is gone. No
// new one is made for it: the world holds answers that were signed with the old one, and
// a DS record that points at it. A person says that there is to be one (Folder.New).
var ErrKeyLost = errors.New("the key is lost")

// parentLimit bounds the question whether a parent knows of a key, before a first one is
// made.
const parentLimit = 5 * time.Second

// Options of a Signer. All but DS MUST be set.
type Options struct {
	Folder Folder
	Now    func() time.Time
	Logger *slog.Logger
	DS     LookUp // nil: nobody can be asked, and a roll-over waits

	// AskFirst has the parent asked before a zone's first key is made: one that points at a
	// key already knows of one that is not here.
	AskFirst bool
}

// Signer keeps the signatures of zones: made ahead, renewed, and kept on disk, so that a
// start has to make none. A roll-over is taken on by it.
//
// Concurrency: all methods may be called from any goroutine. Those that sign or change
// keys wait for one another; Zones and Made wait for none of them.
type Signer struct {
	o Options

	working sync.Mutex // held while signatures are made or keys changed; taken before mu

	mu    sync.Mutex // guards all below; written with working held, too
	zones map[string]*held
	made  uint64
	lost  map[string]string // by apex: why a key is known to be gone
}

// held is a zone as it was signed last. It is never changed, but replaced.
type held struct {
	keys    Keys
	z       *zone.Zone
	source  zone.Source
	sites   map[string]zone.Positions
	proofs  map[string][]string
	signed  dnssec.Zone
	ends    time.Time // the first signature
	at      time.Time // when it was signed
	fresh   bool      // the keys have changed since
	askedAt time.Time // the parent
}

// New makes a Signer.
func New(o Options) *Signer {
	return &Signer{o: o, zones: map[string]*held{}, lost: map[string]string{}}
}

// Job is what is to be signed.
type Job struct {
	Zones   []zone.Source // those with DNSSEC are
	Sites   map[string]zone.Positions
	Serials map[string]uint32   // by apex: the SOA is signed from here on
	Proofs  map[string][]string // by name, absolute: texts that its TXT records hold beside the zone's own

	// Had says, by apex, how it is known that a zone has had a key; Wait that this is not
	// known yet: then no first key is made, and a zone without one is left out.
	Had  map[string]string
	Wait bool
}

// Sign gives what it takes to answer the zones signed. Where nothing is missing, and
// nothing past half its time, nothing is made and changed is false: that costs a
// comparison, so that it may be called often.
func (s *Signer) Sign(j Job) (out []dnssec.Zone, changed bool, err error) {
	s.working.Lock()
	defer s.working.Unlock()
	var problems []error
	for _, src := range j.Zones {
		if !src.DNSSEC {
			continue
		}
		moved, err := s.zone(src, j)
		changed = changed || moved
		problems = append(problems, err)
		if h := s.get(src.Apex); h != nil && h.signed.Apex != "" {
			out = append(out, h.signed)
		}
	}
	return out, changed, errors.Join(problems...)
}

// get gives a zone as it was signed last, nil for none.
func (s *Signer) get(apex string) *held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zones[apex]
}

// put replaces a zone as it was signed last.
func (s *Signer) put(apex string, h held, made int) { // with working held
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[apex] = &h
	s.made += uint64(made)
}

// zone signs what one zone lacks.
func (s *Signer) zone(src zone.Source, j Job) (changed bool, err error) { // with working held
	now := s.o.Now()
	h, err := s.hold(src, j, now)
	if err != nil || h == nil {
		return false, err
	}
	w := Wanted{Zone: h.z, Sites: j.Sites, Serial: j.Serials[src.Apex], Proofs: j.Proofs}
	if !same(h.source, src) {
		if w.Zone, err = zone.Parse(src); err != nil {
			return false, err
		}
	}
	if w.Serial == 0 {
		w.Serial = max(uint32(now.Unix()), 1)
	}
	var made int
	var signed dnssec.Zone
	whole := h.fresh || w.Zone != h.z || !reflect.DeepEqual(h.sites, j.Sites) || h.ends.Sub(now) <= dnssec.Renewal || now.Before(h.at.Add(-dnssec.Backdate))
	switch {
	case whole:
		if used, in := h.used(w.Serial); in && used <= dnssec.SerialsAhead/2 {
			w.Serial = h.signed.First
		}
		signed, made, err = h.keys.Sign(w, h.signed, now)
	case h.low(w.Serial) || !reflect.DeepEqual(h.proofs, w.Proofs):
		if !h.low(w.Serial) {
			w.Serial = h.signed.First
		}
		signed, made, err = h.keys.Ahead(w, h.signed, now)
	default:
		return false, nil
	}
	if err != nil {
		return false, err
	}
	next := *h
	if whole {
		next.at = now
	}
	next.z, next.source, next.sites, next.proofs, next.signed, next.ends, next.fresh = w.Zone, src, j.Sites, w.Proofs, signed, signed.Expires(), false
	s.put(src.Apex, next, made)
	if whole {
		s.keep(signed)
	}
	s.o.Logger.Info("a zone was signed", "zone", src.Apex, "signatures", made, "until", next.ends)
	return true, nil
}

// same compares sources. Long texts that are the same string cost nothing.
func same(a, b zone.Source) bool { return reflect.DeepEqual(a, b) }

// used is how many serials before one of those that are signed; false when it is none
// of them.
func (h *held) used(serial uint32) (n int, in bool) {
	for at := h.signed.First; n < dnssec.SerialsAhead; n++ {
		if at == serial {
			return n, h.signed.SOA.Len() > 0
		}
		at = zone.NextSerial(at)
	}
	return n, false
}

// low says whether more than half of the serials that are signed are used up.
func (h *held) low(serial uint32) bool {
	used, in := h.used(serial)
	return !in || used > dnssec.SerialsAhead/2
}

// hold finds a zone's keys, and its signatures where it has some from before. It gives
// nil where a first key waits to be made.
func (s *Signer) hold(src zone.Source, j Job, now time.Time) (*held, error) { // with working held
	if h := s.get(src.Apex); h != nil && len(h.keys.Keys) > 0 {
		return h, nil
	}
	h := held{fresh: true}
	var made bool
	keys, missing := s.o.Folder.Load(src.Apex)
	if why := s.knownLost(src.Apex); why != "" && fault.KindOf(missing) == fault.NotFound {
		return nil, s.losing(src.Apex, why)
	}
	before, err := s.kept(src.Apex)
	if err != nil {
		s.o.Logger.Warn("kept signatures are made anew", "zone", src.Apex, "cause", err)
	}
	if h.keys, err = keys, missing; fault.KindOf(err) == fault.NotFound {
		switch why := s.had(src.Apex, before, j); {
		case why != "":
			err = s.losing(src.Apex, why)
		case j.Wait:
			return nil, nil
		default:
			h.keys, made, err = s.o.Folder.LoadOrMake(src.Apex, now)
		}
	}
	if err != nil {
		if before.Sets.Len() > 0 { // what was signed goes on as long as it may
			h.signed, h.ends = before, before.Expires()
			s.put(src.Apex, h, 0)
		}
		return nil, err
	}
	if made {
		s.o.Logger.Info("a zone has its first key", "zone", src.Apex, "tag", h.keys.Keys[0].Tag())
	}
	h.signed = before
	s.put(src.Apex, h, 0)
	s.found(src.Apex)
	return &h, nil
}

// had says how it is known that a zone had a key, "" where it is not.
func (s *Signer) had(apex string, before dnssec.Zone, j Job) string {
	switch {
	case before.Apex != "":
		return "its signatures are kept here"
	case j.Had[apex] != "":
		return j.Had[apex]
	case j.Wait || !s.o.AskFirst || s.o.DS == nil:
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), parentLimit)
	defer cancel()
	if ds, _, asked := s.o.DS(ctx, apex); asked && len(ds) > 0 {
		return "the zone above has a DS record of it"
	}
	return ""
}

// knownLost says how it is known already that a zone's key is gone.
func (s *Signer) knownLost(apex string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[apex]
}

// losing notes that a zone's key is gone, for as long as there is none.
func (s *Signer) losing(apex, why string) error { // with working held
	s.mu.Lock()
	s.lost[apex] = why
	s.mu.Unlock()
	return fault.New(fault.Invalid, "zone %s had a key (%s), and it is gone", apex, why).Because(ErrKeyLost).
		WithHint("put %s back from a backup; where it is lost for good, take the DS record out at the registrar, wait until its TTL is over, and then say: lifeboat zone new-key %s", s.o.Folder.path(apex), apex)
}

// found notes that a zone has a key.
func (s *Signer) found(apex string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lost, apex)
}

func (s *Signer) path(apex string) string {
	return strings.TrimSuffix(s.o.Folder.path(apex), ".keys") + ".signatures"
}

// kept reads what keep wrote; nothing is there at first.
func (s *Signer) kept(apex string) (signed dnssec.Zone, err error) {
	b, err := os.ReadFile(s.path(apex))
	if errors.Is(err, fs.ErrNotExist) {
		return dnssec.Zone{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &signed)
	}
	if err != nil || signed.Apex != apex {
		return dnssec.Zone{Apex: apex}, errors.Join(err, fault.New(fault.Invalid, "the kept signatures of zone %s can't be read", apex))
	}
	return signed, nil
}

// keep writes a zone's signatures, so that the next start makes none. Without, it makes
// them again.
func (s *Signer) keep(signed dnssec.Zone) {
	b, err := json.Marshal(signed)
	if err == nil {
		err = snapshot.WriteFile(s.path(signed.Apex), b)
	}
	if err != nil {
		s.o.Logger.Warn("signatures are not kept on disk; the next start makes them again", "zone", signed.Apex, "cause", err)
	}
}

// Roll begins a roll-over of a zone's key. The rest goes by itself (Tend), but for the
// DS record where the parent does not read CDS records.
func (s *Signer) Roll(apex string) error {
	s.working.Lock()
	defer s.working.Unlock()
	h := s.get(apex)
	if h == nil || h.z == nil {
		return fault.New(fault.NotFound, "there is no signed zone %s", apex).WithHint("see them with: lifeboat zone keys")
	}
	next, err := h.keys.Begin(s.o.Now())
	if err != nil {
		return err
	}
	return s.take(h, next)
}

// take puts keys in the place of a zone's: on disk first.
func (s *Signer) take(h *held, k Keys) error { // with working held
	if err := s.o.Folder.Save(h.signed.Apex, k); err != nil {
		return err
	}
	next := *h
	next.keys, next.fresh = k, true
	s.put(h.signed.Apex, next, 0)
	return nil
}

// Tend takes roll-overs on where it is time, or the parent points at the next key. It
// touches nothing while an incident is open. What it changed, Sign gives next.
func (s *Signer) Tend(ctx context.Context, incident bool) {
	for _, apex := range s.rolling() {
		f := dnssec.Facts{Incident: incident}
		if s.asks(apex) && !incident && s.o.DS != nil {
			f.DS, f.DSTTL, f.Asked = s.o.DS(ctx, apex)
		}
		s.step(apex, f)
	}
}

// rolling are the zones with a roll-over.
func (s *Signer) rolling() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for apex, h := range s.zones {
		if h.keys.Roll.Step != dnssec.Calm {
			out = append(out, apex)
		}
	}
	return out
}

// asks says whether the parent is to be asked now.
func (s *Signer) asks(apex string) bool {
	s.working.Lock()
	defer s.working.Unlock()
	h, now := s.get(apex), s.o.Now()
	if !h.keys.Roll.NeedsDS() || now.Sub(h.askedAt) < parentEvery && !now.Before(h.askedAt) {
		return false
	}
	next := *h
	next.askedAt = now
	s.put(apex, next, 0)
	return true
}

func (s *Signer) step(apex string, f dnssec.Facts) {
	s.working.Lock()
	defer s.working.Unlock()
	h := s.get(apex)
	if h.z == nil {
		return
	}
	for r := range h.z.Each() {
		f.Longest = max(f.Longest, time.Duration(r.TTL)*time.Second)
	}
	for _, n := range h.z.Follow() {
		f.Longest = max(f.Longest, time.Duration(n.TTL)*time.Second)
	}
	next, moved := h.keys.Step(h.z.ApexWire(), f, s.o.Now())
	if !moved {
		return
	}
	if err := s.take(h, next); err != nil {
		s.o.Logger.Warn("a roll-over waits", "zone", apex, "cause", err)
		return
	}
	s.o.Logger.Info("a roll-over goes on", "zone", apex, "step", string(next.Roll.Step), "says", next.Roll.Words())
}

// ZoneView is how a signed zone is doing.
type ZoneView struct {
	Apex       string      `json:"apex"`
	Keys       []KeyView   `json:"keys"`
	DS         []string    `json:"ds" doc:"data of the DS records that the parent should have"`
	Step       dnssec.Step `json:"step,omitempty" doc:"of a roll-over: publish, ds, spread or switch"`
	Says       string      `json:"says" doc:"where the key stands, in a sentence"`
	Since      time.Time   `json:"since,omitzero" doc:"when the step began"`
	Until      time.Time   `json:"until,omitzero" doc:"when the first answer ceases to validate unless it is signed again"`
	Signatures int         `json:"signatures"`
}

// KeyView is a key's public side.
type KeyView struct {
	Tag    uint16    `json:"tag"`
	Made   time.Time `json:"made"`
	Signs  bool      `json:"signs" doc:"the zone is signed with it"`
	DNSKEY string    `json:"dnskey" doc:"data of its DNSKEY record"`
}

// Zones say how the signed zones are doing, by apex.
func (s *Signer) Zones() (out []ZoneView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for apex, h := range s.zones {
		if h.z == nil {
			out = append(out, ZoneView{Apex: apex, Says: s.missing(apex), Until: h.ends, Signatures: h.signed.Sets.Len() + h.signed.SOA.Len()})
			continue
		}
		out = append(out, h.keys.view(apex, h.z.ApexWire(), h.signed, h.ends))
	}
	for apex := range s.lost {
		if s.zones[apex] == nil {
			out = append(out, ZoneView{Apex: apex, Says: s.missing(apex)})
		}
	}
	return sorted(out)
}

// missing says why a zone has no key.
func (s *Signer) missing(apex string) string { // with mu held
	if s.lost[apex] == "" {
		return "The key can't be read."
	}
	return "The key is gone, and no new one is made: put it back from a backup."
}

// Made is how many signatures were made since the start.
func (s *Signer) Made() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made
}
