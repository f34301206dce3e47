package match_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/telemetry"
)

// most is the number of labels that n samples may take: their budget, and when it is spent
// for each a cut search from each of 12 candidates and one for the way, and all that again
// in the window after.
func most(n int) int { return 50_000 + 1_000*n + 2*(12+1)*128*n }

// twins are two towns' worth of streets on the same ground without a way between: lattices
// of n by n blocks of 100 m, one of them moved by 50 m and one-way, to the east and north.
func twins(tb testing.TB, n int) *world {
	tb.Helper()
	var lines []line
	for _, t := range []struct {
		name   string
		by     float64
		oneWay bool
	}{{"two-way", 0, false}, {"one-way", 50, true}} {
		for i := range n + 1 {
			var east, north []xy
			for k := range n + 1 {
				a, b := t.by+100*float64(i), t.by+100*float64(k)
				east, north = append(east, xy{b, a}), append(north, xy{a, b})
			}
			lines = append(lines, line{name: t.name, at: east, oneWay: t.oneWay}, line{name: t.name, at: north, oneWay: t.oneWay})
		}
	}
	return build(tb, lines...)
}

// TestWorkIsBounded sends what floods the map from every candidate, and counts the work.
func TestWorkIsBounded(t *testing.T) {
	const blocks = 40
	w := twins(t, blocks)
	seed := rand.NewPCG(3, 9)
	r := rand.New(seed)
	crossing := func(lattice int) xy {
		by := 50 * float64(lattice%2)
		return xy{by + 100*float64(r.IntN(blocks)), by + 100*float64(r.IntN(blocks))}
	}
	// at is where sample i is taken; has what it reports.
	tests := map[string]struct {
		everyS float64
		has    telemetry.Field
		at     func(i int) xy
		spends bool // more than its budget
	}{
		"alternating":                 {180, telemetry.HasAccuracy, crossing, true},
		"alternating in pairs":        {90, telemetry.HasAccuracy, func(i int) xy { return crossing(i / 2) }, true},
		"alternating, positions only": {180, 0, crossing, true},
		"teleporting":                 {20, telemetry.HasAccuracy, func(int) xy { return crossing(r.IntN(2)) }, true},
		"teleporting at once":         {0, telemetry.HasAccuracy, func(int) xy { return crossing(r.IntN(2)) }, false},
		"sparse":                      {3600, telemetry.HasAccuracy, func(int) xy { return crossing(r.IntN(2)) }, true},
		"alternating, against one-ways": {
			180, telemetry.HasAccuracy | telemetry.HasHeading | telemetry.HasSpeed,
			func(i int) xy { p := crossing(i); return xy{p.x + 30, p.y} }, true,
		},
		"against one-ways": {
			10, telemetry.HasAccuracy | telemetry.HasHeading | telemetry.HasSpeed,
			func(i int) xy { return xy{2000 - float64(i*37%1500), 150 + 1000*float64(i%2)} }, false,
		},
	}
	for name, tt := range tests {
		for _, n := range []int{1, 10, 300, 3600} {
			if n > 300 && name != "alternating" { // takes a second
				continue
			}
			t.Run(fmt.Sprintf("%s, %d", name, n), func(t *testing.T) {
				seed.Seed(3, 9)
				samples := make([]telemetry.Sample, n)
				for i := range samples {
					samples[i] = sampleAt(tt.at(i), int64(float64(i)*tt.everyS*1000), 270, 15, 4)
					samples[i].Has = tt.has
				}
				m := match.New(w)
				out := make([]match.Result, n)
				if err := m.Match(t.Context(), samples, out); err != nil {
					t.Fatal(err)
				}
				checkInvariants(t, w.graph, samples, out, m.Path())
				labels := m.Labels(n)
				t.Logf("%d labels, %d a sample", labels, labels/n)
				if labels > most(n) {
					t.Errorf("%d labels, more than %d", labels, most(n))
				}
				if tt.spends && n >= 300 && labels < match.Budget(n) {
					t.Errorf("%d labels are within the budget: the case proves nothing", labels)
				}
			})
		}
	}
}

// TestSpentBudgetKeepsDenseDrives: what follows a flood is matched as if there had been none.
func TestSpentBudgetKeepsDenseDrives(t *testing.T) {
	const blocks = 40
	w := twins(t, blocks)
	r := rand.New(rand.NewPCG(4, 9))
	var samples []telemetry.Sample
	for i := range 300 {
		by := 50 * float64(i%2)
		samples = append(samples, sampleAt(xy{by + 100*float64(r.IntN(blocks)), by + 100*float64(r.IntN(blocks))}, int64(i)*180_000, 90, 15, 4))
		samples[i].Has = telemetry.HasAccuracy
	}
	flood := len(samples)
	drive := ride{course: []xy{{10, 500}, {1500, 500}, {1500, 3000}}, speed: 12, noise: 3, startMS: int64(flood+10) * 180_000}.samples()
	samples = append(samples, drive...)
	m := match.New(w)
	out := make([]match.Result, len(samples))
	if err := m.Match(t.Context(), samples, out); err != nil {
		t.Fatal(err)
	}
	if m.Labels(len(samples)) < match.Budget(len(samples)) {
		t.Fatal("the budget was not spent")
	}
	alone := run(t, w, drive)
	for i, want := range alone.results {
		if got := out[flood+i]; got.Edge != want.Edge {
			t.Errorf("sample %d is on %s %d, alone on %s %d", i, w.name(got.Edge), got.Edge, w.name(want.Edge), want.Edge)
		}
	}
	if alone.breaks() > 0 {
		t.Errorf("%d breaks", alone.breaks())
	}
}
