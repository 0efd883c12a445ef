package boardfeed

import (
	"cmp"
	"time"

	"lifeboat/internal/board"
)

// The documents of Statuspage's public API, version 2. Readers are strict: lists are
// never null, every group_id is in the same list, the indicator is one of four words,
// times are in UTC with milliseconds.
type (
	apiPage struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		URL       string `json:"url"`
		TimeZone  string `json:"time_zone"`
		UpdatedAt stamp  `json:"updated_at"`
	}
	apiStatus struct {
		Indicator   board.Indicator `json:"indicator"`
		Description string          `json:"description"`
	}
	apiComponent struct {
		ID                 string      `json:"id"`
		Name               string      `json:"name"`
		Status             board.State `json:"status"`
		CreatedAt          stamp       `json:"created_at"`
		UpdatedAt          stamp       `json:"updated_at"`
		Position           int         `json:"position"`
		Description        *string     `json:"description"`
		Showcase           bool        `json:"showcase"`
		StartDate          *string     `json:"start_date"`
		GroupID            *string     `json:"group_id"`
		PageID             string      `json:"page_id"`
		Group              bool        `json:"group"`
		OnlyShowIfDegraded bool        `json:"only_show_if_degraded"`
		Components         []string    `json:"components,omitempty"` // of a group
	}
	apiIncident struct {
		ID                string         `json:"id"`
		Name              string         `json:"name"`
		Status            board.Step     `json:"status"`
		CreatedAt         stamp          `json:"created_at"`
		UpdatedAt         stamp          `json:"updated_at"`
		MonitoringAt      *stamp         `json:"monitoring_at"`
		ResolvedAt        *stamp         `json:"resolved_at"`
		Impact            board.Impact   `json:"impact"`
		Shortlink         string         `json:"shortlink"`
		StartedAt         stamp          `json:"started_at"`
		PageID            string         `json:"page_id"`
		IncidentUpdates   []apiUpdate    `json:"incident_updates"` // newest first
		Components        []apiComponent `json:"components"`
		ReminderIntervals *string        `json:"reminder_intervals"`
		Postmortem        *string        `json:"postmortem_body"` // null until somebody publishes it
		PostmortemAt      *stamp         `json:"postmortem_published_at"`
		PostmortemUpdated *stamp         `json:"postmortem_body_last_updated_at"`
		ScheduledFor      *stamp         `json:"scheduled_for,omitempty"` // of a maintenance
		ScheduledUntil    *stamp         `json:"scheduled_until,omitempty"`
	}
	apiUpdate struct {
		ID                   string        `json:"id"`
		Status               board.Step    `json:"status"`
		Body                 string        `json:"body"`
		IncidentID           string        `json:"incident_id"`
		CreatedAt            stamp         `json:"created_at"`
		UpdatedAt            stamp         `json:"updated_at"`
		DisplayAt            stamp         `json:"display_at"`
		AffectedComponents   []apiAffected `json:"affected_components"`
		DeliverNotifications bool          `json:"deliver_notifications"`
		CustomTweet          *string       `json:"custom_tweet"`
		TweetID              *string       `json:"tweet_id"`
	}
	apiAffected struct {
		Code      string      `json:"code"`
		Name      string      `json:"name"`
		OldStatus board.State `json:"old_status"`
		NewStatus board.State `json:"new_status"`
	}
)

// stamp is a time as the API writes it.
type stamp time.Time

func (s stamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(s).UTC().Format("2006-01-02T15:04:05.000Z") + `"`), nil
}

func known(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

// maybe is a text that may be left out, as null.
func maybe(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// api writes all documents of the API.
func (w *writer) api() error {
	page, status, components := w.apiPage(), w.apiStatus(), w.apiComponents()
	all, open := w.apiIncidents(w.incidents()), w.apiIncidents(w.b.Open())
	planned, upcoming, active := w.apiMaintenances(w.maintenances()), w.apiMaintenances(w.b.Upcoming()), w.apiMaintenances(w.b.Active())
	for name, more := range map[string]map[string]any{
		"status":                          {"status": status},
		"components":                      {"status": status, "components": components}, // an exporter of metrics reads the indicator here
		"incidents":                       {"incidents": all},
		"incidents/unresolved":            {"incidents": open},
		"scheduled-maintenances":          {"scheduled_maintenances": planned},
		"scheduled-maintenances/upcoming": {"scheduled_maintenances": upcoming},
		"scheduled-maintenances/active":   {"scheduled_maintenances": active},
		"summary":                         {"status": status, "components": components, "incidents": open, "scheduled_maintenances": append(active, upcoming...)},
	} {
		more["page"] = page
		if err := w.putJSON(folderAPI+name+".json", "application/json; charset=utf-8", more); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) apiPage() apiPage {
	p := w.b.Page
	return apiPage{ID: p.ID, Name: p.Name, URL: p.URL, TimeZone: cmp.Or(p.Zone, "Etc/UTC"), UpdatedAt: stamp(w.since(w.b.UpdatedAt))}
}

// apiStatus sums the page up in the words of Statuspage.
func (w *writer) apiStatus() apiStatus {
	says := map[board.Indicator]string{
		board.None: "All Systems Operational", board.Minor: "Partially Degraded Service", board.Serious: "Partial System Outage", board.Critical: "Major System Outage",
	}[w.b.Indicator]
	switch {
	case w.b.Indicator == board.None && len(w.b.Active()) > 0:
		says = "Service Under Maintenance"
	case w.b.Knowledge.Fresh == 0 && w.b.Knowledge.Stale > 0:
		says = "State Not Known"
	}
	return apiStatus{w.b.Indicator, says}
}

func (w *writer) apiComponents() []apiComponent {
	out := []apiComponent{}
	for _, s := range w.b.Sections {
		if s.ID != "" {
			out = append(out, w.apiGroup(s))
		}
		for _, c := range s.Components {
			out = append(out, w.apiComponent(c, s))
		}
	}
	return out
}

func (w *writer) apiGroup(s board.Section) apiComponent {
	g := apiComponent{
		ID: s.ID, Name: w.say(s.Name), Status: s.State.V2(), CreatedAt: stamp(w.since(s.CreatedAt)), Position: s.Position,
		Description: maybe(w.say(s.Says)), PageID: w.b.Page.ID, Group: true,
	}
	updated := s.CreatedAt
	for _, c := range s.Components {
		g.Components = append(g.Components, c.ID)
		if c.UpdatedAt.After(updated) {
			updated = c.UpdatedAt
		}
	}
	g.UpdatedAt = stamp(w.since(updated))
	return g
}

func (w *writer) apiComponent(c board.Component, s board.Section) apiComponent {
	position := c.Position
	if s.ID == "" {
		position += s.Position - 1
	}
	return apiComponent{
		ID: c.ID, Name: w.say(c.Name), Status: c.State.V2(), CreatedAt: stamp(w.since(c.CreatedAt)), UpdatedAt: stamp(w.since(c.UpdatedAt, c.CreatedAt)),
		Position: position, Description: maybe(w.say(c.Says)), Showcase: true, GroupID: maybe(s.ID), PageID: w.b.Page.ID, OnlyShowIfDegraded: c.OnlyIfBad,
	}
}

// touched are components as an incident lists them: without their groups, so they are
// given none.
func (w *writer) touched(ids []string) []apiComponent {
	out := []apiComponent{}
	for _, id := range ids {
		if c, has := w.b.Component(id); has {
			out = append(out, w.apiComponent(c, board.Section{Position: 1}))
		}
	}
	return out
}

func (w *writer) apiIncidents(list []board.Incident) []apiIncident {
	out := []apiIncident{}
	for _, in := range list[:min(len(list), maxEntries)] {
		a := apiIncident{
			ID: in.ID, Name: w.say(in.Title), Status: in.Step, CreatedAt: stamp(w.since(in.CreatedAt, in.StartedAt)), UpdatedAt: stamp(w.since(in.UpdatedAt, in.CreatedAt, in.StartedAt)),
			MonitoringAt: known(in.Monitoring), ResolvedAt: known(in.ResolvedAt), Impact: cmp.Or(in.Impact, board.ImpactNone), Shortlink: in.Link(w.b.Page),
			StartedAt: stamp(w.since(in.StartedAt, in.CreatedAt)), PageID: w.b.Page.ID, IncidentUpdates: w.apiUpdates(in.ID, in.Updates), Components: w.touched(in.Components),
		}
		if in.Story != nil {
			w.apiStory(&a, *in.Story)
		}
		out = append(out, a)
	}
	return out
}

// apiStory tells the post-mortem in both ways in which readers look for it: as a field,
// and as the newest message.
func (w *writer) apiStory(a *apiIncident, s board.Story) {
	at := stamp(w.since(s.At))
	a.Postmortem, a.PostmortemAt, a.PostmortemUpdated = maybe(w.long(s.Text)), &at, &at
	a.IncidentUpdates = append([]apiUpdate{{
		ID: a.ID + "-postmortem", Status: board.Postmortem, Body: w.long(s.Text), IncidentID: a.ID, CreatedAt: at, UpdatedAt: at, DisplayAt: at, AffectedComponents: []apiAffected{},
	}}, a.IncidentUpdates...)
}

func (w *writer) apiMaintenances(list []board.Maintenance) []apiIncident {
	out := []apiIncident{}
	for _, m := range list[:min(len(list), maxEntries)] {
		out = append(out, apiIncident{
			ID: m.ID, Name: w.say(m.Title), Status: m.Step, CreatedAt: stamp(w.since(m.CreatedAt, m.From)), UpdatedAt: stamp(w.since(m.UpdatedAt, m.CreatedAt, m.From)),
			ResolvedAt: known(m.EndedAt), Impact: board.ImpactMaintenance, Shortlink: m.Link(w.b.Page), StartedAt: stamp(w.since(m.StartedAt, m.From)),
			PageID: w.b.Page.ID, IncidentUpdates: w.apiUpdates(m.ID, m.Updates), Components: w.touched(m.Components),
			ScheduledFor: known(m.From), ScheduledUntil: known(m.Until),
		})
	}
	return out
}

func (w *writer) apiUpdates(id string, list []board.Update) []apiUpdate {
	out := []apiUpdate{}
	for i := len(list) - 1; i >= 0; i-- {
		u := list[i]
		at := stamp(w.since(u.At))
		a := apiUpdate{
			ID: id + "-" + u.ID, Status: u.Step, Body: w.long(u.Text), IncidentID: id, CreatedAt: at, UpdatedAt: at, DisplayAt: at,
			AffectedComponents: []apiAffected{}, DeliverNotifications: !u.Silent,
		}
		for _, c := range u.Affected {
			if full, has := w.b.Component(c.Component); has {
				a.AffectedComponents = append(a.AffectedComponents, apiAffected{c.Component, w.fullName(full), cmp.Or(c.Old, board.Operational).V2(), c.New.V2()})
			}
		}
		out = append(out, a)
	}
	return out
}

// fullName is a component's name with its group's.
func (w *writer) fullName(c board.Component) string {
	for _, s := range w.b.Sections {
		if s.ID == c.Group && s.ID != "" {
			return w.say(s.Name) + " - " + w.say(c.Name)
		}
	}
	return w.say(c.Name)
}
