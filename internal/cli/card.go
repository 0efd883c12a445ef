package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/card"
	"lifeboat/internal/control"
)

func (a *app) emergencyCard() *cobra.Command {
	cmd := &cobra.Command{
		Use: "card", Short: "The emergency card, to be printed in calm", Args: cobra.NoArgs,
		Long: "The emergency card: addresses, steps, commands, whom to call, and lines to be filled in by hand. It holds no secret. Print it, and put it where somebody finds it at night.\n" +
			"The page shows the same one at /card. The fingerprint is on it where the data folder can be read.",
		Example: "  lifeboat card | lp",
	}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		o, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		made := card.Card{Address: r.server}
		folder := r.data
		if folder == "" {
			folder = defaultData
		}
		if f, err := control.ConsoleFingerprint(filepath.Join(folder, "control")); err == nil { // without one there is nothing to compare
			made.Fingerprint = f
		}
		for _, v := range o.Sites {
			site := card.Site{Title: v.Title, Names: v.Names}
			for _, l := range v.Levers {
				site.Levers = append(site.Levers, card.Lever{Name: l.Name, Title: l.Title, Says: l.Says, Armed: l.Armed})
			}
			site.Levers = card.Sorted(site.Levers)
			made.Sites = append(made.Sites, site)
		}
		for _, p := range o.Contacts {
			made.People = append(made.People, card.Person{Name: p.Name, Phone: p.Phone, Says: p.Says})
		}
		if r.json {
			return a.writeJSON(made)
		}
		a.printf("%s", cardText(made))
		return nil
	}
	return cmd
}

// cardText is a card for paper: no line is wider than 78 characters where words allow it.
func cardText(c card.Card) string {
	var b strings.Builder
	title := func(s string) { fmt.Fprintf(&b, "\n%s\n%s\n", strings.ToUpper(s), strings.Repeat("-", 78)) }
	b.WriteString("LIFEBOAT: WHEN SOMETHING IS WRONG\n")
	for _, at := range []string{c.Console, c.Address} {
		if at != "" {
			fmt.Fprintf(&b, "%s\n", at)
		}
	}
	if c.Fingerprint != "" {
		fmt.Fprintf(&b, "its certificate by address, SHA-256:\n%s\n", c.Fingerprint)
	}
	title("Do this")
	for i, s := range c.Steps() {
		cardLine(&b, fmt.Sprintf("%d. ", i+1), s)
	}
	title("Whom to call")
	for _, p := range c.People {
		fmt.Fprintf(&b, "%-28s %-20s %s\n", p.Name, p.Phone, p.Says)
	}
	for _, s := range c.Sites {
		title(s.Title)
		fmt.Fprintf(&b, "%s\n", strings.Join(s.Names, ", "))
		for _, l := range s.Levers {
			armed := "not armed"
			if l.Armed {
				armed = "armed"
			}
			fmt.Fprintf(&b, "\n%s (%s)\n    lifeboat pull %s\n    back: lifeboat put-back %s\n", l.Title, armed, l.Name, l.Name)
		}
	}
	title("If that does not work")
	for _, s := range c.Otherwise() {
		cardLine(&b, "- ", s)
	}
	title("To be filled in by hand")
	for _, s := range c.Blanks() {
		fmt.Fprintf(&b, "%s:\n\n%s\n", s, strings.Repeat("_", 78))
	}
	return b.String()
}

// cardLine writes a step, broken between words, and its command.
func cardLine(b *strings.Builder, begin string, s card.Step) {
	line := begin
	for _, word := range strings.Fields(s.Say) {
		if len([]rune(line))+1+len([]rune(word)) > 78 {
			fmt.Fprintln(b, line)
			line = strings.Repeat(" ", len(begin))
		}
		if strings.TrimSpace(line) != "" && !strings.HasSuffix(line, " ") {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(b, line)
	if s.Command != "" {
		fmt.Fprintf(b, "%s%s\n", strings.Repeat(" ", len(begin)+2), s.Command)
	}
}
