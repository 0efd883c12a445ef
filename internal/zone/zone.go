// Package zone holds DNS zones as data: names, record sets, zone text, serials,
// and the positions that a name which follows a site can take.
//
// It is pure: no clock, no I/O (a zone file is read by whoever calls). It hides
// the wire library from everybody: what leaves it are names and record data in
// wire form. It answers no query; authdns does. Words are RFC 9499's.
//
// Invariants of a *Zone: exactly one SOA and at least one NS at the apex; every
// name server inside the zone has an address; a CNAME stands alone; whatever
// lies below a delegation is glue; a following name has no address, CNAME, HTTPS
// or SVCB record of its own, so that nothing can defeat a failover.
//
// Concurrency: a *Zone is immutable after Parse.
package zone

import (
	"bytes"
	"cmp"
	"iter"
	"net/netip"
	"runtime"
	"slices"
	"sync"
)

// Source is a zone as configuration and snapshot carry it: plain text and
// orders, nothing of the wire library.
type Source struct {
	Apex    string            `json:"apex"`              // "shop.example.com.", lower case, absolute
	File    string            `json:"file,omitempty"`    // where the text came from, for errors
	Line    int               `json:"line,omitempty"`    // the text's first line in File
	TTL     uint32            `json:"ttl"`               // seconds, default of records and of followed names
	NS      []string          `json:"ns"`                // absolute names; records are made for the apex
	Contact string            `json:"contact,omitempty"` // SOA RNAME as a name; hostmaster.APEX when empty
	Minimum uint32            `json:"minimum,omitempty"` // SOA MINIMUM in seconds; 60 when 0
	Text    string            `json:"text"`              // master file text (RFC 1035 section 5); may hold its own SOA and NS
	Follow  map[string]string `json:"follow,omitempty"`  // owner name, absolute → site id
	DNSSEC  bool              `json:"dnssec,omitempty"`  // answers are signed

	// Challenges are the names, absolute, that certificates may be asked for: where the
	// proof of one is looked for, a record is kept for good (see ChallengeOwner).
	Challenges []string `json:"challenges,omitempty"`

	// Includes are the texts that $INCLUDE lines bring in, by file name, as the
	// function Includes reads them. Without any, $INCLUDE is refused.
	Includes map[string]string `json:"includes,omitempty"`
}

// Addresses are the A and AAAA answers of a position, in order. A position
// without IPv6 answers AAAA with NODATA.
type Addresses struct {
	IPs []netip.Addr `json:"ips"`

	// Alias is an absolute name that the position is an alias of, instead of having
	// addresses: a CNAME to a place whose addresses others move. Names at an apex or
	// with records of their own can't follow a site with such a position.
	Alias string `json:"alias,omitempty"`
}

// Positions are all the places that a site's names can be pointed at, by
// position name: "standby" or an origin's name.
type Positions map[string]Addresses

// Zone is a checked zone.
type Zone struct {
	source   Source
	apex     string // wire form, lower case
	serial   uint32
	names    *Names   // of records, of following names, and all above them; the apex is number 0
	recs     []record // by owner, and of an owner by type
	data     []byte
	follow   []Followed
	sites    []string // that these follow, each once
	warnings []string

	once    sync.Once
	records []Record // made when asked for
}

// Record is one resource record of class IN.
type Record struct {
	Owner string // wire form, lower case
	Type  uint16
	TTL   uint32 // seconds, the same in the whole RRset
	Data  []byte // wire form, nothing compressed, case as written
	Line  int    // in Source.File, beyond its end in included files, 0 for a record that Parse made
	Glue  bool   // at or below a delegation: never an answer, only an addition to referrals
}

// Followed is a name whose addresses are those of a site's position.
type Followed struct {
	Owner string // wire form, lower case
	Site  string
	TTL   uint32 // seconds
}

// Apex is the zone's name as text: lower case, absolute.
func (z *Zone) Apex() string { return z.source.Apex }

// ApexWire is the zone's name in wire form.
func (z *Zone) ApexWire() string { return z.apex }

// Source is what the zone was parsed from.
func (z *Zone) Source() Source { return z.source }

// Serial is the SOA serial that the text has, 1 where it has no SOA.
func (z *Zone) Serial() uint32 { return z.serial }

// Records are the zone's records, ordered by owner and type; the records of an
// RRset stand together in the text's order. The slice is not to be changed. It is
// made at the first call, and takes several times what the zone does: see Each.
func (z *Zone) Records() []Record {
	z.once.Do(func() {
		z.records = make([]Record, 0, len(z.recs))
		last, owner := int32(-1), ""
		for rec := range z.Each() {
			if rec.Name != last {
				last, owner = rec.Name, string(z.names.Name(rec.Name))
			}
			z.records = append(z.records, Record{Owner: owner, Type: rec.Type, TTL: rec.TTL, Data: rec.Data, Line: rec.Line, Glue: rec.Glue})
		}
		slices.SortStableFunc(z.records, func(a, b Record) int { return cmp.Compare(a.Owner, b.Owner) })
	})
	return z.records
}

// Row is a Record whose owner is a number among the zone's Names.
type Row struct {
	Name int32
	Type uint16
	TTL  uint32
	Data []byte // not to be changed
	Line int
	Glue bool
}

// Each yields the records: those of an owner together, and by type; the owners in
// no order. Nothing is allocated, and others get their turn (YieldEach).
func (z *Zone) Each() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for i := range z.recs {
			if i%YieldEach == 0 {
				runtime.Gosched()
			}
			rec := &z.recs[i]
			end := rec.data + uint32(rec.size)
			if !yield(Row{Name: rec.name, Type: rec.typ, TTL: rec.ttl, Data: z.data[rec.data:end:end], Line: int(rec.line), Glue: rec.glue}) {
				return
			}
		}
	}
}

// Size is how many records there are.
func (z *Zone) Size() int { return len(z.recs) }

// Names are the owners of records, the following names, and all names between them
// and the apex, which is number 0. There may be others, of records that were left
// out.
func (z *Zone) Names() *Names { return z.names }

// Outline is the zone without its records and its text: what Overlap needs to know
// of it, but for the delegations that it warns of.
func (z *Zone) Outline() *Zone {
	o := &Zone{source: z.source, apex: z.apex, serial: z.serial, follow: z.follow, sites: z.sites, names: newNames(0, 0)}
	o.source.Text, o.source.Includes = "", nil
	return o
}

// Follow are the names that follow a site, ordered by owner. The slice is not to
// be changed.
func (z *Zone) Follow() []Followed { return z.follow }

// Sites are those that names of the zone follow, each once and in order. The slice is
// not to be changed.
func (z *Zone) Sites() []string { return z.sites }

// Warnings are what is allowed but probably not meant, each with its place and a
// remedy, in the text's order.
func (z *Zone) Warnings() []string { return z.warnings }

// With is the zone with records added at its apex, as signing does. What is there
// already is not added again; records of a type that the zone has get its TTL. The
// types MUST be ones that a zone's apex may have several records of.
func (z *Zone) With(extra []Record) *Zone {
	out := &Zone{
		source: z.source, apex: z.apex, serial: z.serial, names: z.names, recs: slices.Clone(z.recs), data: slices.Clip(z.data),
		follow: z.follow, warnings: z.warnings,
	}
	for _, r := range extra {
		first := max(slices.IndexFunc(out.recs, func(r record) bool { return r.name == 0 }), 0)
		at, same := first, false
		for ; at < len(out.recs) && out.recs[at].name == 0 && out.recs[at].typ <= r.Type; at++ {
			if old := out.recs[at]; old.typ == r.Type {
				r.TTL = old.ttl
				same = same || bytes.Equal(out.data[old.data:old.data+uint32(old.size)], r.Data)
			}
		}
		if same {
			continue
		}
		out.recs = slices.Insert(out.recs, at, record{data: uint32(len(out.data)), ttl: r.TTL, size: uint16(len(r.Data)), typ: r.Type})
		out.data = append(out.data, r.Data...)
	}
	return out
}
