package ofrep

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/goccy/go-yaml"

	"lifeboat/internal/feature"
	"lifeboat/internal/ofrep"
)

// published reads OFREP's OpenAPI document (open-feature/protocol, 0.3.0) with two
// faults of it mended, which would refuse what its own examples show:
//
//   - a success is `oneOf` six kinds of flag, and codeDefaultFlag, which demands
//     nothing, fits every one of them; an item of the bulk answer likewise: anyOf.
//   - enumerations are closed where OpenFeature's specification leaves them open:
//     reason (DEFAULT, and any other text) and errorCode (FLAG_NOT_FOUND in bulk).
func published(t *testing.T) *openapi3.T {
	t.Helper()
	dir := os.Getenv("LIFEBOAT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	text, err := os.ReadFile(filepath.Join(dir, "ofrep", "openapi.yaml"))
	if err != nil {
		t.Skipf("SKIP-DATA: OFREP's OpenAPI document is not there (%v): set LIFEBOAT_TESTDATA", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	at := func(v any, path ...any) map[string]any {
		for _, p := range path {
			if i, is := p.(int); is {
				v = v.([]any)[i]
			} else {
				v = v.(map[string]any)[p.(string)]
			}
		}
		return v.(map[string]any)
	}
	open := func(m map[string]any) { m["anyOf"] = m["oneOf"]; delete(m, "oneOf") }
	open(at(schemas, "evaluationSuccess", "allOf", 1))
	open(at(schemas, "bulkEvaluationSuccess", "properties", "flags", "items"))
	delete(at(schemas, "evaluationSuccess", "allOf", 0, "properties", "reason"), "enum")
	delete(at(schemas, "evaluationFailure", "properties", "errorCode"), "enum")
	mended, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := openapi3.NewLoader().LoadFromData(mended)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestAnswersFitTheDocument asks in every way and holds each answer against the
// document's schema for its path and status.
func TestAnswersFitTheDocument(t *testing.T) {
	t.Parallel()
	doc := published(t)
	b := launch(t, feature.Access{})
	b.order(pulled())
	transport := &http.Transport{}
	client := &http.Client{Transport: transport, Timeout: patience}
	defer transport.CloseIdleConnections()
	const single, bulk = "/ofrep/v1/evaluate/flags/{key}", "/ofrep/v1/evaluate/flags"
	for name, c := range map[string]struct {
		path, key, body string
		status          int
	}{
		"boolean":     {single, "checkout", `{"context":{"targetingKey":"u"}}`, 200},
		"text":        {single, "engine", `{"context":{"targetingKey":"u","country":"DE"}}`, 200},
		"default":     {single, "engine", `{"context":{"targetingKey":"u"}}`, 200},
		"number":      {single, "limit", `{"context":{"targetingKey":"u"}}`, 200},
		"object":      {single, "page", `{"context":{"targetingKey":"u"}}`, 200},
		"no key":      {single, "ramp", `{"context":{}}`, 400},
		"no JSON":     {single, "checkout", `{`, 400},
		"no object":   {single, "engine", `{"context":1}`, 400},
		"key no text": {single, "engine", `{"context":{"targetingKey":1}}`, 400},
		"too large":   {single, "engine", `{"context":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, 400},
		"bad flag":    {single, "broken", `{}`, 400},
		"unknown":     {single, "nothing", `{}`, 404},
		"not UTF-8":   {single, "%ff%fe", `{}`, 404},
		"all":         {bulk, "", `{"context":{"targetingKey":"u"}}`, 200},
		"all, nobody": {bulk, "", `{}`, 200},
		"all no JSON": {bulk, "", `[]`, 400},
		"all no key":  {bulk, "", `{"context":{"targetingKey":[]}}`, 400},
		"all no map":  {bulk, "", `{"context":"x"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := client.Post(b.url()+strings.Replace(c.path, "{key}", c.key, 1), "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != c.status || res.ContentLength != int64(len(text)) {
				t.Fatalf("%d %d %s %v", res.StatusCode, res.ContentLength, text, err)
			}
			schema := doc.Paths.Value(c.path).Post.Responses.Status(c.status).Value.Content.Get("application/json").Schema.Value
			fits(t, schema, text)
		})
	}
	t.Run("not ready", func(t *testing.T) {
		empty := &boat{t: t, addr: "127.0.0.1:0"}
		empty.start(feature.Access{})
		defer empty.stop()
		res, err := client.Post(empty.url()+bulk, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("%d", res.StatusCode)
		}
		fits(t, doc.Components.Schemas["generalErrorResponse"].Value, text)
	})
	t.Run("event", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url()+"/ofrep/v1/streams", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				fits(t, doc.Components.Schemas["sseEventData"].Value, []byte(data))
				return
			}
		}
		t.Error("no event came")
	})
	if got := b.server.Counts(); got == (ofrep.Counts{}) {
		t.Error("nobody was counted")
	}
}

// TestRefusalsFitTheDocument: the document has no schema for 401, 403 and 429, and they
// have the shape of its other refusals all the same. A lever that goes back in stages
// makes answers like every other.
func TestRefusalsFitTheDocument(t *testing.T) {
	t.Parallel()
	doc := published(t)
	b := launch(t, feature.Access{
		Keys:    []feature.Key{{Name: "shop", SHA256: hash("good"), For: feature.ForServers}, {Name: "slow", SHA256: hash("slow"), For: feature.ForPages, PerSecond: 1}},
		Origins: []string{"https://shop.example.com"},
	})
	b.order(map[string]feature.Order{"limit": {Value: raw("0"), Lever: "close-limit", Share: 50}, "engine": {Value: raw(`"none"`), Share: 100}})
	transport := &http.Transport{}
	client := &http.Client{Transport: transport, Timeout: patience}
	defer transport.CloseIdleConnections()
	const single, bulk = "/ofrep/v1/evaluate/flags/limit", "/ofrep/v1/evaluate/flags"
	for _, c := range []struct {
		name, path, schema string
		status             int
		headers            []string
	}{
		{"one without a key", single, "evaluationFailure", 401, nil},
		{"all without a key", bulk, "bulkEvaluationFailure", 401, nil},
		{"one of another origin", single, "evaluationFailure", 403, []string{"X-API-Key", "good", "Origin", "https://evil.example.com"}},
		{"all of another origin", bulk, "bulkEvaluationFailure", 403, []string{"X-API-Key", "good", "Origin", "https://evil.example.com"}},
		{"the first", bulk, "bulkEvaluationSuccess", 200, []string{"X-API-Key", "slow"}},
		{"all too often", bulk, "bulkEvaluationFailure", 429, []string{"X-API-Key", "slow"}},
		{"one too often", single, "evaluationFailure", 429, []string{"X-API-Key", "slow"}},
		{"one in stages", single, "serverEvaluationSuccess", 200, []string{"X-API-Key", "good"}},
		{"all in stages", bulk, "bulkEvaluationSuccess", 200, []string{"X-API-Key", "good"}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url()+c.path, strings.NewReader(`{"context":{"targetingKey":"u1"}}`))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Set(c.headers[i], c.headers[i+1])
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != c.status || (res.Header.Get("Retry-After") != "") != (c.status == 429) || strings.Contains(c.name, "stages") && !strings.Contains(string(text), `"SPLIT"`) {
			t.Errorf("%s: %d %v %s", c.name, res.StatusCode, res.Header, text)
		}
		fits(t, doc.Components.Schemas[c.schema].Value, text)
	}
}

func fits(t *testing.T, schema *openapi3.Schema, text []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := schema.VisitJSON(v); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

// TestTheDocumentIsHeld: the schemas refuse what is wrong, so that fitting them says
// something.
func TestTheDocumentIsHeld(t *testing.T) {
	t.Parallel()
	doc := published(t)
	for schema, wrong := range map[string]string{
		"serverEvaluationSuccess": `{"key":"a","value":true}`, "bulkEvaluationSuccess": `{"flags":[{"value":1}]}`, "evaluationFailure": `{"key":"a"}`,
		"bulkEvaluationFailure": `{}`, "sseEventData": `{"etag":"x"}`, "eventStream": `{"type":"sse"}`,
	} {
		var v any
		if json.Unmarshal([]byte(wrong), &v) != nil || doc.Components.Schemas[schema].Value.VisitJSON(v) == nil {
			t.Errorf("%s takes %s", schema, wrong)
		}
	}
}
