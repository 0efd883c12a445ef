package web

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"lifeboat/internal/catalogue"
	"lifeboat/internal/probe"
)

var letters = regexp.MustCompile(`\p{L}{2}`)

// data are the runs of text on the golden pages that people or machines wrote.
var data = regexp.MustCompile(`^(lifeboat|lifeboat\.yaml:.*|shop\.example\.com|Example Shop|The blog|blog\.example\.com|Ada|Jonas|Vera|Mara Lind|Jonas Weber|on call|knows the database|(Mara Lind|Jonas Weber) \+49 .*|main|backup|home|pay|(home|pay): .*|\d\d:\d\d UTC|\d+ ms|UTC|500 ms|by hand|` +
	`Show visitors the status page|Use the backup|Close the checkout|Put release 411 back|Customers can look but not buy\..*|Set the pool back.*|set the pool back.*|Put the pool .*|the pool of every worker .*|Tom looks at the import.*|somebody who has slept|Visitors are at the status page\. It is the pool\.|` +
	`\d\. (Price import starts|Release 412|Index on orders)|[ce]\d|e\d, .*|“sorry, too many clients already”.*|300 of 300 connections.*|The front page|502 after 30 s, from both addresses|The larger pool of release 412.*|A robot floods the shop|As many visitors as .*|Fewer than 120 connections.*|.* 84 with release 411.*|We know that .*|Example Shop works again.*)$`)

// untold are the runs of text that are in no message: on a page in nobody's language
// they alone are not marked.
func untold(page string) []string {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for n := range root.Descendants() {
		if n.Type != html.TextNode || !letters.MatchString(n.Data) || quoted(n) {
			continue
		}
		if text := strings.TrimSpace(strings.ReplaceAll(n.Data, nbsp, " ")); !strings.Contains(text, "⟦") && !data.MatchString(text) {
			out = append(out, text)
		}
	}
	return out
}

func quoted(n *html.Node) bool {
	for a := range n.Ancestors() {
		if a.Type == html.ElementNode && slices.Contains([]string{"script", "style", "code", "textarea", "pre", "article", "noscript"}, a.Data) {
			return true
		}
		for _, at := range a.Attr {
			if at.Key == "translate" && at.Val == "no" {
				return true
			}
		}
	}
	return false
}

// TestEachMomentIsInTheCatalogue: what is seen at the moments of the loop is in a
// message, or somebody wrote it.
func TestEachMomentIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	for _, name := range kept {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := os.ReadFile(filepath.Join("testdata", "golden", name+".html"))
			must(t, err)
			marked := string(catalogue.Marked().HTML(page))
			for _, text := range untold(marked) {
				t.Errorf("in no message: %q", text)
			}
			balanced(t, marked)
			if !strings.Contains(marked, `dir="rtl"`) {
				t.Error("the page does not say which way it is read")
			}
		})
	}
}

// noWords are files whose literals nobody reads in a page: shows.go lists what the proofs
// of the rules look for on the English pages, graph.go and hour.go hold shapes.
var noWords = []string{"shows.go"}

// noSentence are literals with spaces that nobody reads: drawn, matched, laid out.
var noSentence = regexp.MustCompile(`%%|sha256|^M[\d%]|2006|2 Jan|\[45\]|^GET |^POST |^<|-src |geolocation=|\(\?i\)`)

// english are sentences that stay as they are: the first draft of a message to the public,
// which somebody reads and changes before it is sent (ADR 32), and lines that are looked
// for in evidence.
var english = regexp.MustCompile(`^(We know that|Next news by|some pages of|do not open|may show wrong information|does not work as it should|We are looking into it|We have (put up a safe page|closed what was broken) while we look into it|works again as it should\. We are sorry.*|` +
	`a browser takes it|no TLS connection|the certificate is not for|DNS questions to|TLS handshakes with|its clock is|fix number 3)$`)

var verb = regexp.MustCompile(`%[-+#0-9.]*[a-z%]`)

// TestSentencesOfTheCodeAreInTheCatalogue walks the code: each sentence that a person may
// see is part of a message.
func TestSentencesOfTheCodeAreInTheCatalogue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../catalogue/languages/en.json")
	must(t, err)
	var messages map[string]any
	must(t, json.Unmarshal(raw, &messages))
	var all strings.Builder
	for _, m := range messages {
		switch m := m.(type) {
		case string:
			all.WriteString(m + "\n")
		case map[string]any:
			for _, text := range m {
				all.WriteString(text.(string) + "\n")
			}
		}
	}
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || slices.Contains(noWords, name) {
			continue
		}
		for _, text := range sentencesOf(t, name) {
			if !english.MatchString(text) && !strings.Contains(all.String(), text) && !strings.Contains(all.String(), strings.ToUpper(text[:1])+text[1:]) {
				t.Errorf("%s: in no message: %q", name, text)
			}
		}
	}
}

// sentencesOf are the literals of a file that read like a sentence, without what is filled in.
func sentencesOf(t *testing.T, name string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	must(t, err)
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		if call, is := n.(*ast.CallExpr); is {
			if f, is := call.Fun.(*ast.SelectorExpr); is && slices.Contains([]string{"Error", "Warn", "Info", "Debug"}, f.Sel.Name) {
				return false // into the log
			}
		}
		lit, is := n.(*ast.BasicLit)
		if !is || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil || !strings.Contains(text, " ") || noSentence.MatchString(text) {
			return true
		}
		for _, part := range verb.Split(text, -1) {
			if part = strings.Trim(part, " .,:;“”"); strings.Count(part, " ") >= 2 {
				out = append(out, part)
			}
		}
		return true
	})
	return out
}

// TestToSafetyInGerman goes from the call to safety by forms, in a language chosen at a
// page's foot.
func TestToSafetyInGerman(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.drill("to-standby")
	br := browse(t, b.handler())
	p := br.enter(b).press("Deutsch").want(http.StatusOK, "Alles ist in Ordnung.", "Besucher gehen nach main (Zuhause).")
	if lang := p.all("html")[0].Attr[0].Val; lang != "de" {
		t.Errorf("the page says that it is in %q", lang)
	}
	b.breaks(probe.Down, "502 after 30 s")
	p = p.press("Etwas stimmt nicht").want(http.StatusOK, "Was erleben die Besucher?")
	p = p.press("Nichts lädt").want(http.StatusOK, "Besucher erleben: Nichts lädt.")
	p = p.press("Show visitors the status page").want(http.StatusOK, "Die Besucher sind versorgt.", "Besucher gehen zur Statusseite.")
	p = p.press("Bescheid geben").want(http.StatusOK, "Was ist geschehen?", "We know that Example Shop does not open.")
	p.press("English").want(http.StatusOK, "What happened?")
	if in := b.in(); in.Title != "Something is wrong with Example Shop" {
		t.Errorf("the record is not in English: %q", in.Title)
	}
}

// TestLanguageOfThePage: the choice beats the browser's wish, which beats English.
func TestLanguageOfThePage(t *testing.T) {
	t.Parallel()
	h := launch(t).handler()
	chosen := func(tag string) func(*http.Request) {
		return with(&http.Cookie{Name: languageCookie, Value: tag})
	}
	for _, c := range []struct {
		name, want string
		change     []func(*http.Request)
	}{
		{"nothing is said", "en", nil},
		{"the browser wants German", "de", []func(*http.Request){header("Accept-Language", "de-AT,de;q=0.9,en;q=0.1")}},
		{"the browser wants what there is not", "en", []func(*http.Request){header("Accept-Language", "tlh")}},
		{"what the browser says is nonsense", "en", []func(*http.Request){header("Accept-Language", strings.Repeat(";;q=x,", 300))}},
		{"the choice beats it", "en", []func(*http.Request){header("Accept-Language", "de"), chosen("en")}},
		{"a choice that there is not counts for nothing", "de", []func(*http.Request){header("Accept-Language", "de"), chosen("../x")}},
	} {
		w := request(t, h, http.MethodGet, "/sign-in", nil, c.change...)
		if !strings.Contains(w.Body.String(), `<html lang="`+c.want+`"`) {
			t.Errorf("%s: the page is not in %s", c.name, c.want)
		}
		if vary := w.Header().Get("Vary"); !strings.Contains(vary, "Accept-Language") || !strings.Contains(vary, "Cookie") {
			t.Errorf("%s: Vary is %q", c.name, vary)
		}
	}
	w := request(t, h, http.MethodPost, "/language", url.Values{"language": {"de"}}, header("Referer", "https://elsewhere.example//x"))
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != "/" {
		t.Errorf("a foreign page is led back to: %d %q", w.Code, to)
	}
	if w := request(t, h, http.MethodPost, "/language", url.Values{"language": {"xx"}}); w.Code != http.StatusBadRequest || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a language that there is not: %d", w.Code)
	}
}
