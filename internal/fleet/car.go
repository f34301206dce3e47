package fleet

import (
	"math"

	"github.com/carasso/carasso/telemetry"
)

// car is the whole state of a vehicle: two cache lines, so a batch touches two. (One
// struct a car, not an array a field: a batch reads and writes all of it.)
type car struct {
	rng          rng
	parkedUntil  int64 // ms since the simulation's start; 0 = driving
	tripStart    int64 // ms
	offlineUntil int64 // ms
	simulated    int64 // ms: the last instant it drove to
	arc          int32
	approach     int32 // the arc by which it came to the junction at its arc's start; -1 = none
	piece        int32 // of the arc's shape, where it is
	trip         uint32
	batches      uint32
	offsetM      float32 // from the arc's start
	speedMPS     float32
	errEastM     float32 // position error, Gauss-Markov
	errNorthM    float32
	driver       float32 // share of everybody's speed that this driver drives
	destination  uint16
	fault        uint16           // 1 + index in Simulation.faults; 0 = none
	hazard       telemetry.Hazard // felt where it is now
	model        uint8
	leadIn       uint8 // samples remembered
}

// How vehicles move.
const (
	accelMPS2   = 2.0
	brakeMPS2   = 2.5 // comfortable, planned ahead
	firmMPS2    = 2.8 // when plans fail
	hardMPS2    = 6.0 // when something is in the way
	arriveMPS   = 4.0
	minSpeedMPS = 1.5
)

// turnMPS is the greatest speed for a turn of so many degrees: no bound below 20°,
// then falling to walking pace for a U-turn.
var turnMPS = func() (t [181]float32) {
	for d := range t {
		switch {
		case d < 20:
			t[d] = 1000
		default:
			t[d] = float32(2.2 + 22*math.Pow(float64(180-d)/160, 2.2))
		}
	}
	return t
}()

// target is the speed the car would like to have on an arc.
func (s *Simulation) target(c *car, arc int32) float32 {
	v := s.net.arcs[arc].freeMPS * s.factor[arc] * (1 - s.world.depth[arc]*s.now.peak) * c.driver
	if arc == c.arc && c.hazard != telemetry.HazardUnknown {
		v *= zoneSpeed
	}
	return max(v, minSpeedMPS)
}

// drive moves the car on by dt seconds, at most about one, to ms. It reports whether it
// arrived; then it is at its destination.
func (s *Simulation) drive(c *car, dt float32, ms int64) (arrived bool) {
	if c.hazard != telemetry.HazardUnknown && s.world.hazard(c.arc, ms) == telemetry.HazardUnknown {
		c.hazard = telemetry.HazardUnknown // it is over, though the road may be long
	}
	a := &s.net.arcs[c.arc]
	next := s.routes.leave(c.destination, a.to)
	exit := float32(arriveMPS)
	if next >= 0 {
		exit = min(turnMPS[turnDeg(a.headingOut, s.net.arcs[next].headingIn)], s.target(c, next))
	}
	want := s.target(c, c.arc)
	if exit < want {
		ahead := max(a.lengthM-c.offsetM, 0)
		want = min(want, float32(math.Sqrt(float64(exit*exit+2*brakeMPS2*ahead))))
	}
	before := c.speedMPS
	if before < want {
		c.speedMPS = min(want, before+accelMPS2*dt)
	} else {
		brake := float32(firmMPS2)
		if c.hazard != telemetry.HazardUnknown && inTheWay(c.hazard) {
			brake = hardMPS2
		}
		c.speedMPS = max(want, before-brake*dt)
	}
	c.offsetM += (before + c.speedMPS) / 2 * dt
	for c.offsetM >= a.lengthM {
		next := s.routes.leave(c.destination, a.to)
		if next < 0 {
			c.offsetM = a.lengthM // still rolling: it stands when it is parked
			return true
		}
		if s.cfg.WrongWays > 0 {
			next = s.mistake(c, a.to, next)
		}
		c.offsetM -= a.lengthM
		s.enter(c, next, ms)
		a = &s.net.arcs[c.arc]
	}
	return false
}

// inTheWay reports whether a hazard makes cars brake hard.
func inTheWay(h telemetry.Hazard) bool {
	switch h {
	case telemetry.Obstacle, telemetry.Accident, telemetry.Blockage, telemetry.BrokenDownVehicle, telemetry.HardBraking:
		return true
	default:
		return false
	}
}

// mistake is the arc by which the car leaves a junction: next, or rarely a one-way road in
// the wrong direction.
func (s *Simulation) mistake(c *car, node, next int32) int32 {
	wrong := s.net.wrongAt[s.net.junction(node)]
	if wrong < 0 || s.net.edges[wrong]^1 == s.net.edges[c.arc] || !c.rng.chance(s.cfg.WrongWays) {
		return next
	}
	return wrong
}

// enter puts the car at the start of an arc and lets it see what stands there.
func (s *Simulation) enter(c *car, arc int32, ms int64) {
	was := c.arc
	c.arc, c.approach, c.piece = arc, was, 0
	c.hazard = s.world.hazard(arc, ms)
	s.seeSign(c, was, arc, ms)
	s.feelHazard(c, ms)
}

// on is the arc that a speed counts for: within a junction the one that led to it.
func (s *Simulation) on(c *car) int32 {
	if c.approach >= 0 && c.offsetM < float32(s.net.arcs[c.arc].junctionCM)/100 && !s.net.WrongWay(c.approach) {
		return c.approach
	}
	return c.arc
}

// position is where the car really is, and its heading in 0.01°.
func (s *Simulation) position(c *car) (latE7, lonE7 float64, heading uint16) {
	a := &s.net.arcs[c.arc]
	points := s.net.points[a.point : a.point+a.pieces+1]
	i := c.piece
	for i < a.pieces-1 && points[i+1].alongM < c.offsetM {
		i++
	}
	c.piece = i
	p, q := &points[i], &points[i+1]
	f := float64(0)
	if length := q.alongM - p.alongM; length > 0 {
		f = min(max(float64((c.offsetM-p.alongM)/length), 0), 1)
	}
	return float64(p.lat) + float64(q.lat-p.lat)*f, float64(p.lon) + float64(q.lon-p.lon)*f, p.heading
}

// depart sends a parked or new car on a trip to another place than where it is.
func (s *Simulation) depart(c *car, ms int64) {
	at := s.net.junction(s.net.arcs[c.arc].to)
	d := c.rng.intn(len(s.routes.destinations))
	if s.routes.destinations[d] == at {
		d = (d + 1) % len(s.routes.destinations)
	}
	c.destination = uint16(d)
	c.tripStart, c.parkedUntil = ms, 0
	c.trip++
	c.leadIn, c.approach = 0, -1
	c.hazard = telemetry.HazardUnknown
}

// park stops the car for a while that makes up its share of parked time.
func (s *Simulation) park(c *car, ms int64) {
	c.speedMPS = 0
	share := s.cfg.ParkedShare
	driven := float64(ms - c.tripStart)
	pause := driven * share / (1 - share) * (0.5 + c.rng.float())
	c.parkedUntil = ms + 1 + int64(pause)
}
