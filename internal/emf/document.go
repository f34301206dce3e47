package emf

import (
	"time"

	"github.com/carasso/carasso/internal/emf/selection"
)

// document is one line of the format.
type document struct {
	fields    map[string]any
	directive *directive
}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

type definition struct{ Name, Unit string }

func newDocument(service string, at time.Time, labels [][2]string) *document {
	d := &document{fields: map[string]any{selection.Service: service}}
	names := []string{selection.Service}
	for _, l := range labels {
		names = append(names, l[0])
		d.fields[l[0]] = l[1]
	}
	d.directive = &directive{Namespace: selection.Namespace, Dimensions: [][]string{names}}
	d.fields["_aws"] = map[string]any{"Timestamp": at.UnixMilli(), "CloudWatchMetrics": []*directive{d.directive}}
	return d
}

// add gives the document a number, or a list of at most 100.
func (d *document) add(name, unit string, value any) {
	d.directive.Metrics = append(d.directive.Metrics, definition{name, unit})
	d.fields[name] = value
}
