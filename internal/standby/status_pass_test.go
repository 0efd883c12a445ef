package standby

import (
	"crypto/ed25519"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
)

// porch is a private status page that is read by signing in, and the key that passes are
// signed with.
type porch struct {
	t   *testing.T
	s   *Server
	key ed25519.PrivateKey
	at  time.Time
}

func newPorch(t *testing.T, change func(*board.Private)) *porch {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := &porch{t: t, key: key, at: now}
	private := &board.Private{SignIn: true, Console: "https://lifeboat.example.net", Passes: []board.PassKey{{ID: "a", Key: public}}, Key: []byte("k")}
	if change != nil {
		change(private)
	}
	g.s = statusServer(t, func(f *board.Facts) { f.Sheet.Pages[0].URL, f.Sheet.Pages[0].Private = "https://"+status, private }, func() time.Time { return g.at })
	return g
}

var overTLS = []string{"X-Forwarded-Proto", "https"}

// begin goes to sign in: it gives the browser's secret, and what the console is told.
func (g *porch) begin() (secret, browser string) {
	g.t.Helper()
	w := ask(g.s, "GET", status, "/sign-in", "", overTLS...)
	cookies := w.Result().Cookies()
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || len(cookies) != 1 {
		g.t.Fatalf("%d %v %v", w.Code, w.Header(), err)
	}
	c := cookies[0]
	if c.Name != "__Host-status_way" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteNoneMode || c.Path != "/" || c.Domain != "" {
		g.t.Errorf("%+v", c)
	}
	if to.Scheme+"://"+to.Host+to.Path != "https://lifeboat.example.net/status-page/enter" || to.Query().Get("page") != "shop" || strings.Contains(to.String(), c.Value) {
		g.t.Errorf("it leads to %s", to)
	}
	return c.Value, to.Query().Get("browser")
}

// mint makes a pass as the console does.
func (g *porch) mint(browser string, change func(*board.Pass)) string {
	p := board.Pass{Page: "shop", Bound: browser, ID: "id" + browser[:8], Enter: g.at.Add(board.EnterLife), Until: g.at.Add(board.PassLife)}
	if change != nil {
		change(&p)
	}
	return p.Sign("a", g.key)
}

// bring brings a pass, and gives the cookie that it is answered with.
func (g *porch) bring(secret, pass string) (int, string, string) {
	headers := append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", "null", "Sec-Fetch-Site", "cross-site"}, overTLS...)
	if secret != "" {
		headers = append(headers, "Cookie", "__Host-status_way="+secret)
	}
	w := ask(g.s, "POST", status, "/unlock", url.Values{"pass": {pass}}.Encode(), headers...)
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-status_pass" && c.Secure && c.HttpOnly && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == "" {
			return w.Code, w.Header().Get("Location"), c.Value
		}
	}
	return w.Code, w.Header().Get("Location"), ""
}

func (g *porch) read(cookie string) int {
	return ask(g.s, "GET", status, "/", "", append([]string{"Cookie", cookie}, overTLS...)...).Code
}

// TestPassLetsIn: who signed in at the console reads the page until the pass ends, and
// control is asked nothing.
func TestPassLetsIn(t *testing.T) {
	t.Parallel()
	g := newPorch(t, nil)
	if w := ask(g.s, "GET", status, "/", "", overTLS...); w.Code != 401 || !strings.Contains(w.Body.String(), `href="/sign-in"`) || strings.Contains(w.Body.String(), `type="password"`) {
		t.Errorf("a stranger is answered %d: %.600s", w.Code, w.Body)
	}
	secret, browser := g.begin()
	code, to, cookie := g.bring(secret, g.mint(browser, nil))
	if code != 303 || to != "/" || cookie == "" {
		t.Fatalf("%d to %q, cookie %q", code, to, cookie)
	}
	if code := g.read("__Host-status_pass=" + cookie); code != 200 {
		t.Errorf("with the pass: %d", code)
	}
	g.at = now.Add(board.PassLife - time.Second)
	if code := g.read("__Host-status_pass=" + cookie); code != 200 {
		t.Errorf("just before its end: %d", code)
	}
	g.at = now.Add(board.PassLife)
	if code := g.read("__Host-status_pass=" + cookie); code != 401 {
		t.Errorf("after its end: %d", code)
	}
}

// TestPassesThatAreNone: forged, for another page, of another browser, late, twice, by a
// cookie that anybody could set: nothing of it opens the page.
func TestPassesThatAreNone(t *testing.T) {
	t.Parallel()
	g := newPorch(t, nil)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, browser := g.begin()
	other, _ := g.begin()
	good := g.mint(browser, nil)
	for name, c := range map[string]struct{ secret, pass string }{
		"forged":                 {secret, board.Pass{Page: "shop", Bound: browser, ID: "x", Enter: now.Add(time.Minute), Until: now.Add(time.Hour)}.Sign("a", stranger)},
		"for another page":       {secret, g.mint(browser, func(p *board.Pass) { p.Page = "docs" })},
		"of another browser":     {other, good},
		"without a secret":       {"", good},
		"late":                   {secret, g.mint(browser, func(p *board.Pass) { p.Enter = now })},
		"over":                   {secret, g.mint(browser, func(p *board.Pass) { p.Until = now })},
		"empty":                  {secret, ""},
		"the old kind, by a key": {secret, board.Admit([]byte("k"), "enter shop", now.Add(time.Hour))},
	} {
		if code, _, cookie := g.bring(c.secret, c.pass); code != 401 || cookie != "" {
			t.Errorf("%s: %d, cookie %q", name, code, cookie)
		}
	}
	code, _, cookie := g.bring(secret, good)
	if code != 303 {
		t.Fatalf("the good one is answered %d", code)
	}
	if code, _, again := g.bring(secret, good); code != 401 || again != "" {
		t.Errorf("brought twice: %d", code)
	}
	_, pass, _ := strings.Cut(cookie, ".")
	for name, c := range map[string]string{
		"the pass alone": "__Host-status_pass=" + pass, "with another secret": "__Host-status_pass=" + other + "." + pass, "a name without a host": "status_pass=" + cookie,
		"cut": "__Host-status_pass=" + cookie[:len(cookie)-3], "as the password's": "__Host-status=" + cookie, "empty": "__Host-status_pass=", "dots": "__Host-status_pass=...", "long": "__Host-status_pass=" + strings.Repeat("A", 4000),
	} {
		if code := g.read(c); code != 401 {
			t.Errorf("%s: %d", name, code)
		}
	}
	shut := newPorch(t, func(p *board.Private) {
		p.Passes = g.publicKeys()
		p.SignIn, p.Hash = false, board.HashPassword(secret2)
	})
	if code := shut.read("__Host-status_pass=" + cookie); code != 401 {
		t.Errorf("a page that nobody signs in to read takes a pass: %d", code)
	}
	if w := ask(shut.s, "GET", status, "/sign-in", "", overTLS...); w.Code != 401 {
		t.Errorf("it leads to the console: %d", w.Code)
	}
}

const secret2 = "another boat in a bottle"

func (g *porch) publicKeys() []board.PassKey {
	public, _ := g.key.Public().(ed25519.PublicKey)
	return []board.PassKey{{ID: "a", Key: public}}
}

// TestPassesAreBounded: more than fit are brought in one minute: none is taken twice, and
// memory does not grow.
func TestPassesAreBounded(t *testing.T) {
	t.Parallel()
	tr := newTries()
	taken := 0
	for i := range 2 * maxBrought {
		if tr.first(board.Pass{ID: string(rune('a'+i%26)) + time.Duration(i).String(), Enter: now.Add(time.Minute)}, now) {
			taken++
		}
	}
	if taken != maxBrought || len(tr.came) != maxBrought {
		t.Errorf("%d taken, %d remembered", taken, len(tr.came))
	}
	if !tr.first(board.Pass{ID: "later", Enter: now.Add(3 * time.Minute)}, now.Add(2*time.Minute)) || len(tr.came) != 1 {
		t.Errorf("a minute later: %d remembered", len(tr.came))
	}
}
