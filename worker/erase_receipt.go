package worker

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/carasso/carasso/telemetry/ledger"
)

// end makes the receipt.
func (r *erasing) end(ctx context.Context) error {
	totals, err := r.d.Store.ErasureTotals(ctx, r.e.ID)
	if err != nil {
		return err
	}
	ended := r.d.Now().UTC().Truncate(time.Second)
	e := &r.e
	doc := ledger.Receipt{
		Version: 1, Erasure: strconv.FormatInt(e.ID, 10), Subject: hex.EncodeToString(e.Subject[:]), Requested: e.RequestedAt.Truncate(time.Second),
		AcceptedBefore: e.UpTo.Truncate(time.Second), Ended: ended, Days: ledger.ReceiptDays{From: dayOrNull(e.From), To: dayOrNull(e.To), WithKey: e.Searched},
		Archive: totals[ledger.ErasedArchive], Copies: totals[ledger.ErasedCopy], Quarantine: totals[ledger.ErasedQuarantine], Unreadable: r.unreadable,
		Status: "deleted", Kept: kept(),
	}
	if !e.Whole() {
		doc.Status = "kept"
	}
	receipt, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = r.d.Store.EndErasure(ctx, e.ID, ended, receipt)
	return err
}

func dayOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.DateOnly)
	return &s
}

// kept is what erasures leave. Without characters that JSON in HTML would escape: the receipt is signed as it is.
func kept() []ledger.ReceiptKept {
	return []ledger.ReceiptKept{
		{What: "claims of batches, 8 days", Why: "Keyed hashes of vehicle and batch without content. Without them a batch that is sent again would be archived again."},
		{What: "counts in the ledger", Why: "How many batches were accepted and what became of them, of all vehicles together, with the number of erased ones."},
		{
			What: "aggregates and evidence of roads, up to 35 days; sums by day and profiles, longer",
			Why:  "Sums over vehicles by road and time. Each day's vehicles are bits of a bitmap of 128 under that day's pseudonyms, shared with others, and nothing of fewer vehicles than the deployment's k is published. A replay of the days from the archive, which the vehicle is not in any more, takes its part out of those that are kept by time.",
		},
		{What: "published maps, hazards and releases", Why: "Statements about roads, of no vehicle."},
		{What: "the audit log", Why: "Who asked about or erased a vehicle, under the hash of this receipt: proof of what was done."},
		{What: "pseudonyms of the days before the request, 16 days", Why: "Without any data, so that batches that are still on their way are dropped on arrival."},
		{What: "days without key", Why: "What was archived on a day whose key was destroyed can't be told to be of any vehicle: it is anonymous."},
	}
}
