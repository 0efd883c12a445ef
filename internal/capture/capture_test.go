package capture

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

func whole() Job {
	return Job{
		ID: "J1", Incident: "I1", Site: "shop", Names: []string{host, "www.example.com"}, Scheme: "https", Port: 443,
		Places: []Place{{Name: "main", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")}}, {Name: "backup", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.20")}}},
		Paths:  []string{"/", "/cart"}, Nameservers: []Server{{Name: "ns1", Address: netip.MustParseAddrPort("192.0.2.53:53")}},
		Resolvers: []Server{{Address: netip.MustParseAddrPort("[2001:db8::53]:53")}}, Metrics: &Metrics{Path: "/metrics", Port: 9100},
	}
}

func TestJobValidate(t *testing.T) {
	t.Parallel()
	must(t, whole().Validate())
	must(t, job().Validate())
	many := func(n int) []string {
		return strings.Split(strings.TrimSuffix(strings.Repeat("a.example,", n), ","), ",")
	}
	for name, c := range map[string]struct {
		field  string
		change func(*Job)
	}{
		"no id":               {"id", func(j *Job) { j.ID = "" }},
		"a long id":           {"id", func(j *Job) { j.ID = strings.Repeat("x", 65) }},
		"no incident":         {"incident", func(j *Job) { j.Incident = "" }},
		"an odd site":         {"site", func(j *Job) { j.Site = "a\nb" }},
		"no names":            {"names", func(j *Job) { j.Names = nil }},
		"many names":          {"names", func(j *Job) { j.Names = many(21) }},
		"a URL for a name":    {"names", func(j *Job) { j.Names = []string{"https://shop.example.com/"} }},
		"a header in a name":  {"names", func(j *Job) { j.Names = []string{"a\r\nX: y"} }},
		"no scheme":           {"scheme", func(j *Job) { j.Scheme = "" }},
		"another scheme":      {"scheme", func(j *Job) { j.Scheme = "ftp" }},
		"no port":             {"port", func(j *Job) { j.Port = 0 }},
		"a large port":        {"port", func(j *Job) { j.Port = 1 << 16 }},
		"a place without one": {"places", func(j *Job) { j.Places[0].Name = "" }},
		"many places":         {"places", func(j *Job) { j.Places = make([]Place, 51) }},
		"many addresses":      {"places.addresses", func(j *Job) { j.Places[0].Addresses = make([]netip.Addr, 201) }},
		"no address":          {"address", func(j *Job) { j.Places[0].Addresses = make([]netip.Addr, 1) }},
		"cloud credentials":   {"address", func(j *Job) { j.Places[0].Addresses[0] = netip.MustParseAddr("169.254.169.254") }},
		"many paths":          {"paths", func(j *Job) { j.Paths = make([]string, 21) }},
		"an empty path":       {"path", func(j *Job) { j.Paths = []string{""} }},
		"no path":             {"path", func(j *Job) { j.Paths = []string{"cart"} }},
		"two requests":        {"path", func(j *Job) { j.Paths = []string{"/ HTTP/1.1\r\nX: y"} }},
		"another host":        {"path", func(j *Job) { j.Paths = []string{"//evil.example/"} }},
		"metrics' path":       {"path", func(j *Job) { j.Metrics.Path = "" }},
		"metrics' port":       {"metrics.port", func(j *Job) { j.Metrics.Port = -1 }},
		"many servers":        {"nameservers", func(j *Job) { j.Nameservers = make([]Server, 32) }},
		"a server's port":     {"resolvers", func(j *Job) { j.Resolvers[0].Address = netip.MustParseAddrPort("192.0.2.1:0") }},
		"a server's address":  {"nameservers", func(j *Job) { j.Nameservers[0].Address = netip.AddrPort{} }},
		"a server's name":     {"nameservers", func(j *Job) { j.Nameservers[0].Name = "a\x00" }},
		"credentials for DNS": {"resolvers", func(j *Job) { j.Resolvers[0].Address = netip.MustParseAddrPort("169.254.169.254:53") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := whole()
			c.change(&j)
			err := j.Validate()
			f, ok := err.(*fault.Error)
			if !ok || f.Kind != fault.Invalid || f.Place != c.field || f.Hint == "" {
				t.Errorf("%v", err)
			}
			if done := Run(t.Context(), j, Options{}, func(Item) { t.Error("an item") }); done.Problem == "" || done.Job != j.ID {
				t.Errorf("run all the same: %+v", done)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(whole())
	must(t, err)
	var back Job
	must(t, json.Unmarshal(b, &back))
	if !reflect.DeepEqual(back, whole()) {
		t.Errorf("%+v", back)
	}
	it := Item{Job: "J1", Kind: KindDNS, Body: []byte{0, 0xff, '\n'}, At: time.Now().UTC().Round(0), Took: time.Second, Title: "T."}.sealed()
	b, err = json.Marshal(it)
	must(t, err)
	var same Item
	must(t, json.Unmarshal(b, &same))
	if must(t, same.Validate()); !reflect.DeepEqual(same, it) {
		t.Errorf("%+v", same)
	}
}

func TestItemValidate(t *testing.T) {
	t.Parallel()
	good := Item{Job: "J1", Kind: KindHTTP, Body: []byte("x"), Summary: strings.Repeat("ü\x1b", 900), Took: -1}.sealed()
	must(t, good.Validate())
	if good.Took != 0 || !strings.HasSuffix(good.Summary, "…") || strings.Contains(good.Summary, "\x1b") {
		t.Errorf("%+v", good)
	}
	if long := (Item{Job: "J1", Kind: KindHTTP, Body: make([]byte, MaxBody+1)}).sealed(); len(long.Body) != MaxBody || !long.Truncated {
		t.Error("not cut")
	}
	for name, change := range map[string]func(*Item){
		"no job":       func(i *Item) { i.Job = "" },
		"no kind":      func(i *Item) { i.Kind = "" },
		"another body": func(i *Item) { i.Body = []byte("y") },
		"too long":     func(i *Item) { i.Body = make([]byte, MaxBody+1); i.SHA256 = hash(i.Body) },
		"a long text":  func(i *Item) { i.Title = strings.Repeat("x", maxLine+1) },
	} {
		it := good
		if change(&it); fault.KindOf(it.Validate()) != fault.Invalid {
			t.Errorf("%s: taken", name)
		}
	}
}

// Every kind of question gets its turn early.
func TestTasksTakeTurns(t *testing.T) {
	t.Parallel()
	r := &run{job: whole(), o: patient()}
	var kinds []string
	for _, x := range r.tasks() {
		kinds = append(kinds, x.Kind)
	}
	if got := strings.Join(kinds, " "); got != "dns http tls metrics dns http tls metrics http tls metrics http http http" {
		t.Error(got)
	}
}

// A fault in reading costs its item, and nothing else.
func TestPanicIsAnItem(t *testing.T) {
	t.Parallel()
	r := &run{job: job(), o: patient().withDefaults()}
	items := r.take(t.Context(), task{Item{Kind: KindDNS, Source: "x", Title: "T."}, func(context.Context, Item) []Item { panic("hostile") }})
	if len(items) != 1 || items[0].Problem != "what came could not be read, by a fault in lifeboat" || items[0].Validate() != nil || items[0].Source != "x" {
		t.Errorf("%+v", items)
	}
}

// The whole ends in its time, and says what was not asked; no more is under way at
// once than allowed.
func TestTimeOfAll(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	at := serveRaw(t, func(c net.Conn) {
		for n := now.Add(1); n > most.Load(); {
			most.Store(n)
		}
		_, _ = io.Copy(io.Discard, c)
		now.Add(-1)
	})
	j := job(place("http", at, "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"))
	items, done := runs(t, j, Options{Parallel: 2, Item: time.Minute, All: 500 * time.Millisecond})
	if len(items) != 2 || done.Problem != "6 of 8 questions were not asked: the time was up" {
		t.Errorf("%d items, %+v", len(items), done)
	}
	for _, it := range items {
		if it.Problem != "no complete answer came before the time of the whole capture was up" {
			t.Errorf("%q", it.Problem)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d at once", most.Load())
	}
}

// emit is called one at a time, and every item is counted.
func TestEmitOneAtATime(t *testing.T) {
	t.Parallel()
	paths := strings.Split(strings.Repeat("/ ", MaxPaths-1)+"/", " ")
	j := job(place("http", closed(t), paths...))
	inside, n := false, 0 // the race detector looks, too
	done := Run(t.Context(), j, patient(), func(Item) {
		if inside {
			t.Error("two at once")
		}
		inside, n = true, n+1
		runtime.Gosched()
		inside = false
	})
	if n != MaxPaths || done.Items != n || done.Problem != "" {
		t.Errorf("%d items, %+v", n, done)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0 ms", 40 * time.Millisecond: "40 ms", 1200 * time.Millisecond: "1.2 s", 20 * time.Second: "20 s"} {
		if got := span(d); got != want {
			t.Errorf("%s: %q", d, got)
		}
	}
	for n, want := range map[float64]string{0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1 KB", 1.5e6: "1.5 MB", 2e30: "2000000000000 EB"} {
		if got := size(n); got != want {
			t.Errorf("%g: %q, want %q", n, got, want)
		}
	}
	if got := clip("ééé", 5); got != "é…" {
		t.Errorf("%q", got)
	}
}
