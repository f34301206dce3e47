package sqs_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/awsclient/awstest"
	"github.com/carasso/carasso/internal/sqs"
	"github.com/carasso/carasso/telemetry"
)

// receive takes n messages, however many calls that needs.
func receive(t *testing.T, q *sqs.Queue, n int) []telemetry.Delivery {
	t.Helper()
	var all []telemetry.Delivery
	for until := time.Now().Add(30 * time.Second); len(all) < n; {
		if time.Now().After(until) {
			t.Fatalf("received %d of %d messages in 30 s", len(all), n)
		}
		ds, err := q.Receive(t.Context(), 10, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ds...)
	}
	return all
}

// Ten envelopes of the largest size exceed one request at either limit.
func TestSendSplitsByRequestSize(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{256<<10 + 0, 1 << 20} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			t.Parallel()
			q := open(t, func(_ *awsclient.Names, cfg *sqs.Config) { cfg.MaxRequestBytes = limit })
			random := rand.NewChaCha8([32]byte{3})
			bodies := make([][]byte, 10)
			want := map[string]int{}
			for i := range bodies {
				bodies[i] = make([]byte, 200<<10)
				_, _ = random.Read(bodies[i])
				want[string(bodies[i])] = i
			}
			if errs := q.Send(t.Context(), bodies); errs != nil {
				t.Fatalf("Send: %v", errors.Join(errs...))
			}
			for _, d := range receive(t, q, len(bodies)) {
				if _, ok := want[string(d.Body)]; !ok {
					t.Errorf("received %d bytes that nobody sent, or twice", len(d.Body))
				}
				delete(want, string(d.Body))
			}
		})
	}
}

func TestSendMapsFailuresToBodies(t *testing.T) {
	t.Parallel()
	// The queue itself takes 2 KiB: it refuses the entries in the middle, not the request.
	q := open(t, func(names *awsclient.Names, _ *sqs.Config) { names.MaxMessageBytes = 2 << 10 })
	small, large := bytes.Repeat([]byte{0}, 100), bytes.Repeat([]byte{1}, 4<<10)
	errs := q.Send(t.Context(), [][]byte{small, large, small, make([]byte, sqs.MaxBody+1), large})
	if len(errs) != 5 {
		t.Fatalf("Send = %v, want 5 entries", errs)
	}
	for i, refused := range []bool{false, true, false, true, true} {
		if (errs[i] != nil) != refused {
			t.Errorf("body %d: %v, want refused = %v", i, errs[i], refused)
		}
	}
	var entry *sqs.EntryError
	if !errors.As(errs[1], &entry) || !entry.SenderFault || entry.Code == "" {
		t.Errorf("body 1: %v, want an *EntryError that is the sender's fault", errs[1])
	}
	if !errors.Is(errs[3], sqs.ErrTooLarge) {
		t.Errorf("body 3: %v, want ErrTooLarge", errs[3])
	}
	for _, d := range receive(t, q, 2) {
		if !bytes.Equal(d.Body, small) {
			t.Errorf("received a body of %d bytes, want %d", len(d.Body), len(small))
		}
	}
}

func TestSendRefusesMoreThanTen(t *testing.T) {
	t.Parallel()
	q := open(t, nil)
	errs := q.Send(t.Context(), make([][]byte, 11))
	if len(errs) != 11 {
		t.Fatalf("Send = %v, want 11 entries", errs)
	}
	for i, err := range errs {
		if !errors.Is(err, sqs.ErrTooMany) {
			t.Errorf("body %d: %v, want ErrTooMany", i, err)
		}
	}
}

func TestSendToAbsentQueue(t *testing.T) {
	t.Parallel()
	c := awstest.Clients(t)
	q, err := sqs.New(c.SQS(), sqs.Config{
		QueueURL: awstestURL("absent"), DeadQueueURL: awstestURL("dead"),
	}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	errs := q.Send(t.Context(), [][]byte{{1}, {2}})
	if len(errs) != 2 || errs[0] == nil || errs[1] == nil {
		t.Errorf("Send = %v, want two errors", errs)
	}
	if _, err := q.Depth(t.Context()); err == nil {
		t.Error("Depth of an absent queue returned no error")
	}
}

func awstestURL(name string) string {
	return "http://127.0.0.1/queue/eu-central-1/000000000000/" + name
}

// A message that somebody sent by hand ends where its reader looks at it, not in a loop.
func TestForeignMessageIsDelivered(t *testing.T) {
	t.Parallel()
	c := awstest.Clients(t)
	url, dead := awstest.Queue(t, c, awsclient.DefaultNames())
	q, err := sqs.New(c.SQS(), sqs.Config{QueueURL: url, DeadQueueURL: dead}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	text := "hello"
	if _, err := c.SQS().SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &url, MessageBody: &text}); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, q, 1)[0]; string(d.Body) != text {
		t.Errorf("received %q, want %q", d.Body, text)
	}
}

func TestDepthTellsTheAgeOfWhatWaits(t *testing.T) {
	t.Parallel()
	q := open(t, func(names *awsclient.Names, _ *sqs.Config) { names.Visibility = time.Second; names.MaxReceive = 100 })
	if errs := q.Send(t.Context(), [][]byte{{1}, {2}}); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	sent := time.Now()
	for until := sent.Add(30 * time.Second); ; {
		ds := receive(t, q, 2) // comes back every second, each time older
		if err := q.Release(t.Context(), ds[:1], 0); err != nil {
			t.Fatal(err)
		}
		depth, err := q.Depth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if depth.OldestAge > 1500*time.Millisecond && depth.OldestAge <= time.Since(sent)+time.Second {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("Depth = %+v, %v after sending", depth, time.Since(sent))
		}
	}
}

func TestReceiptsOfAnotherQueueAreRefused(t *testing.T) {
	t.Parallel()
	q := open(t, nil)
	foreign := []telemetry.Delivery{{Receipt: 42}}
	for name, err := range map[string]error{
		"Delete":  q.Delete(t.Context(), foreign),
		"Extend":  q.Extend(t.Context(), foreign, time.Second),
		"Release": q.Release(t.Context(), foreign, 0),
	} {
		if err == nil {
			t.Errorf("%s took a foreign receipt", name)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]sqs.Config{
		"no queue":         {DeadQueueURL: "d"},
		"no dead queue":    {QueueURL: "q"},
		"request small":    {QueueURL: "q", DeadQueueURL: "d", MaxRequestBytes: 1000},
		"request large":    {QueueURL: "q", DeadQueueURL: "d", MaxRequestBytes: 2 << 20},
		"too many deletes": {QueueURL: "q", DeadQueueURL: "d", DeleteAttempts: 21},
		"no window":        {QueueURL: "q", DeadQueueURL: "d", AgeWindow: time.Millisecond},
	} {
		if cfg.Validate() == nil {
			t.Errorf("%s: Validate accepted %+v", name, cfg)
		}
	}
	if err := (sqs.Config{QueueURL: "q", DeadQueueURL: "d"}).Validate(); err != nil {
		t.Errorf("Validate of the defaults: %v", err)
	}
}
