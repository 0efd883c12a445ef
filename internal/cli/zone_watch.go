package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/parentwatch"
)

func (a *app) zoneWatch() *cobra.Command {
	var last bool
	cmd := &cobra.Command{
		Use: "watch [ZONE]", Short: "Look from outside whether the world sees what lifeboat publishes", Args: cobra.MaximumNArgs(1),
		Long: `Look from the root down whether the world sees what lifeboat publishes: whom the zone above names, with which addresses and DS records, and what
each of these servers answers. Control looks by itself, too (dns.watch in the configuration); --last shows what it saw, and asks nobody.

Exit code 0 where the world sees what is published, 1 otherwise.`,
		Example: "  lifeboat zone watch\n  lifeboat zone watch shop.example.com --json\n  lifeboat zone watch --last",
	}
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&last, "last", false, "show what was seen last, and ask nobody")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		zone := strings.Join(args, "")
		var seen []api.Seen
		if last {
			seen, err = c.Outside(cmd.Context())
		} else {
			seen, err = c.LookOutside(cmd.Context(), zone)
		}
		if err != nil {
			return err
		}
		if r.json {
			err = a.writeJSON(api.SeenList{Zones: orEmpty(seen)})
		} else {
			a.seenOutside(seen)
		}
		for _, x := range seen {
			if err == nil && x.State != parentwatch.Seen {
				return silent{exitFailed}
			}
		}
		return err
	}
	return cmd
}

// seenOutside writes looks at zones, each with its servers.
func (a *app) seenOutside(seen []api.Seen) {
	if len(seen) == 0 {
		a.printf("No zone was looked at yet. Look now with: lifeboat zone watch\n")
	}
	for i, x := range seen {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s (%s): %s\n", x.Zone, clock(x.At), x.Verdict)
		for _, p := range x.Problems {
			if p != x.Verdict {
				a.printf("  %s\n", p)
			}
		}
		rows := a.table()
		for j, s := range x.Servers {
			if j == 0 {
				rows.row("  SERVER", "ADDRESS", "SERIAL", "")
			}
			serial := "-"
			if s.Serial != nil {
				serial = fmt.Sprint(*s.Serial)
			}
			rows.row("  "+cmp.Or(s.Name, "-"), cmp.Or(s.Address, "-"), serial, s.Problem)
		}
		rows.end()
		if reg := x.Registration; reg != nil {
			a.printf("  %s\n", registered(*reg))
		}
	}
}

// registered is what the registry says, in words.
func registered(r parentwatch.Registration) string {
	switch {
	case r.Problem != "":
		return "When the domain expires is not known: " + r.Problem + "."
	case r.Expires.IsZero():
		return "The registry does not say when " + r.Domain + " expires."
	}
	return fmt.Sprintf("The domain %s is registered until %s.", r.Domain, r.Expires.Format("2006-01-02"))
}
