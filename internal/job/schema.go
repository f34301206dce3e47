package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// schemaOf describes a struct of arguments as JSON Schema: the types that arguments need, no more.
func schemaOf(args any) (json.RawMessage, error) {
	t := reflect.TypeOf(args)
	if t.Kind() != reflect.Struct {
		return nil, errors.New("expected a struct")
	}
	properties := map[string]any{}
	for f := range t.Fields() {
		field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		doc := f.Tag.Get("doc")
		if !f.IsExported() || field == "" || doc == "" {
			return nil, fmt.Errorf("field %s: expected it exported, with tags json and doc", f.Name)
		}
		p, err := typeSchema(f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		p["description"] = doc
		properties[field] = p
	}
	return json.Marshal(map[string]any{"type": "object", "properties": properties, "additionalProperties": false})
}

func typeSchema(t reflect.Type) (map[string]any, error) {
	if t == reflect.TypeFor[time.Time]() {
		return map[string]any{"type": "string", "format": "date-time"}, nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}, nil
	case reflect.Float64:
		return map[string]any{"type": "number"}, nil
	case reflect.String:
		return map[string]any{"type": "string"}, nil
	case reflect.Slice:
		items, err := typeSchema(t.Elem())
		return map[string]any{"type": "array", "items": items}, err
	default:
		return nil, fmt.Errorf("no arguments of type %v", t)
	}
}
