package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry"
)

// epochMS is 2000-01-01 UTC, from which PostgreSQL counts time, in ms since the Unix epoch.
const epochMS = 946_684_800_000

// copier writes rows in COPY's binary format into one reused buffer: no allocation per row
// or field, which pgx's CopyFrom has. A row is the fields appended between two calls
// of row. Not safe for concurrent use.
type copier struct{ buf []byte }

var copyHeader = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")

func (c *copier) begin() { c.buf = append(c.buf[:0], copyHeader...) }

func (c *copier) row(fields int) { c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(fields)) }

func (c *copier) size(n int) { c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(n)) }

func (c *copier) int16(v int16) {
	c.size(2)
	c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(v))
}

func (c *copier) int32(v int32) {
	c.size(4)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(v))
}

func (c *copier) int64(v int64) {
	c.size(8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v))
}

// time writes a timestamptz from ms since the Unix epoch.
func (c *copier) time(ms int64) { c.int64((ms - epochMS) * 1000) }

func (c *copier) text(s string) {
	c.size(len(s))
	c.buf = append(c.buf, s...)
}

// variable writes a field whose length is known only after f has appended it.
func (c *copier) variable(f func(dst []byte) []byte) {
	at := len(c.buf)
	c.size(0)
	c.buf = f(c.buf)
	binary.BigEndian.PutUint32(c.buf[at:], uint32(len(c.buf)-at-4))
}

// send ends the rows and copies them into a table.
func (c *copier) send(ctx context.Context, conn *pgx.Conn, into string) error {
	c.buf = binary.BigEndian.AppendUint16(c.buf, 1<<16-1)
	_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(c.buf), "COPY "+into+" FROM STDIN BINARY")
	if err != nil {
		return fmt.Errorf("copy into %s: %w", into, err)
	}
	return nil
}

// OIDs of the element types of arrays, from pg_type.dat.
const (
	oidInt2 = 21
	oidUUID = 2950
)

// appendArrayHeader starts a one-dimensional array without nulls in the binary format.
func appendArrayHeader(dst []byte, element uint32, n int) []byte {
	dims := uint32(1)
	if n == 0 {
		dims = 0
	}
	dst = binary.BigEndian.AppendUint32(dst, dims)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, element)
	if n > 0 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		dst = binary.BigEndian.AppendUint32(dst, 1)
	}
	return dst
}

func appendUUIDs(dst []byte, ids []telemetry.ClaimID) []byte {
	dst = appendArrayHeader(dst, oidUUID, len(ids))
	for i := range ids {
		dst = binary.BigEndian.AppendUint32(dst, 16)
		dst = append(dst, ids[i][:]...)
	}
	return dst
}

func appendInt16s(dst []byte, vs []int16) []byte {
	dst = appendArrayHeader(dst, oidInt2, len(vs))
	for _, v := range vs {
		dst = binary.BigEndian.AppendUint32(dst, 2)
		dst = binary.BigEndian.AppendUint16(dst, uint16(v))
	}
	return dst
}
