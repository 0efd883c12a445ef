package prober_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/probe"
	"lifeboat/internal/prober"
)

const ms = time.Millisecond

// script stands for the targets of a test under virtual time: it answers as told
// and writes down when it was asked.
type script struct {
	begin time.Time
	say   func(since time.Duration, t probe.Target) answer

	mu          sync.Mutex // guards all below
	asked       []time.Duration
	under, most int // askings at the same time, by target
	told        []string
}

// answer is what the script says to one asking: a verdict after a time, or nothing
// at all when hangs is set.
type answer struct {
	verdict probe.Verdict
	after   time.Duration
	hangs   bool
}

func newScript(say func(time.Duration, probe.Target) answer) *script {
	return &script{begin: time.Now(), say: say}
}

func (s *script) ask(ctx context.Context, t probe.Target, _ probe.Check) probe.Result {
	since := time.Since(s.begin)
	s.enter(since)
	defer s.leave()
	a := s.say(since, t)
	if a.hangs {
		<-ctx.Done()
		return probe.Result{Verdict: probe.Fail, Detail: "hung"}
	}
	select {
	case <-ctx.Done():
		return probe.Result{Verdict: probe.Fail, Detail: "slow"}
	case <-time.After(a.after):
		return probe.Result{Verdict: a.verdict, Detail: "said"}
	}
}

func (s *script) enter(since time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, since)
	s.under++
	s.most = max(s.most, s.under)
}

func (s *script) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under--
}

// tell writes a transition down as "1s up>down".
func (s *script) tell(t probe.Transition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf("%s %s>%s", t.At.Sub(s.begin), t.From, t.To))
}

func (s *script) options() prober.Options {
	return prober.Options{Ask: s.ask, OnTransition: s.tell, Spread: func(time.Duration) time.Duration { return 0 }}
}

// play runs the jobs for a time and waits for the end.
func (s *script) play(t *testing.T, during time.Duration, jobs ...prober.Job) *prober.Prober {
	t.Helper()
	p := prober.New(s.options())
	p.Set(jobs)
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	return p
}

func jobAt(place string, every, timeout time.Duration, down, up int) prober.Job {
	return prober.Job{
		Target: probe.Target{Site: "shop", Place: place, Address: "127.0.0.2", Port: 80, Scheme: "http", Host: host},
		Check:  probe.Check{Name: "home", Every: every, Timeout: timeout, DownAfter: down, UpAfter: up},
	}
}

func passing(time.Duration, probe.Target) answer { return answer{verdict: probe.Pass} }

// TestTimes holds the promise of when a job is asked: at the end of the asking
// before or Every after its beginning, whichever is later.
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		every, timeout time.Duration
		say            func(time.Duration, probe.Target) answer
		want           []time.Duration
	}{
		{"quick answers", 100 * ms, 50 * ms, passing, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}},
		{"slow answers, quicker than every", 100 * ms, 90 * ms,
			func(time.Duration, probe.Target) answer { return answer{verdict: probe.Pass, after: 80 * ms} },
			[]time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}},
		{"answers slower than every", 100 * ms, 900 * ms,
			func(time.Duration, probe.Target) answer { return answer{verdict: probe.Pass, after: 150 * ms} },
			[]time.Duration{0, 150 * ms, 300 * ms, 450 * ms}},
		{"hung, with a timeout over every", 100 * ms, 250 * ms,
			func(time.Duration, probe.Target) answer { return answer{hangs: true} },
			[]time.Duration{0, 250 * ms}},
		{"hung, with a timeout under every", 200 * ms, 50 * ms,
			func(time.Duration, probe.Target) answer { return answer{hangs: true} },
			[]time.Duration{0, 200 * ms, 400 * ms}},
		{"one slow answer doesn't bring a burst after it", 100 * ms, 900 * ms,
			func(since time.Duration, _ probe.Target) answer {
				if since == 0 {
					return answer{verdict: probe.Pass, after: 260 * ms}
				}
				return answer{verdict: probe.Pass}
			},
			[]time.Duration{0, 260 * ms, 360 * ms, 460 * ms}},
		{"faster than allowed is slowed down", ms, 50 * ms, passing, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newScript(tc.say)
				s.play(t, 490*ms, jobAt("main", tc.every, tc.timeout, 3, 5))
				if !slices.Equal(s.asked, tc.want) {
					t.Errorf("asked at %v, want %v", s.asked, tc.want)
				}
				if s.most != 1 {
					t.Errorf("%d askings of one job at the same time", s.most)
				}
			})
		})
	}
}

// TestHungIsSeenDown gives the exact virtual times for the figures that are
// promised: every 250 ms, timeout 250 ms, down after 3.
func TestHungIsSeenDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		job := jobAt("main", 250*ms, 250*ms, 3, 2)
		gone := 500*ms + 1 // right after the asking at 500 ms was answered
		s := newScript(func(since time.Duration, _ probe.Target) answer {
			return answer{verdict: probe.Pass, hangs: since >= gone}
		})
		p := s.play(t, 3*time.Second, job)
		// Asked at 750, 1000 and 1250 ms, each for its whole timeout.
		want := []string{"250ms unknown>up", "1.5s up>down"}
		if !slices.Equal(s.told, want) {
			t.Fatalf("told %v, want %v", s.told, want)
		}
		if took, bound := 1500*ms-gone, probe.WorstDetection(job.Check); took > bound || took < bound-2 {
			t.Errorf("seen down after %s, want the worst case of %s", took, bound)
		}
		if got := p.Seen()[0]; got.Seen != probe.Down || got.Since.Sub(s.begin) != 1500*ms || got.Last.Detail != "hung" {
			t.Errorf("status is %+v", got)
		}
	})
}

// TestRefusedIsSeenDown: where the answer is a quick no, timeouts cost nothing.
func TestRefusedIsSeenDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(func(since time.Duration, _ probe.Target) answer {
			if since > 500*ms {
				return answer{verdict: probe.Fail}
			}
			return answer{verdict: probe.Pass}
		})
		s.play(t, 3*time.Second, jobAt("main", 250*ms, 250*ms, 3, 2))
		if want := []string{"250ms unknown>up", "1.25s up>down"}; !slices.Equal(s.told, want) {
			t.Errorf("told %v, want %v", s.told, want)
		}
	})
}

// TestDetectionIsBounded draws checks, the speed of answers and the moment when
// the target hangs for ever (askings under way included), and holds all of them to
// the bound.
func TestDetectionIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		job := jobAt("main",
			time.Duration(rapid.IntRange(100, 3000).Draw(rt, "every"))*ms,
			time.Duration(rapid.IntRange(10, 3000).Draw(rt, "timeout"))*ms,
			rapid.IntRange(1, 5).Draw(rt, "down_after"), 1)
		speed := rapid.SliceOfN(rapid.Int64Range(0, int64(job.Check.Timeout)-1), 1, 20).Draw(rt, "speed")
		gone := time.Duration(rapid.Int64Range(int64(4*time.Second), int64(20*time.Second)).Draw(rt, "gone"))
		var told []string
		var down time.Duration
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			s := newScript(func(since time.Duration, _ probe.Target) answer {
				after := time.Duration(speed[asked%len(speed)])
				asked++
				return answer{verdict: probe.Pass, after: after, hangs: since+after >= gone}
			})
			p := s.play(t, gone+probe.WorstDetection(job.Check)+1, job)
			told, down = s.told, p.Seen()[0].Since.Sub(s.begin)
		})
		if len(told) != 2 || !strings.HasSuffix(told[1], "up>down") {
			rt.Fatalf("gone at %s and told %v", gone, told)
		}
		if took, bound := down-gone, probe.WorstDetection(job.Check); took > bound {
			rt.Fatalf("seen down after %s, over the bound of %s", took, bound)
		}
	})
}

// TestManyHungDelayNobody: each job has its own goroutine, so that hung targets
// cost the others nothing.
func TestManyHungDelayNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var healthy []time.Duration
		s := newScript(func(since time.Duration, target probe.Target) answer {
			if target.Place != "main" {
				return answer{hangs: true}
			}
			mu.Lock()
			defer mu.Unlock()
			healthy = append(healthy, since)
			return answer{verdict: probe.Pass}
		})
		jobs := []prober.Job{jobAt("main", 100*ms, 100*ms, 3, 2)}
		for i := range 500 {
			jobs = append(jobs, jobAt(fmt.Sprint("hung", i), 100*ms, time.Minute, 3, 2))
		}
		s.play(t, 350*ms, jobs...)
		if want := []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}; !slices.Equal(healthy, want) {
			t.Errorf("the healthy one was asked at %v, want %v", healthy, want)
		}
	})
}

func TestFlapping(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		verdicts string // one a second; the last one goes on
		want     []string
	}{
		{"every other fails", "ppfpfpfpfpfpfpfpfp", []string{"1s unknown>up"}},
		{"two of three fail", "ppffpffpffpffp", []string{"1s unknown>up"}},
		{"an outage and a recovery", "ppfffpp", []string{"1s unknown>up", "4s up>down", "6s down>up"}},
		{"a recovery that doesn't hold", "ppfffpfpfpp", []string{"1s unknown>up", "4s up>down", "10s down>up"}},
		{"we can't ask any more", "pp???pp", []string{"1s unknown>up", "4s up>unknown", "6s unknown>up"}},
		{"we can't ask while it fails", "pp?f?f?fff", []string{"1s unknown>up", "7s up>down"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newScript(func(since time.Duration, _ probe.Target) answer {
					v := tc.verdicts[min(int(since/time.Second), len(tc.verdicts)-1)]
					return answer{verdict: map[byte]probe.Verdict{'p': probe.Pass, 'f': probe.Fail, '?': probe.Inconclusive}[v]}
				})
				s.play(t, time.Duration(len(tc.verdicts))*time.Second-1, jobAt("main", time.Second, 500*ms, 3, 2))
				if !slices.Equal(s.told, tc.want) {
					t.Errorf("told %v, want %v", s.told, tc.want)
				}
			})
		})
	}
}

// TestSetWhileRunning: what stays the same goes on undisturbed, what differs
// begins anew, what is gone is stopped at once.
func TestSetWhileRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[string][]time.Duration{}
		s := newScript(func(since time.Duration, target probe.Target) answer {
			mu.Lock()
			defer mu.Unlock()
			asked[target.Place] = append(asked[target.Place], since)
			return answer{verdict: probe.Pass, hangs: target.Place == "hung"}
		})
		p := prober.New(s.options())
		same, differs, hung := jobAt("same", 100*ms, 50*ms, 3, 2), jobAt("differs", 100*ms, 50*ms, 3, 2), jobAt("hung", 100*ms, time.Minute, 1, 1)
		p.Set([]prober.Job{same, differs, hung, same})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(250 * ms)
		changed := differs
		changed.Check.UpAfter = 4
		fresh := jobAt("fresh", 100*ms, 50*ms, 3, 2)
		p.Set([]prober.Job{fresh, same, changed})
		time.Sleep(200 * ms) // to 450 ms
		synctest.Wait()

		want := map[string][]time.Duration{
			"same":    {0, 100 * ms, 200 * ms, 300 * ms, 400 * ms},
			"differs": {0, 100 * ms, 200 * ms, 250 * ms, 350 * ms, 450 * ms},
			"fresh":   {250 * ms, 350 * ms, 450 * ms},
			"hung":    {0},
		}
		for place, times := range want {
			if !slices.Equal(asked[place], times) {
				t.Errorf("%s was asked at %v, want %v", place, asked[place], times)
			}
		}
		wantSeen(t, p.Seen(), "fresh up 3", "same up 5", "differs unknown 3")
		p.Set(nil)
		if got := p.Seen(); len(got) != 0 {
			t.Errorf("still sees %v", got)
		}
		time.Sleep(time.Minute)
		if s.under != 0 {
			t.Errorf("%d askings are still under way", s.under)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		for _, line := range s.told {
			if strings.Contains(line, "down") {
				t.Errorf("what was stopped was counted: %s", line)
			}
		}
	})
}

func wantSeen(t *testing.T, all []prober.Status, want ...string) {
	t.Helper()
	var got []string
	for _, s := range all {
		got = append(got, fmt.Sprintf("%s %s %d", s.Target.Place, s.Seen, s.Streak.Passes))
	}
	if !slices.Equal(got, want) {
		t.Errorf("sees %q, want %q", got, want)
	}
}

// TestStopsMidway: the end of Run counts no asking that it cut short, and Run may
// be called again.
func TestStopsMidway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(func(time.Duration, probe.Target) answer { return answer{hangs: true} })
		p := s.play(t, time.Second, jobAt("main", 100*ms, time.Minute, 1, 1))
		if got := time.Since(s.begin); got != time.Second {
			t.Errorf("ended after %s", got)
		}
		if got := p.Seen()[0]; got.Seen != probe.Unknown || len(got.Recent) != 0 || len(s.told) != 0 || !got.Last.At.IsZero() {
			t.Errorf("an asking that was cut short was counted: %+v, told %v", got, s.told)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 61*time.Second)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Errorf("run again: %v", err)
		}
		if want := []string{"1m1s unknown>down"}; !slices.Equal(s.told, want) {
			t.Errorf("told %v, want %v", s.told, want)
		}
	})
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := prober.New(newScript(passing).options())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		synctest.Wait()
		if err := p.Run(ctx); err == nil {
			t.Error("two at the same time were allowed")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(func(since time.Duration, _ probe.Target) answer {
			if since == 97*time.Second {
				return answer{verdict: probe.Inconclusive, after: 10 * ms}
			}
			return answer{verdict: probe.Pass, after: 10 * ms}
		})
		job := jobAt("main", time.Second, 500*ms, 3, 2)
		job.Check.Path = ""
		got := s.play(t, 100*time.Second-1, job).Seen()[0]
		if got.Target != job.Target || got.Check != job.Check.WithDefaults() {
			t.Errorf("is about %+v, %+v", got.Target, got.Check)
		}
		if len(got.Recent) != prober.Kept {
			t.Fatalf("%d results are kept, want %d", len(got.Recent), prober.Kept)
		}
		for i, r := range got.Recent {
			if want := time.Duration(40+i) * time.Second; r.At.Sub(s.begin) != want {
				t.Errorf("result %d began at %s, want %s", i, r.At.Sub(s.begin), want)
			}
		}
		if got.Last != got.Recent[prober.Kept-1] {
			t.Errorf("the last result is %+v, want %+v", got.Last, got.Recent[prober.Kept-1])
		}
		if got.Streak.Passes != 2 || got.Streak.Hold || got.Seen != probe.Up || got.Since.Sub(s.begin) != 1010*ms {
			t.Errorf("status is %+v", got)
		}
		got.Recent[0].Detail = "scribble"
		if again := s.play(t, 0).Seen(); len(again) != 0 {
			t.Errorf("a prober without jobs sees %v", again)
		}
	})
}

// TestClockSetBack: when to ask doesn't hang on the clock on the wall.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(passing)
		o := s.options()
		o.Now = func() time.Time {
			if now := time.Now(); now.Sub(s.begin) < 150*ms {
				return now
			} else {
				return now.Add(-time.Hour)
			}
		}
		p := prober.New(o)
		p.Set([]prober.Job{jobAt("main", 100*ms, 50*ms, 3, 5)})
		ctx, cancel := context.WithTimeout(t.Context(), 490*ms)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		if want := []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}; !slices.Equal(s.asked, want) {
			t.Errorf("asked at %v, want %v", s.asked, want)
		}
		wantSeen(t, p.Seen(), "main up 5")
	})
}

// TestSpread: jobs that are set together don't all ask together.
func TestSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(passing)
		o := s.options()
		o.Spread = nil
		p := prober.New(o)
		var jobs []prober.Job
		for i := range 50 {
			jobs = append(jobs, jobAt(fmt.Sprint(i), time.Minute, time.Second, 3, 5))
		}
		p.Set(jobs)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(s.asked) < 50 {
			t.Errorf("%d of 50 were asked within the first Every", len(s.asked))
		}
		slices.Sort(s.asked)
		if different := len(slices.Compact(s.asked)); different < 45 {
			t.Errorf("50 jobs began at only %d times", different)
		}
	})
}

// TestSetFromTransition: what is told may lead to other jobs at once.
func TestSetFromTransition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(passing)
		o := s.options()
		var p *prober.Prober
		o.OnTransition = func(tr probe.Transition) {
			s.tell(tr)
			if p.Seen()[0].Seen != tr.To {
				t.Error("what is told is not what is seen")
			}
			p.Set([]prober.Job{jobAt("next", 100*ms, 50*ms, 1, 1)})
		}
		p = prober.New(o)
		p.Set([]prober.Job{jobAt("main", 100*ms, 50*ms, 1, 1)})
		ctx, cancel := context.WithTimeout(t.Context(), 250*ms)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		if want := []string{"0s unknown>up", "0s unknown>up"}; !slices.Equal(s.told, want) {
			t.Errorf("told %v, want %v", s.told, want)
		}
	})
}

// TestOverTheNetwork runs the real thing: a target that is up, then hangs, then
// refuses, told in that order.
func TestOverTheNetwork(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	target := serveRaw(t, func(conn net.Conn) {
		select {
		case <-hangs:
			hang(conn)
		default:
			say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")(conn)
		}
	})
	told := make(chan probe.Transition, 16)
	p := prober.New(prober.Options{OnTransition: func(tr probe.Transition) { told <- tr }})
	c := probe.Check{Name: "home", Every: 100 * ms, Timeout: time.Second, DownAfter: 2, UpAfter: 2}
	p.Set([]prober.Job{{Target: target, Check: c}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	if tr := <-told; tr.From != probe.Unknown || tr.To != probe.Up || tr.Target != target || tr.Check != "home" {
		t.Errorf("first told %+v", tr)
	}
	close(hangs)
	if tr := <-told; tr.From != probe.Up || tr.To != probe.Down || tr.Detail != "no answer within 1 s" {
		t.Errorf("then told %+v", tr)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(func(since time.Duration, _ probe.Target) answer {
			return answer{verdict: probe.Pass, after: since % (70 * ms)}
		})
		p := prober.New(s.options())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for round := 0; ctx.Err() == nil; round++ {
					p.Set([]prober.Job{jobAt("stays", 100*ms, 50*ms, 1, 1), jobAt(fmt.Sprint(i, round%3), 100*ms, 50*ms, 1, 1)})
					fmt.Fprint(io.Discard, p.Seen())
					time.Sleep(time.Duration(37+i) * ms)
				}
			})
		}
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		all.Wait()
		if got := p.Seen(); len(got) != 2 || got[0].Streak.Passes+len(got[0].Recent) == 0 {
			t.Errorf("sees %+v", got)
		}
	})
}
