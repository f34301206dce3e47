package receiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/carasso/carasso/internal/problem"
)

// form is the media type of a body.
type form uint8

const (
	formJSON form = iota
	formProto
)

// coding is the content coding of a body (RFC 9110, 8.4.1).
type coding uint8

const (
	codingIdentity coding = iota
	codingGzip
	codingZstd
)

const (
	minRead    = 4 << 10   // the smallest buffer
	firstRead  = 16 << 10  // the first buffer of a body of unknown length
	keepBuffer = 256 << 10 // larger buffers are not kept for later requests
	zstdWindow = 8 << 20   // largest window, as RFC 9659 recommends
)

// mediaOf reads Content-Type and Content-Encoding.
func mediaOf(h http.Header) (form, coding, *problem.Problem) {
	var f form
	switch ct := first(h, "Content-Type"); ct {
	case "application/json":
	case "application/x-protobuf":
		f = formProto
	default:
		media, params, err := mime.ParseMediaType(ct)
		charset, ok := params["charset"]
		switch {
		case err == nil && media == "application/x-protobuf":
			f = formProto
		case err == nil && media == "application/json" && (!ok || strings.EqualFold(charset, "utf-8")):
		default:
			return 0, 0, &problem.Problem{
				Kind: problem.UnsupportedMedia, Detail: "The Content-Type is not supported.",
				Expected: "application/json or application/x-protobuf",
			}
		}
	}
	switch ce := first(h, "Content-Encoding"); {
	case len(h["Content-Encoding"]) > 1:
	case ce == "", strings.EqualFold(ce, "identity"):
		return f, codingIdentity, nil
	case strings.EqualFold(ce, "gzip"):
		return f, codingGzip, nil
	case strings.EqualFold(ce, "zstd"):
		return f, codingZstd, nil
	}
	return 0, 0, &problem.Problem{
		Kind: problem.UnsupportedMedia, Detail: "The Content-Encoding is not supported.",
		Expected: "gzip, zstd or identity",
	}
}

func first(h http.Header, canonicalKey string) string {
	if v := h[canonicalKey]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// bodies reads request bodies within bounds. Safe for concurrent use.
type bodies struct {
	maxBody, maxInflated int
	timeout              time.Duration
	retryAfter           time.Duration
	gzips                sync.Pool // *gzip.Reader
	zstd                 *zstd.Decoder
}

func newBodies(cfg Config) (*bodies, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(cfg.Limits.MaxDecoded)), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, fmt.Errorf("receiver zstd: %w", err)
	}
	return &bodies{
		maxBody: cfg.Limits.MaxBody, maxInflated: cfg.Limits.MaxDecoded,
		timeout: cfg.BodyTimeout, retryAfter: cfg.RetryAfter, zstd: d,
	}, nil
}

func (b *bodies) close() { b.zstd.Close() }

func (b *bodies) tooLarge(what string, limit int) *problem.Problem {
	return &problem.Problem{
		Kind: problem.TooLarge, Detail: "The body is too large " + what + ".", Expected: fmt.Sprintf("at most %d bytes", limit),
	}
}

func (b *bodies) overloaded() *problem.Problem {
	return &problem.Problem{Kind: problem.Overloaded, RetryAfter: b.retryAfter}
}

// read reads the whole body into buf, whose memory it reserves as the body arrives: a
// Content-Length that lies reserves nothing. Problems are 400, 408, 413 and 503.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, buf []byte, res *reservation) ([]byte, *problem.Problem) {
	if r.ContentLength > int64(b.maxBody) {
		p := b.tooLarge("as sent", b.maxBody)
		p.Close = true
		return buf, p
	}
	ctl := http.NewResponseController(w)
	bounded := ctl.SetReadDeadline(time.Now().Add(b.timeout)) == nil
	first := firstRead
	if n := r.ContentLength; n >= 0 && n < firstRead {
		first = max(int(n)+1, minRead)
	}
	buf, p := b.readAll(r.Body, buf, b.maxBody, first, "as sent", res)
	switch {
	case p != nil:
		// The deadline stays: the server may still wait for the rest of the body. Closing
		// spares it that.
		p.Close = true
	case bounded:
		// The wait for the queue is not the client's.
		_ = ctl.SetReadDeadline(time.Time{})
	}
	return buf, p
}

// readAll appends all of src to buf[:0], at most limit bytes.
func (b *bodies) readAll(src io.Reader, buf []byte, limit, first int, what string, res *reservation) ([]byte, *problem.Problem) {
	buf = buf[:0]
	reserved := 0
	for {
		if len(buf) == reserved { // reserve and, if the pooled buffer is too small, allocate
			step := min(max(reserved, first), limit+1-reserved)
			if !res.grow(step) {
				return buf, b.overloaded()
			}
			reserved += step
			if cap(buf) < reserved {
				buf = append(make([]byte, 0, reserved), buf...)
			}
		}
		n, err := src.Read(buf[len(buf):reserved])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return buf, b.tooLarge(what, limit)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, readProblem(err)
		}
	}
}

// readProblem says what a failed read means for the client.
func readProblem(err error) *problem.Problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem.Problem{Kind: problem.RequestTimeout, Close: true}
	}
	return &problem.Problem{Kind: problem.InvalidBatch, Detail: "The body could not be read to its end.", Close: true}
}

// inflate undoes the coding into buf and returns the plain body, which is raw itself
// when there was none. Problems are 400, 413 and 503.
func (b *bodies) inflate(c coding, raw, buf []byte, res *reservation) ([]byte, *problem.Problem) {
	switch c {
	case codingGzip:
		return b.gunzip(raw, buf, res)
	case codingZstd:
		return b.unzstd(raw, buf, res)
	default:
		return raw, nil
	}
}

func (b *bodies) gunzip(raw, buf []byte, res *reservation) ([]byte, *problem.Problem) {
	src := bytes.NewReader(raw)
	z, ok := b.gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer b.gzips.Put(z)
	if err := z.Reset(src); err != nil {
		return buf, notInflatable("gzip")
	}
	plain, p := b.readAll(z, buf, b.maxInflated, firstRead, "after decompression", res)
	if p != nil && p.Kind == problem.InvalidBatch {
		return plain, notInflatable("gzip")
	}
	return plain, p
}

func (b *bodies) unzstd(raw, buf []byte, res *reservation) ([]byte, *problem.Problem) {
	// The frame's header may promise any size and the decoder allocates what it says.
	var h zstd.Header
	if err := h.Decode(raw); err != nil {
		return buf, notInflatable("zstd")
	}
	promised := max(firstRead, len(raw))
	if h.HasFCS {
		if h.FrameContentSize > uint64(b.maxInflated) {
			return buf, b.tooLarge("after decompression", b.maxInflated)
		}
		promised = int(h.FrameContentSize)
	}
	if !res.grow(promised) {
		return buf, b.overloaded()
	}
	plain, err := b.zstd.DecodeAll(raw, buf[:0])
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), err == nil && len(plain) > b.maxInflated:
		return buf, b.tooLarge("after decompression", b.maxInflated)
	case err != nil:
		return buf, notInflatable("zstd")
	}
	if more := cap(plain) - promised; more > 0 && len(plain) > promised && !res.grow(more) {
		return plain, b.overloaded()
	}
	return plain, nil
}

func notInflatable(coding string) *problem.Problem {
	return &problem.Problem{
		Kind: problem.InvalidBatch, Detail: "The body can not be decompressed.", Expected: "a complete " + coding + " body",
	}
}
