package api

import (
	"cmp"
	"context"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
	"lifeboat/internal/zonebook"
	zonedesk "lifeboat/internal/zonebook/desk"
)

// Zones is where people change the records of zones; *desk.Desk of zonebook is one.
type Zones interface {
	Zones(ctx context.Context) ([]zonedesk.View, error)
	Sheet(ctx context.Context, apex string, who zonebook.Who, filter string) (zonedesk.Sheet, error)
	Draft(ctx context.Context, apex string, who zonebook.Who) (zonebook.Draft, error)
	Change(ctx context.Context, apex string, who zonebook.Who, changes ...zonebook.Change) (zonebook.Draft, error)
	Paste(ctx context.Context, apex string, who zonebook.Who, text string, replace bool) (zonebook.Draft, error)
	TakeOut(ctx context.Context, apex string, who zonebook.Who, n int) (zonebook.Draft, error)
	Plan(ctx context.Context, apex string, who zonebook.Who, what zonedesk.What) (zonebook.Plan, error)
	Publish(ctx context.Context, apex string, who zonebook.Who, o zonedesk.Order) (zonedesk.Published, error)
	Keep(ctx context.Context, apex string, who zonebook.Who) error
	History(ctx context.Context, apex string) ([]zonedesk.Entry, error)
	Revised(ctx context.Context, apex string, n int) (zonedesk.Entry, zonebook.Text, error)
	Text(apex string) (string, error)
}

// ZonePath names a zone. It is exported because the router reads no other embedded fields.
type ZonePath struct {
	Zone string `path:"zone" maxLength:"260" doc:"the zone's name; the final dot may be left out" example:"shop.example.com"`
}

// ZoneRevisionPath names a revision of a zone.
type ZoneRevisionPath struct {
	ZonePath
	Revision int `path:"revision" minimum:"0" doc:"its number; 0 is what the configuration said before the first"`
}

// ZoneList are the zones, by name.
type ZoneList struct {
	Zones []zonedesk.View `json:"zones"`
}

// ZoneHistory are a zone's revisions, newest first.
type ZoneHistory struct {
	Revisions []zonedesk.Entry `json:"revisions"`
}

// ZoneRevision is one revision with its text.
type ZoneRevision struct {
	zonedesk.Entry
	Text zonebook.Text `json:"text"`
}

// ZoneText is the text of a zone file.
type ZoneText struct {
	Text string `json:"text"`
}

// ZoneChangeBody is one change of a draft.
type ZoneChangeBody struct {
	Op   string   `json:"op" enum:"add,replace,remove" doc:"add: beside those there; replace: in the place of those under old, or of the whole set; remove: those under old, or the whole set"`
	Name string   `json:"name" maxLength:"1024" doc:"@ is the zone; without a final dot it is below the zone" example:"www"`
	Type string   `json:"type" maxLength:"20" example:"A"`
	TTL  uint32   `json:"ttl,omitempty" maximum:"2147483647" doc:"seconds, of the whole set; as before unless said"`
	Data []string `json:"data,omitempty" maxItems:"200" doc:"in the form of a master file; names in it with their final dot" example:"[\"192.0.2.10\"]"`
	Old  []string `json:"old,omitempty" maxItems:"200" doc:"of replace and remove: which records"`
}

// ZoneChangesBody are changes for a draft: all of them are taken, or none.
type ZoneChangesBody struct {
	Changes []ZoneChangeBody `json:"changes" minItems:"1" maxItems:"500"`
}

// ZonePasteBody is a piece of a zone file for a draft.
type ZonePasteBody struct {
	Records string `json:"records" maxLength:"65536" example:"www 300 IN A 192.0.2.10"`
	Replace bool   `json:"replace,omitempty" doc:"the record sets that it names become what it says; else it is added to them"`
}

// ZoneTakeOutBody names a change of the draft.
type ZoneTakeOutBody struct {
	Change int `json:"change" minimum:"0" doc:"counted from 1; 0: all of them"`
}

// ZonePublishBody names the plan that was read.
type ZonePublishBody struct {
	Hash     string `json:"hash" maxLength:"64" doc:"of the plan"`
	Kind     string `json:"kind,omitempty" enum:"draft,undo,configuration" doc:"what is published: your draft unless said"`
	Revision int    `json:"revision,omitempty" minimum:"-1" doc:"of an undo: the revision whose records come back; -1: the one before"`
	Accept   bool   `json:"accept,omitempty" doc:"what the plan asks for is accepted"`
	Note     string `json:"note,omitempty" maxLength:"2000" doc:"why, for the history"`
}

// noZones is what somebody meets where nobody edits records.
func noZones() error {
	return fault.New(fault.NotSupported, "records of zones are not edited here")
}

func (a *api) zoneDesk() (Zones, error) {
	if a.o.Zones == nil {
		return nil, noZones()
	}
	return a.o.Zones, nil
}

// WhoEdits is whoever changes records: drafts are theirs.
func WhoEdits(by incident.Actor) zonebook.Who {
	return zonebook.Who{ID: by.Kind + "/" + cmp.Or(by.ID, by.Name), Name: cmp.Or(by.Name, by.ID, by.Kind), Via: by.Via}
}

// zoned is a route of one zone that gives something back.
func zoned[I, O any](a *api, op operation, f func(ctx context.Context, z Zones, who zonebook.Who, in *I) (O, error)) {
	route(a, op, func(ctx context.Context, in *I) (*body[O], error) {
		z, err := a.zoneDesk()
		if err != nil {
			return nil, err
		}
		out, err := f(ctx, z, WhoEdits(actorOf(ctx)), in)
		return &body[O]{out}, err
	})
}

func (a *api) zoneRoutes() {
	zoned(a, get("/zones", "zones", "The zones, who is changing them, and how they stand to the configuration"), func(ctx context.Context, z Zones, _ zonebook.Who, _ *struct{}) (ZoneList, error) {
		list, err := z.Zones(ctx)
		return ZoneList{append([]zonedesk.View{}, list...)}, err
	})
	zoned(a, get("/zones/{zone}", "zone", "A zone's records as they would be with your draft, each marked with what the draft does to it"), func(ctx context.Context, z Zones, who zonebook.Who, in *struct {
		ZonePath
		Filter string `query:"filter" maxLength:"200" doc:"words that a record has to have in its name, type or data"`
	}) (zonedesk.Sheet, error) {
		return z.Sheet(ctx, in.Zone, who, in.Filter)
	})
	zoned(a, get("/zones/{zone}/plan", "zone-plan", "What publishing would do, in words; nothing is changed"), func(ctx context.Context, z Zones, who zonebook.Who, in *struct {
		ZonePath
		Kind     string `query:"kind" enum:"draft,undo,configuration" doc:"your draft unless said"`
		Revision int    `query:"revision" minimum:"-1" doc:"of an undo: the revision whose records come back; -1: the one before"`
	}) (zonebook.Plan, error) {
		return z.Plan(ctx, in.Zone, who, zonedesk.What{Kind: zonebook.Kind(in.Kind), Of: in.Revision})
	})
	a.draftRoutes()
	publish := post("/zones/{zone}/publish", "zone-publish", "Publish what a plan says", role.Operator)
	publish.about = "It is written down first, then served under the next serial, then every name server is asked: `outcome` says how many answer by it. A plan that is not the one that would be made now is a conflict (409); the draft stays."
	zoned(a, publish, func(ctx context.Context, z Zones, who zonebook.Who, in *struct {
		ZonePath
		Body ZonePublishBody
	}) (zonedesk.Published, error) {
		b := in.Body
		return z.Publish(ctx, in.Zone, who, zonedesk.Order{What: zonedesk.What{Kind: zonebook.Kind(b.Kind), Of: b.Revision}, Hash: b.Hash, Accept: b.Accept, Note: b.Note})
	})
	zoned(a, get("/zones/{zone}/revisions", "zone-history", "What was published, by whom and when, and what was seen then, newest first"), func(ctx context.Context, z Zones, _ zonebook.Who, in *ZonePath) (ZoneHistory, error) {
		list, err := z.History(ctx, in.Zone)
		return ZoneHistory{list}, err
	})
	zoned(a, get("/zones/{zone}/revisions/{revision}", "zone-revision", "One revision with its text"), func(ctx context.Context, z Zones, _ zonebook.Who, in *ZoneRevisionPath) (ZoneRevision, error) {
		e, t, err := z.Revised(ctx, in.Zone, in.Revision)
		return ZoneRevision{e, t}, err
	})
	zoned(a, get("/zones/{zone}/text", "zone-text", "The records in force, as the text of a zone file"), func(_ context.Context, z Zones, _ zonebook.Who, in *ZonePath) (ZoneText, error) {
		t, err := z.Text(in.Zone)
		return ZoneText{t}, err
	})
	keep := post("/zones/{zone}/keep", "zone-keep", "Say that what was published stays in force although the configuration's records have changed", role.Operator)
	route(a, keep, func(ctx context.Context, in *ZonePath) (*struct{}, error) {
		z, err := a.zoneDesk()
		if err != nil {
			return nil, err
		}
		return nil, z.Keep(ctx, in.Zone, WhoEdits(actorOf(ctx)))
	})
}

func (a *api) draftRoutes() {
	zoned(a, get("/zones/{zone}/draft", "zone-draft", "What you have changed and not published"), func(ctx context.Context, z Zones, who zonebook.Who, in *ZonePath) (zonebook.Draft, error) {
		return z.Draft(ctx, in.Zone, who)
	})
	change := post("/zones/{zone}/draft", "zone-change", "Add changes to your draft; nothing is published", role.Operator)
	zoned(a, change, func(ctx context.Context, z Zones, who zonebook.Who, in *struct {
		ZonePath
		Body ZoneChangesBody
	}) (zonebook.Draft, error) {
		var all []zonebook.Change
		for _, c := range in.Body.Changes {
			all = append(all, zonebook.Change{Op: zonebook.Op(c.Op), Name: c.Name, Type: c.Type, TTL: c.TTL, Data: c.Data, Old: c.Old})
		}
		return z.Change(ctx, in.Zone, who, all...)
	})
	zoned(a, post("/zones/{zone}/draft/paste", "zone-paste", "Add a piece of a zone file to your draft", role.Operator), func(ctx context.Context, z Zones, who zonebook.Who, in *struct {
		ZonePath
		Body ZonePasteBody
	}) (zonebook.Draft, error) {
		return z.Paste(ctx, in.Zone, who, in.Body.Records, in.Body.Replace)
	})
	zoned(a, post("/zones/{zone}/draft/take-out", "zone-take-out", "Take a change out of your draft, or throw all of it away", role.Operator), func(ctx context.Context, z Zones, who zonebook.Who, in *struct {
		ZonePath
		Body ZoneTakeOutBody
	}) (zonebook.Draft, error) {
		return z.TakeOut(ctx, in.Zone, who, in.Body.Change)
	})
}
