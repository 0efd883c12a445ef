package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
)

// Beside its incident an event may be a change on the ledger, and news for somebody
// outside. Both are written in the event's own transaction, so that neither is lost
// nor told of something that is not on record. Nobody waits for them.

// besides gives these writes.
func (r *runner) besides(events []incident.Event, next incident.Incident) []store.Write {
	var out []store.Write
	if next.Drill {
		return nil
	}
	for _, ev := range events {
		if c, is := r.ownChange(ev, next); is && r.e.o.Company.Ledger != nil {
			out = append(out, ledger.Writes(c)...)
		}
		out = append(out, r.news(ev, next)...)
	}
	if len(events) == 0 {
		return out
	}
	if events[0].Type == incident.Declared {
		r.countHits(next.ID)
	}
	if events[0].Type == incident.Declared || !next.Phase.Open() {
		out = append(out, r.parking(next))
	}
	return append(out, r.counting(next))
}

// ownChange says whether an event is a change that a later diagnosis may ask for: our
// own acts are the experiments.
func (r *runner) ownChange(ev incident.Event, in incident.Incident) (ledger.Change, bool) {
	kind := ""
	switch ev.Type {
	case incident.LeverActive, incident.LeverUndone, incident.LeverSettled, incident.LeverGivenUp:
		kind = "lever"
	case incident.FixApplied, incident.FixRolledBack:
		kind = "fix"
	default:
		return ledger.Change{}, false
	}
	who := ev.Actor.Name
	switch p, known := in.Pull(ev.Subject.ID); {
	case ev.Type == incident.LeverUndone && in.Return != nil && slices.Contains(in.Return.Undo, ev.Subject.ID): // the return does it, one lever after the other
		who = in.Return.By.Name
	case known && ev.Type == incident.LeverActive: // it is seen later by whoever looks, and was pulled by a person
		who = p.By.Name
	}
	return ledger.Change{ID: ev.ID, At: ev.At, RecordedAt: ev.RecordedAt, Site: r.base(), Source: "lifeboat", Kind: kind, Who: clip(who, ledger.MaxName), What: clip(strings.Join(strings.Fields(ev.Text), " "), ledger.MaxWhat), Ref: "incident " + in.ID}, true
}

// base is the site's own id, also of a shadow.
func (r *runner) base() string {
	cfg, _ := r.e.site(r.id)
	return cfg.ID
}

func clip(s string, most int) string {
	if rs := []rune(s); len(rs) > most {
		return string(rs[:most-1]) + "…"
	}
	return s
}

// Topic is what a message to a channel is about: an audience, or the incident itself.
const topicIncident = "incident"

// news gives the messages that an event causes, one for each channel that wants it.
func (r *runner) news(ev incident.Event, in incident.Incident) []store.Write {
	if r.e.o.Company.Outbox == nil {
		return nil
	}
	topic, kind, text := topicOf(ev, in)
	if topic == "" {
		return nil
	}
	body, err := json.Marshal(News{
		Incident: in.ID, Site: r.base(), Title: in.Title, Phase: in.Phase, Audience: topic, Update: updateID(ev), Text: text, At: ev.At.UTC(), By: ev.Actor.Name,
	})
	if err != nil {
		return nil
	}
	var out []store.Write
	for _, c := range r.e.o.Company.Channels {
		if slices.Contains(c.Tells, topic) {
			out = append(out, r.e.o.Company.Outbox.Write(outbox.Message{
				ID: ev.ID + "-" + c.Name, Channel: c.Name, Kind: kind, Incident: in.ID, Site: r.base(), Body: body, Created: r.e.o.Now().UTC(),
			}))
		}
	}
	return out
}

// News is the body of a message to a channel.
type News struct {
	Incident string         `json:"incident"`
	Site     string         `json:"site"`
	Title    string         `json:"title"`
	Phase    incident.Phase `json:"phase"`
	Audience string         `json:"audience"` // public, staff, leaders, incident
	Update   string         `json:"update,omitempty"`
	Text     string         `json:"text"`
	At       time.Time      `json:"at"`
	By       string         `json:"by,omitempty"`
}

func updateID(ev incident.Event) string {
	if ev.Type == incident.UpdateSent {
		return ev.Subject.ID
	}
	return ""
}

// topicOf says whom an event is for, what it is called outside, and what is told.
func topicOf(ev incident.Event, in incident.Incident) (topic, kind, text string) {
	switch ev.Type {
	case incident.UpdateSent:
		i := slices.IndexFunc(in.Updates, func(u incident.Update) bool { return u.ID == ev.Subject.ID })
		if i < 0 {
			return "", "", ""
		}
		u := in.Updates[i]
		return u.Audience, "update." + u.Audience, u.Text
	case incident.Declared, incident.ClosedType, incident.CancelledType, incident.LeverSeen, incident.LeverUndone, incident.WatchRelapse, incident.SteppedBack, incident.UpdateIsDue:
		return topicIncident, string(ev.Type), ev.Text
	case incident.PhaseChanged:
		if in.Phase == incident.Watch || in.Phase == incident.Review {
			return topicIncident, string(ev.Type), ev.Text
		}
	}
	return "", "", ""
}

// channelsFor names the channels that want an audience's updates.
func (e *Engine) channelsFor(audience string) []string {
	var out []string
	if e.o.Company.Outbox == nil {
		return nil
	}
	for _, c := range e.o.Company.Channels {
		if slices.Contains(c.Tells, audience) {
			out = append(out, c.Name)
		}
	}
	return out
}

// parking keeps the levers that an incident leaves parked when it ends. An open one has
// them among its own.
func (r *runner) parking(next incident.Incident) store.Write {
	left := next.ParkedPulls()
	if next.Phase.Open() || len(left) == 0 {
		return store.Write{Key: keyParked + r.id, Delete: true}
	}
	return put(keyParked+r.id, left)
}

// counting keeps who met the status page in an open incident.
func (r *runner) counting(next incident.Incident) store.Write {
	if !next.Phase.Open() {
		return store.Write{Key: keyHits + r.id, Delete: true}
	}
	return put(keyHits+r.id, r.hits)
}

// publicMessage is the newest word to the public of the open incident, for the status
// page; nothing once it has ended.
func (r *runner) publicMessage() string {
	in, _ := r.look()
	if !in.Phase.Open() || in.Drill {
		return ""
	}
	return in.PublicWord()
}

// crisisTTL is the longest, in seconds, that resolvers may keep an answer about a site
// with an open incident: whatever is published then may have to change again soon.
const crisisTTL = 60

// ttlCap is crisisTTL while an incident is open or some visitors are sent elsewhere, so
// that the next step is as quick, and 0 (no cap) otherwise.
func (r *runner) ttlCap(shared bool) uint32 {
	if in, _ := r.look(); in.Phase.Open() && !in.Drill || shared {
		return crisisTTL
	}
	return 0
}

// moved says whether events change what the status page says, or what answer may do by
// itself.
func moved(events []incident.Event) bool {
	return slices.ContainsFunc(events, func(ev incident.Event) bool {
		switch ev.Type {
		case incident.UpdateSent, incident.ClosedType, incident.CancelledType, incident.AutoHeldType:
			return true
		}
		return false
	})
}

// told records how a channel took a message; it is the outbox's word.
func (e *Engine) told(m outbox.Message) incident.Delivered {
	var n News
	_ = json.Unmarshal(m.Body, &n) // our own, and without an update's id it is about the incident
	return incident.Delivered{Update: n.Update, Channel: m.Channel}
}

// homeOrder is a place that people have made a site's home for good.
type homeOrder struct {
	Place string    `json:"place"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Was   string    `json:"was"`
}

// warning says what the configuration should say by now.
func (h homeOrder) warning(site string) string {
	return fmt.Sprintf("sites.%s: %s made %s its home on %s, and the file still says %s (write home: %s)", site, h.By, h.Place, h.At.UTC().Format("2 January 2006"), h.Was, h.Place)
}

// homes applies homes made permanent to the contents.
func withHomes(c snapshot.Contents, homes map[string]homeOrder) snapshot.Contents {
	sites := slices.Clone(c.Sites)
	for i, s := range sites {
		h, has := homes[s.ID]
		if _, known := s.Positions[h.Place]; has && known && s.Shadow == "" {
			sites[i].Home = h.Place
		}
	}
	c.Sites = sites
	return c
}
