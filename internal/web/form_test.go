package web

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
	"lifeboat/internal/role"
)

// TestRefusedKeepsWhatWasTyped: of every form that the engine refuses, all that was
// typed is there again, in its fields.
func TestRefusedKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("壊", 5000)
	cases := []struct {
		name   string
		set    func(*boat)
		path   string
		button string
		typed  []string
		status int
		says   string
	}{
		{"note too long", declared, "note", "Write down what you see", []string{"text=" + strings.Repeat("壊", 6000)}, 400, "at most 16384 fit"},
		{"message too long", contained, "tell", "Tell people", []string{"text=" + strings.Repeat("x", 1501), "within=7 min", "audience=staff"}, 400, "more than 1500 characters"},
		{"message without a time", contained, "tell", "Tell people", []string{"text=we look", "within=soon"}, 400, "is no length of time"},
		{"guess too long", looking, "cause", "Add a guess", []string{"text=" + long, "prediction=we see it"}, 400, "more than 4000 characters"},
		{"fix without a cause", looking, "fix", "Write down one fix", []string{"text=restart <all>", "check=pay", "below=300 ms", "within=2 min", "to=faster", "way_back=nothing", "takes=a while", "risk=much", "owner=Tom", "action=roll-back"}, 409, "Rule R6"},
		{"fix within no time", diagnosed, "fix", "Write down one fix", []string{"text=restart", "within=a while"}, 400, "is no length of time"},
		{"confirm with doubts", looking, "confirm?cause=c1", "Yes, this is the cause", []string{"factors=one\ntwo", "confidence=likely"}, 409, "No prediction of c1 was tested"},
		{"park without a day", looking, "park?lever=to-standby", "Leave it pulled for now: Show visitors the status page", []string{"owner=Tom", "until=2020-01-01", "text=it can wait"}, 400, "in the future"},
		{"handover to nobody", looking, "hand-over", "Hand over", []string{"owner=" + strings.Repeat("J", 70), "things=so and so", "doing=this", "needs=that"}, 400, "say who takes over"},
		{"decision too long", looking, "decide", "Write down a decision", []string{"question_text=do we?", "options=a\nb", "chosen=" + strings.Repeat("x", 4001), "text=why not"}, 400, "more than 4000 characters"},
		{"return without a word", looking, "go-back", "Go back", []string{"text=ok"}, 409, "Rule R22"},
		{"close without a word", reviewing, "close", "Close it", []string{"text=no"}, 409, "Rule R18"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			c.set(b)
			br := browse(t, b.handler())
			br.enter(b)
			before := br.open("/sites/shop/" + c.path)
			p := before.press(c.button, c.typed...).want(c.status)
			if !strings.Contains(strings.ToLower(plainSpace(p.text())), strings.ToLower(c.says)) {
				t.Errorf("does not say %q:\n%.2000s", c.says, p.text())
			}
			for _, s := range c.typed {
				name, want, _ := strings.Cut(s, "=")
				if got := p.value(name); got != want {
					t.Errorf("%s came back as %.200q, want %.200q", name, got, want)
				}
			}
			checkPage(t, p)
		})
	}
}

// value is what a form holds under a name: typed, chosen or ticked.
func (p *sheet) value(name string) string {
	p.b.t.Helper()
	for _, f := range p.all("form") {
		if p.hasField(f, name) && strings.Contains(get(f, "class"), "form") {
			return p.filled(f).Get(name)
		}
	}
	return "no such field"
}

// TestOverrideKeepsBoth: neither what was typed first nor why to go on is lost, and
// both arrive.
func TestOverrideKeepsBoth(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	p := browse(t, b.handler()).enter(b).follow("Write down one fix").press("Write down one fix", "text=a smaller pool", "check=home", "way_back=the old one", "takes=a minute").want(http.StatusConflict, "Rule R6")
	p = p.press("Do it anyway: Write down one fix", "reason=no").want(http.StatusConflict, "Rule R6")
	if text, reason := p.value("text"), p.value("reason"); text != "a smaller pool" || reason != "no" {
		t.Errorf("came back as %q and %q", text, reason)
	}
	p.press("Do it anyway: Write down one fix", "reason=visitors are safe and the way back takes 40 s").want(http.StatusOK, "Rule R6 was passed by Ada")
	f := b.in().Fixes[0]
	if f.Change != "a smaller pool" || f.WayBack != "the old one" || f.Takes != "a minute" || len(b.in().Overrides) != 1 {
		t.Errorf("%+v\n%+v", f, b.in().Overrides)
	}
}

// TestOverrideNeedsTheRole: who may not go on anyway is told who can, and gets no field.
func TestOverrideNeedsTheRole(t *testing.T) {
	t.Parallel()
	b := launch(t)
	returning(b)
	b.person("jonas", "Jonas", role.Operator)
	p := browse(t, b.handler()).enterAs("jonas").follow("Go on before the checks are all in").press("Go on before the checks are all in", "text=I can see that it works")
	p.want(http.StatusConflict, "Rule R13", "Somebody with the role commander can go on anyway with a reason.")
	if len(p.all("textarea")) != 1 || p.field("text") != "I can see that it works" {
		t.Errorf("a field to go on anyway, or what was typed is gone:\n%s", p.text())
	}
}

// TestSentTwiceActsOnce: a form that is sent again, by a nervous hand or a slow line,
// does not act again.
func TestSentTwiceActsOnce(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	br := browse(t, b.handler())
	br.enter(b)
	for _, c := range []struct {
		path, button string
		typed        []string
		count        func() int
	}{
		{"note", "Write down what you see", []string{"text=one page is slow"}, func() int { return int(b.in().Seq) }},
		{"cause", "Add a guess", []string{"text=it is the disk"}, func() int { return len(b.in().Causes) }},
		{"tell", "Tell people", []string{"text=we are at it"}, func() int { return len(b.in().Updates) }},
		{"evidence", "Add evidence", []string{"title=a note on it"}, func() int { return len(b.in().Evidence) }},
	} {
		form := br.open("/sites/shop/" + c.path)
		first := form.press(c.button, c.typed...).want(http.StatusOK)
		once := c.count()
		again := form.press(c.button, c.typed...).want(http.StatusOK)
		if c.count() != once {
			t.Errorf("%s: twice makes %d of %d", c.path, c.count(), once)
		}
		if first.url.Path != again.url.Path {
			t.Errorf("%s leads to %s, then to %s", c.path, first.url.Path, again.url.Path)
		}
		br.open("/sites/shop/"+c.path).press(c.button, c.typed...).want(http.StatusOK)
		if c.count() <= once {
			t.Errorf("%s: a form that is opened anew does nothing", c.path)
		}
	}
}

// TestSentAtOnce: two presses of one form at the same moment make one act.
func TestSentAtOnce(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	br := browse(t, b.handler())
	br.enter(b)
	form := br.open("/sites/shop/cause")
	var all sync.WaitGroup
	for range 8 {
		r := form.prepare("Add a guess", "text=it is the disk")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		all.Go(func() {
			resp, err := br.client.Do(r)
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	if n := len(b.in().Causes); n != 3 {
		t.Errorf("%d guesses, want the two there were and one", n)
	}
}

// TestDeclaredMeanwhile: two people call it at once; the second one is led to where it
// stands.
func TestDeclaredMeanwhile(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := browse(t, b.handler())
	mine := br.enter(b)
	second := br.other()
	second.enter(b).press("Something is wrong").want(http.StatusOK, "What are visitors meeting?")
	mine.press("Something is wrong").want(http.StatusOK, "Somebody has called it already.", "What are visitors meeting?")
}

// TestStalePage: nothing happens by a page that shows what is no longer so, nothing
// typed is lost, and what leads to safety passes all the same.
func TestStalePage(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	br := browse(t, b.handler())
	p := br.enter(b)
	back, note, guess := br.open("/sites/shop/go-back"), br.open("/sites/shop/note"), br.open("/sites/shop/cause")
	b.do(incident.GoBack{Because: "the release was taken back"})
	seq := b.in().Seq
	stale := back.press("Go back", "text=the cable is back").want(http.StatusConflict, "Something has happened meanwhile.", "Meanwhile: ")
	if got := stale.field("text"); got != "the cable is back" {
		t.Errorf("came back as %q", got)
	}
	guess.press("Add a guess", "text=it is the disk", "prediction=df says so").want(http.StatusConflict, "Something has happened meanwhile.")
	if b.in().Seq != seq {
		t.Error("a stale page did something")
	}
	note.press("Write down what you see", "text=it is slow").want(http.StatusOK, "it is slow")
	back = br.open("/").want(http.StatusOK, "We ask the real site, directly.")
	b.do(incident.StepBack{})
	back.press("Go back to safety").want(http.StatusConflict) // there is nothing to step back from by now
	p.want(http.StatusOK)
}

// TestFormIsGone: where the form itself makes no sense any more, what was typed is there
// to be copied.
func TestFormIsGone(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	br := browse(t, b.handler())
	br.enter(b)
	note := br.open("/sites/shop/note")
	b.breaks(probe.Up, "")
	b.do(incident.Cancel{Reason: "it was nothing"})
	text := "line one\nline two"
	p := note.press("Write down what you see", "text="+text).want(http.StatusNotFound, "there is no open incident")
	if got := p.field("text"); got != text {
		t.Errorf("came back as %q", got)
	}
}

// TestLongText: what is long but fits arrives whole, and the address stays short.
func TestLongText(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	lines := strings.TrimSpace(strings.Repeat("It <b>broke</b> & we \"looked\" at it.\n\n", 400))
	p := browse(t, b.handler()).enter(b).b.open("/sites/shop/note").press("Write down what you see", "text="+lines).want(http.StatusOK)
	if len(p.url.RequestURI()) > 4096 {
		t.Errorf("the address has %d bytes: servers and proxies refuse that", len(p.url.RequestURI()))
	}
	if got := p.follow("All of it").text(); !strings.Contains(got, strings.Join(strings.Fields(lines), " ")) {
		t.Error("the note is not in the timeline as it was typed")
	}
}

// TestTooBig: more than a form may carry is refused in words, and not run by halves.
func TestTooBig(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	seq := b.in().Seq
	br := browse(t, b.handler())
	br.enter(b)
	for _, n := range []int{maxForm, 10 << 20} { // a real server: a browser must get the answer
		big := url.Values{"text": {strings.Repeat("x", n)}}
		for _, path := range []string{"/sites/shop/note", "/sites/shop/declare", "/sign-in", "/nowhere"} {
			for _, kind := range []string{"multipart/form-data", ""} {
				body, kind := encode(t, kind, big)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, br.base+path, body)
				must(t, err)
				r.Header.Set("Content-Type", kind)
				p := br.send(r)
				p.want(http.StatusRequestEntityTooLarge, "That was more than 64 KiB, so nothing was done.")
			}
		}
	}
	if b.in().Seq != seq {
		t.Error("run by halves")
	}
}

// TestBrokenForm: what can't be read is refused, and not run by halves.
func TestBrokenForm(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := b.handler()
	c := b.cookie(h)
	for kind, body := range map[string]string{
		"application/x-www-form-urlencoded":  "text=%zz&lever=to-standby",
		"multipart/form-data; boundary=b":    "--b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhalf",
		"multipart/form-data":                "no boundary",
		"multipart/form-data; boundary=b; b": "--b--",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sites/shop/declare", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		r.AddCookie(c)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "The form could not be read, so nothing was done.") {
			t.Errorf("%s: %d: %.300s", kind, w.Code, w.Body)
		}
	}
	if b.in().Phase != incident.None {
		t.Error("run by halves")
	}
}

func TestUnknownActOrSite(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := b.handler()
	c := b.cookie(h)
	for path, says := range map[string]string{
		"/sites/shop/explode":    "There is no act &#34;explode&#34;.",
		"/sites/nowhere/declare": "There is no site &#34;nowhere&#34;.",
		"/sites/shop/pull":       "There is no lever &#34;&#34;.",
		"/incidents/01X/answer":  "There is no incident &#34;01X&#34;.",
	} {
		w := request(t, h, http.MethodPost, path, url.Values{"reason": {"what I typed"}}, with(c))
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), says) || !strings.Contains(w.Body.String(), "what I typed") {
			t.Errorf("%s: %d:\n%s", path, w.Code, w.Body)
		}
	}
}

// TestNothingChangesByGet: a link that somebody sends can't press anything.
func TestNothingChangesByGet(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	br := browse(t, b.handler())
	br.enter(b)
	seq := b.in().Seq
	for name := range acts {
		for _, base := range []string{"/sites/shop/", "/incidents/" + b.in().ID + "/", "/lifeboat/"} {
			p := br.open(base + name + "?lever=to-standby&text=because&reason=because&cause=c1&name=ada&evidence=e1&anyway=1")
			if p.status >= 500 {
				t.Errorf("%s%s: %d", base, name, p.status)
			}
		}
	}
	br.open("/sign-out").want(http.StatusNotFound)
	if br.open("/").url.Path != "/" || b.in().Seq != seq {
		t.Error("signed out, or something was done")
	}
}

// TestEngineFails: pages that can't be made say so in words.
func TestEngineFails(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	o := b.options()
	broken := &failing{Engine: o.Engine}
	o.Engine = broken
	br := browse(t, New(o))
	br.enter(b)
	form := br.open("/sites/shop/note")
	broken.fails(fmt.Errorf("the store is gone"))
	for _, path := range []string{"/", "/sites/shop", "/levers", "/features", "/follow-ups", "/settings", "/incidents", "/incidents/" + b.in().ID, "/changes", "/messages"} {
		br.open(path).want(http.StatusInternalServerError, "That did not work.", "The store is gone.", "To the first page")
	}
	if got := form.press("Write down what you see", "text=it is slow").want(http.StatusInternalServerError).field("typed"); got != "it is slow" {
		t.Errorf("what was typed came back as %q", got)
	}
}

const hostile = `"'></textarea></title><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}`

// TestHostileText: what people and machines wrote is shown, and does nothing.
func TestHostileText(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("eve", hostile[:40], role.Operator)
	contained(b)
	b.set(func() { b.detail = hostile; b.sick = hostile })
	b.look()
	br := browse(t, b.handler())
	br.enterAs("eve")
	type form struct{ path, button string }
	fill := func(f form, typed ...string) {
		t.Helper()
		br.open(f.path).press(f.button, typed...)
	}
	site := "/sites/shop/"
	fill(form{site + "note", "Write down what you see"}, "text="+hostile)
	fill(form{site + "cause", "Add a guess"}, "text="+hostile, "prediction="+hostile)
	fill(form{site + "cause", "Add a guess"}, "text=another")
	fill(form{site + "evidence", "Add evidence"}, "title="+hostile, "text="+hostile)
	fill(form{site + "weigh?cause=c1", "Weigh it"}, "evidence=e1", "stance=for", "note="+hostile)
	fill(form{site + "test?cause=c1", "Write down the test"}, "outcome=held", "saw="+hostile)
	fill(form{site + "rule-out?cause=c2", "Rule it out"}, "text="+hostile)
	fill(form{site + "tell", "Tell people"}, "text="+hostile)
	fill(form{site + "decide", "Write down a decision"}, "question_text="+hostile, "options="+hostile, "chosen="+hostile, "text="+hostile)
	fill(form{site + "hand-over", "Hand over"}, "owner="+hostile[:40], "things="+hostile, "doing="+hostile, "needs="+hostile)
	fill(form{"/lifeboat/change", "Add a change"}, "text="+hostile, "who="+hostile, "ref=javascript:alert(1)")
	fill(form{site + "confirm?cause=c1", "Yes, this is the cause"}, "factors="+hostile)
	fill(form{site + "fix", "Write down one fix"}, "text="+hostile, "way_back="+hostile, "takes="+hostile, "risk="+hostile, "to="+hostile, "owner="+hostile[:40])
	in := b.in()
	if len(in.Causes) != 2 || len(in.Evidence) != 1 || len(in.Fixes) != 1 || len(in.Decisions) != 1 || len(in.Handovers) != 1 {
		t.Fatalf("the text was not taken: %+v", in)
	}
	here := "/incidents/" + in.ID
	paths := []string{"/", "/levers", "/features", "/follow-ups", "/settings", "/changes", "/messages", "/incidents", here, here + "?all=1", here + "/crew", here + "/evidence", here + "/evidence/e1", here + "/write-up", here + "/write-up?public=1",
		site + "accept?handover=h1", site + "confirm?cause=c1", site + "weigh?cause=c1", site + "pull?lever=" + url.QueryEscape(hostile), site + "note?text=" + url.QueryEscape(hostile),
		"/sites/" + url.PathEscape(hostile), "/incidents/" + url.PathEscape(hostile), "/?m=" + url.QueryEscape(hostile), site + url.PathEscape(hostile), "/account", here + "/answer?question=" + url.QueryEscape(hostile)}
	shown := 0
	for _, path := range paths {
		p := br.open(path)
		checkQuiet(t, p)
		balanced(t, p.raw)
		if strings.Contains(p.text(), "<script>alert(1)") {
			shown++
		}
		for _, a := range p.all("a") {
			if strings.HasPrefix(get(a, "href"), "javascript:") {
				t.Errorf("%s links to %s", path, get(a, "href"))
			}
		}
	}
	if shown < 10 {
		t.Errorf("only %d pages show what was written", shown)
	}
}

// TestViewer: who only looks sees everything, nothing that can be pressed, and why.
func TestViewer(t *testing.T) {
	t.Parallel()
	for _, set := range []func(*boat){func(*boat) {}, declared, contained, looking, diagnosed, planned, noEffect, cured, returning, watching, reviewing} {
		b := launch(t)
		set(b)
		b.person("vera", "Vera", role.Viewer)
		br := browse(t, b.handler())
		p := br.enterAs("vera").want(http.StatusOK, "Your role, viewer, looks at everything and changes nothing.")
		pages := []*sheet{p, br.open("/levers"), br.open("/changes"), br.open("/messages")}
		if in := b.in(); in.ID != "" {
			here := "/incidents/" + in.ID
			pages = append(pages, br.open(here), br.open(here+"/crew"), br.open(here+"/evidence"), br.open(here+"/write-up"), br.open("/sites/shop/fix"))
		}
		for _, p := range pages {
			checkPage(t, p)
			for _, n := range p.all("button") {
				if get(n, "name") == "language" {
					continue
				}
				t.Errorf("%s at %s: the button %q can be pressed", b.in().Phase, p.url, words(n))
			}
		}
		seq := b.in().Seq
		for name := range acts {
			r := url.Values{"text": {"what I typed"}, "lever": {"to-standby"}, "cause": {"c1"}, "reason": {"I want to"}, "outcome": {"held"}, "stance": {"for"}, "level": {"low"}, "role": {"lead"}}
			w := br.post("/sites/shop/"+name, r)
			if w.status == http.StatusOK && w.url.Path != "/sites/shop" && !strings.HasPrefix(w.url.Path, "/incidents") {
				t.Errorf("%s: %d at %s", name, w.status, w.url)
			}
		}
		if b.in().Seq != seq {
			t.Errorf("%s: a viewer did something", b.in().Phase)
		}
	}
}

// post sends a form past any page.
func (b *browser) post(path string, fields url.Values) *sheet {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+path, strings.NewReader(fields.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(r)
}

// TestReporter: anyone in the company gets visitors to safety, and is told who does
// the rest.
func TestReporter(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.armed()
	b.person("rita", "Rita", role.Reporter)
	br := browse(t, b.handler())
	p := br.enterAs("rita").press("Something is wrong").press("I’m not sure").press("Show visitors the status page").want(http.StatusOK, "Visitors are looked after.", "Your role, reporter, may not send an update. Somebody with the role operator can.")
	p.press("Keep", "text=customers call").want(http.StatusOK, "customers call")
	if !without(p, "Tell people") {
		t.Error("a reporter can press Tell people")
	}
}

// without says that a button is not drawn: what can't be pressed now is said in words.
func without(p *sheet, button string) bool {
	return !slices.ContainsFunc(p.all("button"), func(n *html.Node) bool { return words(n) == button })
}

// TestSmallWays: what the long way does not pass.
func TestSmallWays(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*boat, *browser){
		"false alarm": func(b *boat, br *browser) {
			p := br.enter(b).press("Something is wrong")
			p.follow("It was a false alarm").press("It was a false alarm").want(http.StatusOK, "All is well.", "false alarm")
		},
		"visitors stay": func(b *boat, br *browser) {
			p := br.enter(b).press("Something is wrong").press("Some pages fail")
			p.follow("Leave visitors where they are").press("Leave visitors where they are", "text=it is one page").want(http.StatusOK, "What happened?", "Visitors stay where they are.", "It is one page.")
		},
		"one press declares and pulls": func(b *boat, br *browser) {
			b.armed()
			br.enter(b).press("Show visitors the status page").want(http.StatusOK, "Visitors are looked after.")
		},
		"taken back at once": func(b *boat, br *browser) {
			b.armed()
			p := br.enter(b).press("Show visitors the status page")
			p.press("Put back: Show visitors the status page").want(http.StatusOK, "Let’s get out of hot water first.")
		},
		"one thing: the feature first": func(b *boat, br *browser) {
			p := br.enter(b).press("Something is wrong").press("One thing is broken")
			p.want(http.StatusOK, "Customers can look but not buy.").press("Close the checkout").want(http.StatusConflict, "Rule R1").press("Do it anyway: Close the checkout", "reason=it charges twice").want(http.StatusOK, "Close the checkout: done.", "We have closed what was broken")
		},
		"rehearse": func(b *boat, br *browser) {
			br.enter(b)
			br.open("/levers").want(http.StatusOK, "Jonas Weber looks after it", "without lifeboat the code takes true").press("Rehearse: Close the checkout").want(http.StatusOK, "DRILL: there in", "1 of 3 levers are armed.")
		},
		"park and unpark": func(b *boat, br *browser) {
			looking(b)
			br.enter(b)
			p := br.open("/levers").follow("Leave it for now: Show visitors the status page").press("Leave it pulled for now: Show visitors the status page", "owner=Jonas", "until=2026-03-16", "text=it waits for Monday").want(http.StatusOK, "Still pulled", "Jonas looks after it")
			p.press("Let it go back with the rest: Show visitors the status page").want(http.StatusOK)
			if len(b.in().ParkedPulls()) > 0 {
				t.Error("it is parked still")
			}
		},
		"permanent": func(b *boat, br *browser) {
			answers(b, "nothing-loads")
			b.pull("to-backup")
			b.do(incident.SendUpdate{Audience: incident.Staff, Text: "at the backup"})
			br.enter(b).follow("Make it permanent").press("Make it permanent", "text=the old place burnt down").want(http.StatusOK, "You’re back.", "Visitors go to backup (home).")
		},
		"roles, decisions, severity": func(b *boat, br *browser) {
			looking(b)
			p := br.enter(b).follow("People and decisions").press("Take it: Lead").want(http.StatusOK, "LeadAda")
			p = p.follow("Write down a decision").press("Write down a decision", "question_text=do we stop the import?", "options=yes\nno", "chosen=we stop it", "text=it may be part of this").want(http.StatusOK, "we stop it", "It could have been: yes and no.")
			p = p.follow("Object: d1").press("Object", "text=prices get old").want(http.StatusOK, "Ada objects: prices get old")
			p = p.follow("Say how bad it is").press("Say how bad it is", "level=high").want(http.StatusOK, "Severity: High")
			p.press("Let it go: Lead").want(http.StatusOK, "LeadNobody yet.")
		},
		"handover": func(b *boat, br *browser) {
			looking(b)
			b.person("jonas", "Jonas", role.Operator)
			p := br.enter(b).follow("People and decisions").follow("Hand over")
			if !strings.Contains(p.field("things"), "Visitors are sent to the status page.") {
				t.Errorf("the brief is %q", p.field("things"))
			}
			p.press("Hand over", "owner=Jonas", "doing=Tom looks at the import", "needs=sleep").want(http.StatusOK, "Ada to Jonas: Lead.")
			jo := br.other()
			jo.enterAs("jonas").want(http.StatusOK, "Ada hands over to Jonas: Lead.").follow("Read the brief").want(http.StatusOK, "You are taking over from Ada.", "How things are", "Tom looks at the import", "Both names go into the timeline, and it is yours.").press("I have it").want(http.StatusOK, "Jonas takes over from Ada")
		},
		"recurrence": func(b *boat, br *browser) {
			closed(b)
			old := b.in().ID
			br.enter(b).press("It has come back").want(http.StatusOK, "What are visitors meeting?").follow("People and decisions").want(http.StatusOK, "It is a recurrence of", old)
		},
		"public version": func(b *boat, br *browser) {
			written(b)
			br.enter(b)
			p := br.open("/incidents/"+b.in().ID+"/write-up?public=1").want(http.StatusOK, "It holds no name of a person.")
			p.follow("To our visitors").press("Keep these words", "text=We are sorry that the shop was closed.").want(http.StatusOK)
			br.open("/incidents/"+b.in().ID+"/write-up?public=1").want(http.StatusOK, "We are sorry that the shop was closed.")
		},
		"a finding that a rule proposes": func(b *boat, br *browser) {
			written(b)
			br.enter(b)
			p := br.open("/incidents/" + b.in().ID + "/write-up")
			for _, n := range p.all("button") {
				if w := get(n, "aria-label"); strings.HasPrefix(w, "Leave it: ") && !strings.Contains(w, "Nobody reads") {
					p.press(w).want(http.StatusOK, "left by Ada")
					return
				}
			}
			t.Error("no rule proposes a finding")
		},
		"correction": func(b *boat, br *browser) {
			declared(b)
			br.enter(b)
			p := br.open("/incidents/" + b.in().ID + "?all=1")
			p.follow("Correct line 1").press("Add a correction", "text=it was a customer who told us").want(http.StatusOK, "Ada corrects: it was a customer who told us.")
		},
		"messages": func(b *boat, br *browser) {
			declared(b)
			br.enter(b).follow("Messages (1 waiting)").want(http.StatusOK, "1 message waits.", "connection refused").press("Try now: room").want(http.StatusOK, "It is tried now.").press("Give it up: room").want(http.StatusOK, "Every message has gone out.")
		},
		"snooze": func(b *boat, br *browser) {
			looking(b)
			br.enter(b).follow("People and decisions").follow("Put the next message off").press("Put the next message off", "within=45 min", "text=Tom is on his way").want(http.StatusOK, "Ada put the next message off")
		},
		"reported from elsewhere": func(b *boat, br *browser) {
			looking(b)
			br.enter(b).follow("It was fixed elsewhere").press("It was fixed elsewhere", "text=Tom put release 411 back", "check=home").want(http.StatusOK, "Waiting to see what it did.", "Done elsewhere, told by Ada")
		},
		"stopped and withdrawn": func(b *boat, br *browser) {
			planned(b)
			b.person("jonas", "Jonas", role.Operator)
			jo := br.other()
			jo.enterAs("jonas").follow("Stop, because …").press("Stop, because …", "text=the import runs until four").want(http.StatusOK, "Somebody says stop.", "The import runs until four.")
			p := br.enter(b).want(http.StatusOK, "Somebody says stop.")
			p.follow("Withdraw the fix").press("Withdraw the fix", "text=Jonas is right").want(http.StatusOK, "So this is it.")
		},
		"an old address": func(b *boat, br *browser) {
			contained(b)
			br.enter(b)
			if p := br.open("/sites/shop?ask=go-back"); p.url.Path != "/sites/shop/go-back" || p.field("text") != "" {
				t.Errorf("%s", p.url)
			}
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			way(b, browse(t, b.handler()))
		})
	}
}

// TestWaits: what a page says of times follows the clock.
func TestWaits(t *testing.T) {
	t.Parallel()
	b := launch(t)
	planned(b)
	br := browse(t, b.handler())
	p := br.enter(b)
	if !without(p, "Do it") {
		t.Error("a fix that nobody has read can be begun")
	}
	b.wait(8 * time.Minute)
	br.open("/").follow("Go on alone").press("Go on alone", "text=nobody answers")
	if p = br.open("/").want(http.StatusOK, "1 min more."); !without(p, "Do it") {
		t.Error("there is no pause")
	}
	b.wait(59 * time.Second)
	br.open("/").want(http.StatusOK, "1 s more.")
	b.wait(time.Second)
	if without(br.open("/"), "Do it") {
		t.Error("the pause has no end")
	}
}

// counted counts what of a body is read.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// TestAllIsRead: a browser shows our answer only once it has sent everything, so what is
// too large is read to its end before we answer.
func TestAllIsRead(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	h := b.handler()
	c := b.cookie(h)
	const all = 20 << 20
	head := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
	for path, kind := range map[string]string{"/sites/shop/note": "application/x-www-form-urlencoded", "/sites/shop/evidence": "multipart/form-data; boundary=b"} {
		body := &counted{Reader: io.LimitReader(io.MultiReader(strings.NewReader(head), zeros{}), all)}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, body)
		r.Header.Set("Content-Type", kind)
		r.AddCookie(c)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 400 || body.n != all {
			t.Errorf("%s: %d after %d of %d bytes", path, w.Code, body.n, all)
		}
	}
}

func TestReadable(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]bool{
		"https://git.example.com/c/412": true, "http://ci.example.com": true, "javascript:alert(1)": false, "data:text/html,x": false, "//evil.example": false,
		"/incidents": false, "abc123": false, "https://": false, "https://bank.example@evil.example/": false, "": false, "ht!tp://x": false,
	} {
		if got := readable(ref); (got != "") != want || want && got != ref {
			t.Errorf("readable(%q) = %q", ref, got)
		}
	}
}
