package authdns

import (
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// Orders are what a View puts in force.
type Orders struct {
	Position map[string]string // site id → position; each followed site MUST have one
	Serial   map[string]uint32 // apex as text → SOA serial; the zone text's where none is given
	TTLCap   map[string]uint32 // site id → most seconds that its names may be cached, 0 for no cap
	Degraded map[string]bool   // sites in trouble: what visitors are told is cached half as long, so that the next move is quick

	Share map[string]Share // site id → who is sent elsewhere

	Challenges map[string]Challenge // by absolute name
	Now        func() time.Time     // says when one of these is over; time.Now when nil
}

// View is a Table with a position for each site and a serial for each zone: all
// that an answer is made of.
type View struct {
	table   *Table
	serials []uint32 // by zone
	follows []follow // by class; where a share is in force, what its position answers behind them
	at      []string // by site: the position in force
	signed  inForce  // of a table with signed zones

	shares     []sharing // by class; nil where none is in force
	challenges map[nodeOf]challenge
	now        func() time.Time
}

// follow is what every name of a class answers. The records are ready to be sent
// for the name that was asked.
type follow struct {
	a, aaaa, alias body // an alias stands alone
}

// body is an RRset's records outside the table's own.
type body struct {
	count uint16
	wire  []byte
}

// View puts orders in force. It looks at sites and zones, never at names, so
// that a flip costs the same with one name and with a million. An order for a
// site that no name follows is passed over; a followed site without an order, or
// one with a position that it does not have, is a fault.Invalid: the view before
// stays in force.
func (t *Table) View(o Orders) (*View, error) {
	v := &View{
		table:   t,
		serials: make([]uint32, len(t.zones)),
		follows: make([]follow, len(t.follows)),
		at:      make([]string, len(t.sites)),
	}
	for i, z := range t.zones {
		v.serials[i] = z.serial
		if serial, ok := o.Serial[z.name]; ok {
			v.serials[i] = serial
		}
	}
	for i, s := range t.sites {
		position, ok := o.Position[s.id]
		if !ok {
			return nil, fault.New(fault.Invalid, "no position is ordered for site %s", s.id).WithHint("positions: %s", places(s))
		}
		if _, ok := s.positions[position]; !ok {
			return nil, fault.New(fault.Invalid, "site %s has no position %q", s.id, position).WithHint("positions: %s", places(s))
		}
		v.at[i] = position
	}
	for i, k := range t.follows {
		s := t.sites[k.site]
		v.follows[i] = makeFollow(s.positions[v.at[k.site]], o.ttl(s.id, k.ttl))
	}
	if err := v.addShares(o); err != nil {
		return nil, err
	}
	if err := v.addChallenges(o); err != nil {
		return nil, err
	}
	v.signed = t.signedInForce(v)
	return v, nil
}

// ttl is how long a site's answers may be kept, of how long they may be in calm.
func (o Orders) ttl(site string, ttl uint32) uint32 {
	if o.Degraded[site] {
		ttl = (ttl + 1) / 2
	}
	if limit := o.TTLCap[site]; limit > 0 {
		ttl = min(ttl, limit)
	}
	return ttl
}

func places(s site) string {
	return strings.Join(slices.Sorted(maps.Keys(s.positions)), ", ")
}

func makeFollow(p place, ttl uint32) (f follow) {
	if p.alias != "" {
		f.alias = body{count: 1, wire: appendRecord(nil, typeCNAME, ttl, []byte(p.alias))}
		return f
	}
	for _, ip := range p.ips {
		b, typ := &f.aaaa, uint16(typeAAAA)
		if ip.Is4() {
			b, typ = &f.a, typeA
		}
		b.wire = appendRecord(b.wire, typ, ttl, ip.AsSlice())
		b.count++
	}
	return f
}

// Serial is the SOA serial that a zone is answered with.
func (v *View) Serial(apex string) (serial uint32, ok bool) {
	i, ok := v.table.byApex[apex]
	if !ok {
		return 0, false
	}
	return v.serials[i], true
}

// Position is where a site's names point; false when no name follows it.
func (v *View) Position(site string) (position string, ok bool) {
	for i, s := range v.table.sites {
		if s.id == site {
			return v.at[i], true
		}
	}
	return "", false
}

// Table is what the view is of.
func (v *View) Table() *Table { return v.table }
