package xfr

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
)

// theirs is the zone as a primary has it.
func theirs(serial int, www string) string {
	return fmt.Sprintf("$TTL 300\n$ORIGIN %s\n@ IN SOA ns1.example.net. hostmaster.example.com. %d 3600 600 86400 60\n@ IN NS ns1.example.net.\nwww IN A %s\n", apex, serial, www) +
		strings.ReplaceAll(zoneBody, " IN ", " ")
}

// The zone of each primary comes in, and so does a change of it, once it is told by
// NOTIFY. What came last is answered still when the primary is gone.
func TestZonesComeIn(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			b := launch(t, false)
			p := start(t, k, setting{us: b.addr, text: theirs(2026010101, "203.0.113.10")})
			waitFor(t, k.name, p.addr, www, "203.0.113.10")
			setup := snapshot.Transfers{Keys: []snapshot.TSIGKey{key()}, In: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: p.addr, Key: keyName}}}}}
			b.xfr.Configure(setup)
			b.in.Configure(setup)
			waitFor(t, "lifeboat", b.addr, www, "203.0.113.10")
			for _, name := range []string{"h1999." + apex, "mail." + apex} {
				if got, _ := asked(b.addr, name); got == "" {
					t.Errorf("%s did not come", name)
				}
			}
			must(t, os.WriteFile(filepath.Join(p.dir, zoneFile), []byte(theirs(2026010102, "203.0.113.20")), 0o600))
			began := time.Now()
			if k.polls {
				reloadPowerDNS(t, p)
			} else {
				must(t, syscall.Kill(p.pid, syscall.SIGHUP))
			}
			waitFor(t, "lifeboat", b.addr, www, "203.0.113.20")
			t.Logf("%s: from the changed file to our answer %s; heard %d", k.name, time.Since(began).Round(time.Millisecond), b.xfr.Counts().Heard)
			if b.xfr.Counts().Heard == 0 {
				t.Error("no NOTIFY was taken")
			}
			z, err := xfr.Fetch(t.Context(), xfr.FetchOptions{Server: p.addr.String(), Apex: apex, Key: key(), Limit: limit, MaxBytes: 1 << 22})
			must(t, err)
			if z.Serial() != 2026010102 || len(z.Records()) != len(b.in.Zones()[0].Zone.Records()) {
				t.Errorf("serial %d with %d records; %d came in", z.Serial(), len(z.Records()), len(b.in.Zones()[0].Zone.Records()))
			}
			wrong := key()
			wrong.Secret = []byte("another secret")
			if _, err := xfr.Fetch(t.Context(), xfr.FetchOptions{Server: p.addr.String(), Apex: apex, Key: wrong, Limit: limit, MaxBytes: 1 << 22}); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("with another secret: %v", err)
			} else {
				t.Logf("another secret: %v", err)
			}
			must(t, syscall.Kill(-p.pid, syscall.SIGKILL))
			if got, serial := asked(b.addr, www); got != "203.0.113.20" || serial != 2026010102 {
				t.Errorf("with the primary gone: %s under %d", got, serial)
			}
		})
	}
}
