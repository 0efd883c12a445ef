package snapshot

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeboat/internal/feature"
	"lifeboat/internal/probe"
	"lifeboat/internal/zone"
)

// equal compares values that hold addresses.
var equal = cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testKey is a key that never changes, since files in testdata are signed with it.
func testKey() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("lifeboat's key for test data, worth nothing"))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testPublic() ed25519.PublicKey { return testKey().Public().(ed25519.PublicKey) }

func addresses(ips ...string) zone.Addresses {
	var a zone.Addresses
	for _, ip := range ips {
		a.IPs = append(a.IPs, netip.MustParseAddr(ip))
	}
	return a
}

var epoch1 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func shop() Site {
	return Site{
		ID: "shop", Title: "Example Shop", Names: []string{"shop.example.com", "www.shop.example.com"}, StatusName: "status.example.org", Scheme: "http", Port: 80,
		Home: "main", Places: []string{"main", "backup", Standby},
		Positions: zone.Positions{"main": addresses("203.0.113.10", "2001:db8::10"), "backup": addresses("203.0.113.20"), Standby: addresses("198.51.100.7")},
		Checks:    []probe.Check{{Name: "home", Kind: probe.KindHTTP, Path: "/", Status: 200, Contains: "Add", Every: 250 * time.Millisecond, Timeout: 250 * time.Millisecond, DownAfter: 3, UpAfter: 5, Gate: true}},
		Standing:  probe.Check{Name: "standing", Kind: probe.KindHTTP, Status: 503, Header: "Lifeboat-Standby: shop", Every: time.Second, Timeout: time.Second, DownAfter: 2, UpAfter: 2},
		Failover:  "auto", Contact: "Write to help@example.org",
		Levers: []Lever{
			{Name: "to-standby", Title: "Show the status page", Kind: "zone", Site: "shop", Position: Standby},
			{Name: "close-checkout", Title: "Close the checkout", Kind: "feature", Site: "shop", Feature: "checkout", Value: json.RawMessage("false")},
		},
	}
}

func contents() Contents {
	return Contents{
		Sites:    []Site{shop()},
		Zones:    []zone.Source{{Apex: "shop.example.com.", TTL: 60, NS: []string{"ns1.example.net."}, Text: "mail IN A 192.0.2.25\n", Follow: map[string]string{"shop.example.com.": "shop"}}},
		Features: []feature.Flag{{Key: "checkout", Value: json.RawMessage("true"), Off: json.RawMessage("false"), Says: "Card payments"}},
	}
}

// manifest names the contents and puts the shop at a position; "" says nothing.
func manifest(t testing.TB, epoch, revision uint64, position string, c Contents) (Manifest, map[string][]byte) {
	t.Helper()
	parts, refs, err := c.Encode()
	must(t, err)
	m := Manifest{Format: Format, Epoch: epoch, Revision: revision, At: epoch1, Parts: refs, Sites: map[string]SiteOrder{}, Serials: map[string]uint32{"shop.example.com.": uint32(revision)}}
	if position != "" {
		m.Sites["shop"] = SiteOrder{Position: position, Since: epoch1, Generation: revision}
	}
	return m, parts
}

func sign(t testing.TB, m Manifest) Signed {
	t.Helper()
	s, err := Sign(m, testKey())
	must(t, err)
	return s
}

// changed are contents with another zone text, and so another part.
func changed(text string) Contents {
	c := contents()
	c.Zones[0].Text = text
	return c
}
