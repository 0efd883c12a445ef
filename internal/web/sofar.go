package web

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/incident"
)

// soFar is a line of "What happened so far".
type soFar struct {
	At   time.Time
	Type incident.Type
	Mark string
	Text string
	turn bool // a turning point: it stays in sight
}

// How much of what happened a site's page shows. All of it is in the timeline.
const (
	maxSoFar = 7 // lines
	maxTurns = 5 // of them turning points
)

// turning are the events that a person who comes late must see.
var turning = []incident.Type{
	incident.Declared, incident.LeverSeen, incident.LeverFailed, incident.LeverUnknown, incident.LeverUndone, incident.DiagnosisConfirmed,
	incident.FixApplied, incident.SteppedBack, incident.ReturnCompleted, incident.WatchRelapse, incident.WatchPassed,
}

// soFar are the turning points and what is newest, newest first. A run of changes of
// sight is one line, so that it does not push everything else out.
func (x scope) soFar() []soFar {
	var told []soFar
	if x.in != nil {
		told = x.before()
	}
	told = append(told, x.newest()...)
	turns := 0
	for i := range told { // what is recorded late may lie before
		if told[i].turn {
			turns++
		}
	}
	slices.SortStableFunc(told, func(a, b soFar) int { return a.At.Compare(b.At) })
	told = slices.DeleteFunc(told, func(l soFar) bool { // the declaration stays, of the rest the newest
		if !l.turn || turns <= maxTurns || l.Type == incident.Declared {
			return false
		}
		turns--
		return true
	})
	rest := len(told) - turns
	told = slices.DeleteFunc(told, func(l soFar) bool {
		if l.turn || turns+rest <= maxSoFar {
			return false
		}
		rest--
		return true
	})
	return newestFirst(told)
}

// newest are the lines of the newest events, oldest first.
func (x scope) newest() []soFar {
	var out []soFar
	run := 0 // lines of one sort in a row
	for _, e := range x.v.Tail {
		if !told(e) {
			continue
		}
		l := soFar{At: e.At, Type: e.Type, Mark: markOf(e), Text: textOnPage(e), turn: slices.Contains(turning, e.Type)}
		if e.Type != incident.SightChanged && e.Type != incident.ChangeSeen {
			out, run = append(out, l), 0
			continue
		}
		if last := len(out) - 1; run > 0 && out[last].Type == e.Type {
			run++
			l.Text += " " + more(e.Type, run-1)
			out[last] = l
			continue
		}
		out, run = append(out, l), 1
	}
	return out
}

// more says what a line stands for besides itself.
func more(t incident.Type, n int) string {
	if t == incident.SightChanged {
		return "Just before, what the checks see changed " + count(n, "time", "times") + " more."
	}
	return "Just before, " + count(n, "other change", "other changes") + "."
}

// before are the turning points that lie before the newest events: the state holds them.
func (x scope) before() []soFar {
	in := *x.in
	if len(x.v.Tail) == 0 || x.v.Tail[0].Seq <= 1 {
		return nil
	}
	held := slices.MinFunc(x.v.Tail, func(a, b incident.Event) int { return a.RecordedAt.Compare(b.RecordedAt) }).RecordedAt
	var out []soFar
	add := func(at time.Time, id string, t incident.Type, format string, args ...any) {
		there := slices.ContainsFunc(x.v.Tail, func(e incident.Event) bool { return e.Type == t && (id == "" || e.Subject.ID == id) })
		if !at.IsZero() && at.Before(held) && !there {
			out = append(out, soFar{At: at, Type: t, Mark: markOf(incident.Event{Type: t}), Text: fmt.Sprintf(format, args...), turn: true})
		}
	}
	add(in.DeclaredAt, "", incident.Declared, "It was declared: %s", sentence(in.Title))
	for _, p := range in.Pulls {
		add(cmp.Or(p.FirstAt, p.SeenAt), p.ID, incident.LeverSeen, "“%s” is in force, seen from outside.", p.Title)
		if p.State == incident.Undone {
			add(p.BackAt, p.ID, incident.LeverUndone, "“%s” is put back, seen from outside.", p.Title)
		}
	}
	if d := in.Diagnosis; d != nil {
		add(d.At, "", incident.DiagnosisConfirmed, "The cause is confirmed: %s", sentence(d.Statement))
	}
	for _, f := range in.Fixes {
		add(f.AppliedAt, f.ID, incident.FixApplied, "Fix %s was made: %s", f.ID, sentence(f.Change))
	}
	return out
}
