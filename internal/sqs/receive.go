package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/carasso/carasso/telemetry"
)

// receipt is the telemetry.Delivery.Receipt of this adapter.
type receipt string

// Receive hands out 1 to limit messages (at most 10) as soon as there are any, and none when wait has
// passed without. SQS polls for whole seconds up to 20: wait is rounded up, and cut to that. A wait of 0 is a short
// poll, which may overlook messages.
func (q *Queue) Receive(ctx context.Context, limit int, wait time.Duration) ([]telemetry.Delivery, error) {
	ds, err := q.receive(ctx, q.cfg.QueueURL, limit, wait, false)
	if err != nil {
		return nil, fmt.Errorf("sqs: receive: %w", err)
	}
	for _, d := range ds {
		q.age.observe(d.SentAt)
	}
	return ds, nil
}

// ReceiveDead hands out up to limit dead letters (at most 10) without waiting for any. What is damaged is among
// them: nothing comes after this queue, and the envelope's own checksums lead it to quarantine.
func (q *Queue) ReceiveDead(ctx context.Context, limit int) ([]telemetry.Delivery, error) {
	ds, err := q.receive(ctx, q.cfg.DeadQueueURL, limit, 0, true)
	if err != nil {
		return nil, fmt.Errorf("sqs: receive dead letters: %w", err)
	}
	return ds, nil
}

func (q *Queue) receive(ctx context.Context, url string, limit int, wait time.Duration, damaged bool) ([]telemetry.Delivery, error) {
	if limit < 1 {
		return nil, fmt.Errorf("limit is %d, want at least 1", limit)
	}
	out, err := q.api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:              &url,
		MaxNumberOfMessages:   int32(min(limit, maxEntries)),
		WaitTimeSeconds:       ceilSeconds(min(wait, maxWait)),
		MessageAttributeNames: []string{attribute},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameApproximateReceiveCount,
			types.MessageSystemAttributeNameSentTimestamp,
		},
	})
	if err != nil {
		return nil, err
	}
	ds := make([]telemetry.Delivery, 0, len(out.Messages))
	for _, m := range out.Messages {
		d, err := delivery(m)
		if err != nil {
			q.corrupt.WithLabelValues("received").Inc()
		}
		if err != nil && !damaged {
			// It stays in the queue: the next delivery may be whole, and the redrive policy ends it.
			q.log.LogAttrs(ctx, slog.LevelWarn, "left a damaged message in the queue",
				slog.String("message_id", aws.ToString(m.MessageId)), slog.Any("error", err))
			continue
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// delivery is the message as the port knows it, as far as it can be told also with an error. A message that nobody
// here has sent (without the attribute) is delivered with its text as its body, so that it ends in quarantine and
// not in a loop.
func delivery(m types.Message) (telemetry.Delivery, error) {
	d := telemetry.Delivery{Attempts: 1, Receipt: receipt(aws.ToString(m.ReceiptHandle))}
	var damage error
	a, ok := m.MessageAttributes[attribute]
	switch {
	case ok:
		d.Body = a.BinaryValue
		if aws.ToString(m.MD5OfMessageAttributes) != checksum(d.Body) {
			damage = ErrCorrupt
		}
	case aws.ToString(m.Body) != dummyBody:
		d.Body = []byte(aws.ToString(m.Body))
	}
	if n, err := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)]); err == nil {
		d.Attempts = n
	}
	ms, err := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	if err != nil {
		return d, errors.Join(damage, errors.New("message has no time of sending"))
	}
	d.SentAt = time.UnixMilli(ms).UTC()
	return d, damage
}

func ceilSeconds(d time.Duration) int32 {
	return int32((max(d, 0) + time.Second - 1) / time.Second)
}
