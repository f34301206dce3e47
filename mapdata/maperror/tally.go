package maperror

import (
	"github.com/carasso/carasso/mapdata/learn"
)

// tally is what vehicles said of one thing over several days.
type tally struct {
	n    int64
	sum  [2]int64
	days []dayVehicles // each day once
}

type dayVehicles struct {
	dayMS    int64
	vehicles learn.Vehicles
}

func (t *tally) add(dayMS int64, v *learn.Vote) {
	t.n += int64(v.N)
	t.sum[0] += v.Sum[0]
	t.sum[1] += v.Sum[1]
	t.see(dayMS, v.Vehicles)
}

func (t *tally) merge(o *tally) {
	t.n += o.n
	t.sum[0] += o.sum[0]
	t.sum[1] += o.sum[1]
	for _, d := range o.days {
		t.see(d.dayMS, d.vehicles)
	}
}

func (t *tally) see(dayMS int64, v learn.Vehicles) {
	for i := range t.days {
		if t.days[i].dayMS == dayMS {
			t.days[i].vehicles.Merge(v)
			return
		}
	}
	t.days = append(t.days, dayVehicles{dayMS, v})
}

// subtract takes away what was counted by mistake, and the vehicles that were.
func (t *tally) subtract(o *tally) {
	t.n = max(t.n-o.n, 0)
	for i := range t.days {
		for _, d := range o.days {
			if d.dayMS == t.days[i].dayMS {
				t.days[i].vehicles[0] &^= d.vehicles[0]
				t.days[i].vehicles[1] &^= d.vehicles[1]
			}
		}
	}
}

// vehicles is a lower bound of the distinct vehicles: those of the fullest day, because
// pseudonyms of different days can't be told apart or together.
func (t *tally) vehicles() int {
	n := 0
	for _, d := range t.days {
		n = max(n, d.vehicles.AtLeast())
	}
	return n
}

func (t *tally) on(dayMS int64) bool {
	for _, d := range t.days {
		if d.dayMS == dayMS {
			return true
		}
	}
	return false
}

// span is the oldest and the newest day.
func (t *tally) span() (firstMS, lastMS int64) {
	for i, d := range t.days {
		if i == 0 || d.dayMS < firstMS {
			firstMS = d.dayMS
		}
		if i == 0 || d.dayMS > lastMS {
			lastMS = d.dayMS
		}
	}
	return firstMS, lastMS
}
