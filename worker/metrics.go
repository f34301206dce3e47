package worker

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are a worker's golden signals. All names start with carasso_worker_.
type metrics struct {
	batches, samples *prometheus.CounterVec // by outcome
	envelopes        *prometheus.CounterVec // by outcome
	quarantined      *prometheus.CounterVec // by reason
	flushes          *prometheus.CounterVec // by result
	step             *prometheus.HistogramVec
	flush            prometheus.Histogram
	flushBatches     prometheus.Histogram
	queueAge         prometheus.Histogram
	archived         prometheus.Counter
	panics           prometheus.Counter
	untrusted        prometheus.Counter
	errors           *prometheus.CounterVec // by operation
	held             prometheus.Gauge
	heldBytes        prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "carasso", Subsystem: "worker", Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "carasso", Subsystem: "worker", Name: name, Help: help, Buckets: buckets}
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "carasso", Subsystem: "worker", Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	seconds := prometheus.ExponentialBuckets(0.001, 2, 15)
	m := &metrics{
		batches:     counters("batches_total", "Batches by outcome: archived, duplicate, quarantined.", "outcome"),
		samples:     counters("samples_total", "Counted samples by outcome.", "outcome"),
		envelopes:   counters("envelopes_total", "Envelopes by outcome: handled, redelivered, quarantined.", "outcome"),
		quarantined: counters("quarantined_total", "What was quarantined, by reason.", "reason"),
		flushes:     counters("flushes_total", "Flush attempts by result: committed, transient, permanent.", "result"),
		errors:      counters("errors_total", "Failed calls to queue and stores, by operation.", "operation"),
		step:        prometheus.NewHistogramVec(histogram("step_seconds", "Duration of a flush's steps.", seconds), []string{"step"}),
		flush:       prometheus.NewHistogram(histogram("flush_seconds", "Duration of a flush from its transaction's begin to the queue's delete.", seconds)),
		flushBatches: prometheus.NewHistogram(histogram("flush_batches", "Batches in a flush.",
			prometheus.ExponentialBuckets(1, 4, 9))),
		queueAge: prometheus.NewHistogram(histogram("queue_age_seconds", "From the queue's acceptance of an envelope to the commit of its flush.",
			prometheus.ExponentialBuckets(0.01, 2, 18))),
		held:      gauge("held_envelopes", "Envelopes taken from the queue and not yet deleted."),
		heldBytes: gauge("held_bytes", "Bytes of those envelopes as received."),
	}
	single := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "carasso", Subsystem: "worker", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	m.archived = single("archived_bytes_total", "Bytes of archive objects written.")
	m.untrusted = single("untrusted_batches_total", "Batches archived whose positions can't be trusted: they count for no speed.")
	m.panics = single("panics_total", "Panics while decoding, matching or flushing envelopes.")
	r.MustRegister(m.step, m.flush, m.flushBatches, m.queueAge)
	for _, operation := range []string{"receive", "match", "delete", "extend", "redrive", "receive_dead"} {
		m.errors.WithLabelValues(operation) // 0 from the start, so that the first failure is a growth
	}
	return m
}
