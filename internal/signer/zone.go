package signer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/zone"
)

// keyTTL is how long a zone's keys may be kept, in seconds: a roll-over waits for it.
const keyTTL = 3600

// Keys are a zone's keys and how far their roll-over is.
type Keys struct {
	Keys []*Key // one, or two while a roll-over goes on: the old one first
	Roll dnssec.Roll
}

// Records are what the keys add to the zone's apex.
func (k Keys) Records(apex string) (out []dnssec.Record) {
	roles := k.Roll.Roles()
	for _, i := range roles.Keys {
		out = append(out, dnssec.Record{Type: dnssec.TypeDNSKEY, TTL: keyTTL, Data: k.Keys[i].Data()})
	}
	parent := k.Keys[roles.Parent].Data()
	return append(out, dnssec.Record{Type: dnssec.TypeCDS, TTL: keyTTL, Data: dnssec.DS(apex, parent)},
		dnssec.Record{Type: dnssec.TypeCDNSKEY, TTL: keyTTL, Data: parent})
}

// over gives the keys that sign a type.
func (k Keys) over(typ uint16) (keys []*Key) {
	roles := k.Roll.Roles()
	switch typ {
	case dnssec.TypeDNSKEY, dnssec.TypeCDS, dnssec.TypeCDNSKEY:
		for _, i := range roles.Keys {
			keys = append(keys, k.Keys[i])
		}
		return keys
	}
	return []*Key{k.Keys[roles.Signs]}
}

// Wanted is what a zone is signed for.
type Wanted struct {
	Zone   *zone.Zone
	Sites  map[string]zone.Positions // by id
	Serial uint32                    // the SOA is signed for this one and those after it
	Proofs map[string][]string       // by name, absolute: what its TXT records hold beside the zone's own
}

// Sign makes what signatures the zone lacks: all that the keys have not signed yet, in
// what was made before, and those that are past half their time. made is how many.
func (k Keys) Sign(w Wanted, before dnssec.Zone, now time.Time) (after dnssec.Zone, made int, err error) {
	m := maker{keys: k, apex: w.Zone.ApexWire(), now: now}
	after = dnssec.Zone{Apex: w.Zone.Apex(), Records: k.Records(m.apex), First: w.Serial}
	z := dnssec.Extend(w.Zone, after.Records)
	entries := make([]dnssec.Entry, 0, before.Sets.Len())
	for item := range dnssec.Items(z, w.Sites) {
		if entries, err = m.add(entries, item.Set, before.Sets); err != nil {
			return after, m.made, err
		}
	}
	after.Sets = dnssec.NewBook(entries)
	err = m.moving(w, before, &after)
	return after, m.made, err
}

// Ahead signs what moves alone: the SOA for the serials from one on, and proofs.
func (k Keys) Ahead(w Wanted, before dnssec.Zone, now time.Time) (after dnssec.Zone, made int, err error) {
	m := maker{keys: k, apex: w.Zone.ApexWire(), now: now}
	after = before
	after.First = w.Serial
	err = m.moving(w, before, &after)
	return after, m.made, err
}

// maker makes signatures, or takes old ones that are good enough.
type maker struct {
	keys Keys
	apex string
	now  time.Time
	made int
}

// moving signs what moves.
func (m *maker) moving(w Wanted, before dnssec.Zone, after *dnssec.Zone) (err error) {
	if after.SOA, err = m.soas(w, before); err != nil {
		return err
	}
	var entries []dnssec.Entry
	for name, values := range w.Proofs {
		owner, err := zone.Pack(name)
		if err != nil {
			continue // no name of a zone
		}
		if set, ok := dnssec.WithProofs(w.Zone, owner, values); ok {
			if entries, err = m.add(entries, set, before.More); err != nil {
				return err
			}
		}
	}
	after.More = dnssec.NewBook(entries)
	return nil
}

func (m *maker) soas(w Wanted, before dnssec.Zone) (dnssec.Book, error) {
	var entries []dnssec.Entry
	for _, set := range dnssec.SOAs(dnssec.SOA(w.Zone, 0), w.Serial, dnssec.SerialsAhead) {
		var err error
		if entries, err = m.add(entries, set, before.SOA); err != nil {
			return dnssec.Book{}, err
		}
	}
	return dnssec.NewBook(entries), nil
}

func (m *maker) add(entries []dnssec.Entry, set dnssec.Set, before dnssec.Book) ([]dnssec.Entry, error) {
	id := set.ID()
	old := before.Find(id)
	for _, key := range m.keys.over(set.Type) {
		i := slices.IndexFunc(old, func(s dnssec.Signature) bool {
			return s.Tag == key.Tag() && s.Expires().Sub(m.now) > dnssec.Renewal && s.Begins(m.now)
		})
		if i >= 0 {
			entries = append(entries, dnssec.Entry{ID: id, Signature: old[i]})
			continue
		}
		s, err := key.Sign(set, m.apex, m.now)
		if err != nil {
			return nil, err
		}
		m.made++
		entries = append(entries, dnssec.Entry{ID: id, Signature: s})
	}
	return entries, nil
}

// Text is a signed zone as master file text, with the SOA of a serial.
func Text(z *zone.Zone, signed dnssec.Zone, serial uint32) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n", z.Apex())
	full := dnssec.Extend(z, signed.Records)
	write := func(set dnssec.Set, book dnssec.Book) {
		for _, data := range set.Data {
			fmt.Fprintln(&b, zone.Record{Owner: set.Owner, Type: set.Type, TTL: set.TTL, Data: data})
		}
		for _, s := range book.Find(set.ID()) {
			fmt.Fprintln(&b, zone.Record{Owner: set.Owner, Type: dnssec.TypeRRSIG, TTL: set.TTL, Data: s.Data(set, z.ApexWire())})
		}
	}
	write(dnssec.SOA(z, serial), signed.SOA)
	for item := range dnssec.Items(full, nil) {
		write(item.Set, signed.Sets)
	}
	for _, r := range full.Records() { // what others answer for is not signed
		if r.Glue || r.Type == typeNS && !bytes.Equal([]byte(r.Owner), []byte(z.ApexWire())) {
			fmt.Fprintln(&b, r)
		}
	}
	return b.String()
}

const typeNS = 2
