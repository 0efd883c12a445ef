// Package zonelever is the lever that moves a site's names to a position in our
// own zones: to the standby or to another origin. All address records of a name
// move together.
//
// It orders through lever.Orders and believes only what the configured name
// servers answer over the network. In a drill it moves the site's shadow and its
// shadow name, which is nobody's.
//
// Concurrency: a Driver is immutable.
package zonelever

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/zone"
)

// Kind is this driver's kind.
const Kind = "zone"

// Section is the driver's configuration.
type Section struct {
	Site string `json:"site"`
	To   string `json:"to"`
}

// Site is what the driver must know of a site or of a shadow.
type Site struct {
	ID        string
	Names     []string // that follow it, absolute
	Fixed     []string // of its names, those in zones that come from a primary: they stay where they are
	Positions zone.Positions
}

// Options of a Driver. All MUST be set.
type Options struct {
	Orders      lever.Orders
	Site        func(id string, drill bool) (Site, bool)
	Nameservers map[string]netip.AddrPort // by name
	Lookup      func(ctx context.Context, server netip.AddrPort, name string, v6 bool) ([]netip.Addr, error)
	Alias       func(ctx context.Context, server netip.AddrPort, name string) (string, error) // asked only where a position is an alias
	Now         func() time.Time
}

// Driver moves names in our own zones.
type Driver struct{ o Options }

// New makes a Driver; a nil Lookup or Alias asks over UDP.
func New(o Options) *Driver {
	if o.Lookup == nil {
		o.Lookup = Lookup
	}
	if o.Alias == nil {
		o.Alias = Alias
	}
	return &Driver{o}
}

// Kind is "zone".
func (d *Driver) Kind() string { return Kind }

// Capabilities says that the move is exact and what remains of it meanwhile.
func (d *Driver) Capabilities() lever.Capabilities {
	return lever.Capabilities{
		Class: lever.R0, Latency: 5 * time.Millisecond,
		SideEffects: []string{"Computers remember the old address for up to the TTL, some longer."},
	}
}

// Preflight checks that the lever leads somewhere and that every name server
// answers for every name.
func (d *Driver) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	sec, site, err := d.read(c.Config, false)
	if err != nil {
		return lever.Readiness{}, err
	}
	var problems []string
	if len(d.o.Nameservers) == 0 {
		problems = append(problems, "No name server is configured to ask, so no effect could be seen: add nameservers to the configuration.")
	}
	if len(site.Names) == 0 {
		problems = append(problems, fmt.Sprintf("No name follows the site %s: add it under follow in a zone.%s", sec.Site, stays(site.Fixed)))
	}
	for _, s := range d.look(ctx, site, sec.To, sec.To) {
		if s.World == lever.Unknown {
			problems = append(problems, fmt.Sprintf("%s does not answer as it should (%s): see that its address is right and that it runs.", s.Witness, s.Value))
		}
	}
	return lever.Readiness{Ready: len(problems) == 0, Problems: problems}, nil
}

// Plan reads where the site is and says where it will be.
func (d *Driver) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	sec, site, err := d.read(r.Card.Config, r.Drill)
	if err != nil {
		return lever.Plan{}, err
	}
	now, err := d.o.Orders.Position(ctx, site.ID)
	if err != nil {
		return lever.Plan{}, err
	}
	says := fmt.Sprintf("point %s at %s", strings.Join(site.Names, ", "), sec.To)
	if len(site.Fixed) > 0 && !r.Drill {
		says += fmt.Sprintf("; %s can't be moved here, for the zone comes from its primary", strings.Join(site.Fixed, ", "))
	}
	return lever.NewPlan(r, site.ID, says, now, sec.To)
}

// stays says which names can't follow.
func stays(fixed []string) string {
	if len(fixed) == 0 {
		return ""
	}
	return fmt.Sprintf(" Not %s: the zone comes from its primary, and what it answers is signed there or nowhere.", strings.Join(fixed, ", "))
}

// Apply orders the position of the step.
func (d *Driver) Apply(ctx context.Context, p lever.Plan, step int, t lever.Token) error {
	_, to, err := ends(p, step)
	if err != nil {
		return err
	}
	return d.o.Orders.Move(ctx, p.Target, to, t)
}

// Observe asks every name server for every name and both address types.
func (d *Driver) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	from, to, err := ends(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	_, site, err := d.read(p.Config, p.Drill)
	if err != nil {
		return lever.Observation{}, err
	}
	seen := d.look(ctx, site, from, to)
	return lever.Observation{World: lever.Weigh(seen), Detail: sentence(seen, from, to), Seen: seen, At: d.o.Now().UTC()}, nil
}

// Verify is Observe: whether visitors are better off is for the checks to say.
func (d *Driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}

// Revert orders the position before, if the world is as the plan left it.
func (d *Driver) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	from, _, err := ends(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	obs, err := d.Observe(ctx, p, step)
	if err != nil || obs.World == lever.Foreign {
		return obs, err
	}
	return obs, d.o.Orders.Move(ctx, p.Target, from, t)
}

// CanShare says that the way back can go by shares of resolvers.
func (d *Driver) CanShare(p lever.Plan) bool {
	from, to, err := ends(p, 0)
	return err == nil && len(p.Steps) == 1 && from != to
}

// Share orders that about percent of the resolvers are sent where the plan found visitors.
func (d *Driver) Share(ctx context.Context, p lever.Plan, step, percent int, t lever.Token) error {
	from, _, err := ends(p, step)
	if err != nil {
		return err
	}
	return d.o.Orders.Share(ctx, p.Target, from, percent, t)
}

// Dispose has nothing to purge.
func (d *Driver) Dispose(context.Context, lever.Plan) error { return nil }

func (d *Driver) read(raw json.RawMessage, drill bool) (Section, Site, error) {
	var sec Section
	if err := json.Unmarshal(raw, &sec); err != nil {
		return sec, Site{}, fault.New(fault.Invalid, "the lever's section can't be read").Because(err)
	}
	site, known := d.o.Site(sec.Site, drill)
	if !known {
		return sec, site, fault.New(fault.NotFound, "there is no site %q", sec.Site).WithHint("name one of the configuration's sites")
	}
	if _, has := site.Positions[sec.To]; !has {
		return sec, site, fault.New(fault.NotFound, "site %s has no position %q", sec.Site, sec.To).WithHint("name standby or one of its origins")
	}
	return sec, site, nil
}

func ends(p lever.Plan, step int) (from, to string, err error) {
	if step < 0 || step >= len(p.Steps) {
		return "", "", fault.New(fault.Invalid, "the plan has no step %d", step)
	}
	if json.Unmarshal(p.Steps[step].Before, &from) != nil || json.Unmarshal(p.Steps[step].After, &to) != nil {
		return "", "", fault.New(fault.Invalid, "the plan's step %d can't be read", step)
	}
	return from, to, nil
}

// look asks all name servers at once.
func (d *Driver) look(ctx context.Context, site Site, from, to string) []lever.Sighted {
	servers := make([]string, 0, len(d.o.Nameservers))
	for name := range d.o.Nameservers {
		servers = append(servers, name)
	}
	slices.Sort(servers)
	seen := make([]lever.Sighted, len(servers)*len(site.Names))
	known := d.expect(ctx, site, from, to)
	var wg sync.WaitGroup
	for i, server := range servers {
		for j, name := range site.Names {
			wg.Go(func() { // ends with the lookup's deadline
				seen[i*len(site.Names)+j] = d.ask(ctx, server, name, known)
			})
		}
	}
	wg.Wait()
	return seen
}

// expected is what a name server may answer, and what that says of the world.
type expected struct {
	at    zone.Addresses
	world lever.World
	note  string
}

// expect lists what may be answered; the first that fits counts. Where a share of those
// who ask is sent elsewhere our network may be among them: then that is what was
// ordered, and nobody has changed anything.
func (d *Driver) expect(ctx context.Context, site Site, from, to string) []expected {
	world := map[string]lever.World{from: lever.Before, to: lever.After}
	var out []expected
	other, percent, err := d.o.Orders.Shared(ctx, site.ID)
	if err == nil && percent > 0 {
		if at, err := d.o.Orders.Position(ctx, site.ID); err == nil && world[at] != "" {
			out = append(out, expected{site.Positions[other], world[at], fmt.Sprintf(" (about %d %% are sent to %s)", percent, other)})
		}
	}
	return append(out, expected{at: site.Positions[to], world: lever.After}, expected{at: site.Positions[from], world: lever.Before})
}

// ask asks one name server for both address types of one name, and for its alias where
// a position has one.
func (d *Driver) ask(ctx context.Context, server, name string, known []expected) lever.Sighted {
	s := lever.Sighted{Witness: server + " for " + name, World: lever.Unknown}
	got, err := d.answer(ctx, d.o.Nameservers[server], name, slices.ContainsFunc(known, func(x expected) bool { return x.at.Alias != "" }))
	if err != nil {
		s.Value = err.Error()
		return s
	}
	s.Value, s.World = text(got), lever.Foreign
	for _, x := range known {
		if strings.EqualFold(got.Alias, x.at.Alias) && (got.Alias != "" || same(got.IPs, x.at.IPs)) {
			s.Value, s.World = s.Value+x.note, x.world
			break
		}
	}
	return s
}

// answer is what a name server says of a name: where its alias leads, or its addresses.
func (d *Driver) answer(ctx context.Context, server netip.AddrPort, name string, aliased bool) (got zone.Addresses, err error) {
	if aliased {
		if got.Alias, err = d.o.Alias(ctx, server, name); err != nil || got.Alias != "" {
			return got, err
		}
	}
	v4, err := d.o.Lookup(ctx, server, name, false)
	if err != nil {
		return got, err
	}
	v6, err := d.o.Lookup(ctx, server, name, true)
	got.IPs = append(v4, v6...)
	return got, err
}

func same(a, b []netip.Addr) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.Addr.Compare)
	slices.SortFunc(b, netip.Addr.Compare)
	return slices.Equal(a, b)
}

func text(a zone.Addresses) string {
	switch {
	case a.Alias != "":
		return "alias of " + a.Alias
	case len(a.IPs) == 0:
		return "no address"
	}
	out := make([]string, len(a.IPs))
	for i, ip := range a.IPs {
		out[i] = ip.String()
	}
	return strings.Join(out, " ")
}

// sentence says in words what was seen.
func sentence(seen []lever.Sighted, from, to string) string {
	n := map[lever.World]int{}
	odd := ""
	for _, s := range seen {
		n[s.World]++
		if odd == "" && (s.World == lever.Foreign || s.World == lever.Unknown) {
			odd = fmt.Sprintf("; %s says %s", s.Witness, s.Value)
		}
	}
	switch len(seen) {
	case 0:
		return "no name server is configured to ask"
	case n[lever.After]:
		return fmt.Sprintf("%d of %d answers point at %s", n[lever.After], len(seen), to)
	case n[lever.Before]:
		return fmt.Sprintf("%d of %d answers point at %s", n[lever.Before], len(seen), from)
	}
	return fmt.Sprintf("%d of %d answers point at %s, %d at %s%s", n[lever.After], len(seen), to, n[lever.Before], from, odd)
}
