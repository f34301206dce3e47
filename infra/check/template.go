// Package check says what must be true of Carasso's templates. It reads them as CloudFormation does, knows nothing of how they
// are made, and so can be held against broken ones.
package check

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Templates are all stacks of a target, by name.
type Templates map[string]map[string]Resource

// Resource is a resource of a stack, or what else has a name there: a parameter or an output.
type Resource struct {
	Stack, ID  string
	Type       string
	Properties map[string]any
	Policy     string // DeletionPolicy
	DependsOn  any
}

// Types of what is no resource.
const (
	Parameter = "Parameter"
	Output    = "Output"
)

// Load reads the templates of a folder.
func Load(dir fs.FS) (Templates, error) {
	names, err := fs.Glob(dir, "*.template.json")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no templates: %w", err)
	}
	all := Templates{}
	for _, name := range names {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		var t struct {
			Resources map[string]struct {
				Type           string
				Properties     map[string]any
				DeletionPolicy string
				DependsOn      any
			}
			Parameters, Outputs map[string]map[string]any
		}
		if err := json.Unmarshal(b, &t); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		stack := strings.TrimSuffix(path.Base(name), ".template.json")
		all[stack] = map[string]Resource{}
		for id, r := range t.Resources {
			all[stack][id] = Resource{Stack: stack, ID: id, Type: r.Type, Properties: r.Properties, Policy: r.DeletionPolicy, DependsOn: r.DependsOn}
		}
		for id, p := range t.Parameters {
			all[stack][id] = Resource{Stack: stack, ID: id, Type: Parameter, Properties: p}
		}
		for id, o := range t.Outputs {
			all[stack][id] = Resource{Stack: stack, ID: id, Type: Output, Properties: o}
		}
	}
	return all, nil
}

// Of are the resources of a type, in order.
func (t Templates) Of(kind string) []Resource {
	var all []Resource
	for _, stack := range t {
		for _, r := range stack {
			if r.Type == kind {
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b Resource) int { return strings.Compare(a.Stack+a.ID, b.Stack+b.ID) })
	return all
}

// Named is the one resource of a type whose logical id begins with prefix.
func (t Templates) Named(kind, prefix string) (Resource, bool) {
	for _, r := range t.Of(kind) {
		if rest, ok := strings.CutPrefix(r.ID, prefix); ok && (rest == "" || len(rest) == 8) { // CDK adds a hash
			return r, true
		}
	}
	return Resource{}, false
}

// At is what lies at a path of names, and of numbers in lists; nil if nothing does.
func (r Resource) At(path ...any) any { return at(r.Properties, path...) }

func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// text is v as JSON: for looking for something anywhere within.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

// List is v as a list: nothing, one thing or several.
func List(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}
