package standby

import (
	"net/http"

	"lifeboat/internal/statuspage"
)

// documents are all that is answered at a status page's own name, by path.
func documents(r statuspage.Rendered) map[string]Document {
	return map[string]Document{
		"/":            {Type: "text/html; charset=utf-8", Bytes: r.HTML},
		"/status.json": {Type: "application/json", Bytes: r.JSON},
		"/robots.txt":  {Type: "text/plain; charset=utf-8", Bytes: []byte(robots)},
	}
}

// serveStatus answers at the status page's own name.
func (t target) serveStatus(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		preflight(w, r)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		text(w, r, http.StatusMethodNotAllowed, "This page can only be read.\n")
		return
	}
	path := r.URL.Path
	if path == "/" && wantsJSON(r) {
		path = "/status.json"
	}
	d, known := t.documents[path]
	if !known {
		text(w, r, http.StatusNotFound, "Nothing is here. The page is at / and, for programs, at /status.json.\n")
		return
	}
	t.countStatus(r)
	d.serve(w, r)
}

func (t target) countStatus(r *http.Request) {
	if r.Header[CheckHeader] != nil {
		t.count.checks.Add(1)
		return
	}
	t.count.status.Add(1)
}
