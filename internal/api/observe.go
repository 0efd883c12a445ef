package api

import (
	"context"
	"net/http"
	"strconv"

	"lifeboat/internal/fault"
)

// observed bounds a request in time, counts it by the route it took, and survives a
// panic in it.
func (a *api) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := a.mux.Handler(r)
		limit := requestTime
		if a.rules[pattern].file {
			limit = fileTime
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		began := a.o.Now()
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("Cache-Control", "no-store")
		rec.Header().Set("X-Content-Type-Options", "nosniff")
		defer func() {
			if cause := recover(); cause != nil {
				a.survive(rec, pattern, cause)
			}
			a.metrics.requests.WithLabelValues(pattern, strconv.Itoa(rec.code())).Inc()
			a.metrics.duration.WithLabelValues(pattern).Observe(max(0, a.o.Now().Sub(began).Seconds()))
		}()
		next.ServeHTTP(rec, r.WithContext(ctx))
	})
}

// survive tells of a panic: one bad request must not take the console away.
func (a *api) survive(w *recorder, pattern string, cause any) {
	a.metrics.panics.Inc()
	a.o.Logger.Error("a request failed in our code", "route", pattern, "cause", cause)
	if w.status == 0 {
		problemOf(fault.New(fault.Internal, "something failed inside lifeboat").WithHint("its log tells more")).write(w)
	}
}

// recorder remembers the status that was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets deadlines be set through it.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
