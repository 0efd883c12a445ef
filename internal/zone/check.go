package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
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
	first   []int32 // by name: where its records begin in recs; one more at the end
	follow  map[int32]Followed
	hides   bool   // there are delegations or DNAMEs
	servers []bool // by name: an NS record inside the zone points at it
}

// check orders the records, drops those that can't be answered, and notes every
// problem that only shows when records are seen together.
func (r *reader) check(follow []Followed) {
	c := &checker{reader: r, follow: map[int32]Followed{}}
	for _, f := range follow {
		c.follow[r.names.add([]byte(f.Owner))] = f
	}
	c.group()
	c.dropDuplicates()
	c.dropHints()
	c.checkHints()
	c.checkApex()
	for number := range int32(r.names.Len()) {
		if number%YieldEach == 0 {
			runtime.Gosched()
		}
		c.checkOwner(number)
	}
	c.checkFollow()
	c.addChallenges()
	c.dropHidden()
	c.checkServers()
	c.checkChains()
	slices.SortStableFunc(r.warnings, compareNumbers)
	if r.more > 0 {
		r.warnings = append(r.warnings, fmt.Sprintf("and %d more", r.more))
	}
}

// group puts the records of each name together, by type, and finds where they begin.
func (c *checker) group() {
	c.index()
	if !slices.IsSortedFunc(c.recs, func(a, b record) int { return cmp.Compare(a.name, b.name) }) {
		grouped := make([]record, len(c.recs))
		next := slices.Clone(c.first)
		for _, rec := range c.recs {
			grouped[next[rec.name]] = rec
			next[rec.name]++
		}
		c.recs = grouped
	}
	for number := range int32(c.names.Len()) {
		if number%YieldEach == 0 {
			runtime.Gosched()
		}
		set := c.of(number)
		if len(set) > 1 && !slices.IsSortedFunc(set, byType) {
			slices.SortStableFunc(set, byType)
		}
	}
}

func byType(a, b record) int { return cmp.Compare(a.typ, b.typ) }

// index counts where the records of each name begin, and sees whether any hides
// others.
func (c *checker) index() {
	c.first = make([]int32, c.names.Len()+1)
	c.hides = false
	for i := range c.recs {
		rec := &c.recs[i]
		c.first[rec.name+1]++
		c.hides = c.hides || rec.typ == dns.TypeDNAME || rec.typ == dns.TypeNS && rec.name != apexNumber
	}
	for i := range c.names.Len() {
		c.first[i+1] += c.first[i]
	}
}

// of are the records of a name.
func (c *checker) of(number int32) []record { return c.recs[c.first[number]:c.first[number+1]] }

// filter leaves the records that are to be kept.
func (c *checker) filter(keep func(i int) bool) {
	kept := c.recs[:0]
	for i := range c.recs {
		if keep(i) {
			kept = append(kept, c.recs[i])
		}
	}
	if len(kept) < len(c.recs) {
		c.recs = kept
		c.index()
	}
}

func (c *checker) refuse(err *fault.Error) { c.problems = append(c.problems, err) }

// has gives the first record of a type at a name, nil when there is none.
func (c *checker) has(number int32, t uint16) *record {
	if int(number)+1 >= len(c.first) {
		return nil // a name that has only just come
	}
	for i := c.first[number]; i < c.first[number+1]; i++ {
		if c.recs[i].typ == t {
			return &c.recs[i]
		}
	}
	return nil
}

// hasAddress says whether a name is there and has an address.
func (c *checker) hasAddress(name []byte) bool {
	number, ok := c.names.Find(name)
	if !ok {
		return false
	}
	_, follows := c.follow[number]
	return follows || c.has(number, dns.TypeA) != nil || c.has(number, dns.TypeAAAA) != nil
}

// dropDuplicates leaves one of equal records (RFC 2181 section 5) and gives the
// records of an RRset one TTL, the lowest (section 5.2). Of a set that is too large
// for an answer, which is refused later, only the beginning is looked at.
func (c *checker) dropDuplicates() {
	kept := c.recs[:0]
	start, size := 0, 0
	for i := range c.recs {
		rec := c.recs[i]
		if len(kept) == 0 || kept[start].name != rec.name || kept[start].typ != rec.typ {
			start, size = len(kept), 0
		}
		set := kept[start:]
		if len(set) > 0 && size <= maxRRset && slices.ContainsFunc(set, func(k record) bool { return bytes.Equal(c.dataOf(&k), c.dataOf(&rec)) }) {
			c.warn(int(rec.line), "the same %s record of %s is there twice: one is kept", typeName(rec.typ), c.nameOf(&rec))
			continue
		}
		size += int(rec.size) + 12
		if len(set) > 0 && set[0].ttl != rec.ttl {
			c.warn(int(rec.line), "the %s records of %s have different TTLs: the lowest is taken for all", typeName(rec.typ), c.nameOf(&rec))
			rec.ttl = min(rec.ttl, set[0].ttl)
			for i := range set {
				set[i].ttl = rec.ttl
			}
		}
		kept = append(kept, rec)
	}
	if len(kept) < len(c.recs) {
		c.recs = kept
		c.index()
	}
}

// dropHints leaves out HTTPS and SVCB records of following names: clients use
// their address hints before any A or AAAA answer, which would defeat a failover.
func (c *checker) dropHints() {
	if len(c.follow) == 0 {
		return
	}
	c.filter(func(i int) bool {
		rec := &c.recs[i]
		if rec.typ != dns.TypeHTTPS && rec.typ != dns.TypeSVCB {
			return true
		}
		if _, follows := c.follow[rec.name]; !follows {
			return true
		}
		c.warn(int(rec.line), "the %s record of %s is left out: the name follows a site, and hints would keep visitors at the old address (take the line out)",
			typeName(rec.typ), c.nameOf(rec))
		return false
	})
}

func (c *checker) checkApex() {
	seen := false
	for i := range c.recs {
		rec := &c.recs[i]
		switch {
		case rec.typ != dns.TypeSOA:
		case rec.name != apexNumber:
			c.refuse(c.invalid(int(rec.line), "a SOA record at %s, which is not the zone's apex %s", c.nameOf(rec), c.source.Apex).
				WithHint("take the line out, or make a zone of its own"))
		case seen:
			c.refuse(c.invalid(int(rec.line), "a second SOA record").WithHint("keep one"))
		default:
			seen = true
			c.checkMinimum(rec)
		}
	}
}

// checkMinimum warns of a SOA that keeps "there is no such name" in caches for
// long (RFC 2308 section 4).
func (c *checker) checkMinimum(soa *record) {
	data := c.dataOf(soa)
	negative := min(soa.ttl, binary.BigEndian.Uint32(data[len(data)-4:]))
	switch {
	case negative > 86400:
		c.warn(int(soa.line), "negative answers are cached for %d seconds (set the SOA's last figure to 60, at most a day)", negative)
	case negative > movingTTL && len(c.follow) > 0 && soa.line > 0:
		c.warn(int(soa.line), "negative answers are cached for %d seconds, while names of the zone move (set the SOA's last figure to 60)", negative)
	}
}

// checkOwner looks at all that one name holds.
func (c *checker) checkOwner(number int32) {
	records := c.of(number)
	others, size := 0, 0
	for i := range records {
		rec := &records[i]
		if i == 0 || records[i-1].typ != rec.typ {
			size = 0
			c.checkTTL(rec)
		}
		if size += int(rec.size) + 12; size > maxRRset && size-int(rec.size)-12 <= maxRRset {
			c.refuse(c.invalid(int(rec.line), "the %s records of %s are too large for an answer", typeName(rec.typ), c.nameOf(rec)).WithHint("at most %d octets", maxRRset))
		}
		if rec.typ == dns.TypeDNAME && i > 0 && records[i-1].typ == dns.TypeDNAME {
			c.refuse(c.invalid(int(rec.line), "%s has two DNAME records", c.nameOf(rec)).WithHint("keep one"))
		}
		if rec.typ != dns.TypeCNAME {
			others++
		}
	}
	if len(records) > 1 {
		c.checkAlone(number, others)
	}
	if name := c.names.Name(number); len(name) > 2 && name[0] == 1 && name[1] == '*' {
		if ns := c.has(number, dns.TypeNS); ns != nil {
			c.warn(int(ns.line), "NS records at the wildcard %s do not delegate (RFC 4592 section 4.2): write the names out", c.nameOf(ns))
		}
	}
}

// checkAlone refuses a CNAME beside anything else.
func (c *checker) checkAlone(number int32, others int) {
	cname := c.has(number, dns.TypeCNAME)
	if cname == nil {
		return
	}
	why := "other records too"
	if others == 0 {
		why = "another CNAME"
	}
	c.refuse(c.invalid(int(cname.line), "%s is a CNAME and has %s", c.nameOf(cname), why).
		WithHint("a CNAME stands alone: keep it, or the other records"))
}

func (c *checker) checkTTL(rec *record) {
	switch {
	case rec.ttl > longTTL:
		c.warn(int(rec.line), "the TTL of %s %s is %d seconds: a mistake would stay in caches for more than a week", c.nameOf(rec), typeName(rec.typ), rec.ttl)
	case rec.ttl == 0:
		c.warn(int(rec.line), "the TTL of %s %s is 0: nothing is cached and every visitor waits (60 is low enough)", c.nameOf(rec), typeName(rec.typ))
	}
}

// checkFollow holds the invariant that nothing but the position gives a
// following name its addresses.
func (c *checker) checkFollow() {
	for _, number := range c.following() {
		f := c.follow[number]
		name := Unpack(f.Owner)
		for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME} {
			if rec := c.has(number, t); rec != nil {
				c.refuse(c.invalid(int(rec.line), "%s follows site %s and has a %s record too", name, f.Site, typeName(t)).
					WithHint("take the record out (its address belongs to an origin of the site), or the name out of follow"))
			}
		}
		if above := c.hiddenBy([]byte(f.Owner)); above != nil {
			c.refuse(c.invalid(int(above.line), "%s follows site %s but is hidden by the %s record of %s", name, f.Site, typeName(above.typ), c.nameOf(above)).
				WithHint("take that record out, or let the zone that it delegates to follow the site"))
		}
		if f.TTL > movingTTL {
			c.warn(1, "the TTL of the following name %s is %d seconds: a failover takes as long to reach everybody (60 is good)", name, f.TTL)
		}
	}
}

// following are the numbers of the following names, by name.
func (c *checker) following() []int32 {
	return slices.SortedFunc(maps.Keys(c.follow), func(a, b int32) int { return cmp.Compare(c.follow[a].Owner, c.follow[b].Owner) })
}

// hiddenBy finds the highest delegation or DNAME that hides a name: one above it,
// or a delegation at it; nil when there is none.
func (c *checker) hiddenBy(whole []byte) (by *record) {
	if !c.hides {
		return nil
	}
	for name := whole; ; name = name[1+int(name[0]):] {
		at, ok := c.names.Find(name)
		if ok && at != apexNumber && !isWildcard(string(name)) {
			if ns := c.has(at, dns.TypeNS); ns != nil {
				by = ns
			}
		}
		if ok && len(name) < len(whole) {
			if dname := c.has(at, dns.TypeDNAME); dname != nil {
				by = dname
			}
		}
		if at == apexNumber && ok {
			return by
		}
	}
}

// dropHidden marks glue and leaves out what lies below a delegation or a DNAME
// and is none.
func (c *checker) dropHidden() {
	if !c.hides {
		return
	}
	c.findServers()
	drop := make([]bool, len(c.recs)) // found before any record moves
	var by *record
	for i := range c.recs {
		if i%YieldEach == 0 {
			runtime.Gosched()
		}
		rec := &c.recs[i]
		if i == 0 || c.recs[i-1].name != rec.name {
			by = c.hiddenBy(c.names.Name(rec.name))
		}
		drop[i] = !c.keepHidden(rec, by)
	}
	c.filter(func(i int) bool { return !drop[i] })
}

// keepHidden says whether a record that a delegation or a DNAME hides has a use.
func (c *checker) keepHidden(rec, by *record) bool {
	atCut := by != nil && by.name == rec.name && (rec.typ == dns.TypeNS || rec.typ == dns.TypeDS)
	if by == nil || atCut {
		return true
	}
	address := rec.typ == dns.TypeA || rec.typ == dns.TypeAAAA
	if by.typ == dns.TypeNS && address && c.servers[rec.name] {
		rec.glue = true
		return true
	}
	c.warn(int(rec.line), "the %s record of %s is never answered: %s is handed on by the %s record at %s (take one of them out)",
		typeName(rec.typ), c.nameOf(rec), c.nameOf(by), typeName(by.typ), c.place(int(by.line)))
	return false
}

// findServers finds what NS records point at.
func (c *checker) findServers() {
	c.servers = make([]bool, c.names.Len())
	for i := range c.recs {
		if rec := &c.recs[i]; rec.typ == dns.TypeNS {
			if number, ok := c.names.Find([]byte(lower(string(c.dataOf(rec))))); ok {
				c.servers[number] = true
			}
		}
	}
}

// checkServers looks for the addresses of name servers that lie in the zone.
func (c *checker) checkServers() {
	for i := range c.recs {
		rec := &c.recs[i]
		if rec.typ != dns.TypeNS {
			continue
		}
		target := lower(string(c.dataOf(rec)))
		if !Under(target, c.apex) || c.hasAddress([]byte(target)) {
			continue
		}
		name := Unpack(target)
		if rec.name == apexNumber {
			c.refuse(c.invalid(max(int(rec.line), 1), "the name server %s lies in the zone and has no address in it", name).
				WithHint("add a line like %s 3600 IN A 192.0.2.53", name))
		} else if Under(target, string(c.names.Name(rec.name))) {
			c.warn(int(rec.line), "the delegation of %s can't be followed: its name server %s has no address here (add a line like %s 3600 IN A 192.0.2.53)",
				c.nameOf(rec), name, name)
		}
	}
}

// checkChains follows each CNAME through the zone.
func (c *checker) checkChains() {
	for i := range c.recs {
		if c.recs[i].typ == dns.TypeCNAME {
			c.checkChain(&c.recs[i])
		}
	}
}

func (c *checker) checkChain(first *record) {
	longest := first.ttl
	for rec, n := first, 1; ; n++ {
		target, ok := c.names.Find([]byte(lower(string(c.dataOf(rec)))))
		if !ok {
			return
		}
		if f, follows := c.follow[target]; follows && longest > movingTTL {
			c.warn(int(first.line), "%s leads to the following name %s with a TTL of %d seconds: a failover takes as long to reach everybody (60 is good)", c.nameOf(first), Unpack(f.Owner), longest)
		}
		next := c.has(target, dns.TypeCNAME)
		switch {
		case target == first.name:
			c.warn(int(first.line), "the CNAME of %s leads back to itself (point one of the chain at a name with addresses)", c.nameOf(first))
			return
		case n > maxChain:
			c.warn(int(first.line), "the CNAME chain from %s is longer than %d: resolvers may give up (shorten it)", c.nameOf(first), maxChain)
			return
		case next == nil:
			return
		}
		rec, longest = next, max(longest, next.ttl)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

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
