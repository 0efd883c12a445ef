package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

const sample = `
$TTL 300
@ 3600 IN SOA Ns1 hostmaster 7 3600 600 1209600 60
@ IN NS ns1
@ IN NS ns2.Elsewhere.example.
@ IN MX 10 Mail
@ IN TXT "v=spf1 -all"
ns1 IN A 192.0.2.53
mail IN A 192.0.2.25
mail IN AAAA 2001:db8::25
a.b.ent IN A 192.0.2.79
*.wild IN A 192.0.2.77
old IN DNAME New
alias IN CNAME Mail
sub IN NS ns.sub
sub IN DS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132
ns.sub IN A 192.0.2.54
side IN NS ns1
sip IN SRV 0 1 5060 Mail
ptr IN NAPTR 100 50 "s" "http+I2L+I2C+I2R" "" _http._tcp.Elsewhere.example.
rp IN RP Admin.elsewhere.example. Text
o\.d\000d IN TXT "odd"
ca IN CAA 0 issue "letsencrypt.org"
web IN HTTPS 1 . alpn=h2
x IN TYPE65280 \# 3 010203
`

var now = time.Now().Truncate(time.Second)

func parse(t testing.TB, text string) *zone.Zone {
	t.Helper()
	z, err := zone.Parse(zone.Source{Apex: "example.com.", File: "test.zone", TTL: 60, Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func newKeys(t testing.TB) Keys {
	t.Helper()
	key, err := NewKey(now)
	if err != nil {
		t.Fatal(err)
	}
	return Keys{Keys: []*Key{key}}
}

func sign(t testing.TB, k Keys, w Wanted, before dnssec.Zone, at time.Time) (dnssec.Zone, int) {
	t.Helper()
	signed, made, err := k.Sign(w, before, at)
	if err != nil {
		t.Fatal(err)
	}
	return signed, made
}

// TestOthersVerify has three other implementations read and verify signed zones, in
// each step of a roll-over.
func TestOthersVerify(t *testing.T) {
	t.Parallel()
	z := parse(t, sample)
	rolling, err := newKeys(t).Begin(now)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []dnssec.Step{dnssec.Calm, dnssec.Publish, dnssec.AwaitDS, dnssec.Spread, dnssec.Switch} {
		k := rolling
		if k.Roll.Step = step; step == dnssec.Calm {
			k.Keys = k.Keys[:1]
		}
		signed, _ := sign(t, k, Wanted{Zone: z, Serial: 7}, dnssec.Zone{}, now)
		file := filepath.Join(t.TempDir(), "signed.zone")
		if err := os.WriteFile(file, []byte(Text(z, signed, 7)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{
			{"dnssec-verify", "-z", "-o", "example.com.", file},
			{"named-checkzone", "-i", "none", "example.com.", file},
			{"ldns-verify-zone", file},
		} {
			path, err := exec.LookPath(command[0])
			if err != nil {
				t.Skipf("SKIP-LOUD: there is no %s here; install it with: make deps", command[0])
			}
			if said, err := exec.Command(path, command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("step %q: %s: %v\n%s", step, command[0], err, said)
			}
		}
	}
}

// TestEverySetVerifies holds every signature against another implementation.
func TestEverySetVerifies(t *testing.T) {
	t.Parallel()
	z, k := parse(t, sample), newKeys(t)
	signed, made := sign(t, k, Wanted{Zone: z, Serial: 7}, dnssec.Zone{}, now)
	if made != signed.Sets.Len()+signed.SOA.Len() || signed.SOA.Len() != dnssec.SerialsAhead {
		t.Errorf("%d made, %d and %d kept", made, signed.Sets.Len(), signed.SOA.Len())
	}
	key := rr(t, dnssec.Set{Owner: z.ApexWire(), Type: dnssec.TypeDNSKEY, TTL: keyTTL, Data: [][]byte{k.Keys[0].Data()}})[0].(*dns.DNSKEY)
	if key.KeyTag() != k.Keys[0].Tag() {
		t.Errorf("tag %d, want %d", k.Keys[0].Tag(), key.KeyTag())
	}
	if got, want := dnssec.DSText(dnssec.DS(z.ApexWire(), k.Keys[0].Data())), key.ToDS(dns.SHA256); !strings.EqualFold(got, fmt.Sprintf("%d %d %d %s", want.KeyTag, want.Algorithm, want.DigestType, want.Digest)) {
		t.Errorf("DS %s, want %s", got, want)
	}
	sets := []dnssec.Set{dnssec.SOA(z, 7), dnssec.SOA(z, 262)}
	for item := range dnssec.Items(dnssec.Extend(z, signed.Records), nil) {
		sets = append(sets, item.Set)
	}
	for _, set := range sets {
		found := append(signed.Sets.Find(set.ID()), signed.SOA.Find(set.ID())...)
		if len(found) != 1 {
			t.Fatalf("%s %d has %d signatures", zone.Unpack(set.Owner), set.Type, len(found))
		}
		sig := rr(t, dnssec.Set{Owner: set.Owner, Type: dnssec.TypeRRSIG, TTL: set.TTL, Data: [][]byte{found[0].Data(set, z.ApexWire())}})[0].(*dns.RRSIG)
		if err := sig.Verify(key, rr(t, set)); err != nil || !sig.ValidityPeriod(now) {
			t.Errorf("%s: %v", sig, err)
		}
		set.TTL++
		if len(signed.Sets.Find(set.ID())) > 0 {
			t.Errorf("%s %d: a signature is found for another TTL", zone.Unpack(set.Owner), set.Type)
		}
	}
}

// rr reads a set with the wire library.
func rr(t testing.TB, set dnssec.Set) (out []dns.RR) {
	t.Helper()
	for _, data := range set.Data {
		line := zone.Record{Owner: set.Owner, Type: set.Type, TTL: set.TTL, Data: data}.String()
		r, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

func TestOnlyWhatIsMissingIsSigned(t *testing.T) {
	t.Parallel()
	z, k := parse(t, sample), newKeys(t)
	w := Wanted{Zone: z, Serial: 7}
	first, all := sign(t, k, w, dnssec.Zone{}, now)
	for _, c := range []struct {
		name string
		w    Wanted
		at   time.Time
		made int
	}{
		{"nothing", w, now, 0},
		{"a serial further", Wanted{Zone: z, Serial: 10}, now, 3},
		{"before half the time", w, now.Add(dnssec.Validity - dnssec.Renewal - time.Minute), 0},
		{"the clock was an hour ahead, and more", w, now.Add(-time.Minute - dnssec.Backdate), all},
		{"past half the time", w, now.Add(dnssec.Validity - dnssec.Renewal + time.Minute), all},
		{"one record more at a name", Wanted{Zone: parse(t, sample+"mail IN A 192.0.2.26\n"), Serial: 7}, now, 1},
		{"a name more", Wanted{Zone: parse(t, sample+"mailer IN A 192.0.2.26\n"), Serial: 7}, now, 3}, // its set, its NSEC, and that before
	} {
		if _, made := sign(t, k, c.w, first, c.at); made != c.made {
			t.Errorf("%s: %d signatures made, want %d", c.name, made, c.made)
		}
	}
	_, made, err := k.Ahead(Wanted{Zone: z, Serial: 20}, first, now)
	if err != nil || made != 13 {
		t.Errorf("ahead: %d made, %v", made, err)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	k, made, err := f.LoadOrMake("example.com.", now)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if k, err = k.Begin(now); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Begin(now); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second roll-over: %v", err)
	}
	if err := f.Save("example.com.", k); err != nil {
		t.Fatal(err)
	}
	back, made, err := f.LoadOrMake("example.com.", now)
	if err != nil || made || len(back.Keys) != 2 || back.Roll.Step != dnssec.Publish || back.Keys[1].Tag() != k.Keys[1].Tag() {
		t.Errorf("%v %v %v", back, made, err)
	}
	info, err := os.Stat(filepath.Join(dir, "example.com.keys"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "example.com.keys"), []byte(`{"apex":"example.com.","keys":[{"private":"c2VjcmV0"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.LoadOrMake("example.com.", now); fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("a broken file: %v", err)
	}
	if _, err := f.Load("../../etc/passwd"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a name that is a path: %v", err)
	}
}

// TestRollOver walks through a roll-over by its clock.
func TestRollOver(t *testing.T) {
	t.Parallel()
	const apex = "\x07example\x03com\x00"
	k, err := newKeys(t).Begin(now)
	if err != nil {
		t.Fatal(err)
	}
	next := dnssec.DS(apex, k.Keys[1].Data())
	other := dnssec.DS(apex, k.Keys[0].Data())
	there := dnssec.Facts{Longest: 2 * time.Hour, Asked: true, DS: [][]byte{other, next}, DSTTL: 24 * time.Hour}
	still := there
	still.DS = [][]byte{other}
	unasked := there
	unasked.Asked = false
	incident := there
	incident.Incident = true
	at := now
	for _, c := range []struct {
		after time.Duration
		facts dnssec.Facts
		want  dnssec.Step
	}{
		{time.Hour, there, dnssec.Publish}, // the keys' TTL and the margin are not over
		{time.Hour, incident, dnssec.Publish},
		{time.Minute, there, dnssec.AwaitDS},
		{1000 * time.Hour, still, dnssec.AwaitDS},
		{0, unasked, dnssec.AwaitDS},
		{0, incident, dnssec.AwaitDS},
		{0, there, dnssec.Spread},
		{24 * time.Hour, there, dnssec.Spread},
		{time.Hour, there, dnssec.Switch},
		{2 * time.Hour, there, dnssec.Switch},
		{time.Hour, incident, dnssec.Switch},
		{0, there, dnssec.Calm},
		{1000 * time.Hour, there, dnssec.Calm},
	} {
		at = at.Add(c.after)
		if k, _ = k.Step(apex, c.facts, at); k.Roll.Step != c.want {
			t.Fatalf("%s after the begin: %q, want %q", at.Sub(now), k.Roll.Step, c.want)
		}
	}
	if len(k.Keys) != 1 || !bytes.Equal(dnssec.DS(apex, k.Keys[0].Data()), next) {
		t.Errorf("left: %v", k.Keys)
	}
}

// TestOrder holds our order of names against the definition (RFC 4034 section 6.1).
func TestOrder(t *testing.T) {
	t.Parallel()
	labels := []string{"\x00", "\x01", "\x00\x01", "*", "a", "aa", "ab", "b", "z", "\xff", "a\x00", "a\x01", ""}
	random := rand.New(rand.NewPCG(1, 2))
	name := func() (wire string, reversed []string) {
		for range random.IntN(4) {
			if l := labels[random.IntN(len(labels))]; l != "" {
				wire, reversed = wire+string(rune(len(l)))+l, append([]string{l}, reversed...)
			}
		}
		return wire + "\x00", reversed
	}
	for range 20000 {
		a, x := name()
		b, y := name()
		if got, want := bytes.Compare(dnssec.Order(nil, a), dnssec.Order(nil, []byte(b))), slices.Compare(x, y); got != want {
			t.Fatalf("%q and %q: %d, want %d", a, b, got, want)
		}
	}
}

func FuzzBook(f *testing.F) {
	k := newKeys(f)
	signed, _ := sign(f, k, Wanted{Zone: parse(f, sample), Serial: 7}, dnssec.Zone{}, now)
	text, err := signed.SOA.MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`"AAAA"`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var b dnssec.Book
		if err := b.UnmarshalJSON(text); err != nil {
			return
		}
		again, err := b.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var c dnssec.Book
		if err := c.UnmarshalJSON(again); err != nil || c.Len() != b.Len() {
			t.Fatalf("%v: %d and %d", err, b.Len(), c.Len())
		}
		b.Find(dnssec.ID{})
		b.Expires()
	})
}

// A zone whose key is gone goes on with the signatures that it has; no other key is
// made for it, which the parent would not know.
func TestAKeyThatIsGone(t *testing.T) {
	t.Parallel()
	f, err := OpenFolder(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *Signer {
		return New(Options{Folder: f, Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)})
	}
	j := Job{Zones: []zone.Source{{Apex: "example.com.", Text: sample, DNSSEC: true}, {Apex: "plain.example.", Text: "broken"}}, Serials: map[string]uint32{"example.com.": 7}}
	signed, changed, err := fresh().Sign(j)
	if err != nil || !changed || len(signed) != 1 {
		t.Fatal(changed, err)
	}
	if again, _, err := fresh().Sign(j); err != nil || !again[0].SameSets(signed[0]) {
		t.Errorf("the next start signs again: %v", err)
	}
	file := f.path("example.com.")
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s := fresh()
	for range 2 {
		left, _, err := s.Sign(j)
		if fault.KindOf(err) != fault.Invalid || len(left) != 1 || !left[0].SameSets(signed[0]) {
			t.Fatalf("%d zones, %v", len(left), err)
		}
	}
	if v := s.Zones(); len(v) != 1 || v[0].Until.IsZero() || s.Roll("example.com.") == nil {
		t.Errorf("%+v", v)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("another key was made")
	}
	if err := os.WriteFile(file, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	if back, _, err := s.Sign(j); err != nil || !back[0].SameSets(signed[0]) {
		t.Errorf("with the key put back: %v", err)
	}
}

// Whoever knows that a zone had a key keeps another from being made in silence: the
// record, answer, the parent, the kept signatures. A person may have one made.
func TestNoOtherKeyIsMadeInSilence(t *testing.T) {
	t.Parallel()
	const apex = "example.com."
	ds := func(there bool) LookUp {
		return func(context.Context, string) ([][]byte, time.Duration, bool) {
			return [][]byte{make([]byte, 36)}, time.Hour, there
		}
	}
	for name, c := range map[string]struct {
		had  string // what record or answer say
		ask  bool
		ds   LookUp
		lost string
	}{
		"nobody knows of one":       {},
		"the parent can't be asked": {ask: true, ds: ds(false)},
		"the parent is not asked":   {ds: ds(true)},
		"the record":                {had: "the record knows of key 7", lost: "key 7"},
		"the parent":                {ask: true, ds: ds(true), lost: "DS record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := OpenFolder(filepath.Join(t.TempDir(), "keys"))
			if err != nil {
				t.Fatal(err)
			}
			s := New(Options{Folder: f, Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler), DS: c.ds, AskFirst: c.ask})
			j := Job{Zones: []zone.Source{{Apex: apex, Text: sample, DNSSEC: true}}, Serials: map[string]uint32{apex: 7}, Had: map[string]string{apex: c.had}, Wait: true}
			if c.had == "" {
				if signed, _, err := s.Sign(j); err != nil || len(signed) > 0 || len(s.Zones()) > 0 {
					t.Fatalf("before anybody was heard: %d zones, %v", len(signed), err)
				}
			}
			j.Wait = false
			for range 2 {
				signed, _, err := s.Sign(j)
				if c.lost == "" {
					if err != nil || len(signed) != 1 {
						t.Fatalf("%d zones, %v", len(signed), err)
					}
					continue
				}
				if !errors.Is(err, ErrKeyLost) || !strings.Contains(err.Error(), c.lost) || len(signed) > 0 {
					t.Fatalf("%d zones, %v", len(signed), err)
				}
				if v := s.Zones(); len(v) != 1 || !strings.Contains(v[0].Says, "gone") {
					t.Fatalf("%+v", v)
				}
			}
			if c.lost == "" {
				return
			}
			if _, err := f.Load(apex); fault.KindOf(err) != fault.NotFound {
				t.Fatalf("a key was made: %v", err)
			}
			if _, err := f.New(apex, now); err != nil {
				t.Fatal(err)
			}
			if _, err := f.New(apex, now); fault.KindOf(err) != fault.Conflict {
				t.Errorf("a second one: %v", err)
			}
			if signed, _, err := s.Sign(j); err != nil || len(signed) != 1 || len(s.Zones()[0].Keys) != 1 {
				t.Errorf("after a person had one made: %d zones, %v", len(signed), err)
			}
		})
	}
}
