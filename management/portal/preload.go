package portal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// versionOf tells files from files with any other content.
func versionOf(fsys fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", name, len(body), body) // a hash takes everything
		return nil
	})
	return "v-" + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:9]), err
}

var absolute = regexp.MustCompile(`(["'])/portal/`)

// versioned lets a page or module of ours name its parts as those of a version.
func versioned(body []byte, version string) []byte {
	return absolute.ReplaceAll(body, []byte("${1}/portal/"+version+"/"))
}

// entries are the modules that the page's first view begins with.
var entries = []string{"page/main.js", "page/views/map/index.js", "page/views/map/canvas.js"}

// later is what only some views need and takes long: they ask for it themselves.
const later = "third_party/maplibre-gl/"

var imported = regexp.MustCompile(`(?m)^import [^'\n]*'([^']+)';`)

// modulesOf lists entries and all that they import, each once, in order of need.
func modulesOf(fsys fs.FS, entries []string) (modules []string, err error) {
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if seen[name] || strings.HasPrefix(name, later) {
			return nil
		}
		seen[name] = true
		modules = append(modules, name)
		if !strings.HasPrefix(name, "page/") {
			return nil
		}
		body, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		for _, m := range imported.FindAllSubmatch(body, -1) {
			ref := string(m[1])
			if from, ok := strings.CutPrefix(ref, "/portal/"); ok {
				ref = from
			} else {
				ref = path.Join(path.Dir(name), ref)
			}
			if err := add(ref); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	for _, name := range entries {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return modules, nil
}

// withPreloads has the page ask for the modules of its first view at once, rather than for each when another one names it.
func withPreloads(page []byte, fsys fs.FS, version string) ([]byte, error) {
	modules, err := modulesOf(fsys, entries)
	if err != nil {
		return nil, err
	}
	var links bytes.Buffer
	for _, name := range modules {
		_, _ = fmt.Fprintf(&links, "  <link rel=\"modulepreload\" href=\"/portal/%s/%s\">\n", version, strings.TrimPrefix(name, "page/")) // a buffer takes everything
	}
	return bytes.Replace(page, []byte("  <script type=\"module\""), append(links.Bytes(), "  <script type=\"module\""...), 1), nil
}
