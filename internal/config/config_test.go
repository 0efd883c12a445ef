package config

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/zone"
)

var update = flag.Bool("update", false, "write what is seen into the golden files")

// same compares configurations without their warnings.
var same = cmp.Options{cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})}

func TestBadFilesAreToldWithPlaceAndRemedy(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("bad files: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c, err := Parse(filepath.Base(file), read(t, file))
			if err == nil {
				t.Fatalf("taken: %+v", c)
			}
			if c != nil {
				t.Error("a configuration came with the error")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
			wellFormed(t, filepath.Base(file), err)
		})
	}
}

// wellFormed checks what every problem owes: a place in the file, and the next step.
func wellFormed(t *testing.T, file string, err error) {
	t.Helper()
	var problems *Problems
	if !errors.As(err, &problems) || len(problems.List) == 0 {
		t.Fatalf("not Problems: %v", err)
	}
	if len(problems.List) > maxProblems {
		t.Errorf("%d problems at once", len(problems.List))
	}
	place := regexp.MustCompile("^" + regexp.QuoteMeta(file) + `:(\d+):(\d+)$`)
	line := 0
	for _, e := range problems.List {
		m := place.FindStringSubmatch(e.Place)
		if m == nil {
			t.Errorf("no place: %q in %v", e.Place, e)
			continue
		}
		var at int
		fmt.Sscan(m[1], &at)
		if at < line {
			t.Errorf("out of order: %v", e)
		}
		line = at
		if e.Hint == "" || e.Text == "" {
			t.Errorf("nothing to do: %v", e)
		}
		if e.Kind != fault.Invalid && e.Kind != fault.NotSupported {
			t.Errorf("kind %s: %v", e.Kind, e)
		}
		if strings.Contains(e.Error(), "\n") {
			t.Errorf("more than one line: %q", e.Error())
		}
	}
}

// The bounds and defaults of what lies two keys deep, as the reference has them.
func TestBoundsOfFixesAndActions(t *testing.T) {
	t.Parallel()
	page := string(read(t, "../../docs/reference/configuration.md"))
	tests := []struct{ key, def, least, most, under, over, text string }{
		{"sites.SITE.fixes.approval", "10m", "100ms", "24h", "99ms", "24h1ms", "    fixes: {approval: %s}\n"},
		{"sites.SITE.fixes.pause", "1m", "100ms", "1h", "99ms", "1h1ms", "    fixes: {pause: %s}\n"},
		{"sites.SITE.fixes.apart", "20m", "100ms", "24h", "99ms", "24h1ms", "    fixes: {apart: %s}\n"},
		{"sites.SITE.fixes.rest", "10m", "100ms", "24h", "99ms", "24h1ms", "    fixes: {rest: %s}\n"},
		{"sites.SITE.fixes.passes", "3", "1", "1000", "0", "1001", "    fixes: {passes: %s}\n"},
		{"sites.SITE.capture.metrics.port", "the site's port", "1", "65535", "0", "65536", "    capture: {metrics: {port: %s}}\n"},
		{"actions.ACTION.deadline", "1m", "1s", "1h", "999ms", "1h1ms", "actions: {a: {title: X, exec: [/bin/true], undo: none, deadline: %s}}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.key, func(t *testing.T) {
			t.Parallel()
			row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(tt.key) + "` \\| " + tt.def + " \\| (a [a-z]+, )?" + tt.least + " – " + tt.most + " \\|")
			if !row.MatchString(page) {
				t.Error("the reference has no such row")
			}
			for _, good := range []string{tt.least, tt.most} {
				if _, err := Parse("x.yaml", []byte(minimal+fmt.Sprintf(tt.text, good))); err != nil {
					t.Errorf("%s is refused: %v", good, err)
				}
			}
			for _, bad := range []string{tt.under, tt.over} {
				if _, err := Parse("x.yaml", []byte(minimal+fmt.Sprintf(tt.text, bad))); err == nil {
					t.Errorf("%s is taken", bad)
				}
			}
		})
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	without, err := Parse("x.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	usual := len(without.Warnings())
	for text, want := range map[string]string{
		"": "", "https://Boat.example.net": "https://boat.example.net", "https://boat.example.net/": "https://boat.example.net",
		"https://boat.example.net:8443": "https://boat.example.net:8443", "https://[2001:db8::1]:8443": "https://[2001:db8::1]:8443",
	} {
		line := ""
		if text != "" {
			line = fmt.Sprintf("console: {url: %q}\n", text)
		}
		if c, err := Parse("x.yaml", []byte(minimal+line)); err != nil || c.ConsoleURL != want || len(c.Warnings()) != usual {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{
		"http://boat.example.net", "boat.example.net", "https://", "https://ada:secret@boat.example.net", "https://boat.example.net/page", "https://boat.example.net/?a=b",
		"https://boat.example.net?", "https://boat.example.net/#a", "https://boat.example.net:0", "javascript:alert(1)", "https://boat.example.net\n", "",
	} {
		_, err := Parse("x.yaml", []byte(minimal+fmt.Sprintf("console: {url: %q}\n", text)))
		if fault.KindOf(err) != fault.Invalid || strings.Contains(fmt.Sprint(err), "secret@") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, more := range []string{"console: {}\n", "console: https://boat.example.net\n", "console: {url: 5}\n"} {
		if _, err := Parse("x.yaml", []byte(minimal+more)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", more, err)
		}
	}
	if c, err := Parse("x.yaml", []byte(minimal+"console:\n  url: https://shop.example.com:8443\n")); err != nil || len(c.Warnings()) != usual+1 {
		t.Errorf("a name that follows a site: %v, %v", c, err)
	}
}

// Paths that are said to be none are none, and a port that is not said is the site's.
func TestCapture(t *testing.T) {
	t.Parallel()
	const checks = "    checks: {a: {http: {path: /a}}, b: {tcp: {}}}\n    port: 8443\n"
	tests := []struct {
		text string
		want Capture
	}{
		{"", Capture{Paths: []string{"/a"}}},
		{"    capture:\n", Capture{Paths: []string{"/a"}}},
		{"    capture: {paths: }\n", Capture{Paths: []string{"/a"}}},
		{"    capture: {paths: []}\n", Capture{}},
		{"    capture: {metrics: {path: /m}}\n", Capture{Paths: []string{"/a"}, Metrics: &Metrics{"/m", 8443}}},
		{"    capture: {paths: [/b], logs: []}\n", Capture{Paths: []string{"/b"}}},
	}
	for _, tt := range tests {
		c, err := Parse("x.yaml", []byte(minimal+checks+tt.text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, c.Sites[0].Capture); diff != "" {
			t.Errorf("%q: %s", tt.text, diff)
		}
	}
}

// A URL may hold a password: messages and warnings must not carry it on.
func TestSecretsAreNotRepeated(t *testing.T) {
	t.Parallel()
	const secret = "hidden"
	for _, url := range []string{
		"https://ada:hidden@chat.example.net/", "https://hidden@chat.example.net/", "https://ada:hid%den@hidden/", "//ada:hidden@chat.example.net/",
		"https://chat.example.net/hidden#x", "https://chat.example.net:x/hidden", "https://chat.example.net/?token=hidden", "ftp://a/hidden", "https://a b/hidden",
		"http://chat.example.net/hidden", "https://shop.example.com/hidden", "hidden", "https://" + strings.Repeat("hidden", 1000),
	} {
		for _, section := range []string{
			"channels: {chat: {webhook: {url: %q}}}\n", "channels: {chat: {webhook: %q}}\n", "channels: {chat: %q}\n", "channels: {chat: {webhook: {url: [%q]}}}\n",
			"actions: {a: {title: X, undo: none, webhook: {url: %q}}}\n", "actions: {a: {title: X, exec: [/bin/true], undo: %q}}\n",
		} {
			if url == secret && !strings.Contains(section, "url: %q") {
				continue // a word like any other
			}
			text := minimal + fmt.Sprintf(section, url)
			c, err := Parse("x.yaml", []byte(text))
			said := fmt.Sprint(err)
			if err == nil {
				said = strings.Join(c.Warnings(), "\n")
			}
			if strings.Contains(said, secret) {
				t.Errorf("%s\nis told as %s", text, said)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"all", "primary", "no_nameservers", "webhooks"} {
		c, err := Parse(name+".yaml", read(t, "testdata/warn/"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/warn/"+name+".txt", strings.Join(c.Warnings(), "\n")+"\n")
	}
}

func TestLaterKeysAreRefusedAsNotInThisVersion(t *testing.T) {
	t.Parallel()
	_, err := Parse("x.yaml", []byte("providers: {}\n"+minimal))
	if got := fault.KindOf(err); got != fault.NotSupported {
		t.Errorf("kind = %s: %v", got, err)
	}
}

var allKeys = []keySet{
	topKeys, consoleKeys, signInKeys, dnsKeys, watchKeys, siteKeys, originKeys, standbyKeys, checkKeys, httpKeys, tcpKeys, sanityKeys, captureKeys, metricsKeys, fixesKeys, contactKeys,
	zoneKeys, leverKeys, zoneLeverKeys, featureLeverKeys, featureKeys, ofrepKeys, ofrepKeyKeys, actionKeys, undoKeys, webhookKeys, channelKeys, peerKeys, transferKeyKeys, goBackKeys,
	certificatesKeys, eabKeys, certificateFileKeys, databaseKeys, logicalKeyKeys, filesLeverKeys, objectsLeverKeys,
	flagdLeverKeys, goffLeverKeys, ofrepRemoteKeys, envFileLeverKeys, reloadKeys, observeKeys, unleashLeverKeys, fliptLeverKeys, launchDarklyLeverKeys,
}

// A key that is both known and to come would be taken and refused at once.
func TestKeysAreEitherKnownOrLater(t *testing.T) {
	t.Parallel()
	for _, keys := range allKeys {
		for _, k := range keys.known {
			if _, both := keys.later[k]; both {
				t.Errorf("%q is known and later", k)
			}
		}
	}
}

const minimal = `sites:
  shop:
    names: [shop.example.com]
    origins: {main: {address: 203.0.113.10}}
    standby: {address: 198.51.100.7}
`

func TestMinimalGetsDefaults(t *testing.T) {
	t.Parallel()
	c, err := Parse("x.yaml", []byte("\ufeff"+strings.ReplaceAll(minimal, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := []Site{{
		ID: "shop", Title: "shop", Names: []string{"shop.example.com"}, Scheme: "https", Port: 443,
		Origins: []Origin{{Name: "main", Addresses: addrs("203.0.113.10")}}, Home: "main", Standby: addrs("198.51.100.7"),
		Sanity: Sanity{5, time.Minute}, GoBack: GoBack{nil, 5 * time.Minute}, Failover: "propose",
		TakeBack: 15 * time.Minute, Watch: time.Hour, ArmedFor: 720 * time.Hour,
		Settle: 30 * time.Second, AutoGap: time.Hour, Silence: 10 * time.Second,
		Fixes: usualFixes, UpdateEvery: 20 * time.Minute, Stuck: 30 * time.Minute, LookBack: 24 * time.Hour, LookAgain: 15 * time.Second,
	}}
	if diff := cmp.Diff(want, c.Sites, same); diff != "" {
		t.Error(diff)
	}
}

var usualFixes = Fixes{Approval: 10 * time.Minute, Pause: time.Minute, Apart: 20 * time.Minute, Rest: 10 * time.Minute, Passes: 3}

func TestGoodFileIsReadWhole(t *testing.T) {
	t.Parallel()
	got, err := Load("testdata/good/lifeboat.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: "testdata/good/lifeboat.yaml",
		Nameservers: []Nameserver{
			{"ns1.example.net.", netip.MustParseAddrPort("127.0.0.1:5354")},
			{"ns2.example.net.", netip.MustParseAddrPort("[::1]:53")},
		},
		Sites: []Site{goodShop, goodBlog},
		Zones: []zone.Source{
			{
				Apex: "shop.example.com.", File: "testdata/good/lifeboat.yaml", Line: 61, TTL: 30, Minimum: 20,
				NS: []string{"ns1.example.net.", "ns2.example.net."}, Contact: `host\.master.example.com.`,
				Follow: map[string]string{"shop.example.com.": "shop", "www.shop.example.com.": "shop", "blog.shop.example.com.": "blog"},
				Text:   "\n@ IN MX 10 mail.example.com.\n; ${not a value}\n_dmarc IN TXT \"v=DMARC1; p=reject\"\n",
			},
			{
				Apex: "example.org.", File: "testdata/good/zones/org.zone", Line: 1, TTL: 60, Minimum: 60,
				Text: "@ IN NS ns1.example.net.\nwww IN A 192.0.2.1\n",
			},
		},
		Levers: []lever.Card{
			{Name: "to-standby", Kind: "zone", Title: "Show visitors the status page", Says: "Nobody can buy.", Site: "shop", Config: []byte(`{"site":"shop","to":"standby"}`)},
			{Name: "to-main", Kind: "zone", Title: "To main", Site: "shop", Config: []byte(`{"site":"shop","to":"main"}`)},
			{Name: "close-checkout", Kind: "feature", Title: "Close the checkout", Site: "blog", Config: []byte(`{"key":"checkout.v2","value":false}`)},
		},
		Features: goodFeatures,
		Written:  feature.Written{Flags: goodFeatures},
		Resolvers: []Nameserver{
			{"quad9", netip.MustParseAddrPort("9.9.9.9:53")},
			{"own", netip.MustParseAddrPort("[2001:db8::53]:5353")},
		},
		Contacts: []Contact{{"Ada", "+1 555 0100", "Databases"}, {"Bob", "ext. 12", ""}},
		Actions:  goodActions,
		Channels: []Channel{
			{"chat", Webhook{"https://chat.example.net/hook", "testdata/chat.secret"}, []string{"staff", "public"}},
			{"log", Webhook{"http://127.0.0.1:9001/", ""}, []string{"public", "staff", "incident"}},
		},
		Databases: goodDatabases,
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Error(diff)
	}
}

var goodDatabases = []Database{
	{
		Name: "shop", Kind: KindPostgres, Site: "shop", DSNFile: "testdata/good/secrets/shop.dsn", MaxRows: 1000, Symptom: "home",
		Tables:       []string{"public.orders", "public.order_lines", "public.notes"},
		LogicalKeys:  []LogicalKey{{"public.notes", []string{"about"}, "public.orders", []string{"id"}, map[string]string{"kind": "order"}}},
		SymptomQuery: "SELECT count(*) FROM orders WHERE total < 0",
		Pages:        map[string]string{"public.orders": "/orders/{id}"},
	},
	{Name: "log", Kind: KindMariaDB, Site: "blog", DSNEnv: "LOG_DSN", Tables: []string{"hits"}, MaxRows: 5},
	{Name: "local", Kind: KindSQLite, Site: "blog", File: "/var/lib/blog/blog.db", Tables: []string{"posts"}, MaxRows: 1000},
}

var goodActions = []Action{
	{
		Name: "to-standby", Title: "Put the previous release back", Says: "Takes a minute.", Site: "shop", Deadline: time.Hour,
		Exec: []string{"/usr/local/bin/deploy", "--release", "411", "", "a  b; $HOME"},
		Undo: &Act{Exec: []string{"/usr/local/bin/deploy", "--release", "latest"}},
	},
	{
		Name: "purge", Title: "Empty the cache", Site: "blog", Deadline: time.Minute,
		Webhook: &Webhook{"https://ops.example.net:8443/purge?all=1", "testdata/good/secrets/purge"},
	},
	{
		Name: "index", Title: "Build the index", Site: "blog", Deadline: time.Minute, Exec: []string{"/usr/local/bin/index"},
		Undo: &Act{Webhook: &Webhook{"http://[::1]:9000", "/etc/lifeboat/index.secret"}},
	},
}

var goodShop = Site{
	ID: "shop", Title: "Example Shop", Names: []string{"shop.example.com", "www.shop.example.com"}, Scheme: "http", Port: 8080,
	Origins: []Origin{{Name: "main", Addresses: addrs("203.0.113.10")}, {Name: "backup", Addresses: addrs("203.0.113.20", "2001:db8::20")}},
	Home:    "backup", Standby: addrs("198.51.100.7"), StatusName: "status.example.org", Contact: "Call us",
	Checks: []probe.Check{
		{
			Name: "home", Kind: probe.KindHTTP, Path: "/cart", Method: "GET", Status: 204, Contains: " Add ",
			Every: 250 * time.Millisecond, Timeout: 200 * time.Millisecond, DownAfter: 2, UpAfter: 4, Gate: true,
		},
		{Name: "db", Kind: probe.KindTCP, Port: 5432, Every: 5 * time.Second, Timeout: 2 * time.Second, DownAfter: 3, UpAfter: 5},
	},
	Sanity: Sanity{3, time.Second}, GoBack: GoBack{[]int{10, 50}, time.Minute}, Failover: "auto",
	TakeBack: time.Minute, Watch: 2 * time.Minute, ArmedFor: 3 * time.Hour, Settle: 4 * time.Second, AutoGap: 90 * time.Minute, Silence: 6 * time.Second,
	Capture:     Capture{Paths: []string{"/", "/cart?full=1"}, Metrics: &Metrics{"/metrics", 9100}, Logs: []string{"/var/log/shop/error.log"}},
	Fixes:       Fixes{Approval: time.Minute, Pause: 2 * time.Second, Apart: 3 * time.Minute, Rest: 4 * time.Minute, Passes: 2},
	UpdateEvery: 5 * time.Minute, Stuck: 6 * time.Minute, LookBack: 48 * time.Hour, LookAgain: 30 * time.Second,
}

var goodBlog = Site{
	ID: "blog", Title: "blog", Names: []string{"blog.shop.example.com"}, Scheme: "https", Port: 443,
	Origins: []Origin{{Name: "main", Addresses: addrs("203.0.113.30")}}, Home: "main", Standby: addrs("198.51.100.7"),
	Checks:  []probe.Check{usualCheck("a", "/b"), usualCheck("b", "/a"), usualCheck("c", "/b"), usualCheck("d", "")},
	Capture: Capture{Paths: []string{"/b", "/a"}, Metrics: &Metrics{"/metrics", 443}}, Fixes: usualFixes,
	UpdateEvery: 20 * time.Minute, Stuck: 30 * time.Minute, LookBack: 24 * time.Hour, LookAgain: 15 * time.Second,
	Sanity: Sanity{5, time.Minute}, GoBack: GoBack{nil, 5 * time.Minute}, Failover: "off",
	TakeBack: 15 * time.Minute, Watch: time.Hour, ArmedFor: 720 * time.Hour, Settle: 30 * time.Second, AutoGap: time.Hour, Silence: 10 * time.Second,
}

// usualCheck is a check with its defaults; without a path it is of kind tcp.
func usualCheck(name, path string) probe.Check {
	c := probe.Check{Name: name, Kind: probe.KindTCP, Every: 5 * time.Second, Timeout: 2 * time.Second, DownAfter: 3, UpAfter: 5, Gate: true}
	if path != "" {
		c.Kind, c.Path, c.Method, c.Status = probe.KindHTTP, path, "GET", 200
	}
	return c
}

func TestExampleIsTakenWithoutAWord(t *testing.T) {
	t.Parallel()
	c, err := Parse("example.yaml", Example())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Warnings() {
		t.Error(w)
	}
}

// uncommented is the sample with the keys read that stand in it as comments.
func uncommented() string {
	text := regexp.MustCompile(`(?m)^( *)# ( *[a-z_-]+:( .*)?)$`).ReplaceAllString(string(Example()), "$1$2")
	return regexp.MustCompile(`(?m)^ *file: .*$`).ReplaceAllString(text, "") // stands for records
}

// What stands in the sample as a comment is as good as the rest of it.
func TestCommentsOfTheExampleAreTaken(t *testing.T) {
	t.Parallel()
	c, err := Parse("example.yaml", []byte(uncommented()))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Warnings() {
		t.Error(w)
	}
	if len(c.Resolvers) == 0 || len(c.Actions) < 2 || len(c.Channels) == 0 || c.Sites[0].Capture.Metrics == nil || len(c.Sites[0].Capture.Logs) == 0 {
		t.Errorf("not all comments were read: %+v", c)
	}
	plain, err := Parse("example.yaml", Example())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain.Sites[0].Fixes, c.Sites[0].Fixes); diff != "" {
		t.Errorf("the sample says other defaults: %s", diff)
	}
}

var goodFeatures = []feature.Flag{
	{Key: "checkout.v2", Value: []byte("true"), Off: []byte("false"), Says: "Card payments", CodeDefault: []byte("false")},
	{Key: "banner", Value: []byte("false"), Off: []byte("true")},
}

// Every key that is known is in the sample, so that nobody has to guess.
func TestExampleShowsEveryKey(t *testing.T) {
	t.Parallel()
	for _, keys := range allKeys {
		for _, k := range keys.known {
			if k != "method" && !regexp.MustCompile(`(?m)(^|[\s{#])`+k+`:`).Match(Example()) {
				t.Errorf("%s: is not in the sample", k)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := write("secret", "@ IN TXT secret")
	zoned := func(file string) string {
		return minimal + "zones: {shop.example.com: {ns: [ns1.example.net.], file: " + file + "}}\n"
	}
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "etc", "link.zone")); err != nil {
		t.Fatal(err)
	}
	write("etc/broken.zone", "\xff")
	write("etc/includes.zone", "$INCLUDE ../secret\n")
	tests := []struct {
		name, path, want string
		kind             fault.Kind
	}{
		{"missing", filepath.Join(dir, "none.yaml"), "lifeboat config show", fault.NotFound},
		{"a folder", dir, "can't read the configuration file", fault.Invalid},
		{"large", write("large.yaml", strings.Repeat("#", maxFileBytes+1)), "larger than 1048576 bytes", fault.Invalid},
		{"zone missing", write("etc/a.yaml", zoned("none.zone")), `a.yaml:6:58: file of zone shop.example.com: can't read "none.zone"`, fault.Invalid},
		{"zone outside", write("etc/b.yaml", zoned("../secret")), "not inside the folder", fault.Invalid},
		{"zone outside by link", write("etc/c.yaml", zoned("link.zone")), "escapes", fault.Invalid},
		{"zone is a folder", write("etc/d.yaml", zoned(".")), "not a regular file", fault.Invalid},
		{"zone includes what is outside", write("etc/f.yaml", zoned("includes.zone")), "lies outside the zone file's folder", fault.Invalid},
		{"zone is not text", write("etc/e.yaml", zoned("broken.zone")), "not UTF-8", fault.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(tt.path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if kind := fault.KindOf(err); kind != tt.kind {
				t.Errorf("kind = %s, want %s", kind, tt.kind)
			}
			if strings.Contains(err.Error(), "secret\"") && !strings.Contains(err.Error(), "../secret") {
				t.Errorf("tells what is outside: %v", err)
			}
		})
	}
}

// Files made to be slow are refused before they are.
func TestLimits(t *testing.T) {
	t.Parallel()
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct{ name, text, want string }{
		{"bytes", strings.Repeat("#", maxFileBytes+1), "too large"},
		{"words", "a: [" + strings.Repeat("1,", maxTokens) + "]", "too large"},
		{"keys", many("k%d: 1\n", maxKeys+1), "side by side"},
		{"keys under a key", "sites:\n" + many("  k%d: 1\n", maxKeys+1), "side by side"},
		{"flow", strings.Repeat("[", 100_000), "levels deep"},
		{"flow mappings", strings.Repeat("{a: ", 60_000), "levels deep"},
		{"dashes", strings.Repeat("- ", 100_000), "levels deep"},
		{"bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "an anchor (&) is not read here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("x.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			wellFormed(t, "x.yaml", err)
		})
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	tests := []struct{ word, want string }{
		{"nmaes", "names"}, {"Names", "names"}, {"down-after", ""}, {"statuspage", "status_page"}, {"name", "names"},
		{"orgins", "origins"}, {"checkss", "checks"}, {"x", ""}, {"", ""}, {"xylophone", ""}, {strings.Repeat("a", 100), ""},
	}
	for _, tt := range tests {
		if got := nearest(tt.word, siteKeys.known); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, path)), got); diff != "" {
		t.Errorf("%s: %s", path, diff)
	}
}

// Comparing each site with each zone with each site would take minutes here.
func TestLargeFileIsTaken(t *testing.T) {
	t.Parallel()
	const sites = 2000
	var s, z strings.Builder
	for i := range sites {
		fmt.Fprintf(&s, "  k%d: {names: [k%d.example.com], origins: {main: {address: 203.0.113.1}}, standby: {address: 203.0.113.2}}\n", i, i)
		fmt.Fprintf(&z, "  k%d.example.com: {ns: [ns1.example.com], follow: {\"@\": k%d}}\n", i, i)
	}
	c, err := Parse("x.yaml", []byte("sites:\n"+s.String()+"zones:\n"+z.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sites) != sites || len(c.Zones) != sites {
		t.Errorf("%d sites, %d zones", len(c.Sites), len(c.Zones))
	}
	promises(t, c)
}

// TestZoneFilesIncludeOthers: a zone file brings in what lies beside it.
func TestZoneFilesIncludeOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "zones"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"zones/shop.zone": "$INCLUDE mail.zone\n", "zones/mail.zone": "@ IN MX 10 mail.example.net.\n",
		"a.yaml": minimal + "zones: {shop.example.com: {ns: [ns1.example.net.], file: zones/shop.zone}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, zones, _ := c.Parts(); !strings.Contains(zones[0].Includes["mail.zone"], "MX 10") {
		t.Errorf("included: %v", zones[0].Includes)
	}
}
