package sqs

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/carasso/carasso/telemetry"
)

// Depth is the queue's state from its attributes, which SQS keeps up to about a minute late. No attribute tells the
// age of the oldest message: OldestAge is the greatest age at which this Queue received one within the last
// Config.AgeWindow, and 0 when nothing waits or nothing was received; on AWS the metric
// ApproximateAgeOfOldestMessage in CloudWatch knows better.
func (q *Queue) Depth(ctx context.Context) (telemetry.QueueDepth, error) {
	waiting, inFlight, err := q.counts(ctx, q.cfg.QueueURL)
	if err != nil {
		return telemetry.QueueDepth{}, fmt.Errorf("sqs: depth: %w", err)
	}
	dead, deadInFlight, err := q.counts(ctx, q.cfg.DeadQueueURL)
	if err != nil {
		return telemetry.QueueDepth{}, fmt.Errorf("sqs: depth of dead letters: %w", err)
	}
	depth := telemetry.QueueDepth{Visible: waiting, InFlight: inFlight, DeadLetters: dead + deadInFlight}
	if waiting > 0 {
		depth.OldestAge = q.age.oldest()
	}
	return depth, nil
}

func (q *Queue) counts(ctx context.Context, url string) (waiting, inFlight int64, err error) {
	const (
		visible = types.QueueAttributeNameApproximateNumberOfMessages
		delayed = types.QueueAttributeNameApproximateNumberOfMessagesDelayed
		hidden  = types.QueueAttributeNameApproximateNumberOfMessagesNotVisible
	)
	out, err := q.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{visible, delayed, hidden},
	})
	if err != nil {
		return 0, 0, err
	}
	number := func(name types.QueueAttributeName) int64 {
		n, parseErr := strconv.ParseInt(out.Attributes[string(name)], 10, 64)
		if parseErr != nil && err == nil {
			err = fmt.Errorf("attribute %s: %w", name, parseErr)
		}
		return n
	}
	waiting, inFlight = number(visible)+number(delayed), number(hidden)
	return waiting, inFlight, err
}

// ageWindow is the greatest age seen within the last one to two widths. It is safe for concurrent use.
type ageWindow struct {
	width time.Duration
	now   func() time.Time

	mu            sync.Mutex
	begin         time.Time
	current, last time.Duration
}

func (w *ageWindow) observe(sentAt time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	w.roll(now)
	w.current = max(w.current, now.Sub(sentAt))
}

func (w *ageWindow) oldest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll(w.now())
	return max(w.current, w.last)
}

// roll begins a new window when the current one has passed.
func (w *ageWindow) roll(now time.Time) {
	passed := now.Sub(w.begin)
	switch {
	case passed < w.width:
		return
	case passed < 2*w.width:
		w.last = w.current
	default:
		w.last = 0
	}
	w.begin, w.current = now, 0
}
