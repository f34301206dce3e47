package tile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/carasso/carasso/mapdata/hazard"
)

// HazardSource tells of hazards. Safe for concurrent use.
type HazardSource interface {
	// Since lists the hazards that began, changed or ended after a cursor, in any order, each as it is
	// now, and the cursor to go on from: it never falls, and grows when there are any. From cursor
	// 0 the active ones suffice. What ended must be told for some minutes at least.
	Since(ctx context.Context, cursor int64) ([]hazard.Hazard, int64, error)
}

const (
	maxHistory = 4096 // changes that are known for those who come back
	askWithin  = 10 * time.Second
	maxSteps   = 64              // steps that a client may be behind
	maxIdle    = 2 * time.Minute // without clients, from which the source is asked anew
)

var (
	errFull    = errors.New("too many streams")
	errGreedy  = errors.New("too many streams of one client")
	errDrained = errors.New("draining")
)

// hazardHub asks the source while there are clients, once for all of them, and hands each the
// same steps. Safe for concurrent use.
type hazardHub struct {
	source HazardSource
	every  time.Duration
	log    *slog.Logger

	mu      sync.Mutex
	clients map[*hazardClient]struct{}
	of      map[string]int // streams whose handlers have not returned, by who opened them
	drained bool
	running chan struct{} // closed when the goroutine has ended; nil: none runs
	cancel  context.CancelFunc

	known   bool // whether the source has been read
	asked   time.Time
	cursor  int64
	from    int64 // the history is complete after this cursor
	active  map[uint64]*hazard.Hazard
	events  map[uint64][]byte // rendered, of the active ones
	history []hazardStep      // ascending by cursor
	size    int               // changes in history
}

// hazardChange is one hazard's change.
type hazardChange struct {
	before *hazard.Hazard // nil: it is new
	after  *hazard.Hazard
	event  []byte // its lines
}

// hazardStep is what happened between two cursors. It is shared and must not be changed.
type hazardStep struct {
	reset   bool
	cursor  int64
	changes []hazardChange
}

// hazardClient is one stream.
type hazardClient struct {
	filter hazardFilter
	who    string
	steps  chan hazardStep
	gone   chan struct{} // closed by the hub when the client has to go
	since  int64         // where it was
	joined bool          // it has its first step
}

func newHazardHub(source HazardSource, every time.Duration, log *slog.Logger) *hazardHub {
	return &hazardHub{source: source, every: every, log: log, clients: make(map[*hazardClient]struct{}), of: make(map[string]int)}
}

// join adds a client that has seen everything up to since; 0: nothing. There may be most clients, and of those
// that are who's mostEach (below 0: any number). Each must leave.
func (b *hazardHub) join(f hazardFilter, since int64, who string, most, mostEach int) (*hazardClient, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drained {
		return nil, errDrained
	}
	if len(b.clients) >= most {
		return nil, errFull
	}
	if mostEach >= 0 && b.of[who] >= mostEach {
		return nil, errGreedy
	}
	b.of[who]++
	c := &hazardClient{filter: f, who: who, steps: make(chan hazardStep, maxSteps), gone: make(chan struct{}), since: since}
	b.clients[c] = struct{}{}
	if b.running != nil {
		if b.known {
			b.welcome(c)
		}
		return c, nil
	}
	b.known = b.known && time.Since(b.asked) <= maxIdle
	ctx, cancel := context.WithCancel(context.Background())
	b.running, b.cancel = make(chan struct{}), cancel
	go b.run(ctx, cancel, b.running)
	return c, nil
}

// leave removes a client.
func (b *hazardHub) leave(c *hazardClient) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.clients, c)
	if b.of[c.who]--; b.of[c.who] <= 0 {
		delete(b.of, c.who)
	}
}

// dismiss makes a client go; mu must be held.
func (b *hazardHub) dismiss(c *hazardClient) {
	if _, ok := b.clients[c]; ok {
		delete(b.clients, c)
		close(c.gone)
	}
}

// drain makes all clients go, and waits for the goroutine.
func (b *hazardHub) drain(ctx context.Context) error {
	b.mu.Lock()
	b.drained = true
	for c := range b.clients {
		b.dismiss(c)
	}
	running := b.running
	if running != nil {
		b.cancel()
	}
	b.mu.Unlock()
	if running == nil {
		return nil
	}
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run asks the source until the last client is gone.
func (b *hazardHub) run(ctx context.Context, cancel context.CancelFunc, done chan<- struct{}) {
	defer close(done)
	defer cancel()
	tick := time.NewTicker(b.every)
	defer tick.Stop()
	failing := false
	for b.wanted() {
		err := b.ask(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			b.log.WarnContext(ctx, "hazards not read", "error", err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// wanted tells run whether to go on.
func (b *hazardHub) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.clients) > 0 && !b.drained {
		return true
	}
	b.running = nil
	return false
}

// ask reads the source once and tells the clients.
func (b *hazardHub) ask(ctx context.Context) error {
	b.mu.Lock()
	cursor := b.cursor
	if !b.known {
		cursor = 0
	}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	list, next, err := b.source.Since(ctx, cursor)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = time.Now()
	if !b.known {
		b.known, b.cursor, b.from = true, next, next
		b.history, b.size = nil, 0
		b.active, b.events = make(map[uint64]*hazard.Hazard), make(map[uint64][]byte)
		if _, err := b.apply(list); err != nil {
			return err
		}
		for c := range b.clients {
			b.welcome(c)
		}
		return nil
	}
	step := hazardStep{cursor: max(next, cursor)}
	if step.changes, err = b.apply(list); err != nil {
		return err
	}
	b.cursor = step.cursor
	if len(step.changes) > 0 {
		b.remember(step)
	}
	for c := range b.clients {
		switch {
		case !c.joined:
			b.welcome(c)
		case step.cursor > cursor || len(step.changes) > 0:
			b.tell(c, step)
		}
	}
	return nil
}

// apply takes over what the source told and lists what is new of it, by id; mu must be held.
func (b *hazardHub) apply(list []hazard.Hazard) ([]hazardChange, error) {
	var changes []hazardChange
	for i := range list {
		h := &list[i]
		before := b.active[h.ID]
		if before == nil && !h.Active() {
			continue
		}
		event, err := renderHazard(h)
		if err != nil {
			return nil, err
		}
		if string(event) == string(b.events[h.ID]) {
			continue
		}
		changes = append(changes, hazardChange{before, h, event})
		if h.Active() {
			b.active[h.ID], b.events[h.ID] = h, event
		} else {
			delete(b.active, h.ID)
			delete(b.events, h.ID)
		}
	}
	slices.SortStableFunc(changes, func(a, b hazardChange) int { return cmp.Compare(a.after.ID, b.after.ID) })
	return changes, nil
}

// remember keeps a step for those who come back; mu must be held.
func (b *hazardHub) remember(step hazardStep) {
	b.history = append(b.history, step)
	for b.size += len(step.changes); b.size > maxHistory && len(b.history) > 1; b.history = b.history[1:] {
		b.size -= len(b.history[0].changes)
		b.from = b.history[0].cursor
	}
}

// welcome tells a client what it missed, or everything; mu must be held.
func (b *hazardHub) welcome(c *hazardClient) {
	step := hazardStep{cursor: b.cursor}
	if c.since > 0 && c.since >= b.from && c.since <= b.cursor {
		for _, s := range b.history {
			if s.cursor > c.since {
				step.changes = append(step.changes, s.changes...)
			}
		}
	} else {
		step.reset = true
		for id, h := range b.active {
			step.changes = append(step.changes, hazardChange{nil, h, b.events[id]})
		}
		slices.SortFunc(step.changes, func(a, b hazardChange) int { return cmp.Compare(a.after.ID, b.after.ID) })
	}
	c.joined = true
	b.tell(c, step)
}

// tell hands a client a step, or makes it go if it is too far behind; mu must be held.
func (b *hazardHub) tell(c *hazardClient, step hazardStep) {
	select {
	case c.steps <- step:
	default:
		b.dismiss(c)
	}
}

// renderHazard is the event of a hazard without its id and the empty line at its end.
func renderHazard(h *hazard.Hazard) ([]byte, error) {
	told := toldHazard(h)
	doc := docOfHazard(h.ID, &told)
	doc.EndedMS = h.EndedMS
	if len(h.Edges) > 1 {
		doc.Edges = h.Edges[:min(len(h.Edges), maxHazardEdges)]
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	name := "hazard"
	if !h.Active() {
		name = "hazard_end"
	}
	return append(append([]byte("event: "+name+"\ndata: "), data...), '\n'), nil
}

// render is the part of a step that passes a filter. Its last event has the id, so that a client which is cut off
// in its midst is told all of it again. It is empty if there is no such part.
func (s *hazardStep) render(f *hazardFilter) []byte {
	var events [][]byte
	if s.reset {
		events = append(events, []byte("event: reset\ndata: {}\n"))
	}
	for i := range s.changes {
		c := &s.changes[i]
		if f.wants(c.after) || c.before != nil && f.wants(c.before) {
			events = append(events, c.event)
		}
	}
	if len(events) == 0 {
		return nil
	}
	var out []byte
	for i, e := range events {
		out = append(out, e...)
		if i == len(events)-1 {
			out = append(out, idLine(s.cursor)...)
		}
		out = append(out, '\n')
	}
	return out
}

func idLine(cursor int64) string { return "id: " + strconv.FormatInt(cursor, 10) + "\n" }
