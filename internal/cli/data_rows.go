package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
)

// dataRows are the commands that take rows out of a database and put them back.
func (a *app) dataRows() []*cobra.Command {
	return []*cobra.Command{a.dataSearch(), a.dataPlan(), a.dataPlans(), a.dataShow(), a.dataApprove(), a.dataApply(), a.dataStop(), a.dataHeld(), a.dataVerify(),
		a.dataPreview(), a.dataRestore(), a.dataDiscard(), a.dataPurge()}
}

func (a *app) dataPlan() *cobra.Command {
	var b api.DataPlanBody
	var keys, set, null []string
	return a.calling(call{
		use: "plan TABLE", short: "Say which rows would leave, with all that hangs on them; nothing is changed", args: cobra.ExactArgs(1),
		long: `Say which rows would leave with everything that hangs on them: how many of what, why each table is touched, what will be noticed, and the exact
SQL there and back. The rows are named once; what is carried out later is that list. Nothing is changed.

Rows are named by their key, or chosen by a condition of comparisons: column, operator, literal, and, or. There are no functions.`,
		example: "  lifeboat data plan orders --key 4711\n  lifeboat data plan orders --where \"customer = 12 and state in ('open', 'paid')\"\n  lifeboat data plan orders --key 4711 --set note='(removed)'",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.Database, "database", "", "which database, where there are several")
			f.StringArrayVar(&keys, "key", nil, "a row by its key; once for each row; several key columns with commas between")
			f.StringVar(&b.Where, "where", "", "rows by a condition, in place of keys")
			f.StringArrayVar(&set, "set", nil, "COLUMN=VALUE: put a safe value there instead of taking the row away; may be given more than once")
			f.StringArrayVar(&null, "set-null", nil, "COLUMN: put NULL there instead of taking the row away")
			f.BoolVar(&b.Batch, "batch", false, "in many transactions: needed above the limit, and not atomic")
			f.StringSliceVar(&b.Accept, "accept", nil, "take upon you: share (more than a tenth of a table), index (a link without one), open (another operation on the table)")
			f.StringVar(&b.Reason, "reason", "", "why, in one sentence")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			b.Table, b.Keys, b.Mode = args[0], keysOf(keys), ""
			cells, err := cellsOf(set, null)
			if err != nil {
				return nil, "", err
			}
			if b.Set = cells; len(cells) > 0 {
				b.Mode = string(quarantine.Replace)
			}
			if b.Database, err = databaseOf(ctx, c, b.Database); err != nil {
				return nil, "", err
			}
			k, err := c.PlanData(ctx, b)
			return k, planText(k), err
		},
	})
}

func keysOf(typed []string) (out [][]string) {
	for _, k := range typed {
		out = append(out, strings.Split(k, ","))
	}
	return out
}

func cellsOf(set, null []string) (out []api.DataCellBody, err error) {
	for _, s := range set {
		column, value, is := strings.Cut(s, "=")
		if !is || column == "" {
			return nil, fault.New(fault.Invalid, "%q names no column and value", s).At("--set").WithHint("as in --set note='(removed)'")
		}
		out = append(out, api.DataCellBody{Column: column, Value: &value})
	}
	for _, column := range null {
		out = append(out, api.DataCellBody{Column: column})
	}
	return out, nil
}

// databaseOf is the database that is meant: the only one unless said.
func databaseOf(ctx context.Context, c *apiclient.Client, said string) (string, error) {
	if said != "" {
		return said, nil
	}
	all, err := c.Databases(ctx)
	if err != nil {
		return "", err
	}
	if len(all) == 1 {
		return all[0].Name, nil
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	if len(all) == 0 {
		return "", fault.New(fault.NotFound, "the configuration has no databases").WithHint("name them under databases: lifeboat config show has a sample")
	}
	return "", fault.New(fault.Invalid, "there are several databases").At("--database").WithHint("name one of %s", strings.Join(names, ", "))
}

// planText is a plan for people: what leaves, why, what is noticed, and what to do next.
func planText(k desk.Kept) string {
	p := k.Plan
	var out strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&out, format+"\n", args...) }
	line("Plan %s for %s: %s.", p.ID, p.Database, k.Title)
	if p.Mode == quarantine.Move {
		line("\n%s, about %d KB:", quarantine.Count(p.Rows, "row leaves", "rows leave"), (p.Bytes+1023)/1024)
	}
	for _, t := range p.Tables {
		line("  %-30s %6d   %s", t.Name, len(t.Frozen), t.Why)
		for _, s := range t.Samples {
			line("      %s: %s", strings.Join(s.Key, ","), strings.Join(s.Cells, "; "))
		}
	}
	for _, d := range p.Detached {
		line("  %-30s %6d   %s link to %s for the time being", d.Link.Child, len(d.Frozen), map[bool]string{true: "stays, and loses its", false: "stay, and lose their"}[len(d.Frozen) == 1], d.Link.Parent)
	}
	section := func(title string, lines []string) {
		if len(lines) > 0 {
			line("\n%s", title)
		}
		for _, l := range lines {
			line("  %s", l)
		}
	}
	var notices []string
	for _, n := range p.Notices {
		notices = append(notices, strings.TrimPrefix(n.Table+": "+n.Text, ": "))
	}
	section("What will be noticed:", notices)
	section("In the way just now:", p.Locks)
	section("It will run:", p.SQL)
	section("And back:", p.Inverse)
	var refused []string
	for _, r := range p.Refused {
		refused = append(refused, strings.TrimPrefix(r.Table+": "+r.Reason+" "+r.Satisfy, ": "))
	}
	section("It can't be carried out:", refused)
	return out.String() + planNext(k)
}

// planNext says what can be done with a plan now.
func planNext(k desk.Kept) string {
	id := k.Plan.ID
	switch {
	case len(k.Plan.Refused) > 0:
		return "\nNext: make another plan."
	case k.Progress != nil && k.Progress.Running:
		return fmt.Sprintf("\nUnder way: %d of %s. Stop it with: lifeboat data stop %s", k.Progress.Done, many(k.Progress.Of, "row"), id)
	case k.Progress != nil && k.Progress.Problem != "":
		return fmt.Sprintf("\nIt came to a halt at %d of %s: %s. Go on with: %s", k.Progress.Done, many(k.Progress.Of, "row"), k.Progress.Problem, k.HowToApply())
	case k.Approval && !k.Approved():
		return fmt.Sprintf("\nNext: another person reads it and approves it: lifeboat data approve %s --hash %s", id, hashStart(k.Plan.Hash))
	case k.Halted():
		return fmt.Sprintf("\nIt was begun, and is not known to have ended. See what is held with: lifeboat data held; it goes on with: %s", k.HowToApply())
	case !k.Begun.IsZero():
		return "\nIt was carried out; see what is held with: lifeboat data held"
	}
	return "\nNothing was changed. To carry it out: " + k.HowToApply()
}

// shortHash is how much of a hash a person types.
const shortHash = 12

func hashStart(hash string) string { return hash[:min(shortHash, len(hash))] }

// readHash is the whole hash of the plan that somebody has read: they give its beginning.
func readHash(ctx context.Context, c *apiclient.Client, id, said string) (string, error) {
	k, err := c.DataPlan(ctx, id)
	switch {
	case err != nil:
		return "", err
	case len(said) < 8 || !strings.HasPrefix(k.Plan.Hash, said):
		return "", fault.New(fault.Invalid, "--hash does not name the plan as it is").At("--hash").WithHint("read it; its last line says what to type. Read it with: lifeboat data show %s", id)
	}
	return k.Plan.Hash, nil
}

func (a *app) dataPlans() *cobra.Command {
	return a.calling(call{
		use: "plans", short: "The plans that are kept, newest first", args: cobra.NoArgs, example: "  lifeboat data plans",
		do: func(ctx context.Context, c *apiclient.Client, _ []string) (any, string, error) {
			all, err := c.DataPlans(ctx)
			var out []string
			for _, k := range all {
				state := "can be carried out"
				switch {
				case len(k.Plan.Refused) > 0:
					state = "refused"
				case k.Progress != nil && k.Progress.Running:
					state = "under way"
				case k.Halted():
					state = "begun, and not known to have ended"
				case !k.Begun.IsZero():
					state = "carried out " + day(k.Begun)
				case k.Approval && !k.Approved():
					state = "to be read by another person"
				}
				out = append(out, fmt.Sprintf("%s  %s  %s, by %s: %s", k.Plan.ID, day(k.Plan.Made), k.Title, k.By, state))
			}
			return all, or(strings.Join(out, "\n"), "No plan is kept. Make one with: lifeboat data plan TABLE --key KEY"), err
		},
	})
}

func or(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

func (a *app) dataShow() *cobra.Command {
	return a.calling(call{
		use: "show PLAN", short: "A plan, and how far it is carried out", args: cobra.ExactArgs(1), example: "  lifeboat data show 01jq8zt3kd",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			k, err := c.DataPlan(ctx, args[0])
			return k, planText(k), err
		},
	})
}

func (a *app) dataApprove() *cobra.Command {
	var hash string
	return a.calling(call{
		use: "approve PLAN", short: "Approve a plan that somebody else has made", args: cobra.ExactArgs(1), example: "  lifeboat data approve 01jq8zt3kd --hash 3f2a9c17b0de",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&hash, "hash", "", "of the plan that you have read, as data show tells it")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			whole, err := readHash(ctx, c, args[0], hash)
			if err != nil {
				return nil, "", err
			}
			k, err := c.ApproveData(ctx, args[0], api.DataHashBody{Hash: whole})
			return k, "Approved." + planNext(k), err
		},
	})
}

func (a *app) dataApply() *cobra.Command {
	var b api.DataHashBody
	return a.calling(call{
		use: "apply PLAN", short: "Carry a plan out, declaring an incident if none is open", args: cobra.ExactArgs(1),
		example: "  lifeboat data apply 01jq8zt3kd --hash 3f2a9c17b0de --reason \"Order 4711 breaks the list of orders\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Hash, "hash", "", "of the plan that you have read, as data show tells it")
			cmd.Flags().StringVar(&b.Reason, "reason", "", "one sentence: why")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			if err := saysEnough(b.Reason); err != nil {
				return nil, "", err
			}
			whole, err := readHash(ctx, c, args[0], b.Hash)
			if err != nil {
				return nil, "", err
			}
			b.Hash = whole
			k, err := c.ApplyData(ctx, args[0], b)
			text := "The rows are gone, seen in the database. Look whether the harm is gone with them: lifeboat data verify " + args[0]
			if k.Plan.Batch {
				text = strings.TrimPrefix(planNext(k), "\n")
			}
			return k, text, err
		},
	})
}

func (a *app) dataStop() *cobra.Command {
	return a.calling(call{
		use: "stop PLAN", short: "Stop a batch after the transaction under way", args: cobra.ExactArgs(1), example: "  lifeboat data stop 01jq8zt3kd",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			return struct{}{}, "It stops after the transaction under way. See how far it came, and how it goes on: lifeboat data show " + args[0], c.StopData(ctx, args[0])
		},
	})
}

func (a *app) dataHeld() *cobra.Command {
	return a.calling(call{
		use: "held", short: "What the databases hold: the rows that were taken out", args: cobra.NoArgs, example: "  lifeboat data held",
		do: func(ctx context.Context, c *apiclient.Client, _ []string) (any, string, error) {
			h, err := c.HeldData(ctx)
			var out []string
			for _, x := range h.Held {
				op := x.Operation
				out = append(out, strings.TrimSpace(fmt.Sprintf("%s  %s  %s  %s: chosen in %s; %s wait, %d are back, %d given up. %s", op.ID, day(op.Started), x.Database, op.State, op.Root,
					many(op.Waiting(), "row"), op.Restored, op.Discarded, op.Reason)))
			}
			for name, problem := range h.Problems {
				out = append(out, fmt.Sprintf("%s can't be asked: %s", name, problem))
			}
			if len(h.Held) > 0 {
				out = append(out, "\nNext: lifeboat data preview OPERATION says what would come back, lifeboat data restore OPERATION puts it back.")
			}
			return h, or(strings.Join(out, "\n"), "Nothing is held."), err
		},
	})
}

func (a *app) dataVerify() *cobra.Command {
	return a.calling(call{
		use: "verify OPERATION", short: "Look whether the rows are gone, the copies whole and nothing orphaned", args: cobra.ExactArgs(1), example: "  lifeboat data verify 01jq8zt3kd",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			v, err := c.VerifyData(ctx, args[0])
			if err != nil {
				return nil, "", err
			}
			var out []string
			for _, x := range v.Checks {
				mark := "ok  "
				switch {
				case x.Unknown:
					mark = "?   "
				case !x.OK:
					mark = "NO  "
				}
				out = append(out, mark+strings.TrimPrefix(x.Table+": "+x.Detail, ": "))
			}
			if !v.OK {
				err = fault.New(fault.Conflict, "not all is as it should be:\n%s", strings.Join(out, "\n")).WithHint("look at the rows that are named, before anything else is done")
			}
			return v, strings.Join(out, "\n"), err
		},
	})
}

// backFlags are the flags of what comes back, and how.
func backFlags(cmd *cobra.Command, b *api.DataBackBody, only, edits *[]string) {
	f := cmd.Flags()
	f.StringArrayVar(only, "only", nil, "a row by its key, with what hangs on it, in place of everything; once for each row")
	f.StringArrayVar(edits, "edit", nil, "TABLE KEY COLUMN=VALUE: correct a held row on its way back; may be given more than once")
	f.BoolFunc("skip", "leave rows that can't come back and report them, in place of putting nothing back", func(string) error {
		b.Policy = string(quarantine.Skip)
		return nil
	})
}

func editsOf(typed []string) (out []api.DataEditBody, err error) {
	for _, e := range typed {
		table, rest, _ := strings.Cut(e, " ")
		key, cell, is := strings.Cut(rest, " ")
		if column, _, _ := strings.Cut(cell, "="); strings.Contains(column, " ") { // there are blanks in keys: in times, in names
			at := strings.LastIndexByte(column, ' ')
			key, cell = key+" "+column[:at], cell[at+1:]
		}
		if !is {
			return nil, fault.New(fault.Invalid, "%q is no correction", e).At("--edit").WithHint("as in --edit \"orders 4711 note=(removed)\"")
		}
		cells, err := cellsOf([]string{cell}, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, api.DataEditBody{Table: table, Key: strings.Split(key, ","), Set: cells})
	}
	return out, nil
}

func (a *app) dataPreview() *cobra.Command {
	var b api.DataBackBody
	var only, edits []string
	return a.calling(call{
		use: "preview OPERATION", short: "Say what putting rows back would do; nothing is changed", args: cobra.ExactArgs(1), example: "  lifeboat data preview 01jq8zt3kd",
		flags: func(cmd *cobra.Command) { backFlags(cmd, &b, &only, &edits) },
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			var err error
			if b.Edits, err = editsOf(edits); err != nil {
				return nil, "", err
			}
			b.Roots = keysOf(only)
			p, err := c.PreviewData(ctx, args[0], b)
			return p, previewText(p, "lifeboat data restore "+args[0]+backWords(b.Policy == string(quarantine.Skip), only, edits)), err
		},
	})
}

// backWords are the flags of a preview, for the command that does it.
func backWords(skip bool, only, edits []string) string {
	out := ""
	for _, k := range only {
		out += " --only " + inShell(k)
	}
	for _, e := range edits {
		out += " --edit " + inShell(e)
	}
	if skip {
		out += " --skip"
	}
	return out
}

// inShell is a word as a shell takes it back.
func inShell(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// previewText says what would come back, and the command that does it.
func previewText(p quarantine.Preview, command string) string {
	if p.Clear && p.Rows+p.Links == 0 {
		return "Nothing waits there: it is back, or was given up."
	}
	out := []string{fmt.Sprintf("%s and %s would come back.", many(p.Rows, "row"), many(p.Links, "link"))}
	for _, x := range append(p.Conflicts, p.Drift...) {
		out = append(out, fmt.Sprintf("  %s %s: %s", x.Table, strings.Join(x.Key, ","), x.Detail))
	}
	for _, n := range p.Notices {
		out = append(out, "  "+n.Text)
	}
	if p.Clear {
		return strings.Join(append(out, "Nothing stands in the way. To put them back: "+command), "\n")
	}
	return strings.Join(append(out, "Not all of it can come back as it was; --skip leaves the rest held."), "\n")
}

func (a *app) dataRestore() *cobra.Command {
	var b api.DataBackBody
	var only, edits []string
	return a.calling(call{
		use: "restore OPERATION", short: "Put rows back: all, some, or corrected ones; nothing is ever overwritten", args: cobra.ExactArgs(1),
		example: "  lifeboat data restore 01jq8zt3kd --only 4711 --edit \"orders 4711 note=(removed)\"\n  lifeboat data restore 01jq8zt3kd",
		flags: func(cmd *cobra.Command) {
			backFlags(cmd, &b, &only, &edits)
			cmd.Flags().StringVar(&b.Reason, "reason", "", "why, in one sentence")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			var err error
			if b.Edits, err = editsOf(edits); err != nil {
				return nil, "", err
			}
			b.Roots = keysOf(only)
			r, err := c.RestoreData(ctx, args[0], b)
			if err != nil {
				return nil, "", err
			}
			if r.Rows+r.Links+len(r.Skipped) == 0 && !r.Again {
				return r, "Nothing was waiting: it is back already, or was given up.", nil
			}
			out := []string{fmt.Sprintf("%s and %s are back; %s wait.", many(r.Rows, "row"), many(r.Links, "link"), many(r.Operation.Waiting(), "row"))}
			for _, x := range r.Skipped {
				out = append(out, fmt.Sprintf("  held still: %s %s: %s", x.Table, strings.Join(x.Key, ","), x.Detail))
			}
			return r, strings.Join(out, "\n"), nil
		},
	})
}

func (a *app) dataDiscard() *cobra.Command {
	var b api.DataDropBody
	var only []string
	return a.calling(call{
		use: "discard OPERATION", short: "Give held rows up; the copies stay until they are purged", args: cobra.ExactArgs(1),
		example: "  lifeboat data discard 01jq8zt3kd --reason \"A test order\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringArrayVar(&only, "only", nil, "a row by its key, with what hangs on it, in place of everything; once for each row")
			cmd.Flags().StringVar(&b.Reason, "reason", "", "one sentence: why they will never be needed")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			b.Roots = keysOf(only)
			op, err := c.DiscardData(ctx, args[0], b)
			return op, fmt.Sprintf("Given up: %s; %s wait. The copies stay until two people ask: lifeboat data purge %s", many(op.Discarded, "row"), many(op.Waiting(), "row"), args[0]), err
		},
	})
}

func (a *app) dataPurge() *cobra.Command {
	return a.calling(call{
		use: "purge OPERATION", short: "Delete the copies for ever; two people have to ask", args: cobra.ExactArgs(1), example: "  lifeboat data purge 01jq8zt3kd",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			p, err := c.PurgeData(ctx, args[0])
			text := "The copies are gone. Hashes, counts and who did it stay."
			if !p.Done {
				text = "Nothing was deleted yet: another person has to ask for it within a day."
			}
			return p, text, err
		},
	})
}
