package worker

import (
	"context"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// forgetter keeps what arrives late of vehicles whose data was erased from being stored. One goroutine uses it.
//
// Such a batch is claimed and counted as archived, and as erased at once, so that the ledger adds up and a copy of it is a
// duplicate. What goes to quarantine goes there without the vehicle's records.
type forgetter struct {
	erased ledger.Count // in the flush in hand

	index    []int32
	vehicles []uint64
	accepted []int64
	found    []bool
	opened   telemetry.Envelope
}

func (f *forgetter) begin() {
	f.erased = ledger.Count{}
	f.index, f.vehicles, f.accepted = f.index[:0], f.vehicles[:0], f.accepted[:0]
}

func (f *forgetter) add(i int32, vehicle uint64, acceptedMS int64) {
	f.index, f.vehicles, f.accepted = append(f.index, i), append(f.vehicles, vehicle), append(f.accepted, acceptedMS)
}

func (f *forgetter) ask(ctx context.Context, tx Tx) error {
	f.found = appendZeros(f.found[:0], len(f.vehicles))
	return tx.Erased(ctx, f.vehicles, f.accepted, f.found)
}

// mark finds the fresh batches that are to be kept nowhere.
func (f *forgetter) mark(ctx context.Context, tx Tx, w *work, envelopes []int) error {
	f.begin()
	for _, i := range envelopes {
		e := &w.envelopes[i]
		for j := e.first; j < e.last; j++ {
			b := &w.batches[j]
			b.erased = false
			if b.fresh {
				f.add(int32(j), b.vehicle, e.header.AcceptedAt)
			}
		}
	}
	if err := f.ask(ctx, tx); err != nil {
		return err
	}
	for i, erased := range f.found {
		if erased {
			b := &w.batches[f.index[i]]
			b.erased = true
			f.erased.Add(ledger.Count{Batches: 1, Samples: int64(b.n())})
		}
	}
	return nil
}

// envelope is an envelope without the records that are to be kept nowhere. One that can't be read is as it was.
func (f *forgetter) envelope(ctx context.Context, tx Tx, body []byte, most int) ([]byte, error) {
	if f.opened.Open(body, most) != nil {
		return body, nil //nolint:nilerr // that it can't be read is why it goes to quarantine
	}
	erased := f.erased
	f.begin()
	f.erased = erased
	for r := range f.opened.Records() {
		f.add(0, r.Vehicle, f.opened.Header.AcceptedAt)
	}
	if err := f.ask(ctx, tx); err != nil {
		return nil, err
	}
	gone := map[uint64]bool{}
	for i, erased := range f.found {
		if erased {
			gone[f.vehicles[i]] = true
		}
	}
	if len(gone) == 0 {
		return body, nil
	}
	out, _, err := eraseRecords(&f.opened, func(vehicle uint64) bool { return gone[vehicle] })
	return out, err
}

// erasedRecord tells whether a record is what eraseRecords leaves of one.
func erasedRecord(r telemetry.Record) bool { return r.Vehicle == 0 && len(r.Payload) == 0 }

// erasedRecords are the records that were taken out of an envelope.
type erasedRecords struct {
	claims [][16]byte
	ledger.Count
}

// eraseRecords seals an open envelope anew in which nothing but the claim is left of some vehicles' records: so the header still fits, and
// what is redriven later is accounted for. Samples of records that can't be decoded are not counted.
func eraseRecords(e *telemetry.Envelope, of func(vehicle uint64) bool) (body []byte, gone erasedRecords, err error) {
	var out telemetry.EnvelopeWriter
	var b telemetry.Batch
	for r := range e.Records() {
		if of(r.Vehicle) && !erasedRecord(r) {
			gone.claims = append(gone.claims, r.Claim)
			gone.Batches++
			if telemetry.DecodeCanonical(r.Payload, &b) == nil {
				gone.Samples += int64(max(b.Counted(), 0))
			}
			r.Vehicle, r.Payload = 0, nil
		}
		out.Append(r)
	}
	if gone.Batches == 0 {
		return nil, gone, nil
	}
	body, err = out.Seal(e.Header)
	return body, gone, err
}
