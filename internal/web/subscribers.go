package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/incident"
	"lifeboat/internal/subscribe"
	"lifeboat/internal/subscribe/desk"
)

// Subscribers is who is told what the status page tells; *desk.Desk is one.
type Subscribers interface {
	List() []subscribe.Subscription
	Add(ctx context.Context, who string, w desk.Wish) (subscribe.Subscription, error)
	Remove(ctx context.Context, id string) (subscribe.Subscription, error)
	Progress(most int) []desk.Progress
	Again(ctx context.Context, news string) (int, error)
	Trouble() map[subscribe.Way]string
	Ways() []subscribe.Way
}

const (
	subscribersPath  = boardPath + "/subscribers"
	deliveriesOnPage = 20
	perPage          = 100 // subscribers
)

// wayWords are what ways are called on pages.
var wayWords = map[subscribe.Way]string{subscribe.Mail: "Mail", subscribe.Webhook: "Webhook", subscribe.Slack: "Slack, or another chat that takes its messages"}

// subscriberActs are what people do with who is told. Each needs the role that a message to
// the public needs, as in the API.
var subscriberActs = withSubscribers(map[string]act{
	"subscriber-add": {
		title: "Add a subscriber", fields: subscriberFields, do: addSubscriber,
		lede: func(scope) string {
			return "People subscribe at the status page themselves. This is for those who can’t."
		},
		terms: func(scope) terms {
			return terms{"A mail address is sent a message to confirm, and told nothing before. A webhook or a chat is told from now on.", "A few seconds.", "Each message has a link that ends it, and you can remove it here."}
		},
	},
	"subscriber-remove": {
		title: "Remove", fields: func(x scope) []field { return []field{itemField(x)} }, do: removeSubscriber,
		head: func(scope) string { return "Tell them nothing any more." },
		terms: func(scope) terms {
			return terms{"They are told nothing any more, and their address is forgotten.", "At once.", "They subscribe again."}
		},
	},
	"deliver-again": {
		title: "Try them again", fields: func(x scope) []field { return []field{itemField(x)} }, do: deliverAgain,
		head: func(scope) string { return "Try those again who could not be told." },
	},
})

// withSubscribers keeps acts from a desk that is not there.
func withSubscribers(all map[string]act) map[string]act {
	for name, a := range all {
		a.need, a.after, a.back = incident.SendUpdate{}, toSubscribers, toSubscribers
		fields := a.fields
		a.fields = func(x scope) []field {
			if x.s == nil || x.s.o.Subscribers == nil || x.s.o.Board == nil {
				return nil
			}
			return fields(x)
		}
		do := a.do
		a.do = func(ctx context.Context, x scope) (string, error) {
			if x.s.o.Subscribers == nil {
				return "", noBoard()
			}
			return do(ctx, x)
		}
		all[name] = a
	}
	return all
}

func toSubscribers(scope) string { return subscribersPath }

func subscriberFields(x scope) []field {
	var ways, languages, pages []option
	for _, w := range x.s.o.Subscribers.Ways() {
		ways = append(ways, option{Value: string(w), Label: wayWords[w]})
	}
	if len(ways) == 0 { // the form says so once it is sent, and keeps what was typed
		ways = []option{{Value: string(subscribe.Mail), Label: wayWords[subscribe.Mail]}}
	}
	for i, p := range x.s.o.Board.Settings().Pages {
		pages = append(pages, option{Value: p.ID, Label: p.Name})
		for _, tag := range p.Languages {
			if i == 0 && len(p.Languages) > 1 {
				languages = append(languages, option{Value: tag, Label: tag})
			}
		}
	}
	first := func(options []option, name string) []option {
		chosen := x.arg(name)
		if chosen == "" && len(options) > 0 {
			chosen = options[0].Value
		}
		return marked(chosen, options...)
	}
	parts := x.partsField(x.args["part"])
	parts.Label, parts.Help = "Only news of these parts", "None: of all."
	out := []field{
		{Name: "way", Kind: radio, Label: "How are they told?", Must: true, Options: first(ways, "way")},
		{Name: "to", Kind: line, Label: "Mail address, or URL", Holder: "ada@example.com", Must: true, Max: subscribe.MaxURL, Auto: "off"},
		parts,
	}
	if len(languages) > 0 {
		out = append(out, field{Name: "language", Kind: radio, Label: "In which language?", Options: first(languages, "language"), Fold: true})
	}
	if len(pages) > 1 {
		out = append(out, field{Name: "page", Kind: radio, Label: "Of which page?", Options: first(pages, "page")})
	}
	return append(out, field{Name: "agreed", Kind: several, Label: "Have they agreed already?", Fold: true, Options: []option{{Value: "yes", Label: "They have agreed elsewhere: do not ask them to confirm", On: x.arg("agreed") != ""}}})
}

func addSubscriber(ctx context.Context, x scope) (string, error) {
	s, err := x.s.o.Subscribers.Add(ctx, x.by().Name, desk.Wish{
		Page: x.arg("page"), Way: subscribe.Way(x.arg("way")), To: x.arg("to"), Components: x.args["part"], Language: x.arg("language"), Agreed: x.arg("agreed") != "",
	})
	switch {
	case err != nil:
		return "", err
	case s.Active():
		return s.Masked() + " is told from now on.", nil
	}
	return "A message to " + s.Masked() + " is on its way. They are told once they have confirmed it.", nil
}

func removeSubscriber(ctx context.Context, x scope) (string, error) {
	s, err := x.s.o.Subscribers.Remove(ctx, x.arg("item"))
	return s.Masked() + " is told nothing any more.", err
}

func deliverAgain(ctx context.Context, x scope) (string, error) {
	n, err := x.s.o.Subscribers.Again(ctx, x.arg("item"))
	return count(n, "message is on its way once more.", "messages are on their way once more."), err
}

// subscribersPart is the page of who is told.
type subscribersPart struct {
	Add        ask
	Off        bool // nobody can subscribe: the configuration says no way
	Trouble    []string
	Deliveries []deliveryRow
	Rows       []subscriberRow
	More       int    // that are not shown
	Query      string // that they were searched for
	Hidden     bool   // who looks may not see addresses
}

type deliveryRow struct {
	desk.Progress
	Name, Page, Says string
	Again            *ask
	Given            []string
}

type subscriberRow struct {
	To, Way, Parts, Says string
	Since                time.Time
	Remove               ask
}

// subscribersRoom is who is told what the status page tells, and how far that is.
func (s *server) subscribersRoom(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err == nil && (s.o.Subscribers == nil || s.o.Board == nil) {
		err = noBoard()
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	list := s.o.Subscribers.List()
	active := 0
	for _, sub := range list {
		if sub.Active() {
			active++
		}
	}
	headline := count(active, "subscriber is told.", "subscribers are told.")
	p := s.room(who, x.o, boardPath, headline, "What you tell visitors reaches them by itself. Publishing never waits for it.")
	p.Where, p.Say, p.Live = []string{"Status page"}, s.said(r), true
	part := subscribersPart{Add: x.ask("subscriber-add"), Off: len(s.o.Subscribers.Ways()) == 0, Query: strings.TrimSpace(cut(r.URL.Query().Get("q"), 200))}
	part.Hidden = part.Add.Denied
	for _, way := range subscribe.Ways() {
		if why := s.o.Subscribers.Trouble()[way]; why != "" {
			part.Trouble = append(part.Trouble, wayWords[way]+": "+sentence(why))
		}
	}
	for _, d := range s.o.Subscribers.Progress(deliveriesOnPage) {
		part.Deliveries = append(part.Deliveries, x.deliveryRow(d))
	}
	if !part.Hidden {
		part.Rows, part.More = x.subscriberRows(list, part.Query)
	}
	p.Body = part
	s.show(w, http.StatusOK, "subscribers.html", p)
}

func (x scope) deliveryRow(d desk.Progress) deliveryRow {
	row := deliveryRow{Progress: d, Name: x.words(d.Title)}
	records := x.s.o.Board.Records()
	if _, known := records.Incidents[d.Subject]; known {
		row.Page = incidentsPath + url.PathEscape(d.Subject)
	} else if m, known := records.Maintenances[d.Subject]; known && !m.Cancelled {
		row.Page = worksPath + url.PathEscape(d.Subject)
	}
	row.Says = count(d.Told, "was told", "were told")
	if d.Waiting > 0 {
		row.Says += ", " + count(d.Waiting, "waits", "wait")
	}
	if n := len(d.Dead) + d.Lost; n > 0 {
		row.Says += ", " + count(n, "could not be told", "could not be told")
		again := x.ask("deliver-again", "item", d.ID)
		again.Small, again.Name = true, "Try them again: "+row.Name
		if !d.Over.IsZero() {
			row.Again = &again
		}
	}
	for _, t := range d.Trying {
		row.Given = append(row.Given, t.To+": "+sentence(t.Reason)+" It is tried again.")
	}
	for _, t := range d.Dead[:min(len(d.Dead), deliveriesOnPage)] {
		row.Given = append(row.Given, t.To+": "+sentence(t.Reason))
	}
	return row
}

// subscriberRows are those of the list whose address has what is searched for.
func (x scope) subscriberRows(list []subscribe.Subscription, query string) (rows []subscriberRow, more int) {
	names := map[string]string{}
	for _, d := range x.s.o.Board.Settings().Components {
		names[d.ID] = x.words(d.Name)
	}
	for _, s := range list {
		to := s.To
		if s.Way != subscribe.Mail {
			to = s.Masked()
		}
		if !strings.Contains(strings.ToLower(to), strings.ToLower(query)) {
			continue
		}
		if len(rows) == perPage {
			more++
			continue
		}
		row := subscriberRow{To: to, Way: wayWords[s.Way], Parts: "all news", Says: "told since", Since: s.Confirmed, Remove: x.ask("subscriber-remove", "item", s.ID)}
		row.Remove.Small, row.Remove.Name = true, "Remove: "+to
		if !s.Active() {
			row.Says, row.Since = "to be confirmed, asked for", s.AskedAt
		}
		if len(s.Components) > 0 {
			var parts []string
			for _, c := range s.Components {
				parts = append(parts, names[c])
			}
			row.Parts = strings.Join(parts, ", ")
		}
		rows = append(rows, row)
	}
	return rows, more
}
