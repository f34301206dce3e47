package check

import (
	"regexp"
	"strings"
)

var substituted = regexp.MustCompile(`\$\{([A-Za-z0-9]+)(\.[A-Za-z.]+)?\}`)

// references: all that a resource names is there. CloudFormation refuses a template, or a stack, that names what is not.
func (r *report) references() {
	exported := map[string]bool{}
	for _, o := range r.t.Of(Output) {
		if name, ok := o.At("Export", "Name").(string); ok {
			exported[name] = true
		}
	}
	for stack, resources := range r.t {
		for id, x := range resources {
			if x.Type == Parameter {
				continue
			}
			Named(x.Properties, func(name string, imported bool) {
				if _, ok := resources[name]; !ok && !imported {
					r.fault(stack+" "+id, "names %s, which is not there", name)
				}
				if imported && !exported[name] {
					r.fault(stack+" "+id, "imports %s, which nothing exports", name)
				}
			})
			for _, d := range List(x.DependsOn) {
				if _, ok := resources[d.(string)]; !ok {
					r.fault(stack+" "+id, "waits for %s, which is not there", d)
				}
			}
		}
	}
}

// Named visits all that is named anywhere in v: of the same stack, or imported from another.
func Named(v any, visit func(name string, imported bool)) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			Named(x, visit)
		}
	case map[string]any:
		for key, x := range v {
			switch name, _ := x.(string); key {
			case "Ref":
				if !strings.HasPrefix(name, "AWS::") {
					visit(name, false)
				}
			case "Fn::GetAtt":
				if name, ok := at(x, 0).(string); ok {
					visit(name, false)
				}
			case "Fn::ImportValue":
				visit(name, true)
			case "Fn::Sub":
				for _, m := range substituted.FindAllStringSubmatch(name, -1) {
					visit(m[1], false)
				}
			default:
				Named(x, visit)
			}
		}
	}
}
