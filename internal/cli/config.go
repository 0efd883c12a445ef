package cli

import (
	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/zone"
)

func (a *app) config() *cobra.Command {
	return group("config", "The configuration file", a.configCheck(), a.configShow())
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Read a configuration file and say what is wrong with it", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := config.Load(args[0])
			if err != nil {
				return failed{err}
			}
			warnings, notes, err := configZones(c)
			if err != nil {
				return failed{errLines(err)}
			}
			for _, w := range append(c.Warnings(), warnings...) {
				a.printf("warning: %s\n", w)
			}
			for _, n := range notes {
				a.printf("note: %s\n", n)
			}
			a.printf("%s is good: %s, %s, %s, %s\n", args[0],
				many(len(c.Sites), "site"), many(len(c.Zones), "zone"), many(len(c.Levers), "lever"), many(len(c.Features), "feature"))
			return nil
		},
	}
}

// configZones reads the zones' text, which the file itself only carries.
func configZones(c *config.Config) (warnings, notes []string, err error) {
	zones, warnings, err := zone.Readable(c.Zones, c.Positions())
	for _, z := range zones {
		for _, n := range z.Notes() {
			notes = append(notes, z.Apex()+": "+n)
		}
	}
	return warnings, notes, err
}

func (a *app) configShow() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Write a commented sample to begin from", Args: cobra.NoArgs,
		Example: "  lifeboat config show > lifeboat.yaml",
		RunE: func(*cobra.Command, []string) error {
			a.printf("%s", config.Example())
			return nil
		},
	}
}
