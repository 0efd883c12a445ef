package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// A proof is answered when the call returns, outlives a new control, and is taken back
// by hand or by its time; each changes the serial, and the node never goes away.
func TestProofsForCertificates(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.restart(func(text string) string {
		for i := range 70 {
			text = strings.Replace(text, "records: |\n", fmt.Sprintf("records: |\n      _acme-challenge.n%d IN TXT \"-\"\n", i), 1)
		}
		return text
	})
	b.ready()
	ctx := t.Context()
	const at, own = "_acme-challenge.shop.example.com.", "lifeboat puts the proofs of certificates here"
	b.proofs(at, own)
	first := b.serial("shop.example.com.")
	c, err := b.eng.PutChallenge(ctx, "shop.example.com", []string{"one", "two"}, time.Hour)
	must(t, err)
	if c.Name != at || !slices.Equal(c.Values, []string{"one", "two"}) {
		t.Errorf("put: %+v", c)
	}
	b.proofs(at, own, "one", "two")
	second := b.serial("shop.example.com.")
	if second == first {
		t.Errorf("the serial is still %d", first)
	}
	b.restart(nil)
	b.ready()
	b.eventually("the new control knows the proofs", func() bool {
		list, err := b.eng.Challenges(ctx)
		return err == nil && len(list) == 1 && len(list[0].Values) == 2
	})
	must(t, b.eng.DropChallenge(ctx, "*.shop.example.com", []string{"one"}))
	b.proofs(at, own, "two")
	must(t, b.eng.DropChallenge(ctx, at, []string{"one"}))
	must(t, b.eng.DropChallenge(ctx, at, nil))
	b.proofs(at, own)
	_, err = b.eng.PutChallenge(ctx, at, []string{"brief"}, time.Second)
	must(t, err)
	held := b.serial("shop.example.com.")
	b.eventually("it is over by itself", func() bool { return len(b.texts(at)) == 1 })
	b.eventually("and secondaries can see it", func() bool { return b.serial("shop.example.com.") != held })
	if list, err := b.eng.Challenges(ctx); err != nil || len(list) != 0 {
		t.Errorf("what is over is listed: %v, %v", list, err)
	}
	b.refusesProofs(ctx, at)
	long := func(c string) []string { return []string{strings.Repeat(c, 250)} }
	var last error
	for i := range 70 { // on more names than the manifest has room for
		_, last = b.eng.PutChallenge(ctx, fmt.Sprintf("n%d.shop.example.com", i), long("x"), time.Minute)
		if last != nil {
			break
		}
	}
	if fault.KindOf(last) != fault.Invalid {
		t.Errorf("a heap of proofs: %v", last)
	}
}

func (b *boat) refusesProofs(ctx context.Context, at string) {
	b.t.Helper()
	var many []string
	for i := range 17 {
		many = append(many, fmt.Sprint(i))
	}
	for about, tt := range map[string]struct {
		name   string
		values []string
		ttl    time.Duration
		kind   fault.Kind
	}{
		"not ours":     {"www.example.org", []string{"x"}, time.Minute, fault.NotFound},
		"no node":      {"nothing.shop.example.com", []string{"x"}, time.Minute, fault.NotFound},
		"too many":     {at, many, time.Minute, fault.Invalid},
		"too long":     {at, []string{strings.Repeat("x", 256)}, time.Minute, fault.Invalid},
		"for too long": {at, []string{"x"}, 25 * time.Hour, fault.Invalid},
		"for no time":  {at, []string{"x"}, 0, fault.Invalid},
		"none":         {at, nil, time.Minute, fault.Invalid},
	} {
		if _, err := b.eng.PutChallenge(ctx, tt.name, tt.values, tt.ttl); fault.KindOf(err) != tt.kind {
			b.t.Errorf("%s: %v", about, err)
		}
	}
}

// proofs fails the test where a name's texts are others.
func (b *boat) proofs(name string, want ...string) {
	b.t.Helper()
	if got := b.texts(name); !slices.Equal(got, want) {
		b.t.Errorf("%s gives out %q, want %q", name, got, want)
	}
}

// serial is what the name server gives a zone.
func (b *boat) serial(apex string) uint32 {
	b.t.Helper()
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(apex, dns.TypeSOA), b.dns.String())
	must(b.t, err)
	for _, rr := range m.Answer {
		if soa, is := rr.(*dns.SOA); is {
			return soa.Serial
		}
	}
	return 0
}

// texts are the TXT records of a name, in order of their text.
func (b *boat) texts(name string) []string {
	b.t.Helper()
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), b.dns.String())
	must(b.t, err)
	var out []string
	for _, rr := range m.Answer {
		if txt, is := rr.(*dns.TXT); is {
			out = append(out, strings.Join(txt.Txt, ""))
		}
	}
	slices.Sort(out)
	return out
}
