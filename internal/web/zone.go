package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/api"
	"lifeboat/internal/fault"
	"lifeboat/internal/zonebook"
	zonedesk "lifeboat/internal/zonebook/desk"
	"lifeboat/internal/zonediff"
)

// Zones is where records of zones are edited; the API goes by the same.
type Zones = api.Zones

// zoneRows is how many records one page shows.
const zoneRows = 100

// zonePath is the room of a zone.
func zonePath(apex, more string) string {
	return "/zones/" + url.PathEscape(strings.TrimSuffix(apex, ".")) + more
}

// zoneRoom gathers what every room of zones needs.
func (s *server) zoneRoom(r *http.Request, who account.Session) (scope, error) {
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err == nil && s.o.Zones == nil {
		err = noZones()
	}
	return x, err
}

func noZones() error {
	return fault.New(fault.NotFound, "records of zones are not edited here").WithHint("they are in the configuration file")
}

// editor is whoever is signed in, as drafts know them.
func (x scope) editor() zonebook.Who { return api.WhoEdits(x.by()) }

// zones is the room of all zones.
func (s *server) zones(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.zoneRoom(r, who)
	var list []zonedesk.View
	if err == nil {
		list, err = s.o.Zones.Zones(r.Context())
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	type line struct {
		zonedesk.View
		Name, Page, Words string
		Drafts            []string
	}
	var lines []line
	for _, v := range list {
		l := line{View: v, Name: strings.TrimSuffix(v.Zone, "."), Page: zonePath(v.Zone, ""), Words: s.standsWords(v)}
		for _, d := range v.Drafts {
			l.Drafts = append(l.Drafts, draftWords(d.Changes)+", by "+d.By+".")
		}
		lines = append(lines, l)
	}
	p := s.room(who, x.o, "/zones", count(len(list), "zone", "zones")+".", "What our name servers answer. Nothing is answered differently until somebody publishes, and everything can be undone.")
	p.Say, p.Body = s.said(r), lines
	s.show(w, http.StatusOK, "zones.html", p)
}

// standsWords say in a line what is in force.
func (s *server) standsWords(v zonedesk.View) string {
	switch {
	case !v.Editable:
		return v.Why
	case v.Revision == 0, v.Standing.State == zonedesk.Unfit:
		return count(v.Records, "record", "records") + ", as the configuration has them."
	}
	return fmt.Sprintf("%s. Revision %d, published %s by %s.", count(v.Records, "record", "records"), v.Revision, s.date(v.At), v.By)
}

func draftWords(n int) string {
	return count(n, "change", "changes") + " not published"
}

// zoneRow is one record in the table.
type zoneRow struct {
	zonedesk.Row
	Short, Answer, Kept, Tag, Page, Label string
}

// oneZone is a zone's records, with the draft of whoever looks on them.
func (s *server) oneZone(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.zoneRoom(r, who)
	var sheet zonedesk.Sheet
	filter := cut(r.URL.Query().Get("find"), 200)
	if err == nil {
		sheet, err = s.o.Zones.Sheet(r.Context(), r.PathValue("zone"), x.editor(), filter)
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	from = min(max(from, 0), len(sheet.Rows))
	name := strings.TrimSuffix(sheet.Zone, ".")
	body := struct {
		zonedesk.Sheet
		Name, Page, Find, Next, Stands string
		Lines                          []zoneRow
		Bar                            zoneBar
		Add                            []option
		Others                         []string
		Keep                           ask
		Paste, Gap                     string
	}{
		Sheet: sheet, Name: name, Page: zonePath(sheet.Zone, ""), Find: filter, Stands: s.standsWords(sheet.View), Bar: s.zoneBar(x, sheet.Draft),
		Keep: x.ask("zone-keep", "zone", name), Paste: "/lifeboat/zone-paste?" + url.Values{"zone": {name}}.Encode(), Gap: gapWords(sheet.Standing),
	}
	for _, row := range sheet.Rows[from:min(from+zoneRows, len(sheet.Rows))] {
		body.Lines = append(body.Lines, rowOf(name, row))
	}
	if next := from + zoneRows; next < len(sheet.Rows) {
		body.Next = body.Page + "?" + url.Values{"find": {filter}, "from": {strconv.Itoa(next)}}.Encode()
	}
	for _, f := range zonebook.Forms() {
		body.Add = append(body.Add, option{Value: "/lifeboat/zone-add?" + url.Values{"zone": {name}, "rtype": {f.Type}}.Encode(), Label: f.Type, Says: f.Says})
	}
	body.Add = append(body.Add, option{Value: "/lifeboat/zone-add?" + url.Values{"zone": {name}, "rtype": {"other"}}.Encode(), Label: "another type", Says: "Written as in a zone file."})
	for _, d := range sheet.Drafts {
		if d.By != who.Name {
			body.Others = append(body.Others, d.By+" has "+draftWords(d.Changes)+", last changed "+s.date(d.At)+".")
		}
	}
	p := s.room(who, x.o, "/zones", name, body.Stands)
	p.Say, p.Body, p.Title = s.said(r), body, name
	s.show(w, http.StatusOK, "zone.html", p)
}

// gapWords say how what is in force and the configuration's file stand apart.
func gapWords(s zonedesk.Standing) string {
	switch s.State {
	case zonedesk.Ahead:
		return "The configuration’s file has not what was published here since. It stays in force all the same; put it into the file when there is time."
	case zonedesk.Parted:
		return "The configuration’s file has other records now than when this was published. What was published stays in force until somebody decides."
	case zonedesk.Unfit:
		return "What was published does not fit the configuration any more, so the file’s records are in force. " + s.Problem
	}
	return ""
}

func rowOf(zone string, row zonedesk.Row) zoneRow {
	l := zoneRow{Row: row, Short: shortName(row.Name, zone), Kept: zonediff.Lasting(row.TTL)}
	l.Answer = cut(zonebook.Shown(row.Type, row.Data), 600)
	l.Tag = map[zonedesk.Mark]string{zonedesk.MarkNew: "new", zonedesk.MarkGone: "goes away", zonedesk.MarkTTL: "kept differently"}[row.Mark]
	if row.Fixed == "" && row.Mark != zonedesk.MarkGone {
		l.Page = "/lifeboat/zone-edit?" + url.Values{"zone": {zone}, "rname": {row.Name}, "rtype": {row.Type}, "rdata": {row.Data}}.Encode()
		l.Label = "Edit: " + l.Short + " " + row.Type + " " + cut(row.Data, 60)
	}
	return l
}

// shortName is a name below its zone, without the zone's.
func shortName(name, zone string) string {
	if short, below := strings.CutSuffix(name, "."+zone+"."); below {
		return short
	}
	return strings.TrimSuffix(name, ".")
}

// zoneBar is the bar of what is not published.
type zoneBar struct {
	Words string
	Plan  string
	Lines []zoneChange
	More  int
	Throw ask
}

type zoneChange struct {
	Words string
	Out   ask
}

// maxBar is how many changes the bar lists.
const maxBar = 20

func (s *server) zoneBar(x scope, d zonebook.Draft) (b zoneBar) {
	if len(d.Changes) == 0 {
		return b
	}
	name := strings.TrimSuffix(d.Zone, ".")
	b = zoneBar{Words: draftWords(len(d.Changes)) + ".", Plan: zonePath(d.Zone, "/plan"), Throw: x.ask("zone-throw", "zone", name), More: max(0, len(d.Changes)-maxBar)}
	for i, c := range d.Changes[:min(len(d.Changes), maxBar)] {
		out := x.ask("zone-take-out", "zone", name, "number", strconv.Itoa(i+1))
		out.Name = "Take it out: " + c.Sentence()
		b.Lines = append(b.Lines, zoneChange{c.Sentence(), out})
	}
	return b
}

// zonePlan is what publishing would do: one's draft, an earlier revision, or the file's
// records.
func (s *server) zonePlan(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.zoneRoom(r, who)
	what := zonedesk.What{Kind: zonebook.Kind(r.URL.Query().Get("which")), Of: -1}
	if text := r.URL.Query().Get("revision"); text != "" {
		what.Of, _ = strconv.Atoi(text)
	}
	var plan zonebook.Plan
	if err == nil {
		plan, err = s.o.Zones.Plan(r.Context(), r.PathValue("zone"), x.editor(), what)
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	x.args = url.Values{}
	s.showPlan(w, http.StatusOK, x, plan, s.said(r))
}

func (s *server) showPlan(w http.ResponseWriter, status int, x scope, plan zonebook.Plan, m message) {
	name := strings.TrimSuffix(plan.Zone, ".")
	lost := wordsOf(url.Values{"reason": x.args["reason"]})
	if !plan.Good() { // there is no form that the note would stand in
		lost = wordsOf(url.Values{"note": x.args["note"], "reason": x.args["reason"]})
	}
	x.args = url.Values{"note": {x.arg("note")}}
	if len(plan.Asks) > 0 {
		x.args.Set("asks", "yes")
	}
	a := x.ask("zone-publish", "zone", name, "which", string(plan.Kind), "revision", strconv.Itoa(plan.Of), "hash", plan.Hash)
	a.Go, a.Fields = true, fill(a.Fields, url.Values{"note": x.args["note"]})
	body := struct {
		zonebook.Plan
		Name, Page string
		Publish    ask
		Typed      string
	}{plan, name, zonePath(plan.Zone, ""), a, lost}
	headline, lede := planHeadline(plan)
	p := s.room(x.who, x.o, "/zones", headline, lede)
	p.Where, p.Say, p.Body = []string{name}, m, body
	s.show(w, status, "zoneplan.html", p)
}

// planAgain answers a publishing that was refused with the plan as it is now, and with
// what was typed; false where there is none.
func (s *server) planAgain(w http.ResponseWriter, r *http.Request, x scope, m message, status int) bool {
	if s.o.Zones == nil || x.arg("zone") == "" {
		return false
	}
	of, _ := strconv.Atoi(x.arg("revision"))
	plan, err := s.o.Zones.Plan(r.Context(), x.arg("zone"), x.editor(), zonedesk.What{Kind: zonebook.Kind(x.arg("which")), Of: of})
	if err != nil {
		return false
	}
	s.showPlan(w, status, x, plan, m)
	return true
}

func planHeadline(p zonebook.Plan) (headline, lede string) {
	switch {
	case len(p.Refused) > 0:
		return "This can’t be published yet.", "Nothing was changed. Below is why, and what to do."
	case len(p.Lines) == 0:
		return "Nothing would change.", "The zone is like that already."
	case p.Kind == zonebook.FromBefore:
		return "Undo: back to revision " + strconv.Itoa(p.Of) + ".", "This is all that would happen. Nothing was changed yet."
	case p.Kind == zonebook.FromFile:
		return "Take the configuration’s records.", "This is all that would happen. Nothing was changed yet."
	}
	return p.Summary, "This is all that would happen. Nothing was changed yet."
}

// zoneHistory are a zone's revisions.
func (s *server) zoneHistory(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.zoneRoom(r, who)
	var list []zonedesk.Entry
	if err == nil {
		list, err = s.o.Zones.History(r.Context(), r.PathValue("zone"))
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	type line struct {
		zonedesk.Entry
		Words, Back string
		Now         bool
	}
	apex := zonedesk.Apex(r.PathValue("zone"))
	var lines []line
	for i, e := range list {
		l := line{Entry: e, Words: e.Sentence(), Now: i == 0}
		if i > 0 {
			l.Back = zonePath(apex, "/plan?"+url.Values{"which": {string(zonebook.FromBefore)}, "revision": {strconv.Itoa(e.Number)}}.Encode())
		}
		lines = append(lines, l)
	}
	name := strings.TrimSuffix(apex, ".")
	p := s.room(who, x.o, "/zones", "What was published.", "Each revision, who published it, and what the name servers answered then. Any of them can come back.")
	p.Where, p.Say = []string{name}, s.said(r)
	p.Body = struct {
		Name, Page string
		Lines      []line
	}{name, zonePath(apex, ""), lines}
	s.show(w, http.StatusOK, "zonehistory.html", p)
}

// zoneText is what is in force, as the text of a zone file.
func (s *server) zoneText(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.zoneRoom(r, who)
	text := ""
	if err == nil {
		text, err = s.o.Zones.Text(r.PathValue("zone"))
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	apex := zonedesk.Apex(r.PathValue("zone"))
	name := strings.TrimSuffix(apex, ".")
	more := len(text) > maxZoneText
	if more {
		text = cut(text, maxZoneText)
	}
	p := s.room(who, x.o, "/zones", "The records as text.", "To be put into the configuration, under records: of the zone, or into its file.")
	p.Where = []string{name}
	p.Body = struct {
		Name, Page, Text string
		More             bool
	}{name, zonePath(apex, ""), text, more}
	s.show(w, http.StatusOK, "zonetext.html", p)
}

// maxZoneText is how much of a zone's text a page shows.
const maxZoneText = 200 << 10
