package main

import (
	"github.com/carasso/carasso/internal/autosim"
	"github.com/carasso/carasso/management/cost"
)

// counted is what `carasso bench` counted and measured (DESIGN.md, Measured): when the bill's phase or the pipeline's costs
// change, change it with them. Models of costs and of autoscaling reckon with it.
func counted() cost.Counted {
	return cost.Counted{
		AsOf:            "2026-11-30",
		SamplesPerBatch: 10,
		// The bill's phase, at 10,000 batches/s in full envelopes (2026-11-24).
		SQSSends: 261.9, SQSReceives: 306.2, SQSVisibility: 44.2, SQSDeletes: 37.4, S3Puts: 37.4, S3Gets: 285.8,
		// CPU seconds per million samples: apart 9.7 and 2.1; what was learned since then added 2.4 and 1.3 to worker and database.
		ReceiverCPU: 9.7, WorkerCPU: 4.5, DatabaseCPU: 2.6,
		BodyBytes: 25.6, QueueBytes: 14.7, ArchiveBytes: 8.8, // a sample: on the wire, in envelopes, and in the archive once an hour is put together
		// What a car that keeps its map fresh reads in an hour, fog and rain everywhere: `carasso fleet drive --riders`.
		DeltaBytesPerCarHour: 116e3, MapBytesPerCarHour: 201e3,
	}
}

// measured is what limits are compared with.
func measured() autosim.Measured {
	c := counted()
	return autosim.Measured{
		SamplesPerBatch: c.SamplesPerBatch, DatabaseCPUPerMillion: c.DatabaseCPU, ObjectPutsPerMillion: c.S3Puts,
		DatabaseClaimsPerS: 150_000,
		// Eight at once, of some 90 ms each with S3 and DynamoDB: an assumption, not measured.
		TilesPerS:              8 / 0.09,
		EnvelopesHeldPerWorker: 2 * 64, // two pipelines, each a flush of at most 4 MiB of envelopes of 64 KiB
	}
}
