package dnssec

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Signature is what an RRSIG record holds that does not follow from its RRset (RFC
// 4034 section 3). The times are seconds since 1970, which serve until 2106.
type Signature struct {
	Tag        uint16 // of the key
	Inception  uint32
	Expiration uint32
	Sign       [SignatureSize]byte // the two figures, one after the other (RFC 6605 section 4)
}

// At begins a signature that is made at a time, with a key of a tag.
func At(now time.Time, tag uint16) Signature {
	return Signature{Tag: tag, Inception: uint32(now.Add(-Backdate).Unix()), Expiration: uint32(now.Add(Validity).Unix())}
}

// Expires is when a signature ends.
func (s Signature) Expires() time.Time { return time.Unix(int64(s.Expiration), 0).UTC() }

// Begins says whether a signature has begun. One that was made by a clock that ran ahead
// has not, once that is right again.
func (s Signature) Begins(now time.Time) bool { return !time.Unix(int64(s.Inception), 0).After(now) }

// Data is the data of the RRSIG record over a set of the zone with an apex, in wire
// form.
func (s Signature) Data(set Set, apex string) []byte {
	return append(s.head(set, apex), s.Sign[:]...)
}

// head is the data without the signature itself.
func (s Signature) head(set Set, apex string) []byte {
	b := make([]byte, 0, 18+len(apex)+SignatureSize)
	b = binary.BigEndian.AppendUint16(b, set.Type)
	b = append(b, Algorithm, byte(Labels(set.Owner)))
	b = binary.BigEndian.AppendUint32(b, set.TTL)
	b = binary.BigEndian.AppendUint32(b, s.Expiration)
	b = binary.BigEndian.AppendUint32(b, s.Inception)
	b = binary.BigEndian.AppendUint16(b, s.Tag)
	return append(b, apex...)
}

// Message is what is to be signed: the RRSIG's data without the signature, then the
// set (RFC 4034 section 3.1.8.1).
func (s Signature) Message(set Set, apex string) []byte {
	return append(s.head(set, apex), set.covered()...)
}

// keyFlags are those of a DNSKEY: it signs the zone, and parents point at it.
const keyFlags = 257

// KeyData is a DNSKEY's data (RFC 4034 section 2, RFC 6605 section 4), and that of a
// CDNSKEY. The public key is the point's two coordinates.
func KeyData(public [64]byte) []byte {
	return append([]byte{keyFlags >> 8, keyFlags & 0xFF, 3, Algorithm}, public[:]...)
}

// Tag is the key tag of a DNSKEY's data (RFC 4034 appendix B).
func Tag(key []byte) uint16 {
	var sum uint32
	for i, c := range key {
		if i&1 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	return uint16(sum + sum>>16)
}

// DS is the data of the DS record that a parent points at a DNSKEY with, by SHA-256
// (RFC 4034 section 5, RFC 4509), and that of a CDS. The apex is in wire form and
// lower case.
func DS(apex string, key []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, Tag(key))
	b = append(b, Algorithm, 2)
	return append(b, digest(apex, key)...)
}

// DSText is a DS record's data as registrars ask for it.
func DSText(ds []byte) string {
	return fmt.Sprintf("%d %d %d %X", binary.BigEndian.Uint16(ds), ds[2], ds[3], ds[4:])
}
