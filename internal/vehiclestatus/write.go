package vehiclestatus

import (
	"context"
	"encoding/json"
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
	for {
		select {
		case <-ctx.Done():
			n.drain(ctx)
			return nil
		case <-tick.C:
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
	status := v.take()
	err := livedoc.Update(ctx, n.store, Key(v.id), Keep, func(old []byte) ([]byte, error) {
		var stored Status
		if old != nil {
			if err := json.Unmarshal(old, &stored); err != nil {
				return nil, err
			}
		}
		return json.Marshal(status.merge(stored))
	})
	if err == nil {
		n.writes.Inc()
		return true
	}
	n.failures.Inc()
	n.log.DebugContext(ctx, "vehicle status not written", "error", err)
	if v.giveBack(&status) {
		n.queue.add(v, heartbeat)
	}
	return false
}

// take is the status to write; the counts begin anew.
func (v *note) take() Status {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	v.queued = false
	s := Status{Credential: v.credential, ExpiredMS: v.expiredMS, AcceptedMS: v.acceptedMS, EventMS: v.eventMS, AgeMS: v.ageMS}
	if v.kind != (unique.Handle[kind]{}) {
		k := v.kind.Value()
		s.Model, s.Software = k.model, k.software
	}
	if t := v.trouble; t != nil {
		if t.rejection.Count > 0 {
			r := t.rejection
			s.Rejected = &r
			t.rejection.Count = 0
		}
		if t.limited.Count > 0 {
			l := t.limited
			s.Limited = &l
			t.limited.Count = 0
		}
	}
	return s
}

// giveBack adds the counts of a status that could not be written, and tells whether the note is to wait again.
func (v *note) giveBack(s *Status) bool {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	if s.Rejected != nil && v.trouble.rejection.SinceMS == s.Rejected.SinceMS {
		v.trouble.rejection.Count += s.Rejected.Count
	}
	if s.Limited != nil {
		v.trouble.limited.Count += s.Limited.Count
	}
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
