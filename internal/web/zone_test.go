package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/engine"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
	zonedesk "lifeboat/internal/zonebook/desk"
)

// zones has the boat's records edited; name servers answer with nothing.
func (b *boat) zones() *zonedesk.Desk {
	b.t.Helper()
	book, _, err := zonedesk.Open(b.t.Context(), b.store, b.eng.Zones(), b.eng.Sites())
	must(b.t, err)
	return zonedesk.New(zonedesk.Options{
		Store: b.store, Book: book, Zones: b.eng.Zones, Sites: b.eng.Sites, Crisis: b.eng.InCrisis, Now: b.clock, Logger: slog.New(slog.DiscardHandler),
		Ask: func(context.Context, netip.AddrPort, string, uint16) (*dns.Msg, error) {
			return nil, errors.New("nobody is there")
		},
		Hidden: func(name string) bool { return strings.HasPrefix(name, "lifeboat-drill") },
		Publish: func(ctx context.Context, src zone.Source, n int, conds []store.Cond, writes func(uint32) []store.Write) (uint32, bool, bool, error) {
			serial, err := b.eng.PublishRecords(ctx, engine.Records{Zone: src, Count: n, Conds: conds, Writes: writes})
			return serial, errors.Is(err, publish.ErrUnsure), errors.Is(err, engine.ErrRecordsRefused), err
		},
	})
}

// editor opens the pages with zones, signed in.
func (b *boat) editor(name string) *browser {
	b.t.Helper()
	o := b.options()
	o.Zones = b.zones()
	br := browse(b.t, New(o))
	if name == "" {
		br.enter(b)
		return br
	}
	br.enterAs(name)
	return br
}

// TestARecordByForms: a record is added, read in the plan, published and undone by pages
// alone, without scripts; each page is whole.
func TestARecordByForms(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := b.editor("")
	p := br.open("/zones").want(http.StatusOK, "shop.example.com", "as the configuration has them")
	checkPage(t, p)
	p = br.open("/zones/shop.example.com").want(http.StatusOK, "www", "CNAME", "follows the site shop")
	checkPage(t, p)
	form := br.open("/lifeboat/zone-add?zone=shop.example.com&rtype=MX").want(http.StatusOK, "Mail server")
	checkPage(t, form)
	form.press("Add to your changes", "owner=@", "target=192.0.2.1").want(http.StatusBadRequest, "is an address, and a name is needed", "192.0.2.1")
	p = form.press("Add to your changes", "owner=@", "target=mail.example.net", "kept=1h").want(http.StatusOK, "1 change not published", "mail.example.net", "new")
	checkPage(t, p)
	plan := p.follow("See the plan").want(http.StatusOK, "shop.example.com MX", "New, 10 mail.example.net, kept for 1 h.", "Mail depends on")
	checkPage(t, plan)
	p = plan.press("Publish", "note=the mail moves").want(http.StatusOK, "Revision 1 is published.", "10 mail.example.net")
	if strings.Contains(p.text(), "not published") {
		t.Error("what was published is still in the draft")
	}
	plan.press("Publish").want(http.StatusConflict, "nothing")
	history := p.follow("What was published").want(http.StatusOK, "the mail moves", "in force", "Ada")
	checkPage(t, history)
	checkPage(t, br.open("/zones/shop.example.com/text").want(http.StatusOK, "MX"))
	undo := p.follow("Undo the last publishing").want(http.StatusOK, "back to revision 0", "goes away")
	checkPage(t, undo)
	p = undo.press("Publish").want(http.StatusOK, "Revision 2 is published.")
	if p.says("mail.example.net") {
		t.Error("what was undone is still there")
	}
}

// TestTwoEditThemselves: what one publishes is shown to the other, and the other's draft
// stays.
func TestTwoEditThemselves(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	one := b.editor("")
	two := &browser{}
	*two = *another(t, &http.Client{}, one.base)
	two.enterAs("jonas")
	add := func(br *browser, name, address string) *sheet {
		return br.open("/lifeboat/zone-add?zone=shop.example.com&rtype=A").press("Add to your changes", "owner="+name, "address="+address).want(http.StatusOK, "1 change not published")
	}
	add(one, "api", "192.0.2.1")
	p := add(two, "cdn", "192.0.2.2").want(http.StatusOK, "Ada has 1 change not published")
	plan := p.follow("See the plan")
	one.open("/zones/shop.example.com/plan").press("Publish").want(http.StatusOK, "Revision 1 is published.")
	plan.press("Publish", "note=why not").want(http.StatusConflict, "The plan is another one by now", "Since you began")
	again := two.open("/zones/shop.example.com/plan")
	checkPage(t, again)
	again.want(http.StatusOK, "Since you began", "Ada", "revision 1", "api.shop.example.com A: new", "cdn.shop.example.com A", "192.0.2.2")
	again.press("Publish").want(http.StatusOK, "Revision 2 is published.", "192.0.2.1", "192.0.2.2")
}

// TestRecordsRoles: a viewer reads, and changes nothing.
func TestRecordsRoles(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("mia", "Mia", role.Viewer)
	br := b.editor("mia")
	br.open("/zones/shop.example.com").want(http.StatusOK, "www")
	br.post("/lifeboat/zone-add", url.Values{"zone": {"shop.example.com"}, "rtype": {"A"}, "owner": {"x"}, "address": {"192.0.2.1"}, "key": {"k"}}).want(http.StatusForbidden, "operator")
	br.open("/zones/shop.example.com/plan").want(http.StatusOK, "Nothing would change")
}

// TestHostileRecords: what is typed as a record is a record, or is refused in words; text
// comes back as text.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := b.editor("")
	for _, nasty := range []string{"<script>alert(1)</script>", "\u202eevil", "a\nb IN A 192.0.2.9", `"; ; $INCLUDE /etc/passwd`, strings.Repeat("x", 1500), "$ORIGIN .", "'--", "\\", `\`, "*.*", "..", "ä.example"} {
		for _, f := range []url.Values{
			{"rtype": {"TXT"}, "owner": {"t"}, "text": {nasty}},
			{"rtype": {"A"}, "owner": {nasty}, "address": {"192.0.2.1"}},
			{"rtype": {nasty}, "owner": {"t"}, "data": {nasty}},
			{"rtype": {"other"}, "new_type": {nasty}, "owner": {"t"}, "data": {nasty}},
			{"rtype": {"CNAME"}, "owner": {"c"}, "target": {nasty}},
		} {
			f.Set("zone", "shop.example.com")
			f.Set("key", "k")
			p := br.post("/lifeboat/zone-add", f)
			if p.status >= 500 || strings.Contains(p.raw, "<script>alert") {
				t.Errorf("%q in %v: %d", nasty, f, p.status)
			}
			for _, tag := range p.all("script") {
				if strings.Contains(textOf(tag), "alert(1)") {
					t.Errorf("%q runs", nasty)
				}
			}
		}
		p := br.open("/zones/shop.example.com?find=" + url.QueryEscape(nasty))
		if p.status != http.StatusOK || strings.Contains(p.raw, "<script>alert") {
			t.Errorf("%q: %d", nasty, p.status)
		}
		br.post("/lifeboat/zone-paste", url.Values{"zone": {"shop.example.com"}, "records": {nasty}, "how": {"add"}, "key": {"k"}})
	}
	br.open("/zones/shop.example.com/plan").want(http.StatusOK)
}

// zonePages are the pages of zones as a person meets them on the way from a change to the
// way back.
func zonePages(t *testing.T) map[string]string {
	t.Helper()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	ada := b.editor("")
	jonas := another(t, &http.Client{}, ada.base)
	jonas.enterAs("jonas")
	pages := map[string]string{}
	keep := func(name string, p *sheet) *sheet { pages[name] = p.raw; return p }
	add := func(br *browser, typ string, typed ...string) *sheet {
		return br.open("/lifeboat/zone-add?zone=shop.example.com&rtype="+typ).press("Add to your changes", typed...)
	}
	keep("zones", ada.open("/zones"))
	keep("zone", ada.open("/zones/shop.example.com"))
	keep("zone-add", ada.open("/lifeboat/zone-add?zone=shop.example.com&rtype=MX"))
	keep("zone-refused", add(ada, "A", "owner=api", "address=192.0.2").want(http.StatusBadRequest))
	add(ada, "A", "owner=api", "address=192.0.2.7", "kept=2d")
	add(ada, "TXT", "owner=@", "text=v=spf1 include:_spf.mail.example.net ip4:192.0.2.0/24 ip6:2001:db8::/32 -all")
	add(jonas, "MX", "owner=@", "target=mail.example.net")
	jonas.open("/zones/shop.example.com/plan").press("Publish", "note=mail comes from elsewhere").want(http.StatusOK)
	keep("zone-edit", ada.open("/zones/shop.example.com").follow("Edit: www CNAME shop.example.com."))
	ada.open("/zones/shop.example.com").follow("Edit: www CNAME shop.example.com.").press("Remove it").want(http.StatusOK)
	keep("zone-draft", ada.open("/zones/shop.example.com").want(http.StatusOK, "3 changes not published"))
	plan := keep("zone-plan", ada.open("/zones/shop.example.com/plan").want(http.StatusOK, "Since you began"))
	keep("zone-asks", plan.press("Publish").want(http.StatusConflict))
	keep("zone-published", plan.press("Publish", "accept=yes", "note=the shop's new interface").want(http.StatusOK, "Revision 2 is published"))
	keep("zone-history", ada.open("/zones/shop.example.com/history"))
	keep("zone-undo", ada.open("/zones/shop.example.com/plan?which=undo"))
	keep("zone-text", ada.open("/zones/shop.example.com/text"))
	keep("zone-paste", ada.open("/lifeboat/zone-paste?zone=shop.example.com"))
	keep("zone-none", ada.open("/zones/nowhere.example"))
	return pages
}

// TestZonesForEverybody: nobody stumbles over a page of zones, by day on a phone and by
// night on a desk. LIFEBOAT_SCENES names a folder that the pages are written to.
func TestZonesForEverybody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIP: a browser takes some seconds")
	}
	forEverybody(t, zonePages(t))
}
