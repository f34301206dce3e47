package car

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/telemetry"
)

// keepListening follows the stream of hazards until ctx ends.
func (m *Map) keepListening(ctx context.Context) {
	wait := m.newBackoff()
	last := "" // id of the last event that was taken over
	var heard []geo.Tile
	for ctx.Err() == nil {
		select {
		case <-m.rehear: // what it says is read now
		default:
		}
		m.mu.Lock()
		tiles := m.listen
		m.mu.Unlock()
		if len(tiles) == 0 {
			sleep(ctx, time.Hour, m.rehear)
			continue
		}
		if !slices.Equal(tiles, heard) {
			heard, last = tiles, "" // what is told of others is not known of these
		}
		took, err := m.listenOnce(ctx, tiles, &last)
		if ctx.Err() != nil {
			return
		}
		if took {
			wait.reset()
		}
		if err == nil { // other tiles
			continue
		}
		m.mu.Lock()
		if !m.lost {
			m.lost, m.standIn, m.due[hazards] = true, false, time.Time{}
		}
		m.mu.Unlock()
		signal(m.moved) // deltas stand in
		pause := wait.after(err)
		m.cfg.Logger.WarnContext(ctx, "hazards not followed", "error", err, "pause", pause)
		sleep(ctx, pause, nil)
	}
}

// listenOnce follows one stream to its end, and tells whether it took any event over. The error is nil if
// other tiles are to be listened to.
func (m *Map) listenOnce(ctx context.Context, tiles []geo.Tile, last *string) (took bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var moved atomic.Bool
	watch := make(chan struct{})
	silence := time.AfterFunc(m.cfg.Silence, cancel)
	defer silence.Stop()
	go func() {
		defer close(watch)
		select {
		case <-m.rehear:
			moved.Store(true)
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel()
		<-watch
		if moved.Load() {
			err = nil
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base+"/v1/hazards/stream?"+query(tiles), http.NoBody)
	if err != nil {
		return false, fmt.Errorf("hazards: %w", err)
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "identity")
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	client := *m.client
	client.Timeout = 0
	res, err := client.Do(req)
	m.mu.Lock()
	m.traffic.headers(req, res)
	m.mu.Unlock()
	if err != nil {
		return false, fmt.Errorf("hazards: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("hazards: %w", refusedBy(res))
	}
	if *last != "" {
		m.found(tiles)
	}
	in := newEvents(&counted{r: res.Body, read: func(n int) {
		silence.Reset(m.cfg.Silence)
		m.mu.Lock()
		m.traffic.Stream.Down += int64(n)
		m.mu.Unlock()
	}})
	var step []hazardEvent // up to the event with an id
	for {
		e, err := in.next()
		if err != nil {
			return took, fmt.Errorf("hazards: %w", err)
		}
		h, err := parseHazard(&e)
		switch {
		case err != nil:
			return took, fmt.Errorf("hazards: %w", err)
		case h.name == "reset":
			step = step[:0]
		case len(step) > maxHazards:
			return took, fmt.Errorf("hazards: more than %d at once", maxHazards)
		}
		if step = append(step, h); e.id != "" {
			m.hear(tiles, step)
			*last, step, took = e.id, step[:0], true
		}
	}
}

// query is the stream's filter: a box if the tiles make one, which is shorter.
func query(tiles []geo.Tile) string {
	box, low, high := tiles[0].Box(), tiles[0], tiles[0]
	names := make([]string, len(tiles))
	for i, t := range tiles {
		names[i] = t.String()
		box = box.Union(t.Box())
		low.X, low.Y = min(low.X, t.X), min(low.Y, t.Y)
		high.X, high.Y = max(high.X, t.X), max(high.Y, t.Y)
	}
	if uint64(len(tiles)) == uint64(high.X-low.X+1)*uint64(high.Y-low.Y+1) {
		d := box.Degrees()
		return fmt.Sprintf("bbox=%.5f,%.5f,%.5f,%.5f", d[0], d[1], d[2], d[3])
	}
	return "tiles=" + strings.Join(names, ",")
}

// found makes the stream what Hazards tells, if it is still that of these tiles.
func (m *Map) found(tiles []geo.Tile) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Equal(m.listen, tiles) {
		m.lost, m.standIn = false, false
	}
}

// hazardEvent is an event of the stream.
type hazardEvent struct {
	name string // reset, hazard, hazard_end; others are passed over
	Hazard
}

// hear takes over one step of the stream.
func (m *Map) hear(tiles []geo.Tile, step []hazardEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.listen, tiles) {
		return // about to end
	}
	for i := range step {
		h := &step[i]
		switch h.name {
		case "reset":
			clear(m.streamed)
		case "hazard_end":
			delete(m.streamed, h.ID)
		case "hazard":
			if _, known := m.streamed[h.ID]; known || len(m.streamed) < maxHazards {
				m.streamed[h.ID] = h.Hazard
			}
		}
	}
	m.lost, m.standIn = false, false
}

// parseHazard reads an event of the stream.
func parseHazard(e *event) (hazardEvent, error) {
	if e.name != "hazard" && e.name != "hazard_end" {
		return hazardEvent{name: e.name}, nil
	}
	var doc struct {
		ID          uint64    `json:"id"`
		Category    string    `json:"category"`
		Lat         float64   `json:"lat"`
		Lon         float64   `json:"lon"`
		Edge        road.Edge `json:"edge"`
		Probability float64   `json:"probability"`
		StartedMS   int64     `json:"started"`
		UpdatedMS   int64     `json:"updated"`
	}
	if err := json.Unmarshal([]byte(e.data), &doc); err != nil {
		return hazardEvent{}, fmt.Errorf("decode hazard: %w", err)
	}
	if !(doc.Lat >= -90 && doc.Lat <= 90 && doc.Lon >= -180 && doc.Lon <= 180) || !(doc.Probability >= 0 && doc.Probability <= 1) {
		return hazardEvent{}, fmt.Errorf("decode hazard %d: out of range", doc.ID)
	}
	return hazardEvent{e.name, Hazard{doc.ID, state.Hazard{
		Category: telemetry.ParseHazard(doc.Category), At: geo.At(doc.Lat, doc.Lon), Edge: doc.Edge,
		Percent: uint8(100*doc.Probability + 0.5), StartedMS: doc.StartedMS, UpdatedMS: doc.UpdatedMS,
	}}}, nil
}

// counted tells of what is read.
type counted struct {
	r    io.Reader
	read func(n int)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.read(n)
	return n, err
}
