package telemetry

import "strconv"

// Kind says which class of refusal an Invalid is; a service answers each with its
// own HTTP status.
type Kind uint8

// The kinds of refusal.
const (
	KindMalformed     Kind = iota // 400: syntax, types, ranges, vocabulary
	KindTooLarge                  // 413: bytes, samples or events over the limit
	KindOutsideWindow             // 422: well-formed, but too old or too far ahead
)

// String is the kind's stable name in snake_case.
func (k Kind) String() string {
	switch k {
	case KindTooLarge:
		return "too_large"
	case KindOutsideWindow:
		return "outside_window"
	default:
		return "malformed"
	}
}

// The stable codes of an Invalid.
const (
	CodeSyntax     = "syntax"     // not JSON (RFC 8259) or not protobuf
	CodeType       = "type"       // another JSON or wire type than expected
	CodeRange      = "range"      // a value outside its range
	CodeRequired   = "required"   // missing
	CodeDuplicate  = "duplicate"  // given twice
	CodeUnexpected = "unexpected" // present where it has no meaning
	CodeLength     = "length"     // a column, bitmap or text of the wrong length
	CodeVocabulary = "vocabulary" // a word or number that the contract does not know
	CodeFormat     = "format"     // text of the wrong form
	CodeOrder      = "order"      // samples not in time order
	CodeTooMany    = "too_many"   // more bytes, samples or events than the limit
	CodeTooDeep    = "too_deep"   // JSON nested too deeply
	CodeWindow     = "window"     // outside the accepted time window
)

// Invalid is the first fault found in a batch. All decoders and Batch.Validate
// return it as *Invalid; use errors.As.
type Invalid struct { //nolint:errname // read as telemetry.Invalid, what a batch is
	Kind Kind
	// Code is one of the Code constants.
	Code string
	// Pointer is the JSON pointer (RFC 6901) of the faulty value, such as
	// "/samples/3/lat"; "" is the whole body. A protobuf body gets the pointer that the
	// same value has in the JSON form.
	Pointer string
	// Expected says what would have been accepted.
	Expected string
	// Found says what was there instead, shortened; it never repeats identifiers.
	Found string
}

// Error names the place, what was expected and what was found.
func (e *Invalid) Error() string {
	where := e.Pointer
	if where == "" {
		where = "body"
	}
	s := where + ": expected " + e.Expected
	if e.Found != "" {
		s += ", found " + e.Found
	}
	return s + " (" + e.Code + ")"
}

func malformed(code, pointer, expected, found string) *Invalid {
	return &Invalid{Kind: KindMalformed, Code: code, Pointer: pointer, Expected: expected, Found: found}
}

func tooMany(pointer, what string, limit, found int) *Invalid {
	return &Invalid{
		Kind: KindTooLarge, Code: CodeTooMany, Pointer: pointer,
		Expected: "at most " + strconv.Itoa(limit) + " " + what,
		Found:    strconv.Itoa(found) + " or more",
	}
}

// bodySize refuses a body over the decoded limit.
func bodySize(n int, lim Limits) error {
	if n <= lim.MaxDecoded {
		return nil
	}
	e := tooMany("", "bytes after decompression", lim.MaxDecoded, n)
	e.Found = strconv.Itoa(n)
	return e
}
