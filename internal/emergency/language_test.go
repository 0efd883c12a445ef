package emergency

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeboat/internal/catalogue"
)

// still is an answer process that stands still, with a bit of everything.
type still struct{}

func (still) View() View {
	now := time.Date(2026, 3, 12, 2, 6, 0, 0, time.UTC)
	return View{
		Now: now, Silent: time.Minute, Epoch: 4, Revision: 17, Problem: "disk is full",
		Sites: []Site{{ID: "shop", Title: "Example Shop", Names: []string{"shop.example.com"}, Position: "standby", Seen: []Seen{{"main", "down"}, {"standby", "up"}}, Levers: []Lever{
			{Name: "to-standby", Title: "Example lever", Off: "it is in force already."}, {Name: "to-backup", Title: "Example lever"},
		}}, {ID: "blog", Title: "Example Blog", Position: "main"}},
		Orders: []Order{{Lever: "to-standby", By: "uid 1000", At: now}},
	}
}

func (still) Pull(string, string, string) error { return nil }

// TestEachSentenceIsInTheCatalogue: what the page says is in a message, or is data.
func TestEachSentenceIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	h := Handler(still{}, func(*http.Request) string { return "uid 1000" }, slog.New(slog.NewTextHandler(io.Discard, nil)))
	ask := func(method, path, language string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://localhost"+path, nil)
		r.Header.Set("Accept-Language", language)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	data := regexp.MustCompile(`^(Example .*|shop\.example\.com|\(?to-standby\)?|main)$`)
	for _, c := range []struct{ method, path string }{{"GET", "/?done=to-standby"}, {"GET", "/nothing"}, {"POST", "/pull"}} {
		w := ask(c.method, c.path, "en")
		root, err := html.Parse(strings.NewReader(string(catalogue.Marked().HTML(w.Body.Bytes()))))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			text := strings.TrimSpace(n.Data)
			if n.Type != html.TextNode || n.Parent.Data == "style" || n.Parent.Data == "code" || len(text) < 2 || strings.Contains(text, "⟦") || data.MatchString(text) {
				continue
			}
			t.Errorf("%s %s: in no message: %q", c.method, c.path, text)
		}
	}
	w := ask("GET", "/", "de-CH")
	if body := w.Body.String(); !strings.Contains(body, `<html lang="de"`) || !strings.Contains(body, "Die Steuerung antwortet nicht.") {
		t.Errorf("not in German: %s", body)
	}
	if w.Header().Get("Content-Language") != "de" || w.Header().Get("Vary") != "Accept-Language" {
		t.Errorf("the answer does not say its language: %v", w.Header())
	}
}
