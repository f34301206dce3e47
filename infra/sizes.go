package main

import (
	"time"

	"github.com/carasso/carasso/internal/scaling"
)

// What the product and its measurements fix. Numbers that the binary has too come from it, or are compared with
// it by cmd/carasso's TestDeployment, which reads the synthesized templates.
const (
	// servicePort is where every service listens.
	servicePort = 8080
	// mtlsPort is where vehicles come with a client certificate instead of a token.
	mtlsPort = 8443
	postgres = 5432

	// lameDuck is how long a service goes on answering when it is told to stop: until load balancers know.
	lameDuck = 5 * time.Second
	// stopTimeout is when a service that was told to stop is killed: lame duck, then two phases of the server and one of what
	// runs beside it, of at most 20 s each. Fargate allows 120 s.
	stopTimeout = 90 * time.Second
	// balancerIdle is when the load balancer closes a connection that carries nothing. Services close theirs after 120 s: were they first, a
	// request that is on its way would be answered 502. Event streams send a sign of life more often.
	balancerIdle = 100 * time.Second
	// visibility hides an envelope from other workers until its own has renewed that (each 10 s) or deleted it:
	// longer than the longest flush between renewals (30 s) and the stop together.
	visibility = 150 * time.Second
	maxReceive = 5
	retention  = 14 * 24 * time.Hour
	maxMessage = 1 << 20

	// databaseClass and databaseGB are what the cost model assumes.
	databaseClass = "db.m6g.large"
	databaseGB    = 200
	// maxConnections: an idle one takes some MB of the instance's 8 GiB, an active one work_mem (4 MB) a sort: surges to 50
	// workers for long want a larger class.
	maxConnections = scaling.DatabaseConnections
	// archiveDays is for how long the raw archive is kept: DefaultRetention's history, and a month to rebuild from.
	archiveDays = 430
)

// Workers. Backlog per task B = L·µ, with the latency target L and the envelopes a second µ of one task:
// scaling.AllowedBacklog = 10 s × 25/s = 250. µ is a quarter of what one core was measured to (see there).
//
// 100x within 24 h: by night 100 batches/s, in the peak 10,000, and 50,000 when cars send again what an
// outage held back. An envelope holds some 380 batches (262 requests per million samples of 10 a batch), so
// that is 0.3, 26 and 130 envelopes/s: 1, 2 and 6 tasks. A day's worth of backlog (26/s × 86,400 s = 2.3 million
// envelopes, and two weeks are kept) is worked off by 50 tasks at 25/s in 30 minutes while the peak goes on.
const (
	minWorkers = scaling.MinTasks
	maxWorkers = scaling.MaxWorkers
)

// Receivers. One core was measured to 97 µs a request (9.7 CPU s per million samples, 10 a request), so one vCPU
// takes 10,000/s; half of that is aimed at, less what the first request of each car costs and a Graviton's core may
// lack: 3,000/s a task, or 180,000 a minute as the load balancer counts.
//
// 10,000 requests/s in the peak are 4 tasks, 50,000/s of an outage's resends 17. Before 100x is reached in one step
// (100/s to 10,000/s in a minute), three tasks hold 30,000/s by their measured limit.
const (
	minReceivers      = scaling.MinReceivers
	maxReceivers      = scaling.MaxReceivers
	requestsPerTarget = scaling.ReceiverRequestsPerS * 60
	receiverCPU       = 60 // per cent
)

// size is a task: CPU in 1/1024 vCPU, memory in MiB.
type size struct{ CPU, MiB float64 }

var (
	// receiverSize: 154 MB were measured at 100,000 cars at once; 64 MiB of batches in flight are bounded.
	receiverSize = task(scaling.ReceiverVCPU, scaling.ReceiverGiB)
	// workerSize: 246 MB at 10,000 batches/s, and the map's partitions in use; bounded by its pipelines.
	workerSize     = task(scaling.WorkerVCPU, scaling.WorkerGiB)
	managementSize = task(scaling.ManagementVCPU, scaling.ManagementGiB)
	// jobsSize: replays and compaction hold an hour of archive.
	jobsSize = task(scaling.JobsVCPU, scaling.JobsGiB)
)

func task(vcpu, gib float64) size { return size{1024 * vcpu, 1024 * gib} }

// Rate rules, per 5 minutes.
const (
	// ratePerCredential is far above what a vehicle may send (2 a second for long, 30 at once: receiver's flags) with
	// its reads of tiles and deltas: 2 × 300 + 30 and as many reads.
	ratePerCredential = 1500
	// rateWithout is for addresses that send without credential: nobody who does has much to say. Client certificates
	// need a handshake, so their port is not meant.
	rateWithout = 300
	// ratePublic is for what everybody may read, tiles above all: CloudFront asks for many cars from few addresses, and
	// a person at the portal for hundreds of tiles a minute.
	ratePublic = 100_000
)
