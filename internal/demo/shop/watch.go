package shop

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	maxLogged = 120         // bytes of a path that are logged
	slowly    = time.Second // a request that took so long is logged although it did not fail
)

// recorder remembers of an answer what is counted and logged.
type recorder struct {
	http.ResponseWriter
	status int
	cause  error // why the request failed; nil when it did not
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write notes the status that goes with a first byte.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// blame notes why a request fails. A refusal on purpose has nobody to blame.
func blame(w http.ResponseWriter, cause error) {
	if r, ok := w.(*recorder); ok && r.cause == nil {
		r.cause = cause
	}
}

// meters are what /metrics tells.
type meters struct {
	requests *prometheus.CounterVec
	errors   prometheus.Counter
	room     prometheus.Gauge
	last     atomic.Int64 // nanoseconds that the last request took
	data     *data
	handler  http.Handler
}

// newMeters makes the metrics.
func newMeters(o Options, d *data, p *pool, c *stockClient) *meters {
	m := &meters{
		data: d,
		room: prometheus.NewGauge(prometheus.GaugeOpts{Name: "disk_free_bytes", Help: "Room that is left for the books; NaN while that can't be read."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shop_requests_total", Help: "Requests that ended, by status; 0 is a request that nobody waited for."}, []string{"status"}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shop_errors_total", Help: "Requests that failed; each has a line in the log."}),
	}
	gauge := func(name, help string, labels prometheus.Labels, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read)
	}
	began := float64(o.Now().Unix())
	own := prometheus.NewRegistry()
	own.MustRegister(m.requests, m.errors, m.room,
		gauge("shop_build_info", "Which release runs; always 1.", prometheus.Labels{"release": o.Release, "origin": o.Name}, func() float64 { return 1 }),
		gauge("shop_start_time_seconds", "When the process started, in seconds since 1970.", nil, func() float64 { return began }),
		gauge("shop_last_request_seconds", "How long the last request took.", nil, func() float64 { return seconds(m.last.Load()) }),
		gauge("shop_pool_size", "How many workers there are.", nil, func() float64 { return workers }),
		gauge("shop_pool_in_use", "How many workers are at work.", nil, func() float64 { return float64(p.inUse()) }),
		gauge("shop_pool_waiting", "How many requests wait for a worker.", nil, func() float64 { return float64(p.waiting.Load()) }),
		gauge("shop_stock_seconds", "How long the stock service took to answer last.", nil, func() float64 { return seconds(c.took.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "shop_stock_errors_total", Help: "How often the stock service did not answer."},
			func() float64 { return float64(c.failures.Load()) }),
	)
	m.handler = promhttp.HandlerFor(own, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

// ServeHTTP tells all of it; the room is looked up first.
func (m *meters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	free, err := m.data.free(r.Context())
	if m.room.Set(float64(free)); err != nil {
		m.room.Set(math.NaN())
	}
	m.handler.ServeHTTP(w, r)
}

func seconds(nanoseconds int64) float64 { return time.Duration(nanoseconds).Seconds() }

// heed counts every request and logs each that failed or took long.
func (s *site) heed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec, began := &recorder{ResponseWriter: w}, s.now()
		defer func() {
			took := s.now().Sub(began)
			s.meters.last.Store(int64(took))
			s.meters.requests.WithLabelValues(strconv.Itoa(rec.status)).Inc()
			about := []any{"method", cut(r.Method), "path", loggedPath(r.URL.Path), "status", rec.status,
				"took", took.Round(time.Microsecond), "release", s.release}
			switch {
			case rec.cause != nil:
				s.meters.errors.Inc()
				s.logger.Error("request failed", append(about, "cause", rec.cause)...)
			case took >= slowly:
				s.logger.Warn("request slow", about...)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// loggedPath is a path as the log has it: an order's reference is its owner's.
func loggedPath(path string) string {
	if strings.HasPrefix(path, "/orders/") {
		return "/orders/…"
	}
	return cut(path)
}

func cut(text string) string { return text[:min(len(text), maxLogged)] }
