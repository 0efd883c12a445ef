package catalogue

import (
	"bytes"
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// kept are the elements whose text is nobody's message: it is typed, quoted or a program.
var kept = map[string]bool{"script": true, "style": true, "code": true, "textarea": true, "pre": true, "kbd": true, "article": true}

// void are elements that nothing stands in.
var void = map[string]bool{"input": true, "img": true, "br": true, "hr": true, "meta": true, "link": true, "source": true, "col": true, "wbr": true}

// foreign tells an element that says of itself that its words are not ours: what people
// tell the public has a language of its own.
func foreign(tag string, raw []byte) bool {
	return bytes.Contains(raw, []byte(` translate="no"`)) || tag != "html" && bytes.Contains(raw, []byte(` lang="`))
}

// An example of what somebody may type is a message that begins so: the same words may
// stand on a page as what somebody did type.
const example = "e.g. "

var spoken = regexp.MustCompile(` (aria-label|placeholder|title|alt|data-say)="([^"]*)"`)

// HTML gives a page in this language. What is no message stays byte for byte.
func (t *Tongue) HTML(page []byte) []byte {
	if t.Tag == English {
		return page
	}
	var out bytes.Buffer
	out.Grow(len(page) + len(page)/8)
	z := html.NewTokenizer(bytes.NewReader(page))
	var within string // the element whose text stays
	deep := 0
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return out.Bytes() // the end: what we read is in memory
		}
		raw := bytes.Clone(z.Raw())
		switch kind {
		case html.TextToken:
			if within == "" {
				raw = t.node(raw)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			tag := string(name)
			switch {
			case within == tag && kind == html.StartTagToken:
				deep++
			case within == "" && kind == html.StartTagToken && !void[tag] && (kept[tag] || foreign(tag, raw)):
				within, deep = tag, 1
			}
			if tag == "html" {
				raw = []byte(`<html lang="` + t.Tag + `" dir="` + t.Dir + `">`)
			} else if within == "" || tag == "textarea" {
				raw = t.attributes(raw)
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); within == string(name) {
				if deep--; deep == 0 {
					within = ""
				}
			}
		}
		out.Write(raw)
	}
}

// node says a run of text anew, with the space around it as it was.
func (t *Tongue) node(raw []byte) []byte {
	text := html.UnescapeString(string(raw))
	words := strings.Trim(text, " \n\t")
	if words == "" {
		return raw
	}
	said, _ := t.Say(words)
	if said == words {
		return raw
	}
	at := strings.Index(text, words)
	return []byte(html.EscapeString(text[:at] + said + text[at+len(words):]))
}

func (t *Tongue) attributes(raw []byte) []byte {
	return spoken.ReplaceAllFunc(raw, func(a []byte) []byte {
		m := spoken.FindSubmatch(a)
		said, _ := t.spoken(string(m[1]), html.UnescapeString(string(m[2])))
		return []byte(" " + string(m[1]) + `="` + html.EscapeString(said) + `"`)
	})
}

// spoken says an attribute anew.
func (t *Tongue) spoken(name, text string) (string, bool) {
	if name == "placeholder" {
		if said, known := t.exactly(example + text); known {
			return t.wrap(text, strings.TrimPrefix(said, example)), true
		}
	}
	return t.Say(text)
}
