package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/incident"
)

// maxSection is the longest section that is sent, in bytes.
const maxSection = 16 << 10

func (a *app) postmortem() *cobra.Command {
	cmd := a.postmortemShow("postmortem", "The write-up: mostly written already; read it, answer four questions, finish it")
	cmd.AddCommand(a.postmortemShow("show", "Show the post-mortem"), a.postmortemEdit(), a.postmortemAnswer(), a.findingCommands(), a.postmortemFinish())
	return cmd
}

func (a *app) postmortemShow(use, short string) *cobra.Command {
	var format, file string
	var public bool
	forms := map[string]string{"md": "markdown", "markdown": "markdown", "html": "html", "json": "json"}
	return a.looking(look{
		use: use, short: short, args: cobra.NoArgs,
		example: "  lifeboat postmortem\n  lifeboat postmortem show --format html -o postmortem.html",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&format, "format", "md", "md, html or json")
			f.BoolVar(&public, "public", false, "the version for everybody: no names")
			f.StringVarP(&file, "output", "o", "", "file to write it into, - for standard output")
		},
		show: func(ctx context.Context, c *apiclient.Client, in api.Incident, _ []string, asJSON bool) error {
			form, known := forms[format]
			if !known {
				return usage("--format: %q is none of md, html and json", format)
			}
			if asJSON {
				form = "json"
			}
			b, err := c.WriteUp(ctx, in.ID, form, public)
			if err != nil {
				return err
			}
			return a.put(b, file, true)
		},
	})
}

func (a *app) postmortemEdit() *cobra.Command {
	var file string
	return a.command(act{
		use: "edit SECTION [TEXT]", short: "Put your own words into a section", args: cobra.RangeArgs(1, 2), incident: true, doing: "Writing it down",
		long:    "Put your own words into a section, in place of the generated ones. SECTION is its key in: lifeboat postmortem --format json.\nThe text is an argument, a file, or what comes on standard input.",
		example: "  lifeboat postmortem edit summary --file summary.md",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&file, "file", "", "file that holds the text, - for standard input")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			text, err := a.typed(in.arg(1), file, maxSection)
			if err != nil {
				return api.Result{}, err
			}
			return c.EditSection(ctx, in.incident, in.args[0], text)
		},
	})
}

func (a *app) postmortemAnswer() *cobra.Command {
	var file string
	var keys []string
	long := "Answer one of the four questions that only people can:\n"
	for _, q := range incident.Questions {
		keys = append(keys, q.Key)
		long += fmt.Sprintf("  %-10s %s\n", q.Key, q.Text)
	}
	return a.command(act{
		use: "answer QUESTION [TEXT]", short: "Answer one of the four questions: surprise, help, hard or different", args: cobra.RangeArgs(1, 2), incident: true,
		complete: oneOf(0, keys...), doing: "Writing it down",
		long:    long + "The text is an argument, a file, or what comes on standard input.",
		example: "  lifeboat postmortem answer hard \"Nobody knew where the pool's size is set\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&file, "file", "", "file that holds the text, - for standard input")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			text, err := a.typed(in.arg(1), file, maxSection)
			if err != nil {
				return api.Result{}, err
			}
			return c.Answer(ctx, in.incident, in.args[0], text)
		},
	})
}

func (a *app) postmortemFinish() *cobra.Command {
	return a.command(act{
		use: "finish", short: "Make the post-mortem final", args: cobra.NoArgs, incident: true, doing: "Finishing it", example: "  lifeboat postmortem finish",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.FinishWriteUp(ctx, in.incident)
		},
	})
}

func (a *app) findingCommands() *cobra.Command {
	judge := func(use, short string, accepted bool) *cobra.Command {
		var note string
		return a.command(act{
			use: use + " ID", short: short, args: cobra.ExactArgs(1), incident: true, doing: "Writing it down",
			example: "  lifeboat postmortem finding " + use + " late-declaration",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().StringVar(&note, "note", "", "what to say about it")
			},
			do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
				return c.JudgeFinding(ctx, in.incident, api.FindingBody{ID: in.args[0], Accepted: accepted, Note: note})
			},
		})
	}
	return group("finding", "What there is to learn: proposed by lifeboat, judged by people", a.findingList(),
		judge("accept", "Accept a finding", true), judge("reject", "Do not accept a finding", false), a.findingAdd())
}

func (a *app) findingList() *cobra.Command {
	return a.looking(look{
		use: "list", short: "List what lifeboat proposes to learn, and what people made of it", args: cobra.NoArgs, example: "  lifeboat postmortem finding list",
		show: func(ctx context.Context, c *apiclient.Client, in api.Incident, _ []string, asJSON bool) error {
			found, err := c.Findings(ctx, in.ID)
			if err != nil {
				return err
			}
			if asJSON {
				return a.writeJSON(api.WriteUpFindings{Findings: found})
			}
			if len(found) == 0 {
				a.printf("There is nothing to judge. Write a finding with: lifeboat postmortem finding add\n")
				return nil
			}
			t := a.table()
			t.row("ID", "ABOUT", "JUDGED", "WHAT")
			for _, f := range found {
				t.row(f.ID, f.About, judged(f), f.Text+aside(f.Note))
			}
			t.end()
			return nil
		},
	})
}

func judged(f api.WriteUpFinding) string {
	switch {
	case !f.Judged:
		return "not yet"
	case f.Accepted:
		return "accepted"
	}
	return "not accepted"
}

func (a *app) findingAdd() *cobra.Command {
	b := api.FindingBody{Accepted: true}
	return a.command(act{
		use: "add TEXT", short: "Write a finding of your own", args: cobra.ExactArgs(1), incident: true, doing: "Writing it down",
		example: "  lifeboat postmortem finding add \"The password was known to one person\" --about process",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.About, "about", "process", "process or architecture")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Text = in.args[0]
			return c.JudgeFinding(ctx, in.incident, b)
		},
	})
}
