package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// Conditional requests (RFC 9110, section 13). The entity tag of an incident is
// "ID-SEQ": its id and the number of its newest event, since it is nothing but its
// events. Where there is none it is "none". What leads to safety ignores If-Match: an old
// page holds nobody back.

// noIncident is the entity tag of a site on which nothing was ever declared.
const noIncident = `"none"`

func etagOf(in incident.Incident) string {
	if in.ID == "" {
		return noIncident
	}
	return fmt.Sprintf(`"%s-%d"`, in.ID, in.Seq)
}

// expectation is what a request says that it saw.
type expectation struct {
	given bool
	engine.Expect
}

type expectationKey struct{}

func expectationOf(ctx context.Context) expectation {
	x, _ := ctx.Value(expectationKey{}).(expectation)
	return x
}

// conditional reads If-Match.
func (a *api) conditional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := strings.TrimSpace(strings.Join(r.Header.Values("If-Match"), ","))
		if header == "" || header == "*" || r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		x, err := parseExpectation(header)
		if err != nil {
			problemOf(err).write(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), expectationKey{}, x)))
	})
}

// parseExpectation reads one entity tag of ours.
func parseExpectation(header string) (expectation, error) {
	wrong := fault.New(fault.Invalid, "If-Match is not the ETag of an incident").At("If-Match").WithHint(`send one ETag as it came, for example "01J9ZZ6V3Q4W5E6R7T8Y9U0P1A-17"`)
	if header == noIncident {
		return expectation{given: true}, nil
	}
	tag, quoted := strings.CutPrefix(header, `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	at := strings.LastIndexByte(tag, '-')
	if !quoted || !closed || at < 1 || len(tag) > 100 || strings.ContainsAny(tag, `",`) {
		return expectation{}, wrong
	}
	seq, err := strconv.ParseUint(tag[at+1:], 10, 64)
	if err != nil || seq == 0 {
		return expectation{}, wrong
	}
	return expectation{true, engine.Expect{Incident: tag[:at], Seq: seq}}, nil
}

// expecting makes what follows conditional on what the caller saw of a site.
func (a *api) expecting(ctx context.Context, site string) (context.Context, error) {
	x := expectationOf(ctx)
	if !x.given {
		return ctx, nil
	}
	if x.Incident != "" {
		return engine.WithExpect(ctx, x.Expect), nil
	}
	s, err := a.current(ctx, site) // it saw that nothing was ever declared
	if err == nil && s.Incident != nil {
		err = stale(*s.Incident, "an incident was declared since you looked")
	}
	return ctx, err
}

// matches says whether an If-None-Match names an entity tag; it compares weakly (RFC
// 9110, section 13.1.2).
func matches(header, etag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == etag {
			return true
		}
	}
	return false
}

// versioned is an answer with an entity tag; 304 says that the caller has it.
type versioned[T any] struct {
	Status int
	ETag   string `header:"ETag" doc:"of the incident as it is now; for If-Match and If-None-Match"`
	Body   *T
}

func withETag[T any](header, etag string, v T) *versioned[T] {
	out := &versioned[T]{Status: http.StatusOK, ETag: etag, Body: &v}
	if header != "" && matches(header, etag) {
		out.Status, out.Body = http.StatusNotModified, nil
	}
	return out
}
