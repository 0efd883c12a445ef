package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/signer"
	"lifeboat/internal/store/mem"
)

// signed has the boat's zone signed.
func signed(text string) string {
	return strings.Replace(text, "    ttl: 60s\n", "    ttl: 60s\n    dnssec: true\n", 1)
}

// newSigner makes a signer on the boat's keys, as a start of control does.
func (b *boat) newSigner(ds signer.LookUp) *signer.Signer {
	b.t.Helper()
	folder, err := signer.OpenFolder(filepath.Join(b.dir, "keys"))
	must(b.t, err)
	return signer.New(signer.Options{Folder: folder, Now: b.now, Logger: b.logs, DS: ds})
}

// secured is the answer to a question with DNSSEC, each set of which must verify with
// the zone's keys; and what of it is wrong.
func (b *boat) secured(name string, typ uint16) (m *dns.Msg, wrong string) {
	b.t.Helper()
	ask := func(name string, typ uint16) *dns.Msg {
		q := new(dns.Msg).SetQuestion(name, typ)
		q.SetEdns0(1232, true)
		m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, b.dns.String())
		must(b.t, err)
		return m
	}
	var keys []*dns.DNSKEY
	for _, rr := range ask("shop.example.com.", dns.TypeDNSKEY).Answer {
		if k, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, k)
		}
	}
	m = ask(name, typ)
	verified := 0
	for _, rr := range append(m.Answer, m.Ns...) {
		sig, ok := rr.(*dns.RRSIG)
		if !ok {
			continue
		}
		var set []dns.RR
		for _, rr := range append(m.Answer, m.Ns...) {
			if rr.Header().Rrtype == sig.TypeCovered && rr.Header().Name == sig.Hdr.Name {
				set = append(set, rr)
			}
		}
		good := false
		for _, k := range keys {
			good = good || k.KeyTag() == sig.KeyTag && sig.Verify(k, set) == nil && sig.ValidityPeriod(b.now())
		}
		if !good {
			return m, "does not verify: " + sig.String()
		}
		verified++
	}
	if verified == 0 {
		return m, "nothing is signed"
	}
	return m, ""
}

// holds asks for the sets that a flip changes, and for one that is not there.
func (b *boat) holds(address string) {
	b.t.Helper()
	b.eventually("signed, at "+address, func() bool {
		m, wrong := b.secured("shop.example.com.", dns.TypeA)
		if wrong != "" {
			return false
		}
		a, ok := m.Answer[0].(*dns.A)
		return ok && a.A.String() == address
	})
	for _, typ := range []uint16{dns.TypeSOA, dns.TypeAAAA, dns.TypeTXT} {
		if m, wrong := b.secured("shop.example.com.", typ); wrong != "" {
			b.t.Errorf("%s: %s\n%s", dns.TypeToString[typ], wrong, m)
		}
	}
}

// A zone that is to be signed is answered so, and neither a press nor a local order
// signs anything: at every position every answer verifies all the same.
func TestAFlipSignsNothing(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	s := b.newSigner(nil)
	b.signing = s
	b.restart(signed)
	b.ready()
	b.holds("127.0.0.1")
	made := s.Made()
	if made < dnssec.SerialsAhead {
		t.Fatalf("%d signatures were made", made)
	}
	must(t, b.pull("to-standby", "a test"))
	b.holds("127.0.0.8")
	_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "to-standby"}, me)
	must(t, err)
	b.holds("127.0.0.1")
	b.stopC()
	b.pullAtAnswer("to-standby")
	b.holds("127.0.0.8")
	b.control()
	b.ready()
	b.holds("127.0.0.8")
	if got := s.Made(); got != made {
		t.Errorf("%d signatures were made for flips", got-made)
	}
	v := b.eng.Signing()
	if d := v.Days(b.now()); d < 28 || d > 30 || v.Problem != "" {
		t.Errorf("answers validate for %d days: %+v", d, v)
	}
}

// A control that starts again signs nothing that it has signed before, but what the
// serials need.
func TestAStartSignsNothingAgain(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.signing = b.newSigner(nil)
	b.restart(signed)
	b.ready()
	b.holds("127.0.0.1")
	s := b.newSigner(nil)
	b.signing = s
	b.restart(signed)
	b.ready()
	b.holds("127.0.0.1")
	if got := s.Made(); got > 10 {
		t.Errorf("%d signatures were made at a start", got)
	}
}

// Past half their time signatures are made anew, an incident or not.
func TestSignaturesAreRenewedDuringAnIncident(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	s := b.newSigner(nil)
	b.signing = s
	b.restart(signed)
	b.ready()
	must(t, b.pull("to-standby", "a test"))
	made := s.Made()
	b.clockMu.Lock()
	b.skew = dnssec.Validity - dnssec.Renewal + time.Hour
	b.clockMu.Unlock()
	b.eventually("renewed", func() bool { return s.Made() >= 2*made && b.eng.Signing().Days(b.now()) >= 29 })
	b.holds("127.0.0.8")
}

// A person begins a roll-over, and it goes to its end by itself once the parent points
// at the next key; an incident holds it up.
func TestARollOverGoesToItsEnd(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	var s *signer.Signer
	s = b.newSigner(func(context.Context, string) ([][]byte, time.Duration, bool) {
		ds, ok := dsOf(s)
		return [][]byte{ds}, time.Hour, ok
	})
	b.signing = s
	b.restart(signed)
	b.ready()
	b.holds("127.0.0.1")
	old := s.Zones()[0].Keys[0].Tag
	must(t, b.pull("to-standby", "a test"))
	ctx := context.Background()
	if err := b.eng.RollKey(ctx, "shop.example.com."); fault.KindOf(err) != fault.Refused {
		t.Errorf("during an incident: %v", err)
	}
	b.goBack()
	_, err := b.eng.Do(ctx, "shop", incident.Close{Reason: "a test"}, me)
	must(t, err)
	must(t, b.eng.RollKey(ctx, "shop.example.com."))
	if err := b.eng.RollKey(ctx, "shop.example.com."); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second one: %v", err)
	}
	for _, step := range []dnssec.Step{dnssec.AwaitDS, dnssec.Spread, dnssec.Switch, dnssec.Calm} {
		b.clockMu.Lock()
		b.skew += 3 * time.Hour
		b.clockMu.Unlock()
		b.eventually("step "+string(step), func() bool { return reached(s.Zones()[0].Step, step) })
		b.holds("127.0.0.1")
	}
	b.eventually("over", func() bool { return s.Zones()[0].Step == dnssec.Calm })
	keys := s.Zones()[0].Keys
	if len(keys) != 1 || keys[0].Tag == old {
		t.Errorf("keys at the end: %+v", keys)
	}
	b.eventually("one key in the zone", func() bool {
		m, wrong := b.secured("shop.example.com.", dns.TypeDNSKEY)
		return wrong == "" && len(m.Answer) == 2
	})
}

// dsOf is the DS record that a zone's parent should have.
func dsOf(s *signer.Signer) (ds []byte, ok bool) {
	zones := s.Zones()
	if len(zones) == 0 {
		return nil, false
	}
	rr, err := dns.NewRR("shop.example.com. IN DS " + zones[0].DS[0])
	if err != nil {
		return nil, false
	}
	wire := make([]byte, 200)
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	return wire[max(n-36, 0):n], err == nil
}

// reached says whether a roll-over has come to a step, or past it.
func reached(at, want dnssec.Step) bool {
	order := []dnssec.Step{dnssec.Publish, dnssec.AwaitDS, dnssec.Spread, dnssec.Switch, dnssec.Calm}
	rank := map[dnssec.Step]int{}
	for i, s := range order {
		rank[s] = i
	}
	return rank[at] >= rank[want]
}

// A proof for a certificate authority is given out signed, and is gone by itself.
func TestAProofIsSigned(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.signing = b.newSigner(nil)
	b.restart(signed)
	b.ready()
	const name = "_acme-challenge.shop.example.com."
	without, wrong := b.secured(name, dns.TypeTXT)
	if wrong != "" {
		t.Fatalf("before: %s\n%s", wrong, without)
	}
	_, err := b.eng.PutChallenge(context.Background(), "shop.example.com", []string{"a-proof"}, time.Minute)
	must(t, err)
	b.eventually("the proof, signed", func() bool {
		m, wrong := b.secured(name, dns.TypeTXT)
		return wrong == "" && len(m.Answer) == len(without.Answer)+1
	})
	must(t, b.eng.DropChallenge(context.Background(), "shop.example.com", nil))
	b.eventually("as before, signed", func() bool {
		m, wrong := b.secured(name, dns.TypeTXT)
		return wrong == "" && len(m.Answer) == len(without.Answer)
	})
}

// A press while a zone is signed anew waits for nothing of it, wins, and takes nothing
// from it: what was signed comes into force after it, and holds where the press has led.
func TestAPressGoesBesideARenewal(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	s := b.newSigner(nil)
	b.signing = s
	var renewing atomic.Bool
	ready, goOn := make(chan struct{}, 16), make(chan struct{})
	b.hook = func(point string) {
		if point == "signed" && renewing.Load() { // and ready at answer, and not in force
			ready <- struct{}{}
			<-goOn
		}
	}
	b.restart(signed)
	b.ready()
	b.holds("127.0.0.1")
	made, ends := s.Made(), b.eng.Signing().Until
	renewing.Store(true)
	b.clockMu.Lock()
	b.skew = dnssec.Validity - dnssec.Renewal + time.Hour
	b.clockMu.Unlock()
	<-ready
	if s.Made() < 2*made {
		t.Fatalf("%d signatures, and %d before", s.Made(), made)
	}
	must(t, b.pull("to-standby", "a test"))
	if got := b.addr(); got != "127.0.0.8" {
		t.Errorf("after the press DNS answers %s", got)
	}
	if got := b.eng.Signing().Until; !got.After(ends) {
		t.Errorf("how the zones are doing is not told while they are signed: until %s", got)
	}
	close(goOn)
	b.eventually("renewed", func() bool { return b.oldest().After(b.now()) })
	b.holds("127.0.0.8")
}

// oldest is when the first signature over the addresses of the site ends, as answered.
func (b *boat) oldest() (ends time.Time) {
	m, _ := b.secured("shop.example.com.", dns.TypeA)
	for _, rr := range m.Answer {
		if sig, ok := rr.(*dns.RRSIG); ok {
			ends = time.Unix(int64(sig.Expiration), 0).Add(-dnssec.Renewal)
		}
	}
	return ends
}

// Where a zone's key and all that was kept of it are lost, no other key is made: answer
// goes on with what it has, and everybody is told, until a person puts the key back or
// says that there is to be a new one.
func TestALostKeyIsLoud(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"record and answer know", "answer alone knows"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := launch(t, "propose")
			b.signing = b.newSigner(nil)
			b.restart(signed)
			b.ready()
			b.holds("127.0.0.1")
			b.stopC()
			keys := filepath.Join(b.dir, "keys")
			must(t, os.RemoveAll(keys))
			if what == "answer alone knows" {
				b.store = mem.New(mem.Options{})
			}
			b.signing = b.newSigner(nil)
			b.control()
			b.eventually("told", func() bool {
				v := b.eng.Signing()
				return v != nil && strings.Contains(v.Problem, "had a key") && strings.Contains(v.Problem, "gone") && len(v.Zones) == 1
			})
			b.eventually("told at the answer process, too", func() bool { return strings.Contains(b.overview().Answer.Problem, "had a key") })
			if files, _ := filepath.Glob(filepath.Join(keys, "*.keys")); len(files) > 0 {
				t.Fatalf("a key was made: %v", files)
			}
			b.holds("127.0.0.1")
			folder, err := signer.OpenFolder(keys)
			must(t, err)
			made, err := folder.New("shop.example.com.", b.now())
			must(t, err)
			b.ready()
			b.holds("127.0.0.1")
			if tag := b.eng.Signing().Zones[0].Keys[0].Tag; tag != made.Keys[0].Tag() || b.eng.Signing().Problem != "" {
				t.Errorf("after a person made a key: %+v", b.eng.Signing())
			}
		})
	}
}
