package zone

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// Overlap looks at the zones of one server together. The same apex twice is an
// error; so is a name that follows a site in a zone that does not answer for it
// because a deeper zone here does: the deepest zone wins. A zone above another
// that lacks its delegation is a warning, for other servers of it would deny the
// names below.
func Overlap(zones []*Zone) (warnings []string, err error) {
	byApex := make(map[string]*Zone, len(zones))
	var problems []error
	for _, z := range zones {
		if other, ok := byApex[z.apex]; ok {
			problems = append(problems, fault.New(fault.Invalid, "zone %s is there twice", z.Apex()).
				At(z.file()).WithHint("the other is in %s: keep one", other.file()))
			continue
		}
		byApex[z.apex] = z
	}
	for _, z := range zones {
		above := enclosing(byApex, parent(z.apex))
		if above == nil || z.apex == "\x00" {
			continue
		}
		problems = append(problems, above.shadowed(z)...)
		if !above.delegates(z.apex) {
			warnings = append(warnings, fmt.Sprintf("%s: zone %s is served here but %s does not delegate it (add NS records for %s there)",
				above.file(), z.Apex(), above.Apex(), z.Apex()))
		}
	}
	return warnings, errors.Join(problems...)
}

func (z *Zone) file() string {
	if z.source.File == "" {
		return "zone " + z.source.Apex
	}
	return z.source.File
}

// enclosing finds the deepest zone at or above a name, nil when there is none.
func enclosing(byApex map[string]*Zone, name string) *Zone {
	for ; name != ""; name = parent(name) {
		if z, ok := byApex[name]; ok {
			return z
		}
	}
	return nil
}

func (z *Zone) delegates(owner string) bool {
	for i := range z.recs {
		rec := &z.recs[i]
		if rec.typ == dns.TypeNS && rec.name != apexNumber && Under(owner, string(z.names.Name(rec.name))) {
			return true
		}
	}
	return false
}

// shadowed are the following names that a deeper zone takes away from this one.
func (z *Zone) shadowed(child *Zone) (problems []error) {
	for _, f := range z.follow {
		if Under(f.Owner, child.apex) {
			problems = append(problems, fault.New(fault.Invalid, "%s follows site %s in zone %s, but zone %s answers for it",
				Unpack(f.Owner), f.Site, z.Apex(), child.Apex()).At(z.file()).WithHint("let it follow in zone %s", child.Apex()))
		}
	}
	return problems
}
