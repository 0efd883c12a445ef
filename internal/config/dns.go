package config

import (
	"math"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"lifeboat/internal/snapshot"
)

// The most that is taken of the name server's options.
const (
	maxServerName = 64 // octets that a server tells of its name (authdns.MaxNSID)
	maxRate       = 1_000_000
	maxSlip       = 100
	maxQueryLog   = 1000 // lines a second
	maxExempt     = 50   // each answer is held against all of them
)

// dns reads what the name server does besides answering.
func (b *builder) dns(top section) {
	n := top.n.get("dns")
	if n == nil {
		return
	}
	s, ok := b.section(n, "dns", dnsKeys)
	if !ok {
		return
	}
	b.c.DNS = snapshot.DNS{
		NSID: s.serverName(), RequireCookie: s.truth("require_cookie", false),
		Rate: s.numberOrOff("rate", 200, maxRate), Slip: s.numberOrOff("slip", 2, maxSlip), Exempt: s.prefixes("exempt"),
		QueryLog: s.number("query_log", 0, 0, maxQueryLog),
	}
	b.transferKeys(s)
}

var outsideSpan = span{time.Hour, 10 * time.Second, 24 * time.Hour}

// maxStart is how many servers a look from outside may begin at.
const maxStart = 13

// outside reads how our zones are looked at. Unless it is written, name servers that
// the world can't reach are not looked for there.
func (b *builder) outside(top section) {
	s := section{b.report, "dns.watch", &node{at: top.n.at, shape: emptyShape}}
	if n := top.n.get("dns").get("watch"); n != nil {
		if n.shape == textShape && n.text == "off" {
			return
		}
		given, ok := b.section(n, "dns.watch", watchKeys)
		if !ok {
			return
		}
		s = given
	} else if !slices.ContainsFunc(b.c.Nameservers, func(n Nameserver) bool { return public(n.Address.Addr()) }) {
		return
	}
	b.c.Outside.Every = s.wait("every", outsideSpan)
	for _, n := range s.few("from", "[192.0.2.53]", maxStart) {
		if a, ok := s.addrPort(n, s.of("from")); ok {
			b.c.Outside.From = append(b.c.Outside.From, a)
		}
	}
	text := s.line("rdap", "", "https://rdap.org/", 200)
	if text == "" || text == "off" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		s.invalid(s.at("rdap"), "%s: %q is no https address of an RDAP server", s.of("rdap"), clip(text)).WithHint("for example https://rdap.org/, or off")
		return
	}
	b.c.Outside.RDAP = text
}

// public says whether the world can reach an address.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// serverName reads what a server calls itself.
func (s section) serverName() string {
	name := s.line("nsid", "", "ns1", math.MaxInt) // what counts is octets
	if len(name) > maxServerName {
		s.invalid(s.at("nsid"), "%s is too long: %d octets, %d fit", s.of("nsid"), len(name), maxServerName).WithHint("say it shorter, or in letters of ASCII")
	}
	return name
}

// numberOrOff reads a number of 1 or more: 0 where none is said, -1 for off.
func (s section) numberOrOff(key string, example, most int) int {
	n := s.n.get(key)
	switch {
	case n == nil:
		return 0
	case n.text == "off" && n.shape == textShape:
		return -1
	case n.shape != numberShape:
		s.invalid(n.at, "%s: expected a whole number or off, found %s", s.of(key), n.found()).WithHint("for example %s: %d", key, example)
		return 0
	case n.text == "0":
		s.invalid(n.at, "%s: 0 is out of range", s.of(key)).WithHint("from 1 to %d, or off", most)
		return 0
	}
	return s.number(key, example, 1, most)
}

// prefixes reads networks: nil where none are said, empty where there are said to be
// none.
func (s section) prefixes(key string) []netip.Prefix {
	const sample = `["127.0.0.0/8", "2001:db8::/32"]`
	n := s.n.get(key)
	if n == nil || n.shape == emptyShape {
		return nil
	}
	out := []netip.Prefix{}
	for _, item := range s.few(key, sample, maxExempt) {
		text, ok := s.text(item, s.of(key), key+": "+sample)
		if !ok {
			continue
		}
		p, ok := s.prefix(item.at, key, text)
		if !ok {
			continue
		}
		if slices.Contains(out, p) {
			s.invalid(item.at, "%s: %s is written twice", s.of(key), p).WithHint("remove one")
			continue
		}
		out = append(out, p)
	}
	return out
}

// prefix reads one network, written as it is.
func (s section) prefix(at position, key, text string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		problem := s.invalid(at, "%s: %q is not a network", s.of(key), clip(text))
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			problem.WithHint("write %s, or more of its network", netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		} else {
			problem.WithHint("for example 192.0.2.0/24 or 2001:db8::/32")
		}
		return p, false
	}
	if p.Addr().Is4In6() {
		s.invalid(at, "%s: %s is an IPv4 network in the form of IPv6", s.of(key), p).WithHint("write it as IPv4, for example 192.0.2.0/24")
		return p, false
	}
	if p != p.Masked() {
		s.invalid(at, "%s: %s goes on behind its %d bits", s.of(key), p, p.Bits()).WithHint("write %s", p.Masked())
		return p, false
	}
	return p, true
}
