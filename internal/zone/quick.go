package zone

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// quick reads the lines that nearly all of a large zone are made of, some twenty
// times as fast as the wire library: one record of a common type on one line, with
// nothing escaped. What it takes it reads as the library does, which a fuzz test
// holds; all else, and whatever is wrong, it leaves to that.
type quick struct {
	off        bool   // for tests
	of         string // the origin that all below is of
	good       bool   // the origin is plain enough
	inside     bool   // it lies in the zone
	wire, low  []byte // the origin as written, and in lower case
	owner      int32  // the number of the owner before, -1 where only its text is known
	token      string // that owner as the line has it, relative to from
	from       string
	fields     [maxQuickFields]string
	quoted     [maxQuickFields]bool
	name, data [512]byte
}

// Bounds of what a line may have, in fields and octets. The wire library has limits
// of its own beyond these.
const (
	maxQuickFields = 16
	maxQuickField  = 255
	maxQuickNote   = 500 // a comment
)

// What an octet is in a line.
const (
	otherOctet = iota
	nameOctet  // of names
	textOctet  // of words, but not of names
	blankOctet
	noteOctet // begins a comment
	quoteOctet
)

var octets = func() (kinds [256]uint8) {
	for c := 0x21; c < 0x7f; c++ {
		kinds[c] = textOctet
	}
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*/" {
		kinds[c] = nameOctet
	}
	kinds[' '], kinds['\t'], kinds[';'], kinds['"'] = blankOctet, blankOctet, noteOctet, quoteOctet
	for _, c := range `()\$` {
		kinds[c] = otherOctet
	}
	return kinds
}()

// quickLine reads the line that the text begins with, and says how long it is, the
// newline counted. Where it is not ok nothing has changed.
func (r *reader) quickLine(text string, line int) (length int, ok bool) {
	end := strings.IndexByte(text, '\n')
	length = end + 1
	if end < 0 {
		end, length = len(text), len(text)
	}
	fields, ok := r.quick.split(text[:end])
	if !ok || r.quick.off {
		return 0, false
	}
	if fields == 0 {
		return length, true
	}
	return length, r.quickRecord(text[0] == ' ' || text[0] == '\t', fields, line)
}

// split finds the fields of a line.
func (q *quick) split(s string) (fields int, ok bool) {
	for i := 0; i < len(s); {
		start := i
		switch octets[s[i]] {
		case blankOctet:
			i++
			continue
		case noteOctet:
			return fields, fields == 0 || len(s)-i < maxQuickNote
		case quoteOctet:
			for i++; i < len(s) && (octets[s[i]] == nameOctet || octets[s[i]] == textOctet || s[i] == ' ' || s[i] == ';' || s[i] == '(' || s[i] == ')'); {
				i++
			}
			if i == len(s) || s[i] != '"' || i == start+1 {
				return 0, false
			}
			i++
			if fields == maxQuickFields || i-start > maxQuickField {
				return 0, false
			}
			q.fields[fields], q.quoted[fields] = s[start+1:i-1], true
		case nameOctet, textOctet:
			for i++; i < len(s) && (octets[s[i]] == nameOctet || octets[s[i]] == textOctet); {
				i++
			}
			if fields == maxQuickFields || i-start > maxQuickField {
				return 0, false
			}
			q.fields[fields], q.quoted[fields] = s[start:i], false
		default:
			return 0, false
		}
		if i < len(s) && octets[s[i]] != blankOctet && octets[s[i]] != noteOctet {
			return 0, false
		}
		fields++
	}
	return fields, true
}

// quickRecord takes the record whose fields were found.
func (r *reader) quickRecord(blank bool, fields, line int) bool {
	q := &r.quick
	if q.of != r.origin || q.wire == nil {
		q.setOrigin(r.origin, r.apex)
	}
	if !q.good || blank && q.owner < 0 {
		return false
	}
	at := 0
	var owner []byte
	if !blank {
		var ok bool
		if owner, ok = q.ownerName(q.fields[0], r.apex); !ok || q.quoted[0] {
			return false
		}
		at = 1
	}
	ttl, stated, at, ok := q.timeAndClass(at, fields)
	if !ok || r.full() {
		return false
	}
	if !stated {
		if ttl, ok = r.inherited(); !ok {
			return false
		}
	}
	typ, data, ok := q.record(at, fields)
	if !ok {
		return false
	}
	if stated {
		r.last, r.hasLast = ttl, true
	}
	if !blank {
		if q.owner < 0 || string(r.names.Name(q.owner)) != string(owner) {
			q.owner = r.names.add(owner)
		}
		q.token, q.from = q.fields[0], r.origin
	}
	r.take(q.owner, typ, ttl, data, line)
	return true
}

// setOrigin looks at an origin that names are relative to from now on.
func (q *quick) setOrigin(origin, apex string) {
	q.of = origin
	q.wire = q.wire[:0]
	q.good = strings.HasSuffix(origin, ".")
	if q.good && origin != "." {
		q.wire, q.good = q.labels(q.wire, origin[:len(origin)-1])
	}
	q.wire = append(q.wire, 0)
	q.low = []byte(lower(string(q.wire)))
	q.good = q.good && len(q.wire) <= maxQuickField
	q.inside = Under(string(q.low), apex)
}

// labels appends the labels of a text without a final dot.
func (q *quick) labels(dst []byte, text string) ([]byte, bool) {
	length := len(dst)
	dst = append(dst, 0)
	for i := range len(text) {
		c := text[i]
		switch {
		case octets[c] == nameOctet:
			dst = append(dst, c)
		case c == '.' && len(dst) > length+1:
			dst[length] = byte(len(dst) - length - 1)
			length = len(dst)
			dst = append(dst, 0)
		default:
			return nil, false
		}
		if len(dst)-length > 64 {
			return nil, false
		}
	}
	dst[length] = byte(len(dst) - length - 1)
	return dst, dst[length] > 0
}

// absolute appends a name as it is written.
func (q *quick) absolute(dst []byte, text string) ([]byte, bool) {
	switch {
	case text == "@":
		return append(dst, q.wire...), true
	case text == ".":
		return append(dst, 0), true
	}
	start := len(dst)
	origin := q.wire
	if strings.HasSuffix(text, ".") {
		text, origin = text[:len(text)-1], []byte{0}
	}
	dst, ok := q.labels(dst, text)
	if !ok {
		return nil, false
	}
	dst = append(dst, origin...)
	return dst, len(dst)-start <= 255
}

// ownerName gives an owner in lower case, if the zone may have it.
func (q *quick) ownerName(text, apex string) ([]byte, bool) {
	name, ok := q.absolute(q.name[:0], text)
	if !ok {
		return nil, false
	}
	for i, c := range name {
		if c-'A' < 26 {
			name[i] = c | 0x20
		}
	}
	if q.inside && text[len(text)-1] != '.' {
		return name, true
	}
	for rest := name; len(rest) >= len(apex); rest = rest[1+int(rest[0]):] {
		if string(rest) == apex {
			return name, true
		}
		if rest[0] == 0 {
			break
		}
	}
	return nil, false
}

// timeAndClass reads what may come before the type.
func (q *quick) timeAndClass(at, fields int) (ttl uint32, stated bool, next int, ok bool) {
	class := false
	for ; at < fields && !q.quoted[at]; at++ {
		f := q.fields[at]
		if figure, isFigure := figure(f, 9); isFigure && !stated {
			ttl, stated = figure, true
		} else if strings.EqualFold(f, "IN") && !class {
			class = true
		} else {
			return ttl, stated, at, true
		}
	}
	return 0, false, 0, false
}

// figure reads a number of some digits at most.
func figure(s string, digits int) (n uint32, ok bool) {
	if len(s) == 0 || len(s) > digits {
		return 0, false
	}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint32(d)
	}
	return n, true
}

// record reads a type and its data, which are valid until the next line.
func (q *quick) record(at, fields int) (typ uint16, data []byte, ok bool) {
	form, f, quoted := q.fields[at], q.fields[at+1:fields], q.quoted[at+1:fields]
	for i := range quoted {
		if quoted[i] && form != "TXT" && (form != "CAA" || i != 2) {
			return 0, nil, false
		}
	}
	dst := q.data[:0]
	switch form {
	case "A":
		typ = dns.TypeA
		data, ok = quickA(dst, f)
	case "AAAA":
		typ = dns.TypeAAAA
		data, ok = quickAAAA(dst, f)
	case "NS":
		typ = dns.TypeNS
		data, ok = q.numbersAndName(dst, f, 0)
	case "CNAME":
		typ = dns.TypeCNAME
		data, ok = q.numbersAndName(dst, f, 0)
	case "PTR":
		typ = dns.TypePTR
		data, ok = q.numbersAndName(dst, f, 0)
	case "MX":
		typ = dns.TypeMX
		data, ok = q.numbersAndName(dst, f, 1)
	case "SRV":
		typ = dns.TypeSRV
		data, ok = q.numbersAndName(dst, f, 3)
	case "SOA":
		typ = dns.TypeSOA
		data, ok = q.soa(dst, f)
	case "TXT":
		typ = dns.TypeTXT
		data, ok = quickTXT(dst, f)
	case "CAA":
		typ = dns.TypeCAA
		data, ok = quickCAA(dst, f)
	}
	return typ, data, ok
}

func quickA(dst []byte, f []string) ([]byte, bool) {
	if len(f) != 1 {
		return nil, false
	}
	octet, digits := 0, 0
	for i := range len(f[0]) {
		c := f[0][i]
		switch {
		case c == '.' && digits > 0 && len(dst) < 3:
			dst = append(dst, byte(octet))
			octet, digits = 0, 0
		case c-'0' <= 9 && (digits == 0 || octet > 0): // no leading zero
			octet, digits = octet*10+int(c-'0'), digits+1
			if octet > 255 {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return append(dst, byte(octet)), digits > 0 && len(dst) == 3
}

func quickAAAA(dst []byte, f []string) ([]byte, bool) {
	if len(f) != 1 || strings.ContainsAny(f[0], ".%") {
		return nil, false
	}
	ip, err := netip.ParseAddr(f[0])
	if err != nil || !ip.Is6() {
		return nil, false
	}
	b := ip.As16()
	return append(dst, b[:]...), true
}

// numbersAndName reads numbers of 16 bits and a name.
func (q *quick) numbersAndName(dst []byte, f []string, numbers int) ([]byte, bool) {
	if len(f) != numbers+1 {
		return nil, false
	}
	for _, s := range f[:numbers] {
		n, ok := figure(s, 5)
		if !ok || n > 65535 {
			return nil, false
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	}
	return q.absolute(dst, f[numbers])
}

func (q *quick) soa(dst []byte, f []string) ([]byte, bool) {
	if len(f) != 7 {
		return nil, false
	}
	dst, ok := q.absolute(dst, f[0])
	if !ok || len(dst) > maxQuickField {
		return nil, false
	}
	if dst, ok = q.absolute(dst, f[1]); !ok {
		return nil, false
	}
	for i, s := range f[2:] {
		n, ok := figure(s, 9)
		if i == 0 && !ok && len(s) == 10 && s < "4294967296" { // a serial may be larger
			high, first := figure(s[:9], 9)
			low, second := figure(s[9:], 1)
			n, ok = high*10+low, first && second
		}
		if !ok {
			return nil, false
		}
		dst = binary.BigEndian.AppendUint32(dst, n)
	}
	return dst, true
}

func quickTXT(dst []byte, f []string) ([]byte, bool) {
	for _, s := range f {
		if len(dst)+1+len(s) > cap(dst) {
			return nil, false
		}
		dst = append(append(dst, byte(len(s))), s...)
	}
	return dst, len(f) > 0
}

func quickCAA(dst []byte, f []string) ([]byte, bool) {
	if len(f) != 3 {
		return nil, false
	}
	flag, ok := figure(f[0], 3)
	if !ok || flag > 255 || len(f[1]) > 15 {
		return nil, false
	}
	for i := range len(f[1]) {
		if c := f[1][i]; octets[c] != nameOctet || c == '-' || c == '_' || c == '*' || c == '/' {
			return nil, false
		}
	}
	dst = append(dst, byte(flag), byte(len(f[1])))
	return append(append(dst, f[1]...), f[2]...), true
}
