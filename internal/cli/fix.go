package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

func (a *app) fix() *cobra.Command {
	return group("fix", "One fix at a time: what it changes, what it promises, what it did", a.fixList(), a.fixPropose(), a.fixReport(),
		a.fixAct("withdraw", "Withdraw a fix that was not begun", "one sentence: why", (*apiclient.Client).WithdrawFix),
		a.fixApprove(),
		a.fixAct("object", "Stop a fix that somebody else proposes", "one sentence: what speaks against it", (*apiclient.Client).ObjectToFix),
		a.fixAct("go-alone", "Go on without another person, after the wait; a pause follows", "one sentence: why nobody else can read it", (*apiclient.Client).GoAlone),
		a.fixBegin(),
		a.fixEnd("done", "Say that the fix is in place", (*apiclient.Client).FixDone),
		a.fixJudge(), a.fixMeasure(), a.fixRollBack(),
		a.fixEnd("rolled-back", "Say that the fix is taken back", (*apiclient.Client).FixRolledBack),
		a.fixAct("keep", "Keep a fix that did not do what it promised", "one sentence: why it stays", (*apiclient.Client).KeepFix))
}

// fixView lists the fixes of an incident, for --json.
type fixView struct {
	Incident string         `json:"incident"`
	Fixes    []incident.Fix `json:"fixes"`
}

func (a *app) fixList() *cobra.Command {
	return a.looking(look{
		use: "list", short: "List the fixes, each with its promise and what it did", args: cobra.NoArgs, example: "  lifeboat fix list",
		show: func(_ context.Context, _ *apiclient.Client, in api.Incident, _ []string, asJSON bool) error {
			if asJSON {
				return a.writeJSON(fixView{in.ID, orEmpty(in.Fixes)})
			}
			if len(in.Fixes) == 0 {
				a.printf("No fix was proposed yet. Propose one with: lifeboat fix propose\n")
			}
			for i, f := range in.Fixes {
				if i > 0 {
					a.printf("\n")
				}
				a.oneFix(f)
			}
			return nil
		},
	})
}

// oneFix shows all that is known of a fix.
func (a *app) oneFix(f incident.Fix) {
	a.printf("%s  %s: %s\n", f.ID, fixWords[f.State], f.Change)
	for _, line := range []struct{ name, text string }{
		{"promise", f.Promise.Words()}, {"if not", f.WayBack}, {"takes", f.Takes}, {"risk", f.Risk}, {"by", f.Owner}, {"prepared act", f.Action},
		{"read by", approvers(f)}, {"objection", f.Objection}, {"came of it", f.Result}, {"because", f.Reason}, {"with everybody back", f.Again},
	} {
		if line.text != "" {
			a.printf("    %s: %s\n", line.name, line.text)
		}
	}
	if f.Output != "" {
		a.printf("    its output:\n")
		for line := range strings.Lines(f.Output) {
			a.printf("      %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

// fixWords say where a fix stands.
var fixWords = map[incident.FixState]string{
	incident.StateProposed: "proposed", incident.StateApproved: "read by another person", incident.StateWithdrawn: "withdrawn",
	incident.StateApplying: "being put in place", incident.StateMeasuring: "being measured", incident.StateWorked: "did what it promised",
	incident.StateNoEffect: "did not do what it promised", incident.StateWorse: "made it worse", incident.StateInterrupted: "interrupted",
	incident.StateRollingBack: "being taken back", incident.StateRolledBack: "taken back", incident.StateAccepted: "kept as it is",
}

func approvers(f incident.Fix) string {
	var names []string
	for _, p := range f.Approvals {
		names = append(names, p.By.Name)
	}
	if len(names) == 0 && f.Alone {
		return "nobody else"
	}
	return strings.Join(names, ", ")
}

func (a *app) fixPropose() *cobra.Command {
	var b api.FixBody
	return a.command(act{
		use: "propose", short: "Propose one fix, with what it promises; on a terminal it asks line by line", args: cobra.NoArgs, site: true, doing: "Proposing it",
		reason: "one sentence: why anyway, where a guard rail says no",
		long: `Propose one fix. Nothing is touched by this: somebody else reads it first, then it is begun with: lifeboat fix begin.
Without flags, on a terminal, it asks for each line.`,
		example: "  lifeboat fix propose --change \"Roll release 2.4 back to 2.3\" --check home --within 5m --way-back \"Deploy 2.4 again\" --takes \"two minutes\"",
		flags: func(cmd *cobra.Command) {
			fixFlags(cmd, &b.Change, &b.Check, &b.To, &b.Below, &b.Within, &b.WayBack, &b.Owner)
			f := cmd.Flags()
			f.StringVar(&b.Takes, "takes", "", "how long it will take")
			f.StringVar(&b.Risk, "risk", "", "what else it could do")
			f.StringVar(&b.Action, "action", "", "a prepared act of the site (default: by hand)")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Reason = in.reason
			if b == (api.FixBody{Reason: in.reason}) {
				if !a.o.Typed {
					return api.Result{}, usage("say what it changes: --change \"I will …\"")
				}
				if err := a.askFix(ctx, c, in.site, &b); err != nil {
					return api.Result{}, err
				}
			}
			return c.ProposeFix(ctx, in.site, b)
		},
	})
}

// fixFlags are the lines that a proposal and a report share.
func fixFlags(cmd *cobra.Command, change, check, to, below, within, wayBack, owner *string) {
	f := cmd.Flags()
	f.StringVar(change, "change", "", "what is changed: \"I will …\"")
	f.StringVar(check, "check", "", "the check that shall pass by it")
	f.StringVar(to, "to", "", "what is expected, in words, where no check can tell")
	f.StringVar(below, "below", "", "how long the check may take, like 500ms")
	f.StringVar(within, "within", "", "until when the effect is seen, like 5m (default 5m)")
	f.StringVar(wayBack, "way-back", "", "how it is taken back: \"If not, I will …\"")
	f.StringVar(owner, "owner", "", "who does it (default: you)")
}

// askFix asks for the lines of a proposal, one by one.
func (a *app) askFix(ctx context.Context, c *apiclient.Client, site string, b *api.FixBody) error {
	o, err := c.Status(ctx)
	if err != nil {
		return err
	}
	checks, actions := "", ""
	for _, s := range o.Sites {
		if s.ID != site {
			continue
		}
		checks = strings.Join(s.Checks, ", ")
		for _, act := range s.Actions {
			actions = strings.TrimPrefix(actions+", "+act.Name, ", ")
		}
	}
	a.tell("One fix. Nothing is touched until somebody has read it; an empty line leaves an answer out.\n")
	lines := []struct {
		to   *string
		asks string
	}{
		{&b.Change, "I will …"}, {&b.Check, "The check that shall pass by it (" + checks + ")"}, {&b.Within, "Within (5m)"},
		{&b.WayBack, "If not, I will …"}, {&b.Takes, "It will take"}, {&b.Owner, "Who does it (you)"},
	}
	if actions != "" {
		lines = append(lines, struct {
			to   *string
			asks string
		}{&b.Action, "Prepared act (" + actions + "; empty: by hand)"})
	}
	for _, l := range lines {
		if *l.to, err = a.ask(ctx, l.asks); err != nil {
			return err
		}
	}
	if b.Check == "" {
		if b.To, err = a.ask(ctx, "No check can tell, so what is expected, in words"); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) fixReport() *cobra.Command {
	var b api.ReportBody
	return a.command(act{
		use: "report", short: "Report a fix that was made already; it is measured like any other", args: cobra.NoArgs, site: true, doing: "Writing it down",
		example: "  lifeboat fix report --change \"Restarted the shop\" --check home --owner Linus",
		flags: func(cmd *cobra.Command) {
			fixFlags(cmd, &b.Change, &b.Check, &b.To, &b.Below, &b.Within, &b.WayBack, &b.Owner)
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			if b.Change == "" {
				return api.Result{}, usage("say what was changed: --change \"…\"")
			}
			return c.ReportFix(ctx, in.site, b)
		},
	})
}

// fixAct is an act on the fix at hand that says no more than why. The fix may be named, so
// that nothing happens to another one that came in between.
func (a *app) fixAct(use, short, reason string, do func(c *apiclient.Client, ctx context.Context, site, fix, reason string) (api.Result, error)) *cobra.Command {
	return a.command(act{
		use: use + " [FIX]", short: short, args: cobra.MaximumNArgs(1), site: true, complete: theFixes, doing: "Writing it down", reason: reason,
		example: "  lifeboat fix " + use + " f1 --reason \"…\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return do(c, ctx, in.site, in.arg(0), in.reason)
		},
	})
}

func (a *app) fixApprove() *cobra.Command {
	return a.command(act{
		use: "approve [FIX]", short: "Say that you have read it and have no strong objection", args: cobra.MaximumNArgs(1), site: true, complete: theFixes, doing: "Writing it down",
		long:    "Say that you have read a fix and have no strong objection. Without a name it is the one fix that waits, and what it promises is shown; named, nobody approves another one than they have read.",
		example: "  lifeboat fix list && lifeboat fix approve f1\n  lifeboat fix approve",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			id := in.arg(0)
			if id == "" {
				f, err := waitingFix(ctx, c, in.site)
				if err != nil {
					return api.Result{}, err
				}
				a.fixToRead(f)
				id = f.ID
			}
			return c.ApproveFix(ctx, in.site, id)
		},
	})
}

// fixToRead shows a fix to who answers for it; beside the result, which may be JSON.
func (a *app) fixToRead(f incident.Fix) {
	a.tell("%s: %s\n", f.ID, f.Change)
	for _, line := range []struct{ name, text string }{{"promise", f.Promise.Words()}, {"if not", f.WayBack}, {"takes", f.Takes}, {"risk", f.Risk}, {"by", f.Owner}} {
		if line.text != "" {
			a.tell("    %s: %s\n", line.name, line.text)
		}
	}
}

// waitingFix is the one fix of a site's open incident that waits to be read or begun.
func waitingFix(ctx context.Context, c *apiclient.Client, site string) (incident.Fix, error) {
	o, err := c.Status(ctx)
	if err != nil {
		return incident.Fix{}, err
	}
	for _, s := range o.Sites {
		if s.ID != site || s.Incident == nil || !s.Incident.Phase.Open() {
			continue
		}
		if f, found := s.Incident.FixPlanned(); found {
			return f, nil
		}
	}
	return incident.Fix{}, fault.New(fault.NotFound, "no fix waits").WithHint("see what there is: lifeboat fix list; propose one: lifeboat fix propose")
}

func (a *app) fixBegin() *cobra.Command {
	wait := false
	return a.command(act{
		use: "begin [FIX]", short: "Begin the fix: its prepared act runs, or you do it now", args: cobra.MaximumNArgs(1), site: true, complete: theFixes, doing: "Beginning",
		reason:  "one sentence: why anyway, where a guard rail says no",
		long:    "Begin the fix that was read. With --wait it waits first: for another person's answer, or for the end of the pause of who goes on alone.",
		example: "  lifeboat fix begin f1\n  lifeboat fix begin --wait",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&wait, "wait", false, "wait until it has been read, or until the pause is over")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			id := in.arg(0)
			if wait {
				f, err := a.untilRead(ctx, c, in.site, id)
				if err != nil {
					return api.Result{}, err
				}
				id = f.ID
			}
			return c.BeginFix(ctx, in.site, id, in.reason)
		},
	})
}

// untilRead waits until a fix may begin: somebody has read it, or the pause of who goes
// on alone is over. What it waits for is told once, and again when that changes.
func (a *app) untilRead(ctx context.Context, c *apiclient.Client, site, id string) (incident.Fix, error) {
	told := ""
	tick := time.NewTicker(cmp.Or(a.every, watchEvery))
	defer tick.Stop()
	for {
		f, err := waitingFix(ctx, c, site)
		if err != nil {
			return f, err
		}
		words, err := awaited(f, id, a.o.Now())
		if err != nil || words == "" {
			return f, err
		}
		if words != told {
			a.tell("%s\n", words)
			told = words
		}
		select {
		case <-ctx.Done():
			return f, ctx.Err()
		case <-tick.C:
		}
	}
}

// awaited says what a fix waits for; "" where it may begin.
func awaited(f incident.Fix, id string, now time.Time) (string, error) {
	alone := f.At.Add(f.Waits)
	switch {
	case id != "" && f.ID != id:
		return "", fault.New(fault.Conflict, "%s waits now, not %s", f.ID, id).WithHint("read it: lifeboat fix list")
	case f.Objection != "":
		return "", fault.New(fault.Conflict, "somebody objects to %s: %s", f.ID, bare(f.Objection)).WithHint("talk, then withdraw it: lifeboat fix withdraw --reason \"why\"")
	case len(f.Approvals) > 0, f.Alone && !now.Before(f.PauseUntil):
		return "", nil
	case f.Alone:
		return fmt.Sprintf("Read %s once more, slowly. It begins at %s.", f.ID, clock(f.PauseUntil)), nil
	case now.Before(alone):
		return fmt.Sprintf("%s waits for another person to read it, until %s.", f.ID, clock(alone)), nil
	}
	return "", fault.New(fault.Conflict, "nobody has read %s", f.ID).WithHint("go on alone: lifeboat fix go-alone --reason \"why\", then: lifeboat fix begin --wait")
}

func (a *app) fixMeasure() *cobra.Command {
	return a.command(act{
		use: "measure [FIX]", short: "Measure what the fix promised once more", args: cobra.MaximumNArgs(1), site: true, complete: theFixes, doing: "Starting to measure",
		example: "  lifeboat fix measure",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.MeasureFix(ctx, in.site, in.arg(0))
		},
	})
}

func (a *app) fixRollBack() *cobra.Command {
	return a.command(act{
		use: "roll-back [FIX]", short: "Roll a fix back: the one under way, or the last; always free", args: cobra.MaximumNArgs(1), site: true, complete: theFixes, doing: "Rolling it back",
		example: "  lifeboat fix roll-back",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.RollBackFix(ctx, in.site, in.arg(0))
		},
	})
}

// fixEnd says that something is done, or could not be.
func (a *app) fixEnd(use, short string, do func(c *apiclient.Client, ctx context.Context, site string, b api.DoneBody) (api.Result, error)) *cobra.Command {
	var b api.DoneBody
	return a.command(act{
		use: use + " [FIX]", short: short, args: cobra.MaximumNArgs(1), site: true, complete: theFixes, doing: "Writing it down",
		example: "  lifeboat fix " + use + "\n  lifeboat fix " + use + " --failed --detail \"The registry does not answer\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&b.Failed, "failed", false, "it could not be done, or not to its end")
			cmd.Flags().StringVar(&b.Detail, "detail", "", "what happened")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Fix = in.arg(0)
			return do(c, ctx, in.site, b)
		},
	})
}

func (a *app) fixJudge() *cobra.Command {
	return a.command(act{
		use: "judge worked|no-effect|worse", short: "Say what the fix came to, where no check can tell", args: cobra.ExactArgs(1), site: true, doing: "Writing it down",
		complete: oneOf(0, "worked", "no-effect", "worse"), reason: "one sentence: what you saw",
		example: "  lifeboat fix judge worked --reason \"Orders come in again\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.JudgeFix(ctx, in.site, api.JudgeBody{Result: strings.ReplaceAll(in.args[0], "-", "_"), Reason: in.reason})
		},
	})
}
