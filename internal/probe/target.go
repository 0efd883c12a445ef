package probe

import (
	"net/netip"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
)

// neverAsked are the addresses at which clouds hand a machine its own
// credentials. No site lives there, so a check that names one is a mistake or an
// attack.
var neverAsked = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("fd00:ec2::254"),
}

// NeverAsked says whether no check may ask this address, in whatever form it is
// written.
func NeverAsked(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range neverAsked {
		if a == n {
			return true
		}
	}
	return false
}

// Validate says why the target can't be asked: a *fault.Error of kind Invalid
// whose Place is the JSON name of the first field at fault, or nil.
func (t Target) Validate() error {
	addr, err := netip.ParseAddr(t.Address)
	switch {
	case err != nil:
		return invalid("address", "%q is not an IP address", t.Address).WithHint("write it without a port")
	case NeverAsked(addr):
		return invalid("address", "%s is the address of cloud credentials, which is never asked", t.Address).
			WithHint("name the site's own address")
	case t.Port < 1 || t.Port > 65535:
		return invalid("port", "%d is not a port", t.Port).WithHint("use 1 to 65535")
	case t.Scheme != "http" && t.Scheme != "https":
		return invalid("scheme", "%q is not a scheme that sites are asked by", t.Scheme).WithHint("use http or https")
	case !hostOK(t.Host):
		return invalid("host", "%q is not a host name", t.Host).WithHint("write it without a port")
	}
	return nil
}

func hostOK(s string) bool {
	return s != "" && len(s) <= 253 && strings.IndexFunc(s, func(r rune) bool { return !nameRune(r) }) < 0
}

// Authority is the host as a visitor's browser writes it in the Host header: the
// port only where it is not the scheme's own.
func (t Target) Authority() string {
	if t.Scheme == "http" && t.Port == 80 || t.Scheme == "https" && t.Port == 443 {
		return t.Host
	}
	return t.Host + ":" + strconv.Itoa(t.Port)
}

// AddrPort is where a check of this target connects to: the check's own port
// where it has one.
func (t Target) AddrPort(c Check) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(t.Address)
	if err != nil {
		return netip.AddrPort{}, fault.New(fault.Invalid, "%q is not an IP address", t.Address).At("address")
	}
	return netip.AddrPortFrom(addr, uint16(or(c.Port, t.Port))), nil
}
