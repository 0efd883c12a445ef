package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
)

// features lists the kill switches, and takes them from and to flagd's files.
func (a *app) features() *cobra.Command {
	cmd := &cobra.Command{Use: "features", Short: "The features: what each is answered with, who owns it, when its lever was rehearsed", Args: cobra.NoArgs, Example: "  lifeboat features"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := a.allFeatures(cmd.Context(), r)
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(api.Features{Features: all})
		}
		a.featureList(all)
		return nil
	}
	cmd.AddCommand(a.featuresShow(), a.featuresImport(), a.featuresExport())
	return cmd
}

func (a *app) allFeatures(ctx context.Context, r *remote) ([]api.Feature, error) {
	c, err := a.client(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.Features(ctx)
}

func (a *app) featureList(all []api.Feature) {
	if len(all) == 0 {
		a.printf("There is no feature yet: add some to the configuration.\n")
		return
	}
	t := a.table()
	t.row("FEATURE", "NOW", "LEVER", "REHEARSED", "OWNER", "WHAT IT IS")
	for _, f := range all {
		if len(f.Levers) == 0 {
			t.row(f.Key, now(f), "none", "", f.Owner, f.Says)
		}
		for _, l := range f.Levers {
			t.row(f.Key, now(f), l.Name, rehearsed(l, a.o.Now()), f.Owner, f.Says)
		}
	}
	t.end()
	a.printf("\nMore of one: lifeboat features show FEATURE. To close one: lifeboat pull LEVER.\n")
}

// now is what a feature is answered with.
func now(f api.Feature) string {
	calm := short(string(f.Value), 40)
	if len(f.Targeting) > 0 {
		calm = "by its rule"
	}
	switch o := f.Ordered; {
	case o == nil:
		return calm
	case o.Share > 0:
		return fmt.Sprintf("%s for %d %%, %s for the rest", calm, o.Share, short(string(o.Value), 40))
	default:
		return short(string(o.Value), 40) + ", ordered"
	}
}

func (a *app) featuresShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show FEATURE", Short: "One feature in full", Args: cobra.ExactArgs(1), Example: "  lifeboat features show checkout"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := a.allFeatures(cmd.Context(), r)
		if err != nil {
			return err
		}
		for _, f := range all {
			if f.Key != args[0] {
				continue
			}
			if r.json {
				return a.writeJSON(f)
			}
			a.featureInFull(f)
			return nil
		}
		return fault.New(fault.NotFound, "there is no feature %q", args[0]).WithHint("see them with: lifeboat features")
	}
	return cmd
}

func (a *app) featureInFull(f api.Feature) {
	t := a.table()
	t.row("feature", f.Key)
	for _, row := range [][2]string{{"is", f.Says}, {"owner", f.Owner}, {"now", now(f)}} {
		if row[1] != "" {
			t.row(row[0], row[1])
		}
	}
	if o := f.Ordered; o != nil {
		t.row("ordered", ordered(*o))
	}
	t.row("in calm", short(string(f.Value), 200))
	t.row("off", short(string(f.Off), 200))
	for _, name := range sorted(f.Variants) {
		t.row("variant", name+": "+short(string(f.Variants[name]), 200))
	}
	if len(f.Targeting) > 0 {
		t.row("rule", short(string(f.Targeting), 400))
	}
	t.row("without lifeboat", withoutUs(f.Flag))
	seen := "programs on servers"
	if f.Public {
		seen = "programs on servers, and pages"
	}
	t.row("seen by", seen)
	for _, l := range f.Levers {
		t.row("lever", l.Name+": "+leverState(l)+", rehearsed "+rehearsed(l, a.o.Now()))
	}
	if len(f.Levers) == 0 {
		t.row("lever", "none closes it")
	}
	t.end()
}

// ordered tells who ordered what, and since when.
func ordered(o feature.Order) string {
	said := short(string(o.Value), 200)
	if o.By != "" {
		said += " by " + o.By
	}
	if at, err := time.Parse(time.RFC3339, o.Since); err == nil {
		said += " at " + clock(at)
	}
	if o.Incident != "" {
		said += ", incident " + o.Incident
	}
	return said
}

// withoutUs tells what a feature is while lifeboat can't be asked.
func withoutUs(f feature.Flag) string {
	switch {
	case len(f.CodeDefault) == 0:
		return "not written down: look into the code, and add code_default"
	case feature.Same(f.CodeDefault, f.Off):
		return short(string(f.CodeDefault), 200) + ", the default in the code: as if it were closed"
	case feature.Same(f.CodeDefault, f.Value):
		return short(string(f.CodeDefault), 200) + ", the default in the code: as in calm, also while its lever is pulled"
	}
	return short(string(f.CodeDefault), 200) + ", the default in the code"
}

func (a *app) featuresImport() *cobra.Command {
	var off map[string]string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Make the configuration's features of a file of flagd's",
		Long: `Make the configuration's features of a file of flagd's. What belongs into lifeboat.yaml comes out; nothing is changed. What means something
else here is told beside it. Where one flag can't be taken over, nothing is, and each is told.

The default variant is what a feature is in calm. The variant called off, or the false one, is what it is when its lever is pulled; for
others say --off.`,
		Example: "  lifeboat features import flags.json --off search=none >> lifeboat.yaml", Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringToStringVar(&off, "off", nil, "the variant that a flag has when its lever is pulled, as `KEY=VARIANT`; more than once if need be")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		text, err := readFlagd(args[0])
		if err != nil {
			return err
		}
		w, notes, err := feature.ReadFlagd(text, off)
		for _, n := range notes {
			_, _ = fmt.Fprintf(a.o.Err, "note: %s\n", n)
		}
		if err != nil {
			return failed{err}
		}
		out, err := config.WriteFeatures(w)
		if err != nil {
			return failed{err}
		}
		a.printf("%s", out)
		return nil
	}
	return cmd
}

// readFlagd reads a file, - for standard input.
func readFlagd(name string) ([]byte, error) {
	var in io.Reader = os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.New(fault.NotFound, "the file can't be read").At(name).Because(err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, feature.MaxFlagd+1))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the file can't be read").At(name).Because(err)
	}
	return text, nil
}

func (a *app) featuresExport() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the configuration's features as a file of flagd's",
		Long:    "Write the features of a configuration file as a flag definition of flagd's, which means the same there. What is ordered now is not in it.",
		Example: "  lifeboat features export --config lifeboat.yaml > flags.json", Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "config", "lifeboat.yaml", "configuration file")
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := readConfig(file)
		if err != nil {
			return err
		}
		out, err := feature.WriteFlagd(c.Written)
		if err != nil {
			return err
		}
		a.printf("%s", out)
		return nil
	}
	return cmd
}
