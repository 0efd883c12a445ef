package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/fault"
)

// The types of events about people and what they tell each other.
const (
	SeverityChanged  Type = "severity.changed"
	IncidentLinked   Type = "incident.linked"
	RoleTaken        Type = "role.taken"
	RoleReleased     Type = "role.released"
	HandoverOffered  Type = "handover.offered"
	HandoverAccepted Type = "handover.accepted"
	Chosen           Type = "decision.chosen"
	ObjectionRaised  Type = "objection.raised"
	UpdateSent       Type = "update.sent"
	UpdateSnoozed    Type = "update.snoozed"
	UpdateDelivered  Type = "update.delivered"
	UpdateFailed     Type = "update.delivery_failed"
	UpdateIsDue      Type = "update.due"
	IntegrationFails Type = "integration.failed"
)

// Whom an update is for.
const (
	Public  = "public" // the status page shows it
	Staff   = "staff"
	Leaders = "leaders"
)

const (
	maxDecisions = 100
	maxLinks     = 100
	maxUpdates   = 200
	maxUpdate    = 1500 // characters
	maxSnooze    = 24 * time.Hour
)

var severities = []string{"low", "medium", "high", "critical"}

// roles are the parts people play in an incident.
var roles = []string{"lead", "scribe", "communication", "expert"}

// Handover is one person giving a role to another, with what they have to know.
type Handover struct {
	ID         string    `json:"id"` // h1, h2 ...
	Role       string    `json:"role"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Brief      Brief     `json:"brief"`
	At         time.Time `json:"at"`
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
}

// Brief is what whoever takes over has to know: conditions, actions, needs.
type Brief struct {
	Things string `json:"things"`          // how things are
	Doing  string `json:"doing,omitempty"` // what is being done, by whom, back when
	Needs  string `json:"needs,omitempty"` // what is needed
}

// Decision is a choice that people made, with the objections to it.
type Decision struct {
	ID         string      `json:"id"` // d1, d2 ...
	Question   string      `json:"question"`
	Options    []string    `json:"options,omitempty"`
	Chosen     string      `json:"chosen"`
	Reason     string      `json:"reason"`
	By         Actor       `json:"by"`
	At         time.Time   `json:"at"`
	Objections []Objection `json:"objections,omitempty"`
}

// Objection is what somebody said against a decision.
type Objection struct {
	Text string    `json:"text"`
	By   Actor     `json:"by"`
	At   time.Time `json:"at"`
}

// Update is a message to people outside the crew.
type Update struct {
	ID       string            `json:"id"` // u1, u2 ...
	Audience string            `json:"audience"`
	Text     string            `json:"text"`
	By       Actor             `json:"by"`
	At       time.Time         `json:"at"`
	NextDue  time.Time         `json:"next_due,omitzero"` // promised time of the next one
	Final    bool              `json:"final,omitempty"`   // it is over
	Channels map[string]string `json:"channels,omitempty"`
}

// Link is a tie to another incident.
type Link struct {
	Incident string `json:"incident"`
	Kind     string `json:"kind"` // recurrence_of, related
}

// SetSeverity says how bad it is.
type SetSeverity struct{ Level, Why string }

// LinkIncident ties this incident to an earlier one.
type LinkIncident struct{ Incident, Kind string }

// TakeRole makes the actor hold a role, whoever held it before.
type TakeRole struct{ Role string }

// ReleaseRole lets a role go.
type ReleaseRole struct{ Role string }

// OfferHandover offers a role to somebody.
type OfferHandover struct {
	Role, To string
	Brief    Brief
}

// AcceptHandover is "I have it".
type AcceptHandover struct{ Handover string }

// Choose writes a decision down.
type Choose struct {
	Question string
	Options  []string
	Chosen   string
	Reason   string
}

// Object writes an objection to a decision down.
type Object struct{ Decision, Text string }

// SendUpdate tells people. NextIn promises the next message; 0 promises none.
type SendUpdate struct {
	Audience string
	Text     string
	NextIn   time.Duration
	Final    bool
	Channels []string // that it goes out by; the engine fills them in
}

// SnoozeUpdate moves the promised time of the next message.
type SnoozeUpdate struct {
	By     time.Duration
	Reason string
}

// Delivered records how a channel took an update.
type Delivered struct {
	Update, Channel string
	OK              bool
	Detail          string
}

// UpdateOverdue says that the promised message has not been sent.
type UpdateOverdue struct{}

func (SetSeverity) name() string    { return "set the severity" }
func (LinkIncident) name() string   { return "link an incident" }
func (TakeRole) name() string       { return "take a role" }
func (ReleaseRole) name() string    { return "release a role" }
func (OfferHandover) name() string  { return "hand over" }
func (AcceptHandover) name() string { return "take over" }
func (Choose) name() string         { return "decide" }
func (Object) name() string         { return "object" }
func (SendUpdate) name() string     { return "send an update" }
func (SnoozeUpdate) name() string   { return "put the next update off" }
func (Delivered) name() string      { return "record" }
func (UpdateOverdue) name() string  { return "remind" }

func (c SetSeverity) decide(d *draft) error {
	if !slices.Contains(severities, c.Level) {
		return fault.New(fault.Invalid, "%q is no severity", c.Level).At("level").WithHint("write %s", strings.Join(severities, ", "))
	}
	if d.in.Severity == c.Level {
		return nil
	}
	d.add(SeverityChanged, Subject{"site", d.in.Site}, severityData{c.Level, strings.TrimSpace(c.Why)}, "%s: the severity is %s. %s", d.who(), c.Level, stop(c.Why))
	return nil
}

func (c LinkIncident) decide(d *draft) error {
	kind := orElse(c.Kind, "related")
	if kind != "related" && kind != "recurrence_of" {
		return fault.New(fault.Invalid, "%q is no way for incidents to be linked", kind).At("kind").WithHint("write related or recurrence_of")
	}
	if c.Incident == "" || c.Incident == d.in.ID || tooLong(c.Incident, 40) {
		return fault.New(fault.Invalid, "%q is not another incident", c.Incident).At("incident").WithHint("see them with: lifeboat incidents")
	}
	if slices.Contains(d.in.Links, Link{c.Incident, kind}) {
		return nil
	}
	if len(d.in.Links) >= maxLinks {
		return fault.New(fault.Conflict, "the incident is linked with %d others already", len(d.in.Links)).WithHint("write a note")
	}
	d.add(IncidentLinked, Subject{"incident", c.Incident}, Link{c.Incident, kind}, "%s linked it with incident %s (%s).", d.who(), c.Incident, strings.ReplaceAll(kind, "_", " "))
	return nil
}

func (c TakeRole) decide(d *draft) error {
	if err := knownRole(c.Role); err != nil {
		return err
	}
	who := d.who()
	if d.in.Roles[c.Role] == who {
		return nil
	}
	from := ""
	if held := d.in.Roles[c.Role]; held != "" {
		from = " from " + held
	}
	d.add(RoleTaken, Subject{"role", c.Role}, roleData{c.Role, who}, "%s took the role %s%s.", who, c.Role, from)
	return nil
}

func knownRole(role string) error {
	if slices.Contains(roles, role) {
		return nil
	}
	return fault.New(fault.Invalid, "%q is no role", role).At("role").WithHint("write %s", strings.Join(roles, ", "))
}

func (c ReleaseRole) decide(d *draft) error {
	held := d.in.Roles[c.Role]
	if held == "" {
		return fault.New(fault.Conflict, "nobody has the role %q", c.Role)
	}
	d.add(RoleReleased, Subject{"role", c.Role}, roleData{c.Role, held}, "%s is no longer %s.", held, c.Role)
	return nil
}

func (c OfferHandover) decide(d *draft) error {
	if err := knownRole(c.Role); err != nil {
		return err
	}
	to := strings.TrimSpace(c.To)
	b := Brief{strings.TrimSpace(c.Brief.Things), strings.TrimSpace(c.Brief.Doing), strings.TrimSpace(c.Brief.Needs)}
	switch {
	case to == "" || tooLong(to, 64): // "Bo" is a name
		return fault.New(fault.Invalid, "say who takes over").At("to").WithHint("a name, as it will stand in the timeline")
	case !says(b.Things):
		return fault.New(fault.Invalid, "say how things are").At("things").WithHint("two sentences that somebody who has just woken up understands")
	case tooLong(b.Things+b.Doing+b.Needs, 3*maxText):
		return fault.New(fault.Invalid, "the brief has more than %d characters", 3*maxText).At("things")
	case len(d.in.Handovers) >= maxDecisions:
		return fault.New(fault.Conflict, "there were %d handovers already", maxDecisions)
	}
	h := Handover{ID: fmt.Sprintf("h%d", len(d.in.Handovers)+1), Role: c.Role, From: d.who(), To: to, Brief: b}
	d.add(HandoverOffered, Subject{"handover", h.ID}, h, "%s offers %s the role %s. How things are: %s", h.From, h.To, h.Role, stop(b.Things))
	return nil
}

func (c AcceptHandover) decide(d *draft) error {
	i := slices.IndexFunc(d.in.Handovers, func(h Handover) bool { return h.ID == c.Handover })
	if i < 0 {
		return fault.New(fault.NotFound, "there is no handover %q", c.Handover)
	}
	h := d.in.Handovers[i]
	if !h.AcceptedAt.IsZero() {
		return nil
	}
	d.add(HandoverAccepted, Subject{"handover", h.ID}, roleData{h.Role, d.who()}, "%s takes over from %s: %s.", d.who(), h.From, h.Role)
	return nil
}

func (c Choose) decide(d *draft) error {
	x := Decision{Question: strings.TrimSpace(c.Question), Options: lines(c.Options), Chosen: strings.TrimSpace(c.Chosen), Reason: strings.TrimSpace(c.Reason)}
	switch {
	case !says(x.Question):
		return fault.New(fault.Invalid, "say what was to be decided").At("question")
	case x.Chosen == "": // "no" is a choice
		return fault.New(fault.Invalid, "say what was chosen").At("chosen")
	case !says(x.Reason):
		return fault.New(fault.Invalid, "say why").At("reason").WithHint("one sentence; it will be read by people who were not there")
	case tooLong(x.Question+x.Chosen+x.Reason, maxText):
		return fault.New(fault.Invalid, "it has more than %d characters", maxText).At("reason")
	case len(d.in.Decisions) >= maxDecisions:
		return fault.New(fault.Conflict, "there were %d decisions already", maxDecisions)
	}
	x.ID = fmt.Sprintf("d%d", len(d.in.Decisions)+1)
	d.add(Chosen, Subject{"decision", x.ID}, x, "%s decided: %s %s Because: %s", d.who(), stop(x.Question), stop(x.Chosen), stop(x.Reason))
	return nil
}

func (c Object) decide(d *draft) error {
	i := slices.IndexFunc(d.in.Decisions, func(x Decision) bool { return x.ID == c.Decision })
	switch {
	case i < 0:
		return fault.New(fault.NotFound, "there is no decision %q", c.Decision)
	case !says(c.Text):
		return fault.New(fault.Invalid, "say what speaks against it").At("text")
	case tooLong(c.Text, maxText):
		return fault.New(fault.Invalid, "the objection has more than %d characters", maxText).At("text")
	case len(d.in.Decisions[i].Objections) >= 20:
		return fault.New(fault.Conflict, "there are twenty objections already").WithHint("talk")
	}
	d.add(ObjectionRaised, Subject{"decision", c.Decision}, objectData{c.Decision, strings.TrimSpace(c.Text)}, "%s objects to %s: %s", d.who(), c.Decision, stop(c.Text))
	return nil
}

// straight drops the marks that turn the direction of writing (Unicode, UAX #9), which
// could make a message to everybody read as another one.
func straight(r rune) rune {
	if unicode.Is(unicode.Bidi_Control, r) {
		return -1
	}
	return r
}

func (c SendUpdate) decide(d *draft) error {
	text := strings.TrimSpace(strings.Map(straight, c.Text))
	switch {
	case c.Audience != Public && c.Audience != Staff && c.Audience != Leaders:
		return fault.New(fault.Invalid, "%q is nobody to tell", c.Audience).At("audience").WithHint("write public, staff or leaders")
	case !says(text):
		return fault.New(fault.Invalid, "the message is empty").At("text").WithHint("say what visitors notice, what is being done, and when there will be news")
	case tooLong(text, maxUpdate):
		return fault.New(fault.Invalid, "the message has more than %d characters", maxUpdate).At("text").WithHint("short messages are read")
	case c.NextIn < 0 || c.NextIn > maxSnooze:
		return fault.New(fault.Invalid, "%s is no time to promise the next message in", c.NextIn).At("next_in").WithHint("at most 24h")
	case len(d.in.Updates) >= maxUpdates:
		return fault.New(fault.Conflict, "%d messages were sent already", maxUpdates)
	}
	u := Update{ID: fmt.Sprintf("u%d", len(d.in.Updates)+1), Audience: c.Audience, Text: text, Final: c.Final}
	if c.NextIn > 0 && !c.Final {
		u.NextDue = d.now.Add(c.NextIn).UTC()
	}
	for _, name := range c.Channels {
		if u.Channels == nil {
			u.Channels = map[string]string{}
		}
		u.Channels[name] = "waiting"
	}
	who := map[string]string{Public: "everybody", Staff: "the staff", Leaders: "the leaders"}[c.Audience]
	d.add(UpdateSent, Subject{"update", u.ID}, u, "%s told %s: %s", d.who(), who, text)
	return nil
}

func (c SnoozeUpdate) decide(d *draft) error {
	switch {
	case d.in.UpdateDue.IsZero():
		return fault.New(fault.Conflict, "no message was promised")
	case c.By <= 0 || c.By > maxSnooze:
		return fault.New(fault.Invalid, "%s is no time to put it off by", c.By).At("by").WithHint("for example 15m, at most 24h")
	}
	due := d.now.Add(c.By).UTC()
	d.add(UpdateSnoozed, Subject{"site", d.in.Site}, dueData{due, strings.TrimSpace(c.Reason)}, "%s put the next message off until %s. %s", d.who(), due.Format(clock), stop(c.Reason))
	return nil
}

func (c Delivered) decide(d *draft) error {
	c.Detail = brief(c.Detail)
	i := slices.IndexFunc(d.in.Updates, func(u Update) bool { return u.ID == c.Update })
	if i < 0 {
		t, text := UpdateDelivered, "The channel %s has taken the news."
		if c.OK {
			return nil // only what goes wrong is worth a line
		}
		t, text = IntegrationFails, "The channel %s does not take messages: "+strings.ReplaceAll(stop(c.Detail), "%", "%%")+" They wait and are tried again."
		d.add(t, Subject{"channel", c.Channel}, deliveryData{"", c.Channel, c.OK, c.Detail}, text, c.Channel)
		return nil
	}
	if c.OK {
		d.add(UpdateDelivered, Subject{"update", c.Update}, deliveryData{c.Update, c.Channel, true, ""}, "%s went out by %s.", c.Update, c.Channel)
		return nil
	}
	d.add(UpdateFailed, Subject{"update", c.Update}, deliveryData{c.Update, c.Channel, false, c.Detail}, "%s could not go out by %s: %s It waits and is tried again.", c.Update, c.Channel, stop(c.Detail))
	return nil
}

func (c UpdateOverdue) decide(d *draft) error {
	if d.in.UpdateDue.IsZero() || d.in.UpdateRem || d.now.Before(d.in.UpdateDue) {
		return nil
	}
	d.add(UpdateIsDue, Subject{"site", d.in.Site}, dueData{Due: d.in.UpdateDue}, "News was promised for %s and has not been sent yet.", d.in.UpdateDue.UTC().Format(clock))
	return nil
}

// Overtaken says that an update told that it is over, and it came again since.
func (in Incident) Overtaken(u Update) bool { return u.Final && u.At.Before(in.RelapsedAt) }

// toldPublic says whether the public was told anything, and whether that it is over,
// which no message from before a relapse says.
func (in Incident) toldPublic() (told, over bool) {
	for _, u := range in.Updates {
		if u.Audience == Public {
			told, over = true, u.Final && !in.Overtaken(u)
		}
	}
	return told, over
}

// PublicWord is the newest word to the public that still holds, or "": that it is over
// is none while it is not, nor when it came again since.
func (in Incident) PublicWord() string {
	for _, u := range slices.Backward(in.Updates) {
		switch {
		case u.Audience != Public:
		case in.Overtaken(u), u.Final && in.Phase != Watch && in.Phase != Review:
			return ""
		default:
			return u.Text
		}
	}
	return ""
}

// cameAgain takes back what was said to be over. The clock may have been set back, and
// a local order is taken over late: what is on record before it lies before it.
func (in *Incident) cameAgain(at time.Time) {
	for _, u := range in.Updates {
		if u.Final && !u.At.Before(at) {
			at = u.At.Add(1)
		}
	}
	in.RelapsedAt = at
}

type (
	severityData struct {
		Level string `json:"level"`
		Why   string `json:"why,omitempty"`
	}
	roleData struct {
		Role   string `json:"role"`
		Person string `json:"person"`
	}
	objectData struct {
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	dueData struct {
		Due    time.Time `json:"due"`
		Reason string    `json:"reason,omitempty"`
	}
	deliveryData struct {
		ID      string `json:"id,omitempty"`
		Channel string `json:"channel"`
		OK      bool   `json:"ok,omitempty"`
		Detail  string `json:"detail,omitempty"`
	}
)

var peopleFolds = folder{
	SeverityChanged: with(func(in *Incident, _ Event, s severityData) { in.Severity = orElse(s.Level, in.Severity) }),
	IncidentLinked: with(func(in *Incident, _ Event, l Link) {
		if l.Incident != "" {
			in.Links = append(in.Links, l)
		}
	}),
	RoleTaken:    with(func(in *Incident, _ Event, r roleData) { in.hold(r.Role, r.Person) }),
	RoleReleased: with(func(in *Incident, _ Event, r roleData) { delete(in.Roles, r.Role) }),
	HandoverOffered: with(func(in *Incident, e Event, h Handover) {
		if h.ID != "" {
			h.At = e.At
			in.Handovers = append(in.Handovers, h)
		}
	}),
	HandoverAccepted: with(func(in *Incident, e Event, r roleData) {
		in.hold(r.Role, r.Person)
		change(in.Handovers, e.Subject.ID, func(h Handover) string { return h.ID }, func(h *Handover) { h.AcceptedAt = e.At })
	}),
	Chosen: with(func(in *Incident, e Event, x Decision) {
		if x.ID != "" {
			x.By, x.At, in.NewsAt = e.Actor, e.At, e.At
			in.Decisions = append(in.Decisions, x)
		}
	}),
	ObjectionRaised: with(func(in *Incident, e Event, o objectData) {
		change(in.Decisions, o.ID, func(x Decision) string { return x.ID }, func(x *Decision) {
			x.Objections = append(slices.Clip(x.Objections), Objection{o.Text, e.Actor, e.At})
		})
	}),
	UpdateSent: with(func(in *Incident, e Event, u Update) {
		if u.ID == "" {
			return
		}
		u.By, u.At = e.Actor, e.At
		if u.Audience == Public && in.Overtaken(u) { // the clock was set back since
			in.RelapsedAt = u.At
		}
		in.Updates = append(in.Updates, u)
		in.promise(u.Audience, u.NextDue)
	}),
	UpdateSnoozed: with(func(in *Incident, _ Event, s dueData) {
		if s.Due.IsZero() {
			return
		}
		for audience, at := range in.Promised { // all that would be due before
			in.promise(audience, later(at, s.Due))
		}
	}),
	UpdateIsDue:     with(func(in *Incident, _ Event, d dueData) { in.UpdateRem = in.UpdateRem || !d.Due.IsZero() }),
	UpdateDelivered: with(foldDelivery),
	UpdateFailed:    with(foldDelivery),
}

// promise notes when an audience is owed news, as its last message said; zero: it is
// not. The first of them all is due next.
func (in *Incident) promise(audience string, at time.Time) {
	if in.Promised == nil {
		in.Promised = map[string]time.Time{}
	}
	in.Promised[audience] = at
	if at.IsZero() {
		delete(in.Promised, audience)
	}
	due := time.Time{}
	for _, at := range in.Promised {
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	if !due.Equal(in.UpdateDue) {
		in.UpdateDue, in.UpdateRem = due, false
	}
}

func (in *Incident) hold(role, person string) {
	if role == "" {
		return
	}
	if in.Roles == nil {
		in.Roles = map[string]string{}
	}
	in.Roles[role] = person
}

func foldDelivery(in *Incident, _ Event, x deliveryData) {
	change(in.Updates, x.ID, func(u Update) string { return u.ID }, func(u *Update) {
		next := map[string]string{}
		for k, v := range u.Channels {
			next[k] = v
		}
		next[x.Channel] = "delivered"
		if !x.OK {
			next[x.Channel] = "waiting: " + x.Detail
		}
		u.Channels = next
	})
}
