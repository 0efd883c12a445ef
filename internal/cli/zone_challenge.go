package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
)

func (a *app) zoneChallenge() *cobra.Command {
	var forHow time.Duration
	var drop bool
	return a.calling(call{
		use: "challenge [NAME [VALUE…]]", short: "Show a proof that a name is ours to certificate authorities (ACME, DNS-01)",
		long: `Show a proof that a name is ours to certificate authorities (ACME, DNS-01). VALUE is what the authority has to find in the TXT
records of _acme-challenge.NAME. It is answered when the command is over, and gone by itself when its time is. The same VALUE again
lasts longer; several stand side by side, 16 at most.

Without arguments, what is given out now is listed. --drop takes the values back at once, all of the name's where none is given.`,
		example: "  lifeboat zone challenge shop.example.com gfj9XqzVw3ZIx8Gq2mBYtT5KpUo1rWcRg85nMabcdef --for 10m\n  lifeboat zone challenge --drop shop.example.com\n  lifeboat zone challenge",
		args:    cobra.ArbitraryArgs,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().DurationVar(&forHow, "for", 10*time.Minute, "how long it is given out, 24h at most")
			cmd.Flags().BoolVar(&drop, "drop", false, "take proofs back before their time is over")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			switch {
			case drop && len(args) > 0:
				return dropChallenges(ctx, c, args[0], args[1:])
			case drop:
				return nil, "", usage("--drop needs a name, as in: lifeboat zone challenge --drop shop.example.com")
			case len(args) == 0:
				return listChallenges(ctx, c)
			case len(args) == 1:
				return nil, "", usage("what the certificate authority has to find is missing, as in: lifeboat zone challenge %s VALUE", args[0])
			}
			got, err := c.PutChallenge(ctx, api.ChallengeBody{Name: args[0], Values: args[1:], For: forHow.String()})
			return got, fmt.Sprintf("%s gives out %s until %s.", got.Name, many(len(got.Values), "proof"), clock(got.Until)), err
		},
	})
}

func dropChallenges(ctx context.Context, c *apiclient.Client, name string, values []string) (any, string, error) {
	if len(values) == 0 {
		values = []string{""}
	}
	for _, v := range values {
		if err := c.DropChallenge(ctx, name, v); err != nil {
			return nil, "", err
		}
	}
	return map[string]any{"dropped": name}, "It is given out no more.", nil
}

func listChallenges(ctx context.Context, c *apiclient.Client) (any, string, error) {
	list, err := c.Challenges(ctx)
	if err != nil || len(list) == 0 {
		return api.ChallengeList{Challenges: orEmpty(list)}, "No proof is given out.", err
	}
	var b strings.Builder
	for i, x := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s until %s: %s", x.Name, clock(x.Until), strings.Join(x.Values, " "))
	}
	return api.ChallengeList{Challenges: list}, b.String(), nil
}
