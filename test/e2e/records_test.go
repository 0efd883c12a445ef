package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	wire "github.com/miekg/dns"

	"lifeboat/internal/api"
	"lifeboat/internal/zonebook"
	zonedesk "lifeboat/internal/zonebook/desk"
	"lifeboat/test/eyes"
)

// planOf is the plan of what would be published.
func (b *Boat) planOf(zone, kind string) (p zonebook.Plan) {
	b.t.Helper()
	b.Must(b.Get("/zones/"+zone+"/plan?revision=-1&kind="+kind, &p))
	return p
}

// publishes publishes what a plan of ours says.
func (b *Boat) publishes(zone, kind string) (out zonedesk.Published, err error) {
	b.t.Helper()
	body := map[string]any{"hash": b.planOf(zone, kind).Hash, "kind": kind, "revision": -1, "accept": true, "note": "because"}
	return out, b.PostRoot("/zones/"+zone+"/publish", body, &out)
}

// adds adds a record to our draft.
func (b *Boat) adds(zone, name, typ, data string) {
	b.t.Helper()
	b.Must(b.PostRoot("/zones/"+zone+"/draft", map[string]any{"changes": []map[string]any{{"op": "add", "name": name, "type": typ, "data": []string{data}}}}, nil))
}

// TestRecords: records that people publish are answered, signed where the zone is, under a
// serial that grows; they are undone as they were, and survive what kills a process.
func TestRecords(t *testing.T) {
	t.Parallel()
	b := Moor(t, Options{})
	b.Configure(strings.Replace(b.sample(), "levers:\n", "  signed.example:\n    ttl: 1s\n    ns: [ns1.example.net.]\n    dnssec: true\n    records: |\n      www A 192.0.2.1\nlevers:\n", 1))
	b.Serve()
	serial := func(zone string) uint32 {
		var n uint32
		f := strings.Fields(b.dig(b.Addr(4), "+short", zone, "SOA"))
		if len(f) < 3 {
			t.Fatalf("%s has no SOA: %v", zone, f)
		}
		_, err := fmt.Sscan(f[2], &n)
		b.Must(err)
		return n
	}
	address := func(name string) string { return b.dig(b.Addr(4), "+short", name, "A") }

	out, err := b.Run("zone", "add", "shop.example.com", "api", "A", "192.0.2.7", "--data", b.data)
	if err != nil || !strings.Contains(out, "1 change not published") {
		t.Fatalf("zone add: %v: %s", err, out)
	}
	if address("api.shop.example.com") != "" {
		t.Error("a draft is answered")
	}
	if _, err := b.Run("zone", "discard", "shop.example.com", "--data", b.data); err != nil {
		t.Error(err)
	}
	before := serial("shop.example.com")
	b.adds("shop.example.com", "api", "A", "192.0.2.7")
	done, err := b.publishes("shop.example.com", "draft")
	if err != nil || !strings.HasPrefix(done.Outcome.Words, "Answered by 1 of 1 name servers") {
		t.Fatalf("it came to %+v %v", done.Outcome, err)
	}
	if got := address("api.shop.example.com"); got != "192.0.2.7" || serial("shop.example.com") != before+1 {
		t.Errorf("dig says %q, serial %d after %d", got, serial("shop.example.com"), before)
	}
	b.Expect(home) // names that follow the site stay where they are

	b.adds("signed.example", "txt", "TXT", `"a; b"`)
	if _, err := b.publishes("signed.example", "draft"); err != nil {
		t.Fatal(err)
	}
	b.validated("signed.example.", "txt.signed.example.", "TXT")
	b.validated("signed.example.", "www.signed.example.", "A")

	old := b.Running(b.Control)
	b.crash("records-written")
	b.adds("shop.example.com", "cdn", "A", "192.0.2.8")
	if _, err := b.publishes("shop.example.com", "draft"); err == nil { // control dies with the revision written and not served
		t.Fatal("control did not die")
	}
	b.AwaitControl(old)
	b.Eventually("what was written is served by the next control", func() bool { return address("cdn.shop.example.com") == "192.0.2.8" })
	if address("api.shop.example.com") != "192.0.2.7" {
		t.Error("the revision before is lost")
	}
	if got := serial("shop.example.com"); got < before+2 {
		t.Errorf("the serial is %d", got)
	}
	for _, kind := range []string{"undo", "undo"} { // there and back again
		if _, err := b.publishes("shop.example.com", kind); err != nil {
			t.Fatal(err)
		}
	}
	many := ""
	for i := range 30 {
		many += fmt.Sprintf("many%d 60 A 192.0.2.%d\n", i, i+1)
	}
	b.Must(b.PostRoot("/zones/shop.example.com/draft/paste", map[string]any{"records": many}, nil))
	for _, kind := range []string{"draft", "undo"} { // more than half go away, and control still starts
		if _, err := b.publishes("shop.example.com", kind); err != nil {
			t.Fatal(err)
		}
		if kind == "draft" {
			b.KillControl() // the next one has seen the zone as large as it is now
		}
	}
	b.KillAnswer()
	b.Eventually("control has greeted the new answer", func() bool {
		_, err := b.publishes("signed.example", "undo")
		return err == nil
	})
	b.KillControl()
	if _, err := b.publishes("shop.example.com", "configuration"); err != nil {
		t.Fatal(err)
	}
	if got := b.dig(b.Addr(4), "cdn.shop.example.com", "A"); !strings.Contains(got, "NXDOMAIN") {
		t.Errorf("what was taken back is answered: %s", got)
	}
	b.KillControl()
	var list struct{ Revisions []zonedesk.Entry }
	b.Must(b.Get("/zones/shop.example.com/revisions", &list))
	if n := len(list.Revisions); n != 8 || address("api.shop.example.com") != "" {
		t.Errorf("there are %d revisions", n)
	}
	b.Must(b.PostRoot("/levers/to-standby/pull", api.ReasonBody{Reason: "Never rehearsed."}, nil)) // and levers work as ever
	b.Expect(standby)
}

// validated has delv, which trusts the zone's own key alone, ask for a set.
func (b *Boat) validated(apex, name, typ string) {
	b.t.Helper()
	m := new(wire.Msg).SetQuestion(apex, wire.TypeDNSKEY)
	r, _, err := (&wire.Client{Net: "tcp"}).Exchange(m, b.DNS())
	b.Must(err)
	anchors := "trust-anchors {\n"
	for _, rr := range r.Answer {
		if k, is := rr.(*wire.DNSKEY); is {
			anchors += fmt.Sprintf("  %q static-key %d %d %d %q;\n", apex, k.Flags, k.Protocol, k.Algorithm, k.PublicKey)
		}
	}
	file := filepath.Join(b.dir, "anchors")
	b.Must(os.WriteFile(file, []byte(anchors+"};\n"), 0o600))
	out, err := exec.Command(tool(b.t, "delv"), "@"+b.Addr(4), "-p", fmt.Sprint(b.port), "-a", file, "+root="+apex, name, typ).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "fully validated") {
		b.t.Errorf("delv %s %s: %v\n%s", name, typ, err, out)
	}
}

// TestRecordsByKeyboard: a record is added, planned, published and undone with nothing but
// a keyboard, on a phone without JavaScript.
func TestRecordsByKeyboard(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Undrilled: true})
	tab := eyes.Open(t, eyes.Options{NoScript: true})
	tab.See(eyes.Phone, false)
	h := &hands{t: t, tab: tab}
	answer := func() string { return b.dig(b.Addr(4), "+short", "api.shop.example.com", "A") }
	tab.Do(chromedp.Navigate("http://" + b.Console() + "/"))
	h.reach("a token's field", `e.id === "token"`)
	h.types(b.Token())
	h.enter()
	h.reads("All is well")
	h.to("Menu")
	tab.Do(chromedp.KeyEvent(kb.Enter))
	h.to("Zones")
	h.enter()
	h.reads("1")
	h.to("shop.example.com")
	h.enter()
	h.reads("shop.example.com")
	h.to("Add a record")
	tab.Do(chromedp.KeyEvent(kb.Enter))
	h.reach("the type A", `e.matches("a") && e.textContent.startsWith("AWhere")`)
	h.enter()
	h.reads("A new record: A")
	h.reach("the name", `e.id === "owner"`)
	h.types("api")
	h.reach("the address", `e.id === "address"`)
	h.types("192.0.2.7")
	h.to("Add to your changes")
	h.enter()
	h.to("See the plan")
	h.enter()
	h.reads("api.shop.example.com A is new")
	h.to("Publish")
	h.enter()
	h.reads("shop.example.com")
	if got := answer(); got != "192.0.2.7" {
		t.Errorf("the name server says %q", got)
	}
	h.to("Undo the last publishing")
	h.enter()
	h.reads("Undo: back to revision 0")
	h.reach("what is accepted", `e.type === "checkbox"`)
	h.types(" ")
	h.to("Publish")
	h.enter()
	h.reads("shop.example.com")
	if got := answer(); got != "" {
		t.Errorf("the name server says %q", got)
	}
	for _, stray := range tab.Stray() {
		t.Error(stray)
	}
}
