package postgres

import (
	"errors"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/learn"
)

// Health of several flushes, a part of them folded, adds up by kind and hour; vehicles are those of the fullest day.
func TestSensorHealth(t *testing.T) {
	db := openTest(t)
	midnight := time.Now().UTC().Truncate(day)
	row := func(hours int, software string, vehicles ...uint64) learn.HealthRow {
		r := learn.HealthRow{HealthKey: learn.HealthKey{HourMS: midnight.Add(time.Duration(hours) * time.Hour).UnixMilli(), Model: "G30", Software: software}}
		r.Health = learn.Health{
			Batches: 1, Samples: 10, WithSpeed: 9, WithHeading: 8, WithAccuracy: 7, SumAccuracyCM: 600, Unmatched: 1, ABSActive: 2, ESCActive: 3, TCSActive: 4,
			SignsSeen: 5, SignsMissing: 6, HazardSeen: 7, WithTemperature: 8, HazardLight: 9, DistanceM: 1000, StepCMPS: 50_000, SignsCompared: 5, SignsDisagree: 2,
		}
		for _, v := range vehicles {
			r.Vehicles.Add(v)
		}
		return r
	}
	must(t, store(t.Context(), db, nil, []learn.HealthRow{row(-1, "1", 1, 2, 3), row(0, "1", 4)}))
	if _, _, err := db.FoldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, store(t.Context(), db, nil, []learn.HealthRow{row(0, "1", 7), row(0, "2", 6)}))
	must(t, store(t.Context(), db, nil, []learn.HealthRow{row(0, "1", 7), row(-100, "1", 7)}))
	if _, _, err := db.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	q := learn.HealthQuery{Grouping: learn.Grouping{From: midnight.Add(-time.Hour), To: midnight.Add(time.Hour)}, Most: 10}
	got, err := db.SensorHealth(t.Context(), q)
	must(t, err)
	times := func(n int64) (h learn.Health) {
		one := row(0, "").Health
		for range n {
			h.Merge(&one)
		}
		return h
	}
	want := []learn.HealthCell{
		{Model: "G30", Software: "1", AtLeast: 3, Health: times(4)}, // three yesterday, two today
		{Model: "G30", Software: "2", AtLeast: 1, Health: times(1)},
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	q.By, q.Step, q.Softwares = learn.BySteps, learn.Days, []string{"1"}
	got, err = db.SensorHealth(t.Context(), q)
	must(t, err)
	want = []learn.HealthCell{
		{Key: midnight.Add(-day).UnixMilli(), Model: "G30", Software: "1", AtLeast: 3, Health: times(1)},
		{Key: midnight.UnixMilli(), Model: "G30", Software: "1", AtLeast: 2, Health: times(3)},
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	q.Most = 1
	if _, err := db.SensorHealth(t.Context(), q); !errors.Is(err, learn.ErrTooMuch) {
		t.Errorf("two cells of one: %v", err)
	}
}
