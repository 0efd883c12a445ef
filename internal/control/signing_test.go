package control

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/zone"
)

// What the parent's servers say of a zone's DS records is understood.
func TestLookUpDS(t *testing.T) {
	t.Parallel()
	const digest = "0102030405060708091011121314151617181920212223242526272829303132"
	root := ". 300 IN SOA ns. h. 1 3600 600 86400 60\n. 300 IN NS ns.\nns. 300 IN A 127.0.0.1\n" +
		"with. 300 IN NS ns.\nwith. 600 IN DS 258 13 2 " + digest + "\nwithout. 300 IN NS ns.\n"
	z, err := zone.Parse(zone.Source{Apex: ".", Text: root})
	if err != nil {
		t.Fatal(err)
	}
	table, err := authdns.Compile([]*zone.Zone{z}, nil)
	if err != nil {
		t.Fatal(err)
	}
	view, err := table.View(authdns.Orders{})
	if err != nil {
		t.Fatal(err)
	}
	server := authdns.New(authdns.Options{})
	server.Set(view)
	udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, udp, []*net.TCPListener{tcp}) }() // ends with ctx
	t.Cleanup(func() {
		cancel()
		<-done
		udp[0].Close()
		tcp.Close()
	})
	from := tcp.Addr().(*net.TCPAddr).AddrPort()
	ds, ttl, asked := lookUpDS(ctx, "with.", time.Now, from)
	want := append([]byte{1, 2, 13, 2}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10)
	if !asked || ttl != 10*time.Minute || len(ds) != 1 || len(ds[0]) != 36 || !bytes.HasPrefix(ds[0], want) {
		t.Errorf("%x %s %v", ds, ttl, asked)
	}
	if ds, _, asked := lookUpDS(ctx, "without.", time.Now, from); asked || len(ds) > 0 {
		t.Errorf("%x %v", ds, asked)
	}
	if _, _, asked := lookUpDS(ctx, "with.", time.Now, netip.MustParseAddrPort("127.0.0.1:1")); asked {
		t.Error("nobody was there to ask")
	}
}
