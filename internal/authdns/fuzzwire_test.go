package authdns

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// FuzzTransports holds that every transport answers any packet as Handle does: what
// the sockets, the batches and the framing add changes nothing, and breaks by nothing.
func FuzzTransports(f *testing.F) {
	for _, n := range negatives(f) {
		f.Add(n.msg)
	}
	for _, name := range []string{"example.com.", "toshop.example.com.", "x.sub.example.com.", "a.old.example.com.", "q.wild.example.com.", "huge.example.com.", "many.example.com."} {
		for _, typ := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeMX, dns.TypeANY, dns.TypeDS, dns.TypeAXFR} {
			q := question(name, typ)
			f.Add(packed(f, q))
			q.SetEdns0(1232, true)
			f.Add(packed(f, q))
		}
	}
	s := testServer(f)
	ways := transports(f, s)
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > s.options.MaxQuerySize || len(msg) > 1 && msg[0] == 0xBE && msg[1] == 0xEF {
			return // longer ones end a connection; this is the sentinel's id
		}
		for name, way := range ways {
			udp := name != "TCP" && name != "Handle, TCP"
			want := s.Handle(nil, msg, udp)
			if got := way(t, msg); !bytes.Equal(got, want) {
				t.Errorf("%s answers %x\nwith %x\nnot  %x", name, msg, got, want)
			}
		}
		if n := s.Counts().Panics; n > 0 {
			t.Fatalf("%d panics on %x", n, msg)
		}
	})
}
