package management_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/credential"
)

// spec is an OpenAPI document, as far as the tests read it.
type spec struct {
	doc map[string]any
}

func loadSpec(t *testing.T, b *bench) spec {
	t.Helper()
	res, doc := b.do(t, "GET", "/openapi.json", "", nil)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	var s spec
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&s.doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// at follows a path of keys; nil if it ends early.
func (s spec) at(keys ...string) any {
	var v any = s.doc
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = s.resolve(m[k])
	}
	return v
}

func (s spec) resolve(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	ref, ok := m["$ref"].(string)
	if !ok {
		return v
	}
	return s.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// check validates a value against a schema: the parts of JSON Schema that the document
// uses, and one that is stricter: an object has no properties that are not described.
func (s spec) check(path string, schema, v any) []string {
	m, ok := s.resolve(schema).(map[string]any)
	if !ok {
		return []string{path + ": no schema"}
	}
	if options, ok := m["anyOf"].([]any); ok {
		var all []string
		for _, o := range options {
			errs := s.check(path, o, v)
			if len(errs) == 0 {
				return nil
			}
			all = append(all, errs...)
		}
		return all
	}
	if c, ok := m["const"]; ok && c != v {
		return []string{fmt.Sprintf("%s: %v, want %v", path, v, c)}
	}
	if e, ok := m["enum"].([]any); ok && !slices.Contains(e, v) {
		return []string{fmt.Sprintf("%s: %v is none of %v", path, v, e)}
	}
	if types := m["type"]; types != nil && !hasType(types, v) {
		return []string{fmt.Sprintf("%s: %T is no %v", path, v, types)}
	}
	var errs []string
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			errs = append(errs, s.check(fmt.Sprintf("%s/%d", path, i), m["items"], item)...)
		}
	case map[string]any:
		errs = append(errs, s.checkObject(path, m, v)...)
	}
	return errs
}

func (s spec) checkObject(path string, schema, v map[string]any) (errs []string) {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, r := range required {
		if _, ok := v[fmt.Sprint(r)]; !ok {
			errs = append(errs, fmt.Sprintf("%s: %v is missing", path, r))
		}
	}
	for k, item := range v {
		sub, ok := properties[k]
		if !ok {
			sub = schema["additionalProperties"]
		}
		if sub == nil {
			errs = append(errs, fmt.Sprintf("%s: %s is not described", path, k))
			continue
		}
		errs = append(errs, s.check(path+"/"+k, sub, item)...)
	}
	return errs
}

func hasType(types, v any) bool {
	if list, ok := types.([]any); ok {
		return slices.ContainsFunc(list, func(t any) bool { return hasType(t, v) })
	}
	switch v := v.(type) {
	case nil:
		return types == "null"
	case bool:
		return types == "boolean"
	case string:
		return types == "string"
	case []any:
		return types == "array"
	case map[string]any:
		return types == "object"
	case json.Number:
		f, err := v.Float64()
		return err == nil && (types == "number" || types == "integer" && f == math.Trunc(f))
	default:
		return false
	}
}

func TestEveryRouteIsDescribedAndNoOther(t *testing.T) {
	b := newBench(t, nil)
	s := loadSpec(t, b)
	var described, routed []string
	paths, _ := s.at("paths").(map[string]any)
	for path, ops := range paths {
		methods, _ := ops.(map[string]any)
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	err := chi.Walk(b.server.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead && method != http.MethodOptions {
			routed = append(routed, method+" "+strings.Replace(route, "/portal/*", "/portal/{file}", 1))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(described)
	slices.Sort(routed)
	if !slices.Equal(described, routed) {
		t.Errorf("described:\n%s\nrouted:\n%s", strings.Join(described, "\n"), strings.Join(routed, "\n"))
	}
}

// Every example must fit its schema, and every real answer too.
func TestExamplesAndAnswersFitTheSchemas(t *testing.T) {
	b := newBench(t, nil)
	s := loadSpec(t, b)
	token := b.token(t, credential.Admin)
	requests := map[string]string{
		"/v1/ledger": "/v1/ledger?by=receiver", "/v1/pipeline": "/v1/pipeline", "/v1/segments": "/v1/segments?" + area + "&limit=50",
		"/v1/segments/{edge}/speeds": fmt.Sprintf("/v1/segments/%d/speeds", b.store.town.sorted()[0]),
		"/v1/ledger/batches":         "/v1/ledger/batches",
		"/v1/segments/{edge}/limits": fmt.Sprintf("/v1/segments/%d/limits", b.store.town.sorted()[0]),
		"/v1/limits":                 "/v1/limits?" + area, "/v1/hazards": fmt.Sprintf("/v1/hazards?ended_since=%d", time.Now().Add(-time.Hour).UnixMilli()), "/v1/map-errors": "/v1/map-errors?status=any",
		"/v1/map-errors/{id}/status": "/v1/map-errors/21/status",
	}
	bodies := map[string]string{
		"post": `{"batches":[{"vehicle_id":"a","batch_id":"0193a5f0-7c1e-7b7a-8f3e-2d4c6b8a0e12"},{"vehicle_id":"b","batch_id":"0193a5f0-7c1e-7b7a-8f3e-2d4c6b8a0e12"}]}`,
		"put":  `{"status":"accepted"}`,
	}
	paths, _ := s.at("paths").(map[string]any)
	checked := 0
	for path, ops := range paths {
		methods, _ := ops.(map[string]any)
		for method, op := range methods {
			responses, _ := op.(map[string]any)["responses"].(map[string]any)
			for status, r := range responses {
				content, _ := s.resolve(r).(map[string]any)["content"].(map[string]any)
				for contentType, c := range content {
					media, _ := c.(map[string]any)
					if example, ok := media["example"]; ok {
						for _, e := range s.check("example", media["schema"], example) {
							t.Errorf("%s %s %s: %s", method, path, status, e)
						}
					}
					url, ok := requests[path]
					if !ok || status != "200" {
						continue
					}
					res, doc := b.do(t, strings.ToUpper(method), url, token, strings.NewReader(bodies[method]))
					if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != contentType {
						t.Errorf("%s: %d %s, want %s", url, res.StatusCode, res.Header.Get("Content-Type"), contentType)
					}
					var v any
					d := json.NewDecoder(bytes.NewReader(doc))
					d.UseNumber()
					if err := d.Decode(&v); err != nil {
						t.Fatal(err)
					}
					for _, e := range s.check("answer", media["schema"], v) {
						t.Errorf("%s: %s", url, e)
					}
					checked++
				}
			}
		}
	}
	if checked != len(requests) {
		t.Errorf("%d answers checked, want %d", checked, len(requests))
	}
	_, doc := b.do(t, "GET", "/v1/ledger?by=x", token, nil)
	var v any
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	for _, e := range s.check("problem", s.at("components", "schemas", "Problem"), v) {
		t.Error(e)
	}
}
