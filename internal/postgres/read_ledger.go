package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// The ledger's proof works on runs: the envelopes of one receiver, one hour and one chunk of
// 256 sequence numbers. One pass sums them up. A run without holes is proved by its
// first and last running total; only runs with holes, and the seams between runs, are
// looked at envelope by envelope.
const ledgerRuns = `SELECT date_trunc('hour', accepted_at, 'UTC') AS hour, receiver, count(*), min(seq), max(seq),
	min(total_batches - batches), max(total_batches), min(total_samples - samples), max(total_samples),
	sum(batches), sum(samples), sum(archived), sum(archived_samples), sum(duplicate), sum(duplicate_samples),
	sum(quarantined), sum(quarantined_samples)
FROM envelope WHERE accepted_at >= $1 AND accepted_at < $2
GROUP BY hour, receiver, seq >> 8`

type run struct {
	hour         time.Time
	receiver     telemetry.ReceiverID
	n            int64
	first, last  int64        // sequence numbers
	before, upTo ledger.Count // running totals before the first and up to the last
	handled      ledger.Count
	account      ledger.Account
}

// whole tells whether no sequence number is missing.
func (r *run) whole() bool { return r.last-r.first+1 == r.n }

// Ledger accounts for the envelopes accepted in [from, to). A gap, or a header whose running
// total does not follow from the one before, is accounted to the hour of the envelope
// after it.
func (db *DB) Ledger(ctx context.Context, from, to time.Time) (ledger.Report, error) {
	var report ledger.Report
	err := db.snapshot(ctx, "read the ledger", func(tx pgx.Tx) error {
		runs, err := readRuns(ctx, tx, from, to)
		if err != nil {
			return err
		}
		spans, err := suspicious(ctx, tx, runs)
		if err != nil {
			return err
		}
		if err := confirm(ctx, tx, spans); err != nil {
			return err
		}
		breaks, err := readBreaks(ctx, tx, spans, from, to)
		if err != nil {
			return err
		}
		report.Hours, report.Gaps = account(runs, breaks)
		if err := adjust(ctx, tx, report.Hours, from, to); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT m.batches, m.samples, e.batches + a.batches, e.samples + a.samples,
			m.erased_batches + q.erased_batches, m.erased_samples + q.erased_samples FROM
			(SELECT coalesce(sum(erased_batches), 0)::bigint AS erased_batches, coalesce(sum(erased_samples), 0)::bigint AS erased_samples
				FROM quarantine WHERE at >= $1 AND at < $2) q,
			(SELECT coalesce(sum(batches), 0)::bigint AS batches, coalesce(sum(samples), 0)::bigint AS samples,
				coalesce(sum(erased_batches), 0)::bigint AS erased_batches, coalesce(sum(erased_samples), 0)::bigint AS erased_samples
				FROM manifest WHERE committed_at >= $1 AND committed_at < $2) m,
			(SELECT coalesce(sum(archived), 0)::bigint AS batches, coalesce(sum(archived_samples), 0)::bigint AS samples
				FROM envelope WHERE committed_at >= $1 AND committed_at < $2) e,
			(SELECT coalesce(sum(archived), 0)::bigint AS batches, coalesce(sum(archived_samples), 0)::bigint AS samples
				FROM envelope_adjustment WHERE committed_at >= $1 AND committed_at < $2) a`, from, to).
			Scan(&report.Manifest.Batches, &report.Manifest.Samples, &report.Handled.Batches, &report.Handled.Samples,
				&report.Erased.Batches, &report.Erased.Samples)
	})
	return report, err
}

// snapshot runs f in a transaction that reads one state of the database throughout.
func (db *DB) snapshot(ctx context.Context, op string, f func(tx pgx.Tx) error) error {
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return wrap(op, pgx.BeginTxFunc(ctx, db.pool, opts, f))
}

// readRuns returns the runs by receiver and first sequence number.
func readRuns(ctx context.Context, tx pgx.Tx, from, to time.Time) ([]run, error) {
	rows, err := tx.Query(ctx, ledgerRuns, from, to)
	if err != nil {
		return nil, err
	}
	runs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r run, err error) {
		a := &r.account
		err = row.Scan(&r.hour, (*[16]byte)(&r.receiver), &r.n, &r.first, &r.last,
			&r.before.Batches, &r.upTo.Batches, &r.before.Samples, &r.upTo.Samples,
			&r.handled.Batches, &r.handled.Samples, &a.Archived.Batches, &a.Archived.Samples,
			&a.Duplicate.Batches, &a.Duplicate.Samples, &a.Quarantined.Batches, &a.Quarantined.Samples)
		return r, err
	})
	slices.SortFunc(runs, func(a, b run) int {
		return cmp.Or(slices.Compare(a.receiver[:], b.receiver[:]), cmp.Compare(a.first, b.first))
	})
	return runs, err
}

// span is a range of one receiver's sequence numbers to look at. A lower end of 0 stands for
// the moment before the receiver's first envelope.
type span struct {
	receiver  telemetry.ReceiverID
	lo, hi    int64
	since     time.Time // when lo, or anything after it, was accepted, at the earliest
	confirmed int64     // the receiver's latest confirmation
}

// skew is how far a receiver's clock may have been set back and its envelopes are still
// found, in the few partitions around the period.
const skew = 24 * time.Hour

// suspicious finds where something may be missing: within runs with holes, and where one run
// does not continue the one before. runs are as readRuns returns them.
func suspicious(ctx context.Context, tx pgx.Tx, runs []run) ([]span, error) {
	var spans []span
	var firsts []int // runs with which a receiver begins in the period
	for i := range runs {
		r := &runs[i]
		if !r.whole() {
			spans = append(spans, span{receiver: r.receiver, lo: r.first, hi: r.last, since: r.hour})
		}
		if i == 0 || runs[i-1].receiver != r.receiver {
			if r.first > 1 || r.before != (ledger.Count{}) {
				firsts = append(firsts, i)
			}
			continue
		}
		p := &runs[i-1]
		if r.first != p.last+1 || r.before != p.upTo {
			spans = append(spans, span{receiver: r.receiver, lo: min(p.last, r.first), hi: r.first, since: r.hour})
		}
	}
	for _, i := range firsts {
		r := &runs[i]
		s := span{receiver: r.receiver, hi: r.first, since: r.hour}
		err := tx.QueryRow(ctx, `SELECT seq, accepted_at FROM envelope WHERE receiver = $1 AND seq < $2
			ORDER BY seq DESC LIMIT 1`, [16]byte(r.receiver), r.first).Scan(&s.lo, &s.since)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return nil, err
		}
		spans = append(spans, s)
	}
	return merge(spans), nil
}

// merge joins spans that overlap, so that none of their breaks is found twice.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(slices.Compare(a.receiver[:], b.receiver[:]), cmp.Compare(a.lo, b.lo))
	})
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].receiver == s.receiver && s.lo < out[n-1].hi {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			if s.since.Before(out[n-1].since) {
				out[n-1].since = s.since
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// confirm looks up what each span's receiver confirmed last: it only ever grows with the
// sequence number.
func confirm(ctx context.Context, tx pgx.Tx, spans []span) error {
	for i := range spans {
		s := &spans[i]
		if i > 0 && spans[i-1].receiver == s.receiver {
			s.confirmed = spans[i-1].confirmed
			continue
		}
		err := tx.QueryRow(ctx, "SELECT confirmed_through FROM envelope WHERE receiver = $1 ORDER BY seq DESC LIMIT 1",
			[16]byte(s.receiver)).Scan(&s.confirmed)
		if err != nil {
			return err
		}
	}
	return nil
}

// A break is an envelope that does not follow its predecessor: the sequence numbers between
// are missing, or the running totals jump by other than its own size.
const ledgerBreaks = `SELECT b.receiver, b.prev + 1, b.seq - 1, b.hour, b.batches, b.samples,
	coalesce(v.n, 0), coalesce(v.batches, 0), coalesce(v.samples, 0),
	b.seq - 1 <= b.confirmed
FROM (
	SELECT s.receiver, s.confirmed, e.* FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $6::bigint[]) AS s (receiver, lo, hi, confirmed)
	CROSS JOIN LATERAL (
		SELECT x.seq, date_trunc('hour', x.accepted_at, 'UTC') AS hour, x.accepted_at,
			coalesce(lag(x.seq) OVER w, CASE WHEN s.lo = 0 THEN 0 ELSE x.seq - 1 END) AS prev,
			CASE WHEN s.lo > 0 AND lag(x.seq) OVER w IS NULL THEN 0
				ELSE x.total_batches - x.batches - coalesce(lag(x.total_batches) OVER w, 0) END AS batches,
			CASE WHEN s.lo > 0 AND lag(x.seq) OVER w IS NULL THEN 0
				ELSE x.total_samples - x.samples - coalesce(lag(x.total_samples) OVER w, 0) END AS samples
		FROM envelope x WHERE x.receiver = s.receiver AND x.seq BETWEEN s.lo AND s.hi
			AND x.accepted_at BETWEEN $7 AND $8
		WINDOW w AS (ORDER BY x.seq)
	) e
) b
LEFT JOIN LATERAL (SELECT count(*) AS n, sum(batches)::bigint AS batches, sum(samples)::bigint AS samples FROM voided_envelope v
	WHERE v.receiver = b.receiver AND v.seq > b.prev AND v.seq < b.seq) v ON true
WHERE (b.seq > b.prev + 1 OR b.batches <> 0 OR b.samples <> 0) AND b.accepted_at >= $4 AND b.accepted_at < $5
ORDER BY b.receiver, b.seq`

func readBreaks(ctx context.Context, tx pgx.Tx, spans []span, from, to time.Time) ([]ledger.Gap, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	receivers := make([][16]byte, len(spans))
	lo, hi, confirmed := make([]int64, len(spans)), make([]int64, len(spans)), make([]int64, len(spans))
	since := from
	for i, s := range spans {
		receivers[i], lo[i], hi[i], confirmed[i] = s.receiver, s.lo, s.hi, s.confirmed
		if s.since.Before(since) {
			since = s.since
		}
	}
	rows, err := tx.Query(ctx, ledgerBreaks, receivers, lo, hi, from, to, confirmed, since.Add(-skew), to.Add(skew))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (g ledger.Gap, err error) {
		var first, last, voided int64
		var v ledger.Count
		err = row.Scan((*[16]byte)(&g.Receiver), &first, &last, &g.Hour, &g.Batches, &g.Samples, &voided, &v.Batches, &v.Samples, &g.Confirmed)
		g.FromSeq, g.ToSeq = uint64(first), uint64(last)
		g.Envelopes = last - first + 1 - voided
		g.Batches -= v.Batches
		g.Samples -= v.Samples
		return g, err
	})
}

// account sums runs and breaks up by hour and receiver. What a break says without an
// envelope missing is an inconsistency: it is in Accepted and nowhere else.
func account(runs []run, breaks []ledger.Gap) (hours []ledger.Hour, gaps []ledger.Gap) {
	type key struct {
		hour     int64
		receiver telemetry.ReceiverID
	}
	index := map[key]int{}
	at := func(hour time.Time, receiver telemetry.ReceiverID) *ledger.Account {
		k := key{hour.Unix(), receiver}
		i, ok := index[k]
		if !ok {
			i = len(hours)
			index[k] = i
			hours = append(hours, ledger.Hour{Start: hour.UTC(), Receiver: receiver})
		}
		return &hours[i].Account
	}
	for i := range runs {
		r := &runs[i]
		r.account.Accepted = r.handled
		if r.whole() {
			r.account.Accepted = ledger.Count{Batches: r.upTo.Batches - r.before.Batches, Samples: r.upTo.Samples - r.before.Samples}
		}
		at(r.hour, r.receiver).Add(&r.account)
	}
	for _, g := range breaks {
		g.Hour = g.Hour.UTC()
		a := at(g.Hour, g.Receiver)
		switch {
		case g.Envelopes <= 0:
			a.Accepted.Add(g.Count)
			continue
		case g.Confirmed:
			a.Accepted.Add(g.Count)
			a.InFlight.Add(g.Count)
		default:
			a.Unconfirmed.Add(g.Count)
		}
		gaps = append(gaps, g)
	}
	slices.SortFunc(hours, compareHours)
	return hours, gaps
}

// adjust adds what redrives moved to the hours of their envelopes. hours are sorted by start and receiver.
func adjust(ctx context.Context, tx pgx.Tx, hours []ledger.Hour, from, to time.Time) error {
	rows, err := tx.Query(ctx, `SELECT date_trunc('hour', accepted_at, 'UTC') AS hour, receiver, sum(archived), sum(archived_samples),
		sum(duplicate), sum(duplicate_samples), sum(quarantined), sum(quarantined_samples)
		FROM envelope_adjustment WHERE accepted_at >= $1 AND accepted_at < $2 GROUP BY hour, receiver`, from, to)
	if err != nil {
		return err
	}
	var h ledger.Hour
	a := &h.Account
	_, err = pgx.ForEachRow(rows, []any{
		&h.Start, (*[16]byte)(&h.Receiver), &a.Archived.Batches, &a.Archived.Samples, &a.Duplicate.Batches, &a.Duplicate.Samples,
		&a.Quarantined.Batches, &a.Quarantined.Samples,
	}, func() error {
		i, ok := slices.BinarySearchFunc(hours, h, compareHours)
		if !ok {
			return fmt.Errorf("an adjustment at %s of an envelope that the ledger does not have", h.Start)
		}
		hours[i].Add(a)
		return nil
	})
	return err
}

func compareHours(a, b ledger.Hour) int {
	return cmp.Or(a.Start.Compare(b.Start), slices.Compare(a.Receiver[:], b.Receiver[:]))
}

// ClaimedIn counts the claims of the flushes committed in [from, to), and their samples. It
// reads every claim: some 10 million a second of one core.
func (db *DB) ClaimedIn(ctx context.Context, from, to time.Time) (c ledger.Count, err error) {
	err = db.pool.QueryRow(ctx, `SELECT count(*), coalesce(sum(c.samples), 0)::bigint FROM claim c
		JOIN manifest m ON m.id = c.flush WHERE m.committed_at >= $1 AND m.committed_at < $2`, from, to).Scan(&c.Batches, &c.Samples)
	return c, wrap("count claims", err)
}

// Claimed tells for each id how many samples were archived under it, -1 if it is unknown.
func (db *DB) Claimed(ctx context.Context, ids []telemetry.ClaimID) ([]int, error) {
	keys := make([][16]byte, len(ids))
	samples := make([]int, len(ids))
	for i, id := range ids {
		keys[i], samples[i] = id, -1
	}
	rows, err := db.pool.Query(ctx, `SELECT i.n - 1, c.samples FROM unnest($1::uuid[]) WITH ORDINALITY AS i (id, n)
		JOIN claim c ON c.id = i.id`, keys)
	if err != nil {
		return nil, wrap("look up claims", err)
	}
	var i int64
	var n int16
	_, err = pgx.ForEachRow(rows, []any{&i, &n}, func() error {
		samples[i] = int(n)
		return nil
	})
	return samples, wrap("look up claims", err)
}
