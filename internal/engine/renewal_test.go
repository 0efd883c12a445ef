package engine_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/incident"
)

// A zone of many names is signed, handed to answer and renewed, and people press all the
// while. Under LIFEBOAT_SOAK=1 it has 50,000 names, or as many as LIFEBOAT_NAMES says;
// what is measured then is told, and never asserted.
func TestPressesBesideALargeRenewal(t *testing.T) {
	t.Parallel()
	names := 500
	if os.Getenv("LIFEBOAT_SOAK") == "1" {
		names = 50_000
		_, _ = fmt.Sscan(os.Getenv("LIFEBOAT_NAMES"), &names)
	}
	b := launch(t, "propose")
	s := b.newSigner(nil)
	b.signing = s
	var records strings.Builder
	for from, letter := 0, 'a'; from < names; from, letter = from+50_000, letter+1 {
		fmt.Fprintf(&records, "      $GENERATE %d-%d %c$ IN A 192.0.2.7\n", from, min(from+50_000, names)-1, letter)
	}
	began := time.Now()
	b.restart(func(text string) string {
		return strings.Replace(signed(text), "    records: |\n", "    records: |\n"+records.String(), 1)
	})
	b.waitLong("signed and served", func() bool { return b.overview().Answer.Ready })
	t.Logf("%d names, %d signatures: signed and served after %s", names, s.Made(), time.Since(began).Round(time.Millisecond))
	b.holds("127.0.0.1")
	still := b.presses(5)
	made := s.Made()
	began = time.Now()
	b.clockMu.Lock()
	b.skew = dnssec.Validity - dnssec.Renewal + time.Hour
	b.clockMu.Unlock()
	var during []time.Duration
	b.waitLong("renewed", func() bool {
		during = append(during, b.presses(1)...)
		return s.Made() >= 2*made-dnssec.SerialsAhead && b.oldest().After(b.now())
	})
	took := time.Since(began)
	b.holds("127.0.0.1")
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	t.Logf("renewed after %s; %d presses meanwhile, at most %s each (%s without); %d MiB in use by control and answer, %d of the system's",
		took.Round(time.Millisecond), len(during), slices.Max(during).Round(time.Millisecond), slices.Max(still).Round(time.Millisecond), memory.HeapInuse>>20, (memory.Sys-memory.HeapReleased)>>20)
}

// waitLong polls until ok, for as long as a large zone may take.
func (b *boat) waitLong(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not in time: %s", what)
		}
	}
}

// presses has the site go to the standby and back, so many times, and gives how long each
// press took.
func (b *boat) presses(times int) (took []time.Duration) {
	b.t.Helper()
	for range times {
		began := time.Now()
		must(b.t, b.pull("to-standby", "a test"))
		took = append(took, time.Since(began))
		began = time.Now()
		_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "to-standby"}, me)
		must(b.t, err)
		took = append(took, time.Since(began))
	}
	return took
}
