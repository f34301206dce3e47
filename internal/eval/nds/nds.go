// Package nds scores the detection of hard braking on naturalistic drives whose
// accelerometer events are labelled.
package nds

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

// gMPS2 is standard gravity.
const gMPS2 = 9.80665

// Row is one second of a drive.
type Row struct {
	Sample   telemetry.Sample // without a brake signal
	AlongG   float64          // acceleration in the direction of travel, g; negative: braking
	AcrossG  float64
	HasAccel bool
	Event    string // the label: the event's number within the drive, "" for none
	Category string // low, med, high
}

// Drive is one drive.
type Drive struct {
	Name string
	Rows []Row
}

// Event is a labelled event: what is meant by one number, in successive rows.
type Event struct {
	FromMS, ToMS int64
	Category     string
	AlongG       float64 // at the row where the acceleration is the greatest
	AcrossG      float64
	FromMPS      float64 // the speed before it
}

// Kind is what the event is by its stronger axis.
func (e *Event) Kind() string {
	switch {
	case math.Abs(e.AcrossG) > math.Abs(e.AlongG):
		return "cornering"
	case e.AlongG < 0:
		return "braking"
	default:
		return "accelerating"
	}
}

// ReadDrives reads the CSV: drive, time_utc, gps_long, gps_lat, speed_mph, gps_heading_raw,
// gps_hdop, accel_x (along, g), accel_y (across), accel_event, accel_event_cat. "NA" is no
// value. Rows without time, place or speed are left out and counted in skipped.
func ReadDrives(r io.Reader) (drives []*Drive, skipped int, err error) {
	c, err := eval.NewColumns(r, "drive", "time_utc", "gps_long", "gps_lat", "speed_mph", "accel_x", "accel_y", "accel_event")
	if err != nil {
		return nil, 0, err
	}
	by := map[string]*Drive{}
	for c.Next() {
		at, err := time.Parse("2006-01-02 15:04:05", c.Text("time_utc"))
		lat, ok1 := c.Number("gps_lat")
		lon, ok2 := c.Number("gps_long")
		speed, ok3 := c.Number("speed_mph")
		if err != nil || !ok1 || !ok2 || !ok3 || math.Abs(lat) > 90 || math.Abs(lon) > 180 || speed < 0 || speed > 200 {
			skipped++
			continue
		}
		p := geo.At(lat, lon)
		row := Row{Sample: telemetry.Sample{
			T: at.UnixMilli(), LatE7: p.LatE7, LonE7: p.LonE7,
			SpeedCMPS: uint16(math.Round(speed * 44.704)), Has: telemetry.HasSpeed,
		}, Category: c.Text("accel_event_cat")}
		if h, ok := c.Number("gps_heading_raw"); ok && h >= 0 && h <= 360 {
			row.Sample.HeadingCDeg, row.Sample.Has = uint16(math.Round(h*100))%36000, row.Sample.Has|telemetry.HasHeading
		}
		if hdop, ok := c.Number("gps_hdop"); ok && hdop > 0 && hdop <= 50 {
			row.Sample.AccuracyCM, row.Sample.Has = uint32(math.Round(hdop*rangeErrorM*100)), row.Sample.Has|telemetry.HasAccuracy
		}
		x, okX := c.Number("accel_x")
		y, okY := c.Number("accel_y")
		row.AlongG, row.AcrossG, row.HasAccel = x, y, okX && okY && math.Abs(x) < 2 && math.Abs(y) < 2
		if e := c.Text("accel_event"); e != "NA" {
			row.Event = e
		}
		name := c.Text("drive")
		d := by[name]
		if d == nil {
			d = &Drive{Name: name}
			by[name] = d
			drives = append(drives, d)
		}
		if n := len(d.Rows); n > 0 && row.Sample.T < d.Rows[n-1].Sample.T {
			skipped++
			continue
		}
		d.Rows = append(d.Rows, row)
	}
	return drives, skipped, c.Err()
}

// rangeErrorM is the receiver's error of one range, 1 sigma: times HDOP it is the position's.
const rangeErrorM = 4.0

// joinMS is up to how far apart rows of the same event's number are one event.
const joinMS = 5000

// Events are the drive's labelled events in order of time.
func (d *Drive) Events() []Event {
	var events []Event
	open := map[string]int{}
	for i := range d.Rows {
		r := &d.Rows[i]
		if r.Event == "" || !r.HasAccel {
			continue
		}
		k, ok := open[r.Event]
		if !ok || r.Sample.T-events[k].ToMS > joinMS {
			k = len(events)
			open[r.Event] = k
			before := &d.Rows[max(i-1, 0)].Sample
			events = append(events, Event{FromMS: r.Sample.T, Category: r.Category, FromMPS: float64(before.SpeedCMPS) / 100})
		}
		e := &events[k]
		e.ToMS = r.Sample.T
		if math.Hypot(r.AlongG, r.AcrossG) > math.Hypot(e.AlongG, e.AcrossG) {
			e.AlongG, e.AcrossG, e.Category = r.AlongG, r.AcrossG, r.Category
		}
	}
	return events
}

// Samples are the drive's samples; with a brake signal made of the accelerometer if brake.
func (d *Drive) Samples(brake bool) []telemetry.Sample {
	out := make([]telemetry.Sample, len(d.Rows))
	for i := range d.Rows {
		out[i] = d.Rows[i].Sample
		if brake && d.Rows[i].HasAccel {
			out[i].BrakeCMPS2, out[i].Has = int16(math.Round(-d.Rows[i].AlongG*gMPS2*100)), out[i].Has|telemetry.HasBrake
		}
	}
	return out
}

// labelG is from which acceleration on the set labels an event (lowest labelled 0.35,
// highest not labelled 0.348).
const labelG = 0.35

// toleranceMS is how far from a labelled event a braking may begin or end.
const toleranceMS = 2000

// detector is one way to find hard brakings.
type detector struct {
	name  string
	brake bool
	rule  hazard.BrakingRule
	truth func(*Event) bool // which labelled events it ought to find
}

func detectors() []detector {
	braking := func(e *Event) bool { return e.Kind() == "braking" }
	usual := hazard.HardBraking()
	label := usual
	label.SensorMPS2, label.FromMPS = labelG*gMPS2, 0
	return []detector{
		{"accelerometer, the product's rule (0.4 g from 20 km/h on)", true, usual, func(e *Event) bool {
			return braking(e) && -e.AlongG*gMPS2 >= usual.SensorMPS2 && e.FromMPS >= usual.FromMPS
		}},
		{"accelerometer, the product's rule, against all labelled brakings", true, usual, braking},
		{"accelerometer, at the label's threshold (0.35 g, any speed)", true, label, braking},
		{"GPS speeds alone, the product's rule", false, usual, braking},
		{"GPS speeds alone, at 2.0 m/s²", false, hazard.BrakingRule{SensorMPS2: usual.SensorMPS2, SpeedMPS2: 2, FromMPS: usual.FromMPS}, braking},
	}
}

// Score counts what a detector found.
type Score struct{ Found, Missed, False int }

// Precision is the share of detections that are labelled, in percent.
func (s Score) Precision() float64 { return eval.Share(s.Found, s.Found+s.False) }

// Recall is the share of labelled events that are detected, in percent.
func (s Score) Recall() float64 { return eval.Share(s.Found, s.Found+s.Missed) }

// Compare scores brakings against events: one that overlaps an event, give or take two
// seconds, finds it. Those that overlap a labelled event that is not wanted count neither way.
func Compare(found []hazard.Braking, events []Event, wanted func(*Event) bool) Score {
	var s Score
	used := make([]bool, len(found))
	for i := range events {
		e := &events[i]
		hit := false
		for k := range found {
			if found[k].FromMS-toleranceMS <= e.ToMS && found[k].ToMS+toleranceMS >= e.FromMS {
				hit, used[k] = true, true
			}
		}
		switch {
		case !wanted(e):
		case hit:
			s.Found++
		default:
			s.Missed++
		}
	}
	for _, u := range used {
		if !u {
			s.False++
		}
	}
	return s
}

// Run scores a folder.
func Run(ctx context.Context, cfg eval.Options) (*eval.Report, error) {
	files, err := eval.Find(cfg.Dir, "*.csv")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no *.csv in %s", eval.ErrNoData, cfg.Dir)
	}
	var drives []*Drive
	skipped, rows := 0, 0
	for _, path := range files {
		ds, n, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		drives, skipped = append(drives, ds...), skipped+n
	}
	kinds := map[string]map[string]int{}
	hours := 0.0
	list := eval.NewTable("Labelled brakings", "DRIVE", "at (UTC)", "category", "g along", "from km/h", "found by")
	list.Text(1)
	list.Text(2)
	list.Text(5)
	ds := detectors()
	scores := make([]Score, len(ds))
	votes := map[string]int{}
	for n, d := range drives {
		if err := eval.HazardVotes(ctx, uint64(n)+1, d.Samples(true), nil, votes); err != nil {
			return nil, err
		}
		rows += len(d.Rows)
		if n := len(d.Rows); n > 0 {
			hours += float64(d.Rows[n-1].Sample.T-d.Rows[0].Sample.T) / 3.6e6
		}
		events := d.Events()
		foundBy := make([]string, len(events))
		for i := range events {
			k := events[i].Kind()
			if kinds[k] == nil {
				kinds[k] = map[string]int{}
			}
			kinds[k][events[i].Category]++
		}
		for k, det := range ds {
			found := det.rule.Find(nil, d.Samples(det.brake))
			s := Compare(found, events, det.truth)
			scores[k].Found += s.Found
			scores[k].Missed += s.Missed
			scores[k].False += s.False
			for i := range events {
				if one := Compare(found, events[i:i+1], func(*Event) bool { return true }); one.Found > 0 {
					foundBy[i] += fmt.Sprintf(" %d", k+1)
				}
			}
		}
		for i := range events {
			if e := &events[i]; e.Kind() == "braking" {
				by := foundBy[i]
				if by == "" {
					by = " none"
				}
				list.Row(d.Name, time.UnixMilli(e.FromMS).UTC().Format(time.DateTime), e.Category, e.AlongG, fmt.Sprintf("%.0f", e.FromMPS*3.6), by[1:])
			}
		}
	}
	rep := &eval.Report{Title: fmt.Sprintf("nds: %d drives with labelled accelerometer events, %.1f h", len(drives), hours), Notes: []string{
		fmt.Sprintf("%d rows (%d skipped). The labels are a threshold (0.35 g on either axis) on the accelerometer itself, which also feeds the brake signal of detectors 1 to 3:", rows, skipped),
		"those check the way through telemetry and rules, not the sensor; detectors 4 and 5 see only GPS speeds and are independent of it.",
		fmt.Sprintf("Sign by correlation with the change of speed: accel_x is along, positive forwards. An event counts as found within %d s.", toleranceMS/1000),
	}}
	labels := eval.NewTable("Labelled events by kind", "KIND", "low", "med", "high", "all")
	for _, k := range [...]string{"braking", "accelerating", "cornering"} {
		c := kinds[k]
		labels.Row(k, c["low"], c["med"], c["high"], c["low"]+c["med"]+c["high"])
	}
	table := eval.NewTable("Hard braking", "DETECTOR", "found", "missed", "false", "precision %", "recall %", "false an hour")
	for k, det := range ds {
		s := scores[k]
		table.Row(fmt.Sprintf("%d %s", k+1, det.name), s.Found, s.Missed, s.False, s.Precision(), s.Recall(), float64(s.False)/hours)
	}
	rep.Tables = []*eval.Table{labels, list, table, eval.VotesTable(votes)}
	return rep, nil
}

func readFile(path string) ([]*Drive, int, error) {
	f, err := eval.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return ReadDrives(f)
}
