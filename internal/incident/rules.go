package incident

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// Rule is a guard rail: what it asks for, and whether a person may go on anyway.
type Rule struct {
	ID          string
	Text        string
	Overridable bool
}

// The rules.
var (
	R1  = Rule{"R1", "a lever is armed: rehearsed lately, its way back stored first", true}
	R2  = Rule{"R2", "the standby is healthy now", true}
	R3  = Rule{"R3", "the place visitors are sent to is not down", true}
	R4  = Rule{"R4", "a reason is written down when nothing was contained", true}
	R5  = Rule{"R5", "a false alarm has every lever put back and its checks passing", false}
	R6  = Rule{"R6", "a fix follows a confirmed diagnosis", true}
	R7  = Rule{"R7", "two possible causes were considered, or one line decides by itself", true}
	R8  = Rule{"R8", "a fix says what it will change, how it is taken back and who does it", true}
	R9  = Rule{"R9", "another person has read the fix, or one waits and pauses alone", true}
	R10 = Rule{"R10", "one change at a time on a site", false}
	R11 = Rule{"R11", "no third fix without a new cause, and no two close together", true}
	R12 = Rule{"R12", "a recorded fix did what was expected", true}
	R13 = Rule{"R13", "every gate check passed enough times in a row at the real origin", true}
	R14 = Rule{"R14", "there is a plan for the return", true}
	R15 = Rule{"R15", "the return leaves no other lever pulled, unless it is parked", true}
	R16 = Rule{"R16", "stepping back is never blocked", false}
	R17 = Rule{"R17", "the watch is over, the promise holds with everybody back, and no lever is pulled unless it is parked", true}
	R18 = Rule{"R18", "the post-mortem is final, or a reason says why there is none", true}
	R19 = Rule{"R19", "every commitment has an owner, a due date and a way to see that it is done", true}
	R20 = Rule{"R20", "there is at least one statement on how we work", true}
	R21 = Rule{"R21", "who was told that it began is told that it is over", true}
	R22 = Rule{"R22", "a return without a fix says in words what changed", true}
	U1  = Rule{"U1", "towards safety is free; the way back to danger is the return", true}
	U2  = Rule{"U2", "a failover never expires by itself", false}
	U3  = Rule{"U3", "after a person aborted nothing automatic moves", false}
	U4  = Rule{"U4", "an automatic failover happens at most once in the set time, never back", false}
	U5  = Rule{"U5", "an automatic move has a settle time", false}
	U6  = Rule{"U6", "prepared positions can be taken at answer while control is gone", false}
	U7  = Rule{"U7", "what somebody else changed is shown, not fought", false}
	U8  = Rule{"U8", "a soft rule can be passed by a named person with a reason", false}
	U9  = Rule{"U9", "a refusal says rule, reason, what would satisfy it, and the override", false}
	U10 = Rule{"U10", "a drill cannot touch production names", false}
	U11 = Rule{"U11", "the way to safety goes before the lock", false}
	U12 = Rule{"U12", "all waits and counts are settings of the site", false}
)

// Rules are all rules, in order.
var Rules = []Rule{R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, R13, R14, R15, R16, R17, R18, R19, R20, R21, R22, U1, U2, U3, U4, U5, U6, U7, U8, U9, U10, U11, U12}

// The counts that are not settings.
const (
	failsToStepBack = 3   // sanity fails in a row that end a return (R16)
	minReason       = 3   // characters of a sentence
	maxTitle        = 200 // characters of an incident's title
)

func (r Rule) refuse(satisfy, format string, args ...any) *fault.Refusal {
	return &fault.Refusal{Rule: r.ID, Reason: fmt.Sprintf(format, args...), Satisfy: satisfy, Overridable: r.Overridable}
}

// hard refuses in a way that nobody passes.
func (r Rule) hard(satisfy, format string, args ...any) *fault.Refusal {
	u := r.refuse(satisfy, format, args...)
	u.Overridable = false
	return u
}

// unmet is a rule that does not hold for a command.
type unmet = *fault.Refusal

// pass lets a person through soft rules with a reason, each recorded. An automatic
// actor, or a hard rule, gets the refusal.
func (d *draft) pass(reason string, rules ...unmet) error {
	for _, u := range rules {
		if u == nil {
			continue
		}
		if u.Overridable && !mayOverride(u.Rule, d.facts.Actor) {
			closed := *u
			closed.Overridable = false
			closed.Satisfy = strings.TrimSpace(closed.Satisfy + " Somebody with the role " + string(overrideRole(u.Rule)) + " can go on anyway with a reason.")
			return &closed
		}
		if !u.Overridable || d.facts.Actor.Automatic() || !says(reason) {
			return u
		}
		d.add(RuleOverridden, Subject{"rule", u.Rule}, ruleData{Rule: u.Rule, Reason: reason, Satisfy: u.Satisfy},
			"%s went on although %s Reason: %s", d.who(), lowerFirst(u.Reason), reason)
	}
	return nil
}

// says tells a sentence from nothing typed.
func says(sentence string) bool {
	return utf8.RuneCountInString(strings.TrimSpace(sentence)) >= minReason
}

// pullRules are R1 to R3: they stop an automatic move, and cost a person a sentence.
func pullRules(f Facts, drill bool, now time.Time) []unmet {
	l := f.Lever
	var out []unmet
	if !drill && !now.Before(l.ArmedUntil) {
		what := "It was never rehearsed."
		if !l.ArmedUntil.IsZero() {
			what = "Its last rehearsal is too long ago."
		}
		out = append(out, R1.refuse("Rehearse it in a drill.", "The lever %q is not armed. %s", l.Name, what).With("lifeboat drill %s", l.Name))
	}
	if !drill && !l.Reversible {
		out = append(out, R1.refuse("Pull a lever that can be put back.", "The lever %q can't be put back exactly.", l.Name))
	}
	if l.ToStandby && f.Standby != "pass" {
		out = append(out, R2.refuse("Mend the status page first.", "The status page does not answer as it should: %s.", cmp.Or(brief(f.StandbyDetail), "it was not asked yet")).With("lifeboat check"))
	}
	if !l.ToStandby && l.ToSeen == "down" {
		out = append(out, R3.refuse("Pull a lever that leads to the status page.", "The place it sends visitors to, %s, is down too.", l.To))
	}
	return out
}

// autoRules are U3 to U5: they bind only what no person pressed.
func autoRules(f Facts, now time.Time) unmet {
	switch {
	case !f.Actor.Automatic():
		return nil
	case f.AutoHeld:
		return U3.refuse("A person has to let it.", "A person took an automatic move back, so nothing moves by itself.").With("lifeboat auto resume %s", f.Site)
	case !f.LastAuto.IsZero() && now.Before(f.LastAuto.Add(f.Settings.Settle)):
		return U5.refuse("Wait, or let a person press.", "The last automatic move is only %s ago.", max(0, now.Sub(f.LastAuto)).Round(time.Second))
	case !f.LastAuto.IsZero() && now.Before(f.LastAuto.Add(f.Settings.AutoGap)):
		return U4.refuse("Wait, or let a person press.", "The site has moved by itself once already in the last %s.", f.Settings.AutoGap)
	}
	return nil
}

// neverBack is U4's other half: what leads away from safety is pressed by a person.
func neverBack(f Facts) unmet {
	if !f.Actor.Automatic() {
		return nil
	}
	return U4.refuse("Let a person press.", "Nothing goes back by itself.")
}
