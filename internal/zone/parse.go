package zone

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// What Parse puts into the SOA that it makes, in seconds (RFC 1912 section 2.2),
// and the TTL of the SOA and NS records that it makes.
const (
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 1209600
	soaMinimum = 60
	madeTTL    = 3600
	followTTL  = 60 // of following names, where the source has no TTL
)

// apexNumber is the apex's number among the names.
const apexNumber = 0

// maxProblems are as many as one error tells of.
const maxProblems = 25

// Parse reads and checks a zone. The SOA and the NS records are made where the
// text has none. All problems are told at once: the error joins one
// fault.Invalid for each, with file, line and remedy.
//
// $INCLUDE brings in what Source.Includes holds. Records that can never be answered (below a delegation or
// a DNAME), signatures, and HTTPS or SVCB records of following names are left
// out with a warning.
func Parse(s Source) (*Zone, error) { return parse(s, false) }

// parse can do without the quick way, for tests.
func parse(s Source, slow bool) (*Zone, error) {
	s.Apex = strings.ToLower(s.Apex)
	apex, err := Pack(s.Apex)
	if err != nil {
		return nil, fault.New(fault.Invalid, "zone: %v", err).At(s.File).WithHint("write it with a final dot, as in shop.example.com.")
	}
	r := newReader(s, apex)
	r.quick.off = slow
	r.read()
	z := &Zone{source: s, apex: apex, follow: r.follows()}
	if len(r.problems) == 0 {
		r.complete()
		r.check(z.follow)
	}
	if len(r.problems) > 0 {
		return nil, join(r.problems)
	}
	r.names.addAbove(apex)
	r.names.trim()
	z.names, z.recs, z.data, z.warnings = r.names, r.recs, r.data, r.warnings
	z.serial, z.sites = r.serial(), sitesOf(z.follow)
	return z, nil
}

// join makes one error of many, bounded so that a wrong file stays readable.
func join(problems []error) error {
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems:maxProblems], fmt.Errorf("and %d more problems", more))
	}
	return errors.Join(problems...)
}

// follows reads the source's following names.
func (r *reader) follows() []Followed {
	var all []Followed
	ttl := cmp.Or(r.source.TTL, followTTL)
	for name, site := range r.source.Follow {
		owner, err := Pack(name)
		switch {
		case err != nil:
			r.problems = append(r.problems, r.followFault(name, err.Error(), "write it absolute, as in www.%s", r.source.Apex))
		case !Under(owner, r.apex):
			r.problems = append(r.problems, r.followFault(name, "it lies outside the zone "+r.source.Apex, "move it to the zone that it lies in"))
		case site == "":
			r.problems = append(r.problems, r.followFault(name, "no site is named", "name the site whose position it takes"))
		default:
			all = append(all, Followed{Owner: owner, Site: site, TTL: ttl})
		}
	}
	slices.SortFunc(all, func(a, b Followed) int { return cmp.Compare(a.Owner, b.Owner) })
	for i := 1; i < len(all); i++ {
		if all[i].Owner == all[i-1].Owner {
			r.problems = append(r.problems, r.followFault(Unpack(all[i].Owner), "it is there twice", "keep one"))
		}
	}
	return all
}

func sitesOf(follow []Followed) []string {
	known := map[string]bool{}
	for _, f := range follow {
		known[f.Site] = true
	}
	return sortedKeys(known)
}

func (r *reader) followFault(name, why, hint string, args ...any) error {
	return r.invalid(1, "following name %s: %s", name, why).WithHint(hint, args...)
}

// complete makes the SOA and NS records that the text lacks.
func (r *reader) complete() {
	var soa, ns bool
	for i := range r.recs {
		rec := &r.recs[i]
		soa = soa || rec.typ == dns.TypeSOA
		ns = ns || rec.typ == dns.TypeNS && rec.name == apexNumber
	}
	if !ns {
		r.makeNS()
	}
	if !soa && len(r.problems) == 0 {
		r.makeSOA()
	}
}

func (r *reader) makeNS() {
	if len(r.source.NS) == 0 {
		r.problems = append(r.problems, r.invalid(1, "zone %s has no name server", r.source.Apex).
			WithHint("add a line like @ IN NS ns1.example.net."))
	}
	for _, name := range r.source.NS {
		if _, err := Pack(name); err != nil {
			r.problems = append(r.problems, r.invalid(1, "name server of %s: %v", r.source.Apex, err).
				WithHint("write it absolute, as in ns1.example.net."))
			continue
		}
		r.make(&dns.NS{Hdr: r.header(dns.TypeNS), Ns: name})
	}
}

func (r *reader) makeSOA() {
	contact, err := r.contact()
	if err != nil {
		r.problems = append(r.problems, r.invalid(1, "contact of zone %s: %v", r.source.Apex, err).
			WithHint("write it as a mail address, or as a name like hostmaster.example.com."))
		return
	}
	r.make(&dns.SOA{
		Hdr: r.header(dns.TypeSOA), Ns: r.primary(), Mbox: contact, Serial: 1,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: cmp.Or(r.source.Minimum, soaMinimum),
	})
}

// primary is the first name server: of the configuration, else of the text.
func (r *reader) primary() string {
	for i := range r.recs {
		if rec := &r.recs[i]; rec.typ == dns.TypeNS && rec.name == apexNumber {
			return Unpack(string(r.dataOf(rec)))
		}
	}
	return r.source.Apex
}

// contact is the SOA's RNAME (RFC 1035 section 8): a mail address has its @
// turned into a dot, and the dots before it escaped.
func (r *reader) contact() (string, error) {
	contact := cmp.Or(r.source.Contact, "hostmaster."+strings.TrimPrefix(r.source.Apex, "."))
	if local, domain, ok := strings.Cut(contact, "@"); ok {
		contact = strings.ReplaceAll(local, ".", `\.`) + "." + dns.Fqdn(domain)
	}
	_, err := Pack(contact)
	return contact, err
}

func (r *reader) header(t uint16) dns.RR_Header {
	return dns.RR_Header{Name: r.source.Apex, Rrtype: t, Class: dns.ClassINET, Ttl: madeTTL}
}

func (r *reader) make(rr dns.RR) {
	data, err := wireData(rr)
	if err != nil {
		r.problems = append(r.problems, r.invalid(1, "make the %s record of %s: %v", typeName(rr.Header().Rrtype), r.source.Apex, err))
		return
	}
	r.take(apexNumber, rr.Header().Rrtype, madeTTL, data, 0)
}

func (r *reader) serial() uint32 {
	for i := range r.recs {
		if rec := &r.recs[i]; rec.typ == dns.TypeSOA {
			data := r.dataOf(rec)
			return binary.BigEndian.Uint32(data[len(data)-20:])
		}
	}
	return 1
}

// Text is the zone as master file text: one record a line, everything absolute,
// following names as comments. Parse reads it back to the same records.
func (z *Zone) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n", z.source.Apex)
	for _, f := range z.follow {
		fmt.Fprintf(&b, "; %s follows site %s\n", Unpack(f.Owner), f.Site)
	}
	for _, rec := range z.Records() {
		b.WriteString(rec.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// String is the record as a line of a master file. Data that the type's own form
// can't carry is written in the form of RFC 3597.
func (rec Record) String() string {
	wire := make([]byte, 0, len(rec.Owner)+10+len(rec.Data))
	wire = append(wire, rec.Owner...)
	wire = binary.BigEndian.AppendUint16(wire, rec.Type)
	wire = binary.BigEndian.AppendUint16(wire, dns.ClassINET)
	wire = binary.BigEndian.AppendUint32(wire, rec.TTL)
	wire = binary.BigEndian.AppendUint16(wire, uint16(len(rec.Data)))
	wire = append(wire, rec.Data...)
	if rr, _, err := dns.UnpackRR(wire, 0); err == nil {
		if back, err := dns.NewRR(rr.String()); err == nil && back != nil && equalOnWire(back, wire) {
			return asRecord(rr.String())
		}
	}
	return asRecord(fmt.Sprintf("%s\t%d\tIN\tTYPE%d\t\\# %d %X", Unpack(rec.Owner), rec.TTL, rec.Type, len(rec.Data), rec.Data))
}

// asRecord keeps a line whose owner begins with a dollar sign from being read as a
// directive.
func asRecord(line string) string {
	if strings.HasPrefix(line, "$") {
		return `\` + line
	}
	return line
}
