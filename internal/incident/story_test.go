package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// A night in the tests starts here.
var night = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

var (
	ada    = Actor{Kind: "person", ID: "u1", Name: "Ada", Via: "web", Role: "admin"}
	cora   = Actor{Kind: "person", ID: "u2", Name: "Cora", Via: "web", Role: "commander"}
	olga   = Actor{Kind: "person", ID: "u3", Name: "Olga", Via: "cli", Role: "operator"}
	otto   = Actor{Kind: "api", ID: "t1", Name: "Otto", Via: "api", Role: "operator"}
	rita   = Actor{Kind: "person", ID: "u4", Name: "Rita", Via: "web", Role: "reporter"}
	vera   = Actor{Kind: "person", ID: "u5", Name: "Vera", Via: "web", Role: "viewer"}
	health = Actor{Kind: "rule", ID: "health", Name: "the health rule"}
	system = Actor{Kind: "system", ID: "engine", Name: "lifeboat"}
	probes = Actor{Kind: "collector", ID: "probes", Name: "lifeboat"}
)

// sentence is what a person types to go on anyway.
const sentence = "The home origin burns, so we go on."

// Ranks of the places: upwards is towards safety.
const (
	rankHome = iota
	rankOrigin
	rankStandby
)

// catalog are the levers of the tests by name: two on one target, one on another,
// and one that leads the wrong way.
var catalog = map[string]LeverFacts{
	"to-standby":   {Name: "to-standby", Kind: "zone", Title: "Show visitors the status page", Target: "zone:shop", To: "standby", ToRank: rankStandby, ToStandby: true, Reversible: true},
	"to-backup":    {Name: "to-backup", Kind: "zone", Title: "Send visitors to the backup", Target: "zone:shop", To: "backup", ToRank: rankOrigin, ToSeen: "up", Reversible: true},
	"to-home":      {Name: "to-home", Kind: "zone", Title: "Send visitors home", Target: "zone:shop", To: "home", ToRank: rankHome, ToSeen: "up", Reversible: true},
	"checkout-off": {Name: "checkout-off", Kind: "feature", Title: "Close the checkout", Target: "feature:checkout", To: "off", ToRank: rankOrigin, ToSeen: "unknown", Reversible: true},
	"search-off":   {Name: "search-off", Kind: "feature", Title: "Close the search", Target: "feature:search", To: "off", ToRank: rankOrigin, ToSeen: "unknown", Reversible: true},
}

var leverNames = []string{"to-standby", "to-backup", "to-home", "checkout-off", "search-off"}

// leverFacts gives an armed lever as it stands in the incident: it leads from where
// the newest pull on its target left visitors.
func leverFacts(in Incident, name string, now time.Time) *LeverFacts {
	l := catalog[name]
	l.From, l.FromRank = "home", rankHome
	if l.Kind == "feature" {
		l.From = "on"
	}
	if p, on := in.OnTop(l.Target); on {
		l.From = p.To
		l.FromRank = catalog[p.Lever].ToRank
	}
	l.ArmedUntil, l.Shares = now.Add(24*time.Hour), true
	l.Plan = json.RawMessage(`{"steps":[{"before":"192.0.2.2","after":"192.0.2.4"}]}`)
	return &l
}

// tale is an incident told command by command.
type tale struct {
	t      testing.TB
	in     Incident
	events []Event
	facts  Facts // of every command; change them between commands
	now    time.Time
	ids    int
	before func(Command, Facts) // looks at each command just before it is done
}

// story starts a tale about a site whose standby is well and whose home is down.
func story(t testing.TB) *tale {
	t.Helper()
	return &tale{t: t, now: night, facts: Facts{
		Actor: ada, IncidentID: "inc-1", Site: "shop", SiteTitle: "The Shop",
		Standby: "pass", HomeSeen: "down", Gates: []string{"front"},
		Checks: []string{"front", "cart", "stock"}, Verdicts: map[string]string{"front": "fail", "cart": "pass", "stock": "pass"},
		Actions: []ActionFacts{{Name: "restart", Undo: true}, {Name: "purge"}}, Approvers: 2,
		Settings: Settings{
			Passes: 2, Apart: time.Minute, TakeBack: 15 * time.Minute, Watch: time.Hour, Settle: 30 * time.Second, AutoGap: time.Hour,
			Approval: 10 * time.Minute, Pause: time.Minute, FixApart: 20 * time.Minute, FixPasses: 2,
		},
	}}
}

func (s *tale) newID() string {
	s.ids++
	return fmt.Sprintf("%026d", s.ids)
}

// try decides and records nothing.
func (s *tale) try(c Command, changes ...func(*Facts)) ([]Event, error) {
	f := s.facts
	for _, change := range changes {
		change(&f)
	}
	return s.in.Decide(c, f, s.now)
}

// do decides, seals and folds; the command must be accepted.
func (s *tale) do(c Command, changes ...func(*Facts)) *tale {
	s.t.Helper()
	if s.before != nil {
		f := s.facts
		for _, change := range changes {
			change(&f)
		}
		s.before(c, f)
	}
	drafts, err := s.try(c, changes...)
	if err != nil {
		s.t.Fatalf("%T in phase %q: %v", c, s.in.Phase, err)
	}
	return s.record(drafts)
}

func (s *tale) record(drafts []Event) *tale {
	sealed := s.in.Seal(drafts, s.now, s.newID)
	for _, e := range sealed {
		s.in = s.in.Apply(e)
	}
	s.events = append(s.events, sealed...)
	return s
}

func (s *tale) later(d time.Duration) *tale { s.now = s.now.Add(d); return s }
func (s *tale) by(a Actor) *tale            { s.facts.Actor = a; return s }
func (s *tale) home(seen string) *tale      { s.facts.HomeSeen = seen; return s }
func (s *tale) declare() *tale              { s.t.Helper(); return s.do(Declare{Title: "The shop is down"}) }
func (s *tale) declareDrill() *tale         { s.t.Helper(); return s.do(Declare{Drill: true}) }
func (s *tale) goBack(because string) *tale { s.t.Helper(); return s.do(GoBack{Because: because}) }
func (s *tale) note(text string) *tale      { s.t.Helper(); return s.do(Note{text}) }
func (s *tale) putBack(lever string) *tale  { s.t.Helper(); return s.do(PutBack{Lever: lever}) }
func (s *tale) check(verdict string) *tale  { s.t.Helper(); return s.do(sanityOf(verdict)) }
func (s *tale) lever(name string) func(*Facts) {
	return func(f *Facts) { f.Lever = leverFacts(s.in, name, s.now) }
}

func sanityOf(verdict string) Sanity {
	return Sanity{Check: "front", Verdict: verdict, Detail: "GET / said so"}
}

// pull pulls an armed lever and gives the pull an id that the test can guess: the
// lever's name and a number.
func (s *tale) pull(name string) *tale {
	s.t.Helper()
	return s.do(PullLever{PullID: s.pullID(name), Drill: s.in.Drill}, s.lever(name))
}

func (s *tale) pullID(name string) string { return fmt.Sprintf("%s-%d", name, len(s.in.Pulls)+1) }

// seen ends every act under way well.
func (s *tale) seen() *tale { s.t.Helper(); return s.end(Done) }

// end ends every act under way with a result.
func (s *tale) end(r Result) *tale {
	s.t.Helper()
	acts := 0
	for _, p := range s.in.Pulls {
		if p.State == Applying || p.State == Undoing {
			s.do(Outcome{Pull: p.ID, Back: p.State == Undoing, Result: r, Detail: "ns1 answers as ordered", TookMS: 4})
			acts++
		}
	}
	if acts == 0 {
		s.t.Fatal("no act is under way")
	}
	return s
}

// passes feeds passes until the return goes on.
func (s *tale) passes() *tale {
	s.t.Helper()
	for range s.in.Return.Needed {
		s.later(s.facts.Settings.Apart).check("pass")
	}
	return s
}

// The places that most tests start from.

func (s *tale) contained() *tale { s.t.Helper(); return s.declare().pull("to-standby").seen() }

func (s *tale) returning() *tale {
	s.t.Helper()
	return s.contained().later(time.Hour).goBack("The disk was full; it has room again.")
}

func (s *tale) watching() *tale {
	s.t.Helper()
	return s.returning().passes().seen().home("up")
}

func (s *tale) reviewing() *tale {
	s.t.Helper()
	return s.watching().later(s.facts.Settings.Watch).do(WatchOver{})
}

// The way through the second and the third step.

// suspected has one possible cause with all that confirms it, and another ruled out.
func (s *tale) suspected() *tale {
	s.t.Helper()
	return s.
		do(OpenCause{"The disk is full.", "df shows 100 %."}).do(OpenCause{"The release is broken.", "The old one works."}).
		do(Captured{Evidence{Kind: "metrics", Title: "Disk use", Summary: "100 % since 02:50", At: s.now}}).
		do(WeighCause{Cause: "c1", Evidence: "e1", Stance: For, Note: "It fits."}).
		do(TestCause{Cause: "c1", Outcome: TestHeld, Saw: "df shows 100 %."}).
		do(RuleOut{"c2", "The old release fails alike."})
}

func (s *tale) diagnosed() *tale {
	s.t.Helper()
	return s.contained().suspected().do(ConfirmCause{Cause: "c1", Factors: []string{"Nobody watched the disk."}})
}

// plan is a fix that lacks nothing.
func plan() ProposeFix {
	return ProposeFix{
		Change: "I will delete the old logs.", Promise: Promise{Check: "front", To: "it answers", Within: 5 * time.Minute},
		WayBack: "Nothing to take back.", Takes: "a minute", Risk: "None.", Owner: "Olga",
	}
}

func (s *tale) proposed() *tale {
	s.t.Helper()
	return s.diagnosed().by(olga).do(plan()).by(ada)
}

func (s *tale) approved() *tale {
	s.t.Helper()
	return s.proposed().by(cora).do(ApproveFix{}).by(ada)
}

func (s *tale) applying() *tale {
	s.t.Helper()
	return s.approved().by(olga).do(ApplyFix{}).by(ada)
}

func (s *tale) measuring() *tale {
	s.t.Helper()
	return s.applying().later(time.Minute).by(olga).do(FixCarriedOut{OK: true, Detail: "done", Output: "42 files"}).by(ada)
}

// read asks the promised check once more.
func (s *tale) read(verdict string) *tale {
	s.t.Helper()
	by := s.facts.Actor
	return s.later(10 * time.Second).by(probes).do(reading(verdict, s.now)).by(by)
}

func reading(verdict string, at time.Time) ReadFix {
	return ReadFix{Reading: Reading{At: at, Verdict: verdict, Took: 80 * time.Millisecond, Detail: "GET / said so"}, Others: map[string]string{"cart": "pass", "stock": "pass"}}
}

func (s *tale) worked() *tale {
	s.t.Helper()
	return s.measuring().read("pass").read("pass")
}

func (s *tale) fruitless() *tale {
	s.t.Helper()
	return s.measuring().later(5 * time.Minute).read("fail")
}

// harmful is a fix after which another check fails.
func (s *tale) harmful() *tale {
	s.t.Helper()
	s.measuring()
	for range worseToTell {
		r := reading("fail", s.now)
		r.Others["cart"] = "fail"
		s.do(r)
	}
	return s
}

func (s *tale) interrupted() *tale {
	s.t.Helper()
	return s.measuring().pull("checkout-off").seen()
}

func (s *tale) rolledBack() *tale {
	s.t.Helper()
	return s.fruitless().do(TakeBackFix{}).do(FixTakenBack{OK: true})
}

// cause gives the state of a possible cause, fix that of a fix.
func (s *tale) cause(id string) CauseState { c, _ := s.in.Cause(id); return c.State }

func (s *tale) fix(id string) Fix {
	s.t.Helper()
	for _, f := range s.in.Fixes {
		if f.ID == id {
			return f
		}
	}
	s.t.Fatalf("there is no fix %s", id)
	return Fix{}
}

func (s *tale) stateOf(lever string) PullState {
	s.t.Helper()
	for i := len(s.in.Pulls) - 1; i >= 0; i-- {
		if s.in.Pulls[i].Lever == lever {
			return s.in.Pulls[i].State
		}
	}
	s.t.Fatalf("%s was never pulled", lever)
	return ""
}

func types(events []Event) []Type {
	var out []Type
	for _, e := range events {
		out = append(out, e.Type)
	}
	return out
}

func refusalOf(err error) *fault.Refusal {
	var r *fault.Refusal
	errors.As(err, &r)
	return r
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// mustReadAsSentences holds U9: rule, reason, and what would satisfy it, in words.
func mustReadAsSentences(t failer, r *fault.Refusal) {
	t.Helper()
	rule, known := ruleByID(r.Rule)
	switch {
	case !known:
		t.Fatalf("refusal by an unknown rule %q", r.Rule)
	case !isSentence(r.Reason):
		t.Fatalf("%s: the reason is no sentence: %q", r.Rule, r.Reason)
	case !isSentence(r.Satisfy):
		t.Fatalf("%s: what would satisfy it is no sentence: %q", r.Rule, r.Satisfy)
	case negative.MatchString(r.Reason):
		t.Fatalf("%s: nobody counts backwards: %q", r.Rule, r.Reason)
	case r.Overridable && !rule.Overridable:
		t.Fatalf("%s is hard, yet the refusal offers a way through", r.Rule)
	case !strings.Contains(r.Error(), r.Rule):
		t.Fatalf("%s is not named in %q", r.Rule, r.Error())
	}
}

var negative = regexp.MustCompile(` -\d`)

func isSentence(s string) bool {
	if len(s) < 8 || stop(s) != s || strings.HasSuffix(s, "..") || strings.Contains(s, "%!") || strings.Contains(s, "  ") {
		return false
	}
	first := strings.TrimLeft(s, `"`)
	return strings.HasPrefix(s, `"`) || first[:1] == strings.ToUpper(first[:1])
}

func ruleByID(id string) (Rule, bool) {
	for _, r := range Rules {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// stateJSON is the state as bytes, to compare two.
func stateJSON(t failer, in Incident) string {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatalf("marshal state: %v", err)
	}
	return string(b)
}

// asJSON is a value as bytes, to compare two.
func asJSON(t failer, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return string(b)
}

func atLeast(a Actor, least role.Role) bool { return role.Role(a.Role).AtLeast(least) }
