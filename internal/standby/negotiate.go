package standby

import (
	"net/http"
	"strconv"
	"strings"
)

// wanted is the kind of answer that a request is to be given.
type wanted int

const (
	wantsPage    wanted = iota
	wantsProblem        // a problem document (RFC 9457)
	wantsGRPC
	wantsEvents  // server-sent events
	wantsNothing // a short answer: a picture, a style, a socket can't show a page
)

// kindOf says how a client is told that the site is closed: by what it sent, then by
// the site's rule for its paths, then by what it says it accepts.
func kindOf(r *http.Request, api bool) wanted {
	sent := ""
	if kinds := r.Header["Content-Type"]; len(kinds) > 0 {
		sent = mediaType(kinds[0])
	}
	switch {
	case strings.HasPrefix(sent, "application/grpc") && (r.ProtoMajor > 1 || strings.HasPrefix(sent, "application/grpc-web")):
		return wantsGRPC
	case r.Header["Upgrade"] != nil && strings.EqualFold(r.Header["Upgrade"][0], "websocket"): // RFC 6455 section 4.4: any status but 101 ends it
		return wantsNothing
	case api, isJSON(sent), strings.HasPrefix(sent, "application/grpc"):
		return wantsProblem
	}
	accept := r.Header["Accept"]
	if len(accept) == 1 && strings.HasPrefix(accept[0], "text/html,") { // a browser's way
		return wantsPage
	}
	switch {
	case len(accept) == 1 && strings.HasPrefix(lower(accept[0]), "text/event-stream"):
		return wantsEvents
	case prefersJSON(accept):
		return wantsProblem
	}
	return byPlace(r)
}

// byPlace goes by what a browser wants the answer for (Fetch Metadata), where it accepts
// anything.
func byPlace(r *http.Request) wanted {
	place := r.Header["Sec-Fetch-Dest"]
	if len(place) == 0 {
		if r.URL.Path == "/favicon.ico" {
			return wantsNothing
		}
		return wantsPage
	}
	switch place[0] {
	case "document", "iframe", "frame", "embed", "object":
		return wantsPage
	case "empty": // a script asks
		if names(r.Header["Accept"], "text/html") {
			return wantsPage
		}
		return wantsProblem
	}
	return wantsNothing
}

// names says whether a header names a type with a weight above 0.
func names(accept []string, kind string) bool {
	for element := range elements(accept) {
		if k, q := weigh(element); k == kind && q > 0 {
			return true
		}
	}
	return false
}

// wantsJSON: programs are given a document at the status page's own name, people a page.
func wantsJSON(r *http.Request) bool {
	return isJSON(mediaType(r.Header.Get("Content-Type"))) || prefersJSON(r.Header.Values("Accept"))
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
