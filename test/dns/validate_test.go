package dns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// validator judges answers of signed zones by the RFCs alone (4034, 4035, 6672), with
// the wire library's verification and none of our code.
type validator struct {
	keys map[string][]*wire.DNSKEY // by apex
	now  time.Time
}

// zoneOf is the deepest zone that a name lies in.
func (v validator) zoneOf(name string) (apex string) {
	for z := range v.keys {
		if wire.IsSubDomain(z, name) && len(z) > len(apex) {
			apex = z
		}
	}
	return apex
}

// judged is what an answer's sections come to once their signatures hold.
type judged struct {
	v       validator
	apex    string
	denials []*wire.NSEC
	expand  map[string]int // owner of an answer from a wildcard → labels of the wildcard's parent
}

// check says what is wrong with an answer to a question that wanted DNSSEC.
func (v validator) check(m *wire.Msg, apex string) error {
	q := m.Question[0]
	j := &judged{v: v, apex: apex, expand: map[string]int{}}
	if err := j.section(m.Answer, m.Answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := j.section(m.Ns, nil); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	if err := j.section(m.Extra, nil); err != nil {
		return fmt.Errorf("additional: %w", err)
	}
	name, err := j.last(strings.ToLower(q.Name), q.Qtype, m.Answer)
	if err != nil {
		return err
	}
	if m.Rcode == wire.RcodeYXDomain || !wire.IsSubDomain(apex, name) {
		return nil
	}
	return j.end(m, name, q.Qtype)
}

// section verifies every set of a section. Of referrals the NS set, and glue, have no
// signature; nor has a CNAME that a DNAME of the answer makes.
func (j *judged) section(rrs, answer []wire.RR) error {
	type key struct {
		owner string
		typ   uint16
	}
	sets, sigs := map[key][]wire.RR{}, map[key][]*wire.RRSIG{}
	for _, rr := range rrs {
		h := rr.Header()
		k := key{strings.ToLower(h.Name), h.Rrtype}
		switch rr := rr.(type) {
		case *wire.OPT:
		case *wire.RRSIG:
			k.typ = rr.TypeCovered
			sigs[k] = append(sigs[k], rr)
		default:
			sets[k] = append(sets[k], rr)
		}
	}
	for k := range sigs {
		if len(sets[k]) == 0 {
			return fmt.Errorf("a signature over %s %s, which is not there", k.owner, wire.Type(k.typ))
		}
	}
	for k, set := range sets {
		if len(sigs[k]) == 0 {
			made := k.typ == wire.TypeCNAME && slices.ContainsFunc(answer, func(rr wire.RR) bool {
				return rr.Header().Rrtype == wire.TypeDNAME && wire.IsSubDomain(strings.ToLower(rr.Header().Name), k.owner) && strings.ToLower(rr.Header().Name) != k.owner
			})
			unsigned := answer == nil && (k.typ == wire.TypeNS && k.owner != j.apex || k.typ == wire.TypeA || k.typ == wire.TypeAAAA)
			if made || unsigned {
				continue
			}
			return fmt.Errorf("%s %s has no signature", k.owner, wire.Type(k.typ))
		}
		for _, sig := range sigs[k] {
			if err := j.verify(k.owner, set, sig); err != nil {
				return fmt.Errorf("%s %s: %w", k.owner, wire.Type(k.typ), err)
			}
		}
		if n, ok := set[0].(*wire.NSEC); ok && answer == nil {
			j.denials = append(j.denials, n)
		}
	}
	return nil
}

func (j *judged) verify(owner string, set []wire.RR, sig *wire.RRSIG) error {
	keys := j.v.keys[strings.ToLower(sig.SignerName)]
	i := slices.IndexFunc(keys, func(k *wire.DNSKEY) bool { return k.KeyTag() == sig.KeyTag })
	if i < 0 || !wire.IsSubDomain(strings.ToLower(sig.SignerName), owner) {
		return fmt.Errorf("signed by %s with key %d", sig.SignerName, sig.KeyTag)
	}
	if err := sig.Verify(keys[i], set); err != nil {
		return err
	}
	if !sig.ValidityPeriod(j.v.now) {
		return errors.New("the signature is not valid now")
	}
	for _, rr := range set {
		if rr.Header().Ttl != sig.Hdr.Ttl || sig.Hdr.Ttl > sig.OrigTtl {
			return fmt.Errorf("TTL %d, of the signature %d, as signed %d", rr.Header().Ttl, sig.Hdr.Ttl, sig.OrigTtl)
		}
	}
	labels := wire.CountLabel(owner)
	if strings.HasPrefix(owner, "*.") {
		labels--
	}
	if int(sig.Labels) < labels {
		j.expand[owner] = int(sig.Labels)
	}
	return nil
}

// last follows the answer's chain to the name that the rest is about, and asks of each
// name from a wildcard that it is not there by itself.
func (j *judged) last(name string, typ uint16, answer []wire.RR) (string, error) {
	for range 20 {
		if n, expanded := j.expand[name]; expanded {
			labels := wire.SplitDomainName(name)
			closer := wire.Fqdn(strings.Join(labels[len(labels)-n-1:], "."))
			if !slices.ContainsFunc(j.denials, func(d *wire.NSEC) bool { return covers(d, closer, j.apex) }) {
				return "", fmt.Errorf("nothing proves that %s is from a wildcard because there is no %s", name, closer)
			}
		}
		i := slices.IndexFunc(answer, func(rr wire.RR) bool {
			return rr.Header().Rrtype == wire.TypeCNAME && strings.ToLower(rr.Header().Name) == name
		})
		if i < 0 || typ == wire.TypeCNAME || typ == wire.TypeANY {
			return name, nil
		}
		name = strings.ToLower(answer[i].(*wire.CNAME).Target)
	}
	return ".", nil // a loop: nothing ends it
}

// end judges how the chain ends: with data, a referral, or a denial.
func (j *judged) end(m *wire.Msg, name string, typ uint16) error {
	has := func(rrs []wire.RR, f func(rr wire.RR) bool) bool { return slices.ContainsFunc(rrs, f) }
	if has(m.Answer, func(rr wire.RR) bool {
		return strings.ToLower(rr.Header().Name) == name && (rr.Header().Rrtype == typ || typ == wire.TypeANY)
	}) {
		return nil
	}
	soa := has(m.Ns, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeSOA })
	for _, rr := range m.Ns {
		if ns, ok := rr.(*wire.NS); ok && !soa {
			return j.referral(m, strings.ToLower(ns.Hdr.Name))
		}
	}
	switch {
	case !soa && len(m.Answer) > 0:
		return nil // a loop, a chain that is too long
	case !soa:
		return errors.New("neither data nor a referral nor a denial")
	case m.Rcode == wire.RcodeNameError:
		return j.noName(name)
	}
	return j.noData(name, typ)
}

func (j *judged) referral(m *wire.Msg, cut string) error {
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == wire.TypeDS && strings.ToLower(rr.Header().Name) == cut {
			return nil // its signature has been verified
		}
	}
	for _, d := range j.denials {
		if strings.ToLower(d.Hdr.Name) == cut {
			if !slices.Contains(d.TypeBitMap, wire.TypeNS) || slices.Contains(d.TypeBitMap, wire.TypeDS) || slices.Contains(d.TypeBitMap, wire.TypeSOA) {
				return fmt.Errorf("%s does not prove a delegation without DS", d)
			}
			return nil
		}
	}
	return fmt.Errorf("nothing says whether %s has a DS record", cut)
}

func (j *judged) noName(name string) error {
	for _, d := range j.denials {
		if !covers(d, name, j.apex) {
			continue
		}
		if wire.IsSubDomain(name, strings.ToLower(d.NextDomain)) {
			return fmt.Errorf("%s proves that %s is there, with names below it", d, name)
		}
		star := "*." + closest(d, name)
		if slices.ContainsFunc(j.denials, func(d *wire.NSEC) bool { return covers(d, star, j.apex) }) {
			return nil
		}
		return fmt.Errorf("nothing proves that there is no %s", star)
	}
	return fmt.Errorf("nothing proves that there is no %s", name)
}

func (j *judged) noData(name string, typ uint16) error {
	lacks := func(d *wire.NSEC) bool {
		return !slices.Contains(d.TypeBitMap, typ) && !slices.Contains(d.TypeBitMap, wire.TypeCNAME) && (typ == wire.TypeDS || !slices.Contains(d.TypeBitMap, wire.TypeNS) || slices.Contains(d.TypeBitMap, wire.TypeSOA))
	}
	for _, d := range j.denials {
		if same(d.Hdr.Name, name) {
			if !lacks(d) {
				return fmt.Errorf("%s does not deny %s", d, wire.Type(typ))
			}
			return nil
		}
	}
	for _, d := range j.denials {
		if !covers(d, name, j.apex) {
			continue
		}
		if wire.IsSubDomain(name, strings.ToLower(d.NextDomain)) {
			return nil // only has names below it
		}
		star := "*." + closest(d, name)
		for _, w := range j.denials {
			if same(w.Hdr.Name, star) && lacks(w) || covers(w, star, j.apex) && wire.IsSubDomain(star, strings.ToLower(w.NextDomain)) {
				return nil
			}
		}
		return fmt.Errorf("nothing says what there is at %s", star)
	}
	return fmt.Errorf("nothing denies %s at %s", wire.Type(typ), name)
}

// covers says whether an NSEC record proves that a name has no records. One of a
// delegation or a DNAME says nothing of what lies below it.
func covers(d *wire.NSEC, name, apex string) bool {
	owner, next := sortable(d.Hdr.Name), sortable(d.NextDomain)
	n := sortable(name)
	if slices.Compare(owner, n) >= 0 || slices.Compare(n, next) >= 0 && !same(d.NextDomain, apex) {
		return false
	}
	cut := slices.Contains(d.TypeBitMap, wire.TypeNS) && !slices.Contains(d.TypeBitMap, wire.TypeSOA) || slices.Contains(d.TypeBitMap, wire.TypeDNAME)
	return !cut || !wire.IsSubDomain(strings.ToLower(d.Hdr.Name), name)
}

// closest is the closest encloser that an NSEC record proves for a name that it covers:
// the longer of what the name has in common with its two ends.
func closest(d *wire.NSEC, name string) string {
	n := max(wire.CompareDomainName(name, d.Hdr.Name), wire.CompareDomainName(name, d.NextDomain))
	labels := wire.SplitDomainName(name)
	return wire.Fqdn(strings.Join(labels[len(labels)-n:], "."))
}

// same compares names as they are on the wire.
func same(a, b string) bool { return slices.Equal(sortable(a), sortable(b)) }

// sortable are a name's labels, the last first, in lower case and without escapes (RFC
// 4034 section 6.1).
func sortable(name string) (labels []string) {
	var buf [255]byte
	n, err := wire.PackDomainName(strings.ToLower(wire.Fqdn(name)), buf[:], 0, nil, false)
	if err != nil {
		panic(err) // the test's own names
	}
	for i := 0; i < n && buf[i] != 0; i += 1 + int(buf[i]) {
		labels = append(labels, string(buf[i+1:i+1+int(buf[i])]))
	}
	slices.Reverse(labels)
	return labels
}
