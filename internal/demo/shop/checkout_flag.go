package shop

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
)

// The checkout's flag: its key, its code default, and how long the shop waits.
const (
	checkoutKey     = "checkout"
	checkoutDefault = true
	flagTimeout     = 250 * time.Millisecond
	maxFlagAnswer   = 16 << 10 // bytes
)

// flagClient asks for the checkout's flag through OpenFeature's SDK, each time anew. It
// never fails: whatever goes wrong, the answer is the code default.
type flagClient struct {
	api    *openfeature.EvaluationAPI // of this shop alone: a process may have several
	flags  *openfeature.Client        // nil: nobody to ask
	http   *http.Client
	logger *slog.Logger
	deaf   atomic.Bool // the last asking failed; logged only when this changes
}

func newFlagClient(base string, logger *slog.Logger) *flagClient {
	f := &flagClient{logger: logger, http: &http.Client{
		Timeout: flagTimeout,
		// No proxy from the environment, and nowhere but where we were told to ask.
		Transport: &http.Transport{
			MaxConnsPerHost:     32,
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if base == "" {
		return f
	}
	f.api = isolated.NewAPI()
	p := &provider{base: strings.TrimRight(base, "/"), client: f.http}
	if err := f.api.SetProviderAndWait(context.Background(), p); err != nil { // it has nothing to start
		logger.Warn("flags can't be asked for; code defaults are used", "error", err)
		return f
	}
	f.flags = f.api.NewClient()
	return f
}

// open says whether the checkout is open to a visitor.
func (f *flagClient) open(ctx context.Context) bool {
	if f.flags == nil {
		return checkoutDefault
	}
	who := openfeature.NewEvaluationContext(visitorOf(ctx), nil)
	open, err := f.flags.BooleanValue(ctx, checkoutKey, checkoutDefault, who)
	if err != nil {
		if !f.deaf.Swap(true) {
			f.logger.Warn("flag endpoint does not answer; code default used", "flag", checkoutKey, "error", err)
		}
		return open
	}
	if f.deaf.Swap(false) {
		f.logger.Info("flag endpoint answers again", "flag", checkoutKey)
	}
	return open
}

func (f *flagClient) close() {
	if f.api != nil {
		_ = f.api.Shutdown(context.Background()) // there is nothing to stop
	}
	f.http.CloseIdleConnections()
}
