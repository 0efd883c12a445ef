package board

import "lifeboat/internal/fault"

// AttachIncident ties an incident that was told of by hand to the crew's: what they tell
// the public from then on is on it, and its write-up can be copied from theirs.
type AttachIncident struct {
	ID   string
	Crew string // the crew's incident; "": it is nobody's any more
	Site string
}

func (c AttachIncident) decide(g Given) (Change, error) {
	in, err := g.incident(c.ID)
	if err != nil {
		return Change{}, err
	}
	if len(c.Crew) > 64 {
		return Change{}, fault.New(fault.Invalid, "that is no incident of the crew").At("incident").WithHint("write its id")
	}
	for id, other := range g.Records.Incidents {
		if c.Crew != "" && other.Crew == c.Crew && id != c.ID {
			return Change{}, fault.New(fault.Conflict, "what the crew of %s tells is on %s already", c.Crew, id).At("incident").WithHint("tell the rest there, and resolve this one")
		}
	}
	in.Crew, in.Site, in.UpdatedAt = c.Crew, c.Site, g.Now.UTC()
	e := Event{Type: "incident.attached", Subject: in.ID, Text: g.name() + " tied " + in.ID + " to the crew’s incident " + c.Crew + "."}
	if c.Crew == "" {
		in.Site = ""
		e = Event{Type: "incident.detached", Subject: in.ID, Text: g.name() + " untied " + in.ID + " from the crew’s incident."}
	}
	return Change{Incident: &in, Event: e}, nil
}
