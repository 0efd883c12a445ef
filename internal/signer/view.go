package signer

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/dnssec"
)

// view is how a zone with these keys is doing. The apex is given as text and in wire
// form; to look for the first end among all signatures takes time.
func (k Keys) view(apex, wire string, signed dnssec.Zone, until time.Time) ZoneView {
	roles := k.Roll.Roles()
	v := ZoneView{
		Apex: apex, Step: k.Roll.Step, Says: k.Roll.Words(), Since: k.Roll.Since, Signatures: signed.Sets.Len() + signed.SOA.Len(), Until: until,
		DS: []string{dnssec.DSText(dnssec.DS(wire, k.Keys[roles.Parent].Data()))},
	}
	for i, key := range k.Keys {
		d := key.Data()
		v.Keys = append(v.Keys, KeyView{
			Tag: key.Tag(), Made: key.Made(), Signs: i == roles.Signs,
			DNSKEY: fmt.Sprintf("%d %d %d %s", int(d[0])<<8|int(d[1]), d[2], d[3], base64.StdEncoding.EncodeToString(d[4:])),
		})
	}
	return v
}

func sorted(zones []ZoneView) []ZoneView {
	slices.SortFunc(zones, func(a, b ZoneView) int { return cmp.Compare(a.Apex, b.Apex) })
	return zones
}
