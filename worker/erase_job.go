package worker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/telemetry/ledger"
)

// EraseArgs name an erasure.
type EraseArgs struct {
	Erasure string `json:"erasure" doc:"Id of the erasure, as POST /v1/vehicles:erase returned it."`
}

func (a EraseArgs) id() (int64, error) {
	id, err := strconv.ParseInt(a.Erasure, 10, 64)
	if err != nil || id < 1 {
		return 0, &job.ArgsError{Pointer: "/erasure", Detail: "expected an erasure's id"}
	}
	return id, nil
}

// Validate implements job.Args.
func (a EraseArgs) Validate() error {
	_, err := a.id()
	return err
}

// EraseKind is the name of jobs that erase.
const EraseKind = "erasure"

// Kind is the kind of jobs that erase.
func (x *Eraser) Kind() (job.Kind, error) {
	return job.Define(job.Spec{
		Name: EraseKind, Timeout: 24 * time.Hour, MaxAttempts: 20, Many: true,
		Description: "Erases the data of a vehicle that POST /v1/vehicles:erase asked for, and leaves a receipt.",
	}, func(ctx context.Context, a EraseArgs, p job.Progress) (any, error) {
		id, err := a.id()
		if err != nil {
			return nil, err
		}
		receipt, err := x.Run(ctx, id, p)
		if errors.Is(err, ledger.ErrNoErasure) || errors.Is(err, ledger.ErrErasureState) {
			return nil, &job.ArgsError{Pointer: "/erasure", Detail: err.Error()}
		}
		return receipt, err
	})
}
