package postmortem

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
)

// A person's words stand in place of the generated ones, marked as theirs, and say how
// much they do not know yet.
func TestEditedSection(t *testing.T) {
	t.Parallel()
	s := stillOpen(t)
	before, _ := Build(s.events, Options{}).Section(KeySafety)
	s.by(aisha).do(incident.EditSection{Section: KeySafety, Text: "We closed the checkout at once.\n\nThen everything."})
	edited, _ := Build(s.events, Options{}).Section(KeySafety)
	if !edited.Edited || len(edited.Blocks) != 1 || edited.Blocks[0].Quote == nil {
		t.Fatalf("the section shows %+v", edited.Blocks)
	}
	q := edited.Blocks[0].Quote
	if q.By != "Aisha" || !slices.Equal(q.Lines, []string{"We closed the checkout at once.", "", "Then everything."}) || !slices.Equal(q.Events, []uint64{s.in.Seq}) {
		t.Errorf("the quotation is %+v", q)
	}
	if len(factsOf(edited.Generated)) != len(factsOf(before.Blocks)) {
		t.Error("what was generated is not kept beside it")
	}
	s.later(20 * time.Minute).do(incident.Drifted{Pull: "to-standby-2", Detail: "ns2 answers 203.0.113.10"})
	s.later(time.Minute).note("Not of this section.")
	later, _ := Build(s.events, Options{}).Section(KeySafety)
	if f := factsOf(later.Blocks); len(f) != 1 || f[0].Text != "New facts since: 1." {
		t.Errorf("after one new fact it says %+v", f)
	}
	s.do(incident.EditSection{Section: KeySafety, Text: "  "})
	if again, _ := Build(s.events, Options{}).Section(KeySafety); again.Edited || len(factsOf(again.Blocks)) <= len(factsOf(before.Blocks)) {
		t.Errorf("an empty text does not give the section back: %+v", again)
	}
}

// What people wrote under a key of their own is shown, before the annexes; the annexes
// themselves are not rewritten.
func TestOwnSections(t *testing.T) {
	t.Parallel()
	s := stillOpen(t).by(mara).do(incident.EditSection{Section: "background_of_it", Text: "We moved in May."}).do(incident.EditSection{Section: KeyRecord, Text: "It was otherwise."})
	d := Build(s.events, Options{})
	var keys []string
	for _, x := range d.Sections {
		keys = append(keys, x.Key)
	}
	if i := slices.Index(keys, "background_of_it"); i < 0 || keys[i+1] != "own_record" || keys[i+2] != KeyRecord {
		t.Fatalf("the sections are %v", keys)
	}
	own, _ := d.Section("background_of_it")
	if own.Title != "Background of it" || own.Blocks[0].Quote.Lines[0] != "We moved in May." {
		t.Errorf("the own section is %+v", own)
	}
}

// The public version has five sections and a place for an apology, and nothing that
// only the staff may see.
func TestPublic(t *testing.T) {
	t.Parallel()
	s := twoFixes(t)
	s.by(mara).do(incident.EditSection{Section: KeySummary, Text: "Between us: Jonas forgot the import."})
	o := Options{Title: "The Shop", Names: []string{"shop.example.com"}, Public: true}
	d := Build(s.events, o)
	var keys []string
	for _, x := range d.Sections {
		keys = append(keys, x.Key)
	}
	if want := []string{KeySummary, KeyApology, KeyImpact, KeyTimes, KeyDiagnosis, KeyFollowUps}; !slices.Equal(keys, want) {
		t.Errorf("the sections are %v, want %v", keys, want)
	}
	page, _ := HTML(d, HTMLOptions{LinkBase: "/incidents/7"})
	data, _ := JSON(d)
	for form, text := range map[string]string{"Markdown": string(Markdown(d)), "HTML": string(page), "JSON": string(data)} {
		for _, secret := range []string{
			"Aisha", "Mara", "Lind", "Jonas", "Tom", "Between us", "five to two", "permission denied", "db1", "203.0.113", "R6 ", "overr", "a rehearsal raises it", "Restart the workers", "#e1", "#event", "lifeboat", "The card had been",
		} {
			if strings.Contains(text, secret) {
				t.Errorf("the public %s holds %q", form, secret)
			}
		}
	}
	if a, _ := d.Section(KeyApology); a.Blocks[0].Blank == "" {
		t.Errorf("the apology is not left empty: %+v", a)
	}
	s.do(incident.EditSection{Section: PublicPrefix + KeyApology, Text: "Mara Lind and all of us are sorry."})
	a, _ := Build(s.events, o).Section(KeyApology)
	if q := a.Blocks[0].Quote; q == nil || q.Lines[0] != "The lead and all of us are sorry." || q.By != "The lead" {
		t.Errorf("the apology is %+v", a.Blocks[0])
	}
	if strings.Contains(string(Markdown(Build(s.events, Options{}))), "are sorry.\n") {
		t.Error("what was written for the public stands in the staff's version")
	}
}

// Names are taken out where they stand alone, longest first.
func TestMask(t *testing.T) {
	t.Parallel()
	b := newBuilder(twoFixes(t).events, Options{Public: true, Title: "Jonas and sons"})
	for s, want := range map[string]string{
		"Mara Lind's import":        "The lead's import",
		"asked Aisha, then MARA":    "asked the operator on duty, then the lead",
		"Lindau, Aishas, 4Jonas":    "Lindau, Aishas, 4Jonas",
		"Tom":                       "A member of the team",
		"write to mara@example.com": "write to (an address)",
		"203.0.113.10 is down":      "(an address) is down",
		"Jonas":                     "Jonas", // a word of the site's own title
		"nobody knows why":          "nobody knows why",
	} {
		if got := b.text(s, longText); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
}

// What is restricted is not in the public version, not even as a figure.
func TestRestricted(t *testing.T) {
	t.Parallel()
	events := twoFixes(t).events
	for i := range events {
		if events[i].Type == incident.ImpactMeasured || events[i].Type == incident.DiagnosisConfirmed {
			events[i].Visibility = "restricted"
		}
	}
	public := string(Markdown(Build(events, Options{Public: true})))
	if strings.Contains(public, "11,460") || strings.Contains(public, "Release 412 uses up") || !strings.Contains(public, "The cause is not known") {
		t.Errorf("the public version reads\n%s", public)
	}
	if !strings.Contains(string(Markdown(Build(events, Options{}))), "11,460") {
		t.Error("the staff's version misses a figure")
	}
}

// A pinned event is told though its kind is not, a hidden one is not, and a correction
// stands beside what it corrects.
func TestTimelineMarks(t *testing.T) {
	t.Parallel()
	s := byItself(t)
	for i := range s.events {
		switch s.events[i].Type {
		case incident.CheckVerdict:
			s.events[i].Story = "pinned"
		case incident.UpdateSent:
			s.events[i].Story = "hidden"
		}
	}
	var pull incident.Event
	for _, e := range s.events {
		if e.Type == incident.LeverApplying {
			pull = e
		}
	}
	s.by(mara).do(incident.Correct{Event: pull.ID, Text: "It was Tom's hand."}, func(f *incident.Facts) { f.Ended = true })
	section, _ := Build(s.events, Options{}).Section(KeyTimeline)
	var text strings.Builder
	for _, b := range section.Blocks {
		for _, r := range b.Table.Rows {
			text.WriteString(strings.Join(r.Cells, " ") + "\n")
		}
	}
	for _, want := range []string{"Sanity check front: pass (4 of 4 in a row).", "from “on” to “off”. Mara Lind corrected this: “It was Tom's hand”."} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the timeline misses %q", want)
		}
	}
	if strings.Contains(text.String(), "told the staff") {
		t.Error("the timeline tells what is hidden")
	}
}

// The form is what other programs read: its names stay.
func TestJSON(t *testing.T) {
	t.Parallel()
	b, err := JSON(Build(twoFixes(t).events, Options{Title: "The Shop"}))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema    int
		Incident  string
		LastEvent uint64 `json:"last_event"`
		Sections  []struct {
			Key, Title string
			Blocks     []struct {
				Paragraph []struct {
					Text   string
					Events []uint64
				}
				Terms []struct {
					Name, Text string
					Events     []uint64
				}
				Table *struct {
					Columns []string
					Rows    []struct {
						Cells  []string
						Events []uint64
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != 1 || got.Incident == "" || got.LastEvent == 0 || got.Sections[0].Blocks[0].Terms[0].Name != "Incident" || len(got.Sections[1].Blocks[0].Paragraph[0].Events) == 0 || got.Sections[3].Blocks[0].Table.Rows[0].Cells[0] == "" {
		t.Errorf("the form is %+v", got)
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	for _, o := range forms() {
		d := Build(nil, o)
		if len(d.Sections) != 0 || d.Title == "" {
			t.Errorf("of nothing it tells %+v", d)
		}
		mustHoldTogether(t, d)
	}
	if got := Findings(nil); len(got) != 0 {
		t.Errorf("of nothing it proposes %+v", got)
	}
}
