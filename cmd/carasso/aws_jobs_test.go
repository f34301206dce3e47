package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// everyJob runs every kind of job that needs no other arguments over what a fleet left in the queue's, the bucket's and
// the database's hands; then a replay of it, which is equal and takes its place, and the erasure of a car.
func (s *awsStack) everyJob() {
	s.t.Helper()
	token := s.operator()
	var list struct{ Kinds []struct{ Name string } }
	s.read(token, "/v1/job-kinds", &list)
	plain := 0
	for _, k := range list.Kinds {
		switch k.Name {
		case "backfill", "replay", "replay-swap", "replay-drop", "erasure":
			continue
		}
		plain++
		var result json.RawMessage
		s.succeed(token, k.Name, "{}", &result)
	}
	if plain < 6 {
		s.t.Errorf("only %d plain kinds of %+v", plain, list.Kinds)
	}

	today := time.Now().UTC()
	days := fmt.Sprintf(`{"from":%q,"to":%q}`, today.AddDate(0, 0, -1).Format(time.DateOnly), today.AddDate(0, 0, 1).Format(time.DateOnly))
	var built struct {
		Replay  string
		Batches int64
		Equal   bool
	}
	s.succeed(token, "replay", days, &built)
	if !built.Equal || built.Batches < 500 {
		s.t.Errorf("%+v", built)
	}
	var swapped struct{ State string }
	s.succeed(token, "replay-swap", fmt.Sprintf(`{"replay":%q}`, built.Replay), &swapped)
	if swapped.State != "swapped" {
		s.t.Errorf("%+v", swapped)
	}
	s.eraseCar("sim-1-000001")
	s.drained(token)
}
