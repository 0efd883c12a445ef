package cli

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// TestInAHurry: what people type at night is understood, or refused with the command
// that is meant.
func TestInAHurry(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"declare|It|hangs|now":          "usage:",
		"declare|shpo":                  `a title is given by: lifeboat declare --title "shpo"`,
		"declare|It hangs|--title|Dark": "the title is given twice",
		"close|--reason|x":              "a reason needs at least 3 characters",
		"fix|approve":                   "lifeboat fix propose",
		"fix|begin|--wait":              "no fix waits",
	} {
		s := calmScene()
		r := run(t, s, strings.Split(line, "|")...)
		if r.code == 0 || !strings.Contains(r.err, want) || len(s.did) > 0 {
			t.Errorf("%s: exit code %d, did %d: %q, want %q", line, r.code, len(s.did), r.err, want)
		}
	}
}

// fixScene is a crisis in which a fix waits.
func fixScene(f incident.Fix) *scene {
	s := crisisScene()
	in := s.over.Sites[0].Incident
	in.Phase, in.Fixes = incident.Fixing, []incident.Fix{f}
	return s
}

// TestApproveTheOneThatWaits: who does not name it sees what it promises.
func TestApproveTheOneThatWaits(t *testing.T) {
	t.Parallel()
	s := fixScene(incident.Fix{ID: "f1", State: incident.StateProposed, Change: "Put it back", WayBack: "Deploy it again"})
	r := run(t, s, "fix", "approve")
	if r.code != 0 || len(s.did) != 1 || !strings.Contains(r.err, "f1: Put it back") || !strings.Contains(r.err, "if not: Deploy it again") {
		t.Errorf("exit code %d, did %v: %q", r.code, s.did, r.err)
	}
}

// TestBeginWaits: it begins once the pause is over, and says until when it waits.
func TestBeginWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fix  incident.Fix
		want string // what it waits for; "" where it may begin
		err  string
	}{
		"read":        {fix: incident.Fix{ID: "f1", Approvals: make([]incident.Approval, 1)}},
		"paused":      {fix: incident.Fix{ID: "f1", Alone: true, PauseUntil: noon}},
		"pausing":     {fix: incident.Fix{ID: "f1", Alone: true, PauseUntil: noon.Add(time.Minute)}, want: "Read f1 once more, slowly. It begins at 12:01:00"},
		"unread":      {fix: incident.Fix{ID: "f1", At: noon, Waits: time.Minute}, want: "f1 waits for another person to read it, until 12:01:00"},
		"nobody":      {fix: incident.Fix{ID: "f1", At: noon.Add(-time.Hour), Waits: time.Minute}, err: "nobody has read f1"},
		"objected to": {fix: incident.Fix{ID: "f1", Objection: "The import runs."}, err: "somebody objects to f1: The import runs"},
		"another":     {fix: incident.Fix{ID: "f2"}, err: "f2 waits now, not f1"},
	} {
		words, err := awaited(c.fix, "f1", noon)
		if c.err != "" != (err != nil) || err != nil && !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(words, c.want) || c.want == "" && words != "" {
			t.Errorf("%s: %q, %v; want %q, %q", name, words, err, c.want, c.err)
		}
	}
	s := fixScene(incident.Fix{ID: "f1", State: incident.StateProposed, Alone: true, PauseUntil: noon})
	if r := run(t, s, "fix", "begin", "--wait"); r.code != 0 || len(s.did) != 1 {
		t.Errorf("exit code %d, did %v: %q", r.code, s.did, r.err)
	}
}

// TestBreaksAgain: while everybody is back and the site is seen down, the way to safety
// comes before the writing.
func TestBreaksAgain(t *testing.T) {
	t.Parallel()
	s := crisisScene()
	site := &s.over.Sites[0]
	site.Ordered.Position, site.Ordered.Home = "main", true
	for _, phase := range []incident.Phase{incident.Watch, incident.Review} {
		site.Seen[0].Seen = probe.Down
		if lines := next(incident.Incident{Phase: phase}, site, noon); !strings.HasPrefix(lines[0], "it is not over") || !strings.Contains(lines[0], "lifeboat pull to-standby") {
			t.Errorf("%s: %q", phase, lines)
		}
		site.Seen[0].Seen = probe.Up
		if lines := next(incident.Incident{Phase: phase}, site, noon); strings.Contains(lines[0], "not over") {
			t.Errorf("%s and well: %q", phase, lines)
		}
	}
}
