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

// Handler serves the page at / and its parts below /portal/. The page asks for its parts below /portal/v-…/, which changes with
// their content, so that browsers keep them without asking again. Safe for concurrent use.
type Handler struct {
	version string // such as v-Zm9vYmFy
	assets  map[string]*asset
}

type asset struct {
	contentType, etag string
	body              []byte
	zipped            func() []byte
}

// New reads the embedded files. What they compress to is computed when first asked for.
func New() (*Handler, error) {
	version, err := versionOf(files)
	if err != nil {
		return nil, fmt.Errorf("portal files: %w", err)
	}
	h := &Handler{version: version, assets: map[string]*asset{}}
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
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
		if strings.HasPrefix(name, "page/") {
			body = versioned(body, version)
		}
		if name == "page/index.html" {
			if body, err = withPreloads(body, files, version); err != nil {
				return err
			}
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
	cache, url := "no-cache", r.URL.Path
	if version, rest, ok := strings.Cut(strings.TrimPrefix(url, "/portal/"), "/"); ok && strings.HasPrefix(version, "v-") {
		url = "/portal/" + rest
		if version == h.version { // not what a page of another release asks for
			cache = "public, max-age=31536000, immutable"
		}
	}
	a, ok := h.assets[url]
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	head := w.Header()
	head.Set("Content-Security-Policy", csp)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cache-Control", cache)
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
