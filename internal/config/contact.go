package config

import (
	"slices"
	"strings"
)

// maxContacts is how many people are shown on every page.
const maxContacts = 20

// contacts reads whom to call.
func (b *builder) contacts(top section) {
	const sample = `[{name: Ada, phone: "+1 555 0100", says: Databases}]`
	for _, n := range top.few("contacts", sample, maxContacts) {
		s, ok := b.section(n, "a contact", contactKeys)
		if !ok {
			continue
		}
		named := s.needs("name", "", "name: Ada")
		phoned := s.needs("phone", ": nobody could call", `phone: "+1 555 0100"`)
		c := Contact{Name: s.line("name", "", "Ada", 80), Phone: s.line("phone", "", `"+1 555 0100"`, 60), Says: s.line("says", "", "Databases", 300)}
		if !named || !phoned || c.Name == "" || c.Phone == "" {
			continue
		}
		if !strings.ContainsAny(c.Phone, "0123456789") {
			s.invalid(s.at("phone"), "%s has no digit: nobody could call", s.of("phone")).WithHint(`for example phone: "+1 555 0100"`)
			continue
		}
		if slices.ContainsFunc(b.c.Contacts, func(o Contact) bool { return o.Name == c.Name && o.Phone == c.Phone }) {
			b.invalid(n.at, "contact %s is written twice", clip(c.Name)).WithHint("remove one")
			continue
		}
		b.c.Contacts = append(b.c.Contacts, c)
	}
}
