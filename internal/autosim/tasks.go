package autosim

import "math"

// tasks are those of one service.
type tasks struct {
	Service
	name             string
	running, desired int
	starting         int
	stopping         int
	billed           float64 // task seconds
	work             float64 // batches' work that is left over for the next second

	policies  []*tracking
	steps     *stepping
	inBlocked int // until this second no task is taken away
}

// point is one minute's metric.
type point struct{ value, running float64 }

// tracking is a target tracking policy with the alarms that AWS makes for it: three minutes above the target add, fifteen
// below nine tenths of it take away.
type tracking struct {
	name   string
	target float64
	points []point // the last lowPoints
}

const (
	highPoints = 3
	lowPoints  = 15
	lowShare   = 0.9
)

func (t *tracking) add(p point) {
	t.points = append(t.points, p)
	if len(t.points) > lowPoints {
		t.points = t.points[1:]
	}
}

// want is how many tasks bring the metric to its target, by the last minute.
func (t *tracking) want() int {
	p := t.points[len(t.points)-1]
	return int(math.Ceil(p.running*p.value/t.target - 1e-9))
}

func (t *tracking) high() bool {
	if len(t.points) < highPoints {
		return false
	}
	for _, p := range t.points[len(t.points)-highPoints:] {
		if p.value <= t.target {
			return false
		}
	}
	return true
}

func (t *tracking) low() bool {
	if len(t.points) < lowPoints {
		return false
	}
	for _, p := range t.points {
		if p.value >= lowShare*t.target {
			return false
		}
	}
	return true
}

// stepping is the step policy by age. Within its cooldown, what it has added already counts.
type stepping struct {
	base  int // tasks before the change that the cooldown runs for
	until int
}

// limited is n within the service's bounds.
func (s *Service) limited(n int) int { return min(max(n, s.Min), s.Max) }
