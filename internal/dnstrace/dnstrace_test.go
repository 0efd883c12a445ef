package dnstrace

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

const (
	parentText = `$ORIGIN example.com.
$TTL 300
@      IN SOA ns1 hostmaster 7 3600 600 86400 60
@      IN NS ns1
ns1    IN A 127.0.0.11
www    IN A 192.0.2.2
to     60 IN CNAME www.sub
loop   IN CNAME loop.sub
sub    IN NS ns1.sub
sub    IN NS ns2.sub
ns1.sub IN A 127.0.0.12
ns2.sub IN A 127.0.0.13
`
	childText = `$ORIGIN sub.example.com.
$TTL 120
@    IN SOA ns1 hostmaster 3 3600 600 86400 60
@    IN NS ns1
@    IN NS ns2
ns1  IN A 127.0.0.12
ns2  IN A 127.0.0.13
www  IN A 192.0.2.7
loop IN CNAME loop.example.com.
`
)

// big is a set of addresses that fits into no datagram.
func big() string {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "big IN A 198.51.100.%d\n", i)
	}
	return b.String()
}

// serve answers from zone texts at loopback addresses that share one port. An address
// with an empty text answers for another zone only; one without an entry not at all.
func serve(t *testing.T, texts map[string]string) (port uint16) {
	t.Helper()
	for range 20 {
		if port, ok := tryServe(t, texts); ok {
			return port
		}
	}
	t.Fatal("no port is free on all addresses")
	return 0
}

func tryServe(t *testing.T, texts map[string]string) (uint16, bool) {
	t.Helper()
	var port uint16
	var start []func()
	for host, text := range texts {
		if text == "" {
			text = "$ORIGIN other.example.\n@ 60 IN SOA ns.elsewhere.net. h 1 3600 600 86400 60\n@ 60 IN NS ns.elsewhere.net.\n"
		}
		z, err := zone.Check(text, "test.zone")
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := authdns.Compile([]*zone.Zone{z}, nil)
		if err != nil {
			t.Fatal(err)
		}
		view, err := compiled.View(authdns.Orders{})
		if err != nil {
			t.Fatal(err)
		}
		udp, tcp, err := authdns.Listen(fmt.Sprintf("%s:%d", host, port), 1)
		if err != nil {
			return 0, false
		}
		t.Cleanup(func() {
			_ = tcp.Close()
			for _, c := range udp {
				_ = c.Close()
			}
		})
		port = uint16(tcp.Addr().(*net.TCPAddr).Port)
		start = append(start, func() {
			s := authdns.New(authdns.Options{Logger: slog.New(slog.DiscardHandler)})
			s.Set(view)
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); _ = s.Serve(ctx, udp, []*net.TCPListener{tcp}) }() // the cleanup ends it
			t.Cleanup(func() { stop(); <-ended })
		})
	}
	for _, f := range start {
		f()
	}
	return port, true
}

func TestRun(t *testing.T) {
	t.Parallel()
	const p, a, b = "127.0.0.11", "127.0.0.12", "127.0.0.13"
	edit := func(text, from, to string) string {
		if !strings.Contains(text, from) {
			t.Fatalf("no %q in the zone", from)
		}
		return strings.Replace(text, from, to, 1)
	}
	for name, tc := range map[string]struct {
		ask     string
		texts   map[string]string
		verdict string   // begins so
		wrong   []string // a part of each, in order
	}{
		"in the parent": {"www.example.com A", map[string]string{p: parentText}, "A resolver gets A 192.0.2.2 for www.example.com. now and may keep that for 5 min; all name servers on the way agree.", nil},
		"below a cut": {"www.sub.example.com A", map[string]string{p: parentText, a: childText, b: childText},
			"A resolver gets A 192.0.2.7 for www.sub.example.com. now and may keep that for 2 min; all name servers on the way agree.", nil},
		"an alias over a cut": {"to.example.com A", map[string]string{p: parentText, a: childText, b: childText},
			"A resolver gets CNAME www.sub.example.com., A 192.0.2.7 for to.example.com. now and may keep that for 1 min; all", nil},
		"no such name": {"no.sub.example.com A", map[string]string{p: parentText, a: childText, b: childText}, "A resolver is told now that there is no name no.sub.example.com. and may keep that for 1 min; all", nil},
		"no such type": {"www.sub.example.com MX", map[string]string{p: parentText, a: childText, b: childText}, "A resolver is told now that there is no MX record of www.sub.example.com. and may keep that for 1 min; all", nil},
		"over TCP":     {"big.example.com A", map[string]string{p: parentText + big()}, "A resolver gets A 198.51.100.0, ", nil},
		"one is lame": {"www.sub.example.com A", map[string]string{p: parentText, a: childText, b: ""}, "A resolver gets A 192.0.2.7 ",
			[]string{"ns2.sub.example.com. (127.0.0.13:PORT) is lame: it says REFUSED"}},
		"one is away": {"www.sub.example.com A", map[string]string{p: parentText, a: childText}, "A resolver gets A 192.0.2.7 ",
			[]string{"ns2.sub.example.com. (127.0.0.13:PORT) can't be asked: nothing listens there"}},
		"all are lame": {"www.sub.example.com A", map[string]string{p: parentText, a: "", b: ""},
			"A resolver gets no answer for www.sub.example.com. now (SERVFAIL): no name server of sub.example.com. gives an answer; wrong: ", []string{"is lame", "is lame"}},
		"one is stale": {"www.sub.example.com A", map[string]string{p: parentText, a: childText, b: edit(edit(childText, " 3 3600", " 2 3600"), "192.0.2.7", "192.0.2.6")},
			"A resolver gets A 192.0.2.7 for www.sub.example.com. now (but one server answers A 192.0.2.6) and may keep",
			[]string{"answers A 192.0.2.6, but", "has serial 2, but ns1.sub.example.com. (127.0.0.12:PORT) has 3"}},
		"glue differs": {"www.sub.example.com A", map[string]string{p: parentText, a: edit(childText, "ns2  IN A 127.0.0.13", "ns2 IN A 127.0.0.14"), b: edit(childText, "ns2  IN A 127.0.0.13", "ns2 IN A 127.0.0.14")},
			"A resolver gets A 192.0.2.7 ", []string{"has the address 127.0.0.13 of ns2.sub.example.com., the zone itself has 127.0.0.14"}},
		"other name servers": {"www.sub.example.com A", map[string]string{p: parentText, a: edit(childText, "@    IN NS ns2\n", ""), b: edit(childText, "@    IN NS ns2\n", "")},
			"A resolver gets A 192.0.2.7 ", []string{"the zone above names ns1.sub.example.com., ns2.sub.example.com., the zone itself names ns1.sub.example.com."}},
		"a circle of aliases": {"loop.example.com A", map[string]string{p: parentText, a: childText, b: childText}, "A resolver gets no answer for loop.example.com. now (SERVFAIL): the aliases lead in a circle", nil},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share addresses
			port := serve(t, tc.texts)
			q := strings.Fields(tc.ask)
			got, err := Run(t.Context(), Options{Name: q[0], Type: q[1], From: []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(p), port)}, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.Verdict, tc.verdict) {
				t.Errorf("verdict:\n%s\nwant:\n%s", got.Verdict, tc.verdict)
			}
			if len(got.Wrong) != len(tc.wrong) {
				t.Fatalf("wrong: %q", got.Wrong)
			}
			for i, w := range tc.wrong {
				if w = strings.ReplaceAll(w, "PORT", fmt.Sprint(port)); !strings.Contains(got.Wrong[i], w) {
					t.Errorf("wrong: %q, want %q in it", got.Wrong[i], w)
				}
			}
			if s := got.Steps[0]; s.Zone != "example.com." || s.Replies[0].Serial == nil || *s.Replies[0].Serial != 7 {
				t.Errorf("first step: %+v", s)
			}
			if name == "over TCP" && !got.Steps[0].Replies[0].TCP {
				t.Error("not asked over TCP")
			}
		})
	}
}

func TestRefusedQuestions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Name: "example.com", Type: "NONSENSE"}, {Name: "example.com", Type: "AXFR"}, {Name: "", Type: "A"}, {Name: strings.Repeat("a", 64) + ".com", Type: "A"}} {
		if _, err := Run(t.Context(), o); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q %s: %v", o.Name, o.Type, err)
		}
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1:53", "192.0.2.1:54": "192.0.2.1:54", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]:54": "[2001:db8::1]:54", "ns.example.com:53": "", "": ""} {
		got, err := ParseServer(in)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}
