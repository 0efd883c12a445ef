package web

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
)

// partsSeen is how many parts a form shows at once; more are behind a line that opens.
const partsSeen = 6

// texts are the fields of a text in all languages of the page. The first language's has
// the plain name.
func (x scope) texts(f field, value board.Text) []field {
	tags := x.tongues()
	for _, tag := range sortedTags(value) {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	label := f.Label
	var out []field
	for i, tag := range tags {
		g := f
		g.Value = value[tag]
		if i == 0 {
			g.Value = cmp.Or(value[""], value[tag])
		} else {
			g.Name, g.Must, g.Focus, g.Holder, g.Help = f.Name+"_"+tag, false, false, "", ""
		}
		if len(tags) > 1 {
			g.Label = label + ", in " + tongue(tag)
		}
		out = append(out, g)
	}
	return out
}

// text reads what texts made.
func (x scope) text(name string) board.Text {
	out := board.Text{}
	for key, values := range x.args {
		tag, other := strings.CutPrefix(key, name+"_")
		switch {
		case len(values) == 0 || values[0] == "":
		case key == name:
			out[""] = values[0]
		case other && len(out) < board.MaxLanguages:
			out[tag] = values[0]
		}
	}
	return out
}

// template is the message written beforehand that a form begins with.
func (x scope) template() board.Template {
	if x.s != nil && x.s.o.Board != nil {
		for _, t := range x.s.o.Board.Settings().Templates {
			if t.ID == x.arg("template") {
				return t
			}
		}
	}
	return board.Template{}
}

func (x scope) titleFields(value board.Text) []field {
	return x.texts(field{Name: "title", Kind: line, Label: "Title", Must: true, Max: board.MaxTitle, Holder: "Card payments fail", Value: ""}, value)
}

func (x scope) messageFields(label string, value board.Text, must bool) []field {
	return x.texts(field{Name: "text", Kind: area, Label: label, Help: "What do visitors notice, and what can they do?", Must: must, Rows: 4, Max: board.MaxMessage}, value)
}

// stateFields ask for the state of each part.
func (x scope) stateFields() []field {
	var out []field
	shown := map[string]board.State{}
	for _, c := range x.s.o.Board.Shown() {
		shown[c.ID] = c.State
	}
	all := x.s.o.Board.Settings().Components
	for _, d := range all {
		now := shown[d.ID]
		options := []option{{Value: "", Label: "as it is: " + cmp.Or(stateWords[now], stateWords[board.Operational])}}
		for _, s := range board.States() {
			options = append(options, option{Value: string(s), Label: stateWords[s]})
		}
		out = append(out, field{Name: "state_" + d.ID, Kind: choice, Label: cmp.Or(x.words(d.Name), d.ID), Options: options, Fold: len(all) > partsSeen})
	}
	return out
}

// states reads what stateFields made.
func (x scope) states() map[string]board.State {
	out := map[string]board.State{}
	for key, values := range x.args {
		if id, is := strings.CutPrefix(key, "state_"); is && len(values) > 0 && values[0] != "" {
			out[id] = board.State(values[0])
		}
	}
	return out
}

func stepField(now board.Step, label string, steps ...board.Step) field {
	var options []option
	for _, s := range steps {
		options = append(options, option{Value: string(s), Label: publicSteps[s]})
	}
	return field{Name: "step", Kind: radio, Label: label, Must: true, Options: marked(string(now), options...)}
}

func impactField(now board.Impact, none string) field {
	options := []option{{Value: "", Label: none}}
	for _, i := range board.Impacts() {
		options = append(options, option{Value: string(i), Label: impactWords[i]})
	}
	return field{Name: "impact", Kind: choice, Label: "How much it hurts", Options: marked(string(now), options...), Fold: true}
}

func nextField(value string) field {
	return field{Name: "next", Kind: line, Label: "Next news in", Help: "Empty: nothing is promised.", Value: value, Holder: "20 min", Max: 20}
}

func silentField() field {
	return field{Name: "silent", Kind: several, Label: "Subscribers", Options: []option{{Value: "yes", Label: "Do not tell them of this"}}, Fold: true}
}

func itemField(x scope) field { return field{Name: "item", Kind: hidden, Value: x.arg("item")} }

func openFields(x scope) []field {
	if x.s.o.Board == nil {
		return nil
	}
	t := x.template()
	out := []field{{Name: "template", Kind: hidden, Value: t.ID}}
	out = append(out, x.titleFields(t.Title)...)
	out = append(out, x.messageFields("What visitors read", t.Text, true)...)
	out[1].Focus = true
	out = append(out, stepField(cmp.Or(t.Step, board.Investigating), "How far are we?", board.IncidentSteps()...))
	out = append(out, x.stateFields()...)
	return append(out, nextField(""), impactField("", "as its parts say"),
		field{Name: "began", Kind: "datetime-local", Label: "When it began", Help: "Empty: now. " + x.zoneHelp(), Fold: true, Max: 20}, silentField())
}

func updateFields(x scope) []field {
	in, err := x.oneIncident(x.arg("item"))
	if err != nil {
		return []field{itemField(x)}
	}
	t := x.template()
	out := append([]field{itemField(x), {Name: "template", Kind: hidden, Value: t.ID}}, x.messageFields("What visitors read now", t.Text, true)...)
	out[2].Focus = true
	now := cmp.Or(t.Step, in.Step)
	if now == board.Postmortem {
		now = board.Resolved
	}
	out = append(out, stepField(now, "How far are we?", board.IncidentSteps()...))
	return append(append(out, x.stateFields()...), nextField(""), silentField())
}

func boardEditFields(x scope) []field {
	in, err := x.oneIncident(x.arg("item"))
	out := []field{itemField(x), {Name: "update", Kind: hidden, Value: x.arg("update")}}
	if err != nil {
		return out
	}
	if id := x.arg("update"); id != "" {
		if i := slices.IndexFunc(in.Updates, func(u board.Update) bool { return u.ID == id }); i >= 0 {
			return append(out, x.messageFields("What visitors read", in.Updates[i].Text, true)...)
		}
		return out
	}
	impact := impactField(in.Given, "as its parts say")
	impact.Fold = false
	return append(append(out, x.titleFields(in.Title)...), impact)
}

func storyFields(x scope) []field {
	in, err := x.oneIncident(x.arg("item"))
	if err != nil {
		return []field{itemField(x)}
	}
	value := board.Text{}
	if in.Story != nil {
		value = in.Story.Text
	}
	return append([]field{itemField(x)}, x.texts(field{
		Name: "text", Kind: area, Label: "What happened, for visitors", Help: "An empty line parts paragraphs. A line that begins with # is a heading. Name no person.", Must: true, Rows: 18, Max: board.MaxStory,
	}, value)...)
}

// noCrew is the choice of none.
const noCrew = "none"

// attachFields offer the crew's incidents of now, and any other by its id.
func attachFields(x scope) []field {
	in, _ := x.oneIncident(x.arg("item"))
	options := []option{{Value: noCrew, Label: "none of them"}}
	for _, v := range x.o.Sites {
		if v.Incident != nil && !v.Incident.Drill && v.Incident.ID != "" {
			options = append(options, option{Value: v.Incident.ID, Label: v.Title + ": " + v.Incident.Title})
		}
	}
	return []field{itemField(x), {Name: "crew", Kind: radio, Label: "Which of the crew’s incidents is it?", Options: marked(cmp.Or(in.Crew, noCrew), options...), Must: true}, {Name: "crew_id", Kind: line, Label: "Or an earlier one, by its id", Max: 64, Fold: true}}
}

func overrideFields(x scope) []field {
	if x.s.o.Board == nil {
		return nil
	}
	var options []option
	for _, s := range board.States() {
		options = append(options, option{Value: string(s), Label: sentenceCase(stateWords[s])})
	}
	reason := field{Name: "reason_text", Kind: line, Label: "Why, for visitors", Help: "It stands beside the state. May be empty.", Max: 300}
	out := []field{itemField(x), {Name: "state", Kind: radio, Label: "Visitors see", Must: true, Options: options}}
	out = append(out, x.texts(reason, nil)...)
	return append(out, field{Name: "for", Kind: line, Label: "For how long", Help: "Empty: until somebody takes it back.", Holder: "2 h", Max: 20})
}

func announceFields(x scope) []field {
	if x.s.o.Board == nil {
		return nil
	}
	out := append(x.titleFields(nil), x.messageFields("What visitors read", nil, false)...)
	out[0].Holder, out[0].Focus = "The database moves", true
	out = append(out, x.workTimes(time.Time{}, time.Time{})...)
	return append(out, x.partsField(nil), field{Name: "by_hand", Kind: several, Label: "Who begins it?", Options: []option{{Value: "yes", Label: "It begins and ends when a person says so, not by the clock"}}, Fold: true}, silentField())
}

func (x scope) workTimes(from, until time.Time) []field {
	show := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(x.s.o.Zone).Format("2006-01-02T15:04")
	}
	return []field{
		{Name: "from", Kind: "datetime-local", Label: "From", Help: x.zoneHelp(), Must: true, Max: 20, Value: show(from)},
		{Name: "until", Kind: "datetime-local", Label: "Until", Must: true, Max: 20, Value: show(until)},
	}
}

func (x scope) zoneHelp() string {
	name, _ := x.s.o.Now().In(x.s.o.Zone).Zone()
	return "In your time (" + name + ")."
}

func (x scope) partsField(on []string) field {
	var options []option
	for _, d := range x.s.o.Board.Settings().Components {
		options = append(options, option{Value: d.ID, Label: cmp.Or(x.words(d.Name), d.ID), On: slices.Contains(on, d.ID)})
	}
	return field{Name: "part", Kind: several, Label: "Which parts are worked on?", Options: options, Fold: len(options) > 2*partsSeen}
}

func workFields(x scope) []field {
	m, err := x.oneWork(x.arg("item"))
	if err != nil {
		return []field{itemField(x)}
	}
	steps := board.MaintenanceSteps()
	if m.Step != board.Scheduled {
		steps = steps[1:]
	}
	step := m.Step
	if to := board.Step(x.arg("step")); slices.Contains(steps, to) {
		step = to
	}
	return append([]field{itemField(x), stepField(step, "How far is it?", steps...)}, append(x.messageFields("A word to visitors", nil, false), silentField())...)
}

func workEditFields(x scope) []field {
	m, err := x.oneWork(x.arg("item"))
	if err != nil {
		return []field{itemField(x)}
	}
	out := append([]field{itemField(x)}, x.titleFields(m.Title)...)
	return append(append(out, x.workTimes(m.From, m.Until)...), x.partsField(m.Components))
}

// sentenceCase begins with a capital.
func sentenceCase(s string) string { return strings.TrimSuffix(sentence(s), ".") }

// boardCommands make of a form what is asked of the desk: the same commands as the API's.
var boardCommands = map[string]func(x scope) (board.Command, error){
	"board-open": func(x scope) (board.Command, error) {
		next, err := span("next", x.arg("next"), time.Minute)
		if err != nil {
			return nil, err
		}
		began, err := x.moment("began")
		return board.OpenIncident{
			Title: x.text("title"), Text: x.text("text"), Step: board.Step(x.arg("step")), Impact: board.Impact(x.arg("impact")), States: x.states(),
			StartedAt: began, NextIn: next, Silent: x.arg("silent") != "",
		}, err
	},
	"board-update": func(x scope) (board.Command, error) {
		next, err := span("next", x.arg("next"), time.Minute)
		return board.UpdateIncident{ID: x.arg("item"), Text: x.text("text"), Step: board.Step(x.arg("step")), States: x.states(), NextIn: next, Silent: x.arg("silent") != ""}, err
	},
	"board-edit": func(x scope) (board.Command, error) {
		if x.arg("update") != "" {
			return board.EditIncident{ID: x.arg("item"), Update: x.arg("update"), Text: x.text("text")}, nil
		}
		return board.EditIncident{ID: x.arg("item"), Title: x.text("title"), Impact: board.Impact(x.arg("impact"))}, nil
	},
	"board-story": func(x scope) (board.Command, error) {
		text := x.text("text")
		if strings.TrimSpace(strings.Join(slices.Collect(maps.Values(text)), "")) == "" {
			return nil, typo("text", "there is no text yet").WithHint("write what happened, or take it off the page")
		}
		return board.PublishStory{ID: x.arg("item"), Text: text}, nil
	},
	"board-story-off": func(x scope) (board.Command, error) { return board.PublishStory{ID: x.arg("item")}, nil },
	"board-attach": func(x scope) (board.Command, error) {
		crew := cmp.Or(strings.TrimSpace(x.arg("crew_id")), x.arg("crew"))
		if crew == noCrew {
			crew = ""
		}
		return board.AttachIncident{ID: x.arg("item"), Crew: crew}, nil
	},
	"board-override": func(x scope) (board.Command, error) {
		d, err := span("for", x.arg("for"), time.Hour)
		return board.SetOverride{Component: x.arg("item"), State: board.State(x.arg("state")), Reason: x.text("reason_text"), For: d}, err
	},
	"board-take-back": func(x scope) (board.Command, error) { return board.DropOverride{Component: x.arg("item")}, nil },
	"board-plan": func(x scope) (board.Command, error) {
		from, err := x.moment("from")
		if err != nil {
			return nil, err
		}
		until, err := x.moment("until")
		return board.PlanMaintenance{Title: x.text("title"), Text: x.text("text"), From: from, Until: until, Components: x.args["part"], ByHand: x.arg("by_hand") != "", Silent: x.arg("silent") != ""}, err
	},
	"board-work": func(x scope) (board.Command, error) {
		return board.UpdateMaintenance{ID: x.arg("item"), Text: x.text("text"), Step: board.Step(x.arg("step")), Silent: x.arg("silent") != ""}, nil
	},
	"board-work-edit": func(x scope) (board.Command, error) {
		from, err := x.moment("from")
		if err != nil {
			return nil, err
		}
		until, err := x.moment("until")
		parts := x.args["part"]
		if parts == nil {
			parts = []string{}
		}
		return board.EditMaintenance{ID: x.arg("item"), Title: x.text("title"), From: from, Until: until, Components: parts}, err
	},
	"board-cancel": func(x scope) (board.Command, error) { return board.CancelMaintenance{ID: x.arg("item")}, nil },
}

// moment reads a day with its time, in local time; zero where nothing is said.
func (x scope) moment(place string) (time.Time, error) {
	text := strings.TrimSpace(x.arg(place))
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, x.s.o.Zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, typo(place, "%q is no day with a time", cut(text, 30)).WithHint("write for example 2026-03-31 02:00")
}
