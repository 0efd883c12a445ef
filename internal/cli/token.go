package cli

import (
	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/role"
)

func (a *app) token() *cobra.Command {
	return group("token", "Who may use lifeboat from elsewhere", a.tokenCreate(), a.tokenList(), a.tokenRevoke())
}

func (a *app) tokenCreate() *cobra.Command {
	var b api.TokenBody
	cmd := &cobra.Command{Use: "create NAME", Short: "Make a token for somebody; it is shown once", Args: cobra.ExactArgs(1), Example: "  lifeboat token create \"deploy pipeline\" --role reporter",
		Long: "Make a token for somebody. NAME is how the timeline will call them. The token itself goes to standard output and is shown once: it is not kept.\n" + roleHelp()}
	r := a.remote(cmd)
	cmd.Flags().StringVar(&b.Role, "role", string(role.Operator), "viewer, reporter, operator, commander or admin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		b.Name = args[0]
		made, err := c.CreateToken(cmd.Context(), b)
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(made)
		}
		a.tell("Token %s for %s (%s). Keep it now: it can't be shown again.\n", made.ID, made.Name, made.Role)
		a.printf("%s\n", made.Text)
		return nil
	}
	return cmd
}

func (a *app) tokenList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "Who has a token", Args: cobra.NoArgs, Example: "  lifeboat token list"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		tokens, err := c.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(api.TokenList{Tokens: tokens})
		}
		t := a.table()
		t.row("TOKEN", "NAME", "ROLE", "MADE")
		for _, k := range tokens {
			t.row(k.ID, k.Name, string(k.Role), day(k.Created))
		}
		t.end()
		return nil
	}
	return cmd
}

func (a *app) tokenRevoke() *cobra.Command {
	cmd := &cobra.Command{Use: "revoke ID", Short: "Take a token's rights away, from now on", Args: cobra.ExactArgs(1), Example: "  lifeboat token revoke 3f9a12c04d77"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		if err := c.RevokeToken(cmd.Context(), args[0]); err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(map[string]any{"revoked": args[0]})
		}
		a.printf("Token %s opens nothing any more.\n", args[0])
		return nil
	}
	return cmd
}
