package config

import (
	"net/netip"
	"slices"
	"strings"

	"lifeboat/internal/snapshot"
)

// The most that is taken.
const (
	maxTransferKeys = 50
	maxPeers        = 20 // of one zone: each is told of each change
)

// transferKeys reads the keys that other name servers share with us, by the names that
// the file gives them.
func (b *builder) transferKeys(dns section) {
	const sample = "keys: {ns2: {secret_file: ns2.key}}"
	for _, e := range b.atMost(maxTransferKeys, dns.n.get("keys"), dns.of("keys"), sample) {
		b.id(e.at, "key", e.key)
		s, ok := b.section(e.value, "key "+clip(e.key)+" of dns", transferKeyKeys)
		if !ok || s.refused(transferKeyKeys) || !s.needs("secret_file", ": nobody would know it", "secret_file: "+example(e.key)+".key") {
			continue
		}
		b.c.TransferKeys = append(b.c.TransferKeys, TransferKey{Name: e.key, SecretFile: b.secretFile(s)})
	}
}

// peers reads the name servers that a zone is exchanged with.
func (b *builder) peers(s section, key string) []snapshot.Peer {
	sample := "[{address: 192.0.2.53, key: ns2}]"
	var out []snapshot.Peer
	for _, n := range s.few(key, sample, maxPeers) {
		p, ok := b.section(n, key+" of "+s.where, peerKeys)
		if !ok || p.refused(peerKeys) || !p.needs("address", "", "address: 192.0.2.53") {
			continue
		}
		address, ok := b.addrPort(p.n.get("address"), p.of("address"))
		if !ok {
			continue
		}
		if slices.ContainsFunc(out, func(o snapshot.Peer) bool { return o.Address == address }) {
			b.invalid(p.at("address"), "%s: %s is written twice", s.of(key), address).WithHint("keep one of them")
			continue
		}
		out = append(out, snapshot.Peer{Address: address, Key: b.peerKey(p, address)})
	}
	if n := s.n.get(key); n != nil && n.shape == listShape && len(n.items) == 0 {
		b.invalid(n.at, "%s is empty", s.of(key)).WithHint("for example %s: %s", key, sample)
	}
	return out
}

// peerKey reads which of the keys a peer shares with us.
func (b *builder) peerKey(p section, address netip.AddrPort) string {
	n := p.n.get("key")
	if n == nil {
		if !address.Addr().IsLoopback() {
			b.warn(p.n.at, "%s: %s has no key, so whoever takes on that address gets the zone, or gives it", p.where, address.Addr()).
				WithHint("make one with tsig-keygen, and add key: NAME here and under dns")
		}
		return ""
	}
	name, ok := b.text(n, p.of("key"), "key: ns2")
	if !ok {
		return ""
	}
	var known []string
	for _, k := range b.c.TransferKeys {
		known = append(known, k.Name)
	}
	if !slices.Contains(known, name) {
		problem := b.invalid(n.at, "%s: there is no key %q under dns", p.of("key"), clip(name))
		if near := nearest(name, known); near != "" {
			problem.WithHint("did you mean %q?", near)
		} else {
			problem.WithHint("add keys: {%s: {secret_file: %[1]s.key}} under dns", example(name))
		}
	}
	return name
}

// PrimaryOf is the zone that a name, absolute, lies in, where that comes from a primary:
// what it answers can't be changed here, and signed by nobody here.
func (c *Config) PrimaryOf(name string) (apex string, theirs bool) {
	under := func(zone string) bool { return len(zone) > len(apex) && strings.HasSuffix("."+name, "."+zone) }
	for _, x := range c.Primaries {
		if under(x.Zone) {
			apex, theirs = x.Zone, true
		}
	}
	for _, z := range c.Zones {
		if under(z.Apex) {
			apex, theirs = z.Apex, false
		}
	}
	return apex, theirs
}

// ownKeys are those that a zone of somebody else's can't have: its primary says it all.
var ownKeys = []string{"ttl", "ns", "contact", "minimum", "follow", "records", "file", "dnssec"}

// incoming reads a zone that somebody else serves; false when this is none.
func (b *builder) incoming(apex string, s section) bool {
	n := s.n.get("primaries")
	if n == nil {
		return false
	}
	for _, key := range ownKeys {
		if s.n.get(key) != nil {
			b.invalid(s.at(key), "%s has %s and primaries", s.where, key).
				WithHint("keep one of them: what comes from a primary (%s) is served as it is", strings.Join(ownKeys, ", "))
		}
	}
	if peers := b.peers(s, "primaries"); len(peers) > 0 {
		b.c.Primaries = append(b.c.Primaries, snapshot.Exchange{Zone: apex, Peers: peers})
	}
	return true
}
