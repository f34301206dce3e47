package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
)

// managementClient asks the management API what became of the batches.
type managementClient struct {
	base  string
	token string
	http  *http.Client
}

// Bounds of single questions.
const (
	lookupPage      = 10_000 // batches
	segmentPage     = 5_000
	segmentTiles    = 900 // z14 tiles a bounding box
	maxReply        = 64 << 20
	questionTimeout = time.Minute
)

func newManagementClient(base, token string) *managementClient {
	return &managementClient{
		base: strings.TrimSuffix(base, "/"), token: token,
		http: &http.Client{Timeout: questionTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2}},
	}
}

func (m *managementClient) close() { m.http.CloseIdleConnections() }

// account is the part of GET /v1/ledger that verification needs.
type account struct {
	Balanced bool `json:"balanced"`
	Totals   struct {
		Accepted    int64 `json:"accepted"`
		Archived    int64 `json:"archived"`
		Duplicate   int64 `json:"duplicate"`
		Quarantined int64 `json:"quarantined"`
		InFlight    int64 `json:"in_flight"`
		Unconfirmed int64 `json:"unconfirmed"`
	} `json:"totals"`
	Crosscheck struct {
		Archived        int64  `json:"archived"`
		ArchivedSamples int64  `json:"archived_samples"`
		ManifestBatches int64  `json:"manifest_batches"`
		ManifestSamples int64  `json:"manifest_samples"`
		ClaimedBatches  *int64 `json:"claimed_batches"`
		ClaimedSamples  *int64 `json:"claimed_samples"`
	} `json:"crosscheck"`
}

// consistent reports whether three independent counts of what is archived agree.
func (a *account) consistent() bool {
	c := &a.Crosscheck
	return c.ClaimedBatches != nil && c.ClaimedSamples != nil &&
		c.Archived == c.ManifestBatches && c.Archived == *c.ClaimedBatches &&
		c.ArchivedSamples == c.ManifestSamples && c.ArchivedSamples == *c.ClaimedSamples
}

func (a *account) drained() bool { return a.Totals.InFlight == 0 && a.Totals.Unconfirmed == 0 }

// ledger accounts for [from, to); claims also counts the claims, which costs more.
func (m *managementClient) ledger(ctx context.Context, from, to time.Time, claims bool) (a account, err error) {
	q := url.Values{"from": {millis(from)}, "to": {millis(to)}, "claims": {strconv.FormatBool(claims)}}
	return a, m.ask(ctx, http.MethodGet, "/v1/ledger?"+q.Encode(), nil, &a)
}

type lookup struct {
	VehicleID string `json:"vehicle_id"`
	BatchID   string `json:"batch_id"`
}

// lookUp says which batches the ledger does not have, by their index, and how many
// samples the others have together.
func (m *managementClient) lookUp(ctx context.Context, batches []lookup) (found int, samples int64, missing []int, err error) {
	body, err := json.Marshal(map[string]any{"batches": batches})
	if err != nil {
		return 0, 0, nil, fmt.Errorf("look up batches: %w", err)
	}
	var reply struct {
		Found   int   `json:"found"`
		Samples int64 `json:"samples"`
		Missing []int `json:"missing"`
	}
	if err := m.ask(ctx, http.MethodPost, "/v1/ledger/batches", body, &reply); err != nil {
		return 0, 0, nil, err
	}
	for _, i := range reply.Missing {
		if i < 0 || i >= len(batches) {
			return 0, 0, nil, fmt.Errorf("look up batches: missing index %d of %d", i, len(batches))
		}
	}
	return reply.Found, reply.Samples, reply.Missing, nil
}

// learned is what the map says of a directed segment in a period.
type learned struct {
	samples  int64 // of no meaning if withheld
	meanKMH  float64
	unsure   bool // of meanKMH
	withheld bool // too few vehicles: neither is told
}

// segments asks for all segments with data in a bounding box, piece by piece.
func (m *managementClient) segments(ctx context.Context, n *Network, from, to time.Time) (map[uint64]learned, error) {
	out := make(map[uint64]learned)
	for _, box := range boxes(n) {
		q := url.Values{
			"bbox": {box}, "from": {millis(from)}, "to": {millis(to)},
			"geometry": {"false"}, "limit": {strconv.Itoa(segmentPage)},
		}
		for {
			var page struct {
				Features []struct {
					Properties struct {
						Edge       uint64   `json:"edge"`
						Samples    *int64   `json:"samples"`
						MeanKMH    *float64 `json:"mean_kmh"`
						Suppressed bool     `json:"suppressed"`
					} `json:"properties"`
				} `json:"features"`
				NextCursor string `json:"next_cursor"`
			}
			if err := m.ask(ctx, http.MethodGet, "/v1/segments?"+q.Encode(), nil, &page); err != nil {
				return nil, err
			}
			for i := range page.Features {
				p := &page.Features[i].Properties
				l := learned{withheld: p.Suppressed || p.Samples == nil, unsure: p.MeanKMH == nil}
				if !l.withheld {
					l.samples = *p.Samples
				}
				if !l.unsure {
					l.meanKMH = *p.MeanKMH
				}
				out[p.Edge] = l
			}
			if page.NextCursor == "" || page.NextCursor == q.Get("cursor") {
				break
			}
			q.Set("cursor", page.NextCursor)
		}
	}
	return out, nil
}

// boxes tile the network's extent, with a margin, by boxes that a single question may span.
func boxes(n *Network) []string {
	const margin = 0.01
	west, south, east, north := n.Bounds()
	west, south, east, north = west-margin, south-margin, east+margin, north+margin
	low := geo.At(south, west)
	tileDeg := 360.0 / (1 << 14)
	side := math.Floor(math.Sqrt(segmentTiles)) - 2 // tiles; the box may cut through those at its ends
	stepLon := side * tileDeg
	stepLat := stepLon * min(math.Cos(low.Lat()*math.Pi/180), math.Cos(north*math.Pi/180))
	var out []string
	for y := south; y < north; y += stepLat {
		for x := west; x < east; x += stepLon {
			out = append(out, fmt.Sprintf("%.7f,%.7f,%.7f,%.7f", x, y, min(x+stepLon, east), min(y+stepLat, north)))
		}
	}
	return out
}

func (m *managementClient) ask(ctx context.Context, method, path string, body []byte, reply any) error {
	what := method + " " + strings.SplitN(path, "?", 2)[0]
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := m.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err != nil {
		return fmt.Errorf("%s: read the answer: %w", what, err)
	}
	if res.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s: %w", what, errNotOffered)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", what, res.StatusCode, bytes.TrimSpace(data[:min(len(data), 300)]))
	}
	if len(data) > maxReply {
		return fmt.Errorf("%s: answer longer than %d bytes", what, maxReply)
	}
	if err := json.Unmarshal(data, reply); err != nil {
		return fmt.Errorf("%s: decode the answer: %w", what, err)
	}
	return nil
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
