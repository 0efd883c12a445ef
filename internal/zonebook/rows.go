package zonebook

import (
	"cmp"
	"slices"

	"lifeboat/internal/zone"
	"lifeboat/internal/zonediff"
)

// Row is one record of a zone with a draft on it.
type Row struct {
	Name, Type, Data string
	TTL              uint32
	Mark             string // new, gone, ttl, or nothing
	Fixed            string // why it can't be edited
}

// Rows are the records of a zone as they would be with a draft published, and those that
// would be gone, by name and type.
func (f Facts) Rows(changes []Change) ([]Row, error) {
	was, err := readSets(f.Zone)
	if err != nil {
		return nil, err
	}
	is := sets{}
	for k, s := range was {
		is[k] = s
	}
	f.apply(is, changes)
	var out []Row
	for k, s := range is {
		name := zone.Unpack(k[0])
		fixed := ""
		if err := f.editable(name, s.typ); err != nil {
			fixed = problems(err)[0].String()
		}
		for _, v := range s.values {
			r := Row{Name: name, Type: s.typ, Data: v.data, TTL: s.ttl, Fixed: fixed}
			switch old := was[k]; {
			case old == nil || old.find(v.data) < 0:
				r.Mark = "new"
			case old.ttl != s.ttl:
				r.Mark = "ttl"
			}
			out = append(out, r)
		}
	}
	for k, s := range was {
		for _, v := range s.values {
			if now := is[k]; now == nil || now.find(v.data) < 0 {
				out = append(out, Row{Name: zone.Unpack(k[0]), Type: s.typ, Data: v.data, TTL: s.ttl, Mark: "gone"})
			}
		}
	}
	out = append(out, f.madeRows(is)...)
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(zonediff.ByTree(a.Name, b.Name), cmp.Compare(rank(a.Type), rank(b.Type)), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Data, b.Data), cmp.Compare(a.Mark, b.Mark))
	})
	return out, nil
}

// siteType stands for the type of what a following name answers.
const siteType = "A, AAAA"

// madeRows are what the configuration says of the zone beside its records.
func (f Facts) madeRows(all sets) (out []Row) {
	for name, site := range f.Zone.Follow {
		out = append(out, Row{Name: name, Type: siteType, Data: "follows the site " + site, TTL: cmp.Or(f.Zone.TTL, 60), Fixed: "Its addresses are those of the place where the site is: sites: " + site + ": in the configuration."})
	}
	apex, err := zone.Pack(f.Zone.Apex)
	if err != nil || all[[2]string{apex, "NS"}] != nil {
		return out
	}
	for _, ns := range f.Zone.NS {
		out = append(out, Row{Name: f.Zone.Apex, Type: "NS", Data: ns, TTL: 3600, Fixed: "The zone’s own name servers are in the configuration: ns: at the zone."})
	}
	return out
}

// Misfit says why changes of a draft, from one on, can't be: what is wrong with them is
// told when they are made, and not only by the plan.
func (f Facts) Misfit(changes []Change, from int) error {
	p := f.Plan(changes)
	for _, x := range p.Refused {
		if x.Change == 0 || x.Change > from {
			return x.fault()
		}
	}
	return nil
}
