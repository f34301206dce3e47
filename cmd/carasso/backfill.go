package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/worker"
)

// backfillCmd has a running deployment take in an archive that lies in its object store.
type backfillCmd struct {
	managementClient `embed:""`
	Prefix           string        `required:"" help:"How the keys of the archive's objects begin, in the deployment's object store."`
	From             string        `required:"" help:"First UTC day of event time to take in, YYYY-MM-DD."`
	To               string        `help:"Last UTC day; the first if missing."`
	Wait             time.Duration `default:"24h" help:"How long to wait for the report; 0s: not at all."`
}

// jobReply is what the command needs of a job.
type jobReply struct {
	ID       string    `json:"id"`
	State    job.State `json:"state"`
	Progress struct {
		Done    int64  `json:"done"`
		Total   *int64 `json:"total"`
		Message string `json:"message"`
	} `json:"progress"`
	Result json.RawMessage `json:"result"`
	Errors []struct {
		Error string `json:"error"`
	} `json:"errors"`
}

// Run implements the subcommand: it prints the job's report, and fails if the job did. Interrupted, it leaves the job to go on.
func (c *backfillCmd) Run(ctx context.Context) error {
	args := worker.BackfillArgs{Prefix: c.Prefix, From: c.From, To: c.To}
	if err := args.Validate(); err != nil {
		return err
	}
	var started struct {
		Created bool     `json:"created"`
		Job     jobReply `json:"job"`
	}
	if err := c.ask(ctx, credential.Operator, http.MethodPost, "/v1/jobs", map[string]any{"kind": "backfill", "args": args}, &started); err != nil {
		return err
	}
	if !started.Created {
		fmt.Fprintln(os.Stderr, "the same backfill is not finished: waiting for it")
	}
	return c.await(ctx, started.Job)
}

// await polls until the job has ended, and prints its report.
func (c *backfillCmd) await(ctx context.Context, b jobReply) error {
	fmt.Fprintf(os.Stderr, "job %s is %s\n", b.ID, b.State)
	if c.Wait == 0 {
		return nil
	}
	told := ""
	state := func() string { return fmt.Sprintf("job %s is still %s", b.ID, b.State) }
	return c.poll(ctx, c.Wait, state, func(ctx context.Context) (bool, error) {
		var now jobReply
		if err := c.ask(ctx, credential.Operator, http.MethodGet, "/v1/jobs/"+url.PathEscape(b.ID), nil, &now); err != nil {
			return false, err
		}
		switch b.State = now.State; {
		case now.State == job.Succeeded:
			_, err := fmt.Fprintf(os.Stdout, "%s\n", now.Result)
			return true, err
		case now.State.Ended():
			err := fmt.Errorf("job %s was %s", b.ID, now.State)
			for _, e := range now.Errors {
				err = errors.Join(err, errors.New(e.Error))
			}
			return true, err
		}
		if p := now.Progress; p.Message != told && p.Total != nil {
			told = p.Message
			fmt.Fprintf(os.Stderr, "%d of %d objects: %s\n", p.Done, *p.Total, p.Message)
		}
		return false, nil
	})
}
