package config

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/snapshot"
)

func TestZonesAreExchanged(t *testing.T) {
	t.Parallel()
	text := minimal + `dns: {keys: {ns2: {secret_file: ns2.key}, far: {secret_file: /etc/far.key}}}
zones:
  shop.example.com:
    ns: [ns1.example.net.]
    secondaries: [{address: 192.0.2.53, key: ns2}, {address: "[2001:db8::53]:5353", key: far}, {address: 127.0.0.1}]
  example.com:
    primaries: [{address: 192.0.2.1}]
    secondaries: [{address: 192.0.2.53, key: ns2}]
`
	c, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort
	second := snapshot.Peer{Address: at("192.0.2.53:53"), Key: "ns2"}
	want := []snapshot.Exchange{
		{Zone: "shop.example.com.", Peers: []snapshot.Peer{second, {Address: at("[2001:db8::53]:5353"), Key: "far"}, {Address: at("127.0.0.1:53")}}},
		{Zone: "example.com.", Peers: []snapshot.Peer{second}},
	}
	if diff := cmp.Diff(want, c.Secondaries, same); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]snapshot.Exchange{{Zone: "example.com.", Peers: []snapshot.Peer{{Address: at("192.0.2.1:53")}}}}, c.Primaries, same); diff != "" {
		t.Error(diff)
	}
	keys := []TransferKey{{"ns2", filepath.Join(filepath.Dir("x.yaml"), "ns2.key")}, {"far", "/etc/far.key"}}
	if diff := cmp.Diff(keys, c.TransferKeys); diff != "" {
		t.Error(diff)
	}
	if len(c.Zones) != 1 || c.Zones[0].Apex != "shop.example.com." {
		t.Errorf("a zone of somebody else's is ours: %+v", c.Zones)
	}
	if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, "192.0.2.1 has no key") || strings.Contains(w, "127.0.0.1 has no key") {
		t.Errorf("warnings: %s", w)
	}
}
