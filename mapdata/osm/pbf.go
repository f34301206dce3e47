package osm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"
)

// The bounds of the PBF format (OSM wiki, PBF Format).
const (
	maxBlobHeader = 64 << 10
	maxBlob       = 32 << 20
)

// pbfScanner reads the file's blobs one after another.
type pbfScanner struct {
	r    *bufio.Reader
	zlib io.ReadCloser
	zstd *zstd.Decoder
	blob []byte
	data bytes.Buffer
	b    block
}

func scanPBF(ctx context.Context, r *bufio.Reader, c *collector) error {
	s := &pbfScanner{r: r}
	defer func() {
		if s.zstd != nil {
			s.zstd.Close()
		}
	}()
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, data, err := s.next()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return nil
		case err != nil:
			return fmt.Errorf("blob %d: %w", n, err)
		case kind == "OSMHeader":
			err = checkHeader(data)
		case kind == "OSMData" && n > 0:
			err = s.b.scan(data, c)
		case n == 0:
			err = fmt.Errorf("%w: it does not start with a header", ErrFormat)
		}
		if err != nil {
			return fmt.Errorf("blob %d: %w", n, err)
		}
	}
}

// next is the next blob's type and inflated content, valid until the next call; io.EOF
// only between blobs.
func (s *pbfScanner) next() (kind string, data []byte, err error) {
	var size [4]byte
	if _, err := io.ReadFull(s.r, size[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = ErrTruncated
		}
		return "", nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxBlobHeader {
		return "", nil, fmt.Errorf("%w: a blob header of %d bytes", ErrFormat, n)
	}
	header, err := s.read(int(n))
	if err != nil {
		return "", nil, err
	}
	var length uint64
	err = fields(header, func(num protowire.Number, v uint64, b []byte) error {
		switch num {
		case 1:
			kind = string(b)
		case 3:
			length = v
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	if length > maxBlob {
		return "", nil, fmt.Errorf("%w: a blob of %d bytes", ErrFormat, length)
	}
	blob, err := s.read(int(length))
	if err != nil {
		return "", nil, err
	}
	data, err = s.inflate(blob)
	return kind, data, err
}

// read takes n bytes, at most as many as the file has: a lying length costs nothing.
func (s *pbfScanner) read(n int) ([]byte, error) {
	s.blob = s.blob[:0]
	for len(s.blob) < n {
		at := len(s.blob)
		step := min(n-at, bufferSize)
		s.blob = append(s.blob, make([]byte, step)...)
		if _, err := io.ReadFull(s.r, s.blob[at:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = ErrTruncated
			}
			return nil, err
		}
	}
	return s.blob, nil
}

func (s *pbfScanner) inflate(blob []byte) ([]byte, error) {
	var data []byte
	found := false
	err := fields(blob, func(num protowire.Number, _ uint64, b []byte) (err error) {
		switch num {
		case 1:
			data, found = b, true
		case 3:
			data, err = s.inflateZlib(b)
			found = true
		case 7:
			data, err = s.inflateZstd(b)
			found = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: a blob whose compression is neither zlib nor zstd", ErrFormat)
	}
	return data, nil
}

func (s *pbfScanner) inflateZlib(b []byte) (_ []byte, err error) {
	if s.zlib == nil {
		s.zlib, err = zlib.NewReader(bytes.NewReader(b))
	} else {
		err = s.zlib.(zlib.Resetter).Reset(bytes.NewReader(b), nil)
	}
	s.data.Reset()
	if err == nil {
		_, err = io.Copy(&s.data, io.LimitReader(s.zlib, maxBlob+1))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: zlib: %w", ErrFormat, err)
	}
	if s.data.Len() > maxBlob {
		return nil, fmt.Errorf("%w: a blob inflates to more than %d bytes", ErrFormat, maxBlob)
	}
	return s.data.Bytes(), nil
}

func (s *pbfScanner) inflateZstd(b []byte) (_ []byte, err error) {
	if s.zstd == nil {
		s.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlob))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	}
	data, err := s.zstd.DecodeAll(b, s.data.AvailableBuffer())
	if err != nil {
		return nil, fmt.Errorf("%w: zstd: %w", ErrFormat, err)
	}
	return data, nil
}

func checkHeader(data []byte) error {
	return fields(data, func(num protowire.Number, _ uint64, b []byte) error {
		if num == 4 && string(b) != "OsmSchema-V0.6" && string(b) != "DenseNodes" {
			return fmt.Errorf("%w: it needs the feature %q", ErrFormat, b)
		}
		return nil
	})
}

// fields walks a message: v is set for varints, b for bytes; other types are skipped.
func fields(msg []byte, each func(num protowire.Number, v uint64, b []byte) error) error {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrFormat, protowire.ParseError(n))
		}
		msg = msg[n:]
		var v uint64
		var b []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(msg)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(msg)
		default:
			n = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrFormat, protowire.ParseError(n))
		}
		msg = msg[n:]
		if err := each(num, v, b); err != nil {
			return err
		}
	}
	return nil
}
