package telemetry

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrBatchID is what ParseBatchID returns for text that is no UUIDv7.
var ErrBatchID = errors.New("not a UUIDv7 of the form xxxxxxxx-xxxx-7xxx-yxxx-xxxxxxxxxxxx")

// NewBatchID makes a UUIDv7 (RFC 9562, section 5.7) of the time's milliseconds and 74
// bits of rnd. It fails if t is before 1970 or after 10889, or if rnd fails.
func NewBatchID(t time.Time, rnd io.Reader) (BatchID, error) {
	ms := t.UnixMilli()
	if ms < 0 || ms > maxUnixMilli {
		return BatchID{}, fmt.Errorf("new batch id: time %s has no 48-bit milliseconds", t.UTC().Format(time.RFC3339))
	}
	var id BatchID
	if _, err := io.ReadFull(rnd, id[6:]); err != nil {
		return BatchID{}, fmt.Errorf("new batch id: read random bits: %w", err)
	}
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = 0x70 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	return id, nil
}

// ParseBatchID reads the 8-4-4-4-12 form in either case. It returns ErrBatchID when s
// is of another form, version or variant.
func ParseBatchID(s string) (BatchID, error) {
	id, ok := parseUUID(s)
	if !ok || !id.isV7() {
		return BatchID{}, ErrBatchID
	}
	return id, nil
}

// isV7 reports whether version and variant are those of a UUIDv7.
func (id BatchID) isV7() bool { return id[6]>>4 == 7 && id[8]>>6 == 2 }

// parseUUID reads the 8-4-4-4-12 form of any UUID.
func parseUUID[T string | []byte](s T) (id BatchID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return BatchID{}, false
	}
	var digits [32]byte
	n := copy(digits[:], s[0:8])
	n += copy(digits[n:], s[9:13])
	n += copy(digits[n:], s[14:18])
	n += copy(digits[n:], s[19:23])
	copy(digits[n:], s[24:36])
	if _, err := hex.Decode(id[:], digits[:]); err != nil {
		return BatchID{}, false
	}
	return id, true
}
