package api

import (
	"context"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/role"
)

// Desk is where rows are taken out of databases; *desk.Desk is one.
type Desk interface {
	Sources() []desk.Source
	Plan(ctx context.Context, database string, r quarantine.Request, by incident.Actor) (desk.Kept, error)
	Kept(id string) (desk.Kept, error)
	Plans() []desk.Kept
	Approve(id, hash string, by incident.Actor) (desk.Kept, error)
	Apply(ctx context.Context, id, hash, reason string, by incident.Actor) (desk.Kept, error)
	Stop(id string) error
	Held(ctx context.Context) desk.Holding
	Find(ctx context.Context, id string) (desk.Held, quarantine.Database, error)
	Verify(ctx context.Context, id string) (quarantine.Verdict, error)
	Preview(ctx context.Context, b quarantine.Back) (quarantine.Preview, error)
	Restore(ctx context.Context, b quarantine.Back, reason string, by incident.Actor) (quarantine.Returned, error)
	Discard(ctx context.Context, operation string, roots []quarantine.Key, reason string, by incident.Actor) (quarantine.Operation, error)
	Purge(ctx context.Context, operation string, by incident.Actor) (quarantine.Operation, bool, error)
	Search(ctx context.Context, r desk.SearchRequest, by incident.Actor) (desk.Search, error)
	Searches() []desk.Search
	Searched(id string) (desk.Search, error)
	StopSearch(id string) error
}

// DataSource is a database that rows can be taken out of.
type DataSource struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind" example:"quarantine/postgres"`
	Site     string   `json:"site"`
	Tables   []string `json:"tables" doc:"what may be named; rows that hang on them move along"`
	Approval bool     `json:"approval,omitempty" doc:"another person has to read a plan first"`
}

// DataSources are the databases of the configuration.
type DataSources struct {
	Databases []DataSource `json:"databases"`
}

// DataPlanBody chooses rows, by key or by a condition, never both.
type DataPlanBody struct {
	Database string         `json:"database" maxLength:"100" example:"shop"`
	Table    string         `json:"table" maxLength:"200" example:"orders"`
	Keys     [][]string     `json:"keys,omitempty" maxItems:"1000" doc:"each the text of the table's key columns, in order"`
	Where    string         `json:"where,omitempty" maxLength:"8000" doc:"a condition of comparisons, as in: customer = 4711 and state in ('open', 'paid')"`
	Mode     string         `json:"mode,omitempty" enum:"move,replace" doc:"move unless said"`
	Set      []DataCellBody `json:"set,omitempty" maxItems:"50" doc:"mode replace: the safe values"`
	Batch    bool           `json:"batch,omitempty" doc:"in many transactions, and so not atomic"`
	Accept   []string       `json:"accept,omitempty" maxItems:"10" doc:"rules that a person takes upon them: share, index, open"`
	Reason   string         `json:"reason,omitempty" maxLength:"2000"`
}

// DataCellBody is a value for a column; null is NULL.
type DataCellBody struct {
	Column string  `json:"column" maxLength:"100"`
	Value  *string `json:"value" required:"false" nullable:"true" maxLength:"10000"`
}

// DataPlans are the plans that are kept, newest first.
type DataPlans struct {
	Plans []desk.Kept `json:"plans"`
}

// DataHashBody names the plan that was read.
type DataHashBody struct {
	Hash   string `json:"hash" maxLength:"64" doc:"of the plan that you have read"`
	Reason string `json:"reason,omitempty" maxLength:"2000" doc:"one sentence: why"`
}

// DataBackBody says what comes back, and how.
type DataBackBody struct {
	ID     string         `json:"id,omitempty" pattern:"^[a-z0-9]*$" maxLength:"26" doc:"of this act; the same id again changes nothing"`
	Policy string         `json:"policy,omitempty" enum:"abort,skip-and-report" doc:"of a row that can't come back; abort unless said. Nothing is ever overwritten"`
	Roots  [][]string     `json:"roots,omitempty" maxItems:"1000" doc:"only these rows, with what hangs on them"`
	Edits  []DataEditBody `json:"edits,omitempty" maxItems:"100" doc:"corrections on the way back"`
	Reason string         `json:"reason,omitempty" maxLength:"2000"`
}

// DataEditBody corrects one held row.
type DataEditBody struct {
	Table string         `json:"table" maxLength:"200"`
	Key   []string       `json:"key" minItems:"1" maxItems:"16"`
	Set   []DataCellBody `json:"set" minItems:"1" maxItems:"100"`
}

// DataDropBody gives rows up.
type DataDropBody struct {
	Roots  [][]string `json:"roots,omitempty" maxItems:"1000" doc:"only these rows, with what hangs on them"`
	Reason string     `json:"reason" maxLength:"2000" doc:"one sentence: why they will never be needed"`
}

// DataPurged says whether the copies are gone, or who else has to ask.
type DataPurged struct {
	Done      bool                 `json:"done" doc:"false: a second person has to ask within a day"`
	Operation quarantine.Operation `json:"operation"`
}

// DataSearchBody says where to look for the row that does harm, and by what.
type DataSearchBody struct {
	Database string   `json:"database" maxLength:"100" example:"shop"`
	By       string   `json:"by,omitempty" enum:"query,pages,moving,none" doc:"query where there is one unless said, then pages. Moving takes rows away for moments and puts them back; the others only read"`
	Paths    []string `json:"paths,omitempty" maxItems:"20" doc:"of pages that fail, as /orders; the first is what moving asks for"`
	Bodies   []string `json:"bodies,omitempty" maxItems:"20" doc:"what they answered; without bodies and logs the evidence of the open incident is looked at"`
	Logs     []string `json:"logs,omitempty" maxItems:"20000" doc:"lines since it began"`
	Usual    []string `json:"usual,omitempty" maxItems:"20000" doc:"lines from before: what they say, too, is not new"`
}

// DataSearches are the searches of late, newest first.
type DataSearches struct {
	Searches []desk.Search `json:"searches"`
}

// SearchPath names a search; exported as PlanPath is.
type SearchPath struct {
	Search string `path:"search" maxLength:"26" doc:"the search's id"`
}

// PlanPath names a plan. It is exported because the router reads no other embedded fields.
type PlanPath struct {
	Plan string `path:"plan" maxLength:"26" doc:"the plan's id"`
}

// OperationPath names an operation; exported as PlanPath is.
type OperationPath struct {
	Operation string `path:"operation" maxLength:"26" doc:"the operation's id, which is its plan's"`
}

func (a *api) dataRoutes() {
	route(a, get("/data", "data", "The databases that rows can be taken out of"), a.dataSources)
	route(a, get("/data/plans", "data-plans", "The plans that are kept, newest first"), func(context.Context, *struct{}) (*body[DataPlans], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		return &body[DataPlans]{DataPlans{slices.Concat([]desk.Kept{}, d.Plans())}}, nil
	})
	plan := post("/data/plans", "data-plan", "Say which rows would leave, with all that hangs on them; nothing is changed", role.Operator)
	route(a, plan, a.dataPlan)
	route(a, get("/data/plans/{plan}", "data-plan-show", "A plan, and how far it is carried out"), func(_ context.Context, in *PlanPath) (*body[desk.Kept], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		k, err := d.Kept(in.Plan)
		return &body[desk.Kept]{k}, err
	})
	route(a, post("/data/plans/{plan}/approve", "data-approve", "Approve a plan that somebody else has made", role.Operator), func(ctx context.Context, in *struct {
		PlanPath
		Body DataHashBody
	}) (*body[desk.Kept], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		k, err := d.Approve(in.Plan, in.Body.Hash, actorOf(ctx))
		return &body[desk.Kept]{k}, err
	})
	apply := post("/data/plans/{plan}/apply", "data-apply", "Carry a plan out, declaring an incident if none is open", role.Operator)
	apply.about = "In one transaction, answered once the rows are seen to be gone. A batch goes on beside; ask for the plan to see how far it is."
	route(a, apply, a.dataApply)
	route(a, post("/data/plans/{plan}/stop", "data-stop", "Stop a batch after the transaction under way", role.Operator), func(_ context.Context, in *PlanPath) (*struct{}, error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		return nil, d.Stop(in.Plan)
	})
	a.heldRoutes()
	a.searchRoutes()
}

func (a *api) searchRoutes() {
	begin := post("/data/searches", "data-search", "Look for the row that does harm", role.Operator)
	begin.about = "Answered at once; ask for the search to see how far it is. Moving takes rows away for moments, with what hangs on them, and puts all of them back before it ends."
	route(a, begin, func(ctx context.Context, in *struct{ Body DataSearchBody }) (*created[desk.Search], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		s, err := d.Search(ctx, in.Body.request(), actorOf(ctx))
		return &created[desk.Search]{201, s}, err
	})
	route(a, get("/data/searches", "data-searches", "The searches of late, newest first"), func(context.Context, *struct{}) (*body[DataSearches], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		return &body[DataSearches]{DataSearches{d.Searches()}}, nil
	})
	route(a, get("/data/searches/{search}", "data-search-show", "How far a search is, and what came of it"), func(_ context.Context, in *SearchPath) (*body[desk.Search], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		s, err := d.Searched(in.Search)
		return &body[desk.Search]{s}, err
	})
	route(a, post("/data/searches/{search}/stop", "data-search-stop", "Stop a search; what it has taken away is put back first", role.Operator), func(_ context.Context, in *SearchPath) (*struct{}, error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		return nil, d.StopSearch(in.Search)
	})
}

func (b DataSearchBody) request() desk.SearchRequest {
	return desk.SearchRequest{Database: b.Database, By: b.By, Paths: b.Paths, Bodies: b.Bodies, Logs: b.Logs, Usual: b.Usual}
}

func (a *api) heldRoutes() {
	route(a, get("/data/held", "data-held", "What the databases hold, newest first"), func(ctx context.Context, _ *struct{}) (*body[desk.Holding], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		return &body[desk.Holding]{d.Held(ctx)}, nil
	})
	verify := get("/data/held/{operation}/verify", "data-verify", "Whether the rows are gone, the copies whole and nothing orphaned")
	route(a, verify, func(ctx context.Context, in *OperationPath) (*body[quarantine.Verdict], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		v, err := d.Verify(ctx, in.Operation)
		return &body[quarantine.Verdict]{v}, err
	})
	route(a, post("/data/held/{operation}/preview", "data-preview", "What putting rows back would do; nothing is changed", role.Operator), func(ctx context.Context, in *struct {
		OperationPath
		Body *DataBackBody
	}) (*body[quarantine.Preview], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		p, err := d.Preview(ctx, in.Body.back(in.Operation))
		return &body[quarantine.Preview]{p}, err
	})
	route(a, post("/data/held/{operation}/restore", "data-restore", "Put rows back: all, some, or corrected ones", role.Operator), func(ctx context.Context, in *struct {
		OperationPath
		Body *DataBackBody
	}) (*body[quarantine.Returned], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		reason := ""
		if in.Body != nil {
			reason = in.Body.Reason
		}
		r, err := d.Restore(ctx, in.Body.back(in.Operation), reason, actorOf(ctx))
		return &body[quarantine.Returned]{r}, err
	})
	route(a, post("/data/held/{operation}/discard", "data-discard", "Give held rows up; the copies stay until they are purged", role.Commander), func(ctx context.Context, in *struct {
		OperationPath
		Body DataDropBody
	}) (*body[quarantine.Operation], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		op, err := d.Discard(ctx, in.Operation, keysOf(in.Body.Roots), in.Body.Reason, actorOf(ctx))
		return &body[quarantine.Operation]{op}, err
	})
	purge := post("/data/held/{operation}/purge", "data-purge", "Delete the copies for ever; two people have to ask", role.Commander)
	route(a, purge, func(ctx context.Context, in *OperationPath) (*body[DataPurged], error) {
		d, err := a.desk()
		if err != nil {
			return nil, err
		}
		op, done, err := d.Purge(ctx, in.Operation, actorOf(ctx))
		return &body[DataPurged]{DataPurged{done, op}}, err
	})
}

func (a *api) desk() (Desk, error) {
	if a.o.Desk == nil {
		return nil, fault.New(fault.NotFound, "the configuration has no databases").WithHint("name them under databases")
	}
	return a.o.Desk, nil
}

func (a *api) dataSources(context.Context, *struct{}) (*body[DataSources], error) {
	out := DataSources{Databases: []DataSource{}}
	if a.o.Desk != nil {
		for _, s := range a.o.Desk.Sources() {
			out.Databases = append(out.Databases, DataSource{s.Name, s.Kind, s.Site, slices.Concat([]string{}, s.Tables), s.Approval})
		}
	}
	return &body[DataSources]{out}, nil
}

func (a *api) dataPlan(ctx context.Context, in *struct{ Body DataPlanBody }) (*created[desk.Kept], error) {
	d, err := a.desk()
	if err != nil {
		return nil, err
	}
	b := in.Body
	r := quarantine.Request{Mode: quarantine.Mode(b.Mode), Table: b.Table, Keys: keysOf(b.Keys), Set: cellsOf(b.Set), Batch: b.Batch, Reason: b.Reason}
	if r.Mode == "" {
		r.Mode = quarantine.Move
	}
	for _, rule := range b.Accept {
		r.Accept = append(r.Accept, quarantine.Rule(rule))
	}
	if strings.TrimSpace(b.Where) != "" {
		if r.Where, err = quarantine.ParsePredicate(b.Where); err != nil {
			return nil, err
		}
	}
	k, err := d.Plan(ctx, b.Database, r, actorOf(ctx))
	return &created[desk.Kept]{201, k}, err
}

func (a *api) dataApply(ctx context.Context, in *struct {
	PlanPath
	Body DataHashBody
}) (*body[desk.Kept], error) {
	d, err := a.desk()
	if err != nil {
		return nil, err
	}
	k, err := d.Apply(ctx, in.Plan, in.Body.Hash, in.Body.Reason, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	if now, err := d.Kept(in.Plan); err == nil {
		k = now
	}
	return &body[desk.Kept]{k}, nil
}

func keysOf(in [][]string) []quarantine.Key {
	var out []quarantine.Key
	for _, k := range in {
		out = append(out, quarantine.Key(k))
	}
	return out
}

func cellsOf(in []DataCellBody) []quarantine.Cell {
	var out []quarantine.Cell
	for _, c := range in {
		out = append(out, quarantine.Cell{Column: c.Column, Value: c.Value})
	}
	return out
}

// back is what a body asks for; none asks for everything, as it was.
func (b *DataBackBody) back(operation string) quarantine.Back {
	out := quarantine.Back{Operation: operation, Policy: quarantine.Abort}
	if b == nil {
		return out
	}
	if b.Policy != "" {
		out.Policy = quarantine.Policy(b.Policy)
	}
	out.ID, out.Roots = b.ID, keysOf(b.Roots)
	for _, e := range b.Edits {
		out.Edits = append(out.Edits, quarantine.Edit{Table: e.Table, Key: quarantine.Key(e.Key), Set: cellsOf(e.Set)})
	}
	return out
}
