package cli

import (
	"context"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
)

func (a *app) check() *cobra.Command {
	var all bool
	cmd := &cobra.Command{Use: "check", Short: "Look at the whole and say plainly what would hurt in a crisis", Args: cobra.NoArgs, Example: "  lifeboat check --all",
		Long: "Look at the whole and say plainly what would hurt in a crisis. Exit code 1 when there is a problem: something that does not work now, or would not when it is needed. Warnings alone give 0."}
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "what is well, too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		var found []api.Finding
		err = a.slowly(cmd.Context(), "Looking", func(ctx context.Context) (err error) {
			found, err = c.Check(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if r.json {
			if err := a.writeJSON(api.Findings{Findings: found}); err != nil {
				return err
			}
		} else {
			a.findings(found, all)
		}
		for _, f := range found {
			if f.Severity == api.SeverityProblem {
				return silent{exitFailed}
			}
		}
		return nil
	}
	return cmd
}

func (a *app) findings(found []api.Finding, all bool) {
	count := map[api.Severity]int{}
	for _, f := range found {
		count[f.Severity]++
		if f.Severity == api.SeverityOK && !all {
			continue
		}
		about := ""
		if f.About != "" {
			about = " (" + f.About + ")"
		}
		a.printf("%-8s %s%s\n         %s\n", f.Severity, f.Title, about, f.Text)
		if f.Next != "" {
			a.printf("         next: %s\n", f.Next)
		}
		a.printf("\n")
	}
	a.printf("%s, %s, %d well.\n", many(count[api.SeverityProblem], "problem"), many(count[api.SeverityWarning], "warning"), count[api.SeverityOK])
}
