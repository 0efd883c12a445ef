package zone

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Keys of SVCB parameters that carry addresses (RFC 9460 section 14.3.2).
const (
	keyIPv4Hint = 4
	keyIPv6Hint = 6
)

// checkHints warns of HTTPS and SVCB records that lead to a following name and carry its
// addresses: clients use these before any A or AAAA answer, and they would not move.
func (c *checker) checkHints() {
	if len(c.follow) == 0 {
		return
	}
	for i := range c.recs {
		rec := &c.recs[i]
		if rec.typ != dns.TypeHTTPS && rec.typ != dns.TypeSVCB {
			continue
		}
		target, hints := hinted(c.dataOf(rec))
		number, ok := c.names.Find([]byte(lower(target)))
		if f, follows := c.follow[number]; ok && follows && hints {
			c.warn(int(rec.line), "the %s record of %s leads to the following name %s and carries addresses, which stay when it moves (take ipv4hint and ipv6hint out)",
				typeName(rec.typ), c.nameOf(rec), Unpack(f.Owner))
		}
	}
}

// hinted reads where an SVCB record leads, and whether it carries addresses.
func hinted(data []byte) (target string, hints bool) {
	if len(data) < 3 {
		return "", false
	}
	end := 2
	for end < len(data) && data[end] != 0 {
		end += 1 + int(data[end])
	}
	if end >= len(data) {
		return "", false
	}
	target = string(data[2 : end+1])
	for rest := data[end+1:]; len(rest) >= 4; {
		key, size := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		hints = hints || key == keyIPv4Hint || key == keyIPv6Hint
		rest = rest[min(4+size, len(rest)):]
	}
	return target, hints
}

// Notes are what is right, and worth knowing before a crisis: who may make the
// certificates that the standby needs (CAA, RFC 8659). A zone without a following name
// has none.
func (z *Zone) Notes() []string {
	var out []string
	if len(z.Sites()) == 0 {
		return nil
	}
	for _, rec := range z.Records() {
		if rec.Type != dns.TypeCAA || len(rec.Data) < 2 {
			continue
		}
		tag := int(rec.Data[1])
		if 2+tag > len(rec.Data) || !strings.EqualFold(string(rec.Data[2:2+tag]), "issue") {
			continue
		}
		who, _, _ := strings.Cut(string(rec.Data[2+tag:]), ";")
		who = strings.TrimSpace(who)
		note := "only " + who + " may make certificates for names at and below " + Unpack(rec.Owner) + " (CAA): the standby's have to come from there, too"
		if who == "" {
			note = "nobody may make certificates for names at and below " + Unpack(rec.Owner) + " (CAA): have the standby's before a crisis"
		}
		if !slices.Contains(out, note) && len(out) < 10 {
			out = append(out, note)
		}
	}
	return out
}
