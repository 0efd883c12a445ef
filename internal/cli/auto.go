package cli

import "github.com/spf13/cobra"

func (a *app) auto() *cobra.Command {
	return group("auto", "What moves by itself", a.autoResume())
}

func (a *app) autoResume() *cobra.Command {
	cmd := &cobra.Command{Use: "resume SITE", Short: "Let rules move the site again", Args: cobra.ExactArgs(1), Example: "  lifeboat auto resume shop",
		Long: "Let rules move the site again. After a person has taken an automatic move back nothing moves by itself until a person says so here."}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		if err := c.ResumeAuto(cmd.Context(), args[0]); err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(map[string]any{"site": args[0], "auto_held": false})
		}
		a.printf("Rules may move %s again.\n", args[0])
		return nil
	}
	return cmd
}
