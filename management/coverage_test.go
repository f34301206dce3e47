package management_test

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"testing"

	"github.com/carasso/carasso/internal/credential"
)

type coverageAnswer struct {
	K          int
	Suppressed int      `json:"suppressed_count"`
	SampleS    *float64 `json:"sample_s"`
	Groups     []struct {
		Class        string
		DrivenKM     *float64 `json:"driven_km"`
		Samples      *int64
		Segments     *int
		LengthKM     *float64 `json:"length_km"`
		MapSegments  int      `json:"map_segments"`
		MapLengthKM  float64  `json:"map_length_km"`
		SegmentShare *float64 `json:"segment_share"`
		Withheld     int      `json:"suppressed_segments"`
		Suppressed   bool
	}
	Freshness []struct {
		Class       string
		MapSegments int `json:"map_segments"`
		Segments    int
		P50         *float64 `json:"age_p50_s"`
		P95         *float64 `json:"age_p95_s"`
		Hour        *float64 `json:"within_hour_share"`
		Day         *float64 `json:"within_day_share"`
		Week        *float64 `json:"within_week_share"`
	}
	NextCursor string `json:"next_cursor"`
}

// What the answer says is what is counted from the town and the fake's speeds: 60 samples a segment, every tenth segment of too few cars.
func TestCoverageCountsSegmentsOfTheMap(t *testing.T) {
	b := newBench(t, nil)
	get := func(query string) (c coverageAnswer) {
		t.Helper()
		res, doc := b.do(t, "GET", "/v1/trends/coverage?"+query, b.token(t, credential.Analyst), nil)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", query, res.StatusCode, doc)
		}
		if err := json.Unmarshal(doc, &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	tn := b.store.town
	type count struct {
		there, shown, withheld int
		lengthM, drivenM       float64
	}
	want := map[string]*count{}
	of := func(class string) *count {
		if want[class] == nil {
			want[class] = &count{}
		}
		return want[class]
	}
	for _, id := range tn.order {
		of(tn.segments[id].Class.String()).there += 2
	}
	for e := range tn.edges() {
		seg := tn.segments[e.Segment()]
		c := of(seg.Class.String())
		if e.Segment()%10 == 0 {
			c.withheld++
			continue
		}
		c.shown++
		c.lengthM += seg.LengthM
		c.drivenM += 60 * tn.speeds[e] / 3.6 * 2 // a sample stands for 2 s
	}
	c := get("")
	if len(c.Groups) != len(want) || c.Suppressed != 0 || c.SampleS == nil || *c.SampleS != 2 || c.NextCursor != "" {
		t.Fatalf("%+v", c)
	}
	for _, g := range c.Groups {
		w := want[g.Class]
		if g.MapSegments != w.there || *g.Segments != w.shown || g.Withheld != w.withheld || *g.Samples != int64(60*w.shown) ||
			math.Abs(*g.LengthKM-w.lengthM/1000) > 0.001 || math.Abs(*g.SegmentShare-float64(w.shown)/float64(w.there)) > 1e-4 {
			t.Errorf("%s: %+v, want %+v", g.Class, g, w)
		}
		// The fake's speeds lie within ±4 km/h of the town's.
		if math.Abs(*g.DrivenKM*1000/w.drivenM-1) > 0.05 {
			t.Errorf("%s: %v km driven, want about %.1f", g.Class, *g.DrivenKM, w.drivenM/1000)
		}
	}
	for _, f := range c.Freshness {
		if f.MapSegments != want[f.Class].there || f.Segments == 0 || *f.P50 > *f.P95 || *f.Hour > *f.Day || *f.Day > *f.Week || *f.Hour == 0 || *f.Week >= 1 {
			t.Errorf("freshness %+v", f)
		}
	}
	// Pages hold the groups of the whole, and the first alone tells freshness.
	first := get("limit=1")
	second := get("limit=1&cursor=" + first.NextCursor)
	if len(first.Groups) != 1 || len(second.Groups) != 1 || first.Groups[0].Class != c.Groups[0].Class || second.Groups[0].Class != c.Groups[1].Class ||
		len(first.Freshness) != len(c.Freshness) || len(second.Freshness) != 0 || second.NextCursor != "" {
		t.Errorf("pages %+v, %+v", first, second)
	}
	// What few cars drove on is neither told nor added.
	only := ""
	for e := range tn.edges() {
		if e.Segment()%10 == 0 {
			only = strconv.FormatUint(uint64(e), 10)
			break
		}
	}
	few := get("edges=" + only)
	var driven int
	for _, g := range few.Groups {
		if g.Suppressed {
			driven++
			if g.Samples != nil || g.DrivenKM != nil || g.SegmentShare != nil || g.Withheld != 1 || g.MapSegments != 1 {
				t.Errorf("suppressed, yet %+v", g)
			}
		}
	}
	if driven != 1 || few.Suppressed != 1 {
		t.Errorf("%+v", few)
	}
}
