package prober

import (
	"testing"

	"lifeboat/internal/probe"
)

// TestRemovedCountsNothing: an answer that was complete just before its job was
// taken away changes nothing any more, and the job can't be started again.
func TestRemovedCountsNothing(t *testing.T) {
	t.Parallel()
	job := Job{Check: probe.Check{DownAfter: 1, UpAfter: 1}.WithDefaults()}
	w := newWatch(job, Options{}.withDefaults())
	w.remove()
	if tr, changed := w.take(probe.Result{Verdict: probe.Fail}); changed {
		t.Errorf("told %+v", tr)
	}
	if s := w.status(); s.Seen != probe.Unknown || len(s.Recent) != 0 {
		t.Errorf("status is %+v", s)
	}
	if _, started := w.start(t.Context()); started {
		t.Error("was started again")
	}
}
