package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/telemetry/ledger"
)

// ReplayArgs are the arguments of a replay.
type ReplayArgs struct {
	From string `json:"from" doc:"First UTC day of event time, YYYY-MM-DD."`
	To   string `json:"to" doc:"Last UTC day, YYYY-MM-DD; the first if empty."`
}

// maxReplayDays bounds a replay.
const maxReplayDays = 35

func (a ReplayArgs) days() (from, to time.Time, err error) {
	if from, err = time.Parse(time.DateOnly, a.From); err != nil {
		return from, to, &job.ArgsError{Pointer: "/from", Detail: "expected a day as YYYY-MM-DD"}
	}
	to = from
	if a.To != "" {
		if to, err = time.Parse(time.DateOnly, a.To); err != nil {
			return from, to, &job.ArgsError{Pointer: "/to", Detail: "expected a day as YYYY-MM-DD"}
		}
	}
	to = to.AddDate(0, 0, 1)
	if !from.Before(to) || to.Sub(from) > maxReplayDays*24*time.Hour {
		return from, to, &job.ArgsError{Pointer: "/to", Detail: fmt.Sprintf("expected the same day as from, or one of the %d after it", maxReplayDays-1)}
	}
	return from, to, nil
}

// Validate implements job.Args.
func (a ReplayArgs) Validate() error {
	_, _, err := a.days()
	return err
}

// ReplayIDArgs name a replay.
type ReplayIDArgs struct {
	Replay string `json:"replay" doc:"Id of the replay."`
}

func (a ReplayIDArgs) id() (int64, error) {
	id, err := strconv.ParseInt(a.Replay, 10, 64)
	if err != nil || id < 1 {
		return 0, &job.ArgsError{Pointer: "/replay", Detail: "expected a replay's id"}
	}
	return id, nil
}

// Validate implements job.Args.
func (a ReplayIDArgs) Validate() error {
	_, err := a.id()
	return err
}

// ReplayStanding is the result of swapping or dropping.
type ReplayStanding struct {
	Replay string             `json:"replay"`
	State  ledger.ReplayState `json:"state"`
}

// Kinds are the kinds of jobs that replay.
func (p *Replayer) Kinds() ([]job.Kind, error) {
	build, err1 := job.Define(job.Spec{
		Name: "replay", Timeout: 24 * time.Hour,
		Description: "Rebuilds the aggregates of some days from the raw archive with the present map, beside the live ones, and tells how they differ.",
	}, func(ctx context.Context, a ReplayArgs, to job.Progress) (any, error) {
		from, until, err := a.days()
		if err != nil {
			return nil, err
		}
		report, err := p.Build(ctx, from, until, to)
		if errors.Is(err, ledger.ErrReplays) || errors.Is(err, ledger.ErrReplayRange) { // trying again does not help
			return nil, &job.ArgsError{Detail: err.Error()}
		}
		return report, err
	})
	ended := func(r ledger.Replay, err error) (any, error) {
		if errors.Is(err, ledger.ErrNoReplay) || errors.Is(err, ledger.ErrReplayState) || errors.Is(err, ledger.ErrReplayMap) {
			return nil, &job.ArgsError{Pointer: "/replay", Detail: err.Error()}
		}
		return ReplayStanding{strconv.FormatInt(r.ID, 10), r.State}, err
	}
	swap, err2 := job.Define(job.Spec{
		Name: "replay-swap", Timeout: 6 * time.Hour,
		Description: "Puts the aggregates that a replay built in the place of the live ones, all at once. Workers wait for some seconds.",
	}, func(ctx context.Context, a ReplayIDArgs, to job.Progress) (any, error) {
		id, err := a.id()
		if err != nil {
			return nil, err
		}
		return ended(p.Swap(ctx, id, to))
	})
	drop, err3 := job.Define(job.Spec{
		Name: "replay-drop", Description: "Gives up the aggregates that a replay built.",
	}, func(ctx context.Context, a ReplayIDArgs, _ job.Progress) (any, error) {
		id, err := a.id()
		if err != nil {
			return nil, err
		}
		return ended(p.Drop(ctx, id))
	})
	return []job.Kind{build, swap, drop}, errors.Join(err1, err2, err3)
}

// getArchived reads an object; errObjectGone if it is not there.
func getArchived(ctx context.Context, objects StoredObjects, key string) ([]byte, error) {
	body, err := objects.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errObjectGone, err)
	}
	return body, err
}
