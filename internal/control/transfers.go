package control

import (
	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
)

// transfers are the zones that are exchanged with other name servers, with the keys
// read from their files.
func transfers(cfg *config.Config) (snapshot.Transfers, error) {
	out := snapshot.Transfers{}
	names := map[string]string{} // in the file → of the key
	files := map[string]string{} // of the key → file
	for _, k := range cfg.TransferKeys {
		text, err := secret(k.SecretFile)
		if err != nil {
			return out, err
		}
		key, err := xfr.ParseKeyFile(string(text), k.SecretFile)
		if err != nil {
			return out, err
		}
		if other, twice := files[key.Name]; twice {
			return out, fault.New(fault.Invalid, "the key has the same name as the one in %s", other).At(k.SecretFile).WithHint("give each key a name of its own")
		}
		names[k.Name], files[key.Name] = key.Name, k.SecretFile
		out.Keys = append(out.Keys, key)
	}
	named := func(in []snapshot.Exchange) (all []snapshot.Exchange) {
		for _, x := range in {
			peers := make([]snapshot.Peer, len(x.Peers))
			for i, p := range x.Peers {
				peers[i] = snapshot.Peer{Address: p.Address, Key: names[p.Key]}
			}
			all = append(all, snapshot.Exchange{Zone: x.Zone, Peers: peers})
		}
		return all
	}
	out.Out, out.In = named(cfg.Secondaries), named(cfg.Primaries)
	return out, nil
}
