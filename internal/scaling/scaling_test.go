package scaling

import (
	"math"
	"testing"
)

func TestDesired(t *testing.T) {
	for _, c := range []struct {
		name string
		load Load
		want int
	}{
		{"nothing to do", Load{}, MinWorkers},
		{"a trickle", Load{Backlog: 1, Workers: 2, EnvelopesPerS: 0.5}, MinWorkers},
		{"no worker yet", Load{Backlog: 1000}, 4},
		{"as fast as assumed", Load{Backlog: 1000, Workers: 2, EnvelopesPerS: 2 * MinEnvelopesPerS}, 4},
		{"one more than they manage", Load{Backlog: 1001, Workers: 2, EnvelopesPerS: 2 * MinEnvelopesPerS}, 5},
		{"faster than assumed", Load{Backlog: 10_000, Workers: 2, EnvelopesPerS: 400}, 5},
		{"what was measured is the whole of a low rate", Load{Backlog: 1000, Workers: 4, EnvelopesPerS: 1}, 4},
		{"a night's backlog", Load{Backlog: 1 << 40, Workers: 2, EnvelopesPerS: 400}, MaxWorkers},
		{"not measured", Load{Backlog: 1000, Workers: 1, EnvelopesPerS: math.NaN()}, 4},
	} {
		if got := c.load.Desired(); got != c.want {
			t.Errorf("%s: %d workers, want %d", c.name, got, c.want)
		}
	}
}

// At the allowed backlog per worker the number that there is the number wished for.
func TestAllowedBacklogIsTheEquilibrium(t *testing.T) {
	for n := MinWorkers; n <= MaxWorkers; n++ {
		l := Load{Backlog: int64(AllowedBacklog) * int64(n), Workers: n, EnvelopesPerS: MinEnvelopesPerS * float64(n)}
		if got := l.Desired(); got != n || l.BacklogPerWorker() != AllowedBacklog {
			t.Errorf("%d workers with %g each: %d wished", n, l.BacklogPerWorker(), got)
		}
	}
}
