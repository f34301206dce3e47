package car

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

// batch is how many tiles one request names: as many as the service takes.
const batch = 64

const (
	protobufType = "application/x-protobuf"
	userAgent    = "carasso-car/1"
)

// refused is an answer that is no success.
type refused struct {
	status int
	after  time.Duration // Retry-After
}

func (r *refused) Error() string { return "answered " + strconv.Itoa(r.status) }

// Run keeps the map fresh until ctx ends; failures are logged and tried again.
func (m *Map) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { m.keepFresh(ctx); return nil })
	if !m.cfg.NoStream {
		g.Go(func() error { m.keepListening(ctx); return nil })
	}
	return g.Wait()
}

func (m *Map) keepFresh(ctx context.Context) {
	wait := m.newBackoff()
	for ctx.Err() == nil {
		if err := m.Refresh(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			pause := wait.after(err)
			m.cfg.Logger.WarnContext(ctx, "map not refreshed", "error", err, "pause", pause)
			sleep(ctx, pause, nil)
			continue
		}
		wait.reset()
		sleep(ctx, time.Until(m.next()), m.moved)
	}
}

// sleep waits, but not for longer than until ctx ends or wake is set.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// next is when the first layer is due.
func (m *Map) next() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	var first time.Time
	for l := range layers {
		if (l != roads || !m.cfg.NoRoads) && (l != hazards || m.lost) && (first.IsZero() || m.due[l].Before(first)) {
			first = m.due[l]
		}
	}
	return first
}

// Refresh asks once for what is due now, and for all of tiles that are new; without a
// Run, it is to be called as often as the layers' paces demand. Nothing that was held is lost by an error.
func (m *Map) Refresh(ctx context.Context) error {
	select {
	case m.round <- struct{}{}:
		defer func() { <-m.round }()
	case <-ctx.Done():
		return fmt.Errorf("refresh map: %w", ctx.Err())
	}
	request, due := m.request(time.Now())
	for tiles := request.Tiles; len(tiles) > 0; {
		n := min(len(tiles), batch)
		if err := m.ask(ctx, &tilepb.DeltaRequest{Tiles: tiles[:n]}); err != nil {
			return fmt.Errorf("refresh map: %w", err)
		}
		tiles = tiles[n:]
	}
	m.done(due)
	return nil
}

// request is what to ask for now, and which layers are due.
func (m *Map) request(now time.Time) (*tilepb.DeltaRequest, [layers]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due [layers]bool
	for l := range due {
		due[l] = !now.Before(m.due[l])
	}
	request := &tilepb.DeltaRequest{}
	for _, id := range m.wanted {
		t := m.tiles[id]
		if t == nil { // forgotten: more are wanted than may be held
			continue
		}
		h := &tilepb.Held{Quadkey: id.Quadkey()}
		ask := func(l int) bool { return due[l] || !t.asked[l] }
		if ask(roads) && !m.cfg.NoRoads {
			version := t.mapped
			h.Roads = &version
		}
		for l, field := range [layers]**uint64{limits: &h.Limits, speeds: &h.Speeds, hazards: &h.Hazards} {
			if field != nil && ask(l) && (l != hazards || m.lost) {
				version := uint64(t.version[l])
				*field = &version
			}
		}
		if h.Roads != nil || h.Limits != nil || h.Speeds != nil || h.Hazards != nil {
			request.Tiles = append(request.Tiles, h)
		}
	}
	return request, due
}

// done sets when the layers are due again.
func (m *Map) done(due [layers]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.standIn = m.standIn || m.lost && due[hazards]
	every := [layers]time.Duration{m.cfg.Roads, m.cfg.Limits, m.cfg.Speeds, m.cfg.Hazards}
	for l := range due {
		if due[l] {
			m.due[l] = time.Now().Add(time.Duration(float64(every[l]) * (0.9 + 0.2*rand.Float64())))
		}
	}
}

// ask asks for up to batch tiles, applies the answer, and fetches the roads that changed.
func (m *Map) ask(ctx context.Context, request *tilepb.DeltaRequest) error {
	body, err := request.MarshalVT()
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	got, err := m.fetch(ctx, http.MethodPost, "/v1/tiles:delta", body)
	if err != nil {
		return err
	}
	answer := &tilepb.DeltaResponse{}
	if err := answer.UnmarshalVT(got.plain); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	m.mu.Lock()
	m.traffic.asked(request, len(body))
	m.traffic.answered(answer, got.wire)
	m.mu.Unlock()
	changes, err := readAnswer(request, answer)
	if err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	var failed []error
	for i := range changes {
		c := &changes[i]
		if c.newRoads {
			if err := m.fetchRoads(ctx, c); err != nil {
				failed = append(failed, err)
			}
		}
		m.apply(c)
		if c.unavailable {
			failed = append(failed, fmt.Errorf("tile %s can't be read now", c.id))
		}
	}
	return errors.Join(failed...)
}

// change is what changed of a tile.
type change struct {
	id          geo.Tile
	asked       *tilepb.Held
	unavailable bool
	mapped      string // version of the roads; "": unchanged
	newRoads    bool   // they are to be fetched
	fetched     bool   // and were, as mvt
	mvt         []byte
	told        [layers]bool
	version     [layers]int64
	layer       [layers]state.Change
}

// readAnswer reads an answer: a change for each tile of the request.
func readAnswer(request *tilepb.DeltaRequest, answer *tilepb.DeltaResponse) ([]change, error) {
	changes := make([]change, len(request.GetTiles()))
	at := make(map[uint32]*change, len(changes))
	for i, h := range request.GetTiles() {
		changes[i] = change{id: geo.FromQuadkey(zoom, h.GetQuadkey()), asked: h}
		at[h.GetQuadkey()] = &changes[i]
	}
	for _, t := range answer.GetTiles() {
		c := at[t.GetQuadkey()]
		if c == nil {
			return nil, fmt.Errorf("tile %d was not asked for, or comes twice", t.GetQuadkey())
		}
		delete(at, t.GetQuadkey())
		if err := c.read(t); err != nil {
			return nil, fmt.Errorf("tile %s: %w", c.id, err)
		}
	}
	return changes, nil
}

func (c *change) read(t *tilepb.Tile) (err error) {
	c.unavailable = t.GetStatus() == tilepb.Status_STATUS_UNAVAILABLE
	if r := t.GetRoads(); r != nil && c.asked.Roads != nil {
		c.mapped, c.newRoads = r.GetVersion(), !r.GetSame()
		if c.mapped == "" || len(c.mapped) > 64 {
			return fmt.Errorf("%w: version of the map", state.ErrCorrupt)
		}
	}
	if l := t.GetLimits(); l != nil && c.asked.Limits != nil {
		c.told[limits], c.version[limits] = true, int64(l.GetVersion())
		if c.layer[limits], err = state.ReadLimits(l); err != nil {
			return err
		}
	}
	if l := t.GetSpeeds(); l != nil && c.asked.Speeds != nil {
		c.told[speeds], c.version[speeds] = true, int64(l.GetVersion())
		if c.layer[speeds], err = state.ReadSpeeds(l); err != nil {
			return err
		}
	}
	if l := t.GetHazards(); l != nil && c.asked.Hazards != nil {
		c.told[hazards], c.version[hazards] = true, int64(l.GetVersion())
		if c.layer[hazards], err = state.ReadHazards(c.id, l); err != nil {
			return err
		}
	}
	for _, v := range c.version {
		if v < 0 {
			return fmt.Errorf("%w: version %d", state.ErrCorrupt, v)
		}
	}
	return nil
}

// apply takes over a change, if its tile is still held as it was when it was asked for.
func (m *Map) apply(c *change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tiles[c.id]
	if t == nil || c.unavailable {
		return
	}
	if c.asked.Roads != nil && t.mapped == c.asked.GetRoads() && (!c.newRoads || c.fetched) {
		t.asked[roads] = true
		if c.mapped != "" {
			t.mapped = c.mapped
		}
		if c.fetched {
			t.mvt = c.mvt
		}
	}
	for l, held := range [layers]*uint64{limits: c.asked.Limits, speeds: c.asked.Speeds, hazards: c.asked.Hazards} {
		if held == nil || t.version[l] != int64(*held) {
			continue
		}
		t.asked[l] = true
		if c.told[l] {
			t.version[l] = c.version[l]
			t.records[l] = applied(t.records[l], &c.layer[l])
		}
	}
}

// applied is what is held after a change.
func applied(before map[uint64][]byte, c *state.Change) map[uint64][]byte {
	if c.Full || before == nil {
		before = make(map[uint64][]byte, len(c.Changed))
	}
	for _, key := range c.Removed {
		delete(before, key)
	}
	for _, r := range c.Changed {
		before[r.Key] = r.Value
	}
	return before
}

// fetchRoads gets the roads of a tile. The map may be a newer one by then: the answer's ETag
// says which.
func (m *Map) fetchRoads(ctx context.Context, c *change) error {
	got, err := m.fetch(ctx, http.MethodGet, "/v1/tiles/roads/"+c.id.String()+".mvt", nil)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.traffic.Roads.Down += got.wire
	m.mu.Unlock()
	if v := strings.Trim(strings.TrimPrefix(got.header.Get("ETag"), "W/"), `"`); v != "" && len(v) <= 64 {
		c.mapped = v
	}
	c.fetched, c.mvt = true, got.plain
	return nil
}

// fetched is a good answer.
type fetched struct {
	plain  []byte // the body, decompressed
	wire   int64  // its bytes on the wire
	header http.Header
}

// fetch makes one request. It counts all of what failed, but of what succeeded the heads only.
func (m *Map) fetch(ctx context.Context, method, path string, body []byte) (*fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "gzip") // and so it is decompressed here
	if method == http.MethodPost {
		req.Header.Set("Content-Type", protobufType)
		req.Header.Set("Accept", protobufType)
	}
	res, err := m.client.Do(req)
	m.mu.Lock()
	m.traffic.headers(req, res)
	m.mu.Unlock()
	var got *fetched
	if err == nil {
		got, err = readBody(res)
	}
	if err != nil {
		m.mu.Lock()
		m.traffic.Overhead.add(int64(len(body)), got.size())
		m.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return got, nil
}

func (f *fetched) size() int64 {
	if f == nil {
		return 0
	}
	return f.wire
}

// readBody reads and closes an answer's body; of what failed it tells the size, if anything.
func readBody(res *http.Response) (*fetched, error) {
	defer res.Body.Close()
	wire, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	got := &fetched{plain: wire, wire: int64(len(wire)), header: res.Header}
	switch {
	case err != nil:
		return got, fmt.Errorf("read answer: %w", err)
	case len(wire) > maxAnswer:
		return got, fmt.Errorf("read answer: more than %d bytes", maxAnswer)
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent:
		return got, refusedBy(res)
	case res.Header.Get("Content-Encoding") == "gzip":
		got.plain, err = inflate(wire)
	}
	return got, err
}

func refusedBy(res *http.Response) error {
	r := &refused{status: res.StatusCode}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 && s <= 3600 {
		r.after = time.Duration(s) * time.Second
	}
	return r
}

func inflate(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(plain) > maxAnswer {
		return nil, fmt.Errorf("decompress: more than %d bytes", maxAnswer)
	}
	return plain, nil
}
