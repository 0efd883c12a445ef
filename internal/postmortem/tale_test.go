package postmortem

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"lifeboat/internal/incident"
)

// A night in the tests starts here.
var night = time.Date(2026, 3, 12, 2, 6, 0, 0, time.UTC)

var (
	aisha  = incident.Actor{Kind: "person", ID: "u1", Name: "Aisha", Via: "web", Role: "operator"}
	mara   = incident.Actor{Kind: "person", ID: "u2", Name: "Mara Lind", Via: "web", Role: "admin"}
	jonas  = incident.Actor{Kind: "person", ID: "u3", Name: "Jonas", Via: "cli", Role: "commander"}
	health = incident.Actor{Kind: "rule", ID: "health", Name: "The health rule"}
	boat   = incident.Actor{Kind: "collector", ID: "engine", Name: "lifeboat"}
)

// cards are the levers of the tests.
var cards = map[string]incident.LeverFacts{
	"to-standby":     {Name: "to-standby", Kind: "zone", Title: "Show visitors the status page", Target: "zone:shop", To: "standby", ToRank: 2, ToStandby: true, Reversible: true},
	"to-backup":      {Name: "to-backup", Kind: "zone", Title: "Send visitors to the backup", Target: "zone:shop", To: "backup", ToRank: 1, ToSeen: "up", Reversible: true},
	"close-checkout": {Name: "close-checkout", Kind: "feature", Title: "Close the checkout", Target: "flag:checkout", From: "on", To: "off", ToRank: 1, ToSeen: "unknown", Reversible: true},
}

// tale is an incident told command by command.
type tale struct {
	t      testing.TB
	in     incident.Incident
	events []incident.Event
	facts  incident.Facts
	now    time.Time
	ids    int
	never  map[string]bool // levers that were never rehearsed
}

// story starts a tale about a shop whose standby is well and whose real site is down.
func story(t testing.TB) *tale {
	t.Helper()
	return &tale{t: t, now: night, never: map[string]bool{}, facts: incident.Facts{
		Actor: aisha, IncidentID: "01KM2ZQ7R6T8W0V1X2Y3Z4A5B6", Site: "shop", SiteTitle: "The Shop", Standby: "pass", HomeSeen: "down",
		Gates: []string{"front", "checkout"}, Checks: []string{"front", "checkout"}, Approvers: 2,
		Settings: incident.Settings{
			Passes: 2, Apart: time.Minute, TakeBack: 15 * time.Minute, Watch: time.Hour, Settle: 30 * time.Second, AutoGap: time.Hour,
			Approval: 10 * time.Minute, Pause: time.Minute, FixApart: 20 * time.Minute, FixPasses: 3,
		},
	}}
}

func (s *tale) newID() string {
	s.ids++
	return fmt.Sprintf("%026d", s.ids)
}

// do decides, seals and folds; the command must be accepted.
func (s *tale) do(c incident.Command, changes ...func(*incident.Facts)) *tale {
	s.t.Helper()
	if err := s.try(c, changes...); err != nil {
		s.t.Fatalf("%T in phase %q: %v", c, s.in.Phase, err)
	}
	return s
}

// try does a command that may be refused.
func (s *tale) try(c incident.Command, changes ...func(*incident.Facts)) error {
	f := s.facts
	f.Ended = s.in.Phase != incident.None && !s.in.Phase.Open()
	for _, change := range changes {
		change(&f)
	}
	drafts, err := s.in.Decide(c, f, s.now)
	if err != nil {
		return err
	}
	s.record(drafts)
	return nil
}

func (s *tale) record(drafts []incident.Event) {
	sealed := s.in.Seal(drafts, s.now, s.newID)
	for _, e := range sealed {
		s.in = s.in.Apply(e)
	}
	s.events = append(s.events, sealed...)
}

func (s *tale) later(d time.Duration) *tale { s.now = s.now.Add(d); return s }
func (s *tale) by(a incident.Actor) *tale   { s.facts.Actor = a; return s }
func (s *tale) home(seen string) *tale      { s.facts.HomeSeen = seen; return s }
func (s *tale) at(hour, min, sec int) *tale {
	s.now = time.Date(2026, 3, 12, hour, min, sec, 0, time.UTC)
	return s
}
func (s *tale) note(text string) *tale { s.t.Helper(); return s.do(incident.Note{Text: text}) }
func (s *tale) say(to, text string, next time.Duration) *tale {
	s.t.Helper()
	return s.do(incident.SendUpdate{Audience: to, Text: text, NextIn: next, Channels: []string{"mail"}})
}

// sight records what a check saw at the real site, when it saw it.
func (s *tale) sight(at time.Time, check, seen, detail string) *tale {
	s.t.Helper()
	actor := s.facts.Actor
	s.by(boat).do(incident.SeeSight{Sight: incident.Sight{At: at, Check: check, Place: "home", Home: true, Seen: seen, Detail: detail}})
	return s.by(actor)
}

// lever puts the facts of a card into a command.
func (s *tale) lever(name string) func(*incident.Facts) {
	return func(f *incident.Facts) {
		l := cards[name]
		if l.From == "" {
			l.From = "home"
		}
		if p, on := s.in.OnTop(l.Target); on {
			l.From, l.FromRank = p.To, cards[p.Lever].ToRank
		}
		if !s.never[name] {
			l.ArmedUntil = s.now.Add(24 * time.Hour)
		}
		l.Plan, l.Shares = json.RawMessage(`{"steps":[]}`), true
		f.Lever = &l
	}
}

func (s *tale) pull(name string) *tale {
	s.t.Helper()
	return s.do(incident.PullLever{PullID: fmt.Sprintf("%s-%d", name, len(s.in.Pulls)+1), Drill: s.in.Drill}, s.lever(name))
}

// seen ends every act under way well.
func (s *tale) seen(detail string) *tale { s.t.Helper(); return s.end(incident.Done, detail) }

func (s *tale) end(r incident.Result, detail string) *tale {
	s.t.Helper()
	actor := s.facts.Actor
	s.by(boat)
	for _, p := range s.in.Pulls {
		if p.State == incident.Applying || p.State == incident.Undoing {
			s.do(incident.Outcome{Pull: p.ID, Back: p.State == incident.Undoing, Result: r, Detail: detail, TookMS: 4, Seen: json.RawMessage(`[]`)})
		}
	}
	return s.by(actor)
}

// check feeds one sanity result of both checks.
func (s *tale) check(verdict, detail string) *tale {
	s.t.Helper()
	actor := s.facts.Actor
	s.by(boat)
	for _, name := range s.facts.Gates {
		if s.in.Phase == incident.FailBack && s.in.Return != nil && !s.in.Return.Passed {
			v, d := "pass", ""
			if name == "front" {
				v, d = verdict, detail
			}
			s.do(incident.Sanity{Check: name, Verdict: v, Detail: d})
		}
	}
	return s.by(actor)
}

func (s *tale) passes() *tale {
	s.t.Helper()
	for range s.in.Return.Needed {
		s.later(time.Minute).check("pass", "")
	}
	return s
}

// shared tells whether each share on its way is in force.
func (s *tale) shared(ok bool, detail string) *tale {
	s.t.Helper()
	actor := s.facts.Actor
	s.by(boat)
	for _, p := range s.in.Pulls {
		if p.Moving() {
			s.do(incident.Shared{Pull: p.ID, Share: p.Wanted, OK: ok, Detail: detail, TookMS: 3})
		}
	}
	return s.by(actor)
}

// reads feeds readings of the promised check until the fix is judged.
func (s *tale) reads(n int, apart time.Duration, r incident.Reading) *tale {
	s.t.Helper()
	actor := s.facts.Actor
	s.by(boat)
	for range n {
		s.later(apart)
		r.At = s.now
		s.do(incident.ReadFix{Reading: r, Others: map[string]string{"front": "fail", "checkout": "pass"}})
	}
	return s.by(actor)
}

// owes adds a commitment.
func (s *tale) owes(what, owner, class, done string, due time.Time) *tale {
	s.t.Helper()
	return s.do(incident.AddFollowUp{FollowUp: incident.FollowUp{What: what, Owner: owner, Class: class, DoneWhen: done, Due: due}})
}
