package dnssec

import (
	"slices"
	"time"
)

// Step is where the roll-over of a zone's key stands. A zone has one key that signs
// all, and a roll-over brings the next one in between its caches' times (RFC 6781
// section 4.1.3, RFC 7583): nobody who validates is ever without a way.
type Step string

// The steps, in order.
const (
	Calm    Step = ""        // one key, which signs
	Publish Step = "publish" // the next key stands in the zone, too; caches come to hold it
	AwaitDS Step = "ds"      // the parent is asked, by CDS and CDNSKEY, to point at the next key alone
	Spread  Step = "spread"  // it does; caches forget where it pointed before
	Switch  Step = "switch"  // the next key signs; caches forget what the old one has signed
)

// margin is waited beside each time of a cache: for secondaries, and for clocks.
const margin = time.Hour

// Roll is a roll-over.
type Roll struct {
	Step  Step          `json:"step,omitempty"`
	Since time.Time     `json:"since,omitzero"`
	DSTTL time.Duration `json:"ds_ttl,omitempty"` // of the DS set that was seen at the parent
}

// Begin begins a roll-over.
func Begin(now time.Time) Roll { return Roll{Step: Publish, Since: now} }

// Facts are what a step depends on.
type Facts struct {
	Incident bool          // one is open: neither keys nor DS are touched
	KeyTTL   time.Duration // of the zone's DNSKEY set
	Longest  time.Duration // TTL in the zone
	Asked    bool          // every server of the parent has told its DS set, and all the same
	DS       [][]byte      // what they told
	DSTTL    time.Duration
	Next     []byte // the DS data of the next key
}

// Due is when the step may end, as far as that is a matter of time.
func (r Roll) Due(f Facts) time.Time {
	switch r.Step {
	case Publish:
		return r.Since.Add(f.KeyTTL + margin)
	case Spread:
		return r.Since.Add(r.DSTTL + margin)
	case Switch:
		return r.Since.Add(f.Longest + margin)
	}
	return r.Since
}

// NeedsDS says whether the parent is to be asked what it points at.
func (r Roll) NeedsDS() bool { return r.Step == AwaitDS }

// Next is the roll-over after what has become known; moved is false where it stays.
// It ends in Calm, with the next key in the old one's place.
func (r Roll) Next(f Facts, now time.Time) (next Roll, moved bool) {
	if r.Step == Calm || f.Incident || now.Before(r.Due(f)) {
		return r, false
	}
	switch r.Step {
	case Publish:
		return Roll{Step: AwaitDS, Since: now}, true
	case AwaitDS:
		same := func(ds []byte) bool { return slices.Equal(ds, f.Next) }
		if !f.Asked || !slices.ContainsFunc(f.DS, same) {
			return r, false
		}
		return Roll{Step: Spread, Since: now, DSTTL: f.DSTTL}, true
	case Spread:
		return Roll{Step: Switch, Since: now}, true
	}
	return Roll{}, true
}

// Roles are what the keys of a zone do at a step. Keys are given by their place: 0 is
// the one that was there first, 1 the next.
type Roles struct {
	Keys   []int // that stand in the zone, and sign the DNSKEY, CDS and CDNSKEY sets
	Signs  int   // all others
	Parent int   // that CDS and CDNSKEY have the parent point at
}

// Roles are those of the step.
func (r Roll) Roles() Roles {
	switch r.Step {
	case Publish:
		return Roles{Keys: []int{0, 1}}
	case AwaitDS, Spread:
		return Roles{Keys: []int{0, 1}, Parent: 1}
	case Switch:
		return Roles{Keys: []int{0, 1}, Signs: 1, Parent: 1}
	}
	return Roles{Keys: []int{0}}
}

// Words say what a step waits for, in a sentence.
func (r Roll) Words() string {
	switch r.Step {
	case Publish:
		return "The next key stands in the zone and waits until every resolver can know it."
	case AwaitDS:
		return "The next key waits for its DS record at the parent. Give it to the registrar, unless the registrar reads CDS records."
	case Spread:
		return "The parent points at the next key. Resolvers forget the old DS record."
	case Switch:
		return "The next key signs. Resolvers forget the old signatures."
	}
	return "One key signs the zone."
}
