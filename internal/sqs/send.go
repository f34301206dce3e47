package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// The parts of a message, whose lengths SQS counts too.
const (
	attribute = "e"
	dataType  = "Binary"
	dummyBody = "1"
	overhead  = len(attribute) + len(dataType) + len(dummyBody)
)

// Errors of Send.
var (
	// ErrTooLarge means that an envelope exceeds MaxBody, or what a request may hold.
	ErrTooLarge = errors.New("sqs: envelope is too large")
	// ErrTooMany means that Send was given more than 10 bodies.
	ErrTooMany = errors.New("sqs: more than 10 envelopes in one call")
	// ErrCorrupt means that SQS holds something else than what was sent: its MD5 differs.
	ErrCorrupt = errors.New("sqs: message was changed on its way")
)

// Send queues up to 10 bodies of up to MaxBody bytes each, in as few requests as their sizes allow, and
// returns when SQS has stored them. nil means that all were accepted; otherwise there is one entry a body, nil for
// those that were. A body with an error may have been queued all the same, if the answer was lost. Refusals
// of single messages are *EntryError. The bodies are not kept.
func (q *Queue) Send(ctx context.Context, bodies [][]byte) []error {
	if len(bodies) == 0 {
		return nil
	}
	errs := make([]error, len(bodies))
	if len(bodies) > maxEntries {
		for i := range errs {
			errs[i] = ErrTooMany
		}
		return errs
	}
	requests := q.pack(bodies, errs)
	if len(requests) == 1 {
		q.sendBatch(ctx, bodies, requests[0], errs)
	} else {
		var wg sync.WaitGroup
		for _, indexes := range requests {
			wg.Go(func() { q.sendBatch(ctx, bodies, indexes, errs) })
		}
		wg.Wait()
	}
	for _, err := range errs {
		if err != nil {
			return errs
		}
	}
	return nil
}

// pack splits the bodies over requests, first fit, and notes those that fit in none.
func (q *Queue) pack(bodies [][]byte, errs []error) [][]int {
	var requests [][]int
	var free []int
next:
	for i, body := range bodies {
		size := len(body) + overhead
		if len(body) > MaxBody || size > q.cfg.MaxRequestBytes {
			errs[i] = fmt.Errorf("%w: %d bytes", ErrTooLarge, len(body))
			continue
		}
		for r := range requests {
			if size <= free[r] {
				requests[r] = append(requests[r], i)
				free[r] -= size
				continue next
			}
		}
		requests = append(requests, []int{i})
		free = append(free, q.cfg.MaxRequestBytes-size)
	}
	return requests
}

// sendBatch sends bodies[indexes] in one request and writes errs[indexes], nobody else's.
func (q *Queue) sendBatch(ctx context.Context, bodies [][]byte, indexes []int, errs []error) {
	entries := make([]types.SendMessageBatchRequestEntry, len(indexes))
	for n, i := range indexes {
		entries[n] = types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(dummyBody), MessageAttributes: attributes(bodies[i]),
		}
		errs[i] = errors.New("sqs: send: no answer for this message")
	}
	out, err := q.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.cfg.QueueURL, Entries: entries})
	if err != nil {
		for _, i := range indexes {
			errs[i] = fmt.Errorf("sqs: send: %w", err)
		}
		return
	}
	for _, ok := range out.Successful {
		i, err := strconv.Atoi(aws.ToString(ok.Id))
		if err != nil || i < 0 || i >= len(errs) {
			continue
		}
		errs[i] = nil
		if sum := aws.ToString(ok.MD5OfMessageAttributes); len(bodies[i]) > 0 && sum != checksum(bodies[i]) {
			q.corrupt.WithLabelValues("sent").Inc()
			errs[i] = fmt.Errorf("%w: message %s", ErrCorrupt, aws.ToString(ok.MessageId))
		}
	}
	for _, failed := range out.Failed {
		if i, err := strconv.Atoi(aws.ToString(failed.Id)); err == nil && i >= 0 && i < len(errs) {
			errs[i] = fmt.Errorf("sqs: send: %w", entryError(failed))
		}
	}
}

// attributes carry the body; an empty one is left out, since SQS refuses empty values.
func attributes(body []byte) map[string]types.MessageAttributeValue {
	if len(body) == 0 {
		return nil
	}
	return map[string]types.MessageAttributeValue{
		attribute: {DataType: aws.String(dataType), BinaryValue: body},
	}
}

func entryError(e types.BatchResultErrorEntry) *EntryError {
	return &EntryError{Code: aws.ToString(e.Code), Message: aws.ToString(e.Message), SenderFault: e.SenderFault}
}
