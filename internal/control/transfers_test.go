package control

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/config"
	"lifeboat/internal/snapshot"
)

func TestTransferKeysAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name, text string) config.TransferKey {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return config.TransferKey{Name: name, SecretFile: path}
	}
	good, twin, bad := at("good", "hmac-sha512:ns2.example:YWJj\n"), at("twin", "ns2.example:ZGVm"), at("bad", "YWJjYWJj")
	peer := netip.MustParseAddrPort("192.0.2.53:53")
	cfg := &config.Config{
		TransferKeys: []config.TransferKey{good},
		Secondaries:  []snapshot.Exchange{{Zone: "shop.example.com.", Peers: []snapshot.Peer{{Address: peer, Key: "good"}, {Address: peer}}}},
		Primaries:    []snapshot.Exchange{{Zone: "example.com.", Peers: []snapshot.Peer{{Address: peer, Key: "good"}}}},
	}
	got, err := transfers(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k, known := got.Key("ns2.example.")
	if !known || k.Algorithm != "hmac-sha512" || string(k.Secret) != "abc" || got.Out[0].Peers[0].Key != k.Name || got.Out[0].Peers[1].Key != "" || got.In[0].Peers[0].Key != k.Name {
		t.Errorf("%+v", got)
	}
	if cfg.Secondaries[0].Peers[0].Key != "good" {
		t.Error("the configuration was changed")
	}
	for name, keys := range map[string][]config.TransferKey{
		"the same name": {good, twin}, "no TSIG key": {bad}, "can't be read": {{Name: "none", SecretFile: filepath.Join(dir, "none")}},
	} {
		cfg.TransferKeys = keys
		if _, err := transfers(cfg); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "YWJj") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
