package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"lifeboat/internal/config"
	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
	"lifeboat/internal/incident"
)

// testSettings are those of a demo whose paths have all that a path may have.
func testSettings(dns string, port int) settings {
	return settings{DNS: dns, Port: port, Binary: `/opt/life "boat": #1/lifeboat`, Data: "/home/ada/my demo's data"}
}

func TestConfigurationIsValid(t *testing.T) {
	t.Parallel()
	text, err := testSettings("127.0.0.1:5354", 8088).render()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(configName, text)
	if err != nil {
		t.Fatal(err)
	}
	if w := cfg.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %q", w)
	}
	site := cfg.Sites[0]
	if site.ID != siteID || site.Port != 8088 || site.Home != "main" || site.Failover != "propose" || site.StatusName != statusHost {
		t.Errorf("the site is %+v", site)
	}
	var card []string
	for _, l := range cfg.Levers {
		card = append(card, l.Name)
	}
	if got := strings.Join(card, " "); got != strings.Join([]string{toStandby, toBackup, closeCheckout}, " ") {
		t.Errorf("the card is %s", got)
	}
	testActions(t, cfg)
	logs := []string{"/home/ada/my demo's data/shop-main.log", "/home/ada/my demo's data/shop-backup.log"}
	if !slices.Equal(site.Capture.Logs, logs) || site.Capture.Metrics == nil || len(cfg.Contacts) == 0 {
		t.Errorf("it captures %+v and names %v", site.Capture, cfg.Contacts)
	}
	if !bytes.Contains(text, []byte("SHORT ON PURPOSE")) {
		t.Error("the file does not say that its waits are short")
	}
}

// testActions: each act that there is about the shop is prepared, and what is prepared
// are acts that there are.
func testActions(t *testing.T, cfg *config.Config) {
	t.Helper()
	said := map[shop.Act]bool{}
	for _, a := range cfg.Actions {
		all := [][]string{a.Exec}
		if a.Undo != nil {
			all = append(all, a.Undo.Exec)
		}
		for i, exec := range all {
			if len(exec) != 6 || exec[0] != `/opt/life "boat": #1/lifeboat` || exec[1] != "demo" || exec[4] != "--data" || exec[5] != "/home/ada/my demo's data" {
				t.Fatalf("%s runs %q", a.Name, exec)
			}
			switch exec[2] {
			case "do":
				r, err := shop.ParseRemedy(exec[3])
				if err != nil || i > 0 {
					t.Errorf("%s does %q: %v", a.Name, exec[3], err)
				}
				said[r.Act] = true
			case "break":
				if _, err := shop.ParseHarm(exec[3]); err != nil || i == 0 {
					t.Errorf("%s breaks %q: %v", a.Name, exec[3], err)
				}
			default:
				t.Errorf("%s calls demo %s", a.Name, exec[2])
			}
		}
	}
	for _, a := range shop.Acts() {
		if !said[a] {
			t.Errorf("nothing is prepared that does %s", a)
		}
	}
}

func TestKeptConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if k, err := readKept(dir); k != nil || err != nil {
		t.Fatalf("an empty folder holds %v, %v", k, err)
	}
	before := testSettings("127.0.0.1:5354", 8088)
	var none *kept
	if err := none.write(dir, before); err != nil {
		t.Fatal(err)
	}
	k, err := readKept(dir)
	if err != nil || k.edited || k.settings != before {
		t.Fatalf("what was written is read as %+v, %v", k, err)
	}
	moved := testSettings("127.0.0.1:5399", 9000)
	if err := k.write(dir, moved); err != nil {
		t.Errorf("an untouched file can't be written anew: %v", err)
	}
	path := filepath.Join(dir, configName)
	mine := rewrite(t, path, "watch: 3s", "watch: 9s")
	k, err = readKept(dir)
	if err != nil || !k.edited || k.settings != moved {
		t.Fatalf("an edited file is read as %+v, %v", k, err)
	}
	if err := k.write(dir, moved); err != nil {
		t.Errorf("an edited file that fits: %v", err)
	}
	for flag, other := range map[string]settings{"--dns 127.0.0.1:5399": before, "port: in the file": testSettings(moved.DNS, 1234)} {
		if err := k.write(dir, other); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("an edited file that does not fit: %v; expected %q", err, flag)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, mine) {
		t.Errorf("the edited file was changed: %v", err)
	}
	rewrite(t, path, "sites:", "sitez:")
	if _, err := readKept(dir); err == nil {
		t.Error("a broken file is taken")
	}
}

func rewrite(t *testing.T, path, old, now string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s lacks %q: %v", path, old, err)
	}
	text = bytes.Replace(text, []byte(old), []byte(now), 1)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTakenAddresses: whatever address is taken, its flag is named.
func TestTakenAddresses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const free = "127.0.0.1:0"
	taken := l.Addr().String()
	for flag, o := range map[string]Options{
		"--http":  {HTTP: taken, DNS: free, OFREP: free},
		"--dns":   {HTTP: free, DNS: taken, OFREP: free},
		"--ofrep": {HTTP: free, DNS: free, OFREP: taken},
		"--panel": {HTTP: free, DNS: free, OFREP: free, Panel: taken},
	} {
		o.Data, o.standbyIP = t.TempDir(), standbyIP
		g, err := openGround(o, nil)
		if err == nil || !strings.Contains(err.Error(), flag+" "+taken) {
			t.Errorf("with %s taken: %v", flag, err)
		}
		if err == nil {
			g.close()
		}
	}
}

func TestGround(t *testing.T) {
	t.Parallel()
	o := Options{Data: t.TempDir(), HTTP: "127.0.0.1:0", DNS: "0.0.0.0:0", OFREP: "127.0.0.1:0", standbyIP: standbyIP}
	g, err := openGround(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	standby, err := g.sockets.Addr(handover.StandbyHTTP)
	if err != nil {
		t.Fatal(err)
	}
	for ip, at := range map[string]net.Addr{mainIP: g.main.Addr(), backupIP: g.backup.Addr(), standbyIP: standby} {
		if want := netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(g.Port)).String(); at.String() != want {
			t.Errorf("%s, expected %s", at, want)
		}
	}
	if !strings.HasPrefix(g.DNS, "127.0.0.1:") || strings.HasSuffix(g.DNS, ":0") {
		t.Errorf("the name server is asked at %s", g.DNS)
	}
	again := &kept{settings: g.settings, edited: true}
	if other, err := openGround(o, again); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a port that the edited file names and that is taken: %v", err)
		other.close()
	}
}

func TestOutlooks(t *testing.T) {
	t.Parallel()
	var o outlooks
	o.set(outlook{atMain, atMain})
	calm := o.now()
	o.set(outlook{atMain | atStandby, atMain | atStandby | nowhere})
	o.set(outlook{atStandby, atStandby})
	if got := o.since(calm); got != (outlook{atMain | atStandby, atMain | atStandby | nowhere}) {
		t.Errorf("since calm: %+v", got)
	}
	if got := o.since(o.now()); got != (outlook{atStandby, atStandby}) {
		t.Errorf("now: %+v", got)
	}
	if o.since(calm).patience() != impatient || o.since(o.now()).patience() != patient {
		t.Error("a visitor's patience depends on what there may be")
	}
}

// TestCrowdCounts: what should not have been seen is counted, kept and told.
func TestCrowdCounts(t *testing.T) {
	t.Parallel()
	c := newCrowd("127.0.0.1:1", 80, time.Now)
	c.outlooks.set(outlook{atMain, atMain})
	from := c.outlooks.now()
	c.note(from, atMain, "")
	c.noteQuery(from, Host, netip.MustParseAddr(mainIP), true, nil)
	c.noteQuery(from, statusHost, netip.MustParseAddr(standbyIP), false, nil)
	if err := c.wrong(); err != nil {
		t.Fatalf("nothing was wrong: %v", err)
	}
	c.note(from, nowhere, "connection refused")
	c.note(from, atStandby, "")
	c.noteQuery(from, Host, netip.MustParseAddr(standbyIP), false, nil)
	c.noteQuery(from, Host, netip.MustParseAddr("192.0.2.1"), false, nil)
	c.noteQuery(from, statusHost, netip.MustParseAddr(mainIP), false, nil)
	c.noteQuery(from, Host, netip.Addr{}, true, errSilent)
	c.noteQuery(from, Host, netip.Addr{}, false, errors.New("the name server answered RCodeServerFailure"))
	v, q := c.counts()
	if want := (Visits{Main: 1, Standby: 1, Errors: 1, Unexpected: 2}); v != want {
		t.Errorf("visits %+v, expected %+v", v, want)
	}
	if want := (Queries{Asked: 7, AskedAgain: 2, Wrong: 4, Missing: 1}); q != want {
		t.Errorf("queries %+v, expected %+v", q, want)
	}
	if err := c.wrong(); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("it tells %v", err)
	}
}

// answerTo makes a packet as a name server would.
func answerTo(t testing.TB, id uint16, edit func(*dnsmessage.Message), ips ...string) []byte {
	t.Helper()
	name := dnsmessage.MustNewName(Host + ".")
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, Response: true, Authoritative: true}}
	for _, ip := range ips {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 5},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(ip).As4()},
		})
	}
	if edit != nil {
		edit(&m)
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func TestAddress(t *testing.T) {
	t.Parallel()
	ip, ours, err := address(answerTo(t, 7, nil, mainIP), 7)
	if ip.String() != mainIP || !ours || err != nil {
		t.Errorf("a good answer: %v %t %v", ip, ours, err)
	}
	for name, packet := range map[string][]byte{
		"another's":   answerTo(t, 8, nil, mainIP),
		"a question":  answerTo(t, 7, func(m *dnsmessage.Message) { m.Response = false }, mainIP),
		"no DNS":      []byte("hello"),
		"nothing":     nil,
		"cut in half": answerTo(t, 7, nil, mainIP)[:20],
	} {
		if _, ours, _ := address(packet, 7); ours {
			t.Errorf("%s was taken for an answer", name)
		}
	}
	for name, packet := range map[string][]byte{
		"a failure":         answerTo(t, 7, func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }),
		"not authoritative": answerTo(t, 7, func(m *dnsmessage.Message) { m.Authoritative = false }, mainIP),
		"truncated":         answerTo(t, 7, func(m *dnsmessage.Message) { m.Truncated = true }, mainIP),
		"two addresses":     answerTo(t, 7, nil, mainIP, standbyIP),
		"no address":        answerTo(t, 7, nil),
	} {
		if ip, ours, err := address(packet, 7); !ours || err == nil {
			t.Errorf("%s gave %v %t %v", name, ip, ours, err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add(answerTo(f, 7, nil, mainIP))
	f.Add(answerTo(f, 7, nil))
	f.Add([]byte{0, 7, 0x84, 0})
	f.Fuzz(func(t *testing.T, packet []byte) {
		ip, ours, err := address(packet, 7)
		if ours && err == nil && !ip.Is4() {
			t.Errorf("it gave %v", ip)
		}
	})
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := Report{Case: "kill", OK: true, OutageSeenMS: 512.4, PressToDNSMS: 2.345, PressToDoneMS: 5, StandbyRequests: 120, ReturnToDNSMS: 1812,
		Summary: []string{"The shop was broken.", "It is well."}, Phases: []incident.Phase{incident.FailOver, incident.Closed}, Cause: "A dead process",
		Fixes: []Tried{{ID: "f1", Change: "Start it.", Words: "It did what it promised."}}, Refusals: []Refusal{{Rule: "R6", Reason: "There is no cause yet."}},
		TimelineEvents: 97, PostMortem: "/elsewhere/post-mortem-kill.md",
		BackToDNSMS: 7, ReturnChecks: Checks{6, map[string]int{"home": 6, "books": 5}}, Visits: Visits{Main: 10, Standby: 120, Errors: 3}, DNS: Queries{Asked: 900}}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `
The shop was broken. It is well.

  case                                        kill
  phases                                      fail_over closed
  cause                                       A dead process
  fix f1                                      Start it. It did what it promised.
  refused by R6                               There is no cause yet.
  outage seen after                           512 ms
  press → first changed DNS answer            2.35 ms
  press → effect seen from outside            5.00 ms
  requests met by the standby                 120
  return checks                               books 5 of 6, home 6 of 6
  return pressed → first changed DNS answer   1.81 s
  checks passed → first changed DNS answer    7.00 ms
  visits                                      133: 10 met main, 120 the standby, 3 nothing
  visits that met what they should not have   0
  DNS answers                                 900: 0 wrong, 0 missing (0 asked twice)
  events in the timeline                      97
  post-mortem                                 /elsewhere/post-mortem-kill.md
`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
	r = Report{Case: "hang", FailedStep: "press", Failure: "nobody answers"}
	b.Reset()
	if err := r.Write(&b); err != nil || !strings.Contains(b.String(), `Stopped at the step "press": nobody answers`) || strings.Contains(b.String(), "→") {
		t.Errorf("a play that stopped: %v\n%s", err, &b)
	}
	text, err := json.Marshal(r)
	if err != nil || !bytes.Contains(text, []byte(`"failed_step":"press"`)) || !bytes.Contains(text, []byte(`"press_to_dns_ms":0`)) {
		t.Errorf("as JSON: %v %s", err, text)
	}
}
