package parentwatch

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// A small world: a root, a zone above, and three name servers of ours.
const (
	root, above     = "127.0.0.21", "127.0.0.22"
	one, two, three = "127.0.0.23", "127.0.0.24", "127.0.0.25"
	rootText        = "$ORIGIN .\n$TTL 300\n@ IN SOA a.nic. h.nic. 1 3600 600 86400 60\n@ IN NS a.nic.\na.nic. IN A 127.0.0.21\nexample. IN NS ns.example.\nns.example. IN A 127.0.0.22\n"
	aboveText       = "$ORIGIN example.\n$TTL 300\n@ IN SOA ns h 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.22\nshop IN NS ns1.shop\nshop IN NS ns2.shop\nshop IN NS ns3.shop\n" +
		"ns1.shop IN A 127.0.0.23\nns2.shop IN A 127.0.0.24\nns3.shop IN A 127.0.0.25\n"
	ourText = "$ORIGIN shop.example.\n$TTL 60\n@ IN SOA ns1 h 43 3600 600 86400 60\n@ IN NS ns1\n@ IN NS ns2\n@ IN NS ns3\nns1 IN A 127.0.0.23\nns2 IN A 127.0.0.24\nns3 IN A 127.0.0.25\n" +
		"www IN A 198.51.100.7\n"
)

var ours = Zone{
	Apex: "shop.example.", Serial: 43, NS: []string{"ns1.shop.example.", "ns2.shop.example.", "ns3.shop.example."},
	Names: map[string][]Told{"www.shop.example.": {{Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.7")}}}},
}

// serve answers from zone texts at loopback addresses that share one port.
func serve(t *testing.T, texts map[string]string) netip.AddrPort {
	t.Helper()
	for range 20 {
		if port, ok := tryServe(t, texts); ok {
			return netip.AddrPortFrom(netip.MustParseAddr(root), port)
		}
	}
	t.Fatal("no port is free on all addresses")
	return netip.AddrPort{}
}

func tryServe(t *testing.T, texts map[string]string) (port uint16, ok bool) {
	t.Helper()
	type server struct {
		s   *authdns.Server
		udp []*net.UDPConn
		tcp *net.TCPListener
	}
	var all []server
	for host, text := range texts {
		z, err := zone.Check(text, "test.zone")
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := authdns.Compile([]*zone.Zone{z}, nil)
		if err != nil {
			t.Fatal(err)
		}
		view, err := compiled.View(authdns.Orders{})
		if err != nil {
			t.Fatal(err)
		}
		udp, tcp, err := authdns.Listen(fmt.Sprintf("%s:%d", host, port), 1)
		if err != nil {
			return 0, false
		}
		t.Cleanup(func() {
			_ = tcp.Close()
			for _, c := range udp {
				_ = c.Close()
			}
		})
		port = uint16(tcp.Addr().(*net.TCPAddr).Port)
		s := authdns.New(authdns.Options{Logger: slog.New(slog.DiscardHandler)})
		s.Set(view)
		all = append(all, server{s, udp, tcp})
	}
	for _, x := range all {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = x.s.Serve(ctx, x.udp, []*net.TCPListener{x.tcp}) }() // the cleanup ends it
		t.Cleanup(func() { stop(); <-ended })
	}
	return port, true
}

func TestWhatTheWorldSees(t *testing.T) {
	t.Parallel()
	edit := func(text string, pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("no %q in the zone", pairs[i])
			}
			text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
		}
		return text
	}
	old := edit(ourText, " 43 ", " 41 ")
	const ds = "shop IN DS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132\n"
	const other = "$ORIGIN other.example.\n@ 60 IN SOA ns.elsewhere.net. h 1 3600 600 86400 60\n@ 60 IN NS ns.elsewhere.net.\n"
	all := func(above_ string, a, b, c string) map[string]string {
		m := map[string]string{root: rootText, above: above_}
		for host, text := range map[string]string{one: a, two: b, three: c} {
			if text != "" {
				m[host] = text
			}
		}
		return m
	}
	signed := ours
	signed.DS = []string{"12345 13 2 0102030405060708091011121314151617181920212223242526272829303132"}
	rolled := ours
	rolled.DS = []string{"54321 13 2 FF"}
	for about, tt := range map[string]struct {
		zone    Zone
		texts   map[string]string
		state   State
		verdict string   // begins so
		more    []string // a part of each further problem
	}{
		"all is well":     {ours, all(aboveText, ourText, ourText, ourText), Seen, "The world sees what we publish.", nil},
		"some are behind": {ours, all(aboveText, ourText, old, old), Partly, "2 of 3 name servers answer with serial 41, we publish 43.", nil},
		"one is ahead":    {ours, all(aboveText, ourText, ourText, edit(ourText, " 43 ", " 44 ")), Partly, "1 of 3 name servers answers with a newer serial than our 43: somebody else publishes the zone, too.", nil},
		"one is away":     {ours, all(aboveText, ourText, ourText, ""), Partly, "1 of 3 name servers does not answer for shop.example.: ns3.shop.example. (127.0.0.25:PORT): nothing listens there.", nil},
		"one is lame":     {ours, all(aboveText, ourText, other, ourText), Partly, "1 of 3 name servers does not answer for shop.example.: ns2.shop.example. (127.0.0.24:PORT): it says REFUSED.", nil},
		"all are away":    {ours, all(aboveText, other, other, ""), Unseen, "None of the 3 name servers that the world is sent to answers for shop.example.: ", nil},
		"other addresses": {ours, all(aboveText, ourText, ourText, edit(ourText, "www IN A 198.51.100.7", "www IN A 203.0.113.1")), Partly,
			"1 of 3 name servers answers the names that move with other addresses than we publish (ns3.shop.example. (127.0.0.25:PORT) says 203.0.113.1 of www.shop.example.).", nil},
		"an address too many": {ours, all(aboveText, ourText, ourText, ourText+"www IN AAAA 2001:db8::1\n"), Partly, "1 of 3 name servers answers the names that move", nil},
		"an old glue": {ours, all(aboveText, edit(ourText, "ns3 IN A 127.0.0.25", "ns3 IN A 127.0.0.26"), edit(ourText, "ns3 IN A 127.0.0.25", "ns3 IN A 127.0.0.26"), edit(ourText, "ns3 IN A 127.0.0.25", "ns3 IN A 127.0.0.26")), Partly,
			"The zone above has the address 127.0.0.25 of ns3.shop.example., the zone itself has 127.0.0.26.", nil},
		"a server too few above": {ours, all(edit(aboveText, "shop IN NS ns3.shop\n", "", "ns3.shop IN A 127.0.0.25\n", ""), ourText, ourText, ourText), Partly, "The zone above names ns1.shop.example., ns2.shop.example., the zone itself names", nil},
		"not delegated":          {ours, all("$ORIGIN example.\n@ 60 IN SOA ns h 1 3600 600 86400 60\n@ 60 IN NS ns\nns 60 IN A 127.0.0.22\n", "", "", ""), Unseen, "The world is not sent to us: the name servers of example. say that there is no name shop.example.", nil},
		"only a name above":      {ours, all("$ORIGIN example.\n@ 60 IN SOA ns h 1 3600 600 86400 60\n@ 60 IN NS ns\nns 60 IN A 127.0.0.22\nshop 60 IN A 192.0.2.1\n", "", "", ""), Unseen, "The world is not sent to us: example. does not delegate shop.example.", nil},
		"sent elsewhere": {Zone{Apex: "shop.example.", Serial: 43, NS: []string{"ns.lifeboat.example."}}, all(aboveText, ourText, ourText, ourText), Unseen,
			"The world is sent to other name servers than ours: the zone above names ns1.shop.example., ns2.shop.example., ns3.shop.example., we publish ns.lifeboat.example.", nil},
		"DS of an unsigned zone": {ours, all(aboveText+ds, ourText, ourText, old), Unseen, "1 of 3 name servers answers with serial 41", []string{"is signed (DS), and ours is not"}},
		"DS that fits":           {signed, all(aboveText+ds, ourText, ourText, ourText), Seen, "The world sees what we publish, and can validate it.", nil},
		"DS of another key":      {rolled, all(aboveText+ds, ourText, ourText, ourText), Unseen, "The DS records of the zone above fit none of our keys", nil},
		"no DS above":            {signed, all(aboveText, ourText, ourText, ourText), Partly, "Not yet secure: the zone is signed, and the zone above has no DS record of it, so nobody validates it. Put this DS record at your registrar: 12345 13 2 0102", nil},
		"no root":                {ours, map[string]string{above: aboveText}, Unknown, "We can't tell what the world sees: ", nil},
	} {
		t.Run(about, func(t *testing.T) {
			from := serve(t, tt.texts) // one after the other: they share addresses and take any port
			r := Look(t.Context(), tt.zone, Options{From: []netip.AddrPort{from}, Now: time.Now, Question: time.Second})
			verdict := strings.ReplaceAll(r.Verdict, fmt.Sprint(":", from.Port()), ":PORT")
			if r.State != tt.state || !strings.HasPrefix(verdict, tt.verdict) {
				t.Errorf("%s: %s; want %s: %s", r.State, verdict, tt.state, tt.verdict)
			}
			want := map[string]Security{"DS of an unsigned zone": Broken, "DS that fits": Secure, "DS of another key": Broken, "no DS above": Open, "all is well": Unsigned}[about]
			if want != "" && r.DNSSEC != want {
				t.Errorf("security is %q, want %q", r.DNSSEC, want)
			}
			for i, part := range tt.more {
				if len(r.Problems) < i+2 || !strings.Contains(r.Problems[i+1], part) {
					t.Errorf("problems %q, want %q", r.Problems, part)
				}
			}
			if (r.State == Seen) != (len(r.Problems) == 0) && r.State != Unknown {
				t.Errorf("%s with problems %q", r.State, r.Problems)
			}
		})
	}
}

// A watcher looks by itself, tells of changes, and knows only what is published.
func TestWatcher(t *testing.T) {
	t.Parallel()
	from := serve(t, map[string]string{root: rootText, above: aboveText, one: ourText, two: ourText, three: ourText})
	told := make(chan struct{}, 10)
	w := NewWatcher(WatcherOptions{
		Options: Options{From: []netip.AddrPort{from}, Now: time.Now}, Every: time.Hour,
		Zones: func() []Zone { return []Zone{ours} }, Told: func() { told <- struct{}{} },
	})
	if got := w.Reports(); len(got) != 0 {
		t.Fatalf("before the first look: %v", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-told
	if got := w.Reports(); len(got) != 1 || got[0].State != Seen || len(got[0].Servers) != 3 || len(got[0].Parent) != 3 {
		t.Errorf("%+v", got)
	}
	if _, err := w.Look(ctx, "other.example."); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a zone that is not ours: %v", err)
	}
	if r, err := w.Look(ctx, "shop.example."); err != nil || r.State != Seen {
		t.Errorf("%+v, %v", r, err)
	}
}

// What a registry says is read within bounds, over https only, for the domain that the
// zone belongs to.
func TestRDAP(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	expires := now.Add(10 * 24 * time.Hour)
	mux := http.NewServeMux()
	mux.HandleFunc("/domain/example.org", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"objectClassName":"domain","status":["active","server hold"],"events":[{"eventAction":"expiration","eventDate":%q},{"eventAction":"registration","eventDate":"x"}]}`, expires.Format(time.RFC3339))
	})
	mux.HandleFunc("/domain/large.org", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, rdapSize+10)) })
	mux.HandleFunc("/domain/odd.org", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"objectClassName":"entity"}`) })
	mux.HandleFunc("/domain/plain.org", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://example.net/", http.StatusFound)
	})
	mux.HandleFunc("/domain/busy.org", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	rdap, err := NewRDAP(srv.URL+"/", srv.Client().Transport)
	if err != nil {
		t.Fatal(err)
	}
	got := rdap.Ask(t.Context(), "shop.example.org.")
	if got.Domain != "example.org." || !got.Expires.Equal(expires) || len(got.Status) != 2 {
		t.Errorf("%+v", got)
	}
	var said []string
	got.judge(now, func(_ State, format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	if len(said) != 2 || !strings.Contains(said[0], `at "server hold"`) || !strings.Contains(said[1], "in 10 days") {
		t.Errorf("%q", said)
	}
	for apex, want := range map[string]string{"large.org.": "more than", "odd.org.": "not about a domain", "plain.org.": "away from https", "busy.org.": "429", "nowhere.org.": "no registry knows"} {
		if got := rdap.Ask(t.Context(), apex); !strings.Contains(got.Problem, want) {
			t.Errorf("%s: %+v", apex, got)
		}
	}
	for _, bad := range []string{"http://rdap.example/", "", "https://", "https://user:word@rdap.example/", "https://rdap.example/?x=1", "%"} {
		if _, err := NewRDAP(bad, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseRDAP(f *testing.F) {
	f.Add([]byte(`{"objectClassName":"domain","status":["a"],"events":[{"eventAction":"expiration","eventDate":"2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{`))
	f.Add([]byte(`{"status":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRDAP(b); err == nil && len(r.Status) > 20 {
			t.Errorf("%d states", len(r.Status))
		}
	})
}
