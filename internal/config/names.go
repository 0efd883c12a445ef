package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// hostName gives a host name in lower case without its final dot, or why it is
// none and what to write (RFC 1123 section 2.1).
func hostName(text string) (name, why, remedy string) {
	name = strings.ToLower(strings.TrimSuffix(text, "."))
	if name == "" {
		return "", "is empty", "for example shop.example.com"
	}
	if _, rest, isURL := strings.Cut(name, "://"); isURL {
		host, _, _ := strings.Cut(rest, "/")
		return "", "is a URL", "write only the host name: " + clip(host)
	}
	if host, _, more := strings.Cut(name, "/"); more {
		return "", "has a path", "write only the host name: " + clip(host)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", "is an IP address", "write the host name that visitors type, for example shop.example.com"
	}
	if host, port, more := strings.Cut(name, ":"); more {
		return "", "has a port (" + clip(port) + ")", "write only the host name: " + clip(host)
	}
	if strings.HasPrefix(name, "*.") {
		return "", "is a wildcard", "write out each name"
	}
	if why := badLabels(name); why != "" {
		return "", why, "for example shop.example.com"
	}
	return name, "", ""
}

// badLabels says what is wrong with a name's labels, "" when nothing is.
func badLabels(name string) string {
	if len(name) > 253 {
		return fmt.Sprintf("is %d characters long, 253 fit", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "has two dots in a row, or begins with one"
		case len(label) > 63:
			return fmt.Sprintf("has a part of %d characters, 63 fit", len(label))
		case label[0] == '-' || label[len(label)-1] == '-':
			return "has a part that begins or ends with -"
		}
		for _, c := range label {
			switch {
			case c > 0x7f:
				return fmt.Sprintf("has the character %q; write it as DNS does (xn--…)", c)
			case c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9'):
				return fmt.Sprintf("has the character %q", c)
			}
		}
	}
	return ""
}

// host reads one host name of at least two labels.
func (r *report) host(n *node, what string) string {
	text, ok := r.text(n, what, "shop.example.com")
	if !ok {
		return ""
	}
	name, why, remedy := hostName(text)
	if why == "" && !strings.Contains(name, ".") {
		why, remedy = "is only one part of a name", "write the whole name, for example "+name+".example.com"
	}
	if why != "" {
		r.badName(n.at, what, text, why, remedy)
		return ""
	}
	return name
}

// badName refuses a host name for the reason that hostName gave.
func (r *report) badName(at position, what, text, why, remedy string) {
	if strings.HasPrefix(text, "*") {
		r.later(at, fmt.Sprintf("%s: %q, a wildcard,", what, clip(text))).WithHint("%s", remedy)
		return
	}
	r.invalid(at, "%s: %q %s", what, clip(text), why).WithHint("%s", remedy)
}

// absolute reads a name server's name; the final dot may be left out.
func (r *report) absolute(at position, what, text string) string {
	name, why, remedy := hostName(text)
	if why == "" && !strings.Contains(name, ".") {
		why, remedy = "is only one part of a name", "write the whole name, for example "+name+".example.net."
	}
	if why != "" {
		r.badName(at, what, text, why, remedy)
		return ""
	}
	return name + "."
}

// address reads one IP address that can be connected to.
func (r *report) address(n *node, what string) (netip.Addr, bool) {
	text, ok := r.text(n, what, "203.0.113.10")
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		r.invalid(n.at, "%s: %q is not an IP address", what, clip(text)).WithHint("%s", addressHint(text))
		return netip.Addr{}, false
	}
	if why := unusable(a); why != "" {
		r.invalid(n.at, "%s: %s %s", what, a, why).WithHint("write the address that visitors connect to")
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func addressHint(text string) string {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return fmt.Sprintf("write %s here; the port belongs to port: %d of the site", ap.Addr(), ap.Port())
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return fmt.Sprintf("write one address, for example %s", p.Addr())
	}
	return "write the address itself, for example 203.0.113.10; a name would have to be looked up in the middle of a crisis"
}

// unusable says why nobody can connect to an address, "" when they can.
func unusable(a netip.Addr) string {
	switch {
	case a.Zone() != "":
		return "has a zone"
	case a.IsUnspecified():
		return "stands for no machine"
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "stands for many machines"
	}
	return ""
}

// addresses reads `address` or `addresses` of a place.
func (s section) addresses() []netip.Addr {
	one, list := s.n.get("address"), s.n.get("addresses")
	if one != nil && list != nil {
		s.invalid(s.at("addresses"), "%s has both address and addresses", s.where).WithHint("keep one of them")
		return nil
	}
	nodes, what := s.list("addresses", "[203.0.113.10]"), s.of("addresses")
	if one != nil {
		nodes, what = []*node{one}, s.of("address")
	}
	before := len(s.problems)
	var out []netip.Addr
	for _, n := range nodes {
		a, ok := s.address(n, what)
		if !ok {
			continue
		}
		if slices.Contains(out, a) {
			s.invalid(n.at, "%s: %s is written twice", what, a).WithHint("remove one")
			continue
		}
		out = append(out, a)
	}
	if len(out) == 0 && len(s.problems) == before {
		s.invalid(s.n.at, "%s has no address", s.where).WithHint("add address: 203.0.113.10")
	}
	return out
}

// addrPort reads where a name server is asked, port 53 unless said.
func (r *report) addrPort(n *node, what string) (netip.AddrPort, bool) {
	text, ok := r.text(n, what, "127.0.0.1:5354")
	if !ok {
		return netip.AddrPort{}, false
	}
	ap, err := netip.ParseAddrPort(text)
	if a, plain := netip.ParseAddr(text); plain == nil {
		ap, err = netip.AddrPortFrom(a, 53), nil
	}
	switch {
	case err != nil:
		r.invalid(n.at, "%s: %q is not an address with a port", what, clip(text)).
			WithHint("write an IP address and a port, for example 127.0.0.1:5354 or \"[2001:db8::1]:53\"")
		return netip.AddrPort{}, false
	case ap.Port() == 0:
		r.invalid(n.at, "%s: port 0 can't be asked", what).WithHint("for example %s", netip.AddrPortFrom(ap.Addr(), 53))
		return netip.AddrPort{}, false
	case unusable(ap.Addr()) != "":
		r.invalid(n.at, "%s: %s %s", what, ap.Addr(), unusable(ap.Addr())).WithHint("write the address that the server is asked at")
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
}

// mailbox gives a mail address or name as an SOA RNAME (RFC 1035 section 8), or
// why it can't be.
func mailbox(text string) (name, why string) {
	local, domain, isMail := strings.Cut(text, "@")
	if !isMail {
		name, why, _ = hostName(text)
		if why != "" {
			return "", why
		}
		return name + ".", ""
	}
	name, why, _ = hostName(domain)
	if why != "" {
		return "", why
	}
	if local == "" || len(local) > 63 || strings.ContainsAny(local, " \t\n\"\\@();") {
		return "", "is not a mail address: " + strconv.Quote(clip(local)) + " before the @"
	}
	return strings.ReplaceAll(strings.ToLower(local), ".", `\.`) + "." + name + ".", ""
}
