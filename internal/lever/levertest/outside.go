package levertest

import (
	"errors"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Outside is a Stage whose world belongs to somebody else: a file or an API that
// others write, too.
type Outside struct {
	*Stage
	Bare lever.Card                // the same lever, with nothing declared for drills
	Gone bool                      // Drift takes the flag away: there is nothing to pull then
	Lose func() (again func())     // writes are taken, and their answers lost; nil: that can't happen
	Race func(during func() error) // somebody else writes between the driver's reading and its writing; nil: it can't be arranged
}

// RunOutside tests such a driver: the contract, and that what others write stays.
func RunOutside(t *testing.T, open func(t *testing.T) *Outside) {
	t.Helper()
	Run(t, func(t *testing.T) *Stage { return open(t).Stage })
	for name, test := range map[string]func(*story, *Outside){
		"somebody else's change before the pull stays":   (*story).foreignFirst,
		"a second pull after a change leads back to it":  (*story).pullAgain,
		"an answer that is lost is not called a failure": (*story).answerLost,
		"a race is lost, not won":                        (*story).race,
		"a lever without a shadow moves nothing":         (*story).noShadow,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			test(&story{Stage: o.Stage, t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, o)
		})
	}
}

func (s *story) foreignFirst(*Outside) {
	p := s.plan(false)
	s.Drift()
	state, writes := s.State(), s.Writes()
	s.polite("apply over somebody else's change", s.Driver.Apply(s.context(), p, 0, token), fault.Conflict, fault.NotFound)
	s.sees(p, lever.Foreign)
	s.stays(state, writes)
}

func (s *story) pullAgain(o *Outside) {
	if o.Gone {
		s.t.Skip("there is nothing to pull")
	}
	s.apply(s.plan(false))
	s.Drift()
	state := s.State()
	p := s.plan(false)
	s.apply(p)
	s.sees(p, lever.After)
	s.revert(p)
	if got := s.State(); got != state {
		s.t.Errorf("the return leads to %q, somebody else had left it at %q", got, state)
	}
}

func (s *story) answerLost(o *Outside) {
	if o.Lose == nil {
		s.t.Skip("a write of this kind has no answer that could be lost")
	}
	p := s.plan(false)
	again := o.Lose()
	err := s.Driver.Apply(s.context(), p, 0, token)
	if !errors.Is(err, lever.ErrUnsure) {
		s.t.Errorf("a lost answer came to %v", err)
	}
	again()
	s.sees(p, lever.After)
	state := s.State()
	s.apply(p)
	if got := s.State(); got != state {
		s.t.Errorf("the second time changed %q to %q", state, got)
	}
	again = o.Lose()
	if _, err := s.Driver.Revert(s.context(), p, 0, token); !errors.Is(err, lever.ErrUnsure) {
		s.t.Errorf("a lost answer on the way back came to %v", err)
	}
	again()
	s.sees(p, lever.Before)
}

func (s *story) race(o *Outside) {
	if o.Race == nil {
		s.t.Skip("it can't be arranged here")
	}
	p := s.plan(false)
	state := ""
	var err error
	o.Race(func() error {
		err = s.Driver.Apply(s.context(), p, 0, token)
		state = s.State()
		return err
	})
	s.polite("apply in a race", err, fault.Conflict)
	if got := s.State(); got != state {
		s.t.Errorf("the world went on from %q to %q", state, got)
	}
	s.sees(p, lever.Foreign)
}

func (s *story) noShadow(o *Outside) {
	d, is := s.Driver.(lever.Shadowed)
	if !is {
		s.t.Fatal("the driver does not say what has a shadow")
	}
	if !d.HasShadow(s.Card) || d.HasShadow(o.Bare) {
		s.t.Errorf("shadows: %t with one declared, %t without", d.HasShadow(s.Card), d.HasShadow(o.Bare))
	}
	state, writes := s.State(), s.Writes()
	_, err := s.Driver.Plan(s.context(), lever.Request{Card: o.Bare, Now: s.now, Drill: true})
	s.polite("a drill's plan without a shadow", err, fault.Invalid)
	if _, err := s.Driver.Plan(s.context(), lever.Request{Card: o.Bare, Now: s.now}); err != nil {
		s.t.Errorf("a real plan: %v", err)
	}
	s.stays(state, writes)
	if r, err := s.Driver.Preflight(s.context(), o.Bare); err != nil || !r.Ready {
		s.t.Errorf("preflight: %+v, %v", r, err)
	}
}
