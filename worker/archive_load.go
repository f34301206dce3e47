package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/telemetry"
)

// archiveRows is how many batches of an archived object are in memory as rows at once.
const archiveRows = 512

// eachRows reads an object of the archive, some rows at a time; they are valid during the call.
func eachRows(object []byte, each func(rows []ArchiveRow) error) error {
	f, err := parquet.OpenFile(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	r := parquet.NewGenericReader[ArchiveRow](f)
	defer r.Close()
	rows := make([]ArchiveRow, archiveRows)
	for {
		n, err := r.Read(rows)
		if n > 0 {
			if err := each(rows[:n]); err != nil {
				return err
			}
			clear(rows) // the reader would append to the lists
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read archive: %w", err)
		}
	}
}

// take appends an archived batch as one that is new, not matched yet.
func (w *work) take(r *ArchiveRow) {
	s0, e0 := int32(len(w.samples)), int32(len(w.events))
	for i := range r.Samples {
		w.samples = append(w.samples, r.Samples[i].sample())
	}
	for i := range r.Events {
		e := &r.Events[i]
		w.events = append(w.events, telemetry.Event{
			T: e.T, Type: telemetry.EventType(e.Type), Sign: telemetry.Sign(e.Sign), ValueKMH: uint16(e.ValueKMH),
			Hazard: telemetry.Hazard(e.Hazard), ConfidencePermille: uint16(e.ConfidencePermille),
		})
	}
	w.batches = append(w.batches, batch{
		claim: r.Claim, vehicle: r.Vehicle, tripKey: r.TripKey, elapsed: r.TripElapsedS, s0: s0, s1: int32(len(w.samples)), e0: e0, e1: int32(len(w.events)),
		leadIn: r.LeadIn, kind: w.kinds.of(telemetry.Vehicle{Model: r.Model, Software: r.Software}), final: r.TripFinal, fresh: true,
	})
}
