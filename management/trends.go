package management

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/learn"
)

// maxSteps bounds the steps of a series.
const maxSteps = 10_000

// trendRoutes are the paths of what analysts ask over time.
func (s *Server) trendRoutes(r chi.Router) {
	r.Get("/v1/trends/speeds", s.getSpeedTrend)
	r.Post("/v1/trends/speeds", s.getSpeedTrend)
	r.Get("/v1/trends/limits", s.tagged(s.getLimitTrend))
	r.Get("/v1/trends/hazards", s.tagged(s.getHazardTrend))
	r.Get("/v1/trends/coverage", s.tagged(s.getCoverageTrend))
	r.Get("/v1/trends/fleet", s.tagged(s.getFleetTrend))
	r.Get("/v1/segments/history", s.tagged(s.getSegmentHistory))
	r.Get("/v1/segments/{edge}/profile", s.tagged(s.getSegmentProfile))
	r.Get("/v1/roads/search", s.tagged(s.getStreets))
	r.Get("/v1/trends/sensor-health", s.tagged(s.getSensorHealth))
}

// trendTime is how a question groups time.
type trendTime struct {
	from, to time.Time
	by       learn.TimeBy
	step     learn.Step
	zone     *time.Location
}

// trendHead is what every trend by time tells of the question.
type trendHead struct {
	From       time.Time  `json:"from"`
	To         time.Time  `json:"to"`
	GroupBy    []string   `json:"group_by"`
	Resolution learn.Step `json:"resolution,omitempty"`
	TimeZone   string     `json:"time_zone"`
}

// withheld tells what is not told: groups of fewer than K vehicles.
type withheld struct {
	K          int `json:"k"`
	Suppressed int `json:"suppressed_count"`
}

func (t *trendTime) head(names []string) trendHead {
	h := trendHead{From: t.from, To: t.to, GroupBy: names, TimeZone: t.zone.String()}
	if t.by == learn.BySteps {
		h.Resolution = t.step
	}
	return h
}

// file is an export of a trend.
func (t *trendTime) file(s *Server, format export.Format, title string, columns row, read func(context.Context, func(row) error) (int, error)) *file {
	return &file{format: format, summary: export.Summary{Title: title, From: &t.from, To: &t.to, K: s.cfg.K}, columns: columns, read: read}
}

// trendTime reads from, to, resolution and time_zone. by is taken from group_by.
func (p *params) trendTime(s *Server, by learn.TimeBy) trendTime {
	t := trendTime{by: by, zone: p.zone("time_zone")}
	t.from, t.to = p.period(s.deps.Now(), 24*time.Hour, s.cfg.MaxTrendRange)
	t.step = learn.Step(p.choice("resolution", string(learn.Hours), string(learn.FiveMinutes), string(learn.QuarterHours),
		string(learn.Days), string(learn.Weeks), string(learn.CalendarMonths)))
	if _, ok := p.get("resolution"); ok && by != learn.BySteps {
		p.fail("resolution", "is given without steps to give it to", "group_by with time")
	}
	if p.err == nil && by == learn.BySteps && len(t.steps()) > maxSteps {
		p.fail("resolution", "makes more than 10000 steps of the range", "a coarser one, or a shorter range")
	}
	return t
}

func (p *params) zone(name string) *time.Location {
	v, ok := p.get(name)
	if !ok {
		return time.UTC
	}
	zone, err := time.LoadLocation(v)
	if err != nil || v == "Local" || len(v) > 64 {
		p.fail(name, "is "+quote(v), "a time zone of the IANA data base, such as Europe/Andorra")
		return time.UTC
	}
	return zone
}

// steps are the starts of the steps that a range touches; of more than maxSteps, one too many.
func (t *trendTime) steps() (starts []int64) {
	for at := t.step.Start(t.from.In(t.zone)); at.Before(t.to) && len(starts) <= maxSteps; at = t.step.Next(at) {
		starts = append(starts, at.UnixMilli())
	}
	return starts
}

// groupBy reads group_by: at most one way to group time, and at most most of some other kinds of groups, joined by commas.
func (p *params) groupBy(fallback string, most int, kinds ...string) (by learn.TimeBy, chosen, names []string) {
	v, ok := p.get("group_by")
	if !ok {
		v = fallback
	}
	for name := range strings.SplitSeq(v, ",") {
		switch t := learn.TimeBy(name); {
		case (t == learn.BySteps || t == learn.ByHour || t == learn.ByWeekday) && by == learn.WholeRange:
			by = t
		case slices.Contains(kinds, name) && !slices.Contains(chosen, name) && len(chosen) < most:
			chosen = append(chosen, name)
		default:
			expected := "one of time, hour_of_day, weekday"
			if len(kinds) > 0 {
				expected += ", and " + strconv.Itoa(most) + " of " + strings.Join(kinds, ", ") + ", or less of these, joined by commas"
			}
			p.fail("group_by", "is "+quote(v), expected)
			return by, nil, nil
		}
		names = append(names, name)
	}
	return by, chosen, names
}

// timeKey is what a group says of its time: one of them, by the grouping.
type timeKey struct {
	Time      *time.Time `json:"time,omitempty"`
	HourOfDay *int       `json:"hour_of_day,omitempty"`
	Weekday   *int       `json:"weekday,omitempty"`

	by learn.TimeBy
}

func newTimeKey(by learn.TimeBy, key int64) (k timeKey) {
	n := int(key)
	k.by = by
	switch by {
	case learn.BySteps:
		t := time.UnixMilli(key).UTC()
		k.Time = &t
	case learn.ByHour:
		k.HourOfDay = &n
	case learn.ByWeekday:
		k.Weekday = &n
	case learn.WholeRange:
	}
	return k
}

// tagged answers with a document and a weak ETag of its content: a client that names it in If-None-Match is told 304.
func (s *Server) tagged(f endpoint) http.HandlerFunc {
	return s.answer(f, func(w http.ResponseWriter, r *http.Request, contentType string, doc any) {
		body, err := json.Marshal(doc)
		if err != nil {
			s.deps.Logger.ErrorContext(r.Context(), "answer not encodable", "path", r.URL.Path, "error", err)
			problem.Write(w, problem.New(problem.Internal, ""))
			return
		}
		sum := sha256.Sum256(body)
		etag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		w.Header().Set("ETag", etag)
		w.Header().Set("Cache-Control", "private, no-cache")
		if sameTag(r.Header.Values("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		s.write(w, r, contentType, json.RawMessage(body))
	})
}

// sameTag compares weakly, as If-None-Match does (RFC 9110, 13.1.2).
func sameTag(headers []string, etag string) bool {
	weak := func(t string) string { return strings.TrimPrefix(strings.TrimSpace(t), "W/") }
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if weak(t) == weak(etag) || strings.TrimSpace(t) == "*" {
				return true
			}
		}
	}
	return false
}
