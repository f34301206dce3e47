package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/orphan"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/river"
	"github.com/carasso/carasso/internal/taskprotect"
	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/worker"
)

// jobsFlags tune how jobs are carried out; embedded mode has them too.
type jobsFlags struct {
	JobWorkers int           `default:"2" help:"Jobs that run at once."`
	JobHistory time.Duration `default:"720h" help:"How long ended jobs are kept in the history."`
	Releases   int           `default:"30" env:"CARASSO_RELEASES" help:"Releases of the map that are kept; older ones are deleted a day later."`
}

// newJobs wires the job queue; the same in both modes, and in processes that only start jobs and tell of them.
func newJobs(f jobsFlags, process string, p *base) (*river.Jobs, error) {
	kinds, err := jobKinds(f, p.backends, p.db, p.maps, p.log)
	if err != nil {
		return nil, err
	}
	return river.New(river.Config{Process: process, Workers: f.JobWorkers, Keep: f.JobHistory}, p.db.Pool(), kinds, p.log, p.reg)
}

// jobKinds are all kinds of jobs, in the order in which people see them.
func jobKinds(f jobsFlags, b backends, db *postgres.DB, maps *roads, log *slog.Logger) (kinds []job.Kind, err error) {
	var errs []error
	add := func(k job.Kind, err error) {
		kinds, errs = append(kinds, k), append(errs, err)
	}
	add(job.Define(job.Spec{
		Name: "partitions", Description: "Makes the database's partitions of the days to come, without which nothing can be stored.",
		Schedule: job.Schedule{Every: time.Hour}, Timeout: 10 * time.Minute,
	}, func(ctx context.Context, _ job.None, _ job.Progress) (any, error) {
		made, err := db.CreatePartitions(ctx)
		return map[string]int{"made": made}, err
	}))
	add(job.Define(job.Spec{
		Name: "retention", Description: "Drops the partitions, and deletes the rows, that are past their retention.",
		Schedule: job.Schedule{Every: time.Hour, At: 5 * time.Minute},
	}, func(ctx context.Context, _ job.None, _ job.Progress) (any, error) {
		dropped, deleted, err := db.EndRetention(ctx)
		return map[string]int64{"partitions_dropped": int64(dropped), "rows_deleted": deleted}, err
	}))
	add(job.Define(job.Spec{
		Name: "fold", Description: "Merges what workers wrote into the base tables now. Workers do that every few seconds by themselves.",
	}, func(ctx context.Context, _ job.None, _ job.Progress) (any, error) {
		merged, written, err := db.Fold(ctx)
		return map[string]int{"merged": merged, "written": written}, err
	}))
	add(job.Define(job.Spec{
		Name: "days", Description: "Adds the speeds of past days up, so that trends over months are quick and outlive the five minutes.",
		Schedule: job.Schedule{Every: time.Hour, At: 10 * time.Minute},
	}, func(ctx context.Context, _ job.None, _ job.Progress) (any, error) {
		written, err := db.AddUpDays(ctx)
		return map[string]int64{"segments_written": written}, err
	}))
	add(job.Define(job.Spec{
		Name: "profiles", Description: "Adds each day that nothing late can change any more to the typical speeds of the week, where it outlives the five minutes.",
		Schedule: job.Schedule{Every: 24 * time.Hour, At: time.Hour}, Timeout: 6 * time.Hour,
	}, func(ctx context.Context, _ job.None, p job.Progress) (any, error) {
		days, segments, err := db.AddTypicalDays(ctx, p.Set)
		return map[string]int64{"days_added": days, "segments_written": segments}, err
	}))
	compactor := worker.NewCompactor(worker.CompactorConfig{}, db, b.objects, log)
	add(job.Define(job.Spec{
		Name: "compaction", Description: "Puts the small objects of each hour of the raw archive together: fewer requests for readers, a third fewer bytes.",
		Schedule: job.Schedule{Every: time.Hour, At: 15 * time.Minute}, Timeout: 6 * time.Hour,
	}, func(ctx context.Context, a worker.CompactArgs, p job.Progress) (any, error) {
		return compactor.Run(ctx, a, p)
	}))
	orphans, err := newOrphans(f, b, db, log)
	errs = append(errs, err)
	add(job.Define(job.Spec{
		Name: "orphans", Description: "Deletes objects that nothing names: of failed flushes and publications, compacted and expired ones, old maps' tiles, old releases.",
		Schedule: job.Schedule{Every: 24 * time.Hour, At: 2 * time.Hour}, Timeout: 12 * time.Hour,
	}, func(ctx context.Context, a orphan.Args, p job.Progress) (any, error) { return orphans.Run(ctx, a, p) }))
	add(job.Define(job.Spec{
		Name: "release", Description: "Releases the map with what has been learned on it, and keeps it as a PMTiles archive beside.",
		Schedule: job.Schedule{Every: 24 * time.Hour, At: 3 * time.Hour}, Timeout: 6 * time.Hour,
	}, func(ctx context.Context, a releaseArgs, p job.Progress) (any, error) {
		return makeRelease(ctx, a, b, db, log, p)
	}))
	add(newBackfiller(b, db, maps, log).Kind())
	add(worker.NewEraser(worker.EraserDeps{
		Store: db, Objects: b.objects, Statuses: vehiclestatus.Eraser{Store: b.live, Now: time.Now}, ForgetWait: vehiclestatus.ForgetWithin, Logger: log,
	}).Kind())
	replays, err := newReplayer(b, db, maps, log).Kinds()
	return append(kinds, replays...), errors.Join(append(errs, err)...)
}

// jobsCmd carries jobs out and delivers webhooks, as a service of its own; it listens for health and metrics only.
type jobsCmd struct {
	serverFlags  `embed:""`
	jobsFlags    `embed:""`
	webhookFlags `embed:""`
	MasterKey    string        `env:"CARASSO_MASTER_KEY" help:"Master key of the secrets of webhooks: 32 bytes in base64, the same as management's."`
	Protection   string        `name:"task-protection" default:"" enum:",ecs" env:"CARASSO_TASK_PROTECTION" help:"Who is asked not to take this process away while a job runs: ecs, the agent of Amazon ECS."`
	Name         string        `env:"CARASSO_JOBS" help:"Name of this process, unique among those that carry jobs out; host name and process id if empty."`
	Database     databaseFlags `embed:""`
	AWS          awsFlags      `embed:""`
}

// Run implements the subcommand.
func (c *jobsCmd) Run(ctx context.Context, logs *logFlags) error {
	master, err := parseMaster(c.MasterKey)
	if err != nil {
		return err
	}
	sealer, err := newSealer(master)
	if err != nil {
		return err
	}
	p, err := openWithDatabase(ctx, logs, &c.AWS, c.Database, "jobs")
	if err != nil {
		return err
	}
	defer p.close()
	j, err := newJobs(c.jobsFlags, cmp.Or(c.Name, processName("jobs")), p)
	if err != nil {
		return err
	}
	hooks, err := newWebhooks(c.webhookFlags, p, sealer)
	if err != nil {
		return err
	}
	missing, err := newLedgerWatch(p)
	if err != nil {
		return err
	}
	return serve(ctx, c.serverFlags, p.deps(p.health()), c.emit(p, "jobs"), beside(p.maps.run), beside(missing.run), beside(j.Run), beside(hooks), c.protect(p, j))
}

// protect keeps ECS from taking the task away while a job runs.
func (c *jobsCmd) protect(p *base, j *river.Jobs) func(context.Context, string) error {
	if c.Protection != "ecs" {
		return beside(func(context.Context) error { return nil })
	}
	cfg := taskprotect.Config{AgentURI: os.Getenv("ECS_AGENT_URI"), Every: 5 * time.Second}
	return beside(func(ctx context.Context) error {
		return taskprotect.Run(ctx, cfg, func() bool { return j.Running() > 0 }, p.log)
	})
}
