package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lifeboat/internal/demo"
	"lifeboat/internal/demo/shop"
)

// demoCommand is `lifeboat demo`.
func demoCommand() *cobra.Command {
	o := demo.Options{Command: typedName()}
	var script, asJSON bool
	var how string
	c := &cobra.Command{
		Use: "demo", Short: "A sample shop with lifeboat around it, ready to be broken", Args: cobra.NoArgs,
		Long: `Start a sample shop with lifeboat around it: its own DNS, a standby page, kill
switches and the page. Break the shop, press once, watch the name server's answers
move, repair the shop and go back.

With --script a whole crisis is played there and back, under load, and measured.
Waits are short on purpose; the configuration in the demo folder says so.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case script:
				return playDemo(cmd, o, how, asJSON)
			case asJSON || cmd.Flags().Changed("case"):
				return usage("--case and --json go with --script")
			}
			o.Out = cmd.OutOrStdout()
			return demo.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Data, "data", demo.UsualData, "demo folder; kept, and used again (--script: a folder of its own)")
	f.StringVar(&o.HTTP, "http", "127.0.0.1:8080", "address of the page and the API (--script: a free port)")
	f.StringVar(&o.DNS, "dns", "127.0.0.1:5354", "address of the name server, UDP and TCP (--script: a free port)")
	f.StringVar(&o.OFREP, "ofrep", "127.0.0.1:8016", "address of the kill switches, OFREP (--script: a free port)")
	f.StringVar(&o.ReadyFile, "ready-file", "", "write where everything is here, as JSON, once the levers are rehearsed")
	f.BoolVar(&script, "script", false, "play a whole crisis, there and back, and exit")
	f.StringVar(&how, "case", string(shop.Kill), "with --script: how the shop breaks: kill, hang or bad-release")
	f.BoolVar(&asJSON, "json", false, "with --script: write the report as JSON")
	c.AddCommand(demoBreak(), demoRepair())
	return c
}

// typedName is how a person called this program, for what to type next.
func typedName() string {
	if strings.Contains(os.Args[0], "/") {
		return os.Args[0]
	}
	return "lifeboat"
}

// playDemo plays a crisis. What was not asked for is chosen by the play.
func playDemo(cmd *cobra.Command, o demo.Options, how string, asJSON bool) error {
	harm, err := shop.ParseHarm(how)
	if err != nil {
		return err
	}
	play := demo.PlayOptions{Case: harm, Progress: cmd.ErrOrStderr(), Terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	for name, set := range map[string]func(){
		"data": func() { play.Data = o.Data }, "http": func() { play.HTTP = o.HTTP },
		"dns": func() { play.DNS = o.DNS }, "ofrep": func() { play.OFREP = o.OFREP },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
	report, err := demo.Play(cmd.Context(), play)
	werr := error(nil)
	if asJSON {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		werr = e.Encode(report)
	} else {
		werr = report.Write(cmd.OutOrStdout())
	}
	if err != nil && werr == nil {
		return silent{exitFailed} // told already, where it happened
	}
	return errors.Join(err, werr)
}

func demoBreak() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "break kill|hang|bad-release", Short: "Break the shop of the demo that runs on the folder", Args: cobra.ExactArgs(1),
		ValidArgs: []string{string(shop.Kill), string(shop.Hang), string(shop.BadRelease)},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := demo.Break(cmd.Context(), data, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "The shop is broken (%s). See it with: lifeboat status\n", args[0])
			return err
		},
	}
	c.Flags().StringVar(&data, "data", demo.UsualData, "demo folder")
	return c
}

func demoRepair() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "repair", Short: "Repair the shop, whatever was done to it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := demo.Repair(cmd.Context(), data); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "The shop works again. Visitors stay where they are until somebody goes back.")
			return err
		},
	}
	c.Flags().StringVar(&data, "data", demo.UsualData, "demo folder")
	return c
}
