package telemetry

import (
	"errors"
	"iter"
	"time"
)

const maxUnixMilli = 1<<48 - 1

var errTodo = errors.New("not built yet")

// DecodeJSON decodes the public JSON form.
func DecodeJSON(data []byte, b *Batch, lim Limits) error { return errTodo }

// DecodeProto decodes the public protobuf form.
func DecodeProto(data []byte, b *Batch, lim Limits) error { return errTodo }

// DecodeCanonical decodes the canonical form.
func DecodeCanonical(data []byte, b *Batch) error { return errTodo }

// AppendJSON appends the public JSON form.
func AppendJSON(dst []byte, b *Batch) []byte { return dst }

// AppendProto appends the public protobuf form.
func AppendProto(dst []byte, b *Batch) []byte { return dst }

// AppendCanonical appends the canonical form.
func AppendCanonical(dst []byte, b *Batch) []byte { return dst }

// Validate checks order, window, id.
func (b *Batch) Validate(now time.Time, lim Limits) error { return errTodo }

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
