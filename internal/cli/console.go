package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"lifeboat/internal/control"
)

// console has what concerns lifeboat's own pages.
func (a *app) console() *cobra.Command {
	return group("console", "lifeboat's own pages", a.consoleFingerprint())
}

func (a *app) consoleFingerprint() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "fingerprint", Short: "What a browser has to show when you open the page by its address", Args: cobra.NoArgs,
		Long: "The SHA-256 fingerprint of the certificate that the page shows when it is opened by its address. No authority vouches for that one: compare this with what your browser shows, and write it on the card for the night on which names don't work.\n" +
			"It is read from the data folder, so that it can be had while control is stopped.",
		Example: "  lifeboat console fingerprint --data /var/lib/lifeboat",
	}
	cmd.Flags().StringVar(&data, "data", defaultData, "data folder")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the result as JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		f, err := control.ConsoleFingerprint(filepath.Join(data, "control"))
		if err != nil {
			return err
		}
		if asJSON {
			return a.writeJSON(map[string]string{"sha256": f})
		}
		a.printf("%s\n", f)
		return nil
	}
	return cmd
}
