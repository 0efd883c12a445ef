package dns

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"

	"lifeboat/internal/authdns"
	"lifeboat/internal/zone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seed is that of the environment, else always the same, or with soak a new one
// each day, so that every day may find something else.
func seed(t *testing.T, soak bool) uint64 {
	t.Helper()
	if s := os.Getenv("LIFEBOAT_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if soak {
		return uint64(time.Now().Unix() / 86400)
	}
	return 1
}

// ours starts our server with the same zones.
func ours(t *testing.T, zones []made) *client {
	t.Helper()
	var parsed []*zone.Zone
	for _, z := range zones {
		p, err := zone.Parse(zone.Source{Apex: z.apex, File: z.apex + "zone", Line: 1, Text: z.text})
		if err != nil {
			t.Fatalf("%v\n%s", err, z.text)
		}
		parsed = append(parsed, p)
	}
	table, err := authdns.Compile(parsed, nil)
	if err != nil {
		t.Fatal(err)
	}
	view, err := table.View(authdns.Orders{})
	if err != nil {
		t.Fatal(err)
	}
	udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	s := authdns.New(authdns.Options{})
	s.Set(view)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, udp, []*net.TCPListener{tcp}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		udp[0].Close()
		tcp.Close()
		if n := s.Counts().Panics; n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return dial(t, "lifeboat", tcp.Addr().String())
}

// reply is an answer as far as it is compared: each section as a set.
type reply struct {
	rcode                         string
	aa, tc                        bool
	answer, authority, additional []string
}

// replyOf leaves out what a positive answer may add or not: name servers, and
// addresses of hosts.
func replyOf(m *wire.Msg) reply {
	r := reply{rcode: wire.RcodeToString[m.Rcode], aa: m.Authoritative, tc: m.Truncated, answer: set(m.Answer), authority: set(m.Ns), additional: set(m.Extra)}
	denies := slices.ContainsFunc(m.Ns, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeSOA })
	if len(r.answer) > 0 && !denies {
		r.authority, r.additional = nil, nil
	}
	return r
}

func set(rrs []wire.RR) (lines []string) {
	for _, rr := range rrs {
		if rr.Header().Rrtype != wire.TypeOPT {
			lines = append(lines, strings.ToLower(strings.Join(strings.Fields(rr.String()), " ")))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func (r reply) String() string {
	return fmt.Sprintf("%s aa=%v tc=%v\n  answer %q\n  authority %q\n  additional %q", r.rcode, r.aa, r.tc, r.answer, r.authority, r.additional)
}

// verdict is what the four say: the answer of the most, and all that are as
// frequent as it.
func verdict(replies map[string]reply) (best []string) {
	counts := map[string]int{}
	most := 0
	for _, r := range replies {
		counts[r.String()]++
		most = max(most, counts[r.String()])
	}
	for text, n := range counts {
		if n == most {
			best = append(best, text)
		}
	}
	return best
}

// longest is as many CNAMEs as our server puts into an answer.
const longest = 9

// deliberate names the reason why we differ from most of the four, "" where there
// is none.
func deliberate(got reply, theirs map[string]reply) string {
	cnames := 0
	for _, line := range got.answer {
		if strings.Contains(line, " in cname ") {
			cnames++
		}
	}
	if cnames == longest && got.rcode == "NOERROR" && distinct(theirs) > 1 {
		return "a chain of CNAMEs is cut without an error (a DNAME that leads below itself never ends: each of the four gives up in its own way)"
	}
	return ""
}

// TestLikeTheOthers asks five servers the same about zones made by chance.
func TestLikeTheOthers(t *testing.T) {
	t.Parallel()
	soak := os.Getenv("LIFEBOAT_SOAK") == "1"
	questions, count := 1000, 20
	if soak {
		questions, count = 10_000, 200
	}
	from := seed(t, soak)
	t.Logf("LIFEBOAT_SEED=%d", from)
	m := maker{rand.New(rand.NewPCG(from, 1))}
	zones := m.zones(count)
	var apexes []string
	texts := map[string]string{}
	for _, z := range zones {
		apexes = append(apexes, z.apex)
		texts[z.apex] = z.text
	}
	us := ours(t, zones)
	var them []*client
	for _, p := range peers {
		them = append(them, start(t, p, apexes, texts))
	}
	tally := map[string]int{}
	for range questions {
		z := zones[m.IntN(len(zones))]
		name, typ := m.question(z)
		compare(t, tally, z, name, typ, us, them)
	}
	for _, about := range sorted(tally) {
		t.Logf("%6d %s", tally[about], about)
	}
}

// compare asks all one question and counts how it went.
func compare(t *testing.T, tally map[string]int, z made, name string, typ uint16, us *client, them []*client) {
	t.Helper()
	m, err := us.ask(name, typ, 10*time.Second)
	if err != nil {
		t.Error(err)
		return
	}
	got, replies := replyOf(m), map[string]reply{}
	for _, c := range them {
		replies[c.name] = reply{rcode: "no answer"}
		if m, err := c.ask(name, typ, 2*time.Second); err == nil {
			replies[c.name] = replyOf(m)
		}
	}
	best := verdict(replies)
	if got.additional == nil { // what goes along with an answer: the others may send other things
		for _, rr := range m.Extra {
			if tally["records sent along"]++; !confirmed(rr, them) {
				t.Errorf("%s %s: nobody else knows of %s\n%s", name, wire.Type(typ), rr, z.text)
			}
		}
	}
	if slices.Contains(best, got.String()) {
		tally[fmt.Sprintf("as most do, %d answers among the four", distinct(replies))]++
		return
	}
	if why := deliberate(got, replies); why != "" {
		tally["different on purpose: "+why]++
		return
	}
	if tally["different"]++; tally["different"] > 5 {
		t.Fail()
		return
	}
	var b strings.Builder
	for _, c := range them {
		fmt.Fprintf(&b, "%s: %s\n", c.name, replies[c.name])
	}
	t.Errorf("%s %s\nlifeboat: %s\n%s\n%s", name, wire.Type(typ), got, b.String(), z.text)
}

// confirmed says whether any of the others gives a record when asked for it,
// be it as glue.
func confirmed(rr wire.RR, them []*client) bool {
	want := set([]wire.RR{rr})
	return slices.ContainsFunc(them, func(c *client) bool {
		m, err := c.ask(rr.Header().Name, rr.Header().Rrtype, 2*time.Second)
		return err == nil && slices.Contains(set(slices.Concat(m.Answer, m.Extra)), want[0])
	})
}

func distinct(replies map[string]reply) int {
	texts := map[string]bool{}
	for _, r := range replies {
		texts[r.String()] = true
	}
	return len(texts)
}

func sorted(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
