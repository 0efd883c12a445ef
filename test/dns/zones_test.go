package dns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// maker makes zones and questions by chance. Few labels make names meet.
type maker struct {
	*rand.Rand
}

var labels = []string{"a", "b", "c", "d", "*"}

// long is a label that makes names too long when a DNAME puts several together.
var long = strings.Repeat("x", 60)

// label gives a label; wildcards are rarer, long ones and odd ones rarer still.
func (m maker) label() string {
	switch m.IntN(64) {
	case 0:
		return long
	case 1:
		return `o\.d\032d`
	case 2, 3, 4, 5, 6, 7, 8, 9:
		return "*"
	}
	return labels[m.IntN(4)]
}

// below makes a name of one to three labels below an apex.
func (m maker) below(apex string) string {
	name := apex
	for range 1 + m.IntN(3) {
		if label := m.label(); len(label)+len(name) < 240 {
			name = label + "." + name
		}
	}
	return name
}

// target is what a CNAME, a DNAME or a record that names a host leads to.
func (m maker) target(apex string) string {
	switch m.IntN(20) {
	case 0:
		if len(apex) < 50 {
			return long + "." + long + "." + long + "." + apex
		}
	case 2, 3:
		return "host.elsewhere.example."
	case 1:
		return apex
	}
	name := m.below(apex)
	return strings.ReplaceAll(name, "*", "d")
}

// node is what one name holds: lines of a zone file without the owner.
type node struct {
	lines       []string
	cut, dname  bool
	nameServers []string // inside the zone
}

// made is a zone as text, and its names.
type made struct {
	apex  string
	text  string
	names []string
	cuts  []string
}

// zone makes a zone: wildcards, empty non-terminals, chains and loops of CNAMEs,
// DNAMEs, delegations with and without glue. Nothing lies below a DNAME, and below
// a delegation only glue, for some of the servers refuse such zones.
func (m maker) zone(apex string) made {
	z := made{apex: apex}
	nodes := map[string]node{}
	for range 4 + m.IntN(14) {
		name := m.below(z.apex)
		if _, ok := nodes[name]; !ok {
			nodes[name] = m.node(z.apex, name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "$TTL 300\n%[1]s 3600 IN SOA ns.%[1]s host.%[1]s 1 3600 600 1209600 60\n%[1]s IN NS ns.%[1]s\n%[1]s IN NS ns.elsewhere.example.\nns.%[1]s IN A 192.0.2.53\n", z.apex)
	if m.IntN(4) == 0 {
		fmt.Fprintf(&b, "%s IN MX 10 %s\n", z.apex, m.target(z.apex))
	}
	names := make([]string, 0, len(nodes))
	for name := range nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	glue := map[string]bool{}
	for _, name := range names {
		if hidden(nodes, name, z.apex) {
			continue
		}
		z.names = append(z.names, name)
		if nodes[name].cut {
			z.cuts = append(z.cuts, name)
		}
		for _, line := range nodes[name].lines {
			fmt.Fprintf(&b, "%s IN %s\n", name, line)
		}
		for _, server := range nodes[name].nameServers {
			if !glue[server] && m.IntN(8) > 0 {
				glue[server] = true
				fmt.Fprintf(&b, "%s IN A 192.0.2.%d\n", server, 100+m.IntN(100))
			}
		}
	}
	z.text = b.String()
	return z
}

// zones makes some zones, and for some of their delegations the zone below, which
// the same servers serve.
func (m maker) zones(n int) (all []made) {
	for i := range n {
		z := m.zone(fmt.Sprintf("z%d.example.", i))
		all = append(all, z)
		for _, cut := range z.cuts {
			if m.IntN(3) == 0 && !strings.Contains(cut, `\`) { // a name that is a file's, too
				all = append(all, m.zone(cut))
			}
		}
	}
	return all
}

// up takes the first label off; the odd label has a dot inside.
func up(name string) string {
	if rest, ok := strings.CutPrefix(name, `o\.d\032d.`); ok {
		return rest
	}
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// hidden says whether a name lies below a delegation or a DNAME.
func hidden(nodes map[string]node, name, apex string) bool {
	for name != apex {
		name = up(name)
		if n := nodes[name]; n.cut || n.dname {
			return true
		}
	}
	return false
}

// node makes what a name holds. Delegations and DNAMEs have no wildcard owner,
// which RFC 4592 section 4 leaves open.
func (m maker) node(apex, name string) (n node) {
	plain := !strings.Contains(name, "*")
	switch k := m.IntN(12); {
	case k < 3:
		n.lines = []string{"CNAME " + m.target(apex)}
	case k == 3 && plain:
		n.dname = true
		n.lines = []string{"DNAME " + m.target(apex)}
		if m.IntN(2) == 0 {
			n.lines = append(n.lines, "A 192.0.2.9")
		}
	case k == 4 && plain:
		n.cut = true
		n.lines = []string{"NS ns.elsewhere.example."}
		if m.IntN(3) > 0 {
			n.nameServers = []string{"ns." + name}
			n.lines = append(n.lines, "NS ns."+name)
		}
		if m.IntN(4) == 0 {
			n.lines = append(n.lines, "NS ns."+apex)
		}
		if m.IntN(3) == 0 {
			n.lines = append(n.lines, "DS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132")
		}
	default:
		n.lines = m.data(apex)
	}
	return n
}

// data makes ordinary records, at least one.
func (m maker) data(apex string) (lines []string) {
	all := []string{
		fmt.Sprintf("A 192.0.2.%d", 1+m.IntN(50)), fmt.Sprintf("A 192.0.2.%d", 51+m.IntN(40)), "AAAA 2001:db8::1", `TXT "text"`,
		"MX 10 " + m.target(apex), "SRV 0 1 80 " + m.target(apex), `TYPE65280 \# 3 010203`,
		"HTTPS 0 " + m.target(apex), "HTTPS 1 . alpn=h2",
	}
	for range 1 + m.IntN(3) {
		line := all[m.IntN(len(all))]
		typ, _, _ := strings.Cut(line, " ")
		if !slices.Contains(lines, line) && (typ != "HTTPS" || !strings.Contains(strings.Join(lines, "\n"), typ)) { // an alias stands alone
			lines = append(lines, line)
		}
	}
	return lines
}

// types are asked for; ANY is not, for RFC 8482 leaves its answer open.
var types = []uint16{1, 1, 1, 28, 16, 15, 5, 39, 2, 6, 43, 33, 33, 65, 65, 65280, 257}

// question makes a question about a zone: a name that is there, one near it, or
// any.
func (m maker) question(z made) (name string, typ uint16) {
	name = m.below(z.apex)
	if len(z.names) > 0 && m.IntN(10) < 7 {
		name = z.names[m.IntN(len(z.names))]
	}
	for range m.IntN(3) {
		switch m.IntN(5) {
		case 4:
			if len(name) < 180 {
				name = long + "." + name
			}
		case 0:
			if name != z.apex {
				name = up(name)
			}
		case 1:
			name = m.label() + "." + name
		case 2:
			name = strings.Replace(name, "*", labels[m.IntN(4)], 1)
		case 3:
			name = strings.Replace(name, "a.", "A.", 1)
		}
	}
	return name, types[m.IntN(len(types))]
}
