package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonebook"
	"lifeboat/internal/zonebook/desk"
)

// openBook puts the records that were published into the place of the configuration's.
// It gives back the configuration as its file has it, nil where that is the same.
func openBook(ctx context.Context, o *Options, record store.Store) (*desk.Book, *config.Config, error) {
	book, zones, err := desk.Open(ctx, record, o.Config.Zones, o.Config.Positions())
	if err != nil {
		return nil, nil, err
	}
	var file *config.Config
	for _, z := range o.Config.Zones {
		switch s := book.Standing(z.Apex); s.State {
		case desk.AsFile:
			continue
		case desk.Unfit:
			o.Logger.Error("the published records of a zone do not fit the configuration any more; the file's are served", "zone", z.Apex, "cause", s.Problem)
		case desk.Parted:
			o.Logger.Warn("the configuration's records of a zone have changed; those that were published stay in force", "zone", z.Apex, "differ", len(s.Changed))
			file = o.Config
		default:
			file = o.Config
		}
	}
	if file != nil {
		inForce := *o.Config
		inForce.Zones = zones
		o.Config = &inForce
	}
	return book, file, nil
}

// bookFindings tell where published records and the file's stand apart.
func bookFindings(cfg *config.Config, book *desk.Book) (out []engine.Finding) {
	for _, z := range cfg.Zones {
		f := engine.Finding{Code: "zone-records", About: z.Apex, Title: "Records of " + strings.TrimSuffix(z.Apex, "."), Severity: engine.SeverityWarning}
		name := strings.TrimSuffix(z.Apex, ".")
		switch s := book.Standing(z.Apex); s.State {
		case desk.Unfit:
			f.Severity = engine.SeverityProblem
			f.Text = "The records that were published do not fit the configuration any more, and the file's are served instead: " + s.Problem + "."
			f.Next = "Look at both: lifeboat zone show " + name + ". Mend the configuration, or publish again."
		case desk.Parted:
			f.Text = fmt.Sprintf("The file's records have changed, and others were published: those stay in force. They differ in %d: %s.", len(s.Changed), first(s.Changed))
			f.Next = "Decide: lifeboat zone export " + name + " for the file, or lifeboat zone take-file " + name + ", or lifeboat zone keep " + name + "."
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

func first(all []string) string {
	if len(all) == 0 {
		return "nothing"
	}
	return all[0]
}

// openZones makes the desk where records are edited.
func openZones(o Options, record *store.Guarded, book *desk.Book, eng *engine.Engine) *desk.Desk {
	var servers []desk.Server
	for _, n := range o.Config.Nameservers {
		servers = append(servers, desk.Server{Name: n.Name, Address: n.Address})
	}
	var secondary, authority []string
	for _, x := range o.Config.Primaries {
		secondary = append(secondary, x.Zone)
	}
	if c := o.Config.Certificates; c != nil {
		authority = c.CAA
	}
	return desk.New(desk.Options{
		Store: record, Book: book, Zones: eng.Zones, Sites: eng.Sites, Crisis: eng.InCrisis, Servers: servers, Secondary: secondary, Authority: authority,
		Now: o.Now, Logger: o.Logger,
		Degraded: func() bool { _, _, _, degraded := record.Degraded(); return degraded },
		Hidden:   func(name string) bool { return o.Config.Shadow(name) },
		Publish: func(ctx context.Context, src zone.Source, records int, conds []store.Cond, writes func(uint32) []store.Write) (uint32, bool, bool, error) {
			serial, err := eng.PublishRecords(ctx, engine.Records{Zone: src, Count: records, Conds: conds, Writes: writes})
			return serial, errors.Is(err, publish.ErrUnsure), errors.Is(err, engine.ErrRecordsRefused), err
		},
		Tell: func(ctx context.Context, apex string, r zonebook.Revision, by string) {
			what := fmt.Sprintf("Records of %s were published (revision %d): %s", strings.TrimSuffix(apex, "."), r.Number, r.Sentence())
			_, err := eng.AddChange(ctx, ledger.Change{ID: fmt.Sprintf("zone-%s%d", apex, r.Number), At: r.At, Source: "lifeboat", Kind: "dns", Who: by, What: what}, incident.Actor{Kind: "person", Name: by})
			if err != nil {
				o.Logger.Warn("a publishing is not in the ledger of changes", "zone", apex, "cause", err)
			}
		},
	})
}
