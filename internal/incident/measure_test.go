package incident

import (
	"testing"
	"time"
)

// What visitors met, as far as checks and levers show it: minutes after three.
func TestMeasured(t *testing.T) {
	t.Parallel()
	see := func(s *tale, minute int, check, seen string) *tale {
		s.now = night.Add(time.Duration(minute) * time.Minute)
		return s.do(SeeSight{Sight{At: s.now, Check: check, Place: "home", Home: true, Seen: seen}})
	}
	act := func(s *tale, minute int, f func()) *tale {
		s.now = night.Add(time.Duration(minute) * time.Minute)
		f()
		return s
	}
	settle := func(s *tale, seen string) {
		s.do(MakePermanent{sentence}, func(f *Facts) { f.Origin, f.Place, f.PlaceSeen = true, "backup", seen })
	}
	for _, c := range []struct {
		name                string
		tell                func(*tale)
		downFrom, safe, bak int // minutes; -1: never
		exposed, away       int // minutes
	}{
		{"nothing was seen", func(*tale) {}, -1, -1, -1, 0, 0},
		{"down all the time", func(s *tale) { see(s, 10, "front", "down") }, 10, -1, -1, 50, 0},
		{"down for a while", func(s *tale) { see(see(s, 10, "front", "down"), 25, "front", "up") }, 10, -1, -1, 15, 0},
		{"down as long as one of two checks fails", func(s *tale) {
			see(see(see(see(s, 10, "front", "down"), 15, "cart", "down"), 20, "front", "up"), 30, "cart", "up")
		}, 10, -1, -1, 20, 0},
		{"nobody can tell is not down", func(s *tale) { see(see(s, 10, "front", "down"), 12, "front", "unknown") }, 10, -1, -1, 2, 0},
		{"down twice", func(s *tale) {
			see(see(see(see(s, 10, "front", "down"), 15, "front", "up"), 40, "front", "down"), 50, "front", "up")
		}, 10, -1, -1, 15, 0},
		{"visitors are away", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-standby").seen() })
		}, 10, 20, -1, 10, 40},
		{"visitors are away and come back", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-standby").seen() })
			see(s, 40, "front", "up")
			act(s, 50, func() { s.goBack("It is back.").do(Advance{sentence}).seen() })
		}, 10, 20, 50, 10, 30},
		{"they come back too early", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-standby").seen() })
			act(s, 30, func() { s.do(PutBack{"to-standby", sentence}).seen() })
			see(s, 40, "front", "up")
		}, 10, 20, 30, 20, 10},
		{"they come back, and are sent away again", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-standby").seen().goBack("It is back.").do(Advance{sentence}).seen() })
			act(s, 30, func() { s.do(StepBack{map[string]string{"to-standby-1": "again"}}).seen() })
		}, 10, 20, -1, 20, 30},
		{"two levers after each other count once", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-backup").seen() })
			act(s, 30, func() { s.pull("to-standby").seen() })
		}, 10, 20, -1, 10, 40},
		{"seen again after somebody else had changed it", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-standby").seen() })
			act(s, 40, func() {
				s.do(Drifted{Pull: "to-standby-1"}).do(Outcome{Pull: "to-standby-1", Result: Done, Detail: "as ordered again"})
			})
		}, 10, 20, -1, 10, 40},
		{"somebody else had sent them back meanwhile", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-standby").seen() })
			act(s, 40, func() { s.do(Drifted{Pull: "to-standby-1", Back: true}) })
			act(s, 50, func() { s.do(PutBack{"to-standby", sentence}).seen() })
		}, 10, 20, 50, 30, 20},
		{"the place where they are becomes home", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-backup").seen() })
			act(s, 30, func() { settle(s, "up") })
		}, 10, 20, 30, 10, 10},
		{"the place that became home is seen down, too", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-backup").seen() })
			there := func(minute int, seen string) {
				s.now = night.Add(time.Duration(minute) * time.Minute)
				s.do(SeeSight{Sight{At: s.now, Check: "front", Place: "backup", Home: minute > 30, Seen: seen}})
			}
			there(25, "down") // visitors are there, and it is not home yet
			act(s, 30, func() { settle(s, "down") })
			there(35, "up")
			there(50, "down")
		}, 10, 20, 30, 25, 10},
		{"the clock was set back after the declaration", func(s *tale) {
			act(s, -30, func() { s.pull("to-standby").seen() })
		}, -1, -30, -1, 0, 60},
		{"a check was seen down before another one, and told later", func(s *tale) {
			see(s, 10, "front", "down")
			s.do(SeeSight{Sight{At: night.Add(5 * time.Minute), Check: "cart", Place: "home", Home: true, Seen: "down"}})
			see(see(s, 20, "front", "up"), 30, "cart", "up")
		}, 5, -1, -1, 25, 0},
		{"nobody knows how it went on after the last sight that was written down", func(s *tale) {
			for i := range maxSights { // down for a second, again and again; the last word is that it is down
				s.now = night.Add(10*time.Minute + time.Duration(i)*time.Second)
				s.do(SeeSight{Sight{At: s.now, Check: "front", Place: "home", Home: true, Seen: []string{"up", "down"}[i%2]}})
			}
			see(s, 20, "front", "up")
		}, 10, -1, -1, 1, 0},
		{"a closed checkout sends nobody away", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("checkout-off").seen() })
		}, 10, 20, -1, 50, 0},
		{"a lever that nobody saw in force", func(s *tale) {
			see(s, 10, "front", "down")
			act(s, 20, func() { s.pull("to-standby").end(Unclear) })
		}, 10, -1, -1, 50, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t).declare()
			c.tell(s)
			m := s.in.Measured(night.Add(time.Hour))
			minutes := func(at time.Time) int {
				if at.IsZero() {
					return -1
				}
				return int(at.Sub(night).Minutes())
			}
			if got := [5]int{minutes(m.DownFrom), minutes(m.SafeAt), minutes(m.BackAt), int(m.ExposedMS / 60000), int(m.AwayMS / 60000)}; got != [5]int{c.downFrom, c.safe, c.bak, c.exposed, c.away} {
				t.Errorf("got down from %d, safe %d, back %d, exposed %d, away %d", got[0], got[1], got[2], got[3], got[4])
			}
		})
	}
}

// What an earlier incident left parked is no success of this one.
func TestMeasuredWithoutWhatWasThere(t *testing.T) {
	t.Parallel()
	s := story(t).do(Declare{}, func(f *Facts) {
		f.Parked = []Pull{{ID: "old", Lever: "to-backup", Kind: "zone", Target: "zone:shop", To: "backup", State: Active, At: night.Add(-50 * time.Hour), SeenAt: night.Add(-time.Hour), FirstAt: night.Add(-49 * time.Hour), Parked: &Parking{}}}
	})
	s.do(SeeSight{Sight{At: night, Check: "front", Place: "home", Home: true, Seen: "down"}})
	if m := s.in.Measured(night.Add(time.Hour)); !m.SafeAt.IsZero() || m.AwayMS != time.Hour.Milliseconds() || m.ExposedMS != 0 {
		t.Errorf("measured %+v", m)
	}
}

// After its end an incident is measured to its end.
func TestMeasuredToTheEnd(t *testing.T) {
	t.Parallel()
	s := story(t).declare().do(SeeSight{Sight{At: night, Check: "front", Place: "home", Home: true, Seen: "down"}}).later(10 * time.Minute).home("up").do(Cancel{})
	if m := s.in.Measured(night.Add(48 * time.Hour)); m.ExposedMS != 600_000 {
		t.Errorf("exposed for %d ms", m.ExposedMS)
	}
}
