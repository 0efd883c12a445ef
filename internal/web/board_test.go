package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/board"
	"lifeboat/internal/board/desk"
	"lifeboat/internal/boardfeed"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
	"lifeboat/internal/statuspage"
	"lifeboat/internal/store/mem"
)

// writing gives the boat a status page of two languages, and what is written beforehand.
func (b *boat) writing() *desk.Desk {
	b.t.Helper()
	sunday, err := board.ParseEvery("first sunday 02:00")
	must(b.t, err)
	d := desk.New(desk.Options{Store: mem.New(mem.Options{}), Now: b.clock, NewID: b.newID, Settings: desk.Settings{
		Pages: []board.Page{{ID: "main", Hosts: []string{"status.example.org"}, URL: "https://status.example.org", Name: "Harbour Goods", Languages: []string{"en", "de"}, Zone: "Europe/Berlin"}},
		Components: []board.Definition{
			{ID: "web", Name: board.Text{"": "Website"}, Measured: []board.Measure{{Site: "shop"}}},
			{ID: "checkout", Name: board.Text{"": "Checkout", "de": "Kasse"}, Measured: []board.Measure{{Site: "shop", Checks: []string{"pay"}}}},
			{ID: "deliveries", Name: board.Text{"": "Deliveries"}},
		},
		Templates: []board.Template{{ID: "looking", Title: board.Text{"": "Payments fail", "de": "Zahlungen schlagen fehl"}, Step: board.Identified, Text: board.Text{"": "We are looking into it.", "de": "Wir sehen es uns an."}}},
		Rules:     []board.Rule{{ID: "backup", Title: board.Text{"": "The books are closed"}, Every: sunday, Lasts: time.Hour, Announce: 72 * time.Hour}},
		Zone:      berlin,
	}})
	must(b.t, d.Start(b.t.Context()))
	d.Show(board.Make(board.Page{}, board.Facts{Sheet: d.Sheet(), Now: b.clock()}))
	b.words = d
	return d
}

// writer is a browser of Ada's, and the desk that it writes to.
func writer(t *testing.T) (*boat, *desk.Desk, *browser) {
	t.Helper()
	b := launch(t)
	d := b.writing()
	br := browse(t, b.handler())
	br.enter(b)
	return b, d, br
}

// TestTellVisitors: somebody opens an incident, sees what visitors will see, publishes
// it with one press, tells more, and ends it: all without scripts.
func TestTellVisitors(t *testing.T) {
	t.Parallel()
	b, d, br := writer(t)
	form := br.open("/status-page").want(http.StatusOK, "Visitors", "Website", "The books are closed", "Payments fail").follow("Tell visitors of a fault")
	checkPage(t, form)
	typed := []string{"title=Card payments fail", "title_de=Kartenzahlungen", "text=We are looking\n\ninto it.", "text_de=Wir sehen nach.", "state_checkout=partial_outage", "next=20 min", "silent=yes"}
	seen := form.press("Preview", typed...).want(http.StatusOK, "This is what visitors will see.", "Nothing is published yet.")
	checkPage(t, seen)
	if len(d.Records().Incidents) != 0 {
		t.Fatal("a preview published something")
	}
	frame := get(seen.all("iframe")[0], "src")
	shown := br.open(frame).want(http.StatusOK, "Card payments fail", "We are looking", "Checkout: Works in part")
	if shown.header.Get("X-Frame-Options") != "SAMEORIGIN" || !strings.Contains(shown.header.Get("Content-Security-Policy"), "sandbox allow-same-origin") || strings.Contains(shown.header.Get("Content-Security-Policy"), "script-src") {
		t.Errorf("%v", shown.header)
	}
	done := seen.press("Publish").want(http.StatusOK, "Ada told visitors: Card payments fail")
	id := strings.TrimPrefix(done.url.Path, "/status-page/incidents/")
	in := d.Records().Incidents[id]
	if in.Title["de"] != "Kartenzahlungen" || in.Updates[0].Text[""] != "We are looking\n\ninto it." || in.Says("checkout") != board.Partial || in.By != "Ada" || !in.Updates[0].Silent || in.NextDue != b.clock().Add(20*time.Minute) {
		t.Errorf("%+v", in)
	}
	checkPage(t, done)
	more := done.follow("Tell visitors more").press("Preview", "text=It is the supplier.", "step=identified").press("Publish").want(http.StatusOK, "It is the supplier.")
	more.follow("Tell visitors more").press("Preview", "text=It works again.", "step=resolved").press("Publish").want(http.StatusOK, "It is over")
	if in = d.Records().Incidents[id]; in.Open() || len(in.Updates) != 3 || in.Updates[2].By != "Ada" {
		t.Errorf("%+v", in)
	}
	page := br.open("/status-page/incidents/" + id)
	page.follow("Correct it: the message of 12 Mar 03:06").press("Preview", "text=It was the supplier of ours.").press("Publish").want(http.StatusOK, "It was the supplier of ours.")
	page.follow("Correct its title or impact").press("Preview", "title=Cards fail", "impact=major").press("Publish").want(http.StatusOK, "Cards fail", "large effect")
	br.open("/status-page/history").want(http.StatusOK, "Ada corrected what visitors are told", "Ada told visitors")
}

// TestPreviewIsWhatIsPublished: what the preview showed of an incident is, to the last
// byte, what the page shows of it afterwards; only the number in its address is new.
func TestPreviewIsWhatIsPublished(t *testing.T) {
	t.Parallel()
	b, d, br := writer(t)
	ids := regexp.MustCompile(`x01j[0-9a-z]+`)
	hidden := func(s string) string { return ids.ReplaceAllString(s, "ID") }
	for _, c := range []struct {
		path  string
		typed []string
	}{
		{"board-open", []string{"title=Card <b>payments</b> fail", "text=One.\n\nTwo & href=\"/x\".", "title_de=Karten", "state_checkout=major_outage", "next=1 h"}},
		{"board-plan", []string{"title=The database moves", "text=No orders.", "from=2026-03-14T02:00", "until=2026-03-14T04:00", "part=web"}},
	} {
		seen := br.open("/lifeboat/"+c.path).press("Preview", c.typed...).want(http.StatusOK)
		var before []string
		for _, a := range seen.all("a") {
			if get(a, "target") == "preview" {
				before = append(before, get(a, "href"))
			}
		}
		if len(before) != 4 {
			t.Fatalf("%d pages are shown: %v", len(before), before)
		}
		var pages []string
		for _, at := range before {
			pages = append(pages, br.open(at).want(http.StatusOK).raw)
		}
		seen.press("Publish").want(http.StatusOK)
		f := board.Facts{Sheet: d.Sheet(), History: d.Past(), Now: b.clock()}
		f.Ordered, f.Seen = b.eng.Visible()
		now := board.Make(f.Sheet.Pages[0], f)
		under := regexp.MustCompile(`/status-page/preview/[0-9a-f]+/main`)
		for i, at := range before {
			path := ids.ReplaceAllString(under.ReplaceAllString(at, ""), idOf(now, c.path))
			want, found, err := statuspage.At(now, statuspage.Options{Feeds: boardfeed.Links()}, path)
			if err != nil || !found {
				t.Fatalf("%s: %v %v", path, found, err)
			}
			if got := under.ReplaceAllString(pages[i], ""); hidden(got) != hidden(string(want.Body)) {
				t.Errorf("%s differs:\n%s\n----\n%s", path, hidden(got), hidden(string(want.Body)))
			}
		}
	}
}

func idOf(b board.Board, act string) string {
	if act == "board-plan" {
		return b.Maintenances[0].ID
	}
	return b.Incidents[0].ID
}

// TestBoardKeepsWhatWasTyped: bad input is told in words, and nothing of it is lost, in
// the form and on the way back from the preview.
func TestBoardKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	_, d, br := writer(t)
	typed := []string{"title=" + strings.Repeat("t", board.MaxTitle+1), "title_de=Karten", "text=one\n\ntwo", "text_de=zwei", "next=soon", "state_web=degraded_performance", "impact=major", "step=monitoring", "silent=yes"}
	for _, wrong := range [][]string{typed, append([]string{"title=Fine", "next=20 min", "began=never"}, typed[1:4]...), append([]string{"title=Fine", "next=900 h"}, typed[1:4]...)} {
		p := br.open("/lifeboat/board-open").press("Preview", wrong...).want(http.StatusBadRequest)
		checkPage(t, p)
		for _, s := range wrong {
			if name, want, _ := strings.Cut(s, "="); p.value(name) != want {
				t.Errorf("%s came back as %.100q, want %.100q", name, p.value(name), want)
			}
		}
	}
	typed[0], typed[4] = "title=Cards", "next=20 min"
	back := br.open("/lifeboat/board-open").press("Preview", typed...).press("Change it").want(http.StatusOK)
	for _, s := range typed {
		if name, want, _ := strings.Cut(s, "="); back.value(name) != want {
			t.Errorf("%s came back as %.100q from the preview, want %.100q", name, back.value(name), want)
		}
	}
	back.press("Preview", "title=Cards again").press("Publish").want(http.StatusOK, "Cards again")
	for _, in := range d.Records().Incidents {
		if in.Step != board.Monitoring || in.Impact != board.ImpactMajor || in.Says("web") != board.Degraded || in.Updates[0].Text["de"] != "zwei" {
			t.Errorf("%+v", in)
		}
	}
	for path, wrong := range map[string][]string{
		"board-plan":                   {"title=Move", "from=2026-03-14T02:00", "until=2026-03-13T02:00", "part=web", "text=a word"},
		"board-override?item=checkout": {"state=partial_outage", "reason_text=so and so", "for=a while"},
	} {
		p := br.open("/lifeboat/"+path).press("Preview", wrong...).want(http.StatusBadRequest)
		for _, s := range wrong {
			if name, want, _ := strings.Cut(s, "="); p.value(name) != want {
				t.Errorf("%s: %s came back as %.100q, want %.100q", path, name, p.value(name), want)
			}
		}
	}
}

// TestPublishActsOnce: a press that is sent twice publishes once; one that rests on what
// somebody changed meanwhile publishes nothing until it was looked at again.
func TestPublishActsOnce(t *testing.T) {
	t.Parallel()
	b, d, br := writer(t)
	seen := br.open("/lifeboat/board-open").press("Preview", "title=Cards", "text=One.")
	first := seen.press("Publish").want(http.StatusOK)
	again := seen.press("Publish").want(http.StatusOK)
	if len(d.Records().Incidents) != 1 || first.url.Path != again.url.Path {
		t.Errorf("%d incidents, %s and %s", len(d.Records().Incidents), first.url, again.url)
	}
	id := strings.TrimPrefix(first.url.Path, "/status-page/incidents/")
	late := br.open("/lifeboat/board-update?item="+id).press("Preview", "text=Mine.")
	b.set(func() { b.now = b.now.Add(time.Minute) })
	_, err := d.Do(t.Context(), board.Who{Name: "Jonas"}, board.UpdateIncident{ID: id, Text: board.Text{"": "His."}})
	must(t, err)
	p := late.press("Publish").want(http.StatusConflict, "Somebody changed it meanwhile")
	if n := len(d.Records().Incidents[id].Updates); n != 2 {
		t.Errorf("%d messages", n)
	}
	br.open(get(p.all("iframe")[0], "src")).want(http.StatusOK, "Mine.", "His.")
	p.press("Publish").want(http.StatusOK, "Mine.")
}

// TestOverrideAndWork: a part is shown otherwise and taken back; work is announced, begun,
// ended and cancelled, and what recurs and was cancelled does not come back.
func TestOverrideAndWork(t *testing.T) {
	t.Parallel()
	b, d, br := writer(t)
	br.open("/status-page").follow("Show it otherwise: Checkout").press("Preview", "state=partial_outage", "reason_text=Some cards are declined", "for=2 h").want(http.StatusOK).press("Publish").want(http.StatusOK, "Ada had checkout shown as")
	room := br.open("/status-page").want(http.StatusOK, "Ada, 12 Mar 03:06", "shown as works in part", "until 12 Mar 05:06", "Some cards are declined")
	checkPage(t, room)
	room.press("Take it back: Checkout").want(http.StatusOK, "Ada lets the checks decide")
	if len(d.Records().Overrides) != 0 {
		t.Error("the override is still there")
	}
	plan := br.open("/status-page").follow("Announce work").press("Preview", "title=The database moves", "from=2026-03-14T02:00", "until=2026-03-14T04:00", "part=web", "text=No orders meanwhile.").press("Publish").want(http.StatusOK, "The database moves", "14 Mar 02:00 to 14 Mar 04:00", "Website")
	checkPage(t, plan)
	plan.follow("Change what is announced").press("Preview", "until=2026-03-14T05:00").press("Publish").want(http.StatusOK, "14 Mar 05:00")
	br.open("/status-page").follow("Begin now: The database moves").press("Preview").press("Publish").want(http.StatusOK, "Under way")
	br.open("/status-page").follow("It is done: The database moves").press("Preview", "text=It took 40 minutes.").press("Publish").want(http.StatusOK, "Done", "It took 40 minutes.")

	b.set(func() { b.now = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC) })
	b.set(func() { b.now = time.Date(2026, 4, 3, 12, 0, 0, 0, time.UTC) }) // two days before the first Sunday
	b.look()
	br.enter(b)
	d.Tend(t.Context())
	br.open("/status-page").want(http.StatusOK, "The books are closed").follow("The books are closed").press("Cancel it: The books are closed").want(http.StatusOK, "took back what was announced")
	d.Tend(t.Context())
	for _, m := range d.Sheet().Maintenances {
		if m.Rule != "" {
			t.Errorf("what was cancelled is announced again: %+v", m)
		}
	}
}

// TestStoryByHand: the write-up comes onto the page when a person publishes it, begun
// with the public version of the crew's, and leaves it by a press.
func TestStoryByHand(t *testing.T) {
	t.Parallel()
	b := launch(t)
	reviewing(b)
	d := b.writing()
	crew := desk.Crew{ID: b.in().ID, Site: "shop", Title: board.Text{"": "The shop did not open"}, Began: start, News: []desk.News{{ID: "u1", Text: "It is over.", Step: board.Resolved, By: "Ada"}}}
	d.Follow(t.Context(), []desk.Crew{crew})
	br := browse(t, b.handler())
	br.enter(b)
	var id string
	for id = range d.Records().Incidents {
	}
	br.open("/incidents/" + b.in().ID + "/write-up?public=1").follow("On the status page").at("/status-page/incidents/" + id)
	page := br.open("/status-page/incidents/"+id).want(http.StatusOK, "It is not on the page. Nothing puts it there by itself.")
	form := page.follow("Publish the write-up").want(http.StatusOK, "It is copied from what visitors may read")
	text := form.value("text")
	if !strings.HasPrefix(text, "# Summary\n\n") || !strings.Contains(text, "# What visitors met") || strings.Contains(text, "Ada") || strings.Contains(text, "To be written") {
		t.Errorf("it begins with %.1500s", text)
	}
	seen := form.press("Preview", "text=# Sorry\n\nIt was our fault.", "text_de=# Entschuldigung").want(http.StatusOK)
	br.open(get(seen.all("iframe")[0], "src")).want(http.StatusOK, "Sorry", "It was our fault.")
	done := seen.press("Publish").want(http.StatusOK, "Ada published the write-up")
	if s := d.Records().Incidents[id].Story; s == nil || s.Text["de"] != "# Entschuldigung" {
		t.Fatalf("%+v", s)
	}
	done.follow("Write it anew").want(http.StatusOK, "It was our fault.")
	done.press("Take the write-up off the page").want(http.StatusOK, "took the write-up of")
	if d.Records().Incidents[id].Story != nil {
		t.Error("it is still there")
	}
}

// TestAttach: what was told by hand becomes the crew's: their next message is on it.
func TestAttach(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	toldVisitors(b)
	br := browse(t, b.handler())
	br.enter(b)
	crew := b.in()
	page := br.open("/status-page").follow("Card payments fail")
	form := page.follow("Tie it to the crew’s incident").want(http.StatusOK, crew.Title)
	done := form.press("Tie it to the crew’s incident", "crew="+crew.ID).want(http.StatusOK, "Ada tied", "Their incident")
	b.words.Follow(t.Context(), []desk.Crew{{ID: crew.ID, Site: "shop", Title: board.Text{"": "Another title"}, News: []desk.News{{ID: "n1", Text: "The crew says so.", Step: board.Identified, By: "Ada"}}}})
	br.open(done.url.Path).want(http.StatusOK, "The crew says so.")
	if n := len(b.words.Records().Incidents); n != 2 {
		t.Errorf("%d incidents", n)
	}
	br.open("/status-page").follow("Slow searches").follow("Tie it to the crew’s incident").press("Tie it to the crew’s incident", "crew="+crew.ID).want(http.StatusConflict, "is on")
	br.open("/status-page").follow("Slow searches").follow("Tie it to the crew’s incident").press("Tie it to the crew’s incident", "crew_id=nothing").want(http.StatusNotFound)
	br.open(done.url.Path).follow("Tie it to the crew’s incident").press("Tie it to the crew’s incident", "crew=none").want(http.StatusOK, "Ada untied")
}

// TestLongStory: a write-up may be as long as the page takes, in each language; one that is
// longer is refused with all of it.
func TestLongStory(t *testing.T) {
	t.Parallel()
	b := launch(t)
	toldVisitors(b)
	br := browse(t, b.handler())
	br.enter(b)
	form := br.open("/status-page").follow("Slow searches").follow("Write it anew")
	long := strings.Repeat("ä", board.MaxStory)
	form.press("Preview", "text="+long, "text_de="+long).want(http.StatusOK).press("Publish").want(http.StatusOK, "Ada published the write-up")
	if p := form.press("Preview", "text="+long+"ä").want(http.StatusBadRequest); p.value("text") != long+"ä" {
		t.Error("what was typed is lost")
	}
}

// TestBoardRoles: who may not write on the status page reads it, and is offered nothing.
func TestBoardRoles(t *testing.T) {
	t.Parallel()
	b, d, _ := writer(t)
	h := b.handler()
	change, err := d.Do(t.Context(), board.Who{Name: "Ada"}, board.OpenIncident{Title: board.Text{"": "Cards"}, Text: board.Text{"": "One."}})
	must(t, err)
	for _, may := range role.Roles {
		b.person(string(may), string(may), may)
		br := browse(t, h)
		br.enterAs(string(may))
		writes := incident.May(incident.SendUpdate{}, incident.Actor{Kind: "person", Role: string(may)}) == nil
		p := br.open("/status-page").want(http.StatusOK, "Cards", "Website")
		if offered := strings.Contains(p.raw, "/lifeboat/board-open"); offered != writes {
			t.Errorf("%s is offered it: %v", may, offered)
		}
		for name := range boardActs {
			w := br.post("/lifeboat/"+name, url.Values{"item": {change.Incident.ID}, "press": {"publish"}, "title": {"x"}, "text": {"x"}, "key": {name}})
			if denied := w.status == http.StatusForbidden; denied == writes {
				t.Errorf("%s as %s: %d", name, may, w.status)
			}
		}
	}
}

// TestNobodyElsesDraft: a preview is for who made it, and only for a while.
func TestNobodyElsesDraft(t *testing.T) {
	t.Parallel()
	b, _, br := writer(t)
	b.person("jonas", "Jonas", role.Operator)
	src := get(br.open("/lifeboat/board-open").press("Preview", "title=Cards", "text=One.").all("iframe")[0], "src")
	other := browse(t, b.handler())
	other.enterAs("jonas")
	other.open(src).want(http.StatusNotFound, "This preview is gone")
	br.open(src + "/nowhere").want(http.StatusNotFound)
	var kept drafts
	id := kept.keep(draft{at: start})
	if _, known := kept.of(id, account.Who{}, start.Add(draftLife)); !known {
		t.Error("a preview is gone too early")
	}
	if _, known := kept.of(id, account.Who{}, start.Add(draftLife+time.Second)); known {
		t.Error("a preview is there for ever")
	}
	for i := range 3 * maxDrafts {
		kept.keep(draft{at: start.Add(time.Duration(i) * time.Millisecond)})
	}
	if n := len(kept.m); n != maxDrafts {
		t.Errorf("%d drafts are kept", n)
	}
}

// TestHostileBoard: what is typed into any field of the status page's forms stays text,
// in the room, in the preview and on the page.
func TestHostileBoard(t *testing.T) {
	t.Parallel()
	for i, evil := range []string{`"><script>alert(1)</script>`, "\u202eevil <img src=x onerror=alert(1)>", `' onmouseover='alert(1)`, "javascript:alert(1)", `</textarea><iframe srcdoc="x">`, "{{.}} ${7*7}", ` href="/steal"`} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			_, _, br := writer(t)
			seen := br.open("/lifeboat/board-open").press("Preview", "title="+evil, "title_de="+evil, "text="+evil, "text_de="+evil).want(http.StatusOK)
			pages := []*sheet{seen, br.open(get(seen.all("iframe")[0], "src")), seen.press("Change it"), seen.press("Publish").want(http.StatusOK), br.open("/status-page"), br.open("/status-page/history")}
			id := strings.TrimPrefix(pages[3].url.Path, "/status-page/incidents/")
			br.open("/lifeboat/board-override?item=web").press("Preview", "state=partial_outage", "reason_text="+evil, "reason_text_de="+evil).press("Publish").want(http.StatusOK)
			br.open("/lifeboat/board-update?item="+id).press("Preview", "text="+evil, "step=resolved").press("Publish").want(http.StatusOK)
			story := br.open("/lifeboat/board-story?item="+id).press("Preview", "text=# "+evil+"\n\n"+evil)
			pages = append(pages, br.open(get(story.all("iframe")[0], "src")), story.press("Publish"), br.open("/status-page"))
			plan := br.open("/lifeboat/board-plan").press("Preview", "title="+evil, "title_de="+evil, "text="+evil, "from=2026-03-14T02:00", "until=2026-03-14T04:00")
			pages = append(pages, plan, br.open(get(plan.all("iframe")[0], "src")), plan.press("Publish"))
			work := strings.TrimPrefix(pages[len(pages)-1].url.Path, worksPath)
			pages = append(pages, br.open("/lifeboat/board-work?item="+work).press("Preview", "step=in_progress", "text="+evil).press("Publish"))
			pages = append(pages, br.open("/lifeboat/board-work-edit?item="+work).press("Preview", "title="+evil).press("Publish"), br.open("/lifeboat/board-edit?item="+id).press("Preview", "title="+evil).press("Publish"))
			attach := br.open("/lifeboat/board-attach?item="+id).press("Tie it to the crew’s incident", "crew_id="+cut(evil, 60))
			if len(attach.all("img"))+len(attach.all("iframe")) > 0 {
				t.Errorf("%s holds an element of theirs", attach.url)
			}
			for _, p := range pages {
				p.want(http.StatusOK)
				for _, n := range p.all("script") {
					if s := textOf(n); strings.Contains(s, "alert(1)") {
						t.Errorf("%s holds a script: %.200s", p.url, s)
					}
				}
				if len(p.all("img"))+len(p.all("iframe")) > 1 || strings.Contains(p.raw, "onerror=alert(1)>") && !strings.Contains(p.raw, "&lt;img") {
					t.Errorf("%s holds an element of theirs:\n%.500s", p.url, p.raw)
				}
				for _, n := range p.all("a") {
					if href := get(n, "href"); strings.HasPrefix(href, "javascript:") || strings.Contains(href, "steal") {
						t.Errorf("%s links to %s", p.url, href)
					}
				}
			}
		})
	}
}

// TestBoardWithoutAPage: where nothing is configured, or by a strange address, the room
// says so.
func TestBoardWithoutAPage(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := browse(t, b.handler())
	br.enter(b)
	for _, path := range []string{"/status-page", "/status-page/history", "/status-page/incidents/x", "/status-page/maintenances/x"} {
		br.open(path).want(http.StatusNotFound, "no status page")
	}
	_, _, br = writer(t)
	for _, path := range []string{"/status-page/incidents/x", "/status-page/maintenances/x", "/status-page/preview/x/main/"} {
		br.open(path).want(http.StatusNotFound)
	}
	for name := range boardActs {
		for _, args := range []url.Values{{}, bare("x"), bare(strings.Repeat("\x00\xff", 40)), {"item": {"x"}, "press": {"publish"}}, {"item": {"web"}, "press": {"change"}}} {
			for _, path := range []string{"/lifeboat/" + name, "/sites/shop/" + name} {
				if p := br.post(path, args); p.status >= 500 && p.status != http.StatusServiceUnavailable {
					t.Errorf("%s: %d", path, p.status)
				}
				if p := br.open(path + "?" + args.Encode()); p.status >= 500 {
					t.Errorf("%s: %d", path, p.status)
				}
			}
		}
	}
}

// toldVisitors is a status page on which something of each kind stands.
func toldVisitors(b *boat) {
	d := b.writing()
	do := func(c board.Command) board.Change {
		b.t.Helper()
		change, err := d.Do(b.t.Context(), board.Who{Name: "Ada", Via: "web"}, c)
		must(b.t, err)
		return change
	}
	en := func(text string) board.Text { return board.Text{"": text} }
	was := do(board.OpenIncident{Title: en("Slow searches"), Text: en("Searches take half a minute."), States: map[string]board.State{"web": board.Degraded}, StartedAt: b.clock().Add(-26 * time.Hour)}).Incident.ID
	do(board.UpdateIncident{ID: was, Step: board.Resolved, Text: en("Searches are quick again.")})
	do(board.PublishStory{ID: was, Text: en("# What happened\n\nAn index was missing after Sunday’s work.\n\n# What we owe\n\nA check on it.")})
	now := do(board.OpenIncident{
		Title: board.Text{"": "Card payments fail", "de": "Kartenzahlungen schlagen fehl"}, NextIn: 20 * time.Minute, States: map[string]board.State{"checkout": board.Partial}, StartedAt: b.clock().Add(-20 * time.Minute),
		Text: board.Text{"": "Some cards are declined. Orders that you have placed are safe.", "de": "Manche Karten werden abgelehnt. Ihre Bestellungen sind sicher."},
	}).Incident.ID
	do(board.UpdateIncident{ID: now, Step: board.Identified, Text: en("The company that takes the payments has a fault. Invoices work meanwhile."), NextIn: 30 * time.Minute})
	do(board.SetOverride{Component: "deliveries", State: board.Degraded, Reason: en("The ferry does not sail today."), For: 8 * time.Hour})
	from := b.clock().Add(40 * time.Hour)
	do(board.PlanMaintenance{Title: en("The database moves"), Text: en("Orders can’t be placed meanwhile."), From: from, Until: from.Add(2 * time.Hour), Components: []string{"checkout", "web"}})
	f := board.Facts{Sheet: d.Sheet(), History: d.Past(), Now: b.clock()}
	f.Ordered, f.Seen = b.eng.Visible()
	d.Show(board.Make(board.Page{}, f))
}

// TestNobodyWouldSee: what no page shows is said before it is published.
func TestNobodyWouldSee(t *testing.T) {
	t.Parallel()
	_, d, br := writer(t)
	d.Settings().Pages[0].Sites = []string{"another"}
	p := br.open("/lifeboat/board-open").press("Preview", "title=Cards", "text=One.", "state_web=partial_outage").want(http.StatusOK, "No visitor will see this.", "choose other parts")
	checkPage(t, p)
	if len(p.all("iframe")) != 0 {
		t.Error("there is a frame of nothing")
	}
	br.open("/lifeboat/board-open").press("Preview", "title=Cards", "text=One.").want(http.StatusOK, "This is what visitors will see.")
}
