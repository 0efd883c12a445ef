package subscribe_test

import (
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/subscribe"
)

var key = subscribe.Key("0123456789abcdef0123456789abcdef")

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		way      subscribe.Way
		to, want string // "": refused
		plain    bool
	}{
		{subscribe.Mail, " ada@Example.COM ", "ada@example.com", false},
		{subscribe.Mail, "Ada.L+status@example.com", "Ada.L+status@example.com", false},
		{subscribe.Mail, "ada@läden.example", "ada@xn--lden-loa.example", false},
		{subscribe.Mail, "Ada <ada@example.com>", "", false},
		{subscribe.Mail, "ada", "", false},
		{subscribe.Mail, "ada@example", "", false},
		{subscribe.Mail, "ada@example.com\nBcc: eve@example.com", "", false},
		{subscribe.Mail, "ada@example.com,eve@example.com", "", false},
		{subscribe.Mail, `"a b"@example.com`, "", false},
		{subscribe.Mail, "ädä@example.com", "", false},
		{subscribe.Mail, strings.Repeat("a", 65) + "@example.com", "", false},
		{subscribe.Mail, "ada@" + strings.Repeat("a.", 130) + "com", "", false},
		{subscribe.Mail, "ada@[127.0.0.1]", "", false},
		{subscribe.Webhook, "https://hooks.example.com/a?b=c#d", "https://hooks.example.com/a?b=c", false},
		{subscribe.Webhook, "http://hooks.example.com/", "", false},
		{subscribe.Webhook, "http://hooks.example.com/", "http://hooks.example.com/", true},
		{subscribe.Slack, "https://ada:word@hooks.example.com/", "", true},
		{subscribe.Slack, "javascript:alert(1)", "", true},
		{subscribe.Slack, "https://", "", true},
		{subscribe.Slack, "https://hooks.example.com/" + strings.Repeat("a", 2000), "", true},
	} {
		got, err := subscribe.Address(tt.way, tt.to, tt.plain)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s %q: %q, %v", tt.way, tt.to, got, err)
		}
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{"ada@example.com": "a…@example.com", "@": "…", "": "…", "äda@example.com": "ä…@example.com"} {
		if got := subscribe.Masked(subscribe.Mail, to); got != want {
			t.Errorf("%q: %q", to, got)
		}
	}
	for to, want := range map[string]string{"https://hooks.example.com/T0/secret?x=y": "https://hooks.example.com/…", "x": "…"} {
		if got := subscribe.Masked(subscribe.Slack, to); got != want {
			t.Errorf("%q: %q", to, got)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	id := key.ID("main", subscribe.Mail, "ada@example.com")
	if id != key.ID("main", subscribe.Mail, "ADA@example.com") {
		t.Error("an address has two ids by its case")
	}
	for _, other := range []string{key.ID("shop", subscribe.Mail, "ada@example.com"), key.ID("main", subscribe.Webhook, "ada@example.com"), subscribe.Key("another").ID("main", subscribe.Mail, "ada@example.com")} {
		if other == id {
			t.Error("two addresses have one id")
		}
	}
	s := subscribe.Subscription{ID: id, AskedAt: at}
	token := key.Token(s)
	if got, ok := subscribe.TokenID(token); !ok || got != id || !key.Opens(s, token) {
		t.Errorf("%q: %q, %v", token, got, ok)
	}
	later := s
	later.AskedAt = at.Add(time.Nanosecond)
	if key.Opens(later, token) || subscribe.Key("another").Opens(s, token) {
		t.Error("a link opens what it does not belong to")
	}
	for _, bad := range []string{"", token[:len(token)-1], token + "a", strings.ToUpper(token), strings.Repeat("1", len(token)), token[:5] + "/" + token[6:]} {
		if _, ok := subscribe.TokenID(bad); ok {
			t.Errorf("%q counts as a link", bad)
		}
	}
}

func TestWants(t *testing.T) {
	t.Parallel()
	at := time.Now()
	for name, tt := range map[string]struct {
		s       subscribe.Subscription
		touched []string
		want    bool
	}{
		"pending":                {subscribe.Subscription{}, nil, false},
		"all":                    {subscribe.Subscription{Confirmed: at}, []string{"web"}, true},
		"its part":               {subscribe.Subscription{Confirmed: at, Components: []string{"web"}}, []string{"pay", "web"}, true},
		"another part":           {subscribe.Subscription{Confirmed: at, Components: []string{"web"}}, []string{"pay"}, false},
		"what touches no part":   {subscribe.Subscription{Confirmed: at, Components: []string{"web"}}, nil, true},
		"pending, and its parts": {subscribe.Subscription{Components: []string{"web"}}, []string{"web"}, false},
	} {
		if tt.s.Wants(tt.touched) != tt.want {
			t.Errorf("%s: %v", name, !tt.want)
		}
	}
}

func TestNewsOfNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"override.set", "incident.edited", "incident.attached", "incident.story_withdrawn", ""} {
		if _, tell := subscribe.NewsOf(board.Records{}, board.Change{Event: board.Event{Type: kind}}); tell {
			t.Errorf("subscribers are told of %q", kind)
		}
	}
}

// FuzzAddress: what is taken is one address that a mail or a request can be sent to, and
// taking it again changes nothing.
func FuzzAddress(f *testing.F) {
	f.Add("ada@example.com", true)
	f.Add("https://hooks.example.com/x", false)
	f.Add("a@b.c\r\nX: y", true)
	f.Fuzz(func(t *testing.T, to string, byMail bool) {
		way := subscribe.Webhook
		if byMail {
			way = subscribe.Mail
		}
		got, err := subscribe.Address(way, to, false)
		if err != nil {
			return
		}
		if strings.ContainsAny(got, "\r\n\x00 <>\"") {
			t.Fatalf("%q becomes %q", to, got)
		}
		if again, err := subscribe.Address(way, got, false); err != nil || again != got {
			t.Fatalf("%q becomes %q becomes %q, %v", to, got, again, err)
		}
		if byMail {
			if a, err := mail.ParseAddress(got); err != nil || a.Address != got {
				t.Fatalf("%q: %v", got, err)
			}
		} else if u, err := url.Parse(got); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			t.Fatalf("%q: %v", got, err)
		}
	})
}
