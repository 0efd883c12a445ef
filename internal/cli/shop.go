package cli

import (
	"github.com/spf13/cobra"

	"lifeboat/internal/demo/shop"
)

// demoShopCommand is the sample site in a process of its own; the demo starts it.
func demoShopCommand() *cobra.Command {
	var o shop.Options
	c := &cobra.Command{
		Use: "demo-shop", Short: "the sample shop alone", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger = logger("shop")
			return shop.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address of the shop")
	f.StringVar(&o.Control, "control", "", "socket that breaks and repairs it")
	f.StringVar(&o.DataFile, "file", "shop.db", "where its orders are kept")
	f.StringVar(&o.OFREP, "ofrep", "", "base URL of the kill switches")
	f.StringVar(&o.Name, "name", "main", "which origin this is")
	return c
}
