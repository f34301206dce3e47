package telemetry

import "fmt"

// The stable reasons of an EnvelopeError.
const (
	ReasonMagic          = "envelope_magic"           // no envelope at all
	ReasonVersion        = "envelope_version"         // of a version that this code does not know
	ReasonHeader         = "envelope_header"          // header cut short, too long or no protobuf
	ReasonHeaderChecksum = "envelope_header_checksum" // header damaged
	ReasonTooLarge       = "envelope_too_large"       // more records than the reader's bound
	ReasonBodyChecksum   = "envelope_body_checksum"   // records damaged or cut short
	ReasonCompression    = "envelope_compression"     // the zstd frame is bad, or its size is not what the header says
	ReasonRecords        = "envelope_records"         // a record is cut short, or there are not as many as the header says
)

// EnvelopeError says why an envelope cannot be read. It is permanent: the same bytes
// fail again.
type EnvelopeError struct {
	// Reason is one of the Reason constants.
	Reason string
	// HeaderOK says that the header was read whole, so that the ledger can account for the
	// envelope's batches although they are lost.
	HeaderOK bool
	// Err is the detail.
	Err error
}

// Error is the reason and the detail.
func (e *EnvelopeError) Error() string { return e.Reason + ": " + e.Err.Error() }

// Unwrap is the detail.
func (e *EnvelopeError) Unwrap() error { return e.Err }

func badHeader(reason, format string, args ...any) error {
	return &EnvelopeError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

func badBody(reason, format string, args ...any) error {
	return &EnvelopeError{Reason: reason, HeaderOK: true, Err: fmt.Errorf(format, args...)}
}
