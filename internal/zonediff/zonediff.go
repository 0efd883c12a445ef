// Package zonediff says what differs between two versions of a zone: record sets that
// are added, removed or changed, what the serial does, and how long resolvers may keep
// what they have.
//
// It is pure: it reads no file, asks no server and knows no clock. It judges no zone by
// itself: package zone has done so before.
//
// Invariants: the serial alone is no change of a record set; names in record data are
// compared without case (RFC 4343), everything else octet by octet; the order of the
// records of a set does not count.
//
// Concurrency: it has no state; a Diff is a value.
package zonediff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// movingTTL is how long a resolver may keep an answer before it is worth a word, in
// seconds: a failover takes as long to reach everybody.
const movingTTL = 300

// Kind is what happens to a record set.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Data    Kind = "data" // other records; the TTL may change with them
	TTL     Kind = "ttl"  // the same records, kept for another time
)

// Change is one record set (RFC 9499 section 5) that differs.
type Change struct {
	Name   string   `json:"name"` // absolute, lower case
	Type   string   `json:"type"`
	Kind   Kind     `json:"kind"`
	Old    []string `json:"old,omitempty"` // data that only the old set has, in the form of a master file; of a removed set, all
	New    []string `json:"new,omitempty"` // data that only the new set has; of an added set, all
	OldTTL uint32   `json:"oldTtl"`        // seconds; 0 for an added set
	NewTTL uint32   `json:"newTtl"`        // seconds; 0 for a removed set
}

// Step is what the serial does, by RFC 1982.
type Step string

// What a serial does.
const (
	Grows Step = "grows"
	Stays Step = "stays"
	Back  Step = "back"
	Apart Step = "apart" // exactly 2^31 apart: newer in neither direction
)

// Diff is what differs between two versions of a zone.
type Diff struct {
	Zone      string   `json:"zone"`
	OldSerial uint32   `json:"oldSerial"`
	NewSerial uint32   `json:"newSerial"`
	Serial    Step     `json:"serial"`
	Equal     bool     `json:"equal"`    // neither a record set nor the serial differs
	Summary   string   `json:"summary"`  // one sentence
	Changes   []Change `json:"changes"`  // by name, then type
	Warnings  []string `json:"warnings"` // what is probably not meant, or takes long to be seen
}

// Compare says what differs between two versions of one zone. Two zones with other
// names are fault.Invalid.
func Compare(before, after *zone.Zone) (Diff, error) {
	if before.Apex() != after.Apex() {
		return Diff{}, fault.New(fault.Invalid, "these are two zones, %s and %s", before.Apex(), after.Apex()).WithHint("compare two versions of the same zone")
	}
	d := Diff{
		Zone: after.Apex(), OldSerial: before.Serial(), NewSerial: after.Serial(),
		Serial: step(before.Serial(), after.Serial()), Changes: []Change{}, Warnings: []string{},
	}
	was, is := sets(before), sets(after)
	for k, old := range was {
		if c, differs := change(old, is[k]); differs {
			d.Changes = append(d.Changes, c)
		}
	}
	for k, now := range is {
		if was[k] == nil {
			c, _ := change(nil, now)
			d.Changes = append(d.Changes, c)
		}
	}
	slices.SortFunc(d.Changes, func(a, b Change) int { return cmp.Or(ByTree(a.Name, b.Name), cmp.Compare(a.Type, b.Type)) })
	d.Equal = len(d.Changes) == 0 && d.Serial == Stays
	d.Summary = d.summary(names(before), names(after))
	d.Warnings = append(d.serialWarnings(), d.cacheWarnings(negative(before))...)
	return d, nil
}

func step(before, after uint32) Step {
	switch {
	case before == after:
		return Stays
	case zone.SerialNewer(after, before):
		return Grows
	case zone.SerialNewer(before, after):
		return Back
	}
	return Apart
}

// set is the records of one name and type.
type set struct {
	name, typ string
	ttl       uint32
	data      map[string]string // as compared → as written
}

// sets are a zone's record sets by owner and type.
func sets(z *zone.Zone) map[[2]string]*set {
	out := map[[2]string]*set{}
	for _, rec := range z.Records() {
		typ, data := rec.Value()
		k := [2]string{rec.Owner, typ}
		if out[k] == nil {
			out[k] = &set{name: zone.Unpack(rec.Owner), typ: typ, ttl: rec.TTL, data: map[string]string{}}
		}
		out[k].data[Compared(typ, data)] = data
	}
	return out
}

// Compared is data in the form in which it is compared.
func Compared(typ, data string) string {
	switch typ {
	case "NS", "CNAME", "DNAME", "PTR", "MX", "SRV": // names and figures only
		return strings.ToLower(data)
	case "SOA": // MNAME RNAME SERIAL …: the serial is told apart
		f := strings.Fields(strings.ToLower(data))
		if len(f) > 2 {
			f[2] = ""
		}
		return strings.Join(f, " ")
	}
	return data
}

// change is what differs between two sets of one name and type; one may be missing.
func change(old, now *set) (c Change, differs bool) {
	switch {
	case old == nil:
		return Change{Name: now.name, Type: now.typ, Kind: Added, New: missing(now, &set{}), NewTTL: now.ttl}, true
	case now == nil:
		return Change{Name: old.name, Type: old.typ, Kind: Removed, Old: missing(old, &set{}), OldTTL: old.ttl}, true
	}
	c = Change{Name: now.name, Type: now.typ, Kind: Data, Old: missing(old, now), New: missing(now, old), OldTTL: old.ttl, NewTTL: now.ttl}
	if len(c.Old)+len(c.New) > 0 {
		return c, true
	}
	c.Kind = TTL
	return c, old.ttl != now.ttl
}

// missing is the data of a that b lacks, as written and in order.
func missing(a, b *set) []string {
	var out []string
	for k, data := range a.data {
		if _, has := b.data[k]; !has {
			out = append(out, data)
		}
	}
	slices.Sort(out)
	return out
}

func names(z *zone.Zone) map[string]bool {
	out := map[string]bool{}
	for _, rec := range z.Records() {
		out[zone.Unpack(rec.Owner)] = true
	}
	return out
}

// negative is how long resolvers may keep "no such name" of a zone, in seconds
// (RFC 2308 section 5).
func negative(z *zone.Zone) uint32 {
	for _, rec := range z.Records() {
		if typ, _ := rec.Value(); typ == "SOA" && len(rec.Data) >= 4 {
			tail := rec.Data[len(rec.Data)-4:]
			return min(rec.TTL, uint32(tail[0])<<24|uint32(tail[1])<<16|uint32(tail[2])<<8|uint32(tail[3]))
		}
	}
	return 0
}

// summary is the sentence on top.
func (d Diff) summary(was, is map[string]bool) string {
	changed, gone, fresh := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range d.Changes {
		switch {
		case !is[c.Name]:
			gone[c.Name] = true
		case !was[c.Name]:
			fresh[c.Name] = true
		default:
			changed[c.Name] = true
		}
	}
	var parts []string
	for _, p := range []struct {
		n          int
		one, other string
	}{{len(changed), "changes", "change"}, {len(gone), "goes away", "go away"}, {len(fresh), "is new", "are new"}} {
		switch {
		case p.n == 0:
			continue
		case len(parts) > 0 && p.n == 1:
			parts = append(parts, "1 "+p.one)
		case len(parts) > 0:
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.other))
		case p.n == 1:
			parts = append(parts, "1 name "+p.one)
		default:
			parts = append(parts, fmt.Sprintf("%d names %s", p.n, p.other))
		}
	}
	said := strings.Join(parts, ", ")
	switch {
	case said == "" && d.Serial == Stays:
		return fmt.Sprintf("Nothing differs; the serial is %d.", d.NewSerial)
	case said == "":
		said = "No record set differs"
	}
	return said + "; " + d.serialWords() + "."
}

func (d Diff) serialWords() string {
	switch d.Serial {
	case Stays:
		return fmt.Sprintf("the serial stays at %d", d.NewSerial)
	case Back:
		return fmt.Sprintf("the serial goes back from %d to %d", d.OldSerial, d.NewSerial)
	case Apart:
		return fmt.Sprintf("the serial jumps from %d to %d", d.OldSerial, d.NewSerial)
	}
	return fmt.Sprintf("the serial grows from %d to %d", d.OldSerial, d.NewSerial)
}

// serialWarnings say where secondaries would not take the new version.
func (d Diff) serialWarnings() []string {
	switch {
	case d.Serial == Stays && len(d.Changes) > 0:
		return []string{fmt.Sprintf("The records differ, but the serial is still %d: secondaries will not fetch them. Give it %d.", d.NewSerial, zone.NextSerial(d.OldSerial))}
	case d.Serial == Back:
		return []string{fmt.Sprintf("The serial goes back from %d to %d: secondaries keep the old zone. Give it %d or more.", d.OldSerial, d.NewSerial, zone.NextSerial(d.OldSerial))}
	case d.Serial == Apart:
		return []string{fmt.Sprintf("The serials %d and %d are 2^31 apart: neither counts as newer. Give it %d.", d.OldSerial, d.NewSerial, zone.NextSerial(d.OldSerial))}
	}
	return nil
}

// cacheWarnings say where resolvers may keep what they have for long.
func (d Diff) cacheWarnings(negative uint32) []string {
	var out []string
	var added []string
	for _, c := range d.Changes {
		switch {
		case c.Kind == Added:
			if !slices.Contains(added, c.Name) {
				added = append(added, c.Name)
			}
		case (c.Kind == Data || c.Kind == Removed) && c.OldTTL > movingTTL && c.Type != "SOA":
			out = append(out, fmt.Sprintf("%s %s: resolvers may keep the old answer for %s.", c.Name, c.Type, Lasting(c.OldTTL)))
		}
	}
	if len(added) > 0 && negative > movingTTL {
		who := added[0]
		if len(added) > 1 {
			who = fmt.Sprintf("%s and %d more", who, len(added)-1)
		}
		out = append(out, fmt.Sprintf("%s: resolvers that have asked already may keep \"there is none\" for %s.", who, Lasting(negative)))
	}
	return out
}

// Lasting says how long a TTL in seconds is, without rounding it.
func Lasting(seconds uint32) string {
	d := time.Duration(seconds) * time.Second
	if d == 0 {
		return "0 s"
	}
	var parts []string
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.of; n > 0 {
			parts, d = append(parts, fmt.Sprintf("%d %s", n, u.name)), d%u.of
		}
	}
	return strings.Join(parts, " ")
}

// ByTree orders names as RFC 4034 section 6.1 does: what stands below a name comes
// right behind it.
func ByTree(a, b string) int {
	x, y := strings.Split(strings.TrimSuffix(a, "."), "."), strings.Split(strings.TrimSuffix(b, "."), ".")
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.Compare(x, y)
}
