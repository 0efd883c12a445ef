package answer

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/snapshot"
)

// Under more queries than can be answered, a person's order still comes through, and is
// answered; so does a snapshot.
func TestOrdersUnderAFlood(t *testing.T) { // not parallel: it takes all processors
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	m := new(dns.Msg)
	m.SetQuestion("mail."+apex, dns.TypeA)
	query, err := m.Pack()
	must(t, err)
	var end atomic.Bool
	var flooding sync.WaitGroup
	for range runtime.GOMAXPROCS(0) + 1 {
		conn, err := net.Dial("udp", r.ns)
		must(t, err)
		flooding.Go(func() {
			defer func() { _ = conn.Close() }()
			for !end.Load() {
				_, _ = conn.Write(query) // what the kernel has no room for is part of the flood
			}
		})
	}
	defer flooding.Wait()
	defer end.Store(true)
	r.eventually("a flood", func() bool { return r.dns.Counts().Queries > 1000 })
	if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); !rep.OK || rep.Status.Positions["shop"] != snapshot.Standby {
		t.Errorf("the order: %+v", rep)
	}
	r.takes(order(t, 1, 2, "main"))
	if rep := r.do(Request{Do: "status"}); !rep.OK || rep.Status.Revision != 2 {
		t.Errorf("after the snapshot: %+v", rep)
	}
}
