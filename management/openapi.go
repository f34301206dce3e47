package management

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

//go:embed openapi.json
var openAPISource []byte

// openAPI is the description of the API (OpenAPI 3.1), compact; without the paths of the
// tiles when another service has them.
func openAPI(tiles bool) ([]byte, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(openAPISource, &doc); err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	if !tiles {
		var paths map[string]json.RawMessage
		if err := json.Unmarshal(doc["paths"], &paths); err != nil {
			return nil, fmt.Errorf("openapi.json: paths: %w", err)
		}
		maps.DeleteFunc(paths, func(path string, _ json.RawMessage) bool {
			return strings.HasPrefix(path, "/v1/tiles") || path == "/v1/hazards/stream"
		})
		raw, err := json.Marshal(paths)
		if err != nil {
			return nil, fmt.Errorf("openapi.json: paths: %w", err)
		}
		doc["paths"] = raw
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, raw)
	return compact.Bytes(), err
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
