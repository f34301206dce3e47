package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
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
