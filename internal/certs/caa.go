package certs

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// CAA is what a domain says about who may make certificates for its names (RFC 8659).
type CAA struct {
	At      string      // where the records stand: the name or one above it; "" where there are none
	Records []CAARecord // none: everybody may
}

// CAARecord is one property.
type CAARecord struct {
	Critical bool
	Tag      string // lower case
	Value    string
}

// maxProperty is the longest value that is read, in octets.
const maxProperty = 4096

// ParseCAA reads the data of a CAA record (RFC 8659 section 4.1).
func ParseCAA(data []byte) (r CAARecord, ok bool) {
	if len(data) < 2 || len(data) > maxProperty {
		return r, false
	}
	n := int(data[1])
	if n == 0 || len(data) < 2+n {
		return r, false
	}
	r = CAARecord{Critical: data[0]&0x80 != 0, Tag: strings.ToLower(string(data[2 : 2+n])), Value: string(data[2+n:])}
	return r, !strings.ContainsFunc(r.Tag, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
}

// Asking is who would have a certificate made, and how.
type Asking struct {
	Names   []string // of the authority in CAA records
	Account string   // URL of the account there; "": not known yet
	Method  string   // for example dns-01
}

// Refuses says why the records keep a certificate for a name from being made; "" when
// they do not (RFC 8659 section 4, RFC 8657 sections 3 and 4).
func (c CAA) Refuses(name string, who Asking) string {
	var issue, wild []string
	for _, r := range c.Records {
		switch r.Tag {
		case "issue":
			issue = append(issue, r.Value)
		case "issuewild":
			wild = append(wild, r.Value)
		case "issuemail", "issuevmc", "iodef", "contactemail", "contactphone":
		default:
			if r.Critical {
				return "the CAA record " + r.Tag + " at " + c.At + " is critical, and no authority knows it"
			}
		}
	}
	values, tag := issue, "issue"
	if strings.HasPrefix(name, "*.") && len(wild) > 0 {
		values, tag = wild, "issuewild"
	}
	if len(values) == 0 {
		return ""
	}
	why := "the CAA records at " + c.At + " name other authorities only"
	for _, v := range values {
		domain, params, ok := property(v)
		if !ok || !slices.Contains(who.Names, domain) {
			continue
		}
		switch {
		case len(params["accounturi"]) > 1, len(params["validationmethods"]) > 1:
			why = "a CAA record at " + c.At + " says one thing twice, and so nobody fits it"
		case len(params["accounturi"]) == 1 && params["accounturi"][0] != who.Account:
			why = "the CAA record " + tag + " at " + c.At + " allows another account only (accounturi)"
		case len(params["validationmethods"]) == 1 && !slices.Contains(strings.Split(params["validationmethods"][0], ","), who.Method):
			why = "the CAA record " + tag + " at " + c.At + " does not allow " + who.Method + " (validationmethods)"
		default:
			return ""
		}
	}
	return why
}

// property reads the value of an issue property (RFC 8659 section 4.2): the authority,
// and its parameters.
func property(value string) (domain string, params map[string][]string, ok bool) {
	parts := strings.Split(value, ";")
	domain = strings.ToLower(strings.Trim(parts[0], " \t"))
	params = map[string][]string{}
	for _, p := range parts[1:] {
		if p = strings.Trim(p, " \t"); p == "" {
			continue
		}
		key, v, is := strings.Cut(p, "=")
		if !is {
			return domain, nil, false
		}
		key = strings.ToLower(strings.Trim(key, " \t"))
		params[key] = append(params[key], strings.Trim(v, " \t"))
	}
	return domain, params, true
}

// Service is what an HTTPS record promises that a failover does not move (RFC 9460).
type Service struct {
	Priority  uint16
	Target    string // absolute; "." is the name itself
	ECH       bool   // encrypted ClientHello: whoever used it asks for another name then
	Hints     []string
	Protocols []string // of alpn
}

// The keys of parameters (RFC 9460 section 14.3.2).
const (
	keyALPN  = 1
	keyHint4 = 4
	keyECH   = 5
	keyHint6 = 6
)

// ParseService reads the data of an HTTPS record.
func ParseService(data []byte) (s Service, ok bool) {
	if len(data) < 3 {
		return s, false
	}
	s.Priority = binary.BigEndian.Uint16(data)
	rest := data[2:]
	var labels []string
	for {
		if len(rest) == 0 {
			return s, false
		}
		n := int(rest[0])
		if n > 63 || len(rest) < 1+n {
			return s, false
		}
		if n == 0 {
			rest = rest[1:]
			break
		}
		labels = append(labels, string(rest[1:1+n]))
		rest = rest[1+n:]
	}
	s.Target = strings.Join(labels, ".") + "."
	for len(rest) > 0 {
		if len(rest) < 4 {
			return s, false
		}
		key, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if len(rest) < 4+n {
			return s, false
		}
		if !s.parameter(key, rest[4:4+n]) {
			return s, false
		}
		rest = rest[4+n:]
	}
	return s, true
}

func (s *Service) parameter(key uint16, value []byte) bool {
	switch key {
	case keyECH:
		s.ECH = true
	case keyHint4, keyHint6:
		return s.hints(value, map[uint16]int{keyHint4: 4, keyHint6: 16}[key])
	case keyALPN:
		for len(value) > 0 {
			n := int(value[0])
			if n == 0 || len(value) < 1+n {
				return false
			}
			s.Protocols = append(s.Protocols, string(value[1:1+n]))
			value = value[1+n:]
		}
	}
	return true
}

// hints reads addresses of a size in octets.
func (s *Service) hints(value []byte, size int) bool {
	if len(value) == 0 || len(value)%size != 0 {
		return false
	}
	for ; len(value) > 0; value = value[size:] {
		a, _ := netip.AddrFromSlice(value[:size])
		s.Hints = append(s.Hints, a.String())
	}
	return true
}
