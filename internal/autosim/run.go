package autosim

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/carasso/carasso/internal/scaling"
)

// Minute is one point of the course.
type Minute struct {
	At       time.Duration // of its end
	Made     float64       // batches a second that cars made
	Sent     float64       // that they sent, with those again
	Accepted float64
	Held     int64 // batches that cars keep to send again
	Backlog  int64 // envelopes, at most
	Age      float64
	Busy     float64 // share of workers' time
	// Tasks that run, on average.
	Receivers, Workers float64
	USD                float64 // since the start
}

// Change is a decision of autoscaling.
type Change struct {
	At       time.Duration
	Service  string
	From, To int
	Why      string
}

// Totals are of batches. Made = Held + Accepted, and Accepted = Handled + Queued, at every second.
type Totals struct{ Made, Held, Accepted, Handled, Queued int64 }

// Result is a simulation's output.
type Result struct {
	Minutes []Minute
	Changes []Change
	Totals  Totals

	// Over is for how long the oldest message was older than the target, LongestOver without a break; OverMinute, older than a minute.
	Over, LongestOver, OverMinute time.Duration
	WorstAge                      time.Duration
	WorstBacklog                  int64 // envelopes
	WorstHeld                     int64 // batches
	// Refused are requests that receivers had no room for.
	Refused int64
	// AtMax is for how long as many tasks as allowed were wished for.
	WorkersAtMax, ReceiversAtMax time.Duration
	PeakWorkers, PeakReceivers   int
	PeakSent                     float64 // batches a second, over a minute
	Envelopes                    int64
	WorkerHours, ReceiverHours   float64
	USD                          float64
}

// Holds says whether the age target held.
func (r *Result) Holds() bool { return r.Over == 0 }

type event struct {
	at, seq int
	do      func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

type sim struct {
	cfg    Config
	rng    *rand.Rand
	now    int // second
	events events
	seq    int

	receivers, workers tasks
	queue              queue
	ingestAway         bool
	workersAway        bool

	minute struct {
		made, sent, accepted float64
		backlog              int64
		age                  int
		receivers, workers   int
		used, capacity       float64
	}
	over int     // seconds without a break
	part float64 // of a batch that is made evenly
	res  Result
}

// Run simulates. It is a function of its configuration alone. Errors: of validation, and the context's.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &sim{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0xca4a550))}
	s.receivers = tasks{Service: cfg.Receivers, name: "receivers", running: cfg.Receivers.Min, desired: cfg.Receivers.Min}
	s.receivers.policies = []*tracking{{name: "requests per receiver", target: scaling.ReceiverRequestsPerS * 60}}
	s.workers = tasks{Service: cfg.Workers, name: "workers", running: cfg.Workers.Min, desired: cfg.Workers.Min, steps: &stepping{}}
	s.workers.policies = []*tracking{{name: "backlog per worker", target: scaling.AllowedBacklog}}
	if cfg.WorkerCPU > 0 {
		s.workers.policies = append(s.workers.policies, &tracking{name: "workers' processors", target: cfg.WorkerCPU})
	}
	if o := cfg.Outage; o.For > 0 {
		set := func(away bool) func() {
			return func() {
				if o.Of == OutageOfIngest {
					s.ingestAway = away
				} else {
					s.workersAway = away
				}
			}
		}
		s.at(seconds(o.At), set(true))
		s.at(seconds(o.At+o.For), set(false))
	}
	for end := seconds(cfg.Duration); s.now < end; s.now++ {
		if s.now%3600 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for len(s.events) > 0 && s.events[0].at <= s.now {
			heap.Pop(&s.events).(event).do()
		}
		s.second()
		if (s.now+1)%60 == 0 {
			s.publish()
		}
	}
	r := &s.res
	r.Totals.Queued = s.queue.batches
	r.WorkerHours, r.ReceiverHours = s.workers.billed/3600, s.receivers.billed/3600
	r.USD = s.usd()
	return r, nil
}

func seconds(d time.Duration) int { return int(d / time.Second) }

func (s *sim) at(second int, do func()) {
	s.seq++
	heap.Push(&s.events, event{second, s.seq, do})
}

// second lets cars send, receivers accept and workers handle.
func (s *sim) second() {
	r, m := &s.res, &s.minute
	rate := s.cfg.Demand(time.Duration(s.now) * time.Second)
	made := s.make(rate)
	r.Totals.Made += made
	again := min(r.Totals.Held, int64(math.Ceil(s.cfg.Resend*rate)))
	offered := made + again
	accepted := offered
	if room := int64(float64(s.receivers.running) * s.receivers.PerTask); offered > room {
		accepted = room
		if !s.ingestAway {
			r.Refused += offered - room
		}
	}
	if s.ingestAway {
		offered, accepted = 0, 0
	}
	r.Totals.Held += made - accepted
	r.Totals.Accepted += accepted
	r.WorstHeld = max(r.WorstHeld, r.Totals.Held)

	if accepted > 0 {
		// A receiver's envelope is open for the linger after its first batch, or until it is full.
		each := min(s.cfg.BatchesPerEnvelope, 1+s.cfg.Linger.Seconds()*float64(accepted)/float64(s.receivers.running))
		envelopes := min(accepted, int64(math.Ceil(float64(accepted)/each)))
		r.Envelopes += envelopes
		s.queue.put(parcel{at: s.now, envelopes: envelopes, batches: accepted})
	}
	capacity := float64(s.workers.running) * s.workers.PerTask
	var used float64
	if !s.workersAway {
		before := s.queue.batches
		used, s.workers.work = s.queue.take(capacity + s.workers.work)
		r.Totals.Handled += before - s.queue.batches
		if s.queue.batches == 0 {
			s.workers.work = 0 // what is not used while nothing waits is lost
		}
	}

	age := s.queue.age(s.now + 1)
	s.judgeAge(age)
	for _, t := range []*tasks{&s.receivers, &s.workers} {
		t.billed += float64(t.running + t.starting + t.stopping)
	}
	if s.workers.desired == s.workers.Max {
		r.WorkersAtMax += time.Second
	}
	if s.receivers.desired == s.receivers.Max {
		r.ReceiversAtMax += time.Second
	}
	r.PeakWorkers, r.PeakReceivers = max(r.PeakWorkers, s.workers.running), max(r.PeakReceivers, s.receivers.running)
	r.WorstBacklog = max(r.WorstBacklog, s.queue.envelopes)

	m.made, m.sent, m.accepted = m.made+float64(made), m.sent+float64(offered), m.accepted+float64(accepted)
	m.backlog, m.age = max(m.backlog, s.queue.envelopes), max(m.age, age)
	m.receivers, m.workers = m.receivers+s.receivers.running, m.workers+s.workers.running
	m.used, m.capacity = m.used+used, m.capacity+capacity
}

// make is how many batches cars make in this second.
func (s *sim) make(rate float64) int64 {
	if !s.cfg.Even {
		return poisson(s.rng, rate)
	}
	whole, part := math.Modf(s.part + max(0, rate))
	s.part = part
	return int64(whole)
}

func (s *sim) judgeAge(age int) {
	r := &s.res
	d := time.Duration(age) * time.Second
	r.WorstAge = max(r.WorstAge, d)
	if d > time.Minute {
		r.OverMinute += time.Second
	}
	if d <= s.cfg.AgeTarget {
		s.over = 0
		return
	}
	s.over++
	r.Over += time.Second
	r.LongestOver = max(r.LongestOver, time.Duration(s.over)*time.Second)
}

func (s *sim) usd() float64 {
	return s.workers.billed/3600*s.workers.USDPerHour + s.receivers.billed/3600*s.receivers.USDPerHour
}

// publish ends a minute: its metrics are evaluated when they have arrived.
func (s *sim) publish() {
	m := s.minute
	s.minute = struct {
		made, sent, accepted float64
		backlog              int64
		age                  int
		receivers, workers   int
		used, capacity       float64
	}{}
	busy := 0.0
	if m.capacity > 0 {
		busy = m.used / m.capacity
	}
	workers, receivers := float64(m.workers)/60, float64(m.receivers)/60
	s.res.Minutes = append(s.res.Minutes, Minute{
		At: time.Duration(s.now+1) * time.Second, Made: m.made / 60, Sent: m.sent / 60, Accepted: m.accepted / 60, Held: s.res.Totals.Held,
		Backlog: m.backlog, Age: float64(m.age), Busy: busy, Receivers: receivers, Workers: workers, USD: s.usd(),
	})
	s.res.PeakSent = max(s.res.PeakSent, m.sent/60)
	s.at(s.now+1+seconds(s.cfg.Delays.Metric), func() {
		s.receivers.policies[0].add(point{m.sent / max(receivers, 1), receivers})
		s.workers.policies[0].add(point{float64(m.backlog) / max(workers, 1), workers})
		if len(s.workers.policies) > 1 {
			s.workers.policies[1].add(point{100 * busy, workers})
		}
		s.step(time.Duration(m.age) * time.Second)
		s.track(&s.receivers)
		s.track(&s.workers)
	})
}
