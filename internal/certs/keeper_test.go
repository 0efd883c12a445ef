package certs

import (
	"crypto/ecdsa"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A certificate is asked for with proofs in our zone, handed on, kept, found again by the
// next control, and renewed when the authority asks for it.
func TestIssueAndRenew(t *testing.T) {
	t.Parallel()
	p := newPort(t, nil)
	if n := len(p.served()); n != 0 {
		t.Fatalf("%d certificates before any was asked for", n)
	}
	p.Tend(t.Context())
	first := p.leaf()
	if err := first.VerifyHostname("www.shop.example.com"); err != nil {
		t.Error(err)
	}
	if kind := kindOf(first.PublicKey); kind != ECDSA {
		t.Errorf("the key is of kind %s", kind)
	}
	if n := p.dns.left(); n != 0 {
		t.Errorf("%d proofs are left", n)
	}
	if got := p.said.String(); strings.Contains(got, "PRIVATE") {
		t.Error("a key is in the log")
	}
	p.later(time.Hour)
	if n := p.ca.orders.Load(); n != 1 {
		t.Errorf("%d orders where one was due", n)
	}
	if it := p.remembered(); it.Selected.IsZero() || it.Selected.Before(first.NotAfter.Add(-ninety/3-25*time.Hour)) {
		t.Errorf("the authority's own time is not known: %+v", it)
	}
	p.open() // a new control
	if got := p.leaf(); !got.Equal(first) {
		t.Error("a new control serves another certificate")
	}
	p.later(50 * 24 * time.Hour)
	if got := p.leaf(); !got.Equal(first) {
		t.Error("renewed too early")
	}
	p.later(12 * 24 * time.Hour)
	second := p.leaf()
	if second.Equal(first) {
		t.Fatalf("not renewed; the log says\n%s", p.said)
	}
	if second.PublicKey.(*ecdsa.PublicKey).Equal(first.PublicKey) {
		t.Error("the same key again")
	}
	replaced, err := p.ca.db.GetOrderByIssuedSerial(p.View().Certificates[0].Serial)
	if err != nil || replaced.Replaces == "" {
		t.Errorf("the authority was not told what is replaced: %v", err)
	}
	for _, path := range []string{"held/shop.ecdsa.pem", "state.json"} {
		info, err := os.Stat(filepath.Join(p.o.Dir, path))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
}

// The authority is away for as long as the certificate has left: it is served to the end
// and beyond, ever louder, nothing fails to start, and the first answer makes a new one.
func TestAuthorityAwayUntilTheEnd(t *testing.T) {
	t.Parallel()
	p := newPort(t, nil)
	p.Tend(t.Context())
	first := p.leaf()
	p.ca.refuseWith(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	p.issuer.windowTime = time.Second
	p.later(62 * 24 * time.Hour)
	if v := p.View(); v.Renewals[0].Failures != 1 || v.Renewals[0].LastError == "" || v.Score > 90 {
		t.Fatalf("a failed renewal: %+v, readiness %d", v.Renewals[0], v.Score)
	}
	if len(p.paged()) != 0 {
		t.Errorf("somebody was called at once: %v", p.paged())
	}
	p.later(time.Minute)
	if n := p.remembered().Failures; n != 1 {
		t.Errorf("it was tried again at once: %d", n)
	}
	score := 100
	for _, stage := range []struct {
		after time.Duration
		says  string
	}{{7 * 24 * time.Hour, "less than a quarter"}, {12 * 24 * time.Hour, "less than an eighth"}, {10 * 24 * time.Hour, "is over since"}} {
		p.later(stage.after)
		p.open() // a new control starts all the same
		p.issuer.windowTime = time.Second
		p.Tend(t.Context())
		v := p.View()
		text := ""
		for _, f := range v.Names[0].Findings {
			text += f.Text + "\n"
		}
		if !strings.Contains(text, stage.says) {
			t.Errorf("after %s more it says\n%swithout %q", stage.after, text, stage.says)
		}
		if v.Score >= score && v.Score > 0 {
			t.Errorf("the readiness went from %d to %d", score, v.Score)
		}
		score = v.Score
		if got := p.leaf(); !got.Equal(first) {
			t.Error("it is served no more")
		}
	}
	if score != 0 || len(p.paged()) < 2 {
		t.Errorf("at the end: readiness %d, called %v", score, p.paged())
	}
	p.ca.refuseWith(func(http.ResponseWriter, *http.Request) bool { return false })
	p.later(13 * time.Hour)
	if got := p.leaf(); got.Equal(first) {
		t.Errorf("the authority is back, and nothing was renewed:\n%s", p.said)
	}
	if v := p.View(); v.Renewals[0].Failures != 0 {
		t.Errorf("it still counts %d failures", v.Renewals[0].Failures)
	}
}

// An authority that has had enough is left alone for as long as it says.
func TestRateLimitGivesPatience(t *testing.T) {
	t.Parallel()
	p := newPort(t, nil)
	p.ca.refuseWith(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/order-plz") {
			return false
		}
		p.ca.orders.Add(1)
		w.Header().Set("Retry-After", "36000")
		problemDocument(w, http.StatusTooManyRequests, "rateLimited", "too many certificates already issued for example.com")
		return true
	})
	p.Tend(t.Context())
	it := p.remembered()
	if !strings.Contains(it.LastError, "enough was asked") || it.NextTry.Sub(p.clock()) < 9*time.Hour {
		t.Fatalf("it says %q and goes on at %s", it.LastError, it.NextTry.Sub(p.clock()))
	}
	p.later(9 * time.Hour)
	if n := p.ca.orders.Load(); n != 1 {
		t.Errorf("%d orders", n)
	}
	p.ca.refuseWith(func(http.ResponseWriter, *http.Request) bool { return false })
	p.later(2 * time.Hour)
	p.leaf()
}

// A proof that the authority finds wrong comes to nothing, and says so.
func TestWrongProof(t *testing.T) {
	t.Parallel()
	p := newPort(t, func(p *port, o *Options) {
		o.Solvers = []Solver{&DNS01{Zones: p.dns}} // nobody looks whether it is given out
		o.Solvers[0].(*DNS01).Servers = func(string) []netip.AddrPort { return nil }
	})
	p.dns.set(func(s *nameServer) { s.wrong = true })
	p.Tend(t.Context())
	if it := p.remembered(); !strings.Contains(it.LastError, "did not find the proof") {
		t.Errorf("it says %q", it.LastError)
	}
	if n := p.dns.left(); n != 0 {
		t.Errorf("%d proofs are left", n)
	}
	if len(p.served()) != 0 {
		t.Error("a certificate came of it")
	}
	p.dns.set(func(s *nameServer) { s.wrong = false })
	p.later(6 * time.Minute)
	p.leaf()
}

// The authority hears of a proof only when our name servers give it out.
func TestProofIsSeenFirst(t *testing.T) {
	t.Parallel()
	p := newPort(t, nil)
	p.dns.set(func(s *nameServer) { s.dumb = true })
	asked := make(chan struct{}, 100)
	p.ca.refuseWith(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/chalZ/") {
			asked <- struct{}{}
		}
		return false
	})
	done := make(chan struct{})
	go func() { defer close(done); p.Tend(t.Context()) }()
	for { // until it is put: then it waits
		p.dns.mu.Lock()
		put := p.dns.puts
		p.dns.mu.Unlock()
		if put == 2 {
			break
		}
		select {
		case <-done:
			t.Fatalf("it went on without:\n%s", p.said)
		default:
		}
	}
	if len(asked) != 0 {
		t.Error("the authority was told of a proof that nobody gives out")
	}
	p.dns.set(func(s *nameServer) { s.dumb = false })
	<-done
	p.leaf()
	if len(asked) == 0 {
		t.Error("the challenge's address is another one by now; this test watches nothing")
	}
}

// A name that can't be proved does not keep the others from their certificate, and one
// elsewhere is proved where a CNAME leads into our zone.
func TestNamesElsewhere(t *testing.T) {
	t.Parallel()
	p := newPort(t, func(p *port, o *Options) {
		o.Wanted[0].Names = []string{"shop.example.com", "blog.example.org", "lost.example.net"}
		p.dns.set(func(s *nameServer) {
			s.alias["_acme-challenge.blog.example.org."] = "_acme-challenge.blog.example.com."
		})
	})
	p.Tend(t.Context())
	leaf := p.leaf()
	if leaf.VerifyHostname("blog.example.org") != nil || leaf.VerifyHostname("lost.example.net") == nil {
		t.Errorf("the certificate is for %v", leaf.DNSNames)
	}
	it := p.remembered()
	if len(it.Left) != 1 || !strings.Contains(it.Left[0], "lost.example.net") {
		t.Errorf("it says %q", it.Left)
	}
	p.later(time.Hour)
	if n := p.ca.orders.Load(); n != 1 {
		t.Errorf("%d orders: it tries again and again", n)
	}
	for _, n := range p.View().Names {
		if n.Name == "lost.example.net" && n.Score != 0 {
			t.Errorf("%s is %d ready", n.Name, n.Score)
		}
	}
}

// One name that the authority will not take does not take it from the others.
func TestRejectedName(t *testing.T) {
	t.Parallel()
	p := newPort(t, func(_ *port, o *Options) { o.Wanted[0].Names = []string{"shop.example.com", "news.example.com"} })
	must(t, p.ca.db.AddBlockedDomain("news.example.com"))
	p.Tend(t.Context())
	leaf := p.leaf()
	if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "shop.example.com" {
		t.Errorf("the certificate is for %v", leaf.DNSNames)
	}
	if it := p.remembered(); !strings.Contains(it.LastError, "news.example.com") {
		t.Errorf("it says %q", it.LastError)
	}
}

// A name that this process serves itself gets its certificate like others, and its key
// stays here: answer is not given it.
func TestServedHere(t *testing.T) {
	t.Parallel()
	p := newPort(t, func(_ *port, o *Options) {
		o.Wanted = append(o.Wanted, Wanted{ID: "console_page", Names: []string{"boat.example.com"}, Here: true})
	})
	if p.Pair("boat.example.com") != nil {
		t.Error("there is a pair before one was made")
	}
	p.Tend(t.Context())
	pair := p.Pair("boat.example.com")
	if pair == nil || pair.Leaf.VerifyHostname("boat.example.com") != nil || pair.PrivateKey == nil {
		t.Fatalf("%+v\n%s", pair, p.said)
	}
	for _, c := range p.served() {
		if slices.Contains(c.Names, "boat.example.com") {
			t.Errorf("answer is given %v", c.Names)
		}
	}
	if len(p.served()) == 0 {
		t.Error("answer is given nothing")
	}
	v := p.View()
	if slices.ContainsFunc(v.Names, func(r Readiness) bool { return r.Name == "boat.example.com" }) {
		t.Error("the readiness of sites asks for the console")
	}
	p.later(pair.Leaf.NotAfter.Sub(p.clock()) + time.Second)
	if p.Pair("boat.example.com") != nil && !p.Pair("boat.example.com").Leaf.NotAfter.After(p.clock()) {
		t.Error("one that is over is shown")
	}
}

// Both kinds of keys are made where both are asked for, ECDSA first.
func TestBothKeys(t *testing.T) {
	t.Parallel()
	p := newPort(t, func(_ *port, o *Options) { o.Authority.Keys = []string{RSA, ECDSA} })
	p.Tend(t.Context())
	v := p.View()
	if len(v.Certificates) != 2 || v.Certificates[0].Kind != ECDSA || v.Certificates[1].Kind != RSA {
		t.Errorf("%+v\n%s", v.Certificates, p.said)
	}
}

// An authority that was set up anew knows no account any more: one is made with the same
// key.
func TestAccountForgotten(t *testing.T) {
	t.Parallel()
	p := newPort(t, nil)
	p.Tend(t.Context())
	old := p.View().Account
	fresh := startPebble(t, p.dns.addr.String())
	p.o.Authority.Roots.AddCert(fresh.Certificate())
	p.o.Authority.Directory = fresh.URL + "/dir"
	p.open()
	p.later(time.Minute)
	if got := p.View().Account; got == old || got == "" {
		t.Errorf("the account is %q", got)
	}
	if it := p.remembered(); it.Directory != p.o.Authority.Directory || it.LastError != "" {
		t.Errorf("another authority was not asked: %+v", it)
	}
}
