package postmortem

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// safety is step 1: each lever, whether it was seen in force, and what became of it.
func (b *builder) safety() []Block {
	var out []Block
	var first Paragraph
	pulls := b.pulls()
	for _, e := range b.of(incident.LeverProposed) {
		lever := data[reasonData](e).Lever
		first.say(fact(refs(e), "%s proposed the lever %s at %s%s.", b.Who(e.Actor), b.leverTitle(lever), b.clock(e.At), b.whyProposed(e)))
		if len(pulls) > 0 && b.over() && !slices.ContainsFunc(pulls, func(p pullStory) bool { return p.Lever == lever }) {
			first.say(b.absent("Nobody pulled it."))
		}
	}
	if len(pulls) == 0 && b.in.Phase != incident.None {
		first.say(b.absent("No lever was pulled."))
	}
	out = append(out, paragraph("", first)...)
	for i, p := range pulls {
		t := pullTale{builder: b, pull: p, again: i > 0 && pulled(pulls[:i], p.Lever)}
		out = append(out, paragraph("", t.tell())...)
	}
	return append(out, paragraph("", b.stayed())...)
}

// stayed is what kept visitors where they were.
func (b *builder) stayed() (p Paragraph) {
	if e := b.lastOf(incident.AutoHeldType); e.Seq > 0 {
		p.say(fact(refs(e), "%s took an automatic move back at %s, and from then on nothing moved by itself.", b.Who(e.Actor), b.clock(e.At)))
	}
	if e := b.lastOf(incident.DecisionMade); e.Seq > 0 {
		p.say(fact(refs(e), "At %s %s decided not to move visitors%s.", b.at(e.At), b.who(e.Actor), saying(b.quote(data[reasonData](e).Reason))))
	}
	return p
}

// leverTitle is the title of a lever by its name, as far as the record holds it.
func (b *builder) leverTitle(name string) string {
	for _, p := range b.in.Pulls {
		if p.Lever == name && b.quote(p.Title) != "" {
			return b.quote(p.Title)
		}
	}
	for _, e := range b.of(incident.LeverProposed) {
		if data[reasonData](e).Lever == name {
			if title := b.quote(proposedTitle(e)); title != "" {
				return title
			}
		}
	}
	if name == "" {
		return "a lever"
	}
	return cited(b.text(name, 64))
}

// proposedTitle is the title of a lever that was proposed: only the sentence holds it.
func proposedTitle(e incident.Event) string {
	_, title, _ := cutLast(e.Text, ". Proposed: ")
	title, found := strings.CutSuffix(title, ". A person presses.")
	if !found {
		return ""
	}
	return title
}

// cutLast cuts a text around the last place where the separator stands.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// whyProposed is why a lever was proposed, where the title of the incident does not say
// so already.
func (b *builder) whyProposed(e incident.Event) string {
	why := b.quote(data[reasonData](e).Reason)
	if why == b.quote(b.in.Title) {
		return ""
	}
	return saying(why)
}

// aim is what a pull was to change, as the end of a sentence.
func (b *builder) aim(p incident.Pull) string {
	from, to := quoted(b.text(p.From, 64)), quoted(b.text(p.To, 64))
	switch {
	case from == "" || to == "":
		return ""
	case p.Kind == "feature":
		_, flag, _ := strings.Cut(b.text(p.Target, 80), ":")
		return fmt.Sprintf(", to turn %s from %s to %s", orElse(quoted(flag), "a feature"), from, to)
	case moves(p.Kind):
		return fmt.Sprintf(", to send visitors from %s to %s", from, to)
	}
	return fmt.Sprintf(", from %s to %s", from, to)
}

func pulled(before []pullStory, lever string) bool {
	for _, p := range before {
		if p.Lever == lever {
			return true
		}
	}
	return false
}

// pullTale tells of one pull, event by event.
type pullTale struct {
	*builder
	pull    pullStory
	again   bool // the same lever was pulled before
	out     Paragraph
	undoing incident.Event
	drifted bool
	unclear bool
	sightOf time.Time // since when it is in force, as far as seen
}

func (t *pullTale) tell() Paragraph {
	p := t.pull
	if p.carried {
		t.out.say(fact(refs(p.pressed), "%s was still pulled when the incident began: an earlier one had left it so.", t.cite(p.Title)))
	}
	for _, e := range p.all {
		t.one(e)
	}
	if t.undoing.Seq > 0 {
		t.out.say(fact(refs(t.undoing), "%s began to put it back at %s.", t.Who(t.undoing.Actor), t.clock(t.undoing.At)))
	}
	return t.out
}

func (t *pullTale) one(e incident.Event) {
	detail := saying(t.quote(data[incident.OutcomeData](e).Detail))
	switch e.Type {
	case incident.LeverApplying:
		t.pressed(e)
	case incident.LeverActive:
		switch {
		case t.undoing.Seq > 0:
			t.out.say(fact(refs(t.undoing, e), "It was to be put back at %s and stayed in force%s.", t.clock(t.undoing.At), detail))
			t.undoing = incident.Event{}
		case t.pull.seen.Seq == 0:
			t.out.say(fact(refs(e), "It was said to be in force at %s, and nobody saw that from outside%s.", t.clock(e.At), detail))
		}
	case incident.LeverSeen:
		t.seen(e, detail)
	case incident.LeverFailed:
		t.out.say(fact(refs(e), "It did not take effect%s.", detail))
	case incident.LeverUnknown:
		t.unclear, t.undoing = true, incident.Event{}
		t.out.say(fact(refs(e), "At %s nobody could tell whether it was in force%s.", t.clock(e.At), detail))
	case incident.LeverDrift:
		t.drifted = true
		t.out.say(fact(refs(e), "At %s it was found that somebody else had changed it%s.", t.clock(e.At), detail))
	case incident.LeverUndoing:
		t.undoing = e
	case incident.LeverUndone:
		t.undone(e)
	case incident.LeverParked:
		k := data[parkData](e).Parking
		t.out.say(fact(refs(e), "%s left it pulled until %s, for %s to look after%s.", t.Who(e.Actor), date(k.Until), t.name(k.Owner), saying(t.quote(k.Reason))))
	case incident.LeverUnparked:
		t.out.say(fact(refs(e), "It was then to go back with the rest."))
	case incident.LeverGivenUp:
		t.out.say(fact(refs(e), "At %s the way back was given up%s.", t.clock(e.At), detail))
	case incident.LeverSettled:
		t.out.say(fact(refs(e), "At %s it became permanent%s.", t.clock(e.At), detail))
	}
}

// pressed says who pulled it, when, and whether it had been rehearsed.
func (t *pullTale) pressed(e incident.Event) {
	d, p := data[pressData](e), t.pull
	again := ""
	if t.again {
		again = " again"
	}
	t.out.say(fact(refs(e), "%s pulled the lever %s%s at %s%s.", t.Who(e.Actor), t.cite(p.Title), again, t.at(e.At), t.aim(p.Pull)))
	if d.Facts == nil || t.in.Drill || e.AtSource == incident.FromRecalled {
		return
	}
	switch until := d.Facts.ArmedUntil; {
	case until.IsZero():
		t.out.say(fact(refs(e), "It had never been rehearsed."))
	case !e.At.Before(until):
		t.out.say(fact(refs(e), "Its last rehearsal was too long ago."))
	}
}

func (t *pullTale) seen(e incident.Event, detail string) {
	switch {
	case t.sightOf.IsZero():
		t.sightOf = e.At
		t.out.say(fact(refs(e), "It was seen in force from outside %s%s.", later(e.At.Sub(t.pull.pressed.At)), detail))
	case t.drifted || t.unclear:
		t.out.say(fact(refs(e), "It was seen in force again at %s%s.", t.clock(e.At), detail))
	}
	t.drifted, t.unclear = false, false
}

func (t *pullTale) undone(e incident.Event) {
	d := data[incident.OutcomeData](e)
	from := refs(t.undoing, e)
	t.undoing = incident.Event{}
	after := ""
	if held := e.At.Sub(t.sightOf); !t.sightOf.IsZero() && held > 0 {
		after = fmt.Sprintf(", after %s", spell(held))
	}
	if d.Seen == nil && d.Detail == "overtaken by a newer pull" {
		t.out.say(fact(from, "Before it was back, a newer pull took its place at %s.", t.clock(e.At)))
		return
	}
	t.out.say(fact(from, "It was put back at %s%s, and that was seen from outside%s.", t.clock(e.At), after, saying(t.quote(d.Detail))))
}
