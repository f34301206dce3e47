package management

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Bounds of a preview.
const (
	maxPreviewBytes   = 16 << 20 // of an envelope, inflated
	maxPreviewRecords = 20
	maxPreviewHex     = 64 // bytes
)

// previewDoc is what can be told of an object in quarantine without saying whose it is: no pseudonym, no trip, no
// batch id, no position.
type previewDoc struct {
	Available bool               `json:"available"`
	Error     string             `json:"error,omitempty"`
	Hex       string             `json:"hex,omitempty"`
	Header    *previewHeader     `json:"header,omitempty"`
	Records   []previewRecordDoc `json:"records"`
}

type previewHeader struct {
	Receiver         string    `json:"receiver"`
	Seq              uint64    `json:"seq"`
	AcceptedAt       time.Time `json:"accepted_at"`
	Batches          uint32    `json:"batches"`
	Samples          uint32    `json:"samples"`
	TotalBatches     uint64    `json:"total_batches"`
	TotalSamples     uint64    `json:"total_samples"`
	ConfirmedThrough uint64    `json:"confirmed_through"`
	Voided           int       `json:"voided"`
}

type previewRecordDoc struct {
	Index    int        `json:"index"`
	Bytes    int        `json:"bytes"`
	Error    string     `json:"error,omitempty"`
	Samples  int        `json:"samples"`
	LeadIn   int        `json:"lead_in"`
	Events   int        `json:"events"`
	From     *time.Time `json:"from,omitempty"`
	To       *time.Time `json:"to,omitempty"`
	Model    string     `json:"model,omitempty"`
	Software string     `json:"software,omitempty"`
}

func (s *Server) preview(ctx context.Context, e *ledger.QuarantineEntry) (previewDoc, error) {
	doc := previewDoc{Records: []previewRecordDoc{}}
	body, err := s.deps.Objects.Get(ctx, e.ObjectKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		doc.Error = "The object is not there any more."
		return doc, nil
	case err != nil:
		return doc, fmt.Errorf("read %s: %w", e.ObjectKey, err)
	}
	doc.Available = true
	var opened telemetry.Envelope
	if err := opened.Open(body, maxPreviewBytes); err != nil {
		doc.Error = err.Error()
		var ee *telemetry.EnvelopeError
		if errors.As(err, &ee) && ee.HeaderOK {
			doc.Header = newPreviewHeader(&opened.Header)
		} else { // nobody knows what this is: its beginning may tell
			doc.Hex = hex.EncodeToString(body[:min(len(body), maxPreviewHex)])
		}
		return doc, nil
	}
	doc.Header = newPreviewHeader(&opened.Header)
	i := 0
	for r := range opened.Records() {
		if !e.HasClaim || r.Claim == e.Claim {
			doc.Records = append(doc.Records, newPreviewRecord(i, r.Payload))
		}
		if i++; len(doc.Records) == maxPreviewRecords {
			break
		}
	}
	return doc, nil
}

func newPreviewHeader(h *telemetry.Header) *previewHeader {
	return &previewHeader{
		Receiver: telemetry.BatchID(h.Receiver).String(), Seq: h.Seq, AcceptedAt: utc(h.AcceptedAt), Batches: h.Batches, Samples: h.Samples,
		TotalBatches: h.TotalBatches, TotalSamples: h.TotalSamples, ConfirmedThrough: h.ConfirmedThrough, Voided: len(h.Voided),
	}
}

func newPreviewRecord(i int, payload []byte) previewRecordDoc {
	doc := previewRecordDoc{Index: i, Bytes: len(payload)}
	var b telemetry.Batch
	if err := telemetry.DecodeCanonical(payload, &b); err != nil {
		doc.Error = err.Error()
		return doc
	}
	doc.Samples, doc.LeadIn, doc.Events, doc.Model, doc.Software = len(b.Samples), b.LeadIn, len(b.Events), b.Vehicle.Model, b.Vehicle.Software
	if n := len(b.Samples); n > 0 {
		from, to := utc(b.Samples[0].T), utc(b.Samples[n-1].T)
		doc.From, doc.To = &from, &to
	}
	return doc
}
