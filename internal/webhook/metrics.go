package webhook

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	planned  prometheus.Counter
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
	dead     prometheus.Counter
	pending  prometheus.Gauge
	age      prometheus.Gauge
	webhooks *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const subsystem = "webhook"
	m := &metrics{
		planned: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "carasso", Subsystem: subsystem, Name: "planned_total", Help: "Events that this process planned for webhooks.",
		}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "carasso", Subsystem: subsystem, Name: "attempts_total", Help: "Attempts to deliver an event, by result: delivered, refused (answered otherwise than 2xx), unreachable.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "carasso", Subsystem: subsystem, Name: "attempt_seconds", Help: "Duration of attempts to deliver an event.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "carasso", Subsystem: subsystem, Name: "dead_total", Help: "Deliveries that were given up.",
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "carasso", Subsystem: subsystem, Name: "pending", Help: "Deliveries that wait, of active webhooks.",
		}),
		age: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "carasso", Subsystem: subsystem, Name: "pending_age_seconds", Help: "How long the oldest of these waits.",
		}),
		webhooks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "carasso", Name: "webhooks", Help: "Webhooks by state.",
		}, []string{"state"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.planned, m.attempts, m.seconds, m.dead, m.pending, m.age, m.webhooks} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) tried(v *Verdict, test bool) {
	result := "delivered"
	switch {
	case v.Status == 0:
		result = "unreachable"
	case v.Error != "":
		result = "refused"
	}
	m.attempts.WithLabelValues(result).Inc()
	m.seconds.Observe(v.Latency.Seconds())
	if v.State == Dead && !test {
		m.dead.Inc()
	}
}

func (m *metrics) show(b *Backlog) {
	m.pending.Set(float64(b.Pending))
	m.age.Set(b.OldestAge.Seconds())
	for _, s := range []State{Active, Paused, Disabled} {
		m.webhooks.WithLabelValues(string(s)).Set(float64(b.Webhooks[s]))
	}
}
