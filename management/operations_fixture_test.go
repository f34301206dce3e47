package management_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/audit"
	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
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

// fakeQuarantine has an envelope (21), a batch of another (22), and one that was resolved (20).
func (s *fakeStore) quarantine() []ledger.QuarantineEntry {
	at := fixtureTime
	whole := ledger.Quarantined{
		HasEnvelope: true, Receiver: fakeReceiver, Seq: 812, Reason: ledger.ReasonRejected, Detail: "panic: bug\nmain.go:17",
		ObjectKey: "quarantine/whole.envelope", Bytes: 20_480, Batches: 3, Samples: 30,
	}
	batch := whole
	batch.HasClaim, batch.Claim, batch.Reason, batch.Detail, batch.Batches, batch.Samples = true, telemetry.ClaimID{2}, ledger.ReasonBatchTime, "2026-11-13T10:00:00Z", 1, 10
	gone := ledger.Quarantined{Reason: ledger.ReasonHeader, Detail: "no header", ObjectKey: "quarantine/nonsense.envelope", Bytes: 11}
	entries := []ledger.QuarantineEntry{
		{ID: 23, At: at, Quarantined: gone, State: ledger.Open},
		{ID: 22, At: at, Quarantined: batch, State: ledger.Open},
		{ID: 21, At: at.Add(-time.Minute), Quarantined: whole, State: ledger.Open},
		{ID: 20, At: at.Add(-time.Hour), Quarantined: whole, State: ledger.Resolved, ResolvedAt: at},
	}
	for i := range entries {
		if s.pending[entries[i].ID] {
			entries[i].State = ledger.Pending
		}
	}
	return entries
}

func (s *fakeStore) Quarantine(_ context.Context, f ledger.QuarantineFilter) ([]ledger.QuarantineEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.DeleteFunc(s.quarantine(), func(e ledger.QuarantineEntry) bool {
		return f.Before != 0 && e.ID >= f.Before || f.Reason != "" && e.Reason != f.Reason || f.State != "" && e.State != f.State ||
			!f.From.IsZero() && e.At.Before(f.From) || !f.To.IsZero() && !e.At.Before(f.To)
	})
	return out[:min(len(out), f.Most)], s.err
}

func (s *fakeStore) Quarantined(_ context.Context, id int64) (ledger.QuarantineEntry, []ledger.Redrive, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.quarantine() {
		if e.ID == id {
			return e, []ledger.Redrive{{RequestedAt: fixtureTime, DoneAt: fixtureTime, Reason: ledger.ReasonRejected, Detail: "panic: bug"}}, true, s.err
		}
	}
	return ledger.QuarantineEntry{}, nil, false, s.err
}

func (s *fakeStore) RequestRedrive(ctx context.Context, f ledger.QuarantineFilter) (int, error) {
	f.State = ledger.Open
	open, err := s.Quarantine(ctx, f)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range open {
		s.setPending(e.ID)
	}
	return len(open), err
}

func (s *fakeStore) setPending(id int64) {
	if s.pending == nil {
		s.pending = map[int64]bool{}
	}
	s.pending[id] = true
}

func (s *fakeStore) RequestRedriveOf(_ context.Context, id int64) (ledger.QuarantineState, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.quarantine() {
		if e.ID == id {
			if e.State == ledger.Open {
				s.setPending(id)
			}
			return e.State, true, s.err
		}
	}
	return "", false, s.err
}

// fakeObjects holds what is in quarantine.
type fakeObjects struct{}

// secrets are what the envelope in quarantine holds and nobody may be shown.
var secrets = telemetry.Record{Claim: telemetry.ClaimID{2}, Vehicle: 0x1122_3344_5566_7788}

func (fakeObjects) Get(_ context.Context, key string) ([]byte, error) {
	switch key {
	case "quarantine/whole.envelope":
		var w telemetry.EnvelopeWriter
		batch := telemetry.Batch{Vehicle: telemetry.Vehicle{Model: "G30", Software: "23-07.1"}, Trip: telemetry.Trip{Key: 77_000_077}, LeadIn: 1}
		for i := range int64(3) {
			batch.Samples = append(batch.Samples, telemetry.Sample{T: fixtureTime.UnixMilli() + 1000*i, LatE7: 42_506_310, LonE7: 1_521_830})
		}
		payload := telemetry.AppendCanonical(nil, &batch)
		w.Append(telemetry.Record{Claim: telemetry.ClaimID{1}, Vehicle: secrets.Vehicle, Payload: payload})
		w.Append(telemetry.Record{Claim: secrets.Claim, Vehicle: secrets.Vehicle, Payload: payload})
		w.Append(telemetry.Record{Claim: telemetry.ClaimID{3}, Vehicle: secrets.Vehicle, Payload: []byte{0xff}})
		return w.Seal(telemetry.Header{
			Receiver: fakeReceiver, Seq: 812, AcceptedAt: fixtureTime.UnixMilli(), Batches: 3, Samples: 30, TotalBatches: 12_000, TotalSamples: 120_000, ConfirmedThrough: 811,
		})
	case "quarantine/nonsense.envelope":
		return []byte("no envelope"), nil
	}
	return nil, fs.ErrNotExist
}

// fakeLive knows the status of one vehicle, WBA-4711, which is refused, and what was seen in a day.
type fakeLive struct{}

func (fakeLive) Get(_ context.Context, key string) (value []byte, version int64, err error) {
	now := time.Now()
	var doc any
	switch {
	case key == vehiclestatus.Key(fakeRing{}.StatusID("WBA-4711")):
		doc = vehiclestatus.Status{
			Credential: "token", AcceptedMS: fixtureTime.UnixMilli(), EventMS: fixtureTime.UnixMilli() - 500, AgeMS: 5200, Model: "G30", Software: "23-07.1",
			Rejected: &vehiclestatus.Rejection{
				AtMS: fixtureTime.UnixMilli() + 540_000, SinceMS: fixtureTime.UnixMilli() + 60_000, Count: 48, Reason: "invalid-batch",
				Pointer: "/samples/0/lat", Expected: "a number from -90 to 90",
			},
		}
	case strings.HasPrefix(key, "vehicles/") && (strings.Contains(key, now.UTC().Format("2006-01-02")) || strings.Contains(key, "2026-11-23")):
		a := vehiclestatus.Activity{Refused: map[string]int64{"invalid-batch": 3, "rate-limited": 5}}
		for i := range byte(40) {
			a.Seen.Add(vehiclestatus.ID{i * 5, i * 11, i * 13})
		}
		doc = a
	case strings.HasPrefix(key, "usage/hour/"):
		slots := map[string]usage.Counts{}
		for i := range 12 {
			slots[strconv.Itoa(i)] = usage.Counts{usage.SQSRequests: 1000, usage.S3Puts: 10, usage.DynamoWrites: 50, usage.CPUSeconds: 30}
		}
		doc = slots
	default:
		return nil, 0, fs.ErrNotExist
	}
	value, err = json.Marshal(doc)
	return value, 1, err
}

func (s *fakeStore) ArchivedIn(_ context.Context, from, to time.Time) (samples, bytes int64, err error) {
	hours := int64(to.Sub(from) / time.Hour)
	return hours * 3_600_000, hours * 50_000_000, s.look()
}
