package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/zonebook"
	zonedesk "lifeboat/internal/zonebook/desk"
	"lifeboat/internal/zonediff"
)

// zoneBook are the commands that change the records of a running lifeboat's zones.
func (a *app) zoneBook() []*cobra.Command {
	return []*cobra.Command{
		a.zoneList(), a.zoneShow(), a.zoneChange("add"), a.zoneChange("set"), a.zoneChange("remove"), a.zonePaste(), a.zoneDiscard(),
		a.zonePlan(), a.zonePublish(), a.zoneUndo(), a.zoneHistory(), a.zoneExport(), a.zoneTakeFile(), a.zoneKeep(),
	}
}

// zoneLook makes a command that only shows something.
func (a *app) zoneLook(use, short, long, example string, args cobra.PositionalArgs, show func(ctx context.Context, c *apiclient.Client, args []string, asJSON bool) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: args}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		return show(cmd.Context(), c, args, r.json)
	}
	return cmd
}

func (a *app) zoneList() *cobra.Command {
	return a.zoneLook("list", "The zones, which revision of each is in force, and who is changing it", "", "  lifeboat zone list", cobra.NoArgs, func(ctx context.Context, c *apiclient.Client, _ []string, asJSON bool) error {
		list, err := c.Zones(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			return a.writeJSON(api.ZoneList{Zones: orEmpty(list)})
		}
		if len(list) == 0 {
			a.printf("There is no zone: add one under zones: in the configuration.\n")
			return nil
		}
		t := a.table()
		t.row("ZONE", "RECORDS", "REVISION", "PUBLISHED", "NOT PUBLISHED")
		for _, v := range list {
			t.row(strings.TrimSuffix(v.Zone, "."), fmt.Sprint(v.Records), revisionWords(v), publishedWords(v), draftsWords(v))
		}
		t.end()
		for _, v := range list {
			a.zoneStanding(v)
		}
		return nil
	})
}

func revisionWords(v zonedesk.View) string {
	switch {
	case !v.Editable:
		return "–"
	case v.Revision == 0:
		return "the file’s"
	}
	return fmt.Sprint(v.Revision)
}

func publishedWords(v zonedesk.View) string {
	if v.Revision == 0 {
		return dash("")
	}
	return day(v.At) + " by " + v.By
}

func draftsWords(v zonedesk.View) string {
	var out []string
	for _, d := range v.Drafts {
		out = append(out, fmt.Sprintf("%s by %s", many(d.Changes, "change"), d.By))
	}
	return dash(strings.Join(out, ", "))
}

// zoneStanding tells where what is in force and the file differ.
func (a *app) zoneStanding(v zonedesk.View) {
	name := strings.TrimSuffix(v.Zone, ".")
	if !v.Editable {
		a.printf("\n%s can’t be edited here. %s\n", name, v.Why)
		return
	}
	switch v.Standing.State {
	case zonedesk.Ahead:
		a.printf("\n%s: the file has not what was published since. Put it there with: lifeboat zone export %s\n", name, name)
	case zonedesk.Parted:
		a.printf("\n%s: the file’s records have changed since, and what was published stays in force. Decide: lifeboat zone export %s for the file, lifeboat zone take-file %s, or lifeboat zone keep %s\n", name, name, name, name)
	case zonedesk.Unfit:
		a.printf("\n%s: what was published does not fit the configuration any more (%s), so the file’s records are in force.\n", name, v.Standing.Problem)
	default:
		return
	}
	for _, line := range v.Standing.Changed {
		a.printf("  %s\n", line)
	}
}

func (a *app) zoneShow() *cobra.Command {
	return a.zoneLook("show ZONE [WORD…]", "A zone's records with your changes on them; only those with all of the words in them",
		"", "  lifeboat zone show example.com\n  lifeboat zone show example.com www", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *apiclient.Client, args []string, asJSON bool) error {
			s, err := c.Zone(ctx, args[0], strings.Join(args[1:], " "))
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(s)
			}
			t := a.table()
			t.row("", "NAME", "TYPE", "KEPT FOR", "DATA")
			marks := map[zonedesk.Mark]string{zonedesk.MarkNew: "+", zonedesk.MarkGone: "-", zonedesk.MarkTTL: "~"}
			for _, r := range s.Rows {
				t.row(marks[r.Mark], strings.TrimSuffix(r.Name, "."), r.Type, zonediff.Lasting(r.TTL), r.Data)
			}
			t.end()
			if s.Cut {
				a.printf("There are more: name words that are in them.\n")
			}
			a.unpublished(s.Draft)
			a.zoneStanding(s.View)
			return nil
		})
}

// unpublished says what is in somebody's draft.
func (a *app) unpublished(d zonebook.Draft) {
	if len(d.Changes) == 0 {
		return
	}
	name := strings.TrimSuffix(d.Zone, ".")
	a.printf("\n%s not published:\n", many(len(d.Changes), "change"))
	for i, c := range d.Changes {
		a.printf("  %d. %s\n", i+1, c.Sentence())
	}
	a.printf("See what they would do: lifeboat zone plan %s. Throw them away: lifeboat zone discard %s\n", name, name)
}

func (a *app) zoneChange(verb string) *cobra.Command {
	var ttl string
	var and []string
	x := map[string]call{
		"add": {use: "add ZONE NAME TYPE DATA…", short: "Add a record to your draft; nothing is published", args: cobra.MinimumNArgs(4),
			example: "  lifeboat zone add example.com www A 192.0.2.10\n  lifeboat zone add example.com @ MX 10 mail.example.com --ttl 1h\n  lifeboat zone add example.com @ TXT \"v=spf1 mx -all\""},
		"set": {use: "set ZONE NAME TYPE DATA…", short: "Have a name's records of a type become this, in your draft", args: cobra.MinimumNArgs(4),
			example: "  lifeboat zone set example.com www A 192.0.2.10 --and 192.0.2.11"},
		"remove": {use: "remove ZONE NAME TYPE [DATA…]", short: "Remove a record, or all of a name and type, in your draft", args: cobra.MinimumNArgs(3),
			example: "  lifeboat zone remove example.com old A\n  lifeboat zone remove example.com www A 192.0.2.10"},
	}[verb]
	x.long = x.short + `.

NAME is @ for the zone itself; without a final dot it is below the zone. A name in DATA with a dot in it is taken as it stands. Nothing is
answered differently until the draft is published: lifeboat zone plan ZONE.`
	x.flags = func(cmd *cobra.Command) {
		if verb != "remove" {
			cmd.Flags().StringVar(&ttl, "ttl", "", "how long resolvers may keep it, as 300, 5m or 1h (default: as before, or the zone's)")
			cmd.Flags().StringArrayVar(&and, "and", nil, "the data of one more record")
		}
	}
	x.do = func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
		b, err := changeBody(verb, args, ttl, and)
		if err != nil {
			return nil, "", err
		}
		d, err := c.ChangeZone(ctx, args[0], api.ZoneChangesBody{Changes: []api.ZoneChangeBody{b}})
		return d, fmt.Sprintf("%s not published. See what they would do: lifeboat zone plan %s", many(len(d.Changes), "change"), args[0]), err
	}
	return a.calling(x)
}

// changeBody reads a change from the words of a command.
func changeBody(verb string, args []string, ttl string, and []string) (b api.ZoneChangeBody, err error) {
	typ, apex := strings.ToUpper(args[2]), zonedesk.Apex(args[0])
	b = api.ZoneChangeBody{Op: map[string]string{"add": "add", "set": "replace", "remove": "remove"}[verb], Name: args[1], Type: typ}
	if b.TTL, err = zonebook.ParseTTL(ttl); err != nil {
		return b, usage("--ttl: %v", err)
	}
	form := zonebook.FormOf(typ)
	var data []string
	if len(args) > 3 {
		one, err := form.Words(apex, args[3:])
		if err != nil {
			return b, err
		}
		data = append(data, one)
	}
	for _, text := range and {
		one, err := form.Words(apex, []string{text})
		if err != nil {
			return b, err
		}
		data = append(data, one)
	}
	if b.Data = data; verb == "remove" {
		b.Data, b.Old = nil, data
	}
	return b, nil
}

func (a *app) zonePaste() *cobra.Command {
	var replace bool
	return a.calling(call{
		use: "paste ZONE FILE", short: "Take a piece of a zone file into your draft; - is standard input", args: cobra.ExactArgs(2),
		example: "  lifeboat zone paste example.com more.zone\n  lifeboat zone paste example.com - --replace < more.zone",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&replace, "replace", false, "the record sets that it names become what it says (default: it is added to them)")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			text, err := a.fileOrInput(args[1], maxPasted)
			if err != nil {
				return nil, "", err
			}
			d, err := c.PasteZone(ctx, args[0], api.ZonePasteBody{Records: text, Replace: replace})
			return d, fmt.Sprintf("%s not published. See what they would do: lifeboat zone plan %s", many(len(d.Changes), "change"), args[0]), err
		},
	})
}

// maxPasted is as much as the API takes in one body, in bytes.
const maxPasted = 60 << 10

func (a *app) zoneDiscard() *cobra.Command {
	return a.calling(call{
		use: "discard ZONE [NUMBER]", short: "Throw your draft away, or one change of it", args: cobra.RangeArgs(1, 2), example: "  lifeboat zone discard example.com\n  lifeboat zone discard example.com 2",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			n := 0
			if len(args) == 2 {
				if _, err := fmt.Sscan(args[1], &n); err != nil || n < 1 {
					return nil, "", usage("%q is no number of a change; see them with: lifeboat zone show %s", args[1], args[0])
				}
			}
			d, err := c.TakeOutOfZone(ctx, args[0], n)
			if len(d.Changes) == 0 {
				return d, "Nothing is left that is not published.", err
			}
			return d, fmt.Sprintf("%s left.", many(len(d.Changes), "change")), err
		},
	})
}

func (a *app) zonePlan() *cobra.Command {
	var revision int
	var kind string
	cmd := a.zoneLook("plan ZONE", "Say what publishing your draft would do, in words; nothing is changed", "",
		"  lifeboat zone plan example.com\n  lifeboat zone plan example.com --of undo", cobra.ExactArgs(1),
		func(ctx context.Context, c *apiclient.Client, args []string, asJSON bool) error {
			p, err := c.PlanZone(ctx, args[0], kind, revision)
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(p)
			}
			a.zonePlanned(p)
			return nil
		})
	cmd.Flags().StringVar(&kind, "of", "draft", "what would be published: draft, undo, or configuration")
	cmd.Flags().IntVar(&revision, "revision", -1, "with --of undo: the `NUMBER` of the revision whose records come back (default: the one before)")
	return cmd
}

// zonePlanned tells a plan.
func (a *app) zonePlanned(p zonebook.Plan) {
	name := strings.TrimSuffix(p.Zone, ".")
	a.printf("%s\n", p.Summary)
	for _, l := range p.Lines {
		a.printf("  %s\n", l.Words)
	}
	for _, r := range p.Since {
		a.printf("\nSince you began, %s has published revision %d: %s\n", r.By.Name, r.Number, r.Sentence())
		for _, line := range r.Lines {
			a.printf("  %s\n", line)
		}
	}
	for _, w := range p.Warnings {
		a.printf("\nMind: %s\n", w)
	}
	for _, q := range p.Refused {
		a.printf("\nCan’t be published: %s\n", q)
	}
	for _, q := range p.Asks {
		a.printf("\nHas to be accepted: %s\n", q)
	}
	if p.Good() && p.Kind == zonebook.FromDraft {
		accept := ""
		if len(p.Asks) > 0 {
			accept = " --accept"
		}
		a.printf("\nPublish it with: lifeboat zone publish %s --plan %.12s%s\n", name, p.Hash, accept)
	}
}

// publishing are the flags of a command that publishes.
type publishing struct {
	plan, note string
	accept     bool
}

func (x *publishing) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&x.plan, "plan", "", "the `HASH` of the plan that you have read, or its beginning")
	f.BoolVar(&x.accept, "accept", false, "what the plan asks for is meant")
	f.StringVar(&x.note, "note", "", "why, for the history")
}

// publishZone publishes what a plan says; without a plan's hash it only shows the plan.
func (a *app) publishZone(ctx context.Context, c *apiclient.Client, x publishing, zone, kind string, revision int, yes bool) (any, string, error) {
	p, err := c.PlanZone(ctx, zone, kind, revision)
	if err != nil {
		return nil, "", err
	}
	if !yes && (len(x.plan) < 8 || !strings.HasPrefix(p.Hash, x.plan)) {
		if x.plan == "" {
			return nil, "", usage("say which plan you have read: see it with lifeboat zone plan %s, then name it with --plan", zone)
		}
		return nil, "", failed{fmt.Errorf("the plan is another one by now: nothing was published, and nothing of the draft is lost (look at it again: lifeboat zone plan %s)", zone)}
	}
	done, err := c.PublishZone(ctx, zone, api.ZonePublishBody{Hash: p.Hash, Kind: kind, Revision: revision, Accept: x.accept, Note: x.note})
	if err != nil {
		return nil, "", err
	}
	told := strings.Join(append(done.Revision.Lines, fmt.Sprintf("Revision %d is published. %s Undo it with: lifeboat zone undo %s", done.Revision.Number, done.Outcome.Words, zone)), "\n")
	return done, told, nil
}

func (a *app) zonePublish() *cobra.Command {
	var x publishing
	return a.calling(call{
		use: "publish ZONE", short: "Publish the plan of your draft, and see whether the name servers answer by it", args: cobra.ExactArgs(1),
		example: "  lifeboat zone publish example.com --plan 3f9c2ab41d07 --note \"the shop moves\"",
		flags:   x.add,
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			return a.publishZone(ctx, c, x, args[0], "draft", 0, false)
		},
	})
}

func (a *app) zoneUndo() *cobra.Command {
	var x publishing
	to := -1
	return a.calling(call{
		use: "undo ZONE", short: "Put the records of the revision before back, or of an earlier one", args: cobra.ExactArgs(1),
		long:    "Put the records of the revision before back, or of an earlier one: they are published again, as they were. See first what it would do with: lifeboat zone plan ZONE --of undo.",
		example: "  lifeboat zone undo example.com\n  lifeboat zone undo example.com --to 3",
		flags: func(cmd *cobra.Command) {
			x.add(cmd)
			cmd.Flags().IntVar(&to, "to", -1, "the `NUMBER` of the revision whose records come back (default: the one before)")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			return a.publishZone(ctx, c, x, args[0], "undo", to, x.plan == "")
		},
	})
}

func (a *app) zoneTakeFile() *cobra.Command {
	var x publishing
	return a.calling(call{
		use: "take-file ZONE", short: "Publish the records that the configuration has", args: cobra.ExactArgs(1),
		example: "  lifeboat zone plan example.com --of configuration\n  lifeboat zone take-file example.com",
		flags:   x.add,
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			return a.publishZone(ctx, c, x, args[0], "configuration", 0, x.plan == "")
		},
	})
}

func (a *app) zoneKeep() *cobra.Command {
	return a.calling(call{
		use: "keep ZONE", short: "Say that what was published stays in force although the file has changed", args: cobra.ExactArgs(1), example: "  lifeboat zone keep example.com",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			return map[string]any{"kept": args[0]}, "What was published stays in force.", c.KeepZone(ctx, args[0])
		},
	})
}

func (a *app) zoneHistory() *cobra.Command {
	return a.zoneLook("history ZONE", "What was published, by whom and when, and what was seen then", "", "  lifeboat zone history example.com", cobra.ExactArgs(1),
		func(ctx context.Context, c *apiclient.Client, args []string, asJSON bool) error {
			list, err := c.ZoneHistory(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(api.ZoneHistory{Revisions: list})
			}
			for i, e := range list {
				if i > 0 {
					a.printf("\n")
				}
				when := ""
				if !e.At.IsZero() {
					when = ", " + day(e.At)
				}
				by := ""
				if e.By.Name != "" {
					by = " by " + e.By.Name
				}
				a.printf("%d%s%s: %s\n", e.Number, when, by, e.Sentence())
				if e.Note != "" {
					a.printf("  “%s”\n", e.Note)
				}
				for _, line := range e.Lines {
					a.printf("  %s\n", line)
				}
				if e.Outcome != nil {
					a.printf("  %s\n", e.Outcome.Words)
				}
			}
			return nil
		})
}

func (a *app) zoneExport() *cobra.Command {
	revision := -1
	cmd := a.zoneLook("export ZONE", "Print the records in force as the text of a zone file, to put into the configuration", "", "  lifeboat zone export example.com > example.com.zone\n  lifeboat zone export example.com --revision 3", cobra.ExactArgs(1),
		func(ctx context.Context, c *apiclient.Client, args []string, asJSON bool) error {
			if revision >= 0 {
				r, err := c.ZoneRevision(ctx, args[0], revision)
				if err != nil {
					return err
				}
				if asJSON {
					return a.writeJSON(r)
				}
				a.printf("%s", r.Text.Text)
				return nil
			}
			text, err := c.ZoneText(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(api.ZoneText{Text: text})
			}
			a.printf("%s", text)
			return nil
		})
	cmd.Flags().IntVar(&revision, "revision", -1, "of this revision, by its `NUMBER`")
	return cmd
}

// fileOrInput reads a file, or standard input for -; most is how many bytes are taken.
func (a *app) fileOrInput(path string, most int) (string, error) {
	if path != "-" {
		text, err := readFile(path)
		if err == nil && len(text) > most {
			return "", usage("%s has %d bytes, %d fit: paste it in parts, or name it in the configuration", path, len(text), most)
		}
		return text, err
	}
	b, err := io.ReadAll(io.LimitReader(a.o.In, int64(most)+1))
	switch {
	case err != nil:
		return "", failed{fmt.Errorf("read standard input: %w", err)}
	case len(b) > most:
		return "", usage("standard input has more than %d bytes: paste it in parts, or name a file in the configuration", most)
	}
	return string(b), nil
}
