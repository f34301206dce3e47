package management_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/telemetry/ledger"
)

// fakeReplays are two: 7 is built, 6 was dropped.
func fakeReplays() []ledger.Replay {
	day := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	kmh := 43.2
	diff, _ := json.Marshal(ledger.ReplayDiff{Segments: []ledger.SegmentChange{{Edge: 12, LiveSamples: 3, LiveMeanKMH: &kmh}}})
	return []ledger.Replay{
		{ID: 7, From: day, To: day.AddDate(0, 0, 2), MapVersion: "m2", State: ledger.ReplayBuilt, CreatedAt: documentTime, BuiltAt: documentTime, Diff: diff},
		{ID: 6, From: day, To: day.AddDate(0, 0, 1), MapVersion: "m1", State: ledger.ReplayDropped, CreatedAt: documentTime, EndedAt: documentTime},
	}
}

func (s *fakeStore) Replays(_ context.Context, before int64, most int) (out []ledger.Replay, err error) {
	for _, r := range fakeReplays() {
		if (before == 0 || r.ID < before) && len(out) < most {
			out = append(out, r)
		}
	}
	return out, s.err
}

func (s *fakeStore) Replay(_ context.Context, id int64) (ledger.Replay, error) {
	for _, r := range fakeReplays() {
		if r.ID == id {
			return r, s.err
		}
	}
	return ledger.Replay{}, ledger.ErrNoReplay
}

func TestReplays(t *testing.T) {
	b := newBench(t, nil)
	token := b.token(t, credential.Analyst)
	res, doc := b.do(t, http.MethodGet, "/v1/replays?limit=1", token, nil)
	var page struct {
		Replays []struct {
			ID, From, To, State string
			Diff                *ledger.ReplayDiff
		}
		NextCursor string `json:"next_cursor"`
	}
	if err := json.Unmarshal(doc, &page); err != nil || res.StatusCode != http.StatusOK || page.NextCursor != "7" || len(page.Replays) != 1 {
		t.Fatalf("%d %s: %v", res.StatusCode, doc, err)
	}
	if r := page.Replays[0]; r.From != "2026-11-21" || r.To != "2026-11-22" || r.State != "built" || r.Diff == nil || *r.Diff.Segments[0].LiveMeanKMH != 43.2 {
		t.Errorf("%s", doc)
	}
	for path, want := range map[string]int{"/7": 200, "/8": 404, "/x": 404, "/7?a=b": 400} {
		if res, doc := b.do(t, http.MethodGet, "/v1/replays"+path, token, nil); res.StatusCode != want {
			t.Errorf("%s: %d %s", path, res.StatusCode, doc)
		}
	}
}
