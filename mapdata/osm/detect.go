package osm

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

const bufferSize = 1 << 20

// scan finds out what r is and feeds its nodes and ways to c.
func scan(ctx context.Context, r io.Reader, c *collector) error {
	br := bufio.NewReaderSize(r, bufferSize)
	head, err := peek(br)
	if err != nil {
		return err
	}
	var inner io.Reader
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return inflateError("gzip", err)
		}
		inner = &inflated{"gzip", z}
	case bytes.HasPrefix(head, []byte("BZh")):
		inner = &inflated{"bzip2", bzip2.NewReader(br)}
	default:
		return scanPlain(ctx, br, head, c)
	}
	br = bufio.NewReaderSize(inner, bufferSize)
	if head, err = peek(br); err != nil {
		return err
	}
	return scanPlain(ctx, br, head, c)
}

func scanPlain(ctx context.Context, br *bufio.Reader, head []byte, c *collector) error {
	switch {
	case len(head) == 0:
		return fmt.Errorf("%w: it is empty", ErrTruncated)
	case len(head) >= 6 && head[0] == 0 && head[4] == 0x0a && bytes.Contains(head, []byte("OSMHeader")):
		return scanPBF(ctx, br, c)
	case isXML(head):
		return scanXML(ctx, br, c)
	default:
		return fmt.Errorf("%w: neither PBF nor XML", ErrFormat)
	}
}

func isXML(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) > 0 && head[0] == '<'
}

func peek(br *bufio.Reader) ([]byte, error) {
	head, err := br.Peek(64)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head, nil
}

// inflated gives a decompressor's errors their meaning.
type inflated struct {
	name string
	r    io.Reader
}

func (i *inflated) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = inflateError(i.name, err)
	}
	return n, err
}

func inflateError(name string, err error) error {
	var structural bzip2.StructuralError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: within %s data", ErrTruncated, name)
	case errors.As(err, &structural), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("%w: %s: %w", ErrFormat, name, err)
	default:
		return fmt.Errorf("inflate %s: %w", name, err)
	}
}
