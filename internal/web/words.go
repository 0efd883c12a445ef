package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// nbsp keeps a digit and its unit on one line.
const nbsp = "\u00a0"

// funcs are what the templates may call; times are told in a zone, with UTC beside.
func funcs(zone *time.Location) template.FuncMap {
	return template.FuncMap{
		"spell": spell, "ms": milli, "size": size,
		"signing": func() template.JS { return template.JS(signing) }, //nolint:gosec // our own file
		"leaving": func() template.JS { return template.JS(leaving) }, //nolint:gosec // our own file
		"since":   func(now, t time.Time) string { return spell(now.Sub(t)) },
		"clock":   func(t time.Time) string { return t.In(zone).Format("15:04") },
		"exact":   func(t time.Time) string { return t.In(zone).Format("15:04:05") },
		"utc":     func(t time.Time) string { return beside(t, zone) },
		"day":     func(t time.Time) string { return t.In(zone).Format("2 January 2006") },
		"date":    func(t time.Time) string { return t.In(zone).Format("2 Jan 15:04") },
		"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"place":   placeWords, "phase": phaseWords, "state": pullWords, "cause": causeWords, "fix": fixWords, "kind": kindWords,
		"mark": markOf, "sentence": sentence, "cut": cut, "last": newestFirst[incident.Event], "join": listed,
		"part": func(p string) string { return labelOf(parts, p) },
		"tel":  tel, "languages": languages,
	}
}

// beside is the time in UTC, where that is not local time.
func beside(t time.Time, zone *time.Location) string {
	if _, away := t.In(zone).Zone(); away == 0 {
		return "UTC"
	}
	return t.UTC().Format("15:04") + " UTC"
}

// clock is a time of day in a sentence.
func (s *server) clock(t time.Time) string { return t.In(s.o.Zone).Format("15:04") }

// date is a day and a time in a sentence.
func (s *server) date(t time.Time) string { return t.In(s.o.Zone).Format("2 Jan 15:04") }

func newestFirst[T any](oldestFirst []T) []T {
	out := slices.Clone(oldestFirst)
	slices.Reverse(out)
	return out
}

// spell is a span of time as people say it.
func spell(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d == 0:
		return "0" + nbsp + "s"
	case d < time.Second:
		return fmt.Sprintf("%d%sms", d.Milliseconds(), nbsp)
	case d < 10*time.Second && d%time.Second != 0:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + nbsp + "s"
	case d < 2*time.Minute && d%time.Minute != 0:
		return fmt.Sprintf("%d%ss", int(d.Seconds()), nbsp)
	case d < 2*time.Hour && d%time.Hour != 0:
		return fmt.Sprintf("%d%smin", int(d.Minutes()), nbsp)
	case d < 48*time.Hour:
		h, m := int(d.Hours()), int(d.Minutes())%60
		if m > 0 && h < 10 {
			return fmt.Sprintf("%d%sh %d%smin", h, nbsp, m, nbsp)
		}
		return fmt.Sprintf("%d%sh", h, nbsp)
	}
	return fmt.Sprintf("%d%sdays", int(d.Hours()/24), nbsp)
}

// wholeSeconds is a span that is counted down: at least a second, and no part of one.
func wholeSeconds(d time.Duration) string {
	return spell(max(d, time.Second).Round(time.Second))
}

func milli(n int64) string { return spell(time.Duration(n) * time.Millisecond) }

// tenths is an age: of less than a minute in tenths of a second.
func tenths(ms int64) string {
	if ms < 60_000 {
		return strconv.FormatFloat(float64(ms/100)/10, 'f', -1, 64) + nbsp + "s"
	}
	return milli(ms)
}

// seconds is a span for a header.
func seconds(d time.Duration) string { return strconv.Itoa(max(1, int(d.Seconds()))) }

// size is a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f%sMB", float64(n)/(1<<20), nbsp)
	case n >= 1<<10:
		return fmt.Sprintf("%.1f%sKB", float64(n)/(1<<10), nbsp)
	case n == 1:
		return "1 byte"
	}
	return fmt.Sprintf("%d%sbytes", n, nbsp)
}

// tel is a phone number as a link takes it.
func tel(phone string) template.URL {
	return "tel:" + template.URL(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, phone)) //nolint:gosec // digits and plus signs only
}

// count is a number with its word: 1 guess, 3 guesses.
func count(n int, one, many string) string {
	if n == 1 {
		return "1" + nbsp + one
	}
	return fmt.Sprintf("%d%s%s", n, nbsp, many)
}

// placeWords names a place that visitors can be sent to.
func placeWords(place string) string {
	if place == "standby" {
		return "the status page"
	}
	return place
}

func labelOf(options []option, value string) string {
	for _, o := range options {
		if o.Value == value {
			return o.Label
		}
	}
	return value
}

// kindWords is what sort a change is of.
func kindWords(kind string) string { return labelOf(changeKinds, kind) }

// pullWords is the state of a lever that is not free.
func pullWords(state string) string {
	switch incident.PullState(state) {
	case incident.Applying:
		return "being pulled"
	case incident.Active:
		return "pulled"
	case incident.Undoing:
		return "being put back"
	case incident.Stuck:
		return "nobody can tell: look"
	}
	return state
}

func causeWords(s incident.CauseState) string {
	switch s {
	case incident.CauseOpen:
		return "Open"
	case incident.CauseTesting:
		return "Being tested"
	case incident.CauseSure:
		return "Confirmed"
	case incident.CauseOut:
		return "Ruled out"
	case incident.CauseAside:
		return "Parked"
	}
	return string(s)
}

func fixWords(s incident.FixState) string {
	switch s {
	case incident.StateProposed:
		return "written down"
	case incident.StateApproved:
		return "read by somebody else"
	case incident.StateApplying:
		return "being done"
	case incident.StateMeasuring:
		return "being measured"
	case incident.StateWorked:
		return "did what it promised"
	case incident.StateNoEffect:
		return "did not do what it promised"
	case incident.StateWorse:
		return "did harm"
	case incident.StateRollingBack:
		return "being taken back"
	case incident.StateRolledBack:
		return "taken back"
	case incident.StateAccepted:
		return "kept as it is"
	}
	return strings.ReplaceAll(string(s), "_", " ")
}

func phaseWords(p incident.Phase) string {
	switch p {
	case incident.FailOver:
		return "Step 1 of 4"
	case incident.Diagnose:
		return "Step 2 of 4"
	case incident.Fixing:
		return "Step 3 of 4"
	case incident.FailBack:
		return "Step 4 of 4"
	case incident.Watch:
		return "Watching"
	case incident.Review:
		return "Write-up"
	case incident.Closed:
		return "Closed"
	case incident.Cancelled:
		return "False alarm"
	}
	return string(p)
}

// guesses says how far the ruling out is.
func guesses(in incident.Incident) string {
	out := 0
	for _, c := range in.Causes {
		if c.State == incident.CauseOut {
			out++
		}
	}
	return fmt.Sprintf("%s, %d ruled out", count(len(in.Causes), "guess", "guesses"), out)
}

// marks of an event: disc, we did; ring, seen; tick, decided; diamond, a change;
// triangle, a fault or, with a stroke, a rule that was passed.
const (
	markDid    = "did"
	markSeen   = "seen"
	markDone   = "done"
	markChange = "change"
	markFault  = "fault"
	markRule   = "rule"
	markFailed = "failed"
)

func markOf(e incident.Event) string {
	switch e.Type {
	case incident.RuleOverridden:
		return markRule
	case incident.LeverFailed, incident.LeverUnknown, incident.LeverShareFailed, incident.FixInterrupted, incident.UpdateFailed, incident.IntegrationFails:
		return markFailed
	case incident.CheckVerdict, incident.LeverSeen, incident.LeverDrift, incident.FixRead, incident.FixMeasured, incident.FixAgain,
		incident.ImpactMeasured, incident.EvidenceCaptured, incident.ReturnHeld, incident.StagePassed:
		return markSeen
	case incident.SightChanged:
		return markOfSight(e)
	case incident.WatchRelapse:
		return markFault
	case incident.ChangeSeen, incident.ChangeMarked:
		return markChange
	case incident.CauseRuledOut, incident.CauseConfirmed, incident.DiagnosisConfirmed, incident.ApprovalGiven, incident.Chosen, incident.DecisionMade,
		incident.WriteUpFinal, incident.ReturnCompleted, incident.WatchPassed, incident.ClosedType, incident.CancelledType, incident.FollowUpDone, incident.HandoverAccepted:
		return markDone
	}
	return markDid
}

// markOfSight: only what fails is a fault.
func markOfSight(e incident.Event) string {
	var s incident.Sight
	switch err := json.Unmarshal(e.Data, &s); {
	case err == nil && s.Seen == string(probe.Up):
		return markDone
	case err == nil && s.Seen != string(probe.Down):
		return markSeen
	}
	return markFault
}

// told says whether an event belongs to the story; the full list shows all.
func told(e incident.Event) bool {
	switch e.Story {
	case "hidden":
		return false
	case "pinned":
		return true
	}
	switch e.Type {
	case incident.CheckVerdict, incident.FixRead, incident.StageStarted, incident.EvidenceCaptured, incident.LeverActive, incident.LeverSharing, incident.WatchStarted, incident.ImpactMeasured, incident.UpdateDelivered:
		return false
	}
	return true
}
