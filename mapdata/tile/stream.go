package tile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/problem"
)

// writeWithin is how long a client may take to accept a piece of the stream.
const writeWithin = 10 * time.Second

// stream answers GET /v1/hazards/stream with server-sent events (HTML standard, 9.2) until the client goes,
// falls behind, or the service drains:
//
//	event: reset      what follows is all that is active; forget what you hold. data: {}
//	event: hazard     a hazard began or changed. data: id, category, lat, lon, edge, edges, probability,
//	                  started, updated
//	event: hazard_end it ended. data: the same and ended
//
// Times are ms since the epoch. Ids grow; a client that comes back with Last-Event-ID (a header, or the parameter
// last_event_id) is told what happened since, without a reset if that is still known. Several events may
// make one step of which only the last has an id. Comments come at least every 15 s.
//
// Filters, one of: tiles=14/x/y,… (up to MaxStreamTiles, quadkeys too); bbox=west,south,east,north;
// corridor=lat,lon;lat,lon;… (up to MaxCorridor points) with width_m, the distance to either side of the line (default
// 500, 10 to 10,000). A hazard that moves out of the filter is told once more.
//
// 503 with Retry-After when too many streams are open, in all or from one address.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request) {
	if h.hazards == nil {
		problem.Write(w, problem.New(problem.NotFound, "There is no stream of hazards here."))
		return
	}
	// A corridor's semicolons need not be escaped.
	q, err := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B"))
	if err != nil {
		problem.Write(w, invalid("", "The query can't be read.", "name=value&…, percent-encoded"))
		return
	}
	filter, p := parseFilter(q)
	since, bad := lastEvent(r.Header, q)
	if p == nil {
		p = bad
	}
	if p != nil {
		problem.Write(w, p)
		return
	}
	c, err := h.hazards.join(filter, since, h.cfg.ClientOf(r), h.cfg.MaxStreams, h.cfg.MaxStreamsPerClient) //nolint:contextcheck // what it starts serves all clients, and ends with the last
	switch {
	case errors.Is(err, errFull):
		problem.Write(w, &problem.Problem{Kind: problem.Overloaded, RetryAfter: 10 * time.Second, Detail: "Too many streams are open; ask /v1/tiles:delta instead."})
		return
	case errors.Is(err, errGreedy):
		problem.Write(w, &problem.Problem{Kind: problem.Overloaded, RetryAfter: 10 * time.Second, Detail: "Too many streams are open from this address; close one, or ask /v1/tiles:delta instead."})
		return
	case err != nil:
		problem.Write(w, &problem.Problem{Kind: problem.Draining, RetryAfter: time.Second, Detail: "This instance is shutting down."})
		return
	}
	defer h.hazards.leave(c)
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	out := &eventWriter{w: w, rc: http.NewResponseController(w)}
	defer out.done()
	if out.send([]byte("retry: 2000\n\n")) != nil {
		return
	}
	h.pump(r.Context(), out, c)
}

// pump writes steps as they come.
func (h *Handler) pump(ctx context.Context, out *eventWriter, c *hazardClient) {
	beat := time.NewTicker(h.cfg.Heartbeat)
	defer beat.Stop()
	seen := int64(0)
	for {
		var err error
		select {
		case <-c.gone: // too slow, or draining
			return
		case step := <-c.steps:
			seen = step.cursor
			if msg := step.render(&c.filter); len(msg) > 0 {
				err = out.send(msg)
			}
		case <-beat.C:
			// An id without data makes no event, but is where the client goes on from.
			msg := ": still here\n"
			if seen > 0 {
				msg += idLine(seen)
			}
			err = out.send([]byte(msg + "\n"))
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// eventWriter writes pieces of a stream, each within writeWithin.
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (e *eventWriter) send(msg []byte) error {
	if err := e.rc.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := e.w.Write(msg); err != nil {
		return err
	}
	return e.rc.Flush()
}

// done lets the connection serve other requests.
func (e *eventWriter) done() { _ = e.rc.SetWriteDeadline(time.Time{}) }

// lastEvent is where the client was; 0 for a new one.
func lastEvent(header http.Header, q url.Values) (int64, *problem.Problem) {
	text := header.Get("Last-Event-ID")
	if text == "" {
		text = q.Get("last_event_id")
	}
	if text == "" {
		return 0, nil
	}
	cursor, err := strconv.ParseInt(text, 10, 64)
	if err != nil || cursor < 0 {
		return 0, invalid("/last_event_id", "There is no such event.", "the id of an event")
	}
	return cursor, nil
}
