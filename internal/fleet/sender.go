package fleet

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// How failed requests are repeated.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 5 * time.Second
)

// sender posts jobs over a bounded pool of connections until each is settled: accepted,
// rejected for good, or given up. All its methods are safe for concurrent use.
type sender struct {
	dialer  *dialer
	timeout time.Duration
	started time.Time
	max     int // connections
	jobs    int // jobs at most

	bytes     atomic.Int64
	latencies histogram
	wg        sync.WaitGroup

	mu      sync.Mutex
	ready   fifo
	waiting delayed
	idle    []*connection // the last used is used next: few warm connections
	opened  int
	live    map[net.Conn]struct{}
	free    []*job
	made    int // jobs, free ones included
	busy    int // requests in flight
	stopped bool
	rest    *sync.Cond // a connection became idle while stopped
	record  *record    // nil = not kept
	counts  Counts
}

// Counts are what happened to the batches so far.
type Counts struct {
	Batches    int64         // made by the simulation
	Accepted   int64         // batches, each once
	Samples    int64         // counted samples of those
	Duplicates int64         // further acceptances of batches sent again on purpose
	Retries    int64         // requests repeated after 5xx, 429 or a broken connection
	Refused    map[int]int64 // answers with a status worth a retry, by status
	Rejected   map[int]int64 // batches refused for good, by status
	Broken     int64         // requests without an answer
	Unsettled  int64         // batches given up at the deadline without ever being answered 202
	Ambiguous  int64         // of those, the ones that may have been accepted all the same
}

// connection is one goroutine with at most one open connection.
type connection struct {
	work chan send // capacity 1
	http exchange
}

func newSender(cfg Config, d *dialer, started time.Time, r *record) *sender {
	s := &sender{
		dialer: d, timeout: cfg.Timeout, started: started, max: cfg.MaxConns, jobs: cfg.MaxBuffered, record: r,
		live:   make(map[net.Conn]struct{}),
		counts: Counts{Refused: make(map[int]int64), Rejected: make(map[int]int64)},
	}
	s.rest = sync.NewCond(&s.mu)
	return s
}

// take is a job to fill, or nil when as many are under way as may be.
func (s *sender) take() *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready.len() >= s.max {
		return nil
	}
	if n := len(s.free); n > 0 {
		j := s.free[n-1]
		s.free = s.free[:n-1]
		return j
	}
	if s.made >= s.jobs {
		s.waiting.hasten() // better early online than too many held back
		return nil
	}
	s.made++
	return &job{}
}

// giveBack returns a job that was not submitted.
func (s *sender) giveBack(j *job) {
	s.mu.Lock()
	s.free = append(s.free, j)
	s.mu.Unlock()
}

// submit sends a job copies times, at once or later.
func (s *sender) submit(ctx context.Context, j *job, copies int, at time.Duration) {
	j.sends, j.accepted, j.ambiguous = copies, false, false
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Batches++
	for range copies {
		if at > 0 {
			s.waiting.add(send{job: j}, at)
		} else {
			s.ready.push(send{job: j})
		}
	}
	s.dispatch(ctx)
}

// pump moves what is due to the connections and says when the next one is due, if any.
func (s *sender) pump(ctx context.Context) (next time.Duration, ok bool) {
	now := time.Since(s.started)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		w, due := s.waiting.due(now)
		if !due {
			break
		}
		s.ready.push(w)
	}
	s.dispatch(ctx)
	if len(s.waiting) == 0 {
		return 0, false
	}
	return s.waiting[0].at, true
}

// dispatch hands ready sends to idle connections, opening new ones as long as it may.
func (s *sender) dispatch(ctx context.Context) {
	for s.ready.len() > 0 && !s.stopped {
		var c *connection
		switch n := len(s.idle); {
		case n > 0:
			c = s.idle[n-1]
			s.idle = s.idle[:n-1]
		case s.opened < s.max:
			s.opened++
			c = &connection{work: make(chan send, 1), http: exchange{timeout: s.timeout}}
			s.wg.Go(func() { s.serve(ctx, c) })
		default:
			return
		}
		w, _ := s.ready.pop()
		s.busy++
		c.work <- w
	}
}

// serve is a connection's life.
func (s *sender) serve(ctx context.Context, c *connection) {
	defer s.hangUp(c)
	for w := range c.work {
		for ok := true; ok; {
			a, sent, err := s.post(ctx, c, w.job.request)
			w, ok = s.settle(c, w, a, sent, err)
		}
	}
}

// post makes one request. sent says whether the server may have got it, error or not.
func (s *sender) post(ctx context.Context, c *connection, request []byte) (a answer, sent bool, err error) {
	if c.http.conn == nil {
		conn, err := s.dialer.dial(ctx)
		if err != nil {
			return a, false, err
		}
		if !s.adopt(conn) {
			_ = conn.Close()
			return a, false, net.ErrClosed
		}
		c.http.conn, c.http.deadline = conn, time.Time{}
	}
	begin := time.Now()
	a, err = c.http.post(request, begin)
	s.bytes.Add(int64(len(request)))
	if err == nil {
		s.latencies.add(time.Since(begin))
	}
	if err != nil || a.close {
		s.hangUp(c)
	}
	return a, true, err
}

// adopt remembers an open connection so that close can close it.
func (s *sender) adopt(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.live[conn] = struct{}{}
	return true
}

func (s *sender) hangUp(c *connection) {
	if c.http.conn == nil {
		return
	}
	s.mu.Lock()
	delete(s.live, c.http.conn)
	s.mu.Unlock()
	_ = c.http.conn.Close() // it is broken or told to be closed
	c.http.conn = nil
}

// settle books a request's outcome and gives the connection its next one, if there is
// one; else the connection is idle.
func (s *sender) settle(c *connection, w send, a answer, sent bool, err error) (next send, ok bool) {
	now := time.Since(s.started)
	s.mu.Lock()
	defer s.mu.Unlock()
	j := w.job
	switch {
	case err != nil:
		s.counts.Broken++
		j.ambiguous = j.ambiguous || sent
		s.again(w, now, 0)
	case a.status == http.StatusAccepted:
		s.accept(j, now)
	case retryable(a.status):
		s.counts.Refused[a.status]++
		s.again(w, now, a.retryAfter)
	default:
		s.counts.Rejected[a.status]++
		s.done(j)
	}
	if next, ok = s.ready.pop(); ok {
		return next, true
	}
	s.busy--
	s.idle = append(s.idle, c)
	if s.stopped {
		s.rest.Signal()
	}
	return send{}, false
}

// retryable reports whether a status means: the same batch may be accepted later.
func retryable(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

func (s *sender) accept(j *job, now time.Duration) {
	if j.accepted {
		s.counts.Duplicates++
		s.done(j)
		return
	}
	j.accepted = true
	s.counts.Accepted++
	s.counts.Samples += int64(len(j.truth))
	if s.record != nil {
		s.record.accept(j.id, j.vehicle, j.truth)
	}
	if j.again < 0 {
		s.done(j)
		return
	}
	s.waiting.add(send{job: j}, now+j.again)
	j.again = -1
}

// again repeats a request with exponential backoff and jitter, not before the server
// wants it. The batch keeps its id, so that it counts once.
func (s *sender) again(w send, now, atLeast time.Duration) {
	s.counts.Retries++
	backoff := min(backoffMin<<min(w.attempt, 10), backoffMax)
	wait := max(backoff/2+rand.N(backoff), atLeast+rand.N(atLeast/4+1))
	s.waiting.add(send{job: w.job, attempt: w.attempt + 1}, now+wait)
}

func (s *sender) done(j *job) {
	if j.sends--; j.sends == 0 {
		s.free = append(s.free, j)
	}
}

// hasten lets all vehicles come online and all duplicates go out now.
func (s *sender) hasten() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.hasten()
}

// pending is the number of jobs that are not settled.
func (s *sender) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made - len(s.free)
}

// snapshot is the counts at an instant and the requests in flight.
func (s *sender) snapshot() (c Counts, inFlight, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.counts
	c.Refused, c.Rejected = maps.Clone(c.Refused), maps.Clone(c.Rejected)
	return c, s.busy, len(s.waiting) + s.ready.len()
}

// close breaks all connections, waits for their goroutines and counts what was not
// settled. The context given to the other methods must have ended, so that none of them
// dials any more; none but snapshot may be called afterwards.
func (s *sender) close() {
	s.mu.Lock()
	defer s.wg.Wait()
	defer s.mu.Unlock()
	s.stopped = true
	for conn := range s.live {
		_ = conn.Close() // its goroutine sees the error, and comes to rest
	}
	unsettled := make(map[*job]struct{})
	for w, ok := s.ready.pop(); ok; w, ok = s.ready.pop() {
		unsettled[w.job] = struct{}{}
	}
	for len(s.idle) < s.opened {
		s.rest.Wait()
	}
	for _, c := range s.idle {
		close(c.work)
	}
	for _, w := range s.waiting {
		unsettled[w.job] = struct{}{}
	}
	for j := range unsettled {
		if !j.accepted {
			s.counts.Unsettled++
			if j.ambiguous {
				s.counts.Ambiguous++
			}
		}
	}
}

// fill copies an upload into a job.
func (j *job) fill(u *Upload, request []byte) {
	j.request = request
	j.truth = append(j.truth[:0], u.Truth...)
	j.id, j.vehicle, j.again = u.Batch.ID, u.Vehicle, u.AgainIn
}
