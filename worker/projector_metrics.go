package worker

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// ProjectorMetrics are the golden signals of Projectors, by layer. All names start with
// carasso_projector_.
type ProjectorMetrics struct {
	freshness, eventFreshness, pass *prometheus.HistogramVec
	tiles, late                     *prometheus.CounterVec
	errors, panics                  *prometheus.CounterVec
}

// NewProjectorMetrics registers them; once for all Projectors of a process.
func NewProjectorMetrics(r prometheus.Registerer) *ProjectorMetrics {
	histogram := func(name, help string, least float64) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "carasso", Subsystem: "projector", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(least, 2, 14),
		}, []string{"layer"})
		r.MustRegister(h)
		return h
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "carasso", Subsystem: "projector", Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	return &ProjectorMetrics{
		freshness:      histogram("freshness_seconds", "From a receiver's acceptance to readable in a tile.", 0.125),
		eventFreshness: histogram("event_freshness_seconds", "From an event that its vehicle sent promptly, by the vehicle's clock, to readable in a tile.", 0.125),
		pass:           histogram("pass_seconds", "Duration of a pass.", 0.002),
		tiles:          counter("tiles_total", "Tiles by result: published, outdated, failed.", "layer", "result"),
		late:           counter("late_total", "Changes of a tile that vehicles sent late.", "layer"),
		errors:         counter("errors_total", "Failed passes.", "layer"),
		panics:         counter("panics_total", "Bugs that were caught while projecting.", "layer"),
	}
}

// panicked counts an error that is a panic's.
func (m *ProjectorMetrics) panicked(layer string, err error) {
	var p *panicError
	if errors.As(err, &p) {
		m.panics.WithLabelValues(layer).Inc()
	}
}
