package board

import (
	"testing"

	"lifeboat/internal/fault"
)

// TestAttach: an incident of the page is tied to one of the crew's, which has one page.
func TestAttach(t *testing.T) {
	t.Parallel()
	g := Given{Who: Who{Name: "Ada"}, NewID: func() string { return "E" }, Records: Records{Incidents: map[string]Incident{"x1": {ID: "x1"}, "x2": {ID: "x2", Crew: "C2", Site: "shop"}}}}
	change, err := Decide(AttachIncident{ID: "x1", Crew: "C1", Site: "shop"}, g)
	if err != nil || change.Incident.Crew != "C1" || change.Incident.Site != "shop" || change.Event.Type != "incident.attached" {
		t.Errorf("%+v %v", change, err)
	}
	if _, err = Decide(AttachIncident{ID: "x1", Crew: "C2", Site: "shop"}, g); fault.KindOf(err) != fault.Conflict {
		t.Errorf("two pages of one crew: %v", err)
	}
	if change, err = Decide(AttachIncident{ID: "x2"}, g); err != nil || change.Incident.Crew != "" || change.Incident.Site != "" {
		t.Errorf("%+v %v", change, err)
	}
	if _, err = Decide(AttachIncident{ID: "x3", Crew: "C1"}, g); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	if got := g.Records.Incidents["x1"]; got.Crew != "" {
		t.Error("what was given is changed")
	}
}
