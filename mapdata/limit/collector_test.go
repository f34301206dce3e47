package limit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// town is a map of one partition. From west to east runs Main Street (primary, 50) with
// junctions every 300 m: a, then b after Side Street (residential, to the north), then c
// after Cross Road (primary, to the north and south). South of it a motorway (120), m and
// n, with a ramp that leaves at its middle and runs beside n.
type town struct {
	part  *road.Partition
	edges map[string]road.Edge
	err   error
}

func (w *town) Partition(context.Context, uint32) (*road.Partition, error) { return w.part, w.err }

func newTown(tb testing.TB) *town {
	tb.Helper()
	tile := geo.TileAt(geo.At(48.1, 11.5), road.Zoom)
	box := tile.Box()
	corner := geo.Point{LatE7: box.South, LonE7: box.West}
	at := func(x, y float64) geo.Point {
		return geo.Point{LatE7: corner.LatE7 + int32(y/geo.MetresPerE7), LonE7: corner.LonE7 + int32(x/geo.Scale(corner.LatE7))}
	}
	both := road.Forward | road.Backward
	main := road.Attributes{Name: "Main Street", Class: road.Primary, Flags: both, Limit: [2]uint8{50, 50}}
	cross := road.Attributes{Name: "Cross Road", Class: road.Primary, Flags: both}
	side := road.Attributes{Name: "Side Street", Class: road.Residential, Flags: both}
	motorway := road.Attributes{Ref: "A 8", Class: road.Motorway, Flags: road.Forward, Limit: [2]uint8{120, 0}}
	ramp := road.Attributes{Class: road.MotorwayLink, Flags: road.Forward}
	names := []string{"a", "b", "c", "side", "north", "south", "m", "n", "ramp"}
	var ways []road.Way
	for i, w := range []struct {
		road.Attributes
		nodes  []int64
		points []geo.Point
	}{
		{main, []int64{1, 2}, []geo.Point{at(100, 800), at(400, 800)}},
		{main, []int64{2, 3}, []geo.Point{at(400, 800), at(700, 800)}},
		{main, []int64{3, 4}, []geo.Point{at(700, 800), at(1000, 800)}},
		{side, []int64{2, 5}, []geo.Point{at(400, 800), at(400, 1000)}},
		{cross, []int64{3, 6}, []geo.Point{at(700, 800), at(700, 1000)}},
		{cross, []int64{3, 7}, []geo.Point{at(700, 800), at(700, 600)}},
		{motorway, []int64{11, 12}, []geo.Point{at(100, 300), at(600, 300)}},
		{motorway, []int64{12, 13}, []geo.Point{at(600, 300), at(1100, 300)}},
		{ramp, []int64{12, 14, 15}, []geo.Point{at(600, 300), at(700, 280), at(900, 220)}},
	} {
		ways = append(ways, road.Way{ID: int64(i), Nodes: w.nodes, Points: w.points, Attributes: w.Attributes})
	}
	segs, _ := road.Build(ways)
	part, err := road.NewPartition(tile.Quadkey(), segs)
	if err != nil {
		tb.Fatal(err)
	}
	w := &town{part: part, edges: map[string]road.Edge{}}
	for i, name := range names {
		for _, s := range segs {
			if s.Shape[0] == ways[i].Points[0] && s.Shape[len(s.Shape)-1] == ways[i].Points[len(ways[i].Points)-1] {
				w.edges[name] = s.ID.Edge(false)
			}
		}
	}
	return w
}

const startMS = day0 + 10*3600*1000

// drive is a car that drives edges one after another, from offsetM of the first, at a steady
// speed, and tells its position every second for n seconds.
func (w *town) drive(mps, offsetM float64, n int, edges ...string) *learn.Drive {
	d := &learn.Drive{Vehicle: 7, DayMS: day0}
	at, offset := 0, offsetM
	begin := func(ms int64) {
		d.Path = append(d.Path, match.Step{
			Edge: w.edges[edges[at]], FromM: float32(offset), ToM: float32(offset), EnterMS: ms, LeaveMS: ms,
			First: int32(len(d.Samples)), Last: int32(len(d.Samples)), Break: at == 0,
		})
	}
	begin(startMS)
	for i := range n {
		ms := startMS + int64(i)*1000
		if i > 0 {
			offset += mps
		}
		for {
			step := &d.Path[len(d.Path)-1]
			index, _ := w.part.Find(w.edges[edges[at]])
			length := w.part.LengthM(index)
			if offset <= length || at+1 == len(edges) {
				offset = min(offset, length)
				step.ToM, step.LeaveMS, step.Last = float32(offset), ms, int32(i+1)
				p, heading := w.part.PointAt(index, offset)
				d.Samples = append(d.Samples, telemetry.Sample{
					T: ms, LatE7: p.LatE7, LonE7: p.LonE7, SpeedCMPS: uint16(mps * 100), HeadingCDeg: uint16(heading * 100),
					AccuracyCM: 400, Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
				})
				d.Matches = append(d.Matches, match.Result{Edge: step.Edge, OffsetM: float32(offset), OK: true})
				break
			}
			offset -= length
			step.ToM, step.LeaveMS = float32(length), ms-int64(offset/mps*1000)
			at++
			over := offset
			offset = 0
			begin(step.LeaveMS)
			offset = over
		}
	}
	return d
}

func (w *town) name(e road.Edge) string {
	for n, x := range w.edges {
		if x == e {
			return n
		}
	}
	return fmt.Sprint(e)
}

// votes are what a set holds, as texts.
func (w *town) votes(set *learn.EvidenceSet) []string {
	got := []string{}
	for _, row := range set.Rows() {
		for _, v := range row.Votes {
			c, ok := DecodeCode(v.Code)
			s := fmt.Sprintf("%s: %s", w.name(road.Edge(row.Key)), [...]string{"", "missing ", "end ", "town", "town end"}[c.Reading])
			if c.KMH != 0 {
				s += strconv.Itoa(int(c.KMH))
			}
			if c.Carried {
				s += " carried"
			}
			if c.Wet {
				s += " wet"
			}
			if !ok || row.Kind != learn.LimitEvidence || c.HourUTC != 10 && row.BucketMS == day0 || v.Vehicles.AtLeast() != 1 {
				s += fmt.Sprintf(" (%v, kind %d, day %d, hour %d, %d cars)", ok, row.Kind, (row.BucketMS-day0)/learn.DayMS, c.HourUTC, v.Vehicles.AtLeast())
			}
			got = append(got, s)
		}
	}
	slices.Sort(got)
	return got
}

func sign(afterMS int64, kmh uint16) telemetry.Event {
	return telemetry.Event{T: startMS + afterMS, Type: telemetry.SignSeen, Sign: telemetry.SpeedLimit, ValueKMH: kmh, ConfidencePermille: 900}
}

func TestCollect(t *testing.T) {
	w := newTown(t)
	with := func(d *learn.Drive, events ...telemetry.Event) *learn.Drive {
		d.Events = events
		return d
	}
	straight := func(events ...telemetry.Event) *learn.Drive {
		return with(w.drive(15, 0, 58, "a", "b", "c"), events...)
	}
	change := func(d *learn.Drive, f func(*learn.Drive)) *learn.Drive {
		f(d)
		return d
	}
	missing := sign(5000, 50)
	missing.Type = telemetry.SignMissing
	kind := func(s telemetry.Sign, kmh uint16) telemetry.Event {
		e := sign(5000, kmh)
		e.Sign = s
		return e
	}
	for name, tt := range map[string]struct {
		drive *learn.Drive
		want  []string
	}{
		"carried over a side street, not over a crossing": {straight(sign(5000, 70)), []string{"a: 70", "b: 70 carried"}},
		"until the next sign":                             {straight(sign(5000, 70), sign(25000, 30)), []string{"a: 70", "b: 30"}},
		"in any order":                                    {straight(sign(25000, 30), sign(5000, 70)), []string{"a: 70", "b: 30"}},
		"near the end, it is the next edge's":             {straight(sign(19500, 30)), []string{"b: 30"}},
		"not so near":                                     {straight(sign(18800, 30)), []string{"a: 30", "b: 30 carried"}},
		"before a turn":                                   {with(w.drive(8, 150, 30, "a", "side"), sign(17500, 30)), []string{}},
		"well before a turn":                              {with(w.drive(8, 150, 30, "a", "side"), sign(14000, 30)), []string{"a: 30"}},
		"after a turn":                                    {with(w.drive(8, 150, 30, "a", "side"), sign(20000, 30)), []string{"side: 30"}},
		"where it goes is not known":                      {with(w.drive(15, 0, 20, "a"), sign(19000, 30)), []string{}},
		"wipers": {change(straight(sign(5000, 70)), func(d *learn.Drive) {
			d.Samples[5].Has |= telemetry.HasWiper
			d.Samples[5].Wiper = telemetry.WiperSlow
		}), []string{"a: 70 wet", "b: 70 carried wet"}},
		"rain": {change(straight(sign(5000, 70)), func(d *learn.Drive) {
			d.Samples[5].Has |= telemetry.HasRain
			d.Samples[5].RainPercent = 21
		}), []string{"a: 70 wet", "b: 70 carried wet"}},
		"drizzle": {change(straight(sign(5000, 70)), func(d *learn.Drive) {
			d.Samples[5].Has |= telemetry.HasRain | telemetry.HasWiper
			d.Samples[5].RainPercent, d.Samples[5].Wiper = 20, telemetry.WiperInterval
		}), []string{"a: 70", "b: 70 carried"}},
		"another heading":    {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Samples[5].HeadingCDeg = 14000 }), []string{}},
		"heading, but stood": {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Samples[5].HeadingCDeg, d.Samples[5].SpeedCMPS = 14000, 0 }), []string{"a: 70", "b: 70 carried"}},
		"in the lead-in":     {change(straight(sign(5000, 70), sign(25000, 30)), func(d *learn.Drive) { d.LeadIn = 6 }), []string{"b: 30"}},
		"after the lead-in":  {change(straight(sign(5001, 70)), func(d *learn.Drive) { d.LeadIn = 6 }), []string{"a: 70", "b: 70 carried"}},
		"on the next day": {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.DayMS -= learn.DayMS }), []string{
			"a: 70 (true, kind 1, day 0, hour 10, 0 cars)", "b: 70 carried (true, kind 1, day 0, hour 10, 0 cars)",
		}},
		"frozen position": {change(straight(sign(5000, 70)), func(d *learn.Drive) {
			for i := range d.Samples {
				d.Samples[i].LatE7, d.Samples[i].LonE7 = d.Samples[0].LatE7, d.Samples[0].LonE7
			}
		}), []string{}},
		"no road there":      {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Matches[5] = match.Result{} }), []string{}},
		"beside the road":    {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Matches[5].DistM = 31 }), []string{}},
		"against a one-way":  {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Path[0].WrongWay = true }), []string{}},
		"chain broken":       {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Path[1].Break = true }), []string{"a: 70"}},
		"nothing matched":    {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Path, d.Matches = nil, make([]match.Result, len(d.Samples)) }), []string{}},
		"long before":        {straight(sign(-5000, 70)), []string{}},
		"long after":         {straight(sign(90000, 70)), []string{}},
		"an unknown road":    {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Path[0].Edge++; d.Path[0].Edge += 1 << 9 }), []string{}},
		"absurd values":      {straight(sign(5000, 0), sign(6000, 3), sign(7000, 53), sign(8000, 180), sign(9000, 65535)), []string{}},
		"a guess":            {change(straight(sign(5000, 70)), func(d *learn.Drive) { d.Events[0].ConfidencePermille = 299 }), []string{}},
		"miles":              {straight(sign(5000, 88)), []string{"a: 89", "b: 89 carried"}},
		"other signs":        {straight(kind(telemetry.Stop, 50), kind(telemetry.RoadWorksSign, 50), kind(telemetry.SignUnknown, 50)), []string{}},
		"a hazard":           {straight(telemetry.Event{T: startMS + 5000, Type: telemetry.HazardSeen, ConfidencePermille: 900}), []string{}},
		"end of a limit":     {straight(kind(telemetry.SpeedLimitEnd, 80)), []string{"a: end 80", "b: end 80 carried"}},
		"end of all limits":  {straight(kind(telemetry.SpeedLimitEnd, 0)), []string{"a: end ", "b: end  carried"}},
		"town":               {straight(kind(telemetry.TownEntry, 0)), []string{"a: town", "b: town carried"}},
		"end of town":        {straight(kind(telemetry.TownExit, 0)), []string{"a: town end", "b: town end carried"}},
		"missing":            {straight(missing), []string{"a: missing 50", "b: missing 50 carried"}},
		"other than the map": {change(straight(missing), func(d *learn.Drive) { d.Events[0].ValueKMH = 70 }), []string{"a: missing 70"}},
		"ramp's limit":       {with(w.drive(30, 0, 30, "m", "n"), sign(19000, 60)), []string{}},
		"before the ramp":    {with(w.drive(30, 0, 30, "m", "n"), sign(8000, 60)), []string{"m: 60", "n: 60 carried"}},
		"motorway's limit":   {with(w.drive(30, 0, 30, "m", "n"), sign(19000, 100)), []string{"n: 100"}},
		"on the ramp":        {with(w.drive(15, 300, 33, "m", "ramp"), sign(25000, 60)), []string{"ramp: 60"}},
	} {
		t.Run(name, func(t *testing.T) {
			var set learn.EvidenceSet
			if err := New(w).Collect(t.Context(), tt.drive, &set); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, w.votes(&set)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// On a short edge a sign stands rather behind its start than before the next one's.
func TestCollectOnShortEdges(t *testing.T) {
	w, edges := street(t, 8, 10, nil)
	w.edges = map[string]road.Edge{}
	var names []string
	for i, e := range edges {
		names = append(names, strconv.Itoa(i))
		w.edges[names[i]] = e
	}
	for afterMS, want := range map[int64]string{2400: "2: 30", 2700: "2: 30", 2900: "3: 30", 3200: "3: 30"} { // at 10 m/s
		d := w.drive(10, 0, 8, names...)
		d.Events = []telemetry.Event{sign(afterMS, 30)}
		var set learn.EvidenceSet
		if err := New(w).Collect(t.Context(), d, &set); err != nil {
			t.Fatal(err)
		}
		if got := w.votes(&set); !slices.Contains(got, want) {
			t.Errorf("read after %d ms: %v", afterMS, got)
		}
	}
}

// A car that passes many times a day has one vote.
func TestOneVoteACarAndDay(t *testing.T) {
	w := newTown(t)
	c := New(w)
	var set learn.EvidenceSet
	for range 9 {
		d := w.drive(15, 0, 58, "a", "b", "c")
		d.Events = []telemetry.Event{sign(5000, 70)}
		if err := c.Collect(t.Context(), d, &set); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range set.Rows() {
		if len(row.Votes) != 1 || row.Votes[0].N != 9 || row.Votes[0].Vehicles.AtLeast() != 1 {
			t.Errorf("%+v", row)
		}
	}
}

func TestUnreadableMapAddsNothing(t *testing.T) {
	w := newTown(t)
	d := w.drive(15, 0, 58, "a", "b", "c")
	d.Events = []telemetry.Event{sign(5000, 70), sign(25000, 30)}
	w.err = errors.New("boom")
	var set learn.EvidenceSet
	if err := New(w).Collect(t.Context(), d, &set); !errors.Is(err, w.err) || !strings.Contains(err.Error(), "collect limits") || len(set.Rows()) > 0 {
		t.Errorf("%v, %d rows", err, len(set.Rows()))
	}
}

// Nothing that a drive holds may make it panic, or count a place twice as sure.
func TestNonsenseDrives(t *testing.T) {
	w := newTown(t)
	c := New(w)
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := w.drive(5+r.Float64()*30, r.Float64()*300, 1+r.IntN(60), "a", "b", "c", "side")
		for range r.IntN(10) {
			e := sign(r.Int64N(100_000)-20_000, uint16(r.IntN(200)))
			e.Type, e.Sign = telemetry.EventType(r.IntN(5)), telemetry.Sign(r.IntN(20))
			d.Events = append(d.Events, e)
		}
		for range r.IntN(6) {
			s, i := &d.Path[r.IntN(len(d.Path))], r.IntN(len(d.Samples))
			switch r.IntN(10) {
			case 0:
				s.First, s.Last = r.Int32()-1<<30, r.Int32()-1<<30
			case 1:
				s.EnterMS, s.LeaveMS = s.LeaveMS, s.EnterMS
			case 2:
				s.FromM, s.ToM = 1e9, -1e9
			case 3:
				s.Edge = road.Edge(r.Uint64N(1 << 53))
			case 4:
				d.Samples[i].T = r.Int64() - 1<<62
			case 5:
				d.Matches = d.Matches[:i]
				d.Matches = append(d.Matches, make([]match.Result, len(d.Samples)-i)...)
			case 6:
				d.LeadIn = r.IntN(len(d.Samples) + 2)
			case 7:
				s.Edge = w.edges["m"]
			case 8:
				s.LeaveMS = r.Int64() - 1<<62
			case 9:
				d.DayMS = r.Int64() - 1<<62
			}
		}
		var set learn.EvidenceSet
		if err := c.Collect(t.Context(), d, &set); err != nil {
			t.Fatal(err)
		}
		for _, row := range set.Rows() {
			for _, v := range row.Votes {
				if _, ok := DecodeCode(v.Code); !ok || v.Vehicles.AtLeast() > 1 || row.BucketMS%learn.DayMS != 0 {
					t.Fatalf("seed %d: %+v", seed, row)
				}
			}
		}
	}
}

func BenchmarkCollect(b *testing.B) {
	w := newTown(b)
	c := New(w)
	for name, events := range map[string][]telemetry.Event{"no sign": nil, "a sign": {sign(3000, 70)}} {
		d := w.drive(15, 200, 13, "a", "b", "c")
		d.LeadIn, d.Events = 3, events
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var set learn.EvidenceSet
			for b.Loop() {
				if err := c.Collect(context.Background(), d, &set); err != nil {
					b.Fatal(err)
				}
				set.Reset()
			}
		})
	}
}
