package authdns

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/ratelimit"
)

// A flood in the name of somebody else, who proves nothing, is no more than doubled on
// its way to them, whatever it asks for: with signatures, and for the largest answers
// that there are. The network is told 400 answers, and of the rest every second one cut.
func TestAFloodIsHardlyAmplified(t *testing.T) {
	t.Parallel()
	const queries = 10_000
	s := signedServer(t)
	s.Configure(Settings{RateLimit: ratelimit.Options{Exempt: []netip.Prefix{}}})
	now := time.Now()
	for _, name := range []string{"example.com.", "shop.example.com.", "big.example.com.", "gone.example.com.", "q.wild.example.com.", "x.sub.example.com.", "host.old.example.com.", "elsewhere.net."} {
		for _, typ := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeMX, dns.TypeANY, dns.TypeDNSKEY, dns.TypeRRSIG, dns.TypeNSEC} {
			w := s.worker()
			w.limit.Tick(now)
			query, from := packed(t, wanting(name, typ, true)), netip.MustParseAddr("192.0.2.1")
			sent, largest := 0, 0
			room := make([]byte, 0, 4096)
			for range queries {
				reply := w.within(from, s.handleFrom(w, room, query, from, true))
				sent += len(reply)
				largest = max(largest, len(reply))
			}
			if largest > 1232 {
				t.Errorf("%s %s: an answer over UDP has %d octets", name, dns.TypeToString[typ], largest)
			}
			if factor := float64(sent) / float64(queries*len(query)); factor >= 2 {
				t.Errorf("%s %s: %.1f times what was asked is sent", name, dns.TypeToString[typ], factor)
			}
		}
	}
}

// Names of pointers, in whatever section and however long their chains, cost no more
// than any other message: nothing of them is followed.
func TestChainsOfPointers(t *testing.T) {
	t.Parallel()
	head := func(sections ...byte) []byte {
		b := make([]byte, headerSize, 4096)
		for i, n := range sections {
			b[5+2*i] = n
		}
		return b
	}
	long := head(1, 0, 0, 200)
	long = append(append(long, 3), "www\xC0\x0C\x00\x01\x00\x01"...)
	for at := len(long); len(long) < 3000; at = len(long) {
		long = append(long, 0xC0|byte((at-12)>>8), byte(at-12), 0, 1, 0, 1, 0, 0, 0, 0, 0, 0)
	}
	self := append(head(1), 0xC0, 12, 0, 1, 0, 1)
	each := append(head(1), 0xC0, 14, 0xC0, 12, 0, 1, 0, 1)
	opt := append(append(head(1, 0, 0, 1), 3), "www\x07example\x03com\x00\x00\x01\x00\x01\xC0\x2A\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00"...)
	s := testServer(t)
	for name, msg := range map[string][]byte{"a long chain": long, "to itself": self, "to each other": each, "an OPT record's owner": opt, "200 in the question": append(head(1), bytes.Repeat([]byte{0xC0, 12}, 200)...)} {
		for _, udp := range []bool{true, false} {
			var m dns.Msg
			reply := s.Handle(make([]byte, 0, 4096), msg, udp)
			if reply == nil {
				continue
			}
			if err := m.Unpack(reply); err != nil || m.Rcode != dns.RcodeFormatError || len(reply) > len(msg)+optSize {
				t.Errorf("%s: %v %v", name, err, &m)
			}
		}
	}
	if n := s.Counts().Panics; n > 0 {
		t.Errorf("%d panics", n)
	}
}
