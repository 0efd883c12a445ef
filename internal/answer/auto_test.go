package answer

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// allows is what a manifest lets answer do by itself.
func allows() *snapshot.Auto {
	return &snapshot.Auto{Lever: "to-standby", Position: snapshot.Standby, ArmedUntil: noon.Add(time.Hour), NotBefore: noon.Add(-time.Minute), Silence: 10 * time.Second, Gap: time.Hour}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(in *autoInput)
		want   bool
	}{
		"all as it must be":                {func(*autoInput) {}, true},
		"silent for just long enough":      {func(in *autoInput) { in.Silent = 10 * time.Second }, true},
		"not silent for long enough":       {func(in *autoInput) { in.Silent = 10*time.Second - 1 }, false},
		"nothing is allowed":               {func(in *autoInput) { in.Order.Auto = nil }, false},
		"failover is proposed only":        {func(in *autoInput) { in.Site.Failover = "propose" }, false},
		"failover is off":                  {func(in *autoInput) { in.Site.Failover = "off" }, false},
		"home is up":                       {func(in *autoInput) { in.Seen["main"] = probe.Up }, false},
		"home is not known (R2)":           {func(in *autoInput) { in.Seen["main"] = probe.Unknown }, false},
		"home is not seen at all":          {func(in *autoInput) { delete(in.Seen, "main") }, false},
		"the standby is down (R2)":         {func(in *autoInput) { in.Seen[snapshot.Standby] = probe.Down }, false},
		"the standby is not known (R2)":    {func(in *autoInput) { in.Seen[snapshot.Standby] = probe.Unknown }, false},
		"the standby is not seen at all":   {func(in *autoInput) { delete(in.Seen, snapshot.Standby) }, false},
		"no longer armed (R1)":             {func(in *autoInput) { in.Order.Auto.ArmedUntil = noon }, false},
		"armed for a moment more (R1)":     {func(in *autoInput) { in.Order.Auto.ArmedUntil = noon.Add(1) }, true},
		"never armed (R1)":                 {func(in *autoInput) { in.Order.Auto.ArmedUntil = time.Time{} }, false},
		"too early after the last one":     {func(in *autoInput) { in.Order.Auto.NotBefore = noon.Add(1) }, false},
		"just late enough":                 {func(in *autoInput) { in.Order.Auto.NotBefore = noon }, true},
		"it moved by itself just now (U4)": {func(in *autoInput) { in.LastAuto = noon.Add(-time.Hour + 1) }, false},
		"it moved by itself an hour ago":   {func(in *autoInput) { in.LastAuto = noon.Add(-time.Hour) }, true},
		"a clock that was set back":        {func(in *autoInput) { in.LastAuto = noon.Add(time.Minute) }, false},
		"at the standby already":           {func(in *autoInput) { in.Position = snapshot.Standby }, false},
		"at another origin":                {func(in *autoInput) { in.Position = "backup"; in.Seen["backup"] = probe.Down }, false},
		"to another origin that is up":     {func(in *autoInput) { in.Order.Auto.Position, in.Seen["backup"] = "backup", probe.Up }, true},
		"to another origin that is down":   {func(in *autoInput) { in.Order.Auto.Position, in.Seen["backup"] = "backup", probe.Down }, false},
	} {
		in := autoInput{
			Site: contents().Sites[0], Order: snapshot.SiteOrder{Position: "main", Auto: allows()}, Position: "main", Silent: 42 * time.Second,
			Seen: map[string]probe.Seen{"main": probe.Down, snapshot.Standby: probe.Up},
		}
		c.change(&in)
		o, got := in.decide(noon)
		if got != c.want {
			t.Errorf("%s: %t, %+v", name, got, o)
		}
		if got && (o.Lever != "to-standby" || o.Site != "shop" || o.Position != in.Order.Auto.Position || o.By != "rule" || !o.At.Equal(noon) || !strings.HasSuffix(o.Reason, ".")) {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// autopilot starts an answer that may fail over by itself; control is dead.
func autopilot(t *testing.T, change func(*snapshot.Auto)) *rig {
	t.Helper()
	r := start(t, folder(t))
	auto := allows()
	auto.ArmedUntil, auto.NotBefore = time.Now().Add(1000*time.Hour), time.Now().Add(-time.Hour)
	change(auto)
	r.takes(order(t, 1, 1, "main", func(m *manifest, _ *snapshot.Contents) {
		o := m.Sites["shop"]
		o.Auto = auto
		m.Sites["shop"] = o
	}))
	return r
}

func TestFailsOverByItself(t *testing.T) {
	t.Parallel()
	r := autopilot(t, func(*snapshot.Auto) {})
	seen := func(place, want string) func() bool {
		return func() bool { return r.standing().Seen["shop "+place] == want }
	}
	r.eventually("all seen up", func() bool { return seen("main", "up")() && seen(snapshot.Standby, "up")() })
	r.clock.ahead(11 * time.Second) // silent for long enough, and all is well
	r.world.set(snapshot.Standby, true)
	r.eventually("the standby seen down", seen(snapshot.Standby, "down"))
	r.world.set("main", true)
	r.eventually("home seen down", seen("main", "down"))
	r.autoOnce() // the standby is down too
	if got := r.addr(); got != mainIP {
		t.Fatalf("moved to %s, whose standby is down", got)
	}
	r.world.set(snapshot.Standby, false)
	r.eventually("failed over", func() bool { return r.addr() == standbyIP })
	got := reports(r)
	if len(got) != 1 || got[0].Order.By != "rule" || got[0].Order.Lever != "to-standby" {
		t.Errorf("control is to be told %+v", got)
	}
	last, before := r.hello().LastAuto["shop"], r.serial()
	r = r.again()
	if h := r.hello(); r.addr() != standbyIP || !h.LastAuto["shop"].Equal(last) || last.IsZero() || r.serial() != before {
		t.Errorf("after a restart: %s, %+v", r.addr(), h)
	}
	// Control comes back, takes the order over and returns; then home breaks again.
	back := func(m *manifest, _ *snapshot.Contents) {
		o := m.Sites["shop"]
		o.Auto = allows()
		o.Auto.ArmedUntil, o.Auto.NotBefore = time.Now().Add(1000*time.Hour), time.Now().Add(-time.Hour)
		m.Sites["shop"] = o
		m.Taken = []string{got[0].Order.ID}
	}
	r.takes(order(t, 1, 2, "main", back))
	r.world.set("main", true)
	r.eventually("home seen down", func() bool {
		s := r.standing().Seen
		return s["shop main"] == "down" && s["shop standby"] == "up"
	})
	r.clock.ahead(30 * time.Second)
	r.autoOnce()
	if got := r.addr(); got != mainIP {
		t.Errorf("moved by itself twice within the hour, to %s", got)
	}
	r.clock.ahead(time.Hour)
	r.eventually("failed over again", func() bool { return r.addr() == standbyIP })
}

func TestDoesNotFailOverWhileControlSpeaks(t *testing.T) {
	t.Parallel()
	r := autopilot(t, func(*snapshot.Auto) {})
	r.world.set("main", true)
	r.eventually("home seen down", func() bool {
		s := r.standing().Seen
		return s["shop main"] == "down" && s["shop standby"] == "up"
	})
	for range 20 {
		r.autoOnce()
	}
	if got := r.addr(); got != mainIP || len(reports(r)) != 0 {
		t.Errorf("moved to %s", got)
	}
	r.clock.ahead(-time.Hour) // the clock is set back: the silence begins anew
	r.autoOnce()
	if got := r.addr(); got != mainIP {
		t.Errorf("moved to %s", got)
	}
}

// What the checks see is for control, with the time at which it was seen.
func TestTransitionsAreReported(t *testing.T) {
	t.Parallel()
	r := autopilot(t, func(a *snapshot.Auto) { a.Silence = time.Hour })
	r.eventually("seen up", func() bool { return r.standing().Seen["shop main"] == "up" })
	r.world.set("main", true)
	r.eventually("seen down", func() bool { return r.standing().Seen["shop main"] == "down" })
	found := false
	for _, rep := range r.ring.After(0, 1000) {
		if tr := rep.Transition; tr != nil && tr.Target.Place == "main" && tr.To == probe.Down {
			found = found || tr.From == probe.Up && rep.At.Equal(tr.At) && !rep.At.IsZero()
		}
	}
	if !found {
		t.Errorf("%+v", r.ring.After(0, 1000))
	}
}
