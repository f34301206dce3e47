package management_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/credential"
)

func TestWhyIsThisCarSilent(t *testing.T) {
	b := newBench(t, nil)
	for _, tt := range []struct {
		name, body string
		role       credential.Role
		status     int
		wants      string
	}{
		{"refused", `{"vehicle_id":"WBA-4711"}`, credential.Operator, 200, `"reason":"rejected","known":true,"credential":{"kind":"token","expired_since":null}`},
		{"unknown", `{"vehicle_id":"WBA-1"}`, credential.Operator, 200, `"reason":"unknown","known":false,"credential":null,"last_accepted":null`},
		{"an analyst", `{"vehicle_id":"WBA-4711"}`, credential.Analyst, 403, "operator"},
		{"no id", `{}`, credential.Operator, 400, "/vehicle_id"},
		{"too long", `{"vehicle_id":"` + strings.Repeat("x", 129) + `"}`, credential.Operator, 400, "/vehicle_id"},
		{"no JSON", `WBA-4711`, credential.Operator, 400, "expected JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, doc := b.do(t, http.MethodPost, "/v1/vehicles:status", b.token(t, tt.role), strings.NewReader(tt.body))
			if res.StatusCode != tt.status || !strings.Contains(string(doc), tt.wants) || strings.Contains(string(doc), "WBA") && tt.status == 200 {
				t.Errorf("%d %s, want %d %s", res.StatusCode, doc, tt.status, tt.wants)
			}
		})
	}
	// Who asked is known, about whom is not.
	log := b.store.audited()
	if len(log) != 2 || log[0].Action != "vehicle.look_up" {
		t.Fatalf("%+v", log)
	}
	if all, _ := json.Marshal(log); strings.Contains(string(all), "4711") {
		t.Errorf("the vehicle's id is in the audit log: %s", all)
	}
}

func TestVehicleSummary(t *testing.T) {
	b := newBench(t, nil)
	res, doc := b.do(t, http.MethodGet, "/v1/vehicles/summary?silence_s=7200", b.token(t, credential.Operator), nil)
	var got struct {
		Hour    int64 `json:"seen_last_hour"`
		Day     int64 `json:"seen_last_day"`
		Known   int64
		Silence float64                   `json:"silence_s"`
		Refused []struct{ Reason string } `json:"refused_last_day"`
	}
	if err := json.Unmarshal(doc, &got); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s: %v", res.StatusCode, doc, err)
	}
	if got.Hour != 40 || got.Day != 40 || got.Known != 40 || got.Silence != 7200 || len(got.Refused) != 2 || got.Refused[0].Reason != "rate-limited" {
		t.Errorf("%s", doc)
	}
	for path, status := range map[string]int{"?silence_s=60": 400, "?silence_s=x": 400, "?hours=2": 400, "": 200} {
		if res, doc := b.do(t, http.MethodGet, "/v1/vehicles/summary"+path, b.token(t, credential.Operator), nil); res.StatusCode != status {
			t.Errorf("%s: %d %s", path, res.StatusCode, doc)
		}
	}
	if res, _ := b.do(t, http.MethodGet, "/v1/vehicles/summary", b.token(t, credential.Analyst), nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("an analyst: %d", res.StatusCode)
	}
}
