package shop

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
)

// visitorCookie tells one visitor from another, and nothing else of them: while the
// checkout comes back in stages, the same visitors have it all the time.
const visitorCookie = "visitor"

// maxVisitor is the most that a visitor's cookie may hold.
const maxVisitor = 64

type visitorKey struct{}

// know gives each request the visitor it is from. Who has no cookie yet gets one with a
// page; a program that keeps none is another visitor each time.
func know(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(visitorCookie)
		id := ""
		if err == nil && c.Value != "" && len(c.Value) <= maxVisitor {
			id = c.Value
		} else {
			id = rand.Text()
			if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
				http.SetCookie(w, &http.Cookie{Name: visitorCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 7 * 24 * 60 * 60})
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, id)))
	})
}

// visitorOf is who asks, "" where that is not known.
func visitorOf(ctx context.Context) string {
	id, _ := ctx.Value(visitorKey{}).(string)
	return id
}
