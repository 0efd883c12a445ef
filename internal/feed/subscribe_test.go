package feed_test

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/subscribe"
)

// token has the form of a link's.
var token = strings.Repeat("a", 40)

func TestRefused(t *testing.T) {
	t.Parallel()
	many := make([]string, subscribe.MaxComponents+1)
	for name, c := range map[string]struct {
		ask     subscribe.Ask
		outcome subscribe.Outcome // "": it is not
		field   string
	}{
		"a good beginning":            {subscribe.Ask{Do: subscribe.Begin, Page: "main", Way: subscribe.Mail, To: "ada@example.com"}, "", ""},
		"a good link":                 {subscribe.Ask{Do: subscribe.Look, Page: "main", Token: token}, "", ""},
		"too long an address":         {subscribe.Ask{Do: subscribe.Begin, To: strings.Repeat("x", subscribe.MaxURL+1)}, subscribe.Wrong, "to"},
		"too many components":         {subscribe.Ask{Do: subscribe.Begin, Components: many}, subscribe.Wrong, "components"},
		"too many, changed":           {subscribe.Ask{Do: subscribe.Change, Token: token, Components: many}, subscribe.Wrong, "components"},
		"no link":                     {subscribe.Ask{Do: subscribe.End, Token: "x"}, subscribe.Unknown, ""},
		"a link of another form":      {subscribe.Ask{Do: subscribe.Confirm, Token: strings.ToUpper(token)}, subscribe.Unknown, ""},
		"what nobody can ask for":     {subscribe.Ask{Do: "sing", Token: token}, subscribe.Unknown, ""},
		"too long a language, a link": {subscribe.Ask{Do: subscribe.Change, Token: token, Language: strings.Repeat("d", 36)}, subscribe.Unknown, ""},
	} {
		told, refused := feed.Refused(c.ask)
		if refused != (c.outcome != "") || told.Outcome != c.outcome || told.Field != c.field {
			t.Errorf("%s: %+v, refused %t", name, told, refused)
		}
	}
}

// FuzzReadSubscribe: whatever comes is read or refused, nothing of it is in what is told
// of it, and what passes its check survives the way back.
func FuzzReadSubscribe(f *testing.F) {
	for _, s := range []string{
		`{"id":1,"ask":{"do":"begin","page":"main","way":"mail","to":"ada@example.com","components":["shop"],"language":"de"}}`,
		`{"id":2,"ask":{"do":"look","page":"main","token":"` + token + `"}}`, `{"id":-1}`, `{"ask":[]}`, `null`, `{}`, `{"id":18446744073709551616}`, ``, `{"id":3,"ask":{"do":"begin","to":"\ud800"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := feed.ReadSubscribe(body)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || len(err.Error()) > 100 {
				t.Errorf("%v", err)
			}
			return
		}
		if _, refused := feed.Refused(s.Ask); refused {
			return
		}
		b, err := json.Marshal(s)
		must(t, err)
		if len(b) > 256<<10 { // escapes make it longer
			return
		}
		if back, err := feed.ReadSubscribe(b); err != nil || back.ID != s.ID || back.Ask.To != s.Ask.To || back.Ask.Token != s.Ask.Token {
			t.Errorf("%+v became %+v, %v", s, back, err)
		}
	})
}

// The largest question that passes its check fits.
func TestTheLargestAskFits(t *testing.T) {
	t.Parallel()
	a := subscribe.Ask{Do: subscribe.Begin, Page: strings.Repeat("<", 100), Way: subscribe.Webhook, To: strings.Repeat("<", subscribe.MaxURL), Language: strings.Repeat("<", 35)}
	for range subscribe.MaxComponents {
		a.Components = append(a.Components, strings.Repeat("\x01", 100))
	}
	must(t, a.Check())
	b, err := json.Marshal(feed.Subscribe{ID: 1<<64 - 1, Ask: a})
	must(t, err)
	if _, err := feed.ReadSubscribe(b); err != nil {
		t.Error(err)
	}
	if _, err := feed.ReadSubscribe(append(b, make([]byte, 256<<10)...)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a longer one: %v", err)
	}
}
