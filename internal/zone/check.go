package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// Figures that a check warns of or refuses beyond, in seconds and octets.
const (
	longTTL   = 604800 // a week: a mistake stays in caches as long
	movingTTL = 300    // a failover takes as long to reach everybody
	maxRRset  = 60000  // an answer must fit into a message of 65535
	maxChain  = 8      // CNAMEs that are followed in one answer
)

// checker looks at a zone's records together.
type checker struct {
	*reader
	byOwner map[string][]Record // slices of the sorted records
	follow  map[string]Followed
	glue    map[string]bool // names that an NS record inside the zone points at
}

// check orders the records, drops those that can't be answered, and notes every
// problem that only shows when records are seen together.
func (r *reader) check(follow []Followed) {
	r.sort()
	r.dropDuplicates()
	c := &checker{reader: r, follow: map[string]Followed{}, glue: map[string]bool{}}
	for _, f := range follow {
		c.follow[f.Owner] = f
	}
	c.dropHints()
	c.index()
	c.checkApex()
	for owner := range c.owners() {
		c.checkOwner(owner, c.byOwner[owner])
	}
	c.checkFollow()
	c.addChallenges()
	c.dropHidden()
	c.index()
	c.checkServers()
	c.checkChains()
	slices.SortStableFunc(r.warnings, compareNumbers)
}

// sort orders the records by owner and type.
func (r *reader) sort() {
	slices.SortStableFunc(r.records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Type, b.Type))
	})
}

// index groups the sorted records by owner, and finds what name servers are
// pointed at.
func (c *checker) index() {
	c.byOwner = make(map[string][]Record, len(c.records))
	for i := 0; i < len(c.records); {
		j := i + 1
		for j < len(c.records) && c.records[j].Owner == c.records[i].Owner {
			j++
		}
		c.byOwner[c.records[i].Owner] = c.records[i:j:j]
		i = j
	}
	for _, rec := range c.records {
		if rec.Type == dns.TypeNS {
			c.glue[lower(string(rec.Data))] = true
		}
	}
}

// owners yields the owner names in order.
func (c *checker) owners() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, rec := range c.records {
			if (i == 0 || rec.Owner != c.records[i-1].Owner) && !yield(rec.Owner) {
				return
			}
		}
	}
}

func (c *checker) refuse(err *fault.Error) { c.problems = append(c.problems, err) }

// has gives the first record of a type at an owner.
func (c *checker) has(owner string, t uint16) (Record, bool) {
	for _, rec := range c.byOwner[owner] {
		if rec.Type == t {
			return rec, true
		}
	}
	return Record{}, false
}

func (c *checker) hasAddress(owner string) bool {
	_, follows := c.follow[owner]
	_, a := c.has(owner, dns.TypeA)
	_, aaaa := c.has(owner, dns.TypeAAAA)
	return follows || a || aaaa
}

// dropDuplicates leaves one of equal records (RFC 2181 section 5) and gives the
// records of an RRset one TTL, the lowest (section 5.2).
func (r *reader) dropDuplicates() {
	kept := r.records[:0]
	start := 0
	for _, rec := range r.records {
		if len(kept) == 0 || kept[start].Owner != rec.Owner || kept[start].Type != rec.Type {
			start = len(kept)
		}
		set := kept[start:]
		if slices.ContainsFunc(set, func(k Record) bool { return bytes.Equal(k.Data, rec.Data) }) {
			r.warn(rec.Line, "the same %s record of %s is there twice: one is kept", typeName(rec.Type), Unpack(rec.Owner))
			continue
		}
		if len(set) > 0 && set[0].TTL != rec.TTL {
			r.warn(rec.Line, "the %s records of %s have different TTLs: the lowest is taken for all", typeName(rec.Type), Unpack(rec.Owner))
			rec.TTL = min(rec.TTL, set[0].TTL)
			for i := range set {
				set[i].TTL = rec.TTL
			}
		}
		kept = append(kept, rec)
	}
	r.records = kept
}

// dropHints leaves out HTTPS and SVCB records of following names: clients use
// their address hints before any A or AAAA answer, which would defeat a failover.
func (c *checker) dropHints() {
	c.records = slices.DeleteFunc(c.records, func(rec Record) bool {
		_, follows := c.follow[rec.Owner]
		if !follows || (rec.Type != dns.TypeHTTPS && rec.Type != dns.TypeSVCB) {
			return false
		}
		c.warn(rec.Line, "the %s record of %s is left out: the name follows a site, and hints would keep visitors at the old address (take the line out)",
			typeName(rec.Type), Unpack(rec.Owner))
		return true
	})
}

func (c *checker) checkApex() {
	seen := false
	for _, rec := range c.records {
		switch {
		case rec.Type != dns.TypeSOA:
		case rec.Owner != c.apex:
			c.refuse(c.invalid(rec.Line, "a SOA record at %s, which is not the zone's apex %s", Unpack(rec.Owner), c.source.Apex).
				WithHint("take the line out, or make a zone of its own"))
		case seen:
			c.refuse(c.invalid(rec.Line, "a second SOA record").WithHint("keep one"))
		default:
			seen = true
			c.checkMinimum(rec)
		}
	}
}

// checkMinimum warns of a SOA that keeps "there is no such name" in caches for
// long (RFC 2308 section 4).
func (c *checker) checkMinimum(soa Record) {
	negative := min(soa.TTL, binary.BigEndian.Uint32(soa.Data[len(soa.Data)-4:]))
	switch {
	case negative > 86400:
		c.warn(soa.Line, "negative answers are cached for %d seconds (set the SOA's last figure to 60, at most a day)", negative)
	case negative > movingTTL && len(c.follow) > 0 && soa.Line > 0:
		c.warn(soa.Line, "negative answers are cached for %d seconds, while names of the zone move (set the SOA's last figure to 60)", negative)
	}
}

// checkOwner looks at all that one name holds.
func (c *checker) checkOwner(owner string, records []Record) {
	name := Unpack(owner)
	others, size := 0, 0
	for i, rec := range records {
		if i == 0 || records[i-1].Type != rec.Type {
			size = 0
			c.checkTTL(rec)
		}
		if size += len(rec.Data) + 12; size > maxRRset && size-len(rec.Data)-12 <= maxRRset {
			c.refuse(c.invalid(rec.Line, "the %s records of %s are too large for an answer", typeName(rec.Type), name).WithHint("at most %d octets", maxRRset))
		}
		if rec.Type == dns.TypeDNAME && i > 0 && records[i-1].Type == dns.TypeDNAME {
			c.refuse(c.invalid(rec.Line, "%s has two DNAME records", name).WithHint("keep one"))
		}
		if rec.Type != dns.TypeCNAME {
			others++
		}
	}
	if cname, ok := c.has(owner, dns.TypeCNAME); ok && len(records) > 1 {
		why := "other records too"
		if others == 0 {
			why = "another CNAME"
		}
		c.refuse(c.invalid(cname.Line, "%s is a CNAME and has %s", name, why).
			WithHint("a CNAME stands alone: keep it, or the other records"))
	}
	if ns, ok := c.has(owner, dns.TypeNS); ok && isWildcard(owner) {
		c.warn(ns.Line, "NS records at the wildcard %s do not delegate (RFC 4592 section 4.2): write the names out", name)
	}
}

func (c *checker) checkTTL(rec Record) {
	switch {
	case rec.TTL > longTTL:
		c.warn(rec.Line, "the TTL of %s %s is %d seconds: a mistake would stay in caches for more than a week", Unpack(rec.Owner), typeName(rec.Type), rec.TTL)
	case rec.TTL == 0:
		c.warn(rec.Line, "the TTL of %s %s is 0: nothing is cached and every visitor waits (60 is low enough)", Unpack(rec.Owner), typeName(rec.Type))
	}
}

// checkFollow holds the invariant that nothing but the position gives a
// following name its addresses.
func (c *checker) checkFollow() {
	for _, owner := range sortedKeys(c.follow) {
		f, name := c.follow[owner], Unpack(owner)
		for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME} {
			if rec, ok := c.has(owner, t); ok {
				c.refuse(c.invalid(rec.Line, "%s follows site %s and has a %s record too", name, f.Site, typeName(t)).
					WithHint("take the record out (its address belongs to an origin of the site), or the name out of follow"))
			}
		}
		if above, ok := c.hiddenBy(owner, true); ok {
			c.refuse(c.invalid(above.Line, "%s follows site %s but is hidden by the %s record of %s", name, f.Site, typeName(above.Type), Unpack(above.Owner)).
				WithHint("take that record out, or let the zone that it delegates to follow the site"))
		}
		if f.TTL > movingTTL {
			c.warn(1, "the TTL of the following name %s is %d seconds: a failover takes as long to reach everybody (60 is good)", name, f.TTL)
		}
	}
}

// hiddenBy finds the highest delegation or DNAME that hides an owner: one above
// it, or with self also a delegation at it.
func (c *checker) hiddenBy(owner string, self bool) (by Record, found bool) {
	for name := owner; ; name = parent(name) {
		if name != c.apex && (self || name != owner) {
			if ns, ok := c.has(name, dns.TypeNS); ok && !isWildcard(name) {
				by, found = ns, true
			}
		}
		if dname, ok := c.has(name, dns.TypeDNAME); ok && name != owner {
			by, found = dname, true
		}
		if name == c.apex {
			return by, found
		}
	}
}

// dropHidden marks glue and leaves out what lies below a delegation or a DNAME
// and is none.
func (c *checker) dropHidden() {
	kept := make([]Record, 0, len(c.records))
	for _, rec := range c.records {
		by, hidden := c.hiddenBy(rec.Owner, true)
		atCut := hidden && by.Owner == rec.Owner && (rec.Type == dns.TypeNS || rec.Type == dns.TypeDS)
		address := rec.Type == dns.TypeA || rec.Type == dns.TypeAAAA
		switch {
		case !hidden || atCut:
		case by.Type == dns.TypeNS && address && c.glue[rec.Owner]:
			rec.Glue = true
		default:
			c.warn(rec.Line, "the %s record of %s is never answered: %s is handed on by the %s record at %s (take one of them out)",
				typeName(rec.Type), Unpack(rec.Owner), Unpack(by.Owner), typeName(by.Type), c.place(by.Line))
			continue
		}
		kept = append(kept, rec)
	}
	c.records = kept
}

// checkServers looks for the addresses of name servers that lie in the zone.
func (c *checker) checkServers() {
	for _, rec := range c.records {
		target := lower(string(rec.Data))
		if rec.Type != dns.TypeNS || !Under(target, c.apex) || c.hasAddress(target) {
			continue
		}
		name := Unpack(target)
		if rec.Owner == c.apex {
			c.refuse(c.invalid(max(rec.Line, 1), "the name server %s lies in the zone and has no address in it", name).
				WithHint("add a line like %s 3600 IN A 192.0.2.53", name))
		} else if Under(target, rec.Owner) {
			c.warn(rec.Line, "the delegation of %s can't be followed: its name server %s has no address here (add a line like %s 3600 IN A 192.0.2.53)",
				Unpack(rec.Owner), name, name)
		}
	}
}

// checkChains follows each CNAME through the zone.
func (c *checker) checkChains() {
	for _, rec := range c.records {
		if rec.Type == dns.TypeCNAME {
			c.checkChain(rec)
		}
	}
}

func (c *checker) checkChain(first Record) {
	name := Unpack(first.Owner)
	longest := first.TTL
	for rec, n := first, 1; ; n++ {
		target := lower(string(rec.Data))
		if _, follows := c.follow[target]; follows && longest > movingTTL {
			c.warn(first.Line, "%s leads to the following name %s with a TTL of %d seconds: a failover takes as long to reach everybody (60 is good)", name, Unpack(target), longest)
		}
		next, ok := c.has(target, dns.TypeCNAME)
		switch {
		case target == first.Owner:
			c.warn(first.Line, "the CNAME of %s leads back to itself (point one of the chain at a name with addresses)", name)
			return
		case n > maxChain:
			c.warn(first.Line, "the CNAME chain from %s is longer than %d: resolvers may give up (shorten it)", name, maxChain)
			return
		case !ok:
			return
		}
		rec, longest = next, max(longest, next.TTL)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// compareNumbers orders texts so that figures in them count as numbers: line 9
// comes before line 10.
func compareNumbers(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 && a[:da] != b[:db] {
			return cmp.Or(cmp.Compare(da, db), cmp.Compare(a[:da], b[:db]))
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) (n int) {
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}
