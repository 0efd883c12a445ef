package postmortem

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// turn is a return that did not last: it was given up before anybody had moved, or
// visitors were taken to safety again.
type turn struct {
	event   incident.Event // that ended it
	planned incident.Event // the return that it ended
	left    incident.Event // visitors began to go back
	back    incident.Event // everybody was back
	seen    []sight        // what checks saw fail from then on, until the next change, by time
}

// turns are the returns that did not last, in order.
func (b *builder) turns() []turn {
	var out []turn
	var now turn
	for _, e := range b.of(incident.ReturnPlanned, incident.StagePassed, incident.ReturnCompleted, incident.SteppedBack, incident.WatchRelapse) {
		switch e.Type {
		case incident.ReturnPlanned:
			now = turn{planned: e}
		case incident.StagePassed:
			if now.left.Seq == 0 {
				now.left = e
			}
		case incident.ReturnCompleted:
			now.back = e
		default:
			now.event = e
			now.seen = b.failedAgain(now)
			out, now = append(out, now), turn{}
		}
	}
	return out
}

// failedAgain is what checks saw fail at the real site from when visitors went back
// there until something was changed again.
func (b *builder) failedAgain(t turn) []sight {
	if !t.moved() {
		return nil
	}
	until := uint64(math.MaxUint64)
	for _, e := range b.of(incident.FixApplying, incident.ReturnPlanned) {
		if e.Seq > t.event.Seq {
			until = e.Seq
			break
		}
	}
	var out []sight
	for _, s := range b.sights() {
		if s.Seen == "down" && s.event.Seq > t.planned.Seq && s.event.Seq < until && !s.At.Before(t.left.At) {
			out = append(out, s)
		}
	}
	return out
}

// moved says whether visitors had begun to go back, so that they may have met it.
func (t turn) moved() bool { return t.left.Seq > 0 }

// pressed says whether a person ended it, before any check saw a failure or after.
func (t turn) pressed() bool { return !t.event.Actor.Automatic() }

// warned says whether a check had seen a failure before the return ended.
func (t turn) warned() bool { return len(t.seen) > 0 && !t.seen[0].At.After(t.event.At) }

// since is when everybody was back, or began to go.
func (t turn) since() incident.Event {
	if t.back.Seq > 0 {
		return t.back
	}
	return t.left
}

// failedBy is when the site had failed again, as far as that was seen.
func (t turn) failedBy() (time.Time, bool) {
	if len(t.seen) == 0 {
		return time.Time{}, false
	}
	return t.seen[0].At, t.seen[0].At.After(t.since().At)
}

// row is how many failures in a row a check had, in lifeboat's own words.
var row = regexp.MustCompile(`^the check (.+) failed (\d{1,4}) times in a row$`)

// cutShort is who or what ended a return, as a clause.
func (b *builder) cutShort(t turn) string {
	reason := clean(data[reasonData](t.event).Reason)
	m := row.FindStringSubmatch(reason)
	switch {
	case strings.HasSuffix(reason, pressedBack) && t.pressed() && b.o.Public:
		return "visitors were taken to safety again"
	case strings.HasSuffix(reason, pressedBack) && t.pressed():
		return b.who(t.event.Actor) + " pressed “Go back to safety”"
	case reason == "a lever was pulled" && t.pressed():
		return b.who(t.event.Actor) + " pulled a lever"
	case m != nil:
		n, _ := strconv.Atoi(m[2])
		return checkName(m[1]) + " failed " + times(n) + " in a row"
	case reason == incident.ShareStuck:
		return reason
	case reason == "":
		return "it ended, for a reason that is not recorded"
	case t.event.Type == incident.WatchRelapse:
		return "the site was seen to fail again (" + b.cite(reason) + ")"
	}
	return "it ended: " + b.cite(reason)
}

// pressedBack is how lifeboat words that a person ended a return.
const pressedBack = " pressed Go back to safety"

// nameless is cutShort without the name of who pressed.
func (b *builder) nameless(t turn) string {
	clause := b.cutShort(t)
	if t.pressed() {
		clause = strings.Replace(clause, b.who(t.event.Actor)+" p", "somebody p", 1)
	}
	return clause
}

// witnesses is what the checks saw of a return that did not last, as a sentence. Where
// they saw it after the press, it says by how much.
func (b *builder) witnesses(t turn) Fact {
	switch {
	case !t.moved():
		return Fact{}
	case len(t.seen) == 0 && t.pressed():
		return b.absent("No check recorded that the real site failed.")
	case len(t.seen) == 0:
		return Fact{}
	}
	who, from, detail := b.failing(t.seen)
	if t.warned() {
		return fact(from, "%s had seen the real site fail since %s%s.", begin(who), b.clock(t.seen[0].At), saying(detail))
	}
	return fact(from, "%s saw the real site fail %s%s.", begin(who), later(t.seen[0].At.Sub(t.event.At)), saying(detail))
}

// failing names the checks of sights, with what they rest on and what the first said.
func (b *builder) failing(all []sight) (who string, from []uint64, detail string) {
	var names []string
	for _, s := range all {
		if !slices.Contains(names, s.Check) {
			names = append(names, s.Check)
		}
		from = join(from, refs(s.event))
		if detail == "" {
			detail = b.quote(s.Detail)
		}
	}
	return checkNames(names), from, detail
}

// carried is the fix on which a return was begun that did not last.
func (b *builder) carried(t turn) (fixStory, bool) {
	var out fixStory
	for _, f := range b.tried() {
		rolled := b.about("fix", f.ID, incident.FixRolledBack)
		gone := len(rolled) > 0 && rolled[0].Seq < t.event.Seq
		if m := f.measured; m.Seq > 0 && m.Seq < t.planned.Seq && !gone && data[measuredData](m).Result == incident.StateWorked {
			out = f
		}
	}
	return out, out.measured.Seq > 0
}

// turnOf is the first return that did not last although a fix had done what it promised.
func (b *builder) turnOf(fix string) (turn, bool) {
	for _, t := range b.turns() {
		if f, found := b.carried(t); found && f.ID == fix {
			return t, true
		}
	}
	return turn{}, false
}

// lasted is how long a return lasted, as a clause that names nobody.
func (b *builder) lasted(t turn) string {
	if !t.moved() {
		return b.nameless(t) + " before visitors went back"
	}
	moment := " after everybody was back"
	if t.back.Seq == 0 {
		moment = " after the first visitors had gone back"
	}
	if at, seen := t.failedBy(); seen {
		return "the site was seen to fail again " + spell(at.Sub(t.since().At)) + moment
	}
	return b.nameless(t) + " " + spell(t.event.At.Sub(t.since().At)) + moment
}
