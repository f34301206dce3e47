package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// The bounds on accepted_at let the planner see that nearly all partitions don't matter.
const updateEnvelopes = `UPDATE envelope e SET archived = u.a, archived_samples = u.as, duplicate = u.d,
	duplicate_samples = u.ds, quarantined = u.q, quarantined_samples = u.qs
FROM unnest($1::timestamptz[], $2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[])
	AS u (accepted_at, receiver, seq, a, "as", d, ds, q, qs)
WHERE e.accepted_at = u.accepted_at AND e.receiver = u.receiver AND e.seq = u.seq
	AND e.accepted_at BETWEEN $10 AND $11`

const insertQuarantine = `INSERT INTO quarantine (receiver, seq, claim, reason, detail, object_key, bytes, batches, samples, flush)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`

const insertVoided = `INSERT INTO voided_envelope (receiver, seq, batches, samples) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

// Settle writes the outcome of the flush's fresh envelopes, the envelopes that their
// receivers voided, and what was quarantined. It sorts qs.
func (f *Flush) Settle(ctx context.Context, es []ledger.Envelope, qs []ledger.Quarantined) error {
	b := &pgx.Batch{}
	f.queueOutcomes(b, es)
	for _, v := range voided(es) {
		b.Queue(insertVoided, [16]byte(v.receiver), int64(v.Seq), int32(v.Batches), int32(v.Samples))
	}
	// Sorted, like all that two flushes may both insert.
	slices.SortFunc(qs, func(a, b ledger.Quarantined) int {
		return cmp.Or(cmp.Compare(a.ObjectKey, b.ObjectKey), compareClaims(a.Claim, b.Claim))
	})
	for i := range qs {
		q := &qs[i]
		var receiver, claim *[16]byte
		var seq *int64
		if q.HasEnvelope {
			r, s := [16]byte(q.Receiver), int64(q.Seq)
			receiver, seq = &r, &s
		}
		if q.HasClaim {
			c := [16]byte(q.Claim)
			claim = &c
		}
		b.Queue(insertQuarantine, receiver, seq, claim, string(q.Reason), clean(q.Detail), q.ObjectKey,
			int32(q.Bytes), int32(q.Batches), int32(q.Samples), f.id)
	}
	if b.Len() == 0 {
		return nil
	}
	return wrap("settle envelopes", f.tx.SendBatch(ctx, b).Close())
}

func (f *Flush) queueOutcomes(b *pgx.Batch, es []ledger.Envelope) {
	n := len(es)
	if n == 0 {
		return
	}
	accepted, receivers, seqs := make([]time.Time, n), make([][16]byte, n), make([]int64, n)
	var counts [6][]int32
	for i := range es {
		e := &es[i]
		accepted[i], receivers[i], seqs[i] = time.UnixMilli(e.AcceptedAt).UTC(), e.Receiver, int64(e.Seq)
		for j, v := range [...]uint32{
			e.Archived, e.ArchivedSamples, e.Duplicate, e.DuplicateSamples, e.Quarantined, e.QuarantinedSamples,
		} {
			counts[j] = append(counts[j], int32(v))
		}
	}
	b.Queue(updateEnvelopes, accepted, receivers, seqs, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], f.min, f.max)
}

type voidedEnvelope struct {
	receiver telemetry.ReceiverID
	telemetry.Void
}

// voided lists what the headers say was voided, once each, sorted.
func voided(es []ledger.Envelope) []voidedEnvelope {
	var vs []voidedEnvelope
	for i := range es {
		for _, v := range es[i].Voided {
			vs = append(vs, voidedEnvelope{es[i].Receiver, v})
		}
	}
	key := func(a, b voidedEnvelope) int {
		return cmp.Or(bytes.Compare(a.receiver[:], b.receiver[:]), cmp.Compare(a.Seq, b.Seq))
	}
	slices.SortFunc(vs, key)
	return slices.CompactFunc(vs, func(a, b voidedEnvelope) bool { return key(a, b) == 0 })
}

func compareClaims(a, b telemetry.ClaimID) int { return bytes.Compare(a[:], b[:]) }

// clean makes bytes from outside fit for a text column: valid UTF-8, no NUL, bounded.
func clean(s string) string {
	s = s[:min(len(s), 500)]
	return string(bytes.ReplaceAll(bytes.ToValidUTF8([]byte(s), []byte("\uFFFD")), []byte{0}, nil))
}

// buffers keeps the copiers' buffers between flushes.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func takeBuffer() []byte {
	b, _ := buffers.Get().(*[]byte)
	return (*b)[:0]
}

func giveBuffer(b []byte) {
	const most = 64 << 20
	if cap(b) <= most {
		buffers.Put(&b)
	}
}
