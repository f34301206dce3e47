package autosim

import (
	"fmt"
	"math"
	"time"

	"github.com/carasso/carasso/internal/scaling"
)

// track applies a service's target tracking policies: the greatest wish adds; all have to agree before any is taken away.
func (s *sim) track(t *tasks) {
	want, why, low := 0, "", true
	for _, p := range t.policies {
		if p.high() && p.want() > want {
			want, why = p.want(), p.name
		}
		low = low && p.low()
	}
	if want > t.desired { // what was added within the cooldown is part of desired
		s.change(t, want, why)
		return
	}
	if !low || s.now < t.inBlocked {
		return
	}
	want = 0
	for _, p := range t.policies {
		if p.want() >= want {
			want, why = p.want(), p.name
		}
	}
	keep := int(math.Ceil(float64(t.desired)*(1-s.cfg.ScaleInShare) - 1e-9))
	if want = max(want, keep); want < t.desired {
		s.change(t, want, why)
	}
}

// step applies the step policy by the oldest message's age.
func (s *sim) step(age time.Duration) {
	t := &s.workers
	percent := 0.0
	for _, step := range scaling.AgeSteps() {
		if age >= step.Age {
			percent = step.Percent
		}
	}
	if percent == 0 {
		return
	}
	if s.now >= t.steps.until {
		t.steps.base = t.desired
	}
	more := max(int(float64(t.steps.base)*percent/100), scaling.MinTasks)
	if want := t.steps.base + more; want > t.desired {
		s.change(t, want, fmt.Sprintf("oldest message %s", age))
		t.steps.until = s.now + seconds(scaling.ScaleOutCooldown)
	}
}

// change wishes for another number of tasks. Those that are added come up after a while; those taken away drain: first
// such as have not started yet.
func (s *sim) change(t *tasks, want int, why string) {
	want = t.limited(want)
	if want == t.desired {
		return
	}
	s.res.Changes = append(s.res.Changes, Change{At: time.Duration(s.now) * time.Second, Service: t.name, From: t.desired, To: want, Why: why})
	pause := scaling.ScaleOutCooldown
	if want < t.desired {
		pause = scaling.ScaleInCooldown
	}
	t.inBlocked = s.now + seconds(pause)
	t.desired = want
	if more := want - t.running - t.starting; more > 0 {
		t.starting += more
		s.at(s.now+seconds(s.cfg.Delays.Start), func() { s.ready(t, more) })
	} else if less := t.running - want; less > 0 {
		s.stop(t, less)
	}
}

// ready lets n tasks that were started run, as far as they are still wished for.
func (s *sim) ready(t *tasks, n int) {
	t.starting -= n
	t.running += min(n, max(0, t.desired-t.running))
}

func (s *sim) stop(t *tasks, n int) {
	t.running -= n
	t.stopping += n
	s.at(s.now+seconds(s.cfg.Delays.Drain), func() { t.stopping -= n })
}
