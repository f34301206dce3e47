package management

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
)

// openAPISource holds base.json, the document without paths, and beside it a fragment for each area
// of the API: its paths and the schemas that only they use.
//
//go:embed openapi
var openAPISource embed.FS

// tilesFragment describes what another service may answer instead.
const tilesFragment = "tiles.json"

type openAPIFragment struct {
	Paths   map[string]json.RawMessage `json:"paths"`
	Schemas map[string]json.RawMessage `json:"schemas"`
}

// openAPI is the description of the API (OpenAPI 3.1), compact; without the paths of the
// tiles when another service has them. A path or schema described twice is an error.
func openAPI(tiles bool) ([]byte, error) {
	var doc, components map[string]json.RawMessage
	var schemas map[string]json.RawMessage
	if err := readOpenAPI("base.json", &doc); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(doc["components"], &components); err != nil {
		return nil, fmt.Errorf("openapi/base.json: components: %w", err)
	}
	if err := json.Unmarshal(components["schemas"], &schemas); err != nil {
		return nil, fmt.Errorf("openapi/base.json: schemas: %w", err)
	}
	paths := map[string]json.RawMessage{}
	files, err := openAPISource.ReadDir("openapi")
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	for _, f := range files {
		if f.Name() == "base.json" || f.Name() == tilesFragment && !tiles {
			continue
		}
		var fragment openAPIFragment
		if err := readOpenAPI(f.Name(), &fragment); err != nil {
			return nil, err
		}
		if err := addNew(paths, fragment.Paths); err != nil {
			return nil, fmt.Errorf("openapi/%s: %w", f.Name(), err)
		}
		if err := addNew(schemas, fragment.Schemas); err != nil {
			return nil, fmt.Errorf("openapi/%s: %w", f.Name(), err)
		}
	}
	if components["schemas"], err = json.Marshal(schemas); err != nil {
		return nil, fmt.Errorf("openapi: schemas: %w", err)
	}
	if doc["components"], err = json.Marshal(components); err != nil {
		return nil, fmt.Errorf("openapi: components: %w", err)
	}
	if doc["paths"], err = json.Marshal(paths); err != nil {
		return nil, fmt.Errorf("openapi: paths: %w", err)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, raw)
	return compact.Bytes(), err
}

func readOpenAPI(name string, into any) error {
	raw, err := openAPISource.ReadFile(path.Join("openapi", name))
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("openapi/%s: %w", name, err)
	}
	return nil
}

func addNew(to, from map[string]json.RawMessage) error {
	for name, v := range from {
		if _, ok := to[name]; ok {
			return fmt.Errorf("%s is described twice", name)
		}
		to[name] = v
	}
	return nil
}

func (s *Server) getSpec(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256(s.spec)
	etag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.write(w, r, "application/json", json.RawMessage(s.spec))
}
