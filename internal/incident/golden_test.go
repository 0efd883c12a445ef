package incident

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Rewriting adds new stories, and gives the kept ones the fields that the state has
// gained. What was recorded once is never written anew.
var rewrite = flag.Bool("rewrite-golden", false, "add new stories to testdata, and write the states anew")

// heads are the hashes of the last events in the golden files: who changes an event
// there has to change them here, and should not.
var heads = map[string]string{
	"there and back":                     "1eaec11ada0dabea5cee6af4df8d1c5c875e0393e50520ba58a84fb09a3ea842",
	"a false alarm by a rule":            "6c8f812f3b9b56b0a275d07e936da7cf23b11680d96111c4e3d7da3722089bed",
	"a drill":                            "83ce90d51828c5072936cdbaef8d81d28e538c96f63033d5e77b1601f1fa6723",
	"a local order":                      "72a98f9a6664706836672b0d9c163840fe182256fa914b18d5a5d874fde6de0e",
	"the whole loop":                     "94c97b1dfe38430ca93c982230d6d6ca31a0b5c6585125607fbf14345c15c5b3",
	"back in stages":                     "b4c111b407ef34ce8dba6c839ac8132d8b20f4a0e0365f4d65d8741e576b0536",
	"given up":                           "989dd4819916453519bbe03246eba446e344b28f04b1e6136baf3902a0ec54a7",
	"the old place never comes back":     "9cc826fd8924102dff73a0524c8b98e77baadd9825d99d1773e50484e138fb2c",
	"there and back, by a newer version": "45ee6d52d3b56b21a197f22513226b1aabe4f3e195e08e8bc6b01b9537e21152",
}

// golden is one kept timeline and what it comes to.
type golden struct {
	Name   string   `json:"name"`
	Events []Event  `json:"events"`
	State  Incident `json:"state"`
}

// stories are crises for the golden file; together with those that are in it and not
// here any more they hold every type.
func stories(t *testing.T) []golden {
	var out []golden
	add := func(name string, s *tale) {
		out = append(out, golden{name, s.events, s.in})
	}
	add("the whole loop", wholeLoop(story(t)))

	add("back in stages", inStages(story(t)))
	add("given up", givenUp(story(t)))

	s := story(t).declare().pull("to-backup").seen().later(time.Hour)
	s.do(MakePermanent{"The old machine burnt down."}, at("backup", "up")).home("up")
	add("the old place never comes back", s.later(time.Hour).do(WatchOver{}).do(Close{"Nobody was surprised."}))
	return out
}

// at says where visitors are, and how it is there.
func at(place, seen string) func(*Facts) {
	return func(f *Facts) { f.Place, f.PlaceSeen, f.Origin = place, seen, place != "standby" }
}

// wholeLoop is a crisis in which everything is done that can be done.
func wholeLoop(s *tale) *tale {
	s.t.Helper()
	callForHelp(s)
	findOut(s)
	fixInVain(s)
	fixIt(s)
	s.by(ada).later(30 * time.Minute).do(ParkLever{Lever: "search-off", Owner: "Olga", Until: s.now.Add(72 * time.Hour), Reason: "The index is rebuilt first."})
	s.do(UnparkLever{"checkout-off"}).goBack("").passes().seen().home("up")
	s.by(probes).do(ReadAgain{Reading{At: s.now, Verdict: "pass", Took: 70 * time.Millisecond}}).do(Measure{s.in.Measured(s.now)})
	s.later(time.Hour).by(system).do(WatchOver{})
	writeItDown(s)
	return s
}

// callForHelp is the first step, and what people are told.
func callForHelp(s *tale) {
	s.t.Helper()
	carried := Pull{ID: "old-1", Lever: "checkout-off", Kind: "feature", Title: "Close the checkout", Target: "feature:checkout", From: "on", To: "off", State: Active, Token: 7, By: olga,
		At: night.Add(-50 * time.Hour), SeenAt: night.Add(-50 * time.Hour), Plan: json.RawMessage(`{"steps":[]}`), Parked: &Parking{Owner: "Olga", Until: night.Add(time.Hour), Reason: "The tills are slow.", By: ada, At: night.Add(-49 * time.Hour)}}
	s.by(rita).do(Declare{Title: "The shop is down", Symptom: "nothing-loads", Noticed: "visitor", FirstSymptomAt: night.Add(-9 * time.Minute), RecurrenceOf: "inc-0"}, func(f *Facts) { f.Parked, f.Key = []Pull{carried}, "key-1" })
	s.by(probes).do(SeeSight{Sight{At: night.Add(-5 * time.Minute), Check: "front", Place: "home", Home: true, Seen: "down", Detail: "connection refused"}})
	s.by(rita).later(time.Minute).pull("to-standby").by(system).seen()
	s.by(ada).do(TakeRole{"lead"}).do(SetSeverity{"high", "Nobody can buy."}).do(LinkIncident{Incident: "inc-3"})
	s.do(SendUpdate{Audience: Public, Text: "The shop does not answer. We look into it.", NextIn: 20 * time.Minute, Channels: []string{"mail", "chat"}})
	s.by(system).do(Delivered{Update: "u1", Channel: "mail", OK: true}).do(Delivered{Update: "u1", Channel: "chat", Detail: "503"}).do(Delivered{Channel: "pager", Detail: "100% full"})
	s.later(21 * time.Minute).do(UpdateOverdue{}).by(ada).do(SnoozeUpdate{10 * time.Minute, "We test a guess."})
	s.do(Choose{Question: "Wake the owner?", Options: []string{"now", "at seven"}, Chosen: "At seven", Reason: "Visitors are looked after."}).by(olga).do(Object{"d1", "She would want to know."})
	s.by(ada).do(OfferHandover{Role: "lead", To: "Cora", Brief: Brief{"Visitors see the status page.", "Olga looks at the disk.", "Somebody who knows the index."}})
	s.by(cora).do(AcceptHandover{"h1"}).by(ada).do(TakeRole{"scribe"}).do(ReleaseRole{"scribe"})
}

// findOut is the second step.
func findOut(s *tale) {
	s.t.Helper()
	s.by(probes).do(SeeChanges{[]Change{{ID: "ch-1", At: night.Add(-time.Hour), Kind: "deploy", Source: "ci", Who: "Olga", What: "release 42", Ref: "v42"}, {ID: "ch-2", At: night.Add(-2 * time.Hour), Kind: "dns", What: "TTL 300"}}})
	s.by(olga).do(MarkChange{"ch-1", true, "It touches the logs."})
	s.by(probes).do(Captured{Evidence{Kind: "metrics", Title: "Disk use", Summary: "100 %", Deciding: "/dev/sda1 100%", Collector: "prometheus", At: s.now, TookMS: 12, SHA256: strings.Repeat("ab", 32), Size: 99, Type: "application/json"}})
	s.by(rita).do(Attach{Evidence{Kind: "image", Title: "What I see", Name: "screen.png", Size: 4, SHA256: strings.Repeat("cd", 32)}}).by(olga).do(Redact{"e2", "It shows an address."})
	s.do(OpenCause{"The disk is full.", "df shows 100 %."}).do(OpenCause{Statement: "Release 42 is broken."}).do(OpenCause{"The network is down.", "ping fails"})
	s.do(WeighCause{"c1", "e1", For, "It fits."}).do(WeighCause{"c2", "ch-1", Neutral, ""}).do(WeighCause{"c3", "e1", Against, "It answers pings."})
	s.do(TestCause{Cause: "c1", Outcome: TestUnclear}).do(TestCause{"c1", "df -h shows it", TestHeld, "100 % used"})
	s.do(RuleOut{"c3", "ping answers."}).do(ParkCause{"c2", "Later."}).do(ReopenCause{"c2", "Not so fast."}).do(ParkCause{"c2", "It was there for days."})
	s.do(ConfirmCause{Cause: "c1", Confidence: Likely}).do(WithdrawDiagnosis{"df lies."})
	s.do(ConfirmCause{Cause: "c1", Also: []string{"c2"}, Factors: []string{"Nobody watched the disk.", "Logs are never deleted."}})
}

// fixInVain has a fix that is withdrawn, one that does nothing and is rolled back, and
// one that a lever interrupts.
func fixInVain(s *tale) {
	s.t.Helper()
	s.by(olga).do(plan()).do(WithdrawFix{"Wrong host."})
	next := plan()
	next.Action, next.Promise.Below, next.Promise.From = "restart", time.Second, "fails"
	s.do(next).by(cora).do(ObjectToFix{"Not while the backup runs."}).do(ApproveFix{}).by(olga).do(ApplyFix{})
	s.by(system).do(FixCarriedOut{OK: true, Detail: "exit 0", Output: "restarted"}).read("fail").later(5 * time.Minute).read("fail")
	s.by(olga).do(TakeBackFix{}).by(system).do(FixTakenBack{Detail: "exit 1", Output: "no such unit"}).by(olga).do(TakeBackFix{"f2"}).do(FixTakenBack{OK: true})
	s.later(time.Hour).do(TestCause{Cause: "c1", Outcome: TestHeld}).do(ConfirmCause{Cause: "c1", Also: []string{"c2"}})
	s.do(plan()).later(10 * time.Minute).do(GoAlone{"Everybody sleeps."}).later(time.Minute).do(ApplyFix{})
	s.pull("search-off").seen().do(KeepFix{"The logs are gone for good."})
}

// fixIt has the fix that works.
func fixIt(s *tale) {
	s.t.Helper()
	s.later(time.Hour).do(ConfirmCause{Cause: "c1", Also: []string{"c2"}, Reason: "It grows again."}).do(plan()).by(cora).do(ApproveFix{}).by(olga).do(ApplyFix{})
	s.do(FixCarriedOut{OK: true}).read("pass").read("fail").read("pass").read("pass")
}

// writeItDown is the write-up, the end, and what is said after it.
func writeItDown(s *tale) {
	s.t.Helper()
	s.by(olga).do(EditSection{"impact", "About 40 people called."}).do(Answer{"surprise", "The disk was never watched."})
	s.do(JudgeFinding{Finding{ID: "slow-approval", About: AboutProcess, Text: "Nobody answered for ten minutes.", Accepted: true, Note: "True."}}).do(JudgeFinding{Finding{About: AboutArchitecture, Text: "One disk holds all."}})
	s.do(AddFollowUp{FollowUp{What: "Watch the disk.", Class: "detect"}}).do(AddFollowUp{FollowUp{Kind: "idea", What: "A second disk."}}).do(AddFollowUp{FollowUp{What: "Rotate the logs.", Owner: "Otto", Due: night.Add(240 * time.Hour), DoneWhen: "df stays below 50 %."}})
	s.do(ChangeFollowUp{FollowUp{ID: "a1", Owner: "Olga", Due: night.Add(240 * time.Hour), DoneWhen: "An alarm at 80 % was seen.", Tracker: "T-7"}})
	s.do(EndFollowUp{"a2", "declined", "Too dear."}).do(EndFollowUp{"a3", "done", ""})
	s.by(cora).do(Finalise{strings.Repeat("ef", 32)}).by(olga).do(EditSection{"impact", "About 50 people called."}).by(cora).do(Finalise{strings.Repeat("01", 32)})
	s.do(SendUpdate{Audience: Public, Text: "The shop is back. We are sorry.", Final: true}).do(Close{})
	s.facts.Ended = true
	s.later(24 * time.Hour).by(olga).do(Correct{s.events[3].ID, "It was 02:51."}).do(EndFollowUp{"a3", "verified", "df shows 40 %."})
}

// strangers turns a kept timeline into one that a newer version wrote: fields, types
// and a schema that this version does not know.
func strangers(in golden) golden {
	var drafts []Event
	for i, e := range in.Events {
		e.Data = bytes.Replace(e.Data, []byte("{"), []byte(`{"of_a_newer_version":{"a":[1,2]},`), 1)
		e.Data = bytes.Replace(e.Data, []byte(",}"), []byte("}"), 1)
		drafts = append(drafts, e, Event{
			ID: fmt.Sprintf("NEWER%021d", i), Incident: e.Incident, Type: Type(fmt.Sprintf("newer.thing_%d", i)), At: e.At, RecordedAt: e.RecordedAt,
			AtSource: "satellite", Actor: Actor{Kind: "swarm"}, Visibility: "staff", Story: "auto", Text: "Something new.", Data: json.RawMessage(`{"pull":"standby-2","to":"closed"}`),
		})
	}
	prev := ""
	for i := range drafts {
		e := &drafts[i]
		e.Seq, e.Schema, e.PrevHash = uint64(i+1), 2, prev
		e.Hash = e.digest()
		prev = e.Hash
	}
	return golden{in.Name + newer, drafts, Fold(drafts)}
}

const newer = ", by a newer version"

func keep(t *testing.T, file string, gs []golden) {
	t.Helper()
	b, err := json.MarshalIndent(gs, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join("testdata", file), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// kept reads a golden file. Indentation in the file is taken out of the data again,
// as it is no part of what was hashed.
func kept(t failer, file string) []golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatalf("%v", err)
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, b); err != nil {
		t.Fatalf("%v", err)
	}
	var gs []golden
	if err := json.Unmarshal(flat.Bytes(), &gs); err != nil {
		t.Fatalf("%v", err)
	}
	if len(gs) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return gs
}

// The golden files: what this version writes, and the same by a newer one.
const (
	goldenFile = "events-v1.json"
	newerFile  = "events-newer.json"
)

func TestGoldenRewrite(t *testing.T) {
	if !*rewrite {
		t.Skip("the golden files stay as they are; -rewrite-golden writes them")
	}
	v1 := merged(kept(t, goldenFile), stories(t))
	keep(t, goldenFile, v1)
	keep(t, newerFile, merged(kept(t, newerFile), nil))
}

// merged keeps the events of old stories, folds them anew, and adds new stories.
func merged(old, fresh []golden) []golden {
	for i := range old {
		old[i].State = Fold(old[i].Events)
	}
	for _, g := range fresh {
		if !slices.ContainsFunc(old, func(o golden) bool { return o.Name == g.Name }) {
			old = append(old, g)
		}
	}
	return old
}

func called(t failer, gs []golden, name string) golden {
	t.Helper()
	i := slices.IndexFunc(gs, func(g golden) bool { return g.Name == name })
	if i < 0 {
		t.Fatalf("no story %q", name)
	}
	return gs[i]
}

// What format 1 holds folds to the same state for ever.
func TestGolden(t *testing.T) {
	t.Parallel()
	found := 0
	for _, file := range []string{goldenFile, newerFile} {
		for _, g := range kept(t, file) {
			found++
			t.Run(file+"/"+g.Name, func(t *testing.T) {
				t.Parallel()
				if err := Verify(g.Events); err != nil {
					t.Errorf("the chain: %v", err)
				}
				if got := g.Events[len(g.Events)-1].Hash; got != heads[g.Name] {
					t.Errorf("the events were changed: they end with %s, want %q", got, heads[g.Name])
				}
				if got, want := stateJSON(t, Fold(g.Events)), stateJSON(t, g.State); got != want {
					t.Errorf("folds to\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
	if found != len(heads) {
		t.Errorf("%d stories in the golden files, %d are known here", found, len(heads))
	}
}

// The golden file leaves out no type of this version.
func TestGoldenHoldsEveryType(t *testing.T) {
	t.Parallel()
	held := map[Type]bool{}
	for _, g := range kept(t, goldenFile) {
		for _, e := range g.Events {
			held[e.Type] = true
		}
	}
	all := allTypes(t)
	for _, typ := range all {
		if !held[typ] {
			t.Errorf("no %s in the golden file", typ)
		}
	}
	for typ := range folds {
		if !slices.Contains(all, typ) {
			t.Errorf("%s is folded and no constant of this package", typ)
		}
	}
}

// This version still tells the whole loop in the same events, so that the story in the
// golden file is one of today.
func TestTheWholeLoopIsTheKeptOne(t *testing.T) {
	t.Parallel()
	s := wholeLoop(story(t))
	if err := Verify(s.events); err != nil {
		t.Fatal(err)
	}
	g := called(t, kept(t, goldenFile), "the whole loop")
	if got, want := types(s.events), types(g.Events); !slices.Equal(got, want) {
		t.Errorf("got\n%v\nkept\n%v", got, want)
	}
}

// source is the package's own code, without its tests.
func source(t failer) []*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatalf("%v", err)
	}
	var out []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("%v", err)
		}
		out = append(out, f)
	}
	return out
}

// allTypes are the types of events that the code declares.
func allTypes(t failer) []Type {
	t.Helper()
	var out []Type
	for _, f := range source(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			v, is := n.(*ast.ValueSpec)
			if !is {
				return true
			}
			if of, named := v.Type.(*ast.Ident); named && of.Name == "Type" {
				for _, x := range v.Values {
					s, err := strconv.Unquote(x.(*ast.BasicLit).Value)
					if err != nil {
						t.Fatalf("%v", err)
					}
					out = append(out, Type(s))
				}
			}
			return true
		})
	}
	if len(out) < len(folds) {
		t.Fatalf("only %d types found in the code, and %d are folded", len(out), len(folds))
	}
	return out
}

// A newer version's timeline comes to what it comes to without the news, but for
// the numbers of the events.
func TestNewerVersionChangesNothingElse(t *testing.T) {
	t.Parallel()
	all := kept(t, newerFile)
	for _, g := range kept(t, goldenFile) {
		all = append(all, strangers(g))
	}
	for _, g := range all {
		name := strings.TrimSuffix(g.Name, newer)
		if got, want := numberless(t, g.State), numberless(t, called(t, kept(t, goldenFile), name).State); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// numberless is a state without the numbers of its events.
func numberless(t failer, in Incident) string {
	t.Helper()
	in.Seq, in.Hash = 0, ""
	in.Pulls = slices.Clone(in.Pulls)
	for i := range in.Pulls {
		in.Pulls[i].Token = 0
	}
	return stateJSON(t, in)
}
