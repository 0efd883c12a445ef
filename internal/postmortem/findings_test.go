package postmortem

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
)

// proposed gives what is proposed for a story, by id.
func proposed(events []incident.Event) map[string]Proposal {
	out := map[string]Proposal{}
	for _, p := range Findings(events) {
		out[p.ID] = p
	}
	return out
}

// Every rule proposes, in the words that stand here, and only where it has a reason.
func TestFindings(t *testing.T) {
	t.Parallel()
	pulled := func(after time.Duration) *tale {
		s := story(t).by(mara).do(incident.Declare{Title: "The shop is down", Noticed: "staff"})
		return s.later(after).pull("to-standby").later(2 * time.Second).seen("all answer")
	}
	returned := func(s *tale) *tale {
		s.do(incident.GoBack{Because: "The power is back."}).passes().seen("all answer").home("up")
		return s.later(time.Hour).do(incident.WatchOver{})
	}
	for _, x := range []struct {
		id    string
		tale  *tale
		about string
		want  string
		never *tale // the same, just below what is worth a word
	}{
		{"slow-first-lever", pulled(6 * time.Minute), "process", "It took 6 min from the declaration until the first lever was pulled.", pulled(5 * time.Minute)},
		{"late-declaration", pulled(0).sight(night.Add(-6*time.Minute), "front", "down", "503"), "process",
			"The check “front” saw the site fail 6 min before the incident was declared. In that time nobody was told, or nobody pressed.", pulled(0).sight(night.Add(-4*time.Minute), "front", "down", "503")},
		{"check-missing", pulled(0).sight(night.Add(time.Minute), "front", "down", "503"), "architecture",
			"The first to see the site fail was the check “front”, 1 min after the declaration; the staff had noticed it before. A check that sees this sooner is missing.", pulled(0).sight(night.Add(-time.Minute), "front", "down", "503")},
		{"public-untold", returned(pulled(0).later(20 * time.Minute)), "process", "Visitors were kept away for 24 min, and the public was told nothing.", returned(pulled(0).later(2 * time.Minute))},
		{"public-late", pulled(0).later(16*time.Minute).say("public", "We are on it.", 0), "process", "The public was first told 16 min after visitors had been taken away from the site.", pulled(0).later(3*time.Minute).say("public", "We are on it.", 0)},
		{"nobody-led", returned(pulled(0)), "process", "Nobody took the lead, from the declaration to the end.", returned(pulled(0).do(incident.TakeRole{Role: "lead"}))},
		{"no-changes", returned(pulled(0)), "architecture", "No change is recorded before the incident. Either nothing had been changed, or the list of changes does not hear of it.",
			returned(pulled(0).do(incident.SeeChanges{Changes: []incident.Change{{ID: "c", At: night, What: "A release"}}}))},
		{"cause-unknown", returned(pulled(0)), "process", "The incident ended without a confirmed cause, so it may come again.", pulled(0)},
		{"foreign-change-to-standby", pulled(0).do(incident.Drifted{Pull: "to-standby-1", Detail: "ns2 answers 192.0.2.9"}), "process", "While “Show visitors the status page” was in force, somebody else changed it.", pulled(0)},
		{"news-late", pulled(0).say("staff", "On it.", 10*time.Minute).later(12*time.Minute).say("staff", "Still on it.", 0), "process", "The promised message came 2 min late.",
			pulled(0).say("staff", "On it.", 10*time.Minute).later(9*time.Minute).say("staff", "Still on it.", 0)},
	} {
		got, there := proposed(x.tale.events)[x.id]
		if !there || got.Text != x.want || got.About != x.about {
			t.Errorf("%s: proposed %q on %s, want %q on %s", x.id, got.Text, got.About, x.want, x.about)
		}
		if p, there := proposed(x.never.events)[x.id]; there {
			t.Errorf("%s: proposed without a reason: %q", x.id, p.Text)
		}
	}
}

// The stories give the findings that they were written for, and no more.
func TestFindingsOfStories(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"two fixes":      "evidence-missing fix-before-cause-f1 fix-no-effect-f1 late-declaration news-failed-mail news-late overridden-R6 several-fixes",
		"gone by itself": "cause-unknown no-changes nobody-led",
		"a false alarm":  "",
		"a step back":    "cause-unknown fix-alone-f1 fix-elsewhere-f2 news-late no-changes overridden-R7 several-fixes stepped-back",
		"a drill":        "",
		"without a diagnosis": "cause-unknown check-missing fix-alone-f1 fix-before-cause-f1 fix-no-effect-f1 foreign-change-to-standby no-changes nobody-led" +
			" overridden-R12 overridden-R13 overridden-R17 overridden-R6 overridden-R7 overridden-R8 public-untold slow-first-lever unarmed-to-backup unarmed-to-standby unseen-to-backup unseen-to-standby",
		"still open":                   "", // by its last event no promise was late
		"a relapse":                    "fix-harm-f1 handover-open-h1 news-late no-changes overridden-R12 overridden-R6 parked-close-checkout relapsed several-fixes",
		"an automatic move taken back": "",
		"made permanent":               "cause-unknown no-changes nobody-led public-untold",
		"a wrong cause":                "fix-no-effect-f1 nobody-led public-untold several-fixes",
		"a fix that did not last":      "no-changes nobody-led relapsed several-fixes",
		"only a feature":               "no-changes nobody-led",
		"back in stages":               "no-changes nobody-led overridden-R12 public-untold stepped-back",
	}
	for _, x := range stories(t) {
		if x.o.Public {
			continue
		}
		got := strings.Join(slices.Sorted(maps.Keys(proposed(x.events))), " ")
		if got != want[x.name] {
			t.Errorf("%s: proposed\n%s\nwant\n%s", x.name, got, want[x.name])
		}
		mustPropose(t, x.events)
	}
}

// What is proposed can be judged as it is, keeps its id while the incident goes on,
// and names nobody.
func TestFindingsCanBeJudged(t *testing.T) {
	t.Parallel()
	s := blind(t)
	half := proposed(s.events[:len(s.events)/2])
	for id, p := range proposed(s.events) {
		f := p.Finding
		f.Accepted = true
		s.do(incident.JudgeFinding{Finding: f})
		for _, name := range []string{"Aisha", "Mara", "Jonas"} {
			if strings.Contains(p.Text, name) {
				t.Errorf("%s names %s: %q", id, name, p.Text)
			}
		}
		if p.By.Kind != "rule" || p.At.IsZero() {
			t.Errorf("%s does not say that a rule proposes it", id)
		}
	}
	if len(half) < 4 || half["slow-first-lever"].Text == "" {
		t.Errorf("half of the story proposes only %v", slices.Collect(maps.Keys(half)))
	}
	d := Build(s.events, Options{})
	for _, key := range []string{KeyProcess, KeyArchitecture} {
		if section, found := d.Section(key); !found || len(section.Blocks) != 1 || section.Blocks[0].Heading != "Accepted" {
			t.Errorf("%s: all were accepted, and it shows %+v", key, section.Blocks)
		}
	}
}

func TestAFailedDrill(t *testing.T) {
	t.Parallel()
	s := story(t).by(mara).do(incident.PullLever{PullID: "d", Drill: true}, story(t).lever("to-standby")).end(incident.NotDone, "ns1 answers as before")
	s.by(boat).do(incident.ScoreDrill{DrillData: incident.DrillData{Lever: "to-standby", Detail: "it did not take effect"}})
	got := proposed(s.events)
	if got["drill-failed-to-standby"].Text != "The drill of “Show visitors the status page” failed: “it did not take effect”." || got["unseen-to-standby"].Text == "" || len(got) != 2 {
		t.Errorf("proposed %+v", got)
	}
}

// A finding reads the same whoever asks for it and when: the list of what waits to be
// judged stands beside the text, and both have one figure.
func TestFindingsHaveOneFigure(t *testing.T) {
	t.Parallel()
	s := story(t).by(mara).do(incident.Declare{Title: "The shop is down", Noticed: "staff"})
	s.say("staff", "On it.", 10*time.Minute).later(13*time.Minute).say("staff", "Still on it.", 10*time.Minute)
	s.later(30 * time.Minute).do(incident.Note{Text: "Looking."})
	for id, p := range proposed(s.events) {
		for _, after := range []time.Duration{0, time.Minute, 3 * time.Hour} {
			doc := string(Markdown(Build(s.events, Options{Title: "The Shop", Now: s.events[len(s.events)-1].At.Add(after)})))
			if !strings.Contains(doc, p.Text) {
				t.Errorf("%s after: the document does not say %s: %q", after, id, p.Text)
			}
		}
	}
}
