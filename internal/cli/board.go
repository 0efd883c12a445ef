package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/board"
)

// addBoard puts what is done on the status page under "status".
func (a *app) addBoard(cmd *cobra.Command) *cobra.Command {
	cmd.AddCommand(a.boardShow(), a.boardEvents(), a.boardOverride(), a.boardTakeBack(), a.boardIncident(), a.boardMaintenance(), a.boardPassword(), a.boardExport(), a.subscribers(), a.deliveries())
	return cmd
}

func (a *app) boardShow() *cobra.Command {
	cmd := &cobra.Command{Use: "page", Short: "What the status page says: parts, incidents, planned work", Args: cobra.NoArgs, Example: "  lifeboat status page"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		b, err := c.Board(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(b)
		}
		a.boardTables(b)
		return nil
	}
	return cmd
}

func (a *app) boardTables(b api.StatusBoard) {
	for _, p := range b.Pages {
		a.printf("%s: %s\n", p.Name, p.URL)
	}
	if len(b.Pages) == 0 {
		a.printf("No status page has a name yet: write status: {host: status.example.com}, or status_page at a site.\n")
	}
	t := a.table()
	t.row("COMPONENT", "NAME", "SHOWN", "BY", "CHECKS SEE")
	for _, c := range b.Components {
		name, _ := c.Name.In("", "en")
		t.row(c.ID, name, string(c.State), string(c.Why), dash(string(c.Measured)))
	}
	t.end()
	if len(b.Incidents) > 0 {
		a.printf("\n")
		t = a.table()
		t.row("INCIDENT", "BEGAN", "STEP", "IMPACT", "TITLE")
		for _, in := range b.Incidents[:min(20, len(b.Incidents))] {
			title, _ := in.Title.In("", "en")
			t.row(in.ID, day(in.StartedAt), string(in.Step), string(in.Impact), title)
		}
		t.end()
	}
	if len(b.Maintenances) > 0 {
		a.printf("\n")
		t = a.table()
		t.row("MAINTENANCE", "FROM", "UNTIL", "STEP", "TITLE")
		for _, m := range b.Maintenances[:min(20, len(b.Maintenances))] {
			title, _ := m.Title.In("", "en")
			t.row(m.ID, day(m.From), day(m.Until), string(m.Step), title)
		}
		t.end()
	}
}

func (a *app) boardEvents() *cobra.Command {
	cmd := &cobra.Command{Use: "events", Short: "What people did on the status page, newest first", Args: cobra.NoArgs, Example: "  lifeboat status events"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		e, err := c.BoardEvents(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(e)
		}
		if len(e.Events) == 0 {
			a.printf("Nobody has written on the status page yet.\n")
			return nil
		}
		t := a.table()
		t.row("WHEN", "WHO", "WHAT")
		for _, x := range e.Events {
			t.row(day(x.At), dash(x.Who.Name), x.Text)
		}
		t.end()
		return nil
	}
	return cmd
}

// inLanguages reads "de=Text" flags.
func inLanguages(flag string, list []string) (board.Text, error) {
	out := board.Text{}
	for _, pair := range list {
		tag, text, ok := strings.Cut(pair, "=")
		if !ok || !board.Tag(tag) {
			return nil, usage("%s: write a language and the text, as in --%s de=…", flag, flag)
		}
		out[tag] = text
	}
	return out, nil
}

// inStates reads "checkout=partial_outage" flags.
func inStates(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, pair := range list {
		id, state, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("--component: write the component and its state, as in --component checkout=partial_outage")
		}
		out[id] = state
	}
	return out, nil
}

func (a *app) boardOverride() *cobra.Command {
	var b api.OverrideBody
	var hold string
	var others []string
	return a.calling(call{
		use: "override COMPONENT STATE", short: "Show a part with a state that the checks do not say", args: cobra.ExactArgs(2),
		long:    "Show a part with a state that the checks do not say. Visitors are shown both. STATE is operational, degraded_performance, partial_outage, major_outage or under_maintenance.",
		example: "  lifeboat status override checkout degraded_performance --reason \"Some cards are declined\" --for 2h",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.Reason, "reason", "", "why, for visitors")
			f.StringArrayVar(&others, "reason-in", nil, "the same in another language: de=…")
			f.StringVar(&hold, "for", "", "how long, like 2h (default: until it is taken back)")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			var err error
			b.State = args[1]
			if b.Reasons, err = inLanguages("reason-in", others); err != nil {
				return nil, "", err
			}
			if hold != "" {
				d, err := spanOf(hold)
				if err != nil {
					return nil, "", usage("--for: %q is no time; write for example 2h", hold)
				}
				b.For = int(d / time.Second)
			}
			done, err := c.SetOverride(ctx, args[0], b)
			return done, done.Event.Text + " Take it back with: lifeboat status take-back " + args[0], err
		},
	})
}

func (a *app) boardTakeBack() *cobra.Command {
	return a.calling(call{
		use: "take-back COMPONENT", short: "Let the checks decide again how a part is shown", args: cobra.ExactArgs(1), example: "  lifeboat status take-back checkout",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			done, err := c.DropOverride(ctx, args[0])
			return done, done.Event.Text, err
		},
	})
}

// tellFlags are what messages to visitors share.
type tellFlags struct {
	textIn, states []string
	next, template string
}

func (x *tellFlags) add(cmd *cobra.Command, step *string, silent *bool) {
	f := cmd.Flags()
	f.StringArrayVar(&x.textIn, "text-in", nil, "the text in another language: de=…")
	f.StringArrayVar(&x.states, "component", nil, "a part and its state: checkout=partial_outage")
	f.StringVar(&x.next, "next", "", "when the next news is promised for, like 20m")
	f.StringVar(&x.template, "template", "", "take what is not said from a template of the configuration")
	f.StringVar(step, "step", "", "investigating, identified, monitoring or resolved")
	f.BoolVar(silent, "silent", false, "do not tell subscribers")
}

// read gives the languages, states and promise.
func (x *tellFlags) read() (texts board.Text, states map[string]string, next int, err error) {
	if texts, err = inLanguages("text-in", x.textIn); err != nil {
		return nil, nil, 0, err
	}
	if states, err = inStates(x.states); err != nil {
		return nil, nil, 0, err
	}
	if x.next != "" {
		d, err := spanOf(x.next)
		if err != nil {
			return nil, nil, 0, usage("--next: %q is no time; write for example 20m", x.next)
		}
		next = int(d / time.Second)
	}
	return texts, states, next, nil
}

// named gives a template of the configuration.
func named(ctx context.Context, c *apiclient.Client, id string) (board.Template, error) {
	if id == "" {
		return board.Template{}, nil
	}
	b, err := c.Board(ctx)
	if err != nil {
		return board.Template{}, err
	}
	var ids []string
	for _, t := range b.Templates {
		if t.ID == id {
			return t, nil
		}
		ids = append(ids, t.ID)
	}
	return board.Template{}, usage("there is no template %q; there are: %s", id, dash(strings.Join(ids, ", ")))
}

// fill takes what is not said from a template.
func fill(text *string, texts *board.Text, from board.Text) {
	if *text != "" || len(from) == 0 {
		return
	}
	*text = from[""]
	if *texts == nil {
		*texts = board.Text{}
	}
	for tag, t := range from {
		if _, said := (*texts)[tag]; !said && tag != "" {
			(*texts)[tag] = t
		}
	}
}

func (a *app) boardIncident() *cobra.Command {
	return group("incident", "Public incidents: what visitors are told of something that is wrong", a.boardOpen(), a.boardUpdate(), a.boardEdit(), a.boardAttach(), a.boardStory())
}

func (a *app) boardOpen() *cobra.Command {
	var b api.PublicIncidentBody
	var x tellFlags
	var titleIn []string
	return a.calling(call{
		use: "open [TITLE]", short: "Tell visitors of something that is wrong", args: cobra.MaximumNArgs(1),
		example: "  lifeboat status incident open \"Card payments fail\" --text \"We are looking into it.\" --component checkout=partial_outage --next 20m",
		flags: func(cmd *cobra.Command) {
			x.add(cmd, &b.Step, &b.Silent)
			f := cmd.Flags()
			f.StringVar(&b.Text, "text", "", "what visitors notice, what is being done")
			f.StringArrayVar(&titleIn, "title-in", nil, "the title in another language: de=…")
			f.StringVar(&b.Impact, "impact", "", "none, minor, major or critical (default: it follows from the parts)")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			b.Title = strings.Join(args, "")
			var err error
			if b.Texts, b.States, b.NextIn, err = x.read(); err != nil {
				return nil, "", err
			}
			if b.Titles, err = inLanguages("title-in", titleIn); err != nil {
				return nil, "", err
			}
			t, err := named(ctx, c, x.template)
			if err != nil {
				return nil, "", err
			}
			fill(&b.Title, &b.Titles, t.Title)
			fill(&b.Text, &b.Texts, t.Text)
			if b.Step == "" {
				b.Step = string(t.Step)
			}
			done, err := c.OpenPublicIncident(ctx, b)
			if err != nil {
				return nil, "", err
			}
			return done, fmt.Sprintf("It is on the status page as %s. Tell more with: lifeboat status incident update %s --text …", done.Incident.ID, done.Incident.ID), nil
		},
	})
}

func (a *app) boardUpdate() *cobra.Command {
	var b api.PublicUpdateBody
	var x tellFlags
	return a.calling(call{
		use: "update ID", short: "Tell visitors more, or that it is over", args: cobra.ExactArgs(1),
		example: "  lifeboat status incident update x01j9zz6v3q4w --step resolved --text \"Payments work again.\"",
		flags: func(cmd *cobra.Command) {
			x.add(cmd, &b.Step, &b.Silent)
			cmd.Flags().StringVar(&b.Text, "text", "", "what is new")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			var err error
			if b.Texts, b.States, b.NextIn, err = x.read(); err != nil {
				return nil, "", err
			}
			t, err := named(ctx, c, x.template)
			if err != nil {
				return nil, "", err
			}
			fill(&b.Text, &b.Texts, t.Text)
			if b.Step == "" {
				b.Step = string(t.Step)
			}
			done, err := c.UpdatePublicIncident(ctx, args[0], b)
			return done, "Visitors are told.", err
		},
	})
}

func (a *app) boardEdit() *cobra.Command {
	var b api.PublicEditBody
	var titleIn, textIn []string
	return a.calling(call{
		use: "edit ID", short: "Correct what visitors are told; what is left out stays", args: cobra.ExactArgs(1),
		example: "  lifeboat status incident edit x01j9zz6v3q4w --title \"Some card payments fail\"",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.Title, "title", "", "another title")
			f.StringArrayVar(&titleIn, "title-in", nil, "the title in another language: de=…")
			f.StringVar(&b.Impact, "impact", "", "none, minor, major or critical")
			f.StringVar(&b.Update, "update", "", "the id of the update whose text is corrected")
			f.StringVar(&b.Text, "text", "", "its new text")
			f.StringArrayVar(&textIn, "text-in", nil, "the text in another language: de=…")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			var err error
			if b.Titles, err = inLanguages("title-in", titleIn); err != nil {
				return nil, "", err
			}
			if b.Texts, err = inLanguages("text-in", textIn); err != nil {
				return nil, "", err
			}
			done, err := c.EditPublicIncident(ctx, args[0], b)
			return done, "It is corrected.", err
		},
	})
}

func (a *app) boardAttach() *cobra.Command {
	return a.calling(call{
		use: "attach ID [INCIDENT]", short: "Tie an incident of the page to the crew's; without INCIDENT it is untied", args: cobra.RangeArgs(1, 2),
		long:    "Tie an incident of the page to the crew's: what they tell the public from then on is on it, and its write-up can be copied from theirs. Without INCIDENT it is untied.",
		example: "  lifeboat status incident attach x01j9zz6v3q4w 01JD3Z5K7M9QX2V4B6N8R0T1WA",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			crew, says := "", "It is untied."
			if len(args) > 1 {
				crew, says = args[1], "What the crew tells the public is on it from now on."
			}
			done, err := c.AttachPublicIncident(ctx, args[0], crew)
			return done, says, err
		},
	})
}

// maxStoryFile is how much is read of a post-mortem's file, in bytes.
const maxStoryFile = 256 << 10

func (a *app) boardStory() *cobra.Command {
	var b api.StoryBody
	var file string
	var off bool
	return a.calling(call{
		use: "story ID", short: "Put the post-mortem on the page of an incident that is over", args: cobra.ExactArgs(1),
		long:    "Put the post-mortem on the page of an incident that is over. The file is plain text: an empty line parts paragraphs, a line that begins with # is a heading.",
		example: "  lifeboat status incident story x01j9zz6v3q4w --file story.txt",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&file, "file", "", "the file that it is in")
			cmd.Flags().BoolVar(&off, "withdraw", false, "take it off the page")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			if off == (file != "") {
				return nil, "", usage("say --file FILE, or --withdraw")
			}
			if off {
				done, err := c.PublishStory(ctx, args[0], b)
				return done, "It is off the page.", err
			}
			if info, err := os.Stat(file); err == nil && info.Size() > maxStoryFile {
				return nil, "", usage("%s has %d bytes, %d fit", file, info.Size(), maxStoryFile)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, "", usage("can't read %s: %v", file, err)
			}
			b.Text = string(text)
			done, err := c.PublishStory(ctx, args[0], b)
			return done, "It is on the page of the incident.", err
		},
	})
}

func (a *app) boardMaintenance() *cobra.Command {
	move := func(use, step, short, told string) *cobra.Command {
		var b api.MaintenanceUpdateBody
		var textIn []string
		return a.calling(call{
			use: use + " ID", short: short, args: cobra.ExactArgs(1), example: "  lifeboat status maintenance " + use + " x01j9zz6v3q4w",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().StringVar(&b.Text, "text", "", "what visitors are told")
				cmd.Flags().StringArrayVar(&textIn, "text-in", nil, "the text in another language: de=…")
				cmd.Flags().BoolVar(&b.Silent, "silent", false, "do not tell subscribers")
			},
			do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
				var err error
				b.Step = step
				if b.Texts, err = inLanguages("text-in", textIn); err != nil {
					return nil, "", err
				}
				done, err := c.UpdateMaintenance(ctx, args[0], b)
				return done, told, err
			},
		})
	}
	return group("maintenance", "Planned work: announce it, begin it, end it", a.boardPlan(),
		move("start", "in_progress", "Say that the work has begun", "Visitors are told that the work is under way."),
		move("verify", "verifying", "Say that the work is being checked", "Visitors are told."),
		move("end", "completed", "Say that the work is done", "Visitors are told that the work is done."),
		move("tell", "", "Tell visitors more of the work", "Visitors are told."),
		a.boardReplan(),
		a.calling(call{
			use: "cancel ID", short: "Take an announcement back before the work has begun", args: cobra.ExactArgs(1), example: "  lifeboat status maintenance cancel x01j9zz6v3q4w",
			do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
				done, err := c.CancelMaintenance(ctx, args[0])
				return done, done.Event.Text, err
			},
		}))
}

// during reads when work begins and how long it takes.
func (a *app) during(from, lasts string) (begin, end time.Time, err error) {
	if from != "" {
		if begin, err = a.when("--from", from); err != nil {
			return begin, end, err
		}
	}
	if lasts != "" {
		d, err := spanOf(lasts)
		if err != nil {
			return begin, end, usage("--lasts: %q is no time; write for example 2h", lasts)
		}
		end = begin.Add(d)
	}
	return begin, end, nil
}

func (a *app) boardPlan() *cobra.Command {
	var b api.MaintenanceBody
	var from, lasts string
	var titleIn, textIn []string
	return a.calling(call{
		use: "plan TITLE", short: "Announce work", args: cobra.ExactArgs(1),
		example: "  lifeboat status maintenance plan \"The database moves\" --from 14d --lasts 2h --component checkout --text \"Orders can't be placed meanwhile.\"",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&from, "from", "", "when it begins: a time, a date, or from now on, like 14d")
			f.StringVar(&lasts, "lasts", "1h", "how long it takes")
			f.StringVar(&b.Text, "text", "", "what visitors will notice")
			f.StringArrayVar(&titleIn, "title-in", nil, "the title in another language: de=…")
			f.StringArrayVar(&textIn, "text-in", nil, "the text in another language: de=…")
			f.StringArrayVar(&b.Components, "component", nil, "a part that is worked on")
			f.BoolVar(&b.ByHand, "by-hand", false, "it begins and ends when you say so, not by the clock")
			f.BoolVar(&b.Silent, "silent", false, "do not tell subscribers")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			if from == "" {
				return nil, "", usage("say when it begins, as in --from 14d")
			}
			b.Title = args[0]
			var err error
			if b.From, b.Until, err = a.during(from, lasts); err != nil {
				return nil, "", err
			}
			if b.Titles, err = inLanguages("title-in", titleIn); err != nil {
				return nil, "", err
			}
			if b.Texts, err = inLanguages("text-in", textIn); err != nil {
				return nil, "", err
			}
			done, err := c.PlanMaintenance(ctx, b)
			if err != nil {
				return nil, "", err
			}
			return done, fmt.Sprintf("It is announced as %s, from %s to %s.", done.Maintenance.ID, day(done.Maintenance.From), day(done.Maintenance.Until)), nil
		},
	})
}

func (a *app) boardReplan() *cobra.Command {
	var b api.MaintenanceEditBody
	var from, until string
	return a.calling(call{
		use: "edit ID", short: "Change what is announced; what is left out stays", args: cobra.ExactArgs(1), example: "  lifeboat status maintenance edit x01j9zz6v3q4w --until 2h",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.Title, "title", "", "another title")
			f.StringVar(&from, "from", "", "when it begins: a time, a date, or from now on")
			f.StringVar(&until, "until", "", "when it ends: a time, a date, or from now on")
			f.StringArrayVar(&b.Components, "component", nil, "a part that is worked on; all of them are to be named")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			var err error
			if from != "" {
				if b.From, err = a.when("--from", from); err != nil {
					return nil, "", err
				}
			}
			if until != "" {
				if b.Until, err = a.when("--until", until); err != nil {
					return nil, "", err
				}
			}
			done, err := c.EditMaintenance(ctx, args[0], b)
			return done, "It is changed.", err
		},
	})
}

func (a *app) boardPassword() *cobra.Command {
	var fromStdin bool
	cmd := &cobra.Command{Use: "password", Short: "Make the hash of a password for a private status page", Args: cobra.NoArgs,
		Long:    "Make the hash of a password for a private status page. Write it into the configuration: status: {private: {password_hash: \"…\"}}.",
		Example: "  lifeboat status password"}
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	cmd.RunE = func(*cobra.Command, []string) error {
		password, err := a.password(fromStdin)
		if err != nil {
			return err
		}
		a.printf("%s\n", board.HashPassword(password))
		return nil
	}
	return cmd
}
