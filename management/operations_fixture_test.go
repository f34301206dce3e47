package management_test

import (
	"context"
	"slices"
	"time"

	"github.com/carasso/carasso/internal/audit"
)

// fakeLog is an audit log in memory, newest first.
type fakeLog struct{ records []audit.Record }

func (s *fakeStore) BeginAudit(_ context.Context, e audit.Entry) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	id := int64(len(s.log.records) + 1)
	s.log.records = slices.Insert(s.log.records, 0, audit.Record{ID: id, At: s.now().UTC(), Entry: e, Result: audit.Result{Outcome: audit.Unknown}})
	return id, nil
}

func (s *fakeStore) EndAudit(_ context.Context, id int64, r audit.Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := &s.log.records[len(s.log.records)-int(id)]
	rec.Result, rec.EndedAt = r, s.now().UTC()
	return nil
}

func (s *fakeStore) Audit(_ context.Context, f audit.Filter) ([]audit.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []audit.Record
	for _, r := range s.log.records {
		switch {
		case f.Before != 0 && r.ID >= f.Before, f.Subject != "" && r.Subject != f.Subject, f.Action != "" && r.Action != f.Action:
		case !f.From.IsZero() && r.At.Before(f.From), !f.To.IsZero() && !r.At.Before(f.To):
		default:
			out = append(out, r)
		}
	}
	return out[:min(len(out), f.Most)], s.err
}

func (s *fakeStore) audited() []audit.Record {
	all, _ := s.Audit(context.Background(), audit.Filter{Most: 1 << 30, From: time.Time{}})
	return all
}
