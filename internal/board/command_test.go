package board

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

func given(change ...func(*Given)) Given {
	n := 0
	g := Given{
		Records: Records{
			Overrides:    map[string]Override{"web": {Component: "web", State: Major}},
			Incidents:    map[string]Incident{"open": told(Investigating, Affected{"web", Operational, Partial}), "over": told(Resolved)},
			Maintenances: map[string]Maintenance{"soon": {ID: "soon", Step: Scheduled, From: now.Add(time.Hour), Until: now.Add(2 * time.Hour)}, "now": {ID: "now", Step: Scheduled, From: ago(time.Hour), Until: now.Add(time.Hour)}, "done": {ID: "done", Step: Completed}},
		},
		Components: []Definition{Site("web", "Web"), Site("api", "API")}, Now: now, NewID: func() string { n++; return fmt.Sprintf("ID%d", n) }, Who: Who{Name: "Ada"},
	}
	for _, c := range change {
		c(&g)
	}
	return g
}

func one(s string) Text { return Text{"": s} }

// TestWhatIsRefused: each refusal names the field and, where there is one, a remedy.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", MaxMessage+1)
	for _, c := range []struct {
		command Command
		kind    fault.Kind
		place   string
	}{
		{SetOverride{Component: "nothing", State: Major}, fault.NotFound, "component"},
		{SetOverride{Component: "web", State: "on fire"}, fault.Invalid, "state"},
		{SetOverride{Component: "web", State: Unknown}, fault.Invalid, "state"},
		{SetOverride{Component: "web", State: Major, For: -1}, fault.Invalid, "for"},
		{SetOverride{Component: "web", State: Major, Reason: one(long)}, fault.Invalid, "reason"},
		{DropOverride{Component: "api"}, fault.NotFound, "component"},
		{OpenIncident{Text: one("x")}, fault.Invalid, "title"},
		{OpenIncident{Title: one(" \n "), Text: one("x")}, fault.Invalid, "title"},
		{OpenIncident{Title: one("x")}, fault.Invalid, "text"},
		{OpenIncident{Title: one("x"), Text: Text{"klingon!": "x"}}, fault.Invalid, "text"},
		{OpenIncident{Title: one("x"), Text: Text{"de": long}}, fault.Invalid, "text.de"},
		{OpenIncident{Title: one("x\x1b[31m"), Text: one("x")}, fault.Invalid, "title"},
		{OpenIncident{Title: one("x"), Text: one("\xff")}, fault.Invalid, "text"},
		{OpenIncident{Title: one("x"), Text: one("x"), Impact: "huge"}, fault.Invalid, "impact"},
		{OpenIncident{Title: one("x"), Text: one("x"), Step: Scheduled}, fault.Invalid, "step"},
		{OpenIncident{Title: one("x"), Text: one("x"), States: map[string]State{"web": "bad"}}, fault.Invalid, "components"},
		{OpenIncident{Title: one("x"), Text: one("x"), States: map[string]State{"nothing": Major}}, fault.NotFound, "components"},
		{OpenIncident{Title: one("x"), Text: one("x"), StartedAt: now.Add(time.Hour)}, fault.Invalid, "started_at"},
		{OpenIncident{Title: one("x"), Text: one("x"), StartedAt: ago(365 * 24 * time.Hour)}, fault.Invalid, "started_at"},
		{OpenIncident{Title: one("x"), Text: one("x"), NextIn: 365 * 24 * time.Hour}, fault.Invalid, "next_in"},
		{UpdateIncident{ID: "nothing", Text: one("x")}, fault.NotFound, "id"},
		{UpdateIncident{ID: "open", Step: Postmortem, Text: one("x")}, fault.Invalid, "step"},
		{UpdateIncident{ID: "open"}, fault.Invalid, "text"},
		{UpdateIncident{ID: "open", Text: one("x"), Crew: "u1"}, fault.Conflict, "crew"},
		{EditIncident{ID: "open", Update: "u9", Text: one("x")}, fault.NotFound, "update"},
		{EditIncident{ID: "open", Impact: "huge"}, fault.Invalid, "impact"},
		{PublishStory{ID: "open", Text: one("x")}, fault.Conflict, "id"},
		{PublishStory{ID: "over", Text: one(strings.Repeat("x", MaxStory+1))}, fault.Invalid, "text"},
		{PlanMaintenance{Title: one("x")}, fault.Invalid, "from"},
		{PlanMaintenance{Title: one("x"), From: now.Add(time.Hour), Until: now}, fault.Invalid, "until"},
		{PlanMaintenance{Title: one("x"), From: ago(2 * time.Hour), Until: ago(time.Hour)}, fault.Invalid, "until"},
		{PlanMaintenance{Title: one("x"), From: now, Until: now.Add(1000 * time.Hour)}, fault.Invalid, "until"},
		{PlanMaintenance{Title: one("x"), From: now.Add(10000 * time.Hour), Until: now.Add(10001 * time.Hour)}, fault.Invalid, "from"},
		{PlanMaintenance{Title: one("x"), From: now, Until: now.Add(time.Hour), Components: []string{"nothing"}}, fault.NotFound, "components"},
		{UpdateMaintenance{ID: "done", Step: InProgress, Text: one("x")}, fault.Conflict, "step"},
		{UpdateMaintenance{ID: "now", Step: Scheduled, Text: one("x")}, fault.Conflict, "step"},
		{UpdateMaintenance{ID: "soon", Step: Resolved, Text: one("x")}, fault.Invalid, "step"},
		{UpdateMaintenance{ID: "soon"}, fault.Invalid, "text"},
		{EditMaintenance{ID: "done"}, fault.Conflict, "id"},
		{CancelMaintenance{ID: "now"}, fault.Conflict, "id"},
	} {
		_, err := Decide(c.command, given())
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != c.kind || f.Place != c.place {
			t.Errorf("%T %+v: %v (at %q), want %s at %q", c.command, c.command, err, fmt.Sprint(f), c.kind, c.place)
		}
	}
}

func TestAnIncidentsLife(t *testing.T) {
	t.Parallel()
	g := given(func(g *Given) { g.Records.Incidents = map[string]Incident{} })
	do := func(c Command) Incident {
		t.Helper()
		x, err := Decide(c, g)
		if err != nil {
			t.Fatal(err)
		}
		g.Records.Incidents[x.Incident.ID] = *x.Incident
		g.Now = g.Now.Add(10 * time.Minute)
		return *x.Incident
	}
	in := do(OpenIncident{Title: one("Payments fail"), Text: one("We look."), States: map[string]State{"web": Degraded, "api": Operational}, NextIn: 20 * time.Minute})
	if in.Impact != ImpactMinor || in.Step != Investigating || in.Says("web") != Degraded || len(in.Components) != 2 || in.NextDue.Sub(in.CreatedAt) != 20*time.Minute || in.ID[0] != 'x' {
		t.Errorf("opened: %+v", in)
	}
	in = do(UpdateIncident{ID: in.ID, Text: one("Worse."), Step: Identified, States: map[string]State{"web": Major}})
	if in.Impact != ImpactCritical || in.Updates[1].Affected[0] != (Affected{"web", Degraded, Major}) || !in.NextDue.IsZero() {
		t.Errorf("worse: %+v", in)
	}
	in = do(UpdateIncident{ID: in.ID, Text: one("Mended."), Step: Monitoring, States: map[string]State{"web": Operational}})
	if in.Monitoring.IsZero() || in.Impact != ImpactCritical {
		t.Errorf("mended: %+v", in)
	}
	in = do(UpdateIncident{ID: in.ID, Text: one("Not so."), Step: Investigating, States: map[string]State{"web": Partial}})
	in = do(UpdateIncident{ID: in.ID, Text: one("Over."), Step: Resolved})
	if in.Open() || in.ResolvedAt.IsZero() || in.Says("web") != "" || said(in.Updates, "web") != Operational {
		t.Errorf("over: %+v", in)
	}
	in = do(PublishStory{ID: in.ID, Text: one("# Why\n\nBecause.")})
	if in.Step != Postmortem || in.Story == nil {
		t.Errorf("written up: %+v", in)
	}
	if in = do(PublishStory{ID: in.ID}); in.Step != Resolved || in.Story != nil {
		t.Errorf("withdrawn: %+v", in)
	}
}

func TestMaintenancesLife(t *testing.T) {
	t.Parallel()
	g := given()
	x, err := Decide(UpdateMaintenance{ID: "soon", Step: InProgress}, g)
	if err != nil || x.Maintenance.StartedAt != now || !x.Maintenance.At(now).Active() {
		t.Errorf("begun early: %+v %v", x.Maintenance, err)
	}
	x, err = Decide(UpdateMaintenance{ID: "now", Step: Completed, Text: one("Done.")}, g)
	if err != nil || x.Maintenance.EndedAt != now || x.Maintenance.StartedAt != ago(time.Hour) || len(x.Maintenance.Updates) != 1 {
		t.Errorf("ended early: %+v %v", x.Maintenance, err)
	}
	x, err = Decide(EditMaintenance{ID: "soon", Until: now.Add(5 * time.Hour), Components: []string{"web", "web"}}, g)
	if err != nil || x.Maintenance.Until != now.Add(5*time.Hour) || len(x.Maintenance.Components) != 1 {
		t.Errorf("longer: %+v %v", x.Maintenance, err)
	}
}

func TestEvery(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"daily 03:00": "2026-11-23T02:00:00Z", "sunday 14:30": "2026-11-22T13:30:00Z", "Sunday 02:00": "2026-11-29T01:00:00Z",
		"first sunday 02:00": "2026-12-06T01:00:00Z", "15 02:00": "2026-12-15T01:00:00Z", "fourth monday 00:00": "2026-11-22T23:00:00Z",
	} {
		e, err := ParseEvery(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.Next(now, berlin).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if back, err := ParseEvery(e.String()); err != nil || back != e {
			t.Errorf("%s is written %s: %v", text, e, err)
		}
	}
	for _, bad := range []string{"", "sunday", "03:00", "sunday 25:00", "31 02:00", "first 02:00", "first daily 02:00", "fifth sunday 02:00", "sunday first 02:00", strings.Repeat("sunday ", 50)} {
		if e, err := ParseEvery(bad); err == nil {
			t.Errorf("%q is read as %s", bad, e)
		}
	}
	// 29 March 2026: the clock goes from 2 to 3.
	e, _ := ParseEvery("daily 02:30")
	if got := e.Next(time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), berlin).Format(time.RFC3339); got != "2026-03-29T01:30:00Z" && got != "2026-03-29T00:30:00Z" {
		t.Errorf("in the hour that is left out: %s", got)
	}
}

func FuzzEvery(f *testing.F) {
	for _, s := range []string{"daily 03:00", "first sunday 02:00", "15 02:00", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEvery(s)
		if err != nil {
			return
		}
		if back, err := ParseEvery(e.String()); err != nil || back != e {
			t.Errorf("%q: %s: %v", s, e, err)
		}
		if next := e.Next(now, time.UTC); !next.After(now) {
			t.Errorf("%q: next is %s", s, next)
		}
	})
}

func FuzzAdmits(f *testing.F) {
	f.Add(Admit([]byte("k"), "read", now.Add(time.Hour)))
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if Admits([]byte("other"), "read", token, now) {
			t.Errorf("%q lets anybody in", token)
		}
	})
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	h := HashPassword("a boat")
	if CheckHash(h) != nil || !Matches(h, "a boat") || Matches(h, "a boa") || Matches("", "") {
		t.Error(h)
	}
	for _, bad := range []string{"", "x", "$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHQ$" + strings.Repeat("A", 43), "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", h + " "} {
		if CheckHash(bad) == nil {
			t.Errorf("%q is taken for a hash", bad)
		}
	}
}
