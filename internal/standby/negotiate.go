package standby

import (
	"net/http"
	"strconv"
	"strings"
)

// wantsJSON: API clients are given a document, people a page. The path rule and a
// JSON request body decide alone; else the Accept header does (RFC 9110 section
// 12.5.1), and whoever has no preference gets the page.
func wantsJSON(r *http.Request) bool {
	if r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	if isJSON(mediaType(r.Header.Get("Content-Type"))) {
		return true
	}
	return prefersJSON(r.Header.Values("Accept"))
}

// prefersJSON: JSON is named, and nothing that means HTML has a greater weight.
// Between equals a type that is named wins over a wildcard, else the first.
func prefersJSON(accept []string) bool {
	json, page, anything := 0.0, 0.0, 0.0
	jsonFirst := false
	for element := range elements(accept) {
		kind, q := weigh(element)
		switch {
		case isJSON(kind) || kind == "application/*":
			jsonFirst = jsonFirst || page == 0
			json = max(json, q)
		case kind == "text/html", kind == "application/xhtml+xml", kind == "text/*":
			page = max(page, q)
		case kind == "*/*":
			anything = max(anything, q)
		}
	}
	if json == 0 || json < anything {
		return false
	}
	return json > page || json == page && jsonFirst
}

// acceptsGzip: gzip is named with a weight above 0.
func acceptsGzip(r *http.Request) bool {
	for element := range elements(r.Header.Values("Accept-Encoding")) {
		if name, q := weigh(element); name == "gzip" || name == "x-gzip" {
			return q > 0
		}
	}
	return false
}

// elements yields the members of a list header that may be there several times.
func elements(values []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range values {
			for element := range strings.SplitSeq(v, ",") {
				if !yield(element) {
					return
				}
			}
		}
	}
}

// weigh parts "type;q=0.5" into its type, in lower case, and its weight. A weight
// that can't be read counts as 0.
func weigh(element string) (string, float64) {
	kind, params, _ := strings.Cut(element, ";")
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || !(q >= 0 && q <= 1) {
			q = 0
		}
		return lower(kind), q
	}
	return lower(kind), 1
}

func mediaType(header string) string {
	kind, _, _ := strings.Cut(header, ";")
	return lower(kind)
}

func lower(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func isJSON(kind string) bool {
	return kind == "application/json" || kind == "text/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}
