package incident

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

var (
	longText = strings.Repeat("x", maxText+1)
	longLine = strings.Repeat("x", maxLine+1)
)

// What a command asks of whoever types it: the fault names the place, and says it so
// that the next try can succeed.
func TestWhatIsTypedIsChecked(t *testing.T) {
	t.Parallel()
	contained := func(s *tale) { s.contained().suspected() }
	review := func(s *tale) { s.reviewing() }
	for _, c := range []struct {
		name  string
		given func(*tale)
		cmd   Command
		kind  fault.Kind
		place string
	}{
		{"an empty guess", contained, OpenCause{Statement: "  "}, fault.Invalid, "statement"},
		{"a guess as long as a book", contained, OpenCause{Statement: longText}, fault.Invalid, "statement"},
		{"a prediction as long as a book", contained, OpenCause{"The disk is full.", longText}, fault.Invalid, "prediction"},
		{"to weigh an unknown guess", contained, WeighCause{"c9", "e1", For, ""}, fault.NotFound, "cause"},
		{"to weigh with unknown evidence", contained, WeighCause{"c1", "e9", For, ""}, fault.NotFound, "evidence"},
		{"to weigh loudly", contained, WeighCause{"c1", "e1", "loudly", ""}, fault.Invalid, "stance"},
		{"to test an unknown guess", contained, TestCause{Cause: "c9", Outcome: TestHeld}, fault.NotFound, "cause"},
		{"to test what predicts nothing", func(s *tale) { s.contained().do(OpenCause{Statement: "The disk is full."}) }, TestCause{Cause: "c1", Outcome: TestHeld}, fault.Invalid, "prediction"},
		{"a test without an end", contained, TestCause{Cause: "c1"}, fault.Invalid, "outcome"},
		{"to test what is ruled out", contained, TestCause{"c2", "it works", TestHeld, ""}, fault.Conflict, ""},
		{"to rule out what is not there", contained, RuleOut{"c9", sentence}, fault.NotFound, "cause"},
		{"to rule out without a word", contained, RuleOut{"c1", " "}, fault.Invalid, "reason"},
		{"to park without a word", contained, ParkCause{"c1", ""}, fault.Invalid, "reason"},
		{"to rule out what is confirmed", func(s *tale) { s.diagnosed() }, RuleOut{"c1", sentence}, fault.Conflict, ""},
		{"to take up what is confirmed", func(s *tale) { s.diagnosed() }, ReopenCause{"c1", sentence}, fault.Conflict, ""},
		{"to take up what is not there", contained, ReopenCause{"c9", sentence}, fault.NotFound, "cause"},
		{"to confirm what is not there", contained, ConfirmCause{Cause: "c9"}, fault.NotFound, "cause"},
		{"to be very sure", contained, ConfirmCause{Cause: "c1", Confidence: "very"}, fault.Invalid, "confidence"},
		{"to withdraw what there is not", contained, WithdrawDiagnosis{sentence}, fault.Conflict, ""},
		{"to withdraw without a word", func(s *tale) { s.diagnosed() }, WithdrawDiagnosis{"no"}, fault.Invalid, "reason"},

		{"evidence that says nothing", contained, Attach{}, fault.Invalid, "title"},
		{"evidence with a long title", contained, Attach{Evidence{Title: longLine}}, fault.Invalid, "title"},
		{"evidence with a long text", contained, Attach{Evidence{Summary: longText}}, fault.Invalid, "text"},
		{"to redact what is not there", contained, Redact{"e9", sentence}, fault.NotFound, ""},
		{"to redact without a word", contained, Redact{"e1", ""}, fault.Invalid, "reason"},
		{"to mark an unknown change", contained, MarkChange{"ch-9", true, ""}, fault.NotFound, ""},

		{"a long fix", func(s *tale) { s.diagnosed() }, planWith(func(p *ProposeFix) { p.WayBack = longText }), fault.Invalid, "wayback"},
		{"a long promise", func(s *tale) { s.diagnosed() }, planWith(func(p *ProposeFix) { p.Promise.To = longLine }), fault.Invalid, "change"},
		{"a fix that takes long to say", func(s *tale) { s.diagnosed() }, planWith(func(p *ProposeFix) { p.Takes = longLine }), fault.Invalid, "takes"},
		{"a fix elsewhere that changes nothing", contained, ReportFix{}, fault.Invalid, "change"},
		{"to judge without a word", func(s *tale) { s.measuring() }, JudgeFix{StateWorked, ""}, fault.Invalid, "reason"},
		{"to judge as nothing that there is", func(s *tale) { s.measuring() }, JudgeFix{StateRolledBack, sentence}, fault.Invalid, "result"},
		{"to judge what is not measured", func(s *tale) { s.fruitless() }, JudgeFix{StateWorked, sentence}, fault.Conflict, ""},
		{"to judge nothing", contained, JudgeFix{StateWorked, sentence}, fault.Conflict, ""},
		{"to measure what did harm once more", func(s *tale) { s.harmful() }, MeasureFix{}, fault.Conflict, ""},
		{"to read what promises nothing to a check", func(s *tale) {
			s.diagnosed().do(planWith(func(p *ProposeFix) { p.Promise = Promise{To: "Orders come in."} })).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true})
		}, reading("pass", night), fault.Conflict, ""},
		{"rolled back, and it was not", func(s *tale) { s.fruitless() }, FixTakenBack{OK: true}, fault.Conflict, ""},

		{"a severity that nobody knows", contained, SetSeverity{"huge", ""}, fault.Invalid, "level"},
		{"linked with itself", contained, LinkIncident{Incident: "inc-1"}, fault.Invalid, "incident"},
		{"linked with nothing", contained, LinkIncident{}, fault.Invalid, "incident"},
		{"linked somehow", contained, LinkIncident{"inc-2", "twin"}, fault.Invalid, "kind"},
		{"a role that nobody has heard of", contained, TakeRole{"king"}, fault.Invalid, "role"},
		{"to release what nobody holds", contained, ReleaseRole{"lead"}, fault.Conflict, ""},
		{"to hand a crown over", contained, OfferHandover{"king", "Cora", Brief{Things: sentence}}, fault.Invalid, "role"},
		{"to hand over to nobody", contained, OfferHandover{"lead", " ", Brief{Things: sentence}}, fault.Invalid, "to"},
		{"to hand over without a word", contained, OfferHandover{"lead", "Cora", Brief{}}, fault.Invalid, "things"},
		{"to hand over with a book", contained, OfferHandover{"lead", "Cora", Brief{longText, longText, longText}}, fault.Invalid, "things"},
		{"to take over what was not offered", contained, AcceptHandover{"h1"}, fault.NotFound, ""},
		{"to decide nothing", contained, Choose{Chosen: "no", Reason: sentence}, fault.Invalid, "question"},
		{"to choose nothing", contained, Choose{Question: "Wake her?", Reason: sentence}, fault.Invalid, "chosen"},
		{"to choose without a word", contained, Choose{Question: "Wake her?", Chosen: "no"}, fault.Invalid, "reason"},
		{"to choose with a book", contained, Choose{Question: "Wake her?", Chosen: "no", Reason: strings.Repeat("x", maxText)}, fault.Invalid, "reason"},
		{"to object to nothing", contained, Object{"d1", sentence}, fault.NotFound, ""},
		{"to object without a word", func(s *tale) { s.contained().do(Choose{"Wake her?", nil, "no", sentence}) }, Object{"d1", " "}, fault.Invalid, "text"},
		{"to object with a book", func(s *tale) { s.contained().do(Choose{"Wake her?", nil, "no", sentence}) }, Object{"d1", longText}, fault.Invalid, "text"},
		{"to tell the world", contained, SendUpdate{Audience: "world", Text: sentence}, fault.Invalid, "audience"},
		{"to tell nothing", contained, SendUpdate{Audience: Staff}, fault.Invalid, "text"},
		{"to tell a book", contained, SendUpdate{Audience: Staff, Text: strings.Repeat("x", maxUpdate+1)}, fault.Invalid, "text"},
		{"to promise news for last week", contained, SendUpdate{Audience: Staff, Text: sentence, NextIn: -time.Hour}, fault.Invalid, "next_in"},
		{"to promise news for next week", contained, SendUpdate{Audience: Staff, Text: sentence, NextIn: 25 * time.Hour}, fault.Invalid, "next_in"},
		{"to put off what was not promised", contained, SnoozeUpdate{time.Minute, ""}, fault.Conflict, ""},
		{"to put it off by nothing", func(s *tale) { s.contained().do(SendUpdate{Audience: Staff, Text: sentence, NextIn: time.Hour}) }, SnoozeUpdate{0, ""}, fault.Invalid, "by"},

		{"no section", review, EditSection{"", "x"}, fault.Invalid, "section"},
		{"a long section", review, EditSection{"impact", strings.Repeat("x", maxSection+1)}, fault.Invalid, "text"},
		{"a section that is called by a book", review, EditSection{strings.Repeat("x", 41), "x"}, fault.Invalid, "section"},
		{"a fifth question", review, Answer{"what", sentence}, fault.NotFound, "question"},
		{"a long answer", review, Answer{"help", strings.Repeat("x", maxSection+1)}, fault.Invalid, "text"},
		{"a finding about nothing", review, JudgeFinding{Finding{Text: sentence}}, fault.Invalid, "about"},
		{"an empty finding", review, JudgeFinding{Finding{About: AboutProcess}}, fault.Invalid, "text"},
		{"a finding with a long note", review, JudgeFinding{Finding{About: AboutProcess, Text: sentence, Note: longText}}, fault.Invalid, "note"},
		{"a finding that is called by a book", review, JudgeFinding{Finding{ID: longLine, About: AboutProcess, Text: sentence}}, fault.NotFound, "id"},
		{"nothing is owed", review, AddFollowUp{FollowUp{What: " "}}, fault.Invalid, "what"},
		{"a dream is owed", review, AddFollowUp{FollowUp{Kind: "dream", What: sentence}}, fault.Invalid, "kind"},
		{"it is owed of no class", review, AddFollowUp{FollowUp{Class: "first", What: sentence}}, fault.Invalid, "class"},
		{"a book is owed", review, AddFollowUp{FollowUp{What: longText}}, fault.Invalid, "what"},
		{"to change what is not owed", review, ChangeFollowUp{FollowUp{ID: "a9", Owner: "Bo"}}, fault.NotFound, "id"},
		{"to change it into a dream", func(s *tale) { s.reviewing().do(AddFollowUp{FollowUp{What: sentence}}) }, ChangeFollowUp{FollowUp{ID: "a1", Kind: "dream"}}, fault.Invalid, "kind"},
		{"to end what is not owed", review, EndFollowUp{"a9", "done", ""}, fault.NotFound, "id"},
		{"to end it somehow", func(s *tale) { s.reviewing().do(AddFollowUp{FollowUp{What: sentence}}) }, EndFollowUp{"a1", "forgotten", ""}, fault.Invalid, "state"},
		{"to correct nothing", review, Correct{"", sentence}, fault.Invalid, "event"},
		{"to correct without a word", review, Correct{"01ABC", ""}, fault.Invalid, "text"},

		{"a reason as long as a book", contained, RuleOut{"c1", longText}, fault.Invalid, "reason"},
		{"a long word on what changed", contained, GoBack{Because: longText}, fault.Invalid, "because"},
		{"more than fits an event", contained, Note{strings.Repeat("<", 16<<10)}, fault.Invalid, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t)
			c.given(s)
			_, err := s.try(c.cmd)
			var fe *fault.Error
			if !errors.As(err, &fe) || fe.Kind != c.kind || fe.Place != c.place {
				t.Fatalf("got %v, want %s at %q", err, c.kind, c.place)
			}
			if first := fe.Text[:1]; strings.HasSuffix(fe.Text, ".") || first != strings.ToLower(first) {
				t.Errorf("the text is %q: want it lower case and without a full stop", fe.Text)
			}
		})
	}
}

// Everything that can be added has its most.
func TestNothingGrowsForEver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		most int
		add  func(i int) Command
		kind fault.Kind // of one too many; "" where it is left out in silence
	}{
		{"causes", maxCauses, func(int) Command { return OpenCause{Statement: sentence} }, fault.Conflict},
		{"evidence", maxAttached, func(int) Command { return Attach{Evidence{Title: "x"}} }, fault.Conflict},
		{"captured", maxEvidence, func(int) Command { return Captured{Evidence{Title: "x"}} }, fault.Conflict},
		{"changes", maxChanges, func(i int) Command { return SeeChanges{[]Change{{ID: numbered(i)}}} }, ""},
		{"decisions", maxDecisions, func(int) Command { return Choose{sentence, nil, "no", sentence} }, fault.Conflict},
		{"handovers", maxDecisions, func(int) Command { return OfferHandover{"lead", "Bo", Brief{Things: sentence}} }, fault.Conflict},
		{"updates", maxUpdates, func(int) Command { return SendUpdate{Audience: Staff, Text: sentence} }, fault.Conflict},
		{"links", maxLinks, func(i int) Command { return LinkIncident{Incident: numbered(i)} }, fault.Conflict},
		{"sections", maxSections, func(i int) Command { return EditSection{numbered(i), "x"} }, fault.Conflict},
		{"findings", maxFindings, func(int) Command { return JudgeFinding{Finding{About: AboutProcess, Text: sentence}} }, fault.Conflict},
		{"follow-ups", maxFollowUps, func(int) Command { return AddFollowUp{FollowUp{What: sentence}} }, fault.Conflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t).declare()
			for i := range c.most {
				s.do(c.add(i))
			}
			drafts, err := s.try(c.add(c.most))
			if len(drafts) > 0 || fault.KindOf(err) != c.kind {
				t.Errorf("one too many: %v, %v", types(drafts), err)
			}
		})
	}
}

func numbered(i int) string { return "n" + strings.Repeat("i", i/26) + string(rune('a'+i%26)) }

// At the most, what is there can still be changed.
func TestAtTheMostThingsCanStillBeChanged(t *testing.T) {
	t.Parallel()
	s := story(t).declare()
	for i := range maxSections {
		s.do(EditSection{numbered(i), "x"})
	}
	s.do(EditSection{numbered(3), "y"})
	for range maxFindings {
		s.do(JudgeFinding{Finding{About: AboutProcess, Text: sentence}})
	}
	s.do(JudgeFinding{Finding{ID: "own7", About: AboutProcess, Text: sentence}})
	if f := s.in.WriteUp.Findings; len(f) != maxFindings || f[len(f)-1].ID != "own7" || f[len(f)-1].Accepted {
		t.Errorf("the last finding is %+v", f[len(f)-1])
	}
}

// Whoever names a finding of their own by an id takes no one else's.
func TestOwnFindingsHaveIdsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := story(t).declare().do(JudgeFinding{Finding{ID: "own2", About: AboutProcess, Text: "From elsewhere.", Accepted: true}}).
		do(JudgeFinding{Finding{About: AboutProcess, Text: "Mine."}}).do(JudgeFinding{Finding{About: AboutProcess, Text: "Mine, too."}})
	var ids []string
	for _, f := range s.in.WriteUp.Findings {
		ids = append(ids, f.ID)
	}
	if !slices.Equal(ids, []string{"own2", "own3", "own4"}) {
		t.Errorf("findings %v", ids)
	}
}

// What was already so is accepted and said once.
func TestSaidOnce(t *testing.T) {
	t.Parallel()
	s := wholeLoop(story(t))
	open := story(t)
	callForHelp(open)
	findOut(open)
	open.by(ada)
	for _, c := range []struct {
		s   *tale
		cmd Command
	}{
		{open, RuleOut{"c3", sentence}}, {open, Redact{"e2", sentence}}, {open, MarkChange{"ch-1", true, ""}}, {open, MarkChange{"ch-1", true, "It touches the logs."}},
		{open, SeeChanges{[]Change{{ID: "ch-1"}, {ID: "ch-2"}, {}}}}, {open, SetSeverity{"high", "x"}}, {open, LinkIncident{Incident: "inc-3"}}, {open, AcceptHandover{"h1"}},
		{open, Delivered{Channel: "mail", OK: true}}, {open, UpdateOverdue{}}, {open, UnparkLever{"to-standby"}},
		{open, SeeSight{Sight{Check: "front", Place: "home", Seen: "down"}}}, {s, EndFollowUp{"a3", "verified", ""}}, {s.by(cora), Finalise{"x"}},
	} {
		if drafts, err := c.s.try(c.cmd); err != nil || len(drafts) > 0 {
			t.Errorf("%s: %v, %v", nameOf(c.cmd), types(drafts), err)
		}
	}
	open.do(MarkChange{"ch-1", true, "A second note."})
	if x := open.in.Changes[0]; x.Note != "A second note." || !x.Suspect {
		t.Errorf("the change is %+v", x)
	}
	if by := open.by(cora); by.in.Roles["lead"] != "Cora" {
		t.Errorf("the lead is %q", by.in.Roles["lead"])
	}
	if drafts, err := open.try(TakeRole{"lead"}); err != nil || len(drafts) > 0 {
		t.Errorf("Cora takes what she has: %v, %v", types(drafts), err)
	}
}

// The evidence of the changes, the newest first, whatever order they come in.
func TestChangesNewestFirst(t *testing.T) {
	t.Parallel()
	s := story(t).declare().do(SeeChanges{[]Change{{ID: "b", At: night.Add(-2 * time.Hour), Suspect: true, Note: "x"}, {ID: "a", At: night.Add(-3 * time.Hour)}}}).do(SeeChanges{[]Change{{ID: "c", At: night.Add(-time.Hour)}}})
	var ids []string
	for _, c := range s.in.Changes {
		ids = append(ids, c.ID)
		if c.Suspect || c.Note != "" {
			t.Errorf("%s came with a person's mark", c.ID)
		}
	}
	if !slices.Equal(ids, []string{"c", "b", "a"}) {
		t.Errorf("changes %v", ids)
	}
}

// A long first line becomes a title, and nothing of it is lost.
func TestALongNoteIsEvidence(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("smoke ", 100)
	s := story(t).declare().do(Attach{Evidence{Summary: text}})
	if e := s.in.Evidence[0]; len([]rune(e.Title)) != maxLine || e.Summary != strings.TrimSpace(text) || e.By != ada || !e.At.Equal(night) {
		t.Errorf("the evidence is %+v", e)
	}
	s.do(Redact{"e1", "It names a customer."})
	if e := s.in.Evidence[0]; e.Redacted != "It names a customer." || e.SHA256 != "" || e.Size != 0 {
		t.Errorf("redacted: %+v", e)
	}
}

// Checks that flap end the list; that they do is written down.
func TestSightsEnd(t *testing.T) {
	t.Parallel()
	s := story(t).declare().by(probes)
	for i := range maxSights + 10 {
		s.later(time.Second).do(SeeSight{Sight{At: s.now, Check: "front", Place: "home", Home: true, Seen: []string{"up", "down", "unknown"}[i%3]}})
	}
	if n := len(s.in.Sights); n != maxSights {
		t.Errorf("%d sights", n)
	}
	if e := s.events[len(s.events)-2]; e.Type != NoteAdded || !strings.Contains(e.Text, "further changes are not written down") {
		t.Errorf("the last but one is %s: %q", e.Type, e.Text)
	}
	if e := s.events[1]; !e.At.Equal(night.Add(time.Second)) {
		t.Errorf("seen at %s", e.At)
	}
}

// A promise that nobody sees kept for hours is measured to its end, however many
// readings that takes.
func TestALongMeasurementIsToldRight(t *testing.T) {
	t.Parallel()
	long := func(t *testing.T, passes int) *tale {
		s := story(t).diagnosed()
		s.facts.Settings.FixPasses = passes
		return s.do(planWith(func(p *ProposeFix) { p.Promise.Within = 20 * time.Hour })).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true})
	}
	t.Run("worked at last", func(t *testing.T) {
		t.Parallel()
		s := long(t, 5)
		for range 3 * maxReadings {
			s.read("fail")
		}
		for range 5 {
			s.read("pass")
		}
		if f := s.fix("f1"); f.State != StateWorked || len(f.Readings) != maxReadings || !f.Readings[maxReadings-1].Kept {
			t.Errorf("the fix is %s with %d readings", f.State, len(f.Readings))
		}
	})
	t.Run("did harm at last", func(t *testing.T) {
		t.Parallel()
		s := long(t, 5)
		for range 3 * maxReadings {
			s.read("fail")
		}
		for range worseToTell {
			r := reading("fail", s.now)
			r.Others["cart"] = "fail"
			s.do(r)
		}
		if f := s.fix("f1"); f.State != StateWorse {
			t.Errorf("the fix is %s", f.State)
		}
	})
}

// How a fix is measured, reading by reading.
func TestMeasuring(t *testing.T) {
	t.Parallel()
	other := func(verdict string) ReadFix { r := reading("fail", night); r.Others["cart"] = verdict; return r }
	for _, c := range []struct {
		name string
		tell func(*tale)
		want FixState
	}{
		{"one pass of two", func(s *tale) { s.measuring().read("pass") }, StateMeasuring},
		{"two in a row", func(s *tale) { s.worked() }, StateWorked},
		{"a fail in between", func(s *tale) { s.measuring().read("pass").read("fail").read("pass") }, StateMeasuring},
		{"an unclear one in between", func(s *tale) { s.measuring().read("pass").read("inconclusive").read("pass") }, StateMeasuring},
		{"too late", func(s *tale) { s.fruitless() }, StateNoEffect},
		{"passing when the time is over", func(s *tale) { s.measuring().read("pass").later(5 * time.Minute).read("pass") }, StateWorked},
		{"half way when the time is over", func(s *tale) { s.measuring().later(5 * time.Minute).read("pass") }, StateNoEffect},
		{"another check fails three times", func(s *tale) { s.harmful() }, StateWorse},
		{"another fails, passes, and fails", func(s *tale) {
			s.measuring().do(other("fail")).do(other("fail")).do(other("pass")).do(other("fail")).do(other("fail"))
		}, StateMeasuring},
		{"another fails that failed before", func(s *tale) {
			s.facts.Verdicts = map[string]string{"front": "fail", "cart": "fail"}
			s.measuring().do(other("fail")).do(other("fail")).do(other("fail"))
		}, StateMeasuring},
		{"too slow", func(s *tale) {
			s.diagnosed().do(planWith(func(p *ProposeFix) { p.Promise.Below = 80 * time.Millisecond })).do(ApplyFix{sentence}).do(FixCarriedOut{OK: true}).read("pass").read("pass")
		}, StateMeasuring},
		{"measured once more", func(s *tale) { s.fruitless().do(MeasureFix{}).read("pass").read("pass") }, StateWorked},
		{"its act failed", func(s *tale) { s.applying().do(FixCarriedOut{Detail: "exit 1"}) }, StateInterrupted},
		{"made elsewhere, and judged", func(s *tale) {
			s.contained().do(ReportFix{Change: "I have rebooted it."}).do(JudgeFix{StateWorse, "It smells."})
		}, StateWorse},
		{"made elsewhere, and measured", func(s *tale) {
			s.contained().do(ReportFix{Change: "I have rebooted it.", Promise: Promise{Check: "front"}}).read("pass").read("pass")
		}, StateWorked},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := story(t)
			c.tell(s)
			if f := s.fix("f1"); f.State != c.want {
				t.Errorf("the fix is %s, want %s", f.State, c.want)
			}
		})
	}
}

// A result that this version does not know frees no lock, and a diagnosis that names no
// cause is none.
func TestNothingUnknownUnlocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ  Type
		data string
	}{
		{FixMeasured, `{"id":"f1","result":"partly"}`}, {FixMeasured, `{"id":"f1"}`}, {FixMeasured, `{"id":"f1","result":"rolled_back"}`}, {FixMeasured, `{}`},
		{FixAccepted, `{}`}, {FixRolledBack, `{"id":"f2"}`}, {FixWithdrawn, `7`}, {PhaseChanged, `{"to":"over"}`}, {"fix.settled", `{"id":"f1"}`}, {LeverUndone, `{}`}, {LeverActive, `[]`},
	} {
		for _, s := range []*tale{story(t).measuring(), story(t).worked().goBack("").passes(), story(t).contained().putBack("to-standby")} {
			lock := s.in.Lock()
			s.record([]Event{{Incident: "inc-1", Type: c.typ, At: s.now, Data: json.RawMessage(c.data)}})
			if s.in.Lock() != lock || lock == "" {
				t.Errorf("%s with %s: the lock %q is %q", c.typ, c.data, lock, s.in.Lock())
			}
		}
	}
	s := story(t).contained().record([]Event{{Incident: "inc-1", Type: DiagnosisConfirmed, Data: json.RawMessage(`{"confidence":"proved"}`)}})
	if s.in.Diagnosis != nil {
		t.Errorf("diagnosed by nothing: %+v", s.in.Diagnosis)
	}
}

// What is told to people, and when the next word is owed.
func TestUpdates(t *testing.T) {
	t.Parallel()
	s := story(t).contained().do(SendUpdate{Audience: Public, Text: "It is down.", NextIn: 20 * time.Minute, Channels: []string{"mail"}})
	if !s.in.UpdateDue.Equal(night.Add(20*time.Minute)) || s.in.Updates[0].Channels["mail"] != "waiting" {
		t.Fatalf("due %s, %+v", s.in.UpdateDue, s.in.Updates)
	}
	s.later(20 * time.Minute).by(system).do(UpdateOverdue{}).do(Delivered{Update: "u1", Channel: "mail", Detail: "503"})
	if !s.in.UpdateRem || s.in.Updates[0].Channels["mail"] != "waiting: 503" {
		t.Errorf("reminded %v, %+v", s.in.UpdateRem, s.in.Updates)
	}
	if drafts, err := s.try(UpdateOverdue{}); err != nil || len(drafts) > 0 {
		t.Errorf("reminded twice: %v, %v", types(drafts), err)
	}
	s.do(Delivered{Update: "u1", Channel: "mail", OK: true}).by(ada).do(SnoozeUpdate{time.Hour, ""})
	if s.in.UpdateRem || !s.in.UpdateDue.Equal(s.now.Add(time.Hour)) || s.in.Updates[0].Channels["mail"] != "delivered" {
		t.Errorf("due %s, reminded %v, %+v", s.in.UpdateDue, s.in.UpdateRem, s.in.Updates)
	}
	if s.do(SendUpdate{Audience: Staff, Text: "Still down."}); s.in.UpdateDue.IsZero() {
		t.Error("a word without a promise takes the promise back")
	}
	if s.do(SendUpdate{Audience: Public, Text: "It is over.", Final: true, NextIn: time.Hour}); !s.in.UpdateDue.IsZero() {
		t.Errorf("after the last word the next is due %s", s.in.UpdateDue)
	}
}

// A write is remembered by its key, on its first event, for a while.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := story(t).do(Declare{}, func(f *Facts) { f.Key = "first" })
	for i := range maxKeys - 1 {
		s.do(Note{"x"}, func(f *Facts) { f.Key = numbered(i) })
	}
	if s.events[0].Key != "first" || !s.in.Wrote("first") || s.in.Wrote("never") || s.in.Wrote("") {
		t.Errorf("the first event has the key %q; known: %v", s.events[0].Key, s.in.Wrote("first"))
	}
	if s.do(PullLever{PullID: "p", Drill: false}, s.lever("to-standby"), func(f *Facts) { f.Key = "last" }); s.in.Wrote("first") || !s.in.Wrote("last") || len(s.in.Keys) != maxKeys {
		t.Errorf("%d keys; the first is known: %v", len(s.in.Keys), s.in.Wrote("first"))
	}
}

// News is what says something new; what a machine does in its turn is none.
func TestNewsAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cmd  Command
		news bool
	}{
		{Note{"Smoke."}, true}, {OpenCause{"The disk is full.", "df shows it"}, true}, {WeighCause{"c1", "e1", For, ""}, true}, {TestCause{Cause: "c1", Outcome: TestHeld}, true}, {ParkCause{"c1", sentence}, true},
		{ReopenCause{"c1", ""}, true}, {Captured{Evidence{Title: "x"}}, true}, {MarkChange{"ch-1", true, ""}, true}, {Choose{sentence, nil, "no", sentence}, true}, {plan2(), true},
		{Remind{}, false}, {SetSeverity{"low", ""}, false}, {SeeSight{Sight{Check: "front", Place: "home", Seen: "down"}}, false}, {SeeChanges{[]Change{{ID: "ch-2"}}}, false}, {Measure{}, false}, {AddFollowUp{FollowUp{What: sentence}}, false},
	} {
		s := story(t).contained().suspected().do(SeeChanges{[]Change{{ID: "ch-1", What: "x"}}})
		if _, back := c.cmd.(ReopenCause); back {
			s.do(ParkCause{"c1", sentence})
		}
		before := s.in.NewsAt
		s.later(time.Hour).do(c.cmd)
		if got := s.in.NewsAt.After(before); got != c.news {
			t.Errorf("%s is news: %v, want %v", nameOf(c.cmd), got, c.news)
		}
	}
}

// A watch after a fix that nobody has seen applied is as long as it is set.
func TestTheWatchOfAFixThatWasNeverApplied(t *testing.T) {
	t.Parallel()
	s := story(t).applying().do(FixCarriedOut{Detail: "exit 1"}).do(JudgeFix{StateWorked, "It works all the same."}).goBack("").passes().seen()
	if want := s.now.Add(time.Hour); !s.in.WatchUntil.Equal(want) {
		t.Errorf("the watch is until %s, want %s", s.in.WatchUntil, want)
	}
}

// The words of the phases are for people; each has its own.
func TestPhaseWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range []Phase{None, FailOver, Diagnose, Fixing, FailBack, Watch, Review, Closed, Cancelled} {
		if w := p.Words(); w == "" || seen[w] {
			t.Errorf("%q is called %q", p, w)
		}
		seen[p.Words()] = true
		if p != None && !p.known() {
			t.Errorf("%q is not known", p)
		}
	}
}
