package receiver

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/credential"
)

// metrics are the receiver's; label children are resolved once, so that a request
// costs a few atomic additions.
type metrics struct {
	requests map[int]prometheus.Counter // by status code
	other    prometheus.Counter         // any other code

	acceptSeconds prometheus.Histogram
	batches       prometheus.Counter
	samples       prometheus.Counter
	bodyBytes     prometheus.Counter
	inflatedBytes prometheus.Counter
	rateLimited   prometheus.Counter

	envelopes     prometheus.Counter
	envelopeBytes prometheus.Histogram
	voided        prometheus.Counter
	sendSeconds   prometheus.Histogram
	sendErrors    prometheus.Counter
}

// answered are the status codes that the contract names.
var answered = [...]int{
	http.StatusAccepted, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
	http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusServiceUnavailable,
}

// cacheStats is what a *credential.Verifier can tell about its cache.
type cacheStats interface{ Stats() credential.CacheStats }

func newMetrics(reg prometheus.Registerer, auth credential.Authenticator, held *inflight) (*metrics, error) {
	m := &metrics{requests: make(map[int]prometheus.Counter, len(answered))}
	var all []prometheus.Collector
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "carasso_receiver_" + name, Help: help})
		all = append(all, c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "carasso_receiver_" + name, Help: help, Buckets: buckets})
		all = append(all, h)
		return h
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "carasso_receiver_requests_total", Help: "POST /v1/batches by status code.",
	}, []string{"code"})
	for _, code := range answered {
		m.requests[code] = requests.WithLabelValues(strconv.Itoa(code))
	}
	m.other = requests.WithLabelValues("other")
	seconds := prometheus.ExponentialBuckets(0.001, 2, 14) // 1 ms to 8 s
	m.acceptSeconds = histogram("accept_seconds", "Header read to 202, of accepted batches.", seconds)
	m.batches = counter("accepted_batches_total", "Batches that the queue has accepted.")
	m.samples = counter("accepted_samples_total", "Counted samples that the queue has accepted.")
	m.bodyBytes = counter("body_bytes_total", "Request bodies as they arrived.")
	m.inflatedBytes = counter("inflated_bytes_total", "Request bodies after decompression.")
	m.rateLimited = counter("rate_limited_total", "Batches refused because their vehicle sends too often.")
	m.envelopes = counter("envelopes_total", "Envelopes that the queue has accepted.")
	m.envelopeBytes = histogram("envelope_bytes", "Size of accepted envelopes.", prometheus.ExponentialBuckets(1024, 2, 9))
	m.voided = counter("voided_envelopes_total", "Envelopes given up because the queue did not accept them in time.")
	m.sendSeconds = histogram("send_seconds", "Duration of a call to the queue.", seconds)
	m.sendErrors = counter("send_errors_total", "Envelopes that a call to the queue did not accept.")
	all = append(all, requests, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "carasso_receiver_in_flight_bytes", Help: "Memory that requests hold now.",
	}, func() float64 { return float64(held.used.Load()) }))
	if c, ok := auth.(cacheStats); ok {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "carasso_receiver_auth_cache_hits_total", Help: "Credentials found verified before.",
		}, func() float64 { return float64(c.Stats().Hits) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "carasso_receiver_auth_cache_misses_total", Help: "Credentials that had to be verified.",
		}, func() float64 { return float64(c.Stats().Misses) }))
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("receiver metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) answer(code int) {
	c, ok := m.requests[code]
	if !ok {
		c = m.other
	}
	c.Inc()
}

// accepted counts an envelope that the queue has.
func (m *metrics) accepted(batches, samples, bytes int) {
	m.envelopes.Inc()
	m.envelopeBytes.Observe(float64(bytes))
	m.batches.Add(float64(batches))
	m.samples.Add(float64(samples))
}
