package web

import (
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// stand is how visitors are, as far as it is seen: what was ordered does not say it.
type stand struct {
	Pulled bool       // a lever is in force
	Away   bool       // visitors are sent to another place
	Where  string     // the place that they are sent to, in words
	Seen   probe.Seen // of that place
	Title  string     // of the lever
}

// stand looks at the place that is in force, by what its checks see.
func (x scope) stand() stand {
	s := stand{Where: placeWords(x.v.Ordered.Position), Seen: x.seenAt(x.v.Ordered.Position)}
	if x.in == nil {
		return s
	}
	for _, p := range x.in.Holding() {
		if p.State != incident.Active {
			continue
		}
		s.Pulled, s.Title = true, p.Title
		s.Away = s.Away || p.Kind == "zone"
	}
	return s
}

// seenAt is what is seen of a place; where nobody looks, nobody knows.
func (x scope) seenAt(place string) probe.Seen {
	for _, p := range x.v.Seen {
		if p.Place == place || place == "" && p.Role == "home" {
			return p.Seen
		}
	}
	return probe.Unknown
}

// Safe says whether visitors are seen to be looked after.
func (s stand) Safe() bool { return s.Pulled && s.Seen == probe.Up }

// Hurt says whether visitors are seen to meet errors.
func (s stand) Hurt() bool { return s.Seen == probe.Down }

// Words is the sentence of it, where all is well in the words given.
func (s stand) Words(well string) string {
	switch {
	case !s.Pulled:
		return "Visitors stay where they are."
	case s.Away && s.Seen == probe.Up:
		return well
	case s.Away && s.Seen == probe.Down:
		return "Visitors still see errors: " + s.Where + ", where they are sent, does not answer as it should."
	case s.Away:
		return "Visitors are sent to " + s.Where + ". We can’t tell yet how it answers."
	case s.Seen == probe.Up:
		return "“" + s.Title + "” is pulled, and the site’s checks pass."
	case s.Seen == probe.Down:
		return "“" + s.Title + "” is pulled, and the site’s checks still fail: visitors may see errors."
	}
	return "“" + s.Title + "” is pulled. We can’t tell yet how the site answers."
}

// still is how visitors are, while something else is done.
func (x scope) still() string { return x.stand().Words("Visitors are still safe.") }

// nextLever puts the next way to safety on top while visitors are seen to meet errors
// in spite of what was pulled. It says whether there is one.
func (x scope) nextLever(p *page) bool {
	l, found := x.best()
	if !found || !x.usable(l.Kind, l.To) {
		return false
	}
	p.Box = x.leverBox(l)
	return true
}

// usable says whether a lever leads to a place that is not seen down.
func (x scope) usable(kind, to string) bool {
	return kind != "zone" || x.seenAt(to) != probe.Down
}
