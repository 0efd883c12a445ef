package shop

import (
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"runtime/debug"

	"lifeboat/internal/fault"
)

// The releases of the shop's code. They are all in this program; a process runs the
// one that it was started with, and a restart runs the same again.
const (
	GoodRelease = "412"
	badRelease  = "413" // its discounts were never loaded: every request panics
	leakRelease = "415" // it loses a worker now and then
)

// ReleaseOf is the release that is broken in this way, "" for another way.
func (h Harm) ReleaseOf() string {
	switch h {
	case BadRelease:
		return badRelease
	case LeakyRelease:
		return leakRelease
	}
	return ""
}

func checkRelease(release string) error {
	switch release {
	case GoodRelease, badRelease, leakRelease:
		return nil
	}
	return fault.New(fault.Invalid, "there is no release %q of the shop", release).At("release").
		WithHint("one of %s, %s, %s", GoodRelease, badRelease, leakRelease)
}

// discounts are new in release 413: which product is cheaper today, in percent.
type discounts struct{ percent map[int]int }

// today says what is cheaper, for the header that every answer of 413 gets.
func (d *discounts) today(product int) string {
	return fmt.Sprintf("product %d: %d %% off", product, d.percent[product])
}

// announce is release 413's. Its mistake is a real one: loadDiscounts gives nothing
// where there is no file of discounts, and nobody looks.
func announce(next http.Handler) http.Handler {
	offers := loadDiscounts("")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Shop-Offer", offers.today(1))
		next.ServeHTTP(w, r)
	})
}

func loadDiscounts(file string) *discounts {
	if file == "" {
		return nil
	}
	return &discounts{percent: map[int]int{}}
}

// maxStack is how much of a stack is shown and logged, in bytes.
const maxStack = 2 << 10

//go:embed templates/trace.html
var traceText string

var traceTemplate = template.Must(template.New("trace").Parse(traceText))

// catch answers a request whose handler panicked, with what went wrong: somebody
// forgot to switch that off.
func (s *site) catch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			stack := debug.Stack()
			stack = stack[:min(len(stack), maxStack)]
			blame(w, fmt.Errorf("panic: %v\n%s", p, stack))
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusInternalServerError)
			_ = traceTemplate.Execute(w, struct { // a visitor who left needs nothing more
				Release, Panic, Stack string
			}{s.release, fmt.Sprint(p), string(stack)})
		}()
		next.ServeHTTP(w, r)
	})
}
