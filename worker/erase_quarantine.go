package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// maxQuarantined bounds an envelope in quarantine after decompression.
const maxQuarantined = 256 << 20

// quarantine takes the vehicle's records out of the envelopes in quarantine.
func (r *erasing) quarantine(ctx context.Context) error {
	r.d.OnStep(EraseQuarantine)
	var opened telemetry.Envelope
	return r.eachDay(1, func(day time.Time) error {
		r.p.Set(0, 0, "quarantine of "+day.Format(time.DateOnly))
		return r.d.Objects.List(ctx, "quarantine/"+day.Format("2006/01/02")+"/", func(key string, _ int64, _ time.Time) error {
			if err := r.envelope(ctx, key, &opened); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		})
	})
}

func (r *erasing) envelope(ctx context.Context, key string, opened *telemetry.Envelope) error {
	body, err := r.d.Objects.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if opened.Open(body, maxQuarantined) != nil {
		r.unreadable++
		return nil //nolint:nilerr // the receipt tells of it
	}
	if opened.Header.AcceptedAt > r.e.UpTo.UnixMilli() {
		return nil
	}
	body, gone, err := eraseRecords(opened, func(vehicle uint64) bool { return r.vehicle[vehicle] })
	if err != nil || gone.Batches == 0 {
		return err
	}
	r.d.OnStep(EraseNote)
	if err := r.d.Store.ErasedQuarantine(ctx, r.e.ID, key, gone.claims, gone.Count); err != nil {
		return err
	}
	r.d.OnStep(EraseRewrite)
	return r.d.Objects.Put(ctx, key, body, "application/octet-stream", "")
}
