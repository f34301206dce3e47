package management_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/management"
)

// featureList is a GeoJSON answer as the tests read it.
type featureList struct {
	Features []struct {
		ID         uint64
		Geometry   struct{ Type string }
		Properties map[string]any
	}
	NextCursor string `json:"next_cursor"`
}

func (b *bench) features(t *testing.T, path string) featureList {
	t.Helper()
	res, doc := b.do(t, "GET", path, b.token(t, credential.Analyst), nil)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/geo+json" {
		t.Fatalf("%s: %d %s: %s", path, res.StatusCode, res.Header.Get("Content-Type"), doc)
	}
	var c featureList
	if err := json.Unmarshal(doc, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHazardsInAnArea(t *testing.T) {
	b := newBench(t, nil)
	if got := b.features(t, "/v1/hazards"); len(got.Features) != 2 || got.Features[0].Properties["category"] != "slippery_road" {
		t.Errorf("active: %+v", got)
	}
	if got := b.features(t, fmt.Sprintf("/v1/hazards?ended_since=%d", time.Now().Add(-time.Hour).UnixMilli())); len(got.Features) != 3 || got.Features[2].Properties["ended"] == nil {
		t.Errorf("with ended ones: %+v", got)
	}
	if got := b.features(t, "/v1/hazards?bbox=10,42,11,43"); len(got.Features) != 0 {
		t.Errorf("elsewhere: %+v", got)
	}
}

// Pages of hazards add up, and the area counts before the limit does.
func TestHazardsInPages(t *testing.T) {
	b := newBench(t, nil)
	since := fmt.Sprintf("&ended_since=%d", time.Now().Add(-time.Hour).UnixMilli())
	var ids []uint64
	cursor := ""
	for range 4 {
		page := b.features(t, "/v1/hazards?limit=1"+since+cursor)
		if len(page.Features) != 1 {
			t.Fatalf("a page of one: %+v", page)
		}
		ids = append(ids, page.Features[0].ID)
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + page.NextCursor
	}
	if !slices.Equal(ids, []uint64{11, 12, 13}) {
		t.Errorf("in all pages: %d", ids)
	}
	last := b.store.town.hazards()[2].At
	box := fmt.Sprintf("&bbox=%f,%f,%f,%f", last.Lon()-1e-5, last.Lat()-1e-5, last.Lon()+1e-5, last.Lat()+1e-5)
	if page := b.features(t, "/v1/hazards?limit=1"+since+box); len(page.Features) != 1 || page.Features[0].ID != 13 || page.NextCursor != "" {
		t.Errorf("around the last: %+v", page)
	}
	for _, query := range []string{"limit=0", "limit=10001", "limit=x", "cursor=-1", "cursor=x"} {
		if res, doc := b.do(t, "GET", "/v1/hazards?"+query, b.token(t, credential.Analyst), nil); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, res.StatusCode, doc)
		}
	}
}

func TestLimitsInAnArea(t *testing.T) {
	b := newBench(t, nil)
	all := b.store.town.learnedLimits()
	got := b.features(t, "/v1/limits?"+area)
	if len(got.Features) != len(all) {
		t.Fatalf("%d limits, want %d", len(got.Features), len(all))
	}
	first := got.Features[0].Properties
	if first["learned"] != float64(all[0].KMH) || first["map"] != float64(all[0].MapKMH) || first["differs"] != true || first["posterior"] != 0.9876 {
		t.Errorf("the first: %v", first)
	}
	for i, f := range got.Features {
		if want := all[i].SinceMS != 0; (f.Properties["since"] != nil) != want {
			t.Errorf("edge %d: since %v of %d", f.ID, f.Properties["since"], all[i].SinceMS)
		}
	}
	if v, ok := first["variants"].([]any); !ok || len(v) != 2 {
		t.Errorf("variants: %v", first["variants"])
	}
	differ := 0
	for _, f := range got.Features {
		if f.Properties["differs"] == true {
			differ++
		}
	}
	if n := len(b.features(t, "/v1/limits?differs=true&"+area).Features); n != differ || n == 0 || n == len(all) {
		t.Errorf("%d differ, want %d of %d", n, differ, len(all))
	}

	// Pages add up, and none is told twice.
	seen := map[uint64]bool{}
	cursor := ""
	for range len(all) + 2 {
		page := b.features(t, "/v1/limits?limit=7&geometry=false&"+area+cursor)
		for _, f := range page.Features {
			if seen[f.ID] || f.Geometry.Type != "" {
				t.Fatalf("edge %d: told twice, or with a geometry", f.ID)
			}
			seen[f.ID] = true
		}
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + page.NextCursor
	}
	if len(seen) != len(all) {
		t.Errorf("%d in all pages, want %d", len(seen), len(all))
	}
}

func TestLimitsOfFewVehiclesAreWithheld(t *testing.T) {
	b := newBench(t, func(c *management.Config, _ *management.Deps) { c.K = 13 })
	if got := b.features(t, "/v1/limits?"+area); len(got.Features) != 0 {
		t.Errorf("%d limits of 12 vehicles told, where 13 are wanted", len(got.Features))
	}
}

func TestMapErrorsAndTheirReview(t *testing.T) {
	b := newBench(t, nil)
	got := b.features(t, "/v1/map-errors")
	if len(got.Features) != 2 { // the third is of two vehicles, the fourth rejected
		t.Fatalf("open: %+v", got)
	}
	if f := got.Features[0]; f.Properties["type"] != "missing_road" || f.Geometry.Type != "LineString" {
		t.Errorf("a missing road: %+v", f)
	}
	if f := got.Features[1]; f.Properties["type"] != "wrong_oneway" || f.Geometry.Type != "LineString" || f.Properties["name"] == "" {
		t.Errorf("a wrong one-way: %+v", f)
	}
	if got := b.features(t, "/v1/map-errors?status=rejected"); len(got.Features) != 1 || got.Features[0].Geometry.Type != "Point" {
		t.Errorf("rejected, on a road that the map no longer has: %+v", got)
	}
	if got := b.features(t, "/v1/map-errors?status=any&limit=1"); got.NextCursor != "21" {
		t.Errorf("a first page: %+v", got)
	}
	for _, tt := range []struct {
		name, id, body string
		role           credential.Role
		status         int
		wants          string
	}{
		{"accepted", "21", `{"status":"accepted"}`, credential.Operator, 200, `"accepted"`},
		{"opened again", "21", `{"status":"open"}`, credential.Admin, 200, `"open"`},
		{"an analyst", "21", `{"status":"accepted"}`, credential.Analyst, 403, "operator"},
		{"unknown", "99", `{"status":"accepted"}`, credential.Operator, 404, "/v1/map-errors"},
		{"not a state", "21", `{"status":"gone"}`, credential.Operator, 400, "/status"},
		{"not JSON", "21", `accepted`, credential.Operator, 400, "expected JSON"},
		{"not an id", "x1", `{"status":"accepted"}`, credential.Operator, 400, "x1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, doc := b.do(t, "PUT", "/v1/map-errors/"+tt.id+"/status", b.token(t, tt.role), strings.NewReader(tt.body))
			if res.StatusCode != tt.status || !strings.Contains(string(doc), tt.wants) {
				t.Errorf("%d %s", res.StatusCode, doc)
			}
		})
	}
}

func TestHistoryOfALimit(t *testing.T) {
	b := newBench(t, nil)
	edges := b.store.town.sorted()
	res, doc := b.do(t, "GET", fmt.Sprintf("/v1/segments/%d/limits", edges[0]), b.token(t, credential.Analyst), nil)
	if res.StatusCode != http.StatusOK || !strings.Contains(string(doc), `"changes":[{"from":50,"to":70,"at":"2026-11-23T16:40:00Z"},{"from":null,"to":50`) {
		t.Errorf("%d %s", res.StatusCode, doc)
	}
	if res, doc := b.do(t, "GET", "/v1/segments/77/limits", b.token(t, credential.Analyst), nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown segment: %d %s", res.StatusCode, doc)
	}
}

func TestBadQuestionsAboutWhatWasLearned(t *testing.T) {
	b := newBench(t, nil)
	for path, wants := range map[string]string{
		"/v1/limits":                                   "bbox is missing",
		"/v1/limits?bbox=-10,30,20,60":                 "map tiles",
		"/v1/limits?" + area + "&cursor=x":             "next_cursor",
		"/v1/limits?" + area + "&differs=maybe":        "true or false",
		"/v1/hazards?ended_since=1995-01-01T00:00:00Z": "7 days",
		"/v1/map-errors?status=closed":                 "one of open",
		"/v1/map-errors?bbox=-10,30,20,60":             "map tiles",
		"/v1/segments/0/limits":                        "directed segment",
	} {
		res, doc := b.do(t, "GET", path, b.token(t, credential.Analyst), nil)
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(doc), wants) {
			t.Errorf("%s: %d %s, want %q", path, res.StatusCode, doc, wants)
		}
	}
}
