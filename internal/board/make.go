package board

import (
	"cmp"
	"slices"
	"time"

	"lifeboat/internal/probe"
)

// StaleAfter is how old a result may be before it counts as "we do not know". A check
// that is asked seldom gets three of its own periods.
const StaleAfter = 60 * time.Second

// skew is how far in the future a result may lie before its age can't be told.
const skew = 5 * time.Second

// Ordered is where a site's visitors are sent.
type Ordered struct {
	Position string // an origin's name, or Standby
	Home     string // the origin that is home
	Since    time.Time
	Share    string // where some are sent besides; "": nobody
}

// Standby is the position at which visitors are given the standby page.
const Standby = "standby"

// Seen is what one check came to at one place of a site, as seen from somewhere.
type Seen struct {
	Site  string
	Place string // the origin's name
	Check string
	From  string // where it was asked from; "" is one place without a name
	Seen  probe.Seen
	At    time.Time // the newest result's; zero: none yet
	Every time.Duration
	Took  time.Duration // of the newest result, when it passed
}

// Facts is all that a Board is made of.
type Facts struct {
	Sheet   Sheet
	History History
	Ordered map[string]Ordered // by site
	Seen    []Seen
	Now     time.Time
}

// Why says what decides the state that a component is shown with.
type Why string

// What can decide.
const (
	ByChecks      Why = "checks"
	ByOverride    Why = "override"
	ByIncident    Why = "incident"
	ByMaintenance Why = "maintenance"
	ByOrder       Why = "order"  // its visitors are sent to the standby page
	ByNobody      Why = "nobody" // it is not measured, and nobody said otherwise
)

// Component is one as a Board shows it.
type Component struct {
	ID         string
	Group      string
	Name       Text
	Says       Text
	Position   int       // from 1, within its group or, without one, among those on the page
	State      State     // what is shown
	Why        Why       // what decides it
	Measured   State     // what the checks come to alone; "" when it is not measured
	Override   *Override // in force, or nil
	CheckedAt  time.Time // zero: never
	Checks     int       // how many there are
	Places     []string  // where they were asked from, sorted; "" is one without a name
	Days       []Day     // DaysShown of them, oldest first, the last is today
	Times      []Point   // of the last day, oldest first
	Uptime     int       // see Uptime, over Days
	OnlyIfBad  bool      // to be left out while operational
	CreatedAt  time.Time
	UpdatedAt  time.Time // when its state changed last, as far as is known
	Incidents  []string  // open ones that touch it
	Maintained []string  // maintenances under way that touch it

	fresh bool // CheckedAt is of a fresh result
}

// Section is a group with what is in it.
type Section struct {
	Group
	State      State // the worst
	Position   int   // from 1, among the groups and components on the page
	Components []Component
}

// Knowledge says how much is known, and since when.
type Knowledge struct {
	At     time.Time // the oldest of the fresh results, or the newest when none is fresh; zero: there is none
	Places []string  // where checks were asked from
	Stale  int       // components that are measured, and of which nothing fresh is known
	Fresh  int       // components of which something is
}

// Board is all that a page says at one moment. No list in it is nil.
type Board struct {
	Page         Page
	Now          time.Time
	UpdatedAt    time.Time
	Indicator    Indicator
	State        State // the worst of all components
	Knowledge    Knowledge
	Sections     []Section     // groups that have components, in order; one without ID holds those of no group
	Components   []Component   // all of them, in the order of Sections
	Incidents    []Incident    // open ones first, then the newest
	Maintenances []Maintenance // under way, then to come by start, then past ones, newest first; At was applied

	fresh bool // Knowledge.At is of a fresh result
}

// Make says what a page shows. Components of other sites than the page's, and what
// touches only such, are left out; what names no component and no site is on every page.
func Make(page Page, f Facts) Board {
	b := Board{
		Page: page, Now: f.Now, Indicator: None, State: Operational, Knowledge: Knowledge{Places: []string{}},
		Sections: []Section{}, Components: []Component{}, Incidents: []Incident{}, Maintenances: []Maintenance{},
		UpdatedAt: page.CreatedAt,
	}
	mine := map[string]bool{}
	ids := page.IDs(f.Sheet.Components)
	for _, id := range ids {
		mine[id] = true
	}
	b.tell(f, ids)
	for _, g := range append([]Group{{}}, f.Sheet.Groups...) {
		b.section(f, g, mine)
	}
	number(b.Sections)
	for _, s := range b.Sections {
		b.Components = append(b.Components, s.Components...)
	}
	b.sum()
	return b
}

// shows says whether a component is on the page: one that is measured by none of its
// sites is only on a page of all sites.
func (p Page) shows(d Definition) bool {
	return p.Sites == nil || slices.ContainsFunc(d.Measured, func(m Measure) bool { return slices.Contains(p.Sites, m.Site) })
}

// Tells says whether the page, which has the components ids, tells of what touches some
// components and came of a crew's incident at a site ("": of none).
func (p Page) Tells(ids, touched []string, site string) bool {
	return p.Sites == nil || len(touched) == 0 && site == "" || touches(touched, ids) || slices.Contains(p.Sites, site)
}

// IDs are the ids of those of some components that are on the page, in their order.
func (p Page) IDs(all []Definition) (ids []string) {
	for _, d := range all {
		if p.shows(d) {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// tell gathers the incidents and maintenances.
func (b *Board) tell(f Facts, ids []string) {
	for _, in := range f.Sheet.Incidents {
		if b.Page.Tells(ids, in.Components, in.Site) {
			b.Incidents = append(b.Incidents, in)
			b.UpdatedAt = latest(b.UpdatedAt, in.UpdatedAt)
		}
	}
	slices.SortStableFunc(b.Incidents, byNewest)
	for _, m := range f.Sheet.Maintenances {
		if m = m.At(f.Now); b.Page.Tells(ids, m.Components, "") {
			b.Maintenances = append(b.Maintenances, m)
			b.UpdatedAt = latest(b.UpdatedAt, m.UpdatedAt)
		}
	}
	slices.SortStableFunc(b.Maintenances, byUse)
}

// byUse orders maintenances: under way, to come by start, past ones newest first.
func byUse(a, c Maintenance) int {
	class := func(m Maintenance) int {
		switch {
		case m.Active():
			return 0
		case m.Step == Scheduled:
			return 1
		}
		return 2
	}
	if by := cmp.Compare(class(a), class(c)); by != 0 {
		return by
	}
	if class(a) == 2 {
		return cmp.Or(c.From.Compare(a.From), cmp.Compare(a.ID, c.ID))
	}
	return cmp.Or(a.From.Compare(c.From), cmp.Compare(a.ID, c.ID))
}

// section adds a group's components, those of no group under the Group without ID.
func (b *Board) section(f Facts, g Group, mine map[string]bool) {
	s := Section{Group: g, Components: []Component{}}
	for _, d := range f.Sheet.Components {
		if mine[d.ID] && d.Group == g.ID {
			c := b.component(f, d)
			s.State = Worse(s.State, c.State)
			s.Components = append(s.Components, c)
		}
	}
	if len(s.Components) > 0 {
		b.Sections = append(b.Sections, s)
	}
}

func number(sections []Section) {
	next := 1
	for i := range sections {
		s := &sections[i]
		s.Position = next
		for j := range s.Components {
			s.Components[j].Position = j + 1
		}
		if s.ID == "" {
			next += len(s.Components)
		} else {
			next++
		}
	}
}

// component decides one component's state.
func (b *Board) component(f Facts, d Definition) Component {
	past := f.History[d.ID]
	c := Component{
		ID: d.ID, Group: d.Group, Name: d.Name, Says: d.Says, OnlyIfBad: d.OnlyIfBad, CreatedAt: d.CreatedAt, UpdatedAt: d.CreatedAt,
		State: Operational, Why: ByNobody, Places: []string{}, Incidents: []string{}, Maintained: []string{},
		Times: append([]Point{}, past.Times...),
	}
	c.Days = filled(past.Days, f.Now.In(b.Page.Location()))
	c.Uptime = Uptime(c.Days)
	if len(d.Measured) > 0 {
		c.Why = ByChecks
		c.measure(f, d)
	}
	c.said(b, f.Now)
	for _, o := range f.Sheet.Overrides {
		if o.Component == d.ID && o.Holds(f.Now) {
			c.Override, c.State, c.Why = &o, o.State, ByOverride
			c.UpdatedAt = latest(c.UpdatedAt, o.At)
		}
	}
	return c
}

// measure sums up what the checks see.
func (c *Component) measure(f Facts, d Definition) {
	c.Measured = ""
	for _, m := range d.Measured {
		o := f.Ordered[m.Site]
		place := o.Position
		if place == "" || place == Standby {
			place = o.Home
		}
		state := c.ask(f, m, place)
		switch {
		case o.Position == Standby && o.Share == "":
			state, c.Why = Major, ByOrder
		case o.Position == Standby || o.Share == Standby:
			state, c.Why = Worse(state, Partial), ByOrder
		}
		if o.Since.After(c.UpdatedAt) && !o.Since.After(f.Now) {
			c.UpdatedAt = o.Since
		}
		c.Measured = Worse(c.Measured, state)
	}
	c.State = c.Measured
}

// ask judges the checks of a site at one place: all pass, some fail, all fail, or
// nothing fresh is known of one.
func (c *Component) ask(f Facts, m Measure, place string) State {
	up, down, unknown := 0, 0, 0
	for _, s := range f.Seen {
		if s.Site != m.Site || s.Place != place || len(m.Checks) > 0 && !slices.Contains(m.Checks, s.Check) {
			continue
		}
		c.Checks++
		now := s.fresh(f.Now)
		switch now {
		case probe.Up:
			up++
		case probe.Down:
			down++
		default:
			unknown++
		}
		c.rest(s, now == probe.Up || now == probe.Down)
	}
	switch {
	case down > 0 && up == 0 && unknown == 0:
		return Major
	case down > 0:
		return Partial
	case unknown > 0 || up == 0:
		return Unknown
	}
	return Operational
}

// rest notes what the knowledge rests on, and where it was got: the oldest of the fresh
// results, or the newest of all when none is fresh.
func (c *Component) rest(s Seen, fresh bool) {
	if s.At.IsZero() {
		return
	}
	c.CheckedAt, c.fresh = restOn(c.CheckedAt, c.fresh, s.At.UTC(), fresh)
	if i, found := slices.BinarySearch(c.Places, s.From); !found {
		c.Places = slices.Insert(c.Places, i, s.From)
	}
}

// restOn is the time that two pieces of knowledge rest on together.
func restOn(a time.Time, aFresh bool, b time.Time, bFresh bool) (at time.Time, fresh bool) {
	switch {
	case b.IsZero():
		return a, aFresh
	case a.IsZero(), bFresh && !aFresh:
		return b, bFresh
	case aFresh && !bFresh:
		return a, aFresh
	case aFresh == b.Before(a):
		return b, bFresh
	}
	return a, aFresh
}

// fresh is what is seen, Unknown when the result is too old or from the future.
func (s Seen) fresh(now time.Time) probe.Seen {
	age := now.Sub(s.At)
	if s.At.IsZero() || age > max(StaleAfter, 3*s.Every) || age < -skew {
		return probe.Unknown
	}
	return s.Seen
}

// said counts in what people told: work under way, and incidents.
func (c *Component) said(b *Board, now time.Time) {
	for _, m := range b.Maintenances {
		if m.Active() && slices.Contains(m.Components, c.ID) {
			c.Maintained = append(c.Maintained, m.ID)
			c.State, c.Why, c.UpdatedAt = Maintained, ByMaintenance, latest(c.UpdatedAt, m.StartedAt)
		}
	}
	for _, in := range b.Incidents {
		if !in.Open() || !slices.Contains(in.Components, c.ID) {
			continue
		}
		c.Incidents = append(c.Incidents, in.ID)
		if s := in.Says(c.ID); Worse(c.State, s) != c.State {
			c.State, c.Why = s, ByIncident
		}
		c.UpdatedAt = latest(c.UpdatedAt, in.UpdatedAt)
	}
}

// filled gives the last DaysShown days, with empty ones where nothing is known.
func filled(days []Day, now time.Time) []Day {
	known := make(map[string]Tally, len(days))
	for _, d := range days {
		known[d.Date] = d.Tally
	}
	out := make([]Day, DaysShown)
	for i := range out {
		// Noon, so that no change of the clock makes a day be left out.
		date := time.Date(now.Year(), now.Month(), now.Day()-(DaysShown-1-i), 12, 0, 0, 0, now.Location()).Format(time.DateOnly)
		out[i] = Day{date, known[date]}
	}
	return out
}

// sum adds up what the components come to.
func (b *Board) sum() {
	for _, c := range b.Components {
		b.State = Worse(b.State, c.State)
		b.UpdatedAt = latest(b.UpdatedAt, c.UpdatedAt)
		if c.Measured != "" {
			b.know(c)
		}
	}
	impact := Impact(None)
	for _, c := range b.Components {
		impact = worseImpact(impact, ImpactOf(c.State.V2()))
	}
	for _, in := range b.Incidents {
		if in.Open() {
			impact = worseImpact(impact, in.Impact)
		}
	}
	b.Indicator = Indicator(impact)
}

func (b *Board) know(c Component) {
	if c.Measured == Unknown {
		b.Knowledge.Stale++
	} else {
		b.Knowledge.Fresh++
	}
	b.Knowledge.At, b.fresh = restOn(b.Knowledge.At, b.fresh, c.CheckedAt, c.fresh)
	for _, p := range c.Places {
		if i, found := slices.BinarySearch(b.Knowledge.Places, p); !found {
			b.Knowledge.Places = slices.Insert(b.Knowledge.Places, i, p)
		}
	}
}

func worseImpact(a, b Impact) Impact {
	if slices.Index(Impacts(), b) > slices.Index(Impacts(), a) {
		return b
	}
	return a
}

// Component gives a component by id.
func (b Board) Component(id string) (Component, bool) {
	return find(b.Components, func(c Component) bool { return c.ID == id })
}

// Incident gives an incident by id.
func (b Board) Incident(id string) (Incident, bool) {
	return find(b.Incidents, func(in Incident) bool { return in.ID == id })
}

// Maintenance gives a maintenance by id.
func (b Board) Maintenance(id string) (Maintenance, bool) {
	return find(b.Maintenances, func(m Maintenance) bool { return m.ID == id })
}

// Open are the incidents that go on; never nil.
func (b Board) Open() []Incident {
	return keep(b.Incidents, Incident.Open)
}

// Active are the maintenances under way; never nil.
func (b Board) Active() []Maintenance { return keep(b.Maintenances, Maintenance.Active) }

// Upcoming are the maintenances to come, the next first; never nil.
func (b Board) Upcoming() []Maintenance {
	return keep(b.Maintenances, func(m Maintenance) bool { return m.Step == Scheduled })
}

// The addresses on a page, below Page.URL; pages in another language than the first have
// "/TAG" before them.
const (
	PathIncident    = "/incidents/"   // ID
	PathMaintenance = "/maintenance/" // ID
	PathHistory     = "/history/"     // 2026-11
)

// Link is where the page tells of an incident.
func (in Incident) Link(p Page) string { return p.URL + PathIncident + in.ID }

// Link is where the page tells of a maintenance.
func (m Maintenance) Link(p Page) string { return p.URL + PathMaintenance + m.ID }

func find[T any](list []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	var none T
	return none, false
}

func keep[T any](list []T, is func(T) bool) []T {
	out := []T{}
	for _, v := range list {
		if is(v) {
			out = append(out, v)
		}
	}
	return out
}

// Listed are the incidents and maintenances of the record, in the order of a Board.
func Listed(r Records, now time.Time) ([]Incident, []Maintenance) {
	incidents, work := []Incident{}, []Maintenance{}
	for _, in := range r.Incidents {
		incidents = append(incidents, in)
	}
	for _, m := range r.Maintenances {
		if !m.Cancelled {
			work = append(work, m.At(now))
		}
	}
	slices.SortFunc(incidents, byNewest)
	slices.SortFunc(work, byUse)
	return incidents, work
}

// Heard gives the facts with a message of a site's crew that no incident of the sheet
// holds yet: it comes by a shorter way, and is never left out for want of the longer one.
func (f Facts) Heard(site string, title Text, message string, since time.Time) Facts {
	if message == "" {
		return f
	}
	for _, in := range f.Sheet.Incidents {
		if in.Site == site && slices.ContainsFunc(in.Updates, func(u Update) bool { return u.Text[""] == message }) {
			return f
		}
	}
	if since.IsZero() || since.After(f.Now) {
		since = f.Now
	}
	in := Incident{
		ID: "now-" + site, Title: title, Step: Investigating, Impact: ImpactNone, StartedAt: since, CreatedAt: since, UpdatedAt: since, Site: site, Components: []string{},
		Updates: []Update{{ID: "newest", Step: Investigating, Text: Text{"": message}, At: since}},
	}
	for _, d := range f.Sheet.Components {
		if slices.ContainsFunc(d.Measured, func(m Measure) bool { return m.Site == site }) {
			in.Components = append(in.Components, d.ID)
		}
	}
	f.Sheet.Incidents = append([]Incident{in}, f.Sheet.Incidents...)
	return f
}
