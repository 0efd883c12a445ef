package postmortem

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"lifeboat/internal/incident"

	"pgregory.net/rapid"
)

// hostile are texts that try to be more than text.
var hostile = []string{
	"The disk is full.",
	"<script>alert(1)</script>",
	"</p></section></article><h1>Gone</h1>",
	"\"><img src=x onerror=alert(1)>",
	"# Heading\n\n## Another\n- item\n1. one\n> quote\n```\ncode\n```\n---\n===",
	"[link](javascript:alert(1)) ![image](http://x.example/x.png) <http://x.example> [ref]: http://x.example",
	"**bold** _em_ `code` ~~gone~~ $x$ &amp; &#60; a_b_c __init__ \\* \\",
	"| a | b |\n|---|---|\n| c | d |",
	"\u202egnp.exe\u202c \u2066isolated \u200fright\u200e\u061c left \ufeff\u200b",
	"שלום עולם, האתר לא עובד", "الموقع لا يعمل",
	"line one\r\nline two\u2028line three\x00\x1b[31mred\x1b[0m\a",
	"\xff\xfe not UTF-8 \xc3",
	"    indented four\n\ttabbed",
	"1. first", "10) tenth", "- dash", "+ plus", "= equals", "# hash", "> more", "* star", "…", ".", "?", "!", "“quoted”",
	"\u200b\u200b\u200b\u200b", "....", "👩‍🚒 fire 🇩🇪", "Ada's", "e1", "[[1]](#e1)", "<a id=\"e1\"></a>", "{{.}} {{template \"page\"}}", "%s %d %!v(MISSING)",
	strings.Repeat("long ", 2000), strings.Repeat("x", 10000), strings.Repeat("<b>", 500), strings.Repeat("[", 300), strings.Repeat("*_", 300),
}

// anyText is a text that somebody might type; short where a name or title is asked for.
func anyText(t *rapid.T, most int) string {
	s := rapid.SampledFrom(hostile).Draw(t, "text")
	if rapid.IntRange(0, 3).Draw(t, "odd") == 0 {
		s += rapid.String().Draw(t, "more")
	}
	return cut(s, most)
}

// walk is a random incident: commands by anybody on random facts, of which those that
// are accepted are recorded.
func walk(t *rapid.T) []incident.Event {
	s := story(nil2{})
	s.facts.Approvers = rapid.IntRange(0, 2).Draw(t, "approvers")
	if rapid.Bool().Draw(t, "sprint") {
		s.facts.Settings.Approval, s.facts.Settings.Pause, s.facts.Settings.FixApart, s.facts.Settings.Watch = 0, 0, 0, 0
	}
	if rapid.IntRange(0, 9).Draw(t, "drill") == 0 {
		_ = s.try(incident.PullLever{PullID: "d", Drill: true}, s.lever("to-standby"))
	} else if rapid.IntRange(0, 9).Draw(t, "declared") > 0 {
		_ = s.try(incident.Declare{
			Title: anyText(t, 150), Symptom: rapid.SampledFrom([]string{"", "nothing-loads", "some-pages", "wrong-data", "<b>"}).Draw(t, "symptom"),
			Noticed: rapid.SampledFrom([]string{"", "monitor", "visitor", "staff", "social", "?"}).Draw(t, "noticed"), FirstSymptomAt: s.now.Add(-time.Duration(rapid.IntRange(0, 900).Draw(t, "before")) * time.Second),
		})
	}
	for range rapid.IntRange(0, 60).Draw(t, "steps") {
		s.later(rapid.SampledFrom([]time.Duration{0, 700 * time.Millisecond, 40 * time.Second, 7 * time.Minute, 3 * time.Hour, 30 * time.Hour, -time.Hour}).Draw(t, "later"))
		s.by(rapid.SampledFrom([]incident.Actor{aisha, mara, jonas, mara, jonas, health, boat, {Kind: "person", ID: "x", Name: anyText(t, 40), Role: "admin"}, {Kind: "person", Role: "admin"}}).Draw(t, "actor"))
		s.home(rapid.SampledFrom([]string{"up", "up", "down", "unknown", ""}).Draw(t, "home"))
		name := rapid.SampledFrom([]string{"to-standby", "to-backup", "close-checkout"}).Draw(t, "lever")
		s.never[name] = rapid.Bool().Draw(t, "never rehearsed")
		_ = s.try(anyCommand(t, s, name), s.lever(name), verdicts, actions)
	}
	return s.events
}

// nil2 stands for a test where none is asked.
type nil2 struct{ testing.TB }

func (nil2) Helper() {}

// anyCommand draws one command. Ids are those that there are, mostly.
func anyCommand(t *rapid.T, s *tale, lever string) incident.Command {
	var texts [3]string
	for i := range texts {
		texts[i] = anyText(t, 280)
	}
	n := 0
	text := func() string { n++; return texts[n%len(texts)] }
	id := func(prefix string) string { return fmt.Sprint(prefix, rapid.IntRange(1, 4).Draw(t, prefix)) }
	pull := func() string {
		if len(s.in.Pulls) == 0 {
			return "none"
		}
		return rapid.SampledFrom(s.in.Pulls).Draw(t, "pull").ID
	}
	check := rapid.SampledFrom([]string{"front", "checkout"}).Draw(t, "check")
	verdict := rapid.SampledFrom([]string{"pass", "pass", "pass", "fail", "inconclusive"}).Draw(t, "verdict")
	outcome := rapid.SampledFrom([]incident.Result{incident.Done, incident.Done, incident.Done, incident.NotDone, incident.Unclear}).Draw(t, "outcome")
	ok := rapid.IntRange(0, 3).Draw(t, "ok") > 0
	reading := incident.Reading{At: s.now, Verdict: verdict, Took: time.Duration(rapid.IntRange(0, 2000).Draw(t, "took")) * time.Millisecond, Detail: text()}
	all := []incident.Command{
		incident.PullLever{PullID: fmt.Sprint("p", len(s.in.Pulls)+1), Reason: text()},
		incident.PullLever{PullID: fmt.Sprint("p", len(s.in.Pulls)+1), Reason: text()},
		incident.PutBack{Lever: lever, Reason: text()},
		incident.Outcome{Pull: pull(), Result: outcome, Detail: text()}, incident.Outcome{Pull: pull(), Result: outcome, Detail: text()},
		incident.Outcome{Pull: pull(), Back: true, Result: outcome, Detail: text()}, incident.Outcome{Pull: pull(), Back: true, Result: outcome, Detail: text()},
		incident.Propose{Why: text()}, incident.Drifted{Pull: pull(), Detail: text()}, incident.Note{Text: text()}, incident.DecideNoFailover{Reason: text()},
		incident.GoBack{Because: text(), Reason: text()}, incident.GoBack{Because: text(), Reason: text()}, incident.Sanity{Check: check, Verdict: verdict, Detail: text()}, incident.Advance{Reason: text()},
		incident.StepBack{PullIDs: map[string]string{pull(): fmt.Sprint("p", len(s.in.Pulls)+1)}}, incident.Relapsed{Detail: text()}, incident.WatchOver{Reason: text()}, incident.Cancel{Reason: text()}, incident.Close{Reason: text()},
		incident.ParkLever{Lever: lever, Owner: anyText(t, 60), Until: s.now.Add(48 * time.Hour), Reason: text()}, incident.UnparkLever{Lever: lever}, incident.MakePermanent{Reason: text()}, incident.Remind{},
		incident.Captured{Evidence: incident.Evidence{Title: text(), Summary: text(), Problem: rapid.SampledFrom([]string{"", text()}).Draw(t, "problem"), Source: text(), SHA256: hash("9"), At: s.now}},
		incident.Attach{Evidence: incident.Evidence{Title: text(), SHA256: text()}}, incident.Redact{Evidence: id("e"), Reason: text()},
		incident.SeeChanges{Changes: []incident.Change{{ID: id("ch"), At: s.now.Add(-time.Hour), Kind: text(), Who: text(), What: text(), Ref: text()}}}, incident.MarkChange{Change: id("ch"), Suspect: ok, Note: text()},
		incident.SeeSight{Sight: incident.Sight{At: s.now.Add(-time.Minute), Check: check, Place: "home", Home: ok, Seen: rapid.SampledFrom([]string{"up", "down", "unknown", "?"}).Draw(t, "seen"), Detail: text()}},
		incident.Measure{Impact: incident.Impact{DownFrom: s.now, StandbyHit: uint64(rapid.IntRange(0, 9999).Draw(t, "hits"))}},
		incident.OpenCause{Statement: text(), Prediction: text()}, incident.WeighCause{Cause: id("c"), Evidence: id("e"), Stance: rapid.SampledFrom([]string{"for", "against", "neutral"}).Draw(t, "stance"), Note: text()},
		incident.TestCause{Cause: id("c"), Prediction: text(), Outcome: rapid.SampledFrom([]string{"held", "failed", "unclear"}).Draw(t, "test"), Saw: text()}, incident.RuleOut{Cause: id("c"), Reason: text()},
		incident.ParkCause{Cause: id("c"), Reason: text()}, incident.ReopenCause{Cause: id("c"), Reason: text()}, incident.ConfirmCause{Cause: id("c"), Factors: []string{text(), text()}, Reason: text()}, incident.WithdrawDiagnosis{Reason: text()},
		incident.ProposeFix{Change: text(), Promise: incident.Promise{Check: rapid.SampledFrom([]string{"", check}).Draw(t, "promise"), To: text(), From: text(), Below: time.Second}, WayBack: text(), Owner: text(), Reason: text()},
		incident.ReportFix{Change: text(), Promise: incident.Promise{Check: check}, WayBack: text()}, incident.WithdrawFix{Reason: text()}, incident.ApproveFix{}, incident.ObjectToFix{Reason: text()}, incident.GoAlone{Reason: text()},
		incident.ApplyFix{Reason: text()}, incident.ApplyFix{Reason: text()}, incident.FixCarriedOut{OK: ok, Detail: text(), Output: text()}, incident.ReadFix{Reading: reading, Others: map[string]string{"front": verdict, "checkout": verdict}},
		incident.JudgeFix{Result: rapid.SampledFrom([]incident.FixState{incident.StateWorked, incident.StateNoEffect, incident.StateWorse}).Draw(t, "result"), Reason: text()}, incident.MeasureFix{},
		incident.TakeBackFix{}, incident.FixTakenBack{OK: ok, Detail: text()}, incident.KeepFix{Reason: text()}, incident.ReadAgain{Reading: reading},
		incident.SetSeverity{Level: "high", Why: text()}, incident.LinkIncident{Incident: anyText(t, 30)}, incident.TakeRole{Role: rapid.SampledFrom([]string{"lead", "scribe"}).Draw(t, "role")}, incident.ReleaseRole{Role: "lead"},
		incident.OfferHandover{Role: "lead", To: anyText(t, 60), Brief: incident.Brief{Things: text(), Needs: text()}}, incident.AcceptHandover{Handover: id("h")},
		incident.Choose{Question: text(), Options: []string{text()}, Chosen: text(), Reason: text()}, incident.Object{Decision: id("d"), Text: text()},
		incident.SendUpdate{Audience: rapid.SampledFrom([]string{"public", "staff"}).Draw(t, "audience"), Text: text(), NextIn: 20 * time.Minute, Channels: []string{"mail"}}, incident.SnoozeUpdate{By: time.Minute, Reason: text()},
		incident.Delivered{Update: id("u"), Channel: "mail", OK: ok, Detail: text()}, incident.UpdateOverdue{},
		incident.EditSection{Section: rapid.SampledFrom([]string{KeySummary, KeyFixes, KeyRecord, "own words", PublicPrefix + KeySummary, anyText(t, 30)}).Draw(t, "section"), Text: text()},
		incident.Answer{Question: "help", Text: text()}, incident.JudgeFinding{Finding: incident.Finding{About: incident.AboutProcess, Text: text(), Note: text()}},
		incident.AddFollowUp{FollowUp: incident.FollowUp{What: text(), Owner: text(), DoneWhen: text(), Tracker: text()}}, incident.EndFollowUp{ID: id("a"), State: "declined", Reason: text()}, incident.Finalise{SHA256: hash("8")},
	}
	if len(s.events) > 0 {
		all = append(all, incident.Correct{Event: rapid.SampledFrom(s.events).Draw(t, "corrected").ID, Text: text()})
	}
	return rapid.SampledFrom(all).Draw(t, "command")
}

// forms are the ways in which a document is told in the tests.
func forms() []Options {
	return []Options{
		{Title: "The Shop", Names: []string{"shop.example.com"}, Now: night.Add(50 * time.Hour)},
		{Title: "The <Shop>", Names: []string{"*.example.com"}, Zone: berlin},
		{Title: "The Shop", Public: true},
	}
}

// Whatever happened, every sentence rests on events that there are, and every form of
// the document holds together.
func TestEverySentenceHasItsEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := walk(t)
		for _, o := range forms() {
			d := Build(events, o)
			mustRest(t, d, events)
			mustHoldTogether(t, d)
			again, _ := JSON(Build(events, o))
			if once, err := JSON(d); err != nil || !bytes.Equal(once, again) {
				t.Fatalf("told twice, it reads otherwise (%v)", err)
			}
		}
		mustPropose(t, events)
	})
}

// mustRest holds that facts name events that exist.
func mustRest(t failer, d Document, events []incident.Event) {
	t.Helper()
	known := map[uint64]bool{}
	for _, e := range events {
		known[e.Seq] = true
	}
	for key, f := range d.Facts() {
		if len(f.Events) == 0 {
			t.Fatalf("%s: %q rests on nothing", key, f.Text)
		}
		for _, n := range f.Events {
			if !known[n] {
				t.Fatalf("%s: %q rests on event %d, which does not exist", key, f.Text, n)
			}
		}
		if !slices.IsSorted(f.Events) {
			t.Fatalf("%s: %q names its events out of order: %v", key, f.Text, f.Events)
		}
		if strings.ContainsFunc(f.Text, func(r rune) bool { return r == '\n' || hides(r) }) || strings.Contains(f.Text, "  ") {
			t.Fatalf("%s: %q is not clean", key, f.Text)
		}
	}
	for _, s := range d.Sections {
		if len(s.Blocks) == 0 {
			t.Fatalf("the section %s says nothing", s.Key)
		}
		for _, b := range s.Blocks {
			mustBeOneThing(t, s.Key, b)
		}
	}
}

func mustBeOneThing(t failer, key string, b Block) {
	t.Helper()
	n := 0
	for _, there := range []bool{len(b.Paragraph) > 0, len(b.List) > 0, len(b.Terms) > 0, b.Table != nil, b.Quote != nil, b.Blank != ""} {
		if there {
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%s: a block is %d things at once: %+v", key, n, b)
	}
	if b.Table != nil {
		for _, r := range b.Table.Rows {
			if len(r.Cells) != len(b.Table.Columns) {
				t.Fatalf("%s: a row has %d cells for %d columns", key, len(r.Cells), len(b.Table.Columns))
			}
		}
	}
}

// mustPropose holds what is true of every proposal.
func mustPropose(t failer, events []incident.Event) {
	t.Helper()
	known, ids := map[uint64]bool{}, map[string]bool{}
	for _, e := range events {
		known[e.Seq] = true
	}
	for _, p := range Findings(events) {
		first := []rune(strings.TrimPrefix(p.Text, "“"))
		switch {
		case p.ID == "" || ids[p.ID]:
			t.Fatalf("%q has the id %q, which is empty or there twice", p.Text, p.ID)
		case p.About != incident.AboutProcess && p.About != incident.AboutArchitecture:
			t.Fatalf("%s is about %q", p.ID, p.About)
		case !strings.HasSuffix(p.Text, ".") || len(first) < 10 || unicode.IsLower([]rune(p.Text)[0]) || len([]rune(p.Text)) > 4000:
			t.Fatalf("%s is no sentence: %q", p.ID, p.Text)
		case len(p.Events) == 0:
			t.Fatalf("%s rests on nothing", p.ID)
		}
		ids[p.ID] = true
		for _, n := range p.Events {
			if !known[n] {
				t.Fatalf("%s rests on event %d, which does not exist", p.ID, n)
			}
		}
	}
}

// What the events of one type have said is not said without them.
func TestWithoutItsEventsASentenceIsGone(t *testing.T) {
	t.Parallel()
	said := map[incident.Type][]string{
		incident.Declared:           {"declared the incident", "declared an incident"},
		incident.SightChanged:       {"seen to fail for:** 1", "had seen the real site fail", "The check “front” saw the real site", "first seen the site fail", "and declared the incident", "saw the real site fail:", "Site seen well again"},
		incident.LeverApplying:      {"pulled the lever “"},
		incident.LeverSeen:          {"seen in force from outside", "**Visitors safe** · 0", "**Lever in force** · 0", "Visitors were kept away for"},
		incident.LeverUndone:        {"was put back"},
		incident.LeverDrift:         {"somebody else had changed it", "found changed by somebody else", "somebody else changed it"},
		incident.EvidenceCaptured:   {"of evidence were captured", "The answers of the name servers", "Connections to the database"},
		incident.ChangeSeen:         {"price import began"},
		incident.ChangeMarked:       {"suspected the change", "First change suspected"},
		incident.ImpactMeasured:     {"11,460"},
		incident.CauseOpened:        {"raised it at", "It predicted"},
		incident.CauseTested:        {"The prediction came true", "tested possible cause"},
		incident.CauseRuledOut:      {"ruled it out", "ruled possible cause 2 out"},
		incident.DiagnosisConfirmed: {"confirmed the cause", "The cause was confirmed", "Cause confirmed", "What contributed", "A first cause was confirmed"},
		incident.DiagnosisWithdrawn: {"That was withdrawn at", "An earlier diagnosis", "later withdrawn", "turned out to be wrong"},
		incident.LeverProposed:      {"proposed the lever", "Nobody pulled it"},
		incident.FixProposed:        {"proposed it at", "It promised"},
		incident.ApprovalGiven:      {"no strong objection"},
		incident.ApprovalTimeout:    {"went on alone", "Nobody else read"},
		incident.FixMeasured:        {"It did what it promised", "It did not do what it promised", "Fix 2 did what it promised", "had no effect", ": no effect"},
		incident.FixRolledBack:      {"had rolled it back", "Fix 1 was rolled back."},
		incident.FixAgain:           {"the promise still held", "With everybody back", "With the levers put back"},
		incident.ReturnPlanned:      {"started the return", "Return started"},
		incident.SteppedBack:        {"the return was given up:", "A return was given up", "before visitors went back"},
		incident.WatchRelapse:       {"pressed “Go back to safety”", "into the watch", "Back to safety** ·", "to fail again"},
		incident.ReturnCompleted:    {"Everybody was back", "everybody was back on", "had the whole site again"},
		incident.WatchPassed:        {"The watch lasted", "The watch ended"},
		incident.RuleOverridden:     {"overrode", "overridden"},
		incident.RuleRefused:        {"asked Jonas to wait", "Rules that asked to wait", "(R10) asked"},
		incident.UpdateSent:         {"told the public", "News was promised", "first told"},
		incident.UpdateFailed:       {"could not go out"},
		incident.RoleTaken:          {"took the lead at", "**Led by:** Mara"},
		incident.HandoverOffered:    {"offered Jonas"},
		incident.Chosen:             {"the question was", "chose “"},
		incident.ObjectionRaised:    {"objected: “Nobody who knows"},
		incident.SeverityChanged:    {"**Severity:** high"},
		incident.WriteUpAnswered:    {"We were lucky"},
		incident.WriteUpEdited:      {"Three customers wrote"},
		incident.FindingJudged:      {"Two programs share one limit", "### Accepted"},
		incident.FollowUpAdded:      {"Alarm when connections pass"},
		incident.IncidentLinked:     {"It was linked with"},
	}
	all := stories(t)
	whole := map[string]string{}
	for _, x := range all {
		whole[x.name] = withoutAnnexes(Build(x.events, x.o))
	}
	for kind, phrases := range said {
		told := false
		for _, x := range all {
			left := slices.DeleteFunc(slices.Clone(x.events), func(e incident.Event) bool { return e.Type == kind })
			rest := Build(left, x.o)
			mustRest(t, rest, left)
			mustBeMarkdown(t, rest)
			without := withoutAnnexes(rest)
			for _, phrase := range phrases {
				told = told || strings.Contains(whole[x.name], phrase)
				if strings.Contains(without, phrase) {
					t.Errorf("%s: without its %s events it still says %q", x.name, kind, phrase)
				}
			}
		}
		if !told {
			t.Errorf("no story says any of %q", phrases)
		}
	}
}

// withoutAnnexes is what the document says, without the lists that prove it.
func withoutAnnexes(d Document) string {
	d.Sections = slices.DeleteFunc(slices.Clone(d.Sections), func(s Section) bool { return annex(s.Key) })
	return string(Markdown(d))
}

func typesOf(events []incident.Event) []incident.Type {
	var out []incident.Type
	for _, e := range events {
		if !slices.Contains(out, e.Type) {
			out = append(out, e.Type)
		}
	}
	return out
}

// A record that is damaged, or that a newer version wrote, is told as far as it can be
// read.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	told := stories(t)
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SampledFrom(told).Draw(t, "story")
		events := slices.Clone(x.events)
		for range rapid.IntRange(1, 12).Draw(t, "damages") {
			if len(events) == 0 {
				break
			}
			i := rapid.IntRange(0, len(events)-1).Draw(t, "where")
			events = damage(t, events, i)
		}
		for _, o := range forms() {
			d := Build(events, o)
			mustRest(t, d, events)
			mustHoldTogether(t, d)
		}
		mustPropose(t, events)
	})
}

func damage(t *rapid.T, events []incident.Event, i int) []incident.Event {
	e := events[i]
	switch rapid.IntRange(0, 8).Draw(t, "damage") {
	case 0:
		return slices.Delete(events, i, i+1)
	case 1:
		e.Data = json.RawMessage(rapid.SampledFrom([]string{"", "{", "7", "null", "[]", `{"pull":7}`, `{"id":"c1","id":7}`, `{"pull":{"id":""},"reading":{},"test":{}}`}).Draw(t, "data"))
	case 2:
		e.At = rapid.SampledFrom([]time.Time{{}, night.Add(-900 * time.Hour), night.Add(9000 * time.Hour), time.Unix(1<<40, 0)}).Draw(t, "at")
	case 3:
		e.Type = rapid.SampledFrom(typesOf(events)).Draw(t, "type")
	case 4:
		e.Type = incident.Type(rapid.SampledFrom([]string{"", "newer.thing", "<b>"}).Draw(t, "new type"))
	case 5:
		e.Subject.ID = rapid.SampledFrom([]string{"", "f1", "c1", "to-standby-1", "<b>", "f99999999999999999999"}).Draw(t, "subject")
	case 6:
		e.Story = rapid.SampledFrom([]string{"hidden", "pinned"}).Draw(t, "story")
	case 7:
		e.Text, e.Actor.Name, e.Hash = anyText(t, 9000), anyText(t, 9000), anyText(t, 99)
	case 8:
		j := rapid.IntRange(0, len(events)-1).Draw(t, "other")
		events[i], events[j] = events[j], events[i]
		return events
	}
	events[i] = e
	return events
}
