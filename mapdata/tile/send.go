package tile

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// maxTile bounds a tile decompressed for a client.
const maxTile = 16 << 20

// send writes a stored tile: as it is to clients that take gzip, else decompressed.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, id ID, body []byte) {
	header := w.Header()
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
	} else {
		plain, err := decompress(body)
		if err != nil {
			header.Del("ETag")
			h.fail(w, r, id, err)
			return
		}
		body = plain
	}
	header.Set("Content-Type", ContentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) //nolint:gosec // not HTML: the type is set, and the body is our own tile
}

func decompress(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("decompress tile: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxTile+1))
	if err != nil {
		return nil, fmt.Errorf("decompress tile: %w", err)
	}
	if len(plain) > maxTile {
		return nil, fmt.Errorf("decompress tile: more than %d bytes", maxTile)
	}
	return plain, nil
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip, or anything, with a weight
// that is not 0.
func acceptsGzip(header string) bool {
	any := false
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q="); ok {
			v, err := strconv.ParseFloat(q, 64)
			weight = v
			if err != nil {
				weight = 0
			}
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return weight > 0
		case "*":
			any = weight > 0
		}
	}
	return any
}
