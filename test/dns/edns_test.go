package dns

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// plainZone is what the questions about EDNS are asked of.
const plainZone = "$TTL 300\nplain.example. 3600 IN SOA ns.elsewhere.example. host.elsewhere.example. 1 3600 600 1209600 60\nplain.example. IN NS ns.elsewhere.example.\na.plain.example. IN A 192.0.2.1\n"

// odd are packets that are well formed and unusual (RFC 8906 section 8), and
// broken ones.
func odd(t *testing.T) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	add := func(about string, change func(m *wire.Msg)) {
		m := new(wire.Msg)
		m.SetQuestion("a.plain.example.", wire.TypeA)
		m.RecursionDesired = false
		change(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		list[about] = b
	}
	local := &wire.EDNS0_LOCAL{Code: 100, Data: []byte{1}}
	edns := func(version uint8, ttl uint32, options ...wire.EDNS0) func(m *wire.Msg) {
		return func(m *wire.Msg) {
			m.SetEdns0(4096, false)
			m.IsEdns0().Hdr.Ttl |= ttl
			m.IsEdns0().SetVersion(version)
			m.IsEdns0().Option = options
		}
	}
	add("plain", func(*wire.Msg) {})
	add("an unknown type", func(m *wire.Msg) { m.Question[0].Qtype = 1000 })
	add("CD", func(m *wire.Msg) { m.CheckingDisabled = true })
	add("AD", func(m *wire.Msg) { m.AuthenticatedData = true })
	add("the reserved bit", func(m *wire.Msg) { m.Zero = true })
	add("EDNS", edns(0, 0))
	add("EDNS version 1", edns(1, 0))
	add("an unknown option", edns(0, 0, local))
	add("unknown flags", edns(0, 0x40))
	add("version 1 and unknown flags", edns(1, 0x40))
	add("version 1 and an unknown option", edns(1, 0, local))
	add("DO", edns(0, 0x8000))
	add("NSID", edns(0, 0, &wire.EDNS0_NSID{Code: wire.EDNS0NSID}))
	add("opcode 15", func(m *wire.Msg) { m.Opcode = 15 })
	add("opcode 15, header only", func(m *wire.Msg) { m.Opcode, m.Question = 15, nil })
	add("opcode STATUS", func(m *wire.Msg) { m.Opcode = wire.OpcodeStatus })
	add("class CHAOS, no such name", func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS })
	add("a name of nobody here", func(m *wire.Msg) { m.Question[0].Name = "www.nobody.test." })
	add("two OPT records", func(m *wire.Msg) { edns(0, 0)(m); m.Extra = append(m.Extra, m.Extra[0]) })
	add("no such name", func(m *wire.Msg) { m.Question[0].Name = "gone.plain.example." })
	add("no question", func(m *wire.Msg) { m.Question = nil })
	add("two questions", func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) })
	add("a transfer over UDP", func(m *wire.Msg) {
		m.Question[0] = wire.Question{Name: "plain.example.", Qtype: wire.TypeAXFR, Qclass: 1}
	})
	list["half a question"] = list["plain"][:20]
	list["an option cut short"] = append(append([]byte(nil), list["EDNS"][:len(list["EDNS"])-2]...), 0, 3, 0, 10, 0)
	return list
}

// silence is how long is waited for an answer that may not come.
const silence = 3 * time.Second

// answered is how a server treats a packet, as far as it is compared.
func answered(addr string, packet []byte) string {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(silence))
	if _, err := conn.Write(packet); err != nil {
		return err.Error()
	}
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if err != nil {
		return "no answer"
	}
	var m wire.Msg
	if err := m.Unpack(b[:n]); err != nil {
		return "can't be read: " + err.Error()
	}
	text := fmt.Sprintf("%s aa=%v ad=%v ra=%v z=%v answers=%d", wire.RcodeToString[m.Rcode], m.Authoritative, m.AuthenticatedData, m.RecursionAvailable, m.Zero, len(m.Answer))
	if opt := m.IsEdns0(); opt != nil {
		text += fmt.Sprintf(" OPT version=%d flags=%x options=%d", opt.Version(), opt.Hdr.Ttl&0xffff, len(opt.Option))
	}
	return text
}

// onPurpose are packets that we treat otherwise than most of the four, and why.
var onPurpose = map[string]string{
	"two OPT records":     "FORMERR as theirs, but with an OPT record, as RFC 6891 section 6.1.1 wants of every answer to EDNS",
	"a transfer over UDP": "refused as over TCP; RFC 5936 section 4.2 leaves it open",
}

// TestOddPacketsLikeTheOthers sends what is unusual or broken to all.
func TestOddPacketsLikeTheOthers(t *testing.T) {
	t.Parallel()
	zones := []made{{apex: "plain.example.", text: plainZone}}
	us := ours(t, zones)
	var them []*client
	for _, p := range peers {
		them = append(them, start(t, p, []string{"plain.example."}, map[string]string{"plain.example.": plainZone}))
	}
	packets := odd(t)
	replies := map[string][]string{} // ours comes first
	var waiting sync.WaitGroup
	for about, packet := range packets {
		said := make([]string, 1+len(them))
		replies[about] = said
		for i, c := range append([]*client{us}, them...) {
			waiting.Go(func() { said[i] = answered(c.addr, packet) }) // at once: silence takes its time
		}
	}
	waiting.Wait()
	for about, all := range replies {
		got := all[0]
		counts, most := map[string]int{}, 0
		var said strings.Builder
		for i, c := range them {
			reply := all[1+i]
			counts[reply]++
			most = max(most, counts[reply])
			fmt.Fprintf(&said, "%-10s%s\n", c.name, reply)
		}
		switch why := onPurpose[about]; {
		case counts[got] < most && why == "":
			t.Errorf("%s\nlifeboat  %s\n%s", about, got, said.String())
		case counts[got] == most && why != "":
			t.Errorf("%s: most do as we do, and it is listed: %s\n%s", about, why, said.String())
		}
	}
}
