package worker

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// No object makes the check panic, and what it accepts can be read.
func FuzzCheckArchive(f *testing.F) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	t := now.Add(-time.Hour).UnixMilli()
	row := ArchiveRow{
		Claim: [16]byte{0x01, 0x9a, 0, 0, 0, 0, 0x70, 0, 0x80}, Vehicle: 7, Model: "M", LeadIn: 1,
		Samples: []ArchiveSample{{T: t, LatE7: 425_000_000, LonE7: 15_000_000}, {T: t + 1000, LatE7: 425_000_100, LonE7: 15_000_000}},
		Events:  []ArchiveEvent{{T: t, Type: 1, Sign: 1, ValueKMH: 50, ConfidencePermille: 900}},
	}
	var out bytes.Buffer
	if err := parquet.Write(&out, []ArchiveRow{row, row}); err != nil {
		f.Fatal(err)
	}
	if rows, err := checkArchive(out.Bytes(), now); rows != 2 || err != nil {
		f.Fatalf("%d rows, %v", rows, err)
	}
	f.Add(out.Bytes())
	f.Add(out.Bytes()[:out.Len()/2])
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(func(t *testing.T, object []byte) {
		rows, err := checkArchive(object, now)
		if err != nil {
			if !errors.Is(err, errForeign) {
				t.Errorf("%v", err)
			}
			return
		}
		var w work
		if err := w.load(object); err != nil || int64(len(w.batches)) != rows {
			t.Errorf("%d batches of %d rows, %v", len(w.batches), rows, err)
		}
	})
}
