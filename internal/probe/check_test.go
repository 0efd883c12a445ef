package probe_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/probe"
)

func TestWithDefaults(t *testing.T) {
	t.Parallel()
	got := probe.Check{Name: "home"}.WithDefaults()
	want := probe.Check{
		Name: "home", Kind: probe.KindHTTP, Path: "/", Method: "GET", Status: 200,
		Every: 5 * time.Second, Timeout: 2 * time.Second, DownAfter: 3, UpAfter: 5,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	tcp := probe.Check{Name: "port", Kind: probe.KindTCP, Port: 22}.WithDefaults()
	if tcp.Path != "" || tcp.Method != "" || tcp.Status != 0 {
		t.Errorf("a tcp check was given http's defaults: %+v", tcp)
	}
	if err := tcp.Validate(); err != nil {
		t.Errorf("the defaults of tcp are refused: %v", err)
	}
	given := probe.Check{Name: "x", Path: "/a", Method: "HEAD", Status: 204, Every: time.Second, Timeout: time.Minute, DownAfter: 1, UpAfter: 2, Kind: probe.KindHTTP}
	if got := given.WithDefaults(); got != given {
		t.Errorf("what was given was changed to %+v", got)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		field string // "" for fine
		edit  func(*probe.Check)
	}{
		{"", func(c *probe.Check) { c.Every = 100 * time.Millisecond }},
		{"", func(c *probe.Check) { c.Header, c.Contains, c.Path = "X-Shop: main", "Add to cart", "/a%20b?q=1" }},
		{"", func(c *probe.Check) { c.Header = "X-Shop:" }},
		{"name", func(c *probe.Check) { c.Name = "" }},
		{"name", func(c *probe.Check) { c.Name = "a\r\nb" }},
		{"name", func(c *probe.Check) { c.Name = strings.Repeat("a", 65) }},
		{"kind", func(c *probe.Check) { c.Kind = "icmp" }},
		{"every", func(c *probe.Check) { c.Every = 99 * time.Millisecond }},
		{"every", func(c *probe.Check) { c.Every = -time.Second }},
		{"every", func(c *probe.Check) { c.Every = 25 * time.Hour }},
		{"timeout", func(c *probe.Check) { c.Timeout = -1 }},
		{"timeout", func(c *probe.Check) { c.Timeout = time.Hour }},
		{"down_after", func(c *probe.Check) { c.DownAfter = -1 }},
		{"up_after", func(c *probe.Check) { c.UpAfter = 1001 }},
		{"port", func(c *probe.Check) { c.Port = 80 }},
		{"path", func(c *probe.Check) { c.Path = "home" }},
		{"path", func(c *probe.Check) { c.Path = "//elsewhere.example/" }},
		{"path", func(c *probe.Check) { c.Path = "http://elsewhere.example/" }},
		{"path", func(c *probe.Check) { c.Path = "/a b" }},
		{"path", func(c *probe.Check) { c.Path = "/a\r\nHost: b" }},
		{"path", func(c *probe.Check) { c.Path = "/a#b" }},
		{"path", func(c *probe.Check) { c.Path = "/" + strings.Repeat("a", 2048) }},
		{"method", func(c *probe.Check) { c.Method = "POST" }},
		{"method", func(c *probe.Check) { c.Method = "get" }},
		{"status", func(c *probe.Check) { c.Status = 100 }},
		{"status", func(c *probe.Check) { c.Status = 600 }},
		{"contains", func(c *probe.Check) { c.Contains = strings.Repeat("a", 4097) }},
		{"contains", func(c *probe.Check) { c.Method, c.Contains = "HEAD", "Add" }},
		{"header", func(c *probe.Check) { c.Header = "no colon" }},
		{"header", func(c *probe.Check) { c.Header = ": value" }},
		{"header", func(c *probe.Check) { c.Header = "A: b\r\nC: d" }},
		{"header", func(c *probe.Check) { c.Header = "A: " + strings.Repeat("b", 1024) }},
		{"path", func(c *probe.Check) { c.Kind = probe.KindTCP }},
		{"status", func(c *probe.Check) { c.Kind, c.Path, c.Method = probe.KindTCP, "", "" }},
		{"port", func(c *probe.Check) { *c = tcp(c, 65536) }},
		{"port", func(c *probe.Check) { *c = tcp(c, -1) }},
		{"", func(c *probe.Check) { *c = tcp(c, 0) }},
	} {
		c := probe.Check{Name: "home"}.WithDefaults()
		tc.edit(&c)
		wantFault(t, c.Validate(), tc.field)
	}
}

func tcp(c *probe.Check, port int) probe.Check {
	return probe.Check{Name: c.Name, Kind: probe.KindTCP, Port: port}.WithDefaults()
}

// wantFault checks that err is about the field and says what to do about it.
func wantFault(t *testing.T, err error, field string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Errorf("got %v, want a fault about %s", err, field)
		return
	}
	if f.Kind != fault.Invalid || f.Place != field || f.Hint == "" {
		t.Errorf("got %+v, want an invalid %s with a hint", f, field)
	}
}

func TestTargetValidate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		field string
		edit  func(*probe.Target)
	}{
		{"", func(*probe.Target) {}},
		{"", func(p *probe.Target) { p.Address = "2001:db8::1" }},
		{"", func(p *probe.Target) { p.Address = "127.0.0.2" }},
		{"", func(p *probe.Target) { p.Address = "169.254.169.253" }},
		{"address", func(p *probe.Target) { p.Address = "shop.example.com" }},
		{"address", func(p *probe.Target) { p.Address = "" }},
		{"address", func(p *probe.Target) { p.Address = "127.0.0.1:80" }},
		{"address", func(p *probe.Target) { p.Address = "169.254.169.254" }},
		{"address", func(p *probe.Target) { p.Address = "::ffff:169.254.169.254" }},
		{"address", func(p *probe.Target) { p.Address = "fd00:ec2::254" }},
		{"address", func(p *probe.Target) { p.Address = "fd00:ec2::254%eth0" }},
		{"address", func(p *probe.Target) { p.Address = "fd00:0ec2:0:0:0:0:0:0254" }},
		{"port", func(p *probe.Target) { p.Port = 0 }},
		{"port", func(p *probe.Target) { p.Port = 65536 }},
		{"scheme", func(p *probe.Target) { p.Scheme = "ftp" }},
		{"host", func(p *probe.Target) { p.Host = "" }},
		{"host", func(p *probe.Target) { p.Host = "shop.example.com:443" }},
		{"host", func(p *probe.Target) { p.Host = "shop.example.com/" }},
		{"host", func(p *probe.Target) { p.Host = "a\r\nb" }},
	} {
		p := probe.Target{Site: "shop", Place: "main", Address: "203.0.113.10", Port: 443, Scheme: "https", Host: "shop.example.com"}
		tc.edit(&p)
		wantFault(t, p.Validate(), tc.field)
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		scheme string
		port   int
		want   string
	}{
		{"http", 80, "shop.example.com"},
		{"https", 443, "shop.example.com"},
		{"http", 443, "shop.example.com:443"},
		{"https", 8443, "shop.example.com:8443"},
	} {
		if got := (probe.Target{Scheme: tc.scheme, Port: tc.port, Host: "shop.example.com"}).Authority(); got != tc.want {
			t.Errorf("%s %d: got %s, want %s", tc.scheme, tc.port, got, tc.want)
		}
	}
}

func TestAddrPort(t *testing.T) {
	t.Parallel()
	target := probe.Target{Address: "2001:db8::1", Port: 443}
	for check, want := range map[probe.Check]string{{}: "[2001:db8::1]:443", {Port: 22}: "[2001:db8::1]:22"} {
		if got, err := target.AddrPort(check); err != nil || got != netip.MustParseAddrPort(want) {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
	}
	if _, err := (probe.Target{Address: "name"}).AddrPort(probe.Check{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a name was taken as an address: %v", err)
	}
}

func TestWantedHeader(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][2]string{
		"":                {"", ""},
		"X-Shop:  main  ": {"X-Shop", "main"},
		"X-Shop:":         {"X-Shop", ""},
		"X-At: 12:30":     {"X-At", "12:30"},
	} {
		name, value := probe.Check{Header: header}.WantedHeader()
		if name != want[0] || value != want[1] {
			t.Errorf("%q: got %q and %q, want %q", header, name, value, want)
		}
	}
}

func TestWorstDetection(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	for _, tc := range []struct {
		every, timeout time.Duration
		downAfter      int
		want           time.Duration
	}{
		{250 * ms, 250 * ms, 3, time.Second},
		{100 * ms, 250 * ms, 3, 850 * ms},
		{time.Second, 100 * ms, 3, 3100 * ms},
		{time.Second, 100 * ms, 1, 1100 * ms},
		{0, 0, 0, 17 * time.Second}, // the defaults: 5 + 2×5 + 2
	} {
		c := probe.Check{Every: tc.every, Timeout: tc.timeout, DownAfter: tc.downAfter}
		if got := probe.WorstDetection(c); got != tc.want {
			t.Errorf("every %s, timeout %s, down after %d: got %s, want %s", tc.every, tc.timeout, tc.downAfter, got, tc.want)
		}
	}
}

// TestValidateAnything: nothing that is accepted can break out of the line of the
// request that it is written into.
func TestValidateAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := probe.Check{
			Name:   rapid.OneOf(rapid.Just("home"), rapid.String()).Draw(t, "name"),
			Path:   rapid.OneOf(rapid.Just("/"), rapid.String(), rapid.StringMatching(`/[ -~\r\n]*`)).Draw(t, "path"),
			Header: rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[A-Za-z]+: [\x00-\x7f]*`)).Draw(t, "header"),
		}.WithDefaults()
		if c.Validate() != nil {
			return
		}
		if strings.ContainsAny(c.Name+c.Path+c.Header, "\r\n\x00") {
			t.Fatalf("accepted %+v", c)
		}
	})
}

func FuzzTargetValidate(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "169.254.169.254", "::ffff:a9fe:a9fe", "fd00:ec2::254%1", "::", "1.2.3", "[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		target := probe.Target{Address: address, Port: 1, Scheme: "http", Host: "a"}
		if target.Validate() != nil {
			return
		}
		ap, err := target.AddrPort(probe.Check{})
		if err != nil || probe.NeverAsked(ap.Addr()) {
			t.Errorf("accepted %q: %v, %v", address, ap, err)
		}
	})
}
