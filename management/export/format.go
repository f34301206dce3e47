package export

import (
	"fmt"
	"io"
	"time"
)

// Format is a kind of file; its value is also what its name ends in.
type Format string

// The formats.
const (
	CSV     Format = "csv"
	GeoJSON Format = "geojson"
	Parquet Format = "parquet"
)

// ContentType is the format's media type.
func (f Format) ContentType() string {
	switch f {
	case GeoJSON:
		return "application/geo+json"
	case Parquet:
		return "application/vnd.apache.parquet"
	default:
		return "text/csv; charset=utf-8; header=present"
	}
}

// Compressed reports whether the format compresses by itself.
func (f Format) Compressed() bool { return f == Parquet }

// Summary is what a file is about and what it has. CSV has no place for it; GeoJSON has it as member "carasso" after the features, Parquet
// in the footer under that key.
type Summary struct {
	Title      string     `json:"title"`
	From       *time.Time `json:"from,omitempty"`
	To         *time.Time `json:"to,omitempty"`
	K          int        `json:"k,omitempty"` // distinct vehicles that must be behind what is told
	Rows       int        `json:"rows"`
	Suppressed int        `json:"suppressed_count"`
}

// Writer writes a file's rows. Only a closed file is a whole one. Not safe for concurrent use.
type Writer interface {
	// Write adds a row.
	Write(r *Record) error
	// Close ends the file. It does not close what it is written to.
	Close(s Summary) error
}

// NewWriter begins a file with the columns of a record.
func NewWriter(f Format, to io.Writer, columns *Record) (Writer, error) {
	if columns.err != nil {
		return nil, columns.err
	}
	s := schemaOf(columns)
	switch f {
	case CSV:
		return newCSV(to, s)
	case GeoJSON:
		return newGeoJSON(to, s)
	case Parquet:
		return newParquet(to, s), nil
	}
	return nil, fmt.Errorf("export: no format %q", string(f))
}
