package management

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// maxGaps bounds the gaps listed in an answer; all are counted.
const maxGaps = 1000

type ledgerDoc struct {
	From       time.Time     `json:"from"`
	To         time.Time     `json:"to"`
	Rows       []ledgerRow   `json:"rows"`
	Totals     accountDoc    `json:"totals"`
	Balanced   bool          `json:"balanced"`
	Gaps       int           `json:"gaps"`
	Crosscheck crosscheckDoc `json:"crosscheck"`
	Erased     erasedDoc     `json:"erased"`
}

// erasedDoc is how much of what was archived, or put into quarantine, in the period does not exist any more. It is still counted as what
// it was.
type erasedDoc struct {
	Batches int64 `json:"batches"`
	Samples int64 `json:"samples"`
}

type ledgerRow struct {
	Hour     time.Time `json:"hour"`
	Receiver string    `json:"receiver,omitempty"`
	accountDoc
	Balanced bool     `json:"balanced"`
	Gaps     []gapDoc `json:"gaps"`
}

// accountDoc is a ledger.Account, flat.
type accountDoc struct {
	Accepted           int64 `json:"accepted"`
	Archived           int64 `json:"archived"`
	Duplicate          int64 `json:"duplicate"`
	Quarantined        int64 `json:"quarantined"`
	InFlight           int64 `json:"in_flight"`
	Unconfirmed        int64 `json:"unconfirmed"`
	AcceptedSamples    int64 `json:"accepted_samples"`
	ArchivedSamples    int64 `json:"archived_samples"`
	DuplicateSamples   int64 `json:"duplicate_samples"`
	QuarantinedSamples int64 `json:"quarantined_samples"`
	InFlightSamples    int64 `json:"in_flight_samples"`
	UnconfirmedSamples int64 `json:"unconfirmed_samples"`
}

func newAccountDoc(a *ledger.Account) accountDoc {
	return accountDoc{
		a.Accepted.Batches, a.Archived.Batches, a.Duplicate.Batches, a.Quarantined.Batches, a.InFlight.Batches, a.Unconfirmed.Batches,
		a.Accepted.Samples, a.Archived.Samples, a.Duplicate.Samples, a.Quarantined.Samples, a.InFlight.Samples, a.Unconfirmed.Samples,
	}
}

type gapDoc struct {
	Receiver  string `json:"receiver"`
	FromSeq   uint64 `json:"from_seq"`
	ToSeq     uint64 `json:"to_seq"`
	Envelopes int64  `json:"envelopes"`
	Batches   int64  `json:"batches"`
	Samples   int64  `json:"samples"`
	State     string `json:"state"`
}

// crosscheckDoc compares three independent counts of what was archived by flushes
// committed in the period.
type crosscheckDoc struct {
	Archived        int64  `json:"archived"`
	ArchivedSamples int64  `json:"archived_samples"`
	ManifestBatches int64  `json:"manifest_batches"`
	ManifestSamples int64  `json:"manifest_samples"`
	ClaimedBatches  *int64 `json:"claimed_batches"`
	ClaimedSamples  *int64 `json:"claimed_samples"`
	Consistent      bool   `json:"consistent"`
}

func (s *Server) getLedger(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "from", "to", "by", "claims")
	from, to := p.period(s.deps.Now(), 24*time.Hour, s.cfg.MaxRange)
	by := p.choice("by", "hour", "receiver")
	claims := p.boolean("claims", false)
	if err := p.problem(); err != nil {
		return nil, err
	}
	if !p.values.Has("from") && !p.values.Has("to") && !claims {
		return s.lastDay(r.Context(), by)
	}
	var doc ledgerDoc
	err := s.withHeavy(r.Context(), func(ctx context.Context) error {
		report, err := s.deps.Store.Ledger(ctx, from, to)
		if err != nil {
			return err
		}
		doc = newLedgerDoc(&report, by)
		if !claims {
			return nil
		}
		claimed, err := s.deps.Store.ClaimedIn(ctx, from, to)
		doc.Crosscheck.ClaimedBatches, doc.Crosscheck.ClaimedSamples = &claimed.Batches, &claimed.Samples
		doc.Crosscheck.Consistent = doc.Crosscheck.Consistent && claimed == report.Manifest
		return err
	})
	doc.From, doc.To = from, to
	return doc, err
}

// dayReport is the ledger of the 24 hours before a moment, which many portals look at.
type dayReport struct {
	ledger.Report
	from, to time.Time
}

func (s *Server) lastDay(ctx context.Context, by string) (any, error) {
	report, err := s.today.get(ctx, s.deps.Now, time.Second, s.cfg.QueryTimeout, func(ctx context.Context) (d dayReport, err error) {
		d.to = s.deps.Now().UTC()
		d.from = d.to.Add(-24 * time.Hour)
		err = s.withHeavy(ctx, func(ctx context.Context) error {
			d.Report, err = s.deps.Store.Ledger(ctx, d.from, d.to)
			return err
		})
		return d, err
	})
	if err != nil {
		return nil, err
	}
	doc := newLedgerDoc(&report.Report, by)
	doc.From, doc.To = report.from, report.to
	return doc, nil
}

func newLedgerDoc(report *ledger.Report, by string) ledgerDoc {
	type key struct {
		hour     int64
		receiver telemetry.ReceiverID
	}
	keyOf := func(hour time.Time, receiver telemetry.ReceiverID) key {
		if by == "hour" {
			receiver = telemetry.ReceiverID{}
		}
		return key{hour.UnixMilli(), receiver}
	}
	doc := ledgerDoc{Rows: []ledgerRow{}, Gaps: len(report.Gaps), Balanced: true}
	var totals ledger.Account
	accounts := map[key]*ledger.Account{}
	var order []key
	for i := range report.Hours {
		h := &report.Hours[i]
		totals.Add(&h.Account)
		k := keyOf(h.Start, h.Receiver)
		a, ok := accounts[k]
		if !ok {
			a = new(ledger.Account)
			accounts[k], order = a, append(order, k)
		}
		a.Add(&h.Account)
	}
	gaps := map[key][]gapDoc{}
	for _, g := range report.Gaps[:min(len(report.Gaps), maxGaps)] {
		k := keyOf(g.Hour, g.Receiver)
		gaps[k] = append(gaps[k], newGapDoc(g))
	}
	for _, k := range order {
		a := accounts[k]
		row := ledgerRow{
			Hour: time.UnixMilli(k.hour).UTC(), accountDoc: newAccountDoc(a), Balanced: a.Balanced(),
			Gaps: append([]gapDoc{}, gaps[k]...),
		}
		if by == "receiver" {
			row.Receiver = telemetry.BatchID(k.receiver).String()
		}
		doc.Balanced = doc.Balanced && row.Balanced
		doc.Rows = append(doc.Rows, row)
	}
	doc.Totals = newAccountDoc(&totals)
	doc.Erased = erasedDoc{report.Erased.Batches, report.Erased.Samples}
	doc.Crosscheck = crosscheckDoc{
		Archived: report.Handled.Batches, ArchivedSamples: report.Handled.Samples,
		ManifestBatches: report.Manifest.Batches, ManifestSamples: report.Manifest.Samples,
		Consistent: report.Handled == report.Manifest,
	}
	return doc
}

func newGapDoc(g ledger.Gap) gapDoc {
	state := "unconfirmed"
	if g.Confirmed {
		state = "in_flight"
	}
	return gapDoc{
		Receiver: telemetry.BatchID(g.Receiver).String(), FromSeq: g.FromSeq, ToSeq: g.ToSeq,
		Envelopes: g.Envelopes, Batches: g.Batches, Samples: g.Samples, State: state,
	}
}

// Bounds of POST /v1/ledger/batches.
const (
	maxBatchQuery     = 10_000
	maxBatchQueryBody = 2 << 20 // bytes
	maxVehicleID      = 128     // bytes
)

type batchesQuery struct {
	Batches []struct {
		VehicleID string `json:"vehicle_id"`
		BatchID   string `json:"batch_id"`
	} `json:"batches"`
}

type batchesDoc struct {
	Found   int   `json:"found"`
	Samples int64 `json:"samples"`
	Missing []int `json:"missing"`
}

func (s *Server) postBatches(r *http.Request) (any, error) {
	ids, err := s.readBatches(r)
	if err != nil {
		return nil, err
	}
	samples, err := s.deps.Store.Claimed(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	doc := batchesDoc{Missing: []int{}}
	for i, n := range samples {
		if n < 0 {
			doc.Missing = append(doc.Missing, i)
			continue
		}
		doc.Found++
		doc.Samples += int64(n)
	}
	return doc, nil
}

func (s *Server) readBatches(r *http.Request) ([]telemetry.ClaimID, error) {
	const expected = `{"batches":[{"vehicle_id":"car-1","batch_id":"0193…, a UUID"}]} with 1 to 10,000 batches`
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return nil, &problem.Problem{Kind: problem.UnsupportedMedia, Detail: "Send the batches as application/json.", Expected: "application/json"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBatchQueryBody+1))
	if err != nil {
		return nil, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body ended early.", Expected: expected}
	}
	if len(body) > maxBatchQueryBody {
		return nil, &problem.Problem{Kind: problem.TooLarge, Detail: fmt.Sprintf("The body is larger than %d bytes.", maxBatchQueryBody), Expected: expected}
	}
	var q batchesQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body is not the expected JSON.", Expected: expected}
	}
	if len(q.Batches) < 1 || len(q.Batches) > maxBatchQuery {
		return nil, &problem.Problem{
			Kind: problem.InvalidRequest, Pointer: "/batches", Expected: expected,
			Detail: fmt.Sprintf("There are %d batches.", len(q.Batches)),
		}
	}
	ids := make([]telemetry.ClaimID, len(q.Batches))
	for i, b := range q.Batches {
		pointer := fmt.Sprintf("/batches/%d/", i)
		if b.VehicleID == "" || len(b.VehicleID) > maxVehicleID {
			return nil, &problem.Problem{
				Kind: problem.InvalidRequest, Pointer: pointer + "vehicle_id", Expected: "1 to 128 bytes",
				Detail: "The vehicle's id is empty or too long.",
			}
		}
		id, err := parseUUID(b.BatchID)
		if err != nil {
			return nil, &problem.Problem{
				Kind: problem.InvalidRequest, Pointer: pointer + "batch_id", Expected: "a UUID such as 0193a5f0-7c1e-7b7a-8f3e-2d4c6b8a0e12",
				Detail: "The batch's id is " + quote(b.BatchID) + ".",
			}
		}
		ids[i] = s.deps.Ring.ClaimID(b.VehicleID, id)
	}
	return ids, nil
}

var errUUID = errors.New("not a UUID")

// parseUUID reads the 8-4-4-4-12 form.
func parseUUID(v string) (id telemetry.BatchID, err error) {
	if len(v) != 36 || v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
		return id, errUUID
	}
	raw, err := hex.DecodeString(v[:8] + v[9:13] + v[14:18] + v[19:23] + v[24:])
	if err != nil {
		return id, errUUID
	}
	return telemetry.BatchID(raw), nil
}
