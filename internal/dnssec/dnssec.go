// Package dnssec says what of a zone is signed, and how: the RRsets that a name can
// be answered with, the NSEC chain between the names (RFC 4034, 4035), the form that
// signatures cover, and the steps of a key roll-over.
//
// It is pure: no clock, no I/O, and no private key. Package signer holds keys and
// makes signatures, in control; package authdns finds them here by what they cover,
// and answers with them. Both walk the same Items, so that they agree on what there
// is to sign.
//
// Invariants: a signature is found by the content of its RRset (ID), so that one can
// never be sent along with other data; the names of the chain depend on the zone
// alone, never on where a site is; every position of a site has its own sets and its
// own NSEC records among the Items, so that a flip signs nothing.
//
// Concurrency: all types are values that nobody changes after they are made.
package dnssec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// Types that signing adds to a zone (RFC 4034, 7344).
const (
	TypeDS      = 43
	TypeRRSIG   = 46
	TypeNSEC    = 47
	TypeDNSKEY  = 48
	TypeCDS     = 59
	TypeCDNSKEY = 60
)

// Types that are treated here.
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typeAAAA  = 28

	classIN = 1
)

// Algorithm is ECDSA on the curve P-256 with SHA-256 (RFC 6605), the one in use.
const Algorithm = 13

// SignatureSize is how long its signatures are, in octets.
const SignatureSize = 64

// Validity is how long a signature holds, Renewal how long before its end it is made
// anew, and Backdate how long before its making it begins, for clocks that are slow.
const (
	Validity = 30 * 24 * time.Hour
	Renewal  = 15 * 24 * time.Hour
	Backdate = time.Hour
)

// SerialsAhead is for how many serials a zone's SOA is signed ahead.
const SerialsAhead = 256

// Set is an RRset of class IN.
type Set struct {
	Owner string // wire form, lower case
	Type  uint16
	TTL   uint32   // seconds, as signed: answers may only lower it
	Data  [][]byte // wire form, nothing compressed, in any order
}

// ID names a Set by its content.
type ID [16]byte

// ID is the same for two sets when one's signature holds for the other.
func (s Set) ID() ID {
	h := sha256.New()
	h.Write(s.covered())
	return ID(h.Sum(nil)[:16])
}

// covered is the set in canonical form and order (RFC 4034 section 6): what a
// signature covers beside its own fields.
func (s Set) covered() []byte {
	all := make([][]byte, len(s.Data))
	size := 0
	for i, data := range s.Data {
		all[i] = canonical(s.Type, data)
		size += len(s.Owner) + 10 + len(data)
	}
	slices.SortFunc(all, bytes.Compare)
	all = slices.CompactFunc(all, bytes.Equal)
	out := make([]byte, 0, size)
	for _, data := range all {
		out = append(out, s.Owner...)
		out = binary.BigEndian.AppendUint16(out, s.Type)
		out = binary.BigEndian.AppendUint16(out, classIN)
		out = binary.BigEndian.AppendUint32(out, s.TTL)
		out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
		out = append(out, data...)
	}
	return out
}

// canonical is record data with the names in it in lower case, for the types of RFC
// 4034 section 6.2 as RFC 6840 section 5.1 has mended them. Other data is given back
// as it is.
func canonical(typ uint16, data []byte) []byte {
	start, names := namesIn(typ, data)
	if names == 0 {
		return data
	}
	out := bytes.Clone(data)
	for i := start; names > 0 && i < len(out); names-- {
		n := nameLen(out[i:])
		if n == 0 {
			return data
		}
		for j, c := range out[i : i+n] {
			if 'A' <= c && c <= 'Z' {
				out[i+j] = c | 0x20
			}
		}
		i += n
	}
	return out
}

// namesIn says how many names there are in a type's data, and where the first begins.
func namesIn(typ uint16, data []byte) (start, names int) {
	switch typ {
	case 2, 3, 4, 5, 7, 8, 9, 12, 30, 39: // NS MD MF CNAME MB MG MR PTR NXT DNAME
		return 0, 1
	case 6, 14, 17: // SOA MINFO RP
		return 0, 2
	case 15, 18, 21, 36: // MX AFSDB RT KX
		return 2, 1
	case 26: // PX
		return 2, 2
	case 33: // SRV
		return 6, 1
	case 35: // NAPTR: three texts before the name
		at := 4
		for range 3 {
			if at >= len(data) {
				return 0, 0
			}
			at += 1 + int(data[at])
		}
		return at, 1
	}
	return 0, 0
}

// nameLen is the length of the wire-form name that data begins with, 0 when it
// begins with none.
func nameLen(data []byte) int {
	for i := 0; i < len(data) && i < 255; i += 1 + int(data[i]) {
		if data[i] == 0 {
			return i + 1
		}
		if data[i] > 63 {
			return 0
		}
	}
	return 0
}

// Labels is how many labels a name has that count for a signature: neither the root
// nor a wildcard's asterisk (RFC 4034 section 3.1.3).
func Labels(name string) (n int) {
	for rest := strings.TrimPrefix(name, "\x01*"); len(rest) > 1; rest = rest[1+int(rest[0]):] {
		n++
	}
	return n
}

// Order appends the key that a name is ordered by: comparing the octets of two keys
// is comparing their names in canonical order (RFC 4034 section 6.1). The name is in
// wire form and lower case.
func Order[T string | []byte](dst []byte, name T) []byte {
	var labels [128]uint8
	n := 0
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		labels[n] = uint8(i)
		n++
	}
	for n--; n >= 0; n-- {
		at := int(labels[n])
		for i := at + 1; i <= at+int(name[at]); i++ {
			if c := name[i]; c <= 1 { // 0 ends a label, so it can't stand in one
				dst = append(dst, 1, c+1)
			} else {
				dst = append(dst, c)
			}
		}
		dst = append(dst, 0)
	}
	return dst
}

// MaxOrder is the most octets that Order appends.
const MaxOrder = 2 * 255
