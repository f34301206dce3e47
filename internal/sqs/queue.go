// Package sqs is the envelope queue on Amazon SQS (a standard queue with a dead-letter queue).
//
// An envelope travels as a binary message attribute, the message's body is "1": SQS bodies have to
// be XML characters, and base64 would add a third to what is billed.
package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
)

// MaxBody is the largest envelope in bytes.
const MaxBody = 256 << 10

const (
	maxEntries = 10 // in a batch call, and messages in a receive
	maxWait    = 20 * time.Second
	maxHidden  = 12 * time.Hour
)

// Config says which queues to use. QueueURL and DeadQueueURL are required.
type Config struct {
	QueueURL     string
	DeadQueueURL string
	// MaxRequestBytes is the largest total payload of one SendMessageBatch: 256 KiB to 1 MiB, the default. SQS
	// takes 1 MiB since August 2025; older emulators stop at 256 KiB.
	MaxRequestBytes int
	// DeleteAttempts is how often Delete asks before it gives up on entries that SQS failed; default 4.
	DeleteAttempts int
	// AgeWindow is for how long the age of a received message counts as that of the oldest waiting; default
	// 30 s.
	AgeWindow time.Duration
}

func (c Config) withDefaults() Config {
	if c.MaxRequestBytes == 0 {
		c.MaxRequestBytes = 1 << 20
	}
	if c.DeleteAttempts == 0 {
		c.DeleteAttempts = 4
	}
	if c.AgeWindow == 0 {
		c.AgeWindow = 30 * time.Second
	}
	return c
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.QueueURL == "":
		return errors.New("sqs: QueueURL is empty")
	case c.DeadQueueURL == "":
		return errors.New("sqs: DeadQueueURL is empty")
	case c.MaxRequestBytes < 256<<10 || c.MaxRequestBytes > 1<<20:
		return fmt.Errorf("sqs: MaxRequestBytes is %d, want 262144 to 1048576", c.MaxRequestBytes)
	case c.DeleteAttempts < 1 || c.DeleteAttempts > 20:
		return fmt.Errorf("sqs: DeleteAttempts is %d, want 1 to 20", c.DeleteAttempts)
	case c.AgeWindow < time.Second:
		return fmt.Errorf("sqs: AgeWindow is %v, want at least 1s", c.AgeWindow)
	}
	return nil
}

// API is what the adapter uses of *sqs.Client.
type API interface {
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

// Queue is a queue of envelopes. It is safe for concurrent use and has no goroutines of its own.
type Queue struct {
	api     API
	cfg     Config
	log     *slog.Logger
	age     ageWindow
	corrupt *prometheus.CounterVec
}

// New uses existing queues.
func New(api API, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Queue, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	q := &Queue{
		api: api,
		cfg: cfg,
		log: log,
		age: ageWindow{width: cfg.AgeWindow, now: time.Now},
		corrupt: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carasso_sqs_corrupt_messages_total",
			Help: "Messages whose MD5 did not match, by direction: they are sent or delivered again.",
		}, []string{"direction"}),
	}
	if err := reg.Register(q.corrupt); err != nil {
		return nil, fmt.Errorf("sqs: register metrics: %w", err)
	}
	return q, nil
}

// EntryError is SQS's refusal of one message of a batch.
type EntryError struct {
	Code    string // as in the API: "InvalidParameterValue", "InternalError"
	Message string
	// SenderFault means that the same request would be refused again.
	SenderFault bool
}

func (e *EntryError) Error() string { return e.Code + ": " + e.Message }
