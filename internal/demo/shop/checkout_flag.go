package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// The checkout's flag: its key, its code default, and how long the shop waits.
const (
	checkoutKey     = "checkout"
	checkoutDefault = true
	flagTimeout     = 250 * time.Millisecond
	maxFlagAnswer   = 16 << 10 // bytes
)

// flagClient asks an OFREP endpoint for the checkout's flag, each time anew. It
// never fails: whatever goes wrong, the answer is the code default.
type flagClient struct {
	url    string // of the single evaluation; empty: nobody to ask
	client *http.Client
	logger *slog.Logger
	deaf   atomic.Bool // the last asking failed; logged only when this changes
}

func newFlagClient(base string, logger *slog.Logger) *flagClient {
	f := &flagClient{logger: logger, client: &http.Client{
		// No proxy from the environment, and nowhere but where we were told to ask.
		Transport: &http.Transport{
			MaxConnsPerHost:     32,
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if base != "" {
		f.url = strings.TrimRight(base, "/") + "/ofrep/v1/evaluate/flags/" + checkoutKey
	}
	return f
}

// open says whether the checkout is open.
func (f *flagClient) open(ctx context.Context) bool {
	if f.url == "" {
		return checkoutDefault
	}
	ctx, cancel := context.WithTimeoutCause(ctx, flagTimeout, errors.New("flag endpoint took too long"))
	defer cancel()
	value, err := f.evaluate(ctx)
	if err != nil {
		if !f.deaf.Swap(true) {
			f.logger.Warn("flag endpoint does not answer; code default used", "flag", checkoutKey, "error", err)
		}
		return checkoutDefault
	}
	if f.deaf.Swap(false) {
		f.logger.Info("flag endpoint answers again", "flag", checkoutKey)
	}
	return value
}

func (f *flagClient) evaluate(ctx context.Context) (bool, error) {
	body := strings.NewReader(`{"context":{"targetingKey":"shop"}}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, body)
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxFlagAnswer))
	if err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("evaluate flag: %s", resp.Status)
	}
	return parseFlag(answer)
}

// parseFlag reads a successful single evaluation; only a boolean value counts.
func parseFlag(answer []byte) (bool, error) {
	var parsed struct {
		Value *bool `json:"value"`
	}
	if err := json.Unmarshal(answer, &parsed); err != nil {
		return false, fmt.Errorf("read flag: %w", err)
	}
	if parsed.Value == nil {
		return false, errors.New("read flag: no value")
	}
	return *parsed.Value, nil
}

func (f *flagClient) close() { f.client.CloseIdleConnections() }
