package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/telemetry"
)

// errForeign is wrapped by what is wrong with an object that is said to be of an archive like ours.
var errForeign = errors.New("no object of an archive")

// checkArchive looks through an object from elsewhere: its columns must be those of ArchiveRow, and each batch one that a receiver could have
// accepted. It tells how many rows there are. No object makes it panic.
func checkArchive(object []byte, now time.Time) (rows int64, err error) {
	defer func() {
		if p := recover(); p != nil { // the library's answer to some broken files
			err = fmt.Errorf("%w: unreadable: %v", errForeign, p)
		}
	}()
	// The library would make room for as long a footer as the file claims.
	if n := len(object); n < 12 || int64(binary.LittleEndian.Uint32(object[n-8:])) > int64(n-12) {
		return 0, fmt.Errorf("%w: cut off, or no Parquet", errForeign)
	}
	f, err := parquet.OpenFile(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errForeign, err)
	}
	if err := checkColumns(f.Schema()); err != nil {
		return 0, err
	}
	err = eachRows(object, func(some []ArchiveRow) error {
		for i := range some {
			if err := checkRow(&some[i], now); err != nil {
				return fmt.Errorf("row %d: %w", rows+1, err)
			}
			rows++
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", errForeign, err)
	case rows != f.NumRows():
		return 0, fmt.Errorf("%w: %d rows of %d are there", errForeign, rows, f.NumRows())
	}
	return rows, nil
}

// checkColumns compares a schema with that of the archive. What is optional there may be missing: it came later.
func checkColumns(found *parquet.Schema) error {
	want := newArchiveSchema().schema()
	for _, path := range want.Columns() {
		w, _ := want.Lookup(path...)
		f, ok := found.Lookup(path...)
		switch {
		case !ok && w.Node.Optional():
		case !ok:
			return fmt.Errorf("%w: column %s is missing", errForeign, columnName(path))
		case f.Node.Type().String() != w.Node.Type().String() || f.MaxRepetitionLevel != w.MaxRepetitionLevel || f.MaxDefinitionLevel != w.MaxDefinitionLevel:
			return fmt.Errorf("%w: column %s is %v, expected %v", errForeign, columnName(path), f.Node.Type(), w.Node.Type())
		}
	}
	for _, path := range found.Columns() {
		if _, ok := want.Lookup(path...); !ok {
			return fmt.Errorf("%w: column %s is unknown", errForeign, columnName(path))
		}
	}
	return nil
}

// columnName is a path, bounded: it comes from the file.
func columnName(path []string) string {
	s := fmt.Sprintf("%q", path)
	return s[:min(len(s), 100)]
}

// maxRowSpan is how far a batch's samples and events may reach from its first sample that counts.
const maxRowSpan = 24 * time.Hour

// checkRow checks one batch. Errors do not repeat texts of the file.
func checkRow(r *ArchiveRow, now time.Time) error {
	if r.LeadIn < 0 || int(r.LeadIn) >= len(r.Samples) {
		return fmt.Errorf("lead_in is %d of %d samples", r.LeadIn, len(r.Samples))
	}
	if n := max(len(r.Samples), len(r.Events)); n > telemetry.MaxSamplesCeiling {
		return fmt.Errorf("%d samples or events, expected at most %d", n, telemetry.MaxSamplesCeiling)
	}
	if len(r.Model) > telemetry.MaxModel || len(r.Software) > telemetry.MaxSoftware {
		return errors.New("model or software is too long")
	}
	if t := telemetry.ClaimID(r.Claim).UnixMilli(); r.Claim[6]>>4 != 7 || r.Claim[8]>>6 != 2 || t > now.UnixMilli() {
		return errors.New("claim is no UUIDv7 of the past")
	}
	b := telemetry.Batch{
		ID: telemetry.BatchID(r.Claim), Trip: telemetry.Trip{Key: r.TripKey, ElapsedS: r.TripElapsedS, Final: r.TripFinal},
		Vehicle: telemetry.Vehicle{Model: r.Model, Software: r.Software}, LeadIn: int(r.LeadIn),
	}
	first := r.Samples[r.LeadIn].T
	near := func(t int64) bool { return t > first-maxRowSpan.Milliseconds() && t < first+maxRowSpan.Milliseconds() }
	for i := range r.Samples {
		s := r.Samples[i].sample()
		if !near(s.T) || s.T > now.UnixMilli() {
			return fmt.Errorf("sample %d: t is more than a day from the batch's, or to come", i)
		}
		if !r.Samples[i].fits() {
			return fmt.Errorf("sample %d: a value is out of its range", i)
		}
		b.Samples = append(b.Samples, s)
	}
	for i := range r.Events {
		e := &r.Events[i]
		if !near(e.T) || e.T > now.UnixMilli() {
			return fmt.Errorf("event %d: t is more than a day from the batch's, or to come", i)
		}
		if !e.fits() {
			return fmt.Errorf("event %d: a value is out of its range", i)
		}
		b.Events = append(b.Events, e.event())
	}
	// The wire's decoder knows the range of each value, and the order of samples.
	var decoded telemetry.Batch
	return telemetry.DecodeCanonical(telemetry.AppendCanonical(nil, &b), &decoded)
}

// fits tells whether the archive's wider integers are within the types of a sample.
func (r *ArchiveSample) fits() bool {
	within := func(v *int32, lo, hi int32) bool { return v == nil || *v >= lo && *v <= hi }
	return within(r.SpeedCMPS, 0, math.MaxUint16) && within(r.HeadingCDeg, 0, math.MaxUint16) && within(r.AccuracyCM, 0, math.MaxInt32) &&
		within(r.Wiper, 0, math.MaxUint8) && within(r.RainPercent, 0, math.MaxUint8) && within(r.BrakeCMPS2, math.MinInt16, math.MaxInt16) &&
		within(r.OutsideTempDC, math.MinInt16, math.MaxInt16) && within(r.FrictionPct, 0, math.MaxUint8)
}

// fits is that of events.
func (e *ArchiveEvent) fits() bool {
	within := func(v, hi int32) bool { return v >= 0 && v <= hi }
	return within(e.Type, math.MaxUint8) && within(e.Sign, math.MaxUint8) && within(e.ValueKMH, math.MaxUint16) && within(e.Hazard, math.MaxUint8) &&
		within(e.ConfidencePermille, math.MaxUint16)
}

// archivedClaims reads the claims of an object's batches.
func archivedClaims(object []byte) ([]telemetry.ClaimID, error) {
	f, err := parquet.OpenFile(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	type claimOnly struct {
		Claim [16]byte `parquet:"claim,uuid"`
	}
	rows, err := parquet.Read[claimOnly](f, f.Size())
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	ids := make([]telemetry.ClaimID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Claim
	}
	return ids, nil
}
