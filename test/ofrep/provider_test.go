package ofrep

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"lifeboat/internal/feature"
)

// What follows, up to the next line like this one, is in docs/howto/features-in-go.md.

// Provider asks lifeboat for one feature at a time.
type Provider struct {
	openfeature.NoopStateHandler
	BaseURL string       // http://127.0.0.1:8016
	Key     string       // "" where none is asked for
	Client  *http.Client // with a Timeout: 250 ms
}

func (p *Provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: "lifeboat"} }
func (p *Provider) Hooks() []openfeature.Hook      { return nil }

func (p *Provider) BooleanEvaluation(ctx context.Context, flag string, fallback bool, c openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return ask(ctx, p, flag, fallback, c)
}

func (p *Provider) StringEvaluation(ctx context.Context, flag string, fallback string, c openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return ask(ctx, p, flag, fallback, c)
}

func (p *Provider) FloatEvaluation(ctx context.Context, flag string, fallback float64, c openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return ask(ctx, p, flag, fallback, c)
}

func (p *Provider) IntEvaluation(ctx context.Context, flag string, fallback int64, c openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return ask(ctx, p, flag, fallback, c)
}

func (p *Provider) ObjectEvaluation(ctx context.Context, flag string, fallback any, c openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return ask(ctx, p, flag, fallback, c)
}

// ask gives the fallback and why, unless a value of its type came in time.
func ask[T any](ctx context.Context, p *Provider, flag string, fallback T, c openfeature.FlattenedContext) openfeature.GenericResolutionDetail[T] {
	none := func(why openfeature.ResolutionError) openfeature.GenericResolutionDetail[T] {
		return openfeature.GenericResolutionDetail[T]{Value: fallback, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
			ResolutionError: why, Reason: openfeature.ErrorReason,
		}}
	}
	if c == nil {
		c = openfeature.FlattenedContext{}
	}
	body, err := json.Marshal(map[string]any{"context": c})
	if err != nil {
		return none(openfeature.NewInvalidContextResolutionError(err.Error()))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.BaseURL+"/ofrep/v1/evaluate/flags/"+url.PathEscape(flag), bytes.NewReader(body))
	if err != nil {
		return none(openfeature.NewGeneralResolutionError(err.Error()))
	}
	r.Header.Set("Content-Type", "application/json")
	if p.Key != "" {
		r.Header.Set("X-API-Key", p.Key)
	}
	res, err := p.Client.Do(r)
	if err != nil {
		return none(openfeature.NewGeneralResolutionError("lifeboat can't be asked: " + err.Error()))
	}
	defer func() { _ = res.Body.Close() }()
	var a struct {
		Value                   *json.RawMessage
		Reason, Variant         string
		Metadata                map[string]any
		ErrorCode, ErrorDetails string
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&a); err != nil {
		return none(openfeature.NewGeneralResolutionError("the answer can't be read: " + err.Error()))
	}
	if res.StatusCode != http.StatusOK || a.Value == nil {
		return none(problem(a.ErrorCode, a.ErrorDetails))
	}
	value := fallback
	if err := json.Unmarshal(*a.Value, &value); err != nil {
		return none(openfeature.NewTypeMismatchResolutionError(err.Error()))
	}
	return openfeature.GenericResolutionDetail[T]{Value: value, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
		Reason: openfeature.Reason(a.Reason), Variant: a.Variant, FlagMetadata: a.Metadata,
	}}
}

func problem(code, details string) openfeature.ResolutionError {
	switch code {
	case "FLAG_NOT_FOUND":
		return openfeature.NewFlagNotFoundResolutionError(details)
	case "TARGETING_KEY_MISSING":
		return openfeature.NewTargetingKeyMissingResolutionError(details)
	case "INVALID_CONTEXT":
		return openfeature.NewInvalidContextResolutionError(details)
	case "PARSE_ERROR":
		return openfeature.NewParseErrorResolutionError(details)
	}
	return openfeature.NewGeneralResolutionError(details)
}

// What precedes, up to the line like this one above, is in docs/howto/features-in-go.md.

// TestGoPage holds the page to what is tested here.
func TestGoPage(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("provider_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/howto/features-in-go.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "docs/howto/features-in-go.md.\n\n")
	code, _, _ = strings.Cut(code, "// What precedes")
	if !strings.Contains(string(page), strings.TrimSpace(code)) {
		t.Error("docs/howto/features-in-go.md does not hold the provider as it is tested")
	}
}

// TestGoClient asks through Go's SDK.
func TestGoClient(t *testing.T) {
	t.Parallel()
	access := feature.Access{Keys: []feature.Key{{Name: "shop", SHA256: hash("good"), For: feature.ForServers}}}
	b := launch(t, access)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	p := &Provider{BaseURL: b.url(), Key: "good", Client: &http.Client{Timeout: patience, Transport: transport}}
	if err := openfeature.SetNamedProviderAndWait(t.Name(), p); err != nil {
		t.Fatal(err)
	}
	defer openfeature.Shutdown()
	client := openfeature.NewClient(t.Name())
	ctx := t.Context()
	de := openfeature.NewEvaluationContext("u1", map[string]any{"country": "DE"})

	if d, err := client.BooleanValueDetails(ctx, "checkout", false, de); err != nil || !d.Value || d.Reason != openfeature.StaticReason || d.Variant != "on" {
		t.Errorf("checkout: %+v %v", d, err)
	}
	if d, err := client.StringValueDetails(ctx, "engine", "x", de); err != nil || d.Value != "titles" || d.Reason != openfeature.TargetingMatchReason {
		t.Errorf("engine: %+v %v", d, err)
	}
	if d, err := client.FloatValueDetails(ctx, "limit", 1, de); err != nil || d.Value != 12.5 {
		t.Errorf("limit: %+v %v", d, err)
	}
	if d, err := client.IntValueDetails(ctx, "limit", 1, de); d.Value != 1 || d.ErrorCode != openfeature.TypeMismatchCode || err == nil {
		t.Errorf("limit as a whole number: %+v", d)
	}
	if d, err := client.ObjectValueDetails(ctx, "page", nil, de); err != nil || d.Value.(map[string]any)["colour"] != "blue" {
		t.Errorf("page: %+v %v", d, err)
	}
	none := openfeature.NewTargetlessEvaluationContext(nil)
	for key, want := range map[string]openfeature.ErrorCode{"nothing": openfeature.FlagNotFoundCode, "ramp": openfeature.TargetingKeyMissingCode, "broken": openfeature.ParseErrorCode} {
		if d, _ := client.BooleanValueDetails(ctx, key, true, none); !d.Value || d.ErrorCode != want {
			t.Errorf("%s: %+v, want %s", key, d, want)
		}
	}
	b.order(pulled())
	d, err := client.BooleanValueDetails(ctx, "checkout", true, de)
	if by, _ := d.FlagMetadata.GetString("by"); err != nil || d.Value || by != "Ada" {
		t.Errorf("pulled: %+v %v", d, err)
	}
	p.Key = "bad"
	if d, _ := client.BooleanValueDetails(ctx, "checkout", true, de); !d.Value || d.ErrorCode != openfeature.GeneralCode {
		t.Errorf("with a bad key: %+v", d)
	}
	b.stop()
	p.Client.Timeout = 250 * time.Millisecond
	if d, _ := client.BooleanValueDetails(ctx, "checkout", true, de); !d.Value || d.ErrorCode != openfeature.GeneralCode {
		t.Errorf("of a dead server: %+v", d)
	}
}
