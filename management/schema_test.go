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
	parsed, ok := parseJSON(t, doc).(map[string]any)
	if !ok {
		t.Fatalf("the description is no object: %.80s", doc)
	}
	return spec{parsed}
}

// parseJSON keeps numbers as they are written.
func parseJSON(t *testing.T, doc []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %.200s", err, doc)
	}
	return v
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func list(v any) []any { l, _ := v.([]any); return l }

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
	if schema == true {
		return nil
	}
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
	case string:
		if _, err := time.Parse(time.RFC3339Nano, v); m["format"] == "date-time" && err != nil {
			errs = append(errs, fmt.Sprintf("%s: %q is no date-time", path, v))
		}
	case json.Number:
		errs = append(errs, checkNumber(path, m, v)...)
	case []any:
		for i, item := range v {
			errs = append(errs, s.check(fmt.Sprintf("%s/%d", path, i), m["items"], item)...)
		}
	case map[string]any:
		errs = append(errs, s.checkObject(path, m, v)...)
	}
	return errs
}

func checkNumber(path string, schema map[string]any, v json.Number) (errs []string) {
	f, _ := v.Float64()
	if low, ok := schema["minimum"].(json.Number); ok {
		if l, _ := low.Float64(); f < l {
			errs = append(errs, fmt.Sprintf("%s: %v is less than %v", path, v, low))
		}
	}
	if high, ok := schema["maximum"].(json.Number); ok {
		if h, _ := high.Float64(); f > h {
			errs = append(errs, fmt.Sprintf("%s: %v is more than %v", path, v, high))
		}
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
