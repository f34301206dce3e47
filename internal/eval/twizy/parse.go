// Package twizy scores the learning of speed limits from driven speeds on trips of an
// electric car whose every second is labelled with the limit that is posted there.
package twizy

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// Row is one second of a trip.
type Row struct {
	T         int64 // ms since the epoch, the local time taken as UTC
	At        geo.Point
	Fix       bool    // the position is valid
	Fresh     bool    // and it is another one than before
	SpeedKMH  float64 // of the CAN bus
	PostedKMH int     // the truth
	Wet       bool    // rain or drizzle
}

// Trip is one file.
type Trip struct {
	Name    string
	Rows    []Row
	Rejects map[string]int // rows or positions that can not be used, by reason
}

// farM is how far from the middle of a trip a position may be.
const farM = 200_000

// ReadTrip reads a CSV with at least Date (MM/DD/YYYY), Time, Speed (km/h), LAT, LON and
// SpeedLimit. What can not be used is counted, not an error.
func ReadTrip(name string, r io.Reader) (*Trip, error) {
	c, err := eval.NewColumns(r, "Date", "Time", "Speed", "LAT", "LON", "SpeedLimit")
	if err != nil {
		return nil, err
	}
	t := &Trip{Name: name, Rejects: map[string]int{}}
	for c.Next() {
		at, err := time.Parse("1/2/2006 15:04:05", c.Text("Date")+" "+c.Text("Time"))
		if err != nil {
			t.Rejects["no time"]++
			continue
		}
		speed, ok := c.Number("Speed")
		if !ok || speed < 0 || speed > 250 {
			t.Rejects["no speed"]++
			continue
		}
		posted, ok := c.Number("SpeedLimit")
		if !ok || posted < 5 || posted > 130 {
			t.Rejects["no posted limit"]++
			continue
		}
		row := Row{T: at.UnixMilli(), SpeedKMH: speed, PostedKMH: int(math.Round(posted))}
		if n := len(t.Rows); n > 0 && row.T < t.Rows[n-1].T {
			t.Rejects["time falls"]++
			continue
		}
		switch c.Text("Weather") {
		case "Rain", "Drizzle", "Thunderstorm", "Snow":
			row.Wet = true
		}
		lat, ok1 := c.Number("LAT")
		lon, ok2 := c.Number("LON")
		switch {
		case !ok1 || !ok2:
			t.Rejects["no position"]++
		case math.Abs(lat) > 90 || math.Abs(lon) > 180:
			t.Rejects["position out of range"]++
		case lat == 0 || lon == 0:
			t.Rejects["position zero"]++
		default:
			row.At, row.Fix = geo.At(lat, lon), true
		}
		t.Rows = append(t.Rows, row)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	if len(t.Rows) == 0 {
		return nil, fmt.Errorf("%w: no usable row", eval.ErrFormat)
	}
	t.rejectFar()
	t.refresh()
	return t, nil
}

// rejectFar takes away positions that are nowhere near the trip's.
func (t *Trip) rejectFar() {
	var lats, lons []int32
	for _, r := range t.Rows {
		if r.Fix {
			lats, lons = append(lats, r.At.LatE7), append(lons, r.At.LonE7)
		}
	}
	if len(lats) == 0 {
		return
	}
	slices.Sort(lats)
	slices.Sort(lons)
	middle := geo.Point{LatE7: lats[len(lats)/2], LonE7: lons[len(lons)/2]}
	for i := range t.Rows {
		if t.Rows[i].Fix && geo.DistanceM(middle, t.Rows[i].At) > farM {
			t.Rows[i].Fix = false
			t.Rejects["position far away"]++
		}
	}
}

// refresh marks the rows in which the receiver has a new position: the recorder repeats
// the last one for some ten seconds.
func (t *Trip) refresh() {
	last, have := geo.Point{}, false
	for i := range t.Rows {
		r := &t.Rows[i]
		if r.Fix && (!have || r.At != last) {
			r.Fresh, last, have = true, r.At, true
		}
	}
}

// Samples are what the car sends: a sample for each new position.
func (t *Trip) Samples() []telemetry.Sample {
	var out []telemetry.Sample
	for _, r := range t.Rows {
		if r.Fresh {
			out = append(out, telemetry.Sample{T: r.T, LatE7: r.At.LatE7, LonE7: r.At.LonE7, SpeedCMPS: cmps(r.SpeedKMH), Has: telemetry.HasSpeed})
		}
	}
	return out
}

// Every are samples of every row with a speed, placed on the straight way between the new
// positions around it: as a car would that knows where it is at any time.
func (t *Trip) Every() (samples []telemetry.Sample, posted []int) {
	last := -1
	for i := range t.Rows {
		if !t.Rows[i].Fresh {
			continue
		}
		if last >= 0 {
			a, b := &t.Rows[last], &t.Rows[i]
			for k := last; k < i; k++ {
				f := float64(k-last) / float64(i-last)
				p := geo.Between(a.At, b.At, f)
				samples = append(samples, telemetry.Sample{T: t.Rows[k].T, LatE7: p.LatE7, LonE7: p.LonE7, SpeedCMPS: cmps(t.Rows[k].SpeedKMH), Has: telemetry.HasSpeed})
				posted = append(posted, t.Rows[k].PostedKMH)
			}
		}
		last = i
	}
	return samples, posted
}

func cmps(kmh float64) uint16 { return uint16(math.Round(kmh / 0.036)) }
