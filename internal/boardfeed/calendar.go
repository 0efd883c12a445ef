package boardfeed

import (
	"strings"
	"time"

	ical "github.com/arran4/golang-ical"
)

// calendar writes incidents and maintenances as events (RFC 5545): the planned ones
// stand in people's calendars before they begin, the others are there to be looked back
// at. An incident that goes on ends, for now, with its newest message.
func (w *writer) calendar() error {
	cal := ical.NewCalendar()
	cal.SetProductId("-//lifeboat//status page//EN")
	cal.SetMethod(ical.MethodPublish)
	cal.SetXWRCalName(w.titled())
	cal.SetXPublishedTTL("PT15M")
	cal.SetRefreshInterval("PT15M") // with VALUE=DURATION, which RFC 7986 wants there
	for _, m := range w.maintenances() {
		from, until := m.From, m.Until
		if !m.StartedAt.IsZero() {
			from = m.StartedAt
		}
		if !m.EndedAt.IsZero() {
			until = m.EndedAt
		}
		e := entry{id: m.ID, title: w.say(m.Title), link: m.Link(w.b.Page), began: from, updated: w.since(m.UpdatedAt, m.CreatedAt)}
		w.event(cal, w.tell(e, m.Updates, m.Components), until)
	}
	for _, in := range w.incidents() {
		e := entry{id: in.ID, title: words[string(in.Step)] + ": " + w.say(in.Title), link: in.Link(w.b.Page), began: w.since(in.StartedAt, in.CreatedAt), updated: w.since(in.UpdatedAt, in.StartedAt)}
		until := in.ResolvedAt
		if until.IsZero() {
			until = e.updated
		}
		w.event(cal, w.tell(e, in.Updates, in.Components), until)
	}
	w.put(PathCalendar, "text/calendar; charset=utf-8", []byte(cal.Serialize(ical.WithNewLineWindows)))
	return nil
}

func (w *writer) event(cal *ical.Calendar, e entry, until time.Time) {
	host := strings.TrimPrefix(strings.TrimPrefix(w.b.Page.URL, "https://"), "http://")
	v := cal.AddEvent(e.id + "@" + host)
	v.SetDtStampTime(e.updated)
	v.SetModifiedAt(e.updated)
	v.SetStartAt(e.began)
	if !until.After(e.began) {
		until = e.began.Add(time.Minute)
	}
	v.SetEndAt(until)
	v.SetSummary(e.title)
	if e.text != "" {
		v.SetDescription(e.text)
	}
	if len(e.about) > 0 {
		v.SetLocation(strings.Join(e.about, ", "))
	}
	v.SetURL(e.link)
	v.SetTimeTransparency(ical.TransparencyTransparent) // it fills nobody's day
}
