package snapshot

import (
	"net/netip"
	"slices"
)

// Transfers say which zones are exchanged with which name servers. The zero value
// exchanges none.
type Transfers struct {
	Keys []TSIGKey  `json:"keys,omitempty"`
	Out  []Exchange `json:"out,omitempty"` // zones of ours, and their secondaries
	In   []Exchange `json:"in,omitempty"`  // zones of others, and their primaries in the order that they are asked in
}

// Exchange is a zone and the name servers that it is exchanged with.
type Exchange struct {
	Zone  string `json:"zone"` // apex, absolute, lower case
	Peers []Peer `json:"peers"`
}

// Peer is a name server.
type Peer struct {
	Address netip.AddrPort `json:"address"`       // where it is told of changes, and asked; transfers are asked for from any port of it
	Key     string         `json:"key,omitempty"` // the TSIG key that both have; "": none is asked for
}

// TSIGKey is a secret that two name servers share (RFC 8945).
type TSIGKey struct {
	Name      string `json:"name"`      // a domain name, absolute, lower case
	Algorithm string `json:"algorithm"` // hmac-sha256, hmac-sha384 or hmac-sha512
	Secret    Secret `json:"secret"`
}

// Secret is written as *** everywhere but in JSON, where it is Base64.
type Secret []byte

// String hides the secret, also from %v, %s and %q.
func (Secret) String() string { return "***" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "***" }

// IsZero says whether no zone is exchanged.
func (t Transfers) IsZero() bool { return len(t.Out)+len(t.In) == 0 }

// Gives says whether secondaries may have a zone.
func (t Transfers) Gives(apex string) bool {
	return slices.ContainsFunc(t.Out, func(x Exchange) bool { return x.Zone == apex })
}

// Key gives a key by its name.
func (t Transfers) Key(name string) (TSIGKey, bool) {
	i := slices.IndexFunc(t.Keys, func(k TSIGKey) bool { return k.Name == name })
	if name == "" || i < 0 {
		return TSIGKey{}, false
	}
	return t.Keys[i], true
}
