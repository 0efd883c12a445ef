package feed_test

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// nth is the report that is n-th to be added, with a time of its own.
func nth(n int) feed.Report {
	at := start.Add(time.Duration(n) * time.Second)
	return feed.Report{At: at, Transition: &probe.Transition{Check: "home", To: probe.Down, At: at}}
}

func TestRingInOrder(t *testing.T) {
	t.Parallel()
	r := feed.NewRing()
	if got := r.After(0, 10); got != nil {
		t.Errorf("an empty ring gives %v", got)
	}
	for n := 1; n <= 10; n++ {
		r.Add(nth(n))
	}
	got := r.After(3, 4)
	if len(got) != 4 {
		t.Fatalf("%d reports", len(got))
	}
	for i, rep := range got {
		if rep.Seq != uint64(4+i) || !rep.At.Equal(nth(4+i).At) || rep.Gap != 0 {
			t.Errorf("%d: %+v", i, rep)
		}
	}
	r.Seen(6)
	if w, lost := r.Stats(); w != 4 || lost != 0 {
		t.Errorf("%d wait, %d lost", w, lost)
	}
	if got := r.After(0, 100); len(got) != 4 || got[0].Seq != 7 {
		t.Errorf("after an acknowledgement: %+v", got)
	}
	r.Seen(2) // an older one changes nothing
	r.Seen(1000)
	if w, _ := r.Stats(); w != 0 {
		t.Errorf("%d wait", w)
	}
	r.Add(nth(11))
	if got := r.After(0, 1); len(got) != 1 || got[0].Seq != 11 {
		t.Errorf("numbers go on: %+v", got)
	}
}

func TestRingOverflow(t *testing.T) {
	t.Parallel()
	r := feed.NewRing()
	const extra = 10
	for n := 1; n <= feed.RingSize+extra; n++ {
		r.Add(nth(n))
	}
	if w, lost := r.Stats(); w != feed.RingSize || lost != extra {
		t.Errorf("%d wait, %d lost", w, lost)
	}
	all := r.After(0, feed.RingSize+1)
	if all[0].Gap != extra || all[0].Seq != extra || !all[0].At.Equal(nth(extra).At) || all[0].Transition != nil {
		t.Errorf("the gap: %+v", all[0])
	}
	if len(all) != feed.RingSize+1 || all[1].Seq != extra+1 || all[len(all)-1].Seq != feed.RingSize+extra {
		t.Errorf("%d reports from %d", len(all), all[1].Seq)
	}
	if got := r.After(0, 3); len(got) != 3 {
		t.Errorf("the gap counts as a report: %d", len(got))
	}
	r.Seen(extra)
	if got := r.After(0, 1); got[0].Gap != 0 || got[0].Seq != extra+1 {
		t.Errorf("the gap is told twice: %+v", got[0])
	}
}

// What goes while it is on its way, and arrives, was not lost.
func TestRingOverflowUnderWay(t *testing.T) {
	t.Parallel()
	r := feed.NewRing()
	for n := 1; n <= feed.RingSize; n++ {
		r.Add(nth(n))
	}
	sent := r.After(0, feed.Window)
	for n := 1; n <= 300; n++ {
		r.Add(nth(feed.RingSize + n))
	}
	r.Seen(sent[len(sent)-1].Seq)
	got := r.After(sent[len(sent)-1].Seq, feed.Window)
	if got[0].Gap != 300-feed.Window || got[0].Seq != 300 || got[1].Seq != 301 {
		t.Errorf("%+v, then %d", got[0], got[1].Seq)
	}
}

// Whatever is added, sent, lost on the way and acknowledged: the reader gets all
// in order, each with its own time, or a gap with their number in their place.
func TestRingTellsOfEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := feed.NewRing()
		added, known, acked := 0, 0, 0 // known: all up to this one came or was told to be lost
		var sent []feed.Report
		var last uint64
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				for range rapid.SampledFrom([]int{1, 5, 300, 2500, feed.RingSize + 3}).Draw(rt, "add") {
					added++
					r.Add(nth(added))
				}
			case 2: // a batch goes out and arrives
				sent = r.After(last, feed.Window)
				for _, rep := range sent {
					if int(rep.Seq) <= acked || int(rep.Seq)-rep.Gap < acked {
						rt.Fatalf("%d are acknowledged, and again comes %+v", acked, rep)
					}
					if int(rep.Seq) <= known {
						continue // it came before, and the acknowledgement was lost
					}
					if rep.Gap > 0 {
						if first := int(rep.Seq) - rep.Gap + 1; first > known+1 {
							rt.Fatalf("%d to %d are neither here nor in a gap", known+1, first-1)
						}
					} else if int(rep.Seq) != known+1 || !rep.At.Equal(nth(known+1).At) {
						rt.Fatalf("after %d comes %d of %s", known, rep.Seq, rep.At)
					}
					known = int(rep.Seq)
				}
				if rapid.Bool().Draw(rt, "acknowledged") {
					last, acked = uint64(known), known
					r.Seen(last)
				} else {
					last = 0 // the connection is lost
				}
			case 3: // an old acknowledgement
				seen := rapid.IntRange(0, known).Draw(rt, "seen")
				acked = max(acked, seen)
				r.Seen(uint64(seen))
			}
			if w, _ := r.Stats(); w > feed.RingSize {
				rt.Fatalf("%d wait", w)
			}
		}
		for {
			rest := r.After(uint64(known), feed.Window)
			if len(rest) == 0 {
				break
			}
			for _, rep := range rest {
				if rep.Gap == 0 && int(rep.Seq) != known+1 || rep.Gap > 0 && int(rep.Seq)-rep.Gap != known {
					rt.Fatalf("after %d comes %+v", known, rep)
				}
				known = int(rep.Seq)
			}
		}
		if known != added {
			rt.Fatalf("%d of %d are known", known, added)
		}
	})
}

func TestRingWakes(t *testing.T) {
	t.Parallel()
	r := feed.NewRing()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 3000 {
				r.Add(nth(n))
			}
		})
	}
	wg.Wait() // nobody listened, and nobody was held up
	<-r.Wake()
	if w, lost := r.Stats(); w != feed.RingSize || lost != 4*3000-feed.RingSize {
		t.Errorf("%d wait, %d lost", w, lost)
	}
	select {
	case <-r.Wake():
		t.Error("woken without a reason")
	default:
	}
}

func BenchmarkRingAddWhenFull(b *testing.B) {
	r := feed.NewRing()
	for n := range feed.RingSize {
		r.Add(nth(n))
	}
	rep := nth(1)
	b.ReportAllocs()
	for b.Loop() {
		r.Add(rep)
	}
}
