package cli

import "github.com/spf13/cobra"

// Processes make the commands that run a process; one that is nil is not there.
// Answer's own subcommands are added to what it makes.
type Processes struct {
	Serve, Control, Answer, Demo, DemoShop func() *cobra.Command
}

// processes is the one place that knows what can run.
func processes(version string) Processes {
	return Processes{
		Serve:    func() *cobra.Command { return serveCommand() },
		Control:  func() *cobra.Command { return controlCommand(version) },
		Answer:   func() *cobra.Command { return answerCommand(version) },
		Demo:     demoCommand,
		DemoShop: demoShopCommand,
	}
}
