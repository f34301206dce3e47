package sqs

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/telemetry"
)

// faulty stands for an SQS whose internal failures no emulator shows. Only what a test sets works.
type faulty struct {
	API
	deletes [][]string // receipts of each call
	fail    func(call int, receipt string) *types.BatchResultErrorEntry
	sums    func(body []byte) string
	receive []types.Message
}

func (f *faulty) DeleteMessageBatch(_ context.Context, in *sqs.DeleteMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error) {
	out := &sqs.DeleteMessageBatchOutput{}
	var receipts []string
	for _, e := range in.Entries {
		receipts = append(receipts, *e.ReceiptHandle)
		if failed := f.fail(len(f.deletes)+1, *e.ReceiptHandle); failed != nil {
			failed.Id = e.Id
			out.Failed = append(out.Failed, *failed)
		} else {
			out.Successful = append(out.Successful, types.DeleteMessageBatchResultEntry{Id: e.Id})
		}
	}
	f.deletes = append(f.deletes, receipts)
	return out, nil
}

func (f *faulty) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	out := &sqs.SendMessageBatchOutput{}
	for _, e := range in.Entries {
		if *e.Id == "2" {
			continue // no answer for the third
		}
		sum := f.sums(e.MessageAttributes[attribute].BinaryValue)
		out.Successful = append(out.Successful, types.SendMessageBatchResultEntry{Id: e.Id, MD5OfMessageAttributes: &sum})
	}
	return out, nil
}

func (f *faulty) ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	return &sqs.ReceiveMessageOutput{Messages: f.receive}, nil
}

func newQueue(t *testing.T, api API) *Queue {
	t.Helper()
	q, err := New(api, Config{QueueURL: "queue", DeadQueueURL: "dead"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func deliveries(n int) []telemetry.Delivery {
	ds := make([]telemetry.Delivery, n)
	for i := range ds {
		ds[i].Receipt = receipt("r" + strconv.Itoa(i))
	}
	return ds
}

func TestDeleteRepeatsFailedEntriesOnly(t *testing.T) {
	t.Parallel()
	api := &faulty{fail: func(call int, receipt string) *types.BatchResultErrorEntry {
		switch {
		case receipt == "r1" && call == 1, receipt == "r2" && call <= 2:
			return &types.BatchResultErrorEntry{Code: aws.String("InternalError")}
		}
		return nil
	}}
	if err := newQueue(t, api).Delete(t.Context(), deliveries(3)); err != nil {
		t.Errorf("Delete: %v", err)
	}
	want := [][]string{{"r0", "r1", "r2"}, {"r1", "r2"}, {"r2"}}
	if diff := cmp.Diff(want, api.deletes); diff != "" {
		t.Errorf("receipts of each call (-want +got):\n%s", diff)
	}
}

func TestDeleteGivesUp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		senderFault bool
		calls       int
	}{{"after all attempts", false, 4}, {"at once when it is our fault", true, 1}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			api := &faulty{fail: func(_ int, receipt string) *types.BatchResultErrorEntry {
				if receipt != "r11" {
					return nil
				}
				return &types.BatchResultErrorEntry{Code: aws.String("Broken"), SenderFault: test.senderFault}
			}}
			var entry *EntryError
			if err := newQueue(t, api).Delete(t.Context(), deliveries(13)); !errors.As(err, &entry) || entry.Code != "Broken" {
				t.Errorf("Delete = %v, want the entry's error", err)
			}
			if calls := len(api.deletes) - 1; calls != test.calls { // one for the first ten
				t.Errorf("%d calls, want %d", calls, test.calls)
			}
		})
	}
}

func TestDeleteStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	api := &faulty{fail: func(int, string) *types.BatchResultErrorEntry {
		cancel()
		return &types.BatchResultErrorEntry{Code: aws.String("InternalError")}
	}}
	if err := newQueue(t, api).Delete(ctx, deliveries(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete = %v, want context.Canceled", err)
	}
}

func TestSendVerifiesWhatWasStored(t *testing.T) {
	t.Parallel()
	api := &faulty{sums: func(body []byte) string {
		if body[0] == 1 {
			return "d41d8cd98f00b204e9800998ecf8427e"
		}
		return checksum(body)
	}}
	errs := newQueue(t, api).Send(t.Context(), [][]byte{{0}, {1}, {2}})
	if len(errs) != 3 || errs[0] != nil || !errors.Is(errs[1], ErrCorrupt) || errs[2] == nil {
		t.Errorf("Send = %v, want success, ErrCorrupt, and an error for the one without answer", errs)
	}
}

func TestReceiveLeavesDamagedMessages(t *testing.T) {
	t.Parallel()
	message := func(body, summed string) types.Message {
		return types.Message{
			Body: aws.String(dummyBody), MessageAttributes: attributes([]byte(body)),
			MD5OfMessageAttributes: aws.String(checksum([]byte(summed))),
			Attributes:             map[string]string{"SentTimestamp": "1764000000123", "ApproximateReceiveCount": "2"},
		}
	}
	api := &faulty{receive: []types.Message{message("damaged", "whole"), message("whole", "whole")}}
	ds, err := newQueue(t, api).Receive(t.Context(), 10, 0)
	if err != nil || len(ds) != 1 || string(ds[0].Body) != "whole" {
		t.Fatalf("Receive = %v, %v, want the whole message only", ds, err)
	}
	if want := time.UnixMilli(1764000000123); ds[0].Attempts != 2 || !ds[0].SentAt.Equal(want) {
		t.Errorf("Attempts %d, SentAt %v, want 2 and %v", ds[0].Attempts, ds[0].SentAt, want)
	}
}

func TestReceiveDeadDeliversDamagedMessages(t *testing.T) {
	t.Parallel()
	sent := map[string]string{"SentTimestamp": "1764000000123", "ApproximateReceiveCount": "6"}
	api := &faulty{receive: []types.Message{
		{
			Body: aws.String(dummyBody), MessageAttributes: attributes([]byte("damaged")), ReceiptHandle: aws.String("r0"),
			MD5OfMessageAttributes: aws.String(checksum([]byte("whole"))), Attributes: sent,
		},
		{
			Body: aws.String(dummyBody), MessageAttributes: attributes([]byte("undated")), ReceiptHandle: aws.String("r1"),
			MD5OfMessageAttributes: aws.String(checksum([]byte("undated"))),
		},
	}}
	ds, err := newQueue(t, api).ReceiveDead(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []telemetry.Delivery{
		{Body: []byte("damaged"), Attempts: 6, SentAt: time.UnixMilli(1764000000123).UTC(), Receipt: receipt("r0")},
		{Body: []byte("undated"), Attempts: 1, Receipt: receipt("r1")},
	}
	if diff := cmp.Diff(want, ds); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestAgeWindowForgets(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1764000000000)
	w := ageWindow{width: 30 * time.Second, now: func() time.Time { return now }}
	step := func(wait, age, want time.Duration) {
		t.Helper()
		now = now.Add(wait)
		if age > 0 {
			w.observe(now.Add(-age))
		}
		if got := w.oldest(); got != want {
			t.Errorf("oldest = %v, want %v", got, want)
		}
	}
	step(0, 0, 0)
	step(time.Second, time.Minute, time.Minute)
	step(time.Second, time.Second, time.Minute)
	step(30*time.Second, 2*time.Second, time.Minute)
	step(30*time.Second, 0, 2*time.Second)
	step(time.Minute, 0, 0)
}
