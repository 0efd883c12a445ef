package xfr

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"lifeboat/internal/snapshot"
)

// signedBody has, beside zoneBody, what a denial may trip over.
const signedBody = "alias 300 CNAME www\n*.wild 300 A 192.0.2.77\nx.y.wild 300 A 192.0.2.78\na.b.ent 300 A 192.0.2.79\n*.deep.walias 300 CNAME mail\n" +
	"safe 300 NS ns.elsewhere.example.\nsafe 300 DS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132\n"

// questions are one of each kind of answer.
var questions = []struct {
	name string
	typ  uint16
}{
	{apex, wire.TypeSOA}, {apex, wire.TypeNS}, {apex, wire.TypeMX}, {apex, wire.TypeDNSKEY}, {apex, wire.TypeTXT}, {apex, wire.TypeNSEC},
	{www, wire.TypeA}, {www, wire.TypeAAAA}, {"alias." + apex, wire.TypeA}, {"alias." + apex, wire.TypeTXT},
	{"q.wild." + apex, wire.TypeA}, {"q.wild." + apex, wire.TypeTXT}, {"q.r.wild." + apex, wire.TypeA}, {"y.wild." + apex, wire.TypeA}, {"z.y.wild." + apex, wire.TypeA},
	{"one.deep.walias." + apex, wire.TypeA}, {"walias." + apex, wire.TypeA}, {"ent." + apex, wire.TypeA}, {"b.ent." + apex, wire.TypeTXT}, {"c.ent." + apex, wire.TypeA},
	{"nowhere." + apex, wire.TypeTXT}, {"nowhere." + apex, wire.TypeA}, {"0." + apex, wire.TypeTXT}, {"zzz.h7." + apex, wire.TypeA},
	{"sub." + apex, wire.TypeDS}, {"x.sub." + apex, wire.TypeA}, {"safe." + apex, wire.TypeDS}, {"x.safe." + apex, wire.TypeA},
	{"odd." + apex, 65280}, {"svc." + apex, wire.TypeHTTPS}, {"_sip._tcp." + apex, wire.TypeSRV}, {"_tcp." + apex, wire.TypeA},
}

// A zone that its primary signs is answered here as the primary answers it, with its
// signatures and its denials, and validates; so it does after a change.
func TestASignedZoneComesIn(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		if k.name != "BIND" && k.name != "Knot" { // the others sign by commands of their own, and what comes is of the same form
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			b := launch(t, false)
			p := start(t, k, setting{us: b.addr, text: theirs(2026010101, "203.0.113.10") + signedBody, sign: "nsec"})
			setup := snapshot.Transfers{Keys: []snapshot.TSIGKey{key()}, In: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: p.addr, Key: keyName}}}}}
			waitSigned(t, k.name, p.addr)
			b.xfr.Configure(setup)
			b.in.Configure(setup)
			waitFor(t, "lifeboat", b.addr, www, "203.0.113.10")
			waitSigned(t, "lifeboat", b.addr)
			b.sameAs(p)
			must(t, os.WriteFile(filepath.Join(p.dir, zoneFile), []byte(theirs(2026010102, "203.0.113.20")+signedBody+"fresh 300 A 192.0.2.99\n"), 0o600))
			must(t, syscall.Kill(p.pid, syscall.SIGHUP))
			waitFor(t, "lifeboat", b.addr, www, "203.0.113.20")
			waitFor(t, "lifeboat", b.addr, "fresh."+apex, "192.0.2.99")
			b.sameAs(p)
			b.validates(p)
			if c := b.in.Copies()[0]; !c.Signed || c.Problem != "" || c.Until.Before(time.Now()) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// signedAnswer asks for an answer with signatures.
func signedAnswer(addr netip.AddrPort, name string, typ uint16) (*wire.Msg, error) {
	q := new(wire.Msg).SetQuestion(name, typ)
	q.RecursionDesired = false
	q.SetEdns0(1232, true)
	m, _, err := (&wire.Client{Net: "tcp", Timeout: 5 * time.Second}).Exchange(q, addr.String())
	return m, err
}

// waitSigned waits until a server's answers are signed.
func waitSigned(t *testing.T, who string, addr netip.AddrPort) {
	t.Helper()
	for late := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		m, err := signedAnswer(addr, www, wire.TypeA)
		if err == nil && slices.ContainsFunc(m.Answer, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeRRSIG }) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%s does not sign: %v, %v", who, m, err)
		}
	}
}

// sameAs holds our answers against the primary's.
func (b *boat) sameAs(p *peer) {
	b.t.Helper()
	for late := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) { // a primary may still be signing
		ours, err := signedAnswer(b.addr, apex, wire.TypeSOA)
		theirs, err2 := signedAnswer(p.addr, apex, wire.TypeSOA)
		if err == nil && err2 == nil && said(ours) == said(theirs) {
			break
		}
		if time.Now().After(late) {
			b.t.Fatalf("%v %v\n%s\n%s", err, err2, ours, theirs)
		}
	}
	for _, q := range questions {
		ours, err := signedAnswer(b.addr, q.name, q.typ)
		must(b.t, err)
		theirs, err := signedAnswer(p.addr, q.name, q.typ)
		must(b.t, err)
		if said(ours) != said(theirs) {
			b.t.Errorf("%s %s: ours\n%s\n%s's\n%s", q.name, wire.Type(q.typ), said(ours), p.name, said(theirs))
		}
	}
}

// said is what an answer says, in order. The name servers that some add to it are left
// out where it is no referral.
func said(m *wire.Msg) string {
	lines := []string{fmt.Sprint(wire.RcodeToString[m.Rcode], " ", m.Authoritative)}
	for i, section := range [][]wire.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			sig, _ := rr.(*wire.RRSIG)
			of := rr.Header().Rrtype
			if sig != nil {
				of = sig.TypeCovered
			}
			if i == 1 && of == wire.TypeNS && strings.EqualFold(rr.Header().Name, apex) {
				continue
			}
			lines = append(lines, fmt.Sprint(i, " ", strings.ToLower(rr.String())))
		}
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

// validates has delv, which trusts the primary's key alone, ask us.
func (b *boat) validates(p *peer) {
	b.t.Helper()
	m, err := signedAnswer(p.addr, apex, wire.TypeDNSKEY)
	must(b.t, err)
	anchors := "trust-anchors {\n"
	for _, rr := range m.Answer {
		if k, is := rr.(*wire.DNSKEY); is {
			anchors += fmt.Sprintf("  %q static-key %d %d %d %q;\n", apex, k.Flags, k.Protocol, k.Algorithm, k.PublicKey)
		}
	}
	file := filepath.Join(b.t.TempDir(), "anchors")
	must(b.t, os.WriteFile(file, []byte(anchors+"};\n"), 0o600))
	delv := tool(b.t, "delv")
	for _, q := range questions {
		if strings.HasPrefix(q.name, "x.s") || q.typ == wire.TypeNSEC { // others answer for it; delv does not ask for NSEC
			continue
		}
		out, err := exec.Command(delv, "@"+b.addr.Addr().String(), "-p", fmt.Sprint(b.addr.Port()), "-a", file, "+root="+apex, "+multiline", q.name, wire.Type(q.typ).String()).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "fully validated") || strings.Contains(string(out), "unsigned") {
			b.t.Errorf("delv %s %s: %v\n%s", q.name, wire.Type(q.typ), err, out)
		}
	}
}

// A zone that its primary signs with NSEC3 is refused, and it is said what to do.
func TestAZoneWithNSEC3IsRefused(t *testing.T) {
	t.Parallel()
	k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == "Knot" })]
	b := launch(t, false)
	p := start(t, k, setting{us: b.addr, text: theirs(2026010101, "203.0.113.10"), sign: "nsec3"})
	waitSigned(t, k.name, p.addr)
	b.in.Configure(snapshot.Transfers{Keys: []snapshot.TSIGKey{key()}, In: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: p.addr, Key: keyName}}}}})
	for late := time.Now().Add(limit); !strings.Contains(b.in.Copies()[0].Problem, "nsec3: off"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%+v", b.in.Copies())
		}
	}
	if n := len(b.in.Zones()); n != 0 {
		t.Errorf("%d zones are held", n)
	}
}
