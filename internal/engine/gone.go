package engine

import (
	"encoding/json"

	"lifeboat/internal/config"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/snapshot"
)

// A restart may bring another configuration while a lever is pulled: a lever, a
// place or a feature that the record names may be gone, or mean something else. What
// is here keeps the way back open all the same.

// cardOf is the lever of an order that has been carried out. Where the configuration
// has no such lever any more, or it leads elsewhere by now, a card is made for it;
// false where what it moved is gone, too.
func (e *Engine) cardOf(s snapshot.Site, o snapshot.Order) (lever.Card, bool) {
	for _, l := range s.Levers {
		if l.Name == o.Lever && l.Position == o.Position && l.Feature == o.Feature {
			card, err := e.card(l.Name)
			return card, err == nil
		}
	}
	if o.Feature != "" {
		_, known := e.contents().Flag(o.Feature)
		return featureCard(s, o), known
	}
	_, has := s.Positions[o.Position]
	return zoneCard(s, o.Lever, o.Position), has
}

// zoneCard stands for a zone lever that the configuration does not have (any more).
func zoneCard(s snapshot.Site, name, position string) lever.Card {
	if name == "" {
		name = "to-" + position
	}
	return lever.Card{Name: name, Kind: "zone", Title: "Visitors at " + position, Site: s.ID, Config: quote(config.ZoneLever{Site: s.ID, To: position})}
}

// featureCard does the same for a feature lever.
func featureCard(s snapshot.Site, o snapshot.Order) lever.Card {
	return lever.Card{
		Name: o.Lever, Kind: "feature", Title: o.Feature + " answered with " + string(o.Value), Site: s.ID,
		Config: quote(config.FeatureLever{Key: o.Feature, Value: o.Value}),
	}
}

// refit makes a put-back's plan fit the configuration of now. Where the place that it
// leads to is gone, home is the way back; where the place that it had moved to is
// gone, visitors are at home already, which is looked at and ordered like any other.
func (r *runner) refit(plan lever.Plan) lever.Plan {
	if plan.Kind != kindZone || plan.Drill {
		return plan
	}
	step := &plan.Steps[0]
	if !r.has(step.Before) {
		step.Before = quote(r.site().Home)
	}
	if !r.has(step.After) {
		step.After, plan.Config = quote(snapshot.Standby), zoneCard(r.site(), plan.Lever, snapshot.Standby).Config
	}
	return plan
}

// has says whether the site has the position.
func (r *runner) has(position json.RawMessage) bool {
	var p string
	if json.Unmarshal(position, &p) != nil {
		return false
	}
	_, has := r.site().Positions[p]
	return has
}

// goneFeature says whether a pull moved a feature that there is no more: nobody asks
// for it, so it counts as put back.
func (r *runner) goneFeature(p incident.Pull, plan lever.Plan) bool {
	_, known := r.e.contents().Flag(plan.Target)
	return p.Kind == kindFeature && !known
}

// quote is the JSON of a value of ours.
func quote(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // strings, and values that were JSON before
		return nil
	}
	return b
}
