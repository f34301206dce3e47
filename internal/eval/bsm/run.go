package bsm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/replay"
	"github.com/carasso/carasso/telemetry"
)

// Drives are trips as they are replayed.
func Drives(trips []Trip) []replay.Drive {
	out := make([]replay.Drive, len(trips))
	for i, t := range trips {
		out[i] = replay.Drive{Vehicle: "bsm-" + t.Vehicle, Samples: t.Samples, Events: t.Events}
	}
	return out
}

// ReadFile reads one file, see Read.
func ReadFile(path string) ([]Message, Stats, error) {
	f, err := eval.Open(path)
	if err != nil {
		return nil, Stats{}, err
	}
	defer f.Close()
	return Read(f)
}

// Run reads all files of a folder and says what they hold and what becomes of it.
func Run(ctx context.Context, cfg eval.Options) (*eval.Report, error) {
	dir, remove, err := eval.Unpacked(ctx, cfg.Dir, func(dir string) bool {
		found, err := eval.Find(dir, "*.json")
		return err == nil && len(found) > 0
	})
	if err != nil {
		return nil, err
	}
	defer remove()
	files, err := eval.Find(dir, "*.json")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no *.json in %s", eval.ErrNoData, cfg.Dir)
	}
	var messages []Message
	table := eval.NewTable("Files with BSMs", "FILE", "lines", "valid", "unusable")
	table.Text(3)
	others := map[string]int{}
	without := 0
	for _, path := range files {
		ms, st, err := ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for k, n := range st.Other {
			others[k] += n
		}
		if st.Valid == 0 && len(st.Invalid) == 0 {
			without++
			continue
		}
		table.Row(filepath.Base(path), st.Lines, st.Valid, eval.Counts(st.Invalid))
		messages = append(messages, ms...)
	}
	trips, doubles := Trips(messages)
	rep := &eval.Report{Title: fmt.Sprintf("bsm: %d Basic Safety Messages of connected vehicles", len(messages)), Notes: []string{
		fmt.Sprintf("%d files, %d without a BSM. Other lines: %s.", len(files), without, eval.Counts(others)),
		"`carasso fleet replay --format bsm FILE…` sends them to a receiver.",
	}}
	votes := map[string]int{}
	for i := range trips {
		if err := eval.HazardVotes(ctx, uint64(i)+1, trips[i].Samples, trips[i].Events, votes); err != nil {
			return nil, err
		}
	}
	rep.Tables = []*eval.Table{table, tripTable(trips, doubles), signalTable(messages), eventTable(messages), eval.VotesTable(votes), batchTable(trips)}
	return rep, nil
}

func tripTable(trips []Trip, doubles int) *eval.Table {
	t := eval.NewTable(fmt.Sprintf("Trips (a pause of %d s ends one; %d messages were recorded twice)", pauseMS/1000, doubles), "VEHICLE", "from (UTC)", "seconds", "samples", "events")
	for i := range trips {
		tr := &trips[i]
		if i == 20 {
			t.Row(fmt.Sprintf("and %d more", len(trips)-i))
			break
		}
		t.Row(tr.Vehicle, time.UnixMilli(tr.FromMS()).UTC().Format(time.DateTime), fmt.Sprintf("%.1f", float64(tr.ToMS()-tr.FromMS())/1000), len(tr.Samples), len(tr.Events))
	}
	return t
}

func signalTable(messages []Message) *eval.Table {
	t := eval.NewTable("Samples by signal", "SIGNAL", "samples", "%")
	for _, f := range [...]struct {
		name string
		bit  telemetry.Field
	}{
		{"altitude", telemetry.HasAltitude},
		{"speed", telemetry.HasSpeed},
		{"heading", telemetry.HasHeading},
		{"accuracy", telemetry.HasAccuracy},
		{"brake", telemetry.HasBrake},
		{"ABS", telemetry.HasABS},
		{"ESC", telemetry.HasESC},
		{"TCS", telemetry.HasTCS},
		{"hazard lights", telemetry.HasHazardLight},
		{"wiper", telemetry.HasWiper},
		{"outside temperature", telemetry.HasOutsideTemp},
		{"friction", telemetry.HasFriction},
	} {
		n := 0
		for i := range messages {
			if messages[i].Sample.Has&f.bit != 0 {
				n++
			}
		}
		t.Row(f.name, n, eval.Share(n, len(messages)))
	}
	return t
}

func eventTable(messages []Message) *eval.Table {
	byFlag, byHazard := map[string]int{}, map[string]int{}
	for i := range messages {
		for _, f := range messages[i].Flags {
			byFlag[f]++
		}
		for _, e := range messages[i].Events {
			byHazard[e.Hazard.String()]++
		}
	}
	t := eval.NewTable("Events", "FLAG OR HAZARD", "messages")
	for _, k := range slices.Sorted(maps.Keys(byFlag)) {
		t.Row(k, byFlag[k])
	}
	for _, k := range slices.Sorted(maps.Keys(byHazard)) {
		t.Row("as telemetry: "+k, byHazard[k])
	}
	if t.Len() == 0 {
		t.Row("none", 0)
	}
	return t
}

// batchTable makes the batches that a replay would send and checks each as a receiver does.
func batchTable(trips []Trip) *eval.Table {
	cfg := replay.DefaultConfig()
	start := time.UnixMilli(1_800_000_000_000)
	ok, samples, size := 0, 0, 0
	refused := map[string]int{}
	for _, p := range replay.Plan(&cfg, Drives(trips), start) {
		now := start.Add(p.After)
		ms := uint64(now.UnixMilli())
		p.Batch.ID = telemetry.BatchID{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms), 0x70, 0, 0x80}
		body := telemetry.AppendProto(nil, &p.Batch)
		var decoded telemetry.Batch
		err := telemetry.DecodeProto(body, &decoded, telemetry.DefaultLimits())
		if err == nil {
			err = decoded.Validate(now, telemetry.DefaultLimits())
		}
		var invalid *telemetry.Invalid
		switch {
		case errors.As(err, &invalid):
			refused[invalid.Pointer]++
		case err != nil:
			refused[err.Error()]++
		default:
			ok++
			samples += p.Batch.Counted()
			size += len(body)
		}
	}
	t := eval.NewTable("Batches of a replay in real time, decoded and checked as by the receiver", "ACCEPTED", "samples", "bytes a sample", "refused")
	t.Text(3)
	t.Row(strconv.Itoa(ok), samples, float64(size)/float64(max(samples, 1)), eval.Counts(refused))
	return t
}
