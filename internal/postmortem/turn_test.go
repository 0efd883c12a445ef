package postmortem

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
)

// home is a tale whose visitors were sent away and are all back.
func home(t testing.TB) *tale {
	s := story(t).by(mara).do(incident.Declare{Title: "The shop is down", Noticed: "staff"}).pull("to-standby").later(2 * time.Second).seen("all answer")
	return s.later(10 * time.Minute).do(incident.GoBack{Because: "The power is back."}).passes().later(3 * time.Second).seen("all answer").home("up")
}

// away presses Go back to safety, which works at once.
func (s *tale) away() *tale {
	s.t.Helper()
	return s.do(incident.StepBack{PullIDs: map[string]string{"to-standby-1": "again"}}).later(3 * time.Second).seen("all answer")
}

// What ended a return is told as it was: who pressed, and what the checks saw before or
// after; and what visitors met meanwhile is counted, or said not to be measured.
func TestTurns(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name  string
		tale  *tale
		says  []string
		never []string
	}{
		{"a check saw it first", func() *tale {
			s := home(t).later(40 * time.Second)
			s.sight(s.now, "front", "down", "answered 503")
			return s.by(aisha).later(20 * time.Second).away()
		}(), []string{
			"It did not last: 1 min into the watch Aisha pressed “Go back to safety”.", "The check “front” had seen the real site fail since 02:20:45 UTC: “answered 503”.",
			"**Of that, with visitors there:** 23 s, all of it after visitors had begun to go back",
		}, []string{"Met after the return", "relapsed"}},
		{"a person saw it first", func() *tale {
			s := home(t).by(aisha).later(time.Minute).away().later(time.Second)
			return s.sight(s.now, "front", "down", "answered 503")
		}(), []string{
			"It did not last: 1 min into the watch Aisha pressed “Go back to safety”.", "The check “front” saw the real site fail 4 s later: “answered 503”.", "**Met after the return:** not measured: everybody had been back for 1 min when Aisha pressed “Go back to safety”, and the first check",
			"What the checks asked before the return did not show it.",
		}, []string{"after visitors had begun to go back", "had seen the real site fail since"}},
		{"no check saw it", home(t).by(aisha).later(time.Minute).away(), []string{
			"1 min into the watch Aisha pressed “Go back to safety”. ", "No check recorded that the real site failed.", "and no check saw the real site fail", "A return did not last: 1 min into the watch somebody pressed “Go back to safety”.",
		}, []string{"saw the real site fail "}},
		{"a check ended it", home(t).by(health).later(time.Minute).do(incident.Relapsed{Detail: "The Shop is seen down: 503 (check front)"}), []string{
			"It did not last: 1 min into the watch the site was seen to fail again (“The Shop is seen down: 503 (check front)”).",
		}, []string{"pressed “", "Met after the return"}},
		{"another lever was pulled", home(t).by(aisha).later(time.Minute).pull("to-backup"), []string{"It did not last: 1 min into the watch Aisha pulled a lever."}, []string{"pressed “"}},
		{"visitors had only begun to go", func() *tale {
			s := home(t).later(time.Minute).away()
			s.by(mara).later(time.Minute).do(incident.GoBack{Because: "Now it is."}).passes()
			return s.by(jonas).later(time.Second).do(incident.StepBack{PullIDs: map[string]string{"again": "third"}}).seen("all answer")
		}(), []string{"At 02:26:09 UTC the return was given up: Jonas pressed “Go back to safety”."}, nil},
		{"nobody had moved", func() *tale {
			s := story(t).by(mara).do(incident.Declare{Title: "The shop is down", Noticed: "staff"}).pull("to-standby").later(2 * time.Second).seen("all answer")
			return s.later(time.Minute).do(incident.GoBack{Because: "The power is back."}).later(time.Minute).check("fail", "503").later(time.Minute).check("fail", "503").later(time.Minute).check("fail", "503")
		}(), []string{"the return was given up: the check “front” failed three times in a row.", "A return was given up: the check “front” failed three times in a row."}, []string{"Met after the return", "No check recorded that the real site failed. [["}},
	} {
		d := Build(x.tale.events, Options{Title: "The Shop"})
		got := withoutAnnexes(d)
		for _, p := range Findings(x.tale.events) {
			got += "\n" + p.Text
		}
		for _, want := range x.says {
			if !strings.Contains(got, want) {
				t.Errorf("%s: it does not say %q:\n%s", x.name, want, got)
			}
		}
		for _, word := range append(x.never, "relapse", "a press ", "stepped back") {
			if strings.Contains(got, word) {
				t.Errorf("%s: it says %q", x.name, word)
			}
		}
		mustRest(t, d, x.tale.events)
		mustHoldTogether(t, d)
	}
}

// What visitors met after a return counts as met, and is told apart.
func TestExposedAgain(t *testing.T) {
	t.Parallel()
	s := home(t)
	back := s.now
	s.sight(night.Add(-time.Minute), "front", "down", "503").sight(night.Add(5*time.Minute), "front", "up", "")
	s.later(40*time.Second).sight(back.Add(40*time.Second), "front", "down", "503")
	s.by(aisha).later(20 * time.Second).away()
	d := Build(s.events, Options{})
	section, _ := d.Section(KeyImpact)
	for _, x := range section.Blocks[0].Terms {
		if x.Name == "Of that, with visitors there" {
			if want := "1 min 25 s, 23 s of it after visitors had begun to go back"; x.Text != want {
				t.Errorf("it says %q, want %q", x.Text, want)
			}
			return
		}
	}
	t.Errorf("it does not say what visitors met: %+v", section.Blocks)
}

// Where only a feature was closed, nobody went anywhere.
func TestOnlyAFeature(t *testing.T) {
	t.Parallel()
	for _, s := range []*tale{onlyFeature(t), byItself(t)} {
		for _, public := range []bool{false, true} {
			got := withoutAnnexes(Build(s.events, Options{Title: "The Shop", Public: public}))
			for _, word := range []string{"verybody back", "verybody was back", "began to go back", "Visitors safe", "kept away", "status page:**"} {
				if strings.Contains(got, word) {
					t.Errorf("nobody had left, and it says %q:\n%s", word, got)
				}
			}
			if !strings.Contains(got, "isitors had the whole site again") || !strings.Contains(got, "Whole site back") || !strings.Contains(got, "all of it, since visitors stayed on the real site") {
				t.Errorf("it does not say what visitors had:\n%s", got)
			}
		}
	}
}

// Outside the annexes no id stands alone: a rule is said in words with its number beside
// it, evidence is called evidence.
func TestIdsAreExplained(t *testing.T) {
	t.Parallel()
	bare := regexp.MustCompile(`(?:^|[^(\w])(?:R\d{1,2}|U\d{1,2})\b|\bf\d+\b|\bc\d+\b|(?:^|[^e]) e\d+\b|\(e\d+\)`)
	for _, x := range stories(t) {
		d := Build(x.events, x.o)
		for _, s := range d.Sections {
			if annex(s.Key) {
				continue
			}
			texts := []string{}
			for _, f := range factsOf(s.Blocks) {
				texts = append(texts, f.Text)
			}
			for _, b := range s.Blocks {
				texts = append(texts, b.Heading)
				if b.Table != nil {
					for _, r := range b.Table.Rows {
						texts = append(texts, r.Cells...)
					}
				}
			}
			for _, text := range texts {
				if id := bare.FindString(text); id != "" {
					t.Errorf("%s, %s: %q stands alone in %q", x.name, s.Key, id, text)
				}
			}
		}
	}
}

// The title of a lever that was only proposed is in the sentence of the event.
func TestProposedTitle(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"It is down. Proposed: Show visitors the status page. A person presses.":                              "Show visitors the status page",
		"It said “. Proposed: nothing. A person presses.” Proposed: x. Proposed: Close it. A person presses.": "Close it",
		"It is down. Proposed: Show visitors the status page.":                                                "",
		"A person presses.": "",
		"":                  "",
	} {
		if got := proposedTitle(incident.Event{Text: text}); got != want {
			t.Errorf("of %q the title is %q, want %q", text, got, want)
		}
	}
	s := onlyFeature(t)
	if got := newBuilder(s.events, Options{}).leverTitle("to-standby"); got != "“Show visitors the status page”" {
		t.Errorf("the lever is called %s", got)
	}
	if got := newBuilder(s.events, Options{}).leverTitle("to-nowhere"); got != "“to-nowhere”" {
		t.Errorf("a lever that nobody knows is called %s", got)
	}
}

// rows gives the rows of the timeline as text.
func rows(events []incident.Event) (out []string) {
	section, _ := Build(events, Options{}).Section(KeyTimeline)
	for _, b := range section.Blocks {
		for _, r := range b.Table.Rows {
			out = append(out, r.Cells[len(r.Cells)-1])
		}
	}
	return out
}

// What came together is one row: each round of evidence, what the checks saw of one
// place at one moment, and a declaration with the failure that it rests on.
func TestRowsAreJoined(t *testing.T) {
	t.Parallel()
	all := rows(notLasting(t).events)
	count := func(part string) (n int) {
		for _, r := range all {
			if strings.Contains(r, part) {
				n++
			}
		}
		return n
	}
	for part, want := range map[string]int{
		"of evidence":             2, // one round for each time that visitors were sent away
		"Three pieces":            1,
		"declared the incident":   1,
		"answered 500":            2, // the check that declared it, and the other one
		"no answer within 250 ms": 1,
		"The checks “checkout” and “front” saw the real site fail: “no answer within 250 ms”.": 1,
		"It does not": 1, // a test and what followed from it have one reason
	} {
		if got := count(part); got != want {
			t.Errorf("%d rows say %q, want %d:\n%s", got, part, want, strings.Join(all, "\n"))
		}
	}
}

// A row that somebody pinned stays a row of its own, and checks that saw different
// things, or another place, are not put together.
func TestRowsStayApart(t *testing.T) {
	t.Parallel()
	s := story(t).do(incident.Declare{Title: "Slow", Noticed: "staff"}).captures(time.Millisecond, "One", "Two", "Three")
	s.sight(s.now, "front", "down", "503").sight(s.now, "checkout", "down", "timeout").sight(s.now, "books", "unknown", "no route")
	s.by(boat).do(incident.SeeSight{Sight: incident.Sight{At: s.now, Check: "front", Place: "backup", Seen: "down", Detail: "503"}})
	s.sight(s.now.Add(3*time.Second), "tls", "down", "503")
	for i := range s.events {
		if s.events[i].Type == incident.EvidenceCaptured && s.events[i].Subject.ID == "e2" {
			s.events[i].Story = "pinned"
		}
	}
	got := strings.Join(rows(s.events), "\n")
	for _, want := range []string{
		"Two pieces of evidence were captured.", "Two: 500.", "The checks “checkout” and “front” saw the real site fail: “503” and “timeout”.", "The check “books” got no clear answer from the real site: “no route”.",
		"The check “front” saw “backup” fail: “503”.", "The check “tls” saw the real site fail: “503”.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no row says %q:\n%s", want, got)
		}
	}
}

// A failure of less than a second is not told from a time to the same time.
func TestAShortFailure(t *testing.T) {
	t.Parallel()
	s := story(t).do(incident.Declare{Title: "A blink", Noticed: "monitor"}).sight(night.Add(100*time.Millisecond), "front", "down", "503").sight(night.Add(600*time.Millisecond), "front", "up", "")
	s.later(time.Minute).note("It was a blink.")
	if got := withoutAnnexes(Build(s.events, Options{})); !strings.Contains(got, "**The site was seen to fail for:** 0.5 s, from 02:06:00 UTC on") {
		t.Errorf("it reads:\n%s", got)
	}
}
