package incident

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

// A clock that was set back an hour keeps nobody waiting for that hour.
func TestAClockSetBackHoldsNoFixUp(t *testing.T) {
	t.Parallel()
	s := story(t)
	s.diagnosed().by(olga).do(plan()).later(-time.Hour)
	s.do(GoAlone{sentence}).later(-2 * time.Hour).do(ApplyFix{})
}

// What one incident leaves parked, the next one can always be declared with.
func TestParkedLeversNeverKeepALeverFromBeingPulled(t *testing.T) {
	t.Parallel()
	s := story(t).declare()
	long := strings.Repeat("<", maxLine)
	if _, err := s.try(ParkLever{Lever: "x", Owner: "Bob", Until: s.now.Add(time.Hour), Reason: long + long}); err == nil {
		t.Error("a reason that fills a page was taken")
	}
	parked := 0
	for i := range 100 {
		name := "lever-" + strings.Repeat("x", 40) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		l := LeverFacts{Name: name, Kind: "feature", Title: strings.Repeat("<", 120), Target: "feature:" + name, To: "off", Reversible: true, ArmedUntil: night.Add(time.Hour), Plan: json.RawMessage(`"` + strings.Repeat("x", 500) + `"`)}
		s.do(PullLever{PullID: name}, func(f *Facts) { f.Lever = &l }).seen()
		events, err := s.try(ParkLever{Lever: name, Owner: "Bob", Until: s.now.Add(time.Hour), Reason: long})
		if err != nil {
			if fault.KindOf(err) != fault.Conflict {
				t.Fatal(err)
			}
			break
		}
		s.record(events)
		parked++
	}
	if parked < 10 || parked == 100 {
		t.Fatalf("%d levers were parked", parked)
	}
	next := story(t)
	next.facts.Parked = s.in.ParkedPulls()
	next.pull("to-standby")
}

// A lever that was parked and is not any more has to be put back before all is called
// a false alarm.
func TestNoFalseAlarmLeavesALeverPulled(t *testing.T) {
	t.Parallel()
	s := story(t).do(Declare{}, func(f *Facts) {
		f.Parked = []Pull{{ID: "old", Lever: "checkout-off", Kind: "feature", Target: "feature:checkout", To: "off", State: Active, At: night, Parked: &Parking{Owner: "Bob"}}}
	})
	s.home("up").do(UnparkLever{"checkout-off"})
	if _, err := s.try(Cancel{}); err == nil {
		t.Error("it was cancelled with a lever pulled that nobody looks after")
	}
}

// With nothing pulled but what is parked, the way back is the same: the checks, the
// watch and the write-up, and the parked lever stays.
func TestAnIncidentWithOnlyParkedLeversComesToItsEnd(t *testing.T) {
	t.Parallel()
	s := story(t).pull("checkout-off").seen()
	s.do(ParkLever{Lever: "checkout-off", Owner: "Bob", Until: night.Add(48 * time.Hour), Reason: "The supplier mends it on Monday."})
	s.home("up").goBack("The rest is well.").passes()
	if s.in.Phase != Watch || s.stateOf("checkout-off") != Active {
		t.Fatalf("phase %s, the parked lever is %s", s.in.Phase, s.stateOf("checkout-off"))
	}
	s.later(2 * time.Hour).do(WatchOver{}).do(Close{Reason: sentence})
	if s.in.Phase != Closed || len(s.in.ParkedPulls()) != 1 {
		t.Errorf("phase %s, %d levers are parked", s.in.Phase, len(s.in.ParkedPulls()))
	}
}

// Whoever was told that it is over before it came again is owed the word once more (R21).
func TestOverIsSaidAgainAfterARelapse(t *testing.T) {
	t.Parallel()
	s := story(t).reviewing().do(SendUpdate{Audience: Public, Text: sentence, Final: true})
	if told, over := s.in.toldPublic(); !told || !over {
		t.Fatal("the public was not told that it is over")
	}
	s.later(time.Minute).do(Relapsed{"front fails"})
	if _, over := s.in.toldPublic(); over {
		t.Error("it came again, and still counts as told to be over")
	}
}

// What came first is a matter of the order in which it is on record: neither a clock that
// was set back, nor a local order taken over late, nor an empty reason lets a word from
// before a relapse count, or keeps the one after it from counting.
func TestOverIsJudgedByOrderNotByClock(t *testing.T) {
	t.Parallel()
	over := SendUpdate{Audience: Public, Text: sentence, Final: true}
	for name, again := range map[string]func(s *tale){
		"at the same moment":  func(s *tale) { s.do(Relapsed{"front fails"}) },
		"the clock set back":  func(s *tale) { s.later(-time.Hour).do(Relapsed{"front fails"}) },
		"nothing said of why": func(s *tale) { s.later(time.Minute).do(Relapsed{}) },
	} {
		s := story(t).reviewing().do(over)
		again(s)
		if _, said := s.in.toldPublic(); said || !s.in.Overtaken(s.in.Updates[len(s.in.Updates)-1]) {
			t.Errorf("%s: it came again, and still counts as told to be over", name)
		}
		if _, said := s.later(-3 * time.Hour).do(over).in.toldPublic(); !said {
			t.Errorf("%s: it was said once more, and does not count", name)
		}
	}
}

// A step back after the word that it is over takes the word back, too.
func TestOverIsSaidAgainAfterAStepBack(t *testing.T) {
	t.Parallel()
	s := story(t).contained().home("up").goBack("It is well again.").do(SendUpdate{Audience: Public, Text: sentence, Final: true})
	if s.do(StepBack{}); s.in.Phase != Diagnose {
		t.Fatalf("phase %s", s.in.Phase)
	}
	if told, over := s.in.toldPublic(); !told || over {
		t.Errorf("told %v, over %v after a step back", told, over)
	}
}

// The status page does not say that it is over in the watch after a relapse, before
// somebody has said so anew.
func TestThePageDoesNotSayOverBeforeItIsSaidAnew(t *testing.T) {
	t.Parallel()
	s := story(t).reviewing().do(SendUpdate{Audience: Public, Text: "It is over.", Final: true})
	if got := s.in.PublicWord(); got != "It is over." {
		t.Fatalf("the page says %q", got)
	}
	s.later(time.Minute).do(Relapsed{"front fails"}).do(DecideNoFailover{sentence}).home("up").goBack("It is well again.").passes()
	if got := s.in.PublicWord(); s.in.Phase != Watch || got != "" {
		t.Errorf("at %s after it came again the page says %q", s.in.Phase, got)
	}
}

// Each audience is owed what it was promised, and no more.
func TestNewsIsOwedToWhoItWasPromised(t *testing.T) {
	t.Parallel()
	s := story(t).contained().do(SendUpdate{Audience: Public, Text: sentence, NextIn: 20 * time.Minute})
	s.do(SendUpdate{Audience: Leaders, Text: sentence, NextIn: 4 * time.Hour})
	if want := night.Add(20 * time.Minute); !s.in.UpdateDue.Equal(want) {
		t.Errorf("the public waits until %s, and news is due at %s", want, s.in.UpdateDue)
	}
	if s.do(SendUpdate{Audience: Public, Text: sentence}); !s.in.UpdateDue.Equal(night.Add(4 * time.Hour)) {
		t.Errorf("the public has its news, and what is due is of %s", s.in.UpdateDue)
	}
	s.do(SnoozeUpdate{By: 6 * time.Hour}).do(SendUpdate{Audience: Staff, Text: sentence})
	if !s.in.UpdateDue.Equal(s.now.Add(6 * time.Hour)) {
		t.Errorf("put off until %s, due %s", s.now.Add(6*time.Hour), s.in.UpdateDue)
	}
	if s.do(SendUpdate{Audience: Leaders, Text: sentence, Final: true}); !s.in.UpdateDue.IsZero() {
		t.Errorf("after the last word the next is due %s", s.in.UpdateDue)
	}
}

// Who is owed news is part of the state: it is not forgotten when the state is kept and
// read back.
func TestAKeptStateKnowsWhoIsOwedNews(t *testing.T) {
	t.Parallel()
	s := story(t).contained().do(SendUpdate{Audience: Public, Text: sentence, NextIn: time.Minute})
	var kept Incident
	if err := json.Unmarshal([]byte(stateJSON(t, s.in)), &kept); err != nil {
		t.Fatal(err)
	}
	before := len(s.events)
	s.do(SendUpdate{Audience: Staff, Text: sentence})
	for _, e := range s.events[before:] {
		kept = kept.Apply(e)
	}
	if !kept.UpdateDue.Equal(s.in.UpdateDue) {
		t.Errorf("news is due at %s, and after the state was read back at %s", s.in.UpdateDue, kept.UpdateDue)
	}
}

// The second watch asks for its own measuring.
func TestEachWatchMeasuresThePromiseAgain(t *testing.T) {
	t.Parallel()
	s := story(t).measuring().read("pass").read("pass")
	s.do(GoBack{}).passes().seen().home("up").by(probes).do(ReadAgain{Reading{Verdict: "pass"}}).by(ada)
	if f, _ := s.in.LastFix(); f.Again != "pass" {
		t.Fatalf("measured again: %q", f.Again)
	}
	s.do(StepBack{map[string]string{"to-standby-1": "again"}}).seen().do(GoBack{Because: sentence}).passes().seen()
	if f, _ := s.in.LastFix(); f.Again != "" {
		t.Errorf("the promise counts as measured again before it was: %q", f.Again)
	}
}

// The impact is measured once in each watch and in the write-up, whatever the clock says.
func TestTheImpactIsDueOnceAPhase(t *testing.T) {
	t.Parallel()
	s := story(t).watching()
	if !s.in.ImpactDue {
		t.Fatal("nothing is to be measured in the watch")
	}
	if s.later(-time.Hour).do(Measure{}); s.in.ImpactDue {
		t.Error("with the clock set back it is to be measured again and again")
	}
}

// Marks of direction can't make a message to everybody read as another one.
func TestAMessageReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	s := story(t).contained().do(SendUpdate{Audience: Public, Text: "All is \u202ellew ton\u202c well."})
	if got := s.in.Updates[0].Text; got != "All is llew ton well." {
		t.Errorf("it is sent as %q", got)
	}
}

// What lifeboat captures itself has room left however much people add.
func TestPeopleLeaveRoomForCaptures(t *testing.T) {
	t.Parallel()
	s := story(t).contained()
	for range maxAttached - len(s.in.Evidence) {
		s.do(Attach{Evidence{Title: "x"}})
	}
	if _, err := s.try(Attach{Evidence{Title: "x"}}); err == nil {
		t.Error("people can use up all room")
	}
	s.by(probes).do(Captured{Evidence{Title: "x"}})
}
