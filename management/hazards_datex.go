package management

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/management/datex"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// endedInFeed is how long a hazard stays in the DATEX II feed after its end, so that those who pull a snapshot now
// and then learn of the end from the record itself.
const endedInFeed = time.Hour

// situationsDoc is a snapshot with its validators (RFC 9110, 8.8).
type situationsDoc struct {
	publication datex.Publication
	etag        string
	modified    time.Time // whole seconds, rounded up
}

// getSituations is a snapshot of the active hazards in an area, and of those that ended within the last hour.
func (s *Server) getSituations(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox")
	box := p.area("bbox")
	if err := p.problem(); err != nil {
		return nil, err
	}
	doc := &situationsDoc{}
	err := s.withHeavy(r.Context(), func(ctx context.Context) error {
		now := s.deps.Now().UTC()
		// Twice as far back: that a hazard has left the feed changes it too.
		hs, err := s.deps.Store.HazardRevisionsIn(ctx, now.Add(-2*endedInFeed), box, s.cfg.MaxLimit+1)
		if err != nil {
			return fmt.Errorf("hazards for a feed: %w", err)
		}
		if len(hs) > s.cfg.MaxLimit {
			return &problem.Problem{
				Kind: problem.InvalidRequest, Expected: "a smaller area",
				Detail: fmt.Sprintf("Parameter bbox covers more than %d hazards.", s.cfg.MaxLimit),
			}
		}
		return s.fillSituations(ctx, doc, hs, now)
	})
	return doc, err
}

func (s *Server) fillSituations(ctx context.Context, doc *situationsDoc, hs []hazard.Revision, now time.Time) error {
	doc.publication = datex.Publication{Publisher: s.cfg.Publisher, At: now}
	tag := sha256.New() // of all that is told but the time of telling
	_, _ = fmt.Fprintf(tag, "%+v\n", s.cfg.Publisher)
	for i := range hs {
		h := &hs[i]
		if left := time.UnixMilli(h.EndedMS).Add(endedInFeed); !h.Active() && !left.After(now) {
			doc.changed(left)
			continue
		}
		doc.changed(h.ChangedAt)
		x, err := s.situation(ctx, h)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(tag, "%d %q %q %g %v\n", h.Seq, x.RoadName, x.RoadNumber, x.BearingDeg, x.Line)
		doc.publication.Situations = append(doc.publication.Situations, x)
	}
	doc.etag = `W/"` + base64.RawURLEncoding.EncodeToString(tag.Sum(nil)[:12]) + `"`
	return nil
}

func (d *situationsDoc) changed(at time.Time) {
	at = at.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second)
	if at.After(d.modified) {
		d.modified = at
	}
}

// situation adds the road to a hazard.
func (s *Server) situation(ctx context.Context, h *hazard.Revision) (datex.Situation, error) {
	x := datex.Situation{Revision: *h, BearingDeg: -1}
	if h.Edge == 0 {
		return x, nil
	}
	part, err := s.part(ctx, h.Edge)
	if err != nil || part.Segment == nil {
		return x, err
	}
	x.RoadName, x.RoadNumber, x.BearingDeg = part.Segment.Name, part.Segment.Ref, datex.Bearing(part, h.At)
	if h.Category == telemetry.ReducedVisibility || h.Category == telemetry.ExceptionalWeather {
		return x, nil // it fills the area around the road where it was first told
	}
	parts := make([]datex.Part, 0, len(h.Edges))
	for _, e := range h.Edges {
		part, err := s.part(ctx, e)
		if err != nil || part.Segment == nil {
			return x, err
		}
		parts = append(parts, part)
	}
	x.Line = datex.Stretch(parts)
	return x, nil
}

func (s *Server) part(ctx context.Context, e road.Edge) (datex.Part, error) {
	seg, err := s.segment(ctx, e)
	return datex.Part{Segment: seg, Against: e.Against()}, err
}

// feedSettled is how long ago a change must be for its time to be told as Last-Modified: one that was under way at the
// same time may still become visible.
const feedSettled = 5 * time.Second

// writeSituations answers as the request's conditions say (RFC 9110, 13).
func (s *Server) writeSituations(w http.ResponseWriter, r *http.Request, _ string, v any) {
	doc, ok := v.(*situationsDoc)
	if !ok {
		problem.Write(w, problem.New(problem.Internal, ""))
		return
	}
	h := w.Header()
	h.Set("ETag", doc.etag)
	h.Set("Cache-Control", "private, no-cache")
	now := doc.publication.At
	known := !doc.modified.IsZero() && now.Sub(doc.modified) >= feedSettled
	if known {
		h.Set("Last-Modified", doc.modified.Format(http.TimeFormat))
	}
	if notModified(r, doc, known) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := datex.Marshal(&doc.publication)
	if err != nil {
		s.deps.Logger.ErrorContext(r.Context(), "answer not encodable", "path", r.URL.Path, "error", err)
		problem.Write(w, problem.New(problem.Internal, ""))
		return
	}
	send(w, r, datex.ContentType, http.StatusOK, body)
}

// notModified reports whether the client has this snapshot. A date that lies longer back than ended hazards are remembered says
// nothing: one may have left the feed since.
func notModified(r *http.Request, doc *situationsDoc, known bool) bool {
	if tags := r.Header.Values("If-None-Match"); len(tags) > 0 {
		return sameTag(tags, doc.etag)
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && known && !since.Before(doc.modified) && doc.publication.At.Sub(since) < endedInFeed
}
