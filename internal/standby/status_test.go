package standby

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/statuspage"
)

// boards are what the sites' own status pages are made of.
func boards(o map[string]snapshot.SiteOrder) board.Facts {
	f := board.Facts{Sheet: snapshot.Contents{Sites: sites()}.Boards(), Ordered: map[string]board.Ordered{}, Now: now}
	for _, s := range sites() {
		f.Ordered[s.ID] = board.Ordered{Position: o[s.ID].Position, Home: s.Home}
	}
	f.Seen = []board.Seen{{Site: "shop", Place: "main", Check: "home", Seen: probe.Up, At: now.Add(-8 * time.Second)}}
	return f
}

func statused(t testing.TB, o map[string]snapshot.SiteOrder) []*Statused {
	t.Helper()
	pages, err := (&Statuses{}).Render(boards(o), "")
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// statusServer serves the shop's status page as it is after a change.
func statusServer(t testing.TB, change func(*board.Facts), clock func() time.Time) *Server {
	t.Helper()
	f := boards(nil)
	change(&f)
	pages, err := (&Statuses{}).Render(f, "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := Compile(Input{Sites: sites(), Seen: seen(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.AddStatus(pages); err != nil {
		t.Fatal(err)
	}
	s := New(Options{Now: clock})
	s.Set(v)
	return s
}

func fixed() time.Time { return now }

func TestStatusFormsAndLanguages(t *testing.T) {
	t.Parallel()
	s := statusServer(t, func(f *board.Facts) { f.Sheet.Pages[0].Languages = []string{"en", "de"} }, fixed)
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	for _, c := range []struct {
		path, accept, language, agent string
		status                        int
		kind, lang, words             string
	}{
		{"/", browser, "", "Mozilla/5.0", 200, "text/html; charset=utf-8", "en", "Everything works."},
		{"/", browser, "de-AT,de;q=0.9,en;q=0.5", "Mozilla/5.0", 200, "text/html; charset=utf-8", "de", "Alles funktioniert."},
		{"/", browser, "fr, de;q=0.2", "Mozilla/5.0", 200, "text/html; charset=utf-8", "de", "Alles"},
		{"/", browser, "fr", "Mozilla/5.0", 200, "text/html; charset=utf-8", "en", "Everything"},
		{"/en/", browser, "de", "Mozilla/5.0", 200, "text/html; charset=utf-8", "en", "Everything works."},
		{"/de", browser, "en", "Mozilla/5.0", 200, "text/html; charset=utf-8", "de", "Alles"},
		{"/de/", "*/*", "", "curl/8.5.0", 200, "text/plain; charset=utf-8", "de", "Alles funktioniert.\nGeprüft vor"},
		{"/", "*/*", "", "curl/8.5.0", 200, "text/plain; charset=utf-8", "en", "Everything works.\nChecked 8"},
		{"/", "text/html", "", "curl/8.5.0", 200, "text/html; charset=utf-8", "en", "<!doctype html>"},
		{"/", "application/json", "", "curl/8.5.0", 200, "application/json", "en", `"state": "operational"`},
		{"/status.json", "", "de", "", 200, "application/json", "de", `"says": "Alles funktioniert."`},
		{"/components/shop", browser, "de", "", 200, "text/html; charset=utf-8", "de", "Antwortzeit"},
		{"/history", browser, "", "", 200, "text/html; charset=utf-8", "en", "March 2026"},
		{"/nowhere", browser, "de", "", 404, "text/html; charset=utf-8", "de", "Hier ist nichts."},
		{"/de/nowhere/../..", browser, "", "", 404, "text/html; charset=utf-8", "en", "Nothing is here."},
	} {
		w := ask(s, "GET", status, c.path, "", "Accept", c.accept, "Accept-Language", c.language, "User-Agent", c.agent)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.kind || w.Header().Get("Content-Language") != c.lang {
			t.Errorf("%s %q %q %q: %d %s in %s", c.path, c.accept, c.language, c.agent, w.Code, w.Header().Get("Content-Type"), w.Header().Get("Content-Language"))
		}
		if body := strings.ReplaceAll(w.Body.String(), "\u00a0", " "); !strings.Contains(body, c.words) {
			t.Errorf("%s %q %q: lacks %q:\n%.400s", c.path, c.language, c.agent, c.words, body)
		}
		if vary := strings.Join(w.Header().Values("Vary"), ", "); !strings.Contains(vary, "Accept-Language") || !strings.Contains(vary, "User-Agent") {
			t.Errorf("%s: Vary %q", c.path, vary)
		}
	}
}

func TestStatusNamesAreNobodyElses(t *testing.T) {
	t.Parallel()
	f := boards(nil)
	f.Sheet.Pages[0].Hosts = []string{shop, "a b", "fine.example.com"}
	pages, err := (&Statuses{}).Render(f, "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := Compile(Input{Sites: sites(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	err = v.AddStatus(pages)
	var refused *fault.Error
	if !errors.As(err, &refused) || refused.Kind != fault.Invalid || !strings.Contains(err.Error(), "belongs to site shop") {
		t.Errorf("%v", err)
	}
	s := New(Options{})
	s.Set(v)
	if w := ask(s, "GET", shop, "/", ""); w.Header().Get(Marker) != "shop" {
		t.Errorf("the site's own name is answered %d", w.Code)
	}
	if w := ask(s, "GET", "fine.example.com", "/", ""); w.Code != 200 {
		t.Errorf("the other name is answered %d", w.Code)
	}
}

const secret = "a boat in a bottle"

// TestPrivatePages unlocks a page as people and programs do, and fails to as strangers.
func TestPrivatePages(t *testing.T) {
	t.Parallel()
	at := now
	s := statusServer(t, func(f *board.Facts) {
		f.Sheet.Pages[0].Private = &board.Private{Hash: board.HashPassword(secret), Key: []byte("k")}
	}, func() time.Time { return at })
	form := func(values url.Values) []string {
		return []string{values.Encode(), "Content-Type", "application/x-www-form-urlencoded"}
	}
	post := func(values url.Values) (int, *http.Cookie) {
		x := form(values)
		w := ask(s, "POST", status, "/unlock", x[0], x[1:]...)
		for _, c := range w.Result().Cookies() {
			return w.Code, c
		}
		return w.Code, nil
	}
	for _, path := range []string{"/", "/status.json", "/status.txt", "/de/", "/history", "/components/shop", "/nowhere"} {
		w := ask(s, "GET", status, path, "")
		if w.Code != 401 || strings.Contains(w.Body.String(), "Everything works") || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is answered %d to a stranger: %.200s", path, w.Code, w.Body)
		}
	}
	if w := ask(s, "GET", status, "/robots.txt", ""); !strings.Contains(w.Body.String(), "Disallow: /") {
		t.Errorf("robots.txt: %s", w.Body)
	}
	for name, values := range map[string]url.Values{
		"wrong": {"password": {"a boat"}}, "empty": {}, "long": {"password": {strings.Repeat("x", 3000)}}, "a made-up pass": {"pass": {"AAAA"}},
		"a pass for reading": {"pass": {board.Admit([]byte("k"), "read shop", now.Add(time.Hour))}}, "another page's": {"pass": {board.Admit([]byte("k"), "enter docs", now.Add(time.Hour))}},
		"an old pass": {"pass": {board.Admit([]byte("k"), "enter shop", now.Add(-time.Second))}},
	} {
		if code, cookie := post(values); code != 401 || cookie != nil {
			t.Errorf("%s: %d, cookie %v", name, code, cookie)
		}
	}
	code, cookie := post(url.Values{"password": {secret}})
	if code != 303 || cookie == nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
		t.Fatalf("the password is answered %d with %v", code, cookie)
	}
	if w := ask(s, "GET", status, "/", "", "Cookie", cookie.Name+"="+cookie.Value); w.Code != 200 || !strings.Contains(w.Body.String(), "Everything works") {
		t.Errorf("with the cookie: %d", w.Code)
	}
	for _, bad := range []string{cookie.Value[1:], cookie.Value + "A", "", board.Admit([]byte("other"), "read shop", now.Add(time.Hour))} {
		if w := ask(s, "GET", status, "/", "", "Cookie", cookie.Name+"="+bad); w.Code != 401 {
			t.Errorf("a cookie that is not ours: %d", w.Code)
		}
	}
	r := func(password string) int {
		req, _ := http.NewRequest("GET", "http://x/", nil)
		req.SetBasicAuth("anybody", password)
		return ask(s, "GET", status, "/status.json", "", "Authorization", req.Header.Get("Authorization")).Code
	}
	if first, again := r(secret), r(secret); first != 200 || again != 200 || r("wrong") != 401 {
		t.Error("Basic credentials are not taken")
	}
	at = now.Add(31 * 24 * time.Hour)
	if w := ask(s, "GET", status, "/", "", "Cookie", cookie.Name+"="+cookie.Value); w.Code != 401 {
		t.Errorf("the cookie holds for ever: %d", w.Code)
	}
	for range triesPerMinute + 1 {
		code, _ = post(url.Values{"password": {"guess"}})
	}
	if code != 429 {
		t.Errorf("guessing is answered %d", code)
	}
	if code, _ := post(url.Values{"password": {secret}}); code != 429 {
		t.Errorf("while guessing the right password is answered %d: guesses could be told apart", code)
	}
	at = at.Add(time.Minute)
	if code, _ := post(url.Values{"password": {secret}}); code != 303 {
		t.Errorf("a minute later the password is answered %d", code)
	}
}

// TestOneGuesserLocksNobodyOut: tries that are not looked at take nothing from the others.
func TestOneGuesserLocksNobodyOut(t *testing.T) {
	t.Parallel()
	all := newTries()
	allowed := 0
	for range 10 * triesAtAll {
		if all.may("192.0.2.1:1", now) {
			allowed++
		}
	}
	if allowed != triesPerMinute {
		t.Errorf("one network was allowed %d tries", allowed)
	}
	for n := range 2 * triesAtAll { // a household has a /64
		_ = all.may(fmt.Sprintf("[2001:db8::%x]:1", n), now)
	}
	if !all.may("198.51.100.7:1", now) {
		t.Error("two who guess lock everybody out")
	}
	for n := range 5000 {
		_ = all.may(fmt.Sprintf("10.%d.%d.1:1", n>>8, n&0xff), now)
	}
	if all.may("198.51.100.8:1", now) {
		t.Error("a flood of networks is allowed more than all together are")
	}
	if len(all.by) > triesAtAll {
		t.Errorf("%d networks are remembered", len(all.by))
	}
}

func TestTheMoreFormsAreServed(t *testing.T) {
	t.Parallel()
	s := Statuses{More: []More{func(board.Board) (map[string]statuspage.Document, error) {
		return map[string]statuspage.Document{"/history.atom": {Type: "application/atom+xml", Body: []byte("<feed/>")}, "/": {Body: []byte("theirs")}}, nil
	}}}
	pages, err := s.Render(boards(nil), "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := Compile(Input{Sites: sites(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.AddStatus(pages); err != nil {
		t.Fatal(err)
	}
	srv := New(Options{})
	srv.Set(v)
	if w := ask(srv, "GET", status, "/history.atom", ""); w.Code != 200 || w.Body.String() != "<feed/>" || w.Header().Get("Content-Type") != "application/atom+xml" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(srv, "GET", status, "/", ""); strings.Contains(w.Body.String(), "theirs") {
		t.Error("the first page is somebody else's")
	}
}

func TestOnlyWhatChangedIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := &Statuses{}
	f := boards(nil)
	rest := func(version string) map[string]statuspage.Document {
		if _, err := s.Render(f, version); err != nil {
			t.Fatal(err)
		}
		return s.kept["shop"].rest
	}
	first := rest("a")
	same := func(m map[string]statuspage.Document) bool {
		return &first["/components/shop"].Body[0] == &m["/components/shop"].Body[0]
	}
	f.Now = f.Now.Add(5 * time.Second)
	if !same(rest("a")) {
		t.Error("a page on which nothing changed was made anew")
	}
	if same(rest("b")) {
		t.Error("new words are not shown")
	}
	first = rest("b")
	f.Now = f.Now.Add(2 * time.Minute)
	if same(rest("b")) {
		t.Error("the pages grow old")
	}
}
