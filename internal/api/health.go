package api

import (
	"encoding/json"
	"net/http"
	"os"

	"lifeboat/internal/fault"
)

// healthz says that the process runs, and which it is.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"ok": true, "pid": os.Getpid()})
}

// readyz says whether an order could be given now: the record can be read, and the
// answer process is connected and takes orders.
func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	if err := a.ready(r); err != nil {
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reason": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ready": true})
}

func (a *api) ready(r *http.Request) error {
	if a.o.Ready != nil {
		if err := a.o.Ready(); err != nil {
			return err
		}
	}
	o, err := a.o.Engine.Overview(r.Context())
	switch {
	case err != nil:
		return fault.New(fault.Unavailable, "the record can't be read").Because(err)
	case !o.Answer.Connected:
		return fault.New(fault.Unavailable, "the answer process is not connected")
	case !o.Answer.Ready && o.Answer.Problem != "":
		return fault.New(fault.Unavailable, "nothing can be published: %s", o.Answer.Problem)
	case !o.Answer.Ready:
		return fault.New(fault.Unavailable, "the answer process has just connected")
	}
	return nil
}

// noRoute answers for paths that are not there, and methods that a path has not.
func (a *api) noRoute(w http.ResponseWriter, r *http.Request) {
	p := problemOf(fault.New(fault.NotFound, "there is no %s", r.URL.Path).WithHint("the routes are in /api/openapi.json"))
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		try := *r
		try.Method = method
		if _, pattern := a.mux.Handler(&try); pattern != "/" {
			w.Header().Add("Allow", method)
			p.Status, p.Title, p.Kind = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed), fault.Invalid
			p.Detail = r.URL.Path + " can't be asked with " + r.Method
		}
	}
	p.write(w)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a caller that has gone away misses nothing
}
