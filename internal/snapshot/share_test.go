package snapshot

import (
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

var shared = Site{ID: "shop", Home: "main", Positions: zone.Positions{"main": {}, "backup": {}, "other": {}, Standby: {}}}

func order(position, other string, percent int) Manifest {
	o := SiteOrder{Position: position}
	if other != "" {
		o.Share = &Share{Position: other, Percent: percent}
	}
	return Manifest{Epoch: 1, Revision: 1, Sites: map[string]SiteOrder{"shop": o}}
}

// The safer of two positions is the one for whoever is not known; a local order is for
// everybody; what can't be shared is not.
func TestInForce(t *testing.T) {
	t.Parallel()
	toStandby := Local{Orders: []Order{{Site: "shop", Position: Standby}}}
	for about, tt := range map[string]struct {
		m     Manifest
		local Local
		want  Standing
	}{
		"no order":              {Manifest{}, Local{}, Standing{Position: "main"}},
		"no share":              {order(Standby, "", 0), Local{}, Standing{Position: Standby}},
		"a return":              {order(Standby, "main", 10), Local{}, Standing{Standby, "main", 10}},
		"the other way round":   {order("main", Standby, 10), Local{}, Standing{Standby, "main", 90}},
		"of the same rank":      {order("backup", "other", 10), Local{}, Standing{"backup", "other", 10}},
		"a local order":         {order("main", "backup", 10), toStandby, Standing{Position: Standby}},
		"a local order to base": {order(Standby, "main", 10), toStandby, Standing{Position: Standby}},
		"to an unknown place":   {order(Standby, "moon", 10), Local{}, Standing{Position: Standby}},
		"from an unknown place": {order("moon", "backup", 10), Local{}, Standing{Position: "main"}},
		"to where it is":        {order("main", "main", 10), Local{}, Standing{Position: "main"}},
		"of everybody":          {order(Standby, "main", 100), Local{}, Standing{Position: Standby}},
		"of less than nobody":   {order(Standby, "main", -5), Local{}, Standing{Position: Standby}},
	} {
		if got := InForce(tt.m, tt.local, shared); got != tt.want {
			t.Errorf("%s: %+v, want %+v", about, got, tt.want)
		}
	}
}

// A new epoch, and a local order, may lead nobody away from safety, be it one in ten.
func TestASharesWayFromSafety(t *testing.T) {
	t.Parallel()
	c := Contents{Sites: []Site{shared}}
	for about, tt := range map[string]struct {
		from, to Manifest
		ok       bool
	}{
		"a share to home begins":    {order(Standby, "", 0), order(Standby, "main", 1), false},
		"a share to another begins": {order(Standby, "", 0), order(Standby, "backup", 1), false},
		"it grows":                  {order(Standby, "main", 10), order(Standby, "main", 11), false},
		"it shrinks":                {order(Standby, "main", 10), order(Standby, "main", 9), true},
		"it stays":                  {order(Standby, "main", 10), order(Standby, "main", 10), true},
		"it ends at the standby":    {order(Standby, "main", 10), order(Standby, "", 0), true},
		"it ends at home":           {order(Standby, "main", 99), order("main", "", 0), false},
		"home to another place":     {order(Standby, "main", 10), order(Standby, "backup", 10), true},
		"more of less danger":       {order(Standby, "main", 10), order(Standby, "backup", 11), false},
		"from home towards safety":  {order("main", "", 0), order("main", Standby, 1), true},
		"said the other way round":  {order(Standby, "main", 10), order("main", Standby, 90), true},
	} {
		tt.to.Epoch = 2
		if err := Accept(tt.from, tt.to, c, Local{}); (err == nil) != tt.ok || err != nil && fault.KindOf(err) != fault.Refused {
			t.Errorf("%s: %v", about, err)
		}
	}
	m := order(Standby, "main", 10)
	if err := Toward(Order{Site: "shop", Position: Standby}, m, Local{}, c); err != nil {
		t.Errorf("everybody to the standby: %v", err)
	}
	if err := Toward(Order{Site: "shop", Position: "backup"}, m, Local{}, c); fault.KindOf(err) != fault.Refused {
		t.Errorf("everybody to another place: %v", err)
	}
	done := Local{Orders: []Order{{Site: "shop", Position: Standby}}}
	if err := Toward(Order{Site: "shop", Position: Standby}, m, done, c); fault.KindOf(err) != fault.Conflict {
		t.Errorf("once more: %v", err)
	}
}
