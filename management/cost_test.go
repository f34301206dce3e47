package management_test

import (
	"encoding/json"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/management"
)

func TestCost(t *testing.T) {
	b := newBench(t, func(_ *management.Config, d *management.Deps) {
		d.Now = func() time.Time { return time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC) }
	})
	res, doc := b.do(t, http.MethodGet, "/v1/cost?region=us-east-1", b.token(t, credential.Operator), nil)
	type bill struct {
		Samples  float64
		KM       float64
		Variable float64 `json:"variable_usd"`
		USD      float64
		Million  float64 `json:"variable_usd_per_million_samples"`
		Thousand float64 `json:"variable_usd_per_1000_km"`
	}
	var got struct {
		Region string
		AsOf   string `json:"prices_as_of"`
		Hour   bill   `json:"last_hour"`
		Day    bill   `json:"last_day"`
	}
	if err := json.Unmarshal(doc, &got); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s: %v", res.StatusCode, doc, err)
	}
	// 12,000 requests, 120 PUTs, 600 write units, 50 MB for 13 months, 720 vCPU-seconds and twice as many GB-seconds.
	want := 12_000*0.40/1e6 + 120*0.005/1e3 + 600*0.625/1e6 + 0.05*13*0.023 + 720.0/3600*(0.03238+2*0.00356)
	if math.Abs(got.Hour.Variable-want) > 1e-6 || math.Abs(got.Day.Variable-24*want) > 1e-5 || got.Hour.USD <= got.Hour.Variable {
		t.Errorf("the hour costs %v, the day %v; want %v and 24 times that: %s", got.Hour.Variable, got.Day.Variable, want, doc)
	}
	if math.Abs(got.Hour.Million-want/3.6) > 1e-6 || math.Abs(got.Hour.Thousand-want/50) > 1e-6 || got.Hour.KM != 50_000 || got.AsOf == "" {
		t.Errorf("%+v", got.Hour)
	}
	if res, _ := b.do(t, http.MethodGet, "/v1/cost?region=mars-1", b.token(t, credential.Operator), nil); res.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown region: %d", res.StatusCode)
	}
	if res, _ := b.do(t, http.MethodGet, "/v1/cost", b.token(t, credential.Analyst), nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("an analyst: %d", res.StatusCode)
	}
	if b.server.Sent() == 0 {
		t.Error("no answer was weighed")
	}
}
