package authdns

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"
)

// Sizes of cookies in octets (RFC 7873 section 4, RFC 9018 section 4).
const (
	clientCookie = 8
	serverCookie = 16 // as we make them; others' are of 8 to 32
	wholeCookie  = clientCookie + serverCookie
	maxCookie    = clientCookie + 32
)

// How old a server cookie may be (RFC 9018 section 4.3), and how far ahead of our
// clock, in seconds.
const (
	cookieLife  = 3600
	cookieRenew = 1800 // older ones are replaced, though they still hold
	cookieAhead = 300
)

// CookieSecret is the key that server cookies are made with. All servers that
// answer at one address need the same, also after a restart.
type CookieSecret [16]byte

// String hides the secret from logs.
func (CookieSecret) String() string { return "***" }

// GoString hides the secret from logs.
func (CookieSecret) GoString() string { return "***" }

// SetCookieSecrets makes the server speak DNS cookies (RFC 7873, 9018) from now
// on: new ones are made with the first secret, and those of the others still hold,
// so that a secret can be replaced in steps (RFC 9018 section 5). Without a secret
// the option is passed over. A cookie holds for an hour after it was made, also
// across a restart with the same secret.
func (s *Server) SetCookieSecrets(secrets ...CookieSecret) {
	if len(secrets) == 0 {
		s.secrets.Store(nil)
		return
	}
	keep := append([]CookieSecret(nil), secrets...)
	s.secrets.Store(&keep)
}

// cookie writes the cookie that an answer carries, and says whether the query
// brought a good one. The query's has a valid length.
func cookie(out *[wholeCookie]byte, secrets []CookieSecret, asked []byte, client netip.Addr, now time.Time) (good bool) {
	seconds := uint32(now.Unix()) // compared as serial numbers (RFC 9018 section 4.3)
	copy(out[:], asked[:clientCookie])
	if len(asked) == wholeCookie {
		for i := range secrets {
			age := int32(seconds - binary.BigEndian.Uint32(asked[12:]))
			want := cookieHash(&secrets[i], asked[:16], client)
			if subtle.ConstantTimeCompare(want[:], asked[16:]) == 1 && -cookieAhead <= age && age <= cookieLife {
				good = true
				if i == 0 && age <= cookieRenew {
					copy(out[:], asked)
					return true
				}
			}
		}
	}
	out[8], out[9], out[10], out[11] = 1, 0, 0, 0 // version 1, and reserved octets
	binary.BigEndian.PutUint32(out[12:], seconds)
	hash := cookieHash(&secrets[0], out[:16], client)
	copy(out[16:], hash[:])
	return good
}

// cookieHash is the last part of a server cookie (RFC 9018 section 4.4), made of
// the 16 octets before it and the client's address.
func cookieHash(secret *CookieSecret, head []byte, client netip.Addr) (hash [8]byte) {
	var b [16 + 16]byte
	n := copy(b[:], head[:16])
	if client = client.Unmap(); client.Is4() {
		ip := client.As4()
		n += copy(b[n:], ip[:])
	} else {
		ip := client.As16()
		n += copy(b[n:], ip[:])
	}
	binary.LittleEndian.PutUint64(hash[:], sipHash(secret, b[:n]))
	return hash
}

// sipHash is SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF),
// which the standard library has no access to.
func sipHash(key *CookieSecret, b []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	v := [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		v = sipBlock(v, binary.LittleEndian.Uint64(b))
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	v = sipBlock(v, last)
	v[2] ^= 0xff
	for range 4 {
		v = sipRound(v)
	}
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

func sipBlock(v [4]uint64, m uint64) [4]uint64 {
	v[3] ^= m
	v = sipRound(sipRound(v))
	v[0] ^= m
	return v
}

func sipRound(v [4]uint64) [4]uint64 {
	v[0] += v[1]
	v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
	v[0] = bits.RotateLeft64(v[0], 32)
	v[2] += v[3]
	v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
	v[0] += v[3]
	v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
	v[2] += v[1]
	v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
	v[2] = bits.RotateLeft64(v[2], 32)
	return v
}
