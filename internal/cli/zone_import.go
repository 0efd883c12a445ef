package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

func (a *app) zoneImport() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take zones over from BIND: from a named.conf or a zone file", Args: cobra.ExactArgs(1),
		Long: `Take zones over from BIND. FILE is a named.conf, of which all zones are taken that BIND is the primary of, or one zone file. Each is checked as
zone check does, and written with everything absolute to ZONE.zone in a folder. What goes into lifeboat.yaml is written to the terminal.

Nothing is written where one of them is bad, or a file is there already. Signatures (RRSIG, NSEC) are left out.`,
		Example: "  lifeboat zone import /etc/bind/named.conf --to /etc/lifeboat >> lifeboat.yaml\n  lifeboat zone import db.example.com --to .",
	}
	cmd.Flags().StringVar(&to, "to", ".", "`FOLDER` to write to: that of lifeboat.yaml")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		zones, err := a.importable(args[0])
		if err != nil {
			return failed{errLines(err)}
		}
		for _, z := range zones {
			path := importPath(to, z)
			if _, err := os.Lstat(path); err == nil {
				return failed{fault.New(fault.Conflict, "the file is there already").At(path).WithHint("remove it, or write to another folder with --to")}
			}
		}
		for _, z := range zones {
			if err := writeNew(importPath(to, z), z.Text()); err != nil {
				return failed{err}
			}
			for _, w := range z.Warnings() {
				a.tell("warning: %s\n", w)
			}
		}
		a.printf("zones:\n")
		for _, z := range zones {
			a.printf("  %s:   # %s, serial %d\n    file: %s\n", strings.TrimSuffix(z.Apex(), "."), many(z.Size(), "record"), z.Serial(), filepath.Base(importPath(to, z)))
		}
		a.tell("%s in %s. Let names follow a site with follow: {www: SITE}, and take their addresses out of the file.\n", many(len(zones), "zone"), to)
		return nil
	}
	return cmd
}

// importPath is where an imported zone is written.
func importPath(folder string, z *zone.Zone) string {
	name := strings.NewReplacer("/", "_", `\`, "_").Replace(strings.TrimSuffix(z.Apex(), "."))
	return filepath.Join(folder, name+".zone")
}

// importable reads the zones of a named.conf, or of a zone file; all problems are told.
func (a *app) importable(file string) ([]*zone.Zone, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	if !zone.IsNamedConf(text) {
		z, err := checkZone(text, file)
		if err != nil {
			return nil, err
		}
		return []*zone.Zone{z}, nil
	}
	listed, skipped, err := zone.NamedConf(file, readFile)
	if err != nil {
		return nil, err
	}
	for _, s := range skipped {
		a.tell("%s\n", s)
	}
	if len(listed) == 0 {
		return nil, fault.New(fault.NotFound, "BIND is the primary of no zone here").At(file).WithHint("fetch zones of other servers with: lifeboat zone fetch")
	}
	var zones []*zone.Zone
	var problems []error
	seen := map[string]string{}
	for _, n := range listed {
		if first, twice := seen[n.Name]; twice {
			problems = append(problems, fault.New(fault.Invalid, "zone %s is there twice, first at %s", n.Name, first).At(n.At).WithHint("views are not known here: import one of the zone files"))
			continue
		}
		seen[n.Name] = n.At
		z, err := namedZone(n)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		zones = append(zones, z)
	}
	return zones, errors.Join(problems...)
}

// namedZone reads one zone by the name that named.conf gives it.
func namedZone(n zone.NamedZone) (*zone.Zone, error) {
	text, err := readFile(n.File)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.At, err)
	}
	if strings.HasPrefix(text, "\x00\x00\x00\x02") { // "raw", BIND's own form
		return nil, fault.New(fault.Invalid, "it is not text but BIND's own form").At(n.File).WithHint("make text of it: named-compilezone -f raw -F text -o OUT %s %s", n.Name, n.File)
	}
	root, err := os.OpenRoot(filepath.Dir(n.File))
	if err != nil {
		return nil, fault.New(fault.Invalid, "can't open its folder").At(n.File).Because(reason(err))
	}
	defer func() { _ = root.Close() }() // it was only read
	included, err := zone.Includes(root.FS(), text, n.File)
	if err != nil {
		return nil, err
	}
	return zone.Parse(zone.Source{Apex: n.Name, File: n.File, Line: 1, Text: text, Includes: included})
}
