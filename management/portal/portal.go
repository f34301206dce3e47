// Package portal serves the one page that shows the pipeline and its map. Everything
// that the page needs is embedded: it works without the internet.
package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

//go:embed page third_party
var files embed.FS

// csp lets the page load nothing from elsewhere and run no inline script or style. MapLibre
// draws its icons from data: URLs and decodes tiles in a worker that is a file of ours.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
	"connect-src 'self'; worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// Handler serves the page at / and its parts below /portal/. Safe for concurrent use.
type Handler struct{ assets map[string]*asset }

type asset struct {
	contentType, etag string
	body              []byte
	zipped            func() []byte
}

// New reads the embedded files. What they compress to is computed when first asked for.
func New() (*Handler, error) {
	h := &Handler{assets: map[string]*asset{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ct, ok := contentTypes[path.Ext(name)]
		if !ok {
			return nil
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		a := &asset{contentType: ct, etag: base64.RawURLEncoding.EncodeToString(sum[:12]), body: body}
		a.zipped = sync.OnceValue(func() []byte { return zip(body) })
		url := "/portal/" + strings.TrimPrefix(name, "page/")
		if name == "page/index.html" {
			url = "/"
		}
		h.assets[url] = a
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("portal files: %w", err)
	}
	return h, nil
}

// ServeHTTP answers with a file, its ETag and headers that keep foreign content out.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, ok := h.assets[r.URL.Path]
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	head := w.Header()
	head.Set("Content-Security-Policy", csp)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cache-Control", "no-cache")
	head.Set("Vary", "Accept-Encoding")
	etag, body := `"`+a.etag+`"`, a.body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		etag, body = `"`+a.etag+`-gz"`, a.zipped()
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("ETag", etag)
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		head.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Type", a.contentType)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // an error: the client is gone
}

func zip(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a buffer takes everything
	_ = z.Close()        // the same
	return b.Bytes()
}
