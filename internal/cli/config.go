package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/certs"
	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

func (a *app) config() *cobra.Command {
	return group("config", "The configuration file", a.configCheck(), a.configShow())
}

func (a *app) configCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Read a configuration file and say what is wrong with it", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := readConfig(args[0])
			if err != nil {
				return err
			}
			warnings, notes, err := configZones(c)
			if err != nil {
				return failed{errLines(err)}
			}
			held, err := configCertificates(c)
			if err != nil {
				return failed{errLines(err)}
			}
			for _, w := range append(append(c.Warnings(), warnings...), held...) {
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

// readConfig reads a configuration file. Where there is none, and the sample site's lies
// in the folder beside, that one is named: it is what a newcomer means.
func readConfig(file string) (*config.Config, error) {
	c, err := config.Load(file)
	if err == nil {
		return c, nil
	}
	sample := filepath.Join(filepath.Dir(file), defaultData, "lifeboat.yaml")
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.NotFound {
		if _, statErr := os.Stat(sample); statErr == nil {
			err = f.WithHint("name the sample site's, %s, or write a commented one: lifeboat config show > lifeboat.yaml", sample)
		}
	}
	return nil, failed{err} // each problem is told, with its place
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

// configCertificates reads the certificates that the file names: a pair that can't be
// served is an error, what a person should know of the others a warning.
func configCertificates(c *config.Config) (warnings []string, err error) {
	if c.Certificates == nil {
		return nil, nil
	}
	var wanted []certs.Wanted
	for _, s := range c.Sites {
		if s.Scheme == "https" {
			wanted = append(wanted, certs.Wanted{ID: s.ID, Names: append(slices.Clone(s.Names), s.StatusName)})
		}
	}
	var bad []error
	for _, f := range c.Certificates.Files {
		notes, err := certs.CheckFile(certs.File{ID: f.Name, Certificate: f.Certificate, Key: f.Key}, wanted, time.Now())
		if err != nil {
			bad = append(bad, err)
		}
		for _, n := range notes {
			warnings = append(warnings, f.Certificate+": "+n)
		}
	}
	return warnings, errors.Join(bad...)
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
