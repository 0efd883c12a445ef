package authdns

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

// ferretCase is one case of the Ferret set: a zone, a question, and what BIND,
// Knot, NSD and PowerDNS answered. One expected entry means that they agree.
type ferretCase struct {
	ID       int
	Zone     string
	Name     string
	Type     string
	Expected []ferretExpected
}

type ferretExpected struct {
	Servers  []string
	Response []string
}

func ferretCases(t *testing.T) []ferretCase {
	t.Helper()
	dir := os.Getenv("LIFEBOAT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, "ferret", "cases.jsonl.gz"))
	if err != nil {
		t.Skipf("SKIP-DATA: the Ferret cases are not there (%v): set LIFEBOAT_TESTDATA", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var cases []ferretCase
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c ferretCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return cases
}

// TestFerret asks every question on which the four servers agree and expects
// their response code, AA flag, answer and, for referrals and denials, authority
// and glue. Left out: NS and address records that the four add to a positive
// answer, which nobody needs and which make it larger.
func TestFerret(t *testing.T) {
	t.Parallel()
	agreed, passed := 0, 0
	for _, c := range ferretCases(t) {
		if len(c.Expected) != 1 {
			continue
		}
		agreed++
		got, err := ferretAsk(c)
		want := ferretWant(c.Expected[0].Response)
		if err == nil && got == want {
			passed++
			continue
		}
		if agreed-passed <= 5 {
			t.Errorf("case %d: %s %s: %v\n%s\ngot:\n%s\nwant:\n%s", c.ID, c.Name, c.Type, err, c.Zone, got, want)
		}
	}
	t.Logf("%d of %d agreed cases answered as BIND, Knot, NSD and PowerDNS do", passed, agreed)
	if passed != agreed {
		t.Errorf("%d cases differ", agreed-passed)
	}
}

// growing is why a disputed case is answered as nobody does.
const growing = "the DNAME leads below itself, and the chain never ends: each of the four gives up in its own way, we after nine CNAMEs and without an error"

// ferretDifferences are the disputed cases that we answer on purpose as less than
// the most of the four do.
var ferretDifferences = map[int]string{185: growing, 1345: growing, 2255: growing, 2670: growing}

// TestFerretDisputed asks what the four servers answer differently: ours is the
// answer that most of them give, or of one where no two agree.
func TestFerretDisputed(t *testing.T) {
	t.Parallel()
	disputed, like, different := 0, 0, 0
	for _, c := range ferretCases(t) {
		if len(c.Expected) == 1 {
			continue
		}
		disputed++
		servers := map[string]int{}
		most := 0
		for _, e := range c.Expected { // some differ only in what is left out
			want := ferretWant(e.Response)
			servers[want] += len(e.Servers)
			most = max(most, servers[want])
		}
		got, err := ferretAsk(c)
		switch why := ferretDifferences[c.ID]; {
		case err == nil && servers[got] == most && why == "":
			like++
		case err == nil && servers[got] < most && why != "":
			different++
		default:
			t.Errorf("case %d: %s %s: %d servers answer as we do, %d otherwise, listed %q: %v\n%s\ngot:\n%s", c.ID, c.Name, c.Type, servers[got], most, why, err, c.Zone, got)
		}
	}
	t.Logf("%d of %d disputed cases answered as most servers do, %d otherwise on purpose", like, disputed, different)
}

func ferretAsk(c ferretCase) (string, error) {
	apex, _, _ := strings.Cut(c.Zone, "\t")
	z, err := zone.Parse(zone.Source{Apex: strings.TrimSpace(apex), Text: c.Zone})
	if err != nil {
		return "", err
	}
	table, err := Compile([]*zone.Zone{z}, nil)
	if err != nil {
		return "", err
	}
	v, err := table.View(Orders{})
	if err != nil {
		return "", err
	}
	s := New(Options{})
	s.Set(v)
	q := new(dns.Msg)
	q.SetQuestion(c.Name, dns.StringToType[c.Type])
	wire, err := q.Pack()
	if err != nil {
		return "", err
	}
	var m dns.Msg
	if err := m.Unpack(s.Handle(nil, wire, false)); err != nil {
		return "", err
	}
	if s.Counts().Panics > 0 {
		return "", fmt.Errorf("panic")
	}
	return ferretText(dns.RcodeToString[m.Rcode], m.Authoritative, sortedText(m.Answer), sortedText(m.Ns), sortedText(m.Extra)), nil
}

func sortedText(rrs []dns.RR) []string {
	var lines []string
	for _, rr := range rrs {
		lines = append(lines, plain(rr.String()))
	}
	slices.Sort(lines)
	return lines
}

func plain(line string) string { return strings.ToLower(strings.Join(strings.Fields(line), " ")) }

// ferretText is a response without what a positive answer may add.
func ferretText(rcode string, aa bool, answer, authority, additional []string) string {
	if len(answer) > 0 && aa && !slices.ContainsFunc(authority, func(l string) bool { return strings.Contains(l, " in soa ") }) {
		authority, additional = nil, nil
	}
	return fmt.Sprintf("%s aa=%v\nanswer %q\nauthority %q\nadditional %q", rcode, aa, answer, authority, additional)
}

func ferretWant(response []string) string {
	sections := map[string][]string{}
	section, rcode, aa := "", "", false
	for _, l := range response {
		switch {
		case strings.HasPrefix(l, ";"):
			section = l
		case section != "":
			sections[section] = append(sections[section], plain(l))
		case strings.HasPrefix(l, "rcode "):
			rcode = strings.TrimPrefix(l, "rcode ")
		case strings.HasPrefix(l, "flags "):
			aa = strings.Contains(l, "AA")
		}
	}
	for _, s := range sections {
		slices.Sort(s)
	}
	return ferretText(rcode, aa, sections[";ANSWER"], sections[";AUTHORITY"], sections[";ADDITIONAL"])
}
