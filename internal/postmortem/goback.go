package postmortem

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/incident"
)

// wayBack is each return: what the checks said, what held it up, how it ended, and the
// watch after it.
func (b *builder) wayBack() []Block {
	var tales []*returnTale
	var now *returnTale
	for _, e := range b.events {
		if e.Type == incident.ReturnPlanned {
			now = &returnTale{builder: b, planned: e, checks: map[string]*tally{}}
			tales = append(tales, now)
		}
		if now != nil {
			now.one(e)
		}
	}
	var out []Block
	for i, t := range tales {
		heading := ""
		if len(tales) > 1 {
			heading = "Attempt " + fmt.Sprint(i+1)
		}
		out = append(out, paragraph(heading, t.tell())...)
	}
	return out
}

// ofFix are the reasons that lifeboat words itself, about a fix.
var ofFix = regexp.MustCompile(`^f(\d{1,4}) (did what it promised|was rolled back|did not do what it promised)(:|$)`)

// since is the end of a sentence that tells a reason: somebody's words, or a fix.
func (b *builder) since(reason string) string {
	m := ofFix.FindStringSubmatch(clean(reason))
	if m == nil {
		return saying(b.quote(reason))
	}
	did := map[string]string{"did what it promised": "had done what it promised", "was rolled back": "was rolled back", "did not do what it promised": "had not done what it promised"}[m[2]]
	return ", since fix " + m[1] + " " + did
}

// tally counts what one check said.
type tally struct {
	pass, fail, unclear int
	events              []uint64
}

// returnTale gathers one return and the watch after it.
type returnTale struct {
	*builder
	planned, passed, stepped, completed, watch, watched incident.Event
	checks                                              map[string]*tally
	held                                                []incident.Event
	settledBy, again                                    []incident.Event
	relapsed                                            incident.Event
	overrides                                           []incident.Event
}

func (t *returnTale) one(e incident.Event) {
	switch e.Type {
	case incident.CheckVerdict:
		t.count(e)
	case incident.ReturnHeld:
		t.held = append(t.held, e)
	case incident.StagePassed:
		t.passed = e
	case incident.RuleOverridden:
		if data[ruleData](e).Rule == incident.R13.ID && t.passed.Seq == 0 && t.stepped.Seq == 0 {
			t.overrides = append(t.overrides, e)
		}
	case incident.SteppedBack:
		t.stepped = e
	case incident.LeverSettled:
		t.settledBy = append(t.settledBy, e)
	case incident.ReturnCompleted:
		t.completed = e
	case incident.WatchStarted:
		t.watch = e
	case incident.FixAgain:
		t.again = append(t.again, e)
	case incident.WatchRelapse:
		t.relapsed = e
	case incident.WatchPassed:
		t.watched = e
	}
}

func (t *returnTale) count(e incident.Event) {
	d := data[incident.VerdictData](e)
	x := t.checks[d.Check]
	if x == nil {
		x = &tally{}
		t.checks[d.Check] = x
	}
	x.events = append(x.events, refs(e)...)
	switch d.Verdict {
	case "pass":
		x.pass++
	case "fail":
		x.fail++
	default:
		x.unclear++
	}
}

func (t *returnTale) tell() Paragraph {
	var p Paragraph
	d := data[returnData](t.planned)
	if len(t.settledBy) > 0 && len(t.checks) == 0 {
		p.say(fact(refs(t.planned), "At %s %s ended the failover where visitors were%s.", t.at(t.planned.At), t.who(t.planned.Actor), saying(t.quote(d.Because))))
	} else {
		p.say(fact(refs(t.planned), "%s started the return at %s%s.", t.Who(t.planned.Actor), t.at(t.planned.At), t.since(d.Because)))
	}
	if len(t.checks) > 0 && d.Needed > 0 {
		p.say(fact(refs(t.planned), "Each check had to pass %s in a row at the real site.", times(d.Needed)))
	}
	t.verdicts(&p)
	t.holds(&p)
	t.ends(&p)
	t.watching(&p)
	return p
}

// verdicts are what the checks said: together where they said the same.
func (t *returnTale) verdicts(p *Paragraph) {
	said := map[string][]string{}
	events := map[string][]uint64{}
	var order []string
	for _, check := range slices.Sorted(maps.Keys(t.checks)) {
		words := t.checks[check].words()
		if said[words] == nil {
			order = append(order, words)
		}
		said[words] = append(said[words], orElse(cut(clean(check), 64), "without a name"))
		events[words] = append(events[words], t.checks[check].events...)
	}
	for _, words := range order {
		if checks := said[words]; len(checks) > 1 {
			p.say(fact(tidy(events[words]), "The checks %s each %s.", listed(checks), words))
		} else {
			p.say(fact(tidy(events[words]), "The check %s %s.", checks[0], words))
		}
	}
}

// words are what a check said, counted.
func (x tally) words() string {
	var parts []string
	if x.pass > 0 {
		parts = append(parts, "passed "+times(x.pass))
	}
	if x.fail > 0 {
		parts = append(parts, "failed "+times(x.fail))
	}
	if x.unclear > 0 {
		parts = append(parts, "gave no clear answer "+times(x.unclear))
	}
	return listed(parts)
}

func (t *returnTale) holds(p *Paragraph) {
	if len(t.held) == 0 {
		return
	}
	why := t.quote(data[reasonData](t.held[0]).Reason)
	if len(t.held) == 1 {
		p.say(fact(refs(t.held...), "At %s the return waited, since one check could not tell%s.", t.clock(t.held[0].At), saying(why)))
		return
	}
	p.say(fact(refs(t.held...), "The return waited %s, since a check could not tell%s.", times(len(t.held)), saying(why)))
}

// ends is how the return ended, or that it has not.
func (t *returnTale) ends(p *Paragraph) {
	for _, e := range t.overrides {
		f := fact(refs(e), "%s overrode R13 at %s and did not wait for the checks%s.", t.Who(e.Actor), t.clock(e.At), saying(t.quote(data[ruleData](e).Reason)))
		f.Amber = true
		p.say(f)
	}
	switch {
	case t.passed.Seq == 0 || len(t.settledBy) > 0:
	case len(t.overrides) == 0 && len(t.checks) > 0:
		p.say(fact(refs(t.passed), "That was so at %s, and visitors began to go back.", t.clock(t.passed.At)))
	default:
		p.say(fact(refs(t.passed), "Visitors began to go back at %s.", t.clock(t.passed.At)))
	}
	if t.stepped.Seq > 0 {
		p.say(fact(refs(t.stepped), "At %s the return stepped back: %s.", t.clock(t.stepped.At), t.why(t.stepped)))
	}
	if len(t.settledBy) > 0 {
		p.say(fact(refs(t.settledBy...), "Nobody moved: that place became the site's home%s.", saying(t.quote(data[incident.OutcomeData](t.settledBy[0]).Detail))))
	} else if t.completed.Seq > 0 {
		p.say(fact(refs(t.completed), "Everybody was back on the real site at %s, %s after the return began.", t.clock(t.completed.At), spell(t.completed.At.Sub(t.planned.At))))
	}
}

// why is the reason of a step back, which lifeboat itself has worded.
func (b *builder) why(e incident.Event) string {
	reason := strings.TrimRight(b.text(data[reasonData](e).Reason, longText), ". ")
	return orElse(reason, "no reason is recorded")
}

// nameless is why without the name of who pressed.
func (b *builder) nameless(e incident.Event) string {
	why := b.why(e)
	if strings.HasSuffix(why, pressedBack) {
		return "somebody" + pressedBack
	}
	return why
}

// pressedBack is how lifeboat words that a person stepped back.
const pressedBack = " pressed Go back to safety"

// watching is the watch after the return.
func (t *returnTale) watching(p *Paragraph) {
	for i, e := range t.again {
		p.say(t.promiseAgain(e, i > 0))
	}
	switch begun := t.watch; {
	case t.relapsed.Seq > 0 && begun.Seq > 0:
		p.say(fact(refs(begun, t.relapsed), "It did not last: %s into the watch the site relapsed (%s).", spell(t.relapsed.At.Sub(begun.At)), t.why(t.relapsed)))
	case t.relapsed.Seq > 0:
		p.say(fact(refs(t.relapsed), "It did not last: the site relapsed at %s (%s).", t.clock(t.relapsed.At), t.why(t.relapsed)))
	case t.watched.Seq > 0 && begun.Seq > 0:
		p.say(fact(refs(begun, t.watched), "The watch lasted %s and ended at %s.", spell(t.watched.At.Sub(begun.At)), t.clock(t.watched.At)))
	case begun.Seq > 0:
		p.say(fact(refs(begun), "The watch goes on until %s.", t.clock(data[watchData](begun).Until)))
	}
}

// promiseAgain is what a fix promised, measured with everybody back.
func (t *returnTale) promiseAgain(e incident.Event, more bool) Fact {
	d := data[readingData](e)
	if more {
		return fact(refs(e), "At %s its check %s.", t.clock(e.At), t.reading(d.Reading))
	}
	kept := map[string]string{"pass": "still kept its promise", "fail": "no longer kept its promise"}[d.Verdict]
	return fact(refs(e), "With everybody back, %s %s: its check %s.", fixName(e.Subject.ID), orElse(kept, "was measured again"), t.reading(d.Reading))
}

var returnTellers = map[incident.Type]teller{
	incident.ReturnPlanned: func(b *builder, e incident.Event) string {
		if len(b.settled(e)) > 0 {
			return fmt.Sprintf("%s ended the failover where visitors were%s.", b.Who(e.Actor), saying(b.quote(data[returnData](e).Because)))
		}
		return fmt.Sprintf("%s started the return%s.", b.Who(e.Actor), b.since(data[returnData](e).Because))
	},
	incident.StagePassed: func(*builder, incident.Event) string { return "Visitors began to go back." },
	incident.ReturnHeld: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The return waited: %s gave no clear answer.", checkName(e.Subject.ID))
	},
	incident.SteppedBack: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The return stepped back: %s.", b.why(e))
	},
	incident.ReturnCompleted: func(b *builder, e incident.Event) string {
		if len(b.settled(b.returnOf(e))) > 0 {
			return ""
		}
		return "Everybody was back on the real site."
	},
	incident.WatchStarted: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The watch began, to last until %s.", b.clock(data[watchData](e).Until))
	},
	incident.WatchRelapse: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("It was not over: %s.", b.why(e))
	},
	incident.WatchPassed: func(*builder, incident.Event) string { return "The watch ended." },
}
