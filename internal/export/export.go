// Package export writes a status page into a folder, so that any web server or bucket
// can serve it.
//
// It takes finished documents by path and knows how they are found: each page becomes a
// folder with an index.html, links between pages become relative, so that the folder may
// lie at any address and can be opened from a disk, and what a page may load is written
// into the page, for nobody sends headers with it. It renders nothing (package
// statuspage) and decides no state (package board). Only the command line may import it.
//
// Invariants: a folder is replaced whole or not at all; one that this package did not
// write, and that is not empty, is never touched; no document gets out of the folder.
//
// Concurrency: everything may be called from any goroutine; two exports into one folder
// at a time leave one of them.
package export

import (
	"bytes"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"

	"lifeboat/internal/fault"
	"lifeboat/internal/statuspage"
)

// Missing is the file of what is said at an address that nothing is at; many web servers
// and buckets find it by this name.
const Missing = "404.html"

// Files gives the documents of a page by the names of their files, slash-separated.
// A path that can't be a file's is fault Invalid.
func Files(docs map[string]statuspage.Document) (map[string][]byte, error) {
	names := make(map[string]string, len(docs))
	for p, d := range docs {
		name, err := fileOf(p, d)
		if err != nil {
			return nil, err
		}
		names[p] = name
	}
	out := make(map[string][]byte, len(docs))
	for p, d := range docs {
		body := d.Body
		if isPage(d) {
			body = still(d, names[p], names)
		}
		if _, twice := out[names[p]]; twice {
			return nil, fault.New(fault.Invalid, "two documents of the status page would be the file %s", names[p]).At(p)
		}
		out[names[p]] = body
	}
	return out, nil
}

func isPage(d statuspage.Document) bool { return strings.HasPrefix(d.Type, "text/html") }

// fileOf is the file of a path: a page without an extension is a folder's index.html.
func fileOf(p string, d statuspage.Document) (string, error) {
	name := strings.TrimPrefix(p, "/")
	if isPage(d) && path.Ext(name) != ".html" {
		name = path.Join(name, "index.html")
	}
	if !strings.HasPrefix(p, "/") || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00:") {
		return "", fault.New(fault.Invalid, "the status page's address %q can't be a file", p).At("status")
	}
	return name, nil
}

// still makes a page one that needs no server: links lead from file to file, and its
// policy stands in it. What can't stand there (frame-ancestors) is left out.
func still(d statuspage.Document, name string, names map[string]string) []byte {
	var out bytes.Buffer
	z := html.NewTokenizer(bytes.NewReader(d.Body))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return out.Bytes()
		}
		raw := bytes.Clone(z.Raw())
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			out.Write(raw)
			continue
		}
		t := z.Token()
		if relink(&t, name, names) {
			raw = []byte(t.String())
		}
		out.Write(raw)
		if t.Data == "meta" && len(t.Attr) > 0 && t.Attr[0].Key == "charset" && d.Policy != "" {
			out.WriteString(`<meta http-equiv="Content-Security-Policy" content="` + html.EscapeString(inPage(d.Policy)) + `">`)
		}
	}
}

// inPage leaves out of a policy what is not heeded inside a page (CSP level 3, section
// 3.3: the meta element).
func inPage(policy string) string {
	var out []string
	for rule := range strings.SplitSeq(policy, ";") {
		if rule = strings.TrimSpace(rule); rule != "" && !strings.HasPrefix(rule, "frame-ancestors") {
			out = append(out, rule)
		}
	}
	return strings.Join(out, "; ")
}

// relink turns the links of a tag that lead to a document of the same page into relative
// ones; it says whether there were any.
func relink(t *html.Token, from string, names map[string]string) (changed bool) {
	for i, a := range t.Attr {
		if a.Key != "href" && a.Key != "src" {
			continue
		}
		u, err := url.Parse(a.Val)
		if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			continue
		}
		to, known := names[u.Path]
		if !known {
			to, known = names[strings.TrimSuffix(u.Path, "/")]
		}
		if !known {
			to, known = names[u.Path+"/"]
		}
		if !known {
			continue
		}
		link := &url.URL{Path: relative(from, to), Fragment: u.Fragment}
		t.Attr[i].Val, changed = link.String(), true
	}
	return changed
}

// relative is the way from one file to another one.
func relative(from, to string) string {
	here, there := strings.Split(path.Dir(from), "/"), strings.Split(to, "/")
	if here[0] == "." {
		here = nil
	}
	for len(here) > 0 && len(there) > 1 && here[0] == there[0] {
		here, there = here[1:], there[1:]
	}
	return strings.Repeat("../", len(here)) + strings.Join(there, "/")
}
