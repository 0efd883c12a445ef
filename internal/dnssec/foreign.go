package dnssec

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// Foreign is what a zone's own primary has signed of it, as it came: a secondary passes
// signatures on and makes none (RFC 4035 section 3). It is never changed.
type Foreign struct {
	Sets  []ForeignSet // ordered by owner and type, the SOA's among them
	Chain []ForeignSet // the NSEC records with the signatures over them, in canonical order from the apex on
	Ends  time.Time    // when the first signature ends
}

// ForeignSet is the signatures over a set.
type ForeignSet struct {
	Owner string // wire form, lower case
	Type  uint16 // that is signed
	NSEC  zone.Record
	Over  []zone.Record // RRSIG records
}

// ReadForeign finds what is signed among the records of a zone with an apex in wire form;
// nil where nothing is. A zone that could not be answered so that validators take it is a
// fault.Invalid: without signatures over its SOA and its keys, with a chain of NSEC
// records that is not whole, or with NSEC3.
func ReadForeign(apex string, records []zone.Record) (*Foreign, error) {
	f := &Foreign{}
	at := map[setKey]int{}
	chain := map[string]zone.Record{}
	hashed := false
	for _, r := range records {
		switch r.Type {
		case TypeRRSIG:
			if err := f.add(at, r); err != nil {
				return nil, err
			}
		case TypeNSEC:
			if _, twice := chain[r.Owner]; twice {
				return nil, foreignFault("%s has two NSEC records", zone.Unpack(r.Owner))
			}
			chain[r.Owner] = r
		case typeNSEC3, typeNSEC3PARAM:
			hashed = true
		}
	}
	if len(f.Sets)+len(chain) == 0 {
		return nil, nil
	}
	if hashed || len(chain) == 0 {
		return nil, foreignFault("it proves with NSEC3 records, or not at all, which names are not there").
			WithHint("have its primary sign with NSEC (BIND: nsec3param none; Knot: nsec3: off), and lifeboat serves it signed; or have it send an unsigned copy")
	}
	for _, typ := range []uint16{typeSOA, TypeDNSKEY} {
		if _, signed := at[setKey{apex, typ}]; !signed {
			return nil, foreignFault("its %s record has no signature", map[uint16]string{typeSOA: "SOA", TypeDNSKEY: "DNSKEY"}[typ])
		}
	}
	return f, f.link(apex, at, chain)
}

// Types of denials that are hashed (RFC 5155).
const (
	typeNSEC3      = 50
	typeNSEC3PARAM = 51
)

// foreignFault says what is wrong with what somebody else has signed.
func foreignFault(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "the zone is signed, and can't be served so that it validates: "+format, args...).
		WithHint("look at the zone at its primary, for instance with: dnssec-verify, or have it send an unsigned copy")
}

type setKey struct {
	owner string
	typ   uint16
}

// add takes a signature (RFC 4034 section 3.1).
func (f *Foreign) add(at map[setKey]int, r zone.Record) error {
	const least = 18 + 1
	if len(r.Data) < least {
		return foreignFault("a signature of %s is cut short", zone.Unpack(r.Owner))
	}
	k := setKey{r.Owner, binary.BigEndian.Uint16(r.Data)}
	i, known := at[k]
	if !known {
		i = len(f.Sets)
		at[k] = i
		f.Sets = append(f.Sets, ForeignSet{Owner: k.owner, Type: k.typ})
	}
	f.Sets[i].Over = append(f.Sets[i].Over, r)
	if end := time.Unix(int64(binary.BigEndian.Uint32(r.Data[8:])), 0).UTC(); f.Ends.IsZero() || end.Before(f.Ends) {
		f.Ends = end
	}
	return nil
}

// link makes the chain, and sees that it is one.
func (f *Foreign) link(apex string, at map[setKey]int, chain map[string]zone.Record) error {
	for owner, r := range chain {
		i, signed := at[setKey{owner, TypeNSEC}]
		if !signed {
			return foreignFault("the NSEC record of %s has no signature", zone.Unpack(owner))
		}
		f.Chain = append(f.Chain, ForeignSet{Owner: owner, Type: TypeNSEC, NSEC: r, Over: f.Sets[i].Over})
	}
	order := map[string][]byte{}
	for _, l := range f.Chain {
		order[l.Owner] = Order(nil, l.Owner)
	}
	slices.SortFunc(f.Chain, func(a, b ForeignSet) int { return bytes.Compare(order[a.Owner], order[b.Owner]) })
	if f.Chain[0].Owner != apex {
		return foreignFault("the chain of its NSEC records does not begin at the apex")
	}
	for i, l := range f.Chain {
		next := f.Chain[(i+1)%len(f.Chain)].Owner
		size := nameLen(l.NSEC.Data)
		if size == 0 || !bytes.EqualFold(l.NSEC.Data[:size], []byte(next)) {
			return foreignFault("the chain of its NSEC records is broken behind %s", zone.Unpack(l.Owner))
		}
	}
	f.Sets = slices.DeleteFunc(f.Sets, func(s ForeignSet) bool { return s.Type == TypeNSEC })
	slices.SortFunc(f.Sets, func(a, b ForeignSet) int { return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Type, b.Type)) })
	return nil
}
