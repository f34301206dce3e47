package management_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/carasso/carasso/internal/credential"
)

// Two versions are compared where both are driven by enough vehicles; else the answer names the one that is not.
func TestVersionsAreCompared(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	token := b.token(t, credential.Analyst)
	for _, tt := range []struct {
		baseline, candidate string
		absent              []string
		verdict             string // on signs
	}{
		{"23-07.1", "23-11.0", nil, "higher"},
		{"23-11.0", "23-07.1", nil, "lower"},
		{"23-07.1", "99-99.9", []string{"99-99.9"}, ""},
		{"24-03.0-alpha", "99-99.9", []string{"24-03.0-alpha", "99-99.9"}, ""}, // two vehicles are too few
	} {
		res, doc := b.do(t, "GET", "/v1/trends/sensor-health?baseline="+tt.baseline+"&candidate="+tt.candidate, token, nil)
		var got struct {
			Comparison struct {
				Absent   []string
				Measures []struct {
					Measure, Verdict string
					Difference       float64
				}
			}
		}
		if err := json.Unmarshal(doc, &got); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s: %v", res.StatusCode, doc, err)
		}
		c := got.Comparison
		if !slices.Equal(c.Absent, tt.absent) || (len(c.Measures) > 0) != (tt.absent == nil) {
			t.Errorf("%s and %s: absent %q, %d measures", tt.baseline, tt.candidate, c.Absent, len(c.Measures))
		}
		if len(c.Measures) > 0 && (c.Measures[0].Measure != "sign_disagreement" || c.Measures[0].Verdict != tt.verdict) {
			t.Errorf("%s and %s: %+v", tt.baseline, tt.candidate, c.Measures[0])
		}
	}
	if res, doc := b.do(t, "GET", "/v1/trends/sensor-health?baseline=23-07.1&candidate=23-07.1", token, nil); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a version and itself: %d %s", res.StatusCode, doc)
	}
}
