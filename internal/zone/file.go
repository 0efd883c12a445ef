package zone

import (
	"path"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// Check reads the text of a zone file that stands by itself. Its apex is the SOA
// record's owner; without a SOA it is the first $ORIGIN, else the file's name
// (example.com, example.com.zone, db.example.com). No name follows a site.
func Check(text, file string) (*Zone, error) { return CheckWith(text, file, nil) }

// CheckWith is Check for a text that includes files (see Includes).
func CheckWith(text, file string, includes map[string]string) (*Zone, error) {
	apex := findApex(text, file)
	if apex == "" {
		return nil, fault.New(fault.Invalid, "the zone's name can't be found").At(file).
			WithHint("put a line like $ORIGIN example.com. at the top")
	}
	return Parse(Source{Apex: apex, File: file, Line: 1, Text: text, Includes: includes})
}

// findApex looks for the zone's name without understanding the records.
func findApex(text, file string) string {
	origin := nameOfFile(file)
	first, owner := "", ""
	r := &reader{origin: origin}
	for e := range entries(text) {
		if e.fault != "" {
			continue
		}
		if !e.blank && strings.EqualFold(e.fields[0], "$ORIGIN") && len(e.fields) > 1 {
			if name := r.absolute(e.fields[1]); wellFormed(name) {
				r.origin = name
				first = firstOf(first, name)
			}
			continue
		}
		if !e.blank {
			owner = r.absolute(e.fields[0])
		}
		if isSOA(e) && wellFormed(owner) {
			return strings.ToLower(owner)
		}
	}
	return strings.ToLower(firstOf(first, origin))
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func isSOA(e entry) bool {
	fields := e.fields[:min(4, len(e.fields))]
	if !e.blank {
		fields = fields[1:]
	}
	return slices.ContainsFunc(fields, func(f string) bool { return strings.EqualFold(f, "SOA") })
}

func wellFormed(name string) bool {
	_, err := Pack(name)
	return err == nil
}

// nameOfFile guesses a zone's name by its file's, "" when it can't be one.
func nameOfFile(file string) string {
	name := path.Base(file)
	for _, suffix := range []string{".zone", ".db", ".txt", ".hosts"} {
		name = strings.TrimSuffix(name, suffix)
	}
	name = dns.Fqdn(strings.TrimPrefix(name, "db."))
	if _, ok := dns.IsDomainName(name); !ok || strings.Count(name, ".") < 2 || strings.ContainsAny(name, " /") {
		return ""
	}
	return strings.ToLower(name)
}
