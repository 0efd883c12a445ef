package authdns

import (
	"bytes"
	"encoding/binary"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// Challenge is what a name's TXT records hold besides those of its zone until a
// time, and no more from then on: proofs for a certificate authority (RFC 8555
// section 8.4).
type Challenge struct {
	Values []string // each a character-string: 255 octets at most
	Until  time.Time
}

// nodeOf is a node of a zone.
type nodeOf struct{ zone, node int32 }

// challenge is a node's TXT set with its proofs, ready to be sent.
type challenge struct {
	set   body
	over  body // the signatures over it, in a signed zone
	until time.Time
}

// addChallenges builds the sets of names with proofs. A name without TXT records of
// its own is passed over: its existence must not change with a proof.
func (v *View) addChallenges(o Orders) error {
	v.now = o.Now
	if v.now == nil {
		v.now = time.Now
	}
	for name, c := range o.Challenges {
		if len(c.Values) > zone.MaxProofs {
			return fault.New(fault.Invalid, "%s has %d proofs, %d are the most", name, len(c.Values), zone.MaxProofs).WithHint("take old ones back first")
		}
		wire, err := zone.Pack(name)
		if err != nil {
			return fault.New(fault.Invalid, "the proof of %q: %v", name, err)
		}
		name, labels := []byte(wire), countLabels([]byte(wire))
		z := v.table.zoneOf(name, labels)
		if z == none || len(c.Values) == 0 {
			continue
		}
		p := v.table.zones[z].Prepared
		n, exact, _ := p.find(name, labels)
		own := p.setOf(n, typeTXT)
		if !exact || own.count == 0 {
			continue
		}
		set, err := withProofs(body{own.count, p.body(own)}, c.Values)
		if err != nil {
			return err
		}
		c := challenge{set: set, until: c.Until}
		if p.signed != nil {
			if c.over, exact = p.overMore(n, set); !exact {
				continue // it would not validate; it has its turn when it is signed
			}
		}
		if v.challenges == nil {
			v.challenges = map[nodeOf]challenge{}
		}
		v.challenges[nodeOf{z, n}] = c
	}
	return nil
}

// ChallengeTTL is the most that a set with proofs may be kept, in seconds.
const ChallengeTTL = 10

// withProofs is a TXT set with proofs behind its own records, all with one TTL.
func withProofs(own body, values []string) (body, error) {
	ttl := min(binary.BigEndian.Uint32(own.wire[6:]), ChallengeTTL)
	var b body
	for rest := own.wire; len(rest) > 0; b.count++ {
		_, data, others := cutRecord(rest)
		b.wire, rest = appendRecord(b.wire, typeTXT, ttl, data), others
	}
	for _, text := range values {
		if !zone.IsProof(text) {
			return body{}, fault.New(fault.Invalid, "%.40q can't be a proof", text).WithHint("it is printable, without spaces, and has %d octets at most", zone.MaxProof)
		}
		data := append([]byte{byte(len(text))}, text...)
		if !holds(b.wire, data) { // a set has no record twice (RFC 2181 section 5)
			b.wire = appendRecord(b.wire, typeTXT, ttl, data)
			b.count++
		}
	}
	return b, nil
}

func holds(set, data []byte) bool {
	for len(set) > 0 {
		var one []byte
		if _, one, set = cutRecord(set); bytes.Equal(one, data) {
			return true
		}
	}
	return false
}

// challenge is the set that stands for a node's own while its proofs last. Only
// names with proofs, asked for TXT, cost a look at the clock.
func (v *View) challenge(zone, n int32, typ uint16) (c challenge, ok bool) {
	if typ != typeTXT || len(v.challenges) == 0 {
		return c, false
	}
	c, ok = v.challenges[nodeOf{zone, n}]
	return c, ok && v.now().Before(c.until)
}
