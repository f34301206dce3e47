package learn_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carasso/carasso/mapdata/learn"
)

// drove is a day on which vehicles drove in some slots at speeds of 0.01 m/s.
func drove(slots map[int][]uint16) *learn.DaySpeeds {
	var d learn.DaySpeeds
	for slot, speeds := range slots {
		for v, s := range speeds {
			d[slot].N++
			d[slot].SumCMPS += int64(s)
			d[slot].Vehicles.Add(uint64(slot*1000 + v))
		}
	}
	return &d
}

func TestDayProfileDecays(t *testing.T) {
	var p learn.DayProfile
	const day = 20_787
	p.AddDay(day, drove(map[int][]uint16{100: {1000, 1000, 1000, 1000}}))
	p.AddDay(day+learn.HalfLifeDays, drove(map[int][]uint16{100: {2500, 2500}}))
	weight, sum, vehicles := p.Slot(100, day+learn.HalfLifeDays)
	if math.Abs(weight-4) > 1e-5 || math.Abs(sum/weight-1750) > 1e-3 || vehicles != 4 {
		t.Errorf("weight %v, mean %v, %d vehicles; want 4, 1750, 4", weight, sum/weight, vehicles)
	}
	// A neighbour was not driven in, but knows who drove around it.
	if weight, _, vehicles := p.Slot(101, day); weight != 0 || vehicles != 4 {
		t.Errorf("neighbour: weight %v, %d vehicles", weight, vehicles)
	}
	// What is old enough is forgotten, with who it was.
	p.AddDay(day+20*learn.HalfLifeDays, drove(map[int][]uint16{7: {900}}))
	for _, slot := range []int{99, 100, 101} {
		if weight, sum, vehicles := p.Slot(slot, day); weight != 0 || sum != 0 || vehicles != 0 {
			t.Errorf("slot %d still has %v, %v, %d", slot, weight, sum, vehicles)
		}
	}
}

// A mean over years is that of the weights by definition, however often the landmark moved.
func TestDayProfileAgainstOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var p learn.DayProfile
	type sample struct {
		day int64
		n   int
		sum int64
	}
	var all []sample
	last := int64(0)
	for week := range int64(200) {
		last = 20_000 + 7*week
		s := sample{day: last, n: 1 + r.IntN(9)}
		speeds := make([]uint16, s.n)
		for i := range speeds {
			speeds[i] = uint16(r.IntN(4000))
			s.sum += int64(speeds[i])
		}
		all = append(all, s)
		p.AddDay(last, drove(map[int][]uint16{287: speeds}))
		var again learn.DayProfile
		if err := again.Decode(p.AppendEncoded(nil)); err != nil || again != p {
			t.Fatalf("week %d doesn't come back from its encoding: %v", week, err)
		}
	}
	var wantWeight, wantSum float64
	for _, s := range all {
		w := math.Pow(0.5, float64(last-s.day)/learn.HalfLifeDays)
		wantWeight += float64(s.n) * w
		wantSum += float64(s.sum) * w
	}
	weight, sum, _ := p.Slot(287, last)
	if math.Abs(weight/wantWeight-1) > 1e-5 || math.Abs(sum/wantSum-1) > 1e-5 {
		t.Errorf("weight %v, sum %v; want %v, %v", weight, sum, wantWeight, wantSum)
	}
}

func TestDayProfilePlaces(t *testing.T) {
	for ms, want := range map[int64][3]int64{
		0:                        {0, 3, 0},
		-1:                       {-1, 2, 287},
		1_795_996_800_000:        {20_787, 0, 0}, // Monday, 30 November 2026
		1_795_996_800_000 + 3e5:  {20_787, 0, 1},
		1_795_996_800_000 - 1000: {20_786, 6, 287},
	} {
		day := learn.Day(ms)
		if got := [3]int64{day, int64(learn.Weekday(day)), int64(learn.DaySlot(ms))}; got != want {
			t.Errorf("%d ms: day, weekday, slot = %v, want %v", ms, got, want)
		}
	}
}

func FuzzDayProfile(f *testing.F) {
	var p learn.DayProfile
	p.AddDay(20_787, drove(map[int][]uint16{0: {1}, 5: {3, 4}, 287: {65535}}))
	whole := p.AppendEncoded(nil)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, src []byte) {
		var p, again learn.DayProfile
		if err := p.Decode(src); err != nil {
			if !errors.Is(err, learn.ErrProfile) {
				t.Fatalf("error %v", err)
			}
			return
		}
		encoded := p.AppendEncoded(nil)
		if len(encoded) > len(src) {
			t.Errorf("%d bytes became %d", len(src), len(encoded))
		}
		if err := again.Decode(encoded); err != nil || again != p {
			t.Errorf("%x became %x: %v", src, encoded, err)
		}
	})
}
