package catalogue

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func messagesOf(t *testing.T, tag string) map[string]map[string]string {
	t.Helper()
	raw, err := files.ReadFile("languages/" + tag + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for id, m := range all {
		var text string
		forms := map[string]string{}
		if json.Unmarshal(m, &text) == nil {
			forms["other"] = text
		} else if err := json.Unmarshal(m, &forms); err != nil {
			t.Fatalf("%s: %q: %v", tag, id, err)
		}
		out[id] = forms
	}
	return out
}

// TestLanguagesAreWhole: each language has each message, none more, with the same slots.
func TestLanguagesAreWhole(t *testing.T) {
	t.Parallel()
	english := messagesOf(t, English)
	for id, forms := range english {
		if id != "name of the language" && forms["other"] != id {
			t.Errorf("a message's id is its English: %q says %q", id, forms["other"])
		}
	}
	for _, tag := range Tags()[1:] {
		other := messagesOf(t, tag)
		for id, forms := range english {
			theirs, has := other[id]
			if !has {
				t.Errorf("%s lacks %q", tag, id)
				continue
			}
			for form, text := range theirs {
				if text == "" {
					t.Errorf("%s: %q is empty in the form %q", tag, id, form)
				}
				for _, s := range slot.FindAllString(text, -1) {
					if !strings.Contains(forms["other"], s) {
						t.Errorf("%s: %q has a slot that the English has not: %s", tag, id, s)
					}
				}
			}
		}
		for id := range maps.Keys(other) {
			if english[id] == nil {
				t.Errorf("%s has %q, which English has not", tag, id)
			}
		}
	}
	if !slices.Contains(Tags(), "de") {
		t.Error("German is gone")
	}
}

func TestSay(t *testing.T) {
	t.Parallel()
	de := In("de")
	for _, c := range []struct {
		english, german string
		whole           bool
	}{
		{"All is well.", "Alles ist in Ordnung.", true},
		{"1 guess", "1 Vermutung", true},
		{"3 guesses, 1 ruled out.", "3 Vermutungen, 1 ausgeschlossen.", true},
		{"That tells us something. Visitors are still safe.", "Das sagt uns etwas. Die Besucher sind weiter in Sicherheit.", true},
		{"It stays pulled until 13 March 2026. Jonas looks after it: Payments are looked at on Monday.", "Er bleibt bis 13. März 2026 gezogen. Jonas kümmert sich darum: Payments are looked at on Monday.", true},
		{"Rehearsed 40" + nbsp + "s ago: 0" + nbsp + "s there, 0" + nbsp + "s back.", "Vor 40" + nbsp + "s geübt: hin 0" + nbsp + "s, zurück 0" + nbsp + "s.", true},
		{"If it is so, we should see … If it is …", "Wenn es so ist, müssten wir sehen … Wenn es … ist", true},
		{"Add a guess.", "Vermutung hinzufügen.", true},
		{"12 Mar 02:41 03:41 UTC", "12. März 02:41 03:41 UTC", true},
		{"13 Mar 19:06 to 13 October 2026, 21:06", "13. März 19:06 bis 13. Oktober 2026, 21:06", true},
		{"3 dogs", "3 dogs", false},
		{"· Step 2 of 4 · Kim · told by ci", "· Schritt 2 von 4 · Kim · gemeldet von ci", false},
		{"· Closed ·", "· Abgeschlossen ·", true},
		{strings.Repeat("·", 40), strings.Repeat("·", 40), false},
		{"The larger pool uses up the connections.", "The larger pool uses up the connections.", false},
		{"That tells us something. Nobody knows this sentence.", "Das sagt uns etwas. Nobody knows this sentence.", false},
		{"", "", false},
		{strings.Repeat("x. ", 2000), strings.Repeat("x. ", 2000), false},
	} {
		if said, whole := de.Say(c.english); said != c.german || whole != c.whole {
			t.Errorf("%q\n is said %q (%v)\n not     %q (%v)", c.english, said, whole, c.german, c.whole)
		}
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ page, want string }{
		{`<html lang="en"><p class="a">All is well.</p>`, `<html lang="de" dir="ltr"><p class="a">Alles ist in Ordnung.</p>`},
		{`<textarea placeholder="What, and when">` + "\nAll is well.</textarea>", `<textarea placeholder="Was, und wann">` + "\nAll is well.</textarea>"},
		{`<code>All is well.</code><p translate="no">All is well.<b>All is well.</b></p><b>All is well.</b>`, `<code>All is well.</code><p translate="no">All is well.<b>All is well.</b></p><b>Alles ist in Ordnung.</b>`},
		{`<script>"All is well."</script><input value="All is well." aria-label="Menu">`, `<script>"All is well."</script><input value="All is well." aria-label="Menü">`},
		{`<p>Fix f1 was made: &lt;script&gt;alert(1)&lt;/script&gt;</p>`, `<p>Reparatur f1 wurde gemacht: &lt;script&gt;alert(1)&lt;/script&gt;</p>`},
		{`<p lang="en">All is well.<i>All is well.</i></p><a href="/x" translate="no">Menu</a>`, `<p lang="en">All is well.<i>All is well.</i></p><a href="/x" translate="no">Menu</a>`},
		{`<input lang="en"><img alt="Menu" translate="no"><b>Menu</b>`, `<input lang="en"><img alt="Menü" translate="no"><b>Menü</b>`},
		{`<input placeholder="The shop moves"><b>The shop moves</b>`, `<input placeholder="Der Laden zieht um"><b>The shop moves</b>`},
		{`<svg viewBox="0 0 1 1"><text>promised: under 500 ms</text></svg>`, `<svg viewBox="0 0 1 1"><text>zugesagt: unter 500 ms</text></svg>`},
	} {
		if got := string(In("de").HTML([]byte(c.page))); got != c.want {
			t.Errorf("%s\n becomes %s\n not     %s", c.page, got, c.want)
		}
		if got := string(In(English).HTML([]byte(c.page))); got != c.page {
			t.Errorf("English was touched: %s", got)
		}
	}
}

// FuzzHTML: whatever is on a page, saying it anew makes no element and takes none away.
func FuzzHTML(f *testing.F) {
	for _, s := range []string{"All is well.", "<b>Fix <script> was made: x", `Your lever “<img src=x onerror=y>” no longer holds: somebody else changed it. a Nothing is set again by itself.`, "Fix {{.A}} was made: {{.B}}", "\u202eAll is well.", "&amp;lt;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		page := "<p>" + html.EscapeString(text) + "</p><i>x</i>"
		got := string(In("de").HTML([]byte(page)))
		if a, b := strings.Count(page, "<"), strings.Count(got, "<"); a != b {
			t.Errorf("%q became %q", page, got)
		}
	})
}

func FuzzChoose(f *testing.F) {
	f.Add("de-CH, en;q=0.5")
	f.Add(";;;q=")
	f.Fuzz(func(t *testing.T, accept string) {
		if tag := Choose(accept).Tag; !Known(tag) {
			t.Errorf("%q gives %q", accept, tag)
		}
	})
}
