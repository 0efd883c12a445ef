package snapshot

import (
	"encoding/json"
	"slices"

	"lifeboat/internal/board"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/zone"
)

// Contents are the decoded parts of a snapshot.
type Contents struct {
	Sites     []Site
	Zones     []zone.Source
	Features  []feature.Flag
	Access    feature.Access // who may ask for features
	DNS       DNS            // what the name server does besides answering
	Transfers Transfers      // which zones are exchanged with other name servers
	Signed    []dnssec.Zone  // what it takes to answer for the zones that are signed
	Status    board.Sheet    // what is told on the status page
	History   board.History  // what was measured for it

	Certificates Certificates // what the standby serves HTTPS with
}

// zoneKeys is what a signed zone has beside the signatures over its sets.
type zoneKeys struct {
	Apex    string          `json:"apex"`
	Records []dnssec.Record `json:"records"`
	First   uint32          `json:"first"`
	SOA     dnssec.Book     `json:"soa"`
	More    dnssec.Book     `json:"more,omitzero"`
}

// split are the two parts of the signed zones.
func (c Contents) split() (books map[string]dnssec.Book, keys []zoneKeys) {
	books = map[string]dnssec.Book{}
	for _, z := range c.Signed {
		books[z.Apex] = z.Sets
		keys = append(keys, zoneKeys{Apex: z.Apex, Records: z.Records, First: z.First, SOA: z.SOA, More: z.More})
	}
	return books, keys
}

// join puts the two parts together again.
func join(books map[string]dnssec.Book, keys []zoneKeys) (out []dnssec.Zone) {
	for _, k := range keys {
		out = append(out, dnssec.Zone{Apex: k.Apex, Records: k.Records, First: k.First, SOA: k.SOA, More: k.More, Sets: books[k.Apex]})
	}
	return out
}

// Encode makes the parts and their references.
func (c Contents) Encode() (parts map[string][]byte, refs map[string]Ref, err error) {
	parts, refs = map[string][]byte{}, map[string]Ref{}
	all := map[string]any{PartSites: c.Sites, PartZones: c.Zones, PartFeatures: c.Features}
	if len(c.Access.Keys)+len(c.Access.Origins) > 0 {
		all[PartAccess] = c.Access
	}
	if !c.DNS.IsZero() {
		all[PartDNS] = c.DNS
	}
	if len(c.Signed) > 0 {
		all[PartSignatures], all[PartSerials] = c.split()
	}
	if !c.Transfers.IsZero() {
		all[PartTransfers] = c.Transfers
	}
	if !c.Status.IsZero() {
		all[PartStatus] = c.Status
	}
	if len(c.History) > 0 {
		all[PartHistory] = c.History
	}
	if !c.Certificates.IsZero() {
		all[PartCertificates] = c.Certificates
	}
	for name, v := range all {
		b, ref, err := Part(v)
		if err != nil {
			return nil, nil, err
		}
		parts[ref.SHA256], refs[name] = b, ref
	}
	return parts, refs, nil
}

// DecodeContents reads the parts that the manifest names; bytes gives them by hash.
func DecodeContents(refs map[string]Ref, bytes func(sha256 string) ([]byte, error)) (Contents, error) {
	var c Contents
	var books map[string]dnssec.Book
	var keys []zoneKeys
	for name, into := range map[string]any{
		PartSites: &c.Sites, PartZones: &c.Zones, PartFeatures: &c.Features, PartAccess: &c.Access, PartDNS: &c.DNS, PartTransfers: &c.Transfers, PartSignatures: &books, PartSerials: &keys, PartCertificates: &c.Certificates,
		PartStatus: &c.Status, PartHistory: &c.History,
	} {
		ref, named := refs[name]
		if !named && slices.Contains(optional, name) {
			continue
		}
		if !named {
			return c, fault.New(fault.Invalid, "the manifest names no part %q", name)
		}
		if err := decode(name, ref, bytes, into); err != nil {
			return c, err
		}
	}
	c.Signed = join(books, keys)
	return c, nil
}

// decode reads one part.
func decode(name string, ref Ref, bytes func(sha256 string) ([]byte, error), into any) error {
	b, err := bytes(ref.SHA256)
	if err != nil {
		return fault.New(fault.Unavailable, "part %q is not here", name).Because(err)
	}
	if RefOf(b) != ref {
		return fault.New(fault.Invalid, "part %q is not what the manifest names", name)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fault.New(fault.Invalid, "part %q can't be read", name).Because(err)
	}
	return nil
}

// optional parts may be missing: then everybody may ask, the name server does as usual,
// no zone is exchanged, none is signed, no name has a certificate.
var optional = []string{PartAccess, PartDNS, PartTransfers, PartSignatures, PartSerials, PartCertificates, PartStatus, PartHistory}

// Site gives a site by id.
func (c Contents) Site(id string) (Site, bool) {
	for _, s := range c.Sites {
		if s.ID == id {
			return s, true
		}
	}
	return Site{}, false
}

// Lever gives a lever by name.
func (c Contents) Lever(name string) (Lever, bool) {
	for _, s := range c.Sites {
		for _, l := range s.Levers {
			if l.Name == name {
				return l, true
			}
		}
	}
	return Lever{}, false
}

// Flag gives a flag by key.
func (c Contents) Flag(key string) (feature.Flag, bool) {
	for _, f := range c.Features {
		if f.Key == key {
			return f, true
		}
	}
	return feature.Flag{}, false
}

// OnlyTold says whether two snapshots differ in nothing but what the status page says:
// then no zone need be looked at again.
func OnlyTold(a, b map[string]Ref) bool {
	for _, refs := range []map[string]Ref{a, b} {
		for name := range refs {
			if name != PartStatus && name != PartHistory && a[name] != b[name] {
				return false
			}
		}
	}
	return true
}

// Tell is the contents with the parts of the status page that the manifest names.
func (c Contents) Tell(refs map[string]Ref, bytes func(sha256 string) ([]byte, error)) (Contents, error) {
	c.Status, c.History = board.Sheet{}, nil
	for name, into := range map[string]any{PartStatus: &c.Status, PartHistory: &c.History} {
		if ref, named := refs[name]; named {
			if err := decode(name, ref, bytes, into); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// Boards is what the status pages are made of: what control told, or else a plain page
// for each site that has a name for one.
func (c Contents) Boards() board.Sheet {
	if !c.Status.IsZero() {
		return c.Status
	}
	var s board.Sheet
	for _, site := range c.Sites {
		if site.Shadow != "" {
			continue
		}
		s.Components = append(s.Components, board.Site(site.ID, site.Title))
		if site.StatusName != "" {
			s.Pages = append(s.Pages, board.Page{
				ID: board.ID(site.ID), Hosts: []string{site.StatusName}, URL: "https://" + site.StatusName, Name: site.Title, Sites: []string{site.ID}, Languages: []string{"en"}, Zone: "Etc/UTC", Contact: site.Contact,
			})
		}
	}
	return s
}
