package zone

import (
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Pack gives an absolute name's wire form (RFC 1035 section 3.1) in lower case.
func Pack(name string) (string, error) {
	if name == "" {
		return "", errors.New("an empty name")
	}
	if !dns.IsFqdn(name) {
		return "", fmt.Errorf("the name %q is not absolute: a final dot is missing", name)
	}
	var wire [256]byte
	n, err := dns.PackDomainName(name, wire[:], 0, nil, false)
	if err != nil || n > 255 {
		return "", fmt.Errorf("%q is not a domain name (labels of 1 to 63 octets, 255 in all)", name)
	}
	return lower(string(wire[:n])), nil
}

// Unpack gives a wire-form name as absolute text, unusual octets escaped.
func Unpack(wire string) string {
	name, _, err := dns.UnpackDomainName([]byte(wire), 0)
	if err != nil {
		return fmt.Sprintf("%q", wire)
	}
	return name
}

// Under says whether a wire-form name lies at or below another one. Both must be
// in lower case.
func Under(name, ancestor string) bool {
	for len(name) > len(ancestor) {
		name = parent(name)
	}
	return name == ancestor
}

// parent takes the leftmost label off a name in wire form; the root has none and
// gives "".
func parent(wire string) string {
	if len(wire) <= 1 {
		return ""
	}
	return wire[1+int(wire[0]):]
}

// lower works on wire form too: a length octet is at most 63 and so no letter.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return lowerCopy(s)
		}
	}
	return s
}

func lowerCopy(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// isWildcard says whether a wire-form name's first label is an asterisk.
func isWildcard(wire string) bool { return strings.HasPrefix(wire, "\x01*") }

// TypeName is a record type as people write it.
func TypeName(t uint16) string { return typeName(t) }

// typeName is a record type as people write it.
func typeName(t uint16) string {
	if name, ok := dns.TypeToString[t]; ok {
		return name
	}
	return fmt.Sprintf("TYPE%d", t)
}
