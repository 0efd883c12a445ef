package api_test

import (
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/api"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// TestETags: what is read has the entity tag of its incident, and is not sent again to
// who has it.
func TestETags(t *testing.T) {
	t.Parallel()
	b := launch(t)
	const site = "/api/v1/sites/shop/incident"
	r := b.do("GET", site, nil, 200)
	if got := r.header.Get("ETag"); got != `"none"` || decode[api.SiteIncident](t, r).Open {
		t.Errorf("calm: %s %s", got, r.body)
	}
	b.do("GET", site, nil, 304, "If-None-Match", `"none"`)
	res := decode[api.Result](t, b.do("POST", "/api/v1/sites/shop/declare", nil, 200))
	id, etag := res.Incident.ID, fmt.Sprintf(`"%s-%d"`, res.Incident.ID, res.Incident.Seq)
	for _, path := range []string{site, "/api/v1/incidents/" + id} {
		r := b.do("GET", path, nil, 200, "If-None-Match", `"none"`)
		if got := r.header.Get("ETag"); got != etag {
			t.Errorf("%s: %s, want %s", path, got, etag)
		}
		for _, has := range []string{etag, "W/" + etag, `"x-1", ` + etag, "*"} {
			if r := b.do("GET", path, nil, 304, "If-None-Match", has); len(r.body) > 0 || r.header.Get("ETag") != etag {
				t.Errorf("%s for who has %s: %s", path, has, r.body)
			}
		}
	}
	r = b.do("POST", "/api/v1/sites/shop/notes", api.NoteBody{Text: "Smoke."}, 200)
	if got := r.header.Get("ETag"); got == etag || !strings.HasPrefix(got, `"`+id+"-") {
		t.Errorf("after a note: %s", got)
	}
	b.do("GET", site, nil, 200, "If-None-Match", etag)
}

// TestIfMatch: what was decided on an old page is not done, and what is now is told; the
// way to safety is free.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	b := launch(t)
	opened := b.do("POST", "/api/v1/sites/shop/declare", nil, 200, "If-Match", `"none"`)
	old := opened.header.Get("ETag")
	b.do("POST", "/api/v1/sites/shop/severity", api.SeverityBody{Level: "high"}, 200, "If-Match", old)
	r := b.do("POST", "/api/v1/sites/shop/severity", api.SeverityBody{Level: "low"}, 412, "If-Match", old)
	p := decode[api.Problem](t, r)
	if p.Kind != fault.Conflict || p.Now == nil || p.Now.Phase != incident.FailOver || p.Now.Seq != 2 || p.Now.ETag != r.header.Get("ETag") || p.Hint == "" {
		t.Errorf("412: %s, ETag %s", r.body, r.header.Get("ETag"))
	}
	b.do("POST", "/api/v1/sites/shop/severity", api.SeverityBody{Level: "low"}, 200, "If-Match", p.Now.ETag)
	id := p.Now.Incident
	b.do("POST", "/api/v1/incidents/"+id+"/follow-ups", api.FollowUpBody{What: "Watch the pool."}, 412, "If-Match", old)
	b.do("POST", "/api/v1/incidents/"+id+"/follow-ups", api.FollowUpBody{What: "Watch the pool."}, 412, "If-Match", `"another-3"`)
	b.do("POST", "/api/v1/incidents/"+id+"/follow-ups", api.FollowUpBody{What: "Watch the pool."}, 200, "If-Match", fmt.Sprintf(`"%s-3"`, id))
	b.do("POST", "/api/v1/sites/shop/severity", api.SeverityBody{Level: "high"}, 412, "If-Match", `"none"`)
	b.do("POST", "/api/v1/sites/shop/severity", api.SeverityBody{Level: "high"}, 200, "If-Match", "*")
	b.do("POST", "/api/v1/levers/to-standby/pull", api.ReasonBody{Reason: "All of it is down."}, 200, "If-Match", old)
	for _, wrong := range []string{"x", `"x"`, `"x-0"`, `"x-y"`, `W/` + old, old + `, "x-1"`, `"x-1`, `"-1"`, strings.Repeat("x", 400)} {
		r := b.do("POST", "/api/v1/sites/shop/severity", api.SeverityBody{Level: "high"}, 422, "If-Match", wrong)
		if p := decode[api.Problem](t, r); p.Place != "If-Match" {
			t.Errorf("If-Match %s: %s", wrong, r.body)
		}
	}
}

// FuzzIfMatch: whatever is taken for an entity tag is one that we could have sent.
func FuzzIfMatch(f *testing.F) {
	for _, seed := range []string{`"none"`, `"01J-1"`, `"a-b-2"`, `"x-0"`, `"x-18446744073709551616"`, `W/"x-1"`, `"x-1", "y-2"`, `"`, `""`, `"-1"`, "\"x\x00-1\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, seq, err := api.ParseETag(header)
		switch {
		case err != nil:
		case id == "" && header != `"none"`:
			t.Errorf("%q stands for no incident", header)
		case id != "" && (seq == 0 || !strings.HasPrefix(header, `"`+id+"-") || strings.ContainsAny(id, `",`)):
			t.Errorf("%q becomes %q, %d", header, id, seq)
		}
	})
}
