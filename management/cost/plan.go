package cost

import (
	"github.com/carasso/carasso/internal/scaling"
)

// Counted is what the pipeline was counted to use; per million samples where nothing else is said.
type Counted struct {
	AsOf            string  `json:"as_of"`
	SamplesPerBatch float64 `json:"samples_per_batch"`

	SQSSends      float64 `json:"sqs_sends"` // with full envelopes and flushes
	SQSReceives   float64 `json:"sqs_receives"`
	SQSVisibility float64 `json:"sqs_visibility"`
	SQSDeletes    float64 `json:"sqs_deletes"`
	S3Puts        float64 `json:"s3_puts"`
	S3Gets        float64 `json:"s3_gets"`

	ReceiverCPU float64 `json:"receiver_cpu"` // seconds
	WorkerCPU   float64 `json:"worker_cpu"`
	DatabaseCPU float64 `json:"database_cpu"`

	BodyBytes            float64 `json:"body_bytes"` // a sample
	QueueBytes           float64 `json:"queue_bytes"`
	ArchiveBytes         float64 `json:"archive_bytes"`
	DeltaBytesPerCarHour float64 `json:"delta_bytes_per_car_hour"` // of a car that keeps its map fresh
	MapBytesPerCarHour   float64 `json:"map_bytes_per_car_hour"`
}

// Deployment is what infra/ deploys, and what can't be counted on one machine. Each is an assumption to be looked at.
type Deployment struct {
	LingerS       float64 `json:"linger_s"`         // a receiver keeps an envelope open
	FlushS        float64 `json:"flush_s"`          // a worker's pipeline gathers at most
	Pipelines     float64 `json:"pipelines"`        // of a worker
	PassS         float64 `json:"pass_s"`           // between passes of the projector
	ArchiveMonths float64 `json:"archive_months"`   // how long the archive is kept: the month that is reckoned is one in which it is full
	Endpoints     float64 `json:"endpoints"`        // interface endpoints
	Zones         float64 `json:"zones"`            // of each
	NATs          float64 `json:"nats"`             // beside the data path: webhooks and identity providers
	Alarms        float64 `json:"alarms"`           //
	Metrics       float64 `json:"metrics"`          // custom ones and those of Container Insights, for the first dozen tasks
	MetricsATask  float64 `json:"metrics_per_task"` // those of Container Insights for each more
	LogBytesATask float64 `json:"log_bytes_per_task_and_month"`
	Dashboards    float64 `json:"dashboards"`
	Keys          float64 `json:"keys"`
	Secrets       float64 `json:"secrets"`
	WAFRules      float64 `json:"waf_rules"`

	AnswerBytes        float64 `json:"answer_bytes"`        // of a receiver's answer with its headers and TLS records
	AccessLogBytes     float64 `json:"access_log_bytes"`    // of a request, compressed
	Readers            float64 `json:"readers"`             // share of driving cars that keep a map fresh
	DeltasAnHour       float64 `json:"deltas_per_car_hour"` // requests
	DeltaCPUS          float64 `json:"delta_cpu_s"`         // of management for one
	DeltaReads         float64 `json:"delta_reads"`         // read units of the live store for one; as many objects
	MapTilesAnHour     float64 `json:"map_tiles_per_hour"`  // objects of the base map that a car reads
	StatusEveryS       float64 `json:"status_every_s"`      // a vehicle's status is written while nothing changes
	StatusPerReceiverS float64 `json:"status_per_s"`        // and at most so many a second and receiver
	TileSeconds        float64 `json:"tile_seconds"`        // a car stays in a tile of zoom 14
	LiveWindowS        float64 `json:"live_window_s"`       // of live speeds
	Vehicles           int     `json:"vehicles_to_show"`    // k: fewer are not shown
	MainRoad           float64 `json:"main_road"`           // share of a tile's vehicles that pass its busiest segment
	PutsATile          float64 `json:"puts_per_tile"`       // objects of a tile of zoom 14: the tile, and its records for deltas
	Overviews          float64 `json:"overviews"`           // tiles of zoom 10 to 13 for each of zoom 14
	ClaimBytes         float64 `json:"claim_bytes"`         // a batch's claim in the database, with its index
	ClaimDays          float64 `json:"claim_days"`          // it is kept
	AggregateBytes     float64 `json:"aggregate_bytes"`     // of the database for a million samples, folded
	AggregateDays      float64 `json:"aggregate_days"`      // they are kept
	DatabaseBusy       float64 `json:"database_busy"`       // share of its processors in the peak
	DatabaseMinGB      float64 `json:"database_min_gb"`     //
	MetresPerSample    float64 `json:"metres_per_sample"`   //
	TargetBusy         float64 `json:"target_busy"`         // of workers and management
	DatabaseMaxVCPU    float64 `json:"database_max_vcpu"`   // of one instance; more are several databases, by region
	DaysAMonth         float64 `json:"days_per_month"`      //
}

// DefaultDeployment is documented beside its fields; what is an assumption and not counted is named in DESIGN.md.
func DefaultDeployment() Deployment {
	return Deployment{
		LingerS: 0.04, FlushS: 0.5, Pipelines: 2, PassS: 15, ArchiveMonths: 430 / 30.4, Endpoints: 6, Zones: 3, NATs: 1,
		Alarms: 30, Metrics: 250, MetricsATask: 2, LogBytesATask: 1e9, Dashboards: 2, Keys: 1, Secrets: 4, WAFRules: 4,
		AnswerBytes: 250, AccessLogBytes: 90, Readers: 1, DeltasAnHour: 60, DeltaCPUS: 0.001, DeltaReads: 2, MapTilesAnHour: 10,
		StatusEveryS: 600, StatusPerReceiverS: 100, TileSeconds: 90, LiveWindowS: 300, Vehicles: 3, MainRoad: 0.3, PutsATile: 2, Overviews: 1.0 / 3,
		ClaimBytes: 120, ClaimDays: 8, AggregateBytes: 2.5e6, AggregateDays: 35, DatabaseBusy: 0.5, DatabaseMinGB: 200, MetresPerSample: 50 / 3.6,
		TargetBusy: scaling.WorkerCPUPercent / 100.0, DatabaseMaxVCPU: 64, DaysAMonth: hoursAMonth / 24.0,
	}
}
