package telemetry

import (
	"errors"
	"iter"
)

var errTodo = errors.New("not built yet")

// EnvelopeWriter packs records; the zero value is ready.
type EnvelopeWriter struct{}

func (w *EnvelopeWriter) Append(r Record)               {}
func (w *EnvelopeWriter) Len() int                      { return 0 }
func (w *EnvelopeWriter) Count() int                    { return 0 }
func (w *EnvelopeWriter) Seal(h Header) ([]byte, error) { return nil, errTodo }
func (w *EnvelopeWriter) Reset()                        {}

// Envelope is an opened envelope; the zero value is ready for Open, and it may be reused.
type Envelope struct{ Header Header }

func (e *Envelope) Open(data []byte, maxDecoded int) error { return errTodo }

// Records yields the records; payloads alias the envelope's buffer until the next Open.
func (e *Envelope) Records() iter.Seq[Record] { return func(func(Record) bool) {} }

// OpenEnvelope opens into a new Envelope, which is non-nil iff the header was readable.
func OpenEnvelope(data []byte, maxDecoded int) (*Envelope, error) { return nil, errTodo }

// EnvelopeError says why an envelope cannot be read.
type EnvelopeError struct {
	Reason   string // stable code
	HeaderOK bool
	Err      error
}

func (e *EnvelopeError) Error() string { return e.Reason }
func (e *EnvelopeError) Unwrap() error { return e.Err }
