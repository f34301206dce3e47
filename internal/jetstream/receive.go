package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/carasso/carasso/telemetry"
)

const (
	headerSentAt   = "Carasso-Sent-At"  // of a dead letter: when the message was first sent, ns since the epoch
	headerAttempts = "Carasso-Attempts" // of a dead letter: how often it had been handed out, failed moves to here included
)

// Receive implements the port.
func (q *Queue) Receive(ctx context.Context, limit int, wait time.Duration) ([]telemetry.Delivery, error) {
	deadline := time.Now().Add(wait)
	for {
		msgs, err := q.pull(ctx, &q.main, limit, time.Until(deadline))
		if err != nil {
			return nil, fmt.Errorf("receive from queue %s: %w", q.config.Name, err)
		}
		var ds []telemetry.Delivery
		for _, msg := range msgs {
			meta, err := msg.Metadata()
			if err != nil {
				return nil, fmt.Errorf("receive from queue %s: %w", q.config.Name, err)
			}
			if meta.NumDelivered > uint64(q.config.MaxReceive) {
				q.bury(ctx, msg, meta)
				continue
			}
			ds = append(ds, telemetry.Delivery{
				Body: msg.Data, Attempts: int(meta.NumDelivered), SentAt: meta.Timestamp, Receipt: receipt{msg.Reply},
			})
		}
		if len(ds) > 0 || !time.Now().Before(deadline) {
			return ds, nil
		}
	}
}

// ReceiveDead implements the port. What is handed out stays invisible to further calls for the queue's visibility time.
func (q *Queue) ReceiveDead(ctx context.Context, limit int) ([]telemetry.Delivery, error) {
	msgs, err := q.pull(ctx, &q.dead, limit, 0)
	if err != nil {
		return nil, fmt.Errorf("receive dead letters of queue %s: %w", q.config.Name, err)
	}
	ds := make([]telemetry.Delivery, 0, len(msgs))
	for _, msg := range msgs {
		d := telemetry.Delivery{Body: msg.Data, Receipt: receipt{msg.Reply}}
		if ns, err := strconv.ParseInt(msg.Header.Get(headerSentAt), 10, 64); err == nil {
			d.SentAt = time.Unix(0, ns)
		}
		if attempts, err := strconv.Atoi(msg.Header.Get(headerAttempts)); err == nil {
			d.Attempts = attempts
		}
		ds = append(ds, d)
	}
	return ds, nil
}

// bury moves a message to the dead letters: stored there first, then removed here. A crash in between leaves
// it in both places, and the next attempt's copy is dropped by its id. When it can't be stored it stays in the queue.
func (q *Queue) bury(ctx context.Context, msg *nats.Msg, meta *nats.MsgMetadata) {
	letter := nats.NewMsg(q.dead.subject)
	letter.Data = msg.Data
	letter.Header.Set(headerSentAt, strconv.FormatInt(meta.Timestamp.UnixNano(), 10))
	letter.Header.Set(headerAttempts, strconv.FormatUint(meta.NumDelivered-1, 10))
	id := fmt.Sprintf("%s-%d", q.config.Name, meta.Sequence.Stream)
	err := q.server.space.Check()
	if err == nil {
		_, err = q.server.js.PublishMsg(ctx, letter, jetstream.WithMsgID(id))
	}
	ack := []byte("+TERM")
	if err != nil {
		q.logger.WarnContext(ctx, "dead_letter_refused", "error", refusal(err), "sequence", meta.Sequence.Stream)
		ack = postpone(q.config.Visibility)
	}
	if err := q.acknowledge(ctx, []string{msg.Reply}, ack); err != nil {
		q.logger.WarnContext(ctx, "dead_letter_not_settled", "error", err, "sequence", meta.Sequence.Stream)
		return
	}
	if err == nil {
		q.logger.WarnContext(ctx, "dead_letter", "sequence", meta.Sequence.Stream, "attempts", meta.NumDelivered-1, "bytes", len(msg.Data))
	}
}

// pull takes up to limit messages: those there are at once, else it waits for one and takes what came with it.
func (q *Queue) pull(ctx context.Context, box *mailbox, limit int, wait time.Duration) ([]*nats.Msg, error) {
	if limit < 1 {
		return nil, fmt.Errorf("limit is %d, at least 1 is needed", limit)
	}
	limit = min(limit, q.config.MaxInFlight)
	msgs, err := q.request(ctx, box, pullRequest{Batch: limit, NoWait: true, Expires: atOnce})
	// Below a millisecond a wait is not worth a request.
	if err != nil || len(msgs) > 0 || wait < time.Millisecond {
		return msgs, err
	}
	msgs, err = q.request(ctx, box, pullRequest{Batch: 1, Expires: wait})
	if err != nil || len(msgs) == 0 || limit == 1 {
		return msgs, err
	}
	more, err := q.request(ctx, box, pullRequest{Batch: limit - 1, NoWait: true, Expires: atOnce})
	if err != nil {
		q.giveBack(ctx, msgs)
		return nil, err
	}
	return append(msgs, more...), nil
}

// atOnce bounds a request that doesn't wait for messages: the server holds back even such a one while MaxInFlight
// messages are handed out.
const atOnce = 10 * time.Millisecond

// pullRequest asks a consumer for messages (JetStream API, $JS.API.CONSUMER.MSG.NEXT).
type pullRequest struct {
	Batch   int           `json:"batch"`
	Expires time.Duration `json:"expires,omitempty"` // ns
	NoWait  bool          `json:"no_wait,omitempty"` // ends with what there is, unless there is nothing
}

// request sends a pull request and collects its messages until it is complete or the server says that there are no
// more. What arrives when ctx has ended is given back.
func (q *Queue) request(ctx context.Context, box *mailbox, request pullRequest) ([]*nats.Msg, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn := q.server.receiving
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := conn.PublishRequest(box.next, inbox, body); err != nil {
		return nil, err
	}
	// The server ends the request in time; this is for when it doesn't.
	waiting, cancel := context.WithTimeout(ctx, request.Expires+requestTimeout)
	defer cancel()
	var msgs []*nats.Msg
	for len(msgs) < request.Batch {
		msg, err := sub.NextMsgWithContext(waiting)
		if err != nil {
			q.giveBack(ctx, append(msgs, drain(sub)...))
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, err
		}
		if msg.Header == nil || msg.Header.Get("Status") == "" {
			msgs = append(msgs, msg)
			continue
		}
		switch status := msg.Header.Get("Status"); status {
		case "404", "408": // no messages; request timeout
			return msgs, nil
		default: // such as 409 when too many requests wait
			q.giveBack(ctx, msgs)
			return nil, fmt.Errorf("pull failed: %s %s", status, msg.Header.Get("Description"))
		}
	}
	return msgs, nil
}

// drain ends a request's subscription in order and returns the messages that were on their way.
func drain(sub *nats.Subscription) []*nats.Msg {
	if sub.Drain() != nil {
		return nil
	}
	var msgs []*nats.Msg
	for {
		msg, err := sub.NextMsg(time.Second)
		if err != nil {
			return msgs
		}
		if msg.Header.Get("Status") == "" {
			msgs = append(msgs, msg)
		}
	}
}

// giveBack makes messages visible at once that nobody is there to take. Should it fail, they come back by themselves.
func (q *Queue) giveBack(ctx context.Context, msgs []*nats.Msg) {
	if len(msgs) == 0 {
		return
	}
	replies := make([]string, len(msgs))
	for i, msg := range msgs {
		replies[i] = msg.Reply
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := q.acknowledge(ctx, replies, postpone(0)); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		q.logger.WarnContext(ctx, "give_back", "error", err, "messages", len(msgs))
	}
}
