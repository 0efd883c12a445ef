package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"lifeboat/internal/role"
)

// soak says whether all of it is to be tried.
func soak() bool { return os.Getenv("LIFEBOAT_SOAK") == "1" }

// sentForm is a form of a page, as a browser would send it.
type sentForm struct {
	page, action, kind string
	fields             url.Values
	typed              []string // the names of the fields that somebody types into
}

// everyPage gives the address of each page that a route shows, of those of acts one for
// each act: about what there is, and about nothing. items are on the status page.
func (b *boat) everyPage(s *server, items ...string) []string {
	in := b.in()
	real := strings.NewReplacer("{site}", "shop", "{id}", in.ID, "{piece}", "e1", "{plan}", "p", "{search}", "s", "{operation}", "o", "{name}", "jonas", "{$}", "",
		"{zone}", "shop.example.com", "{draft}", "d", "{page}", "p", "{path...}", "")
	about := "?name=jonas&lever=to-standby&cause=c1&fix=f1&evidence=e1&event=3&follow_up=1&zone=shop.example.com&rname=www&rtype=A"
	var out []string
	for _, pattern := range slices.Concat(slices.Collect(maps.Keys(s.rooms())), slices.Collect(maps.Keys(s.doorways()))) {
		path, is := strings.CutPrefix(pattern, "GET ")
		path = real.Replace(path)
		switch {
		case !is || path == "/live":
		case strings.Contains(path, "{act}"):
			for act := range acts {
				at := strings.ReplaceAll(path, "{act}", act)
				if out = append(out, at, at+about); soak() || strings.HasPrefix(path, "/sites/") {
					out = append(out, at+about+"&anyway=1")
				}
				for _, item := range items {
					if strings.HasPrefix(act, "board-") && strings.HasPrefix(path, "/lifeboat/") {
						out = append(out, at+"?item="+item)
					}
				}
			}
		case strings.Contains(path, "{item}"):
			for _, item := range items {
				out = append(out, strings.ReplaceAll(path, "{item}", item))
			}
		default:
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// everyForm gives each form of these pages that changes something and that somebody types
// into, once.
func everyForm(t *testing.T, h http.Handler, pages []string, c *http.Cookie) map[string]sentForm {
	t.Helper()
	out := map[string]sentForm{}
	for _, page := range pages {
		w := request(t, h, http.MethodGet, page, nil, with(c))
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		p := sheetOf(t, page, w)
		for _, form := range p.all("form") {
			f := sentForm{page: page, action: get(form, "action"), kind: get(form, "enctype"), fields: p.filled(form)}
			if get(form, "method") != "post" {
				continue
			}
			for _, n := range within(form, "input", "textarea") {
				if kind := get(n, "type"); n.Data == "textarea" || kind == "" || kind == "text" || kind == "date" || kind == "number" {
					f.typed = append(f.typed, get(n, "name"))
				}
			}
			if len(f.typed) > 0 {
				out[f.action+" "+strings.Join(f.typed, ",")] = f
			}
		}
	}
	return out
}

func sheetOf(t *testing.T, path string, w *httptest.ResponseRecorder) *sheet {
	t.Helper()
	u, err := url.Parse("http://example.com" + path)
	must(t, err)
	return newSheet(&browser{t: t}, w.Code, u, w.Header(), w.Body.String())
}

// holds says whether a text stands in a field of a page, or in what is shown of what was
// typed.
func (p *sheet) holds(text string) bool {
	same := func(s string) bool { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) == text }
	return slices.ContainsFunc(p.all("input", "textarea"), func(n *html.Node) bool {
		if n.Data == "input" {
			return same(get(n, "value"))
		}
		return same(textOf(n)) || strings.Contains(textOf(n), text)
	})
}

// onlyOnce are fields whose contents are asked for anew: they count once, or are secret.
var onlyOnce = []string{"code", "token", "invitation"}

// TestEveryFormKeepsWhatWasTyped: of each form on each page, whatever is wrong with it, all
// that was typed comes back, and a sentence says what happened.
func TestEveryFormKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	scenes := map[string]func(*boat){"calm": (*boat).armed, "looking": looking, "diagnosed": diagnosed, "returning": returning, "reviewing": reviewing}
	if !soak() {
		scenes = map[string]func(*boat){"looking": looking}
	}
	for name, scene := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			scene(b)
			b.person("jonas", "Jonas", role.Admin)
			words := b.writing()
			o := b.options()
			o.Zones = b.zones()
			h := New(o)
			c := b.cookie(h)
			br := browse(t, h)
			br.enter(b)
			br.open("/lifeboat/board-open").press("Preview", "title=Slow", "text=We look.").press("Publish").want(http.StatusOK)
			br.open("/lifeboat/board-plan").press("Preview", "title=Cables", "text=New ones.", "from=2026-04-01 02:00", "until=2026-04-01 03:00").press("Publish").want(http.StatusOK)
			records := words.Records()
			items := slices.Concat(slices.Collect(maps.Keys(records.Incidents)), slices.Collect(maps.Keys(records.Maintenances)))
			signed := cookieOf(t, request(t, h, http.MethodPost, "/sign-in/name", url.Values{"name": {"jonas"}, "password": {password}}))
			pages := b.everyPage(newServer(o), items...)
			forms := everyForm(t, h, pages, signed)
			if soak() {
				maps.Copy(forms, everyForm(t, h, pages, c)) // of a token
			}
			if len(forms) < 100 {
				t.Fatalf("there are %d forms", len(forms))
			}
			for _, key := range slices.Sorted(maps.Keys(forms)) {
				b.spoil(h, key, forms[key], signed)
			}
		})
	}
}

// spoil sends a form that is wrong in each way, and looks at what comes back.
func (b *boat) spoil(h http.Handler, key string, f sentForm, c *http.Cookie) {
	b.t.Helper()
	short := func(i int, name string) string { return fmt.Sprintf("typed <b>%d</b> & \"%s\"\nünd", i, name) }
	long := func(i int, name string) string {
		return strings.Repeat(fmt.Sprintf("%d %s ", i, name), 4400/(len(name)+3)) + "end"
	}
	door := strings.HasPrefix(f.action, "/sign-in") || f.action == "/welcome" || f.action == "/sign-out"
	for _, v := range []struct {
		name   string
		text   func(int, string) string
		change func(url.Values)
		cookie bool
	}{
		{"signed out", short, func(url.Values) {}, false},
		{"stale", short, func(v url.Values) { v.Set("incident", "another"); v.Set("phase", "closed") }, true},
		{"too long", long, func(url.Values) {}, true},
		{"empty", func(i int, name string) string {
			if i == 0 {
				return ""
			}
			return short(i, name)
		}, func(url.Values) {}, true},
	} {
		fields := maps.Clone(f.fields)
		fields.Set("key", newKey())
		for i, name := range f.typed {
			fields.Set(name, v.text(i, name))
		}
		v.change(fields)
		body, kind := encode(b.t, f.kind, fields)
		r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, f.action, body)
		r.Header.Set("Content-Type", kind)
		if v.cookie {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		b.wait(pressEvery) // of presses there are not so many at once
		if w.Code == http.StatusSeeOther && (v.cookie || door) {
			continue // it was done
		}
		p := sheetOf(b.t, f.action, w)
		asked := p.says("Nothing was done yet.") && w.Code == http.StatusForbidden || p.says("Nothing is published yet.") && w.Code == http.StatusOK
		if !asked && (w.Code < 400 || w.Code == http.StatusInternalServerError || !slices.ContainsFunc(p.all("div", "p"), func(n *html.Node) bool { return get(n, "role") == "alert" })) {
			b.t.Errorf("%s of %s, %s: %d, and no sentence says why: %.300s", key, f.page, v.name, w.Code, p.text())
		}
		for i, name := range f.typed {
			text := strings.TrimSpace(v.text(i, name))
			if slices.Contains(onlyOnce, name) || text == "" || name == "name" && len(text) > 64 { // nobody's name
				continue
			}
			if !p.holds(text) {
				b.t.Errorf("%s of %s, %s: %d, and what was typed into %q is lost", key, f.page, v.name, w.Code, name)
			}
		}
	}
}
