package management_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/management"
)

const area = "bbox=1.45,42.45,1.60,42.56"

func TestRoles(t *testing.T) {
	b := newBench(t, nil)
	vehicle, err := b.issuer.Vehicle("car-1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := b.issuer.Role("old", credential.Admin, -time.Hour)
	if err != nil {
		expired = "not.a.token"
	}
	const lookup = `{"batches":[{"vehicle_id":"car-1","batch_id":"0193a5f0-7c1e-7b7a-8f3e-2d4c6b8a0e12"}]}`
	for _, tt := range []struct {
		name, method, path, token, body string
		status                          int
		challenge                       string
	}{
		{"no token", "GET", "/v1/ledger", "", "", 401, `Bearer realm="carasso"`},
		{"garbage", "GET", "/v1/ledger", "garbage", "", 401, `error="invalid_token"`},
		{"expired", "GET", "/v1/ledger", expired, "", 401, `error="invalid_token"`},
		{"vehicle", "GET", "/v1/pipeline", vehicle, "", 403, `error="insufficient_scope"`},
		{"analyst reads", "GET", "/v1/ledger", b.token(t, credential.Analyst), "", 200, ""},
		{"analyst looks batches up", "POST", "/v1/ledger/batches", b.token(t, credential.Analyst), lookup, 403, `scope="operator"`},
		{"operator looks batches up", "POST", "/v1/ledger/batches", b.token(t, credential.Operator), lookup, 200, ""},
		{"operator reads", "GET", "/v1/segments?" + area, b.token(t, credential.Operator), "", 200, ""},
		{"admin looks batches up", "POST", "/v1/ledger/batches", b.token(t, credential.Admin), lookup, 200, ""},
		{"stream without token", "GET", "/v1/pipeline/stream", "", "", 401, "Bearer"},
		{"the page is public", "GET", "/", "", "", 200, ""},
		{"the description is public", "GET", "/openapi.json", "", "", 200, ""},
		{"tiles are public", "GET", "/v1/tiles.json", "", "", 200, ""},
		{"unknown path", "GET", "/v1/nothing", "", "", 404, ""},
		{"unknown method", "DELETE", "/v1/ledger", "", "", 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var body *strings.Reader
			res, doc := b.do(t, tt.method, tt.path, tt.token, nil)
			if tt.body != "" {
				body = strings.NewReader(tt.body)
				res, doc = b.do(t, tt.method, tt.path, tt.token, body)
			}
			if res.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", res.StatusCode, tt.status, doc)
			}
			if !strings.Contains(res.Header.Get("WWW-Authenticate"), tt.challenge) {
				t.Errorf("WWW-Authenticate %q, want %q in it", res.Header.Get("WWW-Authenticate"), tt.challenge)
			}
			if tt.status >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %q of a problem", res.Header.Get("Content-Type"))
			}
			if tt.token != "" && res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q behind a role", res.Header.Get("Cache-Control"))
			}
		})
	}
}

func TestParametersAreCheckedByName(t *testing.T) {
	b := newBench(t, nil)
	token := b.token(t, credential.Operator)
	for path, names := range map[string][]string{
		"/v1/ledger?from=yesterday":                                    {"from", "RFC 3339"},
		"/v1/ledger?from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z": {"from", "earlier"},
		"/v1/ledger?from=2026-01-01T00:00:00Z&to=2026-11-01T00:00:00Z": {"from", "31 days"},
		"/v1/ledger?from=4000000000000000&to=4000000001000000":         {"to", "up to the year"},
		"/v1/ledger?from=-4000000001000000&to=-4000000000000000":       {"to", "RFC 3339"},
		"/v1/ledger?to=9999-12-31T23:59:59-23:59":                      {"to", "up to the year"},
		"/v1/ledger?by=day":                                              {"by", "hour, receiver"},
		"/v1/ledger?claims=yes":                                          {"claims", "true or false"},
		"/v1/ledger?form=2026-01-01T00:00:00Z":                           {"form", "from, to"},
		"/v1/ledger?by=hour&by=receiver":                                 {"by", "once"},
		"/v1/ledger?to=%zz":                                              {"query"},
		"/v1/segments":                                                   {"bbox", "west,south,east,north"},
		"/v1/segments?bbox=1,2,3":                                        {"bbox", "3 numbers"},
		"/v1/segments?bbox=1.5,42.5,1.4,42.6":                            {"bbox", "west < east"},
		"/v1/segments?bbox=NaN,42.5,1.6,42.6":                            {"bbox", "NaN"},
		"/v1/segments?bbox=-10,30,20,50":                                 {"bbox", "at most 1024 tiles"},
		"/v1/segments?" + area + "&limit=0":                              {"limit", "1 to 10000"},
		"/v1/segments?" + area + "&limit=100000":                         {"limit", "1 to 10000"},
		"/v1/segments?" + area + "&cursor=x":                             {"cursor", "next_cursor"},
		"/v1/segments?" + area + "&geometry=no":                          {"geometry"},
		"/v1/segments/abc/speeds":                                        {"edge"},
		"/v1/segments/9007199254740992/speeds":                           {"edge"},
		"/v1/segments/1/speeds?from=" + strings.Repeat("9", 400) + "999": {"from", "…"},
	} {
		res, doc := b.do(t, "GET", path, token, nil)
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d: %s", path, res.StatusCode, doc)
			continue
		}
		for _, name := range names {
			if !strings.Contains(string(doc), name) && !strings.Contains(string(doc), strings.ReplaceAll(name, "<", `\u003c`)) {
				t.Errorf("%s: %q is not in %s", path, name, doc)
			}
		}
	}
	for body, want := range map[string]string{
		``: "not the expected JSON", `{}`: "There are 0", `{"batches":[]}`: "There are 0", `[`: "not the expected JSON",
		`{"batches":[{"vehicle_id":"a","batch_id":"x"}]}`:                                         "/batches/0/batch_id",
		`{"batches":[{"vehicle_id":"","batch_id":"0193a5f0-7c1e-7b7a-8f3e-2d4c6b8a0e12"}]}`:       "/batches/0/vehicle_id",
		`{"batches":[` + strings.Repeat(`{},`, 10_000) + `{}]}`:                                   "10001",
		`{"batches":[{"vehicle_id":"a","batch_id":"0193a5f0-7c1e-7b7a-8f3e-2d4c6b8a0eXX"}]}`:      "/batches/0/batch_id",
		`{"batches":[{"vehicle_id":"` + strings.Repeat("v", 3<<20) + `","batch_id":"0193a5f0"}]}`: "too-large",
	} {
		res, doc := b.do(t, "POST", "/v1/ledger/batches", token, strings.NewReader(body))
		if res.StatusCode < 400 || res.StatusCode >= 500 || !strings.Contains(string(doc), want) {
			t.Errorf("body %.60q: %d %s, want %q", body, res.StatusCode, doc, want)
		}
	}
}

type collection struct {
	Features []struct {
		ID         uint64
		Geometry   *struct{ Coordinates [][2]float64 }
		Properties struct {
			Edge, Segment uint64
			Direction     string
			Class         string
			LengthM       *float64 `json:"length_m"`
			Samples       *int
			Vehicles      *int
			MeanKMH       *float64 `json:"mean_kmh"`
			Suppressed    bool
		}
	}
	SuppressedCount int    `json:"suppressed_count"`
	NextCursor      string `json:"next_cursor"`
}

func (b *bench) segments(t *testing.T, query string) (c collection) {
	t.Helper()
	res, doc := b.do(t, "GET", "/v1/segments?"+query, b.token(t, credential.Analyst), nil)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", query, res.StatusCode, doc)
	}
	if err := json.Unmarshal(doc, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSegmentsPagesAndAnonymity(t *testing.T) {
	b := newBench(t, nil)
	whole := b.segments(t, area)
	if len(whole.Features) != len(b.store.town.speeds) || whole.NextCursor != "" {
		t.Fatalf("%d features, cursor %q; want all %d", len(whole.Features), whole.NextCursor, len(b.store.town.speeds))
	}
	suppressed := 0
	for _, f := range whole.Features {
		p := f.Properties
		if (p.Segment%10 == 0) != p.Suppressed || p.Suppressed != (p.MeanKMH == nil) {
			t.Errorf("edge %d: suppressed %v, mean %v", p.Edge, p.Suppressed, p.MeanKMH)
		}
		if p.Suppressed {
			suppressed++
		}
		// Counts along the roads would follow a single car.
		if p.Suppressed != (p.Samples == nil) || p.Suppressed != (p.Vehicles == nil) {
			t.Errorf("edge %d: suppressed %v, samples %v, vehicles %v", p.Edge, p.Suppressed, p.Samples, p.Vehicles)
		}
		if !p.Suppressed && (*p.Samples != 60 || *p.Vehicles != 9) {
			t.Errorf("edge %d: %d samples of %d vehicles, want 60 of 9", p.Edge, *p.Samples, *p.Vehicles)
		}
		if p.Class == "" || p.LengthM == nil || f.Geometry == nil {
			t.Errorf("edge %d: the road is withheld: %+v", p.Edge, f)
		}
		seg := b.store.town.segments[b.store.town.sorted()[0].Segment()]
		if p.Edge == uint64(seg.ID.Edge(true)) && f.Geometry.Coordinates[0] != [2]float64{seg.Shape[2].Lon(), seg.Shape[2].Lat()} {
			t.Errorf("edge %d does not run in its direction of travel", p.Edge)
		}
	}
	if suppressed != whole.SuppressedCount || suppressed == 0 {
		t.Errorf("suppressed_count %d, want %d", whole.SuppressedCount, suppressed)
	}
	var paged []uint64
	for cursor := ""; ; {
		page := b.segments(t, area+"&limit=7&geometry=false"+cursor)
		for _, f := range page.Features {
			paged = append(paged, f.ID)
			if f.Geometry != nil {
				t.Fatal("geometry was not wanted")
			}
		}
		if len(page.Features) > 7 {
			t.Fatalf("a page of %d", len(page.Features))
		}
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + page.NextCursor
	}
	if len(paged) != len(whole.Features) {
		t.Fatalf("%d features in pages, want %d", len(paged), len(whole.Features))
	}
	for i, id := range paged {
		if id != whole.Features[i].ID {
			t.Fatalf("feature %d of the pages is %d, want %d", i, id, whole.Features[i].ID)
		}
	}
	// Two halves of the area share no segment and miss none.
	west, east := b.segments(t, "bbox=1.45,42.45,1.53,42.56"), b.segments(t, "bbox=1.53,42.45,1.60,42.56")
	if len(west.Features) == 0 || len(east.Features) == 0 || len(west.Features)+len(east.Features) != len(whole.Features) {
		t.Errorf("%d in the west and %d in the east make not %d", len(west.Features), len(east.Features), len(whole.Features))
	}
}

func TestBucketsOfFewVehiclesHaveNoCounts(t *testing.T) {
	b := newBench(t, nil)
	edge := b.store.town.sorted()[0]
	res, raw := b.do(t, "GET", fmt.Sprintf("/v1/segments/%d/speeds", edge), b.token(t, credential.Analyst), nil)
	var doc struct {
		Buckets []struct {
			Samples, Vehicles *int
			Suppressed        bool
		}
		SuppressedCount int `json:"suppressed_count"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %v: %s", res.StatusCode, err, raw)
	}
	suppressed := 0
	for i, k := range doc.Buckets {
		if k.Suppressed {
			suppressed++
		}
		if k.Suppressed != (k.Samples == nil) || k.Suppressed != (k.Vehicles == nil) {
			t.Errorf("bucket %d: suppressed %v, samples %v, vehicles %v", i, k.Suppressed, k.Samples, k.Vehicles)
		}
	}
	if suppressed == 0 || suppressed == len(doc.Buckets) || suppressed != doc.SuppressedCount {
		t.Errorf("%d of %d buckets suppressed, suppressed_count %d", suppressed, len(doc.Buckets), doc.SuppressedCount)
	}
}

func TestRefusedMethodsNameTheAllowedOnes(t *testing.T) {
	b := newBench(t, nil)
	for _, tt := range []struct{ method, path, allow string }{
		{"DELETE", "/v1/ledger", "GET"},
		{"GET", "/v1/ledger/batches", "POST"},
		{"POST", "/v1/segments/42/speeds", "GET"},
		{"PUT", "/v1/tiles.json", "GET, HEAD, OPTIONS"},
		{"POST", "/", "GET"},
	} {
		res, doc := b.do(t, tt.method, tt.path, "", nil)
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q, want %q: %s", tt.method, tt.path, res.StatusCode, res.Header.Get("Allow"), tt.allow, doc)
		}
	}
}

func TestPipelineIsSharedAndSurvivesTheDatabase(t *testing.T) {
	clock := time.Now()
	var mu sync.Mutex
	b := newBench(t, func(c *management.Config, d *management.Deps) {
		d.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return clock
		}
	})
	token := b.token(t, credential.Analyst)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { b.do(t, "GET", "/v1/pipeline", token, nil) })
	}
	wg.Wait()
	if b.store.activity != 1 {
		t.Errorf("20 askers caused %d looks", b.store.activity)
	}
	b.store.fail(errors.New("connection refused"))
	mu.Lock()
	clock = clock.Add(time.Minute)
	mu.Unlock()
	res, doc := b.do(t, "GET", "/v1/pipeline", token, nil)
	var p struct {
		Database  struct{ OK bool }
		Totals    struct{ Handled int }
		Freshness map[string]struct {
			P95S      float64 `json:"p95_s"`
			EventP95S float64 `json:"event_p95_s"`
			LateShare float64 `json:"late_share"`
		}
		LagS float64 `json:"lag_s"`
	}
	if err := json.Unmarshal(doc, &p); err != nil || res.StatusCode != http.StatusOK || p.Database.OK {
		t.Errorf("with the database away: %d %s", res.StatusCode, doc)
	}
	if p.Totals.Handled != 1010 || p.LagS != 0.6 || p.Freshness["speeds"].P95S == 0 || p.Freshness["speeds"].EventP95S != 11.4 || p.Freshness["speeds"].LateShare != 0.2 {
		t.Errorf("figures %s", doc)
	}
	if res, doc := b.do(t, "GET", "/v1/ledger", token, nil); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || strings.Contains(string(doc), "refused") {
		t.Errorf("ledger without a database: %d %s", res.StatusCode, doc)
	}
}

// A stream is held to no bound of a whole answer, only to one of each of its documents.
func TestStreamSendsAndEndsWithDrain(t *testing.T) {
	b := newBench(t, func(c *management.Config, _ *management.Deps) { c.MaxStreams = 1 })
	token := b.token(t, credential.Analyst)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/v1/pipeline/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() || lines.Text() != "event: pipeline" || !lines.Scan() || !strings.HasPrefix(lines.Text(), `data: {"at":`) {
		t.Fatalf("stream began with %q", lines.Text())
	}
	if res, doc := b.do(t, "GET", "/v1/pipeline/stream", token, nil); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a second stream: %d %s", res.StatusCode, doc)
	}
	for documents := 1; documents < 4; {
		if !lines.Scan() {
			t.Fatalf("it ended after %d documents: %v", documents, lines.Err())
		}
		if strings.HasPrefix(lines.Text(), "data: ") {
			documents++
		}
	}
	if err := b.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("stream ended with %v", err)
	}
}

func TestLedgerDocument(t *testing.T) {
	b := newBench(t, nil)
	token := b.token(t, credential.Analyst)
	for _, query := range []string{"", "?by=receiver", "?claims=true", "?from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z"} {
		res, doc := b.do(t, "GET", "/v1/ledger"+query, token, nil)
		var l struct {
			Rows []struct {
				Receiver string
				Gaps     []struct{ State string }
			}
			Totals     map[string]int
			Balanced   bool
			Crosscheck map[string]any
		}
		if err := json.Unmarshal(doc, &l); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", query, res.StatusCode, doc)
		}
		if !l.Balanced || l.Totals["in_flight"] != 48 || len(l.Rows) != 2 || len(l.Rows[1].Gaps) != 1 || l.Rows[1].Gaps[0].State != "in_flight" {
			t.Errorf("%s: %s", query, doc)
		}
		if (l.Rows[0].Receiver != "") != (query == "?by=receiver") {
			t.Errorf("%s: receiver %q", query, l.Rows[0].Receiver)
		}
		if fmt.Sprint(l.Crosscheck["claimed_batches"]) == "<nil>" == (query == "?claims=true") || l.Crosscheck["consistent"] != true {
			t.Errorf("%s: crosscheck %v", query, l.Crosscheck)
		}
	}
}
