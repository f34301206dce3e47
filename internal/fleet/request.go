package fleet

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/carasso/carasso/telemetry"
)

// requestEncoder makes complete HTTP/1.1 requests of batches. It is not safe for
// concurrent use.
type requestEncoder struct {
	head  []byte // up to the bearer token
	json  bool
	gzip  *gzip.Writer
	zstd  *zstd.Encoder
	plain []byte
	body  bytes.Buffer
	coded []byte
}

func newRequestEncoder(cfg Config, target *url.URL) (*requestEncoder, error) {
	e := &requestEncoder{json: cfg.Format == FormatJSON}
	mediaType := "application/x-protobuf"
	if e.json {
		mediaType = "application/json"
	}
	encoding := ""
	switch cfg.Compression {
	case Gzip:
		encoding = "Content-Encoding: gzip\r\n"
		e.gzip = gzip.NewWriter(&e.body)
	case Zstd:
		encoding = "Content-Encoding: zstd\r\n"
		var err error
		if e.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
			return nil, fmt.Errorf("fleet: zstd: %w", err)
		}
	}
	path := strings.TrimSuffix(target.Path, "/") + "/v1/batches"
	e.head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: carasso-fleet\r\nContent-Type: %s\r\n%sAuthorization: Bearer ",
		path, target.Host, mediaType, encoding)
	return e, nil
}

// append appends the request that posts the batch.
func (e *requestEncoder) append(dst []byte, b *telemetry.Batch, token string) ([]byte, error) {
	if e.json {
		e.plain = telemetry.AppendJSON(e.plain[:0], b)
	} else {
		e.plain = telemetry.AppendProto(e.plain[:0], b)
	}
	body := e.plain
	switch {
	case e.gzip != nil:
		e.body.Reset()
		e.gzip.Reset(&e.body)
		if _, err := e.gzip.Write(e.plain); err != nil {
			return nil, fmt.Errorf("fleet: gzip: %w", err)
		}
		if err := e.gzip.Close(); err != nil {
			return nil, fmt.Errorf("fleet: gzip: %w", err)
		}
		body = e.body.Bytes()
	case e.zstd != nil:
		e.coded = e.zstd.EncodeAll(e.plain, e.coded[:0])
		body = e.coded
	}
	dst = append(dst, e.head...)
	dst = append(dst, token...)
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...), nil
}
