package board

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// Limits on what people write, so that all of it fits into one part of a snapshot.
const (
	MaxTitle        = 160    // characters
	MaxMessage      = 2000   // characters, in each language
	MaxStory        = 30_000 // characters of a post-mortem, in each language
	MaxLanguages    = 12     // of one text
	MaxUpdates      = 100    // of one incident or maintenance
	MaxOpen         = 50     // incidents that go on, and maintenances to come
	MaxPromise      = 7 * 24 * time.Hour
	MaxAhead        = 400 * 24 * time.Hour // how far ahead work is announced
	MaxWork         = 14 * 24 * time.Hour  // how long it takes
	MaxBackdated    = 30 * 24 * time.Hour
	maxComponentsOf = 200
)

// Records are what people decided and wrote, as the record holds it.
type Records struct {
	Overrides    map[string]Override // by component
	Incidents    map[string]Incident
	Maintenances map[string]Maintenance
}

// Who is a person or a program that does something.
type Who struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	Via  string `json:"via,omitempty"` // web, cli, api, rule
}

// Given is what a command is decided with.
type Given struct {
	Records    Records
	Components []Definition
	Shown      map[string]State // as the page shows them now; missing: operational
	Who        Who
	Now        time.Time
	NewID      func() string // text that was never used
}

// Event is one thing that somebody did, for the record: events are only ever added.
type Event struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Who     Who       `json:"who"`
	Type    string    `json:"type"`    // override.set, incident.opened ...
	Subject string    `json:"subject"` // the component's, incident's or maintenance's id
	Text    string    `json:"text"`    // one sentence
}

// Change is what comes of a command: at most one record of each kind, and the event.
type Change struct {
	Override        *Override
	DropOverride    string
	Incident        *Incident
	Maintenance     *Maintenance
	DropMaintenance string
	Silent          bool // subscribers are not told
	Event           Event
}

// Command is something that a person asks for.
type Command interface {
	decide(g Given) (Change, error)
}

// Decide says what comes of a command, or why nothing does: a fault whose Place is the
// name of the field at fault. It changes nothing of what it is given.
func Decide(c Command, g Given) (Change, error) {
	change, err := c.decide(g)
	if err != nil {
		return Change{}, err
	}
	change.Event.ID, change.Event.At, change.Event.Who = g.NewID(), g.Now.UTC(), g.Who
	return change, nil
}

// SetOverride shows a component with a state that the checks do not say.
type SetOverride struct {
	Component string
	State     State
	Reason    Text
	For       time.Duration // 0: until it is taken back
}

// DropOverride lets the checks decide again.
type DropOverride struct{ Component string }

// OpenIncident tells visitors of something new.
type OpenIncident struct {
	Title     Text
	Text      Text
	Step      Step             // Investigating when ""
	Impact    Impact           // "": it follows from the components
	States    map[string]State // of components
	StartedAt time.Time        // zero: now
	NextIn    time.Duration    // 0: no news is promised
	Silent    bool
	Crew      string // the crew's incident, its site, and its first update
	Site      string
	First     string
}

// UpdateIncident tells visitors more. Resolved sets all components that it touched to
// operational unless States says otherwise.
type UpdateIncident struct {
	ID     string
	Text   Text
	Step   Step // "": as before
	States map[string]State
	NextIn time.Duration
	Silent bool
	Crew   string // the crew's update that this one comes from: it is told once
}

// EditIncident corrects what is told. Empty fields stay.
type EditIncident struct {
	ID     string
	Title  Text
	Impact Impact
	Update string // of which Text becomes the text
	Text   Text
}

// PublishStory puts the post-mortem on the page of an incident that is over; an empty
// one takes it back.
type PublishStory struct {
	ID   string
	Text Text
}

// PlanMaintenance announces work.
type PlanMaintenance struct {
	ID         string // "": a new one; what a recurring rule gives
	Rule       string
	Title      Text
	Text       Text
	From       time.Time
	Until      time.Time
	Components []string
	ByHand     bool
	Silent     bool
}

// UpdateMaintenance tells how the work goes. Step InProgress begins it and Completed
// ends it, whatever was announced.
type UpdateMaintenance struct {
	ID     string
	Text   Text
	Step   Step // "": as before
	Silent bool
}

// EditMaintenance corrects what is announced. Empty fields stay.
type EditMaintenance struct {
	ID          string
	Title       Text
	From, Until time.Time
	Components  []string
}

// CancelMaintenance takes an announcement back before the work has begun.
type CancelMaintenance struct{ ID string }

func (c SetOverride) decide(g Given) (Change, error) {
	d, err := g.component("component", c.Component)
	switch {
	case err != nil:
		return Change{}, err
	case !slices.Contains(States(), c.State):
		return Change{}, badState("state", c.State)
	case c.For < 0 || c.For > MaxAhead:
		return Change{}, fault.New(fault.Invalid, "an override can't hold for %s", c.For).At("for").WithHint("for example 2h; leave it out where you will take it back by hand")
	}
	if err := check(c.Reason, "reason", MaxMessage, false); err != nil {
		return Change{}, err
	}
	o := Override{Component: d.ID, State: c.State, Reason: tidy(c.Reason), By: g.name(), At: g.Now.UTC()}
	until := "until it is taken back"
	if c.For > 0 {
		o.Until = g.Now.Add(c.For).UTC()
		until = "until " + o.Until.Format(clockLayout)
	}
	return Change{Override: &o, Event: Event{Type: "override.set", Subject: d.ID, Text: g.name() + " had " + d.ID + " shown as " + string(c.State) + " " + until + "."}}, nil
}

const clockLayout = "2 January 2006 15:04 UTC"

func (c DropOverride) decide(g Given) (Change, error) {
	if _, set := g.Records.Overrides[c.Component]; !set {
		return Change{}, fault.New(fault.NotFound, "nobody has overridden %q", short(c.Component)).At("component").WithHint("see: lifeboat status page")
	}
	return Change{DropOverride: c.Component, Event: Event{Type: "override.taken_back", Subject: c.Component, Text: g.name() + " lets the checks decide how " + c.Component + " is shown."}}, nil
}

func (c OpenIncident) decide(g Given) (Change, error) {
	if err := check(c.Title, "title", MaxTitle, true); err != nil {
		return Change{}, err
	}
	if c.Step == "" {
		c.Step = Investigating
	}
	switch {
	case c.Impact != "" && !slices.Contains(Impacts(), c.Impact):
		return Change{}, badImpact(c.Impact)
	case c.StartedAt.After(g.Now.Add(time.Minute)):
		return Change{}, fault.New(fault.Invalid, "it can't have begun in the future").At("started_at").WithHint("announce work as maintenance")
	case !c.StartedAt.IsZero() && c.StartedAt.Before(g.Now.Add(-MaxBackdated)):
		return Change{}, fault.New(fault.Invalid, "it began more than %d days ago", MaxBackdated/(24*time.Hour)).At("started_at").WithHint("tell of what is not long past")
	case open(g.Records) >= MaxOpen:
		return Change{}, fault.New(fault.Conflict, "%d incidents are open already", MaxOpen).WithHint("resolve those that are over")
	}
	if c.StartedAt.IsZero() {
		c.StartedAt = g.Now
	}
	in := Incident{
		ID: publicID(g.NewID()), Title: tidy(c.Title), Step: Investigating, Given: c.Impact, StartedAt: c.StartedAt.UTC(), CreatedAt: g.Now.UTC(),
		Crew: c.Crew, Site: c.Site, By: g.name(), Components: []string{}, Updates: []Update{},
	}
	in, err := in.add(g, Update{ID: c.First, Text: c.Text, Step: c.Step, Silent: c.Silent}, c.States, c.NextIn)
	if err != nil {
		return Change{}, err
	}
	title, _ := in.Title.In("", "en")
	return Change{Incident: &in, Silent: c.Silent, Event: Event{Type: "incident.opened", Subject: in.ID, Text: g.name() + " told visitors: " + title}}, nil
}

func (c UpdateIncident) decide(g Given) (Change, error) {
	in, err := g.incident(c.ID)
	if err != nil {
		return Change{}, err
	}
	if c.Step == "" {
		c.Step = in.Step
	}
	if c.Crew != "" && slices.ContainsFunc(in.Updates, func(u Update) bool { return u.ID == c.Crew }) {
		return Change{}, fault.New(fault.Conflict, "this update was told already").At("crew")
	}
	if c.Step == Resolved {
		c.States = in.ended(c.States)
	}
	if in, err = in.add(g, Update{ID: c.Crew, Text: c.Text, Step: c.Step, Silent: c.Silent}, c.States, c.NextIn); err != nil {
		return Change{}, err
	}
	text, _ := c.Text.In("", "en")
	return Change{Incident: &in, Silent: c.Silent, Event: Event{Type: "incident.updated", Subject: in.ID, Text: g.name() + " told visitors (" + string(c.Step) + "): " + text}}, nil
}

// ended gives each component that the incident touched back to operational.
func (in Incident) ended(states map[string]State) map[string]State {
	out := map[string]State{}
	for _, c := range in.Components {
		if now := said(in.Updates, c); now != "" && now != Operational {
			out[c] = Operational
		}
	}
	maps.Copy(out, states)
	return out
}

// add puts one more message on an incident; the lists are new ones.
func (in Incident) add(g Given, u Update, states map[string]State, next time.Duration) (Incident, error) {
	switch {
	case !slices.Contains(IncidentSteps(), u.Step):
		return in, fault.New(fault.Invalid, "an incident has no step %q", short(string(u.Step))).At("step").WithHint("write %s", words(IncidentSteps()))
	case len(in.Updates) >= MaxUpdates:
		return in, fault.New(fault.Conflict, "%d updates were told already", MaxUpdates).WithHint("resolve it and open another")
	case next < 0 || next > MaxPromise:
		return in, fault.New(fault.Invalid, "%s is no time to promise the next news in", next).At("next_in").WithHint("for example 20m, at most 168h")
	}
	if err := check(u.Text, "text", MaxMessage, true); err != nil {
		return in, err
	}
	in.Updates, in.Components = slices.Clone(in.Updates), slices.Clone(in.Components)
	for _, id := range slices.Sorted(maps.Keys(states)) {
		if _, err := g.component("components", id); err != nil {
			return in, err
		}
		if !slices.Contains(States(), states[id]) {
			return in, badState("components", states[id])
		}
		old := said(in.Updates, id)
		if old == "" {
			old = Operational
		}
		u.Affected = append(u.Affected, Affected{id, old, states[id]})
		if !slices.Contains(in.Components, id) {
			in.Components = append(in.Components, id)
		}
	}
	if u.ID == "" {
		u.ID = publicID(g.NewID())
	}
	u.Text, u.At, u.By = tidy(u.Text), g.Now.UTC(), g.name()
	in.NextDue = time.Time{}
	if next > 0 && u.Step != Resolved {
		in.NextDue = g.Now.Add(next).UTC()
	}
	u.NextDue, in.UpdatedAt = in.NextDue, g.Now.UTC()
	in.Updates = append(in.Updates, u)
	in.turn(u.Step, g.Now.UTC())
	in.Impact = in.impact()
	return in, nil
}

// turn notes when a step was reached; going back opens it again.
func (in *Incident) turn(to Step, at time.Time) {
	switch {
	case to == Monitoring && in.Step != Monitoring:
		in.Monitoring = at
	case to == Resolved && !in.Step.Over():
		in.ResolvedAt = at
	}
	if to != Resolved {
		in.ResolvedAt, in.Story = time.Time{}, nil
	}
	if to != Resolved && to != Monitoring {
		in.Monitoring = time.Time{}
	}
	in.Step = to
	if in.Story != nil {
		in.Step = Postmortem
	}
}

// impact is what a person gave, or the worst that its components were in.
func (in Incident) impact() Impact {
	if in.Given != "" {
		return in.Given
	}
	var states []State
	for _, u := range in.Updates {
		for _, a := range u.Affected {
			states = append(states, a.New)
		}
	}
	return ImpactOf(states...)
}

func (c EditIncident) decide(g Given) (Change, error) {
	in, err := g.incident(c.ID)
	if err != nil {
		return Change{}, err
	}
	if len(c.Title) > 0 {
		if err := check(c.Title, "title", MaxTitle, true); err != nil {
			return Change{}, err
		}
		in.Title = tidy(c.Title)
	}
	if c.Impact != "" {
		if !slices.Contains(Impacts(), c.Impact) {
			return Change{}, badImpact(c.Impact)
		}
		in.Given, in.Impact = c.Impact, c.Impact
	}
	if c.Update != "" {
		i := slices.IndexFunc(in.Updates, func(u Update) bool { return u.ID == c.Update })
		if i < 0 {
			return Change{}, fault.New(fault.NotFound, "the incident has no update %q", short(c.Update)).At("update")
		}
		if err := check(c.Text, "text", MaxMessage, true); err != nil {
			return Change{}, err
		}
		in.Updates = slices.Clone(in.Updates)
		in.Updates[i].Text = tidy(c.Text)
	}
	in.UpdatedAt = g.Now.UTC()
	return Change{Incident: &in, Event: Event{Type: "incident.edited", Subject: in.ID, Text: g.name() + " corrected what visitors are told of " + in.ID + "."}}, nil
}

func (c PublishStory) decide(g Given) (Change, error) {
	in, err := g.incident(c.ID)
	switch {
	case err != nil:
		return Change{}, err
	case in.Open():
		return Change{}, fault.New(fault.Conflict, "it is not over yet").At("id").WithHint("tell visitors first that it is resolved")
	}
	in.UpdatedAt = g.Now.UTC()
	if len(tidy(c.Text)) == 0 {
		in.Story, in.Step = nil, Resolved
		return Change{Incident: &in, Event: Event{Type: "incident.story_withdrawn", Subject: in.ID, Text: g.name() + " took the write-up of " + in.ID + " off the page."}}, nil
	}
	if err := check(c.Text, "text", MaxStory, true); err != nil {
		return Change{}, err
	}
	in.Story, in.Step = &Story{Text: tidy(c.Text), At: g.Now.UTC()}, Postmortem
	return Change{Incident: &in, Event: Event{Type: "incident.story_published", Subject: in.ID, Text: g.name() + " published the write-up of " + in.ID + "."}}, nil
}

func (c PlanMaintenance) decide(g Given) (Change, error) {
	if err := check(c.Title, "title", MaxTitle, true); err != nil {
		return Change{}, err
	}
	if err := check(c.Text, "text", MaxMessage, false); err != nil {
		return Change{}, err
	}
	if err := when(c.From, c.Until, g.Now); err != nil {
		return Change{}, err
	}
	planned := 0
	for _, m := range g.Records.Maintenances {
		if !m.Cancelled && !m.At(g.Now).Step.Over() {
			planned++
		}
	}
	if planned >= MaxOpen {
		return Change{}, fault.New(fault.Conflict, "%d maintenances are planned already", MaxOpen).WithHint("cancel those that will not be")
	}
	m := Maintenance{
		ID: c.ID, Rule: c.Rule, Title: tidy(c.Title), From: c.From.UTC(), Until: c.Until.UTC(), Step: Scheduled, ByHand: c.ByHand, Silent: c.Silent,
		CreatedAt: g.Now.UTC(), UpdatedAt: g.Now.UTC(), By: g.name(), Updates: []Update{},
	}
	if m.ID == "" {
		m.ID = publicID(g.NewID())
	}
	if _, known := g.Records.Maintenances[m.ID]; known {
		return Change{}, fault.New(fault.Conflict, "the maintenance %s is announced already", m.ID)
	}
	var err error
	if m.Components, err = g.known(c.Components); err != nil {
		return Change{}, err
	}
	if len(tidy(c.Text)) > 0 {
		m.Updates = append(m.Updates, Update{ID: publicID(g.NewID()), Step: Scheduled, Text: tidy(c.Text), At: g.Now.UTC(), Silent: c.Silent, By: g.name()})
	}
	title, _ := m.Title.In("", "en")
	return Change{Maintenance: &m, Silent: c.Silent, Event: Event{Type: "maintenance.planned", Subject: m.ID, Text: g.name() + " announced work from " + m.From.Format(clockLayout) + ": " + title}}, nil
}

// when checks the time of work.
func when(from, until, now time.Time) error {
	switch {
	case from.IsZero():
		return fault.New(fault.Invalid, "it is not said when the work begins").At("from").WithHint("for example 2026-11-28T02:00:00Z")
	case !until.After(from):
		return fault.New(fault.Invalid, "the work ends before it begins").At("until").WithHint("say a time after its beginning")
	case until.Sub(from) > MaxWork:
		return fault.New(fault.Invalid, "the work takes more than %d days", MaxWork/(24*time.Hour)).At("until").WithHint("announce its parts one by one")
	case !until.After(now):
		return fault.New(fault.Invalid, "the work is over already").At("until").WithHint("tell of it as an incident, if visitors noticed")
	case from.After(now.Add(MaxAhead)):
		return fault.New(fault.Invalid, "the work is more than %d days ahead", MaxAhead/(24*time.Hour)).At("from").WithHint("announce it nearer to the day")
	}
	return nil
}

func (c UpdateMaintenance) decide(g Given) (Change, error) {
	m, err := g.maintenance(c.ID)
	if err != nil {
		return Change{}, err
	}
	now := m.At(g.Now)
	if c.Step == "" {
		c.Step = now.Step
	}
	switch {
	case !slices.Contains(MaintenanceSteps(), c.Step):
		return Change{}, fault.New(fault.Invalid, "a maintenance has no step %q", short(string(c.Step))).At("step").WithHint("write %s", words(MaintenanceSteps()))
	case now.Step == Completed && c.Step != Completed:
		return Change{}, fault.New(fault.Conflict, "the maintenance is over").At("step").WithHint("announce another")
	case now.Step != Scheduled && c.Step == Scheduled:
		return Change{}, fault.New(fault.Conflict, "the work has begun").At("step")
	case len(m.Updates) >= MaxUpdates:
		return Change{}, fault.New(fault.Conflict, "%d updates were told already", MaxUpdates)
	}
	if err := check(c.Text, "text", MaxMessage, c.Step == now.Step); err != nil {
		return Change{}, err
	}
	now.UpdatedAt, now.Updates = g.Now.UTC(), slices.Clone(m.Updates)
	if c.Step != Scheduled && now.StartedAt.IsZero() {
		now.StartedAt = g.Now.UTC()
	}
	if c.Step == Completed && now.EndedAt.IsZero() {
		now.EndedAt = g.Now.UTC()
	}
	now.Step, now.Silent = c.Step, now.Silent && c.Silent
	if len(tidy(c.Text)) > 0 {
		now.Updates = append(now.Updates, Update{ID: publicID(g.NewID()), Step: c.Step, Text: tidy(c.Text), At: g.Now.UTC(), Silent: c.Silent, By: g.name()})
	}
	return Change{Maintenance: &now, Silent: c.Silent, Event: Event{Type: "maintenance.updated", Subject: m.ID, Text: g.name() + " told visitors of the work " + m.ID + ": " + string(c.Step) + "."}}, nil
}

func (c EditMaintenance) decide(g Given) (Change, error) {
	m, err := g.maintenance(c.ID)
	if err != nil {
		return Change{}, err
	}
	if m.At(g.Now).Step.Over() {
		return Change{}, fault.New(fault.Conflict, "the maintenance is over").At("id").WithHint("announce another")
	}
	if len(c.Title) > 0 {
		if err := check(c.Title, "title", MaxTitle, true); err != nil {
			return Change{}, err
		}
		m.Title = tidy(c.Title)
	}
	if !c.From.IsZero() {
		m.From = c.From.UTC()
	}
	if !c.Until.IsZero() {
		m.Until = c.Until.UTC()
	}
	if err := when(m.From, m.Until, g.Now); err != nil {
		return Change{}, err
	}
	if c.Components != nil {
		if m.Components, err = g.known(c.Components); err != nil {
			return Change{}, err
		}
	}
	m.UpdatedAt = g.Now.UTC()
	return Change{Maintenance: &m, Silent: m.Silent, Event: Event{Type: "maintenance.edited", Subject: m.ID, Text: g.name() + " changed what is announced of the work " + m.ID + "."}}, nil
}

func (c CancelMaintenance) decide(g Given) (Change, error) {
	m, err := g.maintenance(c.ID)
	switch {
	case err != nil:
		return Change{}, err
	case m.At(g.Now).Step != Scheduled:
		return Change{}, fault.New(fault.Conflict, "the work has begun").At("id").WithHint("say that it is completed")
	}
	event := Event{Type: "maintenance.cancelled", Subject: m.ID, Text: g.name() + " took back what was announced as " + m.ID + "."}
	if m.Rule != "" {
		m.Cancelled, m.UpdatedAt = true, g.Now.UTC()
		return Change{Maintenance: &m, Silent: m.Silent, Event: event}, nil
	}
	return Change{DropMaintenance: m.ID, Silent: m.Silent, Event: event}, nil
}

func (g Given) name() string {
	if g.Who.Name != "" {
		return g.Who.Name
	}
	if g.Who.ID != "" {
		return g.Who.ID
	}
	return "somebody"
}

func (g Given) component(place, id string) (Definition, error) {
	d, found := find(g.Components, func(d Definition) bool { return d.ID == id })
	if !found {
		return d, fault.New(fault.NotFound, "there is no component %q", short(id)).At(place).WithHint("they are %s", names(g.Components))
	}
	return d, nil
}

func names(list []Definition) string {
	const most = 20
	var out []string
	for _, d := range list[:min(most, len(list))] {
		out = append(out, d.ID)
	}
	if len(list) == 0 {
		return "none: write status: components: in the configuration"
	}
	if len(list) > most {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}

func (g Given) known(ids []string) ([]string, error) {
	out := []string{}
	if len(ids) > maxComponentsOf {
		return nil, fault.New(fault.Invalid, "%d components are named", len(ids)).At("components")
	}
	for _, id := range ids {
		if _, err := g.component("components", id); err != nil {
			return nil, err
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

func (g Given) incident(id string) (Incident, error) {
	in, known := g.Records.Incidents[id]
	if !known {
		return in, fault.New(fault.NotFound, "there is no public incident %q", short(id)).At("id").WithHint("see: lifeboat status page")
	}
	return in, nil
}

func (g Given) maintenance(id string) (Maintenance, error) {
	m, known := g.Records.Maintenances[id]
	if !known || m.Cancelled {
		return m, fault.New(fault.NotFound, "there is no maintenance %q", short(id)).At("id").WithHint("see: lifeboat status page")
	}
	return m, nil
}

func open(r Records) (n int) {
	for _, in := range r.Incidents {
		if in.Open() {
			n++
		}
	}
	return n
}

func badState(place string, s State) error {
	return fault.New(fault.Invalid, "a component can't be shown as %q", short(string(s))).At(place).WithHint("write %s", words(States()))
}

func badImpact(i Impact) error {
	return fault.New(fault.Invalid, "there is no impact %q", short(string(i))).At("impact").WithHint("write %s", words(Impacts()))
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out[:len(out)-1], ", ") + " or " + out[len(out)-1]
}

// publicID makes an id that no reader takes for a number or a date.
func publicID(id string) string { return "x" + strings.ToLower(id) }

// check looks at a text in all its languages.
func check(t Text, place string, most int, needed bool) error {
	if needed && len(tidy(t)) == 0 {
		return fault.New(fault.Invalid, "%s is empty", place).At(place).WithHint("say in plain words what visitors notice")
	}
	if len(t) > MaxLanguages {
		return fault.New(fault.Invalid, "%s is in %d languages", place, len(t)).At(place).WithHint("%d fit", MaxLanguages)
	}
	for tag, text := range t {
		at := place
		if tag != "" {
			at += "." + short(tag)
		}
		switch n := utf8.RuneCountInString(text); {
		case tag != "" && !Tag(tag):
			return fault.New(fault.Invalid, "%q is no language", short(tag)).At(place).WithHint("write a tag such as de or pt-BR")
		case !utf8.ValidString(text):
			return fault.New(fault.Invalid, "it is not UTF-8 text").At(at)
		case n > most:
			return fault.New(fault.Invalid, "it is %d characters long", n).At(at).WithHint("%d fit: short messages are read", most)
		case strings.ContainsFunc(text, control):
			return fault.New(fault.Invalid, "it has a control character").At(at).WithHint("remove it")
		}
	}
	return nil
}

func control(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }

// Tag says whether a language's tag has the form of one (BCP 47, without extensions).
func Tag(tag string) bool {
	parts := strings.Split(tag, "-")
	if len(tag) > 35 || len(parts) > 3 || len(parts[0]) < 2 || len(parts[0]) > 3 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 8 || strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return false
		}
	}
	return strings.Trim(parts[0], "abcdefghijklmnopqrstuvwxyz") == ""
}

// tidy leaves out what is empty.
func tidy(t Text) Text {
	out := Text{}
	for tag, text := range t {
		if text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")); text != "" {
			out[tag] = text
		}
	}
	return out
}

func short(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
