package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
)

// heardAfter is how long clients of a closed feature have to ask again before the timeline
// says who has.
const heardAfter = 30 * time.Second

// tellHeard writes into the timeline who has heard of a closed feature: once all have, or
// half a minute after it was seen to be closed, once for each pull.
func (r *runner) tellHeard(ctx context.Context, now time.Time) { // with mu held
	for _, p := range r.in.Pulls {
		if p.Kind != kindFeature || p.State != incident.Active || p.FirstAt.IsZero() || r.in.Drill || r.in.Wrote(heardKey(p)) {
			continue
		}
		h := r.e.answerView().Heard
		if text, all := heardWords(h, p.At); text != "" && (all || passed(p.FirstAt, now, heardAfter)) {
			r.try(WithKey(ctx, heardKey(p)), incident.Note{Text: fmt.Sprintf("Who has heard of %q: %s", p.Title, text)}, incident.Actor{Kind: "collector", Name: "lifeboat"})
		}
	}
}

func heardKey(p incident.Pull) string { return "heard-" + p.ID }

// heardWords says who has heard of what came into force at or after a time; all says that
// everybody has. It is empty where nobody has asked lately, or where what is answered is
// older.
func heardWords(h feature.Heard, since time.Time) (text string, all bool) {
	all = true
	var lines []string
	for _, x := range []struct {
		l         feature.Listeners
		one, many string
	}{{h.Servers, "program", "programs"}, {h.Pages, "open page", "open pages"}, {h.Copies, "copy", "copies"}} {
		if x.l.Since.Before(since) {
			continue
		}
		if line := x.l.Words(x.one, x.many, func(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }); line != "" {
			lines = append(lines, line)
			all = all && x.l.Heard == x.l.Clients
		}
	}
	return strings.Join(lines, " "), all && len(lines) > 0
}
