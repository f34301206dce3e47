// Package selection says which of the processes' metrics CloudWatch gets. Infrastructure code draws its dashboards and
// alarms from it, and internal/emf writes it. All else stays on /metrics: CloudWatch bills each metric and dimension by the month.
package selection

// Namespace is where CloudWatch has them.
const Namespace = "Carasso"

// Service is the dimension that all have: which of the services told.
const Service = "service"

// Kind is what a metric is to Prometheus.
type Kind int

// Kinds, and what CloudWatch gets each minute.
const (
	Counter   Kind = iota // by how much it grew: take the sum
	Gauge                 // its value
	Histogram             // up to 100 values that stand for those observed: take percentiles
)

// Metric is one of Prometheus's, by its name there, which is its name in CloudWatch too.
type Metric struct {
	Name string
	Kind Kind
	Unit string // CloudWatch's
	// By are its labels that become dimensions; what differs in others is added up.
	By []string
	// Services emit it.
	Services []string
}

// Metrics are all of them.
func Metrics() []Metric {
	const count, seconds, bytes = "Count", "Seconds", "Bytes"
	receiver, worker, management, jobs := []string{"receiver"}, []string{"worker"}, []string{"management"}, []string{"jobs"}
	return []Metric{
		{"carasso_receiver_requests_total", Counter, count, []string{"code"}, receiver},
		{"carasso_receiver_accepted_batches_total", Counter, count, nil, receiver},
		{"carasso_receiver_accepted_samples_total", Counter, count, nil, receiver},
		{"carasso_receiver_accept_seconds", Histogram, seconds, nil, receiver},
		{"carasso_receiver_send_errors_total", Counter, count, nil, receiver},
		{"carasso_receiver_in_flight_bytes", Gauge, bytes, nil, receiver},
		{"carasso_receiver_rate_limited_total", Counter, count, nil, receiver},

		{"carasso_worker_batches_total", Counter, count, []string{"outcome"}, worker},
		{"carasso_worker_samples_total", Counter, count, []string{"outcome"}, worker},
		{"carasso_worker_flush_seconds", Histogram, seconds, nil, worker},
		{"carasso_worker_queue_age_seconds", Histogram, seconds, nil, worker},
		{"carasso_worker_held_envelopes", Gauge, count, nil, worker},
		{"carasso_worker_errors_total", Counter, count, nil, worker},
		{"carasso_worker_panics_total", Counter, count, nil, worker},
		{"carasso_worker_archived_bytes_total", Counter, bytes, nil, worker},

		{"carasso_projector_freshness_seconds", Histogram, seconds, []string{"layer"}, worker},
		{"carasso_projector_tiles_total", Counter, count, []string{"layer"}, worker},
		{"carasso_projector_errors_total", Counter, count, nil, worker},
		{"carasso_housekeeping_errors_total", Counter, count, nil, worker},

		{"carasso_management_request_seconds", Histogram, seconds, nil, management},
		{"carasso_job_processes", Gauge, count, nil, management},

		{"carasso_job_seconds", Histogram, seconds, []string{"outcome"}, jobs},
		{"carasso_ledger_missing_batches", Gauge, count, nil, jobs},
	}
}
