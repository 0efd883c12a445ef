package answer

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// The status page can be written from the folder alone, while answer runs and when it is
// gone; what the checks saw is in it where answer could be asked.
func TestStill(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	if _, err := Still(r.dir, nil, time.Now()); fault.KindOf(err) != fault.NotFound {
		t.Errorf("before the first snapshot: %v", err)
	}
	r.takes(order(t, 1, 1, "main", func(m *snapshot.Manifest, c *snapshot.Contents) {
		c.Sites[0].StatusName = "status.example.com"
		o := m.Sites["shop"]
		o.Message = "We are on it."
		m.Sites["shop"] = o
	}))
	var rep Reply
	r.eventually("the checks saw it", func() bool {
		rep = r.do(Request{Do: "sights"})
		for _, s := range rep.Sights {
			if s.Place == "main" && !s.Last.At.IsZero() {
				return true
			}
		}
		return false
	})
	for _, running := range []bool{true, false} {
		if !running {
			r.stop()
		}
		now := time.Now()
		seen, err := Still(r.dir, rep.Sights, now)
		must(t, err)
		unseen, err := Still(r.dir, nil, now)
		must(t, err)
		if len(seen) != 1 || seen[0].Knowledge.Fresh+seen[0].Knowledge.Stale == 0 || seen[0].Knowledge.At.IsZero() || len(seen[0].Open()) != 1 {
			t.Fatalf("running %v: %+v", running, seen)
		}
		if unseen[0].Components[0].Measured == board.Operational {
			t.Errorf("running %v: it works though nobody looked", running)
		}
		docs, err := StillDocuments(seen[0], "/404.html")
		must(t, err)
		if front := string(docs["/"].Body); !strings.Contains(front, "This is a copy of ") || !strings.Contains(front, "We are on it.") {
			t.Errorf("running %v:\n%s", running, front)
		}
		for _, path := range []string{"/status.txt", "/404.html", "/history.rss", "/api/v2/summary.json", "/badge.svg"} {
			if len(docs[path].Body) == 0 {
				t.Errorf("running %v: no %s", running, path)
			}
		}
	}
	if _, err := Still(r.dir+"-not", nil, time.Now()); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no folder: %v", err)
	}
}
