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
	"net/netip"
	"slices"
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
	records  []Record
	follow   []Followed
	warnings []string
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
// RRset stand together in the text's order. The slice is not to be changed.
func (z *Zone) Records() []Record { return z.records }

// Follow are the names that follow a site, ordered by owner. The slice is not to
// be changed.
func (z *Zone) Follow() []Followed { return z.follow }

// Warnings are what is allowed but probably not meant, each with its place and a
// remedy, in the text's order.
func (z *Zone) Warnings() []string { return z.warnings }

// With is the zone with records added at its apex, as signing does. What is there
// already is not added again; records of a type that the zone has get its TTL. The
// types MUST be ones that a zone's apex may have several records of.
func (z *Zone) With(extra []Record) *Zone {
	out := *z
	out.records = slices.Clone(z.records)
	for _, r := range extra {
		at, same := 0, false
		for i, old := range out.records {
			if cmp.Or(cmp.Compare(old.Owner, r.Owner), cmp.Compare(old.Type, r.Type)) > 0 {
				break
			}
			at = i + 1
			if old.Owner == r.Owner && old.Type == r.Type {
				r.TTL, same = old.TTL, same || bytes.Equal(old.Data, r.Data)
			}
		}
		if !same {
			out.records = slices.Insert(out.records, at, r)
		}
	}
	return &out
}
