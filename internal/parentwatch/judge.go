package parentwatch

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"lifeboat/internal/dnstrace"
	"lifeboat/internal/zone"
)

// sight is all that a look has brought in.
type sight struct {
	kind      dnstrace.Kind
	reason    string // the trace's verdict
	last      string // the zone that the trace ended in
	delegated bool   // by a zone above
	parent    []string
	wrong     []string // between the zone above and the zone
	servers   []Server
	ds        []string
	dsKnown   bool
}

// told notes what a server says of a name.
func (s *sight) told(name string, r dnstrace.Reply) {
	if r.Problem != "" || !r.Authoritative {
		return
	}
	for i := range s.servers {
		srv := &s.servers[i]
		if srv.Address != r.Address {
			continue
		}
		if srv.names == nil {
			srv.names = map[string]Told{}
		}
		got := srv.names[name]
		for _, rec := range r.Records {
			typ, data, _ := strings.Cut(rec, " ")
			switch ip, err := netip.ParseAddr(data); {
			case typ == "CNAME" && got.Alias == "":
				got.Alias = strings.ToLower(data)
			case err == nil && !slices.Contains(got.Addresses, ip):
				got.Addresses = append(got.Addresses, ip)
			}
		}
		srv.names[name] = got
	}
}

// judge says in words what was found.
func (s *sight) judge(z Zone, r *Report) {
	r.Servers, r.Parent, r.DS = append(r.Servers, s.servers...), append(r.Parent, s.parent...), append(r.DS, s.ds...)
	if len(s.servers) == 0 {
		s.noWay(z, r)
		return
	}
	var asked, silent, behind, ahead, foreign, away int
	var serials []uint32
	var awayNames []string
	for _, srv := range s.servers {
		switch {
		case srv.silent:
			silent++
			continue
		case srv.Problem != "":
			away++
			awayNames = append(awayNames, fmt.Sprintf("%s: %s", srv.called(), srv.Problem))
		case srv.Serial != nil && *srv.Serial != z.Serial:
			if zone.SerialNewer(z.Serial, *srv.Serial) {
				behind++
				serials = append(serials, *srv.Serial)
			} else {
				ahead++
			}
		}
		if srv.Problem == "" && len(srv.strange(z)) > 0 {
			foreign++
		}
		asked++
	}
	r.State = Seen
	worse := func(state State, format string, args ...any) {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
		if r.State == Seen || state == Unseen {
			r.State = state
		}
	}
	if asked == 0 {
		r.State, r.Verdict = Unknown, fmt.Sprintf("We can't tell what the world sees: this machine has no way to any of the %d name servers.", silent)
		return
	}
	if away == asked {
		worse(Unseen, "None of the %d name servers that the world is sent to answers for %s: %s.", asked, z.Apex, strings.Join(awayNames, "; "))
	} else if away > 0 {
		worse(Partly, "%d of %d name servers %s not answer for %s: %s.", away, asked, doOrDoes(away), z.Apex, strings.Join(awayNames, "; "))
	}
	if len(s.parent) > 0 && len(z.NS) > 0 && !slices.ContainsFunc(s.parent, func(n string) bool { return slices.Contains(z.NS, n) }) {
		worse(Unseen, "The world is sent to other name servers than ours: the zone above names %s, we publish %s.", strings.Join(s.parent, ", "), strings.Join(z.NS, ", "))
	}
	if foreign > 0 {
		worse(Partly, "%d of %d name servers %s the names that move with other addresses than we publish%s.", foreign, asked, answers(foreign), s.example(z))
	}
	if behind > 0 {
		slices.Sort(serials)
		worse(Partly, "%d of %d name servers %s with serial %s, we publish %d.", behind, asked, answers(behind), figures(slices.Compact(serials)), z.Serial)
	}
	if ahead > 0 {
		worse(Partly, "%d of %d name servers %s with a newer serial than our %d: somebody else publishes the zone, too.", ahead, asked, answers(ahead), z.Serial)
	}
	r.DNSSEC = s.judgeDS(z, worse)
	for _, w := range s.wrong {
		worse(Partly, "%s.", strings.ToUpper(w[:1])+w[1:])
	}
	r.Registration.judge(r.At, worse)
	r.Verdict = "The world sees what we publish."
	if r.DNSSEC == Secure {
		r.Verdict = "The world sees what we publish, and can validate it."
	}
	if len(r.Problems) > 0 {
		r.Verdict = r.Problems[0]
	}
}

// judgeDS compares the DS records above with our keys (RFC 4035 section 5).
func (s *sight) judgeDS(z Zone, worse func(State, string, ...any)) Security {
	ours := func(ds string) bool {
		return slices.ContainsFunc(z.DS, func(k string) bool {
			return strings.EqualFold(strings.Join(strings.Fields(k), ""), strings.Join(strings.Fields(ds), ""))
		})
	}
	switch {
	case !s.dsKnown:
		return Untold
	case len(s.ds) == 0 && len(z.DS) == 0:
		return Unsigned
	case len(s.ds) > 0 && len(z.DS) == 0:
		worse(Unseen, "The zone above says that %s is signed (DS), and ours is not: resolvers that validate give no answer. Have the DS records taken out.", z.Apex)
		return Broken
	case len(s.ds) > 0 && !slices.ContainsFunc(s.ds, ours):
		worse(Unseen, "The DS records of the zone above fit none of our keys: resolvers that validate give no answer. Put this DS record at your registrar: %s.", strings.Join(z.DS, ", or "))
		return Broken
	case len(s.ds) == 0:
		worse(Partly, "Not yet secure: the zone is signed, and the zone above has no DS record of it, so nobody validates it. Put this DS record at your registrar: %s.", strings.Join(z.DS, ", or "))
		return Open
	}
	return Secure
}

// noWay says why nobody can be asked for the zone.
func (s *sight) noWay(z Zone, r *Report) {
	above := s.last
	if above == "" {
		above = "the zone above"
	}
	switch s.kind {
	case dnstrace.NXDomain:
		r.State, r.Verdict = Unseen, fmt.Sprintf("The world is not sent to us: the name servers of %s say that there is no name %s.", above, z.Apex)
	case dnstrace.NoData, dnstrace.Alias, dnstrace.Answer:
		r.State, r.Verdict = Unseen, fmt.Sprintf("The world is not sent to us: %s does not delegate %s.", above, z.Apex)
	default:
		r.State, r.Verdict = Unknown, "We can't tell what the world sees: "+s.reason
		return
	}
	r.Problems = append(r.Problems, r.Verdict)
}

// strange are the names that a server tells other addresses of than we publish.
func (s Server) strange(z Zone) (names []string) {
	for _, name := range sortedKeys(z.Names) {
		got, asked := s.names[name]
		if asked && !slices.ContainsFunc(z.Names[name], got.fits) {
			names = append(names, name)
		}
	}
	return names
}

// fits says whether an answer is the one that is published.
func (t Told) fits(published Told) bool {
	if published.Alias != "" || t.Alias != "" {
		return strings.EqualFold(t.Alias, published.Alias)
	}
	a, b := slices.Clone(t.Addresses), slices.Clone(published.Addresses)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}

// example is one strange answer.
func (s *sight) example(z Zone) string {
	for _, srv := range s.servers {
		if names := srv.strange(z); len(names) > 0 {
			return fmt.Sprintf(" (%s says %s of %s)", srv.called(), srv.names[names[0]], names[0])
		}
	}
	return ""
}

// String is what a server tells, in words.
func (t Told) String() string {
	switch {
	case t.Alias != "":
		return t.Alias
	case len(t.Addresses) == 0:
		return "no address"
	}
	list := make([]string, len(t.Addresses))
	for i, a := range t.Addresses {
		list[i] = a.String()
	}
	return strings.Join(list, ", ")
}

// called is how a server is spoken of.
func (s Server) called() string {
	switch {
	case s.Name == "":
		return s.Address
	case s.Address == "":
		return s.Name
	}
	return s.Name + " (" + s.Address + ")"
}

func answers(n int) string {
	if n == 1 {
		return "answers"
	}
	return "answer"
}

func doOrDoes(n int) string {
	if n == 1 {
		return "does"
	}
	return "do"
}

func figures(list []uint32) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = fmt.Sprint(n)
	}
	return strings.Join(out, " or ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
