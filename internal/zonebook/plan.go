package zonebook

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonediff"
)

// Facts are all that a plan is made of.
type Facts struct {
	Zone   zone.Source // as it is in force: the configuration's settings, the newest revision's text
	Number int         // of that revision
	Hash   string      // of its text
	Began  int         // the revision that the draft was begun on
	Since  []Revision  // those after it

	Others    []*zone.Zone              // the other zones that are served here
	Sites     map[string]zone.Positions // that names follow
	Secondary []string                  // apexes of zones that come from elsewhere

	Incident  bool     // one is open: what is published is not kept for long
	Authority []string // what the authority of our certificates is called in CAA records; none: we ask for none
}

// Figures that a plan warns of or holds to, in seconds.
const (
	longTTL   = 86400 // a mistake stays in caches as long
	crisisTTL = 60    // of what is published while an incident is open
)

// Problem is why a plan can't be published.
type Problem struct {
	Change int    `json:"change,omitempty" doc:"of the draft, counted from 1; 0: it is about the zone as a whole"`
	Name   string `json:"name,omitempty"`
	Type   string `json:"type,omitempty"`
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty" doc:"the remedy"`
}

// String is the problem as sentences.
func (p Problem) String() string {
	if p.Hint == "" {
		return upper(p.Text) + "."
	}
	return upper(p.Text) + ". " + upper(p.Hint) + "."
}

// fault is the problem as an error.
func (p Problem) fault() error {
	f := fault.New(fault.Refused, "%s", p.Text)
	if p.Hint != "" {
		f = f.WithHint("%s", p.Hint)
	}
	return f
}

// Line is one record set that would differ, in words.
type Line struct {
	zonediff.Change
	Words string `json:"words" example:"www.example.com A: 192.0.2.1 → 192.0.2.7. Resolvers may keep the old answer for 5 min."`
}

// Where is what the line is about.
func (l Line) Where() string { return trimmed(l.Name) + " " + l.Type }

// Says is what becomes of the set.
func (l Line) Says() string { return upper(strings.TrimPrefix(l.Words, l.Where()+": ")) }

// Plan is what publishing would do.
type Plan struct {
	Zone     string     `json:"zone"`
	Kind     Kind       `json:"kind"`
	Of       int        `json:"of,omitempty" doc:"of an undo: the revision whose records come back"`
	On       int        `json:"on" doc:"the revision that it stands on"`
	Hash     string     `json:"hash" doc:"names the plan: what is published is what was read"`
	Summary  string     `json:"summary"`
	Lines    []Line     `json:"lines"`
	Refused  []Problem  `json:"refused" doc:"why it can't be published; none: it can"`
	Asks     []string   `json:"asks" doc:"what has to be accepted to publish it"`
	Warnings []string   `json:"warnings"`
	Since    []Revision `json:"since" doc:"what others have published since the draft was begun"`
	Records  int        `json:"records" doc:"of the zone as it would be"`
	Shrunk   bool       `json:"shrunk,omitempty" doc:"more than half of the records would be gone"`

	After Text       `json:"-"` // what would be published
	Zoned *zone.Zone `json:"-"` // the same, checked; nil where it is refused
}

// Good says whether the plan can be published.
func (p Plan) Good() bool { return len(p.Refused) == 0 && len(p.Lines) > 0 }

// Said are its lines in words, bounded as a revision keeps them.
func (p Plan) Said() []string {
	var out []string
	for i, l := range p.Lines {
		if i == maxSaid {
			return append(out, fmt.Sprintf("and %d more.", len(p.Lines)-maxSaid))
		}
		out = append(out, short(l.Words, 400))
	}
	return out
}

// maxSaid is how many lines a revision keeps.
const maxSaid = 100

// Plan plans a draft's changes against the newest revision.
func (f Facts) Plan(changes []Change) Plan {
	p := Plan{Zone: f.Zone.Apex, Kind: FromDraft, On: f.Number}
	for _, r := range f.Since {
		if r.Number > f.Began {
			p.Since = append(p.Since, r)
		}
	}
	all, err := readSets(f.Zone)
	if err != nil { // it is in force: only another version of ours could have made it
		p.Refused = problems(err)
		return p.filled()
	}
	p.Refused = f.apply(all, changes)
	var capped []string
	if f.Incident {
		capped = all.capTTL()
	}
	p = f.plan(p, Text{Text: all.text()})
	if len(capped) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("An incident is open: answers of %s may be kept for %s at most, so that a mistake does not stay. Raise it again when the incident is over.", listed(capped), zonediff.Lasting(crisisTTL)))
	}
	return p.named(f)
}

// PlanText plans the publishing of a whole text: of an earlier revision, or of what the
// configuration says. It is taken octet by octet.
func (f Facts) PlanText(t Text, kind Kind, of int) Plan {
	p := f.plan(Plan{Zone: f.Zone.Apex, Kind: kind, Of: of, On: f.Number}, t)
	if f.Incident && slices.ContainsFunc(p.Lines, func(l Line) bool { return l.NewTTL > crisisTTL }) {
		p.Warnings = append(p.Warnings, "An incident is open, and some of this may be kept for longer than "+zonediff.Lasting(crisisTTL)+": these are the records as they were, and nothing of them is changed.")
	}
	return p.named(f)
}

// capTTL bounds how long touched sets may be kept.
func (all sets) capTTL() (capped []string) {
	for k, s := range all {
		if s.touched && s.ttl > crisisTTL {
			s.ttl = crisisTTL
			capped = append(capped, trimmed(zone.Unpack(k[0]))+" "+s.typ)
		}
	}
	slices.Sort(capped)
	return capped
}

// plan compares what is in force with what would be, and looks for what is probably not
// meant.
func (f Facts) plan(p Plan, after Text) Plan {
	p.After = after
	if n := after.Size(); n > MaxText {
		p.Refused = append(p.Refused, Problem{Text: fmt.Sprintf("the zone would have %d octets of text, %d can be edited here", n, MaxText), Hint: "write it into a file, and name it in the configuration"})
		return p.filled()
	}
	was, err := zone.Parse(f.Zone)
	if err != nil {
		p.Refused = append(p.Refused, problems(err)...)
		return p.filled()
	}
	src := after.In(f.Zone)
	if src.File == "" {
		src.File = "the zone as it would be"
	}
	is, err := f.parse(src)
	if err != nil {
		p.Refused = append(p.Refused, problems(err)...)
		return p.filled()
	}
	d, err := zonediff.Compare(was, is)
	if err != nil {
		p.Refused = append(p.Refused, problems(err)...)
		return p.filled()
	}
	l := look{f: f, was: index(was), is: index(is), d: d}
	for _, c := range d.Changes {
		if err := l.permitted(c); err != nil && p.Kind == FromDraft && len(p.Refused) == 0 {
			p.Refused = append(p.Refused, problems(err)...)
		}
		p.Lines = append(p.Lines, Line{c, l.words(c)})
	}
	p.Records, p.Zoned = is.Size(), is
	p.Asks, p.Warnings = l.asks(), append(l.warnings(), fresh(was.Warnings(), is.Warnings())...)
	if zone.Shrunk(is, was.Size()) != nil {
		p.Shrunk = true
		p.Asks = append(p.Asks, fmt.Sprintf("The zone would have %d records, and has %d now: more than half of them go away.", is.Size(), was.Size()))
	}
	p.Summary = l.summary()
	return p.filled()
}

// parse reads the zone as it would be, beside its neighbours.
func (f Facts) parse(src zone.Source) (*zone.Zone, error) {
	z, err := zone.Parse(src)
	if err != nil {
		return nil, err
	}
	all := append([]*zone.Zone{z}, f.Others...)
	_, err = zone.Overlap(all)
	return z, errors.Join(err, zone.Aliases(all, f.Sites))
}

// filled has lists where there are none, and a sentence.
func (p Plan) filled() Plan {
	if p.Lines == nil {
		p.Lines = []Line{}
	}
	if p.Refused == nil {
		p.Refused = []Problem{}
	}
	if p.Asks == nil {
		p.Asks = []string{}
	}
	if p.Warnings == nil {
		p.Warnings = []string{}
	}
	if p.Since == nil {
		p.Since = []Revision{}
	}
	if p.Summary == "" {
		p.Summary = "Nothing would change."
	}
	return p
}

// named gives the plan its hash.
func (p Plan) named(f Facts) Plan {
	p.Hash = hashOf(p.Zone, p.On, f.Hash, p.Kind, p.Of, p.After.Text, p.After.Includes, p.Asks)
	return p
}

// editable refuses what is not the records' to say.
func (f Facts) editable(name, typ string) error {
	wire, err := zone.Pack(name)
	if err != nil {
		return err
	}
	where := trimmed(name) + " " + typ
	no := func(why, hint string, args ...any) error {
		return fault.New(fault.Refused, "%s: %s", where, why).WithHint(hint, args...)
	}
	if site, follows := f.follows(wire); follows && slices.Contains([]string{"A", "AAAA", "CNAME", "HTTPS", "SVCB"}, typ) {
		return no("the name follows the site "+site+", and its addresses are those of the place where the site is", "change the place's addresses in the configuration (sites: %s:), or move visitors with a lever", site)
	}
	switch typ {
	case "SOA":
		return no("the SOA record is kept here by itself", "its contact and how long “there is none” is kept are in the configuration, at the zone: contact, minimum")
	case "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "SIG":
		return no("signatures are made here by themselves", "say dnssec: true at the zone in the configuration")
	case "DNSKEY", "CDS", "CDNSKEY":
		if f.Zone.DNSSEC {
			return no("the zone's keys are kept here by themselves", "see them with: lifeboat zone keys %s", trimmed(f.Zone.Apex))
		}
	case "NS":
		if name == f.Zone.Apex && len(f.Zone.NS) > 0 {
			return no("the zone's own name servers are in the configuration", "change ns: at the zone there")
		}
	}
	for _, z := range f.Others {
		if z.ApexWire() != wire && zone.Under(wire, z.ApexWire()) && len(z.ApexWire()) > len(f.Zone.Apex)+1 {
			return no("another zone here, "+trimmed(z.Apex())+", answers for it", "edit that zone")
		}
	}
	for _, apex := range f.Secondary {
		if name != apex && len(apex) > len(f.Zone.Apex) && strings.HasSuffix(name, "."+apex) {
			return no("the zone "+trimmed(apex)+" answers for it, which comes from another server", "change it there")
		}
	}
	return nil
}

func (f Facts) follows(wire string) (site string, follows bool) {
	for name, s := range f.Zone.Follow {
		if w, err := zone.Pack(name); err == nil && w == wire {
			return s, true
		}
	}
	return "", false
}

// problems are an error's parts, each a sentence with its remedy; of places in a text
// that nobody sees, nothing is said.
func problems(err error) (out []Problem) {
	if all, is := err.(interface{ Unwrap() []error }); is {
		for _, e := range all.Unwrap() {
			if e != nil {
				out = append(out, problems(e)...)
			}
		}
		return out
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return []Problem{{Text: err.Error()}}
	}
	text := f.Text
	if f.Cause != nil {
		var parts []string
		for _, p := range problems(f.Cause) {
			parts = append(parts, p.Text)
		}
		text += ": " + strings.Join(parts, "; ")
	}
	if strings.HasPrefix(f.Place, "the text:") {
		text = "line " + strings.TrimPrefix(f.Place, "the text:") + ": " + text
	}
	return []Problem{{Text: text, Hint: f.Hint}}
}

func upper(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' || !strings.Contains(s, " ") || strings.Contains(strings.SplitN(s, " ", 2)[0], ".") {
		return s // a name keeps its letters
	}
	return string(s[0]-'a'+'A') + s[1:]
}

func short(s string, most int) string {
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

func figure(n int) string { return strconv.Itoa(n) }

func listed(names []string) string {
	if len(names) > 4 {
		names = append(slices.Clone(names[:3]), fmt.Sprintf("%d more", len(names)-3))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// fresh are the warnings that were not there before; places do not count, for lines move.
func fresh(before, after []string) (out []string) {
	known := map[string]bool{}
	for _, w := range before {
		known[placeless(w)] = true
	}
	for _, w := range after {
		if p := placeless(w); !known[p] {
			known[p] = true
			out = append(out, upper(p)+".")
		}
		if len(out) == 50 {
			break
		}
	}
	return out
}

// placeless is a warning of package zone without its place.
func placeless(w string) string {
	for i := 0; i+2 < len(w); i++ { // "FILE:12: text"
		if w[i] != ':' || w[i+1] < '0' || w[i+1] > '9' {
			continue
		}
		end := i + 1
		for end < len(w) && w[end] >= '0' && w[end] <= '9' {
			end++
		}
		if strings.HasPrefix(w[end:], ": ") {
			return w[end+2:]
		}
	}
	return w
}

func byName(a, b string) int { return cmp.Or(zonediff.ByTree(a, b), cmp.Compare(a, b)) }
