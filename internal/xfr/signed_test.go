package xfr

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	maker "lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// A secondary of a signed zone has what verifies, at each position, of a share as of all,
// and with proofs or without, whether it gets the zone whole or as differences.
func TestSignedZoneForSecondaries(t *testing.T) {
	t.Parallel()
	z := parse(t, apex, "*.wild IN TXT \"x\"\nsub IN NS ns.elsewhere.example.\n_acme-challenge IN TXT own\n")
	key, err := maker.NewKey(time.Now())
	must(t, err)
	keys := maker.Keys{Keys: []*maker.Key{key}}
	signed, _, err := keys.Sign(maker.Wanted{Zone: z, Sites: positions(), Serial: 1}, dnssec.Zone{}, time.Now())
	must(t, err)
	given := Sign(z, positions(), signed)
	const name = "_acme-challenge." + apex
	proofs := map[int][]string{1: {"two", "one"}, 2: {"two"}, 3: {"unsigned"}}
	verify, err := exec.LookPath("dnssec-verify")
	if err != nil {
		t.Skip("SKIP-LOUD: there is no dnssec-verify here; install it with: make deps")
	}
	var h *history
	var versions []*version
	for i, position := range []string{"main", "backup", "standby", "cdn", "main"} {
		orders := ordered(position, uint32(1+i))
		if i < 3 { // the next serials are signed, and the proofs of now
			w := maker.Wanted{Zone: z, Sites: positions(), Serial: uint32(1 + i), Proofs: map[string][]string{name: proofs[i]}}
			signed, _, err = keys.Ahead(w, signed, time.Now())
			must(t, err)
			given = given.Ahead(signed)
		}
		orders.Challenges = map[string]authdns.Challenge{name: {Values: proofs[i], Until: time.Now().Add(time.Hour)}}
		if i%2 == 1 {
			orders.Share = map[string]authdns.Share{"shop": {Position: "main", Percent: 30}}
		}
		if i == 2 {
			orders.TTLCap = map[string]uint32{"shop": 5}
		}
		v := Zones{Positions: positions(), Orders: orders, Signed: map[string]*Signed{apex: given}}.version(z, headOf(z))
		next, why := h.next(v)
		if why != "" {
			t.Fatal(why)
		}
		h, versions = next, append(versions, v)
		var b strings.Builder
		fmt.Fprintln(&b, v.soa())
		for r := range v.records() {
			fmt.Fprintln(&b, r)
		}
		want := map[int]int{1: 3, 2: 2}[i] // of one that is not signed, and of none, its own alone
		if n := strings.Count(b.String(), "\n"+name+"\t"); n != max(want, 1)+3 {
			t.Errorf("%s: %d records at %s, want %d and three of signing\n%s", position, n, name, max(want, 1), b.String())
		}
		file := filepath.Join(t.TempDir(), "zone")
		must(t, os.WriteFile(file, []byte(b.String()), 0o600))
		if i == 2 { // resolvers take a TTL below the signed one, and this tool does not
			continue
		}
		if said, err := exec.Command(verify, "-z", "-o", apex, file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", position, err, said, b.String())
		}
		for _, old := range versions[:i] {
			steps, ok := h.since(old.serial)
			if !ok {
				t.Fatalf("no way from %d", old.serial)
			}
			have := &copied{serial: old.serial, records: append([]zone.Record{old.soa()}, slices.Collect(old.records())...)}
			in := &incoming{o: FetchOptions{Apex: apex}, have: have}
			for r := range differences(v, steps) {
				must(t, in.next(r))
			}
			got, err := in.checked("test")
			must(t, err)
			want := all(v)
			if !slices.EqualFunc(got.records[1:], want, func(a, b zone.Record) bool { return sameData(a, b) && a.TTL == b.TTL }) {
				t.Errorf("from %d to %d: %d records, want %d", old.serial, v.serial, len(got.records)-1, len(want))
			}
		}
	}
}
