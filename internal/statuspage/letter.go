package statuspage

import (
	"slices"
	"strings"

	"lifeboat/internal/board"
	"lifeboat/internal/subscribe"
)

// Letter is a message to a subscriber.
type Letter struct {
	Subject string // one line
	Text    string // plain; ends with a line end
	Chat    string // the same for a chat that understands Slack's mrkdwn
}

// letter is what both kinds of messages are written with.
type letter struct {
	w     *words
	page  board.Page
	first string
	link  string
}

func newLetter(p board.Page, tag, link string) letter {
	return letter{newWords(tag, p.Location()), p, firstLanguage(p), link}
}

// home is where the page is in the letter's language.
func (l letter) home() string {
	if l.w.tag == l.first {
		return l.page.URL
	}
	return l.page.URL + "/" + l.w.tag
}

func (l letter) name() string { return line(l.page.Name) }

// NewsLetter writes news to a subscriber in a language. names are those of all components,
// by id; link is the subscription's.
func NewsLetter(p board.Page, tag string, n subscribe.News, names map[string]board.Text, link string) Letter {
	l := newLetter(p, tag, link)
	title, _ := l.w.text(n.Title, l.first)
	title = line(title)
	step := l.step(n)
	text, _ := l.w.text(n.Text, l.first)
	said := paragraphs(text)
	facts := l.facts(n, names)
	read := l.home() + n.Path
	if n.Kind == subscribe.MaintenanceCancelled {
		read = l.home() + "/"
	}

	var b strings.Builder
	for _, part := range append([]string{title + "\n" + step}, said...) {
		b.WriteString(part + "\n\n")
	}
	if len(facts) > 0 {
		b.WriteString(strings.Join(facts, "\n") + "\n\n")
	}
	b.WriteString(l.w.say("letter.read") + "\n" + read + "\n\n-- \n")
	b.WriteString(l.w.say("letter.why", with{"Name": l.name()}) + "\n" + l.w.say("letter.stop") + "\n" + link + "\n")

	chat := "*" + mrkdwn(title) + "*\n" + mrkdwn(step)
	for _, part := range said {
		chat += "\n> " + mrkdwn(part)
	}
	for _, f := range facts {
		chat += "\n" + mrkdwn(f)
	}
	chat += "\n" + chatLink(read, l.w.say("letter.read_short")) + " · " + chatLink(link, l.w.say("letter.stop_short"))
	return Letter{Subject: line("[" + l.name() + "] " + title + ": " + step), Text: b.String(), Chat: chat}
}

// step says how far it is, or what was done with what was announced.
func (l letter) step(n subscribe.News) string {
	switch n.Kind {
	case subscribe.IncidentWritten:
		return l.w.say("letter.written")
	case subscribe.MaintenanceMoved:
		return l.w.say("letter.moved")
	case subscribe.MaintenanceCancelled:
		return l.w.say("letter.cancelled")
	}
	return l.w.say("step." + string(n.Step))
}

// facts are the lines under what was said.
func (l letter) facts(n subscribe.News, names map[string]board.Text) (out []string) {
	if !n.From.IsZero() && n.Kind != subscribe.MaintenanceCancelled {
		out = append(out, l.w.say("letter.planned", with{"From": l.w.clock(n.From, n.At).Text, "Until": l.w.clock(n.Until, n.From).Text}))
	}
	if n.Impact != board.ImpactMaintenance && n.Impact != board.ImpactNone && n.Impact != "" {
		out = append(out, l.w.say("impact."+string(n.Impact)))
	}
	name := func(id string) string {
		if text := l.w.plain(names[id]); text != "" {
			return text
		}
		return id
	}
	changed := slices.DeleteFunc(slices.Clone(n.Affected), func(a board.Affected) bool { return a.Old == a.New }) // as on the page
	for _, a := range changed {
		out = append(out, l.w.say("news.change", with{"Name": name(a.Component), "New": l.w.say("state." + string(a.New))}))
	}
	if len(changed) == 0 && len(n.Components) > 0 {
		var list []string
		for _, c := range n.Components {
			list = append(list, name(c))
		}
		out = append(out, l.w.say("news.touched", with{"Names": strings.Join(list, ", ")}))
	}
	if n.Next.After(n.At) {
		out = append(out, l.w.say("news.next", with{"Time": l.w.clock(n.Next, n.At).Text}))
	}
	return out
}

// LinkLetter writes to whoever reads at an address that somebody asked for news for it: to
// confirm that, or that it is confirmed already.
func LinkLetter(p board.Page, tag string, s subscribe.Subscription, link string) Letter {
	l := newLetter(p, tag, link)
	kind := "confirm"
	if s.Active() {
		kind = "known"
	}
	subject := l.w.say("letter."+kind+"_subject", with{"Name": l.name()})
	says := l.w.say("letter."+kind, with{"Name": l.name()})
	var rest []string
	if !s.Active() {
		rest = []string{l.w.say("letter.confirm_else", with{"Count": int(subscribe.PendingLife.Hours())})}
	}
	rest = append(rest, l.home()+"/")
	return Letter{
		Subject: line(subject),
		Text:    says + "\n\n" + link + "\n\n" + strings.Join(rest, "\n\n") + "\n",
		Chat:    mrkdwn(says) + "\n" + chatLink(link, l.w.say("letter."+kind+"_short")) + "\n" + mrkdwn(strings.Join(slices.Clip(rest)[:len(rest)-1], "\n")),
	}
}

// mrkdwn is text as Slack shows it unchanged ("Escaping text": these three and no more).
func mrkdwn(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// chatLink is a link in Slack's form. Our own addresses hold none of <, > and |.
func chatLink(to, text string) string {
	return "<" + to + "|" + strings.ReplaceAll(mrkdwn(text), "|", "/") + ">"
}
