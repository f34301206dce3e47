package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/carasso/carasso/infra/check"
)

// TestEveryResource takes each resource, parameter and output away, one at a time, and wants that noticed.
func TestEveryResource(t *testing.T) {
	t.Parallel()
	for _, target := range []string{Fargate, Beanstalk} {
		templates, runbook := load(t, target)
		for stack, resources := range templates {
			for id, r := range resources {
				delete(resources, id)
				if len(check.All(templates, target, sizes(), emitted(), runbook)) == 0 {
					t.Errorf("%s: nobody notices that %s of %s (%s) is missing", target, id, stack, r.Type)
				}
				resources[id] = r
			}
		}
	}
}

// TestEveryResourceAndItsNames takes each resource away as a careless edit would: with all that names it, so that the templates
// are whole, and CloudFormation would take them.
func TestEveryResourceAndItsNames(t *testing.T) {
	t.Parallel()
	for _, target := range []string{Fargate, Beanstalk} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			templates, runbook := load(t, target)
			all, err := json.Marshal(templates)
			if err != nil {
				t.Fatal(err)
			}
			for stack, resources := range templates {
				for id, r := range resources {
					if r.Type == check.Parameter || r.Type == check.Output {
						continue
					}
					left := without(t, all, stack, id)
					faults := check.All(left, target, sizes(), emitted(), runbook)
					if len(faults) == 0 {
						t.Errorf("nobody notices that %s of %s (%s) is missing", id, stack, r.Type)
					}
					for _, f := range faults {
						if f.Rule == "references" {
							t.Fatalf("%s of %s: something still names it: %s", id, stack, f)
						}
					}
				}
			}
		})
	}
}

// without is a copy of the templates that lacks a resource and whatever names it, also by what its stack exports.
func without(t *testing.T, templates []byte, stack, id string) check.Templates {
	t.Helper()
	left := check.Templates{}
	if err := json.Unmarshal(templates, &left); err != nil {
		t.Fatal(err)
	}
	delete(left[stack], id)
	var exports []string
	for name, x := range left[stack] {
		if x.Type == check.Output && names(x.Properties["Value"], func(ref string, imported bool) bool { return !imported && ref == id }) {
			if export, ok := x.At("Export", "Name").(string); ok {
				exports = append(exports, export)
			}
			delete(left[stack], name)
		}
	}
	for where, resources := range left {
		gone := func(ref string, imported bool) bool {
			return imported && slices.Contains(exports, ref) || !imported && where == stack && ref == id
		}
		for name, x := range resources {
			if x.Type == check.Parameter {
				continue
			}
			x.Properties, _ = cut(x.Properties, gone).(map[string]any)
			var waits []any
			for _, d := range check.List(x.DependsOn) {
				if where != stack || d != id {
					waits = append(waits, d)
				}
			}
			x.DependsOn = waits
			resources[name] = x
		}
	}
	return left
}

func names(v any, gone func(string, bool) bool) (found bool) {
	check.Named(v, func(ref string, imported bool) { found = found || gone(ref, imported) })
	return found
}

// cut takes each value that is made of what is gone out of v: a property, an element of a list.
func cut(v any, gone func(string, bool) bool) any {
	switch v := v.(type) {
	case []any:
		left := []any{}
		for _, x := range v {
			if !function(x) || !names(x, gone) {
				left = append(left, cut(x, gone))
			}
		}
		return left
	case map[string]any:
		for key, x := range v {
			if function(x) && names(x, gone) {
				delete(v, key)
				continue
			}
			v[key] = cut(x, gone)
		}
	}
	return v
}

// function: v is a call of one of CloudFormation's functions.
func function(v any) bool {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return false
	}
	for key := range m {
		return key == "Ref" || len(key) > 4 && key[:4] == "Fn::"
	}
	return false
}
