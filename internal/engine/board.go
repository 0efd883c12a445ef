package engine

import (
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// Visible is what the status page is made of besides what people write on it: where
// each site's visitors are sent, and what the checks see.
func (e *Engine) Visible() (map[string]board.Ordered, []board.Seen) {
	at := map[string]board.Ordered{}
	var seen []board.Seen
	e.mu.Lock()
	for _, s := range e.contents().Sites {
		if s.Shadow != "" {
			continue
		}
		o := e.ordered.sites[s.ID]
		if _, has := s.Positions[o.Position]; !has {
			o.Position = s.Home
		}
		out := board.Ordered{Position: o.Position, Home: s.Home, Since: o.Since}
		if o.Share != nil {
			out.Share = o.Share.Position
		}
		at[s.ID] = out
	}
	e.mu.Unlock()
	for _, id := range e.ids {
		for _, v := range e.seen.of(id) {
			s := board.Seen{Site: v.Site, Place: v.Place, Check: v.Check, Seen: v.Seen, At: v.Last.At, Every: v.Every}
			if v.Last.Verdict == probe.Pass {
				s.Took = v.Last.Took
			}
			seen = append(seen, s)
		}
	}
	return at, seen
}

// Told is an incident of which the public was told something.
type Told struct {
	ID, Site   string
	Symptom    string
	Began      time.Time
	Phase      incident.Phase
	Diagnosed  bool
	RelapsedAt time.Time
	Updates    []incident.Update // to the public, oldest first
}

// Told are the incidents, open or the last ended of each site, of which the public was
// told something. Drills are none.
func (e *Engine) Told() []Told {
	var out []Told
	for _, id := range e.ids {
		in, _ := e.runners[id].look()
		if in.ID == "" || in.Drill || in.Phase == incident.Cancelled {
			continue
		}
		t := Told{ID: in.ID, Site: id, Symptom: in.Symptom, Began: in.DeclaredAt, Phase: in.Phase, Diagnosed: in.Diagnosis != nil, RelapsedAt: in.RelapsedAt}
		if !in.FirstSymptomAt.IsZero() && in.FirstSymptomAt.Before(t.Began) {
			t.Began = in.FirstSymptomAt
		}
		for _, u := range in.Updates {
			if u.Audience == incident.Public {
				t.Updates = append(t.Updates, u)
			}
		}
		if len(t.Updates) > 0 {
			out = append(out, t)
		}
	}
	return out
}
