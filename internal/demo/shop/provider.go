package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/open-feature/go-sdk/openfeature"
)

// provider lets OpenFeature's SDK ask an OFREP endpoint, one flag at a time. It is what
// docs/howto/features-in-go.md shows to everybody else.
type provider struct {
	base   string       // of the endpoint
	client *http.Client // with a time limit
}

var _ openfeature.FeatureProvider = (*provider)(nil)

func (p *provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: "ofrep"} }
func (p *provider) Hooks() []openfeature.Hook      { return nil }

func (p *provider) BooleanEvaluation(ctx context.Context, flag string, fallback bool, c openfeature.FlattenedContext) openfeature.BoolResolutionDetail {
	return resolve(ctx, p, flag, fallback, c)
}

func (p *provider) StringEvaluation(ctx context.Context, flag string, fallback string, c openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	return resolve(ctx, p, flag, fallback, c)
}

func (p *provider) FloatEvaluation(ctx context.Context, flag string, fallback float64, c openfeature.FlattenedContext) openfeature.FloatResolutionDetail {
	return resolve(ctx, p, flag, fallback, c)
}

func (p *provider) IntEvaluation(ctx context.Context, flag string, fallback int64, c openfeature.FlattenedContext) openfeature.IntResolutionDetail {
	return resolve(ctx, p, flag, fallback, c)
}

func (p *provider) ObjectEvaluation(ctx context.Context, flag string, fallback any, c openfeature.FlattenedContext) openfeature.InterfaceResolutionDetail {
	return resolve(ctx, p, flag, fallback, c)
}

// resolve gives the fallback and why, unless a value of its type came in time.
func resolve[T any](ctx context.Context, p *provider, flag string, fallback T, c openfeature.FlattenedContext) openfeature.GenericResolutionDetail[T] {
	status, body, err := p.ask(ctx, flag, c)
	if err == nil {
		var out openfeature.GenericResolutionDetail[T]
		if out, err = readAnswer[T](status, body); err == nil {
			return out
		}
	}
	var why openfeature.ResolutionError
	if !errors.As(err, &why) {
		why = openfeature.NewGeneralResolutionError(err.Error())
	}
	return openfeature.GenericResolutionDetail[T]{
		Value: fallback, ProviderResolutionDetail: openfeature.ProviderResolutionDetail{ResolutionError: why, Reason: openfeature.ErrorReason},
	}
}

// ask sends the question and gives the answer as it came.
func (p *provider) ask(ctx context.Context, flag string, c openfeature.FlattenedContext) (status int, body []byte, err error) {
	if c == nil {
		c = openfeature.FlattenedContext{}
	}
	question, err := json.Marshal(map[string]any{"context": c})
	if err != nil {
		return 0, nil, openfeature.NewInvalidContextResolutionError(err.Error())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/ofrep/v1/evaluate/flags/"+url.PathEscape(flag), bytes.NewReader(question))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is lost with it
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxFlagAnswer))
	return resp.StatusCode, body, err
}

// readAnswer reads OFREP's answer to a single evaluation; only a value of the type that
// was asked for counts.
func readAnswer[T any](status int, body []byte) (out openfeature.GenericResolutionDetail[T], err error) {
	var a struct {
		Value                   json.RawMessage
		Reason, Variant         string
		Metadata                map[string]any
		ErrorCode, ErrorDetails string
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return out, openfeature.NewParseErrorResolutionError("the answer can't be read: " + err.Error())
	}
	if status != http.StatusOK || len(a.Value) == 0 || string(a.Value) == "null" {
		return out, openfeature.NewGeneralResolutionError("answered " + http.StatusText(status) + " " + a.ErrorCode + " " + a.ErrorDetails)
	}
	var value T
	if err := json.Unmarshal(a.Value, &value); err != nil {
		return out, openfeature.NewTypeMismatchResolutionError(err.Error())
	}
	out.Value = value
	out.Reason, out.Variant, out.FlagMetadata = openfeature.Reason(a.Reason), a.Variant, a.Metadata
	return out, nil
}
