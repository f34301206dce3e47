package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	carmap "github.com/carasso/carasso/mapdata/car"
	"github.com/carasso/carasso/mapdata/geo"
)

// riders are the first vehicles of the fleet, which also keep a map of their own fresh, as
// cars do, so that its cost is known.
type riders struct {
	maps   []*carmap.Map
	client *http.Client
	begun  time.Time
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	loaded  carmap.Traffic // of all, when the first load was over
	loading time.Duration
}

// Riding is what the vehicles with a map of their own received and sent for it.
type Riding struct {
	Cars    int
	Loading time.Duration  // what counts as the first load
	Loaded  carmap.Traffic // of all cars, for the first load
	After   time.Duration  // how long they rode on
	Traffic carmap.Traffic // of all cars, in all
}

// firstLoad is after how long a car that stands in one place has all it wants; a share of
// short runs.
const firstLoad = 15 * time.Second

// ride starts n vehicles' maps; nil without any.
func ride(ctx context.Context, n int, base string, run time.Duration, log *slog.Logger) (*riders, error) {
	if n == 0 {
		return nil, nil
	}
	r := &riders{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}, begun: time.Now(), loading: firstLoad}
	if run > 0 {
		r.loading = min(firstLoad, run/2)
	}
	for range n {
		m, err := carmap.New(carmap.Config{BaseURL: base, Client: r.client, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("fleet: %w", err)
		}
		r.maps = append(r.maps, m)
	}
	ctx, r.cancel = context.WithCancel(ctx)
	for _, m := range r.maps {
		r.wg.Go(func() { _ = m.Run(ctx) }) // it ends with the context, and with its error
	}
	r.wg.Go(func() {
		timer := time.NewTimer(r.loading)
		defer timer.Stop()
		select {
		case <-timer.C:
			sum := r.traffic()
			r.mu.Lock()
			r.loaded = sum
			r.mu.Unlock()
		case <-ctx.Done():
		}
	})
	return r, nil
}

// moved tells the maps where their vehicle is by its own report.
func (r *riders) moved(u *Upload) {
	if r == nil || u.Vehicle >= len(r.maps) {
		return
	}
	last := &u.Batch.Samples[len(u.Batch.Samples)-1]
	r.maps[u.Vehicle].MoveTo(geo.Point{LatE7: last.LatE7, LonE7: last.LonE7})
}

func (r *riders) traffic() (sum carmap.Traffic) {
	for _, m := range r.maps {
		t := m.Traffic()
		sum.Add(&t)
	}
	return sum
}

// stop ends the ride and tells what it cost.
func (r *riders) stop() Riding {
	if r == nil {
		return Riding{}
	}
	r.cancel()
	r.wg.Wait()
	r.client.CloseIdleConnections()
	r.mu.Lock()
	defer r.mu.Unlock()
	return Riding{Cars: len(r.maps), Loading: r.loading, Loaded: r.loaded, After: max(time.Since(r.begun)-r.loading, 0), Traffic: r.traffic()}
}

// PerCarHour is how many bytes a car received and sent for its map in an hour, after the first load.
func (r *Riding) PerCarHour() (down, up float64) {
	hours := r.After.Hours() * float64(r.Cars)
	if hours == 0 {
		return 0, 0
	}
	total, first := r.Traffic.Total(), r.Loaded.Total()
	return float64(total.Down-first.Down) / hours, float64(total.Up-first.Up) / hours
}

// byLayer is what PerCarHour consists of, downwards.
func (r *Riding) byLayer() string {
	hours := r.After.Hours() * float64(r.Cars)
	if hours == 0 {
		return "nothing"
	}
	t, f := &r.Traffic, &r.Loaded
	kb := func(a, b carmap.Bytes) float64 { return float64(a.Down-b.Down) / hours / 1e3 }
	return fmt.Sprintf("roads %.0f, limits %.0f, speeds %.0f, hazards %.0f, headers %.0f", kb(t.Roads, f.Roads), kb(t.Limits, f.Limits),
		kb(t.Speeds, f.Speeds), kb(t.Hazards, f.Hazards)+kb(t.Stream, f.Stream), kb(t.Overhead, f.Overhead))
}
