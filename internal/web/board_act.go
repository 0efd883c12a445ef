package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/postmortem"
)

// boardActs are what people do on the status page. Each needs the role that a message to
// the public needs, as in the API.
var boardActs = withBoard(map[string]act{
	"board-open": {
		title: "Tell visitors of a fault", fields: openFields, before: beginWith("board-open"),
		lede: func(scope) string { return "You see what visitors will see before anything is published." },
		head: func(scope) string { return "What is wrong, in plain words." },
	},
	"board-update": {title: "Tell visitors more", fields: updateFields, before: beginWith("board-update"), lede: aboutIncident},
	"board-edit":   {title: "Correct what visitors read", fields: boardEditFields, lede: aboutIncident},
	"board-story": {
		title: "Publish the write-up", fields: storyFields, lede: aboutIncident, load: copyStory, before: storySource,
	},
	"board-story-off": {
		title: "Take the write-up off the page", fields: itemOnly, lede: aboutIncident,
		terms: func(scope) terms {
			return terms{"The write-up leaves the page and its feeds.", "A few seconds.", "Publish it again."}
		},
	},
	"board-attach": {
		title: "Tie it to the crew’s incident", fields: attachFields, lede: aboutIncident,
		terms: func(scope) terms {
			return terms{"What the crew tells the public from then on is on it by itself.", "At once.", "The same form, with “none of them”."}
		},
	},
	"board-override": {
		title: "Show it otherwise", fields: overrideFields,
		head: func(x scope) string { return "How should visitors see it?" },
		lede: func(x scope) string { return "What the checks say stands beside it: visitors see both." },
	},
	"board-take-back": {title: "Take it back", fields: itemOnly},
	"board-plan":      {title: "Announce work", fields: announceFields},
	"board-work":      {title: "Tell how the work goes", fields: workFields, lede: aboutWork},
	"board-work-edit": {title: "Change what is announced", fields: workEditFields, lede: aboutWork},
	"board-cancel": {
		title: "Cancel it", fields: itemOnly, lede: aboutWork,
		terms: func(scope) terms {
			return terms{"The announcement leaves the page. Work that recurs is announced again only for its next day.", "A few seconds.", "Announce it again."}
		},
	},
})

// atOnce are those with nothing that visitors could read beforehand.
var atOnce = []string{"board-story-off", "board-take-back", "board-cancel", "board-attach"}

func withBoard(all map[string]act) map[string]act {
	for name, a := range all {
		a.need, a.after, a.tells = incident.SendUpdate{}, boardAfter, boardCommands[name]
		fields := a.fields
		a.fields = func(x scope) []field {
			if x.s == nil || x.s.o.Board == nil {
				return nil
			}
			return fields(x)
		}
		a.do = func(ctx context.Context, x scope) (string, error) { return x.tell(ctx, a) }
		all[name] = a
	}
	return all
}

func itemOnly(x scope) []field { return []field{itemField(x)} }

// copyStory begins the write-up of an incident that a crew had with the version of theirs
// that is for the public. It is a copy: what becomes of theirs later does not change it.
func copyStory(ctx context.Context, x scope) {
	in, err := x.oneIncident(x.arg("item"))
	if err != nil || in.Crew == "" || in.Story != nil || x.arg("text") != "" {
		return
	}
	doc, err := x.s.o.Engine.WriteUp(ctx, in.Crew, true)
	if err != nil {
		x.s.o.Logger.Warn("a write-up could not be copied for the status page", "incident", in.Crew, "cause", err)
		return
	}
	x.args.Set("text", cut(postmortem.Plain(doc), board.MaxStory))
	x.args.Set("copied", "yes")
}

// storySource says where the text of a write-up comes from.
func storySource(x scope) template.HTML {
	switch {
	case x.s.o.Board == nil:
		return ""
	case x.arg("copied") != "":
		return x.part("storysource", "It is copied from what visitors may read of the crew’s write-up. Read it, and write what is missing: a word of apology is yours alone.")
	}
	return ""
}

func aboutIncident(x scope) string {
	if in, err := x.oneIncident(x.arg("item")); err == nil {
		return ended(x.words(in.Title))
	}
	return ""
}

func aboutWork(x scope) string {
	if m, err := x.oneWork(x.arg("item")); err == nil {
		return ended(x.words(m.Title))
	}
	return ""
}

// beginWith offers the messages that are written beforehand.
func beginWith(name string) func(x scope) template.HTML {
	return func(x scope) template.HTML {
		if x.s.o.Board == nil {
			return ""
		}
		type choice struct {
			Title, Page string
			On          bool
		}
		var out []choice
		for _, t := range x.s.o.Board.Settings().Templates {
			q := url.Values{"template": {t.ID}}
			if item := x.arg("item"); item != "" {
				q.Set("item", item)
			}
			out = append(out, choice{cmp.Or(x.words(t.Title), t.ID), "/lifeboat/" + name + "?" + q.Encode(), t.ID == x.arg("template")})
		}
		return x.part("beginwith", out)
	}
}

func boardAfter(x scope) string {
	switch made := x.arg("made"); {
	case made != "":
		return made
	case x.arg("item") != "" && x.s.o.Board != nil:
		records := x.s.o.Board.Records()
		if _, known := records.Incidents[x.arg("item")]; known {
			return incidentsPath + url.PathEscape(x.arg("item"))
		}
		if m, known := records.Maintenances[x.arg("item")]; known && !m.Cancelled {
			return worksPath + url.PathEscape(x.arg("item"))
		}
	}
	return boardPath
}

func (x scope) boardWho() board.Who {
	by := x.by()
	return board.Who{ID: by.ID, Name: by.Name, Via: by.Via}
}

// tell does what a form asks for, and gives the sentence that is in the record.
func (x scope) tell(ctx context.Context, a act) (string, error) {
	if x.s.o.Board == nil {
		return "", noBoard()
	}
	c, err := a.tells(x)
	if attach, is := c.(board.AttachIncident); is && attach.Crew != "" && err == nil {
		var crew incident.Incident
		if crew, err = x.s.o.Engine.Incident(ctx, attach.Crew); err == nil && crew.Drill {
			err = fault.New(fault.Invalid, "%s is a drill: visitors are told nothing of it", crew.ID).At("crew")
		}
		attach.Site = crew.Site
		c = attach
	}
	if err != nil {
		return "", err
	}
	change, err := x.s.o.Board.Do(ctx, x.boardWho(), c)
	if err != nil {
		return "", err
	}
	switch {
	case change.Incident != nil:
		x.args.Set("made", incidentsPath+url.PathEscape(change.Incident.ID))
	case change.Maintenance != nil && !change.Maintenance.Cancelled:
		x.args.Set("made", worksPath+url.PathEscape(change.Maintenance.ID))
	default:
		x.args.Set("made", boardPath)
	}
	return change.Event.Text, nil
}

// pressed remembers what presses came to, so that one that is sent twice acts once.
type pressed struct {
	mu sync.Mutex // held over an act, and guards m
	m  map[string][2]string
}

const maxPressed = 4096

// publish does what a form of the status page asks for, once however often it is sent.
func (s *server) publish(w http.ResponseWriter, r *http.Request, x scope, name string) {
	key := keyOf(r, x.who, x.args, nil)
	s.pressed.mu.Lock()
	defer s.pressed.mu.Unlock()
	if did, again := s.pressed.m[key]; again {
		s.back(w, r, did[0], did[1])
		return
	}
	text, err := acts[name].run(r.Context(), x)
	if err != nil {
		s.refused(w, r, x, name, err)
		return
	}
	to := acts[name].leads(x)
	if len(s.pressed.m) >= maxPressed || s.pressed.m == nil {
		s.pressed.m = map[string][2]string{}
	}
	s.pressed.m[key] = [2]string{to, text}
	s.back(w, r, to, text)
}

// tellVisitors leads a form of the status page from what was typed over the preview to
// what is published.
func (s *server) tellVisitors(w http.ResponseWriter, r *http.Request, x scope, name string) {
	switch press := x.arg("press"); {
	case s.o.Board == nil:
		s.refused(w, r, x, name, noBoard())
	case slices.Contains(atOnce, name):
		s.publish(w, r, x, name)
	case press == "change":
		s.showForm(w, http.StatusOK, x, name, nil)
	case press == "publish":
		if x.arg("basis") != x.basis() {
			s.preview(w, r, x, name, message{Kind: "stale", Text: "Somebody changed it meanwhile, so nothing was published yet.", Next: "This is what visitors would see now. Press once more if it is right."})
			return
		}
		s.publish(w, r, x, name)
	default:
		s.preview(w, r, x, name, message{})
	}
}

// basis is what a preview was made of: another one means that somebody wrote meanwhile.
func (x scope) basis() string {
	item := x.arg("item")
	records := x.s.o.Board.Records()
	if in, known := records.Incidents[item]; known {
		return fmt.Sprint(in.UpdatedAt.UnixNano(), len(in.Updates))
	}
	if m, known := records.Maintenances[item]; known {
		return fmt.Sprint(m.UpdatedAt.UnixNano(), m.Step)
	}
	if o, known := records.Overrides[item]; known {
		return fmt.Sprint(o.At.UnixNano())
	}
	return ""
}

// noDraft is said where a preview was looked at too late.
func noDraft() error {
	return fault.New(fault.NotFound, "this preview is gone").WithHint("press Preview again: what you typed is still in its form")
}
