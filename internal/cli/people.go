package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
)

// roleNames are the parts that people play in an incident.
var roleNames = []string{"lead", "scribe", "communication", "expert"}

func (a *app) role() *cobra.Command {
	one := func(use, short string, do func(c *apiclient.Client, ctx context.Context, site, role string) (api.Result, error)) *cobra.Command {
		return a.command(act{
			use: use + " ROLE", short: short, args: cobra.ExactArgs(1), site: true, complete: oneOf(0, roleNames...), doing: "Writing it down",
			example: "  lifeboat role " + use + " lead",
			do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
				return do(c, ctx, in.site, in.args[0])
			},
		})
	}
	return group("role", "Who does what in an incident: lead, scribe, communication, expert",
		one("take", "Take a role, whoever has it", (*apiclient.Client).TakeRole), one("release", "Let a role go", (*apiclient.Client).ReleaseRole))
}

func (a *app) handover() *cobra.Command {
	return group("handover", "Hand a role over, with what the other has to know", a.handoverOffer(), a.handoverAccept())
}

func (a *app) handoverOffer() *cobra.Command {
	var b api.HandoverBody
	return a.command(act{
		use: "offer ROLE", short: "Offer a role to somebody, with a brief", args: cobra.ExactArgs(1), site: true, complete: oneOf(0, roleNames...), doing: "Offering it",
		example: "  lifeboat handover offer lead --to Grace --things \"Visitors meet the status page; the pool runs dry\" --doing \"Linus reads the log, back at 09:40\"",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.To, "to", "", "who takes over")
			f.StringVar(&b.Things, "things", "", "how things are")
			f.StringVar(&b.Doing, "doing", "", "what is being done, by whom, back when")
			f.StringVar(&b.Needs, "needs", "", "what is needed")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Role = in.args[0]
			return c.OfferHandover(ctx, in.site, b)
		},
	})
}

func (a *app) handoverAccept() *cobra.Command {
	return a.command(act{
		use: "accept [HANDOVER]", short: "Take over: I have it", args: cobra.MaximumNArgs(1), site: true, complete: theHandovers, doing: "Taking over",
		long:    "Take over what was offered: the handover named, or the newest that nobody has taken.",
		example: "  lifeboat handover accept",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			id := in.arg(0)
			if id == "" {
				now, err := c.SiteIncident(ctx, in.site)
				if err != nil {
					return api.Result{}, err
				}
				if id = newestOffer(now); id == "" {
					return api.Result{}, fault.New(fault.NotFound, "nothing is offered").WithHint("take a role with: lifeboat role take ROLE")
				}
			}
			return c.AcceptHandover(ctx, in.site, id)
		},
	})
}

func newestOffer(now api.SiteIncident) string {
	id := ""
	if now.Incident != nil {
		for _, h := range now.Incident.Handovers {
			if h.AcceptedAt.IsZero() {
				id = h.ID
			}
		}
	}
	return id
}

func (a *app) decide() *cobra.Command {
	var b api.DecisionBody
	return a.command(act{
		use: "decide QUESTION", short: "Write a decision down", args: cobra.ExactArgs(1), site: true, doing: "Writing it down",
		example: "  lifeboat decide \"Do we wait for the provider?\" --chosen \"No, we move\" --because \"They can't say when\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Chosen, "chosen", "", "what was chosen")
			cmd.Flags().StringVar(&b.Reason, "because", "", "why, for people who were not there")
			cmd.Flags().StringArrayVar(&b.Options, "option", nil, "what could have been chosen; may be given several times")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Question = in.args[0]
			return c.Decide(ctx, in.site, b)
		},
	})
}

func (a *app) object() *cobra.Command {
	return a.command(act{
		use: "object DECISION TEXT", short: "Object to a decision; to a fix: lifeboat fix object", args: cobra.ExactArgs(2), site: true, complete: theDecisions, doing: "Writing it down",
		example: "  lifeboat object d1 \"The backup has never carried a whole day\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Object(ctx, in.site, in.args[0], in.args[1])
		},
	})
}

func (a *app) severity() *cobra.Command {
	var b api.SeverityBody
	levels := []string{"low", "medium", "high", "critical"}
	return a.command(act{
		use: "severity low|medium|high|critical", short: "Say how bad it is", args: cobra.ExactArgs(1), site: true, complete: oneOf(0, levels...), doing: "Writing it down",
		example: "  lifeboat severity high --why \"Nobody can pay\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Why, "why", "", "one sentence: why")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Level = in.args[0]
			return c.SetSeverity(ctx, in.site, b)
		},
	})
}

func (a *app) link() *cobra.Command {
	var b api.LinkBody
	return a.command(act{
		use: "link INCIDENT", short: "Tie an incident to an earlier one", args: cobra.ExactArgs(1), incident: true, doing: "Writing it down",
		example: "  lifeboat link 01J9ZZ6V3Q4W5E6R7T8Y9U0P1A --kind recurrence_of",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Kind, "kind", "", "related (default) or recurrence_of")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Incident = in.args[0]
			return c.Link(ctx, in.incident, b)
		},
	})
}

func (a *app) correct() *cobra.Command {
	return a.command(act{
		use: "correct EVENT TEXT", short: "Correct an event of the timeline; it stays, with the correction beside it", args: cobra.ExactArgs(2), incident: true, doing: "Writing it down",
		long:    "Correct an event of the timeline. The event stays as it is, with the correction beside it. Its id is in: lifeboat timeline --json.",
		example: "  lifeboat correct 01J9ZZ6V3Q4W5E6R7T8Y9U0P1B \"It was 09:12, not 09:21\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Correct(ctx, in.incident, api.CorrectBody{Event: in.args[0], Text: in.args[1]})
		},
	})
}

func (a *app) update() *cobra.Command {
	var b api.UpdateBody
	cmd := a.command(act{
		use: "update TEXT", short: "Tell people: everybody, the staff or the leaders", args: cobra.ExactArgs(1), site: true, doing: "Sending it",
		long:    "Tell people. A public message is on the status page at once; channels are told as soon as they answer, and nothing waits for them.",
		example: "  lifeboat update \"We know that the shop does not load, and are looking into it.\" --to public --next 20m\n  lifeboat update \"It is over.\" --to public --over",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.Audience, "to", "", "whom: public, staff or leaders")
			f.StringVar(&b.NextIn, "next", "", "when the next message is promised, like 20m")
			f.BoolVar(&b.Over, "over", false, "it is over: no further message follows")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			if b.Audience == "" {
				return api.Result{}, usage("say whom to tell: --to public, --to staff or --to leaders")
			}
			b.Text = in.args[0]
			return c.SendUpdate(ctx, in.site, b)
		},
	})
	cmd.AddCommand(a.updateSnooze())
	return cmd
}

func (a *app) updateSnooze() *cobra.Command {
	return a.command(act{
		use: "snooze DURATION", short: "Put the next promised message off", args: cobra.ExactArgs(1), site: true, doing: "Writing it down", reason: "one sentence: why",
		example: "  lifeboat update snooze 15m --reason \"We know more at half past\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.SnoozeUpdate(ctx, in.site, api.SnoozeBody{By: in.args[0], Reason: in.reason})
		},
	})
}

func (a *app) park() *cobra.Command {
	var b api.ParkBody
	var until string
	return a.command(act{
		use: "park LEVER", short: "Leave a lever pulled when the rest goes back, with an owner and a date", args: cobra.ExactArgs(1), complete: theLevers, doing: "Parking it",
		reason:  "one sentence: why it stays",
		example: "  lifeboat park close-checkout --owner Ada --until 2026-03-09 --reason \"The payment provider is back on Monday\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Owner, "owner", "", "who looks after it")
			cmd.Flags().StringVar(&until, "until", "", "a date like 2026-03-09, a time, or from now on, like 72h or 5d")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			if until == "" || b.Owner == "" {
				return api.Result{}, usage("say who looks after it and until when: --owner and --until")
			}
			at, err := a.when("--until", until)
			if err != nil {
				return api.Result{}, err
			}
			b.Until, b.Reason = at, in.reason
			return c.Park(ctx, in.args[0], b)
		},
	})
}

func (a *app) unpark() *cobra.Command {
	return a.command(act{
		use: "unpark LEVER", short: "Let the return take a parked lever back with the rest", args: cobra.ExactArgs(1), complete: theLevers, doing: "Writing it down",
		example: "  lifeboat unpark close-checkout",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Unpark(ctx, in.args[0])
		},
	})
}

func (a *app) makePermanent() *cobra.Command {
	return a.command(act{
		use: "make-permanent", short: "The old place never comes back: where visitors are becomes the site's home", args: cobra.NoArgs, site: true, doing: "Making it the home",
		reason:  "one sentence: why the old place does not come back, or why anyway",
		example: "  lifeboat make-permanent --reason \"The machine room is under water\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.MakePermanent(ctx, in.site, in.reason)
		},
	})
}

// dateOnly is how a day is typed.
const dateOnly = "2006-01-02"

// ago reads a time that has passed: a time, a date, or how long ago.
func (a *app) ago(flag, text string) (time.Time, error) {
	if d, err := spanOf(text); err == nil && d >= 0 {
		return a.o.Now().Add(-d), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(dateOnly, text, time.Local); err == nil {
		return at, nil
	}
	return time.Time{}, usage("%s: %q is neither a time like 2026-03-01T09:00:00Z, nor a date like 2026-03-01, nor a duration like 20m or 7d", flag, text)
}

// when reads a time to come: a time, a date (its end, where we are), or how long from now.
func (a *app) when(flag, text string) (time.Time, error) {
	if d, err := spanOf(text); err == nil && d >= 0 {
		return a.o.Now().Add(d), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if at, err := time.ParseInLocation(dateOnly, text, time.Local); err == nil {
		return at.AddDate(0, 0, 1).Add(-time.Minute), nil
	}
	return time.Time{}, usage("%s: %q is neither a time like 2026-03-01T09:00:00Z, nor a date like 2026-03-01, nor a duration like 72h or 14d", flag, text)
}
