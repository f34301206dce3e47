package management_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

var _ management.Store = (*postgres.DB)(nil)

// What a worker commits is what the API tells.
func TestAnswersFromPostgreSQL(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	db := openDatabase(t)
	b := newBench(t, func(_ *management.Config, d *management.Deps) { d.Store = db })
	now := time.Now().UTC()
	// Claims are kept by day of the batch id's time.
	stamp := fmt.Sprintf("%012x", now.UnixMilli())
	ids := []string{stamp[:8] + "-" + stamp[8:] + "-7b7a-8f3e-000000000001", stamp[:8] + "-" + stamp[8:] + "-7b7a-8f3e-000000000002"}
	edge := b.store.town.sorted()[0]
	commit(ctx, t, db, now, ids, learn.BucketStart(now.UnixMilli()), uint64(edge))

	get := func(path string, v any) {
		t.Helper()
		res, doc := b.do(t, "GET", path, b.token(t, credential.Analyst), nil)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, res.StatusCode, doc)
		}
		if err := json.Unmarshal(doc, v); err != nil {
			t.Fatal(err)
		}
	}
	var l struct {
		Balanced   bool
		Totals     map[string]int
		Crosscheck struct {
			ClaimedBatches int `json:"claimed_batches"`
			Consistent     bool
		}
	}
	get("/v1/ledger?claims=true&to="+now.Add(time.Minute).Format(time.RFC3339), &l)
	if !l.Balanced || l.Totals["archived"] != 2 || l.Totals["accepted_samples"] != 20 || l.Crosscheck.ClaimedBatches != 2 || !l.Crosscheck.Consistent {
		t.Errorf("ledger %+v", l)
	}
	var p struct {
		ProcessedPerS float64 `json:"processed_batches_per_s"`
		Totals        struct{ Archived int }
		Database      struct{ OK bool }
	}
	get("/v1/pipeline", &p)
	if p.ProcessedPerS != 0.2 || p.Totals.Archived != 2 || !p.Database.OK {
		t.Errorf("pipeline %+v", p)
	}
	var c collection
	get("/v1/segments?"+area, &c)
	if len(c.Features) != 1 || c.Features[0].ID != uint64(edge) || c.Features[0].Properties.Samples == nil || *c.Features[0].Properties.Samples != 40 || *c.Features[0].Properties.MeanKMH != 36 {
		t.Errorf("segments %+v", c)
	}
	body := `{"batches":[{"vehicle_id":"car","batch_id":"` + ids[1] + `"},{"vehicle_id":"other","batch_id":"` + ids[0] + `"}]}`
	_, doc := b.do(t, "POST", "/v1/ledger/batches", b.token(t, credential.Operator), strings.NewReader(body))
	if strings.TrimSpace(string(doc)) != `{"found":1,"samples":10,"missing":[1]}` {
		t.Errorf("batches %s", doc)
	}
}

func commit(ctx context.Context, t *testing.T, db *postgres.DB, at time.Time, ids []string, bucket int64, edge uint64) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var claims []telemetry.ClaimID
	for _, id := range ids {
		var raw telemetry.BatchID
		for i, c := range strings.ReplaceAll(id, "-", "") {
			raw[i/2] = raw[i/2]<<4 | byte(strings.IndexRune("0123456789abcdef", c))
		}
		claim := fakeRing{}.ClaimID("car", raw)
		claims = append(claims, claim)
	}
	slices.SortFunc(claims, func(a, b telemetry.ClaimID) int { return slices.Compare(a[:], b[:]) })
	f, err := db.BeginFlush(ctx)
	check(err)
	defer f.Rollback(ctx)
	h := telemetry.Header{Receiver: telemetry.ReceiverID{5}, Seq: 1, AcceptedAt: at.UnixMilli(), Batches: 2, Samples: 20, TotalBatches: 2, TotalSamples: 20}
	fresh := make([]bool, 2)
	check(f.Envelopes(ctx, []*telemetry.Header{&h}, fresh[:1]))
	check(f.Claim(ctx, claims, []int16{10, 10}, fresh))
	row := learn.SpeedRow{BucketMS: bucket, Edge: edge}
	for i := range uint64(40) {
		row.Add(1000, i%8)
	}
	check(f.Speeds(ctx, []learn.SpeedRow{row}))
	check(f.Settle(ctx, []ledger.Envelope{{Header: h, Archived: 2, ArchivedSamples: 20}}, nil))
	check(f.Commit(ctx, ledger.Flush{Worker: "w", Batches: 2, Samples: 20, MapVersion: "m"}))
}
