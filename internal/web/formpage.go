package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// form is the page of one form. Nothing changes by looking at it.
func (s *server) form(w http.ResponseWriter, r *http.Request, who account.Session) {
	name := r.PathValue("act")
	x, err := s.scope(r.Context(), who, r.PathValue("site"), r.PathValue("id"), byLink(name, r.URL.Query()))
	if err != nil {
		s.fail(w, who, err)
		return
	}
	if _, known := acts[name]; !known {
		s.fail(w, who, fault.New(fault.NotFound, "there is no such page").WithHint("go to the first one"))
		return
	}
	if load := acts[name].load; load != nil && acts[name].forbidden(x) == "" {
		load(r.Context(), x)
	}
	s.showForm(w, http.StatusOK, x, name, nil)
}

// byLink is what an address may give a form. A link may be anybody's: it says what a form
// is about and fills it in, but nobody's reason to go on anyway comes by it, nor what an
// account may do.
func byLink(name string, q url.Values) url.Values {
	delete(q, "reason")
	if acts[name].least.AtLeast(role.Admin) {
		return url.Values{"name": q["name"]}
	}
	return q
}

// targets are the hidden fields that say what a form is about.
var targets = []string{"lever", "cause", "fix", "change", "evidence", "handover", "decision", "finding", "about", "follow_up", "event", "question", "section", "role", "message", "name", "recurrence", "symptom", "plan", "hash", "operation", "zone", "rname", "rtype", "rdata", "which", "revision", "number", "asks", "item", "update"}

// showForm shows a form by itself, with what came of it. What happens to visitors in
// the meantime stays in sight, and so does the way to safety.
func (s *server) showForm(w http.ResponseWriter, status int, x scope, name string, m *message) {
	a := x.alone(name, m)
	p := x.around()
	p.Refresh, p.Note, p.Board, p.Box = 0, noteForm{}, "", boxOf(a)
	p.Main, p.Others, p.Lead, p.Side = "", nil, "", ""
	p.Title, p.Headline, p.Lede = a.Title, sentence(acts[name].words(x)), ""
	if acts[name].head != nil {
		p.Headline = acts[name].head(x)
		p.Title = strings.TrimSuffix(p.Headline, ".")
	}
	if acts[name].lede != nil {
		p.Lede = acts[name].lede(x)
	}
	if acts[name].before != nil {
		p.Box.Before = acts[name].before(x)
	}
	for _, other := range acts[name].beside {
		b := x.ask(other, x.about()...)
		b.Says = saysOf[other]
		p.Others = append(p.Others, b)
	}
	switch p.Back = p.home(x); {
	case acts[name].back != nil:
		p.Back = acts[name].back(x)
	case acts[name].tells != nil:
		p.Back, p.At, p.Where = boardAfter(x), boardPath, []string{"Status page"}
	}
	if m != nil {
		x.turnDown(&p, *m)
	}
	page := "site.html"
	if p.Room {
		page = "formroom"
	}
	s.show(w, status, page, p)
}

// alone is a form as it stands on its own page.
func (x scope) alone(name string, m *message) ask {
	a := x.ask(name, x.about()...)
	a.Fields = fill(a.Fields, x.args)
	a.ID, a.Go, a.Problem = "", true, m
	if m != nil {
		a.Fields = append(a.Fields, x.homeless(a.Fields)...)
	}
	if acts[name].tells != nil && !slices.Contains(atOnce, name) {
		a.Title = "Preview"
	}
	anyway := x.arg("anyway") != "" && acts[name].forbidden(x) == ""
	if m != nil && m.Override || anyway || x.arg("reason") != "" && has(a.Fields, "reason") == nil {
		a.override(x.arg("reason"))
	}
	a.numbered()
	return a
}

// homeless are the sentences that somebody typed into fields which their form has no more:
// something has happened meanwhile. They are shown, to be copied.
func (x scope) homeless(fields []field) []field {
	var out []field
	for _, name := range worded {
		if text := x.arg(name); text != "" && name != "reason" && has(fields, name) == nil {
			out = append(out, field{Name: name, Kind: area, Label: "What you typed", Help: "This is not asked for any more. Copy it if you need it elsewhere.", Value: text, Rows: 2, Max: 4000})
		}
	}
	return out
}

// about are the hidden fields of what a form's page is about: name, value, …
func (x scope) about() []string {
	var pairs []string
	for _, t := range targets {
		if v := x.arg(t); v != "" {
			pairs = append(pairs, t, v)
		}
	}
	return pairs
}

// around is the page that a form stands on.
func (x scope) around() page {
	switch {
	case x.past && x.in != nil:
		return x.incidentRoom("", "")
	case x.v.ID == "":
		return x.s.room(x.who, x.o, "", "", "")
	}
	x.bare = true
	return x.page("")
}

func has(fields []field, name string) *field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

// override adds the field in which a person says why they go on anyway.
func (a *ask) override(reason string) {
	a.Title, a.Off = "Do it anyway: "+a.Title, ""
	for i := range a.Fields {
		a.Fields[i].Focus = false
	}
	if f := has(a.Fields, "reason"); f != nil {
		f.Label, f.Must, f.Focus, f.Kind = "Go on anyway, because …", true, true, area
		return
	}
	a.Fields = append(a.Fields, field{Name: "reason", Kind: area, Label: "Go on anyway, because …", Help: "Your name and your reason go into the timeline.", Must: true, Rows: 2, Max: 4000, Value: reason, Focus: true})
}

// turnDown is what the band says when something was not done, and what to do rather.
func (x scope) turnDown(p *page, m message) {
	p.Title = "Not yet"
	switch {
	case m.Kind == "again":
		p.Title, p.Headline, p.Lede = "Press once more", "Welcome back.", "Nothing was done yet, and what you typed is still here."
	case m.Kind == "stale":
		p.Headline, p.Lede = "Something has happened meanwhile.", "Nothing was done, and what you typed is still here."
	case m.Rule == incident.R11.ID:
		p.Headline, p.Lede = "Let’s stop for ten minutes.", x.still()+" Tired hands make a second fault."
		if rest := x.v.Promises.Rest; rest > 0 {
			p.Headline = "Let’s stop for " + spell(rest) + "."
		}
		if strings.Contains(m.Text, "fix number 3 ") {
			p.Headline = "This is the third try. " + p.Headline
		}
		p.Lead = x.part("rather", []ask{{Title: "Take a break", Page: sitePath(x)}, {Title: "Hand over", Page: sitePath(x) + "/hand-over"}})
	case m.Rule == incident.R6.ID:
		p.Headline, p.Lede = "Not yet.", x.stand().Words("Visitors are looked after.")+" A quick fix now may break a second thing."
		p.Lead = x.part("rather", []ask{{Title: "Keep looking", Page: sitePath(x) + "?see=board"}})
	case m.Kind == "refused":
		p.Headline, p.Lede = "Not yet.", ""
	default:
		p.Headline, p.Lede = "That was not done.", ""
	}
	if p.Lead != "" { // there is something better to do: what was typed is kept, and out of sight
		p.Box.Ask.Go = false
		for i, f := range p.Box.Ask.Fields {
			p.Box.Ask.Fields[i].Fold = f.Name != "reason"
		}
	}
}

// typo is an error about one field.
func typo(place, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At(place)
}

// span reads a time span as people type it: 5, 5m, 90s, 1h; a bare number is in unit.
func span(place, text string, unit time.Duration) (time.Duration, error) {
	typed := text
	text = strings.NewReplacer(" ", "", nbsp, "").Replace(strings.ToLower(text))
	text = strings.ReplaceAll(strings.TrimSuffix(text, "."), ",", ".")
	if text == "" {
		return 0, nil
	}
	for _, long := range []string{"econds", "econd", "ecs", "ec", "inutes", "inute", "ins", "in", "ours", "our"} { // min, 5 minutes
		text = strings.TrimSuffix(text, long)
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	word := map[time.Duration]string{time.Millisecond: "ms", time.Second: "s", time.Minute: "m", time.Hour: "h"}[unit]
	if d, err := time.ParseDuration(text + word); err == nil {
		return d, nil
	}
	return 0, typo(place, "%q is no length of time", cut(typed, 30)).WithHint("write for example 90s, 5m or 2h")
}

// dated reads a day or a moment in local time.
func (x scope) dated(place, text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02 15:04", "15:04"} {
		t, err := time.ParseInLocation(layout, text, x.s.o.Zone)
		switch {
		case err != nil:
			continue
		case layout == "2006-01-02": // the whole of that day
			return t.Add(24*time.Hour - time.Second), nil
		case layout == "15:04":
			n := x.now().In(x.s.o.Zone)
			return time.Date(n.Year(), n.Month(), n.Day(), t.Hour(), t.Minute(), 0, 0, x.s.o.Zone), nil
		}
		return t, nil
	}
	return time.Time{}, typo(place, "%q is no day", cut(text, 30)).WithHint("write for example 2026-03-31")
}
