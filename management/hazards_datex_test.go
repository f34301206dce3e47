package management_test

import (
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/management/datex"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

// feedDoc is what a reader of the DATEX II feed takes from it.
type feedDoc struct {
	Creator    string `xml:"publicationCreator>nationalIdentifier"`
	Situations []struct {
		ID     string `xml:"id,attr"`
		Record struct {
			Version int    `xml:"version,attr"`
			Road    string `xml:"locationReference>supplementaryPositionalDescription>roadInformation>roadName"`
			Bearing string `xml:"locationReference>pointByCoordinates>bearing"`
			Line    string `xml:"locationReference>gmlLineString>posList"`
			End     string `xml:"validity>validityTimeSpecification>overallEndTime"`
		} `xml:"situationRecord"`
	} `xml:"situation"`
}

// feed reads the feed and tells the answer's status and headers.
func (b *bench) feed(t *testing.T, query string, headers map[string]string) (doc feedDoc, status int, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/v1/datex/situations"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token(t, credential.Analyst))
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		if err := xml.Unmarshal(body, &doc); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	} else if res.StatusCode == http.StatusNotModified && len(body) > 0 {
		t.Errorf("304 with %q", body)
	}
	return doc, res.StatusCode, res.Header
}

// The feed of what PostgreSQL holds: versions grow, ends are told for an hour, and conditions are answered right.
func TestDatexFromPostgreSQL(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	db := openDatabase(t)
	now := time.Now()
	b := newBench(t, func(c *management.Config, d *management.Deps) {
		c.Publisher = datex.Publisher{Country: "ad", Identifier: "MOB"}
		d.Store, d.Now = db, func() time.Time { return now }
	})
	h := func(id uint64, endedAgo time.Duration) hazard.Hazard {
		edge := b.store.town.sorted()[10]
		x := hazard.Hazard{
			ID: id, Category: telemetry.Obstacle, Edge: edge, Edges: append(b.store.town.sorted()[:0:0], edge), At: geo.At(42.5, 1.51), Probability: 0.9,
			StartedMS: now.Add(-3 * time.Hour).UnixMilli(), UpdatedMS: now.Add(-2 * time.Hour).UnixMilli(),
		}
		if endedAgo > 0 {
			x.EndedMS = now.Add(-endedAgo).UnixMilli()
		}
		return x
	}
	store := func(hs ...hazard.Hazard) {
		t.Helper()
		if err := db.StoreHazards(ctx, hs); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(doc feedDoc) (ids []string) {
		for i := range doc.Situations {
			ids = append(ids, doc.Situations[i].ID)
		}
		return ids
	}
	store(h(1, 0), h(2, 30*time.Minute), h(3, 90*time.Minute))
	now = time.Now().Add(time.Minute)
	doc, _, header := b.feed(t, "", nil)
	etag, modified := header.Get("ETag"), header.Get("Last-Modified")
	if got := ids(doc); !slices.Equal(got, []string{"MOB_1", "MOB_2"}) || doc.Creator != "MOB" || modified == "" {
		t.Fatalf("%v of %q, modified %q", got, doc.Creator, modified)
	}
	one, two := doc.Situations[0].Record, doc.Situations[1].Record
	if one.End != "" || two.End == "" || one.Version >= two.Version || one.Road == "" || one.Line == "" {
		t.Errorf("records %+v, %+v", one, two)
	}
	for name, tt := range map[string]struct {
		headers map[string]string
		want    int
	}{
		"same tag":              {map[string]string{"If-None-Match": `"x", ` + etag}, 304},
		"other tag":             {map[string]string{"If-None-Match": `W/"x"`, "If-Modified-Since": modified}, 200},
		"same time":             {map[string]string{"If-Modified-Since": modified}, 304},
		"earlier":               {map[string]string{"If-Modified-Since": now.Add(-50 * time.Minute).UTC().Format(http.TimeFormat)}, 200},
		"longer ago than known": {map[string]string{"If-Modified-Since": now.Add(-61 * time.Minute).UTC().Format(http.TimeFormat)}, 200},
		"no time":               {map[string]string{"If-Modified-Since": "yesterday"}, 200},
	} {
		if _, status, _ := b.feed(t, "", tt.headers); status != tt.want {
			t.Errorf("%s: %d, want %d", name, status, tt.want)
		}
	}
	if doc, _, header := b.feed(t, "?bbox=1.52,42.4,1.6,42.6", nil); len(doc.Situations) > 0 || header.Get("ETag") == etag {
		t.Errorf("elsewhere: %v", ids(doc))
	}

	// A change, an end, and time alone, which makes an ended one leave, change the feed.
	store(h(1, time.Minute))
	doc, status, header := b.feed(t, "", map[string]string{"If-None-Match": etag})
	if status != http.StatusOK || doc.Situations[0].Record.Version <= two.Version || doc.Situations[0].Record.End == "" {
		t.Errorf("after its end: %d, %+v", status, doc)
	}
	etag = header.Get("ETag")
	now = now.Add(31 * time.Minute)
	doc, status, _ = b.feed(t, "", map[string]string{"If-None-Match": etag})
	if status != http.StatusOK || !slices.Equal(ids(doc), []string{"MOB_1"}) {
		t.Errorf("an hour after: %d, %v", status, ids(doc))
	}
	if _, status, _ = b.feed(t, "", map[string]string{"If-Modified-Since": now.Add(-10 * time.Minute).UTC().Format(http.TimeFormat)}); status != http.StatusOK {
		t.Errorf("since before it left: %d", status)
	}
	if _, status, _ = b.feed(t, "", map[string]string{"If-Modified-Since": now.UTC().Format(http.TimeFormat)}); status != http.StatusNotModified {
		t.Errorf("since after it left: %d", status)
	}
}
