package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/subscribe"
)

// maxImport is how many addresses one file brings.
const maxImport = 20_000

func (a *app) subscribers() *cobra.Command {
	cmd := &cobra.Command{
		Use: "subscribers", Short: "Who is told what the status page tells, by mail, webhook or chat", Args: cobra.NoArgs, Example: "  lifeboat status subscribers",
		Long: "Who is told what the status page tells. People subscribe at the status page themselves; here they are listed, added and removed.",
	}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		list, err := c.Subscribers(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(list)
		}
		a.subscriberTable(list)
		return nil
	}
	cmd.AddCommand(a.subscriberAdd(), a.subscriberImport(), a.subscriberRemove())
	return cmd
}

func (a *app) subscriberTable(list api.SubscriberList) {
	if len(list.Ways) == 0 {
		a.printf("Nobody can subscribe yet: write status: {subscribers: …} into the configuration.\n")
	}
	a.printf("%s, %d to be confirmed.\n", count(uint64(list.Active), "subscriber"), list.Pending)
	if len(list.Subscribers) == 0 {
		return
	}
	a.printf("\n")
	t := a.table()
	t.row("SUBSCRIBER", "BY", "TO", "COMPONENTS", "SINCE")
	for _, s := range list.Subscribers {
		parts, since := "all", "to be confirmed"
		if len(s.Components) > 0 {
			parts = strings.Join(s.Components, ", ")
		}
		if !s.Confirmed.IsZero() {
			since = day(s.Confirmed)
		}
		t.row(s.ID, string(s.Way), s.To, parts, since)
	}
	t.end()
}

func subscriberFlags(cmd *cobra.Command, b *api.SubscriberBody) {
	f := cmd.Flags()
	f.StringVar(&b.Way, "by", "mail", "mail, webhook or slack")
	f.StringSliceVar(&b.Components, "component", nil, "only news of this component; can be given several times")
	f.StringVar(&b.Language, "language", "", "what messages are written in (default: the page's)")
	f.StringVar(&b.Page, "page", "", "the status page (default: the first)")
	f.BoolVar(&b.Agreed, "agreed", false, "whoever reads there has agreed elsewhere: they are not asked to confirm")
}

func (a *app) subscriberAdd() *cobra.Command {
	var b api.SubscriberBody
	return a.calling(call{
		use: "add ADDRESS", short: "Have somebody told what the status page tells", args: cobra.ExactArgs(1),
		long:    "Have somebody told what the status page tells. A mail address is asked to confirm it, unless --agreed says that they have agreed elsewhere.",
		example: "  lifeboat status subscribers add ada@example.com --component checkout",
		flags:   func(cmd *cobra.Command) { subscriberFlags(cmd, &b) },
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			b.To = args[0]
			s, err := c.AddSubscriber(ctx, b)
			told := s.To + " is told from now on."
			if s.Confirmed.IsZero() {
				told = "A message to " + s.To + " is on its way. They are told once they have confirmed it."
			}
			return s, told, err
		},
	})
}

// imported is what came of a file.
type imported struct {
	Added   int      `json:"added"`
	Known   int      `json:"known"`
	Refused []string `json:"refused"` // line and why
}

func (a *app) subscriberImport() *cobra.Command {
	var b api.SubscriberBody
	return a.calling(call{
		use: "import FILE", short: "Have many told: one address in each line", args: cobra.ExactArgs(1),
		long:    "Have many told: one address in each line of FILE (-: standard input). Empty lines and those that begin with # are passed over. Who is subscribed already stays as they are.",
		example: "  lifeboat status subscribers import addresses.txt --agreed",
		flags:   func(cmd *cobra.Command) { subscriberFlags(cmd, &b) },
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			addresses, err := a.addresses(args[0])
			if err != nil {
				return nil, "", err
			}
			done := imported{Refused: []string{}}
			progress := a.steps(len(addresses), "adding")
			for _, x := range addresses {
				b.To = x.text
				switch _, err := c.AddSubscriber(ctx, b); {
				case err == nil:
					done.Added++
				case fault.KindOf(err) == fault.Conflict:
					done.Known++
				case fault.KindOf(err) == fault.Invalid:
					done.Refused = append(done.Refused, fmt.Sprintf("line %d: %v", x.line, err))
				default:
					return nil, "", fmt.Errorf("line %d, after %d were added (begin again: who is there already stays): %w", x.line, done.Added, err)
				}
				progress()
			}
			return done, importTold(done, b.Agreed), nil
		},
	})
}

func importTold(done imported, agreed bool) string {
	told := fmt.Sprintf("%d added, %d were there already, %d can't be taken.", done.Added, done.Known, len(done.Refused))
	if !agreed && done.Added > 0 {
		told += " Each is sent a message to confirm."
	}
	if len(done.Refused) > 0 {
		told += "\n" + strings.Join(done.Refused, "\n")
	}
	return told
}

type lineOf struct {
	line int
	text string
}

// addresses reads one in each line.
func (a *app) addresses(name string) (out []lineOf, err error) {
	var from io.Reader = a.o.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.New(fault.Invalid, "the file can't be read").At(name).Because(errors.Unwrap(err))
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	}
	lines := bufio.NewScanner(from)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		if out = append(out, lineOf{n, text}); len(out) > maxImport {
			return nil, fault.New(fault.Invalid, "more than %d addresses", maxImport).At(fmt.Sprintf("%s:%d", name, n)).WithHint("bring them in several files")
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fault.New(fault.Invalid, "the file can't be read as lines").At(name).Because(err)
	}
	return out, nil
}

func (a *app) subscriberRemove() *cobra.Command {
	return a.calling(call{
		use: "remove SUBSCRIBER", short: "Tell somebody nothing any more", args: cobra.ExactArgs(1), example: "  lifeboat status subscribers remove mzxw6ytboi2dgnjv",
		long: "Tell somebody nothing any more. SUBSCRIBER is an id, or a mail address: then all that it is subscribed to ends.",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			ids := []string{args[0]}
			if strings.Contains(args[0], "@") {
				list, err := c.Subscribers(ctx)
				if err != nil {
					return nil, "", err
				}
				ids = nil
				for _, s := range list.Subscribers {
					if s.Way == subscribe.Mail && strings.EqualFold(s.To, args[0]) {
						ids = append(ids, s.ID)
					}
				}
				if len(ids) == 0 {
					return nil, "", fault.New(fault.NotFound, "%s is not subscribed", args[0]).WithHint("lifeboat status subscribers lists who is")
				}
			}
			var gone []api.Subscriber
			for _, id := range ids {
				s, err := c.RemoveSubscriber(ctx, id)
				if err != nil {
					return nil, "", err
				}
				gone = append(gone, s)
			}
			return gone, gone[0].To + " is told nothing any more.", nil
		},
	})
}

func (a *app) deliveries() *cobra.Command {
	cmd := &cobra.Command{Use: "deliveries", Short: "What subscribers are being told, how far that is, and what could not be brought", Args: cobra.NoArgs, Example: "  lifeboat status deliveries"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		d, err := c.Deliveries(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(d)
		}
		a.deliveryTable(d)
		return nil
	}
	cmd.AddCommand(a.calling(call{
		use: "again NEWS", short: "Tell those once more to whom some news could not be brought", args: cobra.ExactArgs(1), example: "  lifeboat status deliveries again 01JD3ZC2V4",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			done, err := c.DeliverAgain(ctx, args[0])
			return done, count(uint64(done.Again), "message") + " on the way once more. See lifeboat status deliveries.", err
		},
	}))
	return cmd
}

func (a *app) deliveryTable(d api.Deliveries) {
	for _, way := range subscribe.Ways() {
		if why := d.Trouble[way]; why != "" {
			a.printf("Nobody can be told by %s just now: %s\n", way, why)
		}
	}
	if len(d.Deliveries) == 0 {
		a.printf("Nothing was told to subscribers in the last 30 days.\n")
		return
	}
	t := a.table()
	t.row("NEWS", "WHEN", "WHAT", "TOLD", "WAIT", "GIVEN UP")
	for _, n := range d.Deliveries {
		title, _ := n.Title.In("", "en")
		t.row(n.ID, day(n.At), string(n.Kind)+": "+title, fmt.Sprint(n.Told), fmt.Sprint(n.Waiting), fmt.Sprint(len(n.Dead)+n.Lost))
	}
	t.end()
	for _, n := range d.Deliveries {
		for _, x := range n.Dead {
			a.printf("\n%s  %s was given up: %s", n.ID, x.To, x.Reason)
		}
		for _, x := range n.Trying {
			a.printf("\n%s  %s is tried again: %s", n.ID, x.To, x.Reason)
		}
		if len(n.Dead) > 0 {
			a.printf("\nNext: lifeboat status deliveries again %s", n.ID)
		}
	}
	a.printf("\n")
}
