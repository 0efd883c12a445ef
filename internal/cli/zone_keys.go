package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

func (a *app) zoneKeys() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "The keys of signed zones, and for how long their answers validate", Args: cobra.NoArgs, Example: "  lifeboat zone keys"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		v, err := c.Keys(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			v.Zones = orEmpty(v.Zones)
			return a.writeJSON(v)
		}
		if len(v.Zones) == 0 {
			a.printf("No zone is signed. Say dnssec: true at a zone in the configuration.\n")
			return nil
		}
		t := a.table()
		t.row("ZONE", "KEY", "MADE", "SIGNS", "VALID UNTIL", "WHERE IT STANDS")
		for _, z := range v.Zones {
			for _, k := range z.Keys {
				signs := "no"
				if k.Signs {
					signs = "yes"
				}
				t.row(z.Apex, fmt.Sprint(k.Tag), day(k.Made), signs, day(z.Until), z.Says)
			}
		}
		t.end()
		if v.Problem != "" {
			a.printf("They could not be signed anew: %s\n", v.Problem)
		}
		return nil
	}
	return cmd
}

func (a *app) zoneDS() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ds ZONE", Short: "The DS record that a signed zone's parent needs", Args: cobra.ExactArgs(1), Example: "  lifeboat zone ds shop.example.com",
		Long: `The DS record that a signed zone's parent needs, as a line of a zone file. Give it to the registrar. A registrar that reads CDS records finds it there by itself.

While a roll-over goes on it is the next key's from the moment at which the parent may point at it.`,
	}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		v, err := c.Keys(cmd.Context())
		if err != nil {
			return err
		}
		apex := absolute(args[0])
		i := slices.IndexFunc(v.Zones, func(z signer.ZoneView) bool { return z.Apex == apex })
		if i < 0 {
			return failed{fault.New(fault.NotFound, "there is no signed zone %s", apex).WithHint("see them with: lifeboat zone keys")}
		}
		if r.json {
			return a.writeJSON(v.Zones[i])
		}
		for _, ds := range v.Zones[i].DS {
			a.printf("%s IN DS %s\n", apex, ds)
		}
		return nil
	}
	return cmd
}

func (a *app) zoneRoll() *cobra.Command {
	return a.calling(call{
		use: "roll ZONE", short: "Begin a roll-over of a signed zone's key", args: cobra.ExactArgs(1), example: "  lifeboat zone roll shop.example.com",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			apex := absolute(args[0])
			return map[string]any{"rolls": apex}, "The next key stands in the zone. lifeboat goes on by itself and waits for the DS record at the parent. Next: lifeboat zone keys", c.RollKey(ctx, apex)
		},
	})
}

func (a *app) zoneNewKey() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use: "new-key ZONE", Short: "Make a new key for a signed zone whose key is lost", Args: cobra.ExactArgs(1), Example: "  lifeboat zone new-key shop.example.com",
		Long: `Make a new key for a signed zone whose key is lost. lifeboat does not do so by itself: while the zone above has a DS record of the old key, whoever validates takes no answer that is signed with another one.

First look for the old key in a backup. Where there is none, have the DS record taken out at the registrar and wait until its TTL is over; then make the new key here, and give the registrar what "lifeboat zone ds ZONE" says.

The key is made in control's data folder, on control's own machine.`,
	}
	dataFlag(cmd, &data)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir := filepath.Join(data, "control", "dnssec")
		info, err := os.Stat(dir)
		if err != nil {
			return failed{fault.New(fault.NotFound, "there is no folder of keys here: %s", dir).WithHint("say with --data where control's data folder is; control makes the folder when it starts with a zone that is to be signed")}
		}
		folder, err := signer.OpenFolder(dir)
		if err != nil {
			return failed{err}
		}
		keys, err := folder.New(absolute(args[0]), time.Now())
		if err != nil {
			return failed{err}
		}
		if owner, known := info.Sys().(*syscall.Stat_t); known && os.Geteuid() == 0 { // control must be able to read it
			if err := os.Chown(folder.File(absolute(args[0])), int(owner.Uid), int(owner.Gid)); err != nil {
				return failed{fault.New(fault.Unavailable, "give the key to control's account").Because(err)}
			}
		}
		a.printf("%s has the new key %d. Control takes it by itself. Give the registrar what this says: lifeboat zone ds %s\n", absolute(args[0]), keys.Keys[0].Tag(), absolute(args[0]))
		return nil
	}
	return cmd
}

// absolute is a zone's name as lifeboat writes it.
func absolute(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") + "." }

func (a *app) zoneSign() *cobra.Command {
	var keys string
	var serial uint32
	cmd := &cobra.Command{
		Use: "sign FILE", Short: "Sign a zone file and write the signed zone", Args: cobra.ExactArgs(1),
		Long: `Sign a zone file and write the signed zone, as text, with a plain NSEC chain and ECDSA P-256. Signatures hold for 30 days.

The zone's key is taken from the folder of --keys, and made there where the zone has none. The DS record for the parent stands in the first line, as a comment.`,
		Example: "  lifeboat zone sign example.com.zone --keys ./keys > example.com.signed",
	}
	cmd.Flags().StringVar(&keys, "keys", "", "folder of the zones' keys (required)")
	cmd.Flags().Uint32Var(&serial, "serial", 0, "serial of the signed zone; 0: the file's")
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		if keys == "" {
			return usage("--keys is missing: say in which folder the zone's key is, or is to be made")
		}
		zones, warnings, err := readZones(files)
		if err != nil {
			return err
		}
		for _, w := range warnings {
			a.tell("warning: %s\n", w)
		}
		signed, err := signZones(zones, keys, serial, time.Now())
		if err != nil {
			return failed{err}
		}
		z := zones[0]
		for _, r := range signed[0].Records {
			if r.Type == dnssec.TypeCDS {
				a.printf("; %s IN DS %s\n", z.Apex(), dnssec.DSText(r.Data))
			}
		}
		a.printf("%s", signer.Text(z, signed[0], cmp.Or(serial, z.Serial())))
		return nil
	}
	return cmd
}

// signZones signs zones with the keys of a folder, which are made where there are none.
func signZones(zones []*zone.Zone, dir string, serial uint32, now time.Time) (out []dnssec.Zone, err error) {
	folder, err := signer.OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	for _, z := range zones {
		keys, _, err := folder.LoadOrMake(z.Apex(), now)
		if err != nil {
			return nil, err
		}
		signed, _, err := keys.Sign(signer.Wanted{Zone: z, Serial: cmp.Or(serial, z.Serial())}, dnssec.Zone{}, now)
		if err != nil {
			return nil, err
		}
		out = append(out, signed)
	}
	return out, nil
}

// signedFor is the line that says for how long signed answers validate.
func signedFor(o api.Overview) string {
	if o.Signing == nil || len(o.Signing.Zones) == 0 {
		return ""
	}
	return "Signed answers validate for " + many(o.Signing.Days(o.Now), "day") + " without control."
}
