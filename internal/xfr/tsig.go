package xfr

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// fudge is how far a signature's time may be from ours, in seconds (RFC 8945 section
// 10): the window in which a copy of a message would be believed. A sender may make it
// smaller, never larger.
const fudge = 300

// MaxSecret is how long a key's secret may be, in octets.
const MaxSecret = 256

// algorithms that are spoken. MD5 and SHA-1 are not (RFC 8945 section 6 asks for the
// latter only from those who must understand old peers).
var algorithms = map[string]func() hash.Hash{"hmac-sha256": sha256.New, "hmac-sha384": sha512.New384, "hmac-sha512": sha512.New}

// Algorithms are the names of those that are spoken, the usual one first.
func Algorithms() []string { return []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} }

// ParseKeyFile reads what a file of a TSIG key holds: one line "ALGORITHM:NAME:SECRET" or
// "NAME:SECRET" as dig and knsupdate take it, or the key statement that tsig-keygen
// prints. The secret is Base64. No error repeats the text.
func ParseKeyFile(text, file string) (snapshot.TSIGKey, error) {
	bad := fault.New(fault.Invalid, "it holds no TSIG key that can be used").At(file).
		WithHint("make one with: tsig-keygen -a hmac-sha256 NAME, or write one line ALGORITHM:NAME:SECRET with the secret in Base64")
	k := snapshot.TSIGKey{Algorithm: Algorithms()[0]}
	var secret string
	text = strings.TrimSpace(text)
	if words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n;{}\"", r) }); len(words) == 6 && words[0] == "key" {
		k.Name = words[1]
		for i := 2; i < len(words); i += 2 {
			switch words[i] {
			case "algorithm":
				k.Algorithm = words[i+1]
			case "secret":
				secret = words[i+1]
			default:
				return k, bad
			}
		}
	} else {
		parts := strings.Split(text, ":")
		if len(parts) == 3 {
			k.Algorithm, parts = parts[0], parts[1:]
		}
		if len(parts) != 2 {
			return k, bad
		}
		k.Name, secret = parts[0], parts[1]
	}
	var err error
	if k.Secret, err = base64.StdEncoding.DecodeString(secret); err != nil || len(k.Secret) == 0 || len(k.Secret) > MaxSecret {
		return snapshot.TSIGKey{}, bad
	}
	k.Name, k.Algorithm = strings.ToLower(dns.Fqdn(k.Name)), strings.TrimSuffix(strings.ToLower(k.Algorithm), ".")
	if _, err := zone.Pack(k.Name); err != nil || k.Name == "." {
		return snapshot.TSIGKey{}, bad
	}
	if _, known := algorithms[k.Algorithm]; !known {
		return snapshot.TSIGKey{}, fault.New(fault.Invalid, "its algorithm is not one of %s", strings.Join(Algorithms(), ", ")).At(file).
			WithHint("make a new key with: tsig-keygen -a hmac-sha256 NAME")
	}
	return k, nil
}

// What can be wrong with a signature: the error of its TSIG record (RFC 8945 section 3).
const (
	badSig   = 16
	badKey   = 17
	badTime  = 18
	badTrunc = 22
)

// signature is a message's TSIG record, and what it signs.
type signature struct {
	body []byte // the message without it
	rr   *dns.TSIG
	name string // canonical text
	mac  []byte
}

var (
	errNoSignature = errors.New("it is not signed")
	errMalformed   = errors.New("its records can't be read")
)

// cutSignature finds the TSIG record, which can only be a message's last (RFC 8945
// section 5.1). The body given is a copy, with the count and the id that were signed.
func cutSignature(msg []byte) (s signature, err error) {
	at, err := lastRecord(msg)
	if err != nil {
		return s, err
	}
	rr, end, err := dns.UnpackRR(msg, at)
	tsig, is := rr.(*dns.TSIG)
	switch {
	case err != nil || end != len(msg):
		return s, errMalformed
	case !is:
		return s, errNoSignature
	case tsig.Hdr.Class != dns.ClassANY || tsig.Hdr.Ttl != 0, len(tsig.MAC) != 2*int(tsig.MACSize), len(tsig.OtherData) != 2*int(tsig.OtherLen):
		return s, errMalformed
	}
	s.rr, s.name = tsig, dns.CanonicalName(tsig.Hdr.Name)
	if s.mac, err = hex.DecodeString(tsig.MAC); err != nil {
		return s, errMalformed
	}
	s.body = bytes.Clone(msg[:at])
	binary.BigEndian.PutUint16(s.body, tsig.OrigId)
	binary.BigEndian.PutUint16(s.body[10:], binary.BigEndian.Uint16(s.body[10:])-1)
	return s, nil
}

// lastRecord is where the last record of the additional section begins. A TSIG record
// before it is an error.
func lastRecord(msg []byte) (at int, err error) {
	if len(msg) < headerSize {
		return 0, errMalformed
	}
	count := func(i int) int { return int(binary.BigEndian.Uint16(msg[i:])) }
	records := count(6) + count(8) + count(10)
	if count(10) == 0 {
		return 0, errNoSignature
	}
	off := headerSize
	for range count(4) {
		if off = skipName(msg, off); off < 0 || off+4 > len(msg) {
			return 0, errMalformed
		}
		off += 4
	}
	for i := range records {
		at = off
		if off = skipName(msg, off); off < 0 || off+10 > len(msg) {
			return 0, errMalformed
		}
		if i < records-1 && binary.BigEndian.Uint16(msg[off:]) == dns.TypeTSIG {
			return 0, errMalformed
		}
		if off += 10 + int(binary.BigEndian.Uint16(msg[off+8:])); off > len(msg) {
			return 0, errMalformed
		}
	}
	return at, nil
}

// skipName gives the offset after a name, -1 when it is broken.
func skipName(msg []byte, off int) int {
	for start := off; off < len(msg) && off-start <= 255; {
		switch n := int(msg[off]); {
		case n == 0:
			return off + 1
		case n >= 0xC0:
			return off + 2
		case n > 63:
			return -1
		default:
			off += 1 + n
		}
	}
	return -1
}

// check says what is wrong with a signature, 0 for nothing: key and algorithm first,
// then the MAC in constant time, then the time, so that nothing of what is not signed
// is believed (RFC 8945 section 5.2). before is the MAC that comes first into this one,
// and timers whether only the times follow the message (section 5.3.1).
func (s signature) check(k snapshot.TSIGKey, known bool, before []byte, timers bool, now time.Time) int {
	if !known || dns.CanonicalName(s.rr.Algorithm) != k.Algorithm+"." {
		return badKey
	}
	want := macOf(k, before, s.body, s.variables(k, timers))
	if len(s.mac) < len(want) {
		return badTrunc
	}
	if !hmac.Equal(want, s.mac) {
		return badSig
	}
	return s.checkTime(now)
}

func (s signature) checkTime(now time.Time) int {
	at, here := int64(s.rr.TimeSigned), now.Unix()
	if window := int64(min(s.rr.Fudge, fudge)); at < here-window || at > here+window {
		return badTime
	}
	return 0
}

// variables are the fields of the TSIG record that are signed (RFC 8945 section 4.3.3).
func (s signature) variables(k snapshot.TSIGKey, timers bool) []byte {
	other, _ := hex.DecodeString(s.rr.OtherData) // of the wire library's own making
	return tsigVariables(k, s.rr.TimeSigned, s.rr.Fudge, s.rr.Error, other, timers)
}

func tsigVariables(k snapshot.TSIGKey, at uint64, window, code uint16, other []byte, timers bool) (b []byte) {
	if !timers {
		b = append(append(b, wireName(k.Name)...), 0, dns.ClassANY, 0, 0, 0, 0)
		b = append(b, wireName(k.Algorithm+".")...)
	}
	b = binary.BigEndian.AppendUint64(b, at<<16)
	b = binary.BigEndian.AppendUint16(b[:len(b)-2], window)
	if timers {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(other)))
	return append(b, other...)
}

// wireName packs a name that was checked when its key was read.
func wireName(name string) string {
	wire, _ := zone.Pack(name)
	return wire
}

func macOf(k snapshot.TSIGKey, before []byte, parts ...[]byte) []byte {
	h := hmac.New(algorithms[k.Algorithm], k.Secret)
	if before != nil {
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(before))))
		h.Write(before)
	}
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// signer signs the messages that one side sends: a request, or the messages of one
// answer in their order.
type signer struct {
	key    snapshot.TSIGKey
	before []byte // the request's MAC, then that of the message before; nil for a request
	timers bool   // it is not the first message of the answer
	now    func() time.Time
}

// size is how many octets the TSIG record has.
func (s *signer) size() int {
	if s == nil {
		return 0
	}
	return len(wireName(s.key.Name)) + 10 + len(wireName(s.key.Algorithm+".")) + 16 + algorithms[s.key.Algorithm]().Size()
}

// sign appends the TSIG record to a message, which has room for it.
func (s *signer) sign(msg []byte) []byte {
	at := uint64(s.now().Unix())
	s.before = macOf(s.key, s.before, msg, tsigVariables(s.key, at, fudge, 0, nil, s.timers))
	s.timers = true
	return appendTSIG(msg, s.key, at, s.before, 0, nil)
}

// appendTSIG appends a TSIG record (RFC 8945 section 4.2).
func appendTSIG(msg []byte, k snapshot.TSIGKey, at uint64, mac []byte, code uint16, other []byte) []byte {
	id := [2]byte{msg[0], msg[1]}
	binary.BigEndian.PutUint16(msg[10:], binary.BigEndian.Uint16(msg[10:])+1)
	msg = append(msg, wireName(k.Name)...)
	msg = append(msg, 0, byte(dns.TypeTSIG), 0, dns.ClassANY, 0, 0, 0, 0)
	size := len(msg)
	msg = append(append(msg, 0, 0), wireName(k.Algorithm+".")...)
	msg = binary.BigEndian.AppendUint64(msg, at<<16)
	msg = binary.BigEndian.AppendUint16(msg[:len(msg)-2], fudge)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(mac)))
	msg = append(append(msg, mac...), id[:]...)
	msg = binary.BigEndian.AppendUint16(msg, code)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(other)))
	msg = append(msg, other...)
	binary.BigEndian.PutUint16(msg[size:], uint16(len(msg)-size-2))
	return msg
}

// refuseSignature answers a message whose signature is not good: NOTAUTH, unsigned but
// for a wrong time, with which the sender learns ours (RFC 8945 sections 5.2 and 5.3.2).
func refuseSignature(reply []byte, s signature, k snapshot.TSIGKey, code int, now time.Time) []byte {
	reply[3] = reply[3]&0xF0 | dns.RcodeNotAuth
	if code != badTime {
		named := snapshot.TSIGKey{Name: s.name, Algorithm: strings.TrimSuffix(dns.CanonicalName(s.rr.Algorithm), ".")}
		return appendTSIG(reply, named, s.rr.TimeSigned, nil, uint16(code), nil)
	}
	other := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))[2:]
	mac := macOf(k, s.mac, reply, tsigVariables(k, s.rr.TimeSigned, fudge, badTime, other, false))
	return appendTSIG(reply, k, s.rr.TimeSigned, mac, badTime, other)
}

// maxUnsigned is how many messages of an answer may come between two that are signed
// (RFC 8945 section 5.3.1).
const maxUnsigned = 99

// verifier checks the messages of one answer in their order.
type verifier struct {
	key      snapshot.TSIGKey
	before   []byte
	timers   bool
	unsigned [][]byte // since the last one that was signed
	now      func() time.Time
}

var errSignature = errors.New("its signature is not good")

// take checks the next message and gives it without its TSIG record. What is unsigned
// counts once a signed one has come after it: done says whether all is signed so far.
func (v *verifier) take(msg []byte) (body []byte, done bool, err error) {
	s, err := cutSignature(msg)
	if errors.Is(err, errNoSignature) && v.timers && len(v.unsigned) < maxUnsigned {
		v.unsigned = append(v.unsigned, msg)
		return msg, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if s.rr.Error != 0 {
		return nil, false, tsigError(s.rr.Error)
	}
	if dns.CanonicalName(s.rr.Algorithm) != v.key.Algorithm+"." || s.name != v.key.Name {
		return nil, false, errSignature
	}
	parts := append(slices.Clone(v.unsigned), s.body, s.variables(v.key, v.timers))
	if !hmac.Equal(macOf(v.key, v.before, parts...), s.mac) {
		return nil, false, errSignature
	}
	if s.checkTime(v.now()) != 0 {
		return nil, false, errors.New("the clocks of the two servers are more than 5 minutes apart")
	}
	v.before, v.timers, v.unsigned = s.mac, true, nil
	return s.body, true, nil
}

// tsigError says why the other side did not believe us.
func tsigError(code uint16) error {
	switch code {
	case badKey:
		return errors.New("it does not know the key (BADKEY): name and algorithm must be the same on both sides")
	case badSig:
		return errors.New("it has another secret under the key's name (BADSIG)")
	case badTime:
		return errors.New("the clocks of the two servers are more than 5 minutes apart (BADTIME)")
	}
	return errSignature
}
