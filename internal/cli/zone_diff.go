package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/dnstrace"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonediff"
)

// transferLimit is how long a zone transfer may take.
const transferLimit = 30 * time.Second

func (a *app) zoneDiff() *cobra.Command {
	var from, keyFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "diff OLD NEW", Short: "Say what differs between two zone files, or a server and a file",
		Long: `Say what differs between two zone files, or, with --from, between what a server gives by zone transfer (AXFR) and a file: record
sets, the serial, and how long resolvers may keep the old answer. Warnings of the files themselves are zone check's.

Exit code 0 where nothing differs, 1 where something does.`,
		Example: "  lifeboat zone diff example.com.zone.old example.com.zone\n  lifeboat zone diff --from 192.0.2.53 example.com.zone",
		Args: func(_ *cobra.Command, files []string) error {
			switch {
			case from == "" && len(files) != 2:
				return usage("two zone files are needed, the old one first; or one and --from")
			case from != "" && len(files) != 1:
				return usage("with --from, one zone file is needed: the new one")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "compare with what this server, `HOST:PORT`, gives by AXFR instead of OLD")
	cmd.Flags().StringVar(&keyFile, "key-file", "", "with --from, `FILE` with the TSIG key to sign with, as tsig-keygen prints it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		after, err := oneZone(files[len(files)-1])
		if err != nil {
			return failed{err}
		}
		var before *zone.Zone
		if from == "" {
			before, err = oneZone(files[0])
		} else {
			var key snapshot.TSIGKey
			if keyFile != "" {
				if key, err = readKey(keyFile); err != nil {
					return failed{err}
				}
			}
			before, err = xfr.Fetch(cmd.Context(), xfr.FetchOptions{Server: withPort(from), Apex: after.Apex(), Key: key, Limit: transferLimit, MaxBytes: maxZone, Now: a.o.Now})
		}
		if err != nil {
			return failed{err}
		}
		d, err := zonediff.Compare(before, after)
		if err != nil {
			return failed{err}
		}
		if asJSON {
			if err := a.writeJSON(d); err != nil {
				return err
			}
		} else {
			a.zoneDifference(d)
		}
		if !d.Equal {
			return silent{exitFailed}
		}
		return nil
	}
	return cmd
}

// oneZone reads and checks one zone file.
func oneZone(file string) (*zone.Zone, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return checkZone(text, file)
}

// withPort is a server's address with DNS's port where it names none.
func withPort(server string) string {
	if addr, err := dnstrace.ParseServer(server); err == nil {
		return addr.String()
	}
	if !strings.Contains(server, ":") {
		return server + ":53"
	}
	return server
}

var changeWords = map[zonediff.Kind]string{zonediff.Added: "added", zonediff.Removed: "removed", zonediff.Data: "changed", zonediff.TTL: "TTL only"}

func (a *app) zoneDifference(d zonediff.Diff) {
	a.printf("%s\n", d.Summary)
	if len(d.Changes) > 0 {
		a.printf("\n")
		t := a.table()
		for _, c := range d.Changes {
			t.row(c.Name, c.Type, cmp.Or(changeWords[c.Kind], string(c.Kind)), ttlWords(c), "")
			for _, data := range c.Old {
				t.row("", "", "", "", "- "+data)
			}
			for _, data := range c.New {
				t.row("", "", "", "", "+ "+data)
			}
		}
		t.end()
	}
	if len(d.Warnings) > 0 {
		a.printf("\n")
	}
	for _, w := range d.Warnings {
		a.printf("warning: %s\n", w)
	}
}

func ttlWords(c zonediff.Change) string {
	switch {
	case c.Kind == zonediff.Added:
		return fmt.Sprintf("TTL %d", c.NewTTL)
	case c.Kind == zonediff.Removed, c.OldTTL == c.NewTTL:
		return fmt.Sprintf("TTL %d", c.OldTTL)
	}
	return fmt.Sprintf("TTL %d, was %d", c.NewTTL, c.OldTTL)
}
