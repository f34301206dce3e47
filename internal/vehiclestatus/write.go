package vehiclestatus

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/carasso/carasso/internal/livedoc"
)

// urgency is how soon a note is to be written.
type urgency int

const (
	nothing   urgency = iota
	heartbeat         // when nothing more urgent waits
	change            // next
)

// queue holds the notes to be written, each at most once.
type queue struct {
	mu    sync.Mutex
	lists [2][]*note // heartbeats, changes
}

func (q *queue) add(v *note, u urgency) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lists[u-heartbeat] = append(q.lists[u-heartbeat], v)
}

// take removes up to most notes, the urgent and the older ones first.
func (q *queue) take(most int) []*note {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*note
	for i := len(q.lists) - 1; i >= 0; i-- {
		k := min(most-len(out), len(q.lists[i]))
		out = append(out, q.lists[i][:k]...)
		q.lists[i] = q.lists[i][k:]
		if len(q.lists[i]) == 0 {
			q.lists[i] = nil // lets go of the array
		}
	}
	return out
}

// counters are the activity since it was last written.
type counters struct {
	mu    sync.Mutex
	since Activity
}

func (c *counters) see(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since.Seen.Add(id)
}

func (c *counters) refuse(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.Refused == nil {
		c.since.Refused = map[string]int64{}
	}
	c.since.Refused[reason]++
}

func (c *counters) take() Activity {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.since
	c.since = Activity{}
	return a
}

func (c *counters) giveBack(a Activity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since.Add(a)
}

const (
	// writers is how many writes are under way at once.
	writers = 8
	// turn is how often the queue is looked at.
	turn = 100 * time.Millisecond
	// writeTimeout bounds one write.
	writeTimeout = 3 * time.Second
)

// Run writes notes and counts until ctx ends, then what still waits, for at most Config.Drain.
func (n *Notebook) Run(ctx context.Context) error {
	tick := time.NewTicker(turn)
	defer tick.Stop()
	perTurn := max(1, n.cfg.WritesPerS*int(turn/time.Millisecond)/1000)
	lastActivity := time.Now()
	var lastForgotten time.Time
	for {
		select {
		case <-ctx.Done():
			n.drain(ctx)
			return nil
		case <-tick.C:
		}
		if time.Since(lastForgotten) >= n.cfg.Forget {
			lastForgotten = time.Now()
			n.forget(ctx)
		}
		n.write(ctx, n.queue.take(perTurn))
		if time.Since(lastActivity) >= n.cfg.Activity {
			lastActivity = time.Now()
			n.writeActivity(ctx)
		}
	}
}

func (n *Notebook) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.Drain)
	defer cancel()
	n.writeActivity(ctx)
	for ctx.Err() == nil {
		notes := n.queue.take(64)
		if len(notes) == 0 || !n.write(ctx, notes) {
			return
		}
	}
}

// write writes notes; those that fail wait again. It tells whether any was written.
func (n *Notebook) write(ctx context.Context, notes []*note) bool {
	var wg sync.WaitGroup
	next := make(chan *note)
	var mu sync.Mutex
	done := 0
	for range min(writers, len(notes)) {
		wg.Go(func() {
			for v := range next {
				if n.writeOne(ctx, v) {
					mu.Lock()
					done++
					mu.Unlock()
				}
			}
		})
	}
	for _, v := range notes {
		next <- v
	}
	close(next)
	wg.Wait()
	return done > 0
}

func (n *Notebook) writeOne(ctx context.Context, v *note) bool {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	status, unsure, forgotten := v.take()
	if forgotten {
		return true
	}
	status.By = n.id
	err := livedoc.Update(ctx, n.store, Key(v.id), Keep, func(old []byte) ([]byte, error) {
		var stored Status
		if old != nil {
			if err := json.Unmarshal(old, &stored); err != nil {
				return nil, err
			}
		}
		return json.Marshal(status.count(unsure, &stored).merge(stored))
	})
	if err == nil {
		v.written()
		n.writes.Inc()
		return true
	}
	n.failures.Inc()
	n.log.DebugContext(ctx, "vehicle status not written", "error", err)
	if v.again() {
		n.queue.add(v, heartbeat)
	}
	return false
}

// maxUnsure bounds the writes of which a note does not know whether they took place.
const maxUnsure = 8

// take is the status to write, without counts, and the counts that may not be stored yet; new ones begin anew. There is nothing to
// write of a vehicle that was forgotten.
func (v *note) take() (_ Status, _ []counts, forgotten bool) {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	v.queued = false
	if v.forgotten {
		return Status{}, nil, true
	}
	v.seq++
	s := Status{
		Credential: v.credential, ExpiredMS: v.expiredMS, AcceptedMS: v.acceptedMS, EventMS: v.eventMS, AgeMS: v.ageMS, Seq: v.seq,
	}
	if v.kind != (unique.Handle[kind]{}) {
		k := v.kind.Value()
		s.Model, s.Software = k.model, k.software
	}
	t := v.trouble
	if t == nil {
		return s, nil, false
	}
	c := counts{v.seq, t.rejection.SinceMS, t.rejection.Count, t.limited.Count}
	if n := len(t.unsure); n == maxUnsure { // the store is away for long
		last := &t.unsure[n-1]
		last.limited += c.limited
		if last.sinceMS == c.sinceMS {
			c.rejected += last.rejected
		}
		last.seq, last.sinceMS, last.rejected = c.seq, c.sinceMS, c.rejected
	} else {
		t.unsure = append(t.unsure, c)
	}
	t.rejection.Count, t.limited.Count = 0, 0
	if t.rejection.AtMS != 0 {
		r := t.rejection
		s.Rejected = &r
	}
	if t.limited.AtMS != 0 {
		l := t.limited
		s.Limited = &l
	}
	return s, slices.Clone(t.unsure), false
}

// count adds the counts that stored does not hold yet. What is left without a count is left out: stored knows as much.
func (now Status) count(unsure []counts, stored *Status) Status {
	var rejected, limited int64
	for _, c := range unsure {
		if stored.By == now.By && c.seq <= stored.Seq {
			continue
		}
		limited += c.limited
		if now.Rejected != nil && c.sinceMS == now.Rejected.SinceMS {
			rejected += c.rejected
		}
	}
	if now.Rejected != nil {
		r := *now.Rejected
		r.Count = rejected
		now.Rejected = &r
		if rejected == 0 {
			now.Rejected = nil
		}
	}
	if now.Limited != nil {
		l := *now.Limited
		l.Count = limited
		now.Limited = &l
		if limited == 0 {
			now.Limited = nil
		}
	}
	return now
}

// written forgets the counts that are stored: all that take gave, since one write of a note follows the other.
func (v *note) written() {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	if v.trouble != nil {
		v.trouble.unsure = nil
	}
}

// again tells whether the note is to wait to be written once more: it does not already.
func (v *note) again() bool {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	again := !v.queued
	v.queued = true
	return again
}

// writeActivity adds the counts to the buckets of this moment.
func (n *Notebook) writeActivity(ctx context.Context) {
	a := n.activity.take()
	if a.empty() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now := time.Now()
	for _, s := range spans() {
		if err := a.store(ctx, n.store, s, now); err != nil {
			n.failures.Inc()
			n.log.WarnContext(ctx, "counts of vehicles not written", "error", err)
			if s == quarters { // later spans: rather a few too few than all twice
				n.activity.giveBack(a)
			}
			return
		}
	}
}
