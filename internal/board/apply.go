package board

import "maps"

// On gives the records as they are after a change; those given stay as they are.
func (c Change) On(r Records) Records {
	r = Records{Overrides: maps.Clone(r.Overrides), Incidents: maps.Clone(r.Incidents), Maintenances: maps.Clone(r.Maintenances)}
	switch {
	case c.Override != nil:
		put(&r.Overrides, c.Override.Component, *c.Override)
	case c.DropOverride != "":
		delete(r.Overrides, c.DropOverride)
	case c.Incident != nil:
		put(&r.Incidents, c.Incident.ID, *c.Incident)
	case c.Maintenance != nil:
		put(&r.Maintenances, c.Maintenance.ID, *c.Maintenance)
	case c.DropMaintenance != "":
		delete(r.Maintenances, c.DropMaintenance)
	}
	return r
}

func put[T any](m *map[string]T, key string, v T) {
	if *m == nil {
		*m = map[string]T{}
	}
	(*m)[key] = v
}
