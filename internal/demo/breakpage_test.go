package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
)

// pressed is a page whose shop only remembers what was asked.
type pressed struct {
	handler http.Handler
	asked   []string
	fails   error
	now     Condition
}

func newPressed() *pressed {
	p := &pressed{now: Condition{Broken: []shop.Harm{}, Release: "412", Places: []Place{{Name: "main", Runs: true, Release: "412", Workers: 8, Log: "shop-main.log"}}}}
	page := &breakPage{
		now:    func() time.Time { return time.Date(2026, 3, 1, 3, 4, 5, 0, time.UTC) },
		logger: slog.New(slog.DiscardHandler),
		hurt:   func(_ context.Context, how string) error { p.asked = append(p.asked, "break "+how); return p.fails },
		act: func(_ context.Context, act string) (string, error) {
			p.asked = append(p.asked, "do "+act)
			return "It was <done>.", p.fails
		},
		repair: func(context.Context) error { p.asked = append(p.asked, "repair"); return p.fails },
		look:   func(context.Context) Condition { return p.now },
		shop:   "http://127.0.0.2:8088/", lifeboat: "http://127.0.0.1:8080/",
	}
	p.handler = page.handler()
	return p
}

func (p *pressed) ask(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8090"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]+)"><button`)
	handlerText = regexp.MustCompile(`<[^>]* on\w+=`)
	styleText   = regexp.MustCompile(`(?s)<style>(.*)</style>`)
)

// TestBreakPageHasEverything: a button for each way and each act that there is, each
// leading somewhere; nothing that a script would have to do.
func TestBreakPageHasEverything(t *testing.T) {
	t.Parallel()
	p := newPressed()
	w := p.ask("GET", "/")
	body := w.Body.String()
	if w.Code != 200 || !strings.Contains(body, "<title>Break the sample shop</title>") || !strings.Contains(body, "All is well.") {
		t.Fatalf("%d\n%s", w.Code, body)
	}
	var want []string
	for _, h := range shop.Harms() {
		want = append(want, "/break/"+string(h))
		if wrongWords[h] == "" || harmSaid[h] == "" {
			t.Errorf("there are no words for %s", h)
		}
	}
	for _, a := range shop.Acts() {
		want = append(want, "/do/"+string(a))
	}
	want = append(want, "/repair")
	var got []string
	for _, m := range formAction.FindAllStringSubmatch(body, -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("the forms lead to\n%v, want\n%v", got, want)
	}
	for _, c := range slices.Concat(ways, remedies) {
		if c.Title == "" || c.Means == "" || c.First == "" {
			t.Errorf("%+v leaves something unsaid", c)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, " style=") || handlerText.MatchString(body) {
		t.Error("the page needs what its policy forbids")
	}
	for _, path := range want {
		p.asked = nil
		if w := p.ask("POST", path); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" || len(p.asked) != 1 {
			t.Errorf("%s: %d, asked %v", path, w.Code, p.asked)
		}
		p.asked = nil
		if w := p.ask("GET", path); w.Code != http.StatusSeeOther || len(p.asked) != 0 {
			t.Errorf("GET %s: %d, asked %v", path, w.Code, p.asked)
		}
	}
}

func TestBreakPageHeaders(t *testing.T) {
	t.Parallel()
	p := newPressed()
	w := p.ask("GET", "/")
	style := styleText.FindStringSubmatch(w.Body.String())
	if style == nil {
		t.Fatal("the page has no style")
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "style-src 'sha256-" + sum(style[1]) + "'",
		"Referrer-Policy":         "no-referrer",
		"X-Content-Type-Options":  "nosniff",
		"X-Frame-Options":         "DENY",
		"Cache-Control":           "no-store",
	} {
		for _, got := range []string{w.Header().Get(name), p.ask("POST", "/repair").Header().Get(name), p.ask("POST", "/repair", "Sec-Fetch-Site", "cross-site").Header().Get(name)} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
}

// TestBreakPageRefuses: what another site sends, under whatever name.
func TestBreakPageRefuses(t *testing.T) {
	t.Parallel()
	p := newPressed()
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"another site":               {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another origin":             {[]string{"Origin", "http://127.0.0.1:8080"}, 403},
		"a sandbox":                  {[]string{"Origin", "null"}, 403},
		"a name that leads here":     {[]string{"Host", "evil.example:8090", "Origin", "http://evil.example:8090"}, 421},
		"an address of another's":    {[]string{"Host", "192.0.2.1:8090"}, 421},
		"no name":                    {[]string{"Host", ""}, 421},
		"localhost":                  {[]string{"Host", "localhost:8090"}, 303},
		"IPv6":                       {[]string{"Host", "[::1]:8090"}, 303},
		"the usual port":             {[]string{"Host", "127.0.0.1"}, 303},
		"a browser on the page":      {[]string{"Origin", "http://127.0.0.1:8090", "Sec-Fetch-Site", "same-origin"}, 303},
		"a program without a origin": {nil, 303},
	} {
		p.asked = nil
		w := p.ask("POST", "/repair", c.headers...)
		if w.Code != c.status || (len(p.asked) == 1) != (c.status == 303) {
			t.Errorf("%s: %d, asked %v, want %d", name, w.Code, p.asked, c.status)
		}
	}
}

// TestBreakPageTells: what came of a press, and what is wrong.
func TestBreakPageTells(t *testing.T) {
	t.Parallel()
	p := newPressed()
	p.ask("POST", "/do/restart")
	if body := p.ask("GET", "/").Body.String(); !strings.Contains(body, "03:04:05: It was &lt;done&gt;.") {
		t.Errorf("after an act:\n%s", body)
	}
	p.ask("POST", "/break/kill")
	p.now.Broken = shop.Harms()
	p.now.Places = []Place{{Name: "main", Log: "shop-main.log"}, {Name: "backup", Runs: true, Problem: "nobody <answers>"}}
	body := p.ask("GET", "/").Body.String()
	for _, want := range []string{"Done: kill the shop.", "does not run", "nobody &lt;answers&gt;", "shop-main.log"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	for _, h := range shop.Harms() {
		if !strings.Contains(strings.ReplaceAll(body, "&#39;", "'"), wrongWords[h]) {
			t.Errorf("it does not tell of %s", h)
		}
	}
	for err, want := range map[error]string{
		fault.New(fault.Conflict, "the shop is dead").At("somewhere").WithHint("repair it"): "That did not work. The shop is dead. Repair it.",
		errors.New("élan is missing"): "That did not work. Élan is missing.",
	} {
		p.fails = err
		p.ask("POST", "/repair")
		if body := p.ask("GET", "/").Body.String(); !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

func TestPanelAddress(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:8090", "shop.example:8090", ":8090", "nonsense"} {
		if l, err := listenPanel(Options{Panel: addr}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "--panel") {
			t.Errorf("%s: %v, %v", addr, l, err)
		}
	}
	for _, o := range []Options{{Panel: "127.0.0.9:0"}, {HTTP: "127.0.0.1:0"}, {HTTP: "127.0.0.1:8080"}} {
		l, err := listenPanel(o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		defer l.Close()
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			t.Errorf("%+v listens at %s", o, l.Addr())
		}
	}
	again, err := listenPanel(Options{HTTP: "127.0.0.1:8080"}) // the usual port is taken now, by us if by nobody else
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Addr().String() == usualPanel {
		t.Errorf("two pages at %s", usualPanel)
	}
	_, err = listenPanel(Options{Panel: again.Addr().String()})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "--panel") {
		t.Errorf("an address that is taken: %v", err)
	}
}
