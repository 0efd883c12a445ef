package control

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/quarantinelever"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
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
func openDesk(o Options, acts desk.Acts) (*desk.Desk, error) {
	if len(o.Config.Databases) == 0 {
		return nil, nil
	}
	var sources []desk.Source
	for _, d := range o.Config.Databases {
		sources = append(sources, desk.Source{
			Name: d.Name, Kind: rowKinds[d.Kind], Site: d.Site, Tables: d.Tables, Approval: d.Approval,
			Open: func() (quarantine.Database, error) { return openDatabase(d, o) },
		})
	}
	return desk.New(desk.Options{Dir: filepath.Join(o.Dir, "rows"), Sources: sources, Acts: acts, Now: o.Now, NewID: o.NewID, Logger: o.Logger})
}

// openDatabase opens one database; its address is read anew, so that a changed password
// needs no restart.
func openDatabase(d config.Database, o Options) (quarantine.Database, error) {
	with := relational.Options{Name: d.Name, Tables: d.Tables, Links: links(d), Limits: quarantine.Limits{Rows: d.MaxRows}, Now: o.Now, Log: o.Logger}
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
