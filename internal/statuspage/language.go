package statuspage

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"

	"lifeboat/internal/board"
)

//go:embed languages/*.json
var catalogue embed.FS

// languages are the ones that there is a whole catalogue of, English first.
var languages = sync.OnceValue(func() map[string]*i18n.Localizer {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	files, err := catalogue.ReadDir("languages")
	if err != nil {
		panic(fmt.Sprintf("read the languages of the status page: %v", err)) // embedded: never
	}
	all := map[string]*i18n.Localizer{}
	for _, f := range files {
		name := "languages/" + f.Name()
		if _, err := bundle.LoadMessageFileFS(catalogue, name); err != nil {
			panic(fmt.Sprintf("read %s: %v", name, err)) // a test reads them all
		}
		tag := strings.TrimSuffix(f.Name(), ".json")
		all[tag] = i18n.NewLocalizer(bundle, tag, "en")
	}
	return all
})

// Languages are the tags of the languages that a page can be in, English first.
func Languages() []string {
	out := []string{"en"}
	for tag := range languages() {
		if tag != "en" {
			out = append(out, tag)
		}
	}
	slices.Sort(out[1:])
	return out
}

// words says things in one language. Its memory makes the sentences of days that never
// change cost nothing; it belongs to one rendering at a time.
type words struct {
	tag  string
	loc  *i18n.Localizer
	zone *time.Location
	days map[string]string // date → as people write it
}

func newWords(tag string, zone *time.Location) *words {
	loc, known := languages()[tag]
	if !known {
		tag, loc = "en", languages()["en"]
	}
	return &words{tag: tag, loc: loc, zone: zone, days: map[string]string{}}
}

// with names what a message is filled in with.
type with map[string]any

// say gives a message.
func (w *words) say(id string, data ...with) string {
	c := &i18n.LocalizeConfig{MessageID: id}
	for _, d := range data {
		c.TemplateData = map[string]any(d)
		if n, counted := d["Count"].(int); counted {
			c.PluralCount = n
		}
	}
	text, err := w.loc.Localize(c)
	if err != nil && text == "" {
		return id // a test says each message in each language
	}
	return text
}

// text is what people wrote, in the page's language where it is written in it, and else
// the language that it is in.
func (w *words) text(t board.Text, first string) (text, lang string) {
	text, lang = t.In(w.tag, "", first)
	if lang == "" {
		lang = first
	}
	return text, lang
}

// plain is text without its language.
func (w *words) plain(t board.Text) string {
	text, _ := t.In(w.tag, "")
	return line(text)
}

// only says which language a text is in, "" when it is the page's.
func (w *words) only(lang string) string {
	if lang == w.tag || lang == "" {
		return ""
	}
	name := lang
	if loc, known := languages()[lang]; known {
		name = (&words{loc: loc}).say("name")
	}
	return w.say("text.only", with{"Language": name})
}

// age says how long ago something was, rounded down.
func (w *words) age(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return w.say("age.now")
	case d < 2*time.Minute:
		return w.say("age.seconds", with{"Count": int(d.Seconds())})
	case d < 2*time.Hour:
		return w.say("age.minutes", with{"Count": int(d.Minutes())})
	case d < 48*time.Hour:
		return w.say("age.hours", with{"Count": int(d.Hours())})
	}
	return w.say("age.days", with{"Count": int(d.Hours() / 24)})
}

// span says how long something took, rounded down.
func (w *words) span(seconds int) string {
	switch {
	case seconds < 60:
		return w.say("span.seconds", with{"Count": seconds})
	case seconds < 3600:
		return w.say("span.minutes", with{"Count": seconds / 60})
	case seconds%3600 < 60 || seconds >= 48*3600:
		return w.say("span.hours", with{"Count": seconds / 3600})
	}
	return w.say("span.hours_minutes", with{"Count": seconds / 3600, "Minutes": seconds % 3600 / 60})
}

// date writes a day.
func (w *words) date(t time.Time) string {
	key := t.Format(time.DateOnly)
	if text, known := w.days[key]; known {
		return text
	}
	text := w.say("date.long", with{"Day": t.Day(), "Month": w.month(t), "Year": t.Year()})
	w.days[key] = text
	return text
}

func (w *words) month(t time.Time) string { return w.say(fmt.Sprintf("month.%d", t.Month())) }

// clock writes a time in the page's zone, with the day when it is another than now's.
func (w *words) clock(t, now time.Time) stamp {
	t, now = t.In(w.zone), now.In(w.zone)
	text := t.Format("15:04")
	if t.Format(time.DateOnly) != now.Format(time.DateOnly) {
		text = w.say("date.clock", with{"Date": w.date(t), "Clock": text})
	}
	return stamp{Text: text + "\u00a0" + zoneName(t), Machine: t.Truncate(time.Second).Format(time.RFC3339)}
}

// zoneName is what people call a time's zone: CET, UTC, UTC+3.
func zoneName(t time.Time) string {
	name, offset := t.Zone()
	if name != "" && name[0] != '+' && name[0] != '-' {
		return name
	}
	text := fmt.Sprintf("UTC%+d", offset/3600)
	if rest := offset % 3600; rest != 0 {
		text += fmt.Sprintf(":%02d", max(rest, -rest)/60)
	}
	return text
}

// Symptom says in all languages what visitors meet, as an incident's title. A symptom
// that is not known is told as such.
func Symptom(symptom, name string) board.Text {
	out := board.Text{}
	for _, tag := range Languages() {
		w := newWords(tag, time.UTC)
		text := w.say("crew."+symptom, with{"Name": line(name)})
		if strings.HasPrefix(text, "crew.") {
			text = w.say("crew.not-sure", with{"Name": line(name)})
		}
		out[tag] = text
	}
	return out
}
