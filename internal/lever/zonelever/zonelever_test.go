package zonelever_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/lever/zonelever"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

const sample = `
nameservers: {ns1.example.net.: 127.0.0.1:5354, ns2.example.net.: 127.0.0.1:5355}
sites:
  shop:
    title: Example Shop
    names: [shop.example.com]
    scheme: http
    origins:
      main: {addresses: [203.0.113.10, "2001:db8::10"]}
      backup: {addresses: [203.0.113.20, 203.0.113.21]}
    standby: {addresses: [198.51.100.7]}
    checks: {home: {http: {path: /}}}
zones:
  shop.example.com:
    ns: [ns1.example.net.]
    follow: {"@": shop, www: shop}
levers:
  to-standby: {title: Show the status page, zone: {site: shop, to: standby}}
`

// world is two real name servers of one zone, each with orders in force of its own.
type world struct {
	t       *testing.T
	cfg     *config.Config
	sites   []snapshot.Site
	zones   []zone.Source
	table   *authdns.Table
	servers [2]*authdns.Server
	at      [2]netip.AddrPort
	serial  atomic.Uint32
	ask     atomic.Pointer[netip.AddrPort] // in place of the servers, when set
	orders  *levertest.Orders
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	w.cfg, err = config.Parse("lifeboat.yaml", []byte(sample))
	must(t, err)
	w.sites, w.zones, _ = w.cfg.Parts()
	z, err := zone.Parse(w.zones[0])
	must(t, err)
	positions, home := map[string]zone.Positions{}, map[string]string{}
	for _, s := range w.sites {
		positions[s.ID], home[s.ID] = s.Positions, s.Home
	}
	w.table, err = authdns.Compile([]*zone.Zone{z}, positions)
	must(t, err)
	for i := range w.servers {
		udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
		must(t, err)
		w.at[i] = udp[0].LocalAddr().(*net.UDPAddr).AddrPort()
		s := authdns.New(authdns.Options{Logger: slog.New(slog.DiscardHandler)})
		w.servers[i] = s
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(ctx, udp, []*net.TCPListener{tcp}) }()
		t.Cleanup(func() { cancel(); <-done })
	}
	w.orders, err = levertest.NewOrders(home, nil, func(at map[string]string, _ map[string]json.RawMessage) error {
		return w.order(at, w.servers[:]...)
	})
	must(t, err)
	return w
}

// order puts positions in force on some of the servers.
func (w *world) order(at map[string]string, servers ...*authdns.Server) error {
	v, err := w.table.View(authdns.Orders{Position: at, Serial: map[string]uint32{"shop.example.com.": w.serial.Add(1)}})
	if err != nil {
		return err
	}
	for _, s := range servers {
		s.Set(v)
	}
	return nil
}

// alone puts the site at a position on some servers, as nobody ordered.
func (w *world) alone(position string, servers ...*authdns.Server) {
	w.t.Helper()
	must(w.t, w.order(map[string]string{"shop": position, snapshot.ShadowID("shop"): "main"}, servers...))
}

func (w *world) driver() lever.Driver {
	return zonelever.New(zonelever.Options{
		Orders: w.orders, Now: time.Now, Nameservers: map[string]netip.AddrPort{"ns1.example.net.": w.at[0], "ns2.example.net.": w.at[1]},
		Lookup: func(ctx context.Context, server netip.AddrPort, name string, v6 bool) ([]netip.Addr, error) {
			if other := w.ask.Load(); other != nil {
				server = *other
			}
			return zonelever.Lookup(ctx, server, name, v6)
		},
		Site: func(id string, drill bool) (zonelever.Site, bool) {
			if drill {
				id = snapshot.ShadowID(id)
			}
			for _, s := range w.sites {
				if s.ID != id {
					continue
				}
				z := zonelever.Site{ID: id, Positions: s.Positions}
				for n, f := range w.zones[0].Follow {
					if f == id {
						z.Names = append(z.Names, n)
					}
				}
				slices.Sort(z.Names)
				return z, true
			}
			return zonelever.Site{}, false
		},
	})
}

// state is what both servers answer for both names, asked with another client.
func (w *world) state() string {
	var out []string
	for _, at := range w.at {
		for _, name := range []string{"shop.example.com.", "www.shop.example.com."} {
			for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
				m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(name, typ), at.String())
				if err != nil {
					w.t.Fatalf("ask %s: %v", at, err)
				}
				for _, rr := range m.Answer {
					out = append(out, strings.Join(strings.Fields(rr.String())[:1], " ")+" "+strings.Fields(rr.String())[4])
				}
			}
		}
	}
	return strings.Join(out, ", ")
}

func card(to string) lever.Card {
	return lever.Card{Name: "to-" + to, Kind: zonelever.Kind, Title: "Move", Site: "shop", Config: json.RawMessage(fmt.Sprintf(`{"site":"shop","to":%q}`, to))}
}

// instead makes the driver ask another address until it is called again.
func (w *world) instead(at netip.AddrPort) func() {
	w.ask.Store(&at)
	return func() { w.ask.Store(nil) }
}

func TestContract(t *testing.T) {
	t.Parallel()
	levertest.Run(t, func(t *testing.T) *levertest.Stage {
		w := start(t)
		other := card("standby")
		other.Config = json.RawMessage(`{"site":"blog","to":"standby"}`)
		return &levertest.Stage{
			Driver: w.driver(), Restart: w.driver, Card: card("standby"),
			Bad:   map[string]lever.Card{"no such position": card("moon"), "no such site": other},
			State: w.state, Drift: func() { w.alone("backup", w.servers[:]...) },
			Blind: func() func() { return w.instead(closed(t)) }, Hang: func() func() { return w.instead(silent(t)) },
			Fail: w.orders.Fail, Writes: w.orders.Writes,
		}
	})
}

// closed is an address where nobody listens.
func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	must(t, c.Close())
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// silent is an address that takes questions and never answers.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestServersThatDisagree(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second string
		want          lever.World
	}{
		"both there":          {"standby", "standby", lever.After},
		"both back":           {"main", "main", lever.Before},
		"one lags":            {"standby", "main", lever.Partial},
		"one lags, the other": {"main", "standby", lever.Partial},
		"one is elsewhere":    {"standby", "backup", lever.Foreign},
		"all are elsewhere":   {"backup", "backup", lever.Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			d := w.driver()
			p, err := d.Plan(t.Context(), lever.Request{Card: card("standby"), Now: time.Now()})
			must(t, err)
			w.alone(c.first, w.servers[0])
			w.alone(c.second, w.servers[1])
			obs, err := d.Observe(t.Context(), p, 0)
			if err != nil || obs.World != c.want || len(obs.Seen) != 4 {
				t.Errorf("seen as %q (%s) by %d, %v; want %q", obs.World, obs.Detail, len(obs.Seen), err, c.want)
			}
		})
	}
}

// A stranger is seen also while another name server can't be asked, and stops the
// way back.
func TestStrangerBesideADeadServer(t *testing.T) {
	t.Parallel()
	w := start(t)
	dead := closed(t)
	d := zonelever.New(zonelever.Options{
		Orders: w.orders, Now: time.Now, Nameservers: map[string]netip.AddrPort{"ns1.example.net.": w.at[0], "ns2.example.net.": dead},
		Site: func(string, bool) (zonelever.Site, bool) {
			return zonelever.Site{ID: "shop", Names: []string{"shop.example.com."}, Positions: w.sites[0].Positions}, true
		},
	})
	p, err := d.Plan(t.Context(), lever.Request{Card: card("standby"), Now: time.Now()})
	must(t, err)
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != lever.Unknown {
		t.Errorf("one of two can't be asked: %+v, %v", obs, err)
	}
	w.alone("backup", w.servers[:]...)
	writes := w.orders.Writes()
	if obs, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1}); err != nil || obs.World != lever.Foreign || w.orders.Writes() != writes {
		t.Errorf("revert: %+v, %v, %d orders", obs, err, w.orders.Writes()-writes)
	}
}

func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := zonelever.New(zonelever.Options{Orders: w.orders, Now: time.Now, Site: func(string, bool) (zonelever.Site, bool) {
		return zonelever.Site{ID: "shop", Positions: w.sites[0].Positions}, true
	}})
	r, err := d.Preflight(t.Context(), card("standby"))
	if err != nil || r.Ready || len(r.Problems) != 2 {
		t.Errorf("preflight: %+v, %v", r, err)
	}
	p, err := d.Plan(t.Context(), lever.Request{Card: card("standby"), Now: time.Now()})
	must(t, err)
	if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != lever.Unknown || obs.Detail == "" {
		t.Errorf("observe: %+v, %v", obs, err)
	}
}

// Only a whole, authoritative answer to this very question is believed.
func TestLookupBelievesOnlyAuthority(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(m *dns.Msg)
		fails  bool
	}{
		"authoritative":     {func(m *dns.Msg) {}, false},
		"NODATA":            {func(m *dns.Msg) { m.Answer = nil }, false},
		"not authoritative": {func(m *dns.Msg) { m.Authoritative = false }, true},
		"SERVFAIL":          {func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, true},
		"NXDOMAIN":          {func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, true},
		"cut short":         {func(m *dns.Msg) { m.Truncated = true }, true},
		"a question":        {func(m *dns.Msg) { m.Response = false }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			must(t, err)
			srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
				m := new(dns.Msg).SetReply(q)
				m.Authoritative = true
				rr, _ := dns.NewRR("shop.example.com. 60 IN A 203.0.113.10")
				m.Answer = []dns.RR{rr}
				c.answer(m)
				stray := m.Copy()
				stray.Id++
				stray.Answer = nil
				_ = rw.WriteMsg(stray) // somebody else's answer comes first
				_, _ = pc.WriteTo([]byte("x"), rw.RemoteAddr())
				_ = rw.WriteMsg(m)
			})}
			go func() { _ = srv.ActivateAndServe() }()
			t.Cleanup(func() { _ = srv.Shutdown() })
			ips, err := zonelever.Lookup(t.Context(), pc.LocalAddr().(*net.UDPAddr).AddrPort(), "shop.example.com.", false)
			switch {
			case c.fails && fault.KindOf(err) != fault.Unavailable:
				t.Errorf("got %v, %v", ips, err)
			case !c.fails && err != nil:
				t.Error(err)
			case name == "authoritative" && (len(ips) != 1 || ips[0].String() != "203.0.113.10"):
				t.Errorf("got %v", ips)
			}
		})
	}
	if _, err := zonelever.Lookup(t.Context(), closed(t), strings.Repeat("x", 300)+".", false); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a name that is none: %v", err)
	}
}

// The examples in the README are good configuration.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	must(t, err)
	for _, heading := range []string{"## Name", "## Description", "## Config", "## Undo", "## Limits", "## Examples"} {
		if !strings.Contains(string(text), "\n"+heading+"\n") {
			t.Errorf("the README has no %q", heading)
		}
	}
	found := 0
	for i, part := range strings.Split(string(text), "```") {
		body, isYAML := strings.CutPrefix(part, "yaml\n")
		if i%2 == 0 || !isYAML {
			continue
		}
		cfg, err := config.Parse("README.md", []byte(body))
		if err != nil {
			t.Errorf("example: %v", err)
			continue
		}
		for _, l := range cfg.Levers {
			if l.Kind == zonelever.Kind {
				found++
			}
		}
	}
	if found < 2 {
		t.Errorf("%d levers of this kind in the examples", found)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A plan says which names stay where they are, because others answer for them.
func TestPlanNamesWhatStays(t *testing.T) {
	t.Parallel()
	w := start(t)
	fixed := []string{"www.example.org."}
	d := func(names ...string) lever.Driver {
		return zonelever.New(zonelever.Options{Orders: w.orders, Now: time.Now, Site: func(id string, _ bool) (zonelever.Site, bool) {
			return zonelever.Site{ID: id, Names: names, Fixed: fixed, Positions: w.sites[0].Positions}, true
		}})
	}
	p, err := d("shop.example.com.").Plan(t.Context(), lever.Request{Card: card("standby"), Now: time.Now()})
	must(t, err)
	if says := p.Steps[0].Says; !strings.Contains(says, "point shop.example.com. at standby") || !strings.Contains(says, "www.example.org. can't be moved here") {
		t.Errorf("the plan says %q", says)
	}
	r, err := d().Preflight(t.Context(), card("standby"))
	must(t, err)
	if r.Ready || !strings.Contains(strings.Join(r.Problems, " "), "Not www.example.org.: the zone comes from its primary") {
		t.Errorf("%+v", r)
	}
}
