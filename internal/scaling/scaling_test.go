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

// Steps go up in age and in what they add, and begin where target tracking has failed.
func TestAgeSteps(t *testing.T) {
	steps := AgeSteps()
	if steps[0].Age <= LatencyTarget {
		t.Errorf("the first step is at %s, the target at %s", steps[0].Age, LatencyTarget)
	}
	for i := 1; i < len(steps); i++ {
		if steps[i].Age <= steps[i-1].Age || steps[i].Percent <= steps[i-1].Percent {
			t.Errorf("%+v after %+v", steps[i], steps[i-1])
		}
	}
}

// The largest number of workers has connections to the database.
func TestWorkersHaveConnections(t *testing.T) {
	if n := MaxWorkers*DatabaseConnectionsPerWorker + DatabaseConnectionsBeside; n > DatabaseConnections {
		t.Errorf("%d connections are needed, %d allowed", n, DatabaseConnections)
	}
}
