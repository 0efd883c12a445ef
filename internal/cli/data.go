package cli

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/quarantine/find"
)

func (a *app) data() *cobra.Command {
	return group("data", "Rows that do harm: find them, take them out of a database, put them back", append([]*cobra.Command{a.dataDoctor(), a.dataFind()}, a.dataRows()...)...)
}

func (a *app) dataDoctor() *cobra.Command {
	var file string
	var asJSON, grants bool
	cmd := &cobra.Command{
		Use: "doctor [DATABASE]", Short: "Say which rights lifeboat needs in the databases, and whether it has them",
		Long: `Sign in at each database of the configuration and check the rights that taking rows away needs: on the allow-listed tables and on the schema
lifeboat_q, which holds what was taken. Nothing is changed. Where something is missing, the statements that give exactly these rights are
printed, for an administrator of the database to run.

Exit code 0 where everything is there, 1 otherwise.`,
		Example: "  lifeboat data doctor\n  lifeboat data doctor shop --grants",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&file, "config", "lifeboat.yaml", "configuration file")
	cmd.Flags().BoolVar(&grants, "grants", false, "print the statements even where nothing is missing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, list, err := databases(file, args)
		if err != nil {
			return err
		}
		reports := make([]doctor.Report, 0, len(list))
		ok := true
		for _, d := range list {
			r, err := a.checkup(cmd.Context(), d)
			if err != nil {
				return err
			}
			reports, ok = append(reports, r), ok && r.OK
		}
		if asJSON {
			if err := a.writeJSON(map[string]any{"databases": reports}); err != nil {
				return err
			}
		} else {
			for _, r := range reports {
				a.reported(r, grants)
			}
		}
		if !ok {
			return silent{exitFailed}
		}
		return nil
	}
	return cmd
}

// databases gives those of a configuration that are asked for: the one that is
// named, or all.
func databases(file string, args []string) (*config.Config, []config.Database, error) {
	c, err := readConfig(file)
	if err != nil {
		return nil, nil, err
	}
	if len(c.Databases) == 0 {
		return nil, nil, fault.New(fault.NotFound, "there is no database in this configuration").At(file).WithHint("add databases: {shop: {kind: postgres, dsn_file: shop.dsn, tables: [public.orders]}}")
	}
	if len(args) == 0 {
		return c, c.Databases, nil
	}
	names := make([]string, 0, len(c.Databases))
	for _, d := range c.Databases {
		if names = append(names, d.Name); d.Name == args[0] {
			return c, []config.Database{d}, nil
		}
	}
	return nil, nil, fault.New(fault.NotFound, "there is no database %q", args[0]).At(file).WithHint("there is %s", strings.Join(names, ", "))
}

// target is a database as doctor takes it, with its secret.
func target(d config.Database) (doctor.Target, error) {
	t := doctor.Target{Name: d.Name, Kind: d.Kind, File: d.File, Tables: d.Tables}
	if d.Kind == config.KindSQLite {
		return t, nil
	}
	var err error
	t.DSN, err = doctor.ReadDSN(d.DSNFile, d.DSNEnv)
	return t, err
}

// signIn lends a connection to a database to f.
func signIn(ctx context.Context, d config.Database, f func(doctor.Target, *sql.Conn) error) error {
	t, err := target(d)
	if err != nil {
		return err
	}
	db, err := doctor.Open(t)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fault.New(fault.Unavailable, "can't sign in: %s", doctor.Plain(err)).At(d.Name).WithHint("see that the database runs, then: lifeboat data doctor %s", d.Name)
	}
	defer func() { _ = conn.Close() }()
	return f(t, conn)
}

func (a *app) checkup(ctx context.Context, d config.Database) (r doctor.Report, err error) {
	err = signIn(ctx, d, func(t doctor.Target, conn *sql.Conn) error {
		r = doctor.Check(ctx, t, conn, nil, a.o.Now())
		return nil
	})
	if err != nil && ctx.Err() == nil { // that there is no way in is what is reported
		return doctor.Check(ctx, doctor.Target{Name: d.Name, Kind: d.Kind, File: d.File, Tables: d.Tables}, nil, err, a.o.Now()), nil
	}
	return r, err
}

func (a *app) reported(r doctor.Report, grants bool) {
	server := r.Kind
	if r.Server != "" {
		server += " " + r.Server + ", signed in as " + r.User
		if r.User == "" {
			server = r.Kind + " " + r.Server
		}
	}
	state := "ready"
	if !r.OK {
		state = "not ready"
	}
	a.printf("%s (%s): %s\n", r.Database, server, state)
	for _, p := range r.Problems {
		a.printf("  missing: %s\n    next: %s\n", p.Text, p.Next)
	}
	for _, n := range r.Notices {
		a.printf("  note: %s\n", n)
	}
	if !r.OK || grants {
		a.printf("  What gives exactly the rights that are needed:\n")
		for _, g := range r.Grants {
			a.printf("    %s\n", g)
		}
	}
}

// maxShown is how many candidates are printed; --json has all.
const maxShown = 10

// maxEvidence is the most that is read of a file of evidence.
const maxEvidence = 8 << 20

func (a *app) dataFind() *cobra.Command {
	var file, by string
	var pages, bodies, logs, usual []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "find [DATABASE]", Short: "Find the row that does the harm",
		Long: `Propose rows that may do the harm, each with its reasons, and narrow them down. Nothing is changed.

Candidates are rows of the allow-listed tables: those whose keys the failing pages and log lines mention, the newest, and those that differ in
shape from the others. They are narrowed down by the symptom query of the configuration, asked in one read-only snapshot with rows out of its
sight, or by asking for each row's own page. Contents of rows are looked at and never shown.

Exit code 0 where rows were found or only candidates were asked for, 1 where nothing was.`,
		Example: "  lifeboat data find shop --page /orders --log error.log --usual yesterday.log\n  lifeboat evidence show e12 | lifeboat data find shop --log -",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&file, "config", "lifeboat.yaml", "configuration file")
	cmd.Flags().StringArrayVar(&pages, "page", nil, "`PATH` of a page that fails, as /orders; may be repeated")
	cmd.Flags().StringArrayVar(&bodies, "body", nil, "`FILE` with what a failing page answered; may be repeated")
	cmd.Flags().StringArrayVar(&logs, "log", nil, "`FILE` of log lines since it began, - for standard input; may be repeated")
	cmd.Flags().StringArrayVar(&usual, "usual", nil, "`FILE` of log lines from before: what they say, too, is not new; may be repeated")
	cmd.Flags().StringVar(&by, "by", "", "narrow down by `query`, pages or none; query where there is one unless said, else pages")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{"", "query", "pages", "none"}, by) {
			return usage("--by is query, pages or none, not %q", by)
		}
		c, list, err := databases(file, args)
		if err != nil {
			return err
		}
		if len(list) > 1 {
			return usage("there are several databases; name one")
		}
		e := find.Evidence{Paths: pages}
		if e.Bodies, err = a.texts(bodies); err != nil {
			return err
		}
		if e.Logs, err = a.logLines(logs); err != nil {
			return err
		}
		if e.Usual, err = a.logLines(usual); err != nil {
			return err
		}
		return a.findRow(cmd.Context(), c, list[0], e, by, asJSON)
	}
	return cmd
}

// texts reads files of evidence.
func (a *app) texts(files []string) ([]string, error) {
	var out []string
	for _, name := range files {
		var from io.Reader = a.o.In
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return nil, fault.New(fault.NotFound, "can't read the file").At(name).Because(err).WithHint("see that the path is right")
			}
			defer func() { _ = f.Close() }()
			from = f
		}
		b, err := io.ReadAll(io.LimitReader(from, maxEvidence))
		if err != nil {
			return nil, fault.New(fault.Invalid, "can't read the file").At(name).Because(err).WithHint("name a plain file")
		}
		out = append(out, string(b))
	}
	return out, nil
}

func (a *app) logLines(files []string) ([]string, error) {
	all, err := a.texts(files)
	var out []string
	for _, text := range all {
		s := bufio.NewScanner(strings.NewReader(text))
		s.Buffer(nil, maxEvidence+1)
		for s.Scan() {
			out = append(out, s.Text())
		}
	}
	return out, err
}

// findRow searches one database and tells what came of it.
func (a *app) findRow(ctx context.Context, c *config.Config, d config.Database, e find.Evidence, by string, asJSON bool) error {
	t := find.Target{Name: d.Name, Kind: d.Kind, Tables: d.Tables, Pages: d.Pages, Query: d.SymptomQuery}
	if by == "" {
		switch {
		case t.Query != "":
			by = "query"
		case len(t.Pages) > 0:
			by = "pages"
		}
	}
	var p find.Proposal
	var f *find.Located
	err := signIn(ctx, d, func(_ doctor.Target, conn *sql.Conn) error {
		var err error
		if p, err = find.Propose(ctx, conn, t, e); err != nil {
			return err
		}
		var got find.Located
		switch by {
		case "query":
			got, err = find.ByQuery(ctx, conn, t, p.Candidates)
		case "pages":
			got, err = a.askPages(ctx, c, d, p)
		default:
			return nil
		}
		f = &got
		return err
	})
	if err != nil {
		return err
	}
	if asJSON {
		if err := a.writeJSON(map[string]any{"candidates": p.Candidates, "notices": p.Notices, "finding": f}); err != nil {
			return err
		}
	} else {
		a.found(d, p, f)
	}
	if len(p.Candidates) == 0 || f != nil && len(f.Rows) == 0 {
		return silent{exitFailed}
	}
	return nil
}

func (a *app) askPages(ctx context.Context, c *config.Config, d config.Database, p find.Proposal) (find.Located, error) {
	i := slices.IndexFunc(c.Sites, func(s config.Site) bool { return s.ID == d.Site })
	if i < 0 {
		return find.Located{}, errors.New("the database belongs to no site")
	}
	s := c.Sites[i]
	o := slices.IndexFunc(s.Origins, func(o config.Origin) bool { return o.Name == s.Home })
	site := find.Site{Scheme: s.Scheme, Host: s.Names[0], Address: netip.AddrPortFrom(s.Origins[max(o, 0)].Addresses[0], uint16(s.Port))}
	return find.ByPages(ctx, p.Candidates, site.Ask)
}

func (a *app) found(d config.Database, p find.Proposal, f *find.Located) {
	a.printf("%s in %s, the likeliest first:\n", many(len(p.Candidates), "candidate"), d.Name)
	t := a.table()
	t.row("  TABLE", "KEY", "WHY")
	for _, c := range p.Candidates[:min(len(p.Candidates), maxShown)] {
		t.row("  "+c.Table, strings.Join(c.Key, ", "), strings.Join(c.Why, "; "))
	}
	t.end()
	for _, n := range p.Notices {
		a.printf("  note: %s\n", n)
	}
	if f == nil {
		a.printf("\nTo narrow them down write symptom_query or pages under the database.\n")
		return
	}
	a.printf("\n%s (%s)\n", f.Words, many(f.Asked, "question"))
}
