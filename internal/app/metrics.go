package app

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/leitplanke/leitplanke/internal/audit"
)

// metrics counts what happens. Labels come from closed sets: verdicts, refusal codes, names of steps.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	took     *prometheus.HistogramVec
	steps    *prometheus.HistogramVec
	rejected *prometheus.CounterVec
}

func newMetrics(l *audit.Log) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leitplanke_calls_total", Help: "Calls by verdict and code (empty: answered)."}, []string{"verdict", "code"}),
		took:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leitplanke_call_seconds", Help: "Duration of calls.", Buckets: prometheus.ExponentialBuckets(.001, 2, 20)}, []string{"verdict"}),
		steps:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leitplanke_step_seconds", Help: "Duration of the steps of a call.", Buckets: prometheus.ExponentialBuckets(.00001, 4, 13)}, []string{"step"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leitplanke_rejected_total", Help: "Requests turned away before a Zugang was known."}, []string{"code"}),
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	m.registry.MustRegister(m.calls, m.took, m.steps, m.rejected, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("leitplanke_log_entries", "Entries of the log.", func() float64 { return float64(l.Size()) }),
		gauge("leitplanke_log_refuses", "1 while the log writes nothing.", func() float64 {
			if l.Refused() != "" {
				return 1
			}
			return 0
		}),
		gauge("leitplanke_log_signed_age_seconds", "Seconds since entries were last covered by a signature.", func() float64 { return time.Since(l.SignedAt()).Seconds() }),
	)
	return m
}

// Call implements gateway.Metrics.
func (m *metrics) Call(verdict, code string, took time.Duration) {
	m.calls.WithLabelValues(verdict, code).Inc()
	m.took.WithLabelValues(verdict).Observe(took.Seconds())
}

// Step implements gateway.Metrics.
func (m *metrics) Step(name string, took time.Duration) {
	m.steps.WithLabelValues(name).Observe(took.Seconds())
}

// Rejected implements gateway.Metrics.
func (m *metrics) Rejected(code string) { m.rejected.WithLabelValues(code).Inc() }

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
