package ofrep

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/feature"
)

// TestPage is an open page that asks through the web SDK: what it sees, a flip that
// reaches it by its stream, and a server that goes away and comes back with another
// flip.
func TestPage(t *testing.T) {
	t.Parallel()
	for name, access := range map[string]feature.Access{
		"open": {}, "keys": {Keys: []feature.Key{{Name: "pages", SHA256: hash("page"), For: feature.ForPages}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := launch(t, access)
			p := run(t, "page.mjs", b.url(), "page")
			for _, c := range []struct {
				kind, key string
				fallback  any
				want      details
			}{
				{"boolean", "checkout", false, details{Value: raw("true"), Reason: "STATIC"}},
				{"string", "engine", "x", details{Value: raw(`"titles"`), Reason: "TARGETING_MATCH"}},
				{"number", "limit", 1, details{Value: raw("12.5"), Reason: "STATIC"}},
				{"object", "page", map[string]any{}, details{Value: raw(`{"colour":"blue","deep":{"n":1}}`), Reason: "STATIC"}},
				{"boolean", "secret", false, details{Value: raw("false"), Reason: "ERROR", Error: "FLAG_NOT_FOUND"}},
				{"boolean", "broken", true, details{Value: raw("true"), Reason: "ERROR", Error: "PARSE_ERROR"}},
			} {
				if got := p.evaluate(c.kind, c.key, c.fallback, nil); string(got.Value) != string(c.want.Value) || got.Reason != c.want.Reason || got.Error != c.want.Error {
					t.Errorf("%s: %s %+v, want %+v", c.key, got.Value, got, c.want)
				}
			}
			until(t, "the stream is open and told", func() bool { return b.server.Heard().Pages.Told == 1 })
			b.order(pulled())
			if m := p.event("changed"); !slices.Equal(m.Flags, []string{"checkout"}) {
				t.Errorf("changed: %v", m.Flags)
			}
			got := p.evaluate("boolean", "checkout", true, nil)
			if string(got.Value) != "false" || got.Metadata["incident"] != "01J" || got.Metadata["by"] != "" {
				t.Errorf("pulled: %+v", got)
			}
			if h := b.server.Heard().Pages; h.Clients != 1 || h.Heard != 1 || h.Revision != "1.2" || len(h.Behind) != 0 {
				t.Errorf("heard: %+v", h)
			}

			b.stop() // the page keeps what it has
			p.event("stale")
			if got := p.evaluate("boolean", "checkout", true, nil); string(got.Value) != "false" {
				t.Errorf("of a dead server: %+v", got)
			}
			b.start(access)
			b.order(nil)
			p.event("changed")
			if got := p.evaluate("boolean", "checkout", false, nil); string(got.Value) != "true" {
				t.Errorf("of one that is back: %+v", got)
			}
			if got := p.ask(map[string]any{"do": "become", "context": map[string]any{"targetingKey": "u2"}}); string(got.Answer) != `"became"` {
				t.Errorf("%s", got.Answer)
			}
			if got := p.evaluate("string", "engine", "x", nil); string(got.Value) != `"full"` {
				t.Errorf("another visitor: %+v", got)
			}
		})
	}
}

// TestPageThatPolls asks every 50 ms, and has nothing sent that it has already.
func TestPageThatPolls(t *testing.T) {
	t.Parallel()
	b := launch(t, feature.Access{})
	p := run(t, "page.mjs", b.url(), "", "50")
	until(t, "three polls", func() bool { return b.server.Counts().NotModified >= 3 })
	b.order(pulled())
	p.event("changed")
	if got := p.evaluate("boolean", "checkout", true, nil); string(got.Value) != "false" {
		t.Errorf("pulled: %+v", got)
	}
	var asked []struct {
		Status      int
		Conditional bool
	}
	if err := json.Unmarshal(p.ask(map[string]any{"do": "asked"}).Answer, &asked); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for i, a := range asked {
		if a.Status == 200 {
			whole++
		}
		if i > 0 && !a.Conditional || a.Status != 200 && a.Status != 304 {
			t.Errorf("question %d: %+v", i, a)
		}
	}
	if whole != 2 {
		t.Errorf("%d whole answers of %d, want 2", whole, len(asked))
	}
}

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
