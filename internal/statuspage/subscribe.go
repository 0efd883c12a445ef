package statuspage

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/subscribe"
)

// PathSubscribe is where somebody begins to be told of news.
const PathSubscribe = "/subscribe"

// partsShown is how many components somebody can choose among.
const partsShown = subscribe.MaxComponents

// option is something that can be chosen, or a hidden field.
type option struct {
	Value, Text string
	On, Focus   bool
}

// choice are the components that somebody can be told of.
type choice struct {
	Legend, Hint, Wrong string
	Groups              []optionGroup
}

type optionGroup struct {
	Name  string // "": it is of no group
	Ticks []option
}

// begun is the page at which somebody begins to be told of news.
type begun struct {
	frame
	Head, Trouble, Action string
	Ways                  []option // none: there is but one
	WrongWay              string
	Kind                  string // of the address: mail, hook, any
	To, Label, Hint       string
	WrongTo, Described    string
	Parts                 *choice
}

// opened is the page of a subscription's link.
type opened struct {
	frame
	Head, Says, Done, Action string
	Pending, Change          bool
	Secret                   string
	Parts                    *choice
	Tongues                  []option
	Closed, EndSays          string
}

// telling is a page that says what came of something.
type telling struct {
	frame
	Head, Action   string
	Says           []string
	Again          []option // what is sent once more
	Link, LinkText string
}

// Subscribe makes the page at which somebody begins to be told of news. typed is what they
// have filled in already, told what came of it: nothing yet, Wrong or Away.
func Subscribe(b board.Board, o Options, tag string, typed subscribe.Ask, told subscribe.Told) (Document, error) {
	p := newPress(b, o, tag)
	v := begun{Head: p.w.say("subscribe.title"), Action: p.exact(PathSubscribe), To: strings.ToValidUTF8(typed.To, "")}
	v.frame = p.bare(v.Head, PathSubscribe, "How=subscribe.how", "Way=subscribe.way", "Button=subscribe.button")
	wrong, status := "", 0
	switch told.Outcome {
	case subscribe.Wrong:
		wrong, status = cmp.Or(told.Field, "components"), 400
	case subscribe.Away:
		v.Trouble, status = p.w.say("subscribe.away"), 503
	}
	v.Ways, v.Kind = p.ways(typed.Way, wrong == "way")
	v.Parts = p.choice(typed.Components, wrong == "components")
	v.Label = p.w.say("subscribe.to_" + v.Kind)
	if v.Kind != "mail" {
		v.Hint = p.w.say("subscribe.hint")
	}
	switch {
	case wrong == "way" && v.Ways != nil:
		v.WrongWay = p.wrong(typed.Way, wrong)
	case wrong == "to":
		v.WrongTo = p.wrong(p.wayOf(typed.Way), wrong)
	case wrong != "" && (wrong != "components" || v.Parts == nil): // a form of before, with fields that are no more
		v.Trouble = p.wrong(typed.Way, "components")
	}
	v.Described = described(v.WrongTo != "", v.Hint != "")
	d, err := p.write("subscribe", v, false)
	d.Status = status
	return d, err
}

func described(wrong, hint bool) string {
	var ids []string
	if wrong {
		ids = append(ids, "wrong-to")
	}
	if hint {
		ids = append(ids, "hint-to")
	}
	return strings.Join(ids, " ")
}

// bare is a frame for pages that are not to be found, and tell no age.
func (p press) bare(title, path string, keys ...string) frame {
	f := p.frame(title, path, keys...)
	f.NoIndex, f.Subscribe, f.Foot = true, "", nil
	return f
}

// exact is an address in the language of the page, whatever the reader's is.
func (p press) exact(path string) string {
	if len(offered(p.b.Page)) > 1 {
		return "/" + p.w.tag + path
	}
	return path
}

// Ways are the ways that a page offers, in the order in which people are offered them.
func Ways(page board.Page) (ways []subscribe.Way) {
	for _, w := range subscribe.Ways() {
		if slices.Contains(page.Subscribe, string(w)) {
			ways = append(ways, w)
		}
	}
	return ways
}

// ways are what a page offers, and of which kind their addresses are.
func (p press) ways(chosen subscribe.Way, focus bool) (options []option, kind string) {
	ways := Ways(p.b.Page)
	for i, w := range ways {
		if k := kindOfWay(w); kind == "" || kind == k {
			kind = k
		} else {
			kind = "any"
		}
		on := w == chosen || i == 0 && !slices.Contains(ways, chosen) && !focus
		options = append(options, option{string(w), p.w.say("subscribe.way_" + string(w)), on, focus && i == 0})
	}
	if len(options) == 1 {
		options = nil
	}
	return options, kind
}

// wayOf is the way that was chosen, or the only one.
func (p press) wayOf(chosen subscribe.Way) subscribe.Way {
	if ways := Ways(p.b.Page); len(ways) == 1 {
		return ways[0]
	}
	return chosen
}

func kindOfWay(w subscribe.Way) string {
	if w == subscribe.Mail {
		return "mail"
	}
	return "hook"
}

// choice lays the components out as they are on the page; nil where there is none.
func (p press) choice(chosen []string, wrong bool) *choice {
	if len(p.b.Components) < 2 {
		return nil
	}
	c := &choice{Legend: p.w.say("subscribe.parts"), Hint: p.w.say("subscribe.all")}
	n := 0
	for _, s := range p.b.Sections {
		g := optionGroup{}
		if s.ID != "" {
			g.Name = p.w.plain(s.Name)
		}
		for _, part := range s.Components {
			if n++; n > partsShown {
				break
			}
			g.Ticks = append(g.Ticks, option{part.ID, p.names[part.ID], slices.Contains(chosen, part.ID), wrong && n == 1})
		}
		if len(g.Ticks) > 0 {
			c.Groups = append(c.Groups, g)
		}
	}
	if wrong {
		c.Wrong = p.w.say("subscribe.wrong_parts")
	}
	return c
}

// Subscription makes the page of a subscription's link: what it is, and how it is
// confirmed, changed and ended. open says whether the page's components may be shown; done
// is what was done just now, or "".
func Subscription(b board.Board, o Options, tag, token string, told subscribe.Told, open bool, done subscribe.Outcome) (Document, error) {
	p := newPress(b, o, tag)
	to := with{"To": told.To}
	v := opened{Head: p.w.say("subscribe.active"), Says: p.w.say("subscribe.active_says", to), Pending: told.Pending, Action: p.exact(subscribe.Path + token), EndSays: p.w.say("subscribe.end_says", to)}
	if told.Pending {
		v.Head, v.Says = p.w.say("subscribe.pending"), p.w.say("subscribe.pending_says", to)
	}
	v.frame = p.bare(v.Head, subscribe.Path+token, "Confirm=subscribe.confirm", "Secret=subscribe.secret", "SecretSays=subscribe.secret_says",
		"Language=subscribe.language", "Save=subscribe.save", "End=subscribe.end", "EndButton=subscribe.end_button")
	switch {
	case done == subscribe.Confirmed && !told.Pending:
		v.Done = p.w.say("subscribe.confirmed")
	case done == subscribe.Changed:
		v.Done = p.w.say("subscribe.changed")
	}
	if !told.Pending {
		v.Secret = told.Secret
	}
	if !open {
		v.closed(p)
		return p.write("subscription", v, false)
	}
	v.Parts = p.choice(told.Components, false)
	if tags := offered(b.Page); len(tags) > 1 {
		for _, t := range tags {
			v.Tongues = append(v.Tongues, option{Value: t, Text: newWords(t, time.UTC).say("name"), On: t == told.Language})
		}
	}
	v.Change = v.Parts != nil || v.Tongues != nil
	return p.write("subscription", v, false)
}

// closed leaves out what only those who may read the page are shown.
func (v *opened) closed(p press) {
	v.Closed = p.w.say("subscribe.closed")
	v.shut()
}

// shut leaves out of a private page's frame what strangers are not shown.
func (f *frame) shut() { f.Logo, f.Contact, f.Feeds = "", nil, nil }

// Told says what came of an Ask, in a page of its own: Asked, Ended, Unknown, Wrong, Busy or
// Away. open is as it is for Subscription.
func Told(b board.Board, o Options, tag string, a subscribe.Ask, told subscribe.Told, open bool) (Document, error) {
	p := newPress(b, o, tag)
	head, says := p.tell(a, told)
	v := telling{Head: head, Says: says}
	path, status := PathSubscribe, 0
	if a.Token != "" {
		path = subscribe.Path + a.Token
	}
	v.frame = p.bare(v.Head, path, "Retry=subscribe.retry")
	switch told.Outcome {
	case subscribe.Asked, subscribe.Ended:
		v.Link, v.LinkText = p.exact(PathSubscribe), p.w.say("subscribe.again")
	case subscribe.Unknown:
		v.Link, v.LinkText, status = p.exact(PathSubscribe), p.w.say("subscribe.again"), 404
		v.Others = nil // they would lead to the same
	case subscribe.Busy:
		status = 429
	case subscribe.Away:
		status = 503
		v.Action, v.Again = p.exact(path), again(a)
		if v.Again == nil {
			v.Link, v.LinkText = p.exact(path), p.w.say("subscribe.retry")
		}
	case subscribe.Wrong:
		v.Link, v.LinkText, status = p.exact(path), p.w.say("subscribe.stale"), 400
	}
	if !open {
		v.shut()
	}
	d, err := p.write("told", v, false)
	d.Status = status
	return d, err
}

// again are the fields of a form that asks for the same once more; nil where a link does.
func again(a subscribe.Ask) []option {
	switch a.Do {
	case subscribe.Confirm, subscribe.End:
		return []option{{Value: "do", Text: string(a.Do)}}
	case subscribe.Change:
		fields := []option{{Value: "do", Text: string(a.Do)}, {Value: "language", Text: a.Language}}
		for _, c := range a.Components {
			fields = append(fields, option{Value: "component", Text: c})
		}
		return fields
	}
	return nil
}

// tell says what came of an Ask: in a heading, and in what more there is to be said.
func (p press) tell(a subscribe.Ask, told subscribe.Told) (head string, says []string) {
	say := p.w.say
	switch told.Outcome {
	case subscribe.Asked:
		to := strings.ToValidUTF8(a.To, "")
		if a.Way != subscribe.Mail {
			to = subscribe.Masked(a.Way, to)
		}
		return say("subscribe.asked"), []string{say("subscribe.asked_says", with{"To": line(to)}), say("subscribe.asked_none")}
	case subscribe.Open:
		if told.Pending {
			return say("subscribe.pending"), []string{say("subscribe.pending_says", with{"To": told.To})}
		}
		return say("subscribe.active"), []string{say("subscribe.active_says", with{"To": told.To})}
	case subscribe.Confirmed:
		return say("subscribe.confirmed"), []string{say("subscribe.active")}
	case subscribe.Changed:
		return say("subscribe.changed"), nil
	case subscribe.Ended:
		return say("subscribe.ended"), []string{say("subscribe.ended_says")}
	case subscribe.Unknown:
		return say("subscribe.gone"), []string{say("subscribe.gone_says")}
	case subscribe.Busy:
		return say("subscribe.busy"), []string{say("subscribe.busy_says")}
	case subscribe.Wrong:
		return p.wrong(p.wayOf(a.Way), told.Field), nil
	case subscribe.Off:
		return say("missing.title"), []string{say("missing.says")}
	}
	if a.Do == subscribe.Begin {
		return say("subscribe.away"), nil
	}
	return say("subscribe.unheard"), []string{say("subscribe.unheard_says")}
}

// wrong says what is wrong with a field.
func (p press) wrong(way subscribe.Way, field string) string {
	switch field {
	case "to":
		return p.w.say("subscribe.wrong_" + kindOfWay(way))
	case "way":
		return p.w.say("subscribe.wrong_way")
	}
	return p.w.say("subscribe.wrong_parts")
}

// ToldText says what came of an Ask in plain text, for terminals. Its Status is that of the
// page that says the same.
func ToldText(b board.Board, tag string, a subscribe.Ask, told subscribe.Told) Document {
	p := newPress(b, Options{}, tag)
	head, says := p.tell(a, told)
	status := map[subscribe.Outcome]int{subscribe.Unknown: 404, subscribe.Off: 404, subscribe.Wrong: 400, subscribe.Busy: 429, subscribe.Away: 503}[told.Outcome]
	text := strings.Join(append([]string{head}, says...), "\n") + "\n"
	return Document{Type: "text/plain; charset=utf-8", Body: []byte(text), Policy: "default-src 'none'", Lang: p.w.tag, Status: status}
}
