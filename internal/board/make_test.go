package board

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/probe"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// shop is one component measured by two checks of one site that is at home.
func shop(change ...func(*Facts)) Facts {
	f := Facts{
		Sheet:   Sheet{Pages: []Page{{ID: "main"}}, Components: []Definition{{ID: "web", Name: Text{"": "Shop"}, Measured: []Measure{{Site: "shop"}}}}},
		Ordered: map[string]Ordered{"shop": {Position: "main", Home: "main", Since: ago(72 * time.Hour)}},
		Seen:    []Seen{sight("home", probe.Up), sight("pay", probe.Up)},
		Now:     now,
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

func sight(check string, seen probe.Seen) Seen {
	return Seen{Site: "shop", Place: "main", Check: check, Seen: seen, At: ago(8 * time.Second), Every: 5 * time.Second}
}

func told(step Step, affected ...Affected) Incident {
	in := Incident{ID: "i1", Step: step, Impact: ImpactMinor, StartedAt: ago(time.Hour), UpdatedAt: ago(time.Hour), Updates: []Update{{ID: "u1", Step: step, At: ago(time.Hour), Affected: affected}}}
	for _, a := range affected {
		in.Components = append(in.Components, a.Component)
	}
	return in
}

func TestWhichStateIsShown(t *testing.T) {
	t.Parallel()
	seen := func(list ...Seen) func(*Facts) { return func(f *Facts) { f.Seen = list } }
	order := func(o Ordered) func(*Facts) { return func(f *Facts) { f.Ordered["shop"] = o } }
	incident := func(step Step, s State) func(*Facts) {
		return func(f *Facts) {
			f.Sheet.Incidents = []Incident{told(step, Affected{"web", Operational, s})}
		}
	}
	override := func(s State, until time.Time) func(*Facts) {
		return func(f *Facts) {
			f.Sheet.Overrides = []Override{{Component: "web", State: s, At: ago(time.Minute), Until: until}}
		}
	}
	work := func(f *Facts) {
		f.Sheet.Maintenances = []Maintenance{{ID: "m1", Step: Scheduled, From: ago(time.Hour), Until: now.Add(time.Hour), Components: []string{"web"}}}
	}
	old := sight("home", probe.Up)
	old.At = ago(time.Hour)
	seldom := old
	seldom.Every = 30 * time.Minute
	ahead := sight("home", probe.Up)
	ahead.At = now.Add(time.Minute)
	never := sight("home", probe.Unknown)
	never.At = time.Time{}

	for name, c := range map[string]struct {
		facts     Facts
		state     State
		why       Why
		measured  State
		indicator Indicator
	}{
		"all pass":                    {shop(), Operational, ByChecks, Operational, None},
		"one fails":                   {shop(seen(sight("home", probe.Up), sight("pay", probe.Down))), Partial, ByChecks, Partial, Serious},
		"all fail":                    {shop(seen(sight("home", probe.Down), sight("pay", probe.Down))), Major, ByChecks, Major, Critical},
		"no check":                    {shop(seen()), Unknown, ByChecks, Unknown, Minor},
		"too old":                     {shop(seen(old)), Unknown, ByChecks, Unknown, Minor},
		"one too old":                 {shop(seen(old, sight("pay", probe.Up))), Unknown, ByChecks, Unknown, Minor},
		"old, but asked seldom":       {shop(seen(seldom)), Operational, ByChecks, Operational, None},
		"from the future":             {shop(seen(ahead)), Unknown, ByChecks, Unknown, Minor},
		"never asked":                 {shop(seen(never)), Unknown, ByChecks, Unknown, Minor},
		"fails, and one unknown":      {shop(seen(old, sight("pay", probe.Down))), Partial, ByChecks, Partial, Serious},
		"ordered to the standby":      {shop(order(Ordered{Position: Standby, Home: "main"})), Major, ByOrder, Major, Critical},
		"some are back":               {shop(order(Ordered{Position: Standby, Home: "main", Share: "main"})), Partial, ByOrder, Partial, Serious},
		"some are at the standby":     {shop(order(Ordered{Position: "main", Home: "main", Share: Standby})), Partial, ByOrder, Partial, Serious},
		"ordered where nobody checks": {shop(order(Ordered{Position: "backup", Home: "main"})), Unknown, ByChecks, Unknown, Minor},
		"an incident says worse":      {shop(incident(Identified, Degraded)), Degraded, ByIncident, Operational, Minor},
		"an incident says better":     {shop(incident(Identified, Degraded), seen(sight("home", probe.Down))), Major, ByChecks, Major, Critical},
		"an incident is over":         {shop(incident(Resolved, Degraded)), Operational, ByChecks, Operational, None},
		"overridden for the worse":    {shop(override(Major, time.Time{})), Major, ByOverride, Operational, Critical},
		"overridden for the better":   {shop(seen(sight("home", probe.Down)), override(Operational, time.Time{})), Operational, ByOverride, Major, None},
		"the override has ended":      {shop(override(Major, ago(time.Second))), Operational, ByChecks, Operational, None},
		"work under way":              {shop(work, seen(sight("home", probe.Down))), Maintained, ByMaintenance, Major, None},
		"work, and an incident":       {shop(work, incident(Investigating, Partial)), Partial, ByIncident, Operational, Serious},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Make(c.facts.Sheet.Pages[0], c.facts)
			got := b.Components[0]
			if got.State != c.state || got.Why != c.why || got.Measured != c.measured || b.Indicator != c.indicator {
				t.Errorf("%s by %s, measured %s, indicator %s; want %s by %s, measured %s, indicator %s", got.State, got.Why, got.Measured, b.Indicator, c.state, c.why, c.measured, c.indicator)
			}
		})
	}
}

func TestWhatIsMeasuredByNobody(t *testing.T) {
	t.Parallel()
	f := shop(func(f *Facts) { f.Sheet.Components[0].Measured = nil })
	c := Make(f.Sheet.Pages[0], f).Components[0]
	if c.State != Operational || c.Why != ByNobody || c.Measured != "" {
		t.Errorf("%s by %s, measured %q", c.State, c.Why, c.Measured)
	}
}

func TestKnowledge(t *testing.T) {
	t.Parallel()
	at := func(check, from string, seen probe.Seen, age time.Duration) Seen {
		s := sight(check, seen)
		s.From, s.At = from, ago(age)
		return s
	}
	for name, c := range map[string]struct {
		seen   []Seen
		age    time.Duration
		places []string
		stale  int
	}{
		"the oldest of the fresh": {[]Seen{at("a", "london", probe.Up, 3*time.Second), at("b", "frankfurt", probe.Up, 8*time.Second)}, 8 * time.Second, []string{"frankfurt", "london"}, 0},
		"fresh over stale":        {[]Seen{at("a", "", probe.Up, time.Hour), at("b", "", probe.Down, 8*time.Second)}, 8 * time.Second, []string{""}, 0},
		"the newest of the stale": {[]Seen{at("a", "", probe.Up, time.Hour), at("b", "", probe.Up, 2*time.Hour)}, time.Hour, []string{""}, 1},
	} {
		f := shop(func(f *Facts) { f.Seen = c.seen })
		k := Make(f.Sheet.Pages[0], f).Knowledge
		if got := now.Sub(k.At); got != c.age || !cmp.Equal(k.Places, c.places) || k.Stale != c.stale {
			t.Errorf("%s: checked %s ago from %q, %d stale", name, got, k.Places, k.Stale)
		}
	}
}

func TestNoListIsNil(t *testing.T) {
	t.Parallel()
	b := Make(Page{}, Facts{Now: now})
	if b.Components == nil || b.Sections == nil || b.Incidents == nil || b.Maintenances == nil || b.Knowledge.Places == nil || b.Open() == nil || b.Active() == nil || b.Upcoming() == nil {
		t.Errorf("%+v", b)
	}
	c := Make(Page{}, shop()).Components[0]
	if c.Places == nil || c.Incidents == nil || c.Maintained == nil || c.Times == nil || len(c.Days) != DaysShown {
		t.Errorf("%+v", c)
	}
}

func TestMaintenanceByTheClock(t *testing.T) {
	t.Parallel()
	m := Maintenance{Step: Scheduled, From: now, Until: now.Add(time.Hour)}
	for _, c := range []struct {
		m    Maintenance
		at   time.Time
		want Step
	}{
		{m, now.Add(-1), Scheduled}, {m, now, InProgress}, {m, now.Add(59 * time.Minute), InProgress}, {m, now.Add(time.Hour), Completed},
		{Maintenance{Step: Scheduled, From: now, Until: now.Add(time.Hour), ByHand: true}, now.Add(2 * time.Hour), Scheduled},
		{Maintenance{Step: Verifying, From: now, Until: now.Add(time.Hour)}, now.Add(time.Minute), Verifying},
		{Maintenance{Step: Completed, From: now, Until: now.Add(time.Hour)}, now.Add(time.Minute), Completed},
	} {
		if got := c.m.At(c.at).Step; got != c.want {
			t.Errorf("%+v at %s: %s, want %s", c.m, c.at, got, c.want)
		}
	}
}

func TestTallies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tally Tally
		json  string
		worst State
	}{
		{Tally{}, "[]", Unknown}, {Tally{86400}, "[86400]", Operational}, {Tally{86390, 0, 0, 10}, "[86390,0,0,10]", Operational},
		{Tally{86000, 0, 0, 400}, "[86000,0,0,400]", Major}, {Tally{0, 0, 0, 0, 0, 86400}, "[0,0,0,0,0,86400]", Unknown}, {Tally{100, 0, 0, 0, 40}, "[100,0,0,0,40]", Maintained},
		{Tally{100, 40, 40, 0, 40}, "[100,40,40,0,40]", Partial},
	} {
		b, err := json.Marshal(c.tally)
		if err != nil || string(b) != c.json {
			t.Errorf("%v is written %s (%v)", c.tally, b, err)
		}
		var back Tally
		if err := json.Unmarshal(b, &back); err != nil || back != c.tally {
			t.Errorf("%s is read %v (%v)", b, back, err)
		}
		if got := c.tally.Worst(); got != c.worst {
			t.Errorf("%v: %s, want %s", c.tally, got, c.worst)
		}
	}
	if got := Uptime([]Day{{"", Tally{86399, 0, 0, 1}}, {"", Tally{0, 0, 0, 0, 0, 86400}}}); got != 9999 {
		t.Errorf("uptime %d: no outage may be rounded away", got)
	}
	if got := Uptime(nil); got != -1 {
		t.Errorf("uptime of nothing: %d", got)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	x := Text{"": "first", "de": "zweite"}
	for want, langs := range map[string][]string{"zweite/de": {"de", ""}, "first/": {"fr", ""}} {
		if text, lang := x.In(langs...); text+"/"+lang != want {
			t.Errorf("%v: %s/%s", langs, text, lang)
		}
	}
	if text, lang := (Text{"pl": "a", "fr": "b"}).In("de"); text != "b" || lang != "fr" {
		t.Errorf("%s/%s", text, lang)
	}
}

func TestAMessageIsNeverLeftOut(t *testing.T) {
	t.Parallel()
	f := shop()
	heard := f.Heard("shop", Text{"en": "Something is wrong"}, "We look.", ago(time.Hour))
	b := Make(Page{}, heard)
	if len(b.Open()) != 1 || b.Open()[0].Updates[0].Text[""] != "We look." || len(b.Components[0].Incidents) != 1 {
		t.Errorf("%+v", b.Open())
	}
	if len(f.Sheet.Incidents) != 0 {
		t.Error("the facts were changed")
	}
	known := told(Identified)
	known.Site, known.Updates[0].Text = "shop", Text{"": "We look."}
	f.Sheet.Incidents = []Incident{known}
	if again := f.Heard("shop", nil, "We look.", now); len(again.Sheet.Incidents) != 1 {
		t.Errorf("told twice: %+v", again.Sheet.Incidents)
	}
	if none := f.Heard("shop", nil, "", now); len(none.Sheet.Incidents) != 1 {
		t.Error("nothing was told, and something is heard")
	}
}

// TestWhatNamesNothingIsOnEveryPage: a message that names no part reaches every visitor;
// one that names parts of another site does not.
func TestWhatNamesNothingIsOnEveryPage(t *testing.T) {
	t.Parallel()
	f := shop()
	f.Sheet.Components = append(f.Sheet.Components, Definition{ID: "docs", Measured: []Measure{{Site: "docs"}}})
	f.Sheet.Incidents = []Incident{{ID: "all", Components: []string{}}, {ID: "theirs", Components: []string{"docs"}}, {ID: "crew", Components: []string{}, Site: "docs"}}
	f.Sheet.Maintenances = []Maintenance{{ID: "all", Step: Scheduled, From: now.Add(time.Hour), Until: now.Add(2 * time.Hour)}, {ID: "theirs", Step: Scheduled, From: now.Add(time.Hour), Until: now.Add(2 * time.Hour), Components: []string{"docs"}}}
	b := Make(Page{Sites: []string{"shop"}}, f)
	if len(b.Incidents) != 1 || b.Incidents[0].ID != "all" || len(b.Maintenances) != 1 || b.Maintenances[0].ID != "all" {
		t.Errorf("%+v %+v", b.Incidents, b.Maintenances)
	}
}
