package cli

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/dnstrace"
	"lifeboat/internal/zonediff"
)

func (a *app) zoneTrace() *cobra.Command {
	var from []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "trace NAME [TYPE]", Short: "Follow a name from the root down, and ask every name server on the way",
		Long: `Follow a name from the root down each delegation, and ask every name server of each zone: who answers, with which serial, and where they
disagree. Aliases are followed. The last line says what a resolver gets now, for how long it may keep it, and what is wrong.

The type is A unless another is named. Name servers that delegations name are asked at the port of the first --from, else at 53.

Exit code 0 where a resolver gets an answer and nothing is wrong, 1 otherwise.`,
		Example: "  lifeboat zone trace shop.example.com\n  lifeboat zone trace example.com MX --from 192.0.2.53",
		Args:    cobra.RangeArgs(1, 2),
	}
	cmd.Flags().StringArrayVar(&from, "from", nil, "begin at this server, `HOST:PORT` with an IP address, instead of the root; may be repeated")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for machines")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o := dnstrace.Options{Name: args[0], Type: "A", Now: a.o.Now}
		if len(args) > 1 {
			o.Type = args[1]
		}
		for _, s := range from {
			server, err := dnstrace.ParseServer(s)
			if err != nil {
				return err
			}
			o.From = append(o.From, server)
		}
		t, err := dnstrace.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		if asJSON {
			if err := a.writeJSON(t); err != nil {
				return err
			}
		} else {
			a.traced(t, o.From)
		}
		if len(t.Wrong) > 0 || t.Kind == dnstrace.Failed {
			return silent{exitFailed}
		}
		return nil
	}
	return cmd
}

func (a *app) traced(t dnstrace.Trace, from []netip.AddrPort) {
	for _, s := range t.Steps {
		zone := s.Zone
		if zone == "" && len(from) > 0 {
			zone = "the servers named"
		}
		a.printf("%s: %s %s?\n", zone, s.Name, t.Type)
		rows := a.table()
		rows.row("  SERVER", "ADDRESS", "SERIAL", "TTL", "TOOK", "ANSWER")
		for _, r := range s.Replies {
			serial, ttl := "-", "-"
			if r.Serial != nil {
				serial = fmt.Sprint(*r.Serial)
			}
			if r.Problem == "" {
				ttl = zonediff.Lasting(r.TTL)
			}
			rows.row("  "+cmp.Or(r.Server, "-"), cmp.Or(r.Address, "-"), serial, ttl, fmt.Sprintf("%d ms", r.Took), replyWords(r))
		}
		rows.end()
		for _, w := range s.Wrong {
			a.printf("  wrong: %s\n", w)
		}
		a.printf("\n")
	}
	a.printf("%s\n", t.Verdict)
}

// replyWords say what a server answered, and whether it is authoritative.
func replyWords(r dnstrace.Reply) string {
	var said string
	switch r.Kind {
	case dnstrace.Referral:
		return "go on to " + r.Zone
	case dnstrace.NoData:
		said = "no record of the type"
	case dnstrace.NXDomain:
		said = "no such name"
	case dnstrace.Answer, dnstrace.Alias:
		said = strings.Join(r.Records, ", ")
	case dnstrace.Lame:
		return "lame: " + r.Problem
	default:
		return cmp.Or(r.Problem, string(r.Kind))
	}
	if r.Authoritative {
		said += ", authoritative"
	}
	if r.TCP {
		said += ", over TCP"
	}
	return said
}
