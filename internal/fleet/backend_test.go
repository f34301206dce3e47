package fleet

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// backend is a whole back end in memory: a receiver that may refuse, break off or lose
// its answers, a ledger, and a map learned by the nearest road. Its faults are seeded
// into what it tells, not into what it knows.
type backend struct {
	*httptest.Server
	net *Network

	refuse, drop, lose float64 // shares of requests: 503 or 429; reset before reading; reset after accepting
	status             int     // answered always, if not 0

	forget       int     // batches that the ledger loses
	twice        int     // batches archived and counted twice
	thin         int     // every so manieth sample is in no count, if not 0
	faster       float64 // km/h added to every mean
	unbalanced   bool
	noDuplicates bool

	mu       sync.Mutex
	random   *rand.Rand
	claims   map[string]int64 // vehicle/batch: samples
	accepted int64
	samples  int64
	double   int64
	speeds   map[int64]map[uint64]*observed
	requests int
	tokens   map[string]bool
}

type observed struct {
	speedSum
	vehicles map[string]bool
}

func newBackend(tb testing.TB) *backend {
	tb.Helper()
	b := &backend{
		net: fixtureNetwork(tb), random: rand.New(rand.NewPCG(1, 2)),
		claims: make(map[string]int64), speeds: make(map[int64]map[uint64]*observed), tokens: make(map[string]bool),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/batches", b.post)
	mux.HandleFunc("GET /v1/ledger", b.ledger)
	mux.HandleFunc("POST /v1/ledger/batches", b.lookUp)
	mux.HandleFunc("GET /v1/segments", b.segments)
	b.Server = httptest.NewServer(mux)
	tb.Cleanup(b.Close)
	return b
}

func (b *backend) chance(p float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.Float64() < p
}

func (b *backend) post(w http.ResponseWriter, r *http.Request) {
	if b.chance(b.drop) {
		panic(http.ErrAbortHandler)
	}
	body, err := plain(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	var batch telemetry.Batch
	decode := telemetry.DecodeProto
	if r.Header.Get("Content-Type") == "application/json" {
		decode = telemetry.DecodeJSON
	}
	if err := decode(body, &batch, telemetry.DefaultLimits()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if b.status != 0 {
		http.Error(w, "no", b.status)
		return
	}
	if b.chance(b.refuse) {
		w.Header().Set("Retry-After", "0")
		if b.chance(0.5) {
			http.Error(w, "full", http.StatusServiceUnavailable)
		} else {
			http.Error(w, "slow down", http.StatusTooManyRequests)
		}
		return
	}
	vehicle := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if batch.VehicleID != "" {
		vehicle = batch.VehicleID
	}
	b.take(vehicle, &batch)
	if b.chance(b.lose) {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"batch_id":%q,"samples":%d}`, batch.ID, batch.Counted())
}

// plain is the body without its content encoding.
func plain(r *http.Request) ([]byte, error) {
	switch r.Header.Get("Content-Encoding") {
	case Gzip:
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	case Zstd:
		z, err := zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return io.ReadAll(z)
	default:
		return io.ReadAll(r.Body)
	}
}

func (b *backend) take(vehicle string, batch *telemetry.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	b.accepted++
	key := vehicle + "/" + batch.ID.String()
	if _, again := b.claims[key]; again {
		b.double++
		return
	}
	b.claims[key] = int64(batch.Counted())
	b.samples += int64(batch.Counted())
	for i, s := range batch.Samples[batch.LeadIn:] {
		if b.thin > 0 && i%b.thin == 0 {
			continue
		}
		arc := b.net.nearest(geo.Point{LatE7: s.LatE7, LonE7: s.LonE7}, s.HeadingCDeg, s.Has&telemetry.HasHeading != 0)
		if arc < 0 {
			continue
		}
		bucket := s.T / BucketMS
		if b.speeds[bucket] == nil {
			b.speeds[bucket] = make(map[uint64]*observed)
		}
		o := b.speeds[bucket][b.net.edges[arc]]
		if o == nil {
			o = &observed{vehicles: make(map[string]bool)}
			b.speeds[bucket][b.net.edges[arc]] = o
		}
		o.n++
		o.sumCMPS += int64(s.SpeedCMPS)
		o.vehicles[vehicle] = true
	}
}

func (b *backend) ledger(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	claims, archived, duplicate := int64(len(b.claims)), int64(len(b.claims)), b.double
	if archived > 0 {
		archived += int64(b.twice)
	}
	if b.noDuplicates {
		duplicate = 0
	}
	inFlight := b.accepted - archived - duplicate
	if b.twice > 0 || b.noDuplicates {
		inFlight = 0
	}
	writeJSON(w, map[string]any{
		"balanced": !b.unbalanced,
		"totals":   map[string]int64{"accepted": b.accepted, "archived": archived, "duplicate": duplicate, "in_flight": inFlight},
		"crosscheck": map[string]any{
			"archived": archived, "archived_samples": b.samples, "manifest_batches": archived, "manifest_samples": b.samples,
			"claimed_batches": claims, "claimed_samples": b.samples,
		},
	})
}

func (b *backend) lookUp(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Batches []lookup `json:"batches"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	found, samples, missing := 0, int64(0), []int{}
	for i, l := range q.Batches {
		n, ok := b.claims[l.VehicleID+"/"+l.BatchID]
		if !ok || i < b.forget {
			missing = append(missing, i)
			continue
		}
		found++
		samples += n
	}
	writeJSON(w, map[string]any{"found": found, "samples": samples, "missing": missing})
}

// segments pages by 50 edges.
func (b *backend) segments(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, _ := strconv.ParseInt(r.FormValue("from"), 10, 64)
	to, _ := strconv.ParseInt(r.FormValue("to"), 10, 64)
	after, _ := strconv.Atoi(r.FormValue("cursor"))
	features, next := []any{}, ""
	for i := after; i < len(b.net.edges); i++ {
		if len(features) == 50 {
			next = strconv.Itoa(i)
			break
		}
		sum, vehicles := speedSum{}, make(map[string]bool)
		for bucket := from / BucketMS; bucket < to/BucketMS; bucket++ {
			if o := b.speeds[bucket][b.net.edges[i]]; o != nil {
				sum.n += o.n * int64(1+min(b.twice, 1))
				sum.sumCMPS += o.sumCMPS * int64(1+min(b.twice, 1))
				for v := range o.vehicles {
					vehicles[v] = true
				}
			}
		}
		if sum.n == 0 {
			continue
		}
		p := map[string]any{"edge": b.net.edges[i], "samples": nil, "suppressed": len(vehicles) < 3}
		if len(vehicles) >= 3 {
			p["samples"] = sum.n
			p["mean_kmh"] = float64(sum.sumCMPS)/float64(sum.n)*0.036 + b.faster
		}
		features = append(features, map[string]any{"properties": p})
	}
	writeJSON(w, map[string]any{"features": features, "next_cursor": next})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// config drives so fast that a short run has much to verify.
func (b *backend) config() Config {
	c := fixtureConfig()
	c.Target, c.Vehicles, c.Rate, c.Duration = b.URL, 150, 300, 1500*time.Millisecond
	c.GPSSigmaM, c.GPSTau = 1, time.Second
	c.OfflineShare, c.OfflineMax, c.DuplicateShare, c.BurstShare = 0.05, 300*time.Millisecond, 0.05, 0.02
	c.MaxConns, c.MaxBuffered, c.Timeout, c.VerifyTimeout = 32, 512, 5*time.Second, 10*time.Second
	return c
}

func (b *backend) deps() Deps {
	return Deps{
		Network:      b.net,
		VehicleToken: func(vehicle string) (string, error) { return vehicle, nil },
		GatewayToken: "gateway", OperatorToken: "operator",
	}
}
