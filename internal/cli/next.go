package cli

import (
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
)

// next says what to do next in an incident. s adds what is on the card; nil leaves
// it out.
func next(in incident.Incident, s *api.SiteView, now time.Time) []string {
	for _, p := range in.Holding() {
		if p.State == incident.Stuck {
			return []string{fmt.Sprintf("we can't tell whether %s took effect: look with lifeboat check, then pull it again or put it back", p.Lever)}
		}
	}
	var lines []string
	switch in.Phase {
	case incident.None, incident.Closed, incident.Cancelled:
		return calmly(in, s, now)
	case incident.FailOver:
		lines = failingOver(in, s)
	case incident.Diagnose:
		lines = diagnosing(in)
	case incident.Fixing:
		lines = fixing(in, now)
	case incident.FailBack:
		lines = returning(in)
	case incident.Watch, incident.Review:
		if s != nil && s.Ordered.Home && homeDown(s) {
			return again(in, s)
		}
	}
	switch in.Phase {
	case incident.Watch:
		lines = []string{"watching until " + clock(in.WatchUntil), "if it breaks again: lifeboat go-back step-back"}
	case incident.Review:
		lines = reviewing(in)
	}
	if !in.UpdateDue.IsZero() && now.After(in.UpdateDue) {
		lines = append(lines, `people were promised news: lifeboat update "…" --to public --next 20m`)
	}
	return lines
}

// calmly says what to do with no incident open: what an ended one left, first.
func calmly(in incident.Incident, s *api.SiteView, now time.Time) []string {
	var out []string
	if s != nil {
		for _, p := range parkedOf(*s) {
			if now.After(p.Parked.Until) {
				out = append(out, fmt.Sprintf("%s should be back by now (%s): lifeboat go-back start --because \"what changed\"", p.Lever, p.Parked.Owner))
			}
		}
	}
	if in.Phase == incident.Closed && len(in.FollowUps) > 0 {
		out = append(out, "what is owed: lifeboat follow-up list")
	}
	return append(out, "if something looks wrong: lifeboat declare")
}

func failingOver(in incident.Incident, s *api.SiteView) []string {
	if s != nil && len(in.Holding()) == 0 && homeUp(s) {
		return []string{"the site is seen up again; if it was a false alarm: lifeboat cancel", "else " + firstMove(in, s)}
	}
	return []string{firstMove(in, s), `or, if visitors should stay where they are: lifeboat go-on --reason "why"`}
}

// diagnosing says what to do next to find the cause.
func diagnosing(in incident.Incident) []string {
	well := `if it went away by itself: lifeboat go-back start --because "what changed"`
	if len(in.Loose()) == 0 {
		well = "if it was a false alarm: lifeboat cancel"
	}
	if in.Diagnosis != nil {
		return []string{"the cause is confirmed. Propose one fix: lifeboat fix propose", well}
	}
	open := slices.DeleteFunc(slices.Clone(in.Causes), func(c incident.Cause) bool { return !c.Undecided() })
	switch {
	case len(open) == 0 && len(in.Causes) == 0:
		return []string{
			"look at what changed (lifeboat changes) and at what was collected (lifeboat evidence list)",
			`say what it might be, so that it could be proved wrong: lifeboat cause add "If it is …" --predicts "then we should see …"`, well,
		}
	case len(open) == 0:
		return []string{`every guess is ruled out or parked, which is progress. What else could it be: lifeboat cause add "…"`, well}
	case len(open) == 1 && speaksFor(open[0]):
		return []string{fmt.Sprintf("so this is it? lifeboat cause confirm %s", open[0].ID), well}
	}
	test := open[0]
	if i := slices.IndexFunc(open, func(c incident.Cause) bool { return len(c.Tests) == 0 }); i >= 0 {
		test = open[i]
	}
	return []string{
		fmt.Sprintf("look whether it is as %s predicts, then: lifeboat cause test %s held|failed|unclear --saw \"…\"", test.ID, test.ID),
		`rule out what it can't be: lifeboat cause rule-out ID --reason "what shows it"`, well,
	}
}

// speaksFor says whether there is what a confirmation needs.
func speaksFor(c incident.Cause) bool {
	return c.Has(incident.For) && slices.ContainsFunc(c.Tests, func(t incident.Test) bool { return t.Outcome == incident.TestHeld })
}

// reviewing says what is still to be written down.
func reviewing(in incident.Incident) []string {
	var out []string
	if !in.WriteUp.Final {
		out = append(out, "it is over. Read what is written already: lifeboat postmortem")
		for _, q := range incident.Questions {
			if _, answered := in.WriteUp.Answers[q.Key]; !answered {
				out = append(out, fmt.Sprintf("answer: %s lifeboat postmortem answer %s \"…\"", q.Text, q.Key))
				break
			}
		}
		out = append(out, "judge what there is to learn (lifeboat postmortem finding list), write down what is owed (lifeboat follow-up add), then: lifeboat postmortem finish")
		return append(out, `or close it without: lifeboat close --reason "why no post-mortem"`)
	}
	told, over := false, false
	for _, u := range in.Updates {
		if u.Audience == incident.Public {
			told, over = true, u.Final
		}
	}
	if told && !over {
		out = append(out, `tell people that it is over: lifeboat update "…" --to public --over`)
	}
	return append(out, "close it: lifeboat close")
}

func returning(in incident.Incident) []string {
	if in.Return == nil {
		return nil
	}
	if in.Return.Passed {
		return []string{"everything is being put back; to go back to safety: lifeboat go-back step-back"}
	}
	lines := []string{"sanity checks: " + streaks(in.Return)}
	if share := in.BackShare(); share > 0 {
		lines[0] = fmt.Sprintf("about %d %% of visitors are back, watched until %s; %s", share, clock(in.Return.HoldUntil), lines[0])
	}
	if in.Return.Held != "" {
		lines[0] += "; we can't tell: " + in.Return.Held
	}
	return append(lines, `wait, or go on: lifeboat go-back advance --reason "why"; to go back to safety: lifeboat go-back step-back`)
}

// again says what to do where the site breaks once more after everybody is back.
func again(in incident.Incident, s *api.SiteView) []string {
	out := []string{"it is not over: the site does not answer as it should again. " + firstMove(in, s)}
	if in.Phase == incident.Watch && len(in.Returned()) > 0 {
		out = append(out, "or pull again what was put back: lifeboat go-back step-back")
	}
	return out
}

// homeDown says whether a check of the home origin is seen to fail.
func homeDown(s *api.SiteView) bool {
	for _, p := range s.Seen {
		if p.Role == "home" {
			return p.Seen == "down"
		}
	}
	return false
}

// homeUp says whether the checks of the home origin pass.
func homeUp(s *api.SiteView) bool {
	for _, p := range s.Seen {
		if p.Role == "home" {
			return p.Seen == "up"
		}
	}
	return false
}

// firstMove names the lever to pull: the proposed one, else the first that leads to
// the standby.
func firstMove(in incident.Incident, s *api.SiteView) string {
	name := in.Proposed
	if name == "" && s != nil {
		for _, l := range s.Levers {
			if l.To == "standby" {
				name = l.Name
				break
			}
		}
	}
	if name == "" {
		return "get visitors to safety: lifeboat levers, then lifeboat pull LEVER"
	}
	return "get visitors to safety: lifeboat pull " + name
}

// fixing says what to do next about a fix.
func fixing(in incident.Incident, now time.Time) []string {
	f, found := in.FixInFlight()
	if !found {
		f, found = in.FixPlanned()
	}
	if !found {
		f, found = in.LastFix()
	}
	back := "take it back: lifeboat fix roll-back"
	keep := `or keep it as it is: lifeboat fix keep --reason "why"`
	switch {
	case !found:
		return []string{"propose one fix: lifeboat fix propose"}
	case f.State == incident.StateProposed || f.State == incident.StateApproved:
		return reading(f, now)
	case f.State == incident.StateApplying && f.Action != "":
		return []string{fmt.Sprintf("%s is being put in place by its prepared act: wait", f.ID)}
	case f.State == incident.StateApplying:
		return []string{fmt.Sprintf("%s does it now; when it is in place: lifeboat fix done %s", f.Owner, f.ID)}
	case f.State == incident.StateMeasuring:
		return measuring(f, now)
	case f.State == incident.StateNoEffect || f.State == incident.StateWorse:
		return []string{fmt.Sprintf("%s %s; %s", f.ID, fixWords[f.State], back), keep}
	case f.State == incident.StateInterrupted:
		return []string{fmt.Sprintf("%s was interrupted; %s", f.ID, back), "or measure it: lifeboat fix measure; " + keep}
	case f.State == incident.StateRollingBack && f.Undo:
		return []string{fmt.Sprintf("%s is being taken back by its prepared act: wait", f.ID)}
	case f.State == incident.StateRollingBack:
		return []string{fmt.Sprintf("when %s is taken back (%s): lifeboat fix rolled-back", f.ID, f.WayBack)}
	case f.State == incident.StateWorked:
		return []string{f.ID + " did what it promised. Go back: lifeboat go-back start", back}
	}
	return []string{"propose one fix: lifeboat fix propose"}
}

// reading is what comes before a fix is begun: another person, or a pause.
func reading(f incident.Fix, now time.Time) []string {
	withdraw := `or withdraw it: lifeboat fix withdraw --reason "why"`
	alone := f.At.Add(f.Waits)
	switch {
	case f.Objection != "":
		return []string{"somebody objects to " + f.ID + ": " + f.Objection, "talk; " + withdraw}
	case len(f.Approvals) > 0 || f.Alone && !now.Before(f.PauseUntil):
		return []string{"begin it: lifeboat fix begin " + f.ID, withdraw}
	case f.Alone:
		return []string{fmt.Sprintf("read %s once more, slowly, until %s; then: lifeboat fix begin %s", f.ID, clock(f.PauseUntil), f.ID), withdraw}
	case now.Before(alone):
		return []string{fmt.Sprintf("somebody else reads %s: lifeboat fix list, then lifeboat fix approve %s", f.ID, f.ID), fmt.Sprintf("alone from %s on: lifeboat fix go-alone --reason \"why\"; %s", clock(alone), withdraw)}
	}
	return []string{fmt.Sprintf("nobody has read %s yet: lifeboat fix approve %s", f.ID, f.ID), `or go on alone: lifeboat fix go-alone --reason "why"; ` + withdraw}
}

// measuring is the wait for what a fix promised.
func measuring(f incident.Fix, now time.Time) []string {
	if f.Promise.Check == "" {
		return []string{"no check can tell, so say what came of it: lifeboat fix judge worked|no-effect|worse --reason \"what you saw\""}
	}
	until := f.AppliedAt.Add(f.Promise.Within)
	line := fmt.Sprintf("hands off until %s (%s): %s", clock(until), lasted(until.Sub(now)), f.Promise.Words())
	if f.Streak > 0 {
		line += fmt.Sprintf("; so far %d in a row", f.Streak)
	}
	return []string{line, "to take it back already: lifeboat fix roll-back"}
}
