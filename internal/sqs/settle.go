package sqs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/carasso/carasso/telemetry"
)

// Extend keeps the messages invisible for visibility from now on, in whole seconds rounded up, at most 12 h. It is
// an error if one of them is no longer ours, but the others are extended.
func (q *Queue) Extend(ctx context.Context, ds []telemetry.Delivery, visibility time.Duration) error {
	if err := q.changeVisibility(ctx, ds, visibility, false); err != nil {
		return fmt.Errorf("sqs: extend visibility: %w", err)
	}
	return nil
}

// Release gives the messages back: they become visible after delay, in whole seconds rounded up. One that was given
// back or deleted already is no error.
func (q *Queue) Release(ctx context.Context, ds []telemetry.Delivery, delay time.Duration) error {
	if err := q.changeVisibility(ctx, ds, delay, true); err != nil {
		return fmt.Errorf("sqs: release: %w", err)
	}
	return nil
}

func (q *Queue) changeVisibility(ctx context.Context, ds []telemetry.Delivery, hidden time.Duration, goneIsFine bool) error {
	timeout := ceilSeconds(min(hidden, maxHidden))
	var errs []error
	for chunk := range slices.Chunk(ds, maxEntries) {
		entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(chunk))
		for i, d := range chunk {
			handle, err := handleOf(d)
			if err != nil {
				return err
			}
			entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: handle, VisibilityTimeout: timeout,
			}
		}
		out, err := q.api.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
			QueueUrl: &q.cfg.QueueURL, Entries: entries,
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, failed := range out.Failed {
			if goneIsFine && gone(failed) {
				continue
			}
			errs = append(errs, entryError(failed))
		}
	}
	return errors.Join(errs...)
}

// Delete removes the messages for good; entries that SQS failed to remove are tried again with increasing
// pauses, Config.DeleteAttempts times in all. Deleting twice is no error.
func (q *Queue) Delete(ctx context.Context, ds []telemetry.Delivery) error {
	if err := q.deleteAll(ctx, q.cfg.QueueURL, ds); err != nil {
		return fmt.Errorf("sqs: delete: %w", err)
	}
	return nil
}

// DeleteDead removes dead letters for good.
func (q *Queue) DeleteDead(ctx context.Context, ds []telemetry.Delivery) error {
	if err := q.deleteAll(ctx, q.cfg.DeadQueueURL, ds); err != nil {
		return fmt.Errorf("sqs: delete dead letters: %w", err)
	}
	return nil
}

func (q *Queue) deleteAll(ctx context.Context, url string, ds []telemetry.Delivery) error {
	var errs []error
	for chunk := range slices.Chunk(ds, maxEntries) {
		if err := q.deleteChunk(ctx, url, chunk); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (q *Queue) deleteChunk(ctx context.Context, url string, ds []telemetry.Delivery) error {
	entries := make([]types.DeleteMessageBatchRequestEntry, len(ds))
	for i, d := range ds {
		handle, err := handleOf(d)
		if err != nil {
			return err
		}
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: handle}
	}
	for attempt := 1; ; attempt++ {
		out, err := q.api.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries})
		if err != nil {
			return err // the client has tried again already
		}
		var errs []error
		again := map[string]bool{}
		for _, failed := range out.Failed {
			switch {
			case gone(failed):
			case failed.SenderFault || attempt == q.cfg.DeleteAttempts:
				errs = append(errs, entryError(failed))
			default:
				again[aws.ToString(failed.Id)] = true
			}
		}
		if len(errs) > 0 || len(again) == 0 {
			return errors.Join(errs...)
		}
		entries = slices.DeleteFunc(entries, func(e types.DeleteMessageBatchRequestEntry) bool { return !again[*e.Id] })
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// pause waits 50 ms, 100 ms, 200 ms … give or take half, or until ctx ends.
func pause(ctx context.Context, attempt int) error {
	base := 50 * time.Millisecond << min(attempt-1, 6)
	timer := time.NewTimer(base/2 + rand.N(base))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// gone means that the message was deleted, or is visible again.
func gone(e types.BatchResultErrorEntry) bool {
	switch aws.ToString(e.Code) {
	case "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight":
		return true
	}
	return false
}

func handleOf(d telemetry.Delivery) (*string, error) {
	handle, ok := d.Receipt.(receipt)
	if !ok {
		return nil, fmt.Errorf("receipt is a %T, not from this queue", d.Receipt)
	}
	return aws.String(string(handle)), nil
}
