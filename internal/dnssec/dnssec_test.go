package dnssec

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/zone"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pack(t testing.TB, name string) string {
	t.Helper()
	wire, err := zone.Pack(name)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// The order of names is that of the example of RFC 4034 section 6.1.
func TestOrderOfRFC4034(t *testing.T) {
	t.Parallel()
	names := []string{"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	for i, a := range names {
		for j, b := range names {
			got := bytes.Compare(Order(nil, pack(t, a)), Order(nil, []byte(pack(t, b))))
			if want := min(max(i-j, -1), 1); got != want {
				t.Errorf("%s and %s: %d, want %d", a, b, got, want)
			}
		}
	}
	if long := strings.Repeat("\x01\x00", 127) + "\x00"; len(Order(nil, long)) > MaxOrder {
		t.Errorf("a name of %d octets takes %d, %d are the most", len(long), len(Order(nil, long)), MaxOrder)
	}
}

// keyOf4034 is that of the examples of RFC 4034 section 5.4 and RFC 4509 section 2.3.
const keyOf4034 = "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw=="

// keyOf6605 is that of the example of RFC 6605 section 6.1.
const keyOf6605 = "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA=="

func TestTagsAndDigests(t *testing.T) {
	t.Parallel()
	point := [64]byte(must(base64.StdEncoding.DecodeString(keyOf6605)))
	for _, c := range []struct {
		apex, source string
		key          []byte
		tag          uint16
		digest       string
	}{
		{"dskey.example.com.", "RFC 4509 section 2.3", append([]byte{1, 0, 3, 5}, must(base64.StdEncoding.DecodeString(keyOf4034))...), 60485, "D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A"},
		{"example.net.", "RFC 6605 section 6.1", KeyData(point), 55648, "B4C8C1FE2E7477127B27115656AD6256F424625BF5C1E2770CE6D6E37DF61D17"},
	} {
		if got := Tag(c.key); got != c.tag {
			t.Errorf("%s: tag %d, want %d", c.source, got, c.tag)
		}
		ds := DS(pack(t, c.apex), c.key)
		if got := strings.ToUpper(hex.EncodeToString(ds[4:])); got != c.digest {
			t.Errorf("%s: digest %s, want %s", c.source, got, c.digest)
		}
		if want := fmt.Sprintf("%d 13 2 %s", c.tag, c.digest); DSText(ds) != want {
			t.Errorf("%s: %s, want %s", c.source, DSText(ds), want)
		}
	}
}

// What is signed is what others sign: the signature of RFC 6605 section 6.1 holds for it.
func TestMessageOfRFC6605(t *testing.T) {
	t.Parallel()
	point := must(base64.StdEncoding.DecodeString(keyOf6605))
	public := must(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, point...)))
	at := func(text string) uint32 { return uint32(must(time.Parse("20060102150405", text)).Unix()) }
	s := Signature{Tag: 55648, Inception: at("20100812100439"), Expiration: at("20100909100439"),
		Sign: [64]byte(must(base64.StdEncoding.DecodeString("qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==")))}
	set := Set{Owner: pack(t, "www.example.net."), Type: typeA, TTL: 3600, Data: [][]byte{{192, 0, 2, 1}}}
	holds := func(set Set) bool {
		sum := sha256.Sum256(s.Message(set, pack(t, "example.net.")))
		return ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(s.Sign[:32]), new(big.Int).SetBytes(s.Sign[32:]))
	}
	if !holds(set) {
		t.Error("the signature of the RFC does not hold")
	}
	for _, change := range []func(*Set){func(s *Set) { s.TTL-- }, func(s *Set) { s.Type++ }, func(s *Set) { s.Data = [][]byte{{192, 0, 2, 2}} }} {
		other := set
		if change(&other); holds(other) {
			t.Errorf("it holds for %+v, too", other)
		}
	}
}

// What is the same to a validator has the same ID, and nothing else has.
func TestIDs(t *testing.T) {
	t.Parallel()
	mx := func(names ...string) Set {
		s := Set{Owner: pack(t, "example.com."), Type: 15, TTL: 300}
		for _, n := range names {
			s.Data = append(s.Data, append([]byte{0, 10}, n...))
		}
		return s
	}
	same := mx("\x01a\x00", "\x01b\x00")
	for name, c := range map[string]struct {
		s    Set
		same bool
	}{
		"another order": {mx("\x01b\x00", "\x01a\x00"), true},
		"another case":  {mx("\x01A\x00", "\x01b\x00"), true},
		"one twice":     {mx("\x01a\x00", "\x01b\x00", "\x01A\x00"), true},
		"one less":      {mx("\x01a\x00"), false},
		"one more":      {mx("\x01a\x00", "\x01b\x00", "\x01c\x00"), false},
		"another TTL":   {Set{Owner: same.Owner, Type: 15, TTL: 299, Data: same.Data}, false},
		"another owner": {Set{Owner: pack(t, "example.net."), Type: 15, TTL: 300, Data: same.Data}, false},
		"another type":  {Set{Owner: same.Owner, Type: 16, TTL: 300, Data: same.Data}, false},
	} {
		if got := c.s.ID() == same.ID(); got != c.same {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Names in data are in lower case where RFC 4034 section 6.2 and RFC 6840 section 5.1
// say so, and nothing else is touched.
func TestCanonicalData(t *testing.T) {
	t.Parallel()
	const name = "\x01A\x02Bc\x00"
	lower := strings.ToLower(name)
	for _, c := range []struct {
		typ        uint16
		data, want string
	}{
		{2, name, lower}, {5, name, lower}, {12, name, lower}, {39, name, lower}, {15, "\x00\x0A" + name, "\x00\x0A" + lower},
		{6, name + name + "ABCDEFGHIJKLMNOPQRST", lower + lower + "ABCDEFGHIJKLMNOPQRST"}, {17, name + name, lower + lower},
		{33, "ABCDEF" + name, "ABCDEF" + lower}, {26, "AB" + name + name, "AB" + lower + lower},
		{35, "ABCD\x01X\x01Y\x00" + name, "ABCD\x01X\x01Y\x00" + lower},
		{16, "\x03ABC", "\x03ABC"}, {47, name + "\x00\x01\x40", name + "\x00\x01\x40"}, {64, "\x00\x01" + name, "\x00\x01" + name}, {65280, name, name},
		{15, "\x00", "\x00"}, {2, "\x05A", "\x05A"}, {35, "ABCD\xFF", "ABCD\xFF"}, // cut short: left as it is
	} {
		if got := string(canonical(c.typ, []byte(c.data))); got != c.want {
			t.Errorf("type %d: %q, want %q", c.typ, got, c.want)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{".": 0, "*.": 0, "com.": 1, "*.example.com.": 2, "www.example.com.": 3, "a.*.example.com.": 4} {
		if got := Labels(pack(t, name)); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// The bitmap is that of the example of RFC 4034 section 4.3.
func TestBitmap(t *testing.T) {
	t.Parallel()
	want := append([]byte{0, 6, 0x40, 1, 0, 0, 0, 3, 4, 0x1B}, make([]byte, 26)...)
	if got := bitmap([]uint16{1, 15, 46, 47, 1234}); !bytes.Equal(got, append(want, 0x20)) {
		t.Errorf("% x", got)
	}
	if got := bitmap(nil); len(got) != 0 {
		t.Errorf("of nothing: % x", got)
	}
	if got := bitmap([]uint16{0xFFFF}); !bytes.Equal(got, append(append([]byte{0xFF, 32}, make([]byte, 31)...), 1)) {
		t.Errorf("the last: % x", got)
	}
}

// Of zones made by chance each NSEC record names the next name and the types that are
// there, at every position that a site can take, and the chain closes.
func TestChain(t *testing.T) {
	t.Parallel()
	sites := map[string]zone.Positions{"shop": {
		"main":    {IPs: []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")}},
		"backup":  {IPs: []netip.Addr{netip.MustParseAddr("203.0.113.20")}},
		"standby": {Alias: "edge.example.net."},
	}}
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		text := "$TTL 300\n@ IN SOA ns h 7 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.53\n"
		for range 20 {
			labels := []string{}
			for range 1 + random.IntN(3) {
				labels = append(labels, []string{"a", "b", `\000`, `\200`, "*", "zz", "Zb"}[random.IntN(7)])
			}
			name := strings.Join(labels, ".")
			text += fmt.Sprintf("%s IN %s\n", name, []string{"A 192.0.2.1", "TXT x", "AAAA 2001:db8::1", "MX 10 ns", "TYPE65280 \\# 1 00"}[random.IntN(5)])
		}
		text += "cut IN NS ns.cut\nns.cut IN A 192.0.2.54\ncut IN DS 1 13 2 " + strings.Repeat("00", 32) + "\n"
		z, err := zone.Parse(zone.Source{Apex: "example.com.", Text: text, TTL: 60, Follow: map[string]string{"follows.example.com.": "shop"}})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for position := range sites["shop"] {
			if err := walk(z, sites, position); err != nil {
				t.Errorf("seed %d, at %s: %v\n%s", seed, position, err, text)
			}
		}
	}
}

// walk follows the chain at a position. Names and types are found by the zone's records
// alone, and ordered by their labels.
func walk(z *zone.Zone, sites map[string]zone.Positions, position string) error {
	types := map[string][]uint16{}
	for _, r := range z.Records() {
		if !r.Glue {
			types[r.Owner] = append(types[r.Owner], r.Type)
		}
	}
	for _, f := range z.Follow() {
		for _, s := range Answers(f, sites[f.Site][position]) {
			types[f.Owner] = append(types[f.Owner], s.Type)
		}
	}
	var owners []string
	for owner := range types {
		owners = append(owners, owner)
	}
	slices.SortFunc(owners, func(a, b string) int { return slices.Compare(reversed(a), reversed(b)) })
	chain := map[string][]byte{}
	for item := range Items(z, sites) {
		if item.Type != TypeNSEC || item.Position != "" && item.Position != position {
			continue
		}
		if chain[item.Owner] != nil {
			return fmt.Errorf("%q is twice in the chain", item.Owner)
		}
		if item.TTL != 60 {
			return fmt.Errorf("TTL %d of the denial", item.TTL)
		}
		chain[item.Owner] = item.Data[0]
	}
	if len(chain) != len(owners) {
		return fmt.Errorf("%d names in the chain, want %d", len(chain), len(owners))
	}
	for i, owner := range owners {
		all := append(types[owner], TypeRRSIG, TypeNSEC)
		slices.Sort(all)
		want := append([]byte(owners[(i+1)%len(owners)]), bitmap(slices.Compact(all))...)
		if !bytes.Equal(chain[owner], want) {
			return fmt.Errorf("%q: %q, want %q", owner, chain[owner], want)
		}
	}
	return nil
}

// reversed are a name's labels, the last first.
func reversed(name string) (labels []string) {
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		labels = append([]string{name[i+1 : i+1+int(name[i])]}, labels...)
	}
	return labels
}

// At each step of a roll-over the key that signs stands in the zone, and so does the one
// that the parent is to point at; the step after it brings no key that caches can't know.
func TestRoles(t *testing.T) {
	t.Parallel()
	steps := []Step{Calm, Publish, AwaitDS, Spread, Switch}
	for i, step := range steps {
		r := Roll{Step: step}.Roles()
		if !slices.Contains(r.Keys, r.Signs) || !slices.Contains(r.Keys, r.Parent) {
			t.Errorf("%q: %+v", step, r)
		}
		if i == 0 {
			continue
		}
		if before := (Roll{Step: steps[i-1]}).Roles(); i > 1 && !slices.Contains(before.Keys, r.Signs) {
			t.Errorf("%q signs with a key that nobody knew before: %+v after %+v", step, r, before)
		}
		if (Roll{Step: step}).Words() == (Roll{}).Words() {
			t.Errorf("%q says nothing of itself", step)
		}
	}
}

func TestBook(t *testing.T) {
	t.Parallel()
	entry := func(id, tag byte, ends uint32, sign byte) Entry {
		e := Entry{ID: ID{id}, Signature: Signature{Tag: uint16(tag), Expiration: ends}}
		e.Sign[0] = sign
		return e
	}
	b := NewBook([]Entry{entry(3, 1, 30, 1), entry(1, 2, 20, 1), entry(1, 1, 10, 1), entry(3, 1, 40, 2)})
	if got := b.Find(ID{1}); len(got) != 2 || got[0].Tag != 1 || got[1].Tag != 2 {
		t.Errorf("of the first: %+v", got)
	}
	if got := b.Find(ID{3}); len(got) != 1 || got[0].Sign[0] != 2 {
		t.Errorf("of what was signed twice the last counts: %+v", got)
	}
	if got := b.Find(ID{2}); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
	if at, any := b.Expires(); !any || at.Unix() != 10 {
		t.Errorf("ends at %s", at)
	}
	other := NewBook([]Entry{entry(1, 1, 10, 1), entry(1, 2, 20, 9), entry(4, 1, 30, 1)})
	for more, want := range map[int]bool{0: true, 3: true, 4: false} { // one changed, one gone, one new
		if b.Differs(other, more) != want || other.Differs(b, more) != want {
			t.Errorf("more than %d: %t", more, !want)
		}
	}
	if b.Differs(b, 0) || !b.Differs(Book{}, 2) || b.Differs(Book{}, 3) || (Book{}).Differs(Book{}, 0) {
		t.Error("of a book with itself, or with nothing")
	}
}
