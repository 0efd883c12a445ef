package postmortem

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"lifeboat/internal/incident"
)

// wayBack is each return: what the checks said, what held it up, how it ended, and the
// watch after it.
func (b *builder) wayBack() []Block {
	var tales []*returnTale
	var now *returnTale
	turns := b.turns()
	for _, e := range b.events {
		if e.Type == incident.ReturnPlanned {
			now = &returnTale{builder: b, planned: e, checks: map[string]*tally{}}
			if i := slices.IndexFunc(turns, func(t turn) bool { return t.planned.Seq == e.Seq }); i >= 0 {
				now.turn = turns[i]
			}
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
	if b.o.Public {
		return map[string]string{"did what it promised": ", since a change had cured it", "was rolled back": ", since the change made for it was taken back", "did not do what it promised": ", since the change made for it had not helped"}[m[2]]
	}
	did := map[string]string{"did what it promised": "had done what it promised", "was rolled back": "was rolled back", "did not do what it promised": "had not done what it promised"}[m[2]]
	if m[2] == "was rolled back" {
		did = b.whyRolledBack("f"+m[1]) + did
	}
	return ", since fix " + m[1] + " " + did
}

// whyRolledBack is what a fix came to before it was rolled back.
func (b *builder) whyRolledBack(id string) string {
	if _, turned := b.turnOf(id); turned {
		return "had not lasted and "
	}
	for _, f := range b.tried() {
		if f.ID != id || f.measured.Seq == 0 {
			continue
		}
		return map[incident.FixState]string{incident.StateNoEffect: "had not helped and ", incident.StateWorse: "had done harm and "}[data[measuredData](f.measured).Result]
	}
	return ""
}

// tally counts what one check said.
type tally struct {
	pass, fail, unclear int
	events              []uint64
}

// returnTale gathers one return and the watch after it.
type returnTale struct {
	*builder
	planned, passed, completed, watch, watched incident.Event
	checks                                     map[string]*tally
	held, stages                               []incident.Event // waits, and the shares that were let back
	settledBy, again                           []incident.Event
	turn                                       turn // how it ended, where it did not last
	overrides                                  []incident.Event
}

func (t *returnTale) one(e incident.Event) {
	switch e.Type {
	case incident.CheckVerdict:
		t.count(e)
	case incident.ReturnHeld:
		t.held = append(t.held, e)
	case incident.StagePassed:
		if share := data[passedData](e).Share; share > 0 && share < 100 {
			t.stages = append(t.stages, e)
			return
		}
		t.passed = e
	case incident.RuleOverridden:
		if data[ruleData](e).Rule == incident.R13.ID && t.passed.Seq == 0 && (t.turn.event.Seq == 0 || e.Seq < t.turn.event.Seq) {
			t.overrides = append(t.overrides, e)
		}
	case incident.LeverSettled:
		t.settledBy = append(t.settledBy, e)
	case incident.ReturnCompleted:
		t.completed = e
	case incident.WatchStarted:
		t.watch = e
	case incident.FixAgain:
		t.again = append(t.again, e)
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
		said[words] = append(said[words], check)
		events[words] = append(events[words], t.checks[check].events...)
	}
	for _, words := range order {
		if checks := said[words]; len(checks) > 1 {
			p.say(fact(tidy(events[words]), "%s each %s.", begin(checkNames(checks)), words))
		} else {
			p.say(fact(tidy(events[words]), "%s %s.", begin(checkName(checks[0])), words))
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
		f := fact(refs(e), "%s overrode %s at %s and did not wait for the checks%s.", t.Who(e.Actor), theRule(incident.R13.ID), t.clock(e.At), saying(t.quote(data[ruleData](e).Reason)))
		f.Amber = true
		p.say(f)
	}
	t.shares(p)
	names, moved := t.leaves(t.passed)
	switch {
	case t.passed.Seq == 0 || len(t.settledBy) > 0:
	case !moved:
		p.say(fact(refs(t.passed), "At %s lifeboat began to put %s back; visitors had stayed on the real site.", t.clock(t.passed.At), listed(names)))
	case len(t.overrides) == 0 && len(t.checks) > 0:
		p.say(fact(refs(t.passed), "That was so at %s, and %s began to go back.", t.clock(t.passed.At), t.rest(t.passed)))
	default:
		p.say(fact(refs(t.passed), "%s began to go back at %s.", begin(t.rest(t.passed)), t.clock(t.passed.At)))
	}
	if e := t.turn.event; e.Type == incident.SteppedBack {
		p.say(fact(refs(e), "At %s the return was given up: %s.", t.clock(e.At), t.cutShort(t.turn)))
		p.say(t.witnesses(t.turn))
	}
	if len(t.settledBy) > 0 {
		p.say(fact(refs(t.settledBy...), "Nobody moved: that place became the site's home%s.", saying(t.quote(data[incident.OutcomeData](t.settledBy[0]).Detail))))
	} else if t.completed.Seq > 0 {
		home, from := t.homeAgain(t.planned, t.completed)
		p.say(fact(from, "%s at %s, %s after the return began.", begin(home), t.clock(t.completed.At), spell(t.completed.At.Sub(t.planned.At))))
	}
}

// rest is who goes back when the last stage is passed: all, or all but those who were
// let back before.
func (b *builder) rest(passed incident.Event) string {
	planned := b.returnOf(passed)
	for _, e := range b.of(incident.StagePassed) {
		if e.Seq > planned.Seq && e.Seq < passed.Seq {
			return "all others"
		}
	}
	return "visitors"
}

// shares are the stages in which a part of those who were away was let back.
func (t *returnTale) shares(p *Paragraph) {
	var words []string
	for _, e := range t.stages {
		words = append(words, fmt.Sprintf("about %d %% at %s", data[passedData](e).Share, t.clock(e.At)))
	}
	if len(words) > 0 {
		p.say(fact(refs(t.stages...), "Shares were let back one after the other: %s.", listed(words)))
	}
}

// watching is the watch after the return.
func (t *returnTale) watching(p *Paragraph) {
	for i, e := range t.again {
		p.say(t.promiseAgain(e, i > 0))
	}
	switch begun := t.watch; {
	case t.turn.event.Seq > 0 && t.turn.event.Type == incident.WatchRelapse:
		when := "at " + t.clock(t.turn.event.At)
		if begun.Seq > 0 {
			when = spell(t.turn.event.At.Sub(begun.At)) + " into the watch"
		}
		p.say(fact(refs(begun, t.turn.event), "It did not last: %s %s.", when, t.cutShort(t.turn)))
		p.say(t.witnesses(t.turn))
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
	return fact(refs(e), "%s, %s %s: its check %s.", t.withAll(), fixName(e.Subject.ID), orElse(kept, "was measured again"), t.reading(d.Reading))
}

var returnTellers = map[incident.Type]teller{
	incident.ReturnPlanned: func(b *builder, e incident.Event) string {
		if len(b.settled(e)) > 0 {
			return fmt.Sprintf("%s ended the failover where visitors were%s.", b.Who(e.Actor), saying(b.quote(data[returnData](e).Because)))
		}
		return fmt.Sprintf("%s started the return%s.", b.Who(e.Actor), b.since(data[returnData](e).Because))
	},
	incident.LeverShareFailed: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("It was not certain how many were let back%s.", saying(b.quote(data[incident.ShareData](e).Detail)))
	},
	incident.StagePassed: func(b *builder, e incident.Event) string {
		if share := data[passedData](e).Share; share > 0 && share < 100 {
			return fmt.Sprintf("About %d %% were let back.", share)
		}
		if _, moved := b.leaves(e); !moved {
			return ""
		}
		return begin(b.rest(e)) + " began to go back."
	},
	incident.ReturnHeld: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The return waited: %s gave no clear answer.", checkName(e.Subject.ID))
	},
	incident.SteppedBack: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The return was given up: %s.", b.cutShort(turn{event: e}))
	},
	incident.ReturnCompleted: func(b *builder, e incident.Event) string {
		planned := b.returnOf(e)
		if len(b.settled(planned)) > 0 {
			return ""
		}
		if undone, moved := b.putBack(planned, e); !moved {
			if len(undone) > 0 && b.whole(e) {
				return "Visitors had the whole site again."
			}
			return "The return was complete."
		}
		return "Everybody was back on the real site."
	},
	incident.WatchStarted: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The watch began, to last until %s.", b.clock(data[watchData](e).Until))
	},
	incident.WatchRelapse: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("It was not over: %s.", b.cutShort(turn{event: e}))
	},
	incident.WatchPassed: func(*builder, incident.Event) string { return "The watch ended." },
}
