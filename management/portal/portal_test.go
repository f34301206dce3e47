package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, url string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, url, nil)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageIsStrictAndComplete(t *testing.T) {
	h, err := New()
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, h, "/", nil)
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("page: %d %s", page.Code, page.Header().Get("Content-Type"))
	}
	policy := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	if page.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("no nosniff")
	}
	body := page.Body.String()
	if regexp.MustCompile(`<script>|<style>|\son\w+=|\sstyle=`).MatchString(body) {
		t.Error("the page has inline script or style")
	}
	// Everything that the page and its modules refer to is there.
	refs := regexp.MustCompile(`(?:src|href)="(/[^"]+)"|(?:from |import\()'(\.{0,2}/[^'\s]+)'|'(/portal/[^']+)'`)
	seen := map[string]bool{"/openapi.json": true}
	var follow func(base, text string)
	follow = func(base, text string) {
		for _, m := range refs.FindAllStringSubmatch(text, -1) {
			ref := m[1] + m[2] + m[3]
			if strings.HasPrefix(ref, ".") {
				ref = path.Join(path.Dir(base), ref)
			}
			if seen[ref] {
				continue
			}
			seen[ref] = true
			w := get(t, h, ref, nil)
			if w.Code != http.StatusOK {
				t.Errorf("%s refers to %s: %d", base, ref, w.Code)
			}
			if strings.HasSuffix(ref, ".js") && !strings.Contains(ref, "third_party") {
				follow(ref, w.Body.String())
			}
		}
	}
	follow("/", body)
	// And all that is there is referred to.
	for url := range h.assets {
		fixed := strings.Replace(url, "/portal/", "/portal/"+h.version+"/", 1)
		if seen[url] {
			t.Errorf("%s is referred to without its version", url)
		}
		if url != "/" && !seen[fixed] && !strings.HasSuffix(url, ".txt") && !strings.HasSuffix(url, "-worker.mjs") {
			t.Errorf("nothing refers to %s", url)
		}
	}
}

// What the first view imports is asked for by the page itself, so that no module waits for another.
func TestPageAsksForItsModulesAtOnce(t *testing.T) {
	h, err := New()
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, h, "/", nil).Body.String()
	for _, name := range []string{"main.js", "core/api.js", "views/map/index.js", "views/map/canvas.js", "views/map/style.js", "third_party/uplot/uPlot.esm.js"} {
		if link := `<link rel="modulepreload" href="/portal/` + h.version + "/" + name + `">`; strings.Count(page, link) != 1 {
			t.Errorf("%d times %s", strings.Count(page, link), link)
		}
	}
	if strings.Contains(page, "maplibre") {
		t.Error("views without a map wait for its library")
	}
}

func TestPartsOfAVersionNeedNoAsking(t *testing.T) {
	h, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"/": "no-cache", "/portal/main.js": "no-cache", "/portal/v-other/main.js": "no-cache",
		"/portal/" + h.version + "/main.js": "public, max-age=31536000, immutable",
	} {
		if w := get(t, h, url, nil); w.Code != http.StatusOK || w.Header().Get("Cache-Control") != want {
			t.Errorf("%s: %d, %q; want %q", url, w.Code, w.Header().Get("Cache-Control"), want)
		}
	}
	if w := get(t, h, "/portal/"+h.version+"/none.js", nil); w.Code != http.StatusNotFound || w.Header().Get("Cache-Control") != "" {
		t.Errorf("missing part: %d, %q", w.Code, w.Header().Get("Cache-Control"))
	}
}

func TestFilesAreCachedAndCompressed(t *testing.T) {
	h, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const sheet = "/portal/css/shell.css"
	plain := get(t, h, sheet, nil)
	zipped := get(t, h, sheet, map[string]string{"Accept-Encoding": "br, gzip"})
	z, err := gzip.NewReader(bytes.NewReader(zipped.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
		t.Errorf("gzip: %d bytes, %v; want %d", len(body), err, plain.Body.Len())
	}
	tag := zipped.Header().Get("ETag")
	if tag == plain.Header().Get("ETag") {
		t.Error("two representations share an ETag")
	}
	again := get(t, h, sheet, map[string]string{"Accept-Encoding": "gzip", "If-None-Match": tag})
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("with its ETag: %d, %d bytes", again.Code, again.Body.Len())
	}
	for _, path := range []string{"/portal/none.js", "/portal/", "/portal/../portal.go", "/portal/third_party/refresh", "/portal/index.html"} {
		if w := get(t, h, path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// The libraries are what SHA256SUMS says; third_party/refresh fetches them again.
func TestThirdPartyIsPinned(t *testing.T) {
	sums, err := os.ReadFile("third_party/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		body, err := files.ReadFile("third_party/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(body)); got != sum {
			t.Errorf("%s is not as pinned", name)
		}
	}
	if len(lines) != 7 {
		t.Errorf("%d files are pinned, want 7", len(lines))
	}
}
