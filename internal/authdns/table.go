package authdns

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// none stands for "no such node, class or zone" in an index.
const none = -1

// Table is a set of zones made ready for answering. Each zone is prepared by itself,
// so that one that has not changed is taken over from the table before; what the
// table adds is which zone answers for a name, and every position of every site that
// names follow. It holds no order.
type Table struct {
	zones   []apex
	sites   []site // only those that a name follows
	follows []class
	byApex  map[string]int32 // text → zone
	byWire  map[string]int32 // wire form, lower case → zone
	deepest int              // labels of the apex that has most
	dnames  bool             // any zone has a DNAME
}

// apex is a zone of a Table.
type apex struct {
	*Prepared
	follows []int32 // by class of the zone: the class of the table
}

// class is what names with the same answers follow: a site, with a TTL.
type class struct {
	site int
	ttl  uint32
}

// site is what Compile keeps of a site.
type site struct {
	id        string
	positions map[string]place
	alias     string // a position that is an alias, "" for none
}

// place is what a position answers: addresses, or the name that it is an alias of
// in wire form.
type place struct {
	ips   []netip.Addr
	alias string
}

// Compile makes a Table of zones and of the positions that their names can take, by
// site id. It is Assemble of zones that are prepared anew.
func Compile(zones []*zone.Zone, sites map[string]zone.Positions) (*Table, error) {
	prepared := make([]*Prepared, 0, len(zones))
	for _, z := range zones {
		p, err := Prepare(z)
		if err != nil {
			return nil, err
		}
		prepared = append(prepared, p)
	}
	return Assemble(prepared, sites)
}

// Assemble makes a Table of prepared zones and of the positions that their names can
// take, by site id. It costs as much as there are zones, sites and following names,
// not records. It refuses, with one fault.Invalid for each: zones that overlap
// (zone.Overlap), a name that follows a site that is not there, a position of a
// followed site without an address, and one that is an alias where a name can't be
// one. With zones in which no name follows, sites may be nil.
func Assemble(zones []*Prepared, sites map[string]zone.Positions) (*Table, error) {
	outlines := make([]*zone.Zone, len(zones))
	for i, p := range zones {
		outlines[i] = p.outline
	}
	c := &compiler{
		t:     &Table{byApex: make(map[string]int32, len(zones)), byWire: make(map[string]int32, len(zones))},
		class: map[class]int32{},
		site:  map[string]int{},
		above: map[int32]bool{},
	}
	_, err := zone.Overlap(outlines)
	problems := []error{err}
	if err == nil {
		problems = append(problems, c.addSites(outlines, sites)...)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	for i, p := range zones {
		c.t.byApex[p.name], c.t.byWire[string(p.owner)] = int32(i), int32(i)
		c.t.deepest = max(c.t.deepest, countLabels(p.owner))
		c.t.dnames = c.t.dnames || p.dnames
	}
	for _, p := range zones {
		if up := parent(string(p.owner)); up != "" {
			c.above[c.t.zoneOf([]byte(up), countLabels([]byte(up)))] = true
		}
	}
	for _, p := range zones {
		if err := c.addZone(p); err != nil {
			return nil, err
		}
	}
	return c.t, nil
}

// compiler holds what only building needs.
type compiler struct {
	t     *Table
	class map[class]int32
	site  map[string]int
	above map[int32]bool // zones that have others below them
}

// addSites takes in every site that a name follows.
func (c *compiler) addSites(zones []*zone.Zone, sites map[string]zone.Positions) (problems []error) {
	for _, z := range zones {
		for _, f := range z.Follow() {
			if _, ok := c.site[f.Site]; ok {
				continue
			}
			positions, ok := sites[f.Site]
			if !ok {
				problems = append(problems, fault.New(fault.Invalid, "%s follows site %q, which is not there", zone.Unpack(f.Owner), f.Site).
					At(z.Source().File).WithHint("known sites: %s", listed(sites)))
				c.site[f.Site] = none
				continue
			}
			problems = append(problems, c.addSite(f.Site, positions)...)
		}
	}
	return problems
}

func listed(sites map[string]zone.Positions) string {
	ids := make([]string, 0, len(sites))
	for id := range sites {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return cmp.Or(strings.Join(ids, ", "), "none")
}

func (c *compiler) addSite(id string, positions zone.Positions) (problems []error) {
	s := site{id: id, positions: make(map[string]place, len(positions))}
	if len(positions) == 0 {
		problems = append(problems, fault.New(fault.Invalid, "site %s has no position", id).WithHint("give it an origin with an address"))
	}
	for name, addresses := range positions {
		if addresses.Alias != "" {
			alias, err := zone.Pack(addresses.Alias)
			if err != nil || len(addresses.IPs) > 0 {
				problems = append(problems, fault.New(fault.Invalid, "position %s of site %s can't be an alias of %q with %d addresses", name, id, addresses.Alias, len(addresses.IPs)).
					WithHint("write either addresses or one absolute name, as in shop.cdn.example.net."))
			}
			s.positions[name], s.alias = place{alias: alias}, name
			continue
		}
		var ips []netip.Addr
		for _, ip := range addresses.IPs {
			ip = ip.Unmap().WithZone("")
			if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() {
				problems = append(problems, fault.New(fault.Invalid, "position %s of site %s: %s is no address of a server", name, id, ip).
					WithHint("write an address that visitors can reach"))
			} else if !slices.Contains(ips, ip) {
				ips = append(ips, ip)
			}
		}
		if len(ips) == 0 || len(ips) > 200 {
			problems = append(problems, fault.New(fault.Invalid, "position %s of site %s has %d addresses", name, id, len(ips)).
				WithHint("a name in service needs one at least, and 200 at most fit an answer"))
		}
		s.positions[name] = place{ips: ips}
	}
	c.site[id] = len(c.t.sites)
	c.t.sites = append(c.t.sites, s)
	return problems
}

// addZone puts a prepared zone into the table.
func (c *compiler) addZone(p *Prepared) error {
	a := apex{Prepared: p, follows: make([]int32, len(p.classes))}
	for i, k := range p.classes {
		a.follows[i] = c.classOf(class{site: c.site[k.site], ttl: k.ttl})
	}
	for _, f := range p.outline.Follow() {
		if err := c.checkAlias(p, f); err != nil {
			return err
		}
	}
	if c.above[int32(len(c.t.zones))] {
		a.Prepared = p.without(c.t.byWire)
	}
	c.t.zones = append(c.t.zones, a)
	return nil
}

func (c *compiler) classOf(k class) int32 {
	i, ok := c.class[k]
	if !ok {
		i = int32(len(c.t.follows))
		c.class[k] = i
		c.t.follows = append(c.t.follows, k)
	}
	return i
}

// checkAlias refuses a name that can't be a CNAME (RFC 1034 section 3.6.2) where a
// position of its site is an alias.
func (c *compiler) checkAlias(p *Prepared, f zone.Followed) error {
	s := c.t.sites[c.site[f.Site]]
	if s.alias == "" {
		return nil
	}
	if n, ok := p.names.Find([]byte(f.Owner)); ok && p.nodes[n].sets > 0 {
		return fault.New(fault.Invalid, "%s has records of its own and follows site %s, whose position %s is an alias", zone.Unpack(f.Owner), f.Site, s.alias).
			At(p.outline.Source().File).WithHint("a CNAME stands alone: give the position addresses, or the name no other records")
	}
	for name, at := range s.positions {
		if at.alias == f.Owner {
			return fault.New(fault.Invalid, "%s follows site %s, whose position %s is an alias of that same name", zone.Unpack(f.Owner), f.Site, name).
				At(p.outline.Source().File).WithHint("let the position lead to a name outside of the site")
		}
	}
	return nil
}

// zoneOf is the deepest zone that holds a name of as many labels, which is in lower
// case; none when there is none.
func (t *Table) zoneOf(name []byte, labels int) int32 {
	at := 0
	for ; labels > t.deepest; labels-- {
		at += 1 + int(name[at])
	}
	for {
		if z, ok := t.byWire[string(name[at:])]; ok {
			return z
		}
		if name[at] == 0 {
			return none
		}
		at += 1 + int(name[at])
	}
}

// Names is how many names can be asked for, empty non-terminals included.
func (t *Table) Names() (n int) {
	for i := range t.zones {
		n += t.zones[i].visible
	}
	return n
}

// Sites are the ids of the sites that names follow, in no order.
func (t *Table) Sites() []string {
	ids := make([]string, len(t.sites))
	for i, s := range t.sites {
		ids[i] = s.id
	}
	return ids
}

// Zones are the apexes, in the order that they were given in.
func (t *Table) Zones() []string {
	names := make([]string, len(t.zones))
	for i, z := range t.zones {
		names[i] = z.name
	}
	return names
}

// String says how large a table is.
func (t *Table) String() string {
	return fmt.Sprintf("%d zones, %d names, %d sites followed", len(t.zones), t.Names(), len(t.sites))
}
