package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/incident"
)

func (a *app) cause() *cobra.Command {
	return group("cause", "What it might be: possible causes, what speaks for and against them", a.causeList(), a.causeAdd(), a.causeWeigh(), a.causeTest(),
		a.causeAct("rule-out", "Rule a possible cause out", "one sentence: what shows that it is not", (*apiclient.Client).RuleOutCause),
		a.causeAct("park", "Leave a possible cause aside", "one sentence: why not now", (*apiclient.Client).ParkCause),
		a.causeAct("reopen", "Take a possible cause up again", "one sentence: what is new", (*apiclient.Client).ReopenCause),
		a.causeConfirm(), a.causeWithdraw())
}

// causeView is the board of possible causes, for --json.
type causeView struct {
	Incident  string              `json:"incident"`
	Causes    []incident.Cause    `json:"causes"`
	Diagnosis *incident.Diagnosis `json:"diagnosis,omitempty"`
}

func (a *app) causeList() *cobra.Command {
	return a.looking(look{
		use: "list", short: "List the possible causes, with what speaks for and against each", args: cobra.NoArgs, example: "  lifeboat cause list",
		show: func(_ context.Context, _ *apiclient.Client, in api.Incident, _ []string, asJSON bool) error {
			if asJSON {
				return a.writeJSON(causeView{in.ID, orEmpty(in.Causes), in.Diagnosis})
			}
			a.board(in)
			return nil
		},
	})
}

// board shows the possible causes.
func (a *app) board(in incident.Incident) {
	if len(in.Causes) == 0 {
		a.printf("There is no possible cause yet. Say one so that it could be proved wrong:\n  lifeboat cause add \"If it is …\" --predicts \"then we should see …\"\n")
		return
	}
	for i, c := range in.Causes {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s  %s: %s\n", c.ID, stateOf(c), c.Statement)
		if c.Prediction != "" {
			a.printf("    predicts: %s\n", c.Prediction)
		}
		for _, w := range c.Weights {
			a.printf("    %s: %s%s\n", w.Stance, shown(in, w.Evidence), aside(w.Note))
		}
		for _, t := range c.Tests {
			a.printf("    tested: %s: %s%s\n", bare(t.Prediction), outcomeWords[t.Outcome], aside(t.Saw))
		}
		if c.Reason != "" && !c.Undecided() {
			a.printf("    because: %s\n", c.Reason)
		}
	}
	if d := in.Diagnosis; d != nil {
		a.printf("\nConfirmed (%s) by %s: %s\n", strings.ReplaceAll(d.Confidence, "_", " "), actor(d.By), d.Statement)
		for _, f := range d.Factors {
			a.printf("    contributed: %s\n", f)
		}
	}
}

var outcomeWords = map[string]string{incident.TestHeld: "as predicted", incident.TestFailed: "not as predicted", incident.TestUnclear: "we can't tell"}

func stateOf(c incident.Cause) string { return strings.ReplaceAll(string(c.State), "_", " ") }

// shown is a piece of evidence or a change, with its id.
func shown(in incident.Incident, id string) string {
	for _, e := range in.Evidence {
		if e.ID == id {
			return id + ", " + e.Title
		}
	}
	for _, c := range in.Changes {
		if c.ID == id {
			return id + ", " + c.What
		}
	}
	return id
}

func aside(note string) string {
	if note == "" {
		return ""
	}
	return " (" + note + ")"
}

// weighing are the flags that say how evidence speaks.
type weighing struct{ speaksFor, against, neutral []string }

func (w *weighing) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&w.speaksFor, "for", nil, "evidence or change that speaks for it; may be given several times")
	cmd.Flags().StringSliceVar(&w.against, "against", nil, "evidence or change that speaks against it")
}

// weigh sends each of them; the last result tells of all.
func (w *weighing) weigh(ctx context.Context, c *apiclient.Client, site, cause, note string, res api.Result) (api.Result, error) {
	for _, x := range []struct {
		stance string
		ids    []string
	}{{incident.For, w.speaksFor}, {incident.Against, w.against}, {incident.Neutral, w.neutral}} {
		for _, id := range x.ids {
			one, err := c.WeighCause(ctx, site, cause, api.WeighBody{Evidence: id, Stance: x.stance, Note: note})
			if err != nil {
				return res, err
			}
			res = api.Result{Incident: one.Incident, Events: append(res.Events, one.Events...)}
		}
	}
	return res, nil
}

func (a *app) causeAdd() *cobra.Command {
	var b api.CauseBody
	var w weighing
	return a.command(act{
		use: "add STATEMENT", short: "Say what it might be, so that it could be proved wrong", args: cobra.ExactArgs(1), site: true, doing: "Writing it down",
		example: "  lifeboat cause add \"The new release holds connections\" --predicts \"pool_in_use stays at its size\" --for e3",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Prediction, "predicts", "", "what should be seen if it is so")
			w.flags(cmd)
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Statement = in.args[0]
			res, err := c.AddCause(ctx, in.site, b)
			if err != nil || len(res.Incident.Causes) == 0 {
				return res, err
			}
			return w.weigh(ctx, c, in.site, res.Incident.Causes[len(res.Incident.Causes)-1].ID, "", res)
		},
	})
}

func (a *app) causeWeigh() *cobra.Command {
	var w weighing
	var note string
	return a.command(act{
		use: "weigh CAUSE", short: "Say how evidence, or a change, speaks to a possible cause", args: cobra.ExactArgs(1), site: true, complete: theCauses, doing: "Writing it down",
		example: "  lifeboat cause weigh c1 --for e3,deploy-4711 --against e5",
		flags: func(cmd *cobra.Command) {
			w.flags(cmd)
			cmd.Flags().StringSliceVar(&w.neutral, "neutral", nil, "evidence or change that says nothing about it after all")
			cmd.Flags().StringVar(&note, "note", "", "why it speaks so")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			if len(w.speaksFor)+len(w.against)+len(w.neutral) == 0 {
				return api.Result{}, usage("say what speaks: --for E, --against E or --neutral E")
			}
			return w.weigh(ctx, c, in.site, in.args[0], note, api.Result{})
		},
	})
}

func (a *app) causeTest() *cobra.Command {
	var b api.TestBody
	return a.command(act{
		use: "test CAUSE held|failed|unclear", short: "Write down how a prediction came out", args: cobra.ExactArgs(2), site: true, doing: "Writing it down",
		complete: func(o api.Overview, args []string) []string {
			return append(theCauses(o, args), oneOf(1, incident.TestHeld, incident.TestFailed, incident.TestUnclear)(o, args)...)
		},
		example: "  lifeboat cause test c1 held --saw \"20 of 20 in use for ten minutes\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Saw, "saw", "", "what was seen")
			cmd.Flags().StringVar(&b.Prediction, "predicts", "", "what was looked for, where it is not what the possible cause predicts")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Outcome = in.args[1]
			return c.TestCause(ctx, in.site, in.args[0], b)
		},
	})
}

// causeAct is an act that says no more than why.
func (a *app) causeAct(use, short, reason string, do func(c *apiclient.Client, ctx context.Context, site, cause, reason string) (api.Result, error)) *cobra.Command {
	return a.command(act{
		use: use + " CAUSE", short: short, args: cobra.ExactArgs(1), site: true, complete: theCauses, doing: "Writing it down", reason: reason,
		example: fmt.Sprintf("  lifeboat cause %s c2 --reason \"…\"", use),
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return do(c, ctx, in.site, in.args[0], in.reason)
		},
	})
}

func (a *app) causeConfirm() *cobra.Command {
	var b api.ConfirmBody
	return a.command(act{
		use: "confirm CAUSE", short: "Say that this is the cause", args: cobra.ExactArgs(1), site: true, complete: theCauses, doing: "Writing it down",
		reason:  "one sentence: why anyway, where a guard rail says no",
		example: "  lifeboat cause confirm c1 --also c3 --factor \"The pool had no alarm\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringSliceVar(&b.Also, "also", nil, "other possible causes that contributed")
			cmd.Flags().StringArrayVar(&b.Factors, "factor", nil, "what else contributed, in words; may be given several times")
			cmd.Flags().StringVar(&b.Confidence, "confidence", "", "proved (default) or likely")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Reason = in.reason
			return c.ConfirmCause(ctx, in.site, in.args[0], b)
		},
	})
}

func (a *app) causeWithdraw() *cobra.Command {
	return a.command(act{
		use: "withdraw", short: "Take the confirmed cause back", args: cobra.NoArgs, site: true, doing: "Writing it down", reason: "one sentence: what was seen",
		example: "  lifeboat cause withdraw --reason \"It broke again with the pool half empty\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.WithdrawDiagnosis(ctx, in.site, in.reason)
		},
	})
}
