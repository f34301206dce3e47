package scaling

import "time"

// The policy of the services on AWS, beside Desired: the infrastructure is made from it, and package autosim plays it through.
const (
	// MinTasks of workers: MinWorkers, and one for the zone that fails.
	MinTasks = MinWorkers + 1
	// ScaleOutCooldown and ScaleInCooldown are the pauses after a change: a task takes half a minute to start, and
	// metrics a minute to tell; taking away may wait for the next wave.
	ScaleOutCooldown = 60 * time.Second
	ScaleInCooldown  = 300 * time.Second
	// WorkerCPUPercent is what workers' processors are kept below. A queue that is worked off at once is empty however busy its
	// workers are: by the backlog alone all but MinTasks would be taken away in the middle of the peak.
	WorkerCPUPercent = 60

	// MinReceivers is one a zone; MaxReceivers bounds the bill.
	MinReceivers = 3
	MaxReceivers = 20
	// ReceiverRequestsPerS is what a receiver of one processor is given: 97 µs a request were measured, so that half of what it
	// can, less what the first request of each car costs and a Graviton's core may lack.
	ReceiverRequestsPerS = 3000
)

// AgeStep answers a surge that the average of the backlog is too slow for.
type AgeStep struct {
	Age     time.Duration // of the oldest message, from here to the next step
	Percent float64       // of the tasks are added, at least MinTasks
}

// AgeSteps are in the order of their ages.
func AgeSteps() []AgeStep {
	return []AgeStep{
		{3 * LatencyTarget, 50},
		{6 * LatencyTarget, 100},
		{30 * LatencyTarget, 300},
	}
}

// Connections to the database: of a worker (its pool, and its leader's), of all else together (management, jobs, migrations, an
// operator), and how many the database allows.
const (
	DatabaseConnectionsPerWorker = 16
	DatabaseConnectionsBeside    = 150
	DatabaseConnections          = 950
)

// Tasks: processors and memory in GiB, which is what is paid.
const (
	WorkerVCPU     = 1.0
	WorkerGiB      = 4.0
	ReceiverVCPU   = 1.0
	ReceiverGiB    = 2.0
	ManagementVCPU = 0.5
	ManagementGiB  = 2.0
	JobsVCPU       = 1.0
	JobsGiB        = 4.0
)

// Management and jobs do not scale with what cars send.
const (
	MinManagement = 2
	MaxManagement = 5
	JobTasks      = 2
)
