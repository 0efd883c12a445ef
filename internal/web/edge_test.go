package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/api"
	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// bare are the fields of every form, filled with what no form of ours would send.
func bare(value string) url.Values {
	out := url.Values{}
	for _, name := range append(slices.Clone(worded), targets...) {
		out.Set(name, value)
	}
	return out
}

// TestEveryActEverywhere: an act that is asked for where it makes no sense, with nothing
// or nonsense in its fields, is refused in words and does not fail in our code.
func TestEveryActEverywhere(t *testing.T) {
	t.Parallel()
	for name, scene := range map[string]func(*boat){"calm": func(*boat) {}, "looking": looking, "closed": closed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			scene(b)
			h := b.handler()
			c := b.cookie(h)
			bases := []string{"/lifeboat/", "/sites/shop/", "/sites/nowhere/", "/incidents/nothing/"}
			if id := b.in().ID; id != "" {
				bases = append(bases, "/incidents/"+id+"/")
			}
			for act := range acts {
				for _, base := range bases {
					for _, args := range []url.Values{{}, bare(""), bare("x"), bare(strings.Repeat("\x00\xff", 40))} {
						sound(t, h, http.MethodGet, base+act+"?"+args.Encode(), nil, with(c))
						if act != "finish" || !strings.HasPrefix(base, "/incidents") {
							sound(t, h, http.MethodPost, base+act, args, with(c))
						}
					}
				}
			}
		})
	}
}

// sound sends a request and tells of a panic.
func sound(t *testing.T, h http.Handler, method, path string, form url.Values, change ...func(*http.Request)) (w *httptest.ResponseRecorder) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s %s: %v", method, path, fmt.Sprint(p))
		}
	}()
	w = request(t, h, method, path, form, change...)
	if w.Code == http.StatusInternalServerError {
		t.Errorf("%s %s: %d %.300s", method, path, w.Code, w.Body)
	}
	return w
}

// TestPagesAskForTheRolesOfTheAPI: what no command of the heart guards asks for the same
// role here as there, so that nobody gets by a page what a token of theirs would not get.
func TestPagesAskForTheRolesOfTheAPI(t *testing.T) {
	t.Parallel()
	doc, err := api.Document("1")
	must(t, err)
	var document struct {
		Paths map[string]map[string]struct {
			ID   string    `json:"operationId"`
			Role role.Role `json:"x-role"`
		} `json:"paths"`
	}
	must(t, json.Unmarshal(doc, &document))
	asks := map[string]role.Role{}
	for _, item := range document.Paths {
		for _, op := range item {
			asks[op.ID] = op.Role
		}
	}
	routes := map[string]string{
		"drill": "drill", "resume": "auto-resume", "capture": "evidence-capture", "retry": "queue-retry", "drop": "queue-drop", "finish": "write-up-finish", "change": "change-add",
		"account-add": "account-create", "account-role": "account-role", "account-password": "account-password", "account-disable": "account-disable", "account-enable": "account-enable",
		"rows-plan": "data-plan", "rows-search": "data-search", "rows-search-stop": "data-search-stop", "rows-approve": "data-approve", "rows-apply": "data-apply", "rows-stop": "data-stop", "rows-restore": "data-restore", "rows-discard": "data-discard", "rows-purge": "data-purge",
		"board-open": "board-incident-open", "board-update": "board-incident-update", "board-edit": "board-incident-edit", "board-story": "board-incident-story", "board-story-off": "board-incident-story",
		"board-override": "board-override", "board-take-back": "board-take-back", "board-plan": "board-maintenance-plan", "board-work": "board-maintenance-update", "board-work-edit": "board-maintenance-edit", "board-cancel": "board-maintenance-cancel", "board-attach": "board-incident-attach",
		"subscriber-add": "subscriber-add", "subscriber-remove": "subscriber-remove", "deliver-again": "delivery-again",
		"account-invite": "account-invite", "account-reset": "account-reset",
		"zone-add": "zone-change", "zone-edit": "zone-change", "zone-paste": "zone-paste", "zone-take-out": "zone-take-out", "zone-throw": "zone-take-out", "zone-publish": "zone-publish", "zone-keep": "zone-keep",
	}
	b := launch(t)
	reviewing(b)
	o, err := b.eng.Overview(t.Context())
	must(t, err)
	for name, a := range acts {
		if a.need == nil && a.least == "" {
			t.Errorf("%s asks for no role", name)
		}
		id, beside := routes[name]
		if a.need != nil && !beside {
			continue // the heart decides
		}
		if asks[id] == "" {
			t.Errorf("%s is not guarded by the heart, and there is no route %q to compare it with", name, id)
			continue
		}
		for _, may := range role.Roles {
			x := scope{who: account.Session{Role: may}, o: o, v: o.Sites[0], in: o.Sites[0].Incident}
			if free := a.forbidden(x) == ""; free != may.AtLeast(asks[id]) {
				t.Errorf("%s as %s: %v on the pages, while the API asks for %s", name, may, free, asks[id])
			}
		}
	}
}

// TestOneFormTwoTexts: a form that the browser kept (one goes back, writes something else
// and sends it) is a new act: its key stands for what was sent with it, and for who sent it.
func TestOneFormTwoTexts(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	b.person("jonas", "Jonas", role.Operator)
	br := browse(t, b.handler())
	br.enter(b)
	form := br.open("/sites/shop/note")
	for _, text := range []string{"one page is slow", "and now all of them"} {
		form.press("Write down what you see", "text="+text).want(http.StatusOK, text)
	}
	key := form.filled(form.all("form")[0]).Get("key")
	other := browse(t, b.handler())
	other.enterAs("jonas")
	seq := b.in().Seq
	for range 2 {
		other.post("/sites/shop/note", url.Values{"key": {key}, "text": {"and now all of them"}}).want(http.StatusOK)
	}
	if got := b.in().Seq; got != seq+1 {
		t.Errorf("what another person sent under the same key made %d events, want 1", got-seq)
	}
	before := len(b.in().Evidence)
	for n, text := range []string{"one", "another"} { // of the same name
		upload := br.fileForm(key, "a log", "shop.log", text)
		for range 2 {
			br.send(upload()).want(http.StatusOK)
		}
		if got := len(b.in().Evidence) - before; got != n+1 {
			t.Errorf("%d files were kept, want %d", got, n+1)
		}
	}
}

// fileForm makes the form with a file, as often as it is asked for, always the same.
func (b *browser) fileForm(key, title, name, body string) func() *http.Request {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	must(b.t, w.WriteField("key", key))
	must(b.t, w.WriteField("title", title))
	part, err := w.CreateFormFile("file", name)
	must(b.t, err)
	_, err = part.Write([]byte(body))
	must(b.t, err)
	must(b.t, w.Close())
	return func() *http.Request {
		r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+"/sites/shop/evidence", bytes.NewReader(form.Bytes()))
		must(b.t, err)
		r.Header.Set("Content-Type", w.FormDataContentType())
		return r
	}
}

// broken is an engine with a fault of ours in it.
type broken struct{ Engine }

// Overview implements Engine.
func (broken) Overview(context.Context) (engine.Overview, error) { panic("our own fault") }

// TestFaultOfOurs: a panic costs one page and nothing else, and the person is told.
func TestFaultOfOurs(t *testing.T) {
	t.Parallel()
	b := launch(t)
	var log bytes.Buffer
	o := b.options()
	o.Engine, o.Logger = broken{b.eng}, slog.New(slog.NewTextHandler(&log, nil))
	br := browse(t, New(o))
	c := b.cookie(New(b.options()))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, br.base+"/levers?secret=in-the-address", nil)
	must(t, err)
	r.AddCookie(c)
	p := br.send(r).want(http.StatusInternalServerError, "That did not work.", "Something failed inside lifeboat.")
	checkPage(t, p)
	if !strings.Contains(log.String(), "our own fault") || strings.Contains(log.String(), "in-the-address") || strings.Contains(log.String(), c.Value) {
		t.Errorf("the log says %s", log.String())
	}
}

// deadlines is a connection's writer that remembers how long it may take.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// TestFilesHaveTime: ten megabytes over a telephone take longer than the console allows
// for a form; only who is signed in gets more.
func TestFilesHaveTime(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	attach(b, "The page", "page.png", "image/png", pixel)
	in := b.in()
	h := b.handler()
	c := b.cookie(h)
	br := browse(t, h)
	upload := br.fileForm("k", "a log", "shop.log", "one")()
	upload.URL.Host, upload.RequestURI = "", "/sites/shop/evidence"
	piece := "/incidents/" + in.ID + "/evidence/" + in.Evidence[len(in.Evidence)-1].ID
	for _, signedIn := range []bool{false, true} {
		for _, r := range []*http.Request{upload, httptest.NewRequest(http.MethodGet, piece+"/file", nil), httptest.NewRequest(http.MethodGet, piece+"/image", nil)} {
			r = r.Clone(t.Context())
			if r.GetBody != nil {
				r.Body, _ = r.GetBody()
			}
			if signedIn {
				r.AddCookie(c)
			}
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			h.ServeHTTP(w, r)
			if more := time.Until(w.write) > time.Minute; more != signedIn {
				t.Errorf("%s %s: %d, more time to answer: %v", r.Method, r.URL.Path, w.Code, more)
			}
			if more := time.Until(w.read) > time.Minute; r.Method == http.MethodPost && more != signedIn {
				t.Errorf("%s %s: %d, more time to arrive: %v", r.Method, r.URL.Path, w.Code, more)
			}
		}
	}
}

// TestUploadIsHeldOutsideMemory: what comes before the file is bounded as a whole, with
// the names of its fields and the headers of its parts.
func TestUploadIsHeldOutsideMemory(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 1<<20)
	part := func(header, body string) string { return "--b\r\n" + header + "\r\n\r\n" + body + "\r\n" }
	named := func(name, body string) string { return part(`Content-Disposition: form-data; name="`+name+`"`, body) }
	many := strings.Repeat("X: y\r\n", 100_000)
	for name, body := range map[string]string{
		"a long name":     strings.Repeat(named(long, "x"), 10),
		"a long header":   strings.Repeat(part("Content-Disposition: form-data; name=\"x\"\r\nX: "+long, "x"), 10),
		"many headers":    part("Content-Disposition: form-data; name=\"x\"\r\n"+strings.TrimSuffix(many, "\r\n"), "x"),
		"a long preamble": strings.Repeat("x\r\n", 1<<20) + named("title", "x"),
		"many fields":     strings.Repeat(named("x", "y"), 100_000),
	} {
		in := &counted{Reader: strings.NewReader(body + "--b--\r\n")}
		r := httptest.NewRequest(http.MethodPost, "/sites/shop/evidence", in)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		args, f, err := readUpload(r)
		if err == nil || f != nil || in.n > maxFields+16<<10 || len(args.Encode()) > maxFields {
			t.Errorf("%s: %d bytes were read, %d are held, %v", name, in.n, len(args.Encode()), err)
		}
		r = httptest.NewRequest(http.MethodPost, "/sites/shop/evidence", strings.NewReader(body+"--b--\r\n"))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		if c := carry(r); len(r.PostForm.Encode()) > maxFields || len(c.Fields) > maxParts { // of somebody who is not signed in
			t.Errorf("%s: %d bytes in %d fields are held for a stranger", name, len(r.PostForm.Encode()), len(c.Fields))
		}
	}
	late := named("title", "x") + part(`Content-Disposition: form-data; name="file"; filename="`+long+`"`, "body")
	r := httptest.NewRequest(http.MethodPost, "/sites/shop/evidence", strings.NewReader(late+named("text", "after the file")+"--b--\r\n"))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	if _, f, err := readUpload(r); err == nil {
		t.Errorf("a file with a name of %d bytes was taken", len(f.Name))
	}
}

// TestAccountsAreLogged: what no timeline tells of is in the log, with who did it and
// without what is secret.
func TestAccountsAreLogged(t *testing.T) {
	t.Parallel()
	b := launch(t)
	var log bytes.Buffer
	o := b.options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	br := browse(t, New(o))
	br.enter(b)
	br.open("/lifeboat/account-add").press("Add the account", "new_name=eve", "title=Eve", "role=operator", "password=a secret of some words").want(http.StatusOK, "Eve can sign in as eve.")
	br.post("/lifeboat/account-role", url.Values{"name": {"eve"}, "role": {"commander"}}).want(http.StatusOK, "eve is commander now.")
	br.post("/lifeboat/account-password", url.Values{"name": {"eve"}, "password": {"another secret of words"}}).want(http.StatusOK)
	br.post("/lifeboat/account-disable", url.Values{"name": {"eve"}}).want(http.StatusOK)
	br.post("/sites/shop/resume", url.Values{}).want(http.StatusOK)
	for _, want := range []string{"act=account-add site=\"\" about=eve role=operator by=Ada", "act=account-role site=\"\" about=eve role=commander by=Ada", "act=account-password", "act=account-disable", "act=resume site=shop"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not hold %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log holds a password:\n%s", log.String())
	}
}

// TestLongBoard: what people wrote at length does not make the page that all look at long,
// and is not worked through for a page that does not show it.
func TestLongBoard(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	in := b.in()
	x := scope{s: newServer(b.options()), who: account.Session{Role: role.Admin}, in: &in}
	long := strings.Repeat("word ", 800)
	c := incident.Cause{ID: "c1", Statement: long, State: incident.CauseOpen}
	for i := range 40 {
		c.Weights = append(c.Weights, incident.Weight{Evidence: "e1", Stance: incident.For, Note: fmt.Sprintf("weight %d %s", i, long)})
	}
	for i := range 5 {
		c.Tests = append(c.Tests, incident.Test{Prediction: fmt.Sprintf("test %d", i), Outcome: incident.TestHeld, Saw: long})
	}
	i := x.causeItem(c)
	if n := len(i.Lines); n != perCause+1 || !strings.Contains(i.Lines[0].Words, "33") || !strings.Contains(i.Lines[1].Words, "Weight 33") || !strings.Contains(i.Lines[n-1].Words, "Test 4") {
		t.Errorf("%d lines, from %+v to %+v", n, i.Lines[0], i.Lines[n-1])
	}
	size := len(i.Statement)
	for _, l := range i.Lines {
		size += len(l.Words)
	}
	if size > 6000 {
		t.Errorf("%d bytes of one cause are shown", size)
	}
	in.Causes = []incident.Cause{c}
	if whole := x.board(""); !strings.Contains(string(whole), "Weight 39") {
		t.Errorf("the board does not show the newest: %.300s", whole)
	}
	x.bare = true
	if rest := x.board(""); rest != "" {
		t.Errorf("a board is made for a page that shows none: %.300s", rest)
	}
	few := x.causeItem(incident.Cause{ID: "c2", Weights: c.Weights[:3], Tests: c.Tests[:2]})
	if len(few.Lines) != 5 {
		t.Errorf("of few lines there are %d", len(few.Lines))
	}
}

// TestPressesAreBounded: a script with somebody's cookie does not fill the record while
// people work in it; what leads to safety is never held up, and what was typed is kept.
func TestPressesAreBounded(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	b.person("jonas", "Jonas", role.Operator)
	h := b.handler()
	c := b.cookie(h)
	post := func(c *http.Cookie, act, text string) *httptest.ResponseRecorder {
		return request(t, h, http.MethodPost, "/sites/shop/"+act, url.Values{"text": {text}, "lever": {"to-standby"}}, with(c))
	}
	seq, taken := b.in().Seq, 0
	var last *httptest.ResponseRecorder
	for i := range 3 * pressesAtOnce {
		if last = post(c, "note", fmt.Sprintf("note number %d", i)); last.Code == http.StatusSeeOther {
			taken++
		}
	}
	if got := int(b.in().Seq - seq); got != pressesAtOnce || taken != got {
		t.Errorf("%d notes of a script were taken, %d said so", got, taken)
	}
	if last.Code != http.StatusServiceUnavailable || last.Header().Get("Retry-After") == "" || !strings.Contains(last.Body.String(), fmt.Sprintf("note number %d", 3*pressesAtOnce-1)) {
		t.Errorf("it is told %d: %.300s", last.Code, last.Body)
	}
	for _, act := range []string{"declare", "pull", "step-back", "take-back"} {
		if w := post(c, act, ""); w.Code == http.StatusServiceUnavailable {
			t.Errorf("%s leads to safety and is held up", act)
		}
	}
	other := cookieOf(t, request(t, h, http.MethodPost, "/sign-in/name", url.Values{"name": {"jonas"}, "password": {password}}))
	if w := post(other, "note", "somebody else"); w.Code != http.StatusSeeOther {
		t.Errorf("another person is held up: %d", w.Code)
	}
	b.wait(pressEvery)
	if w := post(c, "note", "after a while"); w.Code != http.StatusSeeOther {
		t.Errorf("after a while: %d", w.Code)
	}
}
