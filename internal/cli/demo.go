package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lifeboat/internal/demo"
	"lifeboat/internal/demo/shop"
)

// demoCommand is `lifeboat demo`.
func demoCommand() *cobra.Command {
	o := demo.Options{Command: typedName()}
	var play demo.PlayOptions
	var script, list, asJSON bool
	c := &cobra.Command{
		Use: "demo", Short: "A sample shop with lifeboat around it, ready to be broken", Args: cobra.NoArgs,
		Long: `Start a sample shop with lifeboat around it: its own DNS, a standby page, kill
switches and the page. Break the shop, press once, watch the name server's answers
move, find the cause, mend it with a fix that somebody else has read, and go back.

With --script a whole crisis is played by two people, under load, and measured; its
post-mortem is kept. Waits are short on purpose; the configuration in the demo
folder says so.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case list:
				return listCases(cmd, asJSON)
			case script:
				return playDemo(cmd, o, play, asJSON)
			case asJSON || cmd.Flags().Changed("case") || cmd.Flags().Changed("out"):
				return usage("--case, --out and --json go with --script")
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
	f.StringVar(&o.Panel, "panel", "", "address of the page that breaks the shop, on this machine (127.0.0.1:8090 or a free port unless said)")
	f.StringVar(&o.ReadyFile, "ready-file", "", "write where everything is here, as JSON, once the levers are rehearsed")
	f.BoolVar(&script, "script", false, "play a whole crisis to its end, and exit")
	f.BoolVar(&list, "list", false, "list the cases that --script can play")
	f.StringVar(&play.Case, "case", "kill", "with --script: the case; --list names them")
	f.StringVar(&play.Out, "out", "", "with --script: folder for the post-mortem (that of --data or "+demo.UsualData+" unless said)")
	f.BoolVar(&asJSON, "json", false, "with --script: write the report as JSON")
	if err := c.RegisterFlagCompletionFunc("case", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return caseNames(), cobra.ShellCompDirectiveNoFileComp
	}); err != nil {
		panic(err) // the flag is two lines above
	}
	c.AddCommand(demoBreak(), demoDo(), demoRepair())
	return c
}

func caseNames() (names []string) {
	for _, c := range demo.Cases() {
		names = append(names, c.Name)
	}
	return names
}

// listCases says which crises can be played.
func listCases(cmd *cobra.Command, asJSON bool) error {
	if asJSON {
		type one struct {
			Case string `json:"case"`
			Says string `json:"says"`
		}
		var all []one
		for _, c := range demo.Cases() {
			all = append(all, one{c.Name, c.Says})
		}
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
	for _, c := range demo.Cases() {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", c.Name, c.Says) // the flush tells
	}
	return t.Flush()
}

// typedName is how a person called this program, for what to type next.
func typedName() string {
	if strings.Contains(os.Args[0], "/") {
		return os.Args[0]
	}
	return "lifeboat"
}

// playDemo plays a crisis. What was not asked for is chosen by the play.
func playDemo(cmd *cobra.Command, o demo.Options, play demo.PlayOptions, asJSON bool) error {
	play.Progress, play.Terminal = cmd.ErrOrStderr(), term.IsTerminal(int(os.Stderr.Fd()))
	for name, set := range map[string]func(){
		"data": func() { play.Data = o.Data }, "http": func() { play.HTTP = o.HTTP },
		"dns": func() { play.DNS = o.DNS }, "ofrep": func() { play.OFREP = o.OFREP },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
	report, err := demo.Play(cmd.Context(), play)
	if report == nil { // no such case: nothing was played
		return err
	}
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
	ways := names(shop.Harms())
	c := &cobra.Command{
		Use: "break WAY", Short: "Break the shop of the demo that runs on the folder", Args: cobra.ExactArgs(1), ValidArgs: ways,
		Long: "Break the shop of the demo that runs on the folder. The ways are " + strings.Join(ways, ", ") +
			".\nTwo of them have a setting: flaky?for=5s and leaky-release?well=40 (requests that it answers first).",
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

// demoDo is one act about the shop: what the prepared acts of the demo call.
func demoDo() *cobra.Command {
	var data string
	acts := names(shop.Acts())
	c := &cobra.Command{
		Use: "do ACT", Short: "Do one thing about the shop, which may help or not", Args: cobra.ExactArgs(1), ValidArgs: acts,
		Long: "Do one thing about the shop of the demo that runs on the folder, and say what came of it. The acts are\n" + strings.Join(acts, ", ") + ".",
		RunE: func(cmd *cobra.Command, args []string) error {
			said, err := demo.Do(cmd.Context(), data, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			return err
		},
	}
	c.Flags().StringVar(&data, "data", demo.UsualData, "demo folder")
	return c
}

func names[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return out
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
