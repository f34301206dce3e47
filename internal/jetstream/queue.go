package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/carasso/carasso/telemetry"
)

const (
	maxBody = 256 << 10
	maxSend = 10
	// The server's code for a stream that refuses by its limit; the client library has no name for it.
	codeMaxBytes = 10077
	consumerName = "workers"
)

// ErrFull means that the queue has reached its size and takes no more until workers have caught up.
var ErrFull = errors.New("the queue is full")

var queueName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// QueueConfig describes a queue. An existing queue takes on a changed configuration when it is opened.
type QueueConfig struct {
	// Name is 1 to 64 letters, digits, - and _. Required.
	Name string
	// Visibility is how long a message handed out stays invisible unless extended; default 30 s.
	Visibility time.Duration
	// MaxReceive is how often a message is handed out before it becomes a dead letter; default 5.
	MaxReceive int
	// MaxBytes bounds the queue's files; a full queue refuses with ErrFull. Default 8 GiB.
	MaxBytes int64
	// MaxDeadBytes bounds the dead letters' files; when they are full, poisonous messages stay in the
	// queue and come up again and again. Default 1 GiB.
	MaxDeadBytes int64
	// MaxInFlight is how many messages may be handed out at once; default 20,000.
	MaxInFlight int
}

func (c *QueueConfig) setDefaults() error {
	if !queueName.MatchString(c.Name) {
		return fmt.Errorf("jetstream: queue name %q: 1 to 64 letters, digits, - and _ are needed", c.Name)
	}
	if c.Visibility == 0 {
		c.Visibility = 30 * time.Second
	}
	if c.MaxReceive == 0 {
		c.MaxReceive = 5
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 8 << 30
	}
	if c.MaxDeadBytes == 0 {
		c.MaxDeadBytes = 1 << 30
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 20_000
	}
	switch {
	case c.Visibility < 100*time.Millisecond || c.Visibility > 12*time.Hour:
		return fmt.Errorf("jetstream: queue %s: Visibility is %v, allowed are 100ms to 12h", c.Name, c.Visibility)
	case c.MaxReceive < 1:
		return fmt.Errorf("jetstream: queue %s: MaxReceive is %d, at least 1 is needed", c.Name, c.MaxReceive)
	case c.MaxBytes < 1<<20 || c.MaxDeadBytes < 1<<20:
		return fmt.Errorf("jetstream: queue %s: MaxBytes is %d, MaxDeadBytes %d, at least 1 MiB is needed", c.Name, c.MaxBytes, c.MaxDeadBytes)
	case c.MaxInFlight < 1:
		return fmt.Errorf("jetstream: queue %s: MaxInFlight is %d, at least 1 is needed", c.Name, c.MaxInFlight)
	}
	return nil
}

// Queue is a durable queue with visibility times: a work-queue stream, one durable pull consumer, and a
// second such pair for the dead letters. It is safe for concurrent use. What it promises is
// written and tested in package queuetest.
type Queue struct {
	config QueueConfig
	server *Server
	logger *slog.Logger

	main, dead mailbox
}

// mailbox is a work-queue stream with its only consumer.
type mailbox struct {
	subject  string
	stream   jetstream.Stream
	consumer jetstream.Consumer
	next     string // subject of pull requests
}

// receipt is what a Delivery of this adapter carries.
type receipt struct {
	reply string // where acknowledgements go
}

// Queue opens the queue, and creates it if it isn't there.
func (s *Server) Queue(ctx context.Context, config QueueConfig) (*Queue, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	q := &Queue{config: config, server: s, logger: s.logger.With("queue", config.Name)}
	var err error
	if q.main, err = q.mailbox(ctx, "queue", config.MaxBytes); err != nil {
		return nil, fmt.Errorf("open queue %s: %w", config.Name, err)
	}
	if q.dead, err = q.mailbox(ctx, "dead", config.MaxDeadBytes); err != nil {
		return nil, fmt.Errorf("open queue %s: %w", config.Name, err)
	}
	return q, nil
}

func (q *Queue) mailbox(ctx context.Context, kind string, maxBytes int64) (mailbox, error) {
	box := mailbox{subject: kind + "." + q.config.Name}
	name := kind + "-" + q.config.Name
	var err error
	box.stream, err = q.server.stream(ctx, jetstream.StreamConfig{
		Name:       name,
		Subjects:   []string{box.subject},
		Retention:  jetstream.WorkQueuePolicy,
		Storage:    jetstream.FileStorage,
		Discard:    jetstream.DiscardNew,
		MaxBytes:   maxBytes,
		MaxMsgs:    -1,
		Duplicates: 10 * time.Minute, // of dead letters, which have ids
	})
	if err != nil {
		return mailbox{}, err
	}
	box.consumer, err = box.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       consumerName,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       q.config.Visibility,
		MaxDeliver:    -1, // Receive moves to the dead letters itself: the server would only forget
		MaxAckPending: q.config.MaxInFlight,
		MaxWaiting:    1024,
	})
	if err != nil {
		return mailbox{}, fmt.Errorf("consumer of %s: %w", name, err)
	}
	box.next = "$JS.API.CONSUMER.MSG.NEXT." + name + "." + consumerName
	return box, nil
}

// Send implements the port. A full queue's error is ErrFull.
func (q *Queue) Send(ctx context.Context, bodies [][]byte) []error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout) // a server that can't write doesn't answer
	defer cancel()
	full := q.server.space.Check()
	errs := make([]error, len(bodies))
	failed := false
	fail := func(i int, err error) {
		errs[i] = fmt.Errorf("send to queue %s: %w", q.config.Name, err)
		failed = true
	}
	acks := make([]jetstream.PubAckFuture, len(bodies))
	for i, body := range bodies {
		switch {
		case ctx.Err() != nil:
			fail(i, ctx.Err())
		case len(bodies) > maxSend:
			fail(i, fmt.Errorf("%d bodies, at most %d are allowed", len(bodies), maxSend))
		case len(body) > maxBody:
			fail(i, fmt.Errorf("a body of %d bytes, at most %d are allowed", len(body), maxBody))
		case full != nil:
			fail(i, full)
		default:
			var err error
			if acks[i], err = q.server.js.PublishAsync(q.main.subject, body, jetstream.WithRetryAttempts(0)); err != nil {
				fail(i, err)
			}
		}
	}
	for i, ack := range acks {
		if ack == nil {
			continue
		}
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			fail(i, refusal(err))
		case <-ctx.Done():
			fail(i, ctx.Err())
		}
	}
	if !failed {
		return nil
	}
	return errs
}

// refusal is ErrFull when the stream refused because of its size.
func refusal(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeMaxBytes {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// Depth implements the port. Messages released or expired but not yet handed out again count as in flight.
func (q *Queue) Depth(ctx context.Context) (telemetry.QueueDepth, error) {
	fail := func(err error) (telemetry.QueueDepth, error) {
		return telemetry.QueueDepth{}, fmt.Errorf("depth of queue %s: %w", q.config.Name, err)
	}
	consumer, err := q.main.consumer.Info(ctx)
	if err != nil {
		return fail(err)
	}
	stream, err := q.main.stream.Info(ctx)
	if err != nil {
		return fail(err)
	}
	dead, err := q.dead.stream.Info(ctx)
	if err != nil {
		return fail(err)
	}
	depth := telemetry.QueueDepth{
		Visible:     int64(consumer.NumPending),
		InFlight:    int64(consumer.NumAckPending),
		DeadLetters: int64(dead.State.Msgs),
	}
	if depth.Visible > 0 && stream.State.Msgs > 0 {
		depth.OldestAge = max(0, time.Since(stream.State.FirstTime))
	}
	return depth, nil
}

// Extend implements the port.
func (q *Queue) Extend(ctx context.Context, ds []telemetry.Delivery, visibility time.Duration) error {
	return q.settle(ctx, "extend", ds, postpone(visibility))
}

// Release implements the port.
func (q *Queue) Release(ctx context.Context, ds []telemetry.Delivery, delay time.Duration) error {
	return q.settle(ctx, "release", ds, postpone(delay))
}

// Delete implements the port: the messages are gone from the files when it returns.
func (q *Queue) Delete(ctx context.Context, ds []telemetry.Delivery) error {
	return q.settle(ctx, "delete", ds, nil)
}

// DeleteDead implements the port.
func (q *Queue) DeleteDead(ctx context.Context, ds []telemetry.Delivery) error {
	return q.settle(ctx, "delete dead letters", ds, nil)
}

// postpone is the acknowledgement that makes a message visible after d. JetStream's "in progress" only
// grants the consumer's full AckWait again; a negative acknowledgement with a delay keeps the
// message pending and sets its time freely, longer or shorter, and a later acknowledgement still counts.
func postpone(d time.Duration) []byte {
	if d <= 0 {
		return []byte("-NAK")
	}
	return fmt.Appendf(nil, `-NAK {"delay": %d}`, d.Nanoseconds())
}

// settle sends an acknowledgement for each delivery and waits until the server has handled all.
func (q *Queue) settle(ctx context.Context, op string, ds []telemetry.Delivery, ack []byte) error {
	if len(ds) == 0 {
		return nil
	}
	replies := make([]string, len(ds))
	for i, d := range ds {
		r, ok := d.Receipt.(receipt)
		if !ok {
			return fmt.Errorf("%s in queue %s: the receipt is a %T, not this queue's", op, q.config.Name, d.Receipt)
		}
		replies[i] = r.reply
	}
	if err := q.acknowledge(ctx, replies, ack); err != nil {
		return fmt.Errorf("%s in queue %s: %w", op, q.config.Name, err)
	}
	return nil
}

func (q *Queue) acknowledge(ctx context.Context, replies []string, ack []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn := q.server.receiving
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	for _, reply := range replies {
		if err := conn.PublishRequest(reply, inbox, ack); err != nil {
			return err
		}
	}
	for range replies {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		if msg.Header.Get("Status") == "503" {
			return nats.ErrNoResponders
		}
	}
	return nil
}
