package statuspage

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// state is the page's answer in one word, for machines.
type state string

const (
	closed  state = "closed"  // ordered to the standby
	open    state = "open"    // ordered to an origin, whose checks pass
	broken  state = "broken"  // ordered to an origin, one of whose checks fails
	unknown state = "unknown" // ordered to an origin, and we can't tell
)

// story is the page in words; the template only lays it out.
type story struct {
	Refresh int // seconds; 0: the page does not ask again by itself
	NoIndex bool
	State   state
	Initial string
	Title   string
	Head    string
	Say     []sentence
	Heard   string   // what stands above the news
	News    []string // paragraphs
	Facts   []fact
	Checks  []check
	Checked *sentence
	Written stamp
	Contact *contact
	Ref     string
}

// sentence may have a time in it.
type sentence struct {
	Text string
	At   *stamp
	End  string
}

// fact is a line of "What we know".
type fact struct {
	Name string
	Says sentence
}

// check is a line of "What we check".
type check struct {
	Name string
	Mark probe.Seen
	Says string
	At   *stamp
	Age  string
}

// stamp is a time for people and for machines.
type stamp struct{ Text, Machine string }

type contact struct{ Text, Link string }

// tell chooses the words.
func tell(p Page, k knowledge) story {
	s := story{
		NoIndex: p.Mode != Status,
		State:   stateOf(p, k),
		Initial: initial(p.Title),
		Title:   p.Title,
		Written: *clock(p.Now, p.Now),
		Contact: contactOf(p.Contact),
		Ref:     line(p.IncidentID),
		Checked: checked(p, k),
		Heard:   "The latest news",
	}
	switch p.Mode {
	case Crisis:
		s.crisis(p, k)
	case Returned:
		s.returned(p, k)
	case Status:
		s.status(p, k)
	}
	return s
}

func stateOf(p Page, k knowledge) state {
	switch {
	case p.Mode == Crisis, p.Ordered == snapshot.Standby:
		return closed
	case k.seen == probe.Up:
		return open
	case k.seen == probe.Down:
		return broken
	}
	return unknown
}

func (s *story) crisis(p Page, k knowledge) {
	s.Refresh = int(Refresh / time.Second)
	s.Head = p.Title + " is taking a break."
	s.Say = []sentence{
		{Text: "It is us, not you. We know that something is wrong with " + p.Title + ". We have put this page up while we look into it."},
	}
	s.News = paragraphs(p.Message)
	s.Facts = facts(p, k, "Visitors are given this page")
}

func (s *story) returned(p Page, k knowledge) {
	s.Refresh = int(Refresh / time.Second)
	remembers := sentence{Text: "Your computer still remembers an old address, and so you have come to our stand-in page. That passes by itself, as a rule within a few minutes."}
	switch k.seen {
	case probe.Up:
		s.Head = p.Title + " is open."
		if p.IncidentID != "" {
			s.Head = p.Title + " is back."
		}
		s.Say = []sentence{remembers}
	case probe.Down:
		s.Head = p.Title + " is not here."
		s.Say = []sentence{remembers, {Text: "Our checks also see that " + p.Title + " itself does not answer as it should."}}
	default:
		s.Head = p.Title + " is not here."
		s.Say = []sentence{remembers, {Text: "How " + p.Title + " itself is doing, we do not know right now."}}
	}
}

func (s *story) status(p Page, k knowledge) {
	s.News = paragraphs(p.Message)
	if s.State == broken && len(s.News) > 0 { // it may say that all is well
		s.Heard = "What we wrote last"
	}
	s.Checks = checks(p, k)
	looking := sentence{Text: "We know that something is wrong and are looking into it."}
	switch s.State {
	case closed:
		s.Head = p.Title + " is taking a break."
		s.Say = []sentence{{Text: "We know that something is wrong with " + p.Title + ". Its visitors are given a page that says so while we look into it."}}
	case broken:
		s.Head = p.Title + " does not work as it should."
		s.Say = []sentence{{Text: "Our checks see it too: it is not you."}}
		if len(s.News) > 0 {
			s.Say = append(s.Say, sentence{Text: "The news below may be older than what our checks see now."})
		}
		if p.IncidentID != "" {
			s.Say = append(s.Say, looking)
		}
	case open:
		s.Head = p.Title + " works as it should."
		s.Say = []sentence{{Text: passes(k)}}
		if p.IncidentID != "" {
			s.Head = p.Title + " is open."
			s.Say = append(s.Say, sentence{Text: "We are still looking into what went wrong."})
		}
	case unknown:
		s.Head = "We do not know how " + p.Title + " is doing."
		s.Say = []sentence{{Text: upper(k.whyUnknown()) + "."}}
		if p.IncidentID != "" {
			s.Say = append(s.Say, looking)
		}
	}
	if p.IncidentID != "" || s.State == closed || p.away() {
		s.Facts = facts(p, k, "Visitors are given the stand-in page")
	}
}

// away: the site is ordered to an origin that is not its home.
func (p Page) away() bool {
	return p.Ordered != "" && p.Home != "" && p.Ordered != p.Home && p.Ordered != snapshot.Standby
}

// facts puts what it is about, what is decided and what is seen side by side.
func facts(p Page, k knowledge, standIn string) []fact {
	var list []fact
	if p.IncidentTitle != "" {
		list = append(list, fact{"It is about", sentence{Text: p.IncidentTitle}})
	}
	return append(list, fact{"What we decided", decided(p, standIn)}, fact{"What we see", seen(p, k)})
}

func decided(p Page, standIn string) sentence {
	text := "Visitors are sent to " + p.Title + " itself"
	switch {
	case p.Mode == Crisis, p.Ordered == snapshot.Standby:
		text = standIn
	case p.away():
		text = "Visitors are sent to a second " + p.Title + ", apart from the usual one"
	}
	if p.Since.IsZero() || p.Since.After(p.Now) {
		return sentence{Text: text + "."}
	}
	return sentence{Text: text + ", since ", At: clock(p.Since, p.Now), End: "."}
}

func seen(p Page, k knowledge) sentence {
	name := p.Title + " itself"
	if p.away() {
		name = "The second " + p.Title
	}
	switch k.seen {
	case probe.Up:
		if p.Mode == Crisis || p.Ordered == snapshot.Standby {
			return sentence{Text: name + " answers our checks. It stays closed until somebody here has made sure."}
		}
		return sentence{Text: name + " answers our checks."}
	case probe.Down:
		return sentence{Text: name + " does not answer as it should."}
	}
	return sentence{Text: "We do not know: " + k.whyUnknown() + "."}
}

func (k knowledge) whyUnknown() string {
	switch {
	case k.old:
		return "what our checks told us is too old"
	case k.at.IsZero():
		return "no check has told us anything yet"
	}
	return "our checks can't tell right now"
}

// checked says how old the knowledge is.
func checked(p Page, k knowledge) *sentence {
	switch {
	case k.at.IsZero():
		return &sentence{Text: "No check has told us anything yet."}
	case k.at.After(p.Now.Add(skew)):
		return &sentence{Text: "We do not know how old our newest check is: it says ", At: clock(k.at, p.Now), End: "."}
	case k.seen == probe.Unknown:
		return &sentence{Text: "We last checked " + Age(p.Now.Sub(k.at)) + ", at ", At: clock(k.at, p.Now), End: "."}
	}
	return &sentence{Text: "Checked " + Age(p.Now.Sub(k.at)) + ", at ", At: clock(k.at, p.Now), End: "."}
}

func passes(k knowledge) string {
	switch len(k.checks) {
	case 1:
		return "Our check passes."
	case 2:
		return "Both of our checks pass."
	}
	return fmt.Sprintf("All %d of our checks pass.", len(k.checks))
}

func checks(p Page, k knowledge) []check {
	var list []check
	for _, f := range k.checks {
		c := check{Name: f.Name, Mark: f.Seen}
		if c.Name == "" {
			c.Name = p.Title
		}
		switch f.Seen {
		case probe.Up:
			c.Says = "Works"
		case probe.Down:
			c.Says = "Does not work"
		default:
			c.Says = "We do not know"
		}
		if !f.At.IsZero() && !f.At.After(p.Now.Add(skew)) {
			c.Age, c.At = Age(p.Now.Sub(f.At)), clock(f.At, p.Now)
		}
		list = append(list, c)
	}
	return list
}

// Age says how long ago something was, rounded down: "8 s ago", "3 min ago".
func Age(d time.Duration) string {
	const space = "\u00a0" // digit and unit stay together
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d%ss ago", int(d.Seconds()), space)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d%smin ago", int(d.Minutes()), space)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d%sh ago", int(d.Hours()), space)
	}
	return fmt.Sprintf("%d%sdays ago", int(d.Hours()/24), space)
}

// clock writes a time in UTC, with seconds when it is recent and with the day
// when it is another one than now's.
func clock(t, now time.Time) *stamp {
	t = t.UTC()
	text := t.Format("15:04")
	if d := now.Sub(t); d < 10*time.Minute && d > -10*time.Minute {
		text = t.Format("15:04:05")
	}
	if t.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		text = t.Format("2 January 2006, ") + text
	}
	return &stamp{Text: text + "\u00a0UTC", Machine: t.Truncate(time.Second).Format(time.RFC3339)}
}

// Limits on what people wrote, so that the page stays one that loads at once.
const (
	maxLine    = 160  // runes
	maxMessage = 2000 // runes
)

// line makes one line of a text: no line ends, no control characters.
func line(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) && r != '\u00a0' || unicode.IsControl(r)
	}), " ")
	return cut(s, maxLine)
}

func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

var emptyLine = regexp.MustCompile(`\n[ \t]*\n`)

// paragraphs parts a message at its empty lines.
func paragraphs(message string) []string { return paragraphsOf(cut(message, maxMessage)) }

func paragraphsOf(message string) []string {
	message = strings.ReplaceAll(message, "\r\n", "\n")
	var list []string
	for _, part := range emptyLine.Split(message, -1) {
		part = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(part, ""), func(r rune) bool {
			return unicode.IsSpace(r) && r != '\u00a0' || unicode.IsControl(r)
		}), " ")
		if part != "" {
			list = append(list, part)
		}
	}
	return list
}

var mailAddress = regexp.MustCompile(`^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$`)

func contactOf(text string) *contact {
	if text == "" {
		return nil
	}
	c := &contact{Text: text}
	if mailAddress.MatchString(text) {
		c.Link = "mailto:" + text
	} else if u, err := url.Parse(text); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		c.Link = u.String()
	}
	return c
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func initial(title string) string {
	for _, r := range title {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return ""
}
