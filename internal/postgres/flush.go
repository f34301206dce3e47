package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Flush is one worker's transaction. Its methods are called in the order in which they stand
// here, by one goroutine; after an error only Rollback. Two flushes with the
// same envelopes or batches wait for each other and can't deadlock: both take envelopes
// first, then claims, each in sorted order.
type Flush struct {
	conn *pgxpool.Conn
	tx   pgx.Tx
	id   int64
	slot int
	min  time.Time // of the envelopes' AcceptedAt
	max  time.Time
	copy copier
	args [2][]byte
}

// BeginFlush begins a flush's transaction. Every Flush must end with Commit or Rollback.
func (db *DB) BeginFlush(ctx context.Context) (*Flush, error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, wrap("begin flush", err)
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		conn.Release()
		return nil, wrap("begin flush", err)
	}
	f := &Flush{conn: conn, tx: tx, slot: db.currentSlot(), copy: copier{buf: takeBuffer()}}
	// In one trip: the lock that all flushes share keeps them out while a replay is swapped (SwapReplay).
	err = tx.QueryRow(ctx, "SELECT pg_advisory_xact_lock_shared($1), nextval(pg_get_serial_sequence('manifest', 'id'))", int64(lockFlush)).Scan(nil, &f.id)
	if err != nil {
		f.Rollback(ctx)
		return nil, wrap("begin flush", err)
	}
	return f, nil
}

// ID is the flush's id: that of its row in the manifest.
func (f *Flush) ID() int64 { return f.id }

const insertEnvelopes = `INSERT INTO envelope (accepted_at, receiver, seq, batches, samples, total_batches, total_samples,
	confirmed_through, archived, archived_samples, duplicate, duplicate_samples, quarantined, quarantined_samples, flush)
SELECT *, 0, 0, 0, 0, 0, 0, $9::bigint FROM unnest($1::timestamptz[], $2::uuid[], $3::bigint[], $4::int[], $5::int[],
	$6::bigint[], $7::bigint[], $8::bigint[])
ON CONFLICT DO NOTHING RETURNING receiver, seq, accepted_at`

// Envelopes enters envelopes into the ledger, their outcome still open (Settle), and tells in
// fresh which were not handled before. hs are distinct by acceptance, receiver and Seq
// and sorted in that order; fresh is as long.
func (f *Flush) Envelopes(ctx context.Context, hs []*telemetry.Header, fresh []bool) error {
	if len(hs) == 0 {
		return nil
	}
	n := len(hs)
	accepted, receivers := make([]time.Time, n), make([][16]byte, n)
	seqs, totalB, totalS, confirmed := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	batches, samples := make([]int32, n), make([]int32, n)
	index := make(map[envelopeKey]int, n)
	for i, h := range hs {
		accepted[i], receivers[i], seqs[i] = time.UnixMilli(h.AcceptedAt).UTC(), h.Receiver, int64(h.Seq)
		batches[i], samples[i] = int32(h.Batches), int32(h.Samples)
		totalB[i], totalS[i], confirmed[i] = int64(h.TotalBatches), int64(h.TotalSamples), int64(h.ConfirmedThrough)
		index[envelopeKey{h.AcceptedAt, h.Receiver, int64(h.Seq)}] = i
	}
	f.min, f.max = slices.MinFunc(accepted, time.Time.Compare), slices.MaxFunc(accepted, time.Time.Compare)
	clear(fresh)
	rows, err := f.tx.Query(ctx, insertEnvelopes, accepted, receivers, seqs, batches, samples, totalB, totalS, confirmed, f.id)
	if err != nil {
		return wrap("enter envelopes", err)
	}
	var receiver [16]byte
	var seq int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&receiver, &seq, &at}, func() error {
		i, ok := index[envelopeKey{at.UnixMilli(), receiver, seq}]
		if !ok {
			return fmt.Errorf("unexpected envelope %x/%d returned", receiver, seq)
		}
		fresh[i] = true
		return nil
	})
	return wrap("enter envelopes", err)
}

type envelopeKey struct {
	acceptedMS int64
	receiver   [16]byte
	seq        int64
}

const (
	claimStatement = "carasso_claim"
	claimSQL       = `INSERT INTO claim (id, flush, samples) SELECT c.id, $3::bigint, c.samples
FROM unnest($1::uuid[], $2::int2[]) AS c (id, samples) ON CONFLICT DO NOTHING RETURNING id`
)

var binaryFormat = []int16{1}

// Claim claims batches and tells in fresh which of them nobody claimed before. ids are
// distinct and sorted; samples and fresh are as long.
func (f *Flush) Claim(ctx context.Context, ids []telemetry.ClaimID, samples []int16, fresh []bool) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := f.conn.Conn().Prepare(ctx, claimStatement, claimSQL); err != nil {
		return wrap("prepare the claim", err)
	}
	// Encoded by hand: pgx would allocate for each element.
	f.args[0] = appendUUIDs(f.args[0][:0], ids)
	f.args[1] = appendInt16s(f.args[1][:0], samples)
	var id [8]byte
	for i := range id {
		id[i] = byte(f.id >> (56 - 8*i))
	}
	clear(fresh)
	r := f.conn.Conn().PgConn().ExecPrepared(ctx, claimStatement, [][]byte{f.args[0], f.args[1], id[:]}, binaryFormat, binaryFormat)
	next := 0
	var bad error
	for r.NextRow() {
		got := telemetry.ClaimID(r.Values()[0])
		// They come back in the order they went in; look further only if not.
		for next < len(ids) && ids[next] != got {
			next++
		}
		if next == len(ids) {
			i, ok := slices.BinarySearchFunc(ids, got, compareClaims)
			if !ok {
				bad = fmt.Errorf("unexpected claim %s returned", got)
				break
			}
			next = i
		}
		fresh[next] = true
		next++
	}
	_, err := r.Close()
	if err == nil {
		err = bad
	}
	return wrap("claim batches", err)
}

// Erased tells in erased which batches, of a vehicle (the day's pseudonym) and accepted at a time (ms since the epoch), are of somebody
// whose data was erased since. All slices are as long.
func (f *Flush) Erased(ctx context.Context, vehicles []uint64, acceptedMS []int64, erased []bool) error {
	clear(erased)
	if len(vehicles) == 0 {
		return nil
	}
	// Hardly ever is there any. In a statement of its own: this one sees what was committed while the flush waited to begin.
	var some bool
	if err := f.tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM erased_pseudonym)").Scan(&some); err != nil || !some {
		return wrap("look for erased vehicles", err)
	}
	distinct := make(map[uint64]int64, len(vehicles)) // up to when its data was erased
	for _, v := range vehicles {
		distinct[v] = math.MinInt64
	}
	ids := make([]int64, 0, len(distinct))
	for v := range distinct {
		ids = append(ids, int64(v))
	}
	rows, err := f.tx.Query(ctx, "SELECT pseudonym, upto FROM erased_pseudonym WHERE pseudonym = ANY($1)", ids)
	if err != nil {
		return wrap("look for erased vehicles", err)
	}
	var id int64
	var upto time.Time
	if _, err = pgx.ForEachRow(rows, []any{&id, &upto}, func() error { distinct[uint64(id)] = upto.UnixMilli(); return nil }); err != nil {
		return wrap("look for erased vehicles", err)
	}
	for i, v := range vehicles {
		erased[i] = acceptedMS[i] <= distinct[v]
	}
	return nil
}

// Speeds stores the flush's speed deltas, whose buckets are minutes.
func (f *Flush) Speeds(ctx context.Context, rows []learn.SpeedRow) error {
	if len(rows) == 0 {
		return nil
	}
	f.copy.begin()
	for i := range rows {
		r := &rows[i]
		f.copy.row(8)
		f.copy.int16(int16(f.slot))
		f.copy.time(r.BucketMS)
		f.copy.int64(int64(r.Edge))
		f.copy.int32(int32(r.N))
		f.copy.int64(r.SumCMPS)
		f.copy.int64(int64(r.Vehicles[0]))
		f.copy.int64(int64(r.Vehicles[1]))
		f.copy.variable(r.Bins.AppendEncoded)
	}
	return wrap("store speeds", f.copy.send(ctx, f.conn.Conn(), fmt.Sprintf("segment_speed_delta_%d", f.slot)))
}

// Health stores the flush's sensor health deltas.
func (f *Flush) Health(ctx context.Context, rows []learn.HealthRow) error {
	if len(rows) == 0 {
		return nil
	}
	f.copy.begin()
	for i := range rows {
		f.copy.row(25)
		f.copy.health(&rows[i])
		f.copy.int16(int16(f.slot))
	}
	return wrap("store sensor health", f.copy.send(ctx, f.conn.Conn(), fmt.Sprintf("sensor_health_delta_%d (hour, model, software, %s, v0, v1, slot)", f.slot, healthSums)))
}

// healthSums are the columns of sensor_health that add up.
const healthSums = `batches, samples, with_speed, with_heading, with_accuracy, sum_accuracy_cm, unmatched, abs_active, esc_active,
	tcs_active, signs, signs_missing, hazards, with_temperature, hazard_light, distance_m, step_cmps, signs_compared, signs_disagree`

// health writes the key, the sums and the vehicles of sensor_health.
func (c *copier) health(r *learn.HealthRow) {
	c.time(r.HourMS)
	c.text(r.Model)
	c.text(r.Software)
	for _, v := range [...]int64{
		r.Batches, r.Samples, r.WithSpeed, r.WithHeading, r.WithAccuracy, r.SumAccuracyCM, r.Unmatched,
		r.ABSActive, r.ESCActive, r.TCSActive, r.SignsSeen, r.SignsMissing, r.HazardSeen,
		r.WithTemperature, r.HazardLight, r.DistanceM, r.StepCMPS, r.SignsCompared, r.SignsDisagree,
		int64(r.Vehicles[0]), int64(r.Vehicles[1]),
	} {
		c.int64(v)
	}
}

// Dirty marks tiles of a layer for the projector.
func (f *Flush) Dirty(ctx context.Context, layer string, tiles []learn.DirtyTile) error {
	if len(tiles) == 0 {
		return nil
	}
	f.copy.begin()
	for i := range tiles {
		f.copy.row(4)
		f.copy.text(layer)
		f.copy.int64(int64(tiles[i].Tile))
		f.copy.time(tiles[i].AcceptedMS)
		f.copy.time(tiles[i].EventMS)
	}
	return wrap("mark dirty tiles", f.copy.send(ctx, f.conn.Conn(), "outbox (layer, tile, accepted_at, event_at)"))
}

// Commit writes the manifest's entry and makes everything visible at once. After an error it
// is unknown whether it did.
func (f *Flush) Commit(ctx context.Context, m ledger.Flush) error {
	var key *string
	if m.ObjectKey != "" {
		key = &m.ObjectKey
	}
	var tMin, tMax *time.Time
	if m.TMax != 0 {
		lo, hi := time.UnixMilli(m.TMin).UTC(), time.UnixMilli(m.TMax).UTC()
		tMin, tMax = &lo, &hi
	}
	_, err := f.tx.Exec(ctx, `INSERT INTO manifest (id, worker, object_key, object_bytes, batches, samples, t_min, t_max, map_version, erased_batches, erased_samples)
		OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		f.id, m.Worker, key, m.ObjectBytes, m.Batches, m.Samples, tMin, tMax, m.MapVersion, m.Erased.Batches, m.Erased.Samples)
	if err != nil {
		f.Rollback(ctx)
		return wrap("enter the manifest", err)
	}
	err = f.tx.Commit(ctx)
	f.release()
	return wrap("commit flush", err)
}

// Rollback undoes everything. It works on a context that is done, and has no effect after
// Commit or another Rollback.
func (f *Flush) Rollback(ctx context.Context) {
	if f.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = f.tx.Rollback(ctx) // a broken connection is discarded by the pool
	f.release()
}

func (f *Flush) release() {
	if f.conn == nil {
		return
	}
	f.conn.Release()
	f.conn = nil
	giveBuffer(f.copy.buf)
	f.copy.buf = nil
}
