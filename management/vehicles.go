package management

import (
	"cmp"
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/internal/vehiclestatus"
)

type vehicleQuery struct {
	VehicleID string `json:"vehicle_id"`
}

// vehicleDoc is why a vehicle is silent, or that it is not. Times are null for never.
type vehicleDoc struct {
	Verdict    string         `json:"verdict"`
	Reason     string         `json:"reason"`
	Known      bool           `json:"known"`
	Credential *credentialDoc `json:"credential"`
	Accepted   *acceptedDoc   `json:"last_accepted"`
	Rejected   *rejectedDoc   `json:"last_rejected"`
	Limited    *limitedDoc    `json:"rate_limited"`
	Model      string         `json:"model,omitempty"`
	Software   string         `json:"software,omitempty"`
}

type credentialDoc struct {
	Kind         string     `json:"kind"`
	ExpiredSince *time.Time `json:"expired_since"`
}

type acceptedDoc struct {
	At        time.Time  `json:"at"`
	EventTime *time.Time `json:"event_time"`
	MedianAge float64    `json:"median_age_s"`
}

type rejectedDoc struct {
	At       time.Time `json:"at"`
	Since    time.Time `json:"since"`
	Count    int64     `json:"count"`
	Reason   string    `json:"reason"`
	Pointer  string    `json:"pointer,omitempty"`
	Expected string    `json:"expected,omitempty"`
}

type limitedDoc struct {
	At    time.Time `json:"at"`
	Count int64     `json:"count"`
}

// postVehicleStatus tells what receivers noted about a vehicle. It is a question, but about one vehicle by its
// name: that somebody asked is kept in the audit log, under the status's key.
func (s *Server) postVehicleStatus(r *http.Request) (change, error) {
	const expected = `{"vehicle_id":"WBA-4711"}, of 1 to 128 bytes`
	var q vehicleQuery
	if err := readJSON(r, &q, expected); err != nil {
		return change{}, err
	}
	if q.VehicleID == "" || len(q.VehicleID) > maxVehicleID {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: "/vehicle_id", Detail: "The vehicle's id is empty or too long.", Expected: expected}
	}
	id := vehiclestatus.ID(s.deps.Ring.StatusID(q.VehicleID))
	return change{target: "vehicle/" + hex.EncodeToString(id[:6]), apply: func(ctx context.Context) (effect, error) {
		status, found, err := vehiclestatus.Read(ctx, s.deps.Live, id)
		if err != nil {
			return effect{}, err
		}
		return effect{answer: newVehicleDoc(&status, found, s.deps.Now())}, nil
	}}, nil
}

func newVehicleDoc(s *vehiclestatus.Status, found bool, now time.Time) vehicleDoc {
	v := judge(s, found, now)
	doc := vehicleDoc{Verdict: v.text, Reason: v.code, Known: found, Model: s.Model, Software: s.Software}
	if !found {
		return doc
	}
	if s.Credential != "" {
		doc.Credential = &credentialDoc{Kind: s.Credential, ExpiredSince: momentMS(s.ExpiredMS)}
	}
	if s.AcceptedMS != 0 {
		doc.Accepted = &acceptedDoc{At: utc(s.AcceptedMS), EventTime: momentMS(s.EventMS), MedianAge: float64(s.AgeMS) / 1000}
	}
	if r := s.Rejected; r != nil {
		doc.Rejected = &rejectedDoc{utc(r.AtMS), utc(r.SinceMS), r.Count, r.Reason, r.Pointer, r.Expected}
	}
	if l := s.Limited; l != nil {
		doc.Limited = &limitedDoc{utc(l.AtMS), l.Count}
	}
	return doc
}

// momentMS is nil for 0.
func momentMS(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := utc(ms)
	return &t
}

const (
	defaultSilence = 24 * time.Hour
	maxSilence     = 29 * 24 * time.Hour
	// summaryEvery is how long a summary serves: it is read from many items.
	summaryEvery = 20 * time.Second
	// maxSilences bounds the summaries in memory.
	maxSilences = 16
)

type vehicleSummaryDoc struct {
	At             time.Time   `json:"at"`
	SeenLastHour   int64       `json:"seen_last_hour"`
	SeenLastDay    int64       `json:"seen_last_day"`
	Known          int64       `json:"known"`
	SilenceS       float64     `json:"silence_s"`
	SilentLonger   int64       `json:"silent_longer"`
	RefusedHour    []reasonDoc `json:"refused_last_hour"`
	RefusedDay     []reasonDoc `json:"refused_last_day"`
	RefusedInADay  int64       `json:"refused_requests_last_day"`
	RefusedAnHour  int64       `json:"refused_requests_last_hour"`
	StandardErrorP float64     `json:"standard_error_percent"`
}

type reasonDoc struct {
	Reason   string `json:"reason"`
	Requests int64  `json:"requests"`
}

// getVehicleSummary tells how many vehicles come through and why others do not, without saying which.
func (s *Server) getVehicleSummary(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "silence_s")
	silence := time.Duration(p.integer("silence_s", int(defaultSilence/time.Second), 3600, int(maxSilence/time.Second))) * time.Second
	if err := p.problem(); err != nil {
		return nil, err
	}
	now := s.deps.Now().UTC()
	sum, err := s.vehicles.of(silence).get(r.Context(), s.deps.Now, summaryEvery, s.cfg.QueryTimeout, func(ctx context.Context) (vehiclestatus.Summary, error) {
		return vehiclestatus.Summarize(ctx, s.deps.Live, now, silence)
	})
	if err != nil {
		return nil, err
	}
	doc := vehicleSummaryDoc{
		At: now, SeenLastHour: sum.LastHour, SeenLastDay: sum.LastDay, Known: sum.Known, SilenceS: sum.Silence.Seconds(), SilentLonger: sum.SilentLonger,
		StandardErrorP: vehiclestatus.StandardErrorPercent,
	}
	doc.RefusedHour, doc.RefusedAnHour = topReasons(sum.RefusedHour)
	doc.RefusedDay, doc.RefusedInADay = topReasons(sum.RefusedDay)
	return doc, nil
}

// topReasons are the most frequent reasons, and how often there was any.
func topReasons(counts map[string]int64) (top []reasonDoc, all int64) {
	top = []reasonDoc{}
	for reason, n := range counts {
		top = append(top, reasonDoc{reason, n})
		all += n
	}
	slices.SortFunc(top, func(a, b reasonDoc) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Reason, b.Reason))
	})
	return top, all
}
