package demo

import (
	"regexp"
	"strings"
	"testing"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// TestCasesAreWhole: what cannot be seen by playing a few of them.
func TestCasesAreWhole(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, c := range Cases() {
		if names[c.Name] || !regexp.MustCompile(`^[a-z-]{2,20}$`).MatchString(c.Name) {
			t.Errorf("the name %q is taken, or none", c.Name)
		}
		names[c.Name] = true
		if !strings.HasSuffix(c.Says, ".") || len(c.Says) > 160 {
			t.Errorf("%s says %q", c.Name, c.Says)
		}
		if _, err := regexp.Compile(c.phases); err != nil || c.phases == "" {
			t.Errorf("%s goes through %q: %v", c.Name, c.phases, err)
		}
		steps := map[string]bool{}
		for _, s := range c.steps {
			if steps[s.name] || s.do == nil || len(s.name) > 10 {
				t.Errorf("%s: the step %q is there twice, too long, or does nothing", c.Name, s.name)
			}
			steps[s.name] = true
		}
		if !steps["ready"] || !steps["write-up"] || c.steps[len(c.steps)-1].name != "check" {
			t.Errorf("%s does not begin, is not written down, or is not checked", c.Name)
		}
	}
	for _, h := range shop.Harms() { // flaky is goes-away's; a leaky release is what step-back is about
		if h != shop.Flaky && h != shop.LeakyRelease && !names[string(h)] {
			t.Errorf("no case is about %s", h)
		}
		if harmWords(string(h)+"?well=40") == "" {
			t.Errorf("there are no words for %s", h)
		}
	}
	_, err := findCase("fire")
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "goes-away") {
		t.Errorf("an unknown case: %v", err)
	}
}

func TestPhasesOf(t *testing.T) {
	t.Parallel()
	events := []incident.Event{
		{Seq: 1, Type: incident.Declared, Incident: "01J", Data: []byte(`{"site":"shop"}`)},
		{Seq: 2, Type: incident.NoteAdded, Data: []byte(`{"text":"a note"}`)},
		{Seq: 3, Type: incident.PhaseChanged, Data: []byte(`{"from":"fail_over","to":"diagnose"}`)},
		{Seq: 4, Type: incident.PhaseChanged, Data: []byte(`{"from":"diagnose","to":"fail_over"}`)},
		{Seq: 5, Type: incident.CancelledType, Data: []byte(`{}`)},
	}
	if got := phaseWords(phasesOf(events)); got != "fail_over diagnose fail_over cancelled" {
		t.Errorf("it went through %s", got)
	}
}

// TestWriteUpIsLookedAt: a write-up that leaves something out is not called one.
func TestWriteUpIsLookedAt(t *testing.T) {
	t.Parallel()
	p := &play{report: &Report{Phases: []incident.Phase{incident.FailOver, incident.Closed}}, named: []string{"It *must* be the shop's log_file."}}
	whole := "## What\n\nBob said: “It \\*must\\* be the\nshop's log\\_file” twice. It had\nno effect. The cause is not known.\n"
	if err := p.tellsAll(whole); err != nil {
		t.Error(err)
	}
	p.report.Fixes = []Tried{{ID: "f1", Result: string(incident.StateNoEffect)}}
	if err := p.tellsAll(whole); err != nil {
		t.Error(err)
	}
	for _, without := range []string{"must", "no effect", "not known"} {
		if p.tellsAll(strings.ReplaceAll(whole, without, "")) == nil {
			t.Errorf("nobody misses %q", without)
		}
	}
}

func TestLineAt(t *testing.T) {
	t.Parallel()
	long := "time=now " + strings.Repeat("x", maxFound) + " the row is bad, and more"
	text := "first\n  second line \n" + long + "\nlast"
	for words, want := range map[string]string{"second": "second line", "last": "last", "the row is bad": "… the row is bad", "first": "first"} {
		at := strings.Index(text, words)
		if got := lineAt(text, at, at+len(words)); got != want {
			t.Errorf("%q is quoted as %q, expected %q", words, got, want)
		}
	}
	if got := short(strings.Repeat("ä", 2*maxFound)); len([]rune(got)) != maxFound || !strings.HasSuffix(got, "…") {
		t.Errorf("%d characters: %s", len([]rune(got)), got)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "",
		"one":                      "one",
		"one two three":            "one two\nthree",
		"twelveletter\n  a  b":     "twelveletter\na b",
		"éééé éééé ééééé":          "éééé éééé\nééééé",
		"a twelveletter and after": "a\ntwelveletter\nand after",
	} {
		if got := wrap(text, 9); got != want {
			t.Errorf("%q becomes %q, expected %q", text, got, want)
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if kept, err := readPasswords(dir); err != nil || len(kept) != 0 {
		t.Fatalf("an empty folder holds %v, %v", kept, err)
	}
	one, two := newPassword("ada"), newPassword("ada")
	if one == two || !regexp.MustCompile(`^ada(-[a-z2-7]{4}){3}$`).MatchString(one) {
		t.Errorf("passwords %s and %s", one, two)
	}
	if err := keepPasswords(dir, []Person{{Name: "ada", Password: one}, {Name: "bob"}}); err != nil {
		t.Fatal(err)
	}
	kept, err := readPasswords(dir)
	if err != nil || len(kept) != 1 || kept["ada"] != one {
		t.Errorf("kept: %d, %v", len(kept), err)
	}
}
