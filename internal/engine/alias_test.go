package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A site that moves to an alias and back is seen to have moved: name servers give the
// CNAME out, checks go on asking addresses.
func TestAPositionCanBeAnAlias(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.text = strings.NewReplacer(
		"backup: {address: 127.0.0.9}", "backup: {address: 127.0.0.9, alias: shop.cdn.example.net.}",
		`follow: {"@": shop}`, `follow: {www: shop}`, "      www IN CNAME shop.example.com.\n", "",
		"names: [shop.example.com]", "names: [www.shop.example.com]", "    records: |\n", "",
	).Replace(b.text)
	b.restart(func(text string) string { return text })
	b.ready()
	if got := b.led("www.shop.example.com."); got != "" {
		t.Fatalf("at home the name leads to %s", got)
	}
	must(t, b.pull("to-backup", "a test"))
	if got := b.led("www.shop.example.com."); got != "shop.cdn.example.net." {
		t.Errorf("at the backup the name leads to %q", got)
	}
	in := b.state()
	if p := in.Holding(); len(p) != 1 || p[0].SeenAt.IsZero() {
		t.Errorf("the move was not seen: %+v", p)
	}
	must(t, b.pull("to-standby", "a test"))
	if got := b.led("www.shop.example.com."); got != "" {
		t.Errorf("at the standby the name leads to %s", got)
	}
}

// led is where a name's CNAME leads, "" without one.
func (b *boat) led(name string) string {
	b.t.Helper()
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), b.dns.String())
	must(b.t, err)
	for _, rr := range m.Answer {
		if c, is := rr.(*dns.CNAME); is {
			return c.Target
		}
	}
	return ""
}
