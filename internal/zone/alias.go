package zone

import (
	"errors"

	"lifeboat/internal/fault"
)

// Aliases refuses names that can't follow their site: a CNAME stands alone (RFC 1034
// section 3.6.2), so where a position of the site is an alias, a name that follows it
// is no apex and has no records of its own; nor may the alias lead back to such a
// name. Sites are by id. All problems are told at once, each a fault.Invalid.
func Aliases(zones []*Zone, sites map[string]Positions) error {
	followed := map[string]string{} // owner → site
	for _, z := range zones {
		for _, f := range z.follow {
			followed[f.Owner] = f.Site
		}
	}
	var problems []error
	for _, z := range zones {
		for _, f := range z.follow {
			for _, place := range sortedKeys(sites[f.Site]) {
				alias := sites[f.Site][place].Alias
				if alias == "" {
					continue
				}
				if err := z.canLead(f, place, alias, followed); err != nil {
					problems = append(problems, err)
				}
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return join(problems)
}

// canLead looks at one name and one alias.
func (z *Zone) canLead(f Followed, place, alias string, followed map[string]string) error {
	name := Unpack(f.Owner)
	at := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Invalid, format, args...).At(z.source.File)
	}
	target, err := Pack(alias)
	switch {
	case err != nil:
		return at("position %s of site %s: %v", place, f.Site, err).WithHint("write one absolute name, as in shop.cdn.example.net.")
	case followed[target] == f.Site:
		return at("%s follows site %s, whose position %s is an alias of %s, which follows the same site", name, f.Site, place, alias).
			WithHint("let the position lead to a name outside of the site")
	case f.Owner == z.apex:
		return at("%s follows site %s, whose position %s is an alias, and a zone's own name can't be one", name, f.Site, place).
			WithHint("give the position addresses in place of the alias, or let only names below %s follow, such as www", name)
	case len(z.recordsAt(f.Owner)) > 0:
		return at("%s has records of its own and follows site %s, whose position %s is an alias", name, f.Site, place).
			WithHint("a CNAME stands alone: give the position addresses, or the name no other records")
	}
	return nil
}

// Readable parses the sources and looks at them together with the positions of the
// sites that their names follow, as whoever serves them will. All problems are told
// at once.
func Readable(sources []Source, sites map[string]Positions) (zones []*Zone, warnings []string, err error) {
	var problems []error
	for _, src := range sources {
		z, err := Parse(src)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		zones, warnings = append(zones, z), append(warnings, z.Warnings()...)
	}
	more, err := Overlap(zones)
	if err = errors.Join(append(problems, err, Aliases(zones, sites))...); err != nil {
		return nil, nil, err
	}
	return zones, append(warnings, more...), nil
}
