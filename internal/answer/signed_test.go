package answer

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/signer"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// given is the shop's zone as any secondary gets it whole, without the SOA at the end.
func (r *rig) given() []dns.RR {
	r.t.Helper()
	tr := dns.Transfer{TsigSecret: map[string]string{"ns2.example.": base64.StdEncoding.EncodeToString(transferKey().Secret)}}
	q := new(dns.Msg).SetAxfr(apex)
	q.SetTsig("ns2.example.", dns.HmacSHA256, 300, r.clock.now().Unix())
	in, err := tr.In(q, r.ns)
	must(r.t, err)
	var all []dns.RR
	for e := range in {
		must(r.t, e.Error)
		all = append(all, e.RR...)
	}
	return all[:len(all)-1]
}

// verified is a zone as a secondary has it: each of its sets has a signature that holds,
// and what there is at a name is what its NSEC record says. It gives the data of a name's
// type.
func verified(t *testing.T, about string, all []dns.RR) (data func(name string, typ uint16) []string) {
	t.Helper()
	sets, sigs := map[string][]dns.RR{}, map[string][]*dns.RRSIG{}
	at := func(name string, typ uint16) string { return strings.ToLower(name) + " " + dns.TypeToString[typ] }
	var keys []*dns.DNSKEY
	for _, rr := range all {
		switch rr := rr.(type) {
		case *dns.RRSIG:
			k := at(rr.Hdr.Name, rr.TypeCovered)
			sigs[k] = append(sigs[k], rr)
			continue
		case *dns.DNSKEY:
			keys = append(keys, rr)
		}
		k := at(rr.Header().Name, rr.Header().Rrtype)
		sets[k] = append(sets[k], rr)
	}
	if len(keys) != 1 {
		t.Fatalf("%s: %d keys in %v", about, len(keys), all)
	}
	for k, set := range sets {
		if len(sigs[k]) != 1 {
			t.Errorf("%s: %d signatures over %s", about, len(sigs[k]), k)
		}
		for i, rr := range set {
			for _, other := range set[:i] {
				if dns.IsDuplicate(rr, other) {
					t.Errorf("%s: %s is there twice", about, rr)
				}
			}
		}
		nsec, is := set[0].(*dns.NSEC)
		if !is {
			continue
		}
		for _, typ := range nsec.TypeBitMap {
			if typ != dns.TypeRRSIG && len(sets[at(nsec.Hdr.Name, typ)]) == 0 {
				t.Errorf("%s: %s tells of what is not there", about, nsec)
			}
		}
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeTXT} {
			if len(sets[at(nsec.Hdr.Name, typ)]) > 0 && !slices.Contains(nsec.TypeBitMap, typ) {
				t.Errorf("%s: %s lacks %s", about, nsec, dns.TypeToString[typ])
			}
		}
	}
	for k, over := range sigs {
		for _, sig := range over {
			if len(sets[k]) == 0 || sig.Verify(keys[0], sets[k]) != nil {
				t.Errorf("%s: %s does not hold over %v", about, sig, sets[k])
			}
		}
	}
	return func(name string, typ uint16) (out []string) {
		for _, rr := range sets[at(name, typ)] {
			switch rr := rr.(type) {
			case *dns.A:
				out = append(out, rr.A.String())
			case *dns.AAAA:
				out = append(out, rr.AAAA.String())
			case *dns.CNAME:
				out = append(out, rr.Target)
			case *dns.TXT:
				out = append(out, rr.Txt...)
			}
		}
		slices.Sort(out)
		return out
	}
}

// Secondaries of a signed zone have what is answered to whoever is not known: of a share
// the safer position, with its signatures and no others, and the proofs that are given
// out. Whatever comes, no serial names two zones, and none goes back.
func TestSecondariesOfASignedZone(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	key, err := signer.NewKey(time.Now())
	must(t, err)
	keys := signer.Keys{Keys: []*signer.Key{key}}
	const www, proofs = "www." + apex, "_acme-challenge.shop.example.com."
	var before dnssec.Zone
	revision, ordered := uint64(0), uint32(100)
	takes := func(m snapshot.SiteOrder, values ...string) {
		t.Helper()
		revision++
		r.takes(order(t, 1, revision, "main", giving("127.0.0.1:9"), func(man *snapshot.Manifest, c *snapshot.Contents) {
			man.Sites["shop"], man.Serials[apex] = m, ordered
			c.Sites[0].Positions["cdn"] = zone.Addresses{Alias: "shop.cdn.example.net."}
			c.Sites[0].Positions["main"] = at(mainIP, "2001:db8::10", "::ffff:"+mainIP)
			c.Sites[0].Places = append(c.Sites[0].Places, "cdn")
			c.Zones[0].DNSSEC, c.Zones[0].Challenges, c.Zones[0].Follow = true, []string{apex}, map[string]string{www: "shop"}
			z, err := zone.Parse(c.Zones[0])
			must(t, err)
			made, _, err := keys.Sign(signer.Wanted{Zone: z, Sites: positionsOf(*c), Serial: ordered, Proofs: map[string][]string{proofs: values}}, before, time.Now())
			must(t, err)
			c.Signed, before = []dnssec.Zone{made}, made
			if len(values) > 0 {
				man.Challenges = map[string]snapshot.Challenge{proofs: {Values: values, Until: r.clock.now().Add(time.Minute)}}
			}
		}))
	}
	seen := map[uint32]string{}
	var last uint32
	looks := func(what string, changed bool, want map[uint16][]string, texts ...string) {
		t.Helper()
		all := r.given()
		serial := all[0].(*dns.SOA).Serial
		var lines []string
		for _, rr := range all {
			lines = append(lines, rr.String())
		}
		slices.Sort(lines)
		body := strings.Join(lines, "\n")
		if known, ok := seen[serial]; ok && known != body {
			t.Errorf("%s: serial %d was\n%s\nand is\n%s", what, serial, known, body)
		}
		if serial != last && last != 0 && !zone.SerialNewer(serial, last) || changed && serial == last {
			t.Errorf("%s: the serial went from %d to %d", what, last, serial)
		}
		if r.serial() != serial {
			t.Errorf("%s: %d is answered, %d was given", what, r.serial(), serial)
		}
		seen[serial], last = body, serial
		data := verified(t, what, all)
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME} {
			if got := data(www, typ); !slices.Equal(got, want[typ]) {
				t.Errorf("%s: %s %v, want %v", what, dns.TypeToString[typ], got, want[typ])
			}
		}
		if got := data(proofs, dns.TypeTXT); !slices.Equal(got[1:], texts) {
			t.Errorf("%s: proofs %q, want %q", what, got, texts)
		}
	}
	to := func(position, other string, percent int) snapshot.SiteOrder {
		o := snapshot.SiteOrder{Position: position}
		if other != "" {
			o.Share = &snapshot.Share{Position: other, Percent: percent}
		}
		return o
	}
	home := map[uint16][]string{dns.TypeA: {mainIP}, dns.TypeAAAA: {netip.MustParseAddr("2001:db8::10").String()}}
	safe, cdn, backup := map[uint16][]string{dns.TypeA: {standbyIP}}, map[uint16][]string{dns.TypeCNAME: {"shop.cdn.example.net."}}, map[uint16][]string{dns.TypeA: {backupIP}}
	takes(to("main", "", 0))
	looks("at home", true, home)
	takes(to(snapshot.Standby, "", 0))
	looks("at the standby", true, safe)
	takes(to(snapshot.Standby, "main", 10))
	looks("a share goes home", false, safe)
	takes(to(snapshot.Standby, "main", 50), "one", "two")
	looks("more, and proofs", true, safe, "one", "two")
	takes(to("main", snapshot.Standby, 50), "two")
	looks("the same said the other way round, and one proof less", true, safe, "two")
	r.clock.ahead(2 * time.Minute)
	r.renderSoon()
	r.eventually("the proof is over", func() bool { return r.serial() != last })
	looks("the proof is over", true, safe)
	takes(to("main", "", 0))
	looks("all at home", true, home)
	takes(to("backup", "cdn", 30))
	looks("a share of an alias", true, backup)
	takes(to("cdn", "main", 30))
	looks("the alias is the safer", true, cdn)
	if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); !rep.OK {
		t.Fatal(rep.Err)
	}
	looks("by hand, for everybody", true, safe)
	ordered = 102
	takes(to("cdn", "main", 30))
	looks("signed from an older serial on", false, safe)
	ordered = last + 1000
	takes(to("cdn", "main", 30))
	looks("signed from a newer serial on", true, safe)
	r = r.again()
	looks("after a restart", false, safe)
}
