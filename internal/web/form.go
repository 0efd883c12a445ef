package web

import (
	"errors"
	"net/http"

	"lifeboat/internal/fault"
)

// maxForm is the most that a form may carry, in bytes.
const maxForm = 64 << 10

// forms reads what was sent before anything acts on it: a form that came by halves is
// refused, never run with what is left of it.
func (s *server) forms(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := readForm(r)
		var big *http.MaxBytesError
		switch {
		case errors.As(err, &big):
			s.problem(w, http.StatusRequestEntityTooLarge, message{
				Text: "That was more than 64 KiB, so nothing was done.",
				Next: "Go back with the browser: what you typed is still there. Make it shorter, or send it in parts.",
			})
		case err != nil:
			s.fail(w, fault.New(fault.Invalid, "the form could not be read, so nothing was done").WithHint("go back with the browser and send it again"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// readForm takes both ways in which browsers send forms. Those with a field to type in
// are sent as multipart/form-data, which does not make text that is not ASCII three
// times as long.
func readForm(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	if err := r.ParseForm(); err != nil {
		return err
	}
	if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return err
	}
	return nil
}

// typed is all that a person wrote into a form.
func typed(r *http.Request) string {
	text, reason := r.PostFormValue("text"), r.PostFormValue("reason")
	if text != "" && reason != "" {
		return text + "\n\n" + reason
	}
	return text + reason
}

// foreign answers a form that another site has sent.
func (s *server) foreign(w http.ResponseWriter, _ *http.Request) {
	s.problem(w, http.StatusForbidden, message{
		Text: "This form was sent by another site, so nothing was done.",
		Next: "Open the page here and press there. If you did, whatever stands between your browser and lifeboat changes the Host header: let it pass it on.",
	})
}
