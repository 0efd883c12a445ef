package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"lifeboat/internal/demo"
	"lifeboat/internal/demo/shop"
	"lifeboat/internal/handover"
)

// demoShopCommand is the sample site in a process of its own; the demo starts it,
// and hands its listener down, so that nobody can take the port in between.
func demoShopCommand() *cobra.Command {
	var o shop.Options
	c := &cobra.Command{
		Use: "demo-shop", Short: "the sample shop alone", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sockets, err := handover.Inherited()
			if err != nil {
				return err
			}
			if sockets.Has(demo.ShopSocket) {
				o.Listener, err = sockets.Listener(demo.ShopSocket)
				if err := errors.Join(err, sockets.Close()); err != nil { // the listener has its own
					return err
				}
			}
			o.Logger = logger("shop")
			return shop.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address of the shop, where no socket is handed down")
	f.StringVar(&o.Control, "control", "", "socket that breaks and repairs it")
	f.StringVar(&o.DataFile, "file", "shop.db", "where its orders are kept")
	f.StringVar(&o.OFREP, "ofrep", "", "base URL of the kill switches")
	f.StringVar(&o.Stock, "stock", "", "base URL of the stock service")
	f.StringVar(&o.Name, "name", "main", "which origin this is")
	f.StringVar(&o.Release, "release", "", "of the shop's code")
	f.IntVar(&o.Well, "well", 0, "how many requests a release that only looks well answers first")
	f.StringVar(&o.Log, "log", "", "file for a line per failing request")
	return c
}
