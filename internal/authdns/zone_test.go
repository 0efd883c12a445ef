package authdns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

// FuzzZone holds that a zone that Parse takes can be compiled, and that every
// name of it, and names beside and below, are answered readably.
func FuzzZone(f *testing.F) {
	f.Add(testZone, "mail", uint16(1))
	f.Add("a CNAME b\nb CNAME c\n*.c CNAME x.c\n", "q.c", uint16(1))
	f.Add("*.a DNAME b\nb DNAME *.a\n* NS ns\nns A 192.0.2.1\n", "x.b", uint16(255))
	f.Add("s NS s\ns NS ns.s\ns A 192.0.2.1\nns.s A 192.0.2.2\n", "s", uint16(43))
	f.Fuzz(func(t *testing.T, text, label string, typ uint16) {
		src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: text,
			Follow: map[string]string{"shop.example.com.": "shop", "*.t.example.com.": "shop"}}
		z, err := zone.Parse(src)
		if err != nil {
			return
		}
		table, err := Compile([]*zone.Zone{z}, testSites())
		if err != nil {
			t.Fatal(err)
		}
		v, err := table.View(calm())
		if err != nil {
			t.Fatal(err)
		}
		s := New(Options{})
		s.Set(v)
		names := []string{label + ".example.com."}
		for _, r := range z.Records() {
			names = append(names, zone.Unpack(r.Owner), "x."+zone.Unpack(r.Owner))
		}
		for _, name := range names {
			for _, typ := range []uint16{typ, dns.TypeA, dns.TypeNS} {
				q, err := question(name, typ).Pack()
				if err != nil {
					continue
				}
				for _, udp := range []bool{true, false} {
					var m dns.Msg
					if err := m.Unpack(s.Handle(nil, q, udp)); err != nil {
						t.Fatalf("%s TYPE%d: %v\n%s", name, typ, err, z.Text())
					}
				}
				if s.Counts().Panics > 0 {
					t.Fatalf("%s TYPE%d: panic\n%s", name, typ, z.Text())
				}
			}
		}
	})
}

// A zone file is served without any site.
func Example() {
	z, err := zone.Check("$ORIGIN example.com.\n$TTL 300\n@ NS ns.example.net.\nwww A 192.0.2.1\n", "example.com.zone")
	if err != nil {
		fmt.Println(err)
		return
	}
	table, err := Compile([]*zone.Zone{z}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := table.View(Orders{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := New(Options{})
	server.Set(view)
	fmt.Println(table)
	// Output: 1 zones, 2 names, 0 sites followed
}

// BenchmarkLoad reads and compiles a zone of 100,000 records.
func BenchmarkLoad(b *testing.B) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "host%d A 192.0.2.%d\n", i, i%256)
	}
	src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: text.String()}
	b.ReportAllocs()
	for b.Loop() {
		z, err := zone.Parse(src)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Compile([]*zone.Zone{z}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
