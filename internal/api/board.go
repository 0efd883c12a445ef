package api

import (
	"context"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/board/desk"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// Board is what people write on the status page; *desk.Desk is one.
type Board interface {
	Do(ctx context.Context, who board.Who, c board.Command) (board.Change, error)
	Records() board.Records
	Settings() desk.Settings
	Events(ctx context.Context) ([]board.Event, error)
	Shown() []board.Component
}

// StatusBoard is the status page: how each part is shown and why, and what was written.
type StatusBoard struct {
	Pages        []StatusAddress     `json:"pages"`
	Components   []StatusComponent   `json:"components"`
	Incidents    []board.Incident    `json:"incidents" doc:"open ones first, then the newest"`
	Maintenances []board.Maintenance `json:"maintenances" doc:"under way, to come, and past ones"`
	Templates    []board.Template    `json:"templates"`
}

// StatusAddress is a status page and where it is.
type StatusAddress struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	Languages []string `json:"languages"`
	Private   bool     `json:"private,omitempty"`
}

// StatusComponent is a part of the service as visitors know it. What is shown and what
// the checks see are told apart.
type StatusComponent struct {
	ID        string          `json:"id" example:"web"`
	Name      board.Text      `json:"name" doc:"by language; the name of the page's first language may be empty"`
	Group     string          `json:"group,omitempty"`
	State     board.State     `json:"state" doc:"what is shown" example:"operational"`
	Why       board.Why       `json:"decided_by" doc:"checks, override, incident, maintenance, order or nobody"`
	Measured  board.State     `json:"measured,omitempty" doc:"what the checks see alone; empty where nothing is measured"`
	Override  *board.Override `json:"override,omitempty"`
	CheckedAt time.Time       `json:"checked_at,omitzero"`
	Uptime    int             `json:"uptime" doc:"of 90 days, in hundredths of a per cent; -1 where nothing is known"`
}

// StatusEvents are what people did on the status page, newest first.
type StatusEvents struct {
	Events []board.Event `json:"events"`
}

// StatusDone is what came of an act on the status page.
type StatusDone struct {
	Event       board.Event        `json:"event"`
	Incident    *board.Incident    `json:"incident,omitempty"`
	Maintenance *board.Maintenance `json:"maintenance,omitempty"`
	Override    *board.Override    `json:"override,omitempty"`
}

// OverrideBody shows a component with a state that the checks do not say.
type OverrideBody struct {
	State   string     `json:"state" enum:"operational,degraded_performance,partial_outage,major_outage,under_maintenance"`
	Reason  string     `json:"reason,omitempty" maxLength:"2000" doc:"for visitors"`
	Reasons board.Text `json:"reasons,omitempty" doc:"the same in other languages, by tag"`
	For     int        `json:"for_seconds,omitempty" minimum:"0" maximum:"34560000" doc:"0: until it is taken back"`
}

// PublicIncidentBody tells visitors of something new.
type PublicIncidentBody struct {
	Title     string            `json:"title" maxLength:"200" example:"Card payments fail"`
	Titles    board.Text        `json:"titles,omitempty" doc:"the same in other languages, by tag"`
	Text      string            `json:"text" maxLength:"2000" example:"We are looking into it. Orders that you have placed are safe."`
	Texts     board.Text        `json:"texts,omitempty" doc:"the same in other languages, by tag"`
	Step      string            `json:"step,omitempty" enum:"investigating,identified,monitoring,resolved" doc:"investigating unless said"`
	Impact    string            `json:"impact,omitempty" enum:"none,minor,major,critical" doc:"it follows from the components unless said"`
	States    map[string]string `json:"components,omitempty" doc:"states by component" example:"{\"checkout\":\"partial_outage\"}"`
	StartedAt time.Time         `json:"started_at,omitzero" doc:"now unless said"`
	NextIn    int               `json:"next_in_seconds,omitempty" minimum:"0" maximum:"604800" doc:"when the next news is promised for"`
	Silent    bool              `json:"silent,omitempty" doc:"subscribers are not told"`
}

// PublicUpdateBody tells visitors more of an incident.
type PublicUpdateBody struct {
	Text   string            `json:"text" maxLength:"2000"`
	Texts  board.Text        `json:"texts,omitempty" doc:"the same in other languages, by tag"`
	Step   string            `json:"step,omitempty" enum:"investigating,identified,monitoring,resolved" doc:"as before unless said"`
	States map[string]string `json:"components,omitempty" doc:"states by component; those of a resolved incident are operational unless said"`
	NextIn int               `json:"next_in_seconds,omitempty" minimum:"0" maximum:"604800"`
	Silent bool              `json:"silent,omitempty"`
}

// PublicEditBody corrects what visitors are told; what is left out stays.
type PublicEditBody struct {
	Title  string     `json:"title,omitempty" maxLength:"200"`
	Titles board.Text `json:"titles,omitempty"`
	Impact string     `json:"impact,omitempty" enum:"none,minor,major,critical"`
	Update string     `json:"update,omitempty" maxLength:"64" doc:"the id of the update whose text is corrected"`
	Text   string     `json:"text,omitempty" maxLength:"2000"`
	Texts  board.Text `json:"texts,omitempty"`
}

// StoryBody is a post-mortem for visitors.
type StoryBody struct {
	Text  string     `json:"text,omitempty" maxLength:"30000" doc:"empty takes it off the page; a line that begins with # is a heading"`
	Texts board.Text `json:"texts,omitempty"`
}

// AttachBody names the crew's incident that one of the page belongs to.
type AttachBody struct {
	Incident string `json:"incident,omitempty" maxLength:"64" doc:"the crew's incident; empty unties it"`
}

// MaintenanceBody announces work.
type MaintenanceBody struct {
	Title      string     `json:"title" maxLength:"200" example:"The database moves"`
	Titles     board.Text `json:"titles,omitempty"`
	Text       string     `json:"text,omitempty" maxLength:"2000"`
	Texts      board.Text `json:"texts,omitempty"`
	From       time.Time  `json:"from"`
	Until      time.Time  `json:"until"`
	Components []string   `json:"components,omitempty" maxItems:"200"`
	ByHand     bool       `json:"by_hand,omitempty" doc:"it begins and ends when a person says so, not by the clock"`
	Silent     bool       `json:"silent,omitempty"`
}

// MaintenanceUpdateBody tells how the work goes: in_progress begins it, completed ends it.
type MaintenanceUpdateBody struct {
	Text   string     `json:"text,omitempty" maxLength:"2000"`
	Texts  board.Text `json:"texts,omitempty"`
	Step   string     `json:"step,omitempty" enum:"scheduled,in_progress,verifying,completed" doc:"as before unless said"`
	Silent bool       `json:"silent,omitempty"`
}

// MaintenanceEditBody changes what is announced; what is left out stays.
type MaintenanceEditBody struct {
	Title      string     `json:"title,omitempty" maxLength:"200"`
	Titles     board.Text `json:"titles,omitempty"`
	From       time.Time  `json:"from,omitzero"`
	Until      time.Time  `json:"until,omitzero"`
	Components []string   `json:"components,omitempty" maxItems:"200"`
}

// BoardItemPath is one thing on the status page.
type BoardItemPath struct {
	Item string `path:"item" maxLength:"100" doc:"the id of a component, an incident or a maintenance of the status page" example:"web"`
}

// texts puts a text and its translations together.
func texts(text string, others board.Text) board.Text {
	out := board.Text{}
	for tag, t := range others {
		out[tag] = t
	}
	if text != "" {
		out[""] = text
	}
	return out
}

func states(in map[string]string) map[string]board.State {
	out := map[string]board.State{}
	for id, s := range in {
		out[id] = board.State(s)
	}
	return out
}

func (a *api) boardRoutes() {
	route(a, get("/board", "board", "The status page: how each part is shown and why, and what was written"), a.board)
	route(a, get("/board/events", "board-events", "What people did on the status page, newest first"), func(ctx context.Context, _ *struct{}) (*body[StatusEvents], error) {
		d, err := a.boardDesk()
		if err != nil {
			return nil, err
		}
		events, err := d.Events(ctx)
		return &body[StatusEvents]{StatusEvents{events}}, err
	})
	boardAct(a, "/board/components/{item}/override", "board-override", "Show a component with a state that the checks do not say", func(id string, b OverrideBody) board.Command {
		return board.SetOverride{Component: id, State: board.State(b.State), Reason: texts(b.Reason, b.Reasons), For: time.Duration(b.For) * time.Second}
	})
	boardAct(a, "/board/components/{item}/take-back", "board-take-back", "Let the checks decide again how a component is shown", func(id string, _ *struct{}) board.Command {
		return board.DropOverride{Component: id}
	})
	route(a, post("/board/incidents", "board-incident-open", "Tell visitors of something that is wrong", leastFor(incident.SendUpdate{})), func(ctx context.Context, in *struct{ Body PublicIncidentBody }) (*body[StatusDone], error) {
		b := in.Body
		return a.boardDo(ctx, board.OpenIncident{
			Title: texts(b.Title, b.Titles), Text: texts(b.Text, b.Texts), Step: board.Step(b.Step), Impact: board.Impact(b.Impact), States: states(b.States),
			StartedAt: b.StartedAt, NextIn: time.Duration(b.NextIn) * time.Second, Silent: b.Silent,
		})
	})
	boardAct(a, "/board/incidents/{item}/update", "board-incident-update", "Tell visitors more, or that it is over", func(id string, b PublicUpdateBody) board.Command {
		return board.UpdateIncident{ID: id, Text: texts(b.Text, b.Texts), Step: board.Step(b.Step), States: states(b.States), NextIn: time.Duration(b.NextIn) * time.Second, Silent: b.Silent}
	})
	boardAct(a, "/board/incidents/{item}/edit", "board-incident-edit", "Correct what visitors are told", func(id string, b PublicEditBody) board.Command {
		return board.EditIncident{ID: id, Title: texts(b.Title, b.Titles), Impact: board.Impact(b.Impact), Update: b.Update, Text: texts(b.Text, b.Texts)}
	})
	boardAct(a, "/board/incidents/{item}/story", "board-incident-story", "Put the post-mortem on the page, or take it off", func(id string, b StoryBody) board.Command {
		return board.PublishStory{ID: id, Text: texts(b.Text, b.Texts)}
	})
	route(a, post("/board/incidents/{item}/attach", "board-incident-attach", "Tie what visitors are told to the crew's incident", leastFor(incident.SendUpdate{})), func(ctx context.Context, in *struct {
		BoardItemPath
		Body AttachBody
	}) (*body[StatusDone], error) {
		c := board.AttachIncident{ID: in.Item, Crew: in.Body.Incident}
		if c.Crew != "" {
			crew, err := a.o.Engine.Incident(ctx, c.Crew)
			if err != nil {
				return nil, err
			}
			if crew.Drill {
				return nil, fault.New(fault.Invalid, "%s is a drill: visitors are told nothing of it", crew.ID).At("incident")
			}
			c.Site = crew.Site
		}
		return a.boardDo(ctx, c)
	})
	route(a, post("/board/maintenances", "board-maintenance-plan", "Announce work", leastFor(incident.SendUpdate{})), func(ctx context.Context, in *struct{ Body MaintenanceBody }) (*body[StatusDone], error) {
		b := in.Body
		return a.boardDo(ctx, board.PlanMaintenance{Title: texts(b.Title, b.Titles), Text: texts(b.Text, b.Texts), From: b.From, Until: b.Until, Components: b.Components, ByHand: b.ByHand, Silent: b.Silent})
	})
	boardAct(a, "/board/maintenances/{item}/update", "board-maintenance-update", "Tell how the work goes: begin it, check it, end it", func(id string, b MaintenanceUpdateBody) board.Command {
		return board.UpdateMaintenance{ID: id, Text: texts(b.Text, b.Texts), Step: board.Step(b.Step), Silent: b.Silent}
	})
	boardAct(a, "/board/maintenances/{item}/edit", "board-maintenance-edit", "Change what is announced", func(id string, b MaintenanceEditBody) board.Command {
		return board.EditMaintenance{ID: id, Title: texts(b.Title, b.Titles), From: b.From, Until: b.Until, Components: b.Components}
	})
	boardAct(a, "/board/maintenances/{item}/cancel", "board-maintenance-cancel", "Take an announcement back before the work has begun", func(id string, _ *struct{}) board.Command {
		return board.CancelMaintenance{ID: id}
	})
}

// boardAct registers an act on one thing of the status page. B is its body.
func boardAct[B any](a *api, path, id, summary string, make func(item string, b B) board.Command) {
	route(a, post(path, id, summary, leastFor(incident.SendUpdate{})), func(ctx context.Context, in *struct {
		BoardItemPath
		Body B
	}) (*body[StatusDone], error) {
		return a.boardDo(ctx, make(in.Item, in.Body))
	})
}

func (a *api) boardDesk() (Board, error) {
	if a.o.Board == nil {
		return nil, fault.New(fault.Unavailable, "there is no status page here")
	}
	return a.o.Board, nil
}

func (a *api) boardDo(ctx context.Context, c board.Command) (*body[StatusDone], error) {
	d, err := a.boardDesk()
	if err != nil {
		return nil, err
	}
	by := actorOf(ctx)
	change, err := d.Do(ctx, board.Who{ID: by.ID, Name: by.Name, Via: by.Via}, c)
	if err != nil {
		return nil, err
	}
	return &body[StatusDone]{StatusDone{change.Event, change.Incident, change.Maintenance, change.Override}}, nil
}

func (a *api) board(context.Context, *struct{}) (*body[StatusBoard], error) {
	d, err := a.boardDesk()
	if err != nil {
		return nil, err
	}
	set := d.Settings()
	out := StatusBoard{Pages: []StatusAddress{}, Components: []StatusComponent{}, Templates: append([]board.Template{}, set.Templates...)}
	for _, p := range set.Pages {
		out.Pages = append(out.Pages, StatusAddress{p.ID, p.Name, p.URL, p.Languages, p.Private != nil})
	}
	records := d.Records()
	for _, c := range d.Shown() {
		v := StatusComponent{ID: c.ID, Name: c.Name, Group: c.Group, State: c.State, Why: c.Why, Measured: c.Measured, CheckedAt: c.CheckedAt, Uptime: c.Uptime}
		if o, set := records.Overrides[c.ID]; set && o.Holds(a.o.Now()) {
			v.Override = &o
		}
		out.Components = append(out.Components, v)
	}
	out.Incidents, out.Maintenances = board.Listed(records, a.o.Now())
	return &body[StatusBoard]{out}, nil
}
