// Package board is what a status page knows: pages, components, public incidents,
// maintenances, the days gone by, and how old the knowledge is.
//
// It is pure: no clock, no I/O. Make turns what people wrote and decided (Sheet), what
// was measured before (History) and what the checks see now (Seen) into a Board, which
// package statuspage writes as pages and others as feeds. It writes no words of its own;
// it decides which state is shown and why. Any package may import it; it imports only
// pure ones.
//
// Words: a component is a part of the service as visitors know it; an incident here is
// a public one, as the page tells of it, and not the crew's (package incident), though
// one may lead to the other. The states are those of Statuspage's API, version 2, so
// that its readers need no translation; Unknown is ours.
//
// Invariants: what was measured and what a person said are kept apart and both told;
// the worse of the two is shown unless a person overrides it by name; knowledge that is
// too old counts as none; no list of a Board is nil; who did something is never in what
// leaves for the public.
//
// Concurrency: all types are values that nobody changes after they are made.
package board

import (
	"cmp"
	"slices"
	"time"
)

// State is how a component is.
type State string

// The states of a component, from good to bad, and Unknown: nothing fresh is known.
const (
	Operational State = "operational"
	Degraded    State = "degraded_performance"
	Partial     State = "partial_outage"
	Major       State = "major_outage"
	Maintained  State = "under_maintenance"
	Unknown     State = "unknown"
)

// States are all that a person can give a component.
func States() []State { return []State{Operational, Degraded, Partial, Major, Maintained} }

// rank: how bad a state is, when the worst of several is shown.
func (s State) rank() int {
	return slices.Index([]State{"", Operational, Maintained, Unknown, Degraded, Partial, Major}, s)
}

// Worse is the worse of two states; an empty one is none.
func Worse(a, b State) State {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// V2 is the state for readers of Statuspage's API, which has none for Unknown: never a
// green one for want of knowledge.
func (s State) V2() State {
	if s == Unknown || s == "" {
		return Degraded
	}
	return s
}

// Indicator sums a page up.
type Indicator string

// The indicators. Maintenance alone is None: readers refuse any other word.
const (
	None     Indicator = "none"
	Minor    Indicator = "minor"
	Serious  Indicator = "major"
	Critical Indicator = "critical"
)

// Impact is how much an incident hurts; the indicators, and ImpactMaintenance.
type Impact string

// The impacts.
const (
	ImpactNone        Impact = "none"
	ImpactMinor       Impact = "minor"
	ImpactMajor       Impact = "major"
	ImpactCritical    Impact = "critical"
	ImpactMaintenance Impact = "maintenance"
)

// Impacts are all that a person can give an incident.
func Impacts() []Impact { return []Impact{ImpactNone, ImpactMinor, ImpactMajor, ImpactCritical} }

// Text is the same text in one or more languages, by tag (BCP 47: en, de, pt-BR). The
// tag "" is the page's first language.
type Text map[string]string

// In gives the text in the first of the languages that it is in, and which that is; else
// in whatever language it is in, the first by tag; "" when there is none.
func (t Text) In(langs ...string) (text, lang string) {
	for _, l := range langs {
		if t[l] != "" {
			return t[l], l
		}
	}
	tags := make([]string, 0, len(t))
	for l := range t {
		tags = append(tags, l)
	}
	slices.Sort(tags)
	for _, l := range tags {
		if t[l] != "" {
			return t[l], l
		}
	}
	return "", ""
}

// Page is a status page's own: its names, its looks, whom it lets in.
type Page struct {
	ID        string    `json:"id"`             // never a number: some readers take those for dates
	Hosts     []string  `json:"hosts"`          // its own host names, lower case; the first is the one that links use
	URL       string    `json:"url"`            // https://status.example.com, no final slash
	Name      string    `json:"name"`           // the company's or the site's
	Sites     []string  `json:"sites,omitzero"` // whose components it shows; nil: all
	Languages []string  `json:"languages"`      // what it is offered in; the first is for whoever asks for none of them
	Zone      string    `json:"zone"`           // IANA time zone of its days and times: Etc/UTC
	Contact   string    `json:"contact,omitempty"`
	Colour    string    `json:"colour,omitempty"`       // #rrggbb
	Night     string    `json:"colour_night,omitempty"` // the same on a dark page
	Logo      []byte    `json:"logo,omitempty"`         // SVG, checked and cleaned
	LogoType  string    `json:"logo_type,omitempty"`    // image/svg+xml or image/png
	Private   *Private  `json:"private,omitempty"`      // nil: everybody may read
	Subscribe []string  `json:"subscribe,omitzero"`     // how people may be told (package subscribe: mail, webhook, slack); nil: not at all
	CreatedAt time.Time `json:"created_at"`
}

// Private says who may read a page.
type Private struct {
	Hash    string    `json:"hash,omitempty"`    // argon2id, PHC string format: who knows the password
	SignIn  bool      `json:"sign_in,omitempty"` // who has an account
	Console string    `json:"console,omitempty"` // where they sign in: https://lifeboat.example.net
	Passes  []PassKey `json:"passes,omitempty"`  // what checks that they did
	Key     []byte    `json:"key"`               // what cookies of the password are signed with; control makes it anew with each password
}

// Location is the page's time zone, UTC when it can't be had.
func (p Page) Location() *time.Location {
	if l, err := time.LoadLocation(cmp.Or(p.Zone, "Etc/UTC")); err == nil {
		return l
	}
	return time.UTC
}

// Group is a heading over components.
type Group struct {
	ID        string    `json:"id"`
	Name      Text      `json:"name"`
	Says      Text      `json:"says,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Definition is a component as the configuration has it.
type Definition struct {
	ID        string    `json:"id"`
	Group     string    `json:"group,omitempty"` // "": none
	Name      Text      `json:"name"`
	Says      Text      `json:"says,omitempty"`
	Measured  []Measure `json:"measured,omitempty"` // none: its state is only what people say
	OnlyIfBad bool      `json:"only_if_bad,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Measure is a site, or some of its checks, that a component is measured by.
type Measure struct {
	Site   string   `json:"site"`
	Checks []string `json:"checks,omitempty"` // none: all of the site's
}

// Override is a state that a person gave a component.
type Override struct {
	Component string    `json:"component"`
	State     State     `json:"state"`
	Reason    Text      `json:"reason,omitempty"` // for visitors
	By        string    `json:"by,omitempty"`     // for the crew; not in a Sheet that is published
	At        time.Time `json:"at"`
	Until     time.Time `json:"until,omitzero"` // zero: until it is taken back
}

// Holds says whether the override is in force.
func (o Override) Holds(now time.Time) bool { return o.Until.IsZero() || now.Before(o.Until) }

// Sheet is all that people wrote and decided: the configuration's part and the
// record's. It is what control hands to answer.
type Sheet struct {
	Pages        []Page        `json:"pages"`
	Groups       []Group       `json:"groups,omitempty"`
	Components   []Definition  `json:"components,omitempty"` // in order
	Overrides    []Override    `json:"overrides,omitempty"`
	Incidents    []Incident    `json:"incidents,omitempty"`    // newest first
	Maintenances []Maintenance `json:"maintenances,omitempty"` // by start, earliest first
}

// IsZero says whether there is no page.
func (s Sheet) IsZero() bool { return len(s.Pages) == 0 }

// ID makes an id that no reader takes for a number or a date.
func ID(id string) string {
	if id != "" && id[0] >= 'a' && id[0] <= 'z' {
		return id
	}
	return "site-" + id
}

// Site is the component that a site is where nothing else is said.
func Site(id, title string) Definition {
	return Definition{ID: ID(id), Name: Text{"": cmp.Or(title, id)}, Measured: []Measure{{Site: id}}}
}
