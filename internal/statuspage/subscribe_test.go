package statuspage

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"lifeboat/internal/board"
	"lifeboat/internal/subscribe"
)

// subscribing are the pages of those who subscribe, by a path of their own each.
func subscribing(t *testing.T, b board.Board, o Options) map[string]Document {
	t.Helper()
	out := map[string]Document{}
	put := func(path string, d Document, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out[path] = d
	}
	token := strings.Repeat("a", 40)
	mail := subscribe.Ask{Do: subscribe.Begin, Way: subscribe.Mail, To: "ada", Components: []string{"part-b", "part-g"}}
	link := subscribe.Ask{Do: subscribe.Change, Token: token, Components: []string{"part-b"}, Language: "de"}
	open := subscribe.Told{Outcome: subscribe.Open, Way: subscribe.Mail, To: "a…@example.org", Components: []string{"part-b"}, Language: "de"}
	pending, hook := open, open
	pending.Pending = true
	hook.Way, hook.To, hook.Secret = subscribe.Webhook, "https://hooks.example.org/…", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZI"
	for _, tag := range []string{"en", "de"} {
		at := "/" + tag
		if tag == "en" {
			at = ""
		}
		d, err := Subscribe(b, o, tag, subscribe.Ask{}, subscribe.Told{})
		put(at+"/subscribe", d, err)
		for name, told := range map[string]subscribe.Told{"wrong": {Outcome: subscribe.Wrong, Field: "to"}, "way": {Outcome: subscribe.Wrong, Field: "way"}, "parts": {Outcome: subscribe.Wrong, Field: "components"}, "away": {Outcome: subscribe.Away}} {
			d, err := Subscribe(b, o, tag, mail, told)
			put(at+"/subscribe/"+name, d, err)
		}
		for name, told := range map[string]subscribe.Told{"asked": {Outcome: subscribe.Asked}, "busy": {Outcome: subscribe.Busy}} {
			d, err := Told(b, o, tag, mail, told, true)
			put(at+"/subscribe/"+name, d, err)
		}
		for name, told := range map[string]subscribe.Told{"ended": {Outcome: subscribe.Ended}, "gone": {Outcome: subscribe.Unknown}, "away": {Outcome: subscribe.Away}, "stale": {Outcome: subscribe.Wrong, Field: "components"}} {
			d, err := Told(b, o, tag, link, told, true)
			put(at+"/subscription/"+name, d, err)
		}
		d, err = Subscription(b, o, tag, token, pending, true, "")
		put(at+"/subscription/pending", d, err)
		put("/en"+subscribe.Path+token, d, err) // what the languages lead to
		put("/de"+subscribe.Path+token, d, err)
		d, err = Subscription(b, o, tag, token, hook, true, subscribe.Confirmed)
		put(at+"/subscription/webhook", d, err)
		d, err = Subscription(b, o, tag, token, open, false, subscribe.Changed)
		put(at+"/subscription/closed", d, err)
	}
	out["/en/subscribe"] = out["/subscribe"]
	return out
}

// TestEveryFieldIsLabelled: each field has its words, errors are tied to their field, only
// one thing has the focus, and no page holds a script or an attribute that is one.
func TestEveryFieldIsLabelled(t *testing.T) {
	t.Parallel()
	page, f := company()
	for path, d := range subscribing(t, board.Make(page, f), Options{}) {
		tree, err := html.Parse(bytes.NewReader(d.Body))
		if err != nil {
			t.Fatal(err)
		}
		ids, labels, focus := map[string]bool{}, map[string]bool{}, 0
		var fields []*html.Node
		var walk func(n *html.Node, labelled bool)
		walk = func(n *html.Node, labelled bool) {
			if n.Data == "script" || n.Data == "iframe" {
				t.Errorf("%s has a %s", path, n.Data)
			}
			if id := get(n, "id"); id != "" {
				ids[id] = true
			}
			if has(n, "autofocus") {
				focus++
			}
			switch n.Data {
			case "label":
				labels[get(n, "for")], labelled = true, true
			case "input", "select":
				if get(n, "type") != "hidden" && !labelled {
					fields = append(fields, n)
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c, labelled)
			}
		}
		walk(tree, false)
		for _, n := range fields {
			if !labels[get(n, "id")] {
				t.Errorf("%s: %s has no words", path, get(n, "name"))
			}
		}
		for _, part := range strings.Split(string(d.Body), `aria-describedby="`)[1:] {
			list, _, _ := strings.Cut(part, `"`)
			for id := range strings.FieldsSeq(list) {
				if !ids[id] {
					t.Errorf("%s: no %s", path, id)
				}
			}
		}
		if want := map[bool]int{true: 1}[d.Status == 400 && strings.HasPrefix(strings.TrimPrefix(path, "/de"), "/subscribe")]; focus != want {
			t.Errorf("%s: %d have the focus", path, focus)
		}
		if !strings.Contains(string(d.Body), `name="robots" content="noindex"`) || strings.Contains(d.Policy, "script-src") {
			t.Errorf("%s is to be found, or runs scripts: %s", path, d.Policy)
		}
	}
}

func get(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

// TestSubscribeFields: the address is asked for as the ways need it.
func TestSubscribeFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ways  []string
		want  []string
		never []string
	}{
		{[]string{"mail"}, []string{`type="email"`, "Mail address</label>"}, []string{`type="radio"`, "hint-to"}},
		{[]string{"slack"}, []string{`type="url"`, "URL of the webhook</label>", "hint-to"}, []string{`type="radio"`}},
		{[]string{"webhook", "slack"}, []string{`type="url"`, `value="webhook" required checked`, `value="slack" required>`}, []string{`value="mail"`}},
		{[]string{"slack", "mail", "pigeon"}, []string{`type="text"`, `value="mail" required checked`}, []string{"pigeon", "way_"}},
	} {
		page, f := company()
		page.Subscribe = c.ways
		d, err := Subscribe(board.Make(page, f), Options{}, "en", subscribe.Ask{}, subscribe.Told{})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !bytes.Contains(d.Body, []byte(want)) {
				t.Errorf("%v: it lacks %q: %s", c.ways, want, d.Body)
			}
		}
		for _, never := range c.never {
			if bytes.Contains(d.Body, []byte(never)) {
				t.Errorf("%v: it has %q", c.ways, never)
			}
		}
	}
}

// TestCopiesLeadNowhere: a copy of the page has no form that nobody answers, and no link to
// one; one component is no choice.
func TestCopiesLeadNowhere(t *testing.T) {
	t.Parallel()
	page, f := company()
	b := board.Make(page, f)
	for _, still := range []bool{false, true} {
		d, err := Front(b, Options{Still: still}, "en")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(d.Body, []byte(`href="/subscribe">Get updates`)) == still {
			t.Errorf("still %t: %.2000s", still, d.Body)
		}
	}
	f.Sheet.Components = f.Sheet.Components[:1]
	d, err := Subscribe(board.Make(page, f), Options{}, "en", subscribe.Ask{}, subscribe.Told{})
	if err != nil || bytes.Contains(d.Body, []byte("checkbox")) {
		t.Errorf("%v %s", err, d.Body)
	}
	d, err = Subscribe(board.Make(page, f), Options{}, "en", subscribe.Ask{Components: []string{"part-h"}}, subscribe.Told{Outcome: subscribe.Wrong, Field: "components"})
	if err != nil || !bytes.Contains(d.Body, []byte("not there any more")) {
		t.Errorf("a part that is no more, %v: %s", err, d.Body)
	}
}

// TestTellingInText: each outcome is a sentence, with the status of its page.
func TestTellingInText(t *testing.T) {
	t.Parallel()
	page, f := company()
	b := board.Make(page, f)
	a := subscribe.Ask{Do: subscribe.Begin, Way: subscribe.Mail, To: "ada@example.org"}
	for outcome, want := range map[subscribe.Outcome]struct {
		status int
		words  string
	}{
		subscribe.Asked: {0, "We have sent a message to ada@example.org."}, subscribe.Open: {0, "Messages go to: a…@example.org"}, subscribe.Confirmed: {0, "It is confirmed."}, subscribe.Changed: {0, "It is saved."},
		subscribe.Ended: {0, "No more messages"}, subscribe.Unknown: {404, "has ended"}, subscribe.Wrong: {400, "That is no mail address."}, subscribe.Busy: {429, "Wait a few minutes."}, subscribe.Away: {503, "in a minute"}, subscribe.Off: {404, "Nothing is here."},
	} {
		d := ToldText(b, "en", a, subscribe.Told{Outcome: outcome, Field: "to", To: "a…@example.org"})
		if d.Status != want.status || !strings.Contains(string(d.Body), want.words) || strings.Contains(string(d.Body), "<") || d.Type != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %s", outcome, d.Status, d.Body)
		}
	}
}
