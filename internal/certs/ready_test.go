package certs

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// soundFacts are those of a name that is ready.
func soundFacts(t *testing.T) Facts {
	t.Helper()
	h, err := hold("shop.ecdsa", FromAuthority, selfSigned(t, ECDSA, now0, now0.Add(ninety), "shop.example.com"), nil)
	must(t, err)
	good := Glance{Seen: Good}
	return Facts{
		Site: "shop", Name: "shop.example.com", Held: &h, Managed: true, Rehearsed: good, Here: good, Outside: good,
		CAASeen: good, Asking: Asking{Names: []string{"letsencrypt.org"}, Account: "https://ca.example.net/acct/7", Method: "dns-01"},
		HeadersSeen: good, ServiceSeen: good, Standby: []string{"198.51.100.7"},
	}
}

// Each trap takes from the readiness, says so in a sentence, and names the next step.
func TestReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		about  string
		change func(f *Facts)
		after  time.Duration
		score  int
		says   string
		level  string
	}{
		{about: "all is well", score: 100},
		{about: "no certificate", change: func(f *Facts) { f.Held = nil }, score: 0, says: "There is no certificate", level: ProblemFound},
		{about: "none, with HSTS", change: func(f *Facts) { f.Held, f.HSTS = nil, HSTS{MaxAge: time.Hour} }, score: 0, says: "no visitor can pass the warning", level: ProblemFound},
		{about: "over", after: 91 * 24 * time.Hour, score: 0, says: "is over since", level: ProblemFound},
		{about: "begins later", after: -time.Hour, score: 0, says: "begins only on", level: ProblemFound},
		{about: "a third left", after: 60 * 24 * time.Hour, score: 100},
		{about: "a quarter left", after: 68 * 24 * time.Hour, score: 75, says: "less than a quarter", level: Warning},
		{about: "an eighth left", after: 80 * 24 * time.Hour, score: 50, says: "less than an eighth", level: ProblemFound},
		{about: "a renewal failed", change: func(f *Facts) { f.Failing, f.Failures = "it is away", 3 }, score: 90, says: "failed 3 times: it is away", level: Warning},
		{about: "no root", change: func(f *Facts) { f.Chain = "unknown authority" }, score: 20, says: "leads to no root", level: ProblemFound},
		{about: "an RSA key", change: func(f *Facts) { f.Held.Kind = RSA }, score: 95, says: "three times as much", level: Warning},
		{about: "not served here", change: func(f *Facts) { f.Here = Glance{Bad, "no connection"} }, score: 50, says: "no connection", level: ProblemFound},
		{about: "not served outside", change: func(f *Facts) { f.Outside = Glance{Bad, "another certificate"} }, score: 60, says: "another certificate", level: ProblemFound},
		{about: "not looked at outside", change: func(f *Facts) { f.Outside = Glance{NotLooked, "no other place"} }, score: 95, says: "not looked at: no other place", level: Note},
		{about: "never rehearsed", change: func(f *Facts) { f.Rehearsed = Glance{Seen: Bad} }, score: 85, says: "not even in a drill", level: Warning},
		{about: "CAA names us", change: func(f *Facts) {
			f.CAA = CAA{"example.com.", []CAARecord{{false, "issue", "letsencrypt.org; accounturi=https://ca.example.net/acct/7; validationmethods=dns-01,http-01"}}}
		}, score: 100},
		{about: "CAA names another authority", change: func(f *Facts) { f.CAA = CAA{"example.com.", []CAARecord{{false, "issue", "pki.goog"}}} }, score: 60, says: "other authorities only", level: ProblemFound},
		{about: "CAA names another account", change: func(f *Facts) {
			f.CAA = CAA{"example.com.", []CAARecord{{false, "issue", "letsencrypt.org; accounturi=https://ca.example.net/acct/1"}}}
		}, score: 60, says: "another account only", level: ProblemFound},
		{about: "CAA names another method", change: func(f *Facts) {
			f.CAA = CAA{"example.com.", []CAARecord{{false, "issue", "letsencrypt.org; validationmethods=http-01"}}}
		}, score: 60, says: "does not allow dns-01", level: ProblemFound},
		{about: "CAA is critical", change: func(f *Facts) { f.CAA = CAA{"example.com.", []CAARecord{{true, "tbs", "unknown"}}} }, score: 60, says: "critical", level: ProblemFound},
		{about: "CAA of an unknown authority", change: func(f *Facts) {
			f.CAA, f.Asking.Names = CAA{"example.com.", []CAARecord{{false, "issue", "pki.goog"}}}, nil
		}, score: 95, says: "does not say what it is called", level: Note},
		{about: "CAA, and the certificate is brought", change: func(f *Facts) {
			f.Managed, f.CAA = false, CAA{"example.com.", []CAARecord{{false, "issue", "pki.goog"}}}
		}, score: 100},
		{about: "HSTS alone", change: func(f *Facts) { f.HSTS = HSTS{MaxAge: time.Hour, Subdomains: true} }, score: 100},
		{about: "HSTS for subdomains", change: func(f *Facts) {
			f.HSTS, f.Below = HSTS{MaxAge: time.Hour, Subdomains: true}, []string{"api.shop.example.com"}
		}, score: 80, says: "move without a certificate: api.shop.example.com", level: ProblemFound},
		{about: "ECH", change: func(f *Facts) { f.Services = []Service{{Priority: 1, Target: ".", ECH: true}} }, score: 70, says: "encrypted ClientHello", level: ProblemFound},
		{about: "hints", change: func(f *Facts) { f.Services = []Service{{Priority: 1, Hints: []string{"203.0.113.10"}}} }, score: 90, says: "203.0.113.10", level: Warning},
		{about: "hints of the standby", change: func(f *Facts) { f.Services = []Service{{Priority: 1, Hints: []string{"198.51.100.7"}}} }, score: 100},
		{about: "Alt-Svc", change: func(f *Facts) { f.AltSvc = 24 * time.Hour }, score: 95, says: "another way to it for 24 hours", level: Warning},
		{about: "nothing looked at", change: func(f *Facts) {
			f.Here, f.Outside, f.CAASeen, f.HeadersSeen, f.ServiceSeen = Glance{}, Glance{}, Glance{}, Glance{}, Glance{}
		}, score: 80, says: "was not looked at", level: Note},
	} {
		t.Run(c.about, func(t *testing.T) {
			t.Parallel()
			f := soundFacts(t)
			if c.change != nil {
				c.change(&f)
			}
			r := Ready(f, now0.Add(c.after+time.Minute))
			if r.Score != c.score {
				t.Errorf("readiness %d, want %d: %+v", r.Score, c.score, r.Findings)
			}
			if c.says == "" {
				if len(r.Findings) > 0 {
					t.Errorf("it says %+v", r.Findings)
				}
				return
			}
			found := false
			for _, x := range r.Findings {
				found = found || strings.Contains(x.Text, c.says) && x.Severity == c.level && x.Costs > 0
				if x.Severity == ProblemFound && x.Next == "" {
					t.Errorf("no next step: %s", x.Text)
				}
			}
			if !found {
				t.Errorf("it does not say %q as a %s: %+v", c.says, c.level, r.Findings)
			}
		})
	}
}

func TestHeadersOfProduction(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]HSTS{
		"": {}, "max-age=31536000; includeSubDomains; preload": {8760 * time.Hour, true}, `max-age="60"`: {time.Minute, false},
		"includesubdomains; MAX-AGE=1": {time.Second, true}, "max-age=x": {}, "max-age=-5": {}, "max-age=99999999999999999999999": {10 * 366 * 24 * time.Hour, false},
	} {
		if got := ParseHSTS(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	for text, want := range map[string]time.Duration{
		"": 0, "clear": 0, `h3=":443"; ma=86400`: 24 * time.Hour, `h3=":443"`: 24 * time.Hour, `h3=":443"; ma=60, h3-29=":443"; ma=3600; persist=1`: time.Hour,
		`h3=":443"; ma=0`: 0, "nonsense": 0,
	} {
		if got := ParseAltSvc(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestCAAWildcards(t *testing.T) {
	t.Parallel()
	c := CAA{"example.com.", []CAARecord{{false, "issue", "letsencrypt.org"}, {false, "issuewild", ";"}}}
	who := Asking{Names: []string{"letsencrypt.org"}, Method: "dns-01"}
	if why := c.Refuses("shop.example.com", who); why != "" {
		t.Error(why)
	}
	if why := c.Refuses("*.example.com", who); why == "" {
		t.Error("a wildcard is allowed")
	}
	for _, value := range []string{"letsencrypt.org; accounturi=a; accounturi=b", "letsencrypt.org; broken", ";", ""} {
		c := CAA{"example.com.", []CAARecord{{false, "issue", value}}}
		if why := c.Refuses("shop.example.com", who); why == "" {
			t.Errorf("%q is taken", value)
		}
	}
}

// What the DNS holds is read as it is: CAA by climbing, HTTPS records with their
// parameters.
func TestWorldReadsTheDNS(t *testing.T) {
	t.Parallel()
	s := startDNS(t)
	s.write(t, `example.com. 60 IN CAA 128 issue "letsencrypt.org; validationmethods=dns-01"`, `example.com. 60 IN CAA 0 iodef "mailto:a@example.com"`,
		`shop.example.com. 60 IN HTTPS 1 . alpn=h3,h2 ipv4hint=203.0.113.10,203.0.113.11 ipv6hint=2001:db8::1 ech=AEP+DQA/`)
	w := World{Ask: Servers(true, s.addr), Now: time.Now}
	c, err := w.CAA(t.Context(), "www.shop.example.com")
	if err != nil || c.At != "example.com." || len(c.Records) != 2 || !c.Records[0].Critical || c.Records[0].Tag != "issue" {
		t.Errorf("%+v %v", c, err)
	}
	if c, err = w.CAA(t.Context(), "example.org"); err != nil || len(c.Records) != 0 {
		t.Errorf("%+v %v", c, err)
	}
	got, err := w.Services(t.Context(), "shop.example.com")
	if err != nil || len(got) != 1 || !got[0].ECH || strings.Join(got[0].Hints, " ") != "203.0.113.10 203.0.113.11 2001:db8::1" || strings.Join(got[0].Protocols, " ") != "h3 h2" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := (World{Ask: Servers(true)}).CAA(t.Context(), "example.com"); err == nil {
		t.Error("nobody was asked, and it is known")
	}
}

// scene is a world that a test makes up.
type scene struct {
	shown   map[netip.AddrPort][][]byte
	headers http.Header
	caa     CAA
	svc     []Service
	err     error
}

func (s *scene) Shown(_ context.Context, at netip.AddrPort, _ string) ([][]byte, error) {
	if chain := s.shown[at]; chain != nil {
		return chain, nil
	}
	return nil, errors.New("connection refused")
}

func (s *scene) Headers(context.Context, netip.AddrPort, string) (http.Header, error) {
	return s.headers, s.err
}

func (s *scene) CAA(context.Context, string) (CAA, error)            { return s.caa, s.err }
func (s *scene) Services(context.Context, string) ([]Service, error) { return s.svc, s.err }

// The daily look joins what is seen with what is held; between two looks what is held
// counts as it is.
func TestDailyLook(t *testing.T) {
	t.Parallel()
	here, standby, home := netip.MustParseAddrPort("127.0.0.1:8443"), netip.MustParseAddrPort("198.51.100.7:443"), netip.MustParseAddrPort("203.0.113.10:443")
	world := &scene{shown: map[netip.AddrPort][][]byte{}, headers: http.Header{"Strict-Transport-Security": {"max-age=60; includeSubDomains"}, "Alt-Svc": {`h3=":443"; ma=3600`}}}
	p := newPort(t, func(_ *port, o *Options) {
		o.Look = world
		o.Places = func() []Place {
			return []Place{{Site: "shop", Name: "shop.example.com", Here: here, Standby: []netip.AddrPort{standby}, Origins: []netip.AddrPort{home}, Below: []string{"api.shop.example.com", "www.shop.example.com"}, Rehearsed: Glance{Seen: Good}}}
		}
	})
	p.Tend(t.Context())
	p.LookNow(t.Context())
	text := func() (out string) {
		for _, f := range p.View().Names[0].Findings {
			out += f.Code + ": " + f.Text + "\n"
		}
		return out
	}
	for _, says := range []string{"served-here: ", "served-outside: ", "connection refused", "hsts-subdomains: ", "api.shop.example.com.", "alt-svc: "} {
		if !strings.Contains(text(), says) {
			t.Errorf("without %q:\n%s", says, text())
		}
	}
	chain := p.served()[0].Chain
	world.shown[here], world.shown[standby], world.headers = chain, chain, http.Header{}
	world.caa = CAA{"example.com.", []CAARecord{{false, "issue", "pebble.letsencrypt.org; accounturi=" + p.View().Account}}}
	p.LookNow(t.Context())
	if v := p.View().Names[0]; v.Score != 100 || v.Here.Seen != Good || v.Outside.Seen != Good {
		t.Errorf("readiness %d:\n%s", v.Score, text())
	}
	world.caa.Records[0].Value = "pebble.letsencrypt.org; accounturi=https://elsewhere.example/1"
	p.LookNow(t.Context())
	if !strings.Contains(text(), "caa: No certificate for shop.example.com can be made") {
		t.Errorf("CAA forbids it:\n%s", text())
	}
	world.err = errors.New("no route")
	p.LookNow(t.Context())
	if !strings.Contains(text(), "was not looked at") || strings.Contains(text(), "caa: No certificate") {
		t.Errorf("nothing can be asked:\n%s", text())
	}
}

func FuzzParseCAA(f *testing.F) {
	f.Add([]byte("\x80\x05issueletsencrypt.org; accounturi=x"))
	f.Add([]byte{0, 5, 'i'})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, ok := ParseCAA(data)
		if ok && (r.Tag == "" || len(r.Tag)+len(r.Value)+2 != len(data)) {
			t.Errorf("%q became %+v", data, r)
		}
		CAA{"a.", []CAARecord{r}}.Refuses("*.example.com", Asking{Names: []string{"letsencrypt.org"}})
	})
}

func FuzzParseService(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 4, 0, 4, 203, 0, 113, 10})
	f.Add([]byte{0, 0, 3, 'a', 'b', 'c', 0})
	f.Add([]byte{0, 1, 0, 0, 1, 0, 3, 2, 'h', '3', 0, 5, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := ParseService(data)
		if !ok {
			return
		}
		if len(s.Hints)*4 > len(data) {
			t.Errorf("%d hints out of %d octets", len(s.Hints), len(data))
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("max-age=60; includeSubDomains", `h3=":443"; ma=60, clear`)
	f.Fuzz(func(t *testing.T, hsts, alt string) {
		if ParseHSTS(hsts).MaxAge < 0 || ParseAltSvc(alt) < 0 {
			t.Error("a time below nothing")
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("a.example.", dns.TypeCAA)
	m.Response = true
	m.Answer = []dns.RR{&dns.CAA{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeCAA, Class: dns.ClassINET}, Tag: "issue", Value: "x"}}
	raw, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(_ *testing.T, data []byte) { _, _, _ = readAnswer(data) })
}
