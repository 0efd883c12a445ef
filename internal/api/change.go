package api

import (
	"cmp"
	"context"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
)

// ChangeBody is something that was changed: a deployment, a setting, a migration.
type ChangeBody struct {
	What       string    `json:"what" maxLength:"300" example:"Release 2.4 of the shop"`
	Kind       string    `json:"kind,omitempty" enum:"deploy,configuration,flag,dns,certificate,schema,package,schedule,traffic,lever,fix,other" doc:"other unless said" example:"deploy"`
	At         time.Time `json:"at,omitzero" doc:"when it took effect; now unless said"`
	Site       string    `json:"site,omitempty" maxLength:"100" doc:"the site it concerns; all of them unless said"`
	Source     string    `json:"source,omitempty" maxLength:"100" doc:"where it is known from" example:"ci"`
	Who        string    `json:"who,omitempty" maxLength:"100" doc:"who made it; you unless said"`
	Ref        string    `json:"ref,omitempty" maxLength:"500" doc:"where more is told: a commit, an address" example:"4f2a9c1"`
	Host       string    `json:"host,omitempty" maxLength:"253" doc:"where it changed; everywhere unless said"`
	Service    string    `json:"service,omitempty" maxLength:"100" doc:"what changed; everything unless said"`
	Reversible *bool     `json:"reversible,omitempty" doc:"whether it can be taken back; leave it out where it is not known"`
	ID         string    `json:"id,omitempty" maxLength:"128" doc:"its id at its source: the same id again is the same change" example:"deploy-4711"`
}

// Changes is the book of changes, newest first; for a site with an open incident those
// first that came last before it began.
type Changes struct {
	Changes  []Change `json:"changes"`
	Incident string   `json:"incident,omitempty" doc:"the open incident by whose beginning they are ranked"`
}

// Change is an entry of the book.
type Change struct {
	ledger.Change
	Before  bool   `json:"before,omitempty" doc:"it was there when the incident began"`
	When    string `json:"when,omitempty" doc:"how far from the beginning" example:"4 minutes before it began"`
	Suspect bool   `json:"suspect,omitempty" doc:"a person suspects it, in the open incident"`
	Note    string `json:"note,omitempty"`
}

// MarkBody says whether a change is suspected.
type MarkBody struct {
	Suspect bool   `json:"suspect" doc:"false takes the mark back"`
	Note    string `json:"note,omitempty" maxLength:"2000"`
}

func (a *api) changeRoutes() {
	route(a, get("/changes", "changes", "What was changed; ranked around the first symptom where a site has an open incident"), a.changes)
	add := post("/changes", "change-add", "Tell of a change: the last step of a deployment", leastFor(incident.SeeChanges{}))
	add.keyed, add.about = true, "For pipelines: a token with the role reporter is enough. Send an Idempotency-Key, such as the deployment's number, so that a retry is no second change."
	route(a, add, a.addChange)
	itemAct(a, asCommand("/sites/{site}/changes/{item}/mark", "change-mark", "Suspect a change, or no longer", incident.MarkChange{}), func(id string, b MarkBody) incident.Command {
		return incident.MarkChange{Change: id, Suspect: b.Suspect, Note: b.Note}
	})
}

func (a *api) addChange(ctx context.Context, in *struct{ Body ChangeBody }) (*created[ledger.Change], error) {
	b := in.Body
	kept, err := a.o.Engine.AddChange(ctx, ledger.Change{
		ID: b.ID, At: b.At, Site: b.Site, Source: b.Source, Kind: cmp.Or(b.Kind, ledger.Other), Who: b.Who, What: b.What, Ref: b.Ref, Host: b.Host, Service: b.Service, Reversible: b.Reversible,
	}, actorOf(ctx))
	return &created[ledger.Change]{201, kept}, err
}

// created is an answer for what was made.
type created[T any] struct {
	Status int
	Body   T
}

const mostChanges = 200

func (a *api) changes(ctx context.Context, in *struct {
	Site  string    `query:"site" maxLength:"100" doc:"only those of this site, and of all sites"`
	From  time.Time `query:"from" doc:"no older ones"`
	To    time.Time `query:"to" doc:"no newer ones"`
	Limit int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
}) (*body[Changes], error) {
	var now incident.Incident
	if in.Site != "" {
		s, err := a.current(ctx, in.Site)
		if err != nil {
			return nil, err
		}
		if s.Incident != nil && s.Incident.Phase.Open() {
			now = *s.Incident
		}
	}
	found, err := a.o.Engine.Changes(ctx, ledger.Query{Site: in.Site, From: in.From, To: in.To, Limit: min(cmp.Or(in.Limit, 50), mostChanges)})
	if err != nil {
		return nil, err
	}
	return &body[Changes]{ranked(found, now)}, nil
}

// ranked puts changes in the order in which they are worth a look.
func ranked(found []ledger.Change, now incident.Incident) Changes {
	out := Changes{Changes: make([]Change, 0, len(found)), Incident: now.ID}
	if now.ID == "" {
		for _, c := range found {
			out.Changes = append(out.Changes, Change{Change: c})
		}
		return out
	}
	marks := map[string]incident.Change{}
	for _, c := range now.Changes {
		marks[c.ID] = c
	}
	for _, r := range ledger.Rank(found, now.FirstSymptomAt, now.DeclaredAt) {
		out.Changes = append(out.Changes, Change{Change: r.Change, Before: r.Before, When: r.When, Suspect: marks[r.ID].Suspect, Note: marks[r.ID].Note})
	}
	return out
}
