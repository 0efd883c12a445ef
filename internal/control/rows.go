package control

import (
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/quarantinelever"
	"lifeboat/internal/probe"
	"lifeboat/internal/prober"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/quarantine/find"
	"lifeboat/internal/quarantine/mysql"
	"lifeboat/internal/quarantine/postgres"
	"lifeboat/internal/quarantine/relational"
	"lifeboat/internal/quarantine/sqlite"
)

// rowKinds are the kinds of levers that take rows away, by the kind of a database.
var rowKinds = map[string]string{
	config.KindPostgres: "quarantine/postgres", config.KindMariaDB: "quarantine/mysql", config.KindMySQL: "quarantine/mysql", config.KindSQLite: "quarantine/sqlite",
}

// openDesk makes the desk of the configuration's databases; nil without any.
func openDesk(o Options, round *doctor.Round, acts desk.Acts) (*desk.Desk, error) {
	if len(o.Config.Databases) == 0 {
		return nil, nil
	}
	var sources []desk.Source
	for _, d := range o.Config.Databases {
		sources = append(sources, desk.Source{
			Name: d.Name, Kind: rowKinds[d.Kind], Site: d.Site, Tables: d.Tables, Approval: d.Approval,
			Open:    func() (quarantine.Database, error) { return openDatabase(d, o, round) },
			Lookout: lookout(d, o, round),
		})
	}
	return desk.New(desk.Options{Dir: filepath.Join(o.Dir, "rows"), Sources: sources, Acts: acts, Now: o.Now, NewID: o.NewID, Logger: o.Logger})
}

// openDatabase opens one database; its address is read anew, so that a changed password
// needs no restart.
func openDatabase(d config.Database, o Options, round *doctor.Round) (quarantine.Database, error) {
	with := relational.Options{Name: d.Name, Tables: d.Tables, Links: links(d), Limits: quarantine.Limits{Rows: d.MaxRows}, Now: o.Now, Log: o.Logger}
	if k := round.Keeper(d.Name); k != nil {
		with.Lend = k.Do
	}
	if d.Kind == config.KindSQLite {
		return sqlite.Open(d.File, with)
	}
	dsn := strings.TrimSpace(os.Getenv(d.DSNEnv))
	if d.DSNFile != "" {
		b, err := secret(d.DSNFile)
		if err != nil {
			return nil, err
		}
		dsn = string(b)
	}
	if dsn == "" {
		return nil, fault.New(fault.Invalid, "the address of the database is empty").At(d.Name).WithHint("write it into the file that dsn_file names, or set the variable that dsn_env names")
	}
	if d.Kind == config.KindPostgres {
		return postgres.Open(dsn, with)
	}
	return mysql.Open(dsn, with)
}

// lookout is how a database is searched for the row that does harm: over the connection
// that is kept, and by asking home for pages as its checks do.
func lookout(d config.Database, o Options, round *doctor.Round) desk.Lookout {
	out := desk.Lookout{Target: find.Target{Name: d.Name, Kind: d.Kind, Tables: d.Tables, Pages: d.Pages, Query: d.SymptomQuery}}
	if k := round.Keeper(d.Name); k != nil {
		out.Lend = k.Do
	}
	i := slices.IndexFunc(o.Config.Sites, func(s config.Site) bool { return s.ID == d.Site })
	if i < 0 {
		return out
	}
	s := o.Config.Sites[i]
	home := s.Origins[max(0, slices.IndexFunc(s.Origins, func(x config.Origin) bool { return x.Name == s.Home }))]
	out.Page = find.Site{Scheme: s.Scheme, Host: s.Names[0], Address: netip.AddrPortFrom(home.Addresses[0], uint16(s.Port))}.Ask
	if at := slices.IndexFunc(s.Checks, func(c probe.Check) bool { return c.Name == d.Symptom }); at >= 0 {
		target := probe.Target{Site: s.ID, Place: home.Name, Address: home.Addresses[0].String(), Port: s.Port, Scheme: s.Scheme, Host: s.Names[0]}
		out.Symptom = func(ctx context.Context) (find.Answer, error) { return symptom(ctx, target, s.Checks[at]) }
	}
	return out
}

// symptom asks the check that shows the harm.
func symptom(ctx context.Context, t probe.Target, c probe.Check) (find.Answer, error) {
	r := prober.Ask(ctx, t, c)
	switch r.Verdict {
	case probe.Pass:
		return find.Answer{Says: "the check " + c.Name + " passes"}, nil
	case probe.Fail:
		return find.Answer{Harm: true, Says: "the check " + c.Name + " fails"}, nil
	}
	return find.Answer{}, fault.New(fault.Unavailable, "the check %s could not be asked: %s", c.Name, r.Detail).WithHint("see that %s can be reached from here", t.Place)
}

// links are the relations that the database does not know of.
func links(d config.Database) []quarantine.Link {
	var out []quarantine.Link
	for _, k := range d.LogicalKeys {
		l := quarantine.Link{Name: "configuration", Child: k.Table, ChildColumns: k.Columns, Parent: k.To, ParentColumns: k.ToColumns, OnDelete: "no action", Logical: true}
		for column, value := range k.When {
			l.When = append(l.When, quarantine.Cell{Column: column, Value: &value})
		}
		out = append(out, l)
	}
	return out
}

// rowDrivers are the drivers of levers that take rows away.
func rowDrivers(d *desk.Desk, now func() time.Time) map[string]lever.Driver {
	out := map[string]lever.Driver{}
	if d == nil {
		return out
	}
	for _, s := range d.Sources() {
		out[s.Kind] = quarantinelever.New(quarantinelever.Options{
			Kind: s.Kind, Database: d.Database, Now: now,
			Plan: func(id string) (quarantine.Plan, error) {
				k, err := d.Kept(id)
				return k.Plan, err
			},
		})
	}
	return out
}

// rowActs does in an incident what the desk asks for.
type rowActs struct{ eng **engine.Engine }

// Pull implements desk.Acts.
func (r rowActs) Pull(ctx context.Context, site, name, reason string, by incident.Actor) (incident.Incident, error) {
	res, err := (*r.eng).Do(ctx, site, engine.PullRequest{Lever: name, PullLever: incident.PullLever{Reason: reason}}, by)
	return res.Incident, err
}

// Back implements desk.Acts.
func (r rowActs) Back(ctx context.Context, site, name, reason string, by incident.Actor) (incident.Incident, error) {
	res, err := (*r.eng).Do(ctx, site, incident.PutBack{Lever: name, Reason: reason}, by)
	return res.Incident, err
}

// Note implements desk.Acts.
func (r rowActs) Note(ctx context.Context, site, text string, by incident.Actor) error {
	_, err := (*r.eng).Do(engine.WithKey(ctx, ""), site, incident.Note{Text: text}, by)
	if kind := fault.KindOf(err); kind == fault.NotFound {
		return nil
	}
	return err
}

// The bounds of evidence that a search reads by itself.
const (
	maxPieces    = 20      // of the newest
	maxPieceSize = 1 << 20 // bytes of each
)

// Evidence implements desk.Acts.
func (r rowActs) Evidence(ctx context.Context, site string) (find.Evidence, error) {
	var out find.Evidence
	all, err := (*r.eng).Overview(ctx)
	if err != nil {
		return out, err
	}
	for _, s := range all.Sites {
		if s.ID != site || s.Incident == nil || !s.Incident.Phase.Open() {
			continue
		}
		pieces := s.Incident.Evidence
		for _, x := range pieces[max(0, len(pieces)-maxPieces):] {
			text := r.text(ctx, s.Incident.ID, x)
			switch x.Kind {
			case "log":
				out.Logs = append(out.Logs, strings.Split(x.Deciding+"\n"+text, "\n")...)
			case "http", "note":
				out.Bodies = append(out.Bodies, x.Title+"\n"+x.Deciding+"\n"+text)
			}
		}
	}
	return out, nil
}

// text is the body of a piece of evidence, as far as it is text.
func (r rowActs) text(ctx context.Context, id string, x incident.Evidence) string {
	if x.SHA256 == "" || !strings.HasPrefix(x.Type, "text/") {
		return ""
	}
	_, body, err := (*r.eng).Evidence(ctx, id, x.ID)
	if err != nil {
		return "" // taken away, or not there any more: others tell
	}
	defer func() { _ = body.Close() }()
	b, _ := io.ReadAll(io.LimitReader(body, maxPieceSize))
	return string(b)
}

// Look implements desk.Acts.
func (r rowActs) Look(ctx context.Context, site, name string) error {
	return (*r.eng).LookAt(ctx, site, name)
}

// desk is the desk for the edges; no desk is no value at all.
func (p plane) desk() api.Desk {
	if p.rows == nil {
		return nil
	}
	return p.rows
}

// system is who acts where nobody has pressed.
var system = incident.Actor{Kind: "system", Name: "lifeboat"}
