package fleet

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// Simulation drives all vehicles. Their turns to report come round robin, evenly
// spread over the period of a batch: regular turn k is vehicle k mod Vehicles, and is due
// at Due(k). A vehicle that notices a hazard gets a further turn at that moment, with what
// it gathered so far. It is not safe for concurrent use.
type Simulation struct {
	cfg    Config
	net    *Network
	routes *routes
	world  *world
	closed []bool // by arc; nil: none
	cars   []car

	startMS       int64
	slotNS        float64
	intervalMS    float64
	decay         float32 // of the position's error over one sample interval
	drive1        float32 // what is drawn anew to keep its variance
	e7PerMetreLat float32

	now        conditions
	nowUntil   int64
	wet, night bool      // what factor and kmh are for
	factor     []float32 // by arc: world's, under these conditions
	kmh        []uint8   // by arc: the limit posted, under these conditions; 0 = none

	turn   int64       // the next regular one
	extra  []extraTurn // the next one last
	faults []fault

	batch        telemetry.Batch
	truth        []Truth
	scratch      telemetry.Batch
	scratchTruth []Truth
	memory       []telemetry.Sample // the last LeadIn samples by car
}

// Truth is what a counted sample should be counted as.
type Truth struct {
	TimeMS    int64  // event time, Unix ms
	Arc       int32  // of the Network: where the vehicle really is
	On        int32  // the arc that the speed counts for: in a junction the one that led to it
	SpeedCMPS uint16 // as reported
	Astray    bool   // the vehicle's position is not to be trusted: it may be counted elsewhere
}

// Upload is what a vehicle has to send at its turn. Its slices and Batch are valid until the next turn.
type Upload struct {
	Vehicle int
	Batch   *telemetry.Batch
	Truth   []Truth       // one for each counted sample, in order
	HoldFor time.Duration // the vehicle is offline for so long from Due on; then it sends this
	Copies  int           // to be sent so many times at once; 1 = normally
	AgainIn time.Duration // to be sent again so long after it was accepted; < 0 = not
	DueMS   int64         // Unix ms
}

// NewSimulation places the vehicles on the network. It starts at startMS, Unix ms.
func NewSimulation(cfg Config, n *Network, start time.Time) (*Simulation, error) {
	if err := cfg.validateSimulation(); err != nil {
		return nil, err
	}
	interval := cfg.interval()
	closed := n.closed(cfg.Closed)
	s := &Simulation{
		cfg: cfg, net: n,
		routes:        newRoutes(n, cfg.Destinations, cfg.Seed, closed),
		closed:        closed,
		world:         newWorld(n, &cfg),
		cars:          make([]car, cfg.Vehicles),
		startMS:       start.UnixMilli(),
		intervalMS:    float64(interval) / 1e6,
		slotNS:        float64(interval) * float64(cfg.BatchSize) / float64(cfg.Vehicles),
		e7PerMetreLat: float32(1 / geo.MetresPerE7),
		memory:        make([]telemetry.Sample, cfg.Vehicles*cfg.LeadIn),
		nowUntil:      -1,
	}
	if cfg.GPSTau > 0 {
		s.decay = float32(math.Exp(-interval.Seconds() / cfg.GPSTau.Seconds()))
	}
	s.drive1 = float32(cfg.GPSSigmaM * math.Sqrt(1-float64(s.decay)*float64(s.decay)))
	s.factor, s.kmh = slices.Clone(s.world.factor), slices.Clone(s.world.posted.kmh)
	s.refresh(0)
	for i := range s.cars {
		s.place(i)
	}
	return s, nil
}

// place starts car i somewhere on the network, on its way.
func (s *Simulation) place(i int) {
	c := &s.cars[i]
	c.rng = rng(mix(s.cfg.Seed ^ purposeCar<<56 ^ uint64(i)<<8))
	c.arc = s.net.draw(c.rng.float())
	for s.closed != nil && s.closed[c.arc] {
		c.arc = s.net.draw(c.rng.float())
	}
	c.offsetM = s.net.arcs[c.arc].lengthM * float32(c.rng.float()) * 0.99
	g1, g2, g3, _, _ := c.rng.gauss5()
	c.errEastM, c.errNorthM = float32(s.cfg.GPSSigmaM)*g1, float32(s.cfg.GPSSigmaM)*g2
	c.driver = 1 + 0.06*g3
	c.model = uint8(c.rng.intn(256))
	due := s.DueMS(int64(i))
	c.simulated = due - int64(s.intervalMS*float64(s.cfg.BatchSize))
	s.depart(c, c.simulated)
	c.tripStart -= int64(c.rng.float() * 600_000)
	c.speedMPS = s.target(c, c.arc)
	s.break1(i)
	if c.rng.chance(s.cfg.ParkedShare) { // so that the rate is right from the start
		c.speedMPS, c.tripStart = 0, c.simulated
		c.parkedUntil = 1 + int64(c.rng.float()*60_000)
	}
}

// VehicleID names vehicle i of a fleet.
func VehicleID(seed uint64, i int) string {
	return "sim-" + strconv.FormatUint(seed, 10) + "-" + fmt.Sprintf("%06d", i)
}

// DueMS is when turn k is due, in ms after the start.
func (s *Simulation) DueMS(k int64) int64 { return int64(float64(k+1) * s.slotNS / 1e6) }

// Due is when turn k is due, after the start.
func (s *Simulation) Due(k int64) time.Duration { return time.Duration(float64(k+1) * s.slotNS) }

func (s *Simulation) refresh(ms int64) {
	if ms < s.nowUntil {
		return
	}
	s.now = s.world.conditions(s.startMS, ms)
	s.nowUntil = ms + 1000
	s.follow(s.now)
}

// report simulates what vehicle i, whose next regular turn is due at due, did up to ms, and
// fills r. It returns false when it was parked all the time.
func (s *Simulation) report(i int, due, ms int64, r *Upload) bool {
	c := &s.cars[i]
	s.refresh(ms)
	s.batch.Reset()
	s.truth = s.truth[:0]
	if c.parkedUntil > 0 {
		if c.parkedUntil > ms-int64(s.intervalMS) {
			c.simulated = ms
			return false
		}
		if c.simulated < c.parkedUntil {
			c.simulated = c.parkedUntil
		}
		s.depart(c, c.simulated)
	}
	lead := int(c.leadIn)
	memory := s.memory[i*s.cfg.LeadIn : (i+1)*s.cfg.LeadIn]
	s.batch.Samples = append(s.batch.Samples, memory[s.cfg.LeadIn-lead:]...)
	s.batch.LeadIn = lead
	arrived := s.driveOn(c, due, ms)
	if len(s.truth) == 0 {
		c.simulated = ms
		return false
	}
	s.remember(c, memory)
	last := c.simulated
	s.identify(c, i, last, arrived)
	if arrived {
		s.park(c, last)
		c.simulated = ms
	}
	r.Vehicle, r.Batch, r.Truth, r.DueMS = i, &s.batch, s.truth, s.startMS+ms
	s.misbehave(c, r, ms)
	return true
}

// driveOn drives the car up to ms and samples on the way, at the instants that end with
// its next regular turn at due.
func (s *Simulation) driveOn(c *car, due, ms int64) (arrived bool) {
	astray := c.fault != 0 && s.faults[c.fault-1].kind.astray()
	for n := s.cfg.BatchSize - 1; n >= 0 && !arrived; n-- {
		at := due - int64(float64(n)*s.intervalMS)
		if at > ms {
			break
		}
		if at <= c.simulated {
			continue
		}
		before := c.speedMPS
		step := float32(at-c.simulated) / 1000
		for step > 0 && !arrived {
			dt := min(step, 1)
			step -= dt
			arrived = s.drive(c, dt, at-int64(step*1000))
		}
		brake := (before - c.speedMPS) / (float32(at-c.simulated) / 1000)
		c.simulated = at
		s.sample(c, at, brake)
		o := &s.batch.Samples[len(s.batch.Samples)-1]
		s.truth = append(s.truth, Truth{TimeMS: o.T, Arc: c.arc, On: s.on(c), SpeedCMPS: o.SpeedCMPS, Astray: astray})
	}
	return arrived
}

// remember keeps the end of the batch as the next one's lead-in.
func (s *Simulation) remember(c *car, memory []telemetry.Sample) {
	if len(memory) == 0 {
		return
	}
	all := s.batch.Samples
	keep := min(len(all), len(memory))
	copy(memory[len(memory)-keep:], all[len(all)-keep:])
	c.leadIn = uint8(keep)
}

// identify gives the batch its names.
func (s *Simulation) identify(c *car, i int, ms int64, final bool) {
	m := &models[c.model%uint8(len(models))]
	s.batch.Vehicle = telemetry.Vehicle{Model: m.name, Software: m.software[c.model/uint8(len(models))%3]}
	s.batch.Trip = telemetry.Trip{
		ID:       s.tripID(i, c.trip),
		ElapsedS: uint32(max(ms-c.tripStart, 0) / 1000),
		Final:    final,
	}
	if s.cfg.Gateway {
		s.batch.VehicleID = VehicleID(s.cfg.Seed, i)
	}
	s.batch.ID = batchID(s.startMS+ms+s.skew(c), s.cfg.Seed, i, c.batches)
	c.batches++
}

func (s *Simulation) tripID(i int, trip uint32) string {
	var b [32]byte
	out := append(b[:0], 't')
	out = strconv.AppendUint(out, mix(s.cfg.Seed^uint64(i)<<24^uint64(trip)), 36)
	return string(out)
}

// batchID is a UUIDv7 (RFC 9562) whose random part depends on seed, vehicle and number.
func batchID(unixMS int64, seed uint64, vehicle int, number uint32) telemetry.BatchID {
	a := mix(mix(seed^purposeBatch) ^ uint64(vehicle)<<32 ^ uint64(number))
	b := mix(a + 1)
	var id telemetry.BatchID
	for k := range 6 {
		id[k] = byte(unixMS >> (40 - 8*k))
	}
	id[6], id[7] = 0x70|byte(a)&0x0f, byte(a>>8)
	for k := range 8 {
		id[8+k] = byte(b >> (8 * k))
	}
	id[8] = 0x80 | id[8]&0x3f
	return id
}

// misbehave decides what goes wrong with a batch besides the network: silence, resends.
func (s *Simulation) misbehave(c *car, r *Upload, due int64) {
	r.HoldFor, r.Copies, r.AgainIn = 0, 1, -1
	u := c.rng.next()
	if c.offlineUntil <= due && s.cfg.OfflineShare > 0 {
		// Spells begin so often that their mean length gives the share of time.
		mean := 0.55 * float64(s.cfg.OfflineMax)
		p := s.cfg.OfflineShare / (1 - s.cfg.OfflineShare) * float64(s.cfg.period()) / mean
		if unit(u) < p {
			length := float64(s.cfg.OfflineMax.Milliseconds()) * (0.1 + 0.9*c.rng.float())
			c.offlineUntil = due + int64(length)
		}
	}
	if c.offlineUntil > due {
		r.HoldFor = time.Duration(c.offlineUntil-due) * time.Millisecond
		return
	}
	switch v := c.rng.float(); {
	case v < s.cfg.BurstShare:
		r.Copies = 5
	case v < s.cfg.BurstShare+s.cfg.DuplicateShare:
		r.AgainIn = 0
		if u&1 == 0 {
			r.AgainIn = time.Duration(c.rng.float() * float64(30*time.Second))
		}
	}
}

// Generate takes turns of a new simulation until n batches were made, without sending
// them: for benchmarks and tests. What each gets is valid during the call only.
func Generate(cfg Config, n *Network, start time.Time, batches int, each func(*Upload) error) error {
	s, err := NewSimulation(cfg, n, start)
	if err != nil {
		return err
	}
	var r Upload
	for n := 0; n < batches; {
		if !s.Next(&r) {
			continue
		}
		n++
		if err := each(&r); err != nil {
			return fmt.Errorf("fleet: batch %d: %w", n, err)
		}
	}
	return nil
}
