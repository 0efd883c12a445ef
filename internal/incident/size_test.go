package incident

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// huge are texts that are too long for anything: each byte, and each character, as
// costly as it can be once it is written down.
var huge = []string{strings.Repeat("<", 40<<10), strings.Repeat("\u2028", 20<<10), strings.Repeat("\x00", 20<<10), strings.Repeat("\xff", 30<<10), strings.Repeat("𝕏 ", 20<<10)}

// full are texts at the limits of the commands, and just beyond them.
var full = func() []string {
	var out []string
	for _, n := range []int{maxTitle, maxLine, maxBrief, maxUpdate, maxText, maxOutput, maxSection} {
		out = append(out, strings.Repeat("<", n), strings.Repeat("<", n+1), strings.Repeat("é", n))
	}
	return out
}()

// Whatever people and machines say, no event holds more than it may: what is typed is
// refused when it does not fit, what a machine says is cut. Every command of every story
// is tried with each of its texts, and with all of them, swollen.
func TestEventsStaySmall(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	swell := func(s *tale) *tale {
		s.before = func(c Command, f Facts) {
			at := nameOf(c)
			if soak {
				at += string(s.in.Phase)
			}
			if tried[at] {
				return
			}
			tried[at] = true
			for _, text := range append(huge, full...) {
				for i := range len(texts(reflect.ValueOf(c))) + 1 {
					mustStaySmall(t, s, swollen(c, i-1, text), f, text)
				}
			}
			tried[nameOf(c)] = true
		}
		return s
	}
	wholeLoop(swell(story(t)))
	for _, row := range phaseTable {
		row.tell(swell(story(t)))
	}
	inStages(swell(story(t)))
	s := swell(story(t)).declareDrill().pull("to-standby").seen().note("It is a drill.")
	s.do(Drifted{Pull: "to-standby-1", Detail: "ns2 answers 192.0.2.9", Seen: json.RawMessage(`{}`)}).do(ScoreDrill{})
	swell(story(t)).contained().do(Remind{}).later(time.Hour).goBack("It is back.").do(Advance{sentence})
	swell(story(t)).interrupted().do(MeasureFix{}).do(JudgeFix{StateWorked, sentence}).do(ReportFix{Change: "I have rebooted it."})
	for _, name := range commands(t) {
		if !tried[name] {
			t.Errorf("no story has a %s", name)
		}
	}
}

// mustStaySmall decides on a swollen command.
func mustStaySmall(t *testing.T, s *tale, c Command, f Facts, text string) {
	t.Helper()
	f.StandbyDetail, f.SiteTitle = text, text
	drafts, err := s.in.Decide(c, f, s.now)
	what := fmt.Sprintf("%s at %q with %d times %q", nameOf(c), s.in.Phase, len(text), text[:min(4, len(text))])
	if kind := fault.KindOf(err); kind == fault.Internal {
		t.Fatalf("%s: %v", what, err)
	}
	if r := refusalOf(err); r != nil {
		drafts = s.in.Refused(r, f.Actor, s.now)
	} else if err != nil && unrefusable(c) {
		t.Fatalf("%s is not written down: %.200v", what, err)
	}
	for _, e := range s.in.Seal(drafts, s.now, s.newID) {
		if len(e.Data) > MaxData || len(e.Text) > maxTold {
			t.Fatalf("%s: %s has %d bytes, and tells %d", what, e.Type, len(e.Data), len(e.Text))
		}
		if !utf8.ValidString(e.Text) {
			t.Fatalf("%s: %s tells half a character", what, e.Type)
		}
	}
	if err := Verify(readBack(t, Incident{}.Seal(drafts, s.now, s.newID))); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// unrefusable says whether a command is never refused for its length: towards safety,
// and what a machine has seen.
func unrefusable(c Command) bool {
	switch c.(type) {
	case PullLever, StepBack, FixCarriedOut, FixTakenBack:
		return true
	case Adopt, ScoreDrill: // made by the engine alone
		return false
	}
	return permits(c) == ""
}

// texts are the fields of a value that hold a free text, at any depth; names and ids are
// none, as they have to be those of something.
func texts(v reflect.Value) []string {
	var out []string
	walkTexts(v, "", func(path string, _ reflect.Value) { out = append(out, path) })
	return out
}

// names are fields that name something that there is.
var names = map[string]bool{
	"Lever": true, "Pull": true, "PullID": true, "Cause": true, "Check": true, "Kind": true, "Seen": true, "ID": true, "Update": true, "Channel": true, "Channels": true, "Verdict": true,
	"Place": true, "State": true, "Result": true, "Role": true, "By": true, "Decision": true, "Handover": true, "Fix": true, "Options": false, "PullIDs": true, "Plan": true,
}

func walkTexts(v reflect.Value, path string, f func(string, reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		f(path, v)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && !names[field.Name] {
				walkTexts(v.Field(i), path+"."+field.Name, f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkTexts(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
	}
}

// swollen is a command with one of its texts, or all for -1, replaced. Lists become as
// long as nobody needs them.
func swollen(c Command, which int, text string) Command {
	v := reflect.New(reflect.TypeOf(c)).Elem()
	v.Set(reflect.ValueOf(c))
	n := 0
	for i := range v.NumField() { // a list is the caller's own
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Type() != reflect.TypeFor[json.RawMessage]() && f.Len() > 0 {
			f.Set(reflect.AppendSlice(reflect.MakeSlice(f.Type(), 0, f.Len()), f))
		}
	}
	walkTexts(v, "", func(_ string, f reflect.Value) {
		if which < 0 || n == which {
			f.SetString(text)
		}
		n++
	})
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case which >= 0:
		case f.Type() == reflect.TypeFor[[]string]() && f.Len() > 0:
			for range 100 {
				f.Set(reflect.Append(f, reflect.ValueOf(text)))
			}
		case f.Type() == reflect.TypeFor[json.RawMessage]():
			b, _ := json.Marshal([]string{text})
			f.SetBytes(b)
		}
	}
	return v.Interface().(Command)
}
