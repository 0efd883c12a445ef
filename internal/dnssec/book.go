package dnssec

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"slices"
	"sort"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// entrySize is what one signature takes in a Book, in octets: the set's ID, the key's
// tag, the two times, the signature.
const entrySize = 16 + 2 + 4 + 4 + SignatureSize

// Book is the signatures of a zone, found by what they cover. It is one string of
// octets in memory as in a snapshot, for there may be millions.
type Book struct{ b []byte }

// Entry is a signature and what it covers.
type Entry struct {
	ID ID
	Signature
}

// NewBook makes a Book. One signature of each key over each set is kept, the last.
func NewBook(entries []Entry) Book {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(bytes.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Tag, b.Tag))
	})
	b := make([]byte, 0, len(entries)*entrySize)
	for i, e := range entries {
		if i+1 < len(entries) && entries[i+1].ID == e.ID && entries[i+1].Tag == e.Tag {
			continue
		}
		b = append(b, e.ID[:]...)
		b = binary.BigEndian.AppendUint16(b, e.Tag)
		b = binary.BigEndian.AppendUint32(b, e.Inception)
		b = binary.BigEndian.AppendUint32(b, e.Expiration)
		b = append(b, e.Sign[:]...)
	}
	return Book{b}
}

// Octets is how much memory the Book takes.
func (k Book) Octets() int { return len(k.b) }

// Len is how many signatures there are.
func (k Book) Len() int { return len(k.b) / entrySize }

func (k Book) at(i int) Entry {
	e := k.b[i*entrySize:]
	s := Signature{Tag: binary.BigEndian.Uint16(e[16:]), Inception: binary.BigEndian.Uint32(e[18:]), Expiration: binary.BigEndian.Uint32(e[22:])}
	copy(s.Sign[:], e[26:])
	return Entry{ID: ID(e[:16]), Signature: s}
}

// Find gives the signatures over a set, none where there are none.
func (k Book) Find(id ID) (found []Signature) {
	i := sort.Search(k.Len(), func(i int) bool { return bytes.Compare(k.b[i*entrySize:i*entrySize+16], id[:]) >= 0 })
	for ; i < k.Len(); i++ {
		e := k.at(i)
		if e.ID != id {
			break
		}
		found = append(found, e.Signature)
	}
	return found
}

// Differs says whether more than so many signatures of two Books are not the same.
func (k Book) Differs(other Book, more int) bool {
	if len(k.b) == 0 || len(other.b) == 0 || &k.b[0] != &other.b[0] {
		i, j, n := 0, 0, 0
		for i < k.Len() || j < other.Len() {
			if n > more {
				return true
			}
			switch order := k.compare(i, other, j); {
			case order < 0:
				i, n = i+1, n+1
			case order > 0:
				j, n = j+1, n+1
			default:
				i, j = i+1, j+1
			}
		}
		return n > more
	}
	return false
}

// compare orders two entries by all of their octets; one behind the end comes last.
func (k Book) compare(i int, other Book, j int) int {
	switch {
	case i == k.Len():
		return 1
	case j == other.Len():
		return -1
	}
	return bytes.Compare(k.b[i*entrySize:(i+1)*entrySize], other.b[j*entrySize:(j+1)*entrySize])
}

// Expires is when the first signature of the Book ends; false where there is none.
func (k Book) Expires() (first time.Time, any bool) {
	for i := range k.Len() {
		if at := k.at(i).Expires(); i == 0 || at.Before(first) {
			first = at
		}
	}
	return first, k.Len() > 0
}

// MarshalJSON writes the Book as one text.
func (k Book) MarshalJSON() ([]byte, error) { return json.Marshal(k.b) }

// UnmarshalJSON reads what MarshalJSON wrote. A Book that is not whole or not in
// order is a fault.Invalid.
func (k *Book) UnmarshalJSON(text []byte) error {
	var b []byte
	if err := json.Unmarshal(text, &b); err != nil {
		return err
	}
	if len(b)%entrySize != 0 {
		return fault.New(fault.Invalid, "the signatures are not whole: %d octets", len(b))
	}
	for i := entrySize; i < len(b); i += entrySize {
		if bytes.Compare(b[i-entrySize:i-entrySize+18], b[i:i+18]) >= 0 {
			return fault.New(fault.Invalid, "the signatures are not in order")
		}
	}
	k.b = b
	return nil
}

// Record is a record that signing adds at a zone's apex: DNSKEY, CDS or CDNSKEY.
type Record struct {
	Type uint16 `json:"type"`
	TTL  uint32 `json:"ttl"` // seconds
	Data []byte `json:"data"`
}

// Extend is the zone with the records that signing adds at its apex.
func Extend(z *zone.Zone, records []Record) *zone.Zone {
	extra := make([]zone.Record, len(records))
	for i, r := range records {
		extra[i] = zone.Record{Owner: z.ApexWire(), Type: r.Type, TTL: r.TTL, Data: r.Data}
	}
	return z.With(extra)
}

// Zone is what it takes to answer signed for a zone: the public side of its keys and
// its signatures.
type Zone struct {
	Apex    string   // "shop.example.com.", as in the zone's source
	Records []Record // at the apex
	First   uint32   // the SOA is signed for this serial and the SerialsAhead-1 after it
	SOA     Book
	Sets    Book // all others
	More    Book // sets that come and go: what is there beside the zone's own for a time
}

// Expires is when the first answer of the zone ceases to validate.
func (z Zone) Expires() time.Time {
	soa, _ := z.SOA.Expires()
	sets, any := z.Sets.Expires()
	if any && sets.Before(soa) {
		soa = sets
	}
	if more, any := z.More.Expires(); any && more.Before(soa) {
		soa = more
	}
	return soa
}

// SameSets says whether the zone has the same keys and the same signatures but for
// those over its SOA and over what comes and goes.
func (z Zone) SameSets(other Zone) bool {
	same := func(a, b Record) bool { return a.Type == b.Type && a.TTL == b.TTL && bytes.Equal(a.Data, b.Data) }
	return z.Apex == other.Apex && slices.EqualFunc(z.Records, other.Records, same) && bytes.Equal(z.Sets.b, other.Sets.b)
}

// Equal says whether two zones have the same keys and signatures.
func (z Zone) Equal(other Zone) bool {
	return z.First == other.First && bytes.Equal(z.SOA.b, other.SOA.b) && bytes.Equal(z.More.b, other.More.b) && z.SameSets(other)
}

// Tags are those of the keys that stand in the zone.
func (z Zone) Tags() (tags []uint16) {
	for _, r := range z.Records {
		if r.Type == TypeDNSKEY {
			tags = append(tags, Tag(r.Data))
		}
	}
	return tags
}
