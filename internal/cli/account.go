package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/role"
)

func (a *app) account() *cobra.Command {
	people := group("account", "The people who may sign in, and what they may do", a.accountList(), a.accountInvite(), a.accountAdd(), a.accountRole(), a.accountTitle(), a.accountPassword(),
		a.accountSwitch("disable", "Take an account's rights away, and end its sign-ins", "%s may no longer sign in.", (*apiclient.Client).DisableAccount),
		a.accountSwitch("enable", "Let an account sign in again, with the password that it had", "%s may sign in again.", (*apiclient.Client).EnableAccount),
		a.accountReset(), a.accountFactors(), a.accountSessions(), a.accountSignOut())
	people.Aliases = []string{"people"}
	return people
}

func (a *app) accountInvite() *cobra.Command {
	var b api.InviteBody
	return a.calling(call{
		use: "invite NAME", short: "Make an account whose owner chooses the password, by a link that counts once", args: cobra.ExactArgs(1),
		long:    "Make an account whose owner chooses the password, by a link that counts once, within three days. Hand it over in person, or by a way that you trust.\n" + roleHelp(),
		example: "  lifeboat account invite ada --title \"Ada Lovelace\" --role operator",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Title, "title", "", "as the timeline shows it (default: the name)")
			cmd.Flags().StringVar(&b.Role, "role", string(role.Operator), "viewer, reporter, operator, commander or admin")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			if _, err := role.ParseRole(b.Role); err != nil {
				return nil, "", err
			}
			b.Name = args[0]
			in, err := c.Invite(ctx, b)
			return in, invited(in), err
		},
	})
}

// invited says how the owner of an account goes on.
func invited(in api.Invitation) string {
	s := fmt.Sprintf("%s (%s) chooses a password, until %s, ", in.Account.Title, in.Account.Role, day(in.Ends))
	if in.Link == "" {
		return s + "on the page /welcome of the console, with this code, which counts once:\n" + in.Code
	}
	return s + "by this link, which counts once:\n" + in.Link + "\nor on its page with the code:\n" + in.Code
}

func (a *app) accountReset() *cobra.Command {
	return a.calling(call{
		use: "reset NAME", short: "Let somebody begin anew who can't sign in any more", args: cobra.ExactArgs(1),
		long: "Let somebody begin anew who can't sign in any more: password, app, passkeys and recovery codes count no more, all sign-ins end, and a link that counts once lets them choose a new password.\n" +
			"The last admin can be reset only on lifeboat's own machine, as root or as the account that started it.",
		example: "  lifeboat account reset ada",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			in, err := c.ResetAccount(ctx, args[0])
			return in, invited(in), err
		},
	})
}

func (a *app) accountFactors() *cobra.Command {
	cmd := &cobra.Command{Use: "factors NAME", Short: "What an account is signed in with", Args: cobra.ExactArgs(1), Example: "  lifeboat account factors ada"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		f, err := c.Factors(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(f)
		}
		t := a.table()
		t.row("password", yesNo(f.Password))
		if !f.Invited.IsZero() {
			t.row("invited", "until "+day(f.Invited))
		}
		app := "no"
		if !f.TOTP.IsZero() {
			app = "since " + day(f.TOTP)
		}
		t.row("app for codes", app)
		t.row("recovery codes", fmt.Sprintf("%d left", f.Codes))
		for _, k := range f.Passkeys {
			used := "not used yet"
			if !k.Used.IsZero() {
				used = "last used " + day(k.Used)
			}
			t.row("passkey", k.Label, "made "+day(k.Added), used)
		}
		if f.Company != "" {
			t.row("company", f.Company)
		}
		t.end()
		return nil
	}
	return cmd
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// roleHelp says what each role may do.
func roleHelp() string {
	var b strings.Builder
	b.WriteString("The roles:\n")
	for _, r := range role.Roles {
		fmt.Fprintf(&b, "  %-10s %s\n", r, r.May())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (a *app) accountList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "Who may sign in", Args: cobra.NoArgs, Example: "  lifeboat account list"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		accounts, err := c.Accounts(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(api.AccountList{Accounts: orEmpty(accounts)})
		}
		if len(accounts) == 0 {
			a.printf("There is no account yet. Make one with: lifeboat account add NAME --role admin\n")
			return nil
		}
		t := a.table()
		t.row("NAME", "TITLE", "ROLE", "MADE", "MAY SIGN IN")
		for _, x := range accounts {
			may := "yes"
			if !x.Enabled() {
				may = "no, since " + day(x.Disabled)
			}
			t.row(x.Name, x.Title, string(x.Role), day(x.Created), may)
		}
		t.end()
		return nil
	}
	return cmd
}

func (a *app) accountAdd() *cobra.Command {
	var b api.AccountBody
	var fromStdin bool
	return a.calling(call{
		use: "add NAME", short: "Make an account; the password is asked for", args: cobra.ExactArgs(1),
		long:    "Make an account. NAME is for signing in. The password is asked for on the terminal, or read from standard input; it has at least 12 characters.\n" + roleHelp(),
		example: "  lifeboat account add ada --title \"Ada Lovelace\" --role operator",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.Title, "title", "", "as the timeline shows it (default: the name)")
			f.StringVar(&b.Role, "role", string(role.Operator), "viewer, reporter, operator, commander or admin")
			f.BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			if _, err := role.ParseRole(b.Role); err != nil {
				return nil, "", err
			}
			password, err := a.password(fromStdin)
			if err != nil {
				return nil, "", err
			}
			b.Name, b.Password = args[0], password
			made, err := c.CreateAccount(ctx, b)
			return made, fmt.Sprintf("%s (%s) may sign in as %s.", made.Title, made.Role, made.Name), err
		},
	})
}

func (a *app) accountRole() *cobra.Command {
	return a.calling(call{
		use: "role NAME ROLE", short: "Give an account another role; its sign-ins have it at once", args: cobra.ExactArgs(2), long: "Give an account another role. Its sign-ins have it at once.\n" + roleHelp(),
		example: "  lifeboat account role ada commander",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			now, err := c.SetRole(ctx, args[0], args[1])
			return now, fmt.Sprintf("%s is %s now. %s", now.Name, now.Role, now.Role.May()), err
		},
	})
}

func (a *app) accountTitle() *cobra.Command {
	return a.calling(call{
		use: "title NAME TITLE", short: "Change how the timeline shows an account from now on", args: cobra.ExactArgs(2), example: "  lifeboat account title ada \"Ada Lovelace\"",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			now, err := c.SetTitle(ctx, args[0], args[1])
			return now, fmt.Sprintf("%s is shown as %s from now on.", now.Name, now.Title), err
		},
	})
}

func (a *app) accountPassword() *cobra.Command {
	var fromStdin bool
	return a.calling(call{
		use: "password NAME", short: "Give an account another password, and end its sign-ins", args: cobra.ExactArgs(1),
		long:    "Give an account another password, and end its sign-ins. It is asked for on the terminal, or read from standard input; it has at least 12 characters.",
		example: "  lifeboat account password ada",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			password, err := a.password(fromStdin)
			if err != nil {
				return nil, "", err
			}
			now, err := c.SetPassword(ctx, args[0], password)
			return now, now.Name + " has a new password; its sign-ins have ended.", err
		},
	})
}

// accountSwitch lets an account in or not.
func (a *app) accountSwitch(use, short, told string, do func(c *apiclient.Client, ctx context.Context, name string) (api.Account, error)) *cobra.Command {
	return a.calling(call{
		use: use + " NAME", short: short, args: cobra.ExactArgs(1), example: "  lifeboat account " + use + " ada",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			now, err := do(c, ctx, args[0])
			return now, fmt.Sprintf(told, now.Name), err
		},
	})
}

func (a *app) accountSessions() *cobra.Command {
	cmd := &cobra.Command{Use: "sessions NAME", Short: "The sign-ins of an account", Args: cobra.ExactArgs(1), Example: "  lifeboat account sessions ada"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		list, err := c.Sessions(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(list)
		}
		if len(list.Sessions) == 0 {
			a.printf("%s is signed in nowhere.\n", list.Account)
			return nil
		}
		t := a.table()
		t.row("SIGN-IN", "HOW", "SINCE", "LAST USED", "ENDS")
		for _, s := range list.Sessions {
			t.row(s.ID, s.How, day(s.Opened), lasted(a.o.Now().Sub(s.Seen))+" ago", day(s.Ends))
		}
		t.end()
		return nil
	}
	return cmd
}

func (a *app) accountSignOut() *cobra.Command {
	return a.calling(call{
		use: "sign-out NAME", short: "End all sign-ins of an account", args: cobra.ExactArgs(1), example: "  lifeboat account sign-out ada",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			return map[string]any{"signed_out": args[0]}, args[0] + " is signed in nowhere any more.", c.SignOut(ctx, args[0])
		},
	})
}
