// Package openxc converts traces of Ford's OpenXC platform (JSON records of a time, a name
// and a value) into telemetry, and says what the learners make of it: when the road is wet.
package openxc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

// Record is one reading.
type Record struct {
	T      int64 // ms since the epoch
	Name   string
	Number float64
	On     bool // of a boolean
	IsBool bool
}

// maxBytes bounds a file.
const maxBytes = 256 << 20

// ReadRecords reads every JSON object {timestamp, name, value} in a text, whatever stands
// between them: a whole array, one that breaks off, lines, or text after the end. What is
// no such record is counted in skipped; the error is about reading alone.
func ReadRecords(r io.Reader) (records []Record, skipped int, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", eval.ErrFormat, err)
	}
	for {
		i := bytes.IndexByte(text, '{')
		if i < 0 {
			break
		}
		if len(bytes.Trim(text[:i], " \t\r\n,[]")) > 0 {
			skipped++
		}
		text = text[i:]
		end := bytes.IndexByte(text, '}') // records are flat
		if end < 0 {
			return records, skipped + 1, nil
		}
		rec, ok := parse(text[:end+1])
		if ok {
			records = append(records, rec)
		} else {
			skipped++
			if inner := bytes.LastIndexByte(text[1:end], '{'); inner >= 0 { // it broke off, and another one began
				end = inner
			}
		}
		text = text[end+1:]
	}
	if len(bytes.Trim(text, " \t\r\n,[]")) > 0 {
		skipped++
	}
	return records, skipped, nil
}

func parse(text []byte) (Record, bool) {
	var raw struct {
		Timestamp float64 `json:"timestamp"`
		Name      string  `json:"name"`
		Value     any     `json:"value"`
	}
	if json.Unmarshal(text, &raw) != nil || raw.Name == "" || !(raw.Timestamp > 0 && raw.Timestamp < 1e11) {
		return Record{}, false
	}
	rec := Record{T: int64(math.Round(raw.Timestamp * 1000)), Name: raw.Name}
	switch v := raw.Value.(type) {
	case float64:
		rec.Number = v
	case bool:
		rec.On, rec.IsBool = v, true
	default:
		return Record{}, false
	}
	return rec, true
}

// How old a reading may be to go with a position, ms.
const (
	freshMS = 2_000
	wiperMS = 90_000 // the trace repeats the wipers' state every minute
	pairMS  = 500    // latitude and longitude of one position
)

// Samples makes a sample of each pair of latitude and longitude, with the speed, course and
// wiper state known then. Records may come in any order. The wipers' "on" is taken as slow:
// the trace knows no more. other counts records by name that telemetry has no field for.
func Samples(records []Record) (samples []telemetry.Sample, other map[string]int) {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b Record) int { return int(max(min(a.T-b.T, 1), -1)) })
	other = map[string]int{}
	var lat, lon, speed, wiper *Record
	for i := range records {
		r := &records[i]
		switch r.Name {
		case "latitude":
			lat = r
		case "longitude":
			lon = r
		case "vehicle_speed":
			speed = r
			continue
		case "windshield_wiper_status":
			wiper = r
			continue
		default:
			other[r.Name]++
			continue
		}
		if lat == nil || lon == nil || abs(lat.T-lon.T) > pairMS || math.Abs(lat.Number) > 90 || math.Abs(lon.Number) > 180 {
			continue
		}
		p := geo.At(lat.Number, lon.Number)
		s := telemetry.Sample{T: max(lat.T, lon.T), LatE7: p.LatE7, LonE7: p.LonE7}
		if speed != nil && s.T-speed.T <= freshMS && speed.Number >= 0 && speed.Number <= 540 {
			s.SpeedCMPS, s.Has = uint16(math.Round(speed.Number/0.036)), s.Has|telemetry.HasSpeed
		}
		if wiper != nil && s.T-wiper.T <= wiperMS {
			s.Has |= telemetry.HasWiper
			if wiper.On || !wiper.IsBool && wiper.Number > 0 {
				s.Wiper = telemetry.WiperSlow
			}
		}
		samples = append(samples, s)
		lat, lon = nil, nil
	}
	return samples, other
}

func abs(v int64) int64 { return max(v, -v) }

// Span is a time during which something holds.
type Span struct{ FromMS, ToMS int64 }

// Wet are the spans during which the samples say that the road is wet, as package limit
// takes it: the wipers run steadily.
func Wet(samples []telemetry.Sample) []Span {
	var spans []Span
	open := false
	for i := range samples {
		s := &samples[i]
		wet := s.Has&telemetry.HasWiper != 0 && s.Wiper >= telemetry.WiperSlow
		switch {
		case wet && open:
			spans[len(spans)-1].ToMS = s.T
		case wet:
			spans = append(spans, Span{s.T, s.T})
		}
		open = wet
	}
	return spans
}

// Run reads a folder.
func Run(ctx context.Context, cfg eval.Options) (*eval.Report, error) {
	files, err := eval.Find(cfg.Dir, "*.json")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no *.json in %s", eval.ErrNoData, cfg.Dir)
	}
	var records []Record
	table := eval.NewTable("Files", "FILE", "records", "skipped")
	for _, path := range files {
		rs, skipped, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		records = append(records, rs...)
		table.Row(filepath.Base(path), len(rs), skipped)
	}
	samples, other := Samples(records)
	rep := &eval.Report{Title: fmt.Sprintf("openxc: %d records of a real car, %d samples", len(records), len(samples)), Notes: []string{
		"A sample is a pair of latitude and longitude with the speed (≤ 2 s old) and the wipers' state (≤ 90 s old) known then.",
		"Records that telemetry has no field for: " + eval.Counts(other) + ".",
	}}
	signals := eval.NewTable("Samples by signal", "SIGNAL", "samples", "%")
	for _, f := range [...]struct {
		name string
		bit  telemetry.Field
	}{{"speed", telemetry.HasSpeed}, {"wiper", telemetry.HasWiper}} {
		n := 0
		for i := range samples {
			if samples[i].Has&f.bit != 0 {
				n++
			}
		}
		signals.Row(f.name, n, eval.Share(n, len(samples)))
	}
	votes := map[string]int{}
	if err := eval.HazardVotes(ctx, 1, samples, nil, votes); err != nil {
		return nil, err
	}
	rep.Tables = []*eval.Table{table, signals, wetTable(records, samples), brakeTable(records, samples), eval.VotesTable(votes)}
	return rep, nil
}

// wetTable sets the wipers' own records against what the samples say.
func wetTable(records []Record, samples []telemetry.Sample) *eval.Table {
	t := eval.NewTable("Wet road, as the learning of limits takes it", "FROM (UTC)", "to", "seconds", "samples", "wiper records on", "off")
	t.Text(1)
	for _, s := range Wet(samples) {
		n, on, off := 0, 0, 0
		for i := range samples {
			if samples[i].T >= s.FromMS && samples[i].T <= s.ToMS {
				n++
			}
		}
		for i := range records {
			if r := &records[i]; r.Name == "windshield_wiper_status" && r.T >= s.FromMS-1000 && r.T <= s.ToMS {
				if r.On {
					on++
				} else {
					off++
				}
			}
		}
		t.Row(clock(s.FromMS), clock(s.ToMS), (s.ToMS-s.FromMS)/1000, n, on, off)
	}
	return t
}

// brakeTable sets the brake pedal against decelerations of the speeds.
func brakeTable(records []Record, samples []telemetry.Sample) *eval.Table {
	pedal := Spans(records, "brake_pedal_status")
	t := eval.NewTable("Decelerations in the speeds, and whether the brake pedal was pressed", "DECELERATION FROM", "brakings", "with the pedal", "without")
	for _, mps2 := range [...]float64{1, 1.5, 2, 2.5, hazard.HardBraking().SpeedMPS2} {
		rule := hazard.BrakingRule{SensorMPS2: 100, SpeedMPS2: mps2}
		with, without := 0, 0
		for _, b := range rule.Find(nil, samples) {
			hit := false
			for _, p := range pedal {
				hit = hit || p.FromMS <= b.ToMS+freshMS && p.ToMS >= b.FromMS-freshMS
			}
			if hit {
				with++
			} else {
				without++
			}
		}
		t.Row(fmt.Sprintf("%.1f m/s²", mps2), with+without, with, without)
	}
	return t
}

// Spans are the times during which a boolean was on; the last one may not have ended.
func Spans(records []Record, name string) []Span {
	var spans []Span
	open := false
	var last int64
	for i := range records {
		r := &records[i]
		if r.Name != name {
			continue
		}
		last = r.T
		if r.On && !open {
			spans = append(spans, Span{r.T, r.T})
		}
		if open {
			spans[len(spans)-1].ToMS = r.T
		}
		open = r.On
	}
	if open {
		spans[len(spans)-1].ToMS = last
	}
	return spans
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.DateTime) }

func readFile(path string) ([]Record, int, error) {
	f, err := eval.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return ReadRecords(f)
}
