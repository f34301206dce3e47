package vehiclestatus

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"
	"unique"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/livedoc"
)

// Config tunes a Notebook. The zero value of each field stands for its default.
type Config struct {
	// Vehicles bounds how many are remembered, each in about 150 bytes; those beyond push others out, whose next
	// request is then noted as if it was the first. Default 262,144.
	Vehicles int
	// Heartbeat is how often the status of a vehicle is written of which nothing changes but the time. Default 10 min.
	Heartbeat time.Duration
	// Repeat is how often one is written that is refused again and again. Default 30 s.
	Repeat time.Duration
	// WritesPerS bounds the writes to the live store, and so what they cost; changes go before heartbeats. Default 100.
	WritesPerS int
	// Activity is how often the counts of vehicles are written. Default 30 s.
	Activity time.Duration
	// Forget is how often it is looked up who is to be forgotten. Default 30 s, at most that: see ForgetWithin.
	Forget time.Duration
	// Drain bounds the last writes after Run's context has ended. Default 5 s.
	Drain time.Duration
}

func (c Config) withDefaults() Config {
	c.Vehicles = cmp.Or(c.Vehicles, 1<<18)
	c.Heartbeat = cmp.Or(c.Heartbeat, 10*time.Minute)
	c.Repeat = cmp.Or(c.Repeat, 30*time.Second)
	c.WritesPerS = cmp.Or(c.WritesPerS, 100)
	c.Activity = cmp.Or(c.Activity, 30*time.Second)
	c.Forget = cmp.Or(c.Forget, 30*time.Second)
	c.Drain = cmp.Or(c.Drain, 5*time.Second)
	return c
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	c = c.withDefaults()
	for _, f := range []struct {
		name   string
		v, lo  time.Duration
		atMost time.Duration
	}{
		{"heartbeat", c.Heartbeat, time.Second, 24 * time.Hour},
		{"repeat", c.Repeat, time.Second, time.Hour},
		{"activity", c.Activity, 10 * time.Millisecond, 10 * time.Minute},
		{"forget", c.Forget, 10 * time.Millisecond, 30 * time.Second},
		{"drain", c.Drain, time.Millisecond, time.Minute},
	} {
		if f.v < f.lo || f.v > f.atMost {
			return fmt.Errorf("vehicle status: %s %v: expected %v to %v", f.name, f.v, f.lo, f.atMost)
		}
	}
	if c.Vehicles < shards || c.Vehicles > 1<<26 {
		return fmt.Errorf("vehicle status: vehicles %d: expected %d to %d", c.Vehicles, shards, 1<<26)
	}
	if c.WritesPerS < 1 || c.WritesPerS > 100_000 {
		return fmt.Errorf("vehicle status: writes per s %d: expected 1 to 100,000", c.WritesPerS)
	}
	return nil
}

// Hasher names vehicles: *keyring.Ring.
type Hasher interface {
	StatusID(vehicle string) [16]byte
}

// Deps are what a Notebook works with. All are required.
type Deps struct {
	Store      livedoc.Store
	Hasher     Hasher
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Seen is what a request tells of its vehicle, beside what became of it.
type Seen struct {
	At         time.Time
	Credential string // as in Status; one of few constants
	EventMS    int64  // time of the newest sample; 0 if the batch could not be read
	MedianMS   int64  // of the median sample
	Model      string
	Software   string
}

// Refusal says why a request was refused.
type Refusal struct {
	Reason, Pointer, Expected string
}

// shards spreads the locks. A power of two.
const shards = 64

// Notebook notes what becomes of vehicles' requests and writes it to the live store in the background. Its noting methods
// never wait for a store; they may be called by any number of goroutines, also before Run and after it.
type Notebook struct {
	cfg    Config
	store  livedoc.Store
	hasher Hasher
	log    *slog.Logger

	id        string       // of this run
	forgotten map[ID]int64 // those that were, and when; of the goroutine in Run
	seed      maphash.Seed
	shards    [shards]shard

	queue    queue
	activity counters

	writes, failures prometheus.Counter
}

type shard struct {
	mu    sync.Mutex
	notes map[uint64]*note // by a hash of the vehicle's id
	_     [40]byte         // shards on separate cache lines
}

type kind struct{ model, software string }

// note is what is known of a vehicle, its counts since the last write. Its shard's lock guards it, but for id.
type note struct {
	id         ID
	shard      *shard
	credential string
	kind       unique.Handle[kind]
	acceptedMS int64
	eventMS    int64
	ageMS      int64
	expiredMS  int64
	writtenMS  int64 // when it was last given to be written
	quarter    int64 // in which it was last counted
	seq        uint32
	trouble    *trouble
	queued     bool
	forgotten  bool // it is in no shard any more, and never to be written
	bad        bool // the last request was refused
}

// trouble is what most vehicles never have.
type trouble struct {
	rejection Rejection // Count since it was last given to be written
	limited   RateLimited
	unsure    []counts // given to be written, and not known to be, by seq
}

// counts are those of one write.
type counts struct {
	seq               uint32
	sinceMS           int64 // of the row of refusals
	rejected, limited int64
}

// New makes a Notebook; Run writes.
func New(cfg Config, d Deps) (*Notebook, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if d.Store == nil || d.Hasher == nil || d.Logger == nil || d.Registerer == nil {
		return nil, errors.New("vehicle status: Store, Hasher, Logger and Registerer are required")
	}
	n := &Notebook{
		cfg: cfg.withDefaults(), store: d.Store, hasher: d.Hasher, log: d.Logger, id: rand.Text()[:10], seed: maphash.MakeSeed(),
		writes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "carasso_vehicle_status_writes_total", Help: "Statuses of vehicles written to the live store.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "carasso_vehicle_status_errors_total", Help: "Statuses of vehicles that could not be written; they are tried again.",
		}),
	}
	for i := range n.shards {
		n.shards[i].notes = make(map[uint64]*note)
	}
	for _, c := range []prometheus.Collector{n.writes, n.failures} {
		if err := d.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("vehicle status metrics: %w", err)
		}
	}
	return n, nil
}

// edit finds the vehicle's note, makes it if need be, and changes it. change returns how it is to be written.
func (n *Notebook) edit(vehicle string, atMS int64, change func(*note) urgency) {
	h := maphash.String(n.seed, vehicle)
	s := &n.shards[h%shards]
	s.mu.Lock()
	v, ok := s.notes[h]
	if !ok {
		if len(s.notes) >= n.cfg.Vehicles/shards {
			s.makeRoom()
		}
		v = &note{id: n.hasher.StatusID(vehicle), shard: s}
		s.notes[h] = v
	}
	u := change(v)
	if !ok {
		u = max(u, heartbeat)
	}
	if u == nothing || v.queued {
		s.mu.Unlock()
		return
	}
	v.queued, v.writtenMS = true, atMS
	s.mu.Unlock()
	n.queue.add(v, u)
}

// roomScan is how many notes a full shard looks at for one to forget.
const roomScan = 8

// makeRoom forgets that of a few random notes which was accepted longest ago and does not wait to be written.
func (s *shard) makeRoom() {
	var victim uint64
	best, seen := int64(-1), 0
	for h, v := range s.notes {
		if !v.queued && (best < 0 || v.acceptedMS < best) {
			victim, best = h, v.acceptedMS
		}
		if seen++; seen >= roomScan && best >= 0 {
			break
		}
	}
	delete(s.notes, victim)
}

// Accepted notes a batch that the queue has.
func (n *Notebook) Accepted(vehicle string, seen Seen) {
	at := seen.At.UnixMilli()
	n.edit(vehicle, at, func(v *note) urgency {
		was := v.bad || v.expiredMS != 0
		v.bad, v.expiredMS = false, 0
		if at >= v.acceptedMS {
			v.acceptedMS, v.eventMS = at, seen.EventMS
		}
		n.look(v, seen, at)
		switch {
		case was:
			return change
		case at-v.writtenMS >= n.cfg.Heartbeat.Milliseconds():
			return heartbeat
		default:
			return nothing
		}
	})
}

// look notes what a request tells of its vehicle, and counts it.
func (n *Notebook) look(v *note, seen Seen, atMS int64) {
	v.credential = seen.Credential
	if seen.EventMS != 0 {
		v.ageMS = atMS - seen.MedianMS
		// The batch's strings must not be kept: they hold on to a block of others.
		if k := (kind{seen.Model, seen.Software}); v.kind == (unique.Handle[kind]{}) || v.kind.Value() != k {
			v.kind = unique.Make(k)
		}
	}
	if quarter := atMS / quarters.length.Milliseconds(); quarter != v.quarter {
		v.quarter = quarter
		n.activity.see(v.id)
	}
}

// Rejected notes a request that was refused.
func (n *Notebook) Rejected(vehicle string, seen Seen, why Refusal) {
	at := seen.At.UnixMilli()
	n.activity.refuse(why.Reason)
	n.edit(vehicle, at, func(v *note) urgency {
		v.expiredMS = 0
		n.look(v, seen, at)
		return n.refuse(v, at, why)
	})
}

func (n *Notebook) refuse(v *note, at int64, why Refusal) urgency {
	if v.trouble == nil {
		v.trouble = &trouble{}
	}
	r := &v.trouble.rejection
	news := !v.bad || r.Reason != why.Reason
	if !v.bad {
		*r = Rejection{SinceMS: at}
	}
	v.bad = true
	r.AtMS, r.Reason, r.Pointer, r.Expected = at, why.Reason, why.Pointer, why.Expected
	r.Count++
	switch {
	case news:
		return change
	case at-v.writtenMS >= n.cfg.Repeat.Milliseconds():
		return heartbeat
	default:
		return nothing
	}
}

// ReasonExpired is the Refusal of a token that had expired.
const ReasonExpired = "credential-expired"

// Expired notes a request with a token that was good until since.
func (n *Notebook) Expired(vehicle string, seen Seen, since time.Time) {
	at := seen.At.UnixMilli()
	n.activity.refuse(ReasonExpired)
	n.edit(vehicle, at, func(v *note) urgency {
		v.credential, v.expiredMS = seen.Credential, since.UnixMilli()
		return n.refuse(v, at, Refusal{Reason: ReasonExpired, Expected: "a token that has not expired"})
	})
}

// ReasonRateLimited counts requests that came too often.
const ReasonRateLimited = "rate-limited"

// RateLimited notes a request that came too soon after others. It is no Rejection: those before it were accepted.
func (n *Notebook) RateLimited(vehicle string, at time.Time) {
	ms := at.UnixMilli()
	n.activity.refuse(ReasonRateLimited)
	n.edit(vehicle, ms, func(v *note) urgency {
		if v.trouble == nil {
			v.trouble = &trouble{}
		}
		l := &v.trouble.limited
		news := ms-l.AtMS >= time.Minute.Milliseconds()
		l.AtMS, l.Count = ms, l.Count+1
		switch {
		case news:
			return change
		case ms-v.writtenMS >= n.cfg.Repeat.Milliseconds():
			return heartbeat
		default:
			return nothing
		}
	})
}
